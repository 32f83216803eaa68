//! The matrix product as its definition says it: the oracle that the fast one is tested against.

use crate::math::Real;
use crate::product::{Matrix, Start};

/// C = start + A·B, element by element.
pub fn product<T: Real>([m, k, n]: [usize; 3], a: Matrix<T>, b: Matrix<T>, c: &mut [T], start: Start<T>) {
    for i in 0..m {
        for j in 0..n {
            let mut sum = match start {
                Start::Zero => T::ZERO,
                Start::Bias(bias) | Start::BiasRelu(bias) => bias[j],
                Start::Add => c[i * n + j],
            };
            for p in 0..k {
                let x = a.data[i * a.row_stride + p * a.column_stride];
                let y = b.data[p * b.row_stride + j * b.column_stride];
                sum = x.mul_add(y, sum);
            }
            c[i * n + j] = if matches!(start, Start::BiasRelu(_)) && sum < T::ZERO { T::ZERO } else { sum };
        }
    }
}
