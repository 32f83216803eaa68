//! Products with sparse weights, in compressed rows: of each unit the inputs that it has a weight of, and the weights.

use crate::math::Real;

/// The rows of x that [`crate::Kernels::sparse_product`] takes together.
pub const SPARSE_ROWS: [usize; 3] = [32, 8, 1];

/// Weights (O×I) in compressed rows: those of unit u are `columns` and `values` from `starts[u]` to `starts[u + 1]`.
#[derive(Debug, Clone, Copy)]
pub struct Compressed<'a, T> {
    /// Where each unit's weights begin, and where the last one's end: O + 1 numbers.
    pub starts: &'a [u32],
    /// The input of each weight, rising within a unit.
    pub columns: &'a [u32],
    /// The weights.
    pub values: &'a [T],
}

/// y (O×G) = bias + W·x with x (I×G) for G rows, one of [`SPARSE_ROWS`], transposed: a register holds rows. `bias` has O
/// numbers, or none for 0.
///
/// Every number is one chain of fused multiply–adds over the inputs, from the first on, as in a product with the zeros.
#[inline(always)]
pub(crate) fn sparse_product<T: Real>(
    n_rows: usize,
    weight: Compressed<T>,
    bias: &[T],
    x: &[T],
    y: &mut [T],
) {
    match n_rows {
        32 => of_rows::<T, 32>(weight, bias, x, y),
        8 => of_rows::<T, 8>(weight, bias, x, y),
        1 => of_rows::<T, 1>(weight, bias, x, y),
        _ => panic!("{n_rows} rows: expected one of {SPARSE_ROWS:?}"),
    }
}

#[inline(always)]
fn of_rows<T: Real, const G: usize>(weight: Compressed<T>, bias: &[T], x: &[T], y: &mut [T]) {
    let (x, rest) = x.as_chunks::<G>();
    assert!(rest.is_empty(), "x is I×{G}");
    let (units, _) = y.as_chunks_mut::<G>();
    assert!(weight.starts.len() == units.len() + 1, "y has a row for each unit");
    assert!(bias.is_empty() || bias.len() == units.len(), "the bias needs a number for each unit");
    for (unit, y) in units.iter_mut().enumerate() {
        let own = weight.starts[unit] as usize..weight.starts[unit + 1] as usize;
        let mut sums = [bias.get(unit).copied().unwrap_or(T::ZERO); G];
        for (&column, &value) in weight.columns[own.clone()].iter().zip(&weight.values[own]) {
            let x = &x[column as usize];
            for (sum, &x) in sums.iter_mut().zip(x) {
                *sum = x.mul_add(value, *sum);
            }
        }
        *y = sums;
    }
}
