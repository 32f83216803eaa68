//! Every initialiser has the distribution that its source asks for.

mod common;

use common::{bits, dense_of};
use statera::config::layers::{BIAS_INITIALIZERS, INITIALIZERS};
use statera::config::{Activation, Initializer, LayerSpec};
use statera::nn::Network;
use statera::nn::init::fill;
use statera::random::{Purpose, Stream};

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
    // Those without a distribution are tested below.
    assert_eq!(table.len() + ["auto", "zeros", "ones", "constant", "orthogonal"].len(), INITIALIZERS.len());
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
    // A layer's draws do not depend on the layers before it.
    let alone = initial(&[LayerSpec::batch_norm(), LayerSpec::batch_norm(), specs[2].clone()], 6, 5);
    assert_eq!(alone[8..], first[6..]);
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
    assert_eq!(table.len(), BIAS_INITIALIZERS.len());
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
