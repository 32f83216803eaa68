//! Models that are saved while training goes on: the best so far, or that of every epoch, under names with figures in them.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::checkpoints::CHECKPOINTS;
use super::folder::Undo;
use crate::config::CheckpointConfig;
use crate::data::TaskKind;
use crate::error::{Error, Result, nearest};
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
        let fields = figures(task).iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ");
        let refuse = |what: String| {
            Error::setting(
                format!("{key} = \"{text}\": {what}"),
                format!("a name as model-{{epoch:02}}; fields are {fields}"),
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
            let instead = |what: String, field: String| {
                let better = text.replacen(&after[..end + 2], &field, 1);
                let remedy = format!("{key} = \"{better}\"; fields are {fields}");
                Err(Error::setting(format!("{key} = \"{text}\": {what}"), remedy))
            };
            if !figures(task).contains(&name) {
                let what = format!("there is no figure `{name}`");
                let Some(near) = near_figure(name, task) else { return Err(refuse(what)) };
                let format = without_letter(format).unwrap_or(format);
                let colon = if format.is_empty() { "" } else { ":" };
                return instead(what, format!("{{{near}{colon}{format}}}"));
            }
            let Some((width, decimals)) = format_of(format) else {
                let what = format!("`{format}` is no width and no number of decimals");
                let Some(own) = without_letter(format) else { return Err(refuse(what)) };
                return instead(what, format!("{{{name}:{own}}}"));
            };
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

    /// Whether this and another pattern may name the same file: to how many digits the number of an epoch is filled up
    /// makes no difference when it has as many.
    fn meets(&self, other: &Self) -> bool {
        let plain = |piece: &Piece| match piece {
            Piece::Field { name, .. } if name == "epoch" => {
                Piece::Field { name: name.clone(), width: 0, decimals: None }
            }
            piece => piece.clone(),
        };
        self.0.iter().map(plain).eq(other.0.iter().map(plain))
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

/// The figure of a task that a name is meant for, if one is near.
fn near_figure(name: &str, task: TaskKind) -> Option<&'static str> {
    let known = figures(task);
    let begins = |known: &&&str| name.len() > 4 && known.starts_with(name);
    known.iter().find(begins).copied().or_else(|| nearest(name, known))
}

/// A format of Python, as `02d` and `.2f`, without its letter, where that is all that is strange about it.
fn without_letter(format: &str) -> Option<&str> {
    let own = format.strip_suffix(['d', 'f', 'g', 'e', 'i'])?;
    format_of(own).map(|_| own)
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
        if let (Some(one), Some(other)) = (&best, &last)
            && one.meets(other)
        {
            return Err(Error::setting(
                format!(
                    "checkpoint.best = \"{}\" and checkpoint.last = \"{}\" are the same name",
                    settings.best, settings.last
                ),
                "checkpoint.best = \"best\" and checkpoint.last = \"last\", or one of them left out",
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
                let name = pattern.name(record);
                // Also where the pattern has the ending that the file gets.
                let name = name.strip_suffix(EXTENSION).unwrap_or(&name);
                write_atomically(&self.folder.join(name.to_owned() + EXTENSION), &bytes)
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
    fn names_of_one_file_are_known_however_they_are_written() {
        let parse = |text| NamePattern::parse("checkpoint.best", text, TaskKind::Regression).unwrap();
        for (one, other, same) in [
            ("a{epoch}", "a{epoch}", true),
            ("a{epoch}", "a{epoch:01}", true),
            // From the hundredth epoch on.
            ("a{epoch:02}", "a{epoch:03}", true),
            ("{epoch:.2}", "{epoch}", true),
            ("a{epoch}", "b{epoch}", false),
            ("a{epoch}", "a{val_loss}", false),
            ("{val_loss:.2}", "{val_loss:.3}", false),
            ("best", "last", false),
        ] {
            assert_eq!(parse(one).meets(&parse(other)), same, "{one} {other}");
        }
    }

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
        for (text, task, better) in [
            ("m-{val_rmse:.2f}", TaskKind::Regression, "m-{val_rmse:.2}"),
            ("{epoch:02d}", TaskKind::Regression, "{epoch:02}"),
            ("a{epok:02d}-{val_loss}", TaskKind::Binary, "a{epoch:02}-{val_loss}"),
            ("{val_acc}", TaskKind::Binary, "{val_accuracy}"),
            ("{val_acc:.3f}", TaskKind::Multiclass, "{val_accuracy:.3}"),
            ("{loss}", TaskKind::Regression, "{val_loss}"),
        ] {
            let error = NamePattern::parse("checkpoint.best", text, task).unwrap_err().to_string();
            assert!(
                error.contains(&format!("try: checkpoint.best = \"{better}\"; fields are ")),
                "{text}: {error}"
            );
            NamePattern::parse("checkpoint.best", better, task).unwrap();
        }
        assert!(NamePattern::parse("checkpoint.last", "{val_accuracy:.3}", TaskKind::Binary).is_ok());
    }
}
