//! The tree-structured Parzen estimator: settings that are likely among good trials and unlikely among the others.
//!
//! Bergstra, Bardenet, Bengio & Kégl 2011, "Algorithms for hyper-parameter optimization", with kernels over all
//! parameters at once (Falkner, Klein & Hutter 2018, "BOHB"), so that parameters that only work together are found
//! together. Bandwidths, weights and the prior follow Watanabe 2023, "Tree-structured Parzen estimator: understanding its
//! algorithm components": σ = n^(−1/(d+4))/5, at least 1/min(100, n + 1); good trials, the best tenth and at most 25,
//! weigh by how much better they are than the best of the others (its "EI"); a prior kernel of σ = 1 weighs their mean.

use crate::config::{Config, Domain, Space};
use crate::random::{Purpose, Stream};

/// So many trials more than there are settings are drawn at random before anything is learned from them.
const STARTUP: usize = 2;
/// Settings that are drawn from the good trials, of which the likeliest is tried.
const CANDIDATES: usize = 24;
/// One trial in so many counts as good.
const GOOD: usize = 10;
/// The most trials that count as good.
const MOST_GOOD: usize = 25;

/// A trial that has ended: a place for every parameter, as [`Domain::place`] gives it, none where it was left out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observation {
    /// The places.
    pub(super) places: Vec<Option<f64>>,
    /// Its rank: less is better; a trial that failed is infinite.
    pub(super) value: f64,
}

/// A value for every parameter, to be tried as trial `number` after the `past` ones.
///
/// Takes time in proportion to the past trials times the parameters.
pub(super) fn suggest(
    space: &Space,
    config: &Config,
    past: &[Observation],
    seed: u64,
    number: u64,
) -> Vec<String> {
    let mut stream = Stream::new(seed, Purpose::Search, number as u32);
    if past.len() < space.parameters.len() + STARTUP {
        return space.parameters.iter().map(|parameter| parameter.domain.literal(stream.uniform())).collect();
    }
    let mut order: Vec<&Observation> = past.iter().collect();
    // A stable sort: what came first is taken first among equals.
    order.sort_by(|a, b| a.value.total_cmp(&b.value));
    let n_good = past.len().div_ceil(GOOD).min(MOST_GOOD);
    let domains: Vec<&Domain> = space.parameters.iter().map(|parameter| &parameter.domain).collect();
    let (good, bad) = order.split_at(n_good);
    let weights = improvements(good, bad.first().map_or(f64::INFINITY, |first| first.value));
    let good = Mixture::new(good, weights, &domains);
    let bad = Mixture::new(bad, vec![1.0; bad.len()], &domains);
    let mut best: Option<(f64, Vec<String>)> = None;
    for _ in 0..CANDIDATES {
        let drawn = good.draw(&mut stream);
        let values: Vec<String> =
            domains.iter().zip(&drawn).map(|(domain, &at)| domain.at_place(at)).collect();
        let active = space.active(&values, config);
        // Where the value came to lie, which for whole numbers and steps is not where it was drawn.
        let places: Vec<Option<f64>> =
            (0..values.len()).map(|i| active[i].then(|| domains[i].place(&values[i])).flatten()).collect();
        let score = good.log_density(&places) - bad.log_density(&places);
        if best.as_ref().is_none_or(|(highest, _)| score > *highest) {
            best = Some((score, values));
        }
    }
    best.map_or_else(Vec::new, |(_, values)| values)
}

/// By how much good trials are better than `other`, the best of the others; all alike where that is no number.
fn improvements(good: &[&Observation], other: f64) -> Vec<f64> {
    if !other.is_finite() {
        return vec![1.0; good.len()];
    }
    let weights: Vec<f64> = good.iter().map(|trial| other - trial.value).collect();
    // Trials that are all as good weigh alike.
    if weights.iter().sum::<f64>() > 0.0 { weights } else { vec![1.0; good.len()] }
}

/// A kernel around each of some trials, and one over everything.
struct Mixture<'a> {
    trials: Vec<&'a Observation>,
    /// Of each kernel its share; the last is the prior's.
    shares: Vec<f64>,
    /// Of each parameter the number of choices; none for numbers.
    choices: Vec<Option<usize>>,
    /// The width of a kernel on numbers.
    sigma: f64,
}

impl<'a> Mixture<'a> {
    /// The prior weighs as much as a trial does on average.
    fn new(trials: &[&'a Observation], weights: Vec<f64>, domains: &[&Domain]) -> Self {
        let choices: Vec<Option<usize>> = domains
            .iter()
            .map(|domain| match domain {
                Domain::Choices(values) => Some(values.len()),
                Domain::Range { .. } => None,
            })
            .collect();
        let n = trials.len() as f64;
        let dimensions = domains.len() as f64;
        let sigma = (n.max(1.0).powf(-1.0 / (dimensions + 4.0)) / 5.0).max(1.0 / f64::min(100.0, n + 1.0));
        let mean = if weights.is_empty() { 1.0 } else { weights.iter().sum::<f64>() / n };
        let all = mean * (n + 1.0);
        let shares = weights.into_iter().chain([mean]).map(|weight| weight / all).collect();
        Self { trials: trials.to_vec(), shares, choices, sigma: sigma.min(1.0) }
    }

    /// What share of a kernel on `k` choices lies on its own choice; the rest is spread evenly over all.
    fn own_share(&self) -> f64 {
        let n = self.trials.len() as f64;
        (n + 1.0) / (n + 2.0)
    }

    /// A place for every parameter.
    fn draw(&self, stream: &mut Stream) -> Vec<f64> {
        // The prior is one kernel among those of the trials.
        let mut at = stream.uniform();
        let kernel = self.shares.iter().position(|share| {
            at -= share;
            at < 0.0
        });
        let trial = kernel.and_then(|kernel| self.trials.get(kernel));
        (0..self.choices.len())
            .map(|i| match (self.choices[i], trial.and_then(|trial| trial.places[i])) {
                (Some(k), Some(own)) if stream.uniform() < self.own_share() => own.min((k - 1) as f64),
                (Some(k), _) => stream.below(k) as f64,
                (None, Some(own)) => truncated_normal(own, self.sigma, stream),
                (None, None) => truncated_normal(0.5, 1.0, stream),
            })
            .collect()
    }

    /// The logarithm of the density at these places; what is left out counts for nothing.
    fn log_density(&self, places: &[Option<f64>]) -> f64 {
        let kernel = |trial: Option<&Observation>| -> f64 {
            let mut log = 0.0;
            for (i, place) in places.iter().enumerate() {
                let Some(x) = *place else { continue };
                let own = trial.and_then(|trial| trial.places[i]);
                log += match (self.choices[i], own) {
                    (Some(k), Some(own)) => {
                        let even = (1.0 - self.own_share()) / k as f64;
                        (even + if own == x { self.own_share() } else { 0.0 }).ln()
                    }
                    (Some(k), None) => -(k as f64).ln(),
                    (None, Some(own)) => log_normal_density(x, own, self.sigma),
                    (None, None) => log_normal_density(x, 0.5, 1.0),
                };
            }
            log
        };
        let kernels = self.trials.iter().map(|trial| kernel(Some(*trial))).chain([kernel(None)]);
        let logs: Vec<f64> = kernels.zip(&self.shares).map(|(log, share)| log + share.ln()).collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + logs.iter().map(|log| (log - largest).exp()).sum::<f64>().ln()
    }
}

/// A normal number within 0 and 1, drawn again until it is.
fn truncated_normal(mean: f64, sigma: f64, stream: &mut Stream) -> f64 {
    loop {
        let x = mean + sigma * stream.normal();
        if (0.0..=1.0).contains(&x) {
            return x;
        }
    }
}

/// The logarithm of the density of [`truncated_normal`].
fn log_normal_density(x: f64, mean: f64, sigma: f64) -> f64 {
    let z = (x - mean) / sigma;
    let inside = below((1.0 - mean) / sigma) - below(-mean / sigma);
    -0.5 * z * z - (sigma * (2.0 * std::f64::consts::PI).sqrt() * inside).ln()
}

/// The share of a standard normal below x (Abramowitz & Stegun 1964, 26.2.17; off by at most 7.5e-8).
fn below(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let coefficients = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let series = coefficients.iter().rev().fold(0.0, |sum, c| t * (c + sum));
    let tail = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt() * series;
    if x < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_is_that_of_the_tables() {
        for (x, p) in [(0.0, 0.5), (1.0, 0.841_344_75), (-1.96, 0.024_997_9), (3.0, 0.998_650_1)] {
            assert!((below(x) - p).abs() < 1e-7, "{x}");
        }
    }

    #[test]
    fn densities_come_to_one() {
        for (mean, sigma) in [(0.5, 1.0), (0.0, 0.1), (0.9, 0.3)] {
            let n = 10_000;
            let sum: f64 =
                (0..n).map(|i| log_normal_density((f64::from(i) + 0.5) / 1e4, mean, sigma).exp()).sum();
            assert!((sum / f64::from(n) - 1.0).abs() < 1e-5, "{mean} {sigma}: {sum}");
        }
        let [a, b, c] = [Some(0.0), Some(1.0), Some(2.0)];
        let trials = [a, a, b].map(|at| Observation { places: vec![at], value: 0.0 });
        let values = Domain::Choices(["1", "2", "3"].map(String::from).to_vec());
        let mixture = Mixture::new(&trials.iter().collect::<Vec<_>>(), vec![3.0, 1.0, 2.0], &[&values]);
        let densities = [a, b, c].map(|at| mixture.log_density(&[at]).exp());
        assert!((densities.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{densities:?}");
        assert!(densities[0] > densities[1] && densities[1] > densities[2] && densities[2] > 0.0);
    }

    #[test]
    fn good_trials_weigh_by_what_they_are_better() {
        let trials = [1.0, 4.0, 4.5].map(|value| Observation { places: vec![Some(0.5)], value });
        let trials: Vec<&Observation> = trials.iter().collect();
        assert_eq!(improvements(&trials, 5.0), [4.0, 1.0, 0.5]);
        assert_eq!(improvements(&trials, f64::INFINITY), [1.0; 3]);
        assert_eq!(improvements(&trials[..1], 1.0), [1.0], "as good as the others");
        let range = Space::from_toml_str("network.dropout = { low = 0.0, high = 0.9 }").unwrap();
        let mixture = Mixture::new(&trials, vec![4.0, 1.0, 1.0], &[&range.parameters[0].domain]);
        // The prior weighs the mean of the others.
        assert_eq!(mixture.shares, [0.5, 0.125, 0.125, 0.25]);
        let none = Mixture::new(&[], Vec::new(), &[&range.parameters[0].domain]);
        assert_eq!(none.shares, [1.0]);
    }

    /// The least of (x − 0.7)² + (y − 0.2)², with 0.3 more for the wrong choice, that 60 trials find.
    fn least(suggest: impl Fn(&Space, &[Observation], u64) -> Vec<String>) -> f64 {
        let space = Space::from_toml_str(
            "network.dropout = { low = 0.0, high = 0.99 }\nnetwork.drop_connect = { low = 0.0, high = 0.99 }\n\
             optimizer.name = { choices = ['sgd', 'adam', 'lion', 'muon'] }\n",
        )
        .unwrap();
        let mut past: Vec<Observation> = Vec::new();
        for number in 0..60 {
            let values = suggest(&space, &past, number);
            let places: Vec<Option<f64>> =
                space.parameters.iter().zip(&values).map(|(p, v)| p.domain.place(v)).collect();
            let [x, y, choice] = [0, 1, 2].map(|i| places[i].unwrap());
            let value = (x - 0.7).powi(2) + (y - 0.2).powi(2) + if choice == 2.0 { 0.0 } else { 0.3 };
            past.push(Observation { places, value });
        }
        past.iter().map(|trial| trial.value).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn it_finds_better_settings_than_chance() {
        let config = Config::default();
        let (mut learned, mut chance) = (0.0, 0.0);
        for seed in 0..10 {
            learned += least(|space, past, number| suggest(space, &config, past, seed, number));
            chance += least(|space, _, number| super::super::sample::random(space, seed, number));
        }
        assert!(learned < 0.4 * chance, "{learned} and {chance}");
    }
}
