//! Times training steps of networks with other layers, widths, precisions and threads, and steps of an optimiser alone.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use statera::config::{Config, EmbeddingSpec, LayerSpec, OptimizerConfig};
use statera::nn::buffer::Buffer;
use statera::nn::{CpuLevel, Loss, Mode, Network, Pass, Targets};
use statera::random::{Purpose, Stream};
use statera::train::{awake::while_running, optimizer::Optimizer, step::Stepper};
use statera_kernels::{AdamStep, Kernels, Scalar};

use crate::measure::{measure, peak};

const ROUNDS: usize = 5;
const LENGTH: Duration = Duration::from_millis(300);
const FEATURES: usize = 11;

/// A network that is timed: its name, settings, rows of a batch, and the share of the peak to reach, if one is set.
struct Case {
    name: &'static str,
    settings: &'static str,
    batch_size: usize,
    goal: Option<f64>,
}

const fn case(name: &'static str, settings: &'static str, batch_size: usize, goal: Option<f64>) -> Case {
    Case { name, settings, batch_size, goal }
}

const CASES: &[Case] = &[
    case("dense 3 x 100", "network.norm = 'none'\nnetwork.dropout = 0.0\n", 32, Some(0.5)),
    case("dense 3 x 100", "network.norm = 'none'\nnetwork.dropout = 0.0\n", 256, Some(0.7)),
    case(
        "dense 3 x 512",
        "network.norm = 'none'\nnetwork.dropout = 0.0\nnetwork.hidden = [512, 512, 512]\n",
        1024,
        Some(0.8),
    ),
    case("layer norm", "network.norm = 'layer'\nnetwork.dropout = 0.0\n", 256, None),
    case("batch norm", "network.norm = 'batch'\nnetwork.dropout = 0.0\n", 256, None),
    case(
        "residual, batch norm",
        "network.residual = true\nnetwork.norm = 'batch'\nnetwork.dropout = 0.0\n",
        256,
        None,
    ),
    case("embedding plr", "network.norm = 'none'\nnetwork.dropout = 0.0\n", 256, None),
    case(
        "tabm, 32 members",
        "network.norm = 'none'\nnetwork.dropout = 0.0\nensemble.kind = 'tabm'\n",
        256,
        None,
    ),
    case(
        "packed, 32 members",
        "network.norm = 'none'\nnetwork.dropout = 0.0\nensemble.kind = 'packed'\n",
        256,
        None,
    ),
];

/// The network of a case: three hidden layers of 100 where its settings do not say otherwise.
fn network(case: &Case) -> (Network, Config) {
    let hidden = if case.settings.contains("hidden") { "" } else { "network.hidden = [100, 100, 100]\n" };
    let text = format!("{hidden}{}optimizer.name = 'adam'\n", case.settings);
    let config = Config::from_toml_str(&text).expect("the settings of the bench are right");
    let plr = |i| EmbeddingSpec::Plr { column: format!("x{i}"), frequencies: 16, sigma: 0.1, dimension: 8 };
    let embedding = LayerSpec::Embedding { columns: (0..FEATURES).map(plr).collect() };
    let embedding = Some(embedding).filter(|_| case.name.starts_with("embedding"));
    let layers: Vec<LayerSpec> = embedding.into_iter().chain(config.expanded_layers()).collect();
    (Network::new(&layers, FEATURES, 1), config)
}

/// One object for every row of the report; of those alone whose kind or name has `only` in it, if that is given.
pub fn run(level: CpuLevel, n_threads: usize, only: Option<&str>) -> Value {
    let wanted = |kind: &str, name: &str| only.is_none_or(|only| kind.contains(only) || name.contains(only));
    let mut rows = Vec::new();
    for case in CASES.iter().filter(|case| wanted("step", case.name)) {
        rows.push(step::<f32>(case, level, "f32"));
    }
    let (narrow, wide) = (&CASES[1], &CASES[2]);
    if wanted("step", "f64") {
        rows.push(step::<f64>(narrow, level, "f64"));
    }
    for (case, batch_size) in [(narrow, 512), (wide, 512), (narrow, 1024), (wide, 1024), (wide, 4096)] {
        if n_threads > 1 && wanted("threads", case.name) {
            rows.push(threads(case, level, batch_size, n_threads));
        }
    }
    if wanted("overhead", narrow.name) {
        rows.push(overhead(level));
    }
    for n in [10_000_000, 20_000] {
        if wanted("optimizer", "adam") {
            rows.push(adam(level, n));
        }
    }
    Value::Array(rows)
}

/// The best time of a step on one thread, and the share of the peak that its multiply–adds take.
fn step<T: Scalar>(case: &Case, level: CpuLevel, precision: &str) -> Value {
    let (network, config) = network(case);
    let (mut best, mut fastest) = (f64::INFINITY, 0.0_f64);
    let one = threads_of(1);
    for _ in 0..ROUNDS {
        let shape = [8 * case.batch_size.max(128), case.batch_size];
        best = best.min(one.install(|| measure::<T>(&network, &config, level, shape, LENGTH)));
        fastest = fastest.max(peak::<T>(level));
    }
    let work = (network.multiply_adds_per_row() * case.batch_size) as f64;
    json!({
        "what": "step", "name": case.name, "precision": precision, "batch": case.batch_size,
        "us": best * 1e6, "share_of_peak": work / best / fastest, "goal": case.goal.filter(|_| precision == "f32"),
    })
}

/// How much faster a step is on `n_threads`, the two taking turns.
///
/// Windows are short and many: what else the machine does disturbs one core or the other most of the time.
fn threads(case: &Case, level: CpuLevel, batch_size: usize, n_threads: usize) -> Value {
    let (network, config) = network(case);
    let (one, many) = (threads_of(1), threads_of(n_threads));
    let mut best = [f64::INFINITY; 2];
    for _ in 0..6 * ROUNDS {
        for (best, pool) in best.iter_mut().zip([&one, &many]) {
            let shape = [4 * batch_size, batch_size];
            let measured = || measure::<f32>(&network, &config, level, shape, LENGTH / 6);
            *best = best.min(pool.install(|| while_running(true, measured)));
        }
    }
    json!({
        "what": "threads", "name": case.name, "batch": batch_size, "threads": n_threads,
        "us": best[1] * 1e6, "times": best[0] / best[1], "goal": (n_threads == 2).then_some(1.8),
    })
}

/// What a step costs beside its passes and the kernel of its optimiser called one after the other: that is what all
/// techniques cost that are off (clipping, noise, masks, penalties, averages, accumulation), and the cutting into shards.
fn overhead(level: CpuLevel) -> Value {
    const STEPS: u32 = 500;
    let case = &CASES[0];
    let (network, config) = network(case);
    let n_rows = case.batch_size;
    let numbers = |n: usize, salt| -> Vec<f32> {
        let mut stream = Stream::new(0, Purpose::Init, salt);
        (0..n).map(|_| stream.normal() as f32).collect()
    };
    let (x, t) = (numbers(n_rows * FEATURES, 1), numbers(n_rows, 2));
    let start = network.init::<f32>(0);
    let n = start.len();
    let (mut p, mut q) = (Buffer::of(&start, 0), Buffer::of(&start, 0));
    let mut optimizer = Optimizer::new(&config.optimizer, network.views());
    let mut stepper = Stepper::new(&network, Loss::Mse, level, 0, n_rows, n_rows)
        .with_settings(&config.train)
        .with_noise(&config.noise);
    let mut work = network.workspace::<f32>(n_rows);
    let (mut m, mut v) = (Buffer::of(&vec![0.0; n], 2), Buffer::of(&vec![0.0; n], 3));
    let mut best = [f64::INFINITY; 2];
    for _ in 0..10 * ROUNDS {
        let begin = Instant::now();
        for step in 0..STEPS {
            stepper.step(step, 1e-3, &mut p, &mut optimizer, &x, Targets::Values(&t));
        }
        best[0] = best[0].min(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        for step in 0..STEPS {
            let mode = Mode::Train { seed: 0, step, shard: 0 };
            let pass = Pass { level, params: &q, n_rows, mode };
            let scale = 1.0 / n_rows as f32;
            network.forward_backward(&pass, Loss::Mse, &x, Targets::Values(&t), scale, false, &mut work);
            let adam = AdamStep {
                rate: 1e-3,
                inv_root_correction: 1.0,
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
                l2: 0.0,
                keep: 1.0,
            };
            f32::adam_step(level, &adam, &mut q, &work.grads, &mut m, &mut v);
        }
        best[1] = best[1].min(begin.elapsed().as_secs_f64());
    }
    assert!(p[0] != start[0] && q[0] != start[0], "both learn");
    json!({
        "what": "overhead", "name": case.name, "batch": n_rows, "us": best[0] * 1e6 / f64::from(STEPS),
        "times_passes_and_kernel": best[0] / best[1],
    })
}

fn threads_of(n: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads start")
}

/// A step of Adam over `n` parameters beside one pass that reads and writes the same arrays.
fn adam(level: CpuLevel, n: usize) -> Value {
    let config = Config::from_toml_str("optimizer.name = 'adam'").expect("the settings are right");
    // One layer of one output: n - 1 weights and a bias.
    let network = Network::new(&[], n - 1, 1);
    let settings: &OptimizerConfig = &config.optimizer;
    let mut optimizer = Optimizer::<f32>::new(settings, network.views());
    let (mut p, g) = (Buffer::of(&vec![0.5; n], 0), Buffer::of(&vec![0.25; n], 1));
    let (mut q, mut m, mut v) = (p.to_vec(), Buffer::of(&vec![0.5; n], 2), Buffer::of(&vec![0.5; n], 3));
    let repeats = (20_000_000 / n).max(1);
    let mut best = [f64::INFINITY; 2];
    for _ in 0..3 * ROUNDS {
        let begin = Instant::now();
        for _ in 0..repeats {
            optimizer.step(level, 1e-3, &mut p, &g);
        }
        best[0] = best[0].min(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        for _ in 0..repeats {
            for (((p, m), v), g) in q.iter_mut().zip(&mut *m).zip(&mut *v).zip(&*g) {
                (*p, *m, *v) = (*p + g, *m + g, *v + g);
            }
        }
        best[1] = best[1].min(begin.elapsed().as_secs_f64());
    }
    assert!(p[0] < 0.5 && q[0] > 0.5, "the passes do something");
    let [own, stream] = best.map(|seconds| seconds / repeats as f64);
    json!({
        "what": "optimizer", "name": "adam", "parameters": n, "us": own * 1e6,
        "ns_a_parameter": own * 1e9 / n as f64, "times_streaming": own / stream,
    })
}
