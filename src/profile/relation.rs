//! How strongly two columns go together: Pearson, Spearman, Cramér's V, the correlation ratio.
//!
//! Rows in which one of the two is missing are left out of the pair, as pandas does.

use crate::data::table::MISSING;

/// Largest contingency table that is counted, in cells.
const MOST_CELLS: usize = 4_000_000;

/// Pearson's correlation of the rows where neither is NaN; none where one of them does not vary. O(n).
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let both = || x.iter().zip(y).filter(|(x, y)| !x.is_nan() && !y.is_nan());
    let (mut n, mut sx, mut sy) = (0.0, 0.0, 0.0);
    for (x, y) in both() {
        n += 1.0;
        sx += x;
        sy += y;
    }
    let (mx, my) = (sx / n, sy / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in both() {
        let (dx, dy) = (x - mx, y - my);
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    let varies = |squares: f64, mean: f64| (squares / n).sqrt() > 1e-14 * mean.abs();
    (n > 1.0 && varies(xx, mx) && varies(yy, my)).then(|| (xy / xx.sqrt() / yy.sqrt()).clamp(-1.0, 1.0))
}

/// The rows of a column from the smallest number to the largest, those of NaN left out. O(n·log n).
pub fn order(x: &[f64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..x.len() as u32).filter(|&row| !x[row as usize].is_nan()).collect();
    order.sort_unstable_by(|&a, &b| x[a as usize].total_cmp(&x[b as usize]));
    order
}

/// Spearman's correlation: Pearson's of the ranks, equal numbers sharing their mean rank. Ranks are those among the
/// rows where neither is NaN. `order_x`, `order_y` are those of [`order`]. O(n).
pub fn spearman(x: &[f64], order_x: &[u32], y: &[f64], order_y: &[u32]) -> Option<f64> {
    pearson(&ranks(x, order_x, y), &ranks(y, order_y, x))
}

/// The ranks of `x` among the rows where `other` is no NaN; NaN elsewhere.
fn ranks(x: &[f64], order: &[u32], other: &[f64]) -> Vec<f64> {
    let mut ranks = vec![f64::NAN; x.len()];
    let kept: Vec<u32> = order.iter().copied().filter(|&row| !other[row as usize].is_nan()).collect();
    let mut start = 0;
    for ties in kept.chunk_by(|&a, &b| x[a as usize] == x[b as usize]) {
        let rank = start as f64 + f64::midpoint(ties.len() as f64, 1.0);
        for &row in ties {
            ranks[row as usize] = rank;
        }
        start += ties.len();
    }
    ranks
}

/// Pearson's χ² of two columns of codes, with its degrees of freedom and the rows that it counts; none where one of
/// them does not vary, or where the table of counts would have more than 4 million cells. O(n + cells).
pub fn chi_squared(a: &[u32], n_a: usize, b: &[u32], n_b: usize) -> Option<(f64, [usize; 2], usize)> {
    if n_a * n_b > MOST_CELLS {
        return None;
    }
    let mut table = vec![0_u32; n_a * n_b];
    for (&a, &b) in a.iter().zip(b) {
        if a != MISSING && b != MISSING {
            table[a as usize * n_b + b as usize] += 1;
        }
    }
    let (mut rows, mut columns) = (vec![0.0; n_a], vec![0.0; n_b]);
    for (counts, row) in table.chunks(n_b.max(1)).zip(&mut rows) {
        for (count, column) in counts.iter().zip(&mut columns) {
            *row += f64::from(*count);
            *column += f64::from(*count);
        }
    }
    let n: f64 = rows.iter().sum();
    let present = |sums: &[f64]| sums.iter().filter(|sum| **sum > 0.0).count();
    let sizes = [present(&rows), present(&columns)];
    if sizes[0] < 2 || sizes[1] < 2 {
        return None;
    }
    // χ² = n·(Σ o²/(r·c) − 1), written so that a table of independence gives no rounding noise below 0.
    let mut chi = 0.0;
    for (counts, row) in table.chunks(n_b).zip(&rows).filter(|(_, row)| **row > 0.0) {
        for (count, column) in counts.iter().zip(&columns).filter(|(_, column)| **column > 0.0) {
            let expected = row * column / n;
            chi += (f64::from(*count) - expected).powi(2) / expected;
        }
    }
    Some((chi, sizes, n as usize))
}

/// Cramér's V = √(χ²/(n·(min(r, c) − 1))), from 0 to 1 (Cramér 1946), without correction for bias: many levels in few
/// rows raise it. None where one of them does not vary, and where one is different in every row: then it is 1 whatever the
/// other says.
pub fn cramers_v(a: &[u32], n_a: usize, b: &[u32], n_b: usize) -> Option<f64> {
    let (chi, [r, c], n) = chi_squared(a, n_a, b, n_b)?;
    if r.max(c) == n {
        return None;
    }
    Some((chi / (n as f64 * (r.min(c) - 1) as f64)).sqrt().min(1.0))
}

/// The correlation ratio η: the root of the share of the variance of `x` that lies between the categories, from 0 to 1
/// (Pearson 1905). None where `x` or the category does not vary, and where the category is different in every row: then it is
/// 1 whatever `x` says. O(n).
pub fn correlation_ratio(codes: &[u32], n_levels: usize, x: &[f64]) -> Option<f64> {
    let both = || codes.iter().zip(x).filter(|(code, x)| **code != MISSING && !x.is_nan());
    let (n, sum) = both().fold((0.0, 0.0), |(n, sum), (_, x)| (n + 1.0, sum + x));
    let mean = sum / n;
    let mut groups = vec![(0.0, 0.0); n_levels];
    let mut total = 0.0;
    for (&code, x) in both() {
        let (count, sum) = &mut groups[code as usize];
        *count += 1.0;
        *sum += x - mean;
        total += (x - mean).powi(2);
    }
    let present = groups.iter().filter(|(count, _)| *count > 0.0).count();
    if present < 2 || present as f64 == n || (total / n).sqrt() <= 1e-14 * mean.abs() {
        return None;
    }
    let between: f64 =
        groups.iter().filter(|(count, _)| *count > 0.0).map(|(count, sum)| sum * sum / count).sum();
    Some((between / total).sqrt().min(1.0))
}
