//! Embeddings: each raw column becomes several numbers, learned along with the network.
//!
//! - Categories: a vector w of d numbers for each code c, y = w[c]; a code without a vector gives zeros.
//! - `plr` (Gorishniy, Rubachev & Babenko 2022, "On Embeddings for Numerical Features in Tabular Deep Learning"):
//!   v = 2π·c·x with learned frequencies c, y = relu([sin v, cos v]·W + b).
//! - `pbld` (RealMLP: Holzmüller, Grinsztajn & Steinwart 2024, "Better by default"):
//!   y = [cos(2π·c·x + φ)·W + b, x] with learned frequencies and phases.
//! - `ple` (Gorishniy et al. 2022): how far x is through each of its bins; then, if asked for, relu(…·W + b). The
//!   layer is given the place of x among the edges of the bins (0 at the first edge, T at the last).

use std::f64::consts::PI;
use std::ops::Range;

use statera_kernels::{Activation, Matrix, Scalar, Start, product_scratch_len};

use super::init;
use super::layer::Pass;
use super::params::{Layout, Role};
use crate::config::{EmbeddingSpec, Initializer};
use crate::random::{Purpose, Stream};

/// Embeds I inputs, column by column, as O outputs; only ever the first layer.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// I.
    pub in_features: usize,
    /// O.
    pub out_features: usize,
    columns: Vec<Column>,
    /// Where its parameters lie.
    params: Range<usize>,
    /// Numbers of scratch for the transposed weights of all columns.
    n_transposed: usize,
}

/// A column, and where its inputs and outputs lie in a row.
#[derive(Debug, Clone)]
struct Column {
    input: usize,
    output: usize,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// So many inputs, handed on.
    Plain(usize),
    /// A vector of so many numbers for each code (levels×d).
    Table { weight: Range<usize>, dimension: usize },
    /// The encoding as it is (T).
    Encoded(Encoding),
    /// relu(encoding·W + b), or without relu and with the input after it.
    Linear(Encoding, Linear),
}

/// What a number becomes before any weights mix it: P numbers.
#[derive(Debug, Clone)]
enum Encoding {
    /// Sines and cosines of K frequencies.
    Sines { frequencies: Range<usize>, sigma: f64 },
    /// Cosines of K frequencies, each with a phase.
    Cosines { frequencies: Range<usize>, phases: Range<usize>, sigma: f64 },
    /// The share of each of T bins that lies below.
    Steps(usize),
}

/// A weight (P×d) and bias (d) of one column.
#[derive(Debug, Clone)]
struct Linear {
    weight: Range<usize>,
    bias: Range<usize>,
    dimension: usize,
    /// Whether relu follows; else the input itself is one more output.
    relu: bool,
    /// Where Wᵀ lies in the scratch of a backward pass.
    transposed: usize,
}

impl Encoding {
    /// K frequencies of `column`, with as many phases or without.
    fn waves(layout: &mut Layout, column: &str, k: usize, sigma: f64, with_phases: bool) -> Self {
        // Neither is a weight that decay should draw to zero.
        let mut add = |name: &str| layout.add(&format!("{column}.{name}"), &[k], Role::Offset);
        let frequencies = add("frequencies");
        if with_phases {
            Self::Cosines { frequencies, phases: add("phases"), sigma }
        } else {
            Self::Sines { frequencies, sigma }
        }
    }

    /// P, the numbers that enter the weight.
    fn width(&self) -> usize {
        match self {
            Self::Sines { frequencies, .. } => 2 * frequencies.len(),
            Self::Cosines { frequencies, .. } => frequencies.len(),
            Self::Steps(n_bins) => *n_bins,
        }
    }

    /// Numbers that are computed for a row, the last P of which enter the weight: cosines come with their sines.
    fn computed(&self) -> usize {
        match self {
            Self::Cosines { frequencies, .. } => 2 * frequencies.len(),
            Self::Sines { .. } | Self::Steps(_) => self.width(),
        }
    }

    /// What enters the weight (rows×P), inside of what was computed.
    fn entering<'a, T>(&self, encoded: &'a [T]) -> Matrix<'a, T> {
        let computed = self.computed();
        Matrix { data: &encoded[computed - self.width()..], row_stride: computed, column_stride: 1 }
    }

    /// Encodes the inputs at `x`, one every `stride` (rows×computed).
    fn forward<T: Scalar>(&self, pass: &Pass<T>, x: &[T], stride: usize, to: &mut [T]) {
        match self {
            Self::Sines { frequencies, .. } => {
                T::waves(pass.level, x, stride, &pass.params[frequencies.clone()], &[], to);
            }
            Self::Cosines { frequencies, phases, .. } => {
                let (frequencies, phases) = (&pass.params[frequencies.clone()], &pass.params[phases.clone()]);
                T::waves(pass.level, x, stride, frequencies, phases, to);
            }
            Self::Steps(n_bins) => T::steps(pass.level, x, stride, *n_bins, to),
        }
    }

    /// Given ∂L/∂z in `scratch.z` (rows×d), adds to the gradients of `linear` and of this encoding, and leaves ∂L/∂x
    /// of the column in `scratch.dx` where it is wanted, and something else where it is not.
    fn backward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        linear: &Linear,
        [n_rows, stride]: [usize; 2],
        x: &[T],
        wants_dx: bool,
        grads: &mut [T],
        scratch: &mut Scratch<T>,
    ) {
        let (p, d) = (self.width(), linear.dimension);
        let dz = &scratch.z[..n_rows * d];
        // Cheaper than to keep it from the forward pass: it would take P numbers a row and column.
        let encoded = &mut scratch.encoded[..n_rows * self.computed()];
        self.forward(pass, x, stride, encoded);
        let entering = self.entering(encoded);
        let transposed =
            Matrix { row_stride: entering.column_stride, column_stride: entering.row_stride, ..entering };
        let (dw, dz_rows) = (&mut grads[linear.weight.clone()], Matrix::rows(dz, d));
        T::product(pass.level, [p, n_rows, d], transposed, dz_rows, dw, Start::Add, scratch.product);
        T::column_sums(pass.level, dz, &mut grads[linear.bias.clone()]);
        if !wants_dx && matches!(self, Self::Steps(_)) {
            return;
        }
        let dencoded = &mut scratch.dencoded[..n_rows * p];
        let weight = Matrix::rows(&scratch.transposed[linear.transposed..], p);
        let (shape, dz) = ([n_rows, d, p], Matrix::rows(dz, d));
        T::product(pass.level, shape, dz, weight, dencoded, Start::Zero, scratch.product);
        let (frequencies, phases) = match self {
            Self::Sines { frequencies, .. } => (frequencies, frequencies.end..frequencies.end),
            // The phases follow the frequencies.
            Self::Cosines { frequencies, phases, .. } => (frequencies, phases.clone()),
            Self::Steps(n_bins) => {
                let rows = dencoded.chunks_exact(p).zip(x.iter().step_by(stride));
                for (dx, (dencoded, &x)) in scratch.dx.iter_mut().zip(rows) {
                    *dx = dencoded[bin_of(x, *n_bins)];
                }
                return;
            }
        };
        let (dfrequencies, dphases) = grads[frequencies.start..phases.end].split_at_mut(frequencies.len());
        let dx = if wants_dx { &mut *scratch.dx } else { &mut [] };
        let frequencies = &pass.params[frequencies.clone()];
        T::waves_backward(pass.level, x, stride, frequencies, encoded, dencoded, dfrequencies, dphases, dx);
    }
}

impl Linear {
    /// Takes the next places in the parameter vector, and in the scratch after `n_transposed` numbers.
    fn new(
        layout: &mut Layout,
        n_transposed: &mut usize,
        column: &str,
        [width, dimension]: [usize; 2],
        relu: bool,
    ) -> Self {
        let transposed = *n_transposed;
        *n_transposed += width * dimension;
        let weight = layout.add(&format!("{column}.weight"), &[width, dimension], Role::Weight);
        let bias = layout.add(&format!("{column}.bias"), &[dimension], Role::Offset);
        Self { weight, bias, dimension, relu, transposed }
    }
}

/// The scratch of a pass over some rows, cut up.
struct Scratch<'a, T> {
    /// Wᵀ of all columns.
    transposed: &'a mut [T],
    /// What a column is encoded as (rows×computed), the gradient of it (rows×P), and what its weight makes of it
    /// or the gradient of that (rows×d).
    encoded: &'a mut [T],
    dencoded: &'a mut [T],
    z: &'a mut [T],
    /// ∂L/∂x of a column (rows).
    dx: &'a mut [T],
    product: &'a mut [T],
}

impl Embedding {
    pub(crate) fn new(layout: &mut Layout, specs: &[EmbeddingSpec]) -> Self {
        let first = layout.len();
        let (mut in_features, mut out_features, mut n_transposed) = (0, 0, 0);
        let mut columns = Vec::with_capacity(specs.len());
        for spec in specs {
            let kind = match spec {
                EmbeddingSpec::Plain { inputs } => Kind::Plain(*inputs),
                EmbeddingSpec::Table { column, levels, dimension } => {
                    let shape = [*levels, *dimension];
                    let weight = layout.add(&format!("{column}.weight"), &shape, Role::Table);
                    Kind::Table { weight, dimension: *dimension }
                }
                EmbeddingSpec::Plr { column, frequencies, sigma, dimension } => {
                    let encoding = Encoding::waves(layout, column, *frequencies, *sigma, false);
                    let shape = [encoding.width(), *dimension];
                    Kind::Linear(encoding, Linear::new(layout, &mut n_transposed, column, shape, true))
                }
                EmbeddingSpec::Pbld { column, frequencies, sigma, dimension } => {
                    let encoding = Encoding::waves(layout, column, *frequencies, *sigma, true);
                    let shape = [encoding.width(), dimension - 1];
                    Kind::Linear(encoding, Linear::new(layout, &mut n_transposed, column, shape, false))
                }
                EmbeddingSpec::Ple { bins, dimension: 0, .. } => Kind::Encoded(Encoding::Steps(*bins)),
                EmbeddingSpec::Ple { column, bins, dimension } => {
                    let shape = [*bins, *dimension];
                    let linear = Linear::new(layout, &mut n_transposed, column, shape, true);
                    Kind::Linear(Encoding::Steps(*bins), linear)
                }
            };
            columns.push(Column { input: in_features, output: out_features, kind });
            in_features += spec.n_inputs();
            out_features += spec.n_outputs();
        }
        Self { in_features, out_features, columns, params: first..layout.len(), n_transposed }
    }

    /// How many columns of which kind there are, as `3 plr, 2 categories, 1 plain`.
    pub(crate) fn detail(&self) -> String {
        let mut counts = [("plr", 0), ("pbld", 0), ("ple", 0), ("categories", 0), ("plain", 0)];
        for column in &self.columns {
            let (at, n) = match &column.kind {
                Kind::Linear(Encoding::Sines { .. }, _) => (0, 1),
                Kind::Linear(Encoding::Cosines { .. }, _) => (1, 1),
                Kind::Linear(Encoding::Steps(_), _) | Kind::Encoded(_) => (2, 1),
                Kind::Table { .. } => (3, 1),
                Kind::Plain(n) => (4, *n),
            };
            counts[at].1 += n;
        }
        let named = counts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| match (*name, n) {
            ("categories", 1) => "1 category".to_owned(),
            _ => format!("{n} {name}"),
        });
        named.collect::<Vec<_>>().join(", ")
    }

    /// Multiply–adds in the matrix products of one training step, a row.
    pub(crate) fn multiply_adds_per_row(&self) -> usize {
        // Forward, weight gradient, and the gradient that waves need.
        let products = |encoding: &Encoding| if matches!(encoding, Encoding::Steps(_)) { 2 } else { 3 };
        self.linears().map(|(encoding, linear)| products(encoding) * linear.weight.len()).sum()
    }

    fn linears(&self) -> impl Iterator<Item = (&Encoding, &Linear)> {
        self.columns.iter().filter_map(|column| match &column.kind {
            Kind::Linear(encoding, linear) => Some((encoding, linear)),
            Kind::Plain(_) | Kind::Table { .. } | Kind::Encoded(_) => None,
        })
    }

    /// The widest of all columns: numbers that are computed, P and d.
    fn widest(&self) -> [usize; 3] {
        let mut widest = [0; 3];
        for column in &self.columns {
            let of_column = match &column.kind {
                Kind::Plain(_) | Kind::Table { .. } => [0; 3],
                Kind::Encoded(encoding) => [encoding.computed(), 0, 0],
                Kind::Linear(encoding, linear) => [encoding.computed(), encoding.width(), linear.dimension],
            };
            widest = std::array::from_fn(|i| widest[i].max(of_column[i]));
        }
        widest
    }

    /// The transposed weights, and for so many rows a column's encoding, its outputs, their gradients, and what the
    /// products need.
    pub(crate) fn scratch_len(&self, n_rows: usize) -> usize {
        let products = self.linears().map(|(encoding, linear)| {
            let (p, d) = (encoding.width(), linear.dimension);
            let forward = product_scratch_len(n_rows, p, d);
            forward.max(product_scratch_len(p, n_rows, d)).max(product_scratch_len(n_rows, d, p))
        });
        let [computed, width, dimension] = self.widest();
        self.n_transposed + n_rows * (computed + width + dimension + 1) + products.max().unwrap_or(0)
    }

    fn cut<'a, T>(&self, n_rows: usize, scratch: &'a mut [T]) -> Scratch<'a, T> {
        let [computed, width, dimension] = self.widest();
        let (transposed, scratch) = scratch.split_at_mut(self.n_transposed);
        let (encoded, scratch) = scratch.split_at_mut(n_rows * computed);
        let (dencoded, scratch) = scratch.split_at_mut(n_rows * width);
        let (z, scratch) = scratch.split_at_mut(n_rows * dimension);
        let (dx, product) = scratch.split_at_mut(n_rows);
        Scratch { transposed, encoded, dencoded, z, dx, product }
    }

    /// y = each column's embedding of x, with x rows×I and y rows×O.
    pub(crate) fn forward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        n_rows: usize,
        x: &[T],
        y: &mut [T],
        scratch: &mut [T],
    ) {
        let (i, o) = (self.in_features, self.out_features);
        let scratch = self.cut(n_rows, scratch);
        for column in &self.columns {
            let x = &x[column.input..];
            let rows = y.chunks_exact_mut(o).map(|y| &mut y[column.output..]).zip(x.chunks(i));
            match &column.kind {
                Kind::Plain(n) => {
                    for (y, x) in rows {
                        y[..*n].copy_from_slice(&x[..*n]);
                    }
                }
                Kind::Table { weight, dimension } => {
                    for (y, x) in rows {
                        match vector_of(x[0], weight, *dimension) {
                            Some(vector) => y[..*dimension].copy_from_slice(&pass.params[vector]),
                            None => y[..*dimension].fill(T::ZERO),
                        }
                    }
                }
                Kind::Encoded(encoding) => {
                    let width = encoding.width();
                    let encoded = &mut scratch.encoded[..n_rows * width];
                    encoding.forward(pass, x, i, encoded);
                    for ((y, _), encoded) in rows.zip(encoded.chunks_exact(width)) {
                        y[..width].copy_from_slice(encoded);
                    }
                }
                Kind::Linear(encoding, linear) => {
                    let d = linear.dimension;
                    let encoded = &mut scratch.encoded[..n_rows * encoding.computed()];
                    encoding.forward(pass, x, i, encoded);
                    let (weight, bias) =
                        (&pass.params[linear.weight.clone()], &pass.params[linear.bias.clone()]);
                    let (shape, z) = ([n_rows, encoding.width(), d], &mut scratch.z[..n_rows * d]);
                    let (entering, weight) = (encoding.entering(encoded), Matrix::rows(weight, d));
                    T::product(pass.level, shape, entering, weight, z, Start::Bias(bias), scratch.product);
                    if linear.relu {
                        T::activate(pass.level, Activation::Relu, z);
                    }
                    for ((y, x), z) in rows.zip(z.chunks_exact(d)) {
                        y[..d].copy_from_slice(z);
                        if !linear.relu {
                            y[d] = x[0];
                        }
                    }
                }
            }
        }
    }

    /// Sets the gradients to zero, for the rows to be added to them, and puts Wᵀ of each column that needs it into
    /// the front of `scratch`, where [`Embedding::backward_rows`] finds it.
    pub(crate) fn prepare_backward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        wants_dx: bool,
        grads: &mut [T],
        scratch: &mut [T],
    ) {
        grads[self.params.clone()].fill(T::ZERO);
        for (encoding, linear) in self.linears() {
            if wants_dx || !matches!(encoding, Encoding::Steps(_)) {
                let weight = &pass.params[linear.weight.clone()];
                let shape = [encoding.width(), linear.dimension];
                T::transpose_to(pass.level, shape, weight, &mut scratch[linear.transposed..]);
            }
        }
    }

    /// Adds the rows to the gradients of all parameters, and writes ∂L/∂x (rows×I) where it is wanted, given x
    /// (rows×I), y and ∂L/∂y (rows×O). A code has no derivative: it gets 0.
    pub(crate) fn backward_rows<T: Scalar>(
        &self,
        pass: &Pass<T>,
        n_rows: usize,
        [x, y, dy]: [&[T]; 3],
        mut dx: Option<&mut [T]>,
        grads: &mut [T],
        scratch: &mut [T],
    ) {
        let (i, o) = (self.in_features, self.out_features);
        let mut scratch = self.cut(n_rows, scratch);
        for column in &self.columns {
            let x = &x[column.input..];
            let dy_rows = dy.chunks_exact(o).map(|dy| &dy[column.output..]);
            match &column.kind {
                Kind::Plain(n) => {
                    if let Some(dx) = dx.as_deref_mut() {
                        for (dx, dy) in dx[column.input..].chunks_mut(i).zip(dy_rows) {
                            dx[..*n].copy_from_slice(&dy[..*n]);
                        }
                    }
                    continue;
                }
                Kind::Table { weight, dimension } => {
                    for (dy, x) in dy_rows.zip(x.chunks(i)) {
                        if let Some(vector) = vector_of(x[0], weight, *dimension) {
                            for (dw, &dy) in grads[vector].iter_mut().zip(dy) {
                                *dw += dy;
                            }
                        }
                    }
                    scratch.dx.fill(T::ZERO);
                }
                Kind::Encoded(encoding) => {
                    for ((dx, dy), x) in scratch.dx.iter_mut().zip(dy_rows).zip(x.chunks(i)) {
                        *dx = dy[bin_of(x[0], encoding.width())];
                    }
                }
                Kind::Linear(encoding, linear) => {
                    let d = linear.dimension;
                    let y_rows = y.chunks_exact(o).map(|y| &y[column.output..]);
                    for ((dz, dy), y) in scratch.z.chunks_exact_mut(d).zip(dy_rows.clone()).zip(y_rows) {
                        for ((dz, &dy), &y) in dz.iter_mut().zip(dy).zip(y) {
                            *dz = if linear.relu && y <= T::ZERO { T::ZERO } else { dy };
                        }
                    }
                    let wants_dx = dx.is_some();
                    encoding.backward(pass, linear, [n_rows, i], x, wants_dx, grads, &mut scratch);
                    if !linear.relu {
                        for (dx, dy) in scratch.dx.iter_mut().zip(dy_rows) {
                            *dx += dy[d];
                        }
                    }
                }
            }
            if let Some(dx) = dx.as_deref_mut() {
                for (dx, &of_column) in dx[column.input..].iter_mut().step_by(i).zip(&*scratch.dx) {
                    *dx = of_column;
                }
            }
        }
    }

    pub(crate) fn init<T: Scalar>(&self, params: &mut [T], seed: u64) {
        let stream = &mut Stream::new(seed, Purpose::InitEmbedding, 0);
        let mut fill = |initializer, range: &Range<usize>| {
            init::fill(initializer, [1, range.len()], &mut params[range.clone()], stream);
        };
        let within = |limit: f64| Initializer::Uniform { low: -limit, high: limit };
        for column in &self.columns {
            match &column.kind {
                Kind::Plain(_) | Kind::Encoded(_) => {}
                // As Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular Data".
                Kind::Table { weight, dimension } => fill(within(1.0 / (*dimension as f64).sqrt()), weight),
                Kind::Linear(encoding, linear) => {
                    match encoding {
                        Encoding::Sines { frequencies, sigma } => {
                            fill(Initializer::Normal { std: *sigma }, frequencies);
                        }
                        Encoding::Cosines { frequencies, phases, sigma } => {
                            fill(Initializer::Normal { std: *sigma }, frequencies);
                            fill(within(PI), phases);
                        }
                        Encoding::Steps(_) => {}
                    }
                    // PyTorch's linear layer, which both papers use.
                    let limit = 1.0 / (encoding.width() as f64).sqrt();
                    fill(within(limit), &linear.weight);
                    fill(within(limit), &linear.bias);
                }
            }
        }
    }
}

/// Where the vector of a code lies in the parameter vector; none for a code without one.
fn vector_of<T: Scalar>(code: T, weight: &Range<usize>, dimension: usize) -> Option<Range<usize>> {
    let code = code.to_f64();
    // A number that is no code at all, or NaN, fails one of the two.
    if !(code >= 0.0 && code < (weight.len() / dimension) as f64) {
        return None;
    }
    let start = weight.start + code as usize * dimension;
    Some(start..start + dimension)
}

/// The bin that the place u lies in; what is beyond the edges counts to the first or the last.
fn bin_of<T: Scalar>(u: T, n_bins: usize) -> usize {
    (u.to_f64() as usize).min(n_bins - 1)
}
