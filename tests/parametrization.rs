//! The neural tangent parametrisation, parametric activations and learning rates of layers: against PyTorch, against
//! each other, and as settings.

use crate::cli;
use crate::common;
use std::path::Path;

use cli::{Outcome, call, table};
use common::{bits, dense, ntp, numbers, optimizer, packed, parameters, residual};
use serde_json::Value;
use statera::config::{Activation, Config, Initializer, LayerSpec, OptimizerName, Parametrization};
use statera::nn::{CpuLevel, Loss, Mode, Network, Pass, Targets};
use statera::train::optimizer::Optimizer;
use statera::train::step::Stepper;

fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

#[track_caller]
fn near(got: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let off = got.iter().zip(expected).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max);
    assert!(off < tolerance, "{what}: off by {off:e}");
}

/// Gives the layer these factors on its learning rate.
fn at_rates(mut spec: LayerSpec, own: f64, bias: f64) -> LayerSpec {
    match &mut spec {
        LayerSpec::Dense { lr_factor, bias_lr_factor, .. }
        | LayerSpec::Scale { lr_factor, bias_lr_factor, .. } => (*lr_factor, *bias_lr_factor) = (own, bias),
        LayerSpec::ParametricActivation { lr_factor, .. } => *lr_factor = own,
        _ => panic!("{spec:?} learns nothing"),
    }
    spec
}

#[test]
fn the_parts_of_realmlp_agree_with_pytorch() {
    let path = format!("{}/tests/golden/parametrization.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let factor = |name: &str| file["lr_factors"][name].as_f64().unwrap();
    let linear = |units| at_rates(ntp(dense(units, Activation::Linear)), 1.0, factor("bias"));
    for case in file["cases"].as_array().unwrap() {
        let name = case["function"].as_str().unwrap();
        let what = |part: &str| format!("{part} with {name} by {}", case["optimizer"]);
        let function = *Activation::ALL.iter().find(|function| function.name() == name).unwrap();
        let mut specs = vec![at_rates(LayerSpec::scale(), factor("scale"), 1.0)];
        for units in flat(&file["hidden"]) {
            specs.push(linear(units as usize));
            specs.push(at_rates(LayerSpec::parametric_activation(function, 0.01), factor("share"), 1.0));
        }
        specs.push(linear(1));
        let (x, target) = (flat(&case["x"]), flat(&case["target"]));
        let n_rows = target.len();
        let network = Network::from_specs(specs, x.len() / n_rows);
        let read = |tensors: &Value| -> Vec<f64> {
            assert_eq!(tensors.as_object().unwrap().len(), network.views().len());
            network.views().iter().flat_map(|view| flat(&tensors[&view.name])).collect()
        };
        let mut params = read(&case["start"]);
        let level = CpuLevel::detect();
        let mode = Mode::Train { seed: 0, step: 0, shard: 0 };
        let pass = Pass { level, params: &params, n_rows, mode };
        let mut work = network.workspace(n_rows);
        near(network.forward(&pass, &x, &mut work), &flat(&case["outputs"]), 1e-12, &what("outputs"));
        let share = 1.0 / n_rows as f64;
        network.forward_backward(&pass, Loss::Mse, &x, Targets::Values(&target), share, false, &mut work);
        near(&[work.loss_sum * share], &[case["loss"].as_f64().unwrap()], 1e-12, &what("loss"));
        near(&work.grads, &read(&case["gradients"]), 1e-12, &what("gradients"));

        let mut settings = optimizer(match case["optimizer"].as_str().unwrap() {
            "adamw" => OptimizerName::Adamw,
            _ => OptimizerName::Sgd,
        });
        settings.weight_decay = file["weight_decay"].as_f64().unwrap();
        let mut optimizer = Optimizer::new(&settings, network.views());
        let mut stepper = Stepper::new(&network, Loss::Mse, level, 1, n_rows, n_rows);
        let rate = file["learning_rate"].as_f64().unwrap();
        for step in 0..file["steps"].as_u64().unwrap() {
            stepper.step(step as u32, rate, &mut params, &mut optimizer, &x, Targets::Values(&target));
        }
        near(&params, &read(&case["end"]), 1e-9, &what("parameters after the steps"));
    }
}

/// What is used starts the same; what is trained is larger by the root of the inputs.
#[test]
fn the_neural_tangent_parametrisation_starts_as_the_standard_one() {
    let x = numbers::<f64>(40 * 9, 1);
    let level = CpuLevel::detect();
    let starts = [
        (Initializer::Auto, Initializer::Zeros),
        (Initializer::Orthogonal { gain: 1.0 }, Initializer::Normal { std: 0.3 }),
        (Initializer::UnitVariance, Initializer::HePlus { rows: 5 }),
        (Initializer::Lsuv { tolerance: 0.01 }, Initializer::HePlus { rows: 5 }),
    ];
    for (initializer, bias) in starts {
        for members in [false, true] {
            let layers = |parametrization: Parametrization| {
                let of = |units| {
                    let mut spec = LayerSpec::dense(units, Activation::Relu, initializer);
                    if let LayerSpec::Dense { parametrization: own, bias_initializer, .. } = &mut spec {
                        (*own, *bias_initializer) = (parametrization, bias);
                    }
                    spec
                };
                let mut specs = vec![of(12), residual([of(12)])];
                if members {
                    specs.extend([LayerSpec::Members { count: 3 }, packed(of(7))]);
                }
                specs
            };
            let [standard, tangent] = [Parametrization::Standard, Parametrization::Ntp]
                .map(|parametrization| Network::new(&layers(parametrization), 9, 2));
            let [usual, larger] = [&standard, &tangent].map(|network| network.init_on::<f64>(level, 3, &x));
            for (view, other) in standard.views().iter().zip(tangent.views()) {
                assert_eq!(view, other);
                let factor = match view.shape[..] {
                    [.., n_inputs, _] => (n_inputs as f64).sqrt(),
                    _ => 1.0,
                };
                let expected: Vec<f64> = usual[view.range()].iter().map(|w| factor * w).collect();
                near(&larger[view.range()], &expected, 1e-12, &format!("{} by {initializer:?}", view.name));
            }
            let predict = |network: &Network, params: &[f64]| {
                network.predict(level, params, Loss::Mse, &x, &mut network.inference_workspace(16))
            };
            near(&predict(&tangent, &larger), &predict(&standard, &usual), 1e-12, "predictions");
        }
    }
}

/// The output layer that is added is parametrised as the layer before it.
#[test]
fn the_output_layer_follows_the_last_dense_layer() {
    let last = |specs: &[LayerSpec]| match Network::new(specs, 4, 1).specs().last() {
        Some(LayerSpec::Dense { parametrization, .. }) => *parametrization,
        other => panic!("{other:?}"),
    };
    let plain = dense(5, Activation::Relu);
    assert_eq!(last(&[]), Parametrization::Standard);
    assert_eq!(last(&[ntp(plain.clone()), plain.clone()]), Parametrization::Standard);
    assert_eq!(last(&[plain.clone(), residual([ntp(plain)]), LayerSpec::layer_norm()]), Parametrization::Ntp);
}

#[test]
fn parametric_activations_start_as_the_function_and_end_as_the_identity() {
    let x = numbers::<f64>(30, 1);
    let level = CpuLevel::detect();
    for function in Activation::ALL.iter().filter(|function| **function != Activation::Linear) {
        let run = |specs: Vec<LayerSpec>, share: f64| {
            let network = Network::from_specs(specs, 3);
            let params = vec![share; network.n_params()];
            let pass = Pass { level, params: &params, n_rows: 10, mode: Mode::Infer };
            network.forward(&pass, &x, &mut network.inference_workspace(10)).to_vec()
        };
        let plain = run(vec![LayerSpec::Activation { function: *function, slope: 0.2 }], 0.0);
        let own = || vec![LayerSpec::parametric_activation(*function, 0.2)];
        assert_eq!(bits(&run(own(), 1.0)), bits(&plain), "{function}");
        assert_eq!(bits(&run(own(), 0.0)), bits(&x), "{function}");
        assert_eq!(Network::from_specs(own(), 3).init::<f64>(1), [1.0; 3]);
    }
}

/// A factor on the rate of a layer is an optimiser of its own for it, at the rate times the factor.
#[test]
fn rates_of_layers_multiply_their_steps() {
    let specs = |own: [f64; 3]| {
        vec![
            at_rates(LayerSpec::scale(), own[0], 1.0),
            at_rates(dense(6, Activation::Linear), own[1], own[2]),
            at_rates(LayerSpec::parametric_activation(Activation::Gelu, 0.01), own[0], 1.0),
            dense(2, Activation::Linear),
        ]
    };
    let factors = [6.0, 0.5, 0.1];
    let network = Network::from_specs(specs(factors), 4);
    let of_view = |name: &str| match name {
        "layers.1.weight" => factors[1],
        "layers.1.bias" => factors[2],
        "layers.0.weight" | "layers.2.weight" => factors[0],
        _ => 1.0,
    };
    let plain = Network::from_specs(specs([1.0; 3]), 4);
    let level = CpuLevel::detect();
    for name in OptimizerName::ALL.iter().filter(|name| **name != OptimizerName::Lbfgs) {
        let mut settings = optimizer(*name);
        settings.l1 = 0.003;
        let steps = |network: &Network, rate: f64| {
            let mut params = parameters::<f64>(network, 1);
            let mut optimizer = Optimizer::new(&settings, network.views());
            for step in 0..5 {
                optimizer.step(level, rate, &mut params, &numbers(network.n_params(), 10 + step));
            }
            params
        };
        let got = steps(&network, 0.01);
        for view in plain.views() {
            let alone = steps(&plain, 0.01 * of_view(&view.name));
            assert_eq!(bits(&got[view.range()]), bits(&alone[view.range()]), "{name}: {}", view.name);
        }
        // At no rate nothing moves.
        let frozen = Network::from_specs(specs([0.0; 3]), 4);
        let (start, end) = (parameters::<f64>(&frozen, 1), steps(&frozen, 0.01));
        for view in &frozen.views()[..3] {
            assert_eq!(bits(&end[view.range()]), bits(&start[view.range()]), "{name}: {}", view.name);
        }
    }
}

fn train(folder: &Path, out: &str, sets: &[&str]) -> Outcome {
    let mut args = vec!["train", "t.csv", "--target", "y", "--out", out, "--json", "--set", "train.epochs=4"];
    args.extend(sets.iter().flat_map(|set| ["--set", set]));
    call(folder, &args)
}

#[test]
fn settings_lead_to_it_and_what_has_no_effect_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("t.csv"), table(&["x", "k", "colour", "y"], 0..120)).unwrap();
    let sets = ["network.parametrization=ntp", "network.parametric_activation=true", "network.hidden=[8, 8]"];
    let told = train(folder, "run", &sets).done();
    let told = told.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("dense 8 linear, ntp, parametric_activation relu"), "{told}");
    let summary = call(folder, &["summary", "run"]).done().out;
    assert_eq!(summary.matches("ntp").count(), 3, "{summary}");
    call(folder, &["evaluate", "run", "t.csv"]).done();
    call(folder, &["predict", "run", "t.csv", "-o", "p.csv"]).done();

    // The list that the short forms stand for makes the same model.
    let config = Config::default().with(&sets.map(String::from)).unwrap();
    let expanded = config.expanded().with(&["train.epochs=4".into()]).unwrap();
    std::fs::write(folder.join("list.toml"), expanded.to_toml()).unwrap();
    let again = ["train", "t.csv", "--target", "y", "--out", "again", "--config", "list.toml", "--json"];
    call(folder, &again).done();
    let model = |out: &str| std::fs::read(folder.join(out).join("model.safetensors")).unwrap();
    assert!(model("again") == model("run"));

    let refused = |sets: &[&str], words: &[&str]| {
        let outcome = train(folder, "refused", sets);
        assert_ne!(outcome.code, 0, "{sets:?}");
        let text = outcome.err.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(text.contains(word), "{sets:?}: {text}\n  lacks: {word}");
        }
    };
    refused(
        &["network.activation=linear", "network.parametric_activation=true"],
        &["`network.parametric_activation` = true has no effect with `network.activation` = \"linear\""],
    );
    refused(
        &["network.layers=[{ type = 'parametric_activation', function = 'linear' }]"],
        &["layer 1 (parametric_activation): with `function` = \"linear\" y = x", "as \"relu\""],
    );
    refused(
        &["network.layers=[{ type = 'dense', units = 4, bias = false, bias_lr_factor = 0.1 }]"],
        &["`bias_lr_factor` = 0.1 has no effect with `bias` = false"],
    );
    refused(
        &["network.layers=[{ type = 'scale', lr_factor = -1 }]"],
        &["layer 1 (scale)", "`lr_factor`", "out of range"],
    );
    refused(
        &["optimizer.name=lbfgs", "network.layers=[{ type = 'dense', units = 4, lr_factor = 2 }]"],
        &["`optimizer.name` = \"lbfgs\" cannot do with lr_factor", "network.layers without lr_factor"],
    );
    refused(&["network.parametrization=ntk"], &["expected one of standard, ntp"]);
}
