//! Optimisers: gradients in, changed parameters out.
//!
//! Each is one kernel over runs of the parameter vector; its equation and source stand in the kernel. Muon adds the
//! orthogonal part of a matrix, in `muon.rs`.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use statera_kernels::{
    AdadeltaStep, AdagradStep, AdamStep, CpuLevel, LionStep, MuonStep, NadamStep, RmspropStep, Scalar,
    ScheduleFreeStep, SgdStep,
};

use super::checkpoint::exact;
use super::constraint::Constraints;
use super::muon::Orthogonal;
use super::proximal;
use super::prune::Masks;
use crate::config::{MomentumForm, OptimizerConfig, OptimizerName, WeightKind};
use crate::nn::View;
use crate::nn::buffer::Buffer;

/// An optimiser with its state: up to three numbers a parameter.
#[derive(Debug)]
pub struct Optimizer<T> {
    settings: OptimizerConfig,
    runs: Vec<Run>,
    /// What is kept from step to step; which of the three are used stands in [`n_states`].
    pub(super) state: [Buffer<T>; 3],
    /// Scratch of muon.
    orthogonal: Orthogonal<T>,
    /// What weights are brought back to.
    constraints: Constraints,
    /// Latent weights of binary layers, which are kept within −1 and 1.
    latent: Vec<Range<usize>>,
    /// Which weights of sparse layers are left.
    pub(super) masks: Masks,
    pub(super) counts: Counts,
}

/// What an optimiser counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counts {
    /// Steps made so far.
    steps: u32,
    /// Of nadam: μ₁⋯μₜ.
    #[serde(with = "exact")]
    momentum_product: f64,
    /// Of schedule_free_adamw: the sum of squared learning rates.
    #[serde(with = "exact")]
    rate_squares: f64,
}

/// A trainable run of the parameter vector.
#[derive(Debug)]
struct Run {
    range: Range<usize>,
    /// Whether decoupled decay applies.
    decays: bool,
    /// λ of the penalties λ·|w| and ½·λ·w².
    l1: f64,
    l2: f64,
    /// What the learning rate is multiplied by.
    lr_factor: f64,
    /// Rows and columns of a weight that muon steps.
    matrix: Option<[usize; 2]>,
}

/// How many numbers an optimiser keeps for each parameter; `lbfgs` keeps its own, see `full_batch.rs`.
fn n_states(name: OptimizerName) -> usize {
    match name {
        OptimizerName::Lbfgs => 0,
        OptimizerName::Sgd | OptimizerName::Adagrad | OptimizerName::Lion => 1,
        OptimizerName::Adam
        | OptimizerName::Adamw
        | OptimizerName::Nadam
        | OptimizerName::Adadelta
        | OptimizerName::Muon => 2,
        OptimizerName::Amsgrad | OptimizerName::Rmsprop | OptimizerName::ScheduleFreeAdamw => 3,
    }
}

/// Whether an optimiser takes `weight_decay`, apart from the gradient.
fn decouples(name: OptimizerName) -> bool {
    matches!(
        name,
        OptimizerName::Adamw | OptimizerName::Lion | OptimizerName::Muon | OptimizerName::ScheduleFreeAdamw
    )
}

/// Some neighbouring parameters, their gradients, and what the optimiser keeps of them (nothing where it has no use
/// for a state).
struct Part<'a, T> {
    p: &'a mut [T],
    g: &'a [T],
    states: [&'a mut [T]; 3],
}

/// Parameters that are not worth a thread of their own.
const FEW_PARAMETERS: usize = 8192;

impl<T: Scalar> Part<'_, T> {
    /// Makes `step` of all parameters, each by itself, on the threads at hand: no bit depends on where they are cut.
    fn in_halves(self, step: &(impl Fn(Part<T>) + Sync)) {
        let n = self.p.len();
        if n < 2 * FEW_PARAMETERS
            || rayon::current_thread_index().is_none()
            || rayon::current_num_threads() == 1
        {
            return step(self);
        }
        let (p, right_p) = self.p.split_at_mut(n / 2);
        let (g, right_g) = self.g.split_at(n / 2);
        let halves = self.states.map(|state| state.split_at_mut((n / 2).min(state.len())));
        let [(a, right_a), (b, right_b), (c, right_c)] = halves;
        let left = Part { p, g, states: [a, b, c] };
        let right = Part { p: right_p, g: right_g, states: [right_a, right_b, right_c] };
        rayon::join(|| left.in_halves(step), || right.in_halves(step));
    }
}

impl<T: Scalar> Optimizer<T> {
    /// An optimiser for the parameters that `views` describe.
    pub fn new(settings: &OptimizerConfig, views: &[View]) -> Self {
        let n_params = views.last().map_or(0, |v| v.range().end);
        let n_states = n_states(settings.name);
        let mut runs: Vec<Run> = Vec::new();
        for view in views.iter().filter(|v| v.trainable) {
            // Without decay and penalties all runs are alike, and neighbours become one.
            let decays = view.decays && settings.weight_decay != 0.0 && decouples(settings.name);
            let rules = view.dense.unwrap_or_default();
            let of = |penalty: f64| if view.decays { penalty } else { 0.0 };
            let (l1, l2) = (of(rules.l1.unwrap_or(settings.l1)), of(rules.l2.unwrap_or(settings.l2)));
            let is_matrix = settings.name == OptimizerName::Muon && view.decays && !view.is_table;
            let n_matrices = match view.shape[..] {
                [_, _] if is_matrix => 1,
                // Members with weights of their own: a matrix each.
                [n, _, _] if is_matrix => n,
                _ => 0,
            };
            if let [.., rows, columns] = view.shape[..]
                && n_matrices > 0
            {
                runs.extend((0..n_matrices).map(|i| {
                    let offset = view.offset + i * rows * columns;
                    Run {
                        range: offset..offset + rows * columns,
                        decays,
                        l1,
                        l2,
                        lr_factor: view.lr_factor,
                        matrix: Some([rows, columns]),
                    }
                }));
                continue;
            }
            match runs.last_mut() {
                Some(run)
                    if run.range.end == view.offset
                        && (run.decays, run.l1, run.l2, run.lr_factor)
                            == (decays, l1, l2, view.lr_factor)
                        && run.matrix.is_none() =>
                {
                    run.range.end = view.range().end;
                }
                _ => {
                    let lr_factor = view.lr_factor;
                    runs.push(Run { range: view.range(), decays, l1, l2, lr_factor, matrix: None });
                }
            }
        }
        let orthogonal = Orthogonal::new(runs.iter().filter_map(|run| run.matrix));
        Self {
            settings: settings.clone(),
            runs,
            // Parameters and gradients take the first two quarters.
            state: std::array::from_fn(|i| Buffer::new(if i < n_states { n_params } else { 0 }, i + 2)),
            orthogonal,
            constraints: Constraints::new(settings, views),
            latent: views.iter().filter(|v| v.kind() == Some(WeightKind::Binary)).map(View::range).collect(),
            masks: Masks::default(),
            counts: Counts { steps: 0, momentum_product: 1.0, rate_squares: 0.0 },
        }
    }

    /// Changes `params` by one step along `grads` at the learning rate `rate`.
    ///
    /// `weight_decay` is decoupled (Loshchilov & Hutter 2019) and that of `adamw`, `lion`, `muon` and
    /// `schedule_free_adamw`; `l2` adds the gradient of ½·l2·p² in any optimiser; `l1` pulls weights to zero after the
    /// step, see `proximal.rs`; what is pruned stays zero, latent weights stay within −1 and 1, and what a constraint does
    /// not allow is brought back last.
    pub fn step(&mut self, level: CpuLevel, rate: f64, params: &mut [T], grads: &[T]) {
        self.counts.steps += 1;
        let s = &self.settings;
        let f = T::from_f64;
        let t = f64::from(self.counts.steps);
        let (power1, power2) = (s.beta1.powf(t), s.beta2.powf(t));
        let inv_root_correction = || f(1.0 / (1.0 - power2).sqrt());
        // Dozat's μ of this step and of the next, and the products up to them.
        let momentum_at = |t: f64| s.beta1 * (1.0 - 0.5 * 0.96_f64.powf(t * s.momentum_decay));
        let (mu, next_mu) = (momentum_at(t), momentum_at(t + 1.0));
        self.counts.momentum_product *= mu;
        self.counts.rate_squares += rate * rate;
        let share = if self.counts.rate_squares > 0.0 { rate * rate / self.counts.rate_squares } else { 0.0 };
        if s.name == OptimizerName::ScheduleFreeAdamw && self.counts.steps == 1 {
            self.state[0].copy_from_slice(params);
            self.state[2].copy_from_slice(params);
        }
        let (product, number) = (self.counts.momentum_product, self.counts.steps);
        let [first, second, third] = &mut self.state;
        for run in &self.runs {
            let l2 = f(run.l2);
            // Decay and the proximal steps of L1 take part in it, as they do in schedules.
            let rate = rate * run.lr_factor;
            let decay = if run.decays { s.weight_decay } else { 0.0 };
            let (p, g) = (&mut params[run.range.clone()], &grads[run.range.clone()]);
            let first = &mut first[run.range.clone()];
            // An optimiser that does not use a state has none.
            let second = second.get_mut(run.range.clone()).unwrap_or_default();
            let third = third.get_mut(run.range.clone()).unwrap_or_default();
            let adam = |rate: f64| AdamStep {
                rate: f(rate / (1.0 - power1)),
                inv_root_correction: inv_root_correction(),
                beta1: f(s.beta1),
                beta2: f(s.beta2),
                epsilon: f(s.epsilon),
                l2,
                keep: f(1.0 - rate * decay),
            };
            let pull = |p: &mut [T], state: [&[T]; 3]| {
                if run.l1 > 0.0 {
                    let is_orthogonal = run.matrix.is_some();
                    proximal::Step { settings: s, rate, number, is_orthogonal }.pull(run.l1, p, state);
                }
            };
            let part = Part { p, g, states: [first, second, third] };
            if let Some(shape) = run.matrix {
                let Part { p, g, states: [first, second, third] } = part;
                let step = MuonStep { momentum: f(s.muon_momentum), nesterov: s.muon_nesterov, l2 };
                // The second state of a matrix is free to hold the direction.
                T::muon_direction(level, &step, p, g, first, second);
                self.orthogonal.of(level, shape, second);
                let [n_in, n_out] = shape.map(|n| n as f64);
                let stretch = (n_out / n_in).max(1.0).sqrt();
                T::combine(level, f(-rate * stretch), second, f(1.0 - rate * decay), p);
                pull(p, [first, second, third]);
                continue;
            }
            part.in_halves(&|Part { p, g, states: [first, second, third] }| {
                match s.name {
                    OptimizerName::Lbfgs => unreachable!("lbfgs makes no step of a batch"),
                    OptimizerName::Sgd => {
                        let share = if s.momentum_form == MomentumForm::Ema { 1.0 - s.momentum } else { 1.0 };
                        let step = SgdStep {
                            rate: f(rate),
                            momentum: f(s.momentum),
                            share: f(share),
                            nesterov: s.nesterov,
                            l2,
                            keep: T::ONE,
                        };
                        T::sgd_step(level, &step, p, g, first);
                    }
                    OptimizerName::Adam | OptimizerName::Adamw => {
                        T::adam_step(level, &adam(rate), p, g, first, second);
                    }
                    OptimizerName::Amsgrad => T::amsgrad_step(level, &adam(rate), p, g, first, second, third),
                    OptimizerName::Nadam => {
                        let step = NadamStep {
                            rate_of_gradient: f(rate * (1.0 - mu) / (1.0 - product)),
                            rate_of_mean: f(rate * next_mu / (1.0 - product * next_mu)),
                            inv_root_correction: inv_root_correction(),
                            beta1: f(s.beta1),
                            beta2: f(s.beta2),
                            epsilon: f(s.epsilon),
                            l2,
                        };
                        T::nadam_step(level, &step, p, g, first, second);
                    }
                    OptimizerName::Adagrad => {
                        let step = AdagradStep { rate: f(rate), epsilon: f(s.epsilon), l2 };
                        T::adagrad_step(level, &step, p, g, first);
                    }
                    OptimizerName::Rmsprop => {
                        let step = RmspropStep {
                            rate: f(rate),
                            rho: f(s.rho),
                            epsilon: f(s.epsilon),
                            momentum: f(s.rmsprop_momentum),
                            centered: s.centered,
                            l2,
                        };
                        T::rmsprop_step(level, &step, p, g, first, second, third);
                    }
                    OptimizerName::Adadelta => {
                        let step =
                            AdadeltaStep { rate: f(rate), rho: f(s.rho), epsilon: f(s.adadelta_epsilon), l2 };
                        T::adadelta_step(level, &step, p, g, first, second);
                    }
                    OptimizerName::Lion => {
                        let step = LionStep {
                            rate: f(rate),
                            beta1: f(s.beta1),
                            beta2: f(s.lion_beta2),
                            l2,
                            keep: f(1.0 - rate * decay),
                        };
                        T::lion_step(level, &step, p, g, first);
                    }
                    OptimizerName::ScheduleFreeAdamw => {
                        let step = ScheduleFreeStep {
                            rate: f(rate),
                            inv_root_correction: inv_root_correction(),
                            beta1: f(s.beta1),
                            beta2: f(s.beta2),
                            epsilon: f(s.epsilon),
                            l2,
                            decay: f(decay),
                            share: f(share),
                        };
                        T::schedule_free_step(level, &step, p, g, first, second, third);
                    }
                    OptimizerName::Muon => {
                        T::adam_step(level, &adam(rate * s.muon_fallback), p, g, first, second);
                    }
                }
                pull(p, [first, second, third]);
            });
        }
        self.masks.apply(level, params);
        for range in &self.latent {
            // Beyond 1 no gradient would pass, and the sign could not come back (Courbariaux, Bengio & David 2015).
            let one = T::ONE;
            params[range.clone()].iter_mut().for_each(|w| *w = w.at_least(-one).at_most(one));
        }
        self.constraints.apply(params);
    }

    /// Prunes: from now on these weights are zero, and so is all that is kept of them from step to step.
    pub(super) fn prune(&mut self, level: CpuLevel, masks: Masks, params: &mut [T]) {
        masks.apply(level, params);
        for state in self.state.iter_mut().filter(|state| !state.is_empty()) {
            masks.apply(level, state);
        }
        self.masks = masks;
    }

    /// The share of the weights of sparse layers that are pruned.
    pub(super) fn pruned_share(&self) -> f64 {
        self.masks.pruned_share()
    }

    /// Makes all numbers 0 whose weight is pruned, of gradients or of parameters.
    pub(super) fn mask(&self, level: CpuLevel, numbers: &mut [T]) {
        self.masks.apply(level, numbers);
    }

    /// Whether the weights to validate and keep are others than those that are trained; see
    /// [`Optimizer::write_weights_to_use`].
    pub fn keeps_other_weights(&self) -> bool {
        self.settings.name == OptimizerName::ScheduleFreeAdamw
    }

    /// Copies `params` to `to`, with the mean x of schedule_free_adamw in place of y where it is trained.
    ///
    /// Running statistics are those that training at y has left.
    pub fn write_weights_to_use(&self, params: &[T], to: &mut [T]) {
        to.copy_from_slice(params);
        if self.keeps_other_weights() && self.counts.steps > 0 {
            for run in &self.runs {
                to[run.range.clone()].copy_from_slice(&self.state[2][run.range.clone()]);
            }
        }
    }
}
