//! `statera predict`: columns that are kept beside predictions, and what is told of cells that cannot be read.

use crate::cli;
use std::fmt::Write as _;
use std::path::Path;

use cli::{call, folder, quick};

/// A folder with a model of `t.csv`, which has the columns id, x, k and y.
fn trained() -> tempfile::TempDir {
    let folder = folder();
    let mut text = "id,x,k,y\n".to_owned();
    for i in 0..90 {
        writeln!(text, "n{i},{}.5,{},{}", i * 7 % 50, i % 11, i * 3 % 17 + i * 7 % 50).unwrap();
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    call(folder.path(), &quick("t.csv", "y", &["--task", "regression", "--out", "run"])).done();
    folder
}

fn one_line(text: &str) -> String {
    text.replace('\u{a0}', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines of what is predicted of a table.
fn predicted(folder: &Path, table: &str, more: &[&str]) -> Vec<String> {
    let out = call(folder, &[&["predict", "run", table], more].concat()).done().out;
    out.lines().map(str::to_owned).collect()
}

#[test]
fn kept_columns_stand_in_front_of_the_predictions_as_they_are_in_the_table() {
    let folder = trained();
    let path = folder.path();
    // More rows than a block of a text has, so that the table comes in pieces; most of a piece is the note.
    let note = "so it goes ".repeat(200);
    let mut text = "note,id,x,k\n".to_owned();
    for i in 0..3_000 {
        let id = if i % 5 == 0 { String::new() } else { format!("\"n,{i}\"") };
        writeln!(text, "{note}{i},{id},{}.50,{}", i * 7 % 50, i % 11).unwrap();
    }
    std::fs::write(path.join("u.csv"), &text).unwrap();
    let alone = predicted(path, "u.csv", &[]);
    let kept = predicted(path, "u.csv", &["--keep", "id", "--keep", "x"]);
    assert_eq!((kept.len(), kept[0].as_str()), (3_001, "id,x,prediction"));
    for (i, line) in kept[1..].iter().enumerate() {
        let id = if i % 5 == 0 { String::new() } else { format!("\"n,{i}\"") };
        assert_eq!(*line, format!("{id},{}.50,{}", i * 7 % 50, alone[i + 1]), "row {i} in its place");
    }
    // In the order that is asked for, behind the lines of the file where rows may be left out.
    let lines = predicted(path, "u.csv", &["--bad-rows", "skip", "--keep", "x", "--keep", "id"]);
    assert_eq!(lines[0], "file,line,x,id,prediction");
    assert_eq!(lines[2], format!("u.csv,3,7.50,\"n,1\",{}", alone[2]));

    for (keep, told) in [
        (&["--keep", "Id"][..], "--keep: there is no column `Id` in u.csv\n  try: did you mean `id`?"),
        (&["--keep", "x", "--keep", "x"], "--keep: column `x` is named twice"),
    ] {
        let refused = call(path, &[&["predict", "run", "u.csv", "-o", "p.csv"], keep].concat());
        assert!(refused.code == 2 && refused.err.contains(told), "{}", refused.err);
        assert!(!path.join("p.csv").exists());
    }
    std::fs::write(path.join("v.csv"), "prediction,x,k\n1,2,3\n").unwrap();
    let refused = call(path, &["predict", "run", "v.csv", "--keep", "prediction"]);
    assert!(
        refused.code == 2 && refused.err.contains("column `prediction` is named like one"),
        "{}",
        refused.err
    );
}

#[test]
fn words_that_cannot_be_read_are_told_together() {
    let folder = trained();
    let path = folder.path();
    std::fs::write(path.join("u.csv"), "x,k\noops,1\n2.5,2\nwhat,many\noops,3\nnope,4\nmore,5\n").unwrap();
    let told = one_line(&call(path, &["predict", "run", "u.csv"]).done().err);
    assert!(
        told.contains(
            "row 1 (line 2), column `x`: expected a finite number, found `oops`, further on `what` and `nope`; 5 such cells"
        ),
        "{told}"
    );
    assert!(
        told.contains("row 3 (line 4), column `k`: expected a finite number, found `many`; 1 such cell"),
        "{told}"
    );

    // A column of which nothing can be read is refused, and so is the next.
    std::fs::write(path.join("u.csv"), "x,k\noops,\nwhat,\noops,\n").unwrap();
    let refused = call(path, &["predict", "run", "u.csv"]);
    let told = one_line(&refused.err);
    assert!(refused.code == 1, "{told}");
    for words in [
        "found `oops`, further on `what`; none of its 3 cells can be read, and training has lacked none; nor any of column `k`, \
         where every cell is missing",
        "mend the columns, or --allow-blank",
    ] {
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_cell_that_the_other_decimal_mark_explains_names_the_option() {
    let folder = folder();
    let path = folder.path();
    let mut text = "x;y\n".to_owned();
    for i in 0..90 {
        writeln!(text, "{},5;{},25", i * 7 % 50, i * 3 % 17 + i * 7 % 50).unwrap();
    }
    std::fs::write(path.join("t.csv"), text).unwrap();
    call(path, &quick("t.csv", "y", &["--task", "regression", "--out", "run"])).done();
    std::fs::write(path.join("u.csv"), "x;z\n1,5;1\n\"1,234.50\";2\n2,5;3\n").unwrap();
    let told = one_line(&call(path, &["predict", "run", "u.csv"]).done().err);
    assert!(
        told.contains(
            "expected a finite number, found `1,234.50` (1234.5 with --decimal point); 1 such cell"
        ),
        "{told}"
    );
    // And so it is.
    std::fs::write(path.join("v.csv"), "x;z\n\"1,234.50\";2\n").unwrap();
    std::fs::write(path.join("w.csv"), "x;z\n1234.5;2\n").unwrap();
    let point = |table: &str| predicted(path, table, &["--decimal", "point"]);
    assert_eq!(point("v.csv"), point("w.csv"));
    // Nothing is said of a word that no mark explains.
    std::fs::write(path.join("u.csv"), "x;z\n1,5;1\nmany;2\n2,5;3\n").unwrap();
    assert!(!call(path, &["predict", "run", "u.csv"]).done().err.contains("--decimal"));
}
