//! Training: steps, optimisers, the fit loop, what it tells, and how the result is judged.

pub mod astray;
mod augment;
pub mod average;
pub mod awake;
pub mod baselines;
pub mod bootstrap;
pub mod callbacks;
pub mod checkpoint;
mod constraint;
pub mod curriculum;
pub mod events;
pub mod fit;
pub mod full_batch;
pub mod lbfgs;
pub mod metrics;
mod muon;
mod noise;
pub mod optimizer;
mod proximal;
mod prune;
pub mod range_test;
pub mod resample;
pub mod row_file;
pub mod rows;
pub mod schedule;
pub mod source;
pub mod start;
mod state;
pub mod step;
mod watch;

pub(crate) use watch::LOG_LOSS;
pub mod windows;
