//! Any bytes as a table: text with delimiters, NDJSON, Arrow, packed or not, with malformed rows refused or left out.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use statera::data::ReadOptions;
use statera::data::read::BadRows;
use statera_fuzz::{check, file_of, spare_guarded};

fuzz_target!(init: spare_guarded(), |bytes: &[u8]| {
    let Some(path) = file_of(bytes, "csv") else { return };
    for bad_rows in [BadRows::Refuse, BadRows::Skip] {
        check(path.clone(), &ReadOptions { bad_rows, ..ReadOptions::default() }, &BTreeMap::new());
    }
});
