//! Mean, spread and shape of numbers.

use serde::Serialize;

/// The first four moments.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Moments {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, with n − 1; none below two numbers.
    pub std: Option<f64>,
    /// G1, the adjusted skewness; none below three numbers or where nothing varies.
    pub skewness: Option<f64>,
    /// G2, the adjusted excess kurtosis, 0 for a normal distribution; none below four numbers or where nothing varies.
    pub kurtosis: Option<f64>,
}

/// The moments of numbers without NaN, in two passes; those of pandas (Joanes & Gill 1998, "Comparing measures of
/// sample skewness and kurtosis": G1 and G2).
pub fn moments(x: &[f64]) -> Moments {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n.max(1.0);
    let (mut m2, mut m3, mut m4) = (0.0, 0.0, 0.0);
    for v in x {
        let d = v - mean;
        let square = d * d;
        m2 += square;
        m3 += square * d;
        m4 += square * square;
    }
    let (m2, m3, m4) = (m2 / n, m3 / n, m4 / n);
    let varies = m2.sqrt() > 1e-14 * mean.abs();
    let skewness = (n > 2.0 && varies).then(|| (n * (n - 1.0)).sqrt() / (n - 2.0) * m3 / m2.powf(1.5));
    let kurtosis = (n > 3.0 && varies)
        .then(|| (n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * (m4 / (m2 * m2) - 3.0) + 6.0));
    Moments { mean, std: (n > 1.0).then(|| (m2 * n / (n - 1.0)).sqrt()), skewness, kurtosis }
}
