//! How large the numbers are that leave the layers: what to look at when a loss goes astray.

use statera_kernels::{CpuLevel, Scalar};

use super::layer::{Mode, Pass};
use super::{Network, Workspace};

impl Network {
    /// The index of the first layer whose last output holds a number that is not finite; of layers that work
    /// in place, whose outputs are no longer told apart, the one that they follow.
    pub fn first_non_finite_layer<T: Scalar>(&self, n_rows: usize, work: &Workspace<T>) -> Option<usize> {
        (0..self.layers().len()).find(|&i| !self.output_of(i, n_rows, work).iter().all(|v| v.is_finite()))
    }

    /// The largest |y| that leaves each layer for `x` (B×inputs) in use; infinite where a number is not finite.
    pub fn largest_outputs<T: Scalar>(&self, level: CpuLevel, params: &[T], x: &[T]) -> Vec<f64> {
        let n_rows = x.len() / self.n_inputs();
        let mut work = self.inference_workspace(n_rows);
        self.forward(&Pass { level, params, n_rows, mode: Mode::Infer }, x, &mut work);
        let size = |v: &T| if v.is_finite() { v.to_f64().abs() } else { f64::INFINITY };
        let largest = |i| self.output_of(i, n_rows, &work).iter().map(size).fold(0.0, f64::max);
        (0..self.layers().len()).map(largest).collect()
    }

    /// What the last pass over `n_rows` rows left in the memory that layer `i` writes (B×out).
    fn output_of<'w, T: Scalar>(&self, i: usize, n_rows: usize, work: &'w Workspace<T>) -> &'w [T] {
        &work.outputs[self.buffers[i]][..n_rows * self.layers()[i].out_features()]
    }
}
