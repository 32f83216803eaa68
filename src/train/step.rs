//! One training step: a batch in, changed parameters out, the same bits on any number of threads.

use std::ops::Range;

use statera_kernels::{CpuLevel, Scalar, sum_of_squares};

use super::noise::{GradientNoise, WeightNoise};
use super::optimizer::Optimizer;
use crate::config::{NoiseConfig, TrainConfig};
use crate::nn::{Loss, Mode, Network, Pass, Targets, Workspace};

/// The memory of a training step, planned once: one workspace a shard.
#[derive(Debug)]
pub struct Stepper<'n, T> {
    network: &'n Network,
    loss: Loss,
    level: CpuLevel,
    seed: u64,
    shard_rows: usize,
    shards: Vec<Workspace<T>>,
    /// Batches of one step of the optimiser.
    accumulate: usize,
    clip_value: f64,
    clip_norm: f64,
    /// Σ weight·gradient over the batches since the last step; empty where each batch makes a step.
    held: Vec<T>,
    held_weight: f64,
    held_batches: usize,
    weight_noise: Option<WeightNoise<T>>,
    gradient_noise: Option<GradientNoise<T>>,
}

/// What all shards of a step share.
#[derive(Clone, Copy)]
struct Batch<'a, T> {
    network: &'a Network,
    loss: Loss,
    level: CpuLevel,
    params: &'a [T],
    seed: u64,
    step: u32,
    x: &'a [T],
    targets: Targets<'a, T>,
    n_rows: usize,
    n_shards: usize,
    scale: T,
}

impl<'n, T: Scalar> Stepper<'n, T> {
    /// Memory for batches of up to `max_rows` rows, cut into shards of at most `shard_rows`.
    pub fn new(
        network: &'n Network,
        loss: Loss,
        level: CpuLevel,
        seed: u64,
        max_rows: usize,
        shard_rows: usize,
    ) -> Self {
        let n_shards = max_rows.div_ceil(shard_rows).max(1);
        // A smaller batch in fewer shards can have larger ones: up to `shard_rows`.
        let shards = (0..n_shards).map(|_| network.workspace(max_rows.min(shard_rows))).collect();
        Self {
            network,
            loss,
            level,
            seed,
            shard_rows,
            shards,
            accumulate: 1,
            clip_value: 0.0,
            clip_norm: 0.0,
            held: Vec::new(),
            held_weight: 0.0,
            held_batches: 0,
            weight_noise: None,
            gradient_noise: None,
        }
    }

    /// The same with `accumulate`, `clip_value` and `clip_norm` of the settings.
    pub fn with_settings(mut self, settings: &TrainConfig) -> Self {
        self.accumulate = settings.accumulate;
        (self.clip_value, self.clip_norm) = (settings.clip_value, settings.clip_norm);
        let n_held = if settings.accumulate > 1 { self.network.n_params() } else { 0 };
        self.held = vec![T::ZERO; n_held];
        self
    }

    /// The same with noise on weights and on gradients.
    pub fn with_noise(mut self, settings: &NoiseConfig) -> Self {
        self.weight_noise = WeightNoise::new(settings.weights, self.seed, self.network.views());
        self.gradient_noise = GradientNoise::new(settings.gradients, self.seed, self.network.n_params());
        self
    }

    /// Makes training step number `step` on `x` (B×inputs); returns the loss of the rows, their weighted mean.
    ///
    /// The batch is cut evenly into shards; one thread computes a shard; gradients are summed along a fixed
    /// binary tree over the shards. When the loss is not finite, nothing is changed; nor is it when the weights of
    /// the rows are all zero, whose loss is 0. Where gradients are
    /// accumulated, the optimiser makes its step with the last batch of each group, see [`Stepper::flush`].
    pub fn step(
        &mut self,
        step: u32,
        rate: f64,
        params: &mut [T],
        optimizer: &mut Optimizer<T>,
        x: &[T],
        targets: Targets<T>,
    ) -> f64 {
        let n_rows = targets.len();
        let n_shards = n_rows.div_ceil(self.shard_rows);
        let weight = targets.total_weight();
        if weight == 0.0 {
            return 0.0;
        }
        if let Some(noise) = &mut self.weight_noise {
            noise.add(self.level, step, params);
        }
        let batch = Batch {
            network: self.network,
            loss: self.loss,
            level: self.level,
            params,
            seed: self.seed,
            step,
            x,
            targets,
            n_rows,
            n_shards,
            scale: T::from_f64(1.0 / weight),
        };
        let shards = &mut self.shards[..n_shards];
        batch.run(0, shards);
        if let Some(noise) = &self.weight_noise {
            noise.take_away(params);
        }
        let (loss, factor) = self.loss.of_mean(shards[0].loss_sum / weight);
        if loss.is_finite() {
            if let Some(factor) = factor {
                shards[0].grads.iter_mut().for_each(|g| *g *= T::from_f64(factor));
            }
            self.network.absorb_statistics(self.level, params, shards);
            if self.accumulate > 1 {
                T::combine(self.level, T::from_f64(weight), &shards[0].grads, T::ONE, &mut self.held);
                self.held_weight += weight;
                self.held_batches += 1;
                if self.held_batches == self.accumulate {
                    self.flush(rate, params, optimizer);
                }
            } else {
                let grads = &mut self.shards[0].grads;
                clip(self.network, self.clip_value, self.clip_norm, grads);
                if let Some(noise) = &mut self.gradient_noise {
                    noise.add(self.level, grads);
                }
                optimizer.step(self.level, rate, params, grads);
            }
        }
        loss
    }

    /// Makes the step of the batches that are held, if there are any: the mean of their gradients over all of their
    /// rows, each by its weight, is that of one batch of all these rows (but for `rmse`, a root of each batch's own).
    pub fn flush(&mut self, rate: f64, params: &mut [T], optimizer: &mut Optimizer<T>) {
        if self.held_batches == 0 {
            return;
        }
        let share = T::from_f64(1.0 / self.held_weight);
        self.held.iter_mut().for_each(|g| *g *= share);
        clip(self.network, self.clip_value, self.clip_norm, &mut self.held);
        if let Some(noise) = &mut self.gradient_noise {
            noise.add(self.level, &mut self.held);
        }
        optimizer.step(self.level, rate, params, &self.held);
        self.held.fill(T::ZERO);
        (self.held_weight, self.held_batches) = (0.0, 0);
    }

    /// Whether batches are held that have not made a step yet.
    pub fn holds(&self) -> bool {
        self.held_batches > 0
    }

    /// The first layer whose output in the last step of `n_rows` rows was not finite.
    pub fn first_non_finite_layer(&self, n_rows: usize) -> Option<usize> {
        let n_shards = n_rows.div_ceil(self.shard_rows);
        let mut shards = self.shards[..n_shards].iter().enumerate();
        shards.find_map(|(shard, work)| {
            self.network.first_non_finite_layer(rows_of_shard(shard, n_shards, n_rows).len(), work)
        })
    }
}

/// Cuts each number of the gradient to ±`value`, then shortens the whole to the length `norm`; 0 does neither.
///
/// The length is that of all trained parameters together: g ← g · norm / |g| where |g| > norm (Pascanu, Mikolov &
/// Bengio 2013, algorithm 1). Its squares are summed in one order, in double precision.
fn clip<T: Scalar>(network: &Network, value: f64, norm: f64, grads: &mut [T]) {
    let trainable = || network.views().iter().filter(|view| view.trainable);
    if value > 0.0 {
        let (low, high) = (T::from_f64(-value), T::from_f64(value));
        for view in trainable() {
            grads[view.range()].iter_mut().for_each(|g| *g = g.at_least(low).at_most(high));
        }
    }
    if norm > 0.0 {
        let length = trainable().map(|view| sum_of_squares(&grads[view.range()])).sum::<f64>().sqrt();
        if length > norm {
            let share = T::from_f64(norm / length);
            for view in trainable() {
                grads[view.range()].iter_mut().for_each(|g| *g *= share);
            }
        }
    }
}

/// The rows of a batch that belong to a shard: the batch is cut evenly.
fn rows_of_shard(shard: usize, n_shards: usize, n_rows: usize) -> Range<usize> {
    let bound = |shard: usize| shard * n_rows / n_shards;
    bound(shard)..bound(shard + 1)
}

impl<T: Scalar> Batch<'_, T> {
    /// Computes `shards`, the first of which has the number `first`; leaves the sums of their gradients and
    /// losses in the first of them.
    fn run(self, first: usize, shards: &mut [Workspace<T>]) {
        if let [work] = shards {
            self.run_shard(first, work);
            return;
        }
        let middle = shards.len().div_ceil(2);
        let (left, right) = shards.split_at_mut(middle);
        rayon::join(|| self.run(first, left), || self.run(first + middle, right));
        T::add_to(self.level, &right[0].grads, &mut left[0].grads);
        left[0].loss_sum += right[0].loss_sum;
    }

    fn run_shard(self, shard: usize, work: &mut Workspace<T>) {
        let rows = rows_of_shard(shard, self.n_shards, self.n_rows);
        let n_inputs = self.network.n_inputs();
        let pass = Pass {
            level: self.level,
            params: self.params,
            n_rows: rows.len(),
            mode: Mode::Train { seed: self.seed, step: self.step, shard: shard as u32 },
        };
        let x = &self.x[rows.start * n_inputs..rows.end * n_inputs];
        let targets = self.targets.slice(rows);
        self.network.forward_backward(&pass, self.loss, x, targets, self.scale, false, work);
    }
}
