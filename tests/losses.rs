//! Losses, weights and label smoothing: what they are known to do, and what they must leave alone.

use crate::common;
use common::{classes, dense, dense_of, numbers, optimizer};
use statera::config::{Activation, Config, Initializer, OptimizerName};
use statera::data::TargetScaler;
use statera::nn::{CpuLevel, Loss, Network, Scalar, Targets};
use statera::train::events::{Answer, Event};
use statera::train::fit::{Fitted, OwnedTargets, RowFacts, Rows, fit};
use statera::train::metrics::{Predictions, Truth, metrics};
use statera::train::optimizer::Optimizer;
use statera::train::step::Stepper;

const VALUES: [Loss; 7] = [
    Loss::Mse,
    Loss::Rmse,
    Loss::Mae,
    Loss::Huber { delta: 1.0 },
    Loss::LogCosh,
    Loss::Quantile { quantile: 0.9 },
    Loss::Poisson,
];
const BINARY: [Loss; 4] = [
    Loss::BinaryCrossentropy,
    Loss::SmoothBinaryCrossentropy { label_smoothing: 0.1 },
    Loss::BinaryFocal { gamma: 2.0 },
    Loss::Hinge,
];
const CATEGORICAL: [Loss; 3] = [
    Loss::CategoricalCrossentropy,
    Loss::SmoothCategoricalCrossentropy { label_smoothing: 0.1 },
    Loss::CategoricalFocal { gamma: 2.0 },
];

/// The loss and its gradient at these outputs.
fn at<T: Scalar>(loss: Loss, outputs: &[f64], target: u32) -> (f64, Vec<f64>) {
    let outputs: Vec<T> = outputs.iter().map(|&y| T::from_f64(y)).collect();
    let mut d = vec![T::ZERO; outputs.len()];
    let value = [T::from_f64(f64::from(target))];
    let class = [target];
    let targets = if loss.is_classification() { Targets::Classes(&class) } else { Targets::Values(&value) };
    let sum = loss.forward_backward(&outputs, targets, T::ONE, &mut d);
    (sum, d.iter().map(|d| d.to_f64()).collect())
}

#[test]
fn single_precision_is_right_far_out() {
    let mut problems: Vec<(Loss, Vec<f64>)> = Vec::new();
    for z in [-1000.0, -100.0, -20.0, -1.5, 0.0, 1.5, 20.0, 100.0, 1000.0] {
        problems.extend(VALUES.iter().chain(&BINARY).map(|loss| (*loss, vec![z])));
        problems.extend(CATEGORICAL.iter().map(|loss| (*loss, vec![z, -z, 0.5 * z])));
        problems.extend(CATEGORICAL.iter().map(|loss| (*loss, vec![z, z, z])));
    }
    for (loss, outputs) in problems {
        for target in [0, 1] {
            let (single, double) = (at::<f32>(loss, &outputs, target), at::<f64>(loss, &outputs, target));
            let near = |a: f64, b: f64| a.is_finite() && (a - b).abs() <= 2e-6 * b.abs().max(0.1);
            assert!(near(single.0, double.0), "{loss:?} {outputs:?}: {} {}", single.0, double.0);
            for (a, b) in single.1.iter().zip(&double.1) {
                assert!(near(*a, *b), "{loss:?} {outputs:?} {target}: {:?} {:?}", single.1, double.1);
            }
        }
    }
}

#[test]
fn gradients_far_out_are_the_known_ones() {
    for z in [100.0, 1000.0] {
        let (wrong, right) = (at::<f32>(Loss::BinaryFocal { gamma: 2.0 }, &[z], 0), [z]);
        assert_eq!(wrong, (right[0], vec![1.0]), "a focal loss far on the wrong side is the distance");
        let (loss, d) = at::<f32>(Loss::BinaryFocal { gamma: 2.0 }, &[z], 1);
        assert!(loss < 1e-100 && d[0].abs() < 1e-30, "{loss} {d:?}");
        assert_eq!(at::<f32>(Loss::Hinge, &[z], 0), (z + 1.0, vec![1.0]));
        assert_eq!(at::<f32>(Loss::Hinge, &[z], 1), (0.0, vec![0.0]));
        let (loss, d) = at::<f32>(Loss::LogCosh, &[z], 0);
        assert!((loss - (z - std::f64::consts::LN_2)).abs() < 1e-9 && (d[0] - 1.0).abs() < 1e-6);
        assert_eq!(at::<f32>(Loss::Rmse, &[z], 0).0, z * z);
        let (_, d) = at::<f64>(Loss::Poisson, &[z], 3);
        assert_eq!(d, [30.0_f64.exp() - 3.0], "the rate stays what it is at 30");
        assert!(at::<f32>(Loss::Poisson, &[z], 3).1[0].is_finite());
    }
    // Near zero log cosh is ½e², of which no digit is lost.
    let (loss, _) = at::<f64>(Loss::LogCosh, &[1e-9], 0);
    assert!((loss / 0.5e-18 - 1.0).abs() < 1e-12, "{loss}");
}

#[test]
fn focal_without_focus_is_the_cross_entropy() {
    let pairs = [
        (Loss::BinaryFocal { gamma: 0.0 }, Loss::BinaryCrossentropy, 1),
        (Loss::CategoricalFocal { gamma: 0.0 }, Loss::CategoricalCrossentropy, 3),
    ];
    for (focal, plain, width) in pairs {
        for z in [-40.0, -3.0, 0.0, 0.7, 40.0] {
            let outputs = &[z, 0.3, -1.0][..width];
            let (a, b) = (at::<f64>(focal, outputs, 1), at::<f64>(plain, outputs, 1));
            assert!((a.0 - b.0).abs() <= 1e-14 * b.0.max(1.0), "{focal:?} {z}: {a:?} {b:?}");
            assert!(a.1.iter().zip(&b.1).all(|(a, b)| (a - b).abs() < 1e-14), "{focal:?} {z}: {a:?} {b:?}");
        }
    }
}

#[test]
fn smoothing_is_only_for_training() {
    let smooth = [BINARY[1], CATEGORICAL[1]].map(Loss::without_smoothing);
    assert_eq!(smooth, [Loss::BinaryCrossentropy, Loss::CategoricalCrossentropy]);
    assert_eq!(Loss::Hinge.without_smoothing(), Loss::Hinge);
}

/// The loss and the parameters after some steps.
fn steps(loss: Loss, shard_rows: usize, weights: Option<&[f64]>, order: &[usize]) -> (Vec<f64>, Vec<f64>) {
    let n_outputs = if loss.is_categorical() { 3 } else { 1 };
    let network = Network::new(&[dense(6, Activation::Tanh)], 2, n_outputs);
    let mut params = network.init::<f64>(3);
    let mut optimizer = Optimizer::new(&optimizer(OptimizerName::Sgd), network.views());
    let n_rows = order.len();
    let mut stepper = Stepper::new(&network, loss, CpuLevel::detect(), 1, n_rows, shard_rows);
    let (x, t) = (numbers::<f64>(40, 1), numbers::<f64>(20, 2));
    let c = classes(20, n_outputs.max(2), 3);
    let x: Vec<f64> = order.iter().flat_map(|&i| x[2 * i..2 * i + 2].to_vec()).collect();
    let t: Vec<f64> = order.iter().map(|&i| t[i].abs()).collect();
    let c: Vec<u32> = order.iter().map(|&i| c[i]).collect();
    let targets = match (loss.is_classification(), weights) {
        (true, None) => Targets::Classes(&c),
        (false, None) => Targets::Values(&t),
        (true, Some(w)) => Targets::WeightedClasses(&c, w),
        (false, Some(w)) => Targets::WeightedValues(&t, w),
    };
    let losses = (0..5).map(|step| stepper.step(step, 0.05, &mut params, &mut optimizer, &x, targets));
    (losses.collect(), params)
}

#[track_caller]
fn assert_same(what: &str, a: &(Vec<f64>, Vec<f64>), b: &(Vec<f64>, Vec<f64>)) {
    let pairs = a.0.iter().chain(&a.1).zip(b.0.iter().chain(&b.1));
    for (a, b) in pairs {
        assert!((a - b).abs() < 1e-12 * b.abs().max(1.0), "{what}: {a} is not {b}");
    }
}

#[test]
fn a_weight_is_as_good_as_so_many_copies() {
    let all: Vec<usize> = (0..20).collect();
    let weights: Vec<f64> = (0..20).map(|i| f64::from(i % 4)).collect();
    let copies: Vec<usize> = all.iter().flat_map(|&i| vec![i; i % 4]).collect();
    for loss in VALUES.into_iter().chain(BINARY).chain(CATEGORICAL) {
        let weighted = steps(loss, 64, Some(&weights), &all);
        assert_same(&format!("{loss:?}"), &weighted, &steps(loss, 64, None, &copies));
        // In shards the sums are of other parts, and come to the same; rmse among them.
        assert_same(&format!("{loss:?} in shards"), &weighted, &steps(loss, 6, Some(&weights), &all));
        // What all weights have in common falls out.
        let tripled: Vec<f64> = weights.iter().map(|w| 3.0 * w).collect();
        assert_same(&format!("{loss:?} tripled"), &weighted, &steps(loss, 64, Some(&tripled), &all));
        // Weights of 1 are no weights, to the bit.
        assert_eq!(steps(loss, 6, Some(&[1.0; 20]), &all), steps(loss, 6, None, &all), "{loss:?}");
    }
}

#[test]
fn the_bits_are_the_same_on_any_number_of_threads() {
    let all: Vec<usize> = (0..20).collect();
    let weights: Vec<f64> = (0..20).map(|i| 0.1 + f64::from(i % 4)).collect();
    let pools = [1, 2, 4].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    for loss in VALUES.into_iter().chain(BINARY).chain(CATEGORICAL) {
        let found = pools.each_ref().map(|pool| pool.install(|| steps(loss, 3, Some(&weights), &all)));
        assert!(found[0] == found[1] && found[0] == found[2], "{loss:?}: {found:?}");
    }
}

#[test]
fn a_batch_without_weight_teaches_nothing() {
    let all: Vec<usize> = (0..20).collect();
    let (losses, params) = steps(Loss::Mse, 64, Some(&[0.0; 20]), &all);
    assert_eq!(losses, [0.0; 5]);
    let network = Network::new(&[dense(6, Activation::Tanh)], 2, 1);
    assert_eq!(params, network.init::<f64>(3));
}

/// Fits all epochs long and keeps the last weights.
fn run(network: &Network, loss: Loss, train: &Rows<f64>, epochs: usize) -> Fitted<f64> {
    let mut config = Config { seed: 1, ..Config::default() };
    config.train.epochs = epochs;
    config.optimizer.learning_rate = 0.01;
    config.early_stopping.enabled = false;
    config.reduce_on_plateau.enabled = false;
    config.checkpoint.restore_best = false;
    let mut listener = |_: &Event| Answer::GoOn;
    fit(
        network,
        loss,
        CpuLevel::detect(),
        &config,
        train,
        &RowFacts::default(),
        train,
        &TargetScaler::IDENTITY,
        &mut listener,
    )
    .unwrap()
}

fn metric(network: &Network, fitted: &Fitted<f64>, loss: Loss, test: &Rows<f64>, name: &str) -> f64 {
    let OwnedTargets::Classes(truth) = &test.targets else { panic!("classes are tested") };
    let mut work = network.inference_workspace(64);
    let p = network.predict(CpuLevel::detect(), &fitted.params, loss, &test.x, &mut work);
    let found = metrics(&Predictions::binary(&p), Truth::Classes(truth));
    found.iter().find(|(metric, _)| *metric == name).unwrap().1
}

/// Two inputs; the class is 1 where their sum and a noise are beyond `threshold`.
fn planted(n_rows: usize, salt: u32, noise: f64, threshold: f64) -> Rows<f64> {
    let x = numbers::<f64>(n_rows * 2, salt);
    let e = numbers::<f64>(n_rows, salt + 1);
    let class = |(x, e): (&[f64], &f64)| u32::from(x[0] + x[1] + noise * e > threshold);
    let targets = x.chunks_exact(2).zip(&e).map(class).collect();
    Rows { x, targets: OwnedTargets::Classes(targets) }
}

#[test]
fn label_smoothing_calibrates_a_network_that_overfits() {
    let (train, test) = (planted(120, 1, 1.5, 0.0), planted(2000, 5, 1.5, 0.0));
    let wide = dense_of(64, Activation::Relu, Initializer::Auto, Some(Initializer::Zeros));
    let network = Network::new(&[wide.clone(), wide], 2, 1);
    let ece = |loss| metric(&network, &run(&network, loss, &train, 150), loss, &test, "ece");
    let plain = ece(Loss::BinaryCrossentropy);
    let smooth = ece(Loss::SmoothBinaryCrossentropy { label_smoothing: 0.3 });
    assert!(smooth < plain - 0.02, "{smooth} with smoothing, {plain} without");
}

#[test]
fn class_weights_find_the_rare_class() {
    // About one row in fifteen is of the rare class, among noise.
    let (train, test) = (planted(1000, 1, 1.0, 2.2), planted(4000, 5, 1.0, 2.2));
    let OwnedTargets::Classes(truth) = &train.targets else { unreachable!() };
    let rare = truth.iter().filter(|&&class| class == 1).count();
    assert!((30..150).contains(&rare), "{rare}");
    let network = Network::new(&[], 2, 1);
    let loss = Loss::BinaryCrossentropy;
    let recall = |train: &Rows<f64>| metric(&network, &run(&network, loss, train, 60), loss, &test, "recall");
    let balanced = [truth.len() - rare, rare].map(|n| truth.len() as f64 / (2.0 * n as f64));
    let weights = truth.iter().map(|&class| balanced[class as usize]).collect();
    let weighted = Rows { x: train.x.clone(), targets: train.targets.clone().weighted(weights) };
    let (plain, weighted) = (recall(&train), recall(&weighted));
    assert!(weighted > plain + 0.15, "{weighted} with class weights, {plain} without");
}

#[test]
fn focus_finds_more_of_a_rare_class_that_a_line_cannot_cut_out() {
    // The rare class is a strip at one side. Where a model can say the true probabilities, the focal loss decides
    // as the cross-entropy does; a line cannot.
    let rows = |n_rows: usize, salt: u32| {
        let x = numbers::<f64>(n_rows * 2, salt);
        let class = |x: &[f64]| u32::from(x[0] > 1.2 && x[1].abs() < 0.8);
        let targets = OwnedTargets::Classes(x.chunks_exact(2).map(class).collect());
        Rows { x, targets }
    };
    let (train, test) = (rows(2000, 1), rows(4000, 5));
    let network = Network::new(&[], 2, 1);
    let recall = |loss| metric(&network, &run(&network, loss, &train, 60), loss, &test, "recall");
    let plain = recall(Loss::BinaryCrossentropy);
    let focal = recall(Loss::BinaryFocal { gamma: 5.0 });
    assert!(focal > plain + 0.02, "{focal} with focus, {plain} without");
}

#[test]
fn a_loss_is_finite_for_every_finite_output() {
    const MOST: f32 = f32::MAX;
    let numbers = [
        Loss::Mse,
        Loss::Rmse,
        Loss::Mae,
        Loss::Huber { delta: 1.0 },
        Loss::LogCosh,
        Loss::Quantile { quantile: 0.3 },
        Loss::Poisson,
    ];
    for loss in numbers {
        for (y, t) in [(MOST, 0.0), (-MOST, 1.0), (1e19, 3.0), (-1e19, 1e13)] {
            let sum = loss.forward_backward(&[y], Targets::Values(&[t]), 1e-3, &mut [0.0]);
            assert!(sum.is_finite(), "{loss:?} of {y:e} at {t:e}: {sum}");
        }
    }
    // Beyond the square that single precision holds, the square.
    let sum = Loss::Mse.forward_backward(&[3e20_f32], Targets::Values(&[0.0]), 1e-3, &mut [0.0]);
    assert!((sum / 9e40 - 1.0).abs() < 1e-6, "{sum}");
    for loss in [Loss::BinaryCrossentropy, Loss::BinaryFocal { gamma: 2.0 }, Loss::Hinge] {
        for (z, class) in [(MOST, 0), (-MOST, 1), (MOST, 1)] {
            let sum = loss.forward_backward(&[z], Targets::Classes(&[class]), 1e-3, &mut [0.0]);
            assert!(sum.is_finite(), "{loss:?} of {z:e}: {sum}");
        }
    }
    let many = [
        Loss::CategoricalCrossentropy,
        Loss::SmoothCategoricalCrossentropy { label_smoothing: 0.1 },
        Loss::CategoricalFocal { gamma: 2.0 },
    ];
    for loss in many {
        for class in 0..3 {
            let z = [MOST, -MOST, 0.0];
            let sum = loss.forward_backward(&z, Targets::Classes(&[class]), 1e-3, &mut [0.0; 3]);
            assert!(sum.is_finite(), "{loss:?} of class {class}: {sum}");
        }
    }
}
