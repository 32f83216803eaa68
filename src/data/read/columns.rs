//! Columns out of texts: as numbers where all of them are, as codes where few differ, else as they stand.

use std::sync::OnceLock;

use super::ReadOptions;
use super::dictionary::{Dictionary, MOST_CODED};
use super::raw::{Cells, DecimalMark, Text};
use crate::data::cell::{NullWords, Numeric, decimal_number};
use crate::data::table::MISSING;

/// How the texts of a file are to be understood.
#[derive(Debug, Clone)]
pub(super) struct Meaning {
    pub(super) nulls: NullWords,
    pub(super) mark: DecimalMark,
}

impl Meaning {
    pub(super) fn new(options: &ReadOptions, decimal_comma: bool) -> Self {
        let mark = DecimalMark { comma: decimal_comma, is_said: options.decimal_comma.is_some() };
        Self { nulls: NullWords::new(&options.null_words), mark }
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
    let mut column = ColumnBuilder::new(cells.len(), decimal_comma);
    column.extend(cells.len(), |row| cells[row]);
    column.finish()
}

/// A column that grows from its first cell to its last: of numbers as long as every cell is one, then of codes as long as
/// few texts differ, then of texts.
pub(super) struct ColumnBuilder {
    /// Cells that there will be.
    n_cells: usize,
    decimal_comma: bool,
    cells: Cells,
    /// The texts of the codes, as long as they are codes.
    levels: Dictionary,
}

impl ColumnBuilder {
    pub(super) fn new(n_cells: usize, decimal_comma: bool) -> Self {
        let values = Vec::with_capacity(n_cells);
        let cells = Cells::Numbers { values, text: OnceLock::from(Text::with_capacity(n_cells)) };
        let levels = Dictionary::new(MOST_CODED.min(n_cells / 4 + 16));
        Self { n_cells, decimal_comma, cells, levels }
    }

    /// Adds the cells up to the one with the number `to`. `cell` says what each from the first on is: they are gone
    /// through again where one does not fit the others.
    pub(super) fn extend<'a>(&mut self, to: usize, cell: impl Fn(usize) -> Option<&'a str>) {
        if !self.extend_numbers(to, &cell) {
            let codes = Vec::with_capacity(self.n_cells);
            self.cells = Cells::Coded { codes, levels: Vec::new() };
        }
        if !self.extend_codes(to, &cell) {
            self.cells = Cells::Text(Text::with_capacity(self.n_cells));
        }
        if let Cells::Text(text) = &mut self.cells {
            (text.ends.len()..to).for_each(|row| text.push(cell(row)));
        }
    }

    /// Whether the cells are all numbers, if this is a column of numbers.
    fn extend_numbers<'a>(&mut self, to: usize, cell: &impl Fn(usize) -> Option<&'a str>) -> bool {
        let Cells::Numbers { values, text } = &mut self.cells else { return true };
        let Some(text) = text.get_mut() else { return true };
        for row in values.len()..to {
            let cell = cell(row);
            values.push(match cell {
                None => f64::NAN,
                Some(cell) => match decimal_number(cell, self.decimal_comma) {
                    Numeric::Finite(x) => x,
                    Numeric::NotFinite if cell.starts_with('-') => f64::NEG_INFINITY,
                    Numeric::NotFinite => f64::INFINITY,
                    Numeric::Not => return false,
                },
            });
            text.push(cell);
        }
        true
    }

    /// Whether few enough texts differ, if this is a column of codes.
    fn extend_codes<'a>(&mut self, to: usize, cell: &impl Fn(usize) -> Option<&'a str>) -> bool {
        let Cells::Coded { codes, .. } = &mut self.cells else { return true };
        for row in codes.len()..to {
            codes.push(match cell(row) {
                None => MISSING,
                Some(cell) => match self.levels.code(cell) {
                    Some(code) => code,
                    None => return false,
                },
            });
        }
        true
    }

    pub(super) fn finish(self) -> Cells {
        match self.cells {
            // What nobody will ask for need not be kept: no text is written but in one way.
            Cells::Numbers { values, .. } if values.iter().all(|x| x.is_nan()) => Cells::numbers(values),
            Cells::Coded { codes, .. } => Cells::Coded { codes, levels: self.levels.into_levels() },
            cells => cells,
        }
    }
}
