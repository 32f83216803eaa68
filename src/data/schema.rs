//! What the columns of a table are.

use serde::{Deserialize, Serialize};

use super::cell_format::CellFormat;
use crate::config::ColumnConfig;
pub use crate::config::ColumnKind;

pub use super::infer::{FEW_LEVELS, FEW_NUMBERS, Inference, MOST_LEVELS, infer_schema};
pub(crate) use super::infer::{named_like_an_identifier, words_of_name};

/// One column of a [`Schema`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSchema {
    /// The name in the header.
    pub name: String,
    /// What its cells mean.
    pub kind: ColumnKind,
    /// How its cells are written, where that is not how most files do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<CellFormat>,
    /// Words that count as missing in it, besides those of the whole table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub null: Vec<String>,
    /// Why it is of this kind.
    pub reason: String,
    /// The values of a category in the rows that say what the column is, sorted; to be read by people, fitted by nothing.
    #[serde(default)]
    pub levels: Vec<String>,
    /// Why nothing is learned of this column, if that is so.
    #[serde(default)]
    pub dropped: Option<String>,
}

/// What the columns of a table are, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The columns, in the order of the file.
    pub columns: Vec<ColumnSchema>,
    /// Whether a comma stood before decimals in the table: how one to predict is read that does not say it itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub decimal_comma: bool,
}

impl Schema {
    /// The column of this name.
    pub fn get(&self, name: &str) -> Option<&ColumnSchema> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that something is learned of.
    pub fn kept(&self) -> impl Iterator<Item = &ColumnSchema> {
        self.columns.iter().filter(|column| column.dropped.is_none())
    }

    /// Whether the cells of a table mean the same by both: a table that one makes is a table of the other.
    pub fn reads_like(&self, other: &Self) -> bool {
        let read = |c: &ColumnSchema| (c.name.clone(), c.kind, c.format, c.dropped.is_some());
        self.columns.iter().map(read).eq(other.columns.iter().map(read))
    }

    /// The schema by which models read one table that were trained by several: a column is left out where none learns of
    /// it. The column that models take to be of different kinds, if there is one, is the error.
    pub(crate) fn joined<'s>(schemas: impl IntoIterator<Item = &'s Self>) -> Result<Self, String> {
        let mut joined = Self::default();
        for schema in schemas {
            joined.decimal_comma |= schema.decimal_comma;
            for column in &schema.columns {
                match joined.columns.iter_mut().find(|known| known.name == column.name) {
                    None => joined.columns.push(column.clone()),
                    Some(known) if known.dropped.is_some() => *known = column.clone(),
                    Some(_) if column.dropped.is_some() => {}
                    Some(known) if (known.kind, known.format) != (column.kind, column.format) => {
                        return Err(column.name.clone());
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(joined)
    }

    /// The same schema without these columns: without the target, say, which is no input.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let keep = |column: &&ColumnSchema| !names.contains(&column.name.as_str());
        Self {
            columns: self.columns.iter().filter(keep).cloned().collect(),
            decimal_comma: self.decimal_comma,
        }
    }
}

/// What the user says of a column; what is not said is told from its cells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What its cells mean.
    pub kind: Option<ColumnKind>,
    /// How they are written.
    pub format: Option<CellFormat>,
    /// Words that count as missing in it, which the reader has been told.
    pub null: Vec<String>,
    /// The only values that a category may have.
    pub levels: Option<Vec<String>>,
}

impl Wanted {
    /// What settings say.
    pub fn of(column: &ColumnConfig) -> Self {
        Self {
            kind: column.kind,
            format: column.format,
            null: column.null.clone().unwrap_or_default(),
            levels: column.levels.clone(),
        }
    }

    /// Whether the cells are to be looked at as names, whatever they are.
    pub(super) fn is_category(&self) -> bool {
        self.kind == Some(ColumnKind::Category) || self.levels.is_some()
    }
}
