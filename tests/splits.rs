//! Splits by groups and in time order from the command line: what is told, what is refused, and what is never mixed.

use crate::cli;
use std::collections::BTreeSet;
use std::path::Path;

use cli::{call, folder, quick};

/// A folder with the table of visits: 30 patients, 16 rows each.
fn visits() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/visits.csv");
    std::fs::copy(root, folder.path().join("visits.csv")).unwrap();
    folder
}

/// The words of what was told, on one line.
fn told(text: &str) -> String {
    text.replace('\u{a0}', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn groups_are_told_and_are_no_input() {
    let folder = visits();
    let outcome =
        call(folder.path(), &quick("visits.csv", "result", &["--set", "split.group=patient"])).done();
    let words = told(&outcome.err);
    assert!(
        words.contains("30 groups of `patient`, none of them in two parts (21 train, 4 val, 5 test), dealt out with seed 0"),
        "{words}"
    );
    assert!(words.contains("the column is no input; override: --set split.test=0.2"), "{words}");
    assert!(!words.contains("patient category"), "{words}");
    let proof = "Fitted on 336 training rows; 64 + 80 rows never fitted on: the 64 of validation chose when to stop and \
                 which epoch to keep, the 80 of the test nothing.";
    assert!(told(&outcome.out).starts_with(proof), "{}", outcome.out);
}

#[test]
fn times_are_told_with_their_dates() {
    let folder = visits();
    let outcome = call(folder.path(), &quick("visits.csv", "result", &["--set", "split.time=day"])).done();
    let words = told(&outcome.err);
    let span = words.split("in the order of `day`, rows of one time together: train ").nth(1).unwrap();
    let dates: Vec<&str> =
        span.split([' ', ',', ';']).filter(|word| word.starts_with("202")).take(6).collect();
    assert_eq!(dates.len(), 6, "{words}");
    assert!(dates[1] < dates[2] && dates[3] < dates[4], "{dates:?}");
    assert!(dates.is_sorted(), "{dates:?}");
}

#[test]
fn rows_without_a_group_are_kept_together() {
    let folder = folder();
    let mut text = "g,x,y\n".to_owned();
    for i in 0..120 {
        let group = if i % 10 == 0 { String::new() } else { format!("g{}", i % 23) };
        text += &format!("{group},{},{}\n", i * 7 % 50, i * 3 % 17 + i * 7 % 50);
    }
    std::fs::write(folder.path().join("g.csv"), text).unwrap();
    let outcome =
        call(folder.path(), &quick("g.csv", "y", &["--task", "regression", "--set", "split.group=g"])).done();
    assert!(told(&outcome.err).contains("; 12 rows without one are one group;"), "{}", outcome.err);
}

#[test]
fn what_cannot_be_cut_says_what_to_do() {
    let folder = folder();
    let mut text = "g,year,x,kind\n".to_owned();
    for i in 0..60 {
        let kind = if i >= 50 { "new" } else { ["a", "b"][i % 2] };
        text += &format!("{},{},{},{kind}\n", i / 10, 2000 + i / 5, i * 7 % 50);
    }
    std::fs::write(folder.path().join("t2.csv"), text).unwrap();
    for (target, sets, code, words) in [
        (
            "kind",
            vec!["split.group=gg"],
            2,
            "split.group: there is no column `gg` in t2.csv\n  try: did you mean `g`?",
        ),
        ("kind", vec!["split.time=yeer"], 2, "did you mean `year`?"),
        ("kind", vec!["split.time=kind"], 2, "split.time: column `kind` is the one to predict"),
        (
            "x",
            vec!["split.time=kind"],
            1,
            "row 1 (line 2), column `kind`: split.time expects dates as 2024-03-31",
        ),
        (
            "kind",
            vec!["split.time=year"],
            1,
            "no training row is of the class `new` of `kind`: its rows come after those that are trained on\n  try: join \
             the class with another, --null new to leave its rows out, or --set split.time=''",
        ),
        ("x", vec!["split.group=g", "split.time=year"], 2, "has no effect with `split.group` = \"g\""),
        ("x", vec!["split.group=g", "split.column=g"], 2, "has no effect with `split.column` = \"g\""),
        ("x", vec!["split.time=year", "split.stratify=false"], 2, "`split.stratify` = false has no effect"),
        (
            "x",
            vec!["split.group=g", "data.columns.g.kind=number"],
            2,
            "`g` is the column that groups the rows",
        ),
        ("x", vec!["split.group=g", "data.weight=g"], 2, "column `g` has another use already"),
    ] {
        let sets: Vec<String> = sets.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]).collect();
        let sets: Vec<&str> = sets
            .iter()
            .map(String::as_str)
            .chain(["--task", if target == "x" { "regression" } else { "auto" }])
            .collect();
        let outcome = call(folder.path(), &quick("t2.csv", target, &sets));
        assert_eq!(outcome.code, code, "{}", outcome.err);
        assert!(outcome.err.contains(words), "{}\n  lacks: {words}", outcome.err);
    }
}

/// What docs/guide/splits.md says of `visits.csv`: who meets a patient again knows the patient's level.
#[test]
fn a_random_split_flatters_where_rows_come_in_groups() {
    let folder = visits();
    let rmse = |sets: &[&str]| {
        let args = [&["train", "visits.csv", "--target", "result", "--json", "--quiet"], sets].concat();
        let metrics = call(folder.path(), &args).done().json();
        let of = |value: &serde_json::Value| value.as_f64().unwrap();
        [of(&metrics["test"]["rmse"]["value"]), of(&metrics["baselines"]["mean"]["rmse"])]
    };
    let [network, mean] = rmse(&[]);
    assert!(network < 0.3 * mean, "{network} {mean}");
    let [network, mean] = rmse(&["--set", "split.group=patient"]);
    assert!(network > 0.9 * mean, "{network} {mean}");
}

/// The rows of a run are found again in its predictions: no group of the test is in training.
#[test]
fn no_group_is_in_two_parts_of_a_plan() {
    let folder = visits();
    for seed in 0..5 {
        let mut config =
            statera::config::Config::load(None, &["split.group=patient".into(), format!("seed={seed}")])
                .unwrap();
        config.data.path = folder.path().join("visits.csv");
        config.data.target = "result".into();
        let plan = statera::run::Plan::new(config).unwrap();
        let column = plan.raw.column_index("patient").unwrap();
        let of = |rows: &[u32]| {
            rows.iter().map(|&row| plan.raw.value(row as usize, column)).collect::<BTreeSet<_>>()
        };
        let parts = [plan.split.train.rows(), &plan.split.val, &plan.split.test].map(of);
        assert_eq!(parts.iter().map(BTreeSet::len).sum::<usize>(), 30);
        assert!(parts.iter().all(|part| part.len() >= 3), "{parts:?}");
    }
}

/// Rows of 12 groups in the column `g`, for a network that learns little.
fn grouped(n_groups: usize) -> String {
    let mut text = "g,x,y\n".to_owned();
    for i in 0..240 {
        text += &format!("g{},{},{}\n", i % n_groups, i * 7 % 50, i * 3 % 17 + i * 7 % 50);
    }
    text
}

#[test]
fn intervals_are_over_groups_and_say_so() {
    let folder = visits();
    let path = folder.path();
    let sets = ["--set", "split.group=patient", "--out", "run"];
    let outcome = call(path, &quick("visits.csv", "result", &sets)).done();
    let words = told(&outcome.out);
    assert!(
        words.contains("(95 % intervals over 5 groups of `patient` from 1,000 bootstrap resamples)"),
        "{words}"
    );
    assert!(
        words.contains("Intervals over only 5 groups of `patient` are rough, and rather too narrow."),
        "{words}"
    );
    let words = told(&outcome.err);
    assert!(
        words.contains(
            "few groups 4 val fewer than 5 groups of `patient` in a part, so that what it says hangs on"
        ) && words.contains("override: --set split.val="),
        "{words}"
    );
    let metrics: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path.join("run/metrics.json")).unwrap()).unwrap();
    let made = serde_json::json!({
        "method": "percentile cluster bootstrap", "resamples": 1000, "confidence": 0.95, "group": "patient", "groups": 5
    });
    assert_eq!(metrics["intervals"], made);
    let width = |of: &serde_json::Value| of["ci95"][1].as_f64().unwrap() - of["ci95"][0].as_f64().unwrap();

    // Elsewhere too the groups are those of the model's split, if the table has them.
    let outcome = call(path, &["evaluate", "run", "visits.csv"]).done();
    assert!(outcome.out.contains("(95 % intervals over 30 groups of `patient` from"), "{}", outcome.out);
    let whole = call(path, &["evaluate", "run", "visits.csv", "--json"]).done().out;
    let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["intervals"]["groups"], 30);
    let table = std::fs::read_to_string(path.join("visits.csv")).unwrap();
    assert!(table.starts_with("patient,"), "{}", &table[..60]);
    let without: Vec<&str> = table.lines().map(|line| line.split_once(',').unwrap().1).collect();
    std::fs::write(path.join("others.csv"), without.join("\n")).unwrap();
    let outcome = call(path, &["evaluate", "run", "others.csv", "--json"]).done();
    let rows: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(rows["intervals"]["method"], "percentile bootstrap");
    let words = told(&outcome.err);
    assert!(
        words.contains("kept the groups of `patient` together, and this table has no such column"),
        "{words}"
    );
    let both = [&whole, &rows].map(|json| width(&json["metrics"]["rmse"]));
    assert!(both[0] > 1.5 * both[1], "patients differ: {both:?}");

    // From disk the same figures.
    let streamed = [&sets[..2], &["--set", "data.stream=always", "--cache", "cache", "--json"]].concat();
    let streamed: serde_json::Value =
        serde_json::from_str(&call(path, &quick("visits.csv", "result", &streamed)).done().out).unwrap();
    assert_eq!(streamed["intervals"], made);
    assert_eq!(streamed["test"], metrics["test"]);
}

#[test]
fn one_group_has_no_interval_and_it_is_told() {
    let folder = folder();
    std::fs::write(folder.path().join("g.csv"), grouped(6)).unwrap();
    let with = |more: &[&str]| {
        let sets = [&["--task", "regression", "--set", "split.group=g"], more].concat();
        call(folder.path(), &quick("g.csv", "y", &sets)).done()
    };
    let outcome = with(&[]);
    let words = told(&outcome.out);
    assert!(
        words.contains("All test rows are of one group of `g`, so nothing says how far other groups would be off: there are no")
            && words.contains("--set split.test=0 --folds 5, which holds out every group once"),
        "{words}"
    );
    assert!(!words.contains("bootstrap resamples"), "{words}");
    assert!(
        told(&outcome.err).contains("few groups 4 train, 1 val, 1 test fewer than 5 groups of `g` in a part"),
        "{}",
        outcome.err
    );
    assert!(
        told(&outcome.err)
            .contains("override: --set split.test=0 --folds 5, which holds out every group once"),
        "{}",
        outcome.err
    );
    // Who asks for no intervals is not told that there are none.
    assert!(!told(&with(&["--set", "evaluate.bootstrap=0"]).out).contains("one group of"));
    std::fs::write(folder.path().join("g.csv"), grouped(60)).unwrap();
    assert!(!told(&with(&[]).err).contains("few groups"));
}

/// Shares that are advised help, and where none do, nothing is advised.
#[test]
fn shares_that_are_advised_give_every_part_its_groups() {
    let folder = visits();
    let sets = ["--set", "split.group=patient"];
    let advice = |table: &str, target: &str, more: &[&str]| {
        let words = told(&call(folder.path(), &quick(table, target, more)).done().err);
        words.find("few groups").map(|at| words[at..].to_owned())
    };
    let words = advice("visits.csv", "result", &sets).unwrap();
    let advised: Vec<&str> =
        words.split_whitespace().filter(|word| word.starts_with("split.")).take(2).collect();
    let advised: Vec<&str> = advised.into_iter().filter(|set| set.contains('=')).collect();
    let more: Vec<&str> = advised.iter().flat_map(|set| ["--set", set]).collect();
    assert!(!more.is_empty(), "{words}");
    assert_eq!(advice("visits.csv", "result", &[&sets[..], &more].concat()), None);

    let mut text = "g,x,y\n".to_owned();
    for i in 0..300 {
        let group = if i % 10 == 0 { i / 10 } else { 99 };
        text += &format!("g{group},{},{}\n", i * 7 % 50, i * 3 % 17 + i * 7 % 50);
    }
    std::fs::write(folder.path().join("one.csv"), text).unwrap();
    let words = advice("one.csv", "y", &["--task", "regression", "--set", "split.group=g"]).unwrap();
    assert!(
        words.contains("the group `g99` alone has 270 rows (90 %), and train should have 70 %"),
        "{words}"
    );
    assert!(words.contains("no shares from 0.1 to 0.3 help: a table of more groups is needed"), "{words}");
}
