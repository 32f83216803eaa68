//! Differences pair by pair, and how far their mean could be off.

use std::f64::consts::{FRAC_PI_2, PI};

/// The mean of paired differences with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// How many pairs there are.
    pub n: usize,
    /// The mean difference.
    pub mean: f64,
    /// Student's interval of the mean; none with fewer than two pairs.
    pub interval: Option<[f64; 2]>,
}

impl Paired {
    /// The mean of the differences `d` and its interval d̄ ± t·s/√n, where s² = Σ(d − d̄)²/(n − 1) and t is the
    /// (1 + `confidence`)/2 quantile of Student's distribution with n − 1 degrees of freedom.
    ///
    /// "Student" 1908, "The probable error of a mean", Biometrika 6. It takes the differences of the seeds for
    /// independent draws of a normal distribution; the splits of one table share rows, so the interval is
    /// somewhat too narrow for what another table would show (Bengio & Grandvalet 2004). None without pairs.
    pub fn new(differences: &[f64], confidence: f64) -> Option<Self> {
        let n = differences.len();
        if n == 0 {
            return None;
        }
        let mean = differences.iter().sum::<f64>() / n as f64;
        let interval = (n > 1).then(|| {
            let s2 = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
            let half = student_quantile(n - 1, confidence) * (s2 / n as f64).sqrt();
            [mean - half, mean + half]
        });
        Some(Self { n, mean, interval })
    }
}

/// The number t that |T| stays below with probability `p`, for T of Student's distribution with `df` ≥ 1
/// degrees of freedom.
///
/// P(|T| < t) is a finite sum in θ = atan(t/√df) (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4), which grows
/// with θ and is solved for it by bisection.
pub fn student_quantile(df: usize, p: f64) -> f64 {
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    // As often as a double has bits to be found.
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        if within(df, middle) < p { low = middle } else { high = middle }
    }
    f64::midpoint(low, high).tan() * (df as f64).sqrt()
}

/// P(|T| < √df·tan θ).
fn within(df: usize, theta: f64) -> f64 {
    let (sin, cos) = theta.sin_cos();
    // Terms cos^k, each the last times cos²·(k − 1)/k: k odd for odd df, even for even df, up to df − 2.
    let first = if df % 2 == 1 { cos } else { 1.0 };
    let (mut term, mut sum) = (first, if df > 1 { first } else { 0.0 });
    let mut k = if df % 2 == 1 { 3 } else { 2 };
    while k + 2 <= df {
        term *= cos * cos * (k - 1) as f64 / k as f64;
        sum += term;
        k += 2;
    }
    if df % 2 == 1 { 2.0 / PI * (theta + sin * sum) } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // scipy.stats.t.ppf((1 + p) / 2, df).
        for (df, p, t) in [
            (1, 0.95, 12.706_204_736),
            (2, 0.95, 4.302_652_730),
            (3, 0.95, 3.182_446_305),
            (4, 0.95, 2.776_445_105),
            (5, 0.95, 2.570_581_836),
            (9, 0.95, 2.262_157_163),
            (30, 0.95, 2.042_272_456),
            (4, 0.99, 4.604_094_871),
            (7, 0.5, 0.711_141_778),
            (100, 0.95, 1.983_971_519),
        ] {
            assert!((student_quantile(df, p) - t).abs() < 1e-7 * t, "{df} {p}: {}", student_quantile(df, p));
        }
    }

    #[test]
    fn intervals_are_those_of_a_paired_t_test() {
        // scipy.stats.ttest_1samp([1, 2, 4, 5, 8], 0).confidence_interval(0.95)
        let paired = Paired::new(&[1.0, 2.0, 4.0, 5.0, 8.0], 0.95).unwrap();
        let [low, high] = paired.interval.unwrap();
        assert!((paired.mean - 4.0).abs() < 1e-12 && paired.n == 5);
        assert!((low - 0.599_563).abs() < 1e-5 && (high - 7.400_437).abs() < 1e-5, "{low} {high}");
        assert_eq!(Paired::new(&[0.0; 3], 0.95).unwrap().interval, Some([0.0, 0.0]));
        assert_eq!(Paired::new(&[2.0], 0.95).unwrap().interval, None);
        assert_eq!(Paired::new(&[], 0.95), None);
    }
}
