//! How one column becomes features: fitted on training rows, then bound to a table and filled in.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::super::split::TrainRows;
use super::super::table::{Column, ColumnData, MISSING, RowIdx};
use super::super::target::Target;
use super::super::words::{column_setting, counted, shown};
use super::bins::Bins;
use super::category::{self, Encoding, Levels, Lookup};
use super::date::FittedDate;
use super::neighbors::BoundNeighbors;
use super::number::{self, NumberStep, Unfit, apply_all, fit_all};
use super::options::PipelineOptions;
use super::pipeline::{FeatureKind, Known};
use super::target::{self, ColumnFolds};
use crate::config::{NeighborWeights, NumericEmbedding, StepSpec};
use crate::{Error, Result};

/// How many unseen categories of a column are shown to the user.
const EXAMPLES: usize = 3;

/// The most levels of an embedded category that a model without embeddings takes one-hot: a table of many rows would
/// not fit the memory, which may be why the column is embedded.
pub const MOST_PLAIN_LEVELS: usize = 256;

/// How one column of a table becomes features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum FittedColumn {
    /// A number after its steps, and whether it was missing.
    Number {
        /// The column.
        column: String,
        /// What becomes of the number, one step after another.
        steps: Vec<NumberStep>,
        /// Whether a second feature says where cells are missing.
        indicator: bool,
        /// Bins of what comes out, whose place among their edges takes its place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bins: Option<Bins>,
    },
    /// The parts of a date, and whether it was missing.
    Date(FittedDate),
    /// What an encoding makes of the place of each level.
    Category {
        /// The column.
        column: String,
        /// The levels of the training rows.
        levels: Levels,
        /// Whether a last feature says where cells are missing.
        indicator: bool,
        /// What becomes of their places.
        encoding: Encoding,
    },
}

impl FittedColumn {
    /// The column of the table that this prepares.
    pub fn column(&self) -> &str {
        match self {
            Self::Number { column, .. } | Self::Category { column, .. } => column,
            Self::Date(date) => &date.column,
        }
    }

    /// Whether a missing cell is something that training rows have told of.
    pub fn knows_missing(&self) -> bool {
        match self {
            Self::Number { indicator, .. } => *indicator,
            Self::Date(date) => date.indicator,
            Self::Category { levels, indicator, .. } => *indicator || levels.missing,
        }
    }

    /// How many levels a category has, missing among them where it is one.
    pub fn n_levels(&self) -> Option<usize> {
        match self {
            Self::Category { levels, .. } => Some(levels.n_places()),
            Self::Number { .. } | Self::Date(_) => None,
        }
    }

    /// The same without what an embedding asks for: numbers as they are, categories one-hot; nothing for a code of
    /// more than [`MOST_PLAIN_LEVELS`].
    pub(super) fn plain(&self) -> Option<Self> {
        let mut plain = self.clone();
        match &mut plain {
            Self::Number { bins, .. } => *bins = None,
            Self::Category { encoding: encoding @ Encoding::Code, .. } => {
                if self.is_too_wide() {
                    return None;
                }
                *encoding = Encoding::OneHot;
            }
            Self::Category { .. } | Self::Date(_) => {}
        }
        Some(plain)
    }

    /// Whether this is a code of so many levels that a model without embeddings goes without it.
    pub fn is_too_wide(&self) -> bool {
        matches!(self, Self::Category { encoding: Encoding::Code, .. })
            && self.n_levels() > Some(MOST_PLAIN_LEVELS)
    }

    /// How many buckets it hashes into.
    pub(super) fn n_buckets(&self) -> usize {
        match self {
            Self::Category { encoding: Encoding::Buckets { n_buckets }, .. } => *n_buckets,
            _ => 0,
        }
    }

    /// How many features it has.
    pub(super) fn n_features(&self) -> usize {
        let (n, indicator) = match self {
            Self::Number { indicator, .. } => (1, indicator),
            Self::Date(date) => return date.n_features(),
            Self::Category { levels, indicator, encoding, .. } => {
                let n = match encoding {
                    Encoding::OneHot => levels.n_places(),
                    Encoding::Code => 1,
                    Encoding::Buckets { n_buckets } => *n_buckets,
                    Encoding::Numbers { features } => features.len(),
                };
                (n, indicator)
            }
        };
        n + usize::from(*indicator)
    }

    /// The name of each feature, and what it holds.
    pub(super) fn features(&self) -> Vec<(String, FeatureKind)> {
        let part = |name: String| (name, FeatureKind::Part);
        let column = self.column();
        let (mut features, indicator) = match self {
            Self::Number { bins, indicator, .. } => {
                let kind = match bins {
                    Some(bins) => FeatureKind::Position { n_bins: bins.len() },
                    None => FeatureKind::Number,
                };
                (vec![(column.to_owned(), kind)], indicator)
            }
            Self::Date(date) => {
                (date.ends().map(|end| part(format!("{column}.{end}"))).collect(), &date.indicator)
            }
            Self::Category { levels, indicator, encoding, .. } => {
                let features = match encoding {
                    Encoding::OneHot => {
                        levels.labels().map(|name| part(format!("{column}={name}"))).collect()
                    }
                    Encoding::Code => {
                        let n_levels = levels.n_places();
                        vec![(column.to_owned(), FeatureKind::Code { n_levels })]
                    }
                    Encoding::Buckets { n_buckets } => {
                        (0..*n_buckets).map(|bucket| part(format!("{column}#{bucket}"))).collect()
                    }
                    Encoding::Numbers { features } => {
                        features.iter().map(|f| part(format!("{column}{}", f.suffix))).collect()
                    }
                };
                (features, indicator)
            }
        };
        features.extend(indicator.then(|| part(format!("{column}=missing"))));
        features
    }

    /// Fits one column to the training rows; nothing for a column that is dropped. A column that is encoded by the target
    /// comes with the encodings of its training rows.
    ///
    /// It looks at no other column but by way of `known`, which the steps `target` and `knn` ask for
    /// ([`StepSpec::needs`]); so a table may be fitted with one column in memory at a time.
    pub fn fit(
        column: &Column,
        train: &TrainRows,
        options: &PipelineOptions,
        known: &Known,
    ) -> Result<Option<(Self, Option<ColumnFolds>)>> {
        let name = column.name.clone();
        let taken =
            |numbers: &[f64]| train.rows().iter().map(|&row| numbers[row as usize]).collect::<Vec<f64>>();
        let fitted = match &column.data {
            ColumnData::Number(numbers) => {
                let (steps, indicator, values) = fit_numbers(&name, taken(numbers), train, options, known)?;
                let bins = (options.embedding_of(&name) == NumericEmbedding::Ple)
                    .then(|| Bins::fit(&mut { values }, options.embedding.n_bins));
                if bins.as_ref().is_some_and(|bins| !bins.are_sound()) {
                    return Err(too_large(&name));
                }
                Self::Number { column: name, steps, indicator, bins }
            }
            ColumnData::Date(days) => {
                Self::Date(FittedDate::fit(&name, &taken(days), train, options, known)?)
            }
            ColumnData::Category { codes, levels } => {
                return fit_category(name, codes, levels, train, options, known.target).map(Some);
            }
            ColumnData::Dropped => return Ok(None),
        };
        Ok(Some((fitted, None)))
    }

    /// How numbers are filled in from neighbours, if they are: how many, and how much each counts.
    pub(super) fn knn(&self) -> Option<(usize, NeighborWeights)> {
        let steps = match self {
            Self::Number { steps, .. } => steps,
            Self::Date(date) => date.steps_of_days()?,
            Self::Category { .. } => return None,
        };
        match steps.first() {
            Some(NumberStep::Knn { n_neighbors, weights, .. }) => Some((*n_neighbors, *weights)),
            _ => None,
        }
    }

    /// What would keep [`super::pipeline::Pipeline::transform`] from computing with this column.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Number { bins: Some(bins), .. } if !bins.are_sound() => {
                Some("the edges of its bins are not finite and rising")
            }
            Self::Number { steps, .. } => number::fault(steps),
            Self::Date(date) => date.fault(),
            Self::Category { levels, .. } if !levels.are_sound() => {
                Some("the levels are not sorted, or one of them stands there twice")
            }
            Self::Category { levels, encoding, .. } => match encoding {
                Encoding::OneHot => None,
                Encoding::Code => (levels.n_places() == 0).then_some("codes of no levels"),
                Encoding::Buckets { n_buckets } => (*n_buckets == 0).then_some("no buckets to hash into"),
                Encoding::Numbers { features } => {
                    let is_sound = |f: &Lookup| {
                        f.values.len() == levels.n_places()
                            && f.unseen.is_finite()
                            && f.values.iter().all(|v| v.is_finite())
                    };
                    (!features.iter().all(is_sound))
                        .then_some("its numbers are not finite, one for each level")
                }
            },
        }
    }
}

/// Fits the steps of a column of numbers to those of the training rows: the steps, whether missing cells are marked, and
/// what the steps make of the numbers.
pub(super) fn fit_numbers(
    name: &str,
    mut values: Vec<f64>,
    train: &TrainRows,
    options: &PipelineOptions,
    known: &Known,
) -> Result<(Vec<NumberStep>, bool, Vec<f64>)> {
    let (steps, is_asked) = options.steps_of(name, false);
    let indicator = marks(steps) && values.iter().any(|v| v.is_nan());
    let fit_all = |steps: &[StepSpec], values: &mut [f64]| {
        fit_all(steps, values, is_asked)
            .map_err(|(step, unfit)| cannot_fit(name, options, &step, unfit, train))
    };
    let [knn @ StepSpec::Knn { n_neighbors, weights, .. }, others @ ..] = steps else {
        return Ok((fit_all(steps, &mut values)?, indicator, values));
    };
    // What stands in for a row without neighbours is fitted to the cells as they are.
    let mut fitted = fit_all(std::slice::from_ref(knn), &mut values.clone())?;
    if let Some(neighbors) = &known.neighbors {
        neighbors.fill(name, *n_neighbors, *weights, train.rows(), &mut values);
    }
    apply_all(&fitted, &mut values);
    fitted.extend(fit_all(others, &mut values)?);
    Ok((fitted, indicator, values))
}

/// Whether missing cells are marked, where training has any.
pub(super) fn marks(steps: &[StepSpec]) -> bool {
    steps.iter().any(|step| match *step {
        StepSpec::Median { indicator }
        | StepSpec::Mean { indicator }
        | StepSpec::MostFrequent { indicator }
        | StepSpec::Constant { indicator, .. }
        | StepSpec::Knn { indicator, .. } => indicator,
        _ => false,
    })
}

fn fit_category(
    name: String,
    codes: &[u32],
    level_names: &[String],
    train: &TrainRows,
    options: &PipelineOptions,
    target: Option<&Target>,
) -> Result<(FittedColumn, Option<ColumnFolds>)> {
    let (steps, is_asked) = options.steps_of(&name, true);
    let (mut levels, mut counts) =
        Levels::fit(train.rows().iter().map(|&row| codes[row as usize]), level_names);
    let has_missing = levels.missing;
    let mut indicator = marks(steps) && has_missing;
    let (mut encoding, mut folds) = (Encoding::OneHot, None);
    for (i, step) in steps.iter().enumerate() {
        match *step {
            StepSpec::MostFrequent { .. } => levels.fill_in(&mut counts),
            StepSpec::Rare { min_frequency, max_categories } => {
                levels.join_rare(&mut counts, min_frequency, max_categories);
            }
            StepSpec::OneHot => encoding = Encoding::OneHot,
            StepSpec::Embedding { one_hot_up_to } => {
                // A column without any level has nothing to look up.
                let n_levels = levels.n_places();
                let is_code = n_levels > 0 && n_levels > one_hot_up_to;
                encoding = if is_code { Encoding::Code } else { Encoding::OneHot };
            }
            StepSpec::Hashing { n_buckets } => {
                indicator |= has_missing && levels.fill.is_none();
                levels = Levels { fill: levels.fill.clone(), ..Levels::default() };
                encoding = Encoding::Buckets { n_buckets };
            }
            StepSpec::Ordinal | StepSpec::Count { .. } | StepSpec::Target { .. } => {
                let of_level: Vec<_> = level_names.iter().map(|level| levels.place(level)).collect();
                let place = |&row: &RowIdx| levels.place_of_code(&of_level, codes[row as usize]);
                let places: Vec<Option<usize>> = train.rows().iter().map(place).collect();
                let mut features = match *step {
                    StepSpec::Count { normalize } => vec![category::count(&counts, normalize)],
                    StepSpec::Target { folds: n_folds, smooth } => {
                        let target = target_of(&name, options, target, train, n_folds)?;
                        let (n_places, seed) = (levels.n_places(), options.seed);
                        let (features, of_rows) =
                            target::fit(&places, train.rows(), n_places, target, smooth, n_folds, seed);
                        folds = Some(of_rows);
                        features
                    }
                    _ => vec![category::ordinal(&levels)],
                };
                for (output, lookup) in features.iter_mut().enumerate() {
                    let of_row = |(row, place): (&RowIdx, &Option<usize>)| {
                        let own = folds.as_ref().and_then(|folds| folds.of(*row));
                        own.map_or(&*lookup, |lookups| &lookups[output]).of(*place)
                    };
                    let mut values: Vec<f64> = train.rows().iter().zip(&places).map(of_row).collect();
                    let after = fit_all(&steps[i + 1..], &mut values, is_asked)
                        .map_err(|(step, unfit)| cannot_fit(&name, options, &step, unfit, train))?;
                    lookup.change(|values| apply_all(&after, values));
                    if let Some(folds) = &mut folds {
                        folds.change(output, |values| apply_all(&after, values));
                    }
                }
                encoding = Encoding::Numbers { features };
                break;
            }
            _ => {}
        }
    }
    Ok((FittedColumn::Category { column: name, levels, indicator, encoding }, folds))
}

/// The target to encode by, if there is one and its training rows can be dealt out to so many folds.
fn target_of<'t>(
    name: &str,
    options: &PipelineOptions,
    target: Option<&'t Target>,
    train: &TrainRows,
    n_folds: usize,
) -> Result<&'t Target> {
    let place = options.place_of(name);
    let n = train.rows().len();
    if n < n_folds {
        return Err(Error::setting(
            format!(
                "{place}, step target: {} cannot be dealt out to {n_folds} folds",
                counted(n, "training row")
            ),
            "{ step = \"target\", folds = 2 }, or one_hot",
        ));
    }
    target.ok_or_else(|| {
        Error::setting(format!("{place}, step target: there is no target to encode by"), "one_hot, or count")
    })
}

/// The error of a step that cannot be fitted to a column, with the setting that asks for it.
fn cannot_fit(
    name: &str,
    options: &PipelineOptions,
    step: &StepSpec,
    unfit: Unfit,
    train: &TrainRows,
) -> Error {
    let place = options.place_of(name);
    let (what, remedy) = match unfit {
        Unfit::TooLarge => return too_large(name),
        Unfit::Negative { at, number } => (
            format!("row {} holds {number}, and log takes numbers of at least 0", train.rows()[at] + 1),
            "{ step = \"log\", signed = true }, which mirrors it below 0, or \"yeo_johnson\"".to_owned(),
        ),
        Unfit::Constant(number) => (
            format!("all training rows hold {number}, and no power tells them apart"),
            format!(
                "--set {}, or --set {}",
                column_setting(name, "scale", "standard"),
                column_setting(name, "drop", "true")
            ),
        ),
    };
    Error::setting(format!("{place}, step {}: {what}", step.name()), remedy)
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

impl ColumnNotes {
    /// Adds what was met in later rows.
    pub(super) fn append(&mut self, later: Self) {
        self.missing += later.missing;
        self.unseen += later.unseen;
        for example in later.examples {
            if self.examples.len() < EXAMPLES && !self.examples.contains(&example) {
                self.examples.push(example);
            }
        }
    }
}

/// A fitted column together with the cells that it reads and the place of its features.
pub(super) struct Bound<'a> {
    cells: Cells<'a>,
    /// The first of its features.
    at: usize,
    /// Which of its features marks missing cells, if one does.
    indicator: Option<usize>,
    /// How missing numbers are filled in from neighbours, and by whom.
    knn: Option<(&'a BoundNeighbors<'a>, usize, NeighborWeights)>,
    /// How training rows are encoded, where they are told apart.
    folds: Option<&'a ColumnFolds>,
    /// The numbers of a block of rows as they stand in the cells, and on their way through the steps.
    cells_of_rows: Vec<f64>,
    numbers: Vec<f64>,
    /// What it has met in the rows that it has filled.
    pub(super) notes: ColumnNotes,
}

/// The cells of a column, and what is to be made of them.
enum Cells<'a> {
    Numbers {
        numbers: &'a [f64],
        steps: &'a [NumberStep],
        bins: Option<&'a Bins>,
        /// The parts that are made of them, if they are days.
        date: Option<&'a FittedDate>,
    },
    Codes {
        codes: &'a [u32],
        names: &'a [String],
        levels: &'a Levels,
        encoding: &'a Encoding,
        /// The place of each level of the table among those of the training rows, or its bucket; and whether these have it.
        places: Vec<(Option<usize>, bool)>,
        /// The place or bucket of missing.
        missing: Option<usize>,
    },
}

impl<'a> Bound<'a> {
    pub(super) fn new(
        fitted: &'a FittedColumn,
        columns: &HashMap<&'a str, &'a Column>,
        at: usize,
        neighbors: Option<&'a BoundNeighbors<'a>>,
        folds: Option<&'a ColumnFolds>,
    ) -> Result<Self> {
        let name = fitted.column();
        let column = columns.get(name).ok_or_else(|| {
            Error::model(
                format!("the table lacks column {} that the model needs", shown(name)),
                "read the table with the schema of the model",
            )
        })?;
        let (cells, indicator) = match (fitted, &column.data) {
            (FittedColumn::Number { steps, indicator, bins, .. }, ColumnData::Number(numbers)) => {
                (Cells::Numbers { numbers, steps, bins: bins.as_ref(), date: None }, *indicator)
            }
            (FittedColumn::Date(date), ColumnData::Date(numbers)) => {
                (Cells::Numbers { numbers, steps: &[], bins: None, date: Some(date) }, date.indicator)
            }
            (
                FittedColumn::Category { levels, indicator, encoding, .. },
                ColumnData::Category { codes, levels: names },
            ) => {
                let place = |level: &str| match encoding {
                    Encoding::Buckets { n_buckets } => (Some(category::bucket(level, *n_buckets)), true),
                    _ => levels.place(level),
                };
                let missing = match (encoding, &levels.fill) {
                    (Encoding::Buckets { .. }, fill) => fill.as_ref().and_then(|level| place(level).0),
                    _ => levels.missing_place(),
                };
                let places = names.iter().map(|level| place(level)).collect();
                (Cells::Codes { codes, names, levels, encoding, places, missing }, *indicator)
            }
            (fitted, data) => return Err(mismatch(fitted, data)),
        };
        Ok(Self {
            cells,
            at,
            indicator: indicator.then(|| at + fitted.n_features() - 1),
            knn: neighbors.zip(fitted.knn()).map(|(neighbors, (n, weights))| (neighbors, n, weights)),
            folds,
            cells_of_rows: Vec::new(),
            numbers: Vec::new(),
            notes: ColumnNotes { column: name.to_owned(), ..ColumnNotes::default() },
        })
    }

    /// Fills this column's features in the rows of a block of the matrix, which starts as zeros.
    pub(super) fn fill(&mut self, rows: &[RowIdx], block: &mut [f64], n_features: usize) {
        let (notes, at) = (&mut self.notes, self.at);
        match &self.cells {
            Cells::Numbers { numbers, steps, bins, date } => {
                self.cells_of_rows.clear();
                self.cells_of_rows.extend(rows.iter().map(|&row| numbers[row as usize]));
                self.numbers.clone_from(&self.cells_of_rows);
                if let Some((neighbors, n, weights)) = self.knn {
                    neighbors.fill(&notes.column, n, weights, rows, &mut self.numbers);
                }
                let blocks = self.cells_of_rows.iter().zip(block.chunks_exact_mut(n_features));
                for (_, out) in blocks.filter(|(cell, _)| cell.is_nan()) {
                    notes.missing += 1;
                    if let Some(indicator) = self.indicator {
                        out[indicator] = 1.0;
                    }
                }
                if let Some(date) = date {
                    return date.fill(&self.cells_of_rows, &mut self.numbers, block, n_features, at);
                }
                apply_all(steps, &mut self.numbers);
                for (&number, out) in self.numbers.iter().zip(block.chunks_exact_mut(n_features)) {
                    out[at] = bins.map_or(number, |bins| bins.position(number));
                }
            }
            Cells::Codes { codes, names, levels, encoding, places, missing } => {
                for (&row, out) in rows.iter().zip(block.chunks_exact_mut(n_features)) {
                    let place = if codes[row as usize] == MISSING {
                        notes.missing += 1;
                        if let Some(indicator) = self.indicator {
                            out[indicator] = 1.0;
                        }
                        *missing
                    } else {
                        let code = codes[row as usize] as usize;
                        if !places[code].1 {
                            notes.unseen += 1;
                            if notes.examples.len() < EXAMPLES && !notes.examples.contains(&names[code]) {
                                notes.examples.push(names[code].clone());
                            }
                        }
                        places[code].0
                    };
                    match encoding {
                        Encoding::OneHot | Encoding::Buckets { .. } => {
                            if let Some(place) = place {
                                out[at + place] = 1.0;
                            }
                        }
                        Encoding::Code => out[at] = place.unwrap_or(levels.n_places()) as f64,
                        Encoding::Numbers { features } => {
                            let own = self.folds.and_then(|folds| folds.of(row));
                            for (feature, out) in own.unwrap_or(features).iter().zip(&mut out[at..]) {
                                *out = feature.of(place);
                            }
                        }
                    }
                }
            }
        }
    }
}

fn mismatch(fitted: &FittedColumn, data: &ColumnData) -> Error {
    let expected = match fitted {
        FittedColumn::Number { .. } => "number",
        FittedColumn::Date(_) => "date",
        FittedColumn::Category { .. } => "category",
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
            shown(fitted.column())
        ),
        "read the table with the schema of the model",
    )
}
