//! Studies of techniques: planted effects are found, no number of threads changes them, and the command's files.

use crate::cli;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use cli::{call, folder};
use serde_json::Value;
use statera::ablate::{Findings, REFERENCE, State, Study, Trial, Variant, Verdict};
use statera::config::Config;

/// The settings of a small quick network on the table of these tests.
fn settings(folder: &Path, sets: &[&str]) -> Config {
    let mut config = Config::default();
    config.data.path = folder.join("t.csv");
    config.data.target = "y".into();
    let quick =
        ["train.epochs=12", "network.hidden=[8]", "network.dropout=0", "optimizer.learning_rate=0.01"];
    let sets: Vec<String> = quick.iter().chain(sets).map(|set| (*set).to_owned()).collect();
    config.with(&sets).unwrap()
}

fn run(study: &Study, threads: usize) -> Findings {
    study.run(threads, &AtomicBool::new(false), &mut |_| ()).unwrap()
}

fn vary(folder: &Path, sets: &[&str], vary: &[&str], seeds: usize, threads: usize) -> Findings {
    let vary: Vec<String> = vary.iter().map(|v| (*v).to_owned()).collect();
    run(&Study::new(&settings(folder, sets), &vary, &[], seeds).unwrap(), threads)
}

/// What does not depend on the clock.
fn timeless(trials: &[Trial]) -> Vec<Trial> {
    trials.iter().map(|t| Trial { seconds: 0.0, ..t.clone() }).collect()
}

#[test]
fn planted_effects_are_found_and_the_same_gives_exactly_zero() {
    let folder = folder();
    let rates = ["optimizer.learning_rate=0.000001,0.01", "train.batch_size=32"];
    let found = vary(folder.path(), &[], &rates, 4, 2);
    assert_eq!((found.metric, found.trials.len(), found.reference.failed), ("rmse", 16, 0));
    let of = |name: &str| found.effects.iter().find(|e| e.name == name).unwrap();
    let hurt = of("optimizer.learning_rate = 0.000001");
    assert_eq!(hurt.verdict, Verdict::Hurts);
    let d = hurt.difference.unwrap();
    assert!(d.n == 4 && d.mean > 1.0 && d.interval.unwrap()[0] > 0.0, "{d:?}");
    for name in ["optimizer.learning_rate = 0.01", "train.batch_size = 32"] {
        assert_eq!(of(name).verdict, Verdict::NoDifference);
        let d = of(name).difference.unwrap();
        assert_eq!((d.mean, d.interval), (0.0, Some([0.0, 0.0])), "{name}");
    }
    assert_eq!(found.effects.last().unwrap().name, hurt.name, "what hurts most comes last");
    // The other way round it helps: what is the reference is a matter of the settings.
    let found = vary(
        folder.path(),
        &["optimizer.learning_rate=0.000001", "train.epochs=40"],
        &["optimizer.learning_rate=0.01,0.0000011"],
        5,
        2,
    );
    assert_eq!((found.effects[0].verdict, found.effects[0].settings[0].1.as_str()), (Verdict::Helps, "0.01"));
}

/// The figure of a trial is that of the same training by itself, on the rows that chose the epoch.
#[test]
fn a_trial_is_the_training_of_its_settings_and_seed() {
    let folder = folder();
    for (target, metric) in [("y", "rmse"), ("colour", "log_loss")] {
        let sets = ["train", "t.csv", "--target", target, "--quiet", "--set", "train.epochs=5"];
        let study =
            ["ablate", "t.csv", "--target", target, "--seeds", "2", "--set", "train.epochs=5", "--seed", "3"];
        let more = ["--vary", "network.activation=tanh", "--vary", "prepare.scale=robust", "--out", target];
        call(folder.path(), &[&study[..], &more].concat()).done();
        let text = std::fs::read_to_string(folder.path().join(target).join("ablation.csv")).unwrap();
        for (line, more) in [(2, ""), (4, "network.activation=tanh"), (6, "prepare.scale=robust")] {
            let row: Vec<&str> = text.lines().nth(line).unwrap().split(',').collect();
            let mut args = [&sets[..], &["--seed", "4", "--json"]].concat();
            args.extend((!more.is_empty()).then_some(["--set", more]).into_iter().flatten());
            let alone = call(folder.path(), &args).done().json();
            assert_eq!(row[4].parse::<f64>().unwrap(), alone["val"][metric].as_f64().unwrap(), "{row:?}");
            assert_eq!(row[5], alone["epochs_run"].to_string());
        }
    }
}

#[test]
fn the_numbers_are_the_same_on_any_number_of_threads() {
    let folder = folder();
    let sets = ["train.epochs=3", "train.shard_rows=8"];
    let study = Study::new(&settings(folder.path(), &sets), &[], &[], 2).unwrap();
    assert!(study.variants.len() > 12, "{}", study.variants.len());
    assert_eq!(study.variants[0].name, REFERENCE);
    let first = run(&study, 1);
    assert_eq!(first.trials.len(), study.n_trials());
    for threads in [2, 3] {
        let again = run(&study, threads);
        assert_eq!(timeless(&again.trials), timeless(&first.trials));
        let worth = |found: &Findings| -> Vec<_> {
            found.effects.iter().map(|e| (e.name.clone(), e.difference, e.verdict)).collect()
        };
        assert_eq!(worth(&again), worth(&first));
    }
    // Nothing in the built-in list is the reference by another name.
    for variant in &study.variants[1..] {
        assert_ne!(variant.config, study.variants[0].config, "{}", variant.name);
    }
    let names: Vec<&str> = study.variants.iter().map(|v| v.name.as_str()).collect();
    for left_out in ["Xavier weights", "activation relu", "no dropout", "adamw", "squared error as loss"] {
        assert!(!names.contains(&left_out), "{left_out} is what the reference does");
    }
}

/// What fails in training is put on record, and the others are compared all the same.
#[test]
fn a_failing_trial_is_recorded_and_ends_nothing() {
    let folder = folder();
    let sets = ["optimizer.name=sgd", "prepare.target_scale=none", "network.activation=linear"];
    let rates = ["optimizer.learning_rate=0.001,1000"];
    let found = vary(folder.path(), &[&sets[..], &["optimizer.learning_rate=0.0001"]].concat(), &rates, 3, 2);
    let (well, broken) = (&found.effects[0], &found.effects[1]);
    assert_eq!((broken.verdict, broken.group.failed, broken.difference), (Verdict::Fails, 3, None));
    assert_eq!((well.group.failed, well.difference.unwrap().n), (0, 3));
    let failed: Vec<&Trial> = found.trials.iter().filter(|t| t.state == State::Failed).collect();
    assert_eq!(failed.len(), 3);
    for trial in failed {
        assert!(trial.metric.is_none() && trial.reason.contains("not finite"), "{trial:?}");
        assert!(!trial.reason.contains('\n'));
    }
    assert!(found.to_svg().contains(">fails</text>"));
}

/// A trial whose loss blew up later is judged with the weights from before, but is no trial like any other.
#[test]
fn a_trial_that_diverges_is_told_apart() {
    let folder = folder();
    let sets =
        ["optimizer.name=sgd", "train.epochs=30", "train.batch_size=84", "optimizer.learning_rate=0.01"];
    let found = vary(folder.path(), &sets, &["optimizer.learning_rate=0.02,3"], 3, 2);
    let diverged: Vec<&Trial> = found.trials.iter().filter(|t| t.state == State::Diverged).collect();
    assert!(!diverged.is_empty() && diverged.iter().all(|t| t.variant == 2), "{:?}", found.trials);
    let last = found.effects.last().unwrap();
    assert_eq!((last.verdict, last.group.diverged), (Verdict::Diverges, diverged.len()));
    assert!(found.to_svg().contains(&format!("; {} diverged</text>", diverged.len())));
    let json = found.to_json();
    assert_eq!(json["variants"][1]["verdict"], "diverges");
}

#[test]
fn techniques_and_settings_are_named_in_short() {
    let folder = folder();
    let study = |vary: &[&str], only: &[&str]| {
        let [vary, only] =
            [vary, only].map(|words| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        Study::new(&settings(folder.path(), &[]), &vary, &only, 2)
    };
    let names =
        |study: Study| -> Vec<String> { study.variants.into_iter().skip(1).map(|v| v.name).collect() };
    let chosen = names(study(&[], &["dropout", "adam"]).unwrap());
    for name in ["dropout 0.5", "adam", "nadam"] {
        assert!(chosen.iter().any(|n| n == name), "{name}: {chosen:?}");
    }
    assert!(chosen.iter().all(|n| n.contains("dropout") || n.contains("adam")), "{chosen:?}");
    let varied = names(study(&["init=he_normal,orthogonal"], &[]).unwrap());
    assert_eq!(varied, ["network.initializer = he_normal", "network.initializer = orthogonal"]);
    let error = study(&[], &["dropuot"]).unwrap_err().to_string();
    assert!(error.contains("--only dropuot: no built-in technique"), "{error}");
}

#[test]
fn a_study_that_is_stopped_has_the_trials_that_ended() {
    let folder = folder();
    let study = Study::new(&settings(folder.path(), &[]), &["train.batch_size=8,16".into()], &[], 5).unwrap();
    let stop = AtomicBool::new(false);
    let mut told = 0;
    let found = study
        .run(1, &stop, &mut |_| {
            told += 1;
            stop.store(told >= 4, std::sync::atomic::Ordering::SeqCst);
        })
        .unwrap();
    assert!(told >= 4 && found.trials.len() == told && told < 15, "{told} of {}", found.n_wanted);
    assert!(found.trials.iter().all(|t| t.state == State::Done));
    assert_eq!(found.n_wanted, 15);
}

#[test]
fn a_variant_of_other_rows_is_refused() {
    let folder = folder();
    let mut study =
        Study::new(&settings(folder.path(), &[]), &["train.batch_size=8".into()], &[], 2).unwrap();
    let mut config = study.variants[0].config.clone();
    config.split.val = 0.3;
    let variant = Variant { name: "more to watch".into(), settings: Vec::new(), config };
    let error = study.add(variant).unwrap_err().to_string();
    assert!(error.contains("more to watch: it would be judged on other rows"), "{error}");
}

const QUICK: [&str; 8] =
    ["ablate", "t.csv", "--target", "y", "--set", "train.epochs=4", "--set", "network.hidden=[8]"];

#[test]
fn the_command_tells_what_helps_and_keeps_every_trial() {
    let folder = folder();
    let args = [&QUICK[..], &["--seeds", "3", "--threads", "2"]].concat();
    let outcome = call(folder.path(), &args).done();
    let run = folder.path().join("runs/t-ablate-1");
    let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    let json: Value = serde_json::from_str(&read("ablation.json")).unwrap();
    let variants = json["variants"].as_array().unwrap();
    assert!(variants.len() >= 12);
    let shares: Vec<f64> = variants.iter().map(|v| v["share"].as_f64().unwrap()).collect();
    assert!(shares.is_sorted(), "{shares:?}");
    assert_eq!((&json["metric"], &json["task"]), (&"val_rmse".into(), &"regression".into()));
    assert_eq!(json["seeds"], serde_json::json!([0, 1, 2]));
    let mut reader = csv::Reader::from_path(run.join("ablation.csv")).unwrap();
    let header = ["variant", "key", "value", "seed", "val_rmse", "epochs", "seconds", "state", "reason"];
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), header);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), (variants.len() + 1) * 3);
    assert!(rows.iter().all(|r| &r[7] == "done" && r[4].parse::<f64>().is_ok()));
    let svg = read("ablation.svg");
    assert!(svg.starts_with("<svg xmlns=") && svg.trim_end().ends_with("</svg>"));
    assert!(!svg.contains("href") && !svg.contains("NaN") && !svg.contains("inf"));
    for variant in variants {
        let name = variant["name"].as_str().unwrap();
        assert!(svg.contains(&format!(">{name}</text>")), "{name} is not in the figure");
        assert!(outcome.out.contains(&format!("\n  {name}  ")), "{name} is not in the table");
        assert!(rows.iter().filter(|r| &r[0] == name).count() == 3, "{name}");
    }
    for text in [&outcome.out, &outcome.err] {
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "{wide:?}");
    }
    assert!(outcome.err.contains("trials  done in "), "{}", outcome.err);
    assert!(outcome.out.contains("runs/t-ablate-1"));
    // What is kept is a configuration that trains.
    assert!(call(folder.path(), &["config", "--check", "runs/t-ablate-1/config.toml"]).done().err.is_empty());
    // The next study takes the next folder; quiet means quiet; JSON is what is kept.
    let more = ["--seeds", "2", "--quiet", "--json", "--vary", "network.hidden=[4],[4,4]"];
    let outcome = call(folder.path(), &[&QUICK[..], &more].concat()).done();
    assert_eq!(outcome.err, "");
    let kept = std::fs::read_to_string(folder.path().join("runs/t-ablate-2/ablation.json")).unwrap();
    assert_eq!(outcome.json(), serde_json::from_str::<Value>(&kept).unwrap());
    assert_eq!(outcome.json()["variants"].as_array().unwrap().len(), 2);
}

#[test]
fn layers_that_are_listed_are_studied_too() {
    let folder = folder();
    let layers =
        "network.layers=[{type='batch_norm'},{type='dense',units=8,activation='relu'},{type='dropout'}]";
    let args = ["ablate", "t.csv", "--target", "colour", "--seeds", "2", "--json", "--set", "train.epochs=2"];
    let json = call(folder.path(), &[&args[..], &["--set", layers]].concat()).done().json();
    assert_eq!(json["metric"], "val_log_loss");
    let names: Vec<&str> =
        json["variants"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
    for name in
        ["no dropout", "no normalisation", "activation tanh", "double the width", "orthogonal weights"]
    {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    for name in ["target not scaled", "huber as loss", "batch normalisation", "3 hidden layers"] {
        assert!(!names.contains(&name), "{name} does not apply");
    }
}

#[test]
fn a_reference_that_fails_everywhere_is_told() {
    let folder = folder();
    let sets = ["--set", "optimizer.name=sgd", "--set", "optimizer.learning_rate=1000"];
    let more = ["--set", "prepare.target_scale=none", "--set", "network.activation=linear"];
    let rest = ["--seeds", "2", "--vary", "optimizer.learning_rate=0.0001"];
    let outcome = call(folder.path(), &[&QUICK[..], &sets, &more, &rest].concat());
    assert_eq!(outcome.code, 1, "{}", outcome.err);
    assert!(outcome.err.contains("error: the reference itself failed with every seed"), "{}", outcome.err);
    assert!(outcome.err.contains("warning: reference, seed 0: "), "{}", outcome.err);
    let text = std::fs::read_to_string(folder.path().join("runs/t-ablate-1/ablation.csv")).unwrap();
    assert_eq!(text.matches(",failed,").count(), 2, "{text}");
    assert_eq!(text.matches(",done,").count(), 2, "{text}");
}

#[test]
fn a_value_named_twice_is_refused() {
    let folder = folder();
    let args = ["ablate", "t.csv", "--target", "y", "--vary", "init=he_normal,he_normal"];
    let told = call(folder.path(), &args);
    assert_eq!(told.code, 2, "{}", told.err);
    assert!(told.err.contains("he_normal is named twice"), "{}", told.err);
}

#[test]
fn wrong_use_says_what_to_do_and_leaves_nothing() {
    let folder = folder();
    let before = cli::content(folder.path());
    for (more, code, words) in [
        (
            &["--vary", "train.batchsize=16"][..],
            2,
            "--vary train.batchsize=16: unknown key `train.batchsize`",
        ),
        (&["--vary", "train.batchsize=16"], 2, "try: `train.batch_size`"),
        (
            &["--vary", "train.batch_size=16,0"],
            2,
            "--vary train.batch_size=0: `train.batch_size`: out of range",
        ),
        (&["--vary", "network.initializer=he_normal,xavier_unifrm"], 2, "xavier_uniform"),
        (&["--vary", "network.activation"], 2, "expected key=value,value"),
        (&["--vary", "network.activation=relu,"], 2, "try: --vary network.activation=A,B"),
        (&["--vary", "network.activaton"], 2, "try: --vary network.activation=A,B"),
        (&["--vary", "seed=1,2"], 2, "--vary seed: all variants are trained and judged on the same rows"),
        (&["--vary", "split.val=0.1,0.2"], 2, "try: --set split.val=0.1"),
        (&["--vary", "loss.name=binary_crossentropy"], 2, "loss.name = binary_crossentropy: loss.name:"),
        (&["--vary", "train.epochs=5", "--set", "train.epoch=5"], 2, "unknown key `train.epoch`"),
        (&["--seeds", "1"], 2, "try: --seeds 5"),
        (&["--seed", "9223372036854775807"], 2, "beyond the largest seed"),
        (&["--out", "t.csv"], 1, "exists already"),
        (&["--target", "z"], 2, "there is no column `z`"),
    ] {
        let args: Vec<&str> = ["ablate", "t.csv"].into_iter().chain(more.iter().copied()).collect();
        let target: &[&str] = if more.contains(&"--target") { &[] } else { &["--target", "y"] };
        let outcome = call(folder.path(), &[&args[..], target].concat());
        assert!(outcome.err.contains(words), "{more:?}: {}", outcome.err);
        assert_eq!(outcome.code, code, "{more:?}: {}", outcome.err);
        assert_eq!(cli::content(folder.path()), before, "{more:?} left something behind");
    }
}
