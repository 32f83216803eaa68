//! The layers that settings stand for: short forms become a list, and an ensemble becomes layers of that list.

use super::{
    Activation, Config, EnsembleKind, Initializer, LayerSpec, NetworkConfig, Norm, check_blocks,
    layers::SCALE_INITIALIZERS,
};
use crate::error::{Error, Result};
use crate::nn::init::starts_by;

impl Config {
    /// The hidden layers one by one: those that are listed, or else those that the short forms stand for, with what
    /// makes an ensemble of them.
    ///
    /// The output layer depends on the data and is not among them.
    pub fn expanded_layers(&self) -> Vec<LayerSpec> {
        let network = &self.network;
        let layers = if network.layers.is_empty() { of_short_forms(network) } else { network.layers.clone() };
        match self.ensemble.kind {
            EnsembleKind::None => layers,
            kind => ensemble(layers, self.ensemble.members, kind),
        }
    }

    /// The same settings with the steps of preparation and the layers listed one by one that the short forms and the
    /// ensemble stand for.
    ///
    /// Where they stand for no layers, a linear model, those are as they were.
    #[must_use]
    pub fn expanded(&self) -> Self {
        let with_steps = self.with_steps();
        let layers = self.expanded_layers();
        if layers.is_empty() {
            return with_steps;
        }
        let defaults = Self::default();
        let precision = self.network.precision;
        let mut config = Self {
            network: NetworkConfig { layers, precision, ..defaults.network },
            ensemble: defaults.ensemble,
            ..with_steps
        };
        config.name_weight_kinds();
        config
    }

    /// The same settings with what `auto` stands for as the start of weights, which hangs on each layer's activation.
    #[must_use]
    pub fn with_starts(&self) -> Self {
        let mut config = self.clone();
        let network = &mut config.network;
        let LayerSpec::Dense { slope, .. } = LayerSpec::dense(1, network.activation, network.initializer)
        else {
            return config;
        };
        network.initializer = starts_by(network.initializer, network.activation, slope);
        name_starts(&mut network.layers);
        config
    }

    /// Refuses layers that do not fit each other, as far as that can be said without a table.
    pub(super) fn check_layers(&self) -> Result<()> {
        let NetworkConfig { hidden, layers, residual, .. } = &self.network;
        if *residual && layers.is_empty() && !hidden.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::setting(
                format!(
                    "`network.residual` makes blocks of hidden layers as wide as the one before; `network.hidden` = {hidden:?} has none"
                ),
                "network.hidden = [128, 128], or network.residual = false",
            ));
        }
        check_blocks(layers, None)?;
        let kind = self.ensemble.kind;
        if kind == EnsembleKind::None {
            return Ok(());
        }
        if layers.iter().any(|layer| matches!(layer, LayerSpec::Members { .. })) {
            return Err(Error::setting(
                format!("`ensemble.kind` = \"{kind}\", but `network.layers` has a members layer of its own"),
                "ensemble.kind = \"none\", or leave the members layer out",
            ));
        }
        if kind == EnsembleKind::Tabm {
            let plain = if layers.is_empty() { of_short_forms(&self.network) } else { layers.clone() };
            let unfit = |layer: &LayerSpec| match layer {
                LayerSpec::Dense { bias: true, bias_initializer, .. } => bias_initializer.looks_at_rows(),
                _ => false,
            };
            if plain.iter().any(|layer| layer.any(&unfit)) {
                let names: Vec<_> = SCALE_INITIALIZERS.iter().map(|kind| kind.name).collect();
                return Err(Error::setting(
                    format!(
                        "`ensemble.kind` = \"tabm\" gives each member biases of its own, which start as one of {}, not from training rows",
                        names.join(", ")
                    ),
                    "network.bias_initializer = \"zeros\", or ensemble.kind = \"tabm_mini\" or \"packed\"",
                ));
            }
        }
        Ok(())
    }
}

/// Puts what `auto` stands for in its place, in layers and in those inside of blocks.
pub(crate) fn name_starts(layers: &mut Vec<LayerSpec>) {
    LayerSpec::change_lists(layers, &mut |list| {
        for layer in list {
            if let LayerSpec::Dense { initializer, activation, slope, .. } = layer {
                *initializer = starts_by(*initializer, *activation, *slope);
            }
        }
    });
}

fn of_short_forms(network: &NetworkConfig) -> Vec<LayerSpec> {
    let mut layers = Vec::new();
    if network.input_noise > 0.0 {
        layers.push(LayerSpec::GaussianNoise { std: network.input_noise });
    }
    if network.input_scale {
        layers.push(LayerSpec::scale());
    }
    let mut width = None;
    for &units in &network.hidden {
        let mut dense = LayerSpec::dense(units, network.activation, network.initializer);
        if let LayerSpec::Dense { bias_initializer, drop_connect, parametrization, .. } = &mut dense {
            *bias_initializer = network.bias_initializer;
            *drop_connect = network.drop_connect;
            *parametrization = network.parametrization;
        }
        let mut block = vec![dense];
        if network.parametric_activation {
            block = block.into_iter().flat_map(with_parametric).collect();
        }
        match network.norm {
            Norm::None => {}
            Norm::Batch => block.push(LayerSpec::batch_norm()),
            Norm::Layer => block.push(LayerSpec::layer_norm()),
        }
        if network.dropout > 0.0 {
            block.push(LayerSpec::Dropout { rate: network.dropout });
        }
        if network.residual && width == Some(units) {
            layers.push(LayerSpec::Residual { layers: block });
        } else {
            layers.append(&mut block);
        }
        width = Some(units);
    }
    layers
}

/// The layers as an ensemble (Gorishniy et al. 2024): what stands before the first dense layer or block is shared;
/// there the row goes to the members.
fn ensemble(mut layers: Vec<LayerSpec>, count: usize, kind: EnsembleKind) -> Vec<LayerSpec> {
    let is_first = |layer: &LayerSpec| matches!(layer, LayerSpec::Dense { .. } | LayerSpec::Residual { .. });
    let first = layers.iter().position(is_first).unwrap_or(layers.len());
    let mut of_members = layers.split_off(first);
    layers.push(LayerSpec::Members { count });
    match kind {
        EnsembleKind::None => {}
        EnsembleKind::Packed => LayerSpec::change_lists(&mut of_members, &mut |list| {
            for layer in list {
                if let LayerSpec::Dense { packed, .. } = layer {
                    *packed = true;
                }
            }
        }),
        EnsembleKind::TabmMini => layers.push(scale(Initializer::RandomSigns)),
        EnsembleKind::Tabm => {
            LayerSpec::change_lists(&mut of_members, &mut adapt);
            // The first adapter of all is the one that tells the members apart.
            match of_members.first_mut() {
                Some(LayerSpec::Scale { initializer, .. }) => *initializer = Initializer::RandomSigns,
                _ => layers.push(scale(Initializer::RandomSigns)),
            }
        }
    }
    layers.append(&mut of_members);
    layers
}

/// Puts the adapters around each dense layer of a list: f(s∘((r∘x)·W) + b), with r, s and b the members' own.
fn adapt(list: &mut Vec<LayerSpec>) {
    for mut layer in std::mem::take(list) {
        let function = take_activation(&mut layer);
        let LayerSpec::Dense { bias, bias_initializer, bias_lr_factor, .. } = &mut layer else {
            list.push(layer);
            continue;
        };
        let mut behind = scale(Initializer::Ones);
        if let LayerSpec::Scale { bias: b, bias_initializer: start, bias_lr_factor: rate, .. } = &mut behind {
            *b = std::mem::take(bias);
            *start = std::mem::replace(bias_initializer, Initializer::Zeros);
            *rate = std::mem::replace(bias_lr_factor, 1.0);
        }
        list.extend([scale(Initializer::Ones), layer, behind]);
        list.extend(function.map(|(function, slope)| LayerSpec::Activation { function, slope }));
    }
}

/// A layer with its activation, if it has one, as a parametric layer behind it; or that in place of an activation.
pub(crate) fn with_parametric(mut layer: LayerSpec) -> Vec<LayerSpec> {
    if let LayerSpec::Activation { function, slope } = layer {
        return vec![LayerSpec::parametric_activation(function, slope)];
    }
    let function = take_activation(&mut layer);
    let behind = function.map(|(function, slope)| LayerSpec::parametric_activation(function, slope));
    std::iter::once(layer).chain(behind).collect()
}

/// Makes a dense layer linear; returns the function that it had, and its slope.
fn take_activation(layer: &mut LayerSpec) -> Option<(Activation, f64)> {
    let LayerSpec::Dense { activation, slope, initializer, .. } = layer else { return None };
    // What `auto` stands for hangs on the activation, which now comes later.
    *initializer = starts_by(*initializer, *activation, *slope);
    let LayerSpec::Dense { slope: usual, .. } = LayerSpec::dense(1, Activation::Linear, Initializer::Auto)
    else {
        return None;
    };
    let function = std::mem::replace(activation, Activation::Linear);
    let slope = std::mem::replace(slope, usual);
    (function != Activation::Linear).then_some((function, slope))
}

/// Factors that start so.
fn scale(start: Initializer) -> LayerSpec {
    let mut layer = LayerSpec::scale();
    if let LayerSpec::Scale { initializer, .. } = &mut layer {
        *initializer = start;
    }
    layer
}
