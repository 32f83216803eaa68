//! `statera profile --against`: figures of scipy, numpy and statsmodels; no alarm where nothing differs; planted shifts,
//! each found and named; other tables of every hostile kind.

use crate::cli;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cli::{call, can_be_pasted_into_every_recipe};
use serde_json::Value;
use statera::config::Config;
use statera::profile::shift::{LEVEL, Test, Tested, Verdict};
use statera::profile::source::Loaded;
use statera::profile::tail::{chi_squared_tail, kolmogorov_tail, shares_differ};
use statera::profile::{Concern, Depth, Profile, html, profile};
use statera::random::{Purpose, Stream};

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn golden() -> Value {
    serde_json::from_str(&std::fs::read_to_string(file("tests/golden/shift.json")).unwrap()).unwrap()
}

fn compared(here: &Path, there: &Path, target: &str, seed: u64) -> Profile {
    let mut config = Config::default();
    here.clone_into(&mut config.data.path);
    target.clone_into(&mut config.data.target);
    let loaded = Loaded::read(&config, 0.5).unwrap();
    let other = loaded.read_other(&config, there, 0.5).unwrap();
    profile(&loaded.source(), Some(&other), seed, Depth::Warnings, &|_| ())
}

/// Writes the rows of a table for which `picks` says so, under its header.
fn part(of: &str, to: &Path, picks: impl Fn(usize, &str) -> bool) {
    let text = std::fs::read_to_string(file(of)).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let mut out = format!("{header}\n");
    for (_, row) in rows.lines().enumerate().filter(|(i, row)| picks(*i, row)) {
        let _ = writeln!(out, "{row}");
    }
    std::fs::write(to, out).unwrap();
}

fn near(found: f64, expected: &Value, tolerance: f64, what: &str) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("{what}: {expected}"));
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{what}: {found} is not {expected}");
}

fn test_agrees(found: Option<Tested>, golden: &Value, key: &str, what: &str) {
    let what = format!("{what}: {key}");
    match found {
        // The tail of χ² far out loses digits in both libraries.
        Some(test) => {
            near(test.p, &golden[key], 1e-9, &what);
            near(test.adjusted, &golden[format!("holm_{key}")], 1e-9, &what);
        }
        None => assert!(golden[key].is_null(), "{what}: {golden}"),
    }
}

/// Every figure of a comparison is that of `golden`.
fn agrees(found: &Profile, golden: &Value) {
    let against = found.against.as_ref().unwrap();
    let expected = golden.as_object().unwrap();
    assert_eq!(against.columns.len(), expected.len());
    for shift in &against.columns {
        let name = &found.columns[shift.column].name;
        let golden = &expected[name];
        near(shift.psi.unwrap(), &golden["psi"], 1e-12, &format!("{name}: psi"));
        near(shift.statistic.unwrap(), &golden["statistic"], 1e-12, &format!("{name}: statistic"));
        for t in 0..2 {
            assert_eq!(Some(shift.missing[t] as u64), golden["missing"][t].as_u64(), "{name}");
        }
        if let Some(median) = shift.median {
            near(median[0], &golden["median"][0], 1e-14, name);
            near(median[1], &golden["median"][1], 1e-14, name);
            assert_eq!(Some(shift.outside as u64), golden["outside"].as_u64(), "{name}");
        } else {
            assert_eq!(shift.df.map(|df| df as u64), golden["df"].as_u64(), "{name}");
            assert_eq!(Some(shift.new[0] as u64), golden["new"][0].as_u64(), "{name}");
            assert_eq!(Some(shift.new[1] as u64), golden["new"][1].as_u64(), "{name}");
            assert_eq!(Some(shift.gone as u64), golden["gone"].as_u64(), "{name}");
        }
        test_agrees(shift.values, golden, "p", name);
        test_agrees(shift.missing_test, golden, "missing_p", name);
        test_agrees(shift.new_test, golden, "new_p", name);
    }
}

#[test]
fn figures_are_those_of_scipy_numpy_and_statsmodels() {
    let golden = golden();
    let folder = tempfile::tempdir().unwrap();
    let [here, there] = ["here.csv", "there.csv"].map(|name| folder.path().join(name));
    let drawn = ["tests/golden/shift-here.csv", "tests/golden/shift-there.csv"].map(file);
    agrees(&compared(&drawn[0], &drawn[1], "", 0), &golden["drawn"]);
    let young = |row: &str| row.split(',').next().unwrap().parse::<f64>().unwrap() < 40.0;
    part("data/insurance.csv", &here, |_, row| young(row));
    part("data/insurance.csv", &there, |_, row| !young(row));
    agrees(&compared(&here, &there, "charges", 0), &golden["insurance"]);
    part("tests/golden/wine.csv", &here, |i, _| i < 100);
    part("tests/golden/wine.csv", &there, |i, _| i >= 100);
    agrees(&compared(&here, &there, "kind", 0), &golden["wine"]);
}

#[test]
fn tails_are_those_of_scipy() {
    let golden = golden();
    for row in golden["chi2_sf"].as_array().unwrap() {
        let df = row[1].as_u64().unwrap() as usize;
        near(chi_squared_tail(row[0].as_f64().unwrap(), df), &row[2], 1e-10, &row.to_string());
    }
    for row in golden["kolmogorov_sf"].as_array().unwrap() {
        near(kolmogorov_tail(row[0].as_f64().unwrap()), &row[1], 1e-12, &row.to_string());
    }
    for row in golden["shares"].as_array().unwrap() {
        let pair = |i: usize| [0, 1].map(|t| row[i][t].as_u64().unwrap() as usize);
        near(shares_differ(pair(0), pair(1)).unwrap(), &row[2], 1e-10, &row.to_string());
    }
}

#[test]
fn every_planted_difference_is_found_and_named() {
    let drawn = ["tests/golden/shift-here.csv", "tests/golden/shift-there.csv"].map(file);
    let found = compared(&drawn[0], &drawn[1], "", 0);
    let against = found.against.as_ref().unwrap();
    let verdict = |name: &str| {
        let shift = against.columns.iter().find(|s| found.columns[s.column].name == name).unwrap();
        shift.verdict
    };
    for name in ["same", "whole", "rare"] {
        assert_eq!(verdict(name), Verdict::Same, "{name}");
    }
    for name in ["moved", "wider", "gaps", "city", "fresh"] {
        assert!(verdict(name) >= Verdict::Shifted, "{name}");
    }
    let text = |name: &str| {
        let warned = |w: &&statera::profile::Warning| w.concern == Concern::Shift && w.columns[0] == name;
        found.warnings.iter().find(warned).unwrap().text.clone()
    };
    assert!(text("fresh").contains("of new categories (`d`)"), "{}", text("fresh"));
    assert!(text("gaps").contains("missing 2.6 % here and 29.8 % there"), "{}", text("gaps"));
    assert!(text("wider").contains("beyond the range here"), "{}", text("wider"));
    let adversary = against.adversary.as_ref().unwrap();
    assert!(adversary.apart && adversary.interval[0] > 0.7, "{adversary:?}");
    let linear = golden()["logistic_auc"]["drawn"].as_f64().unwrap();
    assert!(adversary.auc > linear - 0.02, "{} against {linear}", adversary.auc);
    let by: Vec<&str> = adversary.by.iter().map(|one| found.columns[one.column].name.as_str()).collect();
    for name in ["moved", "wider", "gaps", "city", "fresh"] {
        assert!(by.iter().take(5).any(|by| *by == name), "{name} is not among {by:?}");
    }
}

#[test]
fn columns_that_no_longer_go_together_are_told_apart_though_each_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, sign: f64, seed: u64| {
        let mut stream = Stream::new(seed, Purpose::Noise, 0);
        let mut text = "a,b,c\n".to_owned();
        for _ in 0..1_500 {
            let [a, e, c] = [0; 3].map(|_| stream.normal());
            let _ = writeln!(text, "{a:.3},{:.3},{c:.3}", sign * 0.8 * a + 0.6 * e);
        }
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let found = compared(&write("a.csv", 1.0, 1), &write("b.csv", -1.0, 2), "", 0);
    let against = found.against.as_ref().unwrap();
    assert!(against.columns.iter().all(|shift| shift.verdict == Verdict::Same), "{:?}", against.columns);
    let adversary = against.adversary.as_ref().unwrap();
    assert!(adversary.auc > 0.75, "{adversary:?}");
    let mut by: Vec<usize> = adversary.by.iter().take(2).map(|one| one.column).collect();
    by.sort_unstable();
    assert_eq!(by, [0, 1]);
    assert!(found.warnings.iter().any(|w| w.concern == Concern::ToldApart), "{:?}", found.warnings);
}

/// Two halves of a table, drawn by a seed; the target is not looked at.
fn halves(of: &str, folder: &Path, seed: u64) -> [PathBuf; 2] {
    let n = std::fs::read_to_string(file(of)).unwrap().lines().count() - 1;
    let mut order: Vec<u32> = (0..n as u32).collect();
    Stream::new(seed, Purpose::Noise, 77).shuffle(&mut order);
    let paths = ["here.csv", "there.csv"].map(|name| folder.join(name));
    let first: std::collections::HashSet<u32> = order[..n / 2].iter().copied().collect();
    part(of, &paths[0], |i, _| first.contains(&(i as u32)));
    part(of, &paths[1], |i, _| !first.contains(&(i as u32)));
    paths
}

#[test]
fn two_halves_of_a_table_give_no_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let (mut pairs, mut below) = (0, 0);
    for (table, seeds) in [("data/insurance.csv", 12), ("tests/golden/wine.csv", 12), ("data/rare.csv", 6)] {
        for seed in 0..seeds {
            let [here, there] = halves(table, folder.path(), seed);
            let found = compared(&here, &there, "", seed);
            let against = found.against.as_ref().unwrap();
            let shifted: Vec<_> =
                against.columns.iter().filter(|shift| shift.verdict >= Verdict::Shifted).collect();
            assert!(shifted.is_empty(), "{table}, seed {seed}: {shifted:?}");
            let adversary = against.adversary.as_ref().unwrap();
            assert!(!adversary.apart && adversary.by.is_empty(), "{table}, seed {seed}: {adversary:?}");
            pairs += 1;
            below += usize::from(against.columns.iter().any(|shift| shift.verdict > Verdict::Same));
        }
    }
    // Each pair has a chance of at most 1 % of a corrected p-value below the level: 2 of 30 have one of 4 %.
    assert!(LEVEL == 0.01 && below <= 2, "{below} of {pairs}");
}

#[test]
fn tests_are_at_their_level_over_many_tables() {
    // Small tables of 60 and 40 rows, the corrected p-values alone: 500 pairs have more than 12 below the level with a
    // chance below one in a thousand.
    let folder = tempfile::tempdir().unwrap();
    let mut below = 0;
    for seed in 0..500 {
        let mut stream = Stream::new(seed, Purpose::Noise, 5);
        let mut write = |name: &str, n: usize| {
            let mut text = "a,b,whole,city,rare,gaps\n".to_owned();
            for _ in 0..n {
                let gaps =
                    if stream.below(6) == 0 { String::new() } else { format!("{:.2}", stream.normal()) };
                let _ = writeln!(
                    text,
                    "{:.3},{:.3},{},{},r{},{gaps}",
                    stream.normal(),
                    stream.uniform().powi(4),
                    stream.below(4),
                    ["Rome", "Oslo", "Bern"][stream.below(3)],
                    stream.below(25)
                );
            }
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        // Too few rows for the network, which would take its time.
        let paths = [write("here.csv", 60), write("there.csv", 40)];
        let found = compared(&paths[0], &paths[1], "", seed);
        let against = found.against.as_ref().unwrap();
        assert!(against.adversary.is_none() && against.n_tests >= 7, "{against:?}");
        below += usize::from(against.columns.iter().any(|shift| shift.verdict > Verdict::Same));
    }
    assert!(below <= 12, "{below} of 500");
}

#[test]
fn every_line_of_a_comparison_can_be_pasted_and_cures_what_it_is_about() {
    let folder = tempfile::tempdir().unwrap();
    let mut stream = Stream::new(4, Purpose::Noise, 0);
    let mut write = |name: &str, there: bool| {
        let mut text =
            if there { "moved,city,odd,code,found\n" } else { "moved,city,odd,code,found,lost\n" }.to_owned();
        for i in 0..300 {
            let x = stream.normal() + if there { 1.5 } else { 0.0 };
            let city = if there { "Rome" } else { ["Rome", "Oslo"][stream.below(2)] };
            let odd =
                if there && i % 50 == 0 { "n.a.".to_owned() } else { format!("{:.2}", stream.normal()) };
            let code = if there { (i % 7).to_string() } else { format!("k{}", i % 7) };
            let yes = stream.uniform() < if there { 0.5 } else { 0.1 };
            let _ = write!(text, "{x:.3},{city},{odd},{code},{}", if yes { "yes" } else { "no" });
            text += &if there { "\n".to_owned() } else { format!(",{:.3}\n", stream.normal()) };
        }
        std::fs::write(folder.path().join(name), text).unwrap();
    };
    write("here.csv", false);
    write("there.csv", true);
    let profile = ["profile", "here.csv", "--target", "found", "--against", "there.csv", "--json"];
    let json = |more: &[&str]| -> Value {
        serde_json::from_str(&call(folder.path(), &[&profile[..], more].concat()).done().out).unwrap()
    };
    let before = json(&[]);
    let warnings = before["warnings"].as_array().unwrap();
    let told: Vec<(&str, &str)> = warnings
        .iter()
        .map(|w| (w["concern"].as_str().unwrap(), w["columns"][0].as_str().unwrap()))
        .collect();
    for expected in [
        ("other_columns", "lost"),
        ("other_kind", "odd"),
        ("other_kind", "code"),
        ("told_apart", "code"),
        ("shift", "moved"),
        ("shift", "city"),
        ("shift", "code"),
        ("shift", "found"),
    ] {
        assert!(told.contains(&expected), "{expected:?} is not among {told:?}");
    }
    for warning in warnings {
        let line = warning["line"].as_str().unwrap();
        can_be_pasted_into_every_recipe(line, &folder.path().join("c.toml"));
        std::fs::write(folder.path().join("c.toml"), format!("{line}\n[train]\nepochs = 1\n")).unwrap();
        call(folder.path(), &["config", "--check", "c.toml"]).done();
        call(folder.path(), &["train", "here.csv", "--target", "found", "--config", "c.toml", "--quiet"])
            .done();
        let after = json(&["--set", line]);
        let still =
            |w: &&Value| w["concern"] == warning["concern"] && w["columns"][0] == warning["columns"][0];
        let told: Vec<&Value> = after["warnings"].as_array().unwrap().iter().filter(still).collect();
        // A kind that is named is still another one there.
        if !line.contains(".kind") {
            assert!(told.is_empty(), "{line}: {told:?}");
        }
    }
    // As many warnings as lines, of which some are the same: pasted one by one or from the page, they are read.
    let each: Vec<&str> = warnings.iter().map(|w| w["line"].as_str().unwrap()).collect();
    let of_code = each.iter().filter(|line| **line == "data.columns.code.drop = true").count();
    assert!(of_code > 1, "{each:?}");
    let check = |lines: &str| {
        std::fs::write(folder.path().join("c.toml"), format!("{lines}\n[train]\nepochs = 1\n")).unwrap();
        call(folder.path(), &["config", "--check", "c.toml"]).done();
    };
    check(&each.join("\n"));
    call(folder.path(), &[&profile[..6], &["-o", "p.html"]].concat()).done();
    let page = std::fs::read_to_string(folder.path().join("p.html")).unwrap();
    let (_, block) = page.split_once("All lines together").expect("there is a block of all lines");
    let block = block.split_once("tabindex=\"0\">").unwrap().1.split_once("</pre>").unwrap().0;
    assert_eq!(block.matches("data.columns.code.drop").count(), 1, "{block}");
    check(&block.replace("&quot;", "\""));
}

#[test]
fn what_cannot_be_compared_is_said_and_nothing_panics() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let table = |n: usize| {
        let mut text = "row,a,c,day,gone,note\n".to_owned();
        for i in 0..n {
            let _ = writeln!(
                text,
                "{},{}.5,{},2020-01-{:02},,some words of row {i} that differ from all the others in it",
                1000 + i,
                i * 37 % 101,
                ["p", "q"][i % 2],
                1 + i % 28
            );
        }
        text
    };
    write("t.csv", &table(120));
    let run = |other: &str| call(folder.path(), &["profile", "t.csv", "--no-page", "--against", other]);

    write("none.csv", "row,a,c,day,gone,note\n");
    let outcome = run("none.csv");
    assert!(outcome.code != 0 && outcome.err.contains("none.csv"), "{}", outcome.err);
    let outcome = run("absent.csv");
    assert!(outcome.code != 0 && outcome.err.contains("absent.csv"), "{}", outcome.err);

    write("foreign.csv", "x,y\n1,2\n3,4\n");
    let outcome = run("foreign.csv").done();
    assert!(outcome.out.contains("Only in the other table: `x`, `y`."), "{}", outcome.out);
    assert!(outcome.out.contains("Whether rows can be told apart was not tried"), "{}", outcome.out);

    write("one.csv", "row,a,c,day,gone,note\n1,7,p,2020-01-01,,z\n");
    let outcome = run("one.csv").done();
    assert!(outcome.out.contains("No column differs by more than chance"), "{}", outcome.out);
    assert!(outcome.out.contains("as it seems only to name the rows: `row`"), "{}", outcome.out);

    write("empty.csv", &format!("row,a,c,day,gone,note\n{}", "?,NA,,n/a,,\n".repeat(80)));
    let outcome = run("empty.csv").done();
    assert!(outcome.out.contains("missing 0.0 % here and 100.0 % there"), "{}", outcome.out);

    write("odd.csv", &table(120).replace("2020-01-", "day ").replace(".5", ".5 kg").replace(",p,", ",NaN,"));
    let outcome = run("odd.csv").done();
    assert!(outcome.out.contains("another kind of column: `a` is a number here"), "{}", outcome.out);
    write("huge.csv", &table(120).replace(".5,", "e305,").replace(",p,", ",inf,"));
    let outcome = run("huge.csv").done();
    assert!(outcome.out.contains("a ") && !outcome.out.contains("NaN"), "{}", outcome.out);

    write("same.csv", &table(120));
    let outcome = run("same.csv").done();
    assert!(outcome.out.contains("No column differs by more than chance"), "{}", outcome.out);
    assert!(outcome.out.contains("cannot tell the rows of the two tables apart"), "{}", outcome.out);
    let outcome = call(folder.path(), &["profile", "t.csv", "--against", "same.csv", "--target", "nope"]);
    assert!(outcome.code == 2 && outcome.err.contains("nope"), "{}", outcome.err);
}

#[test]
fn a_comparison_of_names_of_any_kind_is_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let mut stream = Stream::new(9, Purpose::Noise, 0);
    let mut write = |name: &str, extra: &str, word: &str, shift: f64| {
        let mut text = format!("\"<b>x</b>\",\u{1b}[31mred,\"a\"\"b\",{extra}\n");
        for i in 0..200 {
            let x = stream.normal() + shift;
            let _ = writeln!(
                text,
                "{x:.3},{},{:.3},{}",
                if i % 3 == 0 { word } else { "w" },
                stream.normal(),
                i % 5
            );
        }
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let here = write("here.csv", "z", "<i>one</i>", 0.0);
    let there = write("there.csv", "<u>new</u>", "\"><svg onload=alert(1)>".replace('"', "").as_str(), 2.0);
    let found = compared(&here, &there, "", 0);
    let page = html::page(&found);
    for raw in ["<b>", "<i>one", "<u>new", "<svg onload", "\u{1b}"] {
        assert!(!page.contains(raw), "{raw:?}");
    }
    let outcome = call(folder.path(), &["profile", "here.csv", "--against", "there.csv"]).done();
    assert!(!outcome.out.contains('\u{1b}') && outcome.out.contains("[31mred"), "{:?}", outcome.out);
}

#[test]
fn a_comparison_has_the_same_bits_on_any_threads() {
    let [here, there] = ["tests/golden/shift-here.csv", "tests/golden/shift-there.csv"].map(file);
    let json = |threads: &str| {
        let [here, there] = [&here, &there].map(|path| path.to_str().unwrap());
        let arguments = ["profile", here, "--against", there, "--json", "--threads", threads];
        call(Path::new("."), &arguments).done().out
    };
    assert_eq!(json("1"), json("3"));
}

#[test]
fn numbers_are_compared_by_kolmogorov_and_smirnov_and_categories_by_counts() {
    let drawn = ["tests/golden/shift-here.csv", "tests/golden/shift-there.csv"].map(file);
    let found = compared(&drawn[0], &drawn[1], "", 0);
    for shift in &found.against.as_ref().unwrap().columns {
        let is_number = found.columns[shift.column].numbers.is_some();
        assert_eq!(shift.test == Test::KolmogorovSmirnov, is_number);
        // The parts of the other table's histogram hold all of its numbers.
        if let Some(h) = &shift.histogram {
            assert_eq!(h.counts.iter().sum::<usize>() + h.below + h.above + shift.missing[1], 400);
        }
    }
}

#[test]
fn the_summary_of_a_comparison_fits_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["shift-here.csv", "shift-there.csv"] {
        std::fs::copy(file("tests/golden").join(name), folder.path().join(name)).unwrap();
    }
    let arguments = ["profile", "shift-here.csv", "--against", "shift-there.csv", "--no-page"];
    let outcome = call(folder.path(), &arguments).done();
    let wide: Vec<&str> = outcome.out.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(wide.is_empty(), "{wide:?}");
    // No snapshot: the last digits of the network's figures hang on the processor.
    for line in [
        "Against shift-there.csv: 400 rows (here is shift-here.csv, there shift-there.csv)",
        "  column  differs  stability  p        how",
        "  fresh   large    1.08       < 1e-15  `d` 0.0 % here, 18.5 % there; 18.5 % of new categories (`d`)",
        "  city    large    0.51       < 1e-15  `Bern` 20.6 % here, 48.8 % there",
        "  moved   large    0.30       2e-12    median -0.06 here, 0.6145 there; 0.8 % beyond the range here",
    ] {
        assert!(outcome.out.lines().any(|found| found == line), "{line}\n{}", outcome.out);
    }
}
