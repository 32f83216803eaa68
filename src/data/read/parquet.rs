//! Parquet: columns read in parallel, in blocks of rows that end where no other does.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::SystemTime;

use arrow_array::{Array as _, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::RowGroupMetaData;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::ReadOptions;
use super::arrow::BLOCK_ROWS;
use super::columns::Meaning;
use super::csv::checked_names;
use super::expansion::{Expansion, bytes_of, check_ratio, least_bytes, rows_of_block};
use super::guard;
use super::input::check_unchanged;
use super::raw::{Cells, RawColumn, RawTable};
use super::typed::{cells_of_array, is_readable, kind_of};
use crate::data::words::shown;
use crate::{Error, Result};

/// Bytes that a block comes to, roughly: rows are fewer where they are long.
const BLOCK_BYTES: i64 = 1 << 24;
/// Rows that are decoded at once where texts say only how they differ from the text before, so that a few bytes may
/// stand for long ones.
const DELTA_ROWS: usize = 256;

/// Reads one file.
pub(super) struct ParquetReader {
    path: PathBuf,
    opened: (u64, Option<SystemTime>),
    pub(super) names: Vec<String>,
    kinds: Vec<&'static str>,
    meaning: Meaning,
    /// Readers of some columns each, all in step.
    parts: Vec<Part>,
    /// Columns that nothing can be learned from, and what they hold.
    foreign: Vec<(usize, String)>,
    n_rows: usize,
    given: usize,
    expansion: Expansion,
    sha256: JoinHandle<std::io::Result<Sha256>>,
}

struct Part {
    columns: Vec<usize>,
    reader: ParquetRecordBatchReader,
    /// Rows that have been decoded and not been given out.
    rest: Option<RecordBatch>,
}

impl ParquetReader {
    pub(super) fn new(path: &Path, sha256: Sha256, options: &ReadOptions) -> Result<Self> {
        let failed = |error| Error::io("read", path, error);
        let open = || File::open(path).map_err(failed);
        let data = open()?.metadata().map_err(failed)?;
        let opened = (data.len(), data.modified().ok());
        let damaged = |why: &str| damaged(path, why);
        let metadata = guarded(path, || {
            ArrowReaderMetadata::load(&open()?, ArrowReaderOptions::new())
                .and_then(|metadata| {
                    let options = ArrowReaderOptions::new().with_schema(with_views(metadata.schema()));
                    ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)
                })
                .map_err(|error| damaged(&error.to_string()))
        })?;
        check_sizes(&metadata, opened.0).map_err(|why| damaged(&why))?;
        check_packing(path, &metadata)?;
        let fields = metadata.schema().fields();
        let names: Vec<&str> = fields.iter().map(|field| field.name().trim()).collect();
        let names = checked_names(&names, &path.display().to_string())?;
        let n_rows = metadata.metadata().row_groups().iter().map(|group| group.num_rows() as usize).sum();
        check_ratio(path, n_rows as u64, least_bytes(n_rows, names.len()), opened.0)?;

        let is_foreign = |&column: &usize| !is_readable(fields[column].data_type());
        let (foreign, readable): (Vec<usize>, Vec<usize>) = (0..names.len()).partition(is_foreign);
        let foreign = foreign.into_iter().map(|column| (column, fields[column].data_type().to_string()));
        let block_rows = rows_at_once(&metadata);
        let mut parts = Vec::new();
        // Every part has its own file: a file has one place that is read next.
        let n_parts = rayon::current_num_threads().clamp(1, readable.len().max(1));
        for columns in readable.chunks(readable.len().div_ceil(n_parts).max(1)) {
            let file = open()?;
            let reader = guarded(path, || {
                let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
                let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
                let builder = builder.with_projection(mask).with_batch_size(block_rows);
                builder.build().map_err(|error| damaged(&error.to_string()))
            })?;
            parts.push(Part { columns: columns.to_vec(), reader, rest: None });
        }
        let kinds = fields.iter().map(|field| kind_of(field.data_type())).collect();
        Ok(Self {
            path: path.to_owned(),
            opened,
            names,
            kinds,
            meaning: Meaning::new(options, false),
            parts,
            foreign: foreign.collect(),
            n_rows,
            given: 0,
            expansion: Expansion::default(),
            sha256: summed(path.to_owned(), sha256),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many rows the file says that it has.
    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// What each column holds.
    pub(super) fn kinds(&self) -> &[&'static str] {
        &self.kinds
    }

    pub(super) fn next(&mut self) -> Result<Option<RawTable>> {
        if self.given >= self.n_rows {
            return Ok(None);
        }
        let Self { parts, path, meaning, expansion, opened, .. } = self;
        let decoded = parts.par_iter_mut().map(|part| part.decode(path)).collect::<Vec<_>>();
        let (mut new_rows, mut bytes, mut most) = (0, 0u64, usize::MAX);
        for part in decoded {
            let part = part?;
            new_rows = part.new_rows;
            bytes = bytes.saturating_add(part.bytes);
            most = most.min(part.fit);
        }
        expansion.add(path, new_rows, bytes, opened.0)?;
        let read = parts.par_iter_mut().map(|part| part.next(most, meaning)).collect::<Vec<_>>();
        let mut cells: Vec<Option<Cells>> = Vec::new();
        cells.resize_with(self.names.len(), || None);
        let mut n_rows = None;
        for part in read {
            let (n, columns) = part;
            if *n_rows.get_or_insert(n) != n || n == 0 {
                return Err(damaged(&self.path, "its columns have different numbers of rows"));
            }
            for (column, read) in columns {
                cells[column] = Some(read);
            }
        }
        // A table of nothing but what cannot be read has no block to take its rows from.
        let n_rows = n_rows.unwrap_or(self.n_rows - self.given).min(self.n_rows - self.given);
        self.given += n_rows;
        for (column, what) in &self.foreign {
            cells[*column] = Some(Cells::Foreign { what: what.clone() });
        }
        let columns = self
            .names
            .iter()
            .zip(cells)
            .filter_map(|(name, cells)| Some(RawColumn { name: name.clone(), cells: cells? }));
        Ok(Some(RawTable {
            source: self.path.clone(),
            columns: columns.collect(),
            n_rows,
            files: vec![(0, self.path.clone())],
            ..RawTable::default()
        }))
    }

    /// The checksum, if the file is still as it was.
    pub(super) fn finish(self) -> Result<Sha256> {
        let failed = |error| Error::io("read", &self.path, error);
        check_unchanged(&self.path, self.opened)?;
        match self.sha256.join() {
            Ok(sha256) => sha256.map_err(failed),
            Err(_) => Err(damaged(&self.path, "it could not be read to its end")),
        }
    }
}

impl Part {
    /// Decodes the next rows, unless some are left.
    fn decode(&mut self, path: &Path) -> Result<Decoded> {
        let is_new = self.rest.is_none();
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => guarded(path, || match self.reader.next() {
                Some(batch) => batch.map_err(|error| damaged(path, &error.to_string())),
                None => Err(damaged(path, "it has fewer rows than it says")),
            })?,
        };
        let (new_rows, bytes) = if is_new { (batch.num_rows(), bytes_of(&batch)) } else { (0, 0) };
        let fit = rows_of_block(&batch, BLOCK_ROWS);
        self.rest = Some(batch);
        Ok(Decoded { new_rows, bytes, fit })
    }

    /// The cells of the next rows that have been decoded, at most `most`, and how many rows these are.
    fn next(&mut self, most: usize, meaning: &Meaning) -> (usize, Vec<(usize, Cells)>) {
        let Some(batch) = self.rest.take() else { return (0, Vec::new()) };
        let n = most.min(batch.num_rows());
        if n < batch.num_rows() {
            self.rest = Some(batch.slice(n, batch.num_rows() - n));
        }
        let batch = batch.slice(0, n);
        debug_assert!(batch.columns().iter().all(|array| array.len() == n));
        let columns = self.columns.iter().zip(batch.columns());
        (n, columns.map(|(&column, array)| (column, cells_of_array(array.as_ref(), meaning))).collect())
    }
}

/// Rows of a part that wait to be given out.
struct Decoded {
    /// Those that were not counted before, and the bytes that they come to.
    new_rows: usize,
    bytes: u64,
    /// How many of the rows make a block.
    fit: usize,
}

/// The same columns with texts as views of the bytes of the file, so that a text that is said to be that of many rows
/// takes no more room than in the file.
fn with_views(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        text if is_text(text) => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => field.clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// What the footer says must fit the file before anything is read by it.
fn check_sizes(metadata: &ArrowReaderMetadata, file_bytes: u64) -> std::result::Result<(), String> {
    let mut rows = 0i64;
    for group in metadata.metadata().row_groups() {
        if group.num_rows() < 0 {
            return Err("a row group says that it has fewer than no rows".into());
        }
        rows = rows.checked_add(group.num_rows()).ok_or("it says that it has more rows than can be")?;
        for column in group.columns() {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let end = start.checked_add(column.compressed_size());
            let inside = start >= 0
                && column.compressed_size() >= 0
                && end.is_some_and(|end| u64::try_from(end).is_ok_and(|end| end <= file_bytes));
            if !inside {
                return Err(format!(
                    "column {} would reach beyond its end",
                    shown(&column.column_path().string())
                ));
            }
        }
    }
    if rows != metadata.metadata().file_metadata().num_rows() {
        return Err("its row groups have other numbers of rows than it says".into());
    }
    Ok(())
}

/// Refuses columns that are packed in a way that is not read.
fn check_packing(path: &Path, metadata: &ArrowReaderMetadata) -> Result<()> {
    let columns = metadata.metadata().row_groups().iter().flat_map(RowGroupMetaData::columns);
    let packed = columns.filter_map(|column| match column.compression() {
        Compression::BROTLI(_) => Some((column, "brotli")),
        Compression::LZO => Some((column, "lzo")),
        _ => None,
    });
    match packed.into_iter().next() {
        None => Ok(()),
        Some((column, by)) => Err(Error::data(
            format!(
                "{}: column {} is packed by {by}; read are snappy, zstd, lz4, gzip and none",
                path.display(),
                shown(&column.column_path().string())
            ),
            "write the file anew: df.to_parquet(\"table.parquet\", compression=\"zstd\") in pandas",
        )),
    }
}

/// Rows that are decoded at once: fewer where they are long.
fn rows_at_once(metadata: &ArrowReaderMetadata) -> usize {
    let groups = metadata.metadata().row_groups();
    let bytes: i64 = groups.iter().map(|group| group.total_byte_size().clamp(0, i64::MAX / 4_096)).sum();
    let rows: i64 = groups.iter().map(|group| group.num_rows().max(0)).sum();
    let row = (bytes / rows.max(1)).max(1);
    let has_deltas = groups
        .iter()
        .flat_map(RowGroupMetaData::columns)
        .any(|column| column.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY));
    let most = if has_deltas { DELTA_ROWS } else { BLOCK_ROWS };
    usize::try_from(BLOCK_BYTES / row).unwrap_or(1).clamp(1, most)
}

/// What is read, or that the file is damaged where the reader of a format with as many corners stumbles over it.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    guard::guarded(read).unwrap_or_else(|| Err(damaged(path, "its content contradicts itself")))
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::data(
        format!("{} is no whole Parquet file, or one with what is not read: {why}", path.display()),
        "copy it again, or write it anew, packed by snappy, zstd, lz4 or gzip",
    )
}

/// The checksum of a file, summed up beside the reading of its columns.
fn summed(path: PathBuf, mut sha256: Sha256) -> JoinHandle<std::io::Result<Sha256>> {
    std::thread::spawn(move || {
        let mut file = File::open(path)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(sha256),
                n => sha256.update(&buffer[..n]),
            }
        }
    })
}
