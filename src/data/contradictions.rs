//! The errors of columns whose cells contradict each other, each with what to type.

use super::cell_format::{CellFormat, by_other_mark};
use super::schema::ColumnKind;
use super::survey::{Cell, Survey};
use super::words::{column_setting, null_option, shown, thousands};
use crate::Error;

/// The error of a column that holds numbers or dates but for a few cells.
pub(super) fn odd_cells(name: &str, survey: &Survey, kind: ColumnKind) -> Error {
    let (Cell { place, text }, count, words) = survey.odd_cells(kind == ColumnKind::Date);
    let more = if count > 1 { format!(" ({} like it)", thousands(count - 1)) } else { String::new() };
    Error::data(
        format!("{place}: expected a {kind}, found {}{more}", shown(&text)),
        format!(
            "{}{} to take it as missing, or --set {}",
            as_number(name, &text, survey, kind),
            null_option(words),
            column_setting(name, "kind", "category")
        ),
    )
}

/// What to do about a cell that is a number in a dress, as `5 %`, or with the other decimal mark, as `1,5`.
fn as_number(name: &str, text: &str, survey: &Survey, kind: ColumnKind) -> String {
    if kind != ColumnKind::Number {
        return String::new();
    }
    let comma = survey.mark.comma;
    let (format, name_of) = if comma {
        (CellFormat::DecimalComma, "decimal_comma")
    } else {
        (CellFormat::DecimalPoint, "decimal_point")
    };
    if let Some(number) = format.number(text) {
        return format!("--set {} to read it as {number}, or ", column_setting(name, "format", name_of));
    }
    match by_other_mark(text, None, comma) {
        Some(number) => format!("write {number} in its place, or "),
        None => String::new(),
    }
}

/// The error of dates of which nobody can say whether the day or the month stands first.
pub(super) fn unclear_dates(name: &str, survey: &Survey) -> Error {
    let cell = survey.first.clone().unwrap_or_default();
    Error::data(
        format!("{}: {} may be written with the day or the month first", cell.place, shown(&cell.text)),
        format!("--set {}, or month_first", column_setting(name, "format", "day_first")),
    )
}

/// The error of a number that is not finite.
pub(super) fn not_finite(cell: &Cell) -> Error {
    Error::data(
        format!("{}: expected a finite number, found {}", cell.place, shown(&cell.text)),
        format!("{} to take it as missing", null_option([cell.text.as_str()])),
    )
}

/// The error of numbers such as `5.157` in a table of which another column has decimal commas.
pub(super) fn doubtful_mark(name: &str, survey: &Survey, other: &str) -> Error {
    let cell = survey.first.clone().unwrap_or_default();
    let (own, others) = if survey.mark.comma { ("comma", "point") } else { ("point", "comma") };
    Error::data(
        format!(
            "{}: {} may have a decimal {own} or thousands set apart, since column {} has decimal {others}s",
            cell.place,
            shown(&cell.text),
            shown(other)
        ),
        format!(
            "--decimal {others} if these are thousands, else --decimal {own}; of a column to learn from alone: --set {}",
            column_setting(name, "format", &format!("decimal_{own}"))
        ),
    )
}
