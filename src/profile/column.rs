//! What one column holds.

use serde::Serialize;

use super::histogram::{Histogram, histogram};
use super::moments::{Moments, moments};
use super::quantiles::{Outliers, PROBABILITIES, outliers, quantile};
use super::source::{Column, Role, Values};
use crate::data::ColumnKind;
use crate::data::table::MISSING;

/// How many of the most frequent values are kept.
const MOST_TOP: usize = 10;

/// A value and how often it occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frequent {
    /// The value as text.
    pub value: String,
    /// In how many rows it stands.
    pub count: usize,
}

/// Figures of a column of numbers, or of dates as days since 1970-01-01.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Numbers {
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Mean, standard deviation, skewness, kurtosis.
    #[serde(flatten)]
    pub moments: Moments,
    /// The quantiles of [`PROBABILITIES`].
    pub quantiles: [f64; PROBABILITIES.len()],
    /// How many are 0.
    pub zeros: usize,
    /// How many are below 0.
    pub negative: usize,
    /// Whether all are whole.
    pub whole: bool,
    /// Whether all are whole, and at least every second whole number from the smallest to the largest occurs.
    pub dense: bool,
    /// Those beyond the outer fences.
    pub outliers: Outliers,
    /// Where they lie.
    pub histogram: Histogram,
}

/// What one column holds, and how it goes with the target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnProfile {
    /// The name in the header.
    pub name: String,
    /// What its cells are taken as.
    pub kind: ColumnKind,
    /// Why.
    pub reason: String,
    /// What it is for.
    pub role: Role,
    /// Why nothing is learned of it, if that is so.
    pub dropped: Option<String>,
    /// What its cells are, where they are nothing that is read; then every figure below is of nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_read: Option<&'static str>,
    /// Missing cells.
    pub missing: usize,
    /// Those of them that say something which does not fit the kind.
    pub unreadable: usize,
    /// Up to twenty different texts of such cells.
    pub unreadable_texts: Vec<String>,
    /// Different values.
    pub distinct: usize,
    /// The most frequent values, ten at most; none where no value occurs twice.
    pub top: Vec<Frequent>,
    /// Figures of numbers and dates; none of categories, and none where all cells are missing.
    pub numbers: Option<Numbers>,
    /// How it goes with the target; none without target, and of the target itself.
    pub target: Option<super::target::Relation>,
}

impl ColumnProfile {
    /// Cells that are not missing.
    pub fn present(&self, n_rows: usize) -> usize {
        n_rows - self.missing
    }

    /// A number of this column as people write it: a date where it is one.
    pub fn shown(&self, x: f64) -> String {
        if self.kind == ColumnKind::Date { date(x) } else { x.to_string() }
    }
}

/// The figures of a column. O(n·log n) for numbers, O(n) for categories.
pub fn profile(column: &Column<'_>) -> ColumnProfile {
    let mut found = ColumnProfile {
        name: column.name.to_owned(),
        kind: column.kind,
        reason: column.reason.to_owned(),
        role: column.role,
        dropped: column.dropped.map(str::to_owned),
        not_read: column.not_read.map(named),
        missing: 0,
        unreadable: column.unreadable.0,
        unreadable_texts: column.unreadable.1.to_vec(),
        distinct: 0,
        top: Vec::new(),
        numbers: None,
        target: None,
    };
    match &column.values {
        _ if found.not_read.is_some() => {}
        Values::Numbers(x) => {
            let mut sorted: Vec<f64> = x.iter().copied().filter(|x| !x.is_nan()).collect();
            // Sums in the order of rows are those of other libraries.
            let moments = moments(&sorted);
            sorted.sort_unstable_by(f64::total_cmp);
            found.missing = x.len() - sorted.len();
            of_numbers(&mut found, &sorted, moments);
        }
        Values::Codes { codes, levels } => {
            let mut counts = vec![0_usize; levels.len()];
            codes.iter().filter(|code| **code != MISSING).for_each(|code| counts[*code as usize] += 1);
            found.missing = codes.len() - counts.iter().sum::<usize>();
            found.distinct = counts.iter().filter(|count| **count > 0).count();
            let counted = counts.iter().enumerate().map(|(level, count)| (*count, level));
            found.top = most_frequent(counted, |level| levels[level].clone());
        }
    }
    found
}

/// A type of cells that is not read, in a word: Arrow's types, and what JSON has.
fn named(what: &str) -> &'static str {
    let starts = |names: &[&str]| names.iter().any(|name| what.starts_with(name));
    match () {
        () if starts(&["lists", "objects", "List", "LargeList", "FixedSizeList", "Struct", "Map"]) => {
            "nested"
        }
        () if starts(&["Binary", "LargeBinary", "FixedSizeBinary"]) => "binary",
        () if starts(&["Union"]) => "union",
        () if starts(&["Time32", "Time64"]) => "time of day",
        () if starts(&["Duration", "Interval"]) => "duration",
        () => "another type",
    }
}

fn of_numbers(found: &mut ColumnProfile, sorted: &[f64], moments: Moments) {
    let Some(histogram) = histogram(sorted) else { return };
    let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
    // Equal numbers lie together; −0 and 0 are one.
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    for run in sorted.chunk_by(|a, b| a == b) {
        found.distinct += 1;
        if run.len() > 1 {
            runs.push((run.len(), start));
        }
        start += run.len();
    }
    found.top = most_frequent(runs.into_iter(), |at| found.shown(sorted[at] + 0.0));
    let whole = sorted.iter().all(|x| x.fract() == 0.0);
    found.numbers = Some(Numbers {
        min,
        max,
        moments,
        quantiles: PROBABILITIES.map(|p| quantile(sorted, p)),
        zeros: sorted.iter().filter(|x| **x == 0.0).count(),
        negative: sorted.partition_point(|x| *x < 0.0),
        whole,
        dense: whole && max - min < 2.0 * found.distinct as f64,
        outliers: outliers(sorted),
        histogram,
    });
}

/// The most frequent of these counts, ties in their order; none that occurs but once.
fn most_frequent(
    counts: impl Iterator<Item = (usize, usize)>,
    text: impl Fn(usize) -> String,
) -> Vec<Frequent> {
    let mut counts: Vec<(usize, usize)> = counts.filter(|(count, _)| *count > 1).collect();
    let before = |a: &(usize, usize), b: &(usize, usize)| b.0.cmp(&a.0).then(a.1.cmp(&b.1));
    if counts.len() > MOST_TOP {
        counts.select_nth_unstable_by(MOST_TOP - 1, before);
        counts.truncate(MOST_TOP);
    }
    counts.sort_unstable_by(before);
    counts.into_iter().map(|(count, at)| Frequent { value: text(at), count }).collect()
}

/// Days since 1970-01-01 as `YYYY-MM-DD`, with the time where it is not midnight (the inverse of Howard Hinnant's
/// days_from_civil, "chrono-compatible low-level date algorithms").
pub fn date(days: f64) -> String {
    if !days.is_finite() || days.abs() > 1e9 {
        return days.to_string();
    }
    let seconds = (days * 86_400.0).round();
    let (day, second) = ((seconds / 86_400.0).floor() as i64, seconds.rem_euclid(86_400.0) as i64);
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (d, m) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let y = yoe + era * 400 + i64::from(m <= 2);
    let date = format!("{y:04}-{m:02}-{d:02}");
    if second == 0 { date } else { format!("{date} {:02}:{:02}", second / 3600, second / 60 % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (days, text) in [
            (0.0, "1970-01-01"),
            (10_957.0, "2000-01-01"),
            (11_016.0, "2000-02-29"),
            (-1.0, "1969-12-31"),
            (0.5, "1970-01-01 12:00"),
            (-25_509.0, "1900-02-28"),
        ] {
            assert_eq!(date(days), text);
        }
    }

    #[test]
    fn types_that_are_not_read_have_a_word() {
        for (what, word) in [
            ("lists", "nested"),
            ("Struct(\"a\": Int64)", "nested"),
            ("Map(\"entries\", unsorted)", "nested"),
            ("FixedSizeBinary(4)", "binary"),
            ("Union(Sparse)", "union"),
            ("Time64(µs)", "time of day"),
            ("Interval(MonthDayNano)", "duration"),
            ("BinaryView", "binary"),
            ("Null", "another type"),
        ] {
            assert_eq!(named(what), word, "{what}");
        }
    }

    #[test]
    fn the_most_frequent_stand_first_and_single_ones_not_at_all() {
        let counts = [3, 1, 5, 3, 0].into_iter().zip(0..);
        let top = most_frequent(counts, |level| format!("v{level}"));
        let top: Vec<(&str, usize)> = top.iter().map(|f| (f.value.as_str(), f.count)).collect();
        assert_eq!(top, [("v2", 5), ("v0", 3), ("v3", 3)]);
        assert_eq!(most_frequent((0..100).map(|i| (2 + i % 7, i)), |i| i.to_string()).len(), MOST_TOP);
    }
}
