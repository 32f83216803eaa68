//! Whatever is wrong with a table or a setting: the exit code, the words on standard error (place, what was expected,
//! what was found, what to do), and that nothing half-written is left.

use crate::cli;
use cli::cases::{Case, case, check, rows, with};

/// A case of a table `f.csv`, to learn its column `y` from.
fn csv(name: &'static str, bytes: impl Into<Vec<u8>>, words: &'static [&'static str]) -> Case {
    with("f.csv", bytes, name, "train f.csv --target y", 1, words)
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
        case("nothing on standard input", "train - --target y", 1, &["standard input is empty"]),
        case(
            "a pattern that matches nothing",
            "train 'tt*.csv' --target y",
            1,
            &["no file is called like tt*.csv", "did you mean t.csv?"],
        ),
        case("no such folder", "train a/b.csv --target y", 1, &["folder a does not exist", "check the path"]),
        with(
            "empty/notes.md",
            "no table",
            "a folder without a table",
            "train empty --target y",
            1,
            &["there is no table in the folder empty", "give the path of a file"],
        ),
        with(
            "many/b.csv",
            "x,z\n1,2\n",
            "a file with other columns",
            "train t.csv many/b.csv --target y",
            1,
            &["t.csv and many/b.csv have different columns:", "`z` only in the second", "files of one table"],
        ),
        csv(
            "a packed file cut short",
            [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2],
            &["f.csv is packed by gzip and damaged or cut short", "gzip --test f.csv"],
        ),
        csv(
            "a name of a megabyte",
            format!("{},y\n1,2\n", "x".repeat(1 << 20)),
            &["line 1: the name of column 1 has 1,048,576 bytes", "at most 4,096", "a short name"],
        ),
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
            &[
                "f.csv, row 2 (line 4): expected 2 fields, found 3",
                "between double quotes",
                "--bad-rows skip",
            ],
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
        csv("semicolons", "x;y\n1;2\n1;2;3\n", &["f.csv, row 2 (line 3): expected 2 fields, found 3"]),
        csv(
            "nothing to learn from",
            rows("x,y", 60, |i| format!("7,{i}.25")),
            &["no column is left to learn from", "`x` (constant: every training cell is `7`)"],
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
            "a setting of another loss",
            "train t.csv --target y --set loss.delta=2",
            2,
            &[
                "--set loss.delta=2: `loss.delta` = 2.0 has no effect with `loss.name` = \"auto\"",
                "it is a setting of huber",
                "leave `loss.delta` out, or set loss.name = \"huber\"",
            ],
        ),
        case(
            "a setting of another optimiser",
            "train t.csv --target y --set optimizer.name=adam --set optimizer.momentum=0.5",
            2,
            &[
                "`optimizer.momentum` = 0.5 has no effect with `optimizer.name` = \"adam\"",
                "a setting of sgd",
            ],
        ),
        file(
            "a setting of another schedule",
            "[schedule]\nname = \"cosine\"\npower = 2\n",
            &[
                "f.toml: `schedule.power` = 2.0 has no effect with `schedule.name` = \"cosine\"",
                "of polynomial",
            ],
        ),
        case(
            "a setting of what is switched off",
            "train t.csv --target y --set early_stopping.enabled=false --set early_stopping.patience=5",
            2,
            &["`early_stopping.patience` = 5 has no effect with `early_stopping.enabled` = false"],
        ),
        file(
            "a slope of a function that has none",
            "network.layers = [{ type = \"dense\", units = 3, activation = \"relu\", slope = 0.2 }]\n",
            &["f.toml, line 1", "layer 1 (dense): `slope` = 0.2 has no effect with `activation` = \"relu\""],
        ),
        case(
            "a share beside a column that splits",
            "train t.csv --target y --split-column k --set split.test=0.3",
            2,
            &["`split.test` = 0.3 has no effect with `split.column` = \"k\", which takes its place"],
        ),
        case(
            "a scale for classes",
            "train t.csv --target colour --set prepare.target_scale=none",
            2,
            &[
                "prepare.target_scale = none: column `colour` is a class and has no scale",
                "leave prepare.target",
            ],
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
            &[
                "data.columns.c.drop is false",
                "constant: every training cell is `7`",
                "leave the setting out",
            ],
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
        case(
            "a folder for a configuration",
            "train t.csv --target y --config .",
            2,
            &["`.` is a folder; expected a configuration file", "config.toml of a run folder"],
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

#[test]
fn tables_that_cannot_be_learned_from_are_refused() {
    check(tables());
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    check(settings());
}
