//! `statera tune`

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::{Deserialize, Serialize};
use statera::config::{Config, Space};
use statera::data::RawTable;
use statera::error::Error;
use statera::run::{Folder, Plan, Undo};
use statera::tune::sample::Grid;
use statera::tune::{FILE, Header, Pruner, Sampler, Store, TableOf, Trial, Tuning, Wish, combinations};

use super::interrupt::Interruption;
use super::reading::{Learning, tell_skipped};
use super::train::look_out;
use super::trials::tally;
use super::tune_end::Ended;
use super::tune_list::{list, study_to_read};
use super::tune_progress::Progress;
use super::{Settings, for_one_split, text, within};

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
/// The settings of a study that are not searched.
pub(super) const CONFIG: &str = "config.toml";
/// What it searches.
pub(super) const SPACE_FILE: &str = "space.toml";
/// Trials of a search that has no end of its own.
const TRIALS: u64 = 60;
/// Trials that are printed where nobody says how many.
pub(super) const SHOWN: usize = 10;

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
    /// Seconds after which trials end; those under way go on with --resume
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    max_seconds: Option<f64>,
    /// Trials at a time, each on one thread; 0 (the default) takes one a core
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=1024))]
    jobs: Option<u16>,
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
    #[arg(long, value_name = "N", conflicts_with = "export")]
    pub(super) top: Option<usize>,
    /// Print as JSON: the result, or what --list and --show print
    #[arg(long, conflicts_with = "export")]
    pub(super) json: bool,
    /// No notes and no progress; warnings are still told
    #[arg(long)]
    pub(super) quiet: bool,
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
    /// Where settings are learned, they depend on it.
    jobs: Option<u16>,
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
            jobs: Some(match arguments.jobs.or(before.jobs) {
                None | Some(0) => std::thread::available_parallelism()
                    .map_or(1, |n| u16::try_from(n.get()).unwrap_or(u16::MAX)),
                Some(n) => n,
            }),
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(study) = study_to_read(arguments)? {
        return list(arguments, study);
    }
    let known = arguments.resume.as_deref().map(Store::open).transpose()?;
    arguments.out.as_deref().map_or(Ok(()), Folder::check)?;
    let request = Request::of(arguments, known.as_ref())?;
    if let Some(s) = request.max_seconds.filter(|s| !(s.is_finite() && *s > 0.0)) {
        return Err(Error::setting(
            format!("--max-seconds {s}: expected a number above 0"),
            "--max-seconds 60",
        )
        .into());
    }
    known.as_ref().map_or(Ok(()), write_missing)?;
    let (tuning, plan) = tuning(arguments, &request, known.as_ref())?;
    tell_skipped(&tuning.raw.skipped);
    let stem = tuning.raw.stem();
    let interruption = Interruption::watch();
    let asked = serde_json::to_string(&request)?;
    let (folder, store) = if let Some(store) = known {
        check_settings(&store, &without_place(&tuning.base), &tuning.space)?;
        let before = latest(&store)?;
        let other = before.data_sha256 != tuning.raw.sha256;
        if other {
            store.begin_table(tuning.raw.source.display().to_string(), tuning.raw.sha256.clone())?;
        }
        let folder = store.path().parent().map_or_else(PathBuf::new, Path::to_owned);
        interruption.take_up(Undo::of_kept(&folder));
        let header = header(&tuning, &plan);
        if other || !same_place(&header.data_path, &before.data) {
            // Where the table is now is where it is looked for next time.
            store.move_table(&header)?;
            statera::files::write_atomically(&folder.join(CONFIG), header.config.as_bytes())?;
        }
        statera::files::write_atomically(&folder.join(SPACE_FILE), tuning.space.to_toml().as_bytes())?;
        store.keep_request(&asked)?;
        (folder, store)
    } else {
        let make = || Folder::create(arguments.out.as_deref(), &format!("{stem}-tune"));
        let folder = interruption.create(make, Folder::undo)?;
        let header = header(&tuning, &plan);
        let store = Store::create(folder.path(), &header)?;
        store.keep_request(&asked)?;
        folder.write(SPACE_FILE, header.space.as_bytes())?;
        folder.write(CONFIG, header.config.as_bytes())?;
        // From here on the folder stays: a study is worth keeping from its first trial on.
        folder.finish(&[])?;
        (folder.path().to_owned(), store)
    };
    let before = store.trials()?;
    if !arguments.quiet {
        text::note(&describe(&tuning, &plan, &before));
    }
    // A study that goes on has told it before.
    let leaks = look_out(&plan, arguments.quiet || !before.is_empty());
    drop(plan);
    let mut progress = Progress::new(arguments.quiet, &tuning, &before);
    let (store, why, beside) = tuning.run(store, interruption.asked(), &mut |told| progress.tell(told))?;
    let took = progress.end();
    let trials = store.trials()?;
    drop(store);
    let wish =
        Wish { ensemble: request.ensemble.map_or(1, usize::from), confirm: request.confirm.unwrap_or(0) };
    let own = progress.n_own() as usize;
    let ended = Ended { folder, tuning, before, trials, own, why, took, leaks };
    ended.conclude(arguments, wish, beside, &interruption)
}

/// The command that goes on with a study, which knows its settings and what it was asked; and its table, if that was
/// not standard input.
pub(super) fn to_resume(folder: &Path, table: &str) -> String {
    let table = if is_stdin(Path::new(table)) { "TABLE.csv " } else { "" };
    format!("statera tune {table}--resume {}", text::shell(&text::path(folder)))
}

/// Whether two names are those of one file.
fn same_place(one: &str, other: &str) -> bool {
    let place = |name: &str| Path::new(name).canonicalize().ok();
    one == other || place(one).is_some_and(|it| Some(it) == place(other))
}

/// Whether a table is standard input, as it is named on the command line or in a study.
fn is_stdin(table: &Path) -> bool {
    ["-", "/dev/stdin", "standard input"].iter().any(|name| table == Path::new(name))
}

/// What is to be done, from the command line and the files that it names; and the plan of the settings as they stand.
fn tuning(arguments: &Arguments, request: &Request, known: Option<&Store>) -> Result<(Tuning, Plan), Error> {
    let mut sets = arguments.learning.sets()?;
    sets.extend(arguments.settings.sets.iter().cloned());
    sets.extend(arguments.seed.map(|seed| format!("seed={seed}")));
    let kept = arguments.resume.as_ref().map(|study| {
        let folder = if study.is_dir() { study.clone() } else { study.with_file_name("") };
        (folder.join(CONFIG), folder.join(SPACE_FILE))
    });
    // The study knows what it is of, and what it searches.
    let of_study = kept.as_ref().map(|(config, _)| config.as_path()).filter(|file| file.is_file());
    let (mut space, mut base) = Space::load_over(of_study, arguments.settings.config.as_deref(), &sets)?;
    base = for_one_split(base)?;
    base.data.set_sources(&arguments.data);
    arguments.learning.reading.add_null(&mut base.data);
    if let Some(target) = &arguments.target {
        base.data.target.clone_from(target);
    }
    if let Some((_, file)) = kept.as_ref().filter(|(_, file)| file.is_file()) {
        let text = std::fs::read_to_string(file).map_err(|e| Error::io("read", file, e))?;
        let before = Space::from_toml_str(&text).map_err(|e| within_file(file, e))?;
        // The ranges of a file are a space; those of the command line are laid over the space that there is.
        if arguments.settings.config.is_none() || space.parameters.is_empty() {
            space = before.with(space);
            // Its conditions may name settings that are not searched: those of the study, not the defaults.
            space.check(&base)?;
        } else if !arguments.quiet {
            tell_dropped(&before, &space);
        }
    }
    if space.parameters.is_empty() {
        if !arguments.quiet {
            text::note("No setting carries a range: the built-in space is searched.");
        }
        space = built_in(&base, &space.fixed)?;
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
    if let [folder] = &arguments.data[..]
        && folder.join(FILE).is_file()
    {
        let study = text::shell(&text::path(folder));
        return Err(Error::setting(
            format!("{study} is a study, and no table"),
            format!("statera tune --resume {study} to go on with it, or --list {study} to look at it"),
        ));
    }
    let raw = Plan::read(&base).map_err(|error| match (&arguments.resume, &arguments.data[..]) {
        (Some(study), []) if !base.data.path.exists() && !is_stdin(&base.data.path) => Error::setting(
            format!("the table of the study, {}, is not there any more", base.data.path.display()),
            format!("where it is now: statera tune TABLE.csv --resume {}", text::shell(&text::path(study))),
        ),
        _ => error,
    })?;
    let raw = Arc::new(raw);
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
    if sampler == Sampler::Grid {
        // Before there is a folder.
        Grid::new(&space, &base, arguments.large_grid)?;
    }
    let tuning = Tuning {
        combinations: combinations(&space, &base),
        space,
        base,
        raw,
        sampler,
        pruner: request.pruner.as_deref().and_then(Pruner::named).unwrap_or(Pruner::None),
        trials: request.trials.unwrap_or(if sampler == Sampler::Grid { u64::MAX } else { TRIALS }),
        max_seconds: request.max_seconds,
        jobs: request.jobs.map_or(1, usize::from),
        large_grid: arguments.large_grid,
    };
    tuning.check_columns(&plan)?;
    Ok((tuning, plan))
}

/// Tells which settings a study has searched and does not search any more.
fn tell_dropped(before: &Space, now: &Space) {
    let searched = |key: &str| now.parameters.iter().any(|p| p.key == key);
    let gone: Vec<&str> =
        before.parameters.iter().map(|p| p.key.as_str()).filter(|key| !searched(key)).collect();
    if !gone.is_empty() {
        text::note(&text::wrap(
            &format!("note: searched before and without a range now: {}", gone.join(", ")),
            0,
        ));
    }
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

/// Writes those files of a study again that are not there, because it was broken off before they were.
fn write_missing(store: &Store) -> Result<(), Error> {
    let header = store.header()?;
    for (name, text) in [(CONFIG, header.config), (SPACE_FILE, header.space)] {
        let path = store.path().with_file_name(name);
        if !path.exists() {
            statera::files::write_atomically(&path, text.as_bytes())?;
        }
    }
    Ok(())
}

fn header(tuning: &Tuning, plan: &Plan) -> Header {
    let mut config = tuning.base.clone();
    config.data = config.data.from_anywhere();
    Header {
        data_sha256: tuning.raw.sha256.clone(),
        data_path: tuning.raw.source.display().to_string(),
        base: without_place(&tuning.base),
        metric: statera::run::report::primary(plan.target.task).to_owned(),
        config: config.to_toml(),
        space: tuning.space.to_toml(),
    }
}

/// The settings as text, without where the table lies and how many threads there are.
fn without_place(base: &Config) -> String {
    let mut base = base.clone();
    (base.data.path, base.data.also) = (PathBuf::new(), Vec::new());
    base.threads = 0;
    base.to_toml()
}

/// The table that a study was last run on.
fn latest(store: &Store) -> Result<TableOf, Error> {
    Ok(store.tables()?.pop().expect("a study is of a table"))
}

/// Whether a study is of this table.
fn check_table(store: &Store, raw: &RawTable, force: bool) -> Result<(), Error> {
    let known = latest(store)?;
    if known.data_sha256 == raw.sha256 || force {
        return Ok(());
    }
    Err(Error::setting(
        format!(
            "the study is of {} (sha256 {}…), this is {} (sha256 {}…)",
            known.data,
            known.data_sha256.get(..8).unwrap_or_default(),
            raw.source.display(),
            raw.sha256.get(..8).unwrap_or_default()
        ),
        "give the table of the study, begin a new one, or --force to compare trials on different tables",
    ))
}

/// Whether the trials of a study were run with these settings.
fn check_settings(store: &Store, now: &str, space: &Space) -> Result<(), Error> {
    let known = store.header()?.base;
    if known == now {
        return Ok(());
    }
    let [then, now] = [&known, now].map(by_key);
    let keys: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let differs = keys.into_iter().find(|key| then.get(*key) != now.get(*key));
    let Some(key) = differs else { return Ok(()) };
    if let (true, Some(value)) = (space.parameters.iter().any(|p| p.key == *key), now.get(key)) {
        return Err(Error::setting(
            format!("`{key}` is searched in this study, and has no single value"),
            format!("--set '{key}={{ choices = [{value}] }}' to try this one alone from now on"),
        ));
    }
    let words = |settings: &BTreeMap<String, String>| {
        settings.get(key).map_or_else(|| format!("no `{key}`"), |value| format!("`{key} = {value}`"))
    };
    Err(Error::setting(
        format!("the trials of the study were run with {}, now it is {}", words(&then), words(&now)),
        "resume with the settings of the study (its config.toml), or begin a new one",
    ))
}

/// The settings of a text by their dotted keys, each with its value as TOML.
fn by_key(text: &str) -> BTreeMap<String, String> {
    fn walk(path: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) {
        for (name, value) in table {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match value {
                toml::Value::Table(table) if !table.is_empty() => walk(&path, table, into),
                value => drop(into.insert(path, value.to_string())),
            }
        }
    }
    let mut settings = BTreeMap::new();
    walk("", &text.parse().unwrap_or_default(), &mut settings);
    settings
}

fn describe(tuning: &Tuning, plan: &Plan, before: &[Trial]) -> String {
    let combinations = tuning.combinations;
    let many = match (tuning.sampler, tuning.trials) {
        (Sampler::Grid, u64::MAX) => "all combinations".to_owned(),
        (Sampler::Grid, n) if combinations.is_some_and(|all| n < all) => {
            let all = text::count(combinations.unwrap_or_default() as usize);
            format!(
                "the first {} of {all} combinations (--sampler random spreads them)",
                text::count(n as usize)
            )
        }
        (_, n) => text::counted(n.min(combinations.unwrap_or(n)) as usize, "trial"),
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
    let missing = plan.labels.missing.len();
    if missing > 0 {
        let column = text::name(&tuning.base.data.target);
        let _ = write!(first, ", {} without a `{column}` left out", text::counted(missing, "row"));
    }
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
