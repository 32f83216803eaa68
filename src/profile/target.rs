//! How a column goes with the target.

use serde::Serialize;

use super::alone::{Outcome, alone};
use super::quantiles::quantile;
use super::relation::{correlation_ratio, cramers_v, order, pearson, spearman};
use super::source::Values;
use crate::data::cell::finite;
use crate::data::table::MISSING;

/// Rows that the prediction by one column is tried on, at most.
pub const MOST_ROWS: usize = 100_000;
/// Stretches that numbers are cut into to show the target by.
const N_BANDS: usize = 10;
/// Categories that the target is shown by, at most.
const MOST_BANDS: usize = 12;

/// Categories of a column that may be a function of the target, at most.
const MOST_GIVEN: usize = 50;

/// A figure of how strongly two columns go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Of two columns of numbers, from −1 to 1.
    Pearson,
    /// Of categories and numbers, from 0 to 1.
    CorrelationRatio,
    /// Of two columns of categories, from 0 to 1.
    CramersV,
}

impl Measure {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pearson => "Pearson",
            Self::CorrelationRatio => "correlation ratio",
            Self::CramersV => "Cramér’s V",
        }
    }
}

/// The measure of two columns and its value; none where one does not vary.
pub fn measure(a: &Values<'_>, b: &Values<'_>) -> (Measure, Option<f64>) {
    match (a, b) {
        (Values::Numbers(x), Values::Numbers(y)) => (Measure::Pearson, pearson(x, y)),
        (Values::Numbers(x), Values::Codes { codes, levels })
        | (Values::Codes { codes, levels }, Values::Numbers(x)) => {
            (Measure::CorrelationRatio, correlation_ratio(codes, levels.len(), x))
        }
        (Values::Codes { codes: a, levels: la }, Values::Codes { codes: b, levels: lb }) => {
            (Measure::CramersV, cramers_v(a, la.len(), b, lb.len()))
        }
    }
}

/// The target in a part of the rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Band {
    /// The category, or the smallest and the largest number.
    pub label: String,
    /// Rows in it that have a target.
    pub count: usize,
    /// The mean target of numbers; of classes the share of each.
    pub target: Vec<f64>,
}

/// How a column goes with the target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Relation {
    /// Which measure.
    pub measure: Measure,
    /// Its value, on all rows that have both; none where one of them does not vary.
    pub value: Option<f64>,
    /// Spearman's correlation, of two columns of numbers, on at most [`MOST_ROWS`] rows.
    pub spearman: Option<f64>,
    /// How well the column alone predicts the target, from 0 to 1 ([`alone`]), on at most [`MOST_ROWS`] rows.
    pub alone: Option<f64>,
    /// How well the target alone predicts the column, from 0 to 1: 1 where the column is a function of the target; none of
    /// columns of more than [`MOST_GIVEN`] categories.
    pub given: Option<f64>,
    /// The target by categories, the most frequent first, or by ten stretches of numbers with as many rows each.
    pub bands: Vec<Band>,
}

/// How a column goes with the target; `rows` are those that stand for all where all would take too long.
pub fn relation(
    column: &Values<'_>,
    target: &Values<'_>,
    rows: Option<&[usize]>,
    shown: &dyn Fn(f64) -> String,
) -> Relation {
    let (measure, value) = measure(column, target);
    let (x, y) = match rows {
        Some(rows) => (column.of_rows(rows), target.of_rows(rows)),
        None => (column.clone(), target.clone()),
    };
    let spearman = match (&x, &y) {
        (Values::Numbers(x), Values::Numbers(y)) => spearman(x, &order(x), y, &order(y)),
        _ => None,
    };
    let by = |x: &Values<'_>, y: &Values<'_>| {
        let outcome = match y {
            Values::Numbers(y) => Outcome::Numbers(y),
            Values::Codes { codes, levels } => Outcome::Classes(codes, levels.len()),
        };
        let (keys, ordered) = keys(x);
        alone(&keys, ordered, outcome)
    };
    let few = !matches!(&x, Values::Codes { levels, .. } if levels.len() > MOST_GIVEN);
    Relation {
        measure,
        value,
        spearman,
        alone: by(&x, &y),
        given: if few { by(&y, &x) } else { None },
        bands: bands(&x, &y, shown),
    }
}

/// The cells as numbers to predict by. Texts that each hold a number, as `1,234.5 USD`, are taken as those numbers.
fn keys(x: &Values<'_>) -> (Vec<f64>, bool) {
    match x {
        Values::Numbers(x) => (x.to_vec(), true),
        Values::Codes { codes, levels } => {
            let numbers: Option<Vec<f64>> = levels.iter().map(|level| number_within(level)).collect();
            let ordered = numbers.is_some();
            let numbers = numbers.unwrap_or_else(|| (0..levels.len()).map(|i| i as f64).collect());
            let key = |&code: &u32| if code == MISSING { f64::NAN } else { numbers[code as usize] };
            (codes.iter().map(key).collect(), ordered)
        }
    }
}

/// The number in a text that holds one and otherwise only letters, marks and spaces.
fn number_within(text: &str) -> Option<f64> {
    let kept: String = text.chars().filter(|c| c.is_ascii_digit() || matches!(c, '.' | '-')).collect();
    finite(kept.trim_end_matches('.'))
}

/// The target by stretches of numbers or by categories.
fn bands(x: &Values<'_>, y: &Values<'_>, shown: &dyn Fn(f64) -> String) -> Vec<Band> {
    let (band_of, labels): (Vec<u32>, Vec<String>) = match x {
        Values::Numbers(x) => {
            let mut sorted: Vec<f64> = x.iter().copied().filter(|x| !x.is_nan()).collect();
            if sorted.is_empty() {
                return Vec::new();
            }
            sorted.sort_unstable_by(f64::total_cmp);
            // The upper end of each stretch; equal numbers are never parted.
            let mut ends: Vec<f64> =
                (1..=N_BANDS).map(|i| quantile(&sorted, i as f64 / N_BANDS as f64)).collect();
            ends.dedup();
            let band = |v: &f64| {
                if v.is_nan() {
                    MISSING
                } else {
                    ends.partition_point(|end| end < v).min(ends.len() - 1) as u32
                }
            };
            let mut labels = Vec::new();
            let mut start = 0;
            for end in &ends {
                let stop = if labels.len() + 1 == ends.len() {
                    sorted.len()
                } else {
                    sorted.partition_point(|v| v <= end)
                };
                labels.push(match sorted.get(start..stop) {
                    Some([one]) => shown(*one),
                    Some([first, .., last]) if first == last => shown(*first),
                    Some([first, .., last]) => format!("{} to {}", shown(*first), shown(*last)),
                    _ => String::new(),
                });
                start = stop;
            }
            (x.iter().map(band).collect(), labels)
        }
        Values::Codes { codes, levels } => {
            let mut counts = vec![0_usize; levels.len()];
            codes.iter().filter(|code| **code != MISSING).for_each(|code| counts[*code as usize] += 1);
            let mut order: Vec<usize> = (0..levels.len()).filter(|&level| counts[level] > 0).collect();
            order.sort_by(|&a, &b| counts[b].cmp(&counts[a]).then(a.cmp(&b)));
            order.truncate(MOST_BANDS);
            let mut band = vec![MISSING; levels.len()];
            order.iter().enumerate().for_each(|(i, &level)| band[level] = i as u32);
            let of = |&code: &u32| if code == MISSING { MISSING } else { band[code as usize] };
            (codes.iter().map(of).collect(), order.into_iter().map(|level| levels[level].clone()).collect())
        }
    };
    let width = match y {
        Values::Numbers(_) => 1,
        Values::Codes { levels, .. } => levels.len(),
    };
    let mut sums = vec![vec![0.0; width]; labels.len()];
    let mut counts = vec![0_usize; labels.len()];
    for (row, &band) in
        band_of.iter().enumerate().filter(|(row, band)| **band != MISSING && !y.is_missing(*row))
    {
        counts[band as usize] += 1;
        match y {
            Values::Numbers(y) => sums[band as usize][0] += y[row],
            Values::Codes { codes, .. } => sums[band as usize][codes[row] as usize] += 1.0,
        }
    }
    let whole = labels.into_iter().zip(sums).zip(counts).filter(|(_, count)| *count > 0);
    whole
        .map(|((label, sums), count)| Band {
            label,
            count,
            target: sums.into_iter().map(|s| s / count as f64).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_out_of_texts() {
        assert_eq!(number_within("USD 1,234.50"), Some(1234.5));
        assert_eq!(number_within("-3 °C"), Some(-3.0));
        assert_eq!((number_within("a"), number_within("2020-01-02")), (None, None));
    }

    #[test]
    fn bands_hold_equal_numbers_together() {
        let x = Values::Numbers(vec![1.0, 1.0, 1.0, 2.0, 3.0, f64::NAN].into());
        let y = Values::Numbers(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0].into());
        let found = bands(&x, &y, &|x| x.to_string());
        assert_eq!(found[0], Band { label: "1".into(), count: 3, target: vec![2.0] });
        assert_eq!(found.iter().map(|b| b.count).sum::<usize>(), 5);
        assert_eq!(found.last().unwrap().target, [5.0]);
    }
}
