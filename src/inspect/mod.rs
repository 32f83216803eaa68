//! Looking at weights, and at what they make of a table, before training and after: pure functions on slices, and the
//! reports that are made of them.

pub mod figure;
pub mod kinds;
pub mod rate_curve;
pub mod start;
pub mod twin;
pub mod units;
pub mod weights;
