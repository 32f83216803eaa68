//! Training and testing on rows in files.

use statera_kernels::{CpuLevel, Scalar};

use super::execute::{Trained, judge_test};
use super::report::{Report, RowCounts, shifted_by_loss};
use super::streamed::{StreamedPlan, baseline_rows};
use crate::config::{Precision, name_starts};
use crate::error::{Error, Result};
use crate::model::{Card, Model, OwnedTruth, Params, Provenance};
use crate::profile::sample;
use crate::train::astray::instead;
use crate::train::baselines::{Baseline, fit_baselines};
use crate::train::checkpoint::Saving;
use crate::train::events::Listener;
use crate::train::fit::{FitRows, Fitted, RowFacts, fit_saved};
use crate::train::metrics::{Predictions, metrics};
use crate::train::row_file::RowFile;
use crate::train::source::Source;

/// Rows that are predicted at a time.
const TOGETHER: usize = 1 << 15;

/// Trains the plan's network, telling `listener`, and tests it once on the test rows.
/// It keeps checkpoints if there is a place for them, and goes on from one if there is one.
pub fn execute(plan: &StreamedPlan, listener: &mut Listener, saving: Option<Saving>) -> Result<Trained> {
    match plan.config.network.precision {
        Precision::F32 => execute_in::<f32>(plan, listener, saving),
        Precision::F64 => execute_in::<f64>(plan, listener, saving),
    }
}

/// All of the plan's model but its parameters and what they will be worth.
pub fn card_of(plan: &StreamedPlan) -> Card {
    let decided = &plan.decided;
    let mut layers = plan.network.specs().to_vec();
    name_starts(&mut layers);
    Card {
        target: decided.target.clone(),
        loss: plan.loss,
        n_inputs: plan.network.n_inputs(),
        layers,
        schema: decided.schema.clone(),
        pipeline: decided.pipeline.clone(),
        null: plan.config.data.null.clone(),
        metrics: serde_json::Value::Null,
        provenance: Provenance {
            statera: env!("CARGO_PKG_VERSION").into(),
            seed: plan.config.seed,
            data_sha256: decided.sha256.clone(),
            n_train: plan.rows(0).len(),
            group: plan.config.split.group.clone(),
        },
    }
}

fn execute_in<T: Scalar + 'static>(
    plan: &StreamedPlan,
    listener: &mut Listener,
    saving: Option<Saving>,
) -> Result<Trained> {
    let (decided, config, level) = (&plan.decided, &plan.config, CpuLevel::detect());
    let [train, val, test] = [0, 1, 2].map(|part| plan.rows(part));
    let facts = RowFacts { numeric_inputs: decided.pipeline.numeric_features(), ..RowFacts::default() };
    let unit = &decided.target.scaler;
    let rows = FitRows::<T> { train: (&train).into(), val: (&val).into(), facts: &facts, unit };
    let fitted = fit_saved(&plan.network, plan.loss, level, config, rows, listener, saving)?;
    let Fitted { params, best_epoch, history, reason, seconds } = fitted;
    let mut model = Model::new(card_of(plan), Params::of(params));
    let mut report = Report {
        task: decided.target.task,
        target: decided.target.column.clone(),
        n_rows: RowCounts { train: train.len(), val: val.len(), test: test.len() },
        cross_validation: None,
        val: Vec::new(),
        test: Vec::new(),
        confidence: config.evaluate.confidence,
        resamples: 0,
        groups: None,
        baselines: Vec::new(),
        untested: Vec::new(),
        shifted: shifted_by_loss(plan.loss),
        comparison: None,
        best_epoch,
        epochs_run: history.len(),
        stopped: reason,
        fit_seconds: seconds,
        seed: config.seed,
        data_sha256: decided.sha256.clone(),
    };
    let predict = |x: &[f64]| model.predict_prepared(x);
    report.val = metrics(&by_parts::<T>(&val, &predict)?, plan.truth(1)?.view());
    if report.val.is_empty() {
        let what = format!(
            "no epoch left weights whose predictions are finite, so there is nothing to keep; {}",
            report.stopped
        );
        let rate = config.optimizer.learning_rate;
        let source: Source<T> = Source::File(&train);
        let remedy = instead(rate, &plan.network, plan.loss, level, config, source).remedy;
        return Err(Error::training(what, remedy));
    }
    if !test.is_empty() {
        let ours = by_parts::<T>(&test, &predict)?;
        let truth = plan.truth(2)?;
        let rivals = if config.evaluate.baselines { rivals::<T>(plan, &train, &test)? } else { Vec::new() };
        let groups = plan.test_groups()?;
        judge_test(&mut report, &ours, (truth.view(), groups.as_deref()), &decided.target, &rivals, config);
    }
    model.card.metrics = report.to_json();
    // The same run is the same file, however long it took.
    if let Some(metrics) = model.card.metrics.as_object_mut() {
        metrics.remove("fit_seconds");
    }
    Ok(Trained { model, report, history })
}

/// What `predict` makes of the rows of a file, few of them in memory at a time.
fn by_parts<T: Scalar>(file: &RowFile, predict: &dyn Fn(&[f64]) -> Predictions) -> Result<Predictions> {
    let mut all: Option<Predictions> = None;
    for first in (0..file.len()).step_by(TOGETHER) {
        let rows = file.stretch::<T>(first..(first + TOGETHER).min(file.len()))?;
        let x: Vec<f64> = rows.x.iter().map(|x| x.to_f64()).collect();
        match (&mut all, predict(&x)) {
            (Some(all), more) => all.append(more),
            (all @ None, first) => *all = Some(first),
        }
    }
    Ok(all.unwrap_or(Predictions::Values(Vec::new())))
}

/// Simple models fitted to some training rows, and their predictions of the test rows.
fn rivals<T: Scalar>(
    plan: &StreamedPlan,
    train: &RowFile,
    test: &RowFile,
) -> Result<Vec<(&'static str, Predictions)>> {
    let (pipeline, n_classes) = (&plan.decided.pipeline, plan.decided.target.classes.len());
    let n = baseline_rows(pipeline, train.len());
    let drawn = sample::rows(train.len(), n, plan.config.seed).unwrap_or_else(|| (0..train.len()).collect());
    let numbers: Vec<u32> = drawn.iter().map(|&row| row as u32).collect();
    let truth = match plan.truth(0)? {
        OwnedTruth::Values(values) => OwnedTruth::Values(drawn.iter().map(|&row| values[row]).collect()),
        OwnedTruth::Classes(classes) => OwnedTruth::Classes(drawn.iter().map(|&row| classes[row]).collect()),
    };
    let is_plain = pipeline.plain() == *pipeline;
    let (x, n_features): (Vec<f64>, usize) = if is_plain {
        let rows = train.picked::<T>(&numbers)?;
        (rows.x.iter().map(|x| x.to_f64()).collect(), pipeline.features().len())
    } else {
        // Without a column that a linear model can take, the constant is left.
        (vec![0.0; n], 1)
    };
    let mut models = fit_baselines(&x, n_features, truth.view(), n_classes);
    drop(x);
    models.truncate(if is_plain { models.len() } else { 1 });
    let predict = |(name, model): &(&'static str, Baseline)| {
        let of = |x: &[f64]| {
            let constant = vec![0.0; x.len() / plan.network.n_inputs()];
            model.predict(if is_plain { x } else { &constant })
        };
        Ok((*name, by_parts::<T>(test, &of)?))
    };
    models.iter().map(predict).collect()
}
