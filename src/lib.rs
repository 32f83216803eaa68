//! Statera trains, weighs and shows the weights of neural networks on tables.

pub mod ablate;
pub mod checked_file;
pub mod config;
pub mod data;
pub mod error;
pub mod files;
mod find_model;
pub mod inspect;
pub mod model;
pub mod nn;
pub mod profile;
pub mod random;
pub mod run;
mod stored;
mod svg;
pub mod train;
pub mod tune;

pub use error::{Error, Result};
