//! SMOTE and its kin from the command line: what is told, refused and reached, and that held-out rows have no part in it.

use crate::cli;
use std::fmt::Write as _;
use std::path::Path;

use cli::{call, quick, statera};
use statera::config::Config;
use statera::model::Model;
use statera::run::Plan;

/// A folder with `t.csv`: numbers and a category, 16 of 160 rows of the rare class, and one row of a third class's kin.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "x,z,colour,part,kind,y\n".to_owned();
    for i in 0..160 {
        let rare = i % 10 == 3;
        let (x, z) = ((i * 37 % 101) as f64 / 10.0 + if rare { 8.0 } else { 0.0 }, i * 7 % 11);
        let colour = ["red", "green", "blue"][i * 5 % 3];
        let part = ["train", "train", "val", "train", "test"][i / 10 % 5];
        let kind = if rare { "rare" } else { "usual" };
        writeln!(text, "{x:.1},{z},{colour},{part},{kind},{x}").unwrap();
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    folder
}

/// The words of what was told, on one line.
fn told(text: &str) -> String {
    text.replace('\u{a0}', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_made_is_told_with_its_price() {
    let folder = folder();
    let sets = ["--set", "data.columns.y.drop=true", "--set", "split.column=part"];
    let run = |more: &[&str]| call(folder.path(), &quick("t.csv", "kind", &[&sets[..], more].concat()));
    let words = told(&run(&["--set", "imbalance.kind=smote_nc"]).done().err);
    let expected = "imbalance smote_nc, 100 → 180 training rows `rare` 10 → 90; validation and test rows stay as they are, so \
                    probabilities come out too high for rare classes: judge by ranks or by what is found (roc_auc, recall), \
                    not by log_loss; override: --set imbalance.kind=none";
    assert!(words.contains(expected), "{words}");
    let words =
        told(&run(&["--set", "imbalance.kind=smote_nc", "--set", "imbalance.k_neighbors=12"]).done().err);
    assert!(words.contains("`rare` 10 → 90; `rare` has 9 neighbours of 12;"), "{words}");
    let words =
        told(&run(&["--set", "imbalance.kind=undersample", "--set", "imbalance.ratio=0.5"]).done().err);
    assert!(words.contains("undersample, 100 → 30 training rows `usual` 90 → 20;"), "{words}");
    let words =
        told(&run(&["--set", "imbalance.kind=oversample", "--set", "imbalance.ratio=0.1"]).done().err);
    assert!(
        words.contains("oversample: nothing to do no class is rarer than imbalance.ratio = 0.1"),
        "{words}"
    );
    let metrics = run(&["--set", "imbalance.kind=oversample", "--json"]).done().json();
    // What was made counts nowhere.
    assert_eq!(metrics["n_rows"]["train"], 100);
}

#[test]
fn what_cannot_be_done_says_what_can() {
    let folder = folder();
    let mut lone = "x,kind\n".to_owned();
    for i in 0..60 {
        writeln!(lone, "{},{}", i * 7 % 31, if i % 20 == 0 { "rare" } else { "usual" }).unwrap();
    }
    std::fs::write(folder.path().join("lone.csv"), lone).unwrap();
    let mut words_only = "c,kind\n".to_owned();
    for i in 0..60 {
        writeln!(words_only, "{},{}", ["p", "q", "r"][i * 5 % 3], if i % 6 == 0 { "rare" } else { "usual" })
            .unwrap();
    }
    std::fs::write(folder.path().join("words.csv"), words_only).unwrap();
    for (data, target, sets, words) in [
        (
            "t.csv",
            "y",
            &["imbalance.kind=smote"][..],
            "imbalance.kind is smote: column `y` is a number and has no classes",
        ),
        (
            "t.csv",
            "kind",
            &["imbalance.kind=smote"],
            "inputs of column `colour` are those of a category or mark missing cells: between two of them nothing lies\n  \
             try: --set imbalance.kind=smote_nc",
        ),
        (
            "lone.csv",
            "kind",
            &["imbalance.kind=smote_nc"],
            "all inputs are numbers\n  try: --set imbalance.kind=smote",
        ),
        ("words.csv", "kind", &["imbalance.kind=smote_nc"], "no input is a number"),
        (
            "lone.csv",
            "kind",
            &["imbalance.kind=smote", "split.val=0.3", "split.test=0.3"],
            "class `rare` has a single training row, and without another there is nothing between\n  try: --set \
             imbalance.kind=oversample",
        ),
        ("lone.csv", "kind", &["imbalance.kind=undersample"], "training rows it leaves 4; the least are 10"),
        (
            "t.csv",
            "kind",
            &["imbalance.kind=smote_nc", "imbalance.ratio=1.5"],
            "`imbalance.ratio`: out of range",
        ),
        (
            "t.csv",
            "kind",
            &["imbalance.kind=smote_nc", "imbalance.ratio=0"],
            "`imbalance.ratio`: out of range",
        ),
        ("t.csv", "kind", &["imbalance.ratio=0.5"], "has no effect with `imbalance.kind` = \"none\""),
        (
            "t.csv",
            "kind",
            &["imbalance.kind=undersample", "imbalance.k_neighbors=3"],
            "it is a setting of smote or smote_nc",
        ),
        (
            "t.csv",
            "kind",
            &["imbalance.kind=smote_nc", "loss.class_weights=balanced"],
            "make up for the same imbalance twice",
        ),
        (
            "t.csv",
            "kind",
            &["imbalance.kind=smote_nc", "curriculum.by=loss"],
            "does not know how hard they are",
        ),
    ] {
        let task = if target == "y" { "regression" } else { "auto" };
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).chain(["--task", task]).collect();
        let outcome = call(folder.path(), &quick(data, target, &sets));
        assert_eq!(outcome.code, 2, "{words}: {}", outcome.err);
        assert!(outcome.err.contains(words), "{}\n  lacks: {words}", outcome.err);
    }
}

fn params(folder: &Path, text: &str, sets: &[&str]) -> statera::model::Params {
    std::fs::write(folder.join("t.csv"), text).unwrap();
    let out = folder.join("run");
    let _ = std::fs::remove_dir_all(&out);
    let mut args = quick("t.csv", "kind", &["--out", "run", "--quiet"]);
    args.extend(["--set", "split.column=part", "--set", "data.columns.y.drop=true"]);
    args.extend(sets.iter().flat_map(|set| ["--set", set]));
    statera(folder, &args).assert().success();
    Model::load(&out).unwrap().params
}

/// Rows are made of training rows alone: what the test holds changes no bit, be it poisoned or taken away.
#[test]
fn held_out_rows_have_no_part_in_what_is_made() {
    let folder = folder();
    let path = folder.path();
    let honest = std::fs::read_to_string(path.join("t.csv")).unwrap();
    let is_test = |line: &&str| line.contains(",test,");
    let poisoned: String =
        honest
            .lines()
            .map(|line| {
                if is_test(&line) { "999,-999,poison,test,rare,0\n".to_owned() } else { format!("{line}\n") }
            })
            .collect();
    let without: String =
        honest.lines().filter(|line| !is_test(line)).map(|line| format!("{line}\n")).collect();
    for sets in [
        &["imbalance.kind=smote_nc"][..],
        &["imbalance.kind=smote_nc", "embedding.categories=embedding"],
        &["imbalance.kind=oversample"],
        &["imbalance.kind=undersample", "imbalance.ratio=0.5"],
    ] {
        let found = params(path, &honest, sets);
        assert_eq!(params(path, &poisoned, sets), found, "{sets:?}");
        assert_eq!(params(path, &without, sets), found, "{sets:?}");
        assert_ne!(params(path, &honest, &[]), found, "{sets:?}");
        let threads = [sets, &["threads=3"]].concat();
        assert_eq!(params(path, &honest, &threads), found, "on any number of threads");
    }
}

#[test]
fn training_rows_are_the_plans_own_and_what_was_made_of_them() {
    let folder = folder();
    let sets =
        ["split.column=part", "data.columns.y.drop=true", "imbalance.kind=smote_nc"].map(str::to_owned);
    let mut config = Config::load(None, &sets).unwrap();
    (config.data.path, config.data.target) = (folder.path().join("t.csv"), "kind".into());
    let plan = Plan::new(config).unwrap();
    let rows = plan.training_rows::<f64>().unwrap();
    let own = plan.prepared::<f64>(plan.split.train.rows()).unwrap();
    assert_eq!((own.len(), rows.len()), (100, 180));
    assert_eq!(rows.x[..own.x.len()], own.x);
    // Two numbers, then the three colours one-hot: exactly one is on.
    for row in rows.x.chunks(5) {
        let mut colours = row[2..].to_vec();
        colours.sort_by(f64::total_cmp);
        assert_eq!(colours, [0.0, 0.0, 1.0]);
    }
}
