//! `statera tune --list`, with `--show` and `--export`: a study that is only looked at.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use statera::error::Error;
use statera::tune::{State, Trial, View, counts};

use super::text;
use super::trials::{csv, listing, ranked, tally};
use super::tune::{Arguments, to_resume};
use super::tune_end::of_other_tables;

/// The study that is only to be read, if that is asked for.
pub(super) fn study_to_read(arguments: &Arguments) -> Result<Option<&Path>, Error> {
    if arguments.list.is_none() && arguments.show.is_none() && arguments.export.is_none() {
        return Ok(None);
    }
    // Without a value of its own, the study stands where tables do.
    let named = arguments.list.as_deref().filter(|study| *study != Path::new("-"));
    match (named, &arguments.data[..]) {
        (Some(study), []) => Ok(Some(study)),
        (None, [study]) => Ok(Some(study)),
        (named, data) => Err(Error::setting(
            format!(
                "--list, --show and --export read one study; {} are named",
                data.len() + usize::from(named.is_some())
            ),
            "statera tune --list runs/TABLE-tune-1",
        )),
    }
}

/// Prints what is asked for of a study.
pub(super) fn list(arguments: &Arguments, study: &Path) -> anyhow::Result<ExitCode> {
    let view = View::open(study)?;
    let trials = view.trials()?;
    let mut out = std::io::stdout().lock();
    if let Some(number) = arguments.show {
        let trial =
            trials.iter().find(|trial| trial.number == number).ok_or_else(|| none_of(number, &trials))?;
        if arguments.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&trial_document(&view, trial)?)?)?;
        } else {
            write!(out, "{}", shown(&view, trial, study)?)?;
        }
    } else if arguments.export.is_some() {
        out.write_all(&csv(&trials)?)?;
    } else if arguments.json {
        let document = document(&view, &trials, arguments.top.unwrap_or(0))?;
        writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
    } else {
        let header = view.header()?;
        let many = text::counted(trials.len(), "trial");
        let (path, metric, table) = (text::path(study), header.metric, header.data_path);
        writeln!(out, "{path}: {many} ({}); validation {metric} of {table}\n", tally(&trials))?;
        write!(out, "{}", listing(&trials, arguments.top.unwrap_or(0)))?;
        write!(out, "{}", of_other_tables(&view.tables()?, trials.len()))?;
        let any = |state: State| trials.iter().any(|trial| trial.state == state);
        if any(State::Interrupted) || any(State::Waiting) && !any(State::Running) {
            writeln!(out, "\nWhat was interrupted goes on with: {}", to_resume(study, &table))?;
        } else if view.result().is_none() && trials.iter().all(|trial| trial.state.is_over()) {
            writeln!(
                out,
                "\nThe best have not been trained anew and tested yet: {}",
                to_resume(study, &table)
            )?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The trials of a study as JSON, the best first; of `top`, if it is not 0, no more than so many.
pub(super) fn document(view: &View, trials: &[Trial], top: usize) -> Result<Value, Error> {
    let header = view.header()?;
    let n = if top == 0 { trials.len() } else { top };
    Ok(json!({
        "data": header.data_path,
        "data_sha256": header.data_sha256,
        "tables": view.tables()?,
        "metric": header.metric,
        "trials": counts(trials),
        "list": ranked(trials).into_iter().take(n).map(Trial::to_json).collect::<Vec<_>>(),
    }))
}

/// A trial as JSON, with the figures of its epochs.
fn trial_document(view: &View, trial: &Trial) -> Result<Value, Error> {
    let mut document = trial.to_json();
    let curve: Vec<Value> = view
        .epochs(trial.number)?
        .into_iter()
        .map(|(epoch, [val, val_loss, train_loss])| {
            json!({ "epoch": epoch, "val": val, "val_loss": val_loss, "train_loss": train_loss })
        })
        .collect();
    document["curve"] = curve.into();
    Ok(document)
}

/// A trial and its epochs in words.
fn shown(view: &View, trial: &Trial, study: &Path) -> Result<String, Error> {
    let settings: Vec<String> = trial.settings.iter().map(|(key, v)| format!("{key}={v}")).collect();
    let Trial { number, state, reason, .. } = trial;
    let mut out = text::wrap(&format!("Trial {number}, {}: {}", state.name(), settings.join("  ")), 0);
    if *state == State::Interrupted {
        out += &format!("goes on with: {}\n", to_resume(study, &view.header()?.data_path));
    }
    if !reason.is_empty() {
        out += &text::wrap(reason, 0);
    }
    let mut rows = vec![["epoch", "val", "val loss", "train loss"].map(String::from).to_vec()];
    for (epoch, figures) in view.epochs(*number)? {
        let figure = |x: &Option<f64>| x.map_or("–".into(), text::number);
        rows.push([vec![epoch.to_string()], figures.iter().map(figure).collect()].concat());
    }
    if rows.len() > 1 {
        out += "\n";
        out += &text::table(&rows, &[true; 4]);
    }
    Ok(out)
}

fn none_of(number: u64, trials: &[Trial]) -> Error {
    let last = trials.last().map_or_else(String::new, |last| format!(", 0 to {}", last.number));
    Error::setting(
        format!("the study has no trial {number}; it has {}{last}", text::counted(trials.len(), "trial")),
        "`statera tune --list STUDY` numbers them",
    )
}
