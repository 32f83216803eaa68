//! The table of a study at work, on standard error: trials done, the best so far, those running, and the time left.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use statera::tune::{Outcome, Sampler, State, Told, Trial, Tuning};

use super::text;
use super::trials::short_settings;

/// Running trials that are shown.
const SHOWN: usize = 8;

/// A trial that is running: how far it is, and its figure there.
struct Running {
    trial: Trial,
    epoch: Option<(usize, f64)>,
}

/// What has been told of a study so far, and where it is shown.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    /// Trials to come; none where nobody knows.
    n_trials: Option<u64>,
    max_seconds: Option<f64>,
    ended: BTreeMap<&'static str, u64>,
    running: BTreeMap<u64, Running>,
    best: Option<(Trial, f64)>,
    begin: Instant,
    last_line: Instant,
}

impl Progress {
    pub(super) fn new(quiet: bool, tuning: &Tuning, before: &[Trial]) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{spinner:.cyan} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        let combinations =
            tuning.space.parameters.iter().try_fold(1_u64, |n, p| {
                p.domain.values().map(|values| n.saturating_mul(values.len() as u64))
            });
        let all = match tuning.sampler {
            Sampler::Grid => combinations.map(|n| n.min(tuning.trials)),
            _ => Some(combinations.map_or(tuning.trials, |n| n.min(tuning.trials))),
        };
        let done = before.iter().filter(|trial| trial.state != State::Running).count() as u64;
        let best = before.iter().filter(|trial| trial.state == State::Done);
        let best = best.filter_map(|trial| Some((trial.clone(), trial.metric?)));
        let now = Instant::now();
        Self {
            bar,
            quiet,
            n_trials: all.map(|all| all.saturating_sub(done)),
            max_seconds: tuning.max_seconds,
            ended: BTreeMap::new(),
            running: BTreeMap::new(),
            best: best.min_by(|a, b| a.1.total_cmp(&b.1)),
            begin: now,
            last_line: now,
        }
    }

    pub(super) fn tell(&mut self, told: &Told) {
        match told {
            Told::Began(trial) => {
                self.running.insert(trial.number, Running { trial: trial.clone(), epoch: None });
            }
            Told::Epoch { trial, epoch, metric } => {
                if let Some(running) = self.running.get_mut(trial) {
                    running.epoch = Some((*epoch, *metric));
                }
            }
            Told::Ended(trial, Outcome { state, metric, .. }) => {
                self.running.remove(&trial.number);
                *self.ended.entry(state.name()).or_default() += 1;
                // Only what came to its end can be chosen.
                let metric = metric.filter(|_| *state == State::Done);
                if let Some(metric) = metric.filter(|m| self.best.as_ref().is_none_or(|(_, best)| m < best)) {
                    self.best = Some((trial.clone(), metric));
                }
            }
        }
        if self.quiet {
            return;
        }
        let is_last = self.n_trials == Some(self.n_ended()) && matches!(told, Told::Ended(..));
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}\n{}", self.line(), self.table()));
            bar.tick();
        } else if self.last_line.elapsed() > Duration::from_secs(1) || is_last {
            // In a pipe: a line a second, and the last.
            self.last_line = Instant::now();
            text::note(&format!("  {}", self.line()));
        }
    }

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
        if !self.running.is_empty() {
            parts.push(format!("{} running", self.running.len()));
        }
        let others = self.ended.iter().filter(|(state, _)| **state != State::Done.name());
        parts.extend(others.map(|(state, n)| format!("{n} {state}")));
        let by_number = self.n_trials.filter(|n| ended > 0 && *n > ended);
        let by_number = by_number.map(|n| took / ended as f64 * (n - ended) as f64);
        let by_time = self.max_seconds.map(|most| (most - took).max(0.0));
        let left = by_number.into_iter().chain(by_time).reduce(f64::min);
        parts.extend(
            left.filter(|left| *left > 0.0).map(|left| format!("about {} left", text::seconds(left))),
        );
        parts.join(", ")
    }

    /// The best trial and those that are running.
    fn table(&self) -> String {
        let mut rows = vec![["", "trial", "epoch", "val", "settings"].map(String::from).to_vec()];
        let mut row = |what: &str, trial: &Trial, epoch: Option<usize>, metric: Option<f64>| {
            rows.push(vec![
                what.to_owned(),
                trial.number.to_string(),
                epoch.map_or("–".into(), |epoch| epoch.to_string()),
                metric.map_or("–".into(), text::number),
                short_settings(&trial.settings),
            ]);
        };
        if let Some((trial, metric)) = &self.best {
            row("best", trial, None, Some(*metric));
        }
        for Running { trial, epoch } in self.running.values().take(SHOWN) {
            row("running", trial, epoch.map(|(epoch, _)| epoch), epoch.map(|(_, metric)| metric));
        }
        text::table(&rows, &[false, true, true, true, false]).trim_end().to_owned()
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
