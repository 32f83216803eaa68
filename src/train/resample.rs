//! Training rows made or left out so that rare classes count for more: SMOTE, SMOTE-NC, random over- and undersampling.
//!
//! Everything here looks at prepared training rows alone, and at each class by itself.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::config::{ImbalanceConfig, ImbalanceKind};
use crate::random::{Purpose, Stream};

/// What the inputs of a row are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// How many there are.
    pub n: usize,
    /// Numbers, between which others lie.
    pub numbers: Vec<usize>,
    /// Groups of inputs that say one thing together, as the levels of a category do; between two of them nothing lies.
    pub categories: Vec<Vec<usize>>,
}

impl Inputs {
    fn same(&self, x: &[f64], category: &[usize], a: usize, b: usize) -> bool {
        category.iter().all(|&input| x[a * self.n + input].to_bits() == x[b * self.n + input].to_bits())
    }
}

/// Prepared rows of classes (rows×inputs), each with a weight unless all count alike.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassRows {
    /// Row after row.
    pub x: Vec<f64>,
    /// The class of each row.
    pub classes: Vec<u32>,
    /// How much each row counts.
    pub weights: Option<Vec<f64>>,
}

/// How many rows each class is to have, given how many it has.
///
/// With n the most rows of a class and m the fewest above 0: oversampling raises classes to ⌊ratio·n⌋ rows,
/// undersampling lowers them to ⌊m/ratio⌋, as imbalanced-learn counts for two classes; no class changes the other way.
pub fn wanted(counts: &[usize], settings: &ImbalanceConfig) -> Vec<usize> {
    let most = counts.iter().copied().max().unwrap_or(0);
    let fewest = counts.iter().copied().filter(|&n| n > 0).min().unwrap_or(0);
    let ratio = settings.ratio;
    let raised = (ratio * most as f64) as usize;
    let lowered = (fewest as f64 / ratio) as usize;
    let of = |&n: &usize| match settings.kind {
        ImbalanceKind::None => n,
        _ if n == 0 => 0,
        ImbalanceKind::Undersample => n.min(lowered),
        ImbalanceKind::Smote | ImbalanceKind::SmoteNc | ImbalanceKind::Oversample => n.max(raised),
    };
    counts.iter().map(of).collect()
}

/// How many rows each of `n_classes` has.
pub fn counts(classes: impl IntoIterator<Item = u32>, n_classes: usize) -> Vec<usize> {
    let mut counts = vec![0; n_classes];
    classes.into_iter().for_each(|class| counts[class as usize] += 1);
    counts
}

/// The rows with those that the settings make, behind the others, or without those that they leave out.
///
/// Class c draws from the stream (`seed`, [`Purpose::Resample`], c). A class of fewer rows than `k_neighbors` + 1 takes all
/// its others as neighbours.
///
/// # Panics
/// When a class of a single row is to get rows by SMOTE.
#[must_use]
pub fn resample(
    rows: ClassRows,
    inputs: &Inputs,
    n_classes: usize,
    settings: &ImbalanceConfig,
    seed: u64,
) -> ClassRows {
    let counts = counts(rows.classes.iter().copied(), n_classes);
    let wanted = wanted(&counts, settings);
    let of_class = |class: usize| -> Vec<usize> {
        (0..rows.classes.len()).filter(|&row| rows.classes[row] as usize == class).collect()
    };
    if settings.kind == ImbalanceKind::Undersample {
        let mut kept: Vec<usize> = Vec::new();
        for (class, &wanted) in wanted.iter().enumerate() {
            let mut own = of_class(class);
            if wanted < own.len() {
                Stream::new(seed, Purpose::Resample, class as u32).shuffle(&mut own);
                own.truncate(wanted);
            }
            kept.extend(own);
        }
        kept.sort_unstable();
        return picked(&rows, &kept, inputs.n);
    }
    let mut all = rows;
    for class in 0..n_classes {
        let n = wanted[class] - counts[class];
        if n == 0 {
            continue;
        }
        let own: Vec<usize> =
            (0..all.classes.len()).filter(|&row| all.classes[row] as usize == class).collect();
        let mut stream = Stream::new(seed, Purpose::Resample, class as u32);
        let made = if settings.kind == ImbalanceKind::Oversample {
            let drawn: Vec<usize> = (0..n).map(|_| own[stream.below(own.len())]).collect();
            picked(&all, &drawn, inputs.n)
        } else {
            smote(&all, inputs, &own, n, settings.k_neighbors, &mut stream)
        };
        all.x.extend(made.x);
        all.classes.extend(made.classes);
        if let (Some(to), Some(from)) = (&mut all.weights, made.weights) {
            to.extend(from);
        }
    }
    all
}

fn picked(rows: &ClassRows, order: &[usize], n_inputs: usize) -> ClassRows {
    ClassRows {
        x: order.iter().flat_map(|&row| &rows.x[row * n_inputs..(row + 1) * n_inputs]).copied().collect(),
        classes: order.iter().map(|&row| rows.classes[row]).collect(),
        weights: rows.weights.as_ref().map(|weights| order.iter().map(|&row| weights[row]).collect()),
    }
}

/// `n` rows between rows of one class: x + u·(x′ − x), with x one of the rows numbered `own`, x′ one of its k nearest
/// neighbours among them, both drawn, and u even in [0, 1), one for the row.
///
/// Chawla, Bowyer, Hall & Kegelmeyer 2002, "SMOTE: synthetic minority over-sampling technique"; of categories (section
/// 6.1 there, SMOTE-NC) the new row takes what most of the k neighbours have, of several the nearest one's.
fn smote(
    rows: &ClassRows,
    inputs: &Inputs,
    own: &[usize],
    n: usize,
    k: usize,
    stream: &mut Stream,
) -> ClassRows {
    assert!(own.len() > 1, "a row alone has no neighbour");
    let k = k.min(own.len() - 1);
    let drawn: Vec<(usize, usize, f64)> =
        (0..n).map(|_| (stream.below(own.len()), stream.below(k), stream.uniform())).collect();
    let bases: BTreeSet<usize> = drawn.iter().map(|(base, ..)| *base).collect();
    let bases: Vec<usize> = bases.into_iter().collect();
    let asked: Vec<usize> = bases.iter().map(|&base| own[base]).collect();
    let near = neighbours(&rows.x, inputs, own, &asked, k);
    let mut made = ClassRows {
        x: Vec::with_capacity(n * inputs.n),
        classes: vec![rows.classes[own[0]]; n],
        weights: rows.weights.as_ref().map(|_| Vec::with_capacity(n)),
    };
    for (base, neighbour, u) in drawn {
        let near = &near[bases.binary_search(&base).unwrap_or(0)];
        let (one, other) = (own[base], near[neighbour]);
        let at = made.x.len();
        made.x.extend_from_slice(&rows.x[one * inputs.n..(one + 1) * inputs.n]);
        let row = &mut made.x[at..];
        for &input in &inputs.numbers {
            row[input] += u * (rows.x[other * inputs.n + input] - row[input]);
        }
        for category in &inputs.categories {
            let from = most_frequent(&rows.x, inputs, category, near);
            for &input in category {
                row[input] = rows.x[from * inputs.n + input];
            }
        }
        if let (Some(to), Some(from)) = (&mut made.weights, &rows.weights) {
            to.push(from[one] + u * (from[other] - from[one]));
        }
    }
    made
}

/// The first of the rows whose category is that of most of them.
fn most_frequent(x: &[f64], inputs: &Inputs, category: &[usize], rows: &[usize]) -> usize {
    let count = |row: usize| rows.iter().filter(|&&other| inputs.same(x, category, row, other)).count();
    let mut best = (0, rows[0]);
    for &row in rows {
        let n = count(row);
        if n > best.0 {
            best = (n, row);
        }
    }
    best.1
}

/// The `k` nearest other rows among `own` of each of the rows `asked`, the nearest first, those as near by their numbers.
///
/// The squared distance is that of the numbers, and m² for every category that differs, with m the median over the
/// numbers of their standard deviation among `own` (SMOTE-NC). O(asked·own) distances, side by side.
pub fn neighbours(x: &[f64], inputs: &Inputs, own: &[usize], asked: &[usize], k: usize) -> Vec<Vec<usize>> {
    let differs = if inputs.categories.is_empty() { 0.0 } else { median_std(x, inputs, own).powi(2) };
    let distance = |a: usize, b: usize| {
        let number = |&input: &usize| (x[a * inputs.n + input] - x[b * inputs.n + input]).powi(2);
        let numbers: f64 = inputs.numbers.iter().map(number).sum();
        let others = inputs.categories.iter().filter(|category| !inputs.same(x, category, a, b)).count();
        numbers + differs * others as f64
    };
    let nearest = |&row: &usize| {
        let others = own.iter().filter(|&&other| other != row);
        let mut all: Vec<(f64, usize)> = others.map(|&other| (distance(row, other), other)).collect();
        let nearer =
            |a: &(f64, usize), b: &(f64, usize)| -> Ordering { a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)) };
        if k < all.len() {
            all.select_nth_unstable_by(k, nearer);
            all.truncate(k);
        }
        all.sort_unstable_by(nearer);
        all.into_iter().map(|(_, other)| other).collect()
    };
    asked.par_iter().map(nearest).collect()
}

/// The median over the numbers of their population standard deviation among these rows.
pub fn median_std(x: &[f64], inputs: &Inputs, rows: &[usize]) -> f64 {
    let n = rows.len() as f64;
    let std = |&input: &usize| {
        let values = || rows.iter().map(|&row| x[row * inputs.n + input]);
        let mean = values().sum::<f64>() / n;
        (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
    };
    let mut all: Vec<f64> = inputs.numbers.iter().map(std).collect();
    all.sort_unstable_by(f64::total_cmp);
    match all.len() {
        0 => 0.0,
        n if n % 2 == 1 => all[n / 2],
        n => f64::midpoint(all[n / 2 - 1], all[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        /// Three numbers and the codes of two categories.
        rows: Vec<[f64; 5]>,
        classes: Vec<u32>,
        k: usize,
        minority: Vec<usize>,
        smote: Vec<Vec<usize>>,
        smote_nc: Vec<Vec<usize>>,
        median_std: f64,
        /// For each minority row and category the codes that most of its neighbours have.
        modes: Vec<[Vec<f64>; 2]>,
        counts: Vec<Counts>,
    }

    #[derive(serde::Deserialize)]
    struct Counts {
        kind: ImbalanceKind,
        ratio: f64,
        after: Vec<usize>,
    }

    fn golden() -> Golden {
        serde_json::from_str(include_str!("../../tests/golden/imbalance.json")).unwrap()
    }

    fn settings(kind: ImbalanceKind, ratio: f64) -> ImbalanceConfig {
        ImbalanceConfig { kind, ratio, k_neighbors: 5 }
    }

    fn numbers_only() -> Inputs {
        Inputs { n: 3, numbers: vec![0, 1, 2], categories: Vec::new() }
    }

    /// Categories one-hot: three levels and two.
    fn one_hot() -> Inputs {
        Inputs { n: 8, numbers: vec![0, 1, 2], categories: vec![vec![3, 4, 5], vec![6, 7]] }
    }

    fn x_of(golden: &Golden, inputs: &Inputs) -> Vec<f64> {
        let mut x = Vec::new();
        for row in &golden.rows {
            x.extend_from_slice(&row[..3]);
            if inputs.n == 8 {
                let mut levels = [0.0; 5];
                (levels[row[3] as usize], levels[3 + row[4] as usize]) = (1.0, 1.0);
                x.extend(levels);
            } else if inputs.n == 5 {
                x.extend_from_slice(&row[3..]);
            }
        }
        x
    }

    #[test]
    fn neighbours_are_those_of_imbalanced_learn() {
        let golden = golden();
        let own = &golden.minority;
        let inputs = numbers_only();
        assert_eq!(neighbours(&x_of(&golden, &inputs), &inputs, own, own, golden.k), golden.smote);
        // One-hot or codes: what counts is whether they differ.
        let coded = Inputs { n: 5, numbers: vec![0, 1, 2], categories: vec![vec![3], vec![4]] };
        for inputs in [one_hot(), coded] {
            let x = x_of(&golden, &inputs);
            assert!((median_std(&x, &inputs, own) - golden.median_std).abs() < 1e-12);
            let found = neighbours(&x, &inputs, own, own, golden.k);
            assert_eq!(found, golden.smote_nc);
            for (near, modes) in found.iter().zip(&golden.modes) {
                for (i, category) in inputs.categories.iter().enumerate() {
                    let code = golden.rows[most_frequent(&x, &inputs, category, near)][3 + i];
                    assert!(modes[i].contains(&code), "{code} is not of {modes:?}");
                }
            }
        }
        assert_ne!(golden.smote, golden.smote_nc, "categories matter");
    }

    #[test]
    fn classes_come_to_the_counts_of_imbalanced_learn() {
        let golden = golden();
        let before = counts(golden.classes.iter().copied(), 2);
        assert!(golden.counts.len() >= 8);
        for case in &golden.counts {
            let settings = settings(case.kind, case.ratio);
            assert_eq!(wanted(&before, &settings), case.after, "{:?} {}", case.kind, case.ratio);
            let inputs = one_hot();
            let rows =
                ClassRows { x: x_of(&golden, &inputs), classes: golden.classes.clone(), weights: None };
            let found = resample(rows, &inputs, 2, &settings, 7);
            assert_eq!(counts(found.classes.iter().copied(), 2), case.after);
            assert_eq!(found.x.len(), found.classes.len() * inputs.n);
        }
    }

    /// Every new row lies on the segment from a row of its class to one of imbalanced-learn's neighbours of it.
    #[test]
    fn new_rows_lie_between_neighbours() {
        let golden = golden();
        for (inputs, kind, near) in [
            (numbers_only(), ImbalanceKind::Smote, &golden.smote),
            (one_hot(), ImbalanceKind::SmoteNc, &golden.smote_nc),
        ] {
            let x = x_of(&golden, &inputs);
            let n_before = golden.classes.len();
            let weights: Vec<f64> = (0..n_before).map(|row| row as f64).collect();
            let rows = ClassRows { x: x.clone(), classes: golden.classes.clone(), weights: Some(weights) };
            let found = resample(rows, &inputs, 2, &settings(kind, 1.0), 3);
            assert_eq!(found.x[..x.len()], x, "what was there stays");
            let (mut at_start, mut n) = (0, 0);
            for (i, row) in found.x[x.len()..].chunks(inputs.n).enumerate() {
                let cell = |row: usize, input: usize| x[row * inputs.n + input];
                let between =
                    golden.minority.iter().zip(near).zip(&golden.modes).any(|((&one, near), modes)| {
                        near.iter().any(|&other| {
                            let u = (row[0] - cell(one, 0)) / (cell(other, 0) - cell(one, 0));
                            let lies = inputs.numbers.iter().all(|&input| {
                                (cell(one, input) + u * (cell(other, input) - cell(one, input)) - row[input])
                                    .abs()
                                    < 1e-9
                            });
                            let weight = found.weights.as_ref().unwrap()[n_before + i];
                            let weighs = (one as f64 + u * (other as f64 - one as f64) - weight).abs() < 1e-6;
                            let has = |i: usize, level: usize| modes[i].contains(&(level as f64));
                            let level = |inputs: std::ops::Range<usize>| {
                                row[inputs].iter().position(|&v| v == 1.0).unwrap()
                            };
                            let categories = inputs.n == 3 || has(0, level(3..6)) && has(1, level(6..8));
                            let found = (0.0..1.0).contains(&u) && lies && weighs && categories;
                            at_start += usize::from(found && u < 0.5);
                            found
                        })
                    });
                assert!(between, "{row:?} is on no segment");
                n += 1;
            }
            // u is even: about half of the rows are nearer to the row that they begin at.
            assert!(n > 40 && (n / 4..=3 * n / 4).contains(&at_start), "{at_start} of {n}");
        }
    }

    #[test]
    fn codes_are_never_between_two_codes() {
        let golden = golden();
        let coded = Inputs { n: 5, numbers: vec![0, 1, 2], categories: vec![vec![3], vec![4]] };
        let rows = ClassRows { x: x_of(&golden, &coded), classes: golden.classes.clone(), weights: None };
        let found = resample(rows, &coded, 2, &settings(ImbalanceKind::SmoteNc, 1.0), 3);
        assert!(found.x.chunks(5).all(|row| row[3].fract() == 0.0 && row[4].fract() == 0.0));
    }

    #[test]
    fn draws_follow_the_seed_and_copies_are_rows_of_the_class() {
        let golden = golden();
        let inputs = numbers_only();
        let x = x_of(&golden, &inputs);
        let rows = || ClassRows { x: x.clone(), classes: golden.classes.clone(), weights: None };
        for kind in [ImbalanceKind::Smote, ImbalanceKind::Oversample, ImbalanceKind::Undersample] {
            let made = |seed| resample(rows(), &inputs, 2, &settings(kind, 0.8), seed);
            assert_eq!(made(1), made(1));
            assert_ne!(made(1), made(2));
            if kind != ImbalanceKind::Smote {
                for (row, class) in made(1).x.chunks(3).zip(&made(1).classes) {
                    let known = |i: usize| x[3 * i..3 * i + 3] == *row && golden.classes[i] == *class;
                    assert!((0..golden.classes.len()).any(known));
                }
            }
        }
        let none = resample(rows(), &inputs, 2, &settings(ImbalanceKind::None, 1.0), 1);
        assert_eq!(none, rows());
    }
}
