//! How a file of text with delimiters is written: what stands between cells and around them, and the decimal mark.

use super::records::Tokens;
use crate::data::cell_format::bare;

/// The delimiters that are told apart, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Records that are looked at to tell.
const RECORDS: usize = 1_000;

/// How a file of text with delimiters is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    /// What lines are counted by: LF, or CR in files that have no LF.
    pub(super) newline: u8,
    /// Whether a comma stands before the decimals.
    pub(super) decimal_comma: bool,
}

/// What the user says of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) delimiter: Option<u8>,
    pub(super) quote: Option<u8>,
    pub(super) decimal_comma: Option<bool>,
    /// What to take where the user does not say it and the file does not show it.
    pub(super) usual_comma: Option<bool>,
}

/// The dialect of a file that starts with `sample`, and whether a comma stands before decimals where the file shows it or
/// the user says it; `is_tsv` where its name says tabs.
///
/// The delimiter is the one that cuts most records into as many cells as the header, two or more; among equals the one
/// that makes more cells. The quote is `"`, unless `'` makes the records fit better, or stands around every name.
pub(super) fn detect(sample: &[u8], is_whole: bool, is_tsv: bool, wanted: Wanted) -> (Dialect, Option<bool>) {
    let sample = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample);
    let newline =
        if memchr::memchr(b'\n', sample).is_none() && sample.contains(&b'\r') { b'\r' } else { b'\n' };
    // Where `"` stands, it is the quote, and `'` a letter.
    let quotes = if sample.contains(&b'"') { vec![b'"'] } else { vec![b'"', b'\''] };
    let mut dialect = Dialect { delimiter: b',', quote: b'"', newline, decimal_comma: false };
    let mut best = None;
    for delimiter in wanted.delimiter.map_or(DELIMITERS.to_vec(), |d| vec![d]) {
        for quote in wanted.quote.map_or(quotes.clone(), |q| vec![q]) {
            let candidate = Dialect { delimiter, quote, ..dialect };
            let mut fit = Fit::of(sample, is_whole, candidate);
            if is_tsv && delimiter == b'\t' {
                fit.share += 0.1;
            }
            // One column fits everything: it only stands where nothing else does.
            let rank = (fit.n_cells > 1, fit.share, quote == b'\'' && fit.quoted_names, fit.n_cells);
            if best.is_none_or(|best| rank > best) {
                (best, dialect) = (Some(rank), candidate);
            }
        }
    }
    let marks = Marks::of(sample, is_whole, dialect);
    let shown = wanted.decimal_comma.or_else(|| marks.comma());
    dialect.decimal_comma = shown.or(wanted.usual_comma).unwrap_or_else(|| marks.perhaps_comma(dialect));
    (dialect, shown)
}

/// How well a dialect fits.
struct Fit {
    /// The share of records that are as wide as the header.
    share: f64,
    n_cells: usize,
    /// Whether every name of the header stands in quotes.
    quoted_names: bool,
}

impl Fit {
    fn of(sample: &[u8], is_whole: bool, dialect: Dialect) -> Self {
        let tokens = Tokens::of_sample(sample, dialect, RECORDS, is_whole);
        let mut records = tokens.records();
        let Some(header) = records.next() else {
            return Self { share: 0.0, n_cells: 0, quoted_names: false };
        };
        let n_cells = header.len();
        let (mut n, mut same) = (0, 0);
        for record in records {
            n += 1;
            same += usize::from(record.len() == n_cells);
        }
        let share = if n == 0 { 1.0 } else { f64::from(same as u32) / f64::from(n) };
        Self { share, n_cells, quoted_names: tokens.is_quoted(0, sample) }
    }
}

/// Which decimal mark the cells of a file show.
#[derive(Debug, Default)]
struct Marks {
    /// Cells such as `3.5` or `1,234.5`, of which only the point can stand before decimals; and such as `3,5`.
    point: usize,
    comma: usize,
    /// Cells such as `1,234`, which may be thousands or have three decimals.
    perhaps_comma: usize,
}

impl Marks {
    fn of(sample: &[u8], is_whole: bool, dialect: Dialect) -> Self {
        let tokens = Tokens::of_sample(sample, dialect, RECORDS, is_whole);
        let mut marks = Self::default();
        for &cell in tokens.records().skip(1).flatten() {
            let cell = String::from_utf8_lossy(tokens.bytes(cell, sample));
            marks.add(bare(&cell).as_bytes());
        }
        marks
    }

    fn add(&mut self, cell: &[u8]) {
        let Some(first) = cell.iter().position(|b| !b.is_ascii_digit()) else { return };
        let last = cell.iter().rposition(|b| !b.is_ascii_digit()).unwrap_or(first);
        let (mark, behind) = (cell[last], cell.len() - last - 1);
        if first == 0 || behind == 0 || !matches!(mark, b'.' | b',') {
            return;
        }
        let is_comma = mark == b',';
        if first == last {
            // No thousands stand behind more than three digits, or a 0.
            match (behind == 3 && first <= 3 && cell[0] != b'0', is_comma) {
                (true, true) => self.perhaps_comma += 1,
                (true, false) => {}
                (false, true) => self.comma += 1,
                (false, false) => self.point += 1,
            }
            return;
        }
        let mut groups = cell[..last].split(|&b| b == cell[first]);
        let starts = groups.next().is_some_and(|group| group.len() <= 3 && group[0] != b'0');
        let n = groups.clone().count();
        if !starts || !groups.all(|group| group.len() == 3 && group.iter().all(u8::is_ascii_digit)) {
            return;
        }
        match (cell[first], is_comma) {
            (b'.', true) => self.comma += 1,
            (b',', false) => self.point += 1,
            // Thousands alone; of more groups of a point than these many a cell is an address of a network.
            (b'.', false) if behind == 3 && n == 1 => self.comma += 1,
            (b',', true) if behind == 3 => self.point += 1,
            _ => {}
        }
    }

    /// Whether a comma stands before decimals, where all cells that show it agree.
    fn comma(&self) -> Option<bool> {
        (self.comma > 0 || self.point > 0)
            .then_some(self.comma > 0)
            .filter(|_| self.comma == 0 || self.point == 0)
    }

    /// The same where nothing shows it: where all commas could be those of thousands, only `;` between cells, as written
    /// where the comma is the decimal mark, makes it one.
    fn perhaps_comma(&self, dialect: Dialect) -> bool {
        self.point == 0 && self.perhaps_comma > 0 && dialect.delimiter == b';'
    }
}
