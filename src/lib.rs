//! Statera trains, weighs and shows the weights of neural networks on tables.

pub mod ablate;
pub mod bag;
pub mod cache;
pub mod checked_file;
pub mod config;
pub mod data;
pub mod error;
pub mod files;
mod find_model;
pub mod inspect;
pub mod model;
mod model_check;
mod model_file;
pub mod nn;
pub mod predict;
pub mod profile;
pub mod random;
pub mod run;
mod stored;
mod svg;
pub mod train;
pub mod tune;
pub mod work;

pub use error::{Error, Result};
