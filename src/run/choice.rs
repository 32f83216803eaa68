//! What is decided for the user, with its reason, and the choices that every run makes alike.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::objective::{loss_name, task_by_loss};
use crate::config::{Config, LossName, Task};
use crate::data::RowIdx;
use crate::data::schema::FEW_NUMBERS;
use crate::data::table::Note;
use crate::data::target::{find, read_values};
use crate::data::words::{column_setting, counted, shown};
use crate::data::{Labels, RawTable, Schema, Target, TaskKind, TrainRows, infer_task};
use crate::error::{Error, Result};
use crate::nn::{Loss, Network};

/// Something that was decided for the user, of the run as a whole; what columns are is in the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// What it is about: `task`, `split` …
    pub subject: String,
    /// What was chosen.
    pub choice: String,
    /// Why.
    pub reason: String,
    /// The argument that overrides it; empty where nothing does.
    pub instead: String,
}

impl Choice {
    /// A choice of these words.
    pub(super) fn of(subject: &str, choice: String, reason: String, instead: &str) -> Self {
        Self { subject: subject.into(), choice, reason, instead: instead.into() }
    }
}

/// What a user is told of a run before it trains.
#[derive(Debug, Clone, Copy)]
pub struct Overview<'a> {
    /// The table, as it was named.
    pub source: &'a Path,
    /// The checksum of its files.
    pub sha256: &'a str,
    /// Its rows.
    pub n_rows: usize,
    /// Its columns.
    pub n_columns: usize,
    /// What they are, the target left out.
    pub schema: &'a Schema,
    /// What was decided, in the order of deciding.
    pub choices: &'a [Choice],
    /// The settings, resolved.
    pub config: &'a Config,
    /// Inputs of the network.
    pub n_inputs: usize,
    /// Its outputs.
    pub n_outputs: usize,
    /// The network.
    pub network: &'a Network,
}

/// The task that the settings ask for or the target makes, the target to learn, and what is told of it.
pub(super) fn of_task(config: &Config, raw: &RawTable, target: &str) -> Result<(TaskKind, Labels, Choice)> {
    let wanted = match config.task {
        Task::Auto => None,
        Task::Regression => Some(TaskKind::Regression),
        Task::Binary => Some(TaskKind::Binary),
        Task::Multiclass => Some(TaskKind::Multiclass),
    };
    let by_loss = if wanted.is_none() { task_by_loss(config, raw, target) } else { None };
    let (task, mut reason) = infer_task(raw, target, wanted.or(by_loss))?;
    if by_loss.is_some() {
        reason = format!("loss.name = {} is for numbers", config.loss.name);
    }
    let labels = Labels::for_training(raw, target, task)?;
    if let (TaskKind::Binary, Target::Classes { classes, .. }) = (task, &labels.target)
        && let Some(positive) = classes.get(1)
    {
        let _ = write!(reason, "; {} counts as positive", shown(positive));
    }
    let instead = match (wanted.or(by_loss), &labels.target) {
        (None, Target::Values(values)) if may_be_classes(&labels.rows, values) => "--task multiclass",
        (Some(_), _) | (None, Target::Values(_)) => "",
        (None, Target::Classes { classes, .. }) => {
            let numbers = classes.iter().all(|class| class.parse::<f64>().is_ok());
            if numbers { "--task regression" } else { "" }
        }
    };
    Ok((task, labels, Choice::of("task", task.to_string(), reason, instead)))
}

/// Whether each number stands in rows enough to train, validate and test a class.
fn may_be_classes(rows: &[RowIdx], values: &[f64]) -> bool {
    const FEWEST: usize = 3;
    let mut sorted: Vec<f64> = rows.iter().map(|&row| values[row as usize]).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.chunk_by(|a, b| a == b).all(|same| same.len() >= FEWEST)
}

/// Refuses a task or numbers that held-out rows have a say in: what is to be learned follows from training rows alone.
///
/// `config` is as it was set. That every class has training rows is the split's to see to.
pub(super) fn check_target(
    config: &Config,
    raw: &RawTable,
    labels: &Labels,
    task: TaskKind,
    train: &TrainRows,
) -> Result<()> {
    let index = find(raw, &labels.column)?;
    // Without a copy where there are many numbers, as there may be many rows.
    if task == TaskKind::Regression
        && let Some(numbers) = raw.numbers(index)
        && are_many(train.rows().iter().map(|&row| numbers[row as usize]))
    {
        return Ok(());
    }
    let part = raw.select(index, &train.rows().into());
    if config.task == Task::Auto && task_by_loss(config, raw, &labels.column).is_none() {
        let (alone, reason) = infer_task(&part, &labels.column, None)?;
        if alone != task {
            return Err(Error::data(
                format!(
                    "among the training rows alone, {reason}, so that the task would be {alone}; with the held-out rows, which \
                     are to have no say, it would be {task}"
                ),
                format!("--task {task}, or --task {alone}"),
            ));
        }
    }
    let Target::Values(values) = &labels.target else { return Ok(()) };
    let alone = read_values(&part, 0, false)?;
    let of_all = train.rows().iter().map(|&row| values[row as usize]);
    if of_all.zip(&alone).any(|(all, alone)| all.to_bits() != alone.to_bits()) {
        return Err(Error::data(
            format!(
                "target column {}: whether its marks part thousands or decimals, only held-out rows say",
                shown(&labels.column)
            ),
            "--decimal comma, or --decimal point",
        ));
    }
    Ok(())
}

/// Whether there are more different numbers than could be classes.
fn are_many(numbers: impl Iterator<Item = f64>) -> bool {
    let mut seen = HashSet::new();
    for number in numbers {
        seen.insert(number.to_bits());
        if seen.len() > FEW_NUMBERS {
            return true;
        }
    }
    false
}

/// That held-out cells do not fit what training rows make of their column.
pub(super) fn of_misfits(note: &Note) -> Choice {
    let name = &note.column;
    Choice {
        subject: "held out".into(),
        choice: counted(note.count, "odd cell"),
        reason: format!("{}, as of a new row: no training row has such a cell", note.what()),
        instead: format!("--set {}", column_setting(name, "kind", "category")),
    }
}

/// A task as a setting.
pub(super) fn task_setting(task: TaskKind) -> Task {
    match task {
        TaskKind::Regression => Task::Regression,
        TaskKind::Binary => Task::Binary,
        TaskKind::Multiclass => Task::Multiclass,
    }
}

/// How many rows have no target.
pub(super) fn of_missing_targets(labels: &Labels) -> Option<Choice> {
    let reason = format!("without a `{}` nothing can be learned or tested", labels.column);
    let n = labels.missing.len();
    (n > 0).then(|| Choice::of("left out", counted(n, "row"), reason, ""))
}

/// The loss, and what else it could be; `config` is as it was set.
pub(super) fn of_loss(config: &Config, task: TaskKind, loss: Loss, reason: String) -> Choice {
    let instead = match (config.loss.name, task) {
        (LossName::Auto, TaskKind::Regression) => "--set loss.name=mae (or huber)",
        _ => "",
    };
    Choice::of("loss", loss_name(loss).to_string(), reason, instead)
}
