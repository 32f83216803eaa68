//! Cells that can be read in two ways, of which training takes one only when it is told.

use super::source::Role;
use super::warnings::{Concern, Warning, setting, warning};
use crate::config::{CellFormat, ColumnConfig};
use crate::data::cell::has_short_year;
use crate::data::words::shown;
use crate::data::{ColumnKind, RawTable};

/// Two ways to read every cell of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// Dates such as `2/3/2023`, whose day or month stands first, or `31/12/99`.
    DayOrMonth {
        /// The first of the cells.
        cell: String,
        /// Whether all of them may be dates whose day stands first, which is proposed.
        day_first: bool,
        /// Whether some years have two digits.
        short_years: bool,
    },
    /// Numbers such as `4.991`, with decimals or thousands, in a table of which another column has the other decimal mark.
    DecimalMark {
        /// The first of the cells.
        cell: String,
        /// Whether the other column has commas before its decimals.
        others_comma: bool,
    },
}

impl Doubt {
    /// Whether the cells of a column may be dates of two kinds, and no setting says what they are.
    pub(super) fn of_dates(raw: &RawTable, index: usize, set: Option<&ColumnConfig>) -> Option<Self> {
        let is_told = set.is_some_and(|set| {
            set.format.is_some()
                || set.levels.is_some()
                || set.kind.is_some_and(|kind| kind != ColumnKind::Date)
        });
        let cells = || raw.values(index).flatten();
        let cell = cells().next()?.to_owned();
        let all = |format: CellFormat| !is_told && cells().all(|cell| format.days(cell).is_some());
        let [day_first, month_first] = [CellFormat::DayFirst, CellFormat::MonthFirst].map(all);
        let short_years = (day_first || month_first) && cells().any(has_short_year);
        (day_first && month_first || short_years).then_some(Self::DayOrMonth { cell, day_first, short_years })
    }

    /// Whether the cells of a column that is refused are all numbers, and others with the other decimal mark.
    pub(super) fn of_numbers(raw: &RawTable, index: usize) -> Option<Self> {
        let others_comma = !raw.decimal_comma();
        let others = if others_comma { CellFormat::DecimalComma } else { CellFormat::DecimalPoint };
        let fits = |cell: &str| raw.number(cell).is_some() && others.number(cell).is_some();
        let cell = raw.values(index).flatten().find(|cell| raw.number(cell) != others.number(cell))?;
        let all = raw.values(index).flatten().all(fits);
        all.then(|| Self::DecimalMark { cell: cell.to_owned(), others_comma })
    }

    /// What is said of it, of a column of this name and role.
    pub(super) fn warning(&self, name: &str, role: Role) -> Warning {
        let (text, line) = match self {
            Self::DayOrMonth { cell, day_first, short_years } => {
                let (first, what, other) = match day_first {
                    true => ("day_first", "month", "month_first"),
                    false => ("month_first", "day", "day_first"),
                };
                let years = if *short_years {
                    "; years of two digits are then those from 1969 to 2068, and a year that stands first is to be written \
                     with four"
                } else {
                    ""
                };
                let text = format!(
                    "{}: cells such as {} may be dates with the day or the month first, and are taken as dates only when that is \
                     said; where the {what} comes first, \"{other}\" in the line{years}",
                    shown(name),
                    shown(cell)
                );
                (text, setting(name, "format", &format!("\"{first}\"")))
            }
            Self::DecimalMark { cell, others_comma } => {
                let (own, others) = if *others_comma { ("point", "comma") } else { ("comma", "point") };
                // The format of the column to predict is that of the table.
                let (key, line) = match role {
                    Role::Target => ("", format!("data.decimal = \"{others}\"")),
                    _ => ("decimal_", setting(name, "format", &format!("\"decimal_{others}\""))),
                };
                let text = format!(
                    "{}: cells such as {} may have a decimal {own} or thousands set apart, since another column has decimal \
                     {others}s; training refuses them until that is said. The line is right for thousands; for decimals it \
                     says \"{key}{own}\"",
                    shown(name),
                    shown(cell)
                );
                (text, line)
            }
        };
        warning(Concern::Unclear, &[name], text, line)
    }
}
