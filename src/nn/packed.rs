//! The products of a dense layer of which each of G members has a weight of its own: y_g = x_g·W_g + b_g.
//!
//! Rows hold the members side by side: x is B×(G·I), y is B×(G·O), and the weight G×I×O.

use statera_kernels::{CpuLevel, Matrix, Scalar, Start, product_scratch_len};

/// B, G, I and O.
pub(crate) type Shape = [usize; 4];

/// A member's part of rows that hold `width` numbers of each of `n_members`.
fn of_member<T>(rows: &[T], member: usize, n_members: usize, width: usize) -> Matrix<'_, T> {
    Matrix { data: &rows[member * width..], row_stride: n_members * width, column_stride: 1 }
}

/// Numbers of scratch that the products of B rows need.
pub(crate) fn scratch_len(n_rows: usize, i: usize, o: usize) -> usize {
    product_scratch_len(n_rows, i, o)
        .max(product_scratch_len(n_rows, o, i))
        .max(product_scratch_len(i, n_rows, o))
}

/// y_g = x_g·W_g + b_g.
pub(crate) fn forward<T: Scalar>(
    level: CpuLevel,
    [b, g, i, o]: Shape,
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
    scratch: &mut [T],
) {
    for member in 0..g {
        let (x, weight) = (of_member(x, member, g, i), Matrix::rows(&weight[member * i * o..], o));
        let start = bias.map_or(Start::Zero, |bias| Start::Bias(&bias[member * o..(member + 1) * o]));
        T::product_to(level, [b, i, o], x, weight, &mut y[member * o..], g * o, start, scratch);
    }
}

/// dx_g = dz_g·W_gᵀ.
pub(crate) fn backward_input<T: Scalar>(
    level: CpuLevel,
    [b, g, i, o]: Shape,
    dz: &[T],
    weight: &[T],
    dx: &mut [T],
    scratch: &mut [T],
) {
    for member in 0..g {
        let (dz, weight) = (of_member(dz, member, g, o), Matrix::transposed(&weight[member * i * o..], o));
        T::product_to(level, [b, o, i], dz, weight, &mut dx[member * i..], g * i, Start::Zero, scratch);
    }
}

/// dW_g = x_gᵀ·dz_g.
pub(crate) fn backward_weights<T: Scalar>(
    level: CpuLevel,
    [b, g, i, o]: Shape,
    x: &[T],
    dz: &[T],
    dw: &mut [T],
    scratch: &mut [T],
) {
    for (member, dw) in dw.chunks_exact_mut(i * o).enumerate() {
        let x = Matrix { data: &x[member * i..], row_stride: 1, column_stride: g * i };
        T::product(level, [i, b, o], x, of_member(dz, member, g, o), dw, Start::Zero, scratch);
    }
}
