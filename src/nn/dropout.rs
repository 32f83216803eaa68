//! Dropout (Srivastava et al. 2014), inverted: what is kept is scaled by 1/(1 − rate) in training, so that
//! nothing is done in use.

use statera_kernels::{Kept, Scalar};

use super::layer::{Mode, Pass};
use crate::random::Purpose;

/// A probability of zero, to the nearest 1/65536.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate(pub(crate) f64);

impl Rate {
    /// How many of 65,536 equally likely numbers drop an element.
    pub(crate) fn drop_below(self) -> u32 {
        (self.0 * 65_536.0).round().min(65_535.0) as u32
    }

    /// What is kept is multiplied by 1 over the share that is kept.
    pub(crate) fn scale<T: Scalar>(self) -> T {
        T::from_f64(65_536.0 / f64::from(65_536 - self.drop_below()))
    }
}

/// Sets each input to zero with probability `rate` (to the nearest 1/65536) while training.
#[derive(Debug, Clone)]
pub struct Dropout {
    /// F.
    pub features: usize,
    /// The probability of zero.
    pub rate: f64,
    /// Among the dropout layers that are on.
    ordinal: u32,
}

impl Dropout {
    pub(crate) fn new(features: usize, rate: f64, ordinal: u32) -> Self {
        Self { features, rate, ordinal }
    }

    /// Whether anything is dropped.
    pub(crate) fn drops(&self) -> bool {
        Rate(self.rate).drop_below() > 0
    }

    /// Draws which of the shard's B×F inputs are kept.
    pub(crate) fn prepare<T: Scalar>(&self, pass: &Pass<T>, kept: &mut [u8]) {
        if let (Mode::Train { seed, step, shard }, drop_below @ 1..) =
            (pass.mode, Rate(self.rate).drop_below())
        {
            let key = [seed as u32, (seed >> 32) as u32];
            // The layer shares a word with the purpose: 2²⁴ layers are enough.
            let stream = [shard, step, Purpose::Dropout as u32 | self.ordinal << 8];
            T::fill_kept(pass.level, &mut kept[..pass.n_rows * self.features], key, stream, drop_below);
        }
    }

    /// What is kept from `first_row` on; nothing is dropped in use.
    pub(crate) fn kept<'a, T: Scalar>(
        &self,
        pass: &Pass<T>,
        first_row: usize,
        kept: &'a [u8],
    ) -> Option<Kept<'a, T>> {
        let rate = Rate(self.rate);
        (pass.mode != Mode::Infer && rate.drop_below() > 0)
            .then(|| Kept { flags: &kept[first_row * self.features..], scale: rate.scale() })
    }

    /// Scales what is kept and zeroes the rest, in place: of y forward, of dy backward (rows×F).
    pub(crate) fn apply<T: Scalar>(&self, pass: &Pass<T>, first_row: usize, y: &mut [T], kept: &[u8]) {
        if let Some(Kept { flags, scale }) = self.kept(pass, first_row, kept) {
            T::drop_out(pass.level, y, flags, scale);
        }
    }
}
