//! A trained model: network, fitted pipeline, schema, parameters, metrics and provenance, and how it predicts.

use std::any::Any;
use std::path::Path;

use serde::{Deserialize, Serialize};
use statera_kernels::{CpuLevel, Scalar};

use crate::bag::Bag;
use crate::config::LayerSpec;
use crate::data::RowIdx;
use crate::data::{
    Labels, Note, Pipeline, RawTable, Schema, Table, Target, TargetScaler, TaskKind, TransformNotes,
};
use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::model_file;
use crate::nn::{Layer, Loss, Network};
use crate::train::metrics::{Predictions, Truth};

/// The model's file name inside a run folder.
pub const MODEL_FILE: &str = "model.safetensors";
/// The most rows that are predicted together.
const PREDICT_ROWS: usize = 256;
/// The most numbers that the outputs of all layers take for those rows; networks beyond it get fewer rows.
const PREDICT_NUMBERS: usize = 1 << 24;

/// The most numbers of prepared inputs that are held at a time while rows of a table are predicted.
const PREPARED_NUMBERS: usize = 1 << 22;

/// What the model predicts, and how its outputs become predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSpec {
    /// The target column.
    pub column: String,
    /// What kind of prediction.
    pub task: TaskKind,
    /// The classes, in the order of the outputs; empty for a number.
    pub classes: Vec<String>,
    /// From the target's own units to the network's and back.
    pub scaler: TargetScaler,
}

impl TargetSpec {
    /// How many outputs the network needs.
    pub fn n_outputs(&self) -> usize {
        match self.task {
            TaskKind::Regression | TaskKind::Binary => 1,
            TaskKind::Multiclass => self.classes.len(),
        }
    }
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The version of Statera that trained it.
    pub statera: String,
    /// The seed.
    pub seed: u64,
    /// SHA-256 of the file it was trained on.
    pub data_sha256: String,
    /// Rows it was fitted on.
    pub n_train: usize,
    /// The column whose groups no part of its split shared; empty where there was none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
}

/// Everything about a model but its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// What is predicted.
    pub target: TargetSpec,
    /// The loss it was trained with, which also says how outputs become predictions.
    pub loss: Loss,
    /// Input features of the network.
    pub n_inputs: usize,
    /// Layers, the output layer included.
    pub layers: Vec<LayerSpec>,
    /// What the columns of the table are.
    pub schema: Schema,
    /// How columns become inputs, fitted on the training rows.
    pub pipeline: Pipeline,
    /// Cells that count as missing.
    pub null: Vec<String>,
    /// What was measured when it was trained.
    pub metrics: serde_json::Value,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// The parameter vector in the precision that it was trained in.
#[derive(Debug, Clone, PartialEq)]
pub enum Params {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl Params {
    /// These numbers, whichever of the two precisions they are in.
    pub fn of<T: Scalar + 'static>(params: Vec<T>) -> Self {
        let any: Box<dyn Any> = Box::new(params);
        match any.downcast::<Vec<f32>>() {
            Ok(params) => Self::F32(*params),
            Err(any) => match any.downcast::<Vec<f64>>() {
                Ok(params) => Self::F64(*params),
                Err(_) => unreachable!("numbers are of one of the two types"),
            },
        }
    }

    /// The numbers, if they are of this type.
    pub fn numbers<T: Scalar + 'static>(&self) -> Option<&[T]> {
        let any: &dyn Any = match self {
            Self::F32(params) => params,
            Self::F64(params) => params,
        };
        any.downcast_ref::<Vec<T>>().map(Vec::as_slice)
    }
}

/// A trained model.
#[derive(Debug, Clone)]
pub struct Model {
    /// Everything but the parameters.
    pub card: Card,
    /// The network that the card's layers make.
    pub network: Network,
    /// Its parameters.
    pub params: Params,
}

/// What a table to predict held that the model had to make allowances for.
#[derive(Debug, Clone, Default)]
pub struct PredictNotes {
    /// Cells that could not be read.
    pub cells: Vec<Note>,
    /// Missing cells and unseen categories by column.
    pub transform: TransformNotes,
    /// Columns that the model does not use.
    pub ignored: Vec<String>,
    /// How many predictions are not finite.
    pub n_not_finite: usize,
    /// The first million rows of the table, from 0 on, whose predictions are not finite.
    pub not_finite: Vec<usize>,
}

impl Model {
    /// Puts a model together; the parameters are those of `Network::from_specs(card.layers)`.
    pub fn new(card: Card, params: Params) -> Self {
        let network = Network::from_specs(card.layers.clone(), card.n_inputs);
        Self { card, network, params }
    }

    /// Outputs of the network (rows×outputs) for prepared inputs (rows×inputs), after the loss's link.
    pub fn run(&self, x: &[f64]) -> Vec<f64> {
        match &self.params {
            Params::F32(params) => self.run_in(params, x),
            Params::F64(params) => self.run_in(params, x),
        }
    }

    fn run_in<T: Scalar>(&self, params: &[T], x: &[f64]) -> Vec<f64> {
        let x: Vec<T> = x.iter().map(|&v| T::from_f64(v)).collect();
        let n_features: usize = self.network.layers().iter().map(Layer::out_features).sum();
        let n_numbers = PREDICT_NUMBERS / rayon::current_num_threads();
        let n_rows = (n_numbers / n_features.max(1)).clamp(1, PREDICT_ROWS);
        let (n_x, n_outputs) = (x.len() / self.network.n_inputs(), self.network.n_outputs());
        let mut works = self.network.inference_workspaces(n_x, n_rows);
        self.network.compress(params, &mut works);
        let mut outputs = vec![T::ZERO; n_x * n_outputs];
        self.network.raw_outputs_on_threads(
            CpuLevel::detect(),
            params,
            self.card.loss,
            &x,
            &mut works,
            &mut outputs,
        );
        self.card.loss.predict(&mut outputs, n_outputs);
        outputs.into_iter().map(T::to_f64).collect()
    }

    /// Predicts prepared inputs (rows×inputs): numbers in the target's own units, or probabilities.
    pub fn predict_prepared(&self, x: &[f64]) -> Predictions {
        self.predictions(self.run(x))
    }

    /// What outputs after the loss's link say of the target.
    fn predictions(&self, mut outputs: Vec<f64>) -> Predictions {
        let target = &self.card.target;
        match target.task {
            TaskKind::Regression => {
                for y in &mut outputs {
                    *y = target.scaler.inverse(*y);
                }
                Predictions::Values(outputs)
            }
            TaskKind::Binary => {
                let p = outputs.into_iter().flat_map(|p| [1.0 - p, p]).collect();
                Predictions::Probabilities { n_classes: 2, p }
            }
            TaskKind::Multiclass => {
                Predictions::Probabilities { n_classes: target.classes.len(), p: outputs }
            }
        }
    }

    /// Predicts the rows of a table that are numbered in `rows`.
    pub fn predict_rows(&self, raw: &RawTable, rows: &[RowIdx]) -> Result<(Predictions, PredictNotes)> {
        let table = Table::from_raw(raw, &self.card.schema)?;
        let (predictions, transform) = self.predict_table(&table, rows)?;
        let notes = PredictNotes::new(&self.card, &table, transform, &predictions, rows);
        Ok((predictions, notes))
    }

    /// The same of a table that has been read with the model's schema.
    pub(crate) fn predict_table(
        &self,
        table: &Table,
        rows: &[RowIdx],
    ) -> Result<(Predictions, TransformNotes)> {
        // Part by part: all rows at once would take as much memory as there are rows times inputs.
        let part_rows = (PREPARED_NUMBERS / self.card.n_inputs.max(1)).max(1);
        let mut outputs = Vec::new();
        let take = |x: Vec<f64>| outputs.extend(self.run(&x));
        let transform = self.card.pipeline.transform_parts(table, rows, part_rows, take)?;
        Ok((self.predictions(outputs), transform))
    }

    /// The target column of a table to evaluate on.
    pub fn labels(&self, raw: &RawTable) -> Result<Labels> {
        let target = &self.card.target;
        Labels::for_evaluation(raw, &target.column, target.task, &target.classes)
    }

    /// Writes the model to `path`, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_atomically(path, &self.to_bytes()?)
    }

    /// The model as the bytes of its file.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        model_file::write_one(self)
    }

    /// Reads a model from its file, or from the run folder that holds it; one of several members is refused.
    pub fn load(path: &Path) -> Result<Self> {
        only(Bag::load(path)?)
    }

    /// Reads a model from the bytes of its file; bytes that anyone may have made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        only(Bag::from_bytes(bytes)?)
    }
}

/// The only member of a bag.
fn only(bag: Bag) -> Result<Model> {
    let n = bag.members.len();
    let first = bag.members.into_iter().next();
    first.filter(|_| n == 1).ok_or_else(|| {
        Error::model(format!("the model is a bag of {n} members, not a single one"), "read it as a `Bag`")
    })
}

impl PredictNotes {
    /// What is to be said of predictions for the numbered rows of a table.
    pub(crate) fn new(
        card: &Card,
        table: &Table,
        transform: TransformNotes,
        predictions: &Predictions,
        rows: &[RowIdx],
    ) -> Self {
        let mut ignored = table.ignored().to_vec();
        ignored.retain(|name| *name != card.target.column);
        let not_finite = not_finite(predictions, rows);
        let (cells, n_not_finite) = (table.notes().to_vec(), not_finite.len());
        Self { cells, transform, ignored, n_not_finite, not_finite }
    }
}

/// The numbered rows whose predictions hold a number that is not finite.
fn not_finite(predictions: &Predictions, rows: &[RowIdx]) -> Vec<usize> {
    let (n, numbers) = match predictions {
        Predictions::Values(values) => (1, values),
        Predictions::Probabilities { n_classes, p } => (*n_classes, p),
    };
    let parts = numbers.chunks(n.max(1)).zip(rows);
    parts.filter(|(part, _)| part.iter().any(|v| !v.is_finite())).map(|(_, &row)| row as usize).collect()
}

/// The truth of the rows numbered in `rows`, in the form that metrics take.
pub fn truth_of(target: &Target, rows: &[RowIdx]) -> OwnedTruth {
    match target {
        Target::Values(values) => OwnedTruth::Values(rows.iter().map(|&r| values[r as usize]).collect()),
        Target::Classes { codes, .. } => {
            OwnedTruth::Classes(rows.iter().map(|&r| codes[r as usize]).collect())
        }
    }
}

/// What predictions are compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnedTruth {
    /// Numbers in the target's own units.
    Values(Vec<f64>),
    /// Class indices.
    Classes(Vec<u32>),
}

impl OwnedTruth {
    /// Adds the truth of the rows that follow.
    pub fn append(&mut self, more: Self) {
        match (self, more) {
            (Self::Values(all), Self::Values(more)) => all.extend(more),
            (Self::Classes(all), Self::Classes(more)) => all.extend(more),
            _ => unreachable!("a target is of one kind"),
        }
    }

    /// The truth, borrowed.
    pub fn view(&self) -> Truth<'_> {
        match self {
            Self::Values(values) => Truth::Values(values),
            Self::Classes(classes) => Truth::Classes(classes),
        }
    }
}
