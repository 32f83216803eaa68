//! Gaussian noise (Bishop 1995, "Training with noise is equivalent to Tikhonov regularization"): y = x + std·n with
//! n from N(0, 1) in training; nothing is done in use.

use statera_kernels::Scalar;

use super::layer::{Mode, Pass};
use crate::random::Purpose;

/// Adds noise to each input while training; ∂y/∂x = 1.
#[derive(Debug, Clone)]
pub struct GaussianNoise {
    /// F.
    pub features: usize,
    /// The standard deviation of the noise.
    pub std: f64,
    /// Among the layers of noise that are on.
    ordinal: u32,
}

impl GaussianNoise {
    pub(crate) fn new(features: usize, std: f64, ordinal: u32) -> Self {
        Self { features, std, ordinal }
    }

    /// Whether there is any noise.
    pub(crate) fn is_on(&self) -> bool {
        self.std > 0.0
    }

    /// Draws n for the shard's B×F inputs, each a function of seed, step, shard, layer and place.
    pub(crate) fn prepare<T: Scalar>(&self, pass: &Pass<T>, noise: &mut [T]) {
        if let (Mode::Train { seed, step, shard }, true) = (pass.mode, self.is_on()) {
            let key = [seed as u32, (seed >> 32) as u32];
            let stream = [shard, step, Purpose::Noise as u32 | self.ordinal << 8];
            T::fill_normal(pass.level, &mut noise[..pass.n_rows * self.features], key, stream);
        }
    }

    /// y = x + std·n, in place (rows×F).
    pub(crate) fn forward<T: Scalar>(&self, pass: &Pass<T>, first_row: usize, y: &mut [T], noise: &[T]) {
        if pass.mode != Mode::Infer && self.is_on() {
            T::add_scaled(pass.level, &noise[first_row * self.features..], T::from_f64(self.std), y);
        }
    }
}
