//! What a profile looks at: columns as plain slices, whatever table they come from.
//!
//! The only file here that knows how tables are read; all others see [`Values`].

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::doubt::Doubt;
use super::splits::named_like_an_entity;
use crate::config::{CellFormat, Config, Task};
use crate::data::read::Skipped;
use crate::data::table::MISSING;
use crate::data::words::{instead, shown};
use crate::data::{
    ColumnData, ColumnKind, ColumnSchema, DrawnTable, Inference, RawTable, ReadOptions, Schema, Table,
    Target, TaskKind, Wanted, infer_task, read_drawn,
};
use crate::run::{Plan, budget};
use crate::{Error, Result};

/// The cells of a column, row by row.
#[derive(Debug, Clone, PartialEq)]
pub enum Values<'a> {
    /// Numbers, or days since 1970-01-01; NaN where missing.
    Numbers(Cow<'a, [f64]>),
    /// Codes into `levels`; [`MISSING`] where missing.
    Codes {
        /// A code a row.
        codes: Cow<'a, [u32]>,
        /// The distinct texts.
        levels: Cow<'a, [String]>,
    },
}

impl Values<'_> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(x) => x.len(),
            Self::Codes { codes, .. } => codes.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the cell of a row is missing.
    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Numbers(x) => x[row].is_nan(),
            Self::Codes { codes, .. } => codes[row] == MISSING,
        }
    }

    /// The numbers, if that is what the cells are.
    pub fn numbers(&self) -> Option<&[f64]> {
        match self {
            Self::Numbers(x) => Some(x),
            Self::Codes { .. } => None,
        }
    }

    /// The cells of some rows.
    pub fn of_rows(&self, rows: &[usize]) -> Values<'_> {
        match self {
            Self::Numbers(x) => Values::Numbers(rows.iter().map(|&row| x[row]).collect()),
            Self::Codes { codes, levels } => Values::Codes {
                codes: rows.iter().map(|&row| codes[row]).collect(),
                levels: Cow::Borrowed(levels),
            },
        }
    }
}

impl<'a> Values<'a> {
    /// The same with cells of its own.
    pub(crate) fn into_owned(self) -> Values<'static> {
        match self {
            Self::Numbers(x) => Values::Numbers(x.into_owned().into()),
            Self::Codes { codes, levels } => {
                Values::Codes { codes: codes.into_owned().into(), levels: levels.into_owned().into() }
            }
        }
    }

    /// The cells of some rows, in place of all.
    pub(crate) fn into_rows(self, rows: &[usize]) -> Values<'a> {
        match self {
            Self::Numbers(x) => Values::Numbers(rows.iter().map(|&row| x[row]).collect()),
            Self::Codes { codes, levels } => {
                Values::Codes { codes: rows.iter().map(|&row| codes[row]).collect(), levels }
            }
        }
    }
}

/// The cells of a column of two tables as codes into the same levels: those of the first table, and then those that only
/// the second has. Columns that are not of categories have no cell.
pub(super) fn unified<'a>(columns: [&'a Values<'_>; 2]) -> ([Vec<u32>; 2], Vec<&'a str>) {
    let mut all: Vec<&str> = Vec::new();
    let mut codes_of: HashMap<&str, u32> = HashMap::new();
    let codes = columns.map(|values| {
        let Values::Codes { codes, levels } = values else { return Vec::new() };
        let level = |level: &'a String| {
            *codes_of.entry(level).or_insert_with(|| {
                all.push(level);
                (all.len() - 1) as u32
            })
        };
        let known: Vec<u32> = levels.iter().map(level).collect();
        codes.iter().map(|&code| if code == MISSING { MISSING } else { known[code as usize] }).collect()
    });
    (codes, all)
}

/// What a column is for, besides being an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Learned from.
    Input,
    /// The column to predict.
    Target,
    /// The column that says which rows train, watch and test.
    Split,
    /// The column that says how much a row counts.
    Weight,
}

/// A column to profile.
#[derive(Debug, Clone)]
pub struct Column<'a> {
    /// The name in the header.
    pub name: &'a str,
    /// What its cells are taken as.
    pub kind: ColumnKind,
    /// Why.
    pub reason: &'a str,
    /// Why nothing is learned of it, if that is so.
    pub dropped: Option<&'a str>,
    /// What it is for.
    pub role: Role,
    /// Cells that do not fit the kind, which count as missing, and up to twenty different texts of them.
    pub unreadable: (usize, &'a [String]),
    /// What its cells are, where they are nothing that is read: lists, objects, bytes.
    pub not_read: Option<&'a str>,
    /// Two ways to read its cells, where nobody says which.
    pub doubt: Option<&'a Doubt>,
    /// The cells.
    pub values: Values<'a>,
}

/// A table to profile.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// The file.
    pub name: String,
    /// Rows.
    pub n_rows: usize,
    /// The table that the rows were drawn from, where they are not all of it.
    pub drawn: Option<&'a Drawn>,
    /// The columns from left to right.
    pub columns: Vec<Column<'a>>,
    /// What is learned of the target, if one is named. A target of classes has [`Values::Codes`].
    pub task: Option<TaskKind>,
    /// The settings that it is read by.
    pub config: &'a Config,
}

/// Rows that were drawn from a table, as all would have taken too much memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// Rows of the table.
    pub n_rows: usize,
    /// Which of them were drawn, in their order.
    pub rows: Vec<usize>,
    /// The memory that there is, in words.
    pub memory: String,
    /// The bytes that would do for all of them.
    pub whole: f64,
}

impl Source<'_> {
    /// The index of the target.
    pub fn target(&self) -> Option<usize> {
        self.columns.iter().position(|column| column.role == Role::Target)
    }
}

/// A table read to be profiled: nothing in its cells is an error.
#[derive(Debug)]
pub struct Loaded {
    raw: Arc<RawTable>,
    drawn: Option<Drawn>,
    schema: Schema,
    table: Table,
    roles: Vec<Role>,
    /// For each column the cells that do not fit its kind.
    unreadable: Vec<(usize, Vec<String>)>,
    /// For each column two ways to read its cells, where nobody says which.
    doubts: Vec<Option<Doubt>>,
    task: Option<TaskKind>,
    config: Config,
}

/// A table read to be compared with another.
#[derive(Debug)]
pub struct Other {
    /// Its columns that the other table has too: cells read as there, and the kinds that they would have on their own.
    pub loaded: Loaded,
    /// The names of the columns that the other table lacks.
    pub extra: Vec<String>,
}

impl Loaded {
    /// Reads the table that `config` names, which takes `share` of the memory that there is; its target may be empty.
    ///
    /// Where training would refuse a column for a few odd cells, they count as missing here and are told. What the columns
    /// are is told from all rows. If these would take too much memory, the seed draws those that are held.
    pub fn read(config: &Config, share: f64) -> Result<Self> {
        let (raw, drawn, inference) = read(config, &config.data.sources(), share)?;
        let named = [
            ("--target", &config.data.target),
            ("split.column", &config.split.column),
            ("split.group", &config.split.group),
            ("split.time", &config.split.time),
            ("data.weight", &config.data.weight),
        ];
        let named = named.into_iter().chain(config.data.columns.keys().map(|name| ("data.columns", name)));
        for (setting, name) in named {
            if !name.is_empty() && raw.column_index(name).is_none() {
                let what =
                    format!("{setting}: there is no column {} in {}", shown(name), raw.source.display());
                return Err(Error::setting(what, instead(name, raw.names())));
            }
        }
        let (mut schema, doubts) = lenient_schema(&raw, inference, config);
        // Columns that training drops are looked at as well.
        let mut everything = schema.clone();
        for column in &mut everything.columns {
            column.dropped = None;
            let numbers = column.kind == ColumnKind::Identifier && are_numbers(&raw, &column.name);
            column.kind = match column.kind {
                ColumnKind::Number | ColumnKind::Date => column.kind,
                _ if numbers => ColumnKind::Number,
                _ => ColumnKind::Category,
            };
        }
        let table = Table::from_raw(&raw, &everything)?;
        for column in &mut schema.columns {
            if config.data.columns.get(&column.name).is_some_and(|set| set.drop == Some(true)) {
                column.dropped = Some("as set".into());
            }
        }
        let unreadable =
            table.columns().iter().map(|column| unreadable(&raw, &column.name, &column.data)).collect();
        let role = |name: &str| match name {
            _ if name == config.data.target => Role::Target,
            _ if name == config.split.column || name == config.split.group => Role::Split,
            _ if name == config.data.weight => Role::Weight,
            _ => Role::Input,
        };
        let roles = schema.columns.iter().map(|column| role(&column.name)).collect();
        let task = match (config.data.target.as_str(), config.task) {
            ("", _) => None,
            (target, Task::Auto) => Some(infer_task(&raw, target, None)?.0),
            (_, Task::Regression) => Some(TaskKind::Regression),
            (_, Task::Binary) => Some(TaskKind::Binary),
            (_, Task::Multiclass) => Some(TaskKind::Multiclass),
        };
        Ok(Self { raw, drawn, schema, table, roles, unreadable, doubts, task, config: config.clone() })
    }

    /// Reads another table to compare with this one, which takes `share` of the memory that there is: each column of this
    /// table, by its name, as it was read here.
    pub fn read_other(&self, config: &Config, path: &Path, share: f64) -> Result<Other> {
        let (raw, drawn, inference) = read(config, &[path.to_owned()], share)?;
        let (own, _) = lenient_schema(&raw, inference, config);
        let here = self.schema.columns.iter().zip(self.table.columns()).zip(&self.roles);
        let (mut columns, mut roles) = (Vec::new(), Vec::new());
        for ((column, data), role) in here.filter(|((column, _), _)| own.get(&column.name).is_some()) {
            let kind = match data.data {
                ColumnData::Number(_) => ColumnKind::Number,
                ColumnData::Date(_) => ColumnKind::Date,
                ColumnData::Category { .. } | ColumnData::Dropped => ColumnKind::Category,
            };
            columns.push(ColumnSchema { kind, dropped: None, ..column.clone() });
            roles.push(*role);
        }
        let read = Schema { columns, decimal_comma: own.decimal_comma };
        let table = Table::from_raw(&raw, &read)?;
        let unreadable =
            table.columns().iter().map(|column| unreadable(&raw, &column.name, &column.data)).collect();
        let schema = Schema {
            columns: read.columns.iter().filter_map(|column| own.get(&column.name).cloned()).collect(),
            decimal_comma: own.decimal_comma,
        };
        let extra = own.columns.iter().filter(|column| self.schema.get(&column.name).is_none());
        let extra = extra.map(|column| column.name.clone()).collect();
        // They are warned of where the first table has them.
        let doubts = vec![None; schema.columns.len()];
        let (task, config) = (self.task, self.config.clone());
        Ok(Other {
            loaded: Self { raw, drawn, schema, table, roles, unreadable, doubts, task, config },
            extra,
        })
    }

    /// The malformed rows that were left out.
    pub fn skipped(&self) -> &Skipped {
        &self.raw.skipped
    }

    /// The whole table.
    pub fn source(&self) -> Source<'_> {
        let columns =
            self.schema.columns.iter().zip(self.table.columns()).enumerate().map(|(i, (schema, column))| {
                let mut values = view(&column.data, self.raw.n_rows());
                if self.roles[i] == Role::Target {
                    values = as_target(values, self.task, &self.raw);
                }
                Column {
                    name: &schema.name,
                    kind: schema.kind,
                    reason: &schema.reason,
                    dropped: schema.dropped.as_deref(),
                    role: self.roles[i],
                    unreadable: (self.unreadable[i].0, &self.unreadable[i].1),
                    not_read: self.raw.column_index(&schema.name).and_then(|at| self.raw.foreign(at)),
                    doubt: self.doubts[i].as_ref(),
                    values,
                }
            });
        Source {
            name: self.raw.source.display().to_string(),
            n_rows: self.raw.n_rows(),
            drawn: self.drawn.as_ref(),
            columns: columns.collect(),
            task: self.task,
            config: &self.config,
        }
    }
}

/// At most `most` training rows of a run and the columns that it learns from; nothing else is looked at.
pub fn of_training_rows(plan: &Plan, most: usize) -> Source<'_> {
    let rows = super::sample::of(plan.split.train.rows(), most, plan.config.seed);
    let inputs = plan.schema.columns.iter().zip(plan.table.columns()).filter(|(c, _)| c.dropped.is_none());
    let inputs =
        inputs.map(|(schema, column)| (schema, view(&column.data, plan.table.n_rows()).into_rows(&rows)));
    let target = view_of_target(&plan.labels.target).into_rows(&rows);
    of_rows(&plan.raw.source, &plan.config, inputs.collect(), (&plan.target.column, target, plan.target.task))
}

/// The columns named like what rows are of from which a run learns nothing, though nobody has asked for that: the name, cells
/// that are there, and different ones, among at most `most` training rows.
pub(super) fn names_left_out(plan: &Plan, most: usize) -> Vec<(String, usize, usize)> {
    let rows = super::sample::of(plan.split.train.rows(), most, plan.config.seed);
    let is_set = |name: &str| plan.config.data.columns.get(name).is_some_and(|set| set.drop.is_some());
    let left_out = plan.schema.columns.iter().filter(|c| c.dropped.is_some() && !is_set(&c.name));
    let counted = left_out.filter(|c| named_like_an_entity(&c.name)).filter_map(|column| {
        let index = plan.raw.column_index(&column.name)?;
        let cells: Vec<&str> = rows.iter().filter_map(|&row| plan.raw.value(row, index)).collect();
        let different: HashSet<&str> = cells.iter().copied().collect();
        Some((column.name.clone(), cells.len(), different.len()))
    });
    counted.collect()
}

/// Some training rows of a run: what it learns from, and the target with its name and task.
pub(crate) fn of_rows<'a>(
    table: &Path,
    config: &'a Config,
    inputs: Vec<(&'a ColumnSchema, Values<'a>)>,
    (name, target, task): (&'a str, Values<'a>, TaskKind),
) -> Source<'a> {
    let n_rows = target.len();
    let input = |(schema, values): (&'a ColumnSchema, Values<'a>)| Column {
        name: &schema.name,
        kind: schema.kind,
        reason: &schema.reason,
        dropped: None,
        role: Role::Input,
        unreadable: (0, &[]),
        not_read: None,
        doubt: None,
        values,
    };
    let mut columns: Vec<Column<'_>> = inputs.into_iter().map(input).collect();
    columns.push(Column {
        name,
        kind: if matches!(target, Values::Numbers(_)) { ColumnKind::Number } else { ColumnKind::Category },
        reason: "the column to predict",
        dropped: None,
        role: Role::Target,
        unreadable: (0, &[]),
        not_read: None,
        doubt: None,
        values: target,
    });
    Source { name: table.display().to_string(), n_rows, drawn: None, columns, task: Some(task), config }
}

/// A target that has been read for training, as a column.
pub(crate) fn view_of_target(target: &Target) -> Values<'_> {
    match target {
        Target::Values(values) => Values::Numbers(Cow::Borrowed(values)),
        Target::Classes { codes, classes } => {
            Values::Codes { codes: Cow::Borrowed(codes), levels: Cow::Borrowed(classes) }
        }
    }
}

/// A column of a table that has been read.
pub(crate) fn view(data: &ColumnData, n_rows: usize) -> Values<'_> {
    match data {
        ColumnData::Number(x) | ColumnData::Date(x) => Values::Numbers(Cow::Borrowed(x)),
        ColumnData::Category { codes, levels } => {
            Values::Codes { codes: Cow::Borrowed(codes), levels: Cow::Borrowed(levels) }
        }
        ColumnData::Dropped => {
            Values::Codes { codes: vec![MISSING; n_rows].into(), levels: Vec::new().into() }
        }
    }
}

/// A target of numbers as numbers, one of classes as codes.
fn as_target<'a>(values: Values<'a>, task: Option<TaskKind>, raw: &RawTable) -> Values<'a> {
    match (values, task) {
        (Values::Codes { codes, levels }, Some(TaskKind::Regression)) => {
            let numbers: Vec<f64> =
                levels.iter().map(|level| raw.number(level).unwrap_or(f64::NAN)).collect();
            let number = |&code: &u32| numbers.get(code as usize).copied().unwrap_or(f64::NAN);
            Values::Numbers(codes.iter().map(number).collect())
        }
        (Values::Numbers(x), Some(TaskKind::Binary | TaskKind::Multiclass)) => {
            let mut levels: Vec<f64> = x.iter().copied().filter(|x| !x.is_nan()).collect();
            levels.sort_unstable_by(f64::total_cmp);
            levels.dedup();
            let code =
                |x: &f64| levels.binary_search_by(|level| level.total_cmp(x)).map_or(MISSING, |i| i as u32);
            Values::Codes {
                codes: x.iter().map(code).collect(),
                levels: levels.iter().map(f64::to_string).collect(),
            }
        }
        (values, _) => values,
    }
}

/// Reads a table, or as many of its rows as memory holds, and looks at the columns of all rows.
fn read(
    config: &Config,
    sources: &[PathBuf],
    share: f64,
) -> Result<(Arc<RawTable>, Option<Drawn>, Option<Inference>)> {
    let memory = budget::budget(config)?;
    let room = memory.as_ref().map(|(bytes, _)| Room::of(share * bytes));
    let mut inference = None;
    let look = |block: &RawTable| {
        let inference = match &mut inference {
            Some(inference) => inference,
            empty @ None => empty.insert(Inference::new(block, &wanted(config, block), &BTreeSet::new())?),
        };
        inference.add(block);
        Ok(())
    };
    let options = ReadOptions::of(&config.data);
    let taken = |block: &RawTable| room.as_ref().map_or(0.0, |room| room.taken(block));
    let DrawnTable { raw, rows, n_rows } =
        read_drawn(sources, &options, room.as_ref().map(|_| 1.0), taken, config.seed, look)?;
    let memory = memory.map_or(String::new(), |(_, words)| words);
    let drawn = rows.map(|rows| {
        let whole = Room::whole(&raw, n_rows as f64 / raw.n_rows().max(1) as f64) / share;
        Drawn { n_rows, rows, memory, whole }
    });
    Ok((Arc::new(raw), drawn, inference))
}

/// The memory that there is for the rows of a table.
#[derive(Debug, Clone, Copy)]
struct Room(f64);

impl Room {
    /// What the programme takes besides the rows: blocks on their way, words that were met in columns. Measured with two
    /// threads on 14 columns of numbers: 72 MB.
    const FIXED: f64 = 72.0 * 1024.0 * 1024.0;
    /// The least share of the memory that rows are given, where the programme itself would take all of it.
    const LEAST: f64 = 0.1;

    /// The share of what is left that is counted on: allocators and threads do not take the same every time.
    const COUNTED_ON: f64 = 0.9;

    fn of(bytes: f64) -> Self {
        Self((Self::COUNTED_ON * (bytes - Self::FIXED)).max(Self::LEAST * bytes))
    }

    /// The share of the room that these rows take.
    fn taken(self, raw: &RawTable) -> f64 {
        held_bytes(raw) / self.0
    }

    /// The memory that would do for `times` as many rows as these.
    fn whole(raw: &RawTable, times: f64) -> f64 {
        Self::FIXED + times * held_bytes(raw) / Self::COUNTED_ON
    }
}

/// About how many bytes the profile of these rows takes while it is made, measured: the rows as text, with room to grow; their cells as numbers;
/// checksums of rows; sorted copies of the columns that are being looked at ([`super::LOOKED_AT`] at a time).
fn held_bytes(raw: &RawTable) -> f64 {
    const OF_TEXT: f64 = 2.0;
    const OF_CELL: f64 = 16.0;
    /// What allocators keep of what was given back: 774 bytes a row were measured where 650 are counted.
    const SLACK: f64 = 1.25;
    const OF_ROW: f64 = 64.0;
    const OF_COPY: f64 = 24.0;
    let (n_rows, n_columns) = (raw.n_rows() as f64, raw.n_columns());
    let copies = n_columns.min(super::LOOKED_AT) as f64;
    let of_rows = OF_ROW + OF_CELL * n_columns as f64 + OF_COPY * copies;
    SLACK * (OF_TEXT * raw.text_bytes() as f64 + n_rows * of_rows)
}

/// What the settings say of the columns that the table has.
fn wanted(config: &Config, raw: &RawTable) -> BTreeMap<String, Wanted> {
    let there = config.data.columns.iter().filter(|(name, _)| raw.column_index(name).is_some());
    there.map(|(name, set)| (name.clone(), Wanted::of(set))).collect()
}

/// What the columns are: where the cells of a column contradict each other or its settings, what most of them are. And of
/// each column two ways to read it, where nobody says which.
fn lenient_schema(
    raw: &RawTable,
    inference: Option<Inference>,
    config: &Config,
) -> (Schema, Vec<Option<Doubt>>) {
    let broken = |index: usize, why: Error| {
        let name = raw.name(index);
        let (mut present, mut numbers) = (0, 0);
        for value in raw.values(index).flatten() {
            present += 1;
            numbers += usize::from(raw.number(value).is_some());
        }
        let set = config.data.columns.get(name);
        let words = raw.values(index).flatten().filter(|value| raw.number(value).is_none());
        let is_date = |format| matches!(format, CellFormat::DayFirst | CellFormat::MonthFirst);
        let nearest = || CellFormat::nearest(&words, raw.decimal_comma());
        let format = set.and_then(|set| set.format);
        let format = format.or_else(|| nearest().filter(|&format| !is_date(format) || 2 * numbers < present));
        let guess = match format {
            Some(format) if is_date(format) => ColumnKind::Date,
            Some(_) => ColumnKind::Number,
            None if 2 * numbers >= present => ColumnKind::Number,
            None => ColumnKind::Date,
        };
        let kind = set.and_then(|set| set.kind).unwrap_or(guess);
        // A format of dates says nothing of numbers.
        let format = format.filter(|&format| is_date(format) == (kind == ColumnKind::Date));
        let why = match why {
            Error::Setting(problem) | Error::Data(problem) => problem.what,
            other => other.to_string(),
        };
        ColumnSchema {
            name: name.to_owned(),
            kind,
            format,
            null: Vec::new(),
            reason: format!("most cells are {kind}s, but {why}"),
            levels: Vec::new(),
            dropped: None,
        }
    };
    let decimal_comma = raw.decimal_comma();
    let each = inference.into_iter().flat_map(Inference::finish_each).enumerate();
    let each = each.map(|(i, found)| {
        let is_settled = found.as_ref().is_ok_and(|column| column.format.is_some());
        let dates = || Doubt::of_dates(raw, i, config.data.columns.get(raw.name(i)));
        let doubt = match &found {
            _ if is_settled => None,
            Ok(_) => dates(),
            Err(_) => Doubt::of_numbers(raw, i).or_else(dates),
        };
        (found.unwrap_or_else(|why| broken(i, why)), doubt)
    });
    let (columns, doubts) = each.unzip();
    (Schema { columns, decimal_comma }, doubts)
}

fn are_numbers(raw: &RawTable, name: &str) -> bool {
    raw.column_index(name)
        .is_some_and(|index| raw.values(index).flatten().all(|value| raw.number(value).is_some()))
}

/// The cells of a column that say something which its kind cannot hold.
fn unreadable(raw: &RawTable, name: &str, data: &ColumnData) -> (usize, Vec<String>) {
    const MOST: usize = 20;
    let (ColumnData::Number(x) | ColumnData::Date(x), Some(index)) = (data, raw.column_index(name)) else {
        return (0, Vec::new());
    };
    let (mut count, mut words) = (0, Vec::new());
    for (row, _) in x.iter().enumerate().filter(|(_, x)| x.is_nan()) {
        if let Some(value) = raw.value(row, index) {
            count += 1;
            if words.len() < MOST && !words.iter().any(|word| word == value) {
                words.push(value.to_owned());
            }
        }
    }
    (count, words)
}
