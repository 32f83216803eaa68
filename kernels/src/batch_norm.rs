//! Batch normalisation over the rows of a matrix `x` (B×F), and sums over rows.

use crate::math::Real;

/// sums(F) = Σ over rows of f(row); rows are added in fours, in one order for every vector width.
#[inline(always)]
fn sum_rows<T: Real>(x: &[T], sums: &mut [T], f: impl Fn(usize, T) -> T) {
    let n = sums.len();
    sums.fill(T::ZERO);
    let mut fours = x.chunks_exact(4 * n);
    for four in &mut fours {
        let (a, rest) = four.split_at(n);
        let (b, rest) = rest.split_at(n);
        let (c, d) = rest.split_at(n);
        for i in 0..n {
            sums[i] += (f(i, a[i]) + f(i, b[i])) + (f(i, c[i]) + f(i, d[i]));
        }
    }
    for row in fours.remainder().chunks_exact(n) {
        for i in 0..n {
            sums[i] += f(i, row[i]);
        }
    }
}

/// sums(F) = Σ over the rows of x (B×F).
#[inline(always)]
pub(crate) fn column_sums<T: Real>(x: &[T], sums: &mut [T]) {
    sum_rows(x, sums, |_, x| x);
}

/// mean(F) and variance(F, divided by B) of the columns of x (B×F).
#[inline(always)]
pub(crate) fn column_moments<T: Real>(x: &[T], mean: &mut [T], variance: &mut [T]) {
    let n_rows = x.len() / mean.len();
    let share = T::ONE / T::from_f64(n_rows as f64);
    sum_rows(x, mean, |_, x| x);
    for m in mean.iter_mut() {
        *m *= share;
    }
    // About the mean, not from the sum of squares: no cancellation when the mean is large.
    sum_rows(x, variance, |i, x| {
        let d = x - mean[i];
        d * d
    });
    for v in variance.iter_mut() {
        *v *= share;
    }
}

/// y = (x − mean)·scale + shift, column by column.
#[inline(always)]
pub(crate) fn normalize<T: Real>(x: &[T], mean: &[T], scale: &[T], shift: &[T], y: &mut [T]) {
    let n = mean.len();
    let (scale, shift) = (&scale[..n], &shift[..n]);
    for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
        for i in 0..n {
            y[i] = (x[i] - mean[i]).mul_add(scale[i], shift[i]);
        }
    }
}

/// dscale(F) = Σ over rows of dy·(x − mean)·inv_std, dshift(F) = Σ over rows of dy.
#[inline(always)]
pub(crate) fn normalize_backward_parameters<T: Real>(
    x: &[T],
    dy: &[T],
    mean: &[T],
    inv_std: &[T],
    dscale: &mut [T],
    dshift: &mut [T],
) {
    let n = mean.len();
    let (dscale, dshift, inv_std) = (&mut dscale[..n], &mut dshift[..n], &inv_std[..n]);
    dscale.fill(T::ZERO);
    dshift.fill(T::ZERO);
    for (x, dy) in x.chunks_exact(n).zip(dy.chunks_exact(n)) {
        for i in 0..n {
            dshift[i] += dy[i];
            dscale[i] = dy[i].mul_add(x[i] - mean[i], dscale[i]);
        }
    }
    for i in 0..n {
        dscale[i] *= inv_std[i];
    }
}

/// dx = a·dy + b·(x − mean) + c, column by column, written over dy.
#[inline(always)]
pub(crate) fn normalize_backward_input<T: Real>(
    x: &[T],
    dy: &mut [T],
    mean: &[T],
    a: &[T],
    b: &[T],
    c: &[T],
) {
    let n = mean.len();
    let (a, b, c) = (&a[..n], &b[..n], &c[..n]);
    for (x, dy) in x.chunks_exact(n).zip(dy.chunks_exact_mut(n)) {
        for i in 0..n {
            dy[i] = dy[i].mul_add(a[i], b[i].mul_add(x[i] - mean[i], c[i]));
        }
    }
}
