//! Settings that are possible alone and impossible together, or that would say nothing.

use super::{
    AverageKind, ClassWeighting, ClassWeights, Config, Constraint, CurriculumBy, Encode, ImbalanceKind,
    LayerSpec, NumericEmbedding, OptimizerName, idle, lbfgs, steps, weights,
};
use crate::error::{Error, Result};
use crate::model_file::MOST_MEMBERS;

/// Refuses such settings, with the key, the reason and what works; `short_form` is the last short form that was given.
pub(super) fn check(config: &Config, short_form: Option<&str>) -> Result<()> {
    let (val, test) = (config.split.val, config.split.test);
    if val + test >= 1.0 {
        return Err(Error::setting(
            format!("`split.val` = {val} and `split.test` = {test} leave no rows to train on"),
            "shares that together stay below 1, as split.val = 0.15 and split.test = 0.15",
        ));
    }
    check_folds(config)?;
    check_imbalance(config)?;
    if config.average.kind != AverageKind::None && config.optimizer.name == OptimizerName::ScheduleFreeAdamw {
        return Err(Error::setting(
            format!(
                "`average.kind` = \"{}\" averages what `optimizer.name` = \"schedule_free_adamw\" averages itself",
                config.average.kind
            ),
            "average.kind = \"none\", or optimizer.name = \"adamw\"",
        ));
    }
    let by_pbld = config.embedding.numeric == NumericEmbedding::Pbld
        || config.data.columns.values().any(|column| column.encode == Some(Encode::Pbld));
    if by_pbld && config.embedding.dimension == 1 {
        return Err(Error::setting(
            "`embedding.dimension` = 1 leaves no place for the waves of pbld beside the number itself",
            "embedding.dimension = 4",
        ));
    }
    if let (Some(key), false) = (short_form, config.network.layers.is_empty()) {
        return Err(Error::setting(
            format!("`{key}` says nothing beside `network.layers`, which lists the layers one by one"),
            format!("leave `{key}` out, or change the layers, or drop them by --set 'network.layers=[]'"),
        ));
    }
    config.check_layers()?;
    lbfgs::check(config)?;
    check_weights(config)?;
    weights::check(config)?;
    idle::check(config)?;
    steps::check(config)?;
    check_curriculum(config)
}

fn check_imbalance(config: &Config) -> Result<()> {
    let kind = config.imbalance.kind;
    if kind == ImbalanceKind::None {
        return Ok(());
    }
    if config.loss.class_weights != ClassWeights::Rule(ClassWeighting::None) {
        return Err(Error::setting(
            format!(
                "`imbalance.kind` = \"{kind}\" and `loss.class_weights` make up for the same imbalance twice"
            ),
            "imbalance.kind = \"none\", or loss.class_weights = \"none\"",
        ));
    }
    if config.curriculum.by != CurriculumBy::None {
        return Err(Error::setting(
            format!(
                "`imbalance.kind` = \"{kind}\" makes rows, of which `curriculum.by` = \"{}\" does not know how hard they are",
                config.curriculum.by
            ),
            "imbalance.kind = \"none\", or curriculum.by = \"none\"",
        ));
    }
    Ok(())
}

fn check_folds(config: &Config) -> Result<()> {
    let (folds, repeats) = (config.split.folds, config.split.repeats);
    if folds == 1 {
        return Err(Error::setting(
            "`split.folds` = 1 holds out every row, and leaves none to train on",
            "--folds 5, or split.folds = 0 for a single split",
        ));
    }
    if folds * repeats > MOST_MEMBERS {
        return Err(Error::setting(
            format!(
                "`split.folds` = {folds} and `split.repeats` = {repeats} make more than {MOST_MEMBERS} models"
            ),
            "--folds 5 --repeats 3",
        ));
    }
    let c = &config.checkpoint;
    let saved = [("checkpoint.best", &c.best), ("checkpoint.last", &c.last)];
    match saved.into_iter().find(|(_, name)| folds > 0 && !name.is_empty()) {
        None => Ok(()),
        Some((key, name)) => Err(Error::setting(
            format!(
                "`{key}` = \"{name}\" names models of one training, and `split.folds` = {folds} trains several at a time"
            ),
            format!("leave `{key}` out, or split.folds = 0"),
        )),
    }
}

/// What is said of weights: where, λ of L1, the constraint, and a norm of the place's own.
type Said = (String, f64, Constraint, Option<f64>);

/// What the settings and one dense layer after another say of weights, those inside of blocks too.
fn weights(config: &Config) -> Vec<Said> {
    let o = &config.optimizer;
    let mut all = vec![("optimizer.".to_owned(), o.l1, o.constraint, None)];
    of_layers(&config.network.layers, "network.layers", config, &mut all);
    all
}

fn of_layers(layers: &[LayerSpec], list: &str, config: &Config, all: &mut Vec<Said>) {
    let o = &config.optimizer;
    for (i, layer) in layers.iter().enumerate() {
        let place = format!("{list}, layer {}", i + 1);
        match layer {
            LayerSpec::Dense { l1, constraint, max_norm, .. } => {
                let constraint = constraint.unwrap_or(o.constraint);
                all.push((format!("{place} (dense): "), l1.unwrap_or(o.l1), constraint, *max_norm));
            }
            LayerSpec::Residual { layers } => {
                of_layers(layers, &format!("{place} (residual): layers"), config, all);
            }
            _ => {}
        }
    }
}

fn check_weights(config: &Config) -> Result<()> {
    let all = weights(config);
    let schedule_free = config.optimizer.name == OptimizerName::ScheduleFreeAdamw;
    let averages = schedule_free || config.average.kind != AverageKind::None;
    let (averaging, instead) = if schedule_free {
        ("optimizer.name = \"schedule_free_adamw\"".to_owned(), "optimizer.name = \"adamw\"")
    } else {
        (format!("average.kind = \"{}\"", config.average.kind), "average.kind = \"none\"")
    };
    for (place, l1, constraint, max_norm) in &all {
        if averages && *l1 > 0.0 {
            return Err(Error::setting(
                format!(
                    "{place}l1 = {l1} makes weights zero, and the mean of weights that {averaging} keeps is not"
                ),
                format!("l1 = 0, or {instead}"),
            ));
        }
        if averages && *constraint == Constraint::UnitNorm || schedule_free && *constraint != Constraint::None
        {
            return Err(Error::setting(
                format!(
                    "{place}constraint = \"{constraint}\" holds for the weights of a step, not for the mean of them \
                     that {averaging} keeps"
                ),
                format!("constraint = \"none\", or {instead}"),
            ));
        }
        if max_norm.is_some() && *constraint != Constraint::MaxNorm {
            return Err(Error::setting(
                format!("{place}max_norm says nothing beside constraint = \"{constraint}\""),
                "constraint = \"max_norm\" beside it, or leave it out",
            ));
        }
    }
    Ok(())
}

fn check_curriculum(config: &Config) -> Result<()> {
    let c = &config.curriculum;
    if c.by == CurriculumBy::Column && c.column.is_empty() {
        return Err(Error::setting(
            "`curriculum.by` = \"column\", but `curriculum.column` names none",
            "curriculum.column = \"NAME\" beside it, or curriculum.by = \"loss\"",
        ));
    }
    if c.by != CurriculumBy::None && c.epochs >= config.train.epochs {
        return Err(Error::setting(
            format!(
                "`curriculum.epochs` = {} leaves none of `train.epochs` = {} in which all rows are learned from",
                c.epochs, config.train.epochs
            ),
            format!("train.epochs = {}", 2 * c.epochs),
        ));
    }
    Ok(())
}
