//! Columns of real tables, against what scikit-learn and category_encoders make of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::options::PipelineOptions;
use super::pipeline::Pipeline;
use crate::config::{Config, TargetScale};
use crate::data::read::{ReadOptions, parse_csv};
use crate::data::{ColumnKind, RowIdx, Table, Target, TargetScaler, TrainRows, infer_schema};

#[derive(serde::Deserialize)]
struct Golden {
    cells: BTreeMap<String, Vec<Value>>,
    cases: Vec<Case>,
    neighbours: Vec<Neighbours>,
    targets: Vec<ScaledTarget>,
}

#[derive(serde::Deserialize)]
struct Case {
    kind: String,
    cells: String,
    steps: Vec<Value>,
    train: usize,
    rows: Vec<RowIdx>,
    #[serde(default)]
    target: Vec<Value>,
    matrix: Vec<Vec<f64>>,
}

#[derive(serde::Deserialize)]
struct Neighbours {
    columns: Vec<Vec<Option<f64>>>,
    steps: Vec<Value>,
    train: usize,
    rows: Vec<RowIdx>,
    matrix: Vec<Vec<f64>>,
}

#[derive(serde::Deserialize)]
struct ScaledTarget {
    scale: TargetScale,
    train: usize,
    cells: Vec<f64>,
    rows: Vec<RowIdx>,
    scaled: Vec<f64>,
    z: Vec<f64>,
    y: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../tests/golden/preparation.json")).unwrap()
}

pub(super) fn options(setting: &str, steps: &[Value]) -> PipelineOptions {
    let steps: Vec<String> = steps.iter().map(step).collect();
    let set = format!("{setting}=[{}]", steps.join(", "));
    PipelineOptions::of(&Config::default().with(&[set]).unwrap())
}

fn assert_near(found: &[f64], expected: &[f64], rows: &[RowIdx], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let row = rows[i * rows.len() / expected.len()];
        assert!((a - b).abs() < 1e-6 * b.abs().max(1.0), "{what}, row {row}: {a} is not {b}");
    }
}

/// The classes or numbers of a target.
fn target(cells: &[Value]) -> Option<Target> {
    if cells.first()?.is_number() {
        return Some(Target::Values(cells.iter().filter_map(Value::as_f64).collect()));
    }
    let names: BTreeSet<&str> = cells.iter().filter_map(Value::as_str).collect();
    let code = |cell: &Value| names.iter().position(|name| Some(*name) == cell.as_str()).unwrap() as u32;
    let codes = cells.iter().map(code).collect();
    Some(Target::Classes { codes, classes: names.into_iter().map(str::to_owned).collect() })
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
    let golden = golden();
    assert!(golden.cases.len() > 35);
    for case in &golden.cases {
        let table = table(&golden.cells[&case.cells], &case.kind);
        let options = options("data.columns.x.steps", &case.steps);
        let (train, target) =
            (TrainRows::for_test((0..case.train as RowIdx).collect()), target(&case.target));
        let (pipeline, _) = Pipeline::fit_to_target(&table, &train, &options, target.as_ref()).unwrap();
        let (matrix, _) = pipeline.transform(&table, &case.rows).unwrap();
        assert_near(&matrix, &case.matrix.concat(), &case.rows, &format!("{} {:?}", case.cells, case.steps));
    }
}

#[test]
fn missing_numbers_are_filled_in_as_by_scikit_learns_knn_imputer() {
    let golden = golden();
    assert_eq!(golden.neighbours.len(), 3);
    for case in &golden.neighbours {
        let names: Vec<String> = (0..case.columns.len()).map(|i| format!("x{i}")).collect();
        let mut text = names.join(",") + "\n";
        for row in 0..case.columns[0].len() {
            let cells =
                case.columns.iter().map(|column| column[row].map_or(String::new(), |x| x.to_string()));
            text += &(cells.collect::<Vec<_>>().join(",") + "\n");
        }
        let raw = parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default()).unwrap();
        let schema = infer_schema(&raw, &BTreeMap::new(), &BTreeSet::new()).unwrap();
        let table = Table::from_raw(&raw, &schema).unwrap();
        let train = TrainRows::for_test((0..case.train as RowIdx).collect());
        let options = options("prepare.numbers", &case.steps);
        let pipeline = Pipeline::fit(&table, &train, &options).unwrap();
        let (matrix, _) = pipeline.transform(&table, &case.rows).unwrap();
        assert_near(&matrix, &case.matrix.concat(), &case.rows, &format!("{:?}", case.steps));
        // A row has the same bits alone, and after the pipeline was saved.
        let saved = serde_json::to_string(&pipeline).unwrap();
        let again: Pipeline = serde_json::from_str(&saved).unwrap();
        for (row, expected) in case.rows.iter().zip(matrix.chunks(names.len())) {
            assert_eq!(again.transform(&table, &[*row]).unwrap().0, expected);
        }
    }
}

#[test]
fn targets_are_scaled_as_by_scikit_learn() {
    let golden = golden();
    assert_eq!(golden.targets.len(), TargetScale::ALL.len() - 1);
    for case in &golden.targets {
        let train = TrainRows::for_test((0..case.train as RowIdx).collect());
        let scaler = TargetScaler::fit(&case.cells, &train, case.scale).unwrap();
        let scaled: Vec<f64> =
            case.rows.iter().map(|&row| scaler.transform(case.cells[row as usize])).collect();
        assert_near(&scaled, &case.scaled, &case.rows, case.scale.name());
        let y: Vec<f64> = case.z.iter().map(|&z| scaler.inverse(z)).collect();
        assert_near(&y, &case.y, &case.rows, case.scale.name());
    }
}
