//! Cross-validation: one network a fold, trained side by side, judged on what each holds out, and kept as one bag.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use serde_json::{Value, json};
use statera_kernels::{CpuLevel, Scalar};

use super::checkpoints::{self, Checkpoints};
use super::cross_validation::{CrossValidation, FoldReport, joined};
use super::execute::{Untested, judge_test, judge_val, rivals, train};
use super::plan::{Ground, Plan};
use super::reach::check_reach;
use super::report::{Baseline, Report, RowCounts};
use super::resume::{FoldSaving, check_about};
use super::split;
use crate::bag::{self, Bag};
use crate::config::{Config, Precision};
use crate::data::words::{column_setting, shown};
use crate::data::{RawTable, RowIdx, Schema, Table};
use crate::error::{Error, Problem, Result};
use crate::model::{Model, Params, truth_of};
use crate::train::astray::instead;
use crate::train::checkpoint::Saving;
use crate::train::events::{Answer, Callback, Event};
use crate::train::fit::Rows;
use crate::train::metrics::{Predictions, metrics};
use crate::work::{self, Outcome};

/// A cross-validation that is ready to train.
#[derive(Debug)]
pub struct Folds {
    /// One a fold, repeat after repeat, each with its own split, whose test rows are those held out, its own fitted
    /// preparation, and its own seed: that of the settings, counted up.
    pub plans: Vec<Plan>,
    /// The rows apart, which no fold sees.
    pub test: Vec<RowIdx>,
    /// The settings, with those that were decided for all folds.
    pub config: Config,
}

/// A fold that is trained and judged.
#[derive(Debug)]
pub struct FoldDone {
    /// Its number, from 0 on.
    pub fold: usize,
    /// What was measured on the rows held out.
    pub report: FoldReport,
    /// What happened in training.
    pub events: Vec<Event>,
    /// Checkpoints that were damaged and not gone on from, in words.
    pub damaged: Vec<String>,
    model: Model,
    /// Of the network and of the simple models: the rows held out, then the test rows.
    predictions: [Predictions; 2],
    rivals: Vec<(&'static str, [Predictions; 2])>,
}

/// A cross-validation that is trained and tested.
#[derive(Debug)]
pub struct CrossValidated {
    /// The networks of the folds.
    pub bag: Bag,
    /// What was measured.
    pub report: Report,
}

impl Folds {
    /// Reads the table of `config.data` and decides everything.
    pub fn new(config: Config) -> Result<Self> {
        let raw = Plan::read(&config)?;
        Self::of(config, Arc::new(raw))
    }

    /// Decides everything about a table that has been read with the words for missing cells of `config`.
    pub fn of(config: Config, raw: Arc<RawTable>) -> Result<Self> {
        let ground = Ground::of(config, raw)?;
        let (folds, test, told) = split::folds_of(&ground.config, &ground.raw, &ground.labels)?;
        let mut plans = Vec::with_capacity(folds.len());
        for (i, fold) in folds.into_iter().enumerate() {
            let mut ground = ground.clone();
            ground.config.seed = seed_of(ground.config.seed, i);
            plans.push(ground.plan(fold, told.clone(), plans.last()).map_err(|error| of_fold(i, error))?);
        }
        // A bag reads a table once, by what any of its members learns of.
        let schema = Schema::joined(plans.iter().map(|plan| &plan.schema)).map_err(|name| {
            Error::data(
                format!(
                    "column {}: the training rows of some folds make another kind of it than others",
                    shown(&name)
                ),
                format!(
                    "say what it is: --set {}, or number, or date",
                    column_setting(&name, "kind", "category")
                ),
            )
        })?;
        if let Some(other) = plans.iter().find(|plan| !plan.schema.reads_like(&schema)) {
            let table = Arc::new(Table::from_raw(&other.raw, &schema)?);
            plans.iter_mut().for_each(|plan| plan.table = Arc::clone(&table));
        }
        plans.iter_mut().for_each(|plan| plan.schema = schema.clone());
        let config = Config { seed: ground.config.seed, ..plans[0].config.clone() };
        Ok(Self { plans, test, config })
    }

    /// Trains the folds, `threads` at a time (0: one a core), each on one thread, and judges them and their bag.
    ///
    /// `tell` hears of each fold as it ends; none comes of a run that `stop` ends. Each fold keeps checkpoints where
    /// `saving` says, and goes on from its last one: those that had ended are judged again. The result does not depend on
    /// the number of threads.
    pub fn run(
        &self,
        threads: usize,
        saving: Option<&FoldSaving>,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&FoldDone),
    ) -> Result<Option<(CrossValidated, Vec<Vec<Event>>)>> {
        let job = |i: usize| {
            let plan = &self.plans[i];
            match plan.config.network.precision {
                Precision::F32 => fold::<f32>(i, plan, &self.test, saving, stop),
                Precision::F64 => fold::<f64>(i, plan, &self.test, saving, stop),
            }
            .map_err(|error| of_fold(i, error))
        };
        let mut told = |_, done: &Outcome<Result<Option<FoldDone>>>| {
            if let Ok(Ok(Some(done))) = done {
                tell(done);
            }
        };
        let done = work::share_out(self.plans.len(), threads, job, &mut told)?;
        let done = done.into_iter().enumerate().map(|(i, done)| {
            done.unwrap_or_else(|panicked| Err(of_fold(i, Error::training(panicked.to_string(), ""))))
        });
        let done: Option<Vec<FoldDone>> = done.collect::<Result<Vec<_>>>()?.into_iter().collect();
        Ok(done.map(|done| self.summed_up(done)))
    }

    fn summed_up(&self, done: Vec<FoldDone>) -> (CrossValidated, Vec<Vec<Event>>) {
        let first = &self.plans[0];
        let test_groups = first.groups_of(&self.test);
        let target = &first.labels.target;
        let s = &self.config.split;
        // The last fold's parts are all rows but the test's, by whatever rule.
        let RowCounts { train, val, test } = RowCounts::of(&self.plans[self.plans.len() - 1]);
        let mut report = Report {
            n_rows: RowCounts { train: train + val + test, val: 0, test: self.test.len() },
            fit_seconds: done.iter().map(|fold| fold.report.fit_seconds).sum(),
            seed: self.config.seed,
            ..Report::unmeasured(first)
        };
        let (mut members, mut events, mut reports) = (Vec::new(), Vec::new(), Vec::new());
        let (mut held_out, mut tested) = (Vec::new(), Vec::new());
        let mut rivals: Vec<(&'static str, Vec<Predictions>)> = Vec::new();
        for fold in done {
            members.push(fold.model);
            events.push(fold.events);
            reports.push(fold.report);
            let [out, test] = fold.predictions;
            held_out.push(out);
            tested.push(test);
            for (name, [_, test]) in fold.rivals {
                match rivals.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, all)) => all.push(test),
                    None => rivals.push((name, vec![test])),
                }
            }
        }
        let mut out_of_fold = Vec::new();
        let mut held_out = held_out.into_iter();
        for plans in self.plans.chunks(s.folds) {
            let rows: Vec<RowIdx> = plans.iter().flat_map(|plan| plan.split.test.iter().copied()).collect();
            let all = joined(held_out.by_ref().take(plans.len()).collect());
            out_of_fold.push(metrics(&all, truth_of(target, &rows).view()));
        }
        let (folds, primary, confidence) = ([s.folds, s.repeats], report.primary(), report.confidence);
        report.cross_validation =
            Some(CrossValidation::new(folds, reports, &out_of_fold, primary, confidence));
        if !self.test.is_empty() {
            let truth = truth_of(target, &self.test);
            let rivals: Vec<_> = rivals.into_iter().map(|(name, all)| (name, bag::mean(all))).collect();
            let truth = (truth.view(), test_groups.as_deref());
            judge_test(&mut report, &bag::mean(tested), truth, &first.target, &rivals, &self.config);
        }
        let mut all = report.to_json();
        without_seconds(&mut all);
        let bag = Bag { members, metrics: all, n_train: report.n_rows.train };
        (CrossValidated { bag, report }, events)
    }
}

/// The seed of fold `i`, so that its network starts and shuffles otherwise than the others'.
fn seed_of(seed: u64, i: usize) -> u64 {
    (seed + i as u64) % (i64::MAX as u64 + 1)
}

/// The same run is the same file, however long it took.
fn without_seconds(metrics: &mut serde_json::Value) {
    if let Some(fields) = metrics.as_object_mut() {
        fields.remove("fit_seconds");
    }
    let folds = metrics.pointer_mut("/cross_validation/folds").and_then(|folds| folds.as_array_mut());
    for fold in folds.into_iter().flatten().filter_map(|fold| fold.as_object_mut()) {
        fold.remove("fit_seconds");
    }
}

/// The error of a fold, with its number.
fn of_fold(i: usize, error: Error) -> Error {
    let named = |p: Problem| Problem { what: format!("fold {}: {}", i + 1, p.what), ..p };
    match error {
        Error::Setting(p) => Error::Setting(named(p)),
        Error::Data(p) => Error::Data(named(p)),
        Error::Training(p) => Error::Training(named(p)),
        other => other,
    }
}

/// Trains one fold's network and judges it on the rows held out; predicts the test rows too, of which nothing is measured
/// here. None if it was stopped.
fn fold<T: Scalar + 'static>(
    i: usize,
    plan: &Plan,
    test: &[RowIdx],
    saving: Option<&FoldSaving>,
    stop: &AtomicBool,
) -> Result<Option<FoldDone>> {
    if stop.load(Ordering::SeqCst) {
        return Ok(None);
    }
    check_reach(plan)?;
    let rows = [plan.training_rows::<T>()?, plan.prepared::<T>(&plan.split.val)?];
    let mut heard = Heard { events: Vec::new(), stop, stopped: false };
    let (trained, damaged) = match saving {
        None => (train(plan, &rows, &mut heard, None), Vec::new()),
        Some(saving) => train_saved(i, plan, &rows, &mut heard, saving)?,
    };
    let Heard { events, stopped, .. } = heard;
    if stopped {
        return Ok(None);
    }
    let Untested { mut model, best_epoch, history, reason, seconds } = trained?;
    let (rate, level) = (plan.config.optimizer.learning_rate, CpuLevel::detect());
    let remedy = || instead(rate, &plan.network, plan.loss, level, &plan.config, (&rows[0]).into()).remedy;
    judge_val(plan, &model, &reason, &remedy)?;
    let held_out = &plan.split.test;
    let truth = truth_of(&plan.labels.target, held_out);
    let of = |rows: &[RowIdx]| Ok::<_, Error>(model.predict_prepared(&plan.inputs(rows)?));
    let predictions = [of(held_out)?, of(test)?];
    let both = [held_out, test].concat();
    let rivals = if plan.config.evaluate.baselines { rivals(plan, &both)? } else { Vec::new() };
    let rivals: Vec<_> = rivals.into_iter().map(|(name, p)| (name, parted(p, held_out.len()))).collect();
    let baseline = |(name, [p, _]): &(&'static str, [Predictions; 2])| Baseline {
        name,
        metrics: metrics(p, truth.view()),
    };
    let report = FoldReport {
        n_rows: RowCounts::of(plan),
        metrics: metrics(&predictions[0], truth.view()),
        baselines: rivals.iter().map(baseline).collect(),
        best_epoch,
        epochs_run: history.len(),
        stopped: reason,
        fit_seconds: seconds,
    };
    let measured: serde_json::Map<_, _> =
        report.metrics.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    model.card.metrics = json!({ "fold": i + 1, "held_out": measured });
    Ok(Some(FoldDone { fold: i, report, events, damaged, model, predictions, rivals }))
}

/// Trains fold `i`, going on from its last checkpoint if there is one; tells which were damaged.
fn train_saved<T: Scalar + 'static>(
    i: usize,
    plan: &Plan,
    rows: &[Rows<T>; 2],
    heard: &mut Heard,
    saving: &FoldSaving,
) -> Result<(Result<Untested>, Vec<String>)> {
    let folder = saving.folder.join(format!("fold-{}", i + 1));
    let (mut from, damaged) = checkpoints::last_in(&folder)?;
    if let Some(from) = &mut from {
        check_about(from, &saving.about, &folder, saving.force)?;
        if saving.force {
            from.begin_epoch_anew();
        }
    }
    let checkpoints = Checkpoints::new(&folder, Vec::new(), saving.run.clone())?;
    let mut keep = |checkpoint, waits| checkpoints.keep(checkpoint, waits);
    let saving =
        Saving { from, every: saving.every, at_end: true, about: saving.about.clone(), keep: &mut keep };
    Ok((train(plan, rows, heard, Some(saving)), damaged))
}

/// Hears what happens in a fold, to be told later, and whether the run is to stop.
struct Heard<'a> {
    events: Vec<Event>,
    stop: &'a AtomicBool,
    stopped: bool,
}

impl Callback for Heard<'_> {
    fn hear(&mut self, event: &Event, _weights: &dyn Fn() -> Params) -> Answer {
        if !matches!(event, Event::Progress { .. }) {
            self.events.push(event.clone());
        }
        if self.stop.load(Ordering::SeqCst) && !matches!(event, Event::Finished { .. }) {
            self.stopped = true;
            return Answer::Interrupt("interrupted".into());
        }
        Answer::GoOn
    }

    fn state(&self) -> Value {
        serde_json::to_value(&self.events).unwrap_or_default()
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let unreadable = |e| Error::model(format!("the events of a fold cannot be read: {e}"), "train anew");
        self.events = Vec::deserialize(state).map_err(unreadable)?;
        Ok(())
    }
}

/// The predictions of the first `n` rows, and those of the others.
fn parted(predictions: Predictions, n: usize) -> [Predictions; 2] {
    match predictions {
        Predictions::Values(mut first) => {
            let second = first.split_off(n);
            [first, second].map(Predictions::Values)
        }
        Predictions::Probabilities { n_classes, p: mut first } => {
            let second = first.split_off(n * n_classes);
            [first, second].map(|p| Predictions::Probabilities { n_classes, p })
        }
    }
}
