//! The fit loop: epochs of shuffled batches, watched on validation rows, the best weights kept.

use std::time::{Duration, Instant};

use statera_kernels::{CpuLevel, Scalar};

use super::astray::{Instead, grown, instead, named};
use super::augment::Augment;
use super::awake::while_running;
use super::callbacks::out_of_time;
use super::checkpoint::{Saving, Timetable};
use super::curriculum::Curriculum;
use super::events::{Answer, EpochRecord, Event, Listener};
use super::noise::LabelNoise;
pub use super::rows::{OwnedTargets, RowFacts, Rows};
use super::schedule::Schedule;
use super::source::{Feed, Source};
use super::start::start;
use super::state::{At, Training};
use super::watch::Watch;
use super::windows::Windows;
use crate::config::{Config, CurriculumBy, OptimizerName};
use crate::data::TargetScaler;
use crate::error::{Error, Result};
use crate::model::Params;
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
    let rows = FitRows { train: train.into(), val: val.into(), facts, unit };
    fit_saved(network, loss, level, config, rows, listener, None)
}

/// The rows of a training, and what is known of them.
pub struct FitRows<'a, T> {
    /// To learn from.
    pub train: Source<'a, T>,
    /// To watch.
    pub val: Source<'a, T>,
    /// What some settings ask of the training rows besides.
    pub facts: &'a RowFacts,
    /// From the outputs to the target's own units.
    pub unit: &'a TargetScaler,
}

/// The same as [`fit`], keeping checkpoints, and going on from one if there is one: to the bits of a training that was
/// not broken off.
pub fn fit_saved<T: Scalar + 'static>(
    network: &Network,
    loss: Loss,
    level: CpuLevel,
    config: &Config,
    rows: FitRows<T>,
    listener: &mut Listener,
    saving: Option<Saving>,
) -> Result<Fitted<T>> {
    let shares = rows_of_a_batch(config, rows.train.len()) > network.shard_rows(config.train.shard_rows);
    while_running(shares, || fit_awake(network, loss, level, config, rows, listener, saving))
}

/// The same on the threads that are awake.
fn fit_awake<T: Scalar + 'static>(
    network: &Network,
    loss: Loss,
    level: CpuLevel,
    config: &Config,
    FitRows { train, val, facts, unit }: FitRows<T>,
    listener: &mut Listener,
    mut saving: Option<Saving>,
) -> Result<Fitted<T>> {
    let (n_train, n_inputs, seed) = (train.len(), network.n_inputs(), config.seed);
    let (epochs, takes_all) = (config.train.last_epoch(), config.optimizer.name == OptimizerName::Lbfgs);
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
    let updates_per_epoch = steps_per_epoch.div_ceil(config.train.accumulate);
    let schedule = Schedule::new(&config.schedule, config.train.epochs, updates_per_epoch);
    let max_rows = batch_size + 1;
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
    let mut order: Vec<u32> = Vec::with_capacity(windows.max_rows());
    let mut groups = Vec::new();
    let curriculum = Curriculum::new(&config.curriculum, &facts.difficulty, batch_size);

    let from = saving.as_mut().and_then(|saving| saving.from.take());
    let params = match from {
        Some(_) => vec![T::ZERO; network.n_params()],
        None => start(network, level, seed, train)?,
    };
    let mut t = Training::new(network, loss, level, config, &params, max_rows, n_train);
    let told = if let Some(from) = from {
        let state = t.restore(from).map_err(|what| {
            let what = format!("the checkpoint is of another network or other settings: {what}");
            Error::model(what, "the run folder that it was made in, or train anew")
        })?;
        listener.restore(&state)?;
        let At { epoch, step, .. } = t.at;
        Event::Resumed { epoch, step, epochs, steps_per_epoch }
    } else {
        if network.trains_latent_weights() {
            network.write_weights_in_use(level, &mut t.kept);
        }
        t.at.initial_val_loss = watch.look(&t.kept)?.0;
        let n_params = network.n_params();
        Event::Started { n_train, n_val: val.len(), n_params, epochs, steps_per_epoch }
    };
    let first_epoch = t.at.epoch;
    let mut feed = Feed::new(train, &windows, seed, config.train.shuffle, first_epoch..=epochs)?;
    let (is_saved, at_end) = (saving.is_some(), saving.as_ref().is_some_and(|saving| saving.at_end));
    let mut timetable = Timetable::new(saving.as_ref().map_or(Duration::ZERO, |saving| saving.every));
    let tell = |t: &Training<T>, listener: &mut Listener, event: &Event| {
        listener.hear(event, &|| t.copy_in_use(network, level))
    };
    let mut save = |t: &Training<T>, listener: &mut Listener, waits: bool, timetable: &mut Timetable| {
        let Some(saving) = &mut saving else { return };
        let begin = Instant::now();
        let checkpoint = t.checkpoint(saving.about.clone(), listener.state());
        let failed = (saving.keep)(checkpoint, waits).err();
        timetable.taken(begin);
        if let Some(error) = failed {
            tell(t, listener, &Event::NotSaved { epoch: t.at.epoch, why: error.to_string() });
        }
    };
    (t.begin, t.epoch_begin) = (Instant::now(), Instant::now());
    let (mut interrupted, mut diverges) = (None, false);
    let mut last_progress = t.begin;
    match tell(&t, listener, &told) {
        Answer::GoOn => {}
        Answer::Stop(why) => t.at.ended = t.at.ended.take().or(Some(why)),
        Answer::Interrupt(why) => interrupted = Some(why),
    }
    'epochs: for epoch in first_epoch..=epochs {
        if interrupted.is_some() || t.at.ended.is_some() {
            break;
        }
        // Batches of this epoch that were done before training was broken off.
        let done_before = t.at.step;
        t.epoch_begin = Instant::now();
        if done_before == 0 {
            t.at.begin_epoch(epoch);
            if let Some((share, is_last)) = t.prune_before(level, epoch) {
                tell(&t, listener, &Event::Pruned { epoch: epoch - 1, share, is_last });
            }
        }
        // From the same order every time: an epoch's order follows from seed and epoch alone.
        windows.order(seed, epoch, config.train.shuffle, &mut groups);
        let mut shuffle = Stream::new(seed, Purpose::Shuffle, epoch as u32);
        if let (Some(solver), Source::Memory(train)) = (&mut t.full_batch, train) {
            let done = solver.epoch(&mut t.stepper, network, train, &mut t.params);
            if !done.loss.is_finite() {
                let layer = t.stepper.first_non_finite_layer(0, &t.params, &train.x);
                return Err(unfit_start(network, layer));
            }
            (t.at.loss_sum, t.at.weight_sum, t.at.rate_now) = (done.loss, 1.0, done.step);
            t.at.n_done = done.evaluations * n_train;
            t.at.ended = done.ended;
        }
        let mut step = 0;
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
                step += 1;
                if step <= done_before {
                    first = end;
                    continue;
                }
                let n_rows = end - first;
                augment.gather(
                    level,
                    t.at.steps,
                    (&rows.x, targets),
                    &order[first..end],
                    n_inputs,
                    &mut batch,
                );
                let x = &batch.x[..n_rows * n_inputs];
                let targets = batch.targets.view().slice(0..n_rows);
                // An epoch of fewer rows takes as much of the schedule as any other.
                let time = (epoch - 1) * updates_per_epoch + t.at.updates * updates_per_epoch / updates_now;
                t.at.rate_now = t.at.rate * schedule.factor(time);
                let mean = t.step(x, targets);
                first = end;
                if !mean.is_finite() {
                    let grown = || grown(network, level, seed, &t.params, train).map(|grown| grown.layer);
                    let (layer, which) = if let Some(layer) = t.stepper.not_finite() {
                        (Some(layer), "the first numbers that are not finite come out of")
                    } else {
                        (grown(), "those that have grown most come out of")
                    };
                    let layer = layer.map_or("the loss".into(), |layer| named(network, layer));
                    let Instead { learning_rate, remedy } =
                        instead(t.at.rate, network, loss, level, config, train);
                    let reason =
                        format!("the loss is not finite in epoch {epoch}, step {step}; {which} {layer}");
                    tell(
                        &t,
                        listener,
                        &Event::Diverged {
                            epoch,
                            step,
                            layer,
                            suggested_learning_rate: learning_rate,
                            remedy: remedy.clone(),
                        },
                    );
                    if t.history.is_empty() {
                        return Err(Error::training(reason, remedy));
                    }
                    t.at.ended = Some(reason);
                    diverges = true;
                    break 'epochs;
                }
                t.finish_step(level, step == n_steps);
                if is_saved && timetable.is_due(false) {
                    save(&t, listener, false, &mut timetable);
                }
                if last_progress.elapsed() > Duration::from_millis(100) {
                    last_progress = Instant::now();
                    match tell(
                        &t,
                        listener,
                        &Event::Progress {
                            epoch,
                            step,
                            train_loss: t.at.loss_sum / t.at.weight_sum,
                            rows_per_second: t.rows_per_second(),
                        },
                    ) {
                        Answer::Stop(why) => t.at.ended = Some(why),
                        Answer::Interrupt(why) => interrupted = Some(why),
                        Answer::GoOn => t.at.ended = out_of_time(config.train.max_seconds, t.seconds()),
                    }
                    if interrupted.is_some() {
                        save(&t, listener, true, &mut timetable);
                    }
                    if interrupted.is_some() || t.at.ended.is_some() {
                        // A first epoch that is cut short still leaves weights to keep.
                        if !t.history.is_empty() {
                            break 'epochs;
                        }
                        break 'windows;
                    }
                }
            }
        }
        let was_interrupted = interrupted.is_some();
        let rows_per_second = t.rows_per_second();
        t.average.after_epoch(level, epoch, &t.params);
        let used = t.in_use(network, level);
        let (val_loss, metrics) = watch.look(used)?;
        let mut record = EpochRecord {
            epoch,
            train_loss: t.at.loss_sum / t.at.weight_sum,
            val_loss,
            metrics,
            learning_rate: t.at.rate_now,
            rows_per_second,
            seconds: t.seconds(),
            best: false,
        };
        t.look_at(&mut record, config, network, level);
        match tell(&t, listener, &Event::Epoch(record.clone())) {
            Answer::GoOn => {}
            Answer::Stop(why) => t.at.ended = t.at.ended.take().or(Some(why)),
            Answer::Interrupt(why) => interrupted = interrupted.or(Some(why)),
        }
        if let Some((to, why)) = t.apply_rules(&record, config) {
            tell(&t, listener, &Event::LearningRateReduced { epoch, from: t.at.rate, to, reason: why });
            t.at.rate = to;
        }
        // What was broken off in the middle of its first epoch goes on there, and not behind what is left of it here.
        if was_interrupted {
            break;
        }
        t.at.begin_epoch(epoch + 1);
        if interrupted.is_some() || is_saved && timetable.is_due(true) {
            save(&t, listener, interrupted.is_some(), &mut timetable);
        }
    }
    let epochs_run = t.history.len();
    let mut reason = match (&interrupted, &t.at.ended) {
        (Some(why), _) | (None, Some(why)) => why.clone(),
        (None, None) if epochs < config.train.epochs => {
            format!("the {epochs} epochs of train.stop_after are done")
        }
        (None, None) => format!("all {epochs} epochs are done"),
    };
    if at_end && interrupted.is_none() {
        save(&t, listener, true, &mut timetable);
    }
    if let Some(pruning) = t.pruning.as_ref().filter(|pruning| !pruning.is_done_before(epochs_run)) {
        reason = format!("{reason}; {}", pruning.unfinished(epochs_run));
    }
    let seconds = t.seconds();
    if epochs_run == 0 {
        return Err(Error::training(
            format!("no epoch was trained: {reason}"),
            "set train.epochs to 1 or more",
        ));
    }
    // Steps before numbers ceased to be finite leave weights that nobody wants.
    if !config.checkpoint.restore_best && !diverges {
        t.kept = t.in_use(network, level).to_vec();
        t.at.best_epoch = epochs_run;
    }
    let (best_epoch, initial_val_loss) = (t.at.best_epoch, t.at.initial_val_loss);
    let val_loss = t.history.get(best_epoch.wrapping_sub(1)).map_or(f64::NAN, |record| record.val_loss);
    let is_worse = val_loss > initial_val_loss && {
        let mut initial = start(network, level, seed, train)?;
        if network.trains_latent_weights() {
            network.write_weights_in_use(level, &mut initial);
        }
        watch.is_worse(&t.kept, &initial)?
    };
    if is_worse {
        let Instead { learning_rate, remedy } = instead(t.at.rate, network, loss, level, config, train);
        if let Some(grown) = grown(network, level, seed, &t.kept, train) {
            let worsened = Event::Worsened {
                epoch: best_epoch,
                val_loss,
                initial_val_loss,
                layer: named(network, grown.layer),
                initial_size: grown.before,
                size: grown.after,
                suggested_learning_rate: learning_rate,
                remedy,
            };
            listener.hear(&worsened, &|| Params::of(t.kept.clone()));
        }
    }
    let finished = Event::Finished { reason: reason.clone(), best_epoch, epochs_run, seconds };
    listener.hear(&finished, &|| Params::of(t.kept.clone()));
    Ok(Fitted { params: t.kept, best_epoch, history: t.history, reason, seconds })
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
