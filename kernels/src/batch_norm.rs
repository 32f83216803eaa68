//! Batch normalisation over the rows of a matrix `x` (B×F), sums over rows, and what is done in the same pass.
//!
//! Each kernel goes down the rows with a register's width of columns, four rows at a time; sums and factors of the
//! columns stay in the first-level cache. What follows or precedes a pass without joining rows (dropout, relu's derivative) can be
//! part of it: the bits are those of one pass after the other.

use crate::math::Real;
use crate::vector::Vector;

/// What dropout keeps of some rows.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a, T> {
    /// A byte an element: 0 where it is dropped.
    pub flags: &'a [u8],
    /// What is kept is multiplied by it.
    pub scale: T,
}

/// Runs `$kernel::<V, R, WHOLE, …>(…, [row, column, lanes])` for blocks of R rows (4, then 1) and a register's width
/// of columns until all `$n_rows` rows of `$n` columns are done. In the last columns the register is not WHOLE.
macro_rules! for_blocks {
    ([$n_rows:expr, $n:expr], $kernel:ident::<V $(, $flag:ident)*>($($arg:expr),*)) => {{
        let tail = $n % V::LANES;
        let mut column = 0;
        while column < $n - tail {
            for_blocks!(@rows $n_rows, [column, V::LANES], $kernel::<true $(, $flag)*>($($arg),*));
            column += V::LANES;
        }
        if tail > 0 {
            for_blocks!(@rows $n_rows, [column, tail], $kernel::<false $(, $flag)*>($($arg),*));
        }
    }};
    (@rows $n_rows:expr, [$column:ident, $lanes:expr], $kernel:ident::<$whole:literal $(, $flag:ident)*>($($arg:expr),*)) => {{
        let fours = $n_rows - $n_rows % 4;
        for row in (0..fours).step_by(4) {
            $kernel::<V, 4, $whole $(, $flag)*>($($arg,)* [row, $column, $lanes]);
        }
        for row in fours..$n_rows {
            $kernel::<V, 1, $whole $(, $flag)*>($($arg,)* [row, $column, $lanes]);
        }
    }};
}

/// A register of `lanes` numbers at `p`, all of them if WHOLE.
///
/// # Safety
/// The CPU has the instructions of `V`; `p` is valid for reading `lanes` numbers.
#[inline(always)]
pub(crate) unsafe fn get<V: Vector, const WHOLE: bool>(p: *const V::Element, lanes: usize) -> V {
    unsafe { if WHOLE { V::load(p) } else { V::load_partial(p, lanes) } }
}

/// Writes `lanes` numbers to `p`, the whole register if WHOLE.
///
/// # Safety
/// The CPU has the instructions of `V`; `p` is valid for writing `lanes` numbers.
#[inline(always)]
pub(crate) unsafe fn put<V: Vector, const WHOLE: bool>(x: V, p: *mut V::Element, lanes: usize) {
    unsafe { if WHOLE { x.store(p) } else { x.store_partial(p, lanes) } }
}

/// sums ← sums + Σ of the R registers of `terms`.
///
/// Rows are added in fours, in an order that does not depend on the vector width, nor on where the rows are cut
/// into calls as long as the cuts are at multiples of four.
///
/// # Safety
/// As [`get`] and [`put`].
#[inline(always)]
unsafe fn add_rows<V: Vector, const R: usize, const WHOLE: bool>(
    terms: [V; R],
    sums: *mut V::Element,
    lanes: usize,
) {
    unsafe {
        let sum = if R == 4 { terms[0].add(terms[1]).add(terms[2].add(terms[3])) } else { terms[0] };
        put::<V, WHOLE>(get::<V, WHOLE>(sums, lanes).add(sum), sums, lanes);
    }
}

/// sums(F) += Σ over the rows of x (B×F).
#[inline(always)]
pub(crate) fn column_sums<V: Vector>(x: &[V::Element], sums: &mut [V::Element]) {
    let n = sums.len();
    let (x_at, sums) = (x.as_ptr(), sums.as_mut_ptr());
    // SAFETY: the caller has the instructions; all blocks are inside of x and sums.
    unsafe { for_blocks!([x.len() / n, n], column_sums_block::<V>(n, x_at, sums)) }
}

/// # Safety
/// Rows and columns of the block exist; the distance from a row to the next is `n`. So for all blocks here.
#[inline(always)]
unsafe fn column_sums_block<V: Vector, const R: usize, const WHOLE: bool>(
    n: usize,
    x: *const V::Element,
    sums: *mut V::Element,
    [row, column, lanes]: [usize; 3],
) {
    unsafe {
        let mut terms = [V::splat(V::Element::ZERO); R];
        for (r, term) in terms.iter_mut().enumerate() {
            *term = get::<V, WHOLE>(x.add((row + r) * n + column), lanes);
        }
        add_rows::<V, R, WHOLE>(terms, sums.add(column), lanes);
    }
}

/// ∂L/∂z over ∂L/∂y (B×F), and sums(F) += Σ over its rows: of relu, given y, or of a function whose derivative is kept,
/// given that.
#[inline(always)]
pub(crate) fn column_sums_after<V: Vector>(
    is_relu: bool,
    y: &[V::Element],
    dy: &mut [V::Element],
    sums: &mut [V::Element],
) {
    let n = sums.len();
    assert!(y.len() >= dy.len(), "y has fewer numbers than its gradient");
    let n_rows = dy.len() / n;
    let (y, dy, sums) = (y.as_ptr(), dy.as_mut_ptr(), sums.as_mut_ptr());
    // SAFETY: the caller has the instructions; all blocks are inside of y, dy and sums.
    unsafe { for_blocks!([n_rows, n], column_sums_after_block::<V>(is_relu, n, y, dy, sums)) }
}

#[inline(always)]
unsafe fn column_sums_after_block<V: Vector, const R: usize, const WHOLE: bool>(
    is_relu: bool,
    n: usize,
    y: *const V::Element,
    dy: *mut V::Element,
    sums: *mut V::Element,
    [row, column, lanes]: [usize; 3],
) {
    unsafe {
        let mut terms = [V::splat(V::Element::ZERO); R];
        for (r, term) in terms.iter_mut().enumerate() {
            let at = (row + r) * n + column;
            let (y, d) = (get::<V, WHOLE>(y.add(at), lanes), get::<V, WHOLE>(dy.add(at), lanes));
            *term = if is_relu { d.where_positive(y) } else { y.mul(d) };
            put::<V, WHOLE>(*term, dy.add(at), lanes);
        }
        add_rows::<V, R, WHOLE>(terms, sums.add(column), lanes);
    }
}

/// Rows whose moments are taken at once: they are still near for the second look.
const NEAR_ROWS: usize = 32;
/// Columns whose moments are taken at once: so many sums lie on the stack.
const NEAR_COLUMNS: usize = 128;

/// Takes the rows of x into mean(F) and squares(F) = Σ (x − mean)² of `n_before` rows; all zero before the first.
///
/// Rows are joined 32 at a time: the two looks of Chan, Golub & LeVeque 1983, "Algorithms for computing the sample
/// variance", equations 2.1, so that no large mean cancels. Cuts at multiples of 32 rows change no bit.
#[inline(always)]
pub(crate) fn add_column_moments<V: Vector>(
    x: &[V::Element],
    n_before: usize,
    mean: &mut [V::Element],
    squares: &mut [V::Element],
) {
    let n = mean.len();
    let mut n_before = n_before;
    for x in x.chunks(NEAR_ROWS * n) {
        let n_rows = x.len() / n;
        let share = V::Element::ONE / V::Element::from_f64(n_rows as f64);
        let (a, b) = (n_before as f64, n_rows as f64);
        let of_mean = V::Element::from_f64(b / (a + b));
        let of_squares = V::Element::from_f64(a * b / (a + b));
        for first in (0..n).step_by(NEAR_COLUMNS) {
            let width = NEAR_COLUMNS.min(n - first);
            let zeros = [V::Element::ZERO; NEAR_COLUMNS];
            let (mut m, mut s) = (zeros, zeros);
            // SAFETY: the caller has the instructions; all blocks are inside of x, m and s.
            unsafe {
                let (x, sums) = (x.as_ptr().add(first), m.as_mut_ptr());
                for_blocks!([n_rows, width], column_sums_block::<V>(n, x, sums));
                for m in &mut m {
                    *m *= share;
                }
                let (mean, sums) = (m.as_ptr(), s.as_mut_ptr());
                for_blocks!([n_rows, width], column_squares_block::<V>(n, x, mean, sums));
            }
            let (mean, squares) = (&mut mean[first..first + width], &mut squares[first..first + width]);
            if n_before == 0 {
                mean.copy_from_slice(&m[..width]);
                squares.copy_from_slice(&s[..width]);
            } else {
                for i in 0..width {
                    let apart = m[i] - mean[i];
                    mean[i] = of_mean.mul_add(apart, mean[i]);
                    squares[i] = of_squares.mul_add(apart * apart, squares[i] + s[i]);
                }
            }
        }
        n_before += n_rows;
    }
}

/// sums(F) += Σ over rows of (x − mean)².
#[inline(always)]
unsafe fn column_squares_block<V: Vector, const R: usize, const WHOLE: bool>(
    n: usize,
    x: *const V::Element,
    mean: *const V::Element,
    sums: *mut V::Element,
    [row, column, lanes]: [usize; 3],
) {
    unsafe {
        let mean = get::<V, WHOLE>(mean.add(column), lanes);
        let mut terms = [V::splat(V::Element::ZERO); R];
        for (r, term) in terms.iter_mut().enumerate() {
            let apart = get::<V, WHOLE>(x.add((row + r) * n + column), lanes).sub(mean);
            *term = apart.mul(apart);
        }
        add_rows::<V, R, WHOLE>(terms, sums.add(column), lanes);
    }
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

/// y = (x − mean)·scale + shift, column by column; dropped out where that is asked for.
#[inline(always)]
pub(crate) fn normalize<V: Vector>(
    x: &[V::Element],
    mean: &[V::Element],
    scale: &[V::Element],
    shift: &[V::Element],
    y: &mut [V::Element],
    kept: Option<Kept<V::Element>>,
) {
    let n = mean.len();
    assert!(scale.len() >= n && shift.len() >= n && y.len() >= x.len(), "a slice is shorter than the shape");
    let shape = [x.len() / n, n];
    let (x_at, y) = (x.as_ptr(), y.as_mut_ptr());
    let factors = [mean.as_ptr(), scale.as_ptr(), shift.as_ptr()];
    // SAFETY: the caller has the instructions; all blocks are inside of the slices measured above.
    unsafe {
        if let Some(Kept { flags, scale }) = kept {
            assert!(flags.len() >= x.len(), "dropout needs a flag for each number");
            let kept = (flags.as_ptr(), scale);
            for_blocks!([shape[0], shape[1]], normalize_block::<V, DROPS>(n, x_at, factors, y, kept));
        } else {
            let kept = (std::ptr::null(), V::Element::ONE);
            for_blocks!([shape[0], shape[1]], normalize_block::<V, KEEPS>(n, x_at, factors, y, kept));
        }
    }
}

/// The two cases of a pass that dropout may be part of.
const DROPS: bool = true;
const KEEPS: bool = false;

#[inline(always)]
unsafe fn normalize_block<V: Vector, const R: usize, const WHOLE: bool, const DROPS: bool>(
    n: usize,
    x: *const V::Element,
    [mean, scale, shift]: [*const V::Element; 3],
    y: *mut V::Element,
    (kept, factor): (*const u8, V::Element),
    [row, column, lanes]: [usize; 3],
) {
    unsafe {
        let mean = get::<V, WHOLE>(mean.add(column), lanes);
        let scale = get::<V, WHOLE>(scale.add(column), lanes);
        let shift = get::<V, WHOLE>(shift.add(column), lanes);
        for at in (row..row + R).map(|row| row * n + column) {
            let mut new = get::<V, WHOLE>(x.add(at), lanes).sub(mean).mul_add(scale, shift);
            if DROPS {
                new = new.mul(V::splat(factor)).where_kept(kept.add(at), lanes);
            }
            put::<V, WHOLE>(new, y.add(at), lanes);
        }
    }
}

/// dscale(F) += Σ over rows of dy·(x − mean), dshift(F) += Σ over rows of dy, row after row; of dy after dropout,
/// written over it, where that is asked for.
#[inline(always)]
pub(crate) fn normalize_backward_sums<V: Vector>(
    x: &[V::Element],
    dy: &mut [V::Element],
    mean: &[V::Element],
    dscale: &mut [V::Element],
    dshift: &mut [V::Element],
    kept: Option<Kept<V::Element>>,
) {
    let n = mean.len();
    assert!(
        dscale.len() >= n && dshift.len() >= n && dy.len() >= x.len(),
        "a slice is shorter than the shape"
    );
    let shape = [x.len() / n, n];
    let (x_at, dy, mean) = (x.as_ptr(), dy.as_mut_ptr(), mean.as_ptr());
    let sums = [dscale.as_mut_ptr(), dshift.as_mut_ptr()];
    // SAFETY: the caller has the instructions; all blocks are inside of the slices measured above.
    unsafe {
        if let Some(Kept { flags, scale }) = kept {
            assert!(flags.len() >= x.len(), "dropout needs a flag for each number");
            let kept = (flags.as_ptr(), scale);
            for_blocks!([shape[0], shape[1]], backward_sums_block::<V, DROPS>(n, x_at, dy, mean, sums, kept));
        } else {
            let kept = (std::ptr::null(), V::Element::ONE);
            for_blocks!([shape[0], shape[1]], backward_sums_block::<V, KEEPS>(n, x_at, dy, mean, sums, kept));
        }
    }
}

#[inline(always)]
unsafe fn backward_sums_block<V: Vector, const R: usize, const WHOLE: bool, const DROPS: bool>(
    n: usize,
    x: *const V::Element,
    dy: *mut V::Element,
    mean: *const V::Element,
    [dscale, dshift]: [*mut V::Element; 2],
    (kept, factor): (*const u8, V::Element),
    [row, column, lanes]: [usize; 3],
) {
    unsafe {
        let mean = get::<V, WHOLE>(mean.add(column), lanes);
        let mut scales = get::<V, WHOLE>(dscale.add(column), lanes);
        let mut shifts = get::<V, WHOLE>(dshift.add(column), lanes);
        for at in (row..row + R).map(|row| row * n + column) {
            let mut d = get::<V, WHOLE>(dy.add(at), lanes);
            if DROPS {
                d = d.mul(V::splat(factor)).where_kept(kept.add(at), lanes);
                put::<V, WHOLE>(d, dy.add(at), lanes);
            }
            shifts = shifts.add(d);
            scales = d.mul_add(get::<V, WHOLE>(x.add(at), lanes).sub(mean), scales);
        }
        put::<V, WHOLE>(scales, dscale.add(column), lanes);
        put::<V, WHOLE>(shifts, dshift.add(column), lanes);
    }
}

/// dx = a·dy + b·(x − mean) + c, column by column, written over dy.
///
/// With `relu_sums`, x is what relu has given: dx is then ∂L/∂z of relu, zero where x is not positive, and
/// relu_sums(F) += Σ over the rows of it.
#[inline(always)]
pub(crate) fn normalize_backward_input<V: Vector>(
    x: &[V::Element],
    dy: &mut [V::Element],
    mean: &[V::Element],
    a: &[V::Element],
    b: &[V::Element],
    c: &[V::Element],
    relu_sums: Option<&mut [V::Element]>,
) {
    let n = mean.len();
    assert!(a.len() >= n && b.len() >= n && c.len() >= n, "a factor is missing");
    assert!(dy.len() >= x.len(), "the gradient has fewer numbers than x");
    let shape = [x.len() / n, n];
    let (x_at, dy) = (x.as_ptr(), dy.as_mut_ptr());
    let factors = [mean.as_ptr(), a.as_ptr(), b.as_ptr(), c.as_ptr()];
    // SAFETY: the caller has the instructions; all blocks are inside of the slices measured above.
    unsafe {
        if let Some(sums) = relu_sums {
            assert!(sums.len() >= n, "a sum is missing");
            let sums = sums.as_mut_ptr();
            for_blocks!([shape[0], shape[1]], backward_input_block::<V, RELU>(n, x_at, dy, factors, sums));
        } else {
            let sums = std::ptr::null_mut();
            for_blocks!([shape[0], shape[1]], backward_input_block::<V, LINEAR>(n, x_at, dy, factors, sums));
        }
    }
}

/// The two cases of [`normalize_backward_input`].
const RELU: bool = true;
const LINEAR: bool = false;

#[inline(always)]
unsafe fn backward_input_block<V: Vector, const R: usize, const WHOLE: bool, const RELU: bool>(
    n: usize,
    x: *const V::Element,
    dy: *mut V::Element,
    [mean, a, b, c]: [*const V::Element; 4],
    sums: *mut V::Element,
    [row, column, lanes]: [usize; 3],
) {
    unsafe {
        let mean = get::<V, WHOLE>(mean.add(column), lanes);
        let a = get::<V, WHOLE>(a.add(column), lanes);
        let b = get::<V, WHOLE>(b.add(column), lanes);
        let c = get::<V, WHOLE>(c.add(column), lanes);
        let mut terms = [V::splat(V::Element::ZERO); R];
        for (r, term) in terms.iter_mut().enumerate() {
            let at = (row + r) * n + column;
            let x = get::<V, WHOLE>(x.add(at), lanes);
            let dx = get::<V, WHOLE>(dy.add(at), lanes).mul_add(a, b.mul_add(x.sub(mean), c));
            *term = if RELU { dx.where_positive(x) } else { dx };
            put::<V, WHOLE>(*term, dy.add(at), lanes);
        }
        if RELU {
            add_rows::<V, R, WHOLE>(terms, sums.add(column), lanes);
        }
    }
}
