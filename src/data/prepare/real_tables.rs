//! Whole columns of real tables, against what scikit-learn and category_encoders make of them.
//!
//! `tests/golden/real_preparation.py` says what its sums are of. The tables are fetched by `scripts/fetch_tables.py`, which
//! `make test` runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::pipeline::Pipeline;
use super::tests::options;
use crate::data::read::{ReadOptions, read_table};
use crate::data::{ColumnKind, Labels, RawTable, RowIdx, Table, Target, TrainRows, infer_schema, infer_task};

const BLOCKS: usize = 8;
const FOLDS: usize = 5;

#[derive(serde::Deserialize)]
struct Case {
    table: String,
    columns: Vec<String>,
    kind: ColumnKind,
    steps: Vec<Value>,
    /// Whether neither an optimiser nor an approximation is in it.
    exact: bool,
    /// The column that categories are encoded by.
    #[serde(default)]
    target: String,
    /// Rows for which scikit-learn's answer is one of several.
    #[serde(default)]
    left_out: Vec<usize>,
    /// Least, largest and sums of each output.
    outputs: Vec<Vec<f64>>,
    /// The same of training rows, each encoded by those of the other folds that the step deals them out to.
    #[serde(default)]
    folds: Vec<Vec<f64>>,
}

fn path(table: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/tables/{table}.csv"))
}

/// The sums of the rows `rows`, as the script makes them: of outputs, each with least, largest, and weighted sums.
fn kept(matrix: &[f64], rows: &[usize]) -> Vec<Vec<f64>> {
    let n_outputs = matrix.len() / rows.len();
    let one = |output: usize| {
        let mut found = vec![0.0; 2 + BLOCKS];
        (found[0], found[1]) = (f64::INFINITY, f64::NEG_INFINITY);
        for (cells, &row) in matrix.chunks(n_outputs).zip(rows) {
            let x = cells[output];
            (found[0], found[1]) = (found[0].min(x), found[1].max(x));
            found[2 + row % BLOCKS] += (1.0 + (row * 7919 % 101) as f64 / 100.0) * x;
        }
        found
    };
    (0..n_outputs).map(one).collect()
}

/// Sums differ by less than a single cell that is off by 1e-6 of the largest would make them; where an optimiser or an
/// approximation is in it, by less than cells would that all are.
fn assert_near(found: &[Vec<f64>], expected: &[Vec<f64>], n_rows: usize, exact: bool, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: outputs");
    for (output, (found, expected)) in found.iter().zip(expected).enumerate() {
        let unit = expected[0].abs().max(expected[1].abs()).max(1.0);
        let cells = if exact { 0.5 } else { n_rows as f64 / BLOCKS as f64 };
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            let most = 1e-6 * unit * if i < 2 { 1.0 } else { cells };
            assert!((a - b).abs() < most, "{what}, output {output}, figure {i}: {a} is not {b}");
        }
    }
}

/// The columns of a case and nothing else.
fn table(raw: &RawTable, case: &Case) -> Table {
    let aside: BTreeSet<&str> = raw.names().filter(|name| !case.columns.iter().any(|c| c == name)).collect();
    let kinds: BTreeMap<String, ColumnKind> = case.columns.iter().map(|c| (c.clone(), case.kind)).collect();
    Table::from_raw(raw, &infer_schema(raw, &kinds, &aside).unwrap()).unwrap()
}

/// Rows as splits number them.
fn numbered(rows: impl Iterator<Item = usize>) -> Vec<RowIdx> {
    rows.map(|row| row as RowIdx).collect()
}

fn check(case: &Case, raw: &RawTable) {
    let what = format!("{} {:?} {:?}", case.table, case.columns, case.steps);
    let table = table(raw, case);
    let setting = match case.columns.as_slice() {
        [one] => format!("data.columns.{one}.steps"),
        _ => "prepare.numbers".into(),
    };
    let options = options(&setting, &case.steps);
    let n_rows = table.n_rows();
    let target: Option<Target> = (!case.target.is_empty()).then(|| {
        let (task, _) = infer_task(raw, &case.target, None).unwrap();
        Labels::for_training(raw, &case.target, task).unwrap().target
    });
    let train: Vec<usize> = (0..n_rows).filter(|row| row % FOLDS != 0).collect();
    let train_rows = TrainRows::for_test(numbered(train.iter().copied()));
    let (fitted, out_of_fold) =
        Pipeline::fit_to_target(&table, &train_rows, &options, target.as_ref()).unwrap();
    let rows: Vec<usize> = (0..n_rows).filter(|row| !case.left_out.contains(row)).collect();
    let (matrix, _) = fitted.transform(&table, &numbered(rows.iter().copied())).unwrap();
    assert_near(&kept(&matrix, &rows), &case.outputs, n_rows, case.exact, &what);
    assert_eq!(case.folds.is_empty(), out_of_fold.is_empty(), "{what}");
    if case.folds.is_empty() {
        return;
    }
    // As training has its rows: by the folds that the step has dealt out.
    let own = fitted.transform_to_learn(&table, train_rows.rows(), &out_of_fold).unwrap();
    assert_near(&kept(&own, &train), &case.folds, n_rows, case.exact, &format!("{what}, by other folds"));
}

#[test]
fn whole_columns_of_real_tables_are_prepared_as_other_libraries_do() {
    let golden = include_str!("../../../tests/golden/real_preparation.json");
    let cases: Vec<Case> = serde_json::from_str(golden).unwrap();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.table.as_str()).collect();
    assert!(cases.len() > 40 && names.len() == 5);
    for name in names {
        let there = path(name).is_file();
        assert!(there, "target/tables lacks {name}; to fetch it: python3 scripts/fetch_tables.py");
        let raw = read_table(&[path(name)], &ReadOptions::default()).unwrap();
        cases.iter().filter(|case| case.table == name).for_each(|case| check(case, &raw));
    }
}
