//! What the validation rows say of weights.

use statera_kernels::{CpuLevel, Scalar};

use super::row_file::RowReader;
use super::rows::Rows;
use super::source::Source;
use crate::error::Result;
use crate::nn::{Loss, Network, Targets, Workspace};

/// Rows that are looked at together.
const TOGETHER: usize = 1 << 14;

/// Looks at the validation rows, in memory planned once.
pub(super) struct Watch<'a, T> {
    network: &'a Network,
    loss: Loss,
    level: CpuLevel,
    n_rows: usize,
    rows: Watched<'a, T>,
    target_std: f64,
    works: Vec<Workspace<T>>,
    outputs: Vec<T>,
    unused_gradient: Vec<T>,
}

/// The rows, or a file of them and place for some.
enum Watched<'a, T> {
    Memory(&'a Rows<T>),
    File(RowReader, Rows<T>),
}

/// Sums over rows: of the loss and of the weights, of squared and absolute errors, and of rows whose class is right.
#[derive(Default)]
struct Sums {
    loss: f64,
    weight: f64,
    squares: f64,
    absolutes: f64,
    right: usize,
}

impl<'a, T: Scalar> Watch<'a, T> {
    /// Memory to look at the rows of `val`; `target_std` brings errors to the target's own unit.
    pub(super) fn new(
        network: &'a Network,
        loss: Loss,
        level: CpuLevel,
        val: Source<'a, T>,
        target_std: f64,
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
        Ok(Self { network, loss, level, n_rows, rows, target_std, works, outputs, unused_gradient })
    }

    /// The loss of the validation rows, weighted and without label smoothing, and their metrics, unweighted; of an
    /// ensemble, those of its mean prediction.
    pub(super) fn look(&mut self, params: &[T]) -> Result<(f64, Vec<(String, f64)>)> {
        let Self { network, n_rows, outputs, unused_gradient: d, works, .. } = self;
        let (n_inputs, n_outputs) = (network.n_inputs(), network.n_outputs());
        let mut sums = Sums::default();
        let mut are_classes = false;
        for first in (0..*n_rows).step_by(TOGETHER) {
            let range = first..(first + TOGETHER).min(*n_rows);
            let n = range.len();
            let (x, targets) = match &mut self.rows {
                Watched::Memory(rows) => {
                    let x = &rows.x[range.start * n_inputs..range.end * n_inputs];
                    (x, rows.targets.view().slice(range))
                }
                Watched::File(reader, rows) => {
                    rows.clear();
                    reader.append(range, rows)?;
                    (&rows.x[..], rows.targets.view())
                }
            };
            let (outputs, d) = (&mut outputs[..n * n_outputs], &mut d[..n * n_outputs]);
            network.raw_outputs_on_threads(self.level, params, self.loss, x, works, outputs);
            sums.loss += self.loss.forward_backward(outputs, targets, T::ONE, d);
            sums.weight += targets.total_weight();
            match targets.parted().0 {
                Targets::Values(truth) => {
                    self.loss.predict(outputs, n_outputs);
                    for error in outputs.iter().zip(truth).map(|(y, t)| (*y - *t).to_f64()) {
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
        let (n_rows, std) = (*n_rows as f64, self.target_std);
        let metrics = if are_classes {
            vec![("val_accuracy".to_owned(), sums.right as f64 / n_rows)]
        } else {
            let (mse, mae) = (sums.squares / n_rows, sums.absolutes / n_rows);
            vec![("val_rmse".to_owned(), mse.sqrt() * std), ("val_mae".to_owned(), mae * std)]
        };
        Ok((self.loss.of_mean(sums.loss / sums.weight).0, metrics))
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
