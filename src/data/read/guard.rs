//! What stands between the programme and decoders of others that may stumble over a file that somebody has made for that.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder; nothing if it panics.
pub(super) fn guarded<T>(decode: impl FnOnce() -> T) -> Option<T> {
    let before = INSIDE.replace(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    INSIDE.set(before);
    decoded.ok()
}

/// Whether this thread runs a decoder whose panic is told as damage of its file. A programme's panic hook that asks it
/// need not print what is no fault of the programme.
pub fn is_guarded() -> bool {
    INSIDE.get()
}
