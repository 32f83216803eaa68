//! Layer normalisation (Ba, Kiros & Hinton 2016): y = γ·(x − mean)/√(variance + ε) + β, row by row.
//!
//! Mean and variance are those of the row's own features, in training as in use: no row depends on another, and
//! there are no running statistics.

use std::ops::Range;

use statera_kernels::Scalar;

use super::layer::Pass;
use super::params::{Layout, Role};

/// Layer normalisation of F features: scale γ (F), shift β (F).
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// F.
    pub features: usize,
    epsilon: f64,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl LayerNorm {
    pub(crate) fn new(layout: &mut Layout, features: usize, epsilon: f64) -> Self {
        Self {
            features,
            epsilon,
            weight: layout.add("weight", &[features], Role::Offset),
            bias: layout.add("bias", &[features], Role::Offset),
        }
    }

    /// Mean and 1/std of each row.
    pub(crate) fn cache_len(n_rows: usize) -> usize {
        2 * n_rows
    }

    /// y = (x − mean)·γ/std + β, with x and y rows×F.
    pub(crate) fn forward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        [first_row, n_rows]: [usize; 2],
        x: &[T],
        y: &mut [T],
        cache: &mut [T],
    ) {
        let (gamma, beta) = (&pass.params[self.weight.clone()], &pass.params[self.bias.clone()]);
        let moments = &mut cache[2 * first_row..2 * (first_row + n_rows)];
        T::layer_norm(pass.level, x, gamma, beta, T::from_f64(self.epsilon), y, moments);
    }

    /// Sets dγ and dβ to zero, for the rows to be added to them.
    pub(crate) fn prepare_backward<T: Scalar>(&self, grads: &mut [T]) {
        grads[self.weight.start..self.bias.end].fill(T::ZERO);
    }

    /// With x̂ = (x − mean)/std and g = dy·γ: dβ += Σ dy, dγ += Σ dy·x̂ over the rows, and
    /// dx = (g − mean of g − x̂ · mean of g·x̂)/std, over dy (rows×F).
    pub(crate) fn backward_rows<T: Scalar>(
        &self,
        pass: &Pass<T>,
        [first_row, n_rows]: [usize; 2],
        x: &[T],
        dy: &mut [T],
        grads: &mut [T],
        cache: &[T],
    ) {
        let gamma = &pass.params[self.weight.clone()];
        let moments = &cache[2 * first_row..2 * (first_row + n_rows)];
        let (dgamma, dbeta) = grads[self.weight.start..self.bias.end].split_at_mut(self.features);
        T::layer_norm_backward(pass.level, x, moments, gamma, dy, dgamma, dbeta);
    }

    pub(crate) fn init<T: Scalar>(&self, params: &mut [T]) {
        params[self.weight.clone()].fill(T::ONE);
        params[self.bias.clone()].fill(T::ZERO);
    }
}
