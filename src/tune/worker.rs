//! The processes that work on a study: each holds the lock of a file of its own as long as it lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::record::problem;
use crate::error::{Error, Result};

/// The lock of this process.
#[derive(Debug)]
pub(super) struct Worker {
    /// Its number in the study.
    pub(super) id: i64,
    path: PathBuf,
    /// Locked as long as it is open.
    _file: File,
}

impl Worker {
    /// Registers this process among those that work on a study.
    pub(super) fn register(connection: &Connection, study: &Path) -> Result<Self> {
        connection.execute("INSERT INTO workers DEFAULT VALUES", []).map_err(|e| problem(study, &e))?;
        let id = connection.last_insert_rowid();
        let path = lock_path(study, id);
        // It gets its name when it is locked: a file of that name that nobody holds is that of a process that has ended.
        let unnamed = path.with_extension("new");
        let file = lock_file(&unnamed)?;
        file.lock().map_err(|e| Error::io("lock", &unnamed, e))?;
        std::fs::rename(&unnamed, &path).map_err(|e| Error::io("create", &path, e))?;
        clear_away(study);
        Ok(Self { id, path, _file: file })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Nobody misses a lock that nobody holds.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The turn to train the best trials anew, which one process of a study has at a time.
#[derive(Debug)]
pub struct LastTurn {
    /// Whether another process had it before.
    pub waited: bool,
    path: PathBuf,
    /// Locked as long as it is open.
    _file: File,
}

impl LastTurn {
    /// Waits for the turn in the study of this folder, of which `tell` hears; none where `stop` ends the waiting.
    pub fn take(folder: &Path, stop: &AtomicBool, tell: &mut dyn FnMut()) -> Result<Option<Self>> {
        let path = folder.join("last.lock");
        let file = lock_file(&path)?;
        let mut waited = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { waited, path, _file: file })),
                Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path, e)),
                Err(TryLockError::WouldBlock) if stop.load(Ordering::SeqCst) => return Ok(None),
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut waited, true) {
                        tell();
                    }
                    std::thread::sleep(LOOK_AGAIN);
                }
            }
        }
    }
}

impl Drop for LastTurn {
    fn drop(&mut self) {
        // Those who wait hold the file itself. Who comes just now makes another, and trains for itself, to the same bits.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Opens a file whose lock matters, not what is in it.
fn lock_file(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    opened.map_err(|e| Error::io("create", path, e))
}

/// How long who waits for the turn goes without looking.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// No lock is so long without its name.
const UNNAMED: Duration = Duration::from_secs(60);

/// Whether the process that works on a study by this number has ended.
pub(super) fn has_ended(study: &Path, worker: i64) -> bool {
    nobody_holds(&lock_path(study, worker))
}

/// Whether processes other than this one work on a study.
pub(super) fn others_work(study: &Path, own: i64) -> bool {
    let own = lock_path(study, own);
    locks(study)
        .any(|path| path != own && path.extension().is_some_and(|end| end == "lock") && !nobody_holds(&path))
}

/// The files whose locks processes hold, and those that are about to be.
fn locks(study: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = study.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_worker = |path: &PathBuf| {
        path.file_stem().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("worker-"))
    };
    entries.map(|entry| folder.join(entry.file_name())).filter(is_worker)
}

/// Whether nobody holds a lock. Asked for reading, which those can who only look at a study, and shared, so that two who
/// ask do not take each other for its holder.
fn nobody_holds(lock: &Path) -> bool {
    match File::open(lock) {
        Ok(file) => file.try_lock_shared().is_ok(),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Removes the locks of processes that were killed; where that fails they do no harm.
fn clear_away(study: &Path) {
    for path in locks(study) {
        // One that has no name yet may be about to be locked; after a minute its process has been killed before that.
        let is_old = || {
            path.metadata()
                .and_then(|it| it.modified())
                .is_ok_and(|then| then.elapsed().is_ok_and(|t| t > UNNAMED))
        };
        let is_lock = path.extension().is_some_and(|end| end == "lock" || end == "new" && is_old());
        if is_lock && nobody_holds(&path) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

fn lock_path(study: &Path, worker: i64) -> PathBuf {
    study.with_file_name(format!("worker-{worker}.lock"))
}
