//! `statera profile --memory`: as many rows as there is room for, and no more memory than is given.

use crate::cli;
use std::path::Path;

use cli::call;
use serde_json::Value;

/// The most memory that a call takes, in MiB, and what it prints; as Linux tells of a process until it ends.
#[cfg(target_os = "linux")]
fn peak_of(folder: &Path, args: &[&str]) -> (f64, String) {
    use std::process::{Command, Stdio};
    let out = std::fs::File::create(folder.join("out.json")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_statera"));
    let mut child = command.current_dir(folder).args(args).stdout(out).stderr(Stdio::null()).spawn().unwrap();
    let (status, mut peak) = (format!("/proc/{}/status", child.id()), 0.0);
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = line.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(peak);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    (peak / 1024.0, std::fs::read_to_string(folder.join("out.json")).unwrap())
}

/// Rows are drawn as many as there is room for, and no more memory is taken than was given.
#[test]
#[cfg(target_os = "linux")]
fn more_memory_draws_more_rows_and_none_takes_more_than_it_is_given() {
    use std::fmt::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let mut text = (0..14).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",") + "\n";
    let n_rows = 150_000_u64;
    for row in 0..n_rows {
        for column in 0..14 {
            let x = (row * 2_654_435_761 + column * 40_503).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            write!(text, "{}{}.{}", if column == 0 { "" } else { "," }, x % 1000, x / 1000).unwrap();
        }
        text.push('\n');
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let mut before = 0;
    for (memory, least) in [(85.0, 9_000), (100.0, 21_000), (120.0, 40_000), (240.0, n_rows)] {
        let given = format!("{memory}MiB");
        let args = ["profile", "t.csv", "--memory", &given, "--json", "--quiet", "--threads", "2"];
        let (peak, out) = peak_of(folder.path(), &args);
        let json: Value = serde_json::from_str(&out).unwrap();
        let drawn = json["n_rows"].as_u64().unwrap();
        println!("{given}: {drawn} rows, {peak} MiB");
        assert!(drawn > before && drawn >= least, "{given}: {drawn} rows");
        assert!(peak <= memory, "{given}: {peak} MiB for {drawn} rows");
        if drawn < n_rows {
            let enough = json["drawn_from"]["enough"].as_str().unwrap();
            let all =
                call(folder.path(), &["profile", "t.csv", "--memory", enough, "--json", "--quiet"]).done();
            assert_eq!(all.json()["n_rows"], n_rows, "{enough} is enough");
        }
        before = drawn;
    }
}
