//! Gradual magnitude pruning: from time to time the smallest weights of each sparse layer become zero, and stay so.
//!
//! The share of zeros rises from 0 to s_f by s_t = s_f·(1 − (1 − (t − t₀)/(n·Δt))³), fast at first, while there is much
//! that is superfluous, and ever more slowly (Zhu & Gupta 2017, "To prune, or not to prune", equation 1 with s_i = 0).
//! The time t is that of whole epochs: t₀ = `prune_begin`, t₀ + n·Δt = `prune_end`, Δt = `prune_every`.

use std::ops::Range;

use statera_kernels::{CpuLevel, Scalar};

use crate::config::{WeightKind, WeightsConfig};
use crate::nn::View;

/// Which weights of sparse layers are left.
#[derive(Debug, Default)]
pub(super) struct Masks {
    layers: Vec<Mask>,
}

/// Which weights of one layer are left.
#[derive(Debug)]
struct Mask {
    range: Range<usize>,
    /// 1 for each weight that is left, 0 for those that are not.
    kept: Vec<u8>,
}

impl Masks {
    /// Those of some layers, a byte for each of their weights.
    pub(super) fn of(layers: Vec<(Range<usize>, Vec<u8>)>) -> Self {
        Self { layers: layers.into_iter().map(|(range, kept)| Mask { range, kept }).collect() }
    }

    /// Of each layer a byte for each of its weights.
    pub(super) fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.layers.iter().map(|mask| &mask.kept[..])
    }

    /// The share of the weights of all these layers that are not left.
    pub(super) fn pruned_share(&self) -> f64 {
        let all: usize = self.layers.iter().map(|mask| mask.kept.len()).sum();
        let left: usize = self.layers.iter().flat_map(|mask| &mask.kept).map(|&kept| usize::from(kept)).sum();
        (all - left) as f64 / all.max(1) as f64
    }

    /// Makes all numbers 0 whose weight is pruned; `numbers` has one for each parameter.
    pub(super) fn apply<T: Scalar>(&self, level: CpuLevel, numbers: &mut [T]) {
        for mask in &self.layers {
            T::drop_out(level, &mut numbers[mask.range.clone()], &mask.kept, T::ONE);
        }
    }
}

/// The schedule by which weights are pruned.
#[derive(Debug)]
pub(super) struct Pruning {
    settings: WeightsConfig,
    pub(super) layers: Vec<Range<usize>>,
    /// Scratch: the places of a layer's weights.
    order: Vec<u32>,
}

impl Pruning {
    /// The schedule of the sparse layers among `views`; none where nothing is pruned.
    pub(super) fn new(settings: &WeightsConfig, views: &[View]) -> Option<Self> {
        let sparse = views.iter().filter(|view| view.kind() == Some(WeightKind::Sparse));
        let layers: Vec<Range<usize>> = sparse.map(View::range).collect();
        (settings.sparsity > 0.0 && !layers.is_empty()).then(|| Self {
            settings: settings.clone(),
            layers,
            order: Vec::new(),
        })
    }

    /// Whether the last cut is made before this epoch, counted from 1.
    pub(super) fn is_done_before(&self, epoch: usize) -> bool {
        epoch > self.settings.prune_end
    }

    /// How far pruning has come where training ended too soon for it, in words.
    pub(super) fn unfinished(&self, epochs: usize) -> String {
        let due = (0..epochs).rev().find_map(|epochs| self.settings.share_due(epochs)).unwrap_or(0.0);
        format!(
            "pruning had reached {:.1} % of the weights, and was to reach {:.1} % after epoch {}",
            100.0 * due,
            100.0 * self.settings.sparsity,
            self.settings.prune_end
        )
    }

    /// Prunes before an epoch, counted from 1, if it is time: returns the masks that hold from now on.
    ///
    /// Of each layer the weights of the smallest size go, of equal ones the first; at least one is left. What is pruned
    /// is the smallest and stays pruned.
    pub(super) fn before_epoch<T: Scalar>(&mut self, epoch: usize, params: &[T]) -> Option<Masks> {
        let share = self.settings.share_due(epoch - 1)?;
        let mut masks = Masks::default();
        for range in &self.layers {
            let weight = &params[range.clone()];
            let n = ((share * weight.len() as f64).round() as usize).min(weight.len() - 1);
            let order = &mut self.order;
            order.clear();
            order.extend(0..weight.len() as u32);
            let size = |at: &u32| weight[*at as usize].to_f64().abs();
            let mut kept = vec![1; weight.len()];
            if n > 0 {
                order.select_nth_unstable_by(n - 1, |a, b| size(a).total_cmp(&size(b)).then(a.cmp(b)));
                order[..n].iter().for_each(|&at| kept[at as usize] = 0);
            }
            masks.layers.push(Mask { range: range.clone(), kept });
        }
        Some(masks)
    }
}

impl WeightsConfig {
    /// The share of zeros that a cut after so many epochs brings; none where it is not time for one.
    pub fn share_due(&self, epochs: usize) -> Option<f64> {
        let (begin, end) = (self.prune_begin, self.prune_end);
        let is_due = epochs == end
            || epochs > begin && epochs < end && (epochs - begin).is_multiple_of(self.prune_every);
        is_due.then(|| self.share_after(epochs))
    }

    /// s_t, whether or not there is a cut after so many epochs.
    fn share_after(&self, epochs: usize) -> f64 {
        let (begin, end) = (self.prune_begin, self.prune_end);
        if epochs >= end {
            return self.sparsity;
        }
        let left = (end - epochs) as f64 / (end - begin) as f64;
        self.sparsity * (1.0 - left.powi(3))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::{Activation, Config, Initializer, LayerSpec};
    use crate::nn::Network;

    #[test]
    fn the_smallest_weights_go_and_stay_gone() {
        let path = format!("{}/tests/golden/weights.json", env!("CARGO_MANIFEST_DIR"));
        let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let numbers = |value: &Value| -> Vec<f64> {
            value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
        };
        let mut spec = LayerSpec::dense(4, Activation::Linear, Initializer::Auto);
        if let LayerSpec::Dense { weights, .. } = &mut spec {
            *weights = Some(WeightKind::Sparse);
        }
        let network = Network::from_specs(vec![spec], 3);
        let mut params = numbers(&file["weight"]);
        params.resize(network.n_params(), 9.0);
        let mut settings = Config::default().weights;
        (settings.prune_begin, settings.prune_end) = (3, 3);
        for case in file["pruned"].as_array().unwrap() {
            settings.sparsity = case["share"].as_f64().unwrap();
            let mut pruning = Pruning::new(&settings, network.views()).unwrap();
            assert!(pruning.before_epoch(3, &params).is_none() && pruning.before_epoch(5, &params).is_none());
            let masks = pruning.before_epoch(4, &params).unwrap();
            let left = numbers(&case["left"]);
            assert!((masks.pruned_share() - (1.0 - left.iter().sum::<f64>() / 12.0)).abs() < 1e-12);
            // One cut after the other: what is gone is the smallest ever after. Biases are left alone.
            let before = params.clone();
            masks.apply(CpuLevel::detect(), &mut params);
            for (i, (now, then)) in params.iter().zip(before).enumerate() {
                let is_left = left.get(i).is_none_or(|left| *left == 1.0);
                assert_eq!(*now, if is_left { then } else { 0.0 }, "{case}, weight {i}");
            }
        }
        settings.sparsity = 0.0;
        assert!(Pruning::new(&settings, network.views()).is_none());
    }
}
