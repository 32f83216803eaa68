//! Everything that is decided before the first step: what the columns are, which rows are for what, how they
//! are prepared, and which network learns them. Each automatic choice is kept with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::budget;
use super::choice::{self, Choice, Overview};
use super::embedding;
use super::memory;
use super::objective::{loss_name, loss_of, weights_of};
use super::preparation;
use super::resample;
use super::rows::{check_noise, facts};
use super::split;
use super::weights;
use crate::config::{
    ColumnConfig, Config, EmbeddingSpec, EnsembleKind, ImbalanceKind, Initializer, LayerSpec, Monitor,
    OptimizerName, check_blocks,
};
use crate::data::RowIdx;
use crate::data::words::{counted, instead, listed, shown, thousands};
use crate::data::{
    ColumnKind, ColumnSchema, Inference, Labels, OutOfFold, Pipeline, PipelineOptions, RawTable, Schema,
    Split, Table, Target, TargetScaler, TaskKind, Wanted,
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
    /// How training rows are encoded where the target says how, by other rows than themselves.
    pub out_of_fold: Arc<OutOfFold>,
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
        let raw = Self::read(&config)?;
        Self::of(config, Arc::new(raw))
    }

    /// Reads the table of `config.data`; one that would take too much memory is refused.
    pub fn read(config: &Config) -> Result<RawTable> {
        check_named(config)?;
        if let Some(why) = budget::streamed(config)? {
            return Err(Error::setting(
                format!("{}, and what is asked for holds all rows in memory", why.reason),
                "--set data.stream=never to try all the same, or a sample of the rows; `statera train` with a single split \
                 reads them from disk",
            ));
        }
        budget::read_whole(config)
    }

    /// Decides everything about a table that has been read with the words for missing cells of `config`.
    ///
    /// There is one split, whatever `split.folds` says: [`super::Folds`] is what heeds it.
    pub fn of(config: Config, raw: Arc<RawTable>) -> Result<Self> {
        let ground = Ground::of(config, raw)?;
        let (split, told) =
            split::split_of(&ground.config, &ground.raw, &ground.labels, split::Folding::Possible)?;
        ground.plan(split, told, None)
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
        resample::choice(&config, &self.schema, &self.pipeline, &self.labels, &self.split.train)?;
        let network = network_of(&config, &self.pipeline, self.target.n_outputs())?;
        check_memory(&config, &network)?;
        memory::check(&config, &network, self.split.train.rows().len())?;
        Ok(Self { config, loss, weights, network, ..self.clone() })
    }

    /// What a user is told of it.
    pub fn overview(&self) -> Overview<'_> {
        Overview {
            source: &self.raw.source,
            sha256: &self.raw.sha256,
            n_rows: self.raw.n_rows(),
            n_columns: self.raw.n_columns(),
            schema: &self.schema,
            choices: &self.choices,
            config: &self.config,
            n_inputs: self.pipeline.features().len(),
            n_outputs: self.target.n_outputs(),
            network: &self.network,
        }
    }

    /// The prepared inputs (rows×inputs) of some rows; training rows as they are learned from.
    pub fn inputs(&self, rows: &[RowIdx]) -> Result<Vec<f64>> {
        self.pipeline.transform_to_learn(&self.table, rows, &self.out_of_fold)
    }

    /// The group of each of some rows, where the split keeps groups together.
    pub fn groups_of(&self, rows: &[RowIdx]) -> Option<Vec<u32>> {
        split::groups_of(&self.config, &self.raw, rows)
    }

    /// What training asks of the training rows besides their inputs and targets.
    pub fn facts(&self) -> Result<RowFacts> {
        facts(self)
    }

    /// The inputs of some rows as a model without embedding takes them, and how many a row has: where it can take
    /// none, a single one that is always 0.
    pub fn plain_inputs(&self, rows: &[RowIdx]) -> Result<(Vec<f64>, usize)> {
        let plain = self.pipeline.plain();
        match plain.features().len() {
            0 => Ok((vec![0.0; rows.len()], 1)),
            n => Ok((plain.transform_to_learn(&self.table, rows, &self.out_of_fold)?, n)),
        }
    }

    /// The training rows as they are learned from: with those that `imbalance` makes, without those that it leaves out.
    pub fn training_rows<T: Scalar>(&self) -> Result<Rows<T>> {
        if self.config.imbalance.kind == ImbalanceKind::None {
            return self.prepared(self.split.train.rows());
        }
        resample::rows(self)
    }

    /// Inputs, scaled targets and weights of some rows, in the precision of training.
    pub fn prepared<T: Scalar>(&self, rows: &[RowIdx]) -> Result<Rows<T>> {
        let x = self.inputs(rows)?.into_iter().map(T::from_f64).collect();
        let targets = match &self.labels.target {
            Target::Values(values) => {
                let scaled =
                    rows.iter().map(|&r| T::from_f64(self.target.scaler.transform(values[r as usize])));
                OwnedTargets::Values(scaled.collect())
            }
            Target::Classes { codes, .. } => {
                OwnedTargets::Classes(rows.iter().map(|&r| codes[r as usize]).collect())
            }
        };
        let targets = match &self.weights {
            None => targets,
            Some(weights) => {
                targets.weighted(rows.iter().map(|&r| T::from_f64(weights[r as usize])).collect())
            }
        };
        Ok(Rows { x, targets })
    }
}

/// What is decided before rows are split: what is predicted, and which rows have a target.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) config: Config,
    pub(super) raw: Arc<RawTable>,
    pub(super) labels: Arc<Labels>,
    task: TaskKind,
    /// What was decided of the task.
    told_task: Choice,
    /// What was decided of rows that are left out.
    left_out: Vec<Choice>,
}

impl Ground {
    /// Decides about a table that has been read with the words for missing cells of `config`.
    pub(super) fn of(config: Config, raw: Arc<RawTable>) -> Result<Self> {
        let target_column = target_name(&config, &raw)?;
        let mut left_out = Vec::new();

        let (task, mut labels, told_task) = choice::of_task(&config, &raw, &target_column)?;
        // Cells that do not fit their column are a fault wherever they stand; what is made of the columns is for training
        // rows to say.
        let schema = schema_by(&config, &raw, &target_column, |mut inference| {
            inference.add(&raw);
            Ok(inference)
        })?;
        let mut repeated = 0;
        if config.data.drop_duplicates {
            repeated = leave_out_repeated(&mut labels, &Table::from_raw(&raw, &schema)?);
        }
        left_out.extend(choice::of_missing_targets(&labels));
        if config.data.drop_duplicates {
            let reason = "alike in every column that is learned from, and in the target".to_owned();
            let what = counted(repeated, "repeated row");
            left_out.push(Choice::of("left out", what, reason, "--set data.drop_duplicates=false"));
        }
        Ok(Self { config, raw, labels: Arc::new(labels), task, told_task, left_out })
    }

    /// Decides the rest for one split, of which `told` says what it is. `like` is a plan for another split of the same
    /// table, whose columns are shared where they are read alike.
    pub(super) fn plan(self, split: Split, told: Vec<Choice>, like: Option<&Plan>) -> Result<Plan> {
        let Self { mut config, raw, labels, task, told_task, left_out } = self;
        choice::check_target(&config, &raw, &labels, task, &split.train)?;
        config.task = choice::task_setting(task);
        let schema = schema_by(&config, &raw, &labels.column, |mut inference| {
            inference.add_training(&raw, &split.train);
            Ok(inference)
        })?;
        check_kept(&config, &schema)?;
        let table = match like.filter(|like| like.schema.reads_like(&schema)) {
            Some(like) => Arc::clone(&like.table),
            None => Arc::new(Table::from_raw(&raw, &schema)?),
        };
        let reading = raw.reading.clone().map(|reading| {
            Choice::of("table", reading, "told from the file".to_owned(), "--delimiter, --decimal")
        });
        let mut choices: Vec<Choice> = reading.into_iter().chain([told_task]).chain(told).collect();
        choices.extend(left_out);
        choices.extend(table.notes().iter().map(choice::of_misfits));
        let options = PipelineOptions::of(&config);
        let (pipeline, out_of_fold) =
            Pipeline::fit_to_target(&table, &split.train, &options, Some(&labels.target))?;
        let target = target_spec(&config, &labels, &split, task)?;
        let (loss, loss_reason) = loss_of(&config, task, &labels, &raw)?;
        choices.push(choice::of_loss(&config, task, loss, loss_reason));
        config.loss.name = loss_name(loss);
        let weights = weights_of(&config, &labels, &raw, &split.train, &split.val)?.map(|(weights, told)| {
            choices.push(Choice::of("weights", told.choice, told.reason, told.instead));
            weights
        });
        check_monitors(&config, task)?;
        check_noise(&config, task, target.classes.len(), loss, &pipeline)?;
        choices.extend(resample::choice(&config, &schema, &pipeline, &labels, &split.train)?);
        choices.extend(preparation::choices(&config, &pipeline, &options, &labels, &split));
        choices.extend(embedding::choice(&config, &pipeline));
        let network = network_of(&config, &pipeline, target.n_outputs())?;
        choices.extend(weights::choices(&config, &network));
        choices.extend(starts(&config, &network));
        check_memory(&config, &network)?;
        memory::check(&config, &network, split.train.rows().len())?;
        choices.extend(full_batch(&config, split.train.rows().len()));
        Ok(Plan {
            config,
            raw,
            schema,
            table,
            labels,
            split: Arc::new(split),
            pipeline,
            out_of_fold: Arc::new(out_of_fold),
            target,
            loss,
            weights,
            network,
            choices,
        })
    }
}

/// Leaves the rows out that repeat an earlier one, so that none is both learned from and tested on; how many they are.
fn leave_out_repeated(labels: &mut Labels, table: &Table) -> usize {
    let columns = table.columns().iter().map(|column| source::view(&column.data, table.n_rows()));
    let columns: Vec<_> = columns.chain([source::view_of_target(&labels.target)]).collect();
    let repeated = duplicates(&columns.iter().collect::<Vec<_>>(), table.n_rows());
    let before = labels.rows.len();
    labels.rows.retain(|row| repeated.binary_search(&(*row as usize)).is_err());
    before - labels.rows.len()
}

fn check_named(config: &Config) -> Result<()> {
    if config.data.path == Path::new("") {
        return Err(Error::setting(
            "no table is named",
            "give the file as an argument, or set data.path in the configuration",
        ));
    }
    Ok(())
}

pub(super) fn target_name(config: &Config, raw: &RawTable) -> Result<String> {
    if config.data.target.is_empty() {
        return Err(Error::setting(
            "no column to predict is named",
            format!("--target with one of {}", listed(raw.names())),
        ));
    }
    Ok(config.data.target.clone())
}

/// The schema of the columns to learn from: without the target, the columns of split, groups and weights, and with what is
/// set to be dropped; `raw` is the table or a part of it, and `look` looks at the rows that are to say what columns are.
pub(super) fn schema_by(
    config: &Config,
    raw: &RawTable,
    target: &str,
    look: impl FnOnce(Inference) -> Result<Inference>,
) -> Result<Schema> {
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
    let wanted: BTreeMap<String, Wanted> = kinds.map(|(name, c)| (name.clone(), Wanted::of(c))).collect();
    let mut inferred =
        look(Inference::new(raw, &wanted, &aside)?.heeding(raw, target))?.finish()?.columns.into_iter();
    let mut schema = Schema { decimal_comma: raw.decimal_comma(), ..Schema::default() };
    for name in raw.names().filter(|name| !no_input(name)) {
        if is_dropped(name) {
            schema.columns.push(ColumnSchema {
                name: name.to_owned(),
                kind: columns[name].kind.unwrap_or(ColumnKind::Text),
                format: None,
                null: Vec::new(),
                reason: "not looked at".into(),
                levels: Vec::new(),
                dropped: Some("as set".into()),
            });
        } else {
            schema.columns.extend(inferred.next());
        }
    }
    Ok(schema)
}

/// Refuses a schema that leaves out what is to be learned from, or everything.
pub(super) fn check_kept(config: &Config, schema: &Schema) -> Result<()> {
    let columns = &config.data.columns;
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
        return Err(nothing_left(schema));
    }
    Ok(())
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
    weights::check_sparsity(config, &network)?;
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
pub(super) fn starts(config: &Config, network: &Network) -> Vec<Choice> {
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
                "{key} is {n}; a network with batch normalisation needs {least}: a row alone has no spread{}",
                if least == 3 { ", and of three rows in shards of two one is alone" } else { "" }
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
            (Vec::new(), TargetScaler::fit(values, &split.train, config.prepare.target_scale)?)
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
pub(super) fn check_monitors(config: &Config, task: TaskKind) -> Result<()> {
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
