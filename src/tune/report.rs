//! What a study came to: the settings that are best on the validation rows, tested once.

use serde_json::{Value, json};

use super::importance::importances;
use super::record::{State, Trial};
use super::run::Tuning;
use crate::ablate::work::share_out;
use crate::ablate::{Ready, guarded, validated};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::truth_of;
use crate::run::{Plan, Report, Trained, execute};
use crate::train::bootstrap::{Gain, gain};
use crate::train::events::{Answer, Event};

/// The chosen settings and what they are worth.
#[derive(Debug)]
pub struct Chosen {
    /// The best trial.
    pub trial: Trial,
    /// What the same settings reach with other seeds; none where nobody asked.
    pub spread: Option<Spread>,
    /// Tuned and untuned on the test rows; none where there are none.
    pub tested: Tested,
    /// The share of every searched setting in what makes trials good; none where there are too few trials.
    pub importances: Option<Vec<(String, f64)>>,
}

/// The metric on the validation rows with seeds other than that of the study.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// Seed and metric; none where training failed.
    pub metrics: Vec<(u64, Option<f64>)>,
}

impl Spread {
    /// The least, the mean and the greatest; none without a metric.
    pub fn figures(&self) -> Option<[f64; 3]> {
        let metrics: Vec<f64> = self.metrics.iter().filter_map(|(_, metric)| *metric).collect();
        let mean = metrics.iter().sum::<f64>() / metrics.len() as f64;
        let fold = |start: f64, f: fn(f64, f64) -> f64| metrics.iter().copied().fold(start, f);
        (!metrics.is_empty())
            .then(|| [fold(f64::INFINITY, f64::min), mean, fold(f64::NEG_INFINITY, f64::max)])
    }
}

/// The last training, tested, beside the settings as they were.
#[derive(Debug)]
pub struct Tested {
    /// Trained on training and validation rows with the chosen settings.
    pub tuned: Trained,
    /// The settings of that training.
    pub config: Config,
    /// What the settings that are not searched come to by themselves.
    pub untuned: Report,
    /// By how much the main metric is better on the test rows.
    pub gain: Option<Gain>,
}

/// Takes the best trial, trains it anew on training and validation rows, and tests it once, beside the base settings.
///
/// With `confirm`, its settings are also trained with so many other seeds, on the same split. Nothing before this has
/// looked at a test row.
pub fn choose(tuning: &Tuning, trials: &[Trial], confirm: usize) -> Result<Chosen> {
    let best = trials
        .iter()
        .filter(|trial| trial.state == State::Done)
        .filter_map(|trial| Some((trial, trial.metric?)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(trial, _)| trial.clone());
    let Some(trial) = best else {
        let why = trials.iter().find(|trial| trial.state == State::Failed).map(|trial| trial.reason.clone());
        return Err(Error::training(
            format!("no trial came to its end{}", why.map_or(String::new(), |why| format!(": {why}"))),
            "`statera tune --list STUDY` shows why each ended; widen the space, or take the reason away",
        ));
    };
    let config = tuning.config(&trial.settings)?;
    let spread = (confirm > 0).then(|| confirmed(tuning, &config, confirm)).transpose()?;
    let mut quiet = |_: &Event| Answer::GoOn;
    let base = Plan::of(tuning.base.clone(), tuning.raw.clone())?;
    let untuned = execute(&base, &mut quiet)?;
    let plan = Plan::of(config, tuning.raw.clone())?.refit(trial.best_epoch.unwrap_or(1))?;
    let mut tuned = execute(&plan, &mut quiet)?;
    // They have been learned from: what they say is no judgement.
    tuned.report.val.clear();
    tuned.report.n_rows.val = 0;
    tuned.model.card.metrics = tuned.report.to_json();
    let gain = if plan.split.test.is_empty() {
        None
    } else {
        let truth = truth_of(&plan.labels.target, &plan.split.test);
        let ours = tuned.model.predict_prepared(&plan.inputs(&plan.split.test)?);
        let theirs = untuned.model.predict_prepared(&base.inputs(&base.split.test)?);
        let e = &plan.config.evaluate;
        let metric = tuned.report.primary();
        gain(metric, [&ours, &theirs], truth.view(), e.bootstrap, e.confidence, tuning.base.seed)
    };
    let named =
        |shares: Vec<f64>| tuning.space.parameters.iter().map(|p| p.key.clone()).zip(shares).collect();
    Ok(Chosen {
        trial,
        spread,
        tested: Tested { tuned, config: plan.config.clone(), untuned: untuned.report, gain },
        importances: importances(&tuning.space, trials).map(named),
    })
}

fn confirmed(tuning: &Tuning, config: &Config, n: usize) -> Result<Spread> {
    let ready = Ready::new(config.clone(), tuning.raw.clone())?;
    let seed_of = |i: usize| config.seed.wrapping_add(1 + i as u64);
    let job = |i: usize| {
        let with_seed = Config { seed: seed_of(i), ..config.clone() };
        let judged = guarded(|| validated(&ready, with_seed, &mut |_: &Event| Answer::GoOn));
        (seed_of(i), judged.ok().map(|judged| judged.metric))
    };
    Ok(Spread { metrics: share_out(n, tuning.jobs, job, &mut |_| ())? })
}

impl Chosen {
    /// The document that is written beside the study and printed with `--json`.
    pub fn to_json(&self, trials: &[Trial]) -> Value {
        let count = |state: State| trials.iter().filter(|trial| trial.state == state).count();
        let settings = |trial: &Trial| -> Value {
            trial.settings.iter().map(|(key, literal)| (key.clone(), json!(literal))).collect()
        };
        json!({
            "metric": self.tested.tuned.report.primary(),
            "trials": {
                "all": trials.len(),
                "done": count(State::Done),
                "pruned": count(State::Pruned),
                "diverged": count(State::Diverged),
                "failed": count(State::Failed),
            },
            "best": {
                "trial": self.trial.number,
                "settings": settings(&self.trial),
                "val": self.trial.metric,
                "best_epoch": self.trial.best_epoch,
            },
            "spread": self.spread.as_ref().map(|spread| &spread.metrics),
            "importance": self.importances.as_ref().map(|shares| {
                shares.iter().map(|(key, share)| (key.clone(), json!(share))).collect::<Value>()
            }),
            "tuned": self.tested.tuned.report.to_json(),
            "untuned": self.tested.untuned.to_json(),
            "gain": self.tested.gain.map(|gain| json!({ "share": gain.share, "interval": gain.interval })),
        })
    }
}
