//! The column to predict: what kind of task it makes, and its values or classes.

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cell::finite;
use super::cell_format::{CellFormat, Dress, number_in, yes_or_no};
use super::read::RawTable;
use super::schema::FEW_NUMBERS;
use super::table::{MISSING, RowIdx, check_rows};
use super::words::{counted, instead, listed, null_option, shown, thousands};
use crate::{Error, Result};

/// A class needs this many rows: one for each part of the split.
pub const MIN_CLASS_ROWS: usize = 3;
/// Into how many bands of equal size [`Target::strata`] divides numbers.
const BANDS: usize = 10;

/// What is to be learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// A number.
    Regression,
    /// One of two classes.
    Binary,
    /// One of several classes.
    Multiclass,
}

impl std::fmt::Display for TaskKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Regression => "regression",
            Self::Binary => "binary",
            Self::Multiclass => "multiclass",
        })
    }
}

/// What a target holds, one entry for each row of the table.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Numbers; NaN where missing.
    Values(Vec<f64>),
    /// Classes, as indices into `classes`; [`MISSING`] where missing.
    Classes {
        /// The class of each row.
        codes: Vec<u32>,
        /// The names of the classes, in the order of numbers if all are numbers, else of bytes.
        classes: Vec<String>,
    },
}

impl Target {
    /// Groups of rows that a stratified split keeps in proportion: the classes, or for numbers
    /// ten bands with as many of `rows` each; [`MISSING`] for rows not in `rows`.
    pub fn strata(&self, rows: &[RowIdx]) -> Vec<u32> {
        match self {
            Self::Classes { codes, .. } => codes.clone(),
            Self::Values(values) => {
                let mut strata = vec![MISSING; values.len()];
                let mut order: Vec<RowIdx> = rows.to_vec();
                // Ties by row, so that the bands do not depend on the order of `rows`.
                order.sort_unstable_by(|&a, &b| {
                    values[a as usize].total_cmp(&values[b as usize]).then(a.cmp(&b))
                });
                for (rank, &row) in order.iter().enumerate() {
                    strata[row as usize] = (rank * BANDS / order.len()) as u32;
                }
                strata
            }
        }
    }
}

/// The target of a table, and which rows have one.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// The column to predict.
    pub column: String,
    /// Its values or classes.
    pub target: Target,
    /// The rows that have a target, in order: those to learn from and to measure on.
    pub rows: Vec<RowIdx>,
    /// The rows without one, which are left out of everything.
    pub missing: Vec<RowIdx>,
}

impl Labels {
    /// Reads the target to learn; one that cannot be learned is an error.
    pub fn for_training(raw: &RawTable, column: &str, task: TaskKind) -> Result<Self> {
        let index = find(raw, column)?;
        let labels = Self::read(raw, index, task, None)?;
        match &labels.target {
            Target::Values(values) => {
                let first = values[labels.rows[0] as usize];
                if labels.rows.iter().all(|&row| values[row as usize] == first) {
                    return Err(constant(raw, index, labels.rows[0] as usize));
                }
            }
            Target::Classes { codes, classes } => {
                if classes.len() == 1 {
                    return Err(constant(raw, index, labels.rows[0] as usize));
                }
                if task == TaskKind::Binary && classes.len() != 2 {
                    // A column of nearly as many numbers as rows is no column of classes.
                    let may_be_classes = check_class_sizes(codes, classes, column).is_ok();
                    return Err(Error::setting(
                        format!(
                            "--task binary needs two classes; column {} has {}: {}",
                            shown(column),
                            classes.len(),
                            listed(classes.iter().map(String::as_str))
                        ),
                        if may_be_classes {
                            "--task multiclass"
                        } else {
                            "--task regression, or another target"
                        },
                    ));
                }
                check_class_sizes(codes, classes, column)?;
            }
        }
        Ok(labels)
    }

    /// Reads the target to measure a trained model on; `classes` are the model's.
    ///
    /// A class that the model does not know is an error that names the row.
    pub fn for_evaluation(raw: &RawTable, column: &str, task: TaskKind, classes: &[String]) -> Result<Self> {
        // The model names the column, not the user: it is the table that does not fit.
        let index = raw.column_index(column).ok_or_else(|| {
            let source = raw.source.display();
            Error::model(
                format!("{source} lacks the target column {}, which is needed to evaluate", shown(column)),
                "evaluate on a table that has it; `statera predict` does without",
            )
        })?;
        Self::read(raw, index, task, Some(classes))
    }

    fn read(raw: &RawTable, index: usize, task: TaskKind, known: Option<&[String]>) -> Result<Self> {
        check_rows(&raw.source, raw.n_rows())?;
        let (missing, rows): (Vec<RowIdx>, Vec<RowIdx>) =
            (0..raw.n_rows() as RowIdx).partition(|&row| raw.is_missing(row as usize, index));
        if rows.is_empty() {
            return Err(all_missing(raw, index, known.is_some()));
        }
        let target = match task {
            TaskKind::Regression => Target::Values(read_values(raw, index, known.is_some())?),
            TaskKind::Binary | TaskKind::Multiclass => {
                let classes = known.map_or_else(|| class_names(raw, index), <[String]>::to_vec);
                Target::Classes { codes: read_classes(raw, index, &classes)?, classes }
            }
        };
        Ok(Self { column: raw.name(index).to_owned(), target, rows, missing })
    }
}

/// Decides what task a target makes, and says why; `wanted` is what the user asks for.
///
/// Linear in the number of rows.
pub fn infer_task(raw: &RawTable, column: &str, wanted: Option<TaskKind>) -> Result<(TaskKind, String)> {
    let index = find(raw, column)?;
    if let Some(task) = wanted {
        return Ok((task, "as set".to_owned()));
    }
    if let Some(n) = raw.numbers(index).and_then(many_numbers) {
        let n = thousands(n);
        let reason = format!("{} is a number with {n} different values", shown(column));
        return Ok((TaskKind::Regression, reason));
    }
    let distinct: HashSet<&str> = raw.values(index).flatten().collect();
    if distinct.is_empty() {
        return Err(all_missing(raw, index, false));
    }
    if is_yes_or_no(&distinct) {
        let n = distinct.len();
        return Ok((TaskKind::Binary, format!("{} says yes or no, in {n} spellings", shown(column))));
    }
    let format = format_of(distinct.iter().copied(), raw);
    let number = |cell: &str| number_in(cell, format, raw.decimal_comma());
    let numbers: HashSet<u64> = distinct.iter().filter_map(|cell| number(cell)).map(f64::to_bits).collect();
    let words = distinct.iter().filter(|cell| number(cell).is_none()).count();
    let name = shown(column);
    // As for other columns, a few words among many numbers are slips and no classes.
    let numeric = numbers.len() > FEW_NUMBERS && words * 20 <= distinct.len();
    Ok(if numbers.len() + words == 2 {
        let mut pair: Vec<&str> = distinct.into_iter().collect();
        pair.sort_unstable();
        (TaskKind::Binary, format!("{name} has two different values, {}", listed(pair)))
    } else if words > 0 && !numeric {
        (TaskKind::Multiclass, format!("{name} is text with {}", counted(distinct.len(), "different value")))
    } else if numeric || numbers.iter().any(|&bits| f64::from_bits(bits).fract() != 0.0) {
        let n = thousands(numbers.len());
        (TaskKind::Regression, format!("{name} is a number with {n} different values"))
    } else {
        let n = numbers.len();
        let reason = format!(
            "{name} holds {n} different whole numbers, taken as classes; to predict it as a number: \
             --task regression"
        );
        (TaskKind::Multiclass, reason)
    })
}

/// How many different numbers there are, if there are too many of them to be classes and all are finite.
fn many_numbers(numbers: &[f64]) -> Option<usize> {
    let mut sorted: Vec<f64> = numbers.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.par_sort_unstable_by(f64::total_cmp);
    if [sorted.first(), sorted.last()].into_iter().flatten().any(|x| x.is_infinite()) {
        return None;
    }
    sorted.dedup();
    (sorted.len() > FEW_NUMBERS).then_some(sorted.len())
}

/// The index of the column to predict, or the error of a table without it.
pub(crate) fn find(raw: &RawTable, column: &str) -> Result<usize> {
    raw.column_index(column).ok_or_else(|| {
        Error::setting(
            format!("there is no column {} in {} to predict", shown(column), raw.source.display()),
            instead(column, raw.names()),
        )
    })
}

fn all_missing(raw: &RawTable, index: usize, evaluates: bool) -> Error {
    Error::data(
        format!(
            "target column {}: all {} are missing",
            shown(raw.name(index)),
            counted(raw.n_rows(), "cell")
        ),
        if evaluates {
            "evaluate on a table that has the target's values; `statera predict` does without"
        } else {
            "choose another column with --target, or set the words that count as missing with --null"
        },
    )
}

fn constant(raw: &RawTable, index: usize, row: usize) -> Error {
    let cell = raw.value(row, index).unwrap_or_default();
    Error::data(
        format!(
            "target column {}: every row has the same value, {}; there is nothing to learn",
            shown(raw.name(index)),
            shown(cell)
        ),
        "choose another column with --target, or add rows with other values",
    )
}

/// The dress of a target's numbers: a currency, per cent, thousands set apart, a decimal comma.
fn format_of<'c>(cells: impl IntoIterator<Item = &'c str>, raw: &RawTable) -> Option<CellFormat> {
    let mut dress = Dress::default();
    let mut any_word = false;
    for cell in cells {
        if raw.number(cell).is_some() {
            dress.any_plain();
            dress.plain(cell, raw.decimal_comma());
        } else {
            any_word = true;
            dress.word(cell);
        }
    }
    let found = dress.format(raw.decimal_comma()).filter(|_| any_word);
    found.map(|(format, _)| format).filter(|format| format.is_of_numbers())
}

/// The numbers of a column, NaN where missing; `evaluates` where they are read for a trained model.
pub(crate) fn read_values(raw: &RawTable, index: usize, evaluates: bool) -> Result<Vec<f64>> {
    if let Some(numbers) = raw.numbers(index).filter(|numbers| !numbers.iter().any(|x| x.is_infinite())) {
        return Ok(numbers.to_vec());
    }
    let format = format_of(raw.values(index).flatten(), raw);
    let finite = |cell: &str| number_in(cell, format, raw.decimal_comma());
    let mut values = Vec::with_capacity(raw.n_rows());
    for (row, cell) in raw.values(index).enumerate() {
        let Some(cell) = cell else {
            values.push(f64::NAN);
            continue;
        };
        let Some(value) = finite(cell) else {
            let like = raw.values(index).flatten().filter(|cell| finite(cell).is_none()).count() - 1;
            let more = if like > 0 { format!(" ({} like it)", thousands(like)) } else { String::new() };
            return Err(Error::data(
                format!("{}: expected a finite number, found {}{more}", raw.place(row, index), shown(cell)),
                format!(
                    "{} to leave such rows out{}",
                    null_option([cell]),
                    // A model is of the task that it was trained for.
                    if evaluates { "" } else { ", or --task multiclass to predict classes" }
                ),
            ));
        };
        values.push(value);
    }
    Ok(values)
}

/// The classes of a column that says yes and no.
const NO_AND_YES: [&str; 2] = ["no", "yes"];

/// Whether all of these cells say yes or no, and one of the two in more than one spelling: two classes then, as such a
/// column is two levels elsewhere.
fn is_yes_or_no(distinct: &HashSet<&str>) -> bool {
    let said = || distinct.iter().map(|cell| yes_or_no(cell));
    distinct.len() > 2
        && [true, false].iter().all(|word| said().any(|said| said == Some(*word)))
        && said().all(|s| s.is_some())
}

/// The names of the classes in their order: by number if all are numbers, else by bytes.
///
/// Cells that write one number in several ways, `1` and `1.0`, are one class, by its shortest name; so are spellings of
/// yes, and of no.
fn class_names(raw: &RawTable, index: usize) -> Vec<String> {
    let distinct: HashSet<&str> = raw.values(index).flatten().collect();
    if is_yes_or_no(&distinct) {
        return NO_AND_YES.map(str::to_owned).to_vec();
    }
    let mut names: Vec<&str> = distinct.into_iter().collect();
    names.sort_unstable();
    if let Some(mut numbered) =
        names.iter().map(|name| finite(name).map(|x| (x, *name))).collect::<Option<Vec<_>>>()
    {
        numbered.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.len().cmp(&b.1.len())));
        numbered.dedup_by_key(|(number, _)| *number);
        names = numbered.into_iter().map(|(_, name)| name).collect();
    }
    names.into_iter().map(str::to_owned).collect()
}

fn read_classes(raw: &RawTable, index: usize, classes: &[String]) -> Result<Vec<u32>> {
    let mut code_of: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let by_number: Option<BTreeMap<u64, u32>> =
        classes.iter().zip(0..).map(|(name, code)| Some((finite(name)?.to_bits(), code))).collect();
    let by_number = by_number.unwrap_or_default();
    let are_spellings = classes == NO_AND_YES;
    let spelled = |cell: &str| if are_spellings { yes_or_no(cell).map(u32::from) } else { None };
    let mut codes = Vec::with_capacity(raw.n_rows());
    for (row, cell) in raw.values(index).enumerate() {
        let Some(cell) = cell else {
            codes.push(MISSING);
            continue;
        };
        let code = match code_of.get(cell) {
            Some(&code) => code,
            None => match finite(cell)
                .and_then(|x| by_number.get(&x.to_bits()).copied())
                .or_else(|| spelled(cell))
            {
                Some(code) => *code_of.entry(cell).or_insert(code),
                None => {
                    return Err(Error::data(
                        format!(
                            "{}: expected one of the model's classes ({}), found {}",
                            raw.place(row, index),
                            listed(classes.iter().map(String::as_str)),
                            shown(cell)
                        ),
                        format!("{} to leave such rows out", null_option([cell])),
                    ));
                }
            },
        };
        codes.push(code);
    }
    Ok(codes)
}

fn check_class_sizes(codes: &[u32], classes: &[String], column: &str) -> Result<()> {
    let mut sizes = vec![0usize; classes.len()];
    for &code in codes.iter().filter(|&&code| code != MISSING) {
        sizes[code as usize] += 1;
    }
    let small: Vec<&str> = classes
        .iter()
        .zip(&sizes)
        .filter(|(_, n)| **n < MIN_CLASS_ROWS)
        .map(|(name, _)| name.as_str())
        .collect();
    if small.is_empty() {
        return Ok(());
    }
    let all_numbers = classes.iter().all(|name| finite(name).is_some());
    Err(Error::data(
        format!(
            "target column {}: {} of {} classes {} fewer than {MIN_CLASS_ROWS} rows, too few to split: {}",
            shown(column),
            thousands(small.len()),
            thousands(classes.len()),
            if small.len() == 1 { "has" } else { "have" },
            listed(small.iter().copied())
        ),
        if all_numbers {
            "--task regression, or join or remove these classes".to_owned()
        } else {
            let few = if small.len() <= 3 {
                format!(", or leave their rows out: {}", null_option(small))
            } else {
                String::new()
            };
            format!("join these classes with others{few}")
        },
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::read::{ReadOptions, parse_csv};
    use super::*;

    /// A table whose column `t` repeats these cells three times over.
    fn raw(cells: &[&str]) -> RawTable {
        let text = format!("t,other\n{},o\n", [cells, cells, cells].concat().join(",o\n"));
        parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default()).unwrap()
    }

    fn task(cells: &[&str]) -> TaskKind {
        infer_task(&raw(cells), "t", None).unwrap().0
    }

    fn numbers(n: usize) -> Vec<String> {
        (0..n).map(|i| i.to_string()).collect()
    }

    fn refs(cells: &[String]) -> Vec<&str> {
        cells.iter().map(String::as_str).collect()
    }

    #[test]
    fn the_task_follows_from_the_cells() {
        assert_eq!(task(&["no", "yes", ""]), TaskKind::Binary);
        assert_eq!(task(&["0", "1"]), TaskKind::Binary);
        assert_eq!(task(&["0", "1", "1.0"]), TaskKind::Binary);
        assert_eq!(task(&["0.5", "1.5"]), TaskKind::Binary);
        assert_eq!(task(&["a", "b", "c"]), TaskKind::Multiclass);
        assert_eq!(task(&["1", "2", "3"]), TaskKind::Multiclass);
        assert_eq!(task(&["1", "2", "3.5"]), TaskKind::Regression);
        assert_eq!(task(&refs(&numbers(20))), TaskKind::Multiclass);
        assert_eq!(task(&refs(&numbers(21))), TaskKind::Regression);
        let (_, reason) = infer_task(&raw(&["1", "2", "3"]), "t", None).unwrap();
        assert!(
            reason.contains("3 different whole numbers") && reason.contains("--task regression"),
            "{reason}"
        );
        let wanted = infer_task(&raw(&["1", "2", "3"]), "t", Some(TaskKind::Regression)).unwrap();
        assert_eq!(wanted, (TaskKind::Regression, "as set".to_owned()));
    }

    #[test]
    fn rows_without_a_target_are_left_out() {
        let labels = Labels::for_training(&raw(&["yes", "", "no"]), "t", TaskKind::Binary).unwrap();
        assert_eq!(labels.missing, [1, 4, 7]);
        assert_eq!(labels.rows, [0, 2, 3, 5, 6, 8]);
        let codes = vec![1, MISSING, 0, 1, MISSING, 0, 1, MISSING, 0];
        assert_eq!(labels.target, Target::Classes { codes, classes: vec!["no".into(), "yes".into()] });
    }

    #[test]
    fn spellings_of_yes_and_no_are_two_classes() {
        let cells = ["Yes", "no", "yes", "NO", "no", "Y"];
        assert_eq!(task(&cells), TaskKind::Binary);
        let labels = Labels::for_training(&raw(&cells), "t", TaskKind::Binary).unwrap();
        let Target::Classes { codes, classes } = labels.target else { panic!("classes") };
        assert_eq!((&codes[..6], &classes[..]), (&[1, 0, 1, 0, 0, 1][..], &["no".into(), "yes".into()][..]));
        // A word besides, or two words alone, stay what they are.
        assert_eq!(task(&["Yes", "no", "NO", "maybe"]), TaskKind::Multiclass);
        let labels = Labels::for_training(&raw(&["Y", "N", "Y"]), "t", TaskKind::Binary).unwrap();
        let Target::Classes { classes, .. } = labels.target else { panic!("classes") };
        assert_eq!(classes, ["N", "Y"]);
    }

    #[test]
    fn classes_are_in_the_order_of_numbers_or_of_bytes() {
        let classes = |cells: &[&str]| match Labels::for_training(&raw(cells), "t", TaskKind::Multiclass)
            .unwrap()
            .target
        {
            Target::Classes { classes, .. } => classes,
            Target::Values(_) => Vec::new(),
        };
        assert_eq!(classes(&["10", "9", "-1"]), ["-1", "9", "10"]);
        assert_eq!(classes(&["2.0", "1", "2", "1.0"]), ["1", "2"]);
        assert_eq!(classes(&["b", "a", "10", "9"]), ["10", "9", "a", "b"]);
    }

    #[test]
    fn evaluation_uses_the_classes_of_the_model() {
        let known = ["1".to_owned(), "2".to_owned(), "3".to_owned()];
        let labels = Labels::for_evaluation(&raw(&["3.0", "1"]), "t", TaskKind::Multiclass, &known).unwrap();
        assert_eq!(labels.target, Target::Classes { codes: vec![2, 0, 2, 0, 2, 0], classes: known.to_vec() });
        let error = Labels::for_evaluation(&raw(&["1", "4"]), "t", TaskKind::Multiclass, &known).unwrap_err();
        assert!(
            error.to_string().contains("row 2 (line 3), column `t`: expected one of the model's classes")
        );
        let constant = Labels::for_evaluation(&raw(&["2"]), "t", TaskKind::Regression, &[]).unwrap();
        assert_eq!(constant.target, Target::Values(vec![2.0; 3]));
    }

    #[test]
    fn targets_that_cannot_be_learned_say_why() {
        use TaskKind::{Binary, Multiclass, Regression};
        let failure =
            |cells: &[&str], task| Labels::for_training(&raw(cells), "t", task).unwrap_err().to_string();
        for (message, words) in [
            (failure(&["", "NA"], Regression), "all 6 cells are missing"),
            (failure(&["5"], Regression), "every row has the same value, `5`"),
            (failure(&["5", "5.0"], Regression), "every row has the same value"),
            (failure(&["a"], Multiclass), "every row has the same value, `a`"),
            (
                failure(&["1", "2", "x"], Regression),
                "row 3 (line 4), column `t`: expected a finite number, found `x` (2 like it)",
            ),
            (failure(&["1", "inf"], Regression), "--null inf to leave such rows out"),
            (failure(&["1", "2", "3"], Binary), "needs two classes; column `t` has 3: `1`, `2`, `3`"),
            (infer_task(&raw(&["NA"]), "t", None).unwrap_err().to_string(), "all 3 cells are missing"),
            (infer_task(&raw(&["1"]), "othre", None).unwrap_err().to_string(), "did you mean `other`?"),
            (infer_task(&raw(&["1"]), "zzz", None).unwrap_err().to_string(), "the columns are `t`, `other`"),
        ] {
            assert!(message.contains(words), "{message}\n  lacks: {words}");
        }
    }

    #[test]
    fn a_class_of_two_rows_is_too_small() {
        let text = "t,o\na,1\na,1\na,1\nb,1\nb,1\n";
        let raw = parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default()).unwrap();
        let error = Labels::for_training(&raw, "t", TaskKind::Binary).unwrap_err();
        assert_eq!(
            error.to_string(),
            "target column `t`: 1 of 2 classes has fewer than 3 rows, too few to split: `b`\n  \
             try: join these classes with others, or leave their rows out: --null b"
        );
    }

    #[test]
    fn strata_of_numbers_are_bands_of_equal_size() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i * 7 % 50)).collect();
        let rows: Vec<RowIdx> = (0..50).filter(|row| row % 5 != 0).collect();
        let strata = Target::Values(values.clone()).strata(&rows);
        for band in 0..10 {
            assert_eq!(strata.iter().filter(|&&stratum| stratum == band).count(), 4);
        }
        assert_eq!(strata[0], MISSING);
        let lowest =
            rows.iter().min_by(|&&a, &&b| values[a as usize].total_cmp(&values[b as usize])).unwrap();
        assert_eq!(strata[*lowest as usize], 0);
    }
}
