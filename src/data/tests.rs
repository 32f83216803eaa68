//! The whole way from bytes to a matrix: against scikit-learn, without leaks, without panics.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::read::parse_csv;
use super::table::MISSING;
use super::*;
use crate::Result;
use crate::config::steps::STEPS;
use crate::config::{Config, Impute, NumericEmbedding, Scale};

fn raw(text: &str) -> RawTable {
    parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default()).unwrap()
}

fn schema_of(raw: &RawTable) -> Schema {
    infer_schema(raw, &BTreeMap::new(), &BTreeSet::new()).unwrap()
}

fn insurance() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/insurance.csv");
    std::fs::read_to_string(path).unwrap()
}

fn options(sets: &[&str]) -> PipelineOptions {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    PipelineOptions::of(&Config::default().with(&sets).unwrap())
}

/// Categories as codes, numbers as places among bins.
const EMBEDDED: [&str; 2] = ["embedding.categories=embedding", "embedding.numeric=ple"];

#[derive(serde::Deserialize)]
struct Golden {
    train: usize,
    rows: Vec<RowIdx>,
    edits: Vec<(usize, String, String)>,
    cases: Vec<GoldenCase>,
}

#[derive(serde::Deserialize)]
struct GoldenCase {
    impute: Impute,
    scale: Scale,
    matrix: Vec<Vec<f64>>,
}

#[test]
fn the_matrix_is_that_of_scikit_learn() {
    let golden: Golden = serde_json::from_str(include_str!("../../tests/golden/pipeline.json")).unwrap();
    let text = insurance();
    let mut lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    for (row, column, cell) in &golden.edits {
        let column = lines[0].iter().position(|name| name == column).unwrap();
        lines[row + 1][column] = cell;
    }
    let lines: Vec<String> = lines.into_iter().map(|cells| cells.join(",")).collect();
    let raw = raw(&lines.join("\n"));
    let table = Table::from_raw(&raw, &schema_of(&raw).without(&["charges"])).unwrap();
    let train = TrainRows::for_test((0..golden.train as RowIdx).collect());
    assert_eq!(golden.cases.len(), 3);
    for case in golden.cases {
        let options =
            options(&[&format!("prepare.scale={}", case.scale), &format!("prepare.impute={}", case.impute)]);
        let pipeline = Pipeline::fit(&table, &train, &options).unwrap();
        let (matrix, notes) = pipeline.transform(&table, &golden.rows).unwrap();
        let expected: Vec<f64> = case.matrix.into_iter().flatten().collect();
        assert_eq!(matrix.len(), expected.len());
        for (i, (a, b)) in matrix.iter().zip(&expected).enumerate() {
            assert!((a - b).abs() < 1e-9, "{i}: {a} is not {b} ({:?}, {:?})", case.scale, case.impute);
        }
        let region = notes.columns.iter().find(|notes| notes.column == "region").unwrap();
        assert_eq!((region.unseen, region.examples.as_slice()), (1, ["atlantis".to_owned()].as_slice()));
        assert_eq!(notes.columns.iter().find(|notes| notes.column == "bmi").unwrap().missing, 2);
    }
}

#[test]
fn the_insurance_table_has_eleven_inputs() {
    let raw = raw(&insurance());
    assert_eq!(raw.sha256, "388eff679557d08ac19f463d025de5e0b4adc482537c8456d19934d78621fd47");
    let (task, reason) = infer_task(&raw, "charges", None).unwrap();
    assert_eq!(task, TaskKind::Regression, "{reason}");
    let labels = Labels::for_training(&raw, "charges", task).unwrap();
    let split = Split::random(&labels.rows, None, 0.15, 0.15, 0).unwrap();
    assert_eq!((split.train.rows().len(), split.val.len(), split.test.len()), (936, 201, 201));
    let schema = schema_of(&raw);
    let children = schema.get("children").unwrap();
    assert_eq!(children.kind, ColumnKind::Number);
    assert!(children.reason.contains("all 1,338 cells are numbers, 6 different"), "{}", children.reason);
    let table = Table::from_raw(&raw, &schema.without(&["charges"])).unwrap();
    let options = options(&["prepare.scale=min_max"]);
    let pipeline = Pipeline::fit(&table, &split.train, &options).unwrap();
    let names: Vec<&str> = pipeline.features().iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "age",
            "sex=female",
            "sex=male",
            "bmi",
            "children",
            "smoker=no",
            "smoker=yes",
            "region=northeast",
            "region=northwest",
            "region=southeast",
            "region=southwest"
        ]
    );
    let (matrix, notes) = pipeline.transform(&table, split.train.rows()).unwrap();
    assert_eq!(matrix.len(), 936 * 11);
    assert!(matrix.iter().all(|x| (0.0..=1.0).contains(x)));
    assert_eq!(notes, TransformNotes::default());
    // A saved pipeline is the same to the last bit.
    let saved = serde_json::to_string(&pipeline).unwrap();
    assert_eq!(serde_json::from_str::<Pipeline>(&saved).unwrap(), pipeline);
}

/// A table of numbers, categories and dates, some missing: forty rows to train on, then others.
fn table_with(held_out: &[String]) -> (String, Vec<RowIdx>) {
    let mut text = String::from("n,c,d\n");
    for i in 0..40 {
        let n = if i % 7 == 0 { String::new() } else { format!("{}", (i * i % 31) as f64 / 8.0) };
        let c = ["x", "y", "", "z"][i % 4];
        writeln!(text, "{n},{c},2024-{:02}-{:02}", i % 12 + 1, i % 28 + 1).unwrap();
    }
    for row in held_out {
        text += row;
        text.push('\n');
    }
    (text, (0..40).collect())
}

#[test]
fn held_out_rows_do_not_change_a_bit_of_the_pipeline() {
    let honest: Vec<String> =
        (0..12).map(|i| format!("{i},{},2025-01-{:02}", ["x", "w"][i % 2], i + 1)).collect();
    let reversed: Vec<String> = honest.iter().rev().cloned().collect();
    let poisoned: Vec<String> = (0..12).map(|i| format!("-1e{},a{i},0001-01-01", 300 - i)).collect();
    let missing = vec![",,".to_owned(); 12];
    let schema = schema_of(&raw(&table_with(&honest).0));
    // Every step, and what embeddings ask for.
    let every: Vec<Vec<&str>> = vec![
        vec![],
        EMBEDDED.to_vec(),
        vec!["prepare.scale=min_max", "prepare.impute=mean"],
        vec!["prepare.scale=robust", "prepare.impute=most_frequent"],
        vec!["prepare.scale=none", "prepare.impute=zero", "embedding.numeric=ple"],
        vec!["prepare.scale=log", "prepare.max_categories=2"],
        vec![
            "prepare.dates=['year', 'month', 'day', 'weekday', 'hour', 'day_cycle', 'hour_cycle']",
            "prepare.impute=knn",
        ],
        vec!["prepare.scale=yeo_johnson", "prepare.categories=['most_frequent', 'count', 'standard']"],
        vec!["prepare.scale=quantile", "prepare.categories=[{step='rare', min_frequency=12}, 'ordinal']"],
        vec![
            "prepare.numbers=[{step='winsorize', low=0.1, high=0.9}, {step='quantile', output='uniform'}]",
            "prepare.categories=[{step='hashing', n_buckets=5}]",
        ],
        vec!["prepare.categories=[{step='embedding', one_hot_up_to=3}]", "prepare.impute=knn"],
        vec![
            "prepare.numbers=[{step='knn', n_neighbors=3, weights='distance'}, 'standard']",
            "prepare.categories=['target', 'standard']",
        ],
        vec!["prepare.categories=[{step='rare', min_frequency=12}, {step='target', folds=3, smooth=2}]"],
    ];
    let mut steps: BTreeSet<String> = BTreeSet::new();
    for sets in &every {
        let options = options(sets);
        steps.extend(options.numbers.iter().chain(&options.categories).map(|step| step.name().to_owned()));
        let fitted = |held_out: &[String]| {
            let (text, train) = table_with(held_out);
            let table = Table::from_raw(&raw(&text), &schema).unwrap();
            // Targets of held-out rows differ in number and size.
            let far = held_out.first().map_or(0.0, |row| row.len() as f64 * 1e9);
            let y = (0..table.n_rows()).map(|i| if i < 40 { (i * 7 % 13) as f64 } else { far }).collect();
            let (rows, y) = (TrainRows::for_test(train.clone()), Target::Values(y));
            let (pipeline, own) = Pipeline::fit_to_target(&table, &rows, &options, Some(&y)).unwrap();
            let mut matrix = pipeline.transform(&table, &train).unwrap().0;
            matrix.extend(pipeline.transform_to_learn(&table, &train, &own).unwrap());
            let bits: Vec<u64> = matrix.into_iter().map(f64::to_bits).collect();
            (serde_json::to_string(&pipeline).unwrap(), bits)
        };
        let expected = fitted(&honest);
        assert!(expected.0.contains("\"indicator\":true"), "{}", expected.0);
        assert_eq!(expected.0.contains("\"bins\":["), options.embedding.numeric == NumericEmbedding::Ple);
        for held_out in [&reversed, &poisoned, &missing, &Vec::new()] {
            assert_eq!(fitted(held_out), expected, "{sets:?}");
        }
    }
    let all: BTreeSet<String> = STEPS.iter().map(|step| step.name.to_owned()).collect();
    assert_eq!(steps, all, "a step that this test does not try");
}

#[test]
fn embedded_columns_become_codes_and_places() {
    let (text, train) = table_with(&["99,w,1969-07-20".to_owned(), ",,2024-01-01".to_owned()]);
    let raw = raw(&text);
    let table = Table::from_raw(&raw, &schema_of(&raw)).unwrap();
    let dates = "prepare.dates=['days', 'month_cycle', 'weekday_cycle']";
    let plain_options = options(&[dates]);
    let options = options(&[EMBEDDED[0], EMBEDDED[1], "embedding.n_bins=4", dates]);
    let pipeline = Pipeline::fit(&table, &TrainRows::for_test(train.clone()), &options).unwrap();
    let features: Vec<_> = pipeline.features().iter().map(|f| (f.name.as_str(), f.kind)).collect();
    let n_bins = 4;
    assert_eq!(
        features[..3],
        [
            ("n", FeatureKind::Position { n_bins }),
            ("n=missing", FeatureKind::Part),
            ("c", FeatureKind::Code { n_levels: 4 }),
        ]
    );
    assert_eq!(features[3..].iter().filter(|(_, kind)| *kind == FeatureKind::Part).count(), 5);
    // Levels in their order, missing after them, and then what training lacks.
    let (matrix, notes) = pipeline.transform(&table, &[0, 1, 2, 3, 40, 41]).unwrap();
    let column = |i: usize| matrix.iter().skip(i).step_by(8).copied().collect::<Vec<f64>>();
    assert_eq!(column(2), [0.0, 1.0, 3.0, 2.0, 4.0, 3.0]);
    assert_eq!(notes.columns.iter().find(|c| c.column == "c").unwrap().unseen, 1);
    // Where no bin is a mere tie, places among quantiles are spread evenly; beyond the ends they go on.
    let places = pipeline.transform(&table, &train).unwrap().0;
    let places: Vec<f64> = places.into_iter().step_by(8).collect();
    assert!(places.iter().all(|place| (0.0..=4.0).contains(place)));
    for t in 0..4 {
        let inside = places.iter().filter(|place| (f64::from(t)..f64::from(t + 1)).contains(place)).count();
        assert!((6..=16).contains(&inside), "{inside} of 40 rows in bin {t}");
    }
    assert!(column(0)[4] > 4.0, "99 lies above all bins");

    // Without embedding, the same pipeline is the plain one.
    let plain = Pipeline::fit(&table, &TrainRows::for_test(train), &plain_options).unwrap();
    assert_eq!(pipeline.plain(), plain);
    assert_eq!(plain.plain(), plain);
    let saved = serde_json::to_string(&pipeline).unwrap();
    assert_eq!(serde_json::from_str::<Pipeline>(&saved).unwrap(), pipeline);
}

#[test]
fn edges_are_those_of_numpy() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/golden/embeddings.json")).unwrap();
    let numbers = |name: &str| -> Vec<f64> { serde_json::from_value(golden["bins"][name].clone()).unwrap() };
    let n_bins = golden["bins"]["n_bins"].as_u64().unwrap() as usize;
    let text = numbers("column").iter().fold("x\n".to_owned(), |text, x| text + &format!("{x}\n"));
    let raw = raw(&text);
    let table = Table::from_raw(&raw, &schema_of(&raw)).unwrap();
    let n_bins = format!("embedding.n_bins={n_bins}");
    let options = options(&["prepare.scale=none", "embedding.numeric=ple", &n_bins]);
    let train = TrainRows::for_test((0..raw.n_rows() as RowIdx).collect());
    let pipeline = Pipeline::fit(&table, &train, &options).unwrap();
    let FittedColumn::Number { bins: Some(bins), .. } = &pipeline.columns()[0] else {
        panic!("{pipeline:?}")
    };
    let expected = numbers("edges");
    assert_eq!(bins.edges().len(), expected.len());
    assert!(bins.edges().iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{bins:?}");
}

#[test]
fn a_row_is_prepared_alike_alone_and_among_others() {
    let (text, train) = table_with(&["99,?,1969-07-20".to_owned()]);
    let raw = raw(&text);
    let table = Table::from_raw(&raw, &schema_of(&raw)).unwrap();
    let pipeline = Pipeline::fit(&table, &TrainRows::for_test(train), &PipelineOptions::default()).unwrap();
    let rows: Vec<RowIdx> = (0..600).map(|i| i % 41).collect();
    let (matrix, _) = pipeline.transform(&table, &rows).unwrap();
    for (row, expected) in rows.iter().zip(matrix.chunks(pipeline.features().len())) {
        assert_eq!(pipeline.transform(&table, &[*row]).unwrap().0, expected);
    }
    assert!(pipeline.transform(&table, &[]).unwrap().0.is_empty());
    assert!(pipeline.transform(&table, &[41]).is_err());
}

/// Takes these bytes as far as they lead; only errors may stop it.
fn walk(bytes: &[u8]) -> Result<()> {
    let raw = parse_csv(bytes, Path::new("t.csv"), &ReadOptions::default())?;
    for row in 0..raw.n_rows() {
        for column in 0..raw.n_columns() {
            let _ = (raw.value(row, column), raw.line(row));
        }
    }
    let schema = infer_schema(&raw, &BTreeMap::new(), &BTreeSet::new());
    for kind in [ColumnKind::Number, ColumnKind::Category, ColumnKind::Date, ColumnKind::Text] {
        let overrides = raw.names().map(|name| (name.to_owned(), kind)).collect();
        let _ = infer_schema(&raw, &overrides, &BTreeSet::new());
    }
    let target = raw.name(raw.n_columns() - 1).to_owned();
    let schema = schema?;
    let table = Table::from_raw(&raw, &schema.without(&[&target]))?;
    let (task, _) = infer_task(&raw, &target, None)?;
    for task in [task, TaskKind::Regression, TaskKind::Multiclass, TaskKind::Binary] {
        let Ok(labels) = Labels::for_training(&raw, &target, task) else { continue };
        let strata = labels.target.strata(&labels.rows);
        assert!(labels.rows.iter().all(|&row| strata[row as usize] != MISSING));
        let _ = Split::by_column(&raw, &target, &labels.rows, Some(&labels.target), 0.2, 1);
        let Ok(split) = Split::random(&labels.rows, Some(&strata), 0.15, 0.15, 1) else { continue };
        for sets in [
            &[][..],
            &["prepare.scale=robust", EMBEDDED[0], EMBEDDED[1]],
            &["prepare.scale=quantile", "prepare.categories=['ordinal', 'yeo_johnson', 'standard']"],
            &["prepare.scale=yeo_johnson", "prepare.categories=['count', 'log', 'min_max']"],
            &["prepare.scale=log", "prepare.categories=[{step='rare', min_frequency=3}, 'one_hot']"],
            &[
                "prepare.numbers=['winsorize', 'most_frequent']",
                "prepare.categories=['most_frequent', 'hashing']",
            ],
            &["prepare.impute=knn", "prepare.categories=['target', 'standard']"],
        ] {
            let options = options(sets);
            let target = Some(&labels.target);
            let fitted = Pipeline::fit_to_target(&table, &split.train, &options, target);
            let Ok((pipeline, own)) = fitted else { continue };
            pipeline.transform_to_learn(&table, split.train.rows(), &own)?;
            let (matrix, _) = pipeline.transform(&table, &split.val)?;
            assert_eq!(matrix.len(), split.val.len() * pipeline.features().len());
            assert!(matrix.iter().all(|x| !x.is_nan()), "{sets:?}");
            let saved = serde_json::to_string(&pipeline).unwrap();
            // As text: a neighbour's missing number is NaN, which is unlike itself.
            let again = serde_json::from_str::<Pipeline>(&saved).unwrap();
            assert_eq!(serde_json::to_string(&again).unwrap(), saved);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = walk(&bytes);
    }

    #[test]
    fn no_text_like_a_table_causes_a_panic(text in "([ab1.é\"]|,|\n|\r\n| |NA|inf|2024-01-02|1e9){0,80}") {
        let _ = walk(text.as_bytes());
    }

    #[test]
    fn no_table_causes_a_panic(
        rows in prop::collection::vec(
            (
                prop::sample::select(vec!["1", "2", "", "-7e2", "1e308", "-1e308", "5e-324", "inf", "x"]),
                prop::sample::select(vec!["a", "b", "missing", "", "\"q,\n\"", "é"]),
                prop::sample::select(vec!["2024-02-29", "9999-12-31T23:59", "", "01.01.0000", "?"]),
                prop::sample::select(vec!["1", "2", "3", "4.5", "no", "train", "test", "val", ""]),
            ),
            1..60,
        )
    ) {
        let mut text = String::from("n,c,d,t\n");
        for (n, c, d, t) in rows {
            writeln!(text, "{n},{c},{d},{t}").unwrap();
        }
        let _ = walk(text.as_bytes());
    }

    #[test]
    fn no_saved_pipeline_causes_a_panic(at in 0usize..400, with in "[-\"0-9a-z{},:.]{0,6}", n in 0usize..8) {
        let (text, train) = table_with(&[]);
        let raw = raw(&text);
        let table = Table::from_raw(&raw, &schema_of(&raw)).unwrap();
        let options = match n % 4 {
            2 => options(&["prepare.impute=knn", "prepare.categories=['target']"]),
            0 => options(&[EMBEDDED[0], EMBEDDED[1], "embedding.n_bins=3"]),
            1 => options(&[
                "prepare.numbers=['winsorize', 'yeo_johnson', {step='quantile', n_quantiles=4}]",
                "prepare.categories=[{step='rare', min_frequency=12}, 'count', 'standard']",
            ]),
            _ => PipelineOptions::default(),
        };
        let (train, y) = (TrainRows::for_test(train), Target::Values((0..40).map(f64::from).collect()));
        let (fitted, _) = Pipeline::fit_to_target(&table, &train, &options, Some(&y)).unwrap();
        let mut saved = serde_json::to_string(&fitted).unwrap();
        let at = at.min(saved.len());
        let end = (at + n).min(saved.len());
        saved.replace_range(at..end, &with);
        if let Ok(pipeline) = serde_json::from_str::<Pipeline>(&saved) {
            let _ = pipeline.transform(&table, &[0, 5, 39]);
        }
    }
}
