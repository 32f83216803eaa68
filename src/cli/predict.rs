//! `statera predict`

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use statera::Error;
use statera::bag::Bag;
use statera::data::RawTable;
use statera::files::NewFile;
use statera::model::{MODEL_FILE, PredictNotes};
use statera::predict::{kept_columns, predict_table};
use statera::train::metrics::{Predictions, decide};

use super::reading::{Reading, is_source, refuse_existing, tell_skipped, write_skipped};
use super::{text, thread_pool, within};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A run folder or a model file
    model: PathBuf,
    /// The table, without need for the target: files, a folder, a pattern of names, or -
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// The CSV file to write (default, and -: standard output)
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file that -o names if it exists
    #[arg(long, requires = "out")]
    force: bool,
    /// Predict also where a column has no cell that can be read
    #[arg(long)]
    allow_blank: bool,
    /// A column of the table to write in front of the predictions (repeatable)
    #[arg(long, value_name = "COLUMN")]
    keep: Vec<String>,
    #[command(flatten)]
    reading: Reading,
    /// Threads to compute with; 0 takes one a core
    #[arg(long, default_value_t = 0, value_parser = within::<usize>("threads"), allow_negative_numbers = true)]
    threads: usize,
    /// No notes about the table
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    thread_pool(arguments.threads)?.install(|| predict(arguments))
}

fn predict(arguments: &Arguments) -> anyhow::Result<()> {
    let out = arguments.out.as_deref().filter(|out| *out != Path::new("-"));
    if let Some(out) = out {
        check_out(out, &arguments.data, &arguments.model, arguments.force)?;
    }
    let model = Bag::load(&arguments.model)?;
    let classes = &model.first().card.target.classes;
    let mut reader = arguments.reading.open(model.first(), &arguments.data)?;
    let mut file = out.map(NewFile::create).transpose()?;
    let mut n_rows = 0;
    // Where rows may be left out, predictions are told apart by their lines.
    let with_lines = arguments.reading.skips();
    let mut columns = Columns { places: false, kept: Vec::new() };
    // Piece by piece, so that a table may be larger than memory.
    let notes = predict_table(&model, &mut reader, arguments.allow_blank, |block, predictions| {
        if n_rows == 0 {
            arguments.reading.tell_mark(model.first(), block);
            columns.kept = kept_columns(block, &arguments.keep)?;
            check_names(&columns.header(block, &predictions, classes))?;
        }
        columns.places = with_lines && block.line(0).is_some();
        let csv = to_csv(&predictions, classes, block, &columns, n_rows == 0)
            .map_err(|e| Error::output(format!("the predictions cannot be written as CSV: {e}"), ""))?;
        n_rows += predictions.len();
        match &mut file {
            Some(file) => file.write(&csv),
            None => write_out(&csv),
        }
    });
    let notes = match notes {
        // A reader that has gone away (`| head`) is no failure.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
        notes => notes?,
    };
    let skipped = reader.finish().skipped;
    tell_skipped(&skipped);
    file.map_or(Ok(()), NewFile::finish)?;
    write_skipped(&skipped, out)?;
    if !arguments.quiet {
        report_notes(&notes);
        if let Some(out) = out {
            let n = text::counted(n_rows, "prediction");
            text::note(&format!("{n} written to {}", out.display()));
        }
    }
    Ok(())
}

fn write_out(csv: &[u8]) -> Result<(), Error> {
    let written = std::io::stdout().lock().write_all(csv);
    written.map_err(|error| Error::io("write", Path::new("standard output"), error))
}

/// Predictions must not take the place of the table or the model that they are made from, nor unasked that of another file,
/// and need a place to be.
fn check_out(out: &Path, data: &[PathBuf], model: &Path, force: bool) -> Result<(), Error> {
    // Before the table is read, which may take long.
    check_name(out)?;
    statera::files::check_folder(out)?;
    let is = |other: &Path| {
        let same = out.canonicalize().is_ok_and(|out| other.canonicalize().is_ok_and(|other| other == out));
        same && out.is_file()
    };
    let what = match () {
        () if is_source(out, data) => Some("table"),
        () if is(model) || is(&model.join(MODEL_FILE)) => Some("model"),
        () => None,
    };
    match what {
        None => refuse_existing(out, force),
        Some(what) => Err(Error::setting(
            format!("{} is the {what} itself: the predictions would replace it", out.display()),
            "another file, as -o predictions.csv",
        )),
    }
}

/// Predictions are CSV, and a file of another format's name would not be read as such.
fn check_name(out: &Path) -> Result<(), Error> {
    const OTHERS: [&str; 9] =
        ["parquet", "arrow", "arrows", "feather", "ndjson", "jsonl", "json", "gz", "zst"];
    let end = out.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
    if !OTHERS.contains(&end.as_str()) {
        return Ok(());
    }
    let csv = match end.as_str() {
        // The name may end with .csv before that.
        "gz" | "zst" => out.with_extension(""),
        _ => out.to_owned(),
    };
    let pack = match end.as_str() {
        "gz" => ", or -o - | gzip",
        "zst" => ", or -o - | zstd",
        _ => "",
    };
    Err(Error::setting(
        format!("-o {}: predictions are written as CSV, and not as .{end}", out.display()),
        format!("-o {}{pack}", text::path(&csv.with_extension("csv"))),
    ))
}

/// What the table held that the training rows did not.
pub(crate) fn report_notes(notes: &PredictNotes) {
    for note in &notes.cells {
        text::note(&format!("note: {}", note.what()));
    }
    for column in &notes.transform.columns {
        let name = text::name(&column.column);
        if column.missing > 0 {
            let n = text::counted(column.missing, "missing cell");
            text::note(&format!("note: column `{name}`: {n}, filled in as in training"));
        }
        if column.unseen > 0 {
            let n = text::counted(column.unseen, "cell");
            let examples: Vec<String> =
                column.examples.iter().map(|e| format!("`{}`", text::name(e))).collect();
            let examples = examples.join(", ");
            text::note(&format!(
                "note: column `{name}`: {n} of categories not seen in training ({examples}), taken as none of \
                 those known"
            ));
        }
    }
    if let Some((first, others)) = notes.ignored.split_first() {
        const MOST: usize = 10;
        let mut names = format!("`{}`", text::name(first));
        for name in others.iter().take(MOST - 1) {
            let _ = write!(names, ", `{}`", text::name(name));
        }
        if notes.ignored.len() > MOST {
            let _ = write!(names, " and {} more", text::count(notes.ignored.len() - MOST));
        }
        let n = text::counted(notes.ignored.len(), "column");
        text::note(&format!("note: {n} that the model does not use: {names}"));
    }
    if let Some(first) = notes.not_finite.first() {
        let n = text::counted(notes.n_not_finite, "prediction");
        let verb = if notes.n_not_finite == 1 { "is" } else { "are" };
        text::note(&format!(
            "warning: {n} {verb} not finite, the first in row {}: its inputs are far beyond those of training",
            text::count(first + 1)
        ));
    }
}

/// The shortest text that reads back as the same number: `0.25`, `5e-14`.
fn decimal(x: f64) -> String {
    let text = format!("{x:?}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// The cells in front of a prediction: the file of its row, and the line in it.
fn place(block: &RawTable, row: usize) -> [String; 2] {
    let file = block.file(row).map_or(String::new(), |file| file.display().to_string());
    [file, block.line(row).map_or(String::new(), |line| line.to_string())]
}

/// What stands in front of predictions.
struct Columns {
    /// Whether the file and line of each row do.
    places: bool,
    /// Columns of the table.
    kept: Vec<usize>,
}

impl Columns {
    /// `prediction`, and `probability_<class>` for each class, behind what stands in front of them.
    fn header(&self, block: &RawTable, predictions: &Predictions, classes: &[String]) -> Vec<String> {
        let mut header: Vec<String> = Vec::new();
        if self.places {
            header.extend(["file", "line"].map(String::from));
        }
        header.extend(self.kept.iter().map(|&column| block.name(column).to_owned()));
        header.push("prediction".into());
        if matches!(predictions, Predictions::Probabilities { .. }) {
            header.extend(classes.iter().map(|class| format!("probability_{class}")));
        }
        header
    }

    /// The cells in front of a prediction.
    fn cells(&self, block: &RawTable, row: usize) -> Vec<String> {
        let places = self.places.then(|| place(block, row)).into_iter().flatten();
        let kept = self.kept.iter().map(|&column| block.value(row, column).unwrap_or_default().to_owned());
        places.chain(kept).collect()
    }
}

/// Two columns of one name could not be told apart.
fn check_names(header: &[String]) -> Result<(), Error> {
    let twice = header.iter().enumerate().find(|(i, name)| header[..*i].contains(name));
    twice.map_or(Ok(()), |(_, name)| {
        Err(Error::setting(
            format!("--keep: column `{}` is named like one of the predictions", text::name(name)),
            "leave it out, or rename it in the table",
        ))
    })
}

/// One line a row of a block, each as [`Columns::header`] says.
///
/// Where the probabilities are not finite, no class is predicted.
fn to_csv(
    predictions: &Predictions,
    classes: &[String],
    block: &RawTable,
    columns: &Columns,
    with_header: bool,
) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if with_header {
        writer.write_record(columns.header(block, predictions, classes))?;
    }
    let front = |row: usize| columns.cells(block, row).into_iter();
    match predictions {
        Predictions::Values(values) => {
            for (row, value) in values.iter().enumerate() {
                writer.write_record(front(row).chain([decimal(*value)]))?;
            }
        }
        Predictions::Probabilities { n_classes, p } => {
            for (row, p) in p.chunks_exact(*n_classes).enumerate() {
                let finite = p.iter().all(|p| p.is_finite());
                let class = if finite { classes[decide(p) as usize].clone() } else { String::new() };
                writer.write_record(front(row).chain([class]).chain(p.iter().copied().map(decimal)))?;
            }
        }
    }
    Ok(writer.into_inner()?)
}
