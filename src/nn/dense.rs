//! Dense: y = f(x·W + b).

use std::ops::Range;

use statera_kernels::{Activation, Matrix, Scalar, Start, product_scratch_len};

use super::activation;
use super::init;
use super::layer::Pass;
use super::params::{Layout, Role};
use crate::config::Initializer;
use crate::random::Stream;

/// For so many rows, which fill one or two registers, dxᵀ = W·dzᵀ costs less than transposing W; it has the same
/// bits.
const FEW_ROWS: std::ops::RangeInclusive<usize> = 16..=32;

/// A dense layer with `weight` (I×O), `bias` (O) and an element-wise activation.
#[derive(Debug, Clone)]
pub struct Dense {
    /// I.
    pub in_features: usize,
    /// O.
    pub out_features: usize,
    pub(crate) activation: Activation,
    weight: Range<usize>,
    bias: Option<Range<usize>>,
    initializer: Initializer,
    bias_initializer: Initializer,
}

impl Dense {
    pub(crate) fn new(
        layout: &mut Layout,
        [in_features, out_features]: [usize; 2],
        activation: Activation,
        initializer: Initializer,
        bias_initializer: Option<Initializer>,
    ) -> Self {
        let weight = layout.add("weight", &[in_features, out_features], Role::Weight);
        let bias = bias_initializer.as_ref().map(|_| layout.add("bias", &[out_features], Role::Offset));
        let bias_initializer = bias_initializer.unwrap_or(Initializer::Zeros);
        Self { in_features, out_features, activation, weight, bias, initializer, bias_initializer }
    }

    /// How the weights start, `auto` replaced by what it stands for.
    pub(crate) fn starts_by(&self) -> Initializer {
        init::resolve(self.initializer, self.activation)
    }

    pub(crate) fn detail(&self) -> String {
        activation::name(self.activation)
    }

    /// The transposed weight, and what the products y = x·W, dW = xᵀ·dz and dx = dz·Wᵀ need.
    pub(crate) fn scratch_len(&self, n_rows: usize) -> usize {
        let (i, o) = (self.in_features, self.out_features);
        let products = product_scratch_len(n_rows, i, o)
            .max(product_scratch_len(i, n_rows, o))
            .max(product_scratch_len(n_rows, o, i))
            .max(product_scratch_len(i, o, n_rows));
        // For few rows dz and dx are transposed in place of the weight.
        (i * o).max(FEW_ROWS.end().min(&n_rows) * (i + o)) + products
    }

    /// y = f(x·W + b), with x B×I and y B×O.
    pub(crate) fn forward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        n_rows: usize,
        x: &[T],
        y: &mut [T],
        scratch: &mut [T],
    ) {
        let (i, o) = (self.in_features, self.out_features);
        let weight = Matrix::rows(&pass.params[self.weight.clone()], o);
        let start = match &self.bias {
            Some(bias) => Start::Bias(&pass.params[bias.clone()]),
            None => Start::Zero,
        };
        T::product(pass.level, [n_rows, i, o], Matrix::rows(x, i), weight, y, start, scratch);
        T::activate(pass.level, self.activation, y);
    }

    /// Puts Wᵀ (O×I) into the front of `scratch`, where [`Dense::backward_rows`] finds it.
    ///
    /// Sets db to zero, for the rows to be added to it.
    pub(crate) fn prepare_backward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        wants_dx: bool,
        grads: &mut [T],
        scratch: &mut [T],
    ) {
        if let Some(bias) = &self.bias {
            grads[bias.clone()].fill(T::ZERO);
        }
        if !wants_dx || FEW_ROWS.contains(&pass.n_rows) {
            return;
        }
        let shape = [self.in_features, self.out_features];
        T::transpose_to(pass.level, shape, &pass.params[self.weight.clone()], scratch);
    }

    /// dz = dy ∘ f′(z), written over dy (B×O); db += Σ over rows of dz; dx = dz·Wᵀ (B×I).
    pub(crate) fn backward_rows<T: Scalar>(
        &self,
        pass: &Pass<T>,
        n_rows: usize,
        y: &[T],
        dy: &mut [T],
        dx: Option<&mut [T]>,
        grads: &mut [T],
        scratch: &mut [T],
    ) {
        let (i, o) = (self.in_features, self.out_features);
        match &self.bias {
            Some(bias) => {
                let db = &mut grads[bias.clone()];
                T::activate_backward_with_sums(pass.level, self.activation, y, dy, db);
            }
            None => T::activate_backward(pass.level, self.activation, y, dy),
        }
        let Some(dx) = dx else { return };
        if FEW_ROWS.contains(&pass.n_rows) {
            let (dz_t, scratch) = scratch.split_at_mut(n_rows * o);
            let (dx_t, scratch) = scratch.split_at_mut(n_rows * i);
            T::transpose_to(pass.level, [n_rows, o], dy, dz_t);
            let weight = Matrix::rows(&pass.params[self.weight.clone()], o);
            let dz_t = Matrix::rows(dz_t, n_rows);
            T::product(pass.level, [i, o, n_rows], weight, dz_t, dx_t, Start::Zero, scratch);
            T::transpose_to(pass.level, [i, n_rows], dx_t, dx);
        } else {
            let (transposed, scratch) = scratch.split_at_mut(i * o);
            let transposed = Matrix::rows(transposed, i);
            T::product(pass.level, [n_rows, o, i], Matrix::rows(dy, o), transposed, dx, Start::Zero, scratch);
        }
    }

    /// dW = xᵀ·dz, with x B×I and dz B×O.
    pub(crate) fn backward_weights<T: Scalar>(
        &self,
        pass: &Pass<T>,
        x: &[T],
        dz: &[T],
        grads: &mut [T],
        scratch: &mut [T],
    ) {
        let (b, i, o) = (pass.n_rows, self.in_features, self.out_features);
        let dw = &mut grads[self.weight.clone()];
        T::product(
            pass.level,
            [i, b, o],
            Matrix::transposed(x, i),
            Matrix::rows(dz, o),
            dw,
            Start::Zero,
            scratch,
        );
    }

    pub(crate) fn init<T: Scalar>(&self, params: &mut [T], stream: &mut Stream) {
        let shape = [self.in_features, self.out_features];
        let initializer = self.starts_by();
        init::fill(initializer, shape, &mut params[self.weight.clone()], stream);
        if let Some(bias) = &self.bias {
            init::fill(self.bias_initializer, shape, &mut params[bias.clone()], stream);
        }
    }
}
