//! Rows drawn at random, the mix of classes kept.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::table::RowIdx;
use super::{MIN_TRAIN, Split, check_shares, is_too_small, part_sizes, too_few};
use crate::Result;
use crate::random::{Purpose, Stream};

impl Split {
    /// Draws a split of `rows` at random: a share `val_fraction` and a share `test_fraction` are set
    /// aside, each rounded to whole rows; a share of 0 sets none aside.
    ///
    /// With `classes`, which has an entry for each row of the table, the draw is stratified: the
    /// number of rows of each class in each part is within one of its share, and each class keeps
    /// at least one training row. Takes time linear in the number of rows, and at worst quadratic
    /// in the number of classes.
    ///
    /// # Panics
    /// When a row is not in `classes`.
    pub fn random(
        rows: &[RowIdx],
        classes: Option<&[u32]>,
        val_fraction: f64,
        test_fraction: f64,
        seed: u64,
    ) -> Result<Self> {
        draw(rows, classes, [val_fraction, test_fraction], &mut Stream::new(seed, Purpose::Split, 0))
    }
}

/// [`Split::random`], drawn from `stream`.
pub(super) fn draw(
    rows: &[RowIdx],
    classes: Option<&[u32]>,
    [val_fraction, test_fraction]: [f64; 2],
    stream: &mut Stream,
) -> Result<Split> {
    check_shares(val_fraction, test_fraction)?;
    // Those of a table mostly are in order; of many of them no copy is made, and nothing grows beyond what it will hold.
    let rows = if rows.is_sorted_by(|a, b| a < b) {
        Cow::Borrowed(rows)
    } else {
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows.dedup();
        Cow::Owned(rows)
    };
    let sizes = part_sizes(rows.len(), val_fraction, test_fraction);
    let [n_train, n_val, n_test] = sizes;
    if n_train < MIN_TRAIN || is_too_small(n_val, val_fraction) || is_too_small(n_test, test_fraction) {
        return Err(too_few(rows.len(), val_fraction, test_fraction));
    }
    let class = |row: RowIdx| classes.map_or(0, |classes| classes[row as usize]);
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    rows.iter().for_each(|&row| *counts.entry(class(row)).or_default() += 1);
    let group_sizes: Vec<usize> = counts.values().copied().collect();
    let mut groups: BTreeMap<u32, Vec<RowIdx>> =
        counts.into_iter().map(|(class, n)| (class, Vec::with_capacity(n))).collect();
    rows.iter().for_each(|&row| groups.entry(class(row)).or_default().push(row));
    drop(rows);
    let shares = apportion(&group_sizes, sizes);
    let mut parts = [0, 1, 2].map(|part| Vec::with_capacity(shares.iter().map(|share| share[part]).sum()));
    let [train, val, test] = &mut parts;
    for (mut group, [_, n_val, n_test]) in groups.into_values().zip(shares) {
        stream.shuffle(&mut group);
        val.extend_from_slice(&group[..n_val]);
        test.extend_from_slice(&group[n_val..n_val + n_test]);
        train.extend_from_slice(&group[n_val + n_test..]);
    }
    Ok(Split::of(parts))
}

/// How many rows of each class go to each part, given the sizes of the classes and of the parts.
///
/// Each number is its exact share rounded down or up, and the sums over classes are the sizes of
/// the parts ("controlled rounding", Cox & Ernst 1982). Largest remainders alone do this for two
/// parts and fail for three; here they are the start, and roundings are then exchanged between
/// parts until the sums are right. Last, a class without a training row takes one from a part
/// that was rounded up, which may change the sizes of the parts by a row for each such class.
fn apportion(class_sizes: &[usize], part_sizes: [usize; 3]) -> Vec<[usize; 3]> {
    let n = class_sizes.iter().sum::<usize>().max(1) as u128;
    let mut cells: Vec<[Cell; 3]> = Vec::with_capacity(class_sizes.len());
    for &size in class_sizes {
        let mut row = part_sizes.map(|part| {
            let product = size as u128 * part as u128;
            Cell { floor: (product / n) as usize, remainder: product % n, up: false }
        });
        let left = size - row.iter().map(|cell| cell.floor).sum::<usize>();
        let mut order = [0, 1, 2];
        order.sort_by_key(|&part| std::cmp::Reverse(row[part].remainder));
        order[..left].iter().for_each(|&part| row[part].up = true);
        cells.push(row);
    }
    loop {
        let total = |part: usize| cells.iter().map(|row| row[part].count()).sum::<usize>();
        let totals = [total(0), total(1), total(2)];
        let over = (0..3).find(|&part| totals[part] > part_sizes[part]);
        let under = (0..3).find(|&part| totals[part] < part_sizes[part]);
        let (Some(over), Some(under)) = (over, under) else { break };
        if !exchange(&mut cells, over, under) {
            break;
        }
    }
    for row in &mut cells {
        if row[0].count() == 0
            && let Some(giver) = (1..3).find(|&part| row[part].up)
        {
            row[giver].up = false;
            row[0].up = true;
        }
    }
    cells.into_iter().map(|row| row.map(Cell::count)).collect()
}

/// A share of a class in a part: its whole rows, what is left of it, and how it is rounded.
#[derive(Clone, Copy)]
struct Cell {
    floor: usize,
    remainder: u128,
    up: bool,
}

impl Cell {
    fn count(self) -> usize {
        self.floor + usize::from(self.up)
    }
}

/// Moves one row from the part `over` to the part `under` by exchanging roundings: in one class,
/// or in two by way of the third part; the class that loses least is chosen.
fn exchange(cells: &mut [[Cell; 3]], over: usize, under: usize) -> bool {
    let cheapest = |cells: &[[Cell; 3]], from: usize, to: usize| {
        let can = |row: &[Cell; 3]| row[from].up && !row[to].up && row[to].remainder > 0;
        let fits = cells.iter().enumerate().filter(|(_, row)| can(row));
        fits.min_by_key(|(_, row)| row[from].remainder as i128 - row[to].remainder as i128).map(|(i, _)| i)
    };
    let third = 3 - over - under;
    if let Some(class) = cheapest(cells, over, under) {
        cells[class][over].up = false;
        cells[class][under].up = true;
    } else if let (Some(first), Some(second)) = (cheapest(cells, over, third), cheapest(cells, third, under))
    {
        cells[first][over].up = false;
        cells[first][third].up = true;
        cells[second][third].up = false;
        cells[second][under].up = true;
    } else {
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{all_rows, sizes};
    use super::*;

    #[test]
    fn a_random_split_takes_every_row_once_and_follows_the_seed() {
        let rows: Vec<RowIdx> = (0..1338).collect();
        let split = Split::random(&rows, None, 0.15, 0.15, 7).unwrap();
        assert_eq!(sizes(&split), [936, 201, 201]);
        assert_eq!(all_rows(&split), rows);
        let mut reversed = rows.clone();
        reversed.reverse();
        assert_eq!(Split::random(&reversed, None, 0.15, 0.15, 7).unwrap(), split);
        assert_ne!(Split::random(&rows, None, 0.15, 0.15, 8).unwrap(), split);
        // Not the head or tail of the file: the mean of test rows is near that of all.
        let mean = f64::from(split.test.iter().sum::<RowIdx>()) / 201.0;
        assert!((mean - 668.5).abs() < 100.0, "{mean}");
    }

    #[test]
    fn shares_that_leave_too_little_are_refused() {
        let failure = |n: RowIdx, val, test| {
            Split::random(&(0..n).collect::<Vec<_>>(), None, val, test, 0).unwrap_err()
        };
        let message = failure(13, 0.15, 0.15).to_string();
        assert!(
            message.contains("13 rows with a target make 9 to train on, 2 for validation and 2"),
            "{message}"
        );
        assert!(failure(14, 0.5, 0.0).to_string().contains("fewer rows than needed"));
        assert!(failure(100, 0.001, 0.0).to_string().contains("0 for validation"));
        assert_eq!(failure(100, 1.0, 0.0).exit_code(), 2);
        assert_eq!(failure(100, f64::NAN, 0.0).exit_code(), 2);
        assert_eq!(failure(100, 0.5, 0.5).exit_code(), 2);
        let rows: Vec<RowIdx> = (0..14).collect();
        assert_eq!(sizes(&Split::random(&rows, None, 0.15, 0.15, 0).unwrap()), [10, 2, 2]);
        assert_eq!(sizes(&Split::random(&rows, None, 0.0, 0.0, 0).unwrap()), [14, 0, 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn each_class_gets_its_share_of_each_part(
            class_sizes in prop::collection::vec(3usize..40, 1..30),
            val in 0.0..0.45f64,
            test in 0.0..0.45f64,
            seed in any::<u64>(),
        ) {
            let classes: Vec<u32> =
                class_sizes.iter().zip(0..).flat_map(|(&n, class)| vec![class; n]).collect();
            let rows: Vec<RowIdx> = (0..classes.len() as RowIdx).collect();
            let Ok(split) = Split::random(&rows, Some(&classes), val, test, seed) else { return Ok(()) };
            prop_assert_eq!(all_rows(&split), rows);
            let parts = part_sizes(classes.len(), val, test);
            let mut without_train = 0;
            for (class, &n) in (0..).zip(&class_sizes) {
                let count = |rows: &[RowIdx]| rows.iter().filter(|&&row| classes[row as usize] == class).count();
                let counts = [count(split.train.rows()), count(&split.val), count(&split.test)];
                prop_assert!(counts[0] >= 1);
                for (count, part) in counts.into_iter().zip(parts) {
                    let share = n as f64 * part as f64 / classes.len() as f64;
                    prop_assert!((count as f64 - share).abs() < 1.0, "{count} of {share}");
                }
                without_train += usize::from(n * parts[0] < classes.len());
            }
            // Only classes too small for a training row of their own move a row between parts.
            for (found, part) in sizes(&split).into_iter().zip(parts) {
                prop_assert!(found.abs_diff(part) <= without_train);
            }
        }
    }

    #[test]
    fn small_classes_keep_a_training_row_when_little_is_left_to_train_on() {
        // Ten classes of three rows have a share of 0.6 training rows each.
        let classes: Vec<u32> = (0..60).map(|row| if row < 30 { 0 } else { row / 3 }).collect();
        let rows: Vec<RowIdx> = (0..60).collect();
        let split = Split::random(&rows, Some(&classes), 0.4, 0.4, 5).unwrap();
        let trained: std::collections::BTreeSet<u32> =
            split.train.rows().iter().map(|&row| classes[row as usize]).collect();
        assert_eq!(trained.len(), 11);
        assert_eq!(all_rows(&split), rows);
    }
}
