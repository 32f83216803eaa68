//! Any bytes as a Parquet file: nothing panics outside the guard, and memory stays within bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use statera::data::{ReadOptions, read_table};

fuzz_target!(init: spare_guarded(), |bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("statera-fuzz-{}.parquet", std::process::id()));
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    if let Ok(table) = read_table(std::slice::from_ref(&path), &ReadOptions::default()) {
        assert!(table.n_rows() > 0);
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
