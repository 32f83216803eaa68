//! A technique that is off leaves the bits of its absence, from the settings to the last loss, and no layer changes the
//! random numbers of another.

use crate::cli;
use crate::common;
use cli::folder;
use common::{bits, drop_connect, residual};
use statera::config::{Activation, Config, Initializer, LayerSpec};
use statera::nn::{CpuLevel, Mode, Network, Pass};
use statera::run::{Plan, execute};
use statera::train::events::{Answer, Event};

/// The plan of these settings on a small table.
fn plan(folder: &std::path::Path, sets: &[String]) -> Plan {
    let mut config = Config::default().with(sets).unwrap();
    config.data.path = folder.join("t.csv");
    config.data.target = "y".into();
    Plan::new(config).unwrap()
}

/// The bits of the losses of every epoch under these settings, from the seed's own start.
fn losses(sets: &[&str]) -> Vec<[u64; 2]> {
    let quick = ["seed=1", "train.epochs=4", "evaluate.baselines=false", "evaluate.bootstrap=0"];
    let sets: Vec<String> = quick.iter().chain(sets).map(ToString::to_string).collect();
    let folder = folder();
    let trained = execute(&plan(folder.path(), &sets), &mut |_: &Event| Answer::GoOn).unwrap();
    assert_eq!(trained.history.len(), 4);
    trained.history.iter().map(|epoch| [epoch.train_loss.to_bits(), epoch.val_loss.to_bits()]).collect()
}

/// The same of listed layers.
fn of_layers(layers: &[&str]) -> Vec<[u64; 2]> {
    losses(&[&format!("network.layers=[{}]", layers.join(", "))])
}

const DENSE: &str = "{ type = 'dense', units = 8, activation = 'tanh' }";
const NO_DROPOUT: &str = "{ type = 'dropout', rate = 0.0 }";
const NO_NOISE: &str = "{ type = 'gaussian_noise', std = 0.0 }";
const NO_LAYER: &str = "{ type = 'activation', function = 'linear' }";

#[test]
fn a_layer_that_does_nothing_is_no_layer() {
    let expected = of_layers(&[DENSE, DENSE]);
    for layers in [
        [DENSE, NO_DROPOUT, DENSE],
        [NO_DROPOUT, DENSE, DENSE],
        [NO_NOISE, DENSE, DENSE],
        [DENSE, DENSE, NO_NOISE],
        [DENSE, NO_LAYER, DENSE],
    ] {
        assert_eq!(of_layers(&layers), expected, "{layers:?}");
    }
    let masked = DENSE.replace(" }", ", drop_connect = 0.0 }");
    assert_eq!(of_layers(&[&masked, &masked]), expected);
    assert_ne!(of_layers(&[DENSE, &NO_DROPOUT.replace("0.0", "0.1"), DENSE]), expected);
}

#[test]
fn a_layer_that_is_off_leaves_those_that_are_on_alone() {
    let dropout = NO_DROPOUT.replace("0.0", "0.3");
    let noise = NO_NOISE.replace("0.0", "0.3");
    let masked = DENSE.replace(" }", ", drop_connect = 0.3 }");
    let expected = of_layers(&[DENSE, &noise, &masked, &dropout, DENSE]);
    for off in [NO_DROPOUT, NO_NOISE, NO_LAYER] {
        assert_eq!(of_layers(&[off, DENSE, &noise, off, &masked, &dropout, DENSE]), expected, "{off}");
    }
}

#[test]
fn short_forms_that_are_off_are_absent() {
    let dense = DENSE.replace(" }", ", initializer = 'xavier_normal' }");
    let expected = of_layers(&[&dense, &dense]);
    let hidden = ["network.hidden=[8, 8]", "network.activation=tanh"];
    let off = ["network.dropout=0.0", "network.input_noise=0.0", "network.drop_connect=0.0"];
    assert_eq!(losses(&[&hidden[..], &off].concat()), expected);
    assert_ne!(losses(&[&hidden[..], &["network.dropout=0.1"]].concat()), expected);
}

#[test]
fn the_weights_of_a_seed_are_the_same_whatever_stands_between_them() {
    let folder = folder();
    let start = |sets: &[&str]| {
        let sets: Vec<String> =
            ["network.hidden=[8, 8]"].iter().chain(sets).map(ToString::to_string).collect();
        let network = plan(folder.path(), &sets).network;
        let params = network.init::<f32>(5);
        let dense = network.views().iter().filter(|view| view.decays);
        dense.map(|view| bits(&params[view.range()])).collect::<Vec<_>>()
    };
    let expected = start(&[]);
    assert_eq!(expected.len(), 3);
    for sets in [
        &["network.dropout=0.0"][..],
        &["network.dropout=0.5", "network.input_noise=0.1"],
        &["network.norm=batch"],
        &["network.norm=layer", "network.input_scale=true"],
        &["network.residual=true"],
    ] {
        assert_eq!(start(sets), expected, "{sets:?}");
    }
    // Nor do those that data has a say in shift their draws.
    let he_plus = |between: Vec<LayerSpec>| {
        let start = Initializer::HePlus { rows: 3 };
        let layer = || common::dense_of(4, Activation::Relu, Initializer::HeNormal, Some(start));
        let specs = [vec![layer()], between, vec![layer()]].concat();
        let network = Network::from_specs(specs, 3);
        bits(&network.init_on::<f64>(CpuLevel::detect(), 5, &common::numbers(30, 1)))
    };
    let linear = || common::activation(Activation::Linear);
    assert_eq!(he_plus(vec![linear(), LayerSpec::Dropout { rate: 0.5 }]), he_plus(vec![]));
}

/// The outputs for the rows of the identity matrix of `n` inputs in a training step.
fn of_identity(specs: Vec<LayerSpec>, n: usize) -> Vec<f64> {
    let network = Network::from_specs(specs, n);
    let mut x = vec![0.0; n * n];
    x.iter_mut().step_by(n + 1).for_each(|x| *x = 1.0);
    let params = network.init::<f64>(1);
    let mode = Mode::Train { seed: 1, step: 2, shard: 3 };
    let pass = Pass { level: CpuLevel::detect(), params: &params, n_rows: n, mode };
    network.forward(&pass, &x, &mut network.workspace(n)).to_vec()
}

#[test]
fn every_layer_has_a_mask_and_noise_of_its_own() {
    const N: usize = 20;
    let masked = || {
        let mut spec = drop_connect(N, Activation::Linear, 0.5);
        if let LayerSpec::Dense { initializer, .. } = &mut spec {
            *initializer = Initializer::Ones;
        }
        spec
    };
    // Twice the mask itself, and twice its square where the second layer had it too.
    let mask = of_identity(vec![masked()], N);
    let twice = of_identity(vec![masked(), residual([masked()])], N);
    let product = |i: usize, j: usize| (0..N).map(|k| mask[i * N + k] * mask[k * N + j]).sum::<f64>();
    let same = |i: usize| (twice[i] - mask[i] - product(i / N, i % N)).abs() < 1e-9;
    assert!((0..N * N).filter(|i| same(*i)).count() < N * N / 2);

    let noise = |std| LayerSpec::GaussianNoise { std };
    let (once, twice) = (of_identity(vec![noise(1.0)], N), of_identity(vec![noise(0.5), noise(0.5)], N));
    let furthest = once.iter().zip(&twice).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(furthest > 1.0, "{furthest}");
}
