//! The study on disk: a SQLite file of trials, their settings, every epoch's figure, states, times and reasons.
//!
//! Several processes may work on one study. A trial is claimed in a transaction that takes the lock for writing at once,
//! so that none is claimed twice. Every process that works holds a lock on a file of its own in the folder of the study;
//! where that lock is free, the process has ended, and the trials that it left running are claimed again.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior, params};

use super::record::{
    FILE, Header, Outcome, State, Trial, VERSION, check_version, file_of, header, open, problem, trials,
    trials_from,
};
use super::worker::{Worker, has_ended};
use crate::error::{Error, Result};

/// The figures of an epoch: its trial, its number, and metric, validation loss and training loss.
pub type EpochFigures = (u64, usize, [f64; 3]);

/// Why a study tries nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// As many trials as were asked for are done.
    Enough(u64),
    /// Every setting of the space has been tried; so many there are.
    Exhausted(u64),
    /// Nothing came that had not been tried, so often in a row.
    Repeats(u64),
    /// The time is up.
    TimeUp,
    /// Somebody asked to stop.
    Interrupted,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enough(1) => write!(f, "the 1 trial that was asked for is done"),
            Self::Enough(n) => write!(f, "all {n} trials that were asked for are done"),
            Self::Exhausted(1) => write!(f, "the 1 combination of the space has been tried"),
            Self::Exhausted(n) => write!(f, "all {n} combinations of the space have been tried"),
            Self::Repeats(n) => write!(f, "{n} settings in a row had been tried before"),
            Self::TimeUp => write!(f, "the time is up"),
            Self::Interrupted => write!(f, "interrupted"),
        }
    }
}

/// What is to be tried next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// The candidate of this number, and its settings.
    Try(u64, Vec<(String, String)>),
    /// Nothing before another trial has ended.
    Wait,
    /// Nothing more, but trials are under way.
    Last,
    /// Nothing more, for this reason.
    Over(Over),
}

/// How many of the first trials one of this number looks at where settings or pruning depend on what others came to: not
/// on the `lag` before it, which may be under way beside it.
pub(super) fn looked_at(number: u64, lag: u64) -> u64 {
    number.saturating_sub(lag.saturating_sub(1))
}

/// What came of asking for a trial.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// This one is to be run.
    Trial(Trial),
    /// See [`Next::Wait`].
    Wait,
    /// See [`Next::Last`].
    Last,
    /// See [`Next::Over`].
    Over(Over),
}

/// An open study.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) worker: Worker,
    /// See [`Store::set_lag`].
    lag: u64,
    /// The trials as they were when they were last looked at.
    known: Vec<Trial>,
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
                     reason TEXT NOT NULL DEFAULT '', cuts TEXT NOT NULL DEFAULT '[]', worker INTEGER NOT NULL,
                     started TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, ended TEXT);
                 CREATE TABLE epochs (
                     trial INTEGER NOT NULL, epoch INTEGER NOT NULL, metric REAL, val_loss REAL, train_loss REAL,
                     PRIMARY KEY (trial, epoch)) WITHOUT ROWID;
                 CREATE TABLE checkpoints (trial INTEGER PRIMARY KEY, epochs INTEGER NOT NULL, bytes BLOB NOT NULL);",
            )
            .map_err(fail)?;
        let entries = [
            ("data_sha256", &header.data_sha256),
            ("data_path", &header.data_path),
            ("base", &header.base),
            ("metric", &header.metric),
            ("config", &header.config),
            ("space", &header.space),
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

    fn working(connection: Connection, path: PathBuf) -> Result<Self> {
        let worker = Worker::register(&connection, &path)?;
        Ok(Self { connection, path, worker, lag: 0, known: Vec::new() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is of.
    pub fn header(&self) -> Result<Header> {
        header(&self.connection, &self.path)
    }

    /// Every trial, in the order of their numbers; those whose process has ended are interrupted.
    pub fn trials(&self) -> Result<Vec<Trial>> {
        trials(&self.connection, &self.path)
    }

    /// Claims a trial that nobody works on any more, or the next one, which `next` chooses given all trials before it.
    /// `next` is not called where a trial is claimed again.
    ///
    /// The choice is made without a lock, and made again where another process was faster.
    pub fn claim(&mut self, next: &mut dyn FnMut(&[Trial]) -> Result<Next>) -> Result<Claim> {
        loop {
            self.look()?;
            let claimed = match self.left_running()? {
                Some((number, _)) if !self.may_begin(number) => return Ok(Claim::Wait),
                Some((number, worker)) => self.take_over(number, worker)?,
                None => match next(&self.known)? {
                    Next::Try(candidate, settings) => self.begin(candidate, settings)?,
                    Next::Wait => return Ok(Claim::Wait),
                    Next::Last => return Ok(Claim::Last),
                    Next::Over(why) => return Ok(Claim::Over(why)),
                },
            };
            if let Some(trial) = claimed {
                return Ok(Claim::Trial(trial));
            }
        }
    }

    /// From here on a trial that is claimed again waits for all but so many of those before it; 0 for none.
    pub(super) fn set_lag(&mut self, lag: u64) {
        self.lag = lag;
    }

    fn may_begin(&self, number: u64) -> bool {
        let seen = if self.lag == 0 { 0 } else { looked_at(number, self.lag) };
        self.known[..seen as usize].iter().all(|trial| trial.state.is_over())
    }

    /// The trials as they were when they were last looked at.
    pub(super) fn known(&self) -> &[Trial] {
        &self.known
    }

    /// How many of them were running, in whatever process.
    pub(super) fn n_running(&self) -> usize {
        self.known.iter().filter(|trial| trial.state == State::Running).count()
    }

    /// Brings what is known of the trials up to date: those that have ended stay as they are.
    pub(super) fn look(&mut self) -> Result<()> {
        let open = self.known.iter().position(|trial| trial.state == State::Running);
        self.known.truncate(open.unwrap_or(self.known.len()));
        let later = trials_from(&self.connection, &self.path, self.known.len() as u64)?;
        self.known.extend(later);
        Ok(())
    }

    /// Takes a trial from a worker that has ended; none where another process did.
    fn take_over(&mut self, number: u64, from: i64) -> Result<Option<Trial>> {
        let path = &self.path;
        let fail = |e| problem(path, &e);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let taken = transaction
            .execute(
                "UPDATE trials SET worker = ?1, started = CURRENT_TIMESTAMP
                     WHERE number = ?2 AND state = 'running' AND worker = ?3",
                params![self.worker.id, number as i64, from],
            )
            .map_err(fail)?;
        // What came after the checkpoint that it goes on from comes again.
        let epochs = transaction
            .query_row("SELECT epochs FROM checkpoints WHERE trial = ?1", [number as i64], |row| row.get(0))
            .optional()
            .map_err(fail)?
            .unwrap_or(0_i64);
        transaction
            .execute("DELETE FROM epochs WHERE trial = ?1 AND epoch > ?2", [number as i64, epochs])
            .map_err(fail)?;
        if taken == 0 {
            // What was begun is undone where it is dropped.
            return Ok(None);
        }
        transaction.commit().map_err(fail)?;
        let trial = self.known.get(number as usize).cloned();
        Ok(trial.map(|trial| Trial { epochs: epochs as usize, ..trial }))
    }

    /// Puts a new trial on record; none where another process had one of its number.
    fn begin(&mut self, candidate: u64, settings: Vec<(String, String)>) -> Result<Option<Trial>> {
        let number = self.known.len() as u64;
        let text = serde_json::to_string(&settings)
            .map_err(|e| Error::output(format!("settings cannot be written as JSON: {e}"), ""))?;
        let begun = self
            .connection
            .prepare_cached(
                "INSERT OR IGNORE INTO trials (number, candidate, state, settings, worker)
                     VALUES (?1, ?2, 'running', ?3, ?4)",
            )
            .and_then(|mut insert| {
                insert.execute(params![number as i64, candidate as i64, text, self.worker.id])
            })
            .map_err(|e| problem(&self.path, &e))?;
        let trial = Trial {
            number,
            candidate,
            state: State::Running,
            settings,
            metric: None,
            best_epoch: None,
            cuts: Vec::new(),
            epochs: 0,
            seconds: 0.0,
            reason: String::new(),
        };
        Ok((begun == 1).then_some(trial))
    }

    /// A trial that is running, but whose process has ended, and its worker.
    fn left_running(&self) -> Result<Option<(u64, i64)>> {
        let fail = |e| problem(&self.path, &e);
        let open = self.known.iter().position(|trial| trial.state == State::Running);
        let Some(open) = open else { return Ok(None) };
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT number, worker FROM trials WHERE state = 'running' AND number >= ?1 ORDER BY number",
            )
            .map_err(fail)?;
        let rows = statement
            .query_map([open as i64], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .map_err(fail)?;
        for row in rows {
            let (number, worker) = row.map_err(fail)?;
            if worker != self.worker.id && has_ended(&self.path, worker) {
                return Ok(Some((number as u64, worker)));
            }
        }
        Ok(None)
    }

    /// Writes the figures of epochs: trial, epoch, and metric, validation loss and training loss.
    pub fn tell_epochs(&mut self, epochs: &[EpochFigures]) -> Result<()> {
        if epochs.is_empty() {
            return Ok(());
        }
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

    /// The bytes of the checkpoint of a trial, if it has one.
    pub fn checkpoint(&self, trial: u64) -> Result<Option<Vec<u8>>> {
        self.connection
            .query_row("SELECT bytes FROM checkpoints WHERE trial = ?1", [trial as i64], |row| row.get(0))
            .optional()
            .map_err(|e| problem(&self.path, &e))
    }

    /// Writes how a trial ended, which has no use for a checkpoint any more.
    pub fn tell_end(&mut self, trial: u64, outcome: &Outcome) -> Result<()> {
        let path = &self.path;
        let fail = |e| problem(path, &e);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        transaction.execute("DELETE FROM checkpoints WHERE trial = ?1", [trial as i64]).map_err(fail)?;
        transaction
            .execute(
                "UPDATE trials SET state = ?2, metric = ?3, best_epoch = ?4, seconds = ?5, reason = ?6, cuts = ?7,
                     ended = CURRENT_TIMESTAMP WHERE number = ?1",
                params![
                    trial as i64,
                    outcome.state.name(),
                    outcome.metric,
                    outcome.best_epoch.map(|epoch| epoch as i64),
                    outcome.seconds,
                    outcome.reason,
                    serde_json::json!(outcome.cuts).to_string()
                ],
            )
            .map_err(fail)?;
        transaction.commit().map_err(fail)
    }

    /// The best metric of a trial up to each of its epochs; infinite as long as none was a number.
    pub fn curve(&self, trial: u64) -> Result<Vec<f64>> {
        let fail = |e| problem(&self.path, &e);
        let mut statement = self
            .connection
            .prepare_cached("SELECT metric FROM epochs WHERE trial = ?1 ORDER BY epoch")
            .map_err(fail)?;
        let rows = statement.query_map([trial as i64], |row| row.get::<_, Option<f64>>(0)).map_err(fail)?;
        let mut best = f64::INFINITY;
        let mut curve = Vec::new();
        for metric in rows {
            best = best.min(metric.map_err(fail)?.unwrap_or(f64::INFINITY));
            curve.push(best);
        }
        Ok(curve)
    }

    /// Leaves trials that were stopped for the next process: they are claimed again.
    pub fn give_back(&mut self, trial: u64) -> Result<()> {
        self.connection
            .execute("UPDATE trials SET worker = -1 WHERE number = ?1 AND state = 'running'", [trial as i64])
            .map(|_| ())
            .map_err(|e| problem(&self.path, &e))
    }
}

/// Where the states of one trial are kept, over a connection of its own.
pub(super) struct StateStore {
    connection: Connection,
    path: PathBuf,
    trial: u64,
}

impl StateStore {
    /// Opens the study of this file for the states of this trial.
    pub(super) fn open(path: &Path, trial: u64) -> Result<Self> {
        let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        Ok(Self { connection, path: path.to_owned(), trial })
    }

    /// Keeps the state after `n_epochs` epochs, all of which are on record, in place of the one before; the trial goes
    /// on from it if this process ends.
    pub(super) fn keep(&self, n_epochs: usize, bytes: &[u8]) -> Result<()> {
        self.connection
            .execute(
                "INSERT OR REPLACE INTO checkpoints VALUES (?1, ?2, ?3)",
                params![self.trial as i64, n_epochs as i64, bytes],
            )
            .map(|_| ())
            .map_err(|e| problem(&self.path, &e))
    }
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
            config: "seed = 0\n".into(),
            space: String::new(),
        }
    }

    fn next(known: &[Trial]) -> Next {
        let n = known.len() as u64;
        if n < 4 {
            Next::Try(10 + n, vec![("train.epochs".to_owned(), n.to_string())])
        } else {
            Next::Over(Over::Enough(4))
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
            cuts: vec![1],
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
        // Whoever looks while all are alive disturbs none.
        let states = || -> Vec<State> {
            let view = View::open(&folder.path().join(FILE)).unwrap();
            view.trials().unwrap().into_iter().map(|trial| trial.state).collect()
        };
        assert_eq!(states(), [State::Running; 3]);
        drop(third);
        assert_eq!(states(), [State::Running, State::Running, State::Interrupted]);
        one.tell_epochs(&[(0, 1, [2.0, 0.2, 0.1]), (0, 2, [1.5, 0.3, 0.1]), (0, 3, [1.8, 0.4, 0.1])])
            .unwrap();
        other.tell_epochs(&[(1, 1, [9.0, 0.2, 0.1])]).unwrap();
        one.tell_end(0, &done(1.5)).unwrap();
        assert_eq!(one.curve(0).unwrap(), [2.0, 1.5, 1.5]);
        assert_eq!(one.curve(1).unwrap(), [9.0]);
        // The third has ended without a word: its trial is free.
        let again = claimed(&mut one);
        assert_eq!((again.number, again.candidate), (2, 12));
        assert_eq!(claimed(&mut one).number, 3);
        assert_eq!(one.claim(&mut |known| Ok(next(known))).unwrap(), Claim::Over(Over::Enough(4)));
        let view = View::open(&folder.path().join(FILE)).unwrap();
        let kept = view.trials().unwrap();
        assert_eq!(kept.len(), 4);
        let first = &kept[0];
        assert_eq!(
            (first.state, first.metric, first.best_epoch, first.epochs),
            (State::Done, Some(1.5), Some(2), 3)
        );
        assert_eq!(first.cuts, [1]);
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
        assert_eq!(store.trials().unwrap()[0].state, State::Interrupted);
        assert_eq!(claimed(&mut store).number, 0);
        let again = &store.trials().unwrap()[0];
        assert_eq!((again.epochs, again.state), (0, State::Running));
    }

    #[test]
    fn a_trial_goes_on_from_its_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::create(folder.path(), &header()).unwrap();
        claimed(&mut store);
        assert_eq!(store.checkpoint(0).unwrap(), None);
        store.tell_epochs(&[(0, 1, [2.0, 0.2, 0.1]), (0, 2, [2.0, 0.2, 0.1])]).unwrap();
        let states = StateStore::open(store.path(), 0).unwrap();
        states.keep(2, b"two").unwrap();
        store.tell_epochs(&[(0, 3, [1.0, 0.1, 0.1])]).unwrap();
        store.give_back(0).unwrap();
        let again = claimed(&mut store);
        assert_eq!((again.number, again.epochs), (0, 2));
        assert_eq!(store.trials().unwrap()[0].epochs, 2, "the third comes again");
        assert_eq!(store.checkpoint(0).unwrap().unwrap(), b"two");
        states.keep(3, b"three").unwrap();
        assert_eq!(store.checkpoint(0).unwrap().unwrap(), b"three");
        store.tell_end(0, &done(1.0)).unwrap();
        assert_eq!(store.checkpoint(0).unwrap(), None);
    }

    #[test]
    fn a_trial_that_looks_at_others_waits_for_them_when_it_is_claimed_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = Store::create(folder.path(), &header()).unwrap();
        let [mut left, mut other] = [(); 2].map(|()| Store::open(folder.path()).unwrap());
        assert_eq!([&mut one, &mut left].map(|store| claimed(store).number), [0, 1]);
        drop(left);
        let mut claim = |lag| {
            other.set_lag(lag);
            other.claim(&mut |known| Ok(next(known))).unwrap()
        };
        assert_eq!(claim(1), Claim::Wait);
        one.tell_epochs(&[(0, 1, [2.0, 0.2, 0.1]), (0, 2, [1.0, 0.2, 0.1])]).unwrap();
        one.tell_end(0, &done(1.0)).unwrap();
        assert!(matches!(claim(1), Claim::Trial(Trial { number: 1, .. })));
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
        // Nobody is told to remove a model.
        let empty = folder.path().join(FILE);
        std::fs::write(&empty, "").unwrap();
        assert!(message(&empty).contains("remove its folder"));
        std::fs::write(folder.path().join("tune.json"), "{}").unwrap();
        assert!(message(&empty).contains("its trials are lost") && !message(&empty).contains("remove"));
    }

    #[test]
    fn what_others_lock_or_nobody_may_write_is_told_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::create(folder.path(), &header()).unwrap();
        claimed(&mut store);
        let path = folder.path().join(FILE);
        let foreign = Connection::open(&path).unwrap();
        foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
        // Not a minute, for the test's sake.
        store.connection.busy_timeout(std::time::Duration::from_millis(20)).unwrap();
        let message = store.tell_end(0, &done(1.0)).unwrap_err().to_string();
        for words in ["study.db has been locked by another process", "try: end the process that holds it"] {
            assert!(message.contains(words), "{message}");
        }
        foreign.execute_batch("COMMIT").unwrap();
        store.connection.pragma_update(None, "query_only", true).unwrap();
        let message = store.tell_end(0, &done(1.0)).unwrap_err().to_string();
        for words in ["study.db cannot be written", "try: check the permissions"] {
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn what_makes_no_sense_in_a_study_is_told_as_damage() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::create(folder.path(), &header()).unwrap();
        claimed(&mut store);
        for (harm, words) in [
            ("UPDATE trials SET best_epoch = -3", "`best epoch -3 of 0` in trial 0"),
            ("UPDATE trials SET best_epoch = 900000000", "`best epoch 900000000 of 0` in trial 0"),
            ("UPDATE trials SET best_epoch = NULL, state = 'weird'", "`weird` in trial 0"),
            ("UPDATE trials SET state = 'done', settings = '{bad'", "`{bad` in trial 0"),
            ("DROP TABLE epochs", "no such table: epochs"),
        ] {
            store.connection.execute_batch(harm).unwrap();
            let message = View::open(folder.path()).unwrap().trials().unwrap_err().to_string();
            assert!(message.contains("study.db is damaged") && message.contains(words), "{message}");
        }
    }

    #[test]
    fn eight_workers_on_one_study_claim_every_trial_once() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::create(folder.path(), &header()).unwrap());
        let next = |known: &[Trial]| {
            let n = known.len() as u64;
            Ok(if n < 200 { Next::Try(n, Vec::new()) } else { Next::Over(Over::Enough(200)) })
        };
        let mut claimed: Vec<u64> = std::thread::scope(|scope| {
            let work = || {
                let mut store = Store::open(folder.path()).unwrap();
                let mut numbers = Vec::new();
                while let Claim::Trial(trial) = store.claim(&mut { next }).unwrap() {
                    let epochs = [1, 2].map(|epoch| (trial.number, epoch, [1.0; 3]));
                    store.tell_epochs(&epochs).unwrap();
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
