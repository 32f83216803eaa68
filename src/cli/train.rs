//! `statera train`

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Args;
use statera::config::{Config, OptimizerName};
use statera::data::Schema;
use statera::data::read::{Skipped, stem_of};
use statera::error::Error;
use statera::profile::{Noticed, of_training_rows};
use statera::run::{Overview, Plan, Report, RunFolder, StreamedPlan, budget, execute, streamed_run};
use statera::train::events::{Answer, Event};

use super::interrupt::Interruption;
use super::progress::Progress;
use super::reading::{Learning, tell_skipped};
use super::{INTERRUPTED, Settings, folds, profile, summary, text, thread_pool, within};

/// With fewer test rows than this, the results say that they are rough.
const FEW_TEST_ROWS: usize = 30;

const AFTER_HELP: &str = "\
What is left behind: a run folder with model.safetensors, metrics.json, history.csv, events.jsonl,
config.toml and schema.json; nothing at all when training fails.

Exit codes: 0 done, and also when the loss stops being finite after the first epoch: the best
weights are kept and tested, with a warning; 1 failed, and nothing is kept; 2 wrong use; 130
interrupted by Ctrl-C: the best weights so far are kept and tested. A second Ctrl-C ends at once
and leaves no run folder.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The table: files, a folder, a pattern of names or - (or set data.path)
    data: Vec<PathBuf>,
    /// The column to predict (or set data.target)
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// What to learn
    #[arg(long, value_parser = ["auto", "regression", "binary", "multiclass"])]
    task: Option<String>,
    /// A column whose cells are train, val or test
    #[arg(long, value_name = "COLUMN")]
    split_column: Option<String>,
    /// Cross-validate over so many folds, whose networks make one model
    #[arg(long, value_name = "COUNT", value_parser = within::<usize>("split.folds"), allow_negative_numbers = true)]
    folds: Option<usize>,
    /// How often the rows are folded anew (or set split.repeats)
    #[arg(long, value_name = "COUNT", value_parser = within::<usize>("split.repeats"), allow_negative_numbers = true)]
    repeats: Option<usize>,
    #[command(flatten)]
    learning: Learning,
    /// The memory to take, as 2GiB; larger tables are read from disk
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// The folder that keeps such a table in prepared form for later runs
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// The seed of every random choice: the same seed gives the same network
    #[arg(long, value_parser = within::<u64>("seed"), allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Threads; 0 takes one a core; the result does not depend on them
    #[arg(long, value_parser = within::<usize>("threads"), allow_negative_numbers = true)]
    threads: Option<usize>,
    /// The run folder to make (default: the next free one in runs/)
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
    /// Print the metrics as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// No notes and no progress; warnings are still told
    #[arg(long)]
    pub(super) quiet: bool,
}

impl Arguments {
    /// The settings, with the options of the command line laid over them.
    fn config(&self) -> Result<Config, Error> {
        let mut settings = self.settings.clone();
        let options = [
            ("task", self.task.clone()),
            // In quotes, as a name may look like TOML.
            ("split.column", self.split_column.as_ref().map(|c| toml::Value::from(c.as_str()).to_string())),
            ("split.folds", self.folds.map(|n| n.to_string())),
            ("split.repeats", self.repeats.map(|n| n.to_string())),
            ("seed", self.seed.map(|s| s.to_string())),
            ("threads", self.threads.map(|t| t.to_string())),
        ];
        for (key, value) in options {
            settings.sets.extend(value.map(|v| format!("{key}={v}")));
        }
        let mut config =
            settings.load_with_folds(&self.data, &self.learning, self.target.as_deref(), None)?;
        if let Some(memory) = &self.memory {
            config.data.memory.clone_from(memory);
        }
        if let Some(cache) = &self.cache {
            config.data.cache.clone_from(cache);
        }
        Ok(config)
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.config()?;
    let pool = thread_pool(config.threads)?;
    pool.install(|| train(arguments, config))
}

fn train(arguments: &Arguments, config: Config) -> anyhow::Result<ExitCode> {
    // Before the table is read, which may take long.
    arguments.out.as_deref().map_or(Ok(()), RunFolder::check)?;
    if config.split.folds > 0 {
        return folds::train(arguments, config);
    }
    let run = plan(config, arguments.quiet)?;
    let told = run.overview();
    match &run {
        _ if arguments.quiet => {}
        Run::Memory(plan) => introduce(plan),
        Run::Streamed(plan) => introduce_with(&told, &plan.decided.noticed),
    }
    tell_skipped(run.skipped());
    let interruption = Interruption::watch();
    let mut folder = make_folder(arguments, told.source, &interruption)?;
    let outcome = train_into(&run, &mut folder, &interruption, arguments.quiet)?;
    if !arguments.quiet {
        text::note("");
    }
    let Outcome { report, interrupted, warnings } = outcome;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report.to_json())?)?;
    } else {
        write!(out, "{}", results(&report))?;
        write!(out, "{}", next_steps(told.source, &folder))?;
    }
    out.flush()?;
    for warning in warnings {
        text::note(&format!("warning: {warning}"));
    }
    if interrupted {
        text::note(&format!("interrupted; what was trained so far is saved in {}", folder.path().display()));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(ExitCode::SUCCESS)
}

/// Decides everything, about a table in memory or, where it would take too much of it, on disk.
fn plan(config: Config, quiet: bool) -> Result<Run, Error> {
    let tell = |what: &str| {
        if !quiet {
            text::note(what);
        }
    };
    match budget::streamed(&config)? {
        None => {
            let (data, default) = (&config.data, Config::default().data);
            let set = [
                ("data.cache", data.cache != default.cache),
                ("data.cache_size", data.cache_size != default.cache_size),
            ];
            for (key, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
                tell(&format!(
                    "note: {key} says nothing: the table fits in memory; --set data.stream=always reads it from disk"
                ));
            }
            Ok(Run::Memory(Box::new(Plan::new(config)?)))
        }
        Some(why) => Ok(Run::Streamed(Box::new(StreamedPlan::new(config, &why, &mut |what| tell(what))?))),
    }
}

/// Tells what was decided, and what is to be looked out for among the plan's training rows.
pub(super) fn introduce(plan: &Plan) {
    introduce_with(&plan.overview(), &Noticed::of(of_training_rows(plan)));
}

fn introduce_with(told: &Overview<'_>, noticed: &Noticed) {
    text::note(describe(told).trim_end_matches('\n'));
    let noticed = profile::noticed(noticed, told.config, told.source);
    if !noticed.is_empty() {
        text::note(noticed.trim_end_matches('\n'));
    }
    text::note("");
}

/// The run's folder, by the table's name unless another is given.
pub(super) fn make_folder(
    arguments: &Arguments,
    source: &Path,
    interruption: &Interruption,
) -> Result<RunFolder, Error> {
    let stem = stem_of(source);
    let make = || RunFolder::create(arguments.out.as_deref(), &stem);
    interruption.create(make, RunFolder::undo)
}

/// Writes the settings and the schema into the run's folder.
pub(super) fn write_settings(folder: &RunFolder, config: &Config, schema: &Schema) -> Result<(), Error> {
    let mut config = config.with_starts();
    // The folder is to be read from anywhere.
    config.data = config.data.from_anywhere();
    folder.write("config.toml", config.to_toml().as_bytes())?;
    let schema = serde_json::to_string_pretty(schema)
        .map_err(|e| Error::output(format!("the schema cannot be written as JSON: {e}"), ""))?;
    folder.write("schema.json", (schema + "\n").as_bytes())
}

/// Said when training is asked to stop.
const INTERRUPTING: &str =
    "interrupted: the best weights so far are tested and saved; Ctrl-C again ends at once and keeps nothing";

/// A run that is ready to train.
enum Run {
    /// On rows in memory.
    Memory(Box<Plan>),
    /// On rows that are read from disk meanwhile.
    Streamed(Box<StreamedPlan>),
}

impl Run {
    fn overview(&self) -> Overview<'_> {
        match self {
            Self::Memory(plan) => plan.overview(),
            Self::Streamed(plan) => plan.overview(),
        }
    }

    fn skipped(&self) -> &Skipped {
        match self {
            Self::Memory(plan) => &plan.raw.skipped,
            Self::Streamed(plan) => &plan.decided.skipped,
        }
    }
}

/// What a run came to.
struct Outcome {
    report: Report,
    /// Whether the user ended it early.
    interrupted: bool,
    /// What the user should know even if no notes are wanted.
    warnings: Vec<String>,
}

fn train_into(
    run: &Run,
    folder: &mut RunFolder,
    interruption: &Interruption,
    quiet: bool,
) -> Result<Outcome, Error> {
    let (told, skipped) = (run.overview(), run.skipped());
    write_settings(folder, told.config, told.schema)?;
    if skipped.count > 0 {
        folder.write("skipped-rows.csv", skipped.to_csv().as_bytes())?;
    }
    let mut progress = Progress::new(quiet);
    let (mut interrupted, mut warnings, mut write_error) = (false, Vec::new(), None);
    let mut listener = |event: &Event| {
        progress.show(event);
        if let Err(error) = folder.tell(event) {
            write_error.get_or_insert(error);
        }
        warnings.extend(went_astray(event));
        // Stopped before its first step, training would leave nothing to save.
        let may_stop = !matches!(event, Event::Started { .. } | Event::Finished { .. });
        if may_stop && interruption.asked().load(Ordering::SeqCst) {
            if !interrupted && !quiet {
                progress.line(INTERRUPTING);
            }
            interrupted = true;
            return Answer::Stop("interrupted".into());
        }
        Answer::GoOn
    };
    let trained = match run {
        Run::Memory(plan) => execute(plan, &mut listener),
        Run::Streamed(plan) => streamed_run::execute(plan, &mut listener),
    }?;
    folder.finish(trained.model.to_bytes()?, &trained.report)?;
    warnings.extend(write_error.map(|error| format!("the event log is incomplete: {error}")));
    Ok(Outcome { report: trained.report, interrupted, warnings })
}

/// A warning of a training that went astray and left weights all the same.
fn went_astray(event: &Event) -> Option<String> {
    match event {
        Event::Diverged { epoch, layer, remedy, .. } => Some(format!(
            "in epoch {epoch} the loss stopped being finite, beginning with {layer}; the best weights from \
             before are kept\n  try: {remedy}"
        )),
        Event::Worsened { epoch, val_loss, initial_val_loss, layer, initial_size, size, remedy, .. } => {
            let number = |x: &f64| text::number(*x);
            Some(format!(
                "the weights that are kept, of epoch {epoch}, are worse on the validation rows than those that training \
                 began with: a loss of {}, not {}; most has become of the outputs of {layer}, {} at the start and now \
                 {}\n  try: {remedy}",
                number(val_loss),
                number(initial_val_loss),
                number(initial_size),
                number(size)
            ))
        }
        _ => None,
    }
}

/// What was decided, and why.
fn describe(told: &Overview) -> String {
    let mut out = format!(
        "{}: {}, {} (sha256 {}…)\n\n{}\n",
        text::path(told.source),
        text::counted(told.n_rows, "row"),
        text::counted(told.n_columns, "column"),
        &told.sha256[..8],
        columns(told.schema)
    );
    let mut rows = Vec::new();
    for c in told.choices {
        // A reason may name the way out itself.
        let known = c.instead.is_empty() || c.reason.contains("--task");
        let instead = if known {
            String::new()
        } else {
            "; ".to_owned() + &text::unbroken(&format!("override: {}", c.instead))
        };
        rows.push(vec![c.subject.clone(), c.choice.clone(), format!("{}{instead}", c.reason)]);
    }
    let config = told.config;
    rows.push(vec![
        "network".into(),
        format!("{} → {}", text::counted(told.n_inputs, "input"), text::counted(told.n_outputs, "output")),
        format!(
            "{}; {}; {}",
            summary::in_words(told.network),
            text::counted(told.network.n_params(), "parameter"),
            text::unbroken(&format!("override: {}", other_network(config)))
        ),
    ]);
    let besides = besides(config);
    let o = &config.optimizer;
    let steps = match o.name {
        OptimizerName::Lbfgs => format!("{} an epoch", text::counted(o.lbfgs_iterations, "iteration")),
        _ => format!(
            "learning rate {}, batches of {}",
            text::short(o.learning_rate),
            text::count(config.train.batch_size)
        ),
    };
    let other = match o.name {
        OptimizerName::Lbfgs if o.lbfgs_iterations == 5 => "override: --set optimizer.lbfgs_iterations=10",
        OptimizerName::Lbfgs => "override: --set optimizer.lbfgs_iterations=5",
        _ if o.learning_rate == 0.01 => "override: --set optimizer.learning_rate=0.001",
        _ => "override: --set optimizer.learning_rate=0.01",
    };
    rows.push(vec![
        "optimizer".into(),
        o.name.to_string(),
        format!(
            "{steps}, at most {}, {}; {}",
            text::counted(config.train.epochs, "epoch"),
            text::unbroken(&format!("seed {}", config.seed)),
            text::unbroken(other)
        ),
    ]);
    if !besides.is_empty() {
        rows.push(vec!["besides".into(), "as set".into(), besides]);
    }
    out += &text::wrapped_table(&rows);
    out
}

/// What differs from the defaults of training, and is said by none of the other lines.
fn besides(config: &Config) -> String {
    const SECTIONS: [&str; 9] = [
        "train.",
        "optimizer.",
        "schedule.",
        "average.",
        "noise.",
        "augment.",
        "curriculum.",
        "early_stopping.",
        "reduce_on_plateau.",
    ];
    const SAID: [&str; 5] = [
        "optimizer.name",
        "optimizer.learning_rate",
        "optimizer.lbfgs_iterations",
        "train.batch_size",
        "train.epochs",
    ];
    let said = |key: &str| SAID.contains(&key) || !SECTIONS.iter().any(|section| key.starts_with(section));
    let others = config.changed().into_iter().filter(|(key, _)| !said(key));
    others.map(|(key, value)| text::unbroken(&format!("{key} = {value}"))).collect::<Vec<_>>().join(", ")
}

/// Hidden layers other than those in force, as they stand on the command line; where layers are listed one by one, the
/// list gives way to them.
fn other_network(config: &Config) -> String {
    let network = &config.network;
    let hidden = if network.hidden == [64, 64] { "[128,128]" } else { "[64,64]" };
    let hidden = format!("--set {}", text::shell(&format!("network.hidden={hidden}")));
    if network.layers.is_empty() {
        return hidden;
    }
    format!("--set {} {hidden}", text::shell("network.layers=[]"))
}

/// The columns that are learned from, and those that are not, each with the reason.
fn columns(schema: &Schema) -> String {
    const MOST: usize = 40;
    let mut rows = vec![["column", "taken as", "because"].map(String::from).to_vec()];
    for c in schema.columns.iter().take(MOST) {
        let (choice, reason) = match &c.dropped {
            Some(why) if why.starts_with("constant") || why == "as set" => ("dropped".into(), why.clone()),
            Some(_) => ("dropped".into(), c.reason.clone()),
            None => (c.kind.to_string(), c.reason.clone()),
        };
        rows.push(vec![text::name(&c.name), choice, reason]);
    }
    let mut out = text::wrapped_table(&rows);
    if let Some(others) = schema.columns.get(MOST..).filter(|others| !others.is_empty()) {
        let dropped = others.iter().filter(|c| c.dropped.is_some()).count();
        let n = text::counted(others.len(), "more column");
        let _ =
            writeln!(out, "  … and {n}, {dropped} of them dropped; schema.json in the run folder has all");
    }
    out + "  override: --set data.columns.NAME.kind=category (or number, date), data.columns.NAME.drop=true\n"
}

/// The test results beside the baselines.
fn results(report: &Report) -> String {
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
        let _ = write!(out, " ({percent} % intervals from {n} bootstrap resamples)");
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
    if let Some(verdict) = report.verdict() {
        let _ = write!(out, "\n{}", text::wrap(&verdict.text, 0));
    }
    if report.n_rows.test < FEW_TEST_ROWS {
        let _ = write!(out, "\n{}", text::wrap(&format!("With only {n} these figures are rough."), 0));
    }
    out
}

pub(super) fn next_steps(source: &Path, folder: &RunFolder) -> String {
    let (run, data) = (text::shell(&text::path(folder.path())), text::shell(&text::path(source)));
    let rows = [
        ["predict a table", &format!("statera predict {run} {data} -o predictions.csv")],
        ["measure on another", &format!("statera evaluate {run} OTHER.csv")],
        ["show the layers", &format!("statera summary {run}")],
    ];
    let rows = rows.map(|row| row.map(String::from).to_vec());
    format!("\nSaved in {}\n{}", folder.path().display(), text::table(&rows, &[]))
}
