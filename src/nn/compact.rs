//! Weights of dense layers in less space than a number each: packed signs, and compressed rows.
//!
//! Both give the bits of the product with the weights number by number, so that which of them computes a prediction is
//! a question of time alone.

use std::sync::Arc;

use statera_kernels::{Compressed, CpuLevel, SPARSE_ROWS, Scalar, pack_signs, packed_row_len};

use super::layer::Layer;
use super::network::{Network, Workspace};
use super::params::View;
use crate::config::WeightKind;

/// The weight of a dense layer (I×O), as it is stored and multiplied with.
#[derive(Debug, Clone, PartialEq)]
pub enum Compact<T> {
    /// A sign and a scale of each unit.
    Binary(Signs<T>),
    /// Most of them zero.
    Sparse(Rows<T>),
}

/// Binary weights (I×O).
#[derive(Debug, Clone, PartialEq)]
pub struct Signs<T> {
    /// The scale of each unit.
    pub scales: Vec<T>,
    /// The signs, a row for each input: see `statera_kernels::pack_signs`.
    pub bits: Vec<u8>,
}

/// Sparse weights, in compressed rows: a row for each unit, of the inputs that it has a weight of.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows<T> {
    /// Where each unit's weights begin, and where the last one's end (O + 1).
    pub starts: Vec<u32>,
    /// The input of each weight, rising within a unit.
    pub columns: Vec<u32>,
    /// The weights.
    pub values: Vec<T>,
}

impl<T: Scalar> Signs<T> {
    /// The signs of weights (I×O) that are each plus or minus the scale of their unit.
    pub fn of(weight: &[T], n_units: usize) -> Self {
        let mut bits = vec![0; weight.len() / n_units * packed_row_len(n_units)];
        pack_signs(weight, n_units, &mut bits);
        Self { scales: weight[..n_units].iter().map(|w| w.abs()).collect(), bits }
    }

    /// The weights number by number (I×O).
    pub fn write(&self, to: &mut [T]) {
        let n_units = self.scales.len();
        let rows = to.chunks_exact_mut(n_units).zip(self.bits.chunks_exact(packed_row_len(n_units)));
        for (row, bits) in rows {
            for (j, (w, &scale)) in row.iter_mut().zip(&self.scales).enumerate() {
                *w = if bits[j / 8] >> (j % 8) & 1 == 1 { -scale } else { scale };
            }
        }
    }
}

impl<T: Scalar> Rows<T> {
    /// The weights (I×O) that are not zero; none where there are more than can be counted in 32 bits.
    pub fn of(weight: &[T], n_units: usize) -> Option<Self> {
        let mut rows =
            Self { starts: Vec::with_capacity(n_units + 1), columns: Vec::new(), values: Vec::new() };
        rows.starts.push(0);
        for unit in 0..n_units {
            for (input, &w) in weight.iter().skip(unit).step_by(n_units).enumerate() {
                if w != T::ZERO {
                    rows.columns.push(u32::try_from(input).ok()?);
                    rows.values.push(w);
                }
            }
            rows.starts.push(u32::try_from(rows.values.len()).ok()?);
        }
        Some(rows)
    }

    /// The weights number by number (I×O).
    pub fn write(&self, to: &mut [T]) {
        let n_units = self.starts.len() - 1;
        to.fill(T::ZERO);
        for (unit, ends) in self.starts.windows(2).enumerate() {
            let own = ends[0] as usize..ends[1] as usize;
            for (&input, &w) in self.columns[own.clone()].iter().zip(&self.values[own]) {
                to[input as usize * n_units + unit] = w;
            }
        }
    }
}

impl Network {
    /// Turns what training has left of binary weights, latent numbers, into what is used: α·sign(w). What is that
    /// already stays what it is.
    pub fn write_weights_in_use<T: Scalar>(&self, level: CpuLevel, params: &mut [T]) {
        for view in self.views().iter().filter(|view| view.kind() == Some(WeightKind::Binary)) {
            let latent = params[view.range()].to_vec();
            let mut scales = vec![T::ZERO; view.shape[1]];
            T::binarize(level, &latent, &mut scales, &mut params[view.range()]);
        }
    }

    /// Whether [`Network::write_weights_in_use`] changes anything.
    pub fn trains_latent_weights(&self) -> bool {
        self.views().iter().any(|view| view.kind() == Some(WeightKind::Binary))
    }

    /// Lets passes in use with `works` multiply with weights of `params` as they are stored, where that is not number by
    /// number and is faster. The bits are the same.
    pub fn compress<T: Scalar>(&self, params: &[T], works: &mut [Workspace<T>]) {
        for (i, layer) in self.layers().iter().enumerate() {
            let Layer::Dense(dense) = layer else { continue };
            let of_kind = |kind| Compact::of_kind(kind, &dense.used(params), dense.out_features);
            let compact = dense.kind.and_then(of_kind).map(Arc::new);
            for work in &mut *works {
                work.caches[i].compact.clone_from(&compact);
            }
        }
    }
}

/// Scratch of the product with sparse weights: rows of x and of y, transposed.
pub(crate) fn sparse_scratch_len(in_features: usize, out_features: usize) -> usize {
    SPARSE_ROWS[0] * (in_features + out_features)
}

impl<T: Scalar> Compact<T> {
    /// The weight that `view` describes, in the form of its kind; none of continuous weights.
    pub fn of(view: &View, params: &[T]) -> Option<Self> {
        let &[_, n_units] = &view.shape[..] else { return None };
        Self::of_kind(view.kind()?, &params[view.range()], n_units)
    }

    /// Weights (I×O) in the form of their kind.
    fn of_kind(kind: WeightKind, weight: &[T], n_units: usize) -> Option<Self> {
        match kind {
            WeightKind::Continuous => None,
            WeightKind::Binary => Some(Self::Binary(Signs::of(weight, n_units))),
            WeightKind::Sparse => Rows::of(weight, n_units).map(Self::Sparse),
        }
    }

    /// How many of a pass's rows, from the first on, are multiplied faster so than with the weights number by number (I×O).
    ///
    /// With packed signs all are. A sparse weight costs as much as several others, more of them the fewer rows go together:
    /// measured on layers of 64 to 2,048 units on one core of a Zen 5 server processor with AVX-512; `statera inspect`
    /// measures it wherever it is run.
    pub(crate) fn faster_rows(&self, n_rows: usize, [i, o]: [usize; 2]) -> usize {
        const WORTH: [usize; SPARSE_ROWS.len()] = [4, 10, 14];
        match self {
            Self::Binary(_) => n_rows,
            Self::Sparse(rows) => {
                let mut faster = 0;
                for (group, worth) in SPARSE_ROWS.into_iter().zip(WORTH) {
                    if rows.values.len() * worth < i * o {
                        faster += (n_rows - faster) / group * group;
                    }
                }
                faster
            }
        }
    }

    /// Whether the product of these rows has the bits of that with the weights number by number: where a number of x is not
    /// finite, 0·x is none either, and compressed rows leave it out.
    pub(crate) fn is_exact(&self, x: &[T]) -> bool {
        // Without branches inside of a chunk.
        let is_finite = |x: &[T]| x.iter().fold(true, |is_finite, v| is_finite & v.is_finite());
        matches!(self, Self::Binary(_)) || x.chunks(256).all(is_finite)
    }

    /// y = bias + x·W, with x B×I and y B×O.
    pub(crate) fn product(
        &self,
        level: CpuLevel,
        [n_rows, i, o]: [usize; 3],
        x: &[T],
        y: &mut [T],
        bias: Option<&[T]>,
        scratch: &mut [T],
    ) {
        let bias = bias.unwrap_or_default();
        match self {
            Self::Binary(signs) => {
                if n_rows > 0 {
                    let (x, y) = (&x[..n_rows * i], &mut y[..n_rows * o]);
                    T::sign_product(level, x, &signs.scales, &signs.bits, bias, y);
                }
            }
            Self::Sparse(rows) => {
                let weight =
                    Compressed { starts: &rows.starts, columns: &rows.columns, values: &rows.values };
                let mut row = 0;
                while row < n_rows {
                    let left = n_rows - row;
                    let group = SPARSE_ROWS.into_iter().find(|&n| n <= left).unwrap_or(1);
                    let (x, y) = (&x[row * i..(row + group) * i], &mut y[row * o..(row + group) * o]);
                    if group == 1 {
                        T::sparse_product(level, 1, weight, bias, x, y);
                    } else {
                        let (x_t, scratch) = scratch.split_at_mut(group * i);
                        let y_t = &mut scratch[..group * o];
                        T::transpose_to(level, [group, i], x, x_t);
                        T::sparse_product(level, group, weight, bias, x_t, y_t);
                        T::transpose_to(level, [o, group], y_t, y);
                    }
                    row += group;
                }
            }
        }
    }
}
