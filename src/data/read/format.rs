//! What a source is, told by its first bytes and then by its name.

use std::path::Path;

use super::input::{Packing, STANDARD_INPUT};
use crate::data::words::shell;
use crate::{Error, Result};

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Text with delimiters.
    Csv,
    /// One JSON object a line.
    Json,
    /// The Arrow IPC stream, or the file around it, which is Feather version 2.
    Arrow,
    /// Parquet.
    Parquet,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Csv => "CSV",
            Self::Json => "NDJSON",
            Self::Arrow => "Arrow",
            Self::Parquet => "Parquet",
        })
    }
}

/// The ends of names by which tables are found in a folder; each may be followed by `.gz` or `.zst`.
pub(super) const ENDS: [&str; 10] =
    ["csv", "tsv", "tab", "txt", "ndjson", "jsonl", "parquet", "arrow", "feather", "arrows"];

/// The end of a name that says what the unpacked file is, in lower case.
pub(super) fn end_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    name.rsplit_once('.').map_or(String::new(), |(_, end)| end.to_owned())
}

/// The format of a source that starts with `sample`; what cannot be read is named.
pub(super) fn format_of(path: &Path, sample: &[u8], packing: Packing) -> Result<Format> {
    let format = match sample {
        [b'P', b'A', b'R', b'1', ..] => Format::Parquet,
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] | [0xff, 0xff, 0xff, 0xff, ..] => Format::Arrow,
        _ => {
            check_text(path, sample)?;
            if is_json(path, sample) { Format::Json } else { Format::Csv }
        }
    };
    if format == Format::Parquet && (packing != Packing::None || path == Path::new(STANDARD_INPUT)) {
        let what = if packing == Packing::None { "standard input" } else { "a packed file" };
        return Err(Error::data(
            format!("{}: {format} cannot be read from {what}: its index is at its end", path.display()),
            if packing == Packing::None {
                "save it as a file and give the file's name"
            } else {
                "unpack it first; its columns can be packed inside the file"
            },
        ));
    }
    Ok(format)
}

/// Refuses what is known to be no text, and text in UTF-16 or UTF-32.
fn check_text(path: &Path, sample: &[u8]) -> Result<()> {
    const AS_CSV: &str = "save the table as CSV or Parquet first";
    let file = path.display();
    let name = shell(&path.to_string_lossy());
    let twice = |unpack: &str| format!("{unpack} {name}, and give the file that comes out");
    let foreign: [(&[u8], &str, String); 12] = [
        (b"\x1f\x8b", "packed twice, inside by gzip", twice("gunzip --keep")),
        (b"\x28\xb5\x2f\xfd", "packed twice, inside by zstd", twice("unzstd --keep")),
        (b"\xff\xfe\0\0", "in UTF-32", format!("iconv -f UTF-32 -t UTF-8 {name} > utf8.csv")),
        (b"\0\0\xfe\xff", "in UTF-32", format!("iconv -f UTF-32 -t UTF-8 {name} > utf8.csv")),
        (b"PK\x03\x04", "a zip archive or an Excel workbook", AS_CSV.to_owned()),
        (b"\xd0\xcf\x11\xe0", "an old Excel workbook", AS_CSV.to_owned()),
        (b"PARE", "an encrypted Parquet file", "save it without encryption first".to_owned()),
        (b"FEA1", "a Feather file of version 1", "save it as Feather of version 2 or as Parquet".to_owned()),
        (b"ORC", "an ORC file", "save it as Parquet first".to_owned()),
        (b"BZh", "packed by bzip2", format!("bunzip2 --keep {name}")),
        (b"\xfd7zXZ\0", "packed by xz", format!("xz --decompress --keep {name}")),
        (b"SQLite format 3\0", "an SQLite database", AS_CSV.to_owned()),
    ];
    if let Some((_, what, remedy)) = foreign.into_iter().find(|(magic, ..)| sample.starts_with(magic)) {
        let expected = if what.starts_with("in ") { "UTF-8" } else { "a table" };
        return Err(Error::data(format!("{file} is {what}; expected {expected}"), remedy));
    }
    if looks_like_utf16(sample) {
        return Err(Error::data(
            format!("{file} is in UTF-16; expected UTF-8"),
            format!("iconv -f UTF-16 -t UTF-8 {name} > utf8.csv"),
        ));
    }
    if sample.trim_ascii().is_empty() || sample == b"\xef\xbb\xbf" {
        return Err(Error::data(
            format!("{file} is empty; expected a header and rows"),
            "check that the file was written in full",
        ));
    }
    let end = end_of(path);
    if matches!(end.as_str(), "parquet" | "arrow" | "feather" | "arrows") {
        return Err(Error::data(
            format!("{file} is not what its name says: it does not start as a file of `.{end}` does"),
            "copy it again, or give it the name of what it is",
        ));
    }
    if sample.trim_ascii_start().starts_with(b"[") && end == "json" {
        return Err(Error::data(
            format!("{file} is one JSON array; expected one object a line"),
            format!("jq -c '.[]' {name} > table.ndjson"),
        ));
    }
    Ok(())
}

/// Whether the first line is a JSON object.
fn is_json(path: &Path, sample: &[u8]) -> bool {
    let text = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample).trim_ascii_start();
    let line = text.split(|&b| b == b'\n').next().unwrap_or_default();
    let named = matches!(end_of(path).as_str(), "ndjson" | "jsonl" | "json");
    text.starts_with(b"{") && (named || serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok())
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
