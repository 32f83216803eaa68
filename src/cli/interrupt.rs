//! Ctrl-C: once to stop and keep what is there, twice to end at once and leave nothing half-written.

use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use statera::Result;
use statera::run::Undo;

use super::{INTERRUPTED, text};

/// What the user asked for by Ctrl-C (or by the signals that ask a process to end).
#[derive(Debug, Default)]
pub(crate) struct Interruption {
    asked: AtomicBool,
    place: Mutex<Place>,
}

/// Where results go.
#[derive(Debug, Default)]
struct Place {
    /// Takes the folder away that results are written to; none as long as there is no folder.
    undo: Option<Undo>,
    /// What is said at once where nobody looks at what was asked any more.
    unheard: Option<&'static str>,
    /// When it was first asked for.
    first: Option<Instant>,
}

/// Who ends a process and the group that it is in, as `timeout` does, sends one request twice.
const ECHO: Duration = Duration::from_millis(50);

impl Interruption {
    /// Waits for Ctrl-C from here on, in a thread of its own.
    pub(crate) fn watch() -> Arc<Self> {
        let watched = Arc::new(Self::default());
        let handler = Arc::clone(&watched);
        // Without a handler Ctrl-C ends the process at once, as usual: the work can go on all the same.
        let _ = ctrlc::set_handler(move || handler.interrupt());
        watched
    }

    /// Makes the folder of the results, which a second Ctrl-C takes away again.
    pub(crate) fn create<F>(&self, make: impl FnOnce() -> Result<F>, undo: impl Fn(&F) -> Undo) -> Result<F> {
        let mut place = self.place();
        let folder = make()?;
        place.undo = Some(undo(&folder));
        Ok(folder)
    }

    /// From here on Ctrl-C ends work in a folder that was there before; until then it ended the process at once.
    pub(crate) fn take_up(&self, folder: Undo) {
        self.place().undo = Some(folder);
    }

    /// Whether to stop; set once and for all.
    pub(crate) fn asked(&self) -> &AtomicBool {
        &self.asked
    }

    /// From here on there is nothing left to stop: who asks for it is told `words`, and so is who has asked already
    /// where that was not `heard`.
    pub(crate) fn come_too_late(&self, words: &'static str, heard: bool) {
        let mut place = self.place();
        place.unheard = Some(words);
        if !heard && self.asked.load(Ordering::SeqCst) {
            text::note(words);
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interrupt(&self) {
        let code = i32::from(INTERRUPTED);
        let mut place = self.place();
        if place.first.is_some_and(|first| first.elapsed() < ECHO) {
            return;
        }
        if place.undo.is_some() {
            place.first.get_or_insert_with(Instant::now);
        }
        match &place.undo {
            // Nothing is there yet that could be saved, or left half-written.
            None => exit(code),
            Some(undo) if self.asked.swap(true, Ordering::SeqCst) => undo.undo(|kept| {
                let what = if kept { "what was written before is kept" } else { "nothing is kept" };
                text::note(&format!("interrupted twice: ended at once, and {what}"));
                exit(code)
            }),
            Some(_) => {
                if let Some(words) = place.unheard {
                    text::note(words);
                }
            }
        }
    }
}
