//! Number columns that are nearly linear combinations of others: variance inflation factors, condition number, groups.

use rayon::prelude::*;
use serde::Serialize;

/// A column whose variance inflation factor is above this is told.
pub const MOST_VIF: f64 = 10.0;
/// A column is an exact combination of others where less than this share of its variance is left.
const EXACT: f64 = 1e-10;
/// Of the combination that makes a column, parts with a smaller share of the largest coefficient are not named.
const SMALL_PART: f64 = 0.05;
/// Parts with at least this share of the largest coefficient belong to the group of the column that they make up.
const LARGE_PART: f64 = 0.25;

/// A column that others nearly make up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Redundant {
    /// The column, as an index among those given.
    pub column: usize,
    /// The columns that make it up, the strongest first.
    pub by: Vec<usize>,
    /// Its variance inflation factor beside the columns that are left; none where it is infinite.
    pub vif: Option<f64>,
}

/// How collinear columns are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Collinearity {
    /// The variance inflation factor of each column; none where it is infinite, or where the column does not vary.
    pub vif: Vec<Option<f64>>,
    /// Whether the column is an exact combination of others.
    pub exact: Vec<bool>,
    /// The condition number of the standardised columns; none where it is infinite, or where nothing varies.
    pub condition_number: Option<f64>,
    /// The columns to leave out until all factors are at most [`MOST_VIF`], in the order of leaving out.
    pub redundant: Vec<Redundant>,
    /// Columns that largely make up each other, from left to right in each group, the largest group first.
    pub groups: Vec<Vec<usize>>,
    /// How far the columns make up the target; none without a target of numbers that varies.
    pub target: Option<MadeUp>,
}

/// How far columns make up another one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MadeUp {
    /// The share of its variance that is left: 1 − R².
    pub left: f64,
    /// The columns that make it up, the strongest first, as indices among those given.
    pub by: Vec<usize>,
}

/// The variance inflation factors 1/(1 − R²) of the columns, each regressed on all others with an intercept (Marquardt
/// 1970), and the condition number √(λ₁/λₚ) of the correlation matrix (Belsley, Kuh & Welsch 1980, after centring).
///
/// Missing cells count as the column's mean. Redundant columns are found one by one: exact combinations of earlier
/// columns first, then the column of the largest factor among those left. The `target`, if it is of numbers, is regressed
/// on those that are no exact combination of others. O(rows·p² + p³) for p columns.
pub fn collinearity(columns: &[&[f64]], target: Option<&[f64]>) -> Collinearity {
    let standardised: Vec<Option<Vec<f64>>> = columns.par_iter().map(|x| standardise(x)).collect();
    let kept: Vec<usize> = (0..columns.len()).filter(|&j| standardised[j].is_some()).collect();
    let mut z: Vec<&[f64]> = kept.iter().filter_map(|&j| standardised[j].as_deref()).collect();
    let p = z.len();
    let target = target.and_then(standardise);
    z.extend(target.as_deref());
    // The target stands last, and is never swept in.
    let q = z.len();
    let lower: Vec<Vec<f64>> =
        (0..q).into_par_iter().map(|i| (0..=i).map(|j| dot(z[i], z[j])).collect()).collect();
    let mut a = vec![0.0; q * q];
    for (i, row) in lower.iter().enumerate() {
        for (j, r) in row.iter().enumerate() {
            (a[i * q + j], a[j * q + i]) = (*r, *r);
        }
        a[i * q + i] = 1.0;
    }
    // What is of the columns alone.
    let among_columns = |a: &[f64]| a.chunks(q.max(1)).take(p).flat_map(|row| &row[..p]).copied().collect();
    let correlations: Vec<f64> = among_columns(&a);

    let mut exact = vec![false; columns.len()];
    let mut redundant = Vec::new();
    let mut inside = vec![false; p];
    let mut group: Vec<usize> = (0..columns.len()).collect();
    for j in 0..p {
        if a[j * q + j] > EXACT {
            sweep(&mut a, q, j);
            inside[j] = true;
        } else {
            let (by, large) = parts(&a, q, j, &inside);
            by[..large].iter().for_each(|&k| join(&mut group, kept[k], kept[j]));
            exact[kept[j]] = true;
            by.iter().for_each(|&k| exact[kept[k]] = true);
            redundant.push(Redundant {
                column: kept[j],
                by: by.into_iter().map(|k| kept[k]).collect(),
                vif: None,
            });
        }
    }
    // Of the columns that are swept in, the diagonal now holds that of the inverse: the factors.
    let mut vif = vec![None; columns.len()];
    for j in (0..p).filter(|&j| inside[j] && !exact[kept[j]]) {
        vif[kept[j]] = Some(a[j * q + j].max(1.0));
    }
    let condition_number =
        (p > 0 && redundant.is_empty()).then(|| condition(&correlations, &among_columns(&a), p));
    let target = (q > p && p > 0).then(|| MadeUp {
        left: a[q * q - 1].clamp(0.0, 1.0),
        by: parts(&a, q, p, &inside).0.into_iter().map(|k| kept[k]).collect(),
    });
    loop {
        let among = (0..p).filter(|&j| inside[j]);
        let Some(worst) = among.max_by(|&i, &j| a[i * q + i].total_cmp(&a[j * q + j]).then(i.cmp(&j))) else {
            break;
        };
        let factor = a[worst * q + worst];
        if factor <= MOST_VIF {
            break;
        }
        sweep(&mut a, q, worst);
        inside[worst] = false;
        let (by, large) = parts(&a, q, worst, &inside);
        by[..large].iter().for_each(|&k| join(&mut group, kept[k], kept[worst]));
        let by = by.into_iter().map(|k| kept[k]).collect();
        redundant.push(Redundant { column: kept[worst], by, vif: Some(factor) });
    }
    Collinearity { vif, exact, condition_number, redundant, groups: groups(&group), target }
}

/// Puts two columns and all that are with them into one group; a group is named by its first column.
fn join(group: &mut [usize], a: usize, b: usize) {
    let (first, other) = (group[a].min(group[b]), group[a].max(group[b]));
    group.iter_mut().filter(|of| **of == other).for_each(|of| *of = first);
}

/// The groups of more than one column, the largest first.
fn groups(group: &[usize]) -> Vec<Vec<usize>> {
    let of = |name: usize| (0..group.len()).filter(|&i| group[i] == name).collect::<Vec<usize>>();
    let mut sizes = vec![0_usize; group.len()];
    group.iter().for_each(|&name| sizes[name] += 1);
    let mut groups: Vec<Vec<usize>> = (0..group.len()).filter(|&name| sizes[name] > 1).map(of).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

/// The column less its mean, of length 1; 0 where a cell is missing. None where it does not vary.
fn standardise(x: &[f64]) -> Option<Vec<f64>> {
    let present = || x.iter().filter(|x| !x.is_nan());
    let n = present().count() as f64;
    let largest = present().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    if largest == 0.0 {
        return None;
    }
    // By the largest first: squares of huge numbers would overflow.
    let mean = present().map(|x| x / largest).sum::<f64>() / n;
    let z: Vec<f64> = x.iter().map(|x| if x.is_nan() { 0.0 } else { x / largest - mean }).collect();
    let norm = dot(&z, &z).sqrt();
    (norm / n.sqrt() > 1e-13 * mean.abs()).then(|| z.into_iter().map(|z| z / norm).collect())
}

/// Σ x·y in eight sums, which the processor can add at a time.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let ((x, x_end), (y, y_end)) = (x.as_chunks::<8>(), y.as_chunks::<8>());
    for (x, y) in x.iter().zip(y) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f64>() + x_end.iter().zip(y_end).map(|(x, y)| x * y).sum::<f64>()
}

/// Sweeps column k of a p×p matrix in or, a second time, out (Goodnight 1979, "A tutorial on the SWEEP operator").
///
/// Of the swept columns S the matrix then holds the inverse; in column j outside of S, the coefficients of j regressed
/// on S, and on the diagonal the share of its variance that is left.
fn sweep(a: &mut [f64], p: usize, k: usize) {
    let d = a[k * p + k];
    let mut row = a[k * p..(k + 1) * p].to_vec();
    row.iter_mut().for_each(|v| *v /= d);
    a.par_chunks_mut(p).enumerate().with_min_len(64).for_each(|(i, of)| {
        if i != k {
            let b = of[k];
            of.iter_mut().zip(&row).for_each(|(v, r)| *v -= b * r);
            of[k] = -b / d;
        }
    });
    a[k * p..(k + 1) * p].copy_from_slice(&row);
    a[k * p + k] = 1.0 / d;
}

/// The columns of S that make up column j outside of it, the strongest first, and how many of them largely do.
fn parts(a: &[f64], p: usize, j: usize, inside: &[bool]) -> (Vec<usize>, usize) {
    let size = |k: usize| a[k * p + j].abs();
    let mut by: Vec<usize> = (0..inside.len()).filter(|&k| inside[k]).collect();
    by.sort_by(|&k, &l| size(l).total_cmp(&size(k)));
    let most = by.first().map_or(0.0, |&k| size(k));
    by.retain(|&k| size(k) > SMALL_PART * most);
    let large = by.iter().filter(|&&k| size(k) >= LARGE_PART * most).count();
    (by, large)
}

/// √(λ₁/λₚ), both by power iteration: of the matrix and of its inverse.
fn condition(matrix: &[f64], inverse: &[f64], p: usize) -> f64 {
    (largest_eigenvalue(matrix, p) * largest_eigenvalue(inverse, p)).sqrt()
}

fn largest_eigenvalue(a: &[f64], p: usize) -> f64 {
    const MOST_STEPS: usize = 20_000;
    // No direction in which a correlation matrix is likely to have no part.
    let mut v: Vec<f64> = (0..p).map(|i| 1.0 + 0.1 * ((i * 7919 % 97) as f64 / 97.0)).collect();
    for (i, v) in v.iter_mut().enumerate() {
        *v = if a[i] < 0.0 { -*v } else { *v };
    }
    let (mut before, mut still) = (0.0, 0);
    let most = (4_000_000_000 / (p * p).max(1)).min(MOST_STEPS);
    for _ in 0..most {
        let norm = dot(&v, &v).sqrt();
        v.iter_mut().for_each(|v| *v /= norm);
        let next: Vec<f64> = a.chunks(p).map(|row| dot(row, &v)).collect();
        let value = dot(&v, &next);
        v = next;
        still = if (value - before).abs() <= 1e-15 * value.abs() { still + 1 } else { 0 };
        if still == 10 {
            return value;
        }
        before = value;
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    fn noise(seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, Purpose::Noise, 0);
        (0..500).map(|_| stream.normal()).collect()
    }

    #[test]
    fn an_exact_triple_is_found_with_its_parts() {
        let (a, b, c) = (noise(1), noise(2), noise(3));
        let sum: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 2.0 * a - b + 7.0).collect();
        let found = collinearity(&[&a, &c, &b, &sum], None);
        assert_eq!(found.exact, [true, false, true, true]);
        assert_eq!(found.redundant, [Redundant { column: 3, by: vec![0, 2], vif: None }]);
        assert_eq!((found.vif[0], found.condition_number), (None, None));
        assert!(found.vif[1].unwrap() < 1.1);
    }

    #[test]
    fn a_nearly_collinear_column_is_left_out_until_all_is_well() {
        let (a, b) = (noise(1), noise(2));
        let near: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + 0.01 * b).collect();
        let found = collinearity(&[&a, &near, &noise(3)], None);
        let [one] = &found.redundant[..] else { panic!("{found:?}") };
        // 1/(1 − R²) of a beside it: about 1/0.01².
        assert!((9_000.0..12_000.0).contains(&one.vif.unwrap()), "{found:?}");
        assert!(one.by.len() == 1 && one.by[0] + one.column == 1, "{found:?}");
        assert!((180.0..220.0).contains(&found.condition_number.unwrap()), "{found:?}");
    }

    #[test]
    fn a_target_that_columns_add_up_to_is_told_with_them() {
        let (a, b, c) = (noise(1), noise(2), noise(3));
        let sum: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + 3.0 * b).collect();
        let found = collinearity(&[&a, &c, &b], Some(&sum)).target.unwrap();
        assert!(found.left < 1e-12 && found.by == [2, 0], "{found:?}");
        let found = collinearity(&[&a, &c], Some(&sum)).target.unwrap();
        assert!(found.left > 0.8, "{found:?}");
        // The target is none of the columns.
        let (with, without) = (collinearity(&[&a, &b], Some(&sum)), collinearity(&[&a, &b], None));
        assert_eq!((&with.vif, with.condition_number), (&without.vif, without.condition_number));
        assert!(collinearity(&[&a], Some(&[1.0; 500])).target.is_none());
    }

    #[test]
    fn groups_are_of_columns_that_make_up_each_other() {
        let (a, b, c) = (noise(1), noise(2), noise(3));
        let near =
            |x: &[f64], seed| x.iter().zip(noise(seed)).map(|(x, e)| x + 0.05 * e).collect::<Vec<f64>>();
        let (a2, a3, b2) = (near(&a, 4), near(&a, 5), near(&b, 6));
        let found = collinearity(&[&b, &a, &c, &a2, &b2, &a3], None);
        assert_eq!(found.groups, [vec![1, 3, 5], vec![0, 4]], "{found:?}");
        assert!(collinearity(&[&a, &b, &c], None).groups.is_empty());
    }

    #[test]
    fn sweeping_twice_is_not_sweeping() {
        let before = [1.0, 0.5, 0.5, 1.0];
        let mut a = before;
        sweep(&mut a, 2, 0);
        sweep(&mut a, 2, 1);
        // The inverse of [[1, ½], [½, 1]].
        for (v, expected) in a.iter().zip([4.0 / 3.0, -2.0 / 3.0, -2.0 / 3.0, 4.0 / 3.0]) {
            assert!((v - expected).abs() < 1e-15, "{a:?}");
        }
        sweep(&mut a, 2, 0);
        sweep(&mut a, 2, 1);
        assert!(a.iter().zip(before).all(|(v, b)| (v - b).abs() < 1e-15), "{a:?}");
    }

    #[test]
    fn columns_without_numbers_or_spread_are_left_out() {
        let (alike, huge) = ([1.0; 4], [1e300, -1e300, 0.0, 1e299]);
        let found = collinearity(&[&alike, &[f64::NAN; 4], &[1.0, 2.0, f64::NAN, 4.0], &huge], None);
        assert_eq!((found.vif[0], found.vif[1]), (None, None));
        assert!(found.vif[2].is_some() && found.vif[3].is_some(), "{found:?}");
        assert!(collinearity(&[], None).vif.is_empty());
    }
}
