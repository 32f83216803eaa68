//! Quantiles of sorted numbers, and the fences beyond which numbers are outliers.

use serde::Serialize;

/// The probabilities of the quantiles that a profile holds.
pub const PROBABILITIES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

/// The quantile of probability `p` of sorted numbers, linear between neighbours (type 7 of Hyndman & Fan 1996, the
/// default of numpy and pandas).
///
/// # Panics
/// When there is no number.
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let place = p * (sorted.len() - 1) as f64;
    let low = place.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (place - low as f64) * (sorted[high] - sorted[low])
}

/// Numbers far from the middle half.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outliers {
    /// The lower fence, Q1 − 3·(Q3 − Q1).
    pub low_fence: f64,
    /// The upper fence, Q3 + 3·(Q3 − Q1).
    pub high_fence: f64,
    /// How many lie below the lower one.
    pub low: usize,
    /// How many lie above the upper one.
    pub high: usize,
    /// How far the farthest lies from the middle half, in its widths; 0 where the middle half has no width.
    pub farthest: f64,
}

/// The numbers beyond the outer fences (Tukey 1977, "Exploratory Data Analysis"). Where at least half of the numbers
/// are equal there is no scale to measure by, and none is an outlier.
///
/// # Panics
/// When there is no number.
pub fn outliers(sorted: &[f64]) -> Outliers {
    let (q1, q3) = (quantile(sorted, 0.25), quantile(sorted, 0.75));
    let width = q3 - q1;
    let (low_fence, high_fence) = (q1 - 3.0 * width, q3 + 3.0 * width);
    if width <= 0.0 {
        return Outliers { low_fence, high_fence, low: 0, high: 0, farthest: 0.0 };
    }
    let low = sorted.partition_point(|x| *x < low_fence);
    let high = sorted.len() - sorted.partition_point(|x| *x <= high_fence);
    let farthest = ((q1 - sorted[0]) / width).max((sorted[sorted.len() - 1] - q3) / width).max(0.0);
    Outliers { low_fence, high_fence, low, high, farthest }
}
