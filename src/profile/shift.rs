//! How one column differs between two tables: its distribution, its missing cells, its categories.

use serde::Serialize;

use super::column::Frequent;
use super::histogram::{Histogram, histogram_like};
use super::quantiles::quantile;
use super::source::{Values, unified};
use super::tail::{chi_squared_tail, kolmogorov_tail, shares_differ};
use crate::data::table::MISSING;

/// The level of all tests of a pair of tables together: where nothing differs, at most one pair in a hundred has a
/// corrected p-value below it.
pub const LEVEL: f64 = 0.01;
/// A population stability index from which a column has shifted; below, a difference is slight.
pub const PSI_SHIFT: f64 = 0.1;
/// From here on much.
pub const PSI_LARGE: f64 = 0.25;
/// The difference of two shares of rows (missing, or of new categories) that matters.
pub const SHARE_SHIFT: f64 = 0.05;
/// Categories that are expected in fewer rows than this, in either table, are put together for χ².
const FEWEST_EXPECTED: f64 = 5.0;
/// Categories that are told with their counts.
const MOST_LEVELS: usize = 10;

/// A test of whether two tables differ.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tested {
    /// The chance of as great a difference where there is none.
    pub p: f64,
    /// The same, corrected for all tests of the two tables (Holm 1979).
    pub adjusted: f64,
}

/// Which test compares the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Of two samples of numbers.
    KolmogorovSmirnov,
    /// Of the counts of categories.
    ChiSquared,
}

/// What to think of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No more than chance would do.
    Same,
    /// More than chance would do, and too little to matter.
    Slight,
    /// A shift.
    Shifted,
    /// A large one.
    Large,
}

impl Verdict {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Slight => "slight",
            Self::Shifted => "shifted",
            Self::Large => "large",
        }
    }
}

/// A category and the rows that it has in either table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Level {
    /// The category.
    pub value: String,
    /// Rows in the table itself, and in the other.
    pub counts: [usize; 2],
}

/// How one column differs. Pairs are of the table itself and of the other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnShift {
    /// The column, as an index into the profile's.
    pub column: usize,
    /// Which test compares the values.
    pub test: Test,
    /// D, the largest distance of the two distribution functions, or χ²; none where there is nothing to compare.
    pub statistic: Option<f64>,
    /// Degrees of freedom of χ².
    pub df: Option<usize>,
    /// Whether the values differ.
    pub values: Option<Tested>,
    /// The population stability index.
    pub psi: Option<f64>,
    /// Missing cells.
    pub missing: [usize; 2],
    /// Whether the shares of missing cells differ; none where no cell is missing.
    pub missing_test: Option<Tested>,
    /// Medians of numbers.
    pub median: Option<[f64; 2]>,
    /// Numbers of the other table outside the range of this one.
    pub outside: usize,
    /// Where the other table's numbers lie, in the parts of this one's histogram.
    pub histogram: Option<Histogram>,
    /// The most frequent categories of both together, ten at most.
    pub levels: Vec<Level>,
    /// Categories that only the other table has: how many, and in how many of its rows.
    pub new: [usize; 2],
    /// The most frequent of them, ten at most.
    pub new_levels: Vec<Frequent>,
    /// Whether there are more rows of new categories than chance brings (Good 1953).
    pub new_test: Option<Tested>,
    /// Categories that only this table has.
    pub gone: usize,
    /// The most frequent of them, ten at most.
    pub gone_levels: Vec<Frequent>,
    /// What to think of it.
    pub verdict: Verdict,
}

impl ColumnShift {
    /// How far a column lies from being the same, to rank columns by.
    pub fn size(&self, n_rows: [usize; 2]) -> f64 {
        self.psi.unwrap_or(0.0).max(self.missing_rates_apart(n_rows)).max(self.new_share(n_rows))
    }

    /// The smallest corrected p-value of its tests.
    pub fn least_p(&self) -> Option<f64> {
        let tests = [self.values, self.missing_test, self.new_test];
        tests.into_iter().flatten().map(|test| test.adjusted).min_by(f64::total_cmp)
    }

    /// The distance of the two shares of missing cells.
    pub fn missing_rates_apart(&self, n_rows: [usize; 2]) -> f64 {
        let [here, there] = [0, 1].map(|i| self.missing[i] as f64 / n_rows[i].max(1) as f64);
        (here - there).abs()
    }

    /// The share of the other table's rows, missing ones aside, that are of new categories.
    pub fn new_share(&self, n_rows: [usize; 2]) -> f64 {
        self.new[1] as f64 / (n_rows[1] - self.missing[1]).max(1) as f64
    }
}

/// A column compared, and the p-values of its tests before any correction.
pub(super) struct Compared {
    pub(super) shift: ColumnShift,
    /// Of values, of missing cells, of new categories.
    pub(super) p: [Option<f64>; 3],
    /// Rows of this table, of those that are not missing, whose category no other row of it has.
    single: [usize; 2],
}

/// Compares a column of two tables; `like` is the histogram of numbers here.
///
/// Numbers: Kolmogorov–Smirnov, the limiting distribution at (√n + 0.12 + 0.11/√n)·D with n = n₁n₂/(n₁ + n₂) (Stephens
/// 1970); ties make it cautious. Categories: χ² of the counts, rare categories put together. The population stability
/// index Σ (q − p)·ln(q/p) runs over the tenths of the numbers here, or over the same categories as χ²; half a row is
/// added to each part, so that an empty one has a logarithm. O(n·log n).
pub(super) fn compare(column: usize, [here, there]: [&Values<'_>; 2], like: Option<&Histogram>) -> Compared {
    let n_rows = [here.len(), there.len()];
    let shift = ColumnShift {
        column,
        test: Test::KolmogorovSmirnov,
        statistic: None,
        df: None,
        values: None,
        psi: None,
        missing: [0; 2],
        missing_test: None,
        median: None,
        outside: 0,
        histogram: None,
        levels: Vec::new(),
        new: [0; 2],
        new_levels: Vec::new(),
        new_test: None,
        gone: 0,
        gone_levels: Vec::new(),
        verdict: Verdict::Same,
    };
    let mut found = Compared { shift, p: [None; 3], single: [0; 2] };
    if let (Values::Numbers(x), Values::Numbers(y)) = (here, there) {
        of_numbers(&mut found, [sorted(x), sorted(y)], like);
    } else {
        found.shift.test = Test::ChiSquared;
        let (codes, levels) = unified([here, there]);
        of_categories(&mut found, &codes, &levels);
    }
    found.p[1] = shares_differ(found.shift.missing, n_rows);
    found
}

impl Compared {
    /// The difference with its corrected tests.
    pub(super) fn judged(mut self, tested: [Option<Tested>; 3], n_rows: [usize; 2]) -> ColumnShift {
        let shift = &mut self.shift;
        [shift.values, shift.missing_test, shift.new_test] = tested;
        let below = |test: Option<Tested>| test.is_some_and(|test| test.adjusted < LEVEL);
        let psi = shift.psi.filter(|_| below(shift.values)).unwrap_or(0.0);
        // How many new ones chance brings is the share here that would be new, were it not there.
        let chance = self.single[0] as f64 / self.single[1].max(1) as f64;
        let new = shift.new_share(n_rows) - chance;
        let shares = [
            if below(shift.missing_test) { shift.missing_rates_apart(n_rows) } else { 0.0 },
            if below(shift.new_test) { new } else { 0.0 },
        ];
        let share = shares[0].max(shares[1]);
        shift.verdict = if psi >= PSI_LARGE || share >= 0.25 {
            Verdict::Large
        } else if psi >= PSI_SHIFT || share >= SHARE_SHIFT {
            Verdict::Shifted
        } else if tested.into_iter().any(below) {
            Verdict::Slight
        } else {
            Verdict::Same
        };
        self.shift
    }
}

fn sorted(x: &[f64]) -> (Vec<f64>, usize) {
    let mut sorted: Vec<f64> = x.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let missing = x.len() - sorted.len();
    (sorted, missing)
}

fn of_numbers(found: &mut Compared, [here, there]: [(Vec<f64>, usize); 2], like: Option<&Histogram>) {
    let shift = &mut found.shift;
    shift.missing = [here.1, there.1];
    let (x, y) = (here.0, there.0);
    shift.histogram = like.map(|like| histogram_like(like, &y));
    let (Some(first), Some(last), false) = (x.first(), x.last(), y.is_empty()) else { return };
    shift.median = Some([quantile(&x, 0.5), quantile(&y, 0.5)]);
    shift.outside = y.partition_point(|v| v < first) + y.len() - y.partition_point(|v| v <= last);
    let d = distance(&x, &y);
    let (n, m) = (x.len() as f64, y.len() as f64);
    let root = (n * m / (n + m)).sqrt();
    shift.statistic = Some(d);
    found.p[0] = Some(kolmogorov_tail((root + 0.12 + 0.11 / root) * d));
    let mut ends: Vec<f64> = (1..10).map(|i| quantile(&x, f64::from(i) / 10.0)).collect();
    ends.dedup();
    let counts = |v: &[f64]| {
        let mut before = 0;
        let mut counts: Vec<usize> = ends
            .iter()
            .map(|end| {
                let place = v.partition_point(|v| v <= end);
                place - std::mem::replace(&mut before, place)
            })
            .collect();
        counts.push(v.len() - before);
        counts
    };
    shift.psi = Some(stability(&counts(&x), &counts(&y)));
}

/// The largest distance of the distribution functions of two samples of sorted numbers.
fn distance(x: &[f64], y: &[f64]) -> f64 {
    let (mut i, mut j, mut largest) = (0, 0, 0.0_f64);
    while i < x.len() && j < y.len() {
        let at = x[i].min(y[j]);
        i += x[i..].iter().take_while(|v| **v <= at).count();
        j += y[j..].iter().take_while(|v| **v <= at).count();
        largest = largest.max((i as f64 / x.len() as f64 - j as f64 / y.len() as f64).abs());
    }
    largest
}

/// The population stability index of counts by part, half a row added to each.
fn stability(p: &[usize], q: &[usize]) -> f64 {
    let total = |counts: &[usize]| counts.iter().sum::<usize>() as f64 + 0.5 * counts.len() as f64;
    let (all_p, all_q) = (total(p), total(q));
    let parts = p.iter().zip(q).map(|(p, q)| ((*p as f64 + 0.5) / all_p, (*q as f64 + 0.5) / all_q));
    parts.map(|(p, q)| (p - q) * (p / q).ln()).sum()
}

fn of_categories(found: &mut Compared, codes: &[Vec<u32>; 2], levels: &[&str]) {
    let counts = codes.each_ref().map(|codes| {
        let mut counts = vec![0_usize; levels.len()];
        codes.iter().filter(|code| **code != MISSING).for_each(|code| counts[*code as usize] += 1);
        counts
    });
    let present = counts.each_ref().map(|counts| counts.iter().sum::<usize>());
    let shift = &mut found.shift;
    shift.missing = [codes[0].len() - present[0], codes[1].len() - present[1]];
    let pairs: Vec<[usize; 2]> = counts[0].iter().zip(&counts[1]).map(|(a, b)| [*a, *b]).collect();

    let pairs = pairs.as_slice();
    let mut order: Vec<usize> = (0..levels.len()).filter(|&i| pairs[i] != [0, 0]).collect();
    order.sort_by(|&a, &b| {
        let total = |i: usize| pairs[i][0] + pairs[i][1];
        total(b).cmp(&total(a)).then(levels[a].cmp(levels[b]))
    });
    let level = |&i: &usize| Level { value: levels[i].to_owned(), counts: pairs[i] };
    shift.levels = order.iter().take(MOST_LEVELS).map(level).collect();
    let order = order.as_slice();
    let only = |of: usize| order.iter().copied().filter(move |&i| pairs[i][1 - of] == 0);
    let told = |of: usize| {
        only(of)
            .take(MOST_LEVELS)
            .map(|i| Frequent { value: levels[i].to_owned(), count: pairs[i][of] })
            .collect()
    };
    shift.gone = only(0).count();
    shift.gone_levels = told(0);
    shift.new = [only(1).count(), only(1).map(|i| pairs[i][1]).sum()];
    shift.new_levels = told(1);
    if present.contains(&0) {
        return;
    }
    // Good (1953): a further row is of a category not seen before as often as rows seen are the only ones of theirs.
    found.single = [pairs.iter().filter(|pair| pair[0] == 1).count(), present[0]];
    let more = shift.new[1] * present[0] > found.single[0] * present[1];
    found.p[2] = shares_differ([found.single[0], shift.new[1]], present).map(|p| if more { p } else { 1.0 });

    let n = (present[0] + present[1]) as f64;
    let smaller = present[0].min(present[1]) as f64;
    let mut rare = [0, 0];
    let mut parts: Vec<[usize; 2]> = Vec::new();
    for pair in pairs {
        if ((pair[0] + pair[1]) as f64) * smaller / n < FEWEST_EXPECTED {
            rare = [rare[0] + pair[0], rare[1] + pair[1]];
        } else {
            parts.push(*pair);
        }
    }
    if rare != [0, 0] {
        parts.push(rare);
    }
    let of = |table: usize| parts.iter().map(|pair| pair[table]).collect::<Vec<_>>();
    shift.psi = Some(stability(&of(0), &of(1)));
    if parts.len() > 1 {
        let chi: f64 = parts
            .iter()
            .flat_map(|pair| {
                [0, 1].map(|t| (pair[t] as f64, (pair[0] + pair[1]) as f64 * present[t] as f64 / n))
            })
            .map(|(seen, expected)| (seen - expected).powi(2) / expected)
            .sum();
        shift.statistic = Some(chi);
        shift.df = Some(parts.len() - 1);
        found.p[0] = Some(chi_squared_tail(chi, parts.len() - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_taken_behind_ties() {
        assert!((distance(&[1.0, 1.0, 2.0], &[1.0, 2.0, 2.0]) - 1.0 / 3.0).abs() < 1e-15);
        assert_eq!(distance(&[1.0, 2.0], &[3.0]), 1.0);
        assert_eq!(distance(&[1.0, 2.0], &[1.0, 1.0, 2.0, 2.0]), 0.0);
    }

    #[test]
    fn equal_parts_are_stable_and_empty_ones_have_a_logarithm() {
        assert_eq!(stability(&[5, 5], &[5, 5]), 0.0);
        // (10.5 − 0.5)/11·ln 21, twice.
        let by_hand = 2.0 * 10.0 / 11.0 * 21.0_f64.ln();
        assert!((stability(&[10, 0], &[0, 10]) - by_hand).abs() < 1e-12);
    }
}
