//! Every kind of layer as tests meet it, alone and in stacks.

use statera::config::{Activation, Initializer, LayerSpec};

use super::{activation, dense_of, drop_connect, ntp, packed, residual, scale_and_shift};

pub(crate) const ACTIVATIONS: [Activation; 12] = [
    Activation::Linear,
    Activation::Relu,
    Activation::LeakyRelu,
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Elu,
    Activation::Selu,
    Activation::Gelu,
    Activation::Silu,
    Activation::Mish,
    Activation::Softplus,
    Activation::Softsign,
];

/// One layer of every kind with every function that it can have.
pub(crate) fn variants(units: usize) -> Vec<LayerSpec> {
    let mut variants = Vec::new();
    for function in ACTIVATIONS {
        for bias in [None, Some(Initializer::Zeros)] {
            variants.push(dense_of(units, function, Initializer::Auto, bias));
        }
        variants.push(activation(function));
    }
    for function in ACTIVATIONS.into_iter().filter(|function| *function != Activation::Linear) {
        variants.push(LayerSpec::parametric_activation(function, 0.1));
    }
    for bias in [None, Some(Initializer::Zeros)] {
        variants.push(ntp(dense_of(units, Activation::Relu, Initializer::Auto, bias)));
    }
    for slope in [0.0, 1.5] {
        variants.push(LayerSpec::Activation { function: Activation::LeakyRelu, slope });
    }
    variants.push(LayerSpec::BatchNorm { momentum: 0.9, epsilon: 1e-3 });
    variants.push(LayerSpec::BatchNorm { momentum: 0.0, epsilon: 0.1 });
    for rate in [0.0, 0.3, 0.9] {
        variants.push(LayerSpec::Dropout { rate });
    }
    for epsilon in [0.01, 0.5] {
        variants.push(LayerSpec::LayerNorm { epsilon });
    }
    for std in [0.0, 0.7] {
        variants.push(LayerSpec::GaussianNoise { std });
    }
    variants.push(LayerSpec::scale());
    for function in [Activation::Relu, Activation::Gelu] {
        variants.push(drop_connect(units, function, 0.3));
    }
    variants.push(scale_and_shift());
    variants.push(LayerSpec::Members { count: 3 });
    for function in [Activation::Tanh, Activation::Silu] {
        variants.push(packed(drop_connect(units, function, 0.3)));
        variants.push(ntp(packed(drop_connect(units, function, 0.3))));
    }
    // What keeps the width, whatever it is; blocks of dense layers are among the stacks.
    variants.push(residual([activation(Activation::Tanh)]));
    variants.push(residual([LayerSpec::layer_norm(), activation(Activation::Relu), LayerSpec::scale()]));
    variants.push(residual([
        LayerSpec::BatchNorm { momentum: 0.9, epsilon: 0.01 },
        residual([LayerSpec::scale()]),
        LayerSpec::Dropout { rate: 0.3 },
    ]));
    variants
}

/// Long stacks, as they are used.
pub(crate) fn stacks(units: usize) -> Vec<Vec<LayerSpec>> {
    let dense = |units, function| dense_of(units, function, Initializer::Auto, Some(Initializer::Zeros));
    let batch_norm = || LayerSpec::BatchNorm { momentum: 0.99, epsilon: 1e-3 };
    let dropout = |rate| LayerSpec::Dropout { rate };
    vec![
        vec![
            batch_norm(),
            dense(units, Activation::Relu),
            batch_norm(),
            dropout(0.4),
            dense(3, Activation::Relu),
            batch_norm(),
            dropout(0.4),
            dense(1, Activation::Linear),
        ],
        vec![
            dropout(0.2),
            dense(units, Activation::Linear),
            activation(Activation::LeakyRelu),
            dense(2, Activation::Tanh),
            dense(6, Activation::Sigmoid),
            dense(2, Activation::Linear),
        ],
        vec![
            LayerSpec::scale(),
            LayerSpec::GaussianNoise { std: 0.3 },
            drop_connect(units, Activation::Gelu, 0.2),
            LayerSpec::LayerNorm { epsilon: 0.01 },
            activation(Activation::Mish),
            dropout(0.3),
            dense(5, Activation::Silu),
            LayerSpec::GaussianNoise { std: 0.2 },
            batch_norm(),
            LayerSpec::LayerNorm { epsilon: 0.01 },
            LayerSpec::GaussianNoise { std: 0.2 },
            dense(2, Activation::Linear),
        ],
        vec![
            residual([LayerSpec::scale(), activation(Activation::Gelu)]),
            dense(units, Activation::Tanh),
            residual([
                dense(units, Activation::Relu),
                batch_norm(),
                dropout(0.2),
                residual([
                    dense(3, Activation::Silu),
                    LayerSpec::LayerNorm { epsilon: 0.01 },
                    dense(units, Activation::Linear),
                ]),
            ]),
            dropout(0.2),
            residual([residual([dense(units, Activation::Sigmoid), dropout(0.2)])]),
            batch_norm(),
            dense(2, Activation::Linear),
        ],
        vec![
            dense(3, Activation::Tanh),
            LayerSpec::Members { count: 4 },
            scale_and_shift(),
            dense(units, Activation::Relu),
            batch_norm(),
            dropout(0.2),
            residual([drop_connect(units, Activation::Gelu, 0.2), LayerSpec::LayerNorm { epsilon: 0.01 }]),
            residual([packed(dense(units, Activation::Tanh)), LayerSpec::GaussianNoise { std: 0.2 }]),
            LayerSpec::scale(),
            packed(dense(2, Activation::Linear)),
        ],
        vec![
            ntp(dense(units, Activation::Linear)),
            LayerSpec::parametric_activation(Activation::Mish, 0.1),
            dropout(0.2),
            ntp(dense(3, Activation::Linear)),
            batch_norm(),
            LayerSpec::parametric_activation(Activation::Selu, 0.1),
            activation(Activation::Tanh),
            residual([ntp(drop_connect(3, Activation::Relu, 0.2)), LayerSpec::scale()]),
            ntp(dense(2, Activation::Linear)),
        ],
    ]
}
