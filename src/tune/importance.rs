//! How much each setting matters: PED-ANOVA.

use super::record::{State, Trial};
use crate::config::{Domain, Space};

/// Cells that a number's range is cut into.
const CELLS: usize = 20;

/// The share of each parameter in what makes trials good, in the order of the space; they come to 1. None where fewer
/// than ten trials have a figure.
///
/// PED-ANOVA (Watanabe, Bansal & Hutter 2023, "PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary
/// subspaces"): the Pearson divergence of the values among the best tenth of the trials from those among all, each
/// parameter by itself. Values are counted in twenty cells, smoothed by Gaussian kernels of Scott's width; choices
/// one by one, with one trial spread over all of them.
pub fn importances(space: &Space, trials: &[Trial]) -> Option<Vec<f64>> {
    let mut judged: Vec<(&Trial, f64)> = trials
        .iter()
        .filter(|trial| matches!(trial.state, State::Done | State::Pruned))
        .filter_map(|trial| trial.metric.map(|metric| (trial, metric)))
        .collect();
    if judged.len() < 10 {
        return None;
    }
    judged.sort_by(|a, b| a.1.total_cmp(&b.1));
    let n_good = judged.len().div_ceil(10).max(3);
    let divergence = |key: &str, domain: &Domain| {
        let place = |(trial, _): &(&Trial, f64)| {
            trial.settings.iter().find(|(k, _)| k == key).and_then(|(_, literal)| domain.place(literal))
        };
        let good: Vec<f64> = judged[..n_good].iter().filter_map(place).collect();
        let all: Vec<f64> = judged.iter().filter_map(place).collect();
        if good.is_empty() {
            return 0.0;
        }
        let (p, q) = (density(&good, domain), density(&all, domain));
        p.iter().zip(&q).map(|(p, q)| q * (p / q - 1.0).powi(2)).sum::<f64>()
    };
    let raw: Vec<f64> = space.parameters.iter().map(|p| divergence(&p.key, &p.domain)).collect();
    let sum: f64 = raw.iter().sum();
    Some(raw.iter().map(|x| if sum > 0.0 { x / sum } else { 0.0 }).collect())
}

/// How likely each cell or choice is, given some places; none is impossible, and they come to 1.
fn density(places: &[f64], domain: &Domain) -> Vec<f64> {
    let n = places.len() as f64;
    let weights: Vec<f64> = match domain {
        Domain::Choices(values) => {
            let even = 1.0 / values.len() as f64;
            (0..values.len())
                .map(|i| even + places.iter().filter(|&&place| place == i as f64).count() as f64)
                .collect()
        }
        Domain::Range { .. } => {
            let mean = places.iter().sum::<f64>() / n;
            let std = (places.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
            let width = (1.06 * std * n.powf(-0.2)).max(0.5 / CELLS as f64);
            let cell = |i: usize| {
                let at = (i as f64 + 0.5) / CELLS as f64;
                1e-3 + places.iter().map(|x| (-0.5 * ((at - x) / width).powi(2)).exp()).sum::<f64>() / width
            };
            (0..CELLS).map(cell).collect()
        }
    };
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    #[test]
    fn what_decides_counts_and_what_does_not_hardly() {
        let space = Space::from_toml_str(
            "network.dropout = { low = 0.0, high = 0.9 }\nnetwork.drop_connect = { low = 0.0, high = 0.9 }\n\
             optimizer.name = { choices = ['sgd', 'adam'] }\n",
        )
        .unwrap();
        let mut stream = Stream::new(1, Purpose::Search, 0);
        let trials: Vec<Trial> = (0..200)
            .map(|number| {
                let values: Vec<String> =
                    space.parameters.iter().map(|p| p.domain.literal(stream.uniform())).collect();
                let x = space.parameters[0].domain.place(&values[0]).unwrap();
                let keys = space.parameters.iter().map(|p| p.key.clone());
                Trial {
                    number,
                    candidate: number,
                    state: State::Done,
                    settings: keys.zip(values).collect(),
                    metric: Some((x - 0.3).powi(2)),
                    best_epoch: None,
                    cuts: Vec::new(),
                    epochs: 1,
                    seconds: 0.0,
                    reason: String::new(),
                }
            })
            .collect();
        let shares = importances(&space, &trials).unwrap();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(shares[0] > 0.8, "{shares:?}");
        assert_eq!(importances(&space, &trials[..9]), None);
    }
}
