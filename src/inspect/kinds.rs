//! What binary and sparse weights cost, beside continuous ones: bytes in the file, and time, measured here and now.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use safetensors::SafeTensors;
use serde::Serialize;
use statera_kernels::{CpuLevel, Matrix, Scalar, Start, product_scratch_len};

use crate::config::WeightKind;
use crate::error::{Error, Result};
use crate::find_model::find_model;
use crate::model::{Model, Params};
use crate::nn::View;
use crate::nn::compact::{Compact, sparse_scratch_len};

/// The rows that are multiplied together: one alone, and as many as prediction takes of a table.
pub const ROWS: [usize; 2] = [1, 256];
/// Seconds of measuring for each layer and number of rows.
const SECONDS: f64 = 0.05;
/// Multiply–adds of one measured stretch, so that a clock's tick is nothing beside it.
const STRETCH: usize = 1 << 18;

/// A layer whose weights are not continuous, beside the same layer with continuous weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindCost {
    /// The weight, as `layers.2.weight`.
    pub name: String,
    /// Its kind.
    pub kind: WeightKind,
    /// Inputs and units.
    pub shape: Vec<usize>,
    /// The share of weights that are exactly zero.
    pub zeros: f64,
    /// Bytes of the weight in the model file.
    pub bytes: usize,
    /// Bytes of as many continuous weights.
    pub continuous_bytes: usize,
    /// Whether the file has them in the form of their kind; sparse weights are stored number by number where that takes
    /// fewer bytes.
    pub is_compact: bool,
    /// The product with the weight, for each of [`ROWS`].
    pub times: Vec<Time>,
}

/// Microseconds a row of the product with a weight, the best of all repeats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Time {
    /// Rows that are multiplied together.
    pub rows: usize,
    /// By the kernel of the kind.
    pub micros: f64,
    /// By the product with continuous weights of the same shape.
    pub continuous_micros: f64,
    /// How many of the rows prediction multiplies by the kernel of the kind.
    pub rows_by_kind: usize,
    /// How often each was repeated, in turns.
    pub repeats: usize,
}

/// What the weights of a model that are not continuous cost, and the bytes of its file, at `path` or in that run folder.
///
/// Times are measured on the thread that calls, layer by layer, the two ways in turns.
pub fn costs(model: &Model, path: &Path) -> Result<(Vec<KindCost>, usize)> {
    let path = find_model(path)?;
    let file = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
    let tensors = SafeTensors::deserialize(&file)
        .map_err(|e| Error::model(format!("{}: no model file ({e})", path.display()), "train again"))?;
    let sizes: BTreeMap<String, usize> =
        tensors.iter().map(|(name, tensor)| (name.to_owned(), tensor.data().len())).collect();
    let costs = match &model.params {
        Params::F32(params) => costs_in(model, params, &sizes),
        Params::F64(params) => costs_in(model, params, &sizes),
    };
    Ok((costs, file.len()))
}

fn costs_in<T: Scalar>(model: &Model, params: &[T], sizes: &BTreeMap<String, usize>) -> Vec<KindCost> {
    let cost = |view: &View| {
        let compact = Compact::of(view, params)?;
        let weight = &params[view.range()];
        let shape = [view.shape[0], view.shape[1]];
        let parts = format!("{}.", view.name);
        let bytes = sizes.iter().filter(|(name, _)| **name == view.name || name.starts_with(&parts));
        Some(KindCost {
            name: view.name.clone(),
            kind: view.kind()?,
            shape: view.shape.clone(),
            zeros: weight.iter().filter(|w| **w == T::ZERO).count() as f64 / weight.len().max(1) as f64,
            bytes: bytes.map(|(_, size)| size).sum(),
            continuous_bytes: size_of_val(weight),
            is_compact: !sizes.contains_key(&view.name),
            times: ROWS.map(|rows| time(&compact, weight, rows, shape)).to_vec(),
        })
    };
    model.network.views().iter().filter_map(cost).collect()
}

/// Times both products of `n_rows` rows, in turns.
fn time<T: Scalar>(compact: &Compact<T>, weight: &[T], n_rows: usize, [i, o]: [usize; 2]) -> Time {
    let level = CpuLevel::detect();
    let x: Vec<T> = (0..n_rows * i).map(|k| T::from_f64(0.5 + (k % 7) as f64)).collect();
    let bias = vec![T::ONE; o];
    let mut y = vec![T::ZERO; n_rows * o];
    let mut scratch = vec![T::ZERO; sparse_scratch_len(i, o).max(product_scratch_len(n_rows, i, o))];
    let stretch = (STRETCH / (n_rows * i * o).max(1)).max(1);
    let mut best = [f64::INFINITY; 2];
    let (begin, mut repeats) = (Instant::now(), 0);
    while repeats < 5 || begin.elapsed().as_secs_f64() < SECONDS {
        for (which, best) in best.iter_mut().enumerate() {
            let begin = Instant::now();
            for _ in 0..stretch {
                if which == 0 {
                    compact.product(level, [n_rows, i, o], &x, &mut y, Some(&bias), &mut scratch);
                } else {
                    let (x, weight) = (Matrix::rows(&x, i), Matrix::rows(weight, o));
                    T::product(level, [n_rows, i, o], x, weight, &mut y, Start::Bias(&bias), &mut scratch);
                }
                std::hint::black_box(&mut y);
            }
            *best = best.min(begin.elapsed().as_secs_f64());
        }
        repeats += 1;
    }
    let [micros, continuous_micros] = best.map(|s| 1e6 * s / (stretch * n_rows) as f64);
    let rows_by_kind = compact.faster_rows(n_rows, [i, o]);
    Time { rows: n_rows, micros, continuous_micros, rows_by_kind, repeats }
}
