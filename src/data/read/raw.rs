//! A table, or a block of rows of one, as it stands in a file: named columns of text or of typed numbers.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::bad_rows::Skipped;
use super::dictionary::{Dictionary, MOST_CODED};
use crate::data::cell::{civil_text, finite_decimal};
use crate::data::table::{MISSING, RowIdx};
use crate::data::words::shown;
use crate::{Error, Result};

/// Rows of a table: named columns of cells.
///
/// A block of a table is one of these as well: its rows count from 0, and messages name them by their place in the
/// whole table.
#[derive(Debug, Clone, Default)]
pub struct RawTable {
    /// Where the table came from, as the user named it.
    pub source: PathBuf,
    /// The SHA-256 of the bytes of the files in hexadecimal digits; empty in a block.
    pub sha256: String,
    /// How the files were read, where that is not told by their name: `CSV between ";", decimal comma`.
    pub reading: Option<String>,
    /// The malformed rows that were left out, where that is asked for.
    pub skipped: Skipped,
    pub(super) columns: Vec<RawColumn>,
    /// The line of its file on which each row starts; empty where files have no lines.
    pub(super) lines: Vec<u64>,
    /// The files, each with the first of its rows.
    pub(super) files: Vec<(usize, PathBuf)>,
    pub(super) n_rows: usize,
    pub(super) mark: DecimalMark,
    /// How many rows of the whole table stand before this block.
    pub(super) first_row: usize,
    /// Which rows of another table these are, if not all of a block of it.
    pub(super) selected: Option<Arc<[RowIdx]>>,
}

/// What stands before decimals in the texts of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DecimalMark {
    /// Whether it is a comma.
    pub(crate) comma: bool,
    /// Whether that is not told from the files, but said by the user.
    pub(crate) is_said: bool,
}

/// A short name for what is made of a table: that of its file or folder, without the end that tells the format.
pub fn stem_of(source: &Path) -> String {
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let stem: String = stem.chars().filter(|c| !"*?[]".contains(*c)).collect();
    if stem.is_empty() || stem == "-" { "table".to_owned() } else { stem }
}

/// One column.
#[derive(Debug, Clone)]
pub(super) struct RawColumn {
    pub(super) name: String,
    pub(super) cells: Cells,
}

/// The cells of a column, in the form that holds them best.
#[derive(Debug, Clone)]
pub(crate) enum Cells {
    /// Texts.
    Text(Text),
    /// Texts of which there are few different ones, [`MISSING`] where missing.
    Coded { codes: Vec<u32>, levels: Vec<String> },
    /// Numbers, NaN where missing, perhaps infinite; with the texts that they were read from, or that are printed the
    /// first time that somebody asks for one.
    Numbers { values: Vec<f64>, text: OnceLock<Text> },
    /// Days since 1970-01-01 with the time as a fraction, NaN where missing; texts as of numbers.
    Days { values: Vec<f64>, text: OnceLock<Text> },
    /// Nothing that can be learned from, such as lists; what it is.
    Foreign { what: String },
}

/// Texts end to end without white space around them, where each ends, and which are missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    pub(super) joined: String,
    pub(super) ends: Vec<u32>,
    pub(super) missing: Vec<bool>,
}

impl Text {
    pub(super) fn with_capacity(n_cells: usize) -> Self {
        // Most cells are short.
        Self {
            joined: String::with_capacity(n_cells * 8),
            ends: Vec::with_capacity(n_cells),
            missing: Vec::with_capacity(n_cells),
        }
    }

    /// Puts the texts of cells below these.
    fn append_cells(&mut self, cells: &Cells) {
        let text = match cells {
            Cells::Text(text) => Some(text),
            Cells::Numbers { text, .. } => text.get(),
            _ => None,
        };
        let Some(text) = text else { return cells.for_each(|cell| self.push(cell)) };
        let start = self.joined.len() as u32;
        self.joined.push_str(&text.joined);
        self.ends.extend(text.ends.iter().map(|end| start.wrapping_add(*end)));
        self.missing.extend_from_slice(&text.missing);
    }

    pub(super) fn push(&mut self, cell: Option<&str>) {
        self.joined.push_str(cell.unwrap_or_default());
        // A column too long for this is refused as a whole before it is put together.
        self.ends.push(self.joined.len() as u32);
        self.missing.push(cell.is_none());
    }

    fn get(&self, row: usize) -> Option<&str> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        (!self.missing[row]).then(|| &self.joined[start as usize..self.ends[row] as usize])
    }

    /// Makes the cells missing that are such a word.
    fn hide(&mut self, is_word: impl Fn(&str) -> bool) {
        for row in 0..self.ends.len() {
            let hidden = self.get(row).is_some_and(&is_word);
            self.missing[row] |= hidden;
        }
    }

    fn printed(values: &[f64], print: impl Fn(f64) -> String) -> Self {
        let mut text = Self::default();
        for &x in values {
            text.push((!x.is_nan()).then(|| print(x)).as_deref());
        }
        text
    }
}

impl RawTable {
    /// A table of columns that are known already, without lines or files to name its rows by.
    pub(crate) fn typed(n_rows: usize, columns: Vec<(String, Cells)>) -> Self {
        let columns = columns.into_iter().map(|(name, cells)| RawColumn { name, cells });
        Self { n_rows, columns: columns.collect(), ..Self::default() }
    }

    /// One column of some rows, with nothing of the others; messages go on naming rows by their place in this table.
    ///
    /// # Panics
    /// When there is no such column, or no such row.
    pub(crate) fn select(&self, column: usize, rows: &Arc<[RowIdx]>) -> Self {
        let RawColumn { name, cells } = &self.columns[column];
        let line = |&row: &RowIdx| self.lines.get(row as usize).copied();
        Self {
            source: self.source.clone(),
            columns: vec![RawColumn { name: name.clone(), cells: cells.select(rows) }],
            lines: rows.iter().filter_map(line).collect(),
            files: self.files.clone(),
            n_rows: rows.len(),
            mark: self.mark,
            first_row: self.first_row,
            selected: Some(Arc::clone(rows)),
            ..Self::default()
        }
    }

    /// Whether a cell is missing.
    ///
    /// # Panics
    /// When there is no such cell.
    pub(crate) fn is_missing(&self, row: usize, column: usize) -> bool {
        match &self.columns[column].cells {
            Cells::Numbers { values, .. } | Cells::Days { values, .. } => values[row].is_nan(),
            Cells::Coded { codes, .. } => codes[row] == MISSING,
            Cells::Text(_) | Cells::Foreign { .. } => self.value(row, column).is_none(),
        }
    }

    /// About how many bytes the table takes as text.
    pub(crate) fn text_bytes(&self) -> usize {
        self.columns.iter().map(|column| column.cells.text_bytes()).sum()
    }

    /// A short name for what is made of the table.
    pub fn stem(&self) -> String {
        stem_of(&self.source)
    }

    /// The number of rows below the header.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The number of columns.
    pub fn n_columns(&self) -> usize {
        self.columns.len()
    }

    /// How many rows of the whole table stand before the first of this one, which is a block of it; 0 in a whole table.
    pub fn first_row(&self) -> usize {
        self.first_row
    }

    /// The names of the columns, from left to right.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The name of a column.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn name(&self, column: usize) -> &str {
        &self.columns[column].name
    }

    /// The index of the column of this name.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.names().position(|column| column == name)
    }

    /// What a cell says, without white space around it; nothing if it is missing.
    ///
    /// Of a typed column the texts are printed at the first call; [`RawTable::numbers`] does without.
    ///
    /// # Panics
    /// When there is no such cell.
    pub fn value(&self, row: usize, column: usize) -> Option<&str> {
        match &self.columns[column].cells {
            Cells::Text(text) => text.get(row),
            Cells::Coded { codes, levels } => levels.get(codes[row] as usize).map(String::as_str),
            Cells::Numbers { values, text } => {
                text.get_or_init(|| Text::printed(values, |x| x.to_string())).get(row)
            }
            Cells::Days { values, text } => text.get_or_init(|| Text::printed(values, civil_text)).get(row),
            Cells::Foreign { .. } => None,
        }
    }

    /// [`RawTable::value`] of one cell alone: of a typed column no other text is printed, or kept.
    ///
    /// # Panics
    /// When there is no such cell.
    pub(crate) fn value_alone(&self, row: usize, column: usize) -> Option<Cow<'_, str>> {
        let printed = |x: f64, print: fn(f64) -> String| (!x.is_nan()).then(|| Cow::Owned(print(x)));
        match &self.columns[column].cells {
            Cells::Numbers { values, text } if text.get().is_none() => {
                printed(values[row], |x| x.to_string())
            }
            Cells::Days { values, text } if text.get().is_none() => printed(values[row], civil_text),
            _ => self.value(row, column).map(Cow::Borrowed),
        }
    }

    /// What each cell of a column says, from top to bottom.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn values(&self, column: usize) -> impl ExactSizeIterator<Item = Option<&str>> + Clone {
        (0..self.n_rows()).map(move |row| self.value(row, column))
    }

    /// The numbers of a column whose every cell is a number or missing (NaN); they may be infinite.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn numbers(&self, column: usize) -> Option<&[f64]> {
        match &self.columns[column].cells {
            Cells::Numbers { values, .. } => Some(values),
            _ => None,
        }
    }

    /// [`RawTable::numbers`] of a column that is known to be written with this decimal mark; nothing where the file's is
    /// another, so that the texts are to be read anew. Numbers that never were texts are what they are.
    pub(crate) fn numbers_of(&self, column: usize, decimal_comma: Option<bool>) -> Option<&[f64]> {
        match &self.columns[column].cells {
            Cells::Numbers { values, text } => {
                let is_other = decimal_comma.is_some_and(|comma| comma != self.mark.comma);
                (!is_other || text.get().is_none()).then_some(values)
            }
            _ => None,
        }
    }

    /// Whether a point or comma stands in the texts that the numbers of a column were read from; nothing where there is
    /// no text.
    pub(crate) fn has_marks(&self, column: usize) -> Option<bool> {
        match &self.columns[column].cells {
            Cells::Numbers { text, .. } => {
                Some(memchr::memchr2(b'.', b',', text.get()?.joined.as_bytes()).is_some())
            }
            _ => None,
        }
    }

    /// Whether the cells of a column stand there as texts, be they numbers or not.
    pub(crate) fn has_texts(&self, column: usize) -> bool {
        match &self.columns[column].cells {
            Cells::Text(_) | Cells::Coded { .. } => true,
            Cells::Numbers { text, .. } => text.get().is_some(),
            Cells::Days { .. } | Cells::Foreign { .. } => false,
        }
    }

    /// Whether a comma stands before decimals in the files that the table was read from.
    pub fn decimal_comma(&self) -> bool {
        self.mark.comma
    }

    /// The same, and whether the user says so.
    pub(crate) fn decimal_mark(&self) -> DecimalMark {
        self.mark
    }

    /// The same with another decimal mark, for a table that is put together of texts from a file.
    pub(crate) fn with_decimal_comma(self, decimal_comma: bool) -> Self {
        Self { mark: DecimalMark { comma: decimal_comma, is_said: false }, ..self }
    }

    /// The number that a cell of the table holds, if it is a finite one.
    pub(crate) fn number(&self, cell: &str) -> Option<f64> {
        finite_decimal(cell, self.mark.comma)
    }

    /// The days since 1970-01-01 of a column that its file says to hold dates; NaN where missing.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn days(&self, column: usize) -> Option<&[f64]> {
        match &self.columns[column].cells {
            Cells::Days { values, .. } => Some(values),
            _ => None,
        }
    }

    /// The different texts of a column that has few of them, and of each row which it is ([`MISSING`] where missing).
    ///
    /// # Panics
    /// When there is no such column.
    pub fn codes(&self, column: usize) -> Option<(&[u32], &[String])> {
        match &self.columns[column].cells {
            Cells::Coded { codes, levels } => Some((codes, levels)),
            _ => None,
        }
    }

    /// What a column holds that nothing can be learned from, such as lists.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn foreign(&self, column: usize) -> Option<&str> {
        match &self.columns[column].cells {
            Cells::Foreign { what } => Some(what),
            _ => None,
        }
    }

    /// The line of its file on which a row starts, the header's being 1; none in files without lines.
    pub fn line(&self, row: usize) -> Option<u64> {
        self.lines.get(row).copied()
    }

    /// The file of a row; none in a table of columns that were made.
    pub fn file(&self, row: usize) -> Option<&PathBuf> {
        let next = self.files.partition_point(|(first, _)| *first <= row);
        self.files.get(next.checked_sub(1)?).map(|(_, file)| file)
    }

    /// A row as messages name it: `row 812 (line 815)`; the first row is row 1.
    pub(crate) fn row_place(&self, row: usize) -> String {
        let line = self.line(row);
        let row = self.selected.as_ref().map_or(row, |rows| rows[row] as usize);
        let mut place = format!("row {}", self.first_row + row + 1);
        let file = self.file(row).filter(|_| self.files.len() > 1).map(|file| file.display().to_string());
        let line = line.map(|line| format!("line {line}"));
        match (line, file) {
            (None, None) => {}
            (Some(one), None) | (None, Some(one)) => {
                let _ = write!(place, " ({one})");
            }
            (Some(line), Some(file)) => {
                let _ = write!(place, " ({line} of {file})");
            }
        }
        place
    }

    /// A cell's place as messages name it: ``row 812 (line 815), column `bmi` ``.
    pub(crate) fn place(&self, row: usize, column: usize) -> String {
        format!("{}, column {}", self.row_place(row), shown(self.name(column)))
    }

    /// Brings the columns into this order of names.
    pub(super) fn order_like(&mut self, names: &[String]) {
        let place = |column: &RawColumn| names.iter().position(|name| *name == column.name);
        self.columns.sort_by_cached_key(place);
    }

    /// Makes the cells of a column missing that say one of these words; of a typed column, those that are such a number.
    pub(super) fn set_missing(&mut self, name: &str, words: &[String]) {
        let Some(column) = self.column_index(name) else { return };
        let is_word = |text: &str| words.iter().any(|word| word.trim() == text);
        let numbers: Vec<f64> = words.iter().filter_map(|word| self.number(word.trim())).collect();
        match &mut self.columns[column].cells {
            Cells::Text(text) => text.hide(is_word),
            Cells::Coded { codes, levels } => {
                let hidden: Vec<bool> = levels.iter().map(|level| is_word(level)).collect();
                for code in codes {
                    if hidden.get(*code as usize) == Some(&true) {
                        *code = MISSING;
                    }
                }
            }
            Cells::Numbers { values, text } => {
                if let Some(text) = text.get_mut() {
                    text.hide(is_word);
                    for (x, &missing) in values.iter_mut().zip(&text.missing) {
                        *x = if missing { f64::NAN } else { *x };
                    }
                } else {
                    for x in values.iter_mut().filter(|x| numbers.contains(x)) {
                        *x = f64::NAN;
                    }
                }
            }
            Cells::Days { values, .. } => {
                for x in values.iter_mut().filter(|x| !x.is_nan() && is_word(&civil_text(**x))) {
                    *x = f64::NAN;
                }
            }
            Cells::Foreign { .. } => {}
        }
    }

    /// Puts the rows of a block with the same columns below these, the columns in parallel.
    pub(super) fn append(&mut self, block: Self) -> Result<()> {
        for (first, file) in block.files {
            if self.files.last().is_none_or(|(_, last)| *last != file) {
                self.files.push((self.n_rows + first, file));
            }
        }
        self.n_rows += block.n_rows;
        self.lines.extend(block.lines);
        let columns = self.columns.par_iter_mut().zip(block.columns);
        let appended: Vec<Result<()>> = columns.map(|(column, more)| column.append(more.cells)).collect();
        appended.into_iter().collect()
    }
}

impl RawColumn {
    fn append(&mut self, more: Cells) -> Result<()> {
        self.cells.append(more);
        let text = match &self.cells {
            Cells::Text(text) => Some(text),
            Cells::Numbers { text, .. } => text.get(),
            _ => None,
        };
        if text.is_some_and(|text| u32::try_from(text.joined.len()).is_err()) {
            return Err(Error::data(
                format!(
                    "column {} holds more than 4 GiB of text, the most that can be read at once",
                    shown(&self.name)
                ),
                "leave this column out of the file, or split the file",
            ));
        }
        Ok(())
    }
}

impl Cells {
    pub(crate) fn numbers(values: Vec<f64>) -> Self {
        Self::Numbers { values, text: OnceLock::new() }
    }

    pub(crate) fn days(values: Vec<f64>) -> Self {
        Self::Days { values, text: OnceLock::new() }
    }

    /// The cells of these rows.
    fn select(&self, rows: &[RowIdx]) -> Self {
        let of = |values: &[f64]| rows.iter().map(|&row| values[row as usize]).collect::<Vec<_>>();
        let texts = |text: &Text| {
            let mut of_rows = Text::with_capacity(rows.len());
            rows.iter().for_each(|&row| of_rows.push(text.get(row as usize)));
            of_rows
        };
        let kept = |text: &OnceLock<Text>| text.get().map_or_else(OnceLock::new, |text| texts(text).into());
        match self {
            Self::Text(text) => Self::Text(texts(text)),
            Self::Coded { codes, levels } => Self::Coded {
                codes: rows.iter().map(|&row| codes[row as usize]).collect(),
                levels: levels.clone(),
            },
            Self::Numbers { values, text } => Self::Numbers { values: of(values), text: kept(text) },
            Self::Days { values, text } => Self::Days { values: of(values), text: kept(text) },
            Self::Foreign { what } => Self::Foreign { what: what.clone() },
        }
    }

    /// Bytes of the cells as text, with a delimiter each.
    fn text_bytes(&self) -> usize {
        const NUMBER: usize = 8;
        match self {
            Self::Text(text) => text.joined.len() + text.ends.len(),
            Self::Coded { codes, levels } => {
                let length = |code: &u32| levels.get(*code as usize).map_or(0, String::len) + 1;
                codes.iter().map(length).sum()
            }
            Self::Numbers { values, text } | Self::Days { values, text } => {
                text.get().map_or(values.len() * NUMBER, |text| text.joined.len() + text.ends.len())
            }
            Self::Foreign { .. } => 0,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.ends.len(),
            Self::Coded { codes, .. } => codes.len(),
            Self::Numbers { values, .. } | Self::Days { values, .. } => values.len(),
            Self::Foreign { .. } => 0,
        }
    }

    /// Whether every cell is missing, so that they go with any form.
    fn is_blank(&self) -> bool {
        matches!(self, Self::Numbers { values, .. } if values.iter().all(|x| x.is_nan()))
    }

    /// Puts more cells below these: numbers, days and codes stay what they are where all are alike or missing, else they
    /// become texts.
    fn append(&mut self, more: Self) {
        match (&mut *self, &more) {
            (Self::Foreign { .. }, _) => return,
            (_, Self::Foreign { .. }) => {
                *self = more;
                return;
            }
            (Self::Numbers { values, text }, Self::Numbers { values: of_more, text: text_of_more }) => {
                if text.get().is_some() || text_of_more.get().is_some() {
                    text.get_or_init(|| Text::printed(values, |x| x.to_string()));
                    text.get_mut().into_iter().for_each(|text| text.append_cells(&more));
                }
                values.extend_from_slice(of_more);
                return;
            }
            (Self::Days { values, .. }, Self::Days { values: of_more, .. }) => {
                values.extend_from_slice(of_more);
                return;
            }
            (Self::Coded { codes, levels }, Self::Coded { codes: of_more, levels: names }) => {
                let mut dictionary = Dictionary::of(std::mem::take(levels), MOST_CODED);
                let to = names.iter().map(|name| dictionary.code(name)).collect::<Option<Vec<u32>>>();
                *levels = dictionary.into_levels();
                if let Some(to) = to {
                    codes.extend(of_more.iter().map(|&c| to.get(c as usize).copied().unwrap_or(MISSING)));
                    return;
                }
            }
            (Self::Days { values, .. }, blank) if blank.is_blank() => {
                values.resize(values.len() + blank.len(), f64::NAN);
                return;
            }
            (Self::Coded { codes, .. }, blank) if blank.is_blank() => {
                codes.resize(codes.len() + blank.len(), MISSING);
                return;
            }
            _ => {}
        }
        if self.is_blank() {
            let n_before = self.len();
            *self = more;
            match self {
                Self::Days { values, .. } => {
                    values.splice(..0, std::iter::repeat_n(f64::NAN, n_before));
                }
                Self::Coded { codes, .. } => {
                    codes.splice(..0, std::iter::repeat_n(MISSING, n_before));
                }
                Self::Text(text) => {
                    text.ends.splice(..0, std::iter::repeat_n(0, n_before));
                    text.missing.splice(..0, std::iter::repeat_n(true, n_before));
                }
                Self::Numbers { .. } | Self::Foreign { .. } => {}
            }
            return;
        }
        if !matches!(self, Self::Text(_)) {
            let mut text = Text::with_capacity(self.len());
            text.append_cells(self);
            *self = Self::Text(text);
        }
        if let Self::Text(text) = self {
            text.append_cells(&more);
        }
    }

    /// The texts of the cells, in order.
    fn for_each(&self, mut take: impl FnMut(Option<&str>)) {
        match self {
            Self::Text(text) => (0..text.ends.len()).for_each(|row| take(text.get(row))),
            Self::Coded { codes, levels } => {
                codes.iter().for_each(|&code| take(levels.get(code as usize).map(String::as_str)));
            }
            Self::Numbers { values, text } => match text.get() {
                Some(text) => (0..text.ends.len()).for_each(|row| take(text.get(row))),
                None => values.iter().for_each(|x| take((!x.is_nan()).then(|| x.to_string()).as_deref())),
            },
            Self::Days { values, .. } => {
                values.iter().for_each(|&x| take((!x.is_nan()).then(|| civil_text(x)).as_deref()));
            }
            Self::Foreign { .. } => {}
        }
    }
}
