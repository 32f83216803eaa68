//! Reads tables: what a source is, block after block of its rows, and exactly where it is broken.
//!
//! [`TableReader`] gives blocks of a bounded size, so that a table need not fit in memory; [`read_table`] puts them
//! together. The rows of a block, and the blocks themselves, depend on the files alone and not on the number of threads.

mod arrow;
mod bad_rows;
mod columns;
mod csv;
mod cut;
mod dialect;
mod dictionary;
mod drawn;
mod expansion;
mod format;
mod guard;
mod input;
mod json;
mod parquet;
mod raw;
mod records;
mod sources;
#[cfg(test)]
mod tests;
mod typed;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use self::arrow::ArrowReader;
use self::csv::CsvReader;
use self::format::{Format, format_of};
use self::input::Input;
use self::json::JsonReader;
use self::parquet::ParquetReader;
use super::cell::DEFAULT_NULL_WORDS;
use super::table::check_rows;
use super::words::{counted, listed, shown};
pub use crate::config::BadRows;
use crate::config::{DataConfig, Decimal, Delimiter, Quote};
use crate::{Error, Result};
pub use bad_rows::{Skipped, SkippedRow};
pub(crate) use dictionary::Dictionary;
pub use drawn::{DrawnTable, read_drawn};
pub use guard::is_guarded;
pub(crate) use raw::{Cells, DecimalMark};
pub use raw::{RawTable, stem_of};

/// How files are to be read; what is not said is told from the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// The words that count as missing; white space around them does not matter, case does.
    pub null_words: Vec<String>,
    /// What stands between the cells of a file of text.
    pub delimiter: Option<u8>,
    /// What stands around cells that hold delimiters.
    pub quote: Option<u8>,
    /// Whether a comma, and no point, stands before the decimals of a number.
    pub decimal_comma: Option<bool>,
    /// The same for a file that does not show it: as in the table that a model has learned from.
    pub usual_comma: Option<bool>,
    /// Further words that count as missing in single columns.
    pub column_nulls: BTreeMap<String, Vec<String>>,
    /// What is done with a row that has too few or too many cells, or bytes that are no text.
    pub bad_rows: BadRows,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            null_words: DEFAULT_NULL_WORDS.map(str::to_owned).to_vec(),
            delimiter: None,
            quote: None,
            decimal_comma: None,
            usual_comma: None,
            column_nulls: BTreeMap::new(),
            bad_rows: BadRows::Refuse,
        }
    }
}

impl ReadOptions {
    /// The options that settings come to.
    pub fn of(data: &DataConfig) -> Self {
        Self {
            null_words: data.null.clone(),
            delimiter: match data.delimiter {
                Delimiter::Auto => None,
                Delimiter::Comma => Some(b','),
                Delimiter::Semicolon => Some(b';'),
                Delimiter::Tab => Some(b'\t'),
                Delimiter::Bar => Some(b'|'),
            },
            quote: match data.quote {
                Quote::Auto => None,
                Quote::Double => Some(b'"'),
                Quote::Single => Some(b'\''),
            },
            decimal_comma: match data.decimal {
                Decimal::Auto => None,
                Decimal::Point => Some(false),
                Decimal::Comma => Some(true),
            },
            usual_comma: None,
            column_nulls: data
                .columns
                .iter()
                .filter_map(|(name, column)| Some((name.clone(), column.null.clone()?)))
                .collect(),
            bad_rows: data.bad_rows,
        }
    }
}

/// What is known of a table once all of it has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The SHA-256 of the bytes of all files, one after the other, in hexadecimal digits.
    pub sha256: String,
    /// The number of rows.
    pub n_rows: usize,
    /// The malformed rows that were left out.
    pub skipped: Skipped,
    /// How the files were read, where that is not what their names say.
    pub reading: Option<String>,
}

/// Reads the rows of one or several files, block after block.
///
/// A block holds a few megabytes of a text file, whole rows of it and at least one; a single row may have
/// 16 MiB. Blocks are [`RawTable`]s with the same columns.
pub struct TableReader {
    options: ReadOptions,
    source: PathBuf,
    names: Vec<String>,
    /// What each column of the first file holds, where the format says it.
    kinds: Vec<&'static str>,
    first_file: PathBuf,
    files: VecDeque<PathBuf>,
    current: Option<FileReader>,
    sha256: Sha256,
    n_rows: usize,
    skipped: Skipped,
    reading: Option<String>,
}

impl TableReader {
    /// Opens sources: files, folders, patterns of names such as `data/*.csv`, or `-` for standard input. Reads the
    /// header of the first file.
    pub fn open(sources: &[PathBuf], options: &ReadOptions) -> Result<Self> {
        let mut files: VecDeque<PathBuf> = sources::files_of(sources)?.into();
        let Some(first) = files.pop_front() else {
            return Err(Error::setting("no table is named", "give the path of a file"));
        };
        let mut current = FileReader::new(Input::open(&first, Sha256::new())?, options)?;
        if let FileReader::Csv(csv) = &mut current
            && csv.shown_comma.is_none()
            && let Some(comma) = decimal_comma_of(&files, options)
        {
            csv.set_decimal_comma(comma);
        }
        let source = if sources[0] == Path::new("-") { current.path() } else { sources[0].clone() };
        Ok(Self::of(current, source, files, options))
    }

    fn of(current: FileReader, source: PathBuf, files: VecDeque<PathBuf>, options: &ReadOptions) -> Self {
        let mut options = options.clone();
        let mut skipped = Skipped::default();
        if let FileReader::Csv(csv) = &current {
            options.usual_comma = Some(csv.decimal_comma());
            skipped.doubt = csv.doubt();
        }
        Self {
            options,
            source,
            names: current.names().to_vec(),
            kinds: current.kinds(),
            first_file: current.path(),
            files,
            reading: current.reading(),
            current: Some(current),
            sha256: Sha256::new(),
            n_rows: 0,
            skipped,
        }
    }

    /// How many rows the file that is being read says that it has; 0 where it does not say.
    pub(crate) fn n_rows_told(&self) -> usize {
        match &self.current {
            Some(FileReader::Parquet(reader)) => reader.n_rows(),
            _ => 0,
        }
    }

    /// The table, as it was named.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The names of the columns, from left to right.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The next rows of the table; none at its end.
    pub fn next_block(&mut self) -> Result<Option<RawTable>> {
        loop {
            let Some(current) = &mut self.current else { return Ok(None) };
            if let Some(mut block) = current.next(self.n_rows)? {
                block.source.clone_from(&self.source);
                block.first_row = self.n_rows;
                self.n_rows += block.n_rows();
                self.skipped.append(block.skipped.clone());
                if !block.names().eq(self.names.iter().map(String::as_str)) {
                    block.order_like(&self.names);
                }
                for (column, words) in &self.options.column_nulls {
                    block.set_missing(column, words);
                }
                if block.n_rows() > 0 {
                    return Ok(Some(block));
                }
                continue;
            }
            if let Some(current) = self.current.take() {
                self.sha256 = current.finish()?;
            }
            let Some(next) = self.files.pop_front() else { break };
            let next = FileReader::new(Input::open(&next, self.sha256.clone())?, &self.options)?;
            self.check_columns(&next)?;
            self.check_decimal_mark(&next)?;
            self.current = Some(next);
        }
        if self.n_rows == 0 {
            let source = self.source.display();
            let columns = counted(self.names.len(), "column");
            return Err(match self.skipped.count {
                0 => Error::data(
                    format!("{source} has a header of {columns} and no rows"),
                    "add rows below the header, or check that the file was written in full",
                ),
                n => Error::data(
                    format!("{source} has no row of {columns}: {} left out", counted(n, "malformed row")),
                    "check what stands between the cells: --set data.delimiter=';'",
                ),
            });
        }
        Ok(None)
    }

    /// What is known once [`TableReader::next_block`] has given nothing more.
    pub fn finish(self) -> Reading {
        let sha256 = hex(self.sha256);
        Reading { sha256, n_rows: self.n_rows, skipped: self.skipped, reading: self.reading }
    }

    /// The files of a table have the same decimal mark, as far as they show one.
    fn check_decimal_mark(&self, next: &FileReader) -> Result<()> {
        let FileReader::Csv(csv) = next else { return Ok(()) };
        let (Some(comma), Some(usual)) = (csv.shown_comma, self.options.usual_comma) else { return Ok(()) };
        if comma == usual {
            return Ok(());
        }
        let mark = |comma| if comma { "comma" } else { "point" };
        Err(Error::data(
            format!(
                "{} is read with a decimal {}, and {} has numbers with a decimal {}",
                self.first_file.display(),
                mark(usual),
                next.path().display(),
                mark(comma)
            ),
            format!("--decimal {} if that goes for all files, else write them alike", mark(comma)),
        ))
    }

    /// The files of a table have the same columns, in any order.
    fn check_columns(&self, next: &FileReader) -> Result<()> {
        let (first, second) = (&self.names, next.names());
        let lacks = |names: &[String], others: &[String]| {
            listed(names.iter().filter(|name| !others.contains(name)).map(String::as_str))
        };
        let (only_first, only_second) = (lacks(first, second), lacks(second, first));
        let (a, b) = (self.first_file.display(), next.path().display().to_string());
        if only_first.is_empty() && only_second.is_empty() {
            let kinds = next.kinds();
            let differs = second.iter().zip(&kinds).find_map(|(name, kind)| {
                let first = self.kinds.get(first.iter().position(|other| other == name)?)?;
                (first != kind && *first != "nothing" && *kind != "nothing").then_some((name, first, kind))
            });
            return match differs {
                _ if self.kinds.is_empty() != kinds.is_empty() => Err(Error::data(
                    format!("{a} and {b} are of different formats"),
                    "give files of one format, as a pattern: 'folder/*.parquet'",
                )),
                None => Ok(()),
                Some((name, first, kind)) => Err(Error::data(
                    format!(
                        "{a} and {b} have different columns: {} holds {first} in the first, {kind} in the second",
                        shown(name)
                    ),
                    "give files of one table, or write them with the same types",
                )),
            };
        }
        let mut what = format!("{a} and {b} have different columns:");
        if !only_first.is_empty() {
            let _ = write!(what, " {only_first} only in the first");
        }
        if !only_second.is_empty() {
            let and = if only_first.is_empty() { "" } else { ";" };
            let _ = write!(what, "{and} {only_second} only in the second");
        }
        Err(Error::data(what, "give files of one table, or bring their headers into agreement"))
    }
}

/// The decimal mark of a table whose first file shows none: the one that the next file that shows one has, or else what a
/// file is taken for.
fn decimal_comma_of(files: &VecDeque<PathBuf>, options: &ReadOptions) -> Option<bool> {
    let mut is_taken = false;
    // What is wrong with a file is told when its turn comes.
    let mut shown = files.iter().filter(|file| file.is_file()).filter_map(|file| {
        let reader = FileReader::new(Input::open(file, Sha256::new()).ok()?, options).ok()?;
        let FileReader::Csv(csv) = reader else { return None };
        is_taken |= csv.decimal_comma();
        csv.shown_comma
    });
    let shown = shown.next();
    shown.or_else(|| (is_taken && options.usual_comma.is_none()).then_some(true))
}

fn hex(sha256: Sha256) -> String {
    sha256.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The files that sources mean, see [`TableReader::open`].
pub(crate) fn files_of(sources: &[PathBuf]) -> Result<Vec<PathBuf>> {
    sources::files_of(sources)
}

/// The checksum of the files of a table, [`Reading::sha256`], without reading what they hold.
pub(crate) fn sha256_of(sources: &[PathBuf]) -> Result<String> {
    let mut sha256 = Sha256::new();
    let mut part = vec![0; 1 << 20];
    for file in sources::files_of(sources)? {
        let failed = |error| Error::io("read", &file, error);
        let mut bytes = std::fs::File::open(&file).map_err(failed)?;
        loop {
            match bytes.read(&mut part).map_err(failed)? {
                0 => break,
                n => sha256.update(&part[..n]),
            }
        }
    }
    Ok(hex(sha256))
}

/// Reads a whole table into memory; see [`TableReader::open`] for what a source can be.
pub fn read_table(sources: &[PathBuf], options: &ReadOptions) -> Result<RawTable> {
    read_table_while(sources, options, |_| Ok(()))
}

/// [`read_table`], as long as `check` has nothing against the next block.
pub(crate) fn read_table_while(
    sources: &[PathBuf],
    options: &ReadOptions,
    check: impl FnMut(&RawTable) -> Result<()>,
) -> Result<RawTable> {
    whole(TableReader::open(sources, options)?, check)
}

fn whole(mut reader: TableReader, mut check: impl FnMut(&RawTable) -> Result<()>) -> Result<RawTable> {
    check_rows(reader.source(), reader.n_rows_told())?;
    let mut table: Option<RawTable> = None;
    // Each block is taken in at once, so that its memory serves the next.
    while let Some(block) = reader.next_block()? {
        check_rows(&block.source, reader.n_rows)?;
        check(&block)?;
        match &mut table {
            None => table = Some(block),
            Some(table) => table.append(block)?,
        }
    }
    let mut table = table.unwrap_or_default();
    let Reading { sha256, skipped, reading, .. } = reader.finish();
    (table.sha256, table.skipped, table.reading) = (sha256, skipped, reading);
    Ok(table)
}

/// Reads a table from the bytes of a file; `source` names it in messages.
pub fn parse_csv(bytes: &[u8], source: &Path, options: &ReadOptions) -> Result<RawTable> {
    let current = FileReader::new(Input::of_bytes(source, bytes, Sha256::new())?, options)?;
    whole(TableReader::of(current, source.to_owned(), VecDeque::new(), options), |_| Ok(()))
}

/// Reads one file, by its format.
enum FileReader {
    Csv(Box<CsvReader>),
    Json(Box<JsonReader>),
    Arrow(Box<ArrowReader>),
    Parquet(Box<ParquetReader>),
}

impl FileReader {
    fn new(input: Input, options: &ReadOptions) -> Result<Self> {
        Ok(match format_of(input.path(), input.sample(), input.packing)? {
            Format::Csv => Self::Csv(Box::new(CsvReader::new(input, options)?)),
            Format::Json => Self::Json(Box::new(JsonReader::new(input, options)?)),
            Format::Arrow => Self::Arrow(Box::new(ArrowReader::new(input, options)?)),
            Format::Parquet => {
                let path = input.path().to_owned();
                Self::Parquet(Box::new(ParquetReader::new(&path, input.sum_before(), options)?))
            }
        })
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Csv(reader) => reader.path(),
            Self::Json(reader) => reader.path(),
            Self::Arrow(reader) => reader.path(),
            Self::Parquet(reader) => reader.path().to_owned(),
        }
    }

    fn names(&self) -> &[String] {
        match self {
            Self::Csv(reader) => &reader.names,
            Self::Json(reader) => &reader.names,
            Self::Arrow(reader) => &reader.names,
            Self::Parquet(reader) => &reader.names,
        }
    }

    /// What each column holds; empty where the format does not say.
    fn kinds(&self) -> Vec<&'static str> {
        match self {
            Self::Csv(_) | Self::Json(_) => Vec::new(),
            Self::Arrow(reader) => reader.kinds(),
            Self::Parquet(reader) => reader.kinds().to_vec(),
        }
    }

    /// What is to be told of the way in which the file is read.
    fn reading(&self) -> Option<String> {
        match self {
            Self::Csv(reader) => reader.reading(),
            Self::Json(_) | Self::Arrow(_) | Self::Parquet(_) => None,
        }
    }

    fn next(&mut self, first_row: usize) -> Result<Option<RawTable>> {
        match self {
            Self::Csv(reader) => reader.next(first_row),
            Self::Json(reader) => reader.next(first_row),
            Self::Arrow(reader) => reader.next(),
            Self::Parquet(reader) => reader.next(),
        }
    }

    /// The checksum of all files so far.
    fn finish(self) -> Result<Sha256> {
        match self {
            Self::Csv(reader) => reader.into_input().finish(),
            Self::Json(reader) => reader.into_input().finish(),
            Self::Arrow(reader) => reader.into_input()?.finish(),
            Self::Parquet(reader) => reader.finish(),
        }
    }
}
