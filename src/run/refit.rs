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
use crate::config::Precision;
use crate::data::{Pipeline, PipelineOptions};
use crate::error::Result;
use crate::model::{Model, truth_of};
use crate::train::astray::instead;
use crate::train::events::Listener;
use crate::train::metrics::Predictions;

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
    /// What watching would decide is decided: early stopping and the choice of the best epoch are off, and the learning
    /// rate is cut after the epochs of `cuts`, where it was cut while the validation rows were watched; no clock ends it.
    pub fn refit(&self, epochs: usize, cuts: &[usize]) -> Result<Self> {
        let mut config = self.config.clone();
        config.train.epochs = epochs;
        let (schedule, factor) = (&mut config.schedule, config.reduce_on_plateau.factor);
        // One factor stands for all cuts: those of the settings, where they have another, are kept alone.
        if !cuts.is_empty() && (schedule.cuts.is_empty() || schedule.cut == factor) {
            schedule.cut = factor;
            schedule.cuts.extend(cuts);
            schedule.cuts.sort_unstable();
        }
        schedule.cuts.retain(|cut| *cut < epochs);
        config.early_stopping.enabled = false;
        config.reduce_on_plateau.enabled = false;
        config.checkpoint.restore_best = false;
        config.train.max_seconds = 0.0;
        let config = config.without_idle();
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
