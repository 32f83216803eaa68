//! The list of kernels, each compiled once for every number type and CPU level.

use crate::activation::{self, Activation};
use crate::batch_norm::{self, Kept};
use crate::binary;
use crate::columns;
use crate::dropout;
use crate::embedding;
use crate::layer_norm;
use crate::level::CpuLevel;
use crate::math::Real;
use crate::optimizer::{
    self, AdadeltaStep, AdagradStep, AdamStep, LionStep, MuonStep, NadamStep, RmspropStep, ScheduleFreeStep,
    SgdStep,
};
use crate::peak;
use crate::product::{self, Matrix, Start};
use crate::sparse::{self, Compressed};
use crate::vector::Plain;

/// Declares [`Scalar`] and implements it for `f32` and `f64`: each body is inlined into one function per CPU
/// level, where the compiler turns its loops into that level's vectors.
macro_rules! kernels {
    ($( $(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:path; )*) => {
        /// Every kernel on slices of `T`.
        ///
        /// # Panics
        /// Each kernel panics when a slice is too short for the shapes, or when the CPU lacks the level.
        pub trait Kernels<T> {
            $( $(#[$doc])* fn $name(level: CpuLevel, $($arg: $ty),*); )*
        }
        kernels!(@implement f32, kernels_of_f32; $( fn $name($($arg: $ty),*) = $body; )*);
        kernels!(@implement f64, kernels_of_f64; $( fn $name($($arg: $ty),*) = $body; )*);
    };
    (@implement $t:ty, $module:ident; $( fn $name:ident($($arg:ident: $ty:ty),*) = $body:path; )*) => {
        // The compiler shares out work by modules.
        mod $module {
            use super::*;
            // The signatures say `T`; an alias reaches into the inner functions, where `Self` does not.
            type T = $t;
            impl Kernels<T> for T {
                $( fn $name(level: CpuLevel, $($arg: $ty),*) {
                    #[cfg(target_arch = "x86_64")]
                    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                    fn avx512($($arg: $ty),*) { $body($($arg),*) }
                    #[cfg(target_arch = "x86_64")]
                    #[target_feature(enable = "avx2,fma")]
                    fn avx2($($arg: $ty),*) { $body($($arg),*) }
                    assert!(level.is_available(), "this CPU lacks the {} instructions", level.name());
                    match level {
                        // SAFETY: the level is available, checked above.
                        #[cfg(target_arch = "x86_64")]
                        CpuLevel::Avx512 => unsafe { avx512($($arg),*) },
                        // SAFETY: the level is available, checked above.
                        #[cfg(target_arch = "x86_64")]
                        CpuLevel::Avx2 => unsafe { avx2($($arg),*) },
                        // NEON is part of the baseline where it exists.
                        _ => $body($($arg),*),
                    }
                } )*
            }
        }
    };
}

kernels! {
    /// Of latent weights (I×O), alpha(O) = mean |w| over the inputs, and used (I×O) = α·sign(w), the sign of 0 being 1.
    fn binarize(weight: &[T], alpha: &mut [T], used: &mut [T]) = binary::binarize;
    /// Turns dw (I×O), the gradient of what [`Kernels::binarize`] gives, into that of the latent weights: α·dw where
    /// |w| ≤ 1, 0 elsewhere, plus sign(w)/I·Σ dw·sign(w) over the inputs. `sums` holds O numbers.
    fn straight_through(weight: &[T], alpha: &[T], dw: &mut [T], sums: &mut [T]) = binary::straight_through;
    /// y (O×G) = bias + W·x with sparse W (O×I) and x (I×G), G one of [`crate::SPARSE_ROWS`]; `bias` O numbers or none.
    fn sparse_product(
        n_rows: usize, weight: Compressed<T>, bias: &[T], x: &[T], y: &mut [T],
    ) = sparse::sparse_product;
    /// Replaces z by f(z).
    fn activate(function: Activation, z: &mut [T]) = activation::forward;
    /// Replaces z by f(z), and writes f′(z) to `derivative` where the function keeps it.
    fn activate_keeping(function: Activation, z: &mut [T], derivative: &mut [T]) = activation::forward_keeping;
    /// Replaces ∂L/∂y by ∂L/∂z, given y = f(z), or f′(z) of a function that keeps it.
    fn activate_backward(function: Activation, y: &[T], dy: &mut [T]) = activation::backward;
    /// variance(F) ← variance·share; inv_std(F) = 1/√(variance + ε); scale(F) = γ·inv_std.
    fn normalize_factors(
        variance: &mut [T], share: T, epsilon: T, gamma: &[T], inv_std: &mut [T], scale: &mut [T],
    ) = batch_norm::normalize_factors;
    /// dγ(F) ← dγ·inv_std; b(F) = share·scale·inv_std·dγ; c(F) = share·scale·dβ; given inv_std and scale (F).
    fn normalize_backward_factors(
        share: T, inv_std_and_scale: [&[T]; 2], dgamma: &mut [T], dbeta: &[T], b: &mut [T], c: &mut [T],
    ) = batch_norm::normalize_backward_factors;
    /// y ← y·scale where `kept` is not 0, and 0 elsewhere.
    fn drop_out(y: &mut [T], kept: &[u8], scale: T) = dropout::drop_out;
    /// Fills `kept` with 0 where a 16-bit random number is less than `drop_below`, with 1 elsewhere.
    fn fill_kept(kept: &mut [u8], key: [u32; 2], stream: [u32; 3], drop_below: u32) = dropout::fill_kept;
    /// The words of the 16 blocks of [`crate::random::philox`] from `first` on, counted in the first word of the counter,
    /// whose others are `stream`; one block after the other.
    fn fill_words(words: &mut [u32; 64], key: [u32; 2], stream: [u32; 3], first: u32) = dropout::fill_words;
    /// Fills `to` with standard normal numbers.
    fn fill_normal(to: &mut [T], key: [u32; 2], stream: [u32; 3]) = dropout::fill_normal;
    /// y += factor·x, element by element.
    fn add_scaled(x: &[T], factor: T, y: &mut [T]) = add_scaled;
    /// y = x·factor, column by column (x and y B×F, factor F).
    fn scale_columns(x: &[T], factor: &[T], y: &mut [T]) = columns::scale_columns;
    /// dfactor(F) += Σ over rows of dy·x, and dx = dy·factor, written over dy (B×F).
    fn scale_columns_backward(
        x: &[T], factor: &[T], dy: &mut [T], dfactor: &mut [T],
    ) = columns::scale_columns_backward;
    /// y = x·factor + shift, column by column (x and y B×F, factor and shift F).
    fn affine_columns(x: &[T], factor: &[T], shift: &[T], y: &mut [T]) = columns::affine_columns;
    /// dfactor(F) += Σ over rows of dy·x, dshift(F) += Σ over rows of dy, and dx = dy·factor, written over dy (B×F).
    fn affine_columns_backward(
        x: &[T], factor: &[T], dy: &mut [T], dfactor: &mut [T], dshift: &mut [T],
    ) = columns::affine_columns_backward;
    /// y = (1 − share)·x + share·f, column by column (x, f and y B×F, share F).
    fn mix_columns(x: &[T], f: &[T], share: &[T], y: &mut [T]) = columns::mix_columns;
    /// dshare(F) += Σ over rows of dy·(f − x), and dx = dy·((1 − share) + share·slope), written over dy (B×F).
    fn mix_columns_backward(
        x: &[T], f: &[T], slope: &[T], share: &[T], dy: &mut [T], dshare: &mut [T],
    ) = columns::mix_columns_backward;
    /// waves(B×2K) ← the sines, then the cosines, of x·frequency + phase/2π turns; of x, one number every `stride`,
    /// `phases` in radians or empty.
    fn waves(x: &[T], stride: usize, frequencies: &[T], phases: &[T], waves: &mut [T]) = embedding::waves;
    /// Backward of [`Kernels::waves`], given the gradient of sines and cosines (B×2K), or with phases of cosines
    /// alone (B×K), which is written over: adds to dfrequencies(K) and dphases(K), and writes dx(B) if it is not empty.
    fn waves_backward(
        x: &[T], stride: usize, frequencies: &[T], waves: &[T], dwaves: &mut [T], dfrequencies: &mut [T],
        dphases: &mut [T], dx: &mut [T],
    ) = embedding::waves_backward;
    /// steps(B×T) ← u − t cut to 0 and 1 for each bin t < T, open at the two ends; of u, one number every `stride`.
    fn steps(u: &[T], stride: usize, n_bins: usize, steps: &mut [T]) = embedding::steps;
    /// y = x·factor, element by element.
    fn multiply(x: &[T], factor: &[T], y: &mut [T]) = multiply;
    /// y += x, element by element.
    fn add_to(x: &[T], y: &mut [T]) = add_to;
    /// One step of Adam or AdamW over `p`, given gradients `g` and the state `m`, `v`.
    fn adam_step(step: &AdamStep<T>, p: &mut [T], g: &[T], m: &mut [T], v: &mut [T]) = optimizer::adam_step;
    /// One step of gradient descent with momentum over `p`, given gradients `g` and the velocity `u`.
    fn sgd_step(step: &SgdStep<T>, p: &mut [T], g: &[T], u: &mut [T]) = optimizer::sgd_step;
    /// One step of AMSGrad over `p`, given gradients `g` and the state `m`, `v` and the `largest` v.
    fn amsgrad_step(
        step: &AdamStep<T>, p: &mut [T], g: &[T], m: &mut [T], v: &mut [T], largest: &mut [T],
    ) = optimizer::amsgrad_step;
    /// One step of Nadam over `p`, given gradients `g` and the state `m`, `v`.
    fn nadam_step(step: &NadamStep<T>, p: &mut [T], g: &[T], m: &mut [T], v: &mut [T]) = optimizer::nadam_step;
    /// One step of Adagrad over `p`, given gradients `g` and the `sum` of their squares.
    fn adagrad_step(step: &AdagradStep<T>, p: &mut [T], g: &[T], sum: &mut [T]) = optimizer::adagrad_step;
    /// One step of RMSprop over `p`, given gradients `g`, mean squares `v`, the velocity `u` and means `a`.
    fn rmsprop_step(
        step: &RmspropStep<T>, p: &mut [T], g: &[T], v: &mut [T], u: &mut [T], a: &mut [T],
    ) = optimizer::rmsprop_step;
    /// One step of Adadelta over `p`, given gradients `g` and the mean squares of gradients `v` and of steps `s`.
    fn adadelta_step(step: &AdadeltaStep<T>, p: &mut [T], g: &[T], v: &mut [T], s: &mut [T]) = optimizer::adadelta_step;
    /// One step of Lion over `p`, given gradients `g` and their running mean `m`.
    fn lion_step(step: &LionStep<T>, p: &mut [T], g: &[T], m: &mut [T]) = optimizer::lion_step;
    /// One step of schedule-free AdamW over `y`, given gradients `g` and the state `z`, `v` and the mean `x`.
    fn schedule_free_step(
        step: &ScheduleFreeStep<T>, y: &mut [T], g: &[T], z: &mut [T], v: &mut [T], x: &mut [T],
    ) = optimizer::schedule_free_step;
    /// The direction `u` that Muon makes orthogonal, of the parameters `p`, gradients `g` and their mean `m`.
    fn muon_direction(step: &MuonStep<T>, p: &[T], g: &[T], m: &mut [T], u: &mut [T]) = optimizer::muon_direction;
    /// y ← a·x + b·y, element by element.
    fn combine(a: T, x: &[T], b: T, y: &mut [T]) = optimizer::combine;
}

/// Declares [`RowKernels`] and implements it for `f32` and `f64`: each body is written in registers, and is compiled
/// with those of each CPU level.
macro_rules! row_kernels {
    ($( $(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $file:ident::$body:ident; )*) => {
        /// The kernels that join rows of a matrix.
        ///
        /// # Panics
        /// Each kernel panics when a slice is too short for the shapes, or when the CPU lacks the level.
        pub trait RowKernels<T> {
            $( $(#[$doc])* fn $name(level: CpuLevel, $($arg: $ty),*); )*
        }
        row_kernels!(@implement f32, row_kernels_of_f32, __m512, __m256, float32x4_t;
            $( fn $name($($arg: $ty),*) = $file::$body; )*);
        row_kernels!(@implement f64, row_kernels_of_f64, __m512d, __m256d, float64x2_t;
            $( fn $name($($arg: $ty),*) = $file::$body; )*);
    };
    (@implement $t:ty, $module:ident, $avx512:ident, $avx2:ident, $neon:ident;
        $( fn $name:ident($($arg:ident: $ty:ty),*) = $file:ident::$body:ident; )*
    ) => {
        mod $module {
            use super::*;
            type T = $t;
            impl RowKernels<T> for T {
                $( fn $name(level: CpuLevel, $($arg: $ty),*) {
                    #[cfg(target_arch = "x86_64")]
                    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                    fn avx512($($arg: $ty),*) { $file::$body::<std::arch::x86_64::$avx512>($($arg),*) }
                    #[cfg(target_arch = "x86_64")]
                    #[target_feature(enable = "avx2,fma")]
                    fn avx2($($arg: $ty),*) { $file::$body::<std::arch::x86_64::$avx2>($($arg),*) }
                    assert!(level.is_available(), "this CPU lacks the {} instructions", level.name());
                    match level {
                        // SAFETY: the level is available, checked above.
                        #[cfg(target_arch = "x86_64")]
                        CpuLevel::Avx512 => unsafe { avx512($($arg),*) },
                        // SAFETY: the level is available, checked above.
                        #[cfg(target_arch = "x86_64")]
                        CpuLevel::Avx2 => unsafe { avx2($($arg),*) },
                        #[cfg(target_arch = "aarch64")]
                        CpuLevel::Neon => $file::$body::<std::arch::aarch64::$neon>($($arg),*),
                        _ => $file::$body::<Plain<$t>>($($arg),*),
                    }
                } )*
            }
        }
    };
}

row_kernels! {
    /// y (B×O) = bias + x·W with x (B×I) and W (I×O) = α·sign, by column, the signs packed by [`crate::pack_signs`]; `bias` O
    /// numbers or none.
    fn sign_product(x: &[T], alpha: &[T], bits: &[u8], bias: &[T], y: &mut [T]) = binary::sign_product;
    /// [`Kernels::activate_backward`] on rows of F features, and sums(F) += Σ over the rows of ∂L/∂z.
    fn activate_backward_with_sums(function: Activation, y: &[T], dy: &mut [T], sums: &mut [T]) = activation::backward_with_sums;
    /// y = γ·(x − mean)/√(variance + ε) + β, row by row (x and y B×F, γ and β F); moments (B×2) ← mean, 1/√….
    fn layer_norm(x: &[T], gamma: &[T], beta: &[T], epsilon: T, y: &mut [T], moments: &mut [T]) = layer_norm::layer_norm;
    /// dγ(F) += Σ over rows of dy·x̂, dβ(F) += Σ over rows of dy, and dx, written over dy (B×F). With `relu_sums`, x is
    /// what relu has given, and dx is followed by [`RowKernels::activate_backward_with_sums`] of relu.
    fn layer_norm_backward(
        x: &[T], moments: &[T], gamma: &[T], dy: &mut [T], dgamma: &mut [T], dbeta: &mut [T],
        relu_sums: Option<&mut [T]>,
    ) = layer_norm::layer_norm_backward;
    /// sums(F) += Σ over the rows of x (B×F).
    fn column_sums(x: &[T], sums: &mut [T]) = batch_norm::column_sums;
    /// Takes the rows of x (B×F) into mean(F) and squares(F) = Σ (x − mean)² of the `n_before` rows before.
    ///
    /// What is in `mean` and `squares` does not count where there are none; cuts at multiples of 32 rows change no bit.
    fn add_column_moments(x: &[T], n_before: usize, mean: &mut [T], squares: &mut [T]) = batch_norm::add_column_moments;
    /// y = (x − mean)·scale + shift, column by column (x and y B×F, the others F); with `kept`, dropped out.
    fn normalize(x: &[T], mean: &[T], scale: &[T], shift: &[T], y: &mut [T], kept: Option<Kept<T>>) = batch_norm::normalize;
    /// dscale(F) += Σ over rows of dy·(x − mean), and dshift(F) += Σ over rows of dy; with `kept`, of dy taken
    /// back through dropout.
    fn normalize_backward_sums(x: &[T], dy: &[T], mean: &[T], dscale: &mut [T], dshift: &mut [T], kept: Option<Kept<T>>) = batch_norm::normalize_backward_sums;
    /// dx = a·dy + b·(x − mean) + c, column by column, written over dy; with `kept`, of dy taken back through
    /// dropout. With `relu_sums`, x is what relu has given, and dx is followed by
    /// [`RowKernels::activate_backward_with_sums`] of relu.
    fn normalize_backward_input(
        x: &[T], dy: &mut [T], mean: &[T], a: &[T], b: &[T], c: &[T], kept: Option<Kept<T>>,
        relu_sums: Option<&mut [T]>,
    ) = batch_norm::normalize_backward_input;
}

/// `f32` or `f64`: the number types that networks compute in.
pub trait Scalar: Real + Kernels<Self> + RowKernels<Self> + sealed::Product {
    /// C = start + A·B, with A `m`×`k`, B `k`×`n` and C `m`×`n` stored row after row.
    ///
    /// `scratch` holds [`crate::product_scratch_len`] numbers.
    ///
    /// # Panics
    /// When a slice is too short for the shapes, or when the CPU lacks the level.
    fn product(
        level: CpuLevel,
        shape: [usize; 3],
        a: Matrix<Self>,
        b: Matrix<Self>,
        c: &mut [Self],
        start: Start<Self>,
        scratch: &mut [Self],
    ) {
        Self::product_to(level, shape, a, b, c, shape[2], start, scratch);
    }

    /// [`Scalar::product`] to a C whose rows are `c_row` numbers apart; what lies between them stays as it is.
    ///
    /// # Panics
    /// As [`Scalar::product`]; and when `c_row` is less than `n`.
    fn product_to(
        level: CpuLevel,
        shape: [usize; 3],
        a: Matrix<Self>,
        b: Matrix<Self>,
        c: &mut [Self],
        c_row: usize,
        start: Start<Self>,
        scratch: &mut [Self],
    ) {
        assert!(level.is_available(), "this CPU lacks the {} instructions", level.name());
        <Self as sealed::Product>::run(level, shape, a, b, c, c_row, start, scratch);
    }

    /// to (columns×rows) = the transpose of from (rows×columns), both stored row after row.
    ///
    /// # Panics
    /// When a slice is too short for the shape, or when the CPU lacks the level.
    fn transpose_to(level: CpuLevel, shape: [usize; 2], from: &[Self], to: &mut [Self]) {
        assert!(level.is_available(), "this CPU lacks the {} instructions", level.name());
        <Self as sealed::Product>::transpose(level, shape, from, to);
    }

    /// Runs `rounds` rounds of multiply–adds in registers alone; returns how many that were, and a number made
    /// of them. Their rate is the peak that a product can be compared with.
    ///
    /// # Panics
    /// When the CPU lacks the level.
    fn peak(level: CpuLevel, rounds: usize) -> (usize, Self) {
        assert!(level.is_available(), "this CPU lacks the {} instructions", level.name());
        <Self as sealed::Product>::peak(level, rounds)
    }
}
impl Scalar for f32 {}
impl Scalar for f64 {}

#[inline(always)]
fn multiply<T: Real>(x: &[T], factor: &[T], y: &mut [T]) {
    for ((y, &x), &f) in y.iter_mut().zip(x).zip(factor) {
        *y = x * f;
    }
}

#[inline(always)]
fn add_scaled<T: Real>(x: &[T], factor: T, y: &mut [T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = factor.mul_add(x, *y);
    }
}

#[inline(always)]
fn add_to<T: Real>(x: &[T], y: &mut [T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

mod sealed {
    use super::{CpuLevel, Matrix, Plain, Start, peak, product};

    /// The matrix product of one number type; being private, it also keeps other types out of [`super::Scalar`].
    pub trait Product: Sized {
        fn run(
            level: CpuLevel,
            shape: [usize; 3],
            a: Matrix<Self>,
            b: Matrix<Self>,
            c: &mut [Self],
            c_row: usize,
            start: Start<Self>,
            scratch: &mut [Self],
        );
        fn transpose(level: CpuLevel, shape: [usize; 2], from: &[Self], to: &mut [Self]);
        fn peak(level: CpuLevel, rounds: usize) -> (usize, Self);
    }

    macro_rules! product_for {
        ($t:ty, $avx512:ident, $avx2:ident, $neon:ident) => {
            impl Product for $t {
                fn run(
                    level: CpuLevel,
                    shape: [usize; 3],
                    a: Matrix<Self>,
                    b: Matrix<Self>,
                    c: &mut [Self],
                    c_row: usize,
                    start: Start<Self>,
                    scratch: &mut [Self],
                ) {
                    #[cfg(target_arch = "x86_64")]
                    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                    fn avx512(
                        shape: [usize; 3],
                        a: Matrix<$t>,
                        b: Matrix<$t>,
                        c: &mut [$t],
                        c_row: usize,
                        start: Start<$t>,
                        scratch: &mut [$t],
                    ) {
                        product::product::<std::arch::x86_64::$avx512>(
                            shape, a, b, c, c_row, start, scratch, 0.0,
                        );
                    }
                    #[cfg(target_arch = "x86_64")]
                    #[target_feature(enable = "avx2,fma")]
                    fn avx2(
                        shape: [usize; 3],
                        a: Matrix<$t>,
                        b: Matrix<$t>,
                        c: &mut [$t],
                        c_row: usize,
                        start: Start<$t>,
                        scratch: &mut [$t],
                    ) {
                        product::product::<std::arch::x86_64::$avx2>(
                            shape, a, b, c, c_row, start, scratch, 0.0,
                        );
                    }
                    match level {
                        // SAFETY: `Scalar::product` has checked that the level is available.
                        #[cfg(target_arch = "x86_64")]
                        CpuLevel::Avx512 => unsafe { avx512(shape, a, b, c, c_row, start, scratch) },
                        // SAFETY: as above.
                        #[cfg(target_arch = "x86_64")]
                        CpuLevel::Avx2 => unsafe { avx2(shape, a, b, c, c_row, start, scratch) },
                        #[cfg(target_arch = "aarch64")]
                        CpuLevel::Neon => product::product::<std::arch::aarch64::$neon>(
                            shape, a, b, c, c_row, start, scratch, 0.0,
                        ),
                        _ => product::product::<Plain<$t>>(shape, a, b, c, c_row, start, scratch, 0.0),
                    }
                }

                fn transpose(level: CpuLevel, shape: [usize; 2], from: &[Self], to: &mut [Self]) {
                    #[cfg(target_arch = "x86_64")]
                    #[target_feature(enable = "avx2,fma")]
                    fn avx2(shape: [usize; 2], from: &[$t], to: &mut [$t]) {
                        product::transpose::<std::arch::x86_64::$avx2>(shape, from, to);
                    }
                    match level {
                        // SAFETY: `Scalar::transpose` has checked the level; the higher has the lower's instructions.
                        #[cfg(target_arch = "x86_64")]
                        CpuLevel::Avx512 | CpuLevel::Avx2 => unsafe { avx2(shape, from, to) },
                        _ => product::transpose::<Plain<$t>>(shape, from, to),
                    }
                }

                fn peak(level: CpuLevel, rounds: usize) -> (usize, Self) {
                    #[cfg(target_arch = "x86_64")]
                    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                    fn avx512(rounds: usize) -> (usize, $t) {
                        // SAFETY: this function has the instructions.
                        unsafe { peak::run::<std::arch::x86_64::$avx512>(rounds, 0.5, 0.0) }
                    }
                    #[cfg(target_arch = "x86_64")]
                    #[target_feature(enable = "avx2,fma")]
                    fn avx2(rounds: usize) -> (usize, $t) {
                        // SAFETY: this function has the instructions.
                        unsafe { peak::run::<std::arch::x86_64::$avx2>(rounds, 0.5, 0.0) }
                    }
                    match level {
                        // SAFETY: `Scalar::peak` has checked that the level is available.
                        #[cfg(target_arch = "x86_64")]
                        CpuLevel::Avx512 => unsafe { avx512(rounds) },
                        // SAFETY: as above.
                        #[cfg(target_arch = "x86_64")]
                        CpuLevel::Avx2 => unsafe { avx2(rounds) },
                        // SAFETY: every aarch64 CPU has NEON.
                        #[cfg(target_arch = "aarch64")]
                        CpuLevel::Neon => unsafe { peak::run::<std::arch::aarch64::$neon>(rounds, 0.5, 0.0) },
                        // SAFETY: plain Rust needs nothing.
                        _ => unsafe { peak::run::<Plain<$t>>(rounds, 0.5, 0.0) },
                    }
                }
            }
        };
    }
    product_for!(f32, __m512, __m256, float32x4_t);
    product_for!(f64, __m512d, __m256d, float64x2_t);
}
