//! The place of a number among quantiles, which gives a column another distribution: the step `quantile`.

use serde::{Deserialize, Serialize};

use super::normal;
use crate::config::QuantileOutput;

/// How near to 0 and 1 a place may come before it is made normal, as in scikit-learn.
const NEAREST: f64 = 1e-7;

/// The quantile i/(n − 1) of values in order, to the very bits of `numpy.nanpercentile` for `100 * numpy.linspace(0, 1, n)`.
///
/// Where rounding puts it a hair below one of several equal values, the middle of their places moves by half a
/// quantile, so that nothing less would agree with scikit-learn.
fn numpy_quantile(sorted: &[f64], i: usize, n: usize) -> f64 {
    let share = if i + 1 == n { 1.0 } else { i as f64 * (1.0 / (n - 1) as f64) };
    let at = share * 100.0 / 100.0 * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    let (t, range) = (at.fract(), above - below);
    if t >= 0.5 { above - range * (1.0 - t) } else { below + range * t }
}

/// A column's quantiles 0, 1/(n − 1), … 1, as scikit-learn's `QuantileTransformer` has them of all rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    /// The quantiles in order, equal ones among them.
    pub edges: Vec<f64>,
    /// The distribution that the place is given.
    pub output: QuantileOutput,
}

impl Quantiles {
    /// At most `n_quantiles` quantiles of the values of training rows, no more than there are values.
    pub(super) fn fit(values: &[f64], n_quantiles: usize, output: QuantileOutput) -> Self {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        let n = n_quantiles.min(values.len());
        let mut highest = f64::NEG_INFINITY;
        let edges = (0..n).map(|i| {
            // Interpolation may go back by a rounding error.
            highest = highest.max(numpy_quantile(&values, i, n));
            highest
        });
        Self { edges: edges.collect(), output }
    }

    /// The place p of x among the quantiles, from 0 to 1: between two of them on a straight line, at several equal ones
    /// in their middle. Then p, or Φ⁻¹(p) with p kept 10⁻⁷ away from 0 and 1; the middle where all quantiles are equal.
    pub fn transform(&self, x: f64) -> f64 {
        let (Some(&first), Some(&last)) = (self.edges.first(), self.edges.last()) else {
            return self.place_to_output(0.5);
        };
        if x.is_nan() || first == last {
            return if x.is_nan() { x } else { self.place_to_output(0.5) };
        }
        // A normal place begins and ends a little inside, as scikit-learn's does.
        let margin = if self.output == QuantileOutput::Normal { NEAREST } else { 0.0 };
        let place = if x - margin < first || x <= first {
            0.0
        } else if x + margin > last || x >= last {
            1.0
        } else {
            self.place(x)
        };
        self.place_to_output(place)
    }

    fn place(&self, x: f64) -> f64 {
        let steps = (self.edges.len() - 1) as f64;
        let below = self.edges.partition_point(|edge| *edge < x);
        let up_to = self.edges.partition_point(|edge| *edge <= x);
        if below < up_to {
            return 0.5 * (below as f64 + (up_to - 1) as f64) / steps;
        }
        let (low, high) = (self.edges[below - 1], self.edges[below]);
        ((below - 1) as f64 + (x - low) / (high - low)) / steps
    }

    fn place_to_output(&self, place: f64) -> f64 {
        match self.output {
            QuantileOutput::Uniform => place,
            QuantileOutput::Normal => normal::quantile(place.clamp(NEAREST, 1.0 - NEAREST)),
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.edges.iter().all(|edge| edge.is_finite())
            && self.edges.is_sorted()
            && self.edges.first().zip(self.edges.last()).is_none_or(|(a, b)| (b - a).is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(values: &[f64], n: usize) -> Quantiles {
        Quantiles::fit(values, n, QuantileOutput::Uniform)
    }

    #[test]
    fn places_lie_on_lines_between_quantiles() {
        let quantiles = uniform(&[1.0, 2.0, 4.0, 8.0, 16.0], 1000);
        assert_eq!(quantiles.edges, [1.0, 2.0, 4.0, 8.0, 16.0]);
        for (x, place) in
            [(0.0, 0.0), (1.0, 0.0), (3.0, 0.375), (4.0, 0.5), (12.0, 0.875), (16.0, 1.0), (99.0, 1.0)]
        {
            assert_eq!(quantiles.transform(x), place, "{x}");
        }
        assert!(quantiles.transform(f64::NAN).is_nan());
        // Five equal ones of nine: the middle of their places.
        let quantiles = uniform(&[0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0], 9);
        assert_eq!(quantiles.transform(1.0), 3.0 / 8.0);
    }

    #[test]
    fn normal_places_end_where_scikit_learn_ends() {
        let quantiles = Quantiles::fit(&[1.0, 2.0, 3.0], 3, QuantileOutput::Normal);
        assert!((quantiles.transform(-7.0) + 5.199_337_582_605_575).abs() < 1e-8);
        assert!((quantiles.transform(7.0) - 5.199_337_582_605_575).abs() < 1e-6);
        assert_eq!(quantiles.transform(2.0), 0.0);
        // Nothing to tell apart: the middle.
        for values in [&[5.0; 4][..], &[]] {
            let quantiles = Quantiles::fit(values, 10, QuantileOutput::Normal);
            assert!(quantiles.is_sound());
            assert_eq!((quantiles.transform(5.0), quantiles.transform(9.0)), (0.0, 0.0));
        }
    }
}
