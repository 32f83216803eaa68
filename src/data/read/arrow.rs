//! The Arrow IPC format: a stream of messages, each of a length that it says itself.
//!
//! A file (Feather version 2) is such a stream between a magic word and an index, so that both are read from front to
//! back; the index is not looked at. The body of a message is read as far as there are bytes, whatever it claims.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::{Message, MessageHeader};
use arrow_schema::SchemaRef;
use rayon::prelude::*;

use super::ReadOptions;
use super::columns::Meaning;
use super::csv::checked_names;
use super::expansion::{Expansion, bytes_of, rows_of_block};
use super::guard::guarded;
use super::input::Input;
use super::raw::{RawColumn, RawTable};
use super::typed::{cells_of_array, kind_of};
use crate::data::words::{counted, thousands};
use crate::{Error, Result};

/// Rows of a block.
pub(super) const BLOCK_ROWS: usize = 1 << 16;
/// What a message may say of itself, and its body may come to when it is unpacked.
const LONGEST_MESSAGE: usize = 1 << 26;
const LONGEST_BODY: usize = 1 << 31;

/// Reads one file or stream.
pub(super) struct ArrowReader {
    input: Input,
    meaning: Meaning,
    decoder: StreamDecoder,
    schema: SchemaRef,
    pub(super) names: Vec<String>,
    rest: Vec<u8>,
    /// The batch that is being given out, and how many of its rows have been.
    batch: Option<(RecordBatch, usize)>,
    expansion: Expansion,
}

impl ArrowReader {
    pub(super) fn new(input: Input, options: &ReadOptions) -> Result<Self> {
        let mut reader = Self {
            input,
            meaning: Meaning::new(options, false),
            decoder: StreamDecoder::new(),
            schema: Arc::new(arrow_schema::Schema::empty()),
            names: Vec::new(),
            rest: Vec::new(),
            batch: None,
            expansion: Expansion::default(),
        };
        if reader.input.sample().starts_with(b"ARROW1") {
            reader.take(8)?;
            // Some writers fill up to 64 bytes with zeros before the first message.
            for _ in 2..16 {
                reader.input.read_up_to(&mut reader.rest, 4)?;
                if !reader.rest.starts_with(&[0; 4]) {
                    break;
                }
                reader.rest.drain(..4);
            }
        }
        while reader.decoder.schema().is_none() {
            if !reader.message()? {
                return Err(reader.damaged("it ends before its schema"));
            }
        }
        reader.schema = reader.decoder.schema().unwrap_or(reader.schema);
        let names: Vec<&str> = reader.schema.fields().iter().map(|field| field.name().trim()).collect();
        reader.names = checked_names(&names, &reader.path().display().to_string())?;
        Ok(reader)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.input.path().to_owned()
    }

    /// What each column holds.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.schema.fields().iter().map(|field| kind_of(field.data_type())).collect()
    }

    /// The input, read to its end, so that its checksum is that of all its bytes.
    pub(super) fn into_input(mut self) -> Result<Input> {
        loop {
            self.rest.clear();
            if self.input.read_up_to(&mut self.rest, 1 << 16)? {
                return Ok(self.input);
            }
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<RawTable>> {
        loop {
            match &mut self.batch {
                Some((batch, given)) if *given < batch.num_rows() => {
                    let path = self.input.path();
                    let rows = || {
                        let rest = batch.slice(*given, BLOCK_ROWS.min(batch.num_rows() - *given));
                        let rest = rest.slice(0, rows_of_block(&rest, BLOCK_ROWS));
                        block(&rest, &self.names, &self.meaning, path)
                    };
                    let Some(block) = guarded(rows) else {
                        return Err(self.damaged("its content contradicts itself"));
                    };
                    *given += block.n_rows();
                    return Ok(Some(block));
                }
                _ => {
                    self.batch = None;
                    if !self.message()? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Reads one message; false at the end.
    fn message(&mut self) -> Result<bool> {
        let mut prefix = self.take(4)?;
        if prefix == [0xff; 4] {
            prefix = self.take(4)?;
        }
        let Ok(length) = <[u8; 4]>::try_from(prefix.as_slice()).map(u32::from_le_bytes) else {
            // A stream may end without a word.
            return if prefix.is_empty() { Ok(false) } else { Err(self.damaged("it is cut short")) };
        };
        if length == 0 {
            return Ok(false);
        }
        if length as usize > LONGEST_MESSAGE {
            return Err(self.damaged("a message says that it is longer than any can be"));
        }
        let mut bytes = length.to_le_bytes().to_vec();
        let head = self.take(length as usize)?;
        if head.len() < length as usize {
            return Err(self.damaged("it is cut short"));
        }
        bytes.extend_from_slice(&head);
        let message = arrow_ipc::root_as_message(&head).map_err(|error| self.damaged(&error.to_string()))?;
        let body_length = usize::try_from(message.bodyLength()).unwrap_or(usize::MAX);
        if body_length > LONGEST_BODY {
            return Err(self.too_large(body_length));
        }
        let body = self.take(body_length)?;
        if body.len() < body_length {
            return Err(self.damaged("it is cut short"));
        }
        let unpacked = unpacked(&message, &body);
        if unpacked > LONGEST_BODY {
            return Err(self.too_large(unpacked));
        }
        bytes.extend_from_slice(&body);
        let mut buffer = Buffer::from_vec(bytes);
        let decoded = guarded(|| self.decoder.decode(&mut buffer));
        let decoded = decoded.ok_or_else(|| self.damaged("its content contradicts itself"))?;
        let batch = decoded.map_err(|error| self.damaged(&error.to_string()))?;
        if let Some(batch) = &batch {
            let bytes = guarded(|| bytes_of(batch));
            let bytes = bytes.ok_or_else(|| self.damaged("its content contradicts itself"))?;
            let n_bytes = self.input.n_bytes();
            self.expansion.add(self.input.path(), batch.num_rows(), bytes, n_bytes)?;
        }
        self.batch = batch.map(|batch| (batch, 0));
        Ok(true)
    }

    /// The next bytes, fewer only at the end.
    fn take(&mut self, n: usize) -> Result<Vec<u8>> {
        self.input.read_up_to(&mut self.rest, n)?;
        let rest = self.rest.split_off(n.min(self.rest.len()));
        Ok(std::mem::replace(&mut self.rest, rest))
    }

    fn damaged(&self, why: &str) -> Error {
        Error::data(
            format!("{} is no whole Arrow file or stream: {why}", self.path().display()),
            "copy it again, or write it anew",
        )
    }

    fn too_large(&self, bytes: usize) -> Error {
        Error::data(
            format!(
                "{}: a batch of rows comes to {}; at most {} are read at once",
                self.path().display(),
                counted(bytes, "byte"),
                thousands(LONGEST_BODY)
            ),
            "write the file in batches of fewer rows, or as Parquet",
        )
    }
}

/// What the buffers of a message say that they come to, where they are packed.
fn unpacked(message: &Message<'_>, body: &[u8]) -> usize {
    let batch = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        MessageHeader::DictionaryBatch => message.header_as_dictionary_batch().and_then(|d| d.data()),
        _ => None,
    };
    let Some(buffers) = batch.filter(|batch| batch.compression().is_some()).and_then(|batch| batch.buffers())
    else {
        return 0;
    };
    let length = |at: i64| {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let says = body.get(start..start.saturating_add(8)).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        // −1 stands for a buffer that is not packed; other negative ones are refused by the decoder.
        usize::try_from(says.map_or(0, i64::from_le_bytes)).unwrap_or(0)
    };
    buffers.iter().fold(0, |sum, buffer| sum.saturating_add(length(buffer.offset())))
}

/// A block of rows out of a batch.
pub(super) fn block(
    batch: &RecordBatch,
    names: &[String],
    meaning: &Meaning,
    path: &std::path::Path,
) -> RawTable {
    let columns = names.par_iter().zip(batch.columns()).map(|(name, array)| RawColumn {
        name: name.clone(),
        cells: cells_of_array(array.as_ref(), meaning),
    });
    RawTable {
        source: path.to_owned(),
        columns: columns.collect(),
        n_rows: batch.num_rows(),
        files: vec![(0, path.to_owned())],
        ..RawTable::default()
    }
}
