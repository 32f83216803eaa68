//! One run: from a table to a tested model in a folder.

pub(crate) mod embedding;
pub mod execute;
pub mod folder;
mod objective;
pub mod plan;
mod reach;
mod refit;
pub mod report;
mod rows;
mod split;
mod weights;

pub use execute::{Trained, execute};
pub use folder::{Folder, RunFolder, Undo};
pub use plan::{Choice, Plan};
pub use report::Report;
