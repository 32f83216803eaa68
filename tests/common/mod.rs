//! What several tests of the engine share.
#![allow(dead_code, reason = "each test uses a part of it")]

use statera::config::{Activation, Config, Initializer, LayerSpec, OptimizerConfig, OptimizerName};
use statera::nn::{CpuLevel, Network, Scalar};

/// Numbers in −2..2 without pattern, the same on every run.
pub(crate) fn numbers<T: Scalar>(n: usize, salt: u32) -> Vec<T> {
    (0..n as u32)
        .map(|i| {
            let word = statera_kernels::random::philox([i, salt, 0, 0], [1, 2])[0];
            T::from_f64(f64::from(word) / f64::from(u32::MAX) * 4.0 - 2.0)
        })
        .collect()
}

/// Whole numbers below `end`, the same on every run.
pub(crate) fn classes(n: usize, end: usize, salt: u32) -> Vec<u32> {
    let words = (0..n as u32).map(|i| statera_kernels::random::philox([i, salt, 1, 0], [1, 2])[0]);
    words.map(|word| word % end as u32).collect()
}

/// A parameter vector without a pattern, whose running variances are possible.
pub(crate) fn parameters<T: Scalar>(network: &Network, salt: u32) -> Vec<T> {
    let mut params = numbers::<T>(network.n_params(), salt);
    for view in network.views().iter().filter(|view| view.name.ends_with("running_var")) {
        for p in &mut params[view.range()] {
            *p = p.abs() + T::from_f64(0.5);
        }
    }
    params
}

/// The CPU levels that this machine can run.
pub(crate) fn levels() -> impl Iterator<Item = CpuLevel> {
    CpuLevel::ALL.into_iter().filter(|level| level.is_available())
}

/// A dense layer with the default initialiser.
pub(crate) fn dense(units: usize, activation: Activation) -> LayerSpec {
    LayerSpec::dense(units, activation, Initializer::Auto)
}

/// A dense layer of which everything is said.
pub(crate) fn dense_of(
    units: usize,
    activation: Activation,
    initializer: Initializer,
    bias_initializer: Option<Initializer>,
) -> LayerSpec {
    LayerSpec::Dense {
        units,
        activation,
        slope: 0.1,
        initializer,
        bias: bias_initializer.is_some(),
        bias_initializer: bias_initializer.unwrap_or(Initializer::Zeros),
        drop_connect: 0.0,
        packed: false,
    }
}

/// The dense layer with weights of its own for each member of an ensemble.
pub(crate) fn packed(mut spec: LayerSpec) -> LayerSpec {
    if let LayerSpec::Dense { packed, .. } = &mut spec {
        *packed = true;
    }
    spec
}

/// A factor that starts at random, and a bias.
pub(crate) fn scale_and_shift() -> LayerSpec {
    LayerSpec::Scale {
        initializer: Initializer::RandomSigns,
        bias: true,
        bias_initializer: Initializer::Normal { std: 0.5 },
    }
}

/// A dense layer that drops this share of its weights in training.
pub(crate) fn drop_connect(units: usize, function: Activation, rate: f64) -> LayerSpec {
    let mut spec = dense_of(units, function, Initializer::Auto, Some(Initializer::Zeros));
    if let LayerSpec::Dense { drop_connect, .. } = &mut spec {
        *drop_connect = rate;
    }
    spec
}

/// An activation as a layer.
pub(crate) fn activation(function: Activation) -> LayerSpec {
    LayerSpec::Activation { function, slope: 0.1 }
}

/// A residual block of these layers.
pub(crate) fn residual(layers: impl Into<Vec<LayerSpec>>) -> LayerSpec {
    LayerSpec::Residual { layers: layers.into() }
}

/// The default settings of an optimiser.
pub(crate) fn optimizer(name: OptimizerName) -> OptimizerConfig {
    OptimizerConfig { name, ..Config::default().optimizer }
}

/// The bits of numbers, so that they can be compared without regard to their meaning.
pub(crate) fn bits<T: Scalar>(numbers: &[T]) -> Vec<u64> {
    // Widening keeps numbers apart that are apart, and the sign of zero.
    numbers.iter().map(|v| v.to_f64().to_bits()).collect()
}
