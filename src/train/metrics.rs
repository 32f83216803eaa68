//! How good predictions are: the metrics of regression and classification, by scikit-learn's definitions.
//!
//! Every metric is computed with a weight for each row, which is how often the row counts: once each for the
//! sample itself, and as often as it was drawn for a bootstrap replicate. What needs sorting is sorted once.
//! A metric that is not defined for a sample (the area under a ROC curve of one class only) is left out.

/// What a model says about some rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Predictions {
    /// A number a row, in the target's own units.
    Values(Vec<f64>),
    /// A probability for every class, row after row.
    Probabilities {
        /// C.
        n_classes: usize,
        /// Rows×C; the numbers of a row sum to 1.
        p: Vec<f64>,
    },
}

impl Predictions {
    /// The probabilities of two classes, from those of the second one. O(rows).
    pub fn binary(p_second: &[f64]) -> Self {
        Self::Probabilities { n_classes: 2, p: p_second.iter().flat_map(|&p| [1.0 - p, p]).collect() }
    }

    /// Adds predictions of the same kind for the rows that follow.
    pub fn append(&mut self, more: Self) {
        let (Self::Values(all) | Self::Probabilities { p: all, .. }) = self;
        let (Self::Values(more) | Self::Probabilities { p: more, .. }) = more;
        all.extend(more);
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Probabilities { n_classes, p } => p.len() / (*n_classes).max(1),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn are_finite(&self) -> bool {
        let (Self::Values(numbers) | Self::Probabilities { p: numbers, .. }) = self;
        numbers.iter().all(|v| v.is_finite())
    }
}

/// What predictions are compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Truth<'a> {
    /// A number a row, in the target's own units.
    Values(&'a [f64]),
    /// A class a row, 0..C.
    Classes(&'a [u32]),
}

impl Truth<'_> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Classes(classes) => classes.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A metric by its name, and its value.
pub type Named = (&'static str, f64);

/// Whether a larger value of the metric is a better one: not for errors and losses.
pub fn higher_is_better(name: &str) -> bool {
    !matches!(name, "rmse" | "mae" | "median_ae" | "mape" | "mse" | "log_loss" | "brier" | "ece")
}

/// The least and the greatest value that the metric can have.
pub fn possible(name: &str) -> [f64; 2] {
    match name {
        "r2" => [f64::NEG_INFINITY, 1.0],
        "mcc" => [-1.0, 1.0],
        "rmse" | "mae" | "median_ae" | "mape" | "mse" | "log_loss" => [0.0, f64::INFINITY],
        "brier" => [0.0, 2.0],
        _ => [0.0, 1.0],
    }
}

/// All metrics that are defined for these rows, `rmse` or `accuracy` first.
///
/// With errors e = y − t over n rows of truth t and predictions y:
///
/// - `rmse` √(Σe²/n); `mae` Σ|e|/n; `r2` 1 − Σe²/Σ(t − mean t)², left out when the truth is constant;
///   `median_ae` the median of |e|; `mape` Σ|e/t|/n, a fraction, left out when a truth is zero; `mse` Σe²/n.
///
/// The class decided for is the most probable one, see [`decide`]. With TP, FP, FN of a class:
///
/// - `accuracy`; `balanced_accuracy`, the mean recall of the classes that are in the truth.
/// - `precision` TP/(TP + FP), `recall` TP/(TP + FN) and `f1` 2TP/(2TP + FP + FN) of the second of two classes;
///   `f1_macro`, and beyond two classes `precision_macro` and `recall_macro`: the mean over the classes that
///   are in the truth or decided for. What is 0/0 for a class never decided for counts as 0.
/// - `roc_auc`, the probability that a row of the second class gets the higher score, ties half (Bamber
///   1975); `pr_auc`, average precision Σ(Rₖ − Rₖ₋₁)Pₖ over the distinct scores. Beyond two classes
///   `roc_auc_ovr_macro`, the mean of each class against the rest over the classes that are in the truth.
/// - `log_loss` −Σ log p(true class)/n, p cut at the machine's 2⁻⁵² as scikit-learn does.
/// - `brier` Σ(p − t)²/n of the second of two classes; beyond two, the squares are summed over the classes
///   (Brier 1950), so that it goes up to 2.
/// - `mcc`, the correlation of truth and decision (Matthews 1975; Gorodkin 2004 for more classes); 0 when only
///   one class is decided for.
/// - `ece`, the expected calibration error Σ over bins of (share of rows)·|accuracy − mean confidence|, with ten
///   equally wide bins of the decided class's probability (Guo et al. 2017).
///
/// `roc_auc`, `pr_auc`, `roc_auc_ovr_macro` and `mcc` are left out when the truth has one class only. The list
/// is empty when there are no rows, or when a prediction is not finite.
///
/// O(n·log n), beyond two classes O(n·C·log n).
///
/// # Panics
/// When predictions and truth are not of one kind and length, or a class is not among those predicted.
pub fn metrics(predictions: &Predictions, truth: Truth) -> Vec<Named> {
    Judge::new(predictions, truth).weigh(&vec![1; truth.len()])
}

/// The class that probabilities decide for: the largest; the second of two, but the first of more, if equal.
///
/// For two classes this is the second one from probability ½ on, as it is usual for scores.
pub fn decide(p: &[f64]) -> u32 {
    if let [first, second] = p {
        return u32::from(second >= first);
    }
    let mut largest = 0;
    for (class, &v) in p.iter().enumerate() {
        if v > p[largest] {
            largest = class;
        }
    }
    largest as u32
}

/// How often each class of the truth (outer) was decided to be each class (inner). O(rows·C + C²).
///
/// # Panics
/// When the predictions are not probabilities, are not as many as the truth, or lack one of its classes.
pub fn confusion_matrix(predictions: &Predictions, truth: &[u32]) -> Vec<Vec<usize>> {
    let Predictions::Probabilities { n_classes, p } = predictions else {
        panic!("a confusion matrix is made from probabilities");
    };
    assert_eq!(predictions.len(), truth.len(), "a prediction is needed for each row of the truth");
    let mut counts = vec![vec![0; *n_classes]; *n_classes];
    for (p, &class) in p.chunks_exact(*n_classes).zip(truth) {
        counts[class as usize][decide(p) as usize] += 1;
    }
    counts
}

/// Predictions and truth, prepared so that metrics of reweighted rows cost no sorting.
pub(crate) enum Judge<'a> {
    /// No rows, or predictions that are not finite: nothing can be said.
    Mute,
    Regression(Regression<'a>),
    Classification(Classification<'a>),
}

impl<'a> Judge<'a> {
    pub(crate) fn new(predictions: &'a Predictions, truth: Truth<'a>) -> Self {
        assert_eq!(predictions.len(), truth.len(), "a prediction is needed for each row of the truth");
        if truth.is_empty() || !predictions.are_finite() {
            return Self::Mute;
        }
        match (predictions, truth) {
            (Predictions::Values(y), Truth::Values(t)) => Self::Regression(Regression::new(y, t)),
            (Predictions::Probabilities { n_classes, p }, Truth::Classes(t)) => {
                Self::Classification(Classification::new(*n_classes, p, t))
            }
            _ => panic!("values are compared with values, and probabilities with classes"),
        }
    }

    /// The metrics of a sample in which row i is `weights[i]` times. O(n), beyond two classes O(n·C).
    pub(crate) fn weigh(&self, weights: &[u32]) -> Vec<Named> {
        let mut named = match self {
            Self::Mute => Vec::new(),
            Self::Regression(judge) => judge.weigh(weights),
            Self::Classification(judge) => judge.weigh(weights),
        };
        named.retain(|(_, value)| value.is_finite());
        named
    }

    /// How many rankings [`Judge::weigh`] walks through for each row, at least 1.
    pub(crate) fn passes(&self) -> usize {
        match self {
            Self::Classification(judge) => judge.rankings.len().max(1),
            _ => 1,
        }
    }
}

/// The sum of f(row), each row as often as it is weighed.
fn sum(weights: &[u32], f: impl Fn(usize) -> f64) -> f64 {
    weights.iter().enumerate().map(|(row, &w)| f64::from(w) * f(row)).sum()
}

pub(crate) struct Regression<'a> {
    y: &'a [f64],
    t: &'a [f64],
    /// Rows from the smallest absolute error to the largest.
    by_error: Vec<u32>,
    has_zero_truth: bool,
}

impl<'a> Regression<'a> {
    fn new(y: &'a [f64], t: &'a [f64]) -> Self {
        let mut by_error: Vec<u32> = (0..t.len() as u32).collect();
        let error = |row: u32| (y[row as usize] - t[row as usize]).abs();
        by_error.sort_unstable_by(|&a, &b| error(a).total_cmp(&error(b)));
        Self { y, t, by_error, has_zero_truth: t.contains(&0.0) }
    }

    fn weigh(&self, weights: &[u32]) -> Vec<Named> {
        let n = sum(weights, |_| 1.0);
        let error = |row: usize| self.y[row] - self.t[row];
        let squares = sum(weights, |row| error(row).powi(2));
        let mse = squares / n;
        let mut named = vec![("rmse", mse.sqrt()), ("mae", sum(weights, |row| error(row).abs()) / n)];
        if !self.is_constant(weights) {
            let mean = sum(weights, |row| self.t[row]) / n;
            named.push(("r2", 1.0 - squares / sum(weights, |row| (self.t[row] - mean).powi(2))));
        }
        named.push(("median_ae", self.median_error(weights, n as u64)));
        if !self.has_zero_truth {
            named.push(("mape", sum(weights, |row| (error(row) / self.t[row]).abs()) / n));
        }
        named.push(("mse", mse));
        named
    }

    /// Whether the truth is one number throughout. Its variance would not tell: the mean is rounded.
    fn is_constant(&self, weights: &[u32]) -> bool {
        let mut drawn = self.t.iter().zip(weights).filter(|(_, w)| **w > 0).map(|(t, _)| t);
        let first = drawn.next();
        drawn.all(|t| Some(t) == first)
    }

    fn median_error(&self, weights: &[u32], n: u64) -> f64 {
        // The middle one of an odd number, the mean of the middle two of an even number.
        let (low, high) = ((n - 1) / 2, n / 2);
        let (mut seen, mut below) = (0, f64::NAN);
        for &row in &self.by_error {
            let row = row as usize;
            let before = seen;
            seen += u64::from(weights[row]);
            let error = (self.y[row] - self.t[row]).abs();
            if before <= low && low < seen {
                below = error;
            }
            if high < seen {
                return f64::midpoint(below, error);
            }
        }
        below
    }
}

/// A row in the ranking by the probability of one class.
struct Ranked {
    row: u32,
    /// Whether the row is of that class.
    positive: bool,
    /// Whether its probability is that of the row before.
    tied: bool,
}

pub(crate) struct Classification<'a> {
    n_classes: usize,
    truth: &'a [u32],
    decided: Vec<u32>,
    log_loss: Vec<f64>,
    brier: Vec<f64>,
    /// The probability of the decided class.
    confidence: Vec<f64>,
    /// By rising probability: of the second of two classes, or of each of more.
    rankings: Vec<Vec<Ranked>>,
}

impl<'a> Classification<'a> {
    fn new(n_classes: usize, p: &[f64], truth: &'a [u32]) -> Self {
        let rows = || p.chunks_exact(n_classes).zip(truth);
        let ranked = match n_classes {
            0 | 1 => 0..0,
            2 => 1..2,
            _ => 0..n_classes,
        };
        Self {
            n_classes,
            truth,
            decided: rows().map(|(p, _)| decide(p)).collect(),
            log_loss: rows()
                .map(|(p, &class)| -p[class as usize].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln())
                .collect(),
            brier: rows().map(|(p, &class)| brier(p, class)).collect(),
            confidence: rows().map(|(p, _)| p[decide(p) as usize]).collect(),
            rankings: ranked.map(|class| rank(n_classes, p, truth, class)).collect(),
        }
    }

    fn weigh(&self, weights: &[u32]) -> Vec<Named> {
        let n = sum(weights, |_| 1.0);
        let classes = ClassCounts::new(self, weights);
        let one_class_only = classes.in_truth() < 2;
        let mut named = vec![
            ("accuracy", classes.each(|c| c.hits).sum::<f64>() / n),
            ("balanced_accuracy", mean(classes.each(|c| c.hits / c.of_truth).filter(|r| !r.is_nan()))),
        ];
        let seen = || classes.0.iter().filter(|c| c.of_truth + c.decided > 0.0);
        let f1_macro = mean(seen().map(Counts::f1));
        if self.n_classes == 2 {
            let second = &classes.0[1];
            if !one_class_only {
                let [roc_auc, pr_auc] = areas(&self.rankings[0], weights);
                named.extend([("roc_auc", roc_auc), ("pr_auc", pr_auc)]);
            }
            named.push(("f1", second.f1()));
            let undefined = second.of_truth + second.decided == 0.0;
            named.push(("precision", if undefined { f64::NAN } else { second.precision() }));
            named.push(("recall", second.hits / second.of_truth));
            named.push(("f1_macro", f1_macro));
        } else {
            named.push(("f1_macro", f1_macro));
            named.push(("precision_macro", mean(seen().map(Counts::precision))));
            named.push(("recall_macro", mean(seen().map(Counts::recall))));
            if !one_class_only {
                let drawn = self.rankings.iter().zip(&classes.0).filter(|(_, c)| c.of_truth > 0.0);
                named.push(("roc_auc_ovr_macro", mean(drawn.map(|(ranking, _)| areas(ranking, weights)[0]))));
            }
        }
        named.push(("log_loss", sum(weights, |row| self.log_loss[row]) / n));
        named.push(("brier", sum(weights, |row| self.brier[row]) / n));
        if !one_class_only {
            named.push(("mcc", classes.correlation(n)));
        }
        named.push(("ece", self.calibration_error(weights, n)));
        named
    }

    fn calibration_error(&self, weights: &[u32], n: f64) -> f64 {
        const BINS: usize = 10;
        // Σ (right − confidence) of the rows of a bin is its size times its accuracy less its mean confidence.
        let mut excess = [0.0; BINS];
        for (row, &w) in weights.iter().enumerate() {
            let confidence = self.confidence[row];
            // Bins are open below and closed above.
            let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
            let right = if self.decided[row] == self.truth[row] { 1.0 } else { 0.0 };
            excess[bin] += f64::from(w) * (right - confidence);
        }
        excess.iter().map(|e| e.abs()).sum::<f64>() / n
    }
}

/// The squared error of a row's probabilities: of the second of two classes, or summed over more.
fn brier(p: &[f64], class: u32) -> f64 {
    let square = |k: usize| (p[k] - if k == class as usize { 1.0 } else { 0.0 }).powi(2);
    if p.len() == 2 { square(1) } else { (0..p.len()).map(square).sum() }
}

fn rank(n_classes: usize, p: &[f64], truth: &[u32], class: usize) -> Vec<Ranked> {
    let score = |row: u32| p[row as usize * n_classes + class];
    let mut rows: Vec<u32> = (0..truth.len() as u32).collect();
    rows.sort_unstable_by(|&a, &b| score(a).total_cmp(&score(b)));
    let mut before = f64::NAN;
    let ranked = |row: u32| {
        let tied = score(row) == before;
        before = score(row);
        Ranked { row, positive: truth[row as usize] as usize == class, tied }
    };
    rows.into_iter().map(ranked).collect()
}

/// The areas under the ROC curve and the precision–recall curve; not finite when one class is missing. O(n).
fn areas(ranking: &[Ranked], weights: &[u32]) -> [f64; 2] {
    // From the highest score down: positives and negatives so far, and those of the ties under way.
    let [mut positives, mut negatives, mut tied_positives, mut tied_negatives] = [0_u64; 4];
    // Twice the pairs that are in the right order, ties half; a count, and hence exact.
    let mut pairs = 0_u64;
    let mut precisions = 0.0;
    for ranked in ranking.iter().rev() {
        let weight = u64::from(weights[ranked.row as usize]);
        *(if ranked.positive { &mut tied_positives } else { &mut tied_negatives }) += weight;
        if ranked.tied {
            continue;
        }
        pairs += tied_negatives * (2 * positives + tied_positives);
        positives += tied_positives;
        negatives += tied_negatives;
        if tied_positives > 0 {
            precisions += tied_positives as f64 * (positives as f64 / (positives + negatives) as f64);
        }
        (tied_positives, tied_negatives) = (0, 0);
    }
    let (p, n) = (positives as f64, negatives as f64);
    [pairs as f64 / (2.0 * p * n), precisions / p]
}

/// The mean; not a number if there is nothing to take it of.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, total) = values.fold((0.0, 0.0), |(count, total), v| (count + 1.0, total + v));
    total / count
}

/// How often a class is the truth, is decided for, and both.
#[derive(Clone, Copy, Default)]
struct Counts {
    of_truth: f64,
    decided: f64,
    hits: f64,
}

impl Counts {
    fn f1(&self) -> f64 {
        2.0 * self.hits / (self.of_truth + self.decided)
    }

    fn precision(&self) -> f64 {
        if self.decided == 0.0 { 0.0 } else { self.hits / self.decided }
    }

    fn recall(&self) -> f64 {
        if self.of_truth == 0.0 { 0.0 } else { self.hits / self.of_truth }
    }
}

struct ClassCounts(Vec<Counts>);

impl ClassCounts {
    fn new(judged: &Classification, weights: &[u32]) -> Self {
        let mut counts = vec![Counts::default(); judged.n_classes];
        for ((&w, &truth), &decided) in weights.iter().zip(judged.truth).zip(&judged.decided) {
            let w = f64::from(w);
            counts[truth as usize].of_truth += w;
            counts[decided as usize].decided += w;
            if truth == decided {
                counts[truth as usize].hits += w;
            }
        }
        Self(counts)
    }

    fn each<'c>(&'c self, f: impl Fn(&Counts) -> f64 + 'c) -> impl Iterator<Item = f64> + 'c {
        self.0.iter().map(f)
    }

    fn in_truth(&self) -> usize {
        self.0.iter().filter(|c| c.of_truth > 0.0).count()
    }

    /// (n·Σhits − Σ truth·decided) / √((n² − Σ truth²)(n² − Σ decided²)), Gorodkin 2004.
    fn correlation(&self, n: f64) -> f64 {
        let covariance = |f: fn(&Counts) -> f64| n * n - self.each(f).sum::<f64>();
        let spread = covariance(|c| c.of_truth * c.of_truth) * covariance(|c| c.decided * c.decided);
        if spread == 0.0 {
            return 0.0;
        }
        let hits: f64 = self.each(|c| c.hits).sum();
        (n * hits - self.each(|c| c.of_truth * c.decided).sum::<f64>()) / spread.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(named: &[Named], name: &str) -> Option<f64> {
        named.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    fn names(named: &[Named]) -> Vec<&'static str> {
        named.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn what_is_undefined_is_left_out() {
        let constant = metrics(&Predictions::Values(vec![1.0, 0.0, 2.0]), Truth::Values(&[0.1, 0.1, 0.1]));
        assert_eq!(names(&constant), ["rmse", "mae", "median_ae", "mape", "mse"]);
        let zero = metrics(&Predictions::Values(vec![1.0, 0.0]), Truth::Values(&[0.0, 1.0]));
        assert_eq!(names(&zero), ["rmse", "mae", "r2", "median_ae", "mse"]);

        let binary = Predictions::binary(&[0.2, 0.7]);
        let first_only = metrics(&binary, Truth::Classes(&[0, 0]));
        let left =
            ["accuracy", "balanced_accuracy", "f1", "precision", "f1_macro", "log_loss", "brier", "ece"];
        assert_eq!(names(&first_only), left);
        let nothing_found = metrics(&Predictions::binary(&[0.2, 0.3]), Truth::Classes(&[0, 1]));
        assert_eq!(value(&nothing_found, "precision"), Some(0.0));
        assert_eq!(value(&nothing_found, "mcc"), Some(0.0));

        let three = Predictions::Probabilities { n_classes: 3, p: vec![0.6, 0.3, 0.1, 0.5, 0.2, 0.3] };
        let one_of_three = metrics(&three, Truth::Classes(&[0, 0]));
        assert!(one_of_three.iter().all(|(_, v)| v.is_finite()));
        assert_eq!(value(&one_of_three, "roc_auc_ovr_macro"), None);
        assert_eq!(value(&one_of_three, "accuracy"), Some(1.0));
    }

    #[test]
    fn no_rows_and_no_finite_predictions_give_no_metrics() {
        assert!(metrics(&Predictions::Values(vec![]), Truth::Values(&[])).is_empty());
        assert!(metrics(&Predictions::binary(&[]), Truth::Classes(&[])).is_empty());
        assert!(metrics(&Predictions::Values(vec![f64::NAN, 1.0]), Truth::Values(&[1.0, 2.0])).is_empty());
        assert!(metrics(&Predictions::binary(&[f64::NAN]), Truth::Classes(&[1])).is_empty());
    }

    #[test]
    fn the_metric_that_people_ask_for_stands_first() {
        let values = (Predictions::Values(vec![1.0, 2.5]), Truth::Values(&[1.0, 2.0]));
        let classes = (Predictions::binary(&[0.4, 0.8]), Truth::Classes(&[0, 1]));
        for ((predictions, truth), first) in [(values, "rmse"), (classes, "accuracy")] {
            assert_eq!(metrics(&predictions, truth)[0].0, first);
        }
        assert!(higher_is_better("r2") && higher_is_better("accuracy") && higher_is_better("mcc"));
        assert!(!higher_is_better("rmse") && !higher_is_better("ece") && !higher_is_better("log_loss"));
    }

    #[test]
    fn a_weight_counts_like_so_many_equal_rows() {
        let (y, t) = ([1.0, 2.0, 4.0, 3.5], [1.5, 1.0, 4.25, 3.0]);
        let predictions = Predictions::Values(y.to_vec());
        let weighed = Judge::new(&predictions, Truth::Values(&t)).weigh(&[2, 0, 1, 3]);
        let repeat = |v: [f64; 4]| vec![v[0], v[0], v[2], v[3], v[3], v[3]];
        let repeated = metrics(&Predictions::Values(repeat(y)), Truth::Values(&repeat(t)));
        assert_eq!(weighed, repeated);

        let scores = [0.3, 0.6, 0.6, 0.9, 0.1];
        let predictions = Predictions::binary(&scores);
        let weighed = Judge::new(&predictions, Truth::Classes(&[0, 1, 0, 1, 1])).weigh(&[1, 2, 3, 0, 1]);
        let repeated = Predictions::binary(&[0.3, 0.6, 0.6, 0.6, 0.6, 0.6, 0.1]);
        let repeated = metrics(&repeated, Truth::Classes(&[0, 1, 1, 0, 0, 0, 1]));
        assert_eq!(names(&weighed), names(&repeated));
        for (name, a) in weighed {
            let b = value(&repeated, name).unwrap_or(f64::NAN);
            assert!((a - b).abs() < 1e-15, "{name}: {a} against {b}");
        }
    }

    #[test]
    fn calibration_error_by_hand() {
        // (0.9, 1.0]: two rows, confidences 0.95 and 1, one right: |1 − 1.95|; (0.6, 0.7]: 0.7, right: |1 − 0.7|.
        let named = metrics(&Predictions::binary(&[0.95, 0.0, 0.7]), Truth::Classes(&[1, 1, 1]));
        let ece = value(&named, "ece").unwrap_or(f64::NAN);
        assert!((ece - (0.95 + 0.3) / 3.0).abs() < 1e-15, "{ece}");
    }

    #[test]
    fn areas_agree_with_counting_every_pair() {
        use crate::random::{Purpose, Stream};
        let mut stream = Stream::new(11, Purpose::Bootstrap, 0);
        for n in [2, 3, 10, 57] {
            // Few distinct scores, so that there are ties.
            let scores: Vec<f64> = (0..n).map(|_| stream.below(7) as f64 / 7.0).collect();
            let mut truth: Vec<u32> = (0..n).map(|_| stream.below(2) as u32).collect();
            (truth[0], truth[1]) = (0, 1);
            let [mut won, mut pairs] = [0.0; 2];
            for (a, _) in scores.iter().zip(&truth).filter(|(_, t)| **t == 1) {
                for (b, _) in scores.iter().zip(&truth).filter(|(_, t)| **t == 0) {
                    pairs += 1.0;
                    won += if a > b {
                        1.0
                    } else if a == b {
                        0.5
                    } else {
                        0.0
                    };
                }
            }
            let named = metrics(&Predictions::binary(&scores), Truth::Classes(&truth));
            assert!((value(&named, "roc_auc").unwrap_or(f64::NAN) - won / pairs).abs() < 1e-15);
        }
    }
}
