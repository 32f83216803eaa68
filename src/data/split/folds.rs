//! One cut of rows, or one after another: k-fold, repeated k-fold and forward chaining.

use super::super::table::RowIdx;
use super::super::words::{counted, shown, thousands};
use super::group::Groups;
use super::random::draw;
use super::time::Times;
use super::{MIN_HELD_OUT, Split};
use crate::random::{Purpose, Stream};
use crate::{Error, Result};

/// By what rows are told apart when they are cut.
#[derive(Debug, Clone, Copy)]
pub enum Rule<'a> {
    /// By nothing: they are drawn at random, in proportion of the classes if there are any.
    Random {
        /// The class of each row of the table.
        classes: Option<&'a [u32]>,
    },
    /// By groups that stay together, the classes as near to proportion as these allow.
    Group {
        /// The group of each row of the table.
        groups: &'a Groups,
        /// The class of each row of the table.
        classes: Option<&'a [u32]>,
    },
    /// By time: what is held out comes after all that is trained on.
    Time(&'a Times),
}

impl Rule<'_> {
    /// Cuts `rows` once, a share `val` to watch training with and a share `test` to test on.
    pub fn split(self, rows: &[RowIdx], val: f64, test: f64, seed: u64) -> Result<Split> {
        self.draw(rows, [val, test], &mut Stream::new(seed, Purpose::Split, 0))
    }

    fn draw(self, rows: &[RowIdx], shares: [f64; 2], stream: &mut Stream) -> Result<Split> {
        match self {
            Self::Random { classes } => draw(rows, classes, shares, stream),
            Self::Group { groups, classes } => groups.draw(rows, classes, shares, stream),
            Self::Time(times) => times.cut(rows, shares),
        }
    }

    /// Cuts `rows` `n_folds` times, and that `repeats` times: each fold's `test` is what it holds out, and of its other
    /// rows a share `val` watches training, cut by the same rule. What is held out judges, and stops nothing.
    ///
    /// In each repeat every row is held out once. At random, fold sizes differ by one row at most, and so do the rows of
    /// a class, whose numbers are those of scikit-learn's `KFold` and `StratifiedKFold`. By time there is one repeat, of
    /// windows as `TimeSeriesSplit` has them, each trained for on all that comes before; the oldest rows are never held
    /// out.
    pub fn folds(
        self,
        rows: &[RowIdx],
        n_folds: usize,
        repeats: usize,
        val: f64,
        seed: u64,
    ) -> Result<Vec<Split>> {
        let mut folds = Vec::with_capacity(n_folds * repeats);
        for repeat in 0..repeats {
            for [rest, held_out] in self.parted(rows, n_folds, repeat, seed)? {
                if held_out.len() < MIN_HELD_OUT {
                    return Err(too_many_folds(rows.len(), n_folds));
                }
                let mut stream = Stream::new(seed, Purpose::Split, 1 + folds.len() as u32);
                let inside = self.draw(&rest, [val, 0.0], &mut stream)?;
                folds.push(Split::of([inside.train.0, inside.val, held_out]));
            }
        }
        Ok(folds)
    }

    /// For each fold of one repeat, the rows that it may train on and those that it holds out.
    fn parted(
        self,
        rows: &[RowIdx],
        n_folds: usize,
        repeat: usize,
        seed: u64,
    ) -> Result<Vec<[Vec<RowIdx>; 2]>> {
        let mut stream = Stream::new(seed, Purpose::Folds, repeat as u32);
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows.dedup();
        let held_out = match self {
            Self::Time(times) => return times.windows(&rows, n_folds),
            Self::Group { groups, classes } => {
                let n_groups = groups.count(&rows);
                if n_groups < n_folds {
                    return Err(Error::data(
                        format!(
                            "split.group: the rows to fold have {} in column {}, fewer than {n_folds} folds",
                            counted(n_groups, "group"),
                            shown(&groups.column)
                        ),
                        if n_groups < 2 {
                            "--set split.test=0".into()
                        } else {
                            format!("--folds {n_groups}")
                        },
                    ));
                }
                groups.deal(&rows, classes, &vec![1.0 / n_folds as f64; n_folds], &mut stream)
            }
            Self::Random { classes } => {
                stream.shuffle(&mut rows);
                if let Some(classes) = classes {
                    rows.sort_by_key(|&row| classes[row as usize]);
                }
                let mut held_out = vec![Vec::new(); n_folds];
                rows.iter().enumerate().for_each(|(i, &row)| held_out[i % n_folds].push(row));
                held_out
            }
        };
        let rest = |out: usize| held_out.iter().enumerate().filter(move |(fold, _)| *fold != out);
        let of = |out: usize| {
            [rest(out).flat_map(|(_, rows)| rows.iter().copied()).collect(), held_out[out].clone()]
        };
        Ok((0..n_folds).map(of).collect())
    }
}

fn too_many_folds(n_rows: usize, n_folds: usize) -> Error {
    Error::data(
        format!(
            "fewer rows than needed: {} make no {n_folds} folds of at least {MIN_HELD_OUT} each",
            counted(n_rows, "row")
        ),
        format!("fewer folds: --folds {}", thousands((n_rows / 10).clamp(2, 5))),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::all_rows;
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        classes: Vec<u32>,
        groups: Vec<u32>,
        cases: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        n_folds: usize,
        /// Sizes of the held-out parts.
        kfold: Vec<usize>,
        /// Rows of each class in each held-out part.
        stratified: Vec<Vec<usize>>,
        /// Sizes of the held-out parts, which separate no group.
        group: Vec<usize>,
        /// The first rows and the ends of the windows.
        time: Vec<[RowIdx; 2]>,
    }

    fn golden() -> Golden {
        serde_json::from_str(include_str!("../../../tests/golden/folds.json")).unwrap()
    }

    fn counts(rows: &[RowIdx], of: &[u32]) -> Vec<usize> {
        let mut counts = vec![0; *of.iter().max().unwrap() as usize + 1];
        rows.iter().for_each(|&row| counts[of[row as usize] as usize] += 1);
        counts
    }

    #[test]
    fn sizes_and_classes_are_those_of_scikit_learn() {
        let golden = golden();
        let rows: Vec<RowIdx> = (0..golden.classes.len() as RowIdx).collect();
        let groups = Groups { column: "g".into(), of_row: golden.groups, n_groups: 0, n_missing: 0 };
        let n_groups = groups.of_row.iter().collect::<std::collections::BTreeSet<_>>().len();
        let groups = Groups { n_groups, ..groups };
        let times = Times { column: "t".into(), of_row: rows.iter().map(|&row| f64::from(row)).collect() };
        assert!(golden.cases.len() >= 4);
        for case in golden.cases {
            let folds = |rule: Rule| rule.folds(&rows, case.n_folds, 1, 0.2, 3).unwrap();
            let sizes = |folds: &[Split]| folds.iter().map(|fold| fold.test.len()).collect::<Vec<_>>();
            assert_eq!(sizes(&folds(Rule::Random { classes: None })), case.kfold);
            let stratified = folds(Rule::Random { classes: Some(&golden.classes) });
            let of_classes: Vec<_> =
                stratified.iter().map(|fold| counts(&fold.test, &golden.classes)).collect();
            assert_eq!(of_classes, case.stratified);
            // Group sizes are random, and no less even than scikit-learn's.
            let spread = |sizes: &[usize]| sizes.iter().max().unwrap() - sizes.iter().min().unwrap();
            let grouped = sizes(&folds(Rule::Group { groups: &groups, classes: None }));
            assert_eq!(grouped.iter().sum::<usize>(), case.group.iter().sum::<usize>());
            assert!(spread(&grouped) <= spread(&case.group) + 3, "{grouped:?} beside {:?}", case.group);
            let windows = folds(Rule::Time(&times));
            let ends: Vec<[RowIdx; 2]> =
                windows.iter().map(|fold| [fold.test[0], fold.test[fold.test.len() - 1] + 1]).collect();
            assert_eq!(ends, case.time);
        }
    }

    #[test]
    fn every_row_is_held_out_once_in_each_repeat_and_nothing_is_in_two_parts() {
        let rows: Vec<RowIdx> = (3..103).collect();
        let classes: Vec<u32> = (0..103).map(|row| u32::from(row > 90)).collect();
        for classes in [None, Some(&classes[..])] {
            let folds = Rule::Random { classes }.folds(&rows, 5, 3, 0.2, 1).unwrap();
            assert_eq!(folds.len(), 15);
            for repeat in folds.chunks(5) {
                let mut held_out: Vec<RowIdx> = repeat.iter().flat_map(|fold| fold.test.clone()).collect();
                held_out.sort_unstable();
                assert_eq!(held_out, rows);
            }
            let mut seen = BTreeMap::new();
            for fold in &folds {
                assert_eq!(all_rows(fold), rows);
                *seen.entry(fold.test.clone()).or_insert(0) += 1;
            }
            assert_eq!(seen.len(), 15, "repeats differ");
            assert_eq!(Rule::Random { classes }.folds(&rows, 5, 3, 0.2, 1).unwrap(), folds);
            assert_ne!(Rule::Random { classes }.folds(&rows, 5, 3, 0.2, 2).unwrap(), folds);
        }
        let message = Rule::Random { classes: None }.folds(&rows, 60, 1, 0.2, 1).unwrap_err().to_string();
        assert!(message.contains("100 rows make no 60 folds of at least 2 each"), "{message}");
    }

    /// Sorted labels are no matter: every fold has its share of each class.
    #[test]
    fn classes_sorted_in_the_file_are_in_every_fold() {
        let classes: Vec<u32> = (0..150).map(|row| row / 50).collect();
        let rows: Vec<RowIdx> = (0..150).collect();
        for fold in (Rule::Random { classes: Some(&classes) }).folds(&rows, 5, 1, 0.15, 0).unwrap() {
            assert_eq!(counts(&fold.test, &classes), [10, 10, 10]);
            assert_eq!(counts(&fold.val, &classes), [6, 6, 6]);
        }
    }
}
