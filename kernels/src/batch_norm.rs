//! Batch normalisation over the rows of a matrix `x` (B×F), and sums over rows.
//!
//! Each kernel walks down the rows with a few columns at a time, whose sums and factors stay in registers.

use crate::math::Real;

/// Runs `$kernel::<T, L>(…, column)` for blocks of 16, 4 and 1 columns until all `$n` are done.
macro_rules! for_column_blocks {
    ($n:expr, $kernel:ident($($arg:expr),*)) => {{
        let mut column = 0;
        while column + 16 <= $n {
            $kernel::<T, 16>($($arg,)* column);
            column += 16;
        }
        while column + 4 <= $n {
            $kernel::<T, 4>($($arg,)* column);
            column += 4;
        }
        while column < $n {
            $kernel::<T, 1>($($arg,)* column);
            column += 1;
        }
    }};
}

/// `L` numbers of `x` from `at` on.
#[inline(always)]
fn block<T: Real, const L: usize>(x: &[T], at: usize) -> [T; L] {
    let mut block = [T::ZERO; L];
    block.copy_from_slice(&x[at..at + L]);
    block
}

#[inline(always)]
fn each<T: Real, const L: usize>(f: impl Fn(usize) -> T) -> [T; L] {
    let mut block = [T::ZERO; L];
    for (i, b) in block.iter_mut().enumerate() {
        *b = f(i);
    }
    block
}

/// `sums` + Σ over rows of f(row), for `L` columns from `column` on.
///
/// Rows are added in fours, in an order that does not depend on the vector width, nor on where the rows are cut
/// into calls as long as the cuts are at multiples of four.
#[inline(always)]
fn sum_down<T: Real, const L: usize>(
    n_rows: usize,
    mut sums: [T; L],
    term: impl Fn(usize) -> [T; L],
) -> [T; L] {
    let fours = n_rows - n_rows % 4;
    for row in (0..fours).step_by(4) {
        let (a, b, c, d) = (term(row), term(row + 1), term(row + 2), term(row + 3));
        for i in 0..L {
            sums[i] += (a[i] + b[i]) + (c[i] + d[i]);
        }
    }
    for row in fours..n_rows {
        let a = term(row);
        for i in 0..L {
            sums[i] += a[i];
        }
    }
    sums
}

/// sums(F) += Σ over the rows of x (B×F).
#[inline(always)]
pub(crate) fn column_sums<T: Real>(x: &[T], sums: &mut [T]) {
    let n = sums.len();
    for_column_blocks!(n, column_sums_block(x, sums));
}

#[inline(always)]
fn column_sums_block<T: Real, const L: usize>(x: &[T], sums: &mut [T], column: usize) {
    let n = sums.len();
    let total = sum_down(x.len() / n, block(sums, column), |row| block::<T, L>(x, row * n + column));
    sums[column..column + L].copy_from_slice(&total);
}

/// dy ← f(y, dy) element by element, and sums(F) += Σ over the rows of the new dy (B×F).
#[inline(always)]
pub(crate) fn column_sums_after<T: Real>(
    y: &[T],
    dy: &mut [T],
    sums: &mut [T],
    f: impl Fn(T, T) -> T + Copy,
) {
    let n = sums.len();
    let n_rows = dy.len() / n;
    let mut column = 0;
    while column < n {
        // As in `for_column_blocks`, which takes no closure.
        let width = match n - column {
            16.. => {
                column_sums_after_block::<T, 16>(y, dy, sums, f, [n_rows, column]);
                16
            }
            4.. => {
                column_sums_after_block::<T, 4>(y, dy, sums, f, [n_rows, column]);
                4
            }
            _ => {
                column_sums_after_block::<T, 1>(y, dy, sums, f, [n_rows, column]);
                1
            }
        };
        column += width;
    }
}

#[inline(always)]
fn column_sums_after_block<T: Real, const L: usize>(
    y: &[T],
    dy: &mut [T],
    sums: &mut [T],
    f: impl Fn(T, T) -> T + Copy,
    [n_rows, column]: [usize; 2],
) {
    let n = sums.len();
    let mut total: [T; L] = block(sums, column);
    let fours = n_rows - n_rows % 4;
    for row in (0..fours).step_by(4) {
        let at = row * n + column;
        let a: [T; L] = replace(y, dy, f, at);
        let b: [T; L] = replace(y, dy, f, at + n);
        let c: [T; L] = replace(y, dy, f, at + 2 * n);
        let d: [T; L] = replace(y, dy, f, at + 3 * n);
        for i in 0..L {
            total[i] += (a[i] + b[i]) + (c[i] + d[i]);
        }
    }
    for row in fours..n_rows {
        let a: [T; L] = replace(y, dy, f, row * n + column);
        for i in 0..L {
            total[i] += a[i];
        }
    }
    sums[column..column + L].copy_from_slice(&total);
}

/// dy ← f(y, dy) for `L` numbers from `at` on; returns them. A function, not a closure: a closure that is called from
/// several places may be left out of line, where it would be compiled without the level's instructions.
#[inline(always)]
fn replace<T: Real, const L: usize>(y: &[T], dy: &mut [T], f: impl Fn(T, T) -> T, at: usize) -> [T; L] {
    let (y, d): ([T; L], [T; L]) = (block(y, at), block(dy, at));
    let new: [T; L] = each(|i| f(y[i], d[i]));
    dy[at..at + L].copy_from_slice(&new);
    new
}

/// Rows whose moments are taken at once: they are still near for the second look.
const NEAR_ROWS: usize = 32;

/// Takes the rows of x into mean(F) and squares(F) = Σ (x − mean)² of `n_before` rows; all zero before the first.
///
/// Rows are joined 32 at a time: the two looks of Chan, Golub & LeVeque 1983, "Algorithms for computing the sample
/// variance", equations 2.1, so that no large mean cancels. Cuts at multiples of 32 rows change no bit.
#[inline(always)]
pub(crate) fn add_column_moments<T: Real>(x: &[T], n_before: usize, mean: &mut [T], squares: &mut [T]) {
    let n = mean.len();
    let mut n_before = n_before;
    for x in x.chunks(NEAR_ROWS * n) {
        for_column_blocks!(n, add_column_moments_block(x, n_before, mean, squares));
        n_before += x.len() / n;
    }
}

#[inline(always)]
fn add_column_moments_block<T: Real, const L: usize>(
    x: &[T],
    n_before: usize,
    mean: &mut [T],
    squares: &mut [T],
    column: usize,
) {
    let n = mean.len();
    let n_rows = x.len() / n;
    let share = T::ONE / T::from_f64(n_rows as f64);
    let total = sum_down(n_rows, [T::ZERO; L], |row| block(x, row * n + column));
    let m: [T; L] = each(|i| total[i] * share);
    let mut s = sum_down(n_rows, [T::ZERO; L], |row| {
        let x: [T; L] = block(x, row * n + column);
        each(|i| (x[i] - m[i]) * (x[i] - m[i]))
    });
    let mut joined = m;
    if n_before > 0 {
        let (a, b) = (n_before as f64, n_rows as f64);
        let (of_mean, of_squares) = (T::from_f64(b / (a + b)), T::from_f64(a * b / (a + b)));
        let (mean, squares): ([T; L], [T; L]) = (block(mean, column), block(squares, column));
        for i in 0..L {
            let apart = m[i] - mean[i];
            joined[i] = of_mean.mul_add(apart, mean[i]);
            s[i] = of_squares.mul_add(apart * apart, squares[i] + s[i]);
        }
    }
    mean[column..column + L].copy_from_slice(&joined);
    squares[column..column + L].copy_from_slice(&s);
}

/// variance(F) ← variance·share; inv_std(F) = 1/√(variance + ε); scale(F) = γ·inv_std.
#[inline(always)]
pub(crate) fn normalize_factors<T: Real>(
    variance: &mut [T],
    share: T,
    epsilon: T,
    gamma: &[T],
    inv_std: &mut [T],
    scale: &mut [T],
) {
    let n = variance.len();
    let (gamma, inv_std, scale) = (&gamma[..n], &mut inv_std[..n], &mut scale[..n]);
    for i in 0..n {
        variance[i] *= share;
        inv_std[i] = T::ONE / (variance[i] + epsilon).sqrt();
        scale[i] = gamma[i] * inv_std[i];
    }
}

/// dγ ← dγ·inv_std, b = share·scale·inv_std·dγ and c = share·scale·dβ: see [`normalize_backward_input`].
#[inline(always)]
pub(crate) fn normalize_backward_factors<T: Real>(
    share: T,
    [inv_std, scale]: [&[T]; 2],
    dgamma: &mut [T],
    dbeta: &[T],
    b: &mut [T],
    c: &mut [T],
) {
    let n = dgamma.len();
    let (inv_std, scale, dbeta, b, c) = (&inv_std[..n], &scale[..n], &dbeta[..n], &mut b[..n], &mut c[..n]);
    for i in 0..n {
        dgamma[i] *= inv_std[i];
        b[i] = share * scale[i] * inv_std[i] * dgamma[i];
        c[i] = share * scale[i] * dbeta[i];
    }
}

/// y = (x − mean)·scale + shift, column by column.
#[inline(always)]
pub(crate) fn normalize<T: Real>(x: &[T], mean: &[T], scale: &[T], shift: &[T], y: &mut [T]) {
    let n = mean.len();
    for_column_blocks!(n, normalize_block(x, mean, scale, shift, y));
}

#[inline(always)]
fn normalize_block<T: Real, const L: usize>(
    x: &[T],
    mean: &[T],
    scale: &[T],
    shift: &[T],
    y: &mut [T],
    column: usize,
) {
    let n = mean.len();
    let (m, s, b): ([T; L], [T; L], [T; L]) =
        (block(mean, column), block(scale, column), block(shift, column));
    for row in 0..x.len() / n {
        let at = row * n + column;
        let x: [T; L] = block(x, at);
        y[at..at + L].copy_from_slice(&each::<T, L>(|i| (x[i] - m[i]).mul_add(s[i], b[i])));
    }
}

/// dscale(F) += Σ over rows of dy·(x − mean), dshift(F) += Σ over rows of dy, row after row.
#[inline(always)]
pub(crate) fn normalize_backward_sums<T: Real>(
    x: &[T],
    dy: &[T],
    mean: &[T],
    dscale: &mut [T],
    dshift: &mut [T],
) {
    let n = mean.len();
    for_column_blocks!(n, normalize_backward_sums_block(x, dy, mean, dscale, dshift));
}

#[inline(always)]
fn normalize_backward_sums_block<T: Real, const L: usize>(
    x: &[T],
    dy: &[T],
    mean: &[T],
    dscale: &mut [T],
    dshift: &mut [T],
    column: usize,
) {
    let n = mean.len();
    let m: [T; L] = block(mean, column);
    let (mut scales, mut shifts): ([T; L], [T; L]) = (block(dscale, column), block(dshift, column));
    for row in 0..x.len() / n {
        let at = row * n + column;
        let (x, dy): ([T; L], [T; L]) = (block(x, at), block(dy, at));
        for i in 0..L {
            shifts[i] += dy[i];
            scales[i] = dy[i].mul_add(x[i] - m[i], scales[i]);
        }
    }
    dscale[column..column + L].copy_from_slice(&scales);
    dshift[column..column + L].copy_from_slice(&shifts);
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
    for_column_blocks!(n, normalize_backward_input_block(x, dy, mean, a, b, c));
}

#[inline(always)]
fn normalize_backward_input_block<T: Real, const L: usize>(
    x: &[T],
    dy: &mut [T],
    mean: &[T],
    a: &[T],
    b: &[T],
    c: &[T],
    column: usize,
) {
    let n = mean.len();
    let (m, a): ([T; L], [T; L]) = (block(mean, column), block(a, column));
    let (b, c): ([T; L], [T; L]) = (block(b, column), block(c, column));
    for row in 0..x.len() / n {
        let at = row * n + column;
        let (x, d): ([T; L], [T; L]) = (block(x, at), block(dy, at));
        let dx: [T; L] = each(|i| d[i].mul_add(a[i], b[i].mul_add(x[i] - m[i], c[i])));
        dy[at..at + L].copy_from_slice(&dx);
    }
}
