//! What weights of dense layers are brought back to after each step.

use statera_kernels::Scalar;

use crate::config::{Constraint, OptimizerConfig};
use crate::nn::View;

/// The constraints of a network's weights, and memory for norms.
#[derive(Debug)]
pub(super) struct Constraints {
    bounds: Vec<Bound>,
    /// As many as the widest constrained layer has units.
    norms: Vec<f64>,
}

/// The constraint of one weight.
#[derive(Debug)]
struct Bound {
    range: std::ops::Range<usize>,
    /// O.
    n_units: usize,
    constraint: Constraint,
    max_norm: f64,
}

impl Constraints {
    /// Those of the settings, or of a layer itself where it has its own.
    pub(super) fn new(settings: &OptimizerConfig, views: &[View]) -> Self {
        let mut bounds = Vec::new();
        for view in views {
            let (Some(rules), [.., n_inputs, n_units]) = (view.dense, &view.shape[..]) else { continue };
            let constraint = rules.constraint.unwrap_or(settings.constraint);
            // Weights with a rate of 0 stay as they start.
            if constraint == Constraint::None || view.lr_factor == 0.0 {
                continue;
            }
            let max_norm = rules.max_norm.unwrap_or(settings.max_norm);
            // Members of an ensemble with weights of their own have a matrix each.
            let starts = view.range().step_by((n_inputs * n_units).max(1));
            bounds.extend(starts.map(|start| Bound {
                range: start..start + n_inputs * n_units,
                n_units: *n_units,
                constraint,
                max_norm,
            }));
        }
        let widest = bounds.iter().map(|bound: &Bound| bound.n_units).max().unwrap_or(0);
        Self { bounds, norms: vec![0.0; widest] }
    }

    /// Brings each constrained weight to the nearest one that is allowed.
    pub(super) fn apply<T: Scalar>(&mut self, params: &mut [T]) {
        for bound in &self.bounds {
            let weight = &mut params[bound.range.clone()];
            let norms = &mut self.norms[..bound.n_units];
            match bound.constraint {
                Constraint::None => {}
                Constraint::NonNegative => {
                    for w in weight {
                        *w = if *w < T::ZERO { T::ZERO } else { *w };
                    }
                }
                Constraint::MaxNorm => scale_units(weight, norms, |norm| (bound.max_norm / norm).min(1.0)),
                Constraint::UnitNorm => {
                    // Weights that are all zero have no direction to be stretched in.
                    let stretch = |norm: f64| if norm > 0.0 { 1.0 / norm } else { 1.0 };
                    scale_units(weight, norms, stretch);
                }
            }
        }
    }
}

/// Multiplies each unit's weights, a column of `weight` (I×O), by what follows from their norm, which is summed in
/// double precision from the first input to the last.
fn scale_units<T: Scalar>(weight: &mut [T], norms: &mut [f64], factor: impl Fn(f64) -> f64) {
    norms.fill(0.0);
    for row in weight.chunks_exact(norms.len()) {
        for (norm, w) in norms.iter_mut().zip(row) {
            *norm += w.to_f64() * w.to_f64();
        }
    }
    for norm in &mut *norms {
        *norm = factor(norm.sqrt());
    }
    for row in weight.chunks_exact_mut(norms.len()) {
        for (w, factor) in row.iter_mut().zip(&*norms) {
            *w *= T::from_f64(*factor);
        }
    }
}
