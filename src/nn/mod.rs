//! Networks: layers with their gradients, losses, initial weights. No I/O.
//!
//! Shapes are written with `B` for the rows of a batch (or shard), `I` for inputs, `O` for outputs, `F` for
//! features, `C` for classes, `K` for the members of an ensemble. Matrices are stored row after row.

mod activation;
mod batch_norm;
pub mod buffer;
pub mod compact;
mod dense;
mod dropout;
mod embedding;
mod gaussian_noise;
mod inference;
pub mod init;
mod init_on;
mod layer;
mod layer_norm;
pub mod loss;
mod members;
pub mod network;
mod packed;
mod parametric;
pub mod params;
mod residual;
mod scale;
mod sizes;
mod stack;

pub use layer::{Layer, Mode, Pass};
pub use loss::{LARGEST_LOG_RATE, Loss, Targets};
pub use network::{Network, SummaryRow, Workspace};
pub use params::{View, WeightRules};

/// The number types that networks compute in, `f32` and `f64`.
pub use statera_kernels::{CpuLevel, Scalar};
