//! What the validation rows say of weights.

use statera_kernels::{CpuLevel, Scalar};

use super::rows::Rows;
use crate::data::TargetScaler;
use crate::nn::{Loss, Network, Targets, Workspace};

/// Looks at the validation rows, in memory planned once.
pub(super) struct Watch<'a, T> {
    network: &'a Network,
    loss: Loss,
    level: CpuLevel,
    val: &'a Rows<T>,
    unit: &'a TargetScaler,
    works: Vec<Workspace<T>>,
    outputs: Vec<T>,
    unused_gradient: Vec<T>,
}

impl<'a, T: Scalar> Watch<'a, T> {
    /// Memory to look at the rows of `val`; `unit` brings outputs to the target's own.
    pub(super) fn new(
        network: &'a Network,
        loss: Loss,
        level: CpuLevel,
        val: &'a Rows<T>,
        unit: &'a TargetScaler,
    ) -> Self {
        let n = val.len() * network.n_outputs();
        let works = network.inference_workspaces(val.len(), val.len().clamp(1, 256));
        let zeros = || vec![T::ZERO; n];
        let loss = loss.without_smoothing();
        Self { network, loss, level, val, unit, works, outputs: zeros(), unused_gradient: zeros() }
    }

    /// The loss of the validation rows, weighted and without label smoothing, and their metrics, unweighted; of an
    /// ensemble, those of its mean prediction.
    pub(super) fn look(&mut self, params: &[T]) -> (f64, Vec<(String, f64)>) {
        let n_rows = self.val.len() as f64;
        let (x, outputs) = (&self.val.x, &mut self.outputs);
        self.network.raw_outputs_on_threads(self.level, params, self.loss, x, &mut self.works, outputs);
        let targets = self.val.targets.view();
        let sum = self.loss.forward_backward(&self.outputs, targets, T::ONE, &mut self.unused_gradient);
        let metrics = match targets.parted().0 {
            Targets::Values(truth) => {
                self.loss.predict(&mut self.outputs, self.network.n_outputs());
                let own = |x: T| self.unit.inverse(x.to_f64());
                let errors = || self.outputs.iter().zip(truth).map(|(y, t)| own(*y) - own(*t));
                let mse = errors().map(|e| e * e).sum::<f64>() / n_rows;
                let mae = errors().map(f64::abs).sum::<f64>() / n_rows;
                vec![("val_rmse".to_owned(), mse.sqrt()), ("val_mae".to_owned(), mae)]
            }
            Targets::Classes(truth) => {
                let rows = self.outputs.chunks_exact(self.network.n_outputs()).zip(truth);
                let right = rows.filter(|(logits, class)| decided_class(logits) == **class).count();
                vec![("val_accuracy".to_owned(), right as f64 / n_rows)]
            }
            _ => unreachable!("rows that are watched are not mixed, and their weights are taken off"),
        };
        (self.loss.of_mean(sum / targets.total_weight()).0, metrics)
    }

    /// Whether the validation rows have a larger loss under `params` than under `start`, by more than the choice of
    /// rows explains: the mean of the rows' differences is beyond `CHANCE` of its standard errors.
    pub(super) fn is_worse(&mut self, params: &[T], start: &[T]) -> bool {
        /// What a normal variable exceeds once in 200 times.
        const CHANCE: f64 = 2.576;
        let differences: Vec<f64> = self
            .row_losses(params)
            .iter()
            .zip(self.row_losses(start))
            .map(|(now, then)| now - then)
            .collect();
        let n = differences.len() as f64;
        let mean = differences.iter().sum::<f64>() / n;
        let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        mean > CHANCE * (variance / n).sqrt()
    }

    /// The loss of each validation row, times its weight.
    fn row_losses(&mut self, params: &[T]) -> Vec<f64> {
        let (x, n_outputs) = (&self.val.x, self.network.n_outputs());
        self.network.raw_outputs_on_threads(
            self.level,
            params,
            self.loss,
            x,
            &mut self.works,
            &mut self.outputs,
        );
        let mut unused = vec![T::ZERO; n_outputs];
        let rows = self.outputs.chunks_exact(n_outputs).enumerate();
        rows.map(|(row, outputs)| {
            let target = self.val.targets.view().slice(row..row + 1);
            self.loss.forward_backward(outputs, target, T::ONE, &mut unused)
        })
        .collect()
    }
}

/// The class that logits decide for: the sign of the only one, or the first largest of several.
fn decided_class<T: Scalar>(logits: &[T]) -> u32 {
    if let [z] = logits {
        return u32::from(*z >= T::ZERO);
    }
    let mut largest = 0;
    for (i, z) in logits.iter().enumerate() {
        if *z > logits[largest] {
            largest = i;
        }
    }
    largest as u32
}
