//! Decides what each column is, from all of its cells and with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use super::cell_format::{CellFormat, yes_or_no};
use super::contradictions::{doubtful_mark, not_finite, odd_cells, unclear_dates};
use super::read::RawTable;
use super::schema::{ColumnKind, ColumnSchema, Schema, Wanted};
use super::split::TrainRows;
use super::survey::Survey;
use super::table::RowIdx;
use super::words::{column_setting, counted, instead, null_option, shown, thousands};
use crate::{Error, Result};

/// Number columns with at most this many distinct whole numbers are pointed out: they may be categories.
pub const FEW_NUMBERS: usize = 20;
/// Text with at most this many distinct values is a category where values repeat at all.
pub const FEW_LEVELS: usize = 50;
/// Text with more distinct values than this is not made a category unasked.
pub const MOST_LEVELS: usize = 1_000;
/// How often a value must repeat on average where there are more than [`FEW_LEVELS`].
const REPEATS: usize = 10;
/// What a cell of a training row is called.
const TRAINING_CELL: &str = "training cell";
/// Distinct strings longer than this on average, in bytes, are text and not identifiers.
const IDENTIFIER_LENGTH: usize = 40;

/// Decides what every column is, from all of its cells.
///
/// `overrides` names the kind of columns that are not to be guessed. The columns of `aside`, which
/// nothing will be learned of, are not looked at and not in the schema: what their cells hold is no
/// fault. Linear in the number of cells; columns are looked at in parallel, and the first broken one
/// from the left is reported.
pub fn infer_schema(
    raw: &RawTable,
    overrides: &BTreeMap<String, ColumnKind>,
    aside: &BTreeSet<&str>,
) -> Result<Schema> {
    let wanted = |(name, &kind): (&String, &ColumnKind)| {
        (name.clone(), Wanted { kind: Some(kind), ..Wanted::default() })
    };
    let mut inference = Inference::new(raw, &overrides.iter().map(wanted).collect(), aside)?;
    inference.add(raw);
    inference.finish()
}

/// Decides what columns are from blocks of rows, one after the other, in memory that does not grow with the rows.
#[derive(Debug)]
pub struct Inference {
    columns: Vec<Pending>,
    /// What a cell that is looked at is called.
    cell: &'static str,
    /// A column of which only the decimal mark is asked.
    target: Option<Pending>,
}

/// A column that is looked at.
#[derive(Debug)]
struct Pending {
    index: usize,
    name: String,
    wanted: Wanted,
    survey: Survey,
}

impl Pending {
    /// Looks at the cells of column `index` of a block.
    fn look(&mut self, block: &RawTable, index: usize) {
        let all_words = self.wanted.is_category();
        let all_different = named_like_an_identifier(&self.name);
        self.survey.add(block, index, all_words, all_different);
    }
}

impl Inference {
    /// Of the columns of `first`, a table or the first block of it; the others as in [`infer_schema`]. Nothing of the
    /// rows is looked at.
    pub fn new(
        first: &RawTable,
        overrides: &BTreeMap<String, Wanted>,
        aside: &BTreeSet<&str>,
    ) -> Result<Self> {
        for name in overrides.keys() {
            if first.column_index(name).is_none() {
                return Err(Error::setting(
                    format!("data.columns: there is no column {} in {}", shown(name), first.source.display()),
                    instead(name, first.names()),
                ));
            }
        }
        let columns = first.names().enumerate().filter(|(_, name)| !aside.contains(name));
        let columns = columns.map(|(index, name)| Pending {
            index,
            name: name.to_owned(),
            wanted: overrides.get(name).cloned().unwrap_or_default(),
            survey: Survey::new(),
        });
        Ok(Self { columns: columns.collect(), target: None, cell: "cell" })
    }

    /// Looks at the column to predict as well, which is none of the schema, for the decimal mark that its cells show.
    #[must_use]
    pub fn heeding(self, first: &RawTable, target: &str) -> Self {
        let target = first.column_index(target).map(|index| Pending {
            index,
            name: target.to_owned(),
            wanted: Wanted::default(),
            survey: Survey::new(),
        });
        Self { target, ..self }
    }

    /// Looks at the rows of a block.
    pub fn add(&mut self, block: &RawTable) {
        let columns = self.columns.par_iter_mut().chain(self.target.as_mut());
        columns.for_each(|column| column.look(block, column.index));
    }

    /// Looks at some rows of a table or block, and at nothing else of it; the decimal mark of a target is for all rows.
    ///
    /// Each thread copies one column of them at a time.
    pub(crate) fn add_rows(&mut self, table: &RawTable, rows: &Arc<[RowIdx]>) {
        self.columns.par_iter_mut().for_each(|column| {
            let part = table.select(column.index, rows);
            column.look(&part, 0);
        });
    }

    /// Looks at the training rows of a whole table, and at nothing else of it.
    pub fn add_training(&mut self, table: &RawTable, train: &TrainRows) {
        self.cell = TRAINING_CELL;
        self.add_rows(table, &train.rows().into());
    }

    /// Calls the cells that it is given what they are: those of training rows.
    #[must_use]
    pub(crate) fn of_training_cells(self) -> Self {
        Self { cell: TRAINING_CELL, ..self }
    }

    /// What the columns are.
    pub fn finish(self) -> Result<Schema> {
        let decimal_comma = self.decimal_comma();
        if let (Some(target), Some(other)) = (&self.target, self.of_other_mark())
            && target.survey.may_have_other_mark()
        {
            return Err(doubtful_mark(&target.name, &target.survey, &other.name));
        }
        Ok(Schema { columns: self.finish_each().into_iter().collect::<Result<_>>()?, decimal_comma })
    }

    /// Whether a comma stands before decimals in the table.
    pub fn decimal_comma(&self) -> bool {
        self.columns.iter().any(|column| column.survey.mark.comma)
    }

    /// The first column with another decimal mark than the table's, which makes every number doubtful that fits both.
    fn of_other_mark(&self) -> Option<&Pending> {
        self.columns.iter().chain(&self.target).find(|column| column.survey.has_other_mark())
    }

    /// What each column is, or what is wrong with it.
    pub fn finish_each(self) -> Vec<Result<ColumnSchema>> {
        let of_other_mark = self.of_other_mark();
        let decided = |column: &Pending| {
            let is_told = column.wanted.format.is_some() || column.wanted.is_category();
            match of_other_mark {
                Some(other) if !is_told && column.survey.may_have_other_mark() => {
                    Err(doubtful_mark(&column.name, &column.survey, &other.name))
                }
                _ => decided(column, self.cell),
            }
        };
        self.columns.iter().map(decided).collect()
    }
}

/// A kind, its reason, and why the column is dropped if it is.
struct Verdict {
    kind: ColumnKind,
    format: Option<CellFormat>,
    reason: String,
    dropped: Option<String>,
}

impl Verdict {
    fn keep(kind: ColumnKind, reason: String) -> Self {
        Self { kind, format: None, reason, dropped: None }
    }

    fn drop(kind: ColumnKind, reason: String, dropped: impl Into<String>) -> Self {
        Self { kind, format: None, reason, dropped: Some(dropped.into()) }
    }

    fn written(self, format: CellFormat) -> Self {
        Self { format: Some(format), ..self }
    }
}

/// What a column is; `cell` is what its cells are called.
fn decided(column: &Pending, cell: &str) -> Result<ColumnSchema> {
    let Pending { name, wanted, survey, .. } = column;
    let mut verdict = match wanted.kind {
        _ if survey.foreign.is_some() => foreign(name, wanted, survey)?,
        kind if survey.present == 0 => Verdict::drop(
            kind.unwrap_or(ColumnKind::Text),
            format!("all {} are missing", counted(survey.n_rows, cell)),
            "all missing",
        ),
        kind => match (kind, wanted.format, &wanted.levels) {
            (_, _, Some(levels)) => of_levels(name, kind, levels, survey)?,
            (_, Some(format), None) => as_written(name, kind, format, survey)?,
            (Some(kind), None, None) => asked_for(name, kind, survey)?,
            (None, None, None) if survey.is_numeric() => numeric(name, survey, cell)?,
            (None, None, None) => worded(name, survey, cell)?,
        },
    };
    // Where some cells are missing, which ones they are may still tell something.
    if verdict.dropped.is_none()
        && survey.present == survey.n_rows
        && !survey.varies
        && let Some(first) = &survey.first
    {
        let rounded = if survey.rounded > 0 { ", rounded to the 16 digits of a 64-bit float" } else { "" };
        verdict.dropped = Some(format!("constant: every {cell} is {}{rounded}", shown(&first.text)));
    }
    let Verdict { kind, format, mut reason, dropped } = verdict;
    let levels = match (kind, format) {
        (ColumnKind::Category, Some(format)) => {
            let levels: BTreeSet<String> =
                survey.levels().iter().map(|level| format.level(level).to_owned()).collect();
            levels.into_iter().collect()
        }
        (ColumnKind::Category, None) => wanted.levels.clone().unwrap_or_else(|| survey.levels()),
        _ => Vec::new(),
    };
    let missing = survey.n_rows - survey.present;
    if missing > 0 && survey.present > 0 {
        reason = format!("{reason}; {} missing", thousands(missing));
    }
    if kind == ColumnKind::Number && survey.rounded > 0 {
        let n = counted(survey.rounded, cell);
        reason = format!("{reason}; {n} beyond 2^53, rounded to 16 digits");
    }
    Ok(ColumnSchema { name: name.clone(), kind, format, null: wanted.null.clone(), reason, levels, dropped })
}

/// A column of lists, structs or bytes: left out, unless the user says that it is something.
fn foreign(name: &str, wanted: &Wanted, survey: &Survey) -> Result<Verdict> {
    let what = survey.foreign.as_deref().unwrap_or_default();
    match wanted.kind {
        None | Some(ColumnKind::Text | ColumnKind::Identifier) => Ok(Verdict::drop(
            ColumnKind::Text,
            format!("{}, of which nothing can be learned", shown(what)),
            format!("its cells are {}", shown(what)),
        )),
        Some(kind) => Err(Error::data(
            format!("column {}: expected a {kind} in each cell, found {}", shown(name), shown(what)),
            "spread its parts over columns of their own before, or leave the setting out",
        )),
    }
}

/// The kind that the user names, if the cells allow it.
fn asked_for(name: &str, kind: ColumnKind, survey: &Survey) -> Result<Verdict> {
    let reason = "as set".to_owned();
    match kind {
        ColumnKind::Number if survey.has_words() => match survey.dressed() {
            Some((format, what)) if format.is_of_numbers() => {
                Ok(Verdict::keep(kind, format!("as set: {what}")).written(format))
            }
            _ => Err(odd_cells(name, survey, kind)),
        },
        ColumnKind::Number if survey.days > 0 => Err(Error::data(
            format!("column {}: expected a number, found dates", shown(name)),
            format!("--set {}", column_setting(name, "kind", "date")),
        )),
        ColumnKind::Number => match &survey.not_finite {
            Some(cell) => Err(not_finite(cell)),
            None => Ok(Verdict::keep(kind, reason)),
        },
        ColumnKind::Date if survey.dates + survey.days < survey.present => match survey.dressed() {
            Some((format, what)) if !format.is_of_numbers() => {
                Ok(Verdict::keep(kind, format!("as set: {what}")).written(format))
            }
            _ if survey.dress.is_unclear_date() => Err(unclear_dates(name, survey)),
            _ => Err(odd_cells(name, survey, kind)),
        },
        ColumnKind::Date | ColumnKind::Category => Ok(Verdict::keep(kind, reason)),
        ColumnKind::Text | ColumnKind::Identifier => Ok(Verdict::drop(kind, reason, kind.to_string())),
    }
}

/// The kind of a column whose cells the user says to be written so.
fn as_written(name: &str, kind: Option<ColumnKind>, format: CellFormat, survey: &Survey) -> Result<Verdict> {
    let meant = match format {
        CellFormat::DecimalPoint | CellFormat::DecimalComma => ColumnKind::Number,
        CellFormat::DayFirst | CellFormat::MonthFirst => ColumnKind::Date,
        CellFormat::YesNo => ColumnKind::Category,
    };
    if let Some(kind) = kind.filter(|&kind| kind != meant) {
        return Err(Error::setting(
            format!(
                "data.columns.{name}: the format {format} is one of a {meant}, and the kind is set to {kind}"
            ),
            "leave one of the two out",
        ));
    }
    let fits = |text: &str| match meant {
        ColumnKind::Number => format.number(text).is_some(),
        ColumnKind::Date => format.days(text).is_some(),
        _ => yes_or_no(text).is_some(),
    };
    let of_other_mark = format.decimal_comma().is_some_and(|comma| comma != survey.mark.comma);
    let odd = survey.words.iter().find(|word| !fits(&word.text)).map(|word| (&word.first, &word.text));
    let odd = odd.or(survey.only_of_own_mark.as_ref().filter(|_| of_other_mark).map(|c| (&c.place, &c.text)));
    match odd {
        None => Ok(Verdict::keep(meant, "as set".to_owned()).written(format)),
        Some((place, text)) => Err(Error::data(
            format!("{place}: expected a cell of the format {format}, found {}", shown(text)),
            format!("{} to take it as missing, or leave the format out", null_option([text.as_str()])),
        )),
    }
}

/// A category whose values the user names.
fn of_levels(name: &str, kind: Option<ColumnKind>, levels: &[String], survey: &Survey) -> Result<Verdict> {
    if let Some(kind) = kind.filter(|&kind| kind != ColumnKind::Category) {
        return Err(Error::setting(
            format!("data.columns.{name}: levels are those of a category, and the kind is set to {kind}"),
            "leave one of the two out",
        ));
    }
    match survey.words.iter().find(|word| !levels.contains(&word.text)) {
        None => Ok(Verdict::keep(ColumnKind::Category, "as set".to_owned())),
        Some(word) => Err(Error::data(
            format!("{}: expected one of the levels that are set, found {}", word.first, shown(&word.text)),
            instead(&word.text, levels.iter().map(String::as_str))
                .replace("the columns are", "the levels are"),
        )),
    }
}

/// A column of numbers: to compute with, or only to name the rows by.
fn numeric(name: &str, survey: &Survey, cell: &str) -> Result<Verdict> {
    if let Some(cell) = &survey.not_finite {
        return Err(not_finite(cell));
    }
    let cells = counted(survey.present, cell);
    if survey.whole && named_like_an_identifier(name) && survey.all_different() {
        return Ok(Verdict::drop(
            ColumnKind::Identifier,
            format!("whole numbers, all {} different, named like an identifier", thousands(survey.present)),
            "identifier",
        ));
    }
    let few = survey.different_numbers();
    let reason = if survey.whole && (2..=FEW_NUMBERS).contains(&few) {
        format!("all {cells} are numbers, {few} different whole ones")
    } else {
        format!("all {cells} are numbers")
    };
    Ok(Verdict::keep(ColumnKind::Number, reason))
}

/// A column in which at least one cell is no number.
fn worded(name: &str, survey: &Survey, cell: &str) -> Result<Verdict> {
    let present = survey.present;
    let cells = counted(present, cell);
    if survey.dates + survey.days == present {
        return Ok(Verdict::keep(ColumnKind::Date, format!("all {cells} are dates")));
    }
    if let Some((format, what)) = survey.dressed() {
        let kind = if format.is_of_numbers() { ColumnKind::Number } else { ColumnKind::Date };
        return Ok(Verdict::keep(kind, format!("all {cells} are {what}")).written(format));
    }
    let (words, numbers) = (survey.different_words(), survey.different_numbers());
    let levels = words + numbers;
    // A few words among many numbers are slips of the pen, and not names of categories.
    if numbers > 0 && words * 20 <= levels {
        return Err(odd_cells(name, survey, ColumnKind::Number));
    }
    let dates = survey.words.iter().filter(|word| word.is_date).count();
    if dates > 0 && (levels - dates) * 20 <= levels {
        return Err(odd_cells(name, survey, ColumnKind::Date));
    }
    // Nor are they among numbers or dates of another format.
    if let Some(format) = survey.nearest_format() {
        let kind = if format.is_of_numbers() { ColumnKind::Number } else { ColumnKind::Date };
        let odd_numbers = if kind == ColumnKind::Date { numbers } else { 0 };
        let odd = survey.odd_words(kind == ColumnKind::Date).len() + odd_numbers;
        if odd > 0 && odd * 20 <= levels {
            return Err(odd_cells(name, survey, kind));
        }
    }
    let differ = format!("{} among {cells}", counted(levels, "different value"));
    let unclear = if survey.dress.is_unclear_date() {
        format!(
            "; if these are dates, say what comes first: --set {}, or month_first",
            column_setting(name, "format", "day_first")
        )
    } else {
        String::new()
    };
    if are_boolean(survey) {
        let verdict = Verdict::keep(ColumnKind::Category, format!("yes or no, as {differ}"));
        // Two spellings are two levels; more are made two.
        return Ok(if levels > 2 { verdict.written(CellFormat::YesNo) } else { verdict });
    }
    if levels == present && present > 1 || survey.n_words == present && survey.all_different() && present > 1
    {
        let length = survey.length / survey.n_words.max(1);
        let (kind, what) = if length <= IDENTIFIER_LENGTH {
            (ColumnKind::Identifier, "text")
        } else {
            (ColumnKind::Text, "long text")
        };
        let reason = format!("{what} that is different in every {}{unclear}", cell.replace("cell", "row"));
        return Ok(Verdict::drop(kind, reason, kind.to_string()));
    }
    let enough = if levels <= FEW_LEVELS { 2 } else { REPEATS };
    if levels == 1 || (levels <= MOST_LEVELS && present >= enough * levels) {
        return Ok(Verdict::keep(ColumnKind::Category, format!("text, {differ}{unclear}")));
    }
    let why = if levels > MOST_LEVELS { "too many to be categories" } else { "which seldom repeat" };
    Ok(Verdict::drop(ColumnKind::Text, format!("text, {differ}, {why}{unclear}"), "text"))
}

/// Whether the first or last word of a name says that the column names the rows.
pub(crate) fn named_like_an_identifier(name: &str) -> bool {
    const WORDS: [&str; 10] = ["id", "ids", "uid", "uuid", "guid", "key", "index", "idx", "rowid", "rownum"];
    let words = words_of_name(name);
    [words.first(), words.last()].into_iter().flatten().any(|word| WORDS.contains(&word.as_str()))
}

/// The words that a name is put together of, in small letters: `passengerId` and `passenger_id` are of the same.
pub(crate) fn words_of_name(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        // A word ends at a mark, and where a capital follows a small letter: `passengerId`.
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether the words are those of one yes-or-no question, however they are spelled.
fn are_boolean(survey: &Survey) -> bool {
    survey.numbers == 0
        && survey.words.len() <= 12
        && survey.words.iter().all(|word| yes_or_no(&word.text).is_some())
}

#[cfg(test)]
mod tests;
