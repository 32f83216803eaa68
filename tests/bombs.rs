//! Small files that would take much memory, and pipes without an end: refused early, in memory, from disk and drawn.

use crate::cli::typed;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, StringViewArray};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

const ROWS: usize = 40_000;
const LONG: usize = 100_000;

/// Calls the binary in a folder with at most so many kilobytes of memory, for at most half a minute.
fn bounded(
    folder: &Path,
    kilobytes: usize,
    args: &str,
    input: Option<&mut dyn Iterator<Item = Vec<u8>>>,
) -> Output {
    let binary = env!("CARGO_BIN_EXE_statera");
    let script = format!("ulimit -v {kilobytes}; ulimit -t 30; exec '{binary}' {args}");
    let mut command = Command::new("bash");
    command.current_dir(folder).args(["-c", &script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    for piece in input.into_iter().flatten() {
        // Whoever refuses a pipe reads no further.
        if pipe.write_all(&piece).is_err() {
            break;
        }
    }
    drop(pipe);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(words.iter().all(|word| told.contains(word)), "{told}");
    assert!(told.contains("try: "), "{told}");
}

/// Rows that all say the same long text, beside a number; `texts` in the form that the writer is to get.
fn batch(texts: ArrayRef) -> RecordBatch {
    let y: ArrayRef = Arc::new(Int32Array::from_iter_values((0..ROWS as i32).map(|i| i % 13)));
    RecordBatch::try_from_iter([("text", texts), ("y", y)]).unwrap()
}

fn dictionary() -> ArrayRef {
    let values = Arc::new(StringArray::from(vec!["x".repeat(LONG)]));
    Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0; ROWS]), values))
}

fn views() -> ArrayRef {
    let long = "x".repeat(LONG);
    let one = StringViewArray::from(vec![long.as_str()]);
    let view = one.views()[0];
    Arc::new(StringViewArray::new(vec![view; ROWS].into(), one.data_buffers().to_vec(), None))
}

fn parquet(batch: &RecordBatch, deltas: bool) -> Vec<u8> {
    let text = ColumnPath::from("text");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROWS / 4));
    if deltas {
        properties = properties
            .set_column_dictionary_enabled(text.clone(), false)
            .set_column_encoding(text, Encoding::DELTA_BYTE_ARRAY);
    }
    // Without Arrow's schema the texts are read as the format says, with it as they were.
    let options = ArrowWriterOptions::new()
        .with_properties(properties.build())
        .with_skip_arrow_metadata(batch.column(0).as_any().is::<StringViewArray>());
    typed::parquet(std::slice::from_ref(batch), options)
}

fn arrow(batch: RecordBatch) -> Vec<u8> {
    typed::arrow_stream(&[batch])
}

#[test]
fn one_long_text_that_is_said_to_be_that_of_every_row_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("coded.parquet", parquet(&batch(dictionary()), false)),
        ("plain.parquet", parquet(&batch(views()), false)),
        ("deltas.parquet", parquet(&batch(views()), true)),
        ("t.arrow", arrow(batch(dictionary()))),
    ] {
        assert!(bytes.len() < 1 << 20, "{name}: {}", bytes.len());
        std::fs::write(folder.path().join(name), bytes).unwrap();
        for (command, kilobytes) in [
            ("train NAME --target y", 1_500_000),
            ("train NAME --target y --set data.stream=always --cache cache", 1_500_000),
            ("profile NAME --no-page", 1_500_000),
            ("profile NAME --no-page --memory 64MiB", 1_500_000),
        ] {
            let output = bounded(folder.path(), kilobytes, &command.replace("NAME", name), None);
            refused(&output, &[name, "over 2,000 times as many", "leave out columns that are constant"]);
        }
    }
}

#[test]
fn many_rows_of_few_words_are_read_from_a_small_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let values = Arc::new(StringArray::from(vec!["red", "green", "blue"]));
    let keys = Int32Array::from_iter_values((0..3_000_000).map(|i| i / 1_000_000));
    let words: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, values));
    let batch = RecordBatch::try_from_iter([("colour", words)]).unwrap();
    let bytes = parquet(&batch, false);
    assert!(bytes.len() < 100_000, "{}", bytes.len());
    std::fs::write(&path, bytes).unwrap();
    let raw = statera::data::read_table(&[path], &statera::data::ReadOptions::default()).unwrap();
    assert_eq!(
        (raw.n_rows(), raw.value(0, 0), raw.value(2_999_999, 0)),
        (3_000_000, Some("red"), Some("blue"))
    );
}

#[test]
fn little_that_unpacks_to_much_is_refused_before_it_takes_memory() {
    let folder = tempfile::tempdir().unwrap();
    let text = "x,y\n".to_owned() + &"1,1\n".repeat(30 << 20);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(text.as_bytes()).unwrap();
    for (name, bytes) in
        [("t.csv.gz", gzip.finish().unwrap()), ("t.csv.zst", zstd::encode_all(text.as_bytes(), 3).unwrap())]
    {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        for command in ["train NAME --target y", "profile NAME --no-page"] {
            let output = bounded(folder.path(), 600_000, &command.replace("NAME", name), None);
            refused(&output, &[name, "over 300 times as much, as no table does", "unpack it first"]);
        }
    }
}

/// A pipe of a hundred megabytes.
fn rows() -> impl Iterator<Item = Vec<u8>> {
    let row = |i: usize| format!("{},{}.5,{}\n", i % 97, i % 13, i % 7).into_bytes();
    let piece = move |k: usize| (k * 1_000..k * 1_000 + 1_000).flat_map(row).collect();
    std::iter::once(b"a,b,y\n".to_vec()).chain((0..10_000).map(piece))
}

#[test]
fn a_pipe_that_comes_to_more_than_the_memory_is_refused_to_learn_from_and_drawn_to_look_at() {
    let folder = tempfile::tempdir().unwrap();
    let mut given = 0;
    let mut counted = rows().inspect(|piece| given += piece.len());
    let output = bounded(folder.path(), 1_000_000, "train - --target y --memory 64MiB", Some(&mut counted));
    refused(&output, &["standard input: the first", "more than data.memory = 64MiB", "save it to a file"]);
    assert!(given < 40 << 20, "{given} bytes were read");
    let few = &mut rows().take(900);
    let output = bounded(folder.path(), 2_000_000, "profile - --memory 16MiB --no-page", Some(few));
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("drawn") && told.contains("899,000"), "{told}");
    // What fits is learned from.
    let few = &mut rows().take(2);
    let output = bounded(
        folder.path(),
        4_000_000,
        "train - --target y --task regression --memory 64MiB --set train.epochs=1 --out run",
        Some(few),
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
