//! Looking at weights, and at what they would make of a table before training: pure functions on slices, and
//! the reports that are made of them.

pub mod kinds;
pub mod rate_curve;
pub mod start;
pub mod twin;
pub mod weights;
