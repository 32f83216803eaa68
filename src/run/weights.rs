//! What to tell of binary and sparse weights before training.

use super::choice::Choice;
use crate::config::{AverageKind, Config, EndWeights, WeightKind};
use crate::data::words::{counted, listed};
use crate::error::{Error, Result};
use crate::nn::{Layer, Network};

/// Refuses a share of zeros that leaves every weight: of no sparse layer is there a weight to prune.
pub(super) fn check_sparsity(config: &Config, network: &Network) -> Result<()> {
    let sparsity = config.weights.sparsity;
    let sizes = network.views().iter().filter(|view| view.kind() == Some(WeightKind::Sparse));
    let Some(most) = sizes.map(|view| view.range().len()).max().filter(|_| sparsity > 0.0) else {
        return Ok(());
    };
    if (sparsity * most as f64).round() > 0.0 {
        return Ok(());
    }
    Err(Error::setting(
        format!(
            "`weights.sparsity` = {sparsity:e} of the {} of the largest layer rounds to none: nothing would be pruned",
            counted(most, "weight")
        ),
        "weights.sparsity = 0.5",
    ))
}

/// Which layers have which kind of weights, and what follows; nothing where all are continuous.
pub(super) fn choices(config: &Config, network: &Network) -> Vec<Choice> {
    let dense: Vec<(&str, Option<WeightKind>)> = network
        .layers()
        .iter()
        .enumerate()
        .filter_map(|(i, layer)| match layer {
            Layer::Dense(dense) => Some((network.layer_name(i), dense.kind)),
            _ => None,
        })
        .collect();
    let of = |kind: Option<WeightKind>| {
        let names: Vec<&str> = dense.iter().filter(|(_, k)| *k == kind).map(|(name, _)| *name).collect();
        (!names.is_empty()).then(|| listed(names))
    };
    let w = &config.weights;
    let mut choices = Vec::new();
    let has_members = network.layers().iter().any(|layer| matches!(layer, Layer::Members(_)));
    if let Some(names) = of(Some(WeightKind::Binary)) {
        let mut reason = "a sign times a scale of each unit (XNOR-Net), trained by latent weights".to_owned();
        let keeps_ends = w.kind == WeightKind::Binary && w.first_and_last == EndWeights::Auto;
        if let Some(others) = of(None).filter(|_| keeps_ends) {
            reason += &format!("; the first and the last layer stay continuous, as usual: {others}");
        }
        let instead = if keeps_ends { "--set weights.first_and_last=same" } else { "" };
        choices.push(Choice {
            subject: "binary weights".into(),
            choice: names,
            reason,
            instead: instead.into(),
        });
    }
    if let Some(names) = of(Some(WeightKind::Sparse)) {
        let reason = if w.sparsity == 0.0 {
            "not pruned, as weights.sparsity is 0; zeros that L1 leaves are stored in compressed rows"
                .to_owned()
        } else {
            let from_to = if w.prune_begin == w.prune_end {
                format!("at once after {}", counted(w.prune_end, "epoch"))
            } else {
                format!("from epoch {} to {}, ever more slowly", w.prune_begin, w.prune_end)
            };
            let own = if has_members { " (members' own layers stay continuous)" } else { "" };
            let average = match config.average.kind {
                AverageKind::None => "",
                _ => " (of their average too)",
            };
            format!(
                "the smallest {} % of each layer's weights become 0 and stay so{average}{own}, {from_to}; only weights \
                 from after epoch {} are kept, and early stopping and rate cuts wait until then",
                (w.sparsity * 1e8).round() / 1e6,
                w.prune_end
            )
        };
        let instead = if w.sparsity == 0.0 { "" } else { "--set weights.sparsity=0.5" };
        choices.push(Choice {
            subject: "sparse weights".into(),
            choice: names,
            reason,
            instead: instead.into(),
        });
    }
    choices
}
