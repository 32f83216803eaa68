//! One training step: a batch in, changed parameters out, the same bits on any number of threads.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use statera_kernels::{CpuLevel, Scalar, sum_of_squares};

use super::noise::{GradientNoise, WeightNoise};
use super::optimizer::Optimizer;
use crate::config::{NoiseConfig, TrainConfig};
use crate::nn::buffer::Buffer;
use crate::nn::{Loss, Mode, Network, Pass, Targets, Workspace};

/// The memory of a training step, planned once.
///
/// With t threads and s shards in the largest batch: t workspaces of one shard's rows, at most (8 + log₂ s)·t vectors
/// as long as the parameters, and for batch normalisation two numbers a feature and shard. So a batch of a million
/// rows takes hardly more than one of a few shards.
#[derive(Debug)]
pub struct Stepper<'n, T> {
    network: &'n Network,
    loss: Loss,
    level: CpuLevel,
    seed: u64,
    shard_rows: usize,
    /// Where threads compute, one each.
    desks: Vec<Mutex<Desk<T>>>,
    /// Where the parts of the tree leave their sums, a power of two; after a step that of all in the first.
    sums: Vec<Sum<T>>,
    /// What batch normalisation found in each shard.
    statistics: Vec<T>,
    /// Batches of one step of the optimiser.
    accumulate: usize,
    clip_value: f64,
    clip_norm: f64,
    /// Σ weight·gradient over the batches since the last step; empty where each batch makes a step.
    pub(super) held: Vec<T>,
    pub(super) held_weight: f64,
    pub(super) held_batches: usize,
    weight_noise: Option<WeightNoise<T>>,
    pub(super) gradient_noise: Option<GradientNoise<T>>,
    /// The first layer of the last step whose output was not finite.
    not_finite: Option<usize>,
}

/// Where one thread computes one shard after the other.
#[derive(Debug)]
struct Desk<T> {
    /// Without a gradient of its own: that of the sum at hand is lent to it.
    work: Workspace<T>,
    /// Sums that wait for those to their left, one for each level of a part of the tree.
    waiting: Vec<Sum<T>>,
}

/// Gradient and loss of some shards.
#[derive(Debug)]
struct Sum<T> {
    grads: Buffer<T>,
    loss: f64,
}

/// What all shards of a step share.
#[derive(Clone, Copy)]
struct Batch<'a, T> {
    network: &'a Network,
    desks: &'a [Mutex<Desk<T>>],
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
    /// Memory for batches of up to `max_rows` rows, cut into shards of at most `shard_rows` (of an ensemble: of its
    /// members together, see `Network::shard_rows`), for the threads of the pool that it is called in.
    pub fn new(
        network: &'n Network,
        loss: Loss,
        level: CpuLevel,
        seed: u64,
        max_rows: usize,
        shard_rows: usize,
    ) -> Self {
        let shard_rows = network.shard_rows(shard_rows);
        let n_shards = max_rows.div_ceil(shard_rows).max(1);
        // Asking for threads starts them where there are none yet: one shard needs none.
        let n_threads = if n_shards == 1 { 1 } else { rayon::current_num_threads() };
        // Several parts a thread, so that none waits long for the others; more threads than shards have nothing to do.
        let n_parts = if n_threads == 1 { 1 } else { (4 * n_threads).min(n_shards).next_power_of_two() };
        let depth = n_shards.div_ceil(n_parts).ilog2() as usize;
        let sum = |_| Sum { grads: Buffer::new(network.n_params(), 1), loss: 0.0 };
        let desk = |_| {
            // A smaller batch in fewer shards can have larger ones: up to `shard_rows`.
            let mut work = network.workspace(max_rows.min(shard_rows));
            work.grads = Buffer::new(0, 1);
            Mutex::new(Desk { work, waiting: (0..depth).map(sum).collect() })
        };
        Self {
            network,
            loss,
            level,
            seed,
            shard_rows,
            desks: (0..n_threads.min(n_shards)).map(desk).collect(),
            sums: (0..n_parts).map(sum).collect(),
            statistics: vec![T::ZERO; n_shards * network.n_statistics()],
            accumulate: 1,
            clip_value: 0.0,
            clip_norm: 0.0,
            held: Vec::new(),
            held_weight: 0.0,
            held_batches: 0,
            weight_noise: None,
            gradient_noise: None,
            not_finite: None,
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
        let weight = targets.total_weight();
        if weight == 0.0 {
            return 0.0;
        }
        if let Some(noise) = &mut self.weight_noise {
            noise.add(self.level, step, params);
            optimizer.mask(self.level, params);
        }
        let loss = self.compute(step, params, x, targets);
        if !loss.is_finite() {
            // While the weights are still those of the loss, noise and all.
            self.not_finite = self.first_non_finite_layer(step, params, x);
        }
        if let Some(noise) = &self.weight_noise {
            noise.take_away(params);
        }
        if loss.is_finite() {
            let n_shards = targets.len().div_ceil(self.shard_rows);
            let statistics = &self.statistics[..n_shards * self.network.n_statistics()];
            let grads = &mut self.sums[0].grads;
            self.network.absorb_statistics(self.level, params, statistics);
            if self.accumulate > 1 {
                T::combine(self.level, T::from_f64(weight), grads, T::ONE, &mut self.held);
                self.held_weight += weight;
                self.held_batches += 1;
                if self.held_batches == self.accumulate {
                    self.flush(rate, params, optimizer);
                }
            } else {
                optimizer.mask(self.level, grads);
                clip(self.network, self.clip_value, self.clip_norm, grads);
                if let Some(noise) = &mut self.gradient_noise {
                    noise.add(self.level, grads);
                    optimizer.mask(self.level, grads);
                }
                optimizer.step(self.level, rate, params, grads);
            }
        }
        loss
    }

    /// The loss of `x` (B×inputs) at `params`, the weighted mean of its rows, and its gradient, as a step has them
    /// before noise and clipping; nothing is changed. The gradient means nothing where the loss is not finite.
    pub fn gradient(&mut self, step: u32, params: &[T], x: &[T], targets: Targets<T>) -> (f64, &[T]) {
        let loss = self.compute(step, params, x, targets);
        (loss, &self.sums[0].grads)
    }

    /// Computes all shards; returns the loss, and leaves its gradient in the first of the sums.
    fn compute(&mut self, step: u32, params: &[T], x: &[T], targets: Targets<T>) -> f64 {
        let n_rows = targets.len();
        let n_shards = n_rows.div_ceil(self.shard_rows);
        let weight = targets.total_weight();
        let batch = Batch {
            network: self.network,
            desks: &self.desks,
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
        let statistics = &mut self.statistics[..n_shards * self.network.n_statistics()];
        batch.run(0..n_shards, &mut self.sums, statistics);
        let Sum { grads, loss } = &mut self.sums[0];
        let (loss, factor) = self.loss.of_mean(*loss / weight);
        if let (Some(factor), true) = (factor, loss.is_finite()) {
            grads.iter_mut().for_each(|g| *g *= T::from_f64(factor));
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
        optimizer.mask(self.level, &mut self.held);
        clip(self.network, self.clip_value, self.clip_norm, &mut self.held);
        if let Some(noise) = &mut self.gradient_noise {
            noise.add(self.level, &mut self.held);
            optimizer.mask(self.level, &mut self.held);
        }
        optimizer.step(self.level, rate, params, &self.held);
        self.held.fill(T::ZERO);
        (self.held_weight, self.held_batches) = (0.0, 0);
    }

    /// Whether batches are held that have not made a step yet.
    pub fn holds(&self) -> bool {
        self.held_batches > 0
    }

    /// The first layer whose output was not finite in the last step whose loss was not; none if it was the loss alone.
    pub fn not_finite(&self) -> Option<usize> {
        self.not_finite
    }

    /// The first layer whose output in training step number `step` on `x` (B×inputs) is not finite, in the first
    /// shard that has one; the shards are computed again for it.
    pub fn first_non_finite_layer(&mut self, step: u32, params: &[T], x: &[T]) -> Option<usize> {
        let n_inputs = self.network.n_inputs();
        let n_rows = x.len() / n_inputs;
        let n_shards = n_rows.div_ceil(self.shard_rows);
        let work = &mut self.desks[0].get_mut().unwrap_or_else(PoisonError::into_inner).work;
        (0..n_shards).find_map(|shard| {
            let rows = rows_of_shard(shard, n_shards, n_rows);
            let mode = Mode::Train { seed: self.seed, step, shard: shard as u32 };
            let pass = Pass { level: self.level, params, n_rows: rows.len(), mode };
            self.network.forward(&pass, &x[rows.start * n_inputs..rows.end * n_inputs], work);
            self.network.first_non_finite_layer(rows.len(), work)
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

/// Where a range of shards is cut in two.
fn middle(shards: &Range<usize>) -> usize {
    shards.start + shards.len().div_ceil(2)
}

impl<T: Scalar> Batch<'_, T> {
    /// Computes a range of shards; leaves the sum of their gradients and losses in the first of `sums`, and what batch
    /// normalisation found in each in `statistics`.
    ///
    /// The tree of sums is that of the shards alone; how much of it is a part, which one thread computes, is not to
    /// be seen in the bits.
    fn run(self, shards: Range<usize>, sums: &mut [Sum<T>], statistics: &mut [T]) {
        if sums.len() == 1 || shards.len() == 1 {
            let mut desk = self.free_desk();
            let Desk { work, waiting } = &mut *desk;
            self.run_part(shards, &mut sums[0], statistics, work, waiting);
            return;
        }
        let middle = middle(&shards);
        let (left, right) = sums.split_at_mut(sums.len() / 2);
        let (before, after) = statistics.split_at_mut((middle - shards.start) * self.network.n_statistics());
        rayon::join(
            || self.run(shards.start..middle, left, before),
            || self.run(middle..shards.end, right, after),
        );
        self.add(&right[0], &mut left[0]);
    }

    /// A desk that no other thread computes at: there are as many as threads.
    fn free_desk(&self) -> MutexGuard<'_, Desk<T>> {
        let own = rayon::current_thread_index().unwrap_or(0) % self.desks.len();
        let (before, after) = self.desks.split_at(own);
        let free = after.iter().chain(before).find_map(|desk| desk.try_lock().ok());
        free.unwrap_or_else(|| self.desks[own].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Computes a range of shards one by one into `sum`.
    fn run_part(
        self,
        shards: Range<usize>,
        sum: &mut Sum<T>,
        statistics: &mut [T],
        work: &mut Workspace<T>,
        waiting: &mut [Sum<T>],
    ) {
        if shards.len() == 1 {
            self.run_shard(shards.start, sum, statistics, work);
            return;
        }
        let middle = middle(&shards);
        let (before, after) = statistics.split_at_mut((middle - shards.start) * self.network.n_statistics());
        self.run_part(shards.start..middle, sum, before, work, waiting);
        if let [right, waiting @ ..] = waiting {
            self.run_part(middle..shards.end, right, after, work, waiting);
            self.add(right, sum);
        }
    }

    fn add(&self, right: &Sum<T>, left: &mut Sum<T>) {
        T::add_to(self.level, &right.grads, &mut left.grads);
        left.loss += right.loss;
    }

    fn run_shard(self, shard: usize, sum: &mut Sum<T>, statistics: &mut [T], work: &mut Workspace<T>) {
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
        std::mem::swap(&mut work.grads, &mut sum.grads);
        self.network.forward_backward(&pass, self.loss, x, targets, self.scale, false, work);
        std::mem::swap(&mut work.grads, &mut sum.grads);
        sum.loss = work.loss_sum;
        self.network.write_statistics(work, statistics);
    }
}
