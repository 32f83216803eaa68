//! The table: where it is, how it is read, and what is known of its columns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::choices::{BadRows, CellFormat, ColumnKind, Decimal, Delimiter, Encode, Quote, Scale, StreamMode};
use super::keys::{Key, Kind, unset};
use super::read_file;
use super::steps::{STEPS, StepSpec};
use crate::{Error, Result};

/// The table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The file; empty if it is named elsewhere.
    pub path: PathBuf,
    /// The column to predict; empty if it is named elsewhere.
    pub target: String,
    /// Further files of the same columns.
    pub also: Vec<PathBuf>,
    /// Cells that count as missing.
    pub null: Vec<String>,
    /// What stands between cells.
    pub delimiter: Delimiter,
    /// What stands around cells that hold delimiters.
    pub quote: Quote,
    /// What stands before decimals.
    pub decimal: Decimal,
    /// What is done with malformed rows.
    pub bad_rows: BadRows,
    /// The memory that a table may take, as `2GiB`; empty for a share of what is free.
    pub memory: String,
    /// Whether rows are read from disk while they are learned from.
    pub stream: StreamMode,
    /// The folder of what is kept on disk for that; empty for the user's folder of caches.
    pub cache: PathBuf,
    /// The most bytes that it holds, as `64GiB`.
    pub cache_size: String,
    /// The column of the rows' weights; empty for none.
    pub weight: String,
    /// Whether repeated rows are left out.
    pub drop_duplicates: bool,
    /// What is known of single columns.
    pub columns: BTreeMap<String, ColumnConfig>,
}

impl DataConfig {
    /// All that the table is read from, none if no table is named.
    pub fn sources(&self) -> Vec<PathBuf> {
        let all = std::iter::once(&self.path).chain(&self.also);
        all.filter(|path| !path.as_os_str().is_empty()).cloned().collect()
    }

    /// Takes the table from elsewhere.
    pub fn set_sources(&mut self, sources: &[PathBuf]) {
        if let Some((first, others)) = sources.split_first() {
            self.path.clone_from(first);
            self.also = others.to_vec();
        }
    }

    /// The same with paths that mean the same from any folder.
    #[must_use]
    pub fn from_anywhere(&self) -> Self {
        let absolute = |path: &PathBuf| match path {
            path if path.as_os_str().is_empty() || path == Path::new("-") => path.clone(),
            path => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        };
        Self {
            path: absolute(&self.path),
            also: self.also.iter().map(absolute).collect(),
            cache: absolute(&self.cache),
            ..self.clone()
        }
    }
}

/// What can be said of one column, under `data.columns.<name>`; unset means decided from the data.
#[rustfmt::skip]
pub static COLUMN_KEYS: &[Key] = &[
    unset("kind", Kind::Choice(ColumnKind::NAMES),
        "What the cells of this column mean."),
    unset("format", Kind::Choice(CellFormat::NAMES),
        "How its cells are written: numbers with thousands set apart, a currency or per cent (decimal_point, decimal_comma), words for yes and no, or dates with the day or the month first."),
    unset("null", Kind::TextList,
        "Cells of this column with exactly one of these texts count as missing, besides those of data.null."),
    unset("levels", Kind::TextList,
        "The values that its cells may have, as a category; any other is an error."),
    unset("scale", Kind::Choice(Scale::NAMES),
        "How this column is scaled, in place of prepare.scale."),
    unset("steps", Kind::Steps(STEPS),
        "The steps that prepare this column, one by one, in place of those of its kind."),
    unset("encode", Kind::Choice(Encode::NAMES),
        "How this column enters the network, in place of the embedding settings: a category by one_hot, embedding, target, ordinal, count or hashing; a number by none, plr, pbld or ple."),
    unset("drop", Kind::Bool,
        "Whether this column is left out of learning."),
];

/// What is known of one column; whatever is `None` is decided from the data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnConfig {
    /// What its cells mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ColumnKind>,
    /// How its cells are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<CellFormat>,
    /// Further words that count as missing in this column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null: Option<Vec<String>>,
    /// The only values that its cells may have, as a category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub levels: Option<Vec<String>>,
    /// How it is scaled, in place of `prepare.scale`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// The steps that prepare it, in place of those of its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepSpec>>,
    /// How it enters the network, in place of the `embedding` settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encode: Option<Encode>,
    /// Whether it is left out of learning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop: Option<bool>,
}

/// What a TOML file says of columns, a table for each, as settings `data.columns."name".key=value` of the command line.
pub fn column_settings(file: &Path) -> Result<Vec<String>> {
    if !file.exists() {
        return Err(Error::setting(
            format!("--schema: there is no file {}", file.display()),
            "check the path; the file is TOML with a table for each column: [age] and below it kind = \"number\"",
        ));
    }
    let text = read_file(file)?;
    let wrong = |what: String| {
        Error::setting(
            format!("{}: {what}", file.display()),
            "a table for each column: [age] and below it kind = \"number\"",
        )
    };
    let columns: Table = text.parse().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
    let mut sets = Vec::new();
    for (name, column) in columns {
        let Value::Table(column) = column else {
            return Err(wrong(format!("`{name}` is no table of what is known of a column")));
        };
        for (key, value) in column {
            sets.push(format!("data.columns.{}.{key}={value}", Value::from(name.as_str())));
        }
    }
    Ok(sets)
}
