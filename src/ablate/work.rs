//! Jobs shared out over threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::error::{Error, Result};

/// Does the jobs 0..`n_jobs` on `threads` workers (0: one a core), each of which computes on one thread alone;
/// `tell` hears of each as it ends. The results come in the order of the jobs.
pub(crate) fn share_out<R: Send>(
    n_jobs: usize,
    threads: usize,
    job: impl Fn(usize) -> R + Sync,
    tell: &mut dyn FnMut(&R),
) -> Result<Vec<R>> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let n_workers = if threads == 0 { cores() } else { threads }.clamp(1, n_jobs.max(1));
    // What a job would share out further stays on its worker.
    let pools = (0..n_workers).map(|_| rayon::ThreadPoolBuilder::new().num_threads(1).build());
    let pools = pools
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|e| Error::output(format!("{n_workers} threads cannot be started: {e}"), "--threads 1"))?;
    let next = AtomicUsize::new(0);
    let mut done: Vec<Option<R>> = (0..n_jobs).map(|_| None).collect();
    std::thread::scope(|scope| {
        // A worker waits until it is heard, so that whoever listens can stop the others in time.
        let (sender, results) = mpsc::sync_channel(0);
        for pool in &pools {
            let (sender, next, job) = (sender.clone(), &next, &job);
            scope.spawn(move || {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= n_jobs || sender.send((i, pool.install(|| job(i)))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (i, result) in results {
            tell(&result);
            done[i] = Some(result);
        }
    });
    Ok(done.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_on_one_thread_and_told() {
        for threads in [0, 1, 2, 5, 50] {
            let mut told = Vec::new();
            let job = |i: usize| (i * i, rayon::current_num_threads());
            let results = share_out(9, threads, job, &mut |r: &(usize, usize)| told.push(r.0)).unwrap();
            let squares: Vec<usize> = (0..9).map(|i| i * i).collect();
            assert_eq!(results, squares.iter().map(|&s| (s, 1)).collect::<Vec<_>>());
            told.sort_unstable();
            assert_eq!(told, squares);
        }
        assert_eq!(share_out(0, 2, |i| i, &mut |_| ()).unwrap(), Vec::<usize>::new());
    }
}
