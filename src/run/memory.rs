//! The memory that a training needs, estimated before any of it is taken.

use crate::config::{AverageKind, Config, OptimizerName, Precision};
use crate::data::words::thousands;
use crate::error::{Error, Result};
use crate::nn::{Layer, Network};

/// Refuses a network whose training would need more memory than this machine has left, where it tells.
pub(super) fn check(config: &Config, network: &Network, n_train: usize) -> Result<()> {
    let threads = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    match available() {
        Some(available) => {
            let resumable = config.checkpoint.resumable;
            compare(needed(config, network, n_train, threads), available, network.n_params(), resumable)
        }
        None => Ok(()),
    }
}

fn compare(needed: usize, available: usize, n_params: usize, resumable: bool) -> Result<()> {
    if needed <= available {
        return Ok(());
    }
    let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
    Err(Error::setting(
        format!(
            "a network of {} parameters would take about {:.1} GiB to train, and {:.1} GiB are available",
            thousands(n_params),
            gib(needed),
            gib(available)
        ),
        format!(
            "fewer units, as --set 'network.hidden=[128, 128]', or fewer members of an ensemble{}",
            if resumable { "; or no states to go on from: --set checkpoint.resumable=false" } else { "" }
        ),
    ))
}

/// Bytes that training keeps at least: vectors as long as the parameters, and for each thread what its shard of rows
/// becomes on the way forward and back. The rows themselves are there already.
fn needed(config: &Config, network: &Network, n_train: usize, threads: usize) -> usize {
    let train = &config.train;
    let batch =
        if config.optimizer.name == OptimizerName::Lbfgs { n_train } else { train.batch_size.min(n_train) };
    let n_shards = batch.div_ceil(train.shard_rows).max(1);
    let threads = threads.min(n_shards);
    let n_sums = if threads == 1 { 1 } else { (4 * threads).min(n_shards).next_power_of_two() };
    // Parameters, the best of them, and what is validated; the optimiser's; gradients.
    let of_optimizer = match config.optimizer.name {
        OptimizerName::Sgd => usize::from(config.optimizer.momentum > 0.0),
        OptimizerName::Lbfgs => 0,
        OptimizerName::Amsgrad => 3,
        _ => 2,
    };
    let of_average = usize::from(config.average.kind != AverageKind::None);
    // A state that is copied while another one, in the memory of two, is written.
    let of_states = if config.checkpoint.resumable { 3 * (2 + of_optimizer + of_average) } else { 0 };
    let vectors = 2
        + of_optimizer
        + n_sums
        + of_average
        + of_states
        + usize::from(train.accumulate > 1)
        + usize::from(config.noise.gradients > 0.0)
        + 2 * usize::from(config.noise.weights > 0.0);
    // What leaves each layer, and about as much kept for the way back; two gradients of the widest.
    let widths = || network.layers().iter().map(Layer::out_features);
    let of_row = widths().fold(0, usize::saturating_add).saturating_mul(2)
        + widths().max().unwrap_or(0).saturating_mul(2);
    let rows = train.shard_rows.min(batch + 1).saturating_mul(threads);
    let n = vectors.saturating_mul(network.n_params()).saturating_add(rows.saturating_mul(of_row));
    let size = match config.network.precision {
        Precision::F32 => 4,
        Precision::F64 => 8,
    };
    n.saturating_mul(size)
}

/// Bytes that this process may still take: what Linux says is available, and what a control group leaves of it.
pub(super) fn available() -> Option<usize> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let number = |path: &str| read(path)?.trim().parse::<usize>().ok();
    let of_machine = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
    });
    let of_group = number("/sys/fs/cgroup/memory.max").map(|most| {
        // What is kept of files gives way.
        let stat = read("/sys/fs/cgroup/memory.stat").unwrap_or_default();
        let files = stat.lines().filter_map(|line| {
            let (name, bytes) = line.split_once(' ')?;
            ["active_file", "inactive_file"].contains(&name).then(|| bytes.parse::<usize>().ok())?
        });
        let taken = number("/sys/fs/cgroup/memory.current").unwrap_or(0);
        most.saturating_sub(taken.saturating_sub(files.sum()))
    });
    [of_machine, of_group].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Activation, Initializer, LayerSpec};

    #[test]
    fn what_is_needed_grows_with_the_network_and_is_compared_with_what_there_is() {
        let mut config = Config::default();
        config.checkpoint.resumable = false;
        let of = |units: usize| {
            let layers = vec![LayerSpec::dense(units, Activation::Relu, Initializer::Auto)];
            needed(&config, &Network::new(&layers, units, 1), 10_000, 1)
        };
        // Five vectors of 1000² and some weights, in four bytes each, and little more.
        assert!((20_000_000..25_000_000).contains(&of(1000)), "{}", of(1000));
        assert!(of(65_536) > 80 << 30, "{}", of(65_536));
        let refused = compare(3 << 30, 1 << 29, 1234, true).unwrap_err().to_string();
        for words in ["1,234 parameters", "about 3.0 GiB", "0.5 GiB are available", "resumable=false"] {
            assert!(refused.contains(words), "{refused}");
        }
        assert!(compare(5, 5, 1, true).is_ok());
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(available().is_none_or(|bytes| bytes > 1 << 20));
    }
}
