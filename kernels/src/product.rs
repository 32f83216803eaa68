//! Matrix products C = A·B (+ bias, or + C), the heart of a dense layer.
//!
//! A tile of C is held in registers while the shared dimension runs by (Goto & van de Geijn 2008, "Anatomy of
//! high-performance matrix multiplication", without the outer levels that these sizes do not need). Every
//! element of C is one chain of fused multiply–adds in the order of the shared dimension: its bits depend
//! neither on the tile it lies in, nor on the CPU level, nor on how many rows are computed with it.

use crate::vector::Vector;

/// A matrix inside a slice: element (r, c) is at `r·row_stride + c·column_stride`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T> {
    /// The numbers.
    pub data: &'a [T],
    /// The distance from a row to the next.
    pub row_stride: usize,
    /// The distance from a column to the next.
    pub column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// A matrix stored row after row.
    pub fn rows(data: &'a [T], n_columns: usize) -> Self {
        Self { data, row_stride: n_columns, column_stride: 1 }
    }

    /// The transpose of a matrix that is stored row after row with `n_columns` columns.
    pub fn transposed(data: &'a [T], n_columns: usize) -> Self {
        Self { data, row_stride: 1, column_stride: n_columns }
    }

    /// The same numbers with rows and columns exchanged.
    fn transpose(self) -> Self {
        Self { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    fn assert_holds(&self, n_rows: usize, n_columns: usize, name: &str) {
        let last = (n_rows - 1) * self.row_stride + (n_columns - 1) * self.column_stride;
        assert!(last < self.data.len(), "{name} is {n_rows}×{n_columns} and needs more numbers than it has");
    }
}

/// What the sums of a product begin with.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a, T> {
    /// Zero: C = A·B.
    Zero,
    /// One number for each column: C = A·B + bias.
    Bias(&'a [T]),
    /// The same, and in the end what is below 0 becomes 0: C = relu(A·B + bias).
    BiasRelu(&'a [T]),
    /// What C holds: C += A·B.
    Add,
}

/// The shared dimension is cut here, so that a panel of B stays in the first-level cache.
const SHARED_BLOCK: usize = 128;
/// The widest panel of any level, in numbers: four registers of sixteen.
const WIDEST_PANEL: usize = 64;
/// The most columns that are computed as rows: a quarter of the widest register.
const MOST_TURNED: usize = 4;
/// B is read in place while its rows are this near to each other (in numbers); rows that are further apart would
/// fall on the same few lines of the first-level cache, and are copied into a panel.
const NEAR_ROWS: usize = 160;
/// From this many rows of A on the copy pays, being read that often.
const ROWS_WORTH_PACKING: usize = 16;

/// Whether a product copies its B where rows of B are `n_columns` long, so that a transposed one costs it no more.
pub fn product_copies(n_columns: usize) -> bool {
    n_columns > NEAR_ROWS
}

/// How many numbers of scratch [`crate::Scalar::product`] needs for an A of `m`×`k` and a B of `k`×`n`.
pub fn product_scratch_len(m: usize, k: usize, n: usize) -> usize {
    // A packed panel, and the columns that are computed as rows.
    k.min(SHARED_BLOCK) * n.max(m).min(WIDEST_PANEL).next_multiple_of(WIDEST_PANEL) + MOST_TURNED * m
}

/// C = start + A·B, with A `m`×`k`, B `k`×`n` and C `m`×`n`, whose rows are `c_row` apart.
#[inline(always)]
pub(crate) fn product<V: Vector>(
    [m, k, n]: [usize; 3],
    a: Matrix<V::Element>,
    b: Matrix<V::Element>,
    c: &mut [V::Element],
    c_row: usize,
    start: Start<V::Element>,
    scratch: &mut [V::Element],
    zero: V::Element,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(c_row >= n && c.len() >= (m - 1) * c_row + n, "C is {m}×{n} and needs more numbers than it has");
    let (start, relu) = match start {
        Start::BiasRelu(bias) => (Start::Bias(bias), true),
        other => (other, false),
    };
    if let Start::Bias(bias) = start {
        assert!(bias.len() >= n, "the bias needs a number for each of {n} columns");
    }
    if k > 0 {
        a.assert_holds(m, k, "A");
        b.assert_holds(k, n, "B");
    }
    if k == 1 && b.column_stride == 1 && matches!(start, Start::Zero) {
        // SAFETY: the CPU level was checked by the caller of the kernel; the matrices were measured above.
        return unsafe { outer_product::<V>([m, n], a, b, c, c_row, zero) };
    }
    // The last few columns would fill a register to a quarter or less. Where A is stored column after column, or
    // where there are no others, they are computed as rows instead: Cᵀ = Bᵀ·Aᵀ, into the scratch, and written
    // from there.
    let turned = match n % V::LANES {
        rest @ 1..=MOST_TURNED if 4 * rest <= V::LANES && m >= V::LANES => rest,
        _ => 0,
    };
    let turned = if k > 0 && (a.row_stride == 1 || turned == n) { turned } else { 0 };
    // Where A is stored row after row, four last columns fill a register with four rows of them.
    let in_quads = turned == 0
        && V::QUADS > 0
        && n % V::LANES == 4
        && n > V::LANES
        && k >= 4
        && m >= V::QUADS
        && a.column_stride == 1
        && b.column_stride == 1;
    if in_quads {
        let (columns, begin) = (n - 4, c.as_mut_ptr());
        let rows = m - m % V::QUADS;
        let b_rest = Matrix { data: &b.data[columns..], ..b };
        // SAFETY: the CPU level was checked by the caller of the kernel; the matrices were measured above, and have
        // four columns from `columns` on.
        unsafe { quads::<V>([rows, k], a, b_rest, begin.add(columns), c_row, start, columns, relu, zero) };
        let rest = [m - rows, k, 4];
        if rest[0] > 0 {
            let a = Matrix { data: &a.data[rows * a.row_stride..], ..a };
            let start = match start {
                Start::Bias(bias) => Start::Bias(&bias[columns..]),
                other => other,
            };
            let c = &mut c[rows * c_row + columns..];
            panels::<V>(rest, a, b_rest, c, c_row, start, relu, scratch, zero);
        }
        return panels::<V>([m, k, columns], a, b, c, c_row, start, relu, scratch, zero);
    }
    let whole = n - turned;
    let (columns, scratch) = scratch.split_at_mut(turned * m);
    for (j, column) in columns.chunks_exact_mut(m).enumerate() {
        match start {
            Start::Zero => {}
            Start::Bias(bias) | Start::BiasRelu(bias) => column.fill(bias[whole + j]),
            Start::Add => {
                column
                    .iter_mut()
                    .zip(c[whole + j..].iter().step_by(c_row))
                    .for_each(|(to, &from)| *to = from);
            }
        }
    }
    // A loop over two products, not two calls: the code of all tiles is there once.
    for turn in [false, true] {
        let rest = Matrix { data: b.data.get(whole * b.column_stride..).unwrap_or(&[]), ..b };
        let (shape, a, b, c, row) = if turn {
            ([turned, k, m], rest.transpose(), a.transpose(), &mut *columns, m)
        } else {
            ([m, k, whole], a, b, &mut *c, c_row)
        };
        if shape[0] > 0 && shape[2] > 0 {
            let start = if turn && !matches!(start, Start::Zero) { Start::Add } else { start };
            panels::<V>(shape, a, b, c, row, start, relu, scratch, zero);
        }
    }
    for (i, column) in columns.chunks_exact(m).enumerate() {
        for (row, &value) in column.iter().enumerate() {
            c[row * c_row + whole + i] = value;
        }
    }
}

/// C (`m`×`n`, its rows `c_row` apart) = a·b, a column and a row.
///
/// # Safety
/// The CPU has the instructions of `V`; the matrices hold their shapes, and b lies in one piece.
#[inline(always)]
unsafe fn outer_product<V: Vector>(
    [m, n]: [usize; 2],
    a: Matrix<V::Element>,
    b: Matrix<V::Element>,
    c: &mut [V::Element],
    c_row: usize,
    zero: V::Element,
) {
    unsafe {
        let a_row = a.row_stride;
        let (a, b, c) = (a.data.as_ptr(), b.data.as_ptr(), c.as_mut_ptr());
        let (tail, zero) = (n % V::LANES, V::splat(zero));
        for column in (0..n - tail).step_by(V::LANES) {
            let b = V::load(b.add(column));
            for row in 0..m {
                V::splat(*a.add(row * a_row)).mul_add(b, zero).store(c.add(row * c_row + column));
            }
        }
        if tail > 0 {
            let b = V::load_partial(b.add(n - tail), tail);
            for row in 0..m {
                V::splat(*a.add(row * a_row))
                    .mul_add(b, zero)
                    .store_partial(c.add(row * c_row + n - tail), tail);
            }
        }
    }
}

/// Four columns of [`product`], `QUADS` rows of them in a register: C (`m`×4), `m` being a multiple of `QUADS`. The
/// bias has `skipped` numbers for columns before them.
///
/// # Safety
/// The CPU has the instructions of `V`, and its quads; the matrices hold their shapes, and `k` is at least 4.
#[inline(always)]
unsafe fn quads<V: Vector>(
    [m, k]: [usize; 2],
    a: Matrix<V::Element>,
    b: Matrix<V::Element>,
    c: *mut V::Element,
    c_row: usize,
    start: Start<V::Element>,
    skipped: usize,
    relu: bool,
    zero: V::Element,
) {
    unsafe {
        let tile = Panel {
            k,
            a: a.data.as_ptr(),
            a_row: a.row_stride,
            a_column: 1,
            b: b.data.as_ptr(),
            b_row: b.row_stride,
            c,
            c_row,
            start: match start {
                Start::Zero => std::ptr::null(),
                Start::Bias(bias) | Start::BiasRelu(bias) => bias.as_ptr().add(skipped),
                Start::Add => c.cast_const(),
            },
            start_row: if matches!(start, Start::Add) { c_row } else { 0 },
            tail: 4,
            relu,
            zero,
        };
        let mut row = 0;
        while row < m {
            row += match (m - row) / V::QUADS {
                8.. => tile.quads_of::<V, 8>(row),
                4.. => tile.quads_of::<V, 4>(row),
                2.. => tile.quads_of::<V, 2>(row),
                _ => tile.quads_of::<V, 1>(row),
            };
        }
    }
}

/// [`product`] with the rows of C `c_row` apart.
#[inline(always)]
fn panels<V: Vector>(
    [m, k, n]: [usize; 3],
    a: Matrix<V::Element>,
    b: Matrix<V::Element>,
    c: &mut [V::Element],
    c_row: usize,
    start: Start<V::Element>,
    relu: bool,
    scratch: &mut [V::Element],
    zero: V::Element,
) {
    let pack = b.column_stride != 1 || (b.row_stride > NEAR_ROWS && m >= ROWS_WORTH_PACKING);
    // As few panels as can be, of like widths: a narrow one at the end would leave the multipliers waiting.
    let registers = n.div_ceil(V::LANES);
    let panel = V::LANES * registers.div_ceil(registers.div_ceil(V::PANEL)).max(1);
    let mut shared = 0;
    loop {
        let k_block = (k - shared).min(SHARED_BLOCK);
        let begin = if shared == 0 { start } else { Start::Add };
        for column in (0..n).step_by(panel) {
            let width = (n - column).min(panel);
            let padded = width.next_multiple_of(V::LANES);
            let (source, row_stride) = if pack {
                let packed = &mut scratch[..k_block * padded];
                // SAFETY: the CPU level was checked by the caller of the kernel.
                unsafe { pack_panel::<V>(&b, [shared, k_block], [column, width, padded], packed, zero) };
                (&*packed, padded)
            } else if k_block == 0 {
                (b.data, 0)
            } else {
                (&b.data[shared * b.row_stride + column..], b.row_stride)
            };
            // SAFETY: the CPU level was checked by the caller of the kernel; `a` and `c` were measured above;
            // `source` holds `k_block` rows of `padded` (packed) or `width` (in place) numbers.
            unsafe {
                let panel = Panel {
                    k: k_block,
                    a: a.data.as_ptr().wrapping_add(shared * a.column_stride),
                    a_row: a.row_stride,
                    a_column: a.column_stride,
                    b: source.as_ptr(),
                    b_row: row_stride,
                    c: c.as_mut_ptr().wrapping_add(column),
                    c_row,
                    start: match begin {
                        Start::Zero => std::ptr::null(),
                        Start::Bias(bias) | Start::BiasRelu(bias) => bias.as_ptr().wrapping_add(column),
                        Start::Add => c.as_ptr().wrapping_add(column),
                    },
                    start_row: if matches!(begin, Start::Add) { c_row } else { 0 },
                    tail: width - (padded - V::LANES),
                    relu: relu && shared + k_block == k,
                    zero,
                };
                // What is wider than a panel can be is not compiled.
                match (padded / V::LANES, pack) {
                    (4, true) if const { V::PANEL > 3 } => V::rows::<4, true>(&panel, m),
                    (4, false) if const { V::PANEL > 3 } => V::rows::<4, false>(&panel, m),
                    (3, true) if const { V::PANEL > 2 } => V::rows::<3, true>(&panel, m),
                    (3, false) if const { V::PANEL > 2 } => V::rows::<3, false>(&panel, m),
                    (2, true) => V::rows::<2, true>(&panel, m),
                    (2, false) => V::rows::<2, false>(&panel, m),
                    (_, true) => V::rows::<1, true>(&panel, m),
                    (_, false) => V::rows::<1, false>(&panel, m),
                }
            }
        }
        shared += k_block;
        if shared >= k {
            return;
        }
    }
}

/// to (columns×rows) = the transpose of from (rows×columns), both stored row after row.
#[inline(always)]
pub(crate) fn transpose<V: Vector>([rows, columns]: [usize; 2], from: &[V::Element], to: &mut [V::Element]) {
    let square = V::SQUARE;
    assert!(from.len() >= rows * columns && to.len() >= rows * columns, "a matrix is shorter than its shape");
    if rows < square || columns < square {
        for r in 0..rows {
            for c in 0..columns {
                to[c * rows + r] = from[r * columns + c];
            }
        }
        return;
    }
    // The last squares overlap those before them, so that no rest is left over.
    for r in (0..rows).step_by(square).map(|r| r.min(rows - square)) {
        for c in (0..columns).step_by(square).map(|c| c.min(columns - square)) {
            // SAFETY: the CPU level was checked by the caller of the kernel; both squares are inside.
            unsafe {
                let (from, to) = (from.as_ptr().add(r * columns + c), to.as_mut_ptr().add(c * rows + r));
                V::transpose(from, columns, to, rows);
            }
        }
    }
}

/// One panel of C: up to [`Vector::PANEL`] registers wide, all rows high.
pub(crate) struct Panel<T> {
    k: usize,
    a: *const T,
    a_row: usize,
    a_column: usize,
    b: *const T,
    b_row: usize,
    c: *mut T,
    c_row: usize,
    /// What the sums begin with; null for zero.
    start: *const T,
    start_row: usize,
    /// How many lanes of the last register are in use.
    tail: usize,
    /// Whether what is below 0 becomes 0 in the end.
    relu: bool,
    zero: T,
}

impl<T: Copy> Panel<T> {
    /// The first `m` rows of the panel.
    ///
    /// # Safety
    /// The pointers are valid for `m` rows, `NR` registers less the unused lanes, and `k` steps.
    #[inline(always)]
    pub(crate) unsafe fn rows<V: Vector<Element = T>, const NR: usize, const PACKED: bool>(&self, m: usize) {
        unsafe {
            let mut row = 0;
            while row < m {
                let left = m - row;
                // Eight rows are two tiles of four: a rest of two would leave the multipliers waiting.
                row += if const { NR == 1 } && left >= 12 {
                    // A narrow tile needs more rows to keep the multipliers busy.
                    self.tile::<V, 12, NR, PACKED>(row)
                } else if left >= 6 && left != 8 {
                    self.tile::<V, 6, NR, PACKED>(row)
                } else if left == 5 {
                    self.tile::<V, 5, NR, PACKED>(row)
                } else if left >= 4 {
                    self.tile::<V, 4, NR, PACKED>(row)
                } else if left == 3 {
                    self.tile::<V, 3, NR, PACKED>(row)
                } else if left == 2 {
                    self.tile::<V, 2, NR, PACKED>(row)
                } else {
                    self.tile::<V, 1, NR, PACKED>(row)
                };
            }
        }
    }

    /// `R` registers of rows of four columns from `row` on.
    #[inline(always)]
    unsafe fn quads_of<V: Vector<Element = T>, const R: usize>(&self, row: usize) -> usize {
        unsafe {
            let mut sums = [V::splat(self.zero); R];
            if !self.start.is_null() {
                for (r, sum) in sums.iter_mut().enumerate() {
                    let from = self.start.add((row + r * V::QUADS) * self.start_row);
                    *sum = V::load_quads(from, self.start_row);
                }
            }
            let a = self.a.add(row * self.a_row);
            // Four steps of the shared dimension at once; the last four overlap those before them.
            let mut step = 0;
            while step < self.k {
                let first = step.min(self.k - 4);
                let mut factors = [V::splat(self.zero); R];
                for (r, factor) in factors.iter_mut().enumerate() {
                    *factor = V::load_quads(a.add(r * V::QUADS * self.a_row + first), self.a_row);
                }
                let b = self.b.add(first * self.b_row);
                let done = step - first;
                if done == 0 {
                    let row = V::splat_quad(b);
                    for (sum, factor) in sums.iter_mut().zip(factors) {
                        *sum = factor.splat_in_quads::<0>().mul_add(row, *sum);
                    }
                }
                if done <= 1 {
                    let row = V::splat_quad(b.add(self.b_row));
                    for (sum, factor) in sums.iter_mut().zip(factors) {
                        *sum = factor.splat_in_quads::<1>().mul_add(row, *sum);
                    }
                }
                if done <= 2 {
                    let row = V::splat_quad(b.add(2 * self.b_row));
                    for (sum, factor) in sums.iter_mut().zip(factors) {
                        *sum = factor.splat_in_quads::<2>().mul_add(row, *sum);
                    }
                }
                let row = V::splat_quad(b.add(3 * self.b_row));
                for (sum, factor) in sums.iter_mut().zip(factors) {
                    *sum = factor.splat_in_quads::<3>().mul_add(row, *sum);
                }
                step = first + 4;
            }
            if self.relu {
                for sum in &mut sums {
                    *sum = sum.relu();
                }
            }
            for (r, sum) in sums.iter().enumerate() {
                sum.store_quads(self.c.add((row + r * V::QUADS) * self.c_row), self.c_row);
            }
            R * V::QUADS
        }
    }

    /// `MR` rows of the panel from `row` on; returns how many that were.
    #[inline(always)]
    unsafe fn tile<V: Vector<Element = T>, const MR: usize, const NR: usize, const PACKED: bool>(
        &self,
        row: usize,
    ) -> usize {
        unsafe {
            let mut sums = [[V::splat(self.zero); NR]; MR];
            if !self.start.is_null() {
                for (i, row_sums) in sums.iter_mut().enumerate() {
                    let from = self.start.add((row + i) * self.start_row);
                    for (j, sum) in row_sums.iter_mut().enumerate() {
                        *sum = if j == NR - 1 {
                            V::load_partial(from.add(j * V::LANES), self.tail)
                        } else {
                            V::load(from.add(j * V::LANES))
                        };
                    }
                }
            }
            // With k = 0 there are no numbers to point at.
            let mut a = self.a.wrapping_add(row * self.a_row);
            let mut b = self.b;
            for _ in 0..self.k {
                let mut columns = [V::splat(self.zero); NR];
                for (j, column) in columns.iter_mut().enumerate() {
                    // Packed panels are padded with zeros; in place, the last register may end beyond the row.
                    *column = if !PACKED && j == NR - 1 {
                        V::load_partial(b.add(j * V::LANES), self.tail)
                    } else {
                        V::load(b.add(j * V::LANES))
                    };
                }
                for (i, row_sums) in sums.iter_mut().enumerate() {
                    let factor = V::splat(*a.add(i * self.a_row));
                    for (sum, column) in row_sums.iter_mut().zip(columns) {
                        *sum = factor.mul_add(column, *sum);
                    }
                }
                a = a.wrapping_add(self.a_column);
                b = b.wrapping_add(self.b_row);
            }
            if self.relu {
                for row_sums in &mut sums {
                    for sum in row_sums {
                        *sum = sum.relu();
                    }
                }
            }
            for (i, row_sums) in sums.iter().enumerate() {
                let to = self.c.add((row + i) * self.c_row);
                for (j, sum) in row_sums.iter().enumerate() {
                    if j == NR - 1 {
                        sum.store_partial(to.add(j * V::LANES), self.tail);
                    } else {
                        sum.store(to.add(j * V::LANES));
                    }
                }
            }
            MR
        }
    }
}

/// Copies `width` columns of B into `packed`, row after row, padded with zeros to `padded` columns.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn pack_panel<V: Vector>(
    b: &Matrix<V::Element>,
    [shared, k]: [usize; 2],
    [column, width, padded]: [usize; 3],
    packed: &mut [V::Element],
    zero: V::Element,
) {
    if b.column_stride == 1 {
        for (r, to) in packed.chunks_exact_mut(padded).enumerate() {
            let from = (shared + r) * b.row_stride + column;
            to[..width].copy_from_slice(&b.data[from..from + width]);
            to[width..].fill(zero);
        }
    } else if b.row_stride == 1 {
        // SAFETY: as for this function.
        unsafe { transpose_panel::<V>(b, [shared, k], [column, width, padded], packed, zero) };
    } else {
        for (r, to) in packed.chunks_exact_mut(padded).enumerate() {
            for (c, to) in to.iter_mut().enumerate() {
                *to = if c < width {
                    b.data[(shared + r) * b.row_stride + (column + c) * b.column_stride]
                } else {
                    zero
                };
            }
        }
    }
}

/// [`pack_panel`] of a matrix whose columns are contiguous, a square at a time.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn transpose_panel<V: Vector>(
    b: &Matrix<V::Element>,
    [shared, k]: [usize; 2],
    [column, width, padded]: [usize; 3],
    packed: &mut [V::Element],
    zero: V::Element,
) {
    let at = |r: usize, c: usize| (column + c) * b.column_stride + shared + r;
    let square = V::SQUARE;
    let (k_whole, width_whole) = (k - k % square, width - width % square);
    for c in (0..width_whole).step_by(square) {
        let last = at(k_whole, c + square - 1);
        assert!(last <= b.data.len() && packed.len() >= k * padded);
        for r in (0..k_whole).step_by(square) {
            // SAFETY: the whole square ends before `last`, and inside `packed`: both checked above.
            unsafe {
                let from = b.data.as_ptr().add(at(r, c));
                V::transpose(from, b.column_stride, packed.as_mut_ptr().add(r * padded + c), padded);
            }
        }
    }
    for r in 0..k {
        let from = if r < k_whole { width_whole } else { 0 };
        for c in from..padded {
            packed[r * padded + c] = if c < width { b.data[at(r, c)] } else { zero };
        }
    }
}
