//! Batch normalisation (Ioffe & Szegedy 2015): y = γ·(x − mean)/√(variance + ε) + β, feature by feature.
//!
//! In training, mean and variance are those of the shard ("ghost batch", Hoffer et al. 2017); in use, running
//! ones, kept as running ← momentum·running + (1 − momentum)·shard. As in Keras, momentum is the share that is
//! kept, and the running variance takes the variance divided by B (`PyTorch` divides by B − 1).

use std::ops::Range;

use statera_kernels::Scalar;

use super::layer::{Gradient, Mode, Pass};
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

    /// mean (F), variance (F), 1/std (F), and γ/std (F).
    pub(crate) fn cache_len(&self) -> usize {
        4 * self.features
    }

    pub(crate) fn scratch_len(&self) -> usize {
        2 * self.features
    }

    /// x, y: B×F.
    pub(crate) fn forward<T: Scalar>(&self, pass: &Pass<T>, x: &[T], y: &mut [T], cache: &mut [T]) {
        let f = self.features;
        let (mean, rest) = cache.split_at_mut(f);
        let (variance, rest) = rest.split_at_mut(f);
        let (inv_std, scale) = rest.split_at_mut(f);
        if pass.mode == Mode::Infer {
            mean.copy_from_slice(&pass.params[self.running_mean.clone()]);
            variance.copy_from_slice(&pass.params[self.running_var.clone()]);
        } else {
            T::column_moments(pass.level, x, mean, variance);
        }
        let epsilon = T::from_f64(self.epsilon);
        for (inv_std, &variance) in inv_std.iter_mut().zip(&*variance) {
            *inv_std = T::ONE / (variance + epsilon).sqrt();
        }
        T::multiply(pass.level, inv_std, &pass.params[self.weight.clone()], scale);
        T::normalize(pass.level, x, mean, scale, &pass.params[self.bias.clone()], y);
    }

    /// With x̂ = (x − mean)/std: dβ = Σ dy, dγ = Σ dy·x̂, dx = γ/std · (dy − dβ/B − x̂·dγ/B).
    ///
    /// In use the statistics do not depend on x, and dx = γ/std · dy.
    pub(crate) fn backward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        x: &[T],
        gradient: &mut Gradient<T>,
        wants_dx: bool,
        grads: &mut [T],
        cache: &[T],
        scratch: &mut [T],
    ) {
        let f = self.features;
        let dy = &mut gradient.dy[..pass.n_rows * f];
        let (mean, inv_std, scale) = (&cache[..f], &cache[2 * f..3 * f], &cache[3 * f..]);
        let (dgamma, dbeta) = grads[self.weight.start..self.bias.end].split_at_mut(f);
        T::normalize_backward_parameters(pass.level, x, dy, mean, inv_std, dgamma, dbeta);
        if !wants_dx {
            return;
        }
        let (b, c) = scratch[..2 * f].split_at_mut(f);
        if pass.mode == Mode::Infer {
            b.fill(T::ZERO);
            c.fill(T::ZERO);
        } else {
            let share = T::from_f64(-1.0 / pass.n_rows as f64);
            for i in 0..f {
                b[i] = share * scale[i] * inv_std[i] * dgamma[i];
                c[i] = share * scale[i] * dbeta[i];
            }
        }
        T::normalize_backward_input(pass.level, x, dy, mean, scale, b, c);
    }

    /// One step of the running statistics, towards the mean of those of the shards.
    pub(crate) fn absorb<'a, T: Scalar>(
        &self,
        params: &mut [T],
        caches: impl ExactSizeIterator<Item = &'a [T]>,
    ) {
        let f = self.features;
        let keep = T::from_f64(self.momentum);
        let share = T::from_f64((1.0 - self.momentum) / caches.len() as f64);
        let (mean, variance) = params[self.running_mean.start..self.running_var.end].split_at_mut(f);
        for running in mean.iter_mut().chain(&mut *variance) {
            *running *= keep;
        }
        for cache in caches {
            for i in 0..f {
                mean[i] += share * cache[i];
                variance[i] += share * cache[f + i];
            }
        }
    }

    pub(crate) fn init<T: Scalar>(&self, params: &mut [T]) {
        params[self.weight.clone()].fill(T::ONE);
        params[self.bias.clone()].fill(T::ZERO);
        params[self.running_mean.clone()].fill(T::ZERO);
        params[self.running_var.clone()].fill(T::ONE);
    }
}
