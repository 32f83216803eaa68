//! The binary, called from outside, in a folder of its own.

pub(crate) mod cases;
pub(crate) mod typed;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use sha2::{Digest, Sha256};
use statera::config::Space;

/// What a call came to.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    /// The call, if it succeeded.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.err);
        self
    }

    /// Standard output as JSON, and nothing else.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

/// The binary, to be called in `folder`.
pub(crate) fn statera(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_statera"));
    command.current_dir(folder).args(args);
    command
}

/// Calls the binary in `folder`.
pub(crate) fn call(folder: &Path, args: &[&str]) -> Outcome {
    let output = statera(folder, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().expect("the process ended by itself");
    Outcome { code, out: text(output.stdout), err: text(output.stderr) }
}

/// A line for the configuration reads as what it says before every recipe, whichever sections that has.
#[track_caller]
pub(crate) fn can_be_pasted_into_every_recipe(line: &str, written: &Path) {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    for recipe in std::fs::read_dir(recipes).unwrap() {
        let recipe = recipe.unwrap().path();
        let shown = recipe.display();
        let text = std::fs::read_to_string(&recipe).unwrap();
        std::fs::write(written, format!("{line}\n{text}")).unwrap();
        let (pasted, _) =
            Space::load(Some(written), &[]).unwrap_or_else(|e| panic!("{line} in {shown}: {e}"));
        let (plain, _) = Space::load(Some(&recipe), &[]).unwrap();
        let set = Space::load(Some(&recipe), &[line.to_owned()]).unwrap();
        assert_eq!(pasted.parameters, plain.parameters, "{shown}");
        let mut expected = set.1;
        // It is relative to the file.
        let config = Space::load(Some(written), &[]).unwrap().1;
        expected.data.path.clone_from(&config.data.path);
        assert_eq!(config, expected, "{line} in {shown}");
    }
}

/// Every file below a folder with its content, and every folder with none.
pub(crate) fn content(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
                found.insert(path, None);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path, Some(bytes));
            }
        }
    }
    found
}

/// The cells of row `i` of [`table`]: a number with some cells missing, a whole number, a category, and targets.
pub(crate) fn cells(i: usize) -> [(&'static str, String); 6] {
    let (x, k) = (i as f64 * 0.37 % 5.0, i * 7 % 11);
    let colour = ["red", "green", "blue"][i * 5 % 3];
    let y = 3.0 * x - k as f64 + if colour == "red" { 4.0 } else { 0.0 };
    [
        ("x", if i % 13 == 5 { String::new() } else { format!("{x:.2}") }),
        ("k", k.to_string()),
        ("colour", colour.into()),
        ("y", format!("{y:.3}")),
        ("yes", if y > 4.0 { "yes" } else { "no" }.into()),
        ("grade", ["low", "middle", "high"][if y < 0.0 { 0 } else { usize::from(y > 6.0) + 1 }].into()),
    ]
}

/// A CSV of these columns of rows `rows` of the one table that tests learn from.
pub(crate) fn table(columns: &[&str], rows: std::ops::Range<usize>) -> String {
    let mut text = columns.join(",") + "\n";
    for i in rows {
        let row = cells(i);
        let cell = |name: &&str| row.iter().find(|(n, _)| n == name).unwrap().1.clone();
        writeln!(text, "{}", columns.iter().map(cell).collect::<Vec<_>>().join(",")).unwrap();
    }
    text
}

/// A folder with `t.csv` (x, k, colour, y; 120 rows).
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), table(&["x", "k", "colour", "y"], 0..120)).unwrap();
    folder
}

/// The settings that make a small network learn in no time.
pub(crate) const QUICK: [&str; 4] = ["--set", "train.epochs=4", "--set", "network.hidden=[8]"];

/// The arguments of a quick training on `data`.
pub(crate) fn quick<'a>(data: &'a str, target: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", data, "--target", target][..], &QUICK, more].concat()
}

/// The bytes of a model with one hidden layer, trained on [`folder`]'s table.
pub(crate) fn model_bytes(units: usize) -> Vec<u8> {
    let folder = folder();
    let hidden = format!("network.hidden=[{units}]");
    call(folder.path(), &quick("t.csv", "y", &["--out", "run", "--set", &hidden])).done();
    std::fs::read(folder.path().join("run/model.safetensors")).unwrap()
}

/// The description in a model file's metadata, the rest of its header, and its tensors' bytes.
fn parts(model: &[u8]) -> (Value, Value, &[u8]) {
    let length = u64::from_le_bytes(model[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&model[8..8 + length]).unwrap();
    let description = header["__metadata__"]["statera"].as_str().unwrap();
    (serde_json::from_str(description).unwrap(), header, &model[8 + length..])
}

/// A safetensors file of this header and these bytes.
pub(crate) fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// The model with its description altered, as its text; no seal is renewed.
pub(crate) fn with_description(model: &[u8], alter: impl FnOnce(&mut Value)) -> Vec<u8> {
    let (mut description, mut header, data) = parts(model);
    alter(&mut description);
    header["__metadata__"]["statera"] = description.to_string().into();
    safetensors(&header.to_string(), data)
}

/// The model with its card altered and the checksum renewed, as an attacker would do it.
pub(crate) fn with_card(model: &[u8], alter: impl FnOnce(&mut Value)) -> Vec<u8> {
    let (_, _, data) = parts(model);
    with_description(model, |description| {
        alter(&mut description["card"]);
        let card = description["card"].to_string();
        let digest = Sha256::digest([card.as_bytes(), data].concat());
        let hex = digest.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        description["sha256"] = hex.into();
    })
}

/// The library that makes a disk fail, compiled for this test.
#[cfg(unix)]
pub(crate) fn failing_disk(folder: &Path) -> PathBuf {
    let library = folder.join("disk.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/disk.c");
    let compiled = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status();
    assert!(compiled.expect("a C compiler, which the SQLite inside needs too").success());
    library
}
