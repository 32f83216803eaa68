//! The registers of 64-bit ARM: NEON.

use super::Vector;
use crate::product::Panel;
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
            unsafe fn relu(self) -> Self {
                let mut x = [0.0; $lanes];
                unsafe {
                    $store(x.as_mut_ptr(), self);
                    for x in &mut x {
                        *x = if *x < 0.0 { 0.0 } else { *x };
                    }
                    $load(x.as_ptr())
                }
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
            #[inline(never)]
            unsafe fn rows<const NR: usize, const PACKED: bool>(panel: &Panel<$t>, m: usize) {
                unsafe { panel.rows::<Self, NR, PACKED>(m) }
            }
        }
    };
}
vector!(float32x4_t, f32, 4, vdupq_n_f32, vld1q_f32, vst1q_f32, vfmaq_f32, vaddq_f32, vsubq_f32, vmulq_f32);
vector!(float64x2_t, f64, 2, vdupq_n_f64, vld1q_f64, vst1q_f64, vfmaq_f64, vaddq_f64, vsubq_f64, vmulq_f64);
