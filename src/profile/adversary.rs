//! Whether a network can tell the rows of two tables apart, and by which columns.
//!
//! "Adversarial validation": where the rows of two tables are drawn alike no classifier does better than chance, an area
//! under the ROC curve of ½. It also sees what no column shows on its own, as that two of them no longer go together.

use rayon::prelude::*;
use serde::Serialize;
use statera_kernels::CpuLevel;

use super::sample;
use super::source::{Values, unified};
use crate::config::{Activation, Config, Initializer, LayerSpec};
use crate::data::TargetScaler;
use crate::data::table::MISSING;
use crate::nn::{Loss, Network};
use crate::random::{Purpose, Stream};
use crate::train::events::{Answer, Event};
use crate::train::fit::{OwnedTargets, RowFacts, Rows, fit};

/// Rows of each table, at most.
const MOST_ROWS: usize = 10_000;
/// Rows that the smaller table needs.
pub const FEWEST_ROWS: usize = 50;
/// The larger sample is at most so many times the smaller.
const MOST_TIMES: usize = 5;
/// Inputs of the network, at most.
const MOST_INPUTS: usize = 500;
/// Numbers that all rows together hold, at most; wide tables are judged by fewer rows.
const MOST_CELLS: usize = 4_000_000;
/// Categories with an input of their own: at most so many of a column, each in at least so many rows.
const MOST_LEVELS: usize = 30;
const FEWEST_OF_LEVEL: usize = 10;
/// Parts that take turns at being predicted by the others.
const FOLDS: usize = 5;
/// An area under the curve below this hardly matters, however certain it is: two normal distributions whose means lie a
/// third of their deviation apart, as a population stability index of 0.1 has them, reach it.
pub const AUC_ALARM: f64 = 0.6;
/// Confidence of the interval, and the normal quantile that belongs to it.
pub const CONFIDENCE: f64 = 0.99;
const NORMAL_QUANTILE: f64 = 2.575_829_303_548_900_4;
/// What the area has to lose without a column that is told.
const LEAST_LOSS: f64 = 0.001;
/// Columns that are told as giving the tables away, at most.
const MOST_TOLD: usize = 10;

/// How well rows of two tables can be told apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Adversary {
    /// Rows of either table that it was tried on.
    pub rows: [usize; 2],
    /// Columns that it looked at.
    pub columns: usize,
    /// Columns for which there was no room.
    pub left_out: usize,
    /// Inputs that the columns make.
    pub inputs: usize,
    /// The area under the ROC curve, the mean over five folds of rows that were not learned from.
    pub auc: f64,
    /// Its interval.
    pub interval: [f64; 2],
    /// The confidence of the interval.
    pub confidence: f64,
    /// Whether the tables can be told apart: the interval lies above ½, and the area is at least [`AUC_ALARM`].
    pub apart: bool,
    /// The columns that give the tables away, the strongest first; none where they cannot be told apart, or where
    /// each could be done without.
    pub by: Vec<GivesAway>,
}

/// A column that helps to tell the tables apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GivesAway {
    /// The column, as an index into the profile's.
    pub column: usize,
    /// How much the area under the curve loses where the column's cells are shuffled among the rows (Breiman 2001).
    pub loses: f64,
}

/// Inputs of some columns: rows of the one table, then of the other.
struct Prepared {
    /// Rows × inputs.
    x: Vec<f32>,
    n_inputs: usize,
    /// Of each column its index and its inputs.
    of_column: Vec<(usize, std::ops::Range<usize>)>,
    left_out: usize,
}

/// Tries to tell rows of two tables apart by these columns, each with its index and its cells here and there, those that
/// matter most first. None where a table has fewer than [`FEWEST_ROWS`] rows or no column varies.
///
/// A network of two hidden layers of 64 units learns on four fifths of the rows (a tenth of them watched, to stop in
/// time) and scores the last fifth, in turn. Numbers enter as their rank among all rows, categories one-hot, missing
/// cells as a mark of their own; this preparation does not see which table a row is of. The interval of the mean of the
/// folds' areas is that of LeDell, Petersen & van der Laan 2015, with the variance of each by DeLong et al. 1988.
pub(super) fn adversary(columns: &[(usize, [&Values<'_>; 2])], seed: u64) -> Option<Adversary> {
    let sizes = [0, 1].map(|t| columns.first().map_or(0, |(_, values)| values[t].len()));
    let smaller = sizes[0].min(sizes[1]);
    if smaller < FEWEST_ROWS {
        return None;
    }
    // One-hot categories make more inputs than there are columns; twice as many is a guess on the safe side.
    let most = (MOST_CELLS / (4 * columns.len().min(MOST_INPUTS))).clamp(FEWEST_ROWS, MOST_ROWS);
    let most = most.min(MOST_TIMES * smaller);
    let picked = sizes.map(|size| sample::rows(size, most, seed).unwrap_or_else(|| (0..size).collect()));
    let rows = picked.each_ref().map(Vec::len);
    let inputs = inputs(columns, &picked);
    if inputs.n_inputs == 0 {
        return None;
    }
    let folds = folds(rows, seed);
    let judged: Vec<Judged> = folds
        .par_iter()
        .enumerate()
        .with_max_len(1)
        .map(|(fold, test)| judge(&inputs, rows[0], &folds, fold, test, seed))
        .collect::<Option<_>>()?;
    let auc = judged.iter().map(|one| one.auc).sum::<f64>() / FOLDS as f64;
    let variance = judged.iter().map(|one| one.variance).sum::<f64>() / (FOLDS * FOLDS) as f64;
    let half = NORMAL_QUANTILE * variance.sqrt();
    let interval = [(auc - half).max(0.0), (auc + half).min(1.0)];
    let apart = interval[0] > 0.5 && auc >= AUC_ALARM;
    let by = if apart { gives_away(&inputs, &judged, &folds, rows[0], auc, seed) } else { Vec::new() };
    Some(Adversary {
        rows,
        columns: inputs.of_column.len(),
        left_out: inputs.left_out,
        inputs: inputs.n_inputs,
        auc,
        interval,
        confidence: CONFIDENCE,
        apart,
        by,
    })
}

fn inputs(columns: &[(usize, [&Values<'_>; 2])], picked: &[Vec<usize>; 2]) -> Prepared {
    let n_rows = picked[0].len() + picked[1].len();
    let made: Vec<Vec<Vec<f32>>> = columns
        .par_iter()
        .take(MOST_INPUTS)
        .map(|(_, values)| match values {
            [Values::Numbers(x), Values::Numbers(y)] => {
                let of = |x: &[f64], rows: &[usize]| rows.iter().map(|&row| x[row]).collect::<Vec<f64>>();
                ranks(&[of(x, &picked[0]), of(y, &picked[1])].concat())
            }
            [here, there] => {
                let (codes, levels) = unified([here, there]);
                let of = |t: usize| picked[t].iter().map(|&row| codes[t][row]).collect::<Vec<u32>>();
                one_hot(&[of(0), of(1)].concat(), levels.len())
            }
        })
        .collect();
    let (mut n_inputs, mut of_column, mut kept) = (0, Vec::new(), Vec::new());
    for ((index, _), made) in columns.iter().zip(made) {
        if n_inputs + made.len() <= MOST_INPUTS {
            of_column.push((*index, n_inputs..n_inputs + made.len()));
            n_inputs += made.len();
            kept.extend(made);
        }
    }
    let mut x = vec![0.0; n_rows * n_inputs];
    for (i, input) in kept.iter().enumerate() {
        input.iter().enumerate().for_each(|(row, v)| x[row * n_inputs + i] = *v);
    }
    let left_out = columns.len() - of_column.len();
    of_column.retain(|(_, range)| !range.is_empty());
    Prepared { x, n_inputs, of_column, left_out }
}

/// The rank of each number among all, from −√3 to √3 (deviation 1), equal ones sharing theirs and 0 where missing; and
/// whether it is missing. Nothing where nothing varies.
fn ranks(x: &[f64]) -> Vec<Vec<f32>> {
    let order = super::relation::order(x);
    let mut inputs = Vec::new();
    let value = |place: usize| x[order[place] as usize];
    if !order.is_empty() && value(0) < value(order.len() - 1) {
        let mut rank = vec![0.0; x.len()];
        let mut start = 0;
        for ties in order.chunk_by(|&a, &b| x[a as usize] == x[b as usize]) {
            let middle = (start as f64 + 0.5 * ties.len() as f64) / order.len() as f64;
            ties.iter().for_each(|&row| rank[row as usize] = (12.0_f64.sqrt() * (middle - 0.5)) as f32);
            start += ties.len();
        }
        inputs.push(rank);
    }
    if (1..x.len()).contains(&order.len()) {
        inputs.push(x.iter().map(|x| f32::from(u8::from(x.is_nan()))).collect());
    }
    inputs
}

/// An input for each of the frequent categories, and one for missing cells.
fn one_hot(codes: &[u32], n_levels: usize) -> Vec<Vec<f32>> {
    let mut counts = vec![0_usize; n_levels + 1];
    let place = |code: u32| if code == MISSING { n_levels } else { code as usize };
    codes.iter().for_each(|code| counts[place(*code)] += 1);
    let mut kept: Vec<usize> =
        (0..=n_levels).filter(|&i| (FEWEST_OF_LEVEL..codes.len()).contains(&counts[i])).collect();
    kept.sort_by(|&a, &b| counts[b].cmp(&counts[a]).then(a.cmp(&b)));
    kept.truncate(MOST_LEVELS);
    let input = |level: usize| codes.iter().map(|c| f32::from(u8::from(place(*c) == level))).collect();
    kept.into_iter().map(input).collect()
}

/// The rows of each fold, as many of either table in each.
fn folds(rows: [usize; 2], seed: u64) -> Vec<Vec<u32>> {
    let mut folds = vec![Vec::new(); FOLDS];
    let mut start = 0;
    for (table, n) in rows.into_iter().enumerate() {
        let mut order: Vec<u32> = (start..start + n as u32).collect();
        Stream::new(seed, Purpose::Adversary, table as u32).shuffle(&mut order);
        order.iter().enumerate().for_each(|(i, row)| folds[i % FOLDS].push(*row));
        start += n as u32;
    }
    folds
}

/// A network fitted without a fold, and how it does there.
struct Judged {
    network: Network,
    params: Vec<f32>,
    auc: f64,
    variance: f64,
}

/// Fits on all folds but one, and judges by that one. None where the network learns nothing finite, which ranks between
/// −√3 and √3 leave no room for.
fn judge(
    inputs: &Prepared,
    n_here: usize,
    folds: &[Vec<u32>],
    fold: usize,
    test: &[u32],
    seed: u64,
) -> Option<Judged> {
    let n_inputs = inputs.n_inputs;
    let mut learned: Vec<u32> = (0..FOLDS).filter(|f| *f != fold).flat_map(|f| folds[f].clone()).collect();
    Stream::new(seed, Purpose::Adversary, 2 + fold as u32).shuffle(&mut learned);
    let (watched, learned) = learned.split_at(learned.len() / 10);
    let rows = |order: &[u32]| Rows::<f32> {
        x: picked(inputs, order),
        targets: OwnedTargets::Classes(order.iter().map(|&row| u32::from(row as usize >= n_here)).collect()),
    };
    let mut config = Config { seed, ..Config::default() };
    config.train.epochs = 30;
    config.train.batch_size = 128;
    config.optimizer.learning_rate = 3e-3;
    config.early_stopping.patience = 5;
    let hidden = LayerSpec::dense(64, Activation::Relu, Initializer::Auto);
    let network = Network::new(&[hidden.clone(), hidden], n_inputs, 1);
    let level = CpuLevel::detect();
    let loss = Loss::BinaryCrossentropy;
    let facts = RowFacts::default();
    let unit = &TargetScaler::IDENTITY;
    let fitted = fit(
        &network,
        loss,
        level,
        &config,
        &rows(learned),
        &facts,
        &rows(watched),
        unit,
        &mut |_: &Event| Answer::GoOn,
    );
    let params = fitted.ok()?.params;
    let mut judged = Judged { network, params, auc: 0.0, variance: 0.0 };
    (judged.auc, judged.variance) = area(&judged.scores(&picked(inputs, test)), test, n_here);
    Some(judged)
}

impl Judged {
    fn scores(&self, x: &[f32]) -> Vec<f32> {
        let n_rows = x.len() / self.network.n_inputs();
        let mut work = self.network.inference_workspace::<f32>(n_rows.min(512));
        let level = CpuLevel::detect();
        self.network.raw_outputs(level, &self.params, Loss::BinaryCrossentropy, x, &mut work)
    }
}

/// The inputs of some rows.
fn picked(inputs: &Prepared, order: &[u32]) -> Vec<f32> {
    let n = inputs.n_inputs;
    order.iter().flat_map(|&row| &inputs.x[row as usize * n..(row as usize + 1) * n]).copied().collect()
}

/// The area under the ROC curve of scores, and its variance (DeLong, DeLong & Clarke-Pearson 1988). O(n·log n).
fn area(scores: &[f32], rows: &[u32], n_here: usize) -> (f64, f64) {
    let of = |there: bool| {
        let mut of: Vec<f32> = scores
            .iter()
            .zip(rows)
            .filter(|(_, row)| (**row as usize >= n_here) == there)
            .map(|(score, _)| *score)
            .collect();
        of.sort_unstable_by(f32::total_cmp);
        of
    };
    let [here, there] = [of(false), of(true)];
    // Of each score, the share of the other table's scores that lie below it, ties half.
    let below = |of: &[f32], others: &[f32]| {
        let n = others.len() as f64;
        let share = |s: &f32| {
            let (less, most) = (others.partition_point(|o| o < s), others.partition_point(|o| o <= s));
            f64::midpoint(less as f64, most as f64) / n
        };
        of.iter().map(share).collect::<Vec<f64>>()
    };
    let moments = |shares: &[f64]| {
        let n = shares.len() as f64;
        let mean = shares.iter().sum::<f64>() / n;
        (mean, shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0) / n)
    };
    let (auc, of_there) = moments(&below(&there, &here));
    let (_, of_here) = moments(&below(&here, &there));
    (auc, of_there + of_here)
}

/// What the area loses where a column is shuffled in the rows of each fold; those that lose something.
fn gives_away(
    inputs: &Prepared,
    judged: &[Judged],
    folds: &[Vec<u32>],
    n_here: usize,
    auc: f64,
    seed: u64,
) -> Vec<GivesAway> {
    let n = inputs.n_inputs;
    let places: Vec<usize> = (0..inputs.of_column.len()).collect();
    let mut by: Vec<GivesAway> = places
        .par_iter()
        .with_max_len(1)
        .map(|&place| {
            let (column, range) = &inputs.of_column[place];
            let left = judged.iter().zip(folds).enumerate().map(|(fold, (one, test))| {
                let mut x = picked(inputs, test);
                let mut from: Vec<u32> = test.clone();
                Stream::new(seed, Purpose::Adversary, (16 + place * FOLDS + fold) as u32).shuffle(&mut from);
                for (row, from) in x.chunks_mut(n).zip(from) {
                    row[range.clone()].copy_from_slice(&inputs.x[from as usize * n..][range.clone()]);
                }
                area(&one.scores(&x), test, n_here).0
            });
            GivesAway { column: *column, loses: auc - left.sum::<f64>() / FOLDS as f64 }
        })
        .collect();
    by.retain(|one| one.loses >= LEAST_LOSS);
    by.sort_by(|a, b| b.loses.total_cmp(&a.loses).then(a.column.cmp(&b.column)));
    by.truncate(MOST_TOLD);
    by
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_and_its_variance_by_hand() {
        // Here 0.1, 0.4, 0.4; there 0.4, 0.9. Of the six pairs four are won and two are ties: 5/6.
        let (auc, variance) = area(&[0.1, 0.4, 0.4, 0.4, 0.9], &[0, 1, 2, 3, 4], 3);
        assert!((auc - 5.0 / 6.0).abs() < 1e-12);
        // Shares below of there: 2/3, 1; of here: 0, 1/4, 1/4.
        let by_hand = (1.0 / 18.0) / 2.0 + (1.0 / 48.0) / 3.0;
        assert!((variance - by_hand).abs() < 1e-12, "{variance}");
    }

    #[test]
    fn columns_that_do_not_vary_make_no_input() {
        assert!(ranks(&[1.0, 1.0]).is_empty() && ranks(&[f64::NAN; 3]).is_empty());
        assert_eq!(ranks(&[f64::NAN, 1.0]).len(), 1);
        assert!(one_hot(&[0; 30], 1).is_empty());
        let x = ranks(&[3.0, 1.0, 1.0, f64::NAN]);
        assert_eq!(x.len(), 2);
        assert!(x[0][1] == x[0][2] && x[0][3] == 0.0 && x[0][0] > 0.0);
    }
}
