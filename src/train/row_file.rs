//! Prepared rows in a file, row after row, to be learned from without being held in memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use statera_kernels::Scalar;

use super::rows::{OwnedTargets, Rows};
use crate::checked_file::{Seal, SealedWriter};
use crate::error::{Error, Result};

/// How a row lies in a file: its inputs, its target, then its weight if it has one, each with the lowest byte first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowLayout {
    /// Inputs of a row.
    pub n_inputs: usize,
    /// Bytes of a number: 4 in single precision, 8 in double.
    pub number_bytes: usize,
    /// Whether the target is the index of a class, in four bytes.
    pub classes: bool,
    /// Whether rows have weights.
    pub weighted: bool,
}

impl RowLayout {
    /// The layout of rows like these.
    pub fn of<T: Scalar>(rows: &Rows<T>, n_inputs: usize) -> Self {
        let (classes, weighted) = match rows.targets {
            OwnedTargets::Values(_) => (false, false),
            OwnedTargets::WeightedValues(..) => (false, true),
            OwnedTargets::Classes(_) => (true, false),
            OwnedTargets::WeightedClasses(..) | OwnedTargets::MixedClasses(..) => (true, true),
        };
        Self { n_inputs, number_bytes: size_of::<T>(), classes, weighted }
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        let target = if self.classes { 4 } else { self.number_bytes };
        self.n_inputs * self.number_bytes + target + usize::from(self.weighted) * self.number_bytes
    }

    /// No rows, with memory for `n_rows` of this kind.
    pub(super) fn rows<T: Scalar>(&self, n_rows: usize) -> Rows<T> {
        let numbers = || Vec::with_capacity(n_rows);
        let targets = match (self.classes, self.weighted) {
            (false, false) => OwnedTargets::Values(numbers()),
            (false, true) => OwnedTargets::WeightedValues(numbers(), numbers()),
            (true, false) => OwnedTargets::Classes(Vec::with_capacity(n_rows)),
            (true, true) => OwnedTargets::WeightedClasses(Vec::with_capacity(n_rows), numbers()),
        };
        Rows { x: Vec::with_capacity(n_rows * self.n_inputs), targets }
    }
}

/// Writes rows to a file.
#[derive(Debug)]
pub struct RowWriter {
    layout: RowLayout,
    file: SealedWriter,
    n_rows: usize,
    bytes: Vec<u8>,
}

impl RowWriter {
    /// A new file at `path` of rows of this layout.
    pub fn create(path: &Path, layout: RowLayout) -> Result<Self> {
        Ok(Self { layout, file: SealedWriter::create(path)?, n_rows: 0, bytes: Vec::new() })
    }

    /// Appends rows.
    ///
    /// # Panics
    /// When they are not of the layout.
    pub fn append<T: Scalar>(&mut self, rows: &Rows<T>) -> Result<()> {
        assert_eq!(self.layout, RowLayout::of(rows, self.layout.n_inputs), "rows of one file are alike");
        let (target, weights) = rows.targets.view().parted();
        for (row, x) in rows.x.chunks_exact(self.layout.n_inputs).enumerate() {
            self.bytes.clear();
            x.iter().for_each(|&x| push(x, &mut self.bytes));
            match target {
                crate::nn::Targets::Classes(classes) => self.bytes.extend(classes[row].to_le_bytes()),
                crate::nn::Targets::Values(values) => push(values[row], &mut self.bytes),
                _ => unreachable!("the weights are taken off, and rows of a table are not mixed"),
            }
            weights.iter().for_each(|weights| push(weights[row], &mut self.bytes));
            self.file.write(&self.bytes)?;
        }
        self.n_rows += rows.len();
        Ok(())
    }

    /// How many rows there are, and what their file has to hold.
    pub fn finish(self) -> Result<(usize, Seal)> {
        Ok((self.n_rows, self.file.finish()?))
    }
}

fn push<T: Scalar>(x: T, bytes: &mut Vec<u8>) {
    if size_of::<T>() == 4 {
        bytes.extend((x.to_f64() as f32).to_le_bytes());
    } else {
        bytes.extend(x.to_f64().to_le_bytes());
    }
}

/// A file of rows.
#[derive(Debug, Clone)]
pub struct RowFile {
    path: PathBuf,
    layout: RowLayout,
    n_rows: usize,
}

impl RowFile {
    /// The `n_rows` rows of this layout in the file at `path`, which a [`RowWriter`] has written.
    pub fn new(path: PathBuf, layout: RowLayout, n_rows: usize) -> Self {
        Self { path, layout, n_rows }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.n_rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.n_rows == 0
    }

    /// How a row lies in it.
    pub fn layout(&self) -> RowLayout {
        self.layout
    }

    /// Opens the file to read from it.
    pub(super) fn reader(&self) -> Result<RowReader> {
        let file = File::open(&self.path).map_err(|e| Error::io("read", &self.path, e))?;
        Ok(RowReader { of: self.clone(), file, bytes: Vec::new() })
    }

    /// The rows numbered `order`, one by one.
    pub fn picked<T: Scalar>(&self, order: &[u32]) -> Result<Rows<T>> {
        let mut rows = self.layout.rows(order.len());
        let mut reader = self.reader()?;
        order.iter().try_for_each(|&row| reader.append(row as usize..row as usize + 1, &mut rows))?;
        Ok(rows)
    }

    /// Rows that stand next to each other.
    ///
    /// # Panics
    /// When the range goes beyond the rows.
    pub fn stretch<T: Scalar>(&self, range: Range<usize>) -> Result<Rows<T>> {
        let mut rows = self.layout.rows(range.len());
        self.reader()?.append(range, &mut rows)?;
        Ok(rows)
    }
}

/// Reads rows of a file, with memory that is used again.
#[derive(Debug)]
pub(super) struct RowReader {
    of: RowFile,
    file: File,
    bytes: Vec<u8>,
}

impl RowReader {
    /// Appends the rows of `range` to `rows`.
    ///
    /// # Panics
    /// When the range goes beyond the rows, or when the numbers are of another precision.
    pub(super) fn append<T: Scalar>(&mut self, range: Range<usize>, rows: &mut Rows<T>) -> Result<()> {
        let (layout, row_bytes) = (self.of.layout, self.of.layout.row_bytes());
        assert!(
            range.end <= self.of.n_rows && layout.number_bytes == size_of::<T>(),
            "{range:?} of {layout:?}"
        );
        self.bytes.resize(range.len() * row_bytes, 0);
        let failed = |source| Error::io("read", &self.of.path, source);
        self.file.seek(SeekFrom::Start((range.start * row_bytes) as u64)).map_err(failed)?;
        self.file.read_exact(&mut self.bytes).map_err(failed)?;
        let inputs = layout.n_inputs * layout.number_bytes;
        for row in self.bytes.chunks_exact(row_bytes) {
            let (x, rest) = row.split_at(inputs);
            pull(x, &mut rows.x);
            match &mut rows.targets {
                OwnedTargets::Values(values) => pull(rest, values),
                OwnedTargets::Classes(classes) => classes.push(class(rest)),
                OwnedTargets::WeightedValues(values, weights) => {
                    let (value, weight) = rest.split_at(layout.number_bytes);
                    pull(value, values);
                    pull(weight, weights);
                }
                OwnedTargets::WeightedClasses(classes, weights) => {
                    classes.push(class(rest));
                    pull(&rest[4..], weights);
                }
                OwnedTargets::MixedClasses(..) => unreachable!("rows of a table are not mixed"),
            }
        }
        Ok(())
    }
}

/// Appends the numbers that these bytes stand for.
fn pull<T: Scalar>(bytes: &[u8], to: &mut Vec<T>) {
    if size_of::<T>() == 4 {
        to.extend(bytes.as_chunks::<4>().0.iter().map(|b| T::from_f64(f64::from(f32::from_le_bytes(*b)))));
    } else {
        to.extend(bytes.as_chunks::<8>().0.iter().map(|b| T::from_f64(f64::from_le_bytes(*b))));
    }
}

fn class(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b))
}

impl<T: Scalar> Rows<T> {
    /// Takes the rows out, and keeps their memory.
    pub(super) fn clear(&mut self) {
        self.x.clear();
        match &mut self.targets {
            OwnedTargets::Values(values) => values.clear(),
            OwnedTargets::Classes(classes) => classes.clear(),
            OwnedTargets::WeightedValues(values, weights) => {
                values.clear();
                weights.clear();
            }
            OwnedTargets::WeightedClasses(classes, weights) => {
                classes.clear();
                weights.clear();
            }
            OwnedTargets::MixedClasses(classes, weights) => {
                classes.iter_mut().for_each(Vec::clear);
                weights.iter_mut().for_each(Vec::clear);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Scalar>(targets: OwnedTargets<T>) {
        let rows = Rows { x: (0..35).map(|i| T::from_f64(f64::from(i) / 3.0)).collect(), targets };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.rows");
        let layout = RowLayout::of(&rows, 5);
        let mut writer = RowWriter::create(&path, layout).unwrap();
        for order in [&[0, 1, 2][..], &[3, 4, 5, 6]] {
            writer.append(&rows.picked(order, 5)).unwrap();
        }
        let (n_rows, seal) = writer.finish().unwrap();
        assert_eq!((n_rows, seal.n_bytes), (7, 7 * layout.row_bytes() as u64));
        let file = RowFile::new(path, layout, n_rows);
        let debug = |rows: &Rows<T>| format!("{rows:?}");
        assert_eq!(debug(&file.stretch(0..7).unwrap()), debug(&rows));
        assert_eq!(debug(&file.picked(&[6, 0, 3]).unwrap()), debug(&rows.picked(&[6, 0, 3], 5)));
        let mut again = file.stretch(2..4).unwrap();
        again.clear();
        file.reader().unwrap().append(0..7, &mut again).unwrap();
        assert_eq!(debug(&again), debug(&rows));
    }

    #[test]
    fn rows_come_back_to_the_bit() {
        let weights = || vec![0.5, 1.0, 1.0 / 3.0, 0.0, 2.0, 3.0, 4.0];
        let values = || OwnedTargets::Values((0..7).map(|i| f64::from(i) / 7.0).collect());
        check(values());
        check(values().weighted(weights()));
        check(OwnedTargets::<f64>::Classes(vec![0, 1, 2, 70_000, 4, 5, 6]));
        let single = |numbers: Vec<f64>| numbers.into_iter().map(|x| x as f32).collect::<Vec<_>>();
        check(OwnedTargets::Values(single(weights())));
        check(OwnedTargets::Classes(vec![6, 5, 4, 3, 2, 1, 0]).weighted(single(weights())));
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        std::fs::write(&path, [0; 20]).unwrap();
        let layout = RowLayout { n_inputs: 1, number_bytes: 4, classes: false, weighted: false };
        let file = RowFile::new(path, layout, 1000);
        assert_eq!(file.stretch::<f32>(0..2).unwrap().x, [0.0; 2]);
        assert!(file.stretch::<f32>(0..3).unwrap_err().to_string().contains("cannot read"));
    }
}
