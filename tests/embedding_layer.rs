//! The embedding layer: against numbers of PyTorch, and by differences of the loss.

use crate::common;
use common::{activation, embedding_is_smooth, embeddings, numbers, parameters, residual};
use serde_json::Value;
use statera::config::{Activation, EmbeddingSpec, Initializer, LayerSpec, OptimizerConfig, OptimizerName};
use statera::data::Bins;
use statera::nn::{CpuLevel, Loss, Mode, Network, Pass, Scalar, Targets, Workspace};
use statera::train::optimizer::Optimizer;

fn golden() -> Value {
    let path = format!("{}/tests/golden/embeddings.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The numbers of a list, or of a list of lists, in their order.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        number => vec![number.as_f64().unwrap_or_else(|| panic!("{number} is not a number"))],
    }
}

#[track_caller]
fn assert_near(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (got - expected).abs() / expected.abs().max(0.1);
        assert!(error <= 1e-12, "{what}[{i}] is {got}, not {expected}: off by {error:e}");
    }
}

#[test]
fn embeddings_of_torch() {
    let file = golden();
    let n_rows = file["rows"].as_u64().unwrap() as usize;
    let bins: Bins = serde_json::from_value(file["bins"]["edges"].clone()).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let spec: EmbeddingSpec = serde_json::from_value(case["spec"].clone()).unwrap();
        // What stands beside the column must neither change it nor be changed.
        let plain = EmbeddingSpec::Plain { inputs: 2 };
        let before = EmbeddingSpec::Table { column: "before".into(), levels: 2, dimension: 2 };
        let columns = vec![before, spec.clone(), plain];
        let network = Network::from_specs(vec![LayerSpec::Embedding { columns }], 4);
        assert_eq!(network.n_outputs(), 4 + spec.n_outputs());

        let mut params = network.init::<f64>(3);
        let views: Vec<_> = network.views().iter().filter(|v| v.name.starts_with("layers.0.c.")).collect();
        let given = case["parameters"].as_object().unwrap();
        assert_eq!(views.len(), given.len(), "{name}");
        let tensor = |view: &str| view.strip_prefix("layers.0.c.").unwrap().to_owned();
        for view in &views {
            params[view.range()].copy_from_slice(&flat(&given[&tensor(&view.name)]));
        }
        let is_ple = matches!(spec, EmbeddingSpec::Ple { .. });
        let own = flat(&case["x"]);
        let x: Vec<f64> =
            own.iter().flat_map(|&x| [7.0, if is_ple { bins.position(x) } else { x }, 0.5, -x]).collect();

        let pass = |params| Pass { level: CpuLevel::detect(), params, n_rows, mode: Mode::Infer };
        let mut work = network.workspace(n_rows + 2);
        let y = network.forward(&pass(&params), &x, &mut work).to_vec();
        let (o, d) = (network.n_outputs(), spec.n_outputs());
        let part = |all: &[f64], from: usize, n: usize, width: usize| -> Vec<f64> {
            all.chunks(width).flat_map(|row| row[from..from + n].to_vec()).collect()
        };
        assert_near(name, &part(&y, 2, d, o), &flat(&case["y"]));
        assert_eq!(part(&y, 0, 2, o), vec![0.0; 2 * n_rows], "{name}: code 7 of 2 has no vector");
        assert_eq!(part(&y, d + 2, 2, o), part(&x, 2, 2, 4), "{name}: plain inputs stay");

        // The mean over the rows of Σ(y − t)², with t so that its gradient is that of the script.
        let direction = flat(&case["direction"]);
        let mut t = y.clone();
        for (t, direction) in t.chunks_mut(o).zip(direction.chunks(d)) {
            for (t, direction) in t[2..].iter_mut().zip(direction) {
                *t -= direction / 2.0;
            }
        }
        let scale = 1.0 / n_rows as f64;
        network.forward_backward(&pass(&params), Loss::Mse, &x, Targets::Values(&t), scale, true, &mut work);
        for view in &views {
            let tensor = tensor(&view.name);
            assert_near(
                &format!("{name}: {tensor}"),
                &work.grads[view.range()],
                &flat(&case["gradients"][&tensor]),
            );
        }
        let dx = &work.input_gradient()[..x.len()];
        let mut expected = flat(&case["dx"]);
        if is_ple {
            // Ours is by the place among the edges, that of the script by x.
            let edges = bins.edges();
            for (dx, x) in expected.iter_mut().zip(&own) {
                let bin = edges[1..edges.len() - 1].iter().filter(|edge| **edge <= *x).count();
                *dx *= edges[bin + 1] - edges[bin];
            }
        }
        assert_near(&format!("{name}: x"), &part(dx, 1, 1, 4), &expected);
        assert!(part(dx, 0, 1, 4).iter().chain(&part(dx, 2, 2, 4)).all(|dx| *dx == 0.0), "{name}");
    }
}

#[test]
fn tensors_are_named_and_only_weights_decay() {
    let columns = vec![
        EmbeddingSpec::Plr { column: "age".into(), frequencies: 3, sigma: 0.1, dimension: 2 },
        EmbeddingSpec::Pbld { column: "bmi".into(), frequencies: 3, sigma: 0.1, dimension: 4 },
        EmbeddingSpec::Table { column: "region".into(), levels: 5, dimension: 2 },
    ];
    let network = Network::from_specs(vec![LayerSpec::Embedding { columns }], 3);
    let views: Vec<_> =
        network.views().iter().map(|v| (v.name.as_str(), v.shape.clone(), v.decays, v.is_table)).collect();
    let expected = [
        ("layers.0.age.frequencies", vec![3], false, false),
        ("layers.0.age.weight", vec![6, 2], true, false),
        ("layers.0.age.bias", vec![2], false, false),
        ("layers.0.bmi.frequencies", vec![3], false, false),
        ("layers.0.bmi.phases", vec![3], false, false),
        ("layers.0.bmi.weight", vec![3, 3], true, false),
        ("layers.0.bmi.bias", vec![3], false, false),
        ("layers.0.region.weight", vec![5, 2], true, true),
    ];
    assert_eq!(views, expected);
    let params = network.init::<f64>(5);
    for view in network.views() {
        let of = &params[view.range()];
        let limit = match view.name.rsplit('.').next().unwrap() {
            "phases" => std::f64::consts::PI,
            // Five standard deviations.
            "frequencies" => 0.5,
            "bias" if view.name.contains("age") => 1.0 / 6.0_f64.sqrt(),
            "bias" => 1.0 / 3.0_f64.sqrt(),
            _ if view.is_table => 1.0 / 2.0_f64.sqrt(),
            _ => 1.0 / (view.shape[0] as f64).sqrt(),
        };
        assert!(of.iter().all(|p| p.abs() <= limit) && of.iter().any(|p| *p != 0.0), "{}: {of:?}", view.name);
    }
}

#[test]
fn muon_leaves_tables_to_adamw() {
    let columns = vec![EmbeddingSpec::Table { column: "c".into(), levels: 4, dimension: 3 }];
    let network = Network::from_specs(vec![LayerSpec::Embedding { columns }], 1);
    let start = network.init::<f64>(5);
    let grads = numbers::<f64>(start.len(), 6);
    let stepped = |settings: OptimizerConfig, rate: f64| {
        let mut params = start.clone();
        let mut optimizer = Optimizer::new(&settings, network.views());
        for _ in 0..3 {
            optimizer.step(CpuLevel::detect(), rate, &mut params, &grads);
        }
        params
    };
    let muon = common::optimizer(OptimizerName::Muon);
    let rate = 0.01 * muon.muon_fallback;
    assert_eq!(stepped(muon, 0.01), stepped(common::optimizer(OptimizerName::Adamw), rate));
}

/// Rows, inputs, and numbers that an input becomes. Some have as many rows as a tile or more.
const SHAPES: [[usize; 3]; 9] =
    [[1, 1, 1], [2, 1, 3], [1, 5, 2], [3, 7, 2], [9, 17, 1], [5, 33, 1], [20, 6, 2], [37, 3, 2], [70, 2, 1]];

const TRAIN: Mode = Mode::Train { seed: 7, step: 3, shard: 1 };

/// A network that begins with an embedding, the rows it sees, and targets.
struct Problem {
    network: Network,
    n_rows: usize,
    params: Vec<f64>,
    x: Vec<f64>,
    targets: Vec<f64>,
}

impl Problem {
    /// The first problem, over the salts, whose inputs and relus keep clear of their kinks.
    fn new(specs: &[LayerSpec], [n_rows, n_inputs]: [usize; 2]) -> Self {
        let network = Network::from_specs(specs.to_vec(), n_inputs);
        let candidate = |salt: u32| Self {
            params: parameters(&network, 3 * salt),
            x: numbers(n_rows * n_inputs, 3 * salt + 1),
            targets: numbers(n_rows * network.n_outputs(), 3 * salt + 2),
            network: network.clone(),
            n_rows,
        };
        // Where all codes are unknown and all relus off, nothing would be compared.
        let has_gradient = |p: &Self| p.largest_gradient(&p.gradients::<f64>()) > 0.01;
        let fits = |p: &Self| embedding_is_smooth(&p.network, &p.params, &p.x, 0.01) && has_gradient(p);
        (0..5000).map(candidate).find(fits).unwrap_or_else(|| panic!("{specs:?} has no smooth data"))
    }

    fn scale(&self) -> f64 {
        1.0 / self.n_rows as f64
    }

    fn largest_gradient(&self, (grads, dx): &(Vec<f64>, Vec<f64>)) -> f64 {
        let trained = self.network.views().iter().filter(|view| view.trainable);
        trained.flat_map(|view| &grads[view.range()]).chain(dx).fold(0.0, |a, g| g.abs().max(a))
    }

    fn objective(&self, params: &[f64], x: &[f64], work: &mut Workspace<f64>) -> f64 {
        let pass = Pass { level: CpuLevel::detect(), params, n_rows: self.n_rows, mode: TRAIN };
        let y = self.network.forward(&pass, x, work);
        let mut unused = vec![0.0; y.len()];
        Loss::Mse.forward_backward(y, Targets::Values(&self.targets), 1.0, &mut unused) * self.scale()
    }

    /// ∂L/∂parameters and ∂L/∂x, from memory that is larger than needed and full of other numbers.
    fn gradients<T: Scalar>(&self) -> (Vec<f64>, Vec<f64>) {
        let cast = |v: &[f64]| v.iter().map(|&v| T::from_f64(v)).collect::<Vec<T>>();
        let wide = |v: &[T]| v.iter().map(|v| v.to_f64()).collect::<Vec<f64>>();
        let (params, x, targets) = (cast(&self.params), cast(&self.x), cast(&self.targets));
        let pass = Pass { level: CpuLevel::detect(), params: &params, n_rows: self.n_rows, mode: TRAIN };
        let mut work = self.network.workspace::<T>(self.n_rows + 3);
        let mut run = |wants_dx: bool| {
            work.grads.fill(T::from_f64(f64::NAN));
            let (targets, scale) = (Targets::Values(&targets[..]), T::from_f64(self.scale()));
            self.network.forward_backward(&pass, Loss::Mse, &x, targets, scale, wants_dx, &mut work);
            (wide(&work.grads), wide(&work.input_gradient()[..x.len()]))
        };
        let (without, _) = run(false);
        let (grads, dx) = run(true);
        for view in self.network.views().iter().filter(|view| view.trainable) {
            assert_eq!(without[view.range()], grads[view.range()], "{}", view.name);
        }
        (grads, dx)
    }

    /// Compares every gradient with central differences of fourth order, and with those of single precision.
    fn check(&self) {
        // Waves turn up to ten times as fast as other layers: their fifth derivative takes a shorter step.
        const H: f64 = 1e-4;
        let (grads, dx) = self.gradients::<f64>();
        let floor = 1e-3 * self.largest_gradient(&(grads.clone(), dx.clone()));
        let mut work = self.network.workspace(self.n_rows);
        let mut check = |name: &str, got: f64, objective: &mut dyn FnMut(f64, &mut Workspace<f64>) -> f64| {
            let near = objective(H, &mut work) - objective(-H, &mut work);
            let far = objective(2.0 * H, &mut work) - objective(-2.0 * H, &mut work);
            let expected = (8.0 * near - far) / (12.0 * H);
            let error = (got - expected).abs() / expected.abs().max(got.abs()).max(floor);
            let specs = self.network.specs();
            assert!(
                error <= 1e-6,
                "{specs:?}: ∂/∂{name} is {got}, by differences {expected}: off by {error:e}"
            );
        };
        let (mut params, mut x) = (self.params.clone(), self.x.clone());
        for view in self.network.views().iter().filter(|view| view.trainable) {
            for i in view.range() {
                check(&view.name, grads[i], &mut |d, work| {
                    params[i] = self.params[i] + d;
                    let objective = self.objective(&params, &self.x, work);
                    params[i] = self.params[i];
                    objective
                });
            }
        }
        for i in 0..x.len() {
            check("x", dx[i], &mut |d, work| {
                x[i] = self.x[i] + d;
                let objective = self.objective(&self.params, &x, work);
                x[i] = self.x[i];
                objective
            });
        }

        let (single, single_dx) = self.gradients::<f32>();
        let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
        for view in self.network.views().iter().filter(|view| view.trainable) {
            let pairs = || single[view.range()].iter().zip(&grads[view.range()]);
            let error = norm(&mut pairs().map(|(a, b)| a - b));
            let size = norm(&mut pairs().map(|(_, b)| *b)).max(1e2 * floor);
            assert!(error <= 1e-3 * size, "{}: {error:e} of {size:e}", view.name);
        }
        let error = norm(&mut single_dx.iter().zip(&dx).map(|(a, b)| a - b));
        assert!(error <= 1e-3 * norm(&mut dx.iter().copied()).max(1e2 * floor), "x: {error:e}");
    }
}

#[test]
fn gradients_of_every_embedding() {
    for [n_rows, n_inputs, d] in SHAPES {
        for embedding in embeddings(n_inputs, d) {
            Problem::new(&[embedding], [n_rows, n_inputs]).check();
        }
    }
}

#[test]
fn gradients_of_every_embedding_before_other_layers() {
    let dense = |units| LayerSpec::dense(units, Activation::Gelu, Initializer::Auto);
    let stacks = [
        vec![dense(3)],
        vec![LayerSpec::BatchNorm { momentum: 0.9, epsilon: 0.1 }, dense(2)],
        vec![LayerSpec::LayerNorm { epsilon: 0.5 }],
        vec![LayerSpec::scale(), LayerSpec::Dropout { rate: 0.3 }, dense(2)],
        vec![LayerSpec::Dropout { rate: 0.3 }, activation(Activation::Tanh)],
        vec![LayerSpec::GaussianNoise { std: 0.2 }, activation(Activation::Sigmoid), dense(2)],
        vec![residual([LayerSpec::scale(), activation(Activation::Silu)]), dense(2)],
    ];
    for embedding in embeddings(6, 2) {
        for stack in &stacks {
            for n_rows in [3, 36] {
                let specs = [&[embedding.clone()][..], stack].concat();
                Problem::new(&specs, [n_rows, 6]).check();
            }
        }
    }
}

#[test]
fn summaries_and_sizes_count_what_the_views_hold() {
    for embedding in embeddings(5, 3) {
        let LayerSpec::Embedding { columns } = &embedding else { unreachable!() };
        let network = Network::from_specs(vec![embedding.clone(), LayerSpec::layer_norm()], 5);
        let sizes: Vec<(usize, usize)> = columns.iter().map(|column| column.size().unwrap()).collect();
        let views = network.views().iter().filter(|view| view.name.starts_with("layers.0.")).count();
        assert_eq!(views, sizes.iter().map(|(_, n_tensors)| n_tensors).sum::<usize>());
        let n_params = sizes.iter().map(|(n, _)| n).sum::<usize>();
        let row = &network.summary()[0];
        assert_eq!((row.kind, row.trainable, row.fixed), ("embedding", n_params, 0));
        assert_eq!(row.out_features, columns.iter().map(EmbeddingSpec::n_outputs).sum::<usize>());
        assert_eq!(columns.iter().map(EmbeddingSpec::n_inputs).sum::<usize>(), 5);
        assert!(columns.iter().all(|column| column.fault().is_none()));
    }
}
