//! Any text as what is known of columns, a line `%%`, and a table: what is wrong is refused with a remedy, and what is
//! inferred can be read. Without such a line all of it is the table.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use statera::config::{Config, column_settings};
use statera::data::{ReadOptions, Wanted};
use statera_fuzz::{check, file_of, spare_guarded};

fuzz_target!(init: spare_guarded(), |bytes: &[u8]| {
    const LINE: &[u8] = b"\n%%\n";
    let cut = bytes.windows(LINE.len()).position(|part| part == LINE);
    let (schema, table) = cut.map_or((&b""[..], bytes), |at| (&bytes[..at], &bytes[at + LINE.len()..]));
    let (Some(schema), Some(table)) = (file_of(schema, "toml"), file_of(table, "csv")) else { return };
    let config = column_settings(&schema).and_then(|sets| Config::load(None, &sets));
    match config {
        Ok(config) => {
            let columns = config.data.columns.iter();
            let known: BTreeMap<String, Wanted> =
                columns.map(|(name, column)| (name.clone(), Wanted::of(column))).collect();
            check(table, &ReadOptions::of(&config.data), &known);
        }
        Err(error) => assert!(error.to_string().contains("\n  try: "), "{error}"),
    }
});
