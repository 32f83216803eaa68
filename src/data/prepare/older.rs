//! Pipelines of model files up to format version 2, in which a column had one way and no steps.

use serde::Deserialize;

use super::bins::Bins;
use super::category::{Encoding, Levels};
use super::column::FittedColumn;
use super::number::NumberStep;
use super::scale::Scaler;

/// A column as it was saved then.
#[derive(Clone, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Encoder {
    Number {
        column: String,
        impute: f64,
        scaler: Scaler,
        indicator: bool,
        #[serde(default)]
        bins: Option<Bins>,
    },
    Date {
        column: String,
        impute: f64,
        scaler: Scaler,
        indicator: bool,
    },
    Category {
        column: String,
        levels: Vec<String>,
        missing: bool,
        #[serde(default)]
        coded: bool,
    },
}

impl From<Encoder> for FittedColumn {
    fn from(older: Encoder) -> Self {
        let steps = |with, scaler| vec![NumberStep::Impute { with }, NumberStep::Scale(scaler)];
        match older {
            Encoder::Number { column, impute, scaler, indicator, bins } => {
                Self::Number { column, steps: steps(impute, scaler), indicator, bins }
            }
            Encoder::Date { column, impute, scaler, indicator } => {
                Self::Date { column, steps: steps(impute, scaler), indicator }
            }
            Encoder::Category { column, levels, missing, coded } => Self::Category {
                column,
                levels: Levels { names: levels, missing, ..Levels::default() },
                indicator: false,
                encoding: if coded { Encoding::Code } else { Encoding::OneHot },
            },
        }
    }
}
