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
        // Adding and taking away 1.5·2²³ rounds to the nearest whole number.
        const ROUND: f32 = 12_582_912.0;
        const LN2_HIGH: f32 = 0.693_359_4;
        const LN2_LOW: f32 = -2.121_944_4e-4;
        let x = self.at_most(88.722_83).at_least(-87.336_54);
        let rounded = x.mul_add(std::f32::consts::LOG2_E, ROUND);
        let n = rounded - ROUND;
        let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
        let mut p = 1.987_569_1e-4_f32;
        p = p.mul_add(r, 1.398_2e-3);
        p = p.mul_add(r, 8.333_452e-3);
        p = p.mul_add(r, 4.166_579_6e-2);
        p = p.mul_add(r, 1.666_666_5e-1);
        p = p.mul_add(r, 0.5);
        let y = p.mul_add(r * r, r) + 1.0;
        // 2ⁿ in two factors: n can be 128, which no single exponent field holds.
        let whole = rounded.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
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
