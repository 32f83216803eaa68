//! How the distribution of numbers is given another shape: the steps `winsorize`, `log` and `yeo_johnson`.

use serde::{Deserialize, Serialize};

use super::scale::quantile;

/// Beyond these numbers nothing goes: `winsorize`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The lower.
    pub low: f64,
    /// The upper.
    pub high: f64,
}

impl Bounds {
    /// The quantiles `low` and `high` of the training rows; none where there are no rows.
    pub(super) fn fit(values: &[f64], low: f64, high: f64) -> Option<Self> {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        (!values.is_empty()).then(|| Self { low: quantile(&values, low), high: quantile(&values, high) })
    }

    /// The number, or the bound that it lies beyond.
    pub fn transform(&self, x: f64) -> f64 {
        // NaN stays, as neither is.
        if x < self.low {
            self.low
        } else if x > self.high {
            self.high
        } else {
            x
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.low.is_finite() && self.high.is_finite() && self.low <= self.high
    }
}

/// sign(x)·ln(1 + |x|): for numbers of at least 0 numpy's `log1p`, and as steep on the other side of 0, so that a number
/// to predict below all training rows has a finite place.
pub fn signed_log(x: f64) -> f64 {
    x.abs().ln_1p().copysign(x)
}

/// The power of Yeo & Johnson 2000, "A new family of power transformations to improve normality or symmetry":
/// ((1 + x)^λ − 1)/λ for x ≥ 0, −((1 − x)^(2−λ) − 1)/(2 − λ) below, with their limits ln(1 + x) for λ = 0 and −ln(1 − x)
/// for λ = 2.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// λ.
    pub lambda: f64,
}

/// λ is looked for between −`WIDEST` and `WIDEST`.
const WIDEST: f64 = 64.0;

impl Power {
    /// The λ of the largest likelihood of the training rows under a normal distribution; 1, which leaves numbers as they
    /// are, where they are all equal.
    ///
    /// The minimum is found by Brent's method in an interval that is widened as long as it lies at an end; some dozens
    /// of evaluations, each linear in the rows.
    pub(super) fn fit(values: &[f64]) -> Self {
        let identity = Self { lambda: 1.0 };
        if values.iter().all(|v| *v == values[0]) {
            return identity;
        }
        let log_sum: f64 = values.iter().map(|&v| signed_log(v)).sum();
        let n = values.len() as f64;
        let mut transformed = vec![0.0; values.len()];
        let mut cost = |lambda: f64| {
            let power = Self { lambda };
            for (t, &x) in transformed.iter_mut().zip(values) {
                *t = power.transform(x);
            }
            let mean = transformed.iter().sum::<f64>() / n;
            let variance = transformed.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / n;
            let cost = n / 2.0 * variance.ln() - (lambda - 1.0) * log_sum;
            // A λ whose powers overflow or all become alike is none to choose.
            if cost.is_finite() { cost } else { f64::INFINITY }
        };
        let (mut low, mut high) = (-2.0, 2.0);
        loop {
            let lambda = minimum(&mut cost, low, high);
            let margin = 1e-4 * (high - low);
            if lambda - low < margin && low > -WIDEST {
                (low, high) = (2.0 * low, low + 2.0 * margin);
            } else if high - lambda < margin && high < WIDEST {
                (low, high) = (high - 2.0 * margin, 2.0 * high);
            } else {
                return if cost(lambda).is_finite() { Self { lambda } } else { identity };
            }
        }
    }

    /// The number under this power; one too large for it stays the largest that there is.
    pub fn transform(self, x: f64) -> f64 {
        let (lambda, log) =
            if x < 0.0 { (2.0 - self.lambda, (-x).ln_1p()) } else { (self.lambda, x.ln_1p()) };
        let size = if lambda.abs() < f64::EPSILON { log } else { (lambda * log).exp_m1() / lambda };
        // NaN, which is not above, stays.
        let size = if size > f64::MAX { f64::MAX } else { size };
        size.copysign(x)
    }

    pub(super) fn is_sound(self) -> bool {
        self.lambda.abs() <= 2.0 * WIDEST
    }
}

/// Where `f` is smallest between `low` and `high`: Brent 1973, "Algorithms for minimization without derivatives",
/// chapter 5, by parabolas, or by the golden section where these lead nowhere.
fn minimum(f: &mut impl FnMut(f64) -> f64, low: f64, high: f64) -> f64 {
    const GOLDEN: f64 = 0.381_966_011_250_105_1;
    const TOLERANCE: f64 = 1e-9;
    let (mut a, mut b) = (low, high);
    let mut x = a + GOLDEN * (b - a);
    let (mut w, mut v) = (x, x);
    let mut fx = f(x);
    let (mut fw, mut fv) = (fx, fx);
    let (mut step, mut before) = (0.0_f64, 0.0_f64);
    for _ in 0..200 {
        let middle = 0.5 * (a + b);
        let tolerance = TOLERANCE * x.abs() + TOLERANCE;
        if (x - middle).abs() <= 2.0 * tolerance - 0.5 * (b - a) {
            break;
        }
        let golden = if x < middle { b - x } else { a - x };
        let r = (x - w) * (fx - fv);
        let q = (x - v) * (fx - fw);
        let (p, q) = ((x - v) * q - (x - w) * r, 2.0 * (q - r));
        let (p, q) = if q > 0.0 { (-p, q) } else { (p, -q) };
        // A parabola is trusted if it stays inside and its steps grow smaller.
        let is_parabola = before.abs() > tolerance
            && p.is_finite()
            && p.abs() < (0.5 * q * before).abs()
            && p > q * (a - x)
            && p < q * (b - x);
        (step, before) = if is_parabola { (p / q, step) } else { (GOLDEN * golden, golden) };
        if is_parabola && (x + step - a < 2.0 * tolerance || b - (x + step) < 2.0 * tolerance) {
            step = tolerance.copysign(middle - x);
        }
        let u = if step.abs() >= tolerance { x + step } else { x + tolerance.copysign(step) };
        let fu = f(u);
        if fu <= fx {
            if u < x {
                b = x;
            } else {
                a = x;
            }
            (v, fv, w, fw, x, fx) = (w, fw, x, fx, u, fu);
        } else {
            if u < x {
                a = u;
            } else {
                b = u;
            }
            if fu <= fw || w == x {
                (v, fv, w, fw) = (w, fw, u, fu);
            } else if fu <= fv || v == x || v == w {
                (v, fv) = (u, fu);
            }
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_is_found_inside_and_at_an_end() {
        let found = minimum(&mut |x: f64| (x - 0.3).powi(2) + 1.0, -2.0, 2.0);
        assert!((found - 0.3).abs() < 1e-7, "{found}");
        let found = minimum(&mut |x: f64| x.exp(), -2.0, 2.0);
        assert!((found + 2.0).abs() < 1e-6, "{found}");
        let found = minimum(&mut |x: f64| (x - 1.5).abs().powf(0.7), -2.0, 2.0);
        assert!((found - 1.5).abs() < 1e-6, "{found}");
    }

    #[test]
    fn powers_meet_at_their_limits_and_stay_finite() {
        let at = |lambda: f64, x: f64| Power { lambda }.transform(x);
        assert_eq!(at(1.0, 3.0), 3.0);
        assert!((at(1.0, -3.0) + 3.0).abs() < 1e-15);
        assert!((at(1e-12, 5.0) - at(0.0, 5.0)).abs() < 1e-10);
        assert!((at(2.0 - 1e-12, -5.0) - at(2.0, -5.0)).abs() < 1e-10);
        assert!((at(2.0, 3.0) - 7.5).abs() < 1e-14 && at(0.0, -3.0) == -at(2.0, 3.0));
        assert_eq!(at(8.0, 1e300), f64::MAX);
        assert_eq!(at(-8.0, -1e300), -f64::MAX);
        assert!(at(0.5, f64::NAN).is_nan());
    }

    #[test]
    fn the_power_makes_a_skewed_column_like_a_normal_one() {
        // The logarithm of 1 + x is normal, so λ is near 0; of its mirror image near 2.
        let values: Vec<f64> = (1..2000)
            .map(|i| super::super::normal::quantile(f64::from(i) / 2000.0))
            .map(|z| (z + 4.0).exp_m1())
            .collect();
        let lambda = Power::fit(&values).lambda;
        assert!(lambda.abs() < 1e-3, "{lambda}");
        let mirrored: Vec<f64> = values.iter().map(|v| -v).collect();
        assert!((Power::fit(&mirrored).lambda - 2.0).abs() < 1e-3);
        // A λ far out is found, too, and nothing overflows on the way.
        let steep: Vec<f64> = values.iter().map(|v| 1.0 - 1.0 / (v + 2.0).powf(0.1)).collect();
        assert!(Power::fit(&steep).lambda.abs() <= WIDEST);
        assert!(Power::fit(&[1e300, 2e300, 5e307]).is_sound());
        assert_eq!(Power::fit(&[3.0; 4]).lambda, 1.0);
        assert_eq!(Power::fit(&[]).lambda, 1.0);
    }

    #[test]
    fn bounds_and_logarithms() {
        let bounds = Bounds::fit(&[4.0, 0.0, 2.0, 1.0, 3.0], 0.25, 0.75).unwrap();
        assert_eq!((bounds.low, bounds.high), (1.0, 3.0));
        assert_eq!([-9.0, 1.5, 9.0].map(|x| bounds.transform(x)), [1.0, 1.5, 3.0]);
        assert!(bounds.transform(f64::NAN).is_nan());
        assert_eq!(Bounds::fit(&[], 0.1, 0.9), None);
        assert_eq!(signed_log(0.0), 0.0);
        assert!((signed_log(1.0) - 2f64.ln()).abs() < 1e-15 && signed_log(-1.0) == -signed_log(1.0));
    }
}
