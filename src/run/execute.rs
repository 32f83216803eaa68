//! Training and testing a plan.

use std::fmt::Write as _;

use statera_kernels::{CpuLevel, Scalar};

use super::plan::Plan;
use super::reach::{check_reach, furthest};
use super::report::{Baseline, Comparison, Measured, Report, RowCounts};
use crate::config::{EvaluateConfig, Precision, name_starts};

use crate::error::{Error, Result};
use crate::model::{Card, Model, Params, Provenance, truth_of};
use crate::train::baselines::baselines;
use crate::train::bootstrap::{gain, intervals};
use crate::train::events::{EpochRecord, Listener};
use crate::train::fit::{Fitted, Rows, fit, rate_remedy};
use crate::train::metrics::{Predictions, Truth, higher_is_better, metrics};
use crate::train::range_test::instead_of;

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
    match plan.config.network.precision {
        Precision::F32 => execute_in::<f32>(plan, listener, Params::F32),
        Precision::F64 => execute_in::<f64>(plan, listener, Params::F64),
    }
}

fn execute_in<T: Scalar + 'static>(
    plan: &Plan,
    listener: &mut Listener,
    wrap: impl Fn(Vec<T>) -> Params,
) -> Result<Trained> {
    check_reach(plan)?;
    let rows = [plan.prepared::<T>(plan.split.train.rows())?, plan.prepared::<T>(&plan.split.val)?];
    let Untested { mut model, best_epoch, history, reason, seconds } = train(plan, &rows, listener, wrap)?;
    let mut report = Report {
        task: plan.target.task,
        target: plan.target.column.clone(),
        n_rows: RowCounts {
            train: plan.split.train.rows().len(),
            val: plan.split.val.len(),
            test: plan.split.test.len(),
        },
        val: Vec::new(),
        test: Vec::new(),
        confidence: plan.config.evaluate.confidence,
        resamples: 0,
        baselines: Vec::new(),
        comparison: None,
        best_epoch,
        epochs_run: history.len(),
        stopped: reason,
        fit_seconds: seconds,
        seed: plan.config.seed,
        data_sha256: plan.raw.sha256.clone(),
    };
    let rate = plan.config.optimizer.learning_rate;
    let (level, train) = (CpuLevel::detect(), &rows[0]);
    let suggest = || instead_of(rate, &plan.network, plan.loss, level, &plan.config, train.into());
    judge(plan, &model, &mut report, &suggest)?;
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
    wrap: impl Fn(Vec<T>) -> Params,
) -> Result<Untested> {
    let level = CpuLevel::detect();
    let std = plan.target.scaler.std;
    let facts = plan.facts()?;
    let fitted = fit(&plan.network, plan.loss, level, &plan.config, train, &facts, val, std, listener)?;
    // The same network is the same file, whether its start was named or left to `auto`.
    let mut layers = plan.network.specs().to_vec();
    name_starts(&mut layers);
    let card = Card {
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
        },
    };
    let Fitted { params, best_epoch, history, reason, seconds } = fitted;
    Ok(Untested { model: Model::new(card, wrap(params)), best_epoch, history, reason, seconds })
}

/// Fills in what the model and the simple models reach on validation and test rows; `suggest` finds another learning
/// rate where nothing was reached.
fn judge(plan: &Plan, model: &Model, report: &mut Report, suggest: &dyn Fn() -> f64) -> Result<()> {
    let e = &plan.config.evaluate;
    let target = &plan.labels.target;
    let val_truth = truth_of(target, &plan.split.val);
    report.val = metrics(&model.predict_prepared(&plan.inputs(&plan.split.val)?), val_truth.view());
    if report.val.is_empty() {
        let mut what = format!(
            "no epoch left weights whose predictions are finite, so there is nothing to keep; {}",
            report.stopped
        );
        // No learning rate makes up for a cell like no other.
        let remedy = match furthest(plan, &plan.split.val, FAR)? {
            None => rate_remedy(suggest()),
            Some(far) => {
                let _ = write!(what, "; {}, of a validation row, is scaled to {:.1e}", far.place, far.scaled);
                far.remedy
            }
        };
        return Err(Error::training(what, remedy));
    }
    if plan.split.test.is_empty() {
        return Ok(());
    }
    let test_x = plan.inputs(&plan.split.test)?;
    let test_truth = truth_of(target, &plan.split.test);
    let ours = model.predict_prepared(&test_x);
    judge_test(report, e, &ours, test_truth.view(), || {
        let rows = plan.split.train.rows();
        let truth = truth_of(target, rows);
        let n_classes = plan.target.classes.len();
        // A linear model takes a category one-hot, and a number as it is, whatever the network does with them.
        let [x, test_x] = [plan.plain_inputs(rows)?, plan.plain_inputs(&plan.split.test)?];
        let mut rivals = baselines(&x.0, x.1, truth.view(), n_classes, &test_x.0);
        if plan.pipeline.plain().features().is_empty() {
            // What is left without a column is the constant.
            rivals.truncate(1);
        }
        Ok(rivals)
    })
}

/// Fills in what the network reaches on the test rows, and beside it the simple models that `rivals` fits.
pub(super) fn judge_test(
    report: &mut Report,
    e: &EvaluateConfig,
    ours: &Predictions,
    truth: Truth,
    rivals: impl FnOnce() -> Result<Vec<(&'static str, Predictions)>>,
) -> Result<()> {
    let tested = intervals(ours, truth, e.bootstrap, e.confidence, report.seed);
    report.resamples = tested.replicates;
    report.test = tested
        .metrics
        .into_iter()
        .map(|(name, value, interval)| Measured { name, value, interval })
        .collect();
    if e.baselines {
        let rivals = rivals()?;
        for (name, predictions) in &rivals {
            let metrics = metrics(predictions, truth);
            report.baselines.push(Baseline { name, metrics });
        }
        if let Some((baseline, theirs)) = best(report, &rivals) {
            let pair = [ours, theirs];
            let (replicates, metric) = (e.bootstrap, report.primary());
            let gain = gain(metric, pair, truth, replicates, e.confidence, report.seed);
            report.comparison = gain.map(|gain| Comparison { baseline, gain });
        }
    }
    Ok(())
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
