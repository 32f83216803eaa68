//! What was measured: the content of `metrics.json`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::cross_validation::CrossValidation;
use super::objective::class_weights;
use super::plan::Plan;
use super::resample;
use crate::data::TaskKind;
use crate::data::words::{counted, shown, thousands};
use crate::nn::loss::Loss;
use crate::train::bootstrap::{Gain, method};
use crate::train::metrics::Truth;

/// A metric with its interval, if one was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Its name, as `rmse`.
    pub name: &'static str,
    /// Its value on all rows.
    pub value: f64,
    /// The bootstrap interval.
    pub interval: Option<[f64; 2]>,
}

/// A model that the network is compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// `mean`, `least_squares`, `majority`, `logistic_regression`.
    pub name: &'static str,
    /// Its metrics on the test rows.
    pub metrics: Vec<(&'static str, f64)>,
}

/// The groups that test rows are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestGroups {
    /// The column that says which.
    pub column: String,
    /// How many there are.
    pub n: usize,
}

impl TestGroups {
    /// With fewer groups than this, intervals over them are rough.
    const FEW: usize = 10;

    /// What is to be known of intervals over so few groups, if they are few; `more` is what makes more of them.
    pub fn doubt(&self, more: Option<&str>) -> Option<String> {
        let column = shown(&self.column);
        match self.n {
            0 => None,
            1 => Some(format!(
                "All test rows are of one group of {column}, so nothing says how far other groups would be off: there are no \
                 intervals.{}",
                more.map_or(String::new(), |more| format!(" For more groups: {more}."))
            )),
            n if n < Self::FEW => Some(format!(
                "Intervals over only {} of {column} are rough, and rather too narrow.",
                counted(n, "group")
            )),
            _ => None,
        }
    }
}

/// How the network compares with the best simple model, on the same test rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The name of the simple model.
    pub baseline: &'static str,
    /// By how much the network's main metric is better.
    pub gain: Gain,
}

/// How many rows were for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Fitted on.
    pub train: usize,
    /// Watched.
    pub val: usize,
    /// Tested on.
    pub test: usize,
}

impl RowCounts {
    /// Those of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let split = &plan.split;
        Self { train: split.train.rows().len(), val: split.val.len(), test: split.test.len() }
    }
}

/// Everything that was measured in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The task.
    pub task: TaskKind,
    /// The target column.
    pub target: String,
    /// How many rows were for what.
    pub n_rows: RowCounts,
    /// What the folds came to, where there were any; each then had validation rows of its own.
    pub cross_validation: Option<CrossValidation>,
    /// Metrics on the validation rows, which chose the epoch.
    pub val: Vec<(&'static str, f64)>,
    /// Metrics on the test rows; empty without test rows.
    pub test: Vec<Measured>,
    /// The share of intervals that hold the true value.
    pub confidence: f64,
    /// How many resamples stand behind each interval.
    pub resamples: usize,
    /// The groups that the test rows are of, which intervals are drawn by; none where rows are split without groups.
    pub groups: Option<TestGroups>,
    /// Simple models on the same test rows.
    pub baselines: Vec<Baseline>,
    /// Classes of which no test row is, so that nothing is known of how they are predicted.
    pub untested: Vec<String>,
    /// What has shifted the probabilities that the network learned, which `log_loss` judges; none where nothing has.
    pub shifted: Option<&'static str>,
    /// The network beside the best of them; none without test rows or simple models.
    pub comparison: Option<Comparison>,
    /// The epoch whose weights were kept; like the next two said fold by fold where there are folds.
    pub best_epoch: usize,
    /// Epochs trained.
    pub epochs_run: usize,
    /// Why training ended.
    pub stopped: String,
    /// Seconds of training.
    pub fit_seconds: f64,
    /// The seed.
    pub seed: u64,
    /// SHA-256 of the data file.
    pub data_sha256: String,
}

/// How the network compares with the best simple model on the main metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The sentence for the user.
    pub text: String,
    /// Whether the network is better.
    pub beats: bool,
}

/// The metric that comes first: `rmse`, or `log_loss`, which judges the probabilities themselves.
pub fn primary(task: TaskKind) -> &'static str {
    match task {
        TaskKind::Regression => "rmse",
        TaskKind::Binary | TaskKind::Multiclass => "log_loss",
    }
}

/// How the intervals of metrics were made, as `metrics.json` and `evaluate --json` tell it.
pub fn intervals_json(resamples: usize, confidence: f64, groups: Option<&TestGroups>) -> Value {
    let method = method(groups.is_some());
    let mut told = json!({ "method": method, "resamples": resamples, "confidence": confidence });
    if let (Some(fields), Some(groups)) = (told.as_object_mut(), groups) {
        fields.insert("group".into(), json!(groups.column));
        fields.insert("groups".into(), json!(groups.n));
    }
    told
}

impl Report {
    /// What is known of a run before anything is measured.
    pub(super) fn unmeasured(plan: &Plan) -> Self {
        Self {
            task: plan.target.task,
            target: plan.target.column.clone(),
            n_rows: RowCounts { train: 0, val: 0, test: 0 },
            cross_validation: None,
            val: Vec::new(),
            test: Vec::new(),
            confidence: plan.config.evaluate.confidence,
            resamples: 0,
            groups: None,
            baselines: Vec::new(),
            untested: Vec::new(),
            shifted: shifted(plan),
            comparison: None,
            best_epoch: 0,
            epochs_run: 0,
            stopped: String::new(),
            fit_seconds: 0.0,
            seed: plan.config.seed,
            data_sha256: plan.raw.sha256.clone(),
        }
    }

    /// The metric that comes first.
    pub fn primary(&self) -> &'static str {
        primary(self.task)
    }

    /// The document that is written to `metrics.json`.
    pub fn to_json(&self) -> Value {
        let plain = |metrics: &[(&str, f64)]| -> Map<String, Value> {
            metrics.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
        };
        let interval_key = format!("ci{}", self.percent());
        let single = self.cross_validation.is_none();
        let test: Map<String, Value> = self
            .test
            .iter()
            .map(|m| {
                let mut entry = Map::new();
                entry.insert("value".into(), json!(m.value));
                if let Some(interval) = m.interval {
                    entry.insert(interval_key.clone(), json!(interval));
                }
                (m.name.to_owned(), Value::Object(entry))
            })
            .collect();
        let baselines: Map<String, Value> =
            self.baselines.iter().map(|b| (b.name.to_owned(), Value::Object(plain(&b.metrics)))).collect();
        json!({
            "task": self.task,
            "target": self.target,
            "n_rows": self.n_rows,
            "cross_validation": self.cross_validation.as_ref().map(|folds| folds.to_json(&interval_key)),
            "val": plain(&self.val),
            "test": test,
            "baselines": baselines,
            "classes_without_test_rows": self.untested,
            "comparison": self.comparison.map(|c| {
                let mut entry = Map::new();
                entry.insert("baseline".into(), json!(c.baseline));
                entry.insert("metric".into(), json!(self.primary()));
                entry.insert("gain".into(), json!(c.gain.share));
                if let Some(interval) = c.gain.interval {
                    entry.insert(interval_key.clone(), json!(interval));
                }
                entry.insert("resamples".into(), json!(c.gain.replicates));
                Value::Object(entry)
            }),
            "intervals": intervals_json(self.resamples, self.confidence, self.groups.as_ref()),
            "best_epoch": single.then_some(self.best_epoch),
            "epochs_run": single.then_some(self.epochs_run),
            "stopped": single.then_some(&self.stopped),
            "fit_seconds": self.fit_seconds,
            "seed": self.seed,
            "data_sha256": self.data_sha256,
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    /// Which rows the model was fitted on, and what the others had to do with it.
    pub fn proof(&self) -> String {
        if let Some(folds) = &self.cross_validation {
            return proof_of(folds, self.n_rows.test);
        }
        let RowCounts { train, val, test } = self.n_rows;
        let [fitted, v, t] = [train, val, test].map(thousands);
        let chose = "chose when to stop and which epoch to keep";
        match test {
            0 => format!(
                "Fitted on {fitted} training rows; the {v} rows of validation, never fitted on, {chose}."
            ),
            _ => format!(
                "Fitted on {fitted} training rows; {v} + {t} rows never fitted on: the {v} of validation {chose}, \
                 the {t} of the test nothing."
            ),
        }
    }

    /// The confidence in percent, free of the noise of floating-point numbers.
    pub fn percent(&self) -> f64 {
        (self.confidence * 1e8).round() / 1e6
    }

    /// Says plainly whether the network is worth its weights; nothing without test rows or baselines.
    pub fn verdict(&self) -> Option<Verdict> {
        let Comparison { baseline, gain } = self.comparison?;
        let name = self.primary();
        let rival = match baseline {
            "mean" => "the mean".to_owned(),
            "majority" => "the majority class".to_owned(),
            other => other.replace('_', " "),
        };
        let percent = 100.0 * gain.share;
        let span = |interval: Option<[f64; 2]>| {
            interval.map_or(String::new(), |[a, b]| format!(" [{:.1}, {:.1}]", 100.0 * a, 100.0 * b))
        };
        let interval = span(gain.interval);
        let beats = gain.share > 0.0;
        let clearly = gain.interval.is_none_or(|[low, _]| low > 0.0);
        let instead = match self.shifted {
            Some(by) => format!(
                ", which judges probabilities, and {by} shifted the network's: compare by ranks or by what is found \
                 (roc_auc, balanced_accuracy)."
            ),
            None => ". Prefer the simpler model, or change the settings.".to_owned(),
        };
        let text = match (beats, clearly) {
            // Nothing that is measured is a sum to six digits.
            _ if gain.share < -1e6 => format!(
                "The network does NOT beat {rival}, which predict `{target}` exactly: it seems to be made up of other columns. Are \
                 they known when it is to be predicted? `statera profile` with --target says which they are.",
                target = self.target
            ),
            _ if gain.share < -10.0 => format!(
                "The network does NOT beat {rival}: its test {name} is over ten times as high{instead}"
            ),
            (true, true) => format!("The network beats {rival} by {percent:.1} %{interval} in test {name}."),
            (true, false) => format!(
                "The network is ahead of {rival} by {percent:.1} %{interval} in test {name}; the interval includes \
                 0, so this may be luck."
            ),
            (false, _) => {
                let luck = match gain.interval {
                    Some([_, high]) if high >= 0.0 => "; the interval includes 0, so this may be luck",
                    _ => "",
                };
                format!(
                    "The network does NOT beat {rival}: its test {name} is {:.1} %{} worse{luck}{instead}",
                    percent.abs(),
                    span(gain.interval.map(|[a, b]| [-b, -a]))
                )
            }
        };
        Some(Verdict { text, beats })
    }
}

/// What shifts the probabilities that the network of a plan learns away from the shares of the training rows, as the
/// subject and verb of a sentence.
fn shifted(plan: &Plan) -> Option<&'static str> {
    if resample::changes(plan) {
        return Some("resampled training rows have");
    }
    let weights = class_weights(&plan.config, &plan.labels, &plan.split.train).ok().flatten();
    if weights.is_some_and(|weights| weights.iter().any(|weight| *weight != weights[0])) {
        return Some("class weights have");
    }
    shifted_by_loss(plan.loss)
}

/// The same of the loss alone: with γ above 0 the focal loss is no proper score (Charoenphakdee et al. 2021, "On focal
/// loss for class-posterior probability estimation").
pub(super) fn shifted_by_loss(loss: Loss) -> Option<&'static str> {
    let gamma = match loss {
        Loss::BinaryFocal { gamma, .. } | Loss::CategoricalFocal { gamma, .. } => gamma,
        _ => 0.0,
    };
    (gamma > 0.0).then_some("the focal loss has")
}

/// The classes of which no row is among those of the truth.
pub(super) fn untested(truth: Truth, classes: &[String]) -> Vec<String> {
    let Truth::Classes(codes) = truth else { return Vec::new() };
    let mut there = vec![false; classes.len()];
    codes.iter().for_each(|&code| there[code as usize] = true);
    classes.iter().zip(there).filter(|(_, there)| !there).map(|(class, _)| class.clone()).collect()
}

/// Which rows the networks of a cross-validation were fitted on.
fn proof_of(folds: &CrossValidation, n_test: usize) -> String {
    let span = |[low, high]: [usize; 2]| {
        if low == high { thousands(low) } else { format!("{} to {}", thousands(low), thousands(high)) }
    };
    let [train, val, held_out] = folds.sizes().map(span);
    let mut proof = format!(
        "Fitted on folds: each of {} networks on {train} training rows; {val} rows of validation inside its fold, never \
         fitted on, chose when to stop and which epoch to keep, and the {held_out} rows held out judged it and chose \
         nothing.",
        folds.folds.len()
    );
    if n_test > 0 {
        proof += &format!(" {} test rows were seen by none.", thousands(n_test));
    }
    proof
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(share: f64, interval: Option<[f64; 2]>) -> Report {
        let gain = Gain { share, interval, replicates: 1000 };
        Report {
            task: TaskKind::Regression,
            target: "y".into(),
            n_rows: RowCounts { train: 10, val: 2, test: 2 },
            cross_validation: None,
            val: Vec::new(),
            test: Vec::new(),
            confidence: 0.95,
            resamples: 0,
            groups: None,
            baselines: Vec::new(),
            untested: Vec::new(),
            shifted: None,
            comparison: Some(Comparison { baseline: "least_squares", gain }),
            best_epoch: 1,
            epochs_run: 1,
            stopped: String::new(),
            fit_seconds: 0.0,
            seed: 0,
            data_sha256: String::new(),
        }
    }

    #[test]
    fn the_verdict_says_plainly_who_is_better() {
        for (share, interval, beats, text) in [
            (
                0.134,
                Some([0.059, 0.211]),
                true,
                "The network beats least squares by 13.4 % [5.9, 21.1] in test rmse.",
            ),
            (0.134, None, true, "The network beats least squares by 13.4 % in test rmse."),
            (0.02, Some([-0.01, 0.05]), true, "is ahead of least squares by 2.0 % [-1.0, 5.0] in test rmse;"),
            (
                -0.02,
                Some([-0.05, 0.01]),
                false,
                "does NOT beat least squares: its test rmse is 2.0 % [-1.0, 5.0] worse; the interval \
                 includes 0",
            ),
            (0.0, None, false, "does NOT beat least squares: its test rmse is 0.0 % worse."),
            (
                -1e9,
                None,
                false,
                "does NOT beat least squares, which predict `y` exactly: it seems to be made up of",
            ),
            (-50.0, None, false, "does NOT beat least squares: its test rmse is over ten times as high."),
        ] {
            let verdict = report(share, interval).verdict().unwrap();
            assert_eq!(verdict.beats, beats);
            assert!(verdict.text.contains(text), "{}\n  lacks: {text}", verdict.text);
        }
        assert_eq!(Report { comparison: None, ..report(0.1, None) }.verdict(), None);
    }

    #[test]
    fn a_loss_by_probabilities_that_have_been_shifted_is_told_as_one() {
        let report = Report {
            task: TaskKind::Binary,
            shifted: Some("class weights have"),
            ..report(-0.9, Some([-1.2, -0.7]))
        };
        let text = report.verdict().unwrap().text;
        assert!(
            text.contains("its test log_loss is 90.0 % [70.0, 120.0] worse, which judges probabilities, and class weights have shifted"),
            "{text}"
        );
        assert!(text.contains("roc_auc") && !text.contains("Prefer"), "{text}");
    }

    #[test]
    fn classes_without_a_row_are_named() {
        let classes = ["a", "b", "c"].map(String::from);
        assert_eq!(untested(Truth::Classes(&[0, 2, 0]), &classes), ["b"]);
        assert!(untested(Truth::Classes(&[0, 2, 1]), &classes).is_empty());
        assert!(untested(Truth::Values(&[1.0]), &[]).is_empty());
    }

    #[test]
    fn intervals_are_named_after_their_confidence() {
        for (confidence, percent) in [(0.95, 95.0), (0.57, 57.0), (0.999, 99.9)] {
            let report = Report { confidence, ..report(0.1, Some([0.0, 0.2])) };
            assert_eq!(report.percent(), percent);
            assert!(report.to_json()["comparison"][format!("ci{percent}")].is_array());
        }
    }
}
