//! Tuning: which settings of a space are best on the validation rows of one table.
//!
//! A study is a folder with a SQLite file. Trials are judged on validation rows alone; what was chosen is tested once.

mod beside;
mod combinations;
mod entries;
#[cfg(test)]
mod example;
mod importance;
mod last_trials;
mod prune;
mod record;
mod report;
mod run;
pub mod sample;
mod state_writer;
mod study;
mod tpe;
mod under_way;
mod untuned;
mod worker;

pub use beside::Beside;
pub use combinations::combinations;
pub use importance::importances;
pub use prune::Pruner;
pub use record::{FILE, Header, Outcome, RESULT, State, TableOf, Trial, View, counts};
pub use report::{Chosen, LastStep, Spread, Tested, Wish, choose};
pub use run::{Sampler, Told, Tuning};
pub use study::{Claim, EpochFigures, Next, Over, Store};
pub use untuned::{Untuned, UntunedOutcome};
pub use worker::LastTurn;
