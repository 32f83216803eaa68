//! Whether a table is to be held in memory, decided before it is read.

use std::path::{Path, PathBuf};

use super::memory;
use crate::config::{Config, StreamMode};
use crate::data::read::read_table_while;
use crate::data::words::counted;
use crate::data::{RawTable, ReadOptions, TableReader};
use crate::error::{Error, Result};

/// Bytes that training in memory takes for each cell of a table, beside its text: the cell as a number, prepared in
/// double and single precision, and the copies that simple models are fitted to.
const CELL_BYTES: f64 = 56.0;
/// How much larger a packed file is unpacked, where that is not known.
const PACKED: f64 = 6.0;
/// The share of the free memory that is taken where no budget is set.
const SHARE: f64 = 0.6;

/// Why a table is read from disk while it is trained on, and the setting that says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streamed {
    /// Why.
    pub reason: String,
    /// The override.
    pub instead: String,
}

/// The number of bytes that a text such as `2GiB`, `500 MB` or `1e9` means.
pub fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0_f64.powi(2),
        "g" | "gib" => 1024.0_f64.powi(3),
        "t" | "tib" => 1024.0_f64.powi(4),
        _ => return None,
    };
    let bytes = number.trim().parse::<f64>().ok()? * unit;
    (bytes.is_finite() && bytes >= 1.0).then_some(bytes as u64)
}

/// A number of bytes as people say it.
pub fn said(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let step = ((bytes.max(1.0).log2() / 10.0) as usize).min(4);
    format!("{:.1} {}", bytes / 1024_f64.powi(step as i32), UNITS[step])
}

/// A size that leaves a fifth more than so many bytes, as it is typed: `80MiB`, `3GiB`.
pub fn enough(bytes: f64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    let mib = (1.2 * bytes / MIB).ceil().max(1.0);
    match mib {
        ..16.0 => format!("{mib}MiB"),
        ..1024.0 => format!("{}MiB", (mib / 16.0).ceil() * 16.0),
        _ => format!("{}GiB", (mib / 1024.0).ceil()),
    }
}

/// The memory that a command may take, in bytes and in words: what is set, or a share of what is free; nothing where that
/// cannot be told.
pub fn budget(config: &Config) -> Result<Option<(f64, String)>> {
    let set = &config.data.memory;
    if set.is_empty() {
        let free = memory::available().map(|free| free as f64 * SHARE);
        return Ok(free.map(|budget| (budget, format!("{}, 60 % of what is free", said(budget)))));
    }
    match bytes_of(set) {
        // Nobody means so few, and the unit is soon forgotten.
        Some(bytes) if bytes < 1 << 20 && set.trim().bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            let meant = format!("{}GiB", set.trim());
            Err(Error::setting(
                format!("data.memory is `{set}`, which is {}", counted(bytes as usize, "byte")),
                format!("did you mean {meant}? --memory {meant}"),
            ))
        }
        Some(bytes) => Ok(Some((bytes as f64, format!("data.memory = {set}")))),
        None => Err(Error::setting(
            format!("data.memory is `{set}`; expected a number of bytes as 2GiB or 500MB"),
            "--memory 2GiB",
        )),
    }
}

/// Whether the table of these settings is to be read from disk while it is trained on; nothing if it fits in memory.
pub fn streamed(config: &Config) -> Result<Option<Streamed>> {
    let budget = budget(config)?;
    match config.data.stream {
        StreamMode::Never => return Ok(None),
        StreamMode::Always => {
            let reason = "as set by data.stream".to_owned();
            return Ok(Some(Streamed { reason, instead: "--set data.stream=auto".into() }));
        }
        StreamMode::Auto => {}
    }
    let sources = config.data.sources();
    let Some((budget, words)) = budget else { return Ok(None) };
    if sources.is_empty() || sources.iter().any(|source| source == Path::new("-")) {
        return Ok(None);
    }
    let need = need(&sources, &ReadOptions::of(&config.data), budget)?;
    Ok((need > budget).then(|| Streamed {
        reason: format!("in memory the table would take some {}, more than {words}", said(need)),
        instead: format!("--memory {}", enough(need)),
    }))
}

/// Reads the whole table of these settings into memory. Of standard input and other pipes nobody knows the size before:
/// they are refused as soon as they come to more than there is.
pub fn read_whole(config: &Config) -> Result<RawTable> {
    let sources = config.data.sources();
    let options = ReadOptions::of(&config.data);
    let is_sized = |path: &PathBuf| path.metadata().is_ok_and(|there| there.is_file() || there.is_dir());
    let pipe = sources.iter().find(|path| *path == Path::new("-") || (path.exists() && !is_sized(path)));
    let (Some(_), Some((budget, words)), false) =
        (pipe, budget(config)?, config.data.stream == StreamMode::Never)
    else {
        return read_table_while(&sources, &options, |_| Ok(()));
    };
    let (mut need, mut n_rows) = (0.0, 0);
    read_table_while(&sources, &options, |block| {
        n_rows += block.n_rows();
        need += need_of(block.text_bytes() as f64, (block.n_rows() * block.n_columns()) as f64);
        if need <= budget {
            return Ok(());
        }
        Err(Error::data(
            format!(
                "{}: the first {} would take some {} in memory, more than {words}, and a pipe cannot be read from disk",
                block.source.display(),
                counted(n_rows, "row"),
                said(need)
            ),
            "save it to a file, whose size tells what memory it takes, and give the file's name; or --set data.stream=never to try \
             all the same",
        ))
    })
}

/// About how much memory training takes for so many cells that are so many bytes of text.
fn need_of(text_bytes: f64, n_cells: f64) -> f64 {
    2.0 * text_bytes + CELL_BYTES * n_cells
}

/// About how much memory training takes that holds the whole table, from the size of its files and its first rows.
fn need(sources: &[PathBuf], options: &ReadOptions, budget: f64) -> Result<f64> {
    let files = crate::data::read::files_of(sources)?;
    let mut size = 0.0;
    for file in &files {
        let length = file.metadata().map_err(|e| Error::io("read", file, e))?.len() as f64;
        let name = file.to_string_lossy();
        let is_packed =
            [".gz", ".zst", ".parquet", ".arrow", ".feather", ".ipc"].iter().any(|end| name.ends_with(end));
        size += if is_packed { length * PACKED } else { length };
    }
    // No table takes so much more than its text.
    if size * 64.0 < budget {
        return Ok(0.0);
    }
    let mut reader = TableReader::open(sources, options)?;
    let Some(block) = reader.next_block()? else { return Ok(0.0) };
    let n_cells = (block.n_rows() * block.n_columns()) as f64;
    let bytes = (block.text_bytes() as f64).max(n_cells);
    Ok(need_of(size, n_cells * size / bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("2GiB", 2 << 30),
            ("2 GiB", 2 << 30),
            ("1.5g", 3 << 29),
            ("500MB", 500_000_000),
            ("64k", 65_536),
            ("123", 123),
            ("1e9", 1_000_000_000),
        ] {
            assert_eq!(bytes_of(text), Some(bytes), "{text}");
        }
        for text in ["", "GiB", "2 apples", "-1GiB", "0", "nan", "inf", "1e400"] {
            assert_eq!(bytes_of(text), None, "{text}");
        }
        let typed = [650e3, 70e6, 900e6, 5e9].map(enough);
        assert_eq!(typed, ["1MiB", "96MiB", "2GiB", "6GiB"]);
        assert_eq!((said(1536.0), said(2e9)), ("1.5 KiB".into(), "1.9 GiB".into()));
    }
}
