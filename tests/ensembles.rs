//! Ensembles inside one network: each member against a network of its own, the mean prediction, and the settings.

use crate::cli;
use crate::common;
use std::path::Path;

use cli::{Outcome, call, table, with_card};
use common::{bits, classes, dense, numbers, optimizer, packed, parameters, residual};
use serde_json::{Value, json};
use statera::config::{Activation, Config, Constraint, Initializer, LayerSpec, OptimizerName};
use statera::nn::{CpuLevel, Loss, Mode, Network, Pass, Targets};
use statera::train::optimizer::Optimizer;

const K: usize = 3;
const N_ROWS: usize = 40;
const N_INPUTS: usize = 4;

/// What a training pass leaves.
struct Passed {
    outputs: Vec<f64>,
    loss: f64,
    grads: Vec<f64>,
    dx: Vec<f64>,
}

fn pass(network: &Network, params: &[f64]) -> Passed {
    let (x, t) = (numbers::<f64>(N_ROWS * N_INPUTS, 2), numbers::<f64>(N_ROWS, 3));
    let mut work = network.workspace(N_ROWS);
    let mode = Mode::Train { seed: 1, step: 0, shard: 0 };
    let pass = Pass { level: CpuLevel::detect(), params, n_rows: N_ROWS, mode };
    let outputs = network.forward(&pass, &x, &mut work).to_vec();
    network.forward_backward(&pass, Loss::Mse, &x, Targets::Values(&t), 1.0, true, &mut work);
    let dx = work.input_gradient()[..x.len()].to_vec();
    Passed { outputs, loss: work.loss_sum, grads: work.grads.to_vec(), dx }
}

fn predict(network: &Network, params: &[f64]) -> Vec<f64> {
    let x = numbers::<f64>(N_ROWS * N_INPUTS, 2);
    network.predict(CpuLevel::detect(), params, Loss::Mse, &x, &mut network.inference_workspace(7))
}

#[track_caller]
fn near(got: &[f64], expected: &[f64], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let off = got.iter().zip(expected).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max);
    assert!(off < 1e-11, "{what}: off by {off:e}");
}

/// The mean over members, number by number.
fn mean<'a>(of_members: impl ExactSizeIterator<Item = &'a [f64]>) -> Vec<f64> {
    let share = 1.0 / of_members.len() as f64;
    let mut sums = Vec::new();
    for member in of_members {
        sums.resize(member.len(), 0.0);
        sums.iter_mut().zip(member).for_each(|(sum, v)| *sum += share * v);
    }
    sums
}

/// Compares an ensemble with K networks of their own, whose parameters `of_member` takes out of the ensemble's;
/// returns the ensemble's parameters and what the passes left, the ensemble's first.
fn compared(
    ensemble: &Network,
    single: &Network,
    of_member: impl Fn(&[f64], usize) -> Vec<f64>,
) -> (Vec<f64>, Passed, Vec<Passed>) {
    assert_eq!((ensemble.n_members(), ensemble.n_outputs()), (K, 1));
    let params = parameters::<f64>(ensemble, 1);
    let together = pass(ensemble, &params);
    let apart: Vec<Passed> = (0..K).map(|k| pass(single, &of_member(&params, k))).collect();
    for (k, member) in apart.iter().enumerate() {
        let own: Vec<f64> = together.outputs.iter().skip(k).step_by(K).copied().collect();
        near(&own, &member.outputs, &format!("outputs of member {k}"));
    }
    near(&[together.loss], &mean(apart.iter().map(|p| std::slice::from_ref(&p.loss))), "loss");
    near(&together.dx, &mean(apart.iter().map(|p| &p.dx[..])), "gradient of the inputs");
    let predicted: Vec<Vec<f64>> = (0..K).map(|k| predict(single, &of_member(&params, k))).collect();
    near(&predict(ensemble, &params), &mean(predicted.iter().map(|p| &p[..])), "predictions");
    (params, together, apart)
}

#[test]
fn packed_members_are_networks_of_their_own() {
    let layers = |own: fn(LayerSpec) -> LayerSpec| {
        vec![
            own(dense(5, Activation::Gelu)),
            LayerSpec::layer_norm(),
            LayerSpec::scale(),
            residual([own(dense(5, Activation::Tanh))]),
            LayerSpec::batch_norm(),
            own(dense(1, Activation::Linear)),
        ]
    };
    let members = [vec![LayerSpec::Members { count: K }], layers(packed)].concat();
    let ensemble = Network::from_specs(members, N_INPUTS);
    let single = Network::from_specs(layers(|spec| spec), N_INPUTS);
    assert_eq!(ensemble.n_params(), K * single.n_params());
    // Each tensor holds the members one behind the other.
    let of_member = |params: &[f64], k: usize| -> Vec<f64> {
        let own = |range: std::ops::Range<usize>| {
            let n = range.len() / K;
            params[range.start + k * n..range.start + (k + 1) * n].to_vec()
        };
        ensemble.views().iter().flat_map(|view| own(view.range())).collect()
    };
    let (_, together, apart) = compared(&ensemble, &single, of_member);
    for (k, member) in apart.iter().enumerate() {
        let own = of_member(&together.grads, k);
        for view in single.views().iter().filter(|view| view.trainable) {
            let expected: Vec<f64> = member.grads[view.range()].iter().map(|g| g / K as f64).collect();
            near(&own[view.range()], &expected, &format!("gradient of {} of member {k}", view.name));
        }
    }
}

/// The numbers of the tensor `name`.
fn tensor<'a>(network: &Network, params: &'a [f64], name: &str) -> &'a [f64] {
    let view = network.views().iter().find(|view| view.name == name);
    &params[view.unwrap_or_else(|| panic!("there is no {name}")).range()]
}

/// f(s∘((r∘x)·W) + b) of a member is f(x·W′ + b) with W′ = r·W·s.
#[test]
fn adapters_are_weights_of_their_own_in_disguise() {
    let text = "network = { hidden = [5, 6], activation = 'tanh', dropout = 0 }
        ensemble = { kind = 'tabm', members = 3 }";
    let config = Config::from_toml_str(text).unwrap();
    let ensemble = Network::new(&config.expanded_layers(), N_INPUTS, 1);
    let single = Network::from_specs(
        vec![dense(5, Activation::Tanh), dense(6, Activation::Tanh), dense(1, Activation::Linear)],
        N_INPUTS,
    );
    let of_member = |params: &[f64], k: usize| -> Vec<f64> {
        let mut own = Vec::new();
        for (first, [i, o]) in [(1, [N_INPUTS, 5]), (5, [5, 6])] {
            let of = |layer: usize, name: &str| tensor(&ensemble, params, &format!("layers.{layer}.{name}"));
            let (r, w) = (of(first, "weight"), of(first + 1, "weight"));
            let (s, b) = (of(first + 2, "weight"), of(first + 2, "bias"));
            let weight = |n: usize| r[k * i + n / o] * w[n] * s[k * o + n % o];
            own.extend((0..i * o).map(weight));
            own.extend(&b[k * o..(k + 1) * o]);
        }
        own.extend(&tensor(&ensemble, params, "layers.9.weight")[k * 6..(k + 1) * 6]);
        own.push(tensor(&ensemble, params, "layers.9.bias")[k]);
        own
    };
    let (params, together, apart) = compared(&ensemble, &single, of_member);
    // ∂L/∂W = Σ over members of r·∂L/∂W′·s, and ∂L/∂r = Σ over outputs of W·s·∂L/∂W′.
    let (r, w) =
        (tensor(&ensemble, &params, "layers.5.weight"), tensor(&ensemble, &params, "layers.6.weight"));
    let s = tensor(&ensemble, &params, "layers.7.weight");
    let (mut dw, mut dr) = (vec![0.0; 30], vec![0.0; 15]);
    for (k, member) in apart.iter().enumerate() {
        for (n, g) in tensor(&single, &member.grads, "layers.1.weight").iter().enumerate() {
            let (r_here, s_here) = (r[k * 5 + n / 6], s[k * 6 + n % 6]);
            dw[n] += r_here * g * s_here / K as f64;
            dr[k * 5 + n / 6] += w[n] * g * s_here / K as f64;
        }
    }
    near(tensor(&ensemble, &together.grads, "layers.6.weight"), &dw, "gradient of the shared weight");
    near(tensor(&ensemble, &together.grads, "layers.5.weight"), &dr, "gradient of an adapter");
}

#[test]
fn the_mini_kind_shares_all_but_its_inputs_and_outputs() {
    let text = "network = { hidden = [5], activation = 'gelu', dropout = 0 }
        ensemble = { members = 3, kind = 'tabm_mini' }";
    let config = Config::from_toml_str(text).unwrap();
    let ensemble = Network::new(&config.expanded_layers(), N_INPUTS, 1);
    let single = Network::from_specs(
        vec![LayerSpec::scale(), dense(5, Activation::Gelu), dense(1, Activation::Linear)],
        N_INPUTS,
    );
    let of_member = |params: &[f64], k: usize| -> Vec<f64> {
        let own = |name: &str, n: usize| tensor(&ensemble, params, name)[k * n..(k + 1) * n].to_vec();
        let all = |name: &str| tensor(&ensemble, params, name).to_vec();
        let parts = [own("layers.1.weight", 4), all("layers.2.weight"), all("layers.2.bias")];
        [parts.concat(), own("layers.3.weight", 5), own("layers.3.bias", 1)].concat()
    };
    let (_, together, apart) = compared(&ensemble, &single, of_member);
    let shared = |network: &Network, grads: &[f64], layer: usize| {
        tensor(network, grads, &format!("layers.{layer}.weight")).to_vec()
    };
    let expected: Vec<Vec<f64>> = apart.iter().map(|p| shared(&single, &p.grads, 1)).collect();
    near(
        &shared(&ensemble, &together.grads, 2),
        &mean(expected.iter().map(|g| &g[..])),
        "gradient of what is shared",
    );
}

#[test]
fn members_start_as_in_the_paper() {
    let network = |kind: &str| {
        let network = "network = { hidden = [50, 50], initializer = 'auto' }";
        let text = format!("{network}\nensemble = {{ members = 8, kind = '{kind}' }}");
        Network::new(&Config::from_toml_str(&text).unwrap().expanded_layers(), 40, 2)
    };
    let tabm = network("tabm");
    let params = tabm.init::<f64>(5);
    let of = |name: &str| tensor(&tabm, &params, name);
    // The first adapter tells the members apart, all others are 1.
    let signs = of("layers.1.weight");
    let positive = signs.iter().filter(|s| **s == 1.0).count();
    assert!(signs.iter().all(|s| s.abs() == 1.0));
    // 160 of 320 expected, standard deviation 9.
    assert!(positive.abs_diff(160) < 45, "{positive}");
    for name in ["layers.3.weight", "layers.6.weight", "layers.8.weight"] {
        assert!(of(name).iter().all(|s| *s == 1.0), "{name}");
    }
    // The shared weights start by the activation that comes behind the adapter.
    let std = (of("layers.2.weight").iter().map(|w| w * w).sum::<f64>() / 2000.0).sqrt();
    assert!((std / (2.0_f64 / 40.0).sqrt() - 1.0).abs() < 0.1, "{std}");
    for (kind, n_weights) in [("tabm", 8 * 50 * 2), ("packed", 8 * 50 * 2)] {
        let network = network(kind);
        let params = network.init::<f64>(5);
        let output = network.views().iter().rev().find(|v| v.name.ends_with("weight")).unwrap();
        assert_eq!((output.shape.as_slice(), output.len()), (&[8, 50, 2][..], n_weights));
        let weights: Vec<Vec<u64>> = params[output.range()].chunks(100).map(bits).collect();
        assert!((1..8).all(|k| !weights[..k].contains(&weights[k])), "{kind}: members differ");
    }
    assert_eq!(
        tabm.n_params(),
        40 * 8 + 40 * 50 + 2 * 8 * 50 + 8 * 50 + 50 * 50 + 2 * 8 * 50 + 8 * (50 * 2 + 2)
    );
    assert_eq!(network("tabm_mini").n_params(), 40 * 8 + 41 * 50 + 51 * 50 + 8 * 51 * 2);
    assert_eq!(network("packed").n_params(), 8 * (41 * 50 + 51 * 50 + 51 * 2));
}

/// The predictions of an ensemble whose members' outputs for one row are these.
fn averaged(loss: Loss, outputs: &[f64], n_outputs: usize) -> Vec<f64> {
    let n_members = outputs.len() / n_outputs;
    let zeros = LayerSpec::dense(n_outputs, Activation::Linear, Initializer::Zeros);
    let specs = vec![LayerSpec::Members { count: n_members }, packed(zeros)];
    let network = Network::from_specs(specs, 1);
    let mut params = network.init::<f64>(1);
    let bias = network.views().iter().find(|v| v.name == "layers.1.bias").unwrap().range();
    params[bias].copy_from_slice(outputs);
    network.predict(CpuLevel::detect(), &params, loss, &[1.0], &mut network.inference_workspace(1))
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

#[test]
fn predictions_are_means_of_predictions() {
    let z = [0.3, -2.0, 4.0, 1.5];
    let mean = |of: fn(f64) -> f64| z.iter().map(|z| of(*z)).sum::<f64>() / 4.0;
    for loss in [Loss::Mse, Loss::Rmse, Loss::Mae, Loss::LogCosh] {
        near(&averaged(loss, &z, 1), &[mean(|z| z)], "values");
    }
    for loss in [Loss::BinaryCrossentropy, Loss::BinaryFocal { gamma: 2.0 }, Loss::Hinge] {
        near(&averaged(loss, &z, 1), &[mean(sigmoid)], "probabilities");
    }
    near(&averaged(Loss::Poisson, &z, 1), &[mean(f64::exp)], "rates");
    let softmax = |z: &[f64]| {
        let sum: f64 = z.iter().map(|z| z.exp()).sum();
        z.iter().map(|z| z.exp() / sum).collect::<Vec<f64>>()
    };
    let members: [[f64; 3]; 2] = [[0.5, -1.0, 2.0], [3.0, 0.0, -0.5]];
    let (a, b) = (softmax(&members[0]), softmax(&members[1]));
    let expected: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 0.5 * (a + b)).collect();
    near(&averaged(Loss::CategoricalCrossentropy, &members.concat(), 3), &expected, "probabilities of three");
    // Members that are sure of the opposite of each other are undecided together.
    for far in [100.0, 1000.0] {
        near(&averaged(Loss::BinaryCrossentropy, &[far, -far], 1), &[0.5], "far out");
        near(&averaged(Loss::BinaryCrossentropy, &[far, far], 1), &[1.0], "far out");
        near(&averaged(Loss::CategoricalCrossentropy, &[far, -far, -far, far], 2), &[0.5, 0.5], "far out");
    }
}

#[test]
fn the_loss_of_the_mean_prediction_is_no_more_than_the_mean_loss() {
    // Jensen's inequality, for losses that are convex in what is averaged; and finite far out.
    let classes = classes(30, 2, 1);
    let targets = numbers::<f32>(30, 2);
    for size in [1.0_f32, 30.0, 400.0] {
        for (loss, n_outputs) in [
            (Loss::Mse, 1),
            (Loss::Mae, 1),
            (Loss::BinaryCrossentropy, 1),
            (Loss::CategoricalCrossentropy, 2),
        ] {
            let specs = [LayerSpec::Members { count: 5 }, packed(dense(6, Activation::Tanh))];
            let network = Network::new(&specs, 3, n_outputs);
            let params: Vec<f32> = numbers(network.n_params(), 3).iter().map(|w: &f32| w * size).collect();
            let x = numbers::<f32>(30 * 3, 4);
            let targets =
                if loss.is_classification() { Targets::Classes(&classes) } else { Targets::Values(&targets) };
            let level = CpuLevel::detect();
            let mut work = network.workspace(30);
            let pass = Pass { level, params: &params, n_rows: 30, mode: Mode::Infer };
            network.forward_backward(&pass, loss, &x, targets, 1.0, false, &mut work);
            let mut outputs = vec![0.0; 30 * n_outputs];
            network.raw_outputs_into(level, &params, loss, &x, &mut work, &mut outputs);
            let mut unused = outputs.clone();
            let of_mean = loss.forward_backward(&outputs, targets, 1.0, &mut unused);
            assert!(of_mean.is_finite() && work.loss_sum.is_finite());
            assert!(of_mean <= work.loss_sum * (1.0 + 1e-6), "{loss:?}: {of_mean}, {}", work.loss_sum);
            assert!(of_mean < 0.98 * work.loss_sum, "{loss:?}: the members differ");
        }
    }
}

#[test]
fn constraints_hold_for_the_units_of_each_member() {
    let specs = vec![LayerSpec::Members { count: K }, packed(dense(2, Activation::Linear))];
    let network = Network::from_specs(specs, N_INPUTS);
    let mut params = numbers::<f64>(network.n_params(), 1);
    let mut settings = optimizer(OptimizerName::Sgd);
    (settings.constraint, settings.max_norm) = (Constraint::MaxNorm, 0.5);
    let start = params.clone();
    let zeros = vec![0.0; params.len()];
    Optimizer::new(&settings, network.views()).step(CpuLevel::detect(), 0.1, &mut params, &zeros);
    let norms = |params: &[f64]| -> Vec<f64> {
        let members = tensor(&network, params, "layers.1.weight").chunks(2 * N_INPUTS);
        let norm = |w: &[f64], unit: usize| w.iter().skip(unit).step_by(2).map(|w| w * w).sum::<f64>().sqrt();
        members.flat_map(|w| [norm(w, 0), norm(w, 1)]).collect()
    };
    let expected: Vec<f64> = norms(&start).iter().map(|norm| norm.min(0.5)).collect();
    near(&norms(&params), &expected, "norms of units");
}

#[test]
fn muon_steps_the_weights_of_each_member_by_themselves() {
    let layers = |own: fn(LayerSpec) -> LayerSpec| {
        vec![own(dense(5, Activation::Gelu)), own(dense(1, Activation::Linear))]
    };
    let ensemble =
        Network::from_specs([vec![LayerSpec::Members { count: K }], layers(packed)].concat(), N_INPUTS);
    let single = Network::from_specs(layers(|spec| spec), N_INPUTS);
    let step = |network: &Network, params: &mut [f64], grads: &[f64]| {
        Optimizer::new(&optimizer(OptimizerName::Muon), network.views()).step(
            CpuLevel::detect(),
            0.1,
            params,
            grads,
        );
    };
    let (mut params, grads) =
        (numbers::<f64>(ensemble.n_params(), 1), numbers::<f64>(ensemble.n_params(), 2));
    let start = params.clone();
    step(&ensemble, &mut params, &grads);
    for k in 0..K {
        let own =
            |all: &[f64], name: &str, n: usize| tensor(&ensemble, all, name)[k * n..(k + 1) * n].to_vec();
        let of_member = |all: &[f64]| {
            [
                own(all, "layers.1.weight", 20),
                own(all, "layers.1.bias", 5),
                own(all, "layers.2.weight", 5),
                own(all, "layers.2.bias", 1),
            ]
            .concat()
        };
        let mut expected = of_member(&start);
        step(&single, &mut expected, &of_member(&grads));
        assert_eq!(of_member(&params), expected, "member {k}");
    }
}

#[test]
fn data_driven_starts_see_what_each_member_sees() {
    let unit = |n| LayerSpec::dense(n, Activation::Linear, Initializer::UnitVariance);
    let scale = LayerSpec::Scale {
        initializer: Initializer::Normal { std: 2.0 },
        bias: false,
        bias_initializer: Initializer::Zeros,
        lr_factor: 1.0,
        bias_lr_factor: 1.0,
    };
    let specs = vec![LayerSpec::Members { count: K }, scale, unit(5), packed(unit(2))];
    let network = Network::from_specs(specs, N_INPUTS);
    let x = numbers::<f64>(300 * N_INPUTS, 1);
    let level = CpuLevel::detect();
    let params = network.init_on::<f64>(level, 1, &x);
    let outputs = |upto: usize| {
        let part = Network::from_specs(network.specs()[..upto].to_vec(), N_INPUTS);
        let pass = Pass { level, params: &params[..part.n_params()], n_rows: 300, mode: Mode::Infer };
        part.forward(&pass, &x, &mut part.workspace(300)).to_vec()
    };
    let deviation = |all: &[f64], first: usize, step: usize| {
        let of_unit: Vec<f64> = all.iter().skip(first).step_by(step).copied().collect();
        let mean = of_unit.iter().sum::<f64>() / of_unit.len() as f64;
        (of_unit.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / of_unit.len() as f64).sqrt()
    };
    // Shared weights: a unit's outputs over the rows of all members. Packed ones: those of each member.
    let (shared, own) = (outputs(3), outputs(4));
    for unit in 0..5 {
        assert!((deviation(&shared, unit, 5) - 1.0).abs() < 1e-12);
    }
    for unit in 0..2 * K {
        assert!((deviation(&own, unit, 2 * K) - 1.0).abs() < 1e-12);
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), table(&["x", "k", "colour", "y", "yes", "grade"], 0..120))
        .unwrap();
    folder
}

fn train(folder: &Path, target: &str, out: &str, sets: &[&str]) -> Outcome {
    let drop = ["y", "yes", "grade"].iter().filter(|name| **name != target);
    let drop: Vec<String> = drop.map(|name| format!("data.columns.{name}.drop=true")).collect();
    let mut args =
        vec!["train", "t.csv", "--target", target, "--out", out, "--json", "--set", "train.epochs=4"];
    args.extend(drop.iter().flat_map(|set| ["--set", set.as_str()]));
    args.extend(sets.iter().flat_map(|set| ["--set", set]));
    call(folder, &args)
}

fn model(folder: &Path, out: &str) -> Vec<u8> {
    std::fs::read(folder.join(out).join("model.safetensors")).unwrap()
}

#[test]
fn every_kind_trains_is_saved_shown_and_used() {
    let folder = folder();
    let folder = folder.path();
    for kind in ["tabm", "tabm_mini", "packed"] {
        for target in ["y", "yes", "grade"] {
            let out = format!("{kind}-{target}");
            let sets =
                ["network.hidden=[8,8]", "network.residual=true", "network.norm=layer", "ensemble.members=4"];
            let kind_set = format!("ensemble.kind={kind}");
            let told = train(folder, target, &out, &[&sets[..], &[&kind_set]].concat()).done();
            assert!(told.err.contains("4 members"), "{}", told.err);
            let summary = call(folder, &["summary", &out]).done().out;
            assert!(summary.contains("(rows, 4, 8)") && summary.contains("packed"), "{summary}");
            let metrics = call(folder, &["evaluate", &out, "t.csv", "--json"]).done().json();
            assert!(
                metrics.to_string().contains(if target == "y" { "rmse" } else { "log_loss" }),
                "{metrics}"
            );
            // The list that the settings stand for makes the same model.
            let expanded = call(
                folder,
                &[
                    &["config", "--expanded"][..],
                    &sets
                        .iter()
                        .chain([&kind_set.as_str()])
                        .flat_map(|set| ["--set", set])
                        .collect::<Vec<_>>(),
                ]
                .concat(),
            );
            let text = expanded.done().out;
            assert!(text.contains("kind = \"none\"") && text.contains("type = \"members\""), "{text}");
            let from = text.find("layers = [").unwrap();
            let layers: String = text[from + 9..text.find("\nprecision").unwrap()]
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            train(folder, target, "again", &[&format!("network.layers={layers}")]).done();
            assert!(model(folder, "again") == model(folder, &out), "{kind} {target}");
            std::fs::remove_dir_all(folder.join("again")).unwrap();
        }
    }
}

#[test]
fn no_ensemble_is_the_network_itself() {
    let folder = folder();
    train(folder.path(), "y", "plain", &["network.hidden=[8]"]).done();
    train(folder.path(), "y", "none", &["network.hidden=[8]", "ensemble.kind=none"]).done();
    assert!(model(folder.path(), "none") == model(folder.path(), "plain"));
}

/// L-BFGS sees one smooth function, of all members.
#[test]
fn ensembles_are_trained_by_lbfgs() {
    let folder = folder();
    let sets = ["network.hidden=[8]", "network.dropout=0", "ensemble.members=2", "optimizer.name=lbfgs"];
    for kind in ["tabm", "tabm_mini", "packed"] {
        let kind_set = format!("ensemble.kind={kind}");
        train(folder.path(), "y", kind, &[&sets[..], &[&kind_set]].concat()).done();
        let history = std::fs::read_to_string(folder.path().join(kind).join("history.csv")).unwrap();
        let losses: Vec<f64> =
            history.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect();
        assert!(losses.len() == 4 && losses.windows(2).all(|pair| pair[1] < pair[0]), "{history}");
    }
}

#[test]
fn what_does_not_fit_an_ensemble_is_refused() {
    let folder = folder();
    let refused = |sets: &[&str], words: &[&str]| {
        let outcome = train(folder.path(), "y", "run", sets);
        assert_ne!(outcome.code, 0, "{sets:?}");
        let text = outcome.err.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(text.contains(word), "{sets:?}: {text}\n  lacks: {word}");
        }
        assert!(!folder.path().join("run").exists());
    };
    let members = "network.layers=[{ type = 'members', count = 2 }, { type = 'dense', units = 4 }]";
    for n in ["0", "1"] {
        refused(
            &["ensemble.kind=packed", &format!("ensemble.members={n}")],
            &["`ensemble.members`: out of range: expected a whole number from 2"],
        );
    }
    refused(
        &["ensemble.members=8"],
        &["has no effect with `ensemble.kind` = \"none\"", "or set ensemble.kind"],
    );
    refused(
        &["network.layers=[{ type = 'scale', bias_initializer = 'ones' }]"],
        &["layer 1 (scale): `bias_initializer` = { name = \"ones\" } has no effect with `bias` = false"],
    );
    refused(&["ensemble.kind=tab"], &["expected one of none, tabm, tabm_mini, packed"]);
    refused(
        &[members, "ensemble.kind=tabm"],
        &["has a members layer of its own", "ensemble.kind = \"none\""],
    );
    refused(
        &["network.layers=[{ type = 'dense', units = 4, packed = true }]"],
        &["layer 1 (dense): `packed` = true, but no members layer", "{ type = \"members\", count = 8 }"],
    );
    refused(
        &["network.layers=[{ type = 'members', count = 2 }, { type = 'members', count = 2 }]"],
        &["layer 2 (members): it is the second"],
    );
    refused(
        &["network.layers=[{ type = 'residual', layers = [{ type = 'members', count = 2 }] }]"],
        &["layer 1 (residual): `layers`, layer 1 (members): a block cannot"],
    );
    refused(
        &["ensemble.kind=tabm", "network.bias_initializer=he_plus"],
        &["not from training rows", "ensemble.kind = \"tabm_mini\""],
    );
    refused(
        &[
            "ensemble.kind=tabm",
            "network.layers=[{ type = 'dense', units = 4 }, { type = 'dense', units = 1 }]",
        ],
        &["`network.layers` ends with the output layer", "leave the last layer out"],
    );
    refused(
        &["network.layers=[{ type = 'scale', initializer = 'he_plus' }]"],
        &["`initializer`", "random_signs"],
    );
    // What anyone may have written into a model file.
    train(folder.path(), "y", "run", &["network.hidden=[4]", "ensemble.members=2", "ensemble.kind=packed"])
        .done();
    let whole = model(folder.path(), "run");
    let damaged = |alter: fn(&mut Value), words: &str| {
        std::fs::write(folder.path().join("m.safetensors"), with_card(&whole, alter)).unwrap();
        let outcome = call(folder.path(), &["predict", "m.safetensors", "t.csv", "-o", "p.csv"]);
        assert!(outcome.code == 1 && outcome.err.contains(words), "{}", outcome.err);
    };
    damaged(|card| card["layers"][0]["count"] = json!(1), "layers.0 (members): count 1");
    damaged(|card| card["layers"][0]["count"] = json!(3), "expected shape [3, 6, 4], found [2, 6, 4]");
    damaged(|card| card["layers"][0]["count"] = json!(1_u64 << 60), "asks for more than the file holds");
    damaged(
        |card| card["layers"][0] = json!({ "type": "scale" }),
        "layers.1 (dense): packed without members",
    );
    damaged(|card| card["layers"][1]["packed"] = json!(false), "tensor");
}
