//! What the rows of a file that packs them come to: a value that stands there once may be said to be that of every row.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;

use crate::data::words::{counted, thousands};
use crate::{Error, Result};

/// A table that is this many times larger than its file, and larger than a gigabyte, is refused.
const MOST_RATIO: u64 = 2_000;
const RATIO_FROM: u64 = 1 << 30;
/// Rows that come to more bytes than this are no single block.
const BLOCK_BYTES: u64 = 1 << 26;
/// Rows that are looked at together.
const PART: usize = 1 << 16;
/// What a cell comes to at least.
const CELL_BYTES: u64 = 8;

/// The bytes that the rows of a file have come to.
#[derive(Debug, Default)]
pub(super) struct Expansion {
    rows: u64,
    bytes: u64,
}

impl Expansion {
    /// Adds rows, and refuses a file that comes to too much; `file_bytes` is how large it is, or what of it was read.
    pub(super) fn add(&mut self, path: &Path, n_rows: usize, bytes: u64, file_bytes: u64) -> Result<()> {
        self.rows += n_rows as u64;
        self.bytes = self.bytes.saturating_add(bytes);
        check_ratio(path, self.rows, self.bytes, file_bytes)
    }
}

/// Refuses rows that take no room in a file, as such that repeat one value, and would in memory.
pub(super) fn check_ratio(path: &Path, n_rows: u64, bytes: u64, file_bytes: u64) -> Result<()> {
    if bytes <= RATIO_FROM || bytes / file_bytes.max(1) <= MOST_RATIO {
        return Ok(());
    }
    Err(Error::data(
        format!(
            "{}: {} say that they are {} of at least {}, over {} times as many",
            path.display(),
            counted(file_bytes as usize, "byte"),
            counted(n_rows as usize, "row"),
            counted(bytes as usize, "byte"),
            thousands(MOST_RATIO as usize)
        ),
        "if it is a table all the same, leave out columns that are constant, or write it as CSV",
    ))
}

/// The bytes that cells of these numbers of rows and columns come to at least.
pub(super) fn least_bytes(n_rows: usize, n_columns: usize) -> u64 {
    (n_rows as u64).saturating_mul(n_columns as u64).saturating_mul(CELL_BYTES)
}

/// The bytes that the rows of a batch come to, texts counted as often as they are said to stand there.
pub(super) fn bytes_of(batch: &RecordBatch) -> u64 {
    // In parts, since the keys of a dictionary are unpacked to be looked up.
    let parts =
        (0..batch.num_rows()).step_by(PART).map(|from| batch.slice(from, PART.min(batch.num_rows() - from)));
    let texts = |part: RecordBatch| -> u64 {
        let columns = part.columns().iter();
        columns.filter_map(|array| Some((0..array.len()).map(lengths(array.as_ref())?).sum::<u64>())).sum()
    };
    parts.map(texts).fold(least_bytes(batch.num_rows(), batch.num_columns()), u64::saturating_add)
}

/// How many rows of a batch, from the first on, make a block: fewer than `most` where they are long, and at least one.
pub(super) fn rows_of_block(batch: &RecordBatch, most: usize) -> usize {
    let most = most.min(batch.num_rows());
    let texts: Vec<_> = batch.columns().iter().filter_map(|array| lengths(array.as_ref())).collect();
    let mut bytes = 0;
    for row in 0..most {
        bytes += texts.iter().map(|length| length(row)).sum::<u64>();
        if bytes > BLOCK_BYTES {
            return row.max(1);
        }
    }
    most
}

/// How long the text of each row of an array is; nothing for arrays of other cells.
fn lengths(array: &dyn Array) -> Option<Box<dyn Fn(usize) -> u64 + '_>> {
    match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            Some(Box::new(|row| array.value_length(row).max(0) as u64))
        }
        DataType::LargeUtf8 => {
            let array = array.as_string::<i64>();
            Some(Box::new(|row| array.value_length(row).max(0) as u64))
        }
        // The first four bytes of a view are the length of its text.
        DataType::Utf8View => {
            let views = array.as_string_view().views();
            Some(Box::new(|row| u64::from(views[row] as u32)))
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let values = dictionary.values();
            let length = lengths(values.as_ref())?;
            let of_value: Vec<u64> = (0..values.len()).map(length).collect();
            let keys = if values.is_empty() { Vec::new() } else { dictionary.normalized_keys() };
            let length = move |row: usize| keys.get(row).and_then(|&key| of_value.get(key)).copied();
            // The key of a missing cell means nothing.
            Some(Box::new(move |row| length(row).filter(|_| array.is_valid(row)).unwrap_or(0)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int8Type;
    use arrow_array::{DictionaryArray, Int64Array, StringArray, StringViewArray};

    use super::*;

    #[test]
    fn texts_count_as_often_as_they_are_said_to_stand_there() {
        let words = [Some("a long word, longer than a view"), None, Some("b"), Some("b")];
        let batch = RecordBatch::try_from_iter([
            ("plain", Arc::new(StringArray::from(words.to_vec())) as Arc<dyn Array>),
            ("view", Arc::new(StringViewArray::from(words.to_vec())) as _),
            ("coded", Arc::new(words.iter().copied().collect::<DictionaryArray<Int8Type>>()) as _),
            ("x", Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as _),
        ])
        .unwrap();
        assert_eq!(bytes_of(&batch), 16 * 8 + 3 * 33);
        assert_eq!(bytes_of(&batch.slice(2, 2)), 8 * 8 + 3 * 2);
        assert_eq!(rows_of_block(&batch, 3), 3);
        let long = "x".repeat(1 << 25);
        let batch = RecordBatch::try_from_iter([(
            "long",
            Arc::new(std::iter::repeat_n(Some(long.as_str()), 9).collect::<DictionaryArray<Int8Type>>()) as _,
        )])
        .unwrap();
        assert_eq!(rows_of_block(&batch, 9), 2);
        let path = Path::new("t.arrow");
        let mut expansion = Expansion::default();
        assert!(expansion.add(path, 9, 1 << 30, 1_000).is_ok(), "a gigabyte is nothing to speak of");
        let error = expansion.add(path, 9, 1, 1_000).unwrap_err().to_string();
        assert!(
            error.contains("1,000 bytes say that they are 18 rows of at least 1,073,741,825 bytes"),
            "{error}"
        );
        assert!(expansion.add(path, 0, 0, 1 << 20).is_ok());
    }
}
