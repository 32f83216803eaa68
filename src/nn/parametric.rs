//! An activation of which each feature takes a learned share: y = (1 − α)·x + α·f(x), the parametric activation of
//! `RealMLP` (Holzmüller, Grinsztajn & Steinwart 2024, "Better by default").
//!
//! α is 1 at the start, so that training begins at f itself. With relu it is PReLU (He et al. 2015) of slope 1 − α.

use std::ops::Range;

use statera_kernels::{Activation, Scalar};

use super::activation;
use super::layer::Pass;
use super::params::{Layout, Role};

/// One share α (F) for each of F features; weight decay leaves it alone.
#[derive(Debug, Clone)]
pub struct ParametricActivation {
    /// F.
    pub features: usize,
    pub(crate) function: Activation,
    weight: Range<usize>,
}

impl ParametricActivation {
    pub(crate) fn new(layout: &mut Layout, features: usize, function: Activation) -> Self {
        Self { features, function, weight: layout.add("weight", &[features], Role::Offset) }
    }

    pub(crate) fn detail(&self) -> String {
        activation::name(self.function)
    }

    /// Numbers kept for a backward pass over B rows: f(x) (B×F), and then f′(x) (B×F).
    pub(crate) fn cache_len(&self, n_rows: usize) -> usize {
        2 * n_rows * self.features
    }

    /// f(x) of B rows in use.
    pub(crate) fn scratch_len(&self, n_rows: usize) -> usize {
        n_rows * self.features
    }

    /// y = (1 − α)·x + α·f(x), with x and y rows×F.
    pub(crate) fn forward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        first_row: usize,
        x: &[T],
        y: &mut [T],
        cache: &mut [T],
        scratch: &mut [T],
    ) {
        let share = &pass.params[self.weight.clone()];
        if cache.is_empty() {
            let f = &mut scratch[..x.len()];
            f.copy_from_slice(x);
            T::activate(pass.level, self.function, f);
            return T::mix_columns(pass.level, x, f, share, y);
        }
        let rows = first_row * self.features..first_row * self.features + x.len();
        let (f, slopes) = cache.split_at_mut(cache.len() / 2);
        let (f, slopes) = (&mut f[rows.clone()], &mut slopes[rows]);
        f.copy_from_slice(x);
        if self.function.keeps_derivative() {
            T::activate_keeping(pass.level, self.function, f, slopes);
        } else {
            T::activate(pass.level, self.function, f);
            slopes.fill(T::ONE);
            T::activate_backward(pass.level, self.function, f, slopes);
        }
        T::mix_columns(pass.level, x, f, share, y);
    }

    /// Sets dα to zero, for the rows to be added to it.
    pub(crate) fn prepare_backward<T: Scalar>(&self, grads: &mut [T]) {
        grads[self.weight.clone()].fill(T::ZERO);
    }

    /// dα += Σ over the rows of dy∘(f(x) − x); dx = dy∘((1 − α) + α∘f′(x)), over dy (rows×F).
    pub(crate) fn backward_rows<T: Scalar>(
        &self,
        pass: &Pass<T>,
        first_row: usize,
        x: &[T],
        dy: &mut [T],
        grads: &mut [T],
        cache: &[T],
    ) {
        let rows = first_row * self.features..first_row * self.features + x.len();
        let (f, slopes) = cache.split_at(cache.len() / 2);
        let (f, slopes) = (&f[rows.clone()], &slopes[rows]);
        let share = &pass.params[self.weight.clone()];
        T::mix_columns_backward(pass.level, x, f, slopes, share, dy, &mut grads[self.weight.clone()]);
    }

    pub(crate) fn init<T: Scalar>(&self, params: &mut [T]) {
        params[self.weight.clone()].fill(T::ONE);
    }
}
