//! The vectorised arithmetic under Statera.
//!
//! This crate holds all the unsafe code and all the SIMD. It does no I/O and never allocates.
//!
//! Every kernel is a method of [`Scalar`] and takes the [`CpuLevel`] to run at, so that each path can be
//! forced in a test. All levels give the same bits: sums run in one order that is independent of the
//! vector width, and products are fused multiply–adds everywhere (in software where the CPU has none).

mod activation;
mod batch_norm;
mod binary;
mod columns;
mod dispatch;
mod dropout;
mod embedding;
mod layer_norm;
mod level;
mod math;
pub mod naive;
mod optimizer;
mod peak;
mod product;
pub mod random;
mod sparse;
mod vector;

pub use activation::Activation;
pub use batch_norm::Kept;
pub use binary::{pack_signs, packed_row_len};
pub use dispatch::{Kernels, RowKernels, Scalar};
pub use level::CpuLevel;
pub use math::Real;
pub use optimizer::{
    AdadeltaStep, AdagradStep, AdamStep, LionStep, MuonStep, NadamStep, RmspropStep, ScheduleFreeStep,
    SgdStep, sum_of_squares,
};
pub use product::{Matrix, Start, product_scratch_len};
pub use sparse::{Compressed, SPARSE_ROWS};
