//! One step of an optimiser over a run of parameters.

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
    /// Whether the gradient is corrected by the step about to be made (Sutskever 2013).
    pub nesterov: bool,
    /// Added to the gradient as `l2`·p.
    pub l2: T,
    /// What p is multiplied by before the step: 1 − learning rate · decay.
    pub keep: T,
}

/// u ← momentum·u + g; p ← keep·p − rate·u, or − rate·(g + momentum·u) with Nesterov's correction.
///
/// The form of Sutskever et al. 2013 as `PyTorch` writes it: the learning rate is outside the velocity.
#[inline(always)]
pub(crate) fn sgd_step<T: Real>(s: &SgdStep<T>, p: &mut [T], g: &[T], u: &mut [T]) {
    let (n, s) = (p.len(), *s);
    let (g, u) = (&g[..n], &mut u[..n]);
    for i in 0..n {
        let gradient = s.l2.mul_add(p[i], g[i]);
        u[i] = s.momentum.mul_add(u[i], gradient);
        let direction = if s.nesterov { s.momentum.mul_add(u[i], gradient) } else { u[i] };
        p[i] = s.keep.mul_add(p[i], -(s.rate * direction));
    }
}
