//! The fit loop: epochs of shuffled batches, watched on validation rows, the best weights kept.

use std::time::{Duration, Instant};

use statera_kernels::{CpuLevel, Scalar};

use super::average::Average;
use super::callbacks::{BestEpoch, EarlyStopping, ReduceOnPlateau, monitored};
use super::events::{Answer, EpochRecord, Event, Listener};
use super::optimizer::Optimizer;
use super::schedule::Schedule;
use super::start::start;
use super::step::Stepper;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::nn::buffer::Buffer;
use crate::nn::{Loss, Network, Targets, Workspace};
use crate::random::{Purpose, Stream};

/// Prepared rows: inputs (rows×inputs) and what the outputs are compared with.
#[derive(Debug, Clone)]
pub struct Rows<T> {
    /// Row after row.
    pub x: Vec<T>,
    /// As many as there are rows.
    pub targets: OwnedTargets<T>,
}

/// [`Targets`] that own their numbers.
#[derive(Debug, Clone)]
pub enum OwnedTargets<T> {
    /// Scaled numbers.
    Values(Vec<T>),
    /// Class indices.
    Classes(Vec<u32>),
    /// Scaled numbers and the weights of the rows.
    WeightedValues(Vec<T>, Vec<T>),
    /// Class indices and the weights of the rows.
    WeightedClasses(Vec<u32>, Vec<T>),
}

impl<T: Scalar> OwnedTargets<T> {
    /// The same numbers, borrowed.
    pub fn view(&self) -> Targets<'_, T> {
        match self {
            Self::Values(values) => Targets::Values(values),
            Self::Classes(classes) => Targets::Classes(classes),
            Self::WeightedValues(values, weights) => Targets::WeightedValues(values, weights),
            Self::WeightedClasses(classes, weights) => Targets::WeightedClasses(classes, weights),
        }
    }

    fn like(&self, n_rows: usize) -> Self {
        let zeros = || vec![T::ZERO; n_rows];
        match self {
            Self::Values(_) => Self::Values(zeros()),
            Self::Classes(_) => Self::Classes(vec![0; n_rows]),
            Self::WeightedValues(..) => Self::WeightedValues(zeros(), zeros()),
            Self::WeightedClasses(..) => Self::WeightedClasses(vec![0; n_rows], zeros()),
        }
    }

    /// The same targets, each row counting by its weight.
    #[must_use]
    pub fn weighted(self, weights: Vec<T>) -> Self {
        match self {
            Self::Values(values) | Self::WeightedValues(values, _) => Self::WeightedValues(values, weights),
            Self::Classes(classes) | Self::WeightedClasses(classes, _) => {
                Self::WeightedClasses(classes, weights)
            }
        }
    }
}

impl<T: Scalar> Rows<T> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.targets.view().len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory for a batch of `n_rows` of these rows.
    fn batch(&self, n_rows: usize, n_inputs: usize) -> Self {
        Self { x: vec![T::ZERO; n_rows * n_inputs], targets: self.targets.like(n_rows) }
    }

    /// The rows numbered `order`, each with `n_inputs` inputs.
    #[must_use]
    pub fn picked(&self, order: &[u32], n_inputs: usize) -> Self {
        let mut batch = self.batch(order.len(), n_inputs);
        self.gather(order, n_inputs, &mut batch);
        batch
    }

    /// Copies the rows numbered `order` into the front of `batch`.
    fn gather(&self, order: &[u32], n_inputs: usize, batch: &mut Self) {
        for (to, &row) in batch.x.chunks_exact_mut(n_inputs).zip(order) {
            let from = row as usize * n_inputs;
            to.copy_from_slice(&self.x[from..from + n_inputs]);
        }
        match (&self.targets, &mut batch.targets) {
            (OwnedTargets::Values(from), OwnedTargets::Values(to)) => pick(from, order, to),
            (OwnedTargets::Classes(from), OwnedTargets::Classes(to)) => pick(from, order, to),
            (OwnedTargets::WeightedValues(from, w), OwnedTargets::WeightedValues(to, weights)) => {
                pick(from, order, to);
                pick(w, order, weights);
            }
            (OwnedTargets::WeightedClasses(from, w), OwnedTargets::WeightedClasses(to, weights)) => {
                pick(from, order, to);
                pick(w, order, weights);
            }
            _ => unreachable!("a batch is made like its rows"),
        }
    }
}

fn pick<V: Copy>(from: &[V], order: &[u32], to: &mut [V]) {
    to.iter_mut().zip(order).for_each(|(to, &row)| *to = from[row as usize]);
}

/// What training left behind.
#[derive(Debug, Clone)]
pub struct Fitted<T> {
    /// The parameters of the best epoch (or of the last, if `checkpoint.restore_best` is off and the loss stayed
    /// finite).
    pub params: Vec<T>,
    /// The epoch they are of, from 1 on.
    pub best_epoch: usize,
    /// Every epoch.
    pub history: Vec<EpochRecord>,
    /// Why training ended.
    pub reason: String,
    /// Seconds from the first step on.
    pub seconds: f64,
}

/// Where batches end: every `batch_size` rows; a last batch of one row is joined to the one before, because
/// batch normalisation learns nothing from a single row.
fn batch_bounds(n_rows: usize, batch_size: usize) -> Vec<usize> {
    let mut bounds: Vec<usize> = (0..n_rows).step_by(batch_size).skip(1).collect();
    if bounds.last().is_some_and(|&last| n_rows - last == 1 && batch_size > 1) {
        bounds.pop();
    }
    bounds.push(n_rows);
    bounds
}

/// Trains `network` on `train`, watching `val`.
///
/// `target_std` is what the outputs are multiplied by to be in the target's own units (1 for classes).
/// The listener hears every event and may stop training. Fails when the loss is not finite before any epoch
/// is done; later, the best weights are kept and the reason is told.
pub fn fit<T: Scalar>(
    network: &Network,
    loss: Loss,
    level: CpuLevel,
    config: &Config,
    train: &Rows<T>,
    val: &Rows<T>,
    target_std: f64,
    listener: &mut Listener,
) -> Result<Fitted<T>> {
    let (n_train, n_inputs, seed) = (train.len(), network.n_inputs(), config.seed);
    let batch_size = config.train.batch_size.min(n_train);
    let bounds = batch_bounds(n_train, batch_size);
    let mut params = Buffer::of(&start(network, level, seed, train), 0);
    let mut kept = params.to_vec();
    let mut optimizer = Optimizer::new(&config.optimizer, network.views());
    let max_rows = batch_size + 1;
    let mut stepper = Stepper::new(network, loss, level, seed, max_rows, config.train.shard_rows)
        .with_settings(&config.train);
    let updates_per_epoch = bounds.len().div_ceil(config.train.accumulate);
    let schedule = Schedule::new(&config.schedule, config.train.epochs, updates_per_epoch);
    let mut average = Average::new(&config.average, params.len());
    // What is validated and kept where that is not what is trained.
    let mut apart = vec![T::ZERO; if optimizer.keeps_other_weights() { params.len() } else { 0 }];
    let mut batch = train.batch(max_rows, n_inputs);
    let mut watch = Watch::new(network, loss, level, val, target_std);
    let mut order: Vec<u32> = (0..n_train as u32).collect();

    let mut early_stopping = EarlyStopping::new(&config.early_stopping);
    let mut plateau = ReduceOnPlateau::new(&config.reduce_on_plateau);
    let (mut best, mut diverges) = (BestEpoch::default(), false);
    let mut rate = config.optimizer.learning_rate;
    let mut history: Vec<EpochRecord> = Vec::new();
    let mut reason = format!("all {} epochs are done", config.train.epochs);
    let begin = Instant::now();
    let (mut steps, mut updates) = (0_u32, 0_usize);
    let mut last_progress = begin;

    let mut stop = match listener(&Event::Started {
        n_train,
        n_val: val.len(),
        n_params: network.n_params(),
        epochs: config.train.epochs,
        steps_per_epoch: bounds.len(),
    }) {
        Answer::GoOn => None,
        Answer::Stop(why) => Some(why),
    };
    'epochs: for epoch in 1..=config.train.epochs {
        if stop.is_some() {
            break;
        }
        let epoch_begin = Instant::now();
        if config.train.shuffle {
            // From the same order every time: an epoch's order follows from seed and epoch alone.
            order.iter_mut().enumerate().for_each(|(i, row)| *row = i as u32);
            Stream::new(seed, Purpose::Shuffle, epoch as u32).shuffle(&mut order);
        }
        let (mut first, mut loss_sum, mut weight_sum) = (0, 0.0, 0.0);
        let mut rate_now = rate;
        for (step, &end) in bounds.iter().enumerate() {
            let n_rows = end - first;
            train.gather(&order[first..end], n_inputs, &mut batch);
            let targets = batch.targets.view().slice(0..n_rows);
            rate_now = rate * schedule.factor(updates);
            let mean = stepper.step(
                steps,
                rate_now,
                &mut params,
                &mut optimizer,
                &batch.x[..n_rows * n_inputs],
                targets,
            );
            steps = steps.wrapping_add(1);
            first = end;
            let weight = targets.total_weight();
            (loss_sum, weight_sum) = (loss_sum + mean * weight, weight_sum + weight);
            if !mean.is_finite() {
                let x = &batch.x[..n_rows * n_inputs];
                let layer = stepper.first_non_finite_layer(steps.wrapping_sub(1), &params, x);
                let event = diverged(network, layer, epoch, step + 1, rate);
                listener(&event);
                if history.is_empty() {
                    return Err(divergence_error(&event));
                }
                reason = divergence_reason(&event);
                diverges = true;
                break 'epochs;
            }
            if step + 1 == bounds.len() {
                // The last group of an epoch may be a smaller one.
                stepper.flush(rate_now, &mut params, &mut optimizer);
            }
            if !stepper.holds() {
                updates += 1;
                average.after_step(level, &params);
            }
            if last_progress.elapsed() > Duration::from_millis(100) {
                last_progress = Instant::now();
                let answer = listener(&Event::Progress {
                    epoch,
                    step: step + 1,
                    train_loss: loss_sum / weight_sum,
                    rows_per_second: first as f64 / epoch_begin.elapsed().as_secs_f64(),
                });
                if let Answer::Stop(why) = answer {
                    stop = Some(why);
                    // A first epoch that is cut short still leaves weights to keep.
                    if !history.is_empty() {
                        break 'epochs;
                    }
                    break;
                }
            }
        }
        let rows_per_second = first as f64 / epoch_begin.elapsed().as_secs_f64();
        average.after_epoch(level, epoch, &params);
        let used = weights_to_use(&params, &optimizer, &average, &mut apart);
        let (val_loss, metrics) = watch.look(used);
        let mut record = EpochRecord {
            epoch,
            train_loss: loss_sum / weight_sum,
            val_loss,
            metrics,
            learning_rate: rate_now,
            rows_per_second,
            seconds: begin.elapsed().as_secs_f64(),
            best: false,
        };
        if best.observe(epoch, monitored(config.checkpoint.monitor, &record)) {
            record.best = true;
            kept.copy_from_slice(used);
        }
        history.push(record.clone());
        if let Answer::Stop(why) = listener(&Event::Epoch(record.clone())) {
            stop = Some(why);
        }
        if let Some(why) = early_stopping.observe(&record) {
            stop.get_or_insert(why);
        } else if let Some((to, why)) = plateau.observe(&record, rate) {
            listener(&Event::LearningRateReduced { epoch, from: rate, to, reason: why });
            rate = to;
        }
    }
    if let Some(why) = stop {
        reason = why;
    }
    let epochs_run = history.len();
    let seconds = begin.elapsed().as_secs_f64();
    if epochs_run == 0 {
        return Err(Error::training(
            format!("no epoch was trained: {reason}"),
            "set train.epochs to 1 or more",
        ));
    }
    let mut best_epoch = best.epoch();
    // Steps before numbers ceased to be finite leave weights that nobody wants.
    if !config.checkpoint.restore_best && !diverges {
        kept.copy_from_slice(weights_to_use(&params, &optimizer, &average, &mut apart));
        best_epoch = epochs_run;
    }
    listener(&Event::Finished { reason: reason.clone(), best_epoch, epochs_run, seconds });
    Ok(Fitted { params: kept, best_epoch, history, reason, seconds })
}

/// The weights that are validated and kept: an average, schedule_free_adamw's x, or those that are trained.
fn weights_to_use<'a, T: Scalar>(
    params: &'a [T],
    optimizer: &Optimizer<T>,
    average: &'a Average<T>,
    apart: &'a mut [T],
) -> &'a [T] {
    if optimizer.keeps_other_weights() {
        optimizer.write_weights_to_use(params, apart);
        return apart;
    }
    average.weights().unwrap_or(params)
}

fn diverged(network: &Network, layer: Option<usize>, epoch: usize, step: usize, rate: f64) -> Event {
    let named = |i: usize| format!("{} ({})", network.layer_name(i), network.layers()[i].kind());
    let layer = layer.map_or("the loss".into(), named);
    Event::Diverged { epoch, step, layer, suggested_learning_rate: rate / 10.0 }
}

fn divergence_reason(event: &Event) -> String {
    match event {
        Event::Diverged { epoch, step, layer, .. } => {
            format!(
                "the loss is not finite in epoch {epoch}, step {step}; the first numbers that are not finite come out of {layer}"
            )
        }
        _ => String::new(),
    }
}

fn divergence_error(event: &Event) -> Error {
    let rate = match event {
        Event::Diverged { suggested_learning_rate, .. } => *suggested_learning_rate,
        _ => 1e-3,
    };
    Error::training(divergence_reason(event), format!("--set optimizer.learning_rate={rate:e}"))
}

/// Looks at the validation rows, in memory planned once.
struct Watch<'a, T> {
    network: &'a Network,
    loss: Loss,
    level: CpuLevel,
    val: &'a Rows<T>,
    target_std: f64,
    works: Vec<Workspace<T>>,
    outputs: Vec<T>,
    unused_gradient: Vec<T>,
}

impl<'a, T: Scalar> Watch<'a, T> {
    fn new(network: &'a Network, loss: Loss, level: CpuLevel, val: &'a Rows<T>, target_std: f64) -> Self {
        let n = val.len() * network.n_outputs();
        let works = network.inference_workspaces(val.len(), val.len().clamp(1, 256));
        let zeros = || vec![T::ZERO; n];
        let loss = loss.without_smoothing();
        Self { network, loss, level, val, target_std, works, outputs: zeros(), unused_gradient: zeros() }
    }

    /// The loss of the validation rows, weighted and without label smoothing, and their metrics, unweighted; of an
    /// ensemble, those of its mean prediction.
    fn look(&mut self, params: &[T]) -> (f64, Vec<(String, f64)>) {
        let n_rows = self.val.len() as f64;
        let (x, outputs) = (&self.val.x, &mut self.outputs);
        self.network.raw_outputs_on_threads(self.level, params, self.loss, x, &mut self.works, outputs);
        let targets = self.val.targets.view();
        let sum = self.loss.forward_backward(&self.outputs, targets, T::ONE, &mut self.unused_gradient);
        let metrics = match targets.parted().0 {
            Targets::Values(truth) | Targets::WeightedValues(truth, _) => {
                self.loss.predict(&mut self.outputs, self.network.n_outputs());
                let errors = || self.outputs.iter().zip(truth).map(|(y, t)| (*y - *t).to_f64());
                let mse = errors().map(|e| e * e).sum::<f64>() / n_rows;
                let mae = errors().map(f64::abs).sum::<f64>() / n_rows;
                vec![
                    ("val_rmse".to_owned(), mse.sqrt() * self.target_std),
                    ("val_mae".to_owned(), mae * self.target_std),
                ]
            }
            Targets::Classes(truth) | Targets::WeightedClasses(truth, _) => {
                let rows = self.outputs.chunks_exact(self.network.n_outputs()).zip(truth);
                let right = rows.filter(|(logits, class)| decided_class(logits) == **class).count();
                vec![("val_accuracy".to_owned(), right as f64 / n_rows)]
            }
        };
        (self.loss.of_mean(sum / targets.total_weight()).0, metrics)
    }
}

/// The class that logits decide for: the sign of the only one, or the first largest of several.
fn decided_class<T: Scalar>(logits: &[T]) -> u32 {
    if let [z] = logits {
        return u32::from(*z >= T::ZERO);
    }
    let mut largest = 0;
    for (i, z) in logits.iter().enumerate() {
        if *z > logits[largest] {
            largest = i;
        }
    }
    largest as u32
}

#[cfg(test)]
mod tests {
    use super::batch_bounds;

    #[test]
    fn a_single_last_row_joins_the_batch_before() {
        assert_eq!(batch_bounds(64, 32), [32, 64]);
        assert_eq!(batch_bounds(66, 32), [32, 64, 66]);
        assert_eq!(batch_bounds(65, 32), [32, 65]);
        assert_eq!(batch_bounds(3, 1), [1, 2, 3]);
        assert_eq!(batch_bounds(5, 32), [5]);
    }
}
