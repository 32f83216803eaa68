//! A trained model as one file: network, fitted pipeline, schema, parameters, metrics and provenance.
//!
//! The file is in the safetensors format: the tensors by name, and in its metadata one JSON document. Nothing in
//! it is ever run. Sizes are compared with what the file really holds before memory is taken.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use statera_kernels::{CpuLevel, Scalar};

use crate::config::{EmbeddingSpec, LayerSpec, WeightKind};
use crate::data::{
    FeatureKind, Labels, Note, Pipeline, RawTable, Schema, Table, Target, TargetScaler, TaskKind,
    TransformNotes,
};
use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::find_model::find_model;
use crate::nn::{Layer, Loss, Network, View};
use crate::stored::{self, Stored, Stores};
use crate::train::metrics::{Predictions, Truth};

/// The version of the model file's layout: 2 brought binary and sparse weights, 3 the steps of preparation. Older ones are
/// read, newer ones refused.
pub const FORMAT_VERSION: u32 = 3;
/// The model's file name inside a run folder.
pub const MODEL_FILE: &str = "model.safetensors";
/// The entry of the file's metadata that describes the model.
const METADATA_KEY: &str = "statera";
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
    /// The rows of the table, from 0 on, whose predictions are not finite.
    pub not_finite: Vec<usize>,
}

/// The description in a file's metadata, as far as every version has it.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

/// The description in a file's metadata: the card, and the checksum of card and parameters.
#[derive(Deserialize)]
struct Sealed<'a> {
    sha256: String,
    #[serde(borrow)]
    card: &'a RawValue,
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
    pub fn predict_rows(&self, raw: &RawTable, rows: &[usize]) -> Result<(Predictions, PredictNotes)> {
        let table = Table::from_raw(raw, &self.card.schema)?;
        // Part by part: all rows at once would take as much memory as there are rows times inputs.
        let part_rows = (PREPARED_NUMBERS / self.card.n_inputs.max(1)).max(1);
        let mut outputs = Vec::new();
        let take = |x: Vec<f64>| outputs.extend(self.run(&x));
        let transform = self.card.pipeline.transform_parts(&table, rows, part_rows, take)?;
        let mut ignored = table.ignored().to_vec();
        ignored.retain(|name| *name != self.card.target.column);
        let predictions = self.predictions(outputs);
        let not_finite = not_finite(&predictions, rows);
        Ok((predictions, PredictNotes { cells: table.notes().to_vec(), transform, ignored, not_finite }))
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
        let card = serde_json::to_string(&self.card)
            .map_err(|e| Error::model(format!("the model cannot be written as JSON: {e}"), ""))?;
        let stored = match &self.params {
            Params::F32(p) => self.stored(p),
            Params::F64(p) => self.stored(p),
        };
        let mut tensors = Vec::new();
        for tensor in &stored {
            let view = tensor.view().map_err(|e| Error::model(format!("tensor {}: {e}", tensor.name), ""))?;
            tensors.push((tensor.name.clone(), view));
        }
        let sha256 = checksum(&card, stored.iter().map(|tensor| &tensor.data[..]));
        // One entry, not several: a map has no order, and the same model is the same bytes.
        let text = format!(r#"{{"format_version":{FORMAT_VERSION},"sha256":"{sha256}","card":{card}}}"#);
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), text)]);
        safetensors::serialize(tensors, Some(metadata))
            .map_err(|e| Error::model(format!("the model cannot be written: {e}"), ""))
    }

    /// The tensors of the file.
    fn stored<T: Stores>(&self, params: &[T]) -> Vec<Stored> {
        self.network.views().iter().flat_map(|view| stored::tensors(view, params)).collect()
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
        let damaged = |what: String| {
            Error::model(
                what,
                "give a run folder or its model.safetensors; a model that is damaged: train again",
            )
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| {
            damaged(format!("expected a model file, found something else or a part of one ({e})"))
        })?;
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|e| damaged(format!("expected a whole model file, found a damaged one ({e})")))?;
        let metadata = header.metadata().as_ref();
        let text = metadata
            .and_then(|m| m.get(METADATA_KEY))
            .ok_or_else(|| damaged(format!("the file's metadata has no entry `{METADATA_KEY}`")))?;
        let unreadable = |e| damaged(format!("the description of the model cannot be read: {e}"));
        // The version comes first: of a newer file nothing else is known.
        let version = serde_json::from_str::<Version>(text).map_err(unreadable)?.format_version;
        if version > FORMAT_VERSION {
            return Err(Error::model(
                format!("the file has format version {version}; this Statera reads up to {FORMAT_VERSION}"),
                "install a newer Statera, or train again with this one",
            ));
        }
        let sealed: Sealed = serde_json::from_str(text).map_err(unreadable)?;
        let card: Card = serde_json::from_str(sealed.card.get()).map_err(unreadable)?;
        // What the layers ask for is compared with what the file holds before any of it is made.
        let has = |name: &str| tensors.tensor(name).is_ok();
        check_layers(&card, bytes.len(), tensors.len(), &has).map_err(damaged)?;
        let network = Network::from_specs(card.layers.clone(), card.n_inputs);
        check_card(&card, &network).map_err(damaged)?;

        // Every tensor has to have exactly the shape that the layers ask for before memory is taken for them.
        let has = |name: &str| tensors.tensor(name).is_ok();
        let views = network.views();
        let names: Vec<String> =
            views.iter().flat_map(|view| stored::names(view.kind(), &view.name, has)).collect();
        if names.len() != tensors.len() {
            return Err(damaged(format!("expected {} tensors, found {}", names.len(), tensors.len())));
        }
        let parts = names.iter().filter_map(|name| tensors.tensor(name).ok());
        let mut dtypes = parts.clone().map(|tensor| tensor.dtype());
        let sum = checksum(sealed.card.get(), parts.map(|tensor| tensor.data()));
        let is_right = sum == sealed.sha256;
        let params = match dtypes.find(|dtype| matches!(dtype, Dtype::F32 | Dtype::F64)) {
            Some(Dtype::F64) => Params::F64(read_params(views, &tensors, is_right).map_err(damaged)?),
            _ => Params::F32(read_params(views, &tensors, is_right).map_err(damaged)?),
        };
        Ok(Self { card, network, params })
    }
}

/// The parameter vector out of the tensors of a file, whose checksum is right or not.
fn read_params<T: Stores>(
    views: &[View],
    file: &SafeTensors,
    is_right: bool,
) -> std::result::Result<Vec<T>, String> {
    let found: Vec<_> =
        views.iter().map(|view| stored::find::<T>(view, file)).collect::<std::result::Result<_, _>>()?;
    if !is_right {
        return Err("the checksum does not agree with the content".into());
    }
    let mut params = Vec::new();
    for (view, tensors) in views.iter().zip(&found) {
        stored::read(view, tensors, &mut params)?;
    }
    Ok(params)
}

/// The numbered rows whose predictions hold a number that is not finite.
fn not_finite(predictions: &Predictions, rows: &[usize]) -> Vec<usize> {
    let (n, numbers) = match predictions {
        Predictions::Values(values) => (1, values),
        Predictions::Probabilities { n_classes, p } => (*n_classes, p),
    };
    let parts = numbers.chunks(n.max(1)).zip(rows);
    parts.filter(|(part, _)| part.iter().any(|v| !v.is_finite())).map(|(_, &row)| row).collect()
}

/// Whether a file of `n_bytes` with `n_tensors` can hold what the card's layers ask for, and whether each
/// layer's settings are ones that can be computed with. Sums that overflow ask for more than any file holds.
fn check_layers(
    card: &Card,
    n_bytes: usize,
    n_tensors: usize,
    has: &dyn Fn(&str) -> bool,
) -> std::result::Result<(), String> {
    let (width, params, numbers, tensors, features) = (card.n_inputs, 0, 0, 0, 0);
    let mut asked = Asked { width, members: 1, params, numbers, tensors, features, n_bytes, has };
    asked.add_list("layers", &card.layers)?;
    if asked.tensors != n_tensors {
        return Err(format!("the layers need {} tensors, the file has {n_tensors}", asked.tensors));
    }
    Ok(())
}

/// What layers ask for, added up.
struct Asked<'f> {
    /// Features of a row after them, of all members of an ensemble together.
    width: usize,
    members: usize,
    /// Numbers or bytes that have to be in the file.
    params: usize,
    /// The numbers of weights that are stored in less space, written out.
    numbers: usize,
    tensors: usize,
    /// The features of all their outputs.
    features: usize,
    /// What the file has.
    n_bytes: usize,
    /// Whether it has a tensor of this name.
    has: &'f dyn Fn(&str) -> bool,
}

impl Asked<'_> {
    fn add_list(&mut self, list: &str, layers: &[LayerSpec]) -> std::result::Result<(), String> {
        layers.iter().enumerate().try_for_each(|(i, layer)| self.add(&format!("{list}.{i}"), layer))
    }

    fn add(&mut self, name: &str, layer: &LayerSpec) -> std::result::Result<(), String> {
        // Layers without parameters cost nothing in the file, yet as much memory as others.
        const FEATURES_PER_BYTE: usize = 16;
        let width = self.width;
        let (asked, added) = match layer {
            LayerSpec::Dense { units: 0, .. } => return Err(format!("{name} (dense): it has no units")),
            LayerSpec::Dense { drop_connect, .. } if !(0.0..1.0).contains(drop_connect) => {
                return Err(format!("{name} (dense): drop_connect {drop_connect}"));
            }
            LayerSpec::Dense { packed: true, .. } if self.members == 1 => {
                return Err(format!("{name} (dense): packed without members"));
            }
            LayerSpec::Dense { packed: true, weights: Some(_), .. } => {
                return Err(format!("{name} (dense): packed members have continuous weights"));
            }
            LayerSpec::Dense { units, bias, packed, weights, .. } => {
                // Too wide a row is found below.
                self.width = units.saturating_mul(self.members);
                let inputs = width / self.members;
                let parts = stored::names(*weights, &format!("{name}.weight"), self.has).len();
                // What a weight has at least in the file, one byte a number counted.
                let (asked, written_out) = match weights {
                    Some(WeightKind::Binary) => {
                        (inputs.checked_mul(units.div_ceil(8)), inputs.checked_mul(*units))
                    }
                    Some(WeightKind::Sparse) if parts > 1 => (Some(*units), inputs.checked_mul(*units)),
                    _ => (inputs.checked_mul(if *packed { self.width } else { *units }), Some(0)),
                };
                let numbers = written_out.and_then(|n| self.numbers.checked_add(n));
                let numbers = numbers.filter(|&n| n <= stored::most_numbers(self.n_bytes));
                self.numbers = numbers.unwrap_or(self.numbers);
                let n_biases = if *packed { self.width } else { *units };
                let biases = if *bias { n_biases } else { 0 };
                let asked = asked.filter(|_| numbers.is_some()).and_then(|n| n.checked_add(biases));
                (asked, parts + usize::from(*bias))
            }
            LayerSpec::BatchNorm { momentum, epsilon } => {
                if !(0.0..1.0).contains(momentum) || *epsilon <= 0.0 {
                    return Err(format!("{name} (batch_norm): momentum {momentum}, epsilon {epsilon}"));
                }
                (width.checked_mul(4), 4)
            }
            LayerSpec::Dropout { rate } => {
                if !(0.0..1.0).contains(rate) {
                    return Err(format!("{name} (dropout): rate {rate}"));
                }
                (Some(0), 0)
            }
            LayerSpec::Activation { .. } => (Some(0), 0),
            LayerSpec::ParametricActivation { .. } => (Some(width), 1),
            LayerSpec::LayerNorm { epsilon } => {
                if epsilon.is_nan() || *epsilon <= 0.0 {
                    return Err(format!("{name} (layer_norm): epsilon {epsilon}"));
                }
                (width.checked_mul(2), 2)
            }
            LayerSpec::GaussianNoise { std } => {
                if !(0.0..=f64::MAX).contains(std) {
                    return Err(format!("{name} (gaussian_noise): std {std}"));
                }
                (Some(0), 0)
            }
            LayerSpec::Scale { bias, .. } => {
                let tensors = 1 + usize::from(*bias);
                (width.checked_mul(tensors), tensors)
            }
            LayerSpec::Members { count } => {
                if *count < 2 || self.members > 1 {
                    return Err(format!("{name} (members): count {count}, behind {} members", self.members));
                }
                (self.width, self.members) = (width.saturating_mul(*count), *count);
                (Some(0), 0)
            }
            LayerSpec::Embedding { columns } => {
                let (made, asked) = check_embedding(columns, width, name)?;
                self.width = made;
                asked
            }
            LayerSpec::Residual { layers } => {
                let members = self.members;
                self.add_list(name, layers)?;
                if self.members != members || self.width != width {
                    let made = self.width;
                    return Err(format!("{name} (residual): its layers make {made} features of {width}"));
                }
                (Some(0), 0)
            }
        };
        let total = asked.and_then(|n| self.params.checked_add(n)).filter(|&n| n <= self.n_bytes);
        let wide = self.features.checked_add(self.width).filter(|&n| n / FEATURES_PER_BYTE <= self.n_bytes);
        let (Some(total), Some(wide)) = (total, wide) else {
            let kind = serde_json::to_value(layer).map_or(String::new(), |v| v["type"].to_string());
            return Err(format!("{name} ({}) asks for more than the file holds", kind.trim_matches('"')));
        };
        (self.params, self.features, self.tensors) = (total, wide, self.tensors + added);
        Ok(())
    }
}

/// The outputs of an embedding of `n_inputs`, and its parameters and tensors, unless it cannot be the layer `name`.
fn check_embedding(
    columns: &[EmbeddingSpec],
    n_inputs: usize,
    name: &str,
) -> std::result::Result<(usize, (Option<usize>, usize)), String> {
    let wrong = |what: &str| Err(format!("{name} (embedding): {what}"));
    if name != "layers.0" {
        return wrong("it is not the first layer");
    }
    let (mut taken, mut made, mut params, mut tensors) = (0_usize, 0_usize, Some(0_usize), 0);
    for column in columns {
        if let Some(fault) = column.fault() {
            return wrong(fault);
        }
        taken = taken.saturating_add(column.n_inputs());
        made = made.saturating_add(column.n_outputs());
        let (n, n_tensors) = column.size().map_or((None, 0), |(n, n_tensors)| (Some(n), n_tensors));
        params = params.and_then(|sum| sum.checked_add(n?));
        tensors += n_tensors;
    }
    if taken != n_inputs {
        return wrong(&format!("it takes {taken} inputs of {n_inputs}"));
    }
    Ok((made, (params, tensors)))
}

/// Whether the parts of a card fit each other.
fn check_card(card: &Card, network: &Network) -> std::result::Result<(), String> {
    let n_features = card.pipeline.features().len();
    if card.n_inputs == 0 || card.n_inputs != n_features {
        return Err(format!("the network has {} inputs, the pipeline makes {n_features}", card.n_inputs));
    }
    let columns = match card.layers.first() {
        Some(LayerSpec::Embedding { columns }) => &columns[..],
        _ => &[],
    };
    if let Some(column) = unfit_feature(&card.pipeline, columns) {
        return Err(format!("the network does not take column {column:?} as the pipeline prepares it"));
    }
    if network.n_outputs() != card.target.n_outputs() {
        let (n, wanted) = (network.n_outputs(), card.target.n_outputs());
        return Err(format!("the network has {n} outputs, the target needs {wanted}"));
    }
    if card.target.scaler.std <= 0.0 {
        return Err(format!("the target's scale is {}, expected a number above 0", card.target.scaler.std));
    }
    let n_classes = card.target.classes.len();
    let fits = match card.target.task {
        TaskKind::Regression => n_classes == 0 && !card.loss.is_classification(),
        TaskKind::Binary => n_classes == 2 && card.loss.is_binary(),
        TaskKind::Multiclass => n_classes >= 2 && card.loss.is_categorical(),
    };
    if !fits {
        return Err(format!(
            "{} with {n_classes} classes does not go with {:?}",
            card.target.task, card.loss
        ));
    }
    Ok(())
}

/// The column of the first feature that the embedding (none: all as they are) would take for something else.
fn unfit_feature<'a>(pipeline: &'a Pipeline, columns: &[EmbeddingSpec]) -> Option<&'a str> {
    let mut taken = columns.iter().flat_map(|column| std::iter::repeat_n(column, column.n_inputs()));
    let unfit = |kind: &FeatureKind| match (*kind, taken.next()) {
        (FeatureKind::Code { n_levels }, spec) => {
            !matches!(spec, Some(EmbeddingSpec::Table { levels, .. }) if *levels == n_levels)
        }
        (FeatureKind::Position { n_bins }, spec) => {
            !matches!(spec, Some(EmbeddingSpec::Ple { bins, .. }) if *bins == n_bins)
        }
        (FeatureKind::Number, Some(EmbeddingSpec::Plr { .. } | EmbeddingSpec::Pbld { .. })) => false,
        (FeatureKind::Number | FeatureKind::Part, spec) => {
            !matches!(spec, None | Some(EmbeddingSpec::Plain { .. }))
        }
    };
    let features = pipeline.features();
    let at = features.iter().map(|feature| &feature.kind).position(unfit)?;
    Some(&features[at].column)
}

/// SHA-256 of the card and the tensors, in hexadecimal.
fn checksum<'t>(card: &str, tensors: impl Iterator<Item = &'t [u8]>) -> String {
    let mut hasher = Sha256::new();
    hasher.update(card.as_bytes());
    tensors.for_each(|tensor| hasher.update(tensor));
    hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The truth of the rows numbered in `rows`, in the form that metrics take.
pub fn truth_of(target: &Target, rows: &[usize]) -> OwnedTruth {
    match target {
        Target::Values(values) => OwnedTruth::Values(rows.iter().map(|&r| values[r]).collect()),
        Target::Classes { codes, .. } => OwnedTruth::Classes(rows.iter().map(|&r| codes[r]).collect()),
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
    /// The truth, borrowed.
    pub fn view(&self) -> Truth<'_> {
        match self {
            Self::Values(values) => Truth::Values(values),
            Self::Classes(classes) => Truth::Classes(classes),
        }
    }
}
