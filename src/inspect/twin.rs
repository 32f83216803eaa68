//! The continuous twin of a run: the same settings, seed and split with continuous weights, trained to compare with.

use std::path::Path;

use crate::config::{Config, LayerSpec};
use crate::error::{Error, Result};
use crate::model::{Model, truth_of};
use crate::run::report::primary;
use crate::run::{Plan, Trained, execute};
use crate::train::bootstrap::{Gain, gain};
use crate::train::events::Listener;
use crate::train::metrics::metrics;

/// A run beside its continuous twin, on the same test rows.
#[derive(Debug)]
pub struct Twin {
    /// Test rows.
    pub n_test: usize,
    /// Each metric of the run and of the twin.
    pub metrics: Vec<(&'static str, f64, f64)>,
    /// The metric that comes first.
    pub primary: &'static str,
    /// By how much the run is better in it than the twin, with a paired interval; none where it is not defined.
    pub gain: Option<Gain>,
    /// The share of such intervals that hold the true figure.
    pub confidence: f64,
    /// The twin.
    pub trained: Trained,
}

/// The settings of the run in `folder`, for the table `data`, with continuous weights and nothing else changed.
pub fn settings(folder: &Path, data: &Path) -> Result<Config> {
    let file = folder.join("config.toml");
    if !file.is_file() {
        return Err(Error::setting(
            format!(
                "{} has no config.toml, so the settings to train a twin with are not known",
                folder.display()
            ),
            "give the run folder, as runs/insurance-1",
        ));
    }
    let mut config = Config::load(Some(&file), &[])?;
    config.data.set_sources(&[data.to_owned()]);
    config.weights = Config::default().weights;
    LayerSpec::change_lists(&mut config.network.layers, &mut |layers| {
        for layer in layers {
            if let LayerSpec::Dense { weights, .. } = layer {
                *weights = None;
            }
        }
    });
    Ok(config)
}

/// Trains the continuous twin of `model` under `config`, which [`settings`] gives, telling `listener`, and compares the two
/// on the test rows. Fails where the table is not the one that the model was trained on.
pub fn twin(model: &Model, config: Config, listener: &mut Listener) -> Result<Twin> {
    let plan = Plan::new(config)?;
    if plan.raw.sha256 != model.card.provenance.data_sha256 {
        return Err(Error::data(
            format!(
                "{} is not the table that the model was trained on: its SHA-256 is {}…, expected {}…",
                plan.raw.source.display(),
                plan.raw.sha256.get(..8).unwrap_or_default(),
                model.card.provenance.data_sha256.get(..8).unwrap_or_default()
            ),
            "give that table, so that both are tested on the same rows",
        ));
    }
    let rows = &plan.split.test;
    if rows.is_empty() {
        return Err(Error::setting(
            "the run has no test rows to compare on",
            "train with --set split.test=0.15, or another column for split.column",
        ));
    }
    let trained = execute(&plan, listener)?;
    let truth = truth_of(&plan.labels.target, rows);
    let x = plan.inputs(rows)?;
    let pair = [&model.predict_prepared(&x), &trained.model.predict_prepared(&x)];
    let of = |name: &str, all: &[(&'static str, f64)]| all.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    let theirs = metrics(pair[1], truth.view());
    let both = metrics(pair[0], truth.view()).into_iter().filter_map(|(n, v)| Some((n, v, of(n, &theirs)?)));
    let (e, primary) = (&plan.config.evaluate, primary(plan.target.task));
    let groups = plan.groups_of(rows);
    let (truth, groups) = (truth.view(), groups.as_deref());
    let gain = gain(primary, pair, truth, groups, e.bootstrap, e.confidence, plan.config.seed);
    Ok(Twin { n_test: rows.len(), metrics: both.collect(), primary, gain, confidence: e.confidence, trained })
}
