//! Writes the states of a trial into its study while the trial goes on.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::study::StateStore;
use crate::error::{Error, Result};
use crate::train::checkpoint::Checkpoint;

/// Of the time, writing takes at most one part in so many where epochs end.
const PART_OF_EPOCHS: u32 = 10;
/// And in the middle of an epoch.
const PART_WITHIN: u32 = 50;

/// Takes the states of one trial, and writes one at a time, in a thread of its own that the first of them begins.
pub(super) struct StateWriter {
    study: PathBuf,
    trial: u64,
    thread: Option<Thread>,
    /// Whether one is being written.
    busy: bool,
    began: Instant,
    /// What the last one took.
    took: Duration,
}

struct Thread {
    to: Sender<Checkpoint>,
    done: Receiver<(Result<()>, Duration)>,
    handle: JoinHandle<()>,
}

impl StateWriter {
    /// Writes states of this trial into the study of this file.
    pub(super) fn new(study: &Path, trial: u64) -> Self {
        let study = study.to_owned();
        Self { study, trial, thread: None, busy: false, began: Instant::now(), took: Duration::ZERO }
    }

    /// Whether this state is to be written: where it has to be when the call returns (`waits`), or where none is being
    /// written and writing does not take too much of the time. What went wrong with the one before is the error.
    pub(super) fn takes(&mut self, checkpoint: &Checkpoint, waits: bool) -> Result<bool> {
        self.settle(waits)?;
        let [_, step] = checkpoint.place();
        let part = if step == 0 { PART_OF_EPOCHS } else { PART_WITHIN };
        Ok(waits || !self.busy && self.began.elapsed() >= self.took * part)
    }

    /// Writes a state that [`takes`](Self::takes) has agreed to.
    pub(super) fn write(&mut self, checkpoint: Checkpoint, waits: bool) -> Result<()> {
        if self.thread.is_none() {
            self.thread = Some(Thread::new(&self.study, self.trial)?);
        }
        let sent = self.thread.as_ref().is_some_and(|thread| thread.to.send(checkpoint).is_ok());
        (self.busy, self.began) = (sent, Instant::now());
        if sent { self.settle(waits) } else { Err(gone()) }
    }

    /// Hears of the state that is being written, and waits until it is where `waits`.
    fn settle(&mut self, waits: bool) -> Result<()> {
        let Some(thread) = self.thread.as_ref().filter(|_| self.busy) else { return Ok(()) };
        let heard = if waits { thread.done.recv().ok() } else { thread.done.try_recv().ok() };
        match heard {
            Some((written, took)) => {
                (self.busy, self.took) = (false, took);
                written
            }
            None if waits || thread.handle.is_finished() => Err(gone()),
            None => Ok(()),
        }
    }

    /// Waits until nothing is being written any more.
    pub(super) fn finish(mut self) -> Result<()> {
        let written = self.settle(true);
        if let Some(Thread { to, handle, .. }) = self.thread.take() {
            drop(to);
            let _ = handle.join();
        }
        written
    }
}

impl Thread {
    fn new(study: &Path, trial: u64) -> Result<Self> {
        let store = StateStore::open(study, trial)?;
        let (to, states) = channel::<Checkpoint>();
        let (tell, done) = channel();
        let work = move || {
            for state in states {
                let begin = Instant::now();
                let [epoch, _] = state.place();
                let written = state.into_bytes().and_then(|bytes| store.keep(epoch - 1, &bytes));
                if tell.send((written, begin.elapsed())).is_err() {
                    return;
                }
            }
        };
        let handle = std::thread::Builder::new()
            .name("states".into())
            .spawn(work)
            .map_err(|e| Error::io("begin a thread to write", study, e))?;
        Ok(Self { to, done, handle })
    }
}

fn gone() -> Error {
    Error::output("the thread that writes states of trials has ended", "")
}
