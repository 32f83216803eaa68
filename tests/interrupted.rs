//! Ctrl-C from outside: what is there is saved; asked twice, nothing half-written is left.
#![cfg(unix)]

use crate::cli;
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use cli::{QUICK, call, content, folder};
use serde_json::Value;

/// A call under way, and what it says on standard error.
struct Running {
    child: Child,
    told: Lines<BufReader<ChildStderr>>,
}

impl Running {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_statera"))
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, told }
    }

    /// Reads on until a line with these words has come.
    #[track_caller]
    fn until(&mut self, words: &str) {
        let line = self.told.by_ref().map(Result::unwrap).find(|line| line.contains(words));
        assert!(line.is_some(), "the call has ended without saying {words:?}");
    }

    fn signal(&self, name: &str) {
        // Two within 50 ms would be one.
        std::thread::sleep(Duration::from_millis(80));
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The exit code, standard output, and what was said since the last look; not later than in ten seconds.
    #[track_caller]
    fn end(self) -> (Option<i32>, String, Vec<String>) {
        let begin = Instant::now();
        let told = self.told.map(Result::unwrap).collect();
        let output = self.child.wait_with_output().unwrap();
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}: {told:?}", begin.elapsed());
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), told)
    }
}

/// A training without end.
fn endless<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let endless = ["--set", "train.epochs=1000000", "--set", "early_stopping.enabled=false"];
    [&["train", "t.csv", "--target", "y"], &QUICK[2..], &endless, more].concat()
}

#[test]
fn an_interrupted_training_is_saved() {
    let folder = folder();
    let mut running = Running::start(folder.path(), &endless(&["--out", "run", "--json"]));
    // The second line of progress comes after a second of training.
    running.until("val_loss");
    running.until("val_loss");
    running.signal("-INT");
    let (code, out, told) = running.end();
    assert_eq!(code, Some(130), "{told:?}");
    assert!(
        told.iter().any(|line| line == "interrupted; what was trained so far is saved in run"),
        "{told:?}"
    );
    let metrics: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(metrics["stopped"], "interrupted");
    assert!(metrics["test"]["rmse"]["value"].is_number());
    let epochs = metrics["epochs_run"].as_u64().unwrap() as usize;
    let history = std::fs::read_to_string(folder.path().join("run/history.csv")).unwrap();
    assert_eq!(history.lines().count(), epochs + 1);
    assert_eq!(call(folder.path(), &["predict", "run", "t.csv"]).done().out.lines().count(), 121);
}

#[test]
fn a_second_interruption_leaves_nothing_half_written() {
    let folder = folder();
    let before = content(folder.path());
    for signal in ["-INT", "-TERM"] {
        // Testing takes seconds with so many resamples: time for a second signal.
        let more = ["--set", "evaluate.bootstrap=1000000", "--set", "checkpoint.resumable=false"];
        let mut running = Running::start(folder.path(), &endless(&more));
        running.until("val_loss");
        assert!(folder.path().join("runs/t-1/events.jsonl").exists());
        running.signal(signal);
        running.until("interrupted: the best weights so far are tested and saved; Ctrl-C again ends at once");
        running.signal(signal);
        let (code, out, told) = running.end();
        assert_eq!((code, out.as_str()), (Some(130), ""), "{told:?}");
        assert_eq!(told.last().unwrap(), "interrupted twice: ended at once, and nothing is kept");
        let after = content(folder.path());
        assert!(after == before, "left behind: {:?}", after.keys());
    }
}

#[test]
fn a_run_interrupted_twice_goes_on_as_one_that_was_not() {
    let folder = folder();
    let args = |out| {
        let sets = [
            "--set",
            "train.epochs=1500",
            "--set",
            "train.batch_size=2",
            "--set",
            "early_stopping.enabled=false",
            "--out",
            out,
        ];
        [&["train", "t.csv", "--target", "y"], &QUICK[2..], &sets].concat()
    };
    call(folder.path(), &args("whole")).done();
    // The number of resamples has no part in training, and gives time for a second signal.
    let long = [&args("broken")[..], &["--set", "evaluate.bootstrap=1000000"]].concat();
    let mut running = Running::start(folder.path(), &long);
    running.until("val_loss");
    running.signal("-INT");
    let broken = folder.path().join("broken");
    let begin = Instant::now();
    while !broken.join("checkpoints/state-000001.safetensors").exists()
        && begin.elapsed() < Duration::from_secs(10)
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    running.signal("-INT");
    let (code, _, told) = running.end();
    assert_eq!(code, Some(130));
    assert_eq!(told.last().unwrap(), "interrupted twice: ended at once, and what was written before is kept");
    assert!(broken.join("checkpoints").exists(), "the state stays");
    let resumed = call(folder.path(), &["train", "--resume", "broken", "--json"]).done();
    assert_eq!(resumed.json()["epochs_run"], 1500);
    let tensors = |run: &str| {
        let bytes = std::fs::read(folder.path().join(run).join("model.safetensors")).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8 + header..].to_vec()
    };
    assert!(tensors("broken") == tensors("whole"));
}

/// A run of [`endless`] with these settings besides that was killed once it had a checkpoint.
fn killed(folder: &Path, more: &[&str]) {
    let sets = ["--set", "checkpoint.every_seconds=0", "--out", "run"];
    let mut running = Running::start(folder, &endless(&[&sets[..], more].concat()));
    let begin = Instant::now();
    // Whichever it is by now: they follow each other fast, and two are kept.
    let states = || {
        let entries = std::fs::read_dir(folder.join("run/checkpoints")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("state-")).count()
    };
    while states() < 2 && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let kept = states();
    running.child.kill().unwrap();
    running.end();
    assert!(kept > 0);
}

#[test]
fn a_resumed_run_is_interrupted_as_a_fresh_one_is() {
    let folder = folder();
    killed(folder.path(), &[]);
    for _ in 0..2 {
        let mut running = Running::start(folder.path(), &["train", "--resume", "run", "--json"]);
        running.until("going on in run with epoch");
        running.until("val_loss");
        running.signal("-INT");
        let (code, out, told) = running.end();
        assert_eq!(code, Some(130), "{told:?}");
        let last: Vec<&str> = told.iter().rev().take(2).rev().map(String::as_str).collect();
        let expected = [
            "interrupted; what was trained so far is saved in run",
            "go on with: statera train --resume run",
        ];
        assert_eq!(last, expected, "{told:?}");
        let metrics: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(metrics["stopped"], "interrupted");
        let epochs = metrics["epochs_run"].as_u64().unwrap() as usize;
        let history = std::fs::read_to_string(folder.path().join("run/history.csv")).unwrap();
        assert_eq!(history.lines().count(), epochs + 1);
        std::fs::remove_file(folder.path().join("run/model.safetensors")).unwrap();
    }
}

#[test]
fn a_resumed_run_interrupted_twice_ends_at_once() {
    let folder = folder();
    killed(folder.path(), &["--set", "evaluate.bootstrap=1000000"]);
    for _ in 0..2 {
        let mut running = Running::start(folder.path(), &["train", "--resume", "run"]);
        running.until("going on in run with epoch");
        running.until("val_loss");
        running.signal("-INT");
        running.until("interrupted: the best weights so far are tested and saved");
        running.signal("-INT");
        let (code, out, told) = running.end();
        assert_eq!((code, out.as_str()), (Some(130), ""), "{told:?}");
        let last = "interrupted twice: ended at once, and what was written before is kept";
        assert_eq!(told.last().unwrap(), last);
        assert!(!folder.path().join("run/model.safetensors").exists());
    }
}

#[test]
fn a_resumed_study_is_interrupted_as_a_fresh_one_is() {
    let folder = folder();
    let fresh = "tune t.csv --target y --trials 2 --jobs 1 --out s --set network.hidden=[4] --set train.epochs=1000000 \
                 --set early_stopping.enabled=false --set optimizer.learning_rate={low=1e-3,high=1e-2,log=true}";
    let fresh: Vec<&str> = fresh.split_whitespace().collect();
    let names = || content(&folder.path().join("s")).into_keys().collect::<Vec<_>>();
    let mut before = None;
    for args in [&fresh[..], &["tune", "--resume", "s"], &["tune", "--resume", "s"]] {
        let mut running = Running::start(folder.path(), args);
        running.until("trial");
        running.until("epoch");
        running.signal("-INT");
        let (code, _, told) = running.end();
        assert_eq!(code, Some(130), "{told:?}");
        let last = told.last().unwrap();
        assert!(
            last.starts_with("interrupted with") && last.ends_with("statera tune --resume s"),
            "{told:?}"
        );
        // Nor locks of processes that have ended, of which there would be one more each time.
        let now = names();
        assert!(before.as_ref().is_none_or(|before| *before == now), "{before:?}, then {now:?}");
        before = Some(now);
    }
}

/// Who ends a process and its group at once sends one request twice.
#[test]
fn two_signals_at_once_are_one() {
    let folder = folder();
    let mut running = Running::start(folder.path(), &endless(&["--out", "run"]));
    running.until("val_loss");
    let pid = running.child.id().to_string();
    let both = ["-c", "kill -INT $0; kill -INT $0", &pid];
    assert!(std::process::Command::new("sh").args(both).status().unwrap().success());
    let (code, _, told) = running.end();
    assert_eq!(code, Some(130), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("interrupted twice")), "{told:?}");
    assert!(folder.path().join("run/model.safetensors").exists());
}

#[test]
fn an_interruption_while_a_run_is_tested_is_told() {
    let folder = folder();
    let args = ["--set", "evaluate.bootstrap=1000000", "--out", "run"];
    let args = [&["train", "t.csv", "--target", "y"], &QUICK[..], &args].concat();
    let told = "interrupted: training has ended already, and what it came to is tested and saved; Ctrl-C again ends at once";
    for twice in [true, false] {
        let mut running = Running::start(folder.path(), &args);
        running.until("stopped after 4 epochs");
        running.signal("-INT");
        running.until(told);
        if twice {
            running.signal("-INT");
            let (code, _, told) = running.end();
            assert_eq!(code, Some(130), "{told:?}");
            assert_eq!(told.last().unwrap(), "interrupted twice: ended at once, and nothing is kept");
            assert!(!folder.path().join("run").exists());
        } else {
            let begin = Instant::now();
            let output = running.child.wait_with_output().unwrap();
            assert!(begin.elapsed() < Duration::from_secs(60) && output.status.success());
            assert!(String::from_utf8(output.stdout).unwrap().contains("rmse"));
            assert!(folder.path().join("run/model.safetensors").exists());
        }
    }
}

#[test]
fn so_is_one_while_folds_are_tested() {
    let folder = folder();
    let args =
        ["--set", "evaluate.bootstrap=1000000", "--folds", "2", "--set", "split.test=0.2", "--out", "run"];
    let args = [&["train", "t.csv", "--target", "y"], &QUICK[..], &args].concat();
    let mut running = Running::start(folder.path(), &args);
    // Two folds at a time end in any order.
    running.until("fold ");
    running.until("fold ");
    running.signal("-INT");
    running.until("interrupted: training has ended already");
    let output = running.child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(folder.path().join("run/model.safetensors").exists());
}

#[test]
fn a_study_interrupted_twice_leaves_nothing() {
    let folder = folder();
    let before = content(folder.path());
    let args = "ablate t.csv --target y --seeds 2 --vary train.epochs=1000000 --set early_stopping.enabled=false \
                --set train.epochs=1 --set network.hidden=[4] --threads 1";
    let mut running = Running::start(folder.path(), &args.split_whitespace().collect::<Vec<_>>());
    running.until("trials");
    // One signal would end the study: two within the step that is under way end it at once.
    running.signal("-INT");
    running.signal("-INT");
    let (code, out, told) = running.end();
    assert_eq!(code, Some(130), "{told:?}");
    let after = content(folder.path());
    // If the first was heard before the second came, the trials that had ended are kept, all of their files whole.
    let kept = ["config.toml", "ablation.csv", "ablation.json", "ablation.svg"];
    let kept = kept.map(|file| after.contains_key(&folder.path().join("runs/t-ablate-1").join(file)));
    if told.iter().any(|line| line.contains("interrupted twice") && line.ends_with("nothing is kept")) {
        // What was printed before the second came cannot be taken back; files are.
        assert!(after == before, "{out} {:?}", after.keys());
    } else if told.iter().any(|line| line.starts_with("interrupted after 0 of")) {
        assert!(after == before, "{:?}", after.keys());
    } else {
        assert_eq!(kept, [true; 4], "{told:?} {:?}", after.keys());
    }
}

#[test]
fn an_interruption_before_there_is_anything_leaves_nothing() {
    let folder = folder();
    let before = content(folder.path());
    let mut running = Running::start(folder.path(), &["train", "/dev/stdin", "--target", "y"]);
    // The table is still coming in.
    let stdin = running.child.stdin.as_mut().unwrap();
    stdin.write_all(b"x,y\n1,2\n").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    // Not by SIGINT, which a suite that runs in the background hands on as ignored as long as nobody handles it.
    running.signal("-TERM");
    let (_, out, told) = running.end();
    assert!(out.is_empty() && told.is_empty(), "{out} {told:?}");
    assert!(content(folder.path()) == before);
}
