//! What cannot be set together with L-BFGS, which minimises one smooth function of the weights over all rows.

use super::Config;
use super::choices::{AverageKind, Constraint, CurriculumBy, OptimizerName, ScheduleName, WeightKind};
use super::layers::LayerSpec;
use super::weights;
use crate::error::{Error, Result};

/// A setting that L-BFGS cannot do with: its name, whether it is on, why not, and what turns it off.
type Obstacle = (&'static str, fn(&Config) -> bool, &'static str, &'static str);

const ANOTHER_EACH_TIME: &str = "the loss would be another function at each of its evaluations";
const ALL_ROWS: &str = "every step takes all training rows already";
const AS_IT_IS: &str = "its line search needs the gradient of the very function that it evaluates";
const LINE_SEARCH: &str = "a line search finds the length of each step";

#[rustfmt::skip]
const OBSTACLES: &[Obstacle] = &[
    ("dropout", |c| has(c, |l| matches!(l, LayerSpec::Dropout { rate } if *rate > 0.0)), ANOTHER_EACH_TIME,
        "--set network.dropout=0, or network.layers without dropout"),
    ("drop_connect", |c| has(c, |l| matches!(l, LayerSpec::Dense { drop_connect, .. } if *drop_connect > 0.0)),
        ANOTHER_EACH_TIME, "--set network.drop_connect=0, or network.layers without drop_connect"),
    ("gaussian_noise", |c| has(c, |l| matches!(l, LayerSpec::GaussianNoise { std } if *std > 0.0)),
        ANOTHER_EACH_TIME, "--set network.input_noise=0, or network.layers without gaussian_noise"),
    ("augment.jitter", |c| c.augment.jitter > 0.0, ANOTHER_EACH_TIME, "--set augment.jitter=0"),
    ("augment.mixup", |c| c.augment.mixup > 0.0, ANOTHER_EACH_TIME, "--set augment.mixup=0"),
    ("noise.labels", |c| c.noise.labels > 0.0, ANOTHER_EACH_TIME, "--set noise.labels=0"),
    ("noise.weights", |c| c.noise.weights > 0.0, ANOTHER_EACH_TIME, "--set noise.weights=0"),
    ("curriculum.by", |c| c.curriculum.by != CurriculumBy::None, ANOTHER_EACH_TIME, "--set curriculum.by=none"),
    ("noise.gradients", |c| c.noise.gradients > 0.0, AS_IT_IS, "--set noise.gradients=0"),
    ("train.clip_value", |c| c.train.clip_value > 0.0, AS_IT_IS, "--set train.clip_value=0"),
    ("train.clip_norm", |c| c.train.clip_norm > 0.0, AS_IT_IS, "--set train.clip_norm=0"),
    ("batch_norm", |c| has(c, |l| matches!(l, LayerSpec::BatchNorm { .. })),
        "its running statistics cannot follow steps as long as these",
        "--set network.norm=layer, or network.layers with layer_norm in its place"),
    ("an L1 penalty", |c| c.optimizer.l1 > 0.0 || has(c, |l| matches!(l, LayerSpec::Dense { l1: Some(l1), .. } if *l1 > 0.0)),
        "it has a kink at zero, where there is no gradient", "--set optimizer.l1=0; optimizer.l2 works"),
    ("a constraint", |c| c.optimizer.constraint != Constraint::None || has(c, is_constrained),
        "its steps lead where the function has its minimum, allowed or not",
        "--set optimizer.constraint=none; optimizer.l2 works"),
    ("binary weights", |c| weights::any(c, WeightKind::Binary), AS_IT_IS, "--set weights.kind=continuous"),
    ("pruning", |c| weights::any(c, WeightKind::Sparse) && c.weights.sparsity > 0.0,
        "every cut of weights makes another function of the rest", "--set weights.kind=continuous"),
    ("train.accumulate", |c| c.train.accumulate > 1, ALL_ROWS, "--set train.accumulate=1"),
    ("schedule.name", |c| c.schedule.name != ScheduleName::Constant, LINE_SEARCH, "--set schedule.name=constant"),
    ("schedule.warmup", |c| c.schedule.warmup > 0.0, LINE_SEARCH, "--set schedule.warmup=0"),
    ("schedule.cuts", |c| !c.schedule.cuts.is_empty(), LINE_SEARCH, "--set schedule.cuts=[]"),
    ("lr_factor", |c| has(c, |l| l.lr_factors() != [1.0; 2]), "a line search finds one length for the whole step",
        "network.layers without lr_factor and bias_lr_factor"),
    ("average.kind", |c| c.average.kind != AverageKind::None,
        "its steps lead to a minimum, and a mean of where they have been leads away from it",
        "--set average.kind=none"),
];

fn is_constrained(layer: &LayerSpec) -> bool {
    matches!(layer, LayerSpec::Dense { constraint: Some(constraint), .. } if *constraint != Constraint::None)
}

/// Refuses what the optimiser `lbfgs` cannot do with.
pub(super) fn check(config: &Config) -> Result<()> {
    if config.optimizer.name != OptimizerName::Lbfgs {
        return Ok(());
    }
    match OBSTACLES.iter().find(|(_, is_on, ..)| is_on(config)) {
        None => Ok(()),
        Some((name, _, why, remedy)) => {
            Err(Error::setting(format!("`optimizer.name` = \"lbfgs\" cannot do with {name}: {why}"), *remedy))
        }
    }
}

fn has(config: &Config, is: fn(&LayerSpec) -> bool) -> bool {
    config.expanded_layers().iter().any(|layer| layer.any(&is))
}
