//! `statera train --folds`: figures fold by fold, and the bag of the folds' networks as a model like any other.

use crate::cli;
use std::path::Path;

use cli::{QUICK, call, folder, quick, safetensors, table};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use statera::bag::Bag;
use statera::data::{ReadOptions, read_table};
use statera::train::metrics::Predictions;

/// A quick cross-validation over three folds in [`folder`].
fn trained(more: &[&str]) -> (tempfile::TempDir, Value) {
    let folder = folder();
    let all = [&["--folds", "3", "--out", "run", "--json"], more].concat();
    let metrics = call(folder.path(), &quick("t.csv", "y", &all)).done().json();
    (folder, metrics)
}

fn bag(folder: &Path) -> Bag {
    Bag::load(&folder.join("run")).unwrap()
}

#[test]
fn the_folds_are_measured_and_their_bag_is_tested() {
    let (folder, metrics) = trained(&[]);
    assert_eq!(metrics["n_rows"], json!({ "train": 102, "val": 0, "test": 18 }));
    let folds = &metrics["cross_validation"];
    assert_eq!((folds["n_folds"].as_u64(), folds["repeats"].as_u64()), (Some(3), Some(1)));
    let each = folds["folds"].as_array().unwrap();
    assert_eq!(each.len(), 3);
    let rmse = |fold: &Value| fold["metrics"]["rmse"].as_f64().unwrap();
    for fold in each {
        assert_eq!(fold["n_rows"], json!({ "train": 58, "val": 10, "held_out": 34 }));
        assert!(fold["baselines"]["least_squares"]["rmse"].as_f64().unwrap() > 0.0);
    }
    let mean = each.iter().map(rmse).sum::<f64>() / 3.0;
    let over = &folds["metrics"]["rmse"];
    assert!((over["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{over}");
    let interval: Vec<f64> = over["ci95"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    // t of 2 degrees of freedom is 4.3027; 34 rows are held out of 102.
    let half = 4.302_652_73 * over["std"].as_f64().unwrap() * (1.0_f64 / 3.0 + 34.0 / 68.0).sqrt();
    assert!((interval[1] - mean - half).abs() < 1e-6 * half, "{over}");
    // Held-out rows all together: folds are of one size, so that squares average.
    let whole = folds["out_of_fold"]["metrics"]["rmse"].as_f64().unwrap();
    let squares = each.iter().map(|fold| rmse(fold).powi(2)).sum::<f64>() / 3.0;
    assert!((whole - squares.sqrt()).abs() < 1e-9, "{whole}");
    assert_eq!(folds["out_of_fold"]["n_rows"], 102);
    assert!(metrics["test"]["rmse"]["ci95"].is_array() && metrics["comparison"]["baseline"].is_string());
    assert!(metrics["best_epoch"].is_null() && metrics["stopped"].is_null());

    let history = std::fs::read_to_string(folder.path().join("run/history.csv")).unwrap();
    assert!(history.starts_with("fold,epoch,train_loss,"), "{history}");
    let of_folds: Vec<&str> = history.lines().skip(1).map(|line| &line[..2]).collect();
    assert_eq!(of_folds, [["1,"; 4], ["2,"; 4], ["3,"; 4]].concat());
    let events = std::fs::read_to_string(folder.path().join("run/events.jsonl")).unwrap();
    assert_eq!(events.matches(r#"{"event":"fold","fold":"#).count(), 3);
    // Everything that was measured is in the model but for times.
    let mut without = metrics.clone();
    without.as_object_mut().unwrap().remove("fit_seconds");
    for fold in without["cross_validation"]["folds"].as_array_mut().unwrap() {
        fold.as_object_mut().unwrap().remove("fit_seconds");
    }
    assert_eq!(bag(folder.path()).metrics, without);
}

#[test]
fn a_bag_predicts_the_mean_of_its_members_before_and_after_saving() {
    let (folder, metrics) = trained(&[]);
    let bag = bag(folder.path());
    assert_eq!((bag.members.len(), bag.n_train), (3, 102));
    let bytes = std::fs::read(folder.path().join("run/model.safetensors")).unwrap();
    assert_eq!(bag.to_bytes().unwrap(), bytes);
    let raw = read_table(&[folder.path().join("t.csv")], &ReadOptions::default()).unwrap();
    let rows: Vec<u32> = (0..raw.n_rows() as u32).collect();
    let values = |predictions: Predictions| match predictions {
        Predictions::Values(values) => values,
        other @ Predictions::Probabilities { .. } => panic!("{other:?}"),
    };
    let all = values(bag.predict_rows(&raw, &rows).unwrap().0);
    let each: Vec<Vec<f64>> =
        bag.members.iter().map(|model| values(model.predict_rows(&raw, &rows).unwrap().0)).collect();
    assert_ne!(each[0], each[1]);
    for (row, y) in all.iter().enumerate() {
        assert_eq!(*y, (each[0][row] + each[1][row] + each[2][row]) / 3.0);
        let alone = values(bag.predict_rows(&raw, &[row as u32]).unwrap().0);
        assert_eq!(alone[0].to_bits(), y.to_bits());
    }
    // The command line takes it as it takes any model.
    let out = call(folder.path(), &["predict", "run", "t.csv", "--quiet"]).done().out;
    let printed: Vec<f64> = out.lines().skip(1).map(|line| line.parse().unwrap()).collect();
    assert_eq!(printed, all);
    let evaluated = call(folder.path(), &["evaluate", "run", "t.csv", "--json", "--quiet"]).done().json();
    assert!(evaluated["metrics"]["rmse"]["value"].as_f64().unwrap() > 0.0);
    assert!(metrics["test"]["rmse"]["value"].as_f64().unwrap() > 0.0);
    let summary = call(folder.path(), &["summary", "run"]).done().out;
    assert!(summary.starts_with("regression of `y`, trained on folds of 102 rows by Statera"), "{summary}");
    assert!(summary.contains("The first of 3 networks, each with a preparation of its own;"), "{summary}");
    let first = call(folder.path(), &["inspect", "run"]).done();
    assert!(first.err.contains("a bag of 3 networks, of which this is the first"), "{}", first.err);
    assert!(first.out.contains("The layers on 58 rows of training"), "{}", first.out);
    let third = call(folder.path(), &["inspect", "run", "--member", "3"]).done();
    assert_ne!(first.out, third.out);
    let refused = call(folder.path(), &["inspect", "run", "--member", "4"]);
    assert!(
        refused.code == 2 && refused.err.contains("--member 4: the model has 3 members"),
        "{}",
        refused.err
    );
}

#[test]
fn the_bag_is_the_same_bytes_on_any_number_of_threads() {
    let bytes = |threads: &str| {
        let (folder, _) = trained(&["--threads", threads, "--repeats", "2"]);
        std::fs::read(folder.path().join("run/model.safetensors")).unwrap()
    };
    let one = bytes("1");
    assert_eq!(Bag::from_bytes(&one).unwrap().members.len(), 6);
    assert!(bytes("2") == one && bytes("5") == one);
}

#[test]
fn classes_are_averaged_as_probabilities() {
    let folder = folder();
    std::fs::write(folder.path().join("c.csv"), table(&["x", "k", "colour", "grade"], 0..160)).unwrap();
    let args = quick("c.csv", "grade", &["--folds", "4", "--set", "split.test=0", "--out", "run", "--json"]);
    let metrics = call(folder.path(), &args).done().json();
    assert_eq!((&metrics["n_rows"]["test"], &metrics["test"]), (&json!(0), &json!({})));
    assert!(metrics["cross_validation"]["metrics"]["log_loss"]["ci95"].is_array());
    let out = call(folder.path(), &["predict", "run", "c.csv", "--quiet"]).done().out;
    assert!(out.starts_with("prediction,probability_"), "{out}");
    for line in out.lines().skip(1) {
        let sum: f64 = line.split(',').skip(1).map(|p| p.parse::<f64>().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{line}");
    }
    let args = quick("c.csv", "grade", &["--folds", "4", "--set", "split.test=0", "--out", "told"]);
    let told = call(folder.path(), &args).done().out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("the bag itself is not measured"), "{told}");
    assert!(told.contains("the 40 rows held out judged it and chose nothing."), "{told}");
}

#[test]
fn groups_and_times_are_folded_by_their_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/visits.csv");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(root, folder.path().join("v.csv")).unwrap();
    let run =
        |more: &[&str]| call(folder.path(), &quick("v.csv", "result", &[&["--folds", "4"], more].concat()));
    let told = run(&["--set", "split.group=patient", "--repeats", "2"]).done();
    assert!(told.err.contains("none of them in two folds") && told.err.contains("fold 8/8"), "{}", told.err);
    let told = run(&["--set", "split.time=day", "--json"]).done();
    let metrics = told.json();
    let sizes: Vec<u64> = metrics["cross_validation"]["folds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fold| fold["n_rows"]["train"].as_u64().unwrap())
        .collect();
    assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]), "training grows: {sizes:?}");
    let refused = run(&["--set", "split.time=day", "--repeats", "2"]);
    assert!(
        refused.code == 2 && refused.err.contains("`split.repeats` = 2 has no effect"),
        "{}",
        refused.err
    );
    for (args, code, words) in [
        (vec!["--folds", "1"], 2, "`split.folds` = 1 holds out every row"),
        (vec!["--folds", "-1"], 2, "expected a whole number from 0 to 1000"),
        (vec!["--repeats", "3"], 2, "`split.repeats` = 3 has no effect with `split.folds` = 0"),
        (vec!["--folds", "900", "--repeats", "900"], 2, "make more than 1000 models"),
        (vec!["--folds", "300"], 1, "408 rows make no 300 folds of at least 2 each"),
        (vec!["--folds", "40", "--set", "split.group=patient"], 1, "fewer than 40 folds"),
    ] {
        let outcome = call(folder.path(), &quick("v.csv", "result", &args));
        assert_eq!(outcome.code, code, "{}", outcome.err);
        assert!(outcome.err.contains(words), "{}\n  lacks: {words}", outcome.err);
    }
    // Where one split is looked at, folds are told to say nothing.
    let args = ["lr-test", "v.csv", "--target", "result", "--set", "split.folds=4", QUICK[2], QUICK[3]];
    let outcome = call(folder.path(), &args).done();
    assert!(outcome.err.contains("note: split.folds says nothing here"), "{}", outcome.err);
}

type Alter = Box<dyn FnOnce(&mut Value)>;

/// A bag file with its card altered and the checksum renewed, as an attacker would do it.
fn altered(model: &[u8], alter: impl FnOnce(&mut Value)) -> Vec<u8> {
    let length = u64::from_le_bytes(model[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&model[8..8 + length]).unwrap();
    let mut description: Value =
        serde_json::from_str(header["__metadata__"]["statera"].as_str().unwrap()).unwrap();
    alter(&mut description);
    // Tensors may be hashed in another order than that of the file; what is refused here is refused before the checksum.
    let card = description["card"].to_string();
    let digest = Sha256::digest([card.as_bytes(), &model[8 + length..]].concat());
    description["sha256"] = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    header["__metadata__"]["statera"] = description.to_string().into();
    safetensors(&header.to_string(), &model[8 + length..])
}

#[test]
fn damaged_bags_are_refused_with_the_reason() {
    let (folder, _) = trained(&[]);
    let good = std::fs::read(folder.path().join("run/model.safetensors")).unwrap();
    let refused = |bytes: &[u8], words: &str| {
        let message = Bag::from_bytes(bytes).map(|_| ()).unwrap_err().to_string();
        assert!(message.contains(words), "{message}\n  lacks: {words}");
    };
    let cases: Vec<(Alter, &str)> = vec![
        (Box::new(|d| d["format_version"] = json!(7)), "format version 7; this Statera reads up to 6"),
        // Read as of an older version, it is no card.
        (Box::new(|d| d["format_version"] = json!(3)), "the description of the model cannot be read"),
        (Box::new(|d| d["card"]["members"] = json!([])), "the bag has no members"),
        (
            Box::new(|d| drop(d["card"]["members"].as_array_mut().unwrap().drain(1..))),
            "the bag has 1 members",
        ),
        (Box::new(|d| drop(d["card"]["members"].as_array_mut().unwrap().pop())), "tensors, the file has"),
        (
            Box::new(|d| {
                let members = d["card"]["members"].as_array_mut().unwrap();
                let one = members[0].clone();
                members.extend(vec![one; 2000]);
            }),
            "expected 2 to 1000",
        ),
        (
            Box::new(|d| {
                let members = d["card"]["members"].as_array_mut().unwrap();
                let one = members[0].clone();
                members.extend(vec![one; 500]);
            }),
            "tensors, the file has",
        ),
        (
            Box::new(|d| d["card"]["members"][1]["target"]["column"] = json!("z")),
            "member 2 of the bag predicts something else",
        ),
        (
            Box::new(|d| d["card"]["members"][2]["layers"][0]["units"] = json!(9)),
            "tensor `members.2.layers.0.weight`: expected shape",
        ),
        (
            Box::new(|d| d["card"]["members"][2]["layers"][0]["units"] = json!(usize::MAX)),
            "more than the file holds",
        ),
        (Box::new(|d| d["card"]["members"][1]["n_inputs"] = json!(77)), "the network has 77 inputs"),
        (Box::new(|d| d["card"]["n_train"] = json!("many")), "cannot be read"),
        (Box::new(|d| d["card"]["more"] = json!(1)), "cannot be read"),
    ];
    for (alter, words) in cases {
        refused(&altered(&good, alter), words);
    }
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    refused(&flipped, "the checksum does not agree");
    refused(&good[..good.len() - 4], "expected a model file, found something else or a part of one");
    for at in (0..good.len()).step_by(good.len() / 200) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x24;
        let _ = Bag::from_bytes(&bytes);
    }
}

/// What is held out changes no bit of what is fitted, with folds as with a single split.
#[test]
fn a_row_that_a_fold_holds_out_changes_no_bit_of_its_network() {
    let folder = folder();
    let path = folder.path();
    let sets = ["--set", "split.stratify=false", "--folds", "3"];
    call(path, &quick("t.csv", "y", &[&sets[..], &["--out", "a"]].concat())).done();
    let config = statera::config::Config::load(Some(&path.join("a/config.toml")), &[]).unwrap();
    let folds = statera::run::Folds::new(config).unwrap();
    let text = std::fs::read_to_string(path.join("t.csv")).unwrap();
    // Poison what the first fold holds out, and what is kept for the test.
    let poisoned: Vec<u32> = folds.plans[0].split.test.iter().chain(&folds.test).copied().collect();
    let lines = text.lines().enumerate().map(|(i, line)| match i.checked_sub(1) {
        Some(row) if poisoned.contains(&(row as u32)) => "-5555,77,poison,1e5".to_owned(),
        _ => line.to_owned(),
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    std::fs::write(path.join("t.csv"), text).unwrap();
    call(path, &quick("t.csv", "y", &[&sets[..], &["--out", "b"]].concat())).done();
    let [a, b] = ["a", "b"].map(|run| Bag::load(&path.join(run)).unwrap());
    let fitted = |bag: &Bag, i: usize| {
        let model = &bag.members[i];
        let card = &model.card;
        (serde_json::to_string(&(&card.pipeline, &card.target, &card.layers)).unwrap(), model.params.clone())
    };
    assert_eq!(fitted(&a, 0), fitted(&b, 0));
    for other in [1, 2] {
        assert_ne!(fitted(&a, other), fitted(&b, other), "its training rows are others");
    }
}
