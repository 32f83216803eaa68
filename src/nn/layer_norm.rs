//! Layer normalisation (Ba, Kiros & Hinton 2016): y = γ·(x − mean)/√(variance + ε) + β, row by row.
//!
//! Mean and variance are those of the row's own features, in training as in use: no row depends on another, and
//! there are no running statistics. Of an ensemble's rows each member is a row of its own, with its own γ and β.

use std::ops::Range;

use statera_kernels::Scalar;

use super::layer::Pass;
use super::params::{Layout, Role};

/// Layer normalisation of K members' F features: scale γ (K·F), shift β (K·F).
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// F.
    features: usize,
    /// K.
    members: usize,
    epsilon: f64,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl LayerNorm {
    pub(crate) fn new(layout: &mut Layout, [features, members]: [usize; 2], epsilon: f64) -> Self {
        Self {
            features,
            members,
            epsilon,
            weight: layout.add("weight", &[members * features], Role::Offset),
            bias: layout.add("bias", &[members * features], Role::Offset),
        }
    }

    /// Features of a row, of all members.
    pub(crate) fn width(&self) -> usize {
        self.members * self.features
    }

    /// Mean and 1/std of each member of each row.
    pub(crate) fn cache_len(&self, n_rows: usize) -> usize {
        2 * n_rows * self.members
    }

    /// y = (x − mean)·γ/std + β, with x and y rows×(K·F).
    pub(crate) fn forward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        [first_row, n_rows]: [usize; 2],
        x: &[T],
        y: &mut [T],
        cache: &mut [T],
    ) {
        let (gamma, beta) = (&pass.params[self.weight.clone()], &pass.params[self.bias.clone()]);
        let moments = &mut cache[self.cache_len(first_row)..self.cache_len(first_row + n_rows)];
        let epsilon = T::from_f64(self.epsilon);
        if self.members == 1 {
            return T::layer_norm(pass.level, x, gamma, beta, epsilon, y, moments);
        }
        let f = self.features;
        let members = x.chunks_exact(f).zip(y.chunks_exact_mut(f)).zip(moments.chunks_exact_mut(2));
        for (i, ((x, y), moments)) in members.enumerate() {
            let own = i % self.members * f..(i % self.members + 1) * f;
            T::layer_norm(pass.level, x, &gamma[own.clone()], &beta[own], epsilon, y, moments);
        }
    }

    /// Sets dγ and dβ to zero, for the rows to be added to them.
    pub(crate) fn prepare_backward<T: Scalar>(&self, grads: &mut [T]) {
        grads[self.weight.start..self.bias.end].fill(T::ZERO);
    }

    /// dγ and dβ, and all gradients before them, those of the layers below.
    pub(crate) fn own_sums<'a, T>(&self, grads: &'a mut [T]) -> [&'a mut [T]; 2] {
        let (below, own) = grads[..self.bias.end].split_at_mut(self.weight.start);
        [own, below]
    }

    /// Whether the passes include relu's derivative and the bias's sums of a dense layer below: where each row is one.
    pub(crate) fn takes_over_relu(&self) -> bool {
        self.members == 1
    }

    /// With x̂ = (x − mean)/std and g = dy·γ: dβ += Σ dy, dγ += Σ dy·x̂ over the rows, and
    /// dx = (g − mean of g − x̂ · mean of g·x̂)/std, over dy (rows×(K·F)).
    ///
    /// `sums` holds dγ and dβ. With `relu_sums`, x is what a dense layer's relu gave: dx is then that layer's ∂L/∂z, and
    /// relu_sums += Σ over rows of it.
    pub(crate) fn backward_rows<T: Scalar>(
        &self,
        pass: &Pass<T>,
        [first_row, n_rows]: [usize; 2],
        x: &[T],
        dy: &mut [T],
        sums: &mut [T],
        cache: &[T],
        relu_sums: Option<&mut [T]>,
    ) {
        let gamma = &pass.params[self.weight.clone()];
        let moments = &cache[self.cache_len(first_row)..self.cache_len(first_row + n_rows)];
        let (dgamma, dbeta) = sums.split_at_mut(self.width());
        if self.members == 1 {
            return T::layer_norm_backward(pass.level, x, moments, gamma, dy, dgamma, dbeta, relu_sums);
        }
        let f = self.features;
        let members = x.chunks_exact(f).zip(dy.chunks_exact_mut(f)).zip(moments.chunks_exact(2));
        for (i, ((x, dy), moments)) in members.enumerate() {
            let own = i % self.members * f..(i % self.members + 1) * f;
            let sums = (&mut dgamma[own.clone()], &mut dbeta[own.clone()]);
            T::layer_norm_backward(pass.level, x, moments, &gamma[own], dy, sums.0, sums.1, None);
        }
    }

    pub(crate) fn init<T: Scalar>(&self, params: &mut [T]) {
        params[self.weight.clone()].fill(T::ONE);
        params[self.bias.clone()].fill(T::ZERO);
    }
}
