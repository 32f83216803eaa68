//! Cuts the rows of a table into those to train on, to watch training with, and to test on.

use std::collections::BTreeMap;

use super::read::RawTable;
use super::words::{counted, instead, shown, thousands};
use crate::random::{Purpose, Stream};
use crate::{Error, Result};

/// The fewest rows that can be trained on.
pub const MIN_TRAIN: usize = 10;
/// The fewest rows of a validation or test part that is not empty.
pub const MIN_HELD_OUT: usize = 2;

/// The training rows of a [`Split`], in order.
///
/// Only a split makes them, so that nothing can be fitted on rows that were set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainRows(Vec<usize>);

impl TrainRows {
    /// The row indices, from low to high.
    pub fn rows(&self) -> &[usize] {
        &self.0
    }

    /// Any rows, for tests of what is fitted on them.
    #[cfg(test)]
    pub(crate) fn for_test(rows: Vec<usize>) -> Self {
        Self(rows)
    }
}

/// Which rows are for what; no row is in two parts, and each part is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The rows to fit on.
    pub train: TrainRows,
    /// The rows to watch training with, to stop it and to choose settings by.
    pub val: Vec<usize>,
    /// The rows to measure the final model on.
    pub test: Vec<usize>,
}

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
        rows: &[usize],
        classes: Option<&[u32]>,
        val_fraction: f64,
        test_fraction: f64,
        seed: u64,
    ) -> Result<Self> {
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
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows.dedup();
        let sizes = part_sizes(rows.len(), val_fraction, test_fraction);
        let held_out_too_small =
            |n: usize, fraction: f64| if fraction > 0.0 { n < MIN_HELD_OUT } else { n > 0 };
        let [n_train, n_val, n_test] = sizes;
        if n_train < MIN_TRAIN
            || held_out_too_small(n_val, val_fraction)
            || held_out_too_small(n_test, test_fraction)
        {
            return Err(too_few(rows.len(), val_fraction, test_fraction));
        }
        let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for row in rows {
            groups.entry(classes.map_or(0, |classes| classes[row])).or_default().push(row);
        }
        let group_sizes: Vec<usize> = groups.values().map(Vec::len).collect();
        let mut stream = Stream::new(seed, Purpose::Split, 0);
        let (mut train, mut val, mut test) = (Vec::new(), Vec::new(), Vec::new());
        for (mut group, [_, n_val, n_test]) in groups.into_values().zip(apportion(&group_sizes, sizes)) {
            stream.shuffle(&mut group);
            val.extend_from_slice(&group[..n_val]);
            test.extend_from_slice(&group[n_val..n_val + n_test]);
            train.extend_from_slice(&group[n_val + n_test..]);
        }
        for part in [&mut train, &mut val, &mut test] {
            part.sort_unstable();
        }
        Ok(Self { train: TrainRows(train), val, test })
    }

    /// Splits `rows` as the cells of a column say: `train`, `val` (or `valid`, `validation`) or
    /// `test`, in any case of letters.
    ///
    /// Where no row says `val`, a share `val_fraction` of the training rows is drawn for it, as by
    /// [`Split::random`]. With `strata` and `all_in_train`, as classes ask for it, each stratum must have a training
    /// row; bands of numbers need none.
    ///
    /// # Panics
    /// When a row is not in the table, or not in `strata`.
    pub fn by_column(
        raw: &RawTable,
        column: &str,
        rows: &[usize],
        strata: Option<&[u32]>,
        all_in_train: bool,
        val_fraction: f64,
        seed: u64,
    ) -> Result<Self> {
        let index = raw.column_index(column).ok_or_else(|| {
            Error::setting(
                format!("split.column: there is no column {} in {}", shown(column), raw.source.display()),
                instead(column, raw.names()),
            )
        })?;
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows.dedup();
        let (mut train, mut val, mut test) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let cell = raw.value(row, index).unwrap_or("nothing");
            match cell.to_lowercase().as_str() {
                "train" => train.push(row),
                "val" | "valid" | "validation" => val.push(row),
                "test" => test.push(row),
                _ => {
                    return Err(Error::data(
                        format!(
                            "{}: expected `train`, `val` or `test`, found {}",
                            raw.place(row, index),
                            shown(cell)
                        ),
                        "correct the cell, or split at random: --set split.column=''",
                    ));
                }
            }
        }
        let drawn = val.is_empty() && val_fraction > 0.0;
        if drawn {
            if train.is_empty() {
                return Err(short_part(column, "train", 0, MIN_TRAIN));
            }
            let cut = Self::random(&train, strata, val_fraction, 0.0, seed)?;
            (train, val) = (cut.train.0, cut.val);
        }
        let parts = [
            ("train", train.len(), MIN_TRAIN),
            ("val", val.len(), MIN_HELD_OUT),
            ("test", test.len(), MIN_HELD_OUT),
        ];
        for (part, n, least) in parts {
            if n < least && (n > 0 || part == "train") {
                return Err(short_part(column, part, n, least));
            }
        }
        if let Some(classes) = strata.filter(|_| all_in_train) {
            let trained: std::collections::BTreeSet<u32> = train.iter().map(|&row| classes[row]).collect();
            if let Some(&row) = val.iter().chain(&test).find(|&&row| !trained.contains(&classes[row])) {
                return Err(Error::data(
                    format!(
                        "{}: its class is in no row that column {} gives to `train`",
                        raw.row_place(row),
                        shown(column)
                    ),
                    "give some rows of each class to `train`",
                ));
            }
        }
        Ok(Self { train: TrainRows(train), val, test })
    }
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

fn short_part(column: &str, part: &str, n: usize, least: usize) -> Error {
    Error::data(
        format!(
            "fewer rows than needed: column {} gives {} with a target to `{part}`; the least are {least}",
            shown(column),
            counted(n, "row")
        ),
        format!("give at least {} to `{part}`, or split at random: --set split.column=''", thousands(least)),
    )
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
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::read::{ReadOptions, parse_csv};
    use super::*;

    fn sizes(split: &Split) -> [usize; 3] {
        [split.train.rows().len(), split.val.len(), split.test.len()]
    }

    fn all_rows(split: &Split) -> Vec<usize> {
        let mut rows = [split.train.rows(), &split.val, &split.test].concat();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn a_random_split_takes_every_row_once_and_follows_the_seed() {
        let rows: Vec<usize> = (0..1338).collect();
        let split = Split::random(&rows, None, 0.15, 0.15, 7).unwrap();
        assert_eq!(sizes(&split), [936, 201, 201]);
        assert_eq!(all_rows(&split), rows);
        let mut reversed = rows.clone();
        reversed.reverse();
        assert_eq!(Split::random(&reversed, None, 0.15, 0.15, 7).unwrap(), split);
        assert_ne!(Split::random(&rows, None, 0.15, 0.15, 8).unwrap(), split);
        // Not the head or tail of the file: the mean of test rows is near that of all.
        let mean = split.test.iter().sum::<usize>() as f64 / 201.0;
        assert!((mean - 668.5).abs() < 100.0, "{mean}");
    }

    #[test]
    fn shares_that_leave_too_little_are_refused() {
        let failure =
            |n: usize, val, test| Split::random(&(0..n).collect::<Vec<_>>(), None, val, test, 0).unwrap_err();
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
        let rows: Vec<usize> = (0..14).collect();
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
            let rows: Vec<usize> = (0..classes.len()).collect();
            let Ok(split) = Split::random(&rows, Some(&classes), val, test, seed) else { return Ok(()) };
            prop_assert_eq!(all_rows(&split), rows);
            let parts = part_sizes(classes.len(), val, test);
            let mut without_train = 0;
            for (class, &n) in (0..).zip(&class_sizes) {
                let count = |rows: &[usize]| rows.iter().filter(|&&row| classes[row] == class).count();
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
        let rows: Vec<usize> = (0..60).collect();
        let split = Split::random(&rows, Some(&classes), 0.4, 0.4, 5).unwrap();
        let trained: std::collections::BTreeSet<u32> =
            split.train.rows().iter().map(|&row| classes[row]).collect();
        assert_eq!(trained.len(), 11);
        assert_eq!(all_rows(&split), rows);
    }

    fn by_column(cells: &[&str], classes: Option<&[u32]>, val: f64) -> Result<Split> {
        let text = format!("part,x\n{},1\n", cells.join(",1\n"));
        let raw = parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default())?;
        let rows: Vec<usize> = (0..cells.len()).collect();
        Split::by_column(&raw, "part", &rows, classes, true, val, 3)
    }

    #[test]
    fn a_column_says_which_part_a_row_is_in() {
        let mut cells = vec!["train"; 10];
        cells.extend(["VAL", " valid", "Validation", "test", "Test"]);
        let split = by_column(&cells, None, 0.2).unwrap();
        assert_eq!(sizes(&split), [10, 3, 2]);
        assert_eq!((split.val.as_slice(), split.test.as_slice()), (&[10, 11, 12][..], &[13, 14][..]));
        assert_eq!(sizes(&by_column(&cells[..13], None, 0.2).unwrap()), [10, 3, 0]);
        // Without rows for validation, some of the training rows become it.
        let mut cells = vec!["train"; 20];
        cells.extend(["test", "test"]);
        let split = by_column(&cells, None, 0.2).unwrap();
        assert_eq!(sizes(&split), [16, 4, 2]);
        assert_eq!(split.test, [20, 21]);
        assert_eq!(sizes(&by_column(&cells, None, 0.0).unwrap()), [20, 0, 2]);
    }

    #[test]
    fn a_column_that_cannot_split_says_where_and_why() {
        let failure =
            |cells: &[&str], classes: Option<&[u32]>| by_column(cells, classes, 0.2).unwrap_err().to_string();
        let with = |more: &[&'static str]| [vec!["train"; 12].as_slice(), more].concat();
        let message = failure(&with(&["holdout"]), None);
        assert!(
            message.contains(
                "row 13 (line 14), column `part`: expected `train`, `val` or `test`, found `holdout`"
            ),
            "{message}"
        );
        assert!(failure(&with(&["NA"]), None).contains("found `nothing`"));
        assert!(failure(&with(&["val"]), None).contains("gives 1 row with a target to `val`"));
        assert!(failure(&["test", "test"], None).contains("gives 0 rows with a target to `train`"));
        let classes: Vec<u32> = (0..14).map(|i| u32::from(i > 12)).collect();
        let message = failure(&with(&["val", "val"]), Some(&classes));
        assert!(message.contains("row 14 (line 15): its class is in no row"), "{message}");
        let raw = parse_csv(b"part\ntrain\n", Path::new("t.csv"), &ReadOptions::default()).unwrap();
        let error = Split::by_column(&raw, "prat", &[0], None, true, 0.2, 0).unwrap_err();
        assert!(error.to_string().contains("did you mean `part`?") && error.exit_code() == 2, "{error}");
    }
}
