//! What stands in for missing numbers: the steps `median`, `mean`, `most_frequent` and `constant`.

use super::scale::mean;
use crate::config::StepSpec;

/// The number that stands in, given the numbers of training rows that are present; 0 where there are none, and none for
/// a step that does not impute. They are put in another order, so that a column of many rows needs no copy.
pub(super) fn fit(step: &StepSpec, mut present: Vec<f64>) -> Option<f64> {
    let imputes =
        matches!(step, StepSpec::Median { .. } | StepSpec::Mean { .. } | StepSpec::MostFrequent { .. });
    match *step {
        StepSpec::Constant { value, .. } => Some(value),
        _ if imputes && present.is_empty() => Some(0.0),
        StepSpec::Median { .. } => Some(median(&mut present)),
        StepSpec::Mean { .. } => Some(mean(&present)),
        StepSpec::MostFrequent { .. } => {
            present.sort_unstable_by(f64::total_cmp);
            Some(most_frequent(&present))
        }
        _ => None,
    }
}

/// The value in the middle, or the mean of the two; found without putting all in order.
fn median(values: &mut [f64]) -> f64 {
    let (n, middle) = (values.len(), values.len() / 2);
    let (below, above, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if n.is_multiple_of(2) {
        let below = below.iter().copied().max_by(f64::total_cmp).unwrap_or(*above);
        below + (*above - below) * 0.5
    } else {
        *above
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
        let fitted = |step: StepSpec, present: &[f64]| fit(&step, present.to_vec()).unwrap();
        let indicator = true;
        assert_eq!(fitted(StepSpec::Median { indicator }, &present), 4.0);
        assert_eq!(fitted(StepSpec::Mean { indicator }, &present), 4.5);
        assert_eq!(fitted(StepSpec::MostFrequent { indicator }, &present), 1.0);
        assert_eq!(fitted(StepSpec::Constant { value: -3.0, indicator }, &present), -3.0);
        assert_eq!(fitted(StepSpec::Median { indicator }, &[]), 0.0);
        assert_eq!(fitted(StepSpec::Constant { value: -3.0, indicator }, &[]), -3.0);
        assert_eq!(fit(&StepSpec::Standard, present.to_vec()), None);
    }
}
