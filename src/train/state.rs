//! All that changes while a network is trained, how it is copied into a checkpoint, and how it is taken up again.
//!
//! Random numbers are functions of seed, epoch and step, so that their counters are the place in training and nothing
//! else; the order of an epoch's rows is drawn again.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use statera_kernels::{CpuLevel, Scalar};

use super::average::Average;
use super::callbacks::{
    BestEpoch, EarlyStopping, Patience, ReduceOnPlateau, WeightChange, deciding, out_of_time,
};
use super::checkpoint::{Array, Checkpoint, exact};
use super::events::EpochRecord;
use super::full_batch::FullBatch;
use super::optimizer::{Counts, Optimizer};
use super::prune::{Masks, Pruning};
use super::step::Stepper;
use crate::config::{Config, OptimizerName};
use crate::model::Params;
use crate::nn::buffer::Buffer;
use crate::nn::{Loss, Network, Targets};

/// Names of the arrays that an optimiser keeps.
const MOMENTS: [&str; 3] = ["optimizer.first", "optimizer.second", "optimizer.third"];
/// Numbers of an epoch's record that every task has.
const PLAIN: usize = 7;

/// Where training is, and what has been counted so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct At {
    /// Training rows.
    pub(super) n_train: usize,
    /// The epoch under way, from 1 on.
    pub(super) epoch: usize,
    /// Batches done in it.
    pub(super) step: usize,
    /// Steps of the optimiser done in it.
    pub(super) updates: usize,
    /// Rows done in it.
    pub(super) n_done: usize,
    /// Σ weight·loss over them, and Σ weight.
    #[serde(with = "exact")]
    pub(super) loss_sum: f64,
    #[serde(with = "exact")]
    pub(super) weight_sum: f64,
    /// Seconds spent on it before training was broken off last.
    pub(super) epoch_seconds: f64,
    /// Batches of all epochs.
    pub(super) steps: u32,
    /// The learning rate that plateaus have left.
    #[serde(with = "exact")]
    pub(super) rate: f64,
    /// That of the last step.
    #[serde(with = "exact")]
    pub(super) rate_now: f64,
    pub(super) best_epoch: usize,
    #[serde(with = "exact")]
    pub(super) initial_val_loss: f64,
    /// Seconds of training before it was broken off last.
    pub(super) seconds: f64,
    /// Why training has come to its end, once it has.
    pub(super) ended: Option<String>,
}

impl At {
    /// Goes to the beginning of an epoch.
    pub(super) fn begin_epoch(&mut self, epoch: usize) {
        (self.epoch, self.step, self.updates, self.n_done) = (epoch, 0, 0, 0);
        (self.loss_sum, self.weight_sum, self.epoch_seconds) = (0.0, 0.0, 0.0);
        self.rate_now = self.rate;
    }
}

/// What a checkpoint holds besides arrays.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) at: At,
    counts: Counts,
    best: BestEpoch,
    early_stopping: Patience,
    plateau: Patience,
    /// Steps whose noise is in the gradients.
    noisy_steps: u32,
    /// Parameters that the average has taken in.
    n_averaged: u32,
    held_batches: usize,
    #[serde(with = "exact")]
    held_weight: f64,
    /// The names of the validation figures.
    metrics: Vec<String>,
    /// What the callbacks need.
    callback: Value,
}

/// All that changes from step to step and from epoch to epoch.
pub(super) struct Training<'n, T> {
    pub(super) params: Buffer<T>,
    /// The parameters of the best epoch.
    pub(super) kept: Vec<T>,
    pub(super) stepper: Stepper<'n, T>,
    pub(super) optimizer: Optimizer<T>,
    pub(super) full_batch: Option<FullBatch<T>>,
    pub(super) average: Average<T>,
    pub(super) pruning: Option<Pruning>,
    pub(super) early_stopping: EarlyStopping,
    pub(super) weight_change: Option<WeightChange<T>>,
    pub(super) plateau: ReduceOnPlateau,
    pub(super) best: BestEpoch,
    pub(super) history: Vec<EpochRecord>,
    pub(super) at: At,
    /// When training, and the epoch under way, were begun or taken up.
    pub(super) begin: Instant,
    pub(super) epoch_begin: Instant,
    /// Scratch for [`Training::in_use`]; empty where what is trained is what is used.
    pub(super) apart: Vec<T>,
}

impl<'n, T: Scalar + 'static> Training<'n, T> {
    /// A training that begins at `params`, of batches of up to `max_rows` out of `n_train` rows.
    pub(super) fn new(
        network: &'n Network,
        loss: Loss,
        level: CpuLevel,
        config: &Config,
        params: &[T],
        max_rows: usize,
        n_train: usize,
    ) -> Self {
        let optimizer = Optimizer::new(&config.optimizer, network.views());
        let is_apart = optimizer.keeps_other_weights() || network.trains_latent_weights();
        let takes_all = config.optimizer.name == OptimizerName::Lbfgs;
        let rate = config.optimizer.learning_rate;
        Self {
            params: Buffer::of(params, 0),
            kept: params.to_vec(),
            stepper: Stepper::new(network, loss, level, config.seed, max_rows, config.train.shard_rows)
                .with_settings(&config.train)
                .with_noise(&config.noise),
            optimizer,
            full_batch: takes_all.then(|| FullBatch::new(&config.optimizer, params)),
            average: Average::new(&config.average, params.len()),
            pruning: Pruning::new(&config.weights, network.views()),
            early_stopping: EarlyStopping::new(&config.early_stopping),
            weight_change: WeightChange::new(&config.early_stopping, network.views(), params),
            plateau: ReduceOnPlateau::new(&config.reduce_on_plateau),
            best: BestEpoch::default(),
            history: Vec::new(),
            at: At {
                n_train,
                epoch: 1,
                step: 0,
                updates: 0,
                n_done: 0,
                loss_sum: 0.0,
                weight_sum: 0.0,
                epoch_seconds: 0.0,
                steps: 0,
                rate,
                rate_now: rate,
                best_epoch: 0,
                initial_val_loss: f64::NAN,
                seconds: 0.0,
                ended: None,
            },
            begin: Instant::now(),
            epoch_begin: Instant::now(),
            apart: vec![T::ZERO; if is_apart { params.len() } else { 0 }],
        }
    }

    /// Prunes before an epoch if it is time; returns the share of zeros and whether it was the last time.
    pub(super) fn prune_before(&mut self, level: CpuLevel, epoch: usize) -> Option<(f64, bool)> {
        let pruning = self.pruning.as_mut()?;
        let masks = pruning.before_epoch(epoch, &self.params)?;
        let is_last = pruning.is_done_before(epoch);
        let optimizer = &mut self.optimizer;
        optimizer.prune(level, masks, &mut self.params);
        self.average.change(|mean| optimizer.mask(level, mean));
        // Weights from before, with fewer zeros, are no rivals to those from now on.
        self.best = BestEpoch::default();
        Some((optimizer.pruned_share(), is_last))
    }

    /// Learns from a batch, `x` (B×inputs) and its targets; returns its mean loss. Where that is not finite nothing has
    /// changed.
    pub(super) fn step(&mut self, x: &[T], targets: Targets<T>) -> f64 {
        let at = &mut self.at;
        let mean =
            self.stepper.step(at.steps, at.rate_now, &mut self.params, &mut self.optimizer, x, targets);
        at.steps = at.steps.wrapping_add(1);
        at.step += 1;
        at.n_done += targets.len();
        let weight = targets.total_weight();
        at.loss_sum += mean * weight;
        at.weight_sum += weight;
        mean
    }

    /// What follows a step: the optimiser's, where the last batch of an epoch ends a group early, and that of the average.
    pub(super) fn finish_step(&mut self, level: CpuLevel, is_last: bool) {
        if is_last {
            self.stepper.flush(self.at.rate_now, &mut self.params, &mut self.optimizer);
        }
        if !self.stepper.holds() {
            self.at.updates += 1;
            self.average.after_step(level, &self.params);
        }
    }

    /// Takes the record of an epoch into the history, and its weights if it is the best one so far.
    pub(super) fn look_at(
        &mut self,
        record: &mut EpochRecord,
        config: &Config,
        network: &Network,
        level: CpuLevel,
    ) {
        if self.best.observe(record.epoch, deciding(&config.checkpoint, record)) {
            record.best = true;
            self.at.best_epoch = record.epoch;
            let mut kept = std::mem::take(&mut self.kept);
            kept.copy_from_slice(self.in_use(network, level));
            self.kept = kept;
        }
        self.history.push(record.clone());
    }

    /// Asks the rules that watch training after an epoch, which may end it; returns the next learning rate and the
    /// reason, if it changes.
    pub(super) fn apply_rules(&mut self, record: &EpochRecord, config: &Config) -> Option<(f64, String)> {
        let still = self.weight_change.as_mut().and_then(|rule| rule.observe(&self.params));
        // While weights are being pruned no figure stands for the network that is to come out.
        let is_pruned = self.pruning.as_ref().is_none_or(|pruning| pruning.is_done_before(record.epoch));
        let ended = &mut self.at.ended;
        let why =
            still.filter(|_| is_pruned).or_else(|| out_of_time(config.train.max_seconds, record.seconds));
        *ended = ended.take().or(why);
        if is_pruned && let Some(why) = self.early_stopping.observe(record) {
            ended.get_or_insert(why);
            return None;
        }
        if !is_pruned && !self.plateau.is_planned() {
            return None;
        }
        // The steps of lbfgs have no rate to cut.
        if self.full_batch.is_some() { None } else { self.plateau.observe(record, self.at.rate) }
    }

    /// Seconds of training so far.
    pub(super) fn seconds(&self) -> f64 {
        self.at.seconds + self.begin.elapsed().as_secs_f64()
    }

    /// Training rows a second in the epoch under way.
    pub(super) fn rows_per_second(&self) -> f64 {
        self.at.n_done as f64 / (self.at.epoch_seconds + self.epoch_begin.elapsed().as_secs_f64())
    }

    /// The weights that are validated and kept: an average, schedule_free_adamw's x, or those that are trained; of
    /// latent ones the signs.
    pub(super) fn in_use(&mut self, network: &Network, level: CpuLevel) -> &[T] {
        let used = self.average.weights().unwrap_or(&self.params);
        if self.apart.is_empty() {
            return used;
        }
        write_in_use(network, level, &self.optimizer, &self.params, used, &mut self.apart);
        &self.apart
    }

    /// A copy of them.
    pub(super) fn copy_in_use(&self, network: &Network, level: CpuLevel) -> Params {
        let used = self.average.weights().unwrap_or(&self.params);
        let mut copy = used.to_vec();
        if !self.apart.is_empty() {
            write_in_use(network, level, &self.optimizer, &self.params, used, &mut copy);
        }
        Params::of(copy)
    }

    /// Copies everything into a checkpoint.
    pub(super) fn checkpoint(&self, about: Value, callback: Value) -> Checkpoint {
        let at = At {
            seconds: self.seconds(),
            epoch_seconds: if self.at.step == 0 {
                0.0
            } else {
                self.at.epoch_seconds + self.epoch_begin.elapsed().as_secs_f64()
            },
            ..self.at.clone()
        };
        let mut arrays = vec![("params".to_owned(), copy(&self.params)), ("kept".into(), copy(&self.kept))];
        let mut put = |name: &str, array: Array| arrays.push((name.to_owned(), array));
        for (name, moment) in MOMENTS.iter().zip(&self.optimizer.state) {
            if !moment.is_empty() {
                put(name, copy(moment));
            }
        }
        for (i, bytes) in self.optimizer.masks.bytes().enumerate() {
            put(&format!("mask.{i}"), Array::Bytes(bytes.to_vec()));
        }
        if self.stepper.holds() {
            put("held", copy(&self.stepper.held));
        }
        if self.average.n > 0 {
            put("average", copy(&self.average.mean));
        }
        if let Some(rule) = &self.weight_change {
            put("weight_change", copy(&rule.before));
        }
        let doubles = |numbers: Vec<f64>| Array::Numbers(Params::F64(numbers));
        put("early_stopping", doubles(self.early_stopping.recent.iter().copied().collect()));
        put("history", doubles(self.history.iter().flat_map(numbers_of).collect()));
        if let Some(full_batch) = &self.full_batch {
            let (value, step, inverses, vectors) = full_batch.solver.state();
            let is_known = f64::from(u8::from(value.is_some()));
            put("lbfgs", doubles([&[is_known, value.unwrap_or(0.0), step], &inverses[..]].concat()));
            put("lbfgs.vectors", doubles(vectors.concat()));
        }
        let metrics = self.history.first().map_or(&[][..], |record| &record.metrics);
        let state = State {
            at,
            counts: self.optimizer.counts.clone(),
            best: self.best.clone(),
            early_stopping: self.early_stopping.patience.clone(),
            plateau: self.plateau.patience.clone(),
            noisy_steps: self.stepper.gradient_noise.as_ref().map_or(0, |noise| noise.steps),
            n_averaged: self.average.n,
            held_batches: self.stepper.held_batches,
            held_weight: self.stepper.held_weight,
            metrics: metrics.iter().map(|(name, _)| name.clone()).collect(),
            callback,
        };
        Checkpoint { about, state, arrays }
    }

    /// Goes on where `from` was taken; returns what the callbacks need. What does not fit this network and its settings
    /// is told in words, and nothing is to be done with what is then half restored.
    pub(super) fn restore(&mut self, from: Checkpoint) -> Result<Value, String> {
        let n = self.params.len();
        self.params.copy_from_slice(from.numbers("params", n)?);
        self.kept.copy_from_slice(from.numbers("kept", n)?);
        for (name, moment) in MOMENTS.iter().zip(&mut self.optimizer.state) {
            if !moment.is_empty() {
                moment.copy_from_slice(from.numbers(name, n)?);
            }
        }
        if let Some(pruning) = &self.pruning {
            let mask = |(i, range): (usize, &std::ops::Range<usize>)| {
                let kept = from.bytes(&format!("mask.{i}"))?;
                (kept.len() == range.len()).then(|| (range.clone(), kept.to_vec()))
            };
            // None before the first cut.
            let masks: Option<Vec<_>> = pruning.layers.iter().enumerate().map(mask).collect();
            self.optimizer.masks = masks.map_or_else(Masks::default, Masks::of);
        }
        let state = &from.state;
        if state.held_batches > 0 {
            let held = &mut self.stepper.held;
            let n_held = held.len();
            held.copy_from_slice(from.numbers("held", n_held)?);
        }
        (self.stepper.held_batches, self.stepper.held_weight) = (state.held_batches, state.held_weight);
        if let Some(noise) = &mut self.stepper.gradient_noise {
            noise.steps = state.noisy_steps;
        }
        if state.n_averaged > 0 {
            let mean = &mut self.average.mean;
            let n_mean = mean.len();
            mean.copy_from_slice(from.numbers("average", n_mean)?);
        }
        self.average.n = state.n_averaged;
        if let Some(rule) = &mut self.weight_change {
            rule.before.copy_from_slice(from.numbers("weight_change", n)?);
        }
        let doubles = |name: &str| from.numbers::<f64>(name, from.n_doubles(name));
        self.early_stopping.recent = doubles("early_stopping")?.iter().copied().collect();
        let width = PLAIN + state.metrics.len();
        let history = doubles("history")?.chunks_exact(width);
        self.history = history.map(|numbers| record_of(numbers, &state.metrics)).collect();
        if let Some(full_batch) = &mut self.full_batch {
            let vectors: Vec<&[f64]> = doubles("lbfgs.vectors")?.chunks_exact(n.max(1)).collect();
            match doubles("lbfgs")? {
                [is_known, value, step, inverses @ ..] if vectors.len() == 2 + 2 * inverses.len() => {
                    let value = (*is_known != 0.0).then_some(*value);
                    full_batch.solver.restore(value, *step, inverses, &vectors);
                }
                _ => return Err("its `lbfgs` is not whole".into()),
            }
        }
        self.optimizer.counts = state.counts.clone();
        self.best = state.best.clone();
        self.early_stopping.patience = state.early_stopping.clone();
        self.plateau.patience = state.plateau.clone();
        self.at = state.at.clone();
        Ok(from.state.callback)
    }
}

/// Writes the weights to validate and keep to `to`, where they are others than `used`, those that are trained or their
/// average.
fn write_in_use<T: Scalar>(
    network: &Network,
    level: CpuLevel,
    optimizer: &Optimizer<T>,
    params: &[T],
    used: &[T],
    to: &mut [T],
) {
    if optimizer.keeps_other_weights() {
        optimizer.write_weights_to_use(params, to);
    } else {
        to.copy_from_slice(used);
    }
    network.write_weights_in_use(level, to);
}

fn copy<T: Scalar + 'static>(numbers: &[T]) -> Array {
    Array::Numbers(Params::of(numbers.to_vec()))
}

/// The numbers of a record: [`PLAIN`] and its metrics.
fn numbers_of(r: &EpochRecord) -> impl Iterator<Item = f64> {
    let plain = [
        r.epoch as f64,
        r.train_loss,
        r.val_loss,
        r.learning_rate,
        r.rows_per_second,
        r.seconds,
        f64::from(u8::from(r.best)),
    ];
    plain.into_iter().chain(r.metrics.iter().map(|(_, value)| *value))
}

fn record_of(numbers: &[f64], names: &[String]) -> EpochRecord {
    let (plain, metrics) = numbers.split_at(PLAIN);
    EpochRecord {
        epoch: plain[0] as usize,
        train_loss: plain[1],
        val_loss: plain[2],
        metrics: names.iter().cloned().zip(metrics.iter().copied()).collect(),
        learning_rate: plain[3],
        rows_per_second: plain[4],
        seconds: plain[5],
        best: plain[6] != 0.0,
    }
}
