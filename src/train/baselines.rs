//! What a network has to beat: a constant, and a linear model of the same prepared features.

use rayon::prelude::*;
use statera_kernels::{CpuLevel, Matrix, Scalar, Start, product_scratch_len};

use super::lbfgs::{self, add_to, dot};
use super::metrics::{Predictions, Truth};

/// Multiply–adds that one linear model may cost; a handful of seconds.
const BUDGET: usize = 40_000_000_000;
/// Iterations that are made whatever they cost.
const FEWEST_ITERATIONS: usize = 30;
/// Sums over rows are made in at most so many parts, whatever the number of threads: the same bits.
const MAX_PARTS: usize = 16;
/// Rows that a matrix product takes at a time, so that its scratch stays small.
const BLOCK_ROWS: usize = 512;

/// A simple model, fitted.
pub struct Baseline {
    rule: Rule,
    n_features: usize,
}

/// What a simple model predicts by.
enum Rule {
    /// The same number for every row.
    Constant(f64),
    /// The same probabilities for every row.
    Shares(Vec<f64>),
    /// A number linear in the features.
    Linear(Standardizer, Linear),
    /// Probabilities of so many classes, of which those listed are told apart.
    Logistic(Standardizer, Linear, Vec<usize>, usize),
}

impl Baseline {
    /// Predicts rows (rows×features).
    pub fn predict(&self, x: &[f64]) -> Predictions {
        let n = x.len() / self.n_features;
        match &self.rule {
            Rule::Constant(value) => Predictions::Values(vec![*value; n]),
            Rule::Shares(shares) => {
                Predictions::Probabilities { n_classes: shares.len(), p: shares.repeat(n) }
            }
            Rule::Linear(rows, linear) => Predictions::Values(rows.predict(linear, x)),
            Rule::Logistic(rows, linear, present, n_classes) => {
                let p = probabilities(&rows.predict(linear, x), linear.bias.len(), present, *n_classes);
                Predictions::Probabilities { n_classes: *n_classes, p }
            }
        }
    }
}

/// Fits the baselines of [`fit_baselines`] and predicts the rows of `test_x`; both row after row.
///
/// # Panics
/// As [`fit_baselines`], and when test rows have other features.
pub fn baselines(
    train_x: &[f64],
    n_features: usize,
    train_truth: Truth,
    n_classes: usize,
    test_x: &[f64],
) -> Vec<(&'static str, Predictions)> {
    assert_eq!(test_x.len() % n_features.max(1), 0, "test rows have the features of training rows");
    let models = fit_baselines(train_x, n_features, train_truth, n_classes);
    models.into_iter().map(|(name, model)| (name, model.predict(test_x))).collect()
}

/// Fits the baselines on training rows.
///
/// For numbers:
///
/// - `mean`, that of the training targets.
/// - `least_squares`, the b and w that make Σ(b + w·x − t)² smallest, as scikit-learn's `LinearRegression`. When
///   columns are collinear (all levels one-hot) or outnumber the rows, many are as good; taken is the w that is
///   shortest for standardised columns. Conjugate gradients find it (CGLS; Hestenes & Stiefel 1952), O(n·p) an
///   iteration.
///
/// For classes 0..`n_classes` (of no meaning for numbers):
///
/// - `majority`, the shares of the classes in training as the probabilities of every row.
/// - `logistic_regression`, as scikit-learn's with its default C = 1: the smallest Σ −log p(class) + ½|w|², the
///   intercepts free; σ of one output for two classes, softmax of an output each for more. Classes that
///   training lacks have probability 0, as scikit-learn does not know them. L-BFGS finds it
///   ([`lbfgs::minimize`]), O(n·p·C) an evaluation, at most 1,000 iterations.
///
/// A huge table gets only as many iterations as 4·10¹⁰ multiply–adds allow, 30 at least: some seconds. Memory:
/// a copy of the training rows, and for logistic regression n·C and about 100·p·C numbers. The bits do not
/// depend on the number of threads.
///
/// # Panics
/// When there is no feature or no training row, or when the lengths do not fit together.
pub fn fit_baselines(
    train_x: &[f64],
    n_features: usize,
    train_truth: Truth,
    n_classes: usize,
) -> Vec<(&'static str, Baseline)> {
    assert!(n_features > 0 && !train_truth.is_empty(), "a baseline needs a feature and a training row");
    assert_eq!(train_x.len(), train_truth.len() * n_features, "a target is needed for each training row");
    let rows = Standardized::new(train_x, n_features);
    let of = |rule| Baseline { rule, n_features };
    match train_truth {
        Truth::Values(t) => {
            let linear = least_squares(&rows, t);
            vec![
                ("mean", of(Rule::Constant(mean(t)))),
                ("least_squares", of(Rule::Linear(rows.standardizer, linear))),
            ]
        }
        Truth::Classes(t) => {
            let shares = shares(t, n_classes);
            let logistic = logistic_regression(rows, t, &shares);
            vec![("majority", of(Rule::Shares(shares))), ("logistic_regression", of(logistic))]
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// How large a part of the rows each class is.
fn shares(classes: &[u32], n_classes: usize) -> Vec<f64> {
    let mut counts = vec![0.0; n_classes];
    for &class in classes {
        counts[class as usize] += 1.0;
    }
    counts.iter().map(|count| count / classes.len() as f64).collect()
}

/// Brings columns to mean 0 and standard deviation 1 in the training rows; columns that do not vary there to 0.
struct Standardizer {
    /// p.
    n_features: usize,
    mean: Vec<f64>,
    /// 1/standard deviation, or 0.
    inverse_std: Vec<f64>,
    level: CpuLevel,
}

/// Training rows, standardised.
struct Standardized {
    /// n×p.
    z: Vec<f64>,
    standardizer: Standardizer,
}

impl std::ops::Deref for Standardized {
    type Target = Standardizer;

    fn deref(&self) -> &Standardizer {
        &self.standardizer
    }
}

/// Outputs of a standardised row z: z·W + b.
struct Linear {
    /// W, p×O.
    weight: Vec<f64>,
    /// b, O.
    bias: Vec<f64>,
}

impl Standardizer {
    fn apply(&self, x: &[f64]) -> Vec<f64> {
        let mut z = x.to_vec();
        for row in z.chunks_exact_mut(self.n_features) {
            for ((v, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.inverse_std) {
                *v = (*v - mean) * scale;
            }
        }
        z
    }

    /// Outputs (rows×O) of rows as they came.
    fn predict(&self, linear: &Linear, x: &[f64]) -> Vec<f64> {
        let mut outputs = Vec::with_capacity(x.len() / self.n_features * linear.bias.len());
        // Part by part, so that no second copy of all rows is held.
        for x in x.chunks(BLOCK_ROWS * self.n_features) {
            let mut part = vec![0.0; x.len() / self.n_features * linear.bias.len()];
            self.times_rows(&self.apply(x), &linear.weight, &linear.bias, &mut part);
            outputs.append(&mut part);
        }
        outputs
    }

    fn times_rows(&self, z: &[f64], weight: &[f64], bias: &[f64], y: &mut [f64]) {
        let (p, o) = (self.n_features, bias.len());
        let m = z.len() / p;
        let mut scratch = vec![0.0; product_scratch_len(m, p, o)];
        let (z, weight) = (Matrix::rows(z, p), Matrix::rows(weight, o));
        f64::product(self.level, [m, p, o], z, weight, y, Start::Bias(bias), &mut scratch);
    }
}

impl Standardized {
    fn new(x: &[f64], n_features: usize) -> Self {
        let n_rows = (x.len() / n_features) as f64;
        let mut mean = vec![0.0; n_features];
        for row in x.chunks_exact(n_features) {
            mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
        }
        for m in &mut mean {
            *m /= n_rows;
        }
        let mut inverse_std = vec![0.0; n_features];
        for row in x.chunks_exact(n_features) {
            for ((s, v), m) in inverse_std.iter_mut().zip(row).zip(&mean) {
                *s += (v - m).powi(2);
            }
        }
        for (s, m) in inverse_std.iter_mut().zip(&mean) {
            let std = (*s / n_rows).sqrt();
            // The mean is rounded, and a column of one number can seem to vary by as much.
            *s = if std > 1e-13 * m.abs() { 1.0 / std } else { 0.0 };
        }
        let standardizer = Standardizer { n_features, mean, inverse_std, level: CpuLevel::detect() };
        Self { z: standardizer.apply(x), standardizer }
    }

    fn n_rows(&self) -> usize {
        self.z.len() / self.n_features
    }

    /// Rows of a part; a whole number of blocks but for the last.
    fn part_rows(&self) -> usize {
        self.n_rows().div_ceil(MAX_PARTS).next_multiple_of(BLOCK_ROWS)
    }

    /// y = z·W + b, y: n×O.
    fn times(&self, weight: &[f64], bias: &[f64], y: &mut [f64]) {
        let (part, o) = (self.part_rows(), bias.len());
        self.z
            .par_chunks(part * self.n_features)
            .zip(y.par_chunks_mut(part * o))
            .for_each(|(z, y)| self.times_rows(z, weight, bias, y));
    }

    /// zᵀ·d, d: n×O, the result p×O.
    fn transposed_times(&self, d: &[f64], o: usize) -> Vec<f64> {
        let (p, part) = (self.n_features, self.part_rows());
        let parts: Vec<Vec<f64>> = self
            .z
            .par_chunks(part * p)
            .zip(d.par_chunks(part * o))
            .map(|(z, d)| {
                let mut sum = vec![0.0; p * o];
                let mut scratch = vec![0.0; product_scratch_len(p, BLOCK_ROWS, o)];
                for (z, d) in z.chunks(BLOCK_ROWS * p).zip(d.chunks(BLOCK_ROWS * o)) {
                    let (rows, zt) = (d.len() / o, Matrix::transposed(z, p));
                    let d = Matrix::rows(d, o);
                    f64::product(self.level, [p, rows, o], zt, d, &mut sum, Start::Add, &mut scratch);
                }
                sum
            })
            .collect();
        parts.into_iter().reduce(|a, b| a.iter().zip(b).map(|(a, b)| a + b).collect()).unwrap_or_default()
    }

    /// How many iterations of two products with O columns the budget allows, at most `wanted`.
    fn affordable(&self, wanted: usize, o: usize) -> usize {
        wanted.min((BUDGET / (2 * self.z.len() * o)).max(FEWEST_ITERATIONS))
    }
}

/// Least squares by conjugate gradients on the normal equations, which are never formed (CGLS; Björck 1996,
/// "Numerical Methods for Least Squares Problems", section 7.4).
///
/// They begin at zero and so lead to the shortest solution: shortest for standardised columns, where
/// scikit-learn's is shortest for columns as they are. The predictions differ only for rows that break a
/// collinearity of all training rows. Standardising conditions the columns; stopping when the gradient is down
/// to rounding keeps the noise of collinear ones out. In exact arithmetic as many iterations are needed as z
/// has distinct singular values, at most min(n, p).
fn least_squares(rows: &Standardized, t: &[f64]) -> Linear {
    let target_mean = mean(t);
    // r = t − z·w, s = zᵀ·r, d the direction of search.
    let mut r: Vec<f64> = t.iter().map(|t| t - target_mean).collect();
    let mut weight = vec![0.0; rows.n_features];
    let mut zd = vec![0.0; r.len()];
    let mut s = rows.transposed_times(&r, 1);
    let mut d = s.clone();
    let mut s_squared = dot(&s, &s);
    let target_norm = dot(&r, &r).sqrt();
    // The Frobenius norm of z: every column that varies has the length √n.
    let norm = (rows.z.len() as f64).sqrt();
    let wanted = 20 * rows.n_features.min(rows.n_rows()) + 100;
    for _ in 0..rows.affordable(wanted, 1) {
        let residual = dot(&r, &r).sqrt();
        if s_squared.sqrt() <= 1e-13 * norm * residual || residual <= 1e-13 * target_norm {
            break;
        }
        rows.times(&d, &[0.0], &mut zd);
        let step = s_squared / dot(&zd, &zd);
        add_to(step, &d, &mut weight);
        add_to(-step, &zd, &mut r);
        s = rows.transposed_times(&r, 1);
        let before = std::mem::replace(&mut s_squared, dot(&s, &s));
        for (d, s) in d.iter_mut().zip(&s) {
            *d = s + s_squared / before * *d;
        }
    }
    Linear { weight, bias: vec![target_mean] }
}

/// Logistic regression among the classes that training has; of a single one, its share.
fn logistic_regression(rows: Standardized, t: &[u32], shares: &[f64]) -> Rule {
    let present: Vec<usize> = (0..shares.len()).filter(|&class| shares[class] > 0.0).collect();
    if present.len() < 2 {
        return Rule::Shares(shares.to_vec());
    }
    let mut compact = vec![0_u32; shares.len()];
    for (i, &class) in present.iter().enumerate() {
        compact[class] = i as u32;
    }
    let t: Vec<u32> = t.iter().map(|&class| compact[class as usize]).collect();
    let linear = fit_logistic(&rows, &t, present.len());
    Rule::Logistic(rows.standardizer, linear, present, shares.len())
}

/// Probabilities (rows×classes) out of logits (rows×O) of the classes that are present.
fn probabilities(logits: &[f64], o: usize, present: &[usize], n_classes: usize) -> Vec<f64> {
    let mut p = vec![0.0; logits.len() / o * n_classes];
    for (z, p) in logits.chunks_exact(o).zip(p.chunks_exact_mut(n_classes)) {
        if let [z] = z {
            (p[present[0]], p[present[1]]) = (sigmoid(-*z), sigmoid(*z));
        } else {
            let mut z = z.to_vec();
            softmax(&mut z);
            for (&class, z) in present.iter().zip(&z) {
                p[class] = *z;
            }
        }
    }
    p
}

/// Logistic regression of classes 0..C that all occur: one output for two, C for more.
///
/// Centring moves only the intercepts, which are free; the penalty is that of the coefficients of the features
/// as they came. Searched in coordinates scaled by the diagonal of the Hessian at zero (Jacobi).
fn fit_logistic(rows: &Standardized, t: &[u32], n_classes: usize) -> Linear {
    let (n, p) = (rows.n_rows(), rows.n_features);
    let o = if n_classes == 2 { 1 } else { n_classes };
    // With w = u/std for a standardised column, ½w² is ½u²·penalty. A column that does not vary has u = 0.
    let penalty: Vec<f64> = rows.inverse_std.iter().map(|s| s * s).collect();
    // Searched for is v = u·√(¼n + penalty).
    let scale: Vec<f64> = penalty.iter().map(|penalty| 1.0 / (0.25 * n as f64 + penalty).sqrt()).collect();
    let bias_scale = 1.0 / (0.25 * n as f64).sqrt();
    let unscaled = |v: &[f64]| {
        let (weight, bias) = v.split_at(p * o);
        let weight = weight.chunks_exact(o).zip(&scale).flat_map(|(v, s)| v.iter().map(move |v| v * s));
        Linear { weight: weight.collect(), bias: bias.iter().map(|v| v * bias_scale).collect() }
    };
    let mut z = vec![0.0; n * o];
    let mut v = vec![0.0; (p + 1) * o];
    // In these coordinates the Hessian is about 1, and a gradient of this size leaves a loss of its square.
    let tolerance = 1e-9 * (n as f64).sqrt();
    lbfgs::minimize(&mut v, rows.affordable(1000, o), tolerance, |v, gradient| {
        let linear = unscaled(v);
        rows.times(&linear.weight, &linear.bias, &mut z);
        let mut value = log_losses(&mut z, t, o);
        let (dweight, dbias) = gradient.split_at_mut(p * o);
        dweight.copy_from_slice(&rows.transposed_times(&z, o));
        let columns = dweight.chunks_exact_mut(o).zip(linear.weight.chunks_exact(o));
        for (j, (dweight, weight)) in columns.enumerate() {
            for (d, u) in dweight.iter_mut().zip(weight) {
                value += 0.5 * penalty[j] * u * u;
                *d = (*d + penalty[j] * u) * scale[j];
            }
        }
        dbias.fill(0.0);
        for d in z.chunks_exact(o) {
            dbias.iter_mut().zip(d).for_each(|(sum, d)| *sum += d * bias_scale);
        }
        value
    });
    unscaled(&v)
}

/// The sum of the rows' log losses; turns logits (n×O) into their derivatives, p − truth.
fn log_losses(z: &mut [f64], t: &[u32], o: usize) -> f64 {
    let mut sum = 0.0;
    for (z, &class) in z.chunks_exact_mut(o).zip(t) {
        if let [z] = z {
            // log(1 + eᶻ) − t·z, written so that nothing overflows.
            let truth = f64::from(class);
            sum += z.max(0.0) - truth * *z + (-z.abs()).exp().ln_1p();
            *z = sigmoid(*z) - truth;
        } else {
            let of_truth = z[class as usize];
            sum += softmax(z) - of_truth;
            z[class as usize] -= 1.0;
        }
    }
    sum
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// Turns logits into probabilities; returns log Σ eᶻ.
fn softmax(z: &mut [f64]) -> f64 {
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for z in &mut *z {
        *z = (*z - largest).exp();
        total += *z;
    }
    for z in &mut *z {
        *z /= total;
    }
    largest + total.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<'a>(predictions: &'a (&'static str, Predictions)) -> &'a [f64] {
        match &predictions.1 {
            Predictions::Values(v) | Predictions::Probabilities { p: v, .. } => v,
        }
    }

    fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{a} is not {b}");
        }
    }

    #[test]
    fn of_many_solutions_least_squares_takes_the_shortest() {
        // Two rows, z = −1 and 1 in all three columns: w = (1, 1, 1), b = 3. The fourth column never varies.
        let x = [0.0, 0.0, 0.0, 0.1, 1.0, 2.0, 4.0, 0.1];
        let test = [0.0, 0.0, 0.0, 0.1, 1.0, 2.0, 4.0, 0.1, 1.0, 0.0, 0.0, 7.0];
        let found = baselines(&x, 4, Truth::Values(&[0.0, 6.0]), 0, &test);
        assert_eq!(found[0], ("mean", Predictions::Values(vec![3.0; 3])));
        assert_near(values(&found[1]), &[0.0, 6.0, 2.0], 1e-12);
    }

    #[test]
    fn least_squares_finds_a_polynomial_among_its_nearly_collinear_powers() {
        let powers = |x: f64| [x, x.powi(2), x.powi(3), x.powi(4)];
        let x: Vec<f64> = (1..=30).flat_map(|i| powers(f64::from(i))).collect();
        let polynomial = |x: f64| 5.0 - x + 0.5 * x.powi(2) - 0.01 * x.powi(4);
        let t: Vec<f64> = (1..=30).map(|i| polynomial(f64::from(i))).collect();
        let found = baselines(&x, 4, Truth::Values(&t), 0, &[powers(2.5), powers(17.25)].concat());
        assert_near(values(&found[1]), &[polynomial(2.5), polynomial(17.25)], 1e-6);
    }

    #[test]
    fn a_constant_target_and_constant_features_leave_the_mean() {
        let found = baselines(&[1.0, 1.0, 1.0], 1, Truth::Values(&[1.0, 2.0, 6.0]), 0, &[5.0]);
        assert_eq!(values(&found[1]), [3.0]);
        let found = baselines(&[1.0, 2.0, 4.0], 1, Truth::Values(&[2.0; 3]), 0, &[5.0]);
        assert_eq!(values(&found[1]), [2.0]);
    }

    #[test]
    fn the_logistic_optimum_by_hand() {
        // Balanced and symmetric about zero: b = 0, and w solves w = 4·σ(−w).
        let x = [-1.0, -1.0, 1.0, 1.0];
        let found = baselines(&x, 1, Truth::Classes(&[0, 0, 1, 1]), 2, &[1.0, 0.0]);
        assert_eq!(values(&found[0]), [0.5; 4]);
        let mut w = 1.0;
        for _ in 0..100 {
            let p = sigmoid(-w);
            w -= (w - 4.0 * p) / (1.0 + 4.0 * p * (1.0 - p));
        }
        assert_near(values(&found[1]), &[sigmoid(-w), sigmoid(w), 0.5, 0.5], 1e-8);
    }

    #[test]
    fn classes_that_training_lacks_have_probability_zero() {
        let x = [-1.0, -0.5, 0.5, 1.0];
        let two = baselines(&x, 1, Truth::Classes(&[3, 3, 1, 1]), 4, &[-1.0]);
        let p = values(&two[1]);
        assert_eq!(values(&two[0]), [0.0, 0.5, 0.0, 0.5]);
        assert!(p[0] == 0.0 && p[2] == 0.0 && p[3] > 0.5, "{p:?}");
        let three = baselines(&x, 1, Truth::Classes(&[3, 3, 1, 0]), 4, &[-1.0]);
        let p = values(&three[1]);
        assert!(p[2] == 0.0 && p[3] > 0.5 && (p.iter().sum::<f64>() - 1.0).abs() < 1e-15, "{p:?}");
        let one = baselines(&x, 1, Truth::Classes(&[2; 4]), 4, &[-1.0]);
        assert_eq!(values(&one[1]), [0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn no_test_rows_give_no_predictions() {
        for truth in [Truth::Values(&[1.0, 2.0]), Truth::Classes(&[0, 1])] {
            let found = baselines(&[1.0, 3.0], 1, truth, 2, &[]);
            assert!(found.iter().all(|(_, predictions)| predictions.is_empty()));
        }
    }
}
