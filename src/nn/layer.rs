//! The closed list of layer kinds.

use statera_kernels::{CpuLevel, Scalar};

use super::activation::{self, ActivationLayer};
use super::batch_norm::BatchNorm;
use super::dense::Dense;
use super::dropout::Dropout;
use super::params::Layout;
use crate::config::LayerSpec;
use crate::random::{Purpose, Stream};

/// Whether a network learns or is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Dropout off, running statistics used.
    Infer,
    /// Dropout on, statistics of the shard used.
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

/// The gradient on its way back through the layers.
///
/// A layer finds ∂L/∂y in `dy` and leaves ∂L/∂x there: by overwriting it, or by writing `dx` and calling
/// [`Gradient::swap`].
#[derive(Debug, Default)]
pub(crate) struct Gradient<T> {
    pub(crate) dy: Vec<T>,
    pub(crate) dx: Vec<T>,
}

impl<T> Gradient<T> {
    pub(crate) fn swap(&mut self) {
        std::mem::swap(&mut self.dy, &mut self.dx);
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
}

impl Layer {
    /// Builds the layer for `in_features` inputs and takes its place in the parameter vector.
    pub(crate) fn build(spec: &LayerSpec, layer_idx: usize, in_features: usize, layout: &mut Layout) -> Self {
        layout.begin_layer(layer_idx);
        match spec {
            LayerSpec::Dense { units, activation, slope, initializer, bias, bias_initializer } => {
                Self::Dense(Dense::new(
                    layout,
                    [in_features, *units],
                    activation::function(*activation, *slope),
                    *initializer,
                    bias.then_some(*bias_initializer),
                ))
            }
            LayerSpec::BatchNorm { momentum, epsilon } => {
                Self::BatchNorm(BatchNorm::new(layout, in_features, *momentum, *epsilon))
            }
            LayerSpec::Dropout { rate } => Self::Dropout(Dropout::new(in_features, *rate, layer_idx)),
            LayerSpec::Activation { function, slope } => {
                Self::Activation(ActivationLayer::new(in_features, activation::function(*function, *slope)))
            }
        }
    }

    /// The kind, as it is written in a configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dense(_) => "dense",
            Self::BatchNorm(_) => "batch_norm",
            Self::Dropout(_) => "dropout",
            Self::Activation(_) => "activation",
        }
    }

    /// Features a row has after the layer.
    pub fn out_features(&self) -> usize {
        match self {
            Self::Dense(layer) => layer.out_features,
            Self::BatchNorm(layer) => layer.features,
            Self::Dropout(layer) => layer.features,
            Self::Activation(layer) => layer.features,
        }
    }

    /// What a reader of the summary wants to know besides the shape: the activation, the rate.
    pub fn detail(&self) -> String {
        match self {
            Self::Dense(layer) => layer.detail(),
            Self::BatchNorm(_) => String::new(),
            Self::Dropout(layer) => format!("rate {}", layer.rate),
            Self::Activation(layer) => layer.detail(),
        }
    }

    /// How many numbers the layer keeps from the forward to the backward pass of `n_rows` rows.
    pub(crate) fn cache_len(&self, n_rows: usize) -> usize {
        match self {
            Self::BatchNorm(layer) => layer.cache_len(),
            Self::Dropout(layer) => layer.features * n_rows,
            Self::Dense(_) | Self::Activation(_) => 0,
        }
    }

    /// How many numbers of scratch a pass over `n_rows` rows needs.
    pub(crate) fn scratch_len(&self, n_rows: usize) -> usize {
        match self {
            Self::Dense(layer) => layer.scratch_len(n_rows),
            Self::BatchNorm(layer) => layer.scratch_len(),
            Self::Dropout(_) | Self::Activation(_) => 0,
        }
    }

    /// y = f(x), with x B×in and y B×out.
    pub(crate) fn forward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        x: &[T],
        y: &mut [T],
        cache: &mut [T],
        scratch: &mut [T],
    ) {
        match self {
            Self::Dense(layer) => layer.forward(pass, x, y, scratch),
            Self::BatchNorm(layer) => layer.forward(pass, x, y, cache),
            Self::Dropout(layer) => layer.forward(pass, x, y, cache),
            Self::Activation(layer) => layer.forward(pass, x, y),
        }
    }

    /// Writes ∂L/∂parameters into `grads` and, if `wants_dx`, turns ∂L/∂y into ∂L/∂x in `gradient`.
    pub(crate) fn backward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        [x, y]: [&[T]; 2],
        gradient: &mut Gradient<T>,
        wants_dx: bool,
        grads: &mut [T],
        cache: &[T],
        scratch: &mut [T],
    ) {
        match self {
            Self::Dense(layer) => layer.backward(pass, [x, y], gradient, wants_dx, grads, scratch),
            Self::BatchNorm(layer) => layer.backward(pass, x, gradient, wants_dx, grads, cache, scratch),
            Self::Dropout(layer) => layer.backward(pass, gradient, cache),
            Self::Activation(layer) => layer.backward(pass, y, gradient),
        }
    }

    /// Takes the statistics that the shards of a step left in `caches` into the running ones.
    pub(crate) fn absorb<'a, T: Scalar>(
        &self,
        params: &mut [T],
        caches: impl ExactSizeIterator<Item = &'a [T]>,
    ) {
        if let Self::BatchNorm(layer) = self {
            layer.absorb(params, caches);
        }
    }

    /// Draws the layer's initial parameters.
    pub(crate) fn init<T: Scalar>(&self, params: &mut [T], seed: u64, layer_idx: usize) {
        let mut stream = Stream::new(seed, Purpose::Init, layer_idx as u32);
        match self {
            Self::Dense(layer) => layer.init(params, &mut stream),
            Self::BatchNorm(layer) => layer.init(params),
            Self::Dropout(_) | Self::Activation(_) => {}
        }
    }
}
