//! An activation function as a layer of its own.

use statera_kernels::Activation;

use crate::config;

/// y = f(x), element by element, over x; backward dx = dy ∘ f′(x), over dy.
#[derive(Debug, Clone)]
pub struct ActivationLayer {
    /// F.
    pub features: usize,
    pub(crate) function: Activation,
}

impl ActivationLayer {
    pub(crate) fn new(features: usize, function: Activation) -> Self {
        Self { features, function }
    }

    pub(crate) fn detail(&self) -> String {
        name(self.function)
    }
}

/// Whether the derivative needs y itself, not just its sign.
pub(crate) fn reads_size(function: Activation) -> bool {
    match function {
        Activation::Linear | Activation::Relu | Activation::LeakyRelu(_) => false,
        Activation::Sigmoid | Activation::Tanh => true,
    }
}

/// The kernel's form of a function that settings name.
pub(crate) fn function(name: config::Activation, slope: f64) -> Activation {
    match name {
        config::Activation::Linear => Activation::Linear,
        config::Activation::Relu => Activation::Relu,
        config::Activation::LeakyRelu => Activation::LeakyRelu(slope),
        config::Activation::Sigmoid => Activation::Sigmoid,
        config::Activation::Tanh => Activation::Tanh,
    }
}

/// The function as a summary names it.
pub(crate) fn name(function: Activation) -> String {
    match function {
        Activation::Linear => "linear".into(),
        Activation::Relu => "relu".into(),
        Activation::LeakyRelu(slope) => format!("leaky_relu {slope}"),
        Activation::Sigmoid => "sigmoid".into(),
        Activation::Tanh => "tanh".into(),
    }
}
