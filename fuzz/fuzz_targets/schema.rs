//! Any text as a table whose columns are inferred and typed: nothing panics, and what is inferred can be read.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use statera::data::read::parse_csv;
use statera::data::{ReadOptions, Table, infer_schema};

fuzz_target!(init: spare_guarded(), |bytes: &[u8]| {
    let Ok(raw) = parse_csv(bytes, Path::new("t.csv"), &ReadOptions::default()) else { return };
    let Ok(schema) = infer_schema(&raw, &BTreeMap::new(), &BTreeSet::new()) else { return };
    assert_eq!(schema.columns.len(), raw.n_columns());
    let table = Table::from_raw(&raw, &schema).expect("the columns are those of the schema");
    assert_eq!(table.n_rows(), raw.n_rows());
    assert!(table.notes().is_empty(), "a cell does not fit what was inferred from it: {:?}", table.notes());
});

/// libFuzzer takes any panic for a crash: those that are told as damage of the file are none.
fn spare_guarded() {
    let crash = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !statera::data::read::is_guarded() {
            crash(info);
        }
    }));
}
