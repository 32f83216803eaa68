//! The live progress of training, on standard error: a bar in a terminal, plain lines in a pipe.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use statera::train::events::{EpochRecord, Event};

use super::text;

/// How often a pipe is told of an epoch that takes long.
const PART_LINES: Duration = Duration::from_secs(5);

/// The time that what is to do takes at most, where it is worth a word: training may end early.
fn left(seconds: f64, done: usize, all: usize) -> String {
    let left = seconds / done.max(1) as f64 * all.saturating_sub(done) as f64;
    if left < 1.0 { String::new() } else { format!("  at most {} left", text::seconds(left)) }
}

/// Shows events as they come.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    epochs: usize,
    steps_per_epoch: usize,
    begin: Instant,
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
            begin: Instant::now(),
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
                (self.begin, self.last_line) = (Instant::now(), Instant::now());
                if let Some(bar) = &self.bar {
                    bar.set_length((epochs * steps_per_epoch) as u64);
                }
            }
            Event::Progress { epoch, step, train_loss, rows_per_second } => {
                let message =
                    self.describe_part([*epoch, *step], *train_loss, *rows_per_second, self.begin.elapsed());
                if let Some(bar) = &self.bar {
                    bar.set_position(((epoch - 1) * self.steps_per_epoch + step) as u64);
                    bar.set_message(message.trim_start().to_owned());
                } else if self.last_line.elapsed() > PART_LINES {
                    self.last_line = Instant::now();
                    self.line(&message);
                }
            }
            Event::Epoch(record) => self.epoch(record),
            Event::LearningRateReduced { epoch, from, to, reason } => {
                if self.bar.is_some() {
                    let (from, to) = (text::short(*from), text::short(*to));
                    self.line(&format!("  epoch {epoch}: learning rate {from} → {to} ({reason})"));
                }
            }
            // Said at the end, as an error or a warning, by whoever knows whether any weights were kept.
            Event::Diverged { .. } => {}
            Event::Finished { reason, best_epoch, epochs_run, seconds } => {
                if let (false, Some(last)) = (self.shown, self.last_record.take()) {
                    self.line(&self.describe(&last));
                }
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                let time = text::seconds(*seconds);
                let epochs = text::counted(*epochs_run, "epoch");
                let told = format!(
                    "stopped after {epochs} in {time}: {reason}; kept the weights of epoch {best_epoch}"
                );
                self.line(text::wrap(&told, 2).trim_end());
            }
        }
    }

    fn epoch(&mut self, record: &EpochRecord) {
        let message = self.describe(record);
        if let Some(bar) = &self.bar {
            bar.set_position((record.epoch * self.steps_per_epoch) as u64);
            bar.set_message(message.trim_start().to_owned());
            self.shown = true;
            self.last_record = Some(record.clone());
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
        let left = left(r.seconds, r.epoch, self.epochs);
        format!(
            "  epoch {}/{}  loss {}  val_loss {}{metric}  {} rows/s{left}",
            r.epoch,
            self.epochs,
            text::number(r.train_loss),
            text::number(r.val_loss),
            text::count(r.rows_per_second as usize)
        )
    }

    /// Within an epoch: how far it is, with what the last whole one came to.
    fn describe_part(&self, [epoch, step]: [usize; 2], loss: f64, rate: f64, elapsed: Duration) -> String {
        let last = self.last_record.as_ref().map_or(String::new(), |r| {
            let metric = r.metrics.first().map(|(name, v)| format!("  {name} {}", text::number(*v)));
            format!("  val_loss {}{}", text::number(r.val_loss), metric.unwrap_or_default())
        });
        let done = (epoch - 1) * self.steps_per_epoch + step;
        let left = left(elapsed.as_secs_f64(), done, self.epochs * self.steps_per_epoch);
        format!(
            "  epoch {epoch}/{}, {} %  loss {}{last}  {} rows/s{left}",
            self.epochs,
            100 * step / self.steps_per_epoch.max(1),
            text::number(loss),
            text::count(rate as usize)
        )
    }

    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => text::note(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_an_epoch_says_how_far_it_is_and_how_long_it_takes() {
        let mut progress = Progress::new(true);
        (progress.epochs, progress.steps_per_epoch) = (20, 400);
        let second = Duration::from_secs(1);
        let first = progress.describe_part([1, 100], 0.5, 1234.5, 3 * second);
        // 100 of 8,000 steps in three seconds leave 237.
        assert_eq!(first, "  epoch 1/20, 25 %  loss 0.5000  1,234 rows/s  at most 4 min left");
        progress.last_record = Some(EpochRecord {
            epoch: 19,
            train_loss: 0.4,
            val_loss: 0.25,
            metrics: vec![("val_rmse".into(), 5000.0)],
            learning_rate: 1e-3,
            rows_per_second: 1.0,
            seconds: 1.0,
            best: true,
        });
        let last = progress.describe_part([20, 399], 0.5, 1e6, 100 * second);
        assert_eq!(
            last,
            "  epoch 20/20, 99 %  loss 0.5000  val_loss 0.2500  val_rmse 5,000  1,000,000 rows/s"
        );
    }
}
