//! What every fuzz target asks of a table: read in memory, again, and block by block, it is the same or refused alike, and
//! what is inferred of it can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use statera::data::{
    ColumnData, Inference, RawTable, ReadOptions, Table, TableReader, Wanted, read_table,
};

/// Rows of which every cell is compared.
const MOST_COMPARED: usize = 10_000;

/// libFuzzer takes any panic for a crash: those that are told as damage of the file are none.
pub fn spare_guarded() {
    let crash = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !statera::data::read::is_guarded() {
            crash(info);
        }
    }));
}

/// The bytes as a file of this process; nothing where the disk refuses it.
pub fn file_of(bytes: &[u8], end: &str) -> Option<PathBuf> {
    let path = std::env::temp_dir().join(format!("statera-fuzz-{}.{end}", std::process::id()));
    std::fs::write(&path, bytes).ok()?;
    Some(path)
}

/// Reads a table in every way, with what is known of its columns.
pub fn check(source: PathBuf, options: &ReadOptions, known: &BTreeMap<String, Wanted>) {
    let sources = [source];
    let blocks = blocks_of(&sources, options);
    let (whole, blocks) = match (read_table(&sources, options), blocks) {
        (Ok(whole), Ok(blocks)) => (whole, blocks),
        (Err(whole), Err(blocks)) => {
            let told = whole.to_string();
            assert!(told.contains("\n  try: "), "{told}");
            assert_eq!(told, blocks.to_string());
            return;
        }
        // Texts of more than a table in memory can hold are read block by block.
        (Err(whole), Ok(_)) if whole.to_string().contains("4 GiB of text") => return,
        (whole, blocks) => panic!("{:?} in memory, {:?} in blocks", whole.map(|_| ()), blocks.map(|_| ())),
    };
    assert!(whole.n_rows() > 0);
    assert_eq!(blocks.iter().map(RawTable::n_rows).sum::<usize>(), whole.n_rows());
    same(&whole, &read_table(&sources, options).expect("it was read before"), 0);
    let mut first = 0;
    for block in &blocks {
        same(&whole, block, first);
        first += block.n_rows();
    }
    let Some(schema) = inferred(&whole, std::slice::from_ref(&whole), known) else {
        assert!(inferred(&blocks[0], &blocks, known).is_none(), "in memory it is refused, in blocks it is not");
        return;
    };
    let in_blocks = inferred(&blocks[0], &blocks, known).expect("in memory it is inferred");
    let kinds = |schema: &statera::data::Schema| {
        schema.columns.iter().map(|c| (c.kind, c.format, c.dropped.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&schema), kinds(&in_blocks));
    assert_eq!(schema.columns.len(), whole.n_columns());
    let table = Table::from_raw(&whole, &schema).expect("the columns are those of the schema");
    assert_eq!(table.n_rows(), whole.n_rows());
    assert!(table.notes().is_empty(), "a cell does not fit what was inferred from it: {:?}", table.notes());
    for column in table.columns() {
        if let ColumnData::Number(x) | ColumnData::Date(x) = &column.data {
            assert!(x.iter().all(|x| !x.is_infinite()), "{} is infinite", column.name);
        }
    }
}

fn blocks_of(sources: &[PathBuf], options: &ReadOptions) -> statera::Result<Vec<RawTable>> {
    let mut reader = TableReader::open(sources, options)?;
    let mut blocks = Vec::new();
    while let Some(block) = reader.next_block()? {
        blocks.push(block);
    }
    Ok(blocks)
}

fn inferred(
    first: &RawTable,
    blocks: &[RawTable],
    known: &BTreeMap<String, Wanted>,
) -> Option<statera::data::Schema> {
    let mut inference = Inference::new(first, known, &BTreeSet::new()).ok()?;
    blocks.iter().for_each(|block| inference.add(block));
    inference.finish().ok()
}

/// Whether the rows of `block` are those of `whole` from row `first` on.
fn same(whole: &RawTable, block: &RawTable, first: usize) {
    assert!(whole.names().eq(block.names()));
    for column in 0..whole.n_columns() {
        assert_eq!(block.values(column).count(), block.n_rows());
        for row in 0..block.n_rows().min(MOST_COMPARED) {
            assert_eq!(whole.value(first + row, column), block.value(row, column), "row {row}, column {column}");
        }
    }
}
