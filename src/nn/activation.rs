//! An activation function as a layer of its own.

use statera_kernels::{Activation, Scalar};

use super::layer::{Gradient, Pass};
use crate::config;

/// y = f(x), element by element.
#[derive(Debug, Clone)]
pub struct ActivationLayer {
    /// F.
    pub features: usize,
    function: Activation,
}

impl ActivationLayer {
    pub(crate) fn new(features: usize, function: Activation) -> Self {
        Self { features, function }
    }

    pub(crate) fn detail(&self) -> String {
        name(self.function)
    }

    /// x, y: B×F.
    pub(crate) fn forward<T: Scalar>(&self, pass: &Pass<T>, x: &[T], y: &mut [T]) {
        y.copy_from_slice(x);
        T::activate(pass.level, self.function, y);
    }

    /// dx = dy ∘ f′(x), from y.
    pub(crate) fn backward<T: Scalar>(&self, pass: &Pass<T>, y: &[T], gradient: &mut Gradient<T>) {
        let n = pass.n_rows * self.features;
        T::activate_backward(pass.level, self.function, y, &mut gradient.dy[..n]);
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
