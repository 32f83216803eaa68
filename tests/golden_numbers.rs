//! Numbers that others have computed: by hand, and by the scripts in `tests/golden`.

use crate::common;
use common::{activation, dense_of, optimizer};
use serde_json::Value;
use statera::config::{
    Activation, Config, Initializer, LayerSpec, MomentumForm, OptimizerConfig, OptimizerName,
};
use statera::nn::{CpuLevel, Loss, Mode, Network, Pass, Targets, View};
use statera::train::optimizer::Optimizer;
use statera::train::step::Stepper;

const TRAIN: Mode = Mode::Train { seed: 0, step: 0, shard: 0 };

fn golden(name: &str) -> Value {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The numbers of a list, or of a list of lists, in their order.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        number => vec![number.as_f64().unwrap_or_else(|| panic!("{number} is not a number"))],
    }
}

/// Compares with a tolerance relative to the expected number, or to `unit` where that is more.
#[track_caller]
fn assert_near(what: &str, got: &[f64], expected: &[f64], tolerance: f64, unit: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (got - expected).abs() / expected.abs().max(unit);
        assert!(error <= tolerance, "{what}[{i}] is {got}, not {expected}: off by {error:e}");
    }
}

/// A neuron with one input, a sigmoid, and both of its parameters given.
fn neuron(weight: f64, function: Activation) -> Network {
    let constant = |value| Initializer::Constant { value };
    Network::from_specs(vec![dense_of(1, function, constant(weight), Some(constant(0.1)))], 1)
}

#[test]
fn one_neuron_by_hand() {
    // The loss of the example is ½(y − h)²; `mse` is (y − h)², twice that. So are its gradients, and half of the
    // example's learning rate of 0.1 makes the same step.
    let (x, truth, half, rate) = ([1.0], [1.0], 0.5, 0.05);
    let table = [
        // w, z, h, loss, ∂h/∂z, ∂L/∂w = ∂L/∂b, w after, b after
        [0.1, 0.2, 0.549_833_997, 0.101_324_715, 0.247_516_573, -0.111_423_546, 0.111_142_355, 0.111_142_355],
        [0.5, 0.6, 0.645_656_306, 0.062_779_727, 0.228_784_240, -0.081_068_253, 0.508_106_825, 0.108_106_825],
    ];
    for [weight, z, h, loss, slope, gradient, weight_after, bias_after] in table {
        let network = neuron(weight, Activation::Sigmoid);
        let mut params = network.init::<f64>(1);
        assert_eq!(params, [weight, 0.1]);
        let level = CpuLevel::detect();
        let pass = Pass { level, params: &params, n_rows: 1, mode: TRAIN };

        let mut work = network.workspace(1);
        let got_z = neuron(weight, Activation::Linear).forward(&pass, &x, &mut work)[0];
        let got_h = network.forward(&pass, &x, &mut work)[0];
        network.forward_backward(&pass, Loss::Mse, &x, Targets::Values(&truth), half, false, &mut work);
        let got_loss = half * work.loss_sum;
        let [dw, db] = work.grads[..] else { panic!("two parameters have two gradients") };
        // ∂L/∂b = ∂L/∂z = (h − y)·∂h/∂z
        let got_slope = db / (got_h - truth[0]);

        let mut settings = optimizer(OptimizerName::Sgd);
        settings.momentum = 0.0;
        let mut optimizer = Optimizer::new(&settings, network.views());
        let mut stepper = Stepper::new(&network, Loss::Mse, level, 1, 1, 1);
        let mse = stepper.step(0, rate, &mut params, &mut optimizer, &x, Targets::Values(&truth));

        let got = [got_z, got_h, got_loss, half * mse, got_slope, dw, db, params[0], params[1]];
        let expected = [z, h, loss, loss, slope, gradient, gradient, weight_after, bias_after];
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() <= 1e-9, "w = {weight}: {got:?} is not {expected:?}");
        }
    }
}

#[test]
fn losses_of_torch() {
    let file = golden("losses");
    let mut found = Vec::new();
    for case in file["cases"].as_array().unwrap() {
        let name = case["loss_name"].as_str().unwrap();
        let setting = |key: &str| case["settings"][key].as_f64().unwrap();
        let loss = match name {
            "mse" => Loss::Mse,
            "mae" => Loss::Mae,
            "huber" => Loss::Huber { delta: setting("delta") },
            "binary_crossentropy" => Loss::BinaryCrossentropy,
            "categorical_crossentropy" => Loss::CategoricalCrossentropy,
            "rmse" => Loss::Rmse,
            "log_cosh" => Loss::LogCosh,
            "quantile" => Loss::Quantile { quantile: setting("quantile") },
            "poisson" => Loss::Poisson,
            "binary_focal" => Loss::BinaryFocal { gamma: setting("gamma") },
            "categorical_focal" => Loss::CategoricalFocal { gamma: setting("gamma") },
            "hinge" => Loss::Hinge,
            "smooth_binary_crossentropy" => {
                Loss::SmoothBinaryCrossentropy { label_smoothing: setting("label_smoothing") }
            }
            "smooth_categorical_crossentropy" => {
                Loss::SmoothCategoricalCrossentropy { label_smoothing: setting("label_smoothing") }
            }
            other => panic!("losses.json has a loss that is not tested: {other}"),
        };
        let (outputs, truth) = (flat(&case["inputs"]), flat(&case["targets"]));
        let takes_classes = loss.is_classification();
        if takes_classes && truth.iter().any(|t| t.fract() != 0.0) {
            // Targets between two classes are not among those that a loss takes.
            continue;
        }
        let classes: Vec<u32> = truth.iter().map(|t| *t as u32).collect();
        let weights = case.get("weights").map(flat);
        let targets = match (&weights, takes_classes) {
            (None, true) => Targets::Classes(&classes),
            (None, false) => Targets::Values(&truth),
            (Some(weights), true) => Targets::WeightedClasses(&classes, weights),
            (Some(weights), false) => Targets::WeightedValues(&truth, weights),
        };
        let mut gradient = vec![f64::NAN; outputs.len()];
        let share = 1.0 / targets.total_weight();
        let sum = loss.forward_backward(&outputs, targets, share, &mut gradient);
        let (value, factor) = loss.of_mean(sum * share);
        gradient.iter_mut().for_each(|g| *g *= factor.unwrap_or(1.0));
        assert_near(name, &[value], &flat(&case["loss"]), 1e-14, 0.0);
        // Next to a probability of 1, what is left over has the precision of the 1.
        assert_near(name, &gradient, &flat(&case["grad"]), 1e-13, 1e-3);
        found.push(format!("{name}{}", if weights.is_some() { ", weighted" } else { "" }));
    }
    found.dedup();
    let expected = "mse mae huber binary_crossentropy categorical_crossentropy rmse log_cosh quantile poisson \
                    binary_focal categorical_focal hinge smooth_binary_crossentropy \
                    smooth_categorical_crossentropy";
    let weighted = ["mse", "rmse", "binary_crossentropy", "categorical_crossentropy"];
    let weighted = weighted.iter().map(|name| format!("{name}, weighted"));
    assert_eq!(found, expected.split(' ').map(str::to_owned).chain(weighted).collect::<Vec<_>>());
}

/// The network of network.json, with activations inside the dense layers or as layers of their own.
fn network_of(file: &Value, apart: bool) -> (Network, Vec<f64>) {
    let momentum = file["batch_norm"]["keras_momentum"].as_f64().unwrap();
    let epsilon = file["batch_norm"]["eps"].as_f64().unwrap();
    let batch_norm = || LayerSpec::BatchNorm { momentum, epsilon };
    let mut specs = vec![batch_norm()];
    let mut add = |units, function| {
        let inside = if apart { Activation::Linear } else { function };
        specs.push(dense_of(units, inside, Initializer::Auto, Some(Initializer::Zeros)));
        if apart {
            specs.push(activation(function));
        }
        if units == 5 {
            specs.push(batch_norm());
        }
    };
    add(5, Activation::Relu);
    add(4, Activation::Tanh);
    add(1, Activation::Linear);
    let network = Network::from_specs(specs, 3);
    let mut params = network.init(1);
    for (view, (_, values)) in
        network.views().iter().filter(|v| v.trainable).zip(tensors(&file["parameters"]))
    {
        params[view.range()].copy_from_slice(&values);
    }
    (network, params)
}

/// The trainable tensors in the order of the layers, which is that of our views.
fn tensors(layers: &Value) -> Vec<(String, Vec<f64>)> {
    let named = |(layer, tensors): (&String, &Value)| {
        let tensors = tensors.as_object().unwrap().clone().into_iter();
        tensors.map(|(name, values)| (format!("{layer}.{name}"), flat(&values))).collect::<Vec<_>>()
    };
    layers.as_object().unwrap().iter().flat_map(named).collect()
}

#[test]
fn a_network_of_torch() {
    let file = golden("network");
    assert_eq!(file["loss_name"], "mse");
    let (x, truth) = (flat(&file["inputs"]), flat(&file["targets"]));
    let n_rows = truth.len();
    let share = 1.0 / n_rows as f64;
    for apart in [false, true] {
        let (network, mut params) = network_of(&file, apart);
        let level = CpuLevel::detect();
        let mut work = network.workspace(n_rows);
        let near = |what: &str, got: &[f64], expected: &Value| {
            assert_near(what, got, &flat(expected), 1e-12, 0.1);
        };

        let pass = Pass { level, params: &params, n_rows, mode: TRAIN };
        near("train_predictions", network.forward(&pass, &x, &mut work), &file["train_predictions"]);
        network.forward_backward(&pass, Loss::Mse, &x, Targets::Values(&truth), share, true, &mut work);
        near("loss", &[work.loss_sum * share], &file["loss"]);
        near("input_gradient", &work.input_gradient()[..x.len()], &file["input_gradient"]);
        let expected = tensors(&file["gradients"]);
        let trainable: Vec<&View> = network.views().iter().filter(|v| v.trainable).collect();
        assert_eq!(trainable.len(), expected.len());
        for (view, (name, gradient)) in trainable.iter().zip(&expected) {
            assert_near(name, &work.grads[view.range()], gradient, 1e-12, 0.1);
        }

        // The running variance of torch takes the variance divided by n − 1, ours the one divided by n.
        let mut found = vec![0.0; network.n_statistics()];
        network.write_statistics(&work, &mut found);
        network.absorb_statistics(CpuLevel::detect(), &mut params, &found);
        let statistics: Vec<&View> = network.views().iter().filter(|v| !v.trainable).collect();
        let mut in_torch = params.clone();
        let norms = ["batch_norm_1", "batch_norm_2"];
        for (views, name) in statistics.chunks_exact(2).zip(norms) {
            let running = &file["running_statistics"][name];
            near("running mean", &params[views[0].range()], &running["mean"]);
            near("running variance", &params[views[1].range()], &running["var_if_biased"]);
            let bessel = n_rows as f64 / (n_rows as f64 - 1.0);
            for variance in &mut in_torch[views[1].range()] {
                // It began at 1, of which 0.99 is left.
                *variance = 0.99 + bessel * (*variance - 0.99);
            }
            near("torch's running variance", &in_torch[views[1].range()], &running["var"]);
        }
        assert_eq!(statistics.len(), 2 * norms.len());

        let mut work = network.inference_workspace(n_rows);
        for (params, expected) in [(&params, "eval_predictions_if_biased"), (&in_torch, "eval_predictions")] {
            let predictions = network.predict(level, params, Loss::Mse, &x, &mut work);
            near(expected, &predictions, &file[expected]);
        }
    }
}

#[test]
fn running_statistics_of_two_shards_by_hand() {
    let batch_norm = LayerSpec::BatchNorm { momentum: 0.9, epsilon: 1e-3 };
    let network = Network::new(&[batch_norm], 1, 1);
    let mut params = network.init::<f64>(1);
    let mut optimizer = Optimizer::new(&optimizer(OptimizerName::Sgd), network.views());
    let mut stepper = Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 1, 4, 2);
    // The shards have means 1 and 12 and variances 1 and 4.
    stepper.step(0, 0.1, &mut params, &mut optimizer, &[0.0, 2.0, 10.0, 14.0], Targets::Values(&[0.0; 4]));
    let running: Vec<f64> =
        network.views().iter().filter(|v| !v.trainable).map(|v| params[v.offset]).collect();
    assert_near("running", &running, &[0.1 * 6.5, 0.9 + 0.1 * 2.5], 1e-15, 0.0);
}

/// The gradient of a problem of optimizers.json at `w`.
fn problem_gradient(name: &str, problem: &Value, w: &[f64]) -> Vec<f64> {
    match name {
        "quadratic" => {
            let (a, b) = (flat(&problem["a"]), flat(&problem["b"]));
            let rows = a.chunks_exact(w.len()).zip(b);
            rows.map(|(a, b)| a.iter().zip(w).map(|(a, w)| a * w).sum::<f64>() - b).collect()
        }
        "rosenbrock" => {
            let (x, y) = (w[0], w[1]);
            vec![-2.0 * (1.0 - x) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)]
        }
        other => panic!("the problem {other} has no gradient here"),
    }
}

/// Our settings for a case of optimizers.json.
fn settings_of(case: &Value) -> OptimizerConfig {
    let given = &case["settings"];
    let number = |key: &str| given[key].as_f64().unwrap_or_else(|| panic!("{given} has no {key}"));
    let flag = |key: &str| given[key].as_bool().unwrap_or_else(|| panic!("{given} has no {key}"));
    let name = case["optimizer"].as_str().unwrap();
    let position = OptimizerName::NAMES.iter().position(|n| *n == name);
    let mut settings =
        optimizer(OptimizerName::ALL[position.unwrap_or_else(|| panic!("{name} is not known"))]);
    settings.learning_rate = number("lr");
    match settings.name {
        OptimizerName::Sgd => {
            settings.momentum = number("momentum");
            settings.nesterov = flag("nesterov");
            if given["momentum_form"] == "ema" {
                settings.momentum_form = MomentumForm::Ema;
            }
        }
        OptimizerName::Adam
        | OptimizerName::Adamw
        | OptimizerName::Amsgrad
        | OptimizerName::Nadam
        | OptimizerName::ScheduleFreeAdamw => {
            (settings.beta1, settings.beta2) = (number("beta1"), number("beta2"));
            settings.epsilon = number("eps");
            if settings.name == OptimizerName::Nadam {
                settings.momentum_decay = number("momentum_decay");
            }
        }
        OptimizerName::Lbfgs => panic!("no step of lbfgs is compared"),
        OptimizerName::Adagrad => settings.epsilon = number("eps"),
        OptimizerName::Rmsprop => {
            (settings.rho, settings.epsilon) = (number("rho"), number("eps"));
            (settings.rmsprop_momentum, settings.centered) = (number("momentum"), flag("centered"));
        }
        OptimizerName::Adadelta => (settings.rho, settings.adadelta_epsilon) = (number("rho"), number("eps")),
        OptimizerName::Lion => (settings.beta1, settings.lion_beta2) = (number("beta1"), number("beta2")),
        OptimizerName::Muon => {
            (settings.muon_momentum, settings.muon_nesterov) = (number("momentum"), flag("nesterov"));
            assert_eq!((number("ns_steps"), number("eps")), (5.0, 1e-7));
            assert_eq!(flat(&given["ns_coefficients"]), [3.4445, -4.775, 2.0315]);
        }
    }
    (settings.weight_decay, settings.l2) = match given["weight_decay_kind"].as_str() {
        Some("coupled") => (0.0, number("weight_decay")),
        Some("decoupled") => (number("weight_decay"), 0.0),
        _ => (0.0, 0.0),
    };
    settings
}

fn view(offset: usize, n: usize, trainable: bool, decays: bool) -> View {
    View {
        name: format!("layers.{offset}"),
        shape: vec![n],
        offset,
        trainable,
        decays,
        is_table: false,
        lr_factor: 1.0,
        dense: None,
    }
}

/// A matrix of rows, with rows and columns exchanged.
fn transposed(w: &[f64], n_columns: usize) -> Vec<f64> {
    (0..n_columns).flat_map(|c| w.iter().skip(c).step_by(n_columns).copied()).collect()
}

/// Aᵀ(AW − B) for W of n rows.
fn matrix_gradient(problem: &Value, w: &[f64], n_rows: usize) -> Vec<f64> {
    let (a, b) = (flat(&problem["a"]), flat(&problem["b"]));
    let n_columns = w.len() / n_rows;
    let mut gradient = vec![0.0; w.len()];
    for (a, b) in a.chunks_exact(n_rows).zip(b.chunks_exact(n_columns)) {
        for c in 0..n_columns {
            let rest = (0..n_rows).map(|r| a[r] * w[r * n_columns + c]).sum::<f64>() - b[c];
            (0..n_rows).for_each(|r| gradient[r * n_columns + c] += a[r] * rest);
        }
    }
    gradient
}

#[test]
fn optimizers_step_by_step() {
    let file = golden("optimizers");
    let mut found = Vec::new();
    let mut all = Vec::new();
    for case in file["cases"].as_array().unwrap() {
        let settings = settings_of(case);
        let name = case["problem"].as_str().unwrap();
        let problem = &file["problems"][name];
        let label = format!("{name} {settings:?}");
        let matrix = name.starts_with("matrix").then(|| problem["start"].as_array().unwrap().len());
        for level in common::levels() {
            let start = flat(&problem["start"]);
            let n = start.len();
            // A weight of a layer is (in, out), that of torch (out, in).
            let turn =
                |w: &[f64], n_columns| if matrix.is_some() { transposed(w, n_columns) } else { w.to_vec() };
            let n_columns = matrix.map_or(1, |n_rows| n / n_rows);
            let n_rows = n / n_columns;
            let mut view = view(0, n, true, true);
            if matrix.is_some() {
                view.shape = vec![n_columns, n_rows];
            }
            let mut w = turn(&start, n_columns);
            let mut optimizer = Optimizer::new(&settings, &[view]);
            let steps = case["steps"].as_array().unwrap();
            assert_eq!(steps.len(), 50);
            let mut used = vec![0.0; n];
            for (t, expected) in steps.iter().enumerate() {
                let at = turn(&w, n_rows);
                let gradient = match matrix {
                    Some(n_rows) => matrix_gradient(problem, &at, n_rows),
                    None => problem_gradient(name, problem, &at),
                };
                optimizer.step(level, settings.learning_rate, &mut w, &turn(&gradient, n_columns));
                let what = format!("{label}, step {t}");
                assert_near(&what, &turn(&w, n_rows), &flat(expected), 1e-9, 0.0);
                optimizer.write_weights_to_use(&w, &mut used);
                if let Some(expected) = case.get("eval_steps") {
                    assert_near(&what, &used, &flat(&expected[t]), 1e-9, 0.0);
                } else {
                    assert_eq!(used, w, "{what}");
                }
            }
        }
        found.push(settings.name.name());
        all.push(label);
    }
    // L-BFGS has a line search of its own and ends where others do: see tests/lbfgs.rs.
    for name in OptimizerName::NAMES.iter().filter(|name| **name != "lbfgs") {
        assert!(found.contains(name), "{name} has no numbers to compare with");
    }
    let n = all.len();
    assert_eq!(n, 44);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), n, "every case has settings of its own");
}

/// The steps of a case of the quadratic problem, by its settings.
fn quadratic_steps(file: &Value, wanted: &OptimizerConfig) -> Vec<Vec<f64>> {
    let mut cases = file["cases"].as_array().unwrap().iter();
    let case = cases.find(|c| c["problem"] == "quadratic" && settings_of(c) == *wanted);
    case.unwrap()["steps"].as_array().unwrap().iter().map(flat).collect()
}

#[test]
fn biases_do_not_decay_and_statistics_stay() {
    let file = golden("optimizers");
    let problem = &file["problems"]["quadratic"];
    let start = flat(&problem["start"]);
    let plain = OptimizerConfig { learning_rate: 0.01, weight_decay: 0.0, ..optimizer(OptimizerName::Adam) };
    let l2 = OptimizerConfig { l2: 0.1, ..plain.clone() };
    let decayed = OptimizerConfig { weight_decay: 0.1, name: OptimizerName::Adamw, ..plain.clone() };
    let free = quadratic_steps(&file, &plain);
    for settings in [l2, decayed] {
        let shrunk = quadratic_steps(&file, &settings);
        assert!((shrunk[19][0] - free[19][0]).abs() > 1e-6, "decay makes a difference");
        // A weight, a running statistic and a bias, each with the start and the gradient of the problem.
        let views = [view(0, 3, true, true), view(3, 3, false, false), view(6, 3, true, false)];
        let mut optimizer = Optimizer::new(&settings, &views);
        let mut params = start.repeat(3);
        for (shrunk, free) in shrunk.iter().zip(&free).take(20) {
            let gradient = |w: &[f64]| problem_gradient("quadratic", problem, w);
            let grads = [gradient(&params[..3]), vec![1.0; 3], gradient(&params[6..])].concat();
            optimizer.step(CpuLevel::detect(), settings.learning_rate, &mut params, &grads);
            assert_near("weight", &params[..3], shrunk, 1e-9, 0.0);
            assert_eq!(params[3..6], start, "statistics are not the optimiser's");
            assert_near("bias", &params[6..], free, 1e-9, 0.0);
        }
    }
}

#[test]
fn ensembles_agree_with_pytorch() {
    let file = golden("ensembles");
    let level = CpuLevel::detect();
    for case in file["cases"].as_array().unwrap() {
        let (kind, loss_name) = (case["kind"].as_str().unwrap(), case["loss_name"].as_str().unwrap());
        let what = |part: &str| format!("{part} of {kind}, {loss_name}");
        let loss = match loss_name {
            "mse" => Loss::Mse,
            "binary_crossentropy" => Loss::BinaryCrossentropy,
            _ => Loss::CategoricalCrossentropy,
        };
        let text = format!(
            "network = {{ hidden = {}, activation = {}, dropout = 0.0 }}
            ensemble = {{ kind = '{kind}', members = {} }}",
            file["hidden"], file["activation"], file["n_members"]
        );
        let layers = Config::from_toml_str(&text).unwrap().expanded_layers();
        let x = flat(&case["x"]);
        let n_rows = case["x"].as_array().unwrap().len();
        let n_outputs = case["prediction"][0].as_array().unwrap().len();
        let network = Network::new(&layers, x.len() / n_rows, n_outputs);

        let given = case["parameters"].as_object().unwrap();
        assert_eq!(network.views().len(), given.len(), "{}", what("tensors"));
        let mut params = vec![f64::NAN; network.n_params()];
        for view in network.views() {
            params[view.range()].copy_from_slice(&flat(&given[&view.name]));
        }
        let target = flat(&case["target"]);
        let classes: Vec<u32> = target.iter().map(|&class| class as u32).collect();
        let targets =
            if loss.is_classification() { Targets::Classes(&classes) } else { Targets::Values(&target) };
        let mut work = network.workspace(n_rows);
        let pass = Pass { level, params: &params, n_rows, mode: TRAIN };
        let outputs = network.forward(&pass, &x, &mut work).to_vec();
        assert_near(&what("outputs"), &outputs, &flat(&case["outputs"]), 1e-12, 1.0);

        let share = 1.0 / n_rows as f64;
        network.forward_backward(&pass, loss, &x, targets, share, true, &mut work);
        assert_near(&what("loss"), &[work.loss_sum * share], &[case["loss"].as_f64().unwrap()], 1e-12, 1.0);
        for view in network.views() {
            let expected = flat(&case["gradients"][&view.name]);
            assert_near(&what(&view.name), &work.grads[view.range()], &expected, 1e-12, 0.1);
        }
        let dx = &work.input_gradient()[..x.len()];
        assert_near(&what("input gradient"), dx, &flat(&case["input_gradient"]), 1e-12, 0.1);

        let predicted = network.predict(level, &params, loss, &x, &mut network.inference_workspace(4));
        assert_near(&what("prediction"), &predicted, &flat(&case["prediction"]), 1e-12, 1.0);
    }
}
