//! The checkpoints of a run on disk: two at a time, written by a thread of its own while training goes on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::folder::Undo;
use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::train::checkpoint::{Checkpoint, FORMAT_VERSION, Unfit};

/// Where they lie in a run folder.
pub const CHECKPOINTS: &str = "checkpoints";
/// What their names begin and end with; between them stands a number that rises.
const NAME: [&str; 2] = ["state-", ".safetensors"];
/// How many are kept: one that is damaged leaves the one before it.
const KEPT: u64 = 2;

/// What is to be written, and whom to tell when it is.
type Job = (Checkpoint, Sender<()>);

/// A folder of checkpoints, and the thread that writes them.
///
/// A checkpoint is a temporary file that is flushed, renamed and followed by a flush of the folder; only then is the one
/// before the last taken away. What fails leaves those that are there as they are.
#[derive(Debug)]
pub struct Checkpoints {
    /// Given up before the thread is waited for.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    is_writing: Arc<AtomicBool>,
    failure: Arc<Mutex<Option<Error>>>,
}

/// What the thread has to do with.
struct Writer {
    folder: PathBuf,
    number: u64,
    /// Files that a checkpoint counts on.
    logs: Vec<File>,
    run: Undo,
    is_writing: Arc<AtomicBool>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Checkpoints {
    /// The checkpoints of a run in `folder`, which is made when the first is written. From then on the run's folder
    /// stays; `logs` are flushed before each of them.
    pub fn new(folder: &Path, logs: Vec<File>, run: Undo) -> Result<Self> {
        let number = numbers(folder)?.first().map_or(1, |last| last + 1);
        let (is_writing, failure) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
        let writer = Writer {
            folder: folder.to_owned(),
            number,
            logs,
            run,
            is_writing: Arc::clone(&is_writing),
            failure: Arc::clone(&failure),
        };
        let (jobs, todo) = channel();
        let run = move || writer.run(&todo);
        let thread = std::thread::Builder::new().name("checkpoints".into()).spawn(run).map_err(|e| {
            Error::training(
                format!("no thread can be started to write checkpoints: {e}"),
                "end other programs first",
            )
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), is_writing, failure })
    }

    /// Hands a checkpoint over to be written; if it `waits`, until it is. Where one is under way already it is left out.
    /// What went wrong since the last call is the error.
    pub fn keep(&self, checkpoint: Checkpoint, waits: bool) -> Result<()> {
        // No two at a time: each takes much memory, and where the disk is slower than training the next one will do.
        let is_writing = self.is_writing.swap(true, Ordering::AcqRel);
        if let (Some(jobs), false) = (&self.jobs, is_writing && !waits) {
            let (done, wait) = channel();
            // The thread lives as long as its jobs can come.
            let _ = jobs.send((checkpoint, done));
            if waits {
                let _ = wait.recv();
            }
        }
        self.take_failure().map_or(Ok(()), Err)
    }

    /// Waits until all that was handed over is written; what went wrong since the last call is the error.
    pub fn finish(mut self) -> Result<()> {
        self.join();
        self.take_failure().map_or(Ok(()), Err)
    }

    fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn join(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.join();
    }
}

impl Writer {
    fn run(mut self, todo: &Receiver<Job>) {
        while let Ok((checkpoint, done)) = todo.recv() {
            if let Err(error) = self.write(checkpoint) {
                self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
            self.is_writing.store(false, Ordering::Release);
            // Not everybody waits for it.
            let _ = done.send(());
        }
    }

    fn write(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let bytes = checkpoint.into_bytes()?;
        for log in &self.logs {
            log.sync_data().map_err(|e| Error::io("write", &self.folder, e))?;
        }
        let path = self.folder.join(name(self.number));
        // The folder too: made beside somebody who takes the run's away, it would stay with nothing in it.
        self.run.keep(|| {
            make(&self.folder)?;
            write_atomically(&path, &bytes)
        })?;
        self.number += 1;
        for number in numbers(&self.folder)?.into_iter().skip(KEPT as usize) {
            // One too many does no harm.
            let _ = fs::remove_file(self.folder.join(name(number)));
        }
        Ok(())
    }
}

/// Makes the folder of checkpoints unless it is there.
fn make(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    // A folder is on disk once those above it are: this one, the run's, and that of all runs.
    for above in folder.ancestors().skip(1).take(3).filter(|above| above.is_dir()) {
        let flushed = File::open(above).and_then(|above| above.sync_all());
        flushed.map_err(|e| Error::io("write", above, e))?;
    }
    Ok(())
}

fn name(number: u64) -> String {
    format!("{}{number:06}{}", NAME[0], NAME[1])
}

/// The numbers of the checkpoints in `folder`, the last one first; none if there is no folder.
fn numbers(folder: &Path) -> Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| Error::io("read", folder, e))?,
    };
    let mut numbers: Vec<u64> = Vec::new();
    for entry in entries {
        let file = entry.map_err(|e| Error::io("read", folder, e))?.file_name();
        let number: Option<u64> =
            file.to_str().and_then(|file| file.strip_prefix(NAME[0])?.strip_suffix(NAME[1])?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    Ok(numbers)
}

/// Whether there are checkpoints in `folder`, or in a folder in it.
pub fn are_in(folder: &Path) -> Result<bool> {
    if !numbers(folder)?.is_empty() {
        return Ok(true);
    }
    let Ok(entries) = fs::read_dir(folder) else { return Ok(false) };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        if !numbers(&entry.path())?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last checkpoint in `folder` that is whole, if there is one, and what is wrong with later ones, in words.
pub fn last_in(folder: &Path) -> Result<(Option<Checkpoint>, Vec<String>)> {
    let mut damaged = Vec::new();
    for number in numbers(folder)? {
        let path = folder.join(name(number));
        let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        match Checkpoint::read(&bytes) {
            Ok(checkpoint) => return Ok((Some(checkpoint), damaged)),
            Err(Unfit::Version(version)) => {
                return Err(Error::model(
                    format!(
                        "{} has format version {version}; this Statera goes on from version {FORMAT_VERSION}",
                        path.display()
                    ),
                    "the version of Statera that began the run, or train anew",
                ));
            }
            Err(Unfit::Damaged(what)) => {
                damaged.push(format!("{} is damaged: {what}", path.display()));
                // Out of the way of those to come, of which it must not count as one.
                let _ = fs::rename(&path, path.with_extension("damaged"));
            }
        }
    }
    Ok((None, damaged))
}

/// Whether a file is one that a killed process had not finished.
pub(super) fn is_left_over(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".tmp"))
}

/// Takes away the checkpoints in `folder` and in folders in it: a run that has come to its end needs them no longer.
/// What cannot be removed stays.
pub fn remove_all(folder: &Path) {
    for number in numbers(folder).unwrap_or_default() {
        let _ = fs::remove_file(folder.join(name(number)));
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_all(&path);
        } else if path.extension().is_some_and(|extension| extension == "damaged") || is_left_over(&path) {
            let _ = fs::remove_file(path);
        }
    }
    // Unless there are models in it.
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use statera_kernels::CpuLevel;

    use super::*;
    use crate::config::{Activation, Config, Initializer, LayerSpec};
    use crate::data::TargetScaler;
    use crate::nn::{Loss, Network};
    use crate::run::Folder;
    use crate::train::checkpoint::Saving;
    use crate::train::events::{Answer, Event};
    use crate::train::fit::{FitRows, OwnedTargets, RowFacts, Rows, fit_saved};
    use crate::train::source::Source;

    /// The checkpoint at the end of a training of one epoch.
    fn checkpoint() -> Checkpoint {
        let rows = Rows {
            x: vec![0.0, 1.0, 2.0, 3.0_f64],
            targets: OwnedTargets::Values(vec![1.0; 4]).weighted(vec![1.0; 4]),
        };
        let network = Network::new(&[LayerSpec::dense(2, Activation::Relu, Initializer::Auto)], 1, 1);
        let (facts, unit) = (RowFacts::default(), &TargetScaler::IDENTITY);
        let (train, val) = (Source::Memory(&rows), Source::Memory(&rows));
        let mut config = Config::default();
        config.train.epochs = 1;
        let mut kept = None;
        let mut keep = |checkpoint, _| {
            kept = Some(checkpoint);
            Ok(())
        };
        let saving = Saving {
            from: None,
            every: std::time::Duration::ZERO,
            about: Value::Null,
            at_end: true,
            keep: &mut keep,
        };
        let rows = FitRows { train, val, facts: &facts, unit };
        let go_on = &mut |_: &Event| Answer::GoOn;
        fit_saved(&network, Loss::Mse, CpuLevel::detect(), &config, rows, go_on, Some(saving)).unwrap();
        kept.unwrap()
    }

    /// While a run's folder is taken away, so that the process ends with nothing kept, no checkpoint makes it anew.
    #[test]
    fn a_folder_that_is_taken_away_stays_away() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        let folder = Folder::create(Some(&path), "").unwrap();
        let checkpoints = Checkpoints::new(&path.join(CHECKPOINTS), Vec::new(), folder.undo()).unwrap();
        folder.undo().undo(|kept| {
            assert!(!kept);
            checkpoints.keep(checkpoint(), false).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(200));
            assert!(!path.exists(), "{:?}", fs::read_dir(&path).map(Iterator::count));
        });
        checkpoints.finish().unwrap();
        // Somebody who goes on all the same has a folder with a checkpoint, which stays.
        let mut kept = false;
        folder.undo().undo(|k| kept = k);
        assert!(kept && are_in(&path.join(CHECKPOINTS)).unwrap());
    }
}
