//! Categories as what is known of the target of their rows: the step `target`.
//!
//! A training row is encoded by what the rows of other folds say, never by its own target, which the network would
//! otherwise read off its inputs; every other row by what all training rows say.

use std::collections::HashMap;

use super::super::table::RowIdx;
use super::super::target::Target;
use super::category::Lookup;
use crate::random::{Purpose, Stream};

/// The fold of a row that is not one of the training rows.
const NO_FOLD: u8 = u8::MAX;

/// How the training rows of one column are encoded: row by row, by one of several lookups that have not seen the row.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnFolds {
    /// The fold of each row of the table.
    fold_of: Vec<u8>,
    /// What the training rows of the other folds say, fold by fold.
    lookups: Vec<Vec<Lookup>>,
}

/// The encodings of training rows that no row's own target has gone into, by column. They are needed to train and are no
/// part of a model.
pub type OutOfFold = HashMap<String, ColumnFolds>;

impl ColumnFolds {
    /// The lookups of a row, if it is a training row.
    pub(super) fn of(&self, row: RowIdx) -> Option<&[Lookup]> {
        let fold = *self.fold_of.get(row as usize)?;
        self.lookups.get(usize::from(fold)).map(Vec::as_slice)
    }

    /// Changes the numbers of output `output` in all folds by `change`.
    pub(super) fn change(&mut self, output: usize, change: impl Fn(&mut [f64])) {
        self.lookups.iter_mut().for_each(|lookups| lookups[output].change(&change));
    }
}

/// Fits a lookup for each output to all training rows, and to those of all folds but one.
///
/// `places` are those of the training rows `rows` among `n_places`; none for a cell without one. The target is a number,
/// 1 for the second of two classes, or 1 for each of several classes in turn. Without `smooth` it is found from the
/// data. Linear in the rows, for each output.
pub(super) fn fit(
    places: &[Option<usize>],
    rows: &[RowIdx],
    n_places: usize,
    target: &Target,
    smooth: Option<f64>,
    n_folds: usize,
    seed: u64,
) -> (Vec<Lookup>, ColumnFolds) {
    let folds = folds(rows, target, n_folds, seed);
    let n_outputs = match target {
        Target::Classes { classes, .. } if classes.len() > 2 => classes.len(),
        _ => 1,
    };
    let (mut whole, mut lookups) = (Vec::new(), vec![Vec::new(); n_folds]);
    for output in 0..n_outputs {
        let (suffix, value): (String, Box<dyn Fn(RowIdx) -> f64>) = match target {
            Target::Values(values) => (".target".into(), Box::new(|row| values[row as usize])),
            Target::Classes { codes, classes } => {
                let class = if n_outputs == 1 { 1 } else { output };
                let name = if n_outputs == 1 { String::new() } else { format!("={}", classes[class]) };
                let is_class = move |row: RowIdx| f64::from(u8::from(codes[row as usize] as usize == class));
                (format!(".target{name}"), Box::new(is_class))
            }
        };
        let of = |keeps: &dyn Fn(usize) -> bool| {
            let kept = (0..rows.len()).filter(|&i| keeps(i));
            let cells: Vec<(Option<usize>, f64)> = kept.map(|i| (places[i], value(rows[i]))).collect();
            lookup(&cells, n_places, smooth, suffix.clone())
        };
        whole.push(of(&|_| true));
        for (fold, lookups) in lookups.iter_mut().enumerate() {
            lookups.push(of(&|i| usize::from(folds[i]) != fold));
        }
    }
    let n_rows = rows.iter().max().map_or(0, |&last| last as usize + 1);
    let mut fold_of = vec![NO_FOLD; n_rows];
    rows.iter().zip(folds).for_each(|(&row, fold)| fold_of[row as usize] = fold);
    (whole, ColumnFolds { fold_of, lookups })
}

/// The mean target of each place, drawn to the mean of all as far as few rows say it, as scikit-learn's `TargetEncoder`:
/// (Σy + m·mean) / (n + m) with `smooth` = m, or λ·mean of the place + (1 − λ)·mean of all, where
/// λ = n·σ² / (n·σ² + s²), with σ² the variance of all and s² that of the place (Micci-Barreca 2001, equation 4, with
/// its variances taken from the data).
fn lookup(cells: &[(Option<usize>, f64)], n_places: usize, smooth: Option<f64>, suffix: String) -> Lookup {
    let n = cells.len().max(1) as f64;
    let mean = cells.iter().map(|(_, y)| y).sum::<f64>() / n;
    let variance = cells.iter().map(|(_, y)| (y - mean).powi(2)).sum::<f64>() / n;
    let (mut counts, mut sums) = (vec![0.0; n_places], vec![0.0; n_places]);
    for &(place, y) in cells {
        if let Some(place) = place {
            counts[place] += 1.0;
            sums[place] += y;
        }
    }
    let mut squares = vec![0.0; n_places];
    if smooth.is_none() {
        for &(place, y) in cells {
            if let Some(place) = place {
                squares[place] += (y - sums[place] / counts[place]).powi(2);
            }
        }
    }
    let value = |place: usize| {
        let (n, sum) = (counts[place], sums[place]);
        match smooth {
            // Nothing of a place and nothing to draw it to: what is known of all.
            _ if n == 0.0 => mean,
            Some(m) => (sum + m * mean) / (n + m),
            None => {
                let share = variance * n / (variance * n + squares[place] / n);
                // Where no target differs from another, there is nothing to share out.
                if share.is_nan() { mean } else { share * sum / n + (1.0 - share) * mean }
            }
        }
    };
    Lookup { suffix, values: (0..n_places).map(value).collect(), unseen: mean }
}

/// The folds of the training rows: dealt out in turn in a drawn order, class by class, so that folds are of one size and
/// have their share of each class.
fn folds(rows: &[RowIdx], target: &Target, n_folds: usize, seed: u64) -> Vec<u8> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    Stream::new(seed, Purpose::TargetFolds, n_folds as u32).shuffle(&mut order);
    if let Target::Classes { codes, .. } = target {
        order.sort_by_key(|&i| codes[rows[i] as usize]);
    }
    let mut folds = vec![0; rows.len()];
    for (turn, i) in order.into_iter().enumerate() {
        folds[i] = (turn % n_folds) as u8;
    }
    folds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_even_in_size_and_classes_and_follow_the_seed() {
        let codes: Vec<u32> = (0..103).map(|i| u32::from(i % 10 == 0)).collect();
        let classes = vec!["no".to_owned(), "yes".to_owned()];
        let target = Target::Classes { codes: codes.clone(), classes };
        let rows: Vec<RowIdx> = (0..103).collect();
        let dealt = folds(&rows, &target, 5, 3);
        let size = |fold: u8, class: u32| {
            rows.iter().filter(|&&row| dealt[row as usize] == fold && codes[row as usize] == class).count()
        };
        for fold in 0..5 {
            assert!((2..=3).contains(&size(fold, 1)) && (18..=19).contains(&size(fold, 0)));
            assert!((20..=21).contains(&(size(fold, 0) + size(fold, 1))));
        }
        assert_eq!(folds(&rows, &target, 5, 3), dealt);
        assert_ne!(folds(&rows, &target, 5, 4), dealt);
    }

    #[test]
    fn no_row_is_encoded_by_its_own_target() {
        let places: Vec<Option<usize>> = (0..60).map(|i| (i % 7 > 0).then_some(i % 3)).collect();
        let rows: Vec<RowIdx> = (0..60).map(|i| 2 * i).collect();
        let y = |changed: usize| -> Target {
            Target::Values((0..120).map(|i| if i == changed { 1e6 } else { (i * i % 11) as f64 }).collect())
        };
        let fitted = |changed| fit(&places, &rows, 3, &y(changed), None, 5, 1);
        let (whole, before) = fitted(usize::MAX);
        for (i, &row) in rows.iter().enumerate() {
            let (now_whole, after) = fitted(row as usize);
            let of = |folds: &ColumnFolds| folds.of(row).unwrap()[0].of(places[i]).to_bits();
            assert_eq!(of(&before), of(&after), "row {row}");
            assert_ne!(whole, now_whole);
        }
        assert!(before.of(1).is_none() && before.of(200).is_none(), "no training rows");
    }

    #[test]
    fn a_training_row_is_encoded_as_if_its_fold_were_not_there() {
        let places: Vec<Option<usize>> = (0..50).map(|i| Some(i * i % 4)).collect();
        let rows: Vec<RowIdx> = (0..50).collect();
        let codes = (0..50).map(|i| i * 5 % 3).collect();
        let target = Target::Classes { codes, classes: ["a", "b", "c"].map(String::from).to_vec() };
        let (_, own) = fit(&places, &rows, 4, &target, None, 4, 9);
        let dealt = folds(&rows, &target, 4, 9);
        for fold in 0..4 {
            let others: Vec<RowIdx> =
                rows.iter().copied().filter(|&row| dealt[row as usize] != fold).collect();
            let of_others: Vec<_> = others.iter().map(|&row| places[row as usize]).collect();
            let (expected, _) = fit(&of_others, &others, 4, &target, None, 4, 9);
            let inside = rows.iter().find(|&&row| dealt[row as usize] == fold).unwrap();
            assert_eq!(own.of(*inside).unwrap(), expected);
        }
    }

    #[test]
    fn odd_targets_are_encoded_all_the_same() {
        let places = [Some(0), Some(1), Some(0), None];
        let encoded = |target: &Target| fit(&places, &[0, 1, 2, 3], 3, target, None, 2, 0).0;
        // All alike: everything is their mean, the place without rows, too.
        let lookup = &encoded(&Target::Values(vec![4.0; 4]))[0];
        assert_eq!((lookup.values.as_slice(), lookup.unseen), (&[4.0; 3][..], 4.0));
        // A class that no row has is 0 everywhere.
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        let lookups = encoded(&Target::Classes { codes: vec![0, 1, 0, 1], classes });
        assert_eq!(lookups[2].values, [0.0; 3]);
        assert_eq!(
            lookups.iter().map(|l| l.suffix.as_str()).collect::<Vec<_>>(),
            [".target=a", ".target=b", ".target=c"]
        );
        for place in 0..3 {
            let sum: f64 = lookups.iter().map(|lookup| lookup.values[place]).sum();
            assert!(place == 2 || (sum - 1.0).abs() < 0.5, "{sum}");
        }
    }
}
