//! Rows that are no rows of the table: refused, or left out and listed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::words::thousands;

/// The most rows of which more than their number is kept.
const MOST_LISTED: usize = 100_000;

/// The malformed rows of a table that were left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// How many there are.
    pub count: usize,
    /// The first hundred thousand of them.
    pub rows: Vec<SkippedRow>,
    /// What may be a row that was taken for something else: a header of numbers only, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkippedRow {
    /// Its file.
    pub file: PathBuf,
    /// The line on which it starts.
    pub line: u64,
    /// What is wrong with it.
    pub what: String,
}

impl Skipped {
    pub(super) fn push(&mut self, row: SkippedRow) {
        self.count += 1;
        if self.rows.len() < MOST_LISTED {
            self.rows.push(row);
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.count += other.count;
        self.rows.extend(other.rows);
        self.rows.truncate(MOST_LISTED);
    }

    /// The list as a CSV file: `file,line,what`.
    pub fn to_csv(&self) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let mut text = String::from("file,line,what\n");
        for row in &self.rows {
            text += &format!("{},{},{}\n", quoted(&row.file.to_string_lossy()), row.line, quoted(&row.what));
        }
        if self.count > self.rows.len() {
            text += &format!(",,\"and {} more\"\n", thousands(self.count - self.rows.len()));
        }
        text
    }
}
