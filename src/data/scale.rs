//! How numbers are brought to a common size, and what stands in for missing ones.

use serde::{Deserialize, Serialize};

use super::split::TrainRows;
pub use crate::config::{Impute, Scale};
use crate::{Error, Result};

impl Impute {
    /// What stands in for missing cells, given those that are present; 0 where there are none.
    ///
    /// `present` is put in order.
    pub(super) fn fit(self, present: &mut [f64]) -> f64 {
        if present.is_empty() {
            return 0.0;
        }
        match self {
            Self::Median => {
                present.sort_unstable_by(f64::total_cmp);
                quantile(present, 0.5)
            }
            Self::Mean => mean(present),
            Self::Zero => 0.0,
        }
    }
}

/// A fitted [`Scale`]: z = (x − center) / scale, then z / √(1 + (z/3)²) if it clips.
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
    /// Fits to the values of training rows; a single value gets the scale 1, as in scikit-learn.
    ///
    /// `values` are put in order where quantiles are needed. The result is not finite if they are
    /// too large to be added up.
    pub(super) fn fit(kind: Scale, values: &mut [f64]) -> Self {
        let (low, high) =
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        let clip = kind == Scale::Robust;
        if kind == Scale::None || values.is_empty() {
            return Self { center: 0.0, scale: 1.0, clip };
        }
        if low == high {
            let center = low;
            return Self { center, scale: 1.0, clip };
        }
        let (center, scale) = match kind {
            Scale::Standard => mean_and_std(values),
            Scale::MinMax => (low, high - low),
            Scale::Robust => {
                values.sort_unstable_by(f64::total_cmp);
                let range = quantile(values, 0.75) - quantile(values, 0.25);
                (quantile(values, 0.5), if range > 0.0 { range } else { (high - low) / 2.0 })
            }
            Scale::None => (0.0, 1.0),
        };
        // The spread of numbers that differ only in their last bits may vanish.
        Self { center, scale: if scale > 0.0 || !scale.is_finite() { scale } else { 1.0 }, clip }
    }

    /// Scales one number.
    pub fn transform(&self, x: f64) -> f64 {
        let z = (x - self.center) / self.scale;
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
        let mut chosen = chosen.ok_or_else(|| {
            Error::data(
                format!("the target has {} values, fewer than the rows of the split", values.len()),
                "split the rows of the same table",
            )
        })?;
        let scaler = Scaler::fit(Scale::Standard, &mut chosen);
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

fn mean(values: &[f64]) -> f64 {
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
        let values = || vec![1.0, 2.0, 4.0, 8.0];
        let min_max = Scaler::fit(Scale::MinMax, &mut values());
        assert_eq!((min_max.transform(1.0), min_max.transform(8.0)), (0.0, 1.0));
        let standard = Scaler::fit(Scale::Standard, &mut values());
        assert_eq!(standard.center, 3.75);
        assert!((standard.scale - 7.1875f64.sqrt()).abs() < 1e-15);
        let robust = Scaler::fit(Scale::Robust, &mut values());
        assert_eq!((robust.center, robust.scale), (3.0, 3.25));
        // z = 2 gives 2 / √(1 + 4/9) = 6/√13.
        assert!((robust.transform(9.5) - 6.0 / 13f64.sqrt()).abs() < 1e-15);
        assert!(robust.transform(1e12) < 3.0 + 1e-12);
        // The quartiles meet: half the range stands in.
        assert_eq!(Scaler::fit(Scale::Robust, &mut [5.0, 5.0, 5.0, 5.0, 9.0]).scale, 2.0);
        assert_eq!(Scaler::fit(Scale::None, &mut values()).transform(4.0), 4.0);
    }

    #[test]
    fn constants_and_extremes_have_a_usable_scale() {
        for kind in [Scale::Standard, Scale::MinMax, Scale::Robust, Scale::None] {
            let scaler = Scaler::fit(kind, &mut [0.1; 3]);
            assert_eq!(scaler.scale, 1.0, "{kind:?}");
            assert!(scaler.is_sound());
            assert!(Scaler::fit(kind, &mut [1e-300, 2e-300]).is_sound(), "{kind:?}");
            assert!(Scaler::fit(kind, &mut []).is_sound(), "{kind:?}");
        }
        assert!(!Scaler::fit(Scale::Standard, &mut [-1e308, 1e308]).is_sound());
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
