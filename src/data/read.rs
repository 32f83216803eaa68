//! Reads a CSV file into columns of text, in one pass, and says exactly where a file is broken.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::cell::{DEFAULT_NULL_WORDS, NullWords};
use super::words::{counted, listed, shell, shown, thousands};
use crate::error::nearest;
use crate::{Error, Result};

/// How a file is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// The words that count as missing; white space around them does not matter, case does.
    pub null_words: Vec<String>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { null_words: DEFAULT_NULL_WORDS.map(str::to_owned).to_vec() }
    }
}

/// A table as it stands in a file: named columns of text cells.
#[derive(Debug, Clone)]
pub struct RawTable {
    /// Where the table came from.
    pub source: PathBuf,
    /// The SHA-256 of the file's bytes, in hexadecimal digits.
    pub sha256: String,
    columns: Vec<RawColumn>,
    /// The line of the file on which each row starts.
    lines: Vec<u64>,
    nulls: NullWords,
}

/// One column: the text of all its cells end to end, and where each ends.
#[derive(Debug, Clone)]
struct RawColumn {
    name: String,
    text: String,
    ends: Vec<u32>,
}

impl RawTable {
    /// The number of rows below the header.
    pub fn n_rows(&self) -> usize {
        self.lines.len()
    }

    /// The number of columns.
    pub fn n_columns(&self) -> usize {
        self.columns.len()
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

    /// A cell exactly as the file has it, quotes resolved.
    ///
    /// # Panics
    /// When there is no such cell.
    pub fn cell(&self, row: usize, column: usize) -> &str {
        let RawColumn { text, ends, .. } = &self.columns[column];
        let start = if row == 0 { 0 } else { ends[row - 1] };
        &text[start as usize..ends[row] as usize]
    }

    /// What a cell says, without white space around it; nothing if it is one of the null words.
    ///
    /// # Panics
    /// When there is no such cell.
    pub fn value(&self, row: usize, column: usize) -> Option<&str> {
        let trimmed = self.cell(row, column).trim();
        (!self.nulls.contains(trimmed)).then_some(trimmed)
    }

    /// What each cell of a column says, from top to bottom.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn values(&self, column: usize) -> impl ExactSizeIterator<Item = Option<&str>> {
        (0..self.n_rows()).map(move |row| self.value(row, column))
    }

    /// The line of the file on which a row starts, the header's being 1.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn line(&self, row: usize) -> u64 {
        self.lines[row]
    }

    /// A row as messages name it: `row 812 (line 815)`; the first row is row 1.
    pub(crate) fn row_place(&self, row: usize) -> String {
        format!("row {} (line {})", row + 1, self.line(row))
    }

    /// A cell's place as messages name it: ``row 812 (line 815), column `bmi` ``.
    pub(crate) fn place(&self, row: usize, column: usize) -> String {
        format!("{}, column {}", self.row_place(row), shown(self.name(column)))
    }
}

/// Reads a comma-separated file with a header, in UTF-8, with or without a byte order mark.
///
/// Quoted cells may hold commas, doubled quotes and line breaks; lines end in LF or CRLF; lines
/// without any text are passed over. Takes time and memory linear in the size of the file.
pub fn read_csv(path: &Path, options: &ReadOptions) -> Result<RawTable> {
    match std::fs::metadata(path) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Err(no_such_file(path)),
        Err(source) => Err(Error::io("read", path, source)),
        Ok(data) if data.is_dir() => Err(Error::data(
            format!("cannot read {}: it is a folder; expected a CSV file", path.display()),
            "give the path of a file inside it",
        )),
        Ok(_) => {
            let bytes = std::fs::read(path).map_err(|source| Error::io("read", path, source))?;
            parse_csv(&bytes, path, options)
        }
    }
}

/// Reads a table from the bytes of a CSV file; `source` names it in messages.
pub fn parse_csv(bytes: &[u8], source: &Path, options: &ReadOptions) -> Result<RawTable> {
    let text = checked_text(bytes, source)?;
    let mut records = Records::new(text, source);
    records.advance()?;
    let names = header_names(&records)?;
    let mut builders: Vec<Builder> = Vec::new();
    builders.resize_with(names.len(), Builder::default);
    let mut lines = Vec::new();
    while records.advance()? {
        if records.record.len() != names.len() {
            return Err(ragged(&records, names.len(), lines.len()));
        }
        lines.push(records.line);
        for (builder, cell) in builders.iter_mut().zip(&records.record) {
            builder.push(cell);
        }
    }
    if lines.is_empty() {
        return Err(Error::data(
            format!("{} has a header of {} and no rows", source.display(), counted(names.len(), "column")),
            "add rows below the header, or check that the file was written in full",
        ));
    }
    let columns = names.into_iter().zip(builders).map(|(name, builder)| builder.finish(name, source));
    Ok(RawTable {
        source: source.to_owned(),
        sha256: Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
        columns: columns.collect::<Result<_>>()?,
        lines,
        nulls: NullWords::new(&options.null_words),
    })
}

/// The records of a file, one after the other, each with the line that it starts on.
struct Records<'a> {
    text: &'a str,
    source: &'a Path,
    reader: csv::Reader<&'a [u8]>,
    record: csv::ByteRecord,
    line: u64,
}

impl<'a> Records<'a> {
    fn new(text: &'a str, source: &'a Path) -> Self {
        let mut builder = csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true).buffer_capacity(1 << 16);
        let reader = builder.from_reader(text.as_bytes());
        Self { text, source, reader, record: csv::ByteRecord::new(), line: 0 }
    }

    /// Reads the next record; false at the end of the file.
    fn advance(&mut self) -> Result<bool> {
        let bytes = self.text.as_bytes();
        let (start, line) = (self.reader.position().byte() as usize, self.reader.position().line());
        let more = self.reader.read_byte_record(&mut self.record).map_err(|error| {
            Error::data(format!("{}: {error}", self.source.display()), "check the file in a text editor")
        })?;
        // A record starts after the line ends that the reader left before it.
        let before = bytes[start.min(bytes.len())..].iter().take_while(|b| matches!(b, b'\n' | b'\r'));
        self.line = line + before.filter(|&&b| b == b'\n').count() as u64;
        // Only the last record can hold a quote that nothing closes: it swallows all that follows.
        if more
            && self.reader.position().byte() as usize >= bytes.len()
            && let Some(quote) = open_quote(bytes, start)
        {
            return Err(self.unclosed(quote));
        }
        Ok(more)
    }

    fn unclosed(&self, quote: usize) -> Error {
        let line_start = self.text[..quote].rfind('\n').map_or(0, |end| end + 1);
        Error::data(
            format!(
                "{}: the quote that opens on line {}, character {}, is not closed before the end of the file",
                self.source.display(),
                line_of(self.text.as_bytes(), quote),
                self.text[line_start..quote].chars().count() + 1
            ),
            "close it, or write a quote inside a quoted cell as \"\"",
        )
    }
}

/// A column while it is read.
#[derive(Default)]
struct Builder {
    text: Vec<u8>,
    ends: Vec<u32>,
}

impl Builder {
    fn push(&mut self, cell: &[u8]) {
        self.text.extend_from_slice(cell);
        // A column too long for this is refused as a whole by `finish`.
        self.ends.push(self.text.len() as u32);
    }

    fn finish(self, name: String, source: &Path) -> Result<RawColumn> {
        if u32::try_from(self.text.len()).is_err() {
            return Err(Error::data(
                format!(
                    "{}: column {} holds {} of text; at most 4 GiB can be read",
                    source.display(),
                    shown(&name),
                    counted(self.text.len(), "byte")
                ),
                "leave this column out of the file, or split the file",
            ));
        }
        // Cells of valid UTF-8 are cut at ASCII bytes only, so that they are valid themselves.
        let text = String::from_utf8(self.text).map_err(|_| {
            Error::data(
                format!("{}: column {} is not UTF-8", source.display(), shown(&name)),
                "save the file as UTF-8",
            )
        })?;
        Ok(RawColumn { name, text, ends: self.ends })
    }
}

/// The file as text without its byte order mark, or why it is not a CSV file in UTF-8.
fn checked_text<'a>(bytes: &'a [u8], source: &Path) -> Result<&'a str> {
    let file = source.display();
    let path = shell(&source.to_string_lossy());
    let foreign: [(&[u8], &str, String); 3] = [
        (b"PK\x03\x04", "a zip archive or an Excel workbook", "save the table as CSV first".to_owned()),
        (b"\x1f\x8b", "compressed by gzip", format!("gunzip --keep {path}")),
        (b"PAR1", "a Parquet file", "save the table as CSV first".to_owned()),
    ];
    for (magic, what, remedy) in foreign {
        if bytes.starts_with(magic) {
            return Err(Error::data(format!("{file} is {what}; expected a CSV file"), remedy));
        }
    }
    if looks_like_utf16(bytes) {
        return Err(Error::data(
            format!("{file} is in UTF-16; expected UTF-8"),
            format!("iconv -f UTF-16 -t UTF-8 {path} > utf8.csv"),
        ));
    }
    let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let text = std::str::from_utf8(&bytes[mark..]).map_err(|error| {
        let at = mark + error.valid_up_to();
        Error::data(
            format!(
                "{file} is not UTF-8: line {}, byte {} of the file is 0x{:02x}",
                thousands(line_of(bytes, at)),
                thousands(at + 1),
                bytes[at]
            ),
            format!("if it is in Latin-1: iconv -f LATIN1 -t UTF-8 {path} > utf8.csv"),
        )
    })?;
    if let Some(at) = text.bytes().position(|b| b == 0) {
        return Err(Error::data(
            format!(
                "{file} is not a text file: line {}, byte {} of the file is zero",
                thousands(line_of(bytes, mark + at)),
                thousands(mark + at + 1)
            ),
            format!("if it only has stray zeros: tr -d '\\000' < {path} > clean.csv"),
        ));
    }
    if text.trim().is_empty() {
        return Err(Error::data(
            format!("{file} is empty; expected a header and rows"),
            "check that the file was written in full",
        ));
    }
    Ok(text)
}

/// Whether a file starts with a UTF-16 byte order mark, or with a zero in every other byte as
/// ASCII in UTF-16 has.
fn looks_like_utf16(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return true;
    }
    let pairs = bytes[..bytes.len().min(1024)].as_chunks::<2>().0;
    !pairs.is_empty()
        && (pairs.iter().all(|pair| pair[0] != 0 && pair[1] == 0)
            || pairs.iter().all(|pair| pair[0] == 0 && pair[1] != 0))
}

/// The line that a byte stands on, from 1.
fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes[..at].split(|&b| b == b'\n').count()
}

/// The names in the header, each present and none twice.
fn header_names(header: &Records<'_>) -> Result<Vec<String>> {
    let place = format!("{}, line {}", header.source.display(), header.line);
    let names: Vec<String> =
        header.record.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
    if let [name] = names.as_slice()
        && let Some(mark) = name.chars().find(|c| matches!(c, ';' | '\t' | '|'))
    {
        return Err(Error::data(
            format!("{place}: the header is one column, {}; expected commas between the names", shown(name)),
            match mark {
                '\t' => "save the table again with commas in place of tabs".to_owned(),
                _ => format!("save the table again with commas in place of {}", shown(&mark.to_string())),
            },
        ));
    }
    let mut first = HashMap::with_capacity(names.len());
    for (position, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(Error::data(
                format!(
                    "{place}: column {} of {} has no name",
                    thousands(position + 1),
                    thousands(names.len())
                ),
                "give it a name in the header, or remove the column (in pandas: to_csv(…, index=False))",
            ));
        }
        if let Some(earlier) = first.insert(name.as_str(), position) {
            return Err(Error::data(
                format!(
                    "{place}: columns {} and {} are both named {}",
                    thousands(earlier + 1),
                    thousands(position + 1),
                    shown(name)
                ),
                "give every column a name of its own",
            ));
        }
    }
    Ok(names)
}

/// Where the quote opened that is still open at the end of the file, if there is one.
///
/// `start` is where a row starts. The csv reader takes such a file without a word, as if the
/// quote were closed at its end.
fn open_quote(text: &[u8], start: usize) -> Option<usize> {
    enum At {
        CellStart,
        Bare,
        Quoted(usize),
        QuoteInQuoted(usize),
    }
    let mut at = At::CellStart;
    for (i, &byte) in text.iter().enumerate().skip(start) {
        at = match (at, byte) {
            (At::Quoted(open), b'"') => At::QuoteInQuoted(open),
            (At::Quoted(open), _) | (At::QuoteInQuoted(open), b'"') => At::Quoted(open),
            (_, b',' | b'\n' | b'\r') => At::CellStart,
            (At::CellStart, b'"') => At::Quoted(i),
            (At::CellStart | At::Bare | At::QuoteInQuoted(_), _) => At::Bare,
        };
    }
    if let At::Quoted(open) = at { Some(open) } else { None }
}

/// The error of a record that is not as wide as the header.
fn ragged(records: &Records<'_>, expected: usize, row: usize) -> Error {
    let Records { source, record, line, .. } = records;
    let found = record.len();
    let mut what = format!(
        "{}, row {} (line {line}): expected {}, found {}",
        source.display(),
        row + 1,
        counted(expected, "field"),
        thousands(found)
    );
    let breaks = record.iter().flatten().filter(|&&b| b == b'\n').count();
    if breaks > 0 {
        let _ = write!(what, "; a quoted cell runs on to line {}", line + breaks as u64);
    }
    let remedy = if breaks > 0 {
        "check where the quotes of this row open and close"
    } else if found > expected {
        "write a cell that holds a comma between double quotes"
    } else {
        "add the fields that are missing, or remove the row"
    };
    Error::data(what, remedy)
}

/// The error of a path that leads nowhere, with the file that may have been meant.
fn no_such_file(path: &Path) -> Error {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if path == Path::new("-") {
        return Error::data(
            "no such file: -; a table is read from a file",
            "/dev/stdin in place of - for standard input, or ./- for a file of this name",
        );
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Error::data(
            format!("no such file: {}; the folder {} does not exist", path.display(), folder.display()),
            "check the path; it starts from the folder that the command runs in",
        );
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    // The order of a folder is the file system's: sorted, so that the same name is proposed everywhere.
    names.sort_unstable();
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    let is_table =
        |name: &&String| Path::new(name).extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    let remedy = if let Some(name) = nearest(&wanted, names.iter().map(String::as_str)) {
        format!("did you mean {}?", path.with_file_name(name).display())
    } else {
        match listed(names.iter().filter(is_table).map(String::as_str)).as_str() {
            "" => format!("there is no CSV file in {}", folder.display()),
            tables => format!("the CSV files in {} are {tables}", folder.display()),
        }
    };
    Error::data(format!("no such file: {}", path.display()), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: impl AsRef<[u8]>) -> Result<RawTable> {
        parse_csv(bytes.as_ref(), Path::new("t.csv"), &ReadOptions::default())
    }

    fn failure(bytes: impl AsRef<[u8]>) -> String {
        parse(bytes).expect_err("this file is broken").to_string()
    }

    #[test]
    fn cells_keep_their_text_and_rows_their_lines() {
        let table = parse("\u{feff}\n a ,b\r\n1,\" x \"\"y\"\"\n z\"\r\n\r\n\n NA ,\r\n-,é").unwrap();
        assert_eq!(table.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(table.n_rows(), 3);
        assert_eq!(table.cell(0, 1), " x \"y\"\n z");
        assert_eq!(table.value(0, 1), Some("x \"y\"\n z"));
        assert_eq!(table.values(0).collect::<Vec<_>>(), [Some("1"), None, None]);
        assert_eq!(table.values(1).collect::<Vec<_>>(), [Some("x \"y\"\n z"), None, Some("é")]);
        assert_eq!((0..3).map(|row| table.line(row)).collect::<Vec<_>>(), [3, 7, 8]);
        assert_eq!(table.place(1, 0), "row 2 (line 7), column `a`");
        assert_eq!(table.column_index("b"), Some(1));
    }

    #[test]
    fn lines_are_counted_alike_under_both_line_ends() {
        let text = "a\n1\n\n2\n\"x\ny\"\n3\n";
        for text in [text.to_owned(), text.replace('\n', "\r\n")] {
            let table = parse(&text).unwrap();
            assert_eq!((0..4).map(|row| table.line(row)).collect::<Vec<_>>(), [2, 4, 5, 7], "{text:?}");
        }
    }

    #[test]
    fn the_sum_is_that_of_the_whole_file() {
        let table = parse("a\n1\n").unwrap();
        assert_eq!(table.sha256, "309b0e45a73d3fc5325e2b6ed0a01ef8b9cde6b05a5633c1f893f970d52bfddc");
    }

    #[test]
    fn broken_files_say_where_and_what_to_do() {
        let utf16: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked: Vec<u8> = [&b"\xff\xfe"[..], &utf16].concat();
        let cases: [(&[u8], &[&str]); 16] = [
            (b"", &["t.csv is empty"]),
            (b" \r\n", &["t.csv is empty"]),
            (b"a,b\n", &["header of 2 columns and no rows"]),
            (&utf16, &["UTF-16", "iconv -f UTF-16 -t UTF-8 t.csv"]),
            (&marked, &["UTF-16"]),
            (b"a,b\n1,caf\xe9\n", &["line 2, byte 10 of the file is 0xe9", "iconv -f LATIN1"]),
            (b"a,b\n1,x\0\n", &["line 2, byte 8 of the file is zero"]),
            (b"a,b\n1,2\n1,2,3\n", &["row 2 (line 3): expected 2 fields, found 3", "double quotes"]),
            (b"a,b\r\n1,2\r\n\r\n1\r\n", &["row 2 (line 4): expected 2 fields, found 1"]),
            (b"a,b\n\"1\n2\",3,4\n", &["row 1 (line 2)", "a quoted cell runs on to line 3"]),
            (b"a,b\n1,\"2\n3,4\n", &["opens on line 2, character 3, is not closed"]),
            (b"a,b\n1,2\n\"3\n5,6\n", &["opens on line 3, character 1, is not closed"]),
            (b"a,\"b\n1,2\n", &["opens on line 1, character 3, is not closed"]),
            (b"a, ,c\n1,2,3\n", &["line 1: column 2 of 3 has no name"]),
            (b"a,b, a\n1,2,3\n", &["columns 1 and 3 are both named `a`"]),
            (b"a;b\n1;2\n", &["the header is one column, `a;b`", "commas in place of `;`"]),
        ];
        for (bytes, words) in cases {
            let message = failure(bytes);
            for word in words {
                assert!(message.contains(word), "{message}\n  lacks: {word}");
            }
        }
        assert!(failure(b"PAR1....").contains("Parquet"));
    }

    #[test]
    fn quotes_that_close_are_not_complained_of() {
        for text in ["a\n\"x\"", "a\n\"x\"\"\"\n", "a\nx\"y\n", "a\n\"\"\n", "a\n\"x\"y\"\n"] {
            assert!(parse(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn paths_that_cannot_be_read_say_what_may_be_meant() {
        let folder = tempfile::tempdir().unwrap();
        let options = ReadOptions::default();
        std::fs::write(folder.path().join("insurance.csv"), "a\n1\n").unwrap();
        let failure = |name: &str| read_csv(&folder.path().join(name), &options).unwrap_err().to_string();
        let message = failure("insurence.csv");
        assert!(message.contains("no such file") && message.contains("insurance.csv?"), "{message}");
        assert!(failure("zzz").contains("the CSV files in"));
        assert!(failure("no/such.csv").contains("does not exist"));
        assert!(failure("").contains("it is a folder"));
        assert_eq!(read_csv(&folder.path().join("insurance.csv"), &options).unwrap().n_rows(), 1);
    }

    #[test]
    fn ten_thousand_columns_are_read() {
        let names: Vec<String> = (0..10_000).map(|i| format!("c{i}")).collect();
        let row = vec!["1"; 10_000].join(",");
        let table = parse(format!("{}\n{row}\n{row}\n", names.join(","))).unwrap();
        assert_eq!((table.n_columns(), table.n_rows()), (10_000, 2));
        assert_eq!(table.value(1, 9_999), Some("1"));
    }
}
