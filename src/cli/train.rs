//! `statera train`

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use statera::config::Config;
use statera::error::Error;
use statera::run::{Plan, Report, RunFolder, execute};
use statera::train::events::{Answer, Event};

use super::progress::Progress;
use super::{Settings, summary, text, thread_pool};

#[derive(Debug, Args)]
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
    #[arg(long, value_name = "WORD")]
    null: Vec<String>,
    #[command(flatten)]
    settings: Settings,
    /// The number that every random number descends from
    #[arg(long)]
    seed: Option<u64>,
    /// Threads to compute with; 0 takes one a core; the result does not depend on it
    #[arg(long)]
    threads: Option<usize>,
    /// The run folder to make (default: the next free one in runs/)
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print the metrics as JSON
    #[arg(long)]
    json: bool,
    /// No notes and no progress
    #[arg(long)]
    quiet: bool,
}

impl Arguments {
    /// The settings, with the options of the command line laid over them.
    fn config(&self) -> Result<Config, Error> {
        let mut settings = self.settings.clone();
        let options = [
            ("task", self.task.clone()),
            ("seed", self.seed.map(|s| s.to_string())),
            ("threads", self.threads.map(|t| t.to_string())),
            ("data.target", self.target.clone()),
            ("split.column", self.split_column.clone()),
        ];
        for (key, value) in options {
            settings.sets.extend(value.map(|v| format!("{key}={v}")));
        }
        let mut config = settings.load()?;
        if let Some(path) = &self.data {
            config.data.path.clone_from(path);
        }
        config.data.null.extend(self.null.iter().cloned());
        Ok(config)
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = arguments.config()?;
    let pool = thread_pool(config.threads)?;
    pool.install(|| train(arguments, config))
}

fn train(arguments: &Arguments, config: Config) -> anyhow::Result<()> {
    let plan = Plan::new(config)?;
    if !arguments.quiet {
        eprint!("{}", describe(&plan));
    }
    let stem = plan.raw.source.file_stem().map_or("run".into(), |s| s.to_string_lossy().into_owned());
    let mut folder = RunFolder::create(arguments.out.as_deref(), &stem)?;
    let trained = train_into(&plan, &mut folder, arguments.quiet);
    let (trained, interrupted) = match trained {
        Ok(trained) => trained,
        Err(error) => {
            folder.discard();
            return Err(error.into());
        }
    };
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&trained.to_json())?)?;
    } else {
        write!(out, "{}", results(&trained))?;
        write!(out, "{}", next_steps(&plan, &folder))?;
    }
    anyhow::ensure!(
        !interrupted,
        "interrupted; what was trained so far is saved in {}",
        folder.path().display()
    );
    Ok(())
}

/// Trains and saves; says whether the user interrupted.
fn train_into(plan: &Plan, folder: &mut RunFolder, quiet: bool) -> Result<(Report, bool), Error> {
    let mut config = plan.config.clone();
    // The folder is to be read from anywhere.
    config.data.path = std::path::absolute(&config.data.path).unwrap_or(config.data.path);
    folder.write("config.toml", config.to_toml().as_bytes())?;
    let schema = serde_json::to_string_pretty(&plan.schema)
        .map_err(|e| Error::output(format!("the schema cannot be written as JSON: {e}"), ""))?;
    folder.write("schema.json", (schema + "\n").as_bytes())?;

    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    // A second Ctrl-C does not wait for the end of the step.
    let handler = move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    };
    // Without a handler Ctrl-C ends the process at once, as usual: training can go on all the same.
    let _ = ctrlc::set_handler(handler);

    let mut progress = Progress::new(quiet);
    let mut write_error = None;
    let mut listener = |event: &Event| {
        progress.show(event);
        if let Err(error) = folder.tell(event) {
            write_error.get_or_insert(error);
        }
        if interrupted.load(Ordering::SeqCst) {
            return Answer::Stop("interrupted by Ctrl-C".into());
        }
        Answer::GoOn
    };
    let trained = execute(plan, &mut listener)?;
    if let Some(error) = write_error {
        eprintln!("warning: the event log is incomplete: {error}");
    }
    folder.finish(&trained.model, &trained.report)?;
    Ok((trained.report, interrupted.load(Ordering::SeqCst)))
}

/// Columns that are listed one by one.
const MOST_COLUMNS: usize = 40;

/// What was decided, and why.
fn describe(plan: &Plan) -> String {
    let raw = &plan.raw;
    let mut out = format!(
        "{}: {} rows, {} columns (sha256 {}…)\n",
        raw.source.display(),
        text::count(raw.n_rows()),
        text::count(raw.n_columns()),
        &raw.sha256[..8]
    );
    let (columns, others): (Vec<_>, Vec<_>) =
        plan.choices.iter().partition(|c| plan.schema.get(&c.subject).is_some());
    let mut rows = vec![["column", "taken as", "because"].map(String::from).to_vec()];
    for c in columns.iter().take(MOST_COLUMNS) {
        rows.push(vec![c.subject.clone(), c.choice.clone(), c.reason.clone()]);
    }
    out += &text::table(&rows, &[]);
    if columns.len() > MOST_COLUMNS {
        let more = text::count(columns.len() - MOST_COLUMNS);
        out += &format!("  … and {more} more columns, all in schema.json of the run folder\n");
    }
    if let Some(first) = columns.first() {
        let other = if first.choice == "category" { "number" } else { "category" };
        out += &format!("  to override: --set data.columns.{}.kind={other}\n", first.subject);
    }
    out.push('\n');
    let mut rows = Vec::new();
    for c in others {
        let instead = if c.instead.is_empty() { String::new() } else { format!("(override: {})", c.instead) };
        rows.push(vec![c.subject.clone(), c.choice.clone(), format!("{} {instead}", c.reason)]);
    }
    let config = &plan.config;
    let features = plan.pipeline.features().len();
    rows.push(vec![
        "network".into(),
        format!("{} inputs → {} outputs", text::count(features), plan.target.n_outputs()),
        format!(
            "{}; {} parameters (override: --set network.hidden=[64,64])",
            summary::in_words(&plan.network),
            text::count(plan.network.n_params())
        ),
    ]);
    let o = &config.optimizer;
    rows.push(vec![
        "optimizer".into(),
        o.name.to_string(),
        format!(
            "learning rate {}, batches of {}, at most {} epochs, seed {}",
            o.learning_rate, config.train.batch_size, config.train.epochs, config.seed
        ),
    ]);
    out += &text::table(&rows, &[]);
    out += &format!(
        "  fitted on {} training rows; {} + {} rows never seen by any fit\n\n",
        text::count(plan.split.train.rows().len()),
        text::count(plan.split.val.len()),
        text::count(plan.split.test.len())
    );
    out
}

/// The test results beside the baselines.
fn results(report: &Report) -> String {
    let mut out = String::new();
    if report.test.is_empty() {
        out += "No test rows: there are no test figures. Validation figures (they chose the epoch, so they flatter):\n";
        let rows: Vec<Vec<String>> =
            report.val.iter().map(|(name, v)| vec![(*name).to_owned(), text::number(*v)]).collect();
        return out + &text::table(&rows, &[false, true]);
    }
    let percent = report.confidence * 100.0;
    out += &format!("Test on {} rows that no fit has seen", text::count(report.n_rows.test));
    if report.resamples > 0 {
        out +=
            &format!(" ({percent} % intervals from {} bootstrap resamples)", text::count(report.resamples));
    }
    out += "\n\n";
    let mut header = vec!["metric".to_owned(), "network".to_owned(), String::new()];
    header.extend(report.baselines.iter().map(|b| b.name.replace('_', " ")));
    let mut rows = vec![header];
    for m in &report.test {
        let interval =
            m.interval.map_or(String::new(), |[a, b]| format!("[{}, {}]", text::number(a), text::number(b)));
        let mut row = vec![m.name.to_owned(), text::number(m.value), interval];
        for b in &report.baselines {
            let value = b.metrics.iter().find(|(name, _)| *name == m.name);
            row.push(value.map_or("–".into(), |(_, v)| text::number(*v)));
        }
        rows.push(row);
    }
    out += &text::table(&rows, &[false, true, false, true, true]);
    if let Some(verdict) = report.verdict() {
        out += &format!("\n{}\n", verdict.text);
    }
    out
}

fn next_steps(plan: &Plan, folder: &RunFolder) -> String {
    let (run, data) = (folder.path().display(), plan.raw.source.display());
    let rows = [
        vec![
            format!("statera predict {run} {data} -o predictions.csv"),
            "predict the rows of a table".into(),
        ],
        vec![format!("statera evaluate {run} {data}"), "measure the model on a table".into()],
        vec![format!("statera summary {run}"), "layers and parameters".into()],
    ];
    format!("\nThe model and everything measured: {run}\nNext:\n{}", text::table(&rows, &[]))
}
