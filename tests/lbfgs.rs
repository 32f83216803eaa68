//! L-BFGS on networks: where it ends by the numbers of SciPy and PyTorch, what it refuses, and that it repeats itself.

use crate::cli;
use crate::common;
use cli::{call, content, folder};
use common::{dense_of, optimizer};
use serde_json::Value;
use statera::config::{Activation, Config, Initializer, OptimizerName};
use statera::nn::{CpuLevel, Loss, Network};
use statera::train::fit::{OwnedTargets, Rows};
use statera::train::full_batch::{FullBatch, check_memory};
use statera::train::lbfgs::{Lbfgs, Settings, minimize};
use statera::train::step::Stepper;

fn golden() -> Value {
    let path = format!("{}/tests/golden/lbfgs.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The numbers of a list, or of a list of lists, in their order.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// The cases of a problem: one of SciPy, one of PyTorch.
fn cases<'v>(file: &'v Value, problem: &str) -> Vec<&'v Value> {
    let cases: Vec<&Value> =
        file["cases"].as_array().unwrap().iter().filter(|c| c["problem"] == problem).collect();
    assert_eq!(cases.iter().map(|c| c["made_by"].as_str().unwrap()).collect::<Vec<_>>(), ["scipy", "torch"]);
    cases
}

/// A function that returns its value and writes its gradient.
type Function<'f> = &'f dyn Fn(&[f64], &mut [f64]) -> f64;

#[test]
fn ends_where_scipy_and_torch_end_on_the_quadratic_and_on_rosenbrock() {
    let file = golden();
    let (a, b) = (flat(&file["quadratic"]["a"]), flat(&file["quadratic"]["b"]));
    let quadratic = |w: &[f64], g: &mut [f64]| {
        let aw: Vec<f64> = a.chunks_exact(3).map(|row| row.iter().zip(w).map(|(a, w)| a * w).sum()).collect();
        (0..3).for_each(|i| g[i] = aw[i] - b[i]);
        (0..3).map(|i| w[i] * (0.5 * aw[i] - b[i])).sum::<f64>()
    };
    let rosenbrock = |w: &[f64], g: &mut [f64]| {
        let (off, bend) = (1.0 - w[0], w[1] - w[0] * w[0]);
        (g[0], g[1]) = (-2.0 * off - 400.0 * w[0] * bend, 200.0 * bend);
        off * off + 100.0 * bend * bend
    };
    let problems: [(&str, Function); 2] = [("quadratic", &quadratic), ("rosenbrock", &rosenbrock)];
    for (name, f) in problems {
        for case in cases(&file, name) {
            let mut w = flat(&case["start"]);
            assert_eq!(f(&w, &mut vec![0.0; w.len()]), case["start_value"].as_f64().unwrap(), "{name}");
            let found = minimize(&mut w, 1000, 1e-10, f);
            assert!(found.converged && found.gradient_norm <= 1e-10, "{name}: {found:?}");
            // No worse than theirs, and no better than rounding allows.
            let theirs = case["value"].as_f64().unwrap();
            assert!(
                (found.value - theirs).abs() < 1e-14 * theirs.abs().max(1.0),
                "{name}: {found:?}, {theirs}"
            );
            for (w, end) in w.iter().zip(flat(&case["end"])) {
                assert!((w - end).abs() < 1e-8, "{name}: {w}, not {end}");
            }
        }
    }
}

#[test]
fn ends_where_scipy_and_torch_end_on_a_network_with_a_penalty() {
    let file = golden();
    let of = &file["network"];
    let start = Some(Initializer::Zeros);
    let specs = vec![
        dense_of(4, Activation::Tanh, Initializer::Zeros, start),
        dense_of(1, Activation::Linear, Initializer::Zeros, start),
    ];
    let network = Network::from_specs(specs, 3);
    let tensors: Vec<(&str, Vec<f64>)> = of["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| (t["name"].as_str().unwrap(), flat(&t["shape"])))
        .collect();
    for (view, (name, shape)) in network.views().iter().zip(tensors) {
        assert_eq!((view.name.as_str(), view.shape.iter().map(|n| *n as f64).collect()), (name, shape));
    }
    let rows = Rows { x: flat(&of["inputs"]), targets: OwnedTargets::Values(flat(&of["targets"])) };
    let l2 = of["l2"].as_f64().unwrap();
    for case in cases(&file, "network") {
        // Few rows a shard, so that sums over shards take part.
        for (shard_rows, iterations) in [(20, 1), (6, 7)] {
            let mut settings = optimizer(OptimizerName::Lbfgs);
            (settings.l2, settings.lbfgs_iterations, settings.lbfgs_tolerance) = (l2, iterations, 1e-10);
            let mut params = flat(&case["start"]);
            let mut solver = FullBatch::new(&settings, &params);
            let mut stepper = Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 0, 20, shard_rows);
            let (mut epochs, mut losses) = (0, Vec::new());
            let last = loop {
                let epoch = solver.epoch(&mut stepper, &network, &rows, &mut params);
                epochs += 1;
                let squares =
                    |range: std::ops::Range<usize>| params[range].iter().map(|w| w * w).sum::<f64>();
                let weights = network.views().iter().filter(|v| v.decays).map(|v| squares(v.range()));
                losses.push(epoch.loss + 0.5 * l2 * weights.sum::<f64>());
                if epoch.ended.is_some() || epochs == 2000 {
                    break epoch;
                }
            };
            assert!(last.ended.as_ref().is_some_and(|why| why.contains("converged")), "{last:?} in {epochs}");
            assert!(last.gradient_norm <= 1e-10);
            assert!(losses.windows(2).all(|pair| pair[1] <= pair[0] + 1e-15), "{losses:?}");
            assert!(losses[0] < case["start_value"].as_f64().unwrap());
            let theirs = case["value"].as_f64().unwrap();
            let ours = losses[losses.len() - 1];
            assert!((ours - theirs).abs() < 1e-12, "{ours}, not {theirs}");
            // Their parameters are not compared: units may have changed places, and signs with those behind.
            assert!(case["gradient_norm"].as_f64().unwrap() < 1e-8, "they have come to an end as well");
        }
    }
}

const LBFGS: [&str; 4] = ["--set", "network.dropout=0", "--set", "optimizer.name=lbfgs"];

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "t.csv", "--target", "y", "--quiet", "--json"][..], &LBFGS, more].concat()
}

#[test]
fn a_linear_network_comes_to_least_squares() {
    let folder = folder();
    let sets = [
        "network.hidden=[]",
        "network.precision=f64",
        "optimizer.lbfgs_tolerance=1e-9",
        "checkpoint.restore_best=false",
        "early_stopping.enabled=false",
    ];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let told = call(folder.path(), &train(&sets)).done().json();
    assert!(told["stopped"].as_str().unwrap().contains("lbfgs has converged"), "{}", told["stopped"]);
    let (ours, theirs) = (&told["test"]["rmse"]["value"], &told["baselines"]["least_squares"]["rmse"]);
    let (ours, theirs) = (ours.as_f64().unwrap(), theirs.as_f64().unwrap());
    assert!((ours / theirs - 1.0).abs() < 1e-6, "{ours}, not {theirs}");
}

#[test]
fn training_repeats_itself_on_any_number_of_threads_and_says_what_has_no_say() {
    let folder = folder();
    let model = |threads: &str, out: &str| {
        let more =
            ["--set", "train.epochs=12", "--set", "train.shard_rows=20", "--threads", threads, "--out", out];
        call(folder.path(), &train(&more)).done();
        content(&folder.path().join(out))
            .into_iter()
            .find(|(p, _)| p.ends_with("model.safetensors"))
            .unwrap()
            .1
    };
    assert_eq!(model("1", "a"), model("4", "b"));
    let history = std::fs::read_to_string(folder.path().join("a/history.csv")).unwrap();
    let losses: Vec<f64> =
        history.lines().skip(1).map(|l| l.split(',').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(losses.len(), 12);
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    let loud = [&["train", "t.csv", "--target", "y", "--set", "train.epochs=2"][..], &LBFGS].concat();
    let told = call(folder.path(), &loud).done().err.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["all 84 training rows", "optimizer.learning_rate, train.batch_size, train.shuffle"] {
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn what_lbfgs_cannot_do_with_is_refused_with_what_works() {
    let folder = folder();
    let layers = |layer: &str| format!("network.layers=[{{type='dense',units=4}},{layer}]");
    let noise = layers("{type='gaussian_noise'}");
    let masked = layers("{type='dense',units=4,drop_connect=0.5}");
    let inside = layers("{type='residual',layers=[{type='dropout'}]}");
    for (set, words) in [
        ("network.dropout=0.2", "--set network.dropout=0"),
        (&*inside, "network.layers without dropout"),
        (&*noise, "network.layers without gaussian_noise"),
        (&*masked, "network.layers without drop_connect"),
        ("network.norm=batch", "--set network.norm=layer"),
        ("train.accumulate=2", "--set train.accumulate=1"),
        ("train.clip_norm=1", "--set train.clip_norm=0"),
        ("train.clip_value=1", "--set train.clip_value=0"),
        ("schedule.name=cosine", "--set schedule.name=constant"),
        ("schedule.warmup=1", "--set schedule.warmup=0"),
        ("average.kind=ema", "--set average.kind=none"),
        ("network.drop_connect=0.1", "--set network.drop_connect=0"),
        ("network.input_noise=0.1", "--set network.input_noise=0"),
        ("augment.jitter=0.1", "--set augment.jitter=0"),
        ("augment.mixup=0.1", "--set augment.mixup=0"),
        ("noise.labels=0.1", "--set noise.labels=0"),
        ("noise.weights=0.1", "--set noise.weights=0"),
        ("noise.gradients=0.1", "--set noise.gradients=0"),
        ("curriculum.by=loss", "--set curriculum.by=none"),
        ("optimizer.l1=0.1", "--set optimizer.l1=0"),
        ("optimizer.constraint=max_norm", "--set optimizer.constraint=none"),
    ] {
        let dropout = if set.contains("layers") { &LBFGS[2..] } else { &LBFGS };
        let told = call(
            folder.path(),
            &[&["train", "t.csv", "--target", "y"][..], dropout, &["--set", set]].concat(),
        );
        assert_eq!(told.code, 2, "{set}: {}", told.err);
        assert!(told.err.contains("`optimizer.name` = \"lbfgs\" cannot do with"), "{set}: {}", told.err);
        assert!(told.err.contains(words), "{set}: {}", told.err);
    }
    for set in ["train.batch_size=8", "optimizer.learning_rate=0.1", "reduce_on_plateau.factor=0.3"] {
        let told = call(folder.path(), &train(&["--set", set]));
        assert_eq!(told.code, 2, "{set}: {}", told.err);
        assert!(told.err.contains("has no effect with `optimizer.name` = \"lbfgs\""), "{set}: {}", told.err);
    }
    let told = call(folder.path(), &[&["lr-test", "t.csv", "--target", "y"][..], &LBFGS].concat());
    assert!(told.code == 2 && told.err.contains("a line search finds"), "{}", told.err);
}

#[test]
fn more_parameters_than_memory_holds_are_refused() {
    let sets = ["network.dropout=0".to_owned(), "optimizer.name=lbfgs".to_owned()];
    let config = Config::default().with(&sets).unwrap();
    let of = |width: usize| {
        let dense = common::dense(width, Activation::Relu);
        Network::new(&[dense.clone(), dense], 11, 1)
    };
    assert!(check_memory(&config, &of(1000)).is_ok());
    let error = check_memory(&config, &of(4000)).unwrap_err().to_string();
    assert!(error.contains("16,056,001 parameters") && error.contains("2 GiB at most"), "{error}");
    assert!(error.contains("--set optimizer.name=adamw"), "{error}");
    assert!(check_memory(&Config::default(), &of(4000)).is_ok());
}

/// −H·g with H as dense matrices: H ← Vᵀ H V + ρ s sᵀ, V = I − ρ y sᵀ, over the remembered pairs, from H₀ = (s·y)/(y·y) of the
/// newest (Nocedal & Wright 2006, 7.16 and 7.20), where the solver has the two loops of algorithm 7.4.
fn dense_direction(pairs: &[(Vec<f64>, Vec<f64>)], gradient: &[f64]) -> Vec<f64> {
    let n = gradient.len();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scale = pairs.last().map_or(1.0, |(s, y)| dot(s, y) / dot(y, y));
    let mut h = vec![vec![0.0; n]; n];
    (0..n).for_each(|i| h[i][i] = scale);
    for (s, y) in pairs {
        let rho = 1.0 / dot(s, y);
        // V = I − ρ y sᵀ, H ← Vᵀ H V + ρ s sᵀ.
        let v = |i: usize, j: usize| f64::from(u8::from(i == j)) - rho * y[i] * s[j];
        let hv: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).map(|j| (0..n).map(|k| h[i][k] * v(k, j)).sum()).collect()).collect();
        for i in 0..n {
            for j in 0..n {
                h[i][j] = (0..n).map(|k| v(k, i) * hv[k][j]).sum::<f64>() + rho * s[i] * s[j];
            }
        }
    }
    h.iter().map(|row| -dot(row, gradient)).collect()
}

#[test]
fn each_of_fifty_steps_is_that_of_the_dense_formula_and_meets_the_wolfe_conditions() {
    const MEMORY: usize = 5;
    let n = 24;
    // Condition 1e4, in mixed directions; valleys in a row; a network of tanh units.
    let quadratic = |w: &[f64], g: &mut [f64]| {
        let mut value = 0.0;
        g.fill(0.0);
        for i in 0..w.len() {
            let curve = 10.0_f64.powf(4.0 * i as f64 / (w.len() - 1) as f64);
            let next = (i + 1) % w.len();
            let along = w[i] + 0.3 * w[next] - 1.0;
            value += 0.5 * curve * along * along;
            g[i] += curve * along;
            g[next] += 0.3 * curve * along;
        }
        value
    };
    let rosenbrock = |w: &[f64], g: &mut [f64]| {
        let mut value = 0.0;
        g.fill(0.0);
        for i in 0..w.len() - 1 {
            let (off, bend) = (1.0 - w[i], w[i + 1] - w[i] * w[i]);
            value += off * off + 100.0 * bend * bend;
            g[i] += -2.0 * off - 400.0 * w[i] * bend;
            g[i + 1] += 200.0 * bend;
        }
        value
    };
    // 20 rows of 2 inputs into 6 tanh units: 12 weights, 6 biases, 6 weights of the output.
    let network = |w: &[f64], g: &mut [f64]| {
        let mut value = 0.0;
        g.fill(0.0);
        for row in 0..20 {
            let x = [(1.7 * f64::from(row)).sin(), (2.9 * f64::from(row) + 1.0).cos()];
            let h: Vec<f64> = (0..6).map(|u| (w[u] * x[0] + w[6 + u] * x[1] + w[12 + u]).tanh()).collect();
            let error = (0..6).map(|u| w[18 + u] * h[u]).sum::<f64>() - x[0] * x[1];
            value += 0.5 * error * error;
            for u in 0..6 {
                g[18 + u] += error * h[u];
                let back = error * w[18 + u] * (1.0 - h[u] * h[u]);
                (g[u], g[6 + u], g[12 + u]) = (g[u] + back * x[0], g[6 + u] + back * x[1], g[12 + u] + back);
            }
        }
        value
    };
    let problems: [(&str, Function); 3] =
        [("quadratic", &quadratic), ("rosenbrock", &rosenbrock), ("network", &network)];
    for (name, f) in problems {
        let start: Vec<f64> = (0..n).map(|i| 0.8 * (2.3 * i as f64 + 1.1).sin()).collect();
        let settings = Settings { memory: MEMORY, gradient_tolerance: 1e-12, rounding: f64::EPSILON };
        let mut solver = Lbfgs::new(start, settings);
        let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
        let mut whole_steps = 0;
        for step in 0..50 {
            let (before, mut g) = (solver.x().to_vec(), vec![0.0; n]);
            let value = f(&before, &mut g);
            assert_eq!(solver.run(1, f).iterations, 1, "{name}, step {step}");
            let direction = dense_direction(&pairs, &g);
            let (after, mut g_after) = (solver.x().to_vec(), vec![0.0; n]);
            let value_after = f(&after, &mut g_after);
            let s: Vec<f64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
            let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
            for (s, d) in s.iter().zip(&direction) {
                let off = (s / solver.step() - d).abs() / length;
                assert!(off < 1e-9, "{name}, step {step}: {off:e}");
            }
            // The strong Wolfe conditions with c₁ = 1e-4 and c₂ = 0.9 (3.7).
            let slope = |g: &[f64]| g.iter().zip(&direction).map(|(g, d)| g * d).sum::<f64>();
            let (first, last) = (slope(&g), slope(&g_after));
            assert!(
                value_after <= value + 1e-4 * solver.step() * first + 1e-14 * value.abs(),
                "{name}, {step}"
            );
            assert!(last.abs() <= 0.9 * first.abs(), "{name}, {step}: {last} after {first}");
            whole_steps += u32::from(solver.step() == 1.0);
            let y = g_after.iter().zip(&g).map(|(a, b)| a - b).collect();
            pairs.push((s, y));
            if pairs.len() > MEMORY {
                pairs.remove(0);
            }
        }
        assert!(whole_steps > 20, "{name}: a quasi-Newton step is right most of the time, not {whole_steps}");
    }
}
