//! What has become of a trained network's layers on the rows of a table: how large what they make and their gradients
//! are, and which units no longer learn, because they are dead or saturated.

use serde::Serialize;
use statera_kernels::{Activation, CpuLevel, Scalar};

use super::start::{Kind, LayerScale, Trouble, each_layer, scales, without_noise};
use crate::config::{self, LayerSpec};
use crate::data::RowIdx;
use crate::data::{Labels, RawTable, Table, Target};
use crate::error::Result;
use crate::model::{Model, Params};
use crate::nn::{Layer, Mode, Network, Pass};
use crate::train::fit::OwnedTargets;
use crate::train::start::some_rows;

/// The most rows that are looked at.
const ROWS: usize = 4096;
/// The most numbers that the outputs of all layers on these rows may hold.
const NUMBERS: usize = 20_000_000;
/// A slope is small below this share of the function's steepest.
const SMALL_SLOPE: f64 = 0.05;
/// A unit is saturated where its slope is small for this share of the rows.
const MOST_ROWS: f64 = 0.95;
/// Dead or saturated units are told of from this share of a layer on.
const TOLD_FROM: f64 = 0.25;

/// How many units of a layer no longer learn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Units {
    /// All of them; of an ensemble those of all members.
    pub n: usize,
    /// Those whose f′(z) is exactly 0 for every row: no gradient passes, whatever the loss.
    pub dead: usize,
    /// Others whose f′(z) is below a twentieth of the steepest slope of f for 95 % of the rows or more.
    pub saturated: usize,
}

/// A layer with its sizes and, where it has an activation, its units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerState {
    /// Root mean squares of outputs, weights and gradients.
    #[serde(flatten)]
    pub scale: LayerScale,
    /// The units of its activation, but for a linear one.
    pub units: Option<Units>,
}

/// Something wrong with a layer, and what may help.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What is wrong.
    #[serde(flatten)]
    pub trouble: Trouble,
    /// What may help, in words and settings.
    pub remedy: &'static str,
}

/// A trained network on the rows of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerReport {
    /// Rows that were looked at.
    pub n_rows: usize,
    /// Root mean square of the inputs.
    pub inputs: f64,
    /// The mean loss over the rows.
    pub loss: f64,
    /// Layer by layer, dropout and noise left out.
    pub layers: Vec<LayerState>,
    /// What is wrong; nothing at best.
    pub findings: Vec<Finding>,
}

/// The layers of a model on the rows of `raw` numbered in `rows`, which have labels; of more than 4,096 rows so many
/// are drawn, fewer for a network so wide that they would take much memory.
///
/// Computed in double precision, with dropout and noise off. Sizes and gradients are those of a training step with
/// these rows as its batch; units are looked at as in use.
///
/// # Errors
///
/// Where the table lacks columns of the model.
pub fn report(model: &Model, raw: &RawTable, labels: &Labels, rows: &[RowIdx]) -> Result<LayerReport> {
    let card = &model.card;
    let width: usize = model.network.layers().iter().map(Layer::out_features).sum();
    let most = (NUMBERS / width.max(1)).clamp(1, ROWS);
    let mut drawn = some_rows(card.provenance.seed, rows.len(), most);
    drawn.sort_unstable();
    let rows: Vec<RowIdx> = drawn.iter().map(|&i| rows[i as usize]).collect();
    let table = Table::from_raw(raw, &card.schema)?;
    let (x, _) = card.pipeline.transform(&table, &rows)?;
    let targets = match &labels.target {
        Target::Values(values) => OwnedTargets::Values(
            rows.iter().map(|&row| card.target.scaler.transform(values[row as usize])).collect(),
        ),
        Target::Classes { codes, .. } => {
            OwnedTargets::Classes(rows.iter().map(|&row| codes[row as usize]).collect())
        }
    };
    let params = match &model.params {
        Params::F32(params) => params.iter().map(|&p| f64::from(p)).collect(),
        Params::F64(params) => params.clone(),
    };
    let level = CpuLevel::detect();
    let start = scales(&without_noise(&model.network), card.loss, level, &params, &x, targets.view());
    let units = of_network(&model.network, level, &params, &x);
    let layers = start.layers.into_iter().map(|scale| {
        let own = units.iter().find(|(name, _)| *name == scale.name);
        LayerState { units: own.map(|(_, units)| *units), scale }
    });
    let layers: Vec<LayerState> = layers.collect();
    let mut findings: Vec<Finding> = start.troubles.into_iter().map(with_remedy).collect();
    findings.extend(layers.iter().flat_map(|layer| troubles(layer, rows.len())).map(with_remedy));
    Ok(LayerReport { n_rows: rows.len(), inputs: start.inputs, loss: start.loss, layers, findings })
}

/// The units of each layer with an activation other than linear, for rows `x` (B×inputs) in use, by the layer's name.
///
/// Parametric activations are left out: their linear part lets gradients pass.
pub fn of_network<T: Scalar>(
    network: &Network,
    level: CpuLevel,
    params: &[T],
    x: &[T],
) -> Vec<(String, Units)> {
    let n_inputs = network.n_inputs();
    let n_rows = x.len() / n_inputs;
    let mut all = Vec::new();
    each_layer("layers", &mut Vec::new(), network.specs(), &mut |name, upto| {
        let whole = Network::from_specs(upto.to_vec(), n_inputs);
        let function = match whole.layers().last() {
            Some(Layer::Dense(layer)) => layer.activation,
            Some(Layer::Activation(layer)) => layer.function,
            _ => return,
        };
        if function == Activation::Linear {
            return;
        }
        let mut before = upto.to_vec();
        if let Some(
            LayerSpec::Dense { activation, .. } | LayerSpec::Activation { function: activation, .. },
        ) = before.last_mut()
        {
            *activation = config::Activation::Linear;
        }
        let network = Network::from_specs(before, n_inputs);
        let pass = Pass { level, params: &params[..network.n_params()], n_rows, mode: Mode::Infer };
        let z = network.forward(&pass, x, &mut network.inference_workspace(n_rows)).to_vec();
        all.push((name.to_owned(), count(function, level, z, n_rows)));
    });
    all
}

/// The dead and the saturated among units that are given `z` (B×units).
fn count<T: Scalar>(function: Activation, level: CpuLevel, mut z: Vec<T>, n_rows: usize) -> Units {
    let mut slopes = vec![T::ONE; z.len()];
    if function.keeps_derivative() {
        T::activate_keeping(level, function, &mut z, &mut slopes);
    } else {
        T::activate(level, function, &mut z);
        T::activate_backward(level, function, &z, &mut slopes);
    }
    let small = SMALL_SLOPE * if function == Activation::Sigmoid { 0.25 } else { 1.0 };
    let n = z.len() / n_rows.max(1);
    let mut units = Units { n, dead: 0, saturated: 0 };
    for unit in 0..n {
        let own = || slopes.iter().skip(unit).step_by(n).map(|slope| slope.to_f64().abs());
        if own().all(|slope| slope == 0.0) {
            units.dead += 1;
        } else if function != Activation::Relu
            && own().filter(|slope| *slope < small).count() as f64 >= MOST_ROWS * n_rows as f64
        {
            units.saturated += 1;
        }
    }
    units
}

/// What is to be told of a layer's units.
fn troubles(layer: &LayerState, n_rows: usize) -> Vec<Trouble> {
    let Some(units) = layer.units else { return Vec::new() };
    let told = |n: usize| n as f64 >= TOLD_FROM * units.n as f64 && n > 0;
    let trouble = |kind, what| Trouble { kind, layer: layer.scale.name.clone(), what };
    let mut found = Vec::new();
    if told(units.dead) {
        let what = format!(
            "{} of its {} units pass no gradient for any of {n_rows} rows, and no longer learn",
            units.dead, units.n
        );
        found.push(trouble(Kind::Dead, what));
    }
    if told(units.saturated) {
        let what = format!(
            "{} of its {} units are on the flat parts of their activation for nearly all of {n_rows} rows",
            units.saturated, units.n
        );
        found.push(trouble(Kind::Saturated, what));
    }
    found
}

fn with_remedy(trouble: Trouble) -> Finding {
    let remedy = match trouble.kind {
        Kind::Vanishing => {
            "--set network.norm=layer or --set network.residual=true, or relu with --set network.initializer=auto; \
             `statera inspect --init` compares initialisers"
        }
        Kind::Exploding => {
            "--set train.clip_norm=1, a lower optimizer.learning_rate (`statera lr-test` finds one), or \
             --set network.norm=layer"
        }
        Kind::Dead => {
            "a lower optimizer.learning_rate, a function that is nowhere flat, as \
             --set network.activation=leaky_relu or silu, or --set network.norm=batch"
        }
        Kind::Saturated => {
            "--set network.norm=layer or batch, a lower optimizer.learning_rate, smaller weights by \
             --set optimizer.weight_decay=0.1, or --set network.activation=relu"
        }
    };
    Finding { trouble, remedy }
}
