//! What `statera inspect` shows of binary and sparse weights, and of the continuous twin.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use statera::config::{Config, WeightKind};
use statera::inspect::kinds::{KindCost, Time};
use statera::inspect::twin::{self, Twin};
use statera::model::Model;
use statera::run::report::primary;
use statera::train::events::{Answer, Event};
use statera::train::metrics::higher_is_better;

use super::progress::Progress;
use super::results::drawn_by;
use super::{text, thread_pool};

/// Differences of time up to this share are nothing to speak of.
const SAME: f64 = 0.05;

/// The layers, a line for each, and what is to be said of them.
pub(super) fn described(costs: &[KindCost], file_bytes: usize) -> String {
    let header = ["weight", "kind", "zeros", "bytes", "continuous"].map(String::from);
    let mut rows = vec![header.to_vec()];
    for time in costs.iter().take(1).flat_map(|cost| &cost.times) {
        let how = if time.rows == 1 { "µs, row alone".into() } else { format!("µs, of {}", time.rows) };
        rows[0].extend([how, "continuous".into()]);
    }
    for cost in costs {
        let mut row = vec![
            cost.name.clone(),
            cost.kind.to_string(),
            format!("{:.1} %", 100.0 * cost.zeros),
            text::count(cost.bytes),
            text::count(cost.continuous_bytes),
        ];
        for time in &cost.times {
            let largest = time.micros.max(time.continuous_micros);
            row.extend([time.micros, time.continuous_micros].map(|t| micros(t, largest)));
        }
        rows.push(row);
    }
    let mut out = "Binary and sparse weights beside continuous ones of the same shape\n\n".to_owned();
    out += &text::table(&rows, &[false, false, true, true, true, true, true, true, true]);
    let repeats = costs.iter().flat_map(|cost| &cost.times).map(|time| time.repeats).min().unwrap_or(0);
    let all = format!(
        "Bytes as they stand in the file, which has {} in all. Microseconds a row of the layer's product, a row alone and \
         in batches, measured now on one thread: the best of {} repeats or more, the two kinds in turns.",
        text::count(file_bytes),
        text::count(repeats)
    );
    let _ = write!(out, "\n{}", text::wrap(&all, 0));
    for cost in costs {
        out += &text::wrap(&verdict(cost), 0);
    }
    out
}

/// To three digits.
fn micros(time: f64, largest: f64) -> String {
    match largest {
        0.0..0.1 => format!("{time:.4}"),
        0.1..1.0 => format!("{time:.3}"),
        1.0..10.0 => format!("{time:.2}"),
        _ => format!("{time:.1}"),
    }
}

/// What a layer saves and costs, in plain words.
fn verdict(cost: &KindCost) -> String {
    let share = cost.bytes as f64 / cost.continuous_bytes.max(1) as f64;
    let stored = match (cost.is_compact, cost.kind) {
        (true, WeightKind::Sparse) => "in compressed rows",
        (true, _) => "as packed signs",
        (false, _) => "number by number, as compressed rows would take no fewer bytes",
    };
    let bytes = if share > 1.0 { "MORE than continuous weights" } else { "of the bytes" };
    let mut told = format!("{}: stored {stored}, {:.1} % {bytes}.", cost.name, 100.0 * share);
    for time in &cost.times {
        let _ = write!(told, " {}", speed(time, cost.kind));
    }
    told
}

fn speed(time: &Time, kind: WeightKind) -> String {
    let how = if time.rows == 1 { "A row alone".to_owned() } else { format!("In batches of {}", time.rows) };
    let ratio = time.micros / time.continuous_micros;
    let by_kind = time.rows_by_kind == time.rows;
    let used = if by_kind { format!("the {kind} kernel") } else { "the continuous product".to_owned() };
    let compared = if ratio > 1.0 + SAME {
        format!("the {kind} kernel is SLOWER, {ratio:.2} times the time")
    } else if ratio < 1.0 - SAME {
        format!("the {kind} kernel is faster, {ratio:.2} times the time")
    } else {
        format!("the {kind} kernel takes as long ({ratio:.2} times the time)")
    };
    let slow = match (by_kind, ratio) {
        (true, ratio) if ratio > 1.0 + SAME => {
            " all the same, which is the faster one on the machine that it was tuned on"
        }
        (false, ratio) if ratio < 1.0 - SAME => {
            ", which is the faster one on the machine that it was tuned on"
        }
        _ => "",
    };
    format!("{how}, {compared}; prediction uses {used}{slow}, to the same bits.")
}

/// The folder of a run, which has the settings of its twin: the folder itself, or that of the model file.
fn folder_of(path: &Path) -> Option<PathBuf> {
    let folder = if path.is_dir() { path } else { path.parent()? };
    folder.join("config.toml").is_file().then(|| folder.to_owned())
}

/// What to type to see what the kinds cost in the metric.
pub(super) fn hint(model: &Model, path: &Path) -> String {
    let metric = primary(model.card.target.task);
    let Some(folder) = folder_of(path) else {
        return format!(
            "What it costs in {metric} takes a continuous twin, trained alike: keep the run folder, whose settings say \
             how, and give it with --twin DATA"
        );
    };
    let data = Config::load(Some(&folder.join("config.toml")), &[]).map(|config| config.data.path);
    let data = data.map_or("DATA".into(), |path| text::shell(&text::path(&path)));
    let run = text::shell(&text::path(&folder));
    let command = text::unbroken(&format!("statera inspect {run} --twin {data}"));
    format!("What it costs in {metric} is shown by training the continuous twin: {command}")
}

/// Trains the twin and compares.
pub(super) fn twin_of(model: &Model, path: &Path, data: &Path) -> anyhow::Result<Twin> {
    let folder = folder_of(path).unwrap_or_else(|| path.to_owned());
    let config = twin::settings(&folder, data)?;
    let pool = thread_pool(config.threads)?;
    let mut progress = Progress::new(false);
    text::note("the continuous twin, trained with the same settings, seed and split:");
    let twin = pool.install(|| {
        twin::twin(model, config, &mut |event: &Event| {
            progress.show(event);
            Answer::GoOn
        })
    })?;
    text::note("");
    Ok(twin)
}

/// The run and its twin, metric by metric, and what is to be said of the first.
pub(super) fn compared(twin: &Twin) -> String {
    let n = text::counted(twin.n_test, "test row");
    let mut out = format!("\nOn the {n} of the run, beside its continuous twin\n\n");
    let mut rows = vec![["metric", "this model", "continuous twin", "difference"].map(String::from).to_vec()];
    for (name, ours, theirs) in &twin.metrics {
        let largest = ours.abs().max(theirs.abs());
        let number = |x: f64| text::number_beside(x, largest);
        let difference = ours - theirs;
        let sign = if difference > 0.0 { "+" } else { "" };
        rows.push(vec![
            (*name).to_owned(),
            number(*ours),
            number(*theirs),
            format!("{sign}{}", number(difference)),
        ]);
    }
    out += &text::table(&rows, &[false, true, true, true]);
    let Some(gain) = twin.gain else { return out };
    let percent = -100.0 * gain.share;
    let interval = gain.interval.map(|[a, b]| [-100.0 * b, -100.0 * a]);
    let span = interval.map_or(String::new(), |[a, b]| {
        let of = drawn_by(twin.trained.report.groups.as_ref());
        format!(" [{a:.1}, {b:.1}] ({} % interval{of}, paired)", (twin.confidence * 1e8).round() / 1e6)
    });
    let word = if percent > 0.0 { "worse" } else { "better" };
    let luck = match interval {
        Some([a, b]) if a <= 0.0 && b >= 0.0 => "; the interval includes 0, so this may be luck",
        _ => "",
    };
    let less = if higher_is_better(twin.primary) { "" } else { ", less being better" };
    let told = format!(
        "The loss in {}{less}: {percent:+.1} %{span}, {word} than the continuous twin{luck}. One seed and one split.",
        twin.primary
    );
    out + "\n" + &text::wrap(&told, 0)
}

/// The same for programmes.
pub(super) fn twin_json(twin: &Twin) -> Value {
    let metrics: serde_json::Map<String, Value> = twin
        .metrics
        .iter()
        .map(|(name, ours, theirs)| ((*name).to_owned(), json!({ "model": ours, "twin": theirs })))
        .collect();
    json!({
        "n_test": twin.n_test,
        "metrics": metrics,
        "metric": twin.primary,
        "gain": twin.gain.map(|gain| gain.share),
        "interval": twin.gain.and_then(|gain| gain.interval),
        "confidence": twin.confidence,
        "epochs_run": twin.trained.report.epochs_run,
        "best_epoch": twin.trained.report.best_epoch,
    })
}
