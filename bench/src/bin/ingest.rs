//! The whole path from a file to a prepared matrix of floats: `ingest FILE`. Prints one line of JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use statera::data::{Pipeline, PipelineOptions, ReadOptions, Split, Table, infer_schema, read_table};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("ingest FILE")?);
    let start = Instant::now();
    let raw = read_table(&[path], &ReadOptions::default())?;
    let read = start.elapsed();
    let schema = infer_schema(&raw, &BTreeMap::new(), &BTreeSet::new())?;
    let inferred = start.elapsed();
    let table = Table::from_raw(&raw, &schema)?;
    drop(raw);
    let typed = start.elapsed();
    let rows: Vec<usize> = (0..table.n_rows()).collect();
    // All rows train, as in the peers.
    let split = Split::random(&rows, None, 0.0, 0.0, 0)?;
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
