//! What a study holds, and how it is read: trials, their epochs, and what they are of.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::worker::has_ended;
use crate::error::{Error, Result};

/// The version of the tables; a file of another one is refused.
pub(super) const VERSION: i64 = 4;
/// How long a process waits for another that writes.
const PATIENCE: Duration = Duration::from_secs(60);
/// The name of the file in the folder of a study.
pub const FILE: &str = "study.db";

/// The name of the file beside it that holds what came of it.
pub const RESULT: &str = "tune.json";

/// The state of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Being trained.
    Running,
    /// Broken off with its process, to go on when somebody resumes the study. On record it is running: that its process has
    /// ended is seen when it is looked at.
    Interrupted,
    /// Claimed, and not begun. On record it is running, since no time.
    Waiting,
    /// Trained to its end.
    Done,
    /// Given up because others did better by the same epoch.
    Pruned,
    /// The loss stopped being finite; the best weights from before were judged, if there was an epoch before.
    Diverged,
    /// Without weights to judge.
    Failed,
}

impl State {
    /// All of them, those that came to an end first.
    const ALL: [(Self, &'static str); 7] = [
        (Self::Done, "done"),
        (Self::Pruned, "pruned"),
        (Self::Diverged, "diverged"),
        (Self::Failed, "failed"),
        (Self::Running, "running"),
        (Self::Interrupted, "interrupted"),
        (Self::Waiting, "waiting"),
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    /// Whether nothing more comes of it.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Running | Self::Interrupted | Self::Waiting)
    }

    /// How many trials are in each state, by its word.
    pub fn count(trials: &[Trial]) -> Vec<(&'static str, usize)> {
        let of = |state: Self| trials.iter().filter(|trial| trial.state == state).count();
        Self::ALL.iter().map(|(state, name)| (*name, of(*state))).collect()
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }
}

/// A trial as the study has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// From 0 on, in the order of claiming.
    pub number: u64,
    /// The number of its settings in the sampler's sequence.
    pub candidate: u64,
    /// How it stands.
    pub state: State,
    /// The searched settings that have an effect beside each other: key and TOML literal.
    pub settings: Vec<(String, String)>,
    /// The metric on the validation rows with the weights that were kept.
    pub metric: Option<f64>,
    /// The epoch of these weights.
    pub best_epoch: Option<usize>,
    /// The epochs after which the learning rate was cut because the validation figure stood still.
    pub cuts: Vec<usize>,
    /// Epochs trained.
    pub epochs: usize,
    /// Seconds from its beginning to its end.
    pub seconds: f64,
    /// Why it ended.
    pub reason: String,
}

impl Trial {
    /// The trial as JSON, its settings by key. In `--list --json`, `--show --json` and `tune.json`.
    pub fn to_json(&self) -> Value {
        json!({
            "trial": self.number,
            "state": self.state.name(),
            "settings": self.settings.iter().map(|(key, v)| (key.clone(), of_literal(v))).collect::<Value>(),
            "val": self.metric,
            "best_epoch": self.best_epoch,
            "epochs": self.epochs,
            "seconds": self.state.is_over().then_some(self.seconds),
            "reason": self.reason,
        })
    }
}

/// How many trials there are in all and in each state, as JSON.
pub fn counts(trials: &[Trial]) -> Value {
    let all = std::iter::once(("all", trials.len())).chain(State::count(trials));
    all.map(|(state, n)| (state.to_owned(), json!(n))).collect()
}

/// A TOML literal as JSON.
fn of_literal(literal: &str) -> Value {
    let table = format!("x = {literal}").parse::<toml::Table>().ok();
    let value = table.and_then(|table| serde_json::to_value(&table["x"]).ok());
    value.unwrap_or_else(|| literal.into())
}

/// What a trial came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub state: State,
    /// The metric on the validation rows.
    pub metric: Option<f64>,
    /// The epoch of the weights that were kept.
    pub best_epoch: Option<usize>,
    /// The epochs after which the learning rate was cut.
    pub cuts: Vec<usize>,
    /// Seconds from its beginning to its end.
    pub seconds: f64,
    /// Why it ended.
    pub reason: String,
}

/// What a study is of; two that differ in it are not one study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The checksum of the table.
    pub data_sha256: String,
    /// Where the table was.
    pub data_path: String,
    /// The settings that are not searched, as TOML.
    pub base: String,
    /// The metric on validation rows; less is better.
    pub metric: String,
    /// What `config.toml` was written with, so that a study that was broken off before can be gone on with.
    pub config: String,
    /// What `space.toml` was written with.
    pub space: String,
}

/// A study to look at, by whoever works on it.
pub struct View {
    connection: Connection,
    path: PathBuf,
}

impl View {
    /// Opens a study, a folder or its file, to read it alone.
    pub fn open(path: &Path) -> Result<Self> {
        let path = file_of(path)?;
        let connection = open(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let readable: rusqlite::Result<i64> =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0));
        let connection = match readable.map_err(|error| error.sqlite_error_code()) {
            Err(Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)) => unchanging(&path)?,
            _ => connection,
        };
        check_version(&connection, &path)?;
        Ok(Self { connection, path })
    }

    /// What it is of.
    pub fn header(&self) -> Result<Header> {
        header(&self.connection, &self.path)
    }

    /// The file of the result, as long as there is one.
    pub fn result(&self) -> Option<PathBuf> {
        Some(self.path.with_file_name(RESULT)).filter(|file| file.is_file())
    }

    /// The tables that trials were run on, the last one last.
    pub fn tables(&self) -> Result<Vec<TableOf>> {
        tables(&self.connection, &self.path)
    }

    /// Every trial, in the order of their numbers; those whose process has ended are interrupted.
    pub fn trials(&self) -> Result<Vec<Trial>> {
        trials(&self.connection, &self.path)
    }

    /// The figures of a trial's epochs: metric, validation loss, training loss.
    pub fn epochs(&self, trial: u64) -> Result<Vec<(usize, [Option<f64>; 3])>> {
        let fail = |e| problem(&self.path, &e);
        let mut statement = self
            .connection
            .prepare("SELECT epoch, metric, val_loss, train_loss FROM epochs WHERE trial = ?1 ORDER BY epoch")
            .map_err(fail)?;
        let rows = statement
            .query_map([trial as i64], |row| {
                Ok((row.get::<_, i64>(0)? as usize, [row.get(1)?, row.get(2)?, row.get(3)?]))
            })
            .map_err(fail)?;
        rows.collect::<rusqlite::Result<_>>().map_err(fail)
    }
}

pub(super) fn open(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let fail = |e| problem(path, &e);
    let connection =
        Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(fail)?;
    connection.busy_timeout(PATIENCE).map_err(fail)?;
    if !flags.contains(OpenFlags::SQLITE_OPEN_READ_ONLY) {
        // Readers do not wait for writers, and a commit needs no flush of the whole file.
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(fail)?;
        connection.execute_batch("PRAGMA synchronous = NORMAL").map_err(fail)?;
    }
    Ok(connection)
}

/// Opens a study in a folder where nothing can be written, in which nobody works on it: SQLite then needs no file beside it.
fn unchanging(path: &Path) -> Result<Connection> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(Error::output(
            format!(
                "{} cannot be read where nothing can be written: a part of it is in study.db-wal",
                path.display()
            ),
            "copy the folder of the study to where you can write",
        ));
    }
    let path_of_uri = path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{path_of_uri}?immutable=1"), flags)
        .map_err(|e| problem(path, &e))
}

pub(super) fn file_of(path: &Path) -> Result<PathBuf> {
    let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    if file.is_file() {
        return Ok(file);
    }
    if path.join("run.json").is_file() {
        return Err(Error::setting(
            format!("{} is a single run, and no study of settings", path.display()),
            format!("statera train --resume {}, or the folder of a study", path.display()),
        ));
    }
    Err(Error::setting(
        format!("there is no study `{}`", path.display()),
        "give the folder of a study, as runs/TABLE-tune-1, or its study.db",
    ))
}

pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<()> {
    let version: i64 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|e| problem(path, &e))?;
    match version {
        VERSION => Ok(()),
        0 if is_empty(connection) && path.with_file_name(RESULT).exists() => Err(Error::output(
            format!(
                "{} is empty, though the study has come to a result: its trials are lost",
                path.display()
            ),
            "copy it again if there is a copy; best/ and trials.csv beside it are what is left",
        )),
        0 if is_empty(connection) => Err(Error::setting(
            format!("{} is empty: the study was broken off before its first trial", path.display()),
            "remove its folder, and begin it anew",
        )),
        0 => Err(Error::setting(
            format!("{} is a database, but no study of Statera", path.display()),
            "give the study.db of a study",
        )),
        other => Err(Error::setting(
            format!(
                "{} is a study of version {other}; this programme reads version {VERSION}",
                path.display()
            ),
            if other > VERSION {
                "a newer statera"
            } else {
                "begin a new study, or take the statera that made this one"
            },
        )),
    }
}

/// Whether a database has no table.
fn is_empty(connection: &Connection) -> bool {
    connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0)) == Ok(0)
}

pub(super) fn entry(connection: &Connection, path: &Path, key: &str) -> Result<Option<String>> {
    connection
        .query_row("SELECT value FROM study WHERE key = ?1", [key], |row| row.get(0))
        .optional()
        .map_err(|e| problem(path, &e))
}

/// Puts an entry in place of the one before.
pub(super) fn put_entry(connection: &Connection, path: &Path, key: &str, value: &str) -> Result<()> {
    connection
        .execute("INSERT OR REPLACE INTO study VALUES (?1, ?2)", [key, value])
        .map(|_| ())
        .map_err(|e| problem(path, &e))
}

pub(super) fn header(connection: &Connection, path: &Path) -> Result<Header> {
    let get = |key: &str| {
        entry(connection, path, key)?.ok_or_else(|| {
            Error::setting(format!("{}: the study lacks its {key}", path.display()), "begin a new study")
        })
    };
    Ok(Header {
        data_sha256: get("data_sha256")?,
        data_path: get("data_path")?,
        base: get("base")?,
        metric: get("metric")?,
        config: get("config")?,
        space: get("space")?,
    })
}

/// A table that trials of a study were run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableOf {
    /// The first trial on it.
    pub from: u64,
    /// Where it was.
    pub data: String,
    /// Its checksum.
    pub data_sha256: String,
    /// The trials before that one which had not ended, and were run on it as well.
    #[serde(default)]
    pub open: Vec<u64>,
}

/// The tables that trials were run on, the last one last: several where somebody went on with another by force.
pub(super) fn tables(connection: &Connection, path: &Path) -> Result<Vec<TableOf>> {
    let Header { data_path, data_sha256, .. } = header(connection, path)?;
    let first = TableOf { from: 0, data: data_path, data_sha256, open: Vec::new() };
    let unreadable =
        |e| Error::output(format!("{}: its tables cannot be read: {e}", path.display()), "begin a new study");
    let later: Vec<TableOf> = match entry(connection, path, "tables")? {
        Some(json) => serde_json::from_str(&json).map_err(unreadable)?,
        None => Vec::new(),
    };
    Ok(std::iter::once(first).chain(later).collect())
}

/// All trials; of those that are running on record, those that nobody has begun are waiting, and others whose process has
/// ended are interrupted.
pub(super) fn trials(connection: &Connection, path: &Path) -> Result<Vec<Trial>> {
    let fail = |e| problem(path, &e);
    let mut trials = trials_from(connection, path, 0)?;
    let mut statement = connection
        .prepare_cached("SELECT worker, started = '' FROM trials WHERE number = ?1 AND state = 'running'")
        .map_err(fail)?;
    for trial in trials.iter_mut().filter(|trial| trial.state == State::Running) {
        let found = statement
            .query_row([trial.number as i64], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(fail)?;
        trial.state = match found {
            Some((_, true)) => State::Waiting,
            Some((worker, false)) if has_ended(path, worker) => State::Interrupted,
            // One that has ended since was running a moment ago.
            _ => State::Running,
        };
    }
    Ok(trials)
}

/// The trials from this number on, as they are on record.
pub(super) fn trials_from(connection: &Connection, path: &Path, first: u64) -> Result<Vec<Trial>> {
    let fail = |e| problem(path, &e);
    let mut statement = connection
        .prepare_cached(
            "SELECT number, candidate, state, settings, metric, best_epoch, seconds, reason, cuts,
                 (SELECT COUNT(*) FROM epochs WHERE trial = number) FROM trials WHERE number >= ?1 ORDER BY number",
        )
        .map_err(fail)?;
    let rows = statement
        .query_map([first as i64], |row| {
            let settings: String = row.get(3)?;
            let state: String = row.get(2)?;
            let senseless = |at: usize, text: &str| {
                let what = format!("`{text}` in trial {}", row.get::<_, i64>(0).unwrap_or_default());
                rusqlite::Error::FromSqlConversionFailure(at, Type::Text, what.into())
            };
            let cuts: String = row.get(8)?;
            let epochs = row.get::<_, i64>(9)?;
            let best_epoch: Option<i64> = row.get(5)?;
            if let Some(epoch) = best_epoch.filter(|epoch| !(1..=epochs).contains(epoch)) {
                return Err(senseless(5, &format!("best epoch {epoch} of {epochs}")));
            }
            Ok(Trial {
                number: row.get::<_, i64>(0)? as u64,
                candidate: row.get::<_, i64>(1)? as u64,
                state: State::named(&state).ok_or_else(|| senseless(2, &state))?,
                settings: serde_json::from_str(&settings).map_err(|_| senseless(3, &settings))?,
                metric: row.get(4)?,
                best_epoch: best_epoch.map(|epoch| epoch as usize),
                seconds: row.get(6)?,
                reason: row.get(7)?,
                cuts: serde_json::from_str(&cuts).map_err(|_| senseless(8, &cuts))?,
                epochs: epochs as usize,
            })
        })
        .map_err(fail)?;
    rows.collect::<rusqlite::Result<_>>().map_err(fail)
}

/// What went wrong with the database, in words.
pub(super) fn problem(path: &Path, error: &rusqlite::Error) -> Error {
    let file = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::setting(
            format!("{file} is no study: it is not a SQLite database"),
            "give the study.db of a study",
        ),
        // SQLite finds it whole, but tables or values in it are none of a study.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::Unknown) | None => Error::output(
            format!("{file} is damaged: {error}"),
            "copy it again, or begin a new study; `sqlite3 study.db .recover` may save its trials",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Error::output(
            format!("{file} cannot be written: {error}"),
            "check the permissions of the file and of its folder",
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::output(
            format!("{file} has been locked by another process for {} seconds", PATIENCE.as_secs()),
            "end the process that holds it (lsof names it), then --resume the study",
        ),
        Some(ErrorCode::DiskFull) => Error::output(
            format!("{file} cannot grow: the disk is full"),
            "make room, then --resume the study; what is in it is kept",
        ),
        _ => Error::output(format!("{file}: {error}"), "check the file"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn a_study_beside_which_nothing_can_be_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let study = folder.path().join("50% of #1?");
        std::fs::create_dir(&study).unwrap();
        let header = Header {
            data_sha256: "ab".into(),
            data_path: "t.csv".into(),
            base: String::new(),
            metric: "rmse".into(),
            config: String::new(),
            space: String::new(),
        };
        drop(Store::create(&study, &header).unwrap());
        let file = study.join(FILE);
        let connection = unchanging(&file).unwrap();
        check_version(&connection, &file).unwrap();
        assert_eq!(super::header(&connection, &file).unwrap(), header);
        assert_eq!(trials(&connection, &file).unwrap(), []);
        std::fs::write(study.join("study.db-wal"), [0; 40]).unwrap();
        let message = unchanging(&file).unwrap_err().to_string();
        assert!(message.contains("a part of it is in study.db-wal\n  try: copy the folder"), "{message}");
    }
}
