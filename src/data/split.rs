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
    /// [`Split::random`]. With `classes`, each class must have a training row.
    ///
    /// # Panics
    /// When a row is not in the table, or not in `classes`.
    pub fn by_column(
        raw: &RawTable,
        column: &str,
        rows: &[usize],
        classes: Option<&[u32]>,
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
            let cell = raw.cell(row, index).trim();
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
            let cut = Self::random(&train, classes, val_fraction, 0.0, seed)?;
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
        if let Some(classes) = classes {
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
        "add rows, or change the shares: --set split.val=0.2 --set split.test=0",
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
