//! What `docs/techniques/known-results.md` says, run as it stands there.

use crate::cli;
use std::path::Path;

use cli::{call, statera};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with the example tables.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for table in ["insurance.csv", "planted.csv", "xor.csv", "rare.csv"] {
        std::fs::copy(root.join("data").join(table), data.join(table)).unwrap();
    }
    folder
}

/// Runs the page's command that leaves the run `name`; returns the metrics.
fn run(folder: &TempDir, name: &str) -> Value {
    done(folder, name, &format!("runs/{name}"), &[])
}

/// The same with another seed.
fn run_with(folder: &TempDir, name: &str, seed: u32) -> Value {
    let out = format!("runs/{name}-{seed}");
    done(folder, name, &out, &["--seed", &seed.to_string(), "--out", &out])
}

fn done(folder: &TempDir, name: &str, out: &str, more: &[&str]) -> Value {
    let pages = [
        include_str!("../docs/techniques/known-results.md"),
        include_str!("../docs/techniques/imbalance.md"),
    ];
    let end = format!(" --out runs/{name}");
    let mut lines = pages.iter().flat_map(|page| page.lines());
    let command = lines.find(|line| line.starts_with("statera train ") && line.ends_with(&end));
    let command = command.unwrap_or_else(|| panic!("no command of the page leaves runs/{name}"));
    // Quotes hold no spaces there.
    let command = if more.is_empty() { command } else { command.trim_end_matches(end.as_str()) };
    let words: Vec<String> = command.split(' ').skip(1).map(|word| word.replace('\'', "")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
    statera(folder.path(), &words).arg("--quiet").assert().success();
    let metrics = std::fs::read_to_string(folder.path().join(out).join("metrics.json"));
    serde_json::from_str(&metrics.unwrap()).unwrap()
}

fn test_metric(metrics: &Value, name: &str) -> f64 {
    metrics["test"][name]["value"].as_f64().unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

/// The training and validation loss of a run's last epoch.
fn last_losses(folder: &TempDir, name: &str) -> [f64; 2] {
    let history = std::fs::read_to_string(folder.path().join("runs").join(name).join("history.csv")).unwrap();
    assert!(history.starts_with("epoch,train_loss,val_loss,"), "{history}");
    let last: Vec<&str> = history.lines().last().unwrap().split(',').collect();
    [1, 2].map(|i| last[i].parse().unwrap())
}

#[test]
fn l1_finds_the_columns_that_matter_and_l2_does_not() {
    let folder = folder();
    for (name, zeros) in [("l1", "\n9 of 12 weights are exactly 0.\n"), ("l2", "")] {
        run(&folder, name);
        let summary = call(folder.path(), &["summary", &format!("runs/{name}")]).done().out;
        assert!(summary.ends_with(zeros) && summary.contains("exactly 0") != zeros.is_empty(), "{summary}");
    }
    // That they are the nine: see `tests/penalties.rs`; here their names tell it.
    let model = std::fs::read(folder.path().join("runs/l1/model.safetensors")).unwrap();
    let weights = first_weight(&model, 12);
    assert!(weights[..3].iter().all(|w| *w != 0.0) && weights[3..].iter().all(|w| *w == 0.0), "{weights:?}");
}

/// The numbers of `layers.0.weight` in a model file.
fn first_weight(model: &[u8], n: usize) -> Vec<f32> {
    let length = u64::from_le_bytes(model[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&model[8..8 + length]).unwrap();
    let begin = header["layers.0.weight"]["data_offsets"][0].as_u64().unwrap() as usize + 8 + length;
    let bytes = &model[begin..begin + 4 * n];
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

#[test]
fn dropout_closes_the_gap() {
    let folder = folder();
    run(&folder, "free");
    let [train, val] = last_losses(&folder, "free");
    assert!(train < 0.02 && val > 0.15, "{train}, {val}");
    run(&folder, "dropped");
    let [train, val] = last_losses(&folder, "dropped");
    assert!((val - train).abs() < 0.1 && train > 0.1, "{train}, {val}");
}

#[test]
fn zeros_do_not_learn_exclusive_or() {
    let folder = folder();
    let accuracy = ["zeros", "he"].map(|name| test_metric(&run(&folder, name), "accuracy"));
    assert!(accuracy[0] < 0.6 && accuracy[1] > 0.9, "{accuracy:?}");
}

#[test]
fn ten_sigmoid_layers_vanish_or_train() {
    let folder = folder();
    let r2 = ["normal", "xavier"].map(|name| test_metric(&run(&folder, name), "r2"));
    assert!(r2[0] < 0.05 && r2[1] > 0.6, "{r2:?}");
}

#[test]
fn label_smoothing_lowers_the_calibration_error() {
    let folder = folder();
    let ece = ["sure", "smooth"].map(|name| test_metric(&run(&folder, name), "ece"));
    assert!(ece[0] > 0.2 && ece[1] < ece[0] - 0.05, "{ece:?}");
}

#[test]
fn a_rare_class_is_found() {
    let folder = folder();
    let recall = ["plain", "balanced", "focal"].map(|name| test_metric(&run(&folder, name), "recall"));
    assert!(recall[0] < 0.1 && recall[1] > 0.7 && recall[2] > recall[0], "{recall:?}");
    // The focal loss finds fewer than class weights do, and how many hangs on the split: the mean of ten.
    let mean = |name: &str| {
        (0..10).map(|seed| test_metric(&run_with(&folder, name, seed), "recall")).sum::<f64>() / 10.0
    };
    let (plain, focal) = (mean("plain"), mean("focal"));
    assert!(focal > plain + 0.08, "{focal} beside {plain}");
}

/// docs/techniques/imbalance.md
#[test]
fn made_and_repeated_rows_find_more_of_a_rare_class() {
    let folder = folder();
    let recall = |name: &str| test_metric(&run(&folder, name), "recall");
    assert!(recall("as-it-is") < 0.1);
    for name in ["smote", "repeated", "fewer"] {
        let found = recall(name);
        assert!(found > 0.6, "{name}: {found}");
    }
    // The price: false alarms, and probabilities for the rare class that are too high; the ranks are as good as before.
    let of = |name: &str, metric: &str| {
        let metrics = std::fs::read_to_string(folder.path().join("runs").join(name).join("metrics.json"));
        test_metric(&serde_json::from_str(&metrics.unwrap()).unwrap(), metric)
    };
    assert!(of("smote", "precision") < 0.6);
    assert!(of("smote", "log_loss") > 1.5 * of("as-it-is", "log_loss"));
    assert!((of("smote", "roc_auc") - of("as-it-is", "roc_auc")).abs() < 0.02);
}
