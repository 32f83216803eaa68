//! A factor and a shift for each column of a matrix `x` (B×F).

use crate::math::Real;

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

/// y = (1 − share)·x + share·f, row by row (x, f and y B×F, share F).
#[inline(always)]
pub(crate) fn mix_columns<T: Real>(x: &[T], f: &[T], share: &[T], y: &mut [T]) {
    let n = share.len();
    for ((x, f), y) in x.chunks_exact(n).zip(f.chunks_exact(n)).zip(y.chunks_exact_mut(n)) {
        for (((y, &x), &f), &share) in y.iter_mut().zip(x).zip(f).zip(share) {
            *y = f.mul_add(share, x * (T::ONE - share));
        }
    }
}

/// dshare(F) += Σ over rows of dy·(f − x), and dx = dy·((1 − share) + share·slope), written over dy (x, f, its slope and
/// dy B×F).
#[inline(always)]
pub(crate) fn mix_columns_backward<T: Real>(
    x: &[T],
    f: &[T],
    slope: &[T],
    share: &[T],
    dy: &mut [T],
    dshare: &mut [T],
) {
    let n = share.len();
    let rows = x.chunks_exact(n).zip(f.chunks_exact(n));
    for ((x, f), (slope, dy)) in rows.zip(slope.chunks_exact(n).zip(dy.chunks_exact_mut(n))) {
        let changed = dy.iter_mut().zip(&mut *dshare);
        for (((dy, dshare), &share), ((&x, &f), &slope)) in changed.zip(share).zip(x.iter().zip(f).zip(slope))
        {
            *dshare = dy.mul_add(f - x, *dshare);
            *dy *= slope.mul_add(share, T::ONE - share);
        }
    }
}
