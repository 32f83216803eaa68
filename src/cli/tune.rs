//! `statera tune`

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::Args;
use serde::{Deserialize, Serialize};
use statera::config::{Config, Space};
use statera::data::RawTable;
use statera::error::Error;
use statera::run::{Folder, Plan};
use statera::tune::{Chosen, Header, Over, Pruner, Sampler, State, Store, Trial, Tuning, View, Wish, choose};

use super::interrupt::Interruption;
use super::reading::{Learning, tell_skipped};
use super::results::{doubts, with_leaks};
use super::train::tell_leaks;
use super::trials::{csv, listing, results, tally};
use super::tune_list::{document, list, study_to_read};
use super::tune_progress::Progress;
use super::{INTERRUPTED, Settings, for_one_split, text, within};

const AFTER_HELP: &str = "\
What is searched stands in the configuration, in place of a value:
  learning_rate = { low = 1e-4, high = 1e-1, log = true }     any number between
  dropout = { low = 0.0, high = 0.5, steps = 6 }              evenly spaced numbers
  norm = { choices = [\"none\", \"batch\"] }                      one of these
  momentum = { low = 0.5, high = 0.99, if = { \"optimizer.name\" = \"sgd\" } }
or behind --set 'train.batch_size={ choices = [16, 32] }'. Without any range, a built-in space.

Trials are judged on the validation rows. The best settings are trained once more on training and
validation rows together, and so are the settings as they were; both are tested once.

What is left behind: a folder with study.db (SQLite), trials.csv, tune.json, space.toml and
config.toml (what is not searched), and best/ with the model and its config.toml.

Exit codes: 0 done; 1 failed; 2 wrong use; 130 interrupted by Ctrl-C: --resume FOLDER goes on.";

/// Searched where nothing else is said.
const SPACE: &str = "\
optimizer.learning_rate = { low = 3e-4, high = 3e-2, log = true }
optimizer.weight_decay = { low = 1e-4, high = 1.0, log = true }
train.batch_size = { choices = [16, 32, 64, 128] }
network.hidden = { choices = [[64, 64], [128, 128], [256, 256], [128, 128, 128], [256, 256, 256]] }
network.activation = { choices = [\"relu\", \"silu\", \"gelu\"] }
network.norm = { choices = [\"none\", \"batch\", \"layer\"] }
network.dropout = { low = 0.0, high = 0.5, steps = 6 }
";
/// Trials of a search that has no end of its own.
const TRIALS: u64 = 60;
/// Trials that are printed where nobody says how many.
const SHOWN: usize = 10;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line by itself")]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The table: files, a folder, a pattern of names or - (or set data.path)
    pub(super) data: Vec<PathBuf>,
    /// The column to predict (or set data.target)
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    #[command(flatten)]
    learning: Learning,
    #[command(flatten)]
    settings: Settings,
    /// How settings are found: grid, random, quasi_random or (the default) tpe
    #[arg(long, value_name = "NAME", value_parser = Sampler::NAMES, hide_possible_values = true)]
    sampler: Option<String>,
    /// When a trial is given up early: asha, median or (the default) none
    #[arg(long, value_name = "NAME", value_parser = Pruner::NAMES, hide_possible_values = true)]
    pruner: Option<String>,
    /// The most trials (default: 60; of a grid, all)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    trials: Option<u64>,
    /// Seconds after which no further trial begins
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    max_seconds: Option<f64>,
    /// Trials at a time, each on one thread; 0 takes one a core
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    jobs: usize,
    /// Run a grid of more than a million trials
    #[arg(long)]
    large_grid: bool,
    /// Let the models of the best N trials predict together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), allow_negative_numbers = true)]
    ensemble: Option<u16>,
    /// Train the best settings with so many other seeds, to tell luck
    #[arg(long, value_name = "N")]
    confirm: Option<usize>,
    /// The seed
    #[arg(long, value_parser = within::<u64>("seed"), allow_negative_numbers = true)]
    seed: Option<u64>,
    /// The folder to make (default: the next free runs/TABLE-tune-NUMBER)
    #[arg(long, value_name = "FOLDER", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with the study in this folder; its space may be changed
    #[arg(long, value_name = "STUDY")]
    resume: Option<PathBuf>,
    /// Resume although the table is another one
    #[arg(long, requires = "resume")]
    force: bool,
    /// Print the trials of a study, the best first, and do nothing else
    #[arg(long, value_name = "STUDY", num_args = 0..=1, default_missing_value = "-")]
    #[arg(conflicts_with_all = ["target", "resume", "out"])]
    pub(super) list: Option<PathBuf>,
    /// Print the epochs of this trial of a study
    #[arg(long, value_name = "TRIAL", conflicts_with_all = ["target", "resume", "out", "export"])]
    pub(super) show: Option<u64>,
    /// Print the trials of a study as CSV
    #[arg(long, value_name = "FORMAT", value_parser = ["csv"], conflicts_with_all = ["target", "resume", "out"])]
    pub(super) export: Option<String>,
    /// How many of the best trials are printed; 0 for all
    #[arg(long, value_name = "N")]
    pub(super) top: Option<usize>,
    /// Print as JSON: the result, or what --list and --show print
    #[arg(long, conflicts_with = "export")]
    pub(super) json: bool,
    /// No notes and no progress; warnings are still told
    #[arg(long)]
    quiet: bool,
}

/// How far a study is to go. It is kept with the study: what a resumed one is not told stays as it was.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Request {
    sampler: Option<String>,
    pruner: Option<String>,
    trials: Option<u64>,
    max_seconds: Option<f64>,
    ensemble: Option<u16>,
    confirm: Option<usize>,
}

impl Request {
    /// What the command line says, and else what the study was asked before.
    fn of(arguments: &Arguments, known: Option<&Store>) -> Result<Self, Error> {
        let before = known.map(Store::request).transpose()?.flatten();
        let before: Self = before.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        Ok(Self {
            sampler: arguments.sampler.clone().or(before.sampler),
            pruner: arguments.pruner.clone().or(before.pruner),
            trials: arguments.trials.or(before.trials),
            max_seconds: arguments.max_seconds.or(before.max_seconds),
            ensemble: arguments.ensemble.or(before.ensemble),
            confirm: arguments.confirm.or(before.confirm),
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(study) = study_to_read(arguments)? {
        return list(arguments, study);
    }
    let known = arguments.resume.as_deref().map(Store::open).transpose()?;
    arguments.out.as_deref().map_or(Ok(()), Folder::check)?;
    if let Some(s) = arguments.max_seconds.filter(|s| !(s.is_finite() && *s > 0.0)) {
        return Err(Error::setting(
            format!("--max-seconds {s}: expected a number above 0"),
            "--max-seconds 60",
        )
        .into());
    }
    let request = Request::of(arguments, known.as_ref())?;
    let (tuning, plan) = tuning(arguments, &request, known.as_ref())?;
    tell_skipped(&tuning.raw.skipped);
    let stem = tuning.raw.stem();
    let interruption = Interruption::watch();
    let (folder, store) = if let Some(store) = known {
        check_settings(&store, &without_place(&tuning.base))?;
        let folder = store.path().parent().map_or_else(PathBuf::new, Path::to_owned);
        statera::files::write_atomically(&folder.join("space.toml"), tuning.space.to_toml().as_bytes())?;
        (folder, store)
    } else {
        let make = || Folder::create(arguments.out.as_deref(), &format!("{stem}-tune"));
        let folder = interruption.create(make, Folder::undo)?;
        let store = Store::create(folder.path(), &header(&tuning, &plan))?;
        let mut base = tuning.base.clone();
        base.data = base.data.from_anywhere();
        // From here on the folder stays: a study is worth keeping from its first trial on.
        folder.finish(&[
            ("config.toml", base.to_toml().as_bytes()),
            ("space.toml", tuning.space.to_toml().as_bytes()),
        ])?;
        (folder.path().to_owned(), store)
    };
    store.keep_request(&serde_json::to_string(&request)?)?;
    let before = store.trials()?;
    if !arguments.quiet {
        text::note(&describe(&tuning, &before));
    }
    let leaks = tell_leaks(&plan);
    drop(plan);
    let mut progress = Progress::new(arguments.quiet, &tuning, &before);
    let (store, why) = tuning.run(store, interruption.asked(), &mut |told| progress.tell(told))?;
    let took = progress.end();
    let trials = store.trials()?;
    drop(store);
    write_csv(&folder, &trials)?;
    let mut out = std::io::stdout().lock();
    let wish =
        Wish { ensemble: request.ensemble.map_or(1, usize::from), confirm: request.confirm.unwrap_or(0) };
    let chosen = if interruption.asked().load(Ordering::SeqCst) {
        None
    } else {
        if !arguments.quiet {
            text::note("Training the best settings anew, and the untuned ones beside them.\n");
        }
        if why == Over::TimeUp && trials.iter().all(|trial| trial.state != State::Done) {
            let more = further(&tuning, why, trials.len() as u64, &folder);
            return Err(Error::training(
                format!("the time was up before a trial came to its end ({}, to go on)", tally(&trials)),
                more,
            )
            .into());
        }
        choose(&tuning, &trials, wish, interruption.asked())?
    };
    let Some(chosen) = chosen else {
        if arguments.json {
            let listed = document(&View::open(&folder)?, &trials, arguments.top.unwrap_or(0))?;
            writeln!(out, "{}", serde_json::to_string_pretty(&listed)?)?;
        } else {
            writeln!(out, "{}", listing(&trials, arguments.top.unwrap_or(SHOWN)))?;
        }
        text::note(&format!(
            "interrupted with {} ({}); to go on: {}",
            text::counted(trials.len(), "trial"),
            tally(&trials),
            to_resume(&folder, &tuning.raw.source.display().to_string())
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let again = folder.join("tune.json").is_file();
    let json = serde_json::to_string_pretty(&with_leaks(chosen.to_json(&trials), &leaks))? + "\n";
    statera::files::write_atomically(&folder.join("tune.json"), json.as_bytes())?;
    keep_best(&folder, &chosen)?;
    if arguments.json {
        write!(out, "{json}")?;
    } else {
        let counted = text::counted(trials.len(), "trial");
        let broken_off = if trials.iter().all(|trial| trial.state.is_over()) {
            String::new()
        } else {
            format!("; {}", tally(&trials))
        };
        let is_new = trials.len() > before.len() || before.iter().any(|trial| !trial.state.is_over());
        let when = if is_new { format!("in {}", text::seconds(took)) } else { "from before".to_owned() };
        writeln!(out, "{counted} {when} ({why}{broken_off})\n")?;
        write!(out, "{}", listing(&trials, arguments.top.unwrap_or(SHOWN)))?;
        write!(out, "{}{}", results(&chosen, again), doubts(&leaks, &tuning.base.data.target))?;
        writeln!(out, "\nSaved in {}", text::path(&folder))?;
        let best = text::shell(&text::path(&folder.join("best")));
        let study = text::shell(&text::path(&folder));
        let more = further(&tuning, why, trials.len() as u64, &folder);
        let rows = [
            ["predict with it", &format!("statera predict {best} DATA -o predictions.csv")],
            ["every trial", &format!("statera tune --list {study} --top 0")],
            ["further trials", &more],
        ];
        write!(out, "{}", text::table(&rows.map(|row| row.map(String::from).to_vec()), &[]))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The command that goes on with a study, which knows its settings and what it was asked; and its table, if that was
/// not standard input.
pub(super) fn to_resume(folder: &Path, table: &str) -> String {
    let table = if is_stdin(Path::new(table)) { "TABLE.csv " } else { "" };
    format!("statera tune {table}--resume {}", text::shell(&text::path(folder)))
}

/// Whether a table is standard input, as it is named on the command line or in a study.
fn is_stdin(table: &Path) -> bool {
    ["-", "/dev/stdin", "standard input"].iter().any(|name| table == Path::new(name))
}

/// What leads to further trials once a study has ended with `n` of them.
fn further(tuning: &Tuning, why: Over, n: u64, folder: &Path) -> String {
    let resume = to_resume(folder, &tuning.raw.source.display().to_string());
    let most = tuning.space.combinations().unwrap_or(u64::MAX);
    match (why, tuning.max_seconds) {
        (Over::TimeUp, Some(seconds)) => format!("{resume} --max-seconds {}", 2.0 * seconds),
        (Over::Enough(_), _) if n < most => format!("{resume} --trials {}", n.saturating_mul(2).min(most)),
        _ => {
            let space = text::shell(&text::path(&folder.join("space.toml")));
            // So many as were asked for would be the end again.
            let trials = match why {
                Over::Enough(_) => format!(" --trials {}", n.saturating_mul(2)),
                _ => String::new(),
            };
            format!("more values in {space}, then: {resume}{trials}")
        }
    }
}

/// What is to be done, from the command line and the files that it names; and the plan of the settings as they stand.
fn tuning(arguments: &Arguments, request: &Request, known: Option<&Store>) -> Result<(Tuning, Plan), Error> {
    let mut sets = arguments.learning.sets()?;
    sets.extend(arguments.settings.sets.iter().cloned());
    sets.extend(arguments.seed.map(|seed| format!("seed={seed}")));
    let kept = arguments.resume.as_ref().map(|study| {
        let folder = if study.is_dir() { study.clone() } else { study.with_file_name("") };
        (folder.join("config.toml"), folder.join("space.toml"))
    });
    let (mut space, mut base) = match (&arguments.settings.config, &kept) {
        // The study knows what it is of.
        (None, Some((config, _))) if config.is_file() => Space::load(Some(config), &sets)?,
        (file, _) => Space::load(file.as_deref(), &sets)?,
    };
    base = for_one_split(base)?;
    base.data.set_sources(&arguments.data);
    arguments.learning.reading.add_null(&mut base.data);
    if let Some(target) = &arguments.target {
        base.data.target.clone_from(target);
    }
    if space.parameters.is_empty() {
        space = match &kept {
            Some((_, file)) if arguments.settings.config.is_none() && file.is_file() => {
                // Its conditions may name settings that are not searched: those of the study, not the defaults.
                let text = std::fs::read_to_string(file).map_err(|e| Error::io("read", file, e))?;
                let space = Space::from_toml_str(&text).map_err(|e| within_file(file, e))?;
                space.check(&base)?;
                space
            }
            _ => {
                if !arguments.quiet {
                    text::note("No setting carries a range: the built-in space is searched.");
                }
                built_in(&base, &space.fixed)?
            }
        };
    }
    if let (Some(study), [], true) = (&arguments.resume, &arguments.data[..], is_stdin(&base.data.path))
        && std::io::stdin().is_terminal()
    {
        let study = study.display();
        return Err(Error::setting(
            format!("the table of the study {study} came from standard input, and there is none now"),
            format!("statera tune TABLE.csv --resume {study}"),
        ));
    }
    let raw = Arc::new(Plan::read(&base)?);
    known.map_or(Ok(()), |store| check_table(store, &raw, arguments.force))?;
    if let Some(name) = space.columns().into_iter().find(|name| raw.names().all(|known| known != name)) {
        let names: Vec<String> = raw.names().take(20).map(|name| format!("`{}`", text::name(name))).collect();
        return Err(Error::setting(
            format!(
                "data.columns: there is no column `{}` in {}",
                text::name(&name),
                text::path(&raw.source)
            ),
            format!("one of {}", names.join(", ")),
        ));
    }
    // What no trial could do is told before the first of them.
    let plan = Plan::of(base.clone(), Arc::clone(&raw))?;
    let sampler = request.sampler.as_deref().and_then(Sampler::named).unwrap_or(Sampler::Tpe);
    let jobs = match arguments.jobs {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let tuning = Tuning {
        space,
        base,
        raw,
        sampler,
        pruner: request.pruner.as_deref().and_then(Pruner::named).unwrap_or(Pruner::None),
        trials: request.trials.unwrap_or(if sampler == Sampler::Grid { u64::MAX } else { TRIALS }),
        max_seconds: request.max_seconds,
        jobs,
        large_grid: arguments.large_grid,
    };
    Ok((tuning, plan))
}

/// What is wrong in a file of ranges, with its name.
fn within_file(file: &Path, error: Error) -> Error {
    match error {
        Error::Setting(p) => Error::setting(format!("{}: {}", file.display(), p.what), p.remedy),
        other => other,
    }
}

/// The built-in space, without what the user has set, and what has no effect beside that.
fn built_in(base: &Config, fixed: &[String]) -> Result<Space, Error> {
    let mut space = Space::from_toml_str(SPACE)?;
    // The short forms of a network say nothing beside a list of layers.
    let listed = !base.network.layers.is_empty();
    space.parameters.retain(|p| !(fixed.contains(&p.key) || listed && p.key.starts_with("network.")));
    let idle: Vec<String> = space.idle(base).into_iter().map(|(key, _)| key.to_owned()).collect();
    space.parameters.retain(|p| !idle.contains(&p.key));
    if space.parameters.is_empty() {
        return Err(Error::setting(
            "nothing is left to search: every setting of the built-in space has a value or no effect",
            "--set 'optimizer.learning_rate={ low = 1e-4, high = 1e-1, log = true }'",
        ));
    }
    Ok(space)
}

fn header(tuning: &Tuning, plan: &Plan) -> Header {
    Header {
        data_sha256: tuning.raw.sha256.clone(),
        data_path: tuning.raw.source.display().to_string(),
        base: without_place(&tuning.base),
        metric: statera::run::report::primary(plan.target.task).to_owned(),
    }
}

/// The settings as text, without where the table lies and how many threads there are.
fn without_place(base: &Config) -> String {
    let mut base = base.clone();
    (base.data.path, base.data.also) = (PathBuf::new(), Vec::new());
    base.threads = 0;
    base.to_toml()
}

/// Whether a study is of this table.
fn check_table(store: &Store, raw: &RawTable, force: bool) -> Result<(), Error> {
    let known = store.header()?;
    if known.data_sha256 == raw.sha256 || force {
        return Ok(());
    }
    Err(Error::setting(
        format!(
            "the study is of {} (sha256 {}…), this is {} (sha256 {}…)",
            known.data_path,
            known.data_sha256.get(..8).unwrap_or_default(),
            raw.source.display(),
            raw.sha256.get(..8).unwrap_or_default()
        ),
        "give the table of the study, begin a new one, or --force to compare trials on different tables",
    ))
}

/// Whether the trials of a study were run with these settings.
fn check_settings(store: &Store, now: &str) -> Result<(), Error> {
    let known = store.header()?;
    let lines: (Vec<&str>, Vec<&str>) = (known.base.lines().collect(), now.lines().collect());
    if let Some(new) = lines.1.iter().find(|line| !lines.0.contains(line)) {
        let key = new.split('=').next().unwrap_or_default().trim();
        let old = lines.0.iter().find(|line| line.split('=').next().map(str::trim) == Some(key));
        return Err(Error::setting(
            format!(
                "the trials of the study were run with {}, now {new} is set",
                old.map_or_else(|| format!("another {key}"), |old| format!("`{old}`"))
            ),
            "resume with the settings of the study (its config.toml), or begin a new one",
        ));
    }
    Ok(())
}

fn describe(tuning: &Tuning, before: &[Trial]) -> String {
    let many = match (tuning.sampler, tuning.trials) {
        (Sampler::Grid, u64::MAX) => "all combinations".to_owned(),
        (_, n) => text::counted(n as usize, "trial"),
    };
    let mut first = format!(
        "{}: `{}` from {}; {} over {}, {many}, {} at a time, seed {}",
        text::path(&tuning.raw.source),
        text::name(&tuning.base.data.target),
        text::counted(tuning.raw.n_rows(), "row"),
        tuning.sampler.name(),
        text::counted(tuning.space.parameters.len(), "setting"),
        tuning.jobs,
        tuning.base.seed
    );
    if tuning.pruner != Pruner::None {
        let _ = write!(first, ", {} pruning", tuning.pruner.name());
    }
    if !before.is_empty() {
        let many = text::counted(before.len(), "trial");
        let _ = write!(first, "; {many} in the study already ({})", tally(before));
    }
    let mut rows = vec![["searched", "values"].map(String::from).to_vec()];
    for p in &tuning.space.parameters {
        let only = p.only_if.as_ref().map_or(String::new(), |(key, values)| {
            format!(" (only where {key} is {})", values.join(" or ").replace('"', ""))
        });
        rows.push(vec![p.key.clone(), p.domain.words() + &only]);
    }
    format!("{}\n{}", text::wrap(&first, 0), text::wrapped_table(&rows))
}

/// Writes the chosen model, and the settings of each of its members: `config.toml`, `config-2.toml` and so on.
fn keep_best(folder: &Path, chosen: &Chosen) -> Result<(), Error> {
    let best = folder.join("best");
    std::fs::create_dir_all(&best).map_err(|e| Error::io("create", &best, e))?;
    let metrics = serde_json::to_string_pretty(&chosen.tested.tuned.to_json())
        .map_err(|e| Error::output(format!("the metrics cannot be written as JSON: {e}"), ""))?;
    let mut files = vec![
        ("model.safetensors".to_owned(), chosen.tested.bag.to_bytes()?),
        ("metrics.json".to_owned(), (metrics + "\n").into_bytes()),
    ];
    for (i, config) in chosen.tested.configs.iter().enumerate() {
        let mut config = config.clone();
        config.data = config.data.from_anywhere();
        let name = if i == 0 { "config.toml".to_owned() } else { format!("config-{}.toml", i + 1) };
        files.push((name, config.to_toml().into_bytes()));
    }
    files.iter().try_for_each(|(name, bytes)| statera::files::write_atomically(&best.join(name), bytes))?;
    // Settings of members that an earlier choice had.
    for i in files.len() - 1.. {
        let stale = best.join(format!("config-{i}.toml"));
        match std::fs::remove_file(&stale) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::io("remove", &stale, e)),
        }
    }
    Ok(())
}

fn write_csv(folder: &Path, trials: &[Trial]) -> anyhow::Result<()> {
    Ok(statera::files::write_atomically(&folder.join("trials.csv"), &csv(trials)?)?)
}
