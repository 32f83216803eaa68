//! How far a metric could be off, had other rows been drawn: bootstrap intervals.

use std::collections::HashMap;

use rayon::prelude::*;

use super::metrics::{Judge, Named, Predictions, Truth, higher_is_better};
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
    /// The groups that were drawn in place of rows, if rows are in groups.
    pub n_groups: Option<usize>,
}

/// Every metric with its percentile bootstrap interval (Efron 1979).
///
/// A replicate draws as many rows as there are, with replacement, and the interval spans the middle
/// `confidence` (0.95, say) of the replicates' metrics. It tells of the sampling of test rows alone, not of
/// the training's own randomness. There is no interval without replicates, for fewer than two rows, or when a
/// metric is defined for less than half of the replicates (a rare class is in few of them).
///
/// `groups` has the group of each row, where rows of one are no independent draws: then a replicate draws as many groups as
/// there are, each with all its rows (the cluster bootstrap: Davison & Hinkley 1997, section 3.8; Field & Welsh 2007,
/// "Bootstrapping clustered data", Journal of the Royal Statistical Society B 69). One group has no interval, and of few of
/// them intervals are too narrow (Cameron, Gelbach & Miller 2008).
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
    groups: Option<&[u32]>,
    replicates: usize,
    confidence: f64,
    seed: u64,
) -> Intervals {
    assert!(confidence > 0.0 && confidence < 1.0, "the confidence is between 0 and 1");
    let n = truth.len();
    let judge = Judge::new(predictions, truth);
    let values = judge.weigh(&vec![1; n]);
    let units = Units::of(n, groups);
    let replicates =
        if units.len() < 2 || values.is_empty() { 0 } else { affordable(replicates, n * judge.passes()) };
    let drawn: Vec<Vec<Named>> = (0..replicates as u32)
        .into_par_iter()
        .map_init(|| Drawn::of(&units), |drawn, replicate| judge.weigh(drawn.draw(&units, seed, replicate)))
        .collect();
    let metrics = values.into_iter().map(|(name, value)| (name, value, interval(name, &drawn, confidence)));
    Intervals { metrics: metrics.collect(), replicates, n_groups: groups.is_some().then_some(units.len()) }
}

/// How [`intervals`] and [`gain`] make their intervals, as files name it: by rows, or by groups.
pub fn method(by_groups: bool) -> &'static str {
    if by_groups { "percentile cluster bootstrap" } else { "percentile bootstrap" }
}

/// The largest gain that is told, and the largest loss.
pub const MOST_GAIN: f64 = 1e9;

/// By how much one model is better than another on the same rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain {
    /// The share of the other model's figure by which the figure is better; below 0 where it is worse.
    pub share: f64,
    /// The bootstrap interval of that share.
    pub interval: Option<[f64; 2]>,
    /// How many replicates the interval is made from.
    pub replicates: usize,
}

/// By how much `ours` is better than `theirs` in one metric, with a paired percentile bootstrap interval.
///
/// Each replicate measures both models on the same drawn rows, those of [`intervals`]: what makes a draw hard
/// for both cancels out, so that a difference shows that the two intervals would hide. None when the metric
/// is not defined for both.
///
/// The cost is twice that of [`intervals`], the bound on row draws the same.
///
/// # Panics
/// As [`intervals`].
pub fn gain(
    metric: &str,
    [ours, theirs]: [&Predictions; 2],
    truth: Truth,
    groups: Option<&[u32]>,
    replicates: usize,
    confidence: f64,
    seed: u64,
) -> Option<Gain> {
    assert!(confidence > 0.0 && confidence < 1.0, "the confidence is between 0 and 1");
    let n = truth.len();
    let (ours, theirs) = (Judge::new(ours, truth), Judge::new(theirs, truth));
    let sign = if higher_is_better(metric) { 1.0 } else { -1.0 };
    let share = |weights: &[u32]| {
        let figure = |judge: &Judge| judge.weigh(weights).into_iter().find(|(name, _)| *name == metric);
        let ((_, ours), (_, theirs)) = (figure(&ours)?, figure(&theirs)?);
        let difference = sign * (ours - theirs);
        // Where the other model makes no error at all, any difference is beyond all shares.
        let share = if difference == 0.0 { 0.0 } else { difference / theirs.abs() };
        Some(share.clamp(-MOST_GAIN, MOST_GAIN))
    };
    let all = share(&vec![1; n])?;
    let passes = ours.passes() + theirs.passes();
    let units = Units::of(n, groups);
    let replicates = if units.len() < 2 { 0 } else { affordable(replicates, n * passes) };
    let drawn: Vec<Option<f64>> = (0..replicates as u32)
        .into_par_iter()
        .map_init(|| Drawn::of(&units), |drawn, replicate| share(drawn.draw(&units, seed, replicate)))
        .collect();
    let interval = middle(drawn.into_iter().flatten().collect(), replicates, confidence);
    Some(Gain { share: all, interval, replicates })
}

/// What a replicate draws, as often as there are, with replacement.
enum Units {
    /// Each row for itself; how many there are.
    Rows(usize),
    /// Groups with all their rows, numbered in the order of their first rows.
    Groups { of_row: Vec<u32>, n_groups: usize },
}

impl Units {
    fn of(n_rows: usize, groups: Option<&[u32]>) -> Self {
        let Some(groups) = groups else { return Self::Rows(n_rows) };
        assert_eq!(groups.len(), n_rows, "each row has a group");
        let mut numbers = HashMap::new();
        let of_row = groups.iter().map(|group| {
            let next = numbers.len() as u32;
            *numbers.entry(group).or_insert(next)
        });
        let of_row = of_row.collect();
        Self::Groups { of_row, n_groups: numbers.len() }
    }

    fn len(&self) -> usize {
        match self {
            Self::Rows(n) | Self::Groups { n_groups: n, .. } => *n,
        }
    }
}

/// How often a replicate has drawn each unit and each row; one of a thread.
struct Drawn {
    units: Vec<u32>,
    /// Empty where the units are rows.
    rows: Vec<u32>,
}

impl Drawn {
    fn of(units: &Units) -> Self {
        let n_rows = match units {
            Units::Rows(_) => 0,
            Units::Groups { of_row, .. } => of_row.len(),
        };
        Self { units: vec![0; units.len()], rows: vec![0; n_rows] }
    }

    /// How often a replicate draws each row.
    fn draw(&mut self, units: &Units, seed: u64, replicate: u32) -> &[u32] {
        self.units.fill(0);
        let n = self.units.len();
        let mut stream = Stream::new(seed, Purpose::Bootstrap, replicate);
        for _ in 0..n {
            self.units[stream.below(n)] += 1;
        }
        let Units::Groups { of_row, .. } = units else { return &self.units };
        for (times, &group) in self.rows.iter_mut().zip(of_row) {
            *times = self.units[group as usize];
        }
        &self.rows
    }
}

/// How many of the replicates asked for are made when one costs `row_draws`.
fn affordable(replicates: usize, row_draws: usize) -> usize {
    replicates.min((MAX_ROW_DRAWS / row_draws).max(FEWEST_REPLICATES))
}

/// The middle `confidence` of the replicates in which the metric is defined.
fn interval(name: &str, drawn: &[Vec<Named>], confidence: f64) -> Option<[f64; 2]> {
    let value = |named: &Vec<Named>| named.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    middle(drawn.iter().filter_map(value).collect(), drawn.len(), confidence)
}

/// The middle `confidence` of values, unless they come from less than half of the replicates.
fn middle(mut values: Vec<f64>, replicates: usize, confidence: f64) -> Option<[f64; 2]> {
    if values.is_empty() || values.len() * 2 < replicates {
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
    fn a_gain_is_measured_on_the_same_draws_for_both() {
        let truth: Vec<f64> = (0..40).map(|i| f64::from(i * i % 37)).collect();
        let off = |by: f64| {
            let y = truth.iter().enumerate().map(|(i, t)| t + by * (1.0 + i as f64));
            Predictions::Values(y.collect())
        };
        let truth = Truth::Values(&truth);
        // Errors in a fixed proportion: the share is the same in every draw, though the errors are not.
        let Gain { share, interval, replicates } =
            gain("rmse", [&off(1.0), &off(2.0)], truth, None, 200, 0.9, 1).unwrap();
        let [low, high] = interval.unwrap();
        assert_eq!(replicates, 200);
        assert!((share - 0.5).abs() < 1e-12 && (low - 0.5).abs() < 1e-12 && (high - 0.5).abs() < 1e-12);
        let worse = gain("rmse", [&off(2.0), &off(1.0)], truth, None, 200, 0.9, 1).unwrap();
        assert!((worse.share + 1.0).abs() < 1e-12, "{worse:?}");
        // More of a metric of which more is better.
        let better = gain("r2", [&off(0.1), &off(0.2)], truth, None, 200, 0.9, 1).unwrap();
        assert!(better.share > 0.0, "{better:?}");
        assert_eq!(gain("accuracy", [&off(1.0), &off(2.0)], truth, None, 10, 0.9, 1), None);
        let perfect = gain("rmse", [&off(1.0), &off(0.0)], truth, None, 50, 0.9, 1).unwrap();
        assert_eq!(perfect, Gain { share: -1e9, interval: Some([-1e9, -1e9]), replicates: 50 });
        assert_eq!(gain("rmse", [&off(0.0), &off(0.0)], truth, None, 0, 0.9, 1).unwrap().share, 0.0);
        let broken = Predictions::Values(vec![f64::NAN; 40]);
        assert_eq!(gain("rmse", [&off(1.0), &broken], truth, None, 10, 0.9, 1), None);
        assert_eq!(gain("rmse", [&off(1.0), &off(2.0)], truth, None, 0, 0.9, 1).unwrap().interval, None);
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
