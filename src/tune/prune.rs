//! When a trial is given up because others did better by the same epoch.

use serde::{Deserialize, Serialize};

/// The rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pruner {
    /// No trial is given up.
    None,
    /// Asynchronous successive halving (Li et al. 2020, "A system for massively parallel hyperparameter tuning").
    Asha,
    /// Worse than the median of the others (Golovin et al. 2017, "Google Vizier").
    Median,
}

/// Epochs before the first look of [`Pruner::Asha`].
pub(super) const FIRST_RUNG: usize = 4;
/// Of the trials that reach a rung, one in so many goes on; the next rung is so many times as far.
pub(super) const REDUCTION: usize = 3;
/// Epochs before the first look of [`Pruner::Median`].
const WARM_UP: usize = 4;
/// Trials that a median is taken of, at least.
const FEWEST: usize = 5;

impl Pruner {
    /// The names, as they stand in settings.
    pub const NAMES: [&str; 3] = ["none", "asha", "median"];

    /// The rule of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::None, Self::Asha, Self::Median]
            .into_iter()
            .zip(Self::NAMES)
            .find(|(_, n)| *n == name)
            .map(|(p, _)| p)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Whether anything is to be asked after this epoch, counted from 1.
    pub fn looks_at(self, epoch: usize) -> bool {
        match self {
            Self::None => false,
            Self::Asha => is_rung(epoch),
            Self::Median => epoch >= WARM_UP,
        }
    }

    /// Why a trial is given up after `epoch` epochs: its best figure so far is `own`, those of the trials before it that
    /// came as far are `others`, less being better; none where it goes on.
    pub fn gives_up(self, epoch: usize, own: f64, others: &mut [f64]) -> Option<String> {
        others.sort_unstable_by(f64::total_cmp);
        match self {
            Self::None => None,
            Self::Asha => {
                let better = others.partition_point(|other| *other < own);
                let n = others.len() + 1;
                // With fewer than so many trials nobody can be among the best part of them.
                let go_on = if n < REDUCTION { n } else { n / REDUCTION };
                (better >= go_on).then(|| format!("after {epoch} epochs {better} of {n} trials were better"))
            }
            Self::Median => {
                let median = *others.get(others.len() / 2).filter(|_| others.len() >= FEWEST)?;
                (own > median)
                    .then(|| format!("after {epoch} epochs worse than half of {} trials", others.len()))
            }
        }
    }
}

/// Whether an epoch is [`FIRST_RUNG`] times a power of [`REDUCTION`].
fn is_rung(epoch: usize) -> bool {
    let mut rung = FIRST_RUNG;
    while rung < epoch {
        rung *= REDUCTION;
    }
    rung == epoch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_keeps_the_best_third_of_each_rung() {
        let rungs: Vec<usize> = (1..200).filter(|&epoch| Pruner::Asha.looks_at(epoch)).collect();
        assert_eq!(rungs, [4, 12, 36, 108]);
        let gives_up =
            |own: f64, others: &[f64]| Pruner::Asha.gives_up(4, own, &mut others.to_vec()).is_some();
        assert!(!gives_up(9.0, &[]) && !gives_up(9.0, &[1.0]), "two trials say nothing");
        assert!(gives_up(2.0, &[3.0, 1.0]) && !gives_up(0.5, &[3.0, 1.0]));
        let others = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert!(!gives_up(1.5, &others) && gives_up(2.5, &others));
    }

    #[test]
    fn the_median_rule_waits_for_epochs_and_trials() {
        assert!(!Pruner::Median.looks_at(3) && Pruner::Median.looks_at(4) && !Pruner::None.looks_at(4));
        let gives_up =
            |own: f64, others: &[f64]| Pruner::Median.gives_up(4, own, &mut others.to_vec()).is_some();
        assert!(!gives_up(9.0, &[1.0, 2.0, 3.0, 4.0]));
        assert!(gives_up(3.5, &[1.0, 2.0, 3.0, 4.0, 5.0]) && !gives_up(3.0, &[1.0, 2.0, 3.0, 4.0, 5.0]));
    }

    #[test]
    fn names_are_found_again() {
        for name in Pruner::NAMES {
            assert_eq!(Pruner::named(name).unwrap().name(), name);
        }
        assert_eq!(Pruner::named("hyperband"), None);
    }
}
