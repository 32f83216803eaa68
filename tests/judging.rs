//! How results are judged: metrics and baselines against scikit-learn, intervals against simulation.

use std::path::{Path, PathBuf};

use serde_json::Value;
use statera::random::{Purpose, Stream};
use statera::train::baselines::baselines;
use statera::train::bootstrap::{Intervals, gain, intervals};
use statera::train::metrics::{Predictions, Truth, confusion_matrix, decide, metrics};

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn golden(name: &str) -> Value {
    let text = std::fs::read_to_string(file(&format!("tests/golden/{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// All numbers of a list, however deep.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

fn classes(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|v| v as u32).collect()
}

/// Every figure of `golden` is among the metrics, and no further off than `tolerance` of it.
fn assert_metrics(found: &[(&'static str, f64)], golden: &Value, tolerance: f64) {
    let golden = golden.as_object().unwrap();
    assert!(!golden.is_empty());
    for (name, expected) in golden {
        let expected = expected.as_f64().unwrap();
        let (_, value) =
            found.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{name} is missing: {found:?}"));
        assert!((value - expected).abs() <= tolerance * expected.abs(), "{name}: {value} is not {expected}");
    }
}

#[test]
fn regression_metrics_are_those_of_scikit_learn() {
    let golden = &golden("metrics")["regression"];
    let predictions = Predictions::Values(numbers(&golden["predictions"]));
    let found = metrics(&predictions, Truth::Values(&numbers(&golden["truth"])));
    assert_metrics(&found, &golden["metrics"], 1e-12);
}

#[test]
fn classification_metrics_are_those_of_scikit_learn() {
    let golden = golden("metrics");
    let binary = Predictions::binary(&numbers(&golden["binary"]["scores"]));
    let p = numbers(&golden["multiclass"]["probabilities"]);
    let multiclass = Predictions::Probabilities { n_classes: 4, p };
    for (golden, predictions) in [(&golden["binary"], binary), (&golden["multiclass"], multiclass)] {
        let truth = classes(&golden["truth"]);
        let found = metrics(&predictions, Truth::Classes(&truth));
        assert_metrics(&found, &golden["metrics"], 1e-12);

        let counts = confusion_matrix(&predictions, &truth);
        let counts: Vec<f64> = counts.concat().into_iter().map(|c| c as f64).collect();
        assert_eq!(counts, numbers(&golden["confusion_matrix"]));
        let Predictions::Probabilities { n_classes, p } = &predictions else { unreachable!() };
        let decided: Vec<u32> = p.chunks_exact(*n_classes).map(decide).collect();
        assert_eq!(decided, classes(&golden["predicted"]));
    }
}

/// Columns of data/insurance.csv for a target: numbers, then a column for each level of each text column.
struct Insurance {
    x: Vec<f64>,
    n_features: usize,
    /// Charges, or the number of the level.
    target: Vec<f64>,
}

const TRAIN_ROWS: usize = 1000;

impl Insurance {
    fn read(target: &str, standardise: bool) -> Self {
        let levels: [(&str, &[&str]); 3] = [
            ("sex", &["female", "male"]),
            ("smoker", &["no", "yes"]),
            ("region", &["northeast", "northwest", "southeast", "southwest"]),
        ];
        let mut reader = csv::Reader::from_path(file("data/insurance.csv")).unwrap();
        let header = reader.headers().unwrap().clone();
        let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let column = |name: &str| {
            let at = header.iter().position(|h| h == name).unwrap();
            records.iter().map(move |record| record[at].to_owned())
        };
        let number = |name: &str| column(name).map(|cell| cell.parse::<f64>().unwrap()).collect::<Vec<_>>();
        let mut columns = Vec::new();
        for name in ["age", "bmi", "children", "charges"].into_iter().filter(|name| *name != target) {
            let mut x = number(name);
            if standardise {
                let n = TRAIN_ROWS as f64;
                let mean = x[..TRAIN_ROWS].iter().sum::<f64>() / n;
                let variance = x[..TRAIN_ROWS].iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
                x = x.iter().map(|v| (v - mean) / variance.sqrt()).collect();
            }
            columns.push(x);
        }
        for (name, levels) in levels.iter().filter(|(name, _)| *name != target) {
            for level in *levels {
                columns.push(column(name).map(|cell| f64::from(u8::from(cell == *level))).collect());
            }
        }
        let target = match levels.iter().find(|(name, _)| *name == target) {
            Some((name, levels)) => {
                let index = |cell: String| levels.iter().position(|level| *level == cell).unwrap() as f64;
                column(name).map(index).collect()
            }
            None => number(target),
        };
        let x = (0..records.len()).flat_map(|row| columns.iter().map(move |c| c[row])).collect();
        Self { x, n_features: columns.len(), target }
    }

    fn train_x(&self) -> &[f64] {
        &self.x[..TRAIN_ROWS * self.n_features]
    }

    fn test_x(&self) -> &[f64] {
        &self.x[TRAIN_ROWS * self.n_features..]
    }
}

#[test]
fn least_squares_is_that_of_scikit_learn() {
    let golden = &golden("baselines")["ols"];
    let table = Insurance::read("charges", false);
    let (train, test) = table.target.split_at(TRAIN_ROWS);
    let found = baselines(table.train_x(), table.n_features, Truth::Values(train), 0, table.test_x());
    let [("mean", mean), ("least_squares", linear)] = &found[..] else { panic!("{found:?}") };
    assert_metrics(&metrics(linear, Truth::Values(test)), &golden["test"], 1e-9);
    let Predictions::Values(linear) = linear else { unreachable!() };
    for (value, expected) in linear.iter().zip(numbers(&golden["first_5_test_predictions"])) {
        assert!((value - expected).abs() <= 1e-9 * expected, "{value} is not {expected}");
    }
    let Predictions::Values(mean) = mean else { unreachable!() };
    let expected = train.iter().sum::<f64>() / TRAIN_ROWS as f64;
    assert!(mean.len() == test.len() && mean.iter().all(|m| (m - expected).abs() < 1e-9));
}

#[test]
fn logistic_regression_is_that_of_scikit_learn() {
    for (target, n_classes) in [("smoker", 2), ("region", 4)] {
        let golden = &golden("baselines")[format!("logistic_{target}")];
        let table = Insurance::read(target, true);
        let truth: Vec<u32> = table.target.iter().map(|&class| class as u32).collect();
        let (train, test) = truth.split_at(TRAIN_ROWS);
        let train = Truth::Classes(train);
        let found = baselines(table.train_x(), table.n_features, train, n_classes, table.test_x());
        let [("majority", majority), ("logistic_regression", logistic)] = &found[..] else {
            panic!("{found:?}")
        };
        assert_metrics(&metrics(logistic, Truth::Classes(test)), &golden["test"], 2e-5);
        let Predictions::Probabilities { p, .. } = logistic else { unreachable!() };
        for (value, expected) in p.iter().zip(numbers(&golden["first_5_test_probabilities"])) {
            // scikit-learn's own distance from the minimum, as its script measures it.
            assert!((value - expected).abs() <= 2e-5, "{value} is not {expected}");
        }
        let Predictions::Probabilities { p, .. } = majority else { unreachable!() };
        assert!((p[..n_classes].iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(p.len(), test.len() * n_classes);
    }
}

/// What a computation gives in a pool of so many threads.
fn in_pool<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let mut stream = Stream::new(5, Purpose::Split, 0);
    let (n, p) = (3000, 7);
    let x: Vec<f64> = (0..n * p).map(|_| stream.normal()).collect();
    let y: Vec<f64> = x.chunks(p).map(|row| row[0] - 2.0 * row[3]).map(|v| v + stream.normal()).collect();
    let three: Vec<u32> = y.iter().map(|v| (v.abs() as u32).min(2)).collect();
    let judge = |truth: Truth| {
        let both = |threads| {
            in_pool(threads, || {
                let found = baselines(&x, p, truth, 3, &x);
                let judged: Vec<Intervals> = found
                    .iter()
                    .map(|(_, predicted)| intervals(predicted, truth, None, 60, 0.9, 1))
                    .collect();
                (found, judged)
            })
        };
        assert_eq!(both(1), both(2));
    };
    judge(Truth::Values(&y));
    judge(Truth::Classes(&three));
}

#[test]
fn intervals_cover_the_true_value_as_often_as_they_say() {
    // The mean absolute error of standard normal errors is √(2/π).
    let expected = (2.0 / std::f64::consts::PI).sqrt();
    let (experiments, n) = (500_u32, 150);
    let truth = vec![0.0; n];
    let covered = (0..experiments).filter(|&experiment| {
        let mut stream = Stream::new(99, Purpose::Split, experiment);
        let predictions = Predictions::Values((0..n).map(|_| stream.normal()).collect());
        let judged = intervals(&predictions, Truth::Values(&truth), None, 300, 0.9, u64::from(experiment));
        let mae = judged.metrics.iter().find(|(name, ..)| *name == "mae").unwrap();
        let [low, high] = mae.2.unwrap();
        assert!(low < mae.1 && mae.1 < high);
        low <= expected && expected <= high
    });
    // 0.9 of 500 with a standard deviation of 0.0134: three of them on either side.
    let coverage = covered.count() as f64 / f64::from(experiments);
    assert!((coverage - 0.9).abs() < 0.04, "{coverage}");
}

/// Intervals over 40 rows, and over a table of each of them `times` times, in groups of the same row.
#[test]
fn intervals_over_groups_of_repeated_rows_are_those_of_the_single_rows() {
    let mut stream = Stream::new(5, Purpose::Split, 0);
    let n = 40;
    let truth: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
    let classes: Vec<u32> = (0..n).map(|row| row % 2).collect();
    let guess: Vec<f64> = truth.iter().map(|t| 0.5 * t + 0.4 * stream.normal()).collect();
    let rows: Vec<u32> = (0..n).collect();
    let ends = |judged: &Intervals, name: &str| {
        let (_, value, interval) = judged.metrics.iter().find(|(n, ..)| *n == name).unwrap();
        interval.map(|[low, high]| [*value, low, high])
    };
    let scores: Vec<f64> = guess.iter().map(|g| 1.0 / (1.0 + (-g).exp())).collect();
    for times in [2, 5] {
        let groups = rows.repeat(times);
        let both = |by: Option<&[u32]>, times: usize| {
            let (t, c) = (truth.repeat(times), classes.repeat(times));
            let values = Predictions::Values(guess.repeat(times));
            let p = Predictions::binary(&scores.repeat(times));
            [
                intervals(&values, Truth::Values(&t), by, 200, 0.9, 3),
                intervals(&p, Truth::Classes(&c), by, 200, 0.9, 3),
            ]
        };
        let (single, grouped, naive) = (both(None, 1), both(Some(&groups), times), both(None, times));
        for (i, names) in
            [&["rmse", "mae", "r2"][..], &["log_loss", "roc_auc", "accuracy"]].into_iter().enumerate()
        {
            assert_eq!((single[i].n_groups, grouped[i].n_groups), (None, Some(n as usize)));
            for name in names {
                let of = |judged: &[Intervals; 2]| ends(&judged[i], name).unwrap();
                let (single, grouped, naive) = (of(&single), of(&grouped), of(&naive));
                let near = single.iter().zip(grouped).all(|(a, b)| (a - b).abs() < 1e-9 * a.abs());
                assert!(near, "{name}: {single:?} {grouped:?}");
                // Rows that are taken for independent make the interval too narrow by about the root of their number.
                let width = |[_, low, high]: [f64; 3]| high - low;
                let ratio = width(naive) / width(single) * (times as f64).sqrt();
                assert!((0.7..1.4).contains(&ratio), "{name}: {ratio}");
            }
        }
        // On any number of threads the same.
        let on = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| both(Some(&groups), times))
        };
        assert_eq!(on(1), on(3));
    }
    // A single group says nothing of others.
    let one =
        intervals(&Predictions::Values(guess.clone()), Truth::Values(&truth), Some(&[7; 40]), 200, 0.9, 3);
    assert!(one.replicates == 0 && one.n_groups == Some(1) && ends(&one, "rmse").is_none());
    let [ours, theirs] =
        [0.5, 0.9].map(|by| Predictions::Values(truth.iter().map(|t| t * by + 0.1).collect()));
    let paired = |groups: Option<&[u32]>, times: usize| {
        let many = |p: &Predictions| match p {
            Predictions::Values(p) => Predictions::Values(p.repeat(times)),
            Predictions::Probabilities { .. } => unreachable!(),
        };
        let both = [&many(&ours), &many(&theirs)];
        gain("rmse", both, Truth::Values(&truth.repeat(times)), groups, 100, 0.9, 3).unwrap().interval
    };
    let ([a, b], [c, d]) = (paired(None, 1).unwrap(), paired(Some(&rows.repeat(3)), 3).unwrap());
    assert!((a - c).abs() < 1e-9 && (b - d).abs() < 1e-9, "{a} {b} {c} {d}");
    assert_eq!(paired(Some(&[1; 40]), 1), None);
}

#[test]
fn intervals_stand_beside_every_metric_or_are_none() {
    let mut stream = Stream::new(8, Purpose::Split, 0);
    let truth: Vec<u32> = (0..200).map(|_| stream.below(2) as u32).collect();
    let scores: Vec<f64> = truth.iter().map(|&t| 0.3 * f64::from(t) + 0.7 * stream.uniform()).collect();
    let predictions = Predictions::binary(&scores);
    let judged = intervals(&predictions, Truth::Classes(&truth), None, 500, 0.95, 3);
    assert_eq!(judged.replicates, 500);
    let values: Vec<_> = judged.metrics.iter().map(|(name, value, _)| (*name, *value)).collect();
    assert_eq!(values, metrics(&predictions, Truth::Classes(&truth)));
    for (name, value, interval) in &judged.metrics {
        let [low, high] = interval.unwrap_or_else(|| panic!("{name} has no interval"));
        // The calibration error of a resample is biased upwards, as every absolute deviation is.
        assert!(low < high && (*name == "ece" || low <= *value && *value <= high), "{name}: {value}");
    }
    let other = intervals(&predictions, Truth::Classes(&truth), None, 500, 0.95, 4);
    assert_ne!(judged, other);

    let without = intervals(&predictions, Truth::Classes(&truth), None, 0, 0.95, 3);
    assert!(without.replicates == 0 && without.metrics.iter().all(|(.., interval)| interval.is_none()));
    let one_row = intervals(&Predictions::Values(vec![1.0]), Truth::Values(&[1.5]), None, 500, 0.95, 3);
    assert_eq!(one_row.metrics[0], ("rmse", 0.5, None));
    assert_eq!(one_row.replicates, 0);
    let empty = intervals(&Predictions::Values(vec![]), Truth::Values(&[]), None, 500, 0.95, 3);
    assert_eq!(empty, Intervals { metrics: vec![], replicates: 0, n_groups: None });
}
