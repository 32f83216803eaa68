//! Callbacks stop, cut and save in the epochs in which Keras's do, on scripted curves.

use serde::Deserialize;
use statera::config::{
    CheckpointConfig, CheckpointMode, Config, EarlyStoppingConfig, Monitor, ReduceOnPlateauConfig,
};
use statera::data::TaskKind;
use statera::run::saved_models::NamePattern;
use statera::train::callbacks::{BestEpoch, EarlyStopping, ReduceOnPlateau, deciding};
use statera::train::events::EpochRecord;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// No number where there is none.
    curve: Vec<Option<f64>>,
    early_stopping: Vec<Stop>,
    reduce_on_plateau: Vec<Plateau>,
    best: Best,
}

#[derive(Deserialize)]
struct Stop {
    patience: usize,
    min_delta: f64,
    mode: String,
    stopped: Option<usize>,
}

#[derive(Deserialize)]
struct Plateau {
    patience: usize,
    min_delta: f64,
    factor: f64,
    floor: f64,
    rates: Vec<f64>,
}

#[derive(Deserialize)]
struct Best {
    min: Vec<String>,
    max: Vec<String>,
}

/// An epoch whose every figure is `value`.
fn record(epoch: usize, value: f64) -> EpochRecord {
    EpochRecord {
        epoch,
        train_loss: value,
        val_loss: value,
        metrics: vec![("val_accuracy".into(), value)],
        learning_rate: 0.01,
        rows_per_second: 0.0,
        seconds: 0.0,
        best: false,
    }
}

#[test]
fn they_act_in_the_epochs_of_keras() {
    let path = format!("{}/tests/golden/callbacks.json", env!("CARGO_MANIFEST_DIR"));
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let usual = Config::default();
    let (mut stops, mut cuts, mut saves) = (0, 0, 0);
    for case in &golden.cases {
        let records: Vec<EpochRecord> =
            (1..).zip(&case.curve).map(|(epoch, value)| record(epoch, value.unwrap_or(f64::NAN))).collect();
        for expected in &case.early_stopping {
            let settings = EarlyStoppingConfig {
                monitor: if expected.mode == "max" { Monitor::ValAccuracy } else { Monitor::ValLoss },
                patience: expected.patience,
                min_delta: expected.min_delta,
                ..usual.early_stopping.clone()
            };
            let mut rule = EarlyStopping::new(&settings);
            let stopped = records.iter().find(|record| rule.observe(record).is_some()).map(|r| r.epoch);
            assert_eq!(stopped, expected.stopped, "{}: {settings:?}", case.name);
            stops += usize::from(stopped.is_some());
        }
        for expected in &case.reduce_on_plateau {
            let settings = ReduceOnPlateauConfig {
                patience: expected.patience,
                min_delta: expected.min_delta,
                factor: expected.factor,
                min_learning_rate: expected.floor,
                ..usual.reduce_on_plateau.clone()
            };
            let (mut rule, mut rate) = (ReduceOnPlateau::new(&settings), 0.01);
            for (record, &expected) in records.iter().zip(&expected.rates) {
                if let Some((next, _)) = rule.observe(record, rate) {
                    (rate, cuts) = (next, cuts + 1);
                }
                // Keras keeps rates in single precision.
                assert!(
                    (rate / expected - 1.0).abs() < 1e-6,
                    "{}, epoch {}: {settings:?}",
                    case.name,
                    record.epoch
                );
            }
        }
        let pattern =
            NamePattern::parse("checkpoint.best", "model-{epoch:02}-{val_loss:.2}", TaskKind::Regression)
                .unwrap();
        for (mode, expected) in [(CheckpointMode::Min, &case.best.min), (CheckpointMode::Max, &case.best.max)]
        {
            let settings = CheckpointConfig { mode, ..usual.checkpoint.clone() };
            let mut best = BestEpoch::default();
            let saved = records.iter().filter(|r| best.observe(r.epoch, deciding(&settings, r)));
            let names: Vec<String> = saved.map(|record| pattern.name(record)).collect();
            assert_eq!(names, *expected, "{}: {mode:?}", case.name);
            saves += names.len();
        }
    }
    assert!(stops > 50 && cuts > 200 && saves > 200, "{stops} stops, {cuts} cuts, {saves} files");
}
