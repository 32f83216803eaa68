//! Rows cut as the cells of a column say.

use super::super::read::RawTable;
use super::super::table::RowIdx;
use super::super::target::Target;
use super::super::words::{counted, instead, shown, thousands};
use super::{MIN_HELD_OUT, MIN_TRAIN, Split, TrainRows};
use crate::{Error, Result};

impl Split {
    /// Splits `rows` as the cells of a column say: `train`, `val` (or `valid`, `validation`) or
    /// `test`, in any case of letters.
    ///
    /// Where no row says `val`, a share `val_fraction` of the training rows is drawn for it, as by
    /// [`Split::random`]: in proportion to the classes, or to bands of the numbers, of `target`, if it is given. They are
    /// those of the training rows alone, so that no target of another row has a say. Each class must have a training row.
    ///
    /// # Panics
    /// When a row is not in the table, or not in the target.
    pub fn by_column(
        raw: &RawTable,
        column: &str,
        rows: &[RowIdx],
        target: Option<&Target>,
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
            let cell = raw.value(row as usize, index).unwrap_or("nothing");
            match cell.to_lowercase().as_str() {
                "train" => train.push(row),
                "val" | "valid" | "validation" => val.push(row),
                "test" => test.push(row),
                _ => {
                    return Err(Error::data(
                        format!(
                            "{}: expected `train`, `val` or `test`, found {}",
                            raw.place(row as usize, index),
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
            let strata = target.map(|target| target.strata(&train));
            let cut = Self::random(&train, strata.as_deref(), val_fraction, 0.0, seed)?;
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
        if let Some(Target::Classes { codes, .. }) = target {
            let trained: std::collections::BTreeSet<u32> =
                train.iter().map(|&row| codes[row as usize]).collect();
            if let Some(&row) = val.iter().chain(&test).find(|&&row| !trained.contains(&codes[row as usize]))
            {
                return Err(Error::data(
                    format!(
                        "{}: its class is in no row that column {} gives to `train`",
                        raw.row_place(row as usize),
                        shown(column)
                    ),
                    "give some rows of each class to `train`",
                ));
            }
        }
        Ok(Self { train: TrainRows(train), val, test })
    }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::read::{ReadOptions, parse_csv};
    use super::super::tests::sizes;
    use super::*;

    fn by_column(cells: &[&str], classes: Option<&[u32]>, val: f64) -> Result<Split> {
        let classes = classes
            .map(|codes| Target::Classes { codes: codes.to_vec(), classes: vec!["a".into(), "b".into()] });
        let text = format!("part,x\n{},1\n", cells.join(",1\n"));
        let raw = parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default())?;
        let rows: Vec<RowIdx> = (0..cells.len() as RowIdx).collect();
        Split::by_column(&raw, "part", &rows, classes.as_ref(), val, 3)
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
        let error = Split::by_column(&raw, "prat", &[0], None, 0.2, 0).unwrap_err();
        assert!(error.to_string().contains("did you mean `part`?") && error.exit_code() == 2, "{error}");
    }
}
