//! Noise, mixing and curricula: what they do to training, that they do nothing else, and nothing at all when off.

use crate::common;
use common::{bits, classes, dense, dense_of, levels, numbers, optimizer};
use proptest::prelude::*;
use statera::config::{
    Activation, Config, Constraint, CurriculumBy, Initializer, LayerSpec, NoiseConfig, OptimizerConfig,
    OptimizerName, Pacing,
};
use statera::data::TargetScaler;
use statera::nn::{CpuLevel, Loss, Mode, Network, Pass, Targets};
use statera::train::events::{Answer, Event};
use statera::train::fit::{Fitted, OwnedTargets, RowFacts, Rows, fit};
use statera::train::optimizer::Optimizer;
use statera::train::step::Stepper;

const N_ROWS: usize = 90;
const N_INPUTS: usize = 5;

/// Rows with a number each to predict, or a class of `n_classes`.
fn rows(n_classes: usize, weighted: bool) -> Rows<f32> {
    let x = numbers(N_ROWS * N_INPUTS, 1);
    let targets = match n_classes {
        0 => OwnedTargets::Values(numbers(N_ROWS, 2)),
        n => OwnedTargets::Classes(classes(N_ROWS, n, 2)),
    };
    let weights = numbers::<f32>(N_ROWS, 3).into_iter().map(f32::abs).collect();
    Rows { x, targets: if weighted { targets.weighted(weights) } else { targets } }
}

fn network(n_outputs: usize) -> Network {
    let layers = [dense(8, Activation::Relu), LayerSpec::batch_norm(), dense(6, Activation::Tanh)];
    Network::new(&layers, N_INPUTS, n_outputs)
}

fn facts() -> RowFacts {
    let difficulty = numbers::<f64>(N_ROWS, 9);
    RowFacts { numeric_inputs: vec![0, 2, 3], difficulty }
}

/// Settings that leave nothing to early stopping, for a few epochs.
fn settings(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config { seed: 4, ..Config::default() };
    config.train.epochs = 6;
    config.train.batch_size = 16;
    config.optimizer.learning_rate = 0.01;
    config.early_stopping.enabled = false;
    config.reduce_on_plateau.enabled = false;
    config.checkpoint.restore_best = false;
    change(&mut config);
    config
}

fn trained(loss: Loss, rows: &Rows<f32>, config: &Config, level: CpuLevel) -> Fitted<f32> {
    let network = network(if loss.is_categorical() { 3 } else { 1 });
    let mut listener = |_: &Event| Answer::GoOn;
    fit(&network, loss, level, config, rows, &facts(), rows, &TargetScaler::IDENTITY, &mut listener).unwrap()
}

fn params(change: impl FnOnce(&mut Config)) -> Vec<u64> {
    let config = settings(change);
    bits(&trained(Loss::Mse, &rows(0, false), &config, CpuLevel::detect()).params)
}

/// Everything that changes what is learned from.
fn everything(config: &mut Config) {
    (config.augment.jitter, config.augment.mixup) = (0.1, 0.4);
    (config.noise.labels, config.noise.weights, config.noise.gradients) = (0.1, 0.05, 0.01);
    (config.curriculum.by, config.curriculum.epochs) = (CurriculumBy::Column, 3);
    (config.optimizer.l1, config.optimizer.l2) = (1e-3, 1e-3);
    config.optimizer.constraint = Constraint::MaxNorm;
}

/// A technique and how it is turned on.
type Technique = (&'static str, fn(&mut Config));

#[test]
fn each_makes_a_difference_and_none_when_off() {
    let expected = params(|_| {});
    let changes: [Technique; 7] = [
        ("jitter", |c| c.augment.jitter = 0.1),
        ("mixup", |c| c.augment.mixup = 0.4),
        ("labels", |c| c.noise.labels = 0.1),
        ("weights", |c| c.noise.weights = 0.1),
        ("gradients", |c| c.noise.gradients = 0.1),
        ("curriculum", |c| c.curriculum.by = CurriculumBy::Column),
        ("hardest first", |c| (c.curriculum.by, c.curriculum.reverse) = (CurriculumBy::Column, true)),
    ];
    let mut found = vec![expected.clone()];
    for (name, change) in changes {
        let got = params(change);
        assert!(!found.contains(&got), "{name} does the same as something else");
        assert_eq!(params(change), got, "{name} is the same again");
        assert_ne!(params(|c| (change(c), c.seed += 1).0), got, "{name} follows from the seed");
        found.push(got);
    }
    let nothing = |c: &mut Config| {
        (c.augment.jitter, c.augment.mixup) = (0.0, 0.0);
        (c.noise.labels, c.noise.weights, c.noise.gradients) = (0.0, 0.0, 0.0);
        // All rows from the first epoch on.
        (c.curriculum.by, c.curriculum.start) = (CurriculumBy::Column, 1.0);
    };
    assert_eq!(params(nothing), expected);
    assert_eq!(params(|c| (nothing(c), c.train.shuffle = false).0), params(|c| c.train.shuffle = false));
}

#[test]
fn validation_and_the_weights_that_are_kept_are_free_of_noise() {
    for (loss, n_classes) in
        [(Loss::Mse, 0), (Loss::BinaryCrossentropy, 2), (Loss::CategoricalCrossentropy, 3)]
    {
        let rows = rows(n_classes, false);
        // Steps that lead nowhere, so that what is kept is the start.
        let still = |config: &mut Config| {
            (config.optimizer.name, config.optimizer.learning_rate) = (OptimizerName::Sgd, 1e-30);
            config.train.epochs = 2;
        };
        let noisy = |c: &mut Config| {
            still(c);
            (c.augment.jitter, c.augment.mixup) = (0.5, 1.0);
            (c.noise.labels, c.noise.weights, c.noise.gradients) = (0.4, 0.5, 1.0);
        };
        let level = CpuLevel::detect();
        let plain = trained(loss, &rows, &settings(still), level);
        let got = trained(loss, &rows, &settings(noisy), level);
        let network = network(if loss.is_categorical() { 3 } else { 1 });
        let start = network.init::<f32>(4);
        for view in network.views().iter().filter(|view| view.trainable) {
            let pairs = got.params[view.range()].iter().zip(&start[view.range()]);
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-20), "{}", view.name);
        }
        assert_ne!(got.history[0].train_loss, plain.history[0].train_loss, "training sees the noise");

        // What was validated is the loss of what is kept, computed apart.
        let mut work = network.workspace(N_ROWS);
        let pass = Pass { level, params: &got.params, n_rows: N_ROWS, mode: Mode::Infer };
        let targets = match &rows.targets {
            OwnedTargets::Values(t) => Targets::Values(t),
            OwnedTargets::Classes(t) => Targets::Classes(t),
            other => panic!("{other:?}"),
        };
        let outputs = network.forward(&pass, &rows.x, &mut work).to_vec();
        let sum = loss.forward_backward(&outputs, targets, 1.0, &mut vec![0.0; outputs.len()]);
        let off = (sum / N_ROWS as f64 - got.history[1].val_loss).abs();
        assert!(off < 1e-12, "{loss:?}: {off:e}");
    }
}

#[test]
fn everything_at_once_has_the_same_bits_on_any_threads_and_level() {
    let cases = [
        (Loss::Mse, 0, false),
        (Loss::Mae, 0, true),
        (Loss::BinaryCrossentropy, 2, true),
        (Loss::SmoothCategoricalCrossentropy { label_smoothing: 0.1 }, 3, false),
    ];
    for (loss, n_classes, weighted) in cases {
        let rows = rows(n_classes, weighted);
        for accumulate in [1, 2] {
            let config = settings(|c| {
                everything(c);
                // Several shards a batch.
                (c.train.shard_rows, c.train.batch_size, c.train.accumulate) = (12, 40, accumulate);
            });
            let run = |threads: usize, level| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let fitted = pool.install(|| trained(loss, &rows, &config, level));
                let losses = fitted.history.iter().flat_map(|e| [e.train_loss, e.val_loss]);
                let losses: Vec<f64> = losses.collect();
                assert!(losses.iter().all(|loss| loss.is_finite()));
                [bits(&losses), bits(&fitted.params)].concat()
            };
            let expected = run(1, CpuLevel::Portable);
            for level in levels() {
                for threads in [1, 2, 3] {
                    assert!(run(threads, level) == expected, "{loss:?} at {} on {threads}", level.name());
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// Mixed classes have the gradient λ·∂L(y₁) + (1−λ)·∂L(y₂), and the loss likewise, each computed by itself.
    #[test]
    fn mixed_classes_mix_losses_and_gradients(share in 0.0_f64..=1.0, salt in 0_u32..1000, binary in any::<bool>()) {
        let losses = if binary {
            vec![
                Loss::BinaryCrossentropy,
                Loss::SmoothBinaryCrossentropy { label_smoothing: 0.2 },
                Loss::BinaryFocal { gamma: 2.0 },
                Loss::Hinge,
            ]
        } else {
            vec![
                Loss::CategoricalCrossentropy,
                Loss::SmoothCategoricalCrossentropy { label_smoothing: 0.2 },
                Loss::CategoricalFocal { gamma: 2.0 },
            ]
        };
        let n_classes = if binary { 2 } else { 3 };
        let n = 24;
        let network = Network::new(&[dense(6, Activation::Tanh)], N_INPUTS, if binary { 1 } else { 3 });
        let params = network.init::<f64>(1);
        let x = numbers::<f64>(n * N_INPUTS, salt);
        let [one, other] = [classes(n, n_classes, salt + 1), classes(n, n_classes, salt + 2)];
        let (w, v) = (vec![share; n], vec![1.0 - share; n]);
        for loss in losses {
            let run = |targets: Targets<f64>| {
                let mut work = network.workspace(n);
                let mode = Mode::Train { seed: 0, step: 0, shard: 0 };
                let pass = Pass { level: CpuLevel::detect(), params: &params, n_rows: n, mode };
                network.forward_backward(&pass, loss, &x, targets, 0.5, false, &mut work);
                (work.loss_sum, work.grads)
            };
            let (sum, grads) = run(Targets::MixedClasses([&one, &other], [&w, &v]));
            let (sum1, grads1) = run(Targets::Classes(&one));
            let (sum2, grads2) = run(Targets::Classes(&other));
            prop_assert!((sum - share * sum1 - (1.0 - share) * sum2).abs() < 1e-12 * sum.abs().max(1.0));
            for ((g, a), b) in grads.iter().zip(grads1.iter()).zip(grads2.iter()) {
                prop_assert!((g - share * a - (1.0 - share) * b).abs() < 1e-12);
            }
        }
        let mixed = Targets::MixedClasses([&one, &other], [&w, &v]);
        prop_assert!((mixed.total_weight() - n as f64).abs() < 1e-12);
        prop_assert_eq!(mixed.slice(3..10).len(), 7);
    }
}

#[test]
fn gradient_noise_fades_as_published() {
    // Rows without influence: with all inputs 0 and a target of 0 the gradient of a weight is 0, and a step of plain
    // descent is the noise alone.
    let (eta, rate, n_weights) = (0.3, 1.0, 4000);
    let specs = vec![dense_of(1, Activation::Linear, Initializer::Zeros, None)];
    let network = Network::from_specs(specs, n_weights);
    let settings = OptimizerConfig { momentum: 0.0, ..optimizer(OptimizerName::Sgd) };
    let noise = NoiseConfig { gradients: eta, ..Config::default().noise };
    let mut sgd = Optimizer::new(&settings, network.views());
    let mut stepper = Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 1, 2, 2).with_noise(&noise);
    let x = vec![0.0_f64; 2 * n_weights];
    let mut before = vec![0.0; n_weights];
    for t in 0..40 {
        let mut params = before.clone();
        stepper.step(t, rate, &mut params, &mut sgd, &x, Targets::Values(&[0.0, 0.0]));
        let change = params.iter().zip(&before).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let (variance, expected) = (change / n_weights as f64, eta / (1.0 + f64::from(t)).powf(0.55));
        // A variance of 4,000 normal numbers has the relative standard error √(2/4000) = 0.022.
        assert!((variance / expected - 1.0).abs() < 0.12, "step {t}: {variance}, not {expected}");
        before = params;
    }
}

#[test]
fn weight_noise_moves_the_point_at_which_the_gradient_is_taken() {
    // y = w·x with one row x = 1 and t = 0 has the gradient 2w, taken at w + std·n. Plain descent at rate ½ then ends at
    // w − (w + std·n) = −std·n: the weight itself stays as it was until the step.
    let std = 0.25;
    let start = dense_of(1, Activation::Linear, Initializer::Ones, None);
    let network = Network::from_specs(vec![start], 1);
    let settings = OptimizerConfig { momentum: 0.0, ..optimizer(OptimizerName::Sgd) };
    let noise = NoiseConfig { weights: std, ..Config::default().noise };
    let mut stepper = Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 1, 1, 1).with_noise(&noise);
    let n_steps = 4000;
    let mut ends = Vec::new();
    for step in 0..n_steps {
        let mut sgd = Optimizer::new(&settings, network.views());
        let mut params = [1.0_f64];
        stepper.step(step, 0.5, &mut params, &mut sgd, &[1.0], Targets::Values(&[0.0]));
        ends.push(params[0]);
    }
    let n = f64::from(n_steps);
    let mean = ends.iter().sum::<f64>() / n;
    let variance = ends.iter().map(|w| w * w).sum::<f64>() / n;
    // Standard errors: std/√4000 = 0.004 of the mean, √(2/4000) = 0.022 of the variance's own size.
    assert!(mean.abs() < 0.02, "{mean}");
    assert!((variance / (std * std) - 1.0).abs() < 0.11, "{variance}");
}

#[test]
fn a_curriculum_shows_easy_rows_first_and_all_in_the_end() {
    // Rows of which only the hard ones have an influence: their targets are far off. While they are left out, the
    // training loss is small.
    let easy = N_ROWS / 2;
    let targets = (0..N_ROWS).map(|row| if row < easy { 0.0 } else { 100.0 }).collect();
    let rows = Rows { x: numbers(N_ROWS * N_INPUTS, 1), targets: OwnedTargets::Values(targets) };
    let difficulty = (0..N_ROWS).map(|row| row as f64).collect();
    let facts = RowFacts { numeric_inputs: Vec::new(), difficulty };
    for (pacing, expected) in [(Pacing::Step, 3), (Pacing::Linear, 1)] {
        let config = settings(|c| {
            (c.curriculum.by, c.curriculum.pacing) = (CurriculumBy::Loss, pacing);
            (c.curriculum.start, c.curriculum.epochs) = (0.5, 3);
        });
        let mut listener = |_: &Event| Answer::GoOn;
        let level = CpuLevel::detect();
        let network = network(1);
        let fitted = fit(
            &network,
            Loss::Mse,
            level,
            &config,
            &rows,
            &facts,
            &rows,
            &TargetScaler::IDENTITY,
            &mut listener,
        )
        .unwrap();
        let small = fitted.history.iter().take_while(|epoch| epoch.train_loss < 100.0).count();
        assert_eq!(small, expected, "{pacing}: {:?}", fitted.history);
    }
}
