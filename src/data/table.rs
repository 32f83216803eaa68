//! A table with its columns typed: what a schema makes of the cells of a file.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cell::parse_date;
use super::cell_format::{CellFormat, by_other_mark, number_in};
use super::read::RawTable;
use super::schema::{ColumnKind, Schema};
use super::words::{counted, shown, thousands};
use crate::error::nearest;
use crate::{Error, Result};

/// The code of a missing cell in [`ColumnData::Category`].
pub const MISSING: u32 = u32::MAX;

/// The number of a row of a table, from 0 on: of a table of many rows, lists of such numbers are what memory goes to.
pub type RowIdx = u32;

/// The most rows of a table that are told apart by number.
pub const MOST_ROWS: usize = RowIdx::MAX as usize;

/// Refuses a table of more rows than are told apart by number.
pub(crate) fn check_rows(source: &Path, n_rows: usize) -> Result<()> {
    if n_rows <= MOST_ROWS {
        return Ok(());
    }
    Err(Error::data(
        format!(
            "{} has {} or more, and at most {} are told apart",
            source.display(),
            counted(n_rows, "row"),
            thousands(MOST_ROWS)
        ),
        "train on a sample of them",
    ))
}

/// The cells of one column, by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnData {
    /// Numbers; NaN where missing.
    Number(Vec<f64>),
    /// Categories, as indices into the sorted levels of this table; [`MISSING`] where missing.
    Category {
        /// The level of each row.
        codes: Vec<u32>,
        /// The distinct values, sorted by their bytes.
        levels: Vec<String>,
    },
    /// Days since 1970-01-01 with the time as a fraction; NaN where missing.
    Date(Vec<f64>),
    /// Nothing: the schema drops this column.
    Dropped,
}

/// One named column of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The name in the header.
    pub name: String,
    /// Its cells.
    pub data: ColumnData,
}

/// Something about a column that the user should hear of and that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The column.
    pub column: String,
    /// How many cells it is about.
    pub count: usize,
    /// The first of them, and what it should be: ``row 3 (line 4), column `a`: expected a date, found `x` ``.
    pub first: String,
    /// Up to two other texts of such cells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
}

impl Note {
    /// Texts that are told besides the first.
    pub(crate) const MOST_OTHERS: usize = 2;

    /// The first cell, and what other texts there are.
    pub fn found(&self) -> String {
        let others: Vec<String> = self.others.iter().map(|text| shown(text)).collect();
        if others.is_empty() {
            self.first.clone()
        } else {
            format!("{}, further on {}", self.first, others.join(" and "))
        }
    }

    /// What it is, as a sentence for the user.
    pub fn what(&self) -> String {
        let verb = if self.count == 1 { "counts" } else { "count" };
        format!("{}; {} of this column {verb} as missing", self.found(), counted(self.count, "such cell"))
    }
}

/// A table with typed columns, in the order of a schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    n_rows: usize,
    columns: Vec<Column>,
    ignored: Vec<String>,
    notes: Vec<Note>,
}

impl Table {
    /// Takes the columns of `schema` out of a file, whatever their order there.
    ///
    /// Columns that the schema does not know are passed over and listed in [`Table::ignored`]; a
    /// column that it needs must be there. Cells that are no number (or date) where one is
    /// expected count as missing, with a note: a table to predict may be worse than the one that
    /// was learned from. Linear in the number of cells; columns are read in parallel.
    pub fn from_raw(raw: &RawTable, schema: &Schema) -> Result<Self> {
        let at: HashMap<&str, usize> = raw.names().zip(0..).collect();
        let lacking: Vec<&str> =
            schema.kept().map(|column| column.name.as_str()).filter(|name| !at.contains_key(name)).collect();
        if !lacking.is_empty() {
            let needed: HashSet<&str> = schema.kept().map(|column| column.name.as_str()).collect();
            return Err(lacks(raw, &lacking, &needed));
        }
        let read = schema.columns.par_iter().map(|column| {
            let (data, note) = match (at.get(column.name.as_str()), &column.dropped) {
                (Some(&index), None) => read_column(raw, index, column.kind, column.format),
                _ => (ColumnData::Dropped, None),
            };
            (Column { name: column.name.clone(), data }, note)
        });
        let (columns, notes): (Vec<Column>, Vec<Option<Note>>) = read.unzip();
        let known: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let ignored = raw.names().filter(|name| !known.contains(name)).map(str::to_owned).collect();
        Ok(Self { n_rows: raw.n_rows(), columns, ignored, notes: notes.into_iter().flatten().collect() })
    }

    /// A table of columns that are typed already, in the order of a schema's kept ones.
    pub(crate) fn of_columns(n_rows: usize, columns: Vec<Column>) -> Self {
        Self { n_rows, columns, ignored: Vec::new(), notes: Vec::new() }
    }

    /// The number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The columns, in the order of the schema.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns of the file that the schema does not know.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// What the user should hear of.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

fn read_column(
    raw: &RawTable,
    index: usize,
    kind: ColumnKind,
    format: Option<CellFormat>,
) -> (ColumnData, Option<Note>) {
    match kind {
        ColumnKind::Number => {
            let parse = |cell: &str| number_in(cell, format, raw.decimal_comma());
            let typed = raw.numbers_of(index, format.and_then(CellFormat::decimal_comma));
            let (numbers, mut note) = read_numbers(raw, index, typed, parse, "a finite number");
            if let Some((note, cell)) = &mut note
                && let Some(number) = by_other_mark(cell, format, raw.decimal_comma())
            {
                let other = if raw.decimal_comma() { "point" } else { "comma" };
                note.first += &format!(" ({number} with --decimal {other})");
            }
            (ColumnData::Number(numbers), note.map(|(note, _)| note))
        }
        ColumnKind::Date => {
            let parse = |cell: &str| parse_date(cell).or_else(|| format?.days(cell));
            let (days, note) = read_numbers(raw, index, raw.days(index), parse, "a date");
            (ColumnData::Date(days), note.map(|(note, _)| note))
        }
        ColumnKind::Category => (read_categories(raw, index, format), None),
        ColumnKind::Text | ColumnKind::Identifier => (ColumnData::Dropped, None),
    }
}

/// The numbers of a column, and a note on the cells that are none with the first of them.
fn read_numbers<'r>(
    raw: &'r RawTable,
    index: usize,
    typed: Option<&[f64]>,
    parse: impl Fn(&str) -> Option<f64>,
    expected: &str,
) -> (Vec<f64>, Option<(Note, &'r str)>) {
    if let Some(typed) = typed.filter(|typed| typed.iter().all(|x| !x.is_infinite())) {
        return (typed.to_vec(), None);
    }
    let mut count = 0;
    let mut first = None;
    let mut others: Vec<&str> = Vec::new();
    let mut numbers = Vec::with_capacity(raw.n_rows());
    for (row, value) in raw.values(index).enumerate() {
        let number = value.map(|value| {
            parse(value).unwrap_or_else(|| {
                count += 1;
                let (_, first) = *first.get_or_insert((row, value));
                if value != first && others.len() < Note::MOST_OTHERS && !others.contains(&value) {
                    others.push(value);
                }
                f64::NAN
            })
        });
        numbers.push(number.unwrap_or(f64::NAN));
    }
    let note = first.map(|(row, value)| {
        let first = format!("{}: expected {expected}, found {}", raw.place(row, index), shown(value));
        let others = others.into_iter().map(str::to_owned).collect();
        (Note { column: raw.name(index).to_owned(), count, first, others }, value)
    });
    (numbers, note)
}

/// The sorted levels of a column and the index of each row's; one hash look-up a cell, unless the cells are codes already.
fn read_categories(raw: &RawTable, index: usize, format: Option<CellFormat>) -> ColumnData {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    let mut code = |value| {
        let value = format.map_or(value, |format| format.level(value));
        // A column holds less than 2³² bytes, hence fewer levels than there are codes.
        let next = seen.len() as u32;
        *seen.entry(value).or_insert(next)
    };
    let mut codes: Vec<u32> = if let Some((codes, levels)) = raw.codes(index) {
        let to: Vec<u32> = levels.iter().map(|level| code(level.as_str())).collect();
        codes.iter().map(|&code| to.get(code as usize).copied().unwrap_or(MISSING)).collect()
    } else {
        raw.values(index).map(|value| value.map_or(MISSING, &mut code)).collect()
    };
    let mut levels: Vec<(&str, u32)> = seen.into_iter().collect();
    levels.sort_unstable();
    let mut rank = vec![0; levels.len()];
    for (position, (_, code)) in levels.iter().enumerate() {
        rank[*code as usize] = position as u32;
    }
    for code in codes.iter_mut().filter(|code| **code != MISSING) {
        *code = rank[*code as usize];
    }
    ColumnData::Category { codes, levels: levels.into_iter().map(|(level, _)| level.to_owned()).collect() }
}

/// The error of a table without columns that the model needs, each with what may be meant: a column that is not `needed`
/// itself, and not meant for another.
fn lacks(raw: &RawTable, lacking: &[&str], needed: &HashSet<&str>) -> Error {
    const MOST: usize = 10;
    let mut free: Vec<&str> = raw.names().filter(|name| !needed.contains(name)).collect();
    let mut renames = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for name in lacking.iter().take(MOST) {
        names.push(shown(name));
        if let Some(near) = nearest(name, free.iter().copied()) {
            free.retain(|other| *other != near);
            renames.push(format!("{} to {}", shown(near), shown(name)));
        }
    }
    if lacking.len() > MOST {
        names.push(format!("and {} more", lacking.len() - MOST));
    }
    let remedy = if renames.is_empty() {
        "add the columns that the model was trained on".to_owned()
    } else {
        format!("if that is what they are, rename {}", renames.join(", "))
    };
    Error::model(
        format!(
            "{} lacks {} that the model needs: {}",
            raw.source.display(),
            counted(lacking.len(), "column"),
            names.join(", ")
        ),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::super::read::{ReadOptions, parse_csv};
    use super::super::schema::infer_schema;
    use super::*;

    const TRAINED_ON: &str = "bmi,sex,born,id,charges\n1,f,2000-01-01,u1,1\n2,m,1999-12-31,u2,2\n,f,,u3,3\n4,,1970-01-02,u4,4\n5,m,1970-01-01,u5,5\n";

    #[test]
    fn more_rows_than_have_numbers_are_refused() {
        assert!(check_rows(Path::new("t.csv"), 4_294_967_295).is_ok());
        let error = check_rows(Path::new("t.csv"), 4_294_967_296).unwrap_err().to_string();
        assert!(error.contains("t.csv has 4,294,967,296 rows or more, and at most 4,294,967,295"), "{error}");
    }

    fn raw(text: &str) -> RawTable {
        parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default()).unwrap()
    }

    fn schema() -> Schema {
        infer_schema(&raw(TRAINED_ON), &BTreeMap::new(), &BTreeSet::new()).unwrap().without(&["charges"])
    }

    fn numbers(table: &Table, name: &str) -> Vec<Option<f64>> {
        match &table.column(name).unwrap().data {
            ColumnData::Number(numbers) | ColumnData::Date(numbers) => {
                numbers.iter().map(|x| (!x.is_nan()).then_some(*x)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn cells_become_what_the_schema_says() {
        let table = Table::from_raw(&raw(TRAINED_ON), &schema()).unwrap();
        assert_eq!(table.n_rows(), 5);
        assert_eq!(numbers(&table, "bmi"), [Some(1.0), Some(2.0), None, Some(4.0), Some(5.0)]);
        assert_eq!(numbers(&table, "born"), [Some(10_957.0), Some(10_956.0), None, Some(1.0), Some(0.0)]);
        let codes =
            ColumnData::Category { codes: vec![0, 1, 0, MISSING, 1], levels: vec!["f".into(), "m".into()] };
        assert_eq!(table.column("sex").unwrap().data, codes);
        assert_eq!(table.column("id").unwrap().data, ColumnData::Dropped);
        assert_eq!(table.ignored(), ["charges"]);
        assert!(table.notes().is_empty());
    }

    #[test]
    fn a_table_to_predict_may_be_in_any_order_and_lack_what_is_not_needed() {
        let table = Table::from_raw(&raw("more,born,bmi,sex\n9,2000-01-01,3.5,x\n"), &schema()).unwrap();
        assert_eq!(
            table.columns().iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
            ["bmi", "sex", "born", "id"]
        );
        assert_eq!(numbers(&table, "bmi"), [Some(3.5)]);
        assert_eq!(table.ignored(), ["more"]);
    }

    #[test]
    fn cells_that_cannot_be_read_count_as_missing_and_are_noted() {
        let table = Table::from_raw(
            &raw("bmi,sex,born\nabc,f,soon\n2,f,2000-01-01\n1e999,f,2000-01-01\n"),
            &schema(),
        )
        .unwrap();
        assert_eq!(numbers(&table, "bmi"), [None, Some(2.0), None]);
        let notes: Vec<(&str, usize)> = table.notes().iter().map(|n| (n.column.as_str(), n.count)).collect();
        assert_eq!(notes, [("bmi", 2), ("born", 1)]);
        assert_eq!(
            table.notes()[0].what(),
            "row 1 (line 2), column `bmi`: expected a finite number, found `abc`, further on `1e999`; 2 such cells of this column count as missing"
        );
    }

    #[test]
    fn a_column_that_is_needed_itself_is_not_to_be_renamed() {
        let trained = "x1,x2,x3,y\n1,2,3,4\n2,1,5,5\n3,3,1,7\n";
        let schema = infer_schema(&raw(trained), &BTreeMap::new(), &BTreeSet::new()).unwrap().without(&["y"]);
        let told = |text: &str| Table::from_raw(&raw(text), &schema).unwrap_err().to_string();
        let error = told("x1,x3\n1,3\n");
        assert!(error.ends_with("`x2`\n  try: add the columns that the model was trained on"), "{error}");
        // Nor one to two others.
        let error = told("x1,X2\n1,3\n");
        assert!(
            error.ends_with("`x2`, `x3`\n  try: if that is what they are, rename `X2` to `x2`"),
            "{error}"
        );
    }

    #[test]
    fn columns_that_are_needed_and_lacking_are_all_named() {
        let error = Table::from_raw(&raw("BMI,born\n1,2000-01-01\n"), &schema()).unwrap_err();
        assert!(matches!(error, Error::Model(_)));
        assert_eq!(
            error.to_string(),
            "t.csv lacks 2 columns that the model needs: `bmi`, `sex`\n  try: if that is what they are, rename `BMI` to `bmi`"
        );
    }
}
