//! Settings: one schema for file, command line and whatever else shows or sets them.
//!
//! The tables in [`keys`] and [`layers`] declare every setting once. A configuration is the defaults,
//! with a file laid over them and the settings of the command line over both; each layer is checked
//! against the tables before it is laid on, so the structs below are always filled from a table that is
//! complete and in range, and need no defaults of their own.

mod blocks;
mod check;
pub mod choices;
mod combined;
pub mod data;
mod documents;
pub mod domain;
pub mod embedding;
mod expand;
mod fault;
mod idle;
mod key;
pub mod keys;
pub mod layers;
mod lbfgs;
mod meaning;
mod ranges;
pub mod space;
pub mod steps;
#[cfg(test)]
mod tests;
mod watching;
pub mod weights;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub(crate) use blocks::check_blocks;
use check::{Given, Origin};
pub use choices::{
    Activation, AverageKind, BadRows, CategoryEncoding, CellFormat, CheckpointMode, ClassWeighting,
    ColumnKind, Constraint, CurriculumBy, DatePart, Decimal, Delimiter, Encode, EndWeights, EnsembleKind,
    ImbalanceKind, Impute, LossName, MomentumForm, Monitor, NeighborWeights, Norm, NumericEmbedding,
    OptimizerName, Pacing, Parametrization, Precision, QuantileOutput, Quote, Scale, ScheduleName,
    StreamMode, TargetScale, Task, WeightKind,
};
pub use data::{ColumnConfig, DataConfig, column_settings};
pub use domain::Domain;
pub use embedding::{EmbeddingConfig, EmbeddingSpec};
pub(crate) use expand::{name_starts, with_parametric};
pub use layers::{Initializer, LayerSpec};
pub use meaning::When;
pub use space::{Parameter, Space};
pub use steps::{Family, StepSpec};
pub use watching::{CheckpointConfig, EarlyStoppingConfig, ReduceOnPlateauConfig};
pub use weights::WeightsConfig;

use crate::error::{Error, Result};

/// All settings of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to learn.
    pub task: Task,
    /// The number from which every random number descends.
    pub seed: u64,
    /// Threads to compute with; 0 takes one a core.
    pub threads: usize,
    /// The table.
    pub data: DataConfig,
    /// Which rows train, watch and test.
    pub split: SplitConfig,
    /// How columns become inputs.
    pub prepare: PrepareConfig,
    /// How columns enter the network.
    pub embedding: EmbeddingConfig,
    /// The network.
    pub network: NetworkConfig,
    /// What its weights are.
    pub weights: WeightsConfig,
    /// Several networks in one.
    pub ensemble: EnsembleConfig,
    /// What training makes small.
    pub loss: LossConfig,
    /// Epochs and batches.
    pub train: TrainConfig,
    /// How gradients become steps.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes.
    pub schedule: ScheduleConfig,
    /// What is done about classes of few training rows.
    pub imbalance: ImbalanceConfig,
    /// How training rows are changed before they are learned from.
    pub augment: AugmentConfig,
    /// What is made wrong on purpose.
    pub noise: NoiseConfig,
    /// Which rows are learned from first.
    pub curriculum: CurriculumConfig,
    /// Which average of weights is kept.
    pub average: AverageConfig,
    /// When training ends before its last epoch.
    pub early_stopping: EarlyStoppingConfig,
    /// When the learning rate is cut.
    pub reduce_on_plateau: ReduceOnPlateauConfig,
    /// Which epoch's weights are kept.
    pub checkpoint: CheckpointConfig,
    /// How the result is judged.
    pub evaluate: EvaluateConfig,
}

/// Which rows train, watch and test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// Share of the validation rows.
    pub val: f64,
    /// Share of the test rows.
    pub test: f64,
    /// A column that says train, val or test; empty for none.
    pub column: String,
    /// A column whose equal cells stay in one part; empty for none.
    pub group: String,
    /// A column of dates or numbers in whose order rows are cut; empty for none.
    pub time: String,
    /// Whether the parts get the same mix of targets.
    pub stratify: bool,
    /// How many folds there are; 0 for a single split.
    pub folds: usize,
    /// How often rows are folded anew.
    pub repeats: usize,
}

/// How columns become inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrepareConfig {
    /// How number columns are scaled.
    pub scale: Scale,
    /// What stands in for a missing number.
    pub impute: Impute,
    /// Whether missing cells are marked by a second input.
    pub indicators: bool,
    /// The steps of number columns, in place of `scale`; empty for those that it stands for.
    pub numbers: Vec<StepSpec>,
    /// The steps of category columns, in place of `embedding.categories`; empty for those that it stands for.
    pub categories: Vec<StepSpec>,
    /// What dates become inputs of.
    pub dates: Vec<DatePart>,
    /// The most inputs of a one-hot category; 0 for no limit.
    pub max_categories: usize,
    /// How the target of a regression is scaled.
    pub target_scale: TargetScale,
}

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Short form: units of each hidden layer.
    pub hidden: Vec<usize>,
    /// Short form: activation of each hidden layer.
    pub activation: Activation,
    /// Whether each unit takes a learned share of its activation.
    pub parametric_activation: bool,
    /// How the weights follow from the numbers that are trained.
    pub parametrization: Parametrization,
    /// Short form: normalisation after each hidden layer.
    pub norm: Norm,
    /// Short form: dropout after each hidden layer.
    pub dropout: f64,
    /// Short form: how the weights of each hidden layer start.
    pub initializer: Initializer,
    /// Short form: how the biases of each hidden layer start.
    pub bias_initializer: Initializer,
    /// Short form: share of the weights of each hidden layer set to zero in a training step.
    pub drop_connect: f64,
    /// Short form: whether hidden layers as wide as the one before are residual blocks.
    pub residual: bool,
    /// Short form: standard deviation of noise on the inputs.
    pub input_noise: f64,
    /// Short form: whether each input has a learned factor.
    pub input_scale: bool,
    /// The hidden layers one by one; if there are any, the short forms say nothing.
    pub layers: Vec<LayerSpec>,
    /// The floating-point type.
    pub precision: Precision,
}

/// Several networks in one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleConfig {
    /// What its members share; none for a single network.
    pub kind: EnsembleKind,
    /// Members.
    pub members: usize,
}

/// What training makes small.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// The loss.
    pub name: LossName,
    /// Where [`LossName::Huber`] turns into a straight line.
    pub delta: f64,
    /// The quantile of [`LossName::Quantile`].
    pub quantile: f64,
    /// The exponent of [`LossName::Focal`].
    pub gamma: f64,
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// How much rows count by their class.
    pub class_weights: ClassWeights,
}

/// How much rows count by their class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClassWeights {
    /// By a rule.
    Rule(ClassWeighting),
    /// By this table; a class that is not in it counts 1.
    Table(BTreeMap<String, f64>),
}

/// Epochs and batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The most passes over the training rows.
    pub epochs: usize,
    /// Those after which training ends, while schedules run on; 0 for all.
    pub stop_after: usize,
    /// Rows in one step.
    pub batch_size: usize,
    /// Seconds after which training stops; 0 for no end.
    pub max_seconds: f64,
    /// Whether rows are put in a new order before every epoch.
    pub shuffle: bool,
    /// Rows of a batch that one thread computes together.
    pub shard_rows: usize,
    /// Batches of one step of the optimiser.
    pub accumulate: usize,
    /// Size that numbers of the gradient are cut to; 0 for none.
    pub clip_value: f64,
    /// Length that the gradient is shortened to; 0 for none.
    pub clip_norm: f64,
    /// Whether a learning rate is looked for where training goes astray.
    pub suggest: bool,
}

/// How gradients become steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// The rule.
    pub name: OptimizerName,
    /// Length of a step at the start.
    pub learning_rate: f64,
    /// Momentum of sgd.
    pub momentum: f64,
    /// What that momentum keeps.
    pub momentum_form: MomentumForm,
    /// Whether that momentum is Nesterov's.
    pub nesterov: bool,
    /// Decay of Adam's first moment.
    pub beta1: f64,
    /// Decay of Adam's second moment.
    pub beta2: f64,
    /// Added to Adam's root, outside of it.
    pub epsilon: f64,
    /// Decoupled weight decay of adamw.
    pub weight_decay: f64,
    /// Weight of the penalty ½·λ·w².
    pub l2: f64,
    /// Weight of the penalty λ·|w|.
    pub l1: f64,
    /// What weights are brought back to after each step.
    pub constraint: Constraint,
    /// The largest norm of [`Constraint::MaxNorm`].
    pub max_norm: f64,
    /// Decay of the mean squares of rmsprop and adadelta.
    pub rho: f64,
    /// Whether rmsprop takes off the mean.
    pub centered: bool,
    /// Momentum of rmsprop.
    pub rmsprop_momentum: f64,
    /// Added inside the roots of adadelta.
    pub adadelta_epsilon: f64,
    /// How fast the momentum of nadam rises.
    pub momentum_decay: f64,
    /// Decay of lion's running mean.
    pub lion_beta2: f64,
    /// Momentum of muon.
    pub muon_momentum: f64,
    /// Whether that momentum is Nesterov's.
    pub muon_nesterov: bool,
    /// The learning rate of what is no weight matrix, as a share of muon's.
    pub muon_fallback: f64,
    /// Steps that lbfgs remembers.
    pub lbfgs_memory: usize,
    /// Its iterations in an epoch.
    pub lbfgs_iterations: usize,
    /// The gradient at which it has converged.
    pub lbfgs_tolerance: f64,
}

/// How the learning rate changes over training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// The curve.
    pub name: ScheduleName,
    /// Epochs of linear warm-up.
    pub warmup: f64,
    /// What step and exponential multiply by.
    pub factor: f64,
    /// The epochs that takes.
    pub every: f64,
    /// How fast inverse_time falls.
    pub decay: f64,
    /// The power of polynomial.
    pub power: f64,
    /// Where the curve ends.
    pub end: f64,
    /// How often cosine begins anew.
    pub restarts: usize,
    /// How its waves grow.
    pub growth: f64,
    /// The share of one_cycle that rises.
    pub rise: f64,
    /// Where one_cycle begins.
    pub start: f64,
    /// Epochs after which the learning rate is cut besides.
    pub cuts: Vec<usize>,
    /// What each of these multiplies it by.
    pub cut: f64,
}

/// What is done about classes of few training rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImbalanceConfig {
    /// What is done.
    pub kind: ImbalanceKind,
    /// Rows of the rarest class over those of the most frequent, afterwards.
    pub ratio: f64,
    /// Neighbours that rows are made between.
    pub k_neighbors: usize,
}

/// How training rows are changed before they are learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentConfig {
    /// Standard deviation of the noise on numeric inputs.
    pub jitter: f64,
    /// α of mixup; 0 for none.
    pub mixup: f64,
}

/// What is made wrong on purpose while training, and never in use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseConfig {
    /// Share of classes that are flipped, or standard deviation on scaled targets.
    pub labels: f64,
    /// Standard deviation on the weights that the gradient is taken at.
    pub weights: f64,
    /// η of the noise on gradients.
    pub gradients: f64,
}

/// Which rows are learned from first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurriculumConfig {
    /// What makes a row easy.
    pub by: CurriculumBy,
    /// The column of [`CurriculumBy::Column`].
    pub column: String,
    /// Whether the hardest come first.
    pub reverse: bool,
    /// How the share of rows grows.
    pub pacing: Pacing,
    /// The share in the first epoch.
    pub start: f64,
    /// Epochs until all rows are learned from.
    pub epochs: usize,
}

/// Which average of weights is validated and kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AverageConfig {
    /// The average.
    pub kind: AverageKind,
    /// The share that ema keeps.
    pub decay: f64,
    /// The first epoch of swa.
    pub start: usize,
}

/// How the result is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateConfig {
    /// Resamples behind each interval; 0 for no intervals.
    pub bootstrap: usize,
    /// Share of such intervals that hold the true figure.
    pub confidence: f64,
    /// Whether simple models stand beside the result.
    pub baselines: bool,
}

/// Checked settings from one place.
struct Source {
    /// How messages name the place.
    label: String,
    /// Whether it is a file or text of settings, over which the command line is laid.
    is_file: bool,
    given: Vec<Given>,
}

impl Source {
    /// A setting `key=value` of the command line.
    fn of_set(set: &str) -> Result<Self> {
        Ok(Self { label: format!("--set {set}: "), is_file: false, given: check::read_set(set)? })
    }
}

/// The settings that stand for a list of layers, and say nothing beside one.
const SHORT_FORMS: [&str; 12] = [
    "network.hidden",
    "network.activation",
    "network.norm",
    "network.dropout",
    "network.initializer",
    "network.bias_initializer",
    "network.drop_connect",
    "network.residual",
    "network.input_noise",
    "network.input_scale",
    "network.parametric_activation",
    "network.parametrization",
];

impl Config {
    /// The defaults, with the file laid over them, and over both the settings `key=value` of the command
    /// line in their order; and what of the file has no effect beside the command line, in words.
    ///
    /// A setting that has no effect beside the others is refused. Where it is the command line that takes the effect
    /// from a setting of the file, the setting is left out and told instead. Paths in the file become relative to where
    /// the programme runs.
    pub fn load_and_tell(file: Option<&Path>, sets: &[String]) -> Result<(Self, Vec<String>)> {
        let mut sources = Vec::new();
        if let Some(file) = file {
            let given = check::read(&read_file(file)?, Origin::File(file))?;
            sources.push(Source { label: format!("{}: ", file.display()), is_file: true, given });
        }
        for set in sets {
            sources.push(Source::of_set(set)?);
        }
        Self::lay(check::defaults(), sources)
    }

    /// The settings of [`Config::load_and_tell`], without what it tells.
    pub fn load(file: Option<&Path>, sets: &[String]) -> Result<Self> {
        Ok(Self::load_and_tell(file, sets)?.0)
    }

    /// The defaults, with the settings of this text laid over them.
    pub fn from_toml_str(text: &str) -> Result<Self> {
        let given = check::read(text, Origin::Text)?;
        Ok(Self::lay(check::defaults(), vec![Source { label: String::new(), is_file: true, given }])?.0)
    }

    /// These settings with others `key=value` laid over them in their order.
    ///
    /// Of the others, one without effect is refused; of these, it is let be.
    pub fn with(&self, sets: &[String]) -> Result<Self> {
        let sources = sets.iter().map(|set| Source::of_set(set)).collect::<Result<_>>()?;
        Ok(Self::lay(self.to_table(), sources)?.0)
    }

    /// All values as a configuration file, in the order of [`keys::KEYS`].
    ///
    /// Where the layers are listed one by one, the short forms that they replace are left out.
    /// Paths stay as they are: whoever writes the file elsewhere makes them absolute first.
    pub fn to_toml(&self) -> String {
        let skip: &[&str] = if self.network.layers.is_empty() { &[] } else { &SHORT_FORMS };
        write::settings(&self.to_table(), skip)
    }

    /// Every setting with its default, range and meaning, as a configuration file with comments.
    pub fn defaults_listing() -> String {
        write::defaults_listing()
    }

    /// The paths of the settings with this name, in whichever section: `train.epochs` for `epochs`.
    pub fn settings_named(name: &str) -> Vec<&'static str> {
        keys::KEYS.iter().filter(|key| key.name() == name).map(|key| key.path).collect()
    }

    /// The settings whose values are not the defaults, in the order of [`keys::KEYS`], each with its value as TOML.
    pub fn changed(&self) -> Vec<(&'static str, String)> {
        let (own, usual) = (self.to_table(), Self::default().to_table());
        let differs = |key: &&keys::Key| meaning::lookup(&own, key.path) != meaning::lookup(&usual, key.path);
        let value = |path| meaning::lookup(&own, path).map(fault::plain).unwrap_or_default();
        keys::KEYS.iter().filter(differs).map(|key| (key.path, value(key.path))).collect()
    }

    /// These settings with the defaults in place of those that have no effect beside the others, so that what they are
    /// written to can be read again.
    pub fn without_idle(&self) -> Self {
        let mut table = self.to_table();
        // What has no effect may be what gave one to another.
        while let Some((key, default)) = keys::KEYS
            .iter()
            .filter(|key| meaning::idle(key, &table).is_some())
            .find_map(|key| Some((key, check::default_of(key)?)))
        {
            check::insert(&mut table, key.path.split('.'), default);
        }
        table
            .try_into()
            .unwrap_or_else(|error| unreachable!("defaults in place of settings leave settings: {error}"))
    }

    fn to_table(&self) -> Table {
        match Value::try_from(self) {
            Ok(Value::Table(table)) => table,
            other => unreachable!("settings are a table of values that TOML knows, not {other:?}"),
        }
    }

    /// Lays checked settings over a table of all settings, later ones over earlier ones; tells what is left out.
    fn lay(mut table: Table, sources: Vec<Source>) -> Result<(Self, Vec<String>)> {
        let mut short_form = None;
        // Of each setting, the last source that gives it.
        let mut last: BTreeMap<String, (String, bool)> = BTreeMap::new();
        for source in sources {
            for (path, value) in source.given {
                let dotted = path.join(".");
                short_form = SHORT_FORMS.into_iter().find(|key| *key == dotted).or(short_form);
                check::insert(&mut table, path.iter().map(String::as_str), value);
                last.insert(dotted, (source.label.clone(), source.is_file));
            }
        }
        let mut told = Vec::new();
        for key in keys::KEYS {
            let Some((label, in_file)) = last.get(key.path) else { continue };
            let Some(idle) = meaning::idle(key, &table) else { continue };
            if *in_file && last.get(idle.because).is_some_and(|(_, in_file)| !in_file) {
                told.push(format!("{label}{}; it is left out", idle.what));
                if let Some(default) = check::default_of(key) {
                    check::insert(&mut table, key.path.split('.'), default);
                }
            } else {
                return Err(Error::setting(format!("{label}{}", idle.what), idle.remedy));
            }
        }
        let config: Self = table.try_into().expect("checked settings fill every field of the configuration");
        combined::check(&config, short_form)?;
        Ok((config, told))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::lay(check::defaults(), Vec::new()).expect("the defaults fit each other").0
    }
}

fn read_file(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::setting(
            format!("there is no configuration file `{}`", file.display()),
            "check the path; `statera config --defaults > settings.toml` writes a file to start from",
        ),
        _ if file.is_dir() => Error::setting(
            format!("`{}` is a folder; expected a configuration file", file.display()),
            "give a file in it, as the config.toml of a run folder",
        ),
        _ => Error::io("read", file, e),
    })?;
    String::from_utf8(bytes).map_err(|e| {
        let before = String::from_utf8_lossy(&e.as_bytes()[..e.utf8_error().valid_up_to()]);
        let line = before.matches('\n').count() + 1;
        Error::setting(
            format!("{}, line {line}: the text is not UTF-8", file.display()),
            "save the file as UTF-8 text",
        )
    })
}
