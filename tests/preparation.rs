//! The steps of preparation from outside: trained with, saved, predicted by, and refused where they cannot be.

use crate::cli;
use std::fmt::Write as _;
use std::path::Path;

use cli::cases::{case, check, rows, with};
use cli::{call, quick};
use serde_json::Value;

/// A folder with `t.csv`: numbers with missing cells and a skew, a category of many levels, a date, a skewed target `y`,
/// and the classes `yes` and `grade` of it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "x,sum,town,day,y,yes,grade\n".to_owned();
    for i in 0..240_u32 {
        let x = f64::from(i * 37 % 101) / 25.0;
        let town = i * 13 % 29;
        let y = (x + f64::from(town % 5) / 2.0).exp();
        let sum = (f64::from(i * 7 % 31) / 3.0).exp() - 1.0;
        let x = if i % 11 == 3 { String::new() } else { format!("{x:.2}") };
        let grade = ["low", "middle", "high"][usize::from(y > 8.0) + usize::from(y > 40.0)];
        let yes = if y > 15.0 { "yes" } else { "no" };
        writeln!(text, "{x},{sum:.1},t{town},2024-{:02}-{:02},{y:.3},{yes},{grade}", i % 12 + 1, i % 28 + 1)
            .unwrap();
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    folder
}

/// Trains with these settings, predicts the table and measures on it: what was told, the metrics, the predictions.
fn trained(folder: &Path, target: &str, name: &str, sets: &[&str]) -> (String, Value, Vec<String>) {
    let others = ["y", "yes", "grade"].map(|other| format!("data.columns.{other}.drop=true"));
    let mut more = vec!["--out", name];
    for drop in others.iter().filter(|drop| !drop.contains(&format!(".{target}."))) {
        more.extend(["--set", drop]);
    }
    more.extend(sets.iter().flat_map(|set| ["--set", set]));
    let told = call(folder, &quick("t.csv", target, &more)).done().err;
    let evaluated = call(folder, &["evaluate", name, "t.csv", "--json"]).done().json();
    let predicted = call(folder, &["predict", name, "t.csv"]).done().out;
    (told, evaluated, predicted.lines().skip(1).map(str::to_owned).collect())
}

#[test]
fn every_step_trains_predicts_and_tells_itself() {
    let folder = folder();
    let lists: [(&[&str], &[&str]); 5] = [
        (
            &[
                r#"data.columns.sum.steps=["winsorize", "log", "standard"]"#,
                "data.columns.town.encode=target",
            ],
            &["numbers", "`sum` has its own", "`town` has its own"],
        ),
        (
            &["prepare.scale=quantile", "prepare.impute=knn"],
            &["knn, quantile", "as prepare.impute and prepare.scale say"],
        ),
        (
            &["prepare.scale=yeo_johnson", "prepare.max_categories=6"],
            &[
                "yeo_johnson, standard",
                "rare, one_hot",
                "24 of 29 of `town`",
                "--set prepare.max_categories=0",
            ],
        ),
        (
            &[r#"prepare.categories=[{step="rare", min_frequency=3}, "target", "standard"]"#],
            &["rare, target, standard", "as prepare.categories says"],
        ),
        (
            &[
                r#"prepare.categories=[{step="hashing", n_buckets=6}]"#,
                "data.columns.day.scale=min_max",
                "prepare.dates=['days', 'hour', 'weekday_cycle']",
            ],
            &["hashing"],
        ),
    ];
    for (i, (sets, words)) in lists.into_iter().enumerate() {
        for target in ["y", "yes", "grade"] {
            let (told, _, predicted) = trained(folder.path(), target, &format!("r{i}{target}"), sets);
            assert_eq!(predicted.len(), 240);
            // Told lines are wrapped.
            let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
            for word in words {
                assert!(told.contains(word), "{sets:?}: lacks {word}: {told}");
            }
        }
    }
}

#[test]
fn a_skewed_target_is_told_and_comes_back_from_its_curve() {
    let folder = folder();
    let (told, _, _) = trained(folder.path(), "y", "plain", &[]);
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("it is skewed (") && told.contains("--set prepare.target_scale=log"), "{told}");
    let truth = std::fs::read_to_string(folder.path().join("t.csv")).unwrap();
    let truth: Vec<f64> =
        truth.lines().skip(1).map(|l| l.split(',').nth(4).unwrap().parse().unwrap()).collect();
    for scale in ["log", "yeo_johnson", "quantile"] {
        let set = format!("prepare.target_scale={scale}");
        let (told, measured, predicted) = trained(folder.path(), "y", scale, &[&set]);
        assert!(told.contains("metrics are in its own unit") || told.contains("metrics are"), "{told}");
        let predicted: Vec<f64> = predicted.iter().map(|p| p.parse().unwrap()).collect();
        let squares: f64 = predicted.iter().zip(&truth).map(|(p, t)| (p - t).powi(2)).sum();
        let rmse = (squares / truth.len() as f64).sqrt();
        let told = measured["metrics"]["rmse"]["value"].as_f64().unwrap_or_else(|| panic!("{measured}"));
        assert!((told / rmse - 1.0).abs() < 1e-9, "{scale}: {told} is not {rmse}");
        let history = std::fs::read_to_string(folder.path().join(scale).join("history.csv")).unwrap();
        assert!(history.lines().next().unwrap().contains("val_rmse"));
        // A cell far beyond all training rows moves a prediction no further than half the range of the target.
        let far = "x,sum,town,day\n1e9,1e12,t1,2024-01-01\n-1e9,0,t2,2024-01-01\n";
        std::fs::write(folder.path().join("far.csv"), far).unwrap();
        let far = call(folder.path(), &["predict", scale, "far.csv"]).done().out;
        let (low, high) = truth.iter().fold((f64::MAX, f64::MIN), |(l, h), t| (l.min(*t), h.max(*t)));
        for p in far.lines().skip(1).map(|p| p.parse::<f64>().unwrap()) {
            assert!(p >= low - 0.5 * (high - low) && p <= high + 0.5 * (high - low), "{scale}: {p}");
        }
    }
}

/// Without this, target encoding would hand the network the target of every row of its own: with a level a row, or
/// nearly, the training loss would fall to nothing and the validation loss rise.
#[test]
fn target_encoding_does_not_hand_over_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let noise = |i: usize| ((i as f64 * 12.9898).sin() * 43_758.545_3).fract().abs();
    // Two rows a level, in the random order of 0..300; nothing can be learned.
    let text = rows("id,y", 600, |i| format!("c{},{:.4}", i * 211 % 600 % 300, noise(i)));
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let sets = ["--set", "data.columns.id.kind=category", "--set", "data.columns.id.encode=target"];
    let more = [&sets[..], &["--set", "train.epochs=40", "--out", "run", "--json"]].concat();
    call(folder.path(), &quick("t.csv", "y", &more)).done();
    let history = std::fs::read_to_string(folder.path().join("run/history.csv")).unwrap();
    let mut lines = history.lines();
    let at = lines.next().unwrap().split(',').position(|name| name == "train_loss").unwrap();
    let last: f64 = lines.next_back().unwrap().split(',').nth(at).unwrap().parse().unwrap();
    // The target has variance 1 as it is scaled; encoded by itself it would be explained in half at least.
    assert!(last > 0.85, "{last}: training rows know more than there is to know");
}

#[test]
fn settings_that_make_no_sense_say_what_would() {
    let steps = |name, list, words| {
        with(
            "f.toml",
            format!("[data]\ncolumns.{list}\n"),
            name,
            "train t.csv --target y --config f.toml",
            2,
            words,
        )
    };
    check([
        steps(
            "an unknown step",
            "x.steps = ['winsorise']",
            &["step 1: unknown step \"winsorise\"", "step = \"winsorize\""],
        ),
        steps("no step", "x.steps = [3]", &["step 1: expected a step's name or a table, got 3"]),
        steps("no list", "x.steps = 'log'", &["expected a list of steps", "steps = [\"log\"]"]),
        steps(
            "quantiles that are swapped",
            "x.steps = [{ step = 'winsorize', low = 0.99, high = 0.01 }]",
            &["step 1 (winsorize): `low` = 0.99 is not below `high` = 0.01", "low = 0.01, high = 0.99"],
        ),
        steps(
            "a quantile above 1",
            "x.steps = [{ step = 'winsorize', high = 1.5 }]",
            &["`high`: out of range: expected a number from 0 to 1, got 1.5", "high = 0.99"],
        ),
        steps(
            "no buckets",
            "colour.steps = [{ step = 'hashing', n_buckets = 0 }]",
            &["`n_buckets`: out of range: expected a whole number from 2 to 65536, got 0", "n_buckets = 16"],
        ),
        steps(
            "a setting of another step",
            "x.steps = [{ step = 'log', low = 0.1 }]",
            &["unknown key `low`", "signed"],
        ),
        steps(
            "imputed twice",
            "x.steps = ['mean', 'median']",
            &["step 2 (median)", "no cell missing", "leave median out"],
        ),
        steps(
            "neighbours late",
            "x.steps = ['log', 'knn']",
            &["step 2 (knn)", "comes first", "[\"knn\", \"log\"]"],
        ),
        steps(
            "rare too late",
            "colour.steps = ['one_hot', 'rare']",
            &["after one_hot there are no categories"],
        ),
        steps(
            "rare and hashed",
            "colour.steps = ['rare', 'hashing']",
            &["hashing takes rare categories as it takes"],
        ),
        steps(
            "rare alone",
            "colour.steps = ['rare']",
            &["no step that makes numbers of categories", "\"rare\", \"one_hot\""],
        ),
        steps(
            "nothing is rare",
            "colour.steps = [{ step = 'rare', min_frequency = 0 }, 'one_hot']",
            &["no category is rare"],
        ),
        steps(
            "a scale of inputs",
            "colour.steps = ['one_hot', 'standard']",
            &["which have no scale", "ordinal, count or target"],
        ),
        steps(
            "a scale of names",
            "colour.steps = ['standard', 'ordinal']",
            &["a category is no number before ordinal"],
        ),
        steps(
            "encoded twice",
            "colour.steps = ['ordinal', 'one_hot']",
            &["encoded already", "leave one_hot out"],
        ),
        steps(
            "a mean of names",
            "colour.steps = ['mean', 'ordinal']",
            &["only the most frequent can fill in"],
        ),
        steps(
            "two ways at once",
            "x = { steps = ['log'], scale = 'robust' }",
            &["`data.columns.x.scale` = \"robust\"", "leave"],
        ),
        steps(
            "an encoding of a number",
            "x.steps = ['target']",
            &["column `x` is no category, which target encodes"],
        ),
        steps(
            "a scale of a category",
            "colour.steps = ['log']",
            &["no step that makes numbers of categories"],
        ),
        steps("a column that is not there", "z.steps = ['log']", &["there is no column `z`"]),
        with(
            "f.csv",
            rows("x,y", 60, |i| format!("{},{i}.25", if i == 17 { -2.5 } else { i as f64 })),
            "a logarithm of what is below 0",
            "train f.csv --target y --set split.test=0 --set split.val=0.1 --set 'data.columns.x.steps=[\"log\"]'",
            2,
            &["data.columns.x.steps, step log: row 18 holds -2.5", "signed = true"],
        ),
        case(
            "a list of numbers for categories",
            "train t.csv --target y --set 'prepare.numbers=[\"one_hot\"]'",
            2,
            &["`prepare.numbers`: one_hot is a step of categories", "prepare.categories = [\"one_hot\"]"],
        ),
        case(
            "a short form beside its list",
            "train t.csv --target y --set 'prepare.numbers=[\"log\"]' --set prepare.scale=robust",
            2,
            &["`prepare.scale` = \"robust\" has no effect", "which takes its place"],
        ),
        case(
            "an imputation that has no say",
            "train t.csv --target y --set 'prepare.numbers=[\"median\",\"log\"]' --set prepare.impute=mean",
            2,
            &["`prepare.impute` = mean has no effect", "prepare.numbers says how missing cells"],
        ),
        case(
            "more folds than rows",
            "train t.csv --target y --set 'data.columns.colour.steps=[{step=\"target\",folds=100}]'",
            2,
            &["84 training rows cannot be dealt out to 100 folds", "folds = 2"],
        ),
        case(
            "a curve for classes",
            "train t.csv --target colour --set prepare.target_scale=log",
            2,
            &["prepare.target_scale = log: column `colour` is a class", "--task regression"],
        ),
    ]);
}
