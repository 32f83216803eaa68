//! The pages of profiles, opened in Chromium: rules of accessibility, errors, requests, layout.
//!
//! `tests/pages/check.mjs` says what is looked at; `scripts/fetch_page_tools.py`, which `make test` runs, fetches what it
//! needs. Without it the pages are made all the same, and that they are not opened is said on standard error.

use crate::cli;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cli::call;
use statera::random::{Purpose, Stream};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Opens pages and looks at them; fails with all that is wrong.
fn look_at(pages: &[PathBuf]) {
    let programmes = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find =
        |name: &str| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.is_file());
    let browser = programmes.into_iter().find_map(find);
    let tools = root().join("target/pages/node_modules/locked.json").is_file();
    let (Some(browser), Some(node), true) = (browser, find("node"), tools) else {
        let note = "note: NOT TESTED, pages in a browser: python3 scripts/fetch_page_tools.py says what is missing\n";
        // Past the capture of the test runner.
        std::io::stderr().write_all(note.as_bytes()).unwrap();
        return;
    };
    let mut command = Command::new(node);
    command.current_dir(root()).env("CHROMIUM", browser);
    let outcome = command.arg("tests/pages/check.mjs").args(pages).output().unwrap();
    let [out, err] =
        [outcome.stdout, outcome.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(outcome.status.success(), "{out}{err}");
}

/// A table of 34 columns and `rows` rows, with names and values of every length; `shift` moves some of its columns.
fn wide(rows: usize, shift: f64) -> String {
    let mut stream = Stream::new(17, Purpose::Noise, shift as u32);
    let mut names: Vec<String> = (0..24).map(|i| format!("measurement_{i}_of_the_plant")).collect();
    names.extend((0..5).map(|i| format!("k{i}")));
    names.extend(["Größe in m²", "a < b & c", "when", "id", "kind"].map(String::from));
    let mut text = names.join(",") + "\n";
    for i in 0..rows {
        let z = stream.normal();
        for k in 0..24 {
            let x =
                stream.normal() + if k < 6 { 3.0 * z } else { 0.0 } + if k % 7 == 3 { shift } else { 0.0 };
            // Some of them large, some small, some far out.
            let x = x * 10_f64.powi(k % 9 - 4) + if k == 12 && i % 97 == 5 { 1e9 } else { 0.0 };
            let cell = if (i + k as usize).is_multiple_of(31) { String::new() } else { format!("{x:.3e}") };
            let _ = write!(text, "{cell},");
        }
        for k in 0..5 {
            let level = stream.below(3 + 9 * k);
            let _ = write!(text, "a rather long name of level {level},");
        }
        let kind = ["setosa", "versicolor", "virginica", "a kind with a name that is long"]
            [(z.abs() * 1.7) as usize % 4];
        let _ = writeln!(
            text,
            "{:.2},{},{}-{:02}-11,{},{kind}",
            z.exp(),
            stream.below(2),
            2001 + i % 20,
            1 + i % 12,
            100_000 + i,
        );
    }
    text
}

#[test]
fn pages_of_profiles_can_be_read_by_everybody_offline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("wide.csv"), wide(500, 0.0)).unwrap();
    std::fs::write(path.join("shifted.csv"), wide(300, 2.0)).unwrap();
    std::fs::copy(root().join("data/insurance.csv"), path.join("insurance.csv")).unwrap();
    std::fs::write(path.join("small.csv"), "a,b\n1,x\n2,y\n").unwrap();
    let mut pages = Vec::new();
    for (page, args) in [
        ("insurance.html", &["insurance.csv", "--target", "charges"][..]),
        ("against.html", &["wide.csv", "--target", "kind", "--against", "shifted.csv"]),
        ("small.html", &["small.csv"]),
    ] {
        call(path, &[&["profile", "--quiet", "-o", page], args].concat()).done();
        pages.push(path.join(page));
    }
    look_at(&pages);
}
