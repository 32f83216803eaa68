//! The settings that are not searched, for comparison: trained as those of the best trial are, which is twice.

use std::time::Instant;

use rusqlite::{TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::record::{entry, problem};
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
    /// Whether this process is to train the untuned settings on this table: nobody has, and nobody does.
    pub(super) fn claim_untuned(&mut self, data_sha256: &str) -> Result<bool> {
        let path = &self.path;
        let fail = |e| problem(path, &e);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let known = entry(&transaction, path, KEY)?.and_then(|text| read(&text, data_sha256));
        if known.is_some_and(|known| known.outcome.is_some() || !has_ended(path, known.worker)) {
            return Ok(false);
        }
        let claim = Entry { data_sha256: data_sha256.to_owned(), worker: self.worker.id, outcome: None };
        transaction
            .execute("INSERT OR REPLACE INTO study VALUES (?1, ?2)", params![KEY, text(&claim)?])
            .map_err(fail)?;
        transaction.commit().map_err(fail)?;
        Ok(true)
    }

    /// Puts on record what the untuned settings came to on this table.
    pub(super) fn tell_untuned(&mut self, data_sha256: &str, outcome: &UntunedOutcome) -> Result<()> {
        let (data_sha256, worker) = (data_sha256.to_owned(), self.worker.id);
        let text = text(&Entry { data_sha256, worker, outcome: Some(outcome.clone()) })?;
        self.connection
            .execute("INSERT OR REPLACE INTO study VALUES (?1, ?2)", params![KEY, text])
            .map(|_| ())
            .map_err(|e| problem(&self.path, &e))
    }

    /// What the untuned settings came to on this table; none as long as that is not on record.
    pub(super) fn untuned(&self, data_sha256: &str) -> Result<Option<UntunedOutcome>> {
        let text = entry(&self.connection, &self.path, KEY)?;
        Ok(text.and_then(|text| read(&text, data_sha256)).and_then(|entry| entry.outcome))
    }
}

/// The entry of this table. One that makes no sense is none: it is trained anew.
fn read(text: &str, data_sha256: &str) -> Option<Entry> {
    serde_json::from_str(text).ok().filter(|entry: &Entry| entry.data_sha256 == data_sha256)
}

fn text(entry: &Entry) -> Result<String> {
    serde_json::to_string(entry).map_err(|e| {
        Error::output(format!("the untuned settings' outcome cannot be written as JSON: {e}"), "")
    })
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn they_are_claimed_once_for_a_table_and_again_when_the_process_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = example::store(folder.path());
        let mut other = Store::open(folder.path()).unwrap();
        let claims = |store: &mut Store, table: &str| store.claim_untuned(table).unwrap();
        assert!(claims(&mut other, "ab"));
        assert!(!claims(&mut one, "ab"), "somebody trains them");
        assert_eq!(one.untuned("ab").unwrap(), None);
        drop(other);
        assert!(claims(&mut one, "ab"), "nobody trains them any more");
        let untuned = Untuned { val: 0.1 + 0.2, best_epoch: 3, cuts: vec![1, 2], seconds: 0.5 };
        one.tell_untuned("ab", &Ok(untuned.clone())).unwrap();
        let mut third = Store::open(folder.path()).unwrap();
        drop(one);
        assert!(!claims(&mut third, "ab"), "on record");
        assert_eq!(third.untuned("ab").unwrap(), Some(Ok(untuned)));
        assert_eq!(third.untuned("cd").unwrap(), None);
        assert!(claims(&mut third, "cd"), "another table");
        third.tell_untuned("cd", &Err("why".into())).unwrap();
        assert_eq!(third.untuned("cd").unwrap(), Some(Err("why".into())));
        third.connection.execute("UPDATE study SET value = '{bad' WHERE key = ?1", [KEY]).unwrap();
        assert_eq!(third.untuned("cd").unwrap(), None);
        assert!(claims(&mut third, "cd"), "what makes no sense is trained anew");
    }
}
