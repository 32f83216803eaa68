//! Outputs of many rows at once, on all threads.

use statera_kernels::{CpuLevel, Scalar};

use super::loss::Loss;
use super::network::{Network, Workspace};

/// Multiply–adds that are worth another thread: some tens of microseconds.
const WORTH_A_THREAD: usize = 1 << 23;

impl Network {
    /// Workspaces to share out rows over the threads of the pool that it is called in, each for up to `max_rows` rows
    /// at a time; one where there are so few rows that a second thread is not worth it.
    pub fn inference_workspaces<T: Scalar>(&self, n_rows: usize, max_rows: usize) -> Vec<Workspace<T>> {
        let worth = (n_rows * self.multiply_adds_per_row() / WORTH_A_THREAD).clamp(1, n_rows.max(1));
        let n = rayon::current_num_threads().min(worth);
        (0..n).map(|_| self.inference_workspace(max_rows)).collect()
    }

    /// [`Network::raw_outputs_into`] with the rows cut evenly, a piece for each of `works`, which threads take.
    ///
    /// A row's outputs have the same bits alone and in any batch, so the pieces are not to be seen in them.
    pub fn raw_outputs_on_threads<T: Scalar>(
        &self,
        level: CpuLevel,
        params: &[T],
        loss: Loss,
        x: &[T],
        works: &mut [Workspace<T>],
        outputs: &mut [T],
    ) {
        if let [work] = works {
            return self.raw_outputs_into(level, params, loss, x, work, outputs);
        }
        let n_rows = outputs.len() / self.n_outputs();
        let (left, right) = works.split_at_mut(works.len() / 2);
        let cut = n_rows * left.len() / (left.len() + right.len());
        let (x_left, x_right) = x.split_at(cut * self.n_inputs());
        let (y_left, y_right) = outputs.split_at_mut(cut * self.n_outputs());
        rayon::join(
            || self.raw_outputs_on_threads(level, params, loss, x_left, left, y_left),
            || self.raw_outputs_on_threads(level, params, loss, x_right, right, y_right),
        );
    }
}
