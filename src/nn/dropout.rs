//! Dropout (Srivastava et al. 2014), inverted: what is kept is scaled by 1/(1 − rate) in training, so that
//! nothing is done in use.

use statera_kernels::Scalar;

use super::layer::{Gradient, Mode, Pass};
use crate::random::Purpose;

/// Sets each input to zero with probability `rate` (to the nearest 1/65536) while training.
#[derive(Debug, Clone)]
pub struct Dropout {
    /// F.
    pub features: usize,
    /// The probability of zero.
    pub rate: f64,
    layer_idx: u32,
}

impl Dropout {
    pub(crate) fn new(features: usize, rate: f64, layer_idx: usize) -> Self {
        Self { features, rate, layer_idx: layer_idx as u32 }
    }

    /// How many of 65,536 equally likely numbers drop an input.
    fn drop_below(&self) -> u32 {
        (self.rate * 65_536.0).round().min(65_535.0) as u32
    }

    /// x, y: B×F. The factors, 0 or 1/(1 − rate), stay in `cache` (B×F).
    pub(crate) fn forward<T: Scalar>(&self, pass: &Pass<T>, x: &[T], y: &mut [T], cache: &mut [T]) {
        let drop_below = self.drop_below();
        match pass.mode {
            Mode::Train { seed, step, shard } if drop_below > 0 => {
                let mask = &mut cache[..x.len()];
                let key = [seed as u32, (seed >> 32) as u32];
                // The layer shares a word with the purpose: 2²⁴ layers are enough.
                let stream = [shard, step, Purpose::Dropout as u32 | self.layer_idx << 8];
                let scale = T::from_f64(65_536.0 / f64::from(65_536 - drop_below));
                T::fill_dropout_mask(pass.level, mask, key, stream, drop_below, scale);
                T::multiply(pass.level, x, mask, y);
            }
            _ => y.copy_from_slice(x),
        }
    }

    /// dx = dy ∘ factors.
    pub(crate) fn backward<T: Scalar>(&self, pass: &Pass<T>, gradient: &mut Gradient<T>, cache: &[T]) {
        if pass.mode != Mode::Infer && self.drop_below() > 0 {
            let n = pass.n_rows * self.features;
            T::multiply(pass.level, &gradient.dy[..n], &cache[..n], &mut gradient.dx[..n]);
            gradient.swap();
        }
    }
}
