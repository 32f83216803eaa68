//! `statera train`

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Args;
use serde_json::Value;
use statera::config::{Config, OptimizerName};
use statera::data::Schema;
use statera::data::read::{Skipped, stem_of};
use statera::error::Error;
use statera::model::Card;
use statera::profile::{Concern, Noticed, of_training_rows};
use statera::run::checkpoints::{self, CHECKPOINTS, Checkpoints};
use statera::run::execute::card_of;
use statera::run::resume::{Beginning, every};
use statera::run::saved_models::SavedModels;
use statera::run::{Overview, Plan, Report, RunFolder, StreamedPlan, budget, execute_saved, streamed_run};
use statera::train::checkpoint::{Checkpoint, Saving};
use statera::train::events::{Answer, Callbacks, Event};

use super::interrupt::Interruption;
use super::progress::Progress;
use super::reading::{Learning, tell_skipped};
use super::results::{doubts, next_steps, results, with_leaks};
use super::{INTERRUPTED, Settings, folds, profile, resume, summary, text, thread_pool, within};

const AFTER_HELP: &str = "\
What is left behind: a run folder with model.safetensors, metrics.json, history.csv, events.jsonl,
config.toml, run.json and schema.json; nothing at all when training fails. Every few seconds the
state of training is kept there too: a run that was killed or interrupted goes on with --resume RUN,
and comes to the same bits as one that was not.

Exit codes: 0 done, and also when the loss stops being finite after the first epoch: the best
weights are kept and tested, with a warning; 1 failed, and nothing is kept; 2 wrong use; 130
interrupted by Ctrl-C: the best weights so far are kept and tested, and --resume goes on. A second
Ctrl-C ends at once.";

/// What a run that goes on has decided already.
const RESUME_TAKES_NO: [&str; 17] = [
    "data",
    "target",
    "task",
    "split_column",
    "folds",
    "repeats",
    "memory",
    "cache",
    "seed",
    "out",
    "config",
    "sets",
    "schema",
    "null",
    "delimiter",
    "decimal",
    "bad_rows",
];

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
    pub(super) threads: Option<usize>,
    /// The run folder to make (default: the next free one in runs/)
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
    /// Go on with the run in this folder, which was killed or interrupted
    #[arg(long, value_name = "RUN", conflicts_with_all = RESUME_TAKES_NO)]
    pub(super) resume: Option<PathBuf>,
    /// With --resume: go on although the table has changed
    #[arg(long)]
    pub(super) force: bool,
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
    if let Some(run) = &arguments.resume {
        return resume::resume(run, arguments);
    }
    if arguments.force {
        let what = "--force goes on with a run although its table has changed, and there is no --resume";
        return Err(Error::setting(what, "leave it out, or --resume RUN").into());
    }
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
    let leaks = introduce_run(&run, arguments.quiet);
    tell_skipped(run.skipped());
    let interruption = Interruption::watch();
    let folder = make_folder(arguments, told.source, &interruption)?;
    let settings = write_settings(&folder, told.config, told.schema, &run.beginning())?;
    carry_out(&run, folder, &interruption, arguments, (None, run.beginning().about(&settings)), &leaks)
}

/// Trains, tests and tells what came of it; from a checkpoint on, if there is one. Beside it stands what is written
/// into those to come. `leaks` are the columns that were suspected to give the target away.
pub(super) fn carry_out(
    run: &Run,
    mut folder: RunFolder,
    interruption: &Interruption,
    arguments: &Arguments,
    saved: (Option<Checkpoint>, Value),
    leaks: &[String],
) -> anyhow::Result<ExitCode> {
    let outcome = train_into(run, &mut folder, interruption, arguments.quiet, saved)?;
    if !arguments.quiet {
        text::note("");
    }
    let Outcome { report, interrupted, warnings } = outcome;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&with_leaks(report.to_json(), leaks))?)?;
    } else {
        write!(out, "{}{}", results(&report), doubts(leaks, &report.target))?;
        write!(out, "{}", next_steps(&run.overview().config.data.sources(), &folder))?;
    }
    out.flush()?;
    warn(&warnings);
    if interrupted {
        text::note(&format!("interrupted; what was trained so far is saved in {}", folder.path().display()));
        if run.overview().config.checkpoint.resumable {
            text::note(&format!("go on with: {}", resume::command(folder.path())));
        }
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(ExitCode::SUCCESS)
}

/// Decides everything, about a table in memory or, where it would take too much of it, on disk.
pub(super) fn plan(config: Config, quiet: bool) -> Result<Run, Error> {
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

/// Tells what was decided, and what is to be looked out for among the run's training rows; the columns that are suspected to
/// give the target away, which are told of also where it is to be `quiet`: they make all figures doubtful.
pub(super) fn introduce_run(run: &Run, quiet: bool) -> Vec<String> {
    match run {
        Run::Memory(plan) => introduce(plan, quiet),
        Run::Streamed(plan) => introduce_with(&plan.overview(), &plan.decided.noticed, quiet),
    }
}

/// The same of a plan.
pub(super) fn introduce(plan: &Plan, quiet: bool) -> Vec<String> {
    introduce_with(&plan.overview(), &Noticed::of(of_training_rows(plan)), quiet)
}

fn introduce_with(told: &Overview<'_>, noticed: &Noticed, quiet: bool) -> Vec<String> {
    if !quiet {
        text::note(describe(told).trim_end_matches('\n'));
    }
    let leaks = tell_noticed(told, noticed, quiet);
    if !quiet {
        text::note("");
    }
    leaks
}

/// Tells what is to be looked out for among the training rows of a plan, and where it is to be `quiet` only what gives the
/// target away; returns these columns.
pub(super) fn look_out(plan: &Plan, quiet: bool) -> Vec<String> {
    tell_noticed(&plan.overview(), &Noticed::of(of_training_rows(plan)), quiet)
}

fn tell_noticed(told: &Overview<'_>, noticed: &Noticed, quiet: bool) -> Vec<String> {
    let leaks = leaks_among(noticed);
    let words = profile::noticed(if quiet { &leaks } else { noticed }, told.config);
    if !words.is_empty() {
        text::note(words.trim_matches('\n'));
    }
    let mut names: Vec<String> =
        leaks.warnings.iter().filter_map(|warning| warning.columns.first().cloned()).collect();
    names.dedup();
    names
}

/// What was noticed of columns that give the target away.
fn leaks_among(noticed: &Noticed) -> Noticed {
    let leaks = noticed.warnings.iter().filter(|warning| warning.concern == Concern::Leak);
    Noticed { warnings: leaks.cloned().collect(), ..noticed.clone() }
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

/// Writes what the run is begun with, settings and schema, into its folder; returns the text of the settings.
pub(super) fn write_settings(
    folder: &RunFolder,
    config: &Config,
    schema: &Schema,
    beginning: &Beginning,
) -> Result<String, Error> {
    let mut config = config.with_starts();
    // The folder is to be read from anywhere.
    config.data = config.data.from_anywhere();
    let settings = config.to_toml();
    beginning.write(folder, &settings)?;
    write_schema(folder, schema)?;
    Ok(settings)
}

/// Writes what the columns are taken as into the run's folder.
pub(super) fn write_schema(folder: &RunFolder, schema: &Schema) -> Result<(), Error> {
    let schema = serde_json::to_string_pretty(schema)
        .map_err(|e| Error::output(format!("the schema cannot be written as JSON: {e}"), ""))?;
    folder.write("schema.json", (schema + "\n").as_bytes())
}

/// Said when training is asked to stop.
const INTERRUPTING: &str =
    "interrupted: the best weights so far are tested and saved; Ctrl-C again ends at once";

/// Said to whom asks for that when it is over.
pub(super) const TOO_LATE: &str = "interrupted: training has ended already, and what it came to is tested and saved; Ctrl-C again ends at once";

/// A run that is ready to train.
pub(super) enum Run {
    /// On rows in memory.
    Memory(Box<Plan>),
    /// On rows that are read from disk meanwhile.
    Streamed(Box<StreamedPlan>),
}

impl Run {
    pub(super) fn overview(&self) -> Overview<'_> {
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

    fn beginning(&self) -> Beginning {
        Beginning::new(self.overview().sha256, matches!(self, Self::Streamed(_)))
    }

    /// All of its model but the parameters.
    fn card(&self) -> Card {
        match self {
            Self::Memory(plan) => card_of(plan),
            Self::Streamed(plan) => streamed_run::card_of(plan),
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
    (from, about): (Option<Checkpoint>, Value),
) -> Result<Outcome, Error> {
    let skipped = run.skipped();
    if skipped.count > 0 {
        folder.write("skipped-rows.csv", skipped.to_csv().as_bytes())?;
    }
    let settings = &run.overview().config.checkpoint;
    let mut saved_models = SavedModels::new(settings, run.card(), folder.path(), folder.undo())?;
    let checkpoints = folder.path().join(CHECKPOINTS);
    let keeper = if settings.resumable {
        Some(Checkpoints::new(&checkpoints, folder.logs()?.into(), folder.undo())?)
    } else {
        None
    };
    let mut keep =
        |checkpoint, waits| keeper.as_ref().map_or(Ok(()), |keeper| keeper.keep(checkpoint, waits));
    let every = every(settings);
    let saving = settings.resumable.then_some(Saving { from, every, at_end: false, about, keep: &mut keep });
    let mut progress = Progress::new(quiet);
    let (mut interrupted, mut warnings, mut not_kept) = (false, Vec::new(), None::<(usize, String)>);
    let mut show = |event: &Event| {
        progress.show(event);
        warnings.extend(went_astray(event));
        if let Event::NotSaved { why, .. } = event {
            not_kept.get_or_insert_with(|| (0, why.clone())).0 += 1;
        }
        if matches!(event, Event::Finished { .. }) && !quiet {
            interruption.come_too_late(TOO_LATE, interrupted);
        }
        // Stopped before its first step, training would leave nothing to save.
        let may_stop =
            !matches!(event, Event::Started { .. } | Event::Resumed { .. } | Event::Finished { .. });
        if may_stop && interruption.asked().load(Ordering::SeqCst) {
            if !interrupted && !quiet {
                progress.line(INTERRUPTING);
            }
            interrupted = true;
            return Answer::Interrupt("interrupted".into());
        }
        Answer::GoOn
    };
    let mut callbacks = Callbacks(vec![&mut *folder, &mut show]);
    if let Some(saved_models) = &mut saved_models {
        callbacks.0.push(saved_models);
    }
    let trained = match run {
        Run::Memory(plan) => execute_saved(plan, &mut callbacks, saving),
        Run::Streamed(plan) => streamed_run::execute(plan, &mut callbacks, saving),
    };
    let finished = trained.and_then(|trained| {
        folder.finish(trained.model.to_bytes()?, &trained.report)?;
        Ok(trained.report)
    });
    // The last of them is written before they go.
    if let Err(error) = keeper.map_or(Ok(()), Checkpoints::finish) {
        not_kept.get_or_insert_with(|| (0, error.to_string())).0 += 1;
    }
    let not_kept = not_kept
        .map(|(n, why)| format!("{} of training could not be kept: {why}", text::counted(n, "state")));
    let not_logged = folder.take_failure().map(|error| format!("the event log is incomplete: {error}"));
    let not_saved = saved_models.and_then(|mut models| models.take_failures());
    let not_saved = not_saved.map(|(n, error)| {
        let epochs = text::counted(n, "epoch");
        format!("after {epochs} a model of checkpoint.best or checkpoint.last was not saved: {error}")
    });
    let lost: Vec<String> = [not_kept, not_logged, not_saved].into_iter().flatten().collect();
    match finished {
        Ok(report) => {
            if !interrupted {
                checkpoints::remove_all(&checkpoints);
            }
            warnings.extend(lost);
            Ok(Outcome { report, interrupted, warnings })
        }
        // What could not be written before is told all the same.
        Err(error) => {
            warn(&lost);
            Err(error)
        }
    }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        text::note(&format!("warning: {warning}"));
    }
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
            text::counted(config.train.last_epoch(), "epoch"),
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
