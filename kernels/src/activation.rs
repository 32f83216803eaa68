//! Element-wise activation functions and their derivatives.

use crate::batch_norm::{column_sums, column_sums_after};
use crate::math::Real;

/// An element-wise function y = f(z); each derivative here is written in terms of y, so that z need not be kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// y = z.
    Linear,
    /// y = max(z, 0).
    Relu,
    /// y = z for z > 0, slope·z below (Maas 2013); the slope is positive.
    LeakyRelu(f64),
    /// y = 1 / (1 + e^−z).
    Sigmoid,
    /// y = tanh z.
    Tanh,
}

#[inline(always)]
fn apply<T: Real>(values: &mut [T], f: impl Fn(T) -> T) {
    for v in values {
        *v = f(*v);
    }
}

#[inline(always)]
fn scale<T: Real>(dy: &mut [T], y: &[T], derivative: impl Fn(T) -> T) {
    for (d, &y) in dy.iter_mut().zip(y) {
        *d *= derivative(y);
    }
}

/// Replaces z by f(z).
#[inline(always)]
pub(crate) fn forward<T: Real>(function: Activation, z: &mut [T]) {
    match function {
        Activation::Linear => {}
        // NaN stays NaN: a comparison that is false keeps the number.
        Activation::Relu => apply(z, |z| if z < T::ZERO { T::ZERO } else { z }),
        Activation::LeakyRelu(slope) => {
            let slope = T::from_f64(slope);
            apply(z, |z| if z < T::ZERO { slope * z } else { z });
        }
        Activation::Sigmoid => apply(z, T::sigmoid),
        Activation::Tanh => apply(z, T::tanh),
    }
}

/// Replaces ∂L/∂y by ∂L/∂z, given y.
#[inline(always)]
pub(crate) fn backward<T: Real>(function: Activation, y: &[T], dy: &mut [T]) {
    match function {
        Activation::Linear => {}
        Activation::Relu => {
            for (d, &y) in dy.iter_mut().zip(y) {
                *d = if y > T::ZERO { *d } else { T::ZERO };
            }
        }
        Activation::LeakyRelu(slope) => {
            let slope = T::from_f64(slope);
            scale(dy, y, |y| if y > T::ZERO { T::ONE } else { slope });
        }
        Activation::Sigmoid => scale(dy, y, |y| y * (T::ONE - y)),
        Activation::Tanh => scale(dy, y, |y| (-y).mul_add(y, T::ONE)),
    }
}

/// [`backward`] of rows of `sums.len()` features, and sums(F) += Σ over the rows of ∂L/∂z, in one pass.
#[inline(always)]
pub(crate) fn backward_with_sums<T: Real>(function: Activation, y: &[T], dy: &mut [T], sums: &mut [T]) {
    if function == Activation::Relu {
        column_sums_after(y, dy, sums, |y, d| if y > T::ZERO { d } else { T::ZERO });
    } else {
        backward(function, y, dy);
        column_sums(dy, sums);
    }
}
