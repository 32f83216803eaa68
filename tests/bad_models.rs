//! Whatever is wrong with a model, with what it is used for, or with a place to write to: the exit code, the words on
//! standard error, and that nothing half-written is left.

use crate::cli;
use cli::cases::{Case, call_bounded, case, check, rows, trained, with};
use cli::{folder, safetensors, table, with_card, with_description};
use serde_json::{Value, json};

/// A case of a model `f.safetensors`, to predict the table that it was trained on.
fn model(name: &'static str, bytes: Vec<u8>, words: &'static [&'static str]) -> Case {
    with("f.safetensors", bytes, name, "predict f.safetensors t.csv -o out.csv", 1, words)
}

/// Predicting needs a table with the columns, and evaluating one with the target too.
fn uses() -> Vec<Case> {
    let fewer = table(&["k", "y"], 0..20);
    let no_target = table(&["x", "k", "colour"], 0..20);
    let empty_targets = rows("x,k,colour,y", 20, |i| format!("{i},{i},red,"));
    vec![
        case(
            "no such model",
            "predict runs/none t.csv",
            1,
            &["there is no model at runs/none", "statera train"],
        ),
        with(
            "runs/a-1/model.safetensors",
            trained(),
            "the folder above the runs for a model",
            "predict runs t.csv",
            1,
            &["runs is no run folder itself; the models in it: `a-1`", "one of them: runs/a-1 is the latest"],
        ),
        with(
            "runs/insurance-1/model.safetensors",
            trained(),
            "a run without its folder",
            "evaluate insurance-1 t.csv",
            1,
            &["there is no model at insurance-1", "did you mean runs/insurance-1?"],
        ),
        with(
            "runs/a-1/events.jsonl",
            "",
            "a run that was killed",
            "summary runs/a-1",
            1,
            &["ended before its model was saved", "statera train --resume runs/a-1"],
        ),
        with(
            "runs/a-1/ablation.csv",
            "",
            "a study for a model",
            "predict runs/a-1 t.csv",
            1,
            &["runs/a-1 holds a study of techniques, which keeps no model", "statera train DATA"],
        ),
        with(
            "empty/file.txt",
            "",
            "a folder of something else for a model",
            "predict empty t.csv",
            1,
            &["empty is no run folder: there is no model.safetensors in it", "statera train DATA"],
        ),
        case(
            "settings for a model",
            "summary m.safetensors --set train.epochs=3",
            2,
            &["--set says nothing of a model, which is as it was trained", "leave --set out"],
        ),
        case(
            "a summary of nothing",
            "summary nowhere",
            1,
            &["there is no model at nowhere", "statera train DATA", "or give a configuration, as"],
        ),
        case(
            "a slip in a model's name",
            "summary n.safetensors",
            1,
            &["there is no model at n.safetensors", "did you mean m.safetensors?"],
        ),
        case("no such table", "predict m.safetensors u.csv -o out.csv", 1, &["no such file", "t.csv?"]),
        with(
            "f.csv",
            fewer,
            "columns that the model needs",
            "predict m.safetensors f.csv -o out.csv",
            1,
            &["f.csv lacks 2 columns that the model needs: `x`, `colour`"],
        ),
        with(
            "f.csv",
            no_target,
            "no target to evaluate",
            "evaluate m.safetensors f.csv",
            1,
            &["f.csv lacks the target column `y`", "statera predict"],
        ),
        with(
            "f.csv",
            empty_targets,
            "targets without cells to evaluate",
            "evaluate m.safetensors f.csv",
            1,
            &["target column `y`: all 20 cells are missing"],
        ),
        with(
            "f.csv",
            rows("x,k,colour,y", 20, |i| format!("1e300,{i},red,{i}.5")),
            "predictions that are not finite",
            "evaluate m.safetensors f.csv",
            1,
            &["20 predictions of 20 not finite", "leave out the rows"],
        ),
        case(
            "predictions over the table",
            "predict m.safetensors t.csv -o t.csv",
            2,
            &["t.csv is the table itself", "-o predictions.csv"],
        ),
        case(
            "predictions over the table by another name",
            "predict m.safetensors t.csv -o ./t.csv",
            2,
            &["is the table itself"],
        ),
        case(
            "predictions over the model",
            "predict m.safetensors t.csv -o ./m.safetensors",
            2,
            &["m.safetensors is the model itself", "-o predictions.csv"],
        ),
        case(
            "predictions in a folder that is not there",
            "predict m.safetensors t.csv -o nowhere/out.csv",
            1,
            &["cannot write nowhere/out.csv: there is no folder nowhere", "make the folder first"],
        ),
        case(
            "predictions below a file",
            "predict m.safetensors t.csv -o t.csv/out.csv",
            1,
            &["cannot write t.csv/out.csv", "choose another place"],
        ),
        case(
            "a run below a file",
            "train t.csv --target y --out t.csv/run",
            1,
            &["cannot create t.csv/run", "choose another place"],
        ),
        case(
            "a run where nobody can write",
            "train t.csv --target y --out /proc/statera/run",
            1,
            &["cannot create /proc/statera", "choose another place"],
        ),
        with(
            "taken/mine.txt",
            "mine",
            "a run folder that exists",
            "train t.csv --target y --out taken",
            1,
            &["taken exists already; a run is never written over", "another --out"],
        ),
    ]
}

/// Model files that are damaged, foreign, or made to do harm.
fn models() -> Vec<Case> {
    let good = trained();
    let card = |name, alter: fn(&mut Value), words| model(name, with_card(good, alter), words);
    let whole = |name, text: &str, words| model(name, safetensors(text, &[]), words);
    let elements = r#"{"__metadata__":{"statera":"{}"},"w":{"dtype":"F32","shape":[1000000000000000],"data_offsets":[0,4000000000000000]}}"#;
    let overflow = r#"{"w":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,16]}}"#;
    let nested = "[".repeat(100_000);
    let mut cases = vec![
        model("an empty model", Vec::new(), &["f.safetensors: expected a model file", "train again"]),
        model("half a model", good[..good.len() / 2].to_vec(), &["expected a model file", "train again"]),
        model("a model without its last byte", good[..good.len() - 1].to_vec(), &["train again"]),
        model("a table for a model", cli::table(&["x", "y"], 0..9).into_bytes(), &["expected a model file"]),
        model(
            "a newer model",
            with_description(good, |d| d["format_version"] = json!(99)),
            &["format version 99; this Statera reads up to 6", "install a newer Statera"],
        ),
        whole("a header of 10^15 numbers", elements, &["f.safetensors: expected", "train again"]),
        whole("a header whose product overflows", overflow, &["f.safetensors: expected", "train again"]),
        whole("a header of another program", r#"{"__metadata__":{"format":"pt"}}"#, &["no entry `statera`"]),
        model(
            "a length beyond the file",
            [&u64::MAX.to_le_bytes()[..], b"{}"].concat(),
            &["f.safetensors: expected a model file"],
        ),
        whole(
            "a description that nests without end",
            &json!({"__metadata__": {"statera": nested}}).to_string(),
            &["the description of the model cannot be read"],
        ),
        card(
            "metrics that nest without end",
            |card| card["metrics"] = (0..200).fold(json!(0), |inner, _| json!([inner])),
            &["cannot be read", "recursion limit"],
        ),
        card(
            "4e18 units",
            |card| card["layers"][0]["units"] = json!(4_000_000_000_000_000_000_u64),
            &["layers.0 (dense) asks for more than the file holds"],
        ),
        card(
            "more units than the file has",
            |card| card["layers"][0]["units"] = json!(60_000),
            &["layers.0 (dense) asks for more than the file holds"],
        ),
        card("units below zero", |card| card["layers"][0]["units"] = json!(-8), &["cannot be read", "-8"]),
        card(
            "no units",
            |card| card["layers"][0]["units"] = json!(0),
            &["layers.0 (dense): it has no units"],
        ),
        model(
            "layers without parameters that take memory all the same",
            with_card(&cli::model_bytes(2000), |card| {
                let layers = card["layers"].as_array_mut().unwrap();
                layers.splice(1..1, std::iter::repeat_n(json!({"type": "dropout", "rate": 0.5}), 20_000));
            }),
            &["(dropout) asks for more than the file holds"],
        ),
        card(
            "a dropout of everything",
            |card| card["layers"].as_array_mut().unwrap().insert(0, json!({"type": "dropout", "rate": 1.0})),
            &["layers.0 (dropout): rate 1"],
        ),
        card(
            "a layer that nobody knows",
            |card| card["layers"][0]["type"] = json!("attention"),
            &["unknown variant `attention`"],
        ),
        card("more inputs than features", |card| card["n_inputs"] = json!(7), &["train again"]),
        card("a task that does not fit", |card| card["target"]["task"] = json!("binary"), &["train again"]),
        card(
            "a target scaled by nothing",
            |card| card["target"]["scaler"]["std"] = json!(0.0),
            &["the target's scale is 0"],
        ),
        card(
            "a field that nobody knows",
            |card| card["code"] = json!("import os"),
            &["unknown field `code`"],
        ),
    ];
    // Wherever a byte is altered, the file is refused: in the length, the header, the card, the numbers.
    for share in [0, 2, 5, 10, 25, 50, 75, 90, 99] {
        let mut bytes = good.to_vec();
        bytes[good.len() * share / 100] ^= 0x15;
        cases.push(model("a byte altered", bytes, &["f.safetensors: ", "train again"]));
    }
    cases
}

#[test]
fn models_and_tables_that_do_not_fit_each_other_are_refused() {
    check(uses());
}

#[test]
fn models_that_are_damaged_or_foreign_are_refused() {
    check(models());
}

/// A class that the model was not trained on stops an evaluation, and is named with its row.
#[test]
fn an_unknown_class_is_named_when_evaluating() {
    let folder = tempfile::tempdir().unwrap();
    let text = table(&["x", "k", "colour"], 0..120);
    std::fs::write(folder.path().join("t.csv"), &text).unwrap();
    cli::call(folder.path(), &cli::quick("t.csv", "colour", &["--out", "run"])).done();
    std::fs::write(folder.path().join("u.csv"), text.replacen("green", "violet", 1)).unwrap();
    let outcome = cli::call(folder.path(), &["evaluate", "run", "u.csv"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (1, ""));
    let row = (0..120).find(|&i| cli::cells(i)[2].1 == "green").unwrap() + 1;
    let place = format!("row {row} (line {}), column `colour`", row + 1);
    for words in
        [&place, "expected one of the model's classes (`blue`, `green`, `red`)", "`violet`", "--null violet"]
    {
        assert!(outcome.err.contains(words), "{}\n  lacks: {words}", outcome.err);
    }
}

/// Options that stand for a setting have its bounds: beyond them, a machine would start threads without end.
#[test]
fn numbers_beyond_bounds_are_wrong_use() {
    let folder = folder();
    std::fs::write(folder.path().join("m.safetensors"), trained()).unwrap();
    for (args, words) in [
        (
            "predict m.safetensors t.csv --threads 1000000",
            "--threads 1000000: expected a whole number from 0 to 1024",
        ),
        ("evaluate m.safetensors t.csv --threads -1", "expected a whole number from 0 to 1024"),
        ("evaluate m.safetensors t.csv --bootstrap 1000001", "expected a whole number from 0 to 1000000"),
        ("train t.csv --target y --threads 1025", "--threads 1025: expected a whole number"),
        ("train t.csv --target y --seed -3", "--seed -3: expected a whole number from 0 to 92233"),
        ("ablate t.csv --target y --seed many", "--seed many: expected a whole number"),
    ] {
        let outcome = cli::call(folder.path(), &args.split(' ').collect::<Vec<_>>());
        assert_eq!((outcome.code, outcome.out.as_str()), (2, ""), "{args}");
        assert!(outcome.err.contains(words), "{}\n  lacks: {words}", outcome.err);
    }
}

/// A table of many rows for a model of many inputs is predicted in memory that holds a part of the prepared rows.
#[test]
fn many_rows_and_many_inputs_are_predicted_part_by_part() {
    const N_ROWS: usize = 300_000;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    let wide = |i: usize| format!("a{},b{},c{}", i % 400, i * 3 % 400, i * 7 % 400);
    write("t.csv", rows("a,b,c,y", 400, |i| format!("{},{i}.5", wide(i))));
    write("u.csv", rows("a,b,c", N_ROWS, wide));
    let mut args = cli::quick("t.csv", "y", &["--out", "run", "--set", "split.test=0"]);
    let kinds = ["a", "b", "c"].map(|column| format!("data.columns.{column}.kind=category"));
    args.extend(kinds.iter().flat_map(|kind| ["--set", kind]));
    cli::call(folder.path(), &args).done();
    // The whole of it would be 300,000 rows of about 1,000 inputs of eight bytes: 2.4 gigabytes.
    let output = call_bounded(folder.path(), "predict run u.csv -o out.csv --threads 1");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(folder.path().join("out.csv")).unwrap();
    let predicted: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(predicted.len(), N_ROWS);
    // The rows repeat after 400, and so do their predictions, whichever part they are in.
    assert!(predicted.iter().zip(predicted.iter().skip(400)).all(|(a, b)| a == b));
}
