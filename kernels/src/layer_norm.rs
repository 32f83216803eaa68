//! Layer normalisation over the columns of each row of a matrix `x` (B×F).
//!
//! A row is summed in 16 parts side by side, as many registers as hold them, which are joined by halves: an order that
//! does not depend on the vector width. Sums over rows go down the columns in registers.

use crate::batch_norm::{for_strips, get, put, sum_rows};
use crate::math::Real;
use crate::vector::Vector;

/// Partial sums of a row, so many side by side at every vector width.
const PARTS: usize = 16;
/// Registers that hold them where a register is narrowest: two numbers.
const MOST_REGISTERS: usize = 8;
/// Rows that are normalised together: they are still near for the next look. A multiple of four, see [`sum_rows`].
const NEAR_ROWS: usize = 32;

/// The sums over a row's `$n` numbers of each of `$n_terms` `$terms`: a register's width of them from `$at` on, of
/// which `$lanes` count, all of them if `$whole`; the others have to be zero.
macro_rules! sum_row {
    ($n:expr, $n_terms:literal, [$at:ident, $lanes:ident, $whole:ident] => $terms:expr) => {{
        let mut sums = [[V::splat(V::Element::ZERO); $n_terms]; MOST_REGISTERS];
        let n_registers = PARTS / V::LANES;
        let whole = $n - $n % PARTS;
        for first in (0..whole).step_by(PARTS) {
            for (r, sums) in sums.iter_mut().take(n_registers).enumerate() {
                const $whole: bool = true;
                let ($at, $lanes) = (first + r * V::LANES, V::LANES);
                for (sum, term) in sums.iter_mut().zip($terms) {
                    *sum = sum.add(term);
                }
            }
        }
        for (r, sums) in sums.iter_mut().take(n_registers).enumerate() {
            const $whole: bool = false;
            let $at = whole + r * V::LANES;
            if $at < $n {
                let $lanes = V::LANES.min($n - $at);
                for (sum, term) in sums.iter_mut().zip($terms) {
                    *sum = sum.add(term);
                }
            }
        }
        let mut half = n_registers / 2;
        while half > 0 {
            for r in 0..half {
                let other = sums[r + half];
                for (sum, other) in sums[r].iter_mut().zip(other) {
                    *sum = sum.add(other);
                }
            }
            half /= 2;
        }
        let mut totals = [V::Element::ZERO; $n_terms];
        for (total, sum) in totals.iter_mut().zip(sums[0]) {
            *total = sum.sum_lanes();
        }
        totals
    }};
}

/// y = γ·(x − mean)/√(variance + ε) + β, with mean and variance (divided by F) of each row; moments(B×2) ← mean
/// and 1/√(variance + ε).
#[inline(always)]
pub(crate) fn layer_norm<V: Vector>(
    x: &[V::Element],
    gamma: &[V::Element],
    beta: &[V::Element],
    epsilon: V::Element,
    y: &mut [V::Element],
    moments: &mut [V::Element],
) {
    let n = gamma.len();
    let n_rows = x.len() / n;
    assert!(
        beta.len() >= n && y.len() >= n_rows * n && moments.len() >= 2 * n_rows,
        "a slice is shorter than the shape"
    );
    let share = V::Element::ONE / V::Element::from_f64(n as f64);
    let moments = &mut moments[..2 * n_rows];
    let factors = [gamma.as_ptr(), beta.as_ptr()];
    let chunks = x.chunks(NEAR_ROWS * n).zip(y.chunks_mut(NEAR_ROWS * n));
    for ((x, y), moments) in chunks.zip(moments.chunks_mut(2 * NEAR_ROWS)) {
        // SAFETY: the caller has the instructions; each row is inside of x and y, which were measured above.
        unsafe {
            for (row, moments) in moments.chunks_exact_mut(2).enumerate() {
                moments[0] = sum_of::<V>(n, x.as_ptr().add(row * n)) * share;
            }
            for (row, moments) in moments.chunks_exact_mut(2).enumerate() {
                let variance = squares_about::<V>(n, x.as_ptr().add(row * n), moments[0]) * share;
                moments[1] = V::Element::ONE / (variance + epsilon).sqrt();
            }
            let (shape, x, y, moments) = ([x.len() / n, n], x.as_ptr(), y.as_mut_ptr(), moments.as_ptr());
            for_strips!(n, normalize_strip::<V>(shape, x, moments, factors, y));
        }
    }
}

/// Σ over a row.
///
/// # Safety
/// The CPU has the instructions of `V`; the row has `n` numbers. So for the others here.
#[inline(always)]
unsafe fn sum_of<V: Vector>(n: usize, x: *const V::Element) -> V::Element {
    unsafe {
        let [sum] = sum_row!(n, 1, [at, lanes, WHOLE] => [get::<V, WHOLE>(x.add(at), lanes)]);
        sum
    }
}

/// Σ over a row of (x − mean)²: about the mean, not from the sum of squares, so that a large mean cancels nothing.
#[inline(always)]
unsafe fn squares_about<V: Vector>(n: usize, x: *const V::Element, mean: V::Element) -> V::Element {
    unsafe {
        let (all, means) = (V::splat(mean), [mean; PARTS]);
        let [sum] = sum_row!(n, 1, [at, lanes, WHOLE] => {
            // Beyond the row both are zero.
            let mean = if WHOLE { all } else { V::load_partial(means.as_ptr(), lanes) };
            let apart = get::<V, WHOLE>(x.add(at), lanes).sub(mean);
            [apart.mul(apart)]
        });
        sum
    }
}

#[inline(always)]
unsafe fn normalize_strip<V: Vector, const WHOLE: bool>(
    [n_rows, n]: [usize; 2],
    x: *const V::Element,
    moments: *const V::Element,
    [gamma, beta]: [*const V::Element; 2],
    y: *mut V::Element,
    [column, lanes]: [usize; 2],
) {
    unsafe {
        let gamma = get::<V, WHOLE>(gamma.add(column), lanes);
        let beta = get::<V, WHOLE>(beta.add(column), lanes);
        for row in 0..n_rows {
            let at = row * n + column;
            let (mean, inv_std) = (V::splat(*moments.add(2 * row)), V::splat(*moments.add(2 * row + 1)));
            let normalized = get::<V, WHOLE>(x.add(at), lanes).sub(mean).mul(inv_std);
            put::<V, WHOLE>(normalized.mul_add(gamma, beta), y.add(at), lanes);
        }
    }
}

/// With x̂ = (x − mean)·inv_std and g = dy·γ: dγ(F) += Σ over rows of dy·x̂, dβ(F) += Σ over rows of dy, and
/// dx = inv_std · (g − mean of g − x̂ · mean of g·x̂), written over dy (B×F).
///
/// With `relu_sums`, x is what relu has given: dx is then ∂L/∂z of relu, zero where x is not positive, and
/// relu_sums(F) += Σ over the rows of it.
#[inline(always)]
pub(crate) fn layer_norm_backward<V: Vector>(
    x: &[V::Element],
    moments: &[V::Element],
    gamma: &[V::Element],
    dy: &mut [V::Element],
    dgamma: &mut [V::Element],
    dbeta: &mut [V::Element],
    relu_sums: Option<&mut [V::Element]>,
) {
    let n = gamma.len();
    let n_rows = dy.len() / n;
    assert!(x.len() >= n_rows * n && moments.len() >= 2 * n_rows, "a row is missing");
    assert!(dgamma.len() >= n && dbeta.len() >= n, "a sum is missing");
    let share = V::Element::ONE / V::Element::from_f64(n as f64);
    let sums = [dgamma.as_mut_ptr(), dbeta.as_mut_ptr()];
    let relu_sums = relu_sums.map(|sums| {
        assert!(sums.len() >= n, "a sum is missing");
        sums.as_mut_ptr()
    });
    let gamma = gamma.as_ptr();
    let chunks = x.chunks(NEAR_ROWS * n).zip(dy.chunks_mut(NEAR_ROWS * n));
    for ((x, dy), moments) in chunks.zip(moments.chunks(2 * NEAR_ROWS)) {
        let shape = [dy.len() / n, n];
        let (x, dy, moments) = (x.as_ptr(), dy.as_mut_ptr(), moments.as_ptr());
        let mut means = [V::Element::ZERO; 2 * NEAR_ROWS];
        // SAFETY: the caller has the instructions; all rows and strips are inside of the slices measured above.
        unsafe {
            for (row, means) in means.chunks_exact_mut(2).take(shape[0]).enumerate() {
                let (at, moments) = (row * n, [*moments.add(2 * row), *moments.add(2 * row + 1)]);
                let [g, gx] = gradient_sums::<V>(n, [x.add(at), dy.add(at), gamma], moments);
                (means[0], means[1]) = (g * share, -(gx * share));
            }
            let means = means.as_ptr();
            if let Some(relu_sums) = relu_sums {
                for_strips!(
                    n,
                    backward_strip::<V, RELU>(shape, x, [moments, means, gamma], dy, sums, relu_sums)
                );
            } else {
                let none = std::ptr::null_mut();
                for_strips!(
                    n,
                    backward_strip::<V, LINEAR>(shape, x, [moments, means, gamma], dy, sums, none)
                );
            }
        }
    }
}

/// The two cases of [`layer_norm_backward`].
const RELU: bool = true;
const LINEAR: bool = false;

/// Σ over a row of g = dy·γ, and of g·x̂.
#[inline(always)]
unsafe fn gradient_sums<V: Vector>(
    n: usize,
    [x, dy, gamma]: [*const V::Element; 3],
    [mean, inv_std]: [V::Element; 2],
) -> [V::Element; 2] {
    unsafe {
        let (mean, inv_std) = (V::splat(mean), V::splat(inv_std));
        sum_row!(n, 2, [at, lanes, WHOLE] => {
            // Beyond the row g is zero.
            let g = get::<V, WHOLE>(dy.add(at), lanes).mul(get::<V, WHOLE>(gamma.add(at), lanes));
            let normalized = get::<V, WHOLE>(x.add(at), lanes).sub(mean).mul(inv_std);
            [g, g.mul(normalized)]
        })
    }
}

#[inline(always)]
unsafe fn backward_strip<V: Vector, const WHOLE: bool, const RELU: bool>(
    [n_rows, n]: [usize; 2],
    x: *const V::Element,
    [moments, means, gamma]: [*const V::Element; 3],
    dy: *mut V::Element,
    [dgamma, dbeta]: [*mut V::Element; 2],
    relu_sums: *mut V::Element,
    [column, lanes]: [usize; 2],
) {
    unsafe {
        let gamma = get::<V, WHOLE>(gamma.add(column), lanes);
        let (dgamma, dbeta) = (dgamma.add(column), dbeta.add(column));
        let mut dgammas = get::<V, WHOLE>(dgamma, lanes);
        let mut dbetas = get::<V, WHOLE>(dbeta, lanes);
        let relu_sums = relu_sums.wrapping_add(column);
        let before = if RELU { get::<V, WHOLE>(relu_sums, lanes) } else { gamma };
        let sum = sum_rows!(n_rows, before, row => {
            let at = row * n + column;
            let (mean, inv_std) = (V::splat(*moments.add(2 * row)), V::splat(*moments.add(2 * row + 1)));
            let (mean_g, minus_mean_gx) = (V::splat(*means.add(2 * row)), V::splat(*means.add(2 * row + 1)));
            let x = get::<V, WHOLE>(x.add(at), lanes);
            let d = get::<V, WHOLE>(dy.add(at), lanes);
            let normalized = x.sub(mean).mul(inv_std);
            dgammas = d.mul_add(normalized, dgammas);
            dbetas = dbetas.add(d);
            let dx = normalized.mul_add(minus_mean_gx, d.mul(gamma).sub(mean_g)).mul(inv_std);
            let dx = if RELU { dx.where_positive(x) } else { dx };
            put::<V, WHOLE>(dx, dy.add(at), lanes);
            dx
        });
        put::<V, WHOLE>(dgammas, dgamma, lanes);
        put::<V, WHOLE>(dbetas, dbeta, lanes);
        if RELU {
            put::<V, WHOLE>(sum, relu_sums, lanes);
        }
    }
}
