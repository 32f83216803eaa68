//! Files that are broken, hostile, or of a kind that is not read: what is said, and that memory stays bounded.

use crate::cli;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use statera::data::{ReadOptions, Table, TableReader, infer_schema, read_table};

use cli::cases::{Case, case, check, with};
use cli::typed;

fn batch(n: usize) -> RecordBatch {
    let x: ArrayRef = Arc::new((0..n).map(|i| Some(i as f64)).collect::<Float64Array>());
    let y: ArrayRef = Arc::new(Int64Array::from_iter_values((0..n).map(|i| i as i64 * 7 % 13)));
    RecordBatch::try_from_iter([("x", x), ("y", y)]).unwrap()
}

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    typed::parquet(std::slice::from_ref(batch), ArrowWriterOptions::new())
}

fn arrow(batch: &RecordBatch) -> Vec<u8> {
    typed::arrow_stream(std::slice::from_ref(batch))
}

fn gzip(chunks: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    chunks.for_each(|chunk| encoder.write_all(&chunk).unwrap());
    encoder.finish().unwrap()
}

fn cases() -> Vec<Case> {
    let whole = parquet(&batch(500));
    let cut = whole[..whole.len() / 2].to_vec();
    let mut footer = whole.clone();
    let end = footer.len() - 8;
    footer[end..end + 4].copy_from_slice(&0x7fff_fff0u32.to_le_bytes());
    let file = |name: &'static str, bytes: Vec<u8>, title, words| {
        let args: &'static str = Box::leak(format!("train {name} --target y").into_boxed_str());
        with(name, bytes, title, args, 1, words)
    };
    let stream = arrow(&batch(500));
    let mut long = stream.clone();
    long[4..8].copy_from_slice(&0x7fff_fff0u32.to_le_bytes());
    let bomb = gzip((0..120).map(|i| if i == 0 { b"x,y\n".to_vec() } else { b"1,1\n".repeat(1 << 18) }));
    vec![
        file("t.parquet", cut, "Parquet cut short", &["t.parquet is no whole Parquet file", "copy it again"]),
        file("t.parquet", footer, "a hostile footer", &["t.parquet is no whole Parquet file"]),
        file("t.parquet", b"x,y\n1,2\n".to_vec(), "no Parquet", &["t.parquet is not what its name says"]),
        file("t.arrow", stream[..stream.len() / 2].to_vec(), "Arrow cut short", &["it is cut short"]),
        file(
            "t.arrow",
            include_bytes!("../fuzz/corpus/table/damaged.arrow").to_vec(),
            "a buffer before the file's begin",
            &["error: t.arrow is no whole Arrow file or stream: its content contradicts itself"],
        ),
        file("t.arrow", long, "a message of two gigabytes", &["longer than any can be"]),
        file(
            "b.csv.gz",
            bomb,
            "a gzip bomb",
            &["over 300 times as much, as no table does", "unpack it first"],
        ),
        file(
            "t.csv.gz",
            vec![0x1f, 0x8b, 8, 0, 9, 9],
            "no gzip",
            &["packed by gzip and damaged or cut short"],
        ),
        file(
            "t.xlsx",
            b"PK\x03\x04....".to_vec(),
            "a workbook",
            &["an Excel workbook", "save the table as CSV"],
        ),
        file("t.csv.bz2", b"BZh91AY&SY".to_vec(), "bzip2", &["packed by bzip2", "bunzip2 --keep t.csv.bz2"]),
        file(
            "t.csv.gz",
            gzip(std::iter::once(gzip(std::iter::once(b"x,y\n1,2\n".to_vec())))),
            "gzip in gzip",
            &["packed twice, inside by gzip", "gunzip --keep t.csv.gz"],
        ),
        file(
            "wide.csv",
            "\u{feff}x,y\n1,2\n".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
            "UTF-32",
            &["wide.csv is in UTF-32; expected UTF-8", "iconv -f UTF-32 -t UTF-8 wide.csv"],
        ),
        file(
            "t.ndjson",
            b"{\"x\":1,\"y\":2}\n{\"x\":1,\"y\":2,\"x\":3}\n".to_vec(),
            "a key twice in a line",
            &[
                "t.ndjson, row 2 (line 2): the key `x` stands there twice",
                "sed -n 2p t.ndjson",
                "--bad-rows skip",
            ],
        ),
        file(
            "t.ndjson",
            b"{\"x\":1,\"y\":\"\\ud83d\"}\n".to_vec(),
            "half of a surrogate pair",
            &["t.ndjson, row 1 (line 1): the text of the key `y` holds half of a surrogate pair"],
        ),
        file(
            "t.ndjson",
            (0..40)
                .flat_map(|i| {
                    format!("{{\"x\":{},\"y\":{i}}}\n", if i == 1 { "1e999" } else { "1" }).into_bytes()
                })
                .collect(),
            "a number beyond all floats in NDJSON",
            &["row 2 (line 2), column `x`: expected a finite number, found `1e999`", "--null 1e999"],
        ),
        case(
            "a file of what is known that is not there",
            "train t.csv --target y --schema schema.toml",
            2,
            &["--schema: there is no file schema.toml", "a table for each column"],
        ),
        file("t.json", b"[{\"x\":1}]".to_vec(), "a JSON array", &["one JSON array", "jq -c '.[]' t.json"]),
        file(
            "t.ndjson",
            b"{\"x\":1,\"y\":2}\n{\"x\":1,\"y\":\n".to_vec(),
            "half an object",
            &["t.ndjson, row 2 (line 2): expected a JSON object", "sed -n 2p t.ndjson"],
        ),
        file(
            "t.ndjson",
            (0..40).flat_map(|i| format!("{{\"x\":1,\"y\":{i},\"z\":{{}}}}\n").into_bytes()).collect(),
            "nothing but lists",
            &["no column is left to learn from", "`z`"],
        ),
        with(
            "t.pq.gz",
            gzip(std::iter::once(parquet(&batch(50)))),
            "packed Parquet",
            "train t.pq.gz --target y",
            1,
            &["Parquet cannot be read from a packed file", "unpack it first"],
        ),
        with(
            "many/b.parquet",
            parquet(
                &RecordBatch::try_from_iter([
                    ("x", Arc::new(StringArray::from(vec!["a"])) as ArrayRef),
                    ("colour", Arc::new(StringArray::from(vec!["a"])) as ArrayRef),
                ])
                .unwrap(),
            ),
            "files of two formats",
            "train t.csv many/b.parquet --target y",
            1,
            &["have different columns", "only in the first"],
        ),
        case(
            "a file named twice",
            "train t.csv t.csv --target y",
            1,
            &["t.csv is named twice", "name every file once"],
        ),
        case(
            "a schema of unknown columns",
            "train t.csv --target y --set data.columns.colr.kind=category",
            2,
            &["there is no column `colr`", "did you mean `colour`?"],
        ),
    ]
}

#[test]
fn broken_and_hostile_tables_say_what_is_wrong() {
    check(cases());
}

fn failure(path: &Path) -> String {
    read_table(&[path.to_owned()], &ReadOptions::default()).unwrap_err().to_string()
}

#[test]
fn a_type_that_changes_late_is_named_with_its_row_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.csv");
    let text: String = (0..1_000_000).fold("x,y\n".to_owned(), |mut text, i| {
        text += &format!("{i},{}\n", i % 7);
        text
    });
    std::fs::write(&path, text.clone() + "oops,1\n").unwrap();
    let raw = read_table(std::slice::from_ref(&path), &ReadOptions::default()).unwrap();
    let error = statera::data::infer_schema(&raw, &BTreeMap::new(), &BTreeSet::new()).unwrap_err();
    assert!(
        error.to_string().contains("row 1000001 (line 1000002), column `x`: expected a number, found `oops`"),
        "{error}"
    );
    std::fs::write(&path, text.into_bytes().into_iter().chain(*b"5,caf\xe9\n").collect::<Vec<u8>>()).unwrap();
    assert!(failure(&path).contains("is not UTF-8: line 1,000,002, byte"), "{}", failure(&path));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("t.csv");
    let text = (0..600_000).fold("x,y\n".to_owned(), |text, i| text + &format!("{i},1\n"));
    for change in [&b"more,1\n"[..], b""] {
        std::fs::write(&path, &text).unwrap();
        let mut reader = TableReader::open(std::slice::from_ref(&path), &ReadOptions::default()).unwrap();
        assert!(reader.next_block().unwrap().is_some());
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(change).unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        file.set_modified(later).unwrap();
        let error = loop {
            match reader.next_block() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a changed file is read"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("changed while it was read") || error.contains("written to while"), "{error}");
        assert!(error.contains("wait until it is complete"), "{error}");
    }
}

#[test]
fn a_column_in_other_types_names_both_files() {
    let folder = tempfile::tempdir().unwrap();
    let text = RecordBatch::try_from_iter([
        ("x", Arc::new(StringArray::from(vec!["a"])) as ArrayRef),
        ("y", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
    ]);
    std::fs::write(folder.path().join("a.parquet"), parquet(&batch(10))).unwrap();
    std::fs::write(folder.path().join("b.parquet"), parquet(&text.unwrap())).unwrap();
    let message = failure(folder.path());
    for words in [
        "a.parquet and ",
        "b.parquet have different columns",
        "`x` holds numbers in the first, text in the second",
    ] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn what_the_disk_refuses_is_told() {
    // The memory of the process itself: its first page can be opened and not read.
    let message = failure(Path::new("/proc/self/mem"));
    assert!(message.contains("cannot read /proc/self/mem"), "{message}");
}

/// The seeds of the fuzz targets, each with its name.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let folders = std::fs::read_dir(corpus).unwrap().map(|folder| folder.unwrap().path());
    let files =
        folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path());
    let seed = |path: PathBuf| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
    };
    let mut seeds: Vec<(String, Vec<u8>)> = files.map(seed).collect();
    seeds.sort_unstable();
    assert!(seeds.len() > 10);
    seeds
}

/// A short run of what `make fuzz` does for longer, without its tools.
#[test]
fn damaged_files_are_read_or_refused_and_what_is_inferred_fits_the_cells() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 7u64;
    let mut random = move |below: usize| {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for (name, seed) in seeds() {
        let path = folder.path().join(&name);
        for _ in 0..60 {
            let mut bytes = seed.clone();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                match random(5) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at.min(bytes.len()), random(256) as u8),
                    2 => {
                        let more = bytes[at..(at + random(40)).min(bytes.len())].to_vec();
                        bytes.splice(at..at, more);
                    }
                    3 => bytes.iter_mut().skip(at).take(1 + random(8)).for_each(|byte| *byte = 0xff),
                    _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random(256) as u8),
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            match read_table(std::slice::from_ref(&path), &ReadOptions::default()) {
                Ok(raw) => {
                    let Ok(schema) = infer_schema(&raw, &BTreeMap::new(), &BTreeSet::new()) else { continue };
                    let table = Table::from_raw(&raw, &schema).unwrap();
                    assert!(table.notes().is_empty(), "{name}: {:?}", table.notes());
                }
                Err(error) => assert!(error.to_string().contains("\n  try: "), "{name}: {error}"),
            }
        }
    }
}
