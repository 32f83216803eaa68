//! How a file of text with delimiters is written: what stands between cells and around them, and the decimal mark.

use super::records::Tokens;

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
}

/// The dialect of a file that starts with `sample`; `is_tsv` where its name says tabs.
///
/// The delimiter is the one that cuts most records into as many cells as the header, two or more; among equals the one
/// that makes more cells. The quote is `"`, unless `'` makes the records fit better, or stands around every name.
pub(super) fn detect(sample: &[u8], is_whole: bool, is_tsv: bool, wanted: Wanted) -> Dialect {
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
    dialect.decimal_comma =
        wanted.decimal_comma.unwrap_or_else(|| has_decimal_commas(sample, is_whole, dialect));
    dialect
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

/// Whether cells such as `3,5` stand in a file, and none such as `3.5`.
///
/// `1,234` may mean thousands: where every comma stands before three digits, only `;` between cells, as written where
/// the comma is the decimal mark, makes it one.
fn has_decimal_commas(sample: &[u8], is_whole: bool, dialect: Dialect) -> bool {
    let tokens = Tokens::of_sample(sample, dialect, RECORDS, is_whole);
    let (mut clear, mut unclear) = (0, 0);
    for &cell in tokens.records().skip(1).flatten() {
        let cell = tokens.bytes(cell, sample).trim_ascii();
        let digits = cell.strip_prefix(b"-").unwrap_or(cell);
        let Some(mark) = digits.iter().position(|b| !b.is_ascii_digit()) else { continue };
        let decimals = &digits[mark + 1..];
        let exact = mark > 0 && !decimals.is_empty() && decimals.iter().all(u8::is_ascii_digit);
        match digits[mark] {
            b'.' if exact => return false,
            b',' if exact && (decimals.len() != 3 || mark > 3 || digits[0] == b'0') => clear += 1,
            b',' if exact => unclear += 1,
            _ => {}
        }
    }
    clear > 0 || (unclear > 0 && dialect.delimiter == b';')
}
