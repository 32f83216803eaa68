//! Training learns what can be learned, and does not where it is known not to.

use crate::common;
use common::{dense_of, numbers};
use statera::config::{Activation, Config, Initializer, LayerSpec, OptimizerName};
use statera::data::TargetScaler;
use statera::nn::{CpuLevel, Loss, Mode, Network, Pass, Targets};
use statera::train::events::{Answer, Event};
use statera::train::fit::{Fitted, OwnedTargets, RowFacts, Rows, fit};

/// Fits on `train` and watches `val`, all epochs long.
fn run(
    network: &Network,
    loss: Loss,
    [train, val]: [&Rows<f64>; 2],
    [epochs, batch_size]: [usize; 2],
    rate: f64,
    seed: u64,
) -> Fitted<f64> {
    let mut config = Config { seed, ..Config::default() };
    config.train.epochs = epochs;
    config.train.batch_size = batch_size;
    config.optimizer.name = OptimizerName::Adam;
    config.optimizer.learning_rate = rate;
    config.early_stopping.enabled = false;
    config.reduce_on_plateau.enabled = false;
    let mut listener = |_: &Event| Answer::GoOn;
    fit(
        network,
        loss,
        CpuLevel::detect(),
        &config,
        train,
        &RowFacts::default(),
        val,
        &TargetScaler::IDENTITY,
        &mut listener,
    )
    .unwrap()
}

/// Rows of y = 1.5·a − 2·b + 0.5·c + 0.25 + noise of variance 0.01.
fn planted(n_rows: usize, salt: u32) -> Rows<f64> {
    let x = numbers::<f64>(n_rows * 3, salt);
    // U(−2, 2) has variance 4/3.
    let noise = numbers::<f64>(n_rows, salt + 1).into_iter().map(|e| e * 0.1 / (4.0_f64 / 3.0).sqrt());
    let rows = x.chunks_exact(3).zip(noise);
    let y = rows.map(|(x, noise)| 1.5 * x[0] - 2.0 * x[1] + 0.5 * x[2] + 0.25 + noise).collect();
    Rows { x, targets: OwnedTargets::Values(y) }
}

#[test]
fn a_planted_line_is_found() {
    let (train, val) = (planted(400, 1), planted(200, 3));
    let network = Network::new(&[], 3, 1);
    for seed in 0..3 {
        let fitted = run(&network, Loss::Mse, [&train, &val], [60, 32], 0.02, seed);
        // The targets have variance (1.5² + 2² + 0.5²)·4/3 = 8.7, of which the noise is 0.01.
        let (first, last) = (&fitted.history[0], &fitted.history[59]);
        assert!(first.val_loss > 1.0, "{}", first.val_loss);
        assert!((0.007..0.013).contains(&last.val_loss), "{}", last.val_loss);
        assert!((0.007..0.013).contains(&last.train_loss), "{}", last.train_loss);
        for (got, planted) in fitted.params.iter().zip([1.5, -2.0, 0.5, 0.25]) {
            // The standard error of a slope is √(0.01 / (400·4/3)) = 0.004.
            assert!((got - planted).abs() < 0.025, "{:?}", fitted.params);
        }
        let best = fitted.history.iter().map(|e| e.val_loss).fold(f64::INFINITY, f64::min);
        assert_eq!(fitted.history[fitted.best_epoch - 1].val_loss, best, "the best weights are kept");
    }
}

/// The four rows of exclusive or.
fn exclusive_or() -> Rows<f64> {
    let x = vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    Rows { x, targets: OwnedTargets::Classes(vec![0, 1, 1, 0]) }
}

fn exclusive_or_network(initializer: Initializer) -> Network {
    let dense = |units, function| dense_of(units, function, initializer, Some(Initializer::Zeros));
    Network::from_specs(vec![dense(16, Activation::Relu), dense(1, Activation::Linear)], 2)
}

#[test]
fn exclusive_or_is_learned_from_he_weights() {
    let rows = exclusive_or();
    let network = exclusive_or_network(Initializer::HeNormal);
    for seed in 0..10 {
        let fitted = run(&network, Loss::BinaryCrossentropy, [&rows, &rows], [600, 4], 0.02, seed);
        let last = fitted.history.last().unwrap();
        assert!(last.train_loss < 0.05, "seed {seed}: {}", last.train_loss);
        assert_eq!(last.metrics, [("val_accuracy".to_owned(), 1.0)], "seed {seed}");
    }
}

#[test]
fn exclusive_or_is_not_learned_from_zero_weights() {
    // With all weights zero every hidden unit is zero, no gradient passes either layer of weights, and the one
    // thing learned is the share of ones: the loss stays at log 2.
    let rows = exclusive_or();
    let network = exclusive_or_network(Initializer::Zeros);
    let fitted = run(&network, Loss::BinaryCrossentropy, [&rows, &rows], [600, 4], 0.02, 1);
    let last = fitted.history.last().unwrap();
    assert!((last.train_loss - std::f64::consts::LN_2).abs() < 1e-12, "{}", last.train_loss);
    for view in network.views().iter().filter(|view| view.name.ends_with("weight")) {
        assert!(fitted.params[view.range()].iter().all(|w| *w == 0.0), "{}", view.name);
    }
}

#[test]
fn equal_weights_stay_equal() {
    // Hidden units that start alike get the same gradient for ever: sixteen of them are worth one.
    let rows = exclusive_or();
    let network = exclusive_or_network(Initializer::Constant { value: 0.3 });
    let fitted = run(&network, Loss::BinaryCrossentropy, [&rows, &rows], [200, 4], 0.02, 1);
    for view in &network.views()[..3] {
        let units = fitted.params[view.range()].chunks(16.min(view.len()));
        for unit in units {
            assert!(unit.iter().all(|w| *w == unit[0]), "{}: {unit:?}", view.name);
            assert_ne!(unit[0], 0.3, "{} has been trained", view.name);
        }
    }
    let last = fitted.history.last().unwrap();
    assert!(last.train_loss > 0.3, "one unit cannot tell exclusive or: {}", last.train_loss);
}

/// Ten sigmoid layers whose weights start by `initializer`.
fn deep(initializer: Initializer) -> Network {
    let layer = || dense_of(24, Activation::Sigmoid, initializer, Some(Initializer::Zeros));
    let output = dense_of(1, Activation::Linear, initializer, Some(Initializer::Zeros));
    Network::from_specs((0..10).map(|_| layer()).chain([output]).collect(), 3)
}

/// The length of the gradient of the first layer's weights at the start, and of the last hidden layer's.
fn gradients_at_the_start(network: &Network, rows: &Rows<f64>) -> [f64; 2] {
    let OwnedTargets::Values(t) = &rows.targets else { unreachable!() };
    let params = network.init::<f64>(1);
    let mode = Mode::Train { seed: 1, step: 0, shard: 0 };
    let pass = Pass { level: CpuLevel::detect(), params: &params, n_rows: t.len(), mode };
    let mut work = network.workspace(t.len());
    let scale = 1.0 / t.len() as f64;
    network.forward_backward(&pass, Loss::Mse, &rows.x, Targets::Values(t), scale, false, &mut work);
    ["layers.0.weight", "layers.9.weight"].map(|name| {
        let view = network.views().iter().find(|view| view.name == name).unwrap();
        work.grads[view.range()].iter().map(|g| g * g).sum::<f64>().sqrt()
    })
}

#[test]
fn ten_sigmoid_layers_vanish_from_small_weights_and_train_from_xaviers() {
    let rows = planted(200, 1);
    let small = deep(Initializer::Normal { std: 0.01 });
    let xavier = deep(Initializer::XavierNormal);
    // Nine layers between the two: a quarter, the slope of the sigmoid, times √24·0.01 or about 1 for each.
    let [first, last] = gradients_at_the_start(&small, &rows);
    assert!(first < 1e-14 * last && first > 0.0, "{first:e}, {last:e}");
    let [first, last] = gradients_at_the_start(&xavier, &rows);
    assert!(first > 1e-7 * last && first < 1e-3 * last, "{first:e}, {last:e}");
    // The targets have variance 8.7, which is what the mean leaves.
    for (network, learns) in [(small, false), (xavier, true)] {
        let fitted = run(&network, Loss::Mse, [&rows, &rows], [80, 16], 0.003, 1);
        let last = fitted.history.last().unwrap().val_loss;
        assert!(if learns { last < 4.0 } else { last > 7.5 }, "learns {learns}: {last}");
    }
}

/// Rows of three inputs that matter and seven that do not, under noise as large as what there is to learn.
fn noisy(n_rows: usize, salt: u32) -> Rows<f64> {
    let x = numbers::<f64>(n_rows * 10, salt);
    let noise = numbers::<f64>(n_rows, salt + 1);
    let y = x.chunks_exact(10).zip(noise).map(|(x, noise)| 0.6 * (x[0] - x[1] + x[2]) + noise).collect();
    Rows { x, targets: OwnedTargets::Values(y) }
}

#[test]
fn dropout_and_decay_close_the_gap_of_a_network_that_learns_by_heart() {
    let (train, val) = (noisy(80, 1), noisy(2000, 3));
    // Both losses in use: without dropout, and with the weights of the end.
    let losses = |rate: f64, decay: f64| {
        let wide = || dense_of(64, Activation::Relu, Initializer::HeNormal, Some(Initializer::Zeros));
        let dropout = || LayerSpec::Dropout { rate };
        let network = Network::new(&[wide(), dropout(), wide(), dropout()], 10, 1);
        let mut config = Config { seed: 2, ..Config::default() };
        config.train.epochs = 150;
        (config.optimizer.learning_rate, config.optimizer.weight_decay) = (0.003, decay);
        config.early_stopping.enabled = false;
        config.reduce_on_plateau.enabled = false;
        config.checkpoint.restore_best = false;
        let (facts, mut listener) = (RowFacts::default(), |_: &Event| Answer::GoOn);
        let level = CpuLevel::detect();
        let fitted = fit(
            &network,
            Loss::Mse,
            level,
            &config,
            &train,
            &facts,
            &val,
            &TargetScaler::IDENTITY,
            &mut listener,
        )
        .unwrap();
        [&train, &val].map(|rows| {
            let OwnedTargets::Values(t) = &rows.targets else { unreachable!() };
            let mut work = network.inference_workspace(64);
            let y = network.raw_outputs(level, &fitted.params, Loss::Mse, &rows.x, &mut work);
            y.iter().zip(t).map(|(y, t)| (y - t).powi(2)).sum::<f64>() / t.len() as f64
        })
    };
    // The noise has variance 4/3.
    let [train, val] = losses(0.0, 0.0);
    assert!(train < 0.1 && val > 2.0, "{train}, {val}");
    let gap = val - train;
    for [train, val] in [losses(0.5, 0.0), losses(0.0, 3.0)] {
        assert!(val - train < 0.7 * gap, "{val} − {train}, without {gap}");
    }
}
