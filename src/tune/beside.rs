//! Last trainings that are done beside the trials, so that no core waits in the end: those of the untuned settings, and that
//! of the best trial so far while the last trials are under way.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::record::{Outcome, State, Trial};
use super::report::{Following, last_plan};
use super::run::{Shared, Told, lock};
use super::study::Store;
use super::untuned::{Again, Left, Untuned, UntunedOutcome};
use crate::ablate::guarded;
use crate::model::Params;
use crate::run::refit::Member;
use crate::train::events::{Answer, Callback, Event};

/// How long it takes until it is told again how far a training is.
const TELL_AGAIN: Duration = Duration::from_millis(100);

/// The last trainings that a search has done.
#[derive(Debug, Default)]
pub struct Beside {
    /// The untuned settings on the training rows, as it is on record; none where there is nothing.
    pub(super) untuned: Option<UntunedOutcome>,
    /// These on training and validation rows; none where this process has not come to it.
    pub(super) again: Option<std::result::Result<Again, String>>,
    /// The best trial, on training and validation rows.
    pub(super) best: Option<(Trial, Member)>,
}

/// The last training of the best trial before it is known to be the best.
#[derive(Default)]
pub(super) struct Ahead {
    /// The trial and its metric, as long as none that ended was better.
    of: Option<(u64, f64)>,
    done: Option<(Trial, Member)>,
}

impl Ahead {
    /// What was trained, where it is of use.
    pub(super) fn into_best(self) -> Option<(Trial, Member)> {
        let (number, _) = self.of?;
        self.done.filter(|(trial, _)| trial.number == number)
    }
}

/// Ends a last training where another trial has been better.
struct Outdone<'a, 'b> {
    shared: &'a Shared<'b>,
    number: u64,
    following: Following<'a>,
}

impl Callback for Outdone<'_, '_> {
    fn hear(&mut self, event: &Event, weights: &dyn Fn() -> Params) -> Answer {
        if lock(&self.shared.ahead).of.is_none_or(|(number, _)| number != self.number) {
            return Answer::Stop("another trial is better".into());
        }
        self.following.hear(event, weights)
    }
}

impl Shared<'_> {
    /// Trains the untuned settings: on the training rows, which is put on record, and for as many epochs again on
    /// training and validation rows.
    pub(super) fn untuned(&self, left: Left, say: &dyn Fn(Told)) {
        match left {
            Left::Second(first) => self.untuned_again(&first, say),
            Left::Both => self.untuned_first(say),
        }
    }

    fn untuned_first(&self, say: &dyn Fn(Told)) {
        let tuning = self.tuning;
        let tell = now_and_then(say, Told::Untuned);
        let mut following = Following::new(self.stop, &tell, [0.0, 1.0]);
        let outcome = self
            .ready(&tuning.base)
            .and_then(|ready| guarded(|| Untuned::train(tuning, &ready, &mut following)));
        if self.stop.load(Ordering::SeqCst) {
            return;
        }
        let put = lock(&self.store).tell_untuned(&tuning.raw.sha256, &outcome);
        if let Err(error) = put {
            return self.fail(error);
        }
        say(Told::UntunedEnded(outcome.clone()));
        if let Ok(first) = outcome {
            self.untuned_again(&first, say);
        }
    }

    fn untuned_again(&self, first: &Untuned, say: &dyn Fn(Told)) {
        let tell = now_and_then(say, |share| Told::Last { trial: None, share });
        let again = guarded(|| first.again(self.tuning, &mut Following::new(self.stop, &tell, [0.0, 1.0])));
        say(Told::Last { trial: None, share: 1.0 });
        if !self.stop.load(Ordering::SeqCst) {
            *lock(&self.again) = Some(again);
        }
    }

    /// The best trial so far, where no other process works on the study, no worker has begun with it, and its last
    /// training takes at least so many seconds. Others have a use for the cores, and train the best themselves.
    pub(super) fn to_train_ahead(&self, store: &Store, seconds: f64) -> Option<Trial> {
        let trials = store.known();
        if !store.is_alone() {
            return None;
        }
        let done = trials.iter().filter(|trial| trial.state == State::Done);
        let done = done.filter_map(|trial| Some((trial, trial.metric?)));
        let (best, metric) = done.min_by(|a, b| a.1.total_cmp(&b.1))?;
        let trained = best.best_epoch.unwrap_or(0) as f64 / best.epochs.max(1) as f64;
        let mut ahead = lock(&self.ahead);
        if ahead.of.is_some_and(|(number, _)| number == best.number) || best.seconds * trained < seconds {
            return None;
        }
        ahead.of = Some((best.number, metric));
        Some(best.clone())
    }

    /// Trains a trial on training and validation rows, unless another is better in the meantime.
    pub(super) fn train_ahead(&self, trial: Trial, say: &dyn Fn(Told)) {
        let number = trial.number;
        let tell = now_and_then(say, |share| Told::Last { trial: Some(number), share });
        let following = Following::new(self.stop, &tell, [0.0, 1.0]);
        let mut outdone = Outdone { shared: self, number, following };
        let member = guarded(|| last_plan(self.tuning, &trial)?.train_member(&mut outdone));
        say(Told::Last { trial: Some(number), share: 1.0 });
        let mut ahead = lock(&self.ahead);
        let counts = ahead.of.is_some_and(|(best, _)| best == number);
        // What went wrong is told where it is trained in the end.
        if let (Ok(member), true, false) = (member, counts, self.stop.load(Ordering::SeqCst)) {
            ahead.done = Some((trial, member));
        }
    }

    /// Hears how a trial ended, which may be better than the one that was trained ahead.
    pub(super) fn ended_with(&self, trial: u64, outcome: &Outcome) {
        let mut ahead = lock(&self.ahead);
        if let (State::Done, Some(metric), Some((number, best))) = (outcome.state, outcome.metric, ahead.of) {
            // Of trials alike, the first counts.
            let is_better = metric < best || metric == best && trial < number;
            ahead.of = ahead.of.filter(|_| !is_better);
        }
    }
}

/// Says how far a training is, a few times a second.
fn now_and_then(say: &dyn Fn(Told), words: impl Fn(f64) -> Told) -> impl Fn(f64) {
    let told = Cell::new(Instant::now());
    move |share| {
        if told.get().elapsed() > TELL_AGAIN {
            told.set(Instant::now());
            say(words(share));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::super::{Wish, choose, example};

    #[test]
    fn the_best_so_far_is_trained_while_the_last_trial_runs_and_is_what_it_is_alone() {
        // With the first of these rates the short trial is the better one, with the other the long one.
        for (rate, best) in [("0.03", 0), ("0.0001", 1)] {
            let models = [1, 3].map(|jobs| {
                let (folder, stop) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
                // A short trial and a long one.
                let space = "train.batch_size = { choices = [256, 1] }";
                let rate = format!("optimizer.learning_rate={rate}");
                let tuning = example::grid(space, &["train.epochs=30", &rate], jobs);
                let store = example::store(folder.path());
                let (store, _, beside) = tuning.run(store, &stop, &mut |_| ()).unwrap();
                let trials = store.trials().unwrap();
                assert_eq!(trials[1].metric < trials[0].metric, best == 1, "{trials:?}");
                let ahead = beside.best.as_ref().map(|(trial, _)| trial.number);
                assert_eq!(ahead, (jobs > 1 && best == 0).then_some(0), "{trials:?}");
                assert_eq!(beside.untuned.is_some(), jobs > 1);
                let wish = Wish { ensemble: 1, confirm: 0 };
                let chosen = choose(&tuning, &trials, beside, wish, &stop, &|_| ()).unwrap().unwrap();
                assert_eq!(chosen.trials[0].number, best);
                chosen.tested.bag.to_bytes().unwrap()
            });
            assert!(models[0] == models[1], "its bits are those of a training after the search");
        }
    }
}
