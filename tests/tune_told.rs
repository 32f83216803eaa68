//! What studies tell: of trials that are broken off, of spaces that are exhausted, of ensembles, and what to type next.

use crate::cli;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli::{Outcome, call, folder, statera};
use serde_json::{Value, json};

const QUICK: [&str; 6] =
    ["--set", "train.epochs=2", "--set", "network.hidden=[8]", "--set", "evaluate.bootstrap=50"];
const RATE: [&str; 2] = ["--set", "optimizer.learning_rate={ low = 1e-3, high = 1e-1, log = true }"];
const TWO: [&str; 2] = ["--set", "train.batch_size={ choices = [16, 32] }"];
const THIRTEEN: [&str; 2] = ["--set", "train.batch_size={ low = 8, high = 20 }"];

fn tune(folder: &Path, more: &[&str]) -> Outcome {
    call(folder, &[&["tune", "t.csv", "--target", "y", "--quiet"][..], &QUICK, more].concat())
}

/// A study without end: two trials at a time, beside the untuned settings.
fn endless(folder: &Path, more: &[&str]) -> Child {
    let long = ["--set", "train.epochs=1000000", "--set", "early_stopping.enabled=false", "--jobs", "3"];
    let study = ["tune", "t.csv", "--target", "y", "--sampler", "random", "--trials", "30", "--out", "s"];
    Command::new(statera(folder, &[]).get_program())
        .args([&study[..], &long, &QUICK[2..], &RATE, more].concat())
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until it holds; not longer than a minute.
#[track_caller]
fn until(holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn listed(folder: &Path) -> Value {
    call(folder, &["tune", "--list", "s", "--json"]).done().json()
}

/// Whether both trials of [`endless`] have epochs on record.
fn both_run(folder: &Path) -> bool {
    let begun = folder.join("s/space.toml").exists();
    let epochs = |trial: &Value| trial["epochs"].as_u64().unwrap();
    begun && {
        let list = listed(folder)["list"].as_array().unwrap().clone();
        list.len() == 2 && list.iter().all(|trial| epochs(trial) > 0)
    }
}

#[cfg(unix)]
#[test]
fn trials_of_a_process_that_has_ended_are_interrupted_wherever_they_are_told_of() {
    let folder = folder();
    let path = folder.path();
    let child = endless(path, &[]);
    until(|| both_run(path));
    // A line of progress comes once a second.
    std::thread::sleep(Duration::from_millis(2500));
    let counts = listed(path)["trials"].clone();
    assert_eq!([&counts["running"], &counts["interrupted"]], [2, 0], "{counts}");
    let told = call(path, &["tune", "--list", "s"]).done().out;
    assert!(told.contains("s: 2 trials (2 running); validation rmse of t.csv"), "{told}");
    assert!(!told.contains("--resume"), "{told}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let err = String::from_utf8(ended.stderr).unwrap();
    let end = "interrupted with 2 trials (2 interrupted); to go on: statera tune --resume s";
    assert!(err.contains(end), "{err}");
    // Before anything has ended, how far the first trial is.
    let words = ["0/30 trials, untuned at ", " %, 2 running, trial 0: epoch "];
    let line = err.lines().find(|line| words.iter().all(|words| line.contains(words))).unwrap();
    assert!(line.contains("/1000000, about ") && line.ends_with(" left in all"), "{line}");
    let check = || {
        let counts = listed(path)["trials"].clone();
        assert_eq!([&counts["all"], &counts["running"], &counts["interrupted"]], [2, 0, 2], "{counts}");
        let told = call(path, &["tune", "--list", "s"]).done().out;
        assert!(told.contains("s: 2 trials (2 interrupted); validation"), "{told}");
        assert!(told.contains("What was interrupted goes on with: statera tune --resume s\n"), "{told}");
        let shown = call(path, &["tune", "--show", "1", "s"]).done().out;
        assert!(shown.starts_with("Trial 1, interrupted: optimizer.learning_rate="), "{shown}");
        assert!(shown.contains("goes on with: statera tune --resume s\n"), "{shown}");
        let shown = call(path, &["tune", "--show", "1", "s", "--json"]).done().json();
        assert_eq!(shown["state"], "interrupted");
        let csv = call(path, &["tune", "--export", "csv", "s"]).done().out;
        assert_eq!(csv.matches(",interrupted,").count(), 2, "{csv}");
    };
    check();
    // So it is after a kill, which leaves no word behind.
    let resume = |more: &[&str]| {
        let mut command = Command::new(statera(path, &[]).get_program());
        command.args(["tune", "--resume", "s", "--jobs", "3"]).args(more).current_dir(path);
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut child = resume(&["--quiet", "--trials", "2"]);
    until(|| listed(path)["trials"]["running"] == 2);
    // Another process, for which there is nothing to do, tells so.
    let mut waiting = resume(&["--trials", "2"]);
    let lines = BufReader::new(waiting.stderr.take().unwrap()).lines().map(std::result::Result::unwrap);
    let line = lines.into_iter().find(|line| line.contains("waiting for "));
    assert!(line.unwrap().contains("0/2 trials, waiting for 2 trials of other processes"));
    for child in [&mut waiting, &mut child] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    check();
}

#[test]
fn a_study_is_listed_as_json() {
    let folder = folder();
    let path = folder.path();
    let hidden = ["--set", "network.hidden={ choices = [[8], [4, 4]] }"];
    tune(path, &[&TWO[..], &hidden, &["--sampler", "grid", "--out", "s"]].concat()).done();
    let all = listed(path);
    assert_eq!(all["metric"], "rmse");
    assert_eq!(all["data"], "t.csv");
    assert_eq!(
        all["trials"],
        json!({ "all": 4, "done": 4, "pruned": 0, "diverged": 0, "failed": 0, "running": 0, "interrupted": 0, "waiting": 0 })
    );
    let list = all["list"].as_array().unwrap();
    let vals: Vec<f64> = list.iter().map(|trial| trial["val"].as_f64().unwrap()).collect();
    assert!(vals.len() == 4 && vals.is_sorted(), "{vals:?}");
    let first = &list[0];
    // Values, not the texts of values.
    assert!(first["settings"]["train.batch_size"].is_u64(), "{first}");
    assert!(first["settings"]["network.hidden"].is_array(), "{first}");
    assert_eq!([&first["state"], &first["epochs"]], [&json!("done"), &json!(2)]);
    assert!(
        first["seconds"].is_f64() && first["best_epoch"].is_u64() && first["reason"].is_string(),
        "{first}"
    );
    let two = call(path, &["tune", "--list", "s", "--json", "--top", "2"]).done().json();
    assert_eq!(two["list"].as_array().unwrap()[..], list[..2]);
    let number = first["trial"].to_string();
    let shown = call(path, &["tune", "--list", "s", "--show", &number, "--json"]).done().json();
    assert_eq!(shown["val"], first["val"]);
    let curve = shown["curve"].as_array().unwrap();
    assert_eq!(curve.iter().map(|e| e["epoch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert!(curve.iter().all(|e| ["val", "val_loss", "train_loss"].iter().all(|name| e[*name].is_f64())));
    let both = call(path, &["tune", "--export", "csv", "s", "--json"]);
    assert!(both.code == 2 && both.err.contains("cannot be used with"), "{}", both.err);
}

#[test]
fn an_exhausted_space_is_told_and_what_widens_it_works() {
    let folder = folder();
    let path = folder.path();
    for sampler in ["grid", "tpe"] {
        let told = tune(path, &[&TWO[..], &["--sampler", sampler, "--out", sampler]].concat()).done().out;
        assert!(told.contains("(all 2 combinations of the space have been tried)"), "{told}");
        let hint = format!("more values in {sampler}/space.toml, then: statera tune --resume {sampler}");
        assert!(told.contains(&hint) && !told.contains("--trials"), "{told}");
        let space = path.join(sampler).join("space.toml");
        let text = std::fs::read_to_string(&space).unwrap();
        std::fs::write(&space, text.replace("[16, 32]", "[16, 32, 64]")).unwrap();
        let told = call(path, &["tune", "--resume", sampler]).done();
        assert!(told.out.contains("all 3 combinations of the space"), "{}", told.out);
        // Of another space, not of the study.
        let other = ["--set", "train.batch_size={ choices = [8, 16] }", "--quiet"];
        let told = call(path, &[&["tune", "--resume", sampler][..], &other].concat()).done();
        assert!(
            told.out.contains("4 trials, 1 of them now, in ") && told.out.contains("all 2 combinations"),
            "{}",
            told.out
        );
    }
    // As many as were asked for, and as there are.
    let told = tune(path, &[&TWO[..], &["--sampler", "grid", "--trials", "2", "--out", "2"]].concat());
    let told = told.done().out;
    assert!(
        told.contains("more values in 2/space.toml, then: statera tune --resume 2 --trials 4\n"),
        "{told}"
    );
    // Fewer than there are: so many more there can be.
    let told = tune(path, &[&THIRTEEN[..], &["--sampler", "grid", "--trials", "12", "--out", "12"]].concat());
    let told = told.done().out;
    assert!(told.contains("(all 12 trials that were asked for are done)"), "{told}");
    assert!(told.contains("statera tune --resume 12 --trials 13\n"), "{told}");
}

/// A sampler that learns does not come by each setting by itself.
#[test]
fn the_last_settings_of_a_small_space_are_found() {
    let folder = folder();
    for sampler in ["tpe", "random", "quasi_random"] {
        let more = [&THIRTEEN[..], &["--sampler", sampler, "--out", sampler, "--json"]].concat();
        let found = tune(folder.path(), &more).done().json();
        assert_eq!(found["trials"]["done"], 13, "{sampler}");
    }
}

#[test]
fn an_ensemble_is_credited_with_its_own_gain_and_told_to_be_smaller_than_asked() {
    let folder = folder();
    let path = folder.path();
    let asked = ["--sampler", "random", "--trials", "3", "--ensemble", "9", "--out", "e"];
    let told = tune(path, &[&RATE[..], &asked].concat()).done().out;
    let words = "--ensemble 9: only 3 trials have come to the end with a training unlike the others', so the models of";
    let line = told.replace('\n', " ");
    assert!(line.contains(words), "{told}");
    let epochs = "for 2 epochs each; untuned: on the same rows for 2 epochs.";
    assert!(line.contains("together") && line.contains("best alone") && line.contains(epochs), "{told}");
    let found = call(path, &["tune", "--resume", "e", "--json"]).done().json();
    assert_eq!(found["ensemble_asked"], 9);
    assert_eq!(found["ensemble"].as_array().unwrap().len(), 3);
    let alone = tune(path, &[&RATE[..], &asked[..4], &["--out", "a", "--json"]].concat()).done().json();
    assert!(
        alone["alone"].is_null() && alone["gain_together"].is_null() && alone["ensemble_asked"].is_null()
    );
    // The best trial is as good in company, and tuning has no part in what the others add.
    assert_eq!(found["alone"]["test"], alone["tuned"]["test"]);
    assert_eq!(found["gain"], alone["gain"]);
    let rmse = |report: &Value| report["test"]["rmse"]["value"].as_f64().unwrap();
    let [together, best, untuned] = ["tuned", "alone", "untuned"].map(|name| rmse(&found[name]));
    let share = |name: &str| found[name]["share"].as_f64().unwrap();
    assert!((share("gain") - (untuned - best) / untuned).abs() < 1e-12);
    assert!((share("gain_together") - (best - together) / best).abs() < 1e-12);
}

/// What `train` says of its test figures, a study says of its own.
#[test]
fn groups_and_simple_models_are_told_of_as_train_does() {
    let folder = folder();
    let path = folder.path();
    let table = |groups: usize| {
        let row = |i: usize| format!("{},g{},{}.25\n", i % 7, i % groups, 3 * (i % 7) + i % 2);
        "x,patient,y\n".to_owned() + &(0..120).map(row).collect::<String>()
    };
    let study = |groups: usize, out: &str| {
        let file = format!("{out}.csv");
        std::fs::write(path.join(&file), table(groups)).unwrap();
        let grouped =
            ["--set", "split.group=patient", "--set", "optimizer.weight_decay={ choices = [0.1, 0.2] }"];
        let args = ["tune", &file, "--target", "y", "--quiet", "--sampler", "grid", "--out", out];
        let told = call(path, &[&args[..], &QUICK, &TWO, &grouped].concat()).done().out;
        (told.replace('\n', " "), told)
    };
    let (line, told) = study(20, "several");
    assert!(
        line.contains("95 % intervals over 3 groups of `patient` from 50 bootstrap resamples."),
        "{told}"
    );
    assert!(line.contains("Intervals over only 3 groups of `patient` are rough"), "{told}");
    // Two epochs are too few to beat what is a line.
    assert!(line.contains("The network does NOT beat least squares"), "{told}");
    // What is to be pasted stands on one line.
    let best = told.lines().find(|line| line.starts_with("Best, trial ")).unwrap();
    assert_eq!(best.matches("--set ").count(), 2, "{told}");
    let (line, told) = study(4, "single");
    let words = "with no interval to tell it from chance, as all test rows are of one group of `patient`.";
    assert!(line.contains(words), "{told}");
    assert!(
        line.contains("there are no intervals. For more groups: a new study with --set split.test=0.3."),
        "{told}"
    );
}

#[test]
fn a_study_of_standard_input_goes_on_with_the_command_that_it_names() {
    let folder = folder();
    let path = folder.path();
    let table = std::fs::read(path.join("t.csv")).unwrap();
    let args = ["tune", "-", "--target", "y", "--sampler", "random", "--trials", "2", "--out", "s"];
    let output = statera(path, &[&args[..], &QUICK, &RATE].concat()).write_stdin(table).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let command = "tune TABLE.csv --resume s --trials 4";
    assert!(told.contains(command), "{told}");
    let words: Vec<&str> = command.split(' ').map(|w| if w == "TABLE.csv" { "t.csv" } else { w }).collect();
    call(path, &words).done();
    assert_eq!(listed(path)["trials"]["done"], 4);
}

#[test]
fn what_is_set_is_not_searched_and_what_has_no_effect_is_refused() {
    let folder = folder();
    let path = folder.path();
    // The built-in space leaves alone what has a value.
    tune(path, &["--set", "train.batch_size=32", "--trials", "2", "--out", "s"]).done();
    let space = std::fs::read_to_string(path.join("s/space.toml")).unwrap();
    assert!(!space.contains("network.hidden") && !space.contains("batch_size"), "{space}");
    assert!(space.contains("optimizer.learning_rate") && space.contains("network.dropout"), "{space}");
    let momentum = ["--set", "optimizer.momentum={ choices = [0.1, 0.9] }"];
    let refused = tune(path, &[&momentum[..], &["--out", "m"]].concat());
    let words = "optimizer.momentum has an effect where optimizer.name is sgd, but `optimizer.name` is \"adamw\" in every";
    assert!(refused.code == 2 && refused.err.contains(words), "{}", refused.err);
    // Beside what has no effect, nothing is run twice.
    let names = ["--set", "optimizer.name={ choices = ['adamw', 'sgd'] }", "--sampler", "grid", "--out", "m"];
    let found = tune(path, &[&momentum[..], &names, &["--json"]].concat()).done().json();
    assert_eq!(found["trials"]["all"], 3);
    // A range that hangs on what is set is known again.
    let sgd = ["--set", "optimizer.name=sgd", "--sampler", "grid", "--out", "sgd"];
    tune(path, &[&momentum[..], &sgd].concat()).done();
    call(path, &["tune", "--resume", "sgd"]).done();
    let column = ["--set", "data.columns.nope.scale={ choices = ['standard', 'robust'] }", "--out", "c"];
    let refused = tune(path, &column);
    let words = "there is no column `nope` in t.csv\n  try: one of `x`, `k`, `colour`, `y`";
    assert!(refused.code == 2 && refused.err.contains(words), "{}", refused.err);
    assert!(!path.join("c").exists());
}

/// Another table is told to be one before anything is made of it.
#[test]
fn a_table_that_no_plan_fits_is_told_to_be_another() {
    let folder = folder();
    let path = folder.path();
    tune(path, &[&RATE[..], &["--trials", "1", "--out", "s"]].concat()).done();
    std::fs::write(path.join("short.csv"), cli::table(&["x", "k", "colour", "y"], 0..2)).unwrap();
    let refused = call(path, &["tune", "short.csv", "--resume", "s"]);
    let words = "the study is of t.csv (sha256 ";
    assert!(refused.code == 2 && refused.err.contains(words), "{}", refused.err);
}

#[test]
fn a_time_that_is_too_short_says_how_to_go_on() {
    let folder = folder();
    let path = folder.path();
    let long = ["--set", "train.epochs=1000000", "--set", "early_stopping.enabled=false"];
    let refused =
        tune(path, &[&RATE[..], &long, &["--max-seconds", "0.5", "--jobs", "1", "--out", "s"]].concat());
    let words = "the time was up before a trial came to its end (1 interrupted, to go on)\n  try: statera tune --resume s --max-seconds 10\n";
    assert!(refused.code == 1 && refused.err.contains(words), "{}", refused.err);
}

/// A run and a study are gone on with by different commands.
#[test]
fn who_resumes_the_one_for_the_other_is_told_which_it_is() {
    let folder = folder();
    let path = folder.path();
    tune(path, &[&RATE[..], &["--trials", "1", "--out", "s"]].concat()).done();
    call(path, &cli::quick("t.csv", "y", &["--out", "r", "--quiet"])).done();
    for (command, words) in [
        (["train", "--resume", "s"], "s is a study of settings, and no run\n  try: statera tune --resume s"),
        (
            ["tune", "--resume", "r"],
            "r is a single run, and no study of settings\n  try: statera train --resume r",
        ),
    ] {
        let refused = call(path, &command);
        assert!(refused.code == 2 && refused.err.contains(words), "{}", refused.err);
    }
}

/// Of processes that work on one study, one trains the best anew and tests them; the others wait, and go by what it wrote.
#[test]
fn the_last_training_is_one_processs() {
    let folder = folder();
    let path = folder.path();
    let found = tune(path, &[&RATE[..], &["--trials", "2", "--out", "s", "--json"]].concat()).done().json();
    let result = path.join("s/tune.json");
    let written = std::fs::read(&result).unwrap();
    let tested = path.join("s/best/metrics.json");
    for (json, confirm) in [(false, "0"), (true, "0"), (false, "1")] {
        // As if another process had the turn, and had not written yet.
        let turn = std::fs::File::create(path.join("s/last.lock")).unwrap();
        turn.lock().unwrap();
        std::fs::remove_file(&result).unwrap();
        std::fs::write(&tested, "untouched").unwrap();
        let mut command = Command::new(statera(path, &[]).get_program());
        command.current_dir(path).args(["tune", "--resume", "s", "--confirm", confirm]);
        command.args(json.then_some("--json")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(std::fs::read_to_string(&tested).unwrap(), "untouched", "it waits");
        std::fs::write(&result, &written).unwrap();
        drop(turn);
        let out = child.wait_with_output().unwrap();
        let [told, notes] = [out.stdout, out.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(
            out.status.success() && notes.contains("Another process of this study trains"),
            "{told}{notes}"
        );
        let mine = std::fs::read_to_string(&tested).unwrap() != "untouched";
        // It was asked for more than the other.
        assert_eq!(mine, confirm == "1", "{told}{notes}");
        if json {
            assert_eq!(serde_json::from_str::<Value>(&told).unwrap(), found);
        } else {
            assert_eq!(told.contains("tested by another process of this study"), confirm == "0", "{told}");
            assert!(told.contains("2 trials") && told.contains("predict with it"), "{told}");
        }
        assert!(!path.join("s/last.lock").exists());
    }
}

/// A study goes on with the space that it has, with what is given now laid over it.
#[test]
fn ranges_given_later_are_laid_over_those_of_the_study() {
    let folder = folder();
    let path = folder.path();
    let sets = ["--sampler", "random", "--set", "optimizer.l2=0.001", "--out", "s", "--trials", "2"];
    tune(path, &[&RATE[..], &TWO, &sets].concat()).done();
    let searched = || std::fs::read_to_string(path.join("s/space.toml")).unwrap();
    let before = searched();
    let wider = ["network.dropout={ low = 0.0, high = 0.4 }", "train.batch_size={ choices = [8, 16, 32] }"];
    let go_on = ["tune", "--resume", "s", "--trials", "4", "--set", wider[0], "--set", wider[1]];
    call(path, &go_on).done();
    let now = searched();
    assert!(before.lines().count() == 2 && now.lines().count() == 3, "{before}{now}");
    assert!(now.contains("optimizer.learning_rate = ") && now.contains("[8, 16, 32]"), "{now}");
    // A file of ranges is a space of its own; what it does not set stays, and so does the table.
    std::fs::write(path.join("wide.toml"), "[network]\nhidden = { choices = [[8], [16]] }\n").unwrap();
    let told = call(path, &["tune", "--resume", "s", "--trials", "5", "--config", "wide.toml"]).done();
    let gone =
        "searched before and without a range now: optimizer.learning_rate, train.batch_size, network.dropout";
    assert!(told.err.replace('\n', " ").contains(gone), "{}", told.err);
    assert_eq!(searched(), "network.hidden = { choices = [[8], [16]] }\n");
    assert!(std::fs::read_to_string(path.join("s/config.toml")).unwrap().contains("l2 = 0.001"));
}

/// What is not searched is the same in all trials of a study, whichever section it stands in.
#[test]
fn other_settings_outside_of_the_space_are_refused_by_their_keys() {
    let folder = folder();
    let path = folder.path();
    let alone = ["--set", "data.columns.x.scale=none", "--trials", "1", "--out", "s"];
    tune(path, &[&RATE[..], &alone].concat()).done();
    for (set, then, now) in [
        // The same line stands elsewhere, under [reduce_on_plateau] and [curriculum].
        ("early_stopping.patience=8", "`early_stopping.patience = 30`", "`early_stopping.patience = 8`"),
        ("train.epochs=20", "`train.epochs = 2`", "`train.epochs = 20`"),
        (
            "early_stopping.enabled=false",
            "`early_stopping.enabled = true`",
            "`early_stopping.enabled = false`",
        ),
        (
            "data.columns.x.scale=robust",
            "`data.columns.x.scale = \"none\"`",
            "`data.columns.x.scale = \"robust\"`",
        ),
        ("data.columns.k.scale=none", "no `data.columns.k.scale`", "`data.columns.k.scale = \"none\"`"),
    ] {
        let refused = call(path, &["tune", "--resume", "s", "--trials", "2", "--set", set]);
        let words = format!("the trials of the study were run with {then}, now it is {now}");
        assert!(refused.code == 2 && refused.err.contains(&words), "{set}: {}", refused.err);
    }
    // What is asked for is kept only where it can be done.
    let refused = call(path, &["tune", "--resume", "s", "--sampler", "grid"]);
    assert!(refused.code == 2 && refused.err.contains("a grid cannot go through"), "{}", refused.err);
    call(path, &["tune", "--resume", "s", "--trials", "2"]).done();
}

/// A grid that cannot be gone through leaves no folder that the next try would trip over.
#[test]
fn a_refused_study_leaves_nothing() {
    let folder = folder();
    let path = folder.path();
    for (more, words) in [
        (&["--sampler", "grid", RATE[0], RATE[1]][..], "a grid cannot go through"),
        (
            &["--set", "data.columns.colour.scale={ choices = ['standard', 'robust'] }"],
            "choice \"standard\" of data.columns.colour.scale: data.columns.colour.scale: column `colour` is a category",
        ),
        (
            &["--set", "data.columns.x.encode={ choices = ['none', 'target'] }"],
            "choice \"target\" of data.columns.x.encode",
        ),
        (&["--max-seconds", "-1"], "--max-seconds -1: expected a number above 0"),
        (&["--jobs", "100000"], "0..=1024"),
    ] {
        let refused = tune(path, &[more, &["--out", "s"]].concat());
        assert!(refused.code == 2 && refused.err.contains(words), "{}", refused.err);
        assert!(!path.join("s").exists(), "{words}");
    }
    // A time that no clock tells is none.
    tune(path, &[&RATE[..], &["--trials", "1", "--max-seconds", "1e19", "--out", "s"]].concat()).done();
    call(path, &["tune", "--resume", "s", "--trials", "2"]).done();
    let study = rusqlite::Connection::open(path.join("s/study.db")).unwrap();
    let harm = "UPDATE study SET value = json_set(value, '$.max_seconds', -5.0) WHERE key = 'request'";
    assert_eq!(study.execute(harm, []).unwrap(), 1);
    let refused = call(path, &["tune", "--resume", "s", "--trials", "3"]);
    assert!(refused.code == 2 && refused.err.contains("--max-seconds -5"), "{}", refused.err);
    let refused = call(path, &["tune", "s"]);
    assert!(refused.code == 2 && refused.err.contains("s is a study, and no table"), "{}", refused.err);
    std::fs::rename(path.join("t.csv"), path.join("moved.csv")).unwrap();
    let refused = call(path, &["tune", "--resume", "s", "--max-seconds", "9"]);
    assert!(
        refused
            .err
            .contains("is not there any more\n  try: where it is now: statera tune TABLE.csv --resume s"),
        "{}",
        refused.err
    );
}

/// Killed before its files were written, a study is whole all the same; killed before that, it says so.
#[test]
fn a_study_that_was_broken_off_at_its_beginning_goes_on() {
    let folder = folder();
    let path = folder.path();
    let args = ["--sampler", "random", "--trials", "3", "--jobs", "1", "--out"];
    for name in ["whole", "killed"] {
        tune(path, &[&RATE[..], &args, &[name]].concat()).done();
    }
    let killed = path.join("killed");
    let [config, space] = ["config.toml", "space.toml"].map(|name| std::fs::read(killed.join(name)).unwrap());
    for entry in std::fs::read_dir(&killed).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            std::fs::remove_dir_all(entry).unwrap();
        } else if !entry.ends_with("study.db") {
            std::fs::remove_file(entry).unwrap();
        }
    }
    rusqlite::Connection::open(killed.join("study.db")).unwrap().execute("DELETE FROM trials", []).unwrap();
    call(path, &["tune", "--resume", "killed"]).done();
    let best = |name: &str| std::fs::read(path.join(name).join("best/model.safetensors")).unwrap();
    assert!(best("killed") == best("whole"));
    assert!(std::fs::read(killed.join("config.toml")).unwrap() == config);
    assert!(std::fs::read(killed.join("space.toml")).unwrap() == space);
    std::fs::create_dir(path.join("empty")).unwrap();
    std::fs::write(path.join("empty/study.db"), "").unwrap();
    let refused = call(path, &["tune", "--resume", "empty"]);
    assert!(
        refused.code == 2 && refused.err.contains("broken off before its first trial"),
        "{}",
        refused.err
    );
}

/// A setting that joins the space with the value that it always had makes no new training.
#[test]
fn nothing_is_trained_twice_in_a_wider_space() {
    let folder = folder();
    let path = folder.path();
    let grid = ["--sampler", "grid", "--set", "train.batch_size={ choices = [16, 32] }"];
    tune(path, &[&grid[..], &["--set", "network.dropout=0.10", "--out", "s"]].concat()).done();
    let wider = ["--set", "network.dropout={ choices = [1e-1, 0.3] }", "--resume", "s", "--json"];
    let found = call(path, &[&["tune"][..], &wider].concat()).done().json();
    assert_eq!(found["trials"]["all"], 4, "{found}");
    let curves: std::collections::BTreeSet<String> = (0..4)
        .map(|i| {
            call(path, &["tune", "--show", &i.to_string(), "s", "--json"]).done().json()["curve"].to_string()
        })
        .collect();
    assert_eq!(curves.len(), 4, "no two trials are one training");
}

/// Trials of classes are compared by one figure while they run, whatever their losses.
#[test]
fn trials_with_other_losses_are_shown_by_the_log_loss() {
    let folder = folder();
    let path = folder.path();
    let losses =
        ["--set", "loss.name={ choices = ['categorical_crossentropy', 'focal'] }", "--sampler", "grid"];
    let study = ["tune", "t.csv", "--target", "colour", "--quiet", "--out", "s"];
    let quick = ["--set", "train.epochs=5", "--set", "network.hidden=[8]", "--set", "evaluate.bootstrap=50"];
    call(path, &[&study[..], &quick, &losses].concat()).done();
    for trial in ["0", "1"] {
        let shown = call(path, &["tune", "--show", trial, "s", "--json"]).done().json();
        let best = shown["best_epoch"].as_u64().unwrap() as usize;
        let [judged, watched] =
            [&shown["val"], &shown["curve"][best - 1]["val"]].map(|v| v.as_f64().unwrap());
        assert!((judged / watched - 1.0).abs() < 1e-4, "{shown}");
    }
}

/// What was tried on another table is told wherever it is compared.
#[test]
fn trials_on_another_table_are_told_of() {
    let folder = folder();
    let path = folder.path();
    let args = ["--sampler", "random", "--trials", "2", "--jobs", "1", "--out", "s"];
    tune(path, &[&RATE[..], &args].concat()).done();
    std::fs::write(path.join("u.csv"), cli::table(&["x", "k", "colour", "y"], 0..150)).unwrap();
    let forced = ["tune", "u.csv", "--resume", "s", "--trials", "3", "--force"];
    let told = call(path, &forced).done().out.replace('\n', " ");
    let words = "Trials 0 to 1 were judged on another table, t.csv (sha256 ";
    assert!(told.contains(words), "{told}");
    assert!(call(path, &["tune", "--list", "s"]).done().out.replace('\n', " ").contains(words));
    let tables = listed(path)["tables"].as_array().unwrap().clone();
    assert_eq!(tables.iter().map(|table| table["from"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 2]);
    // It is of the table that it was last run on.
    let refused = call(path, &["tune", "t.csv", "--resume", "s", "--trials", "4"]);
    assert!(refused.code == 2 && refused.err.contains("the study is of u.csv"), "{}", refused.err);
}

/// The settings that are kept beside the best model are those of a configuration, whatever was on during the search.
#[test]
fn the_best_settings_can_be_read_again() {
    let folder = folder();
    let path = folder.path();
    for (i, sets) in [
        "optimizer.l2=0.001",
        "early_stopping.monitor=val_rmse early_stopping.patience=3",
        "reduce_on_plateau.enabled=true reduce_on_plateau.patience=1 reduce_on_plateau.factor=0.3 optimizer.learning_rate=0.1",
        "schedule.cuts=[1,4] schedule.cut=0.2",
        "schedule.name=cosine checkpoint.monitor=val_mae",
    ]
    .into_iter()
    .enumerate()
    {
        let study = format!("s{i}");
        let sets = sets.split(' ').chain(["train.epochs=6"]).flat_map(|set| ["--set", set]);
        let args = QUICK[2..].iter().copied().chain(sets).chain(TWO).chain(["--trials", "2", "--out", &study]);
        let args: Vec<&str> = ["tune", "t.csv", "--target", "y", "--quiet"].into_iter().chain(args).collect();
        let told = call(path, &args).done().out;
        let best = format!("{study}/best/config.toml");
        call(path, &["config", "--check", &best]).done();
        call(path, &["train", "--config", &best, "--quiet", "--out", &format!("r{i}")]).done();
        // As is the command that trains the best trial by itself, to the figure of the trial.
        let command = told.lines().find_map(|line| line.trim().strip_prefix("train it alone")).unwrap();
        let words: Vec<&str> = command.trim().split(' ').filter(|word| !word.is_empty()).skip(1).collect();
        let alone = call(path, &[&words[..], &["--json", "--quiet"]].concat()).done().json();
        let found: Value = serde_json::from_slice(&std::fs::read(path.join(&study).join("tune.json")).unwrap()).unwrap();
        assert_eq!(alone["val"]["rmse"], found["best"]["val"], "{command}");
    }
}
