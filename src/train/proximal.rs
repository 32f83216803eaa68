//! L1 by proximal steps: what a step has reached is pulled to zero, and what is near enough becomes zero.
//!
//! The penalty λ·|w| has no slope at 0, where it does its work; so it is left out of the gradient, and after each step
//! w ← sign(w)·max(|w| − τ, 0), the proximal operator of τ·|w| (Donoho & Johnstone 1994; Combettes & Wajs 2005; for
//! gradient descent Beck & Teboulle 2009).
//!
//! Which τ: an optimiser moves w by its gradient times some length h, its own for every weight where it is adaptive.
//! τ = h·λ makes gradient and penalty balance where ∂L/∂w = ∓λ, hence at the minimum of loss and penalty together,
//! whatever the optimiser (Yun, Lozano & Yang 2021, "Adaptive proximal gradient methods for structured neural
//! networks"). With τ = η·λ alone, the penalty of adam would be another one for every weight, as its weight decay is.

use statera_kernels::Scalar;

use crate::config::{MomentumForm, OptimizerConfig, OptimizerName};

/// The step of the optimiser that the proximal step follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) settings: &'a OptimizerConfig,
    /// The learning rate.
    pub(super) rate: f64,
    /// Steps made, this one included.
    pub(super) number: u32,
    /// Whether muon has made the step of a matrix, orthogonal as a whole.
    pub(super) is_orthogonal: bool,
}

impl Step<'_> {
    /// Pulls the weights `p` to zero for the penalty `l1`·|w|; `state` is what the optimiser keeps of them.
    ///
    /// h is, with the symbols of the optimisers' equations: for `sgd` η/(1 − μ), what a lasting gradient comes to with
    /// its momentum (η for the running mean); η/(√v̂ + ε) for adam and its kin; η/(√s + ε) for `adagrad`;
    /// η/(√v + ε)/(1 − μ) for `rmsprop`; η·√(s + ε)/√(v + ε) for `adadelta`. The steps of `lion` and of muon's matrices
    /// do not grow with the gradient, so there is no such h: τ is η·λ, as their weight decay is apart from the
    /// gradient. `schedule_free_adamw` keeps a mean of weights, which is not zero where they are, and has none.
    pub(super) fn pull<T: Scalar>(&self, l1: f64, p: &mut [T], state: [&[T]; 3]) {
        let (s, f) = (self.settings, T::from_f64);
        let [first, second, third] = state;
        let length = |rate: f64| f(rate * l1);
        let by_root = |p: &mut [T], rate: f64, squares: &[T]| {
            let (length, epsilon) = (length(rate), f(s.epsilon));
            let correction = f(1.0 / (1.0 - s.beta2.powf(f64::from(self.number))).sqrt());
            shrink(p, squares, |v| length / v.sqrt().mul_add(correction, epsilon));
        };
        match s.name {
            OptimizerName::Sgd => {
                let stretch = if s.momentum_form == MomentumForm::Sum { 1.0 - s.momentum } else { 1.0 };
                shrink_evenly(p, length(self.rate / stretch));
            }
            OptimizerName::Lbfgs => unreachable!("lbfgs makes no step of a batch"),
            OptimizerName::Lion | OptimizerName::ScheduleFreeAdamw => shrink_evenly(p, length(self.rate)),
            OptimizerName::Muon if self.is_orthogonal => shrink_evenly(p, length(self.rate)),
            OptimizerName::Muon => by_root(p, self.rate * s.muon_fallback, second),
            OptimizerName::Adam | OptimizerName::Adamw | OptimizerName::Nadam => {
                by_root(p, self.rate, second);
            }
            OptimizerName::Amsgrad => by_root(p, self.rate, third),
            OptimizerName::Adagrad => {
                let (length, epsilon) = (length(self.rate), f(s.epsilon));
                shrink(p, first, |sum| length / (sum.sqrt() + epsilon));
            }
            OptimizerName::Rmsprop => {
                let (length, epsilon) = (length(self.rate / (1.0 - s.rmsprop_momentum)), f(s.epsilon));
                if s.centered {
                    let variances = first.iter().zip(third);
                    for (p, (&v, &a)) in p.iter_mut().zip(variances) {
                        let variance = (v - a * a).at_least(T::ZERO);
                        *p = pulled(*p, length / (variance.sqrt() + epsilon));
                    }
                } else {
                    shrink(p, first, |v| length / (v.sqrt() + epsilon));
                }
            }
            OptimizerName::Adadelta => {
                let (length, epsilon) = (length(self.rate), f(s.adadelta_epsilon));
                for (p, (&v, &steps)) in p.iter_mut().zip(first.iter().zip(second)) {
                    *p = pulled(*p, length * (steps + epsilon).sqrt() / (v + epsilon).sqrt());
                }
            }
        }
    }
}

/// sign(w)·max(|w| − τ, 0); what is no number stays none.
#[inline(always)]
fn pulled<T: Scalar>(w: T, threshold: T) -> T {
    if w.abs() <= threshold {
        T::ZERO
    } else if w > T::ZERO {
        w - threshold
    } else {
        w + threshold
    }
}

fn shrink_evenly<T: Scalar>(p: &mut [T], threshold: T) {
    for p in p {
        *p = pulled(*p, threshold);
    }
}

/// [`pulled`] by a threshold that follows from a number of the optimiser's state.
fn shrink<T: Scalar>(p: &mut [T], state: &[T], threshold: impl Fn(T) -> T) {
    for (p, &state) in p.iter_mut().zip(state) {
        *p = pulled(*p, threshold(state));
    }
}
