//! The run folder: what a run leaves on disk.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::model::{MODEL_FILE, Model};
use crate::train::events::{EpochRecord, Event};

use super::report::Report;

/// A folder of results that is being written; taken away again unless it is kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The folders above it that were made for it, from the outermost on.
    parents: Vec<PathBuf>,
    kept: bool,
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
        Ok(Self { path, parents, kept: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a whole file into the folder.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_atomically(&self.path.join(name), bytes)
    }

    /// From here on the folder stays, whatever happens.
    pub fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Folder {
    /// What came to nothing leaves nothing, nor the folders made for it.
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.path, &self.parents);
        }
    }
}

/// A folder that a run is being written to; taken away again unless training comes to its end.
#[derive(Debug)]
pub struct RunFolder {
    folder: Folder,
    events: File,
    history: File,
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
        let (events, history) = (open("events.jsonl")?, open("history.csv")?);
        Ok(Self { folder, events, history })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder.path
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
            .map_err(|e| Error::io("write", &self.path().join("events.jsonl"), e))?;
        if let Event::Epoch(record) = event {
            self.tell_history(record)?;
        }
        Ok(())
    }

    fn tell_history(&mut self, r: &EpochRecord) -> Result<()> {
        let names: Vec<&str> = r.metrics.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> = r.metrics.iter().map(|(_, value)| value.to_string()).collect();
        let mut lines = String::new();
        if r.epoch == 1 {
            let names = names.join(",");
            lines = format!("epoch,train_loss,val_loss,{names},learning_rate,rows_per_second,seconds,best\n");
        }
        let _ = writeln!(
            lines,
            "{},{},{},{},{},{:.0},{:.4},{}",
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
            .map_err(|e| Error::io("write", &self.path().join("history.csv"), e))
    }

    /// Writes what training and testing came to; what is written stays, even if not all of it can be.
    pub fn finish(&mut self, model: &Model, report: &Report) -> Result<()> {
        self.folder.keep();
        model.save(&self.path().join(MODEL_FILE))?;
        let sync = |file: &File, name: &str| {
            file.sync_all().map_err(|e| Error::io("write", &self.path().join(name), e))
        };
        sync(&self.events, "events.jsonl")?;
        sync(&self.history, "history.csv")?;
        let metrics = serde_json::to_string_pretty(&report.to_json())
            .map_err(|e| Error::output(format!("the metrics cannot be written as JSON: {e}"), ""))?;
        self.write("metrics.json", (metrics + "\n").as_bytes())
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
    use super::file_name;

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
