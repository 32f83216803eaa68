//! Tables with decimal commas: `5.157` in them is five thousand, whichever way they are read.

use crate::cli;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cli::call;
use statera::config::CellFormat;
use statera::data::{
    ColumnData, Inference, RawTable, ReadOptions, Table, TableReader, Wanted, read_drawn, read_table,
};

/// Numbers with thousands set apart by points and decimals behind commas, and whole numbers with thousands alone.
const CELLS: [(&str, f64, &str, f64); 4] = [
    ("5.157", 5157.0, "5.157", 5157.0),
    ("1.234,5", 1234.5, "12.480", 12_480.0),
    ("1,5", 1.5, "1.034.000", 1_034_000.0),
    ("-0,25", -0.25, "7", 7.0),
];

fn text(n_rows: usize) -> String {
    let mut text = "a;b\n".to_owned();
    (0..n_rows).for_each(|i| writeln!(text, "{};{}", CELLS[i % 4].0, CELLS[i % 4].2).unwrap());
    text
}

fn inferred(
    raw: &RawTable,
    blocks: &[RawTable],
    formats: &[(&str, CellFormat)],
) -> Result<Vec<Table>, String> {
    let wanted: BTreeMap<String, Wanted> = formats
        .iter()
        .map(|(name, format)| ((*name).to_owned(), Wanted { format: Some(*format), ..Wanted::default() }))
        .collect();
    let mut inference = Inference::new(raw, &wanted, &BTreeSet::new()).unwrap();
    blocks.iter().for_each(|block| inference.add(block));
    let schema = inference.finish().map_err(|error| error.to_string())?;
    Ok(blocks.iter().map(|block| Table::from_raw(block, &schema).unwrap()).collect())
}

fn numbers(tables: &[Table], name: &str) -> Vec<f64> {
    let of = |table: &Table| match &table.column(name).unwrap().data {
        ColumnData::Number(numbers) => numbers.clone(),
        other => panic!("{name}: {other:?}"),
    };
    tables.iter().flat_map(of).collect()
}

/// The columns of a table read as a whole, block by block, and drawn.
fn three_ways(sources: &[PathBuf], options: &ReadOptions, formats: &[(&str, CellFormat)]) -> Vec<Vec<Table>> {
    let whole = read_table(sources, options).unwrap();
    let mut reader = TableReader::open(sources, options).unwrap();
    let blocks: Vec<RawTable> = std::iter::from_fn(|| reader.next_block().unwrap()).collect();
    let drawn =
        read_drawn(sources, options, Some(1e3), |raw| raw.n_rows() as f64, 0, |_| Ok(())).unwrap().raw;
    let mut ways = vec![inferred(&whole, std::slice::from_ref(&whole), formats).unwrap()];
    ways.push(inferred(&blocks[0], &blocks, formats).unwrap());
    // Typed by what all blocks say, as a profile does.
    let mut inference = Inference::new(&blocks[0], &BTreeMap::new(), &BTreeSet::new()).unwrap();
    blocks.iter().for_each(|block| inference.add(block));
    if formats.is_empty() {
        ways.push(vec![Table::from_raw(&drawn, &inference.finish().unwrap()).unwrap()]);
    }
    ways
}

#[test]
fn thousands_are_thousands_in_memory_in_blocks_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    // Several blocks of 2 MiB.
    std::fs::write(&path, text(400_000)).unwrap();
    let sources = [path];
    let said = ReadOptions { decimal_comma: Some(true), ..ReadOptions::default() };
    let point = ReadOptions { decimal_comma: Some(false), ..ReadOptions::default() };
    let formats = [("a", CellFormat::DecimalComma), ("b", CellFormat::DecimalComma)];
    for (options, formats) in
        [(ReadOptions::default(), &[][..]), (said.clone(), &[]), (said, &formats), (point, &formats)]
    {
        for tables in three_ways(&sources, &options, formats) {
            for (name, expected) in [("a", CELLS.map(|c| c.1)), ("b", CELLS.map(|c| c.3))] {
                let found = numbers(&tables, name);
                if found.len() == 400_000 {
                    assert!((0..found.len()).all(|i| found[i] == expected[i % 4]), "{name} {options:?}");
                } else {
                    assert!(found.iter().all(|x| expected.contains(x)), "{name} {options:?}");
                }
            }
        }
    }
}

#[test]
fn a_mark_that_shows_late_makes_the_numbers_before_it_thousands_or_doubtful() {
    let read = |text: String| {
        let raw =
            statera::data::read::parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default());
        raw.unwrap()
    };
    // Beyond the rows that are looked at to tell the mark.
    let rows = |last: &str| format!("a;b\n{}{last}\n", "5.157;9\n".repeat(3_000));
    let raw = read(rows("1.234,5;8"));
    let tables = inferred(&raw, std::slice::from_ref(&raw), &[]).unwrap();
    assert_eq!(numbers(&tables, "a")[..2], [5157.0; 2]);
    let raw = read(rows("6.250;1.234,5"));
    let error = inferred(&raw, std::slice::from_ref(&raw), &[]).unwrap_err();
    assert!(
        error.contains("row 1 (line 2), column `a`: `5.157` may have a decimal point or thousands set apart, since column `b` has decimal commas")
            && error.contains("--decimal comma if these are thousands, else --decimal point"),
        "{error}"
    );
    let tables = inferred(&raw, std::slice::from_ref(&raw), &[("a", CellFormat::DecimalPoint)]).unwrap();
    assert_eq!(numbers(&tables, "a")[0], 5.157);
    let point = ReadOptions { decimal_comma: Some(false), ..ReadOptions::default() };
    let raw =
        statera::data::read::parse_csv(rows("6.250;1.234,5").as_bytes(), Path::new("t.csv"), &point).unwrap();
    assert_eq!(numbers(&inferred(&raw, std::slice::from_ref(&raw), &[]).unwrap(), "a")[0], 5.157);
    // The target is none of the columns that are learned from, and doubted all the same.
    let folder = tempfile::tempdir().unwrap();
    let row = |i: usize| format!("{}.{};{},5;2.1{}\n", 1 + i % 8, 100 + i, i % 3, i % 4);
    let text = "y;b;c\n5.157;9,5;2.10\n".to_owned() + &(0..50).map(row).collect::<String>();
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    for more in [&[][..], &["--set", "data.stream=always", "--cache", "cache"]] {
        let refused = call(folder.path(), &[&["train", "t.csv", "--target", "y"][..], more].concat());
        assert!(
            refused.code == 1 && refused.err.contains("`5.157` may have a decimal point or thousands"),
            "{}",
            refused.err
        );
    }
    // A format that a plain number does not fit is refused, and names it.
    let raw = read("a;b\n5.157;1\n5.15;2\n".to_owned());
    let error = inferred(&raw, std::slice::from_ref(&raw), &[("a", CellFormat::DecimalComma)]).unwrap_err();
    assert!(
        error.contains(
            "row 2 (line 3), column `a`: expected a cell of the format decimal_comma, found `5.15`"
        ),
        "{error}"
    );
}

#[test]
fn files_of_which_some_show_the_comma_are_read_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let silent = write("a.csv", "a;b\n5.157;12.480\n1.000;7\n");
    let clear = write("b.csv", "a;b\n1,5;3\n");
    let point = write("c.csv", "a;b\n1.5;3\n");
    let options = ReadOptions::default();
    for sources in [[silent.clone(), clear.clone()], [clear.clone(), silent.clone()]] {
        for tables in three_ways(&sources, &options, &[]) {
            let mut found = numbers(&tables, "a");
            found.sort_unstable_by(f64::total_cmp);
            assert_eq!(found, [1.5, 1000.0, 5157.0], "{sources:?}");
        }
    }
    let error = read_table(&[clear, point.clone()], &options).unwrap_err().to_string();
    assert!(
        error.contains("b.csv is read with a decimal comma, and") && error.contains("--decimal point"),
        "{error}"
    );
    // What a model has learned from counts for less than what another file shows.
    let learned = ReadOptions { usual_comma: Some(true), ..ReadOptions::default() };
    for options in [&options, &learned] {
        let sources = [silent.clone(), point.clone()];
        assert_eq!(numbers(&three_ways(&sources, options, &[])[0], "a"), [5.157, 1.0, 1.5]);
    }
    assert_eq!(numbers(&three_ways(std::slice::from_ref(&silent), &learned, &[])[0], "a"), [5157.0, 1000.0]);
    // What shows no mark is read as it stands.
    assert_eq!(numbers(&three_ways(&[silent], &options, &[])[0], "a"), [5.157, 1.0]);
}

/// A model that has learned from decimal commas takes `5.157` of a new file for thousands, and learns the same from memory
/// and from disk.
#[test]
fn a_model_reads_a_new_file_by_the_mark_it_has_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "area;rooms;price\n".to_owned();
    for i in 0..400 {
        let area = 1_000 + i * 37 % 8_000;
        let (thousands, rest) = (area / 1_000, area % 1_000);
        let price = f64::from(area) * 2.0 + f64::from(i % 5) * 0.25;
        let price = format!("{price:.2}").replace('.', ",");
        writeln!(text, "{thousands}.{rest:03};{};{price}", i % 5).unwrap();
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let quick = ["--set", "train.epochs=30", "--set", "network.hidden=[8]", "--set", "evaluate.bootstrap=0"];
    let train = |out: &str, more: &[&str]| {
        let arguments = [&["train", "t.csv", "--target", "price", "--out", out][..], &quick, more].concat();
        call(folder.path(), &arguments).done();
    };
    train("memory", &["--set", "evaluate.baselines=false"]);
    train("disk", &["--set", "evaluate.baselines=false", "--set", "data.stream=always", "--cache", "cache"]);
    let metrics = |run: &str| {
        let text = std::fs::read_to_string(folder.path().join(run).join("metrics.json")).unwrap();
        let mut metrics: serde_json::Value = serde_json::from_str(&text).unwrap();
        metrics.as_object_mut().unwrap().remove("fit_seconds");
        metrics
    };
    assert_eq!(metrics("memory"), metrics("disk"));
    let predict = |name: &str, text: &str, more: &[&str]| -> f64 {
        std::fs::write(folder.path().join(name), text).unwrap();
        let told = call(folder.path(), &[&["predict", "memory", name][..], more].concat()).done();
        told.out.lines().nth(1).unwrap().split(',').next_back().unwrap().parse().unwrap()
    };
    let plain = predict("plain.csv", "area;rooms\n5157;3\n", &[]);
    assert!(plain > 3_000.0, "{plain}");
    for (name, text, more) in [
        ("one.csv", "area;rooms\n5.157;3\n", &[][..]),
        ("comma.csv", "area;rooms\n5.157,0;3\n", &[]),
        ("point.csv", "area,rooms\n5157.0,3\n", &[]),
        ("said.csv", "area;rooms\n5157;3\n", &["--decimal", "point"]),
    ] {
        let found = predict(name, text, more);
        assert_eq!(found, plain, "{name}");
    }
}

/// A model of one mark and a table that shows the other: the same digits are other numbers, and that is told.
#[test]
fn a_table_with_the_other_mark_than_the_models_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let row = |i: usize| format!("{}.{:03};{}.5;{}\n", i % 9, 100 + i * 7 % 900, i % 13, i % 9 * 10);
    let learned = "a;b;y\n".to_owned() + &(0..120).map(row).collect::<String>();
    std::fs::write(folder.path().join("t.csv"), learned).unwrap();
    std::fs::write(folder.path().join("u.csv"), "a;b;y\n3.682;0,5;30\n2.100;1,5;20\n").unwrap();
    call(folder.path(), &cli::quick("t.csv", "y", &["--task", "regression", "--out", "run"])).done();
    let same = call(folder.path(), &["predict", "run", "t.csv"]).done();
    assert!(!same.err.contains("decimal"), "{}", same.err);
    for args in [&["predict", "run", "u.csv"][..], &["evaluate", "run", "u.csv"]] {
        let told = call(folder.path(), args).done().err;
        assert!(told.contains("u.csv shows decimal commas") && told.contains("--decimal point"), "{told}");
        assert!(told.contains("`3.682` is read as 3682"), "{told}");
    }
    // Where no cell can be read in two ways, nothing is in doubt.
    std::fs::write(folder.path().join("u.csv"), "a;b;y\n3,68;0,5;30\n2;1,5;20\n").unwrap();
    let told = call(folder.path(), &["predict", "run", "u.csv"]).done().err;
    assert!(!told.contains("decimal"), "{told}");
}
