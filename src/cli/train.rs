//! `statera train`

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Args;
use statera::config::{Config, OptimizerName};
use statera::data::Schema;
use statera::error::Error;
use statera::run::{Plan, Report, RunFolder, execute};
use statera::train::events::{Answer, Event};
use statera::train::fit::rate_remedy;

use super::interrupt::Interruption;
use super::progress::Progress;
use super::{INTERRUPTED, Settings, profile, summary, text, thread_pool, within};

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
    /// The table: a CSV file (or set data.path)
    data: Option<PathBuf>,
    /// The column to predict (or set data.target)
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// What to learn
    #[arg(long, value_parser = ["auto", "regression", "binary", "multiclass"])]
    task: Option<String>,
    /// A column whose cells are train, val or test
    #[arg(long, value_name = "COLUMN")]
    split_column: Option<String>,
    /// A further word that stands for a missing cell (repeatable)
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    null: Vec<String>,
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
    out: Option<PathBuf>,
    /// Print the metrics as JSON
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
        let options = [
            ("task", self.task.clone()),
            // In quotes, as a name may look like TOML.
            ("split.column", self.split_column.as_ref().map(|c| toml::Value::from(c.as_str()).to_string())),
            ("seed", self.seed.map(|s| s.to_string())),
            ("threads", self.threads.map(|t| t.to_string())),
        ];
        for (key, value) in options {
            settings.sets.extend(value.map(|v| format!("{key}={v}")));
        }
        let mut config = settings.load()?;
        // As they stand: a name may look like TOML.
        if let Some(path) = &self.data {
            config.data.path.clone_from(path);
        }
        if let Some(target) = &self.target {
            config.data.target.clone_from(target);
        }
        config.data.null.extend(self.null.iter().cloned());
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
    let plan = Plan::new(config)?;
    if !arguments.quiet {
        text::note(describe(&plan).trim_end_matches('\n'));
        let noticed = profile::noticed(&statera::profile::of_training_rows(&plan), &plan);
        if !noticed.is_empty() {
            text::note(noticed.trim_end_matches('\n'));
        }
        text::note("");
    }
    let stem = plan.raw.source.file_stem().map_or("run".into(), |s| s.to_string_lossy().into_owned());
    let interruption = Interruption::watch();
    let make = || RunFolder::create(arguments.out.as_deref(), &stem);
    let mut folder = interruption.create(make, RunFolder::undo)?;
    let outcome = train_into(&plan, &mut folder, &interruption, arguments.quiet)?;
    if !arguments.quiet {
        text::note("");
    }
    let Outcome { report, interrupted, warnings } = outcome;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report.to_json())?)?;
    } else {
        write!(out, "{}", results(&report))?;
        write!(out, "{}", next_steps(&plan, &folder))?;
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

/// Said when training is asked to stop.
const INTERRUPTING: &str =
    "interrupted: the best weights so far are tested and saved; Ctrl-C again ends at once and keeps nothing";

/// What a run came to.
struct Outcome {
    report: Report,
    /// Whether the user ended it early.
    interrupted: bool,
    /// What the user should know even if no notes are wanted.
    warnings: Vec<String>,
}

fn train_into(
    plan: &Plan,
    folder: &mut RunFolder,
    interruption: &Interruption,
    quiet: bool,
) -> Result<Outcome, Error> {
    let mut config = plan.config.with_starts();
    // The folder is to be read from anywhere.
    config.data.path = std::path::absolute(&config.data.path).unwrap_or(config.data.path);
    folder.write("config.toml", config.to_toml().as_bytes())?;
    let schema = serde_json::to_string_pretty(&plan.schema)
        .map_err(|e| Error::output(format!("the schema cannot be written as JSON: {e}"), ""))?;
    folder.write("schema.json", (schema + "\n").as_bytes())?;

    let mut progress = Progress::new(quiet);
    let (mut interrupted, mut diverged, mut write_error) = (false, None, None);
    let mut listener = |event: &Event| {
        progress.show(event);
        if let Err(error) = folder.tell(event) {
            write_error.get_or_insert(error);
        }
        if let Event::Diverged { epoch, layer, suggested_learning_rate: rate, .. } = event {
            diverged = Some(format!(
                "in epoch {epoch} the loss stopped being finite, beginning with {layer}; the best weights from \
                 before are kept\n  try: {}",
                rate_remedy(*rate)
            ));
        }
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
    let trained = execute(plan, &mut listener)?;
    folder.finish(&trained.model, &trained.report)?;
    let mut warnings = Vec::from_iter(diverged);
    warnings.extend(write_error.map(|error| format!("the event log is incomplete: {error}")));
    Ok(Outcome { report: trained.report, interrupted, warnings })
}

/// What was decided, and why.
fn describe(plan: &Plan) -> String {
    let raw = &plan.raw;
    let mut out = format!(
        "{}: {}, {} (sha256 {}…)\n\n{}\n",
        text::path(&raw.source),
        text::counted(raw.n_rows(), "row"),
        text::counted(raw.n_columns(), "column"),
        &raw.sha256[..8],
        columns(&plan.schema)
    );
    let mut rows = Vec::new();
    for c in &plan.choices {
        // A reason may name the way out itself.
        let known = c.instead.is_empty() || c.reason.contains("--task");
        let instead = if known {
            String::new()
        } else {
            "; ".to_owned() + &text::unbroken(&format!("override: {}", c.instead))
        };
        rows.push(vec![c.subject.clone(), c.choice.clone(), format!("{}{instead}", c.reason)]);
    }
    let config = &plan.config;
    let (n_inputs, n_outputs) = (plan.pipeline.features().len(), plan.target.n_outputs());
    rows.push(vec![
        "network".into(),
        format!("{} → {}", text::counted(n_inputs, "input"), text::counted(n_outputs, "output")),
        format!(
            "{}; {}; {}",
            summary::in_words(&plan.network),
            text::counted(plan.network.n_params(), "parameter"),
            text::unbroken(&format!("override: {}", other_network(config)))
        ),
    ]);
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
    out += &text::wrapped_table(&rows);
    out
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
    let mut out = text::wrap(&report.proof(), 0) + "\n";
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

fn next_steps(plan: &Plan, folder: &RunFolder) -> String {
    let (run, data) = (text::shell(&text::path(folder.path())), text::shell(&text::path(&plan.raw.source)));
    let rows = [
        ["predict a table", &format!("statera predict {run} {data} -o predictions.csv")],
        ["measure on another", &format!("statera evaluate {run} OTHER.csv")],
        ["show the layers", &format!("statera summary {run}")],
    ];
    let rows = rows.map(|row| row.map(String::from).to_vec());
    format!("\nSaved in {}\n{}", folder.path().display(), text::table(&rows, &[]))
}
