//! Which rows stand for all of them where all would take too long.

use crate::data::RowIdx;
use crate::random::{Purpose, Stream};

/// At most `most` of `n_rows` rows in their order, spread evenly: one drawn by the seed out of each of `most` equal
/// stretches. None where all can be taken.
pub fn rows(n_rows: usize, most: usize, seed: u64) -> Option<Vec<usize>> {
    if n_rows <= most {
        return None;
    }
    let mut stream = Stream::new(seed, Purpose::Profile, 0);
    let start = |i: usize| (i as u128 * n_rows as u128 / most as u128) as usize;
    Some((0..most).map(|i| start(i) + stream.below(start(i + 1) - start(i))).collect())
}

/// At most `most` of these rows, drawn in the same way.
pub fn of(all: &[RowIdx], most: usize, seed: u64) -> Vec<usize> {
    match rows(all.len(), most, seed) {
        None => all.iter().map(|&row| row as usize).collect(),
        Some(drawn) => drawn.into_iter().map(|i| all[i] as usize).collect(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn samples_are_distinct_in_order_and_by_seed() {
        assert_eq!(super::rows(10, 10, 0), None);
        let a = super::rows(1007, 100, 1).unwrap();
        assert_eq!(a.len(), 100);
        assert!(a.windows(2).all(|w| w[0] < w[1]) && a[99] < 1007, "{a:?}");
        assert_eq!(super::rows(1007, 100, 1).unwrap(), a);
        assert_ne!(super::rows(1007, 100, 2).unwrap(), a);
    }
}
