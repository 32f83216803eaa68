//! Threads that stay awake while a training runs.
//!
//! A step of some hundred microseconds is shared among threads, and between two steps one thread gathers rows and moves
//! the parameters. Threads that fall asleep meanwhile have to be woken by the system for every step, which takes tens of
//! microseconds. So they look for work without pause until the training ends.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    /// Whether a training runs on this thread: while it waits for others, it comes across what they were asked to do.
    static TRAINS: Cell<bool> = const { Cell::new(false) };
}

/// A training on this thread, until it goes, by a panic too.
struct Training<'a> {
    ended: &'a AtomicBool,
    trained_before: bool,
}

impl<'a> Training<'a> {
    fn begin(ended: &'a AtomicBool) -> Self {
        Self { ended, trained_before: TRAINS.replace(true) }
    }
}

impl Drop for Training<'_> {
    fn drop(&mut self) {
        TRAINS.set(self.trained_before);
        self.ended.store(true, Ordering::Release);
    }
}

/// Runs `body` on this thread; if it `shares` its work, the others of the pool stay awake until it ends.
///
/// They do whatever else is asked of the pool, and let other programmes have their core; as with any join of that pool,
/// the end waits for what one of them has taken up. A pool of one thread has none to keep awake, and one of more threads
/// than cores should not. What `body` computes does not depend on it.
pub fn while_running<R>(shares: bool, body: impl FnOnce() -> R) -> R {
    let n_others = rayon::current_num_threads() - 1;
    let n_cores = || std::thread::available_parallelism().map_or(1, usize::from);
    if !shares || n_others == 0 || n_others >= n_cores() {
        return body();
    }
    let ended = AtomicBool::new(false);
    rayon::in_place_scope(|scope| {
        let _training = Training::begin(&ended);
        for _ in 0..n_others {
            scope.spawn(|_| {
                // Two trainings that each wait below the other would never end.
                if !TRAINS.get() {
                    look_for_work(&ended);
                }
            });
        }
        body()
    })
}

fn look_for_work(ended: &AtomicBool) {
    /// Looks in vain, a fraction of a microsecond each, after which other programmes may have the core.
    const PATIENCE: u32 = 256;
    let mut in_vain = 0;
    while !ended.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            in_vain = 0;
            continue;
        }
        in_vain += 1;
        if in_vain % PATIENCE == 0 {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use super::*;

    #[test]
    fn shared_work_is_done_and_the_pool_is_free_again() {
        // Of more threads than cores none stays awake.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        for _ in 0..50 {
            let sum = pool.install(|| {
                while_running(true, || {
                    (0..200).map(|i| rayon::join(|| i, || 2 * i)).map(|(a, b)| a + b).sum::<u64>()
                })
            });
            assert_eq!(sum, 3 * 199 * 100);
        }
        assert_eq!(pool.install(|| rayon::join(|| 1, || 2)), (1, 2));
    }

    #[test]
    fn a_panic_lets_the_threads_go() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let falls = AssertUnwindSafe(|| pool.install(|| while_running(true, || panic!("as it must"))));
        let fallen = std::panic::catch_unwind(falls);
        assert!(fallen.is_err());
        assert_eq!(pool.install(|| rayon::join(|| 1, || 2)), (1, 2));
    }

    #[test]
    fn one_inside_another_ends() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let inner = || {
            let halves = || (0..20).map(|_| rayon::join(|| 1, || 2)).map(|(a, b)| a + b).sum::<u32>();
            while_running(true, halves)
        };
        for _ in 0..200 {
            assert_eq!(pool.install(|| rayon::join(inner, inner)), (60, 60));
            assert_eq!(pool.install(|| while_running(true, || rayon::join(inner, inner))), (60, 60));
        }
    }
}
