//! How well one column alone predicts the target: what a leak gives away.

use crate::data::table::MISSING;

/// How many neighbouring groups on each side a prediction takes in; the best of these counts.
const WINDOWS: [usize; 6] = [0, 1, 4, 16, 64, 256];
/// More classes than this are not tried.
const MOST_CLASSES: usize = 200;

/// What is predicted.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// Numbers; NaN where missing.
    Numbers(&'a [f64]),
    /// Codes below the count; [`MISSING`] where missing.
    Classes(&'a [u32], usize),
}

impl Outcome<'_> {
    fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Numbers(y) => y[row].is_nan(),
            Self::Classes(y, _) => y[row] == MISSING,
        }
    }
}

/// Rows that have the same value, in the order of the values.
struct Groups {
    rows: Vec<u32>,
    /// Where each group ends in `rows`.
    ends: Vec<usize>,
    /// Whether the last group holds the missing cells, which have no neighbours.
    missing: bool,
}

impl Groups {
    fn of(keys: &[f64], outcome: Outcome<'_>) -> Self {
        let mut rows: Vec<u32> =
            (0..keys.len() as u32).filter(|&row| !outcome.is_missing(row as usize)).collect();
        let key = |row: u32| keys[row as usize];
        // NaN of either sign comes last.
        rows.sort_unstable_by(|&a, &b| {
            key(a).is_nan().cmp(&key(b).is_nan()).then_with(|| key(a).total_cmp(&key(b))).then(a.cmp(&b))
        });
        let mut ends = Vec::new();
        for group in rows.chunk_by(|&a, &b| key(a) == key(b) || (key(a).is_nan() && key(b).is_nan())) {
            ends.push(ends.last().copied().unwrap_or(0) + group.len());
        }
        let missing = rows.last().is_some_and(|&row| key(row).is_nan());
        Self { rows, ends, missing }
    }

    fn start(&self, group: usize) -> usize {
        if group == 0 { 0 } else { self.ends[group - 1] }
    }

    /// The stretch of `rows` that predicts a group, by the neighbours that it takes in.
    fn window(&self, group: usize, neighbours: usize) -> std::ops::Range<usize> {
        let valued = self.ends.len() - usize::from(self.missing);
        if group >= valued {
            return self.start(group)..self.ends[group];
        }
        self.start(group.saturating_sub(neighbours))..self.ends[(group + neighbours).min(valued - 1)]
    }
}

/// How well the target of each row is predicted by the other rows with the same or a near value, from 0 (no better
/// than without the column) to 1 (perfectly).
///
/// `keys` are numbers, or codes as numbers if `ordered` is false, and then only equal codes predict each other; NaN is a
/// value of its own. Predicted is the mean of the other rows, or the class which is most over-represented among them.
/// Of windows of 0, 1, 4, …, 256 neighbouring values on each side the best counts. Told is R², or for C classes
/// (a − 1/C)/(1 − 1/C) of the balanced accuracy a. No row predicts itself. O(n·log n), with classes O(n·C).
pub fn alone(keys: &[f64], ordered: bool, outcome: Outcome<'_>) -> Option<f64> {
    if matches!(outcome, Outcome::Classes(_, n) if !(2..=MOST_CLASSES).contains(&n)) {
        return None;
    }
    let groups = Groups::of(keys, outcome);
    if groups.rows.len() < 2 {
        return None;
    }
    let windows = if ordered { &WINDOWS[..] } else { &WINDOWS[..1] };
    let scores = windows.iter().filter_map(|&window| match outcome {
        Outcome::Numbers(y) => r_squared(&groups, y, window),
        Outcome::Classes(y, n_classes) => balanced_accuracy(&groups, y, n_classes, window),
    });
    scores
        .fold(None, |best: Option<f64>, score| Some(best.map_or(score, |best| best.max(score))))
        .map(|s| s.max(0.0))
}

fn r_squared(groups: &Groups, y: &[f64], neighbours: usize) -> Option<f64> {
    let n = groups.rows.len();
    let mean = groups.rows.iter().map(|&row| y[row as usize]).sum::<f64>() / n as f64;
    let centred = |i: usize| y[groups.rows[i] as usize] - mean;
    let mut sums = vec![0.0; n + 1];
    for i in 0..n {
        sums[i + 1] = sums[i] + centred(i);
    }
    let (mut errors, mut total) = (0.0, 0.0);
    for group in 0..groups.ends.len() {
        let window = groups.window(group, neighbours);
        let (count, sum) = (window.len(), sums[window.end] - sums[window.start]);
        for i in groups.start(group)..groups.ends[group] {
            let d = centred(i);
            // Without others the mean is all there is.
            let predicted = if count > 1 { (sum - d) / (count - 1) as f64 } else { 0.0 };
            errors += (d - predicted).powi(2);
            total += d * d;
        }
    }
    (total > 0.0).then(|| 1.0 - errors / total)
}

fn balanced_accuracy(groups: &Groups, y: &[u32], n_classes: usize, neighbours: usize) -> Option<f64> {
    let class = |i: usize| y[groups.rows[i] as usize] as usize;
    let mut sizes = vec![0_usize; n_classes];
    (0..groups.rows.len()).for_each(|i| sizes[class(i)] += 1);
    let present = sizes.iter().filter(|size| **size > 0).count();
    if present < 2 {
        return None;
    }
    let mut counts = vec![0_usize; n_classes];
    let mut inside = 0..0;
    let mut hits = vec![0_usize; n_classes];
    for group in 0..groups.ends.len() {
        let window = groups.window(group, neighbours);
        // The windows only move on; the group of the missing begins anew.
        for i in inside.start..window.start.min(inside.end) {
            counts[class(i)] -= 1;
        }
        for i in inside.end.max(window.start)..window.end {
            counts[class(i)] += 1;
        }
        inside = window;
        // A class's share of its own rows, so that a frequent one is not predicted for its size alone. Without the row
        // itself, a class has one member less in the window and in all.
        let share = |c: usize, own: usize| match sizes[c] - usize::from(c == own) {
            0 => 0.0,
            size => (counts[c] - usize::from(c == own)) as f64 / size as f64,
        };
        let strongest =
            |own: usize| (0..n_classes).filter(|&c| c != own).map(|c| share(c, own)).fold(0.0, f64::max);
        let mut of_class = vec![None; n_classes];
        for i in groups.start(group)..groups.ends[group] {
            let own = class(i);
            let hit = *of_class[own].get_or_insert_with(|| share(own, own) > strongest(own));
            hits[own] += usize::from(hit);
        }
    }
    let recalls = sizes
        .iter()
        .zip(&hits)
        .filter(|(size, _)| **size > 0)
        .map(|(size, hits)| *hits as f64 / *size as f64);
    let (mean, chance) = (recalls.sum::<f64>() / present as f64, 1.0 / present as f64);
    Some((mean - chance) / (1.0 - chance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    fn noise(n: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, Purpose::Noise, 0);
        (0..n).map(|_| stream.normal()).collect()
    }

    #[test]
    fn a_function_of_the_column_is_found_and_noise_is_not() {
        let (x, y) = (noise(2000, 1), noise(2000, 2));
        let square: Vec<f64> = x.iter().map(|x| x * x).collect();
        assert!(alone(&x, true, Outcome::Numbers(&square)).unwrap() > 0.995);
        assert!(alone(&x, true, Outcome::Numbers(&y)).unwrap() < 0.02);
        let sign: Vec<u32> = x.iter().map(|x| u32::from(*x > 0.7)).collect();
        assert!(alone(&x, true, Outcome::Classes(&sign, 2)).unwrap() > 0.99);
        assert!(alone(&y, true, Outcome::Classes(&sign, 2)).unwrap() < 0.1);
    }

    #[test]
    fn equal_values_do_not_borrow_from_their_own_row() {
        // Every value occurs twice with opposite targets: it says worse than nothing.
        let x: Vec<f64> = (0..200).map(|i| f64::from(i / 2)).collect();
        let y: Vec<f64> = (0..200).map(|i| f64::from(i % 2)).collect();
        assert!(alone(&x, false, Outcome::Numbers(&y)).unwrap() < 1e-9);
        // One of a kind: nothing else predicts the row.
        let x: Vec<f64> = (0..200).map(f64::from).collect();
        assert_eq!(alone(&x, false, Outcome::Numbers(&y)).unwrap(), 0.0);
        let y: Vec<u32> = (0..200).map(|i| i % 2).collect();
        assert_eq!(alone(&x, false, Outcome::Classes(&y, 2)).unwrap(), 0.0);
    }

    #[test]
    fn that_a_cell_is_missing_can_give_the_target_away() {
        let y: Vec<u32> = (0..300).map(|i| u32::from(i % 7 == 0)).collect();
        let x: Vec<f64> =
            noise(300, 3).iter().zip(&y).map(|(x, y)| if *y == 1 { f64::NAN } else { *x }).collect();
        assert_eq!(alone(&x, true, Outcome::Classes(&y, 2)), Some(1.0));
    }

    #[test]
    fn by_hand() {
        // Two groups {1, 2, 3} and {7, 9}, mean 4.4: errors 1.5² + 0 + 1.5² + 2² + 2² = 12.5 of 47.2.
        let score =
            alone(&[0.0, 0.0, 0.0, 1.0, 1.0], false, Outcome::Numbers(&[1.0, 2.0, 3.0, 7.0, 9.0])).unwrap();
        assert!((score - (1.0 - 12.5 / 47.2)).abs() < 1e-12, "{score}");
    }
}
