//! What is in a table, before anything is learned of it: figures of each column, how columns go together, and what
//! to look out for, each with the line of configuration that deals with it.
//!
//! [`source::Loaded`] reads the table, [`profile`] looks at it, [`html::page`] shows it. Nothing here is fitted into a
//! model: a profile may look at every row.

pub mod adversary;
pub mod against;
pub mod against_html;
pub mod alone;
pub mod associations;
pub mod collinearity;
pub mod column;
pub mod doubt;
pub mod duplicates;
pub mod histogram;
pub mod html;
mod met;
pub mod moments;
mod picture;
pub mod quantiles;
pub mod relation;
pub mod sample;
pub mod shift;
pub mod source;
mod splits;
mod style;
pub mod tail;
pub mod target;
pub mod warnings;

use std::borrow::Cow;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::words::{counted, shown, thousands};
use crate::data::{RowIdx, TaskKind};
use crate::run::Plan;
use crate::run::budget::enough;
use against::{Against, against};
use associations::{Associations, associations};
use collinearity::collinearity;
use column::ColumnProfile;
pub use picture::cut;
use source::{Column, Other, Role, Source, Values};
pub use warnings::{Concern, Warning, lines};

/// Columns whose inflation factors are computed, at most.
const MOST_INFLATED: usize = 500;
/// Columns that are looked at at a time, each sorted in a copy, where memory is short.
const LOOKED_AT: usize = 4;
/// Multiply–adds that the correlation matrix behind the inflation factors may take.
const COLLINEARITY_BUDGET: usize = 4_000_000_000;

/// The profile of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// The file.
    pub table: String,
    /// Rows that were looked at.
    pub n_rows: usize,
    /// The rows of the table, and the memory that was too little for all of them, where only some were looked at.
    pub drawn_from: Option<DrawnFrom>,
    /// What is learned of the target, if one is named.
    pub task: Option<TaskKind>,
    /// The classes of the target, in their order; none of a regression.
    pub classes: Vec<String>,
    /// The seed that draws rows where not all are taken.
    pub seed: u64,
    /// Rows behind Spearman's correlations and the predictions by one column.
    pub sampled_rows: usize,
    /// The columns, from left to right.
    pub columns: Vec<ColumnProfile>,
    /// How columns go together.
    pub associations: Option<Associations>,
    /// How far number columns make up each other.
    pub collinearity: Option<Inflation>,
    /// Rows that repeat an earlier one.
    pub duplicates: Duplicates,
    /// How another table differs, if one is named.
    pub against: Option<Against>,
    /// What to look out for, the gravest first.
    pub warnings: Vec<Warning>,
}

/// The table of which some rows were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrawnFrom {
    /// Its rows.
    pub n_rows: usize,
    /// The memory that there was, in words.
    pub memory: String,
    /// The memory that would do for all of them, as it is typed.
    pub enough: String,
}

impl DrawnFrom {
    fn of(source: &Source<'_>) -> Option<Self> {
        source.drawn.map(|drawn| Self {
            n_rows: drawn.n_rows,
            memory: drawn.memory.clone(),
            enough: enough(drawn.whole),
        })
    }
}

/// How far number columns make up each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inflation {
    /// The columns, as indices into the profile's; the other indices are those of [`collinearity::Collinearity`].
    pub columns: Vec<usize>,
    /// Columns of numbers beyond 500, or beyond half as many as there are rows: those that go least with the target.
    pub left_out: usize,
    /// Rows that it is computed on.
    pub rows: usize,
    /// Factors, condition number and redundant columns, as indices into `columns`.
    #[serde(flatten)]
    pub found: collinearity::Collinearity,
}

/// Rows that repeat an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// How many.
    pub count: usize,
    /// The first of them, ten at most; the first row of the table is 1. None where only some rows are looked at.
    pub first: Vec<usize>,
    /// Columns that were not compared, as they only name the rows.
    pub apart_from: Vec<String>,
}

impl Profile {
    /// The target's column.
    pub fn target(&self) -> Option<&ColumnProfile> {
        self.columns.iter().find(|column| column.role == Role::Target)
    }

    /// What is said of figures that are not of all rows, a sentence for each table; nothing where all are.
    pub fn drawn(&self) -> Vec<String> {
        let other =
            self.against.as_ref().and_then(|of| Some((of.n_rows, &of.table, of.drawn_from.as_ref()?)));
        let tables = self.drawn_from.iter().map(|from| (self.n_rows, &self.table, from)).chain(other);
        let told = tables.map(|(n_rows, table, DrawnFrom { n_rows: all, memory, enough })| {
            format!(
                "Of the {} of {}, {} were looked at, drawn by seed {}: all would take more than {memory}. The number of rows, and \
                 what the columns are, is of all rows; every other figure is of those that were drawn. To look at all: --memory \
                 {enough}.",
                counted(*all, "row"),
                shown(against::file_name(table)),
                thousands(n_rows),
                self.seed
            )
        });
        told.collect()
    }
}

/// How thoroughly a table is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything.
    Whole,
    /// What warnings need: no matrix of correlations.
    Warnings,
}

/// Profiles a table, compared with another one if it is given; `tell` hears what is being looked at.
///
/// Columns are looked at in parallel. O(rows·log rows) a column and O(rows) a pair of columns; Spearman's correlations
/// and predictions by one column look at 100,000 rows at most, drawn by `seed`. The result does not depend on the number
/// of threads.
pub fn profile(
    source: &Source<'_>,
    other: Option<&Other>,
    seed: u64,
    depth: Depth,
    tell: &(dyn Fn(&str) + Sync),
) -> Profile {
    tell("columns");
    let rows = sample::rows(source.n_rows, target::MOST_ROWS, seed);
    let rows = rows.as_deref();
    let target = source.target();
    let columns: Vec<ColumnProfile> = source
        .columns
        .chunks(if source.drawn.is_some() { LOOKED_AT } else { usize::MAX })
        .flat_map(|columns| {
            let each = columns.par_iter().with_max_len(1).map(|column| {
                let mut found = column::profile(column);
                if let Some(t) = target.filter(|_| column.role != Role::Target && column.not_read.is_none()) {
                    let shown = |x: f64| html::label(&found, x);
                    let relation = target::relation(&column.values, &source.columns[t].values, rows, &shown);
                    found.target = Some(relation);
                }
                found
            });
            each.collect::<Vec<_>>()
        })
        .collect();

    tell("duplicates");
    let names_rows = |i: &usize| warnings::names_rows(&columns[*i], source.n_rows);
    let apart: Vec<usize> = (0..columns.len()).filter(names_rows).collect();
    let compared: Vec<&Values<'_>> =
        (0..columns.len()).filter(|i| !apart.contains(i)).map(|i| &source.columns[i].values).collect();
    let repeated =
        if compared.is_empty() { Vec::new() } else { duplicates::duplicates(&compared, source.n_rows) };
    let duplicates = Duplicates {
        count: repeated.len(),
        first: repeated
            .iter()
            .take(if depth == Depth::Whole { 10 } else { 0 })
            .map(|&row| source.drawn.map_or(row, |drawn| drawn.rows[row]) + 1)
            .collect(),
        apart_from: apart.iter().map(|&i| columns[i].name.clone()).collect(),
    };

    tell("collinearity");
    let inflation = inflation(source, &columns, seed);
    let associations = (depth == Depth::Whole).then(|| {
        tell("correlations");
        associations(source, &strength(&columns), rows)
    });
    let against = other.map(|other| against(source, &columns, other, seed, tell));
    let mut profile = Profile {
        table: source.name.clone(),
        n_rows: source.n_rows,
        drawn_from: DrawnFrom::of(source),
        task: source.task,
        classes: match target.map(|t| &source.columns[t].values) {
            Some(Values::Codes { levels, .. }) => levels.to_vec(),
            _ => Vec::new(),
        },
        seed,
        sampled_rows: rows.map_or(source.n_rows, <[usize]>::len),
        columns,
        associations,
        collinearity: inflation,
        duplicates,
        against,
        warnings: Vec::new(),
    };
    profile.warnings = warnings::warnings(&profile, source);
    profile
}

/// Training rows of which the profile is made at `train`, at most.
const MOST_TRAINING_ROWS: usize = 100_000;

/// The profile of the training rows of a run, of 100,000 at most: what warnings need, and no row that was set aside.
pub fn of_training_rows(plan: &Plan) -> Profile {
    let source = source::of_training_rows(plan, MOST_TRAINING_ROWS);
    let mut found = profile(&source, None, plan.config.seed, Depth::Warnings, &|_| ());
    // Of columns that only name something nothing is learned, and they are no part of that; rows are split by them all the
    // same.
    if !found.warnings.iter().any(|warning| warning.concern == Concern::Entities) {
        let hint = source::names_left_out(plan, MOST_TRAINING_ROWS)
            .into_iter()
            .find_map(|(name, present, distinct)| splits::entity(&plan.config, &name, present, distinct));
        if hint.is_some() {
            found.warnings.retain(|warning| warning.concern != Concern::InTime);
        }
        found.warnings.extend(hint);
        found.warnings.sort_by_key(|warning| warning.concern);
    }
    found
}

/// What is to be looked out for among training rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noticed {
    /// Rows that were looked at.
    pub n_rows: usize,
    /// What was found, the gravest first.
    pub warnings: Vec<Warning>,
}

impl Noticed {
    /// What the profile of some rows found.
    pub fn of(profile: Profile) -> Self {
        Self { n_rows: profile.n_rows, warnings: profile.warnings }
    }

    /// The same for a run that reads its rows from disk, without that whose line such a run refuses.
    pub(crate) fn from_disk(profile: Profile) -> Self {
        let mut found = Self::of(profile);
        found.warnings.retain(|w| !matches!(w.concern, Concern::Duplicates | Concern::Imbalance));
        found
    }
}

/// Of `rows`, which are read column by column, those to look at: as many as make at most 4 million cells with `n_columns`
/// columns, and 100,000 at most.
pub(crate) fn rows_to_look_at(rows: &[RowIdx], n_columns: usize, seed: u64) -> Vec<usize> {
    const CELLS: usize = 1 << 22;
    sample::of(rows, MOST_TRAINING_ROWS.min(CELLS / n_columns.max(1)).max(1_000), seed)
}

/// What ranks columns where there is room for a few: how well they predict the target, or else that they vary.
fn strength(columns: &[ColumnProfile]) -> Vec<f64> {
    let of = |column: &ColumnProfile| match &column.target {
        Some(relation) => relation.alone.unwrap_or(0.0).max(relation.value.unwrap_or(0.0).abs()),
        None => f64::from(u8::from(column.distinct > 1)),
    };
    columns.iter().map(of).collect()
}

fn inflation(source: &Source<'_>, columns: &[ColumnProfile], seed: u64) -> Option<Inflation> {
    let is_input = |column: &Column<'_>| column.role == Role::Input && column.dropped.is_none();
    let fits = |&i: &usize| {
        let numbers = matches!(source.columns[i].values, Values::Numbers(_));
        // What gives the target away is to go anyway, and all that predicts the target would seem to make it up.
        let alone = columns[i].target.as_ref().and_then(|relation| relation.alone).unwrap_or(0.0);
        numbers
            && alone < warnings::LEAK
            && is_input(&source.columns[i])
            && columns[i].distinct > 1
            && !warnings::names_rows(&columns[i], source.n_rows)
    };
    let mut kept: Vec<usize> = (0..columns.len()).filter(fits).collect();
    // With about as many columns as rows, chance alone makes columns up.
    let most = MOST_INFLATED.min(source.n_rows / 2);
    let left_out = kept.len().saturating_sub(most);
    if left_out > 0 {
        let strength = strength(columns);
        kept.sort_by(|&a, &b| strength[b].total_cmp(&strength[a]).then(a.cmp(&b)));
        kept.truncate(most);
        kept.sort_unstable();
    }
    if kept.len() < 2 {
        return None;
    }
    let most = (2 * COLLINEARITY_BUDGET / (kept.len() * kept.len())).max(1_000);
    let rows = sample::rows(source.n_rows, most, seed);
    let values = |i: usize| match (&rows, &source.columns[i].values) {
        (Some(rows), values) => values.of_rows(rows),
        (None, Values::Numbers(x)) => Values::Numbers(Cow::Borrowed(x)),
        (None, values) => values.clone(),
    };
    let sampled: Vec<Values<'_>> = kept.iter().map(|&i| values(i)).collect();
    let numbers: Vec<&[f64]> = sampled.iter().filter_map(Values::numbers).collect();
    let target = source.target().map(values);
    Some(Inflation {
        columns: kept,
        left_out,
        rows: rows.map_or(source.n_rows, |rows| rows.len()),
        found: collinearity(&numbers, target.as_ref().and_then(Values::numbers)),
    })
}

/// A number to four significant digits, as labels have it.
pub fn short(x: f64) -> String {
    if x == 0.0 {
        return "0".into();
    }
    let size = x.abs();
    if !(1e-4..1e7).contains(&size) {
        return format!("{x:.3e}");
    }
    let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
    let text = format!("{x:.decimals$}");
    if size >= 1000.0 {
        let sign = if x < 0.0 { "-" } else { "" };
        return format!("{sign}{}", thousands(size.round() as usize));
    }
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
