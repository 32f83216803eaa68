//! Settings of what watches training from epoch to epoch.

use serde::{Deserialize, Serialize};

use super::TrainConfig;
use super::choices::{CheckpointMode, Monitor};

impl TrainConfig {
    /// The last epoch that there may be.
    pub fn last_epoch(&self) -> usize {
        if self.stop_after == 0 { self.epochs } else { self.stop_after.min(self.epochs) }
    }
}

/// When training ends before its last epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStoppingConfig {
    /// Whether it may.
    pub enabled: bool,
    /// The figure watched.
    pub monitor: Monitor,
    /// Epochs without a better figure.
    pub patience: usize,
    /// The smallest change that counts as better.
    pub min_delta: f64,
    /// Epochs over which the figure has to change; 0 for none.
    pub window: usize,
    /// What counts as no change over them, as a share.
    pub window_change: f64,
    /// The change of weights over an epoch below which training stops.
    pub weight_change: f64,
}

/// When the learning rate is cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReduceOnPlateauConfig {
    /// Whether it is.
    pub enabled: bool,
    /// The figure watched.
    pub monitor: Monitor,
    /// Epochs after which it is cut, in place of watching; none where the figure decides.
    pub after_epochs: Vec<usize>,
    /// What the learning rate is multiplied by.
    pub factor: f64,
    /// Epochs without a better figure.
    pub patience: usize,
    /// The smallest change that counts as better.
    pub min_delta: f64,
    /// The floor.
    pub min_learning_rate: f64,
}

/// Which epoch's weights are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// The figure that chooses the best epoch.
    pub monitor: Monitor,
    /// Whether the model ends with that epoch's weights.
    pub restore_best: bool,
    /// Which of two values of the figure is better.
    pub mode: CheckpointMode,
    /// The name of model files of the best epoch so far; empty for none.
    pub best: String,
    /// The name of model files of every epoch; empty for none.
    pub last: String,
    /// Whether the state of training is kept, so that it can go on.
    pub resumable: bool,
    /// How often; 0 for every epoch.
    pub every_seconds: f64,
}
