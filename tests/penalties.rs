//! Penalties and constraints: compared with other solvers, by hand, and off.

use crate::common;
use common::{bits, dense, dense_of, numbers, optimizer};
use serde_json::Value;
use statera::config::{
    Activation, Config, Constraint, Initializer, LayerSpec, MomentumForm, OptimizerConfig, OptimizerName,
};
use statera::data::TargetScaler;
use statera::nn::{CpuLevel, Loss, Network, Targets, View};
use statera::train::events::{Answer, Event};
use statera::train::fit::{Fitted, OwnedTargets, RowFacts, Rows, fit};
use statera::train::optimizer::Optimizer;
use statera::train::step::Stepper;

fn numbers_of(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Least squares over the rows of `tests/golden/proximal.json`.
struct Problem {
    x: Vec<Vec<f64>>,
    y: Vec<f64>,
}

impl Problem {
    fn read() -> (Self, Value) {
        let path = format!("{}/tests/golden/proximal.json", env!("CARGO_MANIFEST_DIR"));
        let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let x = file["x"].as_array().unwrap().iter().map(numbers_of).collect();
        (Self { x, y: numbers_of(&file["y"]) }, file)
    }

    /// The gradient of |y − Xw|² / n.
    fn gradient(&self, w: &[f64]) -> Vec<f64> {
        let mut gradient = vec![0.0; w.len()];
        let n = self.y.len() as f64;
        for (x, y) in self.x.iter().zip(&self.y) {
            let error = x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>() - y;
            gradient.iter_mut().zip(x).for_each(|(g, x)| *g += 2.0 / n * error * x);
        }
        gradient
    }
}

/// The view of the weight of `n` inputs and one unit.
fn views(n: usize) -> Vec<View> {
    Network::from_specs(vec![dense_of(1, Activation::Linear, Initializer::Zeros, None)], n).views().to_vec()
}

fn settings_of(case: &Value) -> OptimizerConfig {
    let given = &case["settings"];
    let name = OptimizerName::ALL.iter().find(|name| name.name() == given["name"]).unwrap();
    let mut settings = optimizer(*name);
    let number = |key: &str, to: &mut f64| *to = given[key].as_f64().unwrap_or(*to);
    number("learning_rate", &mut settings.learning_rate);
    number("momentum", &mut settings.momentum);
    number("rho", &mut settings.rho);
    number("rmsprop_momentum", &mut settings.rmsprop_momentum);
    number("adadelta_epsilon", &mut settings.adadelta_epsilon);
    number("l1", &mut settings.l1);
    number("l2", &mut settings.l2);
    settings.weight_decay = given["weight_decay"].as_f64().unwrap_or(0.0);
    settings.nesterov = given["nesterov"] == true;
    settings.centered = given["centered"] == true;
    if given["momentum_form"] == "ema" {
        settings.momentum_form = MomentumForm::Ema;
    }
    settings
}

#[test]
fn proximal_steps_are_those_written_out_elsewhere() {
    let (problem, file) = Problem::read();
    let cases = file["steps"].as_array().unwrap();
    assert_eq!(cases.len(), 14);
    for case in cases {
        let settings = settings_of(case);
        let mut w = numbers_of(&file["start"]);
        let mut optimizer = Optimizer::new(&settings, &views(w.len()));
        let steps = case["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 50);
        for (t, expected) in steps.iter().enumerate() {
            let gradient = problem.gradient(&w);
            optimizer.step(CpuLevel::detect(), settings.learning_rate, &mut w, &gradient);
            for (got, expected) in w.iter().zip(numbers_of(expected)) {
                let off = (got - expected).abs();
                assert!(off < 1e-9, "{} in step {t}: {got}, not {expected}", case["settings"]);
                assert_eq!(*got == 0.0, expected == 0.0, "{} in step {t}: {got}", case["settings"]);
            }
        }
    }
}

#[test]
fn steps_end_at_the_minimum_that_coordinate_descent_finds() {
    use OptimizerName as O;

    let (problem, file) = Problem::read();
    for (name, rate) in [
        (O::Sgd, 0.02),
        (O::Adam, 0.1),
        (O::Amsgrad, 0.1),
        (O::Nadam, 0.1),
        (O::Adagrad, 1.0),
        (O::Rmsprop, 0.1),
    ] {
        for minimum in file["minima"].as_array().unwrap() {
            let mut settings = optimizer(name);
            (settings.l1, settings.l2) = (minimum["l1"].as_f64().unwrap(), minimum["l2"].as_f64().unwrap());
            settings.weight_decay = 0.0;
            let mut w = numbers_of(&file["start"]);
            let mut optimizer = Optimizer::new(&settings, &views(w.len()));
            for t in 0..20_000 {
                let gradient = problem.gradient(&w);
                // Rates fall so that adaptive steps come to rest.
                let rate = rate / (1.0 + f64::from(t) / 100.0);
                optimizer.step(CpuLevel::detect(), rate, &mut w, &gradient);
            }
            let expected = numbers_of(&minimum["weight"]);
            let off = w.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-5, "{name}, {minimum}: {w:?}, off by {off:e}");
            for (got, expected) in w.iter().zip(&expected) {
                assert_eq!(*got == 0.0, *expected == 0.0, "{name}, {minimum}: {w:?}");
            }
        }
    }
}

/// Rows of y = 1.5·a − 2·b + c + 0.25 + noise of deviation 0.5, and of nine more columns that say nothing.
fn planted(n_rows: usize, salt: u32) -> Rows<f64> {
    let x = numbers::<f64>(n_rows * 12, salt);
    // U(−2, 2) has variance 4/3.
    let noise = numbers::<f64>(n_rows, salt + 1).into_iter().map(|e| e * 0.5 / (4.0_f64 / 3.0).sqrt());
    let rows = x.chunks_exact(12).zip(noise);
    let y = rows.map(|(x, noise)| 1.5 * x[0] - 2.0 * x[1] + x[2] + 0.25 + noise).collect();
    Rows { x, targets: OwnedTargets::Values(y) }
}

/// Fits a line to planted rows, all epochs long, and keeps the last weights.
fn line(change: impl FnOnce(&mut Config)) -> Vec<f64> {
    let rows = planted(200, 1);
    let mut config = Config { seed: 1, ..Config::default() };
    config.train.epochs = 60;
    config.optimizer.learning_rate = 0.01;
    config.optimizer.weight_decay = 0.0;
    config.early_stopping.enabled = false;
    config.checkpoint.restore_best = false;
    change(&mut config);
    fitted(&Network::new(&[], 12, 1), &config, &rows).params
}

fn fitted(network: &Network, config: &Config, rows: &Rows<f64>) -> Fitted<f64> {
    let (facts, mut listener) = (RowFacts::default(), |_: &Event| Answer::GoOn);
    fit(
        network,
        Loss::Mse,
        CpuLevel::detect(),
        config,
        rows,
        &facts,
        rows,
        &TargetScaler::IDENTITY,
        &mut listener,
    )
    .unwrap()
}

#[test]
fn l1_zeroes_the_columns_that_say_nothing_and_l2_does_not() {
    for name in [OptimizerName::Adamw, OptimizerName::Sgd] {
        let free = line(|c| c.optimizer.name = name);
        let l1 = line(|c| (c.optimizer.name, c.optimizer.l1) = (name, 0.3));
        let l2 = line(|c| (c.optimizer.name, c.optimizer.l2) = (name, 0.3));
        for w in [&free, &l2] {
            assert!(w[..12].iter().all(|w| *w != 0.0), "{name}: {w:?}");
        }
        assert!(l1[..3].iter().all(|w| *w != 0.0), "{name}: {l1:?}");
        assert!(l1[3..12].iter().all(|w| *w == 0.0), "{name}: {l1:?}");
        // The columns have variance 4/3, so that λ takes λ/2 / (4/3) off a weight that matters, and is no more.
        for (w, planted) in l1[..3].iter().zip([1.5, -2.0, 1.0_f64]) {
            assert!((w.abs() - (planted.abs() - 0.1125)).abs() < 0.1, "{name}: {l1:?}");
        }
        // L2 takes a share of every weight instead.
        let size = |w: &[f64]| w[..12].iter().map(|w| w * w).sum::<f64>();
        assert!(size(&l2) < size(&free), "{name}");
    }
}

/// A dense layer of `units` with its own penalties and constraint.
fn ruled(units: usize, penalties: [Option<f64>; 2], own: Option<Constraint>, norm: Option<f64>) -> LayerSpec {
    let mut spec = dense(units, Activation::Tanh);
    if let LayerSpec::Dense { l1, l2, constraint, max_norm, .. } = &mut spec {
        (*l1, *l2, *constraint, *max_norm) = (penalties[0], penalties[1], own, norm);
    }
    spec
}

/// The parameters after 30 steps, and what names them.
fn steps(layers: &[LayerSpec], change: impl FnOnce(&mut OptimizerConfig)) -> (Network, Vec<f64>) {
    let network = Network::new(layers, 12, 1);
    let rows = planted(64, 1);
    let OwnedTargets::Values(y) = &rows.targets else { unreachable!() };
    let mut settings = optimizer(OptimizerName::Adam);
    settings.learning_rate = 0.02;
    change(&mut settings);
    let mut params = network.init::<f64>(3);
    let mut optimizer = Optimizer::new(&settings, network.views());
    let mut stepper = Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 3, 64, 64);
    for step in 0..30 {
        let targets = Targets::Values(y);
        stepper.step(step, settings.learning_rate, &mut params, &mut optimizer, &rows.x, targets);
    }
    (network, params)
}

#[test]
fn penalties_and_constraints_of_nothing_are_absent() {
    let plain = || dense(6, Activation::Tanh);
    let expected = bits(&steps(&[plain()], |_| {}).1);
    let same = |layer: LayerSpec, change: fn(&mut OptimizerConfig)| {
        assert_eq!(bits(&steps(std::slice::from_ref(&layer), change).1), expected, "{layer:?}");
    };
    same(plain(), |o| (o.l1, o.l2, o.constraint) = (0.0, 0.0, Constraint::None));
    same(ruled(6, [Some(0.0), Some(0.0)], Some(Constraint::None), None), |_| {});
    // A norm that no unit reaches.
    same(plain(), |o| (o.constraint, o.max_norm) = (Constraint::MaxNorm, 1e6));
    let differs = |layer: LayerSpec, change: fn(&mut OptimizerConfig)| {
        assert_ne!(bits(&steps(std::slice::from_ref(&layer), change).1), expected, "{layer:?}");
    };
    differs(plain(), |o| o.l1 = 1e-3);
    differs(plain(), |o| o.l2 = 1e-3);
    differs(plain(), |o| (o.constraint, o.max_norm) = (Constraint::MaxNorm, 0.5));
    differs(ruled(6, [None, Some(0.1)], None, None), |_| {});
}

/// The weights (in×out) of a layer.
fn weight<'a>(network: &Network, params: &'a [f64], layer: usize) -> &'a [f64] {
    let name = format!("layers.{layer}.weight");
    &params[network.views().iter().find(|view| view.name == name).unwrap().range()]
}

#[test]
fn a_layer_has_its_own_penalty_in_place_of_the_one_for_all() {
    let zeros = |w: &[f64]| w.iter().filter(|w| **w == 0.0).count();
    let layers = |own| [ruled(6, [own, None], None, None), dense(5, Activation::Tanh)];
    let (network, params) = steps(&layers(None), |o| o.l1 = 0.5);
    assert!(zeros(weight(&network, &params, 0)) > 20 && zeros(weight(&network, &params, 1)) > 5);
    let (network, params) = steps(&layers(Some(0.0)), |o| o.l1 = 0.5);
    assert!(zeros(weight(&network, &params, 0)) == 0 && zeros(weight(&network, &params, 1)) > 5);
    let (network, params) = steps(&layers(Some(0.5)), |_| {});
    assert!(zeros(weight(&network, &params, 0)) > 20 && zeros(weight(&network, &params, 1)) == 0);
    let biases = network.views().iter().filter(|view| view.name.ends_with("bias"));
    let (_, all) = steps(&layers(None), |o| o.l1 = 100.0);
    for view in biases {
        assert!(all[view.range()].iter().any(|b| *b != 0.0), "{} has no penalty: {all:?}", view.name);
    }
}

/// The norms of the weights that enter each unit.
fn norms(weight: &[f64], n_units: usize) -> Vec<f64> {
    let squares = |unit: usize| weight.iter().skip(unit).step_by(n_units).map(|w| w * w);
    (0..n_units).map(|unit| squares(unit).sum::<f64>().sqrt()).collect()
}

#[test]
fn constraints_hold_after_every_step_for_one_layer_and_for_all() {
    let layers = |own, norm| [ruled(6, [None, None], own, norm), dense(5, Activation::Tanh)];
    let (network, params) =
        steps(&layers(None, None), |o| (o.constraint, o.max_norm) = (Constraint::MaxNorm, 0.8));
    for (layer, n_units) in [(0, 6), (1, 5), (2, 1)] {
        let norms = norms(weight(&network, &params, layer), n_units);
        assert!(norms.iter().all(|norm| *norm < 0.8 + 1e-12), "layer {layer}: {norms:?}");
        assert!(norms.iter().any(|norm| *norm > 0.8 - 1e-12), "layer {layer}: {norms:?}");
    }
    let (network, params) =
        steps(&layers(Some(Constraint::MaxNorm), Some(0.4)), |o| o.constraint = Constraint::UnitNorm);
    let own = norms(weight(&network, &params, 0), 6);
    assert!(own.iter().all(|norm| *norm < 0.4 + 1e-12), "{own:?}");
    for norm in norms(weight(&network, &params, 1), 5) {
        assert!((norm - 1.0).abs() < 1e-12, "{norm}");
    }
    let (network, params) =
        steps(&layers(Some(Constraint::None), None), |o| o.constraint = Constraint::NonNegative);
    assert!(weight(&network, &params, 0).iter().any(|w| *w < 0.0));
    for layer in [1, 2] {
        let weight = weight(&network, &params, layer);
        assert!(weight.iter().all(|w| *w >= 0.0) && weight.iter().any(|w| *w > 0.0), "{weight:?}");
    }
}

#[test]
fn a_constraint_keeps_directions_and_finds_the_nearest() {
    // One step of no length: what is left is the constraint. Units are columns.
    let start = [3.0, 0.1, -0.6, 4.0, 0.0, -0.8];
    let after = |constraint| {
        let specs = vec![dense_of(3, Activation::Linear, Initializer::Zeros, None)];
        let network = Network::from_specs(specs, 2);
        let settings = OptimizerConfig { constraint, max_norm: 2.0, ..optimizer(OptimizerName::Sgd) };
        let mut w = start.to_vec();
        Optimizer::new(&settings, network.views()).step(CpuLevel::detect(), 0.0, &mut w, &[0.0; 6]);
        w
    };
    let near = |got: &[f64], expected: &[f64]| {
        let off = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-15, "{got:?}, not {expected:?}");
    };
    near(&after(Constraint::None), &start);
    near(&after(Constraint::MaxNorm), &[1.2, 0.1, -0.6, 1.6, 0.0, -0.8]);
    near(&after(Constraint::UnitNorm), &[0.6, 1.0, -0.6, 0.8, 0.0, -0.8]);
    near(&after(Constraint::NonNegative), &[3.0, 0.1, 0.0, 4.0, 0.0, 0.0]);
}
