//! Held-out rows change no bit of what is fitted: they are poisoned, permuted and taken away, under every kind of split.

use std::path::Path;

use statera::config::Config;
use statera::data::Split;
use statera::model::{Model, Params};
use statera::run::{Folds, Plan, StreamedPlan, budget, execute, streamed_run};
use statera::train::events::{Answer, Event};

const N: usize = 240;
const HEADER: [&str; 9] = ["x", "k", "colour", "born", "patient", "day", "y", "grade", "ward"];

/// The cells of the table, row by row: inputs, some of them missing, a group, a time, a number and classes to predict.
fn table() -> Vec<[String; 9]> {
    let row = |i: usize| {
        let (x, k) = ((i * 37 % 101) as f64 / 10.0, i * 7 % 11);
        let y = 2.0 * x - k as f64 + (i % 5) as f64 / 5.0;
        [
            if i % 13 == 5 { String::new() } else { format!("{x:.1}") },
            k.to_string(),
            ["red", "green", "", "blue"][i * 5 % 4].into(),
            format!("19{:02}-{:02}-{:02}", 50 + i % 40, 1 + i % 12, 1 + i % 28),
            format!("p{}", i * 3 % 40),
            (i * 89 % N / 2).to_string(),
            format!("{y:.2}"),
            ["low", "high"][usize::from(y > 4.0)].into(),
            // Nothing can be learned of it, unless held-out rows say otherwise.
            "west".into(),
        ]
    };
    (0..N).map(row).collect()
}

fn csv(header: &[&str], rows: &[Vec<String>]) -> String {
    rows.iter().fold(header.join(",") + "\n", |text, row| text + &row.join(",") + "\n")
}

fn plain(rows: &[[String; 9]]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.to_vec()).collect()
}

/// The settings of a short training on the table at `path`; which of the columns is predicted, the other being no input.
fn config(path: &Path, target: &str, sets: &[&str]) -> Config {
    let other = if target == "y" { "grade" } else { "y" };
    let mut all = vec!["network.hidden=[8]".to_owned(), "train.epochs=3".to_owned()];
    all.extend([format!("data.columns.{other}.drop=true"), "evaluate.bootstrap=0".to_owned()]);
    // A column that a split looks at is poisoned in no test, and so is no input either.
    for column in ["patient", "day"].iter().filter(|column| !sets.iter().any(|set| set.ends_with(*column))) {
        all.push(format!("data.columns.{column}.drop=true"));
    }
    all.extend(sets.iter().map(|set| (*set).to_owned()));
    let mut config = Config::load(None, &all).unwrap();
    (config.data.path, config.data.target) = (path.to_owned(), target.to_owned());
    config
}

/// Everything that is fitted, to the bit: preparation, scale of the target, layers and parameters.
#[derive(Debug, PartialEq)]
struct Fitted {
    prepared: String,
    params: Vec<u32>,
}

fn fitted(model: &Model) -> Fitted {
    let card = &model.card;
    // Of columns that are left out the name alone: a table on disk tells by all rows that all of their cells are the same.
    let columns = card.schema.columns.iter().filter(|c| c.dropped.as_deref() != Some("as set"));
    let columns: Vec<_> = columns.map(|c| c.dropped.as_ref().map_or(Ok(c), |_| Err(&c.name))).collect();
    let parts = (&card.pipeline, &card.target, &card.layers, columns);
    let Params::F32(params) = &model.params else { panic!("trained in f32") };
    let params = params.iter().map(|p| p.to_bits()).collect();
    Fitted { prepared: serde_json::to_string(&parts).unwrap(), params }
}

/// Trains on this table; what comes of it, and the split.
fn trained(folder: &Path, text: &str, target: &str, sets: &[&str]) -> (Fitted, Split) {
    let path = folder.join("t.csv");
    std::fs::write(&path, text).unwrap();
    let plan = Plan::new(config(&path, target, sets)).unwrap();
    let model = execute(&plan, &mut |_: &Event| Answer::GoOn).unwrap().model;
    (fitted(&model), (*plan.split).clone())
}

/// What is put into held-out rows.
#[derive(Debug, Clone, Copy)]
enum Poison {
    /// Numbers, dates and categories like no others.
    Values,
    /// Words among numbers and dates, a category that never repeats, and a column that is constant no more: what would
    /// make the columns of other kinds, or fit to be learned from, or not.
    Kinds,
}

/// The table with the inputs of `rows` replaced, and where `targets` says so what is predicted.
fn poisoned(rows: &[u32], targets: bool, poison: Poison) -> Vec<[String; 9]> {
    let mut table = table();
    for row in rows.iter().map(|&row| row as usize) {
        let cells = &mut table[row];
        let k = if row % 2 == 0 { String::new() } else { "1e6".into() };
        let inputs = match poison {
            Poison::Values => {
                ["-77777".into(), k, format!("poison {}", row % 3), "2099-12-31".into(), "west".into()]
            }
            Poison::Kinds => ["many", "some", "poison", "born", "ward"].map(|word| format!("{word} {row}")),
        };
        for (at, cell) in [0, 1, 2, 3, 8].into_iter().zip(inputs) {
            cells[at] = cell;
        }
        if targets {
            cells[6] = format!("{}", 1e5 + row as f64);
            cells[7] = if cells[7] == "low" { "high" } else { "low" }.into();
        }
    }
    table
}

/// The table with the cells of `rows` handed on from one of them to the next, but for those that the split looks at,
/// among which are the targets or not.
fn permuted(rows: &[u32], targets: bool) -> Vec<[String; 9]> {
    let from = table();
    let mut to = from.clone();
    let cells = if targets { &[0, 1, 2, 3, 6, 7][..] } else { &[0, 1, 2, 3] };
    for (i, &row) in rows.iter().enumerate() {
        let other = rows[(i + 1) % rows.len()] as usize;
        for &cell in cells {
            to[row as usize][cell].clone_from(&from[other][cell]);
        }
    }
    to
}

/// Settings of a split and of what is fitted, and whether the split looks at no target, so that targets can be poisoned as
/// well.
const SPLITS: [(&[&str], bool); 9] = [
    (&["split.stratify=false"], true),
    // The steps that look beyond their column: at the target, and at other rows.
    (
        &[
            "prepare.categories=['target', 'standard']",
            "prepare.impute=knn",
            "prepare.scale=quantile",
            "split.stratify=false",
        ],
        true,
    ),
    // What has a vocabulary or bins of its own, and rare categories.
    (&["embedding.categories=embedding", "embedding.numeric=ple", "split.stratify=false"], true),
    (
        &[
            "prepare.max_categories=2",
            "prepare.scale=yeo_johnson",
            "prepare.impute=mean",
            "split.stratify=false",
        ],
        true,
    ),
    (&[], false),
    (&["split.group=patient", "split.stratify=false"], true),
    (&["split.group=patient"], false),
    (&["split.time=day"], true),
    (&["split.column=part"], true),
];

/// With this training, validation rows choose nothing.
const NO_CHOICE: [&str; 3] =
    ["early_stopping.enabled=false", "reduce_on_plateau.enabled=false", "checkpoint.restore_best=false"];

#[test]
fn test_rows_change_no_bit_and_validation_rows_none_of_what_is_fitted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (sets, any_target) in SPLITS {
        for target in ["y", "grade"] {
            let by_column = sets == ["split.column=part"];
            let with_parts = |rows: Vec<[String; 9]>| {
                if !by_column {
                    return csv(&HEADER, &plain(&rows));
                }
                let part = |i: usize| ["train", "train", "train", "val", "test"][i * 7 % 5].to_owned();
                let rows: Vec<Vec<String>> = plain(&rows)
                    .into_iter()
                    .enumerate()
                    .map(|(i, row)| [row, vec![part(i)]].concat())
                    .collect();
                csv(&[&HEADER[..], &["part"]].concat(), &rows)
            };
            let (honest, split) = trained(folder, &with_parts(table()), target, sets);
            assert!(split.test.len() > 20 && split.val.len() > 20);
            for table in [
                poisoned(&split.test, any_target, Poison::Values),
                poisoned(&split.test, any_target, Poison::Kinds),
                permuted(&split.test, any_target),
            ] {
                let (found, same) = trained(folder, &with_parts(table), target, sets);
                assert_eq!(same, split, "{sets:?}");
                assert_eq!(found, honest, "{sets:?} {target}: test rows");
            }
            let fixed = [sets, &NO_CHOICE].concat();
            let (honest, _) = trained(folder, &with_parts(table()), target, &fixed);
            let held_out = [&split.val[..], &split.test].concat();
            for poison in [Poison::Values, Poison::Kinds] {
                let table = with_parts(poisoned(&held_out, any_target, poison));
                let (found, same) = trained(folder, &table, target, &fixed);
                assert_eq!(same, split, "{sets:?}");
                assert_eq!(found, honest, "{sets:?} {target}: validation and test rows, {poison:?}");
            }
            // The test would see it: a single training cell changes the fit.
            let one = poisoned(&split.train.rows()[..1], false, Poison::Values);
            let (changed, _) = trained(folder, &with_parts(one), target, &fixed);
            assert_ne!(changed, honest);
        }
    }
}

/// What only some tasks have: curves of the target, weights of classes, rows that are made of others.
#[test]
fn nor_do_they_change_what_is_fitted_to_the_target() {
    let folder = tempfile::tempdir().unwrap();
    for (target, set) in [
        ("y", "prepare.target_scale=quantile"),
        ("y", "prepare.target_scale=yeo_johnson"),
        ("grade", "loss.class_weights=balanced"),
        ("grade", "imbalance.kind=smote_nc"),
        ("grade", "imbalance.kind=undersample"),
    ] {
        let sets = [&["split.stratify=false", set][..], &NO_CHOICE].concat();
        let (honest, split) = trained(folder.path(), &csv(&HEADER, &plain(&table())), target, &sets);
        let held_out = [&split.val[..], &split.test].concat();
        let (found, same) = trained(
            folder.path(),
            &csv(&HEADER, &plain(&poisoned(&held_out, true, Poison::Values))),
            target,
            &sets,
        );
        assert_eq!(same, split, "{set}");
        assert_eq!(found, honest, "{set}");
        let (other, _) = trained(
            folder.path(),
            &csv(&HEADER, &plain(&table())),
            target,
            &[&sets[..1], &sets[2..]].concat(),
        );
        assert_ne!(other, honest, "{set} does something");
    }
}

/// Whatever cut the rows, the same cut written into a column makes the same model, and there rows can be taken away.
#[test]
fn a_model_is_the_same_without_its_test_rows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (sets, _) in SPLITS.iter().filter(|(sets, _)| *sets != ["split.column=part"]) {
        // Both columns that splits look at are no inputs, so that the models can be the same.
        let drops = ["data.columns.patient.drop=true", "data.columns.day.drop=true"];
        let grouped = sets.contains(&"split.group=patient");
        let own: Vec<&str> =
            sets.iter().copied().chain(drops.into_iter().skip(usize::from(grouped))).collect();
        let (honest, split) = trained(folder, &csv(&HEADER, &plain(&table())), "y", &own);
        let part = |row: usize| {
            let is_in = |rows: &[u32]| rows.contains(&(row as u32));
            if is_in(&split.test) {
                "test"
            } else if is_in(&split.val) {
                "val"
            } else {
                "train"
            }
        };
        let rows = |keep: &dyn Fn(usize) -> bool| -> Vec<Vec<String>> {
            let rows = plain(&table()).into_iter().enumerate().filter(|(row, _)| keep(*row));
            rows.map(|(row, cells)| [cells, vec![part(row).to_owned()]].concat()).collect()
        };
        let header = [&HEADER[..], &["part"]].concat();
        let steps: Vec<&str> = sets.iter().copied().filter(|set| !set.starts_with("split.")).collect();
        let by_column = [&["split.column=part"][..], &drops, &steps].concat();
        let whole = trained(folder, &csv(&header, &rows(&|_| true)), "y", &by_column).0;
        let without = trained(folder, &csv(&header, &rows(&|row| part(row) != "test")), "y", &by_column);
        assert_eq!(whole, honest, "{sets:?}");
        assert_eq!(without.0, honest, "{sets:?}");
        assert!(without.1.test.is_empty());
        // Nor does it need its validation rows, where they choose nothing: all but a few are taken away.
        let fixed = [&by_column[..], &NO_CHOICE].concat();
        let whole = trained(folder, &csv(&header, &rows(&|_| true)), "y", &fixed).0;
        let fewer = |row: usize| part(row) == "train" || (part(row) == "val" && row.is_multiple_of(4));
        let (found, left) = trained(folder, &csv(&header, &rows(&fewer)), "y", &fixed);
        assert!((2..split.val.len() / 2).contains(&left.val.len()));
        assert_eq!(found, whole, "{sets:?}: without most validation rows");
    }
}

/// What is predicted follows from training rows as well, or it is asked for.
#[test]
fn held_out_targets_do_not_say_what_the_task_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let part = |i: usize| ["train", "train", "train", "val", "test"][i % 5];
    let plan = |target: &dyn Fn(usize) -> String, sets: &[&str]| {
        let rows = (0..N).map(|i| format!("{},{},{}\n", i * 37 % 101, part(i), target(i)));
        std::fs::write(&path, "x,part,y\n".to_owned() + &rows.collect::<String>()).unwrap();
        let sets: Vec<String> =
            [&["split.column=part"][..], sets].concat().iter().map(|s| (*s).to_owned()).collect();
        let mut config = Config::load(None, &sets).unwrap();
        (config.data.path, config.data.target) = (path.clone(), "y".into());
        Plan::new(config)
    };
    // Ten whole numbers among training rows, which are classes; held-out rows have many more.
    let counts = |i: usize| if part(i) == "train" { i % 10 } else { i }.to_string();
    let error = plan(&counts, &[]).unwrap_err().to_string();
    assert!(error.contains("--task regression, or --task multiclass"), "{error}");
    plan(&counts, &["task=regression"]).unwrap();
    // Two classes among training rows, a third among the others.
    let class = |i: usize| {
        if part(i) == "train" { ["a", "b"][i / 5 % 2] } else { ["a", "b", "c"][i / 5 % 3] }.to_owned()
    };
    let error = plan(&class, &[]).unwrap_err().to_string();
    assert!(error.contains("its class is in no row that column `part` gives to `train`"), "{error}");
}

/// A class that no training row has would be an output all the same.
#[test]
fn a_class_that_only_held_out_rows_have_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let class = |i: usize| if i % 80 == 7 { "rare" } else { ["a", "b"][i % 2] };
    let rows = (0..N).map(|i| format!("{},{}\n", i * 37 % 101, class(i)));
    std::fs::write(&path, "x,y\n".to_owned() + &rows.collect::<String>()).unwrap();
    let mut refused = 0;
    for seed in 0..200 {
        let mut config =
            Config::load(None, &[format!("seed={seed}"), "split.stratify=false".into()]).unwrap();
        (config.data.path, config.data.target) = (path.clone(), "y".into());
        match Plan::new(config) {
            Ok(plan) => {
                assert!(
                    plan.split.train.rows().iter().any(|&row| class(row as usize) == "rare"),
                    "seed {seed}"
                );
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("no training row is of the class `rare` of `y`"), "{error}");
                assert!(error.contains("--set split.stratify=true"), "{error}");
                refused += 1;
            }
        }
    }
    assert!((1..40).contains(&refused), "{refused}");
}

/// Cells on disk were typed by all rows; training rows say the rest, or are asked about.
#[test]
fn nor_do_held_out_rows_change_a_model_whose_rows_are_read_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (path, cache) = (folder.path().join("t.csv"), folder.path().join("cache"));
    let part = |i: usize| ["train", "train", "train", "val", "test"][i * 7 % 5];
    let held_out: Vec<u32> = (0..N as u32).filter(|&row| part(row as usize) != "train").collect();
    let train = |table: &[[String; 9]], more: &[&str]| {
        let rows = plain(table).into_iter().enumerate();
        let rows: Vec<_> = rows.map(|(i, row)| [row, vec![part(i).to_owned()]].concat()).collect();
        std::fs::write(&path, csv(&[&HEADER[..], &["part"]].concat(), &rows)).unwrap();
        let sets = ["split.column=part", "data.stream=always", "evaluate.baselines=false"];
        let mut config = config(&path, "y", &[&sets[..], &NO_CHOICE, more].concat());
        config.data.cache.clone_from(&cache);
        let why = budget::streamed(&config).unwrap().unwrap();
        let plan = StreamedPlan::new(config, &why, &mut |_| ())?;
        Ok(fitted(&streamed_run::execute(&plan, &mut |_: &Event| Answer::GoOn, None)?.model))
    };
    let honest: statera::Result<Fitted> = train(&table(), &[]);
    let honest = honest.unwrap();
    assert_eq!(train(&poisoned(&held_out, true, Poison::Values), &[]).unwrap(), honest);
    // A column that varies among held-out rows alone: all rows would have kept it.
    let mut wards = table();
    held_out.iter().for_each(|&row| wards[row as usize][8] = ["north", "south"][row as usize % 2].into());
    assert_eq!(train(&wards, &[]).unwrap(), honest);
    // All rows make texts or categories of what is categories or numbers among training rows: the user is asked.
    for (at, column, kinds) in [(2, "colour", ["text", "category"]), (1, "k", ["category", "number"])] {
        let mut odd = table();
        for &row in &held_out {
            odd[row as usize][at] = if at == 2 { format!("poison {row}") } else { format!("w{}", row % 4) };
        }
        let error = train(&odd, &[]).unwrap_err().to_string();
        let sets = kinds.map(|kind| format!("--set data.columns.{column}.kind={kind}")).join(", or ");
        assert!(error.contains(&sets), "{error}");
        if at == 2 {
            let set = "data.columns.colour.kind=category";
            assert_eq!(train(&odd, &[set]).unwrap(), train(&table(), &[set]).unwrap());
        }
    }
    // Nor do they say whether the day or the month stands first.
    let mut dates = table();
    for (i, cells) in dates.iter_mut().enumerate() {
        cells[3] = format!("{:02}/{:02}/2024", 1 + i % 12, 1 + i * 7 % 12);
    }
    dates[held_out[0] as usize][3] = "13/01/2024".into();
    let error = train(&dates, &[]).unwrap_err().to_string();
    assert!(error.contains("--set data.columns.born.format=day_first, or "), "{error}");
}

/// Where a column says the test rows, bands of numbers are those of the other rows: for validation rows that are drawn, and
/// for folds.
#[test]
fn targets_of_test_rows_steer_neither_draws_nor_folds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let test: Vec<u32> = (0..N as u32).filter(|row| row % 5 == 2).collect();
    let config_of = |table: &[[String; 9]], more: &[&str]| {
        let part = |i: usize| if test.contains(&(i as u32)) { "test" } else { "train" }.to_owned();
        let rows = plain(table).into_iter().enumerate();
        let rows: Vec<_> = rows.map(|(i, row)| [row, vec![part(i)]].concat()).collect();
        std::fs::write(&path, csv(&[&HEADER[..], &["part"]].concat(), &rows)).unwrap();
        config(&path, "y", &[&["split.column=part"], more].concat())
    };
    let poisoned = poisoned(&test, true, Poison::Kinds);
    let single = |table: &[[String; 9]]| {
        let plan = Plan::new(config_of(table, &[])).unwrap();
        assert!(plan.split.val.len() > 20);
        fitted(&execute(&plan, &mut |_: &Event| Answer::GoOn).unwrap().model)
    };
    assert_eq!(single(&poisoned), single(&table()));
    let folds = |table: &[[String; 9]]| {
        let folds = Folds::new(config_of(table, &["split.folds=3"])).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let (done, _) = folds.run(1, None, &stop, &mut |_| ()).unwrap().unwrap();
        done.bag.members.iter().map(fitted).collect::<Vec<_>>()
    };
    assert_eq!(folds(&poisoned), folds(&table()));
}
