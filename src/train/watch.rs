//! What the validation rows say of weights.

use std::ops::Range;

use statera_kernels::{CpuLevel, Scalar};

use super::row_file::RowReader;
use super::rows::Rows;
use super::source::Source;
use crate::data::TargetScaler;
use crate::error::Result;
use crate::nn::{Loss, Network, Targets, Workspace};

/// The cross-entropy of classes, where it is not the loss.
pub(crate) const LOG_LOSS: &str = "val_log_loss";
/// Rows that are looked at together.
const TOGETHER: usize = 1 << 14;

/// Looks at the validation rows, in memory planned once.
pub(super) struct Watch<'a, T> {
    network: &'a Network,
    loss: Loss,
    level: CpuLevel,
    n_rows: usize,
    rows: Watched<'a, T>,
    unit: &'a TargetScaler,
    works: Vec<Workspace<T>>,
    outputs: Vec<T>,
    unused_gradient: Vec<T>,
}

/// The rows, or a file of them and place for some.
enum Watched<'a, T> {
    Memory(&'a Rows<T>),
    File(RowReader, Rows<T>),
}

impl<T: Scalar> Watched<'_, T> {
    /// The inputs and targets of the rows of `range`, each of `n_inputs` inputs.
    fn range(&mut self, range: Range<usize>, n_inputs: usize) -> Result<(&[T], Targets<'_, T>)> {
        match self {
            Self::Memory(rows) => {
                let x = &rows.x[range.start * n_inputs..range.end * n_inputs];
                Ok((x, rows.targets.view().slice(range)))
            }
            Self::File(reader, rows) => {
                rows.clear();
                reader.append(range, rows)?;
                Ok((&rows.x, rows.targets.view()))
            }
        }
    }
}

/// Sums over rows: of the loss and of the weights, of the cross-entropy of classes where the loss is another or
/// weighted, of squared and absolute errors, and of rows whose class is right.
#[derive(Default)]
struct Sums {
    loss: f64,
    weight: f64,
    crossentropy: Option<f64>,
    squares: f64,
    absolutes: f64,
    right: usize,
}

/// The rows of a table, some at a time.
fn ranges(n_rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n_rows).step_by(TOGETHER).map(move |first| first..(first + TOGETHER).min(n_rows))
}

impl<'a, T: Scalar> Watch<'a, T> {
    /// Memory to look at the rows of `val`; `unit` brings outputs to the target's own.
    pub(super) fn new(
        network: &'a Network,
        loss: Loss,
        level: CpuLevel,
        val: Source<'a, T>,
        unit: &'a TargetScaler,
    ) -> Result<Self> {
        let (n_rows, together) = (val.len(), val.len().min(TOGETHER));
        let works = network.inference_workspaces(together, together.clamp(1, 256));
        let zeros = || vec![T::ZERO; together * network.n_outputs()];
        let loss = loss.without_smoothing();
        let rows = match val {
            Source::Memory(rows) => Watched::Memory(rows),
            Source::File(file) => Watched::File(file.reader()?, file.layout().rows(together)),
        };
        let (outputs, unused_gradient) = (zeros(), zeros());
        Ok(Self { network, loss, level, n_rows, rows, unit, works, outputs, unused_gradient })
    }

    /// The loss of the validation rows, weighted and without label smoothing, and their metrics, unweighted; of an
    /// ensemble, those of its mean prediction.
    pub(super) fn look(&mut self, params: &[T]) -> Result<(f64, Vec<(String, f64)>)> {
        let Self { network, outputs, unused_gradient: d, works, .. } = self;
        let n_outputs = network.n_outputs();
        let mut sums = Sums::default();
        let mut are_classes = false;
        for range in ranges(self.n_rows) {
            let (outputs, d) = (&mut outputs[..range.len() * n_outputs], &mut d[..range.len() * n_outputs]);
            let (x, targets) = self.rows.range(range, network.n_inputs())?;
            network.raw_outputs_on_threads(self.level, params, self.loss, x, works, outputs);
            sums.loss += self.loss.forward_backward(outputs, targets, T::ONE, d);
            sums.weight += targets.total_weight();
            let (truth, weights) = targets.parted();
            if let Some(plain) =
                self.loss.crossentropy().filter(|plain| weights.is_some() || *plain != self.loss)
            {
                let sum = plain.forward_backward(outputs, truth, T::ONE, d);
                *sums.crossentropy.get_or_insert_default() += sum;
            }
            match truth {
                Targets::Values(truth) => {
                    self.loss.predict(outputs, n_outputs);
                    let own = |x: T| self.unit.inverse(x.to_f64());
                    for error in outputs.iter().zip(truth).map(|(y, t)| own(*y) - own(*t)) {
                        sums.squares += error * error;
                        sums.absolutes += error.abs();
                    }
                }
                Targets::Classes(truth) => {
                    let rows = outputs.chunks_exact(n_outputs).zip(truth);
                    sums.right += rows.filter(|(logits, class)| decided_class(logits) == **class).count();
                    are_classes = true;
                }
                _ => unreachable!("rows that are watched are not mixed, and their weights are taken off"),
            }
        }
        let n_rows = self.n_rows as f64;
        let metrics = if are_classes {
            let accuracy = ("val_accuracy".to_owned(), sums.right as f64 / n_rows);
            let log_loss = sums.crossentropy.map(|sum| (LOG_LOSS.to_owned(), sum / n_rows));
            std::iter::once(accuracy).chain(log_loss).collect()
        } else {
            let (mse, mae) = (sums.squares / n_rows, sums.absolutes / n_rows);
            vec![("val_rmse".to_owned(), mse.sqrt()), ("val_mae".to_owned(), mae)]
        };
        Ok((self.loss.of_mean(sums.loss / sums.weight).0, metrics))
    }

    /// Whether the validation rows have a larger loss under `params` than under `start`, by more than the choice of
    /// rows explains: the mean of the rows' differences is beyond `CHANCE` of its standard errors.
    pub(super) fn is_worse(&mut self, params: &[T], start: &[T]) -> Result<bool> {
        /// What a normal variable exceeds once in 200 times.
        const CHANCE: f64 = 2.576;
        // Mean and sum of squared deviations, row by row (Welford 1962).
        let (mut n, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for range in ranges(self.n_rows) {
            let now = self.row_losses(range.clone(), params)?;
            let then = self.row_losses(range, start)?;
            for difference in now.iter().zip(then).map(|(now, then)| now - then) {
                n += 1.0;
                let deviation = difference - mean;
                mean += deviation / n;
                squares += deviation * (difference - mean);
            }
        }
        let variance = squares / f64::max(n - 1.0, 1.0);
        Ok(mean > CHANCE * (variance / n).sqrt())
    }

    /// The loss of each validation row of `range`, times its weight.
    fn row_losses(&mut self, range: Range<usize>, params: &[T]) -> Result<Vec<f64>> {
        let Self { network, outputs, works, .. } = self;
        let n_outputs = network.n_outputs();
        let outputs = &mut outputs[..range.len() * n_outputs];
        let (x, targets) = self.rows.range(range, network.n_inputs())?;
        network.raw_outputs_on_threads(self.level, params, self.loss, x, works, outputs);
        let mut unused = vec![T::ZERO; n_outputs];
        let rows = outputs.chunks_exact(n_outputs).enumerate();
        let losses = rows.map(|(row, outputs)| {
            self.loss.forward_backward(outputs, targets.slice(row..row + 1), T::ONE, &mut unused)
        });
        Ok(losses.collect())
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
