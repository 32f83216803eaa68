//! The run folder: what a run leaves on disk.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checkpoints::{CHECKPOINTS, is_left_over};
use super::report::Report;
use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::model::{MODEL_FILE, Params};
use crate::train::events::{Answer, Callback, EpochRecord, Event};

/// A folder of results that is being written; taken away again unless it is kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    fate: Arc<Mutex<Fate>>,
}

/// What becomes of a folder. Whoever writes into the folder or takes it away holds the lock meanwhile.
#[derive(Debug)]
struct Fate {
    path: PathBuf,
    /// The folders above it that were made for it, from the outermost on.
    parents: Vec<PathBuf>,
    kept: bool,
}

/// Takes a [`Folder`] away from another thread than the one that writes it.
#[derive(Debug, Clone)]
pub struct Undo(Arc<Mutex<Fate>>);

impl Undo {
    /// That of a folder which was there before and stays, whatever becomes of the work in it.
    pub fn of_kept(folder: &Path) -> Self {
        Self(Fate::of_kept(folder))
    }

    /// Writes something into the folder while nobody takes it away; it does not stay for that.
    pub fn write(&self, write: impl FnOnce() -> Result<()>) -> Result<()> {
        let _writing = lock(&self.0);
        write()
    }

    /// Writes something into the folder for which it stays from then on, whatever becomes of the run.
    pub fn keep(&self, write: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut fate = lock(&self.0);
        write()?;
        fate.kept = true;
        Ok(())
    }

    /// Removes the folder unless it is kept, then calls `then` with whether it is kept.
    ///
    /// Until `then` is done nobody writes into the folder: a `then` that ends the process leaves nothing
    /// half-written. Where results are being written at this moment, it waits for them, and they are kept.
    pub fn undo(&self, then: impl FnOnce(bool)) {
        let fate = lock(&self.0);
        if !fate.kept {
            remove(&fate.path, &fate.parents);
        }
        then(fate.kept);
    }
}

impl Fate {
    fn of_kept(folder: &Path) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { path: folder.to_owned(), parents: Vec::new(), kept: true }))
    }
}

/// A thread that panicked while it wrote leaves nothing that another could not go on with.
fn lock(fate: &Mutex<Fate>) -> MutexGuard<'_, Fate> {
    fate.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Folder {
    /// Refuses a folder that exists.
    pub fn check(out: &Path) -> Result<()> {
        if out.symlink_metadata().is_ok() { Err(exists(out)) } else { Ok(()) }
    }

    /// Makes the folder: `out`, or the first free of `runs/<stem>-1`, `runs/<stem>-2` …
    ///
    /// A folder that exists is never written into. Of `stem` only letters, digits and `-_.` are kept.
    pub fn create(out: Option<&Path>, stem: &str) -> Result<Self> {
        let wanted = out.unwrap_or(Path::new("runs"));
        let above = if out.is_some() { wanted.parent().unwrap_or(Path::new("")) } else { wanted };
        out.map_or(Ok(()), Self::check)?;
        let parents = make_all(above)?;
        let made = match out {
            Some(out) => make(out).and_then(|made| if made { Ok(out.to_owned()) } else { Err(exists(out)) }),
            None => next_free(above, &file_name(stem)),
        };
        let path = made.inspect_err(|_| remove_empty(&parents))?;
        let fate = Fate { path: path.clone(), parents, kept: false };
        Ok(Self { path, fate: Arc::new(Mutex::new(fate)) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A way to take it away from another thread.
    pub fn undo(&self) -> Undo {
        Undo(Arc::clone(&self.fate))
    }

    /// Writes a whole file into the folder.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let _writing = lock(&self.fate);
        write_atomically(&self.path.join(name), bytes)
    }

    /// Writes the results, each a name and its bytes; from here on the folder stays, even if not all of them can be
    /// written.
    pub fn finish(&self, results: &[(&str, &[u8])]) -> Result<()> {
        let mut fate = lock(&self.fate);
        fate.kept = true;
        results.iter().try_for_each(|(name, bytes)| write_atomically(&self.path.join(name), bytes))
    }
}

impl Drop for Folder {
    /// What came to nothing leaves nothing, nor the folders made for it.
    fn drop(&mut self) {
        self.undo().undo(|_| ());
    }
}

/// The two files of a run that grow.
const EVENTS: &str = "events.jsonl";
const HISTORY: &str = "history.csv";

/// A folder that a run is being written to; taken away again unless training comes to its end, or a checkpoint is kept
/// from which it can go on.
#[derive(Debug)]
pub struct RunFolder {
    folder: Folder,
    events: File,
    history: File,
    /// The fold that is told of, of a cross-validation.
    fold: Option<usize>,
    /// What went wrong first as the two files grew.
    failure: Option<Error>,
}

/// How long the two files were.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lengths {
    events: u64,
    history: u64,
}

impl RunFolder {
    /// Refuses a folder that exists.
    pub fn check(out: &Path) -> Result<()> {
        Folder::check(out)
    }

    /// Makes the folder as [`Folder::create`] does, with the two files that grow.
    pub fn create(out: Option<&Path>, stem: &str) -> Result<Self> {
        let folder = Folder::create(out, stem)?;
        let open = |name: &str| {
            let file = folder.path.join(name);
            OpenOptions::new()
                .create_new(true)
                .append(true)
                .open(&file)
                .map_err(|e| Error::io("create", &file, e))
        };
        let (events, history) = (open(EVENTS)?, open(HISTORY)?);
        let run = Self { folder, events, history, fold: None, failure: None };
        run.claim()?;
        Ok(run)
    }

    /// Takes up the folder of a run that was broken off, to begin anew or to go on where a checkpoint says; it stays,
    /// whatever happens. What a killed process left half-written is taken away.
    pub fn reopen(path: &Path) -> Result<Self> {
        let open = |name: &str| {
            let file = path.join(name);
            OpenOptions::new().append(true).open(&file).map_err(|e| Error::io("write", &file, e))
        };
        let folder = Folder { path: path.to_owned(), fate: Fate::of_kept(path) };
        let run = Self { folder, events: open(EVENTS)?, history: open(HISTORY)?, fold: None, failure: None };
        run.claim()?;
        for folder in [path, &path.join(CHECKPOINTS)] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if is_left_over(&entry.path()) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(run)
    }

    /// Keeps other processes from writing into the folder, until this one ends.
    fn claim(&self) -> Result<()> {
        match self.events.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => Err(Error::output(
                format!("another process is writing the run {}", self.path().display()),
                "wait for it, or end it first",
            )),
            // Some file systems have no locks.
            Ok(()) | Err(std::fs::TryLockError::Error(_)) => Ok(()),
        }
    }

    /// Makes the two files empty, for a run that begins anew.
    pub fn begin_anew(&mut self) -> Result<()> {
        self.cut(&Lengths { events: 0, history: 0 })
    }

    /// Makes the two files as long as they were; a file that is shorter has lost what it is to have.
    fn cut(&self, to: &Lengths) -> Result<()> {
        for (file, name, length) in [(&self.events, EVENTS, to.events), (&self.history, HISTORY, to.history)]
        {
            let path = self.path().join(name);
            let there = file.metadata().map_err(|e| Error::io("read", &path, e))?.len();
            if there < length {
                return Err(Error::output(
                    format!(
                        "{} has {there} bytes; it had {length} when the checkpoint was taken",
                        path.display()
                    ),
                    "put it back as it was, or train anew",
                ));
            }
            file.set_len(length).map_err(|e| Error::io("write", &path, e))?;
        }
        Ok(())
    }

    /// The two files, to be flushed to disk before a checkpoint that counts on them.
    pub fn logs(&self) -> Result<[File; 2]> {
        let copy = |file: &File, name: &str| {
            file.try_clone().map_err(|e| Error::io("write", &self.path().join(name), e))
        };
        Ok([copy(&self.events, EVENTS)?, copy(&self.history, HISTORY)?])
    }

    /// What went wrong first as events were written, if anything did.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    /// A way to take it away from another thread.
    pub fn undo(&self) -> Undo {
        self.folder.undo()
    }

    /// Writes a whole file into the folder.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.folder.write(name, bytes)
    }

    /// Appends an event to `events.jsonl`, and an epoch to `history.csv`.
    pub fn tell(&mut self, event: &Event) -> Result<()> {
        if matches!(event, Event::Progress { .. }) {
            return Ok(());
        }
        let mut line = serde_json::to_string(event)
            .map_err(|e| Error::output(format!("an event cannot be written as JSON: {e}"), ""))?;
        line.push('\n');
        self.events
            .write_all(line.as_bytes())
            .map_err(|e| Error::io("write", &self.path().join(EVENTS), e))?;
        match event {
            Event::Fold { fold, .. } => self.fold = Some(*fold),
            Event::Epoch(record) => self.tell_history(record)?,
            _ => {}
        }
        Ok(())
    }

    fn tell_history(&mut self, r: &EpochRecord) -> Result<()> {
        let names: Vec<&str> = r.metrics.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> = r.metrics.iter().map(|(_, value)| value.to_string()).collect();
        let mut lines = String::new();
        let fold = self.fold.map_or(String::new(), |fold| format!("{fold},"));
        if r.epoch == 1 && self.fold.is_none_or(|fold| fold == 1) {
            let names = names.join(",");
            let first = if fold.is_empty() { "" } else { "fold," };
            lines = format!(
                "{first}epoch,train_loss,val_loss,{names},learning_rate,rows_per_second,seconds,best\n"
            );
        }
        let _ = writeln!(
            lines,
            "{fold}{},{},{},{},{},{:.0},{:.4},{}",
            r.epoch,
            r.train_loss,
            r.val_loss,
            values.join(","),
            r.learning_rate,
            r.rows_per_second,
            r.seconds,
            u8::from(r.best)
        );
        self.history
            .write_all(lines.as_bytes())
            .map_err(|e| Error::io("write", &self.path().join(HISTORY), e))
    }

    /// Writes what training and testing came to, the bytes of the model file among it; what is written stays, even if
    /// not all of it can be.
    pub fn finish(&self, model: Vec<u8>, report: &Report) -> Result<()> {
        let metrics = serde_json::to_string_pretty(&report.to_json())
            .map_err(|e| Error::output(format!("the metrics cannot be written as JSON: {e}"), ""))?;
        let results = [(MODEL_FILE, model), ("metrics.json", (metrics + "\n").into_bytes())];
        self.folder.finish(&results.each_ref().map(|(name, bytes)| (*name, &bytes[..])))?;
        let sync = |file: &File, name: &str| {
            file.sync_all().map_err(|e| Error::io("write", &self.path().join(name), e))
        };
        sync(&self.events, EVENTS)?;
        sync(&self.history, HISTORY)
    }
}

impl Callback for RunFolder {
    fn hear(&mut self, event: &Event, _weights: &dyn Fn() -> Params) -> Answer {
        // Training is worth more than its log.
        if let Err(error) = self.tell(event) {
            self.failure.get_or_insert(error);
        }
        Answer::GoOn
    }

    fn state(&self) -> Value {
        let length = |file: &File| file.metadata().map_or(0, |there| there.len());
        let lengths = Lengths { events: length(&self.events), history: length(&self.history) };
        serde_json::to_value(lengths).unwrap_or_default()
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let unreadable =
            |e| Error::model(format!("the lengths of the logs cannot be read: {e}"), "train anew");
        self.cut(&Lengths::deserialize(state).map_err(unreadable)?)
    }
}

/// Removes a run's folder, and those above it that were made for it and hold nothing else.
///
/// What cannot be removed stays: the error that led here is the one to report.
fn remove(path: &Path, parents: &[PathBuf]) {
    let _ = fs::remove_dir_all(path);
    remove_empty(parents);
}

fn remove_empty(folders: &[PathBuf]) {
    for folder in folders.iter().rev() {
        let _ = fs::remove_dir(folder);
    }
}

fn exists(out: &Path) -> Error {
    Error::output(
        format!("{} exists already; a run is never written over", out.display()),
        "another --out, or leave it out for the next free folder in runs/",
    )
}

/// Makes a folder and those above it; returns those that were not there, from the outermost on.
fn make_all(folder: &Path) -> Result<Vec<PathBuf>> {
    let missing = folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists());
    let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    missing.reverse();
    let mut made = Vec::new();
    for folder in missing {
        match make(&folder) {
            Ok(true) => made.push(folder),
            Ok(false) => {}
            Err(error) => {
                remove_empty(&made);
                return Err(error);
            }
        }
    }
    Ok(made)
}

/// Makes one folder; false if it is there already.
fn make(folder: &Path) -> Result<bool> {
    match fs::create_dir(folder) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(Error::io("create", folder, e)),
    }
}

/// Makes the first free folder `<stem>-<number>`.
fn next_free(runs: &Path, stem: &str) -> Result<PathBuf> {
    for number in 1_u32.. {
        let path = runs.join(format!("{stem}-{number}"));
        if make(&path)? {
            return Ok(path);
        }
    }
    Err(Error::output(format!("no name is free in {}", runs.display()), "--out FOLDER"))
}

/// A name that every file system and shell takes as it stands: other characters become `_`.
fn file_name(stem: &str) -> String {
    const LONGEST: usize = 60;
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = stem.chars().map(safe).take(LONGEST).collect();
    // A dot hides a folder, and a dash makes an option of it.
    let name = name.trim_matches(['.', '-', '_']);
    if name.is_empty() { "run".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::{Folder, file_name};

    #[test]
    fn what_is_not_finished_can_be_taken_away_by_another_thread() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b/run");
        let make = || Folder::create(Some(&path), "").unwrap();
        let folder = make();
        folder.write("half.txt", b"half").unwrap();
        let undo = folder.undo();
        let told = std::thread::spawn(move || {
            let mut kept = None;
            undo.undo(|k| kept = Some(k));
            kept
        });
        assert_eq!(told.join().unwrap(), Some(false));
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nor the folders above it");

        let folder = make();
        folder.finish(&[("one.txt", b"1"), ("two.txt", b"2")]).unwrap();
        let mut kept = None;
        folder.undo().undo(|k| kept = Some(k));
        drop(folder);
        assert_eq!(kept, Some(true));
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 2, "results stay");
    }

    #[test]
    fn names_of_runs_are_safe() {
        for (stem, name) in [
            ("insurance", "insurance"),
            ("my data (2)", "my_data__2"),
            ("../etc/passwd", "etc_passwd"),
            ("--help", "help"),
            (".hidden", "hidden"),
            ("größe", "größe"),
            ("a\nb\u{7}", "a_b"),
            ("$(rm)", "rm"),
            ("", "run"),
            ("…", "run"),
        ] {
            assert_eq!(file_name(stem), name, "{stem}");
        }
        assert_eq!(file_name(&"x".repeat(500)).len(), 60);
    }
}
