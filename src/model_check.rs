//! Whether the parts of a model file fit each other, before memory is taken for them.

use crate::config::{EmbeddingSpec, LayerSpec, WeightKind};
use crate::data::{FeatureKind, Pipeline, TaskKind};
use crate::model::Card;
use crate::model_file::prefix;
use crate::nn::Network;
use crate::stored;

/// Whether a file of `n_bytes` with `n_tensors` can hold what the layers of all cards together ask for, and whether each
/// layer's settings are ones that can be computed with. Sums that overflow ask for more than any file holds.
pub(crate) fn check_layers(
    cards: &[Card],
    n_bytes: usize,
    n_tensors: usize,
    has: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    let (params, numbers, tensors, features) = (0, 0, 0, 0);
    let mut asked = Asked { width: 0, members: 1, params, numbers, tensors, features, n_bytes, has };
    for (i, card) in cards.iter().enumerate() {
        (asked.width, asked.members) = (card.n_inputs, 1);
        asked.add_list(&format!("{}layers", prefix(i, cards.len())), &card.layers)?;
    }
    if asked.tensors != n_tensors {
        return Err(format!("the layers need {} tensors, the file has {n_tensors}", asked.tensors));
    }
    Ok(())
}

/// What layers ask for, added up.
struct Asked<'f> {
    /// Features of a row after them, of all members of an ensemble together.
    width: usize,
    members: usize,
    /// Numbers or bytes that have to be in the file.
    params: usize,
    /// The numbers of weights that are stored in less space, written out.
    numbers: usize,
    tensors: usize,
    /// The features of all their outputs.
    features: usize,
    /// What the file has.
    n_bytes: usize,
    /// Whether it has a tensor of this name.
    has: &'f dyn Fn(&str) -> bool,
}

impl Asked<'_> {
    fn add_list(&mut self, list: &str, layers: &[LayerSpec]) -> Result<(), String> {
        layers.iter().enumerate().try_for_each(|(i, layer)| self.add(&format!("{list}.{i}"), layer))
    }

    fn add(&mut self, name: &str, layer: &LayerSpec) -> Result<(), String> {
        // Layers without parameters cost nothing in the file, yet as much memory as others.
        const FEATURES_PER_BYTE: usize = 16;
        let width = self.width;
        let (asked, added) = match layer {
            LayerSpec::Dense { units: 0, .. } => return Err(format!("{name} (dense): it has no units")),
            LayerSpec::Dense { drop_connect, .. } if !(0.0..1.0).contains(drop_connect) => {
                return Err(format!("{name} (dense): drop_connect {drop_connect}"));
            }
            LayerSpec::Dense { packed: true, .. } if self.members == 1 => {
                return Err(format!("{name} (dense): packed without members"));
            }
            LayerSpec::Dense { packed: true, weights: Some(_), .. } => {
                return Err(format!("{name} (dense): packed members have continuous weights"));
            }
            LayerSpec::Dense { units, bias, packed, weights, .. } => {
                // Too wide a row is found below.
                self.width = units.saturating_mul(self.members);
                let inputs = width / self.members;
                let parts = stored::names(*weights, &format!("{name}.weight"), self.has).len();
                // What a weight has at least in the file, one byte a number counted.
                let (asked, written_out) = match weights {
                    Some(WeightKind::Binary) => {
                        (inputs.checked_mul(units.div_ceil(8)), inputs.checked_mul(*units))
                    }
                    Some(WeightKind::Sparse) if parts > 1 => (Some(*units), inputs.checked_mul(*units)),
                    _ => (inputs.checked_mul(if *packed { self.width } else { *units }), Some(0)),
                };
                let numbers = written_out.and_then(|n| self.numbers.checked_add(n));
                let numbers = numbers.filter(|&n| n <= stored::most_numbers(self.n_bytes));
                self.numbers = numbers.unwrap_or(self.numbers);
                let n_biases = if *packed { self.width } else { *units };
                let biases = if *bias { n_biases } else { 0 };
                let asked = asked.filter(|_| numbers.is_some()).and_then(|n| n.checked_add(biases));
                (asked, parts + usize::from(*bias))
            }
            LayerSpec::BatchNorm { momentum, epsilon } => {
                if !(0.0..1.0).contains(momentum) || *epsilon <= 0.0 {
                    return Err(format!("{name} (batch_norm): momentum {momentum}, epsilon {epsilon}"));
                }
                (width.checked_mul(4), 4)
            }
            LayerSpec::Dropout { rate } => {
                if !(0.0..1.0).contains(rate) {
                    return Err(format!("{name} (dropout): rate {rate}"));
                }
                (Some(0), 0)
            }
            LayerSpec::Activation { .. } => (Some(0), 0),
            LayerSpec::ParametricActivation { .. } => (Some(width), 1),
            LayerSpec::LayerNorm { epsilon } => {
                if epsilon.is_nan() || *epsilon <= 0.0 {
                    return Err(format!("{name} (layer_norm): epsilon {epsilon}"));
                }
                (width.checked_mul(2), 2)
            }
            LayerSpec::GaussianNoise { std } => {
                if !(0.0..=f64::MAX).contains(std) {
                    return Err(format!("{name} (gaussian_noise): std {std}"));
                }
                (Some(0), 0)
            }
            LayerSpec::Scale { bias, .. } => {
                let tensors = 1 + usize::from(*bias);
                (width.checked_mul(tensors), tensors)
            }
            LayerSpec::Members { count } => {
                if *count < 2 || self.members > 1 {
                    return Err(format!("{name} (members): count {count}, behind {} members", self.members));
                }
                (self.width, self.members) = (width.saturating_mul(*count), *count);
                (Some(0), 0)
            }
            LayerSpec::Embedding { columns } => {
                let (made, asked) = check_embedding(columns, width, name)?;
                self.width = made;
                asked
            }
            LayerSpec::Residual { layers } => {
                let members = self.members;
                self.add_list(name, layers)?;
                if self.members != members || self.width != width {
                    let made = self.width;
                    return Err(format!("{name} (residual): its layers make {made} features of {width}"));
                }
                (Some(0), 0)
            }
        };
        let total = asked.and_then(|n| self.params.checked_add(n)).filter(|&n| n <= self.n_bytes);
        let wide = self.features.checked_add(self.width).filter(|&n| n / FEATURES_PER_BYTE <= self.n_bytes);
        let (Some(total), Some(wide)) = (total, wide) else {
            let kind = serde_json::to_value(layer).map_or(String::new(), |v| v["type"].to_string());
            return Err(format!("{name} ({}) asks for more than the file holds", kind.trim_matches('"')));
        };
        (self.params, self.features, self.tensors) = (total, wide, self.tensors + added);
        Ok(())
    }
}

/// The outputs of an embedding of `n_inputs`, and its parameters and tensors, unless it cannot be the layer `name`.
fn check_embedding(
    columns: &[EmbeddingSpec],
    n_inputs: usize,
    name: &str,
) -> Result<(usize, (Option<usize>, usize)), String> {
    let wrong = |what: &str| Err(format!("{name} (embedding): {what}"));
    if !name.ends_with("layers.0") {
        return wrong("it is not the first layer");
    }
    let (mut taken, mut made, mut params, mut tensors) = (0_usize, 0_usize, Some(0_usize), 0);
    for column in columns {
        if let Some(fault) = column.fault() {
            return wrong(fault);
        }
        taken = taken.saturating_add(column.n_inputs());
        made = made.saturating_add(column.n_outputs());
        let (n, n_tensors) = column.size().map_or((None, 0), |(n, n_tensors)| (Some(n), n_tensors));
        params = params.and_then(|sum| sum.checked_add(n?));
        tensors += n_tensors;
    }
    if taken != n_inputs {
        return wrong(&format!("it takes {taken} inputs of {n_inputs}"));
    }
    Ok((made, (params, tensors)))
}

/// Whether the parts of a card fit each other.
pub(crate) fn check_card(card: &Card, network: &Network) -> Result<(), String> {
    let n_features = card.pipeline.features().len();
    if card.n_inputs == 0 || card.n_inputs != n_features {
        return Err(format!("the network has {} inputs, the pipeline makes {n_features}", card.n_inputs));
    }
    let columns = match card.layers.first() {
        Some(LayerSpec::Embedding { columns }) => &columns[..],
        _ => &[],
    };
    if let Some(column) = unfit_feature(&card.pipeline, columns) {
        return Err(format!("the network does not take column {column:?} as the pipeline prepares it"));
    }
    if network.n_outputs() != card.target.n_outputs() {
        let (n, wanted) = (network.n_outputs(), card.target.n_outputs());
        return Err(format!("the network has {n} outputs, the target needs {wanted}"));
    }
    if let Some(fault) = card.target.scaler.fault() {
        return Err(format!("the target's scale is {}: {fault}", card.target.scaler.std));
    }
    let n_classes = card.target.classes.len();
    let fits = match card.target.task {
        TaskKind::Regression => n_classes == 0 && !card.loss.is_classification(),
        TaskKind::Binary => n_classes == 2 && card.loss.is_binary(),
        TaskKind::Multiclass => n_classes >= 2 && card.loss.is_categorical(),
    };
    if !fits {
        return Err(format!(
            "{} with {n_classes} classes does not go with {:?}",
            card.target.task, card.loss
        ));
    }
    Ok(())
}

/// The column of the first feature that the embedding (none: all as they are) would take for something else.
fn unfit_feature<'a>(pipeline: &'a Pipeline, columns: &[EmbeddingSpec]) -> Option<&'a str> {
    let mut taken = columns.iter().flat_map(|column| std::iter::repeat_n(column, column.n_inputs()));
    let unfit = |kind: &FeatureKind| match (*kind, taken.next()) {
        (FeatureKind::Code { n_levels }, spec) => {
            !matches!(spec, Some(EmbeddingSpec::Table { levels, .. }) if *levels == n_levels)
        }
        (FeatureKind::Position { n_bins }, spec) => {
            !matches!(spec, Some(EmbeddingSpec::Ple { bins, .. }) if *bins == n_bins)
        }
        (FeatureKind::Number, Some(EmbeddingSpec::Plr { .. } | EmbeddingSpec::Pbld { .. })) => false,
        (FeatureKind::Number | FeatureKind::Part, spec) => {
            !matches!(spec, None | Some(EmbeddingSpec::Plain { .. }))
        }
    };
    let features = pipeline.features();
    let at = features.iter().map(|feature| &feature.kind).position(unfit)?;
    Some(&features[at].column)
}
