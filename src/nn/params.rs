//! The parameters of a network: one vector, with a named view for each tensor.

use std::ops::Range;

use crate::config::{Constraint, WeightKind};

/// A named tensor inside the parameter vector.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// `layers.<index>.<tensor>`, for example `layers.1.weight`; inside a block `layers.3.0.weight`.
    pub name: String,
    /// Row count and column count, or one length. A weight is (in, out).
    pub shape: Vec<usize>,
    /// Where in the vector the tensor begins.
    pub offset: usize,
    /// Whether an optimiser changes it; running statistics are not trainable.
    pub trainable: bool,
    /// Whether weight decay and penalties apply: to weights, not to biases, scales and shifts.
    pub decays: bool,
    /// What the learning rate is multiplied by.
    pub lr_factor: f64,
    /// What a dense layer says of its weight; none for every other tensor.
    pub dense: Option<WeightRules>,
    /// Whether rows of it are looked up, by a category's code, where other weights are multiplied with.
    pub is_table: bool,
}

/// What a dense layer sets for its own weight in place of the optimiser's settings; unset leaves it to those.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WeightRules {
    /// λ of the penalty λ·|w|.
    pub l1: Option<f64>,
    /// λ of the penalty ½·λ·w².
    pub l2: Option<f64>,
    /// What the weights are brought back to after each step.
    pub constraint: Option<Constraint>,
    /// The largest norm of [`Constraint::MaxNorm`].
    pub max_norm: Option<f64>,
    /// What the weights are; unset for continuous ones.
    pub kind: Option<WeightKind>,
}

impl View {
    /// How many numbers the tensor has.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no numbers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the numbers are, where they are the weight of a dense layer that are not any real numbers.
    pub fn kind(&self) -> Option<WeightKind> {
        self.dense?.kind.filter(|kind| *kind != WeightKind::Continuous)
    }

    /// Its place in the parameter vector.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// What a new tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Trained, and shrunk by weight decay.
    Weight,
    /// As a weight, but its rows are looked up.
    Table,
    /// Trained, not shrunk: biases, scales, shifts.
    Offset,
    /// Kept by the layer itself: running statistics.
    Statistic,
}

/// Hands out places in the parameter vector, in the order of the layers.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    pub(crate) views: Vec<View>,
    prefix: String,
    len: usize,
}

impl Layout {
    /// Names the tensors that follow after the layer `name`.
    pub(crate) fn begin_layer(&mut self, name: &str) {
        name.clone_into(&mut self.prefix);
    }

    /// Takes the next place for a tensor.
    pub(crate) fn add(&mut self, name: &str, shape: &[usize], role: Role) -> Range<usize> {
        let view = View {
            name: format!("{}.{name}", self.prefix),
            shape: shape.to_vec(),
            offset: self.len,
            trainable: role != Role::Statistic,
            decays: matches!(role, Role::Weight | Role::Table),
            is_table: role == Role::Table,
            lr_factor: 1.0,
            dense: None,
        };
        self.len += view.len();
        let range = view.range();
        self.views.push(view);
        range
    }

    /// Takes the next place for the weight (I×O, or G×I×O) of a dense layer.
    pub(crate) fn add_dense(&mut self, shape: &[usize], rules: WeightRules) -> Range<usize> {
        let range = self.add("weight", shape, Role::Weight);
        self.views.last_mut().expect("a view was added").dense = Some(rules);
        range
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}
