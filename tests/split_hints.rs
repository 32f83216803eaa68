//! Hints at how rows should be split, where nobody has said.

use crate::cli;
use std::fmt::Write as _;
use std::path::Path;

use cli::{call, can_be_pasted_into_every_recipe};
use serde_json::Value;

/// The concern and the line of each warning that is a hint at a split.
fn hints(folder: &Path, table: &str, more: &[&str]) -> Vec<(String, String)> {
    let args = [&["profile", table, "--json"], more].concat();
    let found: Value = serde_json::from_str(&call(folder, &args).done().out).unwrap();
    let warnings = found["warnings"].as_array().unwrap().iter();
    let of = |w: &Value, key: &str| w[key].as_str().unwrap().to_owned();
    let hints = warnings.map(|w| (of(w, "concern"), of(w, "line")));
    hints.filter(|(concern, _)| ["entities", "in_time"].contains(&concern.as_str())).collect()
}

fn file(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).to_str().unwrap().to_owned()
}

#[test]
fn rows_of_one_patient_ask_for_a_split_by_patients() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let visits = file("data/visits.csv");
    let line = "split.group = \"patient\"";
    assert_eq!(hints(path, &visits, &["--target", "result"]), [("entities".to_owned(), line.to_owned())]);
    can_be_pasted_into_every_recipe(line, &path.join("pasted.toml"));
    // Whoever says how rows are split, or leaves the column out, is told nothing.
    for set in ["split.group=patient", "split.time=day", "split.group=day"] {
        assert_eq!(hints(path, &visits, &["--target", "result", "--set", set]), [], "{set}");
    }
    let time = [("in_time".to_owned(), "split.time = \"day\"".to_owned())];
    assert_eq!(hints(path, &visits, &["--set", "data.columns.patient.drop=true"]), time);
    can_be_pasted_into_every_recipe(&time[0].1, &path.join("pasted.toml"));

    let quick = ["--target", "result", "--set", "train.epochs=1", "--set", "evaluate.bootstrap=0"];
    let train = |table: &str, more: &[&str]| {
        let told = call(path, &[&["train", table], &quick[..], more].concat()).done().err;
        told.replace('\u{a0}', " ").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let told = train(&visits, &[]);
    assert_eq!(told.matches(line).count(), 1, "{told}");
    assert!(told.contains("rows of one group: `patient`: 30 different values in 336 rows"), "{told}");
    assert!(!train(&visits, &["--set", "split.group=patient"]).contains("rows of one group"));

    // Of so many that nothing is learned of the column, it is hinted at all the same.
    let mut text = "customer_id,x,result\n".to_owned();
    for i in 0..6_000 {
        writeln!(text, "c{:04},{},{}", i * 7 % 1_300, i * 7 % 50, i * 13 % 101).unwrap();
    }
    std::fs::write(path.join("many.csv"), text).unwrap();
    let told = train("many.csv", &["--task", "regression"]);
    assert_eq!(told.matches("split.group = \"customer_id\"").count(), 1, "{told}");
    assert_eq!(hints(path, "many.csv", &["--target", "result"]).len(), 1);
}

#[test]
fn dates_ask_for_the_order_of_time_unless_they_are_birthdays_or_lacking() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let write = |name: &str, gap: bool| {
        let mut text = format!("{name},x,y\n");
        for i in 0..60 {
            let date = format!("2024-{:02}-{:02}", 1 + i % 12, 1 + i / 3);
            let date = if gap && i == 7 { "" } else { &date };
            writeln!(text, "{date},{},{}", i * 7 % 50, i * 13 % 101).unwrap();
        }
        std::fs::write(path.join("t.csv"), text).unwrap();
        hints(path, "t.csv", &["--target", "y"])
    };
    assert_eq!(write("sold on", false), [("in_time".to_owned(), "split.time = \"sold on\"".to_owned())]);
    assert_eq!(write("date_of_birth", false), []);
    assert_eq!(write("sold on", true), []);
}

/// Tables of which no row has to do with another: ours, and those that are fetched, where they are.
#[test]
fn tables_of_rows_for_themselves_get_no_hint() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut n = 0;
    for part in ["data", "target/tables"] {
        for entry in std::fs::read_dir(root.join(part)).into_iter().flatten() {
            let table = entry.unwrap().path();
            if table.extension().is_some_and(|end| end == "csv") && !table.ends_with("visits.csv") {
                n += 1;
                assert_eq!(hints(folder.path(), table.to_str().unwrap(), &[]), [], "{}", table.display());
            }
        }
    }
    assert!(n >= 4, "{n} tables");
}

/// All lines of one profile go together: what groups the rows is no input to be set.
#[test]
fn all_lines_of_a_table_of_patients_can_be_pasted_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut text = "patient_id,x,sick\n".to_owned();
    for i in 0..320 {
        let patient = i % 40;
        writeln!(text, "p{patient},{}.5,{}", i * 37 % 311, if patient % 3 == 0 { "yes" } else { "no" })
            .unwrap();
    }
    std::fs::write(path.join("p.csv"), text).unwrap();
    let found = call(path, &["profile", "p.csv", "--target", "sick", "--json"]).done().out;
    let found: Value = serde_json::from_str(&found).unwrap();
    let lines: Vec<&str> =
        found["warnings"].as_array().unwrap().iter().map(|w| w["line"].as_str().unwrap()).collect();
    // The leak by the patients is still told, and the line at the groups cures it.
    assert_eq!(lines.iter().filter(|line| **line == "split.group = \"patient_id\"").count(), 2, "{lines:?}");
    assert!(found["warnings"][0]["concern"] == "leak", "{found}");
    std::fs::write(path.join("all.toml"), lines.join("\n")).unwrap();
    let quick = ["--target", "sick", "--set", "train.epochs=1", "--set", "evaluate.bootstrap=0"];
    call(path, &[&["train", "p.csv", "--config", "all.toml"], &quick[..]].concat()).done();
}

/// A run from disk is told of nothing whose line it refuses.
#[test]
fn hints_of_a_run_from_disk_can_be_followed_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut text = "x,z,rare\n".to_owned();
    for i in 0..400 {
        let (x, class) = (i % 200, if i % 20 == 0 { "yes" } else { "no" });
        writeln!(text, "{},{},{class}", x * 7 % 50, x * 11 % 37).unwrap();
    }
    std::fs::write(path.join("t.csv"), text).unwrap();
    let quick =
        ["train", "t.csv", "--target", "rare", "--set", "train.epochs=1", "--set", "evaluate.bootstrap=0"];
    let told = |more: &[&str]| call(path, &[&quick[..], more].concat()).done().err;
    let lines = ["data.drop_duplicates = true", "loss.class_weights = \"balanced\""];
    let in_memory = told(&[]);
    let from_disk = told(&["--set", "data.stream=always", "--cache", "cache"]);
    for line in lines {
        assert!(in_memory.contains(line), "{line}: {in_memory}");
        assert!(!from_disk.contains(line), "{line}: {from_disk}");
    }
}
