//! One JSON object a line (NDJSON, JSON Lines): numbers, texts, booleans and nulls.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::bad_rows::{Skipped, SkippedRow};
use super::columns::{Meaning, cells_of};
use super::csv::checked_names;
use super::cut::{Cutter, Piece};
use super::dialect::Dialect;
use super::input::Input;
use super::raw::{Cells, RawColumn, RawTable};
use super::{BadRows, ReadOptions};
use crate::data::words::{shell, shown};
use crate::{Error, Result};

/// Lines end at LF wherever one stands: JSON writes one inside a text as `\n`.
const LINES: Dialect = Dialect { delimiter: b'\n', quote: b'\n', newline: b'\n', decimal_comma: false };

/// Reads one file. Its columns are the keys of the lines of its first piece.
pub(super) struct JsonReader {
    cutter: Cutter,
    meaning: Meaning,
    bad_rows: BadRows,
    pub(super) names: Vec<String>,
    places: HashMap<String, usize>,
    pieces: Vec<Piece>,
    blocks: std::collections::VecDeque<std::result::Result<RawTable, (usize, Bad)>>,
}

/// A line that is no row: its number, what is wrong, what to do.
struct Bad {
    line: u64,
    what: String,
    remedy: String,
}

/// The column of a value, how it stands in the line, and what it says.
type Entry<'a> = (usize, &'a RawValue, Option<Cow<'a, str>>);

/// The keys and values of a line, as they stand.
struct Line<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize, PartialEq, Eq, Hash)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Line<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Line<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Line<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(Line(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl JsonReader {
    pub(super) fn new(input: Input, options: &ReadOptions) -> Result<Self> {
        let mut reader = Self {
            cutter: Cutter::new(input, LINES),
            meaning: Meaning::new(options, false),
            bad_rows: options.bad_rows,
            names: Vec::new(),
            places: HashMap::new(),
            pieces: Vec::new(),
            blocks: std::collections::VecDeque::new(),
        };
        reader.pieces.extend(reader.cutter.next()?);
        let mut names: Vec<String> = Vec::new();
        for (_, text) in reader.pieces.iter().flat_map(lines) {
            for (key, _) in serde_json::from_slice::<Line<'_>>(text).map(|line| line.0).unwrap_or_default() {
                let key = key.trim();
                if !reader.places.contains_key(key) {
                    reader.places.insert(key.to_owned(), names.len());
                    names.push(key.to_owned());
                }
            }
        }
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        reader.names = checked_names(&borrowed, &reader.path().display().to_string())?;
        let path = reader.path();
        for (line, text) in reader.pieces.iter().flat_map(lines).take(usize::from(reader.names.is_empty())) {
            if let Err(Bad { what, remedy, .. }) = object_of(text, line, &path) {
                return Err(Error::data(format!("{}, row 1 (line {line}): {what}", path.display()), remedy));
            }
        }
        if reader.names.is_empty() {
            return Err(Error::data(
                format!("{} starts with an object without any key", reader.path().display()),
                "give each row at least one value",
            ));
        }
        Ok(reader)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.cutter.input().path().to_owned()
    }

    pub(super) fn into_input(self) -> Input {
        self.cutter.into_input()
    }

    pub(super) fn next(&mut self, first_row: usize) -> Result<Option<RawTable>> {
        if self.blocks.is_empty() {
            if self.pieces.is_empty() {
                self.pieces.extend(self.cutter.next()?);
            }
            while !self.pieces.is_empty() && self.pieces.len() < rayon::current_num_threads() {
                let Some(piece) = self.cutter.next()? else { break };
                self.pieces.push(piece);
            }
            let path = self.path();
            let pieces = std::mem::take(&mut self.pieces);
            let blocks: Vec<_> = pieces.par_iter().map(|piece| self.parse(piece, &path)).collect();
            self.blocks.extend(blocks);
        }
        match self.blocks.pop_front() {
            None => Ok(None),
            Some(Ok(block)) => Ok(Some(block)),
            Some(Err((rows_before, Bad { line, what, remedy }))) => {
                let (file, row) = (self.path(), first_row + rows_before + 1);
                Err(Error::data(format!("{}, row {row} (line {line}): {what}", file.display()), remedy))
            }
        }
    }

    fn parse(&self, piece: &Piece, path: &Path) -> std::result::Result<RawTable, (usize, Bad)> {
        let mut columns: Vec<Vec<Option<Cow<'_, str>>>> = vec![Vec::new(); self.names.len()];
        let mut foreign: Vec<Option<&str>> = vec![None; self.names.len()];
        let mut skipped = Skipped::default();
        let mut starts = Vec::new();
        // The line on which each key stood last.
        let mut seen = vec![0; self.names.len()];
        for (line, text) in lines(piece) {
            match self.row(text, line, &mut seen) {
                Ok(entries) => {
                    starts.push(line);
                    for (place, value, text) in entries {
                        let column = &mut columns[place];
                        match value.get().as_bytes().first() {
                            Some(b'{') => foreign[place] = Some("objects"),
                            Some(b'[') => foreign[place] = Some("lists"),
                            _ => {}
                        }
                        column.resize(starts.len() - 1, None);
                        column.push(text);
                    }
                    columns.iter_mut().for_each(|column| column.resize(starts.len(), None));
                }
                Err(bad) if self.bad_rows == BadRows::Refuse => return Err((starts.len(), bad)),
                Err(Bad { line, what, .. }) => {
                    skipped.push(SkippedRow { file: path.to_owned(), line, what });
                }
            }
        }
        let columns = self.names.iter().zip(columns).zip(foreign).map(|((name, column), foreign)| {
            let value = |cell: &Option<Cow<'_, str>>| -> Option<String> {
                cell.as_ref().and_then(|cell| self.meaning.value(cell)).map(str::to_owned)
            };
            let cells = if let Some(what) = foreign {
                Cells::Foreign { what: what.to_owned() }
            } else {
                let column: Vec<Option<String>> = column.iter().map(value).collect();
                let column: Vec<Option<&str>> = column.iter().map(Option::as_deref).collect();
                cells_of(&column, false)
            };
            RawColumn { name: name.clone(), cells }
        });
        Ok(RawTable {
            source: path.to_owned(),
            skipped,
            columns: columns.collect(),
            n_rows: starts.len(),
            lines: starts,
            files: vec![(0, path.to_owned())],
            ..RawTable::default()
        })
    }

    /// The columns and values of a line, as they stand and what they say; none twice.
    fn row<'a>(
        &self,
        text: &'a [u8],
        line: u64,
        seen: &mut [u64],
    ) -> std::result::Result<Vec<Entry<'a>>, Bad> {
        let path = self.path();
        let look = look_at(line, &path);
        let Line(entries) = object_of(text, line, &path)?;
        let mut place = |(key, value): (Cow<'_, str>, &'a RawValue)| {
            let place = self.places.get(key.trim()).copied().ok_or_else(|| Bad {
                line,
                what: format!("the key {} is in none of the first rows, which say the columns", shown(&key)),
                remedy: "give the first row every key, with null where it has no value".into(),
            })?;
            let bad = |what| Bad { line, what, remedy: look.clone() };
            if std::mem::replace(&mut seen[place], line) == line {
                return Err(bad(format!("the key {} stands there twice", shown(&key))));
            }
            let text = text_of(value).map_err(|NoText| {
                bad(format!(
                    "the text of the key {} holds half of a surrogate pair, which is no character",
                    shown(&key)
                ))
            })?;
            Ok((place, value, text))
        };
        entries.into_iter().map(&mut place).collect()
    }
}

/// What to do about a line that is no row.
fn look_at(line: u64, path: &Path) -> String {
    format!(
        "check the line: sed -n {line}p {}; or --bad-rows skip to leave such rows out",
        shell(&path.to_string_lossy())
    )
}

/// The object that a line is.
fn object_of<'a>(text: &'a [u8], line: u64, path: &Path) -> std::result::Result<Line<'a>, Bad> {
    serde_json::from_slice(text).map_err(|error| {
        let look = look_at(line, path);
        let (what, remedy) = match std::str::from_utf8(text) {
            Ok(text) => match number_unknown_to_json(text) {
                Some(word) => (
                    format!("JSON has no {word}"),
                    format!(
                        "write null where there is no number; or {}",
                        look.replace("check the line: ", "look at the line: ")
                    ),
                ),
                None => (format!("expected a JSON object, found another line: {error}"), look),
            },
            Err(error) => (format!("byte {} of the line is not of UTF-8", error.valid_up_to() + 1), look),
        };
        Bad { line, what, remedy }
    })
}

/// The first word outside of quotes that other languages write for what is no finite number.
fn number_unknown_to_json(text: &str) -> Option<&str> {
    const WORDS: [&str; 4] = ["NaN", "nan", "Infinity", "inf"];
    // What stands within quotes is every second part; a quote within them is behind a backslash, and never before a word.
    let outside = text.split('"').step_by(2);
    let mut words = outside.flat_map(|part| part.split(|c: char| !c.is_ascii_alphabetic()));
    words.find(|word| WORDS.contains(word))
}

/// The lines of a piece that are not blank, with their numbers.
fn lines(piece: &Piece) -> impl Iterator<Item = (u64, &[u8])> {
    let lines = piece.bytes.split(|&b| b == b'\n').zip(piece.line..);
    lines.filter(|(text, _)| !text.trim_ascii().is_empty()).map(|(text, line)| (line, text))
}

/// A text that is well formed, and none: half of a surrogate pair is no character.
struct NoText;

/// What a value says: a text without its quotes, anything else as it stands; nothing for null.
fn text_of(value: &RawValue) -> std::result::Result<Option<Cow<'_, str>>, NoText> {
    match value.get() {
        "null" => Ok(None),
        text if text.starts_with('"') => {
            serde_json::from_str::<Key<'_>>(text).map(|Key(text)| Some(text)).map_err(|_| NoText)
        }
        other => Ok(Some(Cow::Borrowed(other))),
    }
}
