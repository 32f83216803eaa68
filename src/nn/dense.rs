//! Dense: y = f(x·W + b).
//!
//! With DropConnect (Wan et al. 2013), training uses W∘M/(1 − rate) in place of W: each weight is zero with
//! probability `rate`, and what is kept is scaled up, so that nothing is done in use. The paper draws a mask for each
//! row; here all rows of a shard share one, drawn anew at every step, so that a product stays a product.
//!
//! With binary weights, training uses α·sign(W) in place of W, see `statera_kernels`' `binarize`. What is used after
//! training are numbers like others, of a kind that can be stored and multiplied in less space: see `compact.rs`.
//!
//! With the neural tangent parametrisation (Jacot et al. 2018; Holzmüller, Grinsztajn & Steinwart 2024), W is kept √I
//! times as large as it is used: y = f(x·W/√I + b), so that ∂L/∂W, and the change of what is used by a step of one
//! length, are 1/√I of the usual. Weights start at what the initialiser says of those used.

use std::fmt::Write as _;
use std::ops::Range;

use statera_kernels::{Activation, Matrix, Scalar, Start, product_copies, product_scratch_len};

use super::activation;
use super::compact;
use super::dropout::Rate;
use super::init;
use super::layer::{Cache, Mode, Pass};
use super::packed;
use super::params::{Layout, Role, WeightRules};
use crate::config::{Initializer, Parametrization, WeightKind};
use crate::random::{Purpose, Stream};

/// For so many rows, which fill one or two registers, dxᵀ = W·dzᵀ costs less than transposing W; it has the same
/// bits.
const FEW_ROWS: std::ops::RangeInclusive<usize> = 16..=32;

/// A dense layer with `weight` (I×O), `bias` (O) and an element-wise activation.
///
/// Of an ensemble's rows (see [`super::members`]) it takes each member as a row of its own; where members have weights
/// of their own, `weight` is G×I×O, `bias` G·O, and a row holds G members side by side.
#[derive(Debug, Clone)]
pub struct Dense {
    /// I, of one member.
    pub in_features: usize,
    /// O, of one member.
    pub out_features: usize,
    /// Members that share the weight: rows of the layer in each row of the network.
    pub(crate) sharing: usize,
    /// G: members with weights of their own.
    packed: usize,
    pub(crate) activation: Activation,
    weight: Range<usize>,
    bias: Option<Range<usize>>,
    initializer: Initializer,
    bias_initializer: Initializer,
    drop_connect: Rate,
    /// What the weights are; none for continuous ones.
    pub(crate) kind: Option<WeightKind>,
    parametrization: Parametrization,
    /// Among the dense layers of the network.
    ordinal: u32,
}

impl Dense {
    pub(crate) fn new(
        layout: &mut Layout,
        [in_features, out_features]: [usize; 2],
        [sharing, packed]: [usize; 2],
        activation: Activation,
        initializer: Initializer,
        bias_initializer: Option<Initializer>,
        drop_connect: f64,
        parametrization: Parametrization,
        rules: WeightRules,
        ordinal: u32,
    ) -> Self {
        // Members with weights of their own have continuous ones.
        let kind = rules.kind.filter(|kind| *kind != WeightKind::Continuous && packed == 1);
        let rules = WeightRules { kind, ..rules };
        let weight = match packed {
            1 => layout.add_dense(&[in_features, out_features], rules),
            g => layout.add_dense(&[g, in_features, out_features], rules),
        };
        let bias =
            bias_initializer.as_ref().map(|_| layout.add("bias", &[packed * out_features], Role::Offset));
        let bias_initializer = bias_initializer.unwrap_or(Initializer::Zeros);
        Self {
            in_features,
            out_features,
            sharing,
            packed,
            activation,
            weight,
            bias,
            initializer,
            bias_initializer,
            drop_connect: Rate(drop_connect),
            kind,
            parametrization,
            ordinal,
        }
    }

    /// How the weights start, `auto` replaced by what it stands for.
    pub(crate) fn starts_by(&self) -> Initializer {
        init::resolve(self.initializer, self.activation)
    }

    /// Whether y is the weighted sums themselves, which no backward pass reads.
    pub(crate) fn is_linear(&self) -> bool {
        self.activation == Activation::Linear
    }

    pub(crate) fn detail(&self) -> String {
        let mut detail = activation::name(self.activation);
        if let Some(kind) = self.kind {
            let _ = write!(detail, ", {kind}");
        }
        if let Rate(rate @ f64::MIN_POSITIVE..) = self.drop_connect {
            let _ = write!(detail, ", drop_connect {rate}");
        }
        if self.parametrization == Parametrization::Ntp {
            detail.push_str(", ntp");
        }
        if self.packed > 1 {
            detail.push_str(", packed");
        }
        detail
    }

    /// Features that come out for a row of the network.
    pub(crate) fn width(&self) -> usize {
        self.sharing * self.packed * self.out_features
    }

    /// The numbers of all weights.
    fn n_weights(&self) -> usize {
        self.packed * self.in_features * self.out_features
    }

    /// The shape of the products of members with weights of their own.
    fn packed_shape(&self, n_rows: usize) -> packed::Shape {
        [n_rows, self.packed, self.in_features, self.out_features]
    }

    /// The numbers that are used of the weight (I×O) of `params`, in use.
    pub(crate) fn used<T: Scalar>(&self, params: &[T]) -> Vec<T> {
        let mut used = params[self.weight.clone()].to_vec();
        if self.is_ntp() {
            self.times_factor(&mut used);
        }
        used
    }

    fn is_binary(&self) -> bool {
        self.kind == Some(WeightKind::Binary)
    }

    /// In training f′(z) (B×O) where the activation keeps it, and with DropConnect which weights are kept; the weights
    /// used where they are others than the parameters, and of binary ones their scales behind them.
    pub(crate) fn cache<T: Scalar>(&self, n_rows: usize, trains: bool) -> Cache<T> {
        let masks = trains && self.drop_connect.drop_below() > 0;
        let binarizes = trains && self.is_binary();
        let n_numbers = if trains { n_rows * self.packed * self.out_features } else { 0 };
        let n_if = |is: bool| if is { self.n_weights() } else { 0 };
        let n_scales = if binarizes { self.out_features } else { 0 };
        Cache {
            numbers: vec![T::ZERO; activation::cache_len(self.activation, n_numbers)],
            weights: vec![T::ZERO; n_if(masks || binarizes || self.is_ntp()) + n_scales],
            flags: vec![0; n_if(masks)],
            compact: None,
        }
    }

    fn is_ntp(&self) -> bool {
        self.parametrization == Parametrization::Ntp
    }

    /// What the parameters are multiplied by to make the weights used, if not by 1.
    fn weight_factor(&self) -> f64 {
        weight_factor(self.parametrization, self.in_features)
    }

    /// Whether this pass uses masked weights.
    fn masks<T>(&self, pass: &Pass<T>) -> bool {
        pass.mode != Mode::Infer && self.drop_connect.drop_below() > 0
    }

    /// Whether this pass uses the signs of weights. In use, parameters are what training has left of them.
    fn binarizes<T>(&self, pass: &Pass<T>) -> bool {
        pass.mode != Mode::Infer && self.is_binary()
    }

    /// The weights of this pass (I×O).
    fn weights<'a, T>(&self, pass: &Pass<'a, T>, cache: &'a Cache<T>) -> &'a [T] {
        if self.masks(pass) || self.binarizes(pass) || self.is_ntp() {
            &cache.weights[..self.n_weights()]
        } else {
            &pass.params[self.weight.clone()]
        }
    }

    /// Makes the weights that the shard uses, where they are others than the parameters: takes the signs of binary
    /// ones; with DropConnect draws which, and scales them.
    pub(crate) fn prepare<T: Scalar>(&self, pass: &Pass<T>, cache: &mut Cache<T>) {
        if self.binarizes(pass) {
            let (used, scales) = cache.weights.split_at_mut(self.n_weights());
            T::binarize(pass.level, &pass.params[self.weight.clone()], scales, used);
        }
        if let (Mode::Train { seed, step, shard }, true) = (pass.mode, self.masks(pass)) {
            let key = [seed as u32, (seed >> 32) as u32];
            let stream = [shard, step, Purpose::DropConnect as u32 | self.ordinal << 8];
            T::fill_kept(pass.level, &mut cache.flags, key, stream, self.drop_connect.drop_below());
            if !self.is_binary() {
                cache.weights[..self.n_weights()].copy_from_slice(&pass.params[self.weight.clone()]);
            }
            let used = &mut cache.weights[..self.n_weights()];
            T::drop_out(pass.level, used, &cache.flags, self.drop_connect.scale());
        } else if self.is_ntp() && !self.binarizes(pass) {
            cache.weights[..self.n_weights()].copy_from_slice(&pass.params[self.weight.clone()]);
        }
        if self.is_ntp() {
            self.times_factor(&mut cache.weights[..self.n_weights()]);
        }
    }

    /// W, or ∂L/∂W, from one kept to one used or back.
    fn times_factor<T: Scalar>(&self, numbers: &mut [T]) {
        let factor = T::from_f64(self.weight_factor());
        numbers.iter_mut().for_each(|w| *w *= factor);
    }

    /// The transposed weight, and what the products y = x·W, dW = xᵀ·dz and dx = dz·Wᵀ need.
    pub(crate) fn scratch_len(&self, n_rows: usize) -> usize {
        let (i, o) = (self.in_features, self.out_features);
        if self.packed > 1 {
            return packed::scratch_len(n_rows, i, o);
        }
        let products = product_scratch_len(n_rows, i, o)
            .max(product_scratch_len(i, n_rows, o))
            .max(product_scratch_len(n_rows, o, i))
            .max(product_scratch_len(i, o, n_rows));
        let sparse =
            if self.kind == Some(WeightKind::Sparse) { compact::sparse_scratch_len(i, o) } else { 0 };
        // For few rows dz and dx are transposed in place of the weight.
        ((i * o).max(FEW_ROWS.end().min(&n_rows) * (i + o)) + products).max(sparse)
    }

    /// y = f(x·W + b), with x B×I and y B×O.
    pub(crate) fn forward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        [first_row, n_rows]: [usize; 2],
        x: &[T],
        y: &mut [T],
        cache: &mut Cache<T>,
        scratch: &mut [T],
    ) {
        let (i, o) = (self.in_features, self.out_features);
        let bias = self.bias.as_ref().map(|bias| &pass.params[bias.clone()]);
        let weights = self.weights(pass, cache);
        if self.packed > 1 {
            packed::forward(pass.level, self.packed_shape(n_rows), x, weights, bias, y, scratch);
        } else {
            let start = match bias {
                Some(bias) if self.activation == Activation::Relu => Start::BiasRelu(bias),
                Some(bias) => Start::Bias(bias),
                None => Start::Zero,
            };
            let mut done = 0;
            if let Some(compact) = &cache.compact {
                done = compact.faster_rows(n_rows, [i, o]);
                if !compact.is_exact(&x[..done * i]) {
                    done = 0;
                }
                compact.product(pass.level, [done, i, o], x, y, bias, scratch);
                if matches!(start, Start::BiasRelu(_)) {
                    T::activate(pass.level, self.activation, &mut y[..done * o]);
                }
            }
            if done < n_rows {
                let (x, weights) = (Matrix::rows(&x[done * i..], i), Matrix::rows(weights, o));
                T::product(pass.level, [n_rows - done, i, o], x, weights, &mut y[done * o..], start, scratch);
            }
            if matches!(start, Start::BiasRelu(_)) {
                return;
            }
        }
        activation::forward(self.activation, pass, first_row * self.packed * o, y, &mut cache.numbers);
    }

    /// Whether [`Dense::prepare_backward`] transposes the weight once for all rows: not where rows are few, which are
    /// transposed instead, nor where the product copies it piece by piece in any case.
    fn transposes_weight(&self, n_rows: usize) -> bool {
        self.packed == 1 && !FEW_ROWS.contains(&n_rows) && !product_copies(self.in_features)
    }

    /// Puts Wᵀ (O×I), if it is needed, into the front of `scratch`, where [`Dense::backward_rows`] finds it.
    ///
    /// Sets db to zero, for the rows to be added to it.
    pub(crate) fn prepare_backward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        wants_dx: bool,
        grads: &mut [T],
        cache: &Cache<T>,
        scratch: &mut [T],
    ) {
        if let Some(bias) = &self.bias {
            grads[bias.clone()].fill(T::ZERO);
        }
        if !wants_dx || !self.transposes_weight(pass.n_rows) {
            return;
        }
        let shape = [self.in_features, self.out_features];
        T::transpose_to(pass.level, shape, self.weights(pass, cache), scratch);
    }

    /// Whether the layer above can compute dz and db on its way, by [`Dense::relu_sums`]: a bias that members share is
    /// not as wide as a row.
    pub(crate) fn is_relu_with_bias(&self) -> bool {
        self.activation == Activation::Relu && self.bias.is_some() && self.sharing == 1
    }

    /// db of a layer that [`Dense::is_relu_with_bias`], for the layer above to add to.
    pub(crate) fn relu_sums<'a, T>(&self, grads: &'a mut [T]) -> Option<&'a mut [T]> {
        let bias = self.bias.clone().filter(|_| self.is_relu_with_bias())?;
        Some(&mut grads[bias])
    }

    /// dz = dy ∘ f′(z), written over dy (B×O); db += Σ over rows of dz; dx = dz·Wᵀ (B×I).
    ///
    /// With `has_dz` the layer above has done the first two.
    pub(crate) fn backward_rows<T: Scalar>(
        &self,
        pass: &Pass<T>,
        [first_row, n_rows]: [usize; 2],
        y: &[T],
        dy: &mut [T],
        dx: Option<&mut [T]>,
        grads: &mut [T],
        cache: &Cache<T>,
        scratch: &mut [T],
        has_dz: bool,
    ) {
        let (i, o) = (self.in_features, self.out_features);
        let first_number = first_row * self.packed * o;
        let y = activation::backward_input(self.activation, first_number, y, &cache.numbers);
        match &self.bias {
            _ if has_dz => {}
            Some(bias) => {
                let db = &mut grads[bias.clone()];
                T::activate_backward_with_sums(pass.level, self.activation, y, dy, db);
            }
            None => T::activate_backward(pass.level, self.activation, y, dy),
        }
        let Some(dx) = dx else { return };
        if self.packed > 1 {
            let shape = self.packed_shape(n_rows);
            packed::backward_input(pass.level, shape, dy, self.weights(pass, cache), dx, scratch);
        } else if FEW_ROWS.contains(&pass.n_rows) {
            let (dz_t, scratch) = scratch.split_at_mut(n_rows * o);
            let (dx_t, scratch) = scratch.split_at_mut(n_rows * i);
            T::transpose_to(pass.level, [n_rows, o], dy, dz_t);
            let weight = Matrix::rows(self.weights(pass, cache), o);
            let dz_t = Matrix::rows(dz_t, n_rows);
            T::product(pass.level, [i, o, n_rows], weight, dz_t, dx_t, Start::Zero, scratch);
            T::transpose_to(pass.level, [i, n_rows], dx_t, dx);
        } else if !self.transposes_weight(pass.n_rows) {
            let weight = Matrix::transposed(self.weights(pass, cache), o);
            T::product(pass.level, [n_rows, o, i], Matrix::rows(dy, o), weight, dx, Start::Zero, scratch);
        } else {
            let (transposed, scratch) = scratch.split_at_mut(i * o);
            let transposed = Matrix::rows(transposed, i);
            T::product(pass.level, [n_rows, o, i], Matrix::rows(dy, o), transposed, dx, Start::Zero, scratch);
        }
    }

    /// dW = xᵀ·dz, with x B×I and dz B×O; of the weights that were used, where there is a mask.
    pub(crate) fn backward_weights<T: Scalar>(
        &self,
        pass: &Pass<T>,
        x: &[T],
        dz: &[T],
        grads: &mut [T],
        cache: &Cache<T>,
        scratch: &mut [T],
    ) {
        let (b, i, o) = (pass.n_rows, self.in_features, self.out_features);
        let dw = &mut grads[self.weight.clone()];
        if self.packed > 1 {
            packed::backward_weights(pass.level, self.packed_shape(b), x, dz, dw, scratch);
        } else {
            let (x, dz) = (Matrix::transposed(x, i), Matrix::rows(dz, o));
            T::product(pass.level, [i, b, o], x, dz, dw, Start::Zero, scratch);
        }
        if self.masks(pass) {
            T::drop_out(pass.level, dw, &cache.flags, self.drop_connect.scale());
        }
        if self.is_ntp() {
            self.times_factor(dw);
        }
        if self.binarizes(pass) {
            let scales = &cache.weights[self.n_weights()..];
            T::straight_through(pass.level, &pass.params[self.weight.clone()], scales, dw, scratch);
        }
    }

    pub(crate) fn init<T: Scalar>(&self, params: &mut [T], seed: u64) {
        let stream = &mut Stream::new(seed, Purpose::Init, self.ordinal);
        let shape = [self.in_features, self.out_features];
        let initializer = self.starts_by();
        for weight in params[self.weight.clone()].chunks_exact_mut(self.in_features * self.out_features) {
            init::fill(initializer, shape, weight, stream);
            if self.is_ntp() {
                let factor = T::from_f64(1.0 / self.weight_factor());
                weight.iter_mut().for_each(|w| *w *= factor);
            }
        }
        if let Some(bias) = &self.bias {
            init::fill(self.bias_initializer, shape, &mut params[bias.clone()], stream);
        }
    }
}

/// What parameters of a dense layer of `n_inputs` are multiplied by to make the weights used.
pub(crate) fn weight_factor(parametrization: Parametrization, n_inputs: usize) -> f64 {
    match parametrization {
        Parametrization::Standard => 1.0,
        Parametrization::Ntp => 1.0 / (n_inputs as f64).sqrt(),
    }
}
