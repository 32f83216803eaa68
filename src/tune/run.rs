//! Runs the trials of a study, several at a time, each on one thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::prune::Pruner;
use super::record::{Outcome, State, Trial};
use super::sample::{Grid, quasi_random, random};
use super::study::{Claim, Next, Store};
use super::tpe::{Observation, suggest};
use crate::ablate::{Judged, Ready, guarded, same_data, validated};
use crate::config::{Config, Space};
use crate::data::RawTable;
use crate::error::{Error, Result};
use crate::train::events::{Answer, EpochRecord, Event};

/// How the next settings are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampler {
    /// All combinations.
    Grid,
    /// Each setting by itself, at random.
    Random,
    /// Evenly spread.
    QuasiRandom,
    /// Learned from the trials before.
    Tpe,
}

impl Sampler {
    /// The names, as they stand in settings.
    pub const NAMES: [&str; 4] = ["grid", "random", "quasi_random", "tpe"];

    /// The sampler of this name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Grid, Self::Random, Self::QuasiRandom, Self::Tpe];
        all.into_iter().zip(Self::NAMES).find(|(_, known)| *known == name).map(|(sampler, _)| sampler)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Settings that were tried before are passed over at most so many times in a row.
const MOST_REPEATS: u64 = 10_000;
/// How long figures of epochs wait to be written together.
const GATHER: Duration = Duration::from_millis(100);

/// What is to be tuned, and how.
#[derive(Debug)]
pub struct Tuning {
    /// What is searched.
    pub space: Space,
    /// The settings that are not.
    pub base: Config,
    /// The table.
    pub raw: Arc<RawTable>,
    /// How settings are found.
    pub sampler: Sampler,
    /// When trials are given up.
    pub pruner: Pruner,
    /// The most trials; of a grid, all by default.
    pub trials: u64,
    /// Seconds after which no further trial begins, and those under way are left to be run again.
    pub max_seconds: Option<f64>,
    /// Trials at a time.
    pub jobs: usize,
    /// Whether a grid of more than a million is meant.
    pub large_grid: bool,
}

/// What is told while trials run.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A trial begins.
    Began(Trial),
    /// An epoch of a trial: its number, and the record.
    Epoch(u64, EpochRecord),
    /// A trial has ended.
    Ended(Trial, Outcome),
}

/// What all workers share.
struct Shared<'a> {
    tuning: &'a Tuning,
    grid: Option<Grid>,
    store: Mutex<Store>,
    /// Told where a trial has ended.
    ended: Condvar,
    ready: Mutex<Vec<Arc<Slot>>>,
    stop: &'a AtomicBool,
    deadline: Option<Instant>,
}

/// Prepared rows, made by the first trial that asks for them.
struct Slot {
    config: Config,
    ready: Mutex<Option<std::result::Result<Arc<Ready>, String>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tuning {
    /// How many trials before its own one does not look at, being run beside them or soon after.
    ///
    /// So its settings follow from the seed and the number of jobs, whichever trial ends first.
    fn lag(&self) -> u64 {
        2 * self.jobs as u64 - 1
    }

    /// Whether a trial depends on what others came to.
    fn looks_back(&self) -> bool {
        self.sampler == Sampler::Tpe || self.pruner != Pruner::None
    }

    /// The settings of a trial: the base with these laid over it.
    pub fn config(&self, settings: &[(String, String)]) -> Result<Config> {
        let sets: Vec<String> = settings.iter().map(|(key, literal)| format!("{key}={literal}")).collect();
        self.base.with(&sets)
    }

    /// The settings that a value for every parameter comes to: those that have an effect.
    fn settings(&self, values: &[String]) -> Result<Vec<(String, String)>> {
        let active = self.space.active(values, &self.base);
        let pairs = self.space.parameters.iter().zip(values).zip(active).filter(|(_, active)| *active);
        let mut settings: Vec<(String, String)> =
            pairs.map(|((parameter, value), _)| (parameter.key.clone(), value.clone())).collect();
        // What has no effect beside the others may be what gave one to another.
        loop {
            let before = settings.len();
            let mut effective = self.base.effective(&settings)?.into_iter();
            settings.retain(|_| effective.next() != Some(false));
            if settings.len() == before {
                return Ok(settings);
            }
        }
    }

    /// Runs trials until there are enough, adding to those of `store`; `tell` hears what happens, and `stop` ends it at
    /// the next step of training.
    ///
    /// The settings of the trials of a grid, at random or evenly spread follow from the seed alone; those that are
    /// learned, and what is given up, from the seed and the number of jobs. Returns the study and why it ended.
    pub fn run(
        &self,
        store: Store,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&Told),
    ) -> Result<(Store, String)> {
        let grid = match self.sampler {
            Sampler::Grid => Some(Grid::new(&self.space, &self.base, self.large_grid)?),
            _ => None,
        };
        let shared = Shared {
            tuning: self,
            grid,
            store: Mutex::new(store),
            ended: Condvar::new(),
            ready: Mutex::new(Vec::new()),
            stop,
            deadline: self.max_seconds.map(|s| Instant::now() + Duration::from_secs_f64(s)),
        };
        let jobs = self.jobs.max(1);
        // What a trial would share out further stays on its worker.
        let pools = (0..jobs).map(|_| rayon::ThreadPoolBuilder::new().num_threads(1).build());
        let pools = pools
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| Error::output(format!("{jobs} threads cannot be started: {e}"), "--jobs 1"))?;
        let mut over = Ok(String::new());
        std::thread::scope(|scope| {
            let (sender, told) = mpsc::channel();
            let workers: Vec<_> = pools
                .iter()
                .map(|pool| {
                    let (sender, shared) = (sender.clone(), &shared);
                    scope.spawn(move || pool.install(|| shared.work(&sender)))
                })
                .collect();
            drop(sender);
            told.iter().for_each(|told| tell(&told));
            for worker in workers {
                let ended = worker.join().unwrap_or_else(|_| Err(Error::training("a worker panicked", "")));
                match ended {
                    Ok(why) if over.as_ref().is_ok_and(String::is_empty) => over = Ok(why),
                    Ok(_) => {}
                    Err(error) => over = Err(error),
                }
            }
        });
        Ok((shared.store.into_inner().unwrap_or_else(PoisonError::into_inner), over?))
    }
}

impl Shared<'_> {
    fn is_over(&self) -> Option<&'static str> {
        if self.stop.load(Ordering::SeqCst) {
            return Some("interrupted");
        }
        self.deadline.filter(|deadline| Instant::now() >= *deadline).map(|_| "the time is up")
    }

    /// Runs one trial after another; why it stopped.
    fn work(&self, sender: &mpsc::Sender<Told>) -> Result<String> {
        loop {
            if let Some(why) = self.is_over() {
                return Ok(why.to_owned());
            }
            let mut store = lock(&self.store);
            match store.claim(&mut |known| self.next(known))? {
                Claim::Over(why) => return Ok(why),
                Claim::Wait => {
                    // Other processes do not tell: look again from time to time.
                    drop(self.ended.wait_timeout(store, Duration::from_millis(20)));
                }
                Claim::Trial(trial) => {
                    drop(store);
                    let _ = sender.send(Told::Began(trial.clone()));
                    let outcome = self.trial(&trial, sender)?;
                    let mut store = lock(&self.store);
                    match outcome {
                        Some(outcome) => {
                            store.tell_end(trial.number, &outcome)?;
                            let _ = sender.send(Told::Ended(trial, outcome));
                        }
                        None => store.give_back(trial.number)?,
                    }
                    drop(store);
                    self.ended.notify_all();
                }
            }
        }
    }

    fn next(&self, known: &[Trial]) -> Result<Next> {
        let tuning = self.tuning;
        let number = known.len() as u64;
        if number >= tuning.trials {
            return Ok(Next::Over(format!("all {} trials are done", tuning.trials)));
        }
        let seen = number.saturating_sub(tuning.lag() - 1);
        let past: Vec<&Trial> = known.iter().filter(|trial| trial.number < seen).collect();
        if tuning.looks_back() && past.iter().any(|trial| trial.state == State::Running) {
            return Ok(Next::Wait);
        }
        let first = match &self.grid {
            // A wider space is gone through anew, and what was tried is passed over.
            Some(_) => 0,
            None => known.last().map_or(0, |trial| trial.candidate + 1),
        };
        let tried: std::collections::HashSet<&Vec<(String, String)>> =
            known.iter().map(|trial| &trial.settings).collect();
        let end = self.grid.as_ref().map_or(first + MOST_REPEATS, |grid| grid.len() as u64);
        let seed = tuning.base.seed;
        for candidate in first..end {
            let values = match (&self.grid, tuning.sampler) {
                (Some(grid), _) => grid.get(candidate),
                (None, Sampler::QuasiRandom) => quasi_random(&tuning.space, seed, candidate),
                (None, Sampler::Tpe) => {
                    suggest(&tuning.space, &tuning.base, &self.observed(&past), seed, candidate)
                }
                (None, _) => random(&tuning.space, seed, candidate),
            };
            let settings = tuning.settings(&values)?;
            if !tried.contains(&settings) {
                return Ok(Next::Try(candidate, settings));
            }
        }
        Ok(Next::Over(format!("every combination has been tried ({number})")))
    }

    /// The trials as the sampler that learns sees them.
    fn observed(&self, past: &[&Trial]) -> Vec<Observation> {
        let parameters = &self.tuning.space.parameters;
        let place = |trial: &Trial, key: &str, domain: &crate::config::Domain| {
            trial.settings.iter().find(|(k, _)| k == key).and_then(|(_, literal)| domain.place(literal))
        };
        let observe = |trial: &&Trial| Observation {
            places: parameters.iter().map(|p| place(trial, &p.key, &p.domain)).collect(),
            value: trial.metric.unwrap_or(f64::INFINITY),
        };
        past.iter().map(observe).collect()
    }

    /// Trains one trial; none if it was stopped and is to be run again.
    fn trial(&self, trial: &Trial, sender: &mpsc::Sender<Told>) -> Result<Option<Outcome>> {
        let seen: Vec<u64> = (0..trial.number.saturating_sub(self.tuning.lag() - 1)).collect();
        let mut stopped = false;
        let mut pruned = None;
        let mut waiting: Vec<(u64, usize, [f64; 3])> = Vec::new();
        let mut written = Instant::now();
        let mut failure = None;
        let mut best = f64::INFINITY;
        let mut hear = |event: &Event| {
            if matches!(event, Event::Finished { .. }) {
                return Answer::GoOn;
            }
            if let Some(why) = self.is_over() {
                stopped = true;
                return Answer::Stop(why.into());
            }
            let Event::Epoch(record) = event else { return Answer::GoOn };
            let metric = watched(record);
            if metric < best {
                best = metric;
            }
            waiting.push((trial.number, record.epoch, [metric, record.val_loss, record.train_loss]));
            let looks = self.tuning.pruner.looks_at(record.epoch);
            if looks || written.elapsed() > GATHER {
                let mut store = lock(&self.store);
                if let Err(error) = store.tell_epochs(&waiting) {
                    failure = Some(error);
                    return Answer::Stop("the study cannot be written".into());
                }
                waiting.clear();
                written = Instant::now();
                let _ = sender.send(Told::Epoch(trial.number, record.clone()));
                if looks {
                    match store.best_until(record.epoch, &seen) {
                        Ok(mut others) => {
                            if let Some(why) = self.tuning.pruner.gives_up(record.epoch, best, &mut others) {
                                pruned = Some(why.clone());
                                return Answer::Stop(why);
                            }
                        }
                        Err(error) => {
                            failure = Some(error);
                            return Answer::Stop("the study cannot be read".into());
                        }
                    }
                }
            }
            Answer::GoOn
        };
        let judged = self
            .tuning
            .config(&trial.settings)
            .map_err(|error| error.to_string().split('\n').map(str::trim).collect::<Vec<_>>().join("; "))
            .and_then(|config| {
                let ready = self.ready(&config)?;
                guarded(|| validated(&ready, config, &mut hear))
            });
        if let Some(error) = failure {
            return Err(error);
        }
        if stopped {
            return Ok(None);
        }
        lock(&self.store).tell_epochs(&waiting)?;
        Ok(Some(match judged {
            Ok(Judged { diverged, metric, best_epoch, seconds, reason, .. }) => {
                let state = match (diverged, &pruned) {
                    (true, _) => State::Diverged,
                    (false, Some(_)) => State::Pruned,
                    (false, None) => State::Done,
                };
                Outcome { state, metric: Some(metric), best_epoch: Some(best_epoch), seconds, reason }
            }
            Err(reason) => {
                Outcome { state: State::Failed, metric: None, best_epoch: None, seconds: 0.0, reason }
            }
        }))
    }

    /// The prepared rows that these settings ask for; the last few are kept.
    fn ready(&self, config: &Config) -> std::result::Result<Arc<Ready>, String> {
        let slot = {
            let mut slots = lock(&self.ready);
            let at = slots.iter().position(|slot| same_data(&slot.config, config));
            let slot = at.map_or_else(
                || Arc::new(Slot { config: config.clone(), ready: Mutex::new(None) }),
                |at| slots.remove(at),
            );
            slots.push(Arc::clone(&slot));
            if slots.len() > self.tuning.jobs + 2 {
                slots.remove(0);
            }
            slot
        };
        let make = || guarded(|| Ready::new(slot.config.clone(), Arc::clone(&self.tuning.raw)).map(Arc::new));
        lock(&slot.ready).get_or_insert_with(make).clone()
    }
}

/// The figure of an epoch that trials are compared by while they run: the validation rmse in the target's own unit, or
/// the validation loss of classes.
fn watched(record: &EpochRecord) -> f64 {
    let rmse = record.metrics.iter().find(|(name, _)| name == "val_rmse");
    rmse.map_or(record.val_loss, |(_, value)| *value)
}
