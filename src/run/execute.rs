//! Training and testing a plan.

use std::fmt::Write as _;

use statera_kernels::{CpuLevel, Scalar};

use super::plan::Plan;
use super::reach::{check_reach, furthest};
use super::report::{Baseline, Comparison, Measured, Report, RowCounts, TestGroups, untested};
use crate::config::{Config, Precision, name_starts};
use crate::data::RowIdx;

use crate::error::{Error, Result};
use crate::model::{Card, Model, Params, Provenance, TargetSpec, truth_of};
use crate::train::astray::instead;
use crate::train::baselines::baselines;
use crate::train::bootstrap::{gain, intervals};
use crate::train::checkpoint::Saving;
use crate::train::events::{EpochRecord, Listener};
use crate::train::fit::{FitRows, Fitted, Rows, fit_saved};
use crate::train::metrics::{Predictions, Truth, higher_is_better, metrics};

/// Standard deviations, or whatever a column is scaled by, beyond which a cell is more likely to be wrong than rare.
const FAR: f64 = 1e6;

/// A trained and tested model.
#[derive(Debug)]
pub struct Trained {
    /// The model, its metrics inside.
    pub model: Model,
    /// What was measured.
    pub report: Report,
    /// Every epoch.
    pub history: Vec<EpochRecord>,
}

/// Trains the plan's network, telling `listener`, and tests it once on the test rows.
pub fn execute(plan: &Plan, listener: &mut Listener) -> Result<Trained> {
    execute_saved(plan, listener, None)
}

/// The same, keeping checkpoints, and going on from one if there is one.
pub fn execute_saved(plan: &Plan, listener: &mut Listener, saving: Option<Saving>) -> Result<Trained> {
    match plan.config.network.precision {
        Precision::F32 => execute_in::<f32>(plan, listener, saving),
        Precision::F64 => execute_in::<f64>(plan, listener, saving),
    }
}

fn execute_in<T: Scalar + 'static>(
    plan: &Plan,
    listener: &mut Listener,
    saving: Option<Saving>,
) -> Result<Trained> {
    check_reach(plan)?;
    let rows = [plan.training_rows::<T>()?, plan.prepared::<T>(&plan.split.val)?];
    let Untested { mut model, best_epoch, history, reason, seconds } = train(plan, &rows, listener, saving)?;
    let mut report = Report {
        n_rows: RowCounts::of(plan),
        best_epoch,
        epochs_run: history.len(),
        stopped: reason,
        fit_seconds: seconds,
        ..Report::unmeasured(plan)
    };
    let rate = plan.config.optimizer.learning_rate;
    let (level, train) = (CpuLevel::detect(), &rows[0]);
    let remedy = || instead(rate, &plan.network, plan.loss, level, &plan.config, train.into()).remedy;
    judge(plan, &model, &mut report, &remedy)?;
    model.card.metrics = report.to_json();
    // The same run is the same file, however long it took.
    if let Some(metrics) = model.card.metrics.as_object_mut() {
        metrics.remove("fit_seconds");
    }
    Ok(Trained { model, report, history })
}

/// A trained model before any row has judged it.
#[derive(Debug)]
pub struct Untested {
    /// The model, no metrics in it yet.
    pub model: Model,
    /// The epoch whose weights it has.
    pub best_epoch: usize,
    /// Every epoch.
    pub history: Vec<EpochRecord>,
    /// Why training ended.
    pub reason: String,
    /// Seconds of training.
    pub seconds: f64,
}

/// Trains the plan's network on prepared rows, those to learn from and those to watch.
pub fn train<T: Scalar + 'static>(
    plan: &Plan,
    [train, val]: &[Rows<T>; 2],
    listener: &mut Listener,
    saving: Option<Saving>,
) -> Result<Untested> {
    let level = CpuLevel::detect();
    let unit = &plan.target.scaler;
    let facts = plan.facts()?;
    let rows = FitRows { train: train.into(), val: val.into(), facts: &facts, unit };
    let fitted = fit_saved(&plan.network, plan.loss, level, &plan.config, rows, listener, saving)?;
    let Fitted { params, best_epoch, history, reason, seconds } = fitted;
    Ok(Untested {
        model: Model::new(card_of(plan), Params::of(params)),
        best_epoch,
        history,
        reason,
        seconds,
    })
}

/// All of the plan's model but its parameters and what they will be worth.
pub fn card_of(plan: &Plan) -> Card {
    // The same network is the same file, whether its start was named or left to `auto`.
    let mut layers = plan.network.specs().to_vec();
    name_starts(&mut layers);
    Card {
        target: plan.target.clone(),
        loss: plan.loss,
        n_inputs: plan.network.n_inputs(),
        layers,
        schema: plan.schema.clone(),
        pipeline: plan.pipeline.clone(),
        null: plan.config.data.null.clone(),
        metrics: serde_json::Value::Null,
        provenance: Provenance {
            statera: env!("CARGO_PKG_VERSION").into(),
            seed: plan.config.seed,
            data_sha256: plan.raw.sha256.clone(),
            n_train: plan.split.train.rows().len(),
            group: plan.config.split.group.clone(),
        },
    }
}

/// What the model reaches on the validation rows; where that is nothing, an error that tells why, and what to try as
/// `remedy` says it.
pub(super) fn judge_val(
    plan: &Plan,
    model: &Model,
    stopped: &str,
    remedy: &dyn Fn() -> String,
) -> Result<Vec<(&'static str, f64)>> {
    let truth = truth_of(&plan.labels.target, &plan.split.val);
    let found = metrics(&model.predict_prepared(&plan.inputs(&plan.split.val)?), truth.view());
    if !found.is_empty() {
        return Ok(found);
    }
    let mut what =
        format!("no epoch left weights whose predictions are finite, so there is nothing to keep; {stopped}");
    // No learning rate makes up for a cell like no other.
    let remedy = match furthest(plan, &plan.split.val, FAR)? {
        None => remedy(),
        Some(far) => {
            let _ = write!(what, "; {}, of a validation row, is scaled to {:.1e}", far.place, far.scaled);
            far.remedy
        }
    };
    Err(Error::training(what, remedy))
}

/// Simple models fitted to the plan's training rows, and what they predict of `rows`.
pub(super) fn rivals(plan: &Plan, rows: &[RowIdx]) -> Result<Vec<(&'static str, Predictions)>> {
    let train = plan.split.train.rows();
    let truth = truth_of(&plan.labels.target, train);
    // A linear model takes a category one-hot, and a number as it is, whatever the network does with them.
    let [x, asked_x] = [plan.plain_inputs(train)?, plan.plain_inputs(rows)?];
    let mut rivals = baselines(&x.0, x.1, truth.view(), plan.target.classes.len(), &asked_x.0);
    if plan.pipeline.plain().features().is_empty() {
        // What is left without a column is the constant.
        rivals.truncate(1);
    }
    Ok(rivals)
}

/// Fills in what the model and the simple models reach on validation and test rows; `remedy` says what to
/// try where nothing was reached.
fn judge(plan: &Plan, model: &Model, report: &mut Report, remedy: &dyn Fn() -> String) -> Result<()> {
    report.val = judge_val(plan, model, &report.stopped, remedy)?;
    if plan.split.test.is_empty() {
        return Ok(());
    }
    let ours = model.predict_prepared(&plan.inputs(&plan.split.test)?);
    let e = &plan.config.evaluate;
    let rivals = if e.baselines { rivals(plan, &plan.split.test)? } else { Vec::new() };
    let truth = truth_of(&plan.labels.target, &plan.split.test);
    let groups = plan.groups_of(&plan.split.test);
    judge_test(report, &ours, (truth.view(), groups.as_deref()), &plan.target, &rivals, &plan.config);
    Ok(())
}

/// Fills in what predictions of the test rows reach, beside those of simple models; the groups of these rows, if they are in
/// groups, are what intervals draw.
pub(super) fn judge_test(
    report: &mut Report,
    ours: &Predictions,
    (truth, groups): (Truth, Option<&[u32]>),
    target: &TargetSpec,
    rivals: &[(&'static str, Predictions)],
    config: &Config,
) {
    let e = &config.evaluate;
    report.untested = untested(truth, &target.classes);
    let tested = intervals(ours, truth, groups, e.bootstrap, e.confidence, report.seed);
    report.resamples = tested.replicates;
    let by_groups = tested.n_groups.filter(|_| e.bootstrap > 0);
    report.groups = by_groups.map(|n| TestGroups { column: config.split.group.clone(), n });
    report.test = tested
        .metrics
        .into_iter()
        .map(|(name, value, interval)| Measured { name, value, interval })
        .collect();
    for (name, predictions) in rivals {
        report.baselines.push(Baseline { name, metrics: metrics(predictions, truth) });
    }
    if let Some((baseline, theirs)) = best(report, rivals) {
        let gain =
            gain(report.primary(), [ours, theirs], truth, groups, e.bootstrap, e.confidence, report.seed);
        report.comparison = gain.map(|gain| Comparison { baseline, gain });
    }
}

/// The simple model that is best in the main metric, and its predictions.
fn best<'a>(
    report: &Report,
    rivals: &'a [(&'static str, Predictions)],
) -> Option<(&'static str, &'a Predictions)> {
    let name = report.primary();
    let sign = if higher_is_better(name) { -1.0 } else { 1.0 };
    let figure = |b: &Baseline| b.metrics.iter().find(|(n, _)| *n == name).map(|(_, v)| sign * v);
    let figures = report.baselines.iter().zip(rivals).filter_map(|(b, r)| figure(b).map(|v| (v, r)));
    figures.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, (name, predictions))| (*name, predictions))
}
