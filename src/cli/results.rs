//! What `statera train` tells of a run that has come to its end.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;
use statera::run::report::TestGroups;
use statera::run::{Report, RunFolder};

use super::text;

/// With fewer test rows than this, the results say that they are rough.
const FEW_TEST_ROWS: usize = 30;
/// What makes intervals over groups possible where there is one.
const MORE_GROUPS: &str =
    "--set split.test=0 --folds 5, which holds out every group once (with all rows in memory)";
/// The same of a run that has folds.
const MORE_IN_FOLDS: &str = "--set split.test=0, and the folds hold out every group";

/// The test results beside the baselines.
pub(super) fn results(report: &Report) -> String {
    text::wrap(&report.proof(), 0) + "\n" + &tested(report)
}

/// The test results beside the baselines, of a run with a single split or of a bag.
pub(super) fn tested(report: &Report) -> String {
    let mut out = String::new();
    if report.n_rows.test == 0 {
        out += "No test rows, so no test figures. On the validation rows, which chose the epoch and so flatter:\n\n";
        let rows: Vec<Vec<String>> =
            report.val.iter().map(|(name, v)| vec![(*name).to_owned(), text::number(*v)]).collect();
        return out + &text::table(&rows, &[false, true]);
    }
    let n = text::counted(report.n_rows.test, "test row");
    if report.test.is_empty() {
        return out + &format!("Some predictions of the {n} are not finite, so there are no test figures.\n");
    }
    let _ = write!(out, "Test on {} kept out of training", text::counted(report.n_rows.test, "row"));
    if report.resamples > 0 {
        let (percent, n) = (report.percent(), text::count(report.resamples));
        let of = drawn_by(report.groups.as_ref());
        let _ = write!(out, " ({percent} % intervals{of} from {n} bootstrap resamples)");
    }
    out += "\n\n";
    let mut header = vec!["metric".to_owned(), "network".to_owned(), String::new()];
    header.extend(report.baselines.iter().map(|b| b.name.replace('_', " ")));
    let mut rows = vec![header];
    for m in &report.test {
        let others: Vec<Option<f64>> = report
            .baselines
            .iter()
            .map(|b| b.metrics.iter().find(|(name, _)| *name == m.name).map(|(_, v)| *v))
            .collect();
        let largest = others.iter().flatten().fold(m.value.abs(), |largest, v| largest.max(v.abs()));
        let number = |x| text::number_beside(x, largest);
        let interval = m.interval.map_or(String::new(), |[a, b]| format!("[{}, {}]", number(a), number(b)));
        let mut row = vec![m.name.to_owned(), number(m.value), interval];
        row.extend(others.into_iter().map(|v| v.map_or("–".into(), number)));
        rows.push(row);
    }
    out += &text::table(&rows, &[false, true, false, true, true]);
    out += &untested(report);
    if let Some(verdict) = report.verdict() {
        let _ = write!(out, "\n{}", text::wrap(&verdict.text, 0));
    }
    let more = if report.cross_validation.is_some() { MORE_IN_FOLDS } else { MORE_GROUPS };
    if let Some(doubt) = report.groups.as_ref().and_then(|groups| groups.doubt(Some(more))) {
        let _ = write!(out, "\n{}", text::wrap(&doubt, 0));
    }
    out + &rough(report)
}

/// What is said where there are few test rows.
pub(super) fn rough(report: &Report) -> String {
    if report.n_rows.test >= FEW_TEST_ROWS {
        return String::new();
    }
    let n = text::counted(report.n_rows.test, "test row");
    format!("\n{}", text::wrap(&format!("With only {n} these figures are rough."), 0))
}

/// What intervals draw, where that is no single rows.
pub(super) fn drawn_by(groups: Option<&TestGroups>) -> String {
    groups.map_or(String::new(), |groups| {
        format!(" over {} of `{}`", text::counted(groups.n, "group"), text::name(&groups.column))
    })
}

/// The classes that the test figures say nothing of.
pub(super) fn untested(report: &Report) -> String {
    const MOST: usize = 10;
    if report.untested.is_empty() {
        return String::new();
    }
    let named = report.untested.iter().take(MOST).map(|class| format!("`{}`", text::name(class)));
    let names = named.collect::<Vec<_>>().join(", ");
    let more = match report.untested.len().saturating_sub(MOST) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let told =
        format!("No test row is of class {names}{more}: these figures say nothing of how it is predicted.");
    format!("\n{}", text::wrap(&told, 0))
}

/// What the figures hang on where columns were suspected, before training, to give the target away.
pub(super) fn doubts(leaks: &[String], target: &str) -> String {
    let Some((last, before)) = leaks.split_last() else { return String::new() };
    let quoted = |name: &String| format!("`{}`", text::name(name));
    let others: Vec<String> = before.iter().map(quoted).collect();
    let names =
        if others.is_empty() { quoted(last) } else { format!("{} and {}", others.join(", "), quoted(last)) };
    let (verb, was) = if others.is_empty() { ("is", "was") } else { ("are", "were") };
    let told = format!(
        "These figures hold only if {names} {verb} known when `{}` is to be predicted: as noticed above, {names} {was} \
         suspected to give it away.",
        text::name(target)
    );
    format!("\n{}", text::wrap(&told, 0))
}

/// Figures as JSON, with the columns on which they hang, if there are such.
pub(super) fn with_leaks(mut figures: Value, leaks: &[String]) -> Value {
    if let (Some(fields), false) = (figures.as_object_mut(), leaks.is_empty()) {
        fields.insert("suspected_leaks".into(), leaks.into());
    }
    figures
}

/// What can be done with the model, as commands.
pub(super) fn next_steps(sources: &[PathBuf], folder: &RunFolder) -> String {
    let (run, data) = (text::shell(&text::path(folder.path())), text::sources(sources));
    let rows = [
        ["predict a table", &format!("statera predict {run} {data} -o predictions.csv")],
        ["measure on another", &format!("statera evaluate {run} OTHER.csv")],
        ["show the layers", &format!("statera summary {run}")],
    ];
    let rows = rows.map(|row| row.map(String::from).to_vec());
    format!("\nSaved in {}\n{}", folder.path().display(), text::table(&rows, &[]))
}
