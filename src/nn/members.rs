//! An ensemble inside one network: from a `members` layer on, a row is K rows side by side, one for each member.
//!
//! A matrix of B rows of K·F features is, number for number, one of B·K rows of F features: a dense layer whose weight
//! all members share runs over the B·K rows, and what works feature by feature (scales, biases, activations, batch
//! norm, dropout) has numbers of its own for each member without knowing of members at all. Members whose layers share
//! weights and differ by scales are `TabM` (Gorishniy et al. 2024, "`TabM`: Advancing tabular deep learning with
//! parameter-efficient ensembling"); members with dense layers of their own are packed.
//!
//! The loss is the mean of the members' losses. The prediction is the mean of the members' predictions.

use statera_kernels::Scalar;

use super::layer::Layer;
use super::loss::{LARGEST_LOG_RATE, Loss, Targets};
use super::network::Network;

/// The fewest rows of a shard of an ensemble.
const FEWEST_SHARD_ROWS: usize = 4;
/// Multiply–adds of a shard, for each number of its gradient, from which on adding that costs next to nothing.
const WORK_OF_A_GRADIENT: usize = 64;

impl Network {
    /// Rows of a shard where the settings allow `most`: of an ensemble `most` rows of its members together.
    ///
    /// Its rows are K times as long, and a shard of them all would leave the cache between a layer and the next. Not so
    /// where batch norm takes statistics of the shard, nor where the gradients of more shards would cost more to add than
    /// the cache saves: members with weights of their own have many.
    pub(crate) fn shard_rows(&self, most: usize) -> usize {
        let rows = (most / self.n_members()).max(FEWEST_SHARD_ROWS).min(most);
        let joins = self.layers().iter().any(|layer| matches!(layer, Layer::BatchNorm(_)));
        let is_worth_it = rows * self.multiply_adds_per_row() >= WORK_OF_A_GRADIENT * self.n_params();
        if !joins && is_worth_it { rows } else { most }
    }
}

/// Hands each row to K members.
#[derive(Debug, Clone)]
pub struct Members {
    /// F, of a row that enters.
    pub features: usize,
    /// K.
    pub count: usize,
}

impl Members {
    /// y (rows×K·F) is x (rows×F), K times side by side.
    pub(crate) fn forward<T: Scalar>(&self, x: &[T], y: &mut [T]) {
        for (x, y) in x.chunks_exact(self.features).zip(y.chunks_exact_mut(self.count * self.features)) {
            for member in y.chunks_exact_mut(self.features) {
                member.copy_from_slice(x);
            }
        }
    }

    /// dx (rows×F) is Σ over the members of dy (rows×K·F).
    pub(crate) fn backward_rows<T: Scalar>(&self, dy: &[T], dx: &mut [T]) {
        for (dy, dx) in dy.chunks_exact(self.count * self.features).zip(dx.chunks_exact_mut(self.features)) {
            let (first, others) = dy.split_at(self.features);
            dx.copy_from_slice(first);
            for member in others.chunks_exact(self.features) {
                for (dx, &dy) in dx.iter_mut().zip(member) {
                    *dx += dy;
                }
            }
        }
    }
}

/// Σ over the rows of the mean of the members' losses, each row by its weight; writes ∂/∂outputs of `scale` times that
/// sum into `d`. Outputs and `d` are B×(K·O); `scratch` holds twice B·O numbers.
pub(crate) fn forward_backward<T: Scalar>(
    loss: Loss,
    [n_members, n_outputs]: [usize; 2],
    outputs: &[T],
    targets: Targets<T>,
    scale: T,
    d: &mut [T],
    scratch: &mut [T],
) -> f64 {
    let n = outputs.len() / n_members;
    let (own, scratch) = scratch.split_at_mut(n);
    let own_d = &mut scratch[..n];
    let scale = scale * T::from_f64(1.0 / n_members as f64);
    let mut sum = 0.0;
    for k in 0..n_members {
        let of_member = k * n_outputs..(k + 1) * n_outputs;
        let rows = outputs.chunks_exact(n_members * n_outputs);
        for (own, row) in own.chunks_exact_mut(n_outputs).zip(rows) {
            own.copy_from_slice(&row[of_member.clone()]);
        }
        sum += loss.forward_backward(own, targets, scale, own_d);
        let rows = d.chunks_exact_mut(n_members * n_outputs);
        for (own, row) in own_d.chunks_exact(n_outputs).zip(rows) {
            row[of_member.clone()].copy_from_slice(own);
        }
    }
    sum / n_members as f64
}

/// The outputs `to` (B×O) whose prediction is the mean of the predictions that the members' `outputs` (B×(K·O)) make.
///
/// Where predictions are the outputs, their mean. For classes, the logits of the mean probabilities: log p̄ for several
/// classes, log p̄ − log(1 − p̄) for two; for the Poisson loss, the logarithm of the mean rate. They stay finite where
/// probabilities would be 0 or 1 in floating point. Works over `outputs`.
pub(crate) fn average<T: Scalar>(
    loss: Loss,
    [n_members, n_outputs]: [usize; 2],
    outputs: &mut [T],
    to: &mut [T],
) {
    for (row, to) in outputs.chunks_exact_mut(n_members * n_outputs).zip(to.chunks_exact_mut(n_outputs)) {
        if loss.is_categorical() {
            for member in row.chunks_exact_mut(n_outputs) {
                let total = log_mean_exp(member.iter().map(|z| z.to_f64())) + (n_outputs as f64).ln();
                member.iter_mut().for_each(|z| *z = T::from_f64(z.to_f64() - total));
            }
        }
        for (class, to) in to.iter_mut().enumerate() {
            let of_members = row[class..].iter().step_by(n_outputs).map(|y| y.to_f64());
            *to = T::from_f64(if loss.is_categorical() {
                log_mean_exp(of_members)
            } else if loss.is_binary() {
                log_mean_exp(of_members.clone().map(log_sigmoid))
                    - log_mean_exp(of_members.map(|z| log_sigmoid(-z)))
            } else if loss == Loss::Poisson {
                log_mean_exp(of_members.map(|y| y.min(LARGEST_LOG_RATE)))
            } else {
                of_members.sum::<f64>() / n_members as f64
            });
        }
    }
}

/// log σ(z).
fn log_sigmoid(z: f64) -> f64 {
    z.min(0.0) - (-z.abs()).exp().ln_1p()
}

/// log of the mean of eᵛ, by way of the largest, so that nothing overflows and not all underflow.
fn log_mean_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let (mut n, mut sum) = (0.0, 0.0);
    for v in values {
        (n, sum) = (n + 1.0, sum + (v - largest).exp());
    }
    largest + (sum / n).ln()
}

#[cfg(test)]
mod tests {
    use super::Network;
    use crate::config::Config;

    fn shard_rows(settings: &str, most: usize) -> usize {
        let text = format!("network.hidden = [100, 100]\n{settings}");
        let config = Config::from_toml_str(&text).expect("the settings are right");
        Network::new(&config.expanded_layers(), 11, 1).shard_rows(most)
    }

    #[test]
    fn members_that_share_weights_are_the_rows_of_a_shard() {
        let tabm = "network.norm = 'none'\nensemble.kind = 'tabm'";
        assert_eq!(shard_rows(tabm, 256), 8);
        assert_eq!(shard_rows(tabm, 1024), 32);
        assert_eq!(shard_rows(&format!("{tabm}\nensemble.members = 2"), 256), 128);
        assert_eq!(shard_rows(tabm, 32), 4);
        assert_eq!(shard_rows(tabm, 3), 3);
        for whole in [
            "network.norm = 'none'",
            "network.norm = 'none'\nensemble.kind = 'packed'",
            "network.norm = 'batch'\nensemble.kind = 'tabm'",
        ] {
            assert_eq!(shard_rows(whole, 256), 256, "{whole}");
        }
    }
}
