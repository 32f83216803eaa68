//! Batch normalisation (Ioffe & Szegedy 2015): y = γ·(x − mean)/√(variance + ε) + β, feature by feature.
//!
//! In training, mean and variance are those of the shard ("ghost batch", Hoffer et al. 2017); in use, running
//! ones, kept as running ← momentum·running + (1 − momentum)·shard. As in Keras, momentum is the share that is
//! kept, and the running variance takes the variance divided by B (`PyTorch` divides by B − 1).

use std::ops::Range;

use statera_kernels::{CpuLevel, Kept, Scalar};

use super::layer::{Mode, Pass};
use super::params::{Layout, Role};

/// Batch normalisation of F features: scale γ (F), shift β (F), running mean (F) and variance (F).
#[derive(Debug, Clone)]
pub struct BatchNorm {
    /// F.
    pub features: usize,
    momentum: f64,
    epsilon: f64,
    weight: Range<usize>,
    bias: Range<usize>,
    running_mean: Range<usize>,
    running_var: Range<usize>,
}

impl BatchNorm {
    pub(crate) fn new(layout: &mut Layout, features: usize, momentum: f64, epsilon: f64) -> Self {
        Self {
            features,
            momentum,
            epsilon,
            weight: layout.add("weight", &[features], Role::Offset),
            bias: layout.add("bias", &[features], Role::Offset),
            running_mean: layout.add("running_mean", &[features], Role::Statistic),
            running_var: layout.add("running_var", &[features], Role::Statistic),
        }
    }

    /// mean, variance, 1/std, γ/std, and the two factors of the backward pass; F numbers each.
    pub(crate) fn cache_len(&self) -> usize {
        6 * self.features
    }

    /// Of these, mean and variance are what a shard leaves for the running statistics.
    pub(crate) fn n_statistics(&self) -> usize {
        2 * self.features
    }

    /// Takes rows of x, those from `first_row` on, into the moments of the shard, in training.
    pub(crate) fn add_moments<T: Scalar>(&self, pass: &Pass<T>, first_row: usize, x: &[T], cache: &mut [T]) {
        if pass.mode != Mode::Infer {
            let (mean, rest) = cache.split_at_mut(self.features);
            T::add_column_moments(pass.level, x, first_row, mean, &mut rest[..self.features]);
        }
    }

    /// The factors for all rows, once all are taken in.
    pub(crate) fn prepare<T: Scalar>(&self, pass: &Pass<T>, cache: &mut [T]) {
        let f = self.features;
        let (mean, rest) = cache.split_at_mut(f);
        let (variance, rest) = rest.split_at_mut(f);
        let (inv_std, rest) = rest.split_at_mut(f);
        let (scale, backward) = rest.split_at_mut(f);
        let mut share = T::from_f64(1.0 / pass.n_rows as f64);
        if pass.mode == Mode::Infer {
            mean.copy_from_slice(&pass.params[self.running_mean.clone()]);
            variance.copy_from_slice(&pass.params[self.running_var.clone()]);
            backward.fill(T::ZERO);
            share = T::ONE;
        }
        let gamma = &pass.params[self.weight.clone()];
        T::normalize_factors(pass.level, variance, share, T::from_f64(self.epsilon), gamma, inv_std, scale);
    }

    /// y = (x − mean)·γ/std + β, with x and y B×F; and dropped out by the layer that follows, if there is one.
    pub(crate) fn forward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        x: &[T],
        y: &mut [T],
        cache: &[T],
        kept: Option<Kept<T>>,
    ) {
        let f = self.features;
        let (mean, scale) = (&cache[..f], &cache[3 * f..4 * f]);
        T::normalize(pass.level, x, mean, scale, &pass.params[self.bias.clone()], y, kept);
    }

    /// With x̂ = (x − mean)/std, adds rows to dβ = Σ dy and to dγ = Σ dy·x̂ (still times std). Where dropout follows
    /// the layer, dy is that of what dropout gave.
    pub(crate) fn add_backward_sums<T: Scalar>(
        &self,
        pass: &Pass<T>,
        first_row: usize,
        x: &[T],
        dy: &[T],
        grads: &mut [T],
        cache: &[T],
        kept: Option<Kept<T>>,
    ) {
        let sums = &mut grads[self.weight.start..self.bias.end];
        if first_row == 0 {
            sums.fill(T::ZERO);
        }
        let (dgamma, dbeta) = sums.split_at_mut(self.features);
        T::normalize_backward_sums(pass.level, x, dy, &cache[..self.features], dgamma, dbeta, kept);
    }

    /// Once all rows are added: dγ, and the factors of [`BatchNorm::backward_rows`].
    pub(crate) fn finish_backward_sums<T: Scalar>(&self, pass: &Pass<T>, grads: &mut [T], cache: &mut [T]) {
        let f = self.features;
        let (forward, backward) = cache.split_at_mut(4 * f);
        let (inv_std, scale) = (&forward[2 * f..3 * f], &forward[3 * f..]);
        let (dgamma, dbeta) = grads[self.weight.start..self.bias.end].split_at_mut(f);
        let (b, c) = backward.split_at_mut(f);
        // In use the statistics do not depend on x, and b and c are zero.
        let share = if pass.mode == Mode::Infer { 0.0 } else { -1.0 / pass.n_rows as f64 };
        let factors = [inv_std, scale];
        T::normalize_backward_factors(pass.level, T::from_f64(share), factors, dgamma, dbeta, b, c);
    }

    /// dx = γ/std · (dy − dβ/B − x̂·dγ/B), over dy (B×F).
    ///
    /// In use the statistics do not depend on x, and dx = γ/std · dy. Where dropout follows the layer, dy is that of what dropout
    /// gave. With `relu_sums`, x is what a dense layer's relu
    /// gave: dx is then that layer's ∂L/∂z, and relu_sums += Σ over rows of it.
    pub(crate) fn backward_rows<T: Scalar>(
        &self,
        pass: &Pass<T>,
        x: &[T],
        dy: &mut [T],
        cache: &[T],
        kept: Option<Kept<T>>,
        relu_sums: Option<&mut [T]>,
    ) {
        let f = self.features;
        let part = |i: usize| &cache[i * f..(i + 1) * f];
        T::normalize_backward_input(pass.level, x, dy, part(0), part(3), part(4), part(5), kept, relu_sums);
    }

    /// One step of the running statistics, towards the mean of those of the shards.
    pub(crate) fn absorb<'a, T: Scalar>(
        &self,
        level: CpuLevel,
        params: &mut [T],
        statistics: impl ExactSizeIterator<Item = &'a [T]>,
    ) {
        let share = T::from_f64((1.0 - self.momentum) / statistics.len() as f64);
        // Mean and variance lie side by side, in what a shard leaves too.
        let running = &mut params[self.running_mean.start..self.running_var.end];
        let mut keep = T::from_f64(self.momentum);
        for shard in statistics {
            T::combine(level, share, &shard[..2 * self.features], keep, running);
            keep = T::ONE;
        }
    }

    pub(crate) fn init<T: Scalar>(&self, params: &mut [T]) {
        params[self.weight.clone()].fill(T::ONE);
        params[self.bias.clone()].fill(T::ZERO);
        params[self.running_mean.clone()].fill(T::ZERO);
        params[self.running_var.clone()].fill(T::ONE);
    }
}
