//! Residual blocks (He et al. 2016, "Deep residual learning for image recognition"): y = x + f(x), with f a list of
//! layers whose output is as wide as their input.
//!
//! A network is a flat stack: a block stands in it as its layers between two marks, its begin and its end. The begin
//! changes nothing; the end adds what entered the block. On the way back the end keeps ∂L/∂y, which the begin adds to
//! what has come through the layers: ∂L/∂x = ∂L/∂y + (∂f/∂x)ᵀ·∂L/∂y. Each mark knows the other's place, so that the
//! network can hand it the other's memory.

use statera_kernels::Scalar;

use super::layer::Pass;

/// Where a block begins: its input passes unchanged, and stays in memory until the end.
#[derive(Debug, Clone)]
pub struct ResidualBegin {
    /// F.
    pub features: usize,
    /// How many layers the block lists.
    pub n_layers: usize,
    /// The place of the block's end in the stack.
    pub(crate) end: usize,
}

/// Where a block ends.
#[derive(Debug, Clone)]
pub struct ResidualEnd {
    /// F.
    pub features: usize,
    /// The place of the block's begin in the stack.
    pub(crate) begin: usize,
}

impl ResidualEnd {
    /// y = f(x) + x, over f(x) in y (rows×F), with x the block's input (B×F).
    pub(crate) fn forward<T: Scalar>(&self, pass: &Pass<T>, first_row: usize, x: &[T], y: &mut [T]) {
        T::add_to(pass.level, &x[first_row * self.features..][..y.len()], y);
    }

    /// ∂L/∂f(x) is dy (rows×F) itself; a copy is kept (B×F) for the block's begin.
    pub(crate) fn backward_rows<T: Scalar>(&self, first_row: usize, dy: &[T], kept: &mut [T]) {
        kept[first_row * self.features..][..dy.len()].copy_from_slice(dy);
    }
}

impl ResidualBegin {
    /// dx = ∂L/∂x through the layers, in dx (rows×F), plus what the block's end has kept (B×F).
    pub(crate) fn backward_rows<T: Scalar>(
        &self,
        pass: &Pass<T>,
        first_row: usize,
        kept: &[T],
        dx: &mut [T],
    ) {
        T::add_to(pass.level, &kept[first_row * self.features..][..dx.len()], dx);
    }
}
