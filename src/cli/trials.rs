//! The trials of a study, and what the best is worth, as text and as CSV.

use std::fmt::Write as _;

use statera::run::Report;
use statera::run::report::TestGroups;
use statera::train::bootstrap::Gain;
use statera::tune::{Chosen, State, Tested, Trial};

use super::results::{drawn_by, rough, untested};
use super::text;

/// What makes intervals over groups possible where there is one.
const MORE_GROUPS: &str = "a new study with --set split.test=0.3";

/// The heads of the columns of trials that stand before those of settings.
const HEADS: [&str; 6] = ["trial", "val", "epochs", "best", "time", "state"];

/// The names of settings in a table's head: the last part of each key, or the section of a `name`; the whole key where that
/// would be the name of two columns. Of a single column of the table, its name stays.
fn heads(keys: &[&str]) -> Vec<String> {
    let short = |key: &str| {
        if let Some(of_column) = key.strip_prefix("data.columns.") {
            return of_column.to_owned();
        }
        let (before, last) = key.rsplit_once('.').unwrap_or(("", key));
        if last == "name" {
            before.rsplit('.').next().unwrap_or_default().to_owned()
        } else {
            last.to_owned()
        }
    };
    let all: Vec<String> = keys.iter().map(|key| short(key)).collect();
    let is_one = |head: &String| {
        !HEADS.contains(&head.as_str()) && all.iter().filter(|other| *other == head).count() == 1
    };
    keys.iter()
        .zip(&all)
        .map(|(key, head)| if is_one(head) { head.clone() } else { (*key).to_owned() })
        .collect()
}

/// Settings in a few words: `hidden=[64] batch_size=8`.
pub(super) fn short_settings(settings: &[(String, String)]) -> String {
    let keys: Vec<&str> = settings.iter().map(|(key, _)| key.as_str()).collect();
    let values = settings.iter().map(|(_, value)| value.trim_matches('"'));
    let words: Vec<String> = heads(&keys).iter().zip(values).map(|(head, v)| format!("{head}={v}")).collect();
    words.join(" ")
}

/// Settings as they stand on a command line.
pub(super) fn as_sets(settings: &[(String, String)]) -> String {
    let sets = settings
        .iter()
        .map(|(key, v)| format!("--set {}", text::shell(&format!("{key}={}", v.trim_matches('"')))));
    sets.collect::<Vec<_>>().join(" ")
}

/// How many trials there are of each kind, where there are any: `9 done, 1 pruned, 2 interrupted`.
pub(super) fn tally(trials: &[Trial]) -> String {
    let some = State::count(trials).into_iter().filter(|(_, n)| *n > 0);
    let words: Vec<String> = some.map(|(state, n)| format!("{} {state}", text::count(n))).collect();
    if words.is_empty() { "none begun".to_owned() } else { words.join(", ") }
}

/// The trials, the best first, then those that cannot be chosen, then those that are not over.
pub(super) fn ranked(trials: &[Trial]) -> Vec<&Trial> {
    let mut sorted: Vec<&Trial> = trials.iter().collect();
    let rank = |trial: &Trial| {
        let kind = u8::from(trial.state != State::Done) + u8::from(!trial.state.is_over());
        (kind, trial.metric.unwrap_or(f64::INFINITY))
    };
    sorted.sort_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    sorted
}

/// The trials as a table, in the order of [`ranked`].
pub(super) fn listing(trials: &[Trial], top: usize) -> String {
    let sorted = ranked(trials);
    let n = if top == 0 { sorted.len() } else { top.min(sorted.len()) };
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in sorted.iter().flat_map(|trial| &trial.settings) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let mut rows = vec![HEADS.into_iter().map(String::from).chain(heads(&keys)).collect::<Vec<_>>()];
    for trial in &sorted[..n] {
        let mut row = vec![
            trial.number.to_string(),
            trial.metric.map_or("–".into(), text::number),
            trial.epochs.to_string(),
            trial.best_epoch.map_or("–".into(), |epoch| epoch.to_string()),
            if trial.state.is_over() { text::seconds(trial.seconds) } else { "–".into() },
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
    let mut out = text::wide_table(&rows, &right);
    if n < sorted.len() {
        let _ = writeln!(out, "  … and {} more", sorted.len() - n);
    }
    for state in [State::Failed, State::Diverged] {
        // What diverged later has a figure, that of the weights from before.
        let lost: Vec<&Trial> =
            trials.iter().filter(|trial| trial.state == state && trial.metric.is_none()).collect();
        let Some(first) = lost.first() else { continue };
        let which = if lost.len() == 1 { "" } else { ", the first" };
        let all = trials.iter().filter(|trial| trial.state == state).count();
        // Of these, the table shows a figure of some.
        let n = match all - lost.len() {
            0 => text::counted(all, "trial"),
            _ => format!("{} of {}", text::count(lost.len()), text::counted(all, "trial")),
        };
        let left = if all == lost.len() { "" } else { " without weights to judge" };
        let reason = first.reason.split("; try: ").next().unwrap_or_default();
        let what = format!("{n} {}{left} (trial {}{which}: {reason})", state.name(), first.number);
        out += &text::wrap(&what, 0);
    }
    out
}

/// What the best settings are worth.
pub(super) fn results(chosen: &Chosen, again: bool) -> String {
    let tested = &chosen.tested;
    let metric = tested.tuned.primary();
    let mut out = String::new();
    let best = as_sets(&chosen.trials[0].settings);
    let best = if best.is_empty() {
        "none of the searched settings has an effect beside the others".to_owned()
    } else {
        best
    };
    out += "\n";
    // Not wrapped: it is to be pasted behind a command.
    let _ = writeln!(out, "Best, trial {}: {best}", chosen.trials[0].number);
    if let (Ok((untuned, _)), Some(val)) = (&tested.untuned, chosen.trials[0].metric) {
        out += "\n";
        out += &text::wrap(&beside_untuned(metric, untuned.val, val), 0);
    }
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
    out += &together(chosen);
    if let Err(why) = &tested.untuned {
        out += "\n";
        out += &text::wrap(&format!("The untuned settings could not be trained: {why}"), 0);
    }
    if tuned.test.is_empty() {
        out += "\nNo test rows, so no test figures.\n";
        return out;
    }
    let looked = if again { "once more: an earlier end of this study was tested on them" } else { "once" };
    let mut test = format!(
        "Test on {}, looked at {looked}; tuned: trained on {} (training and validation rows) for {}",
        text::counted(tuned.n_rows.test, "row"),
        text::counted(tuned.n_rows.train, "row"),
        epochs(&chosen.trials),
    );
    test += &match &tested.untuned {
        Ok((_, untuned)) => {
            format!("; untuned: on the same rows for {}.", text::counted(untuned.best_epoch, "epoch"))
        }
        Err(_) => ".".to_owned(),
    };
    if tuned.resamples > 0 {
        let (percent, n) = (tuned.percent(), text::count(tuned.resamples));
        let of = drawn_by(tuned.groups.as_ref());
        let _ = write!(test, " In brackets: {percent} % intervals{of} from {n} bootstrap resamples.");
    }
    out += "\n";
    out += &text::wrap(&test, 0);
    out += "\n";
    out += &figures(tested);
    out += &untested(tuned);
    if let Some(verdict) = tuned.verdict() {
        let _ = write!(out, "\n{}", text::wrap(&verdict.text, 0));
    }
    out += &gains(tested);
    if let Some(doubt) = tuned.groups.as_ref().and_then(|groups| groups.doubt(Some(MORE_GROUPS))) {
        let _ = write!(out, "\n{}", text::wrap(&doubt, 0));
    }
    out + &rough(tuned)
}

/// What the best trial and the untuned settings reach on the validation rows, which the best was chosen by.
fn beside_untuned(metric: &str, untuned: f64, best: f64) -> String {
    let share = (untuned - best) / best.abs();
    let words = match share {
        s if s.is_finite() && s != 0.0 => {
            format!(" ({:.1} % {})", 100.0 * s.abs(), if s > 0.0 { "more" } else { "less" })
        }
        _ => String::new(),
    };
    let advice = if share < 0.0 {
        " No trial was better than the settings as they are: search longer or elsewhere, or train with these alone \
         (`statera train` with the config.toml of the study)."
    } else {
        ""
    };
    format!(
        "Validation {metric}, by which it was chosen: {}; untuned: {}{words}.{advice}",
        text::number(best),
        text::number(untuned)
    )
}

/// Which models predict together, and why they are not as many as were asked for.
fn together(chosen: &Chosen) -> String {
    let numbers: Vec<String> = chosen.trials.iter().map(|trial| trial.number.to_string()).collect();
    let n = numbers.len();
    if chosen.asked < 2 {
        return String::new();
    }
    let who = if n < 2 {
        "its model predicts alone".to_owned()
    } else {
        format!("the models of the {n} best trials predict together: {}", numbers.join(", "))
    };
    let told = if n < chosen.asked {
        let came = if n == 1 { "trial has" } else { "trials have" };
        let columns = match chosen.unlike {
            0 => String::new(),
            unlike => format!(
                " that takes the columns as the best one does ({} not)",
                if unlike == 1 { "1 does".to_owned() } else { format!("{} do", text::count(unlike)) }
            ),
        };
        format!(
            "--ensemble {}: only {n} {came} come to the end with a training unlike the others'{columns}, so {who}.",
            chosen.asked
        )
    } else {
        format!("The{}.", who.trim_start_matches("the"))
    };
    format!("\n{}", text::wrap(&told, 0))
}

/// The figures on the test rows, side by side.
fn figures(tested: &Tested) -> String {
    let tuned = &tested.tuned;
    let mut columns = match &tested.alone {
        Some(alone) => vec![("together", tuned), ("best alone", alone)],
        None => vec![("tuned", tuned)],
    };
    columns.extend(tested.untuned.as_ref().ok().map(|(_, untuned)| ("untuned", untuned)));
    let mut header = vec!["metric".to_owned()];
    header.extend(columns.iter().flat_map(|(head, _)| [(*head).to_owned(), String::new()]));
    header.extend(tuned.baselines.iter().map(|b| b.name.replace('_', " ")));
    let mut rows = vec![header];
    for m in &tuned.test {
        let of = |report: &Report| report.test.iter().find(|other| other.name == m.name).cloned();
        let measured: Vec<_> = columns.iter().map(|(_, report)| of(report)).collect();
        let simple = tuned.baselines.iter().map(|b| b.metrics.iter().find(|(name, _)| *name == m.name));
        let simple: Vec<Option<f64>> = simple.map(|found| found.map(|(_, value)| *value)).collect();
        let values = measured.iter().flatten().map(|m| m.value).chain(simple.iter().flatten().copied());
        let largest = values.fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let number = |x| text::number_beside(x, largest);
        let mut row = vec![m.name.to_owned()];
        for m in &measured {
            row.push(m.as_ref().map_or("–".into(), |m| number(m.value)));
            let interval = m.as_ref().and_then(|m| m.interval);
            row.push(interval.map_or(String::new(), |[a, b]| format!("[{}, {}]", number(a), number(b))));
        }
        row.extend(simple.into_iter().map(|value| value.map_or("–".into(), number)));
        rows.push(row);
    }
    let mut right = vec![false];
    right.extend(columns.iter().flat_map(|_| [true, false]));
    right.extend(tuned.baselines.iter().map(|_| true));
    text::wide_table(&rows, &right)
}

/// What tuning was worth on the test rows, and what predicting together was.
fn gains(tested: &Tested) -> String {
    let metric = tested.tuned.primary();
    let groups = tested.tuned.groups.as_ref();
    let of_tuning = tested.gain.map(|gain| match words(&gain, groups) {
        Said::Sure(words) => format!("Tuning made test {metric} {words}."),
        Said::Unsure(words) => {
            format!("No difference seen between tuned and untuned settings: test {metric} {words}.")
        }
    });
    let of_ensemble = tested.gain_together.map(|gain| match words(&gain, groups) {
        Said::Sure(words) if gain.share < 0.0 => {
            format!("Predicting together made it {words} than with the best trial alone, which --ensemble 1 keeps.")
        }
        Said::Sure(words) => format!("Predicting together made it {words} than with the best trial alone."),
        Said::Unsure(words) => {
            format!(
                "No difference seen between the ensemble and the best trial alone: test {metric} {words}."
            )
        }
    });
    let told: Vec<String> =
        of_tuning.into_iter().chain(of_ensemble).map(|line| text::wrap(&line, 0)).collect();
    if told.is_empty() { String::new() } else { format!("\n{}", told.concat()) }
}

/// A gain in words, of which chance may be the cause or not.
enum Said {
    Sure(String),
    Unsure(String),
}

/// `worse by 6.4 % [2.6, 9.8]`: the interval has the direction of the words, so that a negative end is on the other side.
/// Where the test rows are in groups, one of them gives no interval.
fn words(gain: &Gain, groups: Option<&TestGroups>) -> Said {
    let (word, sign) = if gain.share >= 0.0 { ("better", 1.0) } else { ("worse", -1.0) };
    // What rounds to nothing has no sign.
    let percent = |x: f64| match format!("{:.1}", 100.0 * sign * x).as_str() {
        "-0.0" => "0.0".to_owned(),
        text => text.to_owned(),
    };
    let by = format!("{word} by {} %", percent(gain.share));
    if let Some([a, b]) = gain.interval {
        let [low, high] = if sign > 0.0 { [a, b] } else { [b, a] };
        let said = format!("{by} [{}, {}]", percent(low), percent(high));
        if a > 0.0 || b < 0.0 { Said::Sure(said) } else { Said::Unsure(said) }
    } else {
        let why = groups.filter(|groups| groups.n == 1).map_or(String::new(), |groups| {
            format!(", as all test rows are of one group of `{}`", text::name(&groups.column))
        });
        Said::Unsure(format!("{by}, with no interval to tell it from chance{why}"))
    }
}

/// For how many epochs each of these was trained anew: `12 epochs`, `12, 40 and 7 epochs`, `7 to 40 epochs`.
fn epochs(trials: &[Trial]) -> String {
    let epochs: Vec<usize> = trials.iter().map(|trial| trial.best_epoch.unwrap_or(1)).collect();
    let (last, before) = epochs.split_last().expect("there is a best trial");
    if before.is_empty() {
        return text::counted(*last, "epoch");
    }
    if before.iter().all(|n| n == last) {
        return format!("{} each", text::counted(*last, "epoch"));
    }
    let (least, most) =
        (epochs.iter().min().expect("there is one"), epochs.iter().max().expect("there is one"));
    if before.len() > 2 {
        return format!("{least} to {}", text::counted(*most, "epoch"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_columns_have_one_head() {
        let keys = [
            "optimizer.name",
            "train.epochs",
            "train.batch_size",
            "data.columns.a.scale",
            "data.columns.b.scale",
        ];
        let told = ["optimizer", "train.epochs", "batch_size", "a.scale", "b.scale"];
        assert_eq!(heads(&keys), told);
        let settings = [("loss.name", "\"mae\""), ("train.batch_size", "8")];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(short_settings(&settings), "loss=mae batch_size=8");
    }

    #[test]
    fn an_interval_has_the_direction_of_its_words() {
        let said = |share: f64, interval: Option<[f64; 2]>| match words(
            &Gain { share, interval, replicates: 100 },
            None,
        ) {
            Said::Sure(words) => format!("sure: {words}"),
            Said::Unsure(words) => format!("unsure: {words}"),
        };
        assert_eq!(said(-0.064, Some([-0.098, -0.026])), "sure: worse by 6.4 % [2.6, 9.8]");
        assert_eq!(said(0.064, Some([0.026, 0.098])), "sure: better by 6.4 % [2.6, 9.8]");
        assert_eq!(said(-0.02, Some([-0.079, 0.051])), "unsure: worse by 2.0 % [-5.1, 7.9]");
        assert_eq!(said(0.0, Some([0.0, 0.0])), "unsure: better by 0.0 % [0.0, 0.0]");
        assert_eq!(said(-0.02, Some([-0.05, 0.0])), "unsure: worse by 2.0 % [0.0, 5.0]");
        assert_eq!(said(-0.02, None), "unsure: worse by 2.0 %, with no interval to tell it from chance");
    }
}
