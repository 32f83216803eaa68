//! The live progress of training, on standard error: a bar in a terminal, plain lines in a pipe.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use statera::train::events::{EpochRecord, Event};

use super::text;

/// Shows events as they come.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    epochs: usize,
    steps_per_epoch: usize,
    last_line: Instant,
    last_record: Option<EpochRecord>,
    shown: bool,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("  {bar:24.cyan/dim} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─"));
            bar
        });
        Self {
            bar,
            quiet,
            epochs: 0,
            steps_per_epoch: 0,
            last_line: Instant::now(),
            last_record: None,
            shown: false,
        }
    }

    pub(crate) fn show(&mut self, event: &Event) {
        if self.quiet {
            return;
        }
        match event {
            Event::Started { epochs, steps_per_epoch, .. } => {
                (self.epochs, self.steps_per_epoch) = (*epochs, *steps_per_epoch);
                if let Some(bar) = &self.bar {
                    bar.set_length((epochs * steps_per_epoch) as u64);
                }
            }
            Event::Progress { epoch, step, train_loss, rows_per_second } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(((epoch - 1) * self.steps_per_epoch + step) as u64);
                    let (loss, rate) = (text::number(*train_loss), text::count(*rows_per_second as usize));
                    bar.set_message(format!("epoch {epoch}/{}  loss {loss}  {rate} rows/s", self.epochs));
                }
            }
            Event::Epoch(record) => self.epoch(record),
            Event::LearningRateReduced { epoch, from, to, reason } => {
                if self.bar.is_some() {
                    self.line(&format!("  epoch {epoch}: learning rate {from:.2e} → {to:.2e} ({reason})"));
                }
            }
            Event::Diverged { epoch, step, layer, suggested_learning_rate } => self.line(&format!(
                "  epoch {epoch}, step {step}: the loss is not finite (first in {layer}); stopped, the best weights \
                 are kept\n  try: --set optimizer.learning_rate={suggested_learning_rate:e}"
            )),
            Event::Finished { reason, best_epoch, epochs_run, seconds } => {
                if !self.shown
                    && let Some(last) = self.last_record.take()
                {
                    self.line(&self.describe(&last));
                }
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                let time = text::seconds(*seconds);
                self.line(&format!(
                    "  stopped after {epochs_run} epochs in {time}: {reason}; kept the weights of epoch {best_epoch}"
                ));
            }
        }
    }

    fn epoch(&mut self, record: &EpochRecord) {
        let message = self.describe(record);
        if let Some(bar) = &self.bar {
            bar.set_position((record.epoch * self.steps_per_epoch) as u64);
            bar.set_message(message.trim_start().to_owned());
            self.shown = true;
            return;
        }
        // In a pipe: the first epoch, then a line a second, then the last.
        self.shown = record.epoch == 1 || self.last_line.elapsed() > Duration::from_secs(1);
        if self.shown {
            self.last_line = Instant::now();
            self.line(&message);
        }
        self.last_record = Some(record.clone());
    }

    fn describe(&self, r: &EpochRecord) -> String {
        let metric =
            r.metrics.first().map_or(String::new(), |(name, v)| format!("  {name} {}", text::number(*v)));
        let left = r.seconds / r.epoch as f64 * (self.epochs - r.epoch) as f64;
        format!(
            "  epoch {}/{}  loss {}  val_loss {}{metric}  {} rows/s  at most {} left",
            r.epoch,
            self.epochs,
            text::number(r.train_loss),
            text::number(r.val_loss),
            text::count(r.rows_per_second as usize),
            text::seconds(left)
        )
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            // Notes that nobody can read any more are no reason to end a training.
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }
}
