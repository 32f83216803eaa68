//! The normal distribution: Φ and its inverse.

use std::f64::consts::TAU;

/// Φ(x): Marsaglia 2004, "Evaluating the normal distribution", ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …), whose terms are summed
/// until they change nothing. Absolute error about 10⁻¹⁵; 0 and 1 beyond 8.
pub(super) fn cdf(x: f64) -> f64 {
    if x.abs() > 8.0 {
        return if x < 0.0 { 0.0 } else { 1.0 };
    }
    let (mut sum, mut term, mut k) = (x, x, 1.0);
    loop {
        k += 2.0;
        term *= x * x / k;
        let next = sum + term;
        // NaN, which no sum changes, ends it, too.
        if next == sum || next.is_nan() {
            return 0.5 + sum * (-0.5 * x * x).exp() / TAU.sqrt();
        }
        sum = next;
    }
}

/// Φ⁻¹(p) for p between 0 and 1: Wichura 1988, "Algorithm AS 241: the percentage points of the normal distribution",
/// PPND16, to a relative error of about 10⁻¹⁶.
pub(super) fn quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(r, &CENTRE[0]) / polynomial(r, &CENTRE[1]);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = (-tail.ln()).sqrt();
    let x = if r <= 5.0 {
        polynomial(r - 1.6, &TAIL[0]) / polynomial(r - 1.6, &TAIL[1])
    } else {
        polynomial(r - 5.0, &FAR[0]) / polynomial(r - 5.0, &FAR[1])
    };
    if q < 0.0 { -x } else { x }
}

/// The sum of coefficient i times xⁱ.
fn polynomial(x: f64, coefficients: &[f64; 8]) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// Numerator and denominator for |p − ½| up to 0.425.
#[rustfmt::skip]
const CENTRE: [[f64; 8]; 2] = [
    [3.387_132_872_796_366_5, 133.141_667_891_784_38, 1_971.590_950_306_551_3, 13_731.693_765_509_46,
     45_921.953_931_549_87, 67_265.770_927_008_7, 33_430.575_583_588_13, 2_509.080_928_730_122_7],
    [1.0, 42.313_330_701_600_91, 687.187_007_492_057_9, 5_394.196_021_424_751,
     21_213.794_301_586_597, 39_307.895_800_092_71, 28_729.085_735_721_943, 5_226.495_278_852_854],
];
/// Nearer the ends, by √(−ln p) up to 5.
#[rustfmt::skip]
const TAIL: [[f64; 8]; 2] = [
    [1.423_437_110_749_683_5, 4.630_337_846_156_546, 5.769_497_221_460_691, 3.647_848_324_763_204_5,
     1.270_458_252_452_368_4, 0.241_780_725_177_450_6, 0.022_723_844_989_269_184, 7.745_450_142_783_414e-4],
    [1.0, 2.053_191_626_637_759, 1.676_384_830_183_803_8, 0.689_767_334_985_1,
     0.148_103_976_427_480_08, 0.015_198_666_563_616_457, 5.475_938_084_995_345e-4, 1.050_750_071_644_416_9e-9],
];
/// Beyond.
#[rustfmt::skip]
const FAR: [[f64; 8]; 2] = [
    [6.657_904_643_501_103, 5.463_784_911_164_114, 1.784_826_539_917_291_3, 0.296_560_571_828_504_87,
     0.026_532_189_526_576_124, 1.242_660_947_388_078_4e-3, 2.711_555_568_743_487_6e-5, 2.010_334_399_292_288_1e-7],
    [1.0, 0.599_832_206_555_888, 0.136_929_880_922_735_8, 0.014_875_361_290_850_615,
     7.868_691_311_456_133e-4, 1.846_318_317_510_054_8e-5, 1.421_511_758_316_446e-7, 2.044_263_103_389_939_8e-15],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_scipy() {
        // scipy.stats.norm.ppf of scipy 1.17.1.
        for (p, expected) in [
            (0.5, 0.0),
            (0.6, 0.253_347_103_135_799_7),
            (0.925, 1.439_531_470_938_456_7),
            (0.93, 1.475_791_028_179_170_7),
            (0.999, 3.090_232_306_167_813),
            (1e-7, -5.199_337_582_192_816),
            (1e-20, -9.262_340_089_798_408),
        ] {
            let found = quantile(p);
            assert!((found - expected).abs() <= 1e-14 * expected.abs(), "{p}: {found}");
            assert!((quantile(1.0 - p) + expected).abs() < 1e-8 || p < 1e-15);
            assert!((cdf(expected) - p).abs() < 1e-15, "{p}: {}", cdf(expected));
        }
        assert_eq!((cdf(-40.0), cdf(40.0)), (0.0, 1.0));
        assert!(cdf(f64::NAN).is_nan());
    }
}
