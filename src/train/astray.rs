//! What to say of a training that went astray: the layer to blame, and what to try instead.

use statera_kernels::{CpuLevel, Scalar};

use super::range_test::instead_of;
use super::source::Source;
use super::start::start;
use crate::config::{Config, OptimizerName};
use crate::nn::{Layer, Loss, Network};

/// Training rows that show how large the outputs of layers are.
const ROWS: usize = 256;

/// What to try in place of settings under which training went astray.
#[derive(Debug, Clone, PartialEq)]
pub struct Instead {
    /// A learning rate that a short range test suggests; none where the loss falls at none.
    pub learning_rate: Option<f64>,
    /// The same in words, or else the setting that is likely to be at fault.
    pub remedy: String,
}

/// Finds out what to try in place of the settings of `config`, with which training went astray at the learning rate
/// `rate`.
///
/// A rate is suggested where a range test finds one, if `train.suggest` lets it be made. Noise that is far beyond the data is named before any rate, as are
/// other such settings where no rate makes the loss fall.
pub fn instead<T: Scalar>(
    rate: f64,
    network: &Network,
    loss: Loss,
    level: CpuLevel,
    config: &Config,
    train: Source<T>,
) -> Instead {
    /// A test leaves some of the noise out, so that it says nothing of so much.
    const FAR_BEYOND: f64 = 1e3;
    let told = |learning_rate, remedy| Instead { learning_rate, remedy };
    if config.optimizer.name == OptimizerName::Lbfgs {
        return told(None, "--set optimizer.name=adamw, or a larger optimizer.l2".into());
    }
    let suspect = suspect(config, network);
    let too_large = |Suspect { key, size, .. }: &Suspect| format!("{key} = {size:?} is far beyond the data");
    if let Some(suspect) = suspect.as_ref().filter(|s| s.size > FAR_BEYOND) {
        return told(None, format!("{}: {}", suspect.remedy, too_large(suspect)));
    }
    if !config.train.suggest {
        return told(
            None,
            suspect.map_or("a lower optimizer.learning_rate", |suspect| suspect.remedy).into(),
        );
    }
    match (instead_of(rate, network, loss, level, config, train), suspect) {
        (Some(rate), _) => told(Some(rate), rate_remedy(rate)),
        (None, Some(suspect)) => {
            let why = "the loss falls at no learning rate that a range test tries, and this may be why";
            told(None, format!("{}: {why}", suspect.remedy))
        }
        (None, None) => told(
            None,
            "another network.initializer or prepare.scale=robust, as the loss falls at no learning rate that a range \
             test tries; `statera inspect --init` and `statera profile` show what is out of proportion"
                .into(),
        ),
    }
}

/// How to try a learning rate that a range test suggests, and see the test.
fn rate_remedy(rate: f64) -> String {
    // Zeros that would have to be counted are not written.
    let rate = if (1e-4..1e6).contains(&rate) { rate.to_string() } else { format!("{rate:e}") };
    format!("--set optimizer.learning_rate={rate}, as a range test suggests; `statera lr-test` draws it")
}

/// Noise that is larger than what it is added to usually is.
struct Suspect {
    key: &'static str,
    size: f64,
    remedy: &'static str,
}

/// The largest noise of the settings, if it is larger than the scaled data or the weights, which are about 1 at most.
fn suspect(config: &Config, network: &Network) -> Option<Suspect> {
    let of = |key, size, remedy| Suspect { key, size, remedy };
    let n = &config.noise;
    let mut all = vec![
        of("noise.weights", n.weights, "--set noise.weights=0.01"),
        of("noise.gradients", n.gradients, "--set noise.gradients=0.01"),
        of("noise.labels", n.labels, "--set noise.labels=0.1"),
        of("augment.jitter", config.augment.jitter, "--set augment.jitter=0.1"),
    ];
    all.extend(network.layers().iter().filter_map(|layer| match layer {
        Layer::GaussianNoise(noise) if config.network.layers.is_empty() => {
            Some(of("network.input_noise", noise.std, "--set network.input_noise=0.1"))
        }
        Layer::GaussianNoise(noise) => {
            Some(of("the std of gaussian_noise", noise.std, "gaussian_noise of std = 0.1"))
        }
        _ => None,
    }));
    all.into_iter().filter(|s| s.size > 1.0).max_by(|a, b| a.size.total_cmp(&b.size))
}

/// A layer by its name and kind.
pub(super) fn named(network: &Network, layer: usize) -> String {
    format!("{} ({})", network.layer_name(layer), network.layers()[layer].kind())
}

/// A layer, and the largest numbers that left it at the start of training and leave it now.
pub(super) struct Grown {
    pub(super) layer: usize,
    pub(super) before: f64,
    pub(super) after: f64,
}

/// The layer with weights that makes more of what enters it than it did at the start, by the largest factor; none where
/// rows can no longer be read.
pub(super) fn grown<T: Scalar>(
    network: &Network,
    level: CpuLevel,
    seed: u64,
    params: &[T],
    train: Source<T>,
) -> Option<Grown> {
    let rows: Vec<u32> = (0..train.len().min(ROWS) as u32).collect();
    let x = train.picked(&rows, network.n_inputs()).ok()?.x;
    let before = network.largest_outputs(level, &start(network, level, seed, train).ok()?, &x);
    let after = network.largest_outputs(level, params, &x);
    let gain = |sizes: &[f64], i: usize| {
        let entered = i.checked_sub(1).map_or(1.0, |before| sizes[before]);
        // A number that is not finite is larger than any, and nothing is made of nothing.
        sizes[i].min(f64::MAX) / entered.clamp(f64::MIN_POSITIVE, f64::MAX)
    };
    let growth = |i: usize| gain(&after, i) / gain(&before, i).max(f64::MIN_POSITIVE);
    let layer = (0..after.len())
        .filter(|i| network.has_params(*i))
        .max_by(|a, b| growth(*a).total_cmp(&growth(*b)))?;
    Some(Grown { layer, before: before[layer], after: after[layer] })
}
