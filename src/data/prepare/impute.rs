//! What stands in for missing numbers: the steps `median`, `mean`, `most_frequent` and `constant`.

use super::scale::{mean, quantile};
use crate::config::StepSpec;

/// The number that stands in, given the numbers of training rows that are present; 0 where there are none, and none for
/// a step that does not impute.
pub(super) fn fit(step: &StepSpec, present: &[f64]) -> Option<f64> {
    let sorted = || {
        let mut values = present.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let of = |fitted: &dyn Fn() -> f64| if present.is_empty() { 0.0 } else { fitted() };
    match *step {
        StepSpec::Median { .. } => Some(of(&|| quantile(&sorted(), 0.5))),
        StepSpec::Mean { .. } => Some(of(&|| mean(present))),
        StepSpec::MostFrequent { .. } => Some(of(&|| most_frequent(&sorted()))),
        StepSpec::Constant { value, .. } => Some(value),
        _ => None,
    }
}

/// The most frequent of values in order, the smallest of several, as scikit-learn's `SimpleImputer`.
fn most_frequent(sorted: &[f64]) -> f64 {
    let runs = sorted.chunk_by(|a, b| a == b);
    // Of equal keys the last is the largest, so they are walked through from behind.
    runs.rev().max_by_key(|run| run.len()).map_or(0.0, |run| run[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_takes_the_figure_that_it_names() {
        let present = [4.0, 1.0, 7.0, 4.0, 1.0, 10.0];
        let fitted = |step: StepSpec, present: &[f64]| fit(&step, present).unwrap();
        let indicator = true;
        assert_eq!(fitted(StepSpec::Median { indicator }, &present), 4.0);
        assert_eq!(fitted(StepSpec::Mean { indicator }, &present), 4.5);
        assert_eq!(fitted(StepSpec::MostFrequent { indicator }, &present), 1.0);
        assert_eq!(fitted(StepSpec::Constant { value: -3.0, indicator }, &present), -3.0);
        assert_eq!(fitted(StepSpec::Median { indicator }, &[]), 0.0);
        assert_eq!(fitted(StepSpec::Constant { value: -3.0, indicator }, &[]), -3.0);
        assert_eq!(fit(&StepSpec::Standard, &present), None);
    }
}
