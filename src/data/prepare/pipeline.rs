//! The preparation of a table for a network: fitted on training rows, saved with the model.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::split::TrainRows;
use super::super::table::{Column, ColumnData, RowIdx, Table};
use super::super::target::Target;
use super::super::words::{counted, shown};
use super::column::{Bound, ColumnNotes, FittedColumn};
use super::neighbors::{BoundNeighbors, Neighbors};
use super::older;
use super::options::PipelineOptions;
use super::target::OutOfFold;
use crate::config::StepSpec;
use crate::{Error, Result};

/// Rows that are prepared together, so that the part of the matrix being filled stays in the cache.
const BLOCK: usize = 256;

/// The most buckets of all hashed columns of a saved pipeline: they are named before anything else is known of a file.
const MOST_BUCKETS: usize = 1 << 20;

/// One column of the prepared matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// What the feature is called: `age`, `sex=female`, `age=missing`, `joined.month_sin`.
    pub name: String,
    /// The column of the table that it is made of.
    pub column: String,
    /// What it holds.
    pub kind: FeatureKind,
}

/// What a column of the prepared matrix holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureKind {
    /// The scaled number of a number column.
    Number,
    /// The place of such a number among the edges of so many bins ([`super::bins::Bins::position`]).
    Position {
        /// How many bins.
        n_bins: usize,
    },
    /// The code of a category, a whole number from 0 on; the number of levels for one that training rows lack.
    /// Nothing can be computed with it but to look something up.
    Code {
        /// How many levels, missing among them if training rows had missing cells.
        n_levels: usize,
    },
    /// One level of a category, a part of a date, or a mark of missing cells.
    Part,
}

/// What a table to transform holds that the training rows did not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TransformNotes {
    /// The columns with missing cells or unseen categories, in the order of the pipeline.
    pub columns: Vec<ColumnNotes>,
}

impl TransformNotes {
    /// Takes in what another pipeline of the same columns met in the same table: of each column what is more.
    pub(crate) fn join(&mut self, other: Self) {
        for notes in other.columns {
            match self.columns.iter_mut().find(|own| own.column == notes.column) {
                None => self.columns.push(notes),
                Some(own) if own.unseen < notes.unseen => *own = notes,
                Some(_) => {}
            }
        }
    }

    /// Adds the notes of further rows.
    pub(crate) fn append(&mut self, more: Self) {
        for notes in more.columns {
            match self.columns.iter_mut().find(|known| known.column == notes.column) {
                Some(known) => known.append(notes),
                None => self.columns.push(notes),
            }
        }
    }
}

/// A fitted preparation: makes the matrix that the network reads out of any table of the schema.
///
/// It is saved as JSON in the model file; what is read back has been [validated](Self::validate).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct Pipeline {
    columns: Vec<FittedColumn>,
    neighbors: Option<Neighbors>,
    features: Vec<Feature>,
}

/// What the steps of a column may look at besides the column itself.
#[derive(Default)]
pub struct Known<'a> {
    /// The target of each row of the table, for the step `target`.
    pub target: Option<&'a Target>,
    /// The nearest training rows of each row, for the step `knn`.
    pub(super) neighbors: Option<BoundNeighbors<'a>>,
}

/// A pipeline as it is saved: without what follows from the rest.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    #[serde(default)]
    columns: Vec<FittedColumn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    neighbors: Option<Neighbors>,
    /// What stands there in their place in older files.
    #[serde(default, skip_serializing)]
    encoders: Vec<older::Encoder>,
}

impl From<Pipeline> for Saved {
    fn from(pipeline: Pipeline) -> Self {
        Self { columns: pipeline.columns, neighbors: pipeline.neighbors, encoders: Vec::new() }
    }
}

impl TryFrom<Saved> for Pipeline {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        let mut columns = saved.columns;
        columns.extend(saved.encoders.into_iter().map(FittedColumn::from));
        // Before features are named, which takes time where columns are the same.
        check_columns(&columns)?;
        let pipeline = Self::new(columns, saved.neighbors);
        pipeline.validate()?;
        Ok(pipeline)
    }
}

impl Pipeline {
    /// Fits to the training rows of a table, and to nothing else of it; where no step asks for the target.
    ///
    /// The table holds no target. Linear in the number of training cells, and in the logarithm of
    /// the rows where quantiles are needed.
    pub fn fit(table: &Table, train: &TrainRows, options: &PipelineOptions) -> Result<Self> {
        Ok(Self::fit_to_target(table, train, options, None)?.0)
    }

    /// The same with the target of each row, by which columns may be encoded; with the encodings that training rows are
    /// to have.
    pub fn fit_to_target(
        table: &Table,
        train: &TrainRows,
        options: &PipelineOptions,
        target: Option<&Target>,
    ) -> Result<(Self, OutOfFold)> {
        check_rows(table, train.rows())?;
        options.check(table)?;
        let by_name: HashMap<&str, &Column> = table.columns().iter().map(|c| (c.name.as_str(), c)).collect();
        let asks = |column: &Column| {
            let is_number = matches!(column.data, ColumnData::Number(_) | ColumnData::Date(_));
            is_number && matches!(options.steps_of(&column.name, false).0, [StepSpec::Knn { .. }, ..])
        };
        let neighbors = table.columns().iter().any(asks).then(|| Neighbors::fit(table, train, options.seed));
        let bound = neighbors.as_ref().map(|neighbors| neighbors.bind(&by_name)).transpose()?;
        let known = Known { target, neighbors: bound };
        let fit = |column: &Column| FittedColumn::fit(column, train, options, &known);
        let all: Vec<Result<_>> = table.columns().par_iter().map(fit).collect();
        let (mut columns, mut out_of_fold) = (Vec::new(), OutOfFold::new());
        for (column, fitted) in table.columns().iter().zip(all) {
            let Some((fitted, folds)) = fitted? else { continue };
            columns.push(fitted);
            out_of_fold.extend(folds.map(|folds| (column.name.clone(), folds)));
        }
        Ok((Self::of_columns(columns, neighbors)?, out_of_fold))
    }

    /// The preparation of columns that were fitted one by one, in the order of the table, and of the neighbours that the
    /// step `knn` has looked at.
    pub fn of_columns(columns: Vec<FittedColumn>, neighbors: Option<Neighbors>) -> Result<Self> {
        let pipeline = Self::new(columns, neighbors);
        if pipeline.features.is_empty() {
            return Err(Error::data(
                "no column is left to learn from: every one but the target is dropped",
                "set the kind of a column that is to be kept: --set data.columns.NAME.kind=category",
            ));
        }
        Ok(pipeline)
    }

    fn new(columns: Vec<FittedColumn>, neighbors: Option<Neighbors>) -> Self {
        let mut taken = HashSet::new();
        let mut features = Vec::new();
        for column in &columns {
            for (mut name, kind) in column.features() {
                // A category may itself be called `missing`, and a column `sex=female`.
                while !taken.insert(name.clone()) {
                    name.push('\'');
                }
                features.push(Feature { name, column: column.column().to_owned(), kind });
            }
        }
        Self { columns, neighbors, features }
    }

    /// The same preparation for what has no embedding: numbers as they are scaled, categories one-hot, those that are
    /// [too wide](FittedColumn::is_too_wide) left out, be there anything left or not.
    pub fn plain(&self) -> Self {
        let columns = self.columns.iter().filter_map(FittedColumn::plain);
        Self::new(columns.collect(), self.neighbors.clone())
    }

    /// The columns of the matrix, from left to right.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Which columns of the matrix are the scaled numbers of number columns.
    pub fn numeric_features(&self) -> Vec<usize> {
        let is_number = |i: &usize| self.features[*i].kind == FeatureKind::Number;
        (0..self.features.len()).filter(is_number).collect()
    }

    /// The training rows that missing numbers are filled in from, if a column asks for them.
    pub fn neighbors(&self) -> Option<&Neighbors> {
        self.neighbors.as_ref()
    }

    /// How each column becomes features, in the order of the features.
    pub fn columns(&self) -> &[FittedColumn] {
        &self.columns
    }

    /// Whether every part is one that [`Pipeline::transform`] can compute with.
    pub fn validate(&self) -> Result<()> {
        check_columns(&self.columns)?;
        if let Some(fault) = self.neighbors.as_ref().and_then(Neighbors::fault) {
            return Err(damaged(format!("the pipeline: {fault}")));
        }
        let have = |name: &str| self.neighbors.as_ref().is_some_and(|neighbors| neighbors.have(name));
        if let Some(c) = self.columns.iter().find(|c| c.knn().is_some() && !have(c.column())) {
            return Err(damaged(format!("the pipeline has no neighbours for column {}", shown(c.column()))));
        }
        if self.features.is_empty() {
            return Err(damaged("the pipeline makes no features".to_owned()));
        }
        Ok(())
    }

    /// The matrix of these rows, row-major, with one column for each feature.
    ///
    /// A category that no training row has is all 0, or has the code that stands for that; it is counted in the
    /// notes, as missing cells are. Takes time and memory linear in rows times features.
    pub fn transform(&self, table: &Table, rows: &[RowIdx]) -> Result<(Vec<f64>, TransformNotes)> {
        let mut whole = Vec::new();
        let notes = self.transform_parts(table, rows, rows.len(), |part| whole = part)?;
        Ok((whole, notes))
    }

    /// [`Pipeline::transform`] to learn from: training rows are encoded by what other training rows say of their target,
    /// any others as by `transform`.
    pub fn transform_to_learn(&self, table: &Table, rows: &[RowIdx], own: &OutOfFold) -> Result<Vec<f64>> {
        let mut whole = Vec::new();
        self.parts(table, rows, rows.len(), Some(own), |part| whole = part)?;
        Ok(whole)
    }

    /// [`Pipeline::transform`] for `part_rows` rows at a time, each part given to `take` in the order of the rows.
    pub fn transform_parts(
        &self,
        table: &Table,
        rows: &[RowIdx],
        part_rows: usize,
        take: impl FnMut(Vec<f64>),
    ) -> Result<TransformNotes> {
        self.parts(table, rows, part_rows, None, take)
    }

    fn parts(
        &self,
        table: &Table,
        rows: &[RowIdx],
        part_rows: usize,
        own: Option<&OutOfFold>,
        mut take: impl FnMut(Vec<f64>),
    ) -> Result<TransformNotes> {
        check_rows(table, rows)?;
        let columns: HashMap<&str, &Column> =
            table.columns().iter().map(|column| (column.name.as_str(), column)).collect();
        let neighbors = self.neighbors.as_ref().map(|neighbors| neighbors.bind(&columns)).transpose()?;
        let width: usize = self.columns.iter().map(FittedColumn::n_features).sum();
        let bind = || -> Result<Vec<Bound<'_>>> {
            let (mut at, mut bound) = (0, Vec::with_capacity(self.columns.len()));
            for column in &self.columns {
                let folds = own.and_then(|own| own.get(column.column()));
                bound.push(Bound::new(column, &columns, at, neighbors.as_ref(), folds)?);
                at += column.n_features();
            }
            Ok(bound)
        };
        let mut notes: Vec<ColumnNotes> = bind()?.into_iter().map(|column| column.notes).collect();
        for rows in rows.chunks(part_rows.max(1)) {
            let mut matrix = vec![0.0; rows.len() * width];
            // Whole blocks for each thread; what they find is put together in the order of the rows.
            let stripe = rows.len().div_ceil(BLOCK * rayon::current_num_threads()).max(1) * BLOCK;
            let fill = |(rows, part): (&[RowIdx], &mut [f64])| {
                let mut bound = bind()?;
                for (rows, block) in rows.chunks(BLOCK).zip(part.chunks_mut(BLOCK * width)) {
                    for column in &mut bound {
                        column.fill(rows, block, width);
                    }
                }
                Ok(bound.into_iter().map(|column| column.notes).collect::<Vec<_>>())
            };
            let stripes = rows.par_chunks(stripe).zip(matrix.par_chunks_mut((stripe * width).max(1)));
            let found: Vec<Result<Vec<ColumnNotes>>> = stripes.map(fill).collect();
            for found in found {
                notes.iter_mut().zip(found?).for_each(|(notes, more)| notes.append(more));
            }
            take(matrix);
        }
        notes.retain(|notes| notes.missing + notes.unseen > 0);
        Ok(TransformNotes { columns: notes })
    }
}

fn damaged(what: String) -> Error {
    Error::model(what, "the model is damaged: copy it again, or train it anew")
}

fn check_columns(columns: &[FittedColumn]) -> Result<()> {
    let mut names = HashSet::new();
    let mut n_buckets = 0_usize;
    for column in columns {
        let name = column.column();
        if !names.insert(name) {
            return Err(damaged(format!("the pipeline prepares column {} twice", shown(name))));
        }
        if let Some(fault) = column.fault() {
            return Err(damaged(format!("the pipeline's column {}: {fault}", shown(name))));
        }
        n_buckets = n_buckets.saturating_add(column.n_buckets());
        if n_buckets > MOST_BUCKETS {
            return Err(damaged(format!("the pipeline hashes into more than {MOST_BUCKETS} buckets")));
        }
    }
    Ok(())
}

fn check_rows(table: &Table, rows: &[RowIdx]) -> Result<()> {
    match rows.iter().max().map(|&row| row as usize) {
        Some(row) if row >= table.n_rows() => Err(Error::data(
            format!("row {} is asked for, of a table of {}", row + 1, counted(table.n_rows(), "row")),
            "take the rows from a split of the same table",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
