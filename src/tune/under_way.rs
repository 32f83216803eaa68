//! A trial that is being trained: what it comes to is put on record, and it is given up where the pruner or the end of the
//! study say so.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::{Outcome, State, Trial};
use super::run::{Shared, Told, lock};
use super::state_writer::StateWriter;
use super::study::{EpochFigures, Over, looked_at};
use crate::ablate::{Judged, guarded, validated};
use crate::error::{Error, Result};
use crate::model::Params;
use crate::train::LOG_LOSS;
use crate::train::checkpoint::{Checkpoint, Saving};
use crate::train::events::{Answer, Callback, EpochRecord, Event};

/// How long figures of epochs wait to be written together.
const GATHER: Duration = Duration::from_millis(100);
/// How long a trial goes on before its state is kept again.
const KEEP_AGAIN: Duration = Duration::from_millis(250);

impl Shared<'_> {
    /// Trains one trial, from its checkpoint on if it has one; none if it was stopped and is to be gone on with.
    pub(super) fn trial(&self, trial: &Trial, say: &dyn Fn(Told)) -> Result<Option<Outcome>> {
        let from = lock(&self.store).checkpoint(trial.number)?;
        // One that cannot be read is none: the trial begins anew.
        let from = from.and_then(|bytes| Checkpoint::read(&bytes).ok());
        let waiting = RefCell::new(Vec::new());
        let mut under_way = UnderWay {
            shared: self,
            trial: trial.number,
            say,
            waiting: &waiting,
            written: Instant::now(),
            course: Course { best: None, cuts: Vec::new(), pruned: None },
            length: [0; 2],
            stopped: false,
            broken_off: false,
            diverged: false,
            failure: None,
        };
        let mut states = StateWriter::new(lock(&self.store).path(), trial.number);
        let mut keep = |checkpoint: Checkpoint, waits| {
            if !states.takes(&checkpoint, waits)? {
                return Ok(());
            }
            // Before the state that comes after them.
            let mut waiting = waiting.borrow_mut();
            lock(&self.store).tell_epochs(&waiting)?;
            waiting.clear();
            states.write(checkpoint, waits)
        };
        let saving = Saving { from, every: KEEP_AGAIN, at_end: false, about: Value::Null, keep: &mut keep };
        let begin = Instant::now();
        let judged = self
            .tuning
            .config(&trial.settings)
            .map_err(|error| error.to_string().split('\n').map(str::trim).collect::<Vec<_>>().join("; "))
            .and_then(|config| {
                let ready = self.ready(&config)?;
                guarded(|| validated(&ready, config, &mut under_way, Some(saving)))
            });
        // Nothing of it comes after the trial's end. What could not be kept is trained again, and no trial ends for it.
        let _ = states.finish();
        let UnderWay { course: Course { cuts, pruned, .. }, stopped, diverged: lost, failure, .. } =
            under_way;
        if let Some(error) = failure {
            return Err(error);
        }
        if stopped {
            return Ok(None);
        }
        lock(&self.store).tell_epochs(&waiting.borrow())?;
        let here = begin.elapsed().as_secs_f64();
        Ok(Some(match judged {
            Ok(Judged { diverged, metric, best_epoch, reason, seconds, .. }) => {
                let state = match (diverged, &pruned) {
                    (true, _) => State::Diverged,
                    (false, Some(_)) => State::Pruned,
                    (false, None) => State::Done,
                };
                // Of a trial that was gone on with, the training of all processes.
                let seconds = here.max(seconds);
                Outcome { state, metric: Some(metric), best_epoch: Some(best_epoch), cuts, seconds, reason }
            }
            Err(reason) => {
                // In its first epoch, so that there are no weights to judge.
                let state = if lost { State::Diverged } else { State::Failed };
                Outcome { state, metric: None, best_epoch: None, cuts, seconds: here, reason }
            }
        }))
    }

    /// The best figures up to this epoch of the trials that one of this number looks at, of those that came as far. They
    /// have ended.
    fn others(&self, number: u64, epoch: usize) -> Result<Vec<f64>> {
        let mut curves = lock(&self.curves);
        let mut others = Vec::new();
        for seen in 0..looked_at(number, self.tuning.lag()) {
            let curve = if let Some(curve) = curves.get(&seen) {
                Arc::clone(curve)
            } else {
                let curve: Arc<[f64]> = lock(&self.store).curve(seen)?.into();
                curves.insert(seen, Arc::clone(&curve));
                curve
            };
            others.extend(curve.get(epoch - 1));
        }
        Ok(others)
    }
}

/// Hears what happens in a trial: puts its epochs on record, and gives it up where the pruner or the study's end say so.
struct UnderWay<'a> {
    shared: &'a Shared<'a>,
    trial: u64,
    say: &'a dyn Fn(Told),
    /// Figures that wait to be written together.
    waiting: &'a RefCell<Vec<EpochFigures>>,
    written: Instant,
    course: Course,
    /// The most epochs there can be, and steps in each.
    length: [usize; 2],
    /// Whether it was stopped with the study.
    stopped: bool,
    /// Whether that was in the middle of an epoch.
    broken_off: bool,
    /// Whether its loss stopped being finite.
    diverged: bool,
    failure: Option<Error>,
}

/// What has come of a trial so far, which its checkpoints hold too.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Course {
    /// The best figure; none as long as there was no number.
    best: Option<f64>,
    /// Epochs after which the learning rate was cut.
    cuts: Vec<usize>,
    /// Why it was given up, if it was.
    pruned: Option<String>,
}

impl UnderWay<'_> {
    /// Tells that so many epochs are done, and so many steps of the next.
    fn tell(&self, epochs: usize, steps: usize, metric: Option<f64>) {
        let [of, n_steps] = self.length;
        let epochs = epochs as f64 + steps as f64 / n_steps.max(1) as f64;
        (self.say)(Told::Progress { trial: self.trial, epochs, of, metric });
    }

    fn take(&mut self, event: &Event) -> Answer {
        match event {
            Event::Started { epochs, steps_per_epoch, .. } => {
                self.length = [*epochs, *steps_per_epoch];
                self.tell(0, 0, None);
            }
            Event::Resumed { epoch, step, epochs, steps_per_epoch } => {
                self.length = [*epochs, *steps_per_epoch];
                self.tell(epoch - 1, *step, None);
            }
            Event::Progress { epoch, step, .. } => self.tell(epoch - 1, *step, None),
            Event::LearningRateReduced { epoch, .. } => self.course.cuts.push(*epoch),
            Event::Diverged { .. } => self.diverged = true,
            Event::Epoch(record) => match self.epoch(record) {
                Ok(None) => {}
                Ok(Some(why)) => return Answer::Stop(why),
                Err(error) => {
                    self.failure = Some(error);
                    return Answer::Stop("the study cannot be read or written".into());
                }
            },
            _ => {}
        }
        Answer::GoOn
    }

    /// Takes an epoch; returns why the trial is given up, if it is.
    fn epoch(&mut self, record: &EpochRecord) -> Result<Option<String>> {
        let metric = watched(record);
        let best = self.course.best.unwrap_or(f64::INFINITY);
        let best = if metric < best { metric } else { best };
        self.course.best = best.is_finite().then_some(best);
        self.waiting.borrow_mut().push((
            self.trial,
            record.epoch,
            [metric, record.val_loss, record.train_loss],
        ));
        if self.written.elapsed() > GATHER {
            let mut waiting = self.waiting.borrow_mut();
            let mut store = lock(&self.shared.store);
            store.tell_epochs(&waiting)?;
            waiting.clear();
            self.shared.share_left(&mut store)?;
            drop(store);
            self.written = Instant::now();
            self.tell(record.epoch, 0, Some(best));
        }
        let pruner = &self.shared.tuning.pruner;
        if pruner.looks_at(record.epoch) {
            let mut others = self.shared.others(self.trial, record.epoch)?;
            self.course.pruned = pruner.gives_up(record.epoch, best, &mut others);
        }
        Ok(self.course.pruned.clone())
    }
}

impl Callback for UnderWay<'_> {
    fn hear(&mut self, event: &Event, _weights: &dyn Fn() -> Params) -> Answer {
        if matches!(event, Event::Finished { .. }) {
            return Answer::GoOn;
        }
        let interrupt = || Answer::Interrupt(Over::Interrupted.to_string());
        // What is left of an epoch that was broken off is trained again, and whole.
        if self.broken_off {
            return interrupt();
        }
        // Taken also where the study is over by now: it is in the state that the trial goes on from.
        let answer = self.take(event);
        let heeded = matches!(
            event,
            Event::Started { .. } | Event::Resumed { .. } | Event::Progress { .. } | Event::Epoch(_)
        );
        if answer == Answer::GoOn && heeded && self.shared.is_over().is_some() {
            self.stopped = true;
            // Behind an epoch a cut of the rate may come, which is part of the state that is kept.
            self.broken_off = !matches!(event, Event::Epoch(_));
            return interrupt();
        }
        answer
    }

    fn state(&self) -> Value {
        serde_json::to_value(&self.course).unwrap_or_default()
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let unreadable =
            |e| Error::model(format!("the course of a trial cannot be read: {e}"), "a new study");
        self.course = Course::deserialize(state).map_err(unreadable)?;
        Ok(())
    }
}

/// The figure of an epoch that trials are compared by while they run, whatever their losses: the validation rmse in the
/// target's own unit, or the validation log loss of classes.
fn watched(record: &EpochRecord) -> f64 {
    let found = record.metrics.iter().find(|(name, _)| name == "val_rmse" || name == LOG_LOSS);
    found.map_or(record.val_loss, |(_, value)| *value)
}
