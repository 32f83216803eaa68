//! What becomes of categories: the steps `rare`, `one_hot`, `embedding`, `ordinal`, `count` and `hashing`.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::table::MISSING;

/// The categories of the training rows, and the place that each of them takes: the frequent ones in their order, then
/// the rare ones together, then missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    /// Those with a place of their own, sorted by their bytes.
    pub names: Vec<String>,
    /// Those that share a place, sorted; training lacks what joins them, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rare: Vec<String>,
    /// Whether missing is a level too, the last; else a missing cell is as one of an unseen level.
    pub missing: bool,
    /// The level that stands in for missing cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<String>,
}

impl Levels {
    /// The levels that `codes` of the training rows have, none of them rare, and how many rows each has; missing last
    /// where there is any.
    pub(super) fn fit(codes: impl Iterator<Item = u32>, names: &[String]) -> (Self, Vec<usize>) {
        let mut counts = vec![0_usize; names.len()];
        let mut n_missing = 0;
        for code in codes {
            *counts.get_mut(code as usize).unwrap_or(&mut n_missing) += 1;
        }
        let seen = names.iter().zip(&counts).filter(|(_, n)| **n > 0).map(|(name, _)| name.clone());
        let levels = Self { names: seen.collect(), missing: n_missing > 0, ..Self::default() };
        counts.retain(|n| *n > 0);
        counts.extend((n_missing > 0).then_some(n_missing));
        (levels, counts)
    }

    /// Lets the most frequent level stand in for missing cells, the first in order of several.
    pub(super) fn fill_in(&mut self, counts: &mut Vec<usize>) {
        let most = (0..self.names.len()).rev().max_by_key(|&level| counts[level]);
        if let Some(level) = most {
            self.fill = Some(self.names[level].clone());
            if self.missing {
                counts[level] += counts.pop().unwrap_or(0);
                self.missing = false;
            }
        }
    }

    /// Puts the rare ones together, as scikit-learn's `OneHotEncoder`: those with fewer rows than `min_frequency`, or
    /// than this share of `n_rows` where it is below 1; then the rarest until `max_categories` are left, the rare ones
    /// counted as one, of equally frequent ones the first in order (0: no limit). Missing is never rare.
    pub(super) fn join_rare(&mut self, counts: &mut Vec<usize>, min_frequency: f64, max_categories: usize) {
        let n_rows: usize = counts.iter().sum();
        let least = if min_frequency < 1.0 { min_frequency * n_rows as f64 } else { min_frequency };
        let mut is_rare: Vec<bool> = counts[..self.names.len()].iter().map(|n| (*n as f64) < least).collect();
        let n_rare = is_rare.iter().filter(|is| **is).count();
        let left = self.names.len() - n_rare + usize::from(n_rare > 0);
        if max_categories > 0 && left > max_categories {
            let mut order: Vec<usize> = (0..self.names.len()).collect();
            order.sort_by_key(|&level| counts[level]);
            order[..self.names.len() + 1 - max_categories].iter().for_each(|&level| is_rare[level] = true);
        }
        let mut rows_of_rare = 0;
        let mut kept = Vec::with_capacity(counts.len());
        let mut names = Vec::with_capacity(self.names.len());
        for (level, name) in std::mem::take(&mut self.names).into_iter().enumerate() {
            if is_rare[level] {
                rows_of_rare += counts[level];
                self.rare.push(name);
            } else {
                kept.push(counts[level]);
                names.push(name);
            }
        }
        kept.extend((!self.rare.is_empty()).then_some(rows_of_rare));
        kept.extend(self.missing.then(|| counts.last().copied().unwrap_or(0)));
        (self.names, *counts) = (names, kept);
    }

    /// How many places there are.
    pub fn n_places(&self) -> usize {
        self.names.len() + usize::from(!self.rare.is_empty()) + usize::from(self.missing)
    }

    /// The place of the rare ones.
    pub(super) fn rare_place(&self) -> Option<usize> {
        (!self.rare.is_empty()).then_some(self.names.len())
    }

    /// The place of missing, or of what stands in for it.
    pub(super) fn missing_place(&self) -> Option<usize> {
        match &self.fill {
            Some(level) => self.place(level).0,
            None => self.missing.then(|| self.n_places() - 1),
        }
    }

    /// The place of a level, and whether training has it; no place for one that it lacks, unless rare ones have one.
    pub(super) fn place(&self, level: &str) -> (Option<usize>, bool) {
        let of = |list: &[String]| list.binary_search_by(|name| name.as_str().cmp(level)).ok();
        match of(&self.names) {
            Some(place) => (Some(place), true),
            None => (self.rare_place(), of(&self.rare).is_some()),
        }
    }

    /// The place of a code of `names`.
    pub(super) fn place_of_code(&self, places: &[(Option<usize>, bool)], code: u32) -> Option<usize> {
        if code == MISSING { self.missing_place() } else { places[code as usize].0 }
    }

    /// What each place is called.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        let rare = (!self.rare.is_empty()).then_some("rare");
        self.names.iter().map(String::as_str).chain(rare).chain(self.missing.then_some("missing"))
    }

    pub(super) fn are_sound(&self) -> bool {
        let is_rising = |list: &[String]| list.is_sorted_by(|a, b| a < b);
        is_rising(&self.names)
            && is_rising(&self.rare)
            && self.rare.iter().all(|name| self.names.binary_search(name).is_err())
    }
}

/// What becomes of a category's place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Encoding {
    /// `one_hot`: a feature for each place, 1 at that of the cell; all 0 for a cell without a place.
    OneHot,
    /// `embedding`: the place itself, for a table of vectors; the number of places for a cell without one.
    Code,
    /// `hashing`: a feature for each bucket, 1 for that of the cell.
    Buckets {
        /// How many.
        n_buckets: usize,
    },
    /// `ordinal` and `count`, with the steps of numbers that come after: a number for each place.
    Numbers {
        /// The features that come of it.
        features: Vec<Lookup>,
    },
}

/// A number for each place of a category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// What follows the column's name in that of the feature; mostly nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suffix: String,
    /// The number of each place.
    pub values: Vec<f64>,
    /// The number of a cell without a place.
    pub unseen: f64,
}

impl Lookup {
    /// The number of a place.
    pub(super) fn of(&self, place: Option<usize>) -> f64 {
        place.map_or(self.unseen, |place| self.values[place])
    }

    /// Changes all numbers by `change`.
    pub(super) fn change(&mut self, change: impl Fn(&mut [f64])) {
        change(&mut self.values);
        change(std::slice::from_mut(&mut self.unseen));
    }
}

/// The numbers 0, 1, … of the places, −1 for none, as scikit-learn's `OrdinalEncoder` with `unknown_value=-1` has them.
pub(super) fn ordinal(levels: &Levels) -> Lookup {
    let values = (0..levels.n_places()).map(|place| place as f64).collect();
    Lookup { suffix: String::new(), values, unseen: -1.0 }
}

/// How many training rows each place has, or which share of them, as category_encoders' `CountEncoder`.
pub(super) fn count(counts: &[usize], normalize: bool) -> Lookup {
    let n_rows = if normalize { counts.iter().sum::<usize>().max(1) as f64 } else { 1.0 };
    let values = counts.iter().map(|&n| n as f64 / n_rows).collect();
    let suffix = if normalize { ".share" } else { ".count" };
    Lookup { suffix: suffix.to_owned(), values, unseen: 0.0 }
}

/// The bucket of a level: its SHA-256, as a number whose first byte weighs most, modulo `n_buckets`; that of
/// category_encoders' `HashingEncoder` with `hash_method="sha256"`.
pub(super) fn bucket(level: &str, n_buckets: usize) -> usize {
    let n = n_buckets as u64;
    // What is left of the bytes so far stays below n, which is far below 2⁵⁶.
    Sha256::digest(level.as_bytes()).iter().fold(0, |left, byte| (left * 256 + u64::from(*byte)) % n) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(codes: &[u32]) -> (Levels, Vec<usize>) {
        let names = ["a", "b", "c", "d", "e"].map(String::from);
        Levels::fit(codes.iter().copied(), &names)
    }

    #[test]
    fn levels_are_those_of_the_rows_and_rare_ones_share_a_place() {
        let codes = [0, 0, 0, 0, 1, 1, 3, 3, 4, MISSING, MISSING];
        let (mut fitted, mut counts) = levels(&codes);
        assert_eq!((fitted.names.join(""), counts.clone()), ("abde".into(), vec![4, 2, 2, 1, 2]));
        assert_eq!(
            (fitted.n_places(), fitted.missing_place(), fitted.place("c")),
            (5, Some(4), (None, false))
        );
        fitted.join_rare(&mut counts, 2.0, 0);
        assert_eq!((fitted.rare.join(""), counts.clone()), ("e".into(), vec![4, 2, 2, 1, 2]));
        assert_eq!((fitted.place("e"), fitted.place("c")), ((Some(3), true), (Some(3), false)));
        assert_eq!(fitted.labels().collect::<Vec<_>>(), ["a", "b", "d", "rare", "missing"]);
        assert!(fitted.are_sound());
        // By share, of eleven rows; missing stays, however few cells are.
        let (mut fitted, mut counts) = levels(&codes);
        fitted.join_rare(&mut counts, 0.3, 0);
        assert_eq!((fitted.names.join(""), counts), ("a".into(), vec![4, 5, 2]));
        // By number: of the equally frequent b and d the first goes, as in scikit-learn.
        let (mut fitted, mut counts) = levels(&codes);
        fitted.join_rare(&mut counts, 0.0, 3);
        assert_eq!((fitted.names.join(""), fitted.rare.join("")), ("ad".into(), "be".into()));
        let (mut fitted, mut counts) = levels(&codes);
        fitted.join_rare(&mut counts, 0.0, 4);
        assert_eq!((fitted.names.join(""), fitted.rare.join("")), ("abde".into(), String::new()));
        fitted.join_rare(&mut counts, 0.0, 1);
        assert_eq!((fitted.names.join(""), counts), (String::new(), vec![9, 2]));
        let (mut fitted, mut counts) = levels(&[1, 1, 0, 0, 3, MISSING]);
        fitted.fill_in(&mut counts);
        assert_eq!((fitted.missing_place(), counts), (Some(0), vec![3, 2, 1]));
    }

    #[test]
    fn numbers_and_buckets() {
        let (fitted, counts) = levels(&[0, 0, 1, MISSING]);
        assert_eq!(ordinal(&fitted).values, [0.0, 1.0, 2.0]);
        assert_eq!(ordinal(&fitted).of(None), -1.0);
        assert_eq!(count(&counts, true).values, [0.5, 0.25, 0.25]);
        assert_eq!(count(&counts, false).of(Some(0)), 2.0);
        // int(hashlib.sha256(b"southwest").hexdigest(), 16) % 8, and of "" % 1000.
        assert_eq!((bucket("southwest", 8), bucket("", 1000)), (1, 549));
    }
}
