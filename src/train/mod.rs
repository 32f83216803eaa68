//! Training: steps, optimisers, the fit loop, what it tells, and how the result is judged.

pub mod average;
pub mod baselines;
pub mod bootstrap;
pub mod callbacks;
pub mod events;
pub mod fit;
pub mod lbfgs;
pub mod metrics;
mod muon;
pub mod optimizer;
pub mod range_test;
pub mod schedule;
pub mod start;
pub mod step;
