//! In which order the rows of an epoch come when they are too many to be mixed all at once: window by window.

use std::ops::Range;

use crate::random::{Purpose, Stream};

/// About how many inputs the rows of a window have together: 16 MiB in single precision.
const WINDOW_NUMBERS: usize = 1 << 22;
/// Groups of neighbouring rows that a window is made of.
const GROUPS: usize = 256;

/// Rows cut into groups of neighbours, of which a window takes some 256 at a time.
///
/// An epoch that is shuffled permutes the groups, and the rows of each window. Groups are as many rows as a whole number
/// of batches, so that without shuffling the batches are those of all rows in a row. What is left over behind the last
/// group stays last. Rows that fit one window are one group: they are mixed all at once.
///
/// All of this follows from the number of rows, of inputs, and the batch size: where the rows lie, in memory or in a
/// file, has no say, nor has the memory that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    n_rows: usize,
    group_rows: usize,
    /// Groups of a window at most; all windows have as many, or one less.
    n_groups: usize,
}

impl Windows {
    /// The windows of `n_rows` rows of `n_inputs` inputs, of which a batch has `batch_size`.
    pub fn new(n_rows: usize, n_inputs: usize, batch_size: usize) -> Self {
        Self::of_size(n_rows, batch_size, WINDOW_NUMBERS / n_inputs.max(1))
    }

    /// One window of all rows.
    pub fn single(n_rows: usize) -> Self {
        Self { n_rows, group_rows: n_rows.max(1), n_groups: 1 }
    }

    /// Windows of about `window_rows` rows.
    fn of_size(n_rows: usize, batch_size: usize, window_rows: usize) -> Self {
        if n_rows <= window_rows.max(batch_size) {
            return Self::single(n_rows);
        }
        let group_rows = (window_rows / GROUPS / batch_size).max(1) * batch_size;
        Self { n_rows, group_rows, n_groups: (window_rows / group_rows).max(1) }
    }

    /// Groups, less what is left over.
    fn n_full_groups(&self) -> usize {
        self.n_rows / self.group_rows
    }

    /// How many windows an epoch has.
    pub fn len(&self) -> usize {
        self.n_full_groups().div_ceil(self.n_groups).max(1)
    }

    /// Whether there is no row to come.
    pub fn is_empty(&self) -> bool {
        self.n_rows == 0
    }

    /// The most rows that a window has.
    pub fn max_rows(&self) -> usize {
        (self.n_groups * self.group_rows + self.n_rows % self.group_rows).min(self.n_rows)
    }

    /// Writes the order of the groups in epoch `epoch` to `groups`.
    pub fn order(&self, seed: u64, epoch: usize, shuffle: bool, groups: &mut Vec<u32>) {
        groups.clear();
        groups.extend(0..self.n_full_groups() as u32);
        if shuffle && groups.len() > 1 {
            Stream::new(seed, Purpose::ShuffleGroups, epoch as u32).shuffle(groups);
        }
    }

    /// The rows of window `window`, in stretches of neighbours, given the order of the groups.
    pub fn stretches(&self, groups: &[u32], window: usize) -> impl Iterator<Item = Range<usize>> {
        let start = |window: usize| window * groups.len() / self.len();
        let here = &groups[start(window)..start(window + 1)];
        let left_over = self.n_full_groups() * self.group_rows..self.n_rows;
        let of_group =
            |&group: &u32| group as usize * self.group_rows..(group as usize + 1) * self.group_rows;
        let last = (window + 1 == self.len() && !left_over.is_empty()).then_some(left_over);
        here.iter().map(of_group).chain(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of an epoch, window by window.
    fn epoch(windows: &Windows, seed: u64, epoch: usize, shuffle: bool) -> Vec<Vec<usize>> {
        let mut groups = vec![9; 3];
        windows.order(seed, epoch, shuffle, &mut groups);
        (0..windows.len()).map(|window| windows.stretches(&groups, window).flatten().collect()).collect()
    }

    #[test]
    fn unshuffled_rows_come_as_they_are_and_windows_end_where_batches_do() {
        for (n_rows, batch_size, window_rows) in
            [(10_000, 3, 1000), (10_001, 7, 2000), (5, 2, 3), (4097, 64, 64)]
        {
            let windows = Windows::of_size(n_rows, batch_size, window_rows);
            let found = epoch(&windows, 1, 1, false);
            assert_eq!(found.concat(), (0..n_rows).collect::<Vec<_>>());
            assert!(
                found.len() > 1 && found[..found.len() - 1].iter().all(|rows| rows.len() % batch_size == 0)
            );
            assert!(found.iter().all(|rows| rows.len() <= windows.max_rows()));
        }
    }

    #[test]
    fn every_row_comes_once_an_epoch_in_another_order() {
        let windows = Windows::of_size(100_003, 10, 20_000);
        let [first, second] = [1, 2].map(|n| epoch(&windows, 7, n, true));
        assert_ne!(first, second);
        assert_eq!(first, epoch(&windows, 7, 1, true));
        for windows in [first, second] {
            let mut rows = windows.concat();
            // A window is a fair share of the whole table: its mean is near that of all.
            let means = windows.iter().map(|rows| rows.iter().sum::<usize>() as f64 / rows.len() as f64);
            assert!(means.into_iter().all(|mean| (mean - 50_001.0).abs() < 8_000.0));
            rows.sort_unstable();
            assert_eq!(rows, (0..100_003).collect::<Vec<_>>());
        }
    }

    #[test]
    fn few_rows_are_one_group() {
        for n_rows in [0, 1, 1000, 209_715] {
            assert_eq!(Windows::new(n_rows, 20, 32), Windows::single(n_rows));
            assert_eq!(epoch(&Windows::new(n_rows, 20, 32), 3, 1, true), [(0..n_rows).collect::<Vec<_>>()]);
        }
        let windows = Windows::new(10_000_000, 20, 32);
        assert_eq!((windows.group_rows, windows.n_groups, windows.len()), (800, 262, 48));
        // A batch larger than a window is one.
        assert_eq!(Windows::new(5_000_000, 20, 1_000_000).len(), 5);
    }
}
