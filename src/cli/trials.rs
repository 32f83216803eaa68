//! The trials of a study, and what the best is worth, as text and as CSV.

use std::fmt::Write as _;

use statera::tune::{Chosen, State, Trial};

use super::results::untested;
use super::text;

/// A setting's name in a table's head: the last part of its key.
fn head(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// Settings in a few words: `epochs=64 batch_size=8`.
pub(super) fn short_settings(settings: &[(String, String)]) -> String {
    let words: Vec<String> =
        settings.iter().map(|(key, v)| format!("{}={}", head(key), v.trim_matches('"'))).collect();
    words.join(" ")
}

/// The trials as a table, the best first, then those without a figure.
pub(super) fn listing(trials: &[Trial], top: usize) -> String {
    let mut sorted: Vec<&Trial> = trials.iter().filter(|trial| trial.state != State::Running).collect();
    let rank = |trial: &Trial| (u8::from(trial.state != State::Done), trial.metric.unwrap_or(f64::INFINITY));
    sorted.sort_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let n = if top == 0 { sorted.len() } else { top.min(sorted.len()) };
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in sorted.iter().flat_map(|trial| &trial.settings) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let mut heads = vec!["trial", "val", "epochs", "best", "time", "state"];
    heads.extend(keys.iter().map(|key| head(key)));
    let mut rows = vec![heads.into_iter().map(String::from).collect::<Vec<_>>()];
    for trial in &sorted[..n] {
        let mut row = vec![
            trial.number.to_string(),
            trial.metric.map_or("–".into(), text::number),
            trial.epochs.to_string(),
            trial.best_epoch.map_or("–".into(), |epoch| epoch.to_string()),
            text::seconds(trial.seconds),
            trial.state.name().to_owned(),
        ];
        let value = |key: &&str| {
            let found = trial.settings.iter().find(|(k, _)| k == key);
            found.map_or("–".into(), |(_, literal)| literal.trim_matches('"').to_owned())
        };
        row.extend(keys.iter().map(value));
        rows.push(row);
    }
    let mut right = vec![true, true, true, true, true, false];
    right.extend(keys.iter().map(|_| true));
    let mut out = text::table(&rows, &right);
    if n < sorted.len() {
        let _ = writeln!(out, "  … and {} more", sorted.len() - n);
    }
    let failed: Vec<&Trial> = trials.iter().filter(|trial| trial.state == State::Failed).collect();
    if let Some(first) = failed.first() {
        let which = if failed.len() == 1 { "trial" } else { "the first" };
        let n = text::counted(failed.len(), "trial");
        let reason = first.reason.split("; try: ").next().unwrap_or_default();
        out += &text::wrap(&format!("{n} failed ({which} {}: {reason})", first.number), 0);
    }
    out
}

/// What the best settings are worth.
pub(super) fn results(chosen: &Chosen, again: bool) -> String {
    let tested = &chosen.tested;
    let metric = tested.tuned.primary();
    let mut out = String::new();
    let best: Vec<String> = chosen.trials[0]
        .settings
        .iter()
        .map(|(key, v)| format!("--set {}", text::shell(&format!("{key}={}", v.trim_matches('"')))))
        .collect();
    out += "\n";
    out += &text::wrap(&format!("Best, trial {}: {}", chosen.trials[0].number, best.join(" ")), 0);
    if let Some(shares) = &chosen.importances {
        let mut shares: Vec<&(String, f64)> = shares.iter().collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        let words: Vec<String> =
            shares.iter().map(|(key, share)| format!("{key} {:.0} %", 100.0 * share)).collect();
        out += "\n";
        out += &text::wrap(&format!("What matters (PED-ANOVA): {}", words.join(", ")), 0);
    }
    if let Some(spread) = &chosen.spread {
        let failed = spread.metrics.iter().filter(|(_, metric)| metric.is_none()).count();
        let n = text::counted(spread.metrics.len(), "other seed");
        let words = match spread.figures() {
            Some([least, mean, greatest]) => format!(
                "With {n} the same settings reach a validation {metric} of {} on average, from {} to {}; the trial had {}",
                text::number(mean),
                text::number(least),
                text::number(greatest),
                chosen.trials[0].metric.map_or("none".into(), text::number)
            ),
            None => format!("With {n} the same settings could not be trained"),
        };
        let failed = if failed > 0 { format!("; {failed} failed") } else { String::new() };
        out += "\n";
        out += &text::wrap(&format!("{words}{failed}."), 0);
    }
    let tuned = &tested.tuned;
    let numbers: Vec<String> = chosen.trials.iter().map(|trial| trial.number.to_string()).collect();
    if numbers.len() > 1 {
        let who = format!("{} best trials predict together: {}", numbers.len(), numbers.join(", "));
        out += "\n";
        out += &text::wrap(&format!("The models of the {who}."), 0);
    }
    let untuned = match &tested.untuned {
        Ok(untuned) => Some(untuned),
        Err(why) => {
            out += "\n";
            out += &text::wrap(&format!("The untuned settings could not be trained: {why}"), 0);
            None
        }
    };
    if tuned.test.is_empty() {
        out += "\nNo test rows, so no test figures.\n";
        return out;
    }
    let _ = write!(
        out,
        "\nTest on {}, looked at {}; tuned: trained on {} for {}\n\n",
        text::counted(tuned.n_rows.test, "row"),
        if again { "once more: an earlier end of this study was tested on them" } else { "once" },
        text::counted(tuned.n_rows.train, "row"),
        epochs(&chosen.trials),
    );
    let mut header = ["metric", "tuned", "", "untuned", ""].map(String::from).to_vec();
    header.extend(tuned.baselines.iter().map(|b| b.name.replace('_', " ")));
    let mut rows = vec![header];
    for m in &tuned.test {
        let other = untuned.and_then(|untuned| untuned.test.iter().find(|other| other.name == m.name));
        let interval = |interval: Option<[f64; 2]>| {
            interval.map_or(String::new(), |[a, b]| format!("[{}, {}]", text::number(a), text::number(b)))
        };
        let mut row = vec![m.name.to_owned(), text::number(m.value), interval(m.interval)];
        row.push(other.map_or("–".into(), |other| text::number(other.value)));
        row.push(other.map_or(String::new(), |other| interval(other.interval)));
        for b in &tuned.baselines {
            let value = b.metrics.iter().find(|(name, _)| *name == m.name);
            row.push(value.map_or("–".into(), |(_, value)| text::number(*value)));
        }
        rows.push(row);
    }
    out += &text::table(&rows, &[false, true, false, true, false, true, true]);
    out += &untested(tuned);
    if let Some(gain) = tested.gain {
        let interval =
            gain.interval.map_or(String::new(), |[a, b]| format!(" [{:.1}, {:.1}]", 100.0 * a, 100.0 * b));
        let words = if gain.share >= 0.0 { "better" } else { "worse" };
        let sure = gain.interval.is_some_and(|[a, b]| a > 0.0 || b < 0.0);
        let caution = if sure { "" } else { ", which chance alone may be" };
        out += "\n";
        out += &text::wrap(
            &format!(
                "Tuning made test {metric} {words} by {:.1} %{interval}{caution}.",
                100.0 * gain.share.abs()
            ),
            0,
        );
    }
    out
}

/// For how many epochs each of these was trained anew: `12 epochs`, `12, 40 and 7 epochs`.
fn epochs(trials: &[Trial]) -> String {
    let epochs: Vec<usize> = trials.iter().map(|trial| trial.best_epoch.unwrap_or(1)).collect();
    let (last, before) = epochs.split_last().expect("there is a best trial");
    if before.is_empty() {
        return text::counted(*last, "epoch");
    }
    let before: Vec<String> = before.iter().map(ToString::to_string).collect();
    format!("{} and {}", before.join(", "), text::counted(*last, "epoch"))
}

pub(super) fn csv(trials: &[Trial]) -> anyhow::Result<Vec<u8>> {
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in trials.iter().flat_map(|trial| &trial.settings) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = ["trial", "state", "metric", "epochs", "best_epoch", "seconds", "reason"];
    writer.write_record(head.iter().chain(&keys))?;
    for trial in trials {
        let mut record = vec![
            trial.number.to_string(),
            trial.state.name().to_owned(),
            trial.metric.map_or(String::new(), |metric| metric.to_string()),
            trial.epochs.to_string(),
            trial.best_epoch.map_or(String::new(), |epoch| epoch.to_string()),
            trial.seconds.to_string(),
            trial.reason.clone(),
        ];
        for key in &keys {
            let found = trial.settings.iter().find(|(k, _)| k == key);
            record.push(found.map_or(String::new(), |(_, literal)| literal.trim_matches('"').to_owned()));
        }
        writer.write_record(&record)?;
    }
    Ok(writer.into_inner()?)
}
