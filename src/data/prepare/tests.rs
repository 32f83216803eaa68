//! Columns of real tables, against what scikit-learn and category_encoders make of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::options::PipelineOptions;
use super::pipeline::Pipeline;
use crate::config::Config;
use crate::data::read::{ReadOptions, parse_csv};
use crate::data::{ColumnKind, Table, TrainRows, infer_schema};

#[derive(serde::Deserialize)]
struct Golden {
    cells: BTreeMap<String, Vec<Value>>,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    kind: String,
    cells: String,
    steps: Vec<Value>,
    train: usize,
    rows: Vec<usize>,
    matrix: Vec<Vec<f64>>,
}

/// A step of the golden file as TOML, which has no such thing as JSON's tables.
fn step(value: &Value) -> String {
    match value {
        Value::Object(settings) => {
            let inside: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("{{{}}}", inside.join(", "))
        }
        other => other.to_string(),
    }
}

/// A table of one column `x`.
fn table(cells: &[Value], kind: &str) -> Table {
    let mut text = "x,i\n".to_owned();
    for cell in cells {
        match cell {
            Value::Null => text.push(','),
            Value::String(name) => write!(text, "{name},").unwrap(),
            number => write!(text, "{number},").unwrap(),
        }
        text.push('\n');
    }
    let raw = parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default()).unwrap();
    let kind = if kind == "number" { ColumnKind::Number } else { ColumnKind::Category };
    let kinds = BTreeMap::from([("x".to_owned(), kind)]);
    let schema = infer_schema(&raw, &kinds, &BTreeSet::new()).unwrap();
    Table::from_raw(&raw, &schema).unwrap()
}

#[test]
fn columns_of_real_tables_are_prepared_as_other_libraries_do() {
    let golden: Golden =
        serde_json::from_str(include_str!("../../../tests/golden/preparation.json")).unwrap();
    assert!(golden.cases.len() > 30);
    for case in &golden.cases {
        let table = table(&golden.cells[&case.cells], &case.kind);
        let steps: Vec<String> = case.steps.iter().map(step).collect();
        let set = format!("data.columns.x.steps=[{}]", steps.join(", "));
        let options = PipelineOptions::of(&Config::default().with(std::slice::from_ref(&set)).unwrap());
        let train = TrainRows::for_test((0..case.train).collect());
        let pipeline = Pipeline::fit(&table, &train, &options).unwrap();
        let (matrix, _) = pipeline.transform(&table, &case.rows).unwrap();
        let expected: Vec<f64> = case.matrix.concat();
        assert_eq!(matrix.len(), expected.len(), "{} {set}", case.cells);
        for (i, (a, b)) in matrix.iter().zip(&expected).enumerate() {
            let row = case.rows[i * case.rows.len() / expected.len()];
            assert!(
                (a - b).abs() < 1e-6 * b.abs().max(1.0),
                "{} {set}, row {row}: {a} is not {b}",
                case.cells
            );
        }
    }
}
