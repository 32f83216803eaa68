//! Optimisers: gradients in, changed parameters out.
//!
//! Each is one kernel over runs of the parameter vector; its equation and source stand in the kernel.

use std::ops::Range;

use statera_kernels::{AdamStep, CpuLevel, Scalar, SgdStep};

use crate::config::{OptimizerConfig, OptimizerName};
use crate::nn::View;

/// An optimiser with its state: up to two numbers a parameter.
#[derive(Debug)]
pub struct Optimizer<T> {
    settings: OptimizerConfig,
    /// Trainable runs of the parameter vector, and whether they decay.
    runs: Vec<(Range<usize>, bool)>,
    first: Vec<T>,
    second: Vec<T>,
    /// Steps made so far.
    steps: u32,
}

impl<T: Scalar> Optimizer<T> {
    /// An optimiser for the parameters that `views` describe.
    pub fn new(settings: &OptimizerConfig, views: &[View]) -> Self {
        let n_params = views.last().map_or(0, |v| v.range().end);
        let n_second = if settings.name == OptimizerName::Sgd { 0 } else { n_params };
        let mut runs: Vec<(Range<usize>, bool)> = Vec::new();
        for view in views.iter().filter(|v| v.trainable) {
            // Without decay all runs are alike, and neighbours become one.
            let decays = view.decays && (settings.weight_decay != 0.0 || settings.l2 != 0.0);
            match runs.last_mut() {
                Some((run, same)) if run.end == view.offset && *same == decays => run.end = view.range().end,
                _ => runs.push((view.range(), decays)),
            }
        }
        Self {
            settings: settings.clone(),
            runs,
            first: vec![T::ZERO; n_params],
            second: vec![T::ZERO; n_second],
            steps: 0,
        }
    }

    /// Changes `params` by one step along `grads` at the learning rate `rate`.
    ///
    /// `weight_decay` is that of `adamw` (decoupled, Loshchilov & Hutter 2019); `l2` adds the gradient of
    /// ½·l2·p² in any optimiser.
    pub fn step(&mut self, level: CpuLevel, rate: f64, params: &mut [T], grads: &[T]) {
        self.steps += 1;
        let s = &self.settings;
        let f = T::from_f64;
        for (run, decays) in &self.runs {
            let l2 = f(if *decays { s.l2 } else { 0.0 });
            let (p, g) = (&mut params[run.clone()], &grads[run.clone()]);
            let first = &mut self.first[run.clone()];
            match s.name {
                OptimizerName::Sgd => {
                    let step = SgdStep {
                        rate: f(rate),
                        momentum: f(s.momentum),
                        nesterov: s.nesterov,
                        l2,
                        keep: T::ONE,
                    };
                    T::sgd_step(level, &step, p, g, first);
                }
                OptimizerName::Adam | OptimizerName::Adamw => {
                    let decay = if *decays && s.name == OptimizerName::Adamw { s.weight_decay } else { 0.0 };
                    let t = f64::from(self.steps);
                    let step = AdamStep {
                        rate: f(rate / (1.0 - s.beta1.powf(t))),
                        inv_root_correction: f(1.0 / (1.0 - s.beta2.powf(t)).sqrt()),
                        beta1: f(s.beta1),
                        beta2: f(s.beta2),
                        epsilon: f(s.epsilon),
                        l2,
                        keep: f(1.0 - rate * decay),
                    };
                    T::adam_step(level, &step, p, g, first, &mut self.second[run.clone()]);
                }
            }
        }
    }
}
