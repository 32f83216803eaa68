//! A study of the example table, for tests.

use std::path::Path;
use std::sync::Arc;

use super::record::{Header, Outcome, State};
use super::study::Store;
use super::{Pruner, Sampler, Tuning, combinations};
use crate::config::{Config, Space};
use crate::run::Plan;

/// An empty study.
pub(super) fn store(folder: &Path) -> Store {
    let [data_sha256, data_path, base, metric, config, space] = [(); 6].map(|()| String::new());
    Store::create(folder, &Header { data_sha256, data_path, base, metric, config, space }).unwrap()
}

/// A grid over this space, with these settings.
pub(super) fn grid(space: &str, sets: &[&str], jobs: usize) -> Tuning {
    let data = ["data.path=\"data/insurance.csv\"", "data.target=\"charges\""];
    let sets: Vec<String> = data.iter().chain(sets).map(|set| (*set).to_owned()).collect();
    let base = Config::default().with(&sets).unwrap();
    let space = Space::from_toml_str(space).unwrap();
    Tuning {
        combinations: combinations(&space, &base),
        space,
        raw: Arc::new(Plan::read(&base).unwrap()),
        base,
        sampler: Sampler::Grid,
        pruner: Pruner::None,
        trials: u64::MAX,
        max_seconds: None,
        jobs,
        large_grid: false,
    }
}

/// How a trial of one epoch ends.
pub(super) fn done() -> Outcome {
    Outcome {
        state: State::Done,
        metric: Some(1.0),
        best_epoch: Some(1),
        cuts: Vec::new(),
        seconds: 0.1,
        reason: "end".into(),
    }
}
