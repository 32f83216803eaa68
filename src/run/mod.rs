//! One run: from a table to a tested model in a folder.

pub mod budget;
mod by_training;
pub mod checkpoints;
mod choice;
pub mod cross_validation;
pub(crate) mod embedding;
pub mod execute;
pub mod folder;
pub mod folds;
mod memory;
mod objective;
pub mod plan;
mod preparation;
mod reach;
pub(crate) mod refit;
pub mod report;
pub(crate) mod resample;
pub mod resume;
mod rows;
pub mod saved_models;
mod split;
pub mod streamed;
pub mod streamed_run;
mod weights;

pub use choice::{Choice, Overview};
pub use execute::{Trained, execute, execute_saved};
pub use folder::{Folder, RunFolder, Undo};
pub use folds::Folds;
pub use plan::Plan;
pub use report::Report;
pub use streamed::StreamedPlan;
