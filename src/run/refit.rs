//! Training anew on all rows but the test rows, once everything has been chosen.

use std::sync::Arc;

use serde_json::Value;
use statera_kernels::{CpuLevel, Scalar};

use super::execute::{Untested, judge_test, judge_val, rivals, train};
use super::objective::weights_of;
use super::plan::{Plan, network_of, target_spec};
use super::reach::check_reach;
use super::report::{Report, RowCounts};
use crate::bag::{self, Bag};
use crate::config::{AverageKind, Config, CurriculumBy, Precision, ScheduleName};
use crate::data::{Pipeline, PipelineOptions};
use crate::error::Result;
use crate::model::{Model, truth_of};
use crate::train::astray::instead;
use crate::train::events::Listener;
use crate::train::metrics::Predictions;

/// The settings of a training that goes as one with the settings `config` went up to the end of the epoch `end`, but watches
/// nothing: the learning rate is cut after the epochs of `cuts`, and neither rules nor the clock end it.
///
/// Two trainings that are the same have the same settings, though one might have gone on for longer: where nothing goes
/// by the length of all training, its length is `end`.
fn replayed(config: &Config, end: usize, cuts: &[usize]) -> Config {
    let mut config = config.clone();
    let plateau = &mut config.reduce_on_plateau;
    plateau.after_epochs = cuts.iter().copied().filter(|cut| *cut < end).collect();
    plateau.enabled = !plateau.after_epochs.is_empty();
    if !goes_by_length(config.schedule.name) {
        config.schedule.cuts.retain(|cut| *cut < end);
        config.train.epochs = end.max(least_epochs(&config));
    }
    config.train.stop_after = if end < config.train.epochs { end } else { 0 };
    let early_stopping = &mut config.early_stopping;
    (early_stopping.enabled, early_stopping.window, early_stopping.weight_change) = (false, 0, 0.0);
    config.checkpoint.restore_best = false;
    config.train.max_seconds = 0.0;
    config.without_idle()
}

/// Whether the learning rate of a step depends on how many epochs there are in all.
fn goes_by_length(schedule: ScheduleName) -> bool {
    use ScheduleName::{
        Constant, Cosine, Coslog4, Exponential, FlatCos, InverseTime, OneCycle, Polynomial, Step,
    };
    match schedule {
        Constant | Step | Exponential | InverseTime => false,
        Polynomial | Cosine | OneCycle | Coslog4 | FlatCos => true,
    }
}

/// The fewest epochs that settings of something with a time of its own may be given with.
fn least_epochs(config: &Config) -> usize {
    let Config { schedule, curriculum, average, weights, .. } = config;
    let warmup = match schedule.name {
        ScheduleName::Constant => schedule.warmup.ceil() as usize,
        _ => schedule.warmup.floor() as usize + 1,
    };
    let times = [
        (true, warmup),
        (schedule.name == ScheduleName::Step, schedule.every.floor() as usize + 1),
        (curriculum.by != CurriculumBy::None, curriculum.epochs + 1),
        (average.kind == AverageKind::Swa, average.start + 1),
        (config.prunes(), weights.prune_end + 1),
    ];
    times.into_iter().filter_map(|(is_on, epochs)| is_on.then_some(epochs)).max().unwrap_or(1)
}

/// A network trained anew, and what it predicts of the test rows, of which nothing is measured yet.
#[derive(Debug)]
pub(crate) struct Member {
    model: Model,
    epochs: usize,
    reason: String,
    seconds: f64,
    test: Predictions,
}

impl Plan {
    /// The plan with the validation rows among the training rows: preparation and all else that is fitted are fitted on
    /// both, and `epochs` are trained whatever they say. The test rows stay as they are.
    ///
    /// What watching would decide is decided, as `replayed` has it, where `cuts` are the epochs after which the learning
    /// rate was cut while the validation rows were watched.
    pub fn refit(&self, epochs: usize, cuts: &[usize]) -> Result<Self> {
        let config = replayed(&self.config, epochs, cuts);
        let split = self.split.refit();
        let options = PipelineOptions::of(&config);
        let (pipeline, out_of_fold) =
            Pipeline::fit_to_target(&self.table, &split.train, &options, Some(&self.labels.target))?;
        let target = target_spec(&config, &self.labels, &split, self.target.task)?;
        let weights = weights_of(&config, &self.labels, &self.raw, &split.train, &split.val)?;
        let network = network_of(&config, &pipeline, target.n_outputs())?;
        Ok(Self {
            config,
            split: Arc::new(split),
            pipeline,
            out_of_fold: Arc::new(out_of_fold),
            target,
            weights: weights.map(|(weights, _)| weights),
            network,
            ..self.clone()
        })
    }

    /// Trains the plan's network, telling `listener`; what it predicts of the test rows waits for the others of its bag.
    pub(crate) fn train_member(&self, listener: &mut Listener) -> Result<Member> {
        match self.config.network.precision {
            Precision::F32 => self.member_in::<f32>(listener),
            Precision::F64 => self.member_in::<f64>(listener),
        }
    }

    fn member_in<T: Scalar + 'static>(&self, listener: &mut Listener) -> Result<Member> {
        check_reach(self)?;
        let rows = [self.training_rows::<T>()?, self.prepared::<T>(&self.split.val)?];
        let Untested { model, history, reason, seconds, .. } = train(self, &rows, listener, None)?;
        let (rate, level) = (self.config.optimizer.learning_rate, CpuLevel::detect());
        let remedy =
            || instead(rate, &self.network, self.loss, level, &self.config, (&rows[0]).into()).remedy;
        judge_val(self, &model, &reason, &remedy)?;
        let test = model.predict_prepared(&self.inputs(&self.split.test)?);
        Ok(Member { model, epochs: history.len(), reason, seconds, test })
    }
}

/// Members that predict together, tested once.
pub(crate) struct Together {
    pub(crate) bag: Bag,
    pub(crate) report: Report,
    /// What they predict of the test rows.
    pub(crate) test: Predictions,
    /// Of several, what the first of them reaches by itself, and what it predicts of the test rows.
    pub(crate) first: Option<(Report, Predictions)>,
}

/// Tests the members trained by these plans, one at least, all with the same test rows.
///
/// Each member's own figures are `of_member`'s.
pub(crate) fn tested_together(
    plans: &[Plan],
    members: Vec<Member>,
    of_member: impl Fn(usize) -> Value,
) -> Result<Together> {
    let first = &plans[0];
    let seconds = members.iter().map(|member| member.seconds).sum();
    let mut report = unmeasured(first, &members[0], seconds);
    let mut alone = (members.len() > 1)
        .then(|| (unmeasured(first, &members[0], members[0].seconds), members[0].test.clone()));
    let (mut models, tests): (Vec<Model>, Vec<Predictions>) =
        members.into_iter().map(|member| (member.model, member.test)).unzip();
    let together = bag::mean(tests);
    let rows = &first.split.test;
    if !rows.is_empty() {
        let simple = if first.config.evaluate.baselines { rivals(first, rows)? } else { Vec::new() };
        let truth = truth_of(&first.labels.target, rows);
        let groups = first.groups_of(rows);
        let judge = |report: &mut Report, test: &Predictions| {
            let truth = (truth.view(), groups.as_deref());
            judge_test(report, test, truth, &first.target, &simple, &first.config);
        };
        judge(&mut report, &together);
        alone.iter_mut().for_each(|(report, test)| judge(report, test));
    }
    let mut metrics = report.to_json();
    // The same study is the same file, however long it took.
    if let Some(metrics) = metrics.as_object_mut() {
        metrics.remove("fit_seconds");
    }
    match &mut models[..] {
        [only] => only.card.metrics = metrics.clone(),
        several => {
            several.iter_mut().enumerate().for_each(|(i, model)| model.card.metrics = of_member(i));
        }
    }
    let bag = Bag { members: models, metrics, n_train: report.n_rows.train };
    Ok(Together { bag, report, test: together, first: alone })
}

/// What is known of a member before it is tested.
fn unmeasured(plan: &Plan, member: &Member, seconds: f64) -> Report {
    Report {
        // The validation rows have been learned from: what they say is no judgement.
        n_rows: RowCounts { val: 0, ..RowCounts::of(plan) },
        best_epoch: member.epochs,
        epochs_run: member.epochs,
        stopped: member.reason.clone(),
        fit_seconds: seconds,
        ..Report::unmeasured(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LayerSpec, WeightKind};
    use crate::data::TargetScaler;
    use crate::nn::{Loss, Network};
    use crate::train::events::{Answer, Event};
    use crate::train::fit::{Fitted, OwnedTargets, RowFacts, Rows, fit};

    const N_INPUTS: usize = 5;

    /// Inputs, and a target that is half chance: what is learned of the training rows soon does no good elsewhere.
    fn rows(n: usize, salt: usize) -> Rows<f64> {
        let draw = |i: usize| ((i * 2_654_435_761 + salt * 40_503) % 65_521) as f64 / 32_760.5 - 1.0;
        let x: Vec<f64> = (0..n * N_INPUTS).map(|i| draw(i * i + 7)).collect();
        let targets = (0..n).map(|i| x[i * N_INPUTS] - x[i * N_INPUTS + 1] + draw(i * 31 + 3)).collect();
        Rows { x, targets: OwnedTargets::Values(targets).weighted(vec![1.0; n]) }
    }

    /// What a training comes to, and the epochs after which the learning rate was cut.
    fn trained(config: &Config) -> (Fitted<f64>, Vec<usize>) {
        let (train, val) = (rows(90, 1), rows(40, 2));
        let kind = config.prunes().then_some(WeightKind::Sparse);
        let mut hidden =
            LayerSpec::dense(12, crate::config::Activation::Tanh, crate::config::Initializer::Auto);
        if let LayerSpec::Dense { weights, .. } = &mut hidden {
            *weights = kind;
        }
        let network = Network::new(&[hidden.clone(), hidden], N_INPUTS, 1);
        let difficulty = (0..90).map(|i| f64::from(i * 37 % 90)).collect();
        let facts = RowFacts { numeric_inputs: vec![0], difficulty };
        let mut cuts = Vec::new();
        let mut listener = |event: &Event| {
            if let Event::LearningRateReduced { epoch, .. } = event {
                cuts.push(*epoch);
            }
            Answer::GoOn
        };
        let (loss, level, unit) = (Loss::Mse, CpuLevel::detect(), &TargetScaler::IDENTITY);
        let fitted = fit(&network, loss, level, config, &train, &facts, &val, unit, &mut listener);
        (fitted.unwrap(), cuts)
    }

    fn settings(sets: &[&str]) -> Config {
        const ALL: [&str; 5] = [
            "network.hidden=[12, 12, 12]",
            "train.epochs=40",
            "train.batch_size=10",
            "optimizer.learning_rate=0.05",
            "early_stopping.patience=12",
        ];
        let sets: Vec<String> = ALL.iter().chain(sets).map(|&set| set.to_owned()).collect();
        Config::load(None, &sets).unwrap_or_else(|e| panic!("{sets:?}: {e}"))
    }

    const PLATEAU: [&str; 2] = ["reduce_on_plateau.patience=1", "reduce_on_plateau.factor=0.3"];

    /// A training that is replayed goes the same way, and its settings can be read.
    #[test]
    fn what_was_watched_is_replayed_to_the_bit() {
        let schedules = ScheduleName::NAMES.iter().map(|name| format!("schedule.name={name}"));
        let schedules: Vec<String> = schedules.collect();
        let mut cases: Vec<Vec<&str>> = schedules.iter().map(|name| vec![name.as_str()]).collect();
        cases[1].push("schedule.every=4");
        let floor = "reduce_on_plateau.min_learning_rate=0.02";
        cases.extend([
            vec![floor],
            vec!["schedule.cuts=[3, 30]", "schedule.cut=0.7"],
            vec!["schedule.cuts=[2, 30]", "schedule.cut=0.7", "schedule.name=cosine", floor],
            vec!["schedule.warmup=3"],
            vec!["schedule.warmup=35.5", "early_stopping.patience=2"],
            vec!["schedule.warmup=3", "schedule.name=one_cycle"],
            vec!["curriculum.by=loss", "curriculum.epochs=20"],
            vec!["weights.kind=sparse", "weights.prune_begin=1", "weights.prune_end=6"],
            vec!["average.kind=swa", "average.start=20"],
            vec!["early_stopping.window=3", "early_stopping.window_change=0.5"],
            vec!["early_stopping.weight_change=0.03"],
            vec!["reduce_on_plateau.after_epochs=[2, 5, 39]"],
            vec!["optimizer.name=lbfgs"],
        ]);
        let (mut n_cut, mut n_sooner, mut n_floor) = (0, 0, 0);
        for case in cases {
            let watches = !case.iter().any(|set| set.contains("after_epochs") || set.contains("lbfgs"));
            let mut sets = case.clone();
            sets.extend(PLATEAU.iter().filter(|_| watches));
            if case.contains(&"optimizer.name=lbfgs") {
                sets.extend(["network.dropout=0", "optimizer.learning_rate=0.002", "train.batch_size=32"]);
            }
            let config = settings(&sets);
            let (trial, cuts) = trained(&config);
            let last = replayed(&config, trial.best_epoch, &cuts);
            assert_eq!(last.train.last_epoch(), trial.best_epoch, "{case:?}");
            let read = Config::from_toml_str(&last.to_toml()).unwrap_or_else(|e| panic!("{case:?}: {e}"));
            assert!(read == last, "{case:?}");
            let (again, replayed_cuts) = trained(&last);
            let rates = |fitted: &Fitted<f64>| -> Vec<u64> {
                fitted.history.iter().map(|record| record.learning_rate.to_bits()).collect()
            };
            assert_eq!(rates(&again), rates(&trial)[..trial.best_epoch], "{case:?}");
            assert!(again.params == trial.params, "{case:?}");
            let before: Vec<usize> = cuts.into_iter().filter(|cut| *cut < trial.best_epoch).collect();
            assert_eq!(replayed_cuts, before, "{case:?}");
            n_cut += usize::from(!before.is_empty());
            n_sooner += usize::from(trial.best_epoch < 40);
            n_floor += usize::from(case == [floor] && again.history.iter().any(|r| r.learning_rate == 0.02));
        }
        let counts = [n_cut, n_sooner, n_floor];
        assert!(
            n_cut > 5 && n_sooner > 15 && n_floor == 1,
            "cut, ended before the last epoch, at the floor: {counts:?}"
        );
    }

    #[test]
    fn trainings_that_are_the_same_have_the_same_settings() {
        let of = |sets: &[&str]| replayed(&settings(sets), 7, &[3, 9]);
        let ends = |config: &Config| (config.train.epochs, config.train.stop_after);
        for set in ["schedule.warmup=2", "schedule.name=exponential", "schedule.cuts=[5]"] {
            let [short, long] = ["train.epochs=20", "train.epochs=40"].map(|epochs| of(&[set, epochs]));
            assert!(short == long, "{set}");
            assert_eq!(ends(&short), (7, 0), "{set}");
        }
        let longer = [("curriculum.by=loss", 21), ("weights.kind=sparse", 51)];
        for (set, epochs) in longer {
            let [short, long] = ["train.epochs=60", "train.epochs=80"].map(|epochs| of(&[set, epochs]));
            assert!(short == long, "{set}");
            assert_eq!(ends(&short), (epochs, 7), "{set}");
        }
        let of_length = of(&["schedule.name=cosine", "schedule.cuts=[5, 30]"]);
        assert_eq!(ends(&of_length), (40, 7));
        assert_eq!(of_length.schedule.cuts, [5, 30], "the schedule is as it was");
        assert_eq!(of_length.reduce_on_plateau.after_epochs, [3]);
        assert!(of(&["schedule.name=cosine", "train.epochs=41"]) != of(&["schedule.name=cosine"]));
    }
}
