//! What the columns of a table on disk are by its training rows alone, where its cells were typed by all rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::columns::check_same;
use crate::config::{CellFormat, Config};
use crate::data::read::{Cells, RawTable, TableReader};
use crate::data::words::{column_setting, shown};
use crate::data::{
    Column, ColumnData, ColumnKind, ColumnSchema, Inference, ReadOptions, RowIdx, Schema, TrainRows, Wanted,
};
use crate::error::{Error, Result};

/// What a column that all rows made `of_all` is by its training rows; beside the column, whether a comma stands before
/// decimals in the table.
///
/// It may say nothing among them, and is dropped. Where it would be of another kind, the error asks what it is: its cells
/// were typed by all rows, so that held-out rows would have had a say.
pub(super) fn decided(
    config: &Config,
    of_all: &ColumnSchema,
    (column, decimal_comma): (&Column, bool),
    train: &TrainRows,
) -> Result<ColumnSchema> {
    let rows = train.rows();
    let numbers = |values: &[f64]| rows.iter().map(|&row| values[row as usize]).collect::<Vec<_>>();
    let cells = match &column.data {
        ColumnData::Number(values) => Cells::numbers(numbers(values)),
        ColumnData::Date(days) => Cells::days(numbers(days)),
        ColumnData::Category { codes, levels } => {
            let codes = rows.iter().map(|&row| codes[row as usize]).collect();
            Cells::Coded { codes, levels: levels.clone() }
        }
        ColumnData::Dropped => return Ok(of_all.clone()),
    };
    let part =
        RawTable::typed(rows.len(), vec![(column.name.clone(), cells)]).with_decimal_comma(decimal_comma);
    // How cells are written has been undone; what the user says of their meaning stands.
    let set = config.data.columns.get(&column.name);
    let kind = set.filter(|set| set.kind.is_some() || set.format.is_some() || set.levels.is_some());
    let wanted = Wanted { kind: kind.map(|_| of_all.kind), ..Wanted::default() };
    let wanted = BTreeMap::from([(column.name.clone(), wanted)]);
    let mut inference = Inference::new(&part, &wanted, &BTreeSet::new())?.of_training_cells();
    inference.add(&part);
    let found = inference.finish()?.columns.into_iter().next().unwrap_or_else(|| of_all.clone());
    if found.dropped.is_none() && found.kind != of_all.kind {
        return Err(disagree(&found, of_all));
    }
    let (format, null) = (of_all.format, of_all.null.clone());
    // Its cells stand there without the marks that the reason tells of.
    let reason =
        if format.is_some() && found.dropped.is_none() { of_all.reason.clone() } else { found.reason };
    Ok(ColumnSchema { format, null, reason, ..found })
}

/// The columns of which all rows say more than stands on disk: texts that seldom repeat, which are not there and might be
/// categories among training rows alone, and cells in a format that all rows show, of which training rows alone might show
/// none, or another.
pub(super) fn by_all_rows<'s>(config: &Config, schema: &'s Schema) -> Vec<&'s ColumnSchema> {
    let is_set = |c: &ColumnSchema| {
        config.data.columns.get(&c.name).is_some_and(|set| set.kind.is_some() || set.format.is_some())
    };
    let is_rare = |c: &ColumnSchema| {
        c.kind == ColumnKind::Text && c.dropped.as_deref() == Some(ColumnKind::Text.name())
    };
    let is_by_all =
        |c: &&ColumnSchema| !is_set(c) && (is_rare(c) || c.dropped.is_none() && c.format.is_some());
    schema.columns.iter().filter(is_by_all).collect()
}

/// Reads the files, whose checksum was `sha256`, again and refuses `columns` that are something else, or written otherwise,
/// by the training rows alone.
pub(super) fn check_by_all_rows(
    config: &Config,
    (sources, sha256): (&[PathBuf], &str),
    (columns, decimal_comma): (&[&ColumnSchema], bool),
    train: &TrainRows,
) -> Result<()> {
    let mut reader = TableReader::open(sources, &ReadOptions::of(&config.data))?;
    let mut left = train.rows();
    let (mut first, mut inference) = (0, None);
    while let Some(block) = reader.next_block()? {
        let (here, later) =
            left.split_at(left.partition_point(|&row| (row as usize) < first + block.n_rows()));
        let rows: Arc<[RowIdx]> = here.iter().map(|row| row - first as RowIdx).collect();
        (left, first) = (later, first + block.n_rows());
        let inference: &mut Inference = match &mut inference {
            Some(inference) => inference,
            none => {
                let asked = |name: &&str| columns.iter().any(|column| column.name == **name);
                let aside: BTreeSet<&str> = block.names().filter(|name| !asked(name)).collect();
                none.insert(Inference::new(&block, &BTreeMap::new(), &aside)?.of_training_cells())
            }
        };
        inference.add_rows(&block, &rows);
    }
    check_same(&reader.finish().sha256, sha256, sources)?;
    let found = inference.map(Inference::finish).transpose()?.map(|schema| schema.columns);
    for found in found.unwrap_or_default() {
        let Some(of_all) = columns.iter().find(|column| column.name == found.name) else { continue };
        // A column that says nothing among training rows is left out, however it is written.
        let says_nothing = found.dropped.as_ref().is_some_and(|_| found.kind == of_all.kind);
        // Plain cells are the same in the format that has the mark of the table.
        let own = of_all.format.and_then(CellFormat::decimal_comma) == Some(decimal_comma);
        let is_read_alike = found.format == of_all.format || found.format.is_none() && own;
        let is_same = found.kind == of_all.kind && found.dropped.is_some() == of_all.dropped.is_some();
        if !(says_nothing || is_same && is_read_alike) {
            return Err(disagree(&found, of_all));
        }
    }
    Ok(())
}

/// The error of a column of which held-out rows would have to say what it is.
fn disagree(found: &ColumnSchema, of_all: &ColumnSchema) -> Error {
    let what = |c: &ColumnSchema| match c.format {
        Some(format) => format!("{} of the format {format}", c.kind),
        None => c.kind.to_string(),
    };
    let set = |c: &ColumnSchema| match c.format {
        Some(format) => format!("--set {}", column_setting(&c.name, "format", &format.to_string())),
        None => format!("--set {}", column_setting(&c.name, "kind", c.kind.name())),
    };
    Error::data(
        format!(
            "column {}: among the training rows alone it is a {} ({}), together with held-out rows, which are to have no \
             say, a {}",
            shown(&found.name),
            what(found),
            found.reason,
            what(of_all)
        ),
        format!("say which: {}, or {}", set(of_all), set(found)),
    )
}
