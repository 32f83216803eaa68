//! How far a metric could be off, had other rows been drawn: bootstrap intervals.

use rayon::prelude::*;

use super::metrics::{Judge, Named, Predictions, Truth};
use crate::random::{Purpose, Stream};

/// The most rows drawn for all replicates together; fewer replicates are made of larger tables.
const MAX_ROW_DRAWS: usize = 50_000_000;
/// Replicates that are made of a table of any size, if as many were asked for.
const FEWEST_REPLICATES: usize = 100;

/// Metrics with their intervals.
#[derive(Debug, Clone, PartialEq)]
pub struct Intervals {
    /// Name, value on all rows, and interval, in the order of [`super::metrics::metrics`].
    pub metrics: Vec<(&'static str, f64, Option<[f64; 2]>)>,
    /// How many replicates the intervals are made from: those asked for, fewer if the table is huge, or none.
    pub replicates: usize,
}

/// Every metric with its percentile bootstrap interval (Efron 1979).
///
/// A replicate draws as many rows as there are, with replacement, and the interval spans the middle
/// `confidence` (0.95, say) of the replicates' metrics. It tells of the sampling of test rows alone, not of
/// the training's own randomness. There is no interval without replicates, for fewer than two rows, or when a
/// metric is defined for less than half of the replicates (a rare class is in few of them).
///
/// Replicate r reads the stream (`seed`, [`Purpose::Bootstrap`], r): the bits depend neither on the number of
/// threads nor on how many other replicates there are.
///
/// O(replicates·n) after sorting once, beyond two classes O(replicates·n·C). At most 5·10⁷ rows are drawn in
/// all (and for more than two classes 5·10⁷/C, as each class has its own ranking), but 100 replicates are
/// made in any case. A number a thread and row of memory.
///
/// # Panics
/// When predictions and truth are not of one kind and length, or `confidence` is not between 0 and 1.
pub fn intervals(
    predictions: &Predictions,
    truth: Truth,
    replicates: usize,
    confidence: f64,
    seed: u64,
) -> Intervals {
    assert!(confidence > 0.0 && confidence < 1.0, "the confidence is between 0 and 1");
    let n = truth.len();
    let judge = Judge::new(predictions, truth);
    let values = judge.weigh(&vec![1; n]);
    let replicates = if n < 2 || values.is_empty() { 0 } else { affordable(replicates, n * judge.passes()) };
    let drawn: Vec<Vec<Named>> = (0..replicates as u32)
        .into_par_iter()
        .map_init(
            || vec![0_u32; n],
            |weights, replicate| {
                weights.fill(0);
                let mut stream = Stream::new(seed, Purpose::Bootstrap, replicate);
                for _ in 0..n {
                    weights[stream.below(n)] += 1;
                }
                judge.weigh(weights)
            },
        )
        .collect();
    let metrics = values.into_iter().map(|(name, value)| (name, value, interval(name, &drawn, confidence)));
    Intervals { metrics: metrics.collect(), replicates }
}

/// How many of the replicates asked for are made when one costs `row_draws`.
fn affordable(replicates: usize, row_draws: usize) -> usize {
    replicates.min((MAX_ROW_DRAWS / row_draws).max(FEWEST_REPLICATES))
}

/// The middle `confidence` of the replicates in which the metric is defined.
fn interval(name: &str, drawn: &[Vec<Named>], confidence: f64) -> Option<[f64; 2]> {
    let value = |named: &Vec<Named>| named.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let mut values: Vec<f64> = drawn.iter().filter_map(value).collect();
    if values.is_empty() || values.len() * 2 < drawn.len() {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let tail = f64::midpoint(1.0, -confidence);
    Some([quantile(&values, tail), quantile(&values, 1.0 - tail)])
}

/// The quantile of sorted values, linear between neighbours (number 7 of Hyndman & Fan 1996, as in numpy).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let below = position as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let part = position - below as f64;
    sorted[below] * (1.0 - part) + sorted[above] * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_hand() {
        let values = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 0.5), 3.0);
        assert_eq!(quantile(&values, 1.0), 8.0);
        assert_eq!(quantile(&[5.0], 0.025), 5.0);
    }

    #[test]
    fn a_huge_table_gets_fewer_replicates() {
        assert_eq!(affordable(1000, 300), 1000);
        assert_eq!(affordable(1000, 100_000), 500);
        assert_eq!(affordable(1000, 10_000_000), 100);
        assert_eq!(affordable(50, 10_000_000), 50);
        assert_eq!(affordable(0, 10), 0);
    }

    #[test]
    fn a_metric_that_replicates_mostly_lack_has_no_interval() {
        let with = || vec![("roc_auc", 0.5)];
        assert_eq!(interval("roc_auc", &[with(), vec![], vec![]], 0.9), None);
        assert_eq!(interval("roc_auc", &[with(), vec![]], 0.9), Some([0.5, 0.5]));
    }
}
