//! Whatever is wrong with a table, a setting, a model or a place to write to: the exit code, the words on standard
//! error (place, what was expected, what was found, what to do), and that nothing half-written is left.

mod cli;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use cli::{content, folder, safetensors, table, with_card, with_description};
use serde_json::{Value, json};

/// Something that goes wrong.
struct Case {
    /// What it is.
    name: &'static str,
    /// The file to make in the folder, beside `t.csv` and the trained `m.safetensors`.
    file: Option<(&'static str, Vec<u8>)>,
    /// The arguments, separated by white space.
    args: &'static str,
    /// The exit code: 1 failed, 2 wrong use.
    code: i32,
    /// What standard error must say.
    words: &'static [&'static str],
}

fn case(name: &'static str, args: &'static str, code: i32, words: &'static [&'static str]) -> Case {
    Case { name, file: None, args, code, words }
}

/// A case of a table `f.csv`, to learn its column `y` from.
fn csv(name: &'static str, bytes: impl Into<Vec<u8>>, words: &'static [&'static str]) -> Case {
    with("f.csv", bytes, name, "train f.csv --target y", 1, words)
}

/// A case of a file that does not fit.
fn with(
    file: &'static str,
    bytes: impl Into<Vec<u8>>,
    name: &'static str,
    args: &'static str,
    code: i32,
    words: &'static [&'static str],
) -> Case {
    Case { name, file: Some((file, bytes.into())), args, code, words }
}

/// A case of a model `f.safetensors`, to predict the table that it was trained on.
fn model(name: &'static str, bytes: Vec<u8>, words: &'static [&'static str]) -> Case {
    with("f.safetensors", bytes, name, "predict f.safetensors t.csv -o out.csv", 1, words)
}

fn trained() -> &'static [u8] {
    static MODEL: OnceLock<Vec<u8>> = OnceLock::new();
    MODEL.get_or_init(|| cli::model_bytes(8))
}

/// The rows `n` of a table of two columns, its cells made by `row`.
fn rows(header: &str, n: usize, row: impl Fn(usize) -> String) -> String {
    (0..n).fold(format!("{header}\n"), |mut text, i| {
        writeln!(text, "{}", row(i)).unwrap();
        text
    })
}

fn tables() -> Vec<Case> {
    let numbers = |odd: &'static str| {
        rows("x,y", 60, move |i| {
            let cell = if [6, 8, 30].contains(&i) { odd.into() } else { format!("{i}.5") };
            format!("{cell},{i}.25")
        })
    };
    let targets = |target: &'static str| rows("x,y", 60, |i| format!("{i}.5,{target}"));
    let good = |n| rows("x,y", n, |i| format!("{i}.5,{i}.25"));
    let utf16: Vec<u8> = good(20).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin1 = [good(20).as_bytes(), b"caf\xe9,1\n"].concat();
    vec![
        case("no such file", "train tt.csv --target y", 1, &["no such file: tt.csv", "did you mean t.csv?"]),
        case("no such folder", "train a/b.csv --target y", 1, &["folder a does not exist", "check the path"]),
        case("a folder for a table", "train . --target y", 1, &["it is a folder", "expected a CSV file"]),
        csv("an empty file", "", &["f.csv is empty; expected a header and rows", "written in full"]),
        csv("a header alone", "x,y\n", &["f.csv has a header of 2 columns and no rows", "add rows"]),
        case("no target", "train t.csv", 2, &["no column to predict is named", "--target with one of `x`"]),
        case(
            "a setting for an option",
            "train t.csv --target y --batch-size 8",
            2,
            &["there is no option --batch-size", "--set train.batch_size=VALUE"],
        ),
        case(
            "a slip in an option",
            "train t.csv --targt y",
            2,
            &["unexpected argument '--targt'", "'--target'"],
        ),
        case("no table", "train --target y", 2, &["no table is named", "data.path"]),
        case(
            "no such target",
            "train t.csv --target color",
            2,
            &["there is no column `color` in t.csv", "did you mean `colour`?"],
        ),
        csv(
            "a row too long",
            "x,y\n1,2\n\n1,2,3\n",
            &["f.csv, row 2 (line 4): expected 2 fields, found 3", "between double quotes"],
        ),
        csv(
            "an unclosed quote",
            "x,y\n1,2\n\"3,4\n5,6\n",
            &["opens on line 3, character 1, is not closed", "close it"],
        ),
        csv(
            "a target without cells",
            targets(""),
            &["target column `y`: all 60 cells are missing", "--target"],
        ),
        csv(
            "a constant target",
            targets("5"),
            &["target column `y`: every row has the same value, `5`", "choose another column"],
        ),
        csv(
            "one class",
            targets("cat"),
            &["target column `y`: every row has the same value, `cat`", "add rows with other values"],
        ),
        csv(
            "a class of one row",
            rows("x,y", 60, |i| format!("{i}.5,{}", if i == 3 { "rare" } else { ["a", "b"][i % 2] })),
            &["1 of 3 classes has fewer than 3 rows", "`rare`", "--null rare"],
        ),
        csv(
            "too few rows",
            good(11),
            &[
                "fewer rows than needed: 11 rows",
                "the least are 10, and 2 for each share",
                "the least are 12",
            ],
        ),
        csv("too few rows for a test", good(12), &["12 rows", "--set split.val=0.2 --set split.test=0"]),
        csv(
            "infinity",
            numbers("inf"),
            &["row 7 (line 8), column `x`: expected a finite number, found `inf`", "--null inf"],
        ),
        csv(
            "a number beyond all bounds",
            numbers("1e400"),
            &["row 7 (line 8), column `x`: expected a finite number, found `1e400`", "--null 1e400"],
        ),
        csv(
            "words among numbers",
            numbers("n/a."),
            &[
                "row 7 (line 8), column `x`: expected a number, found `n/a.` (2 like it)",
                "--null n/a.",
                "--set data.columns.x.kind=category",
            ],
        ),
        csv(
            "words among the target's numbers",
            rows("x,y", 60, |i| format!("{i}.5,{}", if i == 9 { "none".into() } else { format!("{i}.25") })),
            &["row 10 (line 11), column `y`: expected a finite number, found `none`", "--null none"],
        ),
        csv("two columns of one name", "x,x,y\n1,2,3\n", &["line 1: columns 1 and 2 are both named `x`"]),
        csv(
            "a column without a name",
            "x,,y\n1,2,3\n",
            &["line 1: column 2 of 3 has no name", "give it a name"],
        ),
        csv("UTF-16", utf16, &["f.csv is in UTF-16; expected UTF-8", "iconv -f UTF-16 -t UTF-8 f.csv"]),
        csv("Latin-1", latin1, &["f.csv is not UTF-8: line 22", "0xe9", "iconv -f LATIN1 -t UTF-8 f.csv"]),
        csv("semicolons", "x;y\n1;2\n", &["expected commas between the names", "in place of `;`"]),
        csv(
            "nothing to learn from",
            rows("x,y", 60, |i| format!("7,{i}.25")),
            &["no column is left to learn from", "`x` (constant: every cell is `7`)"],
        ),
        csv(
            "nothing but the target",
            rows("y", 60, |i| format!("{i}.5")),
            &["no column to learn from beside"],
        ),
        with(
            "f.csv",
            rows("x,y,part", 60, |i| format!("{i}.5,{i}.25,{}", if i == 2 { "dev" } else { "train" })),
            "a split column with another word",
            "train f.csv --target y --split-column part",
            1,
            &["row 3 (line 4), column `part`: expected `train`, `val` or `test`, found `dev`"],
        ),
        case(
            "no such split column",
            "train t.csv --target y --split-column colr",
            2,
            &["split.column: there is no column `colr`", "did you mean `colour`?"],
        ),
    ]
}

fn settings() -> Vec<Case> {
    let train = "train t.csv --target y --config f.toml";
    let file = |name, text: &str, words| with("f.toml", text, name, train, 2, words);
    vec![
        file(
            "an unknown key in a file",
            "[train]\nepochs = 3\nbatchsize = 8\n",
            &["f.toml, line 3", "unknown key `train.batchsize`", "`train.batch_size`"],
        ),
        case(
            "an unknown key",
            "train t.csv --target y --set train.epoch=3",
            2,
            &["--set train.epoch=3", "unknown key `train.epoch`", "`train.epochs`"],
        ),
        case(
            "a value out of range",
            "train t.csv --target y --set train.epochs=0",
            2,
            &[
                "`train.epochs`: out of range",
                "a whole number from 1 to 1000000, got 0",
                "--set train.epochs=200",
            ],
        ),
        file(
            "a value of the wrong type",
            "[train]\nepochs = \"many\"\n",
            &["f.toml, line 2", "expected a whole number", "got the text \"many\"", "epochs = 200"],
        ),
        case(
            "a loss for another task",
            "train t.csv --target y --set loss.name=binary_crossentropy",
            2,
            &["loss.name: binary_crossentropy does not go with the task regression", "--set loss.name=mse"],
        ),
        case(
            "a monitor for another task",
            "train t.csv --target y --set checkpoint.monitor=val_accuracy",
            2,
            &["checkpoint.monitor: val_accuracy does not exist for the task regression", "val_loss"],
        ),
        case(
            "shares that leave nothing",
            "train t.csv --target y --set split.val=0.6 --set split.test=0.5",
            2,
            &["`split.val` = 0.6 and `split.test` = 0.5 leave no rows to train on", "below 1"],
        ),
        case(
            "no validation rows",
            "train t.csv --target y --set split.val=0",
            2,
            &["no validation rows", "--set split.val=0.15"],
        ),
        case(
            "a binary task of many classes",
            "train t.csv --target colour --task binary",
            2,
            &["--task binary needs two classes; column `colour` has 3", "--task multiclass"],
        ),
        file(
            "an unknown layer",
            "network.layers = [{ type = \"dens\", units = 3 }]\n",
            &["f.toml, line 1", "layer 1: unknown type \"dens\"", "type = \"dense\""],
        ),
        case(
            "a column that is not there",
            "train t.csv --target y --set data.columns.color.drop=true",
            2,
            &["data.columns: there is no column `color`", "did you mean `colour`?"],
        ),
        case(
            "a kind for the column to predict",
            "train t.csv --target y --set data.columns.y.kind=category",
            2,
            &["data.columns.y: `y` is the column to predict", "--task"],
        ),
        case(
            "the column to predict dropped",
            "train t.csv --target y --set data.columns.y.drop=true",
            2,
            &["data.columns.y: `y` is the column to predict", "leave the setting out"],
        ),
        case(
            "a kind for the column that splits",
            "train t.csv --target y --split-column k --set data.columns.k.kind=number",
            2,
            &["data.columns.k: `k` is the column that splits the rows", "leave the setting out"],
        ),
        with(
            "f.csv",
            rows("x,id,y", 60, |i| format!("{i}.5,{i},{i}.25")),
            "an identifier to be kept",
            "train f.csv --target y --set data.columns.id.drop=false",
            2,
            &["data.columns.id.drop is false", "identifier", "--set data.columns.id.kind=category"],
        ),
        with(
            "f.csv",
            rows("x,c,y", 60, |i| format!("{i}.5,7,{i}.25")),
            "a constant to be kept",
            "train f.csv --target y --set data.columns.c.drop=false",
            2,
            &["data.columns.c.drop is false", "constant: every cell is `7`", "leave the setting out"],
        ),
        case(
            "batch normalisation of single rows",
            "train t.csv --target y --set network.norm=batch --set train.batch_size=1",
            2,
            &["train.batch_size is 1", "needs 2: a row alone", "--set train.batch_size=32"],
        ),
        case(
            "batch normalisation of shards that can have a single row",
            "train t.csv --target y --set network.norm=batch --set train.shard_rows=2",
            2,
            &["train.shard_rows is 2", "needs 3: a row alone", "--set train.shard_rows=32"],
        ),
        file(
            "a slope that turns the sign",
            "network.layers = [{ type = \"activation\", function = \"leaky_relu\", slope = -1.0 }]\n",
            &["f.toml, line 1", "`slope`: out of range: expected a number of at least 0, got -1"],
        ),
        case(
            "no such configuration",
            "train t.csv --target y --config none.toml",
            2,
            &["no configuration file `none.toml`", "statera config --defaults"],
        ),
        file("broken TOML", "seed = 1\n[train\n", &["f.toml, line 2", "not valid TOML"]),
        case("an unknown option", "train t.csv --targt y", 2, &["--targt", "--target"]),
        case(
            "weights that overflow at once",
            "train t.csv --target y --set optimizer.name=sgd --set optimizer.learning_rate=1000 \
             --set train.batch_size=4",
            1,
            &[
                "the loss is not finite in epoch 1, step",
                "layers.",
                "(dense)",
                "as a range test suggests; `statera lr-test` draws it",
            ],
        ),
        case(
            "an epoch that leaves weights without use",
            "train t.csv --target y --set optimizer.name=sgd --set optimizer.learning_rate=1000 \
             --set train.batch_size=42",
            1,
            &[
                "no epoch left weights whose predictions are finite",
                "epoch 2",
                "as a range test suggests; `statera lr-test` draws it",
            ],
        ),
    ]
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
            &["format version 99; this Statera reads up to 1", "install a newer Statera"],
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

/// Calls the binary with an address space of two gigabytes: what would take more memory is an error here.
fn call_bounded(folder: &Path, args: &str) -> std::process::Output {
    let binary = env!("CARGO_BIN_EXE_statera");
    let script = format!("ulimit -v 2000000 2>/dev/null; exec '{binary}' {args}");
    std::process::Command::new("sh").args(["-c", &script]).current_dir(folder).output().unwrap()
}

#[test]
fn whatever_is_wrong_is_said_and_leaves_nothing_behind() {
    let mut failures = String::new();
    for case in [tables(), settings(), uses(), models()].into_iter().flatten() {
        let folder = folder();
        std::fs::write(folder.path().join("m.safetensors"), trained()).unwrap();
        if let Some((file, bytes)) = &case.file {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let before = content(folder.path());
        let output = call_bounded(folder.path(), case.args);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let mut complain = |what: String| {
            writeln!(failures, "{} (statera {}): {what}\n{err}", case.name, case.args).unwrap();
        };
        if output.status.code() != Some(case.code) {
            complain(format!("exit code {:?}, expected {}", output.status, case.code));
        }
        for word in case.words.iter().filter(|word| !err.contains(**word)) {
            complain(format!("standard error lacks {word:?}"));
        }
        if !err.contains("error: ") || err.contains("panicked") {
            complain("no error is told, or a panic".into());
        }
        if !err.contains("try: ") && !err.contains("tip: ") {
            complain("nothing is said about what to do".into());
        }
        if !out.is_empty() {
            complain(format!("standard output holds {out:?}"));
        }
        if content(folder.path()) != before {
            let left: Vec<_> =
                content(folder.path()).into_keys().filter(|p| !before.contains_key(p)).collect();
            complain(format!("files have changed, or are left: {left:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures}");
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
        ("predict m.safetensors t.csv --threads 1000000", "1000000 is not in 0..=1024"),
        ("evaluate m.safetensors t.csv --threads 1025", "1025 is not in 0..=1024"),
        ("evaluate m.safetensors t.csv --bootstrap 1000001", "1000001 is not in 0..=1000000"),
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
