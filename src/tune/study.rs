//! The study on disk: a SQLite file of trials, their settings, every epoch's figure, states, times and reasons.
//!
//! Several processes may work on one study. A trial is claimed in a transaction that takes the lock for writing at once,
//! so that none is claimed twice. Every process that works holds a lock on a file of its own in the folder of the study;
//! where that lock is free, the process has ended, and the trials that it left running are claimed again.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use super::record::{
    FILE, Header, Outcome, State, Trial, VERSION, check_version, entry, file_of, header, open, problem,
    trials,
};

use crate::error::{Error, Result};

/// What is to be tried next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// The candidate of this number, and its settings.
    Try(u64, Vec<(String, String)>),
    /// Nothing before another trial has ended.
    Wait,
    /// Nothing more, for this reason.
    Over(String),
}

/// What came of asking for a trial.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// This one is to be run.
    Trial(Trial),
    /// See [`Next::Wait`].
    Wait,
    /// See [`Next::Over`].
    Over(String),
}

/// An open study.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    worker: Worker,
}

/// The lock of this process.
#[derive(Debug)]
struct Worker {
    id: i64,
    path: PathBuf,
    /// Locked as long as it is open.
    _file: File,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Nobody misses a lock that nobody holds.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Store {
    /// Makes the study `folder/study.db`.
    pub fn create(folder: &Path, header: &Header) -> Result<Self> {
        let path = folder.join(FILE);
        let mut connection = open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        let fail = |e| problem(&path, &e);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        transaction
            .execute_batch(
                "CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
                 CREATE TABLE workers (id INTEGER PRIMARY KEY);
                 CREATE TABLE trials (
                     number INTEGER PRIMARY KEY, candidate INTEGER NOT NULL, state TEXT NOT NULL,
                     settings TEXT NOT NULL, metric REAL, best_epoch INTEGER, seconds REAL NOT NULL DEFAULT 0,
                     reason TEXT NOT NULL DEFAULT '', worker INTEGER NOT NULL,
                     started TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, ended TEXT);
                 CREATE TABLE epochs (
                     trial INTEGER NOT NULL, epoch INTEGER NOT NULL, metric REAL, val_loss REAL, train_loss REAL,
                     PRIMARY KEY (trial, epoch)) WITHOUT ROWID;",
            )
            .map_err(fail)?;
        let entries = [
            ("data_sha256", &header.data_sha256),
            ("data_path", &header.data_path),
            ("base", &header.base),
            ("metric", &header.metric),
        ];
        for (key, value) in entries {
            transaction.execute("INSERT INTO study VALUES (?1, ?2)", params![key, value]).map_err(fail)?;
        }
        transaction.pragma_update(None, "user_version", VERSION).map_err(fail)?;
        transaction.commit().map_err(fail)?;
        Self::working(connection, path)
    }

    /// Opens a study, a folder or its file, to work on it.
    pub fn open(path: &Path) -> Result<Self> {
        let path = file_of(path)?;
        let connection = open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        check_version(&connection, &path)?;
        Self::working(connection, path)
    }

    /// Registers this process among those that work on the study.
    fn working(connection: Connection, path: PathBuf) -> Result<Self> {
        connection.execute("INSERT INTO workers DEFAULT VALUES", []).map_err(|e| problem(&path, &e))?;
        let id = connection.last_insert_rowid();
        let lock = lock_path(&path, id);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(|e| Error::io("create", &lock, e))?;
        file.lock().map_err(|e| Error::io("lock", &lock, e))?;
        Ok(Self { connection, path, worker: Worker { id, path: lock, _file: file } })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is of.
    pub fn header(&self) -> Result<Header> {
        header(&self.connection, &self.path)
    }

    /// Every trial, in the order of their numbers.
    pub fn trials(&self) -> Result<Vec<Trial>> {
        trials(&self.connection, &self.path)
    }

    /// Claims a trial that nobody works on any more, or the next one, which `next` chooses given all trials before it.
    /// `next` is not called where a trial is claimed again.
    pub fn claim(&mut self, next: &mut dyn FnMut(&[Trial]) -> Result<Next>) -> Result<Claim> {
        let (path, worker) = (&self.path, self.worker.id);
        let fail = |e| problem(path, &e);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let known = trials(&transaction, path)?;
        if let Some(left) = left_running(&transaction, path, worker)? {
            transaction.execute("DELETE FROM epochs WHERE trial = ?1", [left as i64]).map_err(fail)?;
            transaction
                .execute(
                    "UPDATE trials SET worker = ?1, started = CURRENT_TIMESTAMP WHERE number = ?2",
                    params![worker, left as i64],
                )
                .map_err(fail)?;
            transaction.commit().map_err(fail)?;
            let trial = known.into_iter().find(|trial| trial.number == left);
            return Ok(trial.map_or(Claim::Wait, Claim::Trial));
        }
        let (candidate, settings) = match next(&known)? {
            Next::Try(candidate, settings) => (candidate, settings),
            Next::Wait => return Ok(Claim::Wait),
            Next::Over(why) => return Ok(Claim::Over(why)),
        };
        let number = known.last().map_or(0, |trial| trial.number + 1);
        insert(&transaction, path, worker, number, candidate, &settings)?;
        transaction.commit().map_err(fail)?;
        Ok(Claim::Trial(Trial {
            number,
            candidate,
            state: State::Running,
            settings,
            metric: None,
            best_epoch: None,
            epochs: 0,
            seconds: 0.0,
            reason: String::new(),
        }))
    }

    /// Writes the figures of epochs: trial, epoch, and metric, validation loss and training loss.
    pub fn tell_epochs(&mut self, epochs: &[(u64, usize, [f64; 3])]) -> Result<()> {
        let path = &self.path;
        let fail = |e| problem(path, &e);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        {
            let mut statement = transaction
                .prepare_cached("INSERT OR REPLACE INTO epochs VALUES (?1, ?2, ?3, ?4, ?5)")
                .map_err(fail)?;
            for (trial, epoch, [metric, val_loss, train_loss]) in epochs {
                let row = params![*trial as i64, *epoch as i64, metric, val_loss, train_loss];
                statement.execute(row).map_err(fail)?;
            }
        }
        transaction.commit().map_err(fail)
    }

    /// Writes how a trial ended.
    pub fn tell_end(&mut self, trial: u64, outcome: &Outcome) -> Result<()> {
        self.connection
            .execute(
                "UPDATE trials SET state = ?2, metric = ?3, best_epoch = ?4, seconds = ?5, reason = ?6,
                     ended = CURRENT_TIMESTAMP WHERE number = ?1",
                params![
                    trial as i64,
                    outcome.state.name(),
                    outcome.metric,
                    outcome.best_epoch.map(|epoch| epoch as i64),
                    outcome.seconds,
                    outcome.reason
                ],
            )
            .map(|_| ())
            .map_err(|e| problem(&self.path, &e))
    }

    /// The best metric up to `epoch` of each of these trials that came as far.
    pub fn best_until(&self, epoch: usize, trials: &[u64]) -> Result<Vec<f64>> {
        let fail = |e| problem(&self.path, &e);
        let wanted: HashSet<i64> = trials.iter().map(|&trial| trial as i64).collect();
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT trial, MIN(metric) FROM epochs WHERE epoch <= ?1 AND trial IN
                     (SELECT trial FROM epochs WHERE epoch = ?1) GROUP BY trial",
            )
            .map_err(fail)?;
        let rows = statement
            .query_map([epoch as i64], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<f64>>(1)?)))
            .map_err(fail)?;
        let mut best = Vec::new();
        for row in rows {
            let (trial, metric) = row.map_err(fail)?;
            best.extend(metric.filter(|_| wanted.contains(&trial)));
        }
        Ok(best)
    }

    /// Keeps a text by its name, or replaces it.
    pub fn note(&self, key: &str, value: &str) -> Result<()> {
        self.connection
            .execute("INSERT OR REPLACE INTO study VALUES (?1, ?2)", [key, value])
            .map(|_| ())
            .map_err(|e| problem(&self.path, &e))
    }

    /// A text that was kept.
    pub fn noted(&self, key: &str) -> Result<Option<String>> {
        entry(&self.connection, &self.path, key)
    }

    /// Leaves trials that were stopped for the next process: they are claimed again.
    pub fn give_back(&mut self, trial: u64) -> Result<()> {
        self.connection
            .execute("UPDATE trials SET worker = -1 WHERE number = ?1 AND state = 'running'", [trial as i64])
            .map(|_| ())
            .map_err(|e| problem(&self.path, &e))
    }
}

/// A trial that is running, but whose process has ended.
fn left_running(transaction: &Transaction<'_>, path: &Path, own: i64) -> Result<Option<u64>> {
    let fail = |e| problem(path, &e);
    let mut statement = transaction
        .prepare_cached("SELECT number, worker FROM trials WHERE state = 'running' ORDER BY number")
        .map_err(fail)?;
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).map_err(fail)?;
    for row in rows {
        let (number, worker) = row.map_err(fail)?;
        if worker != own && has_ended(&lock_path(path, worker)) {
            return Ok(Some(number as u64));
        }
    }
    Ok(None)
}

/// Whether nobody holds the lock of a worker.
fn has_ended(lock: &Path) -> bool {
    match OpenOptions::new().write(true).open(lock) {
        Ok(file) => file.try_lock().is_ok(),
        Err(_) => true,
    }
}

fn lock_path(study: &Path, worker: i64) -> PathBuf {
    study.with_file_name(format!("worker-{worker}.lock"))
}

fn insert(
    transaction: &Transaction<'_>,
    path: &Path,
    worker: i64,
    number: u64,
    candidate: u64,
    settings: &[(String, String)],
) -> Result<()> {
    let settings = serde_json::to_string(settings)
        .map_err(|e| Error::output(format!("settings cannot be written as JSON: {e}"), ""))?;
    transaction
        .execute(
            "INSERT INTO trials (number, candidate, state, settings, worker) VALUES (?1, ?2, 'running', ?3, ?4)",
            params![number as i64, candidate as i64, settings, worker],
        )
        .map(|_| ())
        .map_err(|e| problem(path, &e))
}

#[cfg(test)]
mod tests {
    use super::super::record::View;
    use super::*;

    fn header() -> Header {
        Header {
            data_sha256: "ab".into(),
            data_path: "t.csv".into(),
            base: "seed = 0\n".into(),
            metric: "rmse".into(),
        }
    }

    fn next(known: &[Trial]) -> Next {
        let n = known.len() as u64;
        if n < 4 {
            Next::Try(10 + n, vec![("train.epochs".to_owned(), n.to_string())])
        } else {
            Next::Over("enough".into())
        }
    }

    fn claimed(store: &mut Store) -> Trial {
        match store.claim(&mut |known| Ok(next(known))).unwrap() {
            Claim::Trial(trial) => trial,
            other => panic!("a trial, not {other:?}"),
        }
    }

    fn done(metric: f64) -> Outcome {
        Outcome {
            state: State::Done,
            metric: Some(metric),
            best_epoch: Some(2),
            seconds: 0.5,
            reason: "end".into(),
        }
    }

    #[test]
    fn trials_are_claimed_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = Store::create(folder.path(), &header()).unwrap();
        let mut other = Store::open(folder.path()).unwrap();
        let mut third = Store::open(folder.path()).unwrap();
        assert_eq!([&mut one, &mut other, &mut third].map(|store| claimed(store).number), [0, 1, 2]);
        drop(third);
        one.tell_epochs(&[(0, 1, [2.0, 0.2, 0.1]), (0, 2, [1.5, 0.3, 0.1]), (0, 3, [1.8, 0.4, 0.1])])
            .unwrap();
        other.tell_epochs(&[(1, 1, [9.0, 0.2, 0.1])]).unwrap();
        one.tell_end(0, &done(1.5)).unwrap();
        assert_eq!(one.best_until(1, &[0, 1]).unwrap(), [2.0, 9.0]);
        assert_eq!(one.best_until(3, &[0, 1]).unwrap(), [1.5]);
        // The third has ended without a word: its trial is free.
        let again = claimed(&mut one);
        assert_eq!((again.number, again.candidate), (2, 12));
        assert_eq!(claimed(&mut one).number, 3);
        assert_eq!(one.claim(&mut |known| Ok(next(known))).unwrap(), Claim::Over("enough".into()));
        let view = View::open(&folder.path().join(FILE)).unwrap();
        let kept = view.trials().unwrap();
        assert_eq!(kept.len(), 4);
        let first = &kept[0];
        assert_eq!(
            (first.state, first.metric, first.best_epoch, first.epochs),
            (State::Done, Some(1.5), Some(2), 3)
        );
        assert_eq!(first.settings, [("train.epochs".to_owned(), "0".to_owned())]);
        assert_eq!(view.epochs(0).unwrap()[1], (2, [Some(1.5), Some(0.3), Some(0.1)]));
        assert_eq!(view.header().unwrap(), header());
    }

    #[test]
    fn a_trial_that_is_given_back_is_claimed_again_without_its_epochs() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::create(folder.path(), &header()).unwrap();
        claimed(&mut store);
        store.tell_epochs(&[(0, 1, [2.0, 0.2, 0.1])]).unwrap();
        store.give_back(0).unwrap();
        assert_eq!(claimed(&mut store).number, 0);
        assert_eq!(store.trials().unwrap()[0].epochs, 0);
    }

    #[test]
    fn what_is_no_study_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| Store::open(path).unwrap_err().to_string();
        assert!(message(folder.path()).contains("there is no study"));
        let text = folder.path().join("text.db");
        std::fs::write(&text, "not a database, but long enough to be looked at as one".repeat(40)).unwrap();
        assert!(message(&text).contains("not a SQLite database"), "{}", message(&text));
        let foreign = folder.path().join("foreign.db");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(message(&foreign).contains("no study of Statera"));
        Connection::open(&foreign).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(message(&foreign).contains("version 99"));
    }

    #[test]
    fn eight_workers_on_one_study_claim_every_trial_once() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::create(folder.path(), &header()).unwrap());
        let next = |known: &[Trial]| {
            let n = known.len() as u64;
            Ok(if n < 200 { Next::Try(n, Vec::new()) } else { Next::Over(String::new()) })
        };
        let mut claimed: Vec<u64> = std::thread::scope(|scope| {
            let work = || {
                let mut store = Store::open(folder.path()).unwrap();
                let mut numbers = Vec::new();
                while let Claim::Trial(trial) = store.claim(&mut { next }).unwrap() {
                    store.tell_epochs(&[(trial.number, 1, [1.0, 1.0, 1.0])]).unwrap();
                    store.tell_end(trial.number, &done(1.0)).unwrap();
                    numbers.push(trial.number);
                }
                numbers
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        claimed.sort_unstable();
        assert_eq!(claimed, (0..200).collect::<Vec<u64>>());
        let ok: String = Connection::open(folder.path().join(FILE))
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(ok, "ok");
    }
}
