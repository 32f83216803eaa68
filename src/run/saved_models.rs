//! Models that are saved while training goes on: the best so far, or that of every epoch, under names with figures in them.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::checkpoints::CHECKPOINTS;
use super::folder::Undo;
use crate::config::CheckpointConfig;
use crate::data::TaskKind;
use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::model::{Card, Model, Params};
use crate::train::events::{Answer, Callback, EpochRecord, Event};

/// What every file's name ends with.
const EXTENSION: &str = ".safetensors";

/// A name with fields, as `model-{epoch:02}-{val_rmse:.2}`.
///
/// A field is the name of a figure in braces. Behind a colon may stand `0` and a width, to which it is filled up with
/// zeros, and a point and a number of decimals: `{epoch:03}`, `{val_loss:.4}`, `{val_rmse:08.2}`.
#[derive(Debug, Clone, PartialEq)]
pub struct NamePattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Field { name: String, width: usize, decimals: Option<usize> },
}

/// The figures that a name may have, for a task.
fn figures(task: TaskKind) -> Vec<&'static str> {
    let own: &[&str] = match task {
        TaskKind::Regression => &["val_rmse", "val_mae"],
        TaskKind::Binary | TaskKind::Multiclass => &["val_accuracy"],
    };
    [&["epoch", "train_loss", "val_loss", "learning_rate"], own].concat()
}

impl NamePattern {
    /// The pattern that `text` writes down, for the setting `key`; `task` says which figures there are.
    pub fn parse(key: &str, text: &str, task: TaskKind) -> Result<Self> {
        let refuse = |what: String| {
            let known = figures(task).iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ");
            Error::setting(
                format!("{key} = \"{text}\": {what}"),
                format!("a name as model-{{epoch:02}}; fields are {known}"),
            )
        };
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (before, after) = rest.split_at(rest.find(['{', '}']).unwrap_or(rest.len()));
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let Some(opened) = after.strip_prefix('{') else {
                if after.is_empty() {
                    break;
                }
                return Err(refuse("a } without a { before it".into()));
            };
            let end = opened.find('}').ok_or_else(|| refuse("a { without a } behind it".into()))?;
            let (name, format) = opened[..end].split_once(':').unwrap_or((&opened[..end], ""));
            if !figures(task).contains(&name) {
                return Err(refuse(format!("there is no figure `{name}`")));
            }
            let (width, decimals) = format_of(format)
                .ok_or_else(|| refuse(format!("`{format}` is no width and no number of decimals")))?;
            pieces.push(Piece::Field { name: name.to_owned(), width, decimals });
            rest = &opened[end + 1..];
        }
        let pattern = Self(pieces);
        let stranger = text.chars().find(|c| !c.is_alphanumeric() && !"-_.{}:= ".contains(*c));
        if let Some(c) = stranger {
            return Err(refuse(format!("{c:?} is not for names of files")));
        }
        if text.starts_with(['.', '-', ' ']) || text.starts_with("state-") || text.len() > 100 {
            return Err(refuse(
                "a name begins with a letter or a figure, not with state-, and is no longer than 100".into(),
            ));
        }
        Ok(pattern)
    }

    /// The name of an epoch.
    pub fn name(&self, record: &EpochRecord) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Field { name, width, .. } if name == "epoch" => format!("{:0width$}", record.epoch),
                Piece::Field { name, width, decimals } => {
                    let value = figure(record, name);
                    match decimals {
                        Some(decimals) => format!("{value:0width$.decimals$}"),
                        None => format!("{value:0width$}"),
                    }
                }
            })
            .collect()
    }
}

/// A width and a number of decimals.
fn format_of(format: &str) -> Option<(usize, Option<usize>)> {
    let (width, decimals) = match format.split_once('.') {
        Some((width, decimals)) => (width, Some(decimals.parse().ok().filter(|n| *n <= 17)?)),
        None => (format, None),
    };
    let width = match width {
        "" => 0,
        width => width.strip_prefix('0')?.parse().ok().filter(|n| *n <= 20)?,
    };
    Some((width, decimals))
}

fn figure(record: &EpochRecord, name: &str) -> f64 {
    match name {
        "train_loss" => record.train_loss,
        "val_loss" => record.val_loss,
        "learning_rate" => record.learning_rate,
        _ => record.metrics.iter().find(|(n, _)| n == name).map_or(f64::NAN, |(_, value)| *value),
    }
}

/// Saves whole models into `checkpoints/` of a run's folder, which every command takes: after each epoch that is better
/// than all before it, and after every epoch.
///
/// What cannot be written is told at the end; training goes on.
#[derive(Debug)]
pub struct SavedModels {
    folder: PathBuf,
    /// What is not to be written beside somebody who takes the run away.
    run: Undo,
    card: Card,
    best: Option<NamePattern>,
    last: Option<NamePattern>,
    /// How often one was not saved, and what went wrong first.
    failures: Option<(usize, Error)>,
}

impl SavedModels {
    /// What the settings ask for, of the model that `card` describes, for the run in `folder`; none if they ask for nothing.
    pub fn new(settings: &CheckpointConfig, card: Card, folder: &Path, run: Undo) -> Result<Option<Self>> {
        let task = card.target.task;
        let pattern = |key: &str, text: &str| {
            (!text.is_empty()).then(|| NamePattern::parse(key, text, task)).transpose()
        };
        let best = pattern("checkpoint.best", &settings.best)?;
        let last = pattern("checkpoint.last", &settings.last)?;
        if best.is_some() && best == last {
            return Err(Error::setting(
                "checkpoint.best and checkpoint.last are the same name",
                "two names, or one of them left out",
            ));
        }
        let is_asked = best.is_some() || last.is_some();
        let folder = folder.join(CHECKPOINTS);
        Ok(is_asked.then(|| Self { folder, run, card, best, last, failures: None }))
    }

    /// After how many epochs something was not saved, and what went wrong first, if anything did.
    pub fn take_failures(&mut self) -> Option<(usize, Error)> {
        self.failures.take()
    }

    fn save(&self, record: &EpochRecord, params: Params) -> Result<()> {
        let mut card = self.card.clone();
        let mut measured = Map::new();
        for name in figures(card.target.task).into_iter().filter(|name| *name != "epoch") {
            measured.insert(name.to_owned(), json!(figure(record, name)));
        }
        card.metrics = json!({ "epoch": record.epoch, "validation": Value::Object(measured) });
        let bytes = Model::new(card, params).to_bytes()?;
        let patterns = [self.best.as_ref().filter(|_| record.best), self.last.as_ref()];
        self.run.write(|| {
            std::fs::create_dir_all(&self.folder).map_err(|e| Error::io("create", &self.folder, e))?;
            patterns.into_iter().flatten().try_for_each(|pattern| {
                write_atomically(&self.folder.join(pattern.name(record) + EXTENSION), &bytes)
            })
        })
    }
}

impl Callback for SavedModels {
    fn hear(&mut self, event: &Event, weights: &dyn Fn() -> Params) -> Answer {
        if let Event::Epoch(record) = event
            && (record.best || self.last.is_some())
            && let Err(error) = self.save(record, weights())
        {
            self.failures.get_or_insert((0, error)).0 += 1;
        }
        Answer::GoOn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in() {
        let record = EpochRecord {
            epoch: 7,
            train_loss: 0.5,
            val_loss: f64::NAN,
            metrics: vec![("val_rmse".into(), 4321.987), ("val_mae".into(), 12.0)],
            learning_rate: 1e-3,
            rows_per_second: 0.0,
            seconds: 0.0,
            best: true,
        };
        let name = |text: &str| {
            NamePattern::parse("checkpoint.best", text, TaskKind::Regression).map(|p| p.name(&record))
        };
        for (text, expected) in [
            ("model-{epoch:02}-{val_rmse:.2}", "model-07-4321.99"),
            ("best", "best"),
            ("{epoch}", "7"),
            ("e{epoch:04}_{val_mae:07.1}", "e0007_00012.0"),
            ("{train_loss}{learning_rate:.4}", "0.50.0010"),
            ("{val_loss:.3}", "NaN"),
        ] {
            assert_eq!(name(text).unwrap(), expected, "{text}");
        }
        for (text, what) in [
            ("model-{epok}", "there is no figure `epok`"),
            ("model-{val_accuracy}", "there is no figure `val_accuracy`"),
            ("{epoch", "a { without a } behind it"),
            ("epoch}", "a } without a { before it"),
            ("{epoch:2}", "`2` is no width and no number of decimals"),
            ("{epoch:.x}", "`.x` is no width"),
            ("{val_rmse:.99}", "`.99` is no width"),
            ("../{epoch}", "'/' is not for names of files"),
            (".hidden", "a name begins with"),
            ("state-{epoch}", "a name begins with"),
        ] {
            let error = name(text).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
            assert!(error.contains("{val_rmse}"), "{error}");
        }
        assert!(NamePattern::parse("checkpoint.last", "{val_accuracy:.3}", TaskKind::Binary).is_ok());
    }
}
