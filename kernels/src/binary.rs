//! Binary weights: a sign times a scale of each unit, made of latent real weights, and products with packed signs.
//!
//! α·sign(W) with α = mean |w| over the weights that enter a unit is the binary matrix nearest to W (Rastegari,
//! Ordonez, Redmon & Farhadi 2016, "XNOR-Net", equations 5 and 6). The gradient goes through the sign as if it were
//! the identity between −1 and 1 (straight-through estimator: Courbariaux, Bengio & David 2015, "BinaryConnect";
//! Hubara et al. 2016), and through α as it is.

use crate::math::Real;
use crate::vector::{Plain, Vector};

/// Of latent weights (I×O), alpha(O) = mean over the inputs of |w|, and used (I×O) = α·sign(w), the sign of 0 being 1.
///
/// Weights that are α·sign(w) already stay what they are, to the bit: the mean is taken of how much each size differs
/// from the first.
#[inline(always)]
pub(crate) fn binarize<T: Real>(weight: &[T], alpha: &mut [T], used: &mut [T]) {
    let o = alpha.len();
    assert!(used.len() == weight.len(), "as many weights are used as there are");
    if o == 0 || weight.is_empty() {
        return;
    }
    let first = &weight[..o];
    alpha.fill(T::ZERO);
    for row in weight.chunks_exact(o) {
        for ((sum, &w), &first) in alpha.iter_mut().zip(row).zip(first) {
            *sum += w.abs() - first.abs();
        }
    }
    let share = T::from_f64(1.0 / (weight.len() / o) as f64);
    for (alpha, &first) in alpha.iter_mut().zip(first) {
        *alpha = alpha.mul_add(share, first.abs());
    }
    for (row, used) in weight.chunks_exact(o).zip(used.chunks_exact_mut(o)) {
        for ((used, &w), &alpha) in used.iter_mut().zip(row).zip(&*alpha) {
            *used = if w >= T::ZERO { alpha } else { -alpha };
        }
    }
}

/// Turns dw (I×O), the gradient of the weights that [`binarize`] gives, into that of the latent weights:
/// dw ← α·dw where |w| ≤ 1, 0 elsewhere, + sign(w)/I · Σ over the inputs of dw·sign(w). `sums` holds O numbers.
///
/// The second term is the derivative of α. In equation 11 of the paper it has the weight's own path alone.
#[inline(always)]
pub(crate) fn straight_through<T: Real>(weight: &[T], alpha: &[T], dw: &mut [T], sums: &mut [T]) {
    let o = alpha.len();
    assert!(dw.len() == weight.len(), "every weight has a gradient");
    if o == 0 || weight.is_empty() {
        return;
    }
    let sums = &mut sums[..o];
    sums.fill(T::ZERO);
    for (row, dw) in weight.chunks_exact(o).zip(dw.chunks_exact(o)) {
        for ((sum, &w), &dw) in sums.iter_mut().zip(row).zip(dw) {
            *sum += if w >= T::ZERO { dw } else { -dw };
        }
    }
    let share = T::from_f64(1.0 / (weight.len() / o) as f64);
    for sum in &mut *sums {
        *sum *= share;
    }
    for (row, dw) in weight.chunks_exact(o).zip(dw.chunks_exact_mut(o)) {
        for (((dw, &w), &alpha), &sum) in dw.iter_mut().zip(row).zip(alpha).zip(&*sums) {
            let passed = if w.abs() <= T::ONE { alpha * *dw } else { T::ZERO };
            *dw = passed + if w >= T::ZERO { sum } else { -sum };
        }
    }
}

/// Bytes of a row of packed signs of `n_columns`: whole words of eight bytes, so that a register's bits can be read
/// wherever it begins.
pub fn packed_row_len(n_columns: usize) -> usize {
    n_columns.div_ceil(64) * 8
}

/// Packs the signs of weights (I×O) row by row into `bits`, [`packed_row_len`] bytes each: bit j of byte k is 1 where
/// the weight of column 8k + j is negative. Bits beyond the columns are left as they are.
pub fn pack_signs<T: Real>(weight: &[T], n_columns: usize, bits: &mut [u8]) {
    let rows = weight.chunks_exact(n_columns).zip(bits.chunks_exact_mut(packed_row_len(n_columns)));
    for (row, bits) in rows {
        for (eight, byte) in row.chunks(8).zip(bits) {
            let signs = eight.iter().enumerate();
            *byte = signs.fold(0, |byte, (j, w)| if *w < T::ZERO { byte | 1 << j } else { byte });
        }
    }
}

/// A register whose lanes can be negated by single bits.
pub(crate) trait Signed: Vector {
    /// Itself, negated in each lane whose bit, from the lowest on, is 1 in the `LANES` bits from bit `from` of the byte
    /// at `bits` on.
    ///
    /// # Safety
    /// As [`Vector::splat`]; `bits` is valid for reading those bits, and `from` is a multiple of `LANES` below 8.
    unsafe fn flipped(self, bits: *const u8, from: usize) -> Self;
}

macro_rules! plain {
    ($t:ty) => {
        impl Signed for Plain<$t> {
            #[inline(always)]
            unsafe fn flipped(self, bits: *const u8, from: usize) -> Self {
                // SAFETY: the caller vouches for the byte; a register of four numbers is written and read whole.
                unsafe {
                    let byte = *bits >> from;
                    let mut lanes = [0.0; 4];
                    self.store(lanes.as_mut_ptr());
                    for (j, lane) in lanes.iter_mut().enumerate() {
                        *lane = if byte >> j & 1 == 1 { -*lane } else { *lane };
                    }
                    Self::load(lanes.as_ptr())
                }
            }
        }
    };
}
plain!(f32);
plain!(f64);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Signed;
    use std::arch::x86_64::{
        __m256, __m256d, __m512, __m512d, _mm256_and_si256, _mm256_castpd_si256, _mm256_castps_si256,
        _mm256_castsi256_pd, _mm256_castsi256_ps, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_setr_epi32,
        _mm256_setr_epi64x, _mm256_sllv_epi32, _mm256_sllv_epi64, _mm256_xor_si256, _mm512_castpd_si512,
        _mm512_castps_si512, _mm512_castsi512_pd, _mm512_castsi512_ps, _mm512_mask_xor_epi32,
        _mm512_mask_xor_epi64, _mm512_set1_epi32, _mm512_set1_epi64,
    };

    impl Signed for __m512 {
        #[inline(always)]
        unsafe fn flipped(self, bits: *const u8, _from: usize) -> Self {
            // SAFETY: the caller vouches for the instructions and for two bytes.
            unsafe {
                let (x, mask) = (_mm512_castps_si512(self), bits.cast::<u16>().read_unaligned().to_le());
                _mm512_castsi512_ps(_mm512_mask_xor_epi32(x, mask, x, _mm512_set1_epi32(i32::MIN)))
            }
        }
    }

    impl Signed for __m512d {
        #[inline(always)]
        unsafe fn flipped(self, bits: *const u8, _from: usize) -> Self {
            // SAFETY: the caller vouches for the instructions and for a byte.
            unsafe {
                let x = _mm512_castpd_si512(self);
                _mm512_castsi512_pd(_mm512_mask_xor_epi64(x, *bits, x, _mm512_set1_epi64(i64::MIN)))
            }
        }
    }

    impl Signed for __m256 {
        #[inline(always)]
        unsafe fn flipped(self, bits: *const u8, _from: usize) -> Self {
            // SAFETY: the caller vouches for the instructions and for a byte.
            unsafe {
                // Each lane's own bit is shifted to where its sign is.
                let byte = _mm256_set1_epi32(i32::from(*bits));
                let up = _mm256_sllv_epi32(byte, _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24));
                let signs = _mm256_and_si256(up, _mm256_set1_epi32(i32::MIN));
                _mm256_castsi256_ps(_mm256_xor_si256(_mm256_castps_si256(self), signs))
            }
        }
    }

    impl Signed for __m256d {
        #[inline(always)]
        unsafe fn flipped(self, bits: *const u8, from: usize) -> Self {
            // SAFETY: the caller vouches for the instructions and for a byte.
            unsafe {
                let byte = _mm256_set1_epi64x(i64::from(*bits >> from));
                let up = _mm256_sllv_epi64(byte, _mm256_setr_epi64x(63, 62, 61, 60));
                let signs = _mm256_and_si256(up, _mm256_set1_epi64x(i64::MIN));
                _mm256_castsi256_pd(_mm256_xor_si256(_mm256_castpd_si256(self), signs))
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::Signed;
    use std::arch::aarch64::{float32x4_t, float64x2_t};

    macro_rules! by_lanes {
        ($v:ty, $lanes:literal) => {
            impl Signed for $v {
                #[inline(always)]
                unsafe fn flipped(self, bits: *const u8, from: usize) -> Self {
                    use crate::vector::Vector;
                    // SAFETY: the caller vouches for the byte; a register is written and read whole.
                    unsafe {
                        let byte = *bits >> from;
                        let mut lanes = [0.0; $lanes];
                        self.store(lanes.as_mut_ptr());
                        for (j, lane) in lanes.iter_mut().enumerate() {
                            *lane = if byte >> j & 1 == 1 { -*lane } else { *lane };
                        }
                        Self::load(lanes.as_ptr())
                    }
                }
            }
        };
    }
    by_lanes!(float32x4_t, 4);
    by_lanes!(float64x2_t, 2);
}

/// y (B×O) = bias + x·W with x (B×I) and W (I×O) = α·signs, by column; `bits` as [`pack_signs`] leaves them, `bias` O
/// numbers, or none for 0. Every number is one chain of fused multiply–adds over the inputs, as in a product.
///
/// Registers of α change their signs by bits: what is selected is added, all else taken off.
#[inline(always)]
pub(crate) fn sign_product<V: Signed>(
    x: &[V::Element],
    alpha: &[V::Element],
    bits: &[u8],
    bias: &[V::Element],
    y: &mut [V::Element],
) {
    let o = alpha.len();
    if o == 0 || y.is_empty() {
        return;
    }
    let b = y.len() / o;
    let i = x.len() / b;
    let row_len = packed_row_len(o);
    assert!(x.len() == b * i && y.len() == b * o && bits.len() == i * row_len, "the shapes fit each other");
    assert!(bias.is_empty() || bias.len() == o, "the bias needs a number for each of {o} columns");
    let mut row = 0;
    while row < b {
        let (x, y) = (x[row * i..].as_ptr(), y[row * o..].as_mut_ptr());
        // SAFETY: the CPU level was checked by the caller of the kernel; the shapes were above, and as many rows are left.
        unsafe {
            row += match b - row {
                4.. => {
                    signed_rows::<V, 4>(i, x, alpha, bits, bias, y);
                    4
                }
                2.. => {
                    signed_rows::<V, 2>(i, x, alpha, bits, bias, y);
                    2
                }
                _ => {
                    signed_rows::<V, 1>(i, x, alpha, bits, bias, y);
                    1
                }
            };
        }
    }
}

/// `R` rows of [`sign_product`], from panel to panel of the columns.
///
/// # Safety
/// The CPU has the instructions of `V`; `x` holds R×I numbers and `y` R×O; the others are as long as their shapes say.
#[inline(always)]
unsafe fn signed_rows<V: Signed, const R: usize>(
    i: usize,
    x: *const V::Element,
    alpha: &[V::Element],
    bits: &[u8],
    bias: &[V::Element],
    y: *mut V::Element,
) {
    let o = alpha.len();
    // A single row has fewer sums, and more of its columns fit the registers.
    let most = if R == 1 { 2 * V::PANEL } else { V::PANEL };
    let mut column = 0;
    while column < o {
        let left = (o - column).div_ceil(V::LANES);
        let registers = if left >= most { most } else { left.min(4) };
        let n_last = V::LANES.min(o - column - (registers - 1) * V::LANES);
        // SAFETY: columns from `column` on, a multiple of the lanes, are left.
        unsafe {
            // What is wider than the registers allow is not compiled.
            match registers {
                8 if const { R == 1 && V::PANEL > 3 } => {
                    panel::<V, R, 8>(i, x, alpha, bits, bias, y, column, n_last);
                }
                4 if const { R == 1 || V::PANEL > 3 } => {
                    panel::<V, R, 4>(i, x, alpha, bits, bias, y, column, n_last);
                }
                3 if const { R == 1 || V::PANEL > 2 } => {
                    panel::<V, R, 3>(i, x, alpha, bits, bias, y, column, n_last);
                }
                2 => panel::<V, R, 2>(i, x, alpha, bits, bias, y, column, n_last),
                _ => panel::<V, R, 1>(i, x, alpha, bits, bias, y, column, n_last),
            }
        }
        column += registers * V::LANES;
    }
}

/// `P` registers of columns from `column` on, for `R` rows; the last register has `n_last` columns.
///
/// # Safety
/// As [`signed_rows`]; `column` is a multiple of the lanes, and the row of y has so many columns left.
#[inline(always)]
unsafe fn panel<V: Signed, const R: usize, const P: usize>(
    i: usize,
    x: *const V::Element,
    alpha: &[V::Element],
    bits: &[u8],
    bias: &[V::Element],
    y: *mut V::Element,
    column: usize,
    n_last: usize,
) {
    let (o, row_len) = (alpha.len(), packed_row_len(alpha.len()));
    let at = |p: usize| column + p * V::LANES;
    let is_whole = |p: usize| p + 1 < P || n_last == V::LANES;
    // SAFETY: the caller vouches for the columns; a row's bits are whole words, so that each register has all of its.
    unsafe {
        // Loops, not closures over arrays: the compiler makes functions of those, which lack the level's instructions.
        let zero = V::splat(V::Element::ZERO);
        let (mut scales, mut sums) = ([zero; P], [[zero; P]; R]);
        for (p, scale) in scales.iter_mut().enumerate() {
            let from = alpha.as_ptr().add(at(p));
            *scale = if is_whole(p) { V::load(from) } else { V::load_partial(from, n_last) };
        }
        if !bias.is_empty() {
            for p in 0..P {
                let from = bias.as_ptr().add(at(p));
                let start = if is_whole(p) { V::load(from) } else { V::load_partial(from, n_last) };
                for sums in &mut sums {
                    sums[p] = start;
                }
            }
        }
        for input in 0..i {
            let signs = bits.as_ptr().add(input * row_len);
            let mut weights = scales;
            for (p, weight) in weights.iter_mut().enumerate() {
                *weight = weight.flipped(signs.add(at(p) / 8), at(p) % 8);
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = V::splat(*x.add(r * i + input));
                for (sum, &weight) in sums.iter_mut().zip(&weights) {
                    *sum = x.mul_add(weight, *sum);
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (p, sum) in sums.into_iter().enumerate() {
                let to = y.add(r * o + at(p));
                if is_whole(p) { sum.store(to) } else { sum.store_partial(to, n_last) }
            }
        }
    }
}
