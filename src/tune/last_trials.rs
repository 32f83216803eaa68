//! The last trials of a study: the longest of them begins first, so that no worker waits long for another in the end.

use std::sync::atomic::Ordering;

use super::record::{State, Trial};
use super::run::{Shared, Tuning, lock};
use super::study::{Claim, Store};
use crate::error::Result;
use crate::nn::Network;

/// So many of the last trials for each worker are put in order.
const EACH: u64 = 4;
/// Multiply–adds that take as long as what a step of training costs besides.
const STEP: f64 = 20_000.0;

impl Tuning {
    /// About how long a trial takes beside others, in no unit: the multiply–adds of its rows, the update and the rest of each
    /// step. Early stopping is nobody's to know.
    pub(super) fn length(&self, trial: &Trial) -> Result<f64> {
        let config = self.config(&trial.settings)?;
        let network = Network::new(&config.expanded_layers(), self.raw.names().count(), 1);
        let (n_params, batch) = (network.n_params() as f64, config.train.batch_size.max(1) as f64);
        Ok(config.train.epochs as f64 * (n_params + (n_params + STEP) / batch))
    }
}

impl Shared<'_> {
    /// The longest of those that were claimed together, which begins; none where none is left.
    pub(super) fn longest_left(&self, store: &Store) -> Result<Option<Trial>> {
        let Some((_, trial)) = lock(&self.last).pop() else { return Ok(None) };
        store.set_begun(trial.number, true)?;
        Ok(Some(trial))
    }

    /// About how many seconds the other workers take for all that are left, going by the trials that have ended; none where
    /// none is left.
    pub(super) fn seconds_left(&self, store: &mut Store) -> Result<Option<f64>> {
        let left: f64 = lock(&self.last).iter().map(|(length, _)| length).sum();
        if left == 0.0 {
            return Ok(None);
        }
        store.look()?;
        let [mut seconds, mut lengths] = [0.0, 0.0];
        for trial in store.known().iter().filter(|trial| trial.state == State::Done) {
            seconds += trial.seconds;
            lengths += self.tuning.length(trial)?;
        }
        let others = (self.tuning.jobs - 1) as f64;
        Ok(Some(if lengths > 0.0 { left * seconds / lengths / others } else { f64::INFINITY }))
    }

    /// How many of these are left.
    pub(super) fn n_left(&self) -> usize {
        lock(&self.last).len()
    }

    /// Behind a trial that was claimed, claims all others that are left where these are few, and returns the longest. Not where
    /// other processes would like to have some, nor where settings depend on what ended before.
    pub(super) fn longest_of_last(&self, store: &mut Store, trial: Trial) -> Result<Trial> {
        let tuning = self.tuning;
        let most = EACH * tuning.jobs as u64;
        let alone = store.n_running() == self.own.fetch_add(1, Ordering::SeqCst);
        if tuning.jobs < 2 || tuning.looks_back() || !alone || trial.number + most < self.n_most {
            return Ok(trial);
        }
        let mut last = vec![(tuning.length(&trial)?, trial)];
        while (last.len() as u64) < most
            && let Claim::Trial(trial) = store.claim(&mut |known| self.next(known))?
        {
            self.own.fetch_add(1, Ordering::SeqCst);
            last.push((tuning.length(&trial)?, trial));
        }
        // Of those alike, the first comes first.
        last.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.number.cmp(&a.1.number)));
        let (_, longest) = last.pop().expect("one was claimed before");
        last.iter().try_for_each(|(_, trial)| store.set_begun(trial.number, false))?;
        *lock(&self.last) = last;
        Ok(longest)
    }

    /// Leaves those that nobody has begun with to whoever goes on with the study.
    pub(super) fn give_back_left(&self) -> Result<()> {
        let left = std::mem::take(&mut *lock(&self.last));
        left.iter().try_for_each(|(_, trial)| lock(&self.store).give_back(trial.number))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::super::{Over, Sampler, Told, example};
    use super::*;

    /// 12 trials, of which the later ones have larger networks.
    fn tuning(jobs: usize, sampler: Sampler) -> Tuning {
        let space = "network.hidden = { choices = [[4], [8], [16], [32], [64], [128]] }
                     network.activation = { choices = [\"relu\", \"silu\"] }";
        Tuning { sampler, trials: 12, ..example::grid(space, &["train.epochs=2"], jobs) }
    }

    /// The numbers of the trials as they begin, and what they come to, by number.
    fn run(tuning: &Tuning) -> (Vec<u64>, Vec<Option<f64>>) {
        let (folder, stop) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
        let mut begun = Vec::new();
        let mut tell = |told: &Told| {
            if let Told::Began { trial, .. } = told {
                begun.push(trial.number);
            }
        };
        let (store, why, _) = tuning.run(example::store(folder.path()), &stop, &mut tell).unwrap();
        assert_eq!(why, Over::Enough(12));
        (begun, store.trials().unwrap().iter().map(|trial| trial.metric).collect())
    }

    #[test]
    fn the_longest_of_the_last_trials_begins_first_and_all_come_to_the_same() {
        let [one, two] = [1, 2].map(|jobs| run(&tuning(jobs, Sampler::Grid)));
        assert_eq!(one.0, (0..12).collect::<Vec<u64>>());
        assert_eq!(one.1, two.1);
        // Eight of them are put in order. Which of two that begin at the same time is told first is a matter of chance.
        let places = |begun: &[u64], numbers: [u64; 4]| -> usize {
            numbers.iter().map(|number| begun.iter().position(|n| n == number).unwrap()).sum()
        };
        assert!(places(&two.0, [8, 9, 10, 11]) < places(&two.0, [4, 5, 6, 7]), "{:?}", two.0);
        // What is learned from the trials before keeps their order.
        let tpe = run(&tuning(2, Sampler::Tpe)).0;
        assert!(places(&tpe, [8, 9, 10, 11]) > places(&tpe, [4, 5, 6, 7]), "{tpe:?}");
    }

    #[test]
    fn those_that_were_claimed_and_not_begun_are_left_to_whoever_goes_on() {
        let (folder, stop) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
        let tuning = tuning(2, Sampler::Grid);
        let mut tell = |told: &Told| {
            if matches!(told, Told::Began { left, .. } if *left > 3) {
                stop.store(true, Ordering::SeqCst);
            }
        };
        let (store, why, _) = tuning.run(example::store(folder.path()), &stop, &mut tell).unwrap();
        assert_eq!(why, Over::Interrupted);
        let states = |store: &Store, state| {
            store.trials().unwrap().iter().filter(|trial| trial.state == state).count()
        };
        assert_eq!(states(&store, State::Running), 0);
        assert!(states(&store, State::Waiting) > 3, "{:?}", store.trials());
        stop.store(false, Ordering::SeqCst);
        let (store, why, _) = tuning.run(store, &stop, &mut |_| ()).unwrap();
        assert_eq!(why, Over::Enough(12));
        assert_eq!(states(&store, State::Done), 12);
        let all: Vec<Option<f64>> = store.trials().unwrap().iter().map(|trial| trial.metric).collect();
        assert_eq!(all, run(&tuning).1);
    }
}
