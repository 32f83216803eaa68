//! What is said at the end of a run that the figures alone do not say, and of options that do not go together.

use crate::cli;
use std::fmt::Write as _;
use std::path::Path;

use cli::{call, folder, quick};
use serde_json::Value;

/// A text with its line breaks taken as spaces.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A table of two classes, and a third one in the rows `rare`.
fn classes(folder: &Path, rare: &[usize]) {
    let mut text = "x,z,part,c\n".to_owned();
    for i in 0..120_usize {
        let class = if rare.contains(&i) { "rare" } else { ["a", "b"][i % 2] };
        let part = ["train", "train", "train", "val", "test"][i % 5];
        let _ = writeln!(text, "{},{},{part},{class}", i * 37 % 101, i * 53 % 89);
    }
    std::fs::write(folder.join("c.csv"), text).unwrap();
}

#[test]
fn a_class_without_a_test_row_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let train = quick("c.csv", "c", &["--out", "run", "--split-column", "part"]);
    classes(folder.path(), &[5, 16, 30]);
    let out = flat(&call(folder.path(), &train).done().out);
    assert!(
        out.contains("No test row is of class `rare`: these figures say nothing of how it is predicted."),
        "{out}"
    );
    let metrics = std::fs::read(folder.path().join("run/metrics.json")).unwrap();
    let metrics: Value = serde_json::from_slice(&metrics).unwrap();
    assert_eq!(metrics["classes_without_test_rows"], serde_json::json!(["rare"]));
    classes(folder.path(), &[5, 16, 30, 44]);
    let out = call(folder.path(), &quick("c.csv", "c", &["--split-column", "part"])).done().out;
    assert!(!out.contains("No test row"), "{out}");
}

#[test]
fn a_suspected_leak_is_told_again_beside_the_figures() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "x,late,y\n".to_owned();
    for i in 0..150_usize {
        let y = i * 37 % 101;
        let _ = writeln!(text, "{},{}.5,{y}", i * 53 % 89, 3 * y);
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    for more in [&[][..], &["--folds", "3"], &["--quiet"]] {
        let told = call(folder.path(), &quick("t.csv", "y", more)).done();
        assert!(told.err.contains("suspected target leak: `late`"), "{}", told.err);
        let out = flat(&told.out);
        let expected = "These figures hold only if `late` is known when `y` is to be predicted: as noticed above, `late` was \
                        suspected to give it away.";
        assert!(out.contains(expected), "{out}");
    }
    let json = call(folder.path(), &quick("t.csv", "y", &["--quiet", "--json"])).done().json();
    assert_eq!(json["suspected_leaks"], serde_json::json!(["late"]));
    let study = ["tune", "t.csv", "--target", "y", "--trials", "2", "--quiet", "--set", "train.epochs=2"];
    let told = call(folder.path(), &study).done();
    assert!(told.err.contains("suspected target leak: `late`"), "{}", told.err);
    assert!(flat(&told.out).contains("These figures hold only if `late` is known"), "{}", told.out);
    let cured = quick("t.csv", "y", &["--set", "data.columns.late.drop=true"]);
    assert!(!call(folder.path(), &cured).done().out.contains("hold only if"));
}

#[test]
fn intervals_over_folds_end_where_the_metric_does() {
    let folder = tempfile::tempdir().unwrap();
    // Errors of folds that differ much: some hold a row far out.
    let mut text = "x,z,y\n".to_owned();
    for i in 0..60_usize {
        let _ = writeln!(text, "{},{},{}", i, i * 7 % 13, if i == 7 || i == 31 { 50_000 } else { 100 + i });
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let metrics = call(folder.path(), &quick("t.csv", "y", &["--folds", "5", "--json"])).done().json();
    let of =
        |name: &str, end: usize| metrics["cross_validation"]["metrics"][name]["ci95"][end].as_f64().unwrap();
    for name in ["mse", "rmse", "mae", "mape"] {
        assert!(of(name, 0) >= 0.0, "{name}: {metrics}");
    }
    assert!(of("mse", 0) == 0.0 && of("r2", 1) <= 1.0, "{metrics}");
}

#[test]
fn resampled_rows_are_told_beside_a_loss_by_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    let rare = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/rare.csv");
    let rare = rare.to_str().unwrap();
    let smote = ["--set", "imbalance.kind=smote", "--set", "network.hidden=[]"];
    let out = call(folder.path(), &[&["train", rare, "--target", "found"], &smote[..]].concat()).done().out;
    assert!(
        flat(&out).contains("worse, which judges probabilities, and resampled training rows have shifted"),
        "{out}"
    );
    let folds = [&["train", rare, "--target", "found", "--folds", "3"], &smote[..]].concat();
    let out = call(folder.path(), &folds).done().out;
    assert!(flat(&out).contains("resampled training rows have shifted them"), "{out}");
    let plain = quick(rare, "found", &[]);
    assert!(!call(folder.path(), &plain).done().out.contains("have shifted"));
    // Weights of classes and the focal loss have the same fault; weights that are all alike have none.
    for (set, by) in [
        ("loss.class_weights=balanced", Some("class weights have shifted")),
        ("loss.class_weights={ yes = 5 }", Some("class weights have shifted")),
        ("loss.class_weights={ yes = 1 }", None),
        ("loss.name=focal", Some("the focal loss has shifted")),
    ] {
        let train = ["train", rare, "--target", "found", "--set", set, "--set", "network.hidden=[]"];
        let out = flat(&call(folder.path(), &train).done().out);
        assert!(out.contains("does NOT beat"), "{set}: {out}");
        let told =
            by.map(|by| out.contains(&format!("worse, which judges probabilities, and {by} the network's")));
        assert!(told.unwrap_or(!out.contains("shifted")), "{set}: {out}");
    }
    // A class with a single training row in a fold.
    classes(folder.path(), &[5, 16, 30]);
    let drop = "data.columns.part.drop=true";
    let folds = |n: &'static str| {
        let more = ["--folds", n, "--set", "imbalance.kind=smote", "--set", drop];
        call(folder.path(), &quick("c.csv", "c", &more))
    };
    let refused = folds("2");
    assert!(
        refused.err.contains("try: more folds, which each train on more rows, as --folds 4;"),
        "{}",
        refused.err
    );
    folds("4").done();
}

#[test]
fn a_study_that_goes_on_says_that_its_test_rows_have_been_looked_at() {
    let folder = folder();
    let tune = [
        "tune",
        "t.csv",
        "--target",
        "y",
        "--sampler",
        "random",
        "--quiet",
        "--jobs",
        "1",
        "--set",
        "train.epochs=2",
    ];
    let more = |more: &[&str]| flat(&call(folder.path(), &[&tune, more].concat()).done().out);
    assert!(more(&["--trials", "2", "--out", "s"]).contains(", looked at once; tuned:"));
    let again = more(&["--trials", "3", "--resume", "s"]);
    assert!(
        again.contains(", looked at once more: an earlier end of this study was tested on them; tuned:"),
        "{again}"
    );
}

#[test]
fn commands_to_go_on_with_name_every_file_and_none_that_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = |range: std::ops::Range<usize>| {
        range.fold("x,z,y\n".to_owned(), |t, i| {
            t + &format!("{},{},{}\n", i * 7 % 31, i * 5 % 17, i * 11 % 23)
        })
    };
    std::fs::write(folder.path().join("a.csv"), text(0..60)).unwrap();
    std::fs::write(folder.path().join("b 2.csv"), text(60..120)).unwrap();
    let train = ["train", "a.csv", "b 2.csv", "--target", "y", "--out", "run", "--set", "train.epochs=1"];
    let out = call(folder.path(), &train).done().out;
    assert!(out.contains("statera predict run a.csv 'b 2.csv' -o predictions.csv\n"), "{out}");
    let train = ["train", "-", "--target", "y", "--out", "piped", "--set", "train.epochs=1"];
    let out = cli::statera(folder.path(), &train).write_stdin(text(0..120)).output().unwrap().stdout;
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("statera predict piped TABLE.csv -o predictions.csv\n"), "{out}");
}

#[test]
fn options_that_do_not_go_together_are_refused_with_what_to_type() {
    let folder = folder();
    for (args, words) in [
        (
            &["--folds", "5000"][..],
            "error: --folds 5000: expected a whole number from 0 to 1000\n  try: --folds 1000\n",
        ),
        (
            &["--folds", "two"],
            "error: --folds two: expected a whole number from 0 to 1000\n  try: --folds 0\n",
        ),
        (
            &["--resume", "runs/t-1"],
            "error: --resume goes on with a run as it was begun, and takes no DATA\n  try: leave DATA out, or leave --resume \
             out and begin a run of its own\n",
        ),
        (&["--repeats", "3"], "  try: leave `split.repeats` out, or set split.folds = 5\n"),
    ] {
        let refused = call(folder.path(), &[&["train", "t.csv", "--target", "y"], args].concat());
        assert!(refused.code == 2 && refused.err.contains(words), "{}\n  lacks {words}", refused.err);
        assert!(!refused.err.contains("For more information"), "{}", refused.err);
    }
    let refused = call(folder.path(), &["train", "--resume", "runs/t-1", "--set", "seed=3"]);
    assert!(refused.err.contains("takes no --set\n  try: leave --set out, or leave"), "{}", refused.err);
}

#[test]
fn tables_that_share_their_rows_are_no_worse_than_alike() {
    let folder = tempfile::tempdir().unwrap();
    // The same rows twice: what is learned of one tells against its like in the other table.
    let text = (0..400_usize).fold("a,b,c\n".to_owned(), |t, i| {
        t + &format!("{},{},{}\n", i * 7919 % 997, i * 104_729 % 1009, i * 31 % 509)
    });
    for name in ["here.csv", "there.csv"] {
        std::fs::write(folder.path().join(name), &text).unwrap();
    }
    let profile = ["profile", "here.csv", "--against", "there.csv", "--no-page"];
    let out = flat(&call(folder.path(), &profile).done().out);
    assert!(
        out.contains("Below 0.5 it is wrong more often than chance would be: the tables share rows"),
        "{out}"
    );
}
