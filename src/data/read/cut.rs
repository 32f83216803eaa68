//! Cuts a stream of text with delimiters at the ends of records, so that the pieces can be read independently.

use super::dialect::Dialect;
use super::input::Input;
use crate::data::words::{counted, thousands};
use crate::{Error, Result};

/// Bytes of a piece, if no record is longer. It does not depend on the machine: pieces are the same everywhere.
const PIECE: usize = 1 << 21;
/// A record may have so many bytes.
pub(super) const LONGEST_RECORD: usize = 1 << 24;

/// Whole records, as they stand in the file.
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// The line of its first byte.
    pub(super) line: u64,
    /// The place of its first byte in the file.
    pub(super) offset: u64,
}

/// Cuts one source.
pub(super) struct Cutter {
    input: Input,
    dialect: Dialect,
    piece: usize,
    /// What is left of the bytes read: the beginning of a record.
    rest: Vec<u8>,
    line: u64,
    offset: u64,
    done: bool,
}

/// How far a piece has been looked through.
#[derive(Default)]
struct Scan {
    at: usize,
    /// Where the quote stands that is open.
    open: Option<usize>,
    lines: u64,
    /// The end of the last whole record, and the lines before it.
    cut: Option<(usize, u64)>,
}

impl Scan {
    /// Looks at all the bytes that can be judged; those after a possible closing quote at the end cannot until
    /// `is_whole`.
    fn go_on(&mut self, bytes: &[u8], dialect: Dialect, is_whole: bool) {
        let Dialect { delimiter, quote, newline, .. } = dialect;
        while let Some(offset) = memchr::memchr2(quote, newline, &bytes[self.at..]) {
            let at = self.at + offset;
            if bytes[at] == newline {
                self.lines += 1;
                if self.open.is_none() {
                    self.cut = Some((at + 1, self.lines));
                }
                self.at = at + 1;
            } else if self.open.is_none() {
                let opens = at == 0 || [delimiter, b'\n', b'\r'].contains(&bytes[at - 1]);
                self.open = opens.then_some(at);
                self.at = at + 1;
            } else if bytes.get(at + 1) == Some(&quote) {
                self.at = at + 2;
            } else if at + 1 == bytes.len() && !is_whole {
                self.at = at;
                return;
            } else {
                self.open = None;
                self.at = at + 1;
            }
        }
        self.at = bytes.len();
    }
}

impl Cutter {
    pub(super) fn new(input: Input, dialect: Dialect) -> Self {
        Self { input, dialect, piece: PIECE, rest: Vec::new(), line: 1, offset: 0, done: false }
    }

    #[cfg(test)]
    pub(super) fn with_pieces_of(mut self, bytes: usize) -> Self {
        self.piece = bytes;
        self
    }

    pub(super) fn into_input(self) -> Input {
        self.input
    }

    pub(super) fn input(&self) -> &Input {
        &self.input
    }

    /// The next whole records; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Piece>> {
        if self.done {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(self.piece + self.rest.len());
        bytes.append(&mut self.rest);
        let mut scan = Scan::default();
        let mut length = self.piece;
        loop {
            let is_whole = self.input.read_up_to(&mut bytes, length)?;
            if self.offset == 0 && scan.at == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
                bytes.drain(..3);
                self.offset = 3;
            }
            scan.go_on(&bytes, self.dialect, is_whole);
            if is_whole {
                if let Some(open) = scan.open {
                    return Err(self.unclosed(&bytes, open, "the end of the file"));
                }
                self.done = true;
                let piece = Piece { bytes, line: self.line, offset: self.offset };
                return Ok((!piece.bytes.is_empty()).then_some(piece));
            }
            if let Some((cut, lines)) = scan.cut {
                self.rest = bytes[cut..].to_vec();
                bytes.truncate(cut);
                let piece = Piece { bytes, line: self.line, offset: self.offset };
                (self.line, self.offset) = (self.line + lines, self.offset + cut as u64);
                return Ok(Some(piece));
            }
            if bytes.len() > LONGEST_RECORD {
                return Err(match scan.open {
                    Some(open) => {
                        self.unclosed(&bytes, open, "the row reaches the most that a row may hold, 16 MiB")
                    }
                    None => self.too_long(),
                });
            }
            length = bytes.len() * 2;
        }
    }

    fn too_long(&self) -> Error {
        Error::data(
            format!(
                "{}: the row on line {} is longer than {}, the most that a row may hold",
                self.input.path().display(),
                self.line,
                counted(LONGEST_RECORD, "byte")
            ),
            "check that the file is a table, and that its lines end as lines do",
        )
    }

    fn unclosed(&self, bytes: &[u8], open: usize, before: &str) -> Error {
        let newline = self.dialect.newline;
        let line_start = memchr::memrchr(newline, &bytes[..open]).map_or(0, |end| end + 1);
        let line = self.line + memchr::memchr_iter(newline, &bytes[..open]).count() as u64;
        let character = String::from_utf8_lossy(&bytes[line_start..open]).chars().count() + 1;
        let quote = self.dialect.quote as char;
        Error::data(
            format!(
                "{}: the quote that opens on line {line}, character {}, is not closed before {before}",
                self.input.path().display(),
                thousands(character)
            ),
            format!("close it, or write a quote inside a quoted cell as {quote}{quote}"),
        )
    }
}
