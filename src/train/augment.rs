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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const N: usize = 600;

    /// One input a row, its number; targets made of it.
    fn rows(targets: OwnedTargets<f64>) -> Rows<f64> {
        Rows { x: (0..N).map(|row| row as f64).collect(), targets }
    }

    /// The rows in an order of their own, gathered with these settings for step `step`.
    fn gathered(rows: &Rows<f64>, jitter: f64, mixup: f64, step: u32) -> Rows<f64> {
        let settings = AugmentConfig { jitter, mixup };
        let mut augment = Augment::new(&settings, 5, &[0], N);
        let order: Vec<u32> = (0..N as u32).rev().collect();
        let mut batch = rows.batch(N, 1, augment.mixes());
        augment.gather(CpuLevel::detect(), step, (&rows.x, &rows.targets), &order, 1, &mut batch);
        batch
    }

    #[test]
    fn a_mixed_row_is_mixed_throughout() {
        let own = || (0..N).map(|row| row as f64).collect::<Vec<_>>();
        let mixed = gathered(&rows(OwnedTargets::Values(own())), 0.0, 0.5, 3);
        let OwnedTargets::Values(t) = &mixed.targets else { panic!("{:?}", mixed.targets) };
        // The target of a row is its input, and stays so.
        assert_eq!(&mixed.x, t);
        let plain = gathered(&rows(OwnedTargets::Values(own())), 0.0, 0.0, 3);
        assert_ne!(mixed.x, plain.x);
        let OwnedTargets::Values(plain) = plain.targets else { unreachable!() };
        assert_eq!(plain, own().into_iter().rev().collect::<Vec<_>>(), "without mixing rows are as they are");
        // What is mixed sums to what there was: every row is a first one once and a second one once.
        let sum = |numbers: &[f64]| numbers.iter().sum::<f64>();
        assert!((sum(t) - sum(&plain)).abs() < 1e-6);

        // Classes: shares and both classes say the input again.
        let classes = rows(OwnedTargets::Classes((0..N as u32).collect()));
        let mixed = gathered(&classes, 0.0, 0.5, 3);
        let OwnedTargets::MixedClasses([one, other], [w, v]) = &mixed.targets else { panic!("not mixed") };
        for (row, x) in mixed.x.iter().enumerate() {
            assert!((w[row] + v[row] - 1.0).abs() < 1e-15 && w[row] == w[0]);
            let said = w[row] * f64::from(one[row]) + v[row] * f64::from(other[row]);
            assert!((said - x).abs() < 1e-9, "row {row}: {said}, not {x}");
        }
    }

    #[test]
    fn weights_of_mixed_rows_are_those_of_both() {
        let weights: Vec<f64> = (0..N).map(|row| [0.0, 1.0, 3.0][row % 3]).collect();
        let targets = OwnedTargets::Values((0..N).map(|row| row as f64).collect());
        let mixed = gathered(&rows(targets.weighted(weights.clone())), 0.0, 0.5, 4);
        let classes = OwnedTargets::Classes((0..N as u32).collect());
        let by_class = gathered(&rows(classes.weighted(weights)), 0.0, 0.5, 4);
        let OwnedTargets::WeightedValues(t, total) = &mixed.targets else { panic!("not weighted") };
        let OwnedTargets::MixedClasses([one, other], [w, v]) = &by_class.targets else { panic!("not mixed") };
        for row in 0..N {
            // The squared error to the mixed target has the gradient of both errors, each by its weight.
            let gradient = w[row] * (7.0 - f64::from(one[row])) + v[row] * (7.0 - f64::from(other[row]));
            assert!((total[row] - w[row] - v[row]).abs() < 1e-15, "row {row}");
            assert!((total[row] * (7.0 - t[row]) - gradient).abs() < 1e-9, "row {row}");
        }
    }

    #[test]
    fn shares_and_partners_change_from_step_to_step() {
        let classes = rows(OwnedTargets::Classes((0..N as u32).collect()));
        let mut found = Vec::new();
        for step in 0..200 {
            let OwnedTargets::MixedClasses([one, other], [w, _]) = gathered(&classes, 0.0, 1.0, step).targets
            else {
                panic!("not mixed")
            };
            assert!(one.iter().zip(&other).all(|(a, b)| a != b), "no row is mixed with itself");
            found.push((w[0], one[0].abs_diff(other[0])));
        }
        // Beta(1, 1) is even: the mean of 200 has the standard error 0.29/√200 = 0.02.
        let mean = found.iter().map(|(w, _)| w).sum::<f64>() / 200.0;
        assert!((mean - 0.5).abs() < 0.1, "{mean}");
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.dedup_by_key(|(_, partner)| *partner);
        assert!(found.len() > 100);
        assert!(!Augment::<f64>::new(&Config::default().augment, 1, &[], 8).mixes());
    }

    #[test]
    fn jitter_is_of_its_deviation_and_on_numbers_alone() {
        // Two inputs a row, of which the second is a number.
        let x: Vec<f64> = vec![2.0; 2 * N];
        let targets = OwnedTargets::Values(vec![1.0; N]);
        let mut augment = Augment::new(&AugmentConfig { jitter: 0.25, mixup: 0.0 }, 5, &[1], N);
        let order: Vec<u32> = (0..N as u32).collect();
        let mut batch = Rows { x: x.clone(), targets: targets.clone() }.batch(N, 2, false);
        let mut all = Vec::new();
        for step in 0..20 {
            augment.gather(CpuLevel::detect(), step, (&x, &targets), &order, 2, &mut batch);
            assert!(batch.x.chunks_exact(2).all(|row| row[0] == 2.0));
            all.extend(batch.x.chunks_exact(2).map(|row| row[1] - 2.0));
        }
        let n = all.len() as f64;
        let (mean, variance) = (all.iter().sum::<f64>() / n, all.iter().map(|e| e * e).sum::<f64>() / n);
        // 12,000 draws: standard errors 0.25/√12000 = 0.0023 and √(2/12000) = 0.013 of the variance.
        assert!(mean.abs() < 0.012 && (variance / 0.0625 - 1.0).abs() < 0.065, "{mean}, {variance}");
        assert_ne!(all[..N], all[N..2 * N], "every step has its own");
    }
}
