//! What happens to gradients before a step, and to weights after it: accumulation, clipping, averages, schedules.

use crate::common;
use common::{dense, numbers, optimizer};
use statera::config::{Activation, AverageKind, Config, OptimizerName, ScheduleName};
use statera::data::TargetScaler;
use statera::nn::{CpuLevel, Loss, Network, Targets};
use statera::train::events::{Answer, Event};
use statera::train::fit::{Fitted, OwnedTargets, RowFacts, Rows, fit};
use statera::train::optimizer::Optimizer;
use statera::train::step::Stepper;

const N_INPUTS: usize = 3;

fn network() -> Network {
    Network::new(&[dense(8, Activation::Tanh)], N_INPUTS, 1)
}

/// Trains on batches that end at `bounds`, `accumulate` of them to a step; returns the parameters.
fn trained(bounds: &[usize], accumulate: usize, clip: [f64; 2], name: OptimizerName) -> Vec<f64> {
    let n_rows = *bounds.last().unwrap();
    let (x, t) = (numbers::<f64>(n_rows * N_INPUTS, 1), numbers::<f64>(n_rows, 2));
    let network = network();
    let mut params = network.init::<f64>(3);
    let mut optimizer = Optimizer::new(&optimizer(name), network.views());
    let mut settings = Config::default().train;
    settings.accumulate = accumulate;
    [settings.clip_value, settings.clip_norm] = clip;
    let mut stepper =
        Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 1, n_rows, 64).with_settings(&settings);
    for _ in 0..3 {
        let mut first = 0;
        for &end in bounds {
            let (x, t) = (&x[first * N_INPUTS..end * N_INPUTS], &t[first..end]);
            stepper.step(0, 0.05, &mut params, &mut optimizer, x, Targets::Values(t));
            first = end;
        }
        stepper.flush(0.05, &mut params, &mut optimizer);
        assert!(!stepper.holds());
    }
    params
}

#[test]
fn accumulated_batches_are_one_bigger_batch() {
    for name in [OptimizerName::Sgd, OptimizerName::Adam] {
        for clip in [[0.0, 0.0], [0.1, 0.0], [0.0, 0.2]] {
            let bigger = trained(&[24, 40], 1, clip, name);
            // Unlike sizes count by their rows; the last group of an epoch is a smaller one.
            let held = trained(&[8, 13, 24, 32, 40], 3, clip, name);
            for (a, b) in bigger.iter().zip(&held) {
                assert!((a - b).abs() < 1e-9, "{name} {clip:?}: {a} and {b}");
            }
        }
    }
}

/// One step of plain descent at rate 1: what was taken off is the gradient.
fn gradient(clip: [f64; 2]) -> Vec<f64> {
    let (x, t) = (numbers::<f64>(16 * N_INPUTS, 1), vec![9.0; 16]);
    let network = network();
    let mut settings = Config::default();
    (settings.optimizer.name, settings.optimizer.momentum) = (OptimizerName::Sgd, 0.0);
    [settings.train.clip_value, settings.train.clip_norm] = clip;
    let before = network.init::<f64>(3);
    let mut params = before.clone();
    let mut optimizer = Optimizer::new(&settings.optimizer, network.views());
    let mut stepper =
        Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 1, 16, 16).with_settings(&settings.train);
    stepper.step(0, 1.0, &mut params, &mut optimizer, &x, Targets::Values(&t));
    before.iter().zip(&params).map(|(before, after)| before - after).collect()
}

#[test]
fn gradients_are_cut_by_value_and_by_length() {
    let length = |g: &[f64]| g.iter().map(|g| g * g).sum::<f64>().sqrt();
    let whole = gradient([0.0, 0.0]);
    assert!(length(&whole) > 2.0 && whole.iter().any(|g| g.abs() > 0.5), "{whole:?}");
    for (cut, g) in gradient([0.5, 0.0]).iter().zip(&whole) {
        assert!((cut - g.clamp(-0.5, 0.5)).abs() < 1e-12);
    }
    let short = gradient([0.0, 2.0]);
    assert!((length(&short) - 2.0).abs() < 1e-12);
    for (short, g) in short.iter().zip(&whole) {
        assert!((short - g * 2.0 / length(&whole)).abs() < 1e-12);
    }
    let both = gradient([0.5, 0.1]);
    assert!((length(&both) - 0.1).abs() < 1e-12, "by value first, then by length");
    assert_eq!(gradient([1e9, 1e9]), whole, "what is within bounds keeps its bits");
}

/// Half the variance of the targets, (1 + ¼)·4/3.
const HALF_LEARNED: f64 = 0.83;

fn rows(n_rows: usize, salt: u32) -> Rows<f64> {
    let x = numbers::<f64>(n_rows * N_INPUTS, salt);
    let y = x.chunks_exact(N_INPUTS).map(|x| x[0] - 0.5 * x[1]).collect();
    Rows { x, targets: OwnedTargets::Values(y) }
}

fn fitted(change: impl FnOnce(&mut Config)) -> Fitted<f64> {
    let mut config = Config::default();
    config.train.epochs = 12;
    config.optimizer.learning_rate = 0.02;
    config.early_stopping.enabled = false;
    config.reduce_on_plateau.enabled = false;
    config.checkpoint.restore_best = false;
    change(&mut config);
    let (train, val) = (rows(200, 1), rows(100, 2));
    let mut listener = |_: &Event| Answer::GoOn;
    fit(
        &network(),
        Loss::Mse,
        CpuLevel::detect(),
        &config,
        &train,
        &RowFacts::default(),
        &val,
        &TargetScaler::IDENTITY,
        &mut listener,
    )
    .unwrap()
}

/// The loss of the validation rows under the parameters that were kept.
fn val_loss(fitted: &Fitted<f64>) -> f64 {
    let (network, val) = (network(), rows(100, 2));
    let mut work = network.inference_workspace(100);
    let outputs = network.predict(CpuLevel::detect(), &fitted.params, Loss::Mse, &val.x, &mut work);
    let OwnedTargets::Values(truth) = &val.targets else { panic!("the targets are numbers") };
    outputs.iter().zip(truth).map(|(y, t)| (y - t) * (y - t)).sum::<f64>() / 100.0
}

#[test]
fn what_is_validated_is_what_is_kept() {
    let plain = fitted(|_| ());
    let averaged = |kind| fitted(|c| (c.average.kind, c.average.decay) = (kind, 0.9));
    let all = [
        averaged(AverageKind::Ema),
        averaged(AverageKind::Swa),
        fitted(|c| c.optimizer.name = OptimizerName::ScheduleFreeAdamw),
    ];
    for fitted in all.iter().chain([&plain]) {
        let last = fitted.history.last().unwrap();
        assert!((last.val_loss - val_loss(fitted)).abs() < 1e-12);
        assert!(last.val_loss < HALF_LEARNED, "{}", last.val_loss);
    }
    assert!(all.iter().all(|fitted| fitted.params != plain.params));
    // An average looks on: training itself keeps its bits.
    assert_eq!(all[0].history[11].train_loss, plain.history[11].train_loss);
    // Averaging from an epoch that never comes is no averaging.
    let never = fitted(|c| (c.average.kind, c.average.start) = (AverageKind::Swa, 1000));
    assert_eq!(never.params, plain.params);
}

#[test]
fn a_schedule_that_does_nothing_keeps_the_bits_and_others_are_followed() {
    let plain = fitted(|_| ());
    let flat =
        fitted(|c| (c.schedule.name, c.schedule.factor, c.schedule.every) = (ScheduleName::Step, 0.1, 1e6));
    assert_eq!(flat.params, plain.params);
    let step =
        fitted(|c| (c.schedule.name, c.schedule.factor, c.schedule.every) = (ScheduleName::Step, 0.5, 4.0));
    let rates: Vec<f64> = step.history.iter().map(|e| e.learning_rate).collect();
    assert_eq!(rates, [[0.02; 4], [0.01; 4], [0.005; 4]].concat());
    // Every optimiser learns through the whole of training.
    for &name in OptimizerName::ALL {
        let trained = fitted(|c| {
            c.optimizer.name = name;
            c.schedule.name = ScheduleName::FlatCos;
            c.schedule.warmup = 1.0;
            c.optimizer.learning_rate = if name == OptimizerName::Adadelta { 1.0 } else { 0.02 };
        });
        let losses: Vec<f64> = trained.history.iter().map(|e| e.val_loss).collect();
        assert!(losses[11] < HALF_LEARNED, "{name}: {losses:?}");
    }
}
