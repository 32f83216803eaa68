//! Any bytes as a Parquet file: nothing panics outside the guard, memory stays within bounds, and what is read is the same
//! in memory and in blocks.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use statera::data::ReadOptions;
use statera_fuzz::{check, file_of, spare_guarded};

fuzz_target!(init: spare_guarded(), |bytes: &[u8]| {
    let Some(path) = file_of(bytes, "parquet") else { return };
    check(path, &ReadOptions::default(), &BTreeMap::new());
});
