//! What training tells while it runs, and who hears of it. The trainer does not know who listens.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error;
use crate::model::Params;

/// JSON has no numbers that are not finite; they are written as null, which is read as NaN.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// Names with their [`number`]s.
fn named<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, f64)>, D::Error> {
    let pairs = Vec::<(String, Option<f64>)>::deserialize(from)?;
    Ok(pairs.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

/// One epoch, as it stands in the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1 on.
    pub epoch: usize,
    /// Mean loss of the training rows while they were learned from (dropout on, weights changing).
    #[serde(deserialize_with = "number")]
    pub train_loss: f64,
    /// Mean loss of the validation rows at the end of the epoch.
    #[serde(deserialize_with = "number")]
    pub val_loss: f64,
    /// Further validation figures by name, in the target's own units: `val_rmse`, `val_mae`, or `val_accuracy`.
    #[serde(deserialize_with = "named")]
    pub metrics: Vec<(String, f64)>,
    /// The learning rate that the epoch was trained with; under a schedule, that of its last step; with lbfgs
    /// the length of the last step, as a multiple of its direction.
    pub learning_rate: f64,
    /// Training rows a second.
    #[serde(deserialize_with = "number")]
    pub rows_per_second: f64,
    /// Seconds since training began.
    pub seconds: f64,
    /// Whether these weights are the best so far.
    pub best: bool,
}

/// Something that happened in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// What follows is of this fold of a cross-validation.
    Fold {
        /// Its number, from 1 on.
        fold: usize,
        /// How many there are.
        of: usize,
    },
    /// Training begins.
    Started {
        /// Training rows.
        n_train: usize,
        /// Validation rows.
        n_val: usize,
        /// Trainable and other parameters.
        n_params: usize,
        /// The most epochs there can be.
        epochs: usize,
        /// Steps in an epoch.
        steps_per_epoch: usize,
    },
    /// A training that was broken off goes on; what was told before is not told again.
    Resumed {
        /// The epoch that it goes on in, from 1 on.
        epoch: usize,
        /// Steps done in it.
        step: usize,
        /// The most epochs there can be.
        epochs: usize,
        /// Steps in an epoch.
        steps_per_epoch: usize,
    },
    /// The state of the training could not be kept; it goes on all the same.
    NotSaved {
        /// The epoch under way, from 1 on.
        epoch: usize,
        /// Why, in words.
        why: String,
    },
    /// A part of an epoch is done; told a few times a second, and not kept in the event log.
    Progress {
        /// The epoch under way, from 1 on.
        epoch: usize,
        /// Steps done in it.
        step: usize,
        /// Mean loss of the rows since the epoch began.
        #[serde(deserialize_with = "number")]
        train_loss: f64,
        /// Training rows a second.
        #[serde(deserialize_with = "number")]
        rows_per_second: f64,
    },
    /// An epoch is done.
    Epoch(EpochRecord),
    /// The learning rate was cut because the monitored figure stood still.
    LearningRateReduced {
        /// The epoch that it happened after.
        epoch: usize,
        /// Before.
        from: f64,
        /// After.
        to: f64,
        /// Why.
        reason: String,
    },
    /// The smallest weights of the sparse layers were made zero, for the rest of training.
    Pruned {
        /// The epoch that it happened after.
        epoch: usize,
        /// The share of their weights that is zero now.
        share: f64,
        /// Whether it was the last time.
        is_last: bool,
    },
    /// The loss was not finite; the best weights so far are kept.
    Diverged {
        /// The epoch it happened in.
        epoch: usize,
        /// The step in that epoch, from 1 on.
        step: usize,
        /// The first layer whose output was not finite, or if all were the one that has grown most, as
        /// `layers.<index> (<kind>)`.
        layer: String,
        /// A learning rate worth trying: what a short range test below the one that diverged suggests, at most a tenth;
        /// none where the loss falls at none.
        suggested_learning_rate: Option<f64>,
        /// What to try, in words.
        remedy: String,
    },
    /// The weights that are kept are worse on the validation rows than those that training began with.
    Worsened {
        /// The epoch that they are of.
        epoch: usize,
        /// Their loss on the validation rows.
        #[serde(deserialize_with = "number")]
        val_loss: f64,
        /// That of the initial weights.
        #[serde(deserialize_with = "number")]
        initial_val_loss: f64,
        /// The layer that makes more of what enters it than at the start by the largest factor, as
        /// `layers.<index> (<kind>)`.
        layer: String,
        /// The largest number that left it at the start, for some training rows.
        #[serde(deserialize_with = "number")]
        initial_size: f64,
        /// The largest that leaves it now.
        #[serde(deserialize_with = "number")]
        size: f64,
        /// A learning rate worth trying; none where the loss falls at none.
        suggested_learning_rate: Option<f64>,
        /// What to try, in words.
        remedy: String,
    },
    /// Training has ended.
    Finished {
        /// Why: all epochs done, early stopping, the user.
        reason: String,
        /// The epoch whose weights are kept.
        best_epoch: usize,
        /// Epochs done.
        epochs_run: usize,
        /// Seconds from the first step on.
        seconds: f64,
    },
}

/// What a callback answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    GoOn,
    /// Stop, because; the best weights so far are kept, and training has come to its end.
    Stop(String),
    /// Break off, because: as [`Answer::Stop`], but training may be taken up again, and then goes on as if it had not
    /// been broken off.
    Interrupt(String),
}

/// Someone who hears the events and may stop training: what users write for themselves.
///
/// Every closure that takes an event and gives an answer is one.
///
/// ```
/// use serde_json::{Value, json};
/// use statera::error::Result;
/// use statera::model::Params;
/// use statera::train::events::{Answer, Callback, Event};
///
/// /// Stops at the third epoch whose validation loss is above the one before.
/// struct ThreeRises {
///     last: f64,
///     rises: u64,
/// }
///
/// impl Callback for ThreeRises {
///     fn hear(&mut self, event: &Event, _weights: &dyn Fn() -> Params) -> Answer {
///         let Event::Epoch(record) = event else { return Answer::GoOn };
///         self.rises += u64::from(record.val_loss > self.last);
///         self.last = record.val_loss;
///         if self.rises < 3 { Answer::GoOn } else { Answer::Stop("val_loss has risen three times".into()) }
///     }
///     fn state(&self) -> Value {
///         json!([self.last, self.rises])
///     }
///     fn restore(&mut self, state: &Value) -> Result<()> {
///         (self.last, self.rises) = serde_json::from_value(state.clone()).unwrap_or((f64::INFINITY, 0));
///         Ok(())
///     }
/// }
/// ```
pub trait Callback {
    /// Hears an event. `weights` copies the parameters that would be validated and kept at this moment, each time that
    /// it is called.
    fn hear(&mut self, event: &Event, weights: &dyn Fn() -> Params) -> Answer;

    /// What it needs to go on where it is now: a part of every checkpoint. A number that is not finite has no place in
    /// it.
    fn state(&self) -> Value {
        Value::Null
    }

    /// Takes up what [`Callback::state`] has given, before it hears that training was resumed.
    fn restore(&mut self, _state: &Value) -> error::Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&Event) -> Answer> Callback for F {
    fn hear(&mut self, event: &Event, _weights: &dyn Fn() -> Params) -> Answer {
        self(event)
    }
}

/// Several callbacks, which all hear every event in this order; the first that does not want to go on is followed. As a
/// callback its state is the list of theirs.
pub struct Callbacks<'a>(pub Vec<&'a mut dyn Callback>);

impl Callback for Callbacks<'_> {
    fn hear(&mut self, event: &Event, weights: &dyn Fn() -> Params) -> Answer {
        let mut first = Answer::GoOn;
        for callback in &mut self.0 {
            let answer = callback.hear(event, weights);
            if first == Answer::GoOn {
                first = answer;
            }
        }
        first
    }

    fn state(&self) -> Value {
        self.0.iter().map(|callback| callback.state()).collect()
    }

    fn restore(&mut self, state: &Value) -> error::Result<()> {
        // One that was not there when the state was kept begins anew.
        let states = state.as_array().map_or(&[][..], Vec::as_slice);
        self.0.iter_mut().zip(states).try_for_each(|(callback, state)| callback.restore(state))
    }
}

/// A [`Callback`] of whatever kind.
pub type Listener<'a> = dyn Callback + 'a;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_read_back_whatever_its_figures() {
        let epoch = |val_loss| {
            Event::Epoch(EpochRecord {
                epoch: 3,
                train_loss: 0.1,
                val_loss,
                metrics: vec![("val_rmse".into(), 2.0 * val_loss)],
                learning_rate: 1e-3,
                rows_per_second: 1e6,
                seconds: 0.5,
                best: true,
            })
        };
        let read = |event: &Event| -> Event {
            serde_json::from_str(&serde_json::to_string(event).unwrap()).unwrap()
        };
        assert_eq!(read(&epoch(0.3)), epoch(0.3));
        for val_loss in [f64::INFINITY, f64::NAN] {
            let Event::Epoch(record) = read(&epoch(val_loss)) else { panic!("an epoch stays one") };
            assert!(record.val_loss.is_nan() && record.metrics[0].1.is_nan(), "{record:?}");
            assert_eq!((record.train_loss, record.metrics[0].0.as_str()), (0.1, "val_rmse"));
        }
    }
}
