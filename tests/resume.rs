//! Runs that are killed, or whose disk fails, at any moment: what goes on comes to the bits of what was not broken off.
#![cfg(unix)]

use crate::cli;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli::{call, content, failing_disk, folder};
use statera_kernels::random::philox;

/// A training of some hundred steps that keeps a checkpoint at the end of every epoch.
const TRAIN: [&str; 13] = [
    "train",
    "t.csv",
    "--target",
    "y",
    "--set",
    "network.hidden=[8]",
    "--set",
    "train.batch_size=4",
    "--set",
    "evaluate.bootstrap=20",
    "--set",
    "checkpoint.every_seconds=0",
    "--quiet",
];

fn model(folder: &Path, run: &str) -> Vec<u8> {
    std::fs::read(folder.join(run).join("model.safetensors")).unwrap()
}

/// Nothing but results is left of a run that came to its end.
#[track_caller]
fn is_tidy(run: &Path) {
    let names = content(run).into_keys().map(|path| path.strip_prefix(run).unwrap().to_owned());
    let mut names: Vec<PathBuf> = names.collect();
    names.sort();
    let expected = [
        "config.toml",
        "events.jsonl",
        "history.csv",
        "metrics.json",
        "model.safetensors",
        "run.json",
        "schema.json",
    ];
    assert_eq!(names, expected.map(PathBuf::from));
}

/// The epochs of a history, each once and in their order, of each fold.
fn epochs(run: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(run.join("history.csv")).unwrap();
    let without_times = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let n = cells.len();
        [&cells[..n - 3], &cells[n - 1..]].concat().join(",")
    };
    text.lines().map(without_times).collect()
}

fn start(folder: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_statera"))
        .args(args)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills a run and what goes on with it `n_kills` times at moments without pattern, then lets it come to its end.
fn survives(n_kills: usize, more: &[&str]) {
    let folder = folder();
    let args = |out| [&TRAIN[..], more, &["--out", out]].concat();
    let begin = Instant::now();
    call(folder.path(), &args("whole")).done();
    let whole = begin.elapsed();
    let (run, first, again) =
        (folder.path().join("run"), args("run"), ["train", "--resume", "run", "--quiet"]);
    let (mut killed, mut ended) = (0, 0);
    for draw in 0.. {
        let goes_on = run.join("run.json").exists();
        if !goes_on {
            let _ = std::fs::remove_dir_all(&run);
        }
        let mut child = start(folder.path(), if goes_on { &again } else { &first });
        let words = philox([draw, 0, 0, 0], [n_kills as u32, 7]);
        // Shares of the time that the whole run takes: much of it, or hardly enough to begin.
        let share = f64::from(words[0]) / f64::from(u32::MAX) * if draw % 3 == 0 { 0.4 } else { 1.0 };
        std::thread::sleep(whole.mul_f64(share));
        // Most are killed without notice; some are asked to end.
        let signal = ["-KILL", "-KILL", "-KILL", "-TERM", "-INT"][words[1] as usize % 5];
        let was_running = child.try_wait().unwrap().is_none();
        let _ = Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status();
        let status = child.wait().unwrap();
        if was_running && !status.success() {
            killed += 1;
        } else {
            // It had come to its end, or came to it before it heard.
            ended += 1;
            assert!(
                model(folder.path(), "run") == model(folder.path(), "whole"),
                "{killed} kills: another model"
            );
            assert_eq!(epochs(&run), epochs(&folder.path().join("whole")));
            is_tidy(&run);
            std::fs::remove_dir_all(&run).unwrap();
        }
        if killed == n_kills {
            break;
        }
    }
    if run.join("run.json").exists() {
        call(folder.path(), &again).done();
        assert!(model(folder.path(), "run") == model(folder.path(), "whole"), "after {killed} kills");
        assert_eq!(epochs(&run), epochs(&folder.path().join("whole")));
        is_tidy(&run);
    }
    println!("{killed} kills, {ended} ends between them");
}

#[test]
fn a_run_survives_eighty_kills() {
    survives(80, &["--set", "train.epochs=60", "--set", "early_stopping.patience=15"]);
}

#[test]
fn a_run_read_from_disk_survives_kills() {
    survives(30, &["--set", "train.epochs=40", "--set", "data.stream=always", "--cache", "cache"]);
}

#[test]
fn folds_survive_kills() {
    survives(30, &["--set", "train.epochs=20", "--folds", "3"]);
}

/// Lets every write, flush and rename below the run's folder fail in turn, every new file and folder too, and goes on after
/// each.
fn sweep(kind: &str) {
    let folder = folder();
    let disk = failing_disk(folder.path());
    let args = |out| [&TRAIN[..], &["--set", "train.epochs=3", "--out", out]].concat();
    call(folder.path(), &args("whole")).done();
    let (whole, run) = (model(folder.path(), "whole"), folder.path().join("faulty"));
    let mark = folder.path().join("failed");
    let (mut failed, mut warned) = (0, 0);
    for k in 1.. {
        let output = Command::new(env!("CARGO_BIN_EXE_statera"))
            .args(args("faulty"))
            .current_dir(folder.path())
            .envs([("LD_PRELOAD", disk.to_str().unwrap()), ("FAULT_PATH", "/faulty")])
            .envs([("FAULT_AT", k.to_string().as_str()), ("FAULT_KIND", kind)])
            .env("FAULT_MARK", &mark)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!told.contains(".tmp"), "{kind} {k}: nobody has typed that name: {told}");
        match output.status.code() {
            Some(0) => {
                assert!(model(folder.path(), "faulty") == whole, "{kind} {k}: {told}");
                is_tidy(&run);
                if !mark.exists() {
                    // There are fewer than k.
                    println!("{kind}: {k} operations, {failed} failures, {warned} warnings");
                    assert!(k > 30 && told.is_empty(), "only {k}: {told}");
                    break;
                }
                warned += 1;
                assert!(kind != "cut" && told.contains("No space left on device"), "{kind} {k}: {told}");
            }
            Some(1) => {
                failed += 1;
                assert!(kind != "cut" && told.contains("No space left on device"), "{kind} {k}: {told}");
            }
            Some(86) => failed += 1,
            other => panic!("{kind} {k}: {other:?} {told}"),
        }
        // What failed before the run was under way leaves nothing to go on with.
        if output.status.code() != Some(0) {
            let resumed = call(folder.path(), &["train", "--resume", "faulty", "--quiet"]);
            if run.join("run.json").exists() {
                resumed.done();
                assert!(model(folder.path(), "faulty") == whole, "{kind} {k}");
                is_tidy(&run);
            } else {
                assert_eq!(resumed.code, 1);
                assert!(resumed.err.contains("run folder"), "{}", resumed.err);
            }
        }
        let _ = std::fs::remove_dir_all(&run);
        let _ = std::fs::remove_file(&mark);
    }
    assert!(failed >= 5, "{kind}: {failed} failed");
    // Nothing but results that cannot be written ends a run; where the disk stays full, they never can.
    assert!(kind != "once" || warned >= 3, "{kind}: {warned} warned");
}

#[test]
fn the_power_may_go_at_any_write() {
    sweep("cut");
}

#[test]
fn any_write_may_fail() {
    sweep("once");
}

#[test]
fn the_disk_may_be_full_from_any_write_on() {
    sweep("full");
}

#[test]
fn checkpoints_that_find_no_room_do_not_end_training() {
    let folder = folder();
    let disk = failing_disk(folder.path());
    let args = |out| [&TRAIN[..], &["--set", "train.epochs=3", "--out", out]].concat();
    call(folder.path(), &args("whole")).done();
    // One checkpoint at least is written: its bytes, its flush, and that of the folder.
    for k in 1..=3 {
        let output = Command::new(env!("CARGO_BIN_EXE_statera"))
            .args(args("faulty"))
            .current_dir(folder.path())
            .envs([("LD_PRELOAD", disk.to_str().unwrap()), ("FAULT_PATH", "/faulty/checkpoints")])
            .envs([("FAULT_AT", k.to_string().as_str()), ("FAULT_KIND", "full")])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{k}: {told}");
        assert_eq!(told.matches("of training could not be kept").count(), 1, "{k}: {told}");
        assert!(model(folder.path(), "faulty") == model(folder.path(), "whole"), "{k}");
        is_tidy(&folder.path().join("faulty"));
        std::fs::remove_dir_all(folder.path().join("faulty")).unwrap();
    }
}

#[test]
fn what_cannot_be_kept_again_and_again_is_told_once_and_counted() {
    let folder = folder();
    let disk = failing_disk(folder.path());
    let told = |path: &str, at: usize, more: &[&str]| {
        let loud = &TRAIN[..TRAIN.len() - 1];
        let output = Command::new(env!("CARGO_BIN_EXE_statera"))
            .args(
                [loud, &["--set", "train.epochs=1500", "--set", "early_stopping.enabled=false"], more]
                    .concat(),
            )
            .current_dir(folder.path())
            .envs([("LD_PRELOAD", disk.to_str().unwrap()), ("FAULT_PATH", path)])
            .envs([("FAULT_AT", at.to_string().as_str()), ("FAULT_KIND", "full")])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // How many there are goes by how fast the disk fails.
    let counted = |told: &str, words: &str| {
        let line =
            told.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {told}"));
        line.split(' ').find_map(|word| word.replace(',', "").parse::<usize>().ok()).unwrap()
    };
    let (code, err) = told("/faulty/checkpoints", 1, &["--out", "faulty"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(err.matches("the state of training could not be kept (").count(), 1, "{err}");
    assert!(counted(&err, "states of training could not be kept: ") > 1, "{err}");

    // No room from the first operation on that finds training under way: neither for states nor for any model.
    let all_lost = |k| {
        let _ = std::fs::remove_dir_all(folder.path().join("faulty"));
        told("/faulty", k, &["--out", "faulty", "--set", "checkpoint.last=last"])
    };
    let (code, err) = (1..200).map(all_lost).find(|(_, err)| err.contains("stopped after")).unwrap();
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.lines().any(|line| line.starts_with("error:") && line.contains("model.safetensors")),
        "{err}"
    );
    let words = "a model of checkpoint.best or checkpoint.last was not saved: ";
    assert_eq!(counted(&err, words), 1500, "{err}");
    assert!(counted(&err, "states of training could not be kept: ") > 1, "{err}");
}

/// A run that was broken off in its middle.
fn broken(folder: &Path, more: &[&str]) {
    let endless = ["--set", "train.epochs=100000", "--set", "early_stopping.enabled=false", "--out", "run"];
    let mut child = start(folder, &[&TRAIN[..], &endless, more].concat());
    let begin = Instant::now();
    while states(folder).len() < 2 {
        assert!(begin.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The checkpoints of the run, the newest last.
fn states(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("run/checkpoints")).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "safetensors")).collect();
    paths.sort();
    paths
}

#[test]
fn what_has_changed_is_refused_by_name() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    broken(folder.path(), &[]);
    let resume = |more: &[&str]| call(folder.path(), &[&["train", "--resume", "run"], more].concat());

    // Another table.
    let table = std::fs::read_to_string(path("t.csv")).unwrap();
    std::fs::write(path("t.csv"), table.clone() + "1,2,red,3\n").unwrap();
    let told = resume(&[]).err;
    let begun = std::fs::read_to_string(path("run/run.json")).unwrap();
    let sha: String = begun.split('"').find(|word| word.len() == 64).unwrap().into();
    assert!(
        told.contains("has changed since the run") && told.contains(&sha) && told.contains("--force"),
        "{told}"
    );
    std::fs::write(path("t.csv"), table).unwrap();

    // Other settings.
    let settings = std::fs::read_to_string(path("run/config.toml")).unwrap();
    std::fs::write(path("run/config.toml"), settings.replace("batch_size = 4", "batch_size = 5")).unwrap();
    let told = resume(&[]).err;
    assert!(told.contains("`batch_size = 4` has become `batch_size = 5`"), "{told}");
    std::fs::write(path("run/config.toml"), settings).unwrap();

    // A log that has lost lines.
    let log = std::fs::read(path("run/events.jsonl")).unwrap();
    std::fs::write(path("run/events.jsonl"), &log[..50]).unwrap();
    let told = resume(&[]).err;
    assert!(told.contains("events.jsonl has 50 bytes; it had"), "{told}");
    std::fs::write(path("run/events.jsonl"), log).unwrap();

    // Another process at work on it.
    let mut other = start(folder.path(), &["train", "--resume", "run", "--quiet"]);
    let before = std::fs::metadata(path("run/events.jsonl")).unwrap().len();
    while std::fs::metadata(path("run/events.jsonl")).unwrap().len() <= before {
        assert!(other.try_wait().unwrap().is_none(), "it goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let told = resume(&[]).err;
    assert!(told.contains("another process is writing the run run"), "{told}");
    other.kill().unwrap();
    other.wait().unwrap();

    for (args, words) in [
        (&["train", "--resume", "nowhere"][..], "there is no run folder nowhere"),
        (&["train", "--resume", "."], "holds no run that can go on: there is no config.toml in it"),
        (&["train", "--resume", "run", "t.csv"], "takes no DATA\n  try: leave DATA out"),
        (&["train", "--resume", "run", "--set", "train.epochs=5"], "takes no --set\n  try: leave --set out"),
        (&["train", "t.csv", "--target", "y", "--force"], "--resume"),
        (
            &["train", "t.csv", "--target", "y", "--folds", "3", "--set", "checkpoint.best=a"],
            "several at a time",
        ),
        (
            &["train", "t.csv", "--target", "y", "--set", "checkpoint.best={epok}"],
            "there is no figure `epok`",
        ),
    ] {
        let refused = call(folder.path(), args);
        assert!(refused.code != 0 && refused.err.contains(words), "{args:?}: {}", refused.err);
    }
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_used() {
    let folder = folder();
    broken(folder.path(), &["--set", "train.max_seconds=3"]);
    let damage = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    let path = states(folder.path()).pop().unwrap();
    damage(&path);
    let resumed = call(folder.path(), &["train", "--resume", "run"]).done();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(resumed.err.contains(&format!("{name} is damaged: ")), "{}", resumed.err);
    assert!(resumed.err.contains("going on in run with epoch"), "{}", resumed.err);
    is_tidy(&folder.path().join("run"));
    let again = call(folder.path(), &["train", "--resume", "run"]).done();
    assert!(again.err.contains("run has come to its end already"), "{}", again.err);
}

#[test]
fn a_changed_table_is_gone_on_with_by_force() {
    let folder = folder();
    broken(folder.path(), &["--set", "train.max_seconds=3"]);
    let table = std::fs::read_to_string(folder.path().join("t.csv")).unwrap();
    std::fs::write(folder.path().join("t.csv"), table + "1,2,red,3\n2,3,blue,1\n").unwrap();
    let resumed = call(folder.path(), &["train", "--resume", "run", "--force"]).done();
    assert!(resumed.err.contains("the table has changed since the run was begun"), "{}", resumed.err);
    let metrics = std::fs::read_to_string(folder.path().join("run/metrics.json")).unwrap();
    let begun = std::fs::read_to_string(folder.path().join("run/run.json")).unwrap();
    let sha = begun.split('"').find(|word| word.len() == 64).unwrap();
    assert!(metrics.contains(sha), "the new checksum stands in both");
}

#[test]
fn models_of_epochs_are_saved_under_their_names() {
    let folder = folder();
    let saved = ["--set", "checkpoint.best=m-{epoch:02}-{val_rmse:.2}", "--set", "checkpoint.last=last"];
    call(folder.path(), &[&TRAIN[..], &["--set", "train.epochs=6", "--out", "run"], &saved].concat()).done();
    let history = std::fs::read_to_string(folder.path().join("run/history.csv")).unwrap();
    let columns: Vec<&str> = history.lines().next().unwrap().split(',').collect();
    let at = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let mut expected = vec!["last.safetensors".to_owned()];
    for line in history.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        if cells[at("best")] == "1" {
            let (epoch, rmse): (usize, f64) =
                (cells[0].parse().unwrap(), cells[at("val_rmse")].parse().unwrap());
            expected.push(format!("m-{epoch:02}-{rmse:.2}.safetensors"));
        }
    }
    expected.sort();
    let names = std::fs::read_dir(folder.path().join("run/checkpoints")).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, expected);
    // The last of the best is the run's own model.
    let best = expected.iter().rfind(|name| name.starts_with("m-")).unwrap();
    let predict = |model: &str| call(folder.path(), &["predict", model, "t.csv"]).done().out;
    assert_eq!(predict(&format!("run/checkpoints/{best}")), predict("run"));
    call(folder.path(), &["evaluate", "run/checkpoints/last.safetensors", "t.csv"]).done();
}

#[test]
fn the_larger_figure_may_be_asked_for() {
    let folder = folder();
    let worst = ["--set", "checkpoint.mode=max", "--set", "train.epochs=6", "--out", "run"];
    call(folder.path(), &[&TRAIN[..], &worst].concat()).done();
    let history = std::fs::read_to_string(folder.path().join("run/history.csv")).unwrap();
    let losses: Vec<f64> =
        history.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().parse().unwrap()).collect();
    let largest = (0..6).max_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap();
    let metrics = std::fs::read_to_string(folder.path().join("run/metrics.json")).unwrap();
    assert!(metrics.contains(&format!("\"best_epoch\": {}", largest + 1)), "{losses:?} {metrics}");
}
