//! Every initialiser has the distribution that its source asks for.

use crate::common;
use common::{bits, dense_of, numbers};
use statera::config::layers::{BIAS_INITIALIZERS, INITIALIZERS};
use statera::config::{Activation, Config, Initializer, LayerSpec, WeightKind};
use statera::data::TargetScaler;
use statera::nn::init::{explain, fill};
use statera::nn::{CpuLevel, Loss, Network};
use statera::random::{Purpose, Stream};
use statera::train::events::Answer;
use statera::train::fit::{OwnedTargets, RowFacts, Rows, fit};

/// Unlike, so that one taken for the other is noticed; a million weights together.
const FAN_IN: usize = 500;
const FAN_OUT: usize = 2000;
const N: usize = FAN_IN * FAN_OUT;

fn draws(initializer: Initializer, shape: [usize; 2], seed: u64) -> Vec<f64> {
    let mut weights = vec![f64::NAN; shape[0] * shape[1]];
    fill(initializer, shape, &mut weights, &mut Stream::new(seed, Purpose::Init, 0));
    weights
}

/// What a million draws are compared with.
struct Expected {
    mean: f64,
    variance: f64,
    /// Fourth moment about the mean over the squared variance.
    kurtosis: f64,
    low: f64,
    high: f64,
}

fn uniform(low: f64, high: f64) -> Expected {
    let width = high - low;
    Expected { mean: f64::midpoint(low, high), variance: width * width / 12.0, kurtosis: 1.8, low, high }
}

fn within(limit: f64) -> Expected {
    uniform(-limit, limit)
}

fn normal(variance: f64) -> Expected {
    let infinity = f64::INFINITY;
    Expected { mean: 0.0, variance, kurtosis: 3.0, low: -infinity, high: infinity }
}

/// A normal cut at two standard deviations and widened back to `std`.
fn truncated(std: f64) -> Expected {
    // With φ(2) = 0.053990966513188 and 2Φ(2) − 1 = 0.954499736103642: the second moment is 1 − 4φ/Z, the
    // fourth 3 times the second − 16φ/Z.
    let ratio: f64 = 0.053_990_966_513_188 / 0.954_499_736_103_642;
    let second = 1.0 - 4.0 * ratio;
    let fourth = 3.0 * second - 16.0 * ratio;
    let bound = 2.0 * std / second.sqrt();
    Expected {
        mean: 0.0,
        variance: std * std,
        kurtosis: fourth / (second * second),
        low: -bound,
        high: bound,
    }
}

#[test]
fn moments_of_a_million_draws() {
    let (n, m) = (FAN_IN as f64, FAN_OUT as f64);
    let table = [
        (Initializer::Normal { std: 0.3 }, normal(0.09)),
        (Initializer::Uniform { low: -0.05, high: 0.15 }, uniform(-0.05, 0.15)),
        (Initializer::TruncatedNormal { std: 0.2 }, truncated(0.2)),
        (Initializer::LecunUniform, within((3.0 / n).sqrt())),
        (Initializer::LecunNormal, normal(1.0 / n)),
        (Initializer::XavierUniform, within((6.0 / (n + m)).sqrt())),
        (Initializer::XavierNormal, normal(2.0 / (n + m))),
        (Initializer::HeUniform, within((6.0 / n).sqrt())),
        (Initializer::HeNormal, normal(2.0 / n)),
    ];
    for (initializer, expected) in &table {
        let weights = draws(*initializer, [FAN_IN, FAN_OUT], 11);
        let count = N as f64;
        let mean = weights.iter().sum::<f64>() / count;
        let moment = |p| weights.iter().map(|w| (w - mean).powi(p)).sum::<f64>() / count;
        let (variance, kurtosis) = (moment(2), moment(4) / moment(2).powi(2));

        // Five standard errors each: σ/√N; σ²·√((κ − 1)/N); and for a normal, √(24/N) of the kurtosis, which
        // is the largest of these distributions.
        let error = (mean - expected.mean).abs() / (expected.variance / count).sqrt();
        assert!(error < 5.0, "{initializer:?}: mean {mean}");
        let error = (variance / expected.variance - 1.0).abs() / ((expected.kurtosis - 1.0) / count).sqrt();
        assert!(error < 5.0, "{initializer:?}: variance {variance}, not {}", expected.variance);
        let error = (kurtosis - expected.kurtosis).abs() / (24.0 / count).sqrt();
        assert!(error < 5.0, "{initializer:?}: kurtosis {kurtosis}, not {}", expected.kurtosis);

        let (low, high) = (expected.low, expected.high);
        assert!(weights.iter().all(|w| (low..=high).contains(w)), "{initializer:?} leaves its limits");
        if low.is_finite() {
            // The last thousandth on either side holds over a hundred draws.
            let near = 1e-3 * (high - low);
            let reached = |end: f64| weights.iter().any(|w| (w - end).abs() < near);
            assert!(reached(low) && reached(high), "{initializer:?} does not reach its limits");
        }
    }
    // Those without a distribution of their own are tested below.
    let others = ["auto", "zeros", "ones", "constant", "orthogonal", "lsuv", "unit_variance"];
    assert_eq!(table.len() + others.len(), INITIALIZERS.len());
}

#[test]
fn constants() {
    for (initializer, value) in
        [(Initializer::Zeros, 0.0), (Initializer::Ones, 1.0), (Initializer::Constant { value: -0.3 }, -0.3)]
    {
        assert_eq!(draws(initializer, [3, 5], 1), [value; 15]);
    }
}

#[test]
fn orthogonal_is_orthogonal() {
    for shape @ [rows, columns] in [[1, 1], [13, 13], [20, 7], [7, 20], [200, 200], [1, 9], [9, 1]] {
        for gain in [1.0, 1.5] {
            let q = draws(Initializer::Orthogonal { gain }, shape, 3);
            // The shorter side has orthonormal vectors: columns of a tall matrix, rows of a wide one.
            let tall = rows >= columns;
            let (short, long) = (rows.min(columns), rows.max(columns));
            let at = |vector: usize, i: usize| {
                if tall { q[i * columns + vector] } else { q[vector * columns + i] }
            };
            for a in 0..short {
                for b in 0..short {
                    let dot: f64 = (0..long).map(|i| at(a, i) * at(b, i)).sum();
                    let expected = if a == b { gain * gain } else { 0.0 };
                    assert!((dot - expected).abs() < 1e-13, "{shape:?}: {a}·{b} is {dot}, not {expected}");
                }
            }
        }
    }
}

#[test]
fn orthogonal_has_no_preferred_sign() {
    // Uniform over the orthogonal matrices, each number is as often negative as positive, the first too.
    let negative =
        (0..400).filter(|&seed| draws(Initializer::Orthogonal { gain: 1.0 }, [3, 3], seed)[0] < 0.0);
    // 200 expected, standard deviation 10.
    assert!(negative.count().abs_diff(200) < 50);
}

fn initial(specs: &[LayerSpec], n_inputs: usize, seed: u64) -> Vec<Vec<f64>> {
    let network = Network::from_specs(specs.to_vec(), n_inputs);
    let params = network.init::<f64>(seed);
    network.views().iter().map(|view| params[view.range()].to_vec()).collect()
}

#[test]
fn auto_follows_the_activation() {
    for (function, chosen) in [
        (Activation::Linear, Initializer::XavierUniform),
        (Activation::Relu, Initializer::HeNormal),
        (Activation::LeakyRelu, Initializer::HeNormal),
        (Activation::Sigmoid, Initializer::XavierUniform),
        (Activation::Tanh, Initializer::XavierUniform),
        (Activation::Elu, Initializer::HeNormal),
        (Activation::Selu, Initializer::LecunNormal),
        (Activation::Gelu, Initializer::HeNormal),
        (Activation::Silu, Initializer::HeNormal),
        (Activation::Mish, Initializer::HeNormal),
        (Activation::Softplus, Initializer::XavierUniform),
        (Activation::Softsign, Initializer::XavierUniform),
    ] {
        let of = |initializer| initial(&[dense_of(7, function, initializer, None)], 5, 1);
        assert_eq!(of(Initializer::Auto), of(chosen), "{function}");
        let other =
            if chosen == Initializer::HeNormal { Initializer::XavierUniform } else { Initializer::HeNormal };
        assert_ne!(of(Initializer::Auto), of(other), "{function}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_every_layer_its_own() {
    let dense = |bias| dense_of(6, Activation::Tanh, Initializer::XavierNormal, Some(bias));
    let specs = [dense(Initializer::Zeros), LayerSpec::batch_norm(), dense(Initializer::Normal { std: 0.1 })];
    let first = initial(&specs, 6, 5);
    assert_eq!(first, initial(&specs, 6, 5));
    for seed in [6, 5 + (1 << 32)] {
        let other = initial(&specs, 6, seed);
        assert_ne!(first[0], other[0]);
    }
    // weight, bias; scale, shift, mean, variance; weight, bias
    assert_ne!(first[0], first[6]);
    assert_eq!(first[1..6], [[0.0; 6], [1.0; 6], [0.0; 6], [0.0; 6], [1.0; 6]]);
    assert!(first[7].iter().all(|b| *b != 0.0 && b.abs() < 0.6));
    // A layer's draws do not depend on layers of other kinds before it.
    let without = initial(&[specs[0].clone(), specs[2].clone()], 6, 5);
    assert_eq!(without[2..], first[6..]);
}

#[test]
fn single_precision_starts_at_the_rounded_numbers() {
    let specs = vec![
        dense_of(9, Activation::Relu, Initializer::HeNormal, Some(Initializer::Ones)),
        dense_of(4, Activation::Linear, Initializer::Orthogonal { gain: 1.0 }, None),
    ];
    let network = Network::from_specs(specs, 7);
    let rounded: Vec<f32> = network.init::<f64>(2).iter().map(|w| *w as f32).collect();
    assert_eq!(bits(&network.init::<f32>(2)), bits(&rounded));
}

#[test]
fn every_initialiser_of_biases_fills_them() {
    let table = [
        Initializer::Zeros,
        Initializer::Ones,
        Initializer::Constant { value: 0.1 },
        Initializer::Normal { std: 0.1 },
        Initializer::Uniform { low: 0.2, high: 0.3 },
        Initializer::TruncatedNormal { std: 0.1 },
    ];
    // `he_plus` looks at rows, see below.
    assert_eq!(table.len() + 1, BIAS_INITIALIZERS.len());
    for initializer in table {
        let tensors = initial(&[dense_of(8, Activation::Linear, Initializer::Ones, Some(initializer))], 3, 1);
        let constant =
            matches!(initializer, Initializer::Zeros | Initializer::Ones | Initializer::Constant { .. });
        let mut bias = tensors[1].clone();
        assert_eq!(bias.len(), 8);
        bias.dedup();
        assert_eq!(bias.len(), if constant { 1 } else { 8 }, "{initializer:?}");
    }
}

#[test]
fn auto_says_what_it_chose_and_why() {
    let dense = |function| dense_of(4, function, Initializer::Auto, None);
    let named = dense_of(4, Activation::Relu, Initializer::HeUniform, None);
    let specs = [
        dense(Activation::Relu),
        LayerSpec::batch_norm(),
        dense(Activation::Selu),
        named,
        dense(Activation::Relu),
    ];
    let told = explain(&specs);
    let parts: Vec<_> =
        told.iter().map(|t| (t.layers.join(" "), t.activation.as_str(), t.chosen.as_str())).collect();
    assert_eq!(
        parts,
        [
            ("layers.0 layers.4".to_owned(), "relu", "he_normal"),
            ("layers.2".to_owned(), "selu", "lecun_normal"),
            ("layers.3".to_owned(), "", "he_uniform")
        ]
    );
    assert!(told[0].reason.contains("2/fan_in") && told[1].reason.contains("1/fan_in"));
}

const N_ROWS: usize = 300;
const N_FEATURES: usize = 7;

/// Rows of unlike columns: of another scale, off zero, and one that never changes.
fn rows() -> Vec<f64> {
    let mut x = numbers::<f64>(N_ROWS * N_FEATURES, 77);
    for row in x.chunks_exact_mut(N_FEATURES) {
        row[1] *= 30.0;
        row[2] += 5.0;
        row[3] = 0.25;
    }
    x
}

/// Every kind of neighbour that a dense layer can have, and dense layers that start by `initializer`.
fn stack(initializer: Initializer, bias: Initializer) -> Vec<LayerSpec> {
    let dense = |units, function| dense_of(units, function, initializer, Some(bias));
    vec![
        dense(20, Activation::Relu),
        LayerSpec::batch_norm(),
        LayerSpec::Dropout { rate: 0.5 },
        dense(5, Activation::Tanh),
        LayerSpec::GaussianNoise { std: 0.3 },
        LayerSpec::layer_norm(),
        dense(12, Activation::Relu),
        dense(1, Activation::Linear),
    ]
}

/// x·W + b of every dense layer of [`stack`] over [`rows`], in plain loops; x and the layer's number, too.
fn pre_activations(specs: &[LayerSpec], params: &[f64]) -> Vec<(usize, Vec<f64>, Vec<f64>)> {
    let (mut x, mut n_in, mut at, mut found) = (rows(), N_FEATURES, 0, Vec::new());
    let moments = |v: &[f64]| {
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        (mean, v.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / v.len() as f64)
    };
    for (i, spec) in specs.iter().enumerate() {
        match spec {
            LayerSpec::Dense { units, activation, .. } => {
                let (weight, bias) = params[at..].split_at(n_in * units);
                let row = |x: &[f64]| {
                    let unit = |u| bias[u] + (0..n_in).map(|j| x[j] * weight[j * units + u]).sum::<f64>();
                    (0..*units).map(unit).collect::<Vec<f64>>()
                };
                let z: Vec<f64> = x.chunks_exact(n_in).flat_map(row).collect();
                let f = |z: &f64| match activation {
                    Activation::Relu => z.max(0.0),
                    Activation::Tanh => z.tanh(),
                    _ => *z,
                };
                let y = z.iter().map(f).collect();
                found.push((i, std::mem::replace(&mut x, y), z));
                at += n_in * units + units;
                n_in = *units;
            }
            LayerSpec::BatchNorm { epsilon, .. } => {
                for column in 0..n_in {
                    let values: Vec<f64> = x.iter().skip(column).step_by(n_in).copied().collect();
                    let (mean, variance) = moments(&values);
                    let to = x.iter_mut().skip(column).step_by(n_in);
                    to.for_each(|v| *v = (*v - mean) / (variance + epsilon).sqrt());
                }
                at += 4 * n_in;
            }
            LayerSpec::LayerNorm { epsilon } => {
                for row in x.chunks_exact_mut(n_in) {
                    let (mean, variance) = moments(row);
                    row.iter_mut().for_each(|v| *v = (*v - mean) / (variance + epsilon).sqrt());
                }
                at += 2 * n_in;
            }
            _ => {}
        }
    }
    found
}

fn variance(v: &[f64]) -> f64 {
    let mean = v.iter().sum::<f64>() / v.len() as f64;
    v.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / v.len() as f64
}

/// The weights of the dense layer `layer` (I×O).
fn weights<'p>(network: &Network, params: &'p [f64], layer: usize) -> &'p [f64] {
    params_of(network, params, layer, "weight")
}

fn params_of<'p>(network: &Network, params: &'p [f64], layer: usize, name: &str) -> &'p [f64] {
    let name = format!("layers.{layer}.{name}");
    &params[network.views().iter().find(|view| view.name == name).unwrap().range()]
}

#[test]
fn layer_sequential_unit_variance() {
    for tolerance in [0.1, 1e-9] {
        let specs = stack(Initializer::Lsuv { tolerance }, Initializer::Zeros);
        let network = Network::from_specs(specs.clone(), N_FEATURES);
        assert!(network.looks_at_rows());
        let orthogonal = network.init::<f64>(4);
        let params = network.init_on(CpuLevel::detect(), 4, &rows());
        let before = pre_activations(&specs, &orthogonal);
        assert!(before.iter().any(|(_, _, z)| (variance(z) - 1.0).abs() > 0.3), "there was something to do");
        for (layer, _, z) in pre_activations(&specs, &params) {
            assert!((variance(&z) - 1.0).abs() <= tolerance, "layers.{layer}: variance {}", variance(&z));
            // Scaled as a whole, and orthogonal before.
            let (after, before) = (weights(&network, &params, layer), weights(&network, &orthogonal, layer));
            let factor = after[0] / before[0];
            assert!(factor > 0.0);
            for (after, before) in after.iter().zip(before) {
                assert!((after - factor * before).abs() < 1e-12 * factor);
            }
        }
        let of = Initializer::Orthogonal { gain: 1.0 };
        let same = Network::from_specs(stack(of, Initializer::Zeros), N_FEATURES).init::<f64>(4);
        assert_eq!(bits(&orthogonal), bits(&same));
    }
    // Biases count as they start: with them of another mean each, the weights have less to bring in.
    let biases = Initializer::Uniform { low: -1.0, high: 1.0 };
    let specs = stack(Initializer::Lsuv { tolerance: 0.01 }, biases);
    let network = Network::from_specs(specs.clone(), N_FEATURES);
    let params = network.init_on(CpuLevel::detect(), 4, &rows());
    for (layer, _, z) in pre_activations(&specs, &params) {
        assert!((variance(&z) - 1.0).abs() <= 0.01, "layers.{layer}: variance {}", variance(&z));
    }
}

/// The same parameters with the weight of every binary layer as training uses it: α·sign(w), α the unit's mean |w|.
fn with_signs(network: &Network, params: &[f64]) -> Vec<f64> {
    let mut used = params.to_vec();
    for (spec, layer) in network.specs().iter().zip(0..) {
        if let LayerSpec::Dense { units, weights: Some(WeightKind::Binary), .. } = spec {
            let name = format!("layers.{layer}.weight");
            let range = network.views().iter().find(|view| view.name == name).unwrap().range();
            for unit in 0..*units {
                let own = || params[range.clone()].iter().skip(unit).step_by(*units);
                let alpha = own().map(|w| w.abs()).sum::<f64>() / own().count() as f64;
                let to = used[range.clone()].iter_mut().skip(unit).step_by(*units);
                to.zip(own()).for_each(|(to, w)| *to = if *w >= 0.0 { alpha } else { -alpha });
            }
        }
    }
    used
}

#[test]
fn binary_weights_start_with_unit_variance_of_what_their_signs_make() {
    for initializer in [Initializer::Lsuv { tolerance: 1e-6 }, Initializer::UnitVariance] {
        let mut specs = stack(initializer, Initializer::HePlus { rows: 1 });
        for spec in &mut specs {
            if let LayerSpec::Dense { weights, units: 5 | 12, .. } = spec {
                *weights = Some(WeightKind::Binary);
            }
        }
        let network = Network::from_specs(specs.clone(), N_FEATURES);
        let params = network.init_on(CpuLevel::detect(), 4, &rows());
        for (layer, _, z) in pre_activations(&specs, &with_signs(&network, &params)) {
            // The spread of the biases is no part of what `unit_variance` fits.
            let units = z.len() / N_ROWS;
            let of_unit = |unit: usize| z.iter().skip(unit).step_by(units).copied().collect::<Vec<f64>>();
            // Behind layer norm, whose numbers add up to 0, a unit of equal signs has nothing to be scaled.
            let has_signs = |unit: &usize| {
                let positive = |w: &&f64| **w >= 0.0;
                let own = || weights(&network, &params, layer).iter().skip(*unit).step_by(units);
                layer != 6 || (1..own().count()).contains(&own().filter(positive).count())
            };
            let found: Vec<f64> = if initializer == Initializer::UnitVariance {
                (0..units).filter(has_signs).map(|unit| variance(&of_unit(unit))).collect()
            } else {
                // Kinks are put after the weights are fitted.
                let spread: Vec<f64> = (0..units)
                    .flat_map(|unit| {
                        let bias = params_of(&network, &params, layer, "bias")[unit];
                        of_unit(unit).into_iter().map(move |z| z - bias).collect::<Vec<f64>>()
                    })
                    .collect();
                vec![variance(&spread)]
            };
            // Weights of one sign make nothing of what layer normalisation has given the mean 0: such a unit stays as
            // it is, and few are.
            let varies = |found: &&f64| **found > 1e-20;
            let fitted: Vec<&f64> = found.iter().filter(varies).collect();
            assert!(2 * fitted.len() > found.len(), "layers.{layer}: {found:?}");
            for found in fitted {
                assert!((found - 1.0).abs() < 1e-5, "layers.{layer}: variance {found}");
            }
            // A row in which a unit is 0.
            for unit in 0..units {
                let nearest = of_unit(unit).into_iter().fold(f64::INFINITY, |least, z| least.min(z.abs()));
                assert!(nearest < 1e-9, "layers.{layer}, unit {unit}: {nearest}");
            }
        }
    }
}

#[test]
fn unit_variance_of_every_unit() {
    let specs = stack(Initializer::UnitVariance, Initializer::Zeros);
    let network = Network::from_specs(specs.clone(), N_FEATURES);
    let params = network.init_on(CpuLevel::detect(), 4, &rows());
    for (layer, _, z) in pre_activations(&specs, &params) {
        let units = z.len() / N_ROWS;
        for unit in 0..units {
            let of_unit: Vec<f64> = z.iter().skip(unit).step_by(units).copied().collect();
            let variance = variance(&of_unit);
            // A unit that is zero for all rows, behind relus that are, has nothing to be scaled.
            assert!((variance - 1.0).abs() < 1e-9, "layers.{layer}, unit {unit}: variance {variance}");
        }
    }
}

#[test]
fn he_plus_of_one_row_is_zero_there() {
    let specs = stack(Initializer::HeNormal, Initializer::HePlus { rows: 1 });
    let network = Network::from_specs(specs.clone(), N_FEATURES);
    let params = network.init_on(CpuLevel::detect(), 9, &rows());
    let mut kinks = Vec::new();
    for (layer, _, z) in pre_activations(&specs, &params) {
        let units = z.len() / N_ROWS;
        for unit in 0..units {
            let row = (0..N_ROWS).find(|row| z[row * units + unit].abs() < 1e-12);
            kinks.push(row.unwrap_or_else(|| panic!("layers.{layer}, unit {unit} is zero at no row")));
        }
    }
    kinks.sort_unstable();
    kinks.dedup();
    assert!(kinks.len() > 30, "38 units take their rows by chance: {kinks:?}");
}

#[test]
fn he_plus_of_five_rows_has_the_moments_of_random_means() {
    const UNITS: usize = 200_000;
    let spec = dense_of(UNITS, Activation::Relu, Initializer::Ones, Some(Initializer::HePlus { rows: 5 }));
    let network = Network::from_specs(vec![spec], 1);
    let x: Vec<f64> = (0..40).map(|i| f64::from(i * i)).collect();
    let params = network.init_on(CpuLevel::detect(), 2, &x);
    let kinks: Vec<f64> = params[UNITS..].iter().map(|b| -b).collect();
    let mean = kinks.iter().sum::<f64>() / UNITS as f64;
    let (expected, spread) = (x.iter().sum::<f64>() / 40.0, variance(&x));
    // With shares a uniform on the simplex of k rows, E Σ a² = 2/(k + 1): the variance is a third of that of a row.
    let error = (spread / 3.0 / UNITS as f64).sqrt();
    assert!((mean - expected).abs() < 5.0 * error, "{mean}, not {expected}");
    // A kurtosis below 3, as the mean of several bounded draws has it, gives less than √(2/N) of error.
    let share = variance(&kinks) / spread;
    assert!((share * 3.0 - 1.0).abs() < 5.0 * (2.0 / UNITS as f64).sqrt(), "{share}, not a third");
    let (low, high) = kinks.iter().fold((f64::MAX, f64::MIN), |(l, h), &k| (l.min(k), h.max(k)));
    assert!(low >= 0.0 && high <= x[39], "outside of the rows: {low}, {high}");
}

#[test]
fn what_looks_at_rows_is_the_same_on_every_level_and_finite_for_rows_that_are_alike() {
    for initializer in [Initializer::Lsuv { tolerance: 0.1 }, Initializer::UnitVariance] {
        let network = Network::from_specs(stack(initializer, Initializer::HePlus { rows: 5 }), N_FEATURES);
        let x: Vec<f32> = rows().iter().map(|v| *v as f32).collect();
        let start = |level, seed, x: &[f32]| bits(&network.init_on(level, seed, x));
        let reference = start(CpuLevel::detect(), 1, &x);
        for level in common::levels() {
            assert_eq!(start(level, 1, &x), reference, "{level:?}");
        }
        assert_ne!(start(CpuLevel::detect(), 2, &x), reference);
        for alike in [vec![0.0_f32; 20 * N_FEATURES], vec![0.3; 20 * N_FEATURES], vec![]] {
            let params = network.init_on(CpuLevel::detect(), 1, &alike);
            assert!(params.iter().all(|p| p.is_finite() && p.abs() < 100.0));
        }
    }
    assert!(!Network::from_specs(stack(Initializer::Auto, Initializer::Ones), 3).looks_at_rows());
}

#[test]
fn validation_rows_have_no_say_in_the_start() {
    let specs = stack(Initializer::Lsuv { tolerance: 0.1 }, Initializer::HePlus { rows: 5 });
    let network = Network::from_specs(specs, N_FEATURES);
    let config = Config::default().with(&["train.epochs=1".into()]).unwrap();
    let of = |x: Vec<f64>| Rows { targets: OwnedTargets::Values(vec![1.0; x.len() / N_FEATURES]), x };
    let trained = |val: Vec<f64>| {
        let mut listener = |_: &_| Answer::GoOn;
        let (train, val) = (of(rows()), of(val));
        let level = CpuLevel::detect();
        bits(
            &fit(
                &network,
                Loss::Mse,
                level,
                &config,
                &train,
                &RowFacts::default(),
                &val,
                &TargetScaler::IDENTITY,
                &mut listener,
            )
            .unwrap()
            .params,
        )
    };
    assert_eq!(trained(numbers(5 * N_FEATURES, 1)), trained(numbers(9 * N_FEATURES, 2)));
}
