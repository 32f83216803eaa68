//! A network: a stack of layers over one parameter vector.

use statera_kernels::{CpuLevel, Scalar};

use super::buffer::Buffer;
use super::layer::{Cache, Layer, Mode, Pass};
use super::loss::{Loss, Targets};
use super::members;
use super::params::View;
use super::stack::{Place, Stack};
use crate::config::{Activation, Initializer, LayerSpec, Parametrization};

/// Layers, and where their parameters lie; the parameters themselves are a vector that the caller owns.
#[derive(Debug, Clone)]
pub struct Network {
    specs: Vec<LayerSpec>,
    layers: Vec<Layer>,
    places: Vec<Place>,
    /// Which of the workspace's outputs each layer writes.
    pub(super) buffers: Vec<usize>,
    /// How many rows go through the layers together.
    tile_rows: usize,
    views: Vec<View>,
    n_inputs: usize,
    n_params: usize,
    /// Members of the ensemble at the end; 1 without one.
    n_members: usize,
}

/// Rows of a tile of a network whose weights fit the first-level cache: what a layer has written is still there
/// when the next one reads it. A multiple of four, so that sums over rows do not depend on it.
const TILE_ROWS: usize = 32;
/// The largest weight, in numbers, for which tiles pay: a larger one would be read again for every tile.
const TILED_WEIGHT: usize = 12_288;

/// The memory of passes over one shard, planned once.
#[derive(Debug)]
pub struct Workspace<T> {
    /// The outputs of the layers, B×out; an in-place layer shares that of the layer before.
    pub(super) outputs: Vec<Buffer<T>>,
    /// What each layer keeps from its forward to its backward pass.
    pub(super) caches: Vec<Cache<T>>,
    /// The gradient on its way back: that of the layer at hand, and the one to be written.
    dy: Buffer<T>,
    dx: Buffer<T>,
    scratch: Buffer<T>,
    /// Outputs and gradients of one member of an ensemble, 2·B·O.
    of_member: Vec<T>,
    /// ∂L/∂parameters, as long as the parameter vector.
    pub grads: Buffer<T>,
    /// The sum of the losses of the shard's rows.
    pub loss_sum: f64,
}

/// One line of a network's summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRow {
    /// `layers.<index>`, or `layers.<index>.<index>` inside a block.
    pub name: String,
    /// How many blocks the layer stands in.
    pub depth: usize,
    /// The kind of layer.
    pub kind: &'static str,
    /// Activation, rate: what else is worth knowing.
    pub detail: String,
    /// Features of a row after the layer, of all members of an ensemble together.
    pub out_features: usize,
    /// Members of an ensemble in a row after the layer; 1 without one.
    pub n_members: usize,
    /// Parameters that are trained.
    pub trainable: usize,
    /// Parameters that are not: running statistics.
    pub fixed: usize,
}

impl Network {
    /// Stacks the layers on `n_inputs` features and ends them with a linear dense layer of `n_outputs`, of which each
    /// member of an ensemble has its own; it is parametrised as the dense layer before it.
    ///
    /// If the last layer listed already is such an output layer, none is added.
    pub fn new(hidden: &[LayerSpec], n_inputs: usize, n_outputs: usize) -> Self {
        Self::from_specs(Self::with_output(hidden, n_outputs), n_inputs)
    }

    /// The layers that [`Network::new`] stacks.
    pub fn with_output(hidden: &[LayerSpec], n_outputs: usize) -> Vec<LayerSpec> {
        let mut specs = hidden.to_vec();
        if !specs.last().is_some_and(|last| is_output(last, n_outputs)) {
            let mut output = LayerSpec::dense(n_outputs, Activation::Linear, Initializer::Auto);
            if let LayerSpec::Dense { packed, parametrization, .. } = &mut output {
                *packed = specs.iter().any(|spec| matches!(spec, LayerSpec::Members { .. }));
                *parametrization = last_parametrization(&specs).unwrap_or(Parametrization::Standard);
            }
            specs.push(output);
        }
        specs
    }

    /// Stacks exactly these layers.
    pub fn from_specs(specs: Vec<LayerSpec>, n_inputs: usize) -> Self {
        Self::behind(specs, n_inputs, 1)
    }

    /// Stacks exactly these layers on rows that hold `n_members` members, `n_inputs` features together.
    pub(super) fn behind(specs: Vec<LayerSpec>, n_inputs: usize, n_members: usize) -> Self {
        let (Stack { layers, places, n_members, buffers }, layout) =
            Stack::build(&specs, n_inputs, n_members);
        // Of a packed weight, which has three dimensions, each member's is a matrix of its own.
        let matrix = |view: &View| view.shape.iter().rev().take(2).product::<usize>();
        // Of a table, a tile reads only the rows that it looks up.
        let largest = layout.views.iter().filter(|v| !v.is_table).map(matrix).max().unwrap_or(0);
        let tile_rows = if largest <= TILED_WEIGHT { TILE_ROWS } else { usize::MAX };
        let n_params = layout.len();
        Self { specs, layers, places, buffers, tile_rows, views: layout.views, n_inputs, n_params, n_members }
    }

    /// The layers as settings, the output layer included.
    pub fn specs(&self) -> &[LayerSpec] {
        &self.specs
    }

    /// The layers in the order they are run in, a residual block as its layers between its two ends.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The name of layer `i` of [`Network::layers`], as `layers.3`, or `layers.3.0` inside a block.
    pub fn layer_name(&self, i: usize) -> &str {
        &self.places[i].name
    }

    /// Whether layer `i` of [`Network::layers`] has parameters.
    pub fn has_params(&self, i: usize) -> bool {
        !self.places[i].views.is_empty()
    }

    /// The named tensors of the parameter vector.
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// Features of an input row.
    pub fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Numbers that come out for a row; of an ensemble, of each member.
    pub fn n_outputs(&self) -> usize {
        self.row_len() / self.n_members
    }

    /// K, the members of the ensemble that the outputs are of; 1 without one.
    pub fn n_members(&self) -> usize {
        self.n_members
    }

    /// Numbers of a row that leave the last layer.
    fn row_len(&self) -> usize {
        self.layers.last().map_or(self.n_inputs, Layer::out_features)
    }

    /// Length of the parameter vector, running statistics included.
    pub fn n_params(&self) -> usize {
        self.n_params
    }

    /// Multiply–adds in the matrix products of one training step, a row; for reports of speed.
    pub fn multiply_adds_per_row(&self) -> usize {
        let mut dense = self.layers.iter().enumerate().filter_map(|(i, layer)| match layer {
            Layer::Dense(d) => Some((i, d.in_features * d.width())),
            _ => None,
        });
        // Forward, weight gradient, input gradient; the first layer of all needs no input gradient.
        let first = dense.next().map_or(0, |(i, products)| if i == 0 { 2 * products } else { 3 * products });
        let embedding: usize = match self.layers.first() {
            Some(Layer::Embedding(layer)) => layer.multiply_adds_per_row(),
            _ => 0,
        };
        embedding + first + dense.map(|(_, products)| 3 * products).sum::<usize>()
    }

    /// A parameter vector drawn from the layers' initialisers.
    pub fn init<T: Scalar>(&self, seed: u64) -> Vec<T> {
        let mut params = vec![T::ZERO; self.n_params];
        for layer in &self.layers {
            layer.init(&mut params, seed);
        }
        params
    }

    /// Memory for training passes over up to `max_rows` rows.
    pub fn workspace<T: Scalar>(&self, max_rows: usize) -> Workspace<T> {
        self.workspace_with(max_rows, true)
    }

    /// Memory for passes in use over up to `max_rows` rows: without gradients of parameters.
    pub fn inference_workspace<T: Scalar>(&self, max_rows: usize) -> Workspace<T> {
        self.workspace_with(max_rows, false)
    }

    fn workspace_with<T: Scalar>(&self, max_rows: usize, trains: bool) -> Workspace<T> {
        let widest = self.layers.iter().map(Layer::out_features).fold(self.n_inputs, usize::max);
        let scratch = self.layers.iter().map(|l| l.scratch_len(max_rows)).max().unwrap_or(0);
        // Rows of different buffers never begin at the same place of a page: see `Buffer`.
        let mut outputs: Vec<Buffer<T>> = Vec::new();
        for (layer, &buffer) in self.layers.iter().zip(&self.buffers) {
            if buffer == outputs.len() {
                outputs.push(Buffer::new(max_rows * layer.out_features(), buffer % 2));
            }
        }
        // A network without parameters has a gradient all the same, that of its inputs.
        let (gradient, n_grads) = if trains { (max_rows * widest, self.n_params) } else { (0, 0) };
        Workspace {
            outputs,
            caches: self.layers.iter().map(|l| l.cache(max_rows, trains)).collect(),
            dy: Buffer::new(gradient, 2),
            dx: Buffer::new(gradient, 3),
            scratch: Buffer::new(scratch, 2),
            of_member: vec![T::ZERO; if trains { self.loss_scratch_len(max_rows) } else { 0 }],
            grads: Buffer::new(n_grads, 1),
            loss_sum: 0.0,
        }
    }

    /// Runs `x` (B×inputs) through the layers and returns the outputs (B×outputs; of an ensemble B×(K·outputs), its
    /// members side by side).
    ///
    /// Rows run through the layers in tiles; a layer that joins rows begins a new run.
    pub fn forward<'w, T: Scalar>(&self, pass: &Pass<T>, x: &[T], work: &'w mut Workspace<T>) -> &'w mut [T] {
        let n_layers = self.layers.len();
        let mut begin = 0;
        while begin < n_layers {
            let joins = |i: &usize| self.layers[*i].joins_rows(pass.mode);
            let end = (begin + 1..n_layers).find(joins).unwrap_or(n_layers);
            if begin == 0 {
                self.layers[0].add_moments(pass, 0, &x[..pass.n_rows * self.n_inputs], &mut work.caches[0]);
            }
            for i in begin..end {
                self.layers[i].prepare(pass, &mut work.caches[i]);
            }
            for first_row in (0..pass.n_rows).step_by(self.tile_rows) {
                let n_rows = self.tile_rows.min(pass.n_rows - first_row);
                for i in begin..end {
                    self.forward_tile(i, pass, [first_row, n_rows], x, work);
                }
                if let Some(next) = self.layers.get(end) {
                    // The rows are still near: batch norm, which begins the next run, takes its moments here.
                    let features = self.in_features(end);
                    let part = first_row * features..(first_row + n_rows) * features;
                    let input = &work.outputs[self.buffers[end - 1]][part];
                    next.add_moments(pass, first_row, input, &mut work.caches[end]);
                }
            }
            begin = end;
        }
        let n = pass.n_rows * self.row_len();
        work.outputs.last_mut().map_or(&mut [], |y| &mut y[..n])
    }

    /// Features of a row that enters layer `i`.
    fn in_features(&self, i: usize) -> usize {
        i.checked_sub(1).map_or(self.n_inputs, |before| self.layers[before].out_features())
    }

    /// What enters layer `i` (B×in).
    fn input_of<'a, T>(&self, i: usize, n_rows: usize, x: &'a [T], outputs: &'a [Buffer<T>]) -> &'a [T] {
        let n = n_rows * self.in_features(i);
        match i.checked_sub(1) {
            Some(before) => &outputs[self.buffers[before]][..n],
            None => &x[..n],
        }
    }

    /// Whether the passes of layer `i` include those of dropout above it.
    fn takes_over_dropout(&self, i: usize) -> bool {
        let shares = |i: &usize| self.buffers[*i] == self.buffers[i - 1];
        (i + 1 < self.layers.len())
            .then_some(i + 1)
            .filter(shares)
            .is_some_and(|above| self.layers[i].takes_over_dropout(&self.layers[above]))
    }

    fn forward_tile<T: Scalar>(
        &self,
        i: usize,
        pass: &Pass<T>,
        tile @ [first_row, n_rows]: [usize; 2],
        x: &[T],
        work: &mut Workspace<T>,
    ) {
        if i > 0 && self.takes_over_dropout(i - 1) {
            return;
        }
        let layer = &self.layers[i];
        let part = |features: usize| first_row * features..(first_row + n_rows) * features;
        let (before, after) = work.outputs.split_at_mut(self.buffers[i]);
        let y = &mut after[0][part(layer.out_features())];
        let own_buffer = i == 0 || self.buffers[i - 1] != self.buffers[i];
        let x = match before.last() {
            _ if !own_buffer => &[],
            None => &x[part(self.n_inputs)],
            Some(before) => &before[part(self.in_features(i))],
        };
        if own_buffer && layer.is_in_place() {
            y.copy_from_slice(x);
        }
        if let Layer::ResidualEnd(end) = layer {
            return end.forward(pass, first_row, &before[self.buffers[end.begin]], y);
        }
        let (caches, above) = work.caches.split_at_mut(i + 1);
        let kept = above.first().filter(|_| self.takes_over_dropout(i));
        let kept = kept.and_then(|cache| self.layers[i + 1].kept(pass, first_row, cache));
        layer.forward_rows(pass, tile, x, y, &mut caches[i], &mut work.scratch, kept);
    }

    /// The loss of outputs, see [`Loss::forward_backward`]; of an ensemble the mean of its members' losses.
    ///
    /// `scratch` holds [`Network::loss_scratch_len`] numbers.
    pub fn loss_of<T: Scalar>(
        &self,
        loss: Loss,
        outputs: &[T],
        targets: Targets<T>,
        scale: T,
        d: &mut [T],
        scratch: &mut [T],
    ) -> f64 {
        match self.n_members {
            1 => loss.forward_backward(outputs, targets, scale, d),
            k => members::forward_backward(loss, [k, self.n_outputs()], outputs, targets, scale, d, scratch),
        }
    }

    /// Numbers of scratch that [`Network::loss_of`] needs for `n_rows` rows.
    pub fn loss_scratch_len(&self, n_rows: usize) -> usize {
        if self.n_members == 1 { 0 } else { 2 * n_rows * self.n_outputs() }
    }

    /// Runs forward and backward; leaves Σ of the rows' losses in `work.loss_sum` and the gradient of `scale`
    /// times that sum in `work.grads`. With `wants_dx`, ∂/∂x is then in [`Workspace::input_gradient`].
    pub fn forward_backward<T: Scalar>(
        &self,
        pass: &Pass<T>,
        loss: Loss,
        x: &[T],
        targets: Targets<T>,
        scale: T,
        wants_dx: bool,
        work: &mut Workspace<T>,
    ) {
        self.forward(pass, x, work);
        let n = pass.n_rows * self.row_len();
        let outputs = &work.outputs[work.outputs.len() - 1][..n];
        let (dy, second) = (&mut work.dy[..n], &mut work.dx[..n]);
        let scratch = &mut work.of_member;
        work.loss_sum = match targets.mixed() {
            None => self.loss_of(loss, outputs, targets, scale, dy, scratch),
            Some([one, other]) => {
                let sum = self.loss_of(loss, outputs, one, scale, dy, scratch);
                let other = self.loss_of(loss, outputs, other, scale, second, scratch);
                T::add_to(pass.level, second, dy);
                sum + other
            }
        };

        let mut end = self.layers.len();
        while end > 0 {
            // A run of layers whose rows do not meet: at most one of them writes ∂L/∂x apart from ∂L/∂z, which has
            // to be kept until all rows are done.
            let top = end - 1;
            let mut begin = top;
            let mut writer = self.layers[top].writes_dx().then_some(top);
            while begin > 0 {
                let next = &self.layers[begin - 1];
                // Statistics need the gradient of all rows, so that batch norm begins a run.
                if matches!(next, Layer::BatchNorm(_)) || (next.writes_dx() && writer.is_some()) {
                    break;
                }
                begin -= 1;
                if next.writes_dx() {
                    writer = Some(begin);
                }
            }
            self.backward_run([begin, end], writer, pass, x, wants_dx, work);
            end = begin;
        }
    }

    fn backward_run<T: Scalar>(
        &self,
        [begin, end]: [usize; 2],
        writer: Option<usize>,
        pass: &Pass<T>,
        x: &[T],
        wants_dx: bool,
        work: &mut Workspace<T>,
    ) {
        let Workspace { outputs, caches, dy, dx, scratch, grads, .. } = work;
        let top = end - 1;
        if end == self.layers.len() {
            // No run above has added the sums.
            let n = pass.n_rows * self.layers[top].out_features();
            let input = self.input_of(top, pass.n_rows, x, outputs);
            self.layers[top].add_backward_sums(pass, 0, input, &dy[..n], grads, &caches[top], None);
        }
        self.layers[top].finish_backward_sums(pass, grads, &mut caches[top]);
        for (i, cache) in caches.iter().enumerate().take(end).skip(begin) {
            self.layers[i].prepare_backward(pass, wants_dx || i > 0, grads, cache, scratch);
        }
        for first_row in (0..pass.n_rows).step_by(self.tile_rows) {
            let n_rows = self.tile_rows.min(pass.n_rows - first_row);
            let part = |features: usize| first_row * features..(first_row + n_rows) * features;
            for i in (begin..end).rev() {
                let (layer, wants_dx) = (&self.layers[i], wants_dx || i > 0);
                let taken_over = i > 0 && self.takes_over_dropout(i - 1);
                if taken_over || !wants_dx && !layer.learns_by_rows() {
                    continue;
                }
                let input = &self.input_of(i, pass.n_rows, x, outputs)[part(self.in_features(i))];
                let output = &outputs[self.buffers[i]][part(layer.out_features())];
                let below_writer = writer.is_some_and(|w| i < w);
                let (dy, dx) = if below_writer { (&mut *dx, None) } else { (&mut *dy, Some(&mut *dx)) };
                let dx =
                    dx.filter(|_| wants_dx && layer.writes_dx()).map(|dx| &mut dx[part(self.in_features(i))]);
                let dy = &mut dy[part(layer.out_features())];
                match layer {
                    Layer::ResidualEnd(end) => {
                        end.backward_rows(first_row, dy, &mut caches[i].numbers);
                        continue;
                    }
                    Layer::ResidualBegin(begin) => {
                        begin.backward_rows(pass, first_row, &caches[begin.end].numbers, dy);
                        continue;
                    }
                    _ => {}
                }
                let kept = Some(i + 1).filter(|_| self.takes_over_dropout(i));
                let kept = kept.and_then(|above| self.layers[above].kept(pass, first_row, &caches[above]));
                layer.backward_rows(
                    pass,
                    [first_row, n_rows],
                    [input, output],
                    dy,
                    dx,
                    grads,
                    &caches[i],
                    scratch,
                    kept,
                    [
                        self.layers[..end].get(i + 1),
                        i.checked_sub(1).filter(|&i| i >= begin).map(|i| &self.layers[i]),
                    ],
                );
            }
            if let Some(below) = begin.checked_sub(1) {
                // The rows are still near: batch norm, which begins the next run, takes its sums here.
                let input = &self.input_of(below, pass.n_rows, x, outputs)[part(self.in_features(below))];
                let gradient = if writer.is_some() { &*dx } else { &*dy };
                let gradient = &gradient[part(self.layers[below].out_features())];
                let kept = Some(begin).filter(|_| self.takes_over_dropout(below));
                let kept = kept.and_then(|i| self.layers[i].kept(pass, first_row, &caches[i]));
                self.layers[below].add_backward_sums(
                    pass,
                    first_row,
                    input,
                    gradient,
                    grads,
                    &caches[below],
                    kept,
                );
            }
        }
        if let Some(i) = writer {
            let input = self.input_of(i, pass.n_rows, x, outputs);
            let dz = &dy[..pass.n_rows * self.layers[i].out_features()];
            self.layers[i].backward_weights(pass, input, dz, grads, &caches[i], scratch);
            std::mem::swap(dy, dx);
        }
    }

    /// How many numbers a shard leaves for the running statistics (of batch norm).
    pub fn n_statistics(&self) -> usize {
        self.layers.iter().map(Layer::n_statistics).sum()
    }

    /// Copies what the last training pass in `work` left for the running statistics.
    pub fn write_statistics<T: Scalar>(&self, work: &Workspace<T>, mut to: &mut [T]) {
        for (layer, cache) in self.layers.iter().zip(&work.caches) {
            let (own, rest) = to.split_at_mut(layer.n_statistics());
            own.copy_from_slice(&cache.numbers[..own.len()]);
            to = rest;
        }
    }

    /// Takes the statistics of a step's shards, one after the other as [`Network::write_statistics`] wrote them, into
    /// the running ones.
    pub fn absorb_statistics<T: Scalar>(&self, level: CpuLevel, params: &mut [T], statistics: &[T]) {
        let mut begin = 0;
        for layer in self.layers.iter().filter(|layer| layer.n_statistics() > 0) {
            let end = begin + layer.n_statistics();
            let shards = statistics.chunks_exact(self.n_statistics()).map(|shard| &shard[begin..end]);
            layer.absorb(level, params, shards);
            begin = end;
        }
    }

    /// Predictions (rows×outputs) for `x` (rows×inputs), computed `work`'s rows at a time; those of an ensemble are the
    /// means of its members' predictions.
    ///
    /// A row's prediction has the same bits alone and in any batch.
    pub fn predict<T: Scalar>(
        &self,
        level: CpuLevel,
        params: &[T],
        loss: Loss,
        x: &[T],
        work: &mut Workspace<T>,
    ) -> Vec<T> {
        let mut predictions = self.raw_outputs(level, params, loss, x, work);
        loss.predict(&mut predictions, self.n_outputs());
        predictions
    }

    /// Outputs before the loss's link (logits), rows×outputs; of an ensemble those whose prediction is the mean of the
    /// members'.
    pub fn raw_outputs<T: Scalar>(
        &self,
        level: CpuLevel,
        params: &[T],
        loss: Loss,
        x: &[T],
        work: &mut Workspace<T>,
    ) -> Vec<T> {
        let mut outputs = vec![T::ZERO; x.len() / self.n_inputs * self.n_outputs()];
        self.raw_outputs_into(level, params, loss, x, work, &mut outputs);
        outputs
    }

    /// [`Network::raw_outputs`] into memory of the caller.
    pub fn raw_outputs_into<T: Scalar>(
        &self,
        level: CpuLevel,
        params: &[T],
        loss: Loss,
        x: &[T],
        work: &mut Workspace<T>,
        outputs: &mut [T],
    ) {
        let n_outputs = self.n_outputs();
        self.each_part(level, params, x, work, &mut |first_row, y| {
            let to = &mut outputs[first_row * n_outputs..][..y.len() / self.n_members];
            match self.n_members {
                1 => to.copy_from_slice(y),
                k => members::average(loss, [k, n_outputs], y, to),
            }
        });
    }

    /// What leaves the last layer for `x` (rows×inputs), the members of an ensemble side by side.
    pub(super) fn last_layer<T: Scalar>(
        &self,
        level: CpuLevel,
        params: &[T],
        x: &[T],
        work: &mut Workspace<T>,
    ) -> Vec<T> {
        let mut all = Vec::with_capacity(x.len() / self.n_inputs * self.row_len());
        self.each_part(level, params, x, work, &mut |_, y| all.extend_from_slice(y));
        all
    }

    /// Runs `x` through the layers, `work`'s rows at a time, and hands on what comes out with the number of its first
    /// row.
    fn each_part<T: Scalar>(
        &self,
        level: CpuLevel,
        params: &[T],
        x: &[T],
        work: &mut Workspace<T>,
        take: &mut dyn FnMut(usize, &mut [T]),
    ) {
        let max_rows = work.outputs.last().map_or(1, |y| y.len() / self.row_len());
        for (i, x) in x.chunks(max_rows * self.n_inputs).enumerate() {
            let pass = Pass { level, params, n_rows: x.len() / self.n_inputs, mode: Mode::Infer };
            take(i * max_rows, self.forward(&pass, x, work));
        }
    }

    /// The layers as the rows of a table, a residual block as a row followed by those of its layers.
    pub fn summary(&self) -> Vec<SummaryRow> {
        let row = |(layer, place): (&Layer, &Place)| {
            if let Layer::ResidualEnd(_) = layer {
                return None;
            }
            let count = |trainable: bool| {
                let own = self.views[place.views.clone()].iter().filter(|v| v.trainable == trainable);
                own.map(View::len).sum()
            };
            Some(SummaryRow {
                name: place.name.clone(),
                depth: place.depth,
                kind: layer.kind(),
                detail: layer.detail(),
                out_features: layer.out_features(),
                n_members: place.n_members,
                trainable: count(true),
                fixed: count(false),
            })
        };
        self.layers.iter().zip(&self.places).filter_map(row).collect()
    }
}

/// How the weights of the last dense layer of a list are parametrised, those inside of blocks too.
fn last_parametrization(specs: &[LayerSpec]) -> Option<Parametrization> {
    specs.iter().rev().find_map(|spec| match spec {
        LayerSpec::Dense { parametrization, .. } => Some(*parametrization),
        LayerSpec::Residual { layers } => last_parametrization(layers),
        _ => None,
    })
}

/// Whether a layer can be the last one: dense, linear, and as wide as the task asks.
pub(crate) fn is_output(spec: &LayerSpec, n_outputs: usize) -> bool {
    matches!(spec, LayerSpec::Dense { units, activation: Activation::Linear, .. } if *units == n_outputs)
}

impl<T> Workspace<T> {
    /// ∂L/∂x after a backward pass that wanted it: the first B×inputs numbers.
    pub fn input_gradient(&self) -> &[T] {
        &self.dy
    }
}
