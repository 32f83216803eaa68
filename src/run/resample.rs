//! What is done about classes of few training rows: whether it can be done here, and the rows that come of it.

use std::ops::Range;

use statera_kernels::Scalar;

use super::choice::Choice;
use super::plan::Plan;
use crate::config::{Config, ImbalanceConfig, ImbalanceKind};
use crate::data::split::MIN_TRAIN;
use crate::data::words::{shown, thousands};
use crate::data::{ColumnKind, FeatureKind, Labels, Pipeline, Schema, Target, TrainRows};
use crate::error::{Error, Result};
use crate::train::fit::{OwnedTargets, Rows};
use crate::train::resample::{ClassRows, Inputs, counts, resample, wanted};

/// What the inputs of prepared rows are: numbers, and what stands together for a category.
///
/// The parts of a date are numbers. All inputs of a category column stand together, and a mark of missing cells stands
/// alone.
fn inputs(schema: &Schema, pipeline: &Pipeline) -> Inputs {
    let features = pipeline.features();
    let mut found = Inputs { n: features.len(), ..Inputs::default() };
    let mut block: Option<(&str, Range<usize>)> = None;
    for (i, feature) in features.iter().enumerate() {
        let kind = schema.get(&feature.column).map(|column| column.kind);
        let is_date_part = || feature.name.starts_with(&format!("{}.", feature.column));
        match (feature.kind, kind) {
            (_, Some(ColumnKind::Category)) => match &mut block {
                Some((column, range)) if *column == feature.column => range.end = i + 1,
                _ => {
                    found.categories.extend(block.take().map(|(_, range)| range.collect()));
                    block = Some((&feature.column, i..i + 1));
                }
            },
            (FeatureKind::Part, Some(ColumnKind::Date)) if is_date_part() => found.numbers.push(i),
            (FeatureKind::Code { .. } | FeatureKind::Part, _) => found.categories.push(vec![i]),
            _ => found.numbers.push(i),
        }
    }
    found.categories.extend(block.map(|(_, range)| range.collect::<Vec<_>>()));
    found
}

/// Refuses what cannot be done with this table, with the key, the reason and what works; tells what is done.
pub(super) fn choice(
    config: &Config,
    schema: &Schema,
    pipeline: &Pipeline,
    labels: &Labels,
    train: &TrainRows,
) -> Result<Option<Choice>> {
    let settings = &config.imbalance;
    let kind = settings.kind;
    if kind == ImbalanceKind::None {
        return Ok(None);
    }
    let Target::Classes { codes, classes } = &labels.target else {
        return Err(Error::setting(
            format!(
                "imbalance.kind is {kind}: column {} is a number and has no classes of few rows",
                shown(&labels.column)
            ),
            "--set imbalance.kind=none; data.weight makes single rows count for more",
        ));
    };
    check_inputs(kind, &inputs(schema, pipeline), pipeline)?;
    let before = counts(train.rows().iter().map(|&row| codes[row as usize]), classes.len());
    let after = wanted(&before, settings);
    let [n_before, n_after] = [&before, &after].map(|counts| counts.iter().sum::<usize>());
    if n_after < MIN_TRAIN {
        return Err(Error::setting(
            format!(
                "imbalance.kind is {kind}: of {n_before} training rows it leaves {n_after}; the least are {MIN_TRAIN}"
            ),
            "a smaller imbalance.ratio, or --set imbalance.kind=oversample",
        ));
    }
    let by_neighbours = matches!(kind, ImbalanceKind::Smote | ImbalanceKind::SmoteNc);
    let made = |class: &usize| after[*class] > before[*class];
    if let Some(class) = (0..classes.len()).filter(made).find(|&class| by_neighbours && before[class] < 2) {
        return Err(Error::setting(
            format!(
                "imbalance.kind is {kind}: class {} has a single training row, and without another there is nothing \
                 between",
                shown(&classes[class])
            ),
            match config.split.folds {
                0 => "--set imbalance.kind=oversample".to_owned(),
                n => format!(
                    "more folds, which each train on more rows, as --folds {}; or --set imbalance.kind=oversample",
                    2 * n
                ),
            },
        ));
    }
    let few: Vec<String> = (0..classes.len())
        .filter(made)
        .filter(|&class| by_neighbours && before[class] <= settings.k_neighbors)
        .map(|class| {
            format!(
                "{} has {} neighbours of {}",
                shown(&classes[class]),
                before[class] - 1,
                settings.k_neighbors
            )
        })
        .collect();
    Ok(Some(told(settings, classes, [&before, &after], &few)))
}

fn check_inputs(kind: ImbalanceKind, inputs: &Inputs, pipeline: &Pipeline) -> Result<()> {
    let first =
        |inputs: &Inputs| inputs.categories.first().map(|category| &pipeline.features()[category[0]].column);
    match (kind, first(inputs)) {
        (ImbalanceKind::Smote, Some(column)) => Err(Error::setting(
            format!(
                "imbalance.kind is smote, but inputs of column {} are those of a category or mark missing cells: between \
                 two of them nothing lies",
                shown(column)
            ),
            "--set imbalance.kind=smote_nc",
        )),
        (ImbalanceKind::SmoteNc, None) => Err(Error::setting(
            "imbalance.kind is smote_nc, but all inputs are numbers",
            "--set imbalance.kind=smote",
        )),
        (ImbalanceKind::SmoteNc, _) if inputs.numbers.is_empty() => Err(Error::setting(
            "imbalance.kind is smote_nc, but no input is a number, and so no row is nearer than another",
            "--set imbalance.kind=oversample",
        )),
        _ => Ok(()),
    }
}

fn told(
    settings: &ImbalanceConfig,
    classes: &[String],
    [before, after]: [&[usize]; 2],
    few: &[String],
) -> Choice {
    const MOST: usize = 5;
    let [n_before, n_after] = [before, after].map(|counts| counts.iter().sum::<usize>());
    let instead = "--set imbalance.kind=none";
    if before == after {
        let reason =
            format!("no class is rarer than imbalance.ratio = {} of the most frequent", settings.ratio);
        return Choice::of("imbalance", format!("{}: nothing to do", settings.kind), reason, instead);
    }
    let changed = (0..classes.len()).filter(|&class| before[class] != after[class]);
    let changed: Vec<String> = changed
        .map(|class| {
            format!("{} {} → {}", shown(&classes[class]), thousands(before[class]), thousands(after[class]))
        })
        .collect();
    let mut reason = changed.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if changed.len() > MOST {
        reason += &format!(" and {} more", changed.len() - MOST);
    }
    if !few.is_empty() {
        reason += &format!("; {}", few.join(", "));
    }
    reason += "; validation and test rows stay as they are, so probabilities come out too high for rare classes: judge \
               by ranks or by what is found (roc_auc, recall), not by log_loss";
    let choice = format!("{}, {} → {} training rows", settings.kind, thousands(n_before), thousands(n_after));
    Choice::of("imbalance", choice, reason, instead)
}

/// Whether the plan's training rows are others than those of its split.
pub(crate) fn changes(plan: &Plan) -> bool {
    let Target::Classes { codes, classes } = &plan.labels.target else { return false };
    let before = counts(plan.split.train.rows().iter().map(|&row| codes[row as usize]), classes.len());
    wanted(&before, &plan.config.imbalance) != before
}

/// The training rows of a plan that makes some or leaves some out.
pub(super) fn rows<T: Scalar>(plan: &Plan) -> Result<Rows<T>> {
    let train = plan.split.train.rows();
    let Target::Classes { codes, classes } = &plan.labels.target else {
        return plan.prepared(train);
    };
    let rows = ClassRows {
        x: plan.inputs(train)?,
        classes: train.iter().map(|&row| codes[row as usize]).collect(),
        weights: plan
            .weights
            .as_ref()
            .map(|weights| train.iter().map(|&row| weights[row as usize]).collect()),
    };
    let inputs = inputs(&plan.schema, &plan.pipeline);
    let rows = resample(rows, &inputs, classes.len(), &plan.config.imbalance, plan.config.seed);
    let from = |numbers: Vec<f64>| numbers.into_iter().map(T::from_f64).collect::<Vec<T>>();
    let targets = OwnedTargets::Classes(rows.classes);
    let targets = match rows.weights {
        None => targets,
        Some(weights) => targets.weighted(from(weights)),
    };
    Ok(Rows { x: from(rows.x), targets })
}
