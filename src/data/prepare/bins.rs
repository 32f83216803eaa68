//! Bins between quantiles: where a number lies among their edges, for piecewise-linear encoding.

use serde::{Deserialize, Serialize};

use super::scale::quantile;

/// The edges of T bins, each above the one before: T + 1 numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bins(Vec<f64>);

impl Bins {
    /// Fits the edges to the values of training rows: their quantiles 0, 1/n, … 1 with n = `n_bins`, equal ones made
    /// one (Gorishniy, Rubachev & Babenko 2022, section 3.2.1). A single value gets one bin, as wide as it is
    /// large and at least 1 wide.
    ///
    /// `values` are put in order.
    pub(super) fn fit(values: &mut [f64], n_bins: usize) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let mut edges: Vec<f64> = if values.is_empty() {
            vec![0.0]
        } else {
            (0..=n_bins).map(|i| quantile(values, i as f64 / n_bins as f64)).collect()
        };
        // Interpolation may go back by a rounding error.
        let mut highest = f64::NEG_INFINITY;
        edges.retain(|&edge| {
            let above = edge > highest;
            highest = highest.max(edge);
            above
        });
        if let [edge] = edges[..] {
            edges.push(edge + edge.abs().max(1.0));
        }
        Self(edges)
    }

    /// T.
    pub fn len(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// Whether there is no bin, which keeps [`Bins::position`] from computing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The edges in order.
    pub fn edges(&self) -> &[f64] {
        &self.0
    }

    /// Where x lies among the edges: t + (x − edge t)/(edge t+1 − edge t) in bin t, counted from 0; the first and the
    /// last bin go on without end.
    ///
    /// The piecewise-linear encoding of x is this place, less t and cut to 0 and 1, in each bin t.
    pub fn position(&self, x: f64) -> f64 {
        let bin = self.0.partition_point(|edge| *edge <= x).saturating_sub(1).min(self.len() - 1);
        let (low, high) = (self.0[bin], self.0[bin + 1]);
        bin as f64 + (x - low) / (high - low)
    }

    /// Whether [`Bins::position`] can compute with these edges.
    pub(super) fn are_sound(&self) -> bool {
        self.0.len() > 1
            && self.0.iter().all(|edge| edge.is_finite())
            && self.0.windows(2).all(|pair| pair[0] < pair[1] && (pair[1] - pair[0]).is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_quantiles_and_no_two_alike() {
        let fitted = |values: &[f64], n| Bins::fit(&mut values.to_vec(), n).0;
        assert_eq!(fitted(&[4.0, 0.0, 1.0, 3.0, 2.0], 4), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(fitted(&[0.0, 1.0, 2.0], 4), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(fitted(&[0.0, 0.0, 0.0, 0.0, 1.0], 4), [0.0, 1.0]);
        assert_eq!(fitted(&[7.0; 5], 3), [7.0, 14.0]);
        assert_eq!(fitted(&[1e300], 3), [1e300, 2e300]);
        assert_eq!(fitted(&[], 3), [0.0, 1.0]);
        for n in 1..60 {
            let values: Vec<f64> = (0..41).map(|i| f64::from(i * i % 17) / 3.0).collect();
            assert!(Bins::fit(&mut values.clone(), n).are_sound(), "{n} bins");
        }
    }

    #[test]
    fn positions_count_bins_and_go_on_beyond_the_ends() {
        let bins = Bins(vec![0.0, 1.0, 3.0, 3.5]);
        assert_eq!(bins.len(), 3);
        for (x, expected) in [
            (-2.0, -2.0),
            (0.0, 0.0),
            (0.25, 0.25),
            (1.0, 1.0),
            (2.0, 1.5),
            (3.0, 2.0),
            (3.25, 2.5),
            (3.5, 3.0),
            (5.5, 7.0),
        ] {
            assert_eq!(bins.position(x), expected, "{x}");
        }
    }
}
