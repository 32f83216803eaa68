//! Runs the trials of a study, several at a time, each on one thread.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::beside::{Ahead, Beside};
use super::combinations::{Settings, Usual, all_settings, meant, settings};
use super::prune::Pruner;
use super::record::{Outcome, State, Trial};
use super::sample::{Grid, quasi_random, random};
use super::study::{Claim, Next, Over, Store, looked_at};
use super::tpe::{Observation, suggest};
use super::untuned::{Again, Left, UntunedOutcome};
use crate::ablate::{Ready, guarded, same_data};
use crate::config::{Config, Domain, Space};
use crate::data::{PipelineOptions, RawTable};
use crate::error::{Error, Result};
use crate::run::Plan;
use crate::work::draw_on;

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

/// Settings that were tried before are passed over so many times in a row before those that are left are looked for.
const REPEATS: u64 = 100;
/// And at most so many times, where there are too many settings to look at each.
const MOST_REPEATS: u64 = 10_000;
/// Of so many combinations at most those that are left are looked for one by one.
const COUNTABLE: u64 = 10_000;
/// How long a worker waits until it says so.
const TELL_WAITING: Duration = Duration::from_secs(1);
/// How long a worker that waits for others goes without looking.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is to be tuned, and how.
#[derive(Debug)]
pub struct Tuning {
    /// What is searched.
    pub space: Space,
    /// The settings that are not.
    pub base: Config,
    /// How many [`combinations`](super::combinations()) the space has.
    pub combinations: Option<u64>,
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
    /// How far a trial is, told a few times a second.
    Progress {
        /// Its number.
        trial: u64,
        /// Epochs done, and the part of the one under way; 0 where it begins, and more where it goes on.
        epochs: f64,
        /// The most epochs there can be.
        of: usize,
        /// After an epoch, the least validation rmse so far, in the target's own unit, or validation log loss of classes.
        metric: Option<f64>,
    },
    /// A trial has ended.
    Ended(Trial, Outcome),
    /// These have ended in other processes, since that was last told.
    Others(Vec<Trial>),
    /// The share that is done of the untuned settings' training, told a few times a second.
    Untuned(f64),
    /// It has ended, now or before.
    UntunedEnded(UntunedOutcome),
    /// How far a training is on training and validation rows: that of a trial, or of the untuned settings.
    Last {
        /// None for the untuned settings.
        trial: Option<u64>,
        /// The share that is done, told a few times a second.
        share: f64,
    },
    /// A worker has waited for a second until one of so many trials under way, here or in other processes, ends.
    Waiting(usize),
}

/// What a worker is given to do.
enum Job {
    /// Both trainings of the untuned settings, or the second, where the first is on record.
    Untuned(Left),
    Trial(Trial),
    /// The last training of this trial, the best so far.
    Ahead(Trial),
    /// To tell that so many trials under way are waited for.
    Wait(usize),
}

/// What all workers share.
pub(super) struct Shared<'a> {
    pub(super) tuning: &'a Tuning,
    grid: Option<Grid>,
    /// Whether the settings that are left of the space can be looked for one by one.
    countable: bool,
    pub(super) store: Mutex<Store>,
    /// Told where a trial has ended.
    ended: Condvar,
    tried: Mutex<Tried>,
    ready: Mutex<Vec<Arc<Slot>>>,
    /// Of trials that have ended, what a pruner asks of them.
    pub(super) curves: Mutex<HashMap<u64, Arc<[f64]>>>,
    pub(super) stop: &'a AtomicBool,
    /// Whether somebody has asked whether the untuned settings are to be trained.
    began: AtomicBool,
    /// Trials that have ended before this process began, in it, or in others as it has heard.
    heard: Mutex<Heard>,
    /// Those of others that are to be told.
    news: Mutex<Vec<Trial>>,
    /// The last ones that are claimed and not begun, with the seconds that they may take, the longest last.
    pub(super) last: Mutex<Vec<(f64, Trial)>>,
    /// The most trials there can be.
    pub(super) n_most: u64,
    pub(super) ahead: Mutex<Ahead>,
    /// Their second training.
    pub(super) again: Mutex<Option<std::result::Result<Again, String>>>,
    pub(super) deadline: Option<Instant>,
    /// Why the first worker ended, or what went wrong in one.
    over: Mutex<Option<Result<Over>>>,
}

/// The settings of the trials so far, as [`meant`] has them.
#[derive(Default)]
struct Tried {
    settings: HashSet<Settings>,
    /// How many trials they are of.
    n_trials: usize,
    /// The combinations of a grid before this one have been tried.
    passed: u64,
    /// See [`all_settings`]; none before somebody asked.
    all: Option<Vec<Settings>>,
    /// See [`meant`].
    usual: Usual,
}

/// Numbers of trials.
struct Heard {
    /// All before this one.
    before: u64,
    also: HashSet<u64>,
}

/// Prepared rows, made by the first trial that asks for them.
struct Slot {
    config: Config,
    ready: Mutex<Option<Arc<Ready>>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tuning {
    /// How many trials before its own one does not look at, being run beside them or soon after.
    ///
    /// So its settings follow from the seed and the number of jobs, whichever trial ends first.
    pub(super) fn lag(&self) -> u64 {
        2 * self.jobs as u64 - 1
    }

    /// Whether a trial depends on what others came to.
    pub(super) fn looks_back(&self) -> bool {
        self.sampler == Sampler::Tpe || self.pruner != Pruner::None
    }

    /// The settings of a trial: the base with these laid over it.
    pub fn config(&self, settings: &[(String, String)]) -> Result<Config> {
        let sets: Vec<String> = settings.iter().map(|(key, literal)| format!("{key}={literal}")).collect();
        self.base.with(&sets)
    }

    /// Refuses ranges of single columns of which a value fits no column of its kind, which would fail in every trial; `plan`
    /// is that of the base.
    pub fn check_columns(&self, plan: &Plan) -> Result<()> {
        for parameter in &self.space.parameters {
            let Some((column, setting)) =
                parameter.key.strip_prefix("data.columns.").and_then(|rest| rest.rsplit_once('.'))
            else {
                continue;
            };
            // What the column is taken as may change with the trial.
            let decided = |what: &str| format!("data.columns.{column}.{what}");
            let searched = |what: &str| self.space.parameters.iter().any(|p| p.key == decided(what));
            if !["scale", "encode", "steps"].contains(&setting)
                || ["kind", "drop"].iter().any(|w| searched(w))
            {
                continue;
            }
            let Domain::Choices(values) = &parameter.domain else { continue };
            for value in values {
                let config = self.base.with(&[format!("{}={value}", parameter.key)])?;
                PipelineOptions::of(&config).check(&plan.table).map_err(|error| match error {
                    Error::Setting(p) => {
                        Error::setting(format!("choice {value} of {}: {}", parameter.key, p.what), p.remedy)
                    }
                    other => other,
                })?;
            }
        }
        Ok(())
    }

    /// Runs trials until there are enough, adding to those of `store`; `tell` hears what happens, and `stop` ends it at
    /// the next step of training.
    ///
    /// The settings of the trials of a grid, at random or evenly spread follow from the seed alone; those that are
    /// learned, and what is given up, from the seed and the number of jobs. Returns the study, why it ended, and the last
    /// trainings that are done.
    ///
    /// Where there are several workers, one begins with the untuned settings, and one that waits for the last trials trains
    /// the best so far: after the search these would keep one core, and the others would wait.
    pub fn run(
        &self,
        store: Store,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&Told),
    ) -> Result<(Store, Over, Beside)> {
        let grid = match self.sampler {
            Sampler::Grid => Some(Grid::new(&self.space, &self.base, self.large_grid)?),
            _ => None,
        };
        let mut store = store;
        store.drop_unbegun()?;
        store.set_lag(if self.looks_back() { self.lag() } else { 0 });
        let over = store.trials()?.into_iter().filter(|trial| trial.state.is_over());
        let also = over.map(|trial| trial.number).collect();
        let n = self.combinations;
        let shared = Shared {
            tuning: self,
            grid,
            countable: n.is_some_and(|n| n <= COUNTABLE),
            store: Mutex::new(store),
            ended: Condvar::new(),
            tried: Mutex::default(),
            ready: Mutex::default(),
            curves: Mutex::default(),
            stop,
            // A limited time is the trials' own, and so is a single worker, as nothing but trials goes on after a kill: then
            // the untuned settings are trained after them.
            began: AtomicBool::new(self.max_seconds.is_some() || self.jobs < 2),
            again: Mutex::default(),
            heard: Mutex::new(Heard { before: 0, also }),
            news: Mutex::default(),
            last: Mutex::default(),
            n_most: self.trials.min(n.unwrap_or(u64::MAX)),
            ahead: Mutex::default(),
            // A time that no clock tells is none.
            deadline: self
                .max_seconds
                .and_then(|s| Instant::now().checked_add(Duration::try_from_secs_f64(s).ok()?)),
            over: Mutex::new(None),
        };
        if let Some(known) = lock(&shared.store).untuned(self)? {
            tell(&Told::UntunedEnded(known));
        }
        let work = |job: Job, say: &dyn Fn(Told)| {
            let news = std::mem::take(&mut *lock(&shared.news));
            if !news.is_empty() {
                say(Told::Others(news));
            }
            match job {
                Job::Trial(trial) => shared.perform(trial, say),
                Job::Untuned(left) => shared.untuned(left, say),
                Job::Ahead(trial) => shared.train_ahead(trial, say),
                Job::Wait(running) => say(Told::Waiting(running)),
            }
        };
        draw_on(self.jobs.max(1), 1, || shared.draw(), work, &mut |told| tell(&told))?;
        shared.give_back_left(&mut lock(&shared.store))?;
        let news = std::mem::take(&mut *lock(&shared.news));
        if !news.is_empty() {
            tell(&Told::Others(news));
        }
        let over = shared.over.into_inner().unwrap_or_else(PoisonError::into_inner);
        let why = over.unwrap_or(Ok(Over::Interrupted))?;
        let store = shared.store.into_inner().unwrap_or_else(PoisonError::into_inner);
        let untuned = store.untuned(self)?;
        let again = shared.again.into_inner().unwrap_or_else(PoisonError::into_inner);
        let best = shared.ahead.into_inner().unwrap_or_else(PoisonError::into_inner).into_best();
        Ok((store, why, Beside { untuned, again, best }))
    }
}

impl Shared<'_> {
    pub(super) fn is_over(&self) -> Option<Over> {
        if self.stop.load(Ordering::SeqCst) {
            return Some(Over::Interrupted);
        }
        self.deadline.filter(|deadline| Instant::now() >= *deadline).map(|_| Over::TimeUp)
    }

    /// What is to be done next; none where there is no more, or where something went wrong.
    fn draw(&self) -> Option<Job> {
        let first = !self.began.swap(true, Ordering::SeqCst);
        match first.then(|| lock(&self.store).claim_untuned(self.tuning)) {
            Some(Ok(Some(left))) => return Some(Job::Untuned(left)),
            Some(Err(error)) => {
                self.fail(error);
                return None;
            }
            Some(Ok(None)) | None => {}
        }
        match self.claimed() {
            Ok(Ok(job)) => Some(job),
            Ok(Err(why)) => {
                lock(&self.over).get_or_insert(Ok(why));
                None
            }
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    pub(super) fn fail(&self, error: Error) {
        let mut over = lock(&self.over);
        if over.as_ref().is_none_or(Result::is_ok) {
            *over = Some(Err(error));
        }
    }

    /// A trial that is claimed, or that one is waited for, or why there is none.
    fn claimed(&self) -> Result<std::result::Result<Job, Over>> {
        let begin = Instant::now();
        loop {
            if let Some(why) = self.is_over() {
                return Ok(Err(why));
            }
            if lock(&self.over).as_ref().is_some_and(Result::is_err) {
                // Of its error more is said.
                return Ok(Err(Over::Interrupted));
            }
            let mut store = lock(&self.store);
            self.hear_of_others(&store);
            if let Some(seconds) = self.seconds_left(&mut store)? {
                if let Some(best) = self.to_train_ahead(&store, seconds) {
                    return Ok(Ok(Job::Ahead(best)));
                }
                if let Some(trial) = self.longest_left(&store)? {
                    return Ok(Ok(Job::Trial(trial)));
                }
            }
            match store.claim(&mut |known| self.next(known))? {
                Claim::Over(why) => return Ok(Err(why)),
                Claim::Last if let Some(best) = self.to_train_ahead(&store, 0.0) => {
                    return Ok(Ok(Job::Ahead(best)));
                }
                // Other processes do not tell: look again from time to time.
                Claim::Wait | Claim::Last if begin.elapsed() < TELL_WAITING => {
                    drop(self.ended.wait_timeout(store, LOOK_AGAIN));
                }
                Claim::Wait | Claim::Last => return Ok(Ok(Job::Wait(store.n_running()))),
                Claim::Trial(trial) => return Ok(Ok(Job::Trial(self.longest_of_last(&mut store, trial)?))),
            }
        }
    }

    /// Takes note of the trials that have ended in other processes.
    fn hear_of_others(&self, store: &Store) {
        let (mut heard, known) = (lock(&self.heard), store.known());
        let Heard { before, also } = &mut *heard;
        let over = known.iter().skip(*before as usize).filter(|trial| trial.state.is_over());
        let new: Vec<Trial> = over.filter(|trial| also.insert(trial.number)).cloned().collect();
        while known.get(*before as usize).is_some_and(|trial| trial.state.is_over()) && also.remove(before) {
            *before += 1;
        }
        lock(&self.news).extend(new);
    }

    /// Trains a trial that is claimed, and puts it on record.
    fn perform(&self, trial: Trial, say: &dyn Fn(Told)) {
        lock(&self.heard).also.insert(trial.number);
        say(Told::Began(trial.clone()));
        let put = self.trial(&trial, say).and_then(|outcome| {
            let mut store = lock(&self.store);
            match &outcome {
                Some(outcome) => store.tell_end(trial.number, outcome)?,
                None => store.give_back(trial.number)?,
            }
            Ok(outcome)
        });
        if let Ok(Some(outcome)) = &put {
            self.ended_with(trial.number, outcome);
        }
        self.ended.notify_all();
        match put {
            Ok(Some(outcome)) => say(Told::Ended(trial, outcome)),
            Ok(None) => {}
            Err(error) => self.fail(error),
        }
    }

    pub(super) fn next(&self, known: &[Trial]) -> Result<Next> {
        let tuning = self.tuning;
        let number = known.len() as u64;
        // The last to end chooses the best: not before the trials of other processes have ended too.
        let over = |why: Over| {
            let under_way = known.iter().any(|trial| trial.state == State::Running);
            Ok(if under_way { Next::Last } else { Next::Over(why) })
        };
        if number >= tuning.trials {
            return over(Over::Enough(tuning.trials));
        }
        let seen = looked_at(number, tuning.lag());
        let past = &known[..seen as usize];
        if tuning.looks_back() && past.iter().any(|trial| trial.state == State::Running) {
            return Ok(Next::Wait);
        }
        let mut tried = lock(&self.tried);
        let Tried { settings: before, n_trials, passed, all, usual } = &mut *tried;
        before.extend(known[*n_trials..].iter().map(|trial| meant(&tuning.base, &trial.settings, usual)));
        *n_trials = known.len();
        let mut done = |all: &Vec<Settings>| {
            !all.is_empty() && all.iter().all(|s| before.contains(&meant(&tuning.base, s, usual)))
        };
        if let Some(all) = all.as_ref()
            && done(all)
        {
            // Nothing but others is waited for.
            return over(Over::Exhausted(all.len() as u64));
        }
        let first = match &self.grid {
            // A wider space is gone through anew, and what was tried is passed over.
            Some(_) => *passed,
            None => known.last().map_or(0, |trial| trial.candidate + 1),
        };
        let seed = tuning.base.seed;
        let end = match &self.grid {
            Some(grid) => grid.len() as u64,
            None => first + if self.countable { REPEATS } else { MOST_REPEATS },
        };
        for candidate in first..end {
            *passed = candidate;
            let values = match (&self.grid, tuning.sampler) {
                (Some(grid), _) => grid.get(candidate),
                (None, Sampler::QuasiRandom) => quasi_random(&tuning.space, seed, candidate),
                (None, Sampler::Tpe) => {
                    suggest(&tuning.space, &tuning.base, &self.observed(past), seed, candidate)
                }
                (None, _) => random(&tuning.space, seed, candidate),
            };
            let settings = settings(&tuning.space, &tuning.base, &values)?;
            if !before.contains(&meant(&tuning.base, &settings, usual)) {
                return Ok(Next::Try(candidate, settings));
            }
        }
        if self.grid.is_none() && !self.countable {
            return over(Over::Repeats(MOST_REPEATS));
        }
        // Chance may miss the last settings of a space for long, and what learns for ever.
        if all.is_none() {
            *all = Some(if self.countable { all_settings(&tuning.space, &tuning.base)? } else { Vec::new() });
        }
        let all = all.as_deref().unwrap_or_default();
        if let Some(settings) =
            all.iter().find(|settings| !before.contains(&meant(&tuning.base, settings, usual)))
        {
            return Ok(Next::Try(end, settings.clone()));
        }
        over(Over::Exhausted(if all.is_empty() { end } else { all.len() as u64 }))
    }

    /// The trials as the sampler that learns sees them.
    fn observed(&self, past: &[Trial]) -> Vec<Observation> {
        let parameters = &self.tuning.space.parameters;
        let place = |trial: &Trial, key: &str, domain: &crate::config::Domain| {
            trial.settings.iter().find(|(k, _)| k == key).and_then(|(_, literal)| domain.place(literal))
        };
        let observe = |trial: &Trial| Observation {
            places: parameters.iter().map(|p| place(trial, &p.key, &p.domain)).collect(),
            value: trial.metric.unwrap_or(f64::INFINITY),
        };
        past.iter().map(observe).collect()
    }

    /// The prepared rows that these settings ask for; the last few are kept.
    pub(super) fn ready(&self, config: &Config) -> std::result::Result<Arc<Ready>, String> {
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
        let mut ready = lock(&slot.ready);
        if let Some(ready) = &*ready {
            return Ok(Arc::clone(ready));
        }
        // What goes wrong may be this trial's own: its network, its loss.
        let made = guarded(|| Ready::new(config.clone(), Arc::clone(&self.tuning.raw)).map(Arc::new))?;
        Ok(Arc::clone(ready.insert(made)))
    }
}
