//! Tail probabilities of the tests that compare two tables, and the correction for making many of them.

/// ln Γ(x) for x > 0 by Lanczos' approximation with g = 7 and nine terms; relative error about 10⁻¹⁵.
fn ln_gamma(x: f64) -> f64 {
    const G: f64 = 7.0;
    const TERMS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        // Reflection: Γ(x)·Γ(1 − x) = π/sin πx.
        return (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let t = x + G + 0.5;
    let sum = (1..9).fold(TERMS[0], |sum, i| sum + TERMS[i] / (x + i as f64));
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The probability that χ² with `df` degrees of freedom is at least `x`: the upper incomplete gamma function
/// Q(df/2, x/2), by its series below x = df and Lentz's continued fraction above (Press et al. 2007, 6.2).
pub fn chi_squared_tail(x: f64, df: usize) -> f64 {
    const MOST_TERMS: usize = 100_000;
    let (a, x) = (df as f64 / 2.0, x / 2.0);
    if x <= 0.0 || df == 0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for n in 1..MOST_TERMS {
            term *= x / (a + n as f64);
            sum += term;
            if term < sum * f64::EPSILON {
                break;
            }
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    let tiny = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / tiny;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..MOST_TERMS {
        let i = i as f64;
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / not_zero(an * d + b, tiny);
        c = not_zero(b + an / c, tiny);
        h *= d * c;
        if (d * c - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    (front * h).clamp(0.0, 1.0)
}

fn not_zero(x: f64, tiny: f64) -> f64 {
    if x.abs() < tiny { tiny } else { x }
}

/// The probability that Kolmogorov's limiting statistic is at least `x` (Kolmogorov 1933; below 1 by the other form of
/// the same theta function, which converges faster there).
pub fn kolmogorov_tail(x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let squared = |k: f64| k * k;
    let p = if x < 1.0 {
        let pi = std::f64::consts::PI;
        let sum: f64 = (1..=20).map(|k| (-squared((2.0 * f64::from(k) - 1.0) * pi / x) / 8.0).exp()).sum();
        1.0 - (2.0 * pi).sqrt() / x * sum
    } else {
        let term = |k: u32| {
            let sign = if k.is_multiple_of(2) { -2.0 } else { 2.0 };
            sign * (-2.0 * squared(f64::from(k) * x)).exp()
        };
        (1..=20).map(term).sum()
    };
    p.clamp(0.0, 1.0)
}

/// The probability that two shares differ as these, `hits` of `sizes`, or more, where they are equal at heart.
///
/// χ² of the 2×2 table with one degree of freedom; where one of its four expected counts is below 5, Fisher's exact
/// test: the sum of all tables that are no more probable (Fisher 1935). None where a table has no row, or where all rows
/// or none are hits.
pub fn shares_differ(hits: [usize; 2], sizes: [usize; 2]) -> Option<f64> {
    let (all, n) = (hits[0] + hits[1], sizes[0] + sizes[1]);
    if sizes.contains(&0) || all == 0 || all == n {
        return None;
    }
    let expected = |of: usize, size: usize| of as f64 * size as f64 / n as f64;
    let least = expected(all.min(n - all), sizes[0].min(sizes[1]));
    if least >= 5.0 {
        let mut chi = 0.0;
        for (hit, size) in hits.into_iter().zip(sizes) {
            for (seen, of) in [(hit, all), (size - hit, n - all)] {
                chi += (seen as f64 - expected(of, size)).powi(2) / expected(of, size);
            }
        }
        return Some(chi_squared_tail(chi, 1));
    }
    let ln_choose = |n: usize, k: usize| {
        ln_gamma(n as f64 + 1.0) - ln_gamma(k as f64 + 1.0) - ln_gamma((n - k) as f64 + 1.0)
    };
    let ln_p = |k: usize| ln_choose(sizes[0], k) + ln_choose(sizes[1], all - k) - ln_choose(n, all);
    let seen = ln_p(hits[0]);
    // As many tables as the smallest margin has rows, and an expected count below 5 keeps that below √(5·n).
    let p: f64 = (all.saturating_sub(sizes[1])..=all.min(sizes[0]))
        .map(ln_p)
        .filter(|p| *p <= seen + 1e-7)
        .map(f64::exp)
        .sum();
    Some(p.min(1.0))
}

/// Holm's correction (1979): the chance that any of the tests falls below the level, where there is nothing to find, is
/// at most the level, however the tests depend on each other.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (place, &i) in order.iter().enumerate() {
        largest = largest.max(p[i] * (p.len() - place) as f64).min(1.0);
        adjusted[i] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_correction_is_holms() {
        let found = holm(&[0.01, 0.04, 0.03, 0.5]);
        for (found, by_hand) in found.iter().zip([0.04, 0.09, 0.09, 0.5]) {
            assert!((found - by_hand).abs() < 1e-15, "{found}");
        }
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn tails_have_no_gap_where_the_form_changes() {
        for df in [1, 2, 9, 400] {
            let at = df as f64 + 2.0;
            let [below, above] = [at - 1e-9, at + 1e-9].map(|x| chi_squared_tail(x, df));
            assert!((below - above).abs() < 1e-8, "{df}: {below} {above}");
        }
        let [below, above] = [1.0 - 1e-12, 1.0].map(kolmogorov_tail);
        assert!((below - above).abs() < 1e-10);
        assert_eq!((chi_squared_tail(0.0, 3), kolmogorov_tail(0.0)), (1.0, 1.0));
        // exp(−x/2) for two degrees of freedom.
        assert!((chi_squared_tail(80.0, 2) / (-40.0_f64).exp() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn shares_without_rows_or_spread_are_not_tested() {
        assert_eq!(shares_differ([0, 0], [10, 10]), None);
        assert_eq!(shares_differ([10, 10], [10, 10]), None);
        assert_eq!(shares_differ([0, 1], [0, 10]), None);
        assert!((shares_differ([0, 1], [10, 10]).unwrap() - 1.0).abs() < 1e-12);
    }
}
