//! Losses, each fused with its gradient. Classification losses take logits.

use serde::{Deserialize, Serialize};
use statera_kernels::Scalar;

/// What the outputs of a shard are compared with.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a, T> {
    /// A number a row, in the units that the network is trained in.
    Values(&'a [T]),
    /// A class a row, 0..C.
    Classes(&'a [u32]),
}

impl<T> Targets<'_, T> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Classes(classes) => classes.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of `range`.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        match self {
            Self::Values(values) => Self::Values(&values[range]),
            Self::Classes(classes) => Self::Classes(&classes[range]),
        }
    }
}

/// What training makes small.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// (y − t)².
    Mse,
    /// |y − t|.
    Mae,
    /// ½(y − t)² within δ of the target, δ·(|y − t| − ½δ) beyond (Huber 1964).
    Huber {
        /// Where the square ends.
        delta: f64,
    },
    /// −log σ(z) for class 1, −log(1 − σ(z)) for class 0, from the logit z.
    BinaryCrossentropy,
    /// −log softmax(z)_class, from the logits z (C).
    CategoricalCrossentropy,
}

impl Loss {
    /// Whether the targets are classes and the outputs logits.
    pub fn is_classification(self) -> bool {
        matches!(self, Self::BinaryCrossentropy | Self::CategoricalCrossentropy)
    }

    /// The sum of the losses of the rows; writes ∂/∂outputs of `scale` times that sum into `d`.
    ///
    /// `outputs` and `d` are B×`n_outputs`. The loss of a row is finite for any finite output.
    ///
    /// # Panics
    /// When the targets are not of the loss's kind.
    pub fn forward_backward<T: Scalar>(
        self,
        outputs: &[T],
        targets: Targets<T>,
        scale: T,
        d: &mut [T],
    ) -> f64 {
        match (self, targets) {
            (Self::Mse, Targets::Values(t)) => each(outputs, t, scale, d, |e| (e * e, T::from_f64(2.0) * e)),
            (Self::Mae, Targets::Values(t)) => each(outputs, t, scale, d, |e| (e.abs(), sign(e))),
            (Self::Huber { delta }, Targets::Values(t)) => {
                let delta = T::from_f64(delta);
                let half = T::from_f64(0.5);
                each(outputs, t, scale, d, |e| {
                    if e.abs() <= delta {
                        (half * e * e, e)
                    } else {
                        (delta * (e.abs() - half * delta), delta * sign(e))
                    }
                })
            }
            (Self::BinaryCrossentropy, Targets::Classes(classes)) => {
                let mut sum = 0.0;
                for ((&z, &class), d) in outputs.iter().zip(classes).zip(d) {
                    let truth = if class == 1 { T::ONE } else { T::ZERO };
                    // log(1 + eᶻ) − t·z, written so that nothing overflows.
                    let positive = if z > T::ZERO { z } else { T::ZERO };
                    sum += (positive - truth * z).to_f64() + (-z.abs().to_f64()).exp().ln_1p();
                    *d = scale * (z.sigmoid() - truth);
                }
                sum
            }
            (Self::CategoricalCrossentropy, Targets::Classes(classes)) => {
                let n_outputs = outputs.len() / classes.len().max(1);
                let mut sum = 0.0;
                let rows = outputs.chunks_exact(n_outputs.max(1)).zip(d.chunks_exact_mut(n_outputs.max(1)));
                for ((z, d), &class) in rows.zip(classes) {
                    let (largest, total) = softmax(z, d);
                    let class = class as usize;
                    sum += total.to_f64().ln() - (z[class] - largest).to_f64();
                    d[class] += -T::ONE;
                    for d in d {
                        *d *= scale;
                    }
                }
                sum
            }
            (loss, _) => panic!("{loss:?} was given targets of another kind"),
        }
    }

    /// Turns outputs (B×`n_outputs`) into predictions in place: probabilities for the classification losses.
    pub fn predict<T: Scalar>(self, outputs: &mut [T], n_outputs: usize) {
        match self {
            Self::Mse | Self::Mae | Self::Huber { .. } => {}
            Self::BinaryCrossentropy => {
                for z in outputs {
                    *z = z.sigmoid();
                }
            }
            Self::CategoricalCrossentropy => {
                let mut row = vec![T::ZERO; n_outputs];
                for z in outputs.chunks_exact_mut(n_outputs) {
                    softmax(z, &mut row);
                    z.copy_from_slice(&row);
                }
            }
        }
    }
}

/// Writes softmax(z) into `p`; returns the largest logit and the sum of e^(z − largest).
fn softmax<T: Scalar>(z: &[T], p: &mut [T]) -> (T, T) {
    let largest = z.iter().fold(z[0], |a, &b| if b > a { b } else { a });
    let mut total = T::ZERO;
    for (p, &z) in p.iter_mut().zip(z) {
        *p = (z - largest).exp();
        total += *p;
    }
    for p in p {
        *p = *p / total;
    }
    (largest, total)
}

fn sign<T: Scalar>(x: T) -> T {
    if x > T::ZERO {
        T::ONE
    } else if x < T::ZERO {
        -T::ONE
    } else {
        // Zero at zero, NaN at NaN.
        x
    }
}

fn each<T: Scalar>(y: &[T], t: &[T], scale: T, d: &mut [T], f: impl Fn(T) -> (T, T)) -> f64 {
    let mut sum = 0.0;
    for ((&y, &t), d) in y.iter().zip(t).zip(d) {
        let (loss, slope) = f(y - t);
        sum += loss.to_f64();
        *d = scale * slope;
    }
    sum
}
