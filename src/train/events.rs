//! What training tells while it runs. The trainer does not know who listens.

use serde::{Deserialize, Serialize};

/// One epoch, as it stands in the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1 on.
    pub epoch: usize,
    /// Mean loss of the training rows while they were learned from (dropout on, weights changing).
    pub train_loss: f64,
    /// Mean loss of the validation rows at the end of the epoch.
    pub val_loss: f64,
    /// Further validation figures by name, in the target's own units: `val_rmse`, `val_mae`, or `val_accuracy`.
    pub metrics: Vec<(String, f64)>,
    /// The learning rate that the epoch was trained with; under a schedule, that of its last step.
    pub learning_rate: f64,
    /// Training rows a second.
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
    /// A part of an epoch is done; told a few times a second, and not kept in the event log.
    Progress {
        /// The epoch under way, from 1 on.
        epoch: usize,
        /// Steps done in it.
        step: usize,
        /// Mean loss of the rows since the epoch began.
        train_loss: f64,
        /// Training rows a second.
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
    /// The loss was not finite; the best weights so far are kept.
    Diverged {
        /// The epoch it happened in.
        epoch: usize,
        /// The step in that epoch, from 1 on.
        step: usize,
        /// The first layer whose output was not finite, as `layers.<index> (<kind>)`.
        layer: String,
        /// A learning rate worth trying.
        suggested_learning_rate: f64,
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

/// What a listener answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    GoOn,
    /// Stop here, for this reason; the best weights so far are kept.
    Stop(String),
}

/// Someone who hears the events and may stop training.
pub type Listener<'a> = dyn FnMut(&Event) -> Answer + 'a;
