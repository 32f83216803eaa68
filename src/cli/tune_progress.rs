//! The table of a study at work, on standard error: trials done, the best so far, those running, and the time left.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use statera::tune::{LastStep, Outcome, Sampler, State, Told, Trial, Tuning};

use super::text;
use super::trials::short_settings;

/// Running trials that are shown.
const SHOWN: usize = 8;

/// A trial that is running.
struct Running {
    trial: Trial,
    /// Epochs done, with the part of the one under way.
    epochs: f64,
    /// The most epochs there can be; 0 as long as that is not known.
    of: usize,
    metric: Option<f64>,
    /// When this process went to work on it, and after how many epochs.
    begin: (Instant, f64),
}

impl Running {
    /// Seconds that it takes from the first epoch to the last, going on as it did; none as long as nothing is done.
    fn whole(&self) -> Option<f64> {
        let (begin, from) = self.begin;
        let done = self.epochs - from;
        (done > 0.0).then(|| begin.elapsed().as_secs_f64() / done * self.of as f64)
    }

    /// Of these, those to come.
    fn left(&self) -> Option<f64> {
        Some(self.whole()? * (1.0 - self.epochs / self.of.max(1) as f64))
    }

    /// `12/100`: the epoch that it is in.
    fn epoch(&self) -> String {
        format!("{}/{}", (self.epochs as usize + 1).min(self.of), self.of)
    }
}

/// What has been told of a study so far, and where it is shown.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    /// Trials to come; none where nobody knows.
    n_trials: Option<u64>,
    max_seconds: Option<f64>,
    /// Trials at a time.
    jobs: usize,
    /// Trials that have ended in other processes.
    others: u64,
    /// Seconds of all trials that have ended.
    seconds: f64,
    ended: BTreeMap<&'static str, u64>,
    running: BTreeMap<u64, Running>,
    best: Option<(Trial, f64)>,
    /// How the untuned settings stand, in words; nothing as long as nobody has told.
    untuned: String,
    /// The last training that was told of, in words.
    last: String,
    /// Trials under way, where a worker waits for them.
    waits_for: usize,
    begin: Instant,
    last_line: Instant,
}

impl Progress {
    pub(super) fn new(quiet: bool, tuning: &Tuning, before: &[Trial]) -> Self {
        let combinations = tuning.combinations;
        let all = match tuning.sampler {
            Sampler::Grid => combinations.map(|n| n.min(tuning.trials)),
            _ => Some(combinations.map_or(tuning.trials, |n| n.min(tuning.trials))),
        };
        let done = before.iter().filter(|trial| trial.state.is_over()).count() as u64;
        let best = before.iter().filter(|trial| trial.state == State::Done);
        let best = best.filter_map(|trial| Some((trial.clone(), trial.metric?)));
        let now = Instant::now();
        Self {
            bar: bar_unless(quiet),
            quiet,
            // What was drawn before is run to its end, though fewer be asked for now.
            n_trials: all.map(|all| all.max(before.len() as u64) - done),
            max_seconds: tuning.max_seconds,
            jobs: tuning.jobs,
            others: 0,
            seconds: 0.0,
            ended: BTreeMap::new(),
            running: BTreeMap::new(),
            best: best.min_by(|a, b| a.1.total_cmp(&b.1)),
            untuned: String::new(),
            last: String::new(),
            waits_for: 0,
            begin: now,
            last_line: now,
        }
    }

    pub(super) fn tell(&mut self, told: &Told) {
        match told {
            Told::Began(trial) => {
                let begin = (Instant::now(), 0.0);
                let running = Running { trial: trial.clone(), epochs: 0.0, of: 0, metric: None, begin };
                self.running.insert(trial.number, running);
            }
            Told::Progress { trial, epochs, of, metric } => {
                if let Some(running) = self.running.get_mut(trial) {
                    if running.of == 0 {
                        running.begin = (Instant::now(), *epochs);
                    }
                    (running.epochs, running.of) = (*epochs, *of);
                    running.metric = metric.or(running.metric);
                }
            }
            Told::Ended(trial, Outcome { state, metric, seconds, .. }) => {
                self.running.remove(&trial.number);
                self.take(trial, *state, *metric, *seconds);
            }
            Told::Others(trials) => {
                self.others += trials.len() as u64;
                trials.iter().for_each(|trial| self.take(trial, trial.state, trial.metric, trial.seconds));
            }
            Told::Untuned(share) => self.untuned = format!("untuned at {:.0} %", 100.0 * share),
            Told::UntunedEnded(Ok(untuned)) => {
                self.untuned = format!("untuned {}", text::number(untuned.val));
            }
            Told::Last { trial, share } => {
                let of = trial.map_or("the untuned settings".to_owned(), |number| format!("trial {number}"));
                self.last = format!("last training of {of} at {:.0} %", 100.0 * share);
                if *share >= 1.0 {
                    self.last.clear();
                }
            }
            Told::Waiting(running) => self.waits_for = *running,
            Told::UntunedEnded(Err(_)) => self.untuned = String::from("untuned failed"),
        }
        if !matches!(told, Told::Waiting(_)) {
            self.waits_for = 0;
        }
        if self.quiet {
            return;
        }
        let is_last =
            self.n_trials == Some(self.n_ended()) && matches!(told, Told::Ended(..) | Told::Others(_));
        if let Some(bar) = &self.bar {
            bar.set_message(text::clipped(&format!("{}\n{}", self.line(), self.table())));
            bar.tick();
        } else if self.last_line.elapsed() > Duration::from_secs(1) || is_last {
            // In a pipe: a line a second, and the last.
            self.last_line = Instant::now();
            text::note(&format!("  {}", self.line()));
        }
    }

    /// Takes a trial that has ended.
    fn take(&mut self, trial: &Trial, state: State, metric: Option<f64>, seconds: f64) {
        self.seconds += seconds;
        *self.ended.entry(state.name()).or_default() += 1;
        // Only what came to its end can be chosen.
        let metric = metric.filter(|_| state == State::Done);
        if let Some(metric) = metric.filter(|m| self.best.as_ref().is_none_or(|(_, best)| m < best)) {
            self.best = Some((trial.clone(), metric));
        }
    }

    /// How many trials have ended in this process.
    pub(super) fn n_own(&self) -> u64 {
        self.n_ended() - self.others
    }

    /// How many trials have ended in all processes.
    fn n_ended(&self) -> u64 {
        self.ended.values().sum()
    }

    /// How the study stands, in one line.
    fn line(&self) -> String {
        let (took, ended) = (self.begin.elapsed().as_secs_f64(), self.n_ended());
        let of = self.n_trials.map_or(String::new(), |n| format!("/{n}"));
        let mut parts = vec![format!("{ended}{of} trials")];
        parts.extend(
            self.best
                .as_ref()
                .map(|(trial, m)| format!("best {} (trial {})", text::number(*m), trial.number)),
        );
        if !self.untuned.is_empty() {
            parts.push(self.untuned.clone());
        }
        match self.running.len() {
            0 if self.waits_for > 0 => {
                parts.push(format!(
                    "waiting for {} of other processes",
                    text::counted(self.waits_for, "trial")
                ));
            }
            0 => {}
            n => parts.push(format!("{n} running")),
        }
        if !self.last.is_empty() {
            parts.push(self.last.clone());
        }
        // As long as nothing has ended, how far the first is.
        if let (0, Some((number, first))) = (ended, self.running.iter().find(|(_, trial)| trial.of > 0)) {
            let left = first.left().filter(|left| *left > 0.0);
            let left = left.map_or(String::new(), |left| format!(", about {}", text::seconds(left)));
            parts.push(format!("trial {number}: epoch {}{left}", first.epoch()));
        }
        let others = self.ended.iter().filter(|(state, _)| **state != State::Done.name());
        parts.extend(others.map(|(state, n)| format!("{n} {state}")));
        let to_come = self.n_trials.map(|n| n.saturating_sub(ended));
        let by_number = to_come.filter(|n| *n > 0).and_then(|n| self.left(n));
        let by_time = self.max_seconds.map(|most| (most - took).max(0.0));
        let left = by_number.into_iter().chain(by_time).reduce(f64::min);
        parts.extend(
            left.filter(|left| *left > 0.0).map(|left| format!("about {} left in all", text::seconds(left))),
        );
        parts.join(", ")
    }

    /// Seconds until `n` trials have ended that have not: those that are running by what is left of them, the others by the
    /// mean of those that ended, or of the whole time that those running take.
    fn left(&self, n: u64) -> Option<f64> {
        let whole: Vec<f64> = self.running.values().filter_map(Running::whole).collect();
        let mean = match self.n_ended() {
            0 if whole.is_empty() => return None,
            0 => whole.iter().sum::<f64>() / whole.len() as f64,
            ended => self.seconds / ended as f64,
        };
        // What early stopping ends is over before its last epoch; not what has gone on for longer than others did.
        let of_running = self.running.values().map(|running| {
            let usual = mean - running.begin.0.elapsed().as_secs_f64();
            let own = running.left().unwrap_or(mean);
            if usual > 0.0 { own.min(usual) } else { own }
        });
        let to_come = n.saturating_sub(self.running.len() as u64) as f64;
        // As many hands as there have been.
        let own = (self.n_own() + self.running.len() as u64).max(1) as f64;
        let at_a_time = self.jobs.max(1) as f64 * (own + self.others as f64) / own;
        Some((of_running.sum::<f64>() + mean * to_come) / at_a_time)
    }

    /// The best trial and those that are running.
    fn table(&self) -> String {
        let mut rows = vec![["", "trial", "epoch", "val", "left", "settings"].map(String::from).to_vec()];
        let mut row = |what: &str, trial: &Trial, epoch: String, metric: Option<f64>, left: Option<f64>| {
            let left = left.map_or(String::new(), text::seconds);
            let metric = metric.map_or("–".into(), text::number);
            let settings = short_settings(&trial.settings);
            rows.push(vec![what.to_owned(), trial.number.to_string(), epoch, metric, left, settings]);
        };
        if let Some((trial, metric)) = &self.best {
            row("best", trial, String::new(), Some(*metric), None);
        }
        for running in self.running.values().take(SHOWN) {
            let epoch = if running.of == 0 { "–".to_owned() } else { running.epoch() };
            row("running", &running.trial, epoch, running.metric, running.left());
        }
        text::table(&rows, &[false, true, true, true, true, false]).trim_end().to_owned()
    }

    /// Takes the table away; the seconds since the beginning.
    pub(super) fn end(&mut self) -> f64 {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if !self.quiet {
            text::note("");
        }
        self.begin.elapsed().as_secs_f64()
    }
}

/// How far the last trainings of a study are, told from their threads: on a terminal in place, in a pipe a line a second.
pub(super) struct LastProgress {
    bar: Option<ProgressBar>,
    quiet: bool,
    state: Mutex<LastState>,
}

struct LastState {
    /// The share of each that is done.
    shares: Vec<f64>,
    begin: Instant,
    last_line: Instant,
}

impl LastProgress {
    pub(super) fn new(quiet: bool) -> Self {
        let now = Instant::now();
        let state = LastState { shares: Vec::new(), begin: now, last_line: now };
        Self { bar: bar_unless(quiet), quiet, state: Mutex::new(state) }
    }

    pub(super) fn tell(&self, step: LastStep) {
        if self.quiet {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.shares.resize(step.of, 0.0);
        state.shares[step.training] = step.share;
        if let Some(bar) = &self.bar {
            bar.set_message(text::clipped(&state.line()));
            bar.tick();
        } else if state.last_line.elapsed() > Duration::from_secs(1) {
            state.last_line = Instant::now();
            text::note(&format!("  {}", state.line()));
        }
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl LastState {
    fn line(&self) -> String {
        let done = self.shares.iter().filter(|share| **share >= 1.0).count();
        let (sum, n) = (self.shares.iter().sum::<f64>(), self.shares.len());
        let left = self.begin.elapsed().as_secs_f64() / sum.max(1e-9) * (n as f64 - sum);
        format!(
            "{done}/{n} last trainings, {:.0} % in all, about {} left",
            100.0 * sum / n as f64,
            text::seconds(left)
        )
    }
}

/// A line on a terminal that is drawn in place.
fn bar_unless(quiet: bool) -> Option<ProgressBar> {
    (!quiet && std::io::stderr().is_terminal()).then(|| {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template("{spinner:.cyan} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar
    })
}
