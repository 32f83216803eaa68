//! One step of each optimiser over a run of parameters.

use crate::math::Real;

/// The numbers of one Adam or AdamW step, see [`crate::Kernels::adam_step`].
#[derive(Debug, Clone, Copy)]
pub struct AdamStep<T> {
    /// The learning rate over 1 − β₁ᵗ.
    pub rate: T,
    /// 1 over the root of 1 − β₂ᵗ.
    pub inv_root_correction: T,
    /// β₁.
    pub beta1: T,
    /// β₂.
    pub beta2: T,
    /// ε, outside the root.
    pub epsilon: T,
    /// Added to the gradient as `l2`·p: the gradient of ½·l2·p².
    pub l2: T,
    /// What p is multiplied by before the step: 1 − learning rate · decay.
    pub keep: T,
}

/// p ← keep·p − rate·m / (√v · inv_root_correction + ε), with m and v the running means of g and g².
///
/// Kingma & Ba 2015, algorithm 1 (ε outside the root); with `keep` < 1 Loshchilov & Hutter 2019, algorithm 2.
#[inline(always)]
pub(crate) fn adam_step<T: Real>(s: &AdamStep<T>, p: &mut [T], g: &[T], m: &mut [T], v: &mut [T]) {
    let (n, s) = (p.len(), *s);
    let (g, m, v) = (&g[..n], &mut m[..n], &mut v[..n]);
    let (share1, share2) = (T::ONE - s.beta1, T::ONE - s.beta2);
    for i in 0..n {
        let gradient = s.l2.mul_add(p[i], g[i]);
        m[i] = s.beta1.mul_add(m[i], share1 * gradient);
        v[i] = s.beta2.mul_add(v[i], share2 * (gradient * gradient));
        let denominator = v[i].sqrt().mul_add(s.inv_root_correction, s.epsilon);
        p[i] = s.keep.mul_add(p[i], -(s.rate * m[i] / denominator));
    }
}

/// The numbers of one step of stochastic gradient descent, see [`crate::Kernels::sgd_step`].
#[derive(Debug, Clone, Copy)]
pub struct SgdStep<T> {
    /// The learning rate.
    pub rate: T,
    /// The share of the last step that is kept.
    pub momentum: T,
    /// The share of the gradient that is taken in: 1, or 1 − momentum for a running mean of gradients.
    pub share: T,
    /// Whether the gradient is corrected by the step about to be made (Sutskever 2013).
    pub nesterov: bool,
    /// Added to the gradient as `l2`·p.
    pub l2: T,
    /// What p is multiplied by before the step: 1 − learning rate · decay.
    pub keep: T,
}

/// u ← momentum·u + share·g; p ← keep·p − rate·u, or − rate·(share·g + momentum·u) with Nesterov's correction.
///
/// The form of Sutskever et al. 2013 as `PyTorch` writes it: the learning rate is outside the velocity. With
/// `share` = 1 − momentum u is a running mean that starts at 0 and is not corrected for it.
#[inline(always)]
pub(crate) fn sgd_step<T: Real>(s: &SgdStep<T>, p: &mut [T], g: &[T], u: &mut [T]) {
    let (n, s) = (p.len(), *s);
    let (g, u) = (&g[..n], &mut u[..n]);
    for i in 0..n {
        let gradient = s.share * s.l2.mul_add(p[i], g[i]);
        u[i] = s.momentum.mul_add(u[i], gradient);
        let direction = if s.nesterov { s.momentum.mul_add(u[i], gradient) } else { u[i] };
        p[i] = s.keep.mul_add(p[i], -(s.rate * direction));
    }
}

/// As [`adam_step`], with the largest v so far in place of v.
///
/// Reddi, Kale & Kumar 2018, algorithm 2, with Adam's bias corrections as `PyTorch` has them: the maximum is taken
/// before the correction; ε outside the root.
#[inline(always)]
pub(crate) fn amsgrad_step<T: Real>(
    s: &AdamStep<T>,
    p: &mut [T],
    g: &[T],
    m: &mut [T],
    v: &mut [T],
    largest: &mut [T],
) {
    let (n, s) = (p.len(), *s);
    let (g, m, v, largest) = (&g[..n], &mut m[..n], &mut v[..n], &mut largest[..n]);
    let (share1, share2) = (T::ONE - s.beta1, T::ONE - s.beta2);
    for i in 0..n {
        let gradient = s.l2.mul_add(p[i], g[i]);
        m[i] = s.beta1.mul_add(m[i], share1 * gradient);
        v[i] = s.beta2.mul_add(v[i], share2 * (gradient * gradient));
        largest[i] = v[i].at_least(largest[i]);
        let denominator = largest[i].sqrt().mul_add(s.inv_root_correction, s.epsilon);
        p[i] = s.keep.mul_add(p[i], -(s.rate * m[i] / denominator));
    }
}

/// The numbers of one Nadam step, see [`crate::Kernels::nadam_step`].
#[derive(Debug, Clone, Copy)]
pub struct NadamStep<T> {
    /// What the gradient counts: learning rate · (1 − μₜ) / (1 − μ₁⋯μₜ).
    pub rate_of_gradient: T,
    /// What the running mean counts: learning rate · μₜ₊₁ / (1 − μ₁⋯μₜ₊₁).
    pub rate_of_mean: T,
    /// 1 over the root of 1 − β₂ᵗ.
    pub inv_root_correction: T,
    /// β₁.
    pub beta1: T,
    /// β₂.
    pub beta2: T,
    /// ε, outside the root.
    pub epsilon: T,
    /// Added to the gradient as `l2`·p.
    pub l2: T,
}

/// p ← p − (rate_of_gradient·g + rate_of_mean·m) / (√v · inv_root_correction + ε), with m and v as in Adam.
///
/// Dozat 2016, with his schedule of μ; ε outside the root, as `PyTorch` has it.
#[inline(always)]
pub(crate) fn nadam_step<T: Real>(s: &NadamStep<T>, p: &mut [T], g: &[T], m: &mut [T], v: &mut [T]) {
    let (n, s) = (p.len(), *s);
    let (g, m, v) = (&g[..n], &mut m[..n], &mut v[..n]);
    let (share1, share2) = (T::ONE - s.beta1, T::ONE - s.beta2);
    for i in 0..n {
        let gradient = s.l2.mul_add(p[i], g[i]);
        m[i] = s.beta1.mul_add(m[i], share1 * gradient);
        v[i] = s.beta2.mul_add(v[i], share2 * (gradient * gradient));
        let denominator = v[i].sqrt().mul_add(s.inv_root_correction, s.epsilon);
        let direction = s.rate_of_gradient.mul_add(gradient, s.rate_of_mean * m[i]);
        p[i] = p[i] - direction / denominator;
    }
}

/// The numbers of one Adagrad step, see [`crate::Kernels::adagrad_step`].
#[derive(Debug, Clone, Copy)]
pub struct AdagradStep<T> {
    /// The learning rate.
    pub rate: T,
    /// ε, outside the root.
    pub epsilon: T,
    /// Added to the gradient as `l2`·p.
    pub l2: T,
}

/// s ← s + g²; p ← p − rate·g / (√s + ε).
///
/// Duchi, Hazan & Singer 2011, the diagonal form; ε outside the root.
#[inline(always)]
pub(crate) fn adagrad_step<T: Real>(s: &AdagradStep<T>, p: &mut [T], g: &[T], sum: &mut [T]) {
    let (n, s) = (p.len(), *s);
    let (g, sum) = (&g[..n], &mut sum[..n]);
    for i in 0..n {
        let gradient = s.l2.mul_add(p[i], g[i]);
        sum[i] = gradient.mul_add(gradient, sum[i]);
        p[i] = p[i] - s.rate * gradient / (sum[i].sqrt() + s.epsilon);
    }
}

/// The numbers of one RMSprop step, see [`crate::Kernels::rmsprop_step`].
#[derive(Debug, Clone, Copy)]
pub struct RmspropStep<T> {
    /// The learning rate.
    pub rate: T,
    /// The share of the running means that is kept.
    pub rho: T,
    /// ε, outside the root.
    pub epsilon: T,
    /// The share of the last step that is kept.
    pub momentum: T,
    /// Whether the variance of the gradient is divided by, in place of its mean square (Graves 2013).
    pub centered: bool,
    /// Added to the gradient as `l2`·p.
    pub l2: T,
}

/// v ← ρ·v + (1−ρ)·g²; u ← momentum·u + g / (√v + ε); p ← p − rate·u.
///
/// Tieleman & Hinton 2012, lecture 6.5; centred, √(v − a²) with a the running mean of g, as in Graves 2013. ε outside
/// the root, as `PyTorch` has it (Graves has it inside).
#[inline(always)]
pub(crate) fn rmsprop_step<T: Real>(
    s: &RmspropStep<T>,
    p: &mut [T],
    g: &[T],
    v: &mut [T],
    u: &mut [T],
    a: &mut [T],
) {
    let (n, s) = (p.len(), *s);
    let (g, v, u, a) = (&g[..n], &mut v[..n], &mut u[..n], &mut a[..n]);
    let share = T::ONE - s.rho;
    for i in 0..n {
        let gradient = s.l2.mul_add(p[i], g[i]);
        v[i] = s.rho.mul_add(v[i], share * (gradient * gradient));
        a[i] = s.rho.mul_add(a[i], share * gradient);
        // Rounding can leave a variance of nothing below zero.
        let square = if s.centered { (v[i] - a[i] * a[i]).at_least(T::ZERO) } else { v[i] };
        u[i] = s.momentum.mul_add(u[i], gradient / (square.sqrt() + s.epsilon));
        p[i] = p[i] - s.rate * u[i];
    }
}

/// The numbers of one Adadelta step, see [`crate::Kernels::adadelta_step`].
#[derive(Debug, Clone, Copy)]
pub struct AdadeltaStep<T> {
    /// The learning rate; the paper has 1.
    pub rate: T,
    /// The share of the running means that is kept.
    pub rho: T,
    /// ε, inside both roots.
    pub epsilon: T,
    /// Added to the gradient as `l2`·p.
    pub l2: T,
}

/// v ← ρ·v + (1−ρ)·g²; d = √(s + ε) / √(v + ε) · g; s ← ρ·s + (1−ρ)·d²; p ← p − rate·d.
///
/// Zeiler 2012, algorithm 1 (ε inside the roots).
#[inline(always)]
pub(crate) fn adadelta_step<T: Real>(step: &AdadeltaStep<T>, p: &mut [T], g: &[T], v: &mut [T], s: &mut [T]) {
    let (n, step) = (p.len(), *step);
    let (g, v, s) = (&g[..n], &mut v[..n], &mut s[..n]);
    let share = T::ONE - step.rho;
    for i in 0..n {
        let gradient = step.l2.mul_add(p[i], g[i]);
        v[i] = step.rho.mul_add(v[i], share * (gradient * gradient));
        let d = (s[i] + step.epsilon).sqrt() / (v[i] + step.epsilon).sqrt() * gradient;
        s[i] = step.rho.mul_add(s[i], share * (d * d));
        p[i] = p[i] - step.rate * d;
    }
}

/// The numbers of one Lion step, see [`crate::Kernels::lion_step`].
#[derive(Debug, Clone, Copy)]
pub struct LionStep<T> {
    /// The learning rate.
    pub rate: T,
    /// β₁, of the direction.
    pub beta1: T,
    /// β₂, of the running mean that is kept.
    pub beta2: T,
    /// Added to the gradient as `l2`·p.
    pub l2: T,
    /// What p is multiplied by before the step: 1 − learning rate · decay.
    pub keep: T,
}

/// p ← keep·p − rate·sign(β₁·m + (1−β₁)·g); m ← β₂·m + (1−β₂)·g. The sign of 0 is 0.
///
/// Chen et al. 2023, "Symbolic discovery of optimization algorithms", program 1.
#[inline(always)]
pub(crate) fn lion_step<T: Real>(s: &LionStep<T>, p: &mut [T], g: &[T], m: &mut [T]) {
    let (n, s) = (p.len(), *s);
    let (g, m) = (&g[..n], &mut m[..n]);
    let (share1, share2) = (T::ONE - s.beta1, T::ONE - s.beta2);
    for i in 0..n {
        let gradient = s.l2.mul_add(p[i], g[i]);
        let mean = s.beta1.mul_add(m[i], share1 * gradient);
        let up = if mean > T::ZERO { s.rate } else { T::ZERO };
        let down = if mean < T::ZERO { s.rate } else { T::ZERO };
        p[i] = s.keep.mul_add(p[i], down - up);
        m[i] = s.beta2.mul_add(m[i], share2 * gradient);
    }
}

/// The numbers of one step of schedule-free AdamW, see [`crate::Kernels::schedule_free_step`].
#[derive(Debug, Clone, Copy)]
pub struct ScheduleFreeStep<T> {
    /// The learning rate.
    pub rate: T,
    /// 1 over the root of 1 − β₂ᵗ.
    pub inv_root_correction: T,
    /// β₁: how near to the mean x the gradient is taken.
    pub beta1: T,
    /// β₂.
    pub beta2: T,
    /// ε, outside the root.
    pub epsilon: T,
    /// Added to the gradient as `l2`·y.
    pub l2: T,
    /// Decoupled decay, taken off z as rate·decay·y.
    pub decay: T,
    /// c, the share of z in the mean x.
    pub share: T,
}

/// z ← z − rate·(g / (√v · inv_root_correction + ε) + decay·y); x ← (1−c)·x + c·z; y ← β₁·x + (1−β₁)·z.
///
/// Defazio et al. 2024, "The road less scheduled", algorithm 1. The gradient is taken at y; x is to be used.
#[inline(always)]
pub(crate) fn schedule_free_step<T: Real>(
    s: &ScheduleFreeStep<T>,
    y: &mut [T],
    g: &[T],
    z: &mut [T],
    v: &mut [T],
    x: &mut [T],
) {
    let (n, s) = (y.len(), *s);
    let (g, z, v, x) = (&g[..n], &mut z[..n], &mut v[..n], &mut x[..n]);
    let share2 = T::ONE - s.beta2;
    for i in 0..n {
        let gradient = s.l2.mul_add(y[i], g[i]);
        v[i] = s.beta2.mul_add(v[i], share2 * (gradient * gradient));
        let denominator = v[i].sqrt().mul_add(s.inv_root_correction, s.epsilon);
        z[i] = z[i] - s.rate * s.decay.mul_add(y[i], gradient / denominator);
        x[i] = s.share.mul_add(z[i] - x[i], x[i]);
        y[i] = s.beta1.mul_add(x[i] - z[i], z[i]);
    }
}

/// The numbers of the first half of a Muon step, see [`crate::Kernels::muon_direction`].
#[derive(Debug, Clone, Copy)]
pub struct MuonStep<T> {
    /// The share of the running mean that is kept.
    pub momentum: T,
    /// Whether the gradient is taken in a second time (Nesterov).
    pub nesterov: bool,
    /// Added to the gradient as `l2`·p.
    pub l2: T,
}

/// m ← momentum·m + (1−momentum)·g; u = momentum·m + (1−momentum)·g with Nesterov's correction, or m.
///
/// Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; u is made orthogonal afterwards.
#[inline(always)]
pub(crate) fn muon_direction<T: Real>(s: &MuonStep<T>, p: &[T], g: &[T], m: &mut [T], u: &mut [T]) {
    let (n, s) = (p.len(), *s);
    let (g, m, u) = (&g[..n], &mut m[..n], &mut u[..n]);
    let share = T::ONE - s.momentum;
    for i in 0..n {
        let gradient = share * s.l2.mul_add(p[i], g[i]);
        m[i] = s.momentum.mul_add(m[i], gradient);
        u[i] = if s.nesterov { s.momentum.mul_add(m[i], gradient) } else { m[i] };
    }
}

/// y ← a·x + b·y.
#[inline(always)]
pub(crate) fn combine<T: Real>(a: T, x: &[T], b: T, y: &mut [T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = a.mul_add(x, b * *y);
    }
}

/// The sum of squares, in double precision and in one order: eight sums side by side, then theirs.
pub fn sum_of_squares<T: Real>(x: &[T]) -> f64 {
    let mut sums = [0.0_f64; 8];
    for eight in x.chunks(8) {
        for (sum, x) in sums.iter_mut().zip(eight) {
            let x = x.to_f64();
            *sum += x * x;
        }
    }
    sums.iter().sum()
}
