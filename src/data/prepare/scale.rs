//! How numbers are brought to a common size: the steps `standard`, `min_max` and `robust`; the target, too.

use serde::{Deserialize, Serialize};

use super::super::split::TrainRows;
use crate::{Error, Result};

/// A fitted scale: z = (x − center) / scale, then z / √(1 + (z/3)²) if it clips.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaler {
    /// What is taken off.
    pub center: f64,
    /// What is divided by; above 0.
    pub scale: f64,
    /// Whether the result is drawn smoothly into (−3, 3).
    pub clip: bool,
}

impl Scaler {
    /// Leaves numbers as they are.
    pub(super) const NONE: Self = Self { center: 0.0, scale: 1.0, clip: false };

    /// Mean 0 and population standard deviation 1, as scikit-learn's `StandardScaler`.
    ///
    /// A single value gets the scale 1. The result is not finite if the values are too large to be added up.
    pub(super) fn standard(values: &[f64]) -> Self {
        Self::of_spread(values, |values, _| mean_and_std(values))
    }

    /// Smallest value 0, largest 1, as scikit-learn's `MinMaxScaler`; a single value gets the scale 1.
    pub(super) fn min_max(values: &[f64]) -> Self {
        Self::of_spread(values, |_, [low, high]| (low, high - low))
    }

    /// Median 0, interquartile range 1, as scikit-learn's `RobustScaler`; where the quartiles meet, half the range takes
    /// the place of theirs. With `clip`, z is drawn smoothly into (−3, 3) (Holzmüller, Grinsztajn & Steinwart 2024,
    /// "Better by default"). A single value gets the scale 1.
    pub(super) fn robust(values: &[f64], clip: bool) -> Self {
        let scaler = Self::of_spread(values, |values, [low, high]| {
            let mut values = values.to_vec();
            values.sort_unstable_by(f64::total_cmp);
            let range = quantile(&values, 0.75) - quantile(&values, 0.25);
            (quantile(&values, 0.5), if range > 0.0 { range } else { (high - low) / 2.0 })
        });
        Self { clip, ..scaler }
    }

    /// Centre and scale of values that differ; `of` is given the smallest and the largest, too.
    fn of_spread(values: &[f64], of: impl Fn(&[f64], [f64; 2]) -> (f64, f64)) -> Self {
        let (low, high) =
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        if values.is_empty() {
            return Self::NONE;
        }
        if low == high {
            return Self { center: low, ..Self::NONE };
        }
        let (center, scale) = of(values, [low, high]);
        // The spread of numbers that differ only in their last bits may vanish.
        Self { center, scale: if scale > 0.0 || !scale.is_finite() { scale } else { 1.0 }, clip: false }
    }

    /// Scales one number.
    pub fn transform(&self, x: f64) -> f64 {
        let z = (x - self.center) / self.scale;
        // The square of a larger one would not be finite.
        let z = if self.clip { z.clamp(-1e150, 1e150) } else { z };
        if self.clip { z / (1.0 + (z / 3.0).powi(2)).sqrt() } else { z }
    }

    /// Whether this is a scaler that [`Scaler::transform`] can compute with.
    pub(super) fn is_sound(&self) -> bool {
        self.center.is_finite() && self.scale.is_finite() && self.scale > 0.0
    }
}

/// How the target of a regression is scaled for training: y ↦ (y − mean) / std.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetScaler {
    /// The mean of the training rows.
    pub mean: f64,
    /// Their population standard deviation; 1 where they are all equal.
    pub std: f64,
}

impl TargetScaler {
    /// The scaler that leaves the target as it is.
    pub const IDENTITY: Self = Self { mean: 0.0, std: 1.0 };

    /// Fits to the training rows of `values`, which has one value for each row of the table.
    pub fn fit(values: &[f64], train: &TrainRows) -> Result<Self> {
        let chosen: Option<Vec<f64>> = train.rows().iter().map(|&row| values.get(row).copied()).collect();
        let chosen = chosen.ok_or_else(|| {
            Error::data(
                format!("the target has {} values, fewer than the rows of the split", values.len()),
                "split the rows of the same table",
            )
        })?;
        let scaler = Scaler::standard(&chosen);
        if !scaler.is_sound() || chosen.iter().any(|value| value.is_nan()) {
            return Err(Error::data(
                "the target's numbers are too large, or missing in training rows: their mean is not finite",
                "divide the target by a power of ten",
            ));
        }
        Ok(Self { mean: scaler.center, std: scaler.scale })
    }

    /// From the target's own unit to the scaled one.
    pub fn transform(&self, y: f64) -> f64 {
        (y - self.mean) / self.std
    }

    /// From the scaled unit back to the target's own.
    pub fn inverse(&self, z: f64) -> f64 {
        z * self.std + self.mean
    }
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Mean and population standard deviation, in two passes.
fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / values.len() as f64).sqrt())
}

/// The quantile of values in order, interpolated in a straight line as numpy does.
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let below = sorted[at.floor() as usize];
    let above = sorted[at.ceil() as usize];
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        let values = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile(&values, 0.25), 1.75);
        assert_eq!(quantile(&values, 0.5), 3.0);
        assert_eq!(quantile(&values, 0.75), 5.0);
        assert_eq!(quantile(&[7.0], 0.75), 7.0);
    }

    #[test]
    fn each_scale_does_what_it_says() {
        let values = [1.0, 2.0, 4.0, 8.0];
        let min_max = Scaler::min_max(&values);
        assert_eq!((min_max.transform(1.0), min_max.transform(8.0)), (0.0, 1.0));
        let standard = Scaler::standard(&values);
        assert_eq!(standard.center, 3.75);
        assert!((standard.scale - 7.1875f64.sqrt()).abs() < 1e-15);
        let robust = Scaler::robust(&values, true);
        assert_eq!((robust.center, robust.scale), (3.0, 3.25));
        // z = 2 gives 2 / √(1 + 4/9) = 6/√13.
        assert!((robust.transform(9.5) - 6.0 / 13f64.sqrt()).abs() < 1e-15);
        assert!(robust.transform(1e12) < 3.0 + 1e-12);
        assert!((robust.transform(-1e300) + 3.0).abs() < 1e-12);
        assert_eq!(Scaler::robust(&values, false).transform(9.5), 2.0);
        // The quartiles meet: half the range stands in.
        assert_eq!(Scaler::robust(&[5.0, 5.0, 5.0, 5.0, 9.0], true).scale, 2.0);
    }

    #[test]
    fn constants_and_extremes_have_a_usable_scale() {
        let kinds: [fn(&[f64]) -> Scaler; 3] =
            [Scaler::standard, Scaler::min_max, |values| Scaler::robust(values, true)];
        for (i, fit) in kinds.into_iter().enumerate() {
            assert_eq!(fit(&[0.1; 3]).scale, 1.0, "{i}");
            assert!(fit(&[0.1; 3]).is_sound() && fit(&[]).is_sound(), "{i}");
            assert!(fit(&[1e-300, 2e-300]).is_sound(), "{i}");
        }
        assert!(!Scaler::standard(&[-1e308, 1e308]).is_sound());
    }

    #[test]
    fn the_target_comes_back_as_it_was() {
        let train = TrainRows::for_test(vec![0, 1, 3]);
        let scaler = TargetScaler::fit(&[1.0, 2.0, f64::NAN, 6.0], &train).unwrap();
        assert_eq!(scaler.mean, 3.0);
        assert!((scaler.inverse(scaler.transform(4.25)) - 4.25).abs() < 1e-15);
        assert!(TargetScaler::fit(&[1.0, f64::NAN, 0.0, 0.0], &train).is_err());
        assert!(TargetScaler::fit(&[1.0], &train).is_err());
    }
}
