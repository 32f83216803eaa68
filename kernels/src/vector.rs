//! The few vector operations that the matrix product is written in.

/// A register full of numbers.
pub(crate) trait Vector: Copy {
    /// The number type in a lane.
    type Element: Copy;
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
        }
    };
}
plain!(f32);
plain!(f64);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::{
        __m256, __m256d, __m256i, __m512, __m512d, _mm256_cmpgt_epi32, _mm256_cmpgt_epi64, _mm256_fmadd_pd,
        _mm256_fmadd_ps, _mm256_loadu_pd, _mm256_loadu_ps, _mm256_maskload_pd, _mm256_maskload_ps,
        _mm256_maskstore_pd, _mm256_maskstore_ps, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_pd,
        _mm256_set1_ps, _mm256_setr_epi32, _mm256_setr_epi64x, _mm256_storeu_pd, _mm256_storeu_ps,
        _mm512_fmadd_pd, _mm512_fmadd_ps, _mm512_loadu_pd, _mm512_loadu_ps, _mm512_mask_storeu_pd,
        _mm512_mask_storeu_ps, _mm512_maskz_loadu_pd, _mm512_maskz_loadu_ps, _mm512_set1_pd, _mm512_set1_ps,
        _mm512_storeu_pd, _mm512_storeu_ps,
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

    macro_rules! vector {
        ($v:ty, $t:ty, $lanes:literal, $panel:literal, $set1:ident, $load:ident, $mload:ident, $store:ident, $mstore:ident, $fma:ident, $mask:expr) => {
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
        mask512
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
        mask512d
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
        mask256
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
        mask256d
    );
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::Vector;
    use std::arch::aarch64::{
        float32x4_t, float64x2_t, vdupq_n_f32, vdupq_n_f64, vfmaq_f32, vfmaq_f64, vld1q_f32, vld1q_f64,
        vst1q_f32, vst1q_f64,
    };

    macro_rules! vector {
        ($v:ty, $t:ty, $lanes:literal, $dup:ident, $load:ident, $store:ident, $fma:ident) => {
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
            }
        };
    }
    vector!(float32x4_t, f32, 4, vdupq_n_f32, vld1q_f32, vst1q_f32, vfmaq_f32);
    vector!(float64x2_t, f64, 2, vdupq_n_f64, vld1q_f64, vst1q_f64, vfmaq_f64);
}
