//! Where training begins: the initial parameters, fitted on training rows where an initialiser asks for it.

use statera_kernels::{CpuLevel, Scalar};

use super::source::Source;
use crate::error::Result;
use crate::nn::Network;
use crate::random::{Purpose, Stream};

/// The most training rows that initial parameters are fitted on.
pub const START_ROWS: usize = 1024;

/// The initial parameters of a network that is to learn from `train`.
///
/// Data-driven initialisers see up to [`START_ROWS`] of the rows, drawn by the seed without repetition.
pub fn start<'a, T: Scalar>(
    network: &Network,
    level: CpuLevel,
    seed: u64,
    train: impl Into<Source<'a, T>>,
) -> Result<Vec<T>> {
    if !network.looks_at_rows() {
        return Ok(network.init(seed));
    }
    let train = train.into();
    let drawn = some_rows(seed, train.len(), START_ROWS);
    Ok(network.init_on(level, seed, &train.picked(&drawn, network.n_inputs())?.x))
}

/// Up to `most` of the numbers below `n_rows`, in the random order of the seed.
pub(crate) fn some_rows(seed: u64, n_rows: usize, most: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n_rows as u32).collect();
    Stream::new(seed, Purpose::InitRows, 0).shuffle(&mut order);
    order.truncate(most);
    order
}
