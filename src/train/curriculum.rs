//! Curriculum learning (Bengio et al. 2009): the easiest rows first, then more and more, then all.

use crate::config::{CurriculumBy, CurriculumConfig, Pacing};

/// Which rows each epoch learns from.
#[derive(Debug, Clone)]
pub struct Curriculum {
    settings: CurriculumConfig,
    /// The place of each row in the order of learning, 0 first.
    ranks: Vec<u32>,
    /// Rows that an epoch has at least.
    fewest: usize,
}

impl Curriculum {
    /// Rows by how hard they are, those as hard as each other in their own order and those without a number last; an epoch has `batch_size` rows at
    /// least. Settings that ask for none give none, as does an empty `difficulty`.
    pub fn new(settings: &CurriculumConfig, difficulty: &[f64], batch_size: usize) -> Self {
        let difficulty = if settings.by == CurriculumBy::None { &[] } else { difficulty };
        let mut order: Vec<u32> = (0..difficulty.len() as u32).collect();
        let hard = |row: u32| difficulty[row as usize];
        order.sort_by(|&a, &b| {
            let by_size = hard(a).total_cmp(&hard(b));
            let by_size = if settings.reverse { by_size.reverse() } else { by_size };
            hard(a).is_nan().cmp(&hard(b).is_nan()).then(by_size)
        });
        let mut ranks = vec![0; order.len()];
        for (rank, row) in order.into_iter().enumerate() {
            ranks[row as usize] = rank as u32;
        }
        Self { settings: settings.clone(), ranks, fewest: batch_size }
    }

    /// The share of the rows that epoch `epoch`, from 1 on, learns from: with c₀ the share to start with, E the epochs
    /// until all rows are and t = (epoch − 1)/E,
    ///
    /// - linear: c₀ + (1 − c₀)·t;
    /// - root: √(c₀² + (1 − c₀²)·t), by which new rows come in ever more slowly (Platanios et al. 2019, equation 8
    ///   with p = 2);
    /// - step: c₀, and 1 from t = 1 on (Hacohen & Weinshall 2019, single step).
    pub fn share(&self, epoch: usize) -> f64 {
        let start = self.settings.start;
        let t = (epoch as f64 - 1.0) / self.settings.epochs as f64;
        if t >= 1.0 {
            return 1.0;
        }
        match self.settings.pacing {
            Pacing::Linear => start + (1.0 - start) * t,
            Pacing::Root => (start * start + (1.0 - start * start) * t).sqrt(),
            Pacing::Step => start,
        }
    }

    /// Writes the numbers of the rows of an epoch to `order`, ascending, out of `n_rows` rows in all.
    pub fn choose(&self, epoch: usize, n_rows: usize, order: &mut Vec<u32>) {
        let n_chosen = (self.share(epoch) * n_rows as f64).ceil().max(self.fewest as f64);
        let is_chosen = |row: &u32| self.ranks.get(*row as usize).is_none_or(|&r| f64::from(r) < n_chosen);
        order.clear();
        order.extend((0..n_rows as u32).filter(is_chosen));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn settings(pacing: Pacing) -> CurriculumConfig {
        CurriculumConfig {
            by: CurriculumBy::Loss,
            pacing,
            start: 0.25,
            epochs: 4,
            ..Config::default().curriculum
        }
    }

    #[test]
    fn shares_by_hand() {
        let shares = |pacing| [1, 2, 3, 4, 5, 9].map(|e| Curriculum::new(&settings(pacing), &[], 1).share(e));
        assert_eq!(shares(Pacing::Linear), [0.25, 0.4375, 0.625, 0.8125, 1.0, 1.0]);
        assert_eq!(shares(Pacing::Step), [0.25, 0.25, 0.25, 0.25, 1.0, 1.0]);
        let root = [0.0625_f64, 0.296_875, 0.531_25, 0.765_625, 1.0, 1.0].map(f64::sqrt);
        assert_eq!(shares(Pacing::Root), root);
    }

    #[test]
    fn the_easiest_come_first_and_a_batch_at_least() {
        let hard = [5.0, 1.0, f64::NAN, 1.0, 3.0, f64::INFINITY, 0.0, 2.0];
        let chosen = |reverse, batch_size, epoch| {
            let settings = CurriculumConfig { reverse, ..settings(Pacing::Linear) };
            let mut order = vec![77];
            Curriculum::new(&settings, &hard, batch_size).choose(epoch, hard.len(), &mut order);
            order
        };
        assert_eq!(chosen(false, 1, 1), [1, 6]);
        // 0.4375 of 8 rows is 3.5, taken as 4; rows 1 and 3 are as hard as each other.
        assert_eq!(chosen(false, 1, 2), [1, 3, 6, 7]);
        assert_eq!(chosen(false, 3, 1), [1, 3, 6]);
        assert_eq!(chosen(true, 1, 1), [0, 5]);
        assert_eq!(chosen(true, 1, 5), [0, 1, 2, 3, 4, 5, 6, 7]);
        let mut order = Vec::new();
        Curriculum::new(&settings(Pacing::Linear), &[], 1).choose(1, 3, &mut order);
        assert_eq!(order, [0, 1, 2], "without a curriculum all rows are learned from");
    }
}
