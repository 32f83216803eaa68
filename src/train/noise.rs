//! What training makes wrong on purpose: labels, weights, gradients. Validation and use see none of it.

use std::ops::Range;

use statera_kernels::{CpuLevel, Scalar};

use super::rows::OwnedTargets;
use crate::nn::{Loss, View};
use crate::random::{Purpose, Stream};

/// The training targets with noise, drawn anew for each epoch, as in DisturbLabel (Xie et al. 2016).
#[derive(Debug)]
pub(super) struct LabelNoise<T> {
    seed: u64,
    amount: f64,
    n_classes: usize,
    noisy: OwnedTargets<T>,
}

impl<T: Scalar> LabelNoise<T> {
    /// Noise of this `amount` on `targets`, what [`LabelNoise::of_epoch`] says; none where it is 0.
    pub(super) fn new(
        amount: f64,
        seed: u64,
        loss: Loss,
        n_outputs: usize,
        targets: &OwnedTargets<T>,
    ) -> Option<Self> {
        let n_classes = if loss.is_binary() { 2 } else { n_outputs.max(2) };
        (amount > 0.0).then(|| Self { seed, amount, n_classes, noisy: targets.clone() })
    }

    /// `targets` with this epoch's noise: a class is, with the probability `amount`, one of the others, each of them
    /// as likely; a number is off by noise from N(0, `amount`²). Weights of rows stay those of the true labels.
    pub(super) fn of_epoch(&mut self, epoch: usize, targets: &OwnedTargets<T>) -> &OwnedTargets<T> {
        let mut stream = Stream::new(self.seed, Purpose::LabelNoise, epoch as u32);
        match (targets, &mut self.noisy) {
            (OwnedTargets::Values(from), OwnedTargets::Values(to))
            | (OwnedTargets::WeightedValues(from, _), OwnedTargets::WeightedValues(to, _)) => {
                for (to, &from) in to.iter_mut().zip(from) {
                    *to = from + T::from_f64(self.amount * stream.normal());
                }
            }
            (OwnedTargets::Classes(from), OwnedTargets::Classes(to))
            | (OwnedTargets::WeightedClasses(from, _), OwnedTargets::WeightedClasses(to, _)) => {
                for (to, &from) in to.iter_mut().zip(from) {
                    let is_wrong = stream.uniform() < self.amount;
                    let steps = if is_wrong { 1 + stream.below(self.n_classes - 1) } else { 0 };
                    *to = ((from as usize + steps) % self.n_classes) as u32;
                }
            }
            _ => unreachable!("the noisy targets are a copy of the others"),
        }
        &self.noisy
    }
}

/// Noise from N(0, std²) on weights while a gradient is taken (Murray & Edwards 1994, "Enhanced MLP performance and
/// fault tolerance resulting from synaptic weight noise during training").
#[derive(Debug)]
pub(super) struct WeightNoise<T> {
    seed: u64,
    std: T,
    /// The weights; biases, scales and statistics carry no noise.
    ranges: Vec<Range<usize>>,
    draws: Vec<T>,
    kept: Vec<T>,
}

impl<T: Scalar> WeightNoise<T> {
    /// Noise of this deviation on the weights among `views`; none where it is 0.
    pub(super) fn new(std: f64, seed: u64, views: &[View]) -> Option<Self> {
        let ranges: Vec<_> = views.iter().filter(|v| v.trainable && v.decays).map(View::range).collect();
        let n: usize = ranges.iter().map(Range::len).sum();
        let zeros = || vec![T::ZERO; n];
        (std > 0.0).then(|| Self { seed, std: T::from_f64(std), ranges, draws: zeros(), kept: zeros() })
    }

    /// Adds the noise of training step `step`, and keeps the weights as they were.
    pub(super) fn add(&mut self, level: CpuLevel, step: u32, params: &mut [T]) {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        T::fill_normal(level, &mut self.draws, key, [0, step, Purpose::WeightNoise as u32]);
        let mut at = 0;
        for range in &self.ranges {
            let (weights, here) = (&mut params[range.clone()], at..at + range.len());
            self.kept[here.clone()].copy_from_slice(weights);
            T::add_scaled(level, &self.draws[here], self.std, weights);
            at += range.len();
        }
    }

    /// Puts the weights back to the bits that they had.
    pub(super) fn take_away(&self, params: &mut [T]) {
        let mut at = 0;
        for range in &self.ranges {
            params[range.clone()].copy_from_slice(&self.kept[at..at + range.len()]);
            at += range.len();
        }
    }
}

/// Noise on gradients whose variance fades: η / (1 + t)^0.55 in step t of the optimiser, counted from 0 (Neelakantan
/// et al. 2015, "Adding gradient noise improves learning for very deep networks", equation 2 with γ = 0.55).
#[derive(Debug)]
pub(super) struct GradientNoise<T> {
    seed: u64,
    eta: f64,
    draws: Vec<T>,
    pub(super) steps: u32,
}

impl<T: Scalar> GradientNoise<T> {
    /// Noise of this η on `n_params` numbers; none where it is 0.
    pub(super) fn new(eta: f64, seed: u64, n_params: usize) -> Option<Self> {
        (eta > 0.0).then(|| Self { seed, eta, draws: vec![T::ZERO; n_params], steps: 0 })
    }

    /// Adds the noise of the next step. What is no trained number gets some too, and nobody looks at its gradient.
    pub(super) fn add(&mut self, level: CpuLevel, grads: &mut [T]) {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        T::fill_normal(level, &mut self.draws, key, [0, self.steps, Purpose::GradientNoise as u32]);
        let std = (self.eta / (1.0 + f64::from(self.steps)).powf(0.55)).sqrt();
        T::add_scaled(level, &self.draws, T::from_f64(std), grads);
        self.steps = self.steps.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 30_000;

    #[test]
    fn as_many_classes_are_wrong_as_asked_for_and_all_others_as_often() {
        let loss = Loss::CategoricalCrossentropy;
        let truth: OwnedTargets<f32> = OwnedTargets::Classes((0..N as u32).map(|row| row % 4).collect());
        let mut noise = LabelNoise::new(0.3, 1, loss, 4, &truth).unwrap();
        let classes = |targets: &OwnedTargets<f32>| match targets {
            OwnedTargets::Classes(classes) => classes.clone(),
            other => panic!("{other:?}"),
        };
        let first = classes(noise.of_epoch(1, &truth));
        let mut became = [[0_usize; 4]; 4];
        for (from, to) in classes(&truth).into_iter().zip(&first) {
            became[from as usize][*to as usize] += 1;
        }
        for (from, row) in became.iter().enumerate() {
            for (to, &n) in row.iter().enumerate() {
                // Of 7,500 rows of a class 70 % stay, and 10 % become each other one: 26 is one deviation.
                let expected = if from == to { 5250 } else { 750 };
                assert!(n.abs_diff(expected) < 160, "{from} became {to} {n} times");
            }
        }
        assert_ne!(classes(noise.of_epoch(2, &truth)), first, "every epoch is wrong in other rows");
        assert_eq!(classes(noise.of_epoch(1, &truth)), first);
        assert!(LabelNoise::new(0.0, 1, loss, 4, &truth).is_none());
    }

    #[test]
    fn of_two_classes_the_other_is_meant() {
        let weights = vec![2.0_f32; N];
        let truth = OwnedTargets::WeightedClasses(vec![1; N], weights.clone());
        // One output for two classes.
        let mut noise = LabelNoise::new(0.1, 1, Loss::BinaryCrossentropy, 1, &truth).unwrap();
        let OwnedTargets::WeightedClasses(wrong, kept) = noise.of_epoch(1, &truth) else {
            panic!("weighted")
        };
        let flipped = wrong.iter().filter(|class| **class == 0).count();
        // 3,000 expected, standard deviation 52.
        assert!(flipped.abs_diff(3000) < 260 && wrong.iter().all(|class| *class < 2), "{flipped}");
        assert_eq!(*kept, weights);
    }

    #[test]
    fn numbers_are_off_by_the_deviation_asked_for() {
        let truth: OwnedTargets<f64> = OwnedTargets::Values(vec![3.0; N]);
        let mut noise = LabelNoise::new(0.5, 1, Loss::Mse, 1, &truth).unwrap();
        let OwnedTargets::Values(wrong) = noise.of_epoch(7, &truth) else { panic!("numbers") };
        let mean = wrong.iter().sum::<f64>() / N as f64;
        let variance = wrong.iter().map(|t| (t - 3.0).powi(2)).sum::<f64>() / N as f64;
        // Standard errors 0.5/√30000 = 0.003 and √(2/30000) = 0.008 of the variance.
        assert!((mean - 3.0).abs() < 0.015 && (variance / 0.25 - 1.0).abs() < 0.04, "{mean}, {variance}");
    }

    #[test]
    fn only_weights_carry_noise_and_they_get_their_bits_back() {
        let view = |name: &str, offset, trainable, decays| View {
            name: name.into(),
            shape: vec![2],
            offset,
            trainable,
            decays,
            is_table: false,
            lr_factor: 1.0,
            dense: None,
        };
        let views = [
            view("weight", 0, true, true),
            view("bias", 2, true, false),
            view("running_mean", 4, false, false),
        ];
        let start = [0.1_f32, -0.2, 0.3, 0.4, 0.5, 0.6];
        let mut params = start;
        let mut noise = WeightNoise::new(0.5, 1, &views).unwrap();
        noise.add(CpuLevel::detect(), 3, &mut params);
        assert!(params[..2].iter().zip(&start).all(|(a, b)| a != b));
        assert_eq!(params[2..], start[2..]);
        noise.take_away(&mut params);
        assert_eq!(params.map(f32::to_bits), start.map(f32::to_bits));
    }
}
