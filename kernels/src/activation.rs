//! Element-wise activation functions and their derivatives.

use crate::batch_norm::{column_sums, column_sums_after};
use crate::math::Real;
use crate::vector::Vector;

/// An element-wise function y = f(z).
///
/// The derivative of most is written in terms of y, so that z need not be kept. Those that are not monotonic have
/// none such ([`Activation::keeps_derivative`]): their derivative is computed along with y.
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
    /// y = z for z > 0, e^z − 1 below (Clevert, Unterthiner & Hochreiter 2016, with α = 1).
    Elu,
    /// y = λ·z for z > 0, λ·α·(e^z − 1) below (Klambauer et al. 2017).
    Selu,
    /// y = z·Φ(z), Φ being the normal distribution function (Hendrycks & Gimpel 2016), without approximating it
    /// by tanh.
    Gelu,
    /// y = z / (1 + e^−z) (Elfwing, Uchibe & Doya 2018).
    Silu,
    /// y = z·tanh(ln(1 + e^z)) (Misra 2020).
    Mish,
    /// y = ln(1 + e^z) (Dugas et al. 2001).
    Softplus,
    /// y = z / (1 + |z|) (Bergstra et al. 2009).
    Softsign,
}

/// λ of SELU: with it and [`SELU_ALPHA`], mean 0 and variance 1 are a fixed point (Klambauer et al. 2017).
const SELU_LAMBDA: f64 = 1.050_700_987_355_480_5;
/// α of SELU.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// 1/√(2π), the density of the normal distribution at zero.
const DENSITY: f64 = 0.398_942_280_401_432_7;

impl Activation {
    /// Whether the backward pass is given f′(z), as written beside y, in place of y.
    pub fn keeps_derivative(self) -> bool {
        matches!(self, Self::Gelu | Self::Silu | Self::Mish)
    }
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

/// y and f′(z) at once.
#[inline(always)]
fn apply_both<T: Real>(values: &mut [T], derivatives: &mut [T], f: impl Fn(T) -> [T; 2]) {
    for (v, d) in values.iter_mut().zip(derivatives) {
        [*v, *d] = f(*v);
    }
}

/// z·Φ(z) and Φ(z) + z·φ(z), from Φ(−|z|) = e^(−z²/2) · [`Real::scaled_normal_tail`].
#[inline(always)]
fn gelu<T: Real>(z: T) -> [T; 2] {
    // Beyond 40 the density is zero even in double precision.
    let near = z.at_most(T::from_f64(40.0)).at_least(T::from_f64(-40.0));
    let decay = (near * near * T::from_f64(-0.5)).exp();
    let tail = decay * near.abs().scaled_normal_tail();
    let below = if z < T::ZERO { tail } else { T::ONE - tail };
    [z * below, (near * T::from_f64(DENSITY)).mul_add(decay, below)]
}

/// z·σ and σ + z·σ·(1 − σ); e^−|z| cannot overflow, and 1 − σ(z) = σ(−z) does not cancel.
#[inline(always)]
fn silu<T: Real>(z: T) -> [T; 2] {
    let e = (-z.abs()).exp();
    let upper = T::ONE / (T::ONE + e);
    let lower = e * upper;
    let (sigma, rest) = if z < T::ZERO { (lower, upper) } else { (upper, lower) };
    [z * sigma, (z * sigma).mul_add(rest, sigma)]
}

/// z·t and t + z·(1 − t²)·σ(z), with t = tanh(ln(1 + e^z)).
///
/// With e = e^−|z|: t = n/d, where n = e·(e + 2) and d = n + 2 below zero, n = 1 + 2e and d = n + 2e² above; then
/// (1 − t²)·σ = 4e·(1 + e)/d², times another e above zero.
#[inline(always)]
fn mish<T: Real>(z: T) -> [T; 2] {
    let (two, four) = (T::from_f64(2.0), T::from_f64(4.0));
    let e = (-z.abs()).exp();
    let is_below = z < T::ZERO;
    let n = if is_below { e * (e + two) } else { e.mul_add(two, T::ONE) };
    let d = n + if is_below { two } else { two * e * e };
    let inverse = T::ONE / d;
    let t = n * inverse;
    let slope = four * e * (T::ONE + e) * if is_below { T::ONE } else { e };
    [z * t, (z * slope).mul_add(inverse * inverse, t)]
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
        Activation::Elu => apply(z, |z| if z > T::ZERO { z } else { z.at_most(T::ZERO).exp_m1() }),
        Activation::Selu => {
            let (lambda, below) = (T::from_f64(SELU_LAMBDA), T::from_f64(SELU_LAMBDA * SELU_ALPHA));
            apply(z, |z| if z > T::ZERO { lambda * z } else { below * z.at_most(T::ZERO).exp_m1() });
        }
        Activation::Gelu => apply(z, |z| gelu(z)[0]),
        Activation::Silu => apply(z, |z| silu(z)[0]),
        Activation::Mish => apply(z, |z| mish(z)[0]),
        // ln(1 + e^z) = max(z, 0) + ln(1 + e^−|z|), which cannot overflow.
        Activation::Softplus => apply(z, |z| z.at_least(T::ZERO) + (-z.abs()).exp().ln_1p()),
        Activation::Softsign => apply(z, |z| z / (T::ONE + z.abs())),
    }
}

/// [`forward`] of a function that keeps its derivative, with f′(z) written to `derivative`.
#[inline(always)]
pub(crate) fn forward_keeping<T: Real>(function: Activation, z: &mut [T], derivative: &mut [T]) {
    match function {
        Activation::Gelu => apply_both(z, derivative, gelu),
        Activation::Silu => apply_both(z, derivative, silu),
        Activation::Mish => apply_both(z, derivative, mish),
        _ => forward(function, z),
    }
}

/// Replaces ∂L/∂y by ∂L/∂z, given y, or f′(z) where that is kept.
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
        // Below zero, f′ = e^z = y + 1.
        Activation::Elu => scale(dy, y, |y| if y > T::ZERO { T::ONE } else { y + T::ONE }),
        Activation::Selu => {
            let (lambda, below) = (T::from_f64(SELU_LAMBDA), T::from_f64(SELU_LAMBDA * SELU_ALPHA));
            scale(dy, y, |y| if y > T::ZERO { lambda } else { y + below });
        }
        // Here y is f′(z).
        Activation::Gelu | Activation::Silu | Activation::Mish => scale(dy, y, |derivative| derivative),
        // f′ = σ(z) = 1 − e^−y.
        Activation::Softplus => scale(dy, y, |y| -(-y).exp_m1()),
        // 1/(1 + |z|) = 1 − |y|.
        Activation::Softsign => scale(dy, y, |y| (T::ONE - y.abs()) * (T::ONE - y.abs())),
    }
}

/// [`backward`] of rows of `sums.len()` features, and sums(F) += Σ over the rows of ∂L/∂z, in one pass.
#[inline(always)]
pub(crate) fn backward_with_sums<V: Vector>(
    function: Activation,
    y: &[V::Element],
    dy: &mut [V::Element],
    sums: &mut [V::Element],
) {
    if function == Activation::Relu || function.keeps_derivative() {
        column_sums_after::<V>(function == Activation::Relu, y, dy, sums);
    } else {
        backward(function, y, dy);
        column_sums::<V>(dy, sums);
    }
}

#[cfg(test)]
mod tests {
    use super::{Activation, backward, forward, forward_keeping};
    use crate::math::Real;

    /// f(z) and f′(z) in double precision from the library's functions, by the textbook.
    fn truth(function: Activation, z: f64) -> [f64; 2] {
        let sigma = 1.0 / (1.0 + (-z).exp());
        match function {
            Activation::Elu => [if z > 0.0 { z } else { z.exp_m1() }, z.min(0.0).exp()],
            Activation::Selu if z > 0.0 => [super::SELU_LAMBDA * z, super::SELU_LAMBDA],
            Activation::Selu => {
                let below = super::SELU_LAMBDA * super::SELU_ALPHA;
                [below * z.exp_m1(), below * z.exp()]
            }
            Activation::Silu => [z * sigma, sigma * (1.0 + z / (1.0 + z.exp()))],
            Activation::Mish => {
                let t = (z.max(0.0) + (-z.abs()).exp().ln_1p()).tanh();
                [z * t, t + z * (1.0 - t * t) * sigma]
            }
            Activation::Softplus => [z.max(0.0) + (-z.abs()).exp().ln_1p(), sigma],
            Activation::Softsign => [z / (1.0 + z.abs()), (1.0 + z.abs()).powi(-2)],
            other => unreachable!("{other:?}"),
        }
    }

    fn computed<T: Real>(function: Activation, z: f64) -> [f64; 2] {
        let (mut y, mut kept, mut d) = ([T::from_f64(z)], [T::ZERO], [T::ONE]);
        forward(function, &mut y);
        let alone = y;
        y = [T::from_f64(z)];
        forward_keeping(function, &mut y, &mut kept);
        assert!(y == alone, "{function:?} {z}: {alone:?} alone, {y:?} with its derivative");
        backward(function, if function.keeps_derivative() { &kept } else { &y }, &mut d);
        [y[0].to_f64(), d[0].to_f64()]
    }

    const SMOOTH: [Activation; 6] = [
        Activation::Elu,
        Activation::Selu,
        Activation::Silu,
        Activation::Mish,
        Activation::Softplus,
        Activation::Softsign,
    ];

    #[test]
    fn functions_and_derivatives_agree_with_the_textbook() {
        for function in SMOOTH {
            for z in (-12_000..12_000).map(|i| f64::from(i) * 0.01).chain([-1e-6, 0.0, 1e-6, 1e4, -1e4]) {
                // Both are given the same number.
                let z = f64::from(z as f32);
                let expected = truth(function, z);
                let (single, double) = (computed::<f32>(function, z), computed::<f64>(function, z));
                for i in 0..2 {
                    let size = expected[i].abs();
                    let off = (single[i] - expected[i]).abs();
                    assert!(off <= 6e-7 * size.max(0.25), "{function:?} {z} [{i}]: off by {off:e}");
                    let off = (double[i] - expected[i]).abs();
                    assert!(off <= 4e-15 * size.max(1.0), "{function:?} {z} [{i}]: off by {off:e}");
                }
            }
        }
    }

    #[test]
    fn numbers_near_zero_keep_their_digits() {
        for function in [Activation::Elu, Activation::Selu] {
            for z in (1..2000).map(|i| f64::from((f64::from(-i) * 1e-6) as f32)) {
                let (got, expected) = (computed::<f32>(function, z)[0], truth(function, z)[0]);
                assert!((got / expected - 1.0).abs() < 5e-7, "{function:?} {z}: {got}, not {expected}");
            }
        }
        for z in (0..80).map(|i| -f64::from(i)) {
            let (got, expected) = (computed::<f32>(Activation::Softplus, z), truth(Activation::Softplus, z));
            for i in 0..2 {
                assert!((got[i] / expected[i] - 1.0).abs() < 1e-6, "softplus {z} [{i}]: {}", got[i]);
            }
        }
    }

    /// z, z·Φ(z) and Φ(z) + z·φ(z), computed in 40 digits.
    const GELU: [[f64; 3]; 12] = [
        [-20.0, -5.507_248_237_212_468e-88, -1.101_436_048_313_346_4e-86],
        [-6.5, -2.610_400_379_508_426_7e-10, -1.695_051_793_757_262_5e-9],
        [-3.0, -0.004_049_694_094_890_283_5, -0.011_945_647_204_183_927],
        [-1.5, -0.100_210_801_903_287_1, -0.127_469_192_229_979_52],
        [-0.75, -0.169_970_514_282_651_14, 0.000_774_278_260_764_895_7],
        [-0.125, -0.056_282_721_896_235_885, 0.400_782_064_301_793_4],
        [0.0, 0.0, 0.5],
        [0.125, 0.068_717_278_103_764_12, 0.599_217_935_698_206_6],
        [0.75, 0.580_029_485_717_348_8, 0.999_225_721_739_235_1],
        [2.25, 2.222_494_936_526_149_3, 1.059_189_743_975_207],
        [5.0, 4.999_998_566_742_141, 1.000_007_146_946_002],
        [30.0, 30.0, 1.0],
    ];

    #[test]
    fn gelu_is_exact() {
        for [z, y, d] in GELU {
            let (single, double) =
                (computed::<f32>(Activation::Gelu, z), computed::<f64>(Activation::Gelu, z));
            for (i, expected) in [y, d].into_iter().enumerate() {
                let off = (single[i] - expected).abs();
                assert!(off <= 3e-7 * expected.abs().max(0.1), "{z} [{i}]: off by {off:e}");
                let off = (double[i] - expected).abs();
                assert!(off <= 4e-15 * expected.abs().max(1.0), "{z} [{i}]: off by {off:e}");
            }
        }
    }

    #[test]
    fn nothing_overflows_and_nan_stays() {
        for function in SMOOTH.into_iter().chain([Activation::Gelu]) {
            for z in [-3e38, -1e9, -1000.0, -100.0, -89.0, -88.0, 88.0, 89.0, 100.0, 1000.0, 1e9, 3e38] {
                let [y, d] = computed::<f32>(function, z);
                assert!(y.is_finite() && (-0.2..=1.8).contains(&d), "{function:?} {z}: {y}, {d}");
                assert!(y <= 1.1 * z.max(0.0) + 1e-3, "{function:?} {z}: {y}");
            }
            let mut y = [f32::NAN];
            forward(function, &mut y);
            assert!(y[0].is_nan(), "{function:?}");
        }
    }
}
