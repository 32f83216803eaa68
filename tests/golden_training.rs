//! Training a small network, step by step as PyTorch and Optax train it: optimisers, clipping, accumulation, averages,
//! schedules, cuts on a plateau. The numbers and how they were made: `tests/golden/training.py`.

use crate::common;
use common::{dense, optimizer};
use serde_json::Value;
use statera::config::{Activation, AverageConfig, AverageKind, Config, OptimizerConfig, OptimizerName};
use statera::nn::{CpuLevel, Loss, Network, Targets};
use statera::train::average::Average;
use statera::train::callbacks::ReduceOnPlateau;
use statera::train::events::EpochRecord;
use statera::train::optimizer::Optimizer;
use statera::train::schedule::Schedule;
use statera::train::step::Stepper;

const STEPS: usize = 50;
const N_INPUTS: usize = 3;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/training.json")).unwrap()
}

fn numbers_of(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_near(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let off = (got - expected).abs();
        assert!(off <= 1e-9 * expected.abs().max(1.0), "{what}, number {i}: {got}, not {expected}");
    }
}

/// The settings of the optimiser `name`, those given laid over the defaults.
fn settings(name: &str, given: &Value) -> OptimizerConfig {
    let name = OptimizerName::ALL[OptimizerName::NAMES.iter().position(|n| *n == name).unwrap()];
    let mut all = serde_json::to_value(OptimizerConfig { weight_decay: 0.0, ..optimizer(name) }).unwrap();
    for (key, value) in given.as_object().unwrap() {
        assert!(all.get(key).is_some(), "{key}");
        all[key] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

/// A training from the start of the file, 50 steps over all rows or the parts that end at `bounds`.
struct Run {
    params: Vec<f64>,
    /// Before each step.
    losses: Vec<f64>,
    /// Parameters after each step, and those to be used, where they are others.
    after: Vec<[Vec<f64>; 2]>,
}

fn run(golden: &Value, settings: &OptimizerConfig, bounds: &[usize], clip: [f64; 2]) -> Run {
    let (x, y) = (numbers_of(&golden["x"]), numbers_of(&golden["y"]));
    let network = Network::new(&[dense(4, Activation::Tanh)], N_INPUTS, 1);
    let mut run = Run { params: numbers_of(&golden["start"]), losses: Vec::new(), after: Vec::new() };
    assert_eq!(run.params.len(), network.n_params());
    let mut optimizer = Optimizer::new(settings, network.views());
    let mut config = Config::default().train;
    config.accumulate = bounds.len();
    [config.clip_value, config.clip_norm] = clip;
    let mut stepper =
        Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 1, y.len(), 64).with_settings(&config);
    for step in 0..STEPS {
        let (mut first, mut loss) = (0, 0.0);
        for &end in bounds {
            let (x, t) = (&x[first * N_INPUTS..end * N_INPUTS], Targets::Values(&y[first..end]));
            let rate = settings.learning_rate;
            let mean = stepper.step(step as u32, rate, &mut run.params, &mut optimizer, x, t);
            loss += mean * (end - first) as f64 / y.len() as f64;
            first = end;
        }
        run.losses.push(loss);
        let mut used = run.params.clone();
        if optimizer.keeps_other_weights() {
            optimizer.write_weights_to_use(&run.params, &mut used);
        }
        run.after.push([run.params.clone(), used]);
    }
    run
}

#[track_caller]
fn check_params(what: &str, golden: &Value, of_step: impl Fn(usize) -> Vec<f64>) {
    let kept = golden.as_object().unwrap();
    assert!(!kept.is_empty());
    for (step, params) in kept {
        let step: usize = step.parse().unwrap();
        assert_near(&format!("{what}, step {step}"), &of_step(step), &numbers_of(params));
    }
}

#[test]
fn every_optimiser_trains_the_network_step_by_step() {
    let golden = golden();
    let cases = golden["optimizers"].as_array().unwrap();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let run = run(&golden, &settings(name, &case["settings"]), &[12], [0.0; 2]);
        let what = format!("{name} {}", case["settings"]);
        assert_near(&what, &run.losses, &numbers_of(&case["losses"]));
        check_params(&what, &case["params"], |step| run.after[step - 1][0].clone());
        if case.get("used").is_some() {
            check_params(&what, &case["used"], |step| run.after[step - 1][1].clone());
        }
    }
    // L-BFGS, whose line search is its own, is compared by where it ends.
    for name in OptimizerName::NAMES.iter().filter(|name| **name != "lbfgs") {
        assert!(cases.iter().any(|case| case["name"] == *name), "{name} is compared");
    }
}

#[test]
fn gradients_are_clipped_and_accumulated_alike() {
    let golden = golden();
    let mut plain = optimizer(OptimizerName::Sgd);
    (plain.learning_rate, plain.momentum) = (0.1, 0.0);
    for (name, place) in [("clip_value", 0), ("clip_norm", 1)] {
        let case = &golden["clipped"][name];
        let mut clip = [0.0; 2];
        clip[place] = case["by"].as_f64().unwrap();
        let run = run(&golden, &plain, &[12], clip);
        assert_near(name, &run.losses, &numbers_of(&case["losses"]));
        check_params(name, &case["params"], |step| run.after[step - 1][0].clone());
    }
    let case = &golden["accumulated"];
    let bounds: Vec<usize> = numbers_of(&case["bounds"]).iter().map(|end| *end as usize).collect();
    assert!(bounds.len() > 1);
    let run = run(&golden, &settings("adam", &case["settings"]), &bounds, [0.0; 2]);
    check_params("accumulated", &case["params"], |step| run.after[step - 1][0].clone());
}

#[test]
fn averages_of_weights_are_alike() {
    let golden = golden();
    let mut plain = optimizer(OptimizerName::Sgd);
    (plain.learning_rate, plain.momentum) = (0.1, 0.0);
    let run = run(&golden, &plain, &[12], [0.0; 2]);
    let (swa, ema) = (&golden["averages"]["swa"], &golden["averages"]["ema"]);
    let number = |value: &Value| value.as_u64().unwrap() as usize;
    let (per_epoch, start) = (number(&swa["steps_per_epoch"]), number(&swa["start"]));
    let decay = ema["decay"].as_f64().unwrap();
    for (kind, golden) in [(AverageKind::Swa, swa), (AverageKind::Ema, ema)] {
        let mut average = Average::new(&AverageConfig { kind, decay, start }, run.params.len());
        let mut after = Vec::new();
        for (i, [params, _]) in run.after.iter().enumerate() {
            average.after_step(CpuLevel::detect(), params);
            if (i + 1) % per_epoch == 0 {
                average.after_epoch(CpuLevel::detect(), (i + 1) / per_epoch, params);
            }
            after.push(average.weights().unwrap_or(params).to_vec());
        }
        check_params(&kind.to_string(), &golden["params"], |step| after[step - 1].clone());
    }
}

#[test]
fn schedules_are_those_of_the_libraries() {
    let golden = golden();
    let cases = golden["schedules"].as_array().unwrap();
    for case in cases {
        let mut all = serde_json::to_value(&Config::default().schedule).unwrap();
        for (key, value) in case["settings"].as_object().unwrap() {
            assert!(all.get(key).is_some(), "{key}");
            all[key] = value.clone();
        }
        // Five epochs of ten steps.
        let schedule = Schedule::new(&serde_json::from_value(all).unwrap(), 5, 10);
        let factors: Vec<f64> = (0..STEPS).map(|step| schedule.factor(step)).collect();
        assert_near(&case["settings"].to_string(), &factors, &numbers_of(&case["factors"]));
    }
    for name in statera::config::ScheduleName::NAMES {
        assert!(cases.iter().any(|case| case["settings"]["name"] == *name), "{name} is compared");
    }
}

#[test]
fn a_plateau_cuts_the_rate_as_elsewhere() {
    let golden = golden();
    let case = &golden["plateau"];
    let number = |key: &str| case[key].as_f64().unwrap();
    let mut settings = Config::default().reduce_on_plateau;
    (settings.factor, settings.min_delta) = (number("factor"), number("min_delta"));
    settings.patience = number("patience") as usize;
    settings.min_learning_rate = number("min_learning_rate");
    let mut rule = ReduceOnPlateau::new(&settings);
    let mut rate = number("learning_rate");
    let of_epoch = |(epoch, val_loss): (usize, &f64)| {
        let record = EpochRecord {
            epoch: epoch + 1,
            train_loss: 0.0,
            val_loss: *val_loss,
            metrics: Vec::new(),
            learning_rate: rate,
            rows_per_second: 1.0,
            seconds: 0.0,
            best: false,
        };
        if let Some((next, _)) = rule.observe(&record, rate) {
            rate = next;
        }
        rate
    };
    let losses = numbers_of(&case["losses"]);
    let rates: Vec<f64> = losses.iter().enumerate().map(of_epoch).collect();
    assert_near("plateau", &rates, &numbers_of(&case["rates"]));
    assert!(rates.windows(2).filter(|pair| pair[1] < pair[0]).count() > 2, "{rates:?}");
}
