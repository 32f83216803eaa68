//! `statera inspect` of a trained network on rows: sizes and gradients of layers, dead and saturated units.

use crate::cli;
use crate::common;
use cli::{call, folder, quick};
use common::{activation, dense_of, packed, residual};
use serde_json::Value;
use statera::config::{Activation, Initializer, LayerSpec};
use statera::inspect::units::{Units, of_network};
use statera::nn::{CpuLevel, Network};

/// Units with one input x: z = x + bias, a bias for each.
fn shifted(function: Activation, biases: &[f64]) -> (Network, Vec<f64>) {
    let start = Initializer::Constant { value: 1.0 };
    let specs = vec![dense_of(biases.len(), function, start, Some(Initializer::Zeros))];
    let network = Network::from_specs(specs, 1);
    let params = [&vec![1.0; biases.len()][..], biases].concat();
    (network, params)
}

fn units_of(network: &Network, params: &[f64], x: &[f64]) -> Vec<(String, Units)> {
    of_network(network, CpuLevel::detect(), params, x)
}

#[test]
fn units_are_dead_where_no_slope_is_left_and_saturated_where_hardly_any() {
    // 40 rows from −1 to 1, so that a single one is 2.5 % of them.
    let x: Vec<f64> = (0..40).map(|i| f64::from(i) / 19.5 - 1.0).collect();
    let counted = |function, biases: &[f64]| {
        let (network, params) = shifted(function, biases);
        let [(name, units)] = &units_of(&network, &params, &x)[..] else { panic!("one layer has units") };
        assert_eq!((name.as_str(), units.n), ("layers.0", biases.len()));
        (units.dead, units.saturated)
    };
    // relu(x − 1.01) is 0 for all rows, relu(x − 0.99) not for the last; relu is never saturated.
    assert_eq!(counted(Activation::Relu, &[-1.01, -0.99, 0.0, 5.0]), (1, 0));
    assert_eq!(counted(Activation::LeakyRelu, &[-1.01, -100.0, 5.0]), (0, 0));
    // σ′ = 0.0125, a twentieth of the steepest, at |z| = 4.3565; 2 of 40 rows may be steeper, 3 not.
    let edge = 4.357;
    let row = |i: usize| x[i];
    assert_eq!(counted(Activation::Sigmoid, &[edge - row(1), edge - row(2), edge - row(3), 0.0]), (0, 2));
    assert_eq!(counted(Activation::Sigmoid, &[-edge - row(38), -edge - row(36), 0.0]), (0, 1));
    // 1 − tanh² = 0.05 at |z| = 2.17827.
    assert_eq!(counted(Activation::Tanh, &[2.1783 - row(1), 2.1783 - row(4), -5.0]), (0, 2));
    // Far out even these slopes are 0.
    assert_eq!(counted(Activation::Sigmoid, &[-1000.0, 0.0]), (1, 0));
    for function in [Activation::Elu, Activation::Selu, Activation::Gelu, Activation::Silu, Activation::Mish]
    {
        assert_eq!(counted(function, &[-9.0, 0.0, 9.0]), (0, 1), "{function}");
    }
    // The slope of softplus is σ, so flat below only; softsign's is 1/(1 + |z|)².
    assert_eq!(counted(Activation::Softplus, &[-9.0, 0.0, 9.0]), (0, 1));
    assert_eq!(counted(Activation::Softsign, &[-9.0, 0.0, 9.0]), (0, 2));
}

#[test]
fn units_are_looked_at_in_blocks_in_ensembles_and_behind_layers_of_their_own() {
    let start = Initializer::Constant { value: 1.0 };
    let minus = |function| dense_of(2, function, start, Some(Initializer::Constant { value: -100.0 }));
    let specs = vec![
        dense_of(2, Activation::Linear, start, None),
        activation(Activation::Relu),
        residual([minus(Activation::Relu), LayerSpec::Dropout { rate: 0.5 }]),
        LayerSpec::parametric_activation(Activation::Relu, 0.01),
        LayerSpec::Members { count: 3 },
        packed(minus(Activation::Sigmoid)),
    ];
    let network = Network::from_specs(specs, 1);
    let params = network.init::<f64>(1);
    let found = units_of(&network, &params, &[1.0, 0.5, -0.5]);
    let expected = [("layers.1", 2, 0, 0), ("layers.2.0", 2, 2, 0), ("layers.5", 6, 0, 6)];
    let got: Vec<_> = found.iter().map(|(name, u)| (name.as_str(), u.n, u.dead, u.saturated)).collect();
    assert_eq!(got, expected);
}

fn layers(report: &Value) -> &Vec<Value> {
    report["layers"]["layers"].as_array().unwrap()
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn dead_and_saturated_layers_of_a_run_are_named_with_what_may_help() {
    let folder = folder();
    let folder = folder.path();
    let train = |out: &str, sets: &[&str]| {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        call(folder, &quick("t.csv", "y", &[&["--out", out][..], &sets].concat())).done();
    };
    train("sound", &["network.norm=batch"]);
    let told = call(folder, &["inspect", "sound", "--json"]).done();
    assert_eq!(told.err, "");
    let report = told.json();
    assert_eq!(report["layers"]["findings"].as_array().unwrap().len(), 0);
    assert_eq!(layers(&report)[0]["units"]["n"], 8);
    assert!(layers(&report).iter().all(|layer| layer["outputs"].as_f64().unwrap() > 0.0));

    let bias = |value: &str| format!("network.bias_initializer={{name='constant', value={value}}}");
    train("dead", &[&bias("-1000.0")]);
    let told = call(folder, &["inspect", "dead", "--json"]).done();
    let report = told.json();
    assert_eq!(layers(&report)[0]["units"], serde_json::json!({ "n": 8, "dead": 8, "saturated": 0 }));
    assert_eq!(layers(&report)[0]["gradient"], 0.0);
    let findings = report["layers"]["findings"].as_array().unwrap();
    let kinds: Vec<_> = findings.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"dead") && kinds.contains(&"vanishing"), "{kinds:?}");
    let err = words(&told.err);
    assert!(err.contains("warning: layers.0: dead, 8 of its 8 units pass no gradient"), "{err}");
    assert!(err.contains("--set network.activation=leaky_relu"), "{err}");

    train("flat", &[&bias("5.0"), "network.activation=tanh"]);
    let told = call(folder, &["inspect", "flat"]).done();
    let err = words(&told.err);
    assert!(err.contains("warning: layers.0: saturated, 8 of its 8 units"), "{err}");
    assert!(err.contains("try: --set network.norm=layer or batch"), "{err}");
    assert!(told.out.contains("dense 8 tanh") && told.out.contains("saturated"), "{}", told.out);

    // Every setting that is named is one that training takes.
    let set = [
        "network.norm=layer",
        "network.norm=batch",
        "network.activation=leaky_relu",
        "network.activation=silu",
        "network.activation=relu",
        "optimizer.weight_decay=0.1",
        "train.clip_norm=1",
        "network.initializer=auto",
    ];
    train("all", &set);
}

#[test]
fn the_rows_are_those_of_training_or_of_the_table_that_is_given() {
    let folder = folder();
    let folder = folder.path();
    let table = std::fs::read_to_string(folder.join("t.csv")).unwrap();
    let part = |i: usize| ["train", "train", "train", "val", "test"][i % 5];
    let lines: Vec<String> = table
        .lines()
        .enumerate()
        .map(|(i, line)| format!("{line},{}", if i == 0 { "part" } else { part(i) }))
        .collect();
    std::fs::write(folder.join("parts.csv"), lines.join("\n")).unwrap();
    let of_training: Vec<&String> =
        lines.iter().filter(|line| !line.ends_with("val") && !line.ends_with("test")).collect();
    let text: Vec<&str> = of_training.iter().map(|line| line.as_str()).collect();
    std::fs::write(folder.join("training.csv"), text.join("\n")).unwrap();
    let sets = ["--out", "run", "--set", "split.column=part"];
    call(folder, &quick("parts.csv", "y", &sets)).done();

    let own = call(folder, &["inspect", "run", "--json"]).done().json()["layers"].clone();
    assert_eq!(own["n_rows"], text.len() - 1);
    let given = call(folder, &["inspect", "run", "training.csv", "--json"]).done().json()["layers"].clone();
    assert_eq!(own, given);
    let all = call(folder, &["inspect", "run/model.safetensors", "parts.csv", "--json"]).done().json();
    assert_eq!(all["layers"]["n_rows"], lines.len() - 1);

    // Without a table the tensors are shown all the same, and it is said what is missing.
    let told = call(folder, &["inspect", "run/model.safetensors", "--json"]).done();
    assert!(told.json()["layers"].is_null() && !told.json()["tensors"].as_array().unwrap().is_empty());
    assert!(
        told.err.contains("is no run folder") && told.err.contains("statera inspect MODEL DATA"),
        "{}",
        told.err
    );
    std::fs::write(folder.join("parts.csv"), lines[..100].join("\n")).unwrap();
    let told = call(folder, &["inspect", "run"]).done();
    assert!(words(&told.err).contains("has changed since the training"), "{}", told.err);
    std::fs::remove_file(folder.join("parts.csv")).unwrap();
    let told = call(folder, &["inspect", "run"]).done();
    assert!(words(&told.err).contains("the layers are not shown"), "{}", told.err);
    assert!(told.out.contains("layers.0.weight"));

    // What is asked for and cannot be had is an error.
    let told = call(folder, &["inspect", "run", "none.csv"]);
    assert!(told.code == 1 && told.err.contains("no such file"), "{}", told.err);
    std::fs::write(folder.join("other.csv"), "a,b\n1,2\n").unwrap();
    let told = call(folder, &["inspect", "run", "other.csv"]);
    assert!(told.code == 1 && told.out.is_empty() && told.err.contains("column `y`"), "{}", told.err);
    let told = call(folder, &["inspect", "t.csv", "t.csv", "--init", "--target", "y"]);
    assert_eq!(told.code, 2, "{}", told.err);
}
