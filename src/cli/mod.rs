//! Arguments in, library calls, words out. No logic of its own.

mod ablate;
mod config;
mod evaluate;
mod folds;
mod inspect;
mod interrupt;
mod kinds;
mod lr_test;
mod predict;
mod profile;
mod progress;
mod reading;
mod results;
mod resume;
mod summary;
mod text;
mod train;
mod trials;
mod tune;
mod tune_end;
mod tune_list;
mod tune_progress;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};
use statera::config::Config;
use statera::config::keys::{self, Kind};
use statera::{Error, Result};

/// Trains neural networks on tables, and tests them against simple models.
#[derive(Debug, Parser)]
#[command(name = "statera", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a network on a table, test it, and keep it in a run folder
    Train(train::Arguments),
    /// Get to know a table: what is in its columns, how they go together, and what to look out for
    Profile(profile::Arguments),
    /// Predict the rows of a table with a trained model
    Predict(predict::Arguments),
    /// Measure a trained model on a table that has the target column
    Evaluate(evaluate::Arguments),
    /// Show the layers and parameters of a trained model or of a configuration
    Summary(summary::Arguments),
    /// Show the weights of a trained model, or with --init the start of a network on a table
    Inspect(inspect::Arguments),
    /// Find a learning rate: train with one that rises until the loss blows up, and draw the curve
    LrTest(lr_test::Arguments),
    /// Say what each technique is worth on a table, over several seeds, with intervals
    Ablate(ablate::Arguments),
    /// Search settings that suit a table best, trial by trial, and test the best once
    Tune(Box<tune::Arguments>),
    /// List all settings with their defaults, or check a configuration file
    Config(config::Arguments),
}

/// Where settings come from; later ones win: defaults, file, `--set`, the other options.
#[derive(Debug, Clone, Default, Args)]
struct Settings {
    /// Settings in a TOML file; `statera config --defaults` lists them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, for example --set train.epochs=50 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

impl Settings {
    fn load(&self) -> Result<Config> {
        load(self.config.as_deref(), &self.sets)
    }

    /// The settings for this table, column and seed where they are given, of what looks at a single split.
    fn load_for(
        &self,
        data: &[PathBuf],
        learning: &reading::Learning,
        target: Option<&str>,
        seed: Option<u64>,
    ) -> Result<Config> {
        for_one_split(self.load_with_folds(data, learning, target, seed)?)
    }

    /// The settings for this table, column and seed where they are given.
    fn load_with_folds(
        &self,
        data: &[PathBuf],
        learning: &reading::Learning,
        target: Option<&str>,
        seed: Option<u64>,
    ) -> Result<Config> {
        let mut settings = self.clone();
        settings.sets.extend(seed.map(|seed| format!("seed={seed}")));
        // The options go before other settings, which may say more.
        settings.sets.splice(0..0, learning.sets()?);
        let mut config = settings.load()?;
        // As they stand: a name may look like TOML.
        config.data.set_sources(data);
        learning.reading.add_null(&mut config.data);
        if let Some(target) = target {
            target.clone_into(&mut config.data.target);
        }
        Ok(config)
    }
}

/// The settings for what looks at a single split; that folds say nothing there is told.
fn for_one_split(config: Config) -> Result<Config> {
    let saved = [("checkpoint.best", &config.checkpoint.best), ("checkpoint.last", &config.checkpoint.last)];
    for (key, _) in saved.into_iter().filter(|(_, name)| !name.is_empty()) {
        text::note(&format!("note: {key} says nothing here: models of epochs are saved by statera train"));
    }
    if config.split.folds == 0 {
        return Ok(config);
    }
    text::note("note: split.folds says nothing here: one split is looked at");
    config.with(&["split.repeats=1".into(), "split.folds=0".into()])
}

/// The settings of a file with those of the command line over them; tells what of the file is left out.
fn load(file: Option<&Path>, sets: &[String]) -> Result<Config> {
    let (config, left_out) = Config::load_and_tell(file, sets)?;
    for what in left_out {
        text::note(&format!("warning: {what}"));
    }
    Ok(config)
}

/// Interrupted by the user, as shells count it: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

/// A decoder that panics is told as damage of its file; the words of the panic would say nothing more.
fn be_silent_about_damaged_files() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !statera::data::read::is_guarded() {
            usual(info);
        }
    }));
}

/// Runs the command line; the exit code is 0 for done, 1 for failed, 2 for wrong use, 130 for interrupted.
pub(crate) fn main() -> ExitCode {
    be_silent_about_damaged_files();
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        if let Some(meant) =
            setting_meant(&error).or_else(|| out_of_range(&error)).or_else(|| with_resume(&error))
        {
            text::note(&format!("error: {meant}"));
            std::process::exit(2);
        }
        error.exit()
    });
    let done = |()| ExitCode::SUCCESS;
    let outcome = match cli.command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Profile(arguments) => profile::run(&arguments).map(done),
        Command::Predict(arguments) => predict::run(&arguments).map(done),
        Command::Evaluate(arguments) => evaluate::run(&arguments).map(done),
        Command::Summary(arguments) => summary::run(&arguments).map(done),
        Command::Inspect(arguments) => inspect::run(&arguments).map(done),
        Command::LrTest(arguments) => lr_test::run(&arguments).map(done),
        Command::Ablate(arguments) => ablate::run(&arguments),
        Command::Tune(arguments) => tune::run(&arguments),
        Command::Config(arguments) => config::run(&arguments).map(done),
    };
    outcome.unwrap_or_else(|error| fail(&error))
}

/// The words for an unknown option that is the name of a setting, as `--epochs`.
fn setting_meant(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::UnknownArgument || error.get(ContextKind::SuggestedArg).is_some() {
        return None;
    }
    let name = option.strip_prefix("--")?.replace('-', "_");
    let settings = Config::settings_named(&name);
    if settings.is_empty() {
        return None;
    }
    let commands = Cli::command();
    let command = std::env::args().nth(1).and_then(|name| commands.find_subcommand(name).cloned())?;
    if command.get_arguments().all(|argument| argument.get_id() != "sets") {
        let name = command.get_name();
        return Some(format!(
            "there is no option {option}: it is a setting of training, and `statera {name}` takes the model as it was \
             trained\n  try: leave it out, or train anew; `statera help {name}` lists the options"
        ));
    }
    if let ("tune" | "ablate", "folds" | "repeats") = (command.get_name(), &*name) {
        return Some(format!(
            "there is no option {option}: `statera {}` has no folds: it judges on validation rows\n  try: leave \
             {option} out; --set split.val=0.3 has more rows judge",
            command.get_name()
        ));
    }
    let tries: Vec<String> = settings.iter().map(|key| format!("--set {key}=VALUE")).collect();
    Some(format!("there is no option {option}, but a setting of this name\n  try: {}", tries.join(" or ")))
}

/// The words for a number beyond its bounds, with one that is within.
fn out_of_range(error: &clap::Error) -> Option<String> {
    let source = std::error::Error::source(error)?.downcast_ref::<OutOfRange>()?;
    let (Some(ContextValue::String(option)), Some(ContextValue::String(value))) =
        (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
    else {
        return None;
    };
    let option = option.split(' ').next().unwrap_or(option);
    Some(format!("{option} {value}: {source}\n  try: {option} {}", source.within))
}

/// The words for an option beside `--resume`, which decides it already.
fn with_resume(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::ArgumentConflict {
        return None;
    }
    let names = |kind| match error.get(kind) {
        Some(ContextValue::String(name)) => vec![name.clone()],
        Some(ContextValue::Strings(names)) => names.clone(),
        _ => Vec::new(),
    };
    let involved = [names(ContextKind::InvalidArg), names(ContextKind::PriorArg)].concat();
    let resume = involved.iter().find(|name| name.starts_with("--resume"))?;
    // `--set <KEY=VALUE>` and `[DATA]...` as they are typed.
    let bare =
        |name: &String| name.split(' ').next().unwrap_or(name).trim_matches(['[', ']', '.']).to_owned();
    let others: Vec<String> = involved.iter().filter(|name| *name != resume).map(bare).collect();
    let others = others.join(", ");
    Some(format!(
        "--resume goes on with a run as it was begun, and takes no {others}\n  try: leave {others} out, or leave --resume out \
         and begin a run of its own"
    ))
}

/// Says what went wrong; a reader that has gone away (`| head`) is no failure.
fn fail(error: &anyhow::Error) -> ExitCode {
    let broken_pipe =
        error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe);
    if broken_pipe {
        return ExitCode::SUCCESS;
    }
    // An error of the library tells its causes itself.
    let (words, code) = match error.downcast_ref::<Error>() {
        Some(known) => (known.to_string(), known.exit_code()),
        None => (format!("{error:#}"), 1),
    };
    text::note(&format!("error: {words}"));
    ExitCode::from(code)
}

/// A number beyond the bounds of its setting.
#[derive(Debug)]
struct OutOfRange {
    expected: String,
    /// The number within the bounds that is nearest, or the default in place of what is no number.
    within: String,
}

impl std::fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for OutOfRange {}

/// Reads a whole number within the bounds of the setting that it stands for.
fn within<T: TryFrom<i64>>(key: &'static str) -> impl Fn(&str) -> std::result::Result<T, OutOfRange> + Clone {
    move |text| match keys::find(key).map(|key| (key.kind, key.default)) {
        Some((kind @ Kind::Int { min, max }, default)) => {
            let number = text.parse::<i64>().ok();
            let inside = number.filter(|number| (min..=max).contains(number));
            inside.and_then(|n| T::try_from(n).ok()).ok_or_else(|| OutOfRange {
                expected: kind.expected(),
                within: match (number, default) {
                    (Some(number), _) => number.clamp(min, max).to_string(),
                    (None, default) => default.map_or_else(|| min.to_string(), str::to_owned),
                },
            })
        }
        other => unreachable!("{key} is no whole number: {other:?}"),
    }
}

/// The threads that everything runs on; 0 takes one a core.
fn thread_pool(threads: usize) -> anyhow::Result<rayon::ThreadPool> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?)
}
