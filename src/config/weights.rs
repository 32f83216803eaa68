//! What the weights of dense layers are: which layer has which kind, and what does not go with it.

use serde::{Deserialize, Serialize};

use super::choices::{
    Activation, AverageKind, Constraint, EndWeights, OptimizerName, Parametrization, WeightKind,
};
use super::layers::{Initializer, LayerSpec};
use super::{Config, OptimizerConfig};
use crate::error::{Error, Result};

/// What the weights of dense layers are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightsConfig {
    /// The kind.
    pub kind: WeightKind,
    /// That of the first and the last dense layer.
    pub first_and_last: EndWeights,
    /// Share of zeros that pruning ends at.
    pub sparsity: f64,
    /// Epochs before it begins.
    pub prune_begin: usize,
    /// Epochs after which it is done.
    pub prune_end: usize,
    /// Epochs from one cut to the next.
    pub prune_every: usize,
}

impl WeightsConfig {
    /// The kind of the first and the last dense layer, where they have none of their own.
    fn kind_of_ends(&self) -> WeightKind {
        match (self.first_and_last, self.kind) {
            (EndWeights::Continuous, _) | (EndWeights::Auto, WeightKind::Binary) => WeightKind::Continuous,
            (EndWeights::Auto | EndWeights::Same, kind) => kind,
        }
    }
}

impl Config {
    /// Gives every dense layer of `layers`, the output layer among them, its kind of weights: its own, or that of the
    /// settings, which leave members of an ensemble with weights of their own continuous. A layer of continuous weights has
    /// none said of it.
    pub fn give_weight_kinds(&self, layers: &mut [LayerSpec]) {
        let n_dense = dense(layers).len();
        let mut i = 0;
        each_dense(layers, &mut |layer| {
            let LayerSpec::Dense { weights, packed, .. } = layer else { return };
            let at_end = i == 0 || i + 1 == n_dense;
            let usual = match *packed {
                true => WeightKind::Continuous,
                false if at_end => self.weights.kind_of_ends(),
                false => self.weights.kind,
            };
            let kind = weights.unwrap_or(usual);
            *weights = (kind != WeightKind::Continuous).then_some(kind);
            i += 1;
        });
    }

    /// Says of each listed layer which kind its weights are; of a last one that may be the output layer nothing.
    pub(super) fn name_weight_kinds(&mut self) {
        if self.weights.kind == WeightKind::Continuous {
            return;
        }
        let mut layers = std::mem::take(&mut self.network.layers);
        let own: Vec<bool> = dense(&layers).iter().map(|(_, spec)| kind_of(spec).is_some()).collect();
        let ends_linear =
            matches!(layers.last(), Some(LayerSpec::Dense { activation: Activation::Linear, .. }));
        let n_named = own.len() - usize::from(ends_linear);
        layers.push(output(&layers));
        self.give_weight_kinds(&mut layers);
        layers.pop();
        let mut i = 0;
        each_dense(&mut layers, &mut |layer| {
            let LayerSpec::Dense { weights, .. } = layer else { return };
            *weights = (i < n_named || own[i]).then(|| weights.unwrap_or(WeightKind::Continuous));
            i += 1;
        });
        self.network.layers = layers;
    }
}

fn kind_of(layer: &LayerSpec) -> Option<WeightKind> {
    match layer {
        LayerSpec::Dense { weights, .. } => *weights,
        _ => None,
    }
}

fn is_packed(layer: &LayerSpec) -> bool {
    matches!(layer, LayerSpec::Dense { packed: true, .. })
}

/// The dense layers in the order they are run in, each with its place in words.
fn dense(layers: &[LayerSpec]) -> Vec<(String, &LayerSpec)> {
    fn add<'l>(layers: &'l [LayerSpec], list: &str, found: &mut Vec<(String, &'l LayerSpec)>) {
        for (i, layer) in layers.iter().enumerate() {
            let place = format!("{list}, layer {}", i + 1);
            match layer {
                LayerSpec::Dense { .. } => found.push((format!("{place} (dense): "), layer)),
                LayerSpec::Residual { layers } => add(layers, &format!("{place} (residual): layers"), found),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    add(layers, "network.layers", &mut found);
    found
}

fn each_dense(layers: &mut [LayerSpec], change: &mut dyn FnMut(&mut LayerSpec)) {
    for layer in layers {
        match layer {
            LayerSpec::Dense { .. } => change(layer),
            LayerSpec::Residual { layers } => each_dense(layers, change),
            _ => {}
        }
    }
}

/// The hidden layers and one that stands for the output layer, each with its kind of weights.
fn all_layers(config: &Config) -> Vec<LayerSpec> {
    let mut layers = config.expanded_layers();
    layers.push(output(&layers));
    config.give_weight_kinds(&mut layers);
    layers
}

/// A layer that stands for the output layer behind these, of which each member of an ensemble has its own.
fn output(layers: &[LayerSpec]) -> LayerSpec {
    let mut output = LayerSpec::dense(1, Activation::Linear, Initializer::Auto);
    if let LayerSpec::Dense { packed, .. } = &mut output {
        *packed = layers.iter().any(|layer| matches!(layer, LayerSpec::Members { .. }));
    }
    output
}

/// Whether some dense layer has weights of this kind.
pub(super) fn any(config: &Config, kind: WeightKind) -> bool {
    all_layers(config).iter().any(|layer| layer.any(&|layer| kind_of(layer) == Some(kind)))
}

impl Config {
    /// Whether weights become 0 in the course of training.
    pub(crate) fn prunes(&self) -> bool {
        self.weights.sparsity > 0.0 && any(self, WeightKind::Sparse)
    }
}

/// Refuses kinds of weights that no layer would have, or that other settings contradict.
pub(super) fn check(config: &Config) -> Result<()> {
    let w = &config.weights;
    let layers = all_layers(config);
    let all = dense(&layers);
    if w.kind != WeightKind::Continuous && !all.iter().any(|(_, layer)| kind_of(layer) == Some(w.kind)) {
        let kind = w.kind;
        if all.iter().any(|(_, layer)| is_packed(layer)) {
            return Err(Error::setting(
                format!(
                    "`weights.kind` = \"{kind}\" is that of no layer: members of an ensemble that have weights of their own \
                     keep continuous ones"
                ),
                "ensemble.kind = \"tabm\" with network.hidden = [128, 128], or weights.kind = \"continuous\"",
            ));
        }
        return Err(Error::setting(
            format!(
                "`weights.kind` = \"{kind}\" is that of no layer: the first and the last dense layer stay continuous, and \
                 between them there is none"
            ),
            "weights.first_and_last = \"same\", or network.hidden = [128, 128]",
        ));
    }
    if let Some((place, layer)) = all.iter().find(|(_, layer)| is_packed(layer) && kind_of(layer).is_some()) {
        let kind = kind_of(layer).unwrap_or(WeightKind::Continuous);
        return Err(Error::setting(
            format!(
                "{place}weights = \"{kind}\" does not go with packed members, which keep continuous ones"
            ),
            "weights = \"continuous\", or packed = false",
        ));
    }
    let is_listed = !config.network.layers.is_empty();
    for (place, layer) in &all {
        if kind_of(layer) == Some(WeightKind::Binary) {
            check_binary(&config.optimizer, layer, if is_listed { place } else { "" })?;
        }
    }
    let is_sparse = all.iter().any(|(_, layer)| kind_of(layer) == Some(WeightKind::Sparse));
    if is_sparse && w.sparsity > 0.0 { check_pruning(config) } else { Ok(()) }
}

/// What would give a binary weight another value than one of its two.
fn check_binary(optimizer: &OptimizerConfig, layer: &LayerSpec, place: &str) -> Result<()> {
    let LayerSpec::Dense { l1, constraint, drop_connect, parametrization, .. } = layer else { return Ok(()) };
    let refuse = |what: String, why: &str, instead: &str| {
        let what = format!("{place}{what} does not go with binary weights: {why}");
        Err(Error::setting(
            what,
            format!("{instead}, or continuous weights for the layer: weights.kind = \"continuous\""),
        ))
    };
    let l1 = l1.unwrap_or(optimizer.l1);
    if l1 > 0.0 {
        return refuse(format!("l1 = {l1}"), "it makes weights zero, which no binary weight is", "l1 = 0");
    }
    let constraint = constraint.unwrap_or(optimizer.constraint);
    if constraint != Constraint::None {
        let why = "it would hold for the latent weights, not for the signs that are used";
        return refuse(format!("constraint = \"{constraint}\""), why, "constraint = \"none\"");
    }
    if *parametrization == Parametrization::Ntp {
        let why = "latent weights start √I times as large with it, beyond the 1 that they are kept within";
        return refuse("parametrization = \"ntp\"".into(), why, "parametrization = \"standard\"");
    }
    if optimizer.name == OptimizerName::ScheduleFreeAdamw {
        let why = "latent weights are cut to ±1 after each step, and the mean of them that it keeps is not";
        return refuse("optimizer.name = \"schedule_free_adamw\"".into(), why, "optimizer.name = \"adamw\"");
    }
    if *drop_connect > 0.0 {
        let why = "a weight that is left out is zero, which no binary weight is";
        return refuse(format!("drop_connect = {drop_connect}"), why, "drop_connect = 0");
    }
    Ok(())
}

fn check_pruning(config: &Config) -> Result<()> {
    let (w, epochs) = (&config.weights, config.train.epochs);
    if w.prune_begin > w.prune_end {
        return Err(Error::setting(
            format!(
                "`weights.prune_begin` = {} is after `weights.prune_end` = {}",
                w.prune_begin, w.prune_end
            ),
            format!("weights.prune_begin = {}", w.prune_end / 5),
        ));
    }
    if w.prune_end >= epochs {
        let end = epochs / 2;
        let begin = w.prune_begin.min(end / 5);
        return Err(Error::setting(
            format!(
                "`weights.prune_end` = {} leaves none of `train.epochs` = {epochs} after the last cut, and only \
                 weights from after it are kept",
                w.prune_end
            ),
            match epochs {
                1 => format!("train.epochs = {}", 2 * w.prune_end.max(1)),
                _ if begin == w.prune_begin => format!("weights.prune_end = {end}"),
                _ => format!("weights.prune_begin = {begin} and weights.prune_end = {end}"),
            },
        ));
    }
    let a = &config.average;
    if a.kind == AverageKind::Swa && a.start <= w.prune_end {
        return Err(Error::setting(
            format!(
                "`average.start` = {} takes weights into the mean that are still being pruned, up to epoch \
                 `weights.prune_end` = {}",
                a.start, w.prune_end
            ),
            format!("average.start = {}", w.prune_end + 1),
        ));
    }
    Ok(())
}
