//! A trained model on tables of any size: block after block of rows, as they are read.

use crate::bag::Bag;
use crate::data::table::Note;
use crate::data::words::{counted, instead, shown};
use crate::data::{GroupNumbers, RawTable, RowIdx, TableReader};
use crate::error::{Error, Result};
use crate::model::{OwnedTruth, PredictNotes, truth_of};
use crate::train::metrics::Predictions;

/// Predicts the rows of a table and gives them to `take`, piece by piece in the order of the table, each with the rows that
/// it is of.
///
/// A column of which no cell can be read is an error ([`PredictNotes::check`]), unless that is allowed; where
/// the table is a single piece, before anything is taken.
pub fn predict_table(
    model: &Bag,
    reader: &mut TableReader,
    allow_blank: bool,
    mut take: impl FnMut(&RawTable, Predictions) -> Result<()>,
) -> Result<PredictNotes> {
    let (mut notes, mut n_rows) = (PredictNotes::default(), 0);
    let mut next = reader.next_block()?;
    while let Some(block) = next {
        let rows: Vec<RowIdx> = (0..block.n_rows() as RowIdx).collect();
        let (predictions, more) = model.predict_rows(&block, &rows)?;
        notes.append(more, block.first_row());
        n_rows += rows.len();
        next = reader.next_block()?;
        if next.is_none() && !allow_blank {
            notes.check(model, n_rows)?;
        }
        take(&block, predictions)?;
    }
    Ok(notes)
}

/// The columns of a table that are to stand beside its predictions, by their names.
pub fn kept_columns(table: &RawTable, names: &[String]) -> Result<Vec<usize>> {
    let mut kept = Vec::with_capacity(names.len());
    for name in names {
        let index = table.column_index(name).ok_or_else(|| {
            Error::setting(
                format!("--keep: there is no column {} in {}", shown(name), table.source.display()),
                instead(name, table.names()),
            )
        })?;
        if let Some(what) = table.foreign(index) {
            return Err(Error::setting(
                format!("--keep: the cells of column {} are no text or numbers ({what})", shown(name)),
                "another column",
            ));
        }
        if kept.contains(&index) {
            return Err(Error::setting(
                format!("--keep: column {} is named twice", shown(name)),
                "name it once",
            ));
        }
        kept.push(index);
    }
    Ok(kept)
}

impl PredictNotes {
    /// Most rows that are named whose predictions are not finite.
    const MOST_NAMED: usize = 1 << 20;

    /// Fails where a column of which training has never lacked a cell has none that can be read among `n_rows` rows: all
    /// predictions would be made as if it were not there. A single row may lack a cell, but not hold one of another kind.
    pub fn check(&self, model: &Bag, n_rows: usize) -> Result<()> {
        const MOST: usize = 3;
        let refused = |name: &str| self.cells.iter().find(|note| note.column == name);
        let pipeline = &model.first().card.pipeline;
        let mut found = self.transform.columns.iter().filter(|of| {
            let known = pipeline.columns().iter().any(|c| c.column() == of.column && c.knows_missing());
            of.missing == n_rows && n_rows > 0 && !known && (n_rows > 1 || refused(&of.column).is_some())
        });
        let Some(of) = found.next() else { return Ok(()) };
        let why = match refused(&of.column) {
            Some(note) => note.found(),
            None => format!("column {}: every cell is missing", shown(&of.column)),
        };
        let others: Vec<&str> = found.map(|of| of.column.as_str()).collect();
        let told = others.iter().take(MOST - 1).map(|name| match refused(name) {
            Some(note) => note.found(),
            None => format!("column {}, where every cell is missing", shown(name)),
        });
        let mut also: String = told.map(|told| format!("; nor any of {told}")).collect();
        if let Some(more) = others.len().checked_sub(MOST - 1).filter(|more| *more > 0) {
            also += &format!("; nor any of {}", counted(more, "further column"));
        }
        Err(Error::data(
            format!(
                "{why}; none of its {} can be read, and training has lacked none{also}",
                counted(n_rows, "cell")
            ),
            if others.is_empty() {
                "mend the column, or --allow-blank to go on as if its cells were like those of training"
            } else {
                "mend the columns, or --allow-blank to go on as if their cells were like those of training"
            },
        ))
    }

    /// Adds what was noted of further rows, of which the first is row `first_row` of the table.
    pub(crate) fn append(&mut self, more: Self, first_row: usize) {
        for note in more.cells {
            match self.cells.iter_mut().find(|known| known.column == note.column) {
                Some(known) => {
                    known.count += note.count;
                    let word =
                        |first: &str| first.rsplit_once(": expected ").map(|(_, rest)| rest.to_owned());
                    let of_first = word(&known.first).unwrap_or_default();
                    let room = Note::MOST_OTHERS.saturating_sub(known.others.len());
                    let new = note.others.into_iter().filter(|text| !of_first.contains(&shown(text)));
                    let new: Vec<String> =
                        new.filter(|text| !known.others.contains(text)).take(room).collect();
                    known.others.extend(new);
                }
                None => self.cells.push(note),
            }
        }
        self.transform.append(more.transform);
        self.ignored = more.ignored;
        self.n_not_finite += more.n_not_finite;
        let left = Self::MOST_NAMED - self.not_finite.len();
        self.not_finite.extend(more.not_finite.into_iter().take(left).map(|row| first_row + row));
    }
}

/// What a model says of the rows of a table that have a target, and the target.
#[derive(Debug)]
pub struct Evaluated {
    /// What the model says.
    pub predictions: Predictions,
    /// What is so.
    pub truth: OwnedTruth,
    /// What the table held that the model had to make allowances for.
    pub notes: PredictNotes,
    /// Rows without a target, which are left out.
    pub n_missing: usize,
    /// The group of each row, where the model's split kept groups together and the table has their column.
    pub groups: Option<Vec<u32>>,
}

/// Whether no row of a table has a target, though the column is there.
fn lacks_targets(model: &Bag, raw: &RawTable) -> bool {
    let index = raw.column_index(&model.first().card.target.column);
    index.is_some_and(|index| (0..raw.n_rows()).all(|row| raw.is_missing(row, index)))
}

/// Predicts the rows of a table that have a target; what is kept is the predictions and the targets. Columns of which no
/// cell can be read are an error as for [`predict_table`].
///
/// `see` is given each block of rows before it is predicted.
pub fn evaluate_table(
    model: &Bag,
    reader: &mut TableReader,
    allow_blank: bool,
    see: &mut dyn FnMut(&RawTable),
) -> Result<Evaluated> {
    let mut all: Option<(Predictions, OwnedTruth)> = None;
    let (mut notes, mut n_missing) = (PredictNotes::default(), 0);
    // A block without any target says nothing, unless all are.
    let mut blank: Option<RawTable> = None;
    let group = Some(&model.first().card.provenance.group).filter(|group| !group.is_empty());
    let (mut numbers, mut groups) = (GroupNumbers::default(), Vec::new());
    let mut has_groups = group.is_some();
    while let Some(block) = reader.next_block()? {
        see(&block);
        if lacks_targets(model, &block) {
            n_missing += block.n_rows();
            blank.get_or_insert(block);
            continue;
        }
        let labels = model.labels(&block)?;
        let (predictions, more) = model.predict_rows(&block, &labels.rows)?;
        notes.append(more, block.first_row());
        n_missing += labels.missing.len();
        match group.and_then(|group| block.column_index(group)) {
            Some(index) => {
                groups
                    .extend(labels.rows.iter().map(|&row| numbers.number(block.value(row as usize, index))));
            }
            None => has_groups = false,
        }
        let truth = truth_of(&labels.target, &labels.rows);
        match &mut all {
            None => all = Some((predictions, truth)),
            Some((p, t)) => {
                p.append(predictions);
                t.append(truth);
            }
        }
    }
    let (predictions, truth) = if let Some(all) = all {
        if !allow_blank {
            notes.check(model, all.0.len())?;
        }
        all
    } else {
        // The error of a column without a target, which a table of no rows is not.
        let labels = model.labels(&blank.unwrap_or_default())?;
        (Predictions::Values(Vec::new()), truth_of(&labels.target, &[]))
    };
    Ok(Evaluated { predictions, truth, notes, n_missing, groups: has_groups.then_some(groups) })
}
