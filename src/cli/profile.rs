//! `statera profile`

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use statera::config::{Config, DataConfig};
use statera::data::ColumnKind;
use statera::data::read::stem_of;
use statera::error::Error;
use statera::files::write_atomically;
use statera::inspect::weights::bars;
use statera::profile::against::Against;
use statera::profile::column::ColumnProfile;
use statera::profile::shift::Verdict;
use statera::profile::source::{Loaded, Role};
use statera::profile::{
    Concern, Depth, Noticed, Profile, Warning, against_html, cut as shortened, html, profile, short,
};

use super::reading::{Learning, is_source, refuse_existing, tell_skipped, write_skipped};
use super::{Settings, text, thread_pool};

/// Columns in the table of the terminal, at most.
const MOST_COLUMNS: usize = 40;
/// Warnings in the terminal, at most.
const MOST_WARNINGS: usize = 25;

const AFTER_HELP: &str = "\
Of each column: what it is taken as, missing cells, different values, range, quantiles, histogram,
outliers, most frequent values, and with --target how it goes with the target and how well it alone
predicts it. Of the table: correlations, collinearity, repeated rows, and warnings, each with a line
for the configuration.

What is left behind: a page that opens offline in any browser, TABLE-profile.html in the current
folder, or TABLE-profile-2.html and so on where that exists. With --json none, unless -o asks for it.

Exit codes: 0 done, warnings or not; 1 failed; 2 wrong use.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The table: files, a folder, a pattern of names or - (or set data.path)
    data: Vec<PathBuf>,
    /// The column to predict (or set data.target)
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// What to learn of it
    #[arg(long, value_parser = ["auto", "regression", "binary", "multiclass"])]
    task: Option<String>,
    /// Another table to compare with: how its columns differ, and whether its rows can be told apart
    #[arg(long, value_name = "OTHER")]
    against: Option<PathBuf>,
    #[command(flatten)]
    learning: Learning,
    /// The memory to take, as 2GiB; of a larger table rows are drawn
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// The seed that draws rows where not all are looked at
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; 0 takes one a core; the result does not depend on them
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    page: Destination,
    /// Print the profile as JSON
    #[arg(long)]
    json: bool,
    /// No notes and no progress
    #[arg(long)]
    quiet: bool,
}

/// Where the page goes.
#[derive(Debug, Args)]
struct Destination {
    /// The page to write
    #[arg(short, long, value_name = "FILE.html", conflicts_with = "no_page")]
    out: Option<PathBuf>,
    /// Replace the page that -o names if it exists
    #[arg(long, requires = "out")]
    force: bool,
    /// Write no page
    #[arg(long)]
    no_page: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut settings = arguments.settings.clone();
    settings.sets.extend(arguments.threads.map(|threads| format!("threads={threads}")));
    settings.sets.extend(arguments.task.as_ref().map(|task| format!("task={task}")));
    let mut config = settings.load_for(
        &arguments.data,
        &arguments.learning,
        arguments.target.as_deref(),
        arguments.seed,
    )?;
    if let Some(memory) = &arguments.memory {
        config.data.memory.clone_from(memory);
    }
    if config.data.path == Path::new("") {
        let remedy = "give the file as an argument, or set data.path in the configuration";
        return Err(Error::setting("no table is named", remedy).into());
    }
    // Before the table is read, which may take long.
    let page = page_path(arguments, &config.data)?;

    let stages = Stages::new(arguments.quiet);
    let found = thread_pool(config.threads)?.install(|| -> Result<Profile, Error> {
        stages.tell("reading");
        // Two tables share the memory.
        let share = if arguments.against.is_some() { 0.5 } else { 1.0 };
        let loaded = Loaded::read(&config, share)?;
        tell_skipped(loaded.skipped());
        write_skipped(loaded.skipped(), page.as_deref())?;
        let other = match &arguments.against {
            Some(path) => {
                stages.tell("reading the other table");
                let other = loaded.read_other(&config, path, share)?;
                tell_skipped(other.loaded.skipped());
                Some(other)
            }
            None => None,
        };
        Ok(profile(&loaded.source(), other.as_ref(), config.seed, Depth::Whole, &|stage| stages.tell(stage)))
    })?;
    if let Some(page) = &page {
        stages.tell("page");
        write_atomically(page, html::page(&found).as_bytes())?;
    }
    stages.end();

    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?;
    } else {
        write!(out, "{}", described(&found))?;
    }
    out.flush()?;
    if let Some(page) = page.filter(|_| !arguments.quiet) {
        text::note(&format!("page: {}", text::path(&page)));
    }
    Ok(())
}

/// Where the page goes, if there is to be one. A file that exists is replaced only if asked for.
fn page_path(arguments: &Arguments, data: &DataConfig) -> Result<Option<PathBuf>, Error> {
    if let Some(out) = &arguments.page.out {
        if out == Path::new("-") {
            return Err(Error::setting(
                "-o -: the page is not written to standard output",
                "-o profile.html, or --json > profile.json for the figures",
            ));
        }
        if is_source(out, &data.sources()) {
            let what = format!("{} is the table itself: the page would replace it", out.display());
            return Err(Error::setting(what, "another file, as -o profile.html"));
        }
        if out.is_dir() {
            let what = format!("{} is a folder; expected a file for the page", out.display());
            return Err(Error::setting(what, format!("-o {}", out.join("profile.html").display())));
        }
        refuse_existing(out, arguments.page.force)?;
        return Ok(Some(out.clone()));
    }
    if arguments.json || arguments.page.no_page {
        return Ok(None);
    }
    let stem = stem_of(&data.path);
    let name = |number: usize| match number {
        1 => format!("{stem}-profile.html"),
        _ => format!("{stem}-profile-{number}.html"),
    };
    let mut number = 1;
    while Path::new(&name(number)).symlink_metadata().is_ok() {
        number += 1;
    }
    Ok(Some(PathBuf::from(name(number))))
}

/// What is being done, told where it takes longer than a second: a spinner in a terminal, lines in a pipe.
struct Stages {
    begin: Instant,
    spinner: Option<ProgressBar>,
    quiet: bool,
}

impl Stages {
    fn new(quiet: bool) -> Self {
        let spinner = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let spinner = ProgressBar::new_spinner();
            spinner.enable_steady_tick(Duration::from_millis(250));
            spinner
        });
        Self { begin: Instant::now(), spinner, quiet }
    }

    fn tell(&self, stage: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(stage.to_owned());
        } else if !self.quiet && self.begin.elapsed() > Duration::from_secs(1) {
            text::note(&format!("{stage} …"));
        }
    }

    fn end(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// The summary for the terminal.
fn described(found: &Profile) -> String {
    let repeated = match (found.duplicates.count, &found.drawn_from) {
        (0, None) => "; no row twice".to_owned(),
        (n, None) => format!("; {}", text::counted(n, "repeated row")),
        // A row and its like are seldom both drawn.
        (0, Some(_)) => String::new(),
        (n, Some(_)) => format!("; {} among those looked at", text::counted(n, "repeated row")),
    };
    let rows = found.drawn_from.as_ref().map_or(found.n_rows, |from| from.n_rows);
    let mut out = format!(
        "{}: {}, {} ({}){repeated}\n",
        text::path(Path::new(&found.table)),
        text::counted(rows, "row"),
        text::counted(found.columns.len(), "column"),
        html::kinds(found)
    );
    if let Some(target) = found.target() {
        let task = found.task.map_or(String::new(), |task| format!(", {task}"));
        let _ = writeln!(out, "target `{}`{task}", text::name(&target.name));
    }
    for sentence in found.drawn() {
        out.push('\n');
        out += &text::wrap(&sentence, 0);
    }
    out.push('\n');
    out += &columns(found);
    out += &together(found);
    out += &found.against.as_ref().map_or(String::new(), |of| against(found, of));
    out += &warnings(&found.warnings);
    out
}

/// What training by these settings says of the rows that it learns from; nothing where nothing is to be looked
/// out for.
pub(super) fn noticed(found: &Noticed, config: &Config) -> String {
    const MOST: usize = 5;
    let warnings = &found.warnings;
    if warnings.is_empty() {
        return String::new();
    }
    let (data, target) = (text::sources(&config.data.sources()), text::shell(&config.data.target));
    let mut out = format!(
        "\nNoticed in {}, each with a line for the top of the configuration (or in quotes after --set):\n",
        text::counted(found.n_rows, "training row")
    );
    let (told, n_told) = listed(warnings, MOST);
    out += &told;
    let more = match warnings.len() - n_told {
        0 => "the whole table".to_owned(),
        n => format!("{} and the whole table", text::count(n) + " more"),
    };
    let _ = writeln!(out, "  {more}: statera profile {data} --target {target}");
    out
}

fn columns(found: &Profile) -> String {
    let target = found.target();
    let mut header = vec!["column", "taken as", "missing", "distinct", "values", "shape"];
    if target.is_some() {
        header.extend(["target", "alone"]);
    }
    let mut rows = vec![header.into_iter().map(String::from).collect::<Vec<_>>()];
    for column in found.columns.iter().take(MOST_COLUMNS) {
        let mut row = vec![
            short_name(&column.name),
            kind(column),
            html::percent(column.missing, found.n_rows),
            column.not_read.map_or_else(|| text::count(column.distinct), |_| "–".into()),
            cut(&values(column, found.n_rows), if target.is_some() { 24 } else { 40 }),
            column.numbers.as_ref().map_or(String::new(), |x| bars(&narrow(&x.histogram.counts))),
        ];
        if target.is_some() {
            let number = |x: Option<f64>| x.map_or(String::new(), |x| format!("{x:.2}"));
            let relation = column.target.as_ref();
            // Not blank, as of the target itself: it was asked, and there is no answer.
            row.push(relation.map_or(String::new(), |r| r.value.map_or("–".into(), |x| format!("{x:.2}"))));
            row.push(number(relation.and_then(|r| r.alone)));
        }
        rows.push(row);
    }
    let mut out = text::table(&rows, &[false, false, true, true, false, false, true, true]);
    if let Some(more) = found.columns.len().checked_sub(MOST_COLUMNS).filter(|more| *more > 0) {
        let _ = writeln!(out, "  … and {}; the page and --json have all", text::counted(more, "more column"));
    }
    if target.is_some() {
        out += "  target: Pearson, correlation ratio or Cramér’s V; alone: how well the column by itself predicts\n  \
                the target, from 0 to 1; – where a column has one value, or another in every row\n";
    }
    out
}

/// The range of numbers, the most frequent categories.
fn values(column: &ColumnProfile, n_rows: usize) -> String {
    match &column.numbers {
        Some(x) if x.min < x.max => {
            format!("{} to {}", html::label(column, x.min), html::label(column, x.max))
        }
        _ => html::values(column, n_rows),
    }
}

fn kind(column: &ColumnProfile) -> String {
    if let Some(what) = column.not_read {
        return format!("not read: {what}");
    }
    match (column.role, &column.dropped) {
        (Role::Target, _) => "target".into(),
        (Role::Split, _) => "split".into(),
        (Role::Weight, _) => "weight".into(),
        (Role::Input, Some(_)) if !matches!(column.kind, ColumnKind::Text | ColumnKind::Identifier) => {
            "left out".into()
        }
        _ => column.kind.to_string(),
    }
}

fn short_name(name: &str) -> String {
    shortened(&one_line(name), 16)
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn cut(text: &str, most: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= most { text } else { text.chars().take(most - 1).collect::<String>() + "…" }
}

/// Counts in at most eight parts; a part that two of them share is divided between them.
fn narrow(counts: &[usize]) -> Vec<usize> {
    const MOST: usize = 8;
    if counts.len() <= MOST {
        return counts.to_vec();
    }
    // In parts of counts.len() × MOST, which all ends fall on.
    let n = counts.len();
    let shared = |i: usize, j: usize| ((i + 1) * MOST).min((j + 1) * n).saturating_sub((i * MOST).max(j * n));
    (0..MOST).map(|j| counts.iter().enumerate().map(|(i, count)| count * shared(i, j)).sum()).collect()
}

/// The strongest pairs, and how collinear the numbers are.
fn together(found: &Profile) -> String {
    const MOST: usize = 5;
    const WEAKEST: f64 = 0.3;
    const MOST_GROUPS: usize = 5;
    let mut out = String::new();
    if let Some(of) = &found.associations {
        let is_target = |i: usize| found.columns[i].role == Role::Target;
        let size = |v: Option<f64>| v.unwrap_or(0.0).abs();
        let mut pairs: Vec<_> = of
            .pairs
            .iter()
            .filter(|p| size(p.value) >= WEAKEST && !p.columns.iter().any(|&i| is_target(i)))
            .collect();
        pairs.sort_by(|a, b| size(b.value).total_cmp(&size(a.value)));
        if !pairs.is_empty() {
            out += "\nStrongest pairs of inputs\n";
            let rows: Vec<Vec<String>> = pairs
                .iter()
                .take(MOST)
                .map(|pair| {
                    let [a, b] = pair.columns.map(|i| short_name(&found.columns[i].name));
                    let value = pair.value.map_or(String::new(), |v| format!("{v:.3}"));
                    vec![a, b, value, pair.measure.name().to_owned()]
                })
                .collect();
            out += &text::table(&rows, &[false, false, true, false]);
        }
    }
    if let Some(of) = &found.collinearity {
        let condition = of.found.condition_number.map_or("infinite".to_owned(), short);
        let _ = write!(
            out,
            "\nCollinearity of {}: condition number {condition}",
            text::counted(of.columns.len(), "number column")
        );
        let largest = (0..of.columns.len())
            .filter_map(|i| Some((of.found.vif[i]?, i)))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        match largest {
            _ if of.found.exact.contains(&true) => out += ", some are exact combinations of others\n",
            Some((vif, i)) => {
                let name = short_name(&found.columns[of.columns[i]].name);
                let _ = writeln!(out, ", largest variance inflation {} ({name})", short(vif));
            }
            None => out.push('\n'),
        }
        let name = |&i: &usize| short_name(&found.columns[of.columns[i]].name);
        for group in of.found.groups.iter().take(MOST_GROUPS) {
            let names: Vec<String> = group.iter().take(MOST).map(name).collect();
            let more =
                if group.len() > MOST { format!(" and {} more", group.len() - MOST) } else { String::new() };
            out += &text::wrap(&format!("largely make up each other: {}{more}", names.join(", ")), 2);
        }
        if let Some(more) = of.found.groups.len().checked_sub(MOST_GROUPS).filter(|more| *more > 0) {
            let _ =
                writeln!(out, "  … and {}; the page and --json have all", text::counted(more, "more group"));
        }
    }
    out
}

/// How the other table differs: the columns that do, and whether its rows can be told apart.
fn against(found: &Profile, of: &Against) -> String {
    const MOST: usize = 20;
    let n_rows = [found.n_rows, of.n_rows];
    let other = text::path(Path::new(&of.table));
    let here = text::path(Path::new(&found.table));
    let mut out =
        format!("\nAgainst {other}: {} (here is {here}, there {other})\n", text::counted(of.n_rows, "row"));
    let differ: Vec<_> =
        of.largest_first(found.n_rows).filter(|shift| shift.verdict > Verdict::Same).collect();
    if !differ.is_empty() {
        let header = ["column", "differs", "stability", "p", "how"];
        let mut rows = vec![header.map(String::from).to_vec()];
        for shift in differ.iter().take(MOST) {
            rows.push(vec![
                short_name(&found.columns[shift.column].name),
                shift.verdict.name().to_owned(),
                shift.psi.map_or(String::new(), |psi| format!("{psi:.2}")),
                against_html::p_value(shift.least_p()),
                against_html::how(shift, &found.columns[shift.column], n_rows),
            ]);
        }
        out += &text::wrapped_table(&rows);
        if let Some(more) = differ.len().checked_sub(MOST).filter(|more| *more > 0) {
            let _ =
                writeln!(out, "  … and {}; the page and --json have all", text::counted(more, "more column"));
        }
        out += "  stability: population stability index, from 0.1 on a shift, from 0.25 on a large one; p: the\n  \
                smallest of the column’s tests, corrected for all tests (Holm)\n";
    }
    let same = of.columns.len() - differ.len();
    if !of.columns.is_empty() {
        let which = if differ.is_empty() { "No column differs" } else { "No other column differs" };
        out += &text::wrap(
            &format!(
                "{which} by more than chance ({} compared, {} at a level of {} together).",
                text::counted(differ.len() + same, "column"),
                text::counted(of.n_tests, "test"),
                of.level
            ),
            2,
        );
    }
    out += &text::wrap(&against_html::told_apart(found, of), 2);
    for line in against_html::not_compared(found, of) {
        out += &text::wrap(&line, 2);
    }
    out
}

/// The warnings with their lines.
fn warnings(warnings: &[Warning]) -> String {
    if warnings.is_empty() {
        return "\nNothing to look out for was found.\n".into();
    }
    let each = if warnings.len() == 1 { "with" } else { "each with" };
    let mut out = format!(
        "\n{}, {each} a line for the top of the configuration (or in quotes after --set)\n",
        text::counted(warnings.len(), "warning")
    );
    let (told, n_told) = listed(warnings, MOST_WARNINGS);
    out += &told;
    if let Some(more) = warnings.len().checked_sub(n_told).filter(|more| *more > 0) {
        let _ =
            writeln!(out, "\n  … and {}; the page and --json have all", text::counted(more, "more warning"));
    }
    out
}

/// The first warnings with their lines, in at most `most` paragraphs, and how many warnings these hold. Columns that other
/// columns make up are one paragraph: they go in turn, and one by one they would be all that is read.
fn listed(warnings: &[Warning], most: usize) -> (String, usize) {
    const ALONE: usize = 2;
    let of_one =
        |a: &Warning, b: &Warning| a.concern == Concern::Collinear && b.concern == Concern::Collinear;
    let (mut out, mut told) = (String::new(), 0);
    let groups = warnings.chunk_by(of_one).flat_map(|group| match group.len() {
        n if n > ALONE => vec![group],
        _ => group.chunks(1).collect(),
    });
    for group in groups.take(most) {
        let title = group[0].concern.title();
        let text = match group {
            [one] => one.text.clone(),
            many => format!(
                "{} are linear combinations of the other columns of numbers, or nearly: left out one after the other, in \
                 this order, they leave none with a variance inflation above 10",
                text::counted(many.len(), "column")
            ),
        };
        out += &text::wrap(&format!("{title}: {text}"), 2);
        for warning in group {
            let _ = writeln!(out, "    {}", warning.line);
        }
        told += group.len();
    }
    (out, told)
}
