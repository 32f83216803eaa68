//! Any bytes as a table: text with delimiters, NDJSON, Arrow, packed or not. Nothing panics, and whatever is read has
//! as many cells as it says.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use statera::data::read::{BadRows, parse_csv};
use statera::data::ReadOptions;

fuzz_target!(init: spare_guarded(), |bytes: &[u8]| {
    for bad_rows in [BadRows::Refuse, BadRows::Skip] {
        let options = ReadOptions { bad_rows, ..ReadOptions::default() };
        match parse_csv(bytes, Path::new("t.csv"), &options) {
            Ok(table) => {
                assert!(table.n_rows() > 0);
                for column in 0..table.n_columns() {
                    assert_eq!(table.values(column).count(), table.n_rows());
                }
            }
            Err(error) => assert!(error.to_string().contains("\n  try: "), "{error}"),
        }
    }
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
