//! L-BFGS on a network: every evaluation takes all training rows, and a line search finds the length of each step.

use statera_kernels::Scalar;

use super::fit::Rows;
use super::lbfgs::{Lbfgs, Settings};
use super::step::Stepper;
use crate::config::{Config, OptimizerConfig, OptimizerName};
use crate::data::words::thousands;
use crate::error::{Error, Result};
use crate::nn::{Network, View};

/// A minimisation of a network's loss over all training rows, with its memory: 2·m + 7 numbers in double precision for
/// each parameter, m being `optimizer.lbfgs_memory`.
#[derive(Debug)]
pub struct FullBatch<T> {
    pub(super) solver: Lbfgs,
    /// The parameters of an evaluation, in the precision of training.
    params: Vec<T>,
    iterations: usize,
    l2: f64,
}

/// What an epoch of iterations came to.
#[derive(Debug, Clone, PartialEq)]
pub struct FullBatchEpoch {
    /// The mean loss of the rows where it ended, without the penalty; not finite if the first evaluation was not.
    pub loss: f64,
    /// The largest absolute component of the gradient there, penalty included.
    pub gradient_norm: f64,
    /// How often all rows were gone through.
    pub evaluations: usize,
    /// The length of the last step, as a multiple of its direction.
    pub step: f64,
    /// Why there is nothing more to be done, if that is so.
    pub ended: Option<String>,
}

impl<T: Scalar> FullBatch<T> {
    /// A minimisation that begins at `params`.
    pub fn new(settings: &OptimizerConfig, params: &[T]) -> Self {
        let x = params.iter().map(|p| p.to_f64()).collect();
        let lbfgs = Settings {
            memory: settings.lbfgs_memory,
            gradient_tolerance: settings.lbfgs_tolerance,
            rounding: if size_of::<T>() == 8 { f64::EPSILON } else { f64::from(f32::EPSILON) },
        };
        Self {
            solver: Lbfgs::new(x, lbfgs),
            params: params.to_vec(),
            iterations: settings.lbfgs_iterations,
            l2: settings.l2,
        }
    }

    /// `optimizer.lbfgs_iterations` more iterations over `rows`, the same every time; leaves the parameters that they
    /// came to in `params`.
    ///
    /// The function is the mean loss plus ½·l2·w² of every weight; what is not trained stays. Rows are cut into
    /// shards as in any step, so that the bits do not depend on the number of threads.
    pub fn epoch(
        &mut self,
        stepper: &mut Stepper<T>,
        network: &Network,
        rows: &Rows<T>,
        params: &mut [T],
    ) -> FullBatchEpoch {
        let Self { solver, params: at, iterations, l2 } = self;
        let mut evaluations = 0;
        let outcome = solver.run(*iterations, |x, gradient| {
            evaluations += 1;
            at.iter_mut().zip(x).for_each(|(to, x)| *to = T::from_f64(*x));
            let (loss, grads) = stepper.gradient(0, at, &rows.x, rows.targets.view());
            for view in network.views() {
                let (l2, range) = (l2_of(view, *l2), view.range());
                let to = gradient[range.clone()].iter_mut().zip(&grads[range.clone()]).zip(&x[range]);
                // What is not trained has no say, and does not move.
                let share = f64::from(u8::from(view.trainable));
                to.for_each(|((to, g), x)| *to = share * (g.to_f64() + l2 * x));
            }
            loss + penalty(network, *l2, x)
        });
        params.iter_mut().zip(solver.x()).for_each(|(to, x)| *to = T::from_f64(*x));
        let norm = outcome.gradient_norm;
        let ended = if outcome.converged {
            Some(format!("lbfgs has converged: no component of the gradient is larger than {norm:.1e}"))
        } else if outcome.stuck {
            Some(format!(
                "lbfgs finds no step that lowers the loss any further, with a gradient of {norm:.1e}"
            ))
        } else {
            None
        };
        FullBatchEpoch {
            loss: outcome.value - penalty(network, *l2, solver.x()),
            gradient_norm: norm,
            evaluations,
            step: solver.step(),
            ended,
        }
    }
}

/// λ of the penalty ½·λ·w² on a tensor: its layer's own, or else that of the settings.
fn l2_of(view: &View, l2: f64) -> f64 {
    if view.decays { view.dense.and_then(|rules| rules.l2).unwrap_or(l2) } else { 0.0 }
}

/// Σ ½·λ·w² over all weights.
fn penalty(network: &Network, l2: f64, x: &[f64]) -> f64 {
    let of = |view: &View| match l2_of(view, l2) {
        0.0 => 0.0,
        l2 => 0.5 * l2 * x[view.range()].iter().map(|w| w * w).sum::<f64>(),
    };
    network.views().iter().map(of).sum()
}

/// The most memory that a minimisation may take beside that of a step.
const MOST_BYTES: usize = 2 << 30;

/// Refuses a network whose parameters would make a minimisation remember more than 2 GiB.
///
/// The number of rows takes no memory: they go through the network shard by shard, one for each thread at a time.
pub fn check_memory(config: &Config, network: &Network) -> Result<()> {
    let (memory, n_params) = (config.optimizer.lbfgs_memory, network.n_params());
    let needed = (2 * memory + 7).saturating_mul(8).saturating_mul(n_params);
    if config.optimizer.name != OptimizerName::Lbfgs || needed <= MOST_BYTES {
        return Ok(());
    }
    let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
    Err(Error::setting(
        format!(
            "`optimizer.name` = \"lbfgs\" with `optimizer.lbfgs_memory` = {memory} would remember {:.1} GiB for {} \
             parameters; it is for small networks, and takes {:.0} GiB at most",
            gib(needed),
            thousands(n_params),
            gib(MOST_BYTES)
        ),
        "--set optimizer.name=adamw, or a smaller network, or a smaller optimizer.lbfgs_memory",
    ))
}
