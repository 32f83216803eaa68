//! `statera lr-test`, and the learning rate that a diverged training suggests.

use crate::cli;
use cli::{call, content, folder};
use serde_json::Value;

fn test<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["lr-test", "t.csv", "--target", "y", "--set", "network.hidden=[16]"][..], more].concat()
}

fn rate(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn a_range_test_leaves_its_curve_and_suggests_a_rate_that_learns() {
    let folder = folder();
    let told = call(folder.path(), &test(&["--out", "found", "--json"])).done();
    let found = told.json();
    let files: Vec<_> = content(&folder.path().join("found")).into_keys().collect();
    let names: Vec<_> = files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["lr-test.csv", "lr-test.json", "lr-test.svg"]);
    let file = |name: &str| std::fs::read_to_string(folder.path().join("found").join(name)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file("lr-test.json")).unwrap(), found);

    let points = found["test"]["points"].as_array().unwrap();
    let csv: Vec<Vec<f64>> = file("lr-test.csv")
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect())
        .collect();
    assert_eq!(csv.len(), points.len());
    for (line, point) in csv.iter().zip(points) {
        assert_eq!(line[1..], [rate(&point["rate"]), rate(&point["loss"]), rate(&point["smoothed"])]);
    }
    // Every step multiplies the rate by the same, from --from on.
    let ratio = 1e7_f64.powf(1.0 / 199.0);
    assert!((csv[0][1] - 1e-6).abs() < 1e-18);
    assert!(csv.windows(2).all(|pair| (pair[1][1] / pair[0][1] / ratio - 1.0).abs() < 1e-9));

    let (suggestion, blow_up) = (rate(&found["test"]["suggestion"]), rate(&found["test"]["blow_up"]));
    assert!(
        suggestion <= blow_up / 10.0 * 1.05 && (1e-5..1.0).contains(&suggestion),
        "{suggestion}, {blow_up}"
    );
    assert!(points.len() < 200, "the blow-up ends the test");
    let set = format!("optimizer.learning_rate={suggestion}");
    let more =
        ["--set", "network.hidden=[16]", "--set", &set, "--set", "train.epochs=60", "--json", "--quiet"];
    let trained = call(folder.path(), &[&["train", "t.csv", "--target", "y"][..], &more].concat()).done();
    assert!(rate(&trained.json()["val"]["r2"]) > 0.5, "{}", trained.out);
}

#[test]
fn the_training_that_is_printed_is_that_of_the_test() {
    let folder = folder();
    std::fs::write(folder.path().join("few.toml"), "train.epochs = 3\n").unwrap();
    let more = [
        "--set",
        "optimizer.name=lion",
        "--set",
        "network.hidden=[16]",
        "--config",
        "few.toml",
        "--seed",
        "7",
    ];
    let told = call(folder.path(), &test(&[&more[..], &["--null", "-"]].concat())).done();
    let (_, line) = told.out.split_once("  statera train").unwrap_or_else(|| panic!("{}", told.out));
    let line = "statera train".to_owned() + &line.split("\n\n").next().unwrap().replace("\\\n", "");
    for words in [
        "--config few.toml",
        "--set optimizer.name=lion",
        "--seed 7",
        "--null -",
        "--set optimizer.learning_rate=",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    // As a shell takes it.
    let words: Vec<String> = line.split_whitespace().skip(1).map(|word| word.replace('\'', "")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let trained = call(folder.path(), &[&words[..], &["--out", "run"]].concat()).done();
    assert!(trained.err.contains("lion") && trained.err.contains("seed 7"), "{}", trained.err);
    let config = std::fs::read_to_string(folder.path().join("run/config.toml")).unwrap();
    assert!(config.contains("hidden = [16]") && config.contains("epochs = 3"), "{config}");
}

#[test]
fn the_curve_is_drawn_and_the_same_on_any_number_of_threads() {
    let folder = folder();
    // Several shards a batch, so that threads have something to share.
    let shards = ["--set", "train.batch_size=64", "--set", "train.shard_rows=16"];
    let drawn = |threads: &str, out: &str| {
        let more = [&shards[..], &["--threads", threads, "--out", out]].concat();
        let told = call(folder.path(), &test(&more)).done();
        assert!(told.err.is_empty(), "{}", told.err);
        told.out.replace(out, "OUT")
    };
    let one = drawn("1", "one-thread");
    assert_eq!(one, drawn("4", "four-threads"));
    assert!(one.contains('•') && one.contains('│') && one.contains("1e-3"), "{one}");
    let same = "statera train t.csv --target y --set 'network.hidden=[16]' --set train.batch_size=64 \\\n    --set train.shard_rows=16 --set optimizer.learning_rate=";
    assert!(one.contains(same), "{one}");
    assert!(one.lines().all(|line| line.chars().count() <= 100), "{one}");
    let bytes = |out: &str| content(&folder.path().join(out)).into_values().collect::<Vec<_>>();
    assert_eq!(bytes("one-thread"), bytes("four-threads"));
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn only_training_rows_are_looked_at() {
    let folder = folder();
    let table = std::fs::read_to_string(folder.path().join("t.csv")).unwrap();
    let mut lines: Vec<String> = table.lines().map(|line| format!("{line},train")).collect();
    lines[0] = table.lines().next().unwrap().to_owned() + ",part";
    let n = lines.len();
    let mut found = Vec::new();
    for (other, out) in [("9.99", "a"), ("0.01", "b")] {
        for (i, line) in lines.iter_mut().enumerate().skip(n - 40) {
            *line = format!("{other},3,red,{other},{}", ["val", "test"][i % 2]);
        }
        std::fs::write(folder.path().join("t.csv"), lines.join("\n")).unwrap();
        let sets = ["--set", "split.column=part", "--set", "task=regression", "--out", out, "--json"];
        found.push(call(folder.path(), &test(&sets)).done().json());
    }
    assert_eq!(found[0], found[1]);
}

#[test]
fn a_loss_that_never_falls_is_told_and_no_failure() {
    let folder = folder();
    // Too small for anything to happen; the noise of batches is no fall where each holds all rows.
    let still = [
        "--from",
        "1e-30",
        "--to",
        "1e-29",
        "--steps",
        "40",
        "--set",
        "train.batch_size=1000",
        "--set",
        "network.dropout=0",
        "--out",
        "still",
    ];
    let told = call(folder.path(), &test(&still)).done();
    assert!(
        told.err.contains("no learning rate can be suggested") && told.err.contains("try: "),
        "{}",
        told.err
    );
    assert!(told.out.contains("suggested  none"), "{}", told.out);
}

#[test]
fn wrong_ranges_and_folders_are_refused_before_anything_is_written() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("there")).unwrap();
    for (more, words) in [
        (&["--from", "1", "--to", "0.1"][..], "the first the smaller"),
        (&["--from", "0"], "--from 1e-6"),
        (&["--steps", "3"], "--steps 200"),
    ] {
        let told = call(folder.path(), &test(more));
        assert_eq!((told.code, told.out.as_str()), (2, ""), "{more:?}");
        assert!(told.err.contains(words), "{}", told.err);
    }
    let told = call(folder.path(), &test(&["--out", "there"]));
    assert_eq!(told.code, 1);
    assert_eq!(content(folder.path()).len(), 2, "the table and the folder");
}

/// The rate behind `--set optimizer.learning_rate=` in a text.
fn suggested(text: &str) -> f64 {
    let (_, after) = text.split_once("--set optimizer.learning_rate=").unwrap_or_else(|| panic!("{text}"));
    after.split([',', ' ', '\n']).next().unwrap().parse().unwrap()
}

#[test]
fn what_a_diverged_training_suggests_trains() {
    let folder = folder();
    for (optimizer, diverging) in
        [("sgd", "1000"), ("sgd", "30"), ("sgd", "3"), ("lion", "50"), ("rmsprop", "1000"), ("adamw", "1000")]
    {
        let (name, set) =
            (format!("optimizer.name={optimizer}"), format!("optimizer.learning_rate={diverging}"));
        let arguments = |set: &str| {
            let with = [
                "train",
                "t.csv",
                "--target",
                "y",
                "--set",
                &name,
                "--set",
                set,
                "--set",
                "train.batch_size=8",
                "--set",
                "train.epochs=30",
                "--json",
                "--quiet",
            ];
            call(folder.path(), &with)
        };
        let failed = arguments(&set);
        // Signs and roots may keep steps of any rate finite: then the weights are told to be worse than the first.
        let is_worse = failed.code == 0 && failed.err.contains("worse on the validation rows");
        assert!(failed.code == 1 || optimizer != "sgd" && is_worse, "{diverging}: {}", failed.err);
        assert!(
            failed.err.contains("as a range test suggests; `statera lr-test` draws it"),
            "{}",
            failed.err
        );
        let rate = suggested(&failed.err);
        assert!(rate <= diverging.parse::<f64>().unwrap() / 10.0, "{rate}");
        let trained = arguments(&format!("optimizer.learning_rate={rate}")).done();
        let r2 = trained.json()["val"]["r2"].as_f64().unwrap();
        assert!(r2 > 0.3, "{diverging}: {rate} reaches {r2}");
    }
}
