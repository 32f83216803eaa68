//! From a file to matrices: read, infer what the columns are, split, and prepare.
//!
//! The way is one: [`read::read_table`] gives the cells, [`schema::infer_schema`] what they mean,
//! [`table::Table`] and [`target::Labels`] the typed columns, [`split::Split`] the parts, and
//! [`prepare::pipeline::Pipeline`], fitted on the training part alone, the matrices.

pub mod cell;
pub mod cell_format;
mod contradictions;
mod infer;
pub mod prepare;
pub mod read;
pub mod schema;
pub mod split;
mod survey;
pub mod table;
pub mod target;
pub mod weight;
pub(crate) mod words;

#[cfg(test)]
mod tests;

pub use prepare::bins::Bins;
pub use prepare::column::{ColumnNotes, FittedColumn};
pub use prepare::options::PipelineOptions;
pub use prepare::pipeline::{Feature, FeatureKind, Known, Pipeline, TransformNotes};
pub use prepare::target::OutOfFold;
pub use prepare::target_scale::TargetScaler;
pub use read::{DrawnTable, RawTable, ReadOptions, Reading, TableReader, read_drawn, read_table};
pub use schema::{ColumnKind, ColumnSchema, Inference, Schema, Wanted, infer_schema};
pub use split::{GroupNumbers, Groups, Rule, Split, Times, TrainRows};
pub use table::{Column, ColumnData, Note, RowIdx, Table};
pub use target::{Labels, Target, TaskKind, infer_task};
pub use weight::read_weights;
pub(crate) use weight::unfit_number;
