//! Regularisers from outside: what does not fit is refused with a remedy, and what fits runs.

use crate::cli;
use cli::{call, folder, quick, table};

/// Trains with these settings; returns what standard error says of the wrong use.
#[track_caller]
fn refused(folder: &std::path::Path, target: &str, sets: &[&str], words: &[&str]) {
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let train = ["train", "t.csv", "--target", target, "--set", "train.epochs=4"];
    let outcome = call(folder, &[&train[..], &sets].concat());
    assert_eq!(outcome.code, 2, "{sets:?}: {}", outcome.err);
    let flowing = outcome.err.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words.iter().chain(&["error: ", "try: "]) {
        assert!(flowing.contains(word), "{sets:?}: no {word:?} in {flowing}");
    }
    assert!(!folder.join("runs").exists(), "nothing is left behind");
}

#[test]
fn what_does_not_fit_is_refused_before_training() {
    let folder = folder();
    let layer = |more: &str| format!("network.layers=[{{type='dense',units=4,{more}}}]");
    let y = |sets: &[&str], words: &[&str]| refused(folder.path(), "y", sets, words);
    // Numbers out of range.
    y(&["optimizer.l1=-1"], &["`optimizer.l1`: out of range: expected a number from 0 to 100, got -1"]);
    y(&["augment.mixup=-0.1"], &["`augment.mixup`: out of range"]);
    y(&["noise.labels=-0.1"], &["`noise.labels`: out of range"]);
    y(&["optimizer.max_norm=0"], &["`optimizer.max_norm`: out of range: expected a number above 0"]);
    y(&["curriculum.start=0"], &["`curriculum.start`: out of range"]);
    y(
        &["optimizer.constraint=maxnorm"],
        &["expected one of none, max_norm, non_negative, unit_norm", "max_norm"],
    );
    // A layer that has no weights to constrain, and a key misspelt.
    y(
        &["network.layers=[{type='dropout',constraint='max_norm'}]"],
        &["layer 1 (dropout): unknown key `constraint`, expected one of rate"],
    );
    y(&[&layer("max_nrm=2")], &["unknown key `max_nrm`", "`max_norm`"]);
    y(&[&layer("l1=-1")], &["layer 1 (dense): `l1`: out of range"]);
    // Settings that say nothing, and that contradict each other.
    y(
        &[&layer("max_norm=2")],
        &["network.layers, layer 1 (dense): max_norm says nothing beside constraint = \"none\""],
    );
    let block = "network.layers=[{type='dense',units=4},{type='residual',layers=[{type='dense',units=4,max_norm=2}]}]";
    y(&[block], &["network.layers, layer 2 (residual): layers, layer 1 (dense): max_norm says nothing"]);
    y(
        &["optimizer.max_norm=2"],
        &["`optimizer.max_norm` = 2.0 has no effect with `optimizer.constraint` = \"none\""],
    );
    y(
        &["early_stopping.window_change=0.1"],
        &["has no effect with `early_stopping.window` = 0", "or set early_stopping.window"],
    );
    y(
        &["optimizer.l1=0.1", "optimizer.name=schedule_free_adamw"],
        &["optimizer.l1 = 0.1 makes weights zero", "schedule_free_adamw", "optimizer.name = \"adamw\""],
    );
    y(&["optimizer.l1=0.1", "average.kind=ema"], &["average.kind = \"ema\"", "average.kind = \"none\""]);
    y(
        &[&layer("constraint='unit_norm'"), "average.kind=swa"],
        &["layer 1 (dense): constraint = \"unit_norm\"", "average.kind = \"none\""],
    );
    y(
        &["optimizer.constraint=non_negative", "optimizer.name=schedule_free_adamw"],
        &["constraint = \"non_negative\"", "constraint = \"none\""],
    );
    y(&["curriculum.by=column"], &["`curriculum.column` names none", "curriculum.by = \"loss\""]);
    y(&["curriculum.column=x"], &["has no effect with `curriculum.by` = \"none\"", "\"column\""]);
    y(
        &["curriculum.by=loss", "train.epochs=4"],
        &["`curriculum.epochs` = 20 leaves none of `train.epochs` = 4", "train.epochs = 40"],
    );
    // What does not go with the data, the task or the loss.
    let short = "curriculum.epochs=2";
    y(
        &["curriculum.by=column", "curriculum.column=color", short],
        &["curriculum.column: there is no column `color`", "did you mean `colour`?"],
    );
    y(&["augment.mixup=0.2", "loss.name=quantile"], &["quantile", "--set augment.mixup=0"]);
    y(
        &["augment.mixup=0.2", "embedding.categories=embedding"],
        &["the categories of column `colour` are codes", "--set embedding.categories=one_hot"],
    );
    y(&["augment.mixup=0.2", "train.batch_size=1"], &["no second row to mix with", "train.batch_size=32"]);
    refused(
        folder.path(),
        "k",
        &["noise.labels=0.1", "loss.name=poisson", "prepare.target_scale=none", "task=regression"],
        &["noise.labels is 0.1: a count with normal noise is no count", "--set loss.name=mse"],
    );
    y(
        &["augment.jitter=0.1", "data.columns.x.drop=true", "data.columns.k.kind=category"],
        &["no input is a scaled number that could be jittered", "--set augment.jitter=0"],
    );
    y(
        &["network.norm=batch", "train.batch_size=1"],
        &["train.batch_size is 1; a network with batch normalisation needs 2", "--set train.batch_size=32"],
    );
    let colour = |sets: &[&str], words: &[&str]| refused(folder.path(), "colour", sets, words);
    colour(&["noise.labels=0.7"], &["noise.labels is 0.7: with 3 classes", "0.667", "noise.labels=0.1"]);
}

/// A column of words cannot say how hard a row is.
#[test]
fn a_curriculum_needs_numbers() {
    let folder = folder();
    let sets = [
        "--set",
        "curriculum.by=column",
        "--set",
        "curriculum.epochs=2",
        "--set",
        "curriculum.column=colour",
    ];
    let outcome = call(folder.path(), &quick("t.csv", "y", &sets));
    assert_eq!(outcome.code, 1, "{}", outcome.err);
    for word in ["column `colour`", "expected a number that says how hard the row is", "curriculum.by=loss"] {
        assert!(outcome.err.contains(word), "no {word:?} in {}", outcome.err);
    }
}

#[test]
fn everything_that_fits_runs_for_every_task() {
    let folder = folder();
    let columns = ["x", "k", "colour", "y", "yes", "grade"];
    std::fs::write(folder.path().join("t.csv"), table(&columns, 0..120)).unwrap();
    let sets = [
        "train.epochs=5",
        "optimizer.l1=0.001",
        "optimizer.l2=0.001",
        "optimizer.constraint=max_norm",
        "augment.jitter=0.1",
        "augment.mixup=0.3",
        "noise.labels=0.1",
        "noise.weights=0.01",
        "noise.gradients=0.01",
        "curriculum.epochs=3",
        "curriculum.pacing=root",
        "early_stopping.window=3",
        "early_stopping.weight_change=1e-9",
        "train.max_seconds=1000",
    ];
    for (target, more) in [
        ("y", vec!["curriculum.by=loss"]),
        // Some cells of x are missing: those rows come last.
        ("yes", vec!["curriculum.by=column", "curriculum.column=x"]),
        ("grade", vec!["curriculum.by=loss", "loss.name=focal", "loss.class_weights=balanced"]),
    ] {
        let sets: Vec<&str> = sets.iter().chain(&more).flat_map(|set| ["--set", set]).collect();
        let first = call(folder.path(), &quick("t.csv", target, &[&sets[..], &["--json"]].concat())).done();
        let again = call(folder.path(), &quick("t.csv", target, &[&sets[..], &["--json"]].concat())).done();
        assert_eq!(first.json()["test"], again.json()["test"]);
        assert_eq!(first.json()["epochs_run"], 5);
    }
}

#[test]
fn training_says_which_rule_stopped_it() {
    let folder = folder();
    let stopped = |sets: &[&str]| {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let outcome = call(folder.path(), &quick("t.csv", "y", &[&sets[..], &["--json"]].concat())).done();
        outcome.json()["stopped"].as_str().unwrap().to_owned()
    };
    // Each would stop any training at once.
    assert_eq!(
        stopped(&["early_stopping.window=2", "early_stopping.window_change=1000"]),
        "val_loss has changed by no more than 1000 of itself over 2 epochs"
    );
    let why = stopped(&["early_stopping.weight_change=1000"]);
    assert!(why.starts_with("no weight has moved by 1000 over an epoch"), "{why}");
    assert_eq!(stopped(&["train.max_seconds=1e-9"]), "the 0.000000001 seconds of train.max_seconds are over");
    assert_eq!(stopped(&[]), "all 4 epochs are done");
}
