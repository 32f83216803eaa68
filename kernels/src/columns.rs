//! A factor and a shift for each column of a matrix `x` (B×F).

use crate::math::Real;

/// y = x·factor + shift, row by row (x and y B×F, factor and shift F).
#[inline(always)]
pub(crate) fn affine_columns<T: Real>(x: &[T], factor: &[T], shift: &[T], y: &mut [T]) {
    let n = factor.len();
    for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
        for (((y, &x), &factor), &shift) in y.iter_mut().zip(x).zip(factor).zip(shift) {
            *y = x.mul_add(factor, shift);
        }
    }
}

/// dfactor(F) += Σ over rows of dy·x, dshift(F) += Σ over rows of dy, and dx = dy·factor, written over dy (B×F).
#[inline(always)]
pub(crate) fn affine_columns_backward<T: Real>(
    x: &[T],
    factor: &[T],
    dy: &mut [T],
    dfactor: &mut [T],
    dshift: &mut [T],
) {
    let n = factor.len();
    for (x, dy) in x.chunks_exact(n).zip(dy.chunks_exact_mut(n)) {
        let sums = dfactor.iter_mut().zip(&mut *dshift);
        for (((dy, (dfactor, dshift)), &x), &factor) in dy.iter_mut().zip(sums).zip(x).zip(factor) {
            *dfactor = dy.mul_add(x, *dfactor);
            *dshift += *dy;
            *dy *= factor;
        }
    }
}
