//! The column to predict: what kind of task it makes, and its values or classes.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::cell::finite;
use super::read::RawTable;
use super::schema::FEW_NUMBERS;
use super::table::MISSING;
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
    pub fn strata(&self, rows: &[usize]) -> Vec<u32> {
        match self {
            Self::Classes { codes, .. } => codes.clone(),
            Self::Values(values) => {
                let mut strata = vec![MISSING; values.len()];
                let mut order: Vec<usize> = rows.to_vec();
                // Ties by row, so that the bands do not depend on the order of `rows`.
                order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
                for (rank, &row) in order.iter().enumerate() {
                    strata[row] = (rank * BANDS / order.len()) as u32;
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
    pub rows: Vec<usize>,
    /// The rows without one, which are left out of everything.
    pub missing: Vec<usize>,
}

impl Labels {
    /// Reads the target to learn; one that cannot be learned is an error.
    pub fn for_training(raw: &RawTable, column: &str, task: TaskKind) -> Result<Self> {
        let index = find(raw, column)?;
        let labels = Self::read(raw, index, task, None)?;
        match &labels.target {
            Target::Values(values) => {
                let first = values[labels.rows[0]];
                if labels.rows.iter().all(|&row| values[row] == first) {
                    return Err(constant(raw, index, labels.rows[0]));
                }
            }
            Target::Classes { codes, classes } => {
                if classes.len() == 1 {
                    return Err(constant(raw, index, labels.rows[0]));
                }
                if task == TaskKind::Binary && classes.len() != 2 {
                    return Err(Error::setting(
                        format!(
                            "--task binary needs two classes; column {} has {}: {}",
                            shown(column),
                            classes.len(),
                            listed(classes.iter().map(String::as_str))
                        ),
                        "--task multiclass",
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
        Self::read(raw, find(raw, column)?, task, Some(classes))
    }

    fn read(raw: &RawTable, index: usize, task: TaskKind, known: Option<&[String]>) -> Result<Self> {
        let (missing, rows): (Vec<usize>, Vec<usize>) =
            (0..raw.n_rows()).partition(|&row| raw.value(row, index).is_none());
        if rows.is_empty() {
            return Err(all_missing(raw, index));
        }
        let target = match task {
            TaskKind::Regression => Target::Values(read_values(raw, index)?),
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
        return Ok((task, "set by --task".to_owned()));
    }
    let distinct: HashSet<&str> = raw.values(index).flatten().collect();
    if distinct.is_empty() {
        return Err(all_missing(raw, index));
    }
    let numbers: HashSet<u64> = distinct.iter().filter_map(|cell| finite(cell)).map(f64::to_bits).collect();
    let words = distinct.iter().filter(|cell| finite(cell).is_none()).count();
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

fn find(raw: &RawTable, column: &str) -> Result<usize> {
    raw.column_index(column).ok_or_else(|| {
        Error::data(
            format!("no target column {} in {}", shown(column), raw.source.display()),
            instead(column, raw.names()),
        )
    })
}

fn all_missing(raw: &RawTable, index: usize) -> Error {
    Error::data(
        format!(
            "target column {}: all {} are missing",
            shown(raw.name(index)),
            counted(raw.n_rows(), "cell")
        ),
        "choose another column with --target, or set the words that count as missing with --null",
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

fn read_values(raw: &RawTable, index: usize) -> Result<Vec<f64>> {
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
                    "{} to leave such rows out, or --task multiclass to predict classes",
                    null_option([cell])
                ),
            ));
        };
        values.push(value);
    }
    Ok(values)
}

/// The names of the classes in their order: by number if all are numbers, else by bytes.
///
/// Cells that write one number in several ways, `1` and `1.0`, are one class, by its shortest name.
fn class_names(raw: &RawTable, index: usize) -> Vec<String> {
    let distinct: HashSet<&str> = raw.values(index).flatten().collect();
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
    let mut codes = Vec::with_capacity(raw.n_rows());
    for (row, cell) in raw.values(index).enumerate() {
        let Some(cell) = cell else {
            codes.push(MISSING);
            continue;
        };
        let code = match code_of.get(cell) {
            Some(&code) => code,
            None => match finite(cell).and_then(|x| by_number.get(&x.to_bits())) {
                Some(&code) => *code_of.entry(cell).or_insert(code),
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
