//! What training makes small: the loss, and how much each row counts in it.

use std::fmt::Write as _;

use crate::config::{ClassWeighting, ClassWeights, Config, LossName, TargetScale};
use crate::data::RowIdx;
use crate::data::{self, Labels, RawTable, Target, TaskKind, TrainRows};
use crate::error::{Error, Result, nearest};
use crate::nn::{LARGEST_LOG_RATE, Loss};

/// The task that a loss of numbers makes of a column of numbers, whether these are few or many; none for other losses.
pub(super) fn task_by_loss(config: &Config, raw: &RawTable, target: &str) -> Option<TaskKind> {
    let is_of_numbers = match config.loss.name {
        LossName::Mse
        | LossName::Rmse
        | LossName::Mae
        | LossName::Huber
        | LossName::LogCosh
        | LossName::Quantile
        | LossName::Poisson => true,
        LossName::Auto
        | LossName::BinaryCrossentropy
        | LossName::CategoricalCrossentropy
        | LossName::Focal
        | LossName::Hinge => false,
    };
    let column = raw.column_index(target)?;
    let holds_numbers = || raw.values(column).flatten().all(|cell| raw.number(cell).is_some());
    (is_of_numbers && holds_numbers()).then_some(TaskKind::Regression)
}

/// The loss that the settings ask for, and why.
pub(super) fn loss_of(
    config: &Config,
    task: TaskKind,
    labels: &Labels,
    raw: &RawTable,
) -> Result<(Loss, String)> {
    let l = &config.loss;
    let natural = match task {
        TaskKind::Regression => Loss::Mse,
        TaskKind::Binary => Loss::BinaryCrossentropy,
        TaskKind::Multiclass => Loss::CategoricalCrossentropy,
    };
    let loss = match l.name {
        LossName::Auto => natural,
        LossName::Mse => Loss::Mse,
        LossName::Rmse => Loss::Rmse,
        LossName::Mae => Loss::Mae,
        LossName::Huber => Loss::Huber { delta: l.delta },
        LossName::LogCosh => Loss::LogCosh,
        LossName::Quantile => Loss::Quantile { quantile: l.quantile },
        LossName::Poisson => Loss::Poisson,
        LossName::BinaryCrossentropy => Loss::BinaryCrossentropy,
        LossName::CategoricalCrossentropy => Loss::CategoricalCrossentropy,
        // At 0 it is the cross-entropy, to the bit.
        LossName::Focal if l.gamma == 0.0 && task != TaskKind::Regression => natural,
        LossName::Focal if task == TaskKind::Multiclass => Loss::CategoricalFocal { gamma: l.gamma },
        LossName::Focal => Loss::BinaryFocal { gamma: l.gamma },
        LossName::Hinge => Loss::Hinge,
    };
    let fits = match task {
        TaskKind::Regression => !loss.is_classification(),
        TaskKind::Binary => loss.is_binary(),
        TaskKind::Multiclass => loss.is_categorical(),
    };
    if !fits {
        return Err(Error::setting(
            format!("loss.name: {} does not go with the task {task}", l.name),
            format!("--set loss.name={}", loss_name(natural)),
        ));
    }
    let mut reason = match (l.name, task) {
        (LossName::Auto, TaskKind::Regression) => "the usual one for a regression",
        (LossName::Auto, TaskKind::Binary) => "the usual one for two classes",
        (LossName::Auto, TaskKind::Multiclass) => "the usual one for several classes",
        _ => "as set",
    }
    .to_owned();
    if loss == Loss::Poisson {
        check_counts(config, labels, raw)?;
        reason.push_str("; predictions are e to the network's output");
    }
    if loss == Loss::Hinge {
        reason.push_str("; probabilities are the sigmoid of the margin, in its order and not calibrated");
    }
    let loss = smoothed(loss, l.label_smoothing)?;
    if l.label_smoothing > 0.0 {
        let _ = write!(reason, "; labels smoothed by {} in training alone", l.label_smoothing);
    }
    Ok((loss, reason))
}

/// The loss with smoothed labels; without smoothing, the loss itself.
fn smoothed(loss: Loss, label_smoothing: f64) -> Result<Loss> {
    match loss {
        _ if label_smoothing == 0.0 => Ok(loss),
        Loss::BinaryCrossentropy => Ok(Loss::SmoothBinaryCrossentropy { label_smoothing }),
        Loss::CategoricalCrossentropy => Ok(Loss::SmoothCategoricalCrossentropy { label_smoothing }),
        _ => Err(Error::setting(
            format!("loss.label_smoothing goes with a cross-entropy, not with {}", loss_name(loss)),
            "--set loss.label_smoothing=0",
        )),
    }
}

/// Refuses targets that are no counts: the Poisson loss takes them as they are, zero or more.
fn check_counts(config: &Config, labels: &Labels, raw: &RawTable) -> Result<()> {
    if config.prepare.target_scale != TargetScale::None {
        return Err(Error::setting(
            format!(
                "loss.name: poisson takes counts as they are, not scaled by prepare.target_scale = {}",
                config.prepare.target_scale
            ),
            "--set prepare.target_scale=none",
        ));
    }
    let (Target::Values(values), Some(column)) = (&labels.target, raw.column_index(&labels.column)) else {
        return Ok(());
    };
    let largest = LARGEST_LOG_RATE.exp();
    match labels.rows.iter().find(|&&row| !(0.0..=largest).contains(&values[row as usize])) {
        None => Ok(()),
        Some(&row) => Err(data::unfit_number(
            raw,
            row as usize,
            column,
            &format!("a number from 0 to {largest:.0e} for the poisson loss"),
            "--set loss.name=mse, or leave such rows out",
        )),
    }
}

/// The name of a loss in the settings.
pub(super) fn loss_name(loss: Loss) -> LossName {
    match loss {
        Loss::Mse => LossName::Mse,
        Loss::Rmse => LossName::Rmse,
        Loss::Mae => LossName::Mae,
        Loss::Huber { .. } => LossName::Huber,
        Loss::LogCosh => LossName::LogCosh,
        Loss::Quantile { .. } => LossName::Quantile,
        Loss::Poisson => LossName::Poisson,
        Loss::BinaryCrossentropy | Loss::SmoothBinaryCrossentropy { .. } => LossName::BinaryCrossentropy,
        Loss::CategoricalCrossentropy | Loss::SmoothCategoricalCrossentropy { .. } => {
            LossName::CategoricalCrossentropy
        }
        Loss::BinaryFocal { .. } | Loss::CategoricalFocal { .. } => LossName::Focal,
        Loss::Hinge => LossName::Hinge,
    }
}

/// How much each row of the table counts, and what that comes to; none where all count alike.
///
/// A row's weight is that of its class times that of its cell in the column `data.weight`, each divided by the
/// largest, of training rows and of classes, so that no weight is too large for single precision; a weighted mean does not change by it.
pub(super) fn weights_of(
    config: &Config,
    labels: &Labels,
    raw: &RawTable,
    train: &TrainRows,
    val: &[RowIdx],
) -> Result<Option<(Vec<f64>, Weighting)>> {
    let by_class = class_weights(config, labels, train)?;
    let column = &config.data.weight;
    if by_class.is_none() && column.is_empty() {
        return Ok(None);
    }
    let mut weights = vec![1.0; raw.n_rows()];
    let mut told = Vec::new();
    let mut reasons = Vec::new();
    if !column.is_empty() {
        let taken = [&labels.column, &config.split.column, &config.split.group, &config.split.time];
        if taken.contains(&column) {
            return Err(Error::setting(
                format!("data.weight: column `{column}` has another use already"),
                "name a column that holds the rows' weights and nothing else",
            ));
        }
        weights = data::read_weights(raw, column, &labels.rows)?;
        // Of the training rows alone: what is held out changes no bit of what is fitted.
        let largest = train.rows().iter().map(|&row| weights[row as usize]).fold(0.0, f64::max);
        divide(&mut weights, largest);
        told.push("by column");
        reasons.push(format!("column `{column}`, as set by data.weight, is no input"));
    }
    if let (Some(by_class), Target::Classes { codes, classes }) = (by_class, &labels.target) {
        let mut shares = by_class.clone();
        let largest = shares.iter().copied().fold(0.0, f64::max);
        divide(&mut shares, largest);
        for &row in &labels.rows {
            weights[row as usize] *= shares[codes[row as usize] as usize];
        }
        let each: Vec<String> =
            classes.iter().zip(&by_class).map(|(name, weight)| format!("`{name}` {weight:.4}")).collect();
        told.push("by class");
        let why = match config.loss.class_weights {
            ClassWeights::Rule(_) => "balanced, so that every class counts the same in training",
            ClassWeights::Table(_) => "as set by loss.class_weights",
        };
        reasons.push(format!("{why}: {}", short(&each)));
    }
    for (part, rows) in [("training", train.rows()), ("validation", val)] {
        if rows.iter().all(|&row| weights[row as usize] == 0.0) {
            return Err(Error::data(
                format!("the weights of all {} {part} rows are 0", rows.len()),
                "give some of them a weight above 0",
            ));
        }
    }
    reasons.push("the validation loss is weighted likewise, metrics are not".to_owned());
    // A column that was named is no choice of the programme's; nor is there a name to put in its place.
    let instead = if column.is_empty() { "--set loss.class_weights=none" } else { "" };
    Ok(Some((weights, Weighting { choice: told.join(" and "), reason: reasons.join("; "), instead })))
}

/// What the weights of the rows come to, in words.
pub(super) struct Weighting {
    /// What they are.
    pub(super) choice: String,
    /// Why.
    pub(super) reason: String,
    /// The argument that takes them away, if one does.
    pub(super) instead: &'static str,
}

/// Divides weights by the largest that counts, unless that is 0.
fn divide(weights: &mut [f64], largest: f64) {
    if largest > 0.0 {
        weights.iter_mut().for_each(|w| *w /= largest);
    }
}

/// The first few of a list.
fn short(items: &[String]) -> String {
    const MOST: usize = 10;
    let more = items.len().saturating_sub(MOST);
    let mut text = items[..items.len() - more].join(", ");
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

/// The weight of each class; none where all count alike.
///
/// Balanced is n / (C·n_c), with n training rows, n_c of them of the class, and C classes, as in scikit-learn
/// (King & Zeng 2001).
pub(super) fn class_weights(config: &Config, labels: &Labels, train: &TrainRows) -> Result<Option<Vec<f64>>> {
    let wanted = &config.loss.class_weights;
    if *wanted == ClassWeights::Rule(ClassWeighting::None) {
        return Ok(None);
    }
    let Target::Classes { codes, classes } = &labels.target else {
        return Err(Error::setting(
            "loss.class_weights: the target is a number and has no classes",
            "--set loss.class_weights=none",
        ));
    };
    let ClassWeights::Table(table) = wanted else {
        let mut counts = vec![0.0; classes.len()];
        train.rows().iter().for_each(|&row| counts[codes[row as usize] as usize] += 1.0);
        let even = train.rows().len() as f64 / classes.len() as f64;
        // A split by a column may leave a class without training rows, whose weight then says nothing.
        return Ok(Some(counts.into_iter().map(|n| if n > 0.0 { even / n } else { 1.0 }).collect()));
    };
    if let Some(name) = table.keys().find(|name| !classes.contains(name)) {
        let names = || classes.iter().map(String::as_str);
        return Err(Error::setting(
            format!("loss.class_weights: column `{}` has no class `{name}`", labels.column),
            match nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the classes are {}", short(&names().map(str::to_owned).collect::<Vec<_>>())),
            },
        ));
    }
    Ok(Some(classes.iter().map(|class| table.get(class).copied().unwrap_or(1.0)).collect()))
}
