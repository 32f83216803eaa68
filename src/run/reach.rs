//! Held-out cells so far from all others that nothing computed from them is finite.

use super::plan::Plan;
use crate::config::Precision;
use crate::data::RowIdx;
use crate::data::Target;
use crate::data::words::{null_option, shown};
use crate::error::{Error, Result};

/// Rows that are prepared at a time.
const PART: usize = 4096;

/// A held-out cell, as a message tells it.
pub(super) struct Far {
    /// The file, the row, the column and the cell.
    pub(super) place: String,
    /// The number that the cell becomes when it is scaled.
    pub(super) scaled: f64,
    /// What can be done about it.
    pub(super) remedy: String,
}

/// The largest number whose square can be reckoned with, and the name of the precision.
pub(super) fn most(precision: Precision) -> (f64, &'static str) {
    match precision {
        Precision::F32 => (1e18, "f32"),
        Precision::F64 => (1e150, "f64"),
    }
}

/// Refuses cells of validation and test rows whose squares, as the network takes them, are beyond the precision.
pub(super) fn check_reach(plan: &Plan) -> Result<()> {
    let (most, precision) = most(plan.config.network.precision);
    for (part, rows) in [("validation", &plan.split.val), ("test", &plan.split.test)] {
        if let Some(far) = furthest(plan, rows, most)? {
            return Err(Error::data(
                format!(
                    "{}, of a {part} row, is scaled to {:.1e}, whose square is beyond {precision}",
                    far.place, far.scaled
                ),
                far.remedy,
            ));
        }
    }
    Ok(())
}

/// The cell of these rows, the target's among them, that is scaled to the number furthest from 0, beyond `least`.
pub(super) fn furthest(plan: &Plan, rows: &[RowIdx], least: f64) -> Result<Option<Far>> {
    let features = plan.pipeline.features();
    let mut found: Option<(RowIdx, &str, f64)> = None;
    let mut done = 0;
    plan.pipeline.transform_parts(&plan.table, rows, PART, |part| {
        for (i, x) in part.iter().enumerate() {
            if x.abs() > found.map_or(least, |f| f.2.abs()) {
                found =
                    Some((rows[done + i / features.len()], features[i % features.len()].column.as_str(), *x));
            }
        }
        done += part.len() / features.len();
    })?;
    let mut leaves_out = false;
    if let Target::Values(values) = &plan.labels.target {
        for &row in rows {
            let y = plan.target.scaler.transform(values[row as usize]);
            if y.abs() > found.map_or(least, |f| f.2.abs()) {
                (found, leaves_out) = (Some((row, plan.target.column.as_str(), y)), true);
            }
        }
    }
    Ok(found.and_then(|(row, name, scaled)| {
        let column = plan.raw.column_index(name)?;
        let cell = plan.raw.value(row as usize, column)?;
        let null = null_option([cell]);
        let does = if leaves_out { "leaves the row out" } else { "takes the cell as missing" };
        Some(Far {
            place: format!("{}: {}", plan.raw.place(row as usize, column), shown(cell)),
            scaled,
            remedy: format!("correct the cell, or {null}, which {does}"),
        })
    }))
}
