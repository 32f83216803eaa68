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
