//! The same seed, settings and rows give the same bits: on any number of threads, at every CPU level, in any batch.

use crate::common;
use common::{
    activation, bits, classes, dense, drop_connect, embeddings, levels, numbers, optimizer, packed,
    parameters, residual, scale_and_shift,
};
use proptest::prelude::*;
use statera::config::{Activation, LayerSpec, OptimizerName};
use statera::nn::{CpuLevel, Loss, Mode, Network, Pass, Scalar, Targets};
use statera::train::optimizer::Optimizer;
use statera::train::step::Stepper;

/// A network with everything that could tell threads apart: statistics, random numbers, sums.
fn network(n_inputs: usize, units: usize, rate: f64) -> Network {
    let specs = [
        LayerSpec::batch_norm(),
        dense(units, Activation::Relu),
        LayerSpec::batch_norm(),
        LayerSpec::Dropout { rate },
        dense(units, Activation::Tanh),
        LayerSpec::Dropout { rate },
        dense(7, Activation::Sigmoid),
    ];
    Network::new(&specs, n_inputs, 1)
}

/// The layers that draw numbers of their own besides dropout, and those that sum along rows.
fn other_network(n_inputs: usize, units: usize, rate: f64) -> Network {
    let specs = [
        LayerSpec::scale(),
        LayerSpec::GaussianNoise { std: rate },
        drop_connect(units, Activation::Gelu, rate),
        LayerSpec::layer_norm(),
        LayerSpec::GaussianNoise { std: rate },
        dense(units, Activation::Selu),
        // Its statistics are those of a shard.
        LayerSpec::batch_norm(),
        activation(Activation::Mish),
        dense(7, Activation::Softplus),
    ];
    Network::new(&specs, n_inputs, 1)
}

/// Every kind of embedding before other layers.
fn embedding_network(n_inputs: usize, units: usize, rate: f64) -> Network {
    let mut specs = Vec::from_iter(embeddings(n_inputs, units).pop());
    specs.extend([
        LayerSpec::Dropout { rate },
        dense(units, Activation::Relu),
        LayerSpec::batch_norm(),
        dense(7, Activation::Tanh),
    ]);
    Network::new(&specs, n_inputs, 1)
}

/// Blocks, one inside another, with all of that in them.
fn network_of_blocks(n_inputs: usize, units: usize, rate: f64) -> Network {
    let specs = [
        residual([LayerSpec::GaussianNoise { std: rate }, LayerSpec::layer_norm()]),
        dense(units, Activation::Gelu),
        residual([
            drop_connect(units, Activation::Relu, rate),
            LayerSpec::batch_norm(),
            residual([LayerSpec::Dropout { rate }, dense(units, Activation::Tanh)]),
        ]),
        LayerSpec::Dropout { rate },
        residual([dense(units, Activation::Silu)]),
        // Blocks add up: without it plain gradient descent diverges at this rate for some seeds.
        LayerSpec::layer_norm(),
    ];
    Network::new(&specs, n_inputs, 1)
}

/// Members of an ensemble, which share some weights and have others of their own.
fn network_of_members(n_inputs: usize, units: usize, rate: f64) -> Network {
    let specs = [
        LayerSpec::GaussianNoise { std: rate },
        LayerSpec::Members { count: 3 },
        scale_and_shift(),
        dense(units, Activation::Relu),
        LayerSpec::batch_norm(),
        LayerSpec::Dropout { rate },
        residual([packed(drop_connect(units, Activation::Gelu, rate)), LayerSpec::layer_norm()]),
        LayerSpec::layer_norm(),
    ];
    Network::new(&specs, n_inputs, 1)
}

/// How a training run is computed.
#[derive(Clone, Copy)]
struct Run {
    level: CpuLevel,
    threads: usize,
    seed: u64,
    shard_rows: usize,
    optimizer: OptimizerName,
}

const N_ROWS: usize = 300;

/// Trains from the seed's own start; returns the bits of the losses and of all parameters.
fn train<T: Scalar>(network: &Network, run: Run) -> Vec<u64> {
    let mut params = network.init::<T>(run.seed);
    let x = numbers::<T>(N_ROWS * network.n_inputs(), 3);
    let t = numbers::<T>(N_ROWS, 4);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(run.threads).build().unwrap();
    let losses: Vec<f64> = pool.install(|| {
        let mut optimizer = Optimizer::new(&optimizer(run.optimizer), network.views());
        let mut stepper = Stepper::new(network, Loss::Mse, run.level, run.seed, N_ROWS, run.shard_rows);
        // Batches of unlike sizes: three shards, two, one.
        [N_ROWS, 129, 60, N_ROWS, 257]
            .iter()
            .zip(0..)
            .map(|(&n, step)| {
                let x = &x[..n * network.n_inputs()];
                stepper.step(step, 0.01, &mut params, &mut optimizer, x, Targets::Values(&t[..n]))
            })
            .collect()
    });
    assert!(losses.iter().all(|loss| loss.is_finite()));
    [bits(&losses), bits(&params)].concat()
}

fn check_threads_and_levels<T: Scalar>(network: &Network, run: Run) {
    let expected = train::<T>(network, run);
    for level in levels() {
        for threads in [1, 2, 3] {
            let got = train::<T>(network, Run { level, threads, ..run });
            assert_eq!(got, expected, "{} on {threads} threads", level.name());
        }
    }
    assert_ne!(
        train::<T>(network, Run { seed: run.seed ^ 1, ..run }),
        expected,
        "the seed makes a difference"
    );
    assert_ne!(
        train::<T>(network, Run { shard_rows: N_ROWS, ..run }),
        expected,
        "shards have their own statistics"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn training_has_the_same_bits_on_any_threads_and_level(
        seed in any::<u64>(),
        n_inputs in 1_usize..20,
        units in 2_usize..40,
        rate in 0.1_f64..0.6,
        adaptive in any::<bool>(),
    ) {
        let optimizer = if adaptive { OptimizerName::Adamw } else { OptimizerName::Sgd };
        let run = Run { level: CpuLevel::Portable, threads: 1, seed, shard_rows: 128, optimizer };
        for make in [network, other_network, network_of_blocks, network_of_members, embedding_network] {
            let network = make(n_inputs, units, rate);
            check_threads_and_levels::<f32>(&network, run);
            check_threads_and_levels::<f64>(&network, run);
        }
    }
}

/// The sum of losses and gradients along the tree that halves them.
fn total<T: Scalar>(sums: &mut [(f64, Vec<T>)]) -> (f64, Vec<T>) {
    if let [one] = sums {
        return std::mem::take(one);
    }
    let (left, right) = sums.split_at_mut(sums.len().div_ceil(2));
    let ((mut loss, mut grads), (more_loss, more)) = (total(left), total(right));
    loss += more_loss;
    grads.iter_mut().zip(more).for_each(|(g, more)| *g += more);
    (loss, grads)
}

/// The gradient of a batch of shards as it is defined: every shard in a workspace of its own, then [`total`].
/// Returns the loss sum, the gradient, and what the shards leave for running statistics.
fn by_definition<T: Scalar>(
    network: &Network,
    run: Run,
    params: &[T],
    [x, t]: [&[T]; 2],
    step: u32,
) -> (f64, Vec<T>, Vec<T>) {
    let (n_rows, n_inputs) = (t.len(), network.n_inputs());
    let n_shards = n_rows.div_ceil(run.shard_rows);
    let bound = |shard: usize| shard * n_rows / n_shards;
    let mut statistics = Vec::new();
    let mut sums: Vec<(f64, Vec<T>)> = (0..n_shards)
        .map(|shard| {
            let (begin, end) = (bound(shard), bound(shard + 1));
            let mut work = network.workspace(end - begin);
            let mode = Mode::Train { seed: run.seed, step, shard: shard as u32 };
            let pass = Pass { level: run.level, params, n_rows: end - begin, mode };
            let (x, targets) = (&x[begin * n_inputs..end * n_inputs], Targets::Values(&t[begin..end]));
            let scale = T::from_f64(1.0 / n_rows as f64);
            network.forward_backward(&pass, Loss::Mse, x, targets, scale, false, &mut work);
            let mut found = vec![T::ZERO; network.n_statistics()];
            network.write_statistics(&work, &mut found);
            statistics.extend(found);
            (work.loss_sum, work.grads.to_vec())
        })
        .collect();
    let (loss, grads) = total(&mut sums);
    (loss, grads, statistics)
}

#[test]
fn steps_in_shared_memory_are_those_of_a_workspace_for_each_shard() {
    let network = network(5, 9, 0.3);
    let (x, t) = (numbers::<f32>(N_ROWS * 5, 3), numbers::<f32>(N_ROWS, 4));
    for (shard_rows, threads) in
        [(300, 2), (150, 1), (150, 2), (100, 2), (61, 3), (20, 1), (7, 2), (4, 3), (3, 1), (3, 2), (3, 5)]
    {
        let run = Run { threads, shard_rows, ..RUN };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut params = network.init::<f32>(1);
            let mut expected = params.clone();
            let new = || Optimizer::new(&optimizer(run.optimizer), network.views());
            let (mut ours, mut theirs) = (new(), new());
            let mut stepper = Stepper::new(&network, Loss::Mse, run.level, run.seed, N_ROWS, shard_rows);
            for (step, n) in [N_ROWS, 129, 6, N_ROWS - 1].into_iter().enumerate() {
                let (x, t, step) = (&x[..n * 5], &t[..n], step as u32);
                let loss = stepper.step(step, 0.01, &mut params, &mut ours, x, Targets::Values(t));
                let (sum, grads, found) = by_definition(&network, run, &expected, [x, t], step);
                network.absorb_statistics(run.level, &mut expected, &found);
                theirs.step(run.level, 0.01, &mut expected, &grads);
                let place = format!("{n} rows in shards of {shard_rows} on {threads} threads");
                assert_eq!(loss.to_bits(), (sum / n as f64).to_bits(), "{place}");
                assert_eq!(bits(&params), bits(&expected), "{place}");
            }
        });
    }
}

#[test]
fn rows_shared_out_over_threads_have_the_bits_of_one_thread() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let network = other_network(9, 33, 0.5);
    let params = parameters::<f32>(&network, 5);
    for n_rows in [0, 1, 2, 5, 64, 301] {
        let x = numbers::<f32>(n_rows * 9, 6);
        let level = CpuLevel::detect();
        let expected =
            network.raw_outputs(level, &params, Loss::Mse, &x, &mut network.inference_workspace(64));
        for n_works in 1..=5 {
            let mut works: Vec<_> = (0..n_works).map(|_| network.inference_workspace(16)).collect();
            let mut got = vec![f32::NAN; n_rows];
            pool.install(|| {
                network.raw_outputs_on_threads(level, &params, Loss::Mse, &x, &mut works, &mut got);
            });
            assert_eq!(bits(&got), bits(&expected), "{n_rows} rows in {n_works} pieces");
        }
    }
    // Many rows take all threads, few take one.
    let pieces = |n_rows| pool.install(|| network.inference_workspaces::<f32>(n_rows, 16).len());
    assert_eq!([pieces(0), pieces(10), pieces(1_000_000)], [1, 1, 3]);
}

const RUN: Run =
    Run { level: CpuLevel::Portable, threads: 2, seed: 11, shard_rows: 128, optimizer: OptimizerName::Adam };

fn check_rows_alone<T: Scalar>(network: &Network, loss: Loss, n_rows: usize, batches: &[usize]) {
    let params = parameters::<T>(network, 5);
    let (n_inputs, n_outputs) = (network.n_inputs(), network.n_outputs());
    let x = numbers::<T>(n_rows * n_inputs, 6);
    for level in levels() {
        let mut alone = network.inference_workspace(1);
        let expected = network.predict(level, &params, loss, &x, &mut alone);
        assert_eq!(expected.len(), n_rows * n_outputs);
        for &batch in batches {
            let mut work = network.inference_workspace(batch);
            let got = network.predict(level, &params, loss, &x, &mut work);
            assert_eq!(bits(&got), bits(&expected), "batches of {batch} at {}", level.name());
            // From the middle on, a row has other neighbours and another place.
            let middle = n_rows / 2;
            let got = network.predict(level, &params, loss, &x[middle * n_inputs..], &mut work);
            assert_eq!(bits(&got), bits(&expected[middle * n_outputs..]), "batches of {batch}");
        }
    }
}

#[test]
fn a_row_is_predicted_alone_as_in_any_batch() {
    check_rows_alone::<f32>(&network(9, 33, 0.5), Loss::Mse, 301, &[2, 3, 5, 7, 8, 64, 128, 301, 400]);
    check_rows_alone::<f64>(&network(9, 33, 0.5), Loss::BinaryCrossentropy, 130, &[2, 7, 97, 130]);
    check_rows_alone::<f32>(&other_network(9, 33, 0.5), Loss::Mse, 301, &[2, 3, 5, 7, 8, 64, 128, 301, 400]);
    check_rows_alone::<f64>(&other_network(9, 33, 0.5), Loss::Mse, 130, &[2, 7, 97, 130]);
    check_rows_alone::<f32>(
        &embedding_network(9, 33, 0.5),
        Loss::Mse,
        301,
        &[2, 3, 5, 7, 8, 64, 128, 301, 400],
    );
    check_rows_alone::<f64>(&embedding_network(9, 33, 0.5), Loss::Mse, 130, &[2, 7, 97, 130]);
    check_rows_alone::<f32>(&network_of_blocks(9, 33, 0.5), Loss::Mse, 301, &[2, 3, 5, 7, 8, 64, 128, 301]);
    let members = network_of_members(9, 33, 0.5);
    check_rows_alone::<f32>(&members, Loss::BinaryCrossentropy, 301, &[2, 3, 5, 7, 8, 64, 128, 301]);
    check_rows_alone::<f64>(&members, Loss::Mse, 130, &[2, 7, 97, 130]);
    // Wide enough for products that are packed and cut.
    let wide = Network::new(&[dense(170, Activation::Relu), LayerSpec::batch_norm()], 600, 3);
    check_rows_alone::<f32>(&wide, Loss::CategoricalCrossentropy, 130, &[2, 16, 96, 100, 130]);
}

/// The network with its dropout layers at `rate`.
fn with_rate(rate: f64) -> Network {
    network(6, 15, rate)
}

/// The same network with layers that do nothing in the places of dropout.
fn without_dropout() -> Network {
    let with_dropout = with_rate(0.5);
    let specs = with_dropout.specs().iter().map(|spec| match spec {
        LayerSpec::Dropout { .. } => activation(Activation::Linear),
        other => other.clone(),
    });
    Network::from_specs(specs.collect(), 6)
}

#[test]
fn dropout_of_nothing_is_no_dropout() {
    let expected = train::<f32>(&without_dropout(), RUN);
    assert_eq!(train::<f32>(&with_rate(0.0), RUN), expected);
    assert_ne!(train::<f32>(&with_rate(0.1), RUN), expected);
    // Nor is it a layer.
    let specs = without_dropout().specs().to_vec();
    let shorter = specs.into_iter().filter(|spec| !matches!(spec, LayerSpec::Activation { .. })).collect();
    let shorter = Network::from_specs(shorter, 6);
    assert_eq!(train::<f32>(&shorter, RUN), expected);
}

/// The stack that noise and masked weights are added to.
fn plain() -> Vec<LayerSpec> {
    vec![dense(15, Activation::Relu), dense(4, Activation::Gelu), dense(1, Activation::Linear)]
}

/// [`plain`] with noise before and behind its first layer, and with masked weights in the second.
fn noisy(std: f64, rate: f64) -> Network {
    let mut specs = plain();
    specs[1] = drop_connect(4, Activation::Gelu, rate);
    specs.insert(1, LayerSpec::GaussianNoise { std });
    specs.insert(0, LayerSpec::GaussianNoise { std });
    Network::from_specs(specs, 6)
}

#[test]
fn noise_of_nothing_and_masks_of_nothing_are_absent() {
    let plain = Network::from_specs(plain(), 6);
    let expected = train::<f32>(&plain, RUN);
    assert_eq!(train::<f32>(&noisy(0.0, 0.0), RUN), expected);
    assert_ne!(train::<f32>(&noisy(0.1, 0.0), RUN), expected);
    assert_ne!(train::<f32>(&noisy(0.0, 0.1), RUN), expected);
}

#[test]
fn noise_and_masks_leave_inference_alone() {
    let expected = outputs(&Network::from_specs(plain(), 6), Mode::Infer);
    assert_eq!(outputs(&noisy(0.5, 0.5), Mode::Infer), expected);
    let training = Mode::Train { seed: 1, step: 0, shard: 0 };
    assert_ne!(outputs(&noisy(0.5, 0.0), training), expected);
    assert_ne!(outputs(&noisy(0.0, 0.5), training), expected);
}

#[test]
fn every_seed_step_and_shard_has_its_own_noise_and_mask() {
    let mode = |seed, step, shard| Mode::Train { seed, step, shard };
    let noise = || LayerSpec::GaussianNoise { std: 0.5 };
    let layers = [noise(), drop_connect(50, Activation::Linear, 0.5)];
    for layer in layers {
        let of = |specs: Vec<LayerSpec>, mode| outputs(&Network::from_specs(specs, 50), mode);
        let base = of(vec![layer.clone()], mode(1, 2, 3));
        assert_eq!(base, of(vec![layer.clone()], mode(1, 2, 3)));
        for other in [mode(2, 2, 3), mode(1 + (1 << 32), 2, 3), mode(1, 3, 3), mode(1, 2, 4), mode(1, 3, 2)] {
            assert_ne!(base, of(vec![layer.clone()], other), "{other:?}");
        }
        assert_eq!(
            base,
            of(vec![activation(Activation::Linear), layer], mode(1, 2, 3)),
            "no layer of its kind"
        );
    }
}

/// The outputs of a pass over 40 rows.
fn outputs(network: &Network, mode: Mode) -> Vec<u64> {
    let params = parameters::<f32>(network, 5);
    let x = numbers(40 * network.n_inputs(), 6);
    let pass = Pass { level: CpuLevel::detect(), params: &params, n_rows: 40, mode };
    bits(network.forward(&pass, &x, &mut network.workspace(40)))
}

#[test]
fn a_layer_in_a_block_has_numbers_of_its_own() {
    let dropout = || LayerSpec::Dropout { rate: 0.5 };
    let mode = Mode::Train { seed: 1, step: 2, shard: 3 };
    let of = |specs: Vec<LayerSpec>| outputs(&Network::from_specs(specs, 50), mode);
    // What is kept is doubled. The ratio of y to x that shows one mask kept and another dropped would be missing, and
    // the one that shows both kept twice as frequent, if the two were the same.
    let inputs: Vec<f32> = numbers(40 * 50, 6);
    for (specs, ratio) in [
        (vec![dropout(), residual([dropout()])], 2.0),
        (vec![residual([dropout(), dropout()])], 5.0),
        (vec![residual([dropout(), residual([dropout()])])], 3.0),
    ] {
        let of_ratio = |(y, x): (&u64, &f32)| (f64::from_bits(*y) / f64::from(*x) - ratio).abs() < 1e-3;
        let found = of(specs.clone()).iter().zip(&inputs).filter(|pair| of_ratio(*pair)).count();
        // 500 of 2000 expected, standard deviation 19.
        assert!(found.abs_diff(500) < 100, "{specs:?}: {found}");
    }
    let weights = |specs: Vec<LayerSpec>| {
        let network = Network::from_specs(specs, 9);
        let params = network.init::<f64>(1);
        let all = network.views().iter().filter(|v| v.name.ends_with("weight"));
        all.map(|v| bits(&params[v.range()])).collect::<Vec<_>>()
    };
    let layer = || dense(9, Activation::Tanh);
    let all = weights(vec![layer(), residual([layer(), residual([layer(), layer()])]), layer()]);
    assert_eq!(all.len(), 5);
    for (i, one) in all.iter().enumerate() {
        assert!(!all[..i].contains(one), "{i}");
    }
}

#[test]
fn dropout_leaves_inference_alone() {
    let expected = outputs(&without_dropout(), Mode::Infer);
    for rate in [0.0, 0.5, 0.9] {
        assert_eq!(outputs(&with_rate(rate), Mode::Infer), expected, "rate {rate}");
    }
    let training = Mode::Train { seed: 1, step: 0, shard: 0 };
    assert_ne!(outputs(&with_rate(0.5), training), outputs(&without_dropout(), training));
}

#[test]
fn every_seed_step_shard_and_layer_drops_its_own() {
    let dropout = || LayerSpec::Dropout { rate: 0.5 };
    let dropped = |specs: Vec<LayerSpec>, mode| outputs(&Network::from_specs(specs, 50), mode);
    let mode = |seed, step, shard| Mode::Train { seed, step, shard };
    let base = dropped(vec![dropout()], mode(1, 2, 3));
    assert_eq!(base, dropped(vec![dropout()], mode(1, 2, 3)));
    for other in [mode(2, 2, 3), mode(1 + (1 << 32), 2, 3), mode(1, 3, 3), mode(1, 2, 4), mode(1, 3, 2)] {
        assert_ne!(base, dropped(vec![dropout()], other), "{other:?}");
    }
    assert_eq!(base, dropped(vec![activation(Activation::Linear), dropout()], mode(1, 2, 3)), "no dropout");
    // Half of half is left: the two layers do not drop the same numbers.
    let twice = dropped(vec![dropout(), dropout()], mode(1, 2, 3));
    let left = twice.iter().filter(|bits| f64::from_bits(**bits) != 0.0).count();
    // 500 of 2000 expected, standard deviation 19.
    assert!(left.abs_diff(500) < 100, "{left}");
}

#[test]
fn a_loss_that_is_not_finite_changes_nothing() {
    let network = network(3, 5, 0.2);
    let mut params = network.init::<f32>(1);
    let before = bits(&params);
    let mut optimizer = Optimizer::new(&optimizer(OptimizerName::Adam), network.views());
    let mut stepper = Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 1, 8, 4);
    let (mut x, t) = (numbers::<f32>(8 * 3, 1), numbers::<f32>(8, 2));
    x[20] = f32::NAN;
    let loss = stepper.step(0, 0.1, &mut params, &mut optimizer, &x, Targets::Values(&t));
    assert!(loss.is_nan());
    assert_eq!(bits(&params), before);
    assert_eq!(stepper.first_non_finite_layer(0, &params, &x), Some(0));
    x[20] = 0.0;
    let loss = stepper.step(0, 0.1, &mut params, &mut optimizer, &x, Targets::Values(&t));
    assert!(loss.is_finite());
    assert_ne!(bits(&params), before);
}

#[test]
fn batches_of_every_size_fit_into_the_planned_memory() {
    let network = network(3, 5, 0.2);
    let (x, t) = (numbers::<f32>(40 * 3, 1), numbers::<f32>(40, 2));
    for max_rows in 1..=40 {
        for shard_rows in [1, 3, 8, 13, 39, 100] {
            let mut params = network.init::<f32>(1);
            let mut optimizer = Optimizer::new(&optimizer(OptimizerName::Adam), network.views());
            let mut stepper = Stepper::new(&network, Loss::Mse, CpuLevel::Portable, 1, max_rows, shard_rows);
            for n in 1..=max_rows {
                let targets = Targets::Values(&t[..n]);
                let loss = stepper.step(n as u32, 1e-3, &mut params, &mut optimizer, &x[..3 * n], targets);
                assert!(loss.is_finite(), "{n} of {max_rows} rows in shards of {shard_rows}");
            }
        }
    }
}

#[test]
fn a_number_that_is_not_finite_is_found_in_every_row() {
    let network = Network::new(&[], 1, 1);
    let mut params = network.init::<f32>(1);
    let mut optimizer = Optimizer::new(&optimizer(OptimizerName::Sgd), network.views());
    let mut stepper = Stepper::new(&network, Loss::Mse, CpuLevel::Portable, 1, 11, 4);
    for row in 0..11 {
        let mut x = numbers::<f32>(11, 1);
        x[row] = f32::INFINITY;
        let loss = stepper.step(0, 1e-3, &mut params, &mut optimizer, &x, Targets::Values(&[0.0; 11]));
        assert!(!loss.is_finite());
        assert_eq!(stepper.first_non_finite_layer(0, &params, &x), Some(0), "row {row}");
    }
}

#[test]
fn shards_are_one_batch() {
    // Without statistics and dropout, shards add up to the batch: the same step, up to rounding.
    let network = Network::new(&[dense(9, Activation::Tanh)], 5, 3);
    let (x, targets) = (numbers::<f64>(50 * 5, 1), classes(50, 3, 2));
    let step = |shard_rows: usize| {
        let mut params = network.init::<f64>(1);
        let mut settings = optimizer(OptimizerName::Sgd);
        settings.momentum = 0.0;
        let mut optimizer = Optimizer::new(&settings, network.views());
        let loss = Loss::CategoricalCrossentropy;
        let mut stepper = Stepper::new(&network, loss, CpuLevel::detect(), 1, 50, shard_rows);
        let loss = stepper.step(0, 0.5, &mut params, &mut optimizer, &x, Targets::Classes(&targets));
        (loss, params)
    };
    let (whole_loss, whole) = step(50);
    for shard_rows in [1, 7, 25, 49] {
        let (loss, params) = step(shard_rows);
        assert!((loss - whole_loss).abs() < 1e-14, "shards of {shard_rows}: {loss}, not {whole_loss}");
        let off = params.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-14, "shards of {shard_rows}: off by {off:e}");
    }
}
