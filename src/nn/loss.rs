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
    /// A number a row, and how much the row counts: 0 or more.
    WeightedValues(&'a [T], &'a [T]),
    /// A class a row, and how much the row counts: 0 or more.
    WeightedClasses(&'a [u32], &'a [T]),
    /// Two classes a row, and how much the row counts as either: its loss is the weighted sum of both.
    MixedClasses([&'a [u32]; 2], [&'a [T]; 2]),
}

impl<'a, T> Targets<'a, T> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Values(values) | Self::WeightedValues(values, _) => values.len(),
            Self::Classes(classes)
            | Self::WeightedClasses(classes, _)
            | Self::MixedClasses([classes, _], _) => classes.len(),
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
            Self::WeightedValues(values, w) => Self::WeightedValues(&values[range.clone()], &w[range]),
            Self::WeightedClasses(classes, w) => Self::WeightedClasses(&classes[range.clone()], &w[range]),
            Self::MixedClasses(classes, w) => {
                Self::MixedClasses(classes.map(|c| &c[range.clone()]), w.map(|w| &w[range.clone()]))
            }
        }
    }

    /// The two targets that each row of [`Targets::MixedClasses`] has; none of others.
    pub fn mixed(self) -> Option<[Self; 2]> {
        match self {
            Self::MixedClasses([one, other], [w, v]) => {
                Some([Self::WeightedClasses(one, w), Self::WeightedClasses(other, v)])
            }
            _ => None,
        }
    }

    /// The targets without weights, and the weights if there are any; mixed ones as they are.
    pub fn parted(self) -> (Self, Option<&'a [T]>) {
        match self {
            Self::Values(_) | Self::Classes(_) | Self::MixedClasses(..) => (self, None),
            Self::WeightedValues(values, w) => (Self::Values(values), Some(w)),
            Self::WeightedClasses(classes, w) => (Self::Classes(classes), Some(w)),
        }
    }
}

impl<T: Scalar> Targets<'_, T> {
    /// What the sum of the rows' losses is divided by for their mean: the sum of the weights, or the number of
    /// rows where there are none.
    pub fn total_weight(&self) -> f64 {
        if let Some(both) = self.mixed() {
            return both.iter().map(Self::total_weight).sum();
        }
        match self.parted().1 {
            None => self.len() as f64,
            Some(weights) => weights.iter().map(|w| w.to_f64()).sum(),
        }
    }
}

/// The output beyond which the rate of a Poisson loss grows no more: e³⁰ is 1e13, and e¹⁰⁰ is more than an `f32`
/// can hold.
pub const LARGEST_LOG_RATE: f64 = 30.0;

/// What training makes small.
///
/// With an output y (a logit z for classes), a target t, and an error e = y − t.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// e².
    Mse,
    /// √(Σe²/n) over the rows of a batch, which is no mean over rows: see [`Loss::of_mean`].
    Rmse,
    /// |e|.
    Mae,
    /// ½e² within δ of the target, δ·(|e| − ½δ) beyond (Huber 1964).
    Huber {
        /// Where the square ends.
        delta: f64,
    },
    /// log cosh e: ½e² near zero, |e| − log 2 far out, smooth in between.
    LogCosh,
    /// q·(t − y) where the output is too low, (1 − q)·(y − t) where it is too high: the pinball loss, which is
    /// smallest at the q-quantile of the targets (Koenker & Bassett 1978). Its slope at e = 0 is taken as 0.
    Quantile {
        /// q.
        quantile: f64,
    },
    /// eʸ − t·y, the negative log-likelihood of a Poisson count t of rate eʸ, up to what does not depend on y.
    ///
    /// The prediction is the rate. Beyond y = [`LARGEST_LOG_RATE`] the rate stays what it is there, and the loss
    /// goes on in the straight line of that slope.
    Poisson,
    /// −log σ(z) for class 1, −log(1 − σ(z)) for class 0, from the logit z.
    BinaryCrossentropy,
    /// The binary cross-entropy to the target (1 − ε)·t + ε/2 (Szegedy et al. 2016).
    SmoothBinaryCrossentropy {
        /// ε.
        label_smoothing: f64,
    },
    /// −(1 − p)^γ·log p with p the probability σ(±z) of the row's class (Lin et al. 2017, without their α, which
    /// is a class weight).
    BinaryFocal {
        /// γ; at 0 the loss is the cross-entropy.
        gamma: f64,
    },
    /// max(0, 1 − s·z) with s = 1 for class 1 and −1 for class 0 (Cortes & Vapnik 1995).
    ///
    /// It decides by the sign of z. The probabilities given out are σ(z): in the order of the margins, ½ at the
    /// threshold, and not calibrated, for nothing in the loss asks that they be. Its slope at the kink is 0.
    Hinge,
    /// −log softmax(z)_class, from the logits z (C).
    CategoricalCrossentropy,
    /// The cross-entropy to the target of 1 − ε for the row's class and ε/C more for every class (Szegedy et
    /// al. 2016).
    SmoothCategoricalCrossentropy {
        /// ε.
        label_smoothing: f64,
    },
    /// −(1 − p)^γ·log p with p = softmax(z)_class.
    CategoricalFocal {
        /// γ; at 0 the loss is the cross-entropy.
        gamma: f64,
    },
}

impl Loss {
    /// Whether the targets are two classes and the output their one logit.
    pub fn is_binary(self) -> bool {
        matches!(
            self,
            Self::BinaryCrossentropy
                | Self::SmoothBinaryCrossentropy { .. }
                | Self::BinaryFocal { .. }
                | Self::Hinge
        )
    }

    /// Whether the targets are classes and the outputs a logit for each.
    pub fn is_categorical(self) -> bool {
        matches!(
            self,
            Self::CategoricalCrossentropy
                | Self::SmoothCategoricalCrossentropy { .. }
                | Self::CategoricalFocal { .. }
        )
    }

    /// Whether the targets are classes and the outputs logits.
    pub fn is_classification(self) -> bool {
        self.is_binary() || self.is_categorical()
    }

    /// The loss that rows which are not learned from are judged by: the same, without label smoothing.
    #[must_use]
    pub fn without_smoothing(self) -> Self {
        match self {
            Self::SmoothBinaryCrossentropy { .. } => Self::BinaryCrossentropy,
            Self::SmoothCategoricalCrossentropy { .. } => Self::CategoricalCrossentropy,
            other => other,
        }
    }

    /// The loss of a batch whose rows' losses have this weighted mean; and, where the loss is not that mean
    /// itself, the factor from the gradient of the mean to its own.
    ///
    /// Of [`Loss::Rmse`] the rows' losses are the squares, m is their mean, and ∂√m = ∂m / (2√m). At m = 0, where
    /// ∂m is 0 as well, the factor is 0.
    pub fn of_mean(self, mean: f64) -> (f64, Option<f64>) {
        if self != Self::Rmse {
            return (mean, None);
        }
        let root = mean.sqrt();
        (root, Some(if root > 0.0 { 0.5 / root } else { 0.0 }))
    }

    /// The sum of the losses of the rows, each times its weight; writes ∂/∂outputs of `scale` times that sum into
    /// `d`.
    ///
    /// `outputs` and `d` are B×`n_outputs`. Losses are computed in double precision: that of a row is finite for any
    /// finite output in `f32`, and in `f64` for errors whose square is finite.
    ///
    /// # Panics
    /// When the targets are not of the loss's kind, or mixed: [`Targets::mixed`] parts those.
    pub fn forward_backward<T: Scalar>(
        self,
        outputs: &[T],
        targets: Targets<T>,
        scale: T,
        d: &mut [T],
    ) -> f64 {
        match targets.parted() {
            (Targets::Values(t), None) if !self.is_classification() => self.of_values(outputs, t, scale, d),
            (Targets::Classes(c), None) if self.is_binary() => self.of_two(outputs, c, scale, d),
            (Targets::Classes(c), None) if self.is_categorical() => self.of_many(outputs, c, scale, d),
            (targets, Some(weights)) => {
                // Row by row: what a row's loss is stands in one place.
                let mut sum = 0.0;
                let width = outputs.len() / weights.len().max(1);
                let rows = outputs.chunks_exact(width.max(1)).zip(d.chunks_exact_mut(width.max(1)));
                for (row, ((y, d), &weight)) in rows.zip(weights).enumerate() {
                    let target = targets.slice(row..row + 1);
                    sum += weight.to_f64() * self.forward_backward(y, target, scale * weight, d);
                }
                sum
            }
            _ => panic!("{self:?} was given targets of another kind"),
        }
    }

    fn of_values<T: Scalar>(self, y: &[T], t: &[T], scale: T, d: &mut [T]) -> f64 {
        match self {
            Self::Mae => each(y, t, scale, d, f64::abs, sign),
            Self::Huber { delta } => {
                let loss = |e: f64| {
                    if e.abs() <= delta { 0.5 * e * e } else { delta * (e.abs() - 0.5 * delta) }
                };
                let delta = T::from_f64(delta);
                each(y, t, scale, d, loss, |e| if e.abs() <= delta { e } else { delta * sign(e) })
            }
            Self::LogCosh => each(y, t, scale, d, log_cosh, T::tanh),
            Self::Quantile { quantile: q } => {
                let loss = |e: f64| if e > 0.0 { (1.0 - q) * e } else { -q * e };
                let (low, high) = (T::from_f64(-q), T::from_f64(1.0 - q));
                each(y, t, scale, d, loss, |e| if e > T::ZERO { high } else { low * sign(e).abs() })
            }
            Self::Poisson => {
                let mut sum = 0.0;
                for ((&y, &t), d) in y.iter().zip(t).zip(d) {
                    let rate = rate(y);
                    // Beyond the bound, the line that touches the curve there.
                    let beyond = (y.to_f64() - LARGEST_LOG_RATE).max(0.0);
                    sum += rate.to_f64() * (1.0 + beyond) - t.to_f64() * y.to_f64();
                    *d = scale * (rate - t);
                }
                sum
            }
            _ => each(y, t, scale, d, |e| e * e, |e| T::from_f64(2.0) * e),
        }
    }

    fn of_two<T: Scalar>(self, outputs: &[T], classes: &[u32], scale: T, d: &mut [T]) -> f64 {
        let mut sum = 0.0;
        for ((&z, &class), d) in outputs.iter().zip(classes).zip(d) {
            let truth = match self {
                Self::SmoothBinaryCrossentropy { label_smoothing: e } => {
                    T::from_f64(if class == 1 { 1.0 - 0.5 * e } else { 0.5 * e })
                }
                _ if class == 1 => T::ONE,
                _ => T::ZERO,
            };
            match self {
                Self::Hinge => {
                    let side = truth + truth - T::ONE;
                    let short = T::ONE - side * z;
                    let misses = short > T::ZERO;
                    sum += if misses { short.to_f64() } else { 0.0 };
                    *d = if misses { -scale * side } else { T::ZERO };
                }
                Self::BinaryFocal { gamma } => {
                    let side = if class == 1 { 1.0 } else { -1.0 };
                    let margin = side * z.to_f64();
                    // p and q = 1 − p, each without loss of digits next to 0.
                    let tail = (-margin.abs()).exp();
                    let (near, far) = (1.0 / (1.0 + tail), tail / (1.0 + tail));
                    let (p, q) = if margin > 0.0 { (near, far) } else { (far, near) };
                    let log_p = margin.min(0.0) - tail.ln_1p();
                    let (loss, slope) = focal(p, q, log_p, gamma);
                    sum += loss;
                    *d = scale * T::from_f64(side * slope * q);
                }
                _ => {
                    // log(1 + eᶻ) − t·z, written so that nothing overflows.
                    let positive = if z > T::ZERO { z } else { T::ZERO };
                    sum += (positive - truth * z).to_f64() + (-z.abs().to_f64()).exp().ln_1p();
                    *d = scale * (z.sigmoid() - truth);
                }
            }
        }
        sum
    }

    fn of_many<T: Scalar>(self, outputs: &[T], classes: &[u32], scale: T, d: &mut [T]) -> f64 {
        let n_outputs = outputs.len() / classes.len().max(1);
        let mut sum = 0.0;
        let rows = outputs.chunks_exact(n_outputs.max(1)).zip(d.chunks_exact_mut(n_outputs.max(1)));
        for ((z, d), &class) in rows.zip(classes) {
            let (largest, total) = softmax(z, d);
            let class = class as usize;
            let to_class = z[class].to_f64() - largest.to_f64();
            let log_total = total.to_f64().ln();
            match self {
                Self::SmoothCategoricalCrossentropy { label_smoothing: e } => {
                    let share = e / n_outputs as f64;
                    let to_all: f64 = z.iter().map(|z| z.to_f64() - largest.to_f64()).sum();
                    sum += log_total - (1.0 - e) * to_class - share * to_all;
                    d[class] += -T::from_f64(1.0 - e);
                    for d in d {
                        *d = scale * (*d - T::from_f64(share));
                    }
                }
                Self::CategoricalFocal { gamma } => {
                    // 1 − p as a sum of the other classes, so that it keeps its digits next to 0.
                    let others = d.iter().enumerate().filter(|(other, _)| *other != class);
                    let q: f64 = others.map(|(_, p)| p.to_f64()).sum();
                    let log_p = if q < 0.5 { (-q).ln_1p() } else { to_class - log_total };
                    let (loss, slope) = focal(log_p.exp(), q, log_p, gamma);
                    sum += loss;
                    // ∂log p/∂z is 1 − p for the class itself and −p of every other class for that one.
                    for p in &mut *d {
                        *p *= scale * T::from_f64(-slope);
                    }
                    d[class] = scale * T::from_f64(slope * q);
                }
                _ => {
                    sum += log_total - to_class;
                    d[class] += -T::ONE;
                    for d in d {
                        *d *= scale;
                    }
                }
            }
        }
        sum
    }

    /// The cross-entropy that a classification loss stands in for; none of numbers.
    pub fn crossentropy(self) -> Option<Self> {
        match self {
            Self::BinaryCrossentropy
            | Self::SmoothBinaryCrossentropy { .. }
            | Self::BinaryFocal { .. }
            | Self::Hinge => Some(Self::BinaryCrossentropy),
            Self::CategoricalCrossentropy
            | Self::SmoothCategoricalCrossentropy { .. }
            | Self::CategoricalFocal { .. } => Some(Self::CategoricalCrossentropy),
            Self::Mse
            | Self::Rmse
            | Self::Mae
            | Self::Huber { .. }
            | Self::LogCosh
            | Self::Quantile { .. }
            | Self::Poisson => None,
        }
    }

    /// Turns outputs (B×`n_outputs`) into predictions in place: probabilities for the classification losses,
    /// rates for the Poisson loss.
    pub fn predict<T: Scalar>(self, outputs: &mut [T], n_outputs: usize) {
        match self {
            Self::Mse
            | Self::Rmse
            | Self::Mae
            | Self::Huber { .. }
            | Self::LogCosh
            | Self::Quantile { .. } => {}
            Self::Poisson => {
                for y in outputs {
                    *y = rate(*y);
                }
            }
            Self::BinaryCrossentropy
            | Self::SmoothBinaryCrossentropy { .. }
            | Self::BinaryFocal { .. }
            | Self::Hinge => {
                for z in outputs {
                    *z = z.sigmoid();
                }
            }
            Self::CategoricalCrossentropy
            | Self::SmoothCategoricalCrossentropy { .. }
            | Self::CategoricalFocal { .. } => {
                let mut row = vec![T::ZERO; n_outputs];
                for z in outputs.chunks_exact_mut(n_outputs) {
                    softmax(z, &mut row);
                    z.copy_from_slice(&row);
                }
            }
        }
    }
}

/// The rate eʸ of a Poisson loss, which stays finite.
fn rate<T: Scalar>(y: T) -> T {
    let bound = T::from_f64(LARGEST_LOG_RATE);
    if y > bound { bound.exp() } else { y.exp() }
}

/// log cosh e = ½·log(1 + sinh²e), which keeps its digits near zero, and |e| + log(1 + e^(−2|e|)) − log 2, which
/// does not overflow far out.
fn log_cosh(e: f64) -> f64 {
    if e.abs() < 1.0 {
        let s = e.sinh();
        return 0.5 * (s * s).ln_1p();
    }
    e.abs() + (-2.0 * e.abs()).exp().ln_1p() - std::f64::consts::LN_2
}

/// L = −q^γ·log p with q = 1 − p, and ∂L/∂log p = γ·q^(γ−1)·p·log p − q^γ.
fn focal(p: f64, q: f64, log_p: f64, gamma: f64) -> (f64, f64) {
    let weight = q.powf(gamma);
    // log p = log(1 − q) is −q next to q = 0.
    let ratio = if q > 0.0 { log_p / q } else { -1.0 };
    (-weight * log_p, weight * (gamma * p * ratio - 1.0))
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

/// The sum of the losses of the errors e = y − t; writes `scale` times their slopes into `d`.
fn each<T: Scalar>(
    y: &[T],
    t: &[T],
    scale: T,
    d: &mut [T],
    loss: impl Fn(f64) -> f64,
    slope: impl Fn(T) -> T,
) -> f64 {
    let mut sum = 0.0;
    for ((&y, &t), d) in y.iter().zip(t).zip(d) {
        sum += loss(y.to_f64() - t.to_f64());
        *d = scale * slope(y - t);
    }
    sum
}
