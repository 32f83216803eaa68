//! What the columns of a table are, each decided from the whole file and with its reason.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cell::{Numeric, UNDRESS, dressed_numbers, finite, parse_date, parse_number};
use super::read::RawTable;
use super::words::{column_setting, counted, instead, null_option, shown, thousands};
pub use crate::config::ColumnKind;
use crate::{Error, Result};

/// Number columns with at most this many distinct whole numbers are pointed out: they may be categories.
pub const FEW_NUMBERS: usize = 20;
/// Text with at most this many distinct values is a category where values repeat at all.
pub const FEW_LEVELS: usize = 50;
/// Text with more distinct values than this is not made a category unasked.
pub const MOST_LEVELS: usize = 1_000;
/// How often a value must repeat on average where there are more than [`FEW_LEVELS`].
const REPEATS: usize = 10;
/// Distinct strings longer than this on average, in bytes, are text and not identifiers.
const IDENTIFIER_LENGTH: usize = 40;

/// One column of a [`Schema`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSchema {
    /// The name in the header.
    pub name: String,
    /// What its cells mean.
    pub kind: ColumnKind,
    /// Why it is of this kind.
    pub reason: String,
    /// The values of a category in the whole file, sorted; to be read by people, fitted by nothing.
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

    /// The same schema without these columns: without the target, say, which is no input.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let keep = |column: &&ColumnSchema| !names.contains(&column.name.as_str());
        Self { columns: self.columns.iter().filter(keep).cloned().collect() }
    }
}

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
    for name in overrides.keys() {
        if raw.column_index(name).is_none() {
            return Err(Error::setting(
                format!("data.columns: there is no column {} in {}", shown(name), raw.source.display()),
                instead(name, raw.names()),
            ));
        }
    }
    let infer = |column| infer_column(raw, column, overrides.get(raw.name(column)).copied());
    let wanted: Vec<usize> = (0..raw.n_columns()).filter(|&c| !aside.contains(raw.name(c))).collect();
    let columns: Vec<Result<ColumnSchema>> = wanted.into_par_iter().map(infer).collect();
    Ok(Schema { columns: columns.into_iter().collect::<Result<_>>()? })
}

/// What one pass over a column finds.
#[derive(Default)]
struct Survey {
    present: usize,
    numbers: usize,
    dates: usize,
    whole: bool,
    /// The first cell beyond the range of finite numbers.
    not_finite: Option<usize>,
    /// The first cell that is no number of any kind.
    first_word: Option<usize>,
    /// Distinct numbers, as long as there are at most [`FEW_NUMBERS`].
    few: Option<Vec<f64>>,
}

impl Survey {
    fn of(raw: &RawTable, column: usize) -> Self {
        let mut found = Self { whole: true, few: Some(Vec::new()), ..Self::default() };
        for (row, value) in raw.values(column).enumerate() {
            let Some(value) = value else { continue };
            found.present += 1;
            match parse_number(value) {
                Numeric::Finite(number) => found.count(number),
                Numeric::NotFinite => {
                    found.not_finite.get_or_insert(row);
                }
                Numeric::Not => {
                    found.first_word.get_or_insert(row);
                    found.dates += usize::from(parse_date(value).is_some());
                }
            }
        }
        found
    }

    fn count(&mut self, number: f64) {
        self.numbers += 1;
        self.whole &= number.fract() == 0.0;
        if let Some(few) = &mut self.few
            && !few.contains(&number)
        {
            few.push(number);
            if few.len() > FEW_NUMBERS {
                self.few = None;
            }
        }
    }

    /// Whether every cell that is not missing is a number, some of them finite.
    fn numeric(&self) -> bool {
        self.numbers > 0 && self.first_word.is_none()
    }
}

/// A kind, its reason, and why the column is dropped if it is.
struct Verdict {
    kind: ColumnKind,
    reason: String,
    dropped: Option<String>,
}

impl Verdict {
    fn keep(kind: ColumnKind, reason: String) -> Self {
        Self { kind, reason, dropped: None }
    }

    fn drop(kind: ColumnKind, reason: String, dropped: impl Into<String>) -> Self {
        Self { kind, reason, dropped: Some(dropped.into()) }
    }
}

fn infer_column(raw: &RawTable, column: usize, wanted: Option<ColumnKind>) -> Result<ColumnSchema> {
    let survey = Survey::of(raw, column);
    // The distinct words are gathered only where they decide something or are to be listed.
    let words = wanted == Some(ColumnKind::Category) || (wanted.is_none() && !survey.numeric());
    let distinct: BTreeSet<&str> = if words {
        let distinct: HashSet<&str> = raw.values(column).flatten().collect();
        distinct.into_iter().collect()
    } else {
        BTreeSet::new()
    };
    let mut verdict = match wanted {
        _ if survey.present == 0 => Verdict::drop(
            wanted.unwrap_or(ColumnKind::Text),
            format!("all {} are missing", counted(raw.n_rows(), "cell")),
            "all missing",
        ),
        Some(kind) => asked_for(raw, column, kind, &survey)?,
        None if survey.numeric() => numeric(raw, column, &survey)?,
        None => worded(raw, column, &survey, &distinct)?,
    };
    let single = distinct.len() == 1 || survey.few.as_ref().is_some_and(|few| few.len() == 1);
    // Where some cells are missing, which ones they are may still tell something.
    if verdict.dropped.is_none() && single && survey.present == raw.n_rows() && constant(raw, column, &survey)
    {
        let value = raw.value(0, column).unwrap_or_default();
        verdict.dropped = Some(format!("constant: every cell is {}", shown(value)));
    }
    let levels = if verdict.kind == ColumnKind::Category {
        distinct.into_iter().map(str::to_owned).collect()
    } else {
        Vec::new()
    };
    let Verdict { kind, mut reason, dropped } = verdict;
    let missing = raw.n_rows() - survey.present;
    if missing > 0 && survey.present > 0 {
        reason = format!("{reason}; {} missing", thousands(missing));
    }
    Ok(ColumnSchema { name: raw.name(column).to_owned(), kind, reason, levels, dropped })
}

/// Whether every cell says the same; only asked where at most one number has been seen.
fn constant(raw: &RawTable, column: usize, survey: &Survey) -> bool {
    if survey.numbers == survey.present {
        return true;
    }
    let first = raw.value(0, column);
    raw.values(column).all(|value| value == first)
}

/// The kind that the user names, if the cells allow it.
fn asked_for(raw: &RawTable, column: usize, kind: ColumnKind, survey: &Survey) -> Result<Verdict> {
    let reason = "as set".to_owned();
    match kind {
        ColumnKind::Number if survey.first_word.is_some() => Err(odd_cells(raw, column, kind)),
        ColumnKind::Number => match survey.not_finite {
            Some(row) => Err(not_finite(raw, row, column)),
            None => Ok(Verdict::keep(kind, reason)),
        },
        ColumnKind::Date if survey.dates < survey.present => Err(odd_cells(raw, column, kind)),
        ColumnKind::Date | ColumnKind::Category => Ok(Verdict::keep(kind, reason)),
        ColumnKind::Text | ColumnKind::Identifier => Ok(Verdict::drop(kind, reason, kind.to_string())),
    }
}

/// A column of numbers: to compute with, or only to name the rows by.
fn numeric(raw: &RawTable, column: usize, survey: &Survey) -> Result<Verdict> {
    if let Some(row) = survey.not_finite {
        return Err(not_finite(raw, row, column));
    }
    let name = raw.name(column);
    let cells = counted(survey.present, "cell");
    if survey.whole && named_like_an_identifier(name) && all_distinct(raw, column) {
        return Ok(Verdict::drop(
            ColumnKind::Identifier,
            format!("whole numbers, all {} different, named like an identifier", thousands(survey.present)),
            "identifier",
        ));
    }
    let reason = match &survey.few {
        Some(few) if survey.whole && few.len() > 1 => {
            format!("all {cells} are numbers, {} different whole ones", few.len())
        }
        _ => format!("all {cells} are numbers"),
    };
    Ok(Verdict::keep(ColumnKind::Number, reason))
}

/// A column in which at least one cell is no number.
fn worded(raw: &RawTable, column: usize, survey: &Survey, distinct: &BTreeSet<&str>) -> Result<Verdict> {
    let (present, levels) = (survey.present, distinct.len());
    if survey.dates == present {
        return Ok(Verdict::keep(ColumnKind::Date, format!("all {} are dates", counted(present, "cell"))));
    }
    // A few words among many numbers are slips of the pen, and not names of categories.
    let numbers = distinct.iter().filter(|value| finite(value).is_some()).count();
    if numbers > 0 && (levels - numbers) * 20 <= levels {
        return Err(odd_cells(raw, column, ColumnKind::Number));
    }
    let dates = distinct.iter().filter(|value| parse_date(value).is_some()).count();
    if dates > 0 && (levels - dates) * 20 <= levels {
        return Err(odd_cells(raw, column, ColumnKind::Date));
    }
    let differ = format!("{} among {}", counted(levels, "different value"), counted(present, "cell"));
    if are_boolean(distinct) {
        return Ok(Verdict::keep(ColumnKind::Category, format!("yes or no, as {differ}")));
    }
    let hint = if dressed_numbers(distinct.iter().copied()) { format!("; {UNDRESS}") } else { String::new() };
    if levels == present && present > 1 {
        let length = distinct.iter().map(|value| value.len()).sum::<usize>() / levels;
        let (kind, what) = if length <= IDENTIFIER_LENGTH {
            (ColumnKind::Identifier, "text that is different in every row")
        } else {
            (ColumnKind::Text, "long text that is different in every row")
        };
        return Ok(Verdict::drop(kind, format!("{what}{hint}"), kind.to_string()));
    }
    let enough = if levels <= FEW_LEVELS { 2 } else { REPEATS };
    if levels == 1 || (levels <= MOST_LEVELS && present >= enough * levels) {
        return Ok(Verdict::keep(ColumnKind::Category, format!("text, {differ}{hint}")));
    }
    let why = if levels > MOST_LEVELS { "too many to be categories" } else { "which seldom repeat" };
    Ok(Verdict::drop(ColumnKind::Text, format!("text, {differ}, {why}{hint}"), "text"))
}

/// The error of a column that holds numbers or dates but for a few cells.
fn odd_cells(raw: &RawTable, column: usize, kind: ColumnKind) -> Error {
    let fits = |value: &str| match kind {
        ColumnKind::Date => parse_date(value).is_some(),
        _ => parse_number(value) != Numeric::Not,
    };
    let mut first = None;
    let mut count = 0;
    let mut words: Vec<&str> = Vec::new();
    for (row, value) in raw.values(column).enumerate() {
        let Some(value) = value.filter(|value| !fits(value)) else { continue };
        first.get_or_insert((row, value));
        count += 1;
        if words.len() < 3 && !words.contains(&value) {
            words.push(value);
        }
    }
    let (row, cell) = first.unwrap_or_default();
    let more = if count > 1 { format!(" ({} like it)", thousands(count - 1)) } else { String::new() };
    Error::data(
        format!("{}: expected a {kind}, found {}{more}", raw.place(row, column), shown(cell)),
        format!(
            "{} to take it as missing, or --set {}",
            null_option(words),
            column_setting(raw.name(column), "kind", "category")
        ),
    )
}

/// The error of a number that is not finite.
fn not_finite(raw: &RawTable, row: usize, column: usize) -> Error {
    let cell = raw.value(row, column).unwrap_or_default();
    Error::data(
        format!("{}: expected a finite number, found {}", raw.place(row, column), shown(cell)),
        format!("{} to take it as missing", null_option([cell])),
    )
}

/// Whether the first or last word of a name says that the column names the rows.
pub(crate) fn named_like_an_identifier(name: &str) -> bool {
    const WORDS: [&str; 10] = ["id", "ids", "uid", "uuid", "guid", "key", "index", "idx", "rowid", "rownum"];
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
    [words.first(), words.last()].into_iter().flatten().any(|word| WORDS.contains(&word.as_str()))
}

/// Whether no number occurs twice among the cells that are not missing.
fn all_distinct(raw: &RawTable, column: usize) -> bool {
    let mut seen = HashSet::new();
    raw.values(column).flatten().all(|value| match parse_number(value) {
        Numeric::Finite(number) => seen.insert(number.to_bits()),
        Numeric::NotFinite | Numeric::Not => false,
    })
}

/// Whether these are the two words of a yes-or-no question, or one of them.
fn are_boolean(distinct: &BTreeSet<&str>) -> bool {
    const PAIRS: [[&str; 2]; 5] = [["false", "true"], ["no", "yes"], ["n", "y"], ["f", "t"], ["off", "on"]];
    let fits = |pair: &[&str; 2]| {
        distinct.iter().all(|value| pair.iter().any(|word| word.eq_ignore_ascii_case(value)))
    };
    PAIRS.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::read::{ReadOptions, parse_csv};
    use super::*;

    fn raw(name: &str, cells: &[String]) -> RawTable {
        // A second column keeps rows whose only cell is empty from being blank lines.
        let text = format!("{name},other\n{}\n", cells.join(",o\n") + ",o");
        parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default()).unwrap()
    }

    fn infer(name: &str, cells: &[String], kind: Option<ColumnKind>) -> Result<ColumnSchema> {
        let overrides = kind.map(|kind| (name.to_owned(), kind)).into_iter().collect();
        infer_schema(&raw(name, cells), &overrides, &BTreeSet::new())
            .map(|mut schema| schema.columns.remove(0))
    }

    fn cells(n: usize, cell: impl Fn(usize) -> String) -> Vec<String> {
        (0..n).map(cell).collect()
    }

    #[test]
    fn each_kind_is_recognised_with_a_reason() {
        use ColumnKind::{Category, Date, Identifier, Number, Text};
        let cycle = |words: &'static [&'static str]| cells(100, |i| words[i % words.len()].to_owned());
        let cases = vec![
            ("x", cells(100, |i| format!("{i}.5")), Number, None, "all 100 cells are numbers"),
            (
                "x",
                cycle(&["1e3", "+2", " -3 ", ""]),
                Number,
                None,
                "all 75 cells are numbers, 3 different whole ones",
            ),
            ("x", cycle(&["0", "1"]), Number, None, "2 different whole ones"),
            ("x", cells(100, |i| i.to_string()), Number, None, "all 100 cells are numbers"),
            ("user_id", cells(100, |i| i.to_string()), Identifier, Some("identifier"), "all 100 different"),
            ("PassengerId", cells(100, |i| i.to_string()), Identifier, Some("identifier"), "identifier"),
            ("id", cells(100, |i| (i / 2).to_string()), Number, None, "numbers"),
            ("id", cells(100, |i| format!("{i}.5")), Number, None, "numbers"),
            ("humid", cells(100, |i| i.to_string()), Number, None, "numbers"),
            ("x", cycle(&["yes", "no"]), Category, None, "yes or no"),
            ("x", cycle(&["True", "FALSE", ""]), Category, None, "yes or no"),
            ("x", cycle(&["red", "green", "1"]), Category, None, "text, 3 different values among 100"),
            ("x", cells(1000, |i| format!("v{}", i % 80)), Category, None, "80 different values"),
            ("x", cells(1000, |i| format!("v{}", i % 300)), Text, Some("text"), "seldom repeat"),
            ("x", cells(12_000, |i| format!("v{}", i % 1100)), Text, Some("text"), "too many"),
            ("x", cells(100, |i| format!("u{i}")), Identifier, Some("identifier"), "different in every row"),
            (
                "x",
                cells(100, |i| format!("${i}.50")),
                Identifier,
                Some("identifier"),
                "row; written as 1234.5",
            ),
            ("x", cycle(&["10%", "20%"]), Category, None, "100 cells; written as 1234.5, without signs"),
            ("x", cells(100, |i| format!("{i} {}", "long ".repeat(20))), Text, Some("text"), "long text"),
            (
                "x",
                cells(100, |i| format!("2024-01-{:02}", i % 28 + 1)),
                Date,
                None,
                "all 100 cells are dates",
            ),
            ("x", cycle(&["01.02.2023 10:30", "2024/02/03", ""]), Date, None, "dates"),
            ("x", cycle(&["", "NA"]), Text, Some("all missing"), "all 100 cells are missing"),
            ("x", cycle(&["7"]), Number, Some("constant: every cell is `7`"), "numbers"),
            ("x", cycle(&["a"]), Category, Some("constant: every cell is `a`"), "text"),
            ("x", cycle(&["2024-01-01"]), Date, Some("constant: every cell is `2024-01-01`"), "dates"),
            ("x", cycle(&["7", ""]), Number, None, "numbers"),
            ("x", cycle(&["inf", "wrong"]), Category, None, "text"),
        ];
        for (name, cells, kind, dropped, reason) in cases {
            let column = infer(name, &cells, None).unwrap();
            assert_eq!((column.kind, column.dropped.as_deref()), (kind, dropped), "{name} {:?}", &cells[..3]);
            assert!(column.reason.contains(reason), "{} lacks {reason}", column.reason);
        }
    }

    #[test]
    fn levels_are_sorted_and_of_categories_only() {
        let words = cells(30, |i| ["b", " a", "", "c "][i % 4].to_owned());
        assert_eq!(infer("x", &words, None).unwrap().levels, ["a", "b", "c"]);
        let numbers = cells(30, |i| (i % 3).to_string());
        assert!(infer("x", &numbers, None).unwrap().levels.is_empty());
        assert_eq!(infer("x", &numbers, Some(ColumnKind::Category)).unwrap().levels, ["0", "1", "2"]);
    }

    #[test]
    fn what_the_user_says_wins_where_it_can() {
        let numbers = cells(30, |i| i.to_string());
        for kind in [ColumnKind::Text, ColumnKind::Identifier] {
            assert_eq!(infer("x", &numbers, Some(kind)).unwrap().dropped, Some(kind.to_string()));
        }
        let id = infer("id", &numbers, Some(ColumnKind::Number)).unwrap();
        assert_eq!((id.kind, id.dropped, id.reason.as_str()), (ColumnKind::Number, None, "as set"));
        let words = cells(30, |i| format!("w{i}"));
        assert!(infer("x", &words, Some(ColumnKind::Category)).unwrap().dropped.is_none());
        assert!(infer("x", &words, Some(ColumnKind::Number)).is_err());
        assert!(infer("x", &numbers, Some(ColumnKind::Date)).is_err());
        let overrides = BTreeMap::from([("bmj".to_owned(), ColumnKind::Number)]);
        let error = infer_schema(&raw("bmi", &numbers), &overrides, &BTreeSet::new()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("did you mean `bmi`?"), "{error}");
    }

    #[test]
    fn slips_among_numbers_are_errors_that_name_the_cell() {
        let mut numbers = cells(200, |i| i.to_string());
        for row in [57, 60, 61] {
            numbers[row] = "n/a.".to_owned();
        }
        numbers[99] = "not known".to_owned();
        let message = infer("bmi", &numbers, None).unwrap_err().to_string();
        assert_eq!(
            message,
            "row 58 (line 59), column `bmi`: expected a number, found `n/a.` (3 like it)\n  \
             try: --null n/a. --null 'not known' to take it as missing, or --set data.columns.bmi.kind=category"
        );
        let mut dates = cells(28, |i| format!("2024-01-{:02}", i + 1));
        dates[5] = "2024-02-30".to_owned();
        let message = infer("d", &dates, None).unwrap_err().to_string();
        assert!(
            message.contains("row 6 (line 7), column `d`: expected a date, found `2024-02-30`\n"),
            "{message}"
        );
    }

    #[test]
    fn numbers_beyond_bounds_are_errors_that_name_the_cell() {
        for cell in ["inf", "1e400", "-Infinity"] {
            let mut numbers = cells(30, |i| i.to_string());
            numbers[3] = cell.to_owned();
            let message = infer("x", &numbers, None).unwrap_err().to_string();
            assert!(
                message.contains(&format!(
                    "row 4 (line 5), column `x`: expected a finite number, found `{cell}`"
                )),
                "{message}"
            );
            assert!(message.contains(&format!("--null {cell}")), "{message}");
            assert!(infer("x", &numbers, Some(ColumnKind::Number)).is_err());
        }
    }

    #[test]
    fn columns_set_aside_are_not_looked_at() {
        let mut numbers = cells(200, |i| i.to_string());
        numbers[57] = "slip".to_owned();
        let raw = raw("bmi", &numbers);
        assert!(infer_schema(&raw, &BTreeMap::new(), &BTreeSet::new()).is_err());
        let schema = infer_schema(&raw, &BTreeMap::new(), &BTreeSet::from(["bmi"])).unwrap();
        assert_eq!(schema.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["other"]);
    }

    #[test]
    fn schemas_are_saved_in_lower_case_and_taken_apart_by_name() {
        let schema =
            infer_schema(&raw("x", &cells(30, |i| i.to_string())), &BTreeMap::new(), &BTreeSet::new())
                .unwrap();
        let saved = serde_json::to_string(&schema).unwrap();
        assert!(saved.contains(r#""kind":"number""#), "{saved}");
        assert_eq!(serde_json::from_str::<Schema>(&saved).unwrap(), schema);
        assert_eq!(schema.kept().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["x"]);
        assert!(schema.without(&["x"]).get("x").is_none());
        assert!(schema.without(&["x"]).get("other").is_some());
    }
}
