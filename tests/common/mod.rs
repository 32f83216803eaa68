//! What several tests of the engine share.

pub(crate) mod variants;

use statera::config::{
    Activation, Config, EmbeddingSpec, Initializer, LayerSpec, OptimizerConfig, OptimizerName,
    Parametrization, WeightKind,
};
use statera::nn::{CpuLevel, Loss, Network, Scalar};

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
        parametrization: Parametrization::Standard,
        lr_factor: 1.0,
        bias_lr_factor: 1.0,
        packed: false,
        l1: None,
        l2: None,
        constraint: None,
        max_norm: None,
        weights: None,
    }
}

/// A dense layer whose weights are of this kind.
pub(crate) fn of_kind(units: usize, function: Activation, kind: WeightKind) -> LayerSpec {
    let mut spec = dense(units, function);
    if let LayerSpec::Dense { weights, .. } = &mut spec {
        *weights = Some(kind);
    }
    spec
}

/// The dense layer with weights of its own for each member of an ensemble.
pub(crate) fn packed(mut spec: LayerSpec) -> LayerSpec {
    if let LayerSpec::Dense { packed, .. } = &mut spec {
        *packed = true;
    }
    spec
}

/// The dense layer with the neural tangent parametrisation.
pub(crate) fn ntp(mut spec: LayerSpec) -> LayerSpec {
    if let LayerSpec::Dense { parametrization, .. } = &mut spec {
        *parametrization = Parametrization::Ntp;
    }
    spec
}

/// A factor that starts at random, and a bias.
pub(crate) fn scale_and_shift() -> LayerSpec {
    LayerSpec::Scale {
        initializer: Initializer::RandomSigns,
        bias: true,
        bias_initializer: Initializer::Normal { std: 0.5 },
        lr_factor: 1.0,
        bias_lr_factor: 1.0,
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

/// Embeddings of `n_inputs` inputs in `d` or so numbers each: of every kind alone, and of all kinds in turn.
pub(crate) fn embeddings(n_inputs: usize, d: usize) -> Vec<LayerSpec> {
    type Kind = fn(String, usize) -> EmbeddingSpec;
    let kinds: [Kind; 6] = [
        |column, dimension| EmbeddingSpec::Plr { column, frequencies: 3, sigma: 0.5, dimension },
        |column, d| EmbeddingSpec::Pbld { column, frequencies: 5, sigma: 0.5, dimension: d + 1 },
        |column, _| EmbeddingSpec::Ple { column, bins: 3, dimension: 0 },
        |column, dimension| EmbeddingSpec::Ple { column, bins: 2, dimension },
        |column, dimension| EmbeddingSpec::Table { column, levels: 2, dimension },
        |_, _| EmbeddingSpec::Plain { inputs: 1 },
    ];
    let of = |kind: &dyn Fn(usize) -> Kind| LayerSpec::Embedding {
        columns: (0..n_inputs).map(|i| kind(i)(format!("c{i}"), d)).collect(),
    };
    let mut all: Vec<LayerSpec> = kinds.iter().map(|kind| of(&|_| *kind)).collect();
    all.push(of(&|i| kinds[i % kinds.len()]));
    all
}

/// Whether no input of an embedding, if the network begins with one, comes within `margin` of a kink: codes and the
/// edges of bins are whole numbers, and relu has its kink at 0. With minus its weights, relu shows minus z.
pub(crate) fn embedding_is_smooth(network: &Network, params: &[f64], x: &[f64], margin: f64) -> bool {
    let LayerSpec::Embedding { columns } = &network.specs()[0] else { return true };
    let n_in = network.n_inputs();
    let network = Network::from_specs(network.specs()[..1].to_vec(), n_in);
    let n_out = network.n_outputs();
    let outputs = |sign: f64| {
        let mut params = params[..network.n_params()].to_vec();
        let linear = |name: &str| name.ends_with("weight") || name.ends_with("bias");
        for view in network.views().iter().filter(|view| linear(&view.name)) {
            params[view.range()].iter_mut().for_each(|p| *p *= sign);
        }
        network.raw_outputs(CpuLevel::detect(), &params, Loss::Mse, x, &mut network.inference_workspace(1))
    };
    let (y, negative) = (outputs(1.0), outputs(-1.0));
    let (mut input, mut output) = (0, 0);
    columns.iter().all(|spec| {
        let mut own = x[input..].iter().step_by(n_in);
        let whole = matches!(spec, EmbeddingSpec::Table { .. } | EmbeddingSpec::Ple { .. });
        let relu = matches!(spec, EmbeddingSpec::Plr { .. } | EmbeddingSpec::Ple { dimension: 1.., .. });
        let outputs = output..output + spec.n_outputs();
        (input, output) = (input + spec.n_inputs(), outputs.end);
        let is_far = |i: usize| !outputs.contains(&(i % n_out)) || y[i].max(negative[i]) > margin;
        (!whole || own.all(|x| (x - x.round()).abs() > margin)) && (!relu || (0..y.len()).all(is_far))
    })
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
