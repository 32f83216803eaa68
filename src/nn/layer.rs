//! The closed list of layer kinds.

use std::sync::Arc;

use statera_kernels::{CpuLevel, Kept, Scalar};

use super::activation::{self, ActivationLayer};
use super::batch_norm::BatchNorm;
use super::compact::Compact;
use super::dense::Dense;
use super::dropout::Dropout;
use super::embedding::Embedding;
use super::gaussian_noise::GaussianNoise;
use super::layer_norm::LayerNorm;
use super::members::Members;
use super::parametric::ParametricActivation;
use super::params::{Layout, WeightRules};
use super::residual::{ResidualBegin, ResidualEnd};
use super::scale::Scale;
use crate::config::LayerSpec;
use crate::random::{Purpose, Stream};

/// Whether a network learns or is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Dropout and noise off, running statistics used.
    Infer,
    /// Dropout and noise on, statistics of the shard used.
    Train {
        /// The seed that every random number descends from.
        seed: u64,
        /// The number of the training step, from 0 on over all epochs.
        step: u32,
        /// The number of the shard inside the batch.
        shard: u32,
    },
}

/// What all layers of one pass over a shard share.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a, T> {
    /// The CPU instructions to use.
    pub level: CpuLevel,
    /// The parameter vector of the network.
    pub params: &'a [T],
    /// Rows of the shard.
    pub n_rows: usize,
    /// Learning or use.
    pub mode: Mode,
}

impl<T> Pass<'_, T> {
    /// The pass of a layer that takes each row as `n` rows.
    fn times(&self, n: usize) -> Self {
        Self { n_rows: n * self.n_rows, ..*self }
    }
}

/// What a layer keeps of a shard from its forward to its backward pass.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    pub(crate) numbers: Vec<T>,
    /// The weights that are used, where they are not the parameters as they stand.
    pub(crate) weights: Vec<T>,
    pub(crate) flags: Vec<u8>,
    /// The weights in use as they are stored, where that is not number by number.
    pub(crate) compact: Option<Arc<Compact<T>>>,
}

impl<T: Scalar> Cache<T> {
    /// A cache of so many numbers and flags.
    fn new(n_numbers: usize, n_flags: usize) -> Self {
        Self {
            numbers: vec![T::ZERO; n_numbers],
            weights: Vec::new(),
            flags: vec![0; n_flags],
            compact: None,
        }
    }
}

/// A layer of a network; its parameters are ranges of the network's one vector.
#[derive(Debug, Clone)]
pub enum Layer {
    /// Weighted sums with an activation.
    Dense(Dense),
    /// Batch normalisation.
    BatchNorm(BatchNorm),
    /// Dropout.
    Dropout(Dropout),
    /// An activation alone.
    Activation(ActivationLayer),
    /// An activation of which each feature takes a learned share.
    ParametricActivation(ParametricActivation),
    /// Layer normalisation.
    LayerNorm(LayerNorm),
    /// Noise added in training.
    GaussianNoise(GaussianNoise),
    /// A learned factor for each feature.
    Scale(Scale),
    /// The layer from which on a row is several side by side.
    Members(Members),
    /// Raw columns, each made into several numbers; only ever the first layer.
    Embedding(Embedding),
    /// Where a residual block begins; its layers follow in the stack.
    ResidualBegin(ResidualBegin),
    /// Where a residual block ends.
    ResidualEnd(ResidualEnd),
}

impl Layer {
    /// Builds the layer for rows of `n_members` members, `in_features` together, and takes its place in the parameter
    /// vector; a block is opened up by the stack, which places its layers one by one.
    pub(crate) fn build(
        spec: &LayerSpec,
        layer_idx: usize,
        in_features: usize,
        n_members: usize,
        layout: &mut Layout,
    ) -> Self {
        match spec {
            LayerSpec::Dense {
                units,
                activation,
                slope,
                initializer,
                bias,
                bias_initializer,
                drop_connect,
                packed,
                parametrization,
                l1,
                l2,
                constraint,
                max_norm,
                weights,
                ..
            } => Self::Dense(Dense::new(
                layout,
                [in_features / n_members, *units],
                if *packed { [1, n_members] } else { [n_members, 1] },
                activation::function(*activation, *slope),
                *initializer,
                bias.then_some(*bias_initializer),
                *drop_connect,
                *parametrization,
                WeightRules {
                    l1: *l1,
                    l2: *l2,
                    constraint: *constraint,
                    max_norm: *max_norm,
                    kind: *weights,
                },
                layer_idx,
            )),
            LayerSpec::BatchNorm { momentum, epsilon } => {
                Self::BatchNorm(BatchNorm::new(layout, in_features, *momentum, *epsilon))
            }
            LayerSpec::Dropout { rate } => Self::Dropout(Dropout::new(in_features, *rate, layer_idx)),
            LayerSpec::Activation { function, slope } => {
                Self::Activation(ActivationLayer::new(in_features, activation::function(*function, *slope)))
            }
            LayerSpec::ParametricActivation { function, slope, .. } => {
                let function = activation::function(*function, *slope);
                Self::ParametricActivation(ParametricActivation::new(layout, in_features, function))
            }
            LayerSpec::LayerNorm { epsilon } => {
                Self::LayerNorm(LayerNorm::new(layout, [in_features / n_members, n_members], *epsilon))
            }
            LayerSpec::GaussianNoise { std } => {
                Self::GaussianNoise(GaussianNoise::new(in_features, *std, layer_idx))
            }
            LayerSpec::Scale { initializer, bias, bias_initializer, .. } => {
                let bias = bias.then_some(*bias_initializer);
                Self::Scale(Scale::new(layout, in_features, *initializer, bias))
            }
            LayerSpec::Members { count } => Self::Members(Members { features: in_features, count: *count }),
            LayerSpec::Embedding { columns } => Self::Embedding(Embedding::new(layout, columns)),
            LayerSpec::Residual { .. } => unreachable!("a block is no single layer"),
        }
    }

    /// The kind, as it is written in a configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dense(_) => "dense",
            Self::BatchNorm(_) => "batch_norm",
            Self::Dropout(_) => "dropout",
            Self::Activation(_) => "activation",
            Self::ParametricActivation(_) => "parametric_activation",
            Self::LayerNorm(_) => "layer_norm",
            Self::GaussianNoise(_) => "gaussian_noise",
            Self::Scale(_) => "scale",
            Self::Members(_) => "members",
            Self::Embedding(_) => "embedding",
            Self::ResidualBegin(_) | Self::ResidualEnd(_) => "residual",
        }
    }

    /// Features a row has after the layer.
    pub fn out_features(&self) -> usize {
        match self {
            Self::Dense(layer) => layer.width(),
            Self::BatchNorm(layer) => layer.features,
            Self::Dropout(layer) => layer.features,
            Self::Activation(layer) => layer.features,
            Self::ParametricActivation(layer) => layer.features,
            Self::LayerNorm(layer) => layer.width(),
            Self::GaussianNoise(layer) => layer.features,
            Self::Scale(layer) => layer.features,
            Self::Members(layer) => layer.count * layer.features,
            Self::Embedding(layer) => layer.out_features,
            Self::ResidualBegin(layer) => layer.features,
            Self::ResidualEnd(layer) => layer.features,
        }
    }

    /// What a reader of the summary wants to know besides the shape: the activation, the rate.
    pub fn detail(&self) -> String {
        match self {
            Self::Dense(layer) => layer.detail(),
            Self::BatchNorm(_) | Self::LayerNorm(_) => String::new(),
            Self::Scale(layer) => layer.detail(),
            Self::Members(layer) => layer.count.to_string(),
            Self::GaussianNoise(layer) => format!("std {}", layer.std),
            Self::Dropout(layer) => format!("rate {}", layer.rate),
            Self::Activation(layer) => layer.detail(),
            Self::ParametricActivation(layer) => layer.detail(),
            Self::Embedding(layer) => layer.detail(),
            Self::ResidualBegin(_) | Self::ResidualEnd(_) => "x + f(x)".into(),
        }
    }

    /// What the layer keeps from the forward to the backward pass of `n_rows` rows; without training, only what
    /// the forward pass itself works with.
    pub(crate) fn cache<T: Scalar>(&self, n_rows: usize, trains: bool) -> Cache<T> {
        match self {
            Self::BatchNorm(layer) => Cache::new(layer.cache_len(), 0),
            Self::LayerNorm(layer) => Cache::new(layer.cache_len(n_rows), 0),
            Self::Dense(layer) => layer.cache(n_rows * layer.sharing, trains),
            _ if !trains => Cache::new(0, 0),
            Self::Dropout(layer) => Cache::new(0, layer.features * n_rows),
            Self::Activation(layer) => {
                Cache::new(activation::cache_len(layer.function, layer.features * n_rows), 0)
            }
            Self::ParametricActivation(layer) => Cache::new(layer.cache_len(n_rows), 0),
            Self::GaussianNoise(layer) => Cache::new(layer.features * n_rows, 0),
            Self::ResidualEnd(layer) => Cache::new(layer.features * n_rows, 0),
            Self::Scale(_) | Self::Members(_) | Self::Embedding(_) | Self::ResidualBegin(_) => {
                Cache::new(0, 0)
            }
        }
    }

    /// How many numbers of scratch a pass over `n_rows` rows needs.
    pub(crate) fn scratch_len(&self, n_rows: usize) -> usize {
        match self {
            Self::Dense(layer) => layer.scratch_len(n_rows * layer.sharing),
            Self::Embedding(layer) => layer.scratch_len(n_rows),
            Self::ParametricActivation(layer) => layer.scratch_len(n_rows),
            _ => 0,
        }
    }

    /// Whether y is computed over x, in the same memory.
    pub(crate) fn is_in_place(&self) -> bool {
        match self {
            Self::Dropout(_)
            | Self::Activation(_)
            | Self::GaussianNoise(_)
            | Self::ResidualBegin(_)
            | Self::ResidualEnd(_) => true,
            Self::Dense(_)
            | Self::BatchNorm(_)
            | Self::ParametricActivation(_)
            | Self::LayerNorm(_)
            | Self::Scale(_)
            | Self::Members(_)
            | Self::Embedding(_) => false,
        }
    }

    /// Whether the backward pass reads y, which a later layer must then not compute over.
    ///
    /// Dropout may: where it drops, the gradient is zero; where it keeps, the sign is what y had.
    pub(crate) fn reads_output(&self) -> bool {
        match self {
            Self::Dense(layer) => activation::reads_size(layer.activation),
            Self::Activation(layer) => activation::reads_size(layer.function),
            Self::BatchNorm(_)
            | Self::Dropout(_)
            | Self::ParametricActivation(_)
            | Self::LayerNorm(_)
            | Self::GaussianNoise(_)
            | Self::Scale(_)
            | Self::Members(_)
            | Self::Embedding(_)
            | Self::ResidualBegin(_)
            | Self::ResidualEnd(_) => false,
        }
    }

    /// Whether the layer has to see all rows of the shard before it can do any.
    pub(crate) fn joins_rows(&self, mode: Mode) -> bool {
        matches!(self, Self::BatchNorm(_)) && mode != Mode::Infer
    }

    /// Whether dropout, the layer `above`, is part of this layer's passes: of y, and of the sums over ∂L/∂y.
    pub(crate) fn takes_over_dropout(&self, above: &Self) -> bool {
        matches!((self, above), (Self::BatchNorm(_), Self::Dropout(_)))
    }

    /// Whether ∂L/∂z of the dense layer `below` is computed by this layer, in the pass over ∂L/∂y.
    fn takes_over_relu(&self, below: &Self) -> bool {
        let is_norm = match self {
            Self::BatchNorm(_) => true,
            Self::LayerNorm(layer) => layer.takes_over_relu(),
            _ => false,
        };
        is_norm && matches!(below, Self::Dense(dense) if dense.is_relu_with_bias())
    }

    /// What dropout keeps of the rows from `first_row` on.
    pub(crate) fn kept<'a, T: Scalar>(
        &self,
        pass: &Pass<T>,
        first_row: usize,
        cache: &'a Cache<T>,
    ) -> Option<Kept<'a, T>> {
        match self {
            Self::Dropout(layer) => layer.kept(pass, first_row, &cache.flags),
            _ => None,
        }
    }

    /// Whether ∂L/∂x goes to memory of its own: because the gradient that arrives is kept for
    /// [`Layer::backward_weights`], or because x is not as wide as y.
    pub(crate) fn writes_dx(&self) -> bool {
        matches!(self, Self::Dense(_) | Self::Members(_) | Self::Embedding(_))
    }

    /// Whether [`Layer::backward_rows`] computes gradients of parameters, and not of x alone.
    pub(crate) fn learns_by_rows(&self) -> bool {
        matches!(
            self,
            Self::Dense(_)
                | Self::ParametricActivation(_)
                | Self::LayerNorm(_)
                | Self::Scale(_)
                | Self::Embedding(_)
        )
    }

    /// Forward of batch norm, first part: takes rows of x, those from `first_row` on, into the moments over all rows.
    pub(crate) fn add_moments<T: Scalar>(
        &self,
        pass: &Pass<T>,
        first_row: usize,
        x: &[T],
        cache: &mut Cache<T>,
    ) {
        if let Self::BatchNorm(layer) = self {
            layer.add_moments(pass, first_row, x, &mut cache.numbers);
        }
    }

    /// Forward, what is done once for all rows of the shard before [`Layer::forward_rows`].
    pub(crate) fn prepare<T: Scalar>(&self, pass: &Pass<T>, cache: &mut Cache<T>) {
        match self {
            Self::BatchNorm(layer) => layer.prepare(pass, &mut cache.numbers),
            Self::Dropout(layer) => layer.prepare(pass, &mut cache.flags),
            Self::GaussianNoise(layer) => layer.prepare(pass, &mut cache.numbers),
            Self::Dense(layer) => layer.prepare(pass, cache),
            Self::Activation(_)
            | Self::ParametricActivation(_)
            | Self::LayerNorm(_)
            | Self::Scale(_)
            | Self::Members(_)
            | Self::Embedding(_)
            | Self::ResidualBegin(_)
            | Self::ResidualEnd(_) => {}
        }
    }

    /// Forward, second part: y = f(x) for `n_rows` rows from `first_row` on; in-place layers find x in y.
    /// `kept` is that of a dropout layer above that this one takes over.
    ///
    /// The end of a block needs what entered it, and has a function of its own.
    pub(crate) fn forward_rows<T: Scalar>(
        &self,
        pass: &Pass<T>,
        rows @ [first_row, n_rows]: [usize; 2],
        x: &[T],
        y: &mut [T],
        cache: &mut Cache<T>,
        scratch: &mut [T],
        kept: Option<Kept<T>>,
    ) {
        match self {
            Self::Dense(layer) => {
                let rows = rows.map(|n| n * layer.sharing);
                layer.forward(&pass.times(layer.sharing), rows, x, y, cache, scratch);
            }
            Self::BatchNorm(layer) => layer.forward(pass, x, y, &cache.numbers, kept),
            Self::Dropout(layer) => layer.apply(pass, first_row, y, &cache.flags),
            Self::Activation(layer) => {
                let first_number = first_row * layer.features;
                activation::forward(layer.function, pass, first_number, y, &mut cache.numbers);
            }
            Self::ParametricActivation(layer) => {
                layer.forward(pass, first_row, x, y, &mut cache.numbers, scratch);
            }
            Self::LayerNorm(layer) => layer.forward(pass, rows, x, y, &mut cache.numbers),
            Self::GaussianNoise(layer) => layer.forward(pass, first_row, y, &cache.numbers),
            Self::Scale(layer) => layer.forward(pass, x, y),
            Self::Members(layer) => layer.forward(x, y),
            Self::Embedding(layer) => layer.forward(pass, n_rows, x, y, scratch),
            Self::ResidualBegin(_) | Self::ResidualEnd(_) => {}
        }
    }

    /// What is done once before [`Layer::backward_rows`]: gradients that rows are added to become zero, and a layer
    /// with weights keeps in `scratch` what it needs.
    pub(crate) fn prepare_backward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        wants_dx: bool,
        grads: &mut [T],
        cache: &Cache<T>,
        scratch: &mut [T],
    ) {
        match self {
            Self::Dense(layer) => {
                let pass = &pass.times(layer.sharing);
                layer.prepare_backward(pass, wants_dx, grads, cache, scratch);
            }
            Self::ParametricActivation(layer) => layer.prepare_backward(grads),
            Self::LayerNorm(layer) => layer.prepare_backward(grads),
            Self::Scale(layer) => layer.prepare_backward(grads),
            Self::Embedding(layer) => layer.prepare_backward(pass, wants_dx, grads, scratch),
            Self::BatchNorm(_)
            | Self::Dropout(_)
            | Self::Activation(_)
            | Self::GaussianNoise(_)
            | Self::Members(_)
            | Self::ResidualBegin(_)
            | Self::ResidualEnd(_) => {}
        }
    }

    /// Backward of batch norm, first part: takes ∂L/∂y of some rows into the sums over all rows; `kept` is that of a
    /// dropout layer above that this one takes over.
    pub(crate) fn add_backward_sums<T: Scalar>(
        &self,
        pass: &Pass<T>,
        first_row: usize,
        x: &[T],
        dy: &[T],
        grads: &mut [T],
        cache: &Cache<T>,
        kept: Option<Kept<T>>,
    ) {
        if let Self::BatchNorm(layer) = self {
            layer.add_backward_sums(pass, first_row, x, dy, grads, &cache.numbers, kept);
        }
    }

    /// Backward of batch norm, second part: what follows from the sums.
    pub(crate) fn finish_backward_sums<T: Scalar>(
        &self,
        pass: &Pass<T>,
        grads: &mut [T],
        cache: &mut Cache<T>,
    ) {
        if let Self::BatchNorm(layer) = self {
            layer.finish_backward_sums(pass, grads, &mut cache.numbers);
        }
    }

    /// Backward for `n_rows` rows from `first_row` on: turns ∂L/∂y in `dy` into ∂L/∂x, in the same memory.
    ///
    /// A dense layer turns it into ∂L/∂z, which [`Layer::backward_weights`] needs, and writes ∂L/∂x to `dx`
    /// where it is wanted. The layers above and below are those that the rows go through together with this one.
    /// The ends of a block have functions of their own.
    pub(crate) fn backward_rows<T: Scalar>(
        &self,
        pass: &Pass<T>,
        rows @ [first_row, n_rows]: [usize; 2],
        [x, y]: [&[T]; 2],
        dy: &mut [T],
        dx: Option<&mut [T]>,
        grads: &mut [T],
        cache: &Cache<T>,
        scratch: &mut [T],
        kept: Option<Kept<T>>,
        [above, below]: [Option<&Self>; 2],
    ) {
        match self {
            Self::Dense(layer) => {
                let has_dz = above.is_some_and(|above| above.takes_over_relu(self));
                let rows = rows.map(|n| n * layer.sharing);
                let pass = &pass.times(layer.sharing);
                layer.backward_rows(pass, rows, y, dy, dx, grads, cache, scratch, has_dz);
            }
            Self::Members(layer) => {
                if let Some(dx) = dx {
                    layer.backward_rows(dy, dx);
                }
            }
            Self::BatchNorm(layer) => {
                let relu_sums = match below {
                    Some(Self::Dense(dense)) => dense.relu_sums(grads),
                    _ => None,
                };
                layer.backward_rows(pass, x, dy, &cache.numbers, kept, relu_sums);
            }
            Self::Dropout(layer) => layer.apply(pass, first_row, dy, &cache.flags),
            Self::Activation(layer) => {
                let first_number = first_row * layer.features;
                let y = activation::backward_input(layer.function, first_number, y, &cache.numbers);
                T::activate_backward(pass.level, layer.function, y, dy);
            }
            Self::ParametricActivation(layer) => {
                layer.backward_rows(pass, first_row, x, dy, grads, &cache.numbers);
            }
            Self::LayerNorm(layer) => {
                let [own, of_below] = layer.own_sums(grads);
                let relu_sums = match below {
                    Some(Self::Dense(dense)) if layer.takes_over_relu() => dense.relu_sums(of_below),
                    _ => None,
                };
                layer.backward_rows(pass, rows, x, dy, own, &cache.numbers, relu_sums);
            }
            Self::GaussianNoise(_) | Self::ResidualBegin(_) | Self::ResidualEnd(_) => {}
            Self::Scale(layer) => layer.backward_rows(pass, x, dy, grads),
            Self::Embedding(layer) => layer.backward_rows(pass, n_rows, [x, y, dy], dx, grads, scratch),
        }
    }

    /// Backward, last part: the gradients of weights, given x (B×in) and ∂L/∂z (B×out).
    pub(crate) fn backward_weights<T: Scalar>(
        &self,
        pass: &Pass<T>,
        x: &[T],
        dz: &[T],
        grads: &mut [T],
        cache: &Cache<T>,
        scratch: &mut [T],
    ) {
        if let Self::Dense(layer) = self {
            layer.backward_weights(&pass.times(layer.sharing), x, dz, grads, cache, scratch);
        }
    }

    /// How many of the first numbers of its cache a layer leaves for its running statistics.
    pub(crate) fn n_statistics(&self) -> usize {
        match self {
            Self::BatchNorm(layer) => layer.n_statistics(),
            _ => 0,
        }
    }

    /// Takes the statistics of a step's shards into the running ones.
    pub(crate) fn absorb<'a, T: Scalar>(
        &self,
        level: CpuLevel,
        params: &mut [T],
        statistics: impl ExactSizeIterator<Item = &'a [T]>,
    ) {
        if let Self::BatchNorm(layer) = self {
            layer.absorb(level, params, statistics);
        }
    }

    /// Draws the layer's initial parameters.
    pub(crate) fn init<T: Scalar>(&self, params: &mut [T], seed: u64, layer_idx: usize) {
        let mut stream = Stream::new(seed, Purpose::Init, layer_idx as u32);
        match self {
            Self::Dense(layer) => layer.init(params, &mut stream),
            Self::BatchNorm(layer) => layer.init(params),
            Self::ParametricActivation(layer) => layer.init(params),
            Self::LayerNorm(layer) => layer.init(params),
            Self::Scale(layer) => layer.init(params, &mut stream),
            Self::Embedding(layer) => layer.init(params, &mut stream),
            Self::Dropout(_)
            | Self::Activation(_)
            | Self::GaussianNoise(_)
            | Self::Members(_)
            | Self::ResidualBegin(_)
            | Self::ResidualEnd(_) => {}
        }
    }
}
