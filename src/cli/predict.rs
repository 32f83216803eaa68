//! `statera predict`

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use statera::Error;
use statera::data::{RawTable, ReadOptions, read_csv};
use statera::model::{Model, PredictNotes};
use statera::train::metrics::{Predictions, decide};

use super::{text, thread_pool};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A run folder or a model file
    model: PathBuf,
    /// The table; the target column is not needed
    data: PathBuf,
    /// The CSV file to write (default: standard output)
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
    /// A further word that stands for a missing cell (repeatable)
    #[arg(long, value_name = "WORD")]
    null: Vec<String>,
    /// Threads to compute with; 0 takes one a core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// No notes
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    thread_pool(arguments.threads)?.install(|| predict(arguments))
}

fn predict(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(out) = &arguments.out {
        check_out(out, &arguments.data)?;
    }
    let model = Model::load(&arguments.model)?;
    let raw = read_table(&model, &arguments.data, &arguments.null)?;
    let rows: Vec<usize> = (0..raw.n_rows()).collect();
    let (predictions, notes) = model.predict_rows(&raw, &rows)?;
    let csv = to_csv(&predictions, &model.card.target.classes)?;
    match &arguments.out {
        Some(out) => statera::files::write_atomically(out, &csv)?,
        None => std::io::stdout().lock().write_all(&csv)?,
    }
    if !arguments.quiet {
        report_notes(&notes);
        if let Some(out) = &arguments.out {
            eprintln!("{} predictions written to {}", text::count(rows.len()), out.display());
        }
    }
    Ok(())
}

/// The table, read with the model's own words for missing cells.
pub(crate) fn read_table(model: &Model, path: &Path, null: &[String]) -> Result<RawTable, Error> {
    let null_words = model.card.null.iter().chain(null).cloned().collect();
    read_csv(path, &ReadOptions { null_words })
}

/// Predictions must not take the place of the table that they are made from.
fn check_out(out: &Path, data: &Path) -> Result<(), Error> {
    let same = out.canonicalize().is_ok_and(|out| data.canonicalize().is_ok_and(|data| data == out));
    if same {
        return Err(Error::setting(
            format!("{} is the table itself: the predictions would replace it", out.display()),
            "another -o",
        ));
    }
    Ok(())
}

/// What the table held that the training rows did not.
pub(crate) fn report_notes(notes: &PredictNotes) {
    for note in &notes.cells {
        eprintln!("note: {}", note.what);
    }
    for column in &notes.transform.columns {
        if column.missing > 0 {
            let n = text::count(column.missing);
            eprintln!("note: column `{}`: {n} missing cells, filled in as in training", column.column);
        }
        if column.unseen > 0 {
            let n = text::count(column.unseen);
            let examples = column.examples.join(", ");
            eprintln!(
                "note: column `{}`: {n} cells with categories not seen in training ({examples})",
                column.column
            );
        }
    }
    if !notes.ignored.is_empty() {
        eprintln!("note: columns that the model does not use: {}", notes.ignored.join(", "));
    }
}

/// `prediction`, and `probability_<class>` for each class; one line a row.
fn to_csv(predictions: &Predictions, classes: &[String]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    match predictions {
        Predictions::Values(values) => {
            writer.write_record(["prediction"])?;
            for value in values {
                writer.write_record([value.to_string()])?;
            }
        }
        Predictions::Probabilities { n_classes, p } => {
            let names = classes.iter().map(|class| format!("probability_{class}"));
            writer.write_record(std::iter::once("prediction".to_owned()).chain(names))?;
            for p in p.chunks_exact(*n_classes) {
                let class = &classes[decide(p) as usize];
                writer.write_record(std::iter::once(class.clone()).chain(p.iter().map(f64::to_string)))?;
            }
        }
    }
    Ok(writer.into_inner()?)
}
