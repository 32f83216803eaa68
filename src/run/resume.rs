//! Taking up a run that was broken off: what its folder says of it, and whether it may go on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checkpoints::{self, CHECKPOINTS};
use super::folder::{RunFolder, Undo};
use crate::config::{CheckpointConfig, Config, StreamMode};
use crate::error::{Error, Result};
use crate::train::checkpoint::Checkpoint;

/// The file of a run folder that says what the run was begun with.
const RUN_FILE: &str = "run.json";
/// The file of its settings.
const SETTINGS: &str = "config.toml";

/// What a run was begun with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beginning {
    /// The version of Statera.
    pub version: String,
    /// SHA-256 of the table's files.
    pub data_sha256: String,
    /// Whether rows are read from disk in the course of training.
    pub streamed: bool,
}

/// A run that was broken off.
#[derive(Debug)]
pub struct Broken {
    /// Its settings.
    pub config: Config,
    /// What it was begun with.
    pub beginning: Beginning,
    /// The text of its settings.
    settings: String,
    folder: PathBuf,
}

/// What a run folder holds.
#[derive(Debug)]
pub enum Found {
    /// A run that came to its end.
    Ended,
    /// One that was broken off.
    Broken(Box<Broken>),
}

impl Beginning {
    /// That of a run of this version.
    pub fn new(data_sha256: &str, streamed: bool) -> Self {
        Self { version: env!("CARGO_PKG_VERSION").into(), data_sha256: data_sha256.into(), streamed }
    }

    /// Writes it into the run's folder, with the settings.
    pub fn write(&self, folder: &RunFolder, settings: &str) -> Result<()> {
        folder.write(SETTINGS, settings.as_bytes())?;
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::output(format!("{RUN_FILE} cannot be written as JSON: {e}"), ""))?;
        folder.write(RUN_FILE, (text + "\n").as_bytes())
    }

    /// What stands in every checkpoint of the run.
    pub fn about(&self, settings: &str) -> Value {
        json!({ "settings": settings, "data_sha256": self.data_sha256 })
    }
}

/// Reads what the run folder `run` holds.
pub fn find(run: &Path) -> Result<Found> {
    let no_run = |what: String| {
        Error::model(
            what,
            "a run folder such as runs/insurance-1, or train anew: statera train DATA --target COLUMN",
        )
    };
    if !run.is_dir() {
        return Err(no_run(format!("there is no run folder {}", run.display())));
    }
    let read = |name: &str| {
        let path = run.join(name);
        match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(no_run(format!(
                "{} holds no run that can go on: there is no {name} in it",
                run.display()
            ))),
            read => read.map_err(|e| Error::io("read", &path, e)),
        }
    };
    let (settings, beginning) = (read(SETTINGS)?, read(RUN_FILE)?);
    let beginning: Beginning = serde_json::from_str(&beginning)
        .map_err(|e| no_run(format!("{} cannot be read: {e}", run.join(RUN_FILE).display())))?;
    if !checkpoints::are_in(&run.join(CHECKPOINTS))?
        && let Ok(metrics) = read("metrics.json")
    {
        let stopped = serde_json::from_str::<Value>(&metrics)
            .ok()
            .and_then(|m| m["stopped"].as_str().map(str::to_owned));
        if stopped.is_some_and(|why| why.starts_with("interrupted")) {
            return Err(no_run(format!(
                "{} was interrupted and kept no checkpoint to go on from (checkpoint.resumable was false)",
                run.display()
            )));
        }
        return Ok(Found::Ended);
    }
    let mut config = Config::load(Some(&run.join(SETTINGS)), &[])?;
    // Where there is more memory now, or less, the rows come from where they came from.
    config.data.stream = if beginning.streamed { StreamMode::Always } else { StreamMode::Never };
    Ok(Found::Broken(Box::new(Broken { config, beginning, settings, folder: run.to_owned() })))
}

impl Broken {
    /// The text of its settings.
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// What stands in its checkpoints, of the table with this checksum.
    pub fn about(&self, data_sha256: &str) -> Value {
        Beginning { data_sha256: data_sha256.into(), ..self.beginning.clone() }.about(&self.settings)
    }

    /// Refuses a table that is not the one that the run was begun with, unless `force`.
    pub fn check_data(&self, source: &Path, data_sha256: &str, force: bool) -> Result<()> {
        let begun = &self.beginning.data_sha256;
        if data_sha256 == begun || force {
            return Ok(());
        }
        Err(Error::data(
            format!(
                "{} has changed since the run {} was begun: its SHA-256 was {begun} and is {data_sha256}",
                source.display(),
                self.folder.display()
            ),
            "put the table back as it was, train anew, or go on with the changed one by --force",
        ))
    }

    /// The checkpoint to go on from, if there is one, and what is wrong with later ones. One of other settings is
    /// refused; one of another table only counts if `force`, and then its epoch begins anew.
    pub fn checkpoint(&self, folder: &Path, force: bool) -> Result<(Option<Checkpoint>, Vec<String>)> {
        let (found, damaged) = checkpoints::last_in(folder)?;
        let Some(mut found) = found else { return Ok((None, damaged)) };
        check_about(&found, &self.about(&self.beginning.data_sha256), folder, force)?;
        if force {
            found.begin_epoch_anew();
        }
        Ok((Some(found), damaged))
    }
}

/// Refuses a checkpoint of other settings, or unless `force` of another table, than `about` tells of.
pub(super) fn check_about(found: &Checkpoint, about: &Value, folder: &Path, force: bool) -> Result<()> {
    let text = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
    let [was, is] = [&found.about, about].map(|of| text(of, "settings"));
    let remedy = "the settings as they were, or train anew";
    if was != is {
        let pairs = was.lines().zip(is.lines());
        let first = pairs.into_iter().find(|(was, is)| was != is);
        let what =
            first.map_or("lines are missing".to_owned(), |(was, is)| format!("`{was}` has become `{is}`"));
        return Err(Error::model(
            format!("the checkpoints in {} are of other settings: {what}", folder.display()),
            remedy,
        ));
    }
    let [was, is] = [&found.about, about].map(|of| text(of, "data_sha256"));
    if was != is && !force {
        return Err(Error::model(
            format!("the checkpoints in {} are of another table, whose SHA-256 is {was}", folder.display()),
            "the table as it was, or --force",
        ));
    }
    Ok(())
}

/// How long training goes on between two checkpoints.
pub fn every(settings: &CheckpointConfig) -> Duration {
    Duration::try_from_secs_f64(settings.every_seconds).unwrap_or(Duration::MAX)
}

/// Where the folds of a cross-validation keep their checkpoints.
#[derive(Debug)]
pub struct FoldSaving {
    /// The folder of all folds' checkpoints.
    pub folder: PathBuf,
    /// What is to stay from the first of them on.
    pub run: Undo,
    /// What stands in each.
    pub about: Value,
    /// Time between them.
    pub every: Duration,
    /// Whether those of another table count.
    pub force: bool,
}
