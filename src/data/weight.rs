//! The column that says how much each row counts.

use super::read::RawTable;
use super::table::RowIdx;
use super::words::{instead, shown};
use crate::{Error, Result};

/// The weights of a table's rows: 0 or more for those numbered in `rows`, 0 for the others, which nothing is
/// learned from.
///
/// A cell that is missing, negative or no number is an error that names its row and line.
pub fn read_weights(raw: &RawTable, column: &str, rows: &[RowIdx]) -> Result<Vec<f64>> {
    let index = raw.column_index(column).ok_or_else(|| {
        Error::setting(
            format!("data.weight: there is no column {} in {}", shown(column), raw.source.display()),
            instead(column, raw.names()),
        )
    })?;
    let mut weights = vec![0.0; raw.n_rows()];
    for row in rows.iter().map(|&row| row as usize) {
        match raw.value(row, index).and_then(|cell| raw.number(cell)) {
            Some(weight) if weight >= 0.0 => weights[row] = weight,
            _ => {
                let remedy = "give the row a weight, 0 to leave it out, or use another column: \
                              --set data.weight=COLUMN";
                return Err(unfit_number(raw, row, index, "a weight of 0 or more", remedy));
            }
        }
    }
    Ok(weights)
}

/// The error of a cell that is not the number that is needed there.
pub(crate) fn unfit_number(
    raw: &RawTable,
    row: usize,
    column: usize,
    expected: &str,
    remedy: impl Into<String>,
) -> Error {
    let found = raw.value(row, column).map_or_else(|| "a missing cell".to_owned(), shown);
    Error::data(format!("{}: expected {expected}, found {found}", raw.place(row, column)), remedy)
}
