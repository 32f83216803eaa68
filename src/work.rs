//! Many jobs at once: the one scheduler of folds, bags, the trials of studies and those of ablations.
//!
//! A job is a closure that borrows what all share, so that a table or prepared rows are there once however many train on
//! them. Jobs are drawn by whichever worker is free; each is computed by one worker alone, so that a result does not depend
//! on how many there are. A job that panics is put on record with what it said, and ends no other.
//!
//! ```
//! use statera::config::Config;
//! use statera::run::{Plan, execute};
//! use statera::train::events::{Answer, Event};
//! use statera::work::share_out;
//!
//! # fn main() -> statera::Result<()> {
//! let config = Config::default().with(&[
//!     "data.path=\"data/insurance.csv\"".into(),
//!     "data.target=\"charges\"".into(),
//!     "train.epochs=1".into(),
//! ])?;
//! // Read once; every plan holds the same table.
//! let plan = Plan::new(config)?;
//! let with_rate = |rate: f64| plan.config.with(&[format!("optimizer.learning_rate={rate:?}")]);
//! let plans = [0.01, 0.001].map(|rate| plan.with_learner(with_rate(rate)?));
//! let plans = plans.into_iter().collect::<statera::Result<Vec<_>>>()?;
//! let job = |i: usize| execute(&plans[i], &mut |_: &Event| Answer::GoOn);
//! let trained = share_out(plans.len(), 0, job, &mut |i, _| eprintln!("{i} has ended"))?;
//! for outcome in trained {
//!     match outcome {
//!         Ok(trained) => println!("validation: {:?}", trained?.report.val),
//!         Err(panicked) => println!("{panicked}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::error::{Error, Result};

/// A job ended in a panic, which said this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {0}")]
pub struct Panicked(pub String);

/// What came of a job.
pub type Outcome<R> = std::result::Result<R, Panicked>;

/// Does a job; a panic becomes its outcome.
pub fn caught<R>(job: impl FnOnce() -> R) -> Outcome<R> {
    catch_unwind(AssertUnwindSafe(job)).map_err(|panic| Panicked(words(panic.as_ref())))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

/// Threads to work on where `threads` are asked for: 0 stands for one a core.
pub(crate) fn threads_of(threads: usize) -> usize {
    if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads }
}

/// Does the jobs 0..`n_jobs` on `threads` threads (0: one a core); `tell` hears of each, with its number, as it ends.
///
/// There is a worker a thread; where there are fewer jobs than threads, a worker has several, for what its job shares out
/// further. The outcomes come in the order of the jobs. A worker draws no further job before its last one is heard, so
/// that whoever listens can keep the others from beginning.
pub fn share_out<R: Send>(
    n_jobs: usize,
    threads: usize,
    job: impl Fn(usize) -> R + Sync,
    tell: &mut dyn FnMut(usize, &Outcome<R>),
) -> Result<Vec<Outcome<R>>> {
    let next = AtomicUsize::new(0);
    let mut done: Vec<Option<Outcome<R>>> = (0..n_jobs).map(|_| None).collect();
    let draw = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < n_jobs);
    let work = |i: usize, say: &dyn Fn((usize, Outcome<R>))| say((i, caught(|| job(i))));
    let mut hear = |(i, outcome): (usize, Outcome<R>)| {
        tell(i, &outcome);
        done[i] = Some(outcome);
    };
    let threads = threads_of(threads);
    let n_workers = threads.clamp(1, n_jobs.max(1));
    draw_on(n_workers, threads / n_workers, draw, work, &mut hear)?;
    Ok(done.into_iter().flatten().collect())
}

/// Lets `n_workers` workers of `threads` threads each do one job after another, as `draw` gives them out, until it gives
/// none. What a job says is heard on the calling thread, and the job waits until it is.
///
/// `draw` may wait; a worker that it gives none has ended.
pub(crate) fn draw_on<J: Send, M: Send>(
    n_workers: usize,
    threads: usize,
    draw: impl Fn() -> Option<J> + Sync,
    work: impl Fn(J, &dyn Fn(M)) + Sync,
    hear: &mut dyn FnMut(M),
) -> Result<()> {
    // What a job shares out further stays with its worker.
    let pools = (0..n_workers).map(|_| rayon::ThreadPoolBuilder::new().num_threads(threads).build());
    let pools = pools
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|e| Error::output(format!("{n_workers} threads cannot be started: {e}"), "--threads 1"))?;
    std::thread::scope(|scope| {
        let (sender, said) = mpsc::sync_channel(0);
        for pool in &pools {
            let (sender, draw, work) = (sender.clone(), &draw, &work);
            scope.spawn(move || {
                while let Some(job) = draw() {
                    // Nobody hears where the calling thread panics, which ends the scope.
                    pool.install(|| {
                        work(job, &|message| {
                            let _ = sender.send(message);
                        });
                    });
                }
            });
        }
        drop(sender);
        said.iter().for_each(&mut *hear);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_and_told_whatever_the_number_of_threads() {
        for threads in [0, 1, 2, 5, 50] {
            let mut told = Vec::new();
            let mut tell = |i: usize, outcome: &Outcome<usize>| told.push((i, outcome.clone().unwrap()));
            let results = share_out(9, threads, |i| i * i, &mut tell).unwrap();
            let squares: Vec<usize> = (0..9).map(|i| i * i).collect();
            assert_eq!(results, squares.iter().map(|&s| Ok(s)).collect::<Vec<_>>());
            told.sort_unstable();
            assert_eq!(told, squares.iter().copied().enumerate().collect::<Vec<_>>());
        }
        assert_eq!(share_out(0, 2, |i| i, &mut |_, _| ()).unwrap(), []);
    }

    #[test]
    fn no_thread_is_without_work_where_jobs_are_few() {
        let threads_of_a_job = |n_jobs: usize, threads: usize| {
            let all = share_out(n_jobs, threads, |_| rayon::current_num_threads(), &mut |_, _| ()).unwrap();
            all.into_iter().map(std::result::Result::unwrap).collect::<Vec<_>>()
        };
        assert_eq!(threads_of_a_job(3, 2), [1, 1, 1]);
        assert_eq!(threads_of_a_job(1, 4), [4]);
        assert_eq!(threads_of_a_job(2, 5), [2, 2]);
    }

    #[test]
    fn a_job_that_panics_is_on_record_with_its_reason_and_ends_no_other() {
        for threads in [1, 3] {
            let shared: Vec<usize> = (10..20).collect();
            let job = |i: usize| if i == 4 { panic!("index {} of 3", i + 3) } else { shared[i] };
            let mut n_told = 0;
            let results = share_out(10, threads, job, &mut |_, _| n_told += 1).unwrap();
            assert_eq!(n_told, 10);
            for (i, result) in results.iter().enumerate() {
                match result {
                    Ok(value) => assert!(i != 4 && *value == i + 10),
                    Err(panicked) => {
                        assert_eq!((i, panicked.to_string()), (4, "panicked: index 7 of 3".into()));
                    }
                }
            }
        }
    }
}
