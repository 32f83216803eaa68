//! Residual blocks: what they compute, how they are named, saved and refused.

use crate::cli;
use crate::common;
use cli::{Outcome, call, folder, with_card};
use common::{bits, dense, numbers, residual};
use serde_json::{Value, json};
use statera::config::{Activation, Initializer, LayerSpec};
use statera::nn::{CpuLevel, Mode, Network, Pass};

/// The outputs of `specs` for rows `x` of `n_inputs`, with parameters that begin at `params`; and how many those are.
fn run(specs: &[LayerSpec], n_inputs: usize, params: &[f64], x: &[f64]) -> (Vec<f64>, usize) {
    let network = Network::from_specs(specs.to_vec(), n_inputs);
    let n_rows = x.len() / n_inputs;
    let n_params = network.n_params();
    let pass = Pass { level: CpuLevel::detect(), params: &params[..n_params], n_rows, mode: Mode::Infer };
    (network.forward(&pass, x, &mut network.workspace(n_rows)).to_vec(), n_params)
}

fn sums(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

#[test]
fn a_block_adds_what_enters_it() {
    let first = dense(5, Activation::Relu);
    let inner = dense(5, Activation::Tanh);
    let [outer, last] = [dense(5, Activation::Gelu), dense(2, Activation::Linear)];
    let specs = [first.clone(), residual([outer.clone(), residual([inner.clone()])]), last.clone()];
    let network = Network::from_specs(specs.to_vec(), 3);
    let params = numbers::<f64>(network.n_params(), 1);
    // Rows of one tile and of several.
    for n_rows in [1, 7, 70] {
        let x = numbers::<f64>(n_rows * 3, 2);
        let (got, n_params) = run(&specs, 3, &params, &x);
        assert_eq!(n_params, network.n_params());
        // The same layers one by one.
        let (h, at_outer) = run(std::slice::from_ref(&first), 3, &params, &x);
        let rest = &params[at_outer..];
        let (f, at_inner) = run(std::slice::from_ref(&outer), 5, rest, &h);
        let rest = &rest[at_inner..];
        let (g, at_last) = run(std::slice::from_ref(&inner), 5, rest, &f);
        let y = sums(&h, &sums(&f, &g));
        let (expected, _) = run(std::slice::from_ref(&last), 5, &rest[at_last..], &y);
        let off = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-13, "{n_rows} rows: off by {off:e}");
    }
}

#[test]
fn a_block_that_makes_nothing_changes_nothing() {
    let zeros = LayerSpec::dense(6, Activation::Linear, Initializer::Zeros);
    let plain = [dense(6, Activation::Gelu), LayerSpec::batch_norm(), dense(2, Activation::Linear)];
    let [first, norm, last] = plain.clone();
    let plain = Network::from_specs(plain.to_vec(), 4);
    let blocked = Network::from_specs(vec![first, residual([zeros]), norm, last], 4);
    let mut params = blocked.init::<f32>(1);
    let start = plain.init::<f32>(1);
    // The block's 42 numbers stand behind the first layer's 30.
    params[..30].copy_from_slice(&start[..30]);
    params[72..].copy_from_slice(&start[30..]);
    let x = numbers::<f32>(50 * 4, 3);
    let outputs = |network: &Network, params: &[f32]| {
        let mode = Mode::Train { seed: 1, step: 0, shard: 0 };
        let pass = Pass { level: CpuLevel::detect(), params, n_rows: 50, mode };
        bits(network.forward(&pass, &x, &mut network.workspace(50)))
    };
    assert_eq!(outputs(&blocked, &params), outputs(&plain, &start));
}

#[test]
fn weights_in_and_behind_blocks_start_from_what_enters_them() {
    let unit = |n| LayerSpec::dense(n, Activation::Linear, Initializer::UnitVariance);
    let [first, inner, last] = [dense(5, Activation::Tanh), unit(5), unit(3)];
    let specs = [first.clone(), residual([residual([inner.clone()])]), last.clone()];
    let network = Network::from_specs(specs.to_vec(), 4);
    assert!(network.looks_at_rows());
    let x = numbers::<f64>(200 * 4, 1);
    let params = network.init_on::<f64>(CpuLevel::detect(), 1, &x);
    let (h, at_inner) = run(&[first], 4, &params, &x);
    let (f, at_last) = run(&[inner], 5, &params[at_inner..], &h);
    // The outer block adds x to what the inner one, which adds it too, makes of it.
    let entered = sums(&h, &sums(&h, &f));
    let (z, _) = run(&[last], 5, &params[at_inner + at_last..], &entered);
    for (outputs, n) in [(f, 5), (z, 3)] {
        for unit in 0..n {
            let column: Vec<f64> = outputs.iter().skip(unit).step_by(n).copied().collect();
            let mean = column.iter().sum::<f64>() / 200.0;
            let variance = column.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / 200.0;
            assert!((variance - 1.0).abs() < 1e-12, "unit {unit} of {n}: {variance}");
        }
    }
}

#[test]
fn names_of_parameters_nest() {
    let specs = vec![
        dense(4, Activation::Relu),
        residual([LayerSpec::batch_norm(), residual([dense(4, Activation::Relu)])]),
        dense(1, Activation::Linear),
    ];
    let network = Network::from_specs(specs, 3);
    let names: Vec<&str> = network.views().iter().map(|view| view.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "layers.0.weight",
            "layers.0.bias",
            "layers.1.0.weight",
            "layers.1.0.bias",
            "layers.1.0.running_mean",
            "layers.1.0.running_var",
            "layers.1.1.0.weight",
            "layers.1.1.0.bias",
            "layers.2.weight",
            "layers.2.bias",
        ]
    );
}

const BLOCKS: &str = "[{ type = 'dense', units = 8, activation = 'relu' }, \
    { type = 'residual', layers = [{ type = 'layer_norm' }, { type = 'dense', units = 8, activation = 'gelu' }, \
    { type = 'residual', layers = [{ type = 'dropout', rate = 0.1 }, { type = 'dense', units = 8 }] }] }]";

/// A short training on `t.csv` with these layers.
fn train(folder: &std::path::Path, layers: &str) -> Outcome {
    let set = format!("network.layers={layers}");
    call(
        folder,
        &["train", "t.csv", "--target", "y", "--out", "run", "--set", "train.epochs=4", "--set", &set],
    )
}

#[test]
fn a_model_with_blocks_is_saved_shown_and_used() {
    let folder = folder();
    let told = train(folder.path(), BLOCKS).done().err;
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let network =
        "dense 8 relu, residual (layer_norm, dense 8 gelu, residual (dropout 0.1, dense 8)), dense 1";
    assert!(words.contains(network), "{words}");
    let summary = call(folder.path(), &["summary", "run"]).done().out;
    let first_words = |line: &str| line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    let layers: Vec<_> =
        summary.lines().filter(|l| l.trim_start().starts_with("layers.")).map(first_words).collect();
    let expected = [
        ["layers.0", "dense"],
        ["layers.1", "residual"],
        ["layers.1.0", "layer_norm"],
        ["layers.1.1", "dense"],
        ["layers.1.2", "residual"],
        ["layers.1.2.0", "dropout"],
        ["layers.1.2.1", "dense"],
        ["layers.2", "dense"],
    ];
    assert_eq!(layers, expected, "{summary}");
    call(folder.path(), &["predict", "run", "t.csv", "-o", "p.csv"]).done();
    let predicted = std::fs::read_to_string(folder.path().join("p.csv")).unwrap();
    assert_eq!(predicted.lines().count(), 121);
    let model = std::fs::read(folder.path().join("run/model.safetensors")).unwrap();
    let refused = |alter: fn(&mut Value), words: &str| {
        std::fs::write(folder.path().join("m.safetensors"), with_card(&model, alter)).unwrap();
        let outcome = call(folder.path(), &["predict", "m.safetensors", "t.csv", "-o", "q.csv"]);
        assert!(outcome.code == 1 && outcome.err.contains(words), "{}", outcome.err);
    };
    refused(
        |card| card["layers"][1]["layers"][1]["units"] = json!(9),
        "layers.1.2 (residual): its layers make 8 features of 9",
    );
    refused(
        |card| card["layers"][1]["layers"][2]["layers"][0]["rate"] = json!(3),
        "layers.1.2.0 (dropout): rate 3",
    );
    refused(|card| card["layers"][1] = card["layers"][1]["layers"][2].clone(), "tensors");
}

#[test]
fn an_expanded_configuration_makes_the_same_model() {
    let folder = folder();
    let short = [
        "--set",
        "network.hidden=[8,8]",
        "--set",
        "network.residual=true",
        "--set",
        "network.input_scale=true",
    ];
    let expanded = call(folder.path(), &[&["config", "--expanded"][..], &short].concat()).done().out;
    let layers = &expanded[expanded.find("layers = [").unwrap()..expanded.find("precision").unwrap()];
    let kinds: Vec<&str> =
        layers.split("type = \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(kinds, ["scale", "dense", "dropout", "residual", "dense", "dropout"], "{layers}");
    std::fs::write(folder.path().join("long.toml"), &expanded).unwrap();
    let train = |out: &str, more: &[&str]| {
        let common = ["train", "t.csv", "--target", "y", "--set", "train.epochs=3", "--out", out];
        call(folder.path(), &[&common[..], more].concat()).done();
        std::fs::read(folder.path().join(out).join("model.safetensors")).unwrap()
    };
    let models = [train("short", &short), train("long", &["--config", "long.toml"])];
    assert!(models[0] == models[1]);
    // Laid over a file.
    std::fs::write(folder.path().join("short.toml"), "[network]\nhidden = [8, 8]\nresidual = true").unwrap();
    let file = ["config", "--expanded", "--config", "short.toml", "--set", "network.input_scale=true"];
    assert_eq!(call(folder.path(), &file).done().out, expanded);
    for wrong in [&["config", "--config", "short.toml"][..], &["config", "--defaults", "--set", "seed=1"]] {
        assert_eq!(call(folder.path(), wrong).code, 2);
    }
    let refused = call(
        folder.path(),
        &["config", "--expanded", "--set", "network.hidden=[8,4]", "--set", "network.residual=true"],
    );
    assert!(refused.code == 2 && refused.err.contains("[8, 4] has none"), "{}", refused.err);
}

#[test]
fn a_block_that_does_not_fit_is_refused_before_training() {
    let folder = folder();
    let refused = |layers: &str, words: &[&str]| {
        let outcome = train(folder.path(), layers);
        assert_ne!(outcome.code, 0, "{layers}");
        let text = outcome.err.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(text.contains(word), "{layers}: {text}\n  lacks: {word}");
        }
        assert!(!folder.path().join("run").exists());
    };
    refused(
        "[{ type = 'dense', units = 8 }, { type = 'residual', layers = [{ type = 'dense', units = 5 }] }]",
        &[
            "`network.layers`, layer 2 (residual): `layers` makes 5 features of 8",
            "{ type = \"dense\", units = 8 } as the block's last layer",
            "{ type = \"dense\", units = 5 } before the block",
        ],
    );
    // How many inputs there are is known once the table is read.
    refused(
        "[{ type = 'residual', layers = [{ type = 'dense', units = 50 }] }]",
        &[
            "`network.layers`, layer 1 (residual): `layers` makes 50 features of",
            "units = 50 } before the block",
        ],
    );
    refused(
        "[{ type = 'residual', layers = [{ type = 'residual', layers = [] }] }]",
        &["`network.layers`, layer 1 (residual): `layers`, layer 1 (residual): `layers` lists none"],
    );
    refused(
        "[{ type = 'residual' }]",
        &["layer 1 (residual): `layers` is missing", "{ type = \"residual\", layers = [{ type = \"dense\""],
    );
    refused(
        "[{ type = 'residual', layers = [{ type = 'dropout', rate = 2 }] }]",
        &["layer 1 (residual): `layers`, layer 1 (dropout): `rate`", "out of range"],
    );
}
