//! Rules that watch a figure from epoch to epoch: early stopping and cutting the learning rate.

use super::events::EpochRecord;
use crate::config::{EarlyStoppingConfig, Monitor, ReduceOnPlateauConfig};

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

/// Which epoch has been the best so far.
#[derive(Debug, Clone, Default)]
pub struct BestEpoch {
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
#[derive(Debug, Clone)]
struct Patience {
    best: f64,
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

/// Stops when the monitored figure has not improved by `min_delta` for `patience` epochs, as in Keras.
#[derive(Debug, Clone)]
pub struct EarlyStopping {
    settings: EarlyStoppingConfig,
    patience: Patience,
}

impl EarlyStopping {
    /// The rule with nothing seen yet.
    pub fn new(settings: &EarlyStoppingConfig) -> Self {
        Self { patience: Patience::new(settings.min_delta), settings: settings.clone() }
    }

    /// Takes an epoch; returns the reason to stop, if there is one.
    pub fn observe(&mut self, record: &EpochRecord) -> Option<String> {
        let s = &self.settings;
        if !s.enabled {
            return None;
        }
        let waited = self.patience.observe(monitored(s.monitor, record));
        (waited >= s.patience).then(|| format!("{} has not improved for {} epochs", s.monitor, s.patience))
    }
}

/// Multiplies the learning rate by `factor` when the monitored figure has not improved for `patience` epochs,
/// never below `min_learning_rate`, as Keras's `ReduceLROnPlateau` without cool-down.
#[derive(Debug, Clone)]
pub struct ReduceOnPlateau {
    settings: ReduceOnPlateauConfig,
    patience: Patience,
}

impl ReduceOnPlateau {
    /// The rule with nothing seen yet.
    pub fn new(settings: &ReduceOnPlateauConfig) -> Self {
        Self { patience: Patience::new(settings.min_delta), settings: settings.clone() }
    }

    /// Takes an epoch; returns the next learning rate and the reason, if it changes.
    pub fn observe(&mut self, record: &EpochRecord, rate: f64) -> Option<(f64, String)> {
        let s = &self.settings;
        if !s.enabled || self.patience.observe(monitored(s.monitor, record)) < s.patience {
            return None;
        }
        self.patience.waited = 0;
        let next = (rate * s.factor).max(s.min_learning_rate);
        (next < rate).then(|| (next, format!("{} has not improved for {} epochs", s.monitor, s.patience)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let settings = EarlyStoppingConfig { enabled: true, monitor, patience: 3, min_delta: 0.1 };
            let mut rule = EarlyStopping::new(&settings);
            let curve = [5.0, 4.0, 3.95, 3.85, 3.9, 4.0, 9.0];
            let stopped: Vec<bool> = curve.iter().map(|&l| rule.observe(&record(l)).is_some()).collect();
            // 3.85 is better than 4.0 by more than 0.1; three epochs later it stops.
            assert_eq!(stopped, [false, false, false, false, false, false, true]);
        }
    }

    #[test]
    fn plateau_cuts_again_and_again_down_to_the_floor() {
        let settings = ReduceOnPlateauConfig {
            enabled: true,
            monitor: Monitor::ValLoss,
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
