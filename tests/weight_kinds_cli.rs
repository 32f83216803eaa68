//! Binary and sparse weights from the command line: settings, files, what `inspect` says, and the continuous twin.

use crate::cli;
use std::path::Path;

use cli::cases::{Case, case, check};
use cli::{call, folder};
use serde_json::Value;
use statera::model::Model;

/// Trains a network with two hidden layers on the table of [`folder`] into `run`.
fn train(folder: &Path, run: &str, sets: &[&str]) -> String {
    let mut args = vec!["train", "t.csv", "--target", "y", "--out", run];
    args.extend(["--set", "network.hidden=[64,64]", "--set", "train.epochs=12"]);
    args.extend(sets.iter().flat_map(|set| ["--set", set]));
    call(folder, &args).done().err
}

const BINARY: &[&str] = &["weights.kind=binary"];
const SPARSE: &[&str] =
    &["weights.kind=sparse", "weights.sparsity=0.9", "weights.prune_begin=2", "weights.prune_end=8"];

/// A text without its line breaks.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn model(folder: &Path, run: &str) -> Model {
    Model::load(&folder.join(run)).unwrap()
}

#[test]
fn what_is_loaded_predicts_the_bits_of_what_was_saved() {
    let folder = folder();
    for (run, kind, precision) in
        [("b32", BINARY, "f32"), ("b64", BINARY, "f64"), ("s32", SPARSE, "f32"), ("s64", SPARSE, "f64")]
    {
        let precision = format!("network.precision={precision}");
        train(folder.path(), run, &[kind, &[&precision]].concat());
        let bytes = std::fs::read(folder.path().join(run).join("model.safetensors")).unwrap();
        let loaded = Model::from_bytes(&bytes).unwrap();
        assert_eq!(loaded.to_bytes().unwrap(), bytes, "{run}");
        let again = Model::from_bytes(&loaded.to_bytes().unwrap()).unwrap();
        assert_eq!(again.params, loaded.params);
        let x: Vec<f64> = (0..40 * loaded.card.n_inputs).map(|i| (i * 37 % 19) as f64 / 7.0 - 1.0).collect();
        let predicted = loaded.run(&x);
        assert!(predicted.iter().all(|y| y.is_finite()));
        assert_eq!(again.run(&x), predicted, "{run}");
        // And those of the numbers themselves, one row at a time.
        for (row, y) in x.chunks_exact(loaded.card.n_inputs).zip(&predicted) {
            assert_eq!(loaded.run(row), [*y], "{run}");
        }
        // What was tested before saving is what is measured after.
        let metrics: Value =
            serde_json::from_slice(&std::fs::read(folder.path().join(run).join("metrics.json")).unwrap())
                .unwrap();
        assert_eq!(metrics["test"], loaded.card.metrics["test"], "{run}");
    }
}

#[test]
fn a_binary_layer_takes_about_a_thirty_second_of_the_bytes() {
    let folder = folder();
    let wide = &["network.hidden=[256,256]", "train.epochs=2", "weights.kind=binary"];
    train(folder.path(), "run", wide);
    let told = call(folder.path(), &["inspect", "run", "--json"]).done().json();
    let weights = told["kinds"]["weights"].as_array().unwrap();
    assert_eq!(weights.len(), 1, "the first and the last layer stay continuous");
    let cost = &weights[0];
    // A bit a weight, and a number for each unit.
    assert_eq!(
        (&cost["name"], &cost["bytes"]),
        (&"layers.2.weight".into(), &(256 * 256 / 8 + 4 * 256).into())
    );
    assert_eq!(cost["continuous_bytes"], 4 * 256 * 256);
    let file = std::fs::metadata(folder.path().join("run/model.safetensors")).unwrap().len();
    assert_eq!(told["kinds"]["file_bytes"], file);
    for (time, rows) in cost["times"].as_array().unwrap().iter().zip([1, 256]) {
        assert_eq!((&time["rows"], &time["rows_by_kind"]), (&rows.into(), &rows.into()));
        assert!(time["micros"].as_f64().unwrap() > 0.0 && time["continuous_micros"].as_f64().unwrap() > 0.0);
        assert!(time["repeats"].as_u64().unwrap() >= 5);
    }
    let summary = call(folder.path(), &["summary", "run"]).done().out;
    assert!(summary.contains("65,536 of 67,328 weights are binary"), "{summary}");
    assert!(summary.contains("relu, binary"), "{summary}");
}

#[test]
fn sparse_weights_are_stored_in_fewer_bytes_or_else_number_by_number() {
    let folder = folder();
    train(folder.path(), "run", SPARSE);
    let told = call(folder.path(), &["inspect", "run", "--json"]).done().json();
    let weights = told["kinds"]["weights"].as_array().unwrap();
    assert_eq!(weights.len(), 3);
    let layer = &weights[1];
    let left = (0.1_f64 * 64.0 * 64.0).round() as u64;
    assert_eq!(layer["zeros"], 1.0 - left as f64 / 4096.0);
    // Where units begin in two bytes, an input in one, a weight in four.
    assert_eq!((&layer["bytes"], &layer["is_compact"]), (&(2 * 65 + 5 * left).into(), &true.into()));

    // Without a cut nothing is saved by compressed rows.
    train(folder.path(), "full", &["weights.kind=sparse", "weights.sparsity=0"]);
    let told = call(folder.path(), &["inspect", "full", "--json"]).done().json();
    let layer = &told["kinds"]["weights"][1];
    assert_eq!((&layer["bytes"], &layer["is_compact"]), (&(4 * 4096).into(), &false.into()));
    assert_eq!(
        model(folder.path(), "full").to_bytes().unwrap().len() as u64,
        told["kinds"]["file_bytes"].as_u64().unwrap()
    );
    // And with zeros that L1 leaves, something is.
    let l1 = &["weights.kind=sparse", "weights.sparsity=0", "optimizer.l1=0.05"];
    train(folder.path(), "l1", l1);
    let told = call(folder.path(), &["inspect", "l1", "--json"]).done().json();
    let layer = &told["kinds"]["weights"][1];
    assert_eq!(layer["is_compact"], true, "{layer}");
    assert!(layer["zeros"].as_f64().unwrap() > 0.3, "{layer}");
}

#[test]
fn inspect_says_plainly_what_is_slower_and_what_prediction_uses() {
    let folder = folder();
    train(folder.path(), "run", SPARSE);
    let told = call(folder.path(), &["inspect", "run"]).done();
    let text = flowing(&told.out);
    for word in [
        "Binary and sparse weights beside continuous ones of the same shape",
        "layers.2.weight: stored in compressed rows, ",
        "A row alone, the sparse kernel ",
        "In batches of 256, the sparse kernel ",
        "prediction uses the ",
        "What it costs in rmse is shown by training the continuous twin: statera inspect run --twin ",
    ] {
        assert!(text.contains(word), "{}\n  lacks: {word}", told.out);
    }
    let json = call(folder.path(), &["inspect", "run", "--json"]).done().json();
    let slower =
        json["kinds"]["weights"].as_array().unwrap().iter().flat_map(|w| w["times"].as_array().unwrap());
    let slower =
        slower.filter(|t| t["micros"].as_f64().unwrap() > 1.5 * t["continuous_micros"].as_f64().unwrap());
    // Times differ from call to call, but what takes half as long again is called so.
    if slower.count() > 0 {
        assert!(text.contains("SLOWER"), "{}", told.out);
    }
}

#[test]
fn the_twin_is_the_run_with_continuous_weights_and_nothing_else_changed() {
    let folder = folder();
    for (run, kind) in [("b", BINARY), ("s", SPARSE)] {
        train(folder.path(), run, kind);
        train(folder.path(), &format!("{run}-twin"), &[]);
        let told = call(folder.path(), &["inspect", run, "--twin", "t.csv", "--json"]).done();
        let twin = &told.json()["twin"];
        let test = |run: &str| model(folder.path(), run).card.metrics["test"]["rmse"]["value"].clone();
        assert_eq!(twin["metrics"]["rmse"]["model"], test(run));
        assert_eq!(twin["metrics"]["rmse"]["twin"], test(&format!("{run}-twin")));
        assert_eq!(twin["n_test"], 18);
        let [ours, theirs] = ["model", "twin"].map(|of| twin["metrics"]["rmse"][of].as_f64().unwrap());
        assert!((twin["gain"].as_f64().unwrap() - (theirs - ours) / theirs).abs() < 1e-12);
        let text = flowing(&call(folder.path(), &["inspect", run, "--twin", "t.csv"]).done().out);
        assert!(text.contains("On the 18 test rows of the run, beside its continuous twin"), "{text}");
        assert!(text.contains("The loss in rmse, less being better: "), "{text}");
    }
}

#[test]
fn training_says_which_layers_are_which_and_what_follows() {
    let folder = folder();
    let told = flowing(&train(folder.path(), "b", BINARY));
    for word in [
        "binary weights `layers.2` a sign times a scale of each unit",
        "the first and the last layer stay continuous, as usual: `layers.0`, `layers.4`",
        "override: --set weights.first_and_last=same",
    ] {
        assert!(told.contains(word), "{told}\n  lacks: {word}");
    }
    let told = flowing(&train(folder.path(), "s", SPARSE));
    for word in [
        "the smallest 90 % of each layer's weights become 0 and stay so, from epoch 2 to 8",
        "only weights from after epoch 8 are kept, and early stopping and rate cuts wait until then",
        "after epoch 8: 90.0 % of the sparse weights are 0 from now on",
    ] {
        assert!(told.contains(word), "{told}\n  lacks: {word}");
    }
    let history = std::fs::read_to_string(folder.path().join("s/events.jsonl")).unwrap();
    assert_eq!(history.matches("\"event\":\"pruned\"").count(), 6);
    let all = train(folder.path(), "all", &["weights.kind=binary", "weights.first_and_last=same"]);
    assert!(flowing(&all).contains("binary weights `layers.0`, `layers.2`, `layers.4`"), "{all}");
    // A layer's own word goes before the setting for all.
    let own = "network.layers=[{type='dense',units=8,activation='relu',weights='sparse'},{type='dense',units=8,weights='continuous'},{type='dense',units=8}]";
    let sets =
        ["weights.kind=binary", "weights.sparsity=0.5", "weights.prune_end=10", "network.hidden=[128,128]"];
    let args = ["train", "t.csv", "--target", "y", "--out", "own", "--set", own, "--set", "train.epochs=12"];
    let sets: Vec<&str> = sets[..3].iter().flat_map(|set| ["--set", set]).collect();
    let told = flowing(&call(folder.path(), &[&args[..], &sets].concat()).done().err);
    assert!(
        told.contains("binary weights `layers.2`") && told.contains("sparse weights `layers.0`"),
        "{told}"
    );
}

#[test]
fn the_expanded_list_names_the_kinds_and_means_the_same() {
    let folder = folder();
    let sets =
        ["--set", "weights.kind=binary", "--set", "network.hidden=[64,64]", "--set", "train.epochs=12"];
    let told = call(folder.path(), &[&["config", "--expanded"][..], &sets].concat()).done().out;
    let settings: toml::Table = told.parse().unwrap();
    let kinds: Vec<_> =
        settings["network"]["layers"].as_array().unwrap().iter().map(|l| l.get("weights")).collect();
    assert_eq!(kinds, [Some(&"continuous".into()), None, Some(&toml::Value::from("binary")), None]);
    std::fs::write(folder.path().join("c.toml"), &told).unwrap();
    call(folder.path(), &["train", "t.csv", "--target", "y", "--out", "a", "--config", "c.toml"]).done();
    train(folder.path(), "b", BINARY);
    assert_eq!(model(folder.path(), "a").params, model(folder.path(), "b").params);
}

fn refused() -> Vec<Case> {
    let set = |name, args, words| case(name, args, 2, words);
    vec![
        set(
            "binary weights with lbfgs",
            "train t.csv --target y --set optimizer.name=lbfgs --set network.dropout=0 --set weights.kind=binary",
            &["`optimizer.name` = \"lbfgs\" cannot do with binary weights", "--set weights.kind=continuous"],
        ),
        set(
            "pruning with lbfgs",
            "train t.csv --target y --set optimizer.name=lbfgs --set network.dropout=0 --set weights.kind=sparse",
            &["`optimizer.name` = \"lbfgs\" cannot do with pruning", "--set weights.kind=continuous"],
        ),
        set(
            "all weights pruned",
            "train t.csv --target y --set weights.kind=sparse --set weights.sparsity=1",
            &[
                "`weights.sparsity`",
                "expected a number of at least 0 and below 1, got 1",
                "weights.sparsity=0.8",
            ],
        ),
        set(
            "less than none pruned",
            "train t.csv --target y --set weights.kind=sparse --set weights.sparsity=-0.1",
            &["`weights.sparsity`", "got -0.1", "weights.sparsity=0.8"],
        ),
        set(
            "binary weights that are pruned",
            "train t.csv --target y --set weights.kind=binary --set weights.sparsity=0.5",
            &[
                "`weights.sparsity` = 0.5 has no effect with `weights.kind` = \"binary\"",
                "set weights.kind = \"sparse\"",
            ],
        ),
        set(
            "a schedule that ends too late",
            "train t.csv --target y --set weights.kind=sparse --set train.epochs=40",
            &[
                "`weights.prune_end` = 50 leaves none of `train.epochs` = 40",
                "weights.prune_begin = 4 and weights.prune_end = 20",
            ],
        ),
        set(
            "a schedule that begins after its end",
            "train t.csv --target y --set weights.kind=sparse --set weights.prune_begin=60",
            &["`weights.prune_begin` = 60 is after `weights.prune_end` = 50", "weights.prune_begin = 10"],
        ),
        set(
            "an average that begins too soon",
            "train t.csv --target y --set weights.kind=sparse --set average.kind=swa",
            &[
                "`average.start` = 1 takes weights into the mean that are still being pruned",
                "average.start = 51",
            ],
        ),
        set(
            "binary weights with an L1 penalty",
            "train t.csv --target y --set weights.kind=binary --set optimizer.l1=0.1",
            &["l1 = 0.1 does not go with binary weights", "l1 = 0"],
        ),
        set(
            "binary weights with a constraint",
            "train t.csv --target y --set weights.kind=binary --set optimizer.constraint=max_norm",
            &["constraint = \"max_norm\" does not go with binary weights", "constraint = \"none\""],
        ),
        set(
            "binary weights with drop connect",
            "train t.csv --target y --set weights.kind=binary --set network.drop_connect=0.1",
            &["drop_connect = 0.1 does not go with binary weights", "drop_connect = 0"],
        ),
        set(
            "binary weights with the neural tangent parametrisation",
            "train t.csv --target y --set weights.kind=binary --set network.parametrization=ntp",
            &["parametrization = \"ntp\" does not go with binary weights", "parametrization = \"standard\""],
        ),
        set(
            "members with binary weights of their own",
            "train t.csv --target y --set weights.kind=binary --set ensemble.kind=packed",
            &["`weights.kind` = \"binary\" is that of no layer: members", "ensemble.kind = \"tabm\""],
        ),
        set(
            "no layer between the first and the last",
            "train t.csv --target y --set weights.kind=binary --set network.hidden=[64]",
            &["`weights.kind` = \"binary\" is that of no layer", "weights.first_and_last = \"same\""],
        ),
        set(
            "a share for continuous weights",
            "train t.csv --target y --set weights.sparsity=0.5",
            &[
                "`weights.sparsity` = 0.5 has no effect with `weights.kind` = \"continuous\"",
                "set weights.kind = \"sparse\"",
            ],
        ),
        set(
            "a twin of continuous weights",
            "inspect m.safetensors --twin t.csv",
            &["it is its own twin", "--set weights.kind=binary"],
        ),
    ]
}

#[test]
fn what_does_not_go_together_is_refused_before_training() {
    check(refused());
}

#[test]
fn a_twin_needs_the_run_and_its_table() {
    let folder = folder();
    train(folder.path(), "run", BINARY);
    let other = cli::table(&["x", "k", "colour", "y"], 0..90);
    std::fs::write(folder.path().join("u.csv"), other).unwrap();
    let told = call(folder.path(), &["inspect", "run", "--twin", "u.csv"]);
    assert_eq!((told.code, told.out.as_str()), (1, ""));
    assert!(told.err.contains("u.csv is not the table that the model was trained on"), "{}", told.err);
    std::fs::create_dir(folder.path().join("away")).unwrap();
    std::fs::copy(folder.path().join("run/model.safetensors"), folder.path().join("away/m.safetensors"))
        .unwrap();
    let told = call(folder.path(), &["inspect", "away/m.safetensors", "--twin", "t.csv"]);
    assert_eq!(told.code, 2, "{}", told.err);
    assert!(told.err.contains("has no config.toml"), "{}", told.err);
    let told = call(folder.path(), &["inspect", "away/m.safetensors"]).done();
    assert!(flowing(&told.out).contains("keep the run folder"), "{}", told.out);
}
