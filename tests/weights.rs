//! Losses, class weights and weight columns from the command line.

use crate::cli;
use std::path::Path;

use cli::{call, folder, quick};

/// A table of 90 rows: inputs `x` and `k`, a weight `w`, and targets: `n` a count, `y` a number, `yes` a rare class.
fn write(folder: &Path, weight: impl Fn(usize) -> String) {
    let mut text = "x,k,w,n,y,yes\n".to_owned();
    for i in 0..90 {
        let (x, k) = (i as f64 * 0.37 % 5.0, i * 7 % 11);
        let yes = if i % 6 == 1 { "yes" } else { "no" };
        let row = format!("{x:.2},{k},{},{},{:.2},{yes}\n", weight(i), 21 + k, x - k as f64);
        text.push_str(&row);
    }
    std::fs::write(folder.join("w.csv"), text).unwrap();
}

fn even(_: usize) -> String {
    "1".into()
}

/// A text without its line breaks.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words on standard error of a training that fails, which leaves nothing behind.
#[track_caller]
fn refused(folder: &Path, target: &str, sets: &[&str], code: i32, words: &[&str]) {
    let more: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let outcome = call(folder, &quick("w.csv", target, &more));
    assert_eq!(outcome.code, code, "{sets:?}: {}", outcome.err);
    for word in words {
        assert!(outcome.err.contains(word), "{sets:?}: {}\n  lacks: {word}", outcome.err);
    }
    assert!(!folder.join("runs").exists(), "{sets:?}");
}

#[test]
fn every_loss_trains_and_predicts() {
    let folder = folder();
    write(folder.path(), even);
    let cases: &[(&str, &str, &[&str])] = &[
        ("y", "rmse", &[]),
        ("y", "log_cosh", &[]),
        ("y", "quantile", &["loss.quantile=0.9"]),
        ("n", "poisson", &["prepare.target_scale=none", "task=regression"]),
        ("yes", "focal", &["loss.gamma=1"]),
        ("yes", "hinge", &[]),
        ("yes", "binary_crossentropy", &["loss.label_smoothing=0.1", "loss.class_weights=balanced"]),
        ("n", "focal", &["loss.class_weights={ 25 = 2.5 }", "task=multiclass"]),
        ("n", "categorical_crossentropy", &["loss.label_smoothing=0.1", "task=multiclass"]),
    ];
    for (i, (target, loss, sets)) in cases.iter().enumerate() {
        let (run, name) = (format!("run-{i}"), format!("loss.name={loss}"));
        let mut more = vec!["--json", "--out", &run, "--set", &name];
        more.extend(sets.iter().flat_map(|set| ["--set", set]));
        let outcome = call(folder.path(), &quick("w.csv", target, &more)).done();
        assert!(outcome.json()["test"].is_object(), "{loss}: {}", outcome.out);
        let config = std::fs::read_to_string(folder.path().join(&run).join("config.toml")).unwrap();
        assert!(config.contains(&format!("name = \"{loss}\"")), "{config}");
        // The settings that were kept make the same run again.
        let again = ["config", "--check", &format!("{run}/config.toml")].map(str::to_owned);
        call(folder.path(), &again.each_ref().map(String::as_str)).done();
        let predicted = call(folder.path(), &["predict", &run, "w.csv", "-o", "out.csv", "--force"]).done();
        assert!(!predicted.err.contains("finite"), "{loss}: {}", predicted.err);
        let out = std::fs::read_to_string(folder.path().join("out.csv")).unwrap();
        assert_eq!(out.lines().count(), 91, "{loss}");
        if *loss == "poisson" {
            let last = |line: &str| line.rsplit(',').next().unwrap().parse::<f64>().unwrap();
            assert!(out.lines().skip(1).map(last).all(|rate| rate > 0.0), "rates are above 0: {out}");
        }
    }
}

#[test]
fn losses_that_do_not_fit_are_refused_with_a_remedy() {
    let folder = folder();
    write(folder.path(), even);
    let path = folder.path();
    refused(
        path,
        "n",
        &["loss.name=poisson", "task=regression"],
        2,
        &["poisson takes counts as they are", "--set prepare.target_scale=none"],
    );
    refused(
        path,
        "y",
        &["loss.name=poisson", "prepare.target_scale=none"],
        1,
        &["row 2 (line 3), column `y`: expected a number from 0", "poisson", "--set loss.name=mse"],
    );
    refused(path, "y", &["loss.name=hinge"], 2, &["hinge does not go with the task regression"]);
    refused(path, "yes", &["loss.name=quantile"], 2, &["quantile does not go with the task binary"]);
    refused(
        path,
        "n",
        &["loss.name=hinge", "task=multiclass"],
        2,
        &["hinge does not go with the task multiclass", "--set loss.name=categorical_crossentropy"],
    );
    for (target, loss) in [("y", "mse"), ("yes", "focal"), ("yes", "hinge")] {
        let why = format!("`loss.label_smoothing` = 0.1 has no effect with `loss.name` = \"{loss}\"");
        refused(
            path,
            target,
            &["loss.label_smoothing=0.1", &format!("loss.name={loss}")],
            2,
            &[&why, "leave `loss.label_smoothing` out"],
        );
    }
    let natural = ["loss.label_smoothing goes with a cross-entropy", "--set loss.label_smoothing=0"];
    refused(path, "y", &["loss.label_smoothing=0.1"], 2, &natural);
    refused(path, "y", &["loss.class_weights=balanced"], 2, &["has no classes"]);
    refused(path, "yes", &["loss.class_weights={ yess = 3 }"], 2, &["no class `yess`", "`yes`"]);
    refused(path, "yes", &["loss.class_weights={ yes = -3 }"], 2, &["class `yes`", "at least 0, got -3"]);
    refused(path, "yes", &["loss.class_weights=balance"], 2, &["loss.class_weights", "balanced"]);
    refused(path, "yes", &["loss.class_weights={ yes = 0, no = 0 }"], 1, &["training rows are 0"]);
    refused(path, "y", &["data.weight=ww"], 2, &["data.weight: there is no column `ww`", "`w`"]);
    let sets = ["data.weight=w", "data.columns.w.kind=category"];
    refused(path, "y", &sets, 2, &["`w` is the column that weights the rows"]);
    refused(path, "y", &["data.weight=y"], 2, &["column `y` has another use"]);
}

#[test]
fn cells_that_are_no_weight_are_refused_by_row_and_line() {
    let folder = folder();
    for (cell, found) in [("-1", "found `-1`"), ("", "found a missing cell"), ("much", "found `much`")] {
        write(folder.path(), |i| if i == 4 { cell.into() } else { "1".into() });
        let words = ["row 5 (line 6), column `w`: expected a weight of 0 or more", found];
        refused(folder.path(), "y", &["data.weight=w"], 1, &words);
    }
}

#[test]
fn a_weight_column_is_no_input_and_weights_the_losses() {
    let folder = folder();
    write(folder.path(), |i| (i % 3).to_string());
    let train = |out: &str, more: &[&str]| {
        let more = [&["--json", "--out", out, "--set", "task=regression"], more].concat();
        call(folder.path(), &quick("w.csv", "y", &more)).done()
    };
    let plain = train("plain", &["--set", "data.columns.w.drop=true"]);
    let weighted = train("weighted", &["--set", "data.weight=w"]);
    let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
    assert!(!read("weighted/schema.json").contains("\"w\""), "{}", read("weighted/schema.json"));
    assert_ne!(read("plain/history.csv"), read("weighted/history.csv"));
    assert_ne!(plain.json()["test"], weighted.json()["test"]);

    let told = call(folder.path(), &quick("w.csv", "yes", &["--set", "data.weight=w"])).done();
    for words in ["by column", "column `w`, as set by data.weight, is no input", "metrics are not"] {
        assert!(flowing(&told.err).contains(words), "{}", told.err);
    }
    // The column is not needed to predict.
    std::fs::write(folder.path().join("p.csv"), "x,k,n,yes\n1.5,3,24,no\n").unwrap();
    call(folder.path(), &["predict", "weighted", "p.csv", "-o", "out.csv", "--force"]).done();
}

#[test]
fn only_the_proportions_of_weights_count() {
    let folder = folder();
    let losses = |i: i32, weight: &str| {
        write(folder.path(), |row| format!("{}{weight}", 1 << (row % 3)));
        let out = format!("run-{i}");
        call(folder.path(), &quick("w.csv", "y", &["--set", "data.weight=w", "--out", &out])).done();
        let history = std::fs::read_to_string(folder.path().join(out).join("history.csv")).unwrap();
        let first_figures = |line: &str| line.split(',').take(3).collect::<Vec<_>>().join(",");
        history.lines().map(first_figures).collect::<Vec<_>>()
    };
    let (plain, huge) = (losses(1, ""), losses(2, "e300"));
    assert_eq!(plain, losses(3, "e-300"));
    assert_eq!(plain.len(), 5);
    assert_eq!(plain, huge);
}

#[test]
fn class_weights_are_laid_over_those_of_a_file() {
    let folder = folder();
    write(folder.path(), even);
    let file = "[loss.class_weights]\nno = 0.5\nyes = 2\n";
    std::fs::write(folder.path().join("f.toml"), file).unwrap();
    let sets = ["--config", "f.toml", "--set", "loss.class_weights.yes=7", "--out", "run"];
    let outcome = call(folder.path(), &quick("w.csv", "yes", &sets)).done();
    assert!(
        flowing(&outcome.err).contains("as set by loss.class_weights: `no` 0.5000, `yes` 7.0000"),
        "{}",
        outcome.err
    );
    let config = std::fs::read_to_string(folder.path().join("run/config.toml")).unwrap();
    assert!(config.contains("class_weights = { no = 0.5, yes = 7.0 }"), "{config}");
    let sets = ["--config", "f.toml", "--set", "loss.class_weights=balanced"];
    let outcome = call(folder.path(), &quick("w.csv", "yes", &sets)).done();
    // 12 or 13 in 75 training rows are of the rare class.
    assert!(flowing(&outcome.err).contains("in training: `no` 0.6"), "{}", outcome.err);
}
