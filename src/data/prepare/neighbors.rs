//! Missing numbers from the rows that are nearest: the step `knn`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::super::split::TrainRows;
use super::super::table::{Column, ColumnData, RowIdx, Table};
use super::super::words::shown;
use super::scale::Scaler;
use crate::config::NeighborWeights;
use crate::random::{Purpose, Stream};
use crate::{Error, Result};

/// The most numbers of training rows that are kept: they are a part of the model, and every missing cell is held against
/// all of them.
pub const MOST_NUMBERS: usize = 1 << 16;

/// The training rows that lend their numbers, and how far apart numbers of a column are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbors {
    /// The columns of numbers and days that distances are taken over.
    columns: Vec<String>,
    /// One over the variance of each.
    weights: Vec<f64>,
    /// The numbers (donors × columns), NaN where missing.
    #[serde(with = "gaps")]
    donors: Vec<f64>,
}

/// The neighbours of the rows of one table.
pub struct BoundNeighbors<'a> {
    neighbors: &'a Neighbors,
    /// The columns of the table, in the order of those of the neighbours.
    columns: Vec<&'a [f64]>,
}

fn numbers(data: &ColumnData) -> Option<&[f64]> {
    match data {
        ColumnData::Number(numbers) | ColumnData::Date(numbers) => Some(numbers),
        ColumnData::Category { .. } | ColumnData::Dropped => None,
    }
}

impl Neighbors {
    /// Takes the training rows of all columns of numbers and days; of more than [`MOST_NUMBERS`] numbers, rows drawn by
    /// the seed.
    pub(super) fn fit(table: &Table, train: &TrainRows, seed: u64) -> Self {
        let columns: Vec<(&str, &[f64])> =
            table.columns().iter().filter_map(|c| Some((c.name.as_str(), numbers(&c.data)?))).collect();
        let mut rows = train.rows().to_vec();
        let most = Self::most_rows(columns.len());
        if rows.len() > most {
            Stream::new(seed, Purpose::Neighbors, 0).shuffle(&mut rows);
            rows.truncate(most);
            rows.sort_unstable();
        }
        let weight = |(_, numbers): &(&str, &[f64])| {
            let present: Vec<f64> =
                train.rows().iter().map(|&row| numbers[row as usize]).filter(|x| !x.is_nan()).collect();
            // Numbers that are too large to be scaled are refused where their column is fitted.
            let scale = Scaler::standard(&present).scale;
            if scale.is_finite() { 1.0 / (scale * scale) } else { 0.0 }
        };
        Self {
            weights: columns.iter().map(weight).map(|w| if w.is_finite() { w } else { 0.0 }).collect(),
            donors: rows.iter().flat_map(|&row| columns.iter().map(move |(_, x)| x[row as usize])).collect(),
            columns: columns.into_iter().map(|(name, _)| name.to_owned()).collect(),
        }
    }

    /// The most rows that are kept of a table with so many columns of numbers and days.
    pub fn most_rows(n_columns: usize) -> usize {
        MOST_NUMBERS / n_columns.max(1)
    }

    /// How many training rows are kept.
    pub fn n_rows(&self) -> usize {
        self.donors.len() / self.columns.len().max(1)
    }

    /// What would keep it from computing.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let is_sound = !self.columns.is_empty()
            && self.weights.len() == self.columns.len()
            && self.donors.len().is_multiple_of(self.columns.len())
            && self.donors.len() <= MOST_NUMBERS
            && self.weights.iter().all(|w| w.is_finite() && *w >= 0.0);
        (!is_sound).then_some("the nearest neighbours have not one weight and number for each column")
    }

    /// Whether numbers of this column are among them.
    pub(super) fn have(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// Finds the columns in a table.
    pub(super) fn bind<'a>(&'a self, columns: &HashMap<&str, &'a Column>) -> Result<BoundNeighbors<'a>> {
        let find = |name: &String| {
            columns.get(name.as_str()).and_then(|column| numbers(&column.data)).ok_or_else(|| {
                Error::model(
                    format!(
                        "the table lacks column {} as a number, by which the model finds neighbours",
                        shown(name)
                    ),
                    "read the table with the schema of the model",
                )
            })
        };
        Ok(BoundNeighbors { neighbors: self, columns: self.columns.iter().map(find).collect::<Result<_>>()? })
    }
}

impl BoundNeighbors<'_> {
    /// Fills the missing numbers among `values`, which are those of `rows` in this column, from their `k` nearest
    /// neighbours that have the number; as scikit-learn's `KNNImputer` behind a `StandardScaler`.
    ///
    /// The distance of two rows is the root of n/m·Σ(difference / standard deviation)², over the m of n columns that
    /// both have (`nan_euclidean_distances`). A row that has no column with any neighbour in common stays NaN. Of rows
    /// as far away, the first is taken. Linear in the donors times their columns, for each missing number.
    pub(super) fn fill(
        &self,
        column: &str,
        k: usize,
        by: NeighborWeights,
        rows: &[RowIdx],
        values: &mut [f64],
    ) {
        let n = self.columns.len();
        let Some(wanted) = self.neighbors.columns.iter().position(|name| name == column) else { return };
        let mut nearest: Vec<(f64, f64)> = Vec::with_capacity(k + 1);
        for (&row, value) in rows.iter().zip(values).filter(|(_, value)| value.is_nan()) {
            let own: Vec<f64> = self.columns.iter().map(|numbers| numbers[row as usize]).collect();
            nearest.clear();
            for donor in self.neighbors.donors.chunks_exact(n).filter(|donor| !donor[wanted].is_nan()) {
                let (mut sum, mut n_common) = (0.0, 0.0);
                for ((a, b), weight) in own.iter().zip(donor).zip(&self.neighbors.weights) {
                    let square = (a - b) * (a - b) * weight;
                    if !square.is_nan() {
                        sum += square;
                        n_common += 1.0;
                    }
                }
                if n_common == 0.0 {
                    continue;
                }
                let distance = (n as f64 / n_common * sum).sqrt();
                let place = nearest.partition_point(|(other, _)| *other <= distance);
                if place < k {
                    nearest.insert(place, (distance, donor[wanted]));
                    nearest.truncate(k);
                }
            }
            if !nearest.is_empty() {
                *value = mean_of(&nearest, by);
            }
        }
    }
}

/// The mean of the neighbours' numbers, each with its distance; by distance, each counts one over it, and where some are
/// at distance 0 they alone.
fn mean_of(nearest: &[(f64, f64)], by: NeighborWeights) -> f64 {
    let touches = nearest[0].0 == 0.0;
    let weight = |distance: f64| match by {
        NeighborWeights::Uniform => 1.0,
        NeighborWeights::Distance if touches => f64::from(u8::from(distance == 0.0)),
        NeighborWeights::Distance => 1.0 / distance,
    };
    let total: f64 = nearest.iter().map(|(distance, _)| weight(*distance)).sum();
    let mean = nearest.iter().map(|(distance, number)| weight(*distance) / total * number).sum::<f64>();
    // Distances beyond all numbers count nothing.
    if mean.is_nan() { nearest[0].1 } else { mean }
}

/// NaN as JSON's null, which has no such number.
mod gaps {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(numbers: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        let gaps: Vec<Option<f64>> = numbers.iter().map(|x| (!x.is_nan()).then_some(*x)).collect();
        gaps.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let gaps = Vec::<Option<f64>>::deserialize(deserializer)?;
        Ok(gaps.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound<'a>(neighbors: &'a Neighbors, columns: Vec<&'a [f64]>) -> BoundNeighbors<'a> {
        BoundNeighbors { neighbors, columns }
    }

    #[test]
    fn the_nearest_rows_that_have_the_number_lend_it() {
        let nan = f64::NAN;
        let neighbors = Neighbors {
            columns: vec!["a".into(), "b".into()],
            weights: vec![1.0, 1.0],
            donors: vec![0.0, 10.0, 1.0, 20.0, 1.0, nan, 3.0, 40.0, nan, 50.0],
        };
        assert_eq!(neighbors.fault(), None);
        let (a, b) = ([0.5, 3.0, nan], [nan, nan, nan]);
        let bound = bound(&neighbors, vec![&a, &b]);
        let filled = |k, by| {
            let mut values = b;
            bound.fill("b", k, by, &[0, 1, 2], &mut values);
            values
        };
        let uniform = filled(2, NeighborWeights::Uniform);
        assert_eq!(uniform[..2], [15.0, 30.0]);
        assert!(uniform[2].is_nan(), "it has nothing in common with any row");
        let by_distance = filled(3, NeighborWeights::Distance);
        // Distances 0.5, 0.5 and 2.5, all times √2; the row at distance 0 stands alone.
        assert!((by_distance[0] - (10.0 * 2.0 + 20.0 * 2.0 + 40.0 * 0.4) / 4.4).abs() < 1e-12);
        assert_eq!(by_distance[1], 40.0);
        // Missing numbers come back from a file, and equal ones are equal.
        let saved = serde_json::to_string(&neighbors).unwrap();
        assert!(saved.contains("null"));
        let read: Neighbors = serde_json::from_str(&saved).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), saved);
    }
}
