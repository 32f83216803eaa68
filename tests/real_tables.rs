//! `statera train FILE --target COLUMN`, with no other option, on real tables.
//!
//! The tables are fetched by `make tables` into `target/tables` and are no part of the repository; what is missing is said
//! on standard error, past the capture of the test runner.

mod cli;

use std::io::Write as _;
use std::path::Path;

use cli::call;

/// A table and its target, and what the network is to reach on the test rows.
struct Real {
    name: &'static str,
    target: &'static str,
    /// The share of the constant's figure (rmse or log_loss) that the network's stays below.
    share: f64,
}

const fn real(name: &'static str, target: &'static str, share: f64) -> Real {
    Real { name, target, share }
}

/// Tables of up to 10,000 rows.
const SMALL: [Real; 10] = [
    real("iris", "y", 0.5),
    real("wine", "y", 0.5),
    real("breast_cancer", "y", 0.5),
    real("digits", "y", 0.3),
    real("diabetes", "progression", 0.95),
    real("bikeshare", "bikers", 0.3),
    real("wage", "wage", 0.5),
    real("hitters", "Salary", 1.0),
    real("phoneme", "y", 0.8),
    real("splice", "y", 0.5),
];

/// Tables that take a minute in a debug build.
const LARGE: [Real; 3] =
    [real("letter", "y", 0.3), real("diamonds", "price", 0.3), real("adult", "income", 0.8)];

fn train(tables: &[Real]) {
    let folder = tempfile::tempdir().unwrap();
    let (mut missing, mut failed) = (Vec::new(), Vec::new());
    for Real { name, target, share } in tables {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/tables/{name}.csv"));
        if !path.is_file() {
            missing.push(*name);
            continue;
        }
        let path = path.to_str().unwrap();
        let outcome = call(folder.path(), &["train", path, "--target", target, "--json"]).done();
        let metrics = outcome.json();
        let (primary, constant) =
            if metrics["task"] == "regression" { ("rmse", "mean") } else { ("log_loss", "majority") };
        let number =
            |value: &serde_json::Value| value.as_f64().unwrap_or_else(|| panic!("{name}: {metrics}"));
        let ours = number(&metrics["test"][primary]["value"]);
        let theirs = number(&metrics["baselines"][constant][primary]);
        let best = metrics["baselines"].as_object().unwrap().iter().map(|(n, m)| (number(&m[primary]), n));
        let (best, rival) = best.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        let second = if primary == "rmse" { "r2" } else { "accuracy" };
        let ci = &metrics["test"][primary]["ci95"];
        println!(
            "{name:14} {:>6} rows  {primary} {ours:.4} [{:.4}, {:.4}]  {second} {:.4}  {rival} {best:.4}  {:.1} s",
            ["train", "val", "test"]
                .iter()
                .map(|part| metrics["n_rows"][part].as_u64().unwrap())
                .sum::<u64>(),
            number(&ci[0]),
            number(&ci[1]),
            number(&metrics["test"][second]["value"]),
            number(&metrics["fit_seconds"]),
        );
        if ours > share * theirs {
            failed.push(format!("{name}: {primary} {ours} is above {share} of {constant}'s {theirs}"));
        }
    }
    if !missing.is_empty() {
        let note =
            format!("note: NOT TESTED, as target/tables lacks them: {} (make tables)\n", missing.join(", "));
        std::io::stderr().write_all(note.as_bytes()).unwrap();
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn small_real_tables_are_trained_on_with_no_option_but_the_target() {
    train(&SMALL);
}

#[test]
#[ignore = "takes minutes in a debug build: make tables runs it in release"]
fn large_real_tables_are_trained_on_with_no_option_but_the_target() {
    train(&LARGE);
}
