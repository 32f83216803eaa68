//! Trials: one variant trained with one seed, and what came of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use statera_kernels::Scalar;

use super::{Study, same_data};
use crate::config::{Config, Precision};
use crate::data::{RawTable, ReadOptions};
use crate::error::{Error, Result};
use crate::model::truth_of;
use crate::run::Plan;
use crate::run::execute::{Untested, train};
use crate::run::report::primary;
use crate::train::checkpoint::Saving;
use crate::train::events::{Answer, Callbacks, Event, Listener};
use crate::train::fit::Rows;
use crate::train::metrics::metrics;
use crate::work;

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As training ends.
    Done,
    /// The loss stopped being finite; the best weights from before were judged.
    Diverged,
    /// Without weights to judge.
    Failed,
}

impl State {
    /// The word for it in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
        }
    }
}

/// One variant trained with one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The number of the variant in the study; 0 is the reference.
    pub variant: usize,
    /// The seed, of the split too.
    pub seed: u64,
    /// How it ended.
    pub state: State,
    /// The metric on the validation rows, unless it failed.
    pub metric: Option<f64>,
    /// Epochs trained.
    pub epochs: usize,
    /// Seconds of training.
    pub seconds: f64,
    /// Why training ended, or what went wrong.
    pub reason: String,
}

/// Prepared rows to learn from and to watch, in the precision of training.
#[derive(Debug)]
enum Prepared {
    F32([Rows<f32>; 2]),
    F64([Rows<f64>; 2]),
}

/// What trials of one seed and one preparation share.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) plan: Plan,
    rows: Prepared,
    /// The prepared inputs of the validation rows, to be predicted.
    val: Vec<f64>,
}

impl Ready {
    pub(crate) fn new(config: Config, raw: Arc<RawTable>) -> Result<Self> {
        let plan = Plan::of(config, raw)?;
        let rows = match plan.config.network.precision {
            Precision::F32 => Prepared::F32(both(&plan)?),
            Precision::F64 => Prepared::F64(both(&plan)?),
        };
        let val = plan.inputs(&plan.split.val)?;
        Ok(Self { plan, rows, val })
    }
}

fn both<T: Scalar>(plan: &Plan) -> Result<[Rows<T>; 2]> {
    Ok([plan.training_rows()?, plan.prepared(&plan.split.val)?])
}

/// A place for what some trials share: made by the first of them, dropped by the last.
struct Slot {
    /// The first of the variants that share it.
    variant: usize,
    seed: u64,
    shared: Mutex<Shared>,
}

struct Shared {
    /// Trials that have not ended.
    left: usize,
    ready: Option<Arc<Ready>>,
}

impl Slot {
    fn ready(&self, study: &Study, variant: usize) -> std::result::Result<Arc<Ready>, String> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = &shared.ready {
            return Ok(Arc::clone(ready));
        }
        let config = with_seed(&study.variants[variant].config, self.seed);
        let raw = study.tables.iter().find(|(read, _)| *read == ReadOptions::of(&config.data));
        let raw = raw.map_or(&study.plan.raw, |(_, raw)| raw);
        // What goes wrong may be this variant's own: its network, its loss.
        let made = guarded(|| Ready::new(config, Arc::clone(raw)).map(Arc::new))?;
        Ok(Arc::clone(shared.ready.insert(made)))
    }

    fn leave(&self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.left -= 1;
        if shared.left == 0 {
            shared.ready = None;
        }
    }
}

fn with_seed(config: &Config, seed: u64) -> Config {
    Config { seed, ..config.clone() }
}

/// The work's result, its error or its panic in words, on one line for one cell of a table.
pub(crate) fn guarded<R>(job: impl FnOnce() -> Result<R>) -> std::result::Result<R, String> {
    match work::caught(job) {
        Ok(done) => {
            done.map_err(|error| error.to_string().split('\n').map(str::trim).collect::<Vec<_>>().join("; "))
        }
        Err(panicked) => Err(format!("the trial {panicked}")),
    }
}

/// What a trial came to before it is put on record.
pub(crate) struct Judged {
    pub(crate) diverged: bool,
    pub(crate) metric: f64,
    pub(crate) best_epoch: usize,
    pub(crate) epochs: usize,
    pub(crate) seconds: f64,
    pub(crate) reason: String,
}

/// Trains everything; the trials come by variant, then by seed, those that `stop` kept from ending left out.
pub(super) fn run_all(
    study: &Study,
    threads: usize,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(&Trial),
) -> Result<Vec<Trial>> {
    // Seed by seed, and within a seed those that share their preparation one after another.
    let mut slots = Vec::<Slot>::new();
    let mut jobs = Vec::new();
    for &seed in &study.seeds {
        let first = slots.len();
        let mut of_seed = Vec::new();
        for (variant, v) in study.variants.iter().enumerate() {
            let shares = |slot: &Slot| same_data(&study.variants[slot.variant].config, &v.config);
            let at = slots[first..].iter().position(shares).map_or(slots.len(), |at| first + at);
            if at == slots.len() {
                slots.push(Slot { variant, seed, shared: Mutex::new(Shared { left: 0, ready: None }) });
            }
            slots[at].shared.get_mut().unwrap_or_else(PoisonError::into_inner).left += 1;
            of_seed.push((at, variant, seed));
        }
        of_seed.sort_by_key(|&(at, ..)| at);
        jobs.append(&mut of_seed);
    }
    let job = |i: usize| {
        let (at, variant, seed) = jobs[i];
        let slot = &slots[at];
        let config = with_seed(&study.variants[variant].config, seed);
        let judged = if stop.load(Ordering::SeqCst) {
            Ok(None)
        } else {
            slot.ready(study, variant).and_then(|ready| guarded(|| judge(&ready, config, stop)))
        };
        slot.leave();
        on_record(variant, seed, judged)
    };
    // Their panics are on record by then.
    let mut tell_ended = |_, trial: &work::Outcome<Option<Trial>>| {
        trial.iter().flatten().for_each(&mut *tell);
    };
    let ended = work::share_out(jobs.len(), threads, job, &mut tell_ended)?;
    let mut trials: Vec<Trial> = ended.into_iter().flatten().flatten().collect();
    trials.sort_by_key(|t| (t.variant, t.seed));
    Ok(trials)
}

/// The trial as it is kept; none if it was stopped.
fn on_record(
    variant: usize,
    seed: u64,
    judged: std::result::Result<Option<Judged>, String>,
) -> Option<Trial> {
    let trial = match judged {
        Ok(judged) => {
            let Judged { diverged, metric, epochs, seconds, reason, .. } = judged?;
            let state = if diverged { State::Diverged } else { State::Done };
            Trial { variant, seed, state, metric: Some(metric), epochs, seconds, reason }
        }
        Err(reason) => {
            Trial { variant, seed, state: State::Failed, metric: None, epochs: 0, seconds: 0.0, reason }
        }
    };
    Some(trial)
}

/// Trains a variant and measures it on the validation rows; none if it was stopped.
fn judge(ready: &Ready, config: Config, stop: &AtomicBool) -> Result<Option<Judged>> {
    let mut stopped = false;
    let mut listener = |event: &Event| {
        if stop.load(Ordering::SeqCst) && !matches!(event, Event::Finished { .. }) {
            stopped = true;
            return Answer::Stop("interrupted".into());
        }
        Answer::GoOn
    };
    let judged = validated(ready, config, &mut listener, None);
    // Before the error that no epoch was trained, which is none of the trial's own.
    if stopped { Ok(None) } else { judged.map(Some) }
}

/// Trains these settings, telling `listener` and keeping checkpoints if there is a place for them, and measures them on
/// the validation rows.
pub(crate) fn validated(
    ready: &Ready,
    mut config: Config,
    listener: &mut Listener,
    saving: Option<Saving>,
) -> Result<Judged> {
    // Many trials go astray, and nobody asks what each of them should have been given instead.
    config.train.suggest = false;
    let plan = ready.plan.with_learner(config)?;
    let mut diverged = false;
    let mut hear = |event: &Event| {
        diverged |= matches!(event, Event::Diverged { .. });
        Answer::GoOn
    };
    let mut both = Callbacks(vec![listener, &mut hear]);
    let untested = match &ready.rows {
        Prepared::F32(rows) => train(&plan, rows, &mut both, saving),
        Prepared::F64(rows) => train(&plan, rows, &mut both, saving),
    };
    let Untested { model, best_epoch, history, reason, seconds } = untested?;
    let truth = truth_of(&plan.labels.target, &plan.split.val);
    let name = primary(plan.target.task);
    let measured = metrics(&model.predict_prepared(&ready.val), truth.view());
    let metric = measured.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let Some(metric) = metric.filter(|m| m.is_finite()) else {
        let why = format!("the validation {name} is not a finite number; {reason}");
        return Err(Error::training(why, ""));
    };
    Ok(Judged { diverged, metric, best_epoch, epochs: history.len(), seconds, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_and_an_error_are_put_on_record() {
        let panicked = guarded(|| -> Result<Option<Judged>> { panic!("index {} of 3", 7) });
        let trial = on_record(2, 5, panicked).unwrap();
        assert_eq!((trial.variant, trial.seed, trial.state), (2, 5, State::Failed));
        assert_eq!((trial.metric, trial.reason.as_str()), (None, "the trial panicked: index 7 of 3"));
        let failed = guarded(|| -> Result<Option<Judged>> { Err(Error::training("what", "remedy")) });
        assert_eq!(on_record(0, 0, failed).unwrap().reason, "what; try: remedy");
        assert_eq!(on_record(0, 0, Ok(None)), None, "what was stopped is no trial");
    }
}
