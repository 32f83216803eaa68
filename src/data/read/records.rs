//! Where cells and records begin and end in text with delimiters.
//!
//! A quote opens a cell only as its first byte; inside, a doubled quote is one of the text. Records end at LF, CR or
//! both; empty lines are passed over (RFC 4180, and what the `csv` crate and Python's `csv` read alike).

use super::dialect::Dialect;

/// One cell: from which byte to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    start: u32,
    end: u32,
}

/// Set in [`Cell::end`] where the bytes are those of [`Tokens::resolved`].
const RESOLVED: u32 = 1 << 31;

/// The cells of a piece of text, record by record.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    cells: Vec<Cell>,
    /// Where each record ends among the cells.
    ends: Vec<u32>,
    /// Lines before each record within the piece.
    lines: Vec<u32>,
    /// The byte after each record.
    stops: Vec<u32>,
    /// The bytes of cells that are not as they stand in the piece: doubled quotes made one.
    resolved: Vec<u8>,
    quote: u8,
}

impl Tokens {
    /// The records of a piece that begins with a record; `wide` is how many cells one is expected to have.
    pub(super) fn new(bytes: &[u8], dialect: Dialect, wide: usize) -> Self {
        Self::up_to(bytes, dialect, wide, usize::MAX).0
    }

    /// The first record alone.
    pub(super) fn first(bytes: &[u8], dialect: Dialect) -> Self {
        Self::up_to(bytes, dialect, 8, 1).0
    }

    /// The first records of a sample, without the last where the sample may have cut it.
    pub(super) fn of_sample(sample: &[u8], dialect: Dialect, most: usize, is_whole: bool) -> Self {
        let (mut tokens, stopped) = Self::up_to(sample, dialect, 8, most);
        if !is_whole && !stopped && tokens.ends.len() > 1 {
            tokens.ends.pop();
        }
        tokens
    }

    fn up_to(bytes: &[u8], dialect: Dialect, wide: usize, most: usize) -> (Self, bool) {
        let Dialect { delimiter, quote, newline, .. } = dialect;
        let mut stops = [false; 256];
        for byte in [delimiter, b'\n', b'\r'] {
            stops[usize::from(byte)] = true;
        }
        let guess = bytes.len() / 8;
        let mut tokens = Self {
            cells: Vec::with_capacity(guess),
            ends: Vec::with_capacity(guess / wide.max(1)),
            lines: Vec::with_capacity(guess / wide.max(1)),
            stops: Vec::with_capacity(guess / wide.max(1)),
            resolved: Vec::new(),
            quote,
        };
        let (mut at, mut line) = (0, 0u32);
        while at < bytes.len() {
            if matches!(bytes[at], b'\n' | b'\r') {
                line += u32::from(bytes[at] == newline);
                at += 1;
                continue;
            }
            if tokens.ends.len() >= most {
                return (tokens, true);
            }
            tokens.lines.push(line);
            loop {
                if bytes.get(at) == Some(&quote) {
                    at = tokens.quoted(bytes, at, &stops, newline, &mut line);
                } else {
                    let start = at;
                    while at < bytes.len() && !stops[usize::from(bytes[at])] {
                        at += 1;
                    }
                    tokens.cells.push(Cell { start: start as u32, end: at as u32 });
                }
                if bytes.get(at) != Some(&delimiter) {
                    break;
                }
                at += 1;
            }
            tokens.ends.push(tokens.cells.len() as u32);
            tokens.stops.push(at as u32);
        }
        (tokens, false)
    }

    /// Adds the cell whose quote opens at `open`; where it ends.
    fn quoted(
        &mut self,
        bytes: &[u8],
        open: usize,
        stops: &[bool; 256],
        newline: u8,
        line: &mut u32,
    ) -> usize {
        let mut at = open + 1;
        let mut doubled = false;
        loop {
            match memchr::memchr2(self.quote, newline, &bytes[at..]) {
                // A quote that nothing closes ends with the piece; the cutter has refused it already.
                None => {
                    self.cells.push(Cell { start: (open + 1) as u32, end: bytes.len() as u32 });
                    return bytes.len();
                }
                Some(offset) if bytes[at + offset] == newline && newline != self.quote => {
                    *line += 1;
                    at += offset + 1;
                }
                Some(offset) => {
                    at += offset + 1;
                    if bytes.get(at) != Some(&self.quote) {
                        break;
                    }
                    doubled = true;
                    at += 1;
                }
            }
        }
        let closed = at - 1;
        let bare = at;
        while at < bytes.len() && !stops[usize::from(bytes[at])] {
            at += 1;
        }
        if !doubled && bare == at {
            self.cells.push(Cell { start: (open + 1) as u32, end: closed as u32 });
            return at;
        }
        let start = self.resolved.len() as u32;
        let mut inside = bytes[open + 1..closed].iter();
        while let Some(&byte) = inside.next() {
            self.resolved.push(byte);
            if byte == self.quote {
                inside.next();
            }
        }
        self.resolved.extend_from_slice(&bytes[bare..at]);
        self.cells.push(Cell { start, end: self.resolved.len() as u32 | RESOLVED });
        at
    }

    pub(super) fn n_records(&self) -> usize {
        self.ends.len()
    }

    /// Lines before a record within the piece.
    pub(super) fn line(&self, record: usize) -> u32 {
        self.lines[record]
    }

    /// The byte of the piece after a record.
    pub(super) fn stop(&self, record: usize) -> usize {
        self.stops[record] as usize
    }

    /// The cells of a record.
    pub(super) fn record(&self, record: usize) -> &[Cell] {
        &self.cells[self.first_cell(record)..self.ends[record] as usize]
    }

    /// The place of the first cell of a record among those of the piece.
    pub(super) fn first_cell(&self, record: usize) -> usize {
        if record == 0 { 0 } else { self.ends[record - 1] as usize }
    }

    /// The cell at a place among those of the piece.
    #[inline]
    pub(super) fn cell(&self, place: usize) -> Cell {
        self.cells[place]
    }

    /// The records from first to last.
    pub(super) fn records(&self) -> impl Iterator<Item = &[Cell]> {
        (0..self.n_records()).map(|record| self.record(record))
    }

    /// Whether every cell of a record stands in quotes.
    pub(super) fn is_quoted(&self, record: usize, bytes: &[u8]) -> bool {
        let is_quoted = |cell: &Cell| {
            let start = cell.start as usize;
            cell.end & RESOLVED != 0 || (start > 0 && bytes.get(start - 1) == Some(&self.quote))
        };
        self.record(record).iter().all(is_quoted)
    }

    /// The bytes of a cell of this piece.
    pub(super) fn bytes<'a>(&'a self, cell: Cell, piece: &'a [u8]) -> &'a [u8] {
        let from = if cell.end & RESOLVED == 0 { piece } else { &self.resolved };
        &from[cell.start as usize..(cell.end & !RESOLVED) as usize]
    }

    /// The texts of the cells of this piece, which is valid UTF-8.
    pub(super) fn texts<'a>(&'a self, piece: &'a str) -> Texts<'a> {
        // Cells of valid UTF-8 are cut at ASCII bytes only, so that they are valid themselves.
        Texts { piece, resolved: std::str::from_utf8(&self.resolved).unwrap_or_default() }
    }
}

/// The texts that cells are cut from.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    piece: &'a str,
    resolved: &'a str,
}

impl<'a> Texts<'a> {
    #[inline]
    pub(super) fn get(self, cell: Cell) -> &'a str {
        let from = if cell.end & RESOLVED == 0 { self.piece } else { self.resolved };
        &from[cell.start as usize..(cell.end & !RESOLVED) as usize]
    }
}
