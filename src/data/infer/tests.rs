//! What columns are inferred to be, and what is told of those that cannot be.

use std::path::Path;

use super::super::read::{ReadOptions, parse_csv};
use super::*;

fn raw(name: &str, cells: &[String]) -> RawTable {
    // A second column keeps rows whose only cell is empty from being blank lines.
    let text = format!("{name},other\n{}\n", cells.join(",o\n") + ",o");
    parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default()).unwrap()
}

fn infer(name: &str, cells: &[String], kind: Option<ColumnKind>) -> Result<ColumnSchema> {
    let overrides = kind.map(|kind| (name.to_owned(), kind)).into_iter().collect();
    infer_schema(&raw(name, cells), &overrides, &BTreeSet::new()).map(|mut schema| schema.columns.remove(0))
}

fn cells(n: usize, cell: impl Fn(usize) -> String) -> Vec<String> {
    (0..n).map(cell).collect()
}

#[test]
fn each_kind_is_recognised_with_a_reason() {
    use ColumnKind::{Category, Date, Identifier, Number, Text};
    let cycle = |words: &'static [&'static str]| cells(100, |i| words[i % words.len()].to_owned());
    let cases = vec![
        ("x", cells(100, |i| format!("{i}.5")), Number, None, "all 100 cells are numbers"),
        (
            "x",
            cycle(&["1e3", "+2", " -3 ", ""]),
            Number,
            None,
            "all 75 cells are numbers, 3 different whole ones",
        ),
        ("x", cycle(&["0", "1"]), Number, None, "2 different whole ones"),
        ("x", cells(100, |i| i.to_string()), Number, None, "all 100 cells are numbers"),
        ("user_id", cells(100, |i| i.to_string()), Identifier, Some("identifier"), "all 100 different"),
        ("PassengerId", cells(100, |i| i.to_string()), Identifier, Some("identifier"), "identifier"),
        ("id", cells(100, |i| (i / 2).to_string()), Number, None, "numbers"),
        ("id", cells(100, |i| format!("{i}.5")), Number, None, "numbers"),
        ("humid", cells(100, |i| i.to_string()), Number, None, "numbers"),
        ("x", cycle(&["yes", "no"]), Category, None, "yes or no"),
        ("x", cycle(&["True", "FALSE", ""]), Category, None, "yes or no"),
        ("x", cycle(&["red", "green", "1"]), Category, None, "text, 3 different values among 100"),
        ("x", cells(1000, |i| format!("v{}", i % 80)), Category, None, "80 different values"),
        ("x", cells(1000, |i| format!("v{}", i % 300)), Text, Some("text"), "seldom repeat"),
        ("x", cells(12_000, |i| format!("v{}", i % 1100)), Text, Some("text"), "too many"),
        ("x", cells(100, |i| format!("u{i}")), Identifier, Some("identifier"), "different in every row"),
        ("x", cells(100, |i| format!("${i}.50")), Number, None, "100 cells are numbers with the sign $"),
        ("x", cycle(&["10%", "20%"]), Number, None, "numbers in per cent, 12 % read as 12"),
        ("x", cycle(&["\"1,250\"", "7"]), Number, None, "numbers with thousands set apart"),
        ("x", cycle(&["\"1,25\"", "\"3,5\""]), Number, None, "all 100 cells are numbers"),
        ("x", cycle(&["31/12/2024", "1/2/2024"]), Date, None, "dates, the day before the month"),
        (
            "x",
            cycle(&["1/2/2024", "3/2/2024"]),
            Category,
            None,
            "--set data.columns.x.format=day_first, or month_first",
        ),
        // The year may be the first or the last of the three: nothing is taken for granted.
        (
            "x",
            cycle(&["24/12/31", "24/11/30"]),
            Category,
            None,
            "--set data.columns.x.format=day_first, or month_first",
        ),
        ("x", cycle(&["Yes", "y", "no", "N"]), Category, None, "yes or no, as 4 different values"),
        ("x", cycle(&["9007199254740993", "5"]), Number, None, "50 cells beyond 2^53"),
        ("x", cycle(&["1e300", "5"]), Number, None, "all 100 cells are numbers, 2 different whole ones"),
        ("x", cycle(&["\"(1,250)\"", "7"]), Number, None, "thousands set apart, those below 0 in brackets"),
        ("x", cycle(&["12 Jan 2023", "2023-02"]), Date, None, "all 100 cells are dates"),
        ("x", cycle(&["red", "1e999", "green"]), Category, None, "text, 3 different values among 100"),
        (
            "x",
            cycle(&["9223372036854775807", "9223372036854775806"]),
            Number,
            Some("constant: every cell is `9223372036854775807`, rounded to the 16 digits of a 64-bit float"),
            "100 cells beyond 2^53",
        ),
        ("x", cells(100, |i| format!("{i} {}", "long ".repeat(20))), Text, Some("text"), "long text"),
        ("x", cells(100, |i| format!("2024-01-{:02}", i % 28 + 1)), Date, None, "all 100 cells are dates"),
        ("x", cycle(&["01.02.2023 10:30", "2024/02/03", ""]), Date, None, "dates"),
        ("x", cycle(&["", "NA"]), Text, Some("all missing"), "all 100 cells are missing"),
        ("x", cycle(&["7"]), Number, Some("constant: every cell is `7`"), "numbers"),
        ("x", cycle(&["a"]), Category, Some("constant: every cell is `a`"), "text"),
        ("x", cycle(&["2024-01-01"]), Date, Some("constant: every cell is `2024-01-01`"), "dates"),
        ("x", cycle(&["7", ""]), Number, None, "numbers"),
        ("x", cycle(&["inf", "wrong"]), Category, None, "text"),
    ];
    for (name, cells, kind, dropped, reason) in cases {
        let column = infer(name, &cells, None).unwrap();
        assert_eq!((column.kind, column.dropped.as_deref()), (kind, dropped), "{name} {:?}", &cells[..3]);
        assert!(column.reason.contains(reason), "{} lacks {reason}", column.reason);
    }
}

#[test]
fn levels_are_sorted_and_of_categories_only() {
    let words = cells(30, |i| ["b", " a", "", "c "][i % 4].to_owned());
    assert_eq!(infer("x", &words, None).unwrap().levels, ["a", "b", "c"]);
    let numbers = cells(30, |i| (i % 3).to_string());
    assert!(infer("x", &numbers, None).unwrap().levels.is_empty());
    assert_eq!(infer("x", &numbers, Some(ColumnKind::Category)).unwrap().levels, ["0", "1", "2"]);
}

#[test]
fn what_the_user_says_wins_where_it_can() {
    let numbers = cells(30, |i| i.to_string());
    for kind in [ColumnKind::Text, ColumnKind::Identifier] {
        assert_eq!(infer("x", &numbers, Some(kind)).unwrap().dropped, Some(kind.to_string()));
    }
    let id = infer("id", &numbers, Some(ColumnKind::Number)).unwrap();
    assert_eq!((id.kind, id.dropped, id.reason.as_str()), (ColumnKind::Number, None, "as set"));
    let words = cells(30, |i| format!("w{i}"));
    assert!(infer("x", &words, Some(ColumnKind::Category)).unwrap().dropped.is_none());
    assert!(infer("x", &words, Some(ColumnKind::Number)).is_err());
    assert!(infer("x", &numbers, Some(ColumnKind::Date)).is_err());
    let overrides = BTreeMap::from([("bmj".to_owned(), ColumnKind::Number)]);
    let error = infer_schema(&raw("bmi", &numbers), &overrides, &BTreeSet::new()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("did you mean `bmi`?"), "{error}");
}

#[test]
fn slips_among_numbers_are_errors_that_name_the_cell() {
    let mut numbers = cells(200, |i| i.to_string());
    for row in [57, 60, 61] {
        numbers[row] = "n/a.".to_owned();
    }
    numbers[99] = "not known".to_owned();
    let message = infer("bmi", &numbers, None).unwrap_err().to_string();
    assert_eq!(
        message,
        "row 58 (line 59), column `bmi`: expected a number, found `n/a.` (3 like it)\n  \
         try: --null n/a. --null 'not known' to take it as missing, or --set data.columns.bmi.kind=category"
    );
    let mut dates = cells(28, |i| format!("2024-01-{:02}", i + 1));
    dates[5] = "2024-02-30".to_owned();
    let message = infer("d", &dates, None).unwrap_err().to_string();
    assert!(
        message.contains("row 6 (line 7), column `d`: expected a date, found `2024-02-30`\n"),
        "{message}"
    );
}

#[test]
fn slips_among_numbers_and_dates_in_a_dress_are_errors_as_well() {
    let with_slips = |cell: &dyn Fn(usize) -> String| {
        cells(200, |i| if i % 90 == 57 { "TBD".to_owned() } else { cell(i) })
    };
    let us = with_slips(&|i| format!("{}/{}/2023", i % 12 + 1, i % 28 + 1));
    let dollars = with_slips(&|i| format!("${i}.50"));
    for (cells, kind) in [(&us, "date"), (&dollars, "number")] {
        for wanted in [None, Some(if kind == "date" { ColumnKind::Date } else { ColumnKind::Number })] {
            let message = infer("x", cells, wanted).unwrap_err().to_string();
            assert!(
                message.contains(&format!(
                    "row 58 (line 59), column `x`: expected a {kind}, found `TBD` (1 like it)"
                )),
                "{message}"
            );
            assert!(message.contains("--null TBD to take it as missing"), "{message}");
        }
    }
    // Names of streets are no dates for one that looks like it.
    let streets = cells(200, |i| if i == 9 { "1/2/2023".to_owned() } else { format!("street {}", i % 40) });
    assert_eq!(infer("x", &streets, None).unwrap().kind, ColumnKind::Category);
}

#[test]
fn numbers_beyond_bounds_are_errors_that_name_the_cell() {
    for cell in ["inf", "1e400", "-Infinity"] {
        let mut numbers = cells(30, |i| i.to_string());
        numbers[3] = cell.to_owned();
        let message = infer("x", &numbers, None).unwrap_err().to_string();
        assert!(
            message
                .contains(&format!("row 4 (line 5), column `x`: expected a finite number, found `{cell}`")),
            "{message}"
        );
        assert!(message.contains(&format!("--null {cell}")), "{message}");
        assert!(infer("x", &numbers, Some(ColumnKind::Number)).is_err());
    }
}

#[test]
fn columns_set_aside_are_not_looked_at() {
    let mut numbers = cells(200, |i| i.to_string());
    numbers[57] = "slip".to_owned();
    let raw = raw("bmi", &numbers);
    assert!(infer_schema(&raw, &BTreeMap::new(), &BTreeSet::new()).is_err());
    let schema = infer_schema(&raw, &BTreeMap::new(), &BTreeSet::from(["bmi"])).unwrap();
    assert_eq!(schema.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["other"]);
}

#[test]
fn schemas_are_saved_in_lower_case_and_taken_apart_by_name() {
    let schema =
        infer_schema(&raw("x", &cells(30, |i| i.to_string())), &BTreeMap::new(), &BTreeSet::new()).unwrap();
    let saved = serde_json::to_string(&schema).unwrap();
    assert!(saved.contains(r#""kind":"number""#), "{saved}");
    assert_eq!(serde_json::from_str::<Schema>(&saved).unwrap(), schema);
    assert_eq!(schema.kept().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["x"]);
    assert!(schema.without(&["x"]).get("x").is_none());
    assert!(schema.without(&["x"]).get("other").is_some());
}

#[test]
fn blocks_are_inferred_as_the_whole_is() {
    let text = |range: std::ops::Range<usize>| {
        let row = |i: usize| format!("{i},{},w{},{}.5,2024-01-{:02}\n", i % 3, i % 5, i, i % 28 + 1);
        std::iter::once("id,few,word,x,day\n".to_owned()).chain(range.map(row)).collect::<String>()
    };
    let read = |text: &str| parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default()).unwrap();
    let none = BTreeMap::new();
    let whole = infer_schema(&read(&text(0..90)), &BTreeMap::new(), &BTreeSet::new()).unwrap();
    let blocks = [read(&text(0..40)), read(&text(40..41)), read(&text(41..90))];
    let mut inference = Inference::new(&blocks[0], &none, &BTreeSet::new()).unwrap();
    blocks.iter().for_each(|block| inference.add(block));
    assert_eq!(inference.finish().unwrap(), whole);
}
