//! `statera ablate`

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use statera::ablate::{Effect, Findings, Group, State, Study, Trial, Verdict};
use statera::config::Config;
use statera::error::Error;
use statera::run::Folder;

use super::interrupt::Interruption;
use super::reading::{Learning, tell_skipped};
use super::{INTERRUPTED, Settings, text, within};

const AFTER_HELP: &str = "\
The settings as they are make the reference. Each variant changes one thing, and all are trained
with the same seeds: a seed draws the same split for all. Only validation rows are looked at; the
test rows stay untouched, to test with `statera train` what was chosen.

Values of one setting: --vary train.batch_size=16,64 or --vary 'network.hidden=[32],[64,64]'; a
setting may be shortened where it stays clear, as --vary init=he_normal,orthogonal. Some of the
built-in techniques: --only dropout,norm,optimizer.

What is left behind: a folder with ablation.csv (every trial), ablation.json, ablation.svg and
config.toml (the reference).

Exit codes: 0 done, also when single trials fail: they are listed with their reasons; 1 failed;
2 wrong use; 130 interrupted by Ctrl-C: the trials that have ended are told and kept. A second
Ctrl-C ends at once and leaves no folder.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The table: files, a folder, a pattern of names or - (or set data.path)
    data: Vec<PathBuf>,
    #[command(flatten)]
    learning: Learning,
    /// The column to predict (or set data.target)
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Compare values of one setting, not the built-in list (repeatable)
    #[arg(long, value_name = "KEY=A,B")]
    vary: Vec<String>,
    /// Only the techniques with one of these words in name or setting
    #[arg(long, value_name = "WORD,WORD", value_delimiter = ',', conflicts_with = "vary")]
    only: Vec<String>,
    /// How many seeds to train everything with
    #[arg(long, value_name = "N", default_value_t = 5)]
    seeds: usize,
    #[command(flatten)]
    settings: Settings,
    /// The first seed
    #[arg(long, value_parser = within::<u64>("seed"), allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Models at a time; 0 takes one a core; the result stays the same
    #[arg(long, value_parser = within::<usize>("threads"), allow_negative_numbers = true)]
    threads: Option<usize>,
    /// The folder to make (default: the next free runs/TABLE-ablate-NUMBER)
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// No notes and no progress; warnings are still told
    #[arg(long)]
    quiet: bool,
}

impl Arguments {
    /// The settings, with the options of the command line laid over them.
    fn config(&self) -> Result<Config, Error> {
        let mut settings = self.settings.clone();
        settings.sets.extend(self.threads.map(|threads| format!("threads={threads}")));
        settings.load_for(&self.data, &self.learning, self.target.as_deref(), self.seed)
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.config()?;
    // Before the table is read, which may take long.
    arguments.out.as_deref().map_or(Ok(()), Folder::check)?;
    let threads = config.threads;
    let study = Study::new(&config, &arguments.vary, &arguments.only, arguments.seeds)?;
    tell_skipped(&study.plan.raw.skipped);
    let stem = study.plan.raw.stem();
    let interruption = Interruption::watch();
    let make = || Folder::create(arguments.out.as_deref(), &format!("{stem}-ablate"));
    let folder = interruption.create(make, Folder::undo)?;
    let mut reference = study.plan.config.clone();
    // The folder is to be read from anywhere.
    reference.data = reference.data.from_anywhere();
    folder.write("config.toml", reference.to_toml().as_bytes())?;
    if !arguments.quiet {
        text::note(text::wrap(&describe(&study), 0).trim_end());
    }

    let mut progress = Progress::new(arguments.quiet, study.n_trials());
    let found = study.run(threads, interruption.asked(), &mut |trial| progress.tell(trial, &study))?;
    let took = progress.end();
    let interrupted = found.trials.len() < found.n_wanted;
    if !found.trials.is_empty() {
        let json = serde_json::to_string_pretty(&found.to_json())? + "\n";
        let (table, figure) = (found.to_csv()?, found.to_svg());
        folder.finish(&[
            ("ablation.csv", &table[..]),
            ("ablation.json", json.as_bytes()),
            ("ablation.svg", figure.as_bytes()),
        ])?;
    }

    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&found.to_json())?)?;
    } else {
        write!(out, "{}", results(&found))?;
        writeln!(out, "\n{} in {}", text::counted(found.trials.len(), "trial"), text::seconds(took))?;
        if !found.trials.is_empty() {
            writeln!(out, "Every trial, and the figure ablation.svg: {}", text::path(folder.path()))?;
        }
    }
    out.flush()?;
    warn(&found);
    if interrupted {
        text::note(&format!(
            "interrupted after {} of {} trials; those that had ended are compared",
            found.trials.len(),
            found.n_wanted
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    if found.reference.metric.is_none() {
        text::note("error: the reference itself failed with every seed, so there is nothing to compare with");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// What is about to be done.
fn describe(study: &Study) -> String {
    let (plan, seeds) = (&study.plan, &study.seeds);
    format!(
        "{}: {} of `{}` from {}; the reference and {}, each with {} (seeds {} to {}): {}",
        text::path(&plan.raw.source),
        plan.target.task,
        text::name(&plan.target.column),
        text::counted(plan.raw.n_rows(), "row"),
        text::counted(study.variants.len() - 1, "variant"),
        text::counted(seeds.len(), "seed"),
        seeds[0],
        seeds[seeds.len() - 1],
        text::counted(study.n_trials(), "trial"),
    )
}

/// The effects as a table, and what to make of them.
fn results(found: &Findings) -> String {
    let n = text::counted(found.seeds.len(), "seed");
    let heading = format!(
        "Change of the validation {} against the reference, paired over {n} ({} % intervals, Student's t). \
         Less is better.",
        found.metric,
        found.percent()
    );
    let mut rows = vec![
        ["variant", found.metric, "change", "", "in %", "worth", "train", "epoch"].map(String::from).to_vec(),
    ];
    let size = found.reference.metric.unwrap_or(1.0);
    rows.push(row("reference", size, &found.reference, None));
    rows.extend(found.effects.iter().map(|e| row(&e.name, size, &e.group, Some(e))));
    let right = [false, true, true, false, true, false, true, true];
    let mut out = text::wrap(&heading, 0) + "\n" + &text::table(&rows, &right);
    let told = found.effects.iter().filter(|e| e.difference.is_some_and(|d| d.interval.is_some())).count();
    let names =
        |wanted: Verdict| -> Vec<&Effect> { found.effects.iter().filter(|e| e.verdict == wanted).collect() };
    let helps = names(Verdict::Helps);
    out.push('\n');
    let counts = [
        (Verdict::Helps, "help"),
        (Verdict::Hurts, "hurt"),
        (Verdict::WithinNoise, "are within what the seeds alone change"),
        (Verdict::NoDifference, "change nothing"),
        (Verdict::Diverges, "diverge"),
        (Verdict::Fails, "fail"),
        (Verdict::Unknown, "cannot be told"),
    ];
    let counts = counts.map(|(verdict, words)| (names(verdict).len(), verdict, words));
    let always = |verdict| matches!(verdict, Verdict::Helps | Verdict::Hurts);
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(n, verdict, _)| *n > 0 || always(*verdict))
        .map(|(n, _, words)| format!("{n} {words}"))
        .collect();
    // Half of the intervals that leave out 0 by chance lie on the better side.
    let by_chance = (1.0 - found.confidence) / 2.0 * told as f64;
    let mut sentence =
        format!("Of {}: {}.", text::counted(found.effects.len(), "variant"), counts.join(", "));
    if told > 0 {
        let _ = write!(
            sentence,
            " Of {told} intervals, about {by_chance:.1} would seem to help and as many to hurt by chance alone, and all \
             lean on the same trials of the reference."
        );
    }
    out += &text::wrap(&sentence, 0);
    let no_more = helps.len() as f64 <= by_chance.ceil() && by_chance >= 0.5;
    if no_more && !helps.is_empty() {
        out += &text::wrap(
            "So many help by chance alone: take none of them before fresh seeds have shown it too.",
            0,
        );
    }
    if let Some(best) = helps.first() {
        let words = |option: &str, (key, value): &(String, String)| {
            format!("{option} {}", text::shell(&format!("{key}={value}")))
        };
        let sets: Vec<String> = best.settings.iter().map(|setting| words("--set", setting)).collect();
        if let Some(last) = found.seeds.last() {
            let again = match &best.settings[..] {
                [setting] => words("--vary", setting),
                _ => format!("--only {}", text::shell(&best.name)),
            };
            out += &format!(
                "To look at the first again with fresh seeds: {again} --seed {}\n",
                last.saturating_add(1)
            );
        }
        if !no_more {
            out += &format!("To take it: {}\n", sets.join(" "));
        }
    }
    out
}

fn row(name: &str, size: f64, group: &Group, effect: Option<&Effect>) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".into());
    let signed = |x: f64| format!("{}{}", if x > 0.0 { "+" } else { "" }, text::beside(x, size));
    let difference = effect.and_then(|e| e.difference);
    let interval = difference.and_then(|d| d.interval);
    let blank = |text: Option<String>| if effect.is_some() { or_dash(text) } else { String::new() };
    let share = effect.zip(difference).and_then(|(e, d)| e.share(d.mean));
    let worth = effect.map_or(String::new(), |e| {
        let n = if e.verdict == Verdict::Diverges { group.diverged } else { group.failed };
        e.verdict.words().to_owned() + &if n > 0 { format!(" {n}×") } else { String::new() }
    });
    vec![
        text::name(name),
        or_dash(group.metric.map(text::number)),
        blank(difference.map(|d| signed(d.mean))),
        interval.map_or(String::new(), |[a, b]| {
            format!("[{}, {}]", text::beside(a, size), text::beside(b, size))
        }),
        blank(share.map(percent)),
        worth,
        or_dash(group.train_seconds.map(milliseconds)),
        or_dash(group.epoch_seconds.map(milliseconds)),
    ]
}

/// A share in percent, with its sign; what rounds to nothing has none.
fn percent(share: f64) -> String {
    match format!("{:+.1}", 100.0 * share) {
        zero if zero.ends_with("0.0") && zero.len() == 4 => "0.0".into(),
        text => text,
    }
}

/// A time that is short at most tables.
fn milliseconds(seconds: f64) -> String {
    if seconds < 0.1 { format!("{:.2} ms", 1000.0 * seconds) } else { text::seconds(seconds) }
}

/// Tells the trials that failed, once for every variant and reason.
fn warn(found: &Findings) {
    let mut told = Vec::new();
    for t in found.trials.iter().filter(|t| t.state == State::Failed) {
        if told.contains(&t.variant) {
            continue;
        }
        told.push(t.variant);
        let name = found.effects.iter().find(|e| e.group.variant == t.variant);
        let name = name.map_or("reference", |e| e.name.as_str());
        text::note(text::wrap(&format!("warning: {name}, seed {}: {}", t.seed, t.reason), 0).trim_end());
    }
}

/// Trials done and the time left, on standard error.
struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    n_trials: usize,
    done: usize,
    begin: Instant,
    last_line: Instant,
}

impl Progress {
    fn new(quiet: bool, n_trials: usize) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let draw = ProgressDrawTarget::stderr_with_hz(10);
            let bar = ProgressBar::with_draw_target(Some(n_trials as u64), draw);
            let style = ProgressStyle::with_template("  {bar:24.cyan/dim} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─"));
            bar
        });
        let now = Instant::now();
        Self { bar, quiet, n_trials, done: 0, begin: now, last_line: now }
    }

    fn tell(&mut self, trial: &Trial, study: &Study) {
        self.done += 1;
        if self.quiet {
            return;
        }
        let took = self.begin.elapsed().as_secs_f64();
        let left = took / self.done as f64 * (self.n_trials - self.done) as f64;
        let left = if self.done == self.n_trials {
            format!("done in {}", text::seconds(took))
        } else {
            format!("about {} left", text::seconds(left))
        };
        let name = text::name(&study.variants[trial.variant].name);
        let line = format!("{}/{} trials  {left}  {name}", self.done, self.n_trials);
        if let Some(bar) = &self.bar {
            bar.set_position(self.done as u64);
            bar.set_message(line);
        } else if self.last_line.elapsed() > Duration::from_secs(1) || self.done == self.n_trials {
            // In a pipe: a line a second, and the last.
            self.last_line = Instant::now();
            text::note(&format!("  {line}"));
        }
    }

    /// Takes the bar away; the seconds since the beginning.
    fn end(&mut self) -> f64 {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if !self.quiet {
            text::note("");
        }
        self.begin.elapsed().as_secs_f64()
    }
}
