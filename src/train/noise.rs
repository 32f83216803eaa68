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
    steps: u32,
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
