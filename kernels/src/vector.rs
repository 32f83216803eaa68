//! The few vector operations that the matrix product and the passes over rows are written in.

use crate::math::Real;

/// A register full of numbers.
pub(crate) trait Vector: Copy {
    /// The number type in a lane.
    type Element: Real;
    /// How many numbers a register holds.
    const LANES: usize;
    /// How many registers wide a tile of the product is, so that its sums fit the register file.
    const PANEL: usize;

    /// All lanes `x`.
    ///
    /// # Safety
    /// The CPU has the instructions of this type.
    unsafe fn splat(x: Self::Element) -> Self;
    /// `LANES` numbers at `p`.
    ///
    /// # Safety
    /// As [`Vector::splat`]; `p` is valid for reading `LANES` numbers.
    unsafe fn load(p: *const Self::Element) -> Self;
    /// The first `n` lanes from `p`, zero beyond.
    ///
    /// # Safety
    /// As [`Vector::splat`]; `n <= LANES` and `p` is valid for reading `n` numbers.
    unsafe fn load_partial(p: *const Self::Element, n: usize) -> Self;
    /// Writes all lanes to `p`.
    ///
    /// # Safety
    /// As [`Vector::splat`]; `p` is valid for writing `LANES` numbers.
    unsafe fn store(self, p: *mut Self::Element);
    /// Writes the first `n` lanes to `p`.
    ///
    /// # Safety
    /// As [`Vector::splat`]; `n <= LANES` and `p` is valid for writing `n` numbers.
    unsafe fn store_partial(self, p: *mut Self::Element, n: usize);
    /// `self · b + c`, rounded once.
    ///
    /// # Safety
    /// As [`Vector::splat`].
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    /// `self + b`.
    ///
    /// # Safety
    /// As [`Vector::splat`].
    unsafe fn add(self, b: Self) -> Self;
    /// `self − b`.
    ///
    /// # Safety
    /// As [`Vector::splat`].
    unsafe fn sub(self, b: Self) -> Self;
    /// `self · b`.
    ///
    /// # Safety
    /// As [`Vector::splat`].
    unsafe fn mul(self, b: Self) -> Self;
    /// `self` in lanes where `y > 0`, zero in the others.
    ///
    /// # Safety
    /// As [`Vector::splat`].
    unsafe fn where_positive(self, y: Self) -> Self;
    /// `self` in the first `n` lanes where the byte at `kept` is not 0, zero in the others.
    ///
    /// # Safety
    /// As [`Vector::splat`]; `n <= LANES` and `kept` is valid for reading `n` bytes.
    unsafe fn where_kept(self, kept: *const u8, n: usize) -> Self;

    /// How many rows of four numbers lie side by side in a register; 0 where the functions on quads are missing.
    const QUADS: usize = 0;
    /// Four numbers from each of `QUADS` rows, `row` apart.
    ///
    /// # Safety
    /// As [`Vector::splat`]; `QUADS` is not 0, and `p` is valid for reading the rows.
    #[inline(always)]
    unsafe fn load_quads(p: *const Self::Element, _row: usize) -> Self {
        unsafe { Self::load(p) }
    }
    /// The four numbers at `p` in each quad.
    ///
    /// # Safety
    /// As [`Vector::load_quads`]; `p` is valid for reading four numbers.
    #[inline(always)]
    unsafe fn splat_quad(p: *const Self::Element) -> Self {
        unsafe { Self::load(p) }
    }
    /// Number `I` of each quad in all four lanes of that quad.
    ///
    /// # Safety
    /// As [`Vector::load_quads`].
    #[inline(always)]
    unsafe fn splat_in_quads<const I: i32>(self) -> Self {
        self
    }
    /// Writes each quad to its own row, `row` apart.
    ///
    /// # Safety
    /// As [`Vector::load_quads`]; `p` is valid for writing the rows.
    #[inline(always)]
    unsafe fn store_quads(self, p: *mut Self::Element, _row: usize) {
        unsafe { self.store(p) }
    }

    /// The side of the square that [`Vector::transpose`] transposes.
    const SQUARE: usize = 4;
    /// Writes the transpose of the square at `from` (rows `from_row` apart) to `to` (rows `to_row` apart).
    ///
    /// # Safety
    /// As [`Vector::splat`]; both squares are valid, and do not overlap.
    #[inline(always)]
    unsafe fn transpose(from: *const Self::Element, from_row: usize, to: *mut Self::Element, to_row: usize) {
        for row in 0..Self::SQUARE {
            for column in 0..Self::SQUARE {
                unsafe { *to.add(column * to_row + row) = *from.add(row * from_row + column) };
            }
        }
    }
}

/// Four lanes in plain Rust, for CPUs without known vectors and for Miri.
#[derive(Clone, Copy)]
pub(crate) struct Plain<T>([T; 4]);

macro_rules! plain {
    ($t:ty) => {
        // SAFETY: plain pointer reads and writes within the bounds that the caller vouches for.
        impl Vector for Plain<$t> {
            type Element = $t;
            const LANES: usize = 4;
            const PANEL: usize = 2;
            #[inline(always)]
            unsafe fn splat(x: $t) -> Self {
                Self([x; 4])
            }
            #[inline(always)]
            unsafe fn load(p: *const $t) -> Self {
                unsafe { Self(p.cast::<[$t; 4]>().read_unaligned()) }
            }
            #[inline(always)]
            unsafe fn load_partial(p: *const $t, n: usize) -> Self {
                let mut lanes = [0.0; 4];
                unsafe { std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n) };
                Self(lanes)
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $t) {
                unsafe { p.cast::<[$t; 4]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            unsafe fn store_partial(self, p: *mut $t, n: usize) {
                unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), p, n) }
            }
            #[inline(always)]
            unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i].mul_add(b.0[i], c.0[i])))
            }
            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] + b.0[i]))
            }
            #[inline(always)]
            unsafe fn sub(self, b: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] - b.0[i]))
            }
            #[inline(always)]
            unsafe fn mul(self, b: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] * b.0[i]))
            }
            #[inline(always)]
            unsafe fn where_positive(self, y: Self) -> Self {
                Self(std::array::from_fn(|i| if y.0[i] > 0.0 { self.0[i] } else { 0.0 }))
            }
            #[inline(always)]
            unsafe fn where_kept(self, kept: *const u8, n: usize) -> Self {
                Self(std::array::from_fn(|i| {
                    // SAFETY: the lane is one of those that the caller vouches for.
                    if i < n && unsafe { *kept.add(i) } != 0 { self.0[i] } else { 0.0 }
                }))
            }
        }
    };
}
plain!(f32);
plain!(f64);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::{
        __m256, __m256d, __m256i, __m512, __m512d, _CMP_GT_OQ, _mm_cvtsi64_si128, _mm_loadu_ps,
        _mm_maskz_loadu_epi8, _mm_storeu_ps, _mm_test_epi8_mask, _mm256_add_pd, _mm256_add_ps, _mm256_and_pd,
        _mm256_and_ps, _mm256_castps128_ps256, _mm256_castsi256_pd, _mm256_castsi256_ps, _mm256_cmp_pd,
        _mm256_cmp_ps, _mm256_cmpgt_epi32, _mm256_cmpgt_epi64, _mm256_cvtepu8_epi32, _mm256_cvtepu8_epi64,
        _mm256_fmadd_pd, _mm256_fmadd_ps, _mm256_insertf128_ps, _mm256_loadu_pd, _mm256_loadu_ps,
        _mm256_maskload_pd, _mm256_maskload_ps, _mm256_maskstore_pd, _mm256_maskstore_ps, _mm256_mul_pd,
        _mm256_mul_ps, _mm256_permute2f128_pd, _mm256_permute2f128_ps, _mm256_set1_epi32, _mm256_set1_epi64x,
        _mm256_set1_pd, _mm256_set1_ps, _mm256_setr_epi32, _mm256_setr_epi64x, _mm256_setzero_pd,
        _mm256_setzero_ps, _mm256_setzero_si256, _mm256_shuffle_ps, _mm256_storeu_pd, _mm256_storeu_ps,
        _mm256_sub_pd, _mm256_sub_ps, _mm256_unpackhi_pd, _mm256_unpackhi_ps, _mm256_unpacklo_pd,
        _mm256_unpacklo_ps, _mm512_add_pd, _mm512_add_ps, _mm512_broadcast_f32x4, _mm512_castps256_ps512,
        _mm512_castps512_ps128, _mm512_cmp_pd_mask, _mm512_cmp_ps_mask, _mm512_extractf32x4_ps,
        _mm512_fmadd_pd, _mm512_fmadd_ps, _mm512_insertf32x8, _mm512_loadu_pd, _mm512_loadu_ps,
        _mm512_mask_storeu_pd, _mm512_mask_storeu_ps, _mm512_maskz_loadu_pd, _mm512_maskz_loadu_ps,
        _mm512_maskz_mov_pd, _mm512_maskz_mov_ps, _mm512_mul_pd, _mm512_mul_ps, _mm512_permute_ps,
        _mm512_set1_pd, _mm512_set1_ps, _mm512_setzero_pd, _mm512_setzero_ps, _mm512_storeu_pd,
        _mm512_storeu_ps, _mm512_sub_pd, _mm512_sub_ps,
    };

    #[inline(always)]
    fn mask512(n: usize) -> u16 {
        ((1u32 << n) - 1) as u16
    }
    #[inline(always)]
    fn mask512d(n: usize) -> u8 {
        ((1u32 << n) - 1) as u8
    }
    /// # Safety
    /// The CPU has AVX2.
    #[inline(always)]
    unsafe fn mask256(n: usize) -> __m256i {
        unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
    }
    /// # Safety
    /// The CPU has AVX2.
    #[inline(always)]
    unsafe fn mask256d(n: usize) -> __m256i {
        unsafe { _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), _mm256_setr_epi64x(0, 1, 2, 3)) }
    }

    /// [`Vector::transpose`] of 8×8 single-precision numbers: pairs, then quadruples, then halves change places.
    ///
    /// # Safety
    /// The CPU has AVX; both squares are valid.
    #[inline(always)]
    unsafe fn transpose8x8(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        unsafe {
            let r: [__m256; 8] = std::array::from_fn(|i| _mm256_loadu_ps(from.add(i * from_row)));
            let pairs: [__m256; 8] = std::array::from_fn(|i| {
                let (a, b) = (r[i / 2 * 2], r[i / 2 * 2 + 1]);
                if i % 2 == 0 { _mm256_unpacklo_ps(a, b) } else { _mm256_unpackhi_ps(a, b) }
            });
            let quads: [__m256; 8] = std::array::from_fn(|i| {
                let (a, b) = (pairs[i / 4 * 4 + i % 4 / 2], pairs[i / 4 * 4 + i % 4 / 2 + 2]);
                if i % 2 == 0 { _mm256_shuffle_ps::<0x44>(a, b) } else { _mm256_shuffle_ps::<0xEE>(a, b) }
            });
            for i in 0..4 {
                let (a, b) = (quads[i], quads[i + 4]);
                _mm256_storeu_ps(to.add(i * to_row), _mm256_permute2f128_ps::<0x20>(a, b));
                _mm256_storeu_ps(to.add((i + 4) * to_row), _mm256_permute2f128_ps::<0x31>(a, b));
            }
        }
    }

    /// [`Vector::transpose`] of 4×4 double-precision numbers.
    ///
    /// # Safety
    /// The CPU has AVX; both squares are valid.
    #[inline(always)]
    unsafe fn transpose4x4(from: *const f64, from_row: usize, to: *mut f64, to_row: usize) {
        unsafe {
            let r: [__m256d; 4] = std::array::from_fn(|i| _mm256_loadu_pd(from.add(i * from_row)));
            let (a, b) = (_mm256_unpacklo_pd(r[0], r[1]), _mm256_unpackhi_pd(r[0], r[1]));
            let (c, d) = (_mm256_unpacklo_pd(r[2], r[3]), _mm256_unpackhi_pd(r[2], r[3]));
            _mm256_storeu_pd(to, _mm256_permute2f128_pd::<0x20>(a, c));
            _mm256_storeu_pd(to.add(to_row), _mm256_permute2f128_pd::<0x20>(b, d));
            _mm256_storeu_pd(to.add(2 * to_row), _mm256_permute2f128_pd::<0x31>(a, c));
            _mm256_storeu_pd(to.add(3 * to_row), _mm256_permute2f128_pd::<0x31>(b, d));
        }
    }

    /// # Safety
    /// The CPU has AVX-512.
    #[inline(always)]
    unsafe fn positive512(x: __m512, y: __m512) -> __m512 {
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(y, _mm512_setzero_ps()), x) }
    }
    /// # Safety
    /// The CPU has AVX-512.
    #[inline(always)]
    unsafe fn positive512d(x: __m512d, y: __m512d) -> __m512d {
        unsafe { _mm512_maskz_mov_pd(_mm512_cmp_pd_mask::<_CMP_GT_OQ>(y, _mm512_setzero_pd()), x) }
    }
    /// # Safety
    /// The CPU has AVX.
    #[inline(always)]
    unsafe fn positive256(x: __m256, y: __m256) -> __m256 {
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(y, _mm256_setzero_ps()), x) }
    }
    /// # Safety
    /// The CPU has AVX.
    #[inline(always)]
    unsafe fn positive256d(x: __m256d, y: __m256d) -> __m256d {
        unsafe { _mm256_and_pd(_mm256_cmp_pd::<_CMP_GT_OQ>(y, _mm256_setzero_pd()), x) }
    }

    /// # Safety
    /// The CPU has AVX-512 F, BW and VL; `kept` is valid for `n` bytes.
    #[inline(always)]
    unsafe fn kept512(x: __m512, kept: *const u8, n: usize) -> __m512 {
        unsafe {
            let bytes = _mm_maskz_loadu_epi8(mask512(n), kept.cast());
            _mm512_maskz_mov_ps(_mm_test_epi8_mask(bytes, bytes), x)
        }
    }
    /// # Safety
    /// The CPU has AVX-512 F, BW and VL; `kept` is valid for `n` bytes.
    #[inline(always)]
    unsafe fn kept512d(x: __m512d, kept: *const u8, n: usize) -> __m512d {
        unsafe {
            let bytes = _mm_maskz_loadu_epi8(u16::from(mask512d(n)), kept.cast());
            _mm512_maskz_mov_pd(_mm_test_epi8_mask(bytes, bytes) as u8, x)
        }
    }
    /// # Safety
    /// The CPU has AVX2; `kept` is valid for `n` bytes.
    #[inline(always)]
    unsafe fn kept256(x: __m256, kept: *const u8, n: usize) -> __m256 {
        unsafe {
            let bytes = if n == 8 { kept.cast::<i64>().read_unaligned() } else { first_bytes(kept, n) };
            let lanes = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(bytes));
            _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(lanes, _mm256_setzero_si256())), x)
        }
    }
    /// # Safety
    /// The CPU has AVX2; `kept` is valid for `n` bytes.
    #[inline(always)]
    unsafe fn kept256d(x: __m256d, kept: *const u8, n: usize) -> __m256d {
        unsafe {
            let lanes = _mm256_cvtepu8_epi64(_mm_cvtsi64_si128(first_bytes(kept, n)));
            _mm256_and_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(lanes, _mm256_setzero_si256())), x)
        }
    }
    /// The first `n` of up to eight bytes, zeros after them.
    ///
    /// # Safety
    /// `p` is valid for `n` bytes.
    #[inline(always)]
    unsafe fn first_bytes(p: *const u8, n: usize) -> i64 {
        (0..n).fold(0, |bytes, i| bytes | i64::from(unsafe { *p.add(i) }) << (8 * i))
    }

    macro_rules! vector {
        ($v:ty, $t:ty, $lanes:literal, $panel:literal, $set1:ident, $load:ident, $mload:ident, $store:ident, $mstore:ident, $fma:ident, $add:ident, $sub:ident, $mul:ident, $mask:expr, $positive:ident, $kept:ident, $square:literal, $transpose:ident $(, { $($quads:tt)* })?) => {
            // SAFETY: each intrinsic needs only the instructions and the bounds that the caller vouches for;
            // a masked lane is neither read nor written.
            impl Vector for $v {
                type Element = $t;
                const LANES: usize = $lanes;
                const PANEL: usize = $panel;
                #[inline(always)]
                unsafe fn splat(x: $t) -> Self {
                    unsafe { $set1(x) }
                }
                #[inline(always)]
                unsafe fn load(p: *const $t) -> Self {
                    unsafe { $load(p) }
                }
                #[inline(always)]
                unsafe fn load_partial(p: *const $t, n: usize) -> Self {
                    unsafe { vector!(@load $mload, p, $mask(n)) }
                }
                #[inline(always)]
                unsafe fn store(self, p: *mut $t) {
                    unsafe { $store(p, self) }
                }
                #[inline(always)]
                unsafe fn store_partial(self, p: *mut $t, n: usize) {
                    unsafe { $mstore(p, $mask(n), self) }
                }
                #[inline(always)]
                unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                    unsafe { $fma(self, b, c) }
                }
                #[inline(always)]
                unsafe fn add(self, b: Self) -> Self {
                    unsafe { $add(self, b) }
                }
                #[inline(always)]
                unsafe fn sub(self, b: Self) -> Self {
                    unsafe { $sub(self, b) }
                }
                #[inline(always)]
                unsafe fn mul(self, b: Self) -> Self {
                    unsafe { $mul(self, b) }
                }
                #[inline(always)]
                unsafe fn where_positive(self, y: Self) -> Self {
                    unsafe { $positive(self, y) }
                }
                #[inline(always)]
                unsafe fn where_kept(self, kept: *const u8, n: usize) -> Self {
                    unsafe { $kept(self, kept, n) }
                }
                $($($quads)*)?
                const SQUARE: usize = $square;
                #[inline(always)]
                unsafe fn transpose(from: *const $t, from_row: usize, to: *mut $t, to_row: usize) {
                    unsafe { $transpose(from, from_row, to, to_row) }
                }
            }
        };
        // The older instructions take the pointer first.
        (@load _mm256_maskload_ps, $p:expr, $m:expr) => { _mm256_maskload_ps($p, $m) };
        (@load _mm256_maskload_pd, $p:expr, $m:expr) => { _mm256_maskload_pd($p, $m) };
        (@load $mload:ident, $p:expr, $m:expr) => { $mload($m, $p) };
    }

    vector!(
        __m512,
        f32,
        16,
        4,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_maskz_loadu_ps,
        _mm512_storeu_ps,
        _mm512_mask_storeu_ps,
        _mm512_fmadd_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        mask512,
        positive512,
        kept512,
        8,
        transpose8x8,
        {
            const QUADS: usize = 4;
            #[inline(always)]
            unsafe fn load_quads(p: *const f32, row: usize) -> __m512 {
                unsafe {
                    let quad = |i: usize| _mm_loadu_ps(p.add(i * row));
                    let low = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(quad(0)), quad(1));
                    let high = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(quad(2)), quad(3));
                    _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low), high)
                }
            }
            #[inline(always)]
            unsafe fn splat_quad(p: *const f32) -> __m512 {
                unsafe { _mm512_broadcast_f32x4(_mm_loadu_ps(p)) }
            }
            #[inline(always)]
            unsafe fn splat_in_quads<const I: i32>(self) -> __m512 {
                unsafe {
                    match I {
                        0 => _mm512_permute_ps::<0x00>(self),
                        1 => _mm512_permute_ps::<0x55>(self),
                        2 => _mm512_permute_ps::<0xAA>(self),
                        _ => _mm512_permute_ps::<0xFF>(self),
                    }
                }
            }
            #[inline(always)]
            unsafe fn store_quads(self, p: *mut f32, row: usize) {
                unsafe {
                    _mm_storeu_ps(p, _mm512_castps512_ps128(self));
                    _mm_storeu_ps(p.add(row), _mm512_extractf32x4_ps::<1>(self));
                    _mm_storeu_ps(p.add(2 * row), _mm512_extractf32x4_ps::<2>(self));
                    _mm_storeu_ps(p.add(3 * row), _mm512_extractf32x4_ps::<3>(self));
                }
            }
        }
    );
    vector!(
        __m512d,
        f64,
        8,
        4,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_maskz_loadu_pd,
        _mm512_storeu_pd,
        _mm512_mask_storeu_pd,
        _mm512_fmadd_pd,
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_mul_pd,
        mask512d,
        positive512d,
        kept512d,
        4,
        transpose4x4
    );
    vector!(
        __m256,
        f32,
        8,
        2,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_maskload_ps,
        _mm256_storeu_ps,
        _mm256_maskstore_ps,
        _mm256_fmadd_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        mask256,
        positive256,
        kept256,
        8,
        transpose8x8
    );
    vector!(
        __m256d,
        f64,
        4,
        2,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_maskload_pd,
        _mm256_storeu_pd,
        _mm256_maskstore_pd,
        _mm256_fmadd_pd,
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_mul_pd,
        mask256d,
        positive256d,
        kept256d,
        4,
        transpose4x4
    );
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::Vector;
    use std::arch::aarch64::{
        float32x4_t, float64x2_t, vaddq_f32, vaddq_f64, vdupq_n_f32, vdupq_n_f64, vfmaq_f32, vfmaq_f64,
        vld1q_f32, vld1q_f64, vmulq_f32, vmulq_f64, vst1q_f32, vst1q_f64, vsubq_f32, vsubq_f64,
    };

    macro_rules! vector {
        ($v:ty, $t:ty, $lanes:literal, $dup:ident, $load:ident, $store:ident, $fma:ident, $add:ident, $sub:ident, $mul:ident) => {
            // SAFETY: NEON is part of every aarch64 CPU; bounds are those that the caller vouches for.
            impl Vector for $v {
                type Element = $t;
                const LANES: usize = $lanes;
                const PANEL: usize = 4;
                #[inline(always)]
                unsafe fn splat(x: $t) -> Self {
                    unsafe { $dup(x) }
                }
                #[inline(always)]
                unsafe fn load(p: *const $t) -> Self {
                    unsafe { $load(p) }
                }
                #[inline(always)]
                unsafe fn load_partial(p: *const $t, n: usize) -> Self {
                    let mut lanes = [0.0; $lanes];
                    unsafe {
                        std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
                        $load(lanes.as_ptr())
                    }
                }
                #[inline(always)]
                unsafe fn store(self, p: *mut $t) {
                    unsafe { $store(p, self) }
                }
                #[inline(always)]
                unsafe fn store_partial(self, p: *mut $t, n: usize) {
                    let mut lanes = [0.0; $lanes];
                    unsafe {
                        $store(lanes.as_mut_ptr(), self);
                        std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
                    }
                }
                #[inline(always)]
                unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                    unsafe { $fma(c, self, b) }
                }
                #[inline(always)]
                unsafe fn add(self, b: Self) -> Self {
                    unsafe { $add(self, b) }
                }
                #[inline(always)]
                unsafe fn sub(self, b: Self) -> Self {
                    unsafe { $sub(self, b) }
                }
                #[inline(always)]
                unsafe fn mul(self, b: Self) -> Self {
                    unsafe { $mul(self, b) }
                }
                #[inline(always)]
                unsafe fn where_positive(self, y: Self) -> Self {
                    let (mut x, mut signs) = ([0.0; $lanes], [0.0; $lanes]);
                    unsafe {
                        $store(x.as_mut_ptr(), self);
                        $store(signs.as_mut_ptr(), y);
                        for (x, y) in x.iter_mut().zip(signs) {
                            *x = if y > 0.0 { *x } else { 0.0 };
                        }
                        $load(x.as_ptr())
                    }
                }
                #[inline(always)]
                unsafe fn where_kept(self, kept: *const u8, n: usize) -> Self {
                    let mut x = [0.0; $lanes];
                    unsafe {
                        $store(x.as_mut_ptr(), self);
                        for (i, x) in x.iter_mut().enumerate() {
                            *x = if i < n && *kept.add(i) != 0 { *x } else { 0.0 };
                        }
                        $load(x.as_ptr())
                    }
                }
            }
        };
    }
    vector!(
        float32x4_t,
        f32,
        4,
        vdupq_n_f32,
        vld1q_f32,
        vst1q_f32,
        vfmaq_f32,
        vaddq_f32,
        vsubq_f32,
        vmulq_f32
    );
    vector!(
        float64x2_t,
        f64,
        2,
        vdupq_n_f64,
        vld1q_f64,
        vst1q_f64,
        vfmaq_f64,
        vaddq_f64,
        vsubq_f64,
        vmulq_f64
    );
}
