//! From what a user typed to the model file that is meant, or else to what may have been meant.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::data::words::listed;
use crate::error::{Error, Result, nearest};
use crate::model::MODEL_FILE;

/// The model file at `path`: the file itself, or that of a run folder.
pub(crate) fn find_model(path: &Path) -> Result<PathBuf> {
    let inside = path.join(MODEL_FILE);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if inside.is_file() {
        return Ok(inside);
    }
    let (what, remedy) = if path.is_dir() { folder_without(path) } else { nothing_there(path) };
    Err(Error::model(what, remedy))
}

/// What a folder without a model is, and what to give in its place.
fn folder_without(folder: &Path) -> (String, String) {
    let shown = folder.display();
    let runs = runs_in(folder);
    if let Some(latest) = runs.iter().max_by_key(|run| changed(run)) {
        let names: Vec<String> = runs.iter().filter_map(|run| name_of(run)).collect();
        let names = listed(names.iter().map(String::as_str));
        return (
            format!("{shown} is no run folder itself; the models in it: {names}"),
            format!("one of them: {} is the latest", latest.display()),
        );
    }
    let holds = |name: &str| folder.join(name).is_file();
    if holds("ablation.csv") {
        return (
            format!("{shown} holds a study of techniques, which keeps no model"),
            "train with the settings that it speaks for: statera train DATA --target COLUMN --set KEY=VALUE"
                .into(),
        );
    }
    if holds("events.jsonl") {
        return (
            format!("{shown} holds a run that ended before its model was saved: there is no {MODEL_FILE}"),
            format!("go on with it: statera train --resume {shown}"),
        );
    }
    (format!("{shown} is no run folder: there is no {MODEL_FILE} in it"), TRAIN_ONE.into())
}

const TRAIN_ONE: &str =
    "give a run folder such as runs/insurance-1, or train one: statera train DATA --target COLUMN";

/// The words for a path that leads nowhere, with the model of a similar name beside it or in `runs`.
fn nothing_there(path: &Path) -> (String, String) {
    let what = format!("there is no model at {}", path.display());
    let Some(wanted) = name_of(path) else { return (what, TRAIN_ONE.into()) };
    let beside = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = runs_in(beside);
    if beside == Path::new(".") {
        found.extend(runs_in(Path::new("runs")));
    }
    let names: Vec<String> = found.iter().filter_map(|run| name_of(run)).collect();
    let near = nearest(&wanted, names.iter().map(String::as_str));
    match near.and_then(|near| found.iter().find(|run| name_of(run).as_deref() == Some(near))) {
        Some(run) => {
            let run = run.strip_prefix(".").unwrap_or(run);
            (what, format!("did you mean {}?", run.display()))
        }
        None => (what, TRAIN_ONE.into()),
    }
}

/// The run folders and model files in a folder, by name.
fn runs_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_model = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "safetensors") || path.join(MODEL_FILE).is_file()
    };
    let mut found: Vec<PathBuf> = entries.filter(is_model).collect();
    found.sort_unstable();
    found
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// When a run was saved; of two at the same time the later name counts as later.
fn changed(run: &Path) -> (Option<SystemTime>, PathBuf) {
    let file = if run.is_dir() { run.join(MODEL_FILE) } else { run.to_owned() };
    (file.metadata().and_then(|file| file.modified()).ok(), run.to_owned())
}
