//! `statera inspect`: figures of trained weights, and the start of a network before any training.

use crate::cli;
use crate::common;
use cli::{call, folder, quick};
use common::dense_of;
use serde_json::Value;
use statera::config::{Activation, Initializer, LayerSpec};
use statera::inspect::start::{Kind, scales};
use statera::nn::{CpuLevel, Loss, Network, Targets};

/// Ten layers of sigmoids.
const TEN: [&str; 4] =
    ["--set", "network.hidden=[64,64,64,64,64,64,64,64,64,64]", "--set", "network.activation=sigmoid"];

fn init<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["inspect", "--init", "t.csv", "--target", "y"][..], more].concat()
}

/// The start under the `nth` initialiser of the JSON report.
fn troubles(report: &Value, nth: usize) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let troubles = report["starts"][nth]["troubles"].as_array().unwrap();
    troubles.iter().map(|t| (text(&t["kind"]), text(&t["layer"]))).collect()
}

#[test]
fn ten_layers_of_sigmoids_vanish_under_small_weights_and_not_under_xavier() {
    let folder = folder();
    let normal = [&TEN[..], &["--set", "network.initializer=normal"]].concat();
    let asked =
        [&normal[..], &["--initializers", "{name='normal', std=0.01},xavier_uniform", "--json"]].concat();
    let told = call(folder.path(), &init(&asked)).done();
    let report = told.json();
    let names: Vec<_> =
        report["starts"].as_array().unwrap().iter().map(|s| s["initializer"].clone()).collect();
    assert_eq!(names, ["as set", "{name='normal', std=0.01}", "xavier_uniform"]);
    for nth in [0, 1] {
        let found = troubles(&report, nth);
        assert!(!found.is_empty() && found.iter().all(|(kind, _)| kind == "vanishing"), "{found:?}");
        // Rows are no longer told apart somewhere within; the gradient is smallest at the bottom.
        assert_ne!(found[0].1, "layers.0");
        assert_eq!(found.last().unwrap().1, "layers.0");
    }
    assert_eq!(report["starts"][0]["layers"], report["starts"][1]["layers"]);
    assert!(troubles(&report, 2).is_empty());
    assert_eq!(report["remedy"], "--set network.initializer=xavier_uniform");
    assert!(told.err.contains("warning: layers.0: vanishing, the gradient"), "{}", told.err);
    assert!(told.err.contains("\n  try: --set network.initializer=xavier_uniform\n"), "{}", told.err);

    // What the remedy says works.
    let remedy = report["remedy"].as_str().unwrap().split(' ').collect::<Vec<_>>();
    let cured = call(folder.path(), &init(&[&normal[..], &remedy, &["--json"]].concat())).done();
    assert!(troubles(&cured.json(), 0).is_empty());
    assert_eq!((cured.err.as_str(), &cured.json()["remedy"]), ("", &Value::Null));
}

#[test]
fn large_weights_explode_and_the_first_layer_beyond_is_named() {
    let folder = folder();
    let deep = [
        "--set",
        "network.hidden=[64,64,64,64]",
        "--set",
        "network.initializer={name='normal', std=1}",
        "--initializers",
        "he_normal",
    ];
    let told = call(folder.path(), &init(&[&deep[..], &["--json"]].concat())).done();
    let report = told.json();
    let found = troubles(&report, 0);
    let outputs: Vec<f64> = report["starts"][0]["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["outputs"].as_f64().unwrap())
        .collect();
    let first = outputs.iter().position(|size| *size > 100.0).unwrap();
    // Behind each layer stands a dropout, which is left out of the list.
    assert_eq!(found[0], ("exploding".to_owned(), format!("layers.{}", 2 * first)));
    assert_eq!(report["remedy"], "--set network.initializer=he_normal");
    let text = call(folder.path(), &init(&deep)).done().out;
    assert!(text.contains("he_normal  nothing vanishes, nothing explodes"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn where_no_initialiser_helps_a_normalisation_is_tried() {
    let folder = folder();
    let told = call(
        folder.path(),
        &init(
            &[&TEN[..], &["--initializers", "zeros", "--set", "network.initializer=normal", "--json"]]
                .concat(),
        ),
    )
    .done();
    assert_eq!(told.json()["remedy"], "--set network.norm=layer");
    let layer = "{type='dense',units=64,activation='sigmoid',initializer='normal'}";
    let listed = format!("network.layers=[{}]", [layer; 10].join(","));
    let with = |names| {
        call(folder.path(), &init(&["--set", &listed, "--initializers", names, "--json"])).done().json()
    };
    assert_eq!(
        with("he_normal")["remedy"],
        "initializer = \"he_normal\" in the dense layers of network.layers"
    );
    assert_eq!(with("zeros")["remedy"], "{ type = \"layer_norm\" } after each dense layer of network.layers");
}

#[test]
fn scales_by_hand() {
    // Two linear layers: z = 2x + 1, y = 3z.
    let constant = |value| Initializer::Constant { value };
    let dense = |w, b| dense_of(1, Activation::Linear, constant(w), Some(constant(b)));
    let specs = vec![dense(2.0, 1.0), LayerSpec::Dropout { rate: 0.5 }, dense(3.0, 0.0)];
    let mut quiet = specs.clone();
    quiet[1] = LayerSpec::Dropout { rate: 0.0 };
    let network = Network::from_specs(quiet, 1);
    let params = network.init::<f64>(0);
    let (x, truth) = ([1.0, -1.0], [5.0, -6.0]);
    let start = scales(&network, Loss::Mse, CpuLevel::detect(), &params, &x, Targets::Values(&truth));
    // z is 3 and −1, y is 9 and −3, the errors 4 and 3: mse 12.5; ∂/∂y of a row's loss 8 and 6.
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a}, not {b}");
    near(start.inputs, 1.0);
    near(start.loss, 12.5);
    let [first, second] = &start.layers[..] else { panic!("{:?}", start.layers) };
    assert_eq!((first.name.as_str(), second.name.as_str()), ("layers.0", "layers.2"));
    assert_eq!(first.kind, "dense 1 linear");
    near(first.outputs, 5.0_f64.sqrt());
    near(first.spread, 2.0);
    near(second.outputs, 45.0_f64.sqrt());
    near(second.spread, 6.0);
    near(first.weights.unwrap(), 2.0);
    // dW₂ = mean of z·dy = (24 − 6)/2 = 9, dW₁ = mean of x·3·dy = (24 − 18)/2 = 3, over √((64 + 36)/2).
    let of_outputs = 50.0_f64.sqrt();
    near(second.gradient.unwrap(), 9.0 / of_outputs);
    near(first.gradient.unwrap(), 3.0 / of_outputs);
    assert!(start.troubles.is_empty());

    let start =
        scales(&network, Loss::Mse, CpuLevel::detect(), &params, &[1e9, f64::NAN], Targets::Values(&truth));
    assert_eq!((start.troubles[0].kind, start.troubles[0].layer.as_str()), (Kind::Exploding, "layers.0"));
}

#[test]
fn the_start_is_that_of_training_and_sees_training_rows_alone() {
    let folder = folder();
    let table = std::fs::read_to_string(folder.path().join("t.csv")).unwrap();
    let mut lines: Vec<String> = table.lines().map(|line| format!("{line},train")).collect();
    lines[0] = table.lines().next().unwrap().to_owned() + ",part";
    let (n, mut told) = (lines.len(), Vec::new());
    for other in ["9.99", "0.01"] {
        for (i, line) in lines.iter_mut().enumerate().skip(n - 40) {
            // A target that no training row comes near has no say either.
            *line = format!("{other},3,red,777,{}", ["val", "test"][i % 2]);
        }
        std::fs::write(folder.path().join("t.csv"), lines.join("\n")).unwrap();
        let all = [
            "--set",
            "task=regression",
            "--set",
            "split.column=part",
            "--initializers",
            "lsuv,unit_variance",
            "--json",
        ];
        let out = call(folder.path(), &init(&all)).done().json();
        assert_eq!(out["n_rows"], 80);
        told.push(out);
    }
    assert_eq!(told[0], told[1]);
}

#[test]
fn figures_of_a_model_are_those_of_its_tensors() {
    let folder = folder();
    call(folder.path(), &quick("t.csv", "y", &["--out", "run", "--set", "network.norm=batch"])).done();
    let told = call(folder.path(), &["inspect", "run", "--json"]).done();
    let tensors = told.json()["tensors"].as_array().unwrap().clone();
    let bytes = std::fs::read(folder.path().join("run/model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.len(), file.len());
    for tensor in &tensors {
        let name = tensor["name"].as_str().unwrap();
        let data = file.tensor(name).unwrap();
        let values: Vec<f64> = data
            .data()
            .chunks_exact(4)
            .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
            .collect();
        let number = |key: &str| tensor[key].as_f64().unwrap();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|v| v * v).sum::<f64>();
        let near = |key: &str, expected: f64| {
            assert!(
                (number(key) - expected).abs() <= 1e-9 * expected.abs().max(1.0),
                "{name} {key}: {expected}"
            );
        };
        near("min", values.iter().copied().fold(f64::INFINITY, f64::min));
        near("max", values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        near("mean", mean);
        near("std", (squares / n - mean * mean).max(0.0).sqrt());
        near("norm", squares.sqrt());
        near("zeros", values.iter().filter(|v| **v == 0.0).count() as f64);
        let counted: u64 = tensor["histogram"].as_array().unwrap().iter().map(|c| c.as_u64().unwrap()).sum();
        assert_eq!((counted, number("n")), (values.len() as u64, n));
        assert_eq!(tensor["trainable"], !name.contains("running"), "{name}");
    }
    let text = call(folder.path(), &["inspect", "run"]).done().out;
    assert_eq!(text.lines().take_while(|line| !line.is_empty()).count(), 1 + tensors.len());
    assert!(text.lines().nth(1).unwrap().contains("layers.0.weight"), "{text}");
}

#[test]
fn wrong_use_is_told() {
    let folder = folder();
    for (args, words) in [
        (&["inspect"][..], "no model is named"),
        (&["inspect", "run", "--set", "seed=1"], "leave them out, or add --init"),
        (&["inspect", "t.csv", "--target", "y"], "--init"),
        (&["inspect", "--init", "t.csv"], "no column to predict is named"),
        (&init(&["--initializers", "he_norml"]), "he_normal"),
        (&init(&["--initializers", "lsuv,"]), "--initializers"),
    ] {
        let told = call(folder.path(), args);
        assert_eq!(told.code, 2, "{args:?}: {}", told.err);
        assert!(told.err.contains(words) && told.out.is_empty(), "{args:?}: {}", told.err);
        assert!(!told.err.contains("--set network.initializer"), "{}", told.err);
    }
}
