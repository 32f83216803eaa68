//! `statera tune`

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::Args;
use serde::{Deserialize, Serialize};
use statera::config::{Config, Space};
use statera::error::Error;
use statera::run::{Folder, Plan};
use statera::tune::{Chosen, Header, Pruner, Sampler, State, Store, Trial, Tuning, View, Wish, choose};

use super::interrupt::Interruption;
use super::reading::{Learning, tell_skipped};
use super::results::{doubts, with_leaks};
use super::train::tell_leaks;
use super::trials::{csv, listing, results};
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
validation rows together, and tested once, beside the settings as they were.

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
    data: Vec<PathBuf>,
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    trials: Option<u64>,
    /// Seconds after which no further trial begins
    #[arg(long, value_name = "S")]
    max_seconds: Option<f64>,
    /// Trials at a time, each on one thread; 0 takes one a core
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
    /// Run a grid of more than a million trials
    #[arg(long)]
    large_grid: bool,
    /// Let the models of the best N trials predict together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
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
    list: Option<PathBuf>,
    /// Print the epochs of this trial of a study
    #[arg(long, value_name = "TRIAL", conflicts_with_all = ["target", "resume", "out", "export"])]
    show: Option<u64>,
    /// Print the trials of a study as CSV
    #[arg(long, value_name = "FORMAT", value_parser = ["csv"], conflicts_with_all = ["target", "resume", "out"])]
    export: Option<String>,
    /// How many of the best trials are printed; 0 for all
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
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
    let (tuning, plan) = tuning(arguments, &request)?;
    tell_skipped(&tuning.raw.skipped);
    let stem = tuning.raw.stem();
    let interruption = Interruption::watch();
    let (folder, store) = if let Some(store) = known {
        check_same(&store, &header(&tuning, &plan), arguments.force)?;
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
        choose(&tuning, &trials, wish, interruption.asked())?
    };
    let Some(chosen) = chosen else {
        let ended = trials.iter().filter(|trial| trial.state != State::Running).count();
        writeln!(out, "{}", listing(&trials, arguments.top.unwrap_or(SHOWN)))?;
        text::note(&format!(
            "interrupted after {}; to go on: {}",
            text::counted(ended, "trial"),
            to_resume(&folder)
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
        writeln!(out, "{counted} in {} ({why})\n", text::seconds(took))?;
        write!(out, "{}", listing(&trials, arguments.top.unwrap_or(SHOWN)))?;
        write!(out, "{}{}", results(&chosen, again), doubts(&leaks, &tuning.base.data.target))?;
        writeln!(out, "\nSaved in {}", text::path(&folder))?;
        let best = text::shell(&text::path(&folder.join("best")));
        let study = text::shell(&text::path(&folder));
        let more = format!("{} --trials {}", to_resume(&folder), trials.len() * 2);
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

/// The study that is only to be read, if that is asked for.
fn study_to_read(arguments: &Arguments) -> Result<Option<&Path>, Error> {
    if arguments.list.is_none() && arguments.show.is_none() && arguments.export.is_none() {
        return Ok(None);
    }
    // Without a value of its own, the study stands where tables do.
    let named = arguments.list.as_deref().filter(|study| *study != Path::new("-"));
    match (named, &arguments.data[..]) {
        (Some(study), []) => Ok(Some(study)),
        (None, [study]) => Ok(Some(study)),
        (named, data) => Err(Error::setting(
            format!(
                "--list, --show and --export read one study; {} are named",
                data.len() + usize::from(named.is_some())
            ),
            "statera tune --list runs/TABLE-tune-1",
        )),
    }
}

/// The command that goes on with a study, which knows its table, its settings and what it was asked.
fn to_resume(folder: &Path) -> String {
    format!("statera tune --resume {}", text::shell(&text::path(folder)))
}

/// What is to be done, from the command line and the files that it names; and the plan of the settings as they stand.
fn tuning(arguments: &Arguments, request: &Request) -> Result<(Tuning, Plan), Error> {
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
                Space::load(Some(file), &[])?.0
            }
            _ => built_in(&base)?,
        };
    }
    let raw = Arc::new(Plan::read(&base)?);
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

/// The built-in space, without what the settings leave no room for.
fn built_in(base: &Config) -> Result<Space, Error> {
    let mut space = Space::from_toml_str(SPACE)?;
    let (listed, lbfgs) = (!base.network.layers.is_empty(), base.optimizer.name.to_string() == "lbfgs");
    space.parameters.retain(|parameter| {
        let of_network = parameter.key.starts_with("network.");
        if of_network { !listed } else { !lbfgs }
    });
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

/// Whether a study is of this table and these settings.
fn check_same(store: &Store, now: &Header, force: bool) -> Result<(), Error> {
    let known = store.header()?;
    if known.data_sha256 != now.data_sha256 && !force {
        return Err(Error::setting(
            format!(
                "the study is of {} (sha256 {}…), this is {} (sha256 {}…)",
                known.data_path,
                known.data_sha256.get(..8).unwrap_or_default(),
                now.data_path,
                now.data_sha256.get(..8).unwrap_or_default()
            ),
            "give the table of the study, begin a new one, or --force to compare trials on different tables",
        ));
    }
    let lines: (Vec<&str>, Vec<&str>) = (known.base.lines().collect(), now.base.lines().collect());
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
        let _ = write!(first, "; {} in the study already", text::counted(before.len(), "trial"));
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

/// `--list`, with `--show` and `--export`.
fn list(arguments: &Arguments, study: &Path) -> anyhow::Result<ExitCode> {
    let view = View::open(study)?;
    let trials = view.trials()?;
    let mut out = std::io::stdout().lock();
    if let Some(number) = arguments.show {
        let Some(trial) = trials.iter().find(|trial| trial.number == number) else {
            return Err(Error::setting(
                format!("the study has no trial {number}; it has {}", text::counted(trials.len(), "trial")),
                "`statera tune --list STUDY` numbers them",
            )
            .into());
        };
        let settings: Vec<String> = trial.settings.iter().map(|(key, v)| format!("{key}={v}")).collect();
        write!(
            out,
            "{}",
            text::wrap(&format!("Trial {number}, {}: {}", trial.state.name(), settings.join("  ")), 0)
        )?;
        if !trial.reason.is_empty() {
            write!(out, "{}", text::wrap(&trial.reason, 0))?;
        }
        let mut rows = vec![["epoch", "val", "val loss", "train loss"].map(String::from).to_vec()];
        for (epoch, figures) in view.epochs(number)? {
            let figure = |x: &Option<f64>| x.map_or("–".into(), text::number);
            rows.push([vec![epoch.to_string()], figures.iter().map(figure).collect()].concat());
        }
        write!(out, "\n{}", text::table(&rows, &[true; 4]))?;
    } else if arguments.export.is_some() {
        out.write_all(&csv(&trials)?)?;
    } else {
        let running = trials.iter().filter(|trial| trial.state == State::Running).count();
        let header = view.header()?;
        write!(
            out,
            "{}: {}, {running} under way; validation {} of {}\n\n",
            text::path(study),
            text::counted(trials.len(), "trial"),
            header.metric,
            header.data_path
        )?;
        write!(out, "{}", listing(&trials, arguments.top.unwrap_or(0)))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
