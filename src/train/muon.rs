//! The orthogonal part of a matrix, for muon.

use statera_kernels::{CpuLevel, Matrix, Scalar, Start, product_scratch_len, sum_of_squares};

/// The coefficients of the quintic that brings singular values near 1 in few steps (Jordan et al. 2024).
const QUINTIC: [f64; 3] = [3.4445, -4.775, 2.0315];
/// Steps of the iteration, as the author has them.
const N_STEPS: usize = 5;
/// The least length that a matrix is divided by, as `PyTorch` has it.
const EPSILON: f64 = 1e-7;

/// The Newton–Schulz iteration with its memory, planned once for the largest of the matrices.
#[derive(Debug)]
pub(super) struct Orthogonal<T> {
    /// X with no more rows than columns, and the next X.
    x: Vec<T>,
    next: Vec<T>,
    /// X·Xᵀ and its square.
    gram: Vec<T>,
    square: Vec<T>,
    scratch: Vec<T>,
}

impl<T: Scalar> Orthogonal<T> {
    /// Memory for matrices of these shapes; none for no matrices.
    pub(super) fn new(shapes: impl Iterator<Item = [usize; 2]> + Clone) -> Self {
        let sorted = shapes.map(|[a, b]| (a.min(b), a.max(b)));
        let zeros = |n: Option<usize>| vec![T::ZERO; n.unwrap_or(0)];
        let n_matrix = sorted.clone().map(|(k, l)| k * l).max();
        let n_square = sorted.clone().map(|(k, _)| k * k).max();
        let n_scratch =
            sorted.map(|(k, l)| product_scratch_len(k, l, k).max(product_scratch_len(k, k, l))).max();
        Self {
            x: zeros(n_matrix),
            next: zeros(n_matrix),
            gram: zeros(n_square),
            square: zeros(n_square),
            scratch: zeros(n_scratch),
        }
    }

    /// Replaces the matrix `u` (rows×columns) by nearly U·Vᵀ of its singular value decomposition U·S·Vᵀ.
    ///
    /// X = u / max(|u|, ε), then five times X ← a·X + (b·G + c·G²)·X with G = X·Xᵀ. |u| is the root of the sum of
    /// squares. Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
    pub(super) fn of(&mut self, level: CpuLevel, [rows, columns]: [usize; 2], u: &mut [T]) {
        let (k, l) = (rows.min(columns), rows.max(columns));
        let turned = rows > columns;
        let (mut x, mut next) = (&mut self.x[..k * l], &mut self.next[..k * l]);
        let (gram, square) = (&mut self.gram[..k * k], &mut self.square[..k * k]);
        let length = T::from_f64(sum_of_squares(u).sqrt().max(EPSILON));
        u.iter_mut().for_each(|u| *u = *u / length);
        if turned {
            T::transpose_to(level, [rows, columns], u, x);
        } else {
            x.copy_from_slice(u);
        }
        let [a, b, c] = QUINTIC.map(T::from_f64);
        for _ in 0..N_STEPS {
            let (across, along) = (Matrix::transposed(x, l), Matrix::rows(x, l));
            T::product(level, [k, l, k], along, across, gram, Start::Zero, &mut self.scratch);
            let g = Matrix::rows(gram, k);
            T::product(level, [k, k, k], g, g, square, Start::Zero, &mut self.scratch);
            T::combine(level, b, gram, c, square);
            next.copy_from_slice(x);
            // next = a·X + (b·G + c·G²)·X, as the sum that begins at a·X.
            next.iter_mut().for_each(|x| *x *= a);
            T::product(level, [k, k, l], Matrix::rows(square, k), along, next, Start::Add, &mut self.scratch);
            std::mem::swap(&mut x, &mut next);
        }
        if turned {
            T::transpose_to(level, [columns, rows], x, u);
        } else {
            u.copy_from_slice(x);
        }
    }
}
