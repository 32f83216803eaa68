//! Layer normalisation over the columns of each row of a matrix `x` (B×F), and a factor for each column.

use crate::math::Real;

/// Partial sums of a row, so many side by side at every vector width.
const LANES: usize = 16;

/// Σ over i < n of f(i), in an order that does not depend on the vector width.
#[inline(always)]
pub(crate) fn sum<T: Real>(n: usize, f: impl Fn(usize) -> T) -> T {
    let mut lanes = [T::ZERO; LANES];
    let whole = n - n % LANES;
    for first in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(first + lane);
        }
    }
    for (lane, i) in (whole..n).enumerate() {
        lanes[lane] += f(i);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            let other = lanes[lane + half];
            lanes[lane] += other;
        }
        half /= 2;
    }
    lanes[0]
}

/// y = γ·(x − mean)/√(variance + ε) + β, with mean and variance (divided by F) of each row; moments(B×2) ← mean
/// and 1/√(variance + ε).
#[inline(always)]
pub(crate) fn layer_norm<T: Real>(
    x: &[T],
    gamma: &[T],
    beta: &[T],
    epsilon: T,
    y: &mut [T],
    moments: &mut [T],
) {
    let n = gamma.len();
    let share = T::ONE / T::from_f64(n as f64);
    for ((x, y), moments) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)).zip(moments.chunks_exact_mut(2)) {
        let mean = sum(n, |i| x[i]) * share;
        // About the mean, not from the sum of squares: no cancellation when the mean is large.
        let variance = sum(n, |i| (x[i] - mean) * (x[i] - mean)) * share;
        let inv_std = T::ONE / (variance + epsilon).sqrt();
        for (((y, &x), &gamma), &beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
            *y = ((x - mean) * inv_std).mul_add(gamma, beta);
        }
        moments[0] = mean;
        moments[1] = inv_std;
    }
}

/// With x̂ = (x − mean)·inv_std and g = dy·γ: dγ(F) += Σ over rows of dy·x̂, dβ(F) += Σ over rows of dy, and
/// dx = inv_std · (g − mean of g − x̂ · mean of g·x̂), written over dy (B×F).
#[inline(always)]
pub(crate) fn layer_norm_backward<T: Real>(
    x: &[T],
    moments: &[T],
    gamma: &[T],
    dy: &mut [T],
    dgamma: &mut [T],
    dbeta: &mut [T],
) {
    let n = gamma.len();
    let share = T::ONE / T::from_f64(n as f64);
    for ((x, dy), moments) in x.chunks_exact(n).zip(dy.chunks_exact_mut(n)).zip(moments.chunks_exact(2)) {
        let (mean, inv_std) = (moments[0], moments[1]);
        for (((dgamma, dbeta), &dy), &x) in dgamma.iter_mut().zip(&mut *dbeta).zip(&*dy).zip(x) {
            *dgamma = dy.mul_add((x - mean) * inv_std, *dgamma);
            *dbeta += dy;
        }
        let mean_g = sum(n, |i| dy[i] * gamma[i]) * share;
        let mean_gx = sum(n, |i| dy[i] * gamma[i] * ((x[i] - mean) * inv_std)) * share;
        for ((dy, &x), &gamma) in dy.iter_mut().zip(x).zip(gamma) {
            let normalized = (x - mean) * inv_std;
            *dy = inv_std * (-normalized).mul_add(mean_gx, *dy * gamma - mean_g);
        }
    }
}

/// y = x·factor, row by row (x and y B×F, factor F).
#[inline(always)]
pub(crate) fn scale_columns<T: Real>(x: &[T], factor: &[T], y: &mut [T]) {
    let n = factor.len();
    for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
        for ((y, &x), &factor) in y.iter_mut().zip(x).zip(factor) {
            *y = x * factor;
        }
    }
}

/// dfactor(F) += Σ over rows of dy·x, and dx = dy·factor, written over dy (B×F).
#[inline(always)]
pub(crate) fn scale_columns_backward<T: Real>(x: &[T], factor: &[T], dy: &mut [T], dfactor: &mut [T]) {
    let n = factor.len();
    for (x, dy) in x.chunks_exact(n).zip(dy.chunks_exact_mut(n)) {
        for (((dy, dfactor), &x), &factor) in dy.iter_mut().zip(&mut *dfactor).zip(x).zip(factor) {
            *dfactor = dy.mul_add(x, *dfactor);
            *dy *= factor;
        }
    }
}
