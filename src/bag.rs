//! What a model file holds: one model, or several that predict together, each with its own fitted preparation.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::RowIdx;
use crate::data::{Labels, RawTable, Table, TransformNotes};
use crate::error::{Error, Result};
use crate::find_model::find_model;
use crate::model::{Card, Model, PredictNotes};
use crate::model_file;
use crate::train::metrics::Predictions;

/// Models that predict together (bagging: Breiman 1996): the prediction is the mean of theirs, in the target's own
/// unit or as probabilities.
///
/// They predict the same column from the same columns; what each was fitted on is its own.
#[derive(Debug, Clone)]
pub struct Bag {
    /// The members, at least one.
    pub members: Vec<Model>,
    /// What was measured when they were trained.
    pub metrics: Value,
    /// Rows that one or another of them was fitted on or stopped by.
    pub n_train: usize,
}

/// Everything about a bag of several members but their parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BagCard {
    /// The cards of the members.
    pub(crate) members: Vec<Card>,
    metrics: Value,
    n_train: usize,
}

impl Bag {
    /// The card of a file of several members.
    pub(crate) fn card(&self) -> BagCard {
        let members = self.members.iter().map(|model| model.card.clone()).collect();
        BagCard { members, metrics: self.metrics.clone(), n_train: self.n_train }
    }

    /// What was read from a file; `card` is that of several members, its own list taken out.
    pub(crate) fn of_file(members: Vec<Model>, card: Option<BagCard>) -> Self {
        let first = &members[0].card;
        let (metrics, n_train) = match card {
            Some(card) => (card.metrics, card.n_train),
            None => (first.metrics.clone(), first.provenance.n_train),
        };
        Self { members, metrics, n_train }
    }

    /// The first member, which says what is predicted, and from which columns, for all.
    pub fn first(&self) -> &Model {
        &self.members[0]
    }

    /// Reads a model from its file, or from the run folder that holds it.
    pub fn load(path: &Path) -> Result<Self> {
        let path = find_model(path)?;
        let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        Self::from_bytes(&bytes).map_err(|e| match e {
            Error::Model(mut p) => {
                p.what = format!("{}: {}", path.display(), p.what);
                Error::Model(p)
            }
            other => other,
        })
    }

    /// Reads a model from the bytes of its file; bytes that anyone may have made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        model_file::read(bytes)
    }

    /// The bytes of the file: with one member those of its own.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        match &self.members[..] {
            [only] => only.to_bytes(),
            _ => model_file::write_bag(self),
        }
    }

    /// Predicts the rows of a table that are numbered in `rows`: the mean of the members' predictions, added up in their
    /// order. Of unseen categories the notes tell what the member met that knows fewest.
    pub fn predict_rows(&self, raw: &RawTable, rows: &[RowIdx]) -> Result<(Predictions, PredictNotes)> {
        let card = &self.first().card;
        let table = Table::from_raw(raw, &card.schema)?;
        let (mut all, mut notes) = (Vec::new(), TransformNotes::default());
        for member in &self.members {
            let (predictions, met) = member.predict_table(&table, rows)?;
            all.push(predictions);
            notes.join(met);
        }
        let predictions = mean(all);
        let notes = PredictNotes::new(card, &table, notes, &predictions, rows);
        Ok((predictions, notes))
    }

    /// The target column of a table to evaluate on.
    pub fn labels(&self, raw: &RawTable) -> Result<Labels> {
        self.first().labels(raw)
    }
}

/// The mean of the predictions of several models for the same rows, one at least.
pub fn mean(all: Vec<Predictions>) -> Predictions {
    let n = all.len() as f64;
    let mut all = all.into_iter();
    let mut sum = all.next().unwrap_or(Predictions::Values(Vec::new()));
    for other in all {
        let (to, from) = match (&mut sum, other) {
            (Predictions::Values(to), Predictions::Values(from)) => (to, from),
            (Predictions::Probabilities { p: to, .. }, Predictions::Probabilities { p: from, .. }) => {
                (to, from)
            }
            _ => unreachable!("the members of a bag predict the same"),
        };
        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
    }
    if n > 1.0 {
        let (Predictions::Values(numbers) | Predictions::Probabilities { p: numbers, .. }) = &mut sum;
        numbers.iter_mut().for_each(|number| *number /= n);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_taken_number_by_number() {
        let values = |v: [f64; 2]| Predictions::Values(v.to_vec());
        assert_eq!(
            mean(vec![values([1.0, 4.0]), values([2.0, 0.0]), values([6.0, 2.0])]),
            values([3.0, 2.0])
        );
        assert_eq!(mean(vec![values([0.1, f64::MAX])]), values([0.1, f64::MAX]));
        let shares = |p: [f64; 2]| Predictions::Probabilities { n_classes: 2, p: p.to_vec() };
        assert_eq!(mean(vec![shares([0.25, 0.75]), shares([0.75, 0.25])]), shares([0.5, 0.5]));
    }
}
