//! The fit loop: epochs of shuffled batches, watched on validation rows, the best weights kept.

use std::time::{Duration, Instant};

use statera_kernels::{CpuLevel, Scalar};

use super::astray::{Instead, grown, instead, named};
use super::augment::Augment;
use super::average::Average;
use super::awake::while_running;
use super::callbacks::{BestEpoch, EarlyStopping, ReduceOnPlateau, WeightChange, monitored, out_of_time};
use super::curriculum::Curriculum;
use super::events::{Answer, EpochRecord, Event, Listener};
use super::full_batch::FullBatch;
use super::noise::LabelNoise;
use super::optimizer::Optimizer;
use super::prune::Pruning;
pub use super::rows::{OwnedTargets, RowFacts, Rows};
use super::schedule::Schedule;
use super::source::{Feed, Source};
use super::start::start;
use super::step::Stepper;
use super::watch::Watch;
use super::windows::Windows;
use crate::config::{Config, CurriculumBy, OptimizerName};
use crate::data::TargetScaler;
use crate::error::{Error, Result};
use crate::nn::buffer::Buffer;
use crate::nn::{Loss, Network};
use crate::random::{Purpose, Stream};

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

/// Writes where batches end to `bounds`: every `batch_size` rows; a last batch of one row is joined to the one before,
/// because batch normalisation learns nothing from a single row.
pub(super) fn bound_batches(n_rows: usize, batch_size: usize, bounds: &mut Vec<usize>) {
    bounds.clear();
    bounds.extend((0..n_rows).step_by(batch_size).skip(1));
    if bounds.last().is_some_and(|&last| n_rows - last == 1 && batch_size > 1) {
        bounds.pop();
    }
    bounds.push(n_rows);
}

/// How many batches [`bound_batches`] makes.
fn count_batches(n_rows: usize, batch_size: usize) -> usize {
    let joins = n_rows % batch_size == 1 && batch_size > 1 && n_rows > 1;
    n_rows.div_ceil(batch_size) - usize::from(joins)
}

/// Rows that a step looks at: those of a batch, or all where the optimiser takes all.
fn rows_of_a_batch(config: &Config, n_train: usize) -> usize {
    match config.optimizer.name {
        OptimizerName::Lbfgs => n_train,
        _ => config.train.batch_size.min(n_train),
    }
}

/// Trains `network` on `train`, watching `val`.
///
/// Rows of a file are learned from [window by window](Windows), and so are rows in memory where they are too many for
/// one: the result is the same to the bit.
///
/// `facts` is what some settings ask of the training rows besides, and may be empty for others. `unit` brings
/// the outputs to the target's own units (the identity for classes).
/// The listener hears every event and may stop training. Fails when the loss is not finite before any epoch
/// is done; later, the best weights are kept and the reason is told.
///
/// Where a batch is cut into shards, all threads of the pool stay awake until training ends.
pub fn fit<'a, T: Scalar + 'static>(
    network: &Network,
    loss: Loss,
    level: CpuLevel,
    config: &Config,
    train: impl Into<Source<'a, T>>,
    facts: &RowFacts,
    val: impl Into<Source<'a, T>>,
    unit: &TargetScaler,
    listener: &mut Listener,
) -> Result<Fitted<T>> {
    let (train, val): (Source<T>, Source<T>) = (train.into(), val.into());
    let shares = rows_of_a_batch(config, train.len()) > network.shard_rows(config.train.shard_rows);
    while_running(shares, || fit_awake(network, loss, level, config, train, facts, val, unit, listener))
}

/// The same on the threads that are awake.
fn fit_awake<T: Scalar + 'static>(
    network: &Network,
    loss: Loss,
    level: CpuLevel,
    config: &Config,
    train: Source<T>,
    facts: &RowFacts,
    val: Source<T>,
    unit: &TargetScaler,
    listener: &mut Listener,
) -> Result<Fitted<T>> {
    let (n_train, n_inputs, seed) = (train.len(), network.n_inputs(), config.seed);
    let takes_all = config.optimizer.name == OptimizerName::Lbfgs;
    check_source(&train, config)?;
    let batch_size = rows_of_a_batch(config, n_train);
    // What looks at all rows takes them in one window; the others may be too many for it.
    let by_curriculum = config.curriculum.by != CurriculumBy::None;
    let windows = if takes_all || by_curriculum || config.noise.labels > 0.0 {
        Windows::single(n_train)
    } else {
        Windows::new(n_train, n_inputs, batch_size)
    };
    let mut bounds = Vec::with_capacity(windows.max_rows() / batch_size + 1);
    let steps_per_epoch = count_batches(n_train, batch_size);
    let mut params = Buffer::of(&start(network, level, seed, train)?, 0);
    let mut kept = params.to_vec();
    let mut optimizer = Optimizer::new(&config.optimizer, network.views());
    let mut full_batch = takes_all.then(|| FullBatch::new(&config.optimizer, &params));
    let max_rows = batch_size + 1;
    let mut stepper = Stepper::new(network, loss, level, seed, max_rows, config.train.shard_rows)
        .with_settings(&config.train)
        .with_noise(&config.noise);
    let updates_per_epoch = steps_per_epoch.div_ceil(config.train.accumulate);
    let schedule = Schedule::new(&config.schedule, config.train.epochs, updates_per_epoch);
    let mut average = Average::new(&config.average, params.len());
    let mut pruning = Pruning::new(&config.weights, network.views());
    // What is validated and kept where that is not what is trained.
    let is_apart = optimizer.keeps_other_weights() || network.trains_latent_weights();
    let mut apart = vec![T::ZERO; if is_apart { params.len() } else { 0 }];
    // Rows that are all taken as they are need no place of their own.
    let gathered = if takes_all { 1 } else { max_rows };
    let mut augment = Augment::new(&config.augment, seed, &facts.numeric_inputs, gathered);
    let n_outputs = network.n_outputs();
    let mut label_noise = match train {
        Source::Memory(rows) => LabelNoise::new(config.noise.labels, seed, loss, n_outputs, &rows.targets),
        Source::File(_) => None,
    };
    let mut batch = train.batch(gathered, n_inputs, augment.mixes());
    let mut watch = Watch::new(network, loss, level, val, unit)?;
    if network.trains_latent_weights() {
        network.write_weights_in_use(level, &mut kept);
    }
    let initial_val_loss = watch.look(&kept)?.0;
    let mut order: Vec<u32> = Vec::with_capacity(windows.max_rows());
    let mut groups = Vec::new();
    let mut feed = Feed::new(train, &windows, seed, config.train.shuffle, config.train.epochs)?;
    let curriculum = Curriculum::new(&config.curriculum, &facts.difficulty, batch_size);

    let mut early_stopping = EarlyStopping::new(&config.early_stopping);
    let mut weight_change = WeightChange::new(&config.early_stopping, network.views(), &params);
    let mut plateau = ReduceOnPlateau::new(&config.reduce_on_plateau);
    let (mut best, mut best_epoch, mut diverges) = (BestEpoch::default(), 0, false);
    let mut rate = config.optimizer.learning_rate;
    let mut history: Vec<EpochRecord> = Vec::new();
    let mut reason = format!("all {} epochs are done", config.train.epochs);
    let begin = Instant::now();
    let mut steps = 0_u32;
    let mut last_progress = begin;

    let mut stop = match listener(&Event::Started {
        n_train,
        n_val: val.len(),
        n_params: network.n_params(),
        epochs: config.train.epochs,
        steps_per_epoch,
    }) {
        Answer::GoOn => None,
        Answer::Stop(why) => Some(why),
    };
    'epochs: for epoch in 1..=config.train.epochs {
        if stop.is_some() {
            break;
        }
        let epoch_begin = Instant::now();
        if let Some(masks) = pruning.as_mut().and_then(|pruning| pruning.before_epoch(epoch, &params)) {
            optimizer.prune(level, masks, &mut params);
            average.change(|mean| optimizer.mask(level, mean));
            let is_last = pruning.as_ref().is_some_and(|pruning| pruning.is_done_before(epoch));
            listener(&Event::Pruned { epoch: epoch - 1, share: optimizer.pruned_share(), is_last });
            // Weights from before, with fewer zeros, are no rivals to those from now on.
            best = BestEpoch::default();
        }
        // From the same order every time: an epoch's order follows from seed and epoch alone.
        windows.order(seed, epoch, config.train.shuffle, &mut groups);
        let mut shuffle = Stream::new(seed, Purpose::Shuffle, epoch as u32);
        let (mut n_done, mut loss_sum, mut weight_sum) = (0, 0.0, 0.0);
        let (mut step, mut updates, mut rate_now) = (0, 0, rate);
        if let (Some(solver), Source::Memory(train)) = (&mut full_batch, train) {
            let done = solver.epoch(&mut stepper, network, train, &mut params);
            if !done.loss.is_finite() {
                let layer = stepper.first_non_finite_layer(0, &params, &train.x);
                return Err(unfit_start(network, layer));
            }
            (loss_sum, weight_sum, rate_now) = (done.loss, 1.0, done.step);
            n_done = done.evaluations * n_train;
            stop = done.ended;
        }
        'windows: for window in 0..if takes_all { 0 } else { windows.len() } {
            let rows = feed.next(&windows, &groups, window, &mut order)?;
            if by_curriculum {
                curriculum.choose(epoch, n_train, &mut order);
            }
            if config.train.shuffle {
                shuffle.shuffle(&mut order);
            }
            bound_batches(order.len(), batch_size, &mut bounds);
            // A curriculum leaves rows out, and has a single window.
            let n_steps = if by_curriculum { bounds.len() } else { steps_per_epoch };
            let updates_now = n_steps.div_ceil(config.train.accumulate);
            let targets = match &mut label_noise {
                Some(noise) => noise.of_epoch(epoch, &rows.targets),
                None => &rows.targets,
            };
            let mut first = 0;
            for &end in &bounds {
                let n_rows = end - first;
                augment.gather(level, steps, (&rows.x, targets), &order[first..end], n_inputs, &mut batch);
                let x = &batch.x[..n_rows * n_inputs];
                let targets = batch.targets.view().slice(0..n_rows);
                // An epoch of fewer rows takes as much of the schedule as any other.
                let time = (epoch - 1) * updates_per_epoch + updates * updates_per_epoch / updates_now;
                rate_now = rate * schedule.factor(time);
                let mean = stepper.step(steps, rate_now, &mut params, &mut optimizer, x, targets);
                steps = steps.wrapping_add(1);
                (first, n_done, step) = (end, n_done + n_rows, step + 1);
                let weight = targets.total_weight();
                (loss_sum, weight_sum) = (loss_sum + mean * weight, weight_sum + weight);
                if !mean.is_finite() {
                    let grown = || grown(network, level, seed, &params, train).map(|grown| grown.layer);
                    let (layer, told) = if let Some(layer) = stepper.not_finite() {
                        (Some(layer), "the first numbers that are not finite come out of")
                    } else {
                        (grown(), "those that have grown most come out of")
                    };
                    let layer = layer.map_or("the loss".into(), |layer| named(network, layer));
                    let Instead { learning_rate, remedy } =
                        instead(rate, network, loss, level, config, train);
                    reason = format!("the loss is not finite in epoch {epoch}, step {step}; {told} {layer}");
                    listener(&Event::Diverged {
                        epoch,
                        step,
                        layer,
                        suggested_learning_rate: learning_rate,
                        remedy: remedy.clone(),
                    });
                    if history.is_empty() {
                        return Err(Error::training(reason, remedy));
                    }
                    diverges = true;
                    break 'epochs;
                }
                if step == n_steps {
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
                        step,
                        train_loss: loss_sum / weight_sum,
                        rows_per_second: n_done as f64 / epoch_begin.elapsed().as_secs_f64(),
                    });
                    let asked = match answer {
                        Answer::Stop(why) => Some(why),
                        Answer::GoOn => out_of_time(config.train.max_seconds, begin.elapsed().as_secs_f64()),
                    };
                    if asked.is_some() {
                        stop = asked;
                        // A first epoch that is cut short still leaves weights to keep.
                        if !history.is_empty() {
                            break 'epochs;
                        }
                        break 'windows;
                    }
                }
            }
        }
        let rows_per_second = n_done as f64 / epoch_begin.elapsed().as_secs_f64();
        average.after_epoch(level, epoch, &params);
        let used = weights_to_use(network, level, &params, &optimizer, &average, &mut apart);
        let (val_loss, metrics) = watch.look(used)?;
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
            best_epoch = epoch;
            kept.copy_from_slice(used);
        }
        history.push(record.clone());
        if let Answer::Stop(why) = listener(&Event::Epoch(record.clone())) {
            stop = Some(why);
        }
        let still = weight_change.as_mut().and_then(|rule| rule.observe(&params));
        // While weights are being pruned no figure stands for the network that is to come out.
        let is_pruned = pruning.as_ref().is_none_or(|pruning| pruning.is_done_before(epoch));
        if let Some(why) =
            still.filter(|_| is_pruned).or_else(|| out_of_time(config.train.max_seconds, record.seconds))
        {
            stop.get_or_insert(why);
        }
        if !is_pruned {
            continue;
        }
        if let Some(why) = early_stopping.observe(&record) {
            stop.get_or_insert(why);
        } else if let (false, Some((to, why))) = (takes_all, plateau.observe(&record, rate)) {
            listener(&Event::LearningRateReduced { epoch, from: rate, to, reason: why });
            rate = to;
        }
    }
    if let Some(why) = stop {
        reason = why;
    }
    let epochs_run = history.len();
    if let Some(pruning) = pruning.filter(|pruning| !pruning.is_done_before(epochs_run)) {
        reason = format!("{reason}; {}", pruning.unfinished(epochs_run));
    }
    let seconds = begin.elapsed().as_secs_f64();
    if epochs_run == 0 {
        return Err(Error::training(
            format!("no epoch was trained: {reason}"),
            "set train.epochs to 1 or more",
        ));
    }
    // Steps before numbers ceased to be finite leave weights that nobody wants.
    if !config.checkpoint.restore_best && !diverges {
        kept.copy_from_slice(weights_to_use(network, level, &params, &optimizer, &average, &mut apart));
        best_epoch = epochs_run;
    }
    let val_loss = history.get(best_epoch.wrapping_sub(1)).map_or(f64::NAN, |record| record.val_loss);
    let is_worse = val_loss > initial_val_loss && {
        let mut initial = start(network, level, seed, train)?;
        if network.trains_latent_weights() {
            network.write_weights_in_use(level, &mut initial);
        }
        watch.is_worse(&kept, &initial)?
    };
    if is_worse {
        let Instead { learning_rate, remedy } = instead(rate, network, loss, level, config, train);
        if let Some(grown) = grown(network, level, seed, &kept, train) {
            listener(&Event::Worsened {
                epoch: best_epoch,
                val_loss,
                initial_val_loss,
                layer: named(network, grown.layer),
                initial_size: grown.before,
                size: grown.after,
                suggested_learning_rate: learning_rate,
                remedy,
            });
        }
    }
    listener(&Event::Finished { reason: reason.clone(), best_epoch, epochs_run, seconds });
    Ok(Fitted { params: kept, best_epoch, history, reason, seconds })
}

/// Refuses what has to look at all training rows at once where they lie in a file.
fn check_source<T>(train: &Source<T>, config: &Config) -> Result<()> {
    let Source::File(_) = train else { return Ok(()) };
    let asked = [
        (config.optimizer.name == OptimizerName::Lbfgs, "optimizer.name = \"lbfgs\"", "optimizer.name=adamw"),
        (config.curriculum.by != CurriculumBy::None, "a curriculum", "curriculum.by=none"),
        (config.noise.labels > 0.0, "noise.labels", "noise.labels=0"),
    ];
    match asked.into_iter().find(|(is_asked, ..)| *is_asked) {
        None => Ok(()),
        Some((_, what, instead)) => Err(Error::setting(
            format!("{what} looks at all training rows at once, and they are read window by window"),
            format!("--set {instead}, or rows in memory"),
        )),
    }
}

/// The weights that are validated and kept: an average, schedule_free_adamw's x, or those that are trained; of latent
/// ones the signs.
fn weights_to_use<'a, T: Scalar>(
    network: &Network,
    level: CpuLevel,
    params: &'a [T],
    optimizer: &Optimizer<T>,
    average: &'a Average<T>,
    apart: &'a mut [T],
) -> &'a [T] {
    let used = average.weights().unwrap_or(params);
    if optimizer.keeps_other_weights() {
        optimizer.write_weights_to_use(params, apart);
    } else if network.trains_latent_weights() {
        apart.copy_from_slice(used);
    } else {
        return used;
    }
    network.write_weights_in_use(level, apart);
    apart
}

/// The error of initial weights whose loss is not finite over all rows.
fn unfit_start(network: &Network, layer: Option<usize>) -> Error {
    let what = format!(
        "the loss of the initial weights is not finite; the first numbers that are not come out of {}",
        layer.map_or("the loss".into(), |layer| named(network, layer))
    );
    Error::training(what, "another network.initializer; `statera inspect --init` compares them")
}

#[cfg(test)]
mod tests {
    use super::{bound_batches, count_batches};

    fn batch_bounds(n_rows: usize, batch_size: usize) -> Vec<usize> {
        let mut bounds = vec![1, 2, 3];
        bound_batches(n_rows, batch_size, &mut bounds);
        bounds
    }

    #[test]
    fn a_single_last_row_joins_the_batch_before() {
        for n_rows in 1..40 {
            for batch_size in 1..=n_rows {
                let n = batch_bounds(n_rows, batch_size).len();
                assert_eq!(count_batches(n_rows, batch_size), n, "{n_rows} rows by {batch_size}");
            }
        }
        assert_eq!(batch_bounds(64, 32), [32, 64]);
        assert_eq!(batch_bounds(66, 32), [32, 64, 66]);
        assert_eq!(batch_bounds(65, 32), [32, 65]);
        assert_eq!(batch_bounds(3, 1), [1, 2, 3]);
        assert_eq!(batch_bounds(5, 32), [5]);
    }
}
