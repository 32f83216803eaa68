//! Everything that is decided before the first step: what the columns are, which rows are for what, how they
//! are prepared, and which network learns them. Each automatic choice is kept with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::embedding;
use super::objective::{loss_name, loss_of, weights_of};
use super::rows::{check_noise, facts};
use super::split;
use super::weights;
use crate::config::{
    ColumnConfig, Config, EmbeddingSpec, EnsembleKind, Initializer, LayerSpec, LossName, Monitor,
    OptimizerName, TargetScale, Task, check_blocks,
};
use crate::data::words::{counted, instead, listed, shown, thousands};
use crate::data::{
    self, ColumnKind, ColumnSchema, Labels, Pipeline, PipelineOptions, RawTable, ReadOptions, Schema, Split,
    Table, Target, TargetScaler, TaskKind,
};
use crate::error::{Error, Result};
use crate::model::TargetSpec;
use crate::nn::init::explain;
use crate::nn::network::is_output;
use crate::nn::{Layer, Loss, Network};
use crate::profile::duplicates::duplicates;
use crate::profile::source;
use crate::train::fit::{OwnedTargets, RowFacts, Rows};
use crate::train::full_batch::check_memory;
use statera_kernels::Scalar;

/// Something that was decided for the user, of the run as a whole; what columns are is in the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What it is about: `task`, `split` …
    pub subject: String,
    /// What was chosen.
    pub choice: String,
    /// Why.
    pub reason: String,
    /// The argument that overrides it; empty where nothing does.
    pub instead: String,
}

/// A run that is ready to train.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The settings, with every `auto` replaced by what it came to, but for initialisers, which go on following the
    /// activation ([`Config::with_starts`]).
    pub config: Config,
    /// The file.
    pub raw: Arc<RawTable>,
    /// What its columns are, the target left out.
    pub schema: Schema,
    /// Its typed columns.
    pub table: Arc<Table>,
    /// The target, row by row.
    pub labels: Arc<Labels>,
    /// Which rows are for what.
    pub split: Arc<Split>,
    /// The preparation, fitted on the training rows.
    pub pipeline: Pipeline,
    /// What is predicted.
    pub target: TargetSpec,
    /// What training makes small.
    pub loss: Loss,
    /// How much each row of the table counts in the loss; none where all count alike.
    pub weights: Option<Vec<f64>>,
    /// The network, without parameters.
    pub network: Network,
    /// What was decided, in the order of deciding.
    pub choices: Vec<Choice>,
}

impl Plan {
    /// Reads the table of `config.data` and decides everything.
    pub fn new(config: Config) -> Result<Self> {
        let path = table_path(&config)?;
        let raw = data::read_csv(&path, &ReadOptions { null_words: config.data.null.clone() })?;
        Self::of(config, Arc::new(raw))
    }

    /// Decides everything about a table that has been read with the words for missing cells of `config`.
    pub fn of(mut config: Config, raw: Arc<RawTable>) -> Result<Self> {
        let target_column = target_name(&config, &raw)?;
        let mut choices = Vec::new();

        let wanted = match config.task {
            Task::Auto => None,
            Task::Regression => Some(TaskKind::Regression),
            Task::Binary => Some(TaskKind::Binary),
            Task::Multiclass => Some(TaskKind::Multiclass),
        };
        let (task, mut task_reason) = data::infer_task(&raw, &target_column, wanted)?;
        let mut labels = Labels::for_training(&raw, &target_column, task)?;

        let schema = schema_of(&config, &raw, &target_column)?;
        let choice = |subject: &str, choice: String, reason: String, instead: &str| Choice {
            subject: subject.into(),
            choice,
            reason,
            instead: instead.into(),
        };
        if let (TaskKind::Binary, Target::Classes { classes, .. }) = (task, &labels.target)
            && let Some(positive) = classes.get(1)
        {
            let _ = write!(task_reason, "; {} counts as positive", shown(positive));
        }
        let other_task = match (wanted, &labels.target) {
            (Some(_), _) => "",
            (None, Target::Values(_)) => "--task multiclass",
            (None, Target::Classes { classes, .. }) => {
                let numbers = classes.iter().all(|class| class.parse::<f64>().is_ok());
                if numbers { "--task regression" } else { "" }
            }
        };
        choices.push(choice("task", task.to_string(), task_reason, other_task));
        config.task = match task {
            TaskKind::Regression => Task::Regression,
            TaskKind::Binary => Task::Binary,
            TaskKind::Multiclass => Task::Multiclass,
        };

        let table = Table::from_raw(&raw, &schema)?;
        let repeated = if config.data.drop_duplicates { leave_out_repeated(&mut labels, &table) } else { 0 };
        let (split, told) = split::split_of(&config, &raw, &labels)?;
        choices.push(told);
        if !labels.missing.is_empty() {
            choices.push(choice(
                "left out",
                counted(labels.missing.len(), "row"),
                format!("without a `{target_column}` nothing can be learned or tested"),
                "",
            ));
        }

        if config.data.drop_duplicates {
            let reason = "alike in every column that is learned from, and in the target".to_owned();
            let what = counted(repeated, "repeated row");
            choices.push(choice("left out", what, reason, "--set data.drop_duplicates=false"));
        }

        let pipeline = Pipeline::fit(&table, &split.train, &PipelineOptions::of(&config))?;
        let target = target_spec(&config, &labels, &split, task)?;
        let (loss, loss_reason) = loss_of(&config, task, &labels, &raw)?;
        let other_loss = match (config.loss.name, task) {
            (LossName::Auto, TaskKind::Regression) => "--set loss.name=mae (or huber)",
            _ => "",
        };
        config.loss.name = loss_name(loss);
        choices.push(choice("loss", config.loss.name.to_string(), loss_reason, other_loss));
        let weights = weights_of(&config, &labels, &raw, &split.train, &split.val)?.map(|(weights, told)| {
            choices.push(choice("weights", told.choice, told.reason, told.instead));
            weights
        });
        check_monitors(&config, task)?;
        check_noise(&config, task, target.classes.len(), loss, &pipeline)?;

        choices.extend(embedding::choice(&config, &pipeline));
        let network = network_of(&config, &pipeline, target.n_outputs())?;
        choices.extend(weights::choices(&config, &network));
        choices.extend(starts(&config, &network));
        check_memory(&config, &network)?;
        choices.extend(full_batch(&config, split.train.rows().len()));
        let (table, labels, split) = (Arc::new(table), Arc::new(labels), Arc::new(split));
        Ok(Self {
            config,
            raw,
            schema,
            table,
            labels,
            split,
            pipeline,
            target,
            loss,
            weights,
            network,
            choices,
        })
    }

    /// The same data, split and preparation under other settings of network, loss and training.
    ///
    /// The settings of `config` that lead to the data are not looked at.
    pub fn with_learner(&self, mut config: Config) -> Result<Self> {
        let (loss, _) = loss_of(&config, self.target.task, &self.labels, &self.raw)?;
        let weights = weights_of(&config, &self.labels, &self.raw, &self.split.train, &self.split.val)?;
        let weights = weights.map(|(weights, _)| weights);
        config.task = self.config.task;
        config.loss.name = loss_name(loss);
        check_monitors(&config, self.target.task)?;
        check_noise(&config, self.target.task, self.target.classes.len(), loss, &self.pipeline)?;
        let network = network_of(&config, &self.pipeline, self.target.n_outputs())?;
        check_memory(&config, &network)?;
        Ok(Self { config, loss, weights, network, ..self.clone() })
    }

    /// The prepared inputs (rows×inputs) of some rows.
    pub fn inputs(&self, rows: &[usize]) -> Result<Vec<f64>> {
        Ok(self.pipeline.transform(&self.table, rows)?.0)
    }

    /// What training asks of the training rows besides their inputs and targets.
    pub fn facts(&self) -> Result<RowFacts> {
        facts(self)
    }

    /// The inputs of some rows as a model without embedding takes them, and how many a row has: where it can take
    /// none, a single one that is always 0.
    pub fn plain_inputs(&self, rows: &[usize]) -> Result<(Vec<f64>, usize)> {
        let plain = self.pipeline.plain();
        match plain.features().len() {
            0 => Ok((vec![0.0; rows.len()], 1)),
            n => Ok((plain.transform(&self.table, rows)?.0, n)),
        }
    }

    /// Inputs, scaled targets and weights of some rows, in the precision of training.
    pub fn prepared<T: Scalar>(&self, rows: &[usize]) -> Result<Rows<T>> {
        let x = self.inputs(rows)?.into_iter().map(T::from_f64).collect();
        let targets = match &self.labels.target {
            Target::Values(values) => {
                let scaled = rows.iter().map(|&r| T::from_f64(self.target.scaler.transform(values[r])));
                OwnedTargets::Values(scaled.collect())
            }
            Target::Classes { codes, .. } => OwnedTargets::Classes(rows.iter().map(|&r| codes[r]).collect()),
        };
        let targets = match &self.weights {
            None => targets,
            Some(weights) => targets.weighted(rows.iter().map(|&r| T::from_f64(weights[r])).collect()),
        };
        Ok(Rows { x, targets })
    }
}

/// Leaves the rows out that repeat an earlier one, so that none is both learned from and tested on; how many they are.
fn leave_out_repeated(labels: &mut Labels, table: &Table) -> usize {
    let columns = table.columns().iter().map(|column| source::view(&column.data, table.n_rows()));
    let columns: Vec<_> = columns.chain([source::view_of_target(&labels.target)]).collect();
    let repeated = duplicates(&columns.iter().collect::<Vec<_>>(), table.n_rows());
    let before = labels.rows.len();
    labels.rows.retain(|row| repeated.binary_search(row).is_err());
    before - labels.rows.len()
}

fn table_path(config: &Config) -> Result<std::path::PathBuf> {
    if config.data.path == Path::new("") {
        return Err(Error::setting(
            "no table is named",
            "give the file as an argument, or set data.path in the configuration",
        ));
    }
    Ok(config.data.path.clone())
}

fn target_name(config: &Config, raw: &RawTable) -> Result<String> {
    if config.data.target.is_empty() {
        return Err(Error::setting(
            "no column to predict is named",
            format!("--target with one of {}", listed(raw.names())),
        ));
    }
    Ok(config.data.target.clone())
}

/// The schema of the columns to learn from: without the target, the columns of split, groups and weights, and what is set to
/// be dropped.
fn schema_of(config: &Config, raw: &RawTable, target: &str) -> Result<Schema> {
    let columns = &config.data.columns;
    if let Some(name) = columns.keys().find(|name| raw.column_index(name).is_none()) {
        return Err(Error::setting(
            format!("data.columns: there is no column {} in {}", shown(name), raw.source.display()),
            instead(name, raw.names()),
        ));
    }
    check_no_inputs(config, target)?;
    let is_dropped = |name: &str| columns.get(name).is_some_and(|c| c.drop == Some(true));
    let others = [&config.split.column, &config.split.group, &config.data.weight];
    let no_input = |name: &str| name == target || others.iter().any(|other| *other == name);
    let aside: BTreeSet<&str> = raw.names().filter(|name| no_input(name) || is_dropped(name)).collect();
    let kinds = columns.iter().filter(|(name, _)| !aside.contains(name.as_str()));
    let kinds: BTreeMap<_, _> =
        kinds.filter_map(|(name, c)| c.kind.map(|kind| (name.clone(), kind))).collect();
    let mut inferred = data::infer_schema(raw, &kinds, &aside)?.columns.into_iter();
    let mut schema = Schema::default();
    for name in raw.names().filter(|name| !no_input(name)) {
        if is_dropped(name) {
            schema.columns.push(ColumnSchema {
                name: name.to_owned(),
                kind: columns[name].kind.unwrap_or(ColumnKind::Text),
                reason: "not looked at".into(),
                levels: Vec::new(),
                dropped: Some("as set".into()),
            });
        } else {
            schema.columns.extend(inferred.next());
        }
    }
    let wanted = |c: &&ColumnSchema| columns.get(&c.name).is_some_and(|set| set.drop == Some(false));
    if let Some(column) = schema.columns.iter().filter(wanted).find(|c| c.dropped.is_some()) {
        let (name, why) = (&column.name, column.dropped.as_deref().unwrap_or_default());
        return Err(Error::setting(
            format!("data.columns.{name}.drop is false, but nothing can be learned from the column: {why}"),
            if why == column.kind.name() {
                format!("say what it is: --set data.columns.{name}.kind=category, or number, or date")
            } else {
                "leave the setting out".into()
            },
        ));
    }
    if schema.kept().next().is_none() {
        return Err(nothing_left(&schema));
    }
    Ok(schema)
}

/// Settings of a column that is no input would say nothing.
fn check_no_inputs(config: &Config, target: &str) -> Result<()> {
    let no_inputs = [
        (target, "the column to predict"),
        (&config.split.column, "the column that splits the rows"),
        (&config.split.group, "the column that groups the rows"),
        (&config.data.weight, "the column that weights the rows"),
    ];
    for (name, what) in no_inputs {
        if config.data.columns.get(name).is_some_and(|set| *set != ColumnConfig::default()) {
            return Err(Error::setting(
                format!("data.columns.{name}: `{name}` is {what}, hence no input to be set"),
                if name == target {
                    "leave the setting out; --task says what to make of the column to predict"
                } else {
                    "leave the setting out"
                },
            ));
        }
    }
    Ok(())
}

/// The network that the settings ask for, after an embedding where a column has one, if its layers fit each other and
/// the batches.
pub(super) fn network_of(config: &Config, pipeline: &Pipeline, n_outputs: usize) -> Result<Network> {
    let n_inputs = pipeline.features().len();
    let embedding = embedding::layer(config, pipeline);
    let width = match &embedding {
        Some(LayerSpec::Embedding { columns }) => columns.iter().map(EmbeddingSpec::n_outputs).sum(),
        _ => n_inputs,
    };
    let (listed, ensemble) = (&config.network.layers, &config.ensemble);
    check_blocks(listed, Some(width))?;
    let shares = matches!(ensemble.kind, EnsembleKind::Tabm | EnsembleKind::TabmMini);
    if shares && listed.last().is_some_and(|last| is_output(last, n_outputs)) {
        return Err(Error::setting(
            format!(
                "`network.layers` ends with the output layer, of which each of {} members has its own",
                ensemble.members
            ),
            "leave the last layer out: it is added by itself; or ensemble.kind = \"packed\"",
        ));
    }
    let layers: Vec<LayerSpec> = embedding.into_iter().chain(config.expanded_layers()).collect();
    let mut layers = Network::with_output(&layers, n_outputs);
    config.give_weight_kinds(&mut layers);
    let network = Network::from_specs(layers, n_inputs);
    check_batch_norm(config, &network)?;
    Ok(network)
}

/// What the steps of lbfgs are, and which settings say nothing beside it.
fn full_batch(config: &Config, n_train: usize) -> Option<Choice> {
    (config.optimizer.name == OptimizerName::Lbfgs).then(|| Choice {
        subject: "steps".into(),
        choice: format!("all {} training rows", thousands(n_train)),
        reason: "lbfgs finds the length of each step by a line search: optimizer.learning_rate, train.batch_size, \
                 train.shuffle and reduce_on_plateau say nothing"
            .into(),
        instead: "--set optimizer.name=adamw".into(),
    })
}

/// How the layers' weights start, by the settings or by what `auto` came to.
fn starts(config: &Config, network: &Network) -> Vec<Choice> {
    let is_short_form = config.network.layers.is_empty();
    let explained = explain(network.specs()).into_iter().map(|told| {
        let layers = told.layers.join(", ");
        let reason = match (told.activation.is_empty(), is_short_form, config.network.initializer) {
            (false, ..) => format!("auto for {} ({layers}): {}", told.activation, told.reason),
            (true, true, Initializer::Auto) => format!("auto for {} ({layers})", config.network.activation),
            (true, true, _) => format!("as network.initializer says ({layers})"),
            (true, false, _) => format!("as network.layers says ({layers})"),
        };
        Choice { subject: "start".into(), choice: told.chosen, reason, instead: String::new() }
    });
    let mut choices: Vec<Choice> = explained.collect();
    // The output layer is no part of the settings.
    if let Some(first) = choices.first_mut().filter(|_| is_short_form && !config.network.hidden.is_empty()) {
        let is_orthogonal = matches!(config.network.initializer, Initializer::Orthogonal { .. });
        let other = if is_orthogonal { "he_normal" } else { "orthogonal" };
        first.instead = format!("--set network.initializer={other}");
    }
    choices
}

/// Batch normalisation makes nothing of a single row: its mean is the row, and what is left is zero.
fn check_batch_norm(config: &Config, network: &Network) -> Result<()> {
    if !network.layers().iter().any(|layer| matches!(layer, Layer::BatchNorm(_))) {
        return Ok(());
    }
    // A batch is cut evenly, so that of three rows in shards of two one would be alone.
    let least =
        [("train.batch_size", config.train.batch_size, 2), ("train.shard_rows", config.train.shard_rows, 3)];
    match least.into_iter().find(|(_, n, least)| n < least) {
        None => Ok(()),
        Some((key, n, least)) => Err(Error::setting(
            format!(
                "{key} is {n}; a network with batch normalisation needs {least}: a row alone has no spread"
            ),
            format!("--set {key}=32, or a network without batch_norm"),
        )),
    }
}

/// The error of a table whose columns are all dropped, with why.
fn nothing_left(schema: &Schema) -> Error {
    const MOST: usize = 5;
    let why = |c: &ColumnSchema| {
        let dropped = c.dropped.as_deref().unwrap_or_default();
        // A kind alone does not say what made the column one.
        let more = if dropped == c.kind.name() { format!(": {}", c.reason) } else { String::new() };
        format!("`{}` ({dropped}{more})", c.name)
    };
    let mut whys = schema.columns.iter().take(MOST).map(why).collect::<Vec<_>>().join(", ");
    if schema.columns.len() > MOST {
        let _ = write!(whys, " and {} more", schema.columns.len() - MOST);
    }
    if whys.is_empty() {
        return Error::data(
            "there is no column to learn from beside the one to predict",
            "give a table with more columns",
        );
    }
    Error::data(
        format!("no column is left to learn from; dropped: {whys}"),
        "set the kind of a column that is to be kept: --set data.columns.NAME.kind=category",
    )
}

pub(super) fn target_spec(
    config: &Config,
    labels: &Labels,
    split: &Split,
    task: TaskKind,
) -> Result<TargetSpec> {
    let (classes, scaler) = match &labels.target {
        Target::Values(values) => {
            let scaler = match config.prepare.target_scale {
                TargetScale::Standard => TargetScaler::fit(values, &split.train)?,
                TargetScale::None => TargetScaler::IDENTITY,
            };
            (Vec::new(), scaler)
        }
        Target::Classes { classes, .. } => {
            let set = config.prepare.target_scale;
            if set != Config::default().prepare.target_scale {
                return Err(Error::setting(
                    format!(
                        "prepare.target_scale = {set}: column `{}` is a class and has no scale",
                        labels.column
                    ),
                    "leave prepare.target_scale out, or --task regression for a column of numbers",
                ));
            }
            (classes.clone(), TargetScaler::IDENTITY)
        }
    };
    Ok(TargetSpec { column: labels.column.clone(), task, classes, scaler })
}

/// A figure that the task does not have cannot be watched.
fn check_monitors(config: &Config, task: TaskKind) -> Result<()> {
    let watched = [
        ("early_stopping.monitor", config.early_stopping.monitor),
        ("reduce_on_plateau.monitor", config.reduce_on_plateau.monitor),
        ("checkpoint.monitor", config.checkpoint.monitor),
    ];
    for (key, monitor) in watched {
        let fits = match monitor {
            Monitor::ValLoss | Monitor::TrainLoss => true,
            Monitor::ValAccuracy => task != TaskKind::Regression,
            Monitor::ValRmse | Monitor::ValMae => task == TaskKind::Regression,
        };
        if !fits {
            return Err(Error::setting(
                format!("{key}: {monitor} does not exist for the task {task}"),
                format!("--set {key}=val_loss"),
            ));
        }
    }
    Ok(())
}
