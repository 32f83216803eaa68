//! Training: steps, optimisers, the fit loop, what it tells, and how the result is judged.

pub mod optimizer;
pub mod step;
