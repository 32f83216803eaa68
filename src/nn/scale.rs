//! A learned factor for each feature, and a bias if asked for: y = s∘x + b.
//!
//! On the inputs it is the scaling layer of `RealMLP` (Holzmüller, Grinsztajn & Steinwart 2024, "Better by default"); in
//! front of and behind a dense layer that the members of an ensemble share, the adapters r and s of `TabM` (Gorishniy
//! et al. 2024), of which each member has its own.

use std::ops::Range;

use statera_kernels::Scalar;

use super::init;
use super::layer::Pass;
use super::params::{Layout, Role};
use crate::config::Initializer;
use crate::random::{Purpose, Stream};

/// One factor s (F) for each of F features, and one bias b (F); weight decay leaves them alone.
#[derive(Debug, Clone)]
pub struct Scale {
    /// F.
    pub features: usize,
    weight: Range<usize>,
    bias: Option<Range<usize>>,
    initializer: Initializer,
    bias_initializer: Initializer,
    /// Among the layers of factors.
    ordinal: u32,
}

impl Scale {
    pub(crate) fn new(
        layout: &mut Layout,
        features: usize,
        initializer: Initializer,
        bias_initializer: Option<Initializer>,
        ordinal: u32,
    ) -> Self {
        Self {
            features,
            weight: layout.add("weight", &[features], Role::Offset),
            bias: bias_initializer.map(|_| layout.add("bias", &[features], Role::Offset)),
            initializer,
            bias_initializer: bias_initializer.unwrap_or(Initializer::Zeros),
            ordinal,
        }
    }

    pub(crate) fn detail(&self) -> String {
        match (self.initializer, &self.bias) {
            (Initializer::RandomSigns, _) => "from random signs".into(),
            (_, Some(_)) => "with bias".into(),
            _ => String::new(),
        }
    }

    /// y = s∘x + b, with x and y rows×F.
    pub(crate) fn forward<T: Scalar>(&self, pass: &Pass<T>, x: &[T], y: &mut [T]) {
        let factor = &pass.params[self.weight.clone()];
        match &self.bias {
            None => T::scale_columns(pass.level, x, factor, y),
            Some(bias) => T::affine_columns(pass.level, x, factor, &pass.params[bias.clone()], y),
        }
    }

    /// Sets ds and db to zero, for the rows to be added to them.
    pub(crate) fn prepare_backward<T: Scalar>(&self, grads: &mut [T]) {
        // The bias stands behind the factors.
        grads[self.weight.start..self.bias.as_ref().unwrap_or(&self.weight).end].fill(T::ZERO);
    }

    /// ds += Σ over the rows of dy∘x, db += Σ over the rows of dy; dx = s∘dy, over dy (rows×F).
    pub(crate) fn backward_rows<T: Scalar>(&self, pass: &Pass<T>, x: &[T], dy: &mut [T], grads: &mut [T]) {
        let factor = &pass.params[self.weight.clone()];
        match &self.bias {
            None => T::scale_columns_backward(pass.level, x, factor, dy, &mut grads[self.weight.clone()]),
            Some(bias) => {
                let (ds, db) = grads[self.weight.start..bias.end].split_at_mut(self.features);
                T::affine_columns_backward(pass.level, x, factor, dy, ds, db);
            }
        }
    }

    pub(crate) fn init<T: Scalar>(&self, params: &mut [T], seed: u64) {
        let stream = &mut Stream::new(seed, Purpose::InitScale, self.ordinal);
        let shape = [self.features, 1];
        init::fill(self.initializer, shape, &mut params[self.weight.clone()], stream);
        if let Some(bias) = &self.bias {
            init::fill(self.bias_initializer, shape, &mut params[bias.clone()], stream);
        }
    }
}
