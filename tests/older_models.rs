//! Model files of earlier formats are read, and predict what they predicted then.
//!
//! `tests/golden/older.safetensors` has format version 1. It was trained by the version before preparation had steps:
//!
//! ```text
//! statera train older.csv --target y --set network.hidden=[] --set prepare.scale=robust --set data.columns.n.encode=ple \
//!     --set embedding.n_bins=4 --set data.columns.c.encode=embedding --set embedding.category_dimension=2 \
//!     --set train.epochs=5 --set evaluate.bootstrap=0 --set data.columns.d.scale=min_max --out run
//! statera predict run older.csv -o older_predictions.csv
//! ```
//!
//! `tests/golden/older3.safetensors` has version 3, of before dates had parts to choose from:
//!
//! ```text
//! statera train older.csv --target y --set network.hidden=[] --set prepare.impute=knn --set train.epochs=5 \
//!     --set evaluate.bootstrap=0 --out run
//! ```

use std::path::Path;

use statera::data::{ReadOptions, read_table};
use statera::model::Model;
use statera::train::metrics::Predictions;

#[test]
fn a_model_of_format_version_1_predicts_what_it_predicted() {
    predicts_as_then("older");
}

#[test]
fn a_model_of_format_version_3_predicts_what_it_predicted() {
    predicts_as_then("older3");
}

/// Compares what the model of this name predicts of `older.csv` with what it predicted when it was trained.
fn predicts_as_then(name: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let model = Model::load(&golden.join(format!("{name}.safetensors"))).unwrap();
    let options = ReadOptions { null_words: model.card.null.clone(), ..ReadOptions::default() };
    let raw = read_table(&[golden.join("older.csv")], &options).unwrap();
    let rows: Vec<u32> = (0..raw.n_rows() as u32).collect();
    let (predictions, _) = model.predict_rows(&raw, &rows).unwrap();
    let Predictions::Values(found) = predictions else { panic!("{predictions:?}") };
    let text = std::fs::read_to_string(golden.join(format!("{name}_predictions.csv"))).unwrap();
    let expected: Vec<f64> = text.lines().skip(1).map(|line| line.parse().unwrap()).collect();
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
        assert!((a - b).abs() < 1e-12 * b.abs(), "row {i}: {a} is not {b}");
    }
    // Saved anew it is of the newest format, and the same.
    let again = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(again.predict_rows(&raw, &rows).unwrap().0, Predictions::Values(found));
}
