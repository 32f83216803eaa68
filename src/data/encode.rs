//! How one column becomes features: fitted on training rows, then bound to a table and filled in.

use std::collections::HashMap;
use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

use super::bins::Bins;
use super::cell::month_and_weekday;
use super::pipeline::{FeatureKind, PipelineOptions};
use super::scale::{Scale, Scaler};
use super::split::TrainRows;
use super::table::{Column, ColumnData, MISSING};
use super::words::{column_setting, shown};
use crate::config::{CategoryEncoding, NumericEmbedding};
use crate::{Error, Result};

/// How many unseen categories of a column are shown to the user.
const EXAMPLES: usize = 3;

/// The most levels of an embedded category that a model without embeddings takes one-hot: a table of many rows would
/// not fit the memory, which may be why the column is embedded.
pub const MOST_PLAIN_LEVELS: usize = 256;

/// How one column of a table becomes features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Encoder {
    /// A scaled number, and whether it was missing.
    Number {
        /// The column.
        column: String,
        /// What stands in for missing cells, before scaling.
        impute: f64,
        /// How the number is scaled.
        scaler: Scaler,
        /// Whether a second feature says where cells are missing.
        indicator: bool,
        /// Bins of the scaled number, whose place among their edges takes its place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bins: Option<Bins>,
    },
    /// Scaled days, month and weekday as points on a circle, and whether it was missing.
    ///
    /// A missing date stands at the centre of both circles.
    Date {
        /// The column.
        column: String,
        /// What stands in for missing days, before scaling.
        impute: f64,
        /// How the days are scaled.
        scaler: Scaler,
        /// Whether a last feature says where cells are missing.
        indicator: bool,
    },
    /// One feature for each level of the training rows, 1 where the cell is of it; all 0 for others. Or the level's
    /// code alone, as one feature; the number of levels for others.
    Category {
        /// The column.
        column: String,
        /// The levels, sorted by their bytes.
        levels: Vec<String>,
        /// Whether missing is a level too, the last; else a missing cell is as one of an unseen level.
        missing: bool,
        /// Whether the code is the only feature.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        coded: bool,
    },
}

impl Encoder {
    /// The column of the table that this encodes.
    pub fn column(&self) -> &str {
        match self {
            Self::Number { column, .. } | Self::Date { column, .. } | Self::Category { column, .. } => column,
        }
    }

    /// How many levels a category has, missing among them where it is one.
    pub fn n_levels(&self) -> Option<usize> {
        match self {
            Self::Category { levels, missing, .. } => Some(levels.len() + usize::from(*missing)),
            Self::Number { .. } | Self::Date { .. } => None,
        }
    }

    /// The same without what an embedding asks for: numbers as they are, categories one-hot; nothing for a code of
    /// more than [`MOST_PLAIN_LEVELS`].
    pub(super) fn plain(&self) -> Option<Self> {
        let mut plain = self.clone();
        match &mut plain {
            Self::Number { bins, .. } => *bins = None,
            Self::Category { coded, .. } => {
                if self.is_too_wide() {
                    return None;
                }
                *coded = false;
            }
            Self::Date { .. } => {}
        }
        Some(plain)
    }

    /// Whether this is a code of so many levels that a model without embeddings goes without it.
    pub fn is_too_wide(&self) -> bool {
        matches!(self, Self::Category { coded: true, .. }) && self.n_levels() > Some(MOST_PLAIN_LEVELS)
    }

    /// The name of each feature, and what it holds.
    pub(super) fn features(&self) -> Vec<(String, FeatureKind)> {
        let first = match self {
            Self::Number { bins: None, .. } => FeatureKind::Number,
            Self::Number { bins: Some(bins), .. } => FeatureKind::Position { n_bins: bins.len() },
            Self::Category { column, levels, missing, coded: true } => {
                let n_levels = levels.len() + usize::from(*missing);
                return vec![(column.clone(), FeatureKind::Code { n_levels })];
            }
            Self::Date { .. } | Self::Category { .. } => FeatureKind::Part,
        };
        let kinds = std::iter::once(first).chain(std::iter::repeat(FeatureKind::Part));
        self.feature_names().into_iter().zip(kinds).collect()
    }

    fn feature_names(&self) -> Vec<String> {
        let column = self.column();
        let mut names = match self {
            Self::Number { .. } => vec![column.to_owned()],
            Self::Date { .. } => ["days", "month_sin", "month_cos", "weekday_sin", "weekday_cos"]
                .map(|part| format!("{column}.{part}"))
                .to_vec(),
            Self::Category { levels, .. } => levels.iter().map(|level| format!("{column}={level}")).collect(),
        };
        let (Self::Number { indicator: missing, .. }
        | Self::Date { indicator: missing, .. }
        | Self::Category { missing, .. }) = self;
        if *missing {
            names.push(format!("{column}=missing"));
        }
        names
    }

    /// Fits the encoder of one column; nothing for a column that is dropped.
    pub(super) fn fit(column: &Column, train: &TrainRows, options: &PipelineOptions) -> Result<Option<Self>> {
        let name = column.name.clone();
        let scale = options.per_column.get(&name).copied();
        let set = options.encode.get(&name).copied();
        Ok(Some(match &column.data {
            ColumnData::Number(numbers) => {
                let (impute, scaler, indicator) = fit_numbers(&name, numbers, train, scale, options)?;
                let bins = (options.embedding.of_number(set) == NumericEmbedding::Ple).then(|| {
                    // The bins see what the network will: imputed cells, too.
                    let present = |number: f64| if number.is_nan() { impute } else { number };
                    let scaled = train.rows().iter().map(|&row| scaler.transform(present(numbers[row])));
                    Bins::fit(&mut scaled.collect::<Vec<_>>(), options.embedding.n_bins)
                });
                if bins.as_ref().is_some_and(|bins| !bins.are_sound()) {
                    return Err(too_large(&name));
                }
                Self::Number { column: name, impute, scaler, indicator, bins }
            }
            ColumnData::Date(days) => {
                let (impute, scaler, indicator) = fit_numbers(&name, days, train, scale, options)?;
                Self::Date { column: name, impute, scaler, indicator }
            }
            ColumnData::Category { codes, levels } => {
                let mut seen = vec![false; levels.len()];
                let mut missing = false;
                for &row in train.rows() {
                    match seen.get_mut(codes[row] as usize) {
                        Some(seen) => *seen = true,
                        None => missing = true,
                    }
                }
                let seen = levels.iter().zip(seen).filter(|(_, seen)| *seen).map(|(level, _)| level.clone());
                let levels: Vec<String> = seen.collect();
                let n_levels = levels.len() + usize::from(missing);
                // A column without any level has nothing to look up.
                let coded = n_levels > 0
                    && options.embedding.of_category(n_levels, set) == CategoryEncoding::Embedding;
                Self::Category { column: name, levels, missing, coded }
            }
            ColumnData::Dropped => return Ok(None),
        }))
    }

    /// What would keep [`Pipeline::transform`] from computing with this encoder.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Number { bins: Some(bins), .. } if !bins.are_sound() => {
                Some("the edges of its bins are not finite and rising")
            }
            Self::Category { levels, missing: false, coded: true, .. } if levels.is_empty() => {
                Some("codes of no levels")
            }
            Self::Number { impute, scaler, .. } | Self::Date { impute, scaler, .. } => {
                if !impute.is_finite() {
                    Some("what stands in for missing cells is not finite")
                } else if !scaler.is_sound() {
                    Some("the scale is not a finite number above 0")
                } else {
                    None
                }
            }
            Self::Category { levels, .. } => (!levels.is_sorted_by(|a, b| a < b))
                .then_some("the levels are not sorted, or one of them stands there twice"),
        }
    }
}

/// Fits imputation and scaling to the training cells: what stands in, the scaler, and whether to
/// mark missing cells.
fn fit_numbers(
    name: &str,
    numbers: &[f64],
    train: &TrainRows,
    scale: Option<Scale>,
    options: &PipelineOptions,
) -> Result<(f64, Scaler, bool)> {
    let mut values: Vec<f64> =
        train.rows().iter().map(|&row| numbers[row]).filter(|number| !number.is_nan()).collect();
    let n_missing = train.rows().len() - values.len();
    let impute = options.impute.fit(&mut values);
    // As in scikit-learn's pipelines, the scaler sees the numbers that stand in for missing ones.
    values.resize(train.rows().len(), impute);
    let scaler = Scaler::fit(scale.unwrap_or(options.scale), &mut values);
    if !impute.is_finite() || !scaler.is_sound() {
        return Err(too_large(name));
    }
    Ok((impute, scaler, options.indicators && n_missing > 0))
}

fn too_large(name: &str) -> Error {
    Error::data(
        format!("column {}: its numbers are too large to be added up", shown(name)),
        format!("divide them by a power of ten, or --set {}", column_setting(name, "kind", "category")),
    )
}

/// What one column holds that the training rows did not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ColumnNotes {
    /// The column.
    pub column: String,
    /// How many cells are missing.
    pub missing: usize,
    /// How many cells hold a category that no training row has.
    pub unseen: usize,
    /// Up to three such categories, in the order of the rows.
    pub examples: Vec<String>,
}

/// An encoder together with the column that it reads and the place of its features.
pub(super) struct Bound<'a> {
    cells: Cells<'a>,
    /// The first of its features.
    at: usize,
    /// What it has met in the rows that it has filled.
    pub(super) notes: ColumnNotes,
}

/// The cells of a column, and what is to be made of them.
enum Cells<'a> {
    Numbers {
        numbers: &'a [f64],
        impute: f64,
        scaler: &'a Scaler,
        indicator: bool,
        bins: Option<&'a Bins>,
    },
    Days {
        days: &'a [f64],
        impute: f64,
        scaler: &'a Scaler,
        indicator: bool,
    },
    Codes {
        codes: &'a [u32],
        levels: &'a [String],
        /// The place of each level of the table among those of the training rows.
        places: Vec<Option<usize>>,
        /// That of missing.
        missing: Option<usize>,
        /// Where the code of the place is the only feature: the code that stands for none.
        unseen: Option<usize>,
    },
}

impl<'a> Bound<'a> {
    pub(super) fn new(
        encoder: &'a Encoder,
        columns: &HashMap<&'a str, &'a Column>,
        at: usize,
    ) -> Result<Self> {
        let name = encoder.column();
        let column = columns.get(name).ok_or_else(|| {
            Error::model(
                format!("the table lacks column {} that the model needs", shown(name)),
                "read the table with the schema of the model",
            )
        })?;
        let cells = match (encoder, &column.data) {
            (Encoder::Number { impute, scaler, indicator, bins, .. }, ColumnData::Number(numbers)) => {
                let bins = bins.as_ref();
                Cells::Numbers { numbers, impute: *impute, scaler, indicator: *indicator, bins }
            }
            (Encoder::Date { impute, scaler, indicator, .. }, ColumnData::Date(days)) => {
                Cells::Days { days, impute: *impute, scaler, indicator: *indicator }
            }
            (
                Encoder::Category { levels: fitted, missing, coded, .. },
                ColumnData::Category { codes, levels },
            ) => Cells::Codes {
                codes,
                levels,
                places: levels.iter().map(|level| fitted.binary_search(level).ok()).collect(),
                missing: missing.then_some(fitted.len()),
                unseen: coded.then_some(fitted.len() + usize::from(*missing)),
            },
            (encoder, data) => return Err(mismatch(encoder, data)),
        };
        Ok(Self { cells, at, notes: ColumnNotes { column: name.to_owned(), ..ColumnNotes::default() } })
    }

    /// Fills this encoder's features in the rows of a block of the matrix, which starts as zeros.
    pub(super) fn fill(&mut self, rows: &[usize], block: &mut [f64], n_features: usize) {
        let notes = &mut self.notes;
        for (&row, out) in rows.iter().zip(block.chunks_exact_mut(n_features)) {
            let out = &mut out[self.at..];
            match &self.cells {
                Cells::Numbers { numbers, impute, scaler, indicator, bins } => {
                    let mut number = numbers[row];
                    if number.is_nan() {
                        notes.missing += 1;
                        number = *impute;
                        if *indicator {
                            out[1] = 1.0;
                        }
                    }
                    let scaled = scaler.transform(number);
                    out[0] = bins.map_or(scaled, |bins| bins.position(scaled));
                }
                Cells::Days { days, impute, scaler, indicator } => {
                    let day = days[row];
                    if day.is_nan() {
                        notes.missing += 1;
                        out[0] = scaler.transform(*impute);
                        if *indicator {
                            out[5] = 1.0;
                        }
                    } else {
                        let (month, weekday) = month_and_weekday(day);
                        out[0] = scaler.transform(day);
                        (out[1], out[2]) = (TAU * f64::from(month) / 12.0).sin_cos();
                        (out[3], out[4]) = (TAU * f64::from(weekday) / 7.0).sin_cos();
                    }
                }
                Cells::Codes { codes, levels, places, missing, unseen } => {
                    let place = if codes[row] == MISSING {
                        notes.missing += 1;
                        *missing
                    } else {
                        let code = codes[row] as usize;
                        if places[code].is_none() {
                            notes.unseen += 1;
                            if notes.examples.len() < EXAMPLES && !notes.examples.contains(&levels[code]) {
                                notes.examples.push(levels[code].clone());
                            }
                        }
                        places[code]
                    };
                    match (place, unseen) {
                        (place, Some(unseen)) => out[0] = place.unwrap_or(*unseen) as f64,
                        (Some(place), None) => out[place] = 1.0,
                        (None, None) => {}
                    }
                }
            }
        }
    }
}

fn mismatch(encoder: &Encoder, data: &ColumnData) -> Error {
    let expected = match encoder {
        Encoder::Number { .. } => "number",
        Encoder::Date { .. } => "date",
        Encoder::Category { .. } => "category",
    };
    let found = match data {
        ColumnData::Number(_) => "number",
        ColumnData::Date(_) => "date",
        ColumnData::Category { .. } => "category",
        ColumnData::Dropped => "dropped",
    };
    Error::model(
        format!(
            "column {}: the pipeline expects the kind {expected}, the table has {found}",
            shown(encoder.column())
        ),
        "read the table with the schema of the model",
    )
}
