//! What is suggested can be done: remedies and overrides name the cause, and are taken by the command at hand.

use crate::cli;
use std::path::Path;

use cli::cases::rows;
use cli::{call, folder, quick};
use statera::config::Config;

/// The arguments of an override, as a shell cuts them; none hold a space between quotes.
fn words(hint: &str) -> Vec<String> {
    hint.split_whitespace().map(|word| word.replace('\'', "")).collect()
}

/// A table whose column `split` says which rows are for what, with one cell of a held-out row beyond all bounds.
fn with_a_far_cell(part: &str, column: usize) -> String {
    rows("x,y,split", 60, |i| {
        let of = ["train", "train", "train", "val", "test"][i % 5];
        let far = of == part && i > 20 && i <= 25;
        let cell = |c: usize| if far && c == column { "1e300".into() } else { format!("{}.5", i * (c + 1)) };
        format!("{},{},{of}", cell(0), cell(1))
    })
}

#[test]
fn a_held_out_cell_beyond_all_bounds_is_named_before_training() {
    for (part, column, row, line, name, does) in [
        ("val", 0, 24, 25, "x", "takes the cell as missing"),
        ("test", 0, 25, 26, "x", "takes the cell as missing"),
        ("val", 1, 24, 25, "y", "leaves the row out"),
    ] {
        let folder = folder();
        std::fs::write(folder.path().join("far.csv"), with_a_far_cell(part, column)).unwrap();
        let split = ["--split-column", "split"];
        let outcome = call(folder.path(), &quick("far.csv", "y", &split));
        assert_eq!(outcome.code, 1, "{}", outcome.err);
        let place = format!("error: row {row} (line {line}), column `{name}`: `1e300`");
        assert!(outcome.err.contains(&place), "{place}: {}", outcome.err);
        assert!(outcome.err.contains(&format!("--null 1e300, which {does}")), "{}", outcome.err);
        for word in ["learning_rate=0.000", "kept the weights", "epoch 1/"] {
            assert!(!outcome.err.contains(word), "{word}: {}", outcome.err);
        }
        let mended =
            call(folder.path(), &quick("far.csv", "y", &[&split[..], &["--null", "1e300"]].concat()));
        mended.done();
    }
}

#[test]
fn nothing_is_said_to_be_kept_where_nothing_is() {
    let folder = folder();
    let more = ["optimizer.name=sgd", "optimizer.learning_rate=1000", "train.batch_size=42"];
    let more: Vec<&str> = more.iter().flat_map(|set| ["--set", set]).collect();
    let outcome = call(folder.path(), &[&["train", "t.csv", "--target", "y"][..], &more].concat());
    assert_eq!(outcome.code, 1, "{}", outcome.err);
    assert!(outcome.err.contains("nothing to keep"), "{}", outcome.err);
    assert!(!outcome.err.contains("kept the weights"), "{}", outcome.err);
}

/// What follows `override: ` in the plan that a call prints.
fn overrides(plan: &str) -> Vec<&str> {
    plan.lines().filter_map(|line| line.split("override: --set ").nth(1)).collect()
}

#[test]
fn overrides_of_a_plan_with_listed_layers_work_and_change_something() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = folder();
    let recipe = root.join("recipes/insurance.toml");
    let few = ["train", "--config", recipe.to_str().unwrap(), "--set", "train.epochs=1"];
    let train = |more: &[&str]| call(folder.path(), &[&few[..], more].concat());
    let plan = train(&[]).done().err;
    assert!(plan.contains("override: --set 'network.layers=[]' --set 'network.hidden=[64,64]'"), "{plan}");
    assert!(plan.contains("learning rate 0.01,"), "{plan}");
    assert!(!plan.contains("override: --set optimizer.learning_rate=0.01\n"), "{plan}");
    for hint in overrides(&plan) {
        if hint.contains("NAME") || hint.contains(" (or ") {
            continue;
        }
        let words = words(&format!("--set {hint}"));
        train(&words.iter().map(String::as_str).collect::<Vec<_>>()).done();
    }
}

#[test]
fn how_hidden_layers_start_is_said_beside_the_output_layer() {
    let folder = folder();
    let plan = call(folder.path(), &quick("t.csv", "y", &[])).done().err;
    let init = call(folder.path(), &["inspect", "--init", "t.csv", "--target", "y"]).done().out;
    for told in [&plan, &init] {
        let hidden = told.find("as network.initializer says (layers.0").unwrap_or_else(|| panic!("{told}"));
        let output = told.find("auto for linear (layers.").unwrap();
        assert!(hidden < output && told[..hidden].contains("xavier_normal"), "{told}");
    }
}

#[test]
fn the_file_of_a_run_says_what_auto_came_to_and_trains_to_the_same_weights() {
    let layers = r#"network.layers=[{type="dense",units=6,activation="selu",initializer="auto"},{type="residual",layers=[{type="dense",units=6,activation="relu",initializer="auto"}]}]"#;
    for settings in
        [&["--set", "network.initializer=auto", "--set", "network.hidden=[8]"][..], &["--set", layers]]
    {
        let folder = folder();
        let train = |more: &[&str]| {
            call(folder.path(), &[&["train", "--set", "train.epochs=2"][..], more].concat()).done()
        };
        train(&[&["t.csv", "--target", "y", "--out", "a"][..], settings].concat());
        let written = std::fs::read_to_string(folder.path().join("a/config.toml")).unwrap();
        assert!(!written.contains("initializer = \"auto\""), "{written}");
        assert!(written.contains("initializer = \"he_normal\""), "{written}");
        assert_eq!(written.contains("lecun_normal"), settings[1] == layers);
        train(&["--config", "a/config.toml", "--out", "b"]);
        let data = |run: &str| {
            let bytes = std::fs::read(folder.path().join(run).join("model.safetensors")).unwrap();
            let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            bytes[8 + header..].to_vec()
        };
        assert!(data("a") == data("b"), "{settings:?}");
    }
    let unset = Config::default();
    assert_eq!(unset.with_starts().to_toml(), unset.to_toml());
}

#[test]
fn evaluate_suggests_what_it_takes() {
    let folder = folder();
    std::fs::write(folder.path().join("m.safetensors"), cli::cases::trained()).unwrap();
    let table = |y: &'static str| rows("x,k,colour,y", 20, |i| format!("{i},{i},red,{y}"));
    std::fs::write(folder.path().join("f.csv"), table("foo")).unwrap();
    let odd = call(folder.path(), &["evaluate", "m.safetensors", "f.csv"]);
    assert!(odd.code == 1 && odd.err.contains("--null foo to leave such rows out\n"), "{}", odd.err);
    std::fs::write(folder.path().join("f.csv"), table("")).unwrap();
    let empty = call(folder.path(), &["evaluate", "m.safetensors", "f.csv"]);
    assert!(
        empty.code == 1 && empty.err.contains("try: ") && !empty.err.contains("--target"),
        "{}",
        empty.err
    );
    let option = call(folder.path(), &["evaluate", "m.safetensors", "f.csv", "--task", "binary"]);
    assert_eq!(option.code, 2);
    assert!(
        option.err.contains("there is no option --task") && !option.err.contains("--set"),
        "{}",
        option.err
    );
    let other = call(folder.path(), &["train", "t.csv", "--batch-size", "8"]);
    assert!(other.err.contains("--set train.batch_size=VALUE"), "{}", other.err);
    // What says nothing to a command is no remedy.
    let folds = call(folder.path(), &["tune", "t.csv", "--target", "y", "--folds", "3"]);
    assert!(folds.code == 2 && folds.err.contains("try: leave --folds out"), "{}", folds.err);
    assert!(
        folds.err.contains("it judges on validation rows") && !folds.err.contains("=VALUE"),
        "{}",
        folds.err
    );
}

#[test]
fn no_share_for_validation_needs_a_column_that_has_val() {
    let folder = folder();
    let random = call(folder.path(), &quick("t.csv", "y", &["--set", "split.val=0"]));
    assert_eq!(random.code, 2);
    assert!(random.err.contains("split.val = 0 leaves no validation rows"), "{}", random.err);
    assert!(random.err.contains("or a split.column with rows of val"), "{}", random.err);
    let part = |i: usize| ["train", "train", "val"][i % 3];
    let by_column = rows("x,y,part", 60, |i| format!("{i}.5,{}.25,{}", 2 * i, part(i)));
    std::fs::write(folder.path().join("p.csv"), by_column).unwrap();
    call(folder.path(), &quick("p.csv", "y", &["--split-column", "part", "--set", "split.val=0"])).done();
}

#[cfg(target_os = "linux")]
#[test]
fn predictions_that_have_no_room_are_an_error_with_place_and_remedy() {
    let folder = folder();
    std::fs::write(folder.path().join("m.safetensors"), cli::cases::trained()).unwrap();
    let output = cli::cases::call_bounded(folder.path(), "predict m.safetensors t.csv >/dev/full");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot write standard output: ") && error.contains("try: make room"), "{error}");
}
