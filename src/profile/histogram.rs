//! Histograms of numbers that one outlier does not flatten.

use serde::Serialize;

use super::quantiles::quantile;

const FEWEST: usize = 8;
const MOST: usize = 32;

/// How many numbers lie in each of equal parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Histogram {
    /// The lower end of the first part.
    pub from: f64,
    /// The upper end of the last part, which it holds.
    pub to: f64,
    /// Numbers in each part; a part holds its lower end.
    pub counts: Vec<usize>,
    /// Numbers below `from`.
    pub below: usize,
    /// Numbers above `to`.
    pub above: usize,
}

/// The histogram of sorted numbers; none for no number.
///
/// Few different whole numbers get a part each. Else the width is that of Freedman & Diaconis 1981, 2·(Q3 − Q1)/∛n, held
/// to 8 to 32 parts. Where the extremes lie farther out than the central 98 % is wide, the parts cover that stretch,
/// widened by half on both sides, and what lies beyond is counted. O(n).
pub fn histogram(sorted: &[f64]) -> Option<Histogram> {
    let (&first, &last) = (sorted.first()?, sorted.last()?);
    if first == last {
        let half = 0.5 * first.abs().max(1.0);
        return Some(Histogram {
            from: first - half,
            to: first + half,
            counts: vec![sorted.len()],
            below: 0,
            above: 0,
        });
    }
    let (p1, p99) = (quantile(sorted, 0.01), quantile(sorted, 0.99));
    let width = p99 - p1;
    let (mut from, mut to) = (first, last);
    if width > 0.0 && (p1 - first > width || last - p99 > width) {
        from = from.max(p1 - 0.5 * width);
        to = to.min(p99 + 0.5 * width);
    }
    let start = sorted.partition_point(|x| *x < from);
    let end = sorted.partition_point(|x| *x <= to);
    let inside = &sorted[start..end];
    let mut parts = freedman_diaconis(sorted, to - from);
    if to - from < MOST as f64 && inside.iter().all(|x| x.fract() == 0.0) {
        (from, to) = (inside[0] - 0.5, inside[inside.len() - 1] + 0.5);
        parts = (to - from) as usize;
    }
    let counts = counted(inside, from, to, parts);
    Some(Histogram { from, to, counts, below: start, above: sorted.len() - end })
}

/// Where other sorted numbers lie in the parts of a histogram.
pub fn histogram_like(like: &Histogram, sorted: &[f64]) -> Histogram {
    let start = sorted.partition_point(|x| *x < like.from);
    let end = sorted.partition_point(|x| *x <= like.to).max(start);
    let counts = counted(&sorted[start..end], like.from, like.to, like.counts.len());
    Histogram { counts, below: start, above: sorted.len() - end, ..*like }
}

/// How many of these numbers, all from `from` to `to`, lie in each of equal parts.
fn counted(inside: &[f64], from: f64, to: f64, parts: usize) -> Vec<usize> {
    let mut counts = vec![0; parts];
    for x in inside {
        counts[(((x - from) / (to - from) * parts as f64) as usize).min(parts - 1)] += 1;
    }
    counts
}

fn freedman_diaconis(sorted: &[f64], range: f64) -> usize {
    let iqr = quantile(sorted, 0.75) - quantile(sorted, 0.25);
    let width = 2.0 * iqr / (sorted.len() as f64).cbrt();
    if width > 0.0 { ((range / width).ceil() as usize).clamp(FEWEST, MOST) } else { 16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_parts_of_their_own() {
        let h = histogram(&[0.0, 0.0, 1.0, 3.0]).unwrap();
        assert_eq!((h.from, h.to, h.counts), (-0.5, 3.5, vec![2, 1, 0, 1]));
        assert!(histogram(&[]).is_none());
        assert_eq!(histogram(&[7.0, 7.0]).unwrap().counts, [2]);
    }

    #[test]
    fn an_outlier_does_not_flatten_the_rest() {
        let mut x: Vec<f64> = (0..1000).map(|i| f64::from(i) / 1000.0).collect();
        x.push(1e9);
        let h = histogram(&x).unwrap();
        assert_eq!((h.above, h.below), (1, 0));
        assert!(h.to < 2.0 && h.counts.iter().sum::<usize>() == 1000, "{h:?}");
        assert!(h.counts.iter().filter(|n| **n > 0).count() >= 5, "{h:?}");
    }

    #[test]
    fn huge_numbers_are_counted_too() {
        let h = histogram(&[-1e308, 0.5, 1e308]).unwrap();
        assert_eq!(h.counts.iter().sum::<usize>() + h.below + h.above, 3);
    }
}
