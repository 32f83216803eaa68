//! Prepared rows, and how a batch is gathered from them.

use statera_kernels::Scalar;

use crate::nn::Targets;

/// Prepared rows: inputs (rows×inputs) and what the outputs are compared with.
#[derive(Debug, Clone)]
pub struct Rows<T> {
    /// Row after row.
    pub x: Vec<T>,
    /// As many as there are rows.
    pub targets: OwnedTargets<T>,
}

/// [`Targets`] that own their numbers.
#[derive(Debug, Clone)]
pub enum OwnedTargets<T> {
    /// Scaled numbers.
    Values(Vec<T>),
    /// Class indices.
    Classes(Vec<u32>),
    /// Scaled numbers and the weights of the rows.
    WeightedValues(Vec<T>, Vec<T>),
    /// Class indices and the weights of the rows.
    WeightedClasses(Vec<u32>, Vec<T>),
    /// Two class indices a row, and how much it counts as either.
    MixedClasses([Vec<u32>; 2], [Vec<T>; 2]),
}

impl<T: Scalar> OwnedTargets<T> {
    /// The same numbers, borrowed.
    pub fn view(&self) -> Targets<'_, T> {
        match self {
            Self::Values(values) => Targets::Values(values),
            Self::Classes(classes) => Targets::Classes(classes),
            Self::WeightedValues(values, weights) => Targets::WeightedValues(values, weights),
            Self::WeightedClasses(classes, weights) => Targets::WeightedClasses(classes, weights),
            Self::MixedClasses([one, other], [w, v]) => Targets::MixedClasses([one, other], [w, v]),
        }
    }

    /// Memory for the targets of a batch of `n_rows`; where rows are mixed, for two classes of each.
    fn batch(&self, n_rows: usize, mixes: bool) -> Self {
        let zeros = || vec![T::ZERO; n_rows];
        match self {
            Self::Values(_) => Self::Values(zeros()),
            Self::Classes(_) | Self::WeightedClasses(..) | Self::MixedClasses(..) if mixes => {
                let classes = || vec![0; n_rows];
                Self::MixedClasses([classes(), classes()], [zeros(), zeros()])
            }
            Self::Classes(_) => Self::Classes(vec![0; n_rows]),
            Self::WeightedValues(..) => Self::WeightedValues(zeros(), zeros()),
            Self::WeightedClasses(..) | Self::MixedClasses(..) => {
                Self::WeightedClasses(vec![0; n_rows], zeros())
            }
        }
    }

    /// The same targets, each row counting by its weight.
    #[must_use]
    pub fn weighted(self, weights: Vec<T>) -> Self {
        match self {
            Self::Values(values) | Self::WeightedValues(values, _) => Self::WeightedValues(values, weights),
            Self::Classes(classes)
            | Self::WeightedClasses(classes, _)
            | Self::MixedClasses([classes, _], _) => Self::WeightedClasses(classes, weights),
        }
    }
}

impl<T: Scalar> Rows<T> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.targets.view().len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows numbered `order`, each with `n_inputs` inputs.
    #[must_use]
    pub fn picked(&self, order: &[u32], n_inputs: usize) -> Self {
        let mut batch = self.batch(order.len(), n_inputs, false);
        gather(&self.x, &self.targets, order, n_inputs, &mut batch);
        batch
    }

    /// Memory for a batch of `n_rows` of these rows; `mixes` says whether each is to be mixed of two.
    pub(super) fn batch(&self, n_rows: usize, n_inputs: usize, mixes: bool) -> Self {
        Self { x: vec![T::ZERO; n_rows * n_inputs], targets: self.targets.batch(n_rows, mixes) }
    }
}

/// Copies the rows numbered `order`, their inputs out of `x` and their targets, into the front of `batch`.
pub(super) fn gather<T: Scalar>(
    x: &[T],
    targets: &OwnedTargets<T>,
    order: &[u32],
    n_inputs: usize,
    batch: &mut Rows<T>,
) {
    gather_inputs(x, order, n_inputs, &mut batch.x);
    match (targets, &mut batch.targets) {
        (OwnedTargets::Values(from), OwnedTargets::Values(to)) => pick(from, order, to),
        (OwnedTargets::Classes(from), OwnedTargets::Classes(to)) => pick(from, order, to),
        (OwnedTargets::WeightedValues(from, w), OwnedTargets::WeightedValues(to, weights)) => {
            pick(from, order, to);
            pick(w, order, weights);
        }
        (OwnedTargets::WeightedClasses(from, w), OwnedTargets::WeightedClasses(to, weights)) => {
            pick(from, order, to);
            pick(w, order, weights);
        }
        _ => unreachable!("a batch is made like its rows"),
    }
}

/// Copies the rows of `x` (rows×inputs) numbered `order` to the front of `to`.
pub fn gather_inputs<T: Scalar>(x: &[T], order: &[u32], n_inputs: usize, to: &mut [T]) {
    for (to, &row) in to.chunks_exact_mut(n_inputs).zip(order) {
        let from = row as usize * n_inputs;
        to.copy_from_slice(&x[from..from + n_inputs]);
    }
}

fn pick<V: Copy>(from: &[V], order: &[u32], to: &mut [V]) {
    to.iter_mut().zip(order).for_each(|(to, &row)| *to = from[row as usize]);
}

/// What is known of training rows besides their inputs and targets; by default nothing.
#[derive(Debug, Clone, Default)]
pub struct RowFacts {
    /// Which inputs are scaled numbers, and neither categories nor marks of missing cells.
    pub numeric_inputs: Vec<usize>,
    /// How hard each row is, in the rows' order, for a curriculum; empty where nobody asked.
    pub difficulty: Vec<f64>,
}
