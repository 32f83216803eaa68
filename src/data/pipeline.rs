//! The preparation of a table for a network: fitted on training rows, saved with the model.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

use super::cell::month_and_weekday;
use super::scale::{Impute, Scale, Scaler};
use super::split::TrainRows;
use super::table::{Column, ColumnData, MISSING, Table};
use super::words::{column_setting, counted, instead, shown};
use crate::{Error, Result};

/// How many unseen categories of a column are shown to the user.
const EXAMPLES: usize = 3;
/// Rows that are prepared together, so that the part of the matrix being filled stays in the cache.
const BLOCK: usize = 256;

/// How columns are to be prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineOptions {
    /// How numbers and days are scaled.
    pub scale: Scale,
    /// The columns that are scaled in a way of their own.
    pub per_column: BTreeMap<String, Scale>,
    /// What stands in for missing numbers and days.
    pub impute: Impute,
    /// Whether a number or date column with missing training cells brings a feature that marks them.
    pub indicators: bool,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            scale: Scale::default(),
            per_column: BTreeMap::new(),
            impute: Impute::default(),
            indicators: true,
        }
    }
}

/// One column of the prepared matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// What the feature is called: `age`, `sex=female`, `age=missing`, `joined.month_sin`.
    pub name: String,
    /// The column of the table that it is made of.
    pub column: String,
}

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
    /// One feature for each level of the training rows, 1 where the cell is of it; all 0 for others.
    Category {
        /// The column.
        column: String,
        /// The levels, sorted by their bytes.
        levels: Vec<String>,
        /// Whether missing is a level too, the last; else a missing cell is all 0.
        missing: bool,
    },
}

impl Encoder {
    /// The column of the table that this encodes.
    pub fn column(&self) -> &str {
        match self {
            Self::Number { column, .. } | Self::Date { column, .. } | Self::Category { column, .. } => column,
        }
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
    fn fit(column: &Column, train: &TrainRows, options: &PipelineOptions) -> Result<Option<Self>> {
        let name = column.name.clone();
        let scale = options.per_column.get(&name).copied();
        Ok(Some(match &column.data {
            ColumnData::Number(numbers) => {
                let (impute, scaler, indicator) = fit_numbers(&name, numbers, train, scale, options)?;
                Self::Number { column: name, impute, scaler, indicator }
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
                Self::Category { column: name, levels: seen.collect(), missing }
            }
            ColumnData::Dropped => return Ok(None),
        }))
    }

    /// What would keep [`Pipeline::transform`] from computing with this encoder.
    fn fault(&self) -> Option<&'static str> {
        match self {
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
        return Err(Error::data(
            format!("column {}: its numbers are too large to be added up", shown(name)),
            format!("divide them by a power of ten, or --set {}", column_setting(name, "kind", "category")),
        ));
    }
    Ok((impute, scaler, options.indicators && n_missing > 0))
}

/// What a table to transform holds that the training rows did not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TransformNotes {
    /// The columns with missing cells or unseen categories, in the order of the pipeline.
    pub columns: Vec<ColumnNotes>,
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

/// A fitted preparation: makes the matrix that the network reads out of any table of the schema.
///
/// It is saved as JSON in the model file; what is read back has been [validated](Self::validate).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct Pipeline {
    encoders: Vec<Encoder>,
    features: Vec<Feature>,
}

/// A pipeline as it is saved: without what follows from the rest.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    encoders: Vec<Encoder>,
}

impl From<Pipeline> for Saved {
    fn from(pipeline: Pipeline) -> Self {
        Self { encoders: pipeline.encoders }
    }
}

impl TryFrom<Saved> for Pipeline {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        // Before features are named, which takes time where columns are the same.
        check_encoders(&saved.encoders)?;
        let pipeline = Self::new(saved.encoders);
        pipeline.validate()?;
        Ok(pipeline)
    }
}

impl Pipeline {
    /// Fits to the training rows of a table, and to nothing else of it.
    ///
    /// The table holds no target. Linear in the number of training cells, and in the logarithm of
    /// the rows where quantiles are needed.
    pub fn fit(table: &Table, train: &TrainRows, options: &PipelineOptions) -> Result<Self> {
        check_rows(table, train.rows())?;
        for (name, scale) in &options.per_column {
            check_scaled(table, name, *scale)?;
        }
        let mut encoders = Vec::new();
        for column in table.columns() {
            encoders.extend(Encoder::fit(column, train, options)?);
        }
        let pipeline = Self::new(encoders);
        if pipeline.features.is_empty() {
            return Err(Error::data(
                "no column is left to learn from: every one but the target is dropped",
                "see why with `statera profile`, or set a kind: --set data.columns.NAME.kind=category",
            ));
        }
        Ok(pipeline)
    }

    fn new(encoders: Vec<Encoder>) -> Self {
        let mut taken = HashSet::new();
        let mut features = Vec::new();
        for encoder in &encoders {
            for mut name in encoder.feature_names() {
                // A category may itself be called `missing`, and a column `sex=female`.
                while !taken.insert(name.clone()) {
                    name.push('\'');
                }
                features.push(Feature { name, column: encoder.column().to_owned() });
            }
        }
        Self { encoders, features }
    }

    /// The columns of the matrix, from left to right.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// How each column becomes features, in the order of the features.
    pub fn encoders(&self) -> &[Encoder] {
        &self.encoders
    }

    /// Whether every part is one that [`Pipeline::transform`] can compute with.
    pub fn validate(&self) -> Result<()> {
        check_encoders(&self.encoders)?;
        if self.features.is_empty() {
            return Err(damaged("the pipeline makes no features".to_owned()));
        }
        Ok(())
    }

    /// The matrix of these rows, row-major, with one column for each feature.
    ///
    /// A category that no training row has is all 0; it is counted in the notes, as missing cells
    /// are. Takes time and memory linear in rows times features.
    pub fn transform(&self, table: &Table, rows: &[usize]) -> Result<(Vec<f64>, TransformNotes)> {
        check_rows(table, rows)?;
        let columns: HashMap<&str, &Column> =
            table.columns().iter().map(|column| (column.name.as_str(), column)).collect();
        let mut at = 0;
        let mut bound = Vec::with_capacity(self.encoders.len());
        for encoder in &self.encoders {
            bound.push(Bound::new(encoder, &columns, at)?);
            at += encoder.feature_names().len();
        }
        let mut matrix = vec![0.0; rows.len() * at];
        for (rows, block) in rows.chunks(BLOCK).zip(matrix.chunks_mut(BLOCK * at)) {
            for encoder in &mut bound {
                encoder.fill(rows, block, at);
            }
        }
        let columns = bound.into_iter().map(|encoder| encoder.notes);
        let columns = columns.filter(|notes| notes.missing + notes.unseen > 0).collect();
        Ok((matrix, TransformNotes { columns }))
    }
}

/// An encoder together with the column that it reads and the place of its features.
struct Bound<'a> {
    cells: Cells<'a>,
    /// The first of its features.
    at: usize,
    notes: ColumnNotes,
}

/// The cells of a column, and what is to be made of them.
enum Cells<'a> {
    Numbers { numbers: &'a [f64], impute: f64, scaler: &'a Scaler, indicator: bool },
    Days { days: &'a [f64], impute: f64, scaler: &'a Scaler, indicator: bool },
    Codes { codes: &'a [u32], levels: &'a [String], features: Vec<Option<usize>>, missing: Option<usize> },
}

impl<'a> Bound<'a> {
    fn new(encoder: &'a Encoder, columns: &HashMap<&'a str, &'a Column>, at: usize) -> Result<Self> {
        let name = encoder.column();
        let column = columns.get(name).ok_or_else(|| {
            Error::model(
                format!("the table lacks column {} that the model needs", shown(name)),
                "read the table with the schema of the model",
            )
        })?;
        let cells = match (encoder, &column.data) {
            (Encoder::Number { impute, scaler, indicator, .. }, ColumnData::Number(numbers)) => {
                Cells::Numbers { numbers, impute: *impute, scaler, indicator: *indicator }
            }
            (Encoder::Date { impute, scaler, indicator, .. }, ColumnData::Date(days)) => {
                Cells::Days { days, impute: *impute, scaler, indicator: *indicator }
            }
            (Encoder::Category { levels: fitted, missing, .. }, ColumnData::Category { codes, levels }) => {
                Cells::Codes {
                    codes,
                    levels,
                    features: levels.iter().map(|level| fitted.binary_search(level).ok()).collect(),
                    missing: missing.then_some(fitted.len()),
                }
            }
            (encoder, data) => return Err(mismatch(encoder, data)),
        };
        Ok(Self { cells, at, notes: ColumnNotes { column: name.to_owned(), ..ColumnNotes::default() } })
    }

    /// Fills this encoder's features in the rows of a block of the matrix, which starts as zeros.
    fn fill(&mut self, rows: &[usize], block: &mut [f64], n_features: usize) {
        let notes = &mut self.notes;
        for (&row, out) in rows.iter().zip(block.chunks_exact_mut(n_features)) {
            let out = &mut out[self.at..];
            match &self.cells {
                Cells::Numbers { numbers, impute, scaler, indicator } => {
                    let number = numbers[row];
                    if number.is_nan() {
                        notes.missing += 1;
                        out[0] = scaler.transform(*impute);
                        if *indicator {
                            out[1] = 1.0;
                        }
                    } else {
                        out[0] = scaler.transform(number);
                    }
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
                Cells::Codes { codes, levels, features, missing } => {
                    let feature = if codes[row] == MISSING {
                        notes.missing += 1;
                        *missing
                    } else {
                        let code = codes[row] as usize;
                        if features[code].is_none() {
                            notes.unseen += 1;
                            if notes.examples.len() < EXAMPLES && !notes.examples.contains(&levels[code]) {
                                notes.examples.push(levels[code].clone());
                            }
                        }
                        features[code]
                    };
                    if let Some(feature) = feature {
                        out[feature] = 1.0;
                    }
                }
            }
        }
    }
}

fn damaged(what: String) -> Error {
    Error::model(what, "the model is damaged: copy it again, or train it anew")
}

fn check_encoders(encoders: &[Encoder]) -> Result<()> {
    let mut columns = HashSet::new();
    for encoder in encoders {
        let column = encoder.column();
        if !columns.insert(column) {
            return Err(damaged(format!("the pipeline prepares column {} twice", shown(column))));
        }
        if let Some(fault) = encoder.fault() {
            return Err(damaged(format!("the pipeline's column {}: {fault}", shown(column))));
        }
    }
    Ok(())
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

fn check_rows(table: &Table, rows: &[usize]) -> Result<()> {
    match rows.iter().max() {
        Some(&row) if row >= table.n_rows() => Err(Error::data(
            format!("row {} is asked for, of a table of {}", row + 1, counted(table.n_rows(), "row")),
            "take the rows from a split of the same table",
        )),
        _ => Ok(()),
    }
}

/// Whether a column named in the settings is one that can be scaled.
fn check_scaled(table: &Table, name: &str, scale: Scale) -> Result<()> {
    let setting = || format!("data.columns.{name}.scale");
    match table.column(name).map(|column| &column.data) {
        Some(ColumnData::Number(_) | ColumnData::Date(_)) => Ok(()),
        // To leave alone what cannot be scaled asks for nothing.
        Some(_) if scale == Scale::None => Ok(()),
        Some(ColumnData::Category { .. }) => Err(Error::setting(
            format!("{}: column {} is a category, which is not scaled", setting(), shown(name)),
            format!("leave the setting out, or --set {}", column_setting(name, "kind", "number")),
        )),
        Some(ColumnData::Dropped) => Err(Error::setting(
            format!("{}: column {} is dropped, hence not scaled", setting(), shown(name)),
            "leave the setting out",
        )),
        None => Err(Error::setting(
            format!("{}: there is no input column {}", setting(), shown(name)),
            instead(name, table.columns().iter().map(|column| column.name.as_str())),
        )),
    }
}
