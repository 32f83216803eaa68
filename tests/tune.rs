//! Studies from outside: what they find, that they can be gone on with after a kill, and what bad input gets.

use crate::cli;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use cli::{Outcome, call, folder, statera};
use serde_json::Value;

const QUICK: [&str; 8] = [
    "--set",
    "train.epochs=3",
    "--set",
    "network.hidden=[8]",
    "--set",
    "evaluate.bootstrap=50",
    "--set",
    "train.batch_size={ low = 8, high = 40 }",
];
const RATE: [&str; 2] = ["--set", "optimizer.learning_rate={ low = 1e-3, high = 1e-1, log = true }"];

fn tune(folder: &Path, more: &[&str]) -> Outcome {
    call(folder, &[&["tune", "t.csv", "--target", "y", "--quiet"][..], &QUICK, &RATE, more].concat())
}

/// The trials of a study by number, without times.
fn trials(folder: &Path, study: &str) -> BTreeMap<u64, BTreeMap<String, String>> {
    let out = call(folder, &["tune", "--list", study, "--export", "csv"]).done().out;
    let mut reader = csv::Reader::from_reader(out.as_bytes());
    let rows = reader.deserialize::<BTreeMap<String, String>>();
    rows.map(|row| {
        let mut row = row.unwrap();
        row.remove("seconds");
        (row["trial"].parse().unwrap(), row)
    })
    .collect()
}

#[test]
fn a_grid_tries_everything_and_the_best_is_trained_and_tested_once() {
    let folder = folder();
    let grid = ["--sampler", "grid", "--out", "g", "--set", "train.batch_size={ choices = [16, 32] }"];
    let rates = ["--set", "optimizer.learning_rate={ choices = [0.001, 0.01] }"];
    let found = tune(folder.path(), &[&grid[..], &rates, &["--json"]].concat()).done().json();
    assert_eq!(found["trials"]["done"], 4);
    let all = trials(folder.path(), "g");
    let settings: Vec<String> =
        all.values().map(|t| format!("{} {}", t["train.batch_size"], t["optimizer.learning_rate"])).collect();
    assert_eq!(settings, ["16 0.001", "16 0.01", "32 0.001", "32 0.01"]);
    let metric = |t: &BTreeMap<String, String>| t["metric"].parse::<f64>().unwrap();
    let best = all.values().min_by(|a, b| metric(a).total_cmp(&metric(b))).unwrap();
    assert_eq!(found["best"]["trial"].to_string(), best["trial"]);
    assert_eq!(found["best"]["val"].as_f64(), Some(metric(best)));
    // The figure is that of a training by hand.
    let sets = [
        format!("train.batch_size={}", best["train.batch_size"]),
        format!("optimizer.learning_rate={}", best["optimizer.learning_rate"]),
    ];
    let by_hand =
        ["train", "t.csv", "--target", "y", "--json", "--quiet", "--set", &sets[0], "--set", &sets[1]];
    let by_hand = call(folder.path(), &[&by_hand[..], &QUICK[..6]].concat()).done().json();
    assert_eq!(by_hand["val"]["rmse"], found["best"]["val"]);
    // The last training knows all rows but the test rows.
    assert_eq!(found["tuned"]["n_rows"], serde_json::json!({ "train": 102, "val": 0, "test": 18 }));
    assert_eq!(found["untuned"]["n_rows"], found["tuned"]["n_rows"]);
    call(folder.path(), &["predict", "g/best", "t.csv", "-o", "p.csv"]).done();
    let listed = call(folder.path(), &["tune", "--list", "g"]).done().out;
    let first =
        listed.lines().find(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())).unwrap();
    assert!(first.trim_start().starts_with(&best["trial"]), "the best comes first: {listed}");
    let shown = call(folder.path(), &["tune", "--list", "g", "--show", "1"]).done().out;
    assert!(shown.contains("Trial 1, done: train.batch_size=16"), "{shown}");
    assert_eq!(shown.lines().filter(|l| l.trim_start().starts_with(['1', '2', '3'])).count(), 3, "{shown}");
    // The study may as well stand where tables do.
    assert_eq!(call(folder.path(), &["tune", "--show", "1", "g"]).done().out, shown);
    assert_eq!(call(folder.path(), &["tune", "g", "--list"]).done().out, listed);
    for (args, words) in [
        (&["--list", "g", "g"][..], "read one study; 2 are named"),
        (&["--resume", "none"], "there is no study `none`"),
    ] {
        let outcome = call(folder.path(), &[&["tune"][..], args].concat());
        assert!(outcome.code == 2 && outcome.err.contains(words), "{}", outcome.err);
    }
}

/// What training on further rows is worth is not credited to settings that make no difference.
#[test]
fn tuning_that_changes_nothing_is_worth_nothing() {
    let folder = folder();
    // The learning rate is cut again and again, so that cuts are replayed on both sides.
    let sets =
        ["reduce_on_plateau.enabled=true", "reduce_on_plateau.patience=1", "optimizer.learning_rate=0.1"];
    let sets: Vec<&str> =
        sets.into_iter().chain(["train.epochs=12"]).flat_map(|set| ["--set", set]).collect();
    let space =
        ["--set", "early_stopping.patience={ choices = [60, 61] }", "--sampler", "grid", "--out", "s"];
    let quick = &QUICK[2..6];
    let told = call(
        folder.path(),
        &[&["tune", "t.csv", "--target", "y", "--quiet"][..], quick, &sets, &space].concat(),
    );
    let told = told.done().out.replace('\n', " ");
    let json = std::fs::read(folder.path().join("s/tune.json")).unwrap();
    let found: Value = serde_json::from_slice(&json).unwrap();
    let [tuned, untuned] = ["tuned", "untuned"].map(|name| &found[name]);
    for figure in ["n_rows", "test", "baselines", "comparison", "best_epoch", "epochs_run"] {
        assert_eq!(tuned[figure], untuned[figure], "{figure}");
    }
    assert_eq!(tuned["n_rows"], serde_json::json!({ "train": 102, "val": 0, "test": 18 }));
    assert_eq!(found["gain"], serde_json::json!({ "share": 0.0, "interval": [0.0, 0.0] }));
    let words =
        "No difference seen between tuned and untuned settings: test rmse better by 0.0 % [0.0, 0.0].";
    assert!(told.contains(words), "{told}");
    let epochs = found["best"]["best_epoch"].as_u64().unwrap();
    let rows = "trained on 102 rows (training and validation rows) for";
    assert!(told.contains(rows) && told.contains("untuned: on the same rows for"), "{told}");
    assert_eq!(untuned["epochs_run"], epochs);
    // Something was replayed: without the cuts the figures would be others.
    let config = std::fs::read_to_string(folder.path().join("s/best/config.toml")).unwrap();
    let cuts = config.lines().find(|line| line.starts_with("after_epochs = ")).unwrap();
    assert_ne!(cuts, "after_epochs = []", "{config}");
}

/// A study that is gone on with is asked what it was asked before, and what it no longer has is removed.
#[test]
fn a_study_knows_what_it_was_asked() {
    let folder = folder();
    let asked = ["--sampler", "random", "--trials", "4", "--ensemble", "2", "--confirm", "2", "--out", "s"];
    tune(folder.path(), &asked).done();
    // Locks that never had their names: of a process that was killed long ago, and of one that may be about to go on.
    let [old, new] = ["s/worker-98.new", "s/worker-99.new"].map(|name| folder.path().join(name));
    let ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::create(&old).unwrap().set_modified(ago).unwrap();
    std::fs::File::create(&new).unwrap();
    let found = call(folder.path(), &["tune", "--resume", "s", "--json"]).done().json();
    assert!(!old.exists() && new.exists());
    assert_eq!(found["trials"]["done"], 4);
    assert!(folder.path().join("s/best/config-2.toml").exists());
    let told = call(folder.path(), &["tune", "--resume", "s"]).done();
    assert!(told.err.contains("random over"), "{}", told.err);
    assert!(told.out.contains("With 2 other seeds"), "{}", told.out);
    call(folder.path(), &["tune", "--resume", "s", "--ensemble", "1"]).done();
    assert!(!folder.path().join("s/best/config-2.toml").exists());
}

/// They are trained beside the trials, once for a table, and what they come to is what `train` comes to.
#[test]
fn the_untuned_settings_are_a_training_on_record() {
    let folder = folder();
    let path = folder.path();
    let space = ["--set", "optimizer.learning_rate={ low = 0.001, high = 0.01, log = true }"];
    let begin = ["--jobs", "2", "--trials", "2", "--out", "s", "--json"];
    let found = tune(path, &[&space[..], &begin].concat()).done().json();
    let first = &found["untuned_trial"];
    let train = [&["train", "t.csv", "--target", "y", "--json", "--quiet"][..], &QUICK[..6]].concat();
    let by_hand = call(path, &train).done().json();
    assert_eq!(by_hand["val"]["rmse"], first["val"]);
    assert_eq!(by_hand["best_epoch"], first["best_epoch"]);
    let further = call(path, &["tune", "--resume", "s", "--trials", "3"]).done();
    assert!(further.err.contains("1/1 trials, best "), "{}", further.err);
    assert!(further.err.contains(", untuned "), "told from the record: {}", further.err);
    let told = further.out.replace('\n', " ");
    assert!(told.contains("Validation rmse, by which it was chosen: "), "{told}");
    let again = call(path, &["tune", "--resume", "s", "--json"]).done().json();
    assert_eq!(&again["untuned_trial"], first, "the seconds too: trained once");
    // Of a limited time the trials have all, and so they have of a single worker: the untuned settings come after them.
    for (name, more) in
        [("l", ["--jobs", "2", "--max-seconds", "600"]), ("one", ["--jobs", "1", "--max-seconds", "600"])]
    {
        let after = [&space[..], &more, &["--trials", "2", "--out", name, "--json"]].concat();
        let after = tune(path, &after).done().json();
        assert_eq!(after["untuned_trial"]["val"], first["val"]);
        assert_eq!(after["untuned"]["test"], found["untuned"]["test"]);
    }
    // Another table is another training.
    let rows = std::fs::read_to_string(path.join("t.csv")).unwrap();
    let fewer: Vec<&str> = rows.lines().take(110).collect();
    std::fs::write(path.join("u.csv"), fewer.join("\n")).unwrap();
    let forced = ["tune", "u.csv", "--resume", "s", "--trials", "4", "--force", "--json"];
    let forced = call(path, &forced).done().json();
    assert_ne!(forced["untuned_trial"]["val"], first["val"]);
    assert!(forced["untuned_trial"]["val"].is_number());
}

/// What is printed to go on with a study goes on with it, from wherever.
#[test]
fn the_command_for_further_trials_is_one() {
    let folder = folder();
    let space = ["--set", "optimizer.learning_rate={ low = 0.001, high = 0.01, log = true }"];
    let told =
        tune(folder.path(), &[&["--sampler", "random", "--trials", "2", "--out", "s"], &space[..]].concat());
    let told = told.done().out;
    let command = told
        .lines()
        .find_map(|line| line.split("statera ").nth(1).filter(|c| c.contains("--resume")))
        .unwrap();
    assert_eq!(command, "tune --resume s --trials 4");
    let words: Vec<&str> = command.split(' ').collect();
    call(folder.path(), &words).done();
    assert_eq!(trials(folder.path(), "s").len(), 4);
}

#[test]
fn trials_are_the_same_however_many_run_at_a_time() {
    let folder = folder();
    for sampler in ["random", "quasi_random"] {
        let run = |out: &str, jobs: &str| {
            tune(folder.path(), &["--sampler", sampler, "--trials", "6", "--jobs", jobs, "--out", out])
                .done();
            trials(folder.path(), out)
        };
        let one = run(&format!("{sampler}1"), "1");
        assert_eq!(one.len(), 6);
        assert_eq!(one, run(&format!("{sampler}3"), "3"), "{sampler}");
    }
    let learned = |out: &str| {
        let options = ["--sampler", "tpe", "--pruner", "asha", "--trials", "16", "--jobs", "3", "--out", out];
        tune(folder.path(), &[&options[..], &["--set", "train.epochs=5"]].concat()).done();
        trials(folder.path(), out)
    };
    let first = learned("a");
    assert!(first.values().any(|t| t["state"] == "pruned"), "{first:?}");
    assert_eq!(first, learned("b"), "with as many at a time, what is learned is the same");
}

#[test]
fn a_study_goes_on_where_it_ended_and_may_be_widened() {
    let folder = folder();
    let random = ["--sampler", "random", "--jobs", "2"];
    let with = |more: &[&str]| tune(folder.path(), &[&random[..], more].concat()).done();
    with(&["--trials", "7", "--out", "whole"]);
    with(&["--trials", "3", "--out", "parts"]);
    let before = trials(folder.path(), "parts");
    with(&["--trials", "7", "--resume", "parts"]);
    let after = trials(folder.path(), "parts");
    assert_eq!(after, trials(folder.path(), "whole"));
    assert!(before.iter().all(|(number, trial)| after[number] == *trial));

    let grid = |choices: &str, place: [&str; 2]| {
        let batches = format!("train.batch_size={{ choices = {choices} }}");
        let rate = ["--set", "optimizer.learning_rate=0.01", "--sampler", "grid", "--set", &batches];
        tune(folder.path(), &[&rate[..], &place].concat()).done();
        trials(folder.path(), place[1]).values().map(|t| t["train.batch_size"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(grid("[8, 16]", ["--out", "wider"]), ["8", "16"]);
    assert_eq!(grid("[4, 8, 16, 32]", ["--resume", "wider"]), ["8", "16", "4", "32"], "nothing is run twice");
}

/// Whether SQLite finds the study's file whole.
#[track_caller]
fn assert_whole(study: &Path) {
    let file = study.join("study.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok", "{}", file.display());
}

/// Kills and interrupts at moments spread over the time that the study takes, whatever the machine: during trials, between
/// them, and in the last trainings.
#[cfg(unix)]
#[test]
fn killed_at_any_moment_it_comes_to_the_same_end() {
    const KILLS: u32 = 72;
    let folder = folder();
    let args = |place: [&'static str; 2], name: &str| -> Vec<String> {
        let random = ["--sampler", "random", "--trials", "40", "--jobs", "2", "--set", "train.epochs=80"];
        // What was lost of an epoch would show in later cuts of the rate, and in what is given up.
        let on = "early_stopping.enabled=false reduce_on_plateau.enabled=true reduce_on_plateau.patience=1 \
                  reduce_on_plateau.factor=0.9 checkpoint.restore_best=false";
        let on: Vec<&str> = on.split_whitespace().flat_map(|set| ["--set", set]).collect();
        let table = ["tune", "t.csv", "--target", "y", "--quiet", "--pruner", "asha"];
        let all = [&table[..], &QUICK, &RATE, &random, &on, &place[..1], &[name]].concat();
        all.into_iter().map(String::from).collect()
    };
    let run = |place: [&'static str; 2], name: &str| {
        let args = args(place, name);
        call(folder.path(), &args.iter().map(String::as_str).collect::<Vec<_>>()).done()
    };
    let begin = std::time::Instant::now();
    run(["--out", ""], "whole");
    let time = begin.elapsed();
    let whole = trials(folder.path(), "whole");
    let model = |name: &str| std::fs::read(folder.path().join(name).join("best/model.safetensors")).unwrap();
    let (mut kills, mut studies) = (0, 0);
    while kills < KILLS {
        let name = format!("killed{studies}");
        let study = folder.path().join(&name);
        studies += 1;
        loop {
            // As long as there is no study there is nothing to go on with.
            let is_new = !study.join("space.toml").exists();
            let args = args(if is_new { ["--out", ""] } else { ["--resume", ""] }, &name);
            let mut child = std::process::Command::new(statera(folder.path(), &[]).get_program())
                .current_dir(folder.path())
                .args(&args)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            while is_new && !study.join("space.toml").exists() {
                std::thread::sleep(Duration::from_millis(1));
            }
            // Shares of the study's time, evenly spread (the golden ratio's multiples), no two alike.
            let share = (f64::from(kills) * 0.618_034).fract();
            std::thread::sleep(time.mul_f64(0.02 + 0.23 * share));
            if child.try_wait().unwrap().is_some() {
                break;
            }
            // By turns as the system kills, as Ctrl-C interrupts, and as a machine that is shut down asks to end.
            let signal = ["-KILL", "-INT", "-TERM"][kills as usize % 3];
            let pid = child.id().to_string();
            assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
            child.wait().unwrap();
            kills += 1;
            assert_whole(&study);
            if kills == KILLS {
                break;
            }
        }
        run(["--resume", ""], &name);
        assert_eq!(trials(folder.path(), &name), whole, "{name}");
        assert!(model(&name) == model("whole"), "{name}: its model has other bits");
        let files = std::fs::read_dir(&study).unwrap().map(|entry| entry.unwrap().path());
        let locks = files.filter(|path| path.extension().is_some_and(|end| end == "lock"));
        assert_eq!(locks.count(), 0, "those of the killed are cleared away");
    }
}

/// A long trial is not begun anew: it goes on from the state that it kept.
#[test]
fn a_killed_trial_goes_on_where_it_was() {
    let folder = folder();
    let args = |place: &'static str, name: &'static str| {
        let random = ["--sampler", "random", "--trials", "2", "--jobs", "1", "--set", "train.epochs=8000"];
        let on = ["--set", "early_stopping.enabled=false", "--set", "train.batch_size={ choices = [2, 3] }"];
        [&["tune", "t.csv", "--target", "y", "--quiet"][..], &QUICK[..6], &RATE, &random, &on, &[place, name]]
            .concat()
    };
    call(folder.path(), &args("--out", "whole")).done();
    let mut child = std::process::Command::new(statera(folder.path(), &[]).get_program())
        .current_dir(folder.path())
        .args(args("--out", "killed"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let study = folder.path().join("killed");
    let ask = |question: &str| {
        let connection = rusqlite::Connection::open(study.join("study.db")).ok()?;
        connection.query_row(question, [], |row| row.get::<_, Option<i64>>(0)).ok().flatten()
    };
    let mut kept = None;
    while kept.is_none() {
        assert!(child.try_wait().unwrap().is_none(), "a trial takes longer than a quarter of a second");
        std::thread::sleep(Duration::from_millis(10));
        if study.join("space.toml").exists() {
            kept = ask("SELECT epochs FROM checkpoints");
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_whole(&study);
    let (trial, kept) =
        (ask("SELECT trial FROM checkpoints").unwrap(), ask("SELECT epochs FROM checkpoints").unwrap());
    assert!(kept > 0);
    // One that had begun anew would write over the figures of its first epochs.
    let mark = format!("UPDATE epochs SET train_loss = 77 WHERE trial = {trial} AND epoch <= {kept}");
    rusqlite::Connection::open(study.join("study.db")).unwrap().execute(&mark, []).unwrap();
    call(folder.path(), &args("--resume", "killed")).done();
    let marked =
        ask(&format!("SELECT COUNT(*) FROM epochs WHERE trial = {trial} AND train_loss = 77")).unwrap();
    assert_eq!(marked, kept, "no epoch before the checkpoint was trained again");
    assert_eq!(trials(folder.path(), "killed"), trials(folder.path(), "whole"));
    assert_eq!(ask("SELECT COUNT(*) FROM checkpoints"), Some(0));
}

#[test]
fn several_processes_share_the_trials_of_one_study() {
    let folder = folder();
    let random = ["--sampler", "random", "--jobs", "1"];
    tune(folder.path(), &[&random[..], &["--trials", "1", "--out", "s"]].concat()).done();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let more = [&random[..], &["--trials", "40", "--resume", "s"]].concat();
            let path = folder.path();
            scope.spawn(move || tune(path, &more).done());
        }
    });
    let shared = trials(folder.path(), "s");
    assert_eq!(shared.len(), 40);
    assert_whole(&folder.path().join("s"));
    tune(folder.path(), &[&random[..], &["--trials", "40", "--out", "alone"]].concat()).done();
    assert_eq!(shared, trials(folder.path(), "alone"));
}

#[test]
fn a_trial_that_fails_is_put_on_record_and_the_study_goes_on() {
    let folder = folder();
    let rates = "optimizer.learning_rate={ choices = [0.01, 900.0] }";
    let more =
        ["--sampler", "grid", "--set", rates, "--set", "train.batch_size=8", "--set", "optimizer.name=sgd"];
    let found = tune(folder.path(), &[&more[..], &["--out", "f", "--json"]].concat()).done().json();
    assert_eq!(found["trials"]["done"], 1);
    let all = trials(folder.path(), "f");
    assert!(["failed", "diverged"].contains(&all[&1]["state"].as_str()), "{all:?}");
    assert!(all[&1]["reason"].contains("not finite"), "{all:?}");
}

#[test]
fn best_settings_are_trained_with_other_seeds_where_asked() {
    let folder = folder();
    let found =
        tune(folder.path(), &["--trials", "2", "--confirm", "3", "--out", "c", "--json"]).done().json();
    let spread = found["spread"].as_array().unwrap();
    let seeds: Vec<&Value> = spread.iter().map(|pair| &pair[0]).collect();
    assert_eq!(seeds, [1, 2, 3]);
    assert!(spread.iter().all(|pair| pair[1].as_f64().unwrap() > 0.0));
}

#[test]
fn the_best_trials_predict_together_where_asked() {
    let folder = folder();
    let path = folder.path();
    // The parts by a column, so that the test rows are known.
    let table = cli::table(&["x", "k", "colour", "y"], 0..120);
    let mut lines = table.lines();
    let head = format!("{},part", lines.next().unwrap());
    let part = |i: usize| if i.is_multiple_of(5) { "test" } else { ["train", "train", "val"][i % 3] };
    let rows: Vec<String> = lines.enumerate().map(|(i, line)| format!("{line},{}", part(i))).collect();
    let write = |name: &str, rows: &[&str]| {
        std::fs::write(path.join(name), format!("{head}\n{}\n", rows.join("\n"))).unwrap();
    };
    let all: Vec<&str> = rows.iter().map(String::as_str).collect();
    let test: Vec<&str> = all.iter().copied().filter(|row| row.ends_with("test")).collect();
    write("t.csv", &all);
    write("test.csv", &test);
    let split = ["--set", "split.column=part", "--sampler", "random", "--trials", "6"];
    let found = |more: &[&str]| tune(path, &[&split[..], more, &["--json"]].concat()).done().json();
    let three = found(&["--ensemble", "3", "--out", "three"]);
    let alone = found(&["--out", "alone"]);
    let members = three["ensemble"].as_array().unwrap();
    let vals: Vec<f64> = members.iter().map(|member| member["val"].as_f64().unwrap()).collect();
    assert!(vals.len() == 3 && vals.is_sorted(), "{vals:?}");
    assert_eq!(three["best"], alone["best"]);
    assert!(alone["ensemble"].is_null());
    assert_ne!(three["tuned"]["test"], alone["tuned"]["test"]);
    // What is reported of the test rows is what the kept model reaches on them.
    let args = ["evaluate", "three/best", "test.csv", "--json"];
    let evaluated = call(path, &args).done().json();
    let [reported, measured] =
        [&three["tuned"]["test"]["rmse"]["value"], &evaluated["metrics"]["rmse"]["value"]];
    assert!(reported.is_f64() && reported == measured, "{reported} and {evaluated}");
    let configs = ["config.toml", "config-2.toml", "config-3.toml"];
    assert!(configs.iter().all(|name| path.join("three/best").join(name).is_file()));
    // Trials that differ in how long they might have gone on alone are one member.
    let epochs = ["--set", "train.epochs={ choices = [30, 40] }", "--set", "train.batch_size=16"];
    let stop = ["--set", "early_stopping.patience=1", "--set", "optimizer.learning_rate=0.1"];
    let more = ["--sampler", "grid", "--ensemble", "2", "--out", "same", "--json"];
    let same = tune(path, &[&split[..2], &epochs, &stop, &more].concat()).done().json();
    assert!(same["trials"]["all"] == 2 && same["ensemble"].is_null(), "{same}");
}

#[test]
fn the_last_training_cuts_the_learning_rate_where_the_best_trial_did() {
    let folder = folder();
    let cut = ["--set", "reduce_on_plateau.patience=1", "--set", "reduce_on_plateau.factor=0.25"];
    let long = ["--set", "train.epochs=60", "--set", "early_stopping.enabled=false", "--trials", "3"];
    tune(folder.path(), &[&cut[..], &long, &["--out", "c"]].concat()).done();
    let kept = std::fs::read_to_string(folder.path().join("c/best/config.toml")).unwrap();
    let kept: toml::Table = kept.parse().unwrap();
    let plateau = &kept["reduce_on_plateau"];
    let cuts = plateau["after_epochs"].as_array().unwrap();
    assert!(!cuts.is_empty(), "{plateau}");
    assert!(cuts.iter().all(|cut| cut.as_integer() < kept["train"]["epochs"].as_integer()));
    assert_eq!(plateau["factor"].as_float(), Some(0.25));
    assert_eq!(plateau["enabled"].as_bool(), Some(true));
    assert!(kept["schedule"]["cuts"].as_array().unwrap().is_empty(), "{}", kept["schedule"]);
}

#[test]
fn the_last_training_breaks_a_schedule_off_where_the_best_epoch_was() {
    let folder = folder();
    let long = ["--set", "train.epochs=60", "--set", "schedule.name=cosine", "--trials", "2", "--json"];
    let stop = ["--set", "early_stopping.patience=2"];
    let found = tune(folder.path(), &[&long[..], &stop, &["--out", "c"]].concat()).done().json();
    let best = found["best"]["best_epoch"].as_u64().unwrap();
    assert!(best < 60, "{found}");
    let kept = std::fs::read_to_string(folder.path().join("c/best/config.toml")).unwrap();
    let kept: toml::Table = kept.parse().unwrap();
    let [epochs, stop] = ["epochs", "stop_after"].map(|key| kept["train"][key].as_integer().unwrap());
    assert_eq!((epochs, stop as u64), (60, best));
    let stopped = found["tuned"]["stopped"].as_str().unwrap();
    assert_eq!(stopped, format!("the {best} epochs of train.stop_after are done"));
}

#[test]
fn what_cannot_be_searched_or_resumed_is_refused() {
    let folder = folder();
    let path = folder.path();
    tune(path, &["--trials", "1", "--out", "s"]).done();
    std::fs::write(path.join("other.csv"), cli::table(&["x", "k", "colour", "y"], 0..80)).unwrap();
    std::fs::write(path.join("broken.db"), [7_u8; 5000]).unwrap();
    let copy = |name: &str| {
        std::fs::create_dir(path.join(name)).unwrap();
        for file in ["study.db", "config.toml", "space.toml"] {
            std::fs::copy(path.join("s").join(file), path.join(name).join(file)).unwrap();
        }
        path.join(name).join("study.db")
    };
    let torn = copy("torn");
    let mut bytes = std::fs::read(&torn).unwrap();
    bytes[4096..].fill(0xff);
    std::fs::write(&torn, bytes).unwrap();
    let older = rusqlite::Connection::open(copy("older")).unwrap();
    older.pragma_update(None, "user_version", 1).unwrap();
    drop(older);
    let large = ["train.epochs={ low = 1, high = 1001 }", "train.batch_size={ low = 1, high = 1001 }"];
    let base = ["tune", "t.csv", "--target", "y"];
    let cases: [(&[&str], i32, &str); 13] = [
        (&["--set", "train.epochs={ low = 9, high = 3 }"], 2, "`low` = 9 is above `high` = 3"),
        (&["--set", "train.epochs={ choices = ['many'] }"], 2, "expected a whole number"),
        (&["--sampler", "grid"], 2, "there is no end of values"),
        (&["--sampler", "tpee"], 2, "tpe"),
        (&["--resume", "nowhere"], 2, "there is no study"),
        (&["--resume", "broken.db"], 2, "not a SQLite database"),
        (&["--resume", "s", "--set", "network.hidden=[9]"], 2, "the trials of the study were run with"),
        (&["--max-seconds", "0"], 2, "above 0"),
        (
            &["--set", "seed={ low = 1, high = 3 }"],
            2,
            "so that trials with different values cannot be compared",
        ),
        (&["--sampler", "grid", "--set", large[0], "--set", large[1]], 2, "the grid has 1002001 trials"),
        (&["--ensemble", "0"], 2, "1.."),
        (&["--resume", "torn"], 1, "study.db is damaged"),
        (&["--resume", "older"], 2, "is a study of version 1; this programme reads version 4"),
    ];
    for (more, code, words) in cases {
        let outcome = call(path, &[&base[..], more].concat());
        assert!(
            outcome.code == code && outcome.err.contains(words),
            "{more:?}: {} {}",
            outcome.code,
            outcome.err
        );
    }
    let other = call(path, &["tune", "other.csv", "--target", "y", "--resume", "s"]);
    assert!(
        other.code == 2 && other.err.contains("t.csv (sha256") && other.err.contains("other.csv"),
        "{}",
        other.err
    );
    // A range where nothing is searched is told to be one.
    let train =
        call(path, &["train", "t.csv", "--target", "y", "--set", "train.epochs={ low = 3, high = 9 }"]);
    assert!(train.code == 2 && train.err.contains("ranges are for `statera tune`"), "{}", train.err);
}
