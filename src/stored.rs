//! How parameters stand in a model file: number by number, packed signs or compressed rows.
//!
//! A weight of the kind `binary` is stored as `….weight.signs` (U8, inputs × bytes of eight units, the lowest bit first, 1
//! for minus) and `….weight.scales` (units). One of the kind `sparse` is stored, where that takes fewer bytes, in
//! compressed rows: `….weight.values`, the inputs that they belong to in `….weight.columns`, rising within a unit, and
//! where each unit's begin in `….weight.starts` (units + 1); the latter two as U8, U16 or U32, the smallest that suffices.

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use statera_kernels::{Scalar, packed_row_len};

use crate::config::WeightKind;
use crate::nn::View;
use crate::nn::compact::{Compact, Rows, Signs};

/// So many numbers a file's layers may come to whatever its size.
const FREE_NUMBERS: usize = 1 << 22;
/// The most numbers of compressed rows for each byte of the file.
const NUMBERS_PER_BYTE: usize = 256;

/// The most numbers that the weights of a file of so many bytes may come to when they are written out.
pub(crate) fn most_numbers(n_bytes: usize) -> usize {
    FREE_NUMBERS.max(n_bytes.saturating_mul(NUMBERS_PER_BYTE))
}

/// A tensor of a file.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<u8>,
}

impl Stored {
    pub(crate) fn view(&self) -> Result<TensorView<'_>, safetensors::SafeTensorError> {
        TensorView::new(self.dtype, self.shape.clone(), &self.data)
    }
}

/// A number type of files.
pub(crate) trait Stores: Scalar {
    /// Its name.
    const DTYPE: Dtype;
    /// Writes the bytes of a number, the lowest first.
    fn write(self, to: &mut [u8]);
    /// The number of these bytes.
    fn from_bytes(bytes: &[u8]) -> Self;
}

impl Stores for f32 {
    const DTYPE: Dtype = Dtype::F32;
    fn write(self, to: &mut [u8]) {
        to.copy_from_slice(&self.to_le_bytes());
    }
    fn from_bytes(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().unwrap_or_default())
    }
}

impl Stores for f64 {
    const DTYPE: Dtype = Dtype::F64;
    fn write(self, to: &mut [u8]) {
        to.copy_from_slice(&self.to_le_bytes());
    }
    fn from_bytes(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().unwrap_or_default())
    }
}

/// These numbers in that shape.
pub(crate) fn numbers<T: Stores>(name: String, shape: &[usize], numbers: &[T]) -> Stored {
    let mut data = vec![0; size_of_val(numbers)];
    data.chunks_exact_mut(size_of::<T>()).zip(numbers).for_each(|(to, x)| x.write(to));
    Stored { name, dtype: T::DTYPE, shape: shape.to_vec(), data }
}

/// The smallest type of whole numbers that holds all below `bound`.
fn index_type(bound: usize) -> (Dtype, usize) {
    match bound {
        0..=0x100 => (Dtype::U8, 1),
        0x101..=0x1_0000 => (Dtype::U16, 2),
        _ => (Dtype::U32, 4),
    }
}

fn indices(name: String, bound: usize, indices: &[u32]) -> Stored {
    let (dtype, width) = index_type(bound);
    let data = indices.iter().flat_map(|i| i.to_le_bytes().into_iter().take(width)).collect();
    Stored { name, dtype, shape: vec![indices.len()], data }
}

/// The tensors of what `view` describes.
pub(crate) fn tensors<T: Stores>(view: &View, params: &[T]) -> Vec<Stored> {
    let name = |part: &str| format!("{}.{part}", view.name);
    let whole = || numbers(view.name.clone(), &view.shape, &params[view.range()]);
    match Compact::of(view, params) {
        None => vec![whole()],
        Some(Compact::Binary(signs)) => {
            let (i, o) = (view.shape[0], view.shape[1]);
            let rows = signs.bits.chunks_exact(packed_row_len(o));
            let data = rows.flat_map(|row| &row[..o.div_ceil(8)]).copied().collect();
            let signs_of =
                Stored { name: name("signs"), dtype: Dtype::U8, shape: vec![i, o.div_ceil(8)], data };
            vec![signs_of, numbers(name("scales"), &[o], &signs.scales)]
        }
        Some(Compact::Sparse(rows)) => {
            let n = rows.values.len();
            let parts = vec![
                indices(name("starts"), n + 1, &rows.starts),
                indices(name("columns"), view.shape[0], &rows.columns),
                numbers(name("values"), &[n], &rows.values),
            ];
            let n_bytes: usize = parts.iter().map(|part| part.data.len()).sum();
            let is_smaller = n_bytes < view.len() * size_of::<T>();
            if is_smaller && view.len() <= most_numbers(n_bytes) { parts } else { vec![whole()] }
        }
    }
}

/// The names of the tensors that `view` is stored as, of those that the file has; the first of them tells the form.
pub(crate) fn names(kind: Option<WeightKind>, name: &str, has: impl Fn(&str) -> bool) -> Vec<String> {
    let parts: &[&str] = match kind {
        Some(WeightKind::Binary) => &["signs", "scales"],
        Some(WeightKind::Sparse) if !has(name) => &["starts", "columns", "values"],
        _ => return vec![name.to_owned()],
    };
    parts.iter().map(|part| format!("{name}.{part}")).collect()
}

/// The tensors of what `view` describes in a file, their names behind `prefix`, of exactly the types and shapes that the
/// layers ask for; else what is wrong, in words. No memory is taken.
pub(crate) fn find<'f, T: Stores>(
    view: &View,
    prefix: &str,
    file: &'f SafeTensors,
) -> Result<Vec<TensorView<'f>>, String> {
    let names = names(view.kind(), &format!("{prefix}{}", view.name), |name| file.tensor(name).is_ok());
    let tensor = |name: &String| file.tensor(name).map_err(|_| format!("tensor `{name}` is missing"));
    let found = names.iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
    let wanted: Vec<(Dtype, Vec<usize>)> = match (&found[..], &view.shape[..]) {
        ([_, _], &[i, o]) => vec![(Dtype::U8, vec![i, o.div_ceil(8)]), (T::DTYPE, vec![o])],
        ([_, _, values], &[i, o]) => {
            let n = values.shape().iter().product::<usize>();
            vec![
                (index_type(n.saturating_add(1)).0, vec![o + 1]),
                (index_type(i).0, vec![n]),
                (T::DTYPE, vec![n]),
            ]
        }
        _ => vec![(T::DTYPE, view.shape.clone())],
    };
    for ((name, found), (dtype, shape)) in names.iter().zip(&found).zip(wanted) {
        if found.shape() != shape {
            return Err(format!("tensor `{name}`: expected shape {shape:?}, found {:?}", found.shape()));
        }
        if found.dtype() != dtype {
            return Err(match (dtype, found.dtype()) {
                (Dtype::F32, Dtype::F64) | (Dtype::F64, Dtype::F32) => {
                    format!("tensor `{name}` has another number type than the others")
                }
                (_, found) => format!("tensor `{name}`: expected numbers of type {dtype:?}, found {found:?}"),
            });
        }
    }
    Ok(found)
}

fn read_numbers<T: Stores>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(T::from_bytes).collect()
}

/// Adds the numbers of what `view` describes to `params`, out of the tensors that [`find`] found; else what is wrong with
/// them, in words.
pub(crate) fn read<T: Stores>(
    view: &View,
    tensors: &[TensorView],
    params: &mut Vec<T>,
) -> Result<(), String> {
    let first = params.len();
    match (tensors, &view.shape[..]) {
        ([signs, scales], &[i, o]) => {
            let (tight_len, tight) = (o.div_ceil(8), signs.data());
            let mut bits = vec![0; i * packed_row_len(o)];
            for (row, tight) in bits.chunks_exact_mut(packed_row_len(o)).zip(tight.chunks_exact(tight_len)) {
                row[..tight_len].copy_from_slice(tight);
                if o % 8 > 0 && tight[o / 8] >> (o % 8) > 0 {
                    return Err(format!("tensor `{}.signs` has signs beyond its {o} units", view.name));
                }
            }
            params.resize(first + view.len(), T::ZERO);
            Signs { scales: read_numbers(scales.data()), bits }.write(&mut params[first..]);
        }
        ([starts, columns, values], &[i, o]) => {
            let index =
                |bytes: &[u8]| bytes.iter().rev().fold(0, |index, byte| index << 8 | u32::from(*byte));
            let indices = |bytes: &[u8], bound: usize| -> Vec<u32> {
                bytes.chunks_exact(index_type(bound).1).map(index).collect()
            };
            let values = read_numbers(values.data());
            let n = values.len();
            let rows =
                Rows { starts: indices(starts.data(), n + 1), columns: indices(columns.data(), i), values };
            let rises = rows.starts.windows(2).all(|pair| pair[0] <= pair[1]);
            if !rises || rows.starts[0] != 0 || rows.starts[o] as usize != n {
                return Err(format!("tensor `{}.starts` does not rise from 0 to {n}", view.name));
            }
            for ends in rows.starts.windows(2) {
                let own = &rows.columns[ends[0] as usize..ends[1] as usize];
                let in_order = own.windows(2).all(|pair| pair[0] < pair[1]);
                if !in_order || own.last().is_some_and(|&last| last as usize >= i) {
                    return Err(format!(
                        "tensor `{}.columns` does not name inputs below {i} in their order",
                        view.name
                    ));
                }
            }
            params.resize(first + view.len(), T::ZERO);
            rows.write(&mut params[first..]);
        }
        _ => params.extend(read_numbers::<T>(tensors[0].data())),
    }
    Ok(())
}
