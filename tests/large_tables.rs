//! `statera train` on a table that is read from disk while it is learned from: the same model as in memory, and a cache
//! that is whole or not there.

use crate::cli;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cli::{call, content};
use serde_json::Value;

/// Rows of every kind of column: numbers with missing cells, whole numbers, categories, dates, texts of each row, and
/// targets of every task.
fn folder(n_rows: usize) -> tempfile::TempDir {
    let mut text = String::from("x,k,colour,born,note,y,yes,grade,part\n");
    for i in 0..n_rows {
        let x = (i as f64 * 0.737).sin() * 4.0;
        let (k, colour) = (i * 7 % 11, ["red", "green", "blue", ""][i * 5 % 4]);
        let y = 3.0 * x - k as f64 + if colour == "red" { 4.0 } else { 0.0 };
        let x = if i % 13 == 5 { String::new() } else { format!("{x:.3}") };
        let born = format!("20{:02}-{:02}-{:02}", i % 24, i % 12 + 1, i % 28 + 1);
        let (yes, grade) =
            (if y > 0.0 { "yes" } else { "no" }, 1 + usize::from(y > -3.0) + usize::from(y > 3.0));
        let part = ["train", "train", "train", "val", "test"][i % 5];
        let y = if i % 101 == 7 { String::new() } else { format!("{y:.4}") };
        writeln!(text, "{x},{k},{colour},{born},note {i},{y},{yes},{grade},{part}").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    folder
}

const QUICK: [&str; 12] = [
    // Their inputs are rounded to the precision of training, see below.
    "--set",
    "evaluate.baselines=false",
    "--set",
    "train.epochs=2",
    "--set",
    "network.hidden=[6]",
    "--set",
    "evaluate.bootstrap=20",
    "--set",
    "data.columns.note.drop=true",
    "--set",
    "data.columns.grade.kind=category",
];

fn train<'a>(target: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "t.csv", "--target", target, "--out", out][..], &QUICK, more].concat()
}

const ALWAYS: [&str; 4] = ["--set", "data.stream=always", "--cache", "cache"];

fn metrics(folder: &Path, run: &str) -> Value {
    let text = std::fs::read_to_string(folder.join(run).join("metrics.json")).unwrap();
    let mut metrics: Value = serde_json::from_str(&text).unwrap();
    metrics.as_object_mut().unwrap().remove("fit_seconds");
    metrics
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder.join("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort_unstable();
    entries
}

#[test]
fn a_table_read_from_disk_makes_the_model_of_one_in_memory() {
    let folder = folder(3000);
    for (i, (target, more)) in [
        ("y", &[][..]),
        ("y", &["--set", "train.shuffle=false", "--set", "split.stratify=false"]),
        ("yes", &["--set", "embedding.categories=embedding"]),
        ("grade", &["--split-column", "part", "--threads", "1"]),
        ("y", &["--set", "split.time=born"]),
        ("yes", &["--set", "split.time=k", "--set", "data.columns.colour.encode=ordinal"]),
        ("grade", &["--task", "regression", "--set", "split.group=k", "--set", "network.precision=f64"]),
        (
            "y",
            &[
                "--set",
                "embedding.numeric=ple",
                "--set",
                "prepare.scale=robust",
                "--set",
                "evaluate.baselines=false",
            ],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        // Where the target is a column of the others, these would be inputs that say it.
        let drop = ["y", "yes", "grade"].into_iter().filter(|name| *name != target);
        let drop: Vec<String> = drop.map(|name| format!("data.columns.{name}.drop=true")).collect();
        let mut more = more.to_vec();
        drop.iter().for_each(|set| more.extend(["--set", set]));
        let (memory, disk) = (format!("memory-{i}"), format!("disk-{i}"));
        // The kind that is set for `grade` says nothing where it is the target.
        let arguments = |out, always: &[&str]| {
            let all = train(target, out, &[&more[..], always].concat()).join("\n");
            let all = if target == "grade" {
                all.replace("--set\ndata.columns.grade.kind=category\n", "")
            } else {
                all
            };
            all.split('\n').map(str::to_owned).collect::<Vec<_>>()
        };
        let run = |out, always: &[&str]| {
            let arguments = arguments(out, always);
            call(folder.path(), &arguments.iter().map(String::as_str).collect::<Vec<_>>()).done()
        };
        run(&memory, &[]);
        let told = run(&disk, &ALWAYS).err;
        assert!(told.contains("rows from disk"), "{told}");
        let model = |run: &str| std::fs::read(folder.path().join(run).join("model.safetensors")).unwrap();
        assert_eq!(metrics(folder.path(), &disk), metrics(folder.path(), &memory), "{target} {more:?}");
        assert!(model(&disk) == model(&memory), "{target} {more:?}");
    }
}

/// More groups than other columns may have texts, ids that 64-bit floats cannot tell apart, and dates of which all cells
/// together say that the month stands first.
#[test]
fn many_groups_long_ids_and_dates_with_slashes_split_a_table_on_disk_as_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("customer,account,day,x,y\n");
    for i in 0_u64..70_000 {
        let account = 9_007_199_254_740_992_000 + i / 2 % 500;
        let (month, day) = (1 + i / 28 % 12, 1 + i % 28);
        writeln!(text, "c{i:07},{account},{month}/{day}/2023,{},{}", i % 97, i % 97 * 2).unwrap();
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let quick = ["train.epochs=1", "network.hidden=[2]", "train.batch_size=4096", "evaluate.baselines=false"];
    let sets: Vec<&str> =
        quick.iter().chain(&["evaluate.bootstrap=0"]).flat_map(|set| ["--set", set]).collect();
    for (i, (set, told)) in [
        ("split.group=customer", "70,000 groups of `customer`"),
        ("split.group=account", "500 groups of `account`"),
        ("split.time=day", "in the order of `day`"),
    ]
    .into_iter()
    .enumerate()
    {
        let run = |out: &str, more: &[&str]| {
            let call_of = ["train", "t.csv", "--target", "y", "--out", out, "--set", set];
            // What is said of columns counts all rows of a table on disk.
            let others =
                ["customer", "account", "day"].into_iter().filter(|&c| set != format!("split.group={c}"));
            let drop: Vec<String> = others.map(|column| format!("data.columns.{column}.drop=true")).collect();
            let drop: Vec<&str> = drop.iter().flat_map(|set| ["--set", set.as_str()]).collect();
            let err = call(folder.path(), &[&call_of, &sets[..], &drop, more].concat()).done().err;
            assert!(err.split_whitespace().collect::<Vec<_>>().join(" ").contains(told), "{err}");
            std::fs::read(folder.path().join(out).join("model.safetensors")).unwrap()
        };
        assert!(run(&format!("m{i}"), &[]) == run(&format!("d{i}"), &ALWAYS), "{set}");
    }
    std::fs::write(
        folder.path().join("u.csv"),
        "day,x,y\n".to_owned() + &"1/2/2023,1,2\n2/1/2023,2,4\n".repeat(50),
    )
    .unwrap();
    for more in [&[][..], &ALWAYS] {
        let asked = ["train", "u.csv", "--target", "y", "--set", "split.time=day"];
        let refused = call(folder.path(), &[&asked, more].concat());
        assert!(
            refused.code == 1 && refused.err.contains("--set data.columns.day.format=day_first"),
            "{}",
            refused.err
        );
    }
}

/// Dates that the file itself says to be dates have no texts that could say when rows were.
#[test]
fn typed_dates_split_a_table_on_disk_as_in_memory() {
    use arrow_array::{ArrayRef, Date32Array, Float64Array, RecordBatch};
    let folder = tempfile::tempdir().unwrap();
    let days: ArrayRef = std::sync::Arc::new(Date32Array::from_iter_values((0..600).map(|i| i * 37 % 600)));
    let numbers = |by: f64| -> ArrayRef {
        std::sync::Arc::new(Float64Array::from_iter_values((0..600).map(|i| f64::from(i % 89) * by)))
    };
    let batch =
        RecordBatch::try_from_iter([("day", days), ("x", numbers(1.0)), ("y", numbers(2.0))]).unwrap();
    let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new();
    std::fs::write(folder.path().join("t.parquet"), cli::typed::parquet(&[batch], options)).unwrap();
    let run = |out: &str, more: &[&str]| {
        let args = ["train", "t.parquet", "--target", "y", "--out", out, "--set", "split.time=day"];
        let args = [&args[..], &QUICK[..8], &["--set", "data.columns.day.drop=true"], more].concat();
        let told = call(folder.path(), &args).done().err;
        assert!(told.contains("in the order of `day`"), "{told}");
        std::fs::read(folder.path().join(out).join("model.safetensors")).unwrap()
    };
    assert!(run("memory", &[]) == run("disk", &ALWAYS));
}

#[test]
fn simple_models_are_those_of_a_table_in_memory_but_for_rounding() {
    let folder = folder(3000);
    let baselines = |out: &str, more: &[&str]| {
        let sets = ["--set", "evaluate.baselines=true", "--set", "data.columns.yes.drop=true"];
        call(folder.path(), &train("y", out, &[&sets[..], more].concat())).done();
        metrics(folder.path(), out)["baselines"].clone()
    };
    let (memory, disk) = (baselines("memory", &[]), baselines("disk", &ALWAYS));
    for (name, of_memory) in memory.as_object().unwrap() {
        for (metric, value) in of_memory.as_object().unwrap() {
            let [a, b] = [value, &disk[name][metric]].map(|v| v.as_f64().unwrap());
            assert!((a - b).abs() <= 1e-5 * a.abs().max(1.0), "{name} {metric}: {a} and {b}");
        }
    }
}

#[test]
fn the_memory_that_is_set_decides_and_a_second_run_finds_what_the_first_has_made() {
    let folder = folder(3000);
    let told =
        call(folder.path(), &train("y", "one", &["--memory", "256KiB", "--cache", "cache"])).done().err;
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("more than data.memory = 256KiB"), "{told}");
    assert!(told.contains("--memory") && told.contains("prepared once"), "{told}");
    assert_eq!(entries(folder.path()).len(), 2);
    let before = content(&folder.path().join("cache"));
    // Another network, the same rows.
    let more = ["--memory", "256KiB", "--cache", "cache", "--set", "network.hidden=[9]"];
    let told = call(folder.path(), &train("y", "two", &more)).done().err;
    assert!(told.contains("prepared by an earlier run") && !told.contains("reading t.csv"), "{told}");
    assert_eq!(content(&folder.path().join("cache")), before);
    // Other rows by the same columns.
    let more = ["--memory", "256KiB", "--cache", "cache", "--seed", "5"];
    call(folder.path(), &train("y", "three", &more)).done();
    assert_eq!(entries(folder.path()).len(), 3);
    let told = call(folder.path(), &train("y", "four", &["--memory", "2GiB", "--cache", "other"])).done().err;
    assert!(!told.contains("rows from disk") && !folder.path().join("other").exists(), "{told}");
    let refused = call(folder.path(), &train("y", "five", &["--memory", "much"]));
    for (command, more) in [("tune", &["--trials", "1"][..]), ("lr-test", &[])] {
        let arguments =
            [&[command, "t.csv", "--target", "y", "--set", "data.memory=256KiB"][..], more].concat();
        let refused = call(folder.path(), &arguments);
        assert_eq!(refused.code, 2, "{command}: {}", refused.err);
        assert!(refused.err.contains("--set data.stream=never"), "{command}: {}", refused.err);
    }
    assert!(
        refused.code == 2 && refused.err.contains("expected a number of bytes as 2GiB"),
        "{}",
        refused.err
    );
}

#[test]
fn a_cache_that_is_damaged_or_of_another_version_is_made_anew_and_said() {
    let folder = folder(500);
    let first = call(folder.path(), &train("y", "run", &ALWAYS)).done();
    assert!(!first.err.contains("anew"), "{}", first.err);
    let whole = content(&folder.path().join("cache"));
    let rows =
        entries(folder.path()).into_iter().find(|path| path.to_string_lossy().contains("rows-")).unwrap();
    let manifest = std::fs::read_to_string(rows.join("manifest.json")).unwrap();
    let data = std::fs::read(rows.join("train.rows")).unwrap();
    let mut flipped = data.clone();
    flipped[1234] ^= 8;
    let newer = manifest.replacen("\"version\":3", "\"version\":99", 1);
    let lying = manifest.replacen("\"n_rows\":500", "\"n_rows\":50000000000", 1);
    assert!(newer != manifest && lying != manifest);
    let damages: [(&str, Vec<u8>, &str); 6] = [
        ("train.rows", flipped, "the checksum of train.rows does not agree"),
        ("val.rows", Vec::new(), "val.rows holds 0 bytes"),
        ("test.truth", vec![0; 1 << 20], "test.truth holds 1048576 bytes"),
        ("manifest.json", newer.into_bytes(), "it is of version 99, and this Statera makes version 3"),
        ("manifest.json", lying.into_bytes(), "the checksum of manifest.json does not agree"),
        ("manifest.json", manifest[..manifest.len() / 2].into(), "manifest.json: "),
    ];
    for (i, (name, bytes, why)) in damages.into_iter().enumerate() {
        std::fs::write(rows.join(name), bytes).unwrap();
        let out = format!("again-{i}");
        let told = call(folder.path(), &train("y", &out, &ALWAYS)).done().err;
        assert!(told.contains("are made anew") && told.contains(why), "{told}");
        assert_eq!(metrics(folder.path(), &out), metrics(folder.path(), "run"));
        assert!(content(&folder.path().join("cache")) == whole, "{name}");
    }
}

#[test]
fn what_was_not_used_for_longest_makes_room_and_is_told() {
    let folder = folder(300);
    let with = |out: &'static str, seed: &'static str, size: &'static str| {
        let set = ["--set", size, "--seed", seed];
        call(folder.path(), &train("y", out, &[&ALWAYS[..], &set].concat())).done().err
    };
    with("one", "0", "data.cache_size='1GiB'");
    let before = entries(folder.path());
    // Of so little nothing has room but what the run itself reads from: the columns, and its own rows.
    let told = with("two", "1", "data.cache_size='1KiB'");
    assert!(told.contains("from the cache, which is to hold at most data.cache_size = 1.0 KiB"), "{told}");
    let after = entries(folder.path());
    assert!(before.len() == 2 && after.len() == 2 && before[0] == after[0] && before[1] != after[1]);
    let set = ["--set", "data.cache_size=much"];
    let refused = call(folder.path(), &train("y", "three", &[&ALWAYS[..], &set].concat()));
    assert!(refused.code == 2 && refused.err.contains("--set data.cache_size=64GiB"), "{}", refused.err);
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let folder = folder(20_000);
    // A file of the cache may have 100 blocks of 1,024 bytes; the rows are more.
    let command = format!(
        "trap '' XFSZ; ulimit -f 100; exec {} {}",
        env!("CARGO_BIN_EXE_statera"),
        train("y", "run", &ALWAYS).join(" ").replace('[', "'[").replace(']', "]'")
    );
    let output = std::process::Command::new("bash")
        .current_dir(folder.path())
        .args(["-c", &command])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("the cache in cache cannot be written") && told.contains("--cache FOLDER"),
        "{told}"
    );
    assert!(entries(folder.path()).is_empty());
    assert!(!folder.path().join("run").exists());
}

#[test]
fn what_a_killed_run_has_left_is_removed() {
    let folder = folder(300);
    let remains = folder.path().join("cache/building-abc");
    std::fs::create_dir_all(&remains).unwrap();
    std::fs::write(remains.join("lock"), []).unwrap();
    std::fs::write(remains.join("input-0"), [0; 1000]).unwrap();
    call(folder.path(), &train("y", "run", &ALWAYS)).done();
    assert!(!remains.exists());
    assert_eq!(entries(folder.path()).len(), 2);
}

#[test]
fn what_looks_at_all_rows_at_once_is_refused_with_the_way_out() {
    let folder = folder(300);
    for (set, what) in [
        ("optimizer.name=lbfgs", "--set optimizer.name=adamw"),
        ("noise.labels=0.1", "--set noise.labels=0"),
        ("data.weight=k", "--set data.weight=''"),
        ("data.drop_duplicates=true", "--set data.drop_duplicates=false"),
        ("imbalance.kind=oversample", "--set imbalance.kind=none"),
        ("prepare.impute=knn", "--set prepare.impute=median"),
        ("data.columns.colour.encode=target", "one_hot"),
        ("split.folds=3", "--set data.stream=never"),
    ] {
        let refused = call(
            folder.path(),
            &train("y", "run", &[&ALWAYS[..], &["--set", "network.dropout=0", "--set", set]].concat()),
        );
        assert!(refused.code == 2 && refused.err.contains(what), "{}", refused.err);
        assert!(!folder.path().join("cache").exists(), "nothing is made in vain");
    }
    for (column, found) in [("note", "found `note 0`"), ("x", "found a missing cell")] {
        let set = format!("split.time={column}");
        let [disk, memory] = [&ALWAYS[..], &[]].map(|more| {
            let refused = call(folder.path(), &train("y", "run", &[&["--set", &set][..], more].concat()));
            assert_eq!(refused.code, 1, "{}", refused.err);
            refused.err
        });
        assert!(disk.contains(found) && memory.contains(found), "{disk}{memory}");
    }
    std::fs::remove_dir_all(folder.path().join("cache")).unwrap();
    let piped = [&["train", "/dev/stdin", "--target", "y"][..], &ALWAYS].concat();
    let refused = call(folder.path(), &piped);
    assert!(refused.code == 2 && refused.err.contains("can be read once"), "{}", refused.err);
}

#[test]
fn slips_and_cells_too_far_are_named_by_their_row() {
    let folder = folder(400);
    let text = std::fs::read_to_string(folder.path().join("t.csv")).unwrap();
    let with = |row: usize, cell: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let cells: Vec<&str> = lines[row].split(',').collect();
        lines[row] = [&[cell], &cells[1..]].concat().join(",");
        std::fs::write(folder.path().join("t.csv"), lines.join("\n") + "\n").unwrap();
    };
    with(17, "abc");
    let refused = call(folder.path(), &train("y", "run", &ALWAYS));
    assert!(refused.err.contains("row 17") && refused.err.contains("`abc`"), "{}", refused.err);
    // Whatever part row 4 is in, it is told.
    with(4, "1e30");
    let refused =
        call(folder.path(), &train("y", "run", &[&ALWAYS[..], &["--split-column", "part"]].concat()));
    assert!(refused.err.contains("row 4, column `x`"), "{}", refused.err);
}

#[test]
fn a_table_is_predicted_block_by_block_as_in_parts() {
    let folder = folder(3000);
    call(folder.path(), &train("y", "run", &[])).done();
    // Some 10 MB, which are several blocks.
    let text = std::fs::read_to_string(folder.path().join("t.csv")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let write = |name: &str, times: usize| {
        std::fs::write(folder.path().join(name), format!("{header}\n{}", rows.repeat(times))).unwrap();
    };
    write("large.csv", 60);
    let predicted = |table: &str| call(folder.path(), &["predict", "run", table]).done().out;
    let (one, all) = (predicted("t.csv"), predicted("large.csv"));
    let (header, one) = one.split_once('\n').unwrap();
    assert!(all == format!("{header}\n{}", one.repeat(60)));
    let evaluated = |table: &str| {
        let arguments = ["evaluate", "run", table, "--json", "--bootstrap", "0"];
        let found: Value = serde_json::from_str(&call(folder.path(), &arguments).done().out).unwrap();
        ["rmse", "mae", "r2"].map(|name| found["metrics"][name]["value"].as_f64().unwrap())
    };
    for (a, b) in evaluated("t.csv").into_iter().zip(evaluated("large.csv")) {
        assert!((a - b).abs() <= 1e-12 * a.abs(), "{a} and {b}");
    }
}
