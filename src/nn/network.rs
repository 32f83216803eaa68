//! A network: a stack of layers over one parameter vector.

use statera_kernels::{CpuLevel, Scalar};

use super::layer::{Gradient, Layer, Mode, Pass};
use super::loss::{Loss, Targets};
use super::params::{Layout, View};
use crate::config::{Activation, Initializer, LayerSpec};

/// Layers, and where their parameters lie; the parameters themselves are a vector that the caller owns.
#[derive(Debug, Clone)]
pub struct Network {
    specs: Vec<LayerSpec>,
    layers: Vec<Layer>,
    views: Vec<View>,
    n_inputs: usize,
    n_params: usize,
}

/// The memory of passes over one shard, planned once.
#[derive(Debug)]
pub struct Workspace<T> {
    /// The output of each layer, B×out.
    outputs: Vec<Vec<T>>,
    /// What each layer keeps from its forward to its backward pass.
    caches: Vec<Vec<T>>,
    gradient: Gradient<T>,
    scratch: Vec<T>,
    /// ∂L/∂parameters, as long as the parameter vector.
    pub grads: Vec<T>,
    /// The sum of the losses of the shard's rows.
    pub loss_sum: f64,
}

/// One line of a network's summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRow {
    /// `layers.<index>`.
    pub name: String,
    /// The kind of layer.
    pub kind: &'static str,
    /// Activation, rate: what else is worth knowing.
    pub detail: String,
    /// Features of a row after the layer.
    pub out_features: usize,
    /// Parameters that are trained.
    pub trainable: usize,
    /// Parameters that are not: running statistics.
    pub fixed: usize,
}

impl Network {
    /// Stacks the layers on `n_inputs` features and ends them with a linear dense layer of `n_outputs`.
    ///
    /// If the last layer listed already is such an output layer, none is added.
    pub fn new(hidden: &[LayerSpec], n_inputs: usize, n_outputs: usize) -> Self {
        let mut specs = hidden.to_vec();
        if !specs.last().is_some_and(|last| is_output(last, n_outputs)) {
            specs.push(LayerSpec::dense(n_outputs, Activation::Linear, Initializer::Auto));
        }
        Self::from_specs(specs, n_inputs)
    }

    /// Stacks exactly these layers.
    pub fn from_specs(specs: Vec<LayerSpec>, n_inputs: usize) -> Self {
        let mut layout = Layout::default();
        let mut features = n_inputs;
        let mut layers = Vec::with_capacity(specs.len());
        for (layer_idx, spec) in specs.iter().enumerate() {
            let layer = Layer::build(spec, layer_idx, features, &mut layout);
            features = layer.out_features();
            layers.push(layer);
        }
        let n_params = layout.len();
        Self { specs, layers, views: layout.views, n_inputs, n_params }
    }

    /// The layers as settings, the output layer included.
    pub fn specs(&self) -> &[LayerSpec] {
        &self.specs
    }

    /// The layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The named tensors of the parameter vector.
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// Features of an input row.
    pub fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Numbers that come out for a row.
    pub fn n_outputs(&self) -> usize {
        self.layers.last().map_or(self.n_inputs, Layer::out_features)
    }

    /// Length of the parameter vector, running statistics included.
    pub fn n_params(&self) -> usize {
        self.n_params
    }

    /// Multiply–adds in the matrix products of one training step, a row; for reports of speed.
    pub fn multiply_adds_per_row(&self) -> usize {
        let mut dense = self.layers.iter().enumerate().filter_map(|(i, layer)| match layer {
            Layer::Dense(d) => Some((i, d.in_features * d.out_features)),
            _ => None,
        });
        // Forward, weight gradient, input gradient; the first layer of all needs no input gradient.
        let first = dense.next().map_or(0, |(i, products)| if i == 0 { 2 * products } else { 3 * products });
        first + dense.map(|(_, products)| 3 * products).sum::<usize>()
    }

    /// A parameter vector drawn from the layers' initialisers.
    pub fn init<T: Scalar>(&self, seed: u64) -> Vec<T> {
        let mut params = vec![T::ZERO; self.n_params];
        for (layer_idx, layer) in self.layers.iter().enumerate() {
            layer.init(&mut params, seed, layer_idx);
        }
        params
    }

    /// Memory for training passes over up to `max_rows` rows.
    pub fn workspace<T: Scalar>(&self, max_rows: usize) -> Workspace<T> {
        self.workspace_with(max_rows, self.n_params)
    }

    /// Memory for passes in use over up to `max_rows` rows: without gradients of parameters.
    pub fn inference_workspace<T: Scalar>(&self, max_rows: usize) -> Workspace<T> {
        self.workspace_with(max_rows, 0)
    }

    fn workspace_with<T: Scalar>(&self, max_rows: usize, n_grads: usize) -> Workspace<T> {
        let zeros = |n: usize| vec![T::ZERO; n];
        let widest = self.layers.iter().map(Layer::out_features).fold(self.n_inputs, usize::max);
        let scratch = self.layers.iter().map(|l| l.scratch_len(max_rows)).max().unwrap_or(0);
        Workspace {
            outputs: self.layers.iter().map(|l| zeros(max_rows * l.out_features())).collect(),
            caches: self.layers.iter().map(|l| zeros(l.cache_len(max_rows))).collect(),
            gradient: Gradient { dy: zeros(max_rows * widest), dx: zeros(max_rows * widest) },
            scratch: zeros(scratch),
            grads: zeros(n_grads),
            loss_sum: 0.0,
        }
    }

    /// Runs `x` (B×inputs) through the layers and returns the outputs (B×outputs).
    pub fn forward<'w, T: Scalar>(&self, pass: &Pass<T>, x: &[T], work: &'w mut Workspace<T>) -> &'w mut [T] {
        let b = pass.n_rows;
        for (i, layer) in self.layers.iter().enumerate() {
            let (before, after) = work.outputs.split_at_mut(i);
            let x = before
                .last()
                .map_or(&x[..b * self.n_inputs], |y| &y[..b * self.layers[i - 1].out_features()]);
            let y = &mut after[0][..b * layer.out_features()];
            layer.forward(pass, x, y, &mut work.caches[i], &mut work.scratch);
        }
        let n = b * self.n_outputs();
        work.outputs.last_mut().map_or(&mut [], |y| &mut y[..n])
    }

    /// Runs forward and backward; leaves Σ of the rows' losses in `work.loss_sum` and the gradient of `scale`
    /// times that sum in `work.grads`. With `wants_dx`, ∂/∂x is then in [`Workspace::input_gradient`].
    pub fn forward_backward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        loss: Loss,
        x: &[T],
        targets: Targets<T>,
        scale: T,
        wants_dx: bool,
        work: &mut Workspace<T>,
    ) {
        let b = pass.n_rows;
        self.forward(pass, x, work);
        let Workspace { outputs, caches, gradient, scratch, grads, loss_sum } = work;
        let n = b * self.n_outputs();
        *loss_sum = loss.forward_backward(
            &outputs[self.layers.len() - 1][..n],
            targets,
            scale,
            &mut gradient.dy[..n],
        );
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let x = match i {
                0 => &x[..b * self.n_inputs],
                _ => &outputs[i - 1][..b * self.layers[i - 1].out_features()],
            };
            let y = &outputs[i][..b * layer.out_features()];
            layer.backward(pass, [x, y], gradient, wants_dx || i > 0, grads, &caches[i], scratch);
        }
    }

    /// Takes the statistics of a step's shards (of batch norm) into the running ones, in the order given.
    pub fn absorb_statistics<T: Scalar>(&self, params: &mut [T], shards: &[Workspace<T>]) {
        for (i, layer) in self.layers.iter().enumerate() {
            layer.absorb(params, shards.iter().map(|work| &work.caches[i][..]));
        }
    }

    /// Predictions (rows×outputs) for `x` (rows×inputs), computed `work`'s rows at a time.
    ///
    /// A row's prediction has the same bits alone and in any batch.
    pub fn predict<T: Scalar>(
        &self,
        level: CpuLevel,
        params: &[T],
        loss: Loss,
        x: &[T],
        work: &mut Workspace<T>,
    ) -> Vec<T> {
        let n_outputs = self.n_outputs();
        let mut predictions = self.raw_outputs(level, params, x, work);
        loss.predict(&mut predictions, n_outputs);
        predictions
    }

    /// Outputs before the loss's link (logits), rows×outputs.
    pub fn raw_outputs<T: Scalar>(
        &self,
        level: CpuLevel,
        params: &[T],
        x: &[T],
        work: &mut Workspace<T>,
    ) -> Vec<T> {
        let mut outputs = vec![T::ZERO; x.len() / self.n_inputs * self.n_outputs()];
        self.raw_outputs_into(level, params, x, work, &mut outputs);
        outputs
    }

    /// [`Network::raw_outputs`] into memory of the caller.
    pub fn raw_outputs_into<T: Scalar>(
        &self,
        level: CpuLevel,
        params: &[T],
        x: &[T],
        work: &mut Workspace<T>,
        outputs: &mut [T],
    ) {
        let n_outputs = self.n_outputs();
        let max_rows = work.outputs.last().map_or(1, |y| y.len() / n_outputs);
        let parts = x.chunks(max_rows * self.n_inputs).zip(outputs.chunks_mut(max_rows * n_outputs));
        for (x, to) in parts {
            let pass = Pass { level, params, n_rows: x.len() / self.n_inputs, mode: Mode::Infer };
            to.copy_from_slice(self.forward(&pass, x, work));
        }
    }

    /// The index of the first layer whose last output holds a number that is not finite.
    pub fn first_non_finite_layer<T: Scalar>(&self, n_rows: usize, work: &Workspace<T>) -> Option<usize> {
        let finite =
            |(layer, y): (&Layer, &Vec<T>)| y[..n_rows * layer.out_features()].iter().all(|v| v.is_finite());
        self.layers.iter().zip(&work.outputs).position(|pair| !finite(pair))
    }

    /// The layers as the rows of a table.
    pub fn summary(&self) -> Vec<SummaryRow> {
        let count = |prefix: &str, trainable: bool| {
            let inside = |v: &&View| v.name.starts_with(prefix) && v.trainable == trainable;
            self.views.iter().filter(inside).map(View::len).sum()
        };
        let row = |(i, layer): (usize, &Layer)| {
            let name = format!("layers.{i}");
            let prefix = format!("{name}.");
            SummaryRow {
                kind: layer.kind(),
                detail: layer.detail(),
                out_features: layer.out_features(),
                trainable: count(&prefix, true),
                fixed: count(&prefix, false),
                name,
            }
        };
        self.layers.iter().enumerate().map(row).collect()
    }
}

/// Whether a layer can be the last one: dense, linear, and as wide as the task asks.
fn is_output(spec: &LayerSpec, n_outputs: usize) -> bool {
    matches!(spec, LayerSpec::Dense { units, activation: Activation::Linear, .. } if *units == n_outputs)
}

impl<T> Workspace<T> {
    /// ∂L/∂x after a backward pass that wanted it: the first B×inputs numbers.
    pub fn input_gradient(&self) -> &[T] {
        &self.gradient.dy
    }
}
