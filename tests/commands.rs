//! The commands from outside: what they print, what they write, and that the same call comes to the same bytes.

use crate::cli;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use cli::{call, folder, quick, statera, table};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn model_of(run: &Path) -> Vec<u8> {
    std::fs::read(run.join("model.safetensors")).unwrap()
}

/// What tells one model's bytes from another's, short enough to be shown.
fn sum(run: &Path) -> String {
    format!("{:x?}", Sha256::digest(model_of(run)))
}

/// The rows of a CSV without quotes, the header's first.
fn csv(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split(',').collect()).collect()
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_summary_of_the_recipe_shows_ten_layers() {
    let summary = call(root(), &["summary", "recipes/insurance.toml"]).done().out;
    assert_eq!(summary.lines().filter(|line| line.trim_start().starts_with("layers.")).count(), 10);
    insta::assert_snapshot!("summary_of_the_recipe", summary);
}

#[test]
fn the_listing_of_settings_is_a_configuration_itself() {
    let folder = tempfile::tempdir().unwrap();
    let listing = call(folder.path(), &["config", "--defaults"]).done().out;
    insta::assert_snapshot!("config_defaults", listing);
    std::fs::write(folder.path().join("all.toml"), &listing).unwrap();
    let checked = call(folder.path(), &["config", "--check", "all.toml"]).done().out;
    assert_eq!(checked, "all.toml is right: every key is known and every value in its range\n");
    let shown = call(folder.path(), &["config", "--show", "all.toml"]).done().out;
    std::fs::write(folder.path().join("shown.toml"), &shown).unwrap();
    assert_eq!(call(folder.path(), &["config", "--show", "shown.toml"]).done().out, shown);
}

#[test]
fn help_says_what_is_left_behind_and_with_which_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!("help", call(folder.path(), &["--help"]).done().out);
    insta::assert_snapshot!("help_of_train", call(folder.path(), &["train", "--help"]).done().out);
    for command in ["train", "predict", "evaluate", "summary", "config", "ablate", "tune"] {
        let help = call(folder.path(), &[command, "--help"]).done().out;
        let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "{command}: {wide:?}");
    }
    let version = call(folder.path(), &["--version"]).done().out;
    assert_eq!(version, format!("statera {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(call(folder.path(), &[]).code, 2);
}

/// The texts of the errors that people meet first.
#[test]
fn errors_read_as_they_should() {
    let folder = folder();
    let mut texts = String::new();
    for args in [
        "train tt.csv --target y",
        "train t.csv --target color",
        "train t.csv",
        "train t.csv --target y --set train.epoch=3",
        "train t.csv --target y --set train.epochs=0",
        "train t.csv --target y --set loss.name=binary_crossentropy",
        "train t.csv --target y --out t.csv",
        "predict runs/none t.csv",
        "predict t.csv t.csv",
    ] {
        let outcome = call(folder.path(), &args.split(' ').collect::<Vec<_>>());
        assert_ne!(outcome.code, 0);
        write!(texts, "$ statera {args}\n{}-> {}\n\n", outcome.err, outcome.code).unwrap();
    }
    insta::assert_snapshot!("errors", texts);
}

#[test]
fn what_is_printed_of_a_plan_fits_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let data = root().join("data/insurance.csv");
    std::fs::copy(data, folder.path().join("insurance.csv")).unwrap();
    let outcome = call(folder.path(), &quick("insurance.csv", "charges", &[])).done();
    let plan = outcome.err.split("  epoch 1/").next().unwrap();
    insta::assert_snapshot!("plan", plan);
    for text in [&outcome.out, &outcome.err] {
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "{wide:?}");
    }
    for words in [
        "Test on 201 rows kept out of training (95 % intervals",
        "least squares",
        "Saved in runs/insurance-1",
    ] {
        assert!(outcome.out.contains(words), "{}", outcome.out);
    }
    let verdict = outcome.out.lines().find(|line| line.starts_with("The network ")).unwrap();
    assert!(verdict.contains(" % [") || verdict.contains("over ten times"), "{verdict}");
}

#[test]
fn a_run_folder_holds_everything_about_its_run() {
    let folder = folder();
    let outcome = call(folder.path(), &quick("t.csv", "y", &["--json", "--seed", "7"])).done();
    let run = folder.path().join("runs/t-1");
    let mut names: Vec<String> =
        std::fs::read_dir(&run).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    let expected = [
        "config.toml",
        "events.jsonl",
        "history.csv",
        "metrics.json",
        "model.safetensors",
        "run.json",
        "schema.json",
    ];
    assert_eq!(names, expected);

    let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    let metrics: Value = serde_json::from_str(&read("metrics.json")).unwrap();
    assert_eq!(outcome.json(), metrics, "what is printed is what is kept");
    assert_eq!(
        keys(&metrics),
        [
            "task",
            "target",
            "n_rows",
            "cross_validation",
            "val",
            "test",
            "baselines",
            "classes_without_test_rows",
            "comparison",
            "intervals",
            "best_epoch",
            "epochs_run",
            "stopped",
            "fit_seconds",
            "seed",
            "data_sha256",
            "version"
        ]
    );
    assert_eq!((&metrics["task"], &metrics["target"]), (&"regression".into(), &"y".into()));
    assert_eq!(metrics["n_rows"], serde_json::json!({ "train": 84, "val": 18, "test": 18 }));
    assert_eq!(keys(&metrics["baselines"]), ["mean", "least_squares"]);
    for name in ["rmse", "mae", "r2", "median_ae", "mse"] {
        let value = metrics["test"][name]["value"].as_f64().unwrap();
        let ci: Vec<f64> = serde_json::from_value(metrics["test"][name]["ci95"].clone()).unwrap();
        assert!(ci.len() == 2 && ci[0] <= value && value <= ci[1], "{name}: {value} {ci:?}");
        assert!(metrics["val"][name].is_f64() && metrics["baselines"]["mean"][name].is_f64(), "{name}");
    }
    let comparison = &metrics["comparison"];
    assert_eq!(keys(comparison), ["baseline", "metric", "gain", "ci95", "resamples"]);
    let made = serde_json::json!({ "method": "percentile bootstrap", "resamples": 1000, "confidence": 0.95 });
    assert_eq!((&metrics["intervals"], &comparison["resamples"]), (&made, &1000.into()));
    let theirs = metrics["baselines"][comparison["baseline"].as_str().unwrap()]["rmse"].as_f64().unwrap();
    let gain = 1.0 - metrics["test"]["rmse"]["value"].as_f64().unwrap() / theirs;
    assert!((comparison["gain"].as_f64().unwrap() - gain).abs() < 1e-9, "{comparison}");
    assert!(metrics["fit_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!((&metrics["seed"], &metrics["version"]), (&7.into(), &env!("CARGO_PKG_VERSION").into()));
    assert_eq!(metrics["data_sha256"].as_str().unwrap().len(), 64);

    let epochs = metrics["epochs_run"].as_u64().unwrap() as usize;
    let history = read("history.csv");
    let history = csv(&history);
    assert_eq!(
        history[0],
        [
            "epoch",
            "train_loss",
            "val_loss",
            "val_rmse",
            "val_mae",
            "learning_rate",
            "rows_per_second",
            "seconds",
            "best"
        ]
    );
    assert_eq!((history.len(), epochs), (epochs + 1, 4));
    let best = history.iter().skip(1).rfind(|row| row[8] == "1").unwrap()[0];
    assert_eq!(best, metrics["best_epoch"].to_string());

    let events: Vec<Value> =
        read("events.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["started", "epoch", "epoch", "epoch", "epoch", "finished"]);

    let schema: Value = serde_json::from_str(&read("schema.json")).unwrap();
    let columns: Vec<&Value> = schema["columns"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(columns, ["x", "k", "colour"]);
    let summary = call(folder.path(), &["summary", "runs/t-1"]).done().out;
    assert!(summary.starts_with("regression of `y`, trained on 84 rows by Statera"), "{summary}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let folder = folder();
    // Batches of several shards, so that there is something to share out.
    let layers =
        "network.layers=[{type='batch_norm'},{type='dense',units=16,activation='relu'},{type='dropout'}]";
    let common = [
        "train",
        "t.csv",
        "--target",
        "y",
        "--quiet",
        "--set",
        "train.epochs=3",
        "--set",
        "train.shard_rows=8",
    ];
    let train = |out: &str, more: &[&str]| {
        let args = [&common[..], &["--set", layers, "--out", out], more].concat();
        call(folder.path(), &args).done();
        sum(&folder.path().join(out))
    };
    let first = train("a", &["--seed", "1", "--threads", "1"]);
    assert_eq!(train("b", &["--seed", "1", "--threads", "1"]), first);
    assert_eq!(train("c", &["--seed", "1", "--threads", "2"]), first);
    assert_eq!(train("d", &["--seed", "1", "--threads", "3"]), first);
    assert_ne!(train("e", &["--seed", "2", "--threads", "1"]), first);
    // A run's own settings, given back, are the run again; from any folder.
    let elsewhere = tempfile::tempdir().unwrap();
    let config = folder.path().join("a/config.toml");
    call(elsewhere.path(), &["train", "--config", config.to_str().unwrap(), "--out", "again"]).done();
    assert_eq!(sum(&elsewhere.path().join("again")), first);
}

#[test]
fn predictions_come_in_the_order_of_the_rows_and_alone_as_in_company() {
    let folder = folder();
    call(folder.path(), &quick("t.csv", "y", &["--out", "run"])).done();
    let columns = ["x", "k", "colour"];
    std::fs::write(folder.path().join("u.csv"), table(&columns, 0..300)).unwrap();
    let printed = call(folder.path(), &["predict", "run", "u.csv"]).done().out;
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((lines[0], lines.len()), ("prediction", 301));
    let written = call(folder.path(), &["predict", "run", "u.csv", "-o", "out.csv", "--threads", "1"]).done();
    assert_eq!(written.out, "");
    assert!(written.err.ends_with("300 predictions written to out.csv\n"), "{}", written.err);
    assert_eq!(std::fs::read_to_string(folder.path().join("out.csv")).unwrap(), printed);
    for row in [0, 1, 57, 255, 256, 299] {
        std::fs::write(folder.path().join("one.csv"), table(&columns, row..row + 1)).unwrap();
        let one = call(folder.path(), &["predict", "run", "one.csv"]).done().out;
        assert_eq!(one, format!("prediction\n{}\n", lines[row + 1]), "row {row}");
    }
}

#[test]
fn classes_are_predicted_with_probabilities_that_sum_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let columns = ["x", "k", "colour", "yes", "grade"];
    std::fs::write(folder.path().join("t.csv"), table(&columns, 0..120)).unwrap();
    for (target, task, classes, more) in [
        ("yes", "binary", &["no", "yes"][..], &[][..]),
        ("grade", "multiclass", &["high", "low", "middle"], &[]),
        ("yes", "multiclass", &["no", "yes"], &["--task", "multiclass"]),
        ("k", "multiclass", &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"], &[]),
    ] {
        let run = format!("{target}-{task}");
        let args = quick("t.csv", target, &[&["--out", &run, "--json"], more].concat());
        let metrics = call(folder.path(), &args).done().json();
        assert_eq!(metrics["task"], task);
        assert!(metrics["test"]["accuracy"]["ci95"].is_array(), "{metrics}");
        assert_eq!(keys(&metrics["baselines"]), ["majority", "logistic_regression"]);
        let text = call(folder.path(), &["predict", &run, "t.csv"]).done().out;
        let rows = csv(&text);
        let header: Vec<String> = classes.iter().map(|class| format!("probability_{class}")).collect();
        assert_eq!(
            (rows[0][0], &rows[0][1..]),
            ("prediction", &header.iter().map(String::as_str).collect::<Vec<_>>()[..])
        );
        assert_eq!(rows.len(), 121);
        for row in &rows[1..] {
            let p: Vec<f64> = row[1..].iter().map(|p| p.parse().unwrap()).collect();
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{row:?}");
            let largest = p.iter().copied().fold(0.0, f64::max);
            assert_eq!(p[classes.iter().position(|class| *class == row[0]).unwrap()], largest, "{row:?}");
        }
        let measured = call(folder.path(), &["evaluate", &run, "t.csv", "--json"]).done();
        assert_eq!(measured.json()["n_rows"], 120);
        assert!(measured.json()["metrics"]["log_loss"]["ci95"].is_array());
        assert_eq!(measured.json()["intervals"]["resamples"], 1000);
        assert!(measured.err.contains("the model was trained on this file"), "{}", measured.err);
        let measured = call(folder.path(), &["evaluate", &run, "t.csv"]).done().out;
        let heading =
            format!("`{target}` on 120 rows of t.csv (95 % intervals from 1,000 bootstrap resamples)\n");
        assert!(measured.starts_with(&heading), "{measured}");
    }
    let plan = call(folder.path(), &quick("t.csv", "yes", &[])).done().err;
    let plan = plan.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plan.contains("`yes` counts as positive"), "{plan}");
    assert!(plan.contains("all 78 training cells are numbers; 6 missing"), "{plan}");
    // Whole numbers are classes unless the task says otherwise.
    let args = quick("t.csv", "k", &["--task", "regression", "--json"]);
    assert_eq!(call(folder.path(), &args).done().json()["task"], "regression");
}

#[test]
fn double_precision_is_kept_in_the_model() {
    let folder = folder();
    let args = quick("t.csv", "y", &["--out", "run", "--set", "network.precision=f64"]);
    call(folder.path(), &args).done();
    let model = model_of(&folder.path().join("run"));
    let contains = |word: &[u8]| model.windows(word.len()).any(|bytes| bytes == word);
    assert!(contains(br#""dtype":"F64""#) && !contains(br#""dtype":"F32""#));
    assert_eq!(call(folder.path(), &["predict", "run", "t.csv"]).done().out.lines().count(), 121);
}

#[test]
fn a_column_can_say_which_rows_are_for_what() {
    let folder = tempfile::tempdir().unwrap();
    let train = |parts: &[&str]| {
        let mut lines: Vec<String> = table(&["x", "k", "y"], 0..120).lines().map(str::to_owned).collect();
        lines[0] += ",part";
        for (i, line) in lines.iter_mut().skip(1).enumerate() {
            write!(line, ",{}", parts[i % parts.len()]).unwrap();
        }
        std::fs::write(folder.path().join("t.csv"), lines.join("\n")).unwrap();
        let text = call(folder.path(), &quick("t.csv", "y", &["--split-column", "part"])).done();
        let json =
            call(folder.path(), &quick("t.csv", "y", &["--split-column", "part", "--json"])).done().json();
        (text, json)
    };
    let (text, json) = train(&["train", "train", "Test", "VAL"]);
    assert_eq!(json["n_rows"], serde_json::json!({ "train": 60, "val": 30, "test": 30 }));
    assert!(text.err.contains("as column `part` says\n"), "{}", text.err);
    assert!(!text.err.contains("\n  part "), "it is no input: {}", text.err);

    let (text, json) = train(&["train", "train", "validation"]);
    assert_eq!(json["n_rows"], serde_json::json!({ "train": 80, "val": 40, "test": 0 }));
    assert_eq!((&json["test"], &json["baselines"]), (&serde_json::json!({}), &serde_json::json!({})));
    assert!(json["comparison"].is_null());
    assert!(text.err.contains("no test rows"), "{}", text.err);
    assert!(text.out.contains("\n\nNo test rows, so no test figures."), "{}", text.out);
    assert!(!text.out.contains("The network"), "{}", text.out);

    let (text, json) = train(&["train", "train", "train", "train", "test"]);
    assert_eq!(json["n_rows"], serde_json::json!({ "train": 82, "val": 14, "test": 24 }));
    assert!(text.err.contains("it has no val, so a share of train"), "{}", text.err);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = folder();
    call(folder.path(), &quick("t.csv", "y", &["--out", "run"])).done();
    std::fs::write(folder.path().join("u.csv"), table(&["x", "k", "colour"], 0..20_000)).unwrap();
    for args in
        ["predict run u.csv", "config --defaults", "train t.csv --target y --out again --set train.epochs=3"]
    {
        // Standard output is closed before anything is written to it; then standard error too.
        for closed in ["", "2>&1"] {
            let script =
                format!("{{ '{}' {args} {closed}; echo $? >code; }} | true", env!("CARGO_BIN_EXE_statera"));
            let shell = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
            let code = std::fs::read_to_string(folder.path().join("code")).unwrap();
            assert_eq!(code, "0\n", "{args} {closed}: {}", String::from_utf8_lossy(&shell.stderr));
            let _ = std::fs::remove_dir_all(folder.path().join("again"));
        }
    }
}

#[test]
fn quiet_says_nothing_but_the_results() {
    let folder = folder();
    let outcome = call(folder.path(), &quick("t.csv", "y", &["--quiet", "--json"])).done();
    assert_eq!(outcome.err, "");
    outcome.json();
}

#[test]
fn a_table_can_come_through_a_pipe() {
    let folder = folder();
    call(folder.path(), &quick("t.csv", "y", &["--out", "run"])).done();
    let from_file = call(folder.path(), &["predict", "run", "t.csv"]).done().out;
    let text = std::fs::read(folder.path().join("t.csv")).unwrap();
    let piped = statera(folder.path(), &["predict", "run", "/dev/stdin"]).write_stdin(text).output().unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), from_file);
    // Standard output by name, as other tools have it; no file called `-` is made.
    let dash = call(folder.path(), &["predict", "run", "t.csv", "-o", "-"]).done();
    assert_eq!(dash.out, from_file);
    assert!(!dash.err.contains("written to") && !folder.path().join("-").exists(), "{}", dash.err);
}

#[test]
fn predictions_are_not_written_as_csv_under_the_name_of_another_format() {
    let folder = folder();
    // Before the model is looked for.
    for (name, try_this) in [
        ("p.parquet", "-o p.csv"),
        ("p.NDJSON", "-o p.csv"),
        ("p.json", "-o p.csv"),
        ("p.csv.gz", "-o p.csv, or -o - | gzip"),
        ("p.zst", "-o p.csv, or -o - | zstd"),
    ] {
        let refused = call(folder.path(), &["predict", "run", "t.csv", "-o", name]);
        assert!(refused.code == 2 && refused.err.contains("written as CSV"), "{name}: {}", refused.err);
        assert!(refused.err.contains(&format!("try: {try_this}\n")), "{name}: {}", refused.err);
        assert!(!folder.path().join(name).exists());
    }
}

#[test]
fn a_space_can_be_checked() {
    let folder = folder();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let check = |file: &Path| call(folder.path(), &["config", "--check", file.to_str().unwrap()]);
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let grid = flat(&check(&recipes.join("insurance-grid.toml")).done().out);
    assert!(
        grid.contains("It is a space for `statera tune`: 4 settings with ranges (train.epochs, "),
        "{grid}"
    );
    assert!(grid.ends_with("), in 192 combinations."), "{grid}");
    let plain = check(&recipes.join("insurance.toml")).done().out;
    assert!(plain.ends_with("is right: every key is known and every value in its range\n"), "{plain}");
    let space = folder.path().join("s.toml");
    for (text, words) in [
        ("[optimizer]\nlearning_rate = { low = 1e-4, high = 0.1 }\n", "there is no end of combinations"),
        (
            "[optimizer]\nname = { choices = [\"sgd\", \"adam\"] }\n\
             momentum = { low = 0.5, high = 0.9, steps = 3, if = { \"optimizer.name\" = \"sgd\" } }\n",
            "in 4 combinations.",
        ),
        (
            "[network]\ndropout = { low = 0, high = 0.1 }\n[train]\nepochs = { low = 3, high = 4 }\n\
             batch_size = { low = 8, high = 64, log = true }\n",
            "--sampler grid cannot go through network.dropout: from 0.0 to 0.1 there is no end of values; nor through \
             train.batch_size: from 8 to 64 (log) how many",
        ),
        (
            "[network]\ndropout = { choices = [0, 0.1] }\n[train]\n\
             epochs = { low = 1, high = 2000, if = { \"network.dropout\" = 0 } }\n\
             batch_size = { low = 1, high = 1000, if = { \"network.dropout\" = 0 } }\n",
            "in 2000001 combinations.",
        ),
    ] {
        std::fs::write(&space, text).unwrap();
        let told = flat(&check(&space).done().out);
        assert!(told.contains(words), "{told}");
    }
    std::fs::write(&space, "[optimizer]\nlearning_rate = { low = 1e-1, high = 1e-4 }\n").unwrap();
    let refused = check(&space);
    assert!(refused.code == 2 && refused.err.contains("optimizer.learning_rate"), "{}", refused.err);
}

#[cfg(unix)]
#[test]
fn files_are_as_private_as_the_umask_asks() {
    use std::os::unix::fs::PermissionsExt;
    for (umask, mode) in [("077", 0o600), ("022", 0o644), ("002", 0o664)] {
        let folder = folder();
        for args in [
            "train t.csv --target y --out run --set train.epochs=1 --set network.hidden=[4]",
            "predict run t.csv -o out.csv",
        ] {
            let script = format!("umask {umask}; exec '{}' {args}", env!("CARGO_BIN_EXE_statera"));
            let output =
                Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let run = std::fs::read_dir(folder.path().join("run")).unwrap().map(|entry| entry.unwrap().path());
        for file in run.chain([folder.path().join("out.csv")]) {
            let found = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "umask {umask}: {} is {found:o}", file.display());
        }
    }
}

/// The names of a document's fields, those of the objects inside it too.
fn fields(document: &Value, found: &mut Vec<String>) {
    for (key, value) in document.as_object().into_iter().flatten() {
        found.push(key.clone());
        fields(value, found);
    }
}

#[test]
fn the_guide_explains_every_field_of_a_run() {
    let page = std::fs::read_to_string(root().join("docs/guide/run-folder.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), table(&["x", "k", "y", "yes"], 0..120)).unwrap();
    for (target, run) in [("y", "a"), ("yes", "b")] {
        call(folder.path(), &quick("t.csv", target, &["--out", run])).done();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(run).join(name)).unwrap();
        let metrics: Value = serde_json::from_str(&read("metrics.json")).unwrap();
        let mut names = Vec::new();
        for (section, value) in metrics.as_object().unwrap() {
            names.push(section.clone());
            match section.as_str() {
                // Metrics are explained once, simple models by name.
                "val" | "test" => {}
                "baselines" => names.extend(keys(value).into_iter().map(str::to_owned)),
                _ => fields(value, &mut names),
            }
        }
        let history = read("history.csv");
        names.extend(csv(&history)[0].iter().map(|&name| name.to_owned()));
        for line in read("events.jsonl").lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            names.push(event["event"].as_str().unwrap().to_owned());
        }
        for entry in std::fs::read_dir(folder.path().join(run)).unwrap() {
            names.push(entry.unwrap().file_name().into_string().unwrap());
        }
        assert!(names.len() > 30, "{names:?}");
        for name in names {
            assert!(
                page.contains(&format!("`{name}`")),
                "docs/guide/run-folder.md does not explain `{name}`"
            );
        }
    }
}
