//! `statera train --folds`

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use serde_json::Value;
use statera::config::Config;
use statera::run::checkpoints::{self, CHECKPOINTS};
use statera::run::cross_validation::{CrossValidation, OverFolds};
use statera::run::folds::FoldDone;
use statera::run::resume::{Beginning, FoldSaving, every};
use statera::run::{Folds, Report, RunFolder};
use statera::train::events::Event;

use super::interrupt::Interruption;
use super::results::{doubts, next_steps, tested, with_leaks};
use super::resume::{self, tell_damaged};
use super::train::{Arguments, TOO_LATE, introduce, make_folder, write_settings};
use super::{INTERRUPTED, text};

/// Trains and tests the folds, and keeps their networks as one model.
pub(super) fn train(arguments: &Arguments, config: Config) -> anyhow::Result<ExitCode> {
    let folds = Folds::new(config)?;
    let first = &folds.plans[0];
    let leaks = introduce(first, arguments.quiet);
    let interruption = Interruption::watch();
    let folder = make_folder(arguments, &first.raw.source, &interruption)?;
    let beginning = Beginning::new(&first.raw.sha256, false);
    let settings = write_settings(&folder, &folds.config, &first.schema, &beginning)?;
    carry_out(&folds, folder, &interruption, arguments, beginning.about(&settings), &leaks)
}

/// Trains what is left to be trained, tests it and tells what came of it. `about` stands in every checkpoint.
pub(super) fn carry_out(
    folds: &Folds,
    mut folder: RunFolder,
    interruption: &Interruption,
    arguments: &Arguments,
    about: Value,
    leaks: &[String],
) -> anyhow::Result<ExitCode> {
    let (first, n, settings) = (&folds.plans[0], folds.plans.len(), &folds.config.checkpoint);
    let checkpoints = folder.path().join(CHECKPOINTS);
    let saving = settings.resumable.then(|| FoldSaving {
        folder: checkpoints.clone(),
        run: folder.undo(),
        about,
        every: every(settings),
        force: arguments.force,
    });
    let mut n_done = 0;
    let mut tell = |done: &FoldDone| {
        n_done += 1;
        tell_damaged(&done.damaged);
        if !arguments.quiet {
            text::note(&format!("  {}", told(done, n)));
            if n_done == n {
                interruption.come_too_late(TOO_LATE, false);
            }
        }
    };
    let done = folds.run(folds.config.threads, saving.as_ref(), interruption.asked(), &mut tell)?;
    let Some((done, events)) = done else {
        let told = format!("interrupted after {n_done} of {n} folds; a bag takes all of them");
        text::note(&if settings.resumable {
            format!("{told}; go on with: {}", resume::command(folder.path()))
        } else {
            format!("{told}, so nothing is kept")
        });
        return Ok(ExitCode::from(INTERRUPTED));
    };
    for (i, events) in events.iter().enumerate() {
        folder.tell(&Event::Fold { fold: i + 1, of: n })?;
        events.iter().try_for_each(|event| folder.tell(event))?;
    }
    folder.finish(done.bag.to_bytes()?, &done.report)?;
    checkpoints::remove_all(&checkpoints);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&with_leaks(done.report.to_json(), leaks))?)?;
    } else {
        if !arguments.quiet {
            text::note("");
        }
        write!(out, "{}{}", results(&done.report), doubts(leaks, &done.report.target))?;
        write!(out, "{}", next_steps(&first.config.data.sources(), &folder))?;
    }
    out.flush()?;
    for (i, events) in events.iter().enumerate() {
        if let Some(Event::Diverged { epoch, layer, .. }) =
            events.iter().find(|event| matches!(event, Event::Diverged { .. }))
        {
            text::note(&format!(
                "warning: fold {}: in epoch {epoch} the loss stopped being finite, beginning with {layer}; the best \
                 weights from before are kept",
                i + 1
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A line on a fold that has ended.
fn told(done: &FoldDone, n: usize) -> String {
    let report = &done.report;
    let metric = report
        .metrics
        .first()
        .map_or(String::new(), |(name, value)| format!("{name} {}, ", text::number(*value)));
    format!(
        "fold {}/{n}: {metric}{} in {}, kept epoch {}",
        done.fold + 1,
        text::counted(report.epochs_run, "epoch"),
        text::seconds(report.fit_seconds),
        report.best_epoch
    )
}

/// What the folds and their bag reach.
fn results(report: &Report) -> String {
    let mut out = text::wrap(&report.proof(), 0) + "\n";
    let Some(folds) = &report.cross_validation else { return out };
    let k = match folds.repeats {
        1 => format!("{} folds", folds.n_folds),
        r => format!("{} folds × {r}", folds.n_folds),
    };
    let _ = writeln!(out, "Cross-validation over {k}: single networks, each on the rows that it holds out\n");
    out += &table(folds, report.percent());
    let caveat = format!(
        "The interval is the corrected t of Nadeau & Bengio (2003) over {}; folds share training rows, so it is an \
         approximation. `out of fold` takes all {} held-out rows together.",
        text::counted(folds.folds.len(), "network"),
        text::count(folds.n_out_of_fold)
    );
    let _ = write!(out, "\n{}", text::wrap(&caveat, 0));
    if let Some(mut verdict) = verdict(folds, report.primary()) {
        if let Some(by) = report.shifted {
            verdict += &format!(
                " The networks' probabilities, which log_loss judges, are not those of the training rows: {by} shifted them. \
                 Compare by ranks or by what is found (roc_auc, balanced_accuracy)."
            );
        }
        let _ = write!(out, "\n{}", text::wrap(&verdict, 0));
    }
    out.push('\n');
    let n = folds.folds.len();
    if report.n_rows.test == 0 {
        let told = format!(
            "The model is the bag of the {n} networks, whose predictions are averaged. No test rows were set apart, so \
             the bag itself is not measured; a bag is seldom worse than its members."
        );
        return out + &text::wrap(&told, 0);
    }
    out +=
        &text::wrap(&format!("The model is the bag of the {n} networks, whose predictions are averaged."), 0);
    out + "\n" + &tested(report)
}

fn table(folds: &CrossValidation, percent: f64) -> String {
    let mut header = vec!["metric".into(), "mean".into(), format!("{percent} %"), "out of fold".into()];
    header.extend(folds.baselines.iter().map(|b| b.name.replace('_', " ")));
    let mut rows: Vec<Vec<String>> = vec![header];
    for (name, OverFolds { mean, interval, .. }) in &folds.metrics {
        let find = |metrics: &[(&'static str, f64)]| metrics.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
        let mut others = vec![find(&folds.out_of_fold)];
        others.extend(folds.baselines.iter().map(|b| find(&b.metrics)));
        let largest = others.iter().flatten().fold(mean.abs(), |largest, v| largest.max(v.abs()));
        let number = |x| text::number_beside(x, largest);
        let interval = interval.map_or(String::new(), |[a, b]| format!("[{}, {}]", number(a), number(b)));
        let mut row = vec![(*name).to_owned(), number(*mean), interval];
        row.extend(others.into_iter().map(|v| v.map_or("–".into(), number)));
        rows.push(row);
    }
    text::table(&rows, &[false, true, false, true, true, true])
}

/// Says plainly whether the networks are worth their weights, by the differences fold by fold.
fn verdict(folds: &CrossValidation, primary: &str) -> Option<String> {
    let comparison = folds.comparison?;
    let rival = match comparison.baseline {
        "mean" => "the mean".to_owned(),
        "majority" => "the majority class".to_owned(),
        other => other.replace('_', " "),
    };
    let gain = comparison.gain;
    let shown = |[a, b]: [f64; 2]| format!(" [{:.1}, {:.1}]", 100.0 * a, 100.0 * b);
    let span = gain.interval.map_or(String::new(), shown);
    let percent = 100.0 * gain.mean;
    Some(match gain.interval {
        // Nothing that is measured is a sum to six digits.
        _ if gain.mean < -1e6 => format!(
            "The networks do NOT beat {rival}, which predict the target exactly in some fold: it seems to be made up of other \
             columns. Are they known when it is to be predicted? `statera profile` with --target says which they are."
        ),
        // A gain below zero is a loss, and its interval lies the other way round.
        _ if percent <= 0.0 => format!(
            "The network does NOT beat {rival} in cross-validated {primary}: it is {:.1} %{} worse, fold by fold{}. Prefer \
             the simpler model, or change the settings.",
            percent.abs(),
            gain.interval.map_or(String::new(), |[a, b]| shown([-b, -a])),
            match gain.interval {
                Some([_, high]) if high >= 0.0 => "; the interval includes 0, so this may be luck",
                _ => "",
            }
        ),
        Some([low, _]) if low <= 0.0 => format!(
            "The network is ahead of {rival} by {percent:.1} %{span} in cross-validated {primary}, fold by fold; the \
             interval includes 0, so this may be luck."
        ),
        _ => format!(
            "The network beats {rival} by {percent:.1} %{span} in cross-validated {primary}, fold by fold."
        ),
    })
}
