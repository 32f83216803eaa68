//! The vectorised arithmetic under Statera.
//!
//! This crate holds all the unsafe code and all the SIMD. It does no I/O and never allocates.

pub mod random;
