//! The kinds of layers and initialisers: their settings as tables, and the types they are read into.
//!
//! A new kind is a row in its table and a variant of its enum.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::check::complete;
use super::choices::{Activation, Constraint, Parametrization, WeightKind};
use super::embedding::EmbeddingSpec;
use super::keys::{
    ANY, BELOW_ONE, Key, Kind, MAX_MEMBERS, MAX_UNITS, NOT_NEGATIVE, POSITIVE, bare, key, unset,
};
use super::meaning::When::{Is, On};

/// One kind out of a family told apart by a tag: a layer by its `type`, an initialiser by its `name`.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// The tag's value.
    pub name: &'static str,
    /// Another name for it; empty for none.
    pub alias: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
    /// Its settings.
    pub keys: &'static [Key],
}

impl Variant {
    pub(super) const fn new(name: &'static str, help: &'static str, keys: &'static [Key]) -> Self {
        Self { name, alias: "", help, keys }
    }

    const fn aliased(name: &'static str, alias: &'static str, help: &'static str) -> Self {
        Self { name, alias, help, keys: &[] }
    }

    /// Whether `name` is the name or the alias.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || (!self.alias.is_empty() && self.alias == name)
    }
}

const SLOPE: Key = key(
    "slope",
    // Below 0 the output no longer tells on which side of 0 the input was, which the derivative asks for.
    NOT_NEGATIVE,
    "0.01",
    "Slope of leaky_relu for negative numbers (PyTorch's default).",
);

const LR_FACTOR: Key = key(
    "lr_factor",
    NOT_NEGATIVE,
    "1.0",
    "What the learning rate of what this layer learns is multiplied by; 0 leaves it as it starts.",
);
const BIAS_LR_FACTOR: Key = key(
    "bias_lr_factor",
    NOT_NEGATIVE,
    "1.0",
    "What the learning rate of the biases is multiplied by, in place of lr_factor.",
);

/// Every kind of layer that `network.layers` can list, by its `type`.
#[rustfmt::skip]
pub static LAYER_KEYS: &[Variant] = &[
    Variant::new("dense", "Every output is a weighted sum of all inputs, plus a bias.", &[
        bare("units", Kind::Int { min: 1, max: MAX_UNITS },
            "Number of outputs."),
        key("activation", Kind::Choice(Activation::NAMES), "'linear'",
            "The function applied to each output."),
        SLOPE.when(&[Is("activation", &["leaky_relu"])]),
        key("initializer", Kind::Initializer(INITIALIZERS), "'auto'",
            "How the weights start."),
        key("bias", Kind::Bool, "true",
            "Whether each output has a bias."),
        key("bias_initializer", Kind::Initializer(BIAS_INITIALIZERS), "'zeros'",
            "How the biases start.")
            .when(&[On("bias")]),
        key("drop_connect", BELOW_ONE, "0.0",
            "Share of the weights set to zero in a training step, the others scaled up to match; each shard of a batch draws its own."),
        key("parametrization", Kind::Choice(Parametrization::NAMES), "'standard'",
            "How the weights used follow from the numbers that are trained: as they are, or divided by the root of the number of inputs (ntp)."),
        LR_FACTOR,
        BIAS_LR_FACTOR.when(&[On("bias")]),
        key("packed", Kind::Bool, "false",
            "Whether each member of an ensemble has weights and biases of its own; behind a members layer."),
        unset("l1", NOT_NEGATIVE,
            "In place of optimizer.l1 for these weights."),
        unset("l2", NOT_NEGATIVE,
            "In place of optimizer.l2 for these weights."),
        unset("constraint", Kind::Choice(Constraint::NAMES),
            "In place of optimizer.constraint for these weights."),
        unset("max_norm", POSITIVE,
            "In place of optimizer.max_norm for these weights."),
        unset("weights", Kind::Choice(WeightKind::NAMES),
            "In place of weights.kind for these weights."),
    ]),
    Variant::new("batch_norm", "Each input is brought to mean 0 and variance 1 over the batch, then scaled and shifted.", &[
        key("momentum", BELOW_ONE, "0.99",
            "Share of the running mean and variance that a step keeps (Keras's sense and default)."),
        key("epsilon", Kind::Float { low: std::ops::Bound::Excluded(0.0), high: std::ops::Bound::Included(1.0) }, "1e-3",
            "Added to the variance before its root is taken (Keras's default)."),
    ]),
    Variant::new("dropout", "A random share of the inputs is set to zero in training, and the others scaled up to match.", &[
        key("rate", BELOW_ONE, "0.5",
            "Share of the inputs set to zero."),
    ]),
    Variant::new("activation", "A function applied to each input.", &[
        bare("function", Kind::Choice(Activation::NAMES),
            "The function."),
        SLOPE.when(&[Is("function", &["leaky_relu"])]),
    ]),
    Variant::new("parametric_activation", "A function of which each input takes a learned share: y = (1 - a)x + a f(x), with a = 1 at the start.", &[
        bare("function", Kind::Choice(Activation::NAMES),
            "The function, other than linear."),
        SLOPE.when(&[Is("function", &["leaky_relu"])]),
        LR_FACTOR,
    ]),
    Variant::new("layer_norm", "The inputs of each row are brought to mean 0 and variance 1 among themselves, then scaled and shifted.", &[
        key("epsilon", Kind::Float { low: std::ops::Bound::Excluded(0.0), high: std::ops::Bound::Included(1.0) }, "1e-5",
            "Added to the variance before its root is taken (PyTorch's default)."),
    ]),
    Variant::new("gaussian_noise", "Normally distributed noise is added to each input in training.", &[
        key("std", NOT_NEGATIVE, "0.1",
            "Standard deviation of the noise; inputs of the network have deviation 1 by default."),
    ]),
    Variant::new("scale", "Each input is multiplied by a learned factor of its own.", &[
        key("initializer", Kind::Initializer(SCALE_INITIALIZERS), "'ones'",
            "How the factors start; random_signs makes each 1 or -1 at even odds."),
        key("bias", Kind::Bool, "false",
            "Whether a learned number is added to each."),
        key("bias_initializer", Kind::Initializer(SCALE_INITIALIZERS), "'zeros'",
            "How the biases start.")
            .when(&[On("bias")]),
        LR_FACTOR,
        BIAS_LR_FACTOR.when(&[On("bias")]),
    ]),
    Variant::new("members", "Each row goes to several members of an ensemble from here on, side by side; what is scaled, shifted or normalised behind it is each member's own.", &[
        bare("count", Kind::Int { min: 2, max: MAX_MEMBERS },
            "Number of members."),
    ]),
    Variant::new("residual", "The inputs are added to what a list of layers makes of them, which are as many.", &[
        bare("layers", Kind::Layers,
            "The layers of the block, the last as wide as what enters the first."),
    ]),
];

const ZEROS: Variant = Variant::new("zeros", "All zero.", &[]);
const ONES: Variant = Variant::new("ones", "All one.", &[]);
const CONSTANT: Variant =
    Variant::new("constant", "All the same number.", &[bare("value", ANY, "The number.")]);
const NORMAL: Variant = Variant::new(
    "normal",
    "Normally distributed around zero.",
    &[key("std", POSITIVE, "0.01", "Standard deviation.")],
);
const UNIFORM: Variant = Variant::new(
    "uniform",
    "Evenly distributed from low to high.",
    &[
        key("low", ANY, "-0.05", "The lower end, below high."),
        key("high", ANY, "0.05", "The upper end, above low."),
    ],
);
const TRUNCATED_NORMAL: Variant = Variant::new(
    "truncated_normal",
    "Normally distributed around zero, drawn again beyond two standard deviations.",
    &[key("std", POSITIVE, "0.01", "Standard deviation, the cut accounted for.")],
);

/// Every way for the weights of a layer to start, by its `name`.
#[rustfmt::skip]
pub static INITIALIZERS: &[Variant] = &[
    Variant::new("auto", "Chosen by the activation: LeCun for selu, He for relu and its relatives (leaky_relu, elu, gelu, silu, mish), Xavier for the others.", &[]),
    ZEROS,
    ONES,
    CONSTANT,
    NORMAL,
    UNIFORM,
    TRUNCATED_NORMAL,
    Variant::new("lecun_uniform", "Uniform within sqrt(3 / fan_in) of zero (LeCun 1998).", &[]),
    Variant::new("lecun_normal", "Normal of variance 1 / fan_in (LeCun 1998).", &[]),
    Variant::aliased("xavier_uniform", "glorot_uniform",
        "Uniform within sqrt(6 / (fan_in + fan_out)) of zero (Glorot & Bengio 2010)."),
    Variant::aliased("xavier_normal", "glorot_normal",
        "Normal of variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)."),
    Variant::aliased("he_uniform", "kaiming_uniform",
        "Uniform within sqrt(6 / fan_in) of zero (He et al. 2015)."),
    Variant::aliased("he_normal", "kaiming_normal",
        "Normal of variance 2 / fan_in (He et al. 2015)."),
    Variant::new("orthogonal", "A random orthogonal matrix (Saxe et al. 2014).", &[
        key("gain", POSITIVE, "1.0", "Factor on the matrix."),
    ]),
    Variant::new("lsuv", "Orthogonal, then each layer in turn divided by the deviation of its outputs for training rows (layer-sequential unit variance: Mishkin & Matas 2016).", &[
        key("tolerance", Kind::Float { low: std::ops::Bound::Excluded(0.0), high: std::ops::Bound::Excluded(1.0) }, "0.1",
            "How far from 1 the variance may stay (the paper's default)."),
    ]),
    Variant::new("unit_variance", "Normal, then the weights of each unit divided by the deviation of its output for training rows (Holzmüller 2024).", &[]),
];

/// Every way for biases to start: those that ask for no fan-in and no matrix, and one that looks at the rows.
#[rustfmt::skip]
pub static BIAS_INITIALIZERS: &[Variant] = &[
    ZEROS,
    ONES,
    CONSTANT,
    NORMAL,
    UNIFORM,
    TRUNCATED_NORMAL,
    Variant::new("he_plus", "Each unit's kink is put at a random mean of some training rows (he+5: Steinwart 2019, Holzmüller 2024).", &[
        key("rows", Kind::Int { min: 1, max: 1000 }, "5",
            "Training rows of each mean; 1 puts the kink at a row."),
    ]),
];

/// Every way for factors, one a feature, and the biases beside them to start.
pub static SCALE_INITIALIZERS: &[Variant] = &[
    ONES,
    ZEROS,
    CONSTANT,
    NORMAL,
    UNIFORM,
    TRUNCATED_NORMAL,
    Variant::new("random_signs", "Each 1 or -1 at even odds.", &[]),
];

/// One layer of a network, with all its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum LayerSpec {
    /// Weighted sums of all inputs, plus biases, through an activation.
    Dense {
        /// Number of outputs.
        units: usize,
        /// The function applied to each output.
        activation: Activation,
        /// Slope of [`Activation::LeakyRelu`] for negative numbers.
        slope: f64,
        /// How the weights start.
        initializer: Initializer,
        /// Whether each output has a bias.
        bias: bool,
        /// How the biases start.
        bias_initializer: Initializer,
        /// Share of the weights set to zero in a training step.
        drop_connect: f64,
        /// How the weights used follow from the numbers that are trained.
        #[serde(default = "standard")]
        parametrization: Parametrization,
        /// What the learning rate of the weights is multiplied by.
        #[serde(default = "one")]
        lr_factor: f64,
        /// What the learning rate of the biases is multiplied by.
        #[serde(default = "one")]
        bias_lr_factor: f64,
        /// Whether each member of an ensemble has weights of its own.
        #[serde(default)]
        packed: bool,
        /// In place of `optimizer.l1`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        l1: Option<f64>,
        /// In place of `optimizer.l2`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        l2: Option<f64>,
        /// In place of `optimizer.constraint`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        constraint: Option<Constraint>,
        /// In place of `optimizer.max_norm`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_norm: Option<f64>,
        /// In place of `weights.kind`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weights: Option<WeightKind>,
    },
    /// Batch normalisation with a learned scale and shift.
    BatchNorm {
        /// Share of the running statistics that a step keeps.
        momentum: f64,
        /// Added to the variance before its root is taken.
        epsilon: f64,
    },
    /// Inverted dropout.
    Dropout {
        /// Share of the inputs set to zero.
        rate: f64,
    },
    /// A function applied to each input.
    Activation {
        /// The function.
        function: Activation,
        /// Slope of [`Activation::LeakyRelu`] for negative numbers.
        slope: f64,
    },
    /// A function of which each input takes a learned share.
    ParametricActivation {
        /// The function.
        function: Activation,
        /// Slope of [`Activation::LeakyRelu`] for negative numbers.
        slope: f64,
        /// What the learning rate is multiplied by.
        lr_factor: f64,
    },
    /// Layer normalisation with a learned scale and shift.
    LayerNorm {
        /// Added to the variance before its root is taken.
        epsilon: f64,
    },
    /// Noise added in training.
    GaussianNoise {
        /// Standard deviation of the noise.
        std: f64,
    },
    /// A learned factor for each input.
    Scale {
        /// How the factors start.
        #[serde(default = "ones")]
        initializer: Initializer,
        /// Whether there is a bias.
        #[serde(default)]
        bias: bool,
        /// How the biases start.
        #[serde(default = "zeros")]
        bias_initializer: Initializer,
        /// What the learning rate of the factors is multiplied by.
        #[serde(default = "one")]
        lr_factor: f64,
        /// What the learning rate of the biases is multiplied by.
        #[serde(default = "one")]
        bias_lr_factor: f64,
    },
    /// From here on a row is several side by side, one for each member of an ensemble.
    Members {
        /// Number of members.
        count: usize,
    },
    /// Raw columns, each made into several numbers. It follows from the `embedding` settings and the table, is always
    /// the first layer, and cannot be listed.
    Embedding {
        /// What becomes of the inputs, from left to right.
        columns: Vec<EmbeddingSpec>,
    },
    /// A residual block: what enters it is added to what its layers make of it.
    Residual {
        /// The layers, the last as wide as what enters the first.
        layers: Vec<LayerSpec>,
    },
}

impl LayerSpec {
    /// A dense layer, its other settings at their defaults.
    pub fn dense(units: usize, activation: Activation, initializer: Initializer) -> Self {
        Self::of(
            "dense",
            [("units", value(units)), ("activation", value(activation)), ("initializer", value(initializer))],
        )
    }

    /// A batch normalisation with its default settings.
    pub fn batch_norm() -> Self {
        Self::of("batch_norm", [])
    }

    /// A layer normalisation with its default settings.
    pub fn layer_norm() -> Self {
        Self::of("layer_norm", [])
    }

    /// A learned factor for each input, 1 at the start.
    pub fn scale() -> Self {
        Self::of("scale", [])
    }

    /// A function of which each input takes a learned share.
    pub fn parametric_activation(function: Activation, slope: f64) -> Self {
        Self::ParametricActivation { function, slope, lr_factor: 1.0 }
    }

    /// What the learning rate is multiplied by: for all but biases, and for biases.
    pub fn lr_factors(&self) -> [f64; 2] {
        match self {
            Self::Dense { lr_factor, bias_lr_factor, .. } | Self::Scale { lr_factor, bias_lr_factor, .. } => {
                [*lr_factor, *bias_lr_factor]
            }
            Self::ParametricActivation { lr_factor, .. } => [*lr_factor; 2],
            Self::BatchNorm { .. }
            | Self::LayerNorm { .. }
            | Self::Dropout { .. }
            | Self::Activation { .. }
            | Self::GaussianNoise { .. }
            | Self::Members { .. }
            | Self::Embedding { .. }
            | Self::Residual { .. } => [1.0; 2],
        }
    }

    /// Changes a list of layers by `change`, and after it every list inside its blocks, however deep.
    pub fn change_lists(layers: &mut Vec<Self>, change: &mut dyn FnMut(&mut Vec<Self>)) {
        change(layers);
        for layer in layers {
            if let Self::Residual { layers } = layer {
                Self::change_lists(layers, change);
            }
        }
    }

    /// Whether `is` holds for the layer itself or for one inside its block.
    pub fn any(&self, is: &dyn Fn(&Self) -> bool) -> bool {
        let inside = || matches!(self, Self::Residual { layers } if layers.iter().any(|layer| layer.any(is)));
        is(self) || inside()
    }

    /// A layer of this kind with these settings, the others at their defaults.
    fn of<const N: usize>(kind: &str, given: [(&str, Value); N]) -> Self {
        let mut table: Table = given.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        table.insert("type".to_owned(), value(kind));
        let variant =
            LAYER_KEYS.iter().find(|variant| variant.name == kind).expect("the kind is in the table");
        complete(variant, &mut table).unwrap_or_else(|key| unreachable!("`{}` is given", key.path));
        table.try_into().expect("a complete table is a layer")
    }
}

fn value(setting: impl Serialize) -> Value {
    Value::try_from(setting).expect("a setting is a value that TOML knows")
}

// What layers had before they had these settings.
fn one() -> f64 {
    1.0
}

fn standard() -> Parametrization {
    Parametrization::Standard
}

fn ones() -> Initializer {
    Initializer::Ones
}

fn zeros() -> Initializer {
    Initializer::Zeros
}

/// How numbers that will be trained start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Initializer {
    /// Chosen by the activation: LeCun for selu, He for the ReLU family, Xavier for the others.
    Auto,
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// All the same.
    Constant {
        /// The number.
        value: f64,
    },
    /// N(0, std²).
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// U(low, high).
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// N(0, std²), drawn again beyond two standard deviations.
    TruncatedNormal {
        /// Standard deviation, the cut accounted for.
        std: f64,
    },
    /// U(−a, a), a = √(3 / `fan_in`).
    LecunUniform,
    /// N(0, 1 / `fan_in`).
    LecunNormal,
    /// U(−a, a), a = √(6 / (`fan_in` + `fan_out`)).
    XavierUniform,
    /// N(0, 2 / (`fan_in` + `fan_out`)).
    XavierNormal,
    /// U(−a, a), a = √(6 / `fan_in`).
    HeUniform,
    /// N(0, 2 / `fan_in`).
    HeNormal,
    /// A random orthogonal matrix.
    Orthogonal {
        /// Factor on the matrix.
        gain: f64,
    },
    /// Orthogonal, then scaled to outputs of variance 1 over training rows, layer by layer.
    Lsuv {
        /// How far from 1 the variance may stay.
        tolerance: f64,
    },
    /// Normal, then scaled to outputs of variance 1 over training rows, unit by unit.
    UnitVariance,
    /// 1 or −1 at even odds.
    RandomSigns,
    /// Of biases: minus what the unit is at a random mean of training rows.
    HePlus {
        /// Rows of each mean.
        rows: usize,
    },
}

impl Initializer {
    /// The name that stands for this kind in files.
    pub fn name(&self) -> String {
        value(self)["name"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether it looks at training rows.
    pub fn looks_at_rows(&self) -> bool {
        matches!(self, Self::Lsuv { .. } | Self::UnitVariance | Self::HePlus { .. })
    }
}
