//! Initial weights, by the names and sources of the literature.

use statera_kernels::{Activation, Scalar};

use super::activation;
use crate::config::{self, Initializer, LayerSpec};
use crate::random::Stream;

/// What `auto` stands for with an activation: LeCun for selu, He for the ReLU family, Xavier for all others.
pub fn resolve(initializer: Initializer, activation: Activation) -> Initializer {
    if initializer == Initializer::Auto { auto(activation).0 } else { initializer }
}

/// [`resolve`] for a function that settings name.
pub fn starts_by(initializer: Initializer, function: config::Activation, slope: f64) -> Initializer {
    resolve(initializer, activation::function(function, slope))
}

/// What `auto` chooses for an activation, and why.
///
/// Klambauer et al. 2017 ask for 1/fan_in, with which selu keeps mean 0 and variance 1; He et al. 2015 derive
/// 2/fan_in for units that are zero half of the time, which the smooth relatives of relu nearly are; Glorot & Bengio
/// 2010 derive 2/(fan_in + fan_out) for units that are symmetric about zero.
pub fn auto(activation: Activation) -> (Initializer, &'static str) {
    match activation {
        Activation::Selu => {
            (Initializer::LecunNormal, "selu keeps mean 0 and variance 1 with weights of variance 1/fan_in")
        }
        Activation::Relu | Activation::LeakyRelu(_) => {
            (Initializer::HeNormal, "about half of the units are off, which variance 2/fan_in makes up for")
        }
        Activation::Elu | Activation::Gelu | Activation::Silu | Activation::Mish => (
            Initializer::HeNormal,
            "about half of the units are nearly off, which variance 2/fan_in makes up for",
        ),
        Activation::Linear => (
            Initializer::XavierUniform,
            "variance 2/(fan_in + fan_out) keeps values and gradients to one scale",
        ),
        Activation::Sigmoid | Activation::Tanh | Activation::Softplus | Activation::Softsign => (
            Initializer::XavierUniform,
            "about linear near 0, where variance 2/(fan_in + fan_out) keeps values and gradients to one scale",
        ),
    }
}

/// How some layers of a network start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// `layers.<index>` each, or `layers.<index>.<index>` inside a block.
    pub layers: Vec<String>,
    /// Their activation, if it is what `auto` went by; empty where an initialiser is named.
    pub activation: String,
    /// The initialiser that was chosen.
    pub chosen: String,
    /// Why `auto` chose it; empty where it did not.
    pub reason: &'static str,
}

/// Says of every dense layer how it starts: by the initialiser that is named, or by what `auto` is, and why; layers
/// of one initialiser together, or under `auto` those of one activation.
pub fn explain(specs: &[LayerSpec]) -> Vec<Explained> {
    let mut told = Vec::new();
    explain_list("layers", specs, &mut told);
    told
}

fn explain_list(list: &str, specs: &[LayerSpec], told: &mut Vec<Explained>) {
    for (i, spec) in specs.iter().enumerate() {
        let layer = format!("{list}.{i}");
        let (activation, chosen, reason) = match spec {
            LayerSpec::Dense { activation, slope, initializer: Initializer::Auto, .. } => {
                let (chosen, reason) = auto(activation::function(*activation, *slope));
                (activation.name(), chosen, reason)
            }
            LayerSpec::Dense { initializer, .. } => ("", *initializer, ""),
            LayerSpec::Residual { layers } => {
                explain_list(&layer, layers, told);
                continue;
            }
            _ => continue,
        };
        let chosen = chosen.name();
        match told.iter_mut().find(|t| t.activation == activation && t.chosen == chosen) {
            Some(same) => same.layers.push(layer),
            None => told.push(Explained {
                layers: vec![layer],
                activation: activation.to_owned(),
                chosen,
                reason,
            }),
        }
    }
}

/// Fills a weight of `fan_in`×`fan_out` (or a bias of `fan_out`) with draws from the initialiser.
///
/// With n = fan_in, m = fan_out: LeCun (LeCun et al. 1998) has variance 1/n, hence the limit √(3/n); Xavier
/// (Glorot & Bengio 2010) variance 2/(n + m), hence √(6/(n + m)); He (He et al. 2015) variance 2/n, hence
/// √(6/n). `truncated_normal` is redrawn beyond two standard deviations and then divided by 0.8796, the
/// standard deviation that remains, so that `std` is what is asked for. `orthogonal` (Saxe et al. 2014) has
/// orthonormal rows or columns, whichever are fewer, times the gain.
///
/// Those that look at rows are left as they stand before: `lsuv` orthogonal, `unit_variance` of variance 1/n,
/// `he_plus` zero; see [`Network::init_on`](super::Network::init_on).
pub fn fill<T: Scalar>(
    initializer: Initializer,
    [fan_in, fan_out]: [usize; 2],
    weights: &mut [T],
    stream: &mut Stream,
) {
    let (n, m) = (fan_in.max(1) as f64, fan_out.max(1) as f64);
    let mut uniform = |low: f64, high: f64| {
        for w in &mut *weights {
            *w = T::from_f64(low + (high - low) * stream.uniform());
        }
    };
    match initializer {
        Initializer::Zeros | Initializer::HePlus { .. } => weights.fill(T::ZERO),
        Initializer::Ones => weights.fill(T::ONE),
        Initializer::RandomSigns => {
            for w in weights {
                *w = if stream.next_u32() & 1 == 0 { T::ONE } else { -T::ONE };
            }
        }
        Initializer::Constant { value } => weights.fill(T::from_f64(value)),
        Initializer::Uniform { low, high } => uniform(low, high),
        Initializer::LecunUniform => uniform(-(3.0 / n).sqrt(), (3.0 / n).sqrt()),
        Initializer::Auto | Initializer::XavierUniform => {
            uniform(-(6.0 / (n + m)).sqrt(), (6.0 / (n + m)).sqrt());
        }
        Initializer::HeUniform => uniform(-(6.0 / n).sqrt(), (6.0 / n).sqrt()),
        Initializer::Normal { std } => normal(weights, std, stream),
        Initializer::LecunNormal | Initializer::UnitVariance => normal(weights, (1.0 / n).sqrt(), stream),
        Initializer::XavierNormal => normal(weights, (2.0 / (n + m)).sqrt(), stream),
        Initializer::HeNormal => normal(weights, (2.0 / n).sqrt(), stream),
        Initializer::TruncatedNormal { std } => truncated_normal(weights, std, stream),
        Initializer::Orthogonal { gain } => orthogonal([fan_in, fan_out], weights, gain, stream),
        Initializer::Lsuv { .. } => orthogonal([fan_in, fan_out], weights, 1.0, stream),
    }
}

fn normal<T: Scalar>(weights: &mut [T], std: f64, stream: &mut Stream) {
    for w in weights {
        *w = T::from_f64(std * stream.normal());
    }
}

fn truncated_normal<T: Scalar>(weights: &mut [T], std: f64, stream: &mut Stream) {
    /// The standard deviation of a standard normal that is cut at ±2: √(1 − 4φ(2)/(2Φ(2) − 1)).
    const REMAINING: f64 = 0.879_625_661_034_239_8;
    for w in weights {
        let draw = loop {
            let draw = stream.normal();
            if draw.abs() <= 2.0 {
                break draw;
            }
        };
        *w = T::from_f64(std / REMAINING * draw);
    }
}

/// Gram–Schmidt, twice for orthogonality to working precision, on rows of Gaussian numbers: the Q of a QR
/// decomposition whose R has a positive diagonal, which makes it uniform over the orthogonal matrices
/// (Mezzadri 2007). O(rows·columns·min(rows, columns)).
fn orthogonal<T: Scalar>([rows, columns]: [usize; 2], weights: &mut [T], gain: f64, stream: &mut Stream) {
    let (short, long) = (rows.min(columns), rows.max(columns));
    let mut q = vec![0.0_f64; short * long];
    for i in 0..short {
        let (done, rest) = q.split_at_mut(i * long);
        let row = &mut rest[..long];
        for v in row.iter_mut() {
            *v = stream.normal();
        }
        for _ in 0..2 {
            for other in done.chunks_exact(long) {
                let dot: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                for (v, o) in row.iter_mut().zip(other) {
                    *v -= dot * o;
                }
            }
        }
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        for v in row {
            *v /= norm;
        }
    }
    for (i, w) in weights.iter_mut().enumerate() {
        let (row, column) = (i / columns, i % columns);
        let at = if rows <= columns { row * long + column } else { column * long + row };
        *w = T::from_f64(gain * q[at]);
    }
}
