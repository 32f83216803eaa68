//! Minimising a smooth function of many variables: limited-memory BFGS.
//!
//! Nocedal & Wright 2006, "Numerical Optimization", 2nd edition: algorithm 7.5 with the direction of 7.4, and
//! the line search of 3.5 and 3.6 for the strong Wolfe conditions.

use std::collections::VecDeque;

/// Pairs of steps and gradient changes that are remembered.
const MEMORY: usize = 10;
/// A step must lower the function by this share of what the slope promises (c₁).
const DECREASE: f64 = 1e-4;
/// A step must flatten the slope to this share (c₂).
const CURVATURE: f64 = 0.9;
/// Evaluations of one line search.
const MAX_TRIALS: usize = 40;

/// How a minimisation ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Steps taken.
    pub iterations: usize,
    /// The function's value where it ended.
    pub value: f64,
    /// The largest absolute component of the gradient there.
    pub gradient_norm: f64,
    /// Whether that is within the tolerance.
    pub converged: bool,
}

/// Moves `x` to where the gradient of `f` is at most `gradient_tolerance` in every component.
///
/// `f` returns the value at its first argument and writes the gradient into the second. The minimisation also
/// ends after `max_iterations`, and where rounding leaves nothing to be gained. `x` is then the best point.
///
/// An iteration costs one evaluation, rarely more, and O(40·n); memory O(25·n).
pub fn minimize(
    x: &mut [f64],
    max_iterations: usize,
    gradient_tolerance: f64,
    f: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Outcome {
    let zeros = || vec![0.0; x.len()];
    let mut line = Line { f, origin: x.to_vec(), direction: zeros(), x: x.to_vec(), gradient: zeros() };
    let mut value = (line.f)(&line.x, &mut line.gradient);
    let mut memory = Memory::default();
    let mut before = zeros();
    let mut iterations = 0;
    while iterations < max_iterations && value.is_finite() {
        if largest(&line.gradient) <= gradient_tolerance {
            break;
        }
        line.origin.copy_from_slice(&line.x);
        before.copy_from_slice(&line.gradient);
        memory.descend(&before, &mut line.direction);
        let slope = dot(&before, &line.direction);
        // Without memory the gradient says nothing of the scale: begin with a step of length one at most.
        let first = if memory.pairs.is_empty() { (1.0 / dot(&before, &before).sqrt()).min(1.0) } else { 1.0 };
        let found = (slope < 0.0).then(|| line.search(value, slope, first)).flatten();
        let Some(after) = found else {
            line.x.copy_from_slice(&line.origin);
            line.gradient.copy_from_slice(&before);
            if memory.pairs.is_empty() {
                break;
            }
            // A memory of steps that no longer fit can mislead: begin anew with the gradient.
            memory.pairs.clear();
            continue;
        };
        value = after;
        memory.remember(&line, &before);
        iterations += 1;
    }
    x.copy_from_slice(&line.x);
    let gradient_norm = largest(&line.gradient);
    Outcome { iterations, value, gradient_norm, converged: gradient_norm <= gradient_tolerance }
}

/// Σ aᵢbᵢ.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The largest absolute component; not a number if one is not.
fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |most: f64, v| if v.abs() <= most || most.is_nan() { most } else { v.abs() })
}

/// A step s, the change y of the gradient over it, and 1/(s·y).
struct Pair {
    s: Vec<f64>,
    y: Vec<f64>,
    inverse: f64,
}

#[derive(Default)]
struct Memory {
    pairs: VecDeque<Pair>,
}

impl Memory {
    /// The quasi-Newton direction −H·g (algorithm 7.4), with H₀ = (s·y)/(y·y) of the newest pair (7.20).
    fn descend(&self, gradient: &[f64], direction: &mut [f64]) {
        for (d, g) in direction.iter_mut().zip(gradient) {
            *d = -g;
        }
        let mut alphas = [0.0; MEMORY];
        for (pair, alpha) in self.pairs.iter().rev().zip(&mut alphas) {
            *alpha = pair.inverse * dot(&pair.s, direction);
            add_to(-*alpha, &pair.y, direction);
        }
        if let Some(newest) = self.pairs.back() {
            let scale = 1.0 / (newest.inverse * dot(&newest.y, &newest.y));
            for d in &mut *direction {
                *d *= scale;
            }
        }
        for (pair, alpha) in self.pairs.iter().zip(alphas[..self.pairs.len()].iter().rev()) {
            let beta = pair.inverse * dot(&pair.y, direction);
            add_to(alpha - beta, &pair.s, direction);
        }
    }

    fn remember<F>(&mut self, line: &Line<F>, before: &[f64]) {
        // The oldest pair's vectors are written anew.
        let oldest = if self.pairs.len() == MEMORY { self.pairs.pop_front() } else { None };
        let mut pair = oldest.unwrap_or_else(|| Pair { s: Vec::new(), y: Vec::new(), inverse: 0.0 });
        let difference = |to: &mut Vec<f64>, a: &[f64], b: &[f64]| {
            to.clear();
            to.extend(a.iter().zip(b).map(|(a, b)| a - b));
        };
        difference(&mut pair.s, &line.x, &line.origin);
        difference(&mut pair.y, &line.gradient, before);
        pair.inverse = 1.0 / dot(&pair.s, &pair.y);
        // The Wolfe conditions make s·y positive; rounding may not.
        if pair.inverse.is_finite() && pair.inverse > 0.0 {
            self.pairs.push_back(pair);
        }
    }
}

/// to += factor·v.
pub(super) fn add_to(factor: f64, v: &[f64], to: &mut [f64]) {
    for (to, v) in to.iter_mut().zip(v) {
        *to += factor * v;
    }
}

/// The function along a line: φ(a) = f(origin + a·direction).
struct Line<F> {
    f: F,
    origin: Vec<f64>,
    direction: Vec<f64>,
    /// Where the function was evaluated last.
    x: Vec<f64>,
    /// The gradient there.
    gradient: Vec<f64>,
}

/// A point on the line: how far along, the value φ(a) and the slope φ′(a).
#[derive(Clone, Copy)]
struct Trial {
    a: f64,
    value: f64,
    slope: f64,
}

/// The conditions that a step has to meet, given φ(0) and φ′(0).
struct Wolfe {
    value: f64,
    slope: f64,
    /// How exactly values can be told apart; near the minimum, the decrease asked for is finer than that.
    rounding: f64,
}

impl Wolfe {
    fn decreases(&self, t: Trial) -> bool {
        t.value <= self.value + DECREASE * t.a * self.slope + self.rounding
    }

    fn flattens(&self, t: Trial) -> bool {
        t.slope.abs() <= -CURVATURE * self.slope
    }
}

impl<F: FnMut(&[f64], &mut [f64]) -> f64> Line<F> {
    fn evaluate(&mut self, a: f64) -> Trial {
        for ((x, origin), d) in self.x.iter_mut().zip(&self.origin).zip(&self.direction) {
            *x = origin + a * d;
        }
        let value = (self.f)(&self.x, &mut self.gradient);
        let slope = dot(&self.gradient, &self.direction);
        // What overflows lies beyond every minimum.
        let finite = value.is_finite() && slope.is_finite();
        if finite { Trial { a, value, slope } } else { Trial { a, value: f64::INFINITY, slope: f64::NAN } }
    }

    /// Finds a step that meets the strong Wolfe conditions (algorithm 3.5), leaves `x` and `gradient` there,
    /// and returns the value. `None` if rounding, or a function that is not smooth, allows no such step.
    fn search(&mut self, value: f64, slope: f64, first: f64) -> Option<f64> {
        let wolfe = Wolfe { value, slope, rounding: 4.0 * f64::EPSILON * value.abs() };
        let mut before = Trial { a: 0.0, value, slope };
        let mut a = first;
        for trials in 1..MAX_TRIALS {
            let trial = self.evaluate(a);
            if !wolfe.decreases(trial) || (trials > 1 && trial.value >= before.value + wolfe.rounding) {
                return self.zoom(&wolfe, before, trial, MAX_TRIALS - trials);
            }
            if wolfe.flattens(trial) {
                return Some(trial.value);
            }
            if trial.slope >= 0.0 {
                return self.zoom(&wolfe, trial, before, MAX_TRIALS - trials);
            }
            before = trial;
            a *= 2.0;
        }
        None
    }

    /// Narrows an interval that holds such a step (algorithm 3.6); `low` is its better end.
    fn zoom(&mut self, wolfe: &Wolfe, mut low: Trial, mut high: Trial, trials: usize) -> Option<f64> {
        for _ in 0..trials {
            let trial = self.evaluate(between(low, high));
            if !wolfe.decreases(trial) || trial.value >= low.value + wolfe.rounding {
                high = trial;
            } else {
                if wolfe.flattens(trial) {
                    return Some(trial.value);
                }
                if trial.slope * (high.a - low.a) >= 0.0 {
                    high = low;
                }
                low = trial;
            }
        }
        None
    }
}

/// Where the cubic through both ends has its minimum (3.59), kept a tenth off the ends; or the middle.
fn between(low: Trial, high: Trial) -> f64 {
    let width = high.a - low.a;
    let d1 = low.slope + high.slope - 3.0 * (low.value - high.value) / (low.a - high.a);
    let d2 = width.signum() * (d1 * d1 - low.slope * high.slope).sqrt();
    let a = high.a - width * (high.slope + d2 - d1) / (high.slope - low.slope + 2.0 * d2);
    let share = (a - low.a) / width;
    // Not a number when the function overflowed, or when the cubic has no minimum.
    if share.is_finite() { low.a + width * share.clamp(0.1, 0.9) } else { f64::midpoint(low.a, high.a) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Σ 100(x₁ − x₀²)² + (1 − x₀)² over neighbours (Rosenbrock 1960).
    fn rosenbrock(x: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        let mut value = 0.0;
        for i in 0..x.len() - 1 {
            let (bend, off) = (x[i + 1] - x[i] * x[i], 1.0 - x[i]);
            value += 100.0 * bend * bend + off * off;
            gradient[i] += -400.0 * bend * x[i] - 2.0 * off;
            gradient[i + 1] += 200.0 * bend;
        }
        value
    }

    #[test]
    fn finds_the_minimum_of_rosenbrock() {
        for n in [2, 10] {
            let mut x: Vec<f64> = (0..n).map(|i| if i % 2 == 0 { -1.2 } else { 1.0 }).collect();
            if n == 10 {
                // From the usual start, ten dimensions lead to the other, local minimum at x₀ ≈ −1.
                x.fill(0.0);
            }
            let outcome = minimize(&mut x, 1000, 1e-10, rosenbrock);
            assert!(outcome.converged && outcome.iterations < 150, "{outcome:?}");
            assert!(outcome.gradient_norm <= 1e-10 && outcome.value < 1e-16, "{outcome:?}");
            assert!(x.iter().all(|x| (x - 1.0).abs() < 1e-8), "{x:?}");
        }
    }

    #[test]
    fn finds_the_minimum_of_a_stretched_quadratic() {
        // Σ cᵢ(xᵢ − i)²/2 + 7, curvatures from 1 to 10⁴ in twice as many dimensions as are remembered. The 7
        // hides the last digits of the decrease. (scipy's L-BFGS-B takes 684 iterations without the 7.)
        let curvature = |i: usize| 10_f64.powf(i as f64 * 4.0 / 19.0);
        let mut x = vec![0.0; 20];
        let outcome = minimize(&mut x, 1000, 1e-9, |x, gradient| {
            let mut value = 7.0;
            for (i, (x, g)) in x.iter().zip(gradient).enumerate() {
                *g = curvature(i) * (x - i as f64);
                value += 0.5 * *g * (x - i as f64);
            }
            value
        });
        assert!(outcome.converged, "{outcome:?}");
        assert!((outcome.value - 7.0).abs() < 1e-12, "{outcome:?}");
        for (i, x) in x.iter().enumerate() {
            assert!((x - i as f64).abs() < 1e-8, "{i}: {x}");
        }
    }

    #[test]
    fn every_step_meets_the_strong_wolfe_conditions() {
        for first in [1e-6, 1e-2, 1.0, 100.0] {
            let origin = vec![-1.2, 1.0];
            let mut gradient = vec![0.0; 2];
            let value = rosenbrock(&origin, &mut gradient);
            let direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
            let slope = dot(&gradient, &direction);
            let x = origin.clone();
            let mut line = Line { f: rosenbrock, origin, direction, x, gradient };
            let found = line.search(value, slope, first).expect("a step exists");
            let a = (line.x[0] - line.origin[0]) / line.direction[0];
            assert!(found <= value + DECREASE * a * slope, "{first}: no decrease");
            assert!(dot(&line.gradient, &line.direction).abs() <= -CURVATURE * slope, "{first}: too steep");
        }
    }

    #[test]
    fn a_function_that_overflows_is_approached_with_care() {
        // eˣ − x with a first step into infinity.
        let mut x = vec![-1000.0];
        let outcome = minimize(&mut x, 200, 1e-10, |x, gradient| {
            gradient[0] = 1e3 * (x[0].exp() - 1.0);
            1e3 * (x[0].exp() - x[0])
        });
        assert!(outcome.converged && x[0].abs() < 1e-8, "{outcome:?}, {x:?}");
    }

    #[test]
    fn ends_at_once_in_the_minimum_and_with_nothing_to_move() {
        let outcome = minimize(&mut [1.0, 1.0], 10, 1e-12, rosenbrock);
        assert_eq!(outcome, Outcome { iterations: 0, value: 0.0, gradient_norm: 0.0, converged: true });
        assert!(minimize(&mut [], 10, 1e-12, |_, _| 3.0).converged);
        let stuck = minimize(&mut [0.0], 10, 1e-12, |_, gradient| {
            gradient[0] = f64::NAN;
            f64::NAN
        });
        assert!(!stuck.converged && stuck.iterations == 0);
    }
}
