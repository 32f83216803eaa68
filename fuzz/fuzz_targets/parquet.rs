//! Any bytes as a Parquet file: nothing panics outside the guard, and memory stays within bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use statera::data::{ReadOptions, read_table};

fuzz_target!(|bytes: &[u8]| {
    // A panic inside the reader is caught and told as an error; libFuzzer would take its hook for a crash.
    std::panic::set_hook(Box::new(|_| {}));
    let path = std::env::temp_dir().join(format!("statera-fuzz-{}.parquet", std::process::id()));
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    if let Ok(table) = read_table(std::slice::from_ref(&path), &ReadOptions::default()) {
        assert!(table.n_rows() > 0);
    }
});
