//! What each initialiser makes of a network on a table, before any training: how large the outputs of every layer
//! are, how far they still tell rows apart, and how large the gradients of the weights are.

use serde::Serialize;
use statera_kernels::{CpuLevel, Scalar};

use crate::config::{Config, Initializer, LayerSpec};
use crate::error::{Error, Result};
use crate::nn::{Layer, Loss, Mode, Network, Pass, Targets};
use crate::run::Plan;
use crate::train::start::{some_rows, start};

/// The most training rows that the scales are taken over.
const ROWS: usize = 256;
/// Rows are no longer told apart where the outputs spread by less than this share of what the inputs do: single
/// precision carries seven digits.
pub(super) const LEAST_SPREAD: f64 = 1e-8;
/// Weights hardly move where their gradient is smaller than this share of that of the outputs: the ε of adam,
/// 1e-8, outweighs it a hundred times.
pub(super) const LEAST_GRADIENT: f64 = 1e-10;
/// Outputs explode beyond so many times the size of the inputs, or of 1 if that is more.
pub(super) const MOST_OUTPUT: f64 = 100.0;
/// Gradients explode beyond so many times the gradient of the outputs.
pub(super) const MOST_GRADIENT: f64 = 10.0;

/// The scales of a layer; root mean squares over rows and units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerScale {
    /// `layers.<index>`.
    pub name: String,
    /// The kind of layer and its activation.
    pub kind: String,
    /// Of the outputs.
    pub outputs: f64,
    /// Of what the outputs of each unit differ by from its mean over the rows.
    pub spread: f64,
    /// Of the weights; none for a layer without.
    pub weights: Option<f64>,
    /// Of the gradient of the weights, of the mean loss over the rows, as a share of that of the network's outputs
    /// for a single row.
    pub gradient: Option<f64>,
}

/// What is wrong with a start, or with a trained network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Too little arrives.
    Vanishing,
    /// Too much does.
    Exploding,
    /// Units pass no gradient for any row.
    Dead,
    /// Units hardly pass any, for nearly all rows.
    Saturated,
}

/// A warning about a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trouble {
    /// What it is a case of.
    pub kind: Kind,
    /// The layer that shows it first, or most.
    pub layer: String,
    /// What was found, in words.
    pub what: String,
}

impl Trouble {
    /// The kind, and what was found.
    pub fn words(&self) -> String {
        let kind = match self.kind {
            Kind::Vanishing => "vanishing",
            Kind::Exploding => "exploding",
            Kind::Dead => "dead",
            Kind::Saturated => "saturated",
        };
        format!("{kind}, {}", self.what)
    }
}

/// How a network starts under one initialiser.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Start {
    /// The initialiser as it was asked for; "as set" for the one that the settings have.
    pub initializer: String,
    /// Root mean square of the inputs.
    pub inputs: f64,
    /// The mean loss over the rows.
    pub loss: f64,
    /// Layer by layer, dropout and noise left out.
    pub layers: Vec<LayerScale>,
    /// What is wrong with it; nothing at best.
    pub troubles: Vec<Trouble>,
}

/// Starts of one network on one table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StartReport {
    /// Training rows that the scales were taken over.
    pub n_rows: usize,
    /// The seed.
    pub seed: u64,
    /// That of the settings, then those that were asked for.
    pub starts: Vec<Start>,
    /// What cures the start of the settings, as it stands on the command line or in a file, if something was found.
    pub remedy: Option<String>,
}

/// The initialisers that are tried when none are named.
pub const TRIED: [&str; 6] = ["normal", "xavier_uniform", "he_normal", "lecun_normal", "orthogonal", "lsuv"];

/// What the settings' initialiser, and those of `names`, make of the plan's network on its training rows.
///
/// A name is what `network.initializer` takes: a bare name, or a table. Every dense layer that the settings have
/// starts by it; the output layer that is added stays with `auto`. Scales are computed in double precision, with
/// dropout, noise and masks of weights off; batch normalisation takes its statistics over the rows.
pub fn report(plan: &Plan, names: &[String]) -> Result<StartReport> {
    let asked: Vec<(&String, Initializer)> =
        names.iter().map(|name| Ok((name, read(name)?))).collect::<Result<_>>()?;
    let rows = plan.prepared::<f64>(plan.split.train.rows())?;
    let drawn = some_rows(plan.config.seed, rows.len(), ROWS);
    let batch = rows.picked(&drawn, plan.network.n_inputs());
    let look = |config: &Config, name: &str| -> Result<Start> {
        let plan = plan.with_learner(config.clone())?;
        let network = without_noise(&plan.network);
        let level = CpuLevel::detect();
        let params = start(&network, level, config.seed, &rows)?;
        let mut start = scales(&network, plan.loss, level, &params, &batch.x, batch.targets.view());
        name.clone_into(&mut start.initializer);
        Ok(start)
    };
    let mut starts = vec![look(&plan.config, "as set")?];
    for (name, initializer) in asked {
        starts.push(look(&started_by(&plan.config, initializer), name)?);
    }
    let remedy = if starts[0].troubles.is_empty() { None } else { remedy(&plan.config, &starts, &look)? };
    Ok(StartReport { n_rows: drawn.len(), seed: plan.config.seed, starts, remedy })
}

/// An initialiser as it stands behind `--set network.initializer=`.
fn read(name: &str) -> Result<Initializer> {
    let set = format!("network.initializer={name}");
    let config = Config::default().with(&[set]).map_err(|error| match error {
        Error::Setting(problem) => {
            let remedy = problem.remedy.replace("--set network.initializer=", "--initializers ");
            Error::setting(problem.what.replace("--set network.initializer=", "--initializers "), remedy)
        }
        other => other,
    })?;
    Ok(config.network.initializer)
}

/// The settings with this initialiser in every dense layer that they have.
fn started_by(config: &Config, start: Initializer) -> Config {
    let mut config = config.clone();
    config.network.initializer = start;
    LayerSpec::change_lists(&mut config.network.layers, &mut |layers| {
        for layer in layers {
            if let LayerSpec::Dense { initializer, .. } = layer {
                *initializer = start;
            }
        }
    });
    config
}

/// The same layers and parameters, with nothing random left in training.
pub(super) fn without_noise(network: &Network) -> Network {
    let mut specs = network.specs().to_vec();
    LayerSpec::change_lists(&mut specs, &mut |layers| {
        for layer in layers {
            match layer {
                LayerSpec::Dense { drop_connect, .. } => *drop_connect = 0.0,
                LayerSpec::Dropout { rate } => *rate = 0.0,
                LayerSpec::GaussianNoise { std } => *std = 0.0,
                LayerSpec::BatchNorm { .. }
                | LayerSpec::Activation { .. }
                | LayerSpec::ParametricActivation { .. }
                | LayerSpec::LayerNorm { .. }
                | LayerSpec::Scale { .. }
                | LayerSpec::Members { .. }
                | LayerSpec::Embedding { .. }
                | LayerSpec::Residual { .. } => {}
            }
        }
    });
    Network::from_specs(specs, network.n_inputs())
}

/// The scales of one batch `x` (B×inputs), and what is wrong with them.
pub fn scales<T: Scalar>(
    network: &Network,
    loss: Loss,
    level: CpuLevel,
    params: &[T],
    x: &[T],
    targets: Targets<T>,
) -> Start {
    let n_rows = targets.len();
    let mode = Mode::Train { seed: 0, step: 0, shard: 0 };
    let share = T::from_f64(1.0 / targets.total_weight().max(f64::MIN_POSITIVE));
    let mut work = network.workspace(n_rows);
    let pass = Pass { level, params, n_rows, mode };
    let outputs = network.forward(&pass, x, &mut work).to_vec();
    let mut gradient = vec![T::ZERO; outputs.len()];
    let mut scratch = vec![T::ZERO; network.loss_scratch_len(n_rows)];
    network.loss_of(loss, &outputs, targets, T::ONE, &mut gradient, &mut scratch);
    let of_outputs = rms(&gradient).max(f64::MIN_POSITIVE);
    network.forward_backward(&pass, loss, x, targets, share, false, &mut work);

    let mut layers = Vec::new();
    let mut look = |name: &str, upto: &[LayerSpec]| {
        // The layers up to this one as a network: what a later layer computes over is then still there.
        let upto = Network::from_specs(upto.to_vec(), network.n_inputs());
        let Some(layer) = upto.layers().last() else { return };
        // Without their noise these do nothing.
        if matches!(layer, Layer::Dropout(_) | Layer::GaussianNoise(_)) {
            return;
        }
        let pass = Pass { params: &params[..upto.n_params()], ..pass };
        let outputs = upto.forward(&pass, x, &mut upto.workspace(n_rows)).to_vec();
        let weight = format!("{name}.weight");
        let weight = network.views().iter().find(|v| v.decays && v.name == weight);
        layers.push(LayerScale {
            name: name.to_owned(),
            kind: format!("{} {}", layer.kind(), detail(layer)).trim_end().to_owned(),
            outputs: rms(&outputs),
            spread: spread(&outputs, n_rows),
            weights: weight.map(|view| rms(&params[view.range()])),
            gradient: weight.map(|view| rms(&work.grads[view.range()]) / of_outputs),
        });
    };
    each_layer("layers", &mut Vec::new(), network.specs(), &mut look);
    let mut start = Start {
        initializer: String::new(),
        inputs: rms(x),
        loss: loss.of_mean(work.loss_sum * share.to_f64()).0,
        layers,
        troubles: Vec::new(),
    };
    start.troubles = troubles(&start, spread(x, n_rows));
    start
}

/// Looks at each layer with all that stand before it, and at a block after the layers inside it, which follow on
/// what enters it.
pub(super) fn each_layer(
    list: &str,
    before: &mut Vec<LayerSpec>,
    specs: &[LayerSpec],
    look: &mut dyn FnMut(&str, &[LayerSpec]),
) {
    for (i, spec) in specs.iter().enumerate() {
        let name = format!("{list}.{i}");
        if let LayerSpec::Residual { layers } = spec {
            each_layer(&name, &mut before.clone(), layers, look);
        }
        before.push(spec.clone());
        look(&name, before);
    }
}

fn detail(layer: &Layer) -> String {
    match layer {
        Layer::Dense(dense) => format!("{} {}", dense.out_features, layer.detail()),
        Layer::Activation(_) | Layer::ParametricActivation(_) => layer.detail(),
        _ => String::new(),
    }
}

/// What is too small or too large about a start, given how far the inputs spread.
fn troubles(start: &Start, inputs_spread: f64) -> Vec<Trouble> {
    let mut found = Vec::new();
    let largest = MOST_OUTPUT * start.inputs.max(1.0);
    // Not a number is larger than any.
    let beyond = |value: f64, limit: f64| !value.is_finite() || value > limit;
    if let Some(layer) = start.layers.iter().find(|l| beyond(l.outputs, largest)) {
        found.push(Trouble {
            kind: Kind::Exploding,
            layer: layer.name.clone(),
            what: format!(
                "its outputs are {:.1e} in size, those of the inputs {:.1e}",
                layer.outputs, start.inputs
            ),
        });
    }
    if let Some(layer) = start.layers.iter().find(|l| l.spread < LEAST_SPREAD * inputs_spread) {
        found.push(Trouble {
            kind: Kind::Vanishing,
            layer: layer.name.clone(),
            what: format!(
                "its outputs differ between rows by {:.1e} only, those of the inputs by {inputs_spread:.1e}",
                layer.spread
            ),
        });
    }
    let with_gradient = || start.layers.iter().filter_map(|l| l.gradient.map(|g| (l, g)));
    if let Some((layer, gradient)) = with_gradient().find(|(_, g)| beyond(*g, MOST_GRADIENT)) {
        found.push(Trouble {
            kind: Kind::Exploding,
            layer: layer.name.clone(),
            what: format!("the gradient of its weights is {gradient:.1e} times that of the outputs"),
        });
    }
    let smallest = with_gradient().min_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((layer, gradient)) = smallest.filter(|(_, g)| *g < LEAST_GRADIENT) {
        found.push(Trouble {
            kind: Kind::Vanishing,
            layer: layer.name.clone(),
            what: format!("the gradient of its weights is {gradient:.1e} times that of the outputs"),
        });
    }
    found
}

/// The first change that leaves nothing to warn of: one of the initialisers that were tried, the one with the most
/// even gradients, or else a normalisation, or else relu.
fn remedy(
    config: &Config,
    starts: &[Start],
    look: &dyn Fn(&Config, &str) -> Result<Start>,
) -> Result<Option<String>> {
    let sound = starts[1..].iter().filter(|s| s.troubles.is_empty());
    let best = sound.min_by(|a, b| unevenness(a).total_cmp(&unevenness(b)));
    let is_listed = !config.network.layers.is_empty();
    if let Some(best) = best {
        let name = &best.initializer;
        return Ok(Some(if is_listed {
            format!("initializer = {} in the dense layers of network.layers", quoted(name))
        } else {
            format!("--set {}", shell(&format!("network.initializer={name}")))
        }));
    }
    if is_listed {
        let mut with_norm = config.clone();
        LayerSpec::change_lists(&mut with_norm.network.layers, &mut |layers| {
            let with = |layer: LayerSpec| {
                let norm = matches!(layer, LayerSpec::Dense { .. }).then(LayerSpec::layer_norm);
                std::iter::once(layer).chain(norm)
            };
            *layers = std::mem::take(layers).into_iter().flat_map(with).collect();
        });
        let sound = look(&with_norm, "")?.troubles.is_empty();
        return Ok(sound.then(|| "{ type = \"layer_norm\" } after each dense layer of network.layers".into()));
    }
    for set in ["network.norm=layer", "network.norm=batch", "network.activation=relu"] {
        let mut sets = vec![set.to_owned()];
        if set == "network.activation=relu" {
            sets.push("network.initializer=auto".into());
        }
        if look(&config.with(&sets)?, "")?.troubles.is_empty() {
            return Ok(Some(sets.iter().map(|s| format!("--set {s}")).collect::<Vec<_>>().join(" ")));
        }
    }
    Ok(None)
}

/// The largest gradient of a layer over the smallest.
fn unevenness(start: &Start) -> f64 {
    let gradients = || start.layers.iter().filter_map(|l| l.gradient);
    gradients().fold(0.0, f64::max) / gradients().fold(f64::INFINITY, f64::min)
}

/// A name as TOML has it; a table stays as it is.
fn quoted(name: &str) -> String {
    if name.starts_with('{') { name.to_owned() } else { format!("\"{name}\"") }
}

/// In quotes where a shell would take it apart.
fn shell(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_.=-".contains(c));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "\"")) }
}

/// √(mean of squares).
fn rms<T: Scalar>(values: &[T]) -> f64 {
    (values.iter().map(|v| v.to_f64().powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// √(mean over all of the squared differences from each column's mean), of rows of equal length.
fn spread<T: Scalar>(values: &[T], n_rows: usize) -> f64 {
    let n_columns = values.len() / n_rows.max(1);
    let column = |c: usize| values.iter().skip(c).step_by(n_columns).map(|v| v.to_f64());
    let squares = |c: usize| {
        let mean = column(c).sum::<f64>() / n_rows as f64;
        column(c).map(|v| (v - mean).powi(2)).sum::<f64>()
    };
    ((0..n_columns).map(squares).sum::<f64>() / values.len().max(1) as f64).sqrt()
}
