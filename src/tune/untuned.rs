//! The settings that are not searched, for comparison: trained as those of the best trial are, which is twice.

use std::time::Instant;

use rusqlite::TransactionBehavior;
use serde::{Deserialize, Serialize};

use super::record::{entry, problem, put_entry};
use super::run::Tuning;
use super::study::Store;
use super::worker::has_ended;
use crate::ablate::{Ready, validated};
use crate::error::{Error, Result};
use crate::run::Plan;
use crate::run::refit::Member;
use crate::train::events::{Answer, Callback, Callbacks, Event};

/// Its name among the entries of a study.
const KEY: &str = "untuned";

/// What the untuned settings come to on the training rows, as a trial does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Untuned {
    /// The metric that trials are ranked by, on the validation rows.
    pub val: f64,
    /// The epoch that had these weights.
    pub best_epoch: usize,
    /// Epochs after which the learning rate was cut.
    pub cuts: Vec<usize>,
    /// Seconds of training.
    pub seconds: f64,
}

/// [`Untuned`], or in words why there is none.
pub type UntunedOutcome = std::result::Result<Untuned, String>;

/// The second training of the untuned settings.
pub(super) type Again = (Plan, Member);

/// Which of its trainings are to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Left {
    Both,
    /// The second, after this one.
    Second(Untuned),
}

/// What a study has on record of it.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// Of which table.
    data_sha256: String,
    /// The process that trains or has trained it.
    worker: i64,
    /// None as long as that goes on.
    outcome: Option<UntunedOutcome>,
}

impl Untuned {
    /// Trains on the training rows, where the validation rows say for how many epochs and where the learning rate is cut.
    pub(super) fn train(tuning: &Tuning, ready: &Ready, follow: &mut dyn Callback) -> Result<Self> {
        let begin = Instant::now();
        let mut cuts = Vec::new();
        let mut watch = |event: &Event| {
            if let Event::LearningRateReduced { epoch, .. } = event {
                cuts.push(*epoch);
            }
            Answer::GoOn
        };
        let mut both = Callbacks(vec![follow, &mut watch]);
        let judged = validated(ready, tuning.base.clone(), &mut both, None)?;
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Self { val: judged.metric, best_epoch: judged.best_epoch, cuts, seconds })
    }

    /// Trains for so many epochs on training and validation rows.
    pub(super) fn again(&self, tuning: &Tuning, follow: &mut dyn Callback) -> Result<Again> {
        let plan = Plan::of(tuning.base.clone(), tuning.raw.clone())?.refit(self.best_epoch, &self.cuts)?;
        let member = plan.train_member(follow)?;
        Ok((plan, member))
    }
}

impl Store {
    /// Whether this process is to train the untuned settings, as it works on the study alone; none where
    /// it is not.
    pub(super) fn claim_untuned(&mut self, tuning: &Tuning) -> Result<Option<Left>> {
        if !self.is_alone() {
            return Ok(None);
        }
        let path = &self.path;
        let fail = |e| problem(path, &e);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let known = entry(&transaction, path, KEY)?.and_then(|text| read(&text, tuning));
        match known {
            Some(Entry { outcome: Some(known), .. }) => return Ok(known.ok().map(Left::Second)),
            Some(Entry { worker, .. }) if !has_ended(path, worker) => return Ok(None),
            _ => {}
        }
        let data_sha256 = tuning.raw.sha256.clone();
        let claim = Entry { data_sha256, worker: self.worker.id, outcome: None };
        put_entry(&transaction, path, KEY, &text(&claim)?)?;
        transaction.commit().map_err(fail)?;
        Ok(Some(Left::Both))
    }

    /// Puts on record what the untuned settings came to on this table.
    pub(super) fn tell_untuned(&mut self, data_sha256: &str, outcome: &UntunedOutcome) -> Result<()> {
        let (data_sha256, worker) = (data_sha256.to_owned(), self.worker.id);
        let text = text(&Entry { data_sha256, worker, outcome: Some(outcome.clone()) })?;
        put_entry(&self.connection, &self.path, KEY, &text)
    }

    /// What the untuned settings came to on this table; none as long as that is not on record.
    pub(super) fn untuned(&self, tuning: &Tuning) -> Result<Option<UntunedOutcome>> {
        let text = entry(&self.connection, &self.path, KEY)?;
        Ok(text.and_then(|text| read(&text, tuning)).and_then(|entry| entry.outcome))
    }
}

/// The entry of this table. One that makes no sense is none: it is trained anew.
fn read(text: &str, tuning: &Tuning) -> Option<Entry> {
    let can_be = |epoch: &usize| (1..=tuning.base.train.epochs).contains(epoch);
    let makes_sense = |outcome: &UntunedOutcome| {
        outcome.as_ref().map_or(true, |it| can_be(&it.best_epoch) && it.cuts.iter().all(can_be))
    };
    let entry: Entry = serde_json::from_str(text).ok()?;
    let is_it = entry.data_sha256 == tuning.raw.sha256 && entry.outcome.as_ref().is_none_or(makes_sense);
    is_it.then_some(entry)
}

fn text(entry: &Entry) -> Result<String> {
    serde_json::to_string(entry).map_err(|e| {
        Error::output(format!("the untuned settings' outcome cannot be written as JSON: {e}"), "")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::example;
    use super::*;

    #[test]
    fn they_are_claimed_once_for_a_table_and_again_when_the_process_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let space = "train.batch_size = { choices = [32, 64] }";
        let tuning = example::grid(space, &["train.epochs=5"], 2);
        let mut elsewhere = example::grid(space, &["train.epochs=5"], 2);
        Arc::get_mut(&mut elsewhere.raw).unwrap().sha256 = "cd".into();
        let mut one = example::store(folder.path());
        assert_eq!(one.claim_untuned(&tuning).unwrap(), Some(Left::Both));
        let mut other = Store::open(folder.path()).unwrap();
        assert_eq!(other.claim_untuned(&tuning).unwrap(), None, "somebody trains them");
        assert_eq!(other.untuned(&tuning).unwrap(), None);
        drop(one);
        assert_eq!(other.claim_untuned(&tuning).unwrap(), Some(Left::Both), "nobody trains them any more");
        let untuned = Untuned { val: 0.1 + 0.2, best_epoch: 3, cuts: vec![1, 2], seconds: 0.5 };
        other.tell_untuned(&tuning.raw.sha256, &Ok(untuned.clone())).unwrap();
        let third = Store::open(folder.path()).unwrap();
        assert_eq!(third.untuned(&tuning).unwrap(), Some(Ok(untuned.clone())));
        assert_eq!(other.claim_untuned(&tuning).unwrap(), None, "others have a use for the cores");
        drop(third);
        assert_eq!(
            other.claim_untuned(&tuning).unwrap(),
            Some(Left::Second(untuned)),
            "the second training is left"
        );
        assert_eq!(other.untuned(&elsewhere).unwrap(), None);
        assert_eq!(other.claim_untuned(&elsewhere).unwrap(), Some(Left::Both), "another table");
        other.tell_untuned("cd", &Err("why".into())).unwrap();
        assert_eq!(other.untuned(&elsewhere).unwrap(), Some(Err("why".into())));
        assert_eq!(other.claim_untuned(&elsewhere).unwrap(), None, "it would fail again");
        let impossible = |best_epoch| Untuned { val: 1.0, best_epoch, cuts: Vec::new(), seconds: 0.5 };
        for senseless in [0, 6, 999_999] {
            other.tell_untuned("cd", &Ok(impossible(senseless))).unwrap();
            assert_eq!(other.untuned(&elsewhere).unwrap(), None, "{senseless} of five epochs");
        }
        other.connection.execute("UPDATE study SET value = '{bad' WHERE key = ?1", [KEY]).unwrap();
        assert_eq!(
            other.claim_untuned(&elsewhere).unwrap(),
            Some(Left::Both),
            "what makes no sense is trained anew"
        );
    }
}
