//! From typed columns to the matrix that a network reads: fitted on training rows, saved with the model.
//!
//! A column goes through the steps that [`crate::config::steps`] lists. Each family of steps has its file, what it fits
//! beside what it computes: `impute`, `neighbors`, `shape` (winsorising, logarithm, power), `scale`, `quantile`,
//! `category` and `target` (what is known of the target of a category), `date` (its parts). `target_scale` is that of the target itself.
//! `number` puts the steps of numbers one after another, `column` makes features of a column, and
//! `pipeline` the matrix of all columns; `options` says what the settings ask for.

pub mod bins;
pub mod category;
pub mod column;
pub mod date;
mod impute;
pub mod neighbors;
mod normal;
pub mod number;
mod older;
pub mod options;
pub mod pipeline;
pub mod quantile;
#[cfg(test)]
mod real_tables;
pub mod scale;
pub mod shape;
pub mod target;
pub mod target_scale;
#[cfg(test)]
mod tests;
