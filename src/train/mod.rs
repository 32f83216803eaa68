//! Training: steps, optimisers, the fit loop, what it tells, and how the result is judged.

pub mod baselines;
pub mod bootstrap;
pub mod callbacks;
pub mod events;
pub mod fit;
pub mod lbfgs;
pub mod metrics;
pub mod optimizer;
pub mod step;
