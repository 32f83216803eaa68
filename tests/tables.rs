//! One table in every form that is read: the same cells come out, and every command takes it.

use crate::cli;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array,
    ListArray, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array,
};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use statera::data::{RawTable, ReadOptions, Table, TableReader, infer_schema, read_table};

use cli::{call, statera, typed};

const N: usize = 200;

/// The table as text.
fn csv(delimiter: char, point: char) -> String {
    let mut text = ["id", "x", "word", "yes", "day", "y"].join(&delimiter.to_string()) + "\n";
    for i in 0..N {
        let x = format!("{}{point}5", i % 17);
        let x = if i % 10 == 3 { String::new() } else { x };
        let word = ["red", "green", "blue"][i % 3];
        let day = format!("2024-03-{:02}", i % 28 + 1);
        let y = format!("{}{point}25", i * 3 % 41);
        let cells = [i.to_string(), x, word.to_owned(), i.is_multiple_of(2).to_string(), day, y];
        text += &(cells.join(&delimiter.to_string()) + "\n");
    }
    text
}

fn json() -> String {
    let row = |i: usize| {
        let x = if i % 10 == 3 { "null".to_owned() } else { format!("{}.5", i % 17) };
        format!(
            "{{\"id\":{i},\"x\":{x},\"word\":\"{}\",\"yes\":{},\"day\":\"2024-03-{:02}\",\"y\":{}.25}}\n",
            ["red", "gr\\u0065en", "blue"][i % 3],
            i.is_multiple_of(2),
            i % 28 + 1,
            i * 3 % 41
        )
    };
    (0..N).map(row).collect()
}

fn batch(rows: std::ops::Range<usize>) -> RecordBatch {
    let ints: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone().map(|i| i as i64)));
    let x = rows.clone().map(|i| (i % 10 != 3).then_some((i % 17) as f64 + 0.5));
    let x: ArrayRef = Arc::new(x.collect::<Float64Array>());
    let words = rows.clone().map(|i| ["red", "green", "blue"][i % 3]);
    let words: ArrayRef = Arc::new(words.collect::<DictionaryArray<Int32Type>>());
    let yes: ArrayRef = Arc::new(rows.clone().map(|i| Some(i.is_multiple_of(2))).collect::<BooleanArray>());
    // 2024-03-01 is day 19,783.
    let days: ArrayRef =
        Arc::new(Date32Array::from_iter_values(rows.clone().map(|i| 19_783 + (i % 28) as i32)));
    let y = rows.map(|i| (i * 3 % 41) as i128 * 100 + 25);
    let y = Decimal128Array::from_iter_values(y).with_precision_and_scale(12, 2).unwrap();
    let columns = [("id", ints), ("x", x), ("word", words), ("yes", yes), ("day", days)];
    RecordBatch::try_from_iter(columns.into_iter().chain([("y", Arc::new(y) as ArrayRef)])).unwrap()
}

fn parquet(batches: &[RecordBatch], compression: Compression) -> Vec<u8> {
    let properties =
        WriterProperties::builder().set_compression(compression).set_max_row_group_row_count(Some(60));
    typed::parquet(batches, ArrowWriterOptions::new().with_properties(properties.build()))
}

fn arrow(batches: &[RecordBatch], is_file: bool) -> Vec<u8> {
    if !is_file {
        return typed::arrow_stream(batches);
    }
    let mut bytes = Vec::new();
    let mut writer = arrow_ipc::writer::FileWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(sources: &[PathBuf]) -> RawTable {
    read_table(sources, &ReadOptions::default()).unwrap()
}

/// The table with its columns typed as they are inferred.
fn typed(raw: &RawTable) -> Table {
    let schema = infer_schema(raw, &BTreeMap::new(), &BTreeSet::new()).unwrap();
    assert!(schema.columns.iter().all(|column| column.dropped.is_none() || column.name == "id"));
    Table::from_raw(raw, &schema).unwrap()
}

/// Every form of the table, by name.
fn forms() -> Vec<(&'static str, Vec<u8>)> {
    let batches = [batch(0..90), batch(90..N)];
    let plain = csv(',', '.');
    vec![
        ("t.csv", plain.clone().into_bytes()),
        ("mark.csv", [b"\xef\xbb\xbf", plain.replace('\n', "\r\n").as_bytes()].concat()),
        ("old.csv", plain.replace('\n', "\r").into_bytes()),
        ("t.tsv", csv('\t', '.').into_bytes()),
        ("semicolons.csv", csv(';', ',').into_bytes()),
        ("bars.txt", csv('|', '.').into_bytes()),
        ("t.csv.gz", gzip(plain.as_bytes())),
        ("t.csv.zst", zstd::encode_all(plain.as_bytes(), 3).unwrap()),
        ("two-members.csv.gz", [gzip(&plain.as_bytes()[..500]), gzip(&plain.as_bytes()[500..])].concat()),
        ("t.ndjson", json().into_bytes()),
        ("t.jsonl.gz", gzip(json().as_bytes())),
        ("t.arrow", arrow(&batches, true)),
        ("t.arrows", arrow(&batches, false)),
        ("plain.parquet", parquet(&batches, Compression::UNCOMPRESSED)),
        ("snappy.parquet", parquet(&batches, Compression::SNAPPY)),
        ("zstd.parquet", parquet(&batches, Compression::ZSTD(ZstdLevel::default()))),
        ("lz4.parquet", parquet(&batches, Compression::LZ4_RAW)),
        ("gzip.parquet", parquet(&batches, Compression::GZIP(GzipLevel::default()))),
    ]
}

#[test]
fn every_form_of_a_table_is_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let expected = {
        let path = folder.path().join("first.csv");
        std::fs::write(&path, csv(',', '.')).unwrap();
        typed(&read(&[path]))
    };
    for (name, bytes) in forms() {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let raw = pool.install(|| read(std::slice::from_ref(&path)));
            assert_eq!(shown(&typed(&raw)), shown(&expected), "{name} on {threads}");
            let sum = std::process::Command::new("sha256sum").arg(&path).output().unwrap().stdout;
            assert!(sum.starts_with(raw.sha256.as_bytes()), "{name}");
        }
    }
}

/// The columns in words, in which a missing number is like another.
fn shown(table: &Table) -> String {
    format!("{:?}", table.columns())
}

#[test]
fn several_files_folders_and_patterns_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("parts")).unwrap();
    std::fs::write(path("parts/a.parquet"), parquet(&[batch(0..70)], Compression::SNAPPY)).unwrap();
    std::fs::write(path("parts/b.parquet"), parquet(&[batch(70..N)], Compression::SNAPPY)).unwrap();
    std::fs::write(path("parts/_SUCCESS"), "").unwrap();
    std::fs::write(path("whole.csv"), csv(',', '.')).unwrap();
    let whole = typed(&read(&[path("whole.csv")]));
    for sources in [
        vec![path("parts")],
        vec![path("parts/*.parquet")],
        vec![path("parts/a.parquet"), path("parts/b.parquet")],
    ] {
        assert_eq!(shown(&typed(&read(&sources))), shown(&whole), "{sources:?}");
    }
    // Columns in another order are the same columns.
    std::fs::write(path("1.csv"), "a,b\n1,x\n").unwrap();
    std::fs::write(path("2.csv"), "b,a\ny,2\n").unwrap();
    let both = read(&[path("1.csv"), path("2.csv")]);
    assert_eq!(both.numbers(0), Some(&[1.0, 2.0][..]));
    assert_eq!(both.values(1).collect::<Vec<_>>(), [Some("x"), Some("y")]);
}

#[test]
fn blocks_are_bounded_and_make_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.csv");
    let text: String = (0..400_000).fold("a,b,c\n".to_owned(), |mut text, i| {
        text += &format!("{i},word {},{}.5\n", i % 11, i % 1_000);
        text
    });
    std::fs::write(&path, &text).unwrap();
    let whole = read(std::slice::from_ref(&path));
    let mut reader = TableReader::open(&[path], &ReadOptions::default()).unwrap();
    assert_eq!(reader.names(), ["a", "b", "c"]);
    let (mut row, mut n_blocks) = (0, 0);
    while let Some(block) = reader.next_block().unwrap() {
        assert_eq!(block.first_row(), row);
        assert!(block.n_rows() < 200_000);
        for r in [0, block.n_rows() - 1] {
            assert_eq!(block.value(r, 1), whole.value(row + r, 1));
            assert_eq!(block.line(r), whole.line(row + r));
        }
        (row, n_blocks) = (row + block.n_rows(), n_blocks + 1);
    }
    assert!(n_blocks > 2);
    let told = reader.finish();
    assert_eq!((told.n_rows, &told.sha256), (400_000, &whole.sha256));
}

#[test]
fn typed_columns_keep_what_floats_can_hold_and_say_what_they_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("types.parquet");
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None, None]);
    let large = [u64::MAX, 9_007_199_254_740_993, 5];
    let decimals = Decimal128Array::from(vec![Some(10_000_000_000_000_000_000_000_001), None, Some(-5)]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("large", Arc::new(UInt64Array::from(large.to_vec()))),
        ("moment", Arc::new(TimestampNanosecondArray::from(vec![Some(43_200_000_000_001), None, Some(-1)]))),
        ("price", Arc::new(decimals.with_precision_and_scale(38, 20).unwrap())),
        ("zip", Arc::new(StringArray::from(vec![Some("00501"), None, Some("NA")]))),
        ("list", Arc::new(list)),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    std::fs::write(&path, parquet(&[batch], Compression::SNAPPY)).unwrap();
    let raw = read(&[path]);
    assert_eq!(raw.value(1, 0), Some("9007199254740993"), "digits that a float does not hold");
    assert_eq!(raw.numbers(2).map(|x| (x[0], x[1].is_nan())), Some((100_000.000_000_000_00, true)));
    assert_eq!(raw.days(1).map(|days| (days[0], days[1].is_nan())), Some((0.5 + 1e-9 / 86_400.0, true)));
    assert_eq!(raw.value(0, 1), Some("1970-01-01T12:00:00"));
    assert_eq!(raw.values(3).collect::<Vec<_>>(), [Some("00501"), None, None]);
    assert!(raw.foreign(4).is_some_and(|what| what.contains("List")));
    let schema = infer_schema(&raw, &BTreeMap::new(), &BTreeSet::new()).unwrap();
    let column = |name: &str| schema.get(name).unwrap();
    assert!(column("large").reason.contains("2 cells beyond 2^53"), "{}", column("large").reason);
    assert!(column("list").dropped.as_deref().is_some_and(|why| why.contains("List")));
    let wanted = [("list".to_owned(), statera::data::ColumnKind::Number)].into();
    let error = infer_schema(&raw, &wanted, &BTreeSet::new()).unwrap_err().to_string();
    assert!(error.contains("column `list`: expected a number in each cell, found `List("), "{error}");
}

#[test]
fn a_profile_tells_of_integers_that_floats_do_not_tell_apart() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |i: u64| format!("{},{}.5\n", 9_000_000_000_000_000_000 + i, i % 7);
    let text = "id,x\n".to_owned() + &(0..100).map(rows).collect::<String>();
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let told = call(folder.path(), &["profile", "t.csv", "--no-page"]).done().out;
    for words in ["rounded integers: `id`", "every cell is `9000000000000000000` to the 16"] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains("rounded integers: `x`"), "{told}");
}

#[test]
fn every_command_takes_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (name, bytes) in forms() {
        std::fs::write(path.join(name), bytes).unwrap();
    }
    std::fs::create_dir(path.join("parts")).unwrap();
    std::fs::write(path.join("parts/a.parquet"), parquet(&[batch(0..70)], Compression::SNAPPY)).unwrap();
    std::fs::write(path.join("parts/b.parquet"), parquet(&[batch(70..N)], Compression::SNAPPY)).unwrap();
    let quick = ["--set", "train.epochs=2", "--set", "network.hidden=[4]", "--set", "evaluate.bootstrap=0"];
    let train = |data: &[&str], out: &str| {
        let mut args = vec!["train"];
        args.extend(data);
        args.extend(["--target", "y", "--out", out]);
        args.extend(quick);
        call(path, &args).done().err
    };
    train(&["t.csv"], "csv");
    let semicolons = train(&["semicolons.csv"], "semicolons");
    assert!(semicolons.contains("`;` between cells, a comma before decimals"), "{semicolons}");
    train(&["parts"], "of_parts");
    train(&["parts/a.parquet", "parts/b.parquet"], "both");
    let predicted = |model: &str, data: &str| call(path, &["predict", model, data, "--quiet"]).done().out;
    let expected = predicted("csv", "t.csv");
    for model in ["csv", "semicolons", "of_parts", "both"] {
        for data in
            ["t.csv.gz", "semicolons.csv", "t.ndjson", "t.arrow", "zstd.parquet", "parts", "parts/*.parquet"]
        {
            assert_eq!(predicted(model, data), expected, "{model} {data}");
        }
    }
    let mut piped = statera(path, &["predict", "csv", "-", "--quiet"]);
    let piped = piped.write_stdin(gzip(csv(',', '.').as_bytes())).output().unwrap().stdout;
    assert_eq!(String::from_utf8(piped).unwrap(), expected);
    for args in [
        &["evaluate", "csv", "parts"][..],
        &["profile", "parts", "--no-page"],
        &["lr-test", "parts", "--target", "y", "--steps", "20"],
        &["inspect", "csv", "parts"],
        &["ablate", "parts", "--target", "y", "--seeds", "2", "--vary", "train.epochs=1,2"],
    ] {
        call(path, args).done();
    }
}

#[test]
fn skipped_rows_are_listed_in_the_run_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = folder.path();
    let mut text = csv(',', '.');
    text += "1,2,3\n";
    std::fs::write(path.join("t.csv"), text).unwrap();
    let train = ["train", "t.csv", "--target", "y", "--out", "run", "--set", "train.epochs=1"];
    let refused = call(path, &train);
    assert!(refused.err.contains("row 201 (line 202): expected 6 fields, found 3"), "{}", refused.err);
    let told = call(path, &[&train[..], &["--bad-rows", "skip"]].concat()).done();
    assert!(
        told.err.contains("warning: 1 malformed row left out, the first on line 202 of t.csv"),
        "{}",
        told.err
    );
    let listed = std::fs::read_to_string(path.join("run/skipped-rows.csv")).unwrap();
    assert_eq!(listed, "file,line,what\n\"t.csv\",202,\"expected 6 fields, found 3\"\n");
    for command in ["predict", "evaluate"] {
        let told = call(path, &[command, "run", "t.csv", "--bad-rows", "skip"]).done();
        assert!(told.err.contains("1 malformed row left out"), "{}", told.err);
    }
}

#[test]
fn predictions_beside_skipped_rows_name_the_lines_that_they_are_of() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = folder.path();
    std::fs::write(path.join("t.csv"), csv(',', '.')).unwrap();
    call(path, &["train", "t.csv", "--target", "y", "--out", "run", "--set", "train.epochs=1"]).done();
    let whole: String = csv(',', '.').lines().take(4).map(|line| format!("{line}\n")).collect();
    let broken = whole.replacen('\n', "\n1,2\n", 1);
    std::fs::write(path.join("u.csv"), &broken).unwrap();
    std::fs::write(path.join("v.csv"), &whole).unwrap();
    let skip = ["--bad-rows", "skip"];
    let predict = |tables: &[&str], more: &[&str]| call(path, &[&["predict", "run"], tables, more].concat());
    std::fs::write(path.join("w.csv"), &whole).unwrap();
    let plain = predict(&["v.csv", "w.csv"], &[]).done().out;
    let told = predict(&["u.csv", "v.csv"], &[&skip[..], &["-o", "p.csv"]].concat()).done();
    assert!(told.err.contains("note: which they are is listed in p-skipped-rows.csv"), "{}", told.err);
    let predictions: Vec<&str> = plain.lines().skip(1).collect();
    let places = ["u.csv,3", "u.csv,4", "u.csv,5", "v.csv,2", "v.csv,3", "v.csv,4"];
    let expected: String = places.iter().zip(&predictions).map(|(at, y)| format!("{at},{y}\n")).collect();
    assert_eq!(
        std::fs::read_to_string(path.join("p.csv")).unwrap(),
        format!("file,line,prediction\n{expected}")
    );
    let listed = std::fs::read_to_string(path.join("p-skipped-rows.csv")).unwrap();
    assert_eq!(listed, "file,line,what\n\"u.csv\",2,\"expected 6 fields, found 2\"\n");
    // The same columns where nothing is skipped after all, and no list.
    let told = predict(&["v.csv"], &[&skip[..], &["-o", "q.csv"]].concat()).done();
    assert!(!told.err.contains("listed") && !path.join("q-skipped-rows.csv").exists(), "{}", told.err);
    assert!(
        std::fs::read_to_string(path.join("q.csv")).unwrap().starts_with("file,line,prediction\nv.csv,2,")
    );
    let profile = ["profile", "u.csv", "--target", "y", "--bad-rows", "skip"];
    assert!(call(path, &profile).done().err.contains("listed in u-profile-skipped-rows.csv"));
}

#[test]
fn predictions_replace_no_file_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = folder.path();
    std::fs::write(path.join("t.csv"), csv(',', '.')).unwrap();
    call(path, &["train", "t.csv", "--target", "y", "--out", "run", "--set", "train.epochs=1"]).done();
    let predict = ["predict", "run", "t.csv", "-o", "p.csv"];
    std::fs::write(path.join("p.csv"), "mine").unwrap();
    let refused = call(path, &predict);
    let expected = "error: p.csv exists already\n  try: another file, or --force to replace it\n";
    assert_eq!((refused.code, refused.err.as_str()), (2, expected));
    assert_eq!(std::fs::read_to_string(path.join("p.csv")).unwrap(), "mine");
    call(path, &[&predict[..], &["--force"]].concat()).done();
    assert_ne!(std::fs::read_to_string(path.join("p.csv")).unwrap(), "mine");
}

#[test]
fn columns_without_a_cell_that_can_be_read_are_refused_unless_training_knew_them() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = folder.path();
    let mut text = "whole,holes,y\n".to_owned();
    for i in 0..100 {
        let hole = if i % 9 == 0 { String::new() } else { (i * 7 % 13).to_string() };
        text += &format!("{},{hole},{}\n", i * 5 % 17, i % 31);
    }
    std::fs::write(path.join("t.csv"), text).unwrap();
    call(path, &["train", "t.csv", "--target", "y", "--out", "run", "--set", "train.epochs=1"]).done();
    let predict = |rows: &str, more: &[&str]| {
        std::fs::write(path.join("u.csv"), format!("whole,holes,y\n{rows}")).unwrap();
        call(path, &[&["predict", "run", "u.csv", "-o", "p.csv", "--force"], more].concat())
    };
    for (rows, words) in [
        (
            "zz,1,1\nyy,2,1\n",
            "row 1 (line 2), column `whole`: expected a finite number, found `zz`, further on `yy`; none of its 2",
        ),
        (
            "zz,1,1\n",
            "row 1 (line 2), column `whole`: expected a finite number, found `zz`; none of its 1 cell can",
        ),
        (
            ",1,1\n,2,1\n",
            "column `whole`: every cell is missing; none of its 2 cells can be read, and training has lacked none",
        ),
    ] {
        let refused = predict(rows, &[]);
        assert!(refused.code == 1 && refused.err.contains(words), "{}", refused.err);
        assert!(refused.err.contains("--allow-blank") && !path.join("p.csv").exists(), "{}", refused.err);
        assert_eq!(call(path, &["evaluate", "run", "u.csv"]).code, 1);
        call(path, &["evaluate", "run", "u.csv", "--allow-blank"]).done();
        predict(rows, &["--allow-blank"]).done();
        std::fs::remove_file(path.join("p.csv")).unwrap();
    }
    // A row that lacks a cell, columns that training has seen lack some, and some cells that cannot be read.
    for rows in [",1,1\n", "1,,1\n2,,1\n", "1,zz,1\n2,zz,1\n", "1,1,1\nzz,1,1\n"] {
        predict(rows, &[]).done();
    }
}
