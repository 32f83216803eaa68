//! The whole path from a file to a prepared matrix of floats: `ingest FILE`. Prints one line of JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use statera::data::{Inference, Pipeline, PipelineOptions, ReadOptions, Split, Table, infer_schema, read_table};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("ingest FILE")?);
    let start = Instant::now();
    let raw = read_table(&[path], &ReadOptions::default())?;
    let read = start.elapsed();
    // As a training does: all cells are looked at for faults, then those of the training rows say what columns are.
    infer_schema(&raw, &BTreeMap::new(), &BTreeSet::new())?;
    let rows: Vec<u32> = (0..raw.n_rows() as u32).collect();
    // All rows train, as in the peers.
    let split = Split::random(&rows, None, 0.0, 0.0, 0)?;
    let mut inference = Inference::new(&raw, &BTreeMap::new(), &BTreeSet::new())?;
    inference.add_training(&raw, &split.train);
    let schema = inference.finish()?;
    let inferred = start.elapsed();
    let table = Table::from_raw(&raw, &schema)?;
    drop(raw);
    let typed = start.elapsed();
    let pipeline = Pipeline::fit(&table, &split.train, &PipelineOptions::default())?;
    let fitted = start.elapsed();
    let (matrix, _) = pipeline.transform(&table, &rows)?;
    let all = start.elapsed();
    let columns = matrix.len() / rows.len();
    println!(
        "{}",
        serde_json::json!({
            "read": read.as_secs_f64(),
            "inferred": inferred.as_secs_f64(),
            "typed": typed.as_secs_f64(),
            "fitted": fitted.as_secs_f64(),
            "all": all.as_secs_f64(),
            "shape": [rows.len(), columns],
        })
    );
    Ok(())
}
