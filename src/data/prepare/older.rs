//! Pipelines of earlier model files: up to format version 2 a column had one way and no steps, up to 4 a date had no
//! parts to choose from.

use serde::Deserialize;

use super::bins::Bins;
use super::category::{Encoding, Levels};
use super::column::FittedColumn;
use super::date::{FittedDate, FittedPart};
use super::number::NumberStep;
use super::scale::Scaler;
use crate::config::DatePart;

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

/// A column of dates as it is saved, and as it was before there were parts: with the steps of its days.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Date {
    column: String,
    parts: Option<Vec<FittedPart>>,
    #[serde(default)]
    steps: Vec<NumberStep>,
    indicator: bool,
}

impl From<Date> for FittedDate {
    fn from(saved: Date) -> Self {
        let Date { column, parts, steps, indicator } = saved;
        let parts = parts.unwrap_or_else(|| {
            let cycle = |part| FittedPart { part, steps: Vec::new() };
            vec![
                FittedPart { part: DatePart::Days, steps },
                cycle(DatePart::MonthCycle),
                cycle(DatePart::WeekdayCycle),
            ]
        });
        Self { column, parts, indicator }
    }
}

impl From<Encoder> for FittedColumn {
    fn from(older: Encoder) -> Self {
        let steps = |with, scaler| vec![NumberStep::Impute { with }, NumberStep::Scale(scaler)];
        match older {
            Encoder::Number { column, impute, scaler, indicator, bins } => {
                Self::Number { column, steps: steps(impute, scaler), indicator, bins }
            }
            Encoder::Date { column, impute, scaler, indicator } => {
                Self::Date(Date { column, parts: None, steps: steps(impute, scaler), indicator }.into())
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
