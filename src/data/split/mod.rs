//! Cuts the rows of a table into those to train on, to watch training with, and to test on: at random, by groups, in
//! time order, or as a column says; once, or fold by fold.

mod column;
mod folds;
mod group;
mod random;
mod time;

pub use folds::Rule;
pub use group::{GroupNumbers, Groups};
pub(crate) use time::Spelling;
pub use time::Times;

use super::table::RowIdx;
use super::words::counted;
use crate::{Error, Result};

/// The fewest rows that can be trained on.
pub const MIN_TRAIN: usize = 10;
/// The fewest rows of a validation or test part that is not empty.
pub const MIN_HELD_OUT: usize = 2;

/// The training rows of a [`Split`], in order.
///
/// Only a split makes them, so that nothing can be fitted on rows that were set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainRows(Vec<RowIdx>);

impl TrainRows {
    /// The row indices, from low to high.
    pub fn rows(&self) -> &[RowIdx] {
        &self.0
    }

    /// Any rows, for tests of what is fitted on them.
    #[cfg(test)]
    pub(crate) fn for_test(rows: Vec<RowIdx>) -> Self {
        Self(rows)
    }
}

/// Which rows are for what; no row is in two parts, and each part is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The rows to fit on.
    pub train: TrainRows,
    /// The rows to watch training with, to stop it and to choose settings by.
    pub val: Vec<RowIdx>,
    /// The rows to measure the final model on.
    pub test: Vec<RowIdx>,
}

impl Split {
    /// The split of these parts, each put in order.
    fn of([mut train, mut val, mut test]: [Vec<RowIdx>; 3]) -> Self {
        for part in [&mut train, &mut val, &mut test] {
            part.sort_unstable();
        }
        Self { train: TrainRows(train), val, test }
    }

    /// The same split with the validation rows among the training rows, for a last training after everything has been
    /// chosen; they are still watched, but nothing may be decided by what they say.
    pub fn refit(&self) -> Self {
        let train = [self.train.rows(), &self.val].concat();
        Self { val: self.val.clone(), ..Self::of([train, Vec::new(), self.test.clone()]) }
    }
}

/// Refuses shares that are none, or that leave nothing to train on.
fn check_shares(val_fraction: f64, test_fraction: f64) -> Result<()> {
    for (setting, fraction) in [("split.val", val_fraction), ("split.test", test_fraction)] {
        if !(0.0..1.0).contains(&fraction) {
            return Err(Error::setting(
                format!("{setting} is {fraction}; expected a share from 0 to below 1"),
                format!("--set {setting}=0.15"),
            ));
        }
    }
    if val_fraction + test_fraction >= 1.0 {
        return Err(Error::setting(
            format!(
                "split.val and split.test are {val_fraction} and {test_fraction}; no row is left to train on"
            ),
            "--set split.val=0.15 --set split.test=0.15",
        ));
    }
    Ok(())
}

/// Whether a part of `n` rows is smaller than the share that asks for it allows.
fn is_too_small(n: usize, fraction: f64) -> bool {
    if fraction > 0.0 { n < MIN_HELD_OUT } else { n > 0 }
}

/// How many of `n` rows go to training, validation and test.
fn part_sizes(n: usize, val_fraction: f64, test_fraction: f64) -> [usize; 3] {
    let n_val = (n as f64 * val_fraction).round() as usize;
    let n_test = (n as f64 * test_fraction).round() as usize;
    [n.saturating_sub(n_val + n_test), n_val, n_test]
}

fn too_few(n: usize, val_fraction: f64, test_fraction: f64) -> Error {
    let [n_train, n_val, n_test] = part_sizes(n, val_fraction, test_fraction);
    Error::data(
        format!(
            "fewer rows than needed: {} with a target make {n_train} to train on, {n_val} for validation and \
             {n_test} for the test (shares {val_fraction} and {test_fraction}); the least are {MIN_TRAIN}, and \
             {MIN_HELD_OUT} for each share above 0",
            counted(n, "row")
        ),
        if n < MIN_TRAIN + MIN_HELD_OUT {
            format!("add rows: the least are {}, with split.test=0", MIN_TRAIN + MIN_HELD_OUT)
        } else {
            "add rows, or change the shares: --set split.val=0.2 --set split.test=0".to_owned()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::{RowIdx, Split};

    pub(super) fn sizes(split: &Split) -> [usize; 3] {
        [split.train.rows().len(), split.val.len(), split.test.len()]
    }

    pub(super) fn all_rows(split: &Split) -> Vec<RowIdx> {
        let mut rows = [split.train.rows(), &split.val, &split.test].concat();
        rows.sort_unstable();
        rows
    }
}
