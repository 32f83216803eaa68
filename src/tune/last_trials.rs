//! The last trials of a study: the longest of them begins first, so that no worker waits long for another in the end.

use rusqlite::params;

use super::record::{State, Trial, problem};
use super::run::{Shared, Tuning, lock};
use super::study::{Claim, Store};
use super::worker::others_work;
use crate::error::Result;
use crate::nn::Network;

/// So many of the last trials for each worker are put in order.
const EACH: u64 = 4;
/// By so many trials it is told how long others take.
const LATEST: usize = 50;
/// Multiply–adds that take as long as what a step of training costs besides.
const STEP: f64 = 20_000.0;

impl Tuning {
    /// About how long a trial takes beside others, in no unit: the multiply–adds of its rows, the update and the rest of each
    /// step. Early stopping is nobody's to know. One whose settings are refused takes no time.
    pub(super) fn length(&self, trial: &Trial) -> f64 {
        let Ok(config) = self.config(&trial.settings) else { return 0.0 };
        let network = Network::new(&config.expanded_layers(), self.raw.names().count(), 1);
        let (n_params, batch) = (network.n_params() as f64, config.train.batch_size.max(1) as f64);
        config.train.epochs as f64 * (n_params + (n_params + STEP) / batch)
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
        self.share_left(store)?;
        let seconds: f64 = {
            let last = lock(&self.last);
            if last.is_empty() {
                return Ok(None);
            }
            last.iter().map(|(seconds, _)| seconds).sum()
        };
        store.look()?;
        Ok(Some(seconds / (self.tuning.jobs - 1) as f64))
    }

    /// Seconds for each unit of [`Tuning::length`], by the latest trials that have ended; endless as long as none has.
    fn pace(&self, known: &[Trial]) -> f64 {
        let [mut seconds, mut lengths] = [0.0, 0.0];
        for trial in known.iter().rev().filter(|trial| trial.state == State::Done).take(LATEST) {
            seconds += trial.seconds;
            lengths += self.tuning.length(trial);
        }
        if lengths > 0.0 { seconds / lengths } else { f64::MAX }
    }

    /// Behind a trial that was claimed, claims all others that are left where these are few, and returns the longest. Not where
    /// other processes would like to have some, nor where settings depend on what ended before, nor where time runs out, by
    /// which short trials would be passed over.
    pub(super) fn longest_of_last(&self, store: &mut Store, trial: Trial) -> Result<Trial> {
        let tuning = self.tuning;
        let most = EACH * tuning.jobs as u64;
        let few = trial.number + most >= self.n_most;
        if tuning.jobs < 2 || tuning.looks_back() || self.deadline.is_some() || !few || !store.is_alone() {
            return Ok(trial);
        }
        let mut last = vec![(tuning.length(&trial), trial)];
        while (last.len() as u64) < most
            && let Claim::Trial(trial) = store.claim(&mut |known| self.next(known))?
        {
            last.push((tuning.length(&trial), trial));
        }
        // Of those alike, the first comes first.
        last.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.number.cmp(&a.1.number)));
        let (_, longest) = last.pop().expect("one was claimed before");
        let new = last.iter().filter(|(_, trial)| trial.epochs == 0);
        new.map(|(_, trial)| trial.number).try_for_each(|number| store.set_begun(number, false))?;
        let pace = self.pace(store.known());
        // Once, and not as each begins: settings have to be read for it.
        *lock(&self.last) = last.into_iter().map(|(length, trial)| (length * pace, trial)).collect();
        Ok(longest)
    }

    /// Leaves those that nobody has begun with to other processes, if there are any.
    pub(super) fn share_left(&self, store: &mut Store) -> Result<()> {
        if lock(&self.last).is_empty() || store.is_alone() { Ok(()) } else { self.give_back_left(store) }
    }

    /// Leaves those that nobody has begun with to whoever goes on with the study.
    pub(super) fn give_back_left(&self, store: &mut Store) -> Result<()> {
        let left = std::mem::take(&mut *lock(&self.last));
        left.iter().try_for_each(|(_, trial)| store.give_back(trial.number))
    }
}

impl Store {
    /// Whether no other process works on the study.
    pub(super) fn is_alone(&self) -> bool {
        !others_work(&self.path, self.worker.id)
    }

    /// Puts on record whether a trial that this process has claimed has begun.
    fn set_begun(&self, trial: u64, begun: bool) -> Result<()> {
        self.connection
            .execute(
                "UPDATE trials SET started = iif(?2, CURRENT_TIMESTAMP, '') WHERE number = ?1",
                params![trial as i64, begun],
            )
            .map(|_| ())
            .map_err(|e| problem(&self.path, &e))
    }

    /// Takes the last trials that nobody has begun out of a study whose processes have ended: what is asked now may be less,
    /// or another space. Those before one that was begun stay.
    pub(super) fn drop_unbegun(&mut self) -> Result<()> {
        if !self.is_alone() {
            return Ok(());
        }
        self.connection
            .execute(
                "DELETE FROM trials WHERE number > (SELECT coalesce(max(number), -1) FROM trials
                     WHERE state <> 'running' OR started <> '')",
                [],
            )
            .map(|_| ())
            .map_err(|e| problem(&self.path, &e))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::{Next, Over, Sampler, Told, example};
    use super::*;

    const SIZES: [usize; 6] = [4, 8, 16, 32, 64, 128];

    /// 12 trials, two for each size of network.
    fn tuning(jobs: usize, sampler: Sampler, largest_first: bool) -> Tuning {
        let mut sizes = SIZES;
        if largest_first {
            sizes.reverse();
        }
        let sizes = sizes.map(|size| [size]);
        let space = format!(
            "network.hidden = {{ choices = {sizes:?} }}\nnetwork.activation = {{ choices = [\"relu\", \"silu\"] }}"
        );
        Tuning { sampler, trials: 12, ..example::grid(&space, &["train.epochs=2"], jobs) }
    }

    /// The numbers of the trials as they begin, and what they come to, by number.
    fn run(tuning: &Tuning) -> (Vec<u64>, Vec<Option<f64>>) {
        let (folder, stop) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
        let mut begun = Vec::new();
        let mut tell = |told: &Told| {
            if let Told::Began(trial) = told {
                begun.push(trial.number);
            }
        };
        let (store, why, _) = tuning.run(example::store(folder.path()), &stop, &mut tell).unwrap();
        assert_eq!(why, Over::Enough(12));
        (begun, store.trials().unwrap().iter().map(|trial| trial.metric).collect())
    }

    #[test]
    fn the_longest_of_the_last_trials_begins_first_and_all_come_to_the_same() {
        let [one, two] = [1, 2].map(|jobs| run(&tuning(jobs, Sampler::Grid, false)));
        assert_eq!(one.0, (0..12).collect::<Vec<u64>>());
        assert_eq!(one.1, two.1);
        // Eight of them are put in order. Which of two that begin at the same time is told first is a matter of chance.
        let places = |begun: &[u64], numbers: [u64; 4]| -> usize {
            numbers.iter().map(|number| begun.iter().position(|n| n == number).unwrap()).sum()
        };
        assert!(places(&two.0, [8, 9, 10, 11]) < places(&two.0, [4, 5, 6, 7]), "{:?}", two.0);
        // What is learned from the trials before keeps their order.
        let tpe = run(&tuning(2, Sampler::Tpe, false)).0;
        assert!(places(&tpe, [8, 9, 10, 11]) > places(&tpe, [4, 5, 6, 7]), "{tpe:?}");
    }

    #[test]
    fn those_that_were_claimed_and_not_begun_are_left_to_whoever_goes_on() {
        let (folder, stop) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
        let tuning = tuning(2, Sampler::Grid, true);
        let mut begun = 0;
        let mut tell = |told: &Told| {
            begun += u32::from(matches!(told, Told::Began(_)));
            // The first of those that were claimed together.
            if begun == 5 {
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
        // Of the last ones nobody has begun: a shorter study does without them.
        let begun = 12 - states(&store, State::Waiting) as u64;
        let shorter = Tuning { trials: begun, ..tuning };
        let (store, why, _) = shorter.run(store, &stop, &mut |_| ()).unwrap();
        assert_eq!(why, Over::Enough(begun));
        assert!(store.trials().unwrap().len() < 12, "{:?}", store.trials());
        let tuning = Tuning { trials: 12, ..shorter };
        let (store, why, _) = tuning.run(store, &stop, &mut |_| ()).unwrap();
        assert_eq!(why, Over::Enough(12));
        assert_eq!(states(&store, State::Done), 12);
        let all: Vec<Option<f64>> = store.trials().unwrap().iter().map(|trial| trial.metric).collect();
        assert_eq!(all, run(&tuning).1);
    }

    #[test]
    fn they_are_shared_with_a_process_that_comes_later() {
        let (folder, stop) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
        let tuning = tuning(2, Sampler::Grid, false);
        let mut other: Option<Store> = None;
        let (mut begun, mut claimed, mut others) = (0, None, Vec::new());
        let mut tell = |told: &Told| {
            begun += u32::from(matches!(told, Told::Began(_)));
            if let Told::Others(trials) = told {
                others.extend(trials.iter().map(|trial| trial.number));
            }
            if begun == 5 {
                other.get_or_insert_with(|| Store::open(folder.path()).unwrap());
            }
            let Some(store) = other.as_mut().filter(|_| begun > 5 && claimed.is_none()) else { return };
            // Of those that were claimed together.
            if let Claim::Trial(trial) = store.claim(&mut |_| Ok(Next::Wait)).unwrap() {
                claimed = Some(trial.number);
                store.tell_epochs(&[(trial.number, 1, [1.0; 3])]).unwrap();
                store.tell_end(trial.number, &example::done()).unwrap();
            }
        };
        let (store, why, _) = tuning.run(example::store(folder.path()), &stop, &mut tell).unwrap();
        assert_eq!(why, Over::Enough(12));
        assert!(store.trials().unwrap().iter().all(|trial| trial.state == State::Done));
        assert!(claimed.is_some(), "one was left to the other");
        assert!(others.len() <= 1 && others.iter().all(|number| claimed == Some(*number)), "{others:?}");
    }

    #[test]
    fn settings_that_are_refused_are_a_trial_that_fails_and_take_none_with_them() {
        let space = "optimizer.name = { choices = [\"lbfgs\", \"adamw\"] }
                     train.batch_size = { choices = [32, 64] }";
        for jobs in [1, 2, 3] {
            let (folder, stop) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
            let tuning = example::grid(space, &["train.epochs=2", "network.dropout=0.1"], jobs);
            let (store, why, _) = tuning.run(example::store(folder.path()), &stop, &mut |_| ()).unwrap();
            assert!(matches!(why, Over::Exhausted(_)), "{why}");
            let states: Vec<State> = store.trials().unwrap().iter().map(|trial| trial.state).collect();
            assert_eq!(states.iter().filter(|state| **state == State::Done).count(), 2, "{states:?}");
            assert!(states.contains(&State::Failed), "{states:?}");
        }
        // Nor does one that cannot be prepared for, whichever comes first, though all are prepared alike.
        let space = "loss.name = { choices = [\"poisson\", \"mse\", \"huber\"] }";
        for jobs in [1, 2] {
            let (folder, stop) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
            let table = folder.path().join("t.csv");
            let rows: String = (0..120).map(|i| format!("{i},{}\n", 60 - i % 97)).collect();
            std::fs::write(&table, format!("a,y\n{rows}")).unwrap();
            let [path, target] =
                [format!("data.path={:?}", table.display().to_string()), "data.target=\"y\"".into()];
            let sets = ["train.epochs=2", path.as_str(), target.as_str()];
            let tuning = example::grid(space, &sets, jobs);
            let (store, ..) = tuning.run(example::store(folder.path()), &stop, &mut |_| ()).unwrap();
            let states: Vec<State> = store.trials().unwrap().iter().map(|trial| trial.state).collect();
            assert_eq!(states, [State::Failed, State::Done, State::Done], "{jobs} at a time");
        }
    }
}
