//! An activation function as a layer of its own.

use statera_kernels::{Activation, Scalar};

use super::layer::Pass;
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
        Activation::Linear | Activation::Relu | Activation::LeakyRelu(_)
        // The derivatives of these are kept apart from y.
        | Activation::Gelu | Activation::Silu | Activation::Mish => false,
        Activation::Sigmoid
        | Activation::Tanh
        | Activation::Elu
        | Activation::Selu
        | Activation::Softplus
        | Activation::Softsign => true,
    }
}

/// f in place, over z (rows×F) in y; f′(z) goes to `derivatives` (B×F) from `first_number` on where the function
/// keeps it and a backward pass may follow, that is, where there are any.
pub(crate) fn forward<T: Scalar>(
    function: Activation,
    pass: &Pass<T>,
    first_number: usize,
    y: &mut [T],
    derivatives: &mut [T],
) {
    if derivatives.is_empty() {
        T::activate(pass.level, function, y);
    } else {
        let kept = &mut derivatives[first_number..first_number + y.len()];
        T::activate_keeping(pass.level, function, y, kept);
    }
}

/// What the backward pass is given: f′(z) where that is kept, else y.
pub(crate) fn backward_input<'a, T>(
    function: Activation,
    first_number: usize,
    y: &'a [T],
    derivatives: &'a [T],
) -> &'a [T] {
    if function.keeps_derivative() { &derivatives[first_number..first_number + y.len()] } else { y }
}

/// How many numbers [`forward`] keeps for a backward pass over `n` numbers.
pub(crate) fn cache_len(function: Activation, n: usize) -> usize {
    if function.keeps_derivative() { n } else { 0 }
}

/// The kernel's form of a function that settings name.
pub(crate) fn function(name: config::Activation, slope: f64) -> Activation {
    match name {
        config::Activation::Linear => Activation::Linear,
        config::Activation::Relu => Activation::Relu,
        config::Activation::LeakyRelu => Activation::LeakyRelu(slope),
        config::Activation::Sigmoid => Activation::Sigmoid,
        config::Activation::Tanh => Activation::Tanh,
        config::Activation::Elu => Activation::Elu,
        config::Activation::Selu => Activation::Selu,
        config::Activation::Gelu => Activation::Gelu,
        config::Activation::Silu => Activation::Silu,
        config::Activation::Mish => Activation::Mish,
        config::Activation::Softplus => Activation::Softplus,
        config::Activation::Softsign => Activation::Softsign,
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
        Activation::Elu => "elu".into(),
        Activation::Selu => "selu".into(),
        Activation::Gelu => "gelu".into(),
        Activation::Silu => "silu".into(),
        Activation::Mish => "mish".into(),
        Activation::Softplus => "softplus".into(),
        Activation::Softsign => "softsign".into(),
    }
}
