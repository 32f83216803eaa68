//! Columns out of texts: as numbers where all of them are, as codes where few differ, else as they stand.

use std::sync::OnceLock;

use super::ReadOptions;
use super::dictionary::{Dictionary, MOST_CODED};
use super::raw::{Cells, Text};
use crate::data::cell::{NullWords, Numeric, decimal_number};
use crate::data::table::MISSING;

/// How the texts of a file are to be understood.
#[derive(Debug, Clone)]
pub(super) struct Meaning {
    pub(super) nulls: NullWords,
    pub(super) decimal_comma: bool,
}

impl Meaning {
    pub(super) fn new(options: &ReadOptions, decimal_comma: bool) -> Self {
        Self { nulls: NullWords::new(&options.null_words), decimal_comma }
    }

    /// What a cell says, without white space around it; nothing if it is one of the null words.
    #[inline]
    pub(super) fn value<'a>(&self, cell: &'a str) -> Option<&'a str> {
        // White space that is not ASCII starts with a byte of 0x80 or more.
        let is_bare = |byte: Option<&u8>| byte.is_none_or(|b| (b'!'..0x7f).contains(b));
        let bytes = cell.as_bytes();
        let trimmed = if is_bare(bytes.first()) && is_bare(bytes.last()) { cell } else { cell.trim() };
        (!self.nulls.contains(trimmed)).then_some(trimmed)
    }
}

/// The column that these cells make, none of them with white space around it, and nothing where missing.
pub(super) fn cells_of(cells: &[Option<&str>], decimal_comma: bool) -> Cells {
    let numbers = numbers(cells, decimal_comma);
    numbers.or_else(|| codes(cells)).unwrap_or_else(|| Cells::Text(text(cells)))
}

fn numbers(cells: &[Option<&str>], decimal_comma: bool) -> Option<Cells> {
    let mut values = Vec::with_capacity(cells.len());
    for cell in cells {
        values.push(match cell {
            None => f64::NAN,
            Some(cell) => match decimal_number(cell, decimal_comma) {
                Numeric::Finite(x) => x,
                Numeric::NotFinite if cell.starts_with('-') => f64::NEG_INFINITY,
                Numeric::NotFinite => f64::INFINITY,
                Numeric::Not => return None,
            },
        });
    }
    // What nobody will ask for need not be kept: no text is written but in one way.
    let blank = cells.iter().all(Option::is_none);
    let text = if blank { OnceLock::new() } else { OnceLock::from(text(cells)) };
    Some(Cells::Numbers { values, text })
}

fn codes(cells: &[Option<&str>]) -> Option<Cells> {
    let mut dictionary = Dictionary::new(MOST_CODED.min(cells.len() / 4 + 16));
    let mut codes = Vec::with_capacity(cells.len());
    for cell in cells {
        codes.push(match cell {
            None => MISSING,
            Some(cell) => dictionary.code(cell)?,
        });
    }
    Some(Cells::Coded { codes, levels: dictionary.into_levels() })
}

fn text(cells: &[Option<&str>]) -> Text {
    let length = cells.iter().flatten().map(|cell| cell.len()).sum();
    let mut text = Text {
        joined: String::with_capacity(length),
        ends: Vec::with_capacity(cells.len()),
        missing: Vec::with_capacity(cells.len()),
    };
    cells.iter().for_each(|cell| text.push(*cell));
    text
}
