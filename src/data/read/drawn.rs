//! A table of which no more is held than memory allows: all of its rows, or some that the seed draws.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::raw::{Cells, RawTable, Text};
use super::{ReadOptions, Reading, TableReader};
use crate::Result;
use crate::random::{Purpose, Stream};

/// However little memory there is, so many rows are held.
const FEWEST_ROWS: usize = 1_000;

/// Rows of a table that was read to its end.
#[derive(Debug)]
pub struct DrawnTable {
    /// The rows that are held, in their order.
    pub raw: RawTable,
    /// Their places in the table, where they are not all of it.
    pub rows: Option<Vec<usize>>,
    /// How many rows the table has.
    pub n_rows: usize,
}

/// Reads a table block by block, shows each block to `look`, and holds all rows while `bytes` says that they take at
/// most `most`; else as many of them, drawn by the seed, each with the same chance.
///
/// Every row gets a random number, in its turn; held are those with numbers below a bound, which comes down by an eighth
/// each time that they become too many. So the rows depend on the table, `most` and the seed alone.
pub fn read_drawn(
    sources: &[PathBuf],
    options: &ReadOptions,
    most: Option<f64>,
    bytes: impl Fn(&RawTable) -> f64,
    seed: u64,
    mut look: impl FnMut(&RawTable) -> Result<()>,
) -> Result<DrawnTable> {
    let mut reader = TableReader::open(sources, options)?;
    let mut stream = Stream::new(seed, Purpose::Profile, 1);
    let mut table: Option<RawTable> = None;
    let (mut rows, mut keys): (Vec<usize>, Vec<u32>) = (Vec::new(), Vec::new());
    let (mut bound, mut held) = (None, 0.0);
    while let Some(mut block) = reader.next_block()? {
        look(&block)?;
        let drawn: Vec<u32> = (0..block.n_rows()).map(|_| stream.next_u32()).collect();
        let keeps = |key: u32| bound.is_none_or(|bound| key < bound);
        let kept = (block.first_row()..).zip(&drawn).filter(|(_, key)| keeps(**key));
        for (row, key) in kept {
            rows.push(row);
            keys.push(*key);
        }
        if bound.is_some() {
            block.keep(&drawn.into_iter().map(keeps).collect::<Vec<_>>());
        }
        held += bytes(&block);
        match &mut table {
            None => table = Some(block),
            Some(table) => table.append(block)?,
        }
        let Some(table) = &mut table else { continue };
        while most.is_some_and(|most| held > most) && keys.len() > FEWEST_ROWS {
            // An eighth at a time: what is left at the end is near to what there is room for.
            let next = keys.len() * 7 / 8;
            let below = *keys.clone().select_nth_unstable(next).1;
            let keep: Vec<bool> = keys.iter().map(|key| *key < below).collect();
            bound = Some(below);
            table.keep(&keep);
            let mut kept = keep.iter();
            rows.retain(|_| kept.next() == Some(&true));
            keys.retain(|key| *key < below);
            held = bytes(table);
        }
    }
    let mut raw = table.unwrap_or_default();
    let Reading { sha256, n_rows, skipped, reading } = reader.finish();
    (raw.sha256, raw.skipped, raw.reading) = (sha256, skipped, reading);
    Ok(DrawnTable { raw, rows: bound.map(|_| rows), n_rows })
}

impl RawTable {
    /// Leaves out the rows that are not to be kept.
    fn keep(&mut self, keep: &[bool]) {
        for column in &mut self.columns {
            column.cells.keep(keep);
        }
        retain(&mut self.lines, keep);
        // The place of each file's first row among those that are left.
        for (first, _) in &mut self.files {
            *first = keep[..*first].iter().filter(|keep| **keep).count();
        }
        self.n_rows = keep.iter().filter(|keep| **keep).count();
    }
}

impl Cells {
    fn keep(&mut self, keep: &[bool]) {
        match self {
            Self::Text(text) => text.keep(keep),
            Self::Coded { codes, .. } => retain(codes, keep),
            Self::Numbers { values, text } | Self::Days { values, text } => {
                retain(values, keep);
                if let Some(mut texts) = std::mem::replace(text, OnceLock::new()).into_inner() {
                    texts.keep(keep);
                    *text = texts.into();
                }
            }
            Self::Foreign { .. } => {}
        }
    }
}

impl Text {
    fn keep(&mut self, keep: &[bool]) {
        let mut kept = Self::with_capacity(keep.iter().filter(|keep| **keep).count());
        let mut start = 0;
        for (row, &end) in self.ends.iter().enumerate() {
            if keep[row] {
                kept.joined.push_str(&self.joined[start as usize..end as usize]);
                kept.ends.push(kept.joined.len() as u32);
                kept.missing.push(self.missing[row]);
            }
            start = end;
        }
        *self = kept;
    }
}

/// Leaves out what is not to be kept, and the memory that it took.
fn retain<T>(all: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    all.retain(|_| keep.next() == Some(&true));
    all.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::data::read::read_table;

    fn options() -> ReadOptions {
        ReadOptions::default()
    }

    #[test]
    fn rows_are_drawn_evenly_by_the_seed_and_are_what_they_were() {
        let folder = tempfile::tempdir().unwrap();
        for (name, rows) in [("a.csv", 0..30_000), ("b.csv", 30_000..40_000)] {
            let mut text = "i,word,x\n".to_owned();
            for i in rows {
                let word = if i % 7 == 0 { String::new() } else { format!("w{}", i % 90) };
                writeln!(
                    text,
                    "{i},{word},{}",
                    if i % 11 == 0 { "odd".into() } else { format!("{}.5", i % 13) }
                )
                .unwrap();
            }
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let sources = [folder.path().to_owned()];
        let drawn = |most: Option<f64>, seed| {
            let mut looked = 0;
            let look = |block: &RawTable| {
                looked += block.n_rows();
                Ok(())
            };
            let drawn = read_drawn(&sources, &options(), most, |t| t.n_rows() as f64, seed, look).unwrap();
            assert_eq!((looked, drawn.n_rows), (40_000, 40_000));
            drawn
        };
        let whole = read_table(&sources, &options()).unwrap();
        let all = drawn(None, 0);
        assert!(all.rows.is_none() && all.raw.n_rows() == 40_000 && all.raw.sha256 == whole.sha256);
        let some = drawn(Some(5_000.0), 0);
        let rows = some.rows.unwrap();
        assert_eq!(rows.len(), some.raw.n_rows());
        assert!((4_300..=5_000).contains(&rows.len()), "{}", rows.len());
        for (i, &row) in rows.iter().enumerate() {
            for column in 0..3 {
                assert_eq!(some.raw.value(i, column), whole.value(row, column));
            }
            assert_eq!(some.raw.line(i), whole.line(row));
            // Rows of the second file are still of it.
            assert_eq!(some.raw.row_place(i).contains("b.csv"), row >= 30_000);
        }
        // Of each tenth of the table about a tenth.
        for tenth in 0..10 {
            let n = rows.iter().filter(|row| **row / 4_000 == tenth).count() as f64;
            let expected = rows.len() as f64 / 10.0;
            assert!((n - expected).abs() < 5.0 * expected.sqrt(), "{n} of {expected}");
        }
        assert_eq!(drawn(Some(5_000.0), 0).rows.unwrap(), rows);
        assert_ne!(drawn(Some(5_000.0), 1).rows.unwrap(), rows);
        // However little there is.
        let few = drawn(Some(1.0), 0).rows.unwrap().len();
        assert!((800..=FEWEST_ROWS).contains(&few), "{few}");
    }
}
