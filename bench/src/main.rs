//! Times one training step of the insurance network, on one thread; prints one line of JSON.
//!
//! The work is that of the peers in `bench/peers`: 936 random rows, shuffled every epoch, whole batches only,
//! Adam. Shuffling and gathering are counted. The figure is the best over repeats of time / steps. The peak
//! is the best rate of multiply–adds in registers, measured in the same run, between the repeats.

use std::time::{Duration, Instant};

use statera::config::Config;
use statera::nn::buffer::Buffer;
use statera::nn::{CpuLevel, Loss, Network, Targets};
use statera::random::{Purpose, Stream};
use statera::train::{optimizer::Optimizer, step::Stepper};
use statera_kernels::Scalar;

const ROWS: usize = 936;
const FEATURES: usize = 11;
const REPEATS: usize = 7;
const REPEAT: Duration = Duration::from_millis(500);

const NETWORK: &str = r#"
[network]
layers = [
  { type = "batch_norm" },
  { type = "dense", units = 100, activation = "relu" },
  { type = "batch_norm" },
  { type = "dropout", rate = 0.5 },
  { type = "dense", units = 100, activation = "relu" },
  { type = "batch_norm" },
  { type = "dropout", rate = 0.5 },
  { type = "dense", units = 100, activation = "relu" },
  { type = "batch_norm" },
]
[optimizer]
name = "adam"
"#;

fn main() {
    let config = Config::from_toml_str(NETWORK).expect("the settings of the bench are right");
    let network = Network::new(&config.expanded_layers(), FEATURES, 1);
    assert_eq!(network.n_params(), 22_745);
    // The first argument may name the instructions to use: `avx2` on a CPU that has AVX-512, say.
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = CpuLevel::ALL.into_iter().find(|level| arguments.first().is_some_and(|a| a == level.name()));
    if named.is_some() {
        arguments.remove(0);
    }
    let level = named.unwrap_or_else(CpuLevel::detect);
    let mut peak = peak(level);
    let mut step_us = serde_json::Map::new();
    let mut multiply_adds = serde_json::Map::new();
    for batch in arguments {
        let batch_size: usize = batch.parse().expect("arguments are batch sizes");
        let mut times = Vec::new();
        for _ in 0..REPEATS {
            times.push(measure(&network, &config, level, batch_size));
            if std::env::var("SLICES").is_ok() { eprintln!("{batch} {:.2} us, peak {:.1}", times.last().unwrap()*1e6, self::peak(level)/1e9); }
            peak = peak.max(self::peak(level));
        }
        let seconds = times.into_iter().fold(f64::INFINITY, f64::min);
        let work = network.multiply_adds_per_row() * batch_size;
        step_us.insert(batch.clone(), (seconds * 1e8).round().into());
        multiply_adds.insert(batch, work.into());
    }
    for (_, us) in &mut step_us {
        *us = (us.as_f64().unwrap_or(0.0) / 100.0).into();
    }
    let line = serde_json::json!({
        "peer": "statera",
        "version": env!("CARGO_PKG_VERSION"),
        "threads": 1,
        "instructions": level.name(),
        "peak_gmac": (peak / 1e8).round() / 10.0,
        "step_us": step_us,
        "multiply_adds": multiply_adds,
    });
    println!("{line}");
}

/// Multiply–adds a second in registers alone: the best of a few short tries.
fn peak(level: CpuLevel) -> f64 {
    let rate = |_| {
        let begin = Instant::now();
        let (n, _) = f32::peak(level, 500_000);
        n as f64 / begin.elapsed().as_secs_f64()
    };
    (0..10).map(rate).fold(0.0, f64::max)
}

/// Seconds a step, over epochs of at least [`REPEAT`] in all.
fn measure(network: &Network, config: &Config, level: CpuLevel, batch_size: usize) -> f64 {
    let mut stream = Stream::new(0, Purpose::Init, 1000);
    let all_x: Vec<f32> = (0..ROWS * FEATURES).map(|_| stream.normal() as f32).collect();
    let all_t: Vec<f32> = (0..ROWS).map(|_| stream.normal() as f32).collect();
    let mut params = Buffer::of(&network.init::<f32>(0), 0);
    let mut optimizer = Optimizer::new(&config.optimizer, network.views());
    let mut stepper = Stepper::new(network, Loss::Mse, level, 0, batch_size, config.train.shard_rows);
    let mut order: Vec<usize> = (0..ROWS).collect();
    let mut x = vec![0.0; batch_size * FEATURES];
    let mut t = vec![0.0; batch_size];
    let mut steps = 0_u32;
    let mut losses = Vec::new();
    let mut epoch = |number: u32, steps: &mut u32| {
        Stream::new(0, Purpose::Shuffle, number).shuffle(&mut order);
        let mut loss_sum = 0.0;
        for rows in order.chunks_exact(batch_size) {
            for (i, &row) in rows.iter().enumerate() {
                x[i * FEATURES..][..FEATURES].copy_from_slice(&all_x[row * FEATURES..][..FEATURES]);
                t[i] = all_t[row];
            }
            loss_sum += stepper.step(*steps, 1e-3, &mut params, &mut optimizer, &x, Targets::Values(&t));
            *steps += 1;
        }
        losses.push(loss_sum);
    };
    epoch(0, &mut steps);
    let (warm, begin) = (steps, Instant::now());
    let mut number = 1;
    while begin.elapsed() < REPEAT {
        epoch(number, &mut steps);
        number += 1;
    }
    let seconds = begin.elapsed().as_secs_f64() / f64::from(steps - warm);
    assert!(losses.last() < losses.first(), "the network does not learn");
    seconds
}
