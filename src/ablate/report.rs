//! What a study found: effects with intervals, and the files that hold them.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::paired::Paired;
use super::trial::{State, Trial};
use super::{Study, forest};
use crate::error::{Error, Result};
use crate::run::report::primary;

/// What a variant is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval lies on the better side of zero.
    Helps,
    /// The interval holds zero.
    WithinNoise,
    /// Every pair came to the same number.
    NoDifference,
    /// The whole interval lies on the worse side of zero.
    Hurts,
    /// In some trials the loss stopped being finite, where it did not in those of the reference.
    Diverges,
    /// Some trials failed where those of the reference did not.
    Fails,
    /// Fewer than two pairs: nothing can be said.
    Unknown,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Helps => "helps",
            Self::WithinNoise => "within noise",
            Self::NoDifference => "no change",
            Self::Hurts => "hurts",
            Self::Diverges => "diverges",
            Self::Fails => "fails",
            Self::Unknown => "unknown",
        }
    }
}

/// What all trials of one variant come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The number of the variant in the study.
    pub variant: usize,
    /// The mean of the metric over the trials that have one.
    pub metric: Option<f64>,
    /// Trials that failed.
    pub failed: usize,
    /// Trials whose loss stopped being finite; judged with the best weights from before.
    pub diverged: usize,
    /// The mean seconds of training.
    pub train_seconds: Option<f64>,
    /// The mean seconds of an epoch.
    pub epoch_seconds: Option<f64>,
    /// The mean number of epochs.
    pub epochs: Option<f64>,
}

/// What a variant is worth beside the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// Its trials.
    pub group: Group,
    /// Its name.
    pub name: String,
    /// What it changes, as it stands behind `--set`.
    pub settings: Vec<(String, String)>,
    /// Its metric less the reference's, seed by seed; negative is better.
    pub difference: Option<Paired>,
    /// The mean of the reference over the seeds of these pairs.
    pub reference: Option<f64>,
    /// What that says.
    pub verdict: Verdict,
}

impl Effect {
    /// A difference as a share of the reference's metric.
    pub fn share(&self, difference: f64) -> Option<f64> {
        self.reference.filter(|r| *r != 0.0).map(|r| difference / r)
    }
}

/// Everything that a study found.
#[derive(Debug, Clone)]
pub struct Findings {
    /// The metric on validation rows; less is better.
    pub metric: &'static str,
    /// The share of intervals that hold the true difference.
    pub confidence: f64,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The reference's trials.
    pub reference: Group,
    /// The variants, the most helpful first; what diverged or failed comes last.
    pub effects: Vec<Effect>,
    /// Every trial, by variant and seed.
    pub trials: Vec<Trial>,
    /// Trials that the study was to have.
    pub n_wanted: usize,
    about: Value,
    names: Vec<(String, Vec<(String, String)>)>,
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = numbers.fold((0, 0.0), |(n, sum), x| (n + 1, sum + x));
    (n > 0).then(|| sum / f64::from(n))
}

fn group(variant: usize, trials: &[&Trial]) -> Group {
    let trained = || trials.iter().filter(|t| t.state != State::Failed);
    let per_epoch = trained().filter(|t| t.epochs > 0).map(|t| t.seconds / t.epochs as f64);
    Group {
        variant,
        metric: mean(trained().filter_map(|t| t.metric)),
        failed: trials.len() - trained().count(),
        diverged: trials.iter().filter(|t| t.state == State::Diverged).count(),
        train_seconds: mean(trained().map(|t| t.seconds)),
        epoch_seconds: mean(per_epoch),
        epochs: mean(trained().map(|t| t.epochs as f64)),
    }
}

impl Findings {
    pub(super) fn new(study: &Study, trials: Vec<Trial>) -> Self {
        let confidence = study.plan.config.evaluate.confidence;
        let of = |variant: usize| trials.iter().filter(|t| t.variant == variant).collect::<Vec<_>>();
        let reference = of(0);
        let mut effects = Vec::new();
        for (i, variant) in study.variants.iter().enumerate().skip(1) {
            let ours = of(i);
            // Where the reference itself failed, nothing is held against the variant.
            let pairs = ours.iter().filter_map(|t| {
                let rival = reference.iter().find(|r| r.seed == t.seed)?.metric?;
                Some((t.metric, rival))
            });
            let (whole, broken): (Vec<_>, Vec<_>) = pairs.partition(|(metric, _)| metric.is_some());
            let pairs: Vec<(f64, f64)> = whole.into_iter().filter_map(|(m, r)| Some((m?, r))).collect();
            let differences: Vec<f64> = pairs.iter().map(|(m, r)| m - r).collect();
            let difference = Paired::new(&differences, confidence);
            let has_diverged = |t: &Trial| t.state == State::Diverged;
            let diverges = ours
                .iter()
                .any(|t| has_diverged(t) && !reference.iter().any(|r| r.seed == t.seed && has_diverged(r)));
            let verdict = match difference.and_then(|d| d.interval) {
                _ if !broken.is_empty() => Verdict::Fails,
                _ if diverges => Verdict::Diverges,
                None => Verdict::Unknown,
                Some(_) if differences.iter().all(|d| *d == 0.0) => Verdict::NoDifference,
                Some([_, high]) if high < 0.0 => Verdict::Helps,
                Some([low, _]) if low > 0.0 => Verdict::Hurts,
                Some(_) => Verdict::WithinNoise,
            };
            effects.push(Effect {
                group: group(i, &ours),
                name: variant.name.clone(),
                settings: variant.settings.clone(),
                difference,
                reference: mean(pairs.iter().map(|(_, r)| *r)),
                verdict,
            });
        }
        let key = |e: &Effect| {
            let mean = e.difference.map_or(f64::INFINITY, |d| d.mean);
            let rank = match e.verdict {
                Verdict::Fails => 2,
                Verdict::Diverges => 1,
                _ => 0,
            };
            (rank, e.share(mean).unwrap_or(mean))
        };
        effects.sort_by(|a, b| {
            let (a, b) = (key(a), key(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        let plan = &study.plan;
        let about = json!({
            "data": plan.raw.source,
            "data_sha256": plan.raw.sha256,
            "target": plan.target.column,
            "task": plan.target.task,
            "n_rows": {
                "train": plan.split.train.rows().len(),
                "val": plan.split.val.len(),
                "test": plan.split.test.len(),
            },
            "version": env!("CARGO_PKG_VERSION"),
        });
        Self {
            metric: primary(plan.target.task),
            confidence,
            seeds: study.seeds.clone(),
            reference: group(0, &reference),
            effects,
            n_wanted: study.n_trials(),
            trials,
            about,
            names: study.variants.iter().map(|v| (v.name.clone(), v.settings.clone())).collect(),
        }
    }

    /// The confidence in percent, free of the noise of floating-point numbers.
    pub fn percent(&self) -> f64 {
        (self.confidence * 1e8).round() / 1e6
    }

    /// The column to predict.
    pub fn target(&self) -> &str {
        self.about["target"].as_str().unwrap_or_default()
    }

    /// Every trial as CSV: variant, key, value, seed, metric, epochs, seconds, state, reason.
    ///
    /// Several keys of one variant, and their values, stand in one cell with ` & ` between them.
    pub fn to_csv(&self) -> Result<Vec<u8>> {
        let failed = |e: csv::Error| Error::output(format!("the trials cannot be written as CSV: {e}"), "");
        let mut writer = csv::Writer::from_writer(Vec::new());
        let metric = format!("val_{}", self.metric);
        let header = ["variant", "key", "value", "seed", &metric, "epochs", "seconds", "state", "reason"];
        writer.write_record(header).map_err(failed)?;
        for t in &self.trials {
            let (name, settings) = &self.names[t.variant];
            let joined = |part: fn(&(String, String)) -> &str| {
                settings.iter().map(part).collect::<Vec<_>>().join(" & ")
            };
            let metric = t.metric.map_or(String::new(), |m| m.to_string());
            let (seed, epochs, seconds) =
                (t.seed.to_string(), t.epochs.to_string(), format!("{:.4}", t.seconds));
            let (keys, values) = (joined(|(key, _)| key), joined(|(_, value)| value));
            let state = t.state.name();
            writer
                .write_record([name, &keys, &values, &seed, &metric, &epochs, &seconds, state, &t.reason])
                .map_err(failed)?;
        }
        writer
            .into_inner()
            .map_err(|e| Error::output(format!("the trials cannot be written as CSV: {e}"), ""))
    }

    /// The effects as JSON.
    pub fn to_json(&self) -> Value {
        let summary = |g: &Group| -> Map<String, Value> {
            [
                ("mean", json!(g.metric)),
                ("failed", json!(g.failed)),
                ("diverged", json!(g.diverged)),
                ("epochs", json!(g.epochs)),
                ("train_seconds", json!(g.train_seconds)),
                ("epoch_seconds", json!(g.epoch_seconds)),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect()
        };
        let interval_key = format!("ci{}", self.percent());
        let mut variants = Vec::new();
        for e in &self.effects {
            let settings: Map<String, Value> =
                e.settings.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
            let mut entry = Map::new();
            entry.insert("name".into(), json!(e.name));
            entry.insert("settings".into(), Value::Object(settings));
            entry.insert("verdict".into(), json!(e.verdict));
            entry.insert("difference".into(), json!(e.difference.map(|d| d.mean)));
            entry.insert(interval_key.clone(), json!(e.difference.and_then(|d| d.interval)));
            entry.insert("share".into(), json!(e.difference.and_then(|d| e.share(d.mean))));
            entry.insert("pairs".into(), json!(e.difference.map_or(0, |d| d.n)));
            entry.extend(summary(&e.group));
            variants.push(Value::Object(entry));
        }
        let mut out = self.about.as_object().cloned().unwrap_or_default();
        out.insert("metric".into(), json!(format!("val_{}", self.metric)));
        out.insert("seeds".into(), json!(self.seeds));
        out.insert("trials".into(), json!({ "wanted": self.n_wanted, "ended": self.trials.len() }));
        out.insert("reference".into(), Value::Object(summary(&self.reference)));
        out.insert("variants".into(), Value::Array(variants));
        Value::Object(out)
    }

    /// The effects as a forest plot.
    pub fn to_svg(&self) -> String {
        forest::draw(self)
    }
}
