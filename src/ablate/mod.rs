//! What each technique is worth on one table: the settings as they are, against the same with one thing changed.
//!
//! Seed s gives split s to the reference and to every variant, so that differences are taken pair by pair, on
//! the same validation rows. Test rows are never looked at: what is chosen here can still be tested honestly.

mod forest;
mod paired;
mod report;
mod techniques;
mod trial;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use paired::{Paired, student_quantile};
pub use report::{Effect, Findings, Group, Verdict};
pub use techniques::{TECHNIQUES, Technique, items};
pub(crate) use trial::{Judged, Ready, guarded, validated};
pub use trial::{State, Trial};

use crate::config::Config;
use crate::data::{RawTable, ReadOptions};
use crate::error::{Error, Result};
use crate::run::{Plan, budget};

/// One way to train that is held against the reference.
#[derive(Debug, Clone)]
pub struct Variant {
    /// In plain words; `reference` for the settings as they are.
    pub name: String,
    /// What is changed: keys and values, as they stand behind `--set`.
    pub settings: Vec<(String, String)>,
    /// All settings but the seed.
    pub config: Config,
}

/// A study that is ready to run.
#[derive(Debug)]
pub struct Study {
    /// The reference with the first seed.
    pub plan: Plan,
    /// The reference, then every variant.
    pub variants: Vec<Variant>,
    /// The seeds; each gives its split to all.
    pub seeds: Vec<u64>,
    /// The table, once for every list of words that stand for missing cells.
    tables: Vec<(ReadOptions, Arc<RawTable>)>,
}

/// The name of the settings as they are.
pub const REFERENCE: &str = "reference";

/// The most seeds of a study: intervals shrink with the root of their number.
const MOST_SEEDS: usize = 10_000;

impl Study {
    /// Reads the table, and lists the variants: the techniques of [`TECHNIQUES`] that change something here, or,
    /// if there are any, the values that `vary` names, each as `key=value,value`.
    ///
    /// Of the list, only those with one of the words of `only` in their name or settings, if there are any words. The
    /// first seed is that of `config`.
    pub fn new(config: &Config, vary: &[String], only: &[String], n_seeds: usize) -> Result<Self> {
        if n_seeds < 2 {
            return Err(Error::setting(
                format!(
                    "{n_seeds} seed{} no spread, and without one there is no interval",
                    if n_seeds == 1 { " shows" } else { "s show" }
                ),
                "--seeds 5, or any number from 2 on",
            ));
        }
        if n_seeds > MOST_SEEDS {
            return Err(Error::setting(
                format!(
                    "{n_seeds} seeds are more than {MOST_SEEDS}, of which each trains every variant once"
                ),
                "--seeds 5",
            ));
        }
        let last = config.seed.checked_add(n_seeds as u64 - 1).filter(|last| i64::try_from(*last).is_ok());
        let Some(last) = last else {
            return Err(Error::setting(
                format!("{n_seeds} seeds from {} on go beyond the largest seed, {}", config.seed, i64::MAX),
                "--seed 0",
            ));
        };
        let seeds = (config.seed..=last).collect();
        // Keys are looked at before the table is read, which may take long.
        let varied = techniques::varied(config, vary)?;
        let plan = Plan::new(config.clone())?;
        let tables = vec![(ReadOptions::of(&config.data), Arc::clone(&plan.raw))];
        let reference = Variant { name: REFERENCE.into(), settings: Vec::new(), config: config.clone() };
        let mut study = Self { plan, variants: vec![reference], seeds, tables };
        if vary.is_empty() {
            let changed = techniques::listed(config, only, &study.plan)?;
            study.variants.extend(changed);
        } else {
            for variant in varied {
                study.add(variant)?;
            }
        }
        Ok(study)
    }

    /// Adds a variant; refuses one that no seed could train, or that would be judged on other rows.
    pub fn add(&mut self, variant: Variant) -> Result<()> {
        let named = |error| match error {
            Error::Setting(problem) => {
                Error::setting(format!("{}: {}", variant.name, problem.what), problem.remedy)
            }
            other => other,
        };
        if same_data(&variant.config, &self.variants[0].config) {
            self.plan.with_learner(variant.config.clone()).map_err(named)?;
        } else {
            let raw = self.table(&variant.config)?;
            let plan = Plan::of(variant.config.clone(), raw).map_err(named)?;
            if plan.split.val != self.plan.split.val || plan.target.task != self.plan.target.task {
                return Err(Error::setting(
                    format!("{}: it would be judged on other rows than the reference", variant.name),
                    "vary settings that leave the rows and their targets as they are",
                ));
            }
        }
        self.variants.push(variant);
        Ok(())
    }

    /// Trains every variant with every seed, `threads` models at a time (0: one a core), each on one thread.
    ///
    /// Tells every trial that has ended, in the order of their ends; `stop` ends the study at the next step of
    /// training, with the trials that are complete. What is found does not depend on the number of threads.
    pub fn run(&self, threads: usize, stop: &AtomicBool, tell: &mut dyn FnMut(&Trial)) -> Result<Findings> {
        let trials = trial::run_all(self, threads, stop, tell)?;
        Ok(Findings::new(self, trials))
    }

    /// How many trials there are.
    pub fn n_trials(&self) -> usize {
        self.variants.len() * self.seeds.len()
    }

    /// The table as these settings read it.
    fn table(&mut self, config: &Config) -> Result<Arc<RawTable>> {
        let options = ReadOptions::of(&config.data);
        if let Some((_, raw)) = self.tables.iter().find(|(read, _)| *read == options) {
            return Ok(Arc::clone(raw));
        }
        let raw = Arc::new(budget::read_whole(config)?);
        self.tables.push((options, Arc::clone(&raw)));
        Ok(raw)
    }
}

/// Whether two settings come to the same prepared rows, given the same seed.
pub(crate) fn same_data(a: &Config, b: &Config) -> bool {
    a.data == b.data
        && a.prepare == b.prepare
        && a.embedding == b.embedding
        && a.split == b.split
        && a.task == b.task
        && a.imbalance == b.imbalance
        && a.loss.class_weights == b.loss.class_weights
        && a.network.precision == b.network.precision
}
