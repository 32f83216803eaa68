//! A run on a table larger than memory: everything is decided column by column, and rows are prepared once, into files
//! that training reads.

use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_kernels::Scalar;

use super::budget::{Streamed, bytes_of};
use super::by_training;
use super::choice::{self, Choice, Overview};
use super::memory;
use super::objective::{loss_name, loss_of};
use super::plan;
use super::preparation;
use super::rows::check_noise;
use super::split::{Folding, groups_of, split_of};
use super::{embedding, weights};
use crate::cache::columns::{Asked, Columns, ColumnsKey, Pass};
use crate::cache::{Building, Cache, Found, InUse, open, told};
use crate::checked_file::{Seal, SealedWriter};
use crate::config::steps::{Needs, StepSpec};
use crate::config::{
    ClassWeighting, ClassWeights, Config, CurriculumBy, ImbalanceKind, OptimizerName, Precision, Task,
};
use crate::data::read::Skipped;
use crate::data::target::find;
use crate::data::words::{counted, listed, shown, thousands};
use crate::data::{
    ColumnSchema, FittedColumn, Known, Labels, Pipeline, PipelineOptions, RawTable, ReadOptions, RowIdx,
    Schema, Split, Target, TaskKind,
};
use crate::error::{Error, Result};
use crate::model::{OwnedTruth, TargetSpec};
use crate::nn::{Loss, Network};
use crate::profile::{Depth, Noticed, profile, rows_to_look_at, source};
use crate::train::fit::{OwnedTargets, Rows};
use crate::train::row_file::{RowFile, RowLayout, RowWriter};

/// Numbers that are prepared at a time, on each thread.
const BLOCK_NUMBERS: usize = 1 << 20;
/// The parts of a split, as their files are named.
const PARTS: [&str; 3] = ["train", "val", "test"];
/// Of a row that is in no part.
const NO_PART: u8 = 3;

/// A run that is ready to train on rows in files.
#[derive(Debug)]
pub struct StreamedPlan {
    /// The settings, resolved as in [`super::Plan`].
    pub config: Config,
    /// The table, as it was named.
    pub source: PathBuf,
    /// What was decided from the table.
    pub decided: Decided,
    /// What training makes small.
    pub loss: Loss,
    /// The network, without parameters.
    pub network: Network,
    /// What was decided, in the order of deciding.
    pub choices: Vec<Choice>,
    folder: PathBuf,
    /// The rows are read from it as long as this lives.
    _in_use: InUse,
}

/// What is decided from the rows of a table; it is kept beside the rows that were prepared by it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// The SHA-256 of the files.
    pub sha256: String,
    /// Rows of the table.
    pub n_rows: usize,
    /// Columns of the table.
    pub n_columns: usize,
    /// The malformed rows that were left out.
    pub skipped: Skipped,
    /// What its columns are, the target left out.
    pub schema: Schema,
    /// The preparation, fitted on the training rows.
    pub pipeline: Pipeline,
    /// What is predicted.
    pub target: TargetSpec,
    /// What is to be looked out for among training rows.
    pub noticed: Noticed,
    choices: Vec<Choice>,
    layout: RowLayout,
    parts: [Part; 3],
    /// The group of each test row, as 32-bit numbers, where the split keeps groups together.
    test_groups: Option<Seal>,
}

/// The files of one part.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    n_rows: usize,
    /// Inputs and scaled targets.
    rows: Seal,
    /// Targets in their own unit, as 64-bit numbers, or classes, as 32-bit indices.
    truth: Seal,
}

const TEST_GROUPS: &str = "test.groups";

fn rows_file(part: usize) -> String {
    format!("{}.rows", PARTS[part])
}

fn truth_file(part: usize) -> String {
    format!("{}.truth", PARTS[part])
}

fn seals(decided: &Decided) -> Vec<(String, &Seal)> {
    let parts = decided.parts.iter().enumerate();
    let of_parts = parts.flat_map(|(i, part)| [(rows_file(i), &part.rows), (truth_file(i), &part.truth)]);
    of_parts.chain(decided.test_groups.iter().map(|seal| (TEST_GROUPS.to_owned(), seal))).collect()
}

impl StreamedPlan {
    /// Reads the table of `config.data` by way of the cache and decides everything; `tell` hears what takes long.
    pub fn new(mut config: Config, why: &Streamed, tell: &mut dyn FnMut(&str)) -> Result<Self> {
        check_settings(&config, why)?;
        let sources = config.data.sources();
        let cache = Cache::open(&config.data.cache, cache_size(&config)?)?;
        let sha256 = crate::data::read::sha256_of(&sources)?;
        let folder = cache.entry("rows", &key(&config, &sha256)?)?;
        let found = match open(&folder, seals) {
            Found::Whole(decided, in_use) => Some((decided, in_use)),
            Found::Absent => None,
            Found::Unfit(why) => {
                tell(&format!("the rows in {} are made anew: {why}", folder.display()));
                None
            }
        };
        let was_there = found.is_some();
        let (decided, in_use) = match found {
            Some(found) => found,
            None => prepared(&config, &sources, &sha256, &cache, &folder, tell)?,
        };
        let mut choices = vec![Choice {
            subject: "memory".into(),
            choice: "rows from disk".into(),
            reason: why.reason.clone(),
            instead: why.instead.clone(),
        }];
        let did = if was_there {
            "prepared by an earlier run"
        } else {
            "prepared once, and found again by later runs"
        };
        choices.push(Choice {
            subject: "cache".into(),
            choice: cache.path().display().to_string(),
            reason: format!("{did}; may be removed at any time"),
            instead: "--cache FOLDER".into(),
        });
        choices.extend(decided.choices.iter().cloned());
        config.task = choice::task_setting(decided.target.task);
        let no_labels = Labels {
            column: String::new(),
            target: Target::Values(Vec::new()),
            rows: Vec::new(),
            missing: Vec::new(),
        };
        let header = RawTable::default();
        let (loss, reason) = loss_of(&config, decided.target.task, &no_labels, &header)?;
        choices.push(choice::of_loss(&config, decided.target.task, loss, reason));
        config.loss.name = loss_name(loss);
        plan::check_monitors(&config, decided.target.task)?;
        check_noise(&config, decided.target.task, decided.target.classes.len(), loss, &decided.pipeline)?;
        choices.extend(baseline_choice(&config, &decided.pipeline, decided.parts[0].n_rows));
        choices.extend(embedding::choice(&config, &decided.pipeline));
        let network = plan::network_of(&config, &decided.pipeline, decided.target.n_outputs())?;
        memory::check(&config, &network, decided.parts[0].n_rows)?;
        choices.extend(weights::choices(&config, &network));
        choices.extend(plan::starts(&config, &network));
        let source = sources.first().cloned().unwrap_or_default();
        Ok(Self { config, source, decided, loss, network, choices, folder, _in_use: in_use })
    }

    /// What a user is told of it.
    pub fn overview(&self) -> Overview<'_> {
        Overview {
            source: &self.source,
            sha256: &self.decided.sha256,
            n_rows: self.decided.n_rows,
            n_columns: self.decided.n_columns,
            schema: &self.decided.schema,
            choices: &self.choices,
            config: &self.config,
            n_inputs: self.decided.pipeline.features().len(),
            n_outputs: self.decided.target.n_outputs(),
            network: &self.network,
        }
    }

    /// The rows of a part: 0 those to train on, 1 to watch, 2 to test on.
    pub(super) fn rows(&self, part: usize) -> RowFile {
        RowFile::new(self.folder.join(rows_file(part)), self.decided.layout, self.decided.parts[part].n_rows)
    }

    /// The targets of a part, in their own unit.
    pub(super) fn truth(&self, part: usize) -> Result<OwnedTruth> {
        let path = self.folder.join(truth_file(part));
        let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        Ok(match self.decided.target.task {
            TaskKind::Regression => {
                OwnedTruth::Values(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect())
            }
            _ => OwnedTruth::Classes(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect()),
        })
    }

    /// The group of each test row, where the split keeps groups together.
    pub(super) fn test_groups(&self) -> Result<Option<Vec<u32>>> {
        if self.decided.test_groups.is_none() {
            return Ok(None);
        }
        let path = self.folder.join(TEST_GROUPS);
        let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        Ok(Some(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect()))
    }
}

/// The most bytes that the cache is to hold.
fn cache_size(config: &Config) -> Result<u64> {
    let set = &config.data.cache_size;
    bytes_of(set).ok_or_else(|| {
        Error::setting(
            format!("data.cache_size is `{set}`; expected a number of bytes as 64GiB or 500MB"),
            "--set data.cache_size=64GiB",
        )
    })
}

fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir())
}

/// Refuses what has to look at all rows at once.
fn check_settings(config: &Config, why: &Streamed) -> Result<()> {
    let asked = [
        (config.data.drop_duplicates, "data.drop_duplicates compares all rows", "data.drop_duplicates=false"),
        (!config.data.weight.is_empty(), "data.weight is a column of its own", "data.weight=''"),
        (
            config.loss.class_weights != ClassWeights::Rule(ClassWeighting::None),
            "loss.class_weights weighs all rows",
            "loss.class_weights=none",
        ),
        (
            config.optimizer.name == OptimizerName::Lbfgs,
            "optimizer.name = \"lbfgs\" takes all rows in every step",
            "optimizer.name=adamw",
        ),
        (
            config.curriculum.by != CurriculumBy::None,
            "a curriculum puts all rows in order",
            "curriculum.by=none",
        ),
        (
            config.imbalance.kind != ImbalanceKind::None,
            "imbalance.kind counts and makes rows out of all",
            "imbalance.kind=none",
        ),
        (config.noise.labels > 0.0, "noise.labels draws for all rows at once", "noise.labels=0"),
        (
            config.data.sources().iter().any(|path| path == Path::new("-") || is_pipe(path)),
            "a pipe can be read once, and a cache is made by its checksum",
            "data.path=FILE",
        ),
    ];
    let refused = |what: &str, instead: &str| {
        Error::setting(
            format!("{what}, and this table is read from disk piece by piece"),
            format!("{instead}, or all rows in memory: {}, or a sample of the rows", why.instead),
        )
    };
    if let Some((_, what, instead)) = asked.into_iter().find(|(is_asked, ..)| *is_asked) {
        return Err(refused(what, &format!("--set {instead}")));
    }
    let options = PipelineOptions::of(config);
    let steps = options.columns.values().flat_map(|(_, steps)| steps);
    match steps
        .chain(&options.numbers)
        .chain(&options.categories)
        .map(StepSpec::needs)
        .find(|n| *n != Needs::Column)
    {
        Some(Needs::Numbers) => Err(refused(
            "the step knn looks for neighbours among all columns",
            "another step in its place: --set prepare.impute=median",
        )),
        Some(Needs::Target) => Err(refused(
            "the step target encodes each training row by other rows",
            "another step in its place, as one_hot or count",
        )),
        Some(Needs::Column) | None => Ok(()),
    }
}

/// The settings that the prepared rows follow from, and the checksum of the table.
fn key(config: &Config, sha256: &str) -> Result<(String, String)> {
    let failed = |e: toml::de::Error| Error::output(format!("the settings cannot be read back: {e}"), "");
    let mut settings: toml::Table = config.to_toml().parse().map_err(failed)?;
    settings
        .retain(|name, _| ["task", "seed", "data", "split", "prepare", "embedding", "loss"].contains(&name));
    if let Some(toml::Value::Table(data)) = settings.get_mut("data") {
        data.retain(|name, _| !["path", "also", "memory", "stream", "cache", "cache_size"].contains(&name));
    }
    let precision = config.network.precision.to_string();
    Ok((sha256.to_owned(), format!("{precision}\n{settings}")))
}

/// Decides by the columns, prepares all rows, and keeps both in the cache.
fn prepared(
    config: &Config,
    sources: &[PathBuf],
    sha256: &str,
    cache: &Cache,
    folder: &Path,
    tell: &mut dyn FnMut(&str),
) -> Result<(Decided, InUse)> {
    let options = ReadOptions::of(&config.data);
    let data = &config.data;
    let are_classes = matches!(config.task, Task::Binary | Task::Multiclass);
    let s = &config.split;
    let of_target = if are_classes { Asked::Texts } else { Asked::Target };
    let others = [
        (&data.target, of_target),
        (&s.column, Asked::Texts),
        (&s.group, Asked::Groups),
        (&s.time, Asked::Times(data.columns.get(&s.time).and_then(|set| set.format))),
    ];
    let others: Vec<(&str, Asked)> =
        others.into_iter().filter(|(c, _)| !c.is_empty()).map(|(c, asked)| (c.as_str(), asked)).collect();
    let aside: Vec<&str> = others[1..].iter().map(|(name, _)| *name).collect();
    let settings = format!("{options:?} {:?} {}", data.columns, data.weight);
    let key = ColumnsKey { sha256, settings, others };
    let source = sources.first().cloned().unwrap_or_default();
    tell(&format!("reading {} into typed columns in {} …", source.display(), cache.path().display()));
    let schema_of = |first: &RawTable, pass: Pass| {
        let target = plan::target_name(config, first)?;
        // Before all rows are looked at, which may take long.
        find(first, &target)?;
        let schema = plan::schema_by(config, first, &target, pass)?;
        plan::check_kept(config, &schema)?;
        Ok(schema)
    };
    let columns = Columns::of(cache, sources, &options, &key, schema_of, tell)?;
    tell("preparing rows …");
    let target = columns.others(&[data.target.as_str()])?;
    let (task, mut labels, told_task) = choice::of_task(config, &target, &data.target)?;
    // Refuses targets that the loss does not take.
    loss_of(config, task, &labels, &target)?;
    let others = columns.others(&aside)?;
    let (mut split, told_split) = split_of(config, &others, &labels, Folding::Refused)?;
    let groups = groups_of(config, &others, &split.test);
    drop(others);
    choice::check_target(config, &target, &labels, task, &split.train)?;
    drop(target);
    let part_of = parts_of(&split, columns.n_rows());
    // What is as long as the table and not asked for from here on, while columns as long as it are fitted.
    (labels.rows, split.val, split.test) = (Vec::new(), Vec::new(), Vec::new());
    let mut choices = vec![told_task];
    choices.extend(told_split);
    choices.extend(choice::of_missing_targets(&labels));
    let target = plan::target_spec(config, &labels, &split, task)?;

    let options = PipelineOptions::of(config);
    let asked = by_training::by_all_rows(config, columns.schema());
    if !asked.is_empty() {
        tell(&format!("looking at training cells of {} …", listed(asked.iter().map(|c| c.name.as_str()))));
        let mark = columns.schema().decimal_comma;
        by_training::check_by_all_rows(config, (sources, sha256), (&asked, mark), &split.train)?;
    }
    options.check(&columns.header()?)?;
    let kept: Vec<&ColumnSchema> = columns.schema().kept().collect();
    let seen = rows_to_look_at(split.train.rows(), kept.len(), config.seed);
    let (mut schema, mut fitted, mut looked_at) = (columns.schema().clone(), Vec::new(), Vec::new());
    for (index, of_all) in kept.into_iter().enumerate() {
        // One column in memory at a time, and some rows of all.
        let column = columns.whole_input(index)?;
        let decided = by_training::decided(config, of_all, (&column, schema.decimal_comma), &split.train)?;
        let is_kept = decided.dropped.is_none();
        schema.columns.iter_mut().filter(|c| c.name == decided.name).for_each(|c| c.clone_from(&decided));
        if !is_kept {
            continue;
        }
        looked_at.push((of_all, source::view(&column.data, columns.n_rows()).into_rows(&seen).into_owned()));
        fitted.extend(
            FittedColumn::fit(&column, &split.train, &options, &Known::default())?.map(|(fitted, _)| fitted),
        );
    }
    plan::check_kept(config, &schema)?;
    let pipeline = Pipeline::of_columns(fitted, None)?;
    for mut told in preparation::choices(config, &pipeline, &options, &labels, &split) {
        // What is encoded by the target is refused here.
        told.instead = told.instead.replace("encode=target", "encode=count");
        choices.push(told);
    }
    drop(split);
    let noticed = {
        let of_target = source::view_of_target(&labels.target).into_rows(&seen);
        let source = source::of_rows(&source, config, looked_at, (&data.target, of_target, task));
        Noticed::from_disk(profile(&source, None, config.seed, Depth::Warnings, &|_| ()))
    };

    let building = cache.build()?;
    let work = Work {
        config,
        columns: &columns,
        pipeline: &pipeline,
        target: &target,
        labels: &labels.target,
        part_of,
    };
    let written = match config.network.precision {
        Precision::F32 => work.write::<f32>(&building, tell),
        Precision::F64 => work.write::<f64>(&building, tell),
    };
    let (layout, parts) = written.map_err(|error| told(cache, error))?;
    let written_groups = |groups: Vec<u32>| {
        let mut writer = SealedWriter::create(&building.path().join(TEST_GROUPS))?;
        groups.iter().try_for_each(|group| writer.write(&group.to_le_bytes()))?;
        writer.finish()
    };
    let test_groups = groups.map(written_groups).transpose().map_err(|error| told(cache, error))?;
    let (n_rows, n_columns) = (columns.n_rows(), columns.n_columns());
    let sha256 = sha256.to_owned();
    let skipped = columns.skipped().clone();
    let decided = Decided {
        sha256,
        n_rows,
        n_columns,
        skipped,
        schema,
        pipeline,
        target,
        noticed,
        choices,
        layout,
        parts,
        test_groups,
    };
    let in_use = cache.publish(building, folder, &decided, tell)?;
    Ok((decided, in_use))
}

/// The part of each row of the table.
fn parts_of(split: &Split, n_rows: usize) -> Vec<u8> {
    let mut part_of = vec![NO_PART; n_rows];
    for (rows, part) in [split.train.rows(), &split.val, &split.test].into_iter().zip(0..) {
        rows.iter().for_each(|&row| part_of[row as usize] = part);
    }
    part_of
}

/// Rows to be prepared and written.
struct Work<'a> {
    config: &'a Config,
    columns: &'a Columns,
    pipeline: &'a Pipeline,
    target: &'a TargetSpec,
    labels: &'a Target,
    part_of: Vec<u8>,
}

/// Prepared rows of each part, and their targets as bytes.
struct Block<T> {
    rows: [Rows<T>; 3],
    truth: [Vec<u8>; 3],
}

impl Work<'_> {
    /// Writes the rows of each part, in the order of the table.
    fn write<T: Scalar>(
        &self,
        building: &Building,
        tell: &mut dyn FnMut(&str),
    ) -> Result<(RowLayout, [Part; 3])> {
        let n_inputs = self.pipeline.features().len();
        let layout = RowLayout::of(&Rows { x: Vec::new(), targets: self.no_targets::<T>() }, n_inputs);
        let file = |name: String| building.path().join(name);
        let rows = |part| RowWriter::create(&file(rows_file(part)), layout);
        let truth = |part| SealedWriter::create(&file(truth_file(part)));
        let mut rows = [rows(0)?, rows(1)?, rows(2)?];
        let mut truth = [truth(0)?, truth(1)?, truth(2)?];
        let (n_rows, block_rows) = (self.columns.n_rows(), (BLOCK_NUMBERS / n_inputs).clamp(64, 1 << 16));
        let ranges: Vec<_> =
            (0..n_rows).step_by(block_rows).map(|first| first..(first + block_rows).min(n_rows)).collect();
        let mut next_told = 10_000_000;
        for ranges in ranges.chunks(rayon::current_num_threads()) {
            let blocks: Vec<Result<Block<T>>> =
                ranges.par_iter().map(|range| self.block(range.clone())).collect();
            for block in blocks {
                let block = block?;
                for part in 0..3 {
                    rows[part].append(&block.rows[part])?;
                    truth[part].write(&block.truth[part])?;
                }
            }
            if let Some(range) = ranges.last().filter(|range| range.end >= next_told) {
                tell(&format!("  {} rows", thousands(range.end)));
                next_told += 10_000_000;
            }
        }
        let mut parts = Vec::new();
        for (rows, truth) in rows.into_iter().zip(truth) {
            let (n_rows, seal) = rows.finish()?;
            parts.push(Part { n_rows, rows: seal, truth: truth.finish()? });
        }
        let parts = parts.try_into().unwrap_or_else(|_| unreachable!("there are three parts"));
        Ok((layout, parts))
    }

    fn no_targets<T: Scalar>(&self) -> OwnedTargets<T> {
        match self.labels {
            Target::Values(_) => OwnedTargets::Values(Vec::new()),
            Target::Classes { .. } => OwnedTargets::Classes(Vec::new()),
        }
    }

    /// Prepares the rows of a range.
    fn block<T: Scalar>(&self, range: Range<usize>) -> Result<Block<T>> {
        let table = self.columns.rows(range.clone())?;
        let n_inputs = self.pipeline.features().len();
        let rows = || Rows { x: Vec::new(), targets: self.no_targets() };
        let mut block = Block { rows: [rows(), rows(), rows()], truth: Default::default() };
        let all: Vec<RowIdx> = (0..range.len() as RowIdx).collect();
        let (x, _) = self.pipeline.transform(&table, &all)?;
        for (row, x) in range.zip(x.chunks_exact(n_inputs)) {
            let part = usize::from(self.part_of[row]);
            if part >= PARTS.len() {
                continue;
            }
            if part > 0 {
                self.check_reach(row, part, x)?;
            }
            let (rows, truth) = (&mut block.rows[part], &mut block.truth[part]);
            rows.x.extend(x.iter().map(|&x| T::from_f64(x)));
            match (self.labels, &mut rows.targets) {
                (Target::Values(values), OwnedTargets::Values(targets)) => {
                    targets.push(T::from_f64(self.target.scaler.transform(values[row])));
                    truth.extend(values[row].to_le_bytes());
                }
                (Target::Classes { codes, .. }, OwnedTargets::Classes(targets)) => {
                    targets.push(codes[row]);
                    truth.extend(codes[row].to_le_bytes());
                }
                _ => unreachable!("targets are of the kind of the labels"),
            }
        }
        Ok(block)
    }

    /// Refuses a held-out row so far from all others that no loss over it is finite, as [`super::reach`] does.
    fn check_reach(&self, row: usize, part: usize, x: &[f64]) -> Result<()> {
        let (most, precision) = super::reach::most(self.config.network.precision);
        let target = match self.labels {
            Target::Values(values) => self.target.scaler.transform(values[row]),
            Target::Classes { .. } => 0.0,
        };
        let features = self.pipeline.features().iter().map(|feature| feature.column.as_str());
        let mut cells = features.zip(x).chain([(self.target.column.as_str(), &target)]);
        match cells.find(|(_, x)| x.abs() > most) {
            None => Ok(()),
            Some((column, x)) => Err(Error::data(
                format!(
                    "row {}, column {}: the cell, of a {} row, is scaled to {x:.1e}; no loss over it is finite in \
                     {precision}",
                    thousands(row + 1),
                    shown(column),
                    PARTS[part]
                ),
                "correct the cell, or leave it empty",
            )),
        }
    }
}

/// The training rows that simple models are fitted to, where all would not fit.
pub(super) fn baseline_rows(pipeline: &Pipeline, n_train: usize) -> usize {
    /// Prepared numbers of them.
    const NUMBERS: usize = 1 << 24;
    n_train.min(NUMBERS / pipeline.features().len())
}

fn baseline_choice(config: &Config, pipeline: &Pipeline, n_train: usize) -> Option<Choice> {
    let n = baseline_rows(pipeline, n_train);
    let choice = |choice, reason: &str| Choice {
        subject: "simple models".into(),
        choice,
        reason: reason.into(),
        instead: "--set evaluate.baselines=false".into(),
    };
    if !config.evaluate.baselines {
        None
    } else if pipeline.plain() != *pipeline {
        Some(choice("a constant".into(), "linear models would need rows prepared without embeddings"))
    } else {
        let fitted = format!("fitted on {}", counted(n, "row"));
        (n < n_train)
            .then(|| choice(fitted, "spread evenly over the training rows, which are too many to be held"))
    }
}
