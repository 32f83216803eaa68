//! The steps of a number, fitted one after another to the training rows of one column.

use serde::{Deserialize, Serialize};

use super::impute;
use super::quantile::Quantiles;
use super::scale::Scaler;
use super::shape::{Bounds, Power, signed_log};
use crate::config::{NeighborWeights, StepSpec};

/// A fitted step: a number in, a number out, a missing one as NaN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum NumberStep {
    /// `median`, `mean`, `most_frequent` and `constant`.
    Impute {
        /// What stands in for missing numbers.
        with: f64,
    },
    /// `knn`, where nothing is known of a row's neighbours or the row has no column in common with any.
    Knn {
        /// How many rows.
        n_neighbors: usize,
        /// How much each counts.
        weights: NeighborWeights,
        /// The mean of the training rows.
        with: f64,
    },
    /// `winsorize`.
    Winsorize(Bounds),
    /// `log`.
    Log,
    /// `yeo_johnson`.
    YeoJohnson(Power),
    /// `standard`, `min_max` and `robust`.
    Scale(Scaler),
    /// `quantile`.
    Quantile(Quantiles),
}

/// What keeps a step from being fitted to a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unfit {
    /// A training number below 0, by its place among those fitted to.
    Negative {
        /// The place.
        at: usize,
        /// The number.
        number: f64,
    },
    /// Every training number is this one, and no power tells them apart.
    Constant(f64),
    /// The numbers are too large to be computed with.
    TooLarge,
}

impl NumberStep {
    /// Fits a step to the numbers of training rows, NaN where missing. None for a step of categories, and for one that
    /// nothing can be fitted to.
    ///
    /// With `is_asked` the step was asked for this very column, and what would leave it as it is is an error.
    fn fit(step: &StepSpec, values: &[f64], is_asked: bool) -> Result<Option<Self>, Unfit> {
        let present: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        let constant = present.first().filter(|first| present.iter().all(|v| v == *first));
        Ok(match *step {
            StepSpec::Winsorize { low, high } => Bounds::fit(&present, low, high).map(Self::Winsorize),
            StepSpec::Log { signed } => {
                let negative = values.iter().position(|v| *v < 0.0).filter(|_| !signed);
                if let Some(at) = negative {
                    return Err(Unfit::Negative { at, number: values[at] });
                }
                Some(Self::Log)
            }
            StepSpec::YeoJohnson => {
                if let (Some(&constant), true) = (constant, is_asked) {
                    return Err(Unfit::Constant(constant));
                }
                Some(Self::YeoJohnson(Power::fit(&present)))
            }
            StepSpec::Standard => Some(Self::Scale(Scaler::standard(&present))),
            StepSpec::MinMax => Some(Self::Scale(Scaler::min_max(&present))),
            StepSpec::Robust { clip } => Some(Self::Scale(Scaler::robust(&present, clip))),
            StepSpec::Quantile { n_quantiles, output } => {
                Some(Self::Quantile(Quantiles::fit(&present, n_quantiles, output)))
            }
            StepSpec::Knn { n_neighbors, weights, .. } => {
                let with = impute::fit(&StepSpec::Mean { indicator: true }, present).unwrap_or(0.0);
                Some(Self::Knn { n_neighbors, weights, with })
            }
            _ => impute::fit(step, present).map(|with| Self::Impute { with }),
        })
    }

    /// The same where there are no neighbours to look for.
    pub(super) fn without_neighbors(self) -> Self {
        match self {
            Self::Knn { with, .. } => Self::Impute { with },
            step => step,
        }
    }

    /// Changes numbers by this step; missing ones stay NaN but for an imputation.
    pub fn apply(&self, values: &mut [f64]) {
        fn each(values: &mut [f64], f: impl Fn(f64) -> f64) {
            values.iter_mut().for_each(|v| *v = f(*v));
        }
        match self {
            Self::Impute { with } | Self::Knn { with, .. } => {
                each(values, |x| if x.is_nan() { *with } else { x });
            }
            Self::Winsorize(bounds) => each(values, |x| bounds.transform(x)),
            Self::Log => each(values, signed_log),
            Self::YeoJohnson(power) => each(values, |x| power.transform(x)),
            Self::Scale(scaler) => each(values, |x| scaler.transform(x)),
            Self::Quantile(quantiles) => each(values, |x| quantiles.transform(x)),
        }
    }

    /// What would keep it from computing.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let (is_sound, fault) = match self {
            Self::Knn { n_neighbors: 0, .. } => (false, "no neighbours to fill in from"),
            Self::Knn { n_neighbors, .. } if *n_neighbors > 1000 => (false, "more than 1000 neighbours"),
            Self::Impute { with } | Self::Knn { with, .. } => {
                (with.is_finite(), "what stands in for missing cells is not finite")
            }
            Self::Winsorize(bounds) => (bounds.is_sound(), "the bounds are not finite and in order"),
            Self::Log => (true, ""),
            Self::YeoJohnson(power) => (power.is_sound(), "the power is out of range"),
            Self::Scale(scaler) => (scaler.is_sound(), "the scale is not a finite number above 0"),
            Self::Quantile(quantiles) => (quantiles.is_sound(), "the quantiles are not finite and in order"),
        };
        (!is_sound).then_some(fault)
    }
}

/// Fits steps one after another, each to what the one before makes of the training rows, and leaves in `values` what
/// the last makes of them.
pub(super) fn fit_all(
    steps: &[StepSpec],
    values: &mut [f64],
    is_asked: bool,
) -> Result<Vec<NumberStep>, (StepSpec, Unfit)> {
    let mut fitted = Vec::with_capacity(steps.len());
    for spec in steps {
        let Some(step) = NumberStep::fit(spec, values, is_asked).map_err(|unfit| (*spec, unfit))? else {
            continue;
        };
        step.apply(values);
        if step.fault().is_some() || values.iter().any(|v| v.is_infinite()) {
            return Err((*spec, Unfit::TooLarge));
        }
        fitted.push(step);
    }
    Ok(fitted)
}

/// What steps make of numbers, one step after another.
pub(super) fn apply_all(steps: &[NumberStep], values: &mut [f64]) {
    for step in steps {
        step.apply(values);
    }
}

/// What would keep these steps of a column from computing.
pub(super) fn fault(steps: &[NumberStep]) -> Option<&'static str> {
    let is_knn = |step: &NumberStep| matches!(step, NumberStep::Knn { .. });
    let imputes = steps.iter().any(|s| is_knn(s) || matches!(s, NumberStep::Impute { .. }));
    if steps.iter().skip(1).any(is_knn) {
        return Some("neighbours are looked for behind another step");
    }
    let none = (!imputes).then_some("no step fills in missing cells");
    steps.iter().find_map(NumberStep::fault).or(none)
}
