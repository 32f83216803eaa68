//! Rules that watch training from epoch to epoch: early stopping and cutting the learning rate.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use statera_kernels::Scalar;

use super::checkpoint::exact;
use super::events::EpochRecord;
use crate::config::{CheckpointConfig, CheckpointMode, EarlyStoppingConfig, Monitor, ReduceOnPlateauConfig};
use crate::nn::View;

/// The figure of an epoch that `monitor` names, turned so that less is better; NaN if the epoch lacks it.
pub fn monitored(monitor: Monitor, record: &EpochRecord) -> f64 {
    let metric = |name: &str| record.metrics.iter().find(|(n, _)| n == name).map_or(f64::NAN, |(_, v)| *v);
    match monitor {
        Monitor::TrainLoss => record.train_loss,
        Monitor::ValLoss => record.val_loss,
        Monitor::ValAccuracy => -metric("val_accuracy"),
        Monitor::ValRmse | Monitor::ValMae => metric(monitor.name()),
    }
}

/// The figure of an epoch that the best one is chosen by, turned so that less is better.
pub fn deciding(settings: &CheckpointConfig, record: &EpochRecord) -> f64 {
    let less_is_better = monitored(settings.monitor, record);
    let raw = if settings.monitor == Monitor::ValAccuracy { -less_is_better } else { less_is_better };
    match settings.mode {
        CheckpointMode::Auto => less_is_better,
        CheckpointMode::Min => raw,
        CheckpointMode::Max => -raw,
    }
}

/// Which epoch has been the best so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestEpoch {
    #[serde(with = "exact")]
    figure: f64,
    epoch: usize,
}

impl BestEpoch {
    /// Takes the figure of an epoch, less of it being better; returns whether it is the best one so far.
    ///
    /// The first epoch is. A figure that is not a number is worse than any that is.
    pub fn observe(&mut self, epoch: usize, figure: f64) -> bool {
        let figure = if figure.is_nan() { f64::INFINITY } else { figure };
        let is_best = self.epoch == 0 || figure < self.figure;
        if is_best {
            (self.figure, self.epoch) = (figure, epoch);
        }
        is_best
    }

    /// The best epoch, from 1 on; 0 before any.
    pub fn epoch(&self) -> usize {
        self.epoch
    }
}

/// Counts the epochs since a figure last fell by more than `min_delta`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patience {
    #[serde(with = "exact")]
    best: f64,
    #[serde(with = "exact")]
    min_delta: f64,
    waited: usize,
}

impl Patience {
    fn new(min_delta: f64) -> Self {
        Self { best: f64::INFINITY, min_delta, waited: 0 }
    }

    /// Takes the figure of an epoch; returns how many epochs have passed without a better one.
    fn observe(&mut self, figure: f64) -> usize {
        if figure < self.best - self.min_delta {
            self.best = figure;
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        self.waited
    }
}

/// Stops when the monitored figure has not improved by `min_delta` for `patience` epochs, as in Keras; or when it has
/// stood still over a window of epochs, whether or not it had got better before.
#[derive(Debug, Clone)]
pub struct EarlyStopping {
    settings: EarlyStoppingConfig,
    pub(super) patience: Patience,
    /// The figures of the last `window` + 1 epochs.
    pub(super) recent: VecDeque<f64>,
}

impl EarlyStopping {
    /// The rule with nothing seen yet.
    pub fn new(settings: &EarlyStoppingConfig) -> Self {
        let patience = Patience::new(settings.min_delta);
        Self { patience, settings: settings.clone(), recent: VecDeque::new() }
    }

    /// Takes an epoch; returns the reason to stop, if there is one.
    pub fn observe(&mut self, record: &EpochRecord) -> Option<String> {
        let s = &self.settings;
        let figure = monitored(s.monitor, record);
        if s.enabled && self.patience.observe(figure) >= s.patience {
            return Some(format!("{} has not improved for {} epochs", s.monitor, s.patience));
        }
        self.stands_still(figure)
    }

    /// Over the window, the figure's largest and smallest value lie no further apart than `window_change` times the
    /// size of the last one. A figure that is not a number never stands still.
    fn stands_still(&mut self, figure: f64) -> Option<String> {
        let s = &self.settings;
        if s.window == 0 {
            return None;
        }
        if self.recent.len() > s.window {
            self.recent.pop_front();
        }
        self.recent.push_back(figure);
        let all_numbers = self.recent.iter().all(|f| f.is_finite());
        if self.recent.len() <= s.window || !all_numbers {
            return None;
        }
        let largest = self.recent.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = self.recent.iter().copied().fold(f64::INFINITY, f64::min);
        (largest - smallest <= s.window_change * figure.abs()).then(|| {
            format!(
                "{} has changed by no more than {} of itself over {} epochs",
                s.monitor, s.window_change, s.window
            )
        })
    }
}

/// Stops when no trained number has moved over an epoch by as much as a threshold.
#[derive(Debug, Clone)]
pub struct WeightChange<T> {
    threshold: f64,
    /// Where the trained numbers are.
    trained: Vec<Range<usize>>,
    /// All parameters at the end of the epoch before.
    pub(super) before: Vec<T>,
}

impl<T: Scalar> WeightChange<T> {
    /// The rule for parameters that start as `params`; none where the threshold is 0.
    pub fn new(settings: &EarlyStoppingConfig, views: &[View], params: &[T]) -> Option<Self> {
        let trained = views.iter().filter(|view| view.trainable).map(View::range).collect();
        let threshold = settings.weight_change;
        (threshold > 0.0).then(|| Self { threshold, trained, before: params.to_vec() })
    }

    /// Takes the parameters at the end of an epoch; returns the reason to stop, if there is one.
    pub fn observe(&mut self, params: &[T]) -> Option<String> {
        let pairs = |range: &Range<usize>| params[range.clone()].iter().zip(&self.before[range.clone()]);
        let changes = self.trained.iter().flat_map(pairs).map(|(now, then)| (*now - *then).abs().to_f64());
        let largest = changes.fold(0.0, f64::max);
        self.before.copy_from_slice(params);
        (largest < self.threshold).then(|| {
            format!("no weight has moved by {} over an epoch (at most {largest:.1e})", self.threshold)
        })
    }
}

/// The reason to stop after so many `seconds` of training, if there is one; a budget of 0 has no end.
pub fn out_of_time(max_seconds: f64, seconds: f64) -> Option<String> {
    (max_seconds > 0.0 && seconds >= max_seconds)
        .then(|| format!("the {max_seconds} seconds of train.max_seconds are over"))
}

/// Multiplies the learning rate by `factor` when the monitored figure has not improved for `patience` epochs, or after
/// the epochs that are set, never below `min_learning_rate`, as Keras's `ReduceLROnPlateau` without cool-down.
#[derive(Debug, Clone)]
pub struct ReduceOnPlateau {
    settings: ReduceOnPlateauConfig,
    pub(super) patience: Patience,
}

impl ReduceOnPlateau {
    /// The rule with nothing seen yet.
    pub fn new(settings: &ReduceOnPlateauConfig) -> Self {
        Self { patience: Patience::new(settings.min_delta), settings: settings.clone() }
    }

    /// Takes an epoch; returns the next learning rate and the reason, if it changes.
    pub fn observe(&mut self, record: &EpochRecord, rate: f64) -> Option<(f64, String)> {
        let s = &self.settings;
        let is_due = if self.is_planned() {
            s.after_epochs.contains(&record.epoch)
        } else {
            s.enabled && self.patience.observe(monitored(s.monitor, record)) >= s.patience
        };
        if !is_due {
            return None;
        }
        self.patience.waited = 0;
        let next = (rate * s.factor).max(s.min_learning_rate);
        let why = || {
            if self.is_planned() {
                "as reduce_on_plateau.after_epochs says".to_owned()
            } else {
                format!("{} has not improved for {} epochs", s.monitor, s.patience)
            }
        };
        (next < rate).then(|| (next, why()))
    }

    /// Whether it is said after which epochs to cut, and nothing is watched.
    pub(super) fn is_planned(&self) -> bool {
        self.settings.enabled && !self.settings.after_epochs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn record(val_loss: f64) -> EpochRecord {
        EpochRecord {
            epoch: 1,
            train_loss: 0.0,
            val_loss,
            metrics: vec![("val_accuracy".into(), -val_loss)],
            learning_rate: 1.0,
            rows_per_second: 0.0,
            seconds: 0.0,
            best: false,
        }
    }

    #[test]
    fn an_epoch_without_a_number_is_no_better_than_any_other() {
        let observe = |figures: &[f64]| {
            let mut best = BestEpoch::default();
            let taken = figures.iter().zip(1..).map(|(&f, epoch)| best.observe(epoch, f));
            (taken.collect::<Vec<_>>(), best.epoch())
        };
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        assert_eq!(observe(&[nan, 3.0, nan, 3.0, 2.0]), (vec![true, true, false, false, true], 5));
        assert_eq!(observe(&[inf, inf, 7.0, inf]), (vec![true, false, true, false], 3));
        assert_eq!(observe(&[nan, nan]), (vec![true, false], 1));
        assert_eq!(BestEpoch::default().epoch(), 0);
    }

    #[test]
    fn early_stopping_counts_from_the_best() {
        for monitor in [Monitor::ValLoss, Monitor::ValAccuracy] {
            let settings = EarlyStoppingConfig {
                monitor,
                patience: 3,
                min_delta: 0.1,
                ..Config::default().early_stopping
            };
            let mut rule = EarlyStopping::new(&settings);
            let curve = [5.0, 4.0, 3.95, 3.85, 3.9, 4.0, 9.0];
            let stopped: Vec<bool> = curve.iter().map(|&l| rule.observe(&record(l)).is_some()).collect();
            // 3.85 is better than 4.0 by more than 0.1; three epochs later it stops.
            assert_eq!(stopped, [false, false, false, false, false, false, true]);
        }
    }

    /// When each epoch of a scripted curve gives a reason to stop.
    fn stops(settings: &EarlyStoppingConfig, curve: &[f64]) -> Vec<bool> {
        let mut rule = EarlyStopping::new(settings);
        curve.iter().map(|&loss| rule.observe(&record(loss)).is_some()).collect()
    }

    #[test]
    fn a_figure_that_stands_still_over_the_window_stops_training() {
        let off = EarlyStoppingConfig { enabled: false, ..Config::default().early_stopping };
        let settings = EarlyStoppingConfig { window: 3, window_change: 0.1, ..off.clone() };
        // Four figures within a tenth of the last one: from 4.1 on they are 4.1, 4.0, 3.9, 3.8.
        let curve = [8.0, 6.0, 5.0, 4.1, 4.0, 3.9, 3.8];
        assert_eq!(stops(&settings, &curve), [false, false, false, false, false, false, true]);
        assert_eq!(stops(&off, &curve), [false; 7]);
        let mut rule = EarlyStopping::new(&settings);
        let reasons: Vec<_> = curve.iter().filter_map(|&loss| rule.observe(&record(loss))).collect();
        assert_eq!(reasons, ["val_loss has changed by no more than 0.1 of itself over 3 epochs"]);
        // A figure that keeps falling by more goes on, as does one that swings, though it returns.
        assert_eq!(stops(&settings, &[8.0, 7.0, 6.0, 5.0, 4.0, 3.0]), [false; 6]);
        assert_eq!(stops(&settings, &[4.0, 5.0, 4.0, 5.0, 4.0, 5.0]), [false; 6]);
        // One epoch that is no number counts against standing still for as long as the window holds it.
        let nan = [4.0, 4.0, f64::NAN, 4.0, 4.0, 4.0, 4.0];
        assert_eq!(stops(&settings, &nan), [false, false, false, false, false, false, true]);
        // It is the size of a figure that counts, not its sign: an accuracy is watched turned round.
        let accuracy = EarlyStoppingConfig { monitor: Monitor::ValAccuracy, ..settings };
        assert_eq!(stops(&accuracy, &[-0.5, -0.9, -0.91, -0.92, -0.93]), [false, false, false, false, true]);
    }

    #[test]
    fn weights_that_stand_still_stop_training() {
        let settings = EarlyStoppingConfig { weight_change: 0.125, ..Config::default().early_stopping };
        let view = |name: &str, offset, trainable| View {
            name: name.into(),
            shape: vec![2],
            offset,
            trainable,
            decays: true,
            is_table: false,
            lr_factor: 1.0,
            dense: None,
        };
        let views = [view("weight", 0, true), view("running_mean", 2, false)];
        let mut rule = WeightChange::new(&settings, &views, &[1.0, 1.0, 0.0, 0.0]).unwrap();
        assert_eq!(rule.observe(&[1.0625, 1.25, 0.0, 0.0]), None, "one weight has moved by 0.25");
        assert_eq!(rule.observe(&[1.0625, 1.125, 0.0, 0.0]), None, "0.125 is no less than the threshold");
        let why = rule.observe(&[1.0, 1.1875, 9.0, 0.0]).expect("statistics are not trained");
        assert_eq!(why, "no weight has moved by 0.125 over an epoch (at most 6.2e-2)");
        assert_eq!(rule.observe(&[1.25, 1.1875, 9.0, 0.0]), None, "the next epoch is judged by itself");
        assert!(WeightChange::new(&Config::default().early_stopping, &views, &[1.0; 4]).is_none());
    }

    #[test]
    fn a_budget_of_seconds_stops_training_when_it_is_over() {
        let stopped = [0.1, 1.9, 2.0, 2.1].map(|seconds| out_of_time(2.0, seconds).is_some());
        assert_eq!(stopped, [false, false, true, true]);
        assert_eq!(out_of_time(0.5, 0.7).unwrap(), "the 0.5 seconds of train.max_seconds are over");
        assert_eq!(out_of_time(0.0, 1e9), None);
    }

    #[test]
    fn plateau_cuts_again_and_again_down_to_the_floor() {
        let settings = ReduceOnPlateauConfig {
            enabled: true,
            monitor: Monitor::ValLoss,
            after_epochs: Vec::new(),
            factor: 0.1,
            patience: 2,
            min_delta: 0.0,
            min_learning_rate: 0.005,
        };
        let mut rule = ReduceOnPlateau::new(&settings);
        let mut rate = 1.0;
        let mut rates = Vec::new();
        for loss in [1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.9, 0.9, 0.9, 0.9] {
            if let Some((next, _)) = rule.observe(&record(loss), rate) {
                rate = next;
            }
            rates.push(rate);
        }
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        let expected = [1.0, 1.0, 0.1, 0.1, 0.01, 0.01, 0.01, 0.005, 0.005, 0.005];
        assert!(rates.iter().zip(expected).all(|(&a, b)| near(a, b)), "{rates:?}");
    }
}
