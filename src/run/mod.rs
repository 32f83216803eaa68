//! One run: from a table to a tested model in a folder.

mod choice;
pub(crate) mod embedding;
pub mod execute;
pub mod folder;
pub mod memory;
mod objective;
pub mod plan;
mod reach;
mod refit;
pub mod report;
mod rows;
mod split;
pub mod streamed;
pub mod streamed_run;
mod weights;

pub use choice::{Choice, Overview};
pub use execute::{Trained, execute};
pub use folder::{Folder, RunFolder, Undo};
pub use plan::Plan;
pub use report::Report;
pub use streamed::StreamedPlan;
