//! Batch normalisation over the rows of a matrix `x` (B×F), sums over rows, and what is done in the same pass.
//!
//! Each kernel goes down the rows with a register's width of columns, whose sums and factors stay in registers on
//! the way. What follows or precedes a pass without joining rows (dropout, relu's derivative) can be part of it: the bits are
//! those of one pass after the other. Rows are summed in fours, (1 + 2) + (3 + 4), in an order that does not depend
//! on the vector width, nor on where the rows are cut into calls as long as the cuts are at multiples of four.

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

/// Runs `$kernel::<V, WHOLE, …>(…, [column, lanes])` for a register's width of columns after the other until all `$n`
/// are done. In the last columns the register is not WHOLE.
macro_rules! for_strips {
    ($n:expr, $kernel:ident::<V $(, $flag:ident)*>($($arg:expr),*)) => {{
        let tail = $n % V::LANES;
        for column in (0..$n - tail).step_by(V::LANES) {
            $kernel::<V, true $(, $flag)*>($($arg,)* [column, V::LANES]);
        }
        if tail > 0 {
            $kernel::<V, false $(, $flag)*>($($arg,)* [$n - tail, tail]);
        }
    }};
}
pub(crate) use for_strips;

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

/// `$sum` + Σ over the rows of `$term`, in fours. A macro: of a closure this large the compiler makes a function,
/// which lacks the instructions of the level.
macro_rules! sum_rows {
    ($n_rows:expr, $sum:expr, $row:ident => $term:expr) => {{
        let mut sum: V = $sum;
        let fours = $n_rows - $n_rows % 4;
        for first in (0..fours).step_by(4) {
            let mut terms = [sum; 4];
            for (r, term) in terms.iter_mut().enumerate() {
                let $row = first + r;
                *term = $term;
            }
            sum = sum.add(terms[0].add(terms[1]).add(terms[2].add(terms[3])));
        }
        for $row in fours..$n_rows {
            sum = sum.add($term);
        }
        sum
    }};
}
pub(crate) use sum_rows;

/// sums(F) += Σ over the rows of x (B×F).
#[inline(always)]
pub(crate) fn column_sums<V: Vector>(x: &[V::Element], sums: &mut [V::Element]) {
    let n = sums.len();
    let shape = [x.len() / n, n];
    let (x_at, sums) = (x.as_ptr(), sums.as_mut_ptr());
    // SAFETY: the caller has the instructions; all strips are inside of x and sums.
    unsafe { for_strips!(n, column_sums_strip::<V>(shape, x_at, sums)) }
}

/// # Safety
/// Rows and columns of the strip exist; the distance from a row to the next is `n`. So for all strips here.
#[inline(always)]
unsafe fn column_sums_strip<V: Vector, const WHOLE: bool>(
    [n_rows, n]: [usize; 2],
    x: *const V::Element,
    sums: *mut V::Element,
    [column, lanes]: [usize; 2],
) {
    unsafe {
        let sums = sums.add(column);
        let before = get::<V, WHOLE>(sums, lanes);
        let sum = sum_rows!(n_rows, before, row => get::<V, WHOLE>(x.add(row * n + column), lanes));
        put::<V, WHOLE>(sum, sums, lanes);
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
    let shape = [dy.len() / n, n];
    let (y, dy, sums) = (y.as_ptr(), dy.as_mut_ptr(), sums.as_mut_ptr());
    // SAFETY: the caller has the instructions; all strips are inside of y, dy and sums.
    unsafe { for_strips!(n, column_sums_after_strip::<V>(is_relu, shape, y, dy, sums)) }
}

#[inline(always)]
unsafe fn column_sums_after_strip<V: Vector, const WHOLE: bool>(
    is_relu: bool,
    [n_rows, n]: [usize; 2],
    y: *const V::Element,
    dy: *mut V::Element,
    sums: *mut V::Element,
    [column, lanes]: [usize; 2],
) {
    unsafe {
        let sums = sums.add(column);
        let sum = sum_rows!(n_rows, get::<V, WHOLE>(sums, lanes), row => {
            let at = row * n + column;
            let (y, d) = (get::<V, WHOLE>(y.add(at), lanes), get::<V, WHOLE>(dy.add(at), lanes));
            let dz = if is_relu { d.where_positive(y) } else { y.mul(d) };
            put::<V, WHOLE>(dz, dy.add(at), lanes);
            dz
        });
        put::<V, WHOLE>(sum, sums, lanes);
    }
}

/// Rows whose moments are taken at once: they are still near for the second look.
const NEAR_ROWS: usize = 32;

/// Takes the rows of x into mean(F) and squares(F) = Σ (x − mean)² of `n_before` rows.
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
    assert!(squares.len() >= n, "a sum is missing");
    let (mean, squares) = (mean.as_mut_ptr(), squares.as_mut_ptr());
    let mut n_before = n_before;
    for x in x.chunks(NEAR_ROWS * n) {
        let n_rows = x.len() / n;
        let (a, b) = (n_before as f64, n_rows as f64);
        let number = V::Element::from_f64;
        let share = V::Element::ONE / number(b);
        let shares = [share, number(b / (a + b)), number(a * b / (a + b))];
        let shape = [n_rows, n];
        let x_at = x.as_ptr();
        // SAFETY: the caller has the instructions; all strips are inside of x, mean and squares.
        unsafe { for_strips!(n, moments_strip::<V>(shape, x_at, n_before == 0, shares, [mean, squares])) };
        n_before += n_rows;
    }
}

#[inline(always)]
unsafe fn moments_strip<V: Vector, const WHOLE: bool>(
    [n_rows, n]: [usize; 2],
    x: *const V::Element,
    is_first: bool,
    [share, of_mean, of_squares]: [V::Element; 3],
    [mean, squares]: [*mut V::Element; 2],
    [column, lanes]: [usize; 2],
) {
    unsafe {
        let (mean, squares) = (mean.add(column), squares.add(column));
        let zero = V::splat(V::Element::ZERO);
        let x = x.add(column);
        let m = sum_rows!(n_rows, zero, row => get::<V, WHOLE>(x.add(row * n), lanes)).mul(V::splat(share));
        let s = sum_rows!(n_rows, zero, row => {
            let apart = get::<V, WHOLE>(x.add(row * n), lanes).sub(m);
            apart.mul(apart)
        });
        let (m, s) = if is_first {
            (m, s)
        } else {
            let before = get::<V, WHOLE>(mean, lanes);
            let apart = m.sub(before);
            let squares = get::<V, WHOLE>(squares, lanes).add(s);
            (
                V::splat(of_mean).mul_add(apart, before),
                V::splat(of_squares).mul_add(apart.mul(apart), squares),
            )
        };
        put::<V, WHOLE>(m, mean, lanes);
        put::<V, WHOLE>(s, squares, lanes);
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
    // SAFETY: the caller has the instructions; all strips are inside of the slices measured above.
    unsafe {
        if let Some(Kept { flags, scale }) = kept {
            assert!(flags.len() >= x.len(), "dropout needs a flag for each number");
            let kept = (flags.as_ptr(), scale);
            for_strips!(n, normalize_strip::<V, DROPS>(shape, x_at, factors, y, kept));
        } else {
            let kept = (std::ptr::null(), V::Element::ONE);
            for_strips!(n, normalize_strip::<V, KEEPS>(shape, x_at, factors, y, kept));
        }
    }
}

/// The two cases of a pass that dropout may be part of.
const DROPS: bool = true;
const KEEPS: bool = false;

#[inline(always)]
unsafe fn normalize_strip<V: Vector, const WHOLE: bool, const DROPS: bool>(
    [n_rows, n]: [usize; 2],
    x: *const V::Element,
    [mean, scale, shift]: [*const V::Element; 3],
    y: *mut V::Element,
    (kept, factor): (*const u8, V::Element),
    [column, lanes]: [usize; 2],
) {
    unsafe {
        let mean = get::<V, WHOLE>(mean.add(column), lanes);
        let scale = get::<V, WHOLE>(scale.add(column), lanes);
        let shift = get::<V, WHOLE>(shift.add(column), lanes);
        let factor = V::splat(factor);
        for at in (0..n_rows).map(|row| row * n + column) {
            let mut new = get::<V, WHOLE>(x.add(at), lanes).sub(mean).mul_add(scale, shift);
            if DROPS {
                new = new.mul(factor).where_kept(kept.add(at), lanes);
            }
            put::<V, WHOLE>(new, y.add(at), lanes);
        }
    }
}

/// dscale(F) += Σ over rows of dy·(x − mean), dshift(F) += Σ over rows of dy; of dy taken back through
/// dropout where that is asked for.
#[inline(always)]
pub(crate) fn normalize_backward_sums<V: Vector>(
    x: &[V::Element],
    dy: &[V::Element],
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
    let (x_at, dy, mean) = (x.as_ptr(), dy.as_ptr(), mean.as_ptr());
    let sums = [dscale.as_mut_ptr(), dshift.as_mut_ptr()];
    // SAFETY: the caller has the instructions; all strips are inside of the slices measured above.
    unsafe {
        if let Some(Kept { flags, scale }) = kept {
            assert!(flags.len() >= x.len(), "dropout needs a flag for each number");
            let kept = (flags.as_ptr(), scale);
            for_strips!(n, backward_sums_strip::<V, DROPS>(shape, x_at, dy, mean, sums, kept));
        } else {
            let kept = (std::ptr::null(), V::Element::ONE);
            for_strips!(n, backward_sums_strip::<V, KEEPS>(shape, x_at, dy, mean, sums, kept));
        }
    }
}

#[inline(always)]
unsafe fn backward_sums_strip<V: Vector, const WHOLE: bool, const DROPS: bool>(
    [n_rows, n]: [usize; 2],
    x: *const V::Element,
    dy: *const V::Element,
    mean: *const V::Element,
    [dscale, dshift]: [*mut V::Element; 2],
    (kept, factor): (*const u8, V::Element),
    [column, lanes]: [usize; 2],
) {
    unsafe {
        let (dscale, dshift) = (dscale.add(column), dshift.add(column));
        let mean = get::<V, WHOLE>(mean.add(column), lanes);
        let mut scales = get::<V, WHOLE>(dscale, lanes);
        let mut shifts = get::<V, WHOLE>(dshift, lanes);
        let factor = V::splat(factor);
        let fours = n_rows - n_rows % 4;
        let pointers = (x.add(column), dy.add(column), kept.wrapping_add(column));
        for row in (0..fours).step_by(4) {
            let [d, x] = backward_sums_rows::<V, 4, WHOLE, DROPS>(n, row, pointers, mean, factor, lanes);
            shifts = shifts.add(d[0].add(d[1]).add(d[2].add(d[3])));
            scales = scales.add(d[1].mul_add(x[1], d[0].mul(x[0])).add(d[3].mul_add(x[3], d[2].mul(x[2]))));
        }
        for row in fours..n_rows {
            let [[d], [x]] = backward_sums_rows::<V, 1, WHOLE, DROPS>(n, row, pointers, mean, factor, lanes);
            shifts = shifts.add(d);
            scales = d.mul_add(x, scales);
        }
        put::<V, WHOLE>(scales, dscale, lanes);
        put::<V, WHOLE>(shifts, dshift, lanes);
    }
}

/// Of R rows, dy (taken back through dropout) and x − mean.
#[inline(always)]
unsafe fn backward_sums_rows<V: Vector, const R: usize, const WHOLE: bool, const DROPS: bool>(
    n: usize,
    row: usize,
    (x, dy, kept): (*const V::Element, *const V::Element, *const u8),
    mean: V,
    factor: V,
    lanes: usize,
) -> [[V; R]; 2] {
    unsafe {
        let (mut gradients, mut apart) = ([mean; R], [mean; R]);
        for (r, (d, apart)) in gradients.iter_mut().zip(&mut apart).enumerate() {
            let at = (row + r) * n;
            *d = get::<V, WHOLE>(dy.add(at), lanes);
            if DROPS {
                *d = d.mul(factor).where_kept(kept.add(at), lanes);
            }
            *apart = get::<V, WHOLE>(x.add(at), lanes).sub(mean);
        }
        [gradients, apart]
    }
}

/// dx = a·dy + b·(x − mean) + c, column by column, written over dy; of dy taken back through dropout where that is
/// asked for.
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
    kept: Option<Kept<V::Element>>,
    relu_sums: Option<&mut [V::Element]>,
) {
    let n = mean.len();
    assert!(a.len() >= n && b.len() >= n && c.len() >= n, "a factor is missing");
    assert!(dy.len() >= x.len(), "the gradient has fewer numbers than x");
    let shape = [x.len() / n, n];
    let (x_at, dy) = (x.as_ptr(), dy.as_mut_ptr());
    let factors = [mean.as_ptr(), a.as_ptr(), b.as_ptr(), c.as_ptr()];
    let drops = kept.is_some();
    let kept = kept.map_or((std::ptr::null(), V::Element::ONE), |Kept { flags, scale }| {
        assert!(flags.len() >= x.len(), "dropout needs a flag for each number");
        (flags.as_ptr(), scale)
    });
    // SAFETY: the caller has the instructions; all strips are inside of the slices measured above.
    unsafe {
        if let Some(sums) = relu_sums {
            assert!(sums.len() >= n, "a sum is missing");
            let sums = sums.as_mut_ptr();
            if drops {
                for_strips!(n, backward_input_strip::<V, DROPS, RELU>(shape, x_at, dy, factors, kept, sums));
            } else {
                for_strips!(n, backward_input_strip::<V, KEEPS, RELU>(shape, x_at, dy, factors, kept, sums));
            }
        } else {
            let sums = std::ptr::null_mut();
            if drops {
                for_strips!(
                    n,
                    backward_input_strip::<V, DROPS, LINEAR>(shape, x_at, dy, factors, kept, sums)
                );
            } else {
                for_strips!(
                    n,
                    backward_input_strip::<V, KEEPS, LINEAR>(shape, x_at, dy, factors, kept, sums)
                );
            }
        }
    }
}

/// The two cases of [`normalize_backward_input`] that relu makes.
const RELU: bool = true;
const LINEAR: bool = false;

#[inline(always)]
unsafe fn backward_input_strip<V: Vector, const WHOLE: bool, const DROPS: bool, const RELU: bool>(
    [n_rows, n]: [usize; 2],
    x: *const V::Element,
    dy: *mut V::Element,
    [mean, a, b, c]: [*const V::Element; 4],
    (kept, factor): (*const u8, V::Element),
    sums: *mut V::Element,
    [column, lanes]: [usize; 2],
) {
    unsafe {
        let mean = get::<V, WHOLE>(mean.add(column), lanes);
        let a = get::<V, WHOLE>(a.add(column), lanes);
        let b = get::<V, WHOLE>(b.add(column), lanes);
        let c = get::<V, WHOLE>(c.add(column), lanes);
        let factor = V::splat(factor);
        let sums = sums.wrapping_add(column);
        let before = if RELU { get::<V, WHOLE>(sums, lanes) } else { mean };
        let sum = sum_rows!(n_rows, before, row => {
            let at = row * n + column;
            let x = get::<V, WHOLE>(x.add(at), lanes);
            let mut d = get::<V, WHOLE>(dy.add(at), lanes);
            if DROPS {
                d = d.mul(factor).where_kept(kept.add(at), lanes);
            }
            let dx = d.mul_add(a, b.mul_add(x.sub(mean), c));
            let dx = if RELU { dx.where_positive(x) } else { dx };
            put::<V, WHOLE>(dx, dy.add(at), lanes);
            dx
        });
        if RELU {
            put::<V, WHOLE>(sum, sums, lanes);
        }
    }
}
