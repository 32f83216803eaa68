//! `statera evaluate`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use statera::Error;
use statera::bag::Bag;
use statera::data::RawTable;
use statera::predict::{Evaluated, evaluate_table};
use statera::run::report::{TestGroups, intervals_json};
use statera::train::bootstrap::intervals;

use super::predict::report_notes;
use super::reading::{Reading, tell_skipped};
use super::results::drawn_by;
use super::{text, thread_pool, within};

/// Share of intervals that hold the true figure.
const CONFIDENCE: f64 = 0.95;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A run folder or a model file
    model: PathBuf,
    /// The table, with the target column: files, a folder, a pattern of names, or -
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// Go on also where a column has no cell that can be read
    #[arg(long)]
    allow_blank: bool,
    #[command(flatten)]
    reading: Reading,
    /// Resamples behind each 95 % interval; 0 for none
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = within::<usize>("evaluate.bootstrap"), allow_negative_numbers = true)]
    bootstrap: usize,
    /// The seed of the resampling
    #[arg(long, default_value_t = 0, value_parser = within::<u64>("seed"), allow_negative_numbers = true)]
    seed: u64,
    /// Threads to compute with; 0 takes one a core
    #[arg(long, default_value_t = 0, value_parser = within::<usize>("threads"), allow_negative_numbers = true)]
    threads: usize,
    /// Print the metrics as JSON
    #[arg(long)]
    json: bool,
    /// No notes about the table
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    thread_pool(arguments.threads)?.install(|| evaluate(arguments))
}

fn evaluate(arguments: &Arguments) -> anyhow::Result<()> {
    let model = Bag::load(&arguments.model)?;
    let mut reader = arguments.reading.open(model.first(), &arguments.data)?;
    let mut see = |block: &RawTable| {
        if block.first_row() == 0 {
            arguments.reading.tell_mark(model.first(), block);
        }
    };
    let Evaluated { predictions, truth, notes, n_missing, groups } =
        evaluate_table(&model, &mut reader, arguments.allow_blank, &mut see)?;
    let source = reader.source().to_owned();
    let read = reader.finish();
    tell_skipped(&read.skipped);
    let (card, n_rows) = (&model.first().card, predictions.len());
    let target = &card.target.column;
    let resamples = arguments.bootstrap;
    let measured =
        intervals(&predictions, truth.view(), groups.as_deref(), resamples, CONFIDENCE, arguments.seed);
    let group = &card.provenance.group;
    let groups = measured.n_groups.filter(|_| resamples > 0).map(|n| TestGroups { column: group.clone(), n });
    if !arguments.quiet {
        report_notes(&notes);
        if n_missing > 0 {
            let n = text::counted(n_missing, "row");
            text::note(&format!("note: {n} without `{target}` left out"));
        }
        if resamples > 0 && groups.is_none() && !group.is_empty() {
            text::note(&format!(
                "note: training kept the groups of `{}` together, and this table has no such column: intervals take its rows \
                 for independent",
                text::name(group)
            ));
        }
        if read.sha256 == card.provenance.data_sha256 {
            text::note(
                "note: the model was trained on this file, so these figures flatter; see metrics.json of its run",
            );
        }
    }
    if !notes.not_finite.is_empty() {
        let n = text::counted(notes.n_not_finite, "prediction");
        return Err(Error::model(
            format!("{n} of {} not finite, so no figure is defined", text::count(n_rows)),
            "leave out the rows whose inputs are far beyond those of training; `statera predict` shows which",
        )
        .into());
    }
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let metrics: serde_json::Map<String, serde_json::Value> = measured
            .metrics
            .iter()
            .map(|(name, value, ci)| {
                let entry = match ci {
                    Some(ci) => serde_json::json!({ "value": value, "ci95": ci }),
                    None => serde_json::json!({ "value": value }),
                };
                ((*name).to_owned(), entry)
            })
            .collect();
        let document = serde_json::json!({
            "n_rows": n_rows,
            "metrics": metrics,
            "intervals": intervals_json(measured.replicates, CONFIDENCE, groups.as_ref()),
        });
        writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
        return Ok(());
    }
    let intervals = match measured.replicates {
        0 => String::new(),
        n => {
            let n = text::counted(n, "bootstrap resample");
            format!(" (95 % intervals{} from {n})", drawn_by(groups.as_ref()))
        }
    };
    writeln!(out, "`{}` on {} of {}{intervals}\n", target, text::counted(n_rows, "row"), source.display())?;
    let rows: Vec<Vec<String>> = measured
        .metrics
        .iter()
        .map(|(name, value, ci)| {
            let ci = ci.map_or(String::new(), |[a, b]| format!("[{}, {}]", text::number(a), text::number(b)));
            vec![(*name).to_owned(), text::number(*value), ci]
        })
        .collect();
    write!(out, "{}", text::table(&rows, &[false, true, false]))?;
    if let Some(doubt) = groups.and_then(|groups| groups.doubt(None)) {
        write!(out, "\n{}", text::wrap(&doubt, 0))?;
    }
    Ok(())
}
