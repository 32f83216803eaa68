//! The few vector operations that the matrix product and the passes over rows are written in.

use crate::math::Real;
use crate::product::Panel;

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
    /// 0 in lanes below 0, `self` in the others, NaN included.
    ///
    /// # Safety
    /// As [`Vector::splat`].
    unsafe fn relu(self) -> Self;
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
    /// The sum of all lanes, joined by halves: lane i and lane i + `LANES`/2, and so on.
    ///
    /// # Safety
    /// As [`Vector::splat`].
    #[inline(always)]
    unsafe fn sum_lanes(self) -> Self::Element {
        let mut lanes = [Self::Element::ZERO; 16];
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut half = Self::LANES / 2;
        while half > 0 {
            for lane in 0..half {
                let other = lanes[lane + half];
                lanes[lane] += other;
            }
            half /= 2;
        }
        lanes[0]
    }

    /// [`Panel::rows`], as a function of its own that has the instructions of this type: a product that held the code of
    /// all shapes of tiles, wherever it uses one, would take the compiler minutes.
    ///
    /// # Safety
    /// As [`Vector::splat`] and [`Panel::rows`].
    unsafe fn rows<const NR: usize, const PACKED: bool>(panel: &Panel<Self::Element>, m: usize);

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
            unsafe fn relu(self) -> Self {
                Self(self.0.map(|x| if x < 0.0 { 0.0 } else { x }))
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
            #[inline(never)]
            unsafe fn rows<const NR: usize, const PACKED: bool>(panel: &Panel<$t>, m: usize) {
                unsafe { panel.rows::<Self, NR, PACKED>(m) }
            }
        }
    };
}
plain!(f32);
plain!(f64);

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
mod arm;
