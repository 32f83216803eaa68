//! The prepared rows of a recipe: `prepared CONFIG` prints `{"train": {"x": [[...]], "y": [...]}, "val": {...}}`, so that a
//! peer trains and is watched on the same numbers. Ranges in the file are passed over.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use statera::config::Space;
use statera::data::Target;
use statera::run::Plan;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("prepared CONFIG")?;
    let (_, config) = Space::load(Some(Path::new(&path)), &[])?;
    let raw = Arc::new(Plan::read(&config)?);
    let plan = Plan::of(config, raw)?;
    let Target::Values(target) = &plan.labels.target else { return Err("a target of numbers is expected".into()) };
    let part = |rows: &[u32]| -> statera::Result<Value> {
        let x = plan.inputs(rows)?;
        let x: Vec<&[f64]> = x.chunks_exact(x.len() / rows.len()).collect();
        let y: Vec<f64> = rows.iter().map(|&row| plan.target.scaler.transform(target[row as usize])).collect();
        Ok(json!({ "x": x, "y": y }))
    };
    println!("{}", json!({ "train": part(plan.split.train.rows())?, "val": part(&plan.split.val)? }));
    Ok(())
}
