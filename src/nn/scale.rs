//! A learned factor for each feature: y = s∘x, the scaling layer of RealMLP (Holzmüller, Grinsztajn & Steinwart
//! 2024, "Better by default").

use std::ops::Range;

use statera_kernels::Scalar;

use super::layer::Pass;
use super::params::{Layout, Role};

/// One factor s (F) for each of F features, 1 at the start; weight decay leaves it alone.
#[derive(Debug, Clone)]
pub struct Scale {
    /// F.
    pub features: usize,
    weight: Range<usize>,
}

impl Scale {
    pub(crate) fn new(layout: &mut Layout, features: usize) -> Self {
        Self { features, weight: layout.add("weight", &[features], Role::Offset) }
    }

    /// y = s∘x, with x and y rows×F.
    pub(crate) fn forward<T: Scalar>(&self, pass: &Pass<T>, x: &[T], y: &mut [T]) {
        T::scale_columns(pass.level, x, &pass.params[self.weight.clone()], y);
    }

    /// Sets ds to zero, for the rows to be added to it.
    pub(crate) fn prepare_backward<T: Scalar>(&self, grads: &mut [T]) {
        grads[self.weight.clone()].fill(T::ZERO);
    }

    /// ds += Σ over the rows of dy∘x; dx = s∘dy, over dy (rows×F).
    pub(crate) fn backward_rows<T: Scalar>(&self, pass: &Pass<T>, x: &[T], dy: &mut [T], grads: &mut [T]) {
        let factor = &pass.params[self.weight.clone()];
        T::scale_columns_backward(pass.level, x, factor, dy, &mut grads[self.weight.clone()]);
    }

    pub(crate) fn init<T: Scalar>(&self, params: &mut [T]) {
        params[self.weight.clone()].fill(T::ONE);
    }
}
