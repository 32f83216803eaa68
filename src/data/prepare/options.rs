//! How columns are to be prepared: what the settings come to, and whether it fits the columns that there are.

use std::collections::BTreeMap;

use super::super::table::{ColumnData, Table};
use super::super::words::{column_setting, instead, shown};
use crate::config::steps::lacks_encoding;
use crate::config::{Config, DatePart, EmbeddingConfig, Encode, NumericEmbedding, StepSpec};
use crate::{Error, Result};

/// How columns are to be prepared, every list of steps written out.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineOptions {
    /// The steps of number columns, and of the days of date columns.
    pub numbers: Vec<StepSpec>,
    /// The steps of category columns.
    pub categories: Vec<StepSpec>,
    /// What date columns become inputs of.
    pub dates: Vec<DatePart>,
    /// The columns that have steps of their own, and the name of the setting that asks for them.
    pub columns: BTreeMap<String, (&'static str, Vec<StepSpec>)>,
    /// Which columns are prepared for an embedding by the place of numbers among bins.
    pub embedding: EmbeddingConfig,
    /// The columns that enter the network in a way of their own.
    pub encode: BTreeMap<String, Encode>,
    /// The seed of folds and drawn neighbours.
    pub seed: u64,
}

impl PipelineOptions {
    /// What the settings ask for.
    pub fn of(config: &Config) -> Self {
        let columns = &config.data.columns;
        let steps = |(name, column)| Some((String::clone(name), config.steps_of_column(column)?));
        Self {
            numbers: config.steps_of_numbers(),
            categories: config.steps_of_categories(),
            dates: config.prepare.dates.clone(),
            columns: columns.iter().filter_map(steps).collect(),
            embedding: config.embedding.clone(),
            encode: columns.iter().filter_map(|(name, c)| Some((name.clone(), c.encode?))).collect(),
            seed: config.seed,
        }
    }

    /// The steps of a column, and whether they were asked for it alone.
    pub(super) fn steps_of(&self, name: &str, is_category: bool) -> (&[StepSpec], bool) {
        match self.columns.get(name) {
            // A category that is not to be scaled is as it would be.
            Some((setting, steps)) if !is_category || *setting != "scale" => (steps, true),
            _ if is_category => (&self.categories, false),
            _ => (&self.numbers, false),
        }
    }

    /// How a number column enters the network.
    pub(super) fn embedding_of(&self, name: &str) -> NumericEmbedding {
        self.embedding.of_number(self.encode.get(name).copied())
    }

    /// Refuses what is set for columns that are not there, or that are of another kind.
    pub(crate) fn check(&self, table: &Table) -> Result<()> {
        for (name, (setting, steps)) in &self.columns {
            check_steps(table, name, setting, steps)?;
        }
        self.encode.iter().try_for_each(|(name, encode)| check_encoded(table, name, *encode))
    }

    /// How a message names the steps of a column.
    pub(super) fn place_of(&self, name: &str) -> String {
        match self.columns.get(name) {
            Some((setting, _)) => format!("data.columns.{name}.{setting}"),
            None => format!("column {}", shown(name)),
        }
    }
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self::of(&Config::default())
    }
}

/// Whether a column named in the settings can go through these steps.
fn check_steps(table: &Table, name: &str, setting: &str, steps: &[StepSpec]) -> Result<()> {
    let place = format!("data.columns.{name}.{setting}");
    let encodes = steps.iter().find(|step| step.encodes());
    match (table.column(name).map(|column| &column.data), encodes) {
        (Some(ColumnData::Number(_) | ColumnData::Date(_)), None)
        | (Some(ColumnData::Category { .. }), Some(_)) => Ok(()),
        // `encode` has words of its own for what does not fit.
        (Some(_), _) if setting == "encode" => Ok(()),
        // To leave alone what cannot be scaled asks for nothing.
        (Some(_), None) if setting == "scale" && steps.len() == 1 => Ok(()),
        (Some(ColumnData::Number(_) | ColumnData::Date(_)), Some(step)) => Err(Error::setting(
            format!("{place}: column {} is no category, which {} encodes", shown(name), step.name()),
            format!(
                "steps of numbers, as [\"standard\"], or --set {}",
                column_setting(name, "kind", "category")
            ),
        )),
        (Some(ColumnData::Category { .. }), None) if setting == "steps" && !steps.is_empty() => {
            Err(lacks_encoding(&place, &steps[0]))
        }
        (Some(ColumnData::Category { .. }), None) => Err(Error::setting(
            format!("{place}: column {} is a category, which is not scaled", shown(name)),
            format!("leave the setting out, or --set {}", column_setting(name, "kind", "number")),
        )),
        (Some(ColumnData::Dropped), _) => Err(Error::setting(
            format!("{place}: column {} is dropped, hence not scaled", shown(name)),
            "leave the setting out",
        )),
        (None, _) => Err(Error::setting(
            format!("{place}: there is no input column {}", shown(name)),
            instead(name, table.columns().iter().map(|column| column.name.as_str())),
        )),
    }
}

/// Whether a column named in the settings is one that can be encoded so.
fn check_encoded(table: &Table, name: &str, encode: Encode) -> Result<()> {
    let is_of_category = StepSpec::of_encode(encode, 0).is_some();
    let (what, others) = match table.column(name).map(|column| &column.data) {
        Some(ColumnData::Number(_)) if !is_of_category => return Ok(()),
        Some(ColumnData::Category { .. }) if is_of_category => return Ok(()),
        Some(ColumnData::Number(_)) => ("a number", "none, plr, pbld or ple"),
        Some(ColumnData::Category { .. }) => {
            ("a category", "one_hot, embedding, target, ordinal, count or hashing")
        }
        Some(ColumnData::Date(_)) => ("a date, which has no embedding", ""),
        Some(ColumnData::Dropped) => ("dropped", ""),
        None => {
            return Err(Error::setting(
                format!("data.columns.{name}.encode: there is no input column {}", shown(name)),
                instead(name, table.columns().iter().map(|column| column.name.as_str())),
            ));
        }
    };
    Err(Error::setting(
        format!("data.columns.{name}.encode is {encode}; column {} is {what}", shown(name)),
        match (others, is_of_category) {
            ("", _) => "leave the setting out".to_owned(),
            (_, true) => format!("{others}, or --set {}", column_setting(name, "kind", "category")),
            (_, false) => format!("{others}, or --set {}", column_setting(name, "kind", "number")),
        },
    ))
}
