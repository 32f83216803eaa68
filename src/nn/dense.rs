//! Dense: y = f(x·W + b).

use std::ops::Range;

use statera_kernels::{Activation, Matrix, Scalar, Start, product_scratch_len};

use super::activation;
use super::init;
use super::layer::{Gradient, Pass};
use super::params::{Layout, Role};
use crate::config::Initializer;
use crate::random::Stream;

/// A dense layer with `weight` (I×O), `bias` (O) and an element-wise activation.
#[derive(Debug, Clone)]
pub struct Dense {
    /// I.
    pub in_features: usize,
    /// O.
    pub out_features: usize,
    activation: Activation,
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

    pub(crate) fn detail(&self) -> String {
        activation::name(self.activation)
    }

    pub(crate) fn scratch_len(&self, n_rows: usize) -> usize {
        let (i, o) = (self.in_features, self.out_features);
        // y = x·W, dW = xᵀ·dy, dx = dy·Wᵀ
        product_scratch_len(n_rows, i, o)
            .max(product_scratch_len(i, n_rows, o))
            .max(product_scratch_len(n_rows, o, i))
    }

    /// x: B×I, y: B×O.
    pub(crate) fn forward<T: Scalar>(&self, pass: &Pass<T>, x: &[T], y: &mut [T], scratch: &mut [T]) {
        let (i, o) = (self.in_features, self.out_features);
        let weight = Matrix::rows(&pass.params[self.weight.clone()], o);
        let start = match &self.bias {
            Some(bias) => Start::Bias(&pass.params[bias.clone()]),
            None => Start::Zero,
        };
        T::product(pass.level, [pass.n_rows, i, o], Matrix::rows(x, i), weight, y, start, scratch);
        T::activate(pass.level, self.activation, y);
    }

    /// dz = dy ∘ f′(z); db = Σ over rows of dz; dW = xᵀ·dz; dx = dz·Wᵀ.
    pub(crate) fn backward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        [x, y]: [&[T]; 2],
        gradient: &mut Gradient<T>,
        wants_dx: bool,
        grads: &mut [T],
        scratch: &mut [T],
    ) {
        let (b, i, o) = (pass.n_rows, self.in_features, self.out_features);
        let dz = &mut gradient.dy[..b * o];
        T::activate_backward(pass.level, self.activation, y, dz);
        if let Some(bias) = &self.bias {
            T::column_sums(pass.level, dz, &mut grads[bias.clone()]);
        }
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
        if wants_dx {
            let weight = &pass.params[self.weight.clone()];
            let dx = &mut gradient.dx[..b * i];
            let transposed = Matrix::transposed(weight, o);
            T::product(pass.level, [b, o, i], Matrix::rows(dz, o), transposed, dx, Start::Zero, scratch);
            gradient.swap();
        }
    }

    pub(crate) fn init<T: Scalar>(&self, params: &mut [T], stream: &mut Stream) {
        let shape = [self.in_features, self.out_features];
        let initializer = init::resolve(self.initializer, self.activation);
        init::fill(initializer, shape, &mut params[self.weight.clone()], stream);
        if let Some(bias) = &self.bias {
            init::fill(self.bias_initializer, shape, &mut params[bias.clone()], stream);
        }
    }
}
