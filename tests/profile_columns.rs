//! What a profile says of columns and tables of which it cannot say everything: cells that are not read, rows that were
//! drawn, numbers beyond 2^53, many collinear columns.

use crate::cli;
use std::fmt::Write as _;
use std::path::Path;

use cli::call;
use statera::random::{Purpose, Stream};

/// What the terminal says of a table, its line breaks taken as spaces.
fn told(folder: &Path, table: &str, more: &[&str]) -> String {
    let profile = ["profile", table, "--target", "y", "--no-page"];
    call(folder, &[&profile[..], more].concat()).done().out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn cells_of_types_that_are_not_read_are_no_missing_cells() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for i in 0..50 {
        let _ = writeln!(
            text,
            "{{\"tags\": [1, {i}], \"of\": {{\"a\": {i}}}, \"x\": {}.5, \"y\": {}.25}}",
            i * 37 % 101,
            i * i
        );
    }
    std::fs::write(folder.path().join("t.jsonl"), text).unwrap();
    let out = told(folder.path(), "t.jsonl", &[]);
    for words in [
        "50 rows, 4 columns (2 number, 2 not read); no row twice",
        "tags not read: nested – – ",
        "of not read: nested – – ",
        "column that is not read: `tags`: nothing can be learned of cells of this type (nested)",
        "data.columns.tags.drop = true",
    ] {
        assert!(out.contains(words), "{out}\n  lacks {words}");
    }
    assert!(!out.contains("constant") && !out.contains("100.0 %"), "{out}");
    let json = call(folder.path(), &["profile", "t.jsonl", "--target", "y", "--json"]).done().json();
    assert_eq!(
        (&json["columns"][0]["not_read"], &json["columns"][0]["missing"]),
        (&"nested".into(), &0.into())
    );
    call(folder.path(), &["profile", "t.jsonl", "--target", "y", "-o", "p.html"]).done();
    let page = std::fs::read_to_string(folder.path().join("p.html")).unwrap();
    assert!(page.contains("not read: nested") && page.contains("<dd>0<small>0 % of all cells"), "{page}");
    let train = [
        "train",
        "t.jsonl",
        "--target",
        "y",
        "--set",
        "data.columns.tags.drop = true",
        "--set",
        "train.epochs=1",
    ];
    call(folder.path(), &train).done();
}

#[test]
fn of_drawn_rows_it_is_not_said_that_none_is_there_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "a,b,c,y\n".to_owned();
    // The second half repeats the first.
    for i in 0..40_000_u64 {
        let i = i % 20_000;
        let _ =
            writeln!(text, "{},{},{},{}", i * 7919 % 20_011, i * 104_729 % 19_997, i * 31 % 1_009, i % 13);
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    assert!(told(folder.path(), "t.csv", &[]).contains("; 20,000 repeated rows target"));
    let out = told(folder.path(), "t.csv", &["--memory", "1MiB"]);
    assert!(
        !out.contains("no row twice") && out.contains("of the 40,000 rows")
            || out.contains("Of the 40,000 rows")
    );
    assert!(out.contains(" repeated rows among those looked at target"), "{out}");
    let once = (0..40_000_u64)
        .fold("a,y\n".to_owned(), |t, i| t + &format!("{},{}\n", i * 7919 % 1_000_003, i % 13));
    std::fs::write(folder.path().join("once.csv"), once).unwrap();
    let out = told(folder.path(), "once.csv", &["--memory", "512KiB"]);
    assert!(out.contains("2 columns (2 number) target") && !out.contains("row twice"), "{out}");
}

#[test]
fn numbers_beyond_the_exact_ones_are_not_said_to_be_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let text = (0..60_u64).fold("id,x,y\n".to_owned(), |t, i| {
        t + &format!("{},{},{}\n", 9_007_199_254_740_993_000 + i % 7, i, i * i % 17)
    });
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let out = told(folder.path(), "t.csv", &[]);
    assert!(
        out.contains(
            "to the 16 digits that a 64-bit number holds; numbers beyond 2^53 that differ only after them"
        ),
        "{out}"
    );
}

#[test]
fn many_collinear_columns_are_one_paragraph_with_a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let mut stream = Stream::new(3, Purpose::Noise, 0);
    let mut text = "a,b,c,d,e,f,y\n".to_owned();
    for _ in 0..300 {
        let z = stream.normal();
        let near: Vec<String> = (0..6).map(|_| format!("{:.4}", z + 0.05 * stream.normal())).collect();
        let _ = writeln!(text, "{},{:.4}", near.join(","), z + stream.normal());
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let out = told(folder.path(), "t.csv", &[]);
    assert!(out.contains("5 warnings, each with a line"), "{out}");
    assert_eq!(out.matches("collinear columns:").count(), 1, "{out}");
    assert_eq!(out.matches(".drop = true").count(), 5, "{out}");
    assert!(out.contains("collinear columns: 5 columns are linear combinations of the other"), "{out}");
    let train = ["train", "t.csv", "--target", "y", "--set", "train.epochs=1"];
    let err = call(folder.path(), &train).done().err;
    assert!(
        err.matches("collinear columns:").count() == 1 && err.contains("  the whole table: statera"),
        "{err}"
    );
}

/// What training says of a table under some settings, as the profile's lines.
fn trained(folder: &Path, table: &str, sets: &[&str]) -> cli::Outcome {
    let sets: Vec<&str> = sets.iter().flat_map(|line| ["--set", line]).collect();
    call(folder, &cli::quick(table, "y", &sets))
}

#[test]
fn what_training_would_ask_about_cells_has_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "mass;price;day;y\n".to_owned();
    for i in 0..60 {
        let _ = writeln!(
            text,
            "{}.{};{},5;{}/{}/2023;{}.25",
            1 + i % 8,
            100 + i * 7,
            i * 37 % 101,
            1 + i % 9,
            1 + i * 5 % 12,
            i * 13 % 29
        );
    }
    std::fs::write(folder.path().join("t.csv"), &text).unwrap();
    let out = told(folder.path(), "t.csv", &[]);
    for words in [
        "unclear cells: `mass`: cells such as `1.100` may have a decimal point or thousands set apart, since another column \
         has decimal commas; training refuses them until that is said. The line is right for thousands; for decimals it says \
         \"decimal_point\" data.columns.mass.format = \"decimal_comma\"",
        "unclear cells: `day`: cells such as `1/1/2023` may be dates with the day or the month first",
        "data.columns.day.format = \"day_first\"",
    ] {
        assert!(out.contains(words), "{out}\n  lacks {words}");
    }
    assert!(!out.contains("columns.day.drop"), "{out}");
    let refused = trained(folder.path(), "t.csv", &[]);
    assert!(refused.code == 1 && refused.err.contains("`1.100` may have a decimal point"), "{}", refused.err);
    let mass = "data.columns.mass.format = \"decimal_comma\"";
    let asked = trained(folder.path(), "t.csv", &[mass]).done();
    assert!(asked.err.contains("say what comes first"), "{}", asked.err);
    let lines = [mass, "data.columns.day.format = \"day_first\""];
    let settled = trained(folder.path(), "t.csv", &lines).done();
    assert!(!settled.err.contains("say what comes first"), "{}", settled.err);
    let out = told(folder.path(), "t.csv", &["--set", lines[0], "--set", lines[1]]);
    assert!(!out.contains("unclear cells") && out.contains("1100 to 8485"), "{out}");
    let short = text.replace("/2023;", "/99;");
    std::fs::write(folder.path().join("short.csv"), short).unwrap();
    let out = told(folder.path(), "short.csv", &["--set", mass]);
    let years = "; years of two digits are then those from 1969 to 2068";
    assert!(out.contains("`day`: cells such as `1/1/99`") && out.contains(years), "{out}");
    let out = told(folder.path(), "short.csv", &["--set", lines[0], "--set", lines[1]]);
    assert!(!out.contains("unclear cells") && out.contains("1999-01-01 to 1999-"), "{out}");
    // A column that is to be categories is not asked about, and one of dates is.
    let out = told(folder.path(), "t.csv", &["--set", "data.columns.day.kind=category"]);
    assert!(!out.contains("`day`: cells such as"), "{out}");
    let out = told(folder.path(), "t.csv", &["--set", "data.columns.day.kind=date"]);
    assert!(out.contains("`day`: cells such as") && !out.contains("unreadable cells"), "{out}");

    // Of the column to predict, the mark of the table says it.
    let swapped = text.replace("mass;price;day;y", "y;price;day;mass");
    std::fs::write(folder.path().join("s.csv"), swapped).unwrap();
    let out = told(folder.path(), "s.csv", &[]);
    assert!(out.contains("for decimals it says \"point\" data.decimal = \"comma\""), "{out}");
    assert_eq!(trained(folder.path(), "s.csv", &[]).code, 1);
    trained(folder.path(), "s.csv", &["data.decimal = \"comma\""]).done();
    let out = told(folder.path(), "s.csv", &["--set", "data.decimal = \"comma\""]);
    assert!(!out.contains("may have a decimal"), "{out}");
}

#[test]
fn one_odd_cell_is_told_in_the_singular_and_odd_words_of_both_tables_are_one_list() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, a: &str, b: &str| {
        let mut text = "a,b,y\n".to_owned();
        for i in 0..60 {
            let [a, b] = [a, b].map(|odd| if i == 7 { odd.to_owned() } else { (i * 37 % 31).to_string() });
            let _ = writeln!(text, "{a},{b},{}", i * 13 % 53);
        }
        std::fs::write(folder.path().join(name), text).unwrap();
    };
    write("here.csv", "what", "5");
    write("there.csv", "5", "huh");
    let out = told(folder.path(), "here.csv", &[]);
    let words = "`a` has 1 cell that is no number (`what`); training refuses it unless it counts as missing";
    assert!(out.contains(words), "{out}\n  lacks {words}");
    let out = told(folder.path(), "here.csv", &["--against", "there.csv"]);
    let words =
        "`b` is a number here, and 1 cell of it in `there.csv` is none and counts as missing, as `huh`";
    assert!(out.contains(words), "{out}\n  lacks {words}");
    let both = "data.null = [";
    let lists: Vec<&str> = out.split(both).skip(1).map(|rest| rest.split_once(']').unwrap().0).collect();
    assert!(lists.len() == 2 && lists[0] == lists[1] && lists[0].ends_with("\"what\", \"huh\""), "{lists:?}");
}

#[test]
fn what_the_settings_deal_with_is_not_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "a,y\n".to_owned();
    for i in 0..200 {
        let a = if i == 9 { 1e6 } else { f64::from(i * 37 % 101) };
        let _ = writeln!(text, "{a},{}", if i % 20 == 3 { "rare" } else { "usual" });
    }
    // A row that repeats an earlier one.
    text += "0,usual\n";
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let titles = ["duplicate rows:", "imbalanced classes:", "far outliers:"];
    let warned = |more: &[&str]| {
        let sets: Vec<&str> = more.iter().flat_map(|set| ["--set", set]).collect();
        let out = told(folder.path(), "t.csv", &sets);
        titles.map(|title| out.contains(title))
    };
    assert_eq!(warned(&[]), [true; 3]);
    assert_eq!(warned(&["data.drop_duplicates=true"]), [false, true, true]);
    for set in ["loss.class_weights=balanced", "loss.name=focal", "imbalance.kind=oversample"] {
        assert_eq!(warned(&[set]), [true, false, true], "{set}");
    }
    for set in ["data.columns.a.scale=robust", "prepare.scale=quantile"] {
        assert_eq!(warned(&[set]), [true, true, false], "{set}");
    }
    assert_eq!(warned(&["prepare.scale=robust", "data.columns.a.scale=standard"]), [true; 3]);
}

/// A measure that is 1 by construction says nothing, and none is shown.
#[test]
fn of_a_column_that_differs_in_every_row_no_measure_with_the_target_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "name,again,y,class\n".to_owned();
    for i in 0..60 {
        text += &format!("n{},w{},{},{}\n", i * 37 % 60, i / 2, i * 7 % 50, ["a", "b"][i * 5 % 2]);
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    for target in ["y", "class"] {
        let json = call(folder.path(), &["profile", "t.csv", "--target", target, "--json"]).done().json();
        let value = |i: usize| json["columns"][i]["target"]["value"].clone();
        assert!(value(0).is_null() && value(1).is_number(), "{target}: {} {}", value(0), value(1));
        let out = call(folder.path(), &["profile", "t.csv", "--target", target, "--no-page"]).done().out;
        assert!(out.contains("– where a column has one value"), "{out}");
    }
}

#[test]
fn a_column_of_one_value_and_missing_cells_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let rows =
        (0..300).map(|i| format!("{},{},{}\n", if i % 4 == 0 { "ok" } else { "" }, i * 7 % 50, i % 17));
    let text = "a,b,y\n".to_owned() + &rows.collect::<String>();
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let found = call(folder.path(), &["profile", "t.csv", "--target", "y", "--json"]).done().out;
    assert!(
        found.contains("`a`: every cell that is not missing is `ok` (75 % are missing); keep it as an indicator of that, or drop it"),
        "{found}"
    );
}
