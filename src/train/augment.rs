//! How a batch is changed on its way from the training rows to the network: mixup and jitter.

use statera_kernels::{CpuLevel, Scalar};

use super::rows::{OwnedTargets, Rows, gather};
use crate::config::AugmentConfig;
use crate::random::{Purpose, Stream};

/// Gathers batches, changed as the settings say; without them, rows as they are.
#[derive(Debug)]
pub(super) struct Augment<T> {
    seed: u64,
    jitter: f64,
    mixup: f64,
    /// The inputs that are jittered.
    numeric_inputs: Vec<usize>,
    draws: Vec<T>,
}

/// The two rows that a row of a mixed batch is made of: the row itself, and the one that many further on.
struct Mix<'a, T> {
    order: &'a [u32],
    shift: usize,
    /// λ and 1 − λ.
    shares: [T; 2],
}

impl<T: Scalar> Augment<T> {
    /// For batches of up to `max_rows`.
    pub(super) fn new(
        settings: &AugmentConfig,
        seed: u64,
        numeric_inputs: &[usize],
        max_rows: usize,
    ) -> Self {
        let n_draws = if settings.jitter > 0.0 { max_rows * numeric_inputs.len() } else { 0 };
        Self {
            seed,
            jitter: settings.jitter,
            mixup: settings.mixup,
            numeric_inputs: numeric_inputs.to_vec(),
            draws: vec![T::ZERO; n_draws],
        }
    }

    /// Whether rows are mixed, for which a batch needs [other memory](Rows::batch).
    pub(super) fn mixes(&self) -> bool {
        self.mixup > 0.0
    }

    /// Fills the front of `batch` with the rows numbered `order`, changed for training step `step`.
    ///
    /// - Mixup (Zhang et al. 2018, "mixup: beyond empirical risk minimization"): x ← λ·x + (1−λ)·x′ with λ from
    ///   Beta(α, α), one for the batch, as in the authors' code; x′ is the row a random number of places further on,
    ///   in a batch whose order is random itself. Numbers to predict are mixed likewise, weighted by the rows'
    ///   weights. Of classes the losses are: a row counts λ as its own class and 1−λ as the other's.
    /// - Jitter: noise from N(0, std²) on inputs that are scaled numbers, after mixing.
    pub(super) fn gather(
        &mut self,
        level: CpuLevel,
        step: u32,
        (x, targets): (&[T], &OwnedTargets<T>),
        order: &[u32],
        n_inputs: usize,
        batch: &mut Rows<T>,
    ) {
        if self.mixes() {
            self.mix(step, order).gather(x, targets, n_inputs, batch);
        } else {
            gather(x, targets, order, n_inputs, batch);
        }
        if self.jitter > 0.0 {
            let n_numeric = self.numeric_inputs.len();
            let draws = &mut self.draws[..order.len() * n_numeric];
            let key = [self.seed as u32, (self.seed >> 32) as u32];
            T::fill_normal(level, draws, key, [0, step, Purpose::Jitter as u32]);
            let std = T::from_f64(self.jitter);
            let rows = batch.x.chunks_exact_mut(n_inputs).zip(draws.chunks_exact(n_numeric.max(1)));
            for (row, draws) in rows {
                for (&input, &draw) in self.numeric_inputs.iter().zip(draws) {
                    row[input] += std * draw;
                }
            }
        }
    }

    fn mix<'a>(&self, step: u32, order: &'a [u32]) -> Mix<'a, T> {
        let mut stream = Stream::new(self.seed, Purpose::Mixup, step);
        let share = stream.beta(self.mixup);
        // A row alone is mixed with itself.
        let shift = if order.len() > 1 { 1 + stream.below(order.len() - 1) } else { 0 };
        Mix { order, shift, shares: [T::from_f64(share), T::from_f64(1.0 - share)] }
    }
}

impl<T: Scalar> Mix<'_, T> {
    /// The numbers of each row and of its partner.
    fn pairs(&self) -> impl Iterator<Item = [usize; 2]> {
        let others = self.order.iter().cycle().skip(self.shift);
        self.order.iter().zip(others).map(|(&one, &other)| [one as usize, other as usize])
    }

    fn gather(&self, x: &[T], targets: &OwnedTargets<T>, n_inputs: usize, batch: &mut Rows<T>) {
        let [share, rest] = self.shares;
        for (to, rows) in batch.x.chunks_exact_mut(n_inputs).zip(self.pairs()) {
            let [one, other] = rows.map(|row| &x[row * n_inputs..(row + 1) * n_inputs]);
            for ((to, &a), &b) in to.iter_mut().zip(one).zip(other) {
                *to = share * a + rest * b;
            }
        }
        match (targets, &mut batch.targets) {
            (OwnedTargets::Values(from), OwnedTargets::Values(to)) => {
                for (to, [one, other]) in to.iter_mut().zip(self.pairs()) {
                    *to = share * from[one] + rest * from[other];
                }
            }
            (OwnedTargets::WeightedValues(from, w), OwnedTargets::WeightedValues(to, weights)) => {
                for ((to, weight), [one, other]) in to.iter_mut().zip(weights).zip(self.pairs()) {
                    let (a, b) = (share * w[one], rest * w[other]);
                    *weight = a + b;
                    // Two rows that do not count leave a target that does not.
                    *to = if *weight > T::ZERO {
                        (a * from[one] + b * from[other]) / *weight
                    } else {
                        from[one]
                    };
                }
            }
            (OwnedTargets::Classes(from), OwnedTargets::MixedClasses([ones, others], [w, v])) => {
                for (i, [one, other]) in self.pairs().enumerate() {
                    (ones[i], others[i]) = (from[one], from[other]);
                    (w[i], v[i]) = (share, rest);
                }
            }
            (OwnedTargets::WeightedClasses(from, weights), OwnedTargets::MixedClasses(classes, shares)) => {
                let ([ones, others], [w, v]) = (classes, shares);
                for (i, [one, other]) in self.pairs().enumerate() {
                    (ones[i], others[i]) = (from[one], from[other]);
                    (w[i], v[i]) = (share * weights[one], rest * weights[other]);
                }
            }
            _ => unreachable!("a batch is made like its rows"),
        }
    }
}
