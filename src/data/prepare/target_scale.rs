//! How the target of a regression is scaled for training, and how predictions are brought back to its own unit.

use serde::{Deserialize, Serialize};

use super::super::split::TrainRows;
use super::quantile::Quantiles;
use super::scale::Scaler;
use super::shape::{Power, signed_exp, signed_log};
use crate::config::{QuantileOutput, TargetScale};
use crate::{Error, Result};

/// Scales a target: y ↦ (f(y) − mean) / std, where f is the curve of its shape, if it has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetScaler {
    /// The mean of f(y) over the training rows.
    pub mean: f64,
    /// Its population standard deviation; 1 where all are equal.
    pub std: f64,
    /// The curve f; none for the straight line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<TargetShape>,
}

/// A curve that a target is scaled along, and the range that predictions are kept in.
///
/// Back along a curve a small error of the network may be a large one of the prediction, without end for a logarithm. So
/// predictions stay within the range of the training targets, widened on both sides by half of its width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetShape {
    /// The curve.
    pub curve: Curve,
    /// The smallest prediction.
    pub low: f64,
    /// The largest prediction.
    pub high: f64,
}

/// A rising curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Curve {
    /// sign(y)·ln(1 + |y|).
    Log,
    /// The power of Yeo & Johnson 2000.
    YeoJohnson(Power),
    /// The place among the quantiles, spread like a normal distribution.
    Quantile(Quantiles),
}

impl Curve {
    fn transform(&self, y: f64) -> f64 {
        match self {
            Self::Log => signed_log(y),
            Self::YeoJohnson(power) => power.transform(y),
            Self::Quantile(quantiles) => quantiles.transform(y),
        }
    }

    fn inverse(&self, t: f64) -> f64 {
        match self {
            Self::Log => signed_exp(t),
            Self::YeoJohnson(power) => power.inverse(t),
            Self::Quantile(quantiles) => quantiles.inverse(t),
        }
    }

    fn is_sound(&self) -> bool {
        match self {
            Self::Log => true,
            Self::YeoJohnson(power) => power.is_sound(),
            Self::Quantile(quantiles) => !quantiles.edges.is_empty() && quantiles.is_sound(),
        }
    }
}

impl TargetScaler {
    /// The scaler that leaves the target as it is.
    pub const IDENTITY: Self = Self { mean: 0.0, std: 1.0, shape: None };

    /// Fits to the training rows of `values`, which has one value for each row of the table.
    pub fn fit(values: &[f64], train: &TrainRows, scale: TargetScale) -> Result<Self> {
        let chosen: Option<Vec<f64>> =
            train.rows().iter().map(|&row| values.get(row as usize).copied()).collect();
        let mut chosen = chosen.ok_or_else(|| {
            Error::data(
                format!("the target has {} values, fewer than the rows of the split", values.len()),
                "split the rows of the same table",
            )
        })?;
        let curve = match scale {
            TargetScale::None => return Ok(Self::IDENTITY),
            TargetScale::Standard => None,
            TargetScale::Log => Some(Curve::Log),
            TargetScale::YeoJohnson => Some(Curve::YeoJohnson(Power::fit(&chosen))),
            TargetScale::Quantile => {
                Some(Curve::Quantile(Quantiles::fit(&chosen, 1000, QuantileOutput::Normal)))
            }
        };
        let shape = curve.map(|curve| {
            let low = chosen.iter().copied().fold(f64::INFINITY, f64::min);
            let high = chosen.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let margin = 0.5 * (high - low);
            chosen.iter_mut().for_each(|y| *y = curve.transform(*y));
            TargetShape { curve, low: low - margin, high: high + margin }
        });
        let scaler = Scaler::standard(&chosen);
        let fitted = Self { mean: scaler.center, std: scaler.scale, shape };
        if fitted.fault().is_some() || chosen.iter().any(|value| value.is_nan()) {
            return Err(Error::data(
                "the target's numbers are too large, or missing in training rows: their mean is not finite",
                "divide the target by a power of ten",
            ));
        }
        Ok(fitted)
    }

    /// From the target's own unit to the scaled one.
    pub fn transform(&self, y: f64) -> f64 {
        let t = self.shape.as_ref().map_or(y, |shape| shape.curve.transform(y));
        (t - self.mean) / self.std
    }

    /// From the scaled unit back to the target's own.
    pub fn inverse(&self, z: f64) -> f64 {
        let t = z * self.std + self.mean;
        match &self.shape {
            None => t,
            // A prediction that is not a number stays none.
            Some(shape) => shape.curve.inverse(t).clamp(shape.low, shape.high),
        }
    }

    /// What would keep it from computing.
    pub fn fault(&self) -> Option<&'static str> {
        let is_shaped = |s: &TargetShape| {
            s.curve.is_sound() && s.low.is_finite() && s.high.is_finite() && s.low <= s.high
        };
        if !(self.std.is_finite() && self.std > 0.0 && self.mean.is_finite()) {
            Some("expected a finite mean and a scale above 0")
        } else if !self.shape.as_ref().is_none_or(is_shaped) {
            Some("its curve cannot be computed with")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_comes_back_as_it_was() {
        let train = TrainRows::for_test(vec![0, 1, 3]);
        let fit = |values: &[f64], scale| TargetScaler::fit(values, &train, scale);
        let scaler = fit(&[1.0, 2.0, f64::NAN, 6.0], TargetScale::Standard).unwrap();
        assert_eq!(scaler.mean, 3.0);
        assert!((scaler.inverse(scaler.transform(4.25)) - 4.25).abs() < 1e-15);
        assert!(fit(&[1.0, f64::NAN, 0.0, 0.0], TargetScale::Standard).is_err());
        assert!(fit(&[1.0], TargetScale::Standard).is_err());
        assert_eq!(fit(&[1.0, 2.0, 3.0, 4.0], TargetScale::None).unwrap(), TargetScaler::IDENTITY);
    }

    #[test]
    fn along_a_curve_it_comes_back_and_stays_in_range() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i * i * i) - 200.0).collect();
        let train = TrainRows::for_test((0..50).collect());
        for scale in [TargetScale::Log, TargetScale::YeoJohnson, TargetScale::Quantile] {
            let scaler = TargetScaler::fit(&values, &train, scale).unwrap();
            let scaled: Vec<f64> = values.iter().map(|y| scaler.transform(*y)).collect();
            let mean = scaled.iter().sum::<f64>() / 50.0;
            let variance = scaled.iter().map(|z| z * z).sum::<f64>() / 50.0;
            assert!(mean.abs() < 1e-12 && (variance - 1.0).abs() < 1e-12, "{scale}");
            for y in &values {
                let back = scaler.inverse(scaler.transform(*y));
                // The ends of a normal place are a little inside.
                assert!((back - y).abs() < 2e-6 * y.abs().max(300.0), "{scale}: {back} is not {y}");
            }
            let (low, high) = (-200.0 - 0.5 * 117_649.0, 117_449.0 + 0.5 * 117_649.0);
            for z in [-1e300, -50.0, 50.0, 1e300, f64::INFINITY] {
                let y = scaler.inverse(z);
                assert!((low..=high).contains(&y), "{scale}: {z} becomes {y}");
            }
            assert!(scaler.inverse(f64::NAN).is_nan());
            let saved = serde_json::to_string(&scaler).unwrap();
            assert_eq!(serde_json::from_str::<TargetScaler>(&saved).unwrap(), scaler);
        }
        // The shape of older files is the straight line.
        let older: TargetScaler = serde_json::from_str(r#"{"mean":2,"std":3}"#).unwrap();
        assert_eq!((older.transform(8.0), older.fault()), (2.0, None));
    }

    #[test]
    fn what_cannot_be_computed_with_is_a_fault() {
        let read = |text: &str| serde_json::from_str::<TargetScaler>(text).unwrap().fault();
        assert!(read(r#"{"mean":0,"std":0}"#).is_some());
        let shaped = |shape: &str| read(&format!(r#"{{"mean":0,"std":1,"shape":{shape}}}"#));
        assert_eq!(shaped(r#"{"curve":{"by":"log"},"low":0,"high":1}"#), None);
        for shape in [
            r#"{"curve":{"by":"log"},"low":2,"high":1}"#,
            r#"{"curve":{"by":"yeo_johnson","lambda":1e6},"low":0,"high":1}"#,
            r#"{"curve":{"by":"quantile","edges":[],"output":"normal"},"low":0,"high":1}"#,
            r#"{"curve":{"by":"quantile","edges":[1,0],"output":"normal"},"low":0,"high":1}"#,
        ] {
            assert!(shaped(shape).is_some(), "{shape}");
        }
    }
}
