//! Elementary functions in plain arithmetic, so that loops over them become vector code.

/// The arithmetic that generic kernels need of `f32` and `f64`.
pub trait Real:
    Copy
    + Default
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + std::fmt::Display
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + std::ops::MulAssign
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The nearest number of this type.
    fn from_f64(x: f64) -> Self;
    /// The same number in double precision.
    fn to_f64(self) -> f64;
    /// `self · b + c`, rounded once.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// e^self; 0 below the smallest normal number, infinity beyond the largest.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// e^self − 1 without cancellation near zero; in single precision for numbers of at most 87.
    fn exp_m1(self) -> Self;
    /// ln(1 + self) without cancellation near zero, for numbers of at least 0.
    fn ln_1p(self) -> Self;
    /// e^(a²/2)·Φ(−a) for a from 0 to 1000: the lower tail of the normal distribution, its decay taken out.
    ///
    /// (1 + 2a) times it is smooth in s = (a − 3)/(a + 3), which maps [0, ∞) to [−1, 1); it is evaluated as a
    /// Chebyshev series in s, the way of Shepherd & Laframboise 1981 for the error function, written in powers.
    fn scaled_normal_tail(self) -> Self;
    /// The nearest whole number, the even one of two.
    fn round(self) -> Self;
    /// sin(2π·self) and cos(2π·self), for any number of turns; exact where the result is 0 or 1 in size.
    fn sin_cos_turns(self) -> (Self, Self);
    /// Whether the number is neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// The larger of two numbers; `self` where `other` is NaN.
    #[inline(always)]
    fn at_least(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
    /// The smaller of two numbers; `self` where `other` is NaN.
    #[inline(always)]
    fn at_most(self, other: Self) -> Self {
        if other < self { other } else { self }
    }
    /// The logistic function 1 / (1 + e^−self), without overflow at either end.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        // e^−|x| is at most one, so neither branch can overflow.
        let e = (-self.abs()).exp();
        let upper = Self::ONE / (Self::ONE + e);
        if self < Self::ZERO { e * upper } else { upper }
    }
}

/// The powers of s in (1 + 2a)·e^(a²/2)·Φ(−a), highest first, from a Chebyshev fit in 40 digits.
const TAIL_F32: [f32; 12] = [
    9.739_503e-6,
    1.315_723_2e-4,
    6.625_75e-6,
    -0.001_077_878,
    -3.852_131_2e-4,
    0.006_963_119_4,
    -5.785_391e-4,
    -0.051_581_97,
    0.136_540_55,
    -0.156_090_2,
    0.013_349_12,
    0.850_597_7,
];
/// As [`TAIL_F32`], to double precision.
const TAIL_F64: [f64; 27] = [
    1.023_405_148_091_315_2e-7,
    4.938_611_528_983_435e-8,
    -6.452_809_662_846_108e-7,
    -3.126_693_814_312_972e-7,
    1.774_964_789_521_884_8e-6,
    8.804_113_260_223_575e-7,
    -2.703_925_192_965_469_7e-6,
    -1.356_038_996_776_246e-6,
    2.143_638_335_447_163e-6,
    4.649_151_621_983_633e-7,
    -1.759_520_094_877_211e-7,
    4.916_475_392_063_408e-6,
    2.303_440_111_077_11e-6,
    -2.101_479_549_469_216e-5,
    -3.549_824_167_569_868e-5,
    5.012_602_533_704_687_4e-5,
    0.000_220_680_480_681_896_23,
    -3.366_716_729_492_834_6e-5,
    -0.001_170_871_556_421_127_5,
    -0.000_363_808_730_043_145_7,
    0.007_009_376_145_546_668,
    -0.000_584_330_925_710_391_6,
    -0.051_592_532_514_255_86,
    0.136_541_237_307_572_87,
    -0.156_089_311_626_959_4,
    0.013_349_096_207_446_492,
    0.850_597_638_488_933_5,
];

#[inline(always)]
fn normal_tail<T: Real, const N: usize>(a: T, powers: &[T; N]) -> T {
    let three = T::from_f64(3.0);
    let s = (a - three) / (a + three);
    let mut p = powers[0];
    for &power in &powers[1..] {
        p = p.mul_add(s, power);
    }
    p / a.mul_add(T::from_f64(2.0), T::ONE)
}

/// The powers of f² in sin(2πf)/f for f within an eighth of a turn, highest first, from a Chebyshev fit in 50 digits.
const SINE_F32: [f32; 4] = [-75.401_61, 81.592_545, -41.341_663, std::f32::consts::TAU];
/// The powers of f² in cos(2πf), as [`SINE_F32`].
const COSINE_F32: [f32; 5] = [59.220_17, -85.442_85, 64.939_316, -19.739_208, 1.0];
/// As [`SINE_F32`], to double precision.
const SINE_F64: [f64; 7] = [
    3.780_868_959_302_295_7,
    -15.093_804_209_987_114,
    42.058_685_020_160_894,
    -76.705_859_704_274_54,
    81.605_249_275_948_04,
    -41.341_702_240_399_634,
    std::f64::consts::TAU,
];
/// As [`COSINE_F32`], to double precision.
const COSINE_F64: [f64; 8] = [
    -1.696_849_470_291_882_6,
    7.903_091_687_751_697,
    -26.426_250_908_622_137,
    60.244_641_328_867_296,
    -85.456_817_206_522_71,
    64.939_394_022_667_95,
    -19.739_208_802_178_716,
    1.0,
];

/// Sine and cosine of so many turns: whole turns and quarters are taken off, which is exact, and polynomials in the
/// square of what is left, at most an eighth, give both.
#[inline(always)]
fn sin_cos_turns<T: Real, const N: usize, const M: usize>(
    turns: T,
    sine: &[T; N],
    cosine: &[T; M],
) -> (T, T) {
    let (one, two) = (T::ONE, T::from_f64(2.0));
    let turns = turns - turns.round();
    let quarter = (turns * T::from_f64(4.0)).round();
    let f = quarter.mul_add(T::from_f64(-0.25), turns);
    let square = f * f;
    let mut s = sine[0];
    for &power in &sine[1..] {
        s = s.mul_add(square, power);
    }
    let s = s * f;
    let mut c = cosine[0];
    for &power in &cosine[1..] {
        c = c.mul_add(square, power);
    }
    // A quarter turn on, the sine is the cosine, and the cosine is minus the sine.
    let (sin, cos) = if quarter.abs() == one { (c, s) } else { (s, c) };
    let half = quarter.abs() == two;
    let sin = if half || quarter == -one { -sin } else { sin };
    let cos = if half || quarter == one { -cos } else { cos };
    (sin, cos)
}

/// The natural logarithm of a normal positive number, by the polynomial of the Cephes library (`logf`);
/// within 2 units in the last place.
#[inline(always)]
pub(crate) fn ln_normal(x: f32) -> f32 {
    // The bits of √½, so that the rest lies in [√½, √2).
    const ROOT_HALF: u32 = 0x3F35_04F3;
    let shifted = x.to_bits().wrapping_sub(ROOT_HALF);
    let e = (shifted as i32 >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007F_FFFF).wrapping_add(ROOT_HALF)) - 1.0;
    let z = m * m;
    let mut p = 7.037_683_6e-2_f32;
    p = p.mul_add(m, -1.151_461e-1);
    p = p.mul_add(m, 1.167_699_9e-1);
    p = p.mul_add(m, -1.242_014_1e-1);
    p = p.mul_add(m, 1.424_932_3e-1);
    p = p.mul_add(m, -1.666_805_8e-1);
    p = p.mul_add(m, 2.000_071_5e-1);
    p = p.mul_add(m, -2.499_999_4e-1);
    p = p.mul_add(m, 3.333_333e-1);
    let y = (p * m).mul_add(z, e * -2.121_944_4e-4);
    let y = z.mul_add(-0.5, y);
    let y = e.mul_add(0.693_359_4, m + y);
    if x.is_nan() { x } else { y }
}

/// e^r − 1 and n, where x = n·ln 2 + r and n is the nearest whole number: range reduction by Cody & Waite, then the
/// polynomial of degree 5 of the Cephes library (`expf`).
#[inline(always)]
fn exp_parts(x: f32) -> (f32, i32) {
    // Adding and taking away 1.5·2²³ rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let rounded = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut p = 1.987_569_1e-4_f32;
    p = p.mul_add(r, 1.398_2e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_5e-1);
    p = p.mul_add(r, 0.5);
    let y = p.mul_add(r * r, r);
    let whole = rounded.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    (y, whole)
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        self.mul_add(b, c)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }

    /// Range reduction by Cody & Waite, then the polynomial of degree 5 of the Cephes library (`expf`);
    /// within 2 units in the last place.
    #[inline(always)]
    fn exp(self) -> Self {
        let (y, whole) = exp_parts(self.at_most(88.722_83).at_least(-87.336_54));
        let y = y + 1.0;
        // 2ⁿ in two factors: n can be 128, which no single exponent field holds.
        let half = whole >> 1;
        let rest = whole.wrapping_sub(half);
        let power = |k: i32| f32::from_bits((k.wrapping_add(127) as u32) << 23);
        let y = y * power(half) * power(rest);
        let y = if self > 88.722_83 { f32::INFINITY } else { y };
        let y = if self < -87.336_54 { 0.0 } else { y };
        if self.is_nan() { self } else { y }
    }
    #[inline(always)]
    fn ln(self) -> Self {
        self.ln()
    }

    /// As [`Real::exp`], with the whole part e^r − 1 kept apart from the 1; within 3 units in the last place.
    #[inline(always)]
    fn exp_m1(self) -> Self {
        let (y, whole) = exp_parts(self.at_most(87.0).at_least(-87.0));
        let power = f32::from_bits((whole.wrapping_add(127) as u32) << 23);
        let y = y.mul_add(power, power - 1.0);
        if self.is_nan() { self } else { y }
    }

    /// ln u + (x − (u − 1))/u with u = 1 + x rounded; within 3 units in the last place.
    #[inline(always)]
    fn ln_1p(self) -> Self {
        let u = 1.0 + self;
        ln_normal(u) + (self - (u - 1.0)) / u
    }

    #[inline(always)]
    fn scaled_normal_tail(self) -> Self {
        normal_tail(self, &TAIL_F32)
    }

    /// The odd rational function of degree 13/6 known from Eigen, exact to 1 within ±7.9;
    /// within 5 units in the last place.
    #[inline(always)]
    fn tanh(self) -> Self {
        let x = self.at_most(7.905_311).at_least(-7.905_311);
        let s = x * x;
        let mut p = -2.760_768_5e-16_f32;
        p = p.mul_add(s, 2.000_188e-13);
        p = p.mul_add(s, -8.604_672e-11);
        p = p.mul_add(s, 5.122_297e-8);
        p = p.mul_add(s, 1.485_722_4e-5);
        p = p.mul_add(s, 6.372_619_3e-4);
        p = p.mul_add(s, 4.893_524_6e-3);
        let mut q = 1.198_258_4e-6_f32;
        q = q.mul_add(s, 1.185_347_1e-4);
        q = q.mul_add(s, 2.268_434_6e-3);
        q = q.mul_add(s, 4.893_525e-3);
        let y = x * p / q;
        let y = if self.abs() < 4e-4 { self } else { y };
        if self.is_nan() { self } else { y }
    }
    #[inline(always)]
    fn round(self) -> Self {
        self.round_ties_even()
    }
    #[inline(always)]
    fn sin_cos_turns(self) -> (Self, Self) {
        sin_cos_turns(self, &SINE_F32, &COSINE_F32)
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        self.mul_add(b, c)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn exp(self) -> Self {
        self.exp()
    }
    #[inline(always)]
    fn ln(self) -> Self {
        self.ln()
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        self.tanh()
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        self.exp_m1()
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        self.ln_1p()
    }
    #[inline(always)]
    fn scaled_normal_tail(self) -> Self {
        normal_tail(self, &TAIL_F64)
    }
    #[inline(always)]
    fn round(self) -> Self {
        self.round_ties_even()
    }
    #[inline(always)]
    fn sin_cos_turns(self) -> (Self, Self) {
        sin_cos_turns(self, &SINE_F64, &COSINE_F64)
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

#[cfg(test)]
mod tests {
    use super::Real;

    fn sweep() -> impl Iterator<Item = f32> {
        (-1_200_000..1_200_000).step_by(37).map(|i| i as f32 * 1e-4)
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for x in sweep().filter(|x| (-87.3..88.7).contains(x)) {
            let truth = f64::from(x).exp();
            let error = (f64::from(Real::exp(x)) - truth).abs() / truth;
            assert!(error < 2.0 * f64::from(f32::EPSILON), "exp({x}): relative error {error:e}");
        }
    }

    #[test]
    fn exp_ends_in_zero_and_infinity_and_keeps_nan() {
        assert_eq!(Real::exp(-200.0_f32), 0.0);
        assert_eq!(Real::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(Real::exp(200.0_f32), f32::INFINITY);
        assert!(Real::exp(f32::NAN).is_nan());
        assert_eq!(Real::exp(0.0_f32), 1.0);
        assert!(Real::exp(88.72_f32).is_finite());
    }

    #[test]
    fn tanh_is_within_five_units_in_the_last_place() {
        for x in sweep().chain((-1000..1000).map(|i| i as f32 * 1e-6)) {
            let truth = f64::from(x).tanh();
            let error = (f64::from(Real::tanh(x)) - truth).abs();
            let bound = 5.0 * f64::from(f32::EPSILON) * truth.abs().max(1e-30);
            assert!(error <= bound, "tanh({x}): error {error:e}");
        }
        assert!(Real::tanh(f32::NAN).is_nan());
    }

    /// Errors in units of the last place of the truth.
    fn check_turns<T: Real>(turns: T, unit: f64) {
        // Of the reduced angle, the library's functions are right to about one unit of double precision.
        let t = turns.to_f64();
        let reduced = t - t.round();
        let (truth_sin, truth_cos) = match reduced.abs() {
            0.25 => (reduced.signum(), 0.0),
            0.5 => (0.0, -1.0),
            _ => (std::f64::consts::TAU * reduced).sin_cos(),
        };
        // Near a quarter turn the rounded angle itself would be off: its complement is not.
        let truth_cos = if (reduced.abs() - 0.25).abs() < 0.125 {
            (std::f64::consts::TAU * (0.25 - reduced.abs())).sin()
        } else {
            truth_cos
        };
        let truth_sin = if reduced.abs() > 0.375 {
            (std::f64::consts::TAU * (0.5 - reduced.abs())).sin() * reduced.signum()
        } else {
            truth_sin
        };
        let (sin, cos) = turns.sin_cos_turns();
        for (name, got, truth) in [("sin", sin, truth_sin), ("cos", cos, truth_cos)] {
            let error = (got.to_f64() - truth).abs() / (unit * truth.abs().max(1e-300));
            assert!(error <= 2.5, "{name} of {turns} turns is {got}, expected {truth}: {error} units");
        }
    }

    #[test]
    fn sine_and_cosine_of_turns_are_within_three_units_in_the_last_place() {
        for i in -40_000_i32..40_000 {
            let near = f64::from(i) * 1.3e-4;
            check_turns(near as f32, f64::from(f32::EPSILON));
            check_turns(near, f64::EPSILON);
            check_turns((near * 1e3) as f32, f64::from(f32::EPSILON));
            check_turns(near * 1e6, f64::EPSILON);
            // Beside each eighth, where one polynomial gives way to another.
            let beside = f64::from(i.rem_euclid(16)) / 8.0 + f64::from(i) * 1e-9;
            check_turns(beside as f32, f64::from(f32::EPSILON));
            check_turns(beside, f64::EPSILON);
        }
    }

    #[test]
    fn whole_quarters_of_a_turn_are_exact() {
        for whole in [0.0_f32, 1.0, -3.0, 1e6, 3e9, -2.0e30, f32::MAX] {
            assert_eq!(whole.sin_cos_turns(), (0.0, 1.0), "{whole}");
            assert_eq!(f64::from(whole).sin_cos_turns(), (0.0, 1.0), "{whole}");
        }
        for (quarters, expected) in [(1.0, (1.0, 0.0)), (2.0, (0.0, -1.0)), (3.0, (-1.0, 0.0))] {
            for turns in [-5.0, 0.0, 77.0] {
                assert_eq!((turns + quarters / 4.0_f64).sin_cos_turns(), expected);
                assert_eq!(
                    ((turns + quarters / 4.0) as f32).sin_cos_turns(),
                    (expected.0 as f32, expected.1 as f32)
                );
            }
        }
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (sin, cos) = bad.sin_cos_turns();
            assert!(sin.is_nan() && cos.is_nan(), "{bad}");
        }
    }

    #[test]
    fn sigmoid_is_stable_far_out() {
        for x in [-1000.0_f32, -100.0, 100.0, 1000.0] {
            let y = Real::sigmoid(x);
            assert!((0.0..=1.0).contains(&y));
        }
        assert_eq!(Real::sigmoid(0.0_f32), 0.5);
        assert!((Real::sigmoid(0.6_f64) - 0.645_656_306_225_795).abs() < 1e-14);
    }
}
