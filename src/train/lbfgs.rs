//! Minimising a smooth function of many variables: limited-memory BFGS.
//!
//! Nocedal & Wright 2006, "Numerical Optimization", 2nd edition: algorithm 7.5 with the direction of 7.4, and
//! the line search of 3.5 and 3.6 for the strong Wolfe conditions.

use std::collections::VecDeque;

/// A step must lower the function by this share of what the slope promises (c₁).
const DECREASE: f64 = 1e-4;
/// A step must flatten the slope to this share (c₂).
const CURVATURE: f64 = 0.9;
/// Evaluations of one line search.
const MAX_TRIALS: usize = 40;

/// How a minimisation remembers, and when it is at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Pairs of steps and gradient changes that are remembered.
    pub memory: usize,
    /// It has converged when no component of the gradient is larger than this.
    pub gradient_tolerance: f64,
    /// How exactly the function's values are computed, relative to their size.
    pub rounding: f64,
}

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
    /// Whether no step along the gradient itself lowers the function any further.
    pub stuck: bool,
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
    let settings = Settings { memory: 10, gradient_tolerance, rounding: f64::EPSILON };
    let mut solver = Lbfgs::new(x.to_vec(), settings);
    let outcome = solver.run(max_iterations, f);
    x.copy_from_slice(solver.x());
    outcome
}

/// A minimisation that can be interrupted after any iteration and taken up again.
#[derive(Debug)]
pub struct Lbfgs {
    settings: Settings,
    memory: Memory,
    line: Line,
    before: Vec<f64>,
    /// The value at `line.x`; none before the first evaluation.
    value: Option<f64>,
}

impl Lbfgs {
    /// A minimisation that begins at `x`; takes all of its memory, O(n·memory), here.
    pub fn new(x: Vec<f64>, settings: Settings) -> Self {
        let zeros = || vec![0.0; x.len()];
        let memory = Memory::new(settings.memory, x.len());
        let before = zeros();
        let line = Line { origin: x.clone(), direction: zeros(), gradient: zeros(), step: 0.0, x };
        Self { settings, memory, line, before, value: None }
    }

    /// Where the minimisation is.
    pub fn x(&self) -> &[f64] {
        &self.line.x
    }

    /// The length of the last step as a multiple of its direction.
    pub fn step(&self) -> f64 {
        self.line.step
    }

    /// All that the iterations to come depend on: the value, the length of the last step and the weights of the pairs;
    /// then where it is, the gradient there, and the pairs, the oldest first.
    pub(super) fn state(&self) -> (Option<f64>, f64, Vec<f64>, Vec<&[f64]>) {
        let pairs = &self.memory.pairs;
        let vectors = [&self.line.x, &self.line.gradient].into_iter();
        let vectors = vectors.chain(pairs.iter().flat_map(|pair| [&pair.s, &pair.y])).map(Vec::as_slice);
        (self.value, self.line.step, pairs.iter().map(|pair| pair.inverse).collect(), vectors.collect())
    }

    /// Goes on from such a state, of a minimisation of as many numbers that remembers as much.
    pub(super) fn restore(&mut self, value: Option<f64>, step: f64, inverses: &[f64], vectors: &[&[f64]]) {
        self.memory.forget();
        (self.value, self.line.step) = (value, step);
        let [x, gradient, pairs @ ..] = vectors else { return };
        self.line.x.copy_from_slice(x);
        self.line.gradient.copy_from_slice(gradient);
        for (both, &inverse) in pairs.chunks_exact(2).zip(inverses) {
            let Some(mut pair) = self.memory.free.pop() else { return };
            pair.s.copy_from_slice(both[0]);
            pair.y.copy_from_slice(both[1]);
            pair.inverse = inverse;
            self.memory.pairs.push_back(pair);
        }
    }

    /// Up to `max_iterations` more iterations; `f` has to be the same function every time.
    pub fn run(&mut self, max_iterations: usize, mut f: impl FnMut(&[f64], &mut [f64]) -> f64) -> Outcome {
        let Self { settings, memory, line, before, value: known } = self;
        let mut value = known.unwrap_or_else(|| f(&line.x, &mut line.gradient));
        let (mut iterations, mut stuck) = (0, false);
        while iterations < max_iterations && value.is_finite() {
            if largest(&line.gradient) <= settings.gradient_tolerance {
                break;
            }
            line.origin.copy_from_slice(&line.x);
            before.copy_from_slice(&line.gradient);
            memory.descend(before, &mut line.direction);
            let slope = dot(before, &line.direction);
            // Without memory the gradient says nothing of the scale: begin with a step of length one at most.
            let first = if memory.is_empty() { (1.0 / dot(before, before).sqrt()).min(1.0) } else { 1.0 };
            let wolfe = Wolfe { value, slope, rounding: 4.0 * settings.rounding * value.abs() };
            let found = (slope < 0.0).then(|| line.search(&mut f, &wolfe, first)).flatten();
            let Some(after) = found else {
                line.x.copy_from_slice(&line.origin);
                line.gradient.copy_from_slice(before);
                if memory.is_empty() {
                    stuck = true;
                    break;
                }
                // A memory of steps that no longer fit can mislead: begin anew with the gradient.
                memory.forget();
                continue;
            };
            value = after;
            memory.remember(line, before);
            iterations += 1;
        }
        *known = Some(value);
        let gradient_norm = largest(&line.gradient);
        let converged = gradient_norm <= settings.gradient_tolerance;
        Outcome { iterations, value, gradient_norm, converged, stuck: stuck && !converged }
    }
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
#[derive(Debug)]
struct Pair {
    s: Vec<f64>,
    y: Vec<f64>,
    inverse: f64,
}

#[derive(Debug)]
struct Memory {
    /// The oldest first.
    pairs: VecDeque<Pair>,
    /// Those that hold nothing.
    free: Vec<Pair>,
    /// One number for each pair, while a direction is computed.
    alphas: Vec<f64>,
}

impl Memory {
    fn new(capacity: usize, n: usize) -> Self {
        let pair = |_| Pair { s: vec![0.0; n], y: vec![0.0; n], inverse: 0.0 };
        let free: Vec<Pair> = (0..capacity.max(1)).map(pair).collect();
        Self { pairs: VecDeque::with_capacity(free.len()), alphas: vec![0.0; free.len()], free }
    }

    fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    fn forget(&mut self) {
        self.free.extend(self.pairs.drain(..));
    }

    /// The quasi-Newton direction −H·g (algorithm 7.4), with H₀ = (s·y)/(y·y) of the newest pair (7.20).
    fn descend(&mut self, gradient: &[f64], direction: &mut [f64]) {
        for (d, g) in direction.iter_mut().zip(gradient) {
            *d = -g;
        }
        for (pair, alpha) in self.pairs.iter().rev().zip(&mut self.alphas) {
            *alpha = pair.inverse * dot(&pair.s, direction);
            add_to(-*alpha, &pair.y, direction);
        }
        if let Some(newest) = self.pairs.back() {
            let scale = 1.0 / (newest.inverse * dot(&newest.y, &newest.y));
            for d in &mut *direction {
                *d *= scale;
            }
        }
        for (pair, alpha) in self.pairs.iter().zip(self.alphas[..self.pairs.len()].iter().rev()) {
            let beta = pair.inverse * dot(&pair.y, direction);
            add_to(alpha - beta, &pair.s, direction);
        }
    }

    fn remember(&mut self, line: &Line, before: &[f64]) {
        // Where none is free, the oldest pair is written anew.
        let Some(mut pair) = self.free.pop().or_else(|| self.pairs.pop_front()) else { return };
        let difference = |to: &mut [f64], a: &[f64], b: &[f64]| {
            for (to, (a, b)) in to.iter_mut().zip(a.iter().zip(b)) {
                *to = a - b;
            }
        };
        difference(&mut pair.s, &line.x, &line.origin);
        difference(&mut pair.y, &line.gradient, before);
        pair.inverse = 1.0 / dot(&pair.s, &pair.y);
        // The Wolfe conditions make s·y positive; rounding may not.
        if pair.inverse.is_finite() && pair.inverse > 0.0 {
            self.pairs.push_back(pair);
        } else {
            self.free.push(pair);
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
#[derive(Debug)]
struct Line {
    origin: Vec<f64>,
    direction: Vec<f64>,
    /// Where the function was evaluated last.
    x: Vec<f64>,
    /// The gradient there.
    gradient: Vec<f64>,
    /// How far along the line that is.
    step: f64,
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

/// A function that returns its value and writes its gradient.
type Function<'f> = dyn FnMut(&[f64], &mut [f64]) -> f64 + 'f;

impl Line {
    fn evaluate(&mut self, f: &mut Function, a: f64) -> Trial {
        self.step = a;
        for ((x, origin), d) in self.x.iter_mut().zip(&self.origin).zip(&self.direction) {
            *x = origin + a * d;
        }
        let value = f(&self.x, &mut self.gradient);
        let slope = dot(&self.gradient, &self.direction);
        // What overflows lies beyond every minimum.
        let finite = value.is_finite() && slope.is_finite();
        if finite { Trial { a, value, slope } } else { Trial { a, value: f64::INFINITY, slope: f64::NAN } }
    }

    /// Finds a step that meets the strong Wolfe conditions (algorithm 3.5), leaves `x` and `gradient` there,
    /// and returns the value. `None` if rounding, or a function that is not smooth, allows no such step.
    fn search(&mut self, f: &mut Function, wolfe: &Wolfe, first: f64) -> Option<f64> {
        let mut before = Trial { a: 0.0, value: wolfe.value, slope: wolfe.slope };
        let mut a = first;
        for trials in 1..MAX_TRIALS {
            let trial = self.evaluate(f, a);
            if !wolfe.decreases(trial) || (trials > 1 && trial.value >= before.value + wolfe.rounding) {
                return self.zoom(f, wolfe, before, trial, MAX_TRIALS - trials);
            }
            if wolfe.flattens(trial) {
                return Some(trial.value);
            }
            if trial.slope >= 0.0 {
                return self.zoom(f, wolfe, trial, before, MAX_TRIALS - trials);
            }
            before = trial;
            a *= 2.0;
        }
        None
    }

    /// Narrows an interval that holds such a step (algorithm 3.6); `low` is its better end.
    ///
    /// Where none is found, as at a kink, the lowest point is taken if it is lower than the beginning.
    fn zoom(
        &mut self,
        f: &mut Function,
        wolfe: &Wolfe,
        mut low: Trial,
        mut high: Trial,
        trials: usize,
    ) -> Option<f64> {
        for _ in 0..trials {
            let trial = self.evaluate(f, between(low, high));
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
        // A function with kinks may have no step that flattens it: the lowest that was found, if it is lower at all.
        (low.value < wolfe.value - wolfe.rounding).then(|| self.evaluate(f, low.a).value)
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
            let mut line = Line { origin, direction, x, gradient, step: 0.0 };
            let wolfe = Wolfe { value, slope, rounding: 0.0 };
            let found = line.search(&mut rosenbrock, &wolfe, first).expect("a step exists");
            let a = (line.x[0] - line.origin[0]) / line.direction[0];
            assert!((line.step / a - 1.0).abs() < 1e-9);
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
    fn in_parts_it_takes_the_same_steps() {
        let settings = Settings { memory: 3, gradient_tolerance: 1e-12, rounding: f64::EPSILON };
        let solver = || Lbfgs::new(vec![-1.2, 1.0], settings);
        let (mut whole, mut parts) = (solver(), solver());
        assert_eq!(whole.run(20, rosenbrock).iterations, 20);
        for _ in 0..10 {
            assert_eq!(parts.run(2, rosenbrock).iterations, 2);
        }
        assert_eq!(whole.x(), parts.x());
        assert!(whole.memory.pairs.len() == 3 && whole.memory.free.is_empty());
    }

    #[test]
    fn what_no_step_lowers_is_stuck() {
        // A kink in the lowest point, where the gradient never vanishes: steps lead close to it all the same.
        let outcome = minimize(&mut [3.0], 1000, 1e-12, |x, gradient| {
            gradient[0] = if x[0] < 0.0 { -1.0 } else { 1.0 };
            x[0].abs()
        });
        assert!(outcome.stuck && !outcome.converged && outcome.value < 1e-3, "{outcome:?}");
    }

    #[test]
    fn ends_at_once_in_the_minimum_and_with_nothing_to_move() {
        let outcome = minimize(&mut [1.0, 1.0], 10, 1e-12, rosenbrock);
        assert_eq!(
            outcome,
            Outcome { iterations: 0, value: 0.0, gradient_norm: 0.0, converged: true, stuck: false }
        );
        assert!(minimize(&mut [], 10, 1e-12, |_, _| 3.0).converged);
        let stuck = minimize(&mut [0.0], 10, 1e-12, |_, gradient| {
            gradient[0] = f64::NAN;
            f64::NAN
        });
        assert!(!stuck.converged && stuck.iterations == 0);
    }
}
