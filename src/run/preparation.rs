//! What is told of the preparation: the steps of each kind of column, what was joined or drawn, and a skewed target.

use super::choice::Choice;
use crate::config::{CategoryEncoding, Config, DatePart, StepSpec, TargetScale};
use crate::data::words::{counted, listed, thousands};
use crate::data::{FittedColumn, Labels, Pipeline, PipelineOptions, Split, Target};
use crate::profile::moments::moments;

/// The skewness from which a target's logarithm or power is worth a trial: that of a logarithmic normal distribution whose
/// logarithm has a standard deviation of about 0.31.
const SKEWED: f64 = 1.0;

/// The choices about the columns that there are, and about the target.
pub(super) fn choices(
    config: &Config,
    pipeline: &Pipeline,
    options: &PipelineOptions,
    labels: &Labels,
    split: &Split,
) -> Vec<Choice> {
    let is_number = |c: &&FittedColumn| !matches!(c, FittedColumn::Category { .. });
    let (numbers, categories): (Vec<_>, Vec<_>) = pipeline.columns().iter().partition(is_number);
    let mut choices = Vec::new();
    if !numbers.is_empty() {
        let short = "prepare.impute and prepare.scale";
        let by = if config.prepare.numbers.is_empty() { short } else { "prepare.numbers" };
        let other = if options.numbers.contains(&StepSpec::Standard) { "quantile" } else { "standard" };
        let instead = match config.prepare.numbers.len() {
            0 => format!("--set prepare.scale={other}"),
            _ => "--set 'prepare.numbers=[]'".to_owned(),
        };
        choices.push(steps("numbers", &options.numbers, by, &numbers, options, instead));
    }
    choices.extend(dates(config, &numbers));
    if !categories.is_empty() {
        let by =
            if config.prepare.categories.is_empty() { "embedding.categories" } else { "prepare.categories" };

        let joined = joined(&categories);
        let instead = match config.prepare.categories.len() {
            // What was joined unasked comes before a mere alternative.
            0 if !joined.is_empty() => "--set prepare.max_categories=0".to_owned(),
            0 => "--set data.columns.NAME.encode=target".to_owned(),
            _ => "--set 'prepare.categories=[]'".to_owned(),
        };
        let mut told = steps("categories", &options.categories, by, &categories, options, instead);
        told.reason += &joined;
        let plain = config.embedding.one_hot_up_to;
        if config.prepare.categories.is_empty()
            && config.embedding.categories == CategoryEncoding::Embedding
            && plain > 0
        {
            told.reason += &format!("; one-hot up to embedding.one_hot_up_to = {plain} categories");
        }
        choices.push(told);
    }
    if let Some(neighbors) = pipeline.neighbors() {
        let (kept, n) = (neighbors.n_rows(), split.train.rows().len());
        if kept < n {
            choices.push(Choice {
                subject: "neighbours".into(),
                choice: format!("{} of {}", thousands(kept), counted(n, "training row")),
                reason: "drawn by the seed: they are a part of the model, and every missing number is held against all of them".into(),
                instead: "--set prepare.impute=median".into(),
            });
        }
    }
    choices.extend(target(config, labels, split));
    choices
}

/// What dates become, and what of it is left out.
fn dates(config: &Config, columns: &[&FittedColumn]) -> Option<Choice> {
    let of_date = |column: &&FittedColumn| match column {
        FittedColumn::Date(date) => Some(date.clone()),
        _ => None,
    };
    let dates: Vec<_> = columns.iter().filter_map(of_date).collect();
    let asked = &config.prepare.dates;
    let lacks = |part: &DatePart| dates.iter().all(|date| date.parts.iter().all(|has| has.part != *part));
    let (out, kept): (Vec<DatePart>, Vec<DatePart>) = asked.iter().partition(|part| lacks(part));
    let names = |parts: &[DatePart]| parts.iter().map(|part| part.name()).collect::<Vec<_>>().join(", ");
    let left_out = match out.len() {
        0 => String::new(),
        1 => format!("; {} is the same in all training rows and left out", names(&out)),
        _ => format!("; {} are the same in all training rows and left out", names(&out)),
    };
    dates.first()?;
    let instead = if kept == [DatePart::Days] { "['days', 'year']" } else { "['days']" };
    Some(Choice {
        subject: "dates".into(),
        choice: names(&kept),
        reason: format!("as prepare.dates says{left_out}"),
        instead: format!("--set \"prepare.dates={instead}\""),
    })
}

/// The steps of a kind of column, as the settings have them.
fn steps(
    subject: &str,
    steps: &[StepSpec],
    by: &str,
    columns: &[&FittedColumn],
    options: &PipelineOptions,
    instead: String,
) -> Choice {
    // A limit that no column reaches is no step worth a word.
    let has_joined = columns.iter().any(|c| is_joined(c));
    let shown = steps.iter().filter(|step| has_joined || !is_limit(step)).map(StepSpec::name);
    let own: Vec<&str> =
        columns.iter().map(|c| c.column()).filter(|name| options.columns.contains_key(*name)).collect();
    let own = match own.len() {
        0 => String::new(),
        1 => format!("; {} has its own", listed(own)),
        _ => format!("; {} have their own", listed(own)),
    };
    Choice {
        subject: subject.into(),
        choice: shown.collect::<Vec<_>>().join(", "),
        reason: format!("as {by} {}{own}", if by.contains(" and ") { "say" } else { "says" }),
        instead,
    }
}

fn is_limit(step: &StepSpec) -> bool {
    matches!(step, StepSpec::Rare { min_frequency, .. } if *min_frequency == 0.0)
}

fn is_joined(column: &FittedColumn) -> bool {
    matches!(column, FittedColumn::Category { levels, .. } if !levels.rare.is_empty())
}

/// Which columns have categories that share a place, in words behind a reason.
fn joined(columns: &[&FittedColumn]) -> String {
    let of = |column: &&FittedColumn| match column {
        FittedColumn::Category { column, levels, .. } if !levels.rare.is_empty() => {
            let (rare, all) = (levels.rare.len(), levels.rare.len() + levels.names.len());
            Some(format!("{} of {} of `{column}`", thousands(rare), thousands(all)))
        }
        _ => None,
    };
    let joined: Vec<String> = columns.iter().filter_map(of).collect();
    if joined.is_empty() {
        return String::new();
    }
    format!("; categories joined as rare: {}", joined.join(", "))
}

/// That a target is skewed and scaled in a straight line, or along which curve it is scaled.
fn target(config: &Config, labels: &Labels, split: &Split) -> Option<Choice> {
    let Target::Values(values) = &labels.target else { return None };
    let told = |choice: String, reason: String, instead: &str| {
        Some(Choice { subject: "target".into(), choice, reason, instead: instead.into() })
    };
    match config.prepare.target_scale {
        TargetScale::None | TargetScale::Standard => {
            let train: Vec<f64> = split.train.rows().iter().map(|&row| values[row as usize]).collect();
            let skewness = moments(&train).skewness.filter(|skewness| skewness.abs() >= SKEWED)?;
            let reason = format!(
                "it is skewed ({skewness:.1}); whether a curve serves better, `statera ablate` tells"
            );
            let other = if train.iter().all(|y| *y >= 0.0) && skewness > 0.0 { "log" } else { "yeo_johnson" };
            told(config.prepare.target_scale.to_string(), reason, &format!("--set prepare.target_scale={other}"))
        }
        curve => told(
            curve.to_string(),
            "as prepare.target_scale says; the loss is that of the scaled target, metrics are in its own unit, and \
             predictions stay within the range of the training rows, widened by half"
                .into(),
            "--set prepare.target_scale=standard",
        ),
    }
}
