//! After the first step, a training step allocates nothing.
//!
//! The counter counts for the whole process, so this test is a programme of its own and has no harness.

#[allow(dead_code, reason = "it uses a part of what the tests share")]
mod common;

use std::alloc::System;
use std::sync::Barrier;

use common::{
    activation, classes, dense, drop_connect, embeddings, numbers, of_kind, optimizer, packed, residual,
    scale_and_shift,
};
use statera::config::{Activation, Config, Constraint, CurriculumBy, LayerSpec, OptimizerName, WeightKind};
use statera::data::TargetScaler;
use statera::nn::{CpuLevel, Loss, Network, Scalar, Targets};
use statera::train::events::{Answer, Event};
use statera::train::fit::{OwnedTargets, RowFacts, Rows, fit};
use statera::train::full_batch::FullBatch;
use statera::train::optimizer::Optimizer;
use statera::train::step::Stepper;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const N_ROWS: usize = 96;
const N_INPUTS: usize = 7;
/// More than the 128 pins after which a work-stealing queue looks for memory to give back.
const N_STEPS: u32 = 300;

/// How often memory was asked for while `run` ran.
fn allocations(run: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    run();
    let change = region.change();
    change.allocations + change.reallocations
}

/// The allocations of the steps after the first.
fn allocations_of_steps<T: Scalar>(
    specs: &[LayerSpec],
    loss: Loss,
    optimizer_name: OptimizerName,
    n_shards: usize,
    weighted: bool,
) -> usize {
    let n_outputs = if loss.is_categorical() { 3 } else { 1 };
    let network = Network::new(specs, N_INPUTS, n_outputs);
    let mut params = network.init::<T>(1);
    let mut optimizer = Optimizer::new(&optimizer(optimizer_name), network.views());
    let level = CpuLevel::detect();
    let mut settings = Config::default().train;
    if optimizer_name == OptimizerName::Adamw {
        (settings.accumulate, settings.clip_value, settings.clip_norm) = (3, 1.0, 0.5);
    }
    let mut stepper =
        Stepper::new(&network, loss, level, 1, N_ROWS, N_ROWS.div_ceil(n_shards)).with_settings(&settings);
    let (x, values) = (numbers::<T>(N_ROWS * N_INPUTS, 1), numbers::<T>(N_ROWS, 2));
    let classes = classes(N_ROWS, n_outputs.max(2), 3);
    let weights = [T::ONE; N_ROWS];
    let targets = match (loss.is_classification(), weighted) {
        (true, false) => Targets::Classes(&classes),
        (true, true) => Targets::WeightedClasses(&classes, &weights),
        (false, false) => Targets::Values(&values),
        (false, true) => Targets::WeightedValues(&values, &weights),
    };
    let mut step = |step: u32| {
        // The last batch of an epoch is a smaller one.
        let n = if step % 5 == 4 { N_ROWS - 3 } else { N_ROWS };
        let x = &x[..n * N_INPUTS];
        let loss = stepper.step(step, 1e-4, &mut params, &mut optimizer, x, targets.slice(0..n));
        assert!(loss.is_finite());
    };
    step(0);
    allocations(|| (1..N_STEPS).for_each(&mut step))
}

/// The optimisers that make a step for each batch.
fn by_batches() -> impl Iterator<Item = &'static OptimizerName> {
    OptimizerName::ALL.iter().filter(|name| **name != OptimizerName::Lbfgs)
}

/// The allocations of iterations of L-BFGS after the first, more of them than it remembers.
fn check_full_batch(n_shards: usize, place: &str) {
    let network = Network::new(&[dense(9, Activation::Tanh)], N_INPUTS, 1);
    let mut params = network.init::<f64>(1);
    let mut settings = optimizer(OptimizerName::Lbfgs);
    (settings.lbfgs_memory, settings.lbfgs_tolerance) = (4, 0.0);
    let targets = OwnedTargets::Values(numbers::<f64>(N_ROWS, 2));
    let rows = Rows { x: numbers::<f64>(N_ROWS * N_INPUTS, 1), targets };
    let shard_rows = N_ROWS.div_ceil(n_shards);
    let mut stepper = Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 1, N_ROWS, shard_rows);
    let mut solver = FullBatch::new(&settings, &params);
    let mut iterate = || {
        let epoch = solver.epoch(&mut stepper, &network, &rows, &mut params);
        assert!(epoch.loss.is_finite() && epoch.ended.is_none(), "{epoch:?}");
    };
    iterate();
    assert_eq!(allocations(|| (0..20).for_each(|_| iterate())), 0, "{place}: lbfgs");
}

/// Every kind of layer, alone and in a stack.
fn stacks() -> Vec<Vec<LayerSpec>> {
    let alone = [
        dense(40, Activation::Relu),
        dense(70, Activation::Sigmoid),
        LayerSpec::batch_norm(),
        LayerSpec::Dropout { rate: 0.3 },
        activation(Activation::Tanh),
        drop_connect(30, Activation::Gelu, 0.2),
        activation(Activation::Mish),
        LayerSpec::layer_norm(),
        LayerSpec::GaussianNoise { std: 0.1 },
        LayerSpec::scale(),
        of_kind(20, Activation::Relu, WeightKind::Binary),
        of_kind(20, Activation::Tanh, WeightKind::Sparse),
        residual([dense(7, Activation::Gelu), LayerSpec::batch_norm()]),
    ];
    let mut stacks: Vec<Vec<LayerSpec>> = alone.iter().map(|spec| vec![spec.clone()]).collect();
    // The block comes first, where rows are as wide as it makes them.
    let [others @ .., block] = alone;
    stacks.push([vec![block], others.to_vec()].concat());
    stacks.push(ensemble());
    // The last holds every kind of embedding.
    let embedding = embeddings(N_INPUTS, 5).pop();
    stacks.push(embedding.clone().into_iter().collect());
    stacks.push(embedding.into_iter().chain(others.to_vec()).collect());
    stacks.push(Vec::new());
    stacks
}

/// Members that share weights, and then have their own.
fn ensemble() -> Vec<LayerSpec> {
    vec![
        LayerSpec::Members { count: 5 },
        scale_and_shift(),
        dense(20, Activation::Relu),
        LayerSpec::layer_norm(),
        packed(dense(9, Activation::Gelu)),
        residual([packed(drop_connect(9, Activation::Tanh, 0.2))]),
    ]
}

fn check_all(n_shards: usize, place: &str) {
    check_full_batch(n_shards, place);
    let losses = [
        Loss::Mse,
        Loss::Mae,
        Loss::Huber { delta: 1.0 },
        Loss::Rmse,
        Loss::LogCosh,
        Loss::Quantile { quantile: 0.9 },
        Loss::Poisson,
        Loss::BinaryCrossentropy,
        Loss::SmoothBinaryCrossentropy { label_smoothing: 0.1 },
        Loss::BinaryFocal { gamma: 2.0 },
        Loss::Hinge,
        Loss::CategoricalCrossentropy,
        Loss::SmoothCategoricalCrossentropy { label_smoothing: 0.1 },
        Loss::CategoricalFocal { gamma: 2.0 },
    ];
    for specs in stacks() {
        let single = allocations_of_steps::<f32>(&specs, Loss::Mse, OptimizerName::Adam, n_shards, false);
        let double = allocations_of_steps::<f64>(&specs, Loss::Mse, OptimizerName::Sgd, n_shards, true);
        assert_eq!((single, double), (0, 0), "{place}: {specs:?}");
    }
    for &optimizer in by_batches() {
        // What the loss is makes no difference to an optimiser: one of them meets all.
        let n_losses = if optimizer == OptimizerName::Adamw { losses.len() } else { 1 };
        for loss in losses.into_iter().take(n_losses) {
            for specs in [vec![dense(9, Activation::Relu)], ensemble()] {
                for weighted in [false, true] {
                    let found = allocations_of_steps::<f32>(&specs, loss, optimizer, n_shards, weighted);
                    assert_eq!(found, 0, "{place}: {specs:?} {loss:?} {optimizer}, weighted {weighted}");
                }
            }
        }
    }
}

/// The allocations of a training run up to the end of its second epoch, with everything that changes rows, weights or
/// gradients. What is said afterwards of weights that got worse, as they may of random targets, does not count.
fn allocations_of_fit(loss: Loss, batch_size: usize, name: OptimizerName, weighted: bool) -> usize {
    let n_outputs = if loss.is_categorical() { 3 } else { 1 };
    let sparse = of_kind(9, Activation::Relu, WeightKind::Sparse);
    let network = Network::new(&[sparse, LayerSpec::batch_norm()], N_INPUTS, n_outputs);
    let targets = if loss.is_classification() {
        OwnedTargets::Classes(classes(N_ROWS, n_outputs.max(2), 3))
    } else {
        OwnedTargets::Values(numbers::<f32>(N_ROWS, 2))
    };
    let targets = if weighted { targets.weighted(vec![1.0; N_ROWS]) } else { targets };
    let rows = Rows { x: numbers(N_ROWS * N_INPUTS, 1), targets };
    let difficulty = (0..N_ROWS).map(|row| row as f64).collect();
    let facts = RowFacts { numeric_inputs: vec![0, 3], difficulty };
    let mut config = Config::default();
    (config.train.epochs, config.train.batch_size) = (2, batch_size);
    (config.augment.jitter, config.augment.mixup) = (0.1, 0.3);
    (config.noise.labels, config.noise.weights, config.noise.gradients) = (0.1, 0.1, 0.1);
    (config.curriculum.by, config.curriculum.start) = (CurriculumBy::Loss, 0.9);
    (config.optimizer.name, config.optimizer.l1) = (name, 0.01);
    config.optimizer.constraint = Constraint::MaxNorm;
    (config.weights.prune_begin, config.weights.prune_end) = (1, 1);
    let level = CpuLevel::detect();
    let run = || {
        let region = Region::new(ALLOCATOR);
        let (mut epochs, mut change) = (0, Region::new(ALLOCATOR).change());
        let mut listener = |event: &Event| {
            if let Event::Epoch(_) = event {
                (epochs, change) = (epochs + 1, region.change());
            }
            Answer::GoOn
        };
        fit(&network, loss, level, &config, &rows, &facts, &rows, &TargetScaler::IDENTITY, &mut listener)
            .unwrap();
        assert_eq!(epochs, 2);
        change.allocations + change.reallocations
    };
    run();
    run()
}

/// What is changed on the way to a step takes no memory either: a run of many steps asks for it as often as one of few.
fn check_fit() {
    for (loss, weighted) in [
        (Loss::Mse, false),
        (Loss::Mse, true),
        (Loss::BinaryCrossentropy, false),
        (Loss::CategoricalFocal { gamma: 2.0 }, true),
    ] {
        for &name in by_batches() {
            let counts = [32, 16, 4].map(|batch_size| allocations_of_fit(loss, batch_size, name, weighted));
            assert!(
                counts[0] == counts[1] && counts[1] == counts[2],
                "{loss:?} {name} {weighted}: {counts:?}"
            );
        }
    }
}

/// A million rows in one batch take memory for the shards that are computed at a time, not for all of them.
fn check_a_huge_batch(place: &str) {
    const HUGE: usize = 1_000_000;
    let network = Network::new(&[LayerSpec::batch_norm(), dense(500, Activation::Relu)], N_INPUTS, 1);
    let mut params = network.init::<f32>(1);
    let mut optimizer = Optimizer::new(&optimizer(OptimizerName::Adam), network.views());
    let (x, t) = (numbers::<f32>(HUGE * N_INPUTS, 1), numbers::<f32>(HUGE, 2));
    let region = Region::new(ALLOCATOR);
    let mut stepper = Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 1, HUGE, 100);
    let mut step = |step| {
        let loss = stepper.step(step, 1e-4, &mut params, &mut optimizer, &x, Targets::Values(&t));
        assert!(loss.is_finite());
    };
    step(0);
    let found = region.change();
    let held = found.bytes_allocated - found.bytes_deallocated;
    // 10,000 shards: a workspace for each took 3.2 gigabytes, of which 180 megabytes of gradients.
    let (threads, n_shards) = (rayon::current_num_threads(), HUGE / 100);
    let n_sums = threads * (8 + n_shards.ilog2() as usize);
    let workspace = 100 * (2 * N_INPUTS + 3 * 500 + 1) + 60_000;
    let numbers = n_sums * network.n_params() + threads * workspace + n_shards * 2 * N_INPUTS;
    // Each buffer chooses where in its pages it begins.
    let bound = 4 * numbers + 8192 * (n_sums + 10 * threads);
    assert!(held < bound && bound < 5_000_000, "{place}: {held} bytes, expected at most {bound}");
    assert_eq!(allocations(|| step(1)), 0, "{place}");
}

fn main() {
    // The counter counts.
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1_u8; 100]))), 1);

    check_all(1, "one shard");
    // Threads that begin or end ask for memory, too. So both pools live to the end, and before anything is
    // counted, each thread of theirs has started and taken work from another.
    let pools = [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    let met = Barrier::new(2);
    let meet = || {
        met.wait();
    };
    pools[0].install(|| ());
    pools[1].install(|| rayon::join(meet, meet));
    pools[0].install(check_fit);
    for pool in &pools {
        for n_shards in [2, 3] {
            let place = format!("{n_shards} shards on {} threads", pool.current_num_threads());
            // Steps are made inside the pool: handing it work from outside takes memory now and then.
            pool.install(|| check_all(n_shards, &place));
        }
        pool.install(|| check_a_huge_batch(&format!("{} threads", pool.current_num_threads())));
    }
    println!("no step after the first allocates");
}
