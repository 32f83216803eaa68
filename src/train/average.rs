//! Averages of weights over training, which are validated and kept in place of the last ones.

use statera_kernels::{CpuLevel, Scalar};

use crate::config::{AverageConfig, AverageKind};

/// A running average of the parameter vector. Running statistics of batch normalisation are averaged likewise: a
/// mean of variances is a variance, and nothing has to be passed through the network again.
#[derive(Debug)]
pub struct Average<T> {
    settings: AverageConfig,
    pub(super) mean: Vec<T>,
    /// Parameters taken in so far.
    pub(super) n: u32,
}

impl<T: Scalar> Average<T> {
    /// The average with nothing taken in, for `n_params` parameters.
    pub fn new(settings: &AverageConfig, n_params: usize) -> Self {
        let n = if settings.kind == AverageKind::None { 0 } else { n_params };
        Self { settings: settings.clone(), mean: vec![T::ZERO; n], n: 0 }
    }

    /// Takes in the parameters after a step: ema ← d·ema + (1 − d)·p.
    ///
    /// d = min(decay, (1 + n) / (10 + n)) with n steps before, so that the start is soon forgotten (TensorFlow's
    /// ExponentialMovingAverage with num_updates). The first parameters are taken whole.
    pub fn after_step(&mut self, level: CpuLevel, params: &[T]) {
        if self.settings.kind == AverageKind::Ema {
            let n = f64::from(self.n);
            let decay = if self.n == 0 { 0.0 } else { self.settings.decay.min((1.0 + n) / (10.0 + n)) };
            T::combine(level, T::from_f64(1.0 - decay), params, T::from_f64(decay), &mut self.mean);
            self.n = self.n.saturating_add(1);
        }
    }

    /// Takes in the parameters at the end of an epoch, counted from 1: the mean of all since `start` (Izmailov et al.
    /// 2018, "Averaging weights leads to wider optima and better generalization").
    pub fn after_epoch(&mut self, level: CpuLevel, epoch: usize, params: &[T]) {
        if self.settings.kind == AverageKind::Swa && epoch >= self.settings.start {
            let n = f64::from(self.n);
            T::combine(
                level,
                T::from_f64(1.0 / (n + 1.0)),
                params,
                T::from_f64(n / (n + 1.0)),
                &mut self.mean,
            );
            self.n += 1;
        }
    }

    /// Changes the average, where there is one: weights that are pruned are zero in it from then on.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut [T])) {
        if !self.mean.is_empty() {
            change(&mut self.mean);
        }
    }

    /// The average, once there is one.
    pub fn weights(&self) -> Option<&[T]> {
        (self.n > 0).then_some(&self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn of(kind: AverageKind) -> Average<f64> {
        Average::new(&AverageConfig { kind, decay: 0.2, start: 2 }, 2)
    }

    #[test]
    fn averages_by_hand() {
        assert_eq!(Config::default().average.kind, AverageKind::None);
        let level = CpuLevel::detect();
        let all = [[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [6.0, 60.0]];
        let (mut none, mut swa, mut ema) =
            (of(AverageKind::None), of(AverageKind::Swa), of(AverageKind::Ema));
        for (epoch, params) in (1..).zip(&all) {
            for average in [&mut none, &mut swa, &mut ema] {
                average.after_step(level, params);
                average.after_epoch(level, epoch, params);
            }
        }
        assert_eq!(none.weights(), None);
        let swa = swa.weights().unwrap();
        assert!((swa[0] - 4.0).abs() < 1e-12 && (swa[1] - 40.0).abs() < 1e-11, "{swa:?}");
        // The share that is kept: 0, 2/11, 0.2 (below 3/12), 0.2.
        let mut expected = 1.0;
        for (kept, p) in [(2.0 / 11.0, 2.0), (0.2, 4.0), (0.2, 6.0)] {
            expected = kept * expected + (1.0 - kept) * p;
        }
        assert!((ema.weights().unwrap()[0] - expected).abs() < 1e-12);
    }
}
