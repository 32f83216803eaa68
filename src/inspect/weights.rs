//! Figures of the numbers of a tensor: where they lie, how they spread, how many are zero.

use serde::Serialize;
use statera_kernels::Scalar;

use crate::model::{Model, Params};

/// Columns of a tensor's histogram.
const N_BINS: usize = 16;

/// Figures of a tensor's numbers; those that are not finite are counted and left out of all others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// How many numbers there are.
    pub n: usize,
    /// How many are not finite.
    pub not_finite: usize,
    /// How many are exactly zero.
    pub zeros: usize,
    /// The smallest; 0 if there is none.
    pub min: f64,
    /// The largest; 0 if there is none.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation about it, of these numbers (divided by their count).
    pub std: f64,
    /// √Σw².
    pub norm: f64,
    /// How many numbers lie in each of equal parts from `min` to `max`.
    pub histogram: Vec<usize>,
}

/// The figures of `values`, with a histogram of `n_bins` parts. Sums are in double precision.
pub fn figures<T: Scalar>(values: &[T], n_bins: usize) -> Figures {
    let finite = || values.iter().map(|v| v.to_f64()).filter(|v| v.is_finite());
    let count = finite().count();
    let n = count.max(1) as f64;
    let mean = finite().sum::<f64>() / n;
    let squares = finite().map(|v| v * v).sum::<f64>();
    let std = (finite().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    let (min, max) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let (min, max) = if count == 0 { (0.0, 0.0) } else { (min, max) };
    let mut histogram = vec![0; n_bins];
    for v in finite() {
        // All alike: one part holds them all.
        let share = if max > min { (v - min) / (max - min) } else { 0.5 };
        histogram[((share * n_bins as f64) as usize).min(n_bins - 1)] += 1;
    }
    let zeros = finite().filter(|v| *v == 0.0).count();
    Figures {
        n: values.len(),
        not_finite: values.len() - count,
        zeros,
        min,
        max,
        mean,
        std,
        norm: squares.sqrt(),
        histogram,
    }
}

/// Counts as a line of blocks, a character each, the highest for the largest; what is not empty is never blank.
pub fn bars(counts: &[usize]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().max().copied().unwrap_or(0).max(1);
    let block = |&n: &usize| match n {
        0 => ' ',
        n => BLOCKS[(n * BLOCKS.len()).div_ceil(most) - 1],
    };
    counts.iter().map(block).collect()
}

/// A named tensor of a model with its figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tensor {
    /// `layers.<index>.<tensor>`.
    pub name: String,
    /// Rows and columns, or one length; a weight is (in, out).
    pub shape: Vec<usize>,
    /// Whether training changes it; running statistics are kept by their layer.
    pub trainable: bool,
    /// What its numbers are like.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The figures of every tensor of a model, in the order of its layers.
pub fn of_model(model: &Model) -> Vec<Tensor> {
    let of = |range: std::ops::Range<usize>| match &model.params {
        Params::F32(params) => figures(&params[range], N_BINS),
        Params::F64(params) => figures(&params[range], N_BINS),
    };
    let tensor = |view: &crate::nn::View| Tensor {
        name: view.name.clone(),
        shape: view.shape.clone(),
        trainable: view.trainable,
        figures: of(view.range()),
    };
    model.network.views().iter().map(tensor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
        let f = figures(&[3.0_f64, 0.0, -1.0, 2.0, f64::NAN, 0.0, f64::INFINITY], 4);
        assert_eq!((f.n, f.not_finite, f.zeros, f.min, f.max), (7, 2, 2, -1.0, 3.0));
        // 4/5; (4.84 + 2·0.64 + 3.24 + 1.44) / 5 = 2.16; 9 + 1 + 4
        assert!((f.mean - 0.8).abs() < 1e-15 && (f.std - 2.16_f64.sqrt()).abs() < 1e-15, "{f:?}");
        assert!((f.norm - 14.0_f64.sqrt()).abs() < 1e-15);
        // −1 | 0, 0 | none | 2, 3, the upper end in the last part
        assert_eq!(f.histogram, [1, 2, 0, 2]);
    }

    #[test]
    fn numbers_that_are_alike_or_missing_have_figures_too() {
        let alike = figures(&[0.5_f32; 9], 3);
        assert_eq!((alike.min, alike.max, alike.mean, alike.std), (0.5, 0.5, 0.5, 0.0));
        assert_eq!(alike.histogram, [0, 9, 0]);
        let none = figures::<f32>(&[], 3);
        assert_eq!((none.n, none.min, none.max, none.mean, none.norm), (0, 0.0, 0.0, 0.0, 0.0));
        assert_eq!(none.histogram, [0, 0, 0]);
    }

    #[test]
    fn bars_show_what_there_is() {
        assert_eq!(bars(&[0, 1, 50, 100]), " ▁▄█");
        assert_eq!(bars(&[0, 0]), "  ");
        assert_eq!(bars(&[8, 1, 4]), "█▁▄");
    }
}
