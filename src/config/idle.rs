//! Numbers within their range that would do nothing all the same: refused, with one that does something.

use super::layers::LayerSpec;
use super::{AverageKind, Config, CurriculumBy, OptimizerName, Precision, ScheduleName, keys};
use crate::error::{Error, Result};

/// Refuses such numbers.
pub(super) fn check(config: &Config) -> Result<()> {
    check_times(config)?;
    check_schedule(config)?;
    check_curriculum(config)?;
    check_rates(config)?;
    check_single_precision(config)
}

/// What would begin after training has ended, and a floor that is above where the rate begins.
fn check_times(config: &Config) -> Result<()> {
    let (epochs, stop) = (config.train.epochs, config.train.stop_after);
    if stop >= epochs {
        return Err(Error::setting(
            format!(
                "`train.stop_after` = {stop} is not below `train.epochs` = {epochs}, where training ends anyway"
            ),
            "train.stop_after = 0",
        ));
    }
    let (average, schedule, plateau) = (&config.average, &config.schedule, &config.reduce_on_plateau);
    if average.kind == AverageKind::Swa && average.start >= epochs {
        return Err(Error::setting(
            format!(
                "`average.start` = {} is not below `train.epochs` = {epochs}: no two epochs would be averaged",
                average.start
            ),
            if epochs > 1 {
                format!("average.start = {}", (3 * epochs / 4).max(1))
            } else {
                format!("train.epochs = {}", 4 * average.start)
            },
        ));
    }
    // The last step of a warm-up has the full rate, but a schedule after it needs a time of its own.
    let is_constant = schedule.name == ScheduleName::Constant;
    if schedule.warmup > epochs as f64 || !is_constant && schedule.warmup >= epochs as f64 {
        let (name, rate) = (schedule.name, config.optimizer.learning_rate);
        return Err(Error::setting(
            format!(
                "`schedule.warmup` = {} {}",
                schedule.warmup,
                if is_constant {
                    format!(
                        "is longer than `train.epochs` = {epochs}: the learning rate would never reach {rate}"
                    )
                } else {
                    format!("leaves `schedule.name` = \"{name}\" none of `train.epochs` = {epochs}")
                }
            ),
            format!("schedule.warmup = {}", epochs as f64 / 10.0),
        ));
    }
    let (floor, rate) = (plateau.min_learning_rate, config.optimizer.learning_rate);
    let is_on = plateau.enabled && config.optimizer.name != OptimizerName::Lbfgs;
    // A rate below the default floor is no contradiction of the user's.
    if is_on && floor > rate && floor != Config::default().reduce_on_plateau.min_learning_rate {
        return Err(Error::setting(
            format!(
                "`reduce_on_plateau.min_learning_rate` = {floor} is above `optimizer.learning_rate` = {rate}: nothing would \
                 be cut"
            ),
            format!("reduce_on_plateau.min_learning_rate = {:?}", rate / 1000.0),
        ));
    }
    Ok(())
}

/// A schedule that never moves.
fn check_schedule(config: &Config) -> Result<()> {
    use ScheduleName::{Cosine, FlatCos, InverseTime, OneCycle, Polynomial, Step};
    let (s, epochs, end) = (&config.schedule, config.train.epochs, config.train.last_epoch());
    let refuse = |what: String, instead: String| Err(Error::setting(what, instead));
    let stays = "the learning rate would stay as it is";
    if let Some(cut) = s.cuts.iter().find(|cut| **cut >= epochs) {
        return refuse(
            format!(
                "`schedule.cuts` holds {cut}, which is not below `train.epochs` = {epochs}: {stays} there"
            ),
            if epochs > 1 {
                format!("schedule.cuts = [{}]", (2 * epochs).div_ceil(3).min(epochs - 1))
            } else {
                "schedule.cuts = []".into()
            },
        );
    }
    let plateau = &config.reduce_on_plateau;
    let planned = plateau.after_epochs.iter().find(|cut| plateau.enabled && **cut >= end);
    if let Some(cut) = planned {
        return refuse(
            format!(
                "`reduce_on_plateau.after_epochs` holds {cut}, which is not before the last epoch, {end}: {stays} there"
            ),
            if end > 1 {
                format!("reduce_on_plateau.after_epochs = [{}]", (2 * end).div_ceil(3).min(end - 1))
            } else {
                "reduce_on_plateau.after_epochs = []".into()
            },
        );
    }
    match s.name {
        Step if s.every >= epochs as f64 => refuse(
            format!("`schedule.every` = {} is not below `train.epochs` = {epochs}: {stays}", s.every),
            // Three steps of a usual training; within one or two epochs, half an epoch.
            if epochs < 3 {
                "schedule.every = 0.5".into()
            } else {
                format!("schedule.every = {}", epochs / 3)
            },
        ),
        Cosine | Polynomial | FlatCos if s.end == 1.0 => refuse(
            format!("`schedule.end` = 1 ends `schedule.name` = \"{}\" where it begins: {stays}", s.name),
            "schedule.end = 0".into(),
        ),
        InverseTime if s.decay == 0.0 => refuse(
            format!("`schedule.decay` = 0 of `schedule.name` = \"inverse_time\": {stays}"),
            "schedule.decay = 0.1".into(),
        ),
        OneCycle if s.start == 1.0 && s.end == 1.0 => refuse(
            format!(
                "`schedule.start` and `schedule.end` of `schedule.name` = \"one_cycle\" are both 1: {stays}"
            ),
            "schedule.start = 0.04".into(),
        ),
        _ => Ok(()),
    }
}

/// A curriculum that leaves nothing for later.
fn check_curriculum(config: &Config) -> Result<()> {
    let c = &config.curriculum;
    if c.by == CurriculumBy::None || c.start < 1.0 {
        return Ok(());
    }
    Err(Error::setting(
        format!(
            "`curriculum.start` = 1 takes all rows from the first epoch on: `curriculum.by` = \"{}\" would change nothing",
            c.by
        ),
        "curriculum.start = 0.3",
    ))
}

/// Shares of numbers that are dropped come in steps of 1/65,536; half of one rounds to none.
const LEAST_RATE: f64 = 0.5 / 65_536.0;

fn check_rates(config: &Config) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::setting(
            format!("{what} would drop nothing: such shares are rounded to multiples of 1/65536"),
            "0, or 1.6e-5 or more".to_owned(),
        ))
    };
    let rounds_to_none = |rate: f64| rate > 0.0 && rate < LEAST_RATE;
    if config.network.layers.is_empty() {
        let network = &config.network;
        let short = [("network.dropout", network.dropout), ("network.drop_connect", network.drop_connect)];
        return match short.into_iter().find(|(_, rate)| rounds_to_none(*rate)) {
            Some((key, rate)) => refuse(format!("`{key}` = {rate:?}")),
            None => Ok(()),
        };
    }
    let idle = |layer: &LayerSpec| match layer {
        LayerSpec::Dropout { rate } => rounds_to_none(*rate),
        LayerSpec::Dense { drop_connect, .. } => rounds_to_none(*drop_connect),
        _ => false,
    };
    match config.network.layers.iter().position(|layer| layer.any(&idle)) {
        Some(i) => refuse(format!("a rate in network.layers, layer {}", i + 1)),
        None => Ok(()),
    }
}

/// The name of a setting, and its value.
type Number = (&'static str, fn(&Config) -> f64);

/// Numbers that single precision takes for 0 when they are small.
const IN_SINGLE: &[Number] = &[
    ("optimizer.learning_rate", |c| c.optimizer.learning_rate),
    ("optimizer.epsilon", |c| c.optimizer.epsilon),
    ("optimizer.adadelta_epsilon", |c| c.optimizer.adadelta_epsilon),
    ("optimizer.weight_decay", |c| c.optimizer.weight_decay),
    ("optimizer.l1", |c| c.optimizer.l1),
    ("optimizer.l2", |c| c.optimizer.l2),
    ("optimizer.max_norm", |c| c.optimizer.max_norm),
    ("train.clip_value", |c| c.train.clip_value),
    ("train.clip_norm", |c| c.train.clip_norm),
    ("loss.delta", |c| c.loss.delta),
    ("network.input_noise", |c| c.network.input_noise),
    ("augment.jitter", |c| c.augment.jitter),
    ("noise.labels", |c| c.noise.labels),
    ("noise.weights", |c| c.noise.weights),
    ("noise.gradients", |c| c.noise.gradients),
];

fn check_single_precision(config: &Config) -> Result<()> {
    if config.network.precision != Precision::F32 {
        return Ok(());
    }
    let vanishes = |x: f64| x > 0.0 && x < f64::from(f32::MIN_POSITIVE);
    match IN_SINGLE.iter().find(|(_, value)| vanishes(value(config))) {
        None => Ok(()),
        Some((key, value)) => {
            debug_assert!(keys::find(key).is_some());
            Err(Error::setting(
                format!("`{key}` = {:e} is 0 in `network.precision` = \"f32\"", value(config)),
                format!("{key} = 1.2e-38, the least that is not, or network.precision = \"f64\""),
            ))
        }
    }
}
