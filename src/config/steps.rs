//! The steps that prepare a column: their settings as a table, the type they are read into, the short forms that stand
//! for lists of them, and which lists make sense.

use serde::{Deserialize, Serialize};

use super::choices::{CategoryEncoding, Encode, Impute, NeighborWeights, QuantileOutput, Scale};
use super::fault::key_segment;
use super::keys::{ANY, Key, Kind, MAX_BUCKETS, NOT_NEGATIVE, UNIT, key, unset};
use super::layers::Variant;
use super::{ColumnConfig, Config, PrepareConfig};
use crate::error::{Error, Result};

const INDICATOR: Key = key(
    "indicator",
    Kind::Bool,
    "true",
    "Whether missing cells, if training rows have any, are marked by a second input.",
);

/// Every step that a list can hold, by its `step`.
#[rustfmt::skip]
pub static STEPS: &[Variant] = &[
    Variant::new("median", "Missing numbers become the median of the training rows.", &[INDICATOR]),
    Variant::new("mean", "Missing numbers become the mean of the training rows.", &[INDICATOR]),
    Variant::new("most_frequent", "Missing cells become the most frequent value of the training rows, the smallest of several.", &[INDICATOR]),
    Variant::new("constant", "Missing numbers become this number.", &[
        key("value", ANY, "0.0", "The number."),
        INDICATOR,
    ]),
    Variant::new("knn", "Missing numbers become the mean of those of the nearest training rows, by the number and date columns that both have; it comes first.", &[
        key("n_neighbors", Kind::Int { min: 1, max: 1000 }, "5", "How many rows."),
        key("weights", Kind::Choice(NeighborWeights::NAMES), "'uniform'", "Whether nearer ones count more."),
        INDICATOR,
    ]),
    Variant::new("winsorize", "Numbers beyond two quantiles of the training rows are brought back to them.", &[
        key("low", UNIT, "0.01", "The lower quantile, as a share of the rows."),
        key("high", UNIT, "0.99", "The upper quantile."),
    ]),
    Variant::new("log", "The sign of x times ln(1 + |x|).", &[
        key("signed", Kind::Bool, "false", "Whether training rows may hold numbers below 0, which are refused otherwise."),
    ]),
    Variant::new("yeo_johnson", "The power of Yeo & Johnson 2000 under which the training rows are most like a normal distribution.", &[]),
    Variant::new("standard", "Less the mean, divided by the standard deviation.", &[]),
    Variant::new("min_max", "To 0 at the smallest number of the training rows, 1 at the largest.", &[]),
    Variant::new("robust", "Less the median, divided by the distance of the quartiles.", &[
        key("clip", Kind::Bool, "true", "Whether the result is drawn smoothly into (-3, 3), as in RealMLP."),
    ]),
    Variant::new("quantile", "To the place among the quantiles of the training rows, which spreads the numbers like a normal or uniform distribution.", &[
        key("n_quantiles", Kind::Int { min: 2, max: 100_000 }, "1000", "The most quantiles that are kept; between them a straight line."),
        key("output", Kind::Choice(QuantileOutput::NAMES), "'normal'", "The distribution."),
    ]),
    Variant::new("rare", "Rare categories of the training rows become one, which those that training lacks join.", &[
        key("min_frequency", NOT_NEGATIVE, "0.01", "A category is rare below so many training rows, or, below 1, below this share of them."),
        key("max_categories", Kind::Int { min: 0, max: 1_000_000 }, "0", "The most categories that are left, the rare ones counted as one; 0 for no limit."),
    ]),
    Variant::new("one_hot", "An input for each category, 1 where the cell is of it.", &[]),
    Variant::new("embedding", "A learned vector for each category.", &[
        key("one_hot_up_to", Kind::Int { min: 0, max: 1_000_000 }, "0", "The most categories of a column that is one-hot all the same."),
    ]),
    Variant::new("ordinal", "The category's number in their order, from 0 on; -1 for one that training lacks.", &[]),
    Variant::new("count", "How many training rows are of the category; 0 for one that training lacks.", &[
        key("normalize", Kind::Bool, "true", "Whether it is the share of the training rows in place of their number."),
    ]),
    Variant::new("target", "The mean target of the category's training rows, drawn to that of all as far as few rows say it; a training row is encoded by rows of other folds.", &[
        key("folds", Kind::Int { min: 2, max: 100 }, "5", "Folds that the training rows are dealt out to."),
        unset("smooth", NOT_NEGATIVE, "Rows that the mean of all counts for; unset is found from the data."),
    ]),
    Variant::new("hashing", "An input for each of some buckets, 1 for the one that SHA-256 puts the category into; nothing is fitted.", &[
        key("n_buckets", Kind::Int { min: 2, max: MAX_BUCKETS }, "16", "How many buckets."),
    ]),
];

/// One step of the preparation of a column, before it is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum StepSpec {
    /// Missing numbers become the median.
    Median {
        /// Whether they are marked.
        indicator: bool,
    },
    /// Missing numbers become the mean.
    Mean {
        /// Whether they are marked.
        indicator: bool,
    },
    /// Missing cells become the most frequent value.
    MostFrequent {
        /// Whether they are marked.
        indicator: bool,
    },
    /// Missing numbers become one number.
    Constant {
        /// The number.
        value: f64,
        /// Whether they are marked.
        indicator: bool,
    },
    /// Missing numbers become the mean of the nearest rows'.
    Knn {
        /// How many rows.
        n_neighbors: usize,
        /// How much each counts.
        weights: NeighborWeights,
        /// Whether they are marked.
        indicator: bool,
    },
    /// Numbers are brought back between two quantiles.
    Winsorize {
        /// The lower.
        low: f64,
        /// The upper.
        high: f64,
    },
    /// sign(x)·ln(1 + |x|).
    Log {
        /// Whether negative numbers are expected.
        signed: bool,
    },
    /// A fitted power.
    YeoJohnson,
    /// Mean 0, deviation 1.
    Standard,
    /// From 0 to 1.
    MinMax,
    /// Median 0, interquartile range 1.
    Robust {
        /// Whether it is drawn into (−3, 3).
        clip: bool,
    },
    /// The place among quantiles.
    Quantile {
        /// The most quantiles.
        n_quantiles: usize,
        /// The distribution that comes out.
        output: QuantileOutput,
    },
    /// Rare categories become one.
    Rare {
        /// Below so many rows, or this share of them.
        min_frequency: f64,
        /// The most that are left; 0 for no limit.
        max_categories: usize,
    },
    /// An input a category.
    OneHot,
    /// A vector a category.
    Embedding {
        /// The most categories that are one-hot all the same.
        one_hot_up_to: usize,
    },
    /// The category's number.
    Ordinal,
    /// How frequent the category is.
    Count {
        /// As a share.
        normalize: bool,
    },
    /// The mean target.
    Target {
        /// Folds of the training rows.
        folds: usize,
        /// Rows that the mean of all counts for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        smooth: Option<f64>,
    },
    /// An input a bucket.
    Hashing {
        /// How many.
        n_buckets: usize,
    },
}

/// What a step has to see to be fitted, besides the settings. All but the last two can be fitted with one column of the
/// table in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Its column.
    Column,
    /// Its column and the target.
    Target,
    /// All columns of numbers and days.
    Numbers,
}

/// What a step does, as far as its place in a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Fills in missing cells.
    Impute,
    /// Makes another number of a number.
    Number,
    /// Joins categories.
    Join,
    /// Makes numbers of categories, with which number steps can go on.
    Encode,
    /// Makes inputs of categories, after which nothing comes.
    EncodeLast,
}

impl StepSpec {
    /// The name that stands for this kind in files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Median { .. } => "median",
            Self::Mean { .. } => "mean",
            Self::MostFrequent { .. } => "most_frequent",
            Self::Constant { .. } => "constant",
            Self::Knn { .. } => "knn",
            Self::Winsorize { .. } => "winsorize",
            Self::Log { .. } => "log",
            Self::YeoJohnson => "yeo_johnson",
            Self::Standard => "standard",
            Self::MinMax => "min_max",
            Self::Robust { .. } => "robust",
            Self::Quantile { .. } => "quantile",
            Self::Rare { .. } => "rare",
            Self::OneHot => "one_hot",
            Self::Embedding { .. } => "embedding",
            Self::Ordinal => "ordinal",
            Self::Count { .. } => "count",
            Self::Target { .. } => "target",
            Self::Hashing { .. } => "hashing",
        }
    }

    /// What it does.
    pub fn family(&self) -> Family {
        match self {
            Self::Median { .. }
            | Self::Mean { .. }
            | Self::MostFrequent { .. }
            | Self::Constant { .. }
            | Self::Knn { .. } => Family::Impute,
            Self::Winsorize { .. }
            | Self::Log { .. }
            | Self::YeoJohnson
            | Self::Standard
            | Self::MinMax
            | Self::Robust { .. }
            | Self::Quantile { .. } => Family::Number,
            Self::Rare { .. } => Family::Join,
            Self::Ordinal | Self::Count { .. } | Self::Target { .. } => Family::Encode,
            Self::OneHot | Self::Embedding { .. } | Self::Hashing { .. } => Family::EncodeLast,
        }
    }

    /// What it has to see to be fitted.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Knn { .. } => Needs::Numbers,
            Self::Target { .. } => Needs::Target,
            _ => Needs::Column,
        }
    }

    /// Whether it makes inputs or numbers of categories.
    pub fn encodes(&self) -> bool {
        matches!(self.family(), Family::Encode | Family::EncodeLast)
    }

    /// The step that the short form `prepare.impute` stands for.
    pub fn of_impute(impute: Impute, indicator: bool) -> Self {
        match impute {
            Impute::Median => Self::Median { indicator },
            Impute::Mean => Self::Mean { indicator },
            Impute::MostFrequent => Self::MostFrequent { indicator },
            Impute::Zero => Self::Constant { value: 0.0, indicator },
            Impute::Knn => Self::Knn { n_neighbors: 5, weights: NeighborWeights::Uniform, indicator },
        }
    }

    /// The steps that the short form `scale` stands for.
    pub fn of_scale(scale: Scale) -> Vec<Self> {
        match scale {
            Scale::Standard => vec![Self::Standard],
            Scale::MinMax => vec![Self::MinMax],
            Scale::Robust => vec![Self::Robust { clip: true }],
            Scale::Quantile => vec![Self::Quantile { n_quantiles: 1000, output: QuantileOutput::Normal }],
            Scale::Log => vec![Self::Log { signed: true }, Self::Standard],
            Scale::YeoJohnson => vec![Self::YeoJohnson, Self::Standard],
            Scale::None => Vec::new(),
        }
    }

    /// The steps of a category that the short form `encode` stands for; none for what is said of numbers.
    pub fn of_encode(encode: Encode, max_categories: usize) -> Option<Vec<Self>> {
        match encode {
            Encode::OneHot => Some(one_hot(max_categories)),
            Encode::Embedding => Some(vec![Self::Embedding { one_hot_up_to: 0 }]),
            Encode::Ordinal => Some(vec![Self::Ordinal, Self::Standard]),
            Encode::Count => Some(vec![Self::Count { normalize: true }, Self::Standard]),
            Encode::Hashing => Some(vec![Self::Hashing { n_buckets: 16 }]),
            Encode::Target => Some(vec![Self::Target { folds: 5, smooth: None }, Self::Standard]),
            Encode::None | Encode::Plr | Encode::Pbld | Encode::Ple => None,
        }
    }
}

fn one_hot(max_categories: usize) -> Vec<StepSpec> {
    let rare = (max_categories > 0).then_some(StepSpec::Rare { min_frequency: 0.0, max_categories });
    rare.into_iter().chain([StepSpec::OneHot]).collect()
}

impl Config {
    /// The steps of number columns, and of the days of date columns, that have none of their own.
    pub fn steps_of_numbers(&self) -> Vec<StepSpec> {
        let steps = &self.prepare.numbers;
        let steps = if steps.is_empty() { StepSpec::of_scale(self.prepare.scale) } else { steps.clone() };
        self.imputed(steps)
    }

    /// The steps of category columns that have none of their own.
    pub fn steps_of_categories(&self) -> Vec<StepSpec> {
        if !self.prepare.categories.is_empty() {
            return self.prepare.categories.clone();
        }
        match self.embedding.categories {
            CategoryEncoding::OneHot => one_hot(self.prepare.max_categories),
            CategoryEncoding::Embedding => {
                vec![StepSpec::Embedding { one_hot_up_to: self.embedding.one_hot_up_to }]
            }
        }
    }

    /// The steps that are set for one column, and the setting that they come from; none for those of its kind.
    pub fn steps_of_column(&self, column: &ColumnConfig) -> Option<(&'static str, Vec<StepSpec>)> {
        if let Some(steps) = &column.steps {
            let is_of_category = steps.iter().any(StepSpec::encodes);
            return Some(("steps", if is_of_category { steps.clone() } else { self.imputed(steps.clone()) }));
        }
        if let Some(scale) = column.scale {
            return Some(("scale", self.imputed(StepSpec::of_scale(scale))));
        }
        let steps = StepSpec::of_encode(column.encode?, self.prepare.max_categories)?;
        Some(("encode", steps))
    }

    /// The same settings with the lists of steps in place of the short forms that stand for them.
    pub(super) fn with_steps(&self) -> Self {
        let defaults = Self::default();
        let mut config = self.clone();
        config.prepare = PrepareConfig {
            numbers: self.steps_of_numbers(),
            categories: self.steps_of_categories(),
            dates: self.prepare.dates.clone(),
            target_scale: self.prepare.target_scale,
            ..defaults.prepare
        };
        (config.embedding.categories, config.embedding.one_hot_up_to) =
            (defaults.embedding.categories, defaults.embedding.one_hot_up_to);
        for column in config.data.columns.values_mut() {
            // What is left as it is may be a category.
            if column.scale == Some(Scale::None) {
                continue;
            }
            let Some((setting, steps)) = self.steps_of_column(column) else { continue };
            if setting == "encode" {
                column.encode = None;
            }
            (column.scale, column.steps) = (None, Some(steps));
        }
        config
    }

    /// The steps with the imputation of the table before them, if they have none.
    fn imputed(&self, mut steps: Vec<StepSpec>) -> Vec<StepSpec> {
        if !steps.iter().any(|step| step.family() == Family::Impute) {
            steps.insert(0, StepSpec::of_impute(self.prepare.impute, self.prepare.indicators));
        }
        steps
    }
}

/// Refuses lists that make no sense whatever the table, and short forms beside them that would say nothing.
pub(super) fn check(config: &Config) -> Result<()> {
    let prepare = &config.prepare;
    check_list("prepare.numbers", &prepare.numbers)?;
    if let Some(step) = prepare.numbers.iter().find(|step| step.encodes() || step.family() == Family::Join) {
        return Err(Error::setting(
            format!("`prepare.numbers`: {} is a step of categories", step.name()),
            format!("prepare.categories = [\"{}\"]", step.name()),
        ));
    }
    let dates = &prepare.dates;
    if let Some(twice) =
        dates.iter().enumerate().find_map(|(i, part)| dates[..i].contains(part).then_some(part))
    {
        return Err(Error::setting(format!("`prepare.dates` holds {twice} twice"), "name every part once"));
    }
    if dates.is_empty() {
        return Err(Error::setting(
            "`prepare.dates` = [] leaves nothing of a date",
            "prepare.dates = [\"days\"]; a column is left out by data.columns.NAME.drop = true",
        ));
    }
    check_list("prepare.categories", &prepare.categories)?;
    if let (Some(first), false) =
        (prepare.categories.first(), prepare.categories.iter().any(StepSpec::encodes))
    {
        return Err(lacks_encoding("prepare.categories", first));
    }
    let has_imputer = |steps: &[StepSpec]| steps.iter().any(|step| step.family() == Family::Impute);
    let of_columns = config.data.columns.values();
    let imputes = |c: &ColumnConfig| c.scale.is_some() || c.steps.as_ref().is_some_and(|s| !has_imputer(s));
    if has_imputer(&prepare.numbers) && !of_columns.clone().any(imputes) {
        let default = Config::default().prepare;
        let idle = [
            ("prepare.impute", prepare.impute.to_string(), prepare.impute != default.impute),
            ("prepare.indicators", prepare.indicators.to_string(), prepare.indicators != default.indicators),
        ];
        if let Some((key, value, _)) = idle.into_iter().find(|(.., is_set)| *is_set) {
            return Err(Error::setting(
                format!(
                    "`{key}` = {value} has no effect: prepare.numbers says how missing cells are filled in"
                ),
                format!("leave `{key}` out, or the imputing step of prepare.numbers"),
            ));
        }
    }
    for (name, column) in &config.data.columns {
        let Some(steps) = &column.steps else { continue };
        let place = format!("data.columns.{}", key_segment(name));
        check_list(&format!("{place}.steps"), steps)?;
        let beside = column.scale.map(|scale| ("scale", scale.to_string())).or_else(|| {
            let encode = column.encode?;
            StepSpec::of_encode(encode, 0).map(|_| ("encode", encode.to_string()))
        });
        if let Some((other, value)) = beside {
            return Err(Error::setting(
                format!(
                    "`{place}.{other}` = \"{value}\" is the short form of steps, which `{place}.steps` lists"
                ),
                format!("leave `{place}.{other}` out, or `{place}.steps`"),
            ));
        }
    }
    Ok(())
}

/// The order of a list: imputation once, categories joined before they are encoded, encoded once, nothing after inputs.
fn check_list(setting: &str, steps: &[StepSpec]) -> Result<()> {
    let fault = |i: usize, what: String, remedy: String| {
        Err(Error::setting(format!("`{setting}`, step {} ({}): {what}", i + 1, steps[i].name()), remedy))
    };
    let leave_out = |i: usize| format!("leave {} out", steps[i].name());
    let encoded = steps.iter().position(StepSpec::encodes);
    for (i, step) in steps.iter().enumerate() {
        let before = &steps[..i];
        match step.family() {
            Family::Impute if before.iter().any(|step| step.family() == Family::Impute) => {
                return fault(i, "the step before has left no cell missing".into(), leave_out(i));
            }
            Family::Impute if i > 0 && encoded.is_none() && matches!(step, StepSpec::Knn { .. }) => {
                let what = "it looks at the cells as they are, so it comes first".to_owned();
                return fault(i, what, format!("[\"knn\", \"{}\"]", steps[0].name()));
            }
            Family::Impute if encoded.is_some() && !matches!(step, StepSpec::MostFrequent { .. }) => {
                let what = "of categories only the most frequent can fill in; else missing is one of its own";
                return fault(
                    i,
                    what.into(),
                    format!("most_frequent in place of {}, or no step", step.name()),
                );
            }
            Family::Impute | Family::Join if encoded.is_some_and(|at| at < i) => {
                let what = format!("after {} there are no categories", before[encoded.unwrap_or(0)].name());
                return fault(i, what, format!("[\"{}\", \"{}\"]", step.name(), before[0].name()));
            }
            Family::Join if before.iter().any(|step| step.family() == Family::Join) => {
                return fault(i, "rare categories are joined already".into(), leave_out(i));
            }
            Family::Join if encoded.is_some_and(|at| matches!(steps[at], StepSpec::Hashing { .. })) => {
                let what = "hashing takes rare categories as it takes others".to_owned();
                return fault(i, what, leave_out(i));
            }
            Family::Number if encoded.is_some_and(|at| at > i) => {
                let encoding = steps[encoded.unwrap_or(0)].name();
                let what = format!("a category is no number before {encoding}");
                return fault(i, what, format!("{} after {encoding}", step.name()));
            }
            Family::Encode | Family::EncodeLast if before.iter().any(StepSpec::encodes) => {
                return fault(i, "the column is encoded already".into(), leave_out(i));
            }
            Family::Number if before.iter().any(|step| step.family() == Family::EncodeLast) => {
                let what = "the encoding before it makes inputs, which have no scale".to_owned();
                return fault(
                    i,
                    what,
                    format!("leave {} out, or encode by ordinal, count or target", step.name()),
                );
            }
            _ => {}
        }
        if let StepSpec::Rare { min_frequency, max_categories: 0 } = step
            && *min_frequency == 0.0
        {
            let what = "no category is rare with min_frequency = 0 and max_categories = 0".to_owned();
            return fault(i, what, "{ step = \"rare\", min_frequency = 0.01 }".into());
        }
    }
    if encoded.is_none()
        && let Some(first) = steps.iter().find(|step| step.family() == Family::Join)
    {
        return Err(lacks_encoding(setting, first));
    }
    Ok(())
}

/// The error of a list of a category's steps that makes no inputs of it.
pub(crate) fn lacks_encoding(setting: &str, first: &StepSpec) -> Error {
    let first = match first.family() {
        Family::Join => format!("\"{}\", ", first.name()),
        _ => String::new(),
    };
    Error::setting(
        format!("`{setting}` has no step that makes numbers of categories"),
        format!("{setting} = [{first}\"one_hot\"], or target, ordinal, count, hashing or embedding"),
    )
}
