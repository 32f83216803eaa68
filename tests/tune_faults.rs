//! Studies whose disk fails at any write: the database stays whole, and what goes on comes to the same trials.
#![cfg(unix)]

use crate::cli;
use std::path::Path;
use std::process::Command;

use cli::{call, failing_disk, folder};

const STUDY: [&str; 17] = [
    "tune",
    "t.csv",
    "--target",
    "y",
    "--quiet",
    "--sampler",
    "random",
    "--jobs",
    "1",
    "--set",
    "train.epochs=2",
    "--set",
    "network.hidden=[4]",
    "--set",
    "evaluate.bootstrap=10",
    "--set",
    "optimizer.learning_rate={ low = 1e-3, high = 1e-1, log = true }",
];

/// The trials, without times.
fn trials(folder: &Path, study: &str) -> Vec<Vec<String>> {
    let out = call(folder, &["tune", "--list", study, "--export", "csv"]).done().out;
    let mut reader = csv::Reader::from_reader(out.as_bytes());
    let seconds = reader.headers().unwrap().iter().position(|name| name == "seconds");
    let rows = reader.records().map(|row| {
        let cells = row.unwrap();
        cells
            .iter()
            .enumerate()
            .filter(|(i, _)| Some(*i) != seconds)
            .map(|(_, cell)| cell.to_owned())
            .collect()
    });
    rows.collect()
}

#[track_caller]
fn assert_whole(file: &Path, k: usize) {
    let connection = rusqlite::Connection::open(file).unwrap();
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok", "write {k}");
}

/// Lets every write, flush and rename below the study's folder fail in turn, every new file and so on, and goes on after
/// each.
fn sweep(kind: &str) {
    let folder = folder();
    let disk = failing_disk(folder.path());
    let args = |place, name| [&STUDY[..], &["--trials", "2", place, name]].concat();
    call(folder.path(), &args("--out", "whole")).done();
    let whole = trials(folder.path(), "whole");
    assert_eq!(whole.len(), 2);
    let (study, mark) = (folder.path().join("faulty"), folder.path().join("failed"));
    let mut failed = 0;
    for k in 1.. {
        let output = Command::new(env!("CARGO_BIN_EXE_statera"))
            .args(args("--out", "faulty"))
            .current_dir(folder.path())
            .envs([("LD_PRELOAD", disk.to_str().unwrap()), ("FAULT_PATH", "/faulty")])
            .envs([("FAULT_AT", k.to_string().as_str()), ("FAULT_KIND", kind)])
            .env("FAULT_MARK", &mark)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if !mark.exists() {
            // There are fewer than k.
            println!("{kind}: {k} operations, {failed} ended the study");
            assert!(k > 10 && output.status.success(), "{k}: {told}");
            break;
        }
        let ended = output.status.code();
        failed += usize::from(ended != Some(0));
        assert!(
            ended == Some(0) || ended == Some(if kind == "cut" { 86 } else { 1 }),
            "{kind} {k}: {ended:?} {told}"
        );
        assert!(!told.contains(".tmp"), "{kind} {k}: nobody has typed that name: {told}");
        if study.join("config.toml").exists() {
            assert_whole(&study.join("study.db"), k);
            // It knows its space, and what it was asked.
            call(folder.path(), &["tune", "--resume", "faulty", "--jobs", "1", "--quiet"]).done();
            assert!(study.join("tune.json").exists(), "{kind} {k}");
            assert_eq!(trials(folder.path(), "faulty"), whole, "{kind} {k}");
            assert_whole(&study.join("study.db"), k);
        } else if ended == Some(1) {
            assert!(!study.exists(), "{kind} {k}: a study that could not begin leaves nothing");
        }
        let _ = std::fs::remove_dir_all(&study);
        let _ = std::fs::remove_file(&mark);
    }
    assert!(failed > 5, "{kind}: {failed}");
}

#[test]
fn the_power_may_go_at_any_write_of_a_study() {
    sweep("cut");
}

#[test]
fn any_write_of_a_study_may_fail() {
    sweep("once");
}
