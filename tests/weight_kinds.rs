//! Binary and sparse weights: compared with PyTorch and the papers' formulas, stored, and off.

use crate::common;
use common::{bits, dense, drop_connect, levels, numbers, of_kind, optimizer, parameters};
use serde_json::Value;
use statera::config::{
    Activation, AverageKind, Config, LayerSpec, OptimizerName, Parametrization, WeightKind,
};
use statera::data::TargetScaler;
use statera::nn::{CpuLevel, Loss, Mode, Network, Pass, Scalar, Targets};
use statera::train::events::{Answer, Event};
use statera::train::fit::{Fitted, OwnedTargets, RowFacts, Rows, fit};
use statera::train::optimizer::Optimizer;
use statera::train::step::Stepper;

fn golden() -> Value {
    let path = format!("{}/tests/golden/weights.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers_of(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn binary_network() -> Network {
    let binary = |units| of_kind(units, Activation::Tanh, WeightKind::Binary);
    Network::from_specs(vec![binary(4), binary(3), dense(1, Activation::Linear)], 5)
}

#[track_caller]
fn assert_near(got: &[f64], expected: &[f64], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() < 1e-12, "{what}, number {i}: {got}, not {expected}");
    }
}

#[test]
fn gradients_of_latent_weights_are_those_of_a_straight_through_estimator() {
    let file = &golden()["binary"];
    let (network, x, target) = (binary_network(), numbers_of(&file["x"]), numbers_of(&file["target"]));
    let params = numbers_of(&file["start"]);
    let beyond = params.iter().filter(|w| w.abs() > 1.0).count();
    assert!(beyond > 3, "some latent weights lie where no gradient passes");
    for level in levels() {
        let mut work = network.workspace(6);
        let mode = Mode::Train { seed: 0, step: 0, shard: 0 };
        let pass = Pass { level, params: &params, n_rows: 6, mode };
        network.forward_backward(&pass, Loss::Mse, &x, Targets::Values(&target), 1.0 / 6.0, false, &mut work);
        assert!((work.loss_sum / 6.0 - file["loss"].as_f64().unwrap()).abs() < 1e-12);
        assert_near(&work.grads[..params.len()], &numbers_of(&file["gradient"]), level.name());
    }
}

#[test]
fn forty_steps_on_latent_weights_are_those_of_pytorch() {
    let file = &golden()["binary"];
    let (network, x, target) = (binary_network(), numbers_of(&file["x"]), numbers_of(&file["target"]));
    let mut params = numbers_of(&file["start"]);
    let mut settings = optimizer(OptimizerName::Sgd);
    settings.momentum = 0.0;
    let mut optimizer = Optimizer::new(&settings, network.views());
    let mut stepper = Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 0, 6, 6);
    let rate = file["rate"].as_f64().unwrap();
    for (step, expected) in file["steps"].as_array().unwrap().iter().enumerate() {
        stepper.step(step as u32, rate, &mut params, &mut optimizer, &x, Targets::Values(&target));
        assert_near(&params, &numbers_of(expected), &format!("step {step}"));
    }
    // What is used has two values a unit; what has them already keeps its bits.
    network.write_weights_in_use(CpuLevel::detect(), &mut params);
    assert_near(&params, &numbers_of(&file["used"]), "in use");
    let once = bits(&params);
    network.write_weights_in_use(CpuLevel::detect(), &mut params);
    assert_eq!(bits(&params), once);
}

#[test]
fn the_schedule_of_pruning_is_that_of_the_paper() {
    for case in golden()["schedules"].as_array().unwrap() {
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let mut weights = Config::default().weights;
        weights.sparsity = case["sparsity"].as_f64().unwrap();
        (weights.prune_begin, weights.prune_end) = (number("begin"), number("end"));
        weights.prune_every = number("every");
        let mut cuts = case["cuts"].as_array().unwrap().iter().map(numbers_of);
        // At t₀ the share is 0, which is no cut.
        assert_eq!(cuts.next().unwrap()[1], 0.0);
        for t in 0..number("end") + 5 {
            let Some(share) = weights.share_due(t) else { continue };
            assert_near(&[t as f64, share], &cuts.next().unwrap(), &format!("{case}, epoch {t}"));
        }
        assert_eq!(cuts.next(), None, "{case}");
    }
}

const N_ROWS: usize = 96;
const N_INPUTS: usize = 7;

fn rows<T: Scalar>() -> Rows<T> {
    let x = numbers::<T>(N_ROWS * N_INPUTS, 1);
    let y = x.chunks_exact(N_INPUTS).map(|x| x[0] + x[1] * x[2]).collect();
    Rows { x, targets: OwnedTargets::Values(y) }
}

fn fitted<T: Scalar>(network: &Network, config: &Config) -> Fitted<T> {
    let rows = rows::<T>();
    let mut listener = |_: &Event| Answer::GoOn;
    let facts = RowFacts { numeric_inputs: Vec::new(), difficulty: Vec::new() };
    fit(
        network,
        Loss::Mse,
        CpuLevel::detect(),
        config,
        &rows,
        &facts,
        &rows,
        &TargetScaler::IDENTITY,
        &mut listener,
    )
    .unwrap()
}

/// Settings of a short training that prunes to 70 % in the epochs from 2 to 6.
fn pruning(name: OptimizerName) -> Config {
    let mut config = Config::default();
    config.weights.kind = WeightKind::Sparse;
    (config.weights.sparsity, config.weights.prune_begin, config.weights.prune_end) = (0.7, 2, 6);
    (config.train.epochs, config.train.batch_size) = (12, 16);
    config.optimizer.name = name;
    config
}

fn sparse_network() -> Network {
    let sparse = |units, f| of_kind(units, f, WeightKind::Sparse);
    Network::from_specs(
        vec![sparse(9, Activation::Relu), sparse(6, Activation::Tanh), sparse(1, Activation::Linear)],
        N_INPUTS,
    )
}

/// Zeros and numbers of each weight.
fn zeros<T: Scalar>(network: &Network, params: &[T]) -> Vec<[usize; 2]> {
    let weights = network.views().iter().filter(|view| view.decays);
    let count = |range: std::ops::Range<usize>| {
        // −0 would be no exact zero of the file's.
        [params[range.clone()].iter().filter(|w| w.to_f64().to_bits() == 0).count(), range.len()]
    };
    weights.map(|view| count(view.range())).collect()
}

#[test]
fn pruned_weights_stay_exactly_zero_under_every_optimiser() {
    let network = sparse_network();
    for &name in OptimizerName::ALL.iter().filter(|name| **name != OptimizerName::Lbfgs) {
        for average in AverageKind::ALL {
            let mut config = pruning(name);
            config.average.kind = *average;
            if *average == AverageKind::Swa {
                config.average.start = 8;
            }
            // All that could move a weight that is gone.
            (config.optimizer.weight_decay, config.optimizer.l2) = (0.1, 0.01);
            (config.noise.weights, config.noise.gradients, config.train.clip_norm) = (0.05, 0.1, 0.5);
            config.train.accumulate = 2;
            if name == OptimizerName::ScheduleFreeAdamw && *average != AverageKind::None {
                continue;
            }
            for restore_best in [true, false] {
                config.checkpoint.restore_best = restore_best;
                let fitted = fitted::<f32>(&network, &config);
                let expected = [[44, 63], [38, 54], [4, 6]];
                assert_eq!(zeros(&network, &fitted.params), expected, "{name} {average} {restore_best}");
                assert!(fitted.best_epoch > 6, "{name}: epoch {}", fitted.best_epoch);
                assert!(fitted.params.iter().all(|w| w.is_finite()));
            }
        }
    }
}

#[test]
fn neither_early_stopping_nor_rate_cuts_nor_the_best_epoch_come_before_pruning_is_done() {
    let network = sparse_network();
    let mut config = pruning(OptimizerName::Sgd);
    // At this rate nothing gets better: without pruning training ends after the second epoch.
    config.optimizer.learning_rate = 1e-30;
    (config.early_stopping.patience, config.reduce_on_plateau.patience) = (1, 1);
    let stopped = fitted::<f64>(&network, &config);
    // The first epoch after the last cut has nothing to be compared with.
    assert_eq!((stopped.history.len(), stopped.best_epoch), (8, 7), "{}", stopped.reason);
    assert!(stopped.history.iter().take(7).all(|record| record.learning_rate == 1e-30));
    config.weights.sparsity = 0.0;
    assert_eq!(fitted::<f64>(&network, &config).history.len(), 2);

    // One epoch after a deep cut is worse than those before, and is kept all the same.
    let mut config = pruning(OptimizerName::Adamw);
    (config.weights.prune_begin, config.weights.prune_end, config.weights.sparsity) = (11, 11, 0.9);
    config.optimizer.learning_rate = 0.01;
    let cut = fitted::<f64>(&network, &config);
    assert!(cut.history[10].val_loss < 0.5 * cut.history[11].val_loss, "{:?}", cut.history);
    assert_eq!((cut.best_epoch, zeros(&network, &cut.params)[0]), (12, [57, 63]));
}

#[test]
fn a_training_that_ends_before_its_last_cut_says_how_far_it_came() {
    let (network, rows) = (sparse_network(), rows::<f32>());
    let mut listener = |event: &Event| match event {
        Event::Epoch(record) if record.epoch == 5 => Answer::Stop("interrupted".into()),
        _ => Answer::GoOn,
    };
    let facts = RowFacts { numeric_inputs: Vec::new(), difficulty: Vec::new() };
    let config = pruning(OptimizerName::Adamw);
    let level = CpuLevel::detect();
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
    // 0.7·(1 − (2/4)³)
    assert_eq!(
        fitted.reason,
        "interrupted; pruning had reached 61.2 % of the weights, and was to reach 70.0 % after epoch 6"
    );
    // The best epoch is one with as many zeros as there were at the end.
    assert_eq!((fitted.best_epoch, zeros(&network, &fitted.params)[0]), (5, [39, 63]));
}

#[test]
fn weights_that_may_be_pruned_and_are_not_have_the_bits_of_continuous_ones() {
    let of = |kind: Option<WeightKind>| {
        let layer = |units, f| kind.map_or_else(|| dense(units, f), |kind| of_kind(units, f, kind));
        Network::from_specs(vec![layer(9, Activation::Relu), layer(1, Activation::Linear)], N_INPUTS)
    };
    let mut config = pruning(OptimizerName::Adamw);
    config.weights.sparsity = 0.0;
    let plain = bits(&fitted::<f32>(&of(None), &config).params);
    for kind in [WeightKind::Continuous, WeightKind::Sparse] {
        assert_eq!(bits(&fitted::<f32>(&of(Some(kind)), &config).params), plain, "{kind}");
    }
    assert_ne!(bits(&fitted::<f32>(&of(Some(WeightKind::Binary)), &config).params), plain);
}

#[test]
fn training_has_the_same_bits_on_any_number_of_threads() {
    let specs = [WeightKind::Binary, WeightKind::Sparse].map(|kind| of_kind(9, Activation::Relu, kind));
    let network = Network::from_specs([&specs[..], &[dense(1, Activation::Linear)]].concat(), N_INPUTS);
    let mut config = pruning(OptimizerName::Adamw);
    (config.train.batch_size, config.train.shard_rows) = (64, 8);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        bits(&pool.install(|| fitted::<f32>(&network, &config)).params)
    };
    let one = on(1);
    assert!(on(2) == one && on(5) == one);
}

/// A network of both kinds whose weights are as training leaves them; a share of the sparse ones is zero.
fn in_use<T: Scalar>(n_units: usize, zeros: usize) -> (Network, Vec<T>) {
    // Weights of the neural tangent parametrisation are multiplied by a factor before they are used.
    let mut ntp = of_kind(5, Activation::Linear, WeightKind::Sparse);
    if let LayerSpec::Dense { parametrization, .. } = &mut ntp {
        *parametrization = Parametrization::Ntp;
    }
    let network = Network::from_specs(
        vec![
            of_kind(n_units, Activation::Tanh, WeightKind::Binary),
            of_kind(n_units + 3, Activation::Relu, WeightKind::Sparse),
            of_kind(n_units, Activation::Relu, WeightKind::Binary),
            ntp,
            dense(2, Activation::Linear),
        ],
        N_INPUTS,
    );
    let mut params = parameters::<T>(&network, 5);
    network.write_weights_in_use(CpuLevel::detect(), &mut params);
    for view in network.views().iter().filter(|view| view.kind() == Some(WeightKind::Sparse)) {
        let weight = &mut params[view.range()];
        let n = weight.len() * zeros / 100;
        (0..n).for_each(|i| weight[i * 7919 % weight.len()] = T::ZERO);
    }
    (network, params)
}

fn check_products<T: Scalar>() {
    for (n_units, zeros) in [(1, 0), (8, 50), (31, 80), (64, 95), (67, 99), (130, 90)] {
        let (network, params) = in_use::<T>(n_units, zeros);
        for n_rows in (1..=9).chain([31, 32, 33, 47, 70]) {
            let x = numbers::<T>(n_rows * N_INPUTS, 9);
            for level in levels() {
                let mut works = [network.inference_workspace(n_rows), network.inference_workspace(n_rows)];
                network.compress(&params, &mut works[1..]);
                let [plain, compact] =
                    works.each_mut().map(|w| network.raw_outputs(level, &params, Loss::Mse, &x, w));
                let place = format!("{n_rows} rows, {n_units} units, {zeros} % at {}", level.name());
                assert_eq!(bits(&plain), bits(&compact), "{place}");
            }
        }
    }
}

#[test]
fn packed_and_compressed_weights_predict_the_bits_of_numbers() {
    check_products::<f32>();
    check_products::<f64>();
}

/// 0·∞ is no number, whether or not zeros are multiplied with.
#[test]
fn a_row_that_is_not_finite_is_so_alone_and_among_others() {
    let (network, params) = in_use::<f32>(64, 95);
    let layers = &network.specs()[1..];
    let network_of_rest = Network::from_specs(layers.to_vec(), 64);
    let params = &params[network.n_params() - network_of_rest.n_params()..];
    let mut x = numbers::<f32>(40 * 64, 9);
    x[7 * 64 + 3] = f32::INFINITY;
    let mut work = [network_of_rest.inference_workspace(40)];
    network_of_rest.compress(params, &mut work);
    let level = CpuLevel::detect();
    let all = network_of_rest.raw_outputs(level, params, Loss::Mse, &x, &mut work[0]);
    assert!(all[14].is_nan() && all[12].is_finite());
    for (row, expected) in x.chunks_exact(64).zip(all.chunks_exact(2)) {
        let alone = network_of_rest.raw_outputs(level, params, Loss::Mse, row, &mut work[0]);
        assert_eq!(bits(&alone), bits(expected));
    }
}

#[test]
fn a_layer_that_drops_binary_weights_all_the_same_learns() {
    // Settings refuse it; the library's user meets no panic.
    let mut spec = drop_connect(6, Activation::Relu, 0.3);
    if let LayerSpec::Dense { weights, .. } = &mut spec {
        *weights = Some(WeightKind::Binary);
    }
    let network = Network::from_specs(vec![spec, dense(1, Activation::Linear)], N_INPUTS);
    let config = pruning(OptimizerName::Adamw);
    let history = fitted::<f32>(&network, &config).history;
    assert!(history.last().unwrap().val_loss < history[0].val_loss);
}
