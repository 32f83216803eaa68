//! Times one training step of the insurance network, on one thread; prints one line of JSON. With `parts` as its
//! argument it times networks of other layers instead, see `parts.rs`.
//!
//! The work is that of the peers in `bench/peers`: 936 random rows, shuffled every epoch, whole batches only,
//! Adam. Shuffling and gathering are counted. The figure is the best over repeats of time / steps. The peak
//! is the best rate of multiply–adds in registers, measured in the same run, between the repeats.

mod measure;
mod parts;

use std::time::Duration;

use statera::config::Config;
use statera::nn::{CpuLevel, Network};

use measure::{measure, peak};

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
    if arguments.first().is_some_and(|a| a == "parts") {
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
        println!("{}", parts::run(level, n_threads, arguments.get(1).map(String::as_str)));
        return;
    }
    let mut best_peak = peak::<f32>(level);
    let mut step_us = serde_json::Map::new();
    let mut multiply_adds = serde_json::Map::new();
    for batch in arguments {
        let batch_size: usize = batch.parse().expect("arguments are batch sizes");
        let mut times = Vec::new();
        for _ in 0..REPEATS {
            times.push(measure::<f32>(&network, &config, level, [ROWS, batch_size], REPEAT));
            best_peak = best_peak.max(peak::<f32>(level));
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
        "peak_gmac": (best_peak / 1e8).round() / 10.0,
        "step_us": step_us,
        "multiply_adds": multiply_adds,
    });
    println!("{line}");
}
