//! The contract of everything that a network can be made of: shapes, gradients, modes, threads, saving and loading,
//! summary. One list of variants, one test for each clause. `tests/gradients.rs` goes deeper into gradients: every
//! parameter, every pair of layers, many shapes.

use crate::cli;
use crate::common;
use std::sync::Arc;

use cli::folder;
use common::variants::{stacks, variants};
use common::{bits, numbers, of_kind, parameters};
use statera::config::layers::LAYER_KEYS;
use statera::config::{
    Activation, CategoryEncoding, Config, EnsembleKind, LayerSpec, NumericEmbedding, Precision, WeightKind,
};
use statera::data::{RawTable, ReadOptions, read_table};
use statera::model::{Model, Params};
use statera::nn::{CpuLevel, Layer, Loss, Mode, Network, Pass, Targets};
use statera::run::{Plan, execute};
use statera::train::events::{Answer, Event};

/// Everything that is made of layers, embeddings, ensembles and kinds of weights, as settings.
fn all() -> Vec<(String, Config)> {
    let mut base = Config::default();
    base.data.target = "y".into();
    base.train.epochs = 3;
    base.train.shard_rows = 16;
    base.train.batch_size = 40;
    (base.evaluate.baselines, base.evaluate.bootstrap) = (false, 0);
    (base.weights.prune_begin, base.weights.prune_end, base.weights.sparsity) = (0, 1, 0.5);
    base.network.hidden = vec![6, 6];
    base.ensemble.members = 3;
    let mut all = Vec::new();
    let mut add = |name: String, change: &dyn Fn(&mut Config)| {
        let mut config = base.clone();
        change(&mut config);
        all.push((name, config));
    };
    let kinds = [WeightKind::Binary, WeightKind::Sparse].map(|kind| vec![of_kind(5, Activation::Tanh, kind)]);
    let single = variants(5).into_iter().map(|layer| match layer {
        // Members have weights of their own where there are members.
        LayerSpec::Dense { packed: true, .. } => vec![LayerSpec::Members { count: 3 }, layer],
        layer => vec![layer],
    });
    for layers in single.chain(stacks(4)).chain(kinds) {
        add(format!("{layers:?}"), &|config| config.network.layers.clone_from(&layers));
    }
    for numeric in NumericEmbedding::ALL {
        add(format!("embedding.numeric = {numeric}"), &|config| config.embedding.numeric = *numeric);
    }
    for categories in CategoryEncoding::ALL {
        let name = format!("embedding.categories = {categories}");
        add(name, &|config| config.embedding.categories = *categories);
    }
    for kind in EnsembleKind::ALL {
        add(format!("ensemble.kind = {kind}"), &|config| config.ensemble.kind = *kind);
    }
    for kind in WeightKind::ALL {
        add(format!("weights.kind = {kind}"), &|config| config.weights.kind = *kind);
    }
    all
}

/// The plan of each, on one small table.
fn plans() -> Vec<(String, Plan)> {
    let folder = folder();
    let null_words = Config::default().data.null;
    let options = ReadOptions { null_words, ..ReadOptions::default() };
    let raw: RawTable = read_table(&[folder.path().join("t.csv")], &options).unwrap();
    let raw = Arc::new(raw);
    let plan = |(name, config): (String, Config)| match Plan::of(config, Arc::clone(&raw)) {
        Ok(plan) => (name, plan),
        Err(error) => panic!("{name}: {error}"),
    };
    all().into_iter().map(plan).collect()
}

const N_ROWS: usize = 7;

fn pass<T>(params: &[T], n_rows: usize, mode: Mode) -> Pass<'_, T> {
    Pass { level: CpuLevel::detect(), params, n_rows, mode }
}

/// Inputs that any network takes: categories enter an embedding as codes, which are small whole numbers.
fn inputs(network: &Network, n_rows: usize) -> Vec<f64> {
    let x = numbers::<f64>(n_rows * network.n_inputs(), 2);
    let has_codes = |layer: &LayerSpec| matches!(layer, LayerSpec::Embedding { .. });
    if network.specs().iter().any(has_codes) { x.iter().map(|x| x.abs().floor()).collect() } else { x }
}

#[test]
fn outputs_have_their_shape_and_summaries_count_them() {
    for (name, plan) in plans() {
        let network = &plan.network;
        let params = parameters::<f64>(network, 1);
        for n_rows in [1, 2, 5] {
            for mode in [Mode::Infer, Mode::Train { seed: 1, step: 2, shard: 3 }] {
                let x = inputs(network, n_rows);
                let mut work = network.workspace(5);
                let y = network.forward(&pass(&params, n_rows, mode), &x, &mut work);
                assert_eq!(y.len(), n_rows * network.n_members() * network.n_outputs(), "{name}");
                assert!(y.iter().all(|y| y.is_finite()), "{name}: {y:?}");
            }
        }
        let rows = network.summary();
        assert_eq!(
            rows.iter().map(|row| row.trainable + row.fixed).sum::<usize>(),
            network.n_params(),
            "{name}"
        );
        let last = rows.last().unwrap();
        assert_eq!([last.out_features, last.n_members], [network.n_members(); 2], "{name}");
    }
}

/// Whether a layer changes what it does from step to step.
fn draws(layer: &Layer) -> bool {
    match layer {
        Layer::Dropout(layer) => layer.rate > 0.0,
        Layer::GaussianNoise(layer) => layer.std > 0.0,
        Layer::Dense(_) => layer.detail().contains("drop_connect"),
        _ => false,
    }
}

#[test]
fn only_training_draws_and_each_step_its_own() {
    for (name, plan) in plans() {
        let network = &plan.network;
        let (params, x) = (parameters::<f64>(network, 1), inputs(network, N_ROWS));
        let y = |mode| {
            let mut work = network.workspace(N_ROWS);
            bits(network.forward(&pass(&params, N_ROWS, mode), &x, &mut work))
        };
        let train = |seed, step| y(Mode::Train { seed, step, shard: 0 });
        assert_eq!(y(Mode::Infer), y(Mode::Infer), "{name}");
        assert_eq!(train(1, 2), train(1, 2), "{name}");
        let draws = network.layers().iter().any(draws);
        assert_eq!(train(1, 2) != train(1, 3), draws, "{name}");
        assert_eq!(train(1, 2) != train(5, 2), draws, "{name}");
        let has_statistics = network.n_statistics() > 0;
        if !draws && !has_statistics && !network.trains_latent_weights() {
            assert_eq!(train(1, 2), y(Mode::Infer), "{name}");
        }
    }
}

#[test]
fn gradients_are_slopes_of_the_loss() {
    const H: f64 = 1e-6;
    // The straight-through gradient of binary weights is none.
    for (name, plan) in plans().into_iter().filter(|(_, plan)| !plan.network.trains_latent_weights()) {
        let network = &plan.network;
        let params = parameters::<f64>(network, 1);
        let (x, t) = (inputs(network, N_ROWS), numbers::<f64>(N_ROWS, 3));
        let mode = Mode::Train { seed: 1, step: 2, shard: 0 };
        let run = |params: &[f64]| {
            let mut work = network.workspace(N_ROWS);
            let targets = Targets::Values(&t);
            network.forward_backward(
                &pass(params, N_ROWS, mode),
                Loss::Mse,
                &x,
                targets,
                1.0,
                false,
                &mut work,
            );
            let sum = work.loss_sum;
            (sum, work.grads.to_vec())
        };
        // Along a direction of its own for each tensor.
        let (_, grads) = run(&params);
        let largest = grads.iter().fold(1.0, |largest: f64, g| largest.max(g.abs()));
        for (view, salt) in network.views().iter().filter(|view| view.trainable).zip(10..) {
            let direction = numbers::<f64>(view.len(), salt);
            let at = |h: f64| {
                let mut moved = params.clone();
                moved[view.range()].iter_mut().zip(&direction).for_each(|(p, d)| *p += h * d);
                run(&moved).0
            };
            let expected = (at(H) - at(-H)) / (2.0 * H);
            let got: f64 = grads[view.range()].iter().zip(&direction).map(|(g, d)| g * d).sum();
            let off = (got - expected).abs() / expected.abs().max(1e-2 * largest);
            assert!(off < 1e-4, "{name}: {} has the slope {got}, by differences {expected}", view.name);
        }
    }
}

fn bits_of(params: &Params) -> Vec<u64> {
    match params {
        Params::F32(params) => bits(params),
        Params::F64(params) => bits(params),
    }
}

#[test]
fn training_is_the_same_on_any_threads_and_saving_keeps_every_bit() {
    let pools = [1, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    for (i, (name, mut plan)) in plans().into_iter().enumerate() {
        plan.config.network.precision = [Precision::F32, Precision::F64][i % 2];
        let trained = |pool: &rayon::ThreadPool| {
            let run = || execute(&plan, &mut |_: &Event| Answer::GoOn);
            pool.install(run).unwrap_or_else(|error| panic!("{name}: {error}")).model
        };
        let [model, other] = pools.each_ref().map(trained);
        assert_eq!(bits_of(&model.params), bits_of(&other.params), "{name}");
        let loaded = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
        assert_eq!(loaded.card, model.card, "{name}");
        assert_eq!(bits_of(&loaded.params), bits_of(&model.params), "{name}");
        assert_eq!(loaded.network.summary(), model.network.summary(), "{name}");
        let x = plan.inputs(&plan.split.test).unwrap();
        assert_eq!(bits(&loaded.run(&x)), bits(&model.run(&x)), "{name}");
    }
}

#[test]
fn every_kind_of_layer_is_under_the_contract() {
    let plans = plans();
    let kinds: Vec<&str> =
        plans.iter().flat_map(|(_, plan)| plan.network.layers()).map(Layer::kind).collect();
    for kind in LAYER_KEYS {
        assert!(kinds.contains(&kind.name), "{} has no variant", kind.name);
    }
    assert!(kinds.contains(&"embedding"));
}
