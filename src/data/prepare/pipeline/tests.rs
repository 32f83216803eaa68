//! Pipelines as they are fitted, saved, read back and applied.

use std::collections::BTreeSet;
use std::f64::consts::TAU;
use std::path::Path;

use super::super::super::read::{ReadOptions, parse_csv};
use super::super::super::schema::{ColumnKind, Schema, infer_schema};
use super::*;
use crate::config::{Config, Scale};

fn table(text: &str, schema: Option<&Schema>) -> (Table, Schema) {
    let raw = parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default()).unwrap();
    let kinds = [("n", ColumnKind::Number), ("c", ColumnKind::Category), ("d", ColumnKind::Date)];
    let kinds = kinds.into_iter().filter(|(name, _)| raw.column_index(name).is_some());
    let kinds = kinds.map(|(name, kind)| (name.to_owned(), kind)).collect();
    let schema = schema.cloned().unwrap_or_else(|| infer_schema(&raw, &kinds, &BTreeSet::new()).unwrap());
    (Table::from_raw(&raw, &schema).unwrap(), schema)
}

const TEXT: &str = "n,c,d\n1,b,1970-01-01\n3,a,1970-04-03\n,,\n5,a,1970-07-05\n9,z,2000-01-01\n";

fn fitted(options: &PipelineOptions) -> Pipeline {
    Pipeline::fit(&table(TEXT, None).0, &TrainRows::for_test(vec![0, 1, 2, 3]), options).unwrap()
}

fn options(sets: &[&str]) -> PipelineOptions {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    PipelineOptions::of(&Config::default().with(&sets).unwrap())
}

fn names(pipeline: &Pipeline) -> Vec<&str> {
    pipeline.features().iter().map(|feature| feature.name.as_str()).collect()
}

#[test]
fn features_are_named_after_column_and_level() {
    let all = [
        "n",
        "n=missing",
        "c=a",
        "c=b",
        "c=missing",
        "d.days",
        "d.month_sin",
        "d.month_cos",
        "d.weekday_sin",
        "d.weekday_cos",
        "d=missing",
    ];
    let pipeline = fitted(&PipelineOptions::default());
    assert_eq!(names(&pipeline), all);
    assert_eq!(pipeline.features()[8].column, "d");
    let without = fitted(&options(&["prepare.indicators=false"]));
    assert_eq!(names(&without).len(), 9, "a missing category keeps its level");
}

#[test]
fn cells_become_the_numbers_of_their_features() {
    let (table, _) = table(TEXT, None);
    let pipeline = fitted(&options(&["prepare.scale=min_max"]));
    let (matrix, notes) = pipeline.transform(&table, &[0, 1, 2, 4]).unwrap();
    let rows: Vec<&[f64]> = matrix.chunks(11).collect();
    let near = |found: &[f64], expected: &[f64]| {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    };
    near(&rows[0][..5], &[0.0, 0.0, 0.0, 1.0, 0.0]);
    near(&rows[1][..5], &[0.5, 0.0, 1.0, 0.0, 0.0]);
    near(&rows[2][..5], &[0.5, 1.0, 0.0, 0.0, 1.0]);
    near(&rows[3][..5], &[2.0, 0.0, 0.0, 0.0, 0.0]);
    // Thursday, 1 January: the circle of months starts there, that of weekdays on Monday.
    let thursday = (TAU * 3.0 / 7.0).sin_cos();
    near(&rows[0][5..], &[0.0, 0.0, 1.0, thursday.0, thursday.1, 0.0]);
    // Friday, 3 April: a quarter of the year later; 92 of 185 days.
    let friday = (TAU * 4.0 / 7.0).sin_cos();
    near(&rows[1][5..], &[92.0 / 185.0, 1.0, 0.0, friday.0, friday.1, 0.0]);
    near(&rows[2][5..], &[92.0 / 185.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    let unseen = ColumnNotes { column: "c".into(), missing: 1, unseen: 1, examples: vec!["z".into()] };
    assert_eq!(notes.columns.len(), 3);
    assert_eq!(notes.columns[1], unseen);
}

#[test]
fn missing_cells_where_training_had_none_are_imputed_without_a_mark() {
    let (table, _) = table(TEXT, None);
    let pipeline =
        Pipeline::fit(&table, &TrainRows::for_test(vec![0, 1, 3]), &options(&["prepare.scale=none"]))
            .unwrap();
    assert_eq!(names(&pipeline).len(), 8);
    let (matrix, _) = pipeline.transform(&table, &[2]).unwrap();
    assert_eq!(matrix, [3.0, 0.0, 0.0, 92.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn each_column_may_have_steps_of_its_own() {
    let table = table(TEXT, None).0;
    let sets = ["data.columns.n.scale=none", "data.columns.c.scale=none", "prepare.scale=min_max"];
    let (matrix, _) = fitted(&options(&sets)).transform(&table, &[3]).unwrap();
    assert_eq!((matrix[0], matrix[5]), (5.0, 1.0));
    // 1, 3 and 5 are present; the mean stands in; then ln(1 + x) from 0 to 1.
    let sets = ["data.columns.n.steps=[\"mean\", \"log\", \"min_max\"]"];
    let (matrix, _) = fitted(&options(&sets)).transform(&table, &[0, 1, 2, 3]).unwrap();
    let n: Vec<f64> = matrix.iter().step_by(11).copied().collect();
    assert!((n[1] - 2f64.ln() / 3f64.ln()).abs() < 1e-15 && n[1] == n[2], "{n:?}");
    let train = TrainRows::for_test(vec![0, 1, 2, 3]);
    for (sets, words) in [
        ("data.columns.nn.scale=robust", "did you mean `n`?"),
        ("data.columns.c.scale=robust", "data.columns.c.scale: column `c` is a category"),
        (
            "data.columns.c.steps=[\"log\"]",
            "`data.columns.c.steps` has no step that makes numbers of categories",
        ),
        ("data.columns.c.steps=[]", "has no step that makes numbers of categories"),
        ("data.columns.n.steps=[\"one_hot\"]", "column `n` is no category, which one_hot encodes"),
        ("data.columns.d.steps=[\"count\"]", "column `d` is no category, which count encodes"),
        ("data.columns.n.encode=ordinal", "data.columns.n.encode is ordinal; column `n` is a number"),
    ] {
        let error = Pipeline::fit(&table, &train, &options(&[sets])).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_a_step_cannot_do_with_names_the_row() {
    let table = table("n,m\n1,2\n-3,2\n2,2\n", None).0;
    let fit = |sets: &[&str]| Pipeline::fit(&table, &TrainRows::for_test(vec![0, 1, 2]), &options(sets));
    let message = fit(&["data.columns.n.steps=[\"log\"]"]).unwrap_err().to_string();
    assert!(message.contains("data.columns.n.steps, step log: row 2 holds -3"), "{message}");
    let message = fit(&["prepare.numbers=[\"log\"]"]).unwrap_err().to_string();
    assert!(message.contains("column `n`, step log: row 2 holds -3"), "{message}");
    let pipeline = fit(&["prepare.scale=log"]).unwrap();
    assert_eq!(pipeline.features().len(), 1, "m is constant");
    // The powers of a constant are alike. Of all columns that is let be, of the one that is named it is not.
    let (numbers, schema) = super::tests::table("n,k\n1,2\n3,2\n2,2\n9,5\n", None);
    assert_eq!(schema.kept().count(), 2);
    let train = TrainRows::for_test(vec![0, 1, 2]);
    let fit = |sets: &[&str]| Pipeline::fit(&numbers, &train, &options(sets));
    fit(&["prepare.scale=yeo_johnson"]).unwrap();
    let message = fit(&["data.columns.k.scale=yeo_johnson"]).unwrap_err().to_string();
    assert!(
        message.contains("data.columns.k.scale, step yeo_johnson: all training rows hold 2"),
        "{message}"
    );
}

#[test]
fn categories_become_what_their_steps_say() {
    let table = table("c\na\nb\na\nNA\nc\na\nb\nz\n", None).0;
    let train = TrainRows::for_test((0..7).collect());
    let made = |sets: &[&str]| {
        let pipeline = Pipeline::fit(&table, &train, &options(sets)).unwrap();
        let saved = serde_json::to_string(&pipeline).unwrap();
        assert_eq!(serde_json::from_str::<Pipeline>(&saved).unwrap(), pipeline);
        let names: Vec<String> = pipeline.features().iter().map(|f| f.name.clone()).collect();
        (names.join(" "), pipeline.transform(&table, &[0, 1, 3, 4, 7]).unwrap())
    };
    let rows = |matrix: &[f64], n: usize| matrix.chunks(n).map(<[f64]>::to_vec).collect::<Vec<_>>();
    let (names, (matrix, notes)) =
        made(&["data.columns.c.steps=[{step='rare', min_frequency=2}, 'one_hot']"]);
    assert_eq!(names, "c=a c=b c=rare c=missing");
    let [a, b, rare, missing]: [Vec<f64>; 4] =
        [0, 1, 2, 3].map(|i| (0..4).map(|j| f64::from(u8::from(i == j))).collect());
    assert_eq!(rows(&matrix, 4), [&a, &b, &missing, &rare, &rare].map(Vec::clone));
    assert_eq!((notes.columns[0].unseen, notes.columns[0].missing), (1, 1));
    let (names, (matrix, _)) = made(&["data.columns.c.steps=['ordinal']"]);
    assert_eq!((names.as_str(), &matrix[..]), ("c", &[0.0, 1.0, 3.0, 2.0, -1.0][..]));
    let (names, (matrix, _)) = made(&["prepare.categories=[{step='count', normalize=false}, 'log']"]);
    assert_eq!(names, "c.count");
    assert_eq!(matrix, [3.0, 2.0, 1.0, 1.0, 0.0].map(f64::ln_1p));
    let (names, (matrix, _)) = made(&["prepare.categories=['most_frequent', 'ordinal']"]);
    assert_eq!((names.as_str(), &matrix[4..6]), ("c c=missing", &[0.0, 1.0][..]));
    let (names, (matrix, _)) = made(&["data.columns.c.steps=[{step='hashing', n_buckets=3}]"]);
    assert_eq!(names, "c#0 c#1 c#2 c=missing");
    assert!(rows(&matrix, 4).iter().all(|row| row.iter().sum::<f64>() == 1.0), "{matrix:?}");
    assert_eq!(matrix[11], 1.0, "the missing cell has the mark alone");
    let (names, _) = made(&["embedding.categories=embedding", "embedding.one_hot_up_to=4"]);
    assert_eq!(names, "c=a c=b c=c c=missing");
    let (names, _) = made(&["prepare.max_categories=2"]);
    assert_eq!(names, "c=a c=rare c=missing");
}

#[test]
fn names_stay_apart_where_levels_are_called_like_them() {
    let (table, _) = table("c,c=a\na,1\nb,2\n,3\na,4\n", None);
    let pipeline =
        Pipeline::fit(&table, &TrainRows::for_test(vec![0, 1, 2, 3]), &PipelineOptions::default()).unwrap();
    assert_eq!(names(&pipeline), ["c=a", "c=b", "c=missing", "c=a'"]);
}

#[test]
fn columns_without_training_cells_are_prepared_all_the_same() {
    let (table, _) = table("n,c,d\n,,\n,,\n2,a,2000-01-01\n3,b,2000-01-02\n", None);
    for scale in Scale::NAMES {
        let options = options(&[&format!("prepare.scale={scale}")]);
        let pipeline = Pipeline::fit(&table, &TrainRows::for_test(vec![0, 1]), &options).unwrap();
        pipeline.validate().unwrap();
        let (matrix, _) = pipeline.transform(&table, &[0, 1, 2, 3]).unwrap();
        assert!(matrix.iter().all(|x| x.is_finite()), "{scale}");
    }
}

#[test]
fn what_cannot_be_fitted_or_applied_is_an_error() {
    let train = TrainRows::for_test(vec![0, 1]);
    let fit = |text: &str| Pipeline::fit(&table(text, None).0, &train, &PipelineOptions::default());
    let message = fit("n\n-1e308\n1e308\n").unwrap_err().to_string();
    assert!(message.contains("column `n`: its numbers are too large"), "{message}");
    assert!(fit("u\nx1\nx2\nx3\n").unwrap_err().to_string().contains("no column is left"));
    assert!(Pipeline::fit(&table("n\n1\n", None).0, &train, &PipelineOptions::default()).is_err());
    let pipeline = fit("n\n1\n2\n").unwrap();
    let mut schema = table("n\n1\n2\n", None).1;
    schema.columns[0].kind = ColumnKind::Category;
    let error = pipeline.transform(&table("n\n1\n", Some(&schema)).0, &[0]).unwrap_err();
    assert!(error.to_string().contains("expects the kind number, the table has category"), "{error}");
    let error = pipeline.transform(&table("m\n1\n", None).0, &[0]).unwrap_err();
    assert!(error.to_string().contains("lacks column `n`"), "{error}");
}

#[test]
fn damaged_pipelines_are_refused() {
    let number = |step: &str| {
        format!(
            r#"{{"type":"number","column":"n","steps":[{{"step":"impute","with":0}},{step}],"indicator":false}}"#
        )
    };
    let scale =
        |scale: &str| number(&format!(r#"{{"step":"scale","center":0,"scale":{scale},"clip":false}}"#));
    let bins = |bins: &str| {
        scale("1").replace("\"indicator\":false", &format!("\"indicator\":false,\"bins\":{bins}"))
    };
    let knn = |n: usize| {
        let step = format!(r#"{{"step":"knn","n_neighbors":{n},"weights":"uniform","with":0}}"#);
        number(&step).replace(r#"{"step":"impute","with":0},"#, "")
    };
    let category = |levels: &str, more: &str, encoding: &str| {
        format!(
            r#"{{"type":"category","column":"c","levels":{{"names":{levels},"missing":false{more}}},"indicator":false,"encoding":{encoding}}}"#
        )
    };
    let one_hot = r#"{"by":"one_hot"}"#;
    let read = |columns: &[String]| {
        let saved = format!(r#"{{"columns":[{}]}}"#, columns.join(","));
        serde_json::from_str::<Pipeline>(&saved).map_err(|error| error.to_string())
    };
    read(&[scale("1"), category(r#"["a","b"]"#, r#","rare":["c"]"#, one_hot)]).unwrap();
    for (columns, words) in [
        (vec![scale("0")], "above 0"),
        (vec![scale("-1")], "above 0"),
        (vec![scale("1e999")], "out of range"),
        (vec![scale("null")], "invalid type"),
        (vec![scale("1"), scale("1")], "twice"),
        (vec![scale("1").replace("impute", "log").replace(",\"with\":0", "")], "no step fills in missing"),
        (vec![number(r#"{"step":"winsorize","low":2,"high":1}"#)], "in order"),
        (vec![number(r#"{"step":"yeo_johnson","lambda":1e9}"#)], "out of range"),
        (vec![number(r#"{"step":"quantile","edges":[1,0],"output":"normal"}"#)], "in order"),
        (vec![number(r#"{"step":"sharpen"}"#)], "unknown variant"),
        (vec![bins("[1,1]")], "edges of its bins"),
        (vec![bins("[1]")], "edges of its bins"),
        (vec![category("[]", "", r#"{"by":"code"}"#)], "codes of no levels"),
        (vec![category(r#"["b","a"]"#, "", one_hot)], "not sorted"),
        (vec![category(r#"["a","a"]"#, "", one_hot)], "not sorted"),
        (vec![category(r#"["a"]"#, r#","rare":["a"]"#, one_hot)], "not sorted"),
        (vec![category("[]", "", r#"{"by":"buckets","n_buckets":0}"#)], "no buckets"),
        (vec![category("[]", "", r#"{"by":"buckets","n_buckets":99999999}"#)], "more than 1048576 buckets"),
        (
            vec![category(r#"["a"]"#, "", r#"{"by":"numbers","features":[{"values":[1,2],"unseen":0}]}"#)],
            "one for each level",
        ),
        (vec![knn(2)], "no neighbours for column `n`"),
        (vec![knn(0)], "no neighbours to fill"),
        (vec![knn(2).replace("[{", r#"[{"step":"log"},{"#)], "behind another step"),
        (vec![category("[]", "", one_hot)], "no features"),
        (vec![], "no features"),
    ] {
        let message = read(&columns).unwrap_err();
        assert!(message.contains(words), "{message}\n  lacks: {words}");
    }
}
