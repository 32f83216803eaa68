//! The registers of x86-64: AVX2 and AVX-512.

use super::Vector;
use crate::product::Panel;
use std::arch::x86_64::{
    __m256, __m256d, __m256i, __m512, __m512d, _CMP_GT_OQ, _mm_add_pd, _mm_add_ps, _mm_add_sd, _mm_add_ss,
    _mm_cvtsd_f64, _mm_cvtsi64_si128, _mm_cvtss_f32, _mm_loadu_ps, _mm_maskz_loadu_epi8, _mm_movehdup_ps,
    _mm_movehl_ps, _mm_storeu_ps, _mm_test_epi8_mask, _mm_unpackhi_pd, _mm256_add_pd, _mm256_add_ps,
    _mm256_and_pd, _mm256_and_ps, _mm256_castpd256_pd128, _mm256_castps128_ps256, _mm256_castps256_ps128,
    _mm256_castsi256_pd, _mm256_castsi256_ps, _mm256_cmp_pd, _mm256_cmp_ps, _mm256_cmpgt_epi32,
    _mm256_cmpgt_epi64, _mm256_cvtepu8_epi32, _mm256_cvtepu8_epi64, _mm256_extractf128_pd,
    _mm256_extractf128_ps, _mm256_fmadd_pd, _mm256_fmadd_ps, _mm256_insertf128_ps, _mm256_loadu_pd,
    _mm256_loadu_ps, _mm256_maskload_pd, _mm256_maskload_ps, _mm256_maskstore_pd, _mm256_maskstore_ps,
    _mm256_max_pd, _mm256_max_ps, _mm256_mul_pd, _mm256_mul_ps, _mm256_permute2f128_pd,
    _mm256_permute2f128_ps, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_pd, _mm256_set1_ps,
    _mm256_setr_epi32, _mm256_setr_epi64x, _mm256_setzero_pd, _mm256_setzero_ps, _mm256_setzero_si256,
    _mm256_shuffle_ps, _mm256_storeu_pd, _mm256_storeu_ps, _mm256_sub_pd, _mm256_sub_ps, _mm256_unpackhi_pd,
    _mm256_unpackhi_ps, _mm256_unpacklo_pd, _mm256_unpacklo_ps, _mm512_add_pd, _mm512_add_ps,
    _mm512_broadcast_f32x4, _mm512_castps256_ps512, _mm512_castps512_ps128, _mm512_cmp_pd_mask,
    _mm512_cmp_ps_mask, _mm512_extractf32x4_ps, _mm512_fmadd_pd, _mm512_fmadd_ps, _mm512_insertf32x8,
    _mm512_loadu_pd, _mm512_loadu_ps, _mm512_mask_storeu_pd, _mm512_mask_storeu_ps, _mm512_maskz_loadu_pd,
    _mm512_maskz_loadu_ps, _mm512_maskz_mov_pd, _mm512_maskz_mov_ps, _mm512_max_pd, _mm512_max_ps,
    _mm512_mul_pd, _mm512_mul_ps, _mm512_permute_ps, _mm512_reduce_add_pd, _mm512_reduce_add_ps,
    _mm512_set1_pd, _mm512_set1_ps, _mm512_setzero_pd, _mm512_setzero_ps, _mm512_storeu_pd, _mm512_storeu_ps,
    _mm512_sub_pd, _mm512_sub_ps,
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

/// # Safety
/// The CPU has AVX.
#[inline(always)]
unsafe fn sum256(x: __m256) -> f32 {
    unsafe {
        let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
    }
}
/// # Safety
/// The CPU has AVX.
#[inline(always)]
unsafe fn sum256d(x: __m256d) -> f64 {
    unsafe {
        let x = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
        _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)))
    }
}

macro_rules! vector {
    ($v:ty, $t:ty, $features:literal, $lanes:literal, $panel:literal, $set1:ident, $load:ident, $mload:ident, $store:ident, $mstore:ident, $fma:ident, $add:ident, $sub:ident, $mul:ident, $max:ident, $mask:expr, $positive:ident, $kept:ident, $sum:ident, $square:literal, $transpose:ident $(, { $($quads:tt)* })?) => {
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
            unsafe fn relu(self) -> Self {
                // Of two zeros, and of a pair with NaN, the second is taken.
                unsafe { $max($set1(0.0), self) }
            }
            #[inline(always)]
            unsafe fn where_positive(self, y: Self) -> Self {
                unsafe { $positive(self, y) }
            }
            #[inline(always)]
            unsafe fn where_kept(self, kept: *const u8, n: usize) -> Self {
                unsafe { $kept(self, kept, n) }
            }
            #[inline(always)]
            unsafe fn sum_lanes(self) -> $t {
                unsafe { $sum(self) }
            }
            unsafe fn rows<const NR: usize, const PACKED: bool>(panel: &Panel<$t>, m: usize) {
                #[target_feature(enable = $features)]
                #[inline(never)]
                unsafe fn rows<const NR: usize, const PACKED: bool>(panel: &Panel<$t>, m: usize) {
                    unsafe { panel.rows::<$v, NR, PACKED>(m) }
                }
                unsafe { rows::<NR, PACKED>(panel, m) }
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
    "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma",
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
    _mm512_max_ps,
    mask512,
    positive512,
    kept512,
    _mm512_reduce_add_ps,
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
    "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma",
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
    _mm512_max_pd,
    mask512d,
    positive512d,
    kept512d,
    _mm512_reduce_add_pd,
    4,
    transpose4x4
);
vector!(
    __m256,
    f32,
    "avx2,fma",
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
    _mm256_max_ps,
    mask256,
    positive256,
    kept256,
    sum256,
    8,
    transpose8x8
);
vector!(
    __m256d,
    f64,
    "avx2,fma",
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
    _mm256_max_pd,
    mask256d,
    positive256d,
    kept256d,
    sum256d,
    4,
    transpose4x4
);
