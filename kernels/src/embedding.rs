//! Embeddings of number columns: a column `x` of a matrix (one number every `stride`) becomes several numbers a row.

use crate::math::Real;

/// The sine and cosine of t = x·frequency + phase/2π turns: waves(B×2K) ← sin(2πt) for each of K frequencies, then
/// cos(2πt). `phases`, in radians, is as long as `frequencies`, or empty for none.
#[inline(always)]
pub(crate) fn waves<T: Real>(x: &[T], stride: usize, frequencies: &[T], phases: &[T], waves: &mut [T]) {
    let k = frequencies.len();
    let turn = T::from_f64(1.0 / std::f64::consts::TAU);
    for (waves, x) in waves.chunks_exact_mut(2 * k).zip(x.iter().step_by(stride)) {
        let (sines, cosines) = waves.split_at_mut(k);
        let out = sines.iter_mut().zip(cosines).zip(frequencies);
        if phases.is_empty() {
            for ((sine, cosine), &c) in out {
                (*sine, *cosine) = (*x * c).sin_cos_turns();
            }
        } else {
            for (((sine, cosine), &c), &phase) in out.zip(&phases[..k]) {
                (*sine, *cosine) = x.mul_add(c, phase * turn).sin_cos_turns();
            }
        }
    }
}

/// Backward of [`waves`]: with g = ∂L/∂(2πt) of each row and frequency, dfrequencies(K) += Σ over rows of 2π·g·x,
/// dphases(K) += Σ over rows of g, and dx(B) ← Σ over frequencies of 2π·g·frequency, where `dx` is not empty.
///
/// Without phases, `dwaves` (B×2K) is the gradient of sines and cosines; with phases, (B×K) of cosines alone.
#[inline(always)]
pub(crate) fn waves_backward<T: Real>(
    x: &[T],
    stride: usize,
    frequencies: &[T],
    waves: &[T],
    dwaves: &mut [T],
    dfrequencies: &mut [T],
    dphases: &mut [T],
    dx: &mut [T],
) {
    let k = frequencies.len();
    let tau = T::from_f64(std::f64::consts::TAU);
    let width = if dphases.is_empty() { 2 * k } else { k };
    let rows = waves.chunks_exact(2 * k).zip(dwaves.chunks_exact_mut(width)).zip(x.iter().step_by(stride));
    for (row, ((waves, dwaves), &x)) in rows.enumerate() {
        let (sines, cosines) = waves.split_at(k);
        // g takes the place of the first K gradients.
        let (g, more) = dwaves.split_at_mut(k);
        if dphases.is_empty() {
            for (((g, &dcosine), &sine), &cosine) in g.iter_mut().zip(&*more).zip(sines).zip(cosines) {
                *g = cosine.mul_add(*g, -(sine * dcosine));
            }
        } else {
            for ((g, &sine), dphase) in g.iter_mut().zip(sines).zip(&mut *dphases) {
                *g = -(sine * *g);
                *dphase += *g;
            }
        }
        for (dfrequency, &g) in dfrequencies.iter_mut().zip(&*g) {
            *dfrequency = (tau * g).mul_add(x, *dfrequency);
        }
        if let Some(dx) = dx.get_mut(row) {
            *dx = tau * sum(k, |i| g[i] * frequencies[i]);
        }
    }
}

/// Partial sums of a row, so many side by side at every vector width.
const LANES: usize = 16;

/// Σ over i < n of f(i), in an order that does not depend on the vector width.
#[inline(always)]
fn sum<T: Real>(n: usize, f: impl Fn(usize) -> T) -> T {
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

/// Piecewise-linear encoding of a place u among the edges of T bins, counted from 0: steps(B×T) ← u − t, cut to 0
/// and 1, but for the lower end of the first bin and the upper end of the last.
#[inline(always)]
pub(crate) fn steps<T: Real>(u: &[T], stride: usize, n_bins: usize, steps: &mut [T]) {
    for (steps, &u) in steps.chunks_exact_mut(n_bins).zip(u.iter().step_by(stride)) {
        for (t, step) in steps.iter_mut().enumerate() {
            *step = (u - T::from_f64(t as f64)).at_least(T::ZERO).at_most(T::ONE);
        }
        if u < T::ZERO {
            steps[0] = u;
        }
        let last = T::from_f64((n_bins - 1) as f64);
        if u > last {
            steps[n_bins - 1] = u - last;
        }
    }
}
