//! What regularisers ask of the rows: whether their settings fit the data, and what is known of training rows.

use super::plan::Plan;
use crate::config::{Config, CurriculumBy};
use crate::data::RowIdx;
use crate::data::words::{instead, shown};
use crate::data::{self, FeatureKind, Pipeline, TaskKind};
use crate::error::{Error, Result};
use crate::model::truth_of;
use crate::nn::Loss;
use crate::train::baselines::baselines;
use crate::train::fit::RowFacts;
use crate::train::metrics::{Predictions, Truth};

/// Refuses noise and mixing that mean nothing for this task, loss or table.
pub(super) fn check_noise(
    config: &Config,
    task: TaskKind,
    n_classes: usize,
    loss: Loss,
    pipeline: &Pipeline,
) -> Result<()> {
    let labels = config.noise.labels;
    if labels > 0.0 && task != TaskKind::Regression {
        let chance = 1.0 - 1.0 / n_classes.max(2) as f64;
        if labels >= chance {
            return Err(Error::setting(
                format!(
                    "noise.labels is {labels}: with {n_classes} classes, labels that are wrong with a probability of \
                     {chance:.3} or more say nothing or the opposite"
                ),
                "--set noise.labels=0.1",
            ));
        }
    }
    if labels > 0.0 && loss == Loss::Poisson {
        return Err(Error::setting(
            format!(
                "noise.labels is {labels}: a count with normal noise is no count, which the poisson loss asks for"
            ),
            "--set noise.labels=0, or --set loss.name=mse",
        ));
    }
    if config.augment.mixup > 0.0 {
        let alpha = config.augment.mixup;
        if let Loss::Quantile { quantile } = loss {
            return Err(Error::setting(
                format!(
                    "augment.mixup is {alpha}: a mean of two targets has other quantiles than a target, so the quantile \
                     loss would learn another quantile than {quantile}"
                ),
                "--set augment.mixup=0, or --set loss.name=mse",
            ));
        }
        let is_code = |kind: FeatureKind| matches!(kind, FeatureKind::Code { .. });
        if let Some(coded) = pipeline.features().iter().find(|feature| is_code(feature.kind)) {
            return Err(Error::setting(
                format!(
                    "augment.mixup is {alpha}, but the categories of column {} are codes, of which there is no mean",
                    shown(&coded.column)
                ),
                "--set augment.mixup=0, or --set embedding.categories=one_hot",
            ));
        }
        if config.train.batch_size < 2 {
            return Err(Error::setting(
                format!(
                    "augment.mixup is {alpha}, but train.batch_size = 1 leaves no second row to mix with"
                ),
                "--set train.batch_size=32",
            ));
        }
    }
    if config.augment.jitter > 0.0 && pipeline.numeric_features().is_empty() {
        return Err(Error::setting(
            format!(
                "augment.jitter is {}, but no input is a scaled number that could be jittered",
                config.augment.jitter
            ),
            "--set augment.jitter=0",
        ));
    }
    Ok(())
}

/// What training asks of the plan's training rows.
pub(super) fn facts(plan: &Plan) -> Result<RowFacts> {
    let difficulty = match plan.config.curriculum.by {
        CurriculumBy::None => Vec::new(),
        CurriculumBy::Column => numbers_in(plan, &plan.config.curriculum.column)?,
        CurriculumBy::Loss => losses_of_a_linear_model(plan)?,
    };
    Ok(RowFacts { numeric_inputs: plan.pipeline.numeric_features(), difficulty })
}

/// The numbers that the training rows have in a column; NaN where a cell is missing.
fn numbers_in(plan: &Plan, column: &str) -> Result<Vec<f64>> {
    let raw = &plan.raw;
    let index = raw.column_index(column).ok_or_else(|| {
        Error::setting(
            format!("curriculum.column: there is no column {} in {}", shown(column), raw.source.display()),
            instead(column, raw.names()),
        )
    })?;
    let number = |&row: &RowIdx| match raw.value(row as usize, index) {
        None => Ok(f64::NAN),
        Some(cell) => raw.number(cell).ok_or_else(|| {
            let remedy = "name a column of numbers, or --set curriculum.by=loss";
            data::unfit_number(raw, row as usize, index, "a number that says how hard the row is", remedy)
        }),
    };
    plan.split.train.rows().iter().map(number).collect()
}

/// The loss of each training row under least squares or logistic regression fitted to the training rows: its squared
/// error, or minus the logarithm of what its class was given.
fn losses_of_a_linear_model(plan: &Plan) -> Result<Vec<f64>> {
    let rows = plan.split.train.rows();
    let (x, n_inputs) = plan.plain_inputs(rows)?;
    let truth = truth_of(&plan.labels.target, rows);
    let n_classes = plan.target.classes.len();
    let models = baselines(&x, n_inputs, truth.view(), n_classes, &x);
    let Some((_, predictions)) = models.last() else { return Ok(Vec::new()) };
    Ok(match (predictions, truth.view()) {
        (Predictions::Values(y), Truth::Values(t)) => y.iter().zip(t).map(|(y, t)| (y - t).powi(2)).collect(),
        (Predictions::Probabilities { n_classes, p }, Truth::Classes(t)) => {
            p.chunks_exact(*n_classes).zip(t).map(|(p, &class)| -p[class as usize].ln()).collect()
        }
        _ => unreachable!("a simple model predicts what it was fitted to"),
    })
}
