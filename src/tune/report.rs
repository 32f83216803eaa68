//! What a study came to: the settings that are best on the validation rows, tested once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::beside::Beside;
use super::importance::importances;
use super::record::{State, Trial, counts};
use super::run::{Tuning, lock};
use super::untuned::{Again, Untuned, UntunedOutcome};
use crate::ablate::{Ready, guarded, validated};
use crate::bag::Bag;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Params, truth_of};
use crate::run::refit::{Member, Together, tested_together};
use crate::run::{Plan, Report};
use crate::train::bootstrap::{Gain, gain};
use crate::train::events::{Answer, Callback, Event};
use crate::train::metrics::Predictions;
use crate::work::share_out;

/// The chosen settings and what they are worth.
#[derive(Debug)]
pub struct Chosen {
    /// The best trials, one, or as many as an ensemble has members; the best first.
    pub trials: Vec<Trial>,
    /// What the settings of the best reach with other seeds; none where nobody asked.
    pub spread: Option<Spread>,
    /// Tuned and untuned on the test rows.
    pub tested: Tested,
    /// The share of every searched setting in what makes trials good; none where there are too few trials.
    pub importances: Option<Vec<(String, f64)>>,
    /// How many trials were to predict together. There are fewer where fewer came to their end, or to trainings of their own.
    pub asked: usize,
    /// Better trials than the last of them that cannot predict with the best one, as they take columns otherwise.
    pub unlike: usize,
}

/// How far the last trainings are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastStep {
    /// The number of one of them.
    pub training: usize,
    /// How many there are.
    pub of: usize,
    /// The share of it that is done.
    pub share: f64,
}

/// Hears of one of the last trainings, or of a part of it, and tells how far it is.
pub(super) struct Following<'a> {
    stop: &'a AtomicBool,
    tell: &'a dyn Fn(f64),
    /// The shares of the whole where the part begins and ends.
    part: [f64; 2],
    epochs: usize,
}

impl<'a> Following<'a> {
    pub(super) fn new(stop: &'a AtomicBool, tell: &'a dyn Fn(f64), part: [f64; 2]) -> Self {
        Self { stop, tell, part, epochs: 0 }
    }
}

impl Callback for Following<'_> {
    fn hear(&mut self, event: &Event, _weights: &dyn Fn() -> Params) -> Answer {
        let [from, to] = self.part;
        match event {
            Event::Started { epochs, .. } => self.epochs = *epochs,
            Event::Epoch(record) => {
                (self.tell)(from + (to - from) * record.epoch as f64 / self.epochs.max(1) as f64);
            }
            Event::Finished { .. } => {
                (self.tell)(to);
                return Answer::GoOn;
            }
            _ => {}
        }
        if self.stop.load(Ordering::SeqCst) { Answer::Stop("interrupted".into()) } else { Answer::GoOn }
    }
}

/// What is asked of the best trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// How many of them predict together; 1 for the best alone.
    pub ensemble: usize,
    /// With how many other seeds the best settings are trained.
    pub confirm: usize,
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
    pub bag: Bag,
    /// What they reach together on the test rows.
    pub tuned: Report,
    /// Where several predict together, what the best trial reaches alone.
    pub alone: Option<Report>,
    /// The settings of each member.
    pub configs: Vec<Config>,
    /// What the settings that are not searched come to by themselves: on the validation rows, and trained on the same rows
    /// as the tuned; or why they do not.
    pub untuned: std::result::Result<(Untuned, Report), String>,
    /// By how much the best trial alone is better on the test rows than the untuned settings, in the main metric.
    pub gain: Option<Gain>,
    /// Where several predict together, by how much they are better than the best trial alone.
    pub gain_together: Option<Gain>,
}

/// A training after the search.
enum Last {
    Member(Box<Result<Member>>),
    Untuned(Box<std::result::Result<(Untuned, Plan, Member), String>>),
    Seed(u64, Option<f64>),
}

/// Takes the best trials, trains them anew on training and validation rows, and tests them once, beside the base settings,
/// which are trained in the same way: what further rows are worth is not tuning's.
///
/// What the search has done of all that (`beside`) is not done again.
/// With [`Wish::confirm`], the best settings are also trained with so many other seeds, on the same split. Nothing before
/// this has measured anything on a test row. All of it is [shared out](share_out) over as many threads as the trials, and `tell` hears
/// on these how far it is; none comes of it where `stop` ends it.
pub fn choose(
    tuning: &Tuning,
    trials: &[Trial],
    beside: Beside,
    wish: Wish,
    stop: &AtomicBool,
    tell: &(dyn Fn(LastStep) + Sync),
) -> Result<Option<Chosen>> {
    let mut done: Vec<(&Trial, f64)> = trials
        .iter()
        .filter(|trial| trial.state == State::Done)
        .filter_map(|trial| Some((trial, trial.metric?)))
        .collect();
    done.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (best, plans, unlike) = members(tuning, &done, wish.ensemble.max(1))?;
    if best.is_empty() {
        let ended = trials.iter().filter(|trial| !trial.reason.is_empty());
        let why = ended.min_by_key(|trial| trial.metric.is_some()).map(|trial| trial.reason.clone());
        return Err(Error::training(
            format!("no trial came to its end{}", why.map_or(String::new(), |why| format!(": {why}"))),
            "take the reason away, or search elsewhere; `statera tune --list STUDY` shows why each ended",
        ));
    }
    let config = tuning.config(&best[0].settings)?;
    let base = Plan::of(tuning.base.clone(), tuning.raw.clone())?;
    let ready = (wish.confirm > 0).then(|| Ready::new(config.clone(), tuning.raw.clone())).transpose()?;
    let seed_of = |i: usize| config.seed.wrapping_add(1 + i as u64);
    let Beside { untuned, again, best: ahead } = beside;
    let (again, ahead) = (Mutex::new(again), Mutex::new(ahead.filter(|(trial, _)| *trial == best[0])));
    let n_members = plans.len();
    let of = n_members + 1 + wish.confirm;
    // The members first: they take longest, on the most rows.
    let job = |i: usize| {
        let tell = |share: f64| tell(LastStep { training: i, of, share });
        let follow = |part: [f64; 2]| Following::new(stop, &tell, part);
        match i.checked_sub(n_members) {
            None => {
                let done = if i == 0 { lock(&ahead).take() } else { None };
                done.iter().for_each(|_| tell(1.0));
                let train = || plans[i].train_member(&mut follow([0.0, 1.0]));
                Last::Member(Box::new(done.map_or_else(train, |(_, member)| Ok(member))))
            }
            Some(0) => {
                let again = lock(&again).take();
                again.iter().for_each(|_| tell(1.0));
                Last::Untuned(Box::new(untuned_member(tuning, untuned.as_ref(), again, &follow)))
            }
            Some(at) => {
                let seed = seed_of(at - 1);
                let with_seed = Config { seed, ..config.clone() };
                let mut following = follow([0.0, 1.0]);
                let judged =
                    ready.as_ref().map(|ready| guarded(|| validated(ready, with_seed, &mut following, None)));
                Last::Seed(seed, judged.and_then(std::result::Result::ok).map(|judged| judged.metric))
            }
        }
    };
    let ended = share_out(of, tuning.jobs, job, &mut |_, _| ())?;
    if stop.load(Ordering::SeqCst) {
        return Ok(None);
    }
    let (mut members, mut untuned, mut seeds) = (Vec::new(), Err(String::new()), Vec::new());
    for (i, last) in ended.into_iter().enumerate() {
        match last {
            Ok(Last::Member(member)) => members.push((*member).map_err(|e| of_trial(&best[i], e))?),
            Ok(Last::Untuned(member)) => untuned = *member,
            Ok(Last::Seed(seed, metric)) => seeds.push((seed, metric)),
            Err(panicked) => return Err(Error::training(format!("the last training {panicked}"), "")),
        }
    }
    let of_member = |i: usize| json!({ "trial": best[i].number, "val": best[i].metric });
    let Together { bag, report: tuned, test, first } = tested_together(&plans, members, of_member)?;
    let rows = &base.split.test;
    let (truth, e) = (truth_of(&base.labels.target, rows), &base.config.evaluate);
    let groups = base.groups_of(rows);
    let beside = |both: [&Predictions; 2]| {
        let (metric, groups) = (tuned.primary(), groups.as_deref());
        let judge = || gain(metric, both, truth.view(), groups, e.bootstrap, e.confidence, tuning.base.seed);
        if rows.is_empty() { None } else { judge() }
    };
    let untuned = match untuned {
        Ok((first, plan, member)) => Ok((first, tested_together(&[plan], vec![member], |_| Value::Null)?)),
        Err(why) => Err(why),
    };
    // What tuning is worth is not what an ensemble is worth.
    let best_alone = first.as_ref().map_or(&test, |(_, test)| test);
    let of_tuning = untuned.as_ref().ok().and_then(|(_, untuned)| beside([best_alone, &untuned.test]));
    let gain_together = first.as_ref().and_then(|(_, alone)| beside([&test, alone]));
    let named =
        |shares: Vec<f64>| tuning.space.parameters.iter().map(|p| p.key.clone()).zip(shares).collect();
    let configs = plans.into_iter().map(|plan| plan.config).collect();
    Ok(Some(Chosen {
        trials: best,
        spread: (wish.confirm > 0).then_some(Spread { metrics: seeds }),
        tested: Tested {
            bag,
            tuned,
            alone: first.map(|(report, _)| report),
            configs,
            untuned: untuned.map(|(first, untuned)| (first, untuned.report)),
            gain: of_tuning,
            gain_together,
        },
        importances: importances(&tuning.space, trials).map(named),
        asked: wish.ensemble.max(1),
        unlike,
    }))
}

/// The last training of a trial, on training and validation rows.
pub(super) fn last_plan(tuning: &Tuning, trial: &Trial) -> Result<Plan> {
    let plan = Plan::of(tuning.config(&trial.settings)?, tuning.raw.clone())?;
    plan.refit(trial.best_epoch.unwrap_or(1), &trial.cuts)
}

/// The `n` best trials, and the plans that train them anew on training and validation rows. Trials that come to the same
/// training, as those that only differ in how long they might have gone on, count once; those that take columns unlike the
/// best one are left out, and counted.
fn members(tuning: &Tuning, done: &[(&Trial, f64)], n: usize) -> Result<(Vec<Trial>, Vec<Plan>, usize)> {
    let (mut best, mut plans, mut unlike) = (Vec::new(), Vec::<Plan>::new(), 0);
    for (trial, _) in done {
        let plan = last_plan(tuning, trial)?;
        // A bag reads a table once, so its members take its columns alike.
        if plans.first().is_some_and(|first| first.schema != plan.schema) {
            unlike += 1;
        } else if plans.iter().all(|known| known.config != plan.config) {
            best.push((*trial).clone());
            plans.push(plan);
        }
        if plans.len() == n {
            break;
        }
    }
    Ok((best, plans, unlike))
}

/// Both trainings of the untuned settings, but for what the search has done.
fn untuned_member<'a>(
    tuning: &Tuning,
    known: Option<&UntunedOutcome>,
    again: Option<std::result::Result<Again, String>>,
    follow: &dyn Fn([f64; 2]) -> Following<'a>,
) -> std::result::Result<(Untuned, Plan, Member), String> {
    let (first, from) = if let Some(known) = known {
        (known.clone()?, 0.0)
    } else {
        let ready = || Ready::new(tuning.base.clone(), tuning.raw.clone());
        (guarded(|| Untuned::train(tuning, &ready()?, &mut follow([0.0, 0.5])))?, 0.5)
    };
    let again = again.unwrap_or_else(|| guarded(|| first.again(tuning, &mut follow([from, 1.0]))));
    again.map(|(plan, member)| (first, plan, member))
}

/// The error of a last training, with its trial.
fn of_trial(trial: &Trial, error: Error) -> Error {
    let what = format!("trial {}, trained anew on training and validation rows", trial.number);
    match error {
        Error::Training(p) => Error::training(format!("{what}: {}", p.what), p.remedy),
        other => other,
    }
}

impl Chosen {
    /// The document that is written beside the study and printed with `--json`.
    pub fn to_json(&self, trials: &[Trial]) -> Value {
        let of = |trial: &Trial| {
            let mut json = trial.to_json();
            if let Some(fields) = json.as_object_mut() {
                fields.retain(|name, _| ["trial", "settings", "val", "best_epoch"].contains(&name.as_str()));
            }
            json
        };
        let gain = |gain: Option<Gain>| gain.map(|g| json!({ "share": g.share, "interval": g.interval }));
        json!({
            "metric": self.tested.tuned.primary(),
            "trials": counts(trials),
            "best": of(&self.trials[0]),
            "ensemble_asked": (self.asked > 1).then_some(self.asked),
            "ensemble": (self.trials.len() > 1).then(|| self.trials.iter().map(of).collect::<Vec<_>>()),
            "spread": self.spread.as_ref().map(|spread| &spread.metrics),
            "importance": self.importances.as_ref().map(|shares| {
                shares.iter().map(|(key, share)| (key.clone(), json!(share))).collect::<Value>()
            }),
            "tuned": self.tested.tuned.to_json(),
            "alone": self.tested.alone.as_ref().map(Report::to_json),
            "untuned": self.tested.untuned.as_ref().map_or_else(
                |why| json!({ "failed": why }),
                |(_, report)| report.to_json(),
            ),
            "untuned_trial": self.tested.untuned.as_ref().ok().map(|(first, _)| json!({
                "val": first.val, "best_epoch": first.best_epoch, "seconds": first.seconds,
            })),
            "gain": gain(self.tested.gain),
            "gain_together": gain(self.tested.gain_together),
        })
    }
}
