//! What cross-validation measured: a part of `metrics.json`.

use serde_json::{Map, Value, json};

use super::report::{Baseline, RowCounts};
use crate::ablate::student_quantile;
use crate::train::bootstrap::MOST_GAIN;
use crate::train::metrics::{Predictions, higher_is_better, possible};

/// How the intervals are made, as `metrics.json` names it.
const METHOD: &str = "corrected resampled t (Nadeau & Bengio 2003)";

/// One fold: a network, judged on rows that it has not seen.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldReport {
    /// Rows fitted on, rows that chose when to stop, and rows held out.
    pub n_rows: RowCounts,
    /// The network's metrics on the rows held out.
    pub metrics: Vec<(&'static str, f64)>,
    /// Simple models on the same rows, fitted to the same training rows.
    pub baselines: Vec<Baseline>,
    /// The epoch whose weights were kept.
    pub best_epoch: usize,
    /// Epochs trained.
    pub epochs_run: usize,
    /// Why training ended.
    pub stopped: String,
    /// Seconds of training.
    pub fit_seconds: f64,
}

/// A figure over the folds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OverFolds {
    /// The mean.
    pub mean: f64,
    /// The standard deviation between folds, with n − 1.
    pub std: f64,
    /// The interval of the mean.
    pub interval: Option<[f64; 2]>,
}

impl OverFolds {
    /// The mean of one figure a fold, with the corrected resampled t interval
    /// x̄ ± t·√((1/J + n₂/n₁)·s²), with s² = Σ(x − x̄)²/(J − 1) and t of J − 1 degrees of freedom.
    ///
    /// `ratio` is n₂/n₁, the rows held out over the others. 1/J alone would take the folds for independent draws; they
    /// share most of their training rows. Nadeau & Bengio 2003, "Inference for the generalization error", Machine
    /// Learning 52; for repeated k-fold as here Bouckaert & Frank 2004. It is an approximation: the variance of
    /// cross-validation has no unbiased estimate (Bengio & Grandvalet 2004). None without figures.
    pub fn of(figures: &[f64], ratio: f64, confidence: f64) -> Option<Self> {
        let n = figures.len();
        if n == 0 {
            return None;
        }
        let mean = figures.iter().sum::<f64>() / n as f64;
        let s2 = figures.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n.saturating_sub(1).max(1) as f64;
        let interval = (n > 1).then(|| {
            let half = student_quantile(n - 1, confidence) * ((1.0 / n as f64 + ratio) * s2).sqrt();
            [mean - half, mean + half]
        });
        Some(Self { mean, std: s2.sqrt(), interval })
    }
}

impl OverFolds {
    /// The same with an interval that ends where the figure does: a mean plus or minus t knows of no bounds.
    fn within(self, [least, greatest]: [f64; 2]) -> Self {
        let interval = self.interval.map(|interval| interval.map(|end| end.clamp(least, greatest)));
        Self { interval, ..self }
    }
}

/// The networks beside a simple model, fold by fold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoldComparison {
    /// The simple model that is best in the main metric.
    pub baseline: &'static str,
    /// The share of its figure by which the network's is better, fold by fold.
    pub gain: OverFolds,
}

/// What cross-validation came to.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossValidation {
    /// Folds of one repeat.
    pub n_folds: usize,
    /// How often rows were folded.
    pub repeats: usize,
    /// Each fold, repeat after repeat.
    pub folds: Vec<FoldReport>,
    /// Each metric over the folds.
    pub metrics: Vec<(&'static str, OverFolds)>,
    /// Each metric of all held-out rows together, each predicted by the network that it was held out of; with repeats,
    /// the mean of one figure a repeat.
    pub out_of_fold: Vec<(&'static str, f64)>,
    /// Rows held out in one repeat.
    pub n_out_of_fold: usize,
    /// The means of the simple models' metrics over the folds.
    pub baselines: Vec<Baseline>,
    /// The networks beside the best of them.
    pub comparison: Option<FoldComparison>,
    /// The share of intervals that hold the true value, if the approximation holds.
    pub confidence: f64,
}

impl CrossValidation {
    /// Sums folds up; `out_of_fold` has the metrics of all held-out rows of each repeat, `primary` decides.
    pub fn new(
        [n_folds, repeats]: [usize; 2],
        folds: Vec<FoldReport>,
        out_of_fold: &[Vec<(&'static str, f64)>],
        primary: &str,
        confidence: f64,
    ) -> Self {
        let held_out: usize = folds.iter().map(|fold| fold.n_rows.test).sum();
        let others: usize = folds.iter().map(|fold| fold.n_rows.train + fold.n_rows.val).sum();
        let ratio = held_out as f64 / others.max(1) as f64;
        let over = |figures: &[f64]| OverFolds::of(figures, ratio, confidence);
        let named = |metrics: &[(&'static str, f64)], name: &str| {
            metrics.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
        };
        let names: Vec<&'static str> =
            folds.first().map_or(Vec::new(), |f| f.metrics.iter().map(|(n, _)| *n).collect());
        // A metric that a fold does not define, as one without a row of some class, is left out.
        let of_all =
            |of: &dyn Fn(&FoldReport) -> Option<f64>| folds.iter().map(of).collect::<Option<Vec<f64>>>();
        let metrics = names.iter().filter_map(|name| {
            let found = over(&of_all(&|fold| named(&fold.metrics, name))?)?;
            Some((*name, found.within(possible(name))))
        });
        let metrics: Vec<(&'static str, OverFolds)> = metrics.collect();
        let rivals = folds.first().map_or(&[][..], |fold| &fold.baselines);
        let of_rival = |fold: &FoldReport, rival: &str, name: &str| {
            named(&fold.baselines.iter().find(|b| b.name == rival)?.metrics, name)
        };
        let baselines: Vec<Baseline> = rivals
            .iter()
            .map(|rival| {
                let mean = |name: &&'static str| {
                    let figures = of_all(&|fold| of_rival(fold, rival.name, name))?;
                    Some((*name, over(&figures)?.mean))
                };
                Baseline { name: rival.name, metrics: names.iter().filter_map(mean).collect() }
            })
            .collect();
        let sign = if higher_is_better(primary) { -1.0 } else { 1.0 };
        let figure = |b: &&Baseline| named(&b.metrics, primary).map_or(f64::INFINITY, |v| sign * v);
        let best = baselines.iter().min_by(|a, b| figure(a).total_cmp(&figure(b)));
        let comparison = best.and_then(|best| {
            let gain = |fold: &FoldReport| {
                let (ours, theirs) = (named(&fold.metrics, primary)?, of_rival(fold, best.name, primary)?);
                let difference = sign * (theirs - ours);
                let share = if difference == 0.0 { 0.0 } else { difference / theirs.abs() };
                // Beside a model without error any other is worse beyond all bounds.
                Some(share.clamp(-MOST_GAIN, MOST_GAIN))
            };
            Some(FoldComparison { baseline: best.name, gain: over(&of_all(&gain)?)? })
        });
        let mean_of = |name: &&'static str| {
            let figures: Option<Vec<f64>> = out_of_fold.iter().map(|metrics| named(metrics, name)).collect();
            Some((*name, over(&figures?)?.mean))
        };
        let out_of_fold = out_of_fold.first().map_or(Vec::new(), |first| {
            let names: Vec<&'static str> = first.iter().map(|(name, _)| *name).collect();
            names.iter().filter_map(mean_of).collect()
        });
        let n_out_of_fold = held_out / repeats.max(1);
        Self {
            n_folds,
            repeats,
            folds,
            metrics,
            out_of_fold,
            n_out_of_fold,
            baselines,
            comparison,
            confidence,
        }
    }

    /// The smallest and largest number of rows that folds were fitted on, stopped by and judged on.
    pub fn sizes(&self) -> [[usize; 2]; 3] {
        let of = |count: &dyn Fn(&RowCounts) -> usize| {
            let counts = || self.folds.iter().map(|fold| count(&fold.n_rows));
            [counts().min().unwrap_or(0), counts().max().unwrap_or(0)]
        };
        [of(&|n| n.train), of(&|n| n.val), of(&|n| n.test)]
    }

    /// The part of `metrics.json`; intervals are named `interval_key`.
    pub(super) fn to_json(&self, interval_key: &str) -> Value {
        let plain = |metrics: &[(&'static str, f64)]| -> Map<String, Value> {
            metrics.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
        };
        let rivals = |baselines: &[Baseline]| -> Map<String, Value> {
            baselines.iter().map(|b| (b.name.to_owned(), Value::Object(plain(&b.metrics)))).collect()
        };
        let over = |o: &OverFolds| {
            let mut entry = Map::new();
            entry.insert("mean".into(), json!(o.mean));
            entry.insert("std".into(), json!(o.std));
            if let Some(interval) = o.interval {
                entry.insert(interval_key.to_owned(), json!(interval));
            }
            Value::Object(entry)
        };
        let metrics: Map<String, Value> =
            self.metrics.iter().map(|(name, figure)| ((*name).to_owned(), over(figure))).collect();
        let folds = self.folds.iter().map(|fold| {
            json!({
                "n_rows": { "train": fold.n_rows.train, "val": fold.n_rows.val, "held_out": fold.n_rows.test },
                "metrics": plain(&fold.metrics),
                "baselines": rivals(&fold.baselines),
                "best_epoch": fold.best_epoch,
                "epochs_run": fold.epochs_run,
                "stopped": fold.stopped,
                "fit_seconds": fold.fit_seconds,
            })
        });
        json!({
            "n_folds": self.n_folds,
            "repeats": self.repeats,
            "metrics": metrics,
            "interval": METHOD,
            "out_of_fold": { "n_rows": self.n_out_of_fold, "metrics": plain(&self.out_of_fold) },
            "baselines": rivals(&self.baselines),
            "comparison": self.comparison.map(|c| json!({ "baseline": c.baseline, "gain": over(&c.gain) })),
            "folds": folds.collect::<Vec<_>>(),
        })
    }
}

/// The predictions of rows one after another.
pub(super) fn joined(parts: Vec<Predictions>) -> Predictions {
    let mut parts = parts.into_iter();
    let mut all = parts.next().unwrap_or(Predictions::Values(Vec::new()));
    for part in parts {
        match (&mut all, part) {
            (Predictions::Values(all), Predictions::Values(part)) => all.extend(part),
            (Predictions::Probabilities { p: all, .. }, Predictions::Probabilities { p: part, .. }) => {
                all.extend(part);
            }
            _ => unreachable!("the folds predict the same"),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_end_where_the_metric_does() {
        let of =
            |figures: &[f64], name: &str| OverFolds::of(figures, 0.25, 0.95).unwrap().within(possible(name));
        assert!(OverFolds::of(&[0.0, 0.1, 9.0], 0.25, 0.95).unwrap().interval.unwrap()[0] < 0.0);
        assert_eq!(of(&[0.0, 0.1, 9.0], "mse").interval.unwrap()[0], 0.0);
        assert_eq!(of(&[0.99, 0.7, 1.0], "r2").interval.unwrap()[1], 1.0);
        assert!(of(&[-0.9, 0.7, 1.0], "r2").interval.unwrap()[0] < -1.0);
        assert_eq!(of(&[0.0, 0.5, 1.0], "accuracy").interval.unwrap(), [0.0, 1.0]);
        assert_eq!(of(&[-1.0, 0.5, 1.0], "mcc").interval.unwrap(), [-1.0, 1.0]);
    }

    #[test]
    fn the_interval_is_the_corrected_one() {
        // By scipy: m, s = mean, std(ddof=1) of x; t.ppf(0.975, 4) * sqrt((1/5 + 1/4) * s**2) = 5.1001...
        let x = [1.0, 2.0, 4.0, 5.0, 8.0];
        let over = OverFolds::of(&x, 0.25, 0.95).unwrap();
        assert_eq!(over.mean, 4.0);
        assert!((over.std - 2.738_612_787_525_831).abs() < 1e-12);
        let half = 2.776_445_105_197_793 * (0.45_f64 * 7.5).sqrt();
        let [low, high] = over.interval.unwrap();
        assert!((low - (4.0 - half)).abs() < 1e-6 && (high - (4.0 + half)).abs() < 1e-6, "{low} {high}");
        assert_eq!(OverFolds::of(&[3.0], 0.25, 0.95).unwrap().interval, None);
        assert_eq!(OverFolds::of(&[], 0.25, 0.95), None);
    }

    #[test]
    fn folds_are_summed_up() {
        let fold = |rmse: f64, mean: f64, line: f64| FoldReport {
            n_rows: RowCounts { train: 70, val: 10, test: 20 },
            metrics: vec![("rmse", rmse)],
            baselines: vec![
                Baseline { name: "mean", metrics: vec![("rmse", mean)] },
                Baseline { name: "least_squares", metrics: vec![("rmse", line)] },
            ],
            best_epoch: 1,
            epochs_run: 2,
            stopped: String::new(),
            fit_seconds: 0.0,
        };
        let folds = vec![fold(1.0, 4.0, 2.0), fold(3.0, 5.0, 4.0)];
        let out_of_fold = [vec![("rmse", 2.5)]];
        let found = CrossValidation::new([2, 1], folds, &out_of_fold, "rmse", 0.9);
        assert_eq!(found.metrics[0].1.mean, 2.0);
        assert_eq!((found.out_of_fold.clone(), found.n_out_of_fold), (vec![("rmse", 2.5)], 40));
        assert_eq!(found.baselines[1].metrics, [("rmse", 3.0)]);
        let comparison = found.comparison.unwrap();
        assert_eq!((comparison.baseline, comparison.gain.mean), ("least_squares", 0.375));
        assert_eq!(found.sizes(), [[70, 70], [10, 10], [20, 20]]);
        let json = found.to_json("ci90");
        assert!(json["metrics"]["rmse"]["ci90"].is_array() && json["folds"][1]["n_rows"]["held_out"] == 20);
    }
}
