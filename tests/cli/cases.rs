//! Calls that go wrong: what must be said, and that nothing is left.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use super::{content, folder, model_bytes};

/// Something that goes wrong.
pub(crate) struct Case {
    /// What it is.
    name: &'static str,
    /// The file to make in the folder, beside `t.csv` and the trained `m.safetensors`.
    file: Option<(&'static str, Vec<u8>)>,
    /// The arguments, separated by white space.
    args: &'static str,
    /// The exit code: 1 failed, 2 wrong use.
    code: i32,
    /// What standard error must say.
    words: &'static [&'static str],
}

pub(crate) fn case(
    name: &'static str,
    args: &'static str,
    code: i32,
    words: &'static [&'static str],
) -> Case {
    Case { name, file: None, args, code, words }
}

/// A case of a file that does not fit.
pub(crate) fn with(
    file: &'static str,
    bytes: impl Into<Vec<u8>>,
    name: &'static str,
    args: &'static str,
    code: i32,
    words: &'static [&'static str],
) -> Case {
    Case { name, file: Some((file, bytes.into())), args, code, words }
}

pub(crate) fn trained() -> &'static [u8] {
    static MODEL: OnceLock<Vec<u8>> = OnceLock::new();
    MODEL.get_or_init(|| model_bytes(8))
}

/// The rows `n` of a table of two columns, its cells made by `row`.
pub(crate) fn rows(header: &str, n: usize, row: impl Fn(usize) -> String) -> String {
    (0..n).fold(format!("{header}\n"), |mut text, i| {
        writeln!(text, "{}", row(i)).unwrap();
        text
    })
}

/// Calls the binary with an address space of two gigabytes: what would take more memory is an error here.
pub(crate) fn call_bounded(folder: &Path, args: &str) -> std::process::Output {
    let binary = env!("CARGO_BIN_EXE_statera");
    let script = format!("ulimit -v 2000000 2>/dev/null; exec '{binary}' {args}");
    std::process::Command::new("sh").args(["-c", &script]).current_dir(folder).output().unwrap()
}

/// Makes every call in a folder of its own, and looks at its exit code, its words and what it leaves.
#[track_caller]
pub(crate) fn check(cases: impl IntoIterator<Item = Case>) {
    let mut failures = String::new();
    for case in cases {
        let folder = folder();
        std::fs::write(folder.path().join("m.safetensors"), trained()).unwrap();
        if let Some((file, bytes)) = &case.file {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let before = content(folder.path());
        let output = call_bounded(folder.path(), case.args);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let mut complain = |what: String| {
            writeln!(failures, "{} (statera {}): {what}\n{err}", case.name, case.args).unwrap();
        };
        if output.status.code() != Some(case.code) {
            complain(format!("exit code {:?}, expected {}", output.status, case.code));
        }
        for word in case.words.iter().filter(|word| !err.contains(**word)) {
            complain(format!("standard error lacks {word:?}"));
        }
        if !err.contains("error: ") || err.contains("panicked") {
            complain("no error is told, or a panic".into());
        }
        if !err.contains("try: ") && !err.contains("tip: ") {
            complain("nothing is said about what to do".into());
        }
        if !out.is_empty() {
            complain(format!("standard output holds {out:?}"));
        }
        if content(folder.path()) != before {
            let left: Vec<_> =
                content(folder.path()).into_keys().filter(|p| !before.contains_key(p)).collect();
            complain(format!("files have changed, or are left: {left:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
