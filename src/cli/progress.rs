//! The live progress of training, on standard error: a bar in a terminal, plain lines in a pipe.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use statera::train::events::{EpochRecord, Event};

use super::text;

/// How often a pipe is told of an epoch that takes long.
const PART_LINES: Duration = Duration::from_secs(5);

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
    /// Whether the validation rows ever had a finite loss, without which nothing is kept.
    finite: bool,
    /// Why the state of training could not be kept when that was last told.
    not_saved: Option<String>,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("  {bar:12.cyan/dim} {wide_msg}");
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
            finite: false,
            not_saved: None,
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
            Event::Resumed { epoch, step, epochs, steps_per_epoch } => {
                (self.epochs, self.steps_per_epoch) = (*epochs, *steps_per_epoch);
                (self.begin, self.last_line) = (Instant::now(), Instant::now());
                if let Some(bar) = &self.bar {
                    bar.set_length((epochs * steps_per_epoch) as u64);
                    bar.set_position(((epoch - 1) * steps_per_epoch + step) as u64);
                    bar.reset_eta();
                }
            }
            // Said at the end too, and there how often, even if no notes are wanted.
            Event::NotSaved { why, .. } => {
                if self.not_saved.as_ref() != Some(why) {
                    self.line(&format!(
                        "  warning: the state of training could not be kept ({why}); training goes on"
                    ));
                    self.not_saved = Some(why.clone());
                }
            }
            Event::Progress { epoch, step, train_loss, rows_per_second } => {
                let seconds = self.begin.elapsed().as_secs_f64();
                let message = self.describe([*epoch, *step], *train_loss, *rows_per_second, seconds);
                if let Some(bar) = &self.bar {
                    bar.set_position(((epoch - 1) * self.steps_per_epoch + step) as u64);
                    bar.set_message(message);
                } else if self.last_line.elapsed() > PART_LINES {
                    self.last_line = Instant::now();
                    self.line(&format!("  {message}"));
                }
            }
            Event::Epoch(record) => self.epoch(record),
            Event::LearningRateReduced { epoch, from, to, reason } => {
                if self.bar.is_some() {
                    let (from, to) = (text::short(*from), text::short(*to));
                    self.line(&format!("  epoch {epoch}: learning rate {from} → {to} ({reason})"));
                }
            }
            Event::Pruned { epoch, share, is_last: true } => {
                let share = format!("{:.1} % of the sparse weights are 0 from now on", 100.0 * share);
                self.line(&format!("  after epoch {epoch}: {share}; the weights that are kept come later"));
            }
            // That training went astray is said at the end, as an error or a warning, by whoever knows whether any
            // weights were kept.
            Event::Pruned { .. } | Event::Diverged { .. } | Event::Worsened { .. } | Event::Fold { .. } => {}
            Event::Finished { reason, best_epoch, epochs_run, seconds } => {
                if let (false, Some(last)) = (self.shown, &self.last_record) {
                    self.line(&format!("  {}", self.describe_epoch(last)));
                }
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                let time = text::seconds(*seconds);
                let epochs = text::counted(*epochs_run, "epoch");
                let mut told = format!("stopped after {epochs} in {time}: {reason}");
                if self.finite {
                    let _ = write!(told, "; kept the weights of epoch {best_epoch}");
                }
                self.line(text::wrap(&told, 2).trim_end());
            }
        }
    }

    fn epoch(&mut self, record: &EpochRecord) {
        self.last_record = Some(record.clone());
        self.finite |= record.val_loss.is_finite();
        let message = self.describe_epoch(record);
        if let Some(bar) = &self.bar {
            bar.set_position((record.epoch * self.steps_per_epoch) as u64);
            bar.set_message(message);
            self.shown = true;
            return;
        }
        // In a pipe: the first epoch, then a line a second, then the last.
        self.shown = record.epoch == 1 || self.last_line.elapsed() > Duration::from_secs(1);
        if self.shown {
            self.last_line = Instant::now();
            self.line(&format!("  {message}"));
        }
    }

    fn describe_epoch(&self, r: &EpochRecord) -> String {
        self.describe([r.epoch, self.steps_per_epoch], r.train_loss, r.rows_per_second, r.seconds)
    }

    /// Where training stands after so many seconds, within an epoch too; what the last whole one came to on the
    /// validation rows stays in view.
    fn describe(&self, [epoch, step]: [usize; 2], loss: f64, rate: f64, seconds: f64) -> String {
        let mut left = String::new();
        let mut val = String::new();
        let done = (epoch - 1) * self.steps_per_epoch + step;
        let to_do = (self.epochs * self.steps_per_epoch).saturating_sub(done);
        let seconds = seconds / done.max(1) as f64 * to_do as f64;
        if seconds >= 1.0 {
            left = format!("  at most {} left", text::seconds(seconds));
        }
        if let Some(last) = &self.last_record {
            val = format!("  val_loss {}", text::number(last.val_loss));
            if let Some((name, v)) = last.metrics.first() {
                let _ = write!(val, "  {name} {}", text::number(*v));
            }
        }
        let mut part = String::new();
        if step < self.steps_per_epoch {
            part = format!(", {} %", 100 * step / self.steps_per_epoch);
        }
        // What a narrow terminal cuts off stands at the end.
        let (epochs, loss, rate) = (self.epochs, text::number(loss), text::count(rate as usize));
        format!("epoch {epoch}/{epochs}{part}{left}  loss {loss}{val}  {rate} rows/s")
    }

    /// A line above the bar.
    pub(crate) fn line(&self, line: &str) {
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
        // 100 of 8,000 steps in three seconds leave 237.
        let first = progress.describe([1, 100], 0.5, 1234.5, 3.0);
        assert_eq!(first, "epoch 1/20, 25 %  at most 4 min left  loss 0.5000  1,234 rows/s");
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
        let last = progress.describe([20, 400], 0.5, 1e6, 100.0);
        assert_eq!(last, "epoch 20/20  loss 0.5000  val_loss 0.2500  val_rmse 5,000  1,000,000 rows/s");
    }
}
