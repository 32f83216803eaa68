//! What a profile says of columns and tables of which it cannot say everything: cells that are not read, rows that were
//! drawn, numbers beyond 2^53, many collinear columns.

mod cli;

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
