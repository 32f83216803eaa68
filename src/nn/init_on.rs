//! Initial parameters that are fitted on training rows, layer by layer.

use statera_kernels::{CpuLevel, Scalar};

use super::Network;
use super::dense::weight_factor;
use crate::config::{Activation, Initializer, LayerSpec, Parametrization, WeightKind};
use crate::random::{Purpose, Stream};

/// Passes over one layer at most, as in the algorithm of Mishkin & Matas (2016).
const MOST_PASSES: usize = 10;
/// Rows that go through a layer together.
const ROWS: usize = 256;

impl Network {
    /// Whether some layer starts from training rows, so that [`Network::init_on`] differs from [`Network::init`].
    pub fn looks_at_rows(&self) -> bool {
        self.specs().iter().any(looks_at_rows)
    }

    /// [`Network::init`], and then what the data-driven initialisers make of it on the training rows `x` (B×inputs).
    ///
    /// Layers are fitted first to last, those of a block in their turn, each on what the layers before it, fitted
    /// already, make of the rows.
    /// Dropout, noise and masks of weights are off; batch normalisation takes the statistics of these rows. With z
    /// the outputs of a dense layer before its activation:
    ///
    /// - `lsuv` (Mishkin & Matas 2016, algorithm 1): W ← W/√Var(z) until |Var(z) − 1| is within the tolerance, the
    ///   variance being that of all numbers of z together, biases included as they start;
    /// - `unit_variance` (the `std` weights of Holzmüller, Grinsztajn & Steinwart 2024): each column of W is divided
    ///   by the standard deviation of its unit's z over the rows;
    /// - `he_plus` ("he+5": Steinwart 2019, as Holzmüller et al. 2024 use it): b = −Σ aⱼ·(x·W)ⱼ over `rows` random
    ///   rows with repetition, the shares a uniform on the simplex, so that the unit is 0 at a random mean of rows.
    ///
    /// Of binary weights z is what α·sign(W) makes: W/√Var(z) scales α, and leaves the signs.
    ///
    /// A layer or unit whose outputs do not vary is left as it is. Sums are made in one order and double precision:
    /// the same rows and seed give the same bits.
    pub fn init_on<T: Scalar>(&self, level: CpuLevel, seed: u64, x: &[T]) -> Vec<T> {
        let mut params = self.init(seed);
        let n_to_walk = self.specs().iter().rposition(looks_at_rows).map_or(0, |last| last + 1);
        if !x.is_empty() {
            let (x, n_features) = (x.to_vec(), self.n_inputs());
            let mut walk =
                Walk { level, seed, params: &mut params, begin: 0, place: 0, x, n_features, n_members: 1 };
            walk.through(&self.specs()[..n_to_walk]);
        }
        params
    }
}

/// A walk through the layers, with what the rows have become.
struct Walk<'a, T> {
    level: CpuLevel,
    seed: u64,
    params: &'a mut [T],
    /// Where the parameters of the next layer begin.
    begin: usize,
    /// The place of the next layer in the network's stack.
    place: u32,
    /// What enters the next layer (B×F).
    x: Vec<T>,
    n_features: usize,
    /// Members of an ensemble that a row holds.
    n_members: usize,
}

impl<T: Scalar> Walk<'_, T> {
    fn through(&mut self, specs: &[LayerSpec]) {
        for spec in specs {
            self.place += 1;
            if let LayerSpec::Residual { layers } = spec {
                let entered = self.x.clone();
                self.through(layers);
                T::add_to(self.level, &entered, &mut self.x);
                self.place += 1;
            } else {
                self.through_one(spec);
            }
        }
    }

    /// Fits a layer, and then takes the rows through it.
    fn through_one(&mut self, spec: &LayerSpec) {
        let (level, n_features, k) = (self.level, self.n_features, self.n_members);
        let layer = Network::behind(vec![spec.clone()], n_features, k);
        let own = &mut self.params[self.begin..self.begin + layer.n_params()];
        let mut used = Vec::new();
        match spec {
            LayerSpec::Dense {
                initializer,
                bias_initializer,
                bias,
                units,
                packed,
                parametrization,
                weights,
                ..
            } => {
                let is_binary = *weights == Some(WeightKind::Binary) && !*packed;
                let mut stream = Stream::new(self.seed, Purpose::InitRows, self.place);
                let mut fit = |rows: &Rows<T>, own: &mut [T]| {
                    rows.fit_weights(*initializer, *units, *bias, own);
                    if let (true, Initializer::HePlus { rows: n_points }) = (bias, bias_initializer) {
                        rows.put_kinks(*n_points, *units, own, &mut stream);
                    }
                };
                let n_features = n_features / k;
                if *packed {
                    for member in 0..k {
                        let x: Vec<T> = self
                            .x
                            .chunks_exact(n_features)
                            .skip(member)
                            .step_by(k)
                            .flatten()
                            .copied()
                            .collect();
                        change_member(own, member, [k, n_features, *units], |own| {
                            let parametrization = *parametrization;
                            fit(&Rows { level, x: &x, n_features, parametrization, is_binary }, own);
                        });
                    }
                } else {
                    // Members that share the weights are rows of the layer.
                    let parametrization = *parametrization;
                    let rows = Rows { level, x: &self.x, n_features, parametrization, is_binary };
                    fit(&rows, own);
                    used = rows.used(*units, own);
                }
            }
            LayerSpec::BatchNorm { .. } => {
                used = own.to_vec();
                let (mean, variance) = used[2 * n_features..].split_at_mut(n_features);
                T::add_column_moments(level, &self.x, 0, mean, variance);
                let share = T::from_f64(n_features as f64 / self.x.len() as f64);
                variance.iter_mut().for_each(|sum| *sum *= share);
            }
            LayerSpec::Members { count } => self.n_members = *count,
            _ => {}
        }
        if used.is_empty() {
            used = own.to_vec();
        }
        let mut work = layer.inference_workspace(ROWS);
        self.x = layer.last_layer(level, &used, &self.x, &mut work);
        self.n_features = layer.n_members() * layer.n_outputs();
        self.begin += layer.n_params();
    }
}

/// Changes one member's weight (I×O) and bias (O) out of those of `k` members (`k`×I×O and `k`×O).
fn change_member<T: Scalar>(
    all: &mut [T],
    member: usize,
    [k, i, o]: [usize; 3],
    change: impl FnOnce(&mut [T]),
) {
    let (weights, biases) = all.split_at_mut(k * i * o);
    let weight = &mut weights[member * i * o..(member + 1) * i * o];
    let bias = biases.get_mut(member * o..(member + 1) * o).unwrap_or_default();
    let mut own = [&*weight, &*bias].concat();
    change(&mut own);
    weight.copy_from_slice(&own[..i * o]);
    bias.copy_from_slice(&own[i * o..]);
}

fn looks_at_rows(spec: &LayerSpec) -> bool {
    match spec {
        LayerSpec::Dense { initializer, bias_initializer, bias, .. } => {
            initializer.looks_at_rows() || (*bias && bias_initializer.looks_at_rows())
        }
        LayerSpec::Residual { layers } => layers.iter().any(looks_at_rows),
        LayerSpec::BatchNorm { .. }
        | LayerSpec::Dropout { .. }
        | LayerSpec::Activation { .. }
        | LayerSpec::ParametricActivation { .. }
        | LayerSpec::LayerNorm { .. }
        | LayerSpec::GaussianNoise { .. }
        | LayerSpec::Scale { .. }
        | LayerSpec::Members { .. }
        | LayerSpec::Embedding { .. } => false,
    }
}

/// What enters a dense layer (B×I).
struct Rows<'a, T> {
    level: CpuLevel,
    x: &'a [T],
    n_features: usize,
    parametrization: Parametrization,
    is_binary: bool,
}

impl<T: Scalar> Rows<'_, T> {
    /// `own`, the weight (I×O) and then the bias, if there is one, with the weight as training uses it: α·sign(W) of a
    /// binary one.
    fn used(&self, n_units: usize, own: &[T]) -> Vec<T> {
        let mut used = own.to_vec();
        if self.is_binary {
            let n_weights = self.n_features * n_units;
            let mut alpha = vec![T::ZERO; n_units];
            T::binarize(self.level, &own[..n_weights], &mut alpha, &mut used[..n_weights]);
        }
        used
    }

    /// x·W + b (B×O) with the weight of `own` as it is used.
    fn outputs(&self, n_units: usize, bias: bool, own: &[T]) -> Vec<T> {
        let mut spec = LayerSpec::dense(n_units, Activation::Linear, Initializer::Zeros);
        if let LayerSpec::Dense { bias: has_bias, parametrization, .. } = &mut spec {
            (*has_bias, *parametrization) = (bias, self.parametrization);
        }
        let layer = Network::from_specs(vec![spec], self.n_features);
        let used = self.used(n_units, own);
        layer.last_layer(self.level, &used, self.x, &mut layer.inference_workspace(ROWS))
    }

    fn fit_weights(&self, initializer: Initializer, n_units: usize, bias: bool, own: &mut [T]) {
        let n_weights = self.n_features * n_units;
        match initializer {
            Initializer::Lsuv { tolerance } => {
                for _ in 0..MOST_PASSES {
                    let z = self.outputs(n_units, bias, own);
                    let variance = variance(z.iter());
                    if variance == 0.0 || (variance - 1.0).abs() <= tolerance {
                        break;
                    }
                    let factor = T::from_f64(1.0 / variance.sqrt());
                    own[..n_weights].iter_mut().for_each(|w| *w *= factor);
                }
            }
            Initializer::UnitVariance => {
                let z = self.outputs(n_units, bias, own);
                for unit in 0..n_units {
                    let variance = variance(z.iter().skip(unit).step_by(n_units));
                    if variance > 0.0 {
                        let factor = T::from_f64(1.0 / variance.sqrt());
                        own[unit..n_weights].iter_mut().step_by(n_units).for_each(|w| *w *= factor);
                    }
                }
            }
            _ => {}
        }
    }

    /// Puts the point where each unit changes sides at a random mean of `n_points` rows.
    fn put_kinks(&self, n_points: usize, n_units: usize, own: &mut [T], stream: &mut Stream) {
        let weight = self.used(n_units, own);
        let bias = &mut own[self.n_features * n_units..];
        let n_rows = self.x.len() / self.n_features;
        let factor = weight_factor(self.parametrization, self.n_features);
        let mut points = Vec::with_capacity(n_points);
        for (unit, bias) in bias.iter_mut().enumerate() {
            // Exponential draws over their sum are uniform on the simplex.
            points.clear();
            points.extend((0..n_points).map(|_| (stream.below(n_rows), -(1.0 - stream.uniform()).ln())));
            let sum: f64 = points.iter().map(|(_, share)| share).sum();
            let mut kink = 0.0;
            for &(row, share) in &points {
                let x = &self.x[row * self.n_features..(row + 1) * self.n_features];
                let column = weight[unit..].iter().step_by(n_units);
                let z: f64 = x.iter().zip(column).map(|(x, w)| x.to_f64() * w.to_f64()).sum();
                kink += share * z;
            }
            // All draws 0 is possible, if hardly.
            if sum > 0.0 {
                *bias = T::from_f64(-factor * kink / sum);
            }
        }
    }
}

/// The variance of numbers about their mean, in double precision; 0 where it may be nothing but rounding, which
/// batch normalisation of rows that are alike makes larger.
fn variance<'a, T: Scalar>(numbers: impl Iterator<Item = &'a T> + Clone) -> f64 {
    let (mut n, mut sum) = (0.0, 0.0);
    for v in numbers.clone() {
        (n, sum) = (n + 1.0, sum + v.to_f64());
    }
    let mean = sum / n;
    let variance = numbers.map(|v| (v.to_f64() - mean).powi(2)).sum::<f64>() / n;
    if variance > 1e-8 * (mean * mean).max(1.0) { variance } else { 0.0 }
}
