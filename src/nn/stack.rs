//! From a list of layers, nested by blocks, to the flat stack that a network runs.

use std::ops::Range;

use super::layer::{Layer, Ordinals};
use super::params::Layout;
use super::residual::{ResidualBegin, ResidualEnd};
use crate::config::LayerSpec;

/// The layers of a network one after the other, blocks opened up, and where each has its name and memory.
#[derive(Debug, Default)]
pub(super) struct Stack {
    pub(super) layers: Vec<Layer>,
    pub(super) places: Vec<Place>,
    /// Members in a row after the layers; 1 without an ensemble.
    pub(super) n_members: usize,
    /// Which of the workspace's outputs each layer writes.
    pub(super) buffers: Vec<usize>,
}

/// What a layer is called, and what is its own.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// `layers.3`, and inside a block `layers.3.0`; both ends of a block have its name.
    pub(super) name: String,
    /// How many blocks the layer stands in.
    pub(super) depth: usize,
    /// Members in a row after the layer.
    pub(super) n_members: usize,
    /// Which views are the layer's.
    pub(super) views: Range<usize>,
}

impl Stack {
    /// Lays out `specs` on rows of `n_members` members, `n_inputs` features together.
    pub(super) fn build(specs: &[LayerSpec], n_inputs: usize, n_members: usize) -> (Self, Layout) {
        let (mut stack, mut layout) = (Self { n_members, ..Self::default() }, Layout::default());
        stack.place("layers", 0, specs, n_inputs, &mut Ordinals::default(), &mut layout);
        for i in 0..stack.layers.len() {
            let buffer = match stack.buffers.last() {
                Some(&last) if shares_memory(&stack.layers[i - 1], &stack.layers[i]) => last,
                Some(&last) => last + 1,
                None => 0,
            };
            stack.buffers.push(buffer);
        }
        (stack, layout)
    }

    /// Adds layers, named after `list`, to the stack; returns the features of a row after them.
    fn place(
        &mut self,
        list: &str,
        depth: usize,
        specs: &[LayerSpec],
        n_inputs: usize,
        ordinals: &mut Ordinals,
        layout: &mut Layout,
    ) -> usize {
        let mut features = n_inputs;
        for (i, spec) in specs.iter().enumerate() {
            let name = format!("{list}.{i}");
            layout.begin_layer(&name);
            let place = self.layers.len();
            match spec {
                LayerSpec::Residual { layers } => {
                    let n_layers = layers.len();
                    // The end's place is known once the layers between have theirs.
                    let begin = ResidualBegin { features, n_layers, end: place };
                    self.push(Layer::ResidualBegin(begin.clone()), &name, depth, layout.views.len(), layout);
                    self.place(&name, depth + 1, layers, features, ordinals, layout);
                    let end = self.layers.len();
                    self.layers[place] = Layer::ResidualBegin(ResidualBegin { end, ..begin });
                    let layer = Layer::ResidualEnd(ResidualEnd { features, begin: place });
                    self.push(layer, &name, depth, layout.views.len(), layout);
                }
                spec => {
                    let first_view = layout.views.len();
                    let layer = Layer::build(spec, ordinals, features, self.n_members, layout);
                    if let Layer::Members(members) = &layer {
                        self.n_members = members.count;
                    }
                    features = layer.out_features();
                    let [lr_factor, bias_lr_factor] = spec.lr_factors();
                    for view in &mut layout.views[first_view..] {
                        let is_bias = view.name.rsplit('.').next() == Some("bias");
                        view.lr_factor = if is_bias { bias_lr_factor } else { lr_factor };
                    }
                    self.push(layer, &name, depth, first_view, layout);
                }
            }
        }
        features
    }

    fn push(&mut self, layer: Layer, name: &str, depth: usize, first_view: usize, layout: &Layout) {
        self.layers.push(layer);
        let views = first_view..layout.views.len();
        self.places.push(Place { name: name.to_owned(), depth, n_members: self.n_members, views });
    }
}

/// Whether `layer` may compute over the output of `before`.
fn shares_memory(before: &Layer, layer: &Layer) -> bool {
    if let Layer::ResidualBegin(_) = before {
        // What enters a block is added again at its end.
        return matches!(layer, Layer::ResidualBegin(_));
    }
    // These own their output's memory and read nothing of it on the way back.
    let unread = |before: &Layer| {
        matches!(
            before,
            Layer::BatchNorm(_)
                | Layer::ParametricActivation(_)
                | Layer::LayerNorm(_)
                | Layer::Scale(_)
                | Layer::ResidualEnd(_)
        )
    };
    match layer {
        Layer::ResidualBegin(_) => true,
        Layer::Dropout(_) => !before.reads_output(),
        // These change signs too, which relu reads.
        Layer::Activation(_) | Layer::GaussianNoise(_) => unread(before),
        Layer::ResidualEnd(_) => unread(before) || matches!(before, Layer::Dense(d) if d.is_linear()),
        Layer::Dense(_)
        | Layer::BatchNorm(_)
        | Layer::ParametricActivation(_)
        | Layer::LayerNorm(_)
        | Layer::Scale(_)
        | Layer::Members(_)
        | Layer::Embedding(_) => false,
    }
}
