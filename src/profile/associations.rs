//! Which columns go together: a matrix of Pearson, Spearman, Cramér's V and correlation ratios.

use rayon::prelude::*;
use serde::Serialize;

use super::relation::{order, spearman};
use super::source::{Role, Source, Values};
use super::target::{Measure, measure};
use crate::data::ColumnKind;

/// Columns that the matrix holds, at most.
pub const MOST_COLUMNS: usize = 40;
/// Categories with more levels than this are left out of it: Cramér's V says little of them.
const MOST_LEVELS: usize = 1_000;

/// How two columns go together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pair {
    /// The columns, as indices into the profile's.
    pub columns: [usize; 2],
    /// Which measure.
    pub measure: Measure,
    /// Its value, on the rows that have both; none where one of them does not vary.
    pub value: Option<f64>,
    /// Spearman's correlation, of two columns of numbers.
    pub spearman: Option<f64>,
}

/// All pairs of some columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Associations {
    /// The columns, as indices into the profile's, the target first.
    pub columns: Vec<usize>,
    /// Columns that would have a place but for the limit of [`MOST_COLUMNS`].
    pub left_out: usize,
    /// Rows that Spearman's correlations are computed on.
    pub spearman_rows: usize,
    /// Every pair once.
    pub pairs: Vec<Pair>,
}

impl Associations {
    /// The pair of two columns, in either order.
    pub fn pair(&self, a: usize, b: usize) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.columns == [a, b] || pair.columns == [b, a])
    }
}

/// The matrix of the columns that something can be learned of. `strength` ranks them where there are too many, the
/// strongest first; `rows` are those of Spearman's correlations. O(rows·columns²).
pub fn associations(source: &Source<'_>, strength: &[f64], rows: Option<&[usize]>) -> Associations {
    let fits = |&i: &usize| {
        let column = &source.columns[i];
        let few = match &column.values {
            Values::Numbers(x) => x.iter().any(|x| !x.is_nan()),
            Values::Codes { levels, .. } => (1..=MOST_LEVELS).contains(&levels.len()),
        };
        few && !matches!(column.kind, ColumnKind::Text | ColumnKind::Identifier)
            && (column.dropped.is_none() || column.role == Role::Target)
            && !matches!(column.role, Role::Split | Role::Weight)
    };
    let mut columns: Vec<usize> = (0..source.columns.len()).filter(fits).collect();
    let is_target = |i: usize| source.columns[i].role == Role::Target;
    if columns.len() > MOST_COLUMNS {
        columns.sort_by(|&a, &b| {
            is_target(b).cmp(&is_target(a)).then_with(|| strength[b].total_cmp(&strength[a])).then(a.cmp(&b))
        });
    }
    let left_out = columns.len().saturating_sub(MOST_COLUMNS);
    columns.truncate(MOST_COLUMNS);
    columns.sort_by_key(|&i| (!is_target(i), i));

    // What Spearman's correlations need of each column, once.
    let sampled: Vec<Option<(Vec<f64>, Vec<u32>)>> = columns
        .par_iter()
        .map(|&i| match (&source.columns[i].values, rows) {
            (Values::Numbers(x), Some(rows)) => Some(rows.iter().map(|&row| x[row]).collect()),
            (Values::Numbers(x), None) => Some(x.to_vec()),
            (Values::Codes { .. }, _) => None,
        })
        .map(|x: Option<Vec<f64>>| x.map(|x| (order(&x), x)).map(|(order, x)| (x, order)))
        .collect();
    let places: Vec<[usize; 2]> =
        (0..columns.len()).flat_map(|a| (a + 1..columns.len()).map(move |b| [a, b])).collect();
    let pairs = places
        .into_par_iter()
        .map(|[a, b]| {
            let values = |i: usize| &source.columns[columns[i]].values;
            let (measure, value) = measure(values(a), values(b));
            let spearman = match (&sampled[a], &sampled[b]) {
                (Some((x, order_x)), Some((y, order_y))) => spearman(x, order_x, y, order_y),
                _ => None,
            };
            Pair { columns: [columns[a], columns[b]], measure, value, spearman }
        })
        .collect();
    Associations { columns, left_out, spearman_rows: rows.map_or(source.n_rows, <[usize]>::len), pairs }
}
