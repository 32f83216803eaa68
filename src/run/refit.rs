//! Training anew on all rows but the test rows, once everything has been chosen.

use std::sync::Arc;

use super::objective::weights_of;
use super::plan::{Plan, network_of, target_spec};
use crate::data::{Pipeline, PipelineOptions};
use crate::error::Result;

impl Plan {
    /// The plan with the validation rows among the training rows: preparation and all else that is fitted are fitted on
    /// both, and `epochs` are trained whatever they say. The test rows stay as they are.
    ///
    /// What watching would have decided is off: early stopping, the cut of the learning rate and the choice of the best
    /// epoch.
    pub fn refit(&self, epochs: usize) -> Result<Self> {
        let mut config = self.config.clone();
        config.train.epochs = epochs;
        config.early_stopping.enabled = false;
        config.reduce_on_plateau.enabled = false;
        config.checkpoint.restore_best = false;
        let split = self.split.refit();
        let pipeline = Pipeline::fit(&self.table, &split.train, &PipelineOptions::of(&config))?;
        let target = target_spec(&config, &self.labels, &split, self.target.task)?;
        let weights = weights_of(&config, &self.labels, &self.raw, &split.train, &split.val)?;
        let network = network_of(&config, &pipeline, target.n_outputs())?;
        Ok(Self {
            config,
            split: Arc::new(split),
            pipeline,
            target,
            weights: weights.map(|(weights, _)| weights),
            network,
            ..self.clone()
        })
    }
}
