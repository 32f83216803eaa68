//! Tables that are odd and not wrong: they are learned from and predicted, and what was done is said.

use crate::cli;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use cli::{call, cells, content, folder, quick, table};
use serde_json::Value;

/// The lines of a text, each cut at commas: a CSV without quotes.
fn csv(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split(',').collect()).collect()
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{text}\n  lacks: {word}");
    }
}

/// The figures of a training on these bytes, all but the time it took.
fn figures(bytes: &[u8], more: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), bytes).unwrap();
    let mut figures = call(folder.path(), &quick("t.csv", "y", &[&["--json"], more].concat())).done().json();
    for changing in ["fit_seconds", "data_sha256"] {
        figures.as_object_mut().unwrap().remove(changing).unwrap();
    }
    figures
}

#[test]
fn columns_that_teach_nothing_are_dropped_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let text = rows_with(&["empty", "same", "id", "words"], |i| {
        vec!["NA".into(), "7".into(), i.to_string(), format!("w{i}")]
    });
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let told = call(folder.path(), &quick("t.csv", "y", &["--out", "run"])).done().err;
    let line = |name: &str| told.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    says(&line("empty"), &["dropped", "all 84 training cells are missing"]);
    says(&line("same"), &["dropped", "constant: every training cell is `7`"]);
    says(&line("id "), &["dropped", "whole numbers, all 84 different, named like an identifier"]);
    says(&line("words"), &["dropped", "text that is different in every training row"]);
    says(&told, &["override: --set data.columns.NAME.kind=category"]);
    let schema: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("run/schema.json")).unwrap()).unwrap();
    let dropped = |c: &&Value| !c["dropped"].is_null();
    let names: Vec<&str> = schema["columns"]
        .as_array()
        .unwrap()
        .iter()
        .filter(dropped)
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["empty", "same", "id", "words"]);
}

/// The common table with further columns.
fn rows_with(names: &[&str], more: impl Fn(usize) -> Vec<String>) -> String {
    let mut lines = table(&["x", "k", "colour", "y"], 0..120).lines().map(str::to_owned).collect::<Vec<_>>();
    lines[0] = format!("{},{}", lines[0], names.join(","));
    for (i, line) in lines.iter_mut().skip(1).enumerate() {
        write!(line, ",{}", more(i).join(",")).unwrap();
    }
    lines.join("\n") + "\n"
}

#[test]
fn a_dropped_column_may_hold_anything() {
    let folder = tempfile::tempdir().unwrap();
    let slip = |i: usize| vec![if i == 50 { "slip".into() } else { format!("{i}.5") }];
    std::fs::write(folder.path().join("t.csv"), rows_with(&["z"], slip)).unwrap();
    let outcome = call(folder.path(), &quick("t.csv", "y", &[]));
    assert_eq!(outcome.code, 1);
    says(&outcome.err, &["row 51 (line 52), column `z`: expected a number, found `slip`"]);
    let told = call(folder.path(), &quick("t.csv", "y", &["--set", "data.columns.z.drop=true"])).done().err;
    let line = told.lines().find(|line| line.trim_start().starts_with("z ")).unwrap();
    says(line, &["dropped", "as set"]);
}

#[test]
fn line_ends_marks_quotes_and_padding_make_no_difference() {
    let plain = table(&["x", "k", "colour", "y"], 0..120);
    let expected = figures(plain.as_bytes(), &[]);
    let quoted = plain.lines().map(|line| format!("\"{}\"\n", line.replace(',', "\",\"")));
    for (name, text) in [
        ("a byte order mark", format!("\u{feff}{plain}")),
        ("CRLF", plain.replace('\n', "\r\n")),
        ("no last line end", plain.trim_end().to_owned()),
        ("quotes", quoted.collect()),
        ("padding", plain.replace(',', " , ")),
        ("blank lines", plain.replace('\n', "\n\n")),
        ("other words for missing cells", plain.replace("\n,", "\nN/A,")),
    ] {
        assert_ne!(text, plain, "{name}");
        assert_eq!(figures(text.as_bytes(), &[]), expected, "{name}");
    }
    for word in ["unknown", "-999", "-Infinity"] {
        let text = plain.replace("\n,", &format!("\n{word},"));
        assert_eq!(figures(text.as_bytes(), &["--null", word]), expected, "{word}");
    }
}

#[test]
fn cells_may_hold_line_breaks_and_commas() {
    let folder = tempfile::tempdir().unwrap();
    let text = table(&["x", "k", "colour", "y"], 0..120).replace("green", "\"light\ngreen, \"\"pale\"\"\"");
    std::fs::write(folder.path().join("t.csv"), &text).unwrap();
    call(folder.path(), &quick("t.csv", "colour", &["--out", "run"])).done();
    let predicted = call(folder.path(), &["predict", "run", "t.csv"]).done().out;
    let mut reader = csv::Reader::from_reader(predicted.as_bytes());
    let header = reader.headers().unwrap().clone();
    assert!(header.iter().any(|name| name == "probability_light\ngreen, \"pale\""), "{header:?}");
    assert_eq!(reader.records().count(), 120);
}

#[test]
fn ten_thousand_columns_are_learned_from_in_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..10_000).map(|c| format!("c{c}")).collect();
    let mut text = names.join(",") + ",y\n";
    for row in 0..40_usize {
        for c in 0..10_000_usize {
            write!(text, "{},", (row * (c % 50 + 1) + c) % 97).unwrap();
        }
        writeln!(text, "{}", row as f64 * 1.5 % 7.0).unwrap();
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let begin = Instant::now();
    let told = call(folder.path(), &quick("t.csv", "y", &[])).done().err;
    // Seconds even without the compiler's help; what is quadratic in the columns takes far longer.
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    says(&told, &["40 rows, 10,001 columns", "… and 9,960 more columns", "10,000 inputs"]);
    assert!(told.lines().count() < 90, "{told}");
}

#[test]
fn small_tables_are_learned_from_as_far_as_they_go() {
    let folder = tempfile::tempdir().unwrap();
    for (n, more) in [(14, &[][..]), (12, &["--set", "split.val=0.2", "--set", "split.test=0"])] {
        std::fs::write(folder.path().join("t.csv"), table(&["x", "k", "y"], 0..n)).unwrap();
        let outcome = call(folder.path(), &quick("t.csv", "y", more)).done();
        let tested = outcome.out.contains("Test on 2 rows");
        assert_eq!(tested, more.is_empty(), "{}", outcome.out);
    }
}

#[test]
fn rows_without_a_target_are_left_out_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let without = |i: usize| [3, 50, 51].contains(&i);
    let mut text = String::from("x,k,y\n");
    for i in 0..120 {
        let row = cells(i);
        let y = if without(i) { "NA" } else { &row[3].1 };
        writeln!(text, "{},{},{y}", row[0].1, row[1].1).unwrap();
    }
    std::fs::write(folder.path().join("t.csv"), &text).unwrap();
    let outcome = call(folder.path(), &quick("t.csv", "y", &["--out", "run", "--json"])).done();
    says(&outcome.err, &["left out", "3 rows", "without a `y` nothing can be learned or tested"]);
    let n = &outcome.json()["n_rows"];
    assert_eq!(n["train"].as_u64().unwrap() + n["val"].as_u64().unwrap() + n["test"].as_u64().unwrap(), 117);
    // They can be predicted, and are left out when measuring.
    let predicted = call(folder.path(), &["predict", "run", "t.csv"]).done();
    assert_eq!(predicted.out.lines().count(), 121);
    let measured = call(folder.path(), &["evaluate", "run", "t.csv", "--json"]).done();
    assert_eq!(measured.json()["n_rows"], 117);
    says(&measured.err, &["note: 3 rows without `y` left out"]);
}

#[test]
fn what_a_table_to_predict_lacks_or_has_too_much_is_counted_and_allowed() {
    let folder = folder();
    call(folder.path(), &quick("t.csv", "y", &["--out", "run"])).done();
    let write = |text: &str| std::fs::write(folder.path().join("u.csv"), text).unwrap();
    let predict = || call(folder.path(), &["predict", "run", "u.csv"]).done();
    write(&table(&["x", "k", "colour", "y"], 120..140));
    let expected = predict();

    write(&table(&["colour", "k", "x"], 120..140));
    assert_eq!(predict().out, expected.out, "neither the order of columns nor the target matters");
    write(&table(&["yes", "colour", "grade", "k", "x"], 120..140));
    let more = predict();
    assert_eq!(more.out, expected.out);
    says(&more.err, &["note: 2 columns that the model does not use: `yes`, `grade`"]);

    write("x,k,colour\n1,2,red\n,,\n1,x2,violet\n1,2,pink\n1,1e999,red\n");
    let odd = predict();
    assert_eq!(odd.out.lines().count(), 6);
    assert!(
        csv(&odd.out).iter().skip(1).all(|row| row[0].parse::<f64>().unwrap().is_finite()),
        "{}",
        odd.out
    );
    says(
        &odd.err,
        &[
            "note: row 3 (line 4), column `k`: expected a finite number, found `x2`, further on `1e999`; 2 such cells of this column",
            "note: column `x`: 1 missing cell, filled in as in training",
            "note: column `k`: 3 missing cells",
            "note: column `colour`: 1 missing cell",
            "note: column `colour`: 2 cells of categories not seen in training (`violet`, `pink`)",
        ],
    );
    let quiet = call(folder.path(), &["predict", "run", "u.csv", "--quiet"]).done();
    assert_eq!((quiet.out, quiet.err.as_str()), (odd.out, ""));
}

#[test]
fn predictions_that_are_not_finite_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), table(&["x", "k", "y", "grade"], 0..120)).unwrap();
    std::fs::write(folder.path().join("u.csv"), "x,k,y\n1,2,3\n1e300,2,3\n1,-1e300,3\n").unwrap();
    for (target, finite) in [("y", "NaN"), ("grade", "")] {
        let _ = std::fs::remove_dir_all(folder.path().join("run"));
        let other = if target == "y" { "data.columns.grade.drop=true" } else { "data.columns.y.drop=true" };
        let more = ["--out", "run", "--set", other];
        call(folder.path(), &quick("t.csv", target, &more)).done();
        let outcome = call(folder.path(), &["predict", "run", "u.csv"]).done();
        says(&outcome.err, &["warning: 2 predictions are not finite, the first in row 2"]);
        let rows = csv(&outcome.out);
        assert_eq!((rows[2][0], rows[3][0]), (finite, finite), "{}", outcome.out);
        assert_ne!(rows[1][0], finite);
    }
}

#[test]
fn a_run_that_diverges_late_keeps_its_best_weights() {
    let folder = folder();
    let more = [
        "--out",
        "run",
        "--json",
        "--quiet",
        "--set",
        "train.epochs=60",
        "--set",
        "network.activation=linear",
        "--set",
        "prepare.target_scale=none",
        "--set",
        "optimizer.name=sgd",
        "--set",
        "optimizer.momentum=0",
        "--set",
        "optimizer.learning_rate=0.5",
    ];
    let outcome = call(folder.path(), &quick("t.csv", "y", &more)).done();
    let metrics = outcome.json();
    let run = metrics["epochs_run"].as_u64().unwrap();
    assert!((1..60).contains(&run), "{metrics}");
    let epoch = format!("in epoch {} the loss stopped being finite, beginning with ", run + 1);
    says(
        &outcome.err,
        &[
            "warning: ",
            &epoch,
            "the best weights",
            "--set optimizer.learning_rate=0.0",
            "a range test suggests",
        ],
    );
    says(metrics["stopped"].as_str().unwrap(), &["the loss is not finite in epoch"]);
    assert!(metrics["val"]["rmse"].is_number() && metrics["test"]["rmse"]["value"].is_number(), "{metrics}");
    let predicted = call(folder.path(), &["predict", "run", "t.csv"]).done().out;
    assert!(csv(&predicted).iter().skip(1).all(|row| row[0].parse::<f64>().unwrap().is_finite()));

    // The weights of the last step are those that went astray: they are not kept even if the last are asked for.
    let last = [&more[2..], &["--out", "last", "--set", "checkpoint.restore_best=false"]].concat();
    let outcome = call(folder.path(), &quick("t.csv", "y", &last)).done();
    says(&outcome.err, &["the best weights"]);
    let last = outcome.json();
    for figure in ["best_epoch", "val", "test"] {
        assert_eq!(last[figure], metrics[figure], "{figure}");
    }
}

#[test]
fn the_last_weights_are_kept_where_that_is_asked_for() {
    let folder = folder();
    // Steps so long that a later epoch is worse than the best.
    let more = ["--json", "--quiet", "--set", "optimizer.learning_rate=0.3", "--set", "train.epochs=41"];
    let best = call(folder.path(), &quick("t.csv", "y", &more)).done().json();
    let more = [&more[..], &["--set", "checkpoint.restore_best=false"]].concat();
    let last = call(folder.path(), &quick("t.csv", "y", &more)).done().json();
    assert_eq!((best["epochs_run"].as_u64(), last["best_epoch"].as_u64()), (Some(41), Some(41)));
    assert_ne!(best["best_epoch"], 41, "{best}");
    assert_ne!(best["val"], last["val"]);
}

#[test]
fn what_of_a_file_loses_its_effect_by_the_command_line_is_said_and_left_out() {
    let folder = folder();
    let base = "[optimizer]\nname = \"adamw\"\nbeta2 = 0.95\n[split]\ntest = 0.3\n";
    std::fs::write(folder.path().join("base.toml"), base).unwrap();
    let more = ["--config", "base.toml", "--set", "optimizer.name=sgd", "--out", "run", "--quiet"];
    let outcome = call(folder.path(), &quick("t.csv", "y", &more)).done();
    let warning =
        "warning: base.toml: `optimizer.beta2` = 0.95 has no effect with `optimizer.name` = \"sgd\"";
    says(&outcome.err, &[warning, "it is left out"]);
    assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
    // The run's own settings are read again without a word.
    let again = ["train", "--config", "run/config.toml", "--out", "again", "--quiet"];
    assert_eq!(call(folder.path(), &again).done().err, "");
    // A column that splits takes the place of the shares.
    let mut lines: Vec<String> = table(&["x", "k", "y"], 0..120).lines().map(str::to_owned).collect();
    lines[0] += ",part";
    for (i, line) in lines.iter_mut().skip(1).enumerate() {
        line.push_str([",train", ",train", ",val", ",test"][i % 4]);
    }
    std::fs::write(folder.path().join("s.csv"), lines.join("\n")).unwrap();
    let more = ["--config", "base.toml", "--split-column", "part", "--set", "split.val=0.4"];
    let outcome = call(folder.path(), &quick("s.csv", "y", &more)).done();
    says(
        &outcome.err,
        &["warning: base.toml: `split.test` = 0.3 has no effect with `split.column` = \"part\""],
    );
    let told = outcome.err.split_whitespace().collect::<Vec<_>>().join(" ");
    says(&told, &["as column `part` says; split.val and split.stratify have no say in it"]);
}

#[test]
fn names_of_files_and_columns_may_be_odd() {
    let folder = tempfile::tempdir().unwrap();
    let file = "--my data; $(touch x) é'.csv";
    let text = table(&["x", "k", "y"], 0..60).replacen("x,k,y", "task,split,\"a = \"\"b\"\"\"", 1);
    std::fs::write(folder.path().join(file), text).unwrap();
    let path = format!("./{file}");
    let outcome = call(folder.path(), &quick(&path, "a = \"b\"", &["--split-column", ""])).done();
    says(&outcome.out, &["Saved in runs/my_data____touch_x__é-1\n", r"'./--my data; $(touch x) é'\''.csv'"]);
    says(&outcome.err, &["  task    number", "  split   number"]);
    let again = call(folder.path(), &quick(&path, "a = \"b\"", &[])).done();
    says(&again.out, &["Saved in runs/my_data____touch_x__é-2\n"]);
    let made: Vec<_> =
        content(&folder.path().join("runs")).into_iter().filter(|(_, c)| c.is_none()).collect();
    assert_eq!(made.len(), 2);
}

#[test]
fn json_without_nan_and_cells_in_another_dress_say_what_to_type() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, text: &str, words: &[&str]| {
        std::fs::write(folder.path().join(name), text).unwrap();
        let outcome = call(folder.path(), &["train", name, "--target", "y"]);
        let told = outcome.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(outcome.code == 1 && words.iter().all(|word| told.contains(word)), "{told}");
    };
    let rows = "{\"x\":1,\"y\":2}\n".repeat(3);
    let words = ["JSON has no NaN", "try: write null where there is no number"];
    refused(
        "first.ndjson",
        &format!("{{\"x\":NaN,\"y\":1}}\n{rows}"),
        &[&words[..], &["row 1 (line 1)"]].concat(),
    );
    refused(
        "later.ndjson",
        &format!("{rows}{{\"x\":NaN,\"y\":1}}\n"),
        &[&words[..], &["row 4 (line 4)"]].concat(),
    );
    refused("all.ndjson", "{\"x\":-Infinity,\"y\":1}\n", &["JSON has no Infinity", "row 1 (line 1)"]);
    refused("word.ndjson", "{\"x\":\"NaN\",\"y\":1\n", &["expected a JSON object"]);

    let column = |odd: &str| {
        let rows: String = (0..60).map(|i| format!("{}.5;{}\n", i * 7 % 50, i * 3 % 17)).collect();
        format!("x;y\n{rows}{odd};3\n")
    };
    refused(
        "comma.csv",
        &column("1,5"),
        &["found `1,5`", "try: write 1.5 in its place, or --null 1,5 to take it as missing"],
    );
    refused("word.csv", &column("much"), &["found `much` try: --null much to take it as missing"]);
}
