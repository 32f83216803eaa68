//! Text with delimiters: cut at the ends of records, and read piece by piece in parallel.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::path::PathBuf;

use rayon::prelude::*;

use super::bad_rows::{Skipped, SkippedRow};
use super::columns::{ColumnBuilder, Meaning};
use super::cut::{Cutter, LONGEST_RECORD, Piece};
use super::dialect::{Dialect, Wanted, detect};
use super::format::end_of;
use super::input::Input;
use super::raw::{RawColumn, RawTable};
use super::records::Tokens;
use super::{BadRows, ReadOptions};
use crate::data::cell::{Numeric, decimal_number};
use crate::data::words::{counted, listed, shell, shown, thousands};
use crate::{Error, Result};

/// The most bytes that a name may have.
const LONGEST_NAME: usize = 4_096;
/// The most columns of a table.
pub(super) const MOST_COLUMNS: usize = 1 << 16;
/// Rows whose cells go to their columns together, so that they are still in the cache for the last column.
const STRIP: usize = 256;

/// Reads one file.
pub(super) struct CsvReader {
    cutter: Cutter,
    dialect: Dialect,
    /// Whether a comma stands before decimals, where the file shows it or the user says it.
    pub(super) shown_comma: Option<bool>,
    meaning: Meaning,
    bad_rows: BadRows,
    pub(super) names: Vec<String>,
    /// Pieces that are cut and not read.
    pieces: Vec<Piece>,
    /// Blocks that are read and not given out.
    blocks: VecDeque<Parsed>,
}

/// A piece that has been read, or the first row that is not one of the table.
type Parsed = std::result::Result<RawTable, Bad>;

/// A malformed row.
struct Bad {
    /// Good rows before it in its piece.
    rows_before: usize,
    line: u64,
    what: String,
    remedy: String,
    /// Whether `what` says the place itself, as the place of a byte.
    placed: bool,
}

impl CsvReader {
    pub(super) fn new(input: Input, options: &ReadOptions) -> Result<Self> {
        let is_tsv = matches!(end_of(input.path()).as_str(), "tsv" | "tab");
        let wanted = Wanted {
            delimiter: options.delimiter,
            quote: options.quote,
            decimal_comma: options.decimal_comma,
            usual_comma: options.usual_comma,
        };
        let (dialect, shown_comma) = detect(input.sample(), input.is_whole(), is_tsv, wanted);
        let mut reader = Self {
            cutter: Cutter::new(input, dialect),
            dialect,
            shown_comma,
            meaning: Meaning::new(options, dialect.decimal_comma),
            bad_rows: options.bad_rows,
            names: Vec::new(),
            pieces: Vec::new(),
            blocks: VecDeque::new(),
        };
        reader.read_header()?;
        Ok(reader)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.cutter.input().path().to_owned()
    }

    /// How the file is written, where that is not what everybody expects.
    pub(super) fn reading(&self) -> Option<String> {
        let Dialect { delimiter, quote, decimal_comma, .. } = self.dialect;
        let mut words = Vec::new();
        match delimiter {
            b',' => {}
            b'\t' => words.push("tabs between cells".to_owned()),
            other => words.push(format!("{} between cells", shown(&(other as char).to_string()))),
        }
        if quote != b'"' {
            words.push(format!("{} around cells", shown(&(quote as char).to_string())));
        }
        if decimal_comma {
            words.push("a comma before decimals".to_owned());
        }
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// What is doubtful of the header: that it is a row.
    pub(super) fn doubt(&self) -> Option<String> {
        const MOST: usize = 20;
        if !self.names.iter().all(|name| decimal_number(name, self.dialect.decimal_comma) != Numeric::Not) {
            return None;
        }
        let names = |n: usize| (1..=n).map(|i| format!("c{i}")).collect::<Vec<_>>();
        let mark = (self.dialect.delimiter as char).to_string();
        let header = match self.names.len() {
            n if n <= MOST => names(n).join(&mark),
            n => names(3).join(&mark) + &format!("{mark}… to c{n}"),
        };
        let path = self.path();
        Some(format!(
            "the header of {} is numbers only, {}; if that is a row, put names above it: (echo {}; cat {}) > named.csv",
            path.display(),
            listed(self.names.iter().map(String::as_str)),
            shell(&header),
            shell(&path.to_string_lossy())
        ))
    }

    /// Whether a comma stands before decimals.
    pub(super) fn decimal_comma(&self) -> bool {
        self.dialect.decimal_comma
    }

    /// Takes over the decimal mark that other files of the table show, before any row is read.
    pub(super) fn set_decimal_comma(&mut self, comma: bool) {
        (self.dialect.decimal_comma, self.meaning.mark.comma) = (comma, comma);
    }

    pub(super) fn into_input(self) -> Input {
        self.cutter.into_input()
    }

    fn read_header(&mut self) -> Result<()> {
        let mut piece = self.cutter.next()?;
        // A piece of nothing but empty lines has no header.
        while piece.as_ref().is_some_and(|piece| piece.bytes.trim_ascii().is_empty()) {
            piece = self.cutter.next()?;
        }
        let Some(piece) = piece else {
            return Err(Error::data(
                format!("{} is empty; expected a header and rows", self.path().display()),
                "check that the file was written in full",
            ));
        };
        let tokens = Tokens::first(&piece.bytes, self.dialect);
        let end = tokens.stop(0);
        let (header, rest) = piece.bytes.split_at(end);
        let texts = tokens.texts(checked(header, &piece, &self.path())?);
        let names: Vec<&str> = tokens.record(0).iter().map(|&cell| texts.get(cell).trim()).collect();
        let place = format!("{}, line {}", self.path().display(), piece.line + u64::from(tokens.line(0)));
        self.names = checked_names(&names, &place)?;
        let newline = self.dialect.newline;
        let line = piece.line + memchr::memchr_iter(newline, header).count() as u64;
        self.pieces.push(Piece { bytes: rest.to_vec(), line, offset: piece.offset + end as u64 });
        Ok(())
    }

    /// The next rows; `first_row` is how many the whole table has before them.
    pub(super) fn next(&mut self, first_row: usize) -> Result<Option<RawTable>> {
        while self.blocks.is_empty() {
            if self.pieces.is_empty() {
                self.pieces = cut(&mut self.cutter)?;
            }
            if self.pieces.is_empty() {
                return Ok(None);
            }
            let pieces = std::mem::take(&mut self.pieces);
            let Self { cutter, names, dialect, meaning, bad_rows, .. } = self;
            let path = cutter.input().path().to_owned();
            let parse = |piece: Piece| parse(&piece, names, *dialect, meaning, *bad_rows, &path);
            // The next pieces are read, summed and cut while these are parsed.
            let (next, blocks) =
                rayon::join(|| cut(cutter), || pieces.into_par_iter().map(parse).collect::<Vec<Parsed>>());
            self.blocks.extend(blocks);
            // A bad row comes before what is wrong further down.
            match next {
                Ok(pieces) => self.pieces = pieces,
                Err(error) if self.blocks.iter().all(Parsed::is_ok) => return Err(error),
                Err(_) => {}
            }
            self.blocks.retain(|block| {
                block.as_ref().map_or(true, |block| block.n_rows() > 0 || block.skipped.count > 0)
            });
        }
        let Some(block) = self.blocks.pop_front() else { return Ok(None) };
        match block {
            Ok(mut block) => {
                block.first_row = first_row;
                Ok(Some(block))
            }
            Err(bad) => {
                let Bad { rows_before, line, what, remedy, placed } = bad;
                let file = self.path();
                let file = file.display();
                Err(Error::data(
                    if placed {
                        what
                    } else {
                        format!("{file}, row {} (line {line}): {what}", first_row + rows_before + 1)
                    },
                    remedy,
                ))
            }
        }
    }
}

/// As many pieces as there are threads.
fn cut(cutter: &mut Cutter) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    while pieces.len() < rayon::current_num_threads() {
        match cutter.next()? {
            Some(piece) => pieces.push(piece),
            None => break,
        }
    }
    Ok(pieces)
}

/// The names of a header, each present, none twice, and none too long.
pub(super) fn checked_names(names: &[&str], place: &str) -> Result<Vec<String>> {
    if names.len() > MOST_COLUMNS {
        return Err(Error::data(
            format!(
                "{place}: the table has {}; at most {} can be read",
                counted(names.len(), "column"),
                thousands(MOST_COLUMNS)
            ),
            "leave columns out of the file",
        ));
    }
    let mut first = HashMap::with_capacity(names.len());
    for (position, name) in names.iter().enumerate() {
        let column = thousands(position + 1);
        if name.is_empty() {
            return Err(Error::data(
                format!("{place}: column {column} of {} has no name", thousands(names.len())),
                "give it a name in the header, or remove the column (in pandas: to_csv(…, index=False))",
            ));
        }
        if name.len() > LONGEST_NAME {
            return Err(Error::data(
                format!(
                    "{place}: the name of column {column} has {}, {} …; at most {} can be read",
                    counted(name.len(), "byte"),
                    shown(name),
                    thousands(LONGEST_NAME)
                ),
                "give the column a short name; if that is a row of cells, check the delimiter and the quotes",
            ));
        }
        if let Some(earlier) = first.insert(*name, position) {
            return Err(Error::data(
                format!(
                    "{place}: columns {} and {column} are both named {}",
                    thousands(earlier + 1),
                    shown(name)
                ),
                "give every column a name of its own; if the first line is a row, put a header above it",
            ));
        }
    }
    Ok(names.iter().map(|&name| name.to_owned()).collect())
}

/// The text of bytes of a piece, or which byte is none.
fn checked<'a>(bytes: &'a [u8], piece: &Piece, path: &std::path::Path) -> Result<&'a str> {
    match (bad_bytes(bytes, true).first(), std::str::from_utf8(bytes)) {
        (None, Ok(text)) => Ok(text),
        (at, _) => {
            let (what, remedy) = not_text(bytes, at.copied().unwrap_or_default(), piece, path);
            Err(Error::data(what, remedy))
        }
    }
}

/// The bytes that are zero or not of UTF-8, in order; the first of them is among those of `first_alone`.
fn bad_bytes(bytes: &[u8], first_alone: bool) -> Vec<usize> {
    let most = if first_alone { 1 } else { usize::MAX };
    let mut bad: Vec<usize> = memchr::memchr_iter(0, bytes).take(most).collect();
    let mut start = 0;
    while let Err(error) = std::str::from_utf8(&bytes[start..]) {
        bad.push(start + error.valid_up_to());
        start += error.valid_up_to() + 1;
        if first_alone {
            break;
        }
    }
    bad.sort_unstable();
    bad
}

/// What is wrong with a byte that is not of text, and what to do.
fn not_text(bytes: &[u8], at: usize, piece: &Piece, path: &std::path::Path) -> (String, String) {
    let (file, name) = (path.display(), shell(&path.to_string_lossy()));
    let line = piece.line + memchr::memchr_iter(b'\n', &bytes[..at]).count() as u64;
    let place = format!(
        "line {}, byte {} of the file",
        thousands(line as usize),
        thousands(piece.offset as usize + at + 1)
    );
    if bytes[at] == 0 {
        return (
            format!("{file} is not a text file: {place} is zero"),
            format!("if it only has stray zeros: tr -d '\\000' < {name} > clean.csv"),
        );
    }
    (
        format!("{file} is not UTF-8: {place} is 0x{:02x}", bytes[at]),
        format!("if it is in Latin-1: iconv -f LATIN1 -t UTF-8 {name} > utf8.csv"),
    )
}

/// Reads the records of a piece into columns.
fn parse(
    piece: &Piece,
    names: &[String],
    dialect: Dialect,
    meaning: &Meaning,
    bad_rows: BadRows,
    path: &std::path::Path,
) -> Parsed {
    debug_assert!(piece.bytes.len() <= 2 * LONGEST_RECORD);
    let mut skipped = Skipped::default();
    let mut bytes = Cow::Borrowed(&piece.bytes[..]);
    let bad_bytes = bad_bytes(&bytes, bad_rows == BadRows::Refuse);
    if let (Some(&at), BadRows::Refuse) = (bad_bytes.first(), bad_rows) {
        let (what, remedy) = not_text(&piece.bytes, at, piece, path);
        return Err(Bad { rows_before: 0, line: 0, what, remedy, placed: true });
    }
    for &at in &bad_bytes {
        // The row is left out: what stands in for the byte is never seen.
        bytes.to_mut()[at] = b'?';
    }
    let tokens = Tokens::new(&bytes, dialect, names.len());
    // The bytes have been made valid above.
    let texts = tokens.texts(std::str::from_utf8(&bytes).unwrap_or_default());
    // The first cell of each good row.
    let mut rows: Vec<usize> = Vec::with_capacity(tokens.n_records());
    let mut lines = Vec::with_capacity(tokens.n_records());
    let mut bad_bytes = bad_bytes.into_iter().peekable();
    for record in 0..tokens.n_records() {
        let line = piece.line + u64::from(tokens.line(record));
        let cells = tokens.record(record);
        let end = tokens.stop(record);
        let bad_byte = bad_bytes.peek().is_some_and(|&at| at < end);
        while bad_bytes.next_if(|&at| at < end).is_some() {}
        if cells.len() == names.len() && !bad_byte {
            rows.push(tokens.first_cell(record));
            lines.push(line);
            continue;
        }
        let (what, remedy) = if bad_byte {
            ("a byte that is not of UTF-8, or zero".to_owned(), "")
        } else {
            let breaks = cells.iter().map(|&cell| texts.get(cell).matches('\n').count()).sum::<usize>();
            ragged(cells.len(), names.len(), line, breaks)
        };
        if bad_rows == BadRows::Refuse {
            let remedy = format!("{remedy}; or --bad-rows skip to leave such rows out");
            return Err(Bad { rows_before: rows.len(), line, what, remedy, placed: false });
        }
        skipped.push(SkippedRow { file: path.to_owned(), line, what });
    }
    let new = |_| ColumnBuilder::new(rows.len(), meaning.mark.comma);
    let mut columns: Vec<ColumnBuilder> = names.iter().map(new).collect();
    for start in (0..rows.len()).step_by(STRIP) {
        let end = rows.len().min(start + STRIP);
        for (column, builder) in columns.iter_mut().enumerate() {
            builder.extend(end, |row| meaning.value(texts.get(tokens.cell(rows[row] + column))));
        }
    }
    let named = names.iter().zip(columns);
    let columns = named.map(|(name, column)| RawColumn { name: name.clone(), cells: column.finish() });
    Ok(RawTable {
        source: path.to_owned(),
        skipped,
        columns: columns.collect(),
        n_rows: lines.len(),
        lines,
        mark: meaning.mark,
        files: vec![(0, path.to_owned())],
        ..RawTable::default()
    })
}

/// What is wrong with a record that is not as wide as the header, and what to do.
fn ragged(found: usize, expected: usize, line: u64, breaks: usize) -> (String, &'static str) {
    let mut what = format!("expected {}, found {}", counted(expected, "field"), thousands(found));
    if breaks > 0 {
        let _ = write!(what, "; a quoted cell runs on to line {}", line + breaks as u64);
    }
    let remedy = if breaks > 0 {
        "check where the quotes of this row open and close"
    } else if found > expected {
        "write a cell that holds a delimiter between double quotes"
    } else {
        "add the fields that are missing, or remove the row"
    };
    (what, remedy)
}
