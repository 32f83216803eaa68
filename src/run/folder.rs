//! The run folder: what a run leaves on disk.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::model::{MODEL_FILE, Model};
use crate::train::events::{EpochRecord, Event};

use super::report::Report;

/// A folder that a run is being written to.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    events: File,
    history: File,
}

impl RunFolder {
    /// Makes the folder: `out`, or the first free of `runs/<stem>-1`, `runs/<stem>-2` …
    ///
    /// A folder that exists is never written into.
    pub fn create(out: Option<&Path>, stem: &str) -> Result<Self> {
        let path = match out {
            Some(out) => {
                if out.exists() {
                    return Err(Error::output(
                        format!("{} exists already; a run is never written over", out.display()),
                        "another --out, or leave it away for the next free folder in runs/",
                    ));
                }
                fs::create_dir_all(out).map_err(|e| Error::io("create", out, e))?;
                out.to_owned()
            }
            None => next_free(Path::new("runs"), stem)?,
        };
        let open = |name: &str| {
            let file = path.join(name);
            OpenOptions::new()
                .create_new(true)
                .append(true)
                .open(&file)
                .map_err(|e| Error::io("create", &file, e))
        };
        let (events, history) = (open("events.jsonl")?, open("history.csv")?);
        Ok(Self { path, events, history })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a whole file into the folder.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_atomically(&self.path.join(name), bytes)
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
            .map_err(|e| Error::io("write", &self.path.join("events.jsonl"), e))?;
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
        lines += &format!(
            "{},{},{},{},{},{:.0},{:.4},{}\n",
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
            .map_err(|e| Error::io("write", &self.path.join("history.csv"), e))
    }

    /// Writes what training and testing came to.
    pub fn finish(&mut self, model: &Model, report: &Report) -> Result<()> {
        let sync = |file: &File, name: &str| {
            file.sync_all().map_err(|e| Error::io("write", &self.path.join(name), e))
        };
        sync(&self.events, "events.jsonl")?;
        sync(&self.history, "history.csv")?;
        let metrics = serde_json::to_string_pretty(&report.to_json())
            .map_err(|e| Error::output(format!("the metrics cannot be written as JSON: {e}"), ""))?;
        self.write("metrics.json", (metrics + "\n").as_bytes())?;
        model.save(&self.path.join(MODEL_FILE))
    }

    /// Takes the folder away again, after a run that came to nothing.
    pub fn discard(self) {
        // What cannot be removed stays: the error that led here is the one to report.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Makes the first free folder `<stem>-<number>`.
fn next_free(runs: &Path, stem: &str) -> Result<PathBuf> {
    fs::create_dir_all(runs).map_err(|e| Error::io("create", runs, e))?;
    for number in 1_u32.. {
        let path = runs.join(format!("{stem}-{number}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io("create", &path, e)),
        }
    }
    Err(Error::output(format!("no name is free in {}", runs.display()), "--out FOLDER"))
}
