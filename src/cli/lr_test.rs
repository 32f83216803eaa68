//! `statera lr-test`

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use statera::config::Precision;
use statera::inspect::rate_curve;
use statera::nn::{CpuLevel, Scalar};
use statera::run::{Folder, Plan};
use statera::train::range_test::{Ramp, RangeTest, USUAL, range_test};

use super::reading::{Learning, tell_skipped};
use super::{Settings, text, thread_pool, within};

const AFTER_HELP: &str = "\
Trains from the start with a learning rate that rises exponentially from step to step, on training
rows alone, and ends when the loss blows up (Smith 2015). Suggested is the rate at which the
smoothed loss falls fastest, but at most a tenth of that at which it blew up. Schedules, averages of
weights, cuts of the rate, augmentation, noise on labels and curricula are left out.

What is left behind: a folder with lr-test.csv, lr-test.svg and lr-test.json.

Exit codes: 0 done, also when no rate can be suggested; 1 failed; 2 wrong use.";

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
    /// The learning rate of the first step
    #[arg(long, value_name = "RATE", default_value_t = USUAL.from, allow_negative_numbers = true)]
    from: f64,
    /// The learning rate of the last step
    #[arg(long, value_name = "RATE", default_value_t = USUAL.to, allow_negative_numbers = true)]
    to: f64,
    /// How many steps
    #[arg(long, value_name = "N", default_value_t = USUAL.steps, allow_negative_numbers = true)]
    steps: usize,
    #[command(flatten)]
    settings: Settings,
    /// The seed of split, weights and order of rows
    #[arg(long, value_parser = within::<u64>("seed"), allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Threads; 0 takes one a core; the result does not depend on them
    #[arg(long, value_parser = within::<usize>("threads"), allow_negative_numbers = true)]
    threads: Option<usize>,
    /// The folder to make (default: the next free runs/TABLE-lr-test-NUMBER)
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print the findings and every step as JSON
    #[arg(long)]
    json: bool,
    /// No notes; warnings are still told
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut settings = arguments.settings.clone();
    settings.sets.extend(arguments.threads.map(|threads| format!("threads={threads}")));
    let config = settings.load_for(
        &arguments.data,
        &arguments.learning,
        arguments.target.as_deref(),
        arguments.seed,
    )?;
    let ramp = Ramp { from: arguments.from, to: arguments.to, steps: arguments.steps };
    ramp.check()?;
    // Before the table is read, which may take long.
    arguments.out.as_deref().map_or(Ok(()), Folder::check)?;
    let pool = thread_pool(config.threads)?;
    let (plan, test) = pool.install(|| -> anyhow::Result<(Plan, RangeTest)> {
        let plan = Plan::new(config)?;
        let test = match plan.config.network.precision {
            Precision::F32 => tested::<f32>(&plan, ramp),
            Precision::F64 => tested::<f64>(&plan, ramp),
        }?;
        Ok((plan, test))
    })?;

    tell_skipped(&plan.raw.skipped);
    let folder = Folder::create(arguments.out.as_deref(), &format!("{}-lr-test", plan.raw.stem()))?;
    let o = &plan.config.optimizer;
    let what = format!(
        "{} by {}, batches of {}, {}, seed {}",
        plan.target.column,
        o.name,
        plan.config.train.batch_size,
        text::counted(test.points.len(), "step"),
        plan.config.seed
    );
    let found = serde_json::to_string_pretty(
        &json!({ "test": &test, "optimizer": o.name, "seed": plan.config.seed }),
    )?;
    folder.finish(&[
        ("lr-test.csv", rate_curve::csv(&test).as_bytes()),
        ("lr-test.svg", rate_curve::svg(&test, &what).as_bytes()),
        ("lr-test.json", (found.clone() + "\n").as_bytes()),
    ])?;

    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{found}")?;
    } else {
        let same = arguments.repeated();
        write!(out, "{}", described(&plan, &test, &what, &same))?;
        writeln!(out, "Every step, and the figure lr-test.svg: {}", text::path(folder.path()))?;
    }
    out.flush()?;
    if test.suggestion.is_none() {
        text::note(
            "warning: no learning rate can be suggested: the loss falls no further than the losses of batches differ",
        );
        text::note("  try: another range, as --from 1e-5 --to 100, or more steps, as --steps 500");
    }
    Ok(())
}

fn tested<T: Scalar>(plan: &Plan, ramp: Ramp) -> statera::Result<RangeTest> {
    let train = plan.training_rows::<T>()?;
    range_test(&plan.network, plan.loss, CpuLevel::detect(), &plan.config, &train, ramp)
}

impl Arguments {
    /// The options beside table and column that a training needs to be that of the test.
    fn repeated(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |option: &str, value: &str| words.push(format!("{option} {}", text::shell(value)));
        if let Some(file) = &self.settings.config {
            add("--config", &text::path(file));
        }
        for set in &self.settings.sets {
            add("--set", set);
        }
        for (option, value) in self.learning.given() {
            add(option, &value);
        }
        if let Some(seed) = self.seed {
            add("--seed", &seed.to_string());
        }
        words
    }
}

fn described(plan: &Plan, test: &RangeTest, what: &str, same: &[String]) -> String {
    let rate = |rate: Option<f64>| rate.map_or("—".to_owned(), |rate| format!("{rate:.1e}"));
    let ended = match test.blow_up {
        Some(blow_up) => format!("the loss blew up at {blow_up:.1e}, which ended the test"),
        None => format!("the loss did not blow up to {:.1e}", test.ramp.to),
    };
    let mut out = format!("Range test of the learning rate: {what}\n\n{}\n", rate_curve::chart(test, 72, 14));
    let suggested = test.suggestion.map_or("none".into(), text::short);
    out += &text::wrapped_table(&[
        // Where there is none, the rule says so itself.
        vec!["suggested".into(), suggested, test.rule.trim_start_matches("none: ").into()],
        vec!["steepest".into(), rate(test.steepest), "where the smoothed loss falls fastest".into()],
        vec!["lowest".into(), rate(Some(test.lowest)), "where the smoothed loss is smallest".into()],
        vec!["blow-up".into(), rate(test.blow_up), ended],
    ]);
    out.push('\n');
    if let Some(suggestion) = test.suggestion {
        let (table, column) = (text::shell(&text::path(&plan.raw.source)), text::shell(&plan.target.column));
        let rate = format!("--set optimizer.learning_rate={}", text::short(suggestion));
        let mut line = format!("  statera train {table}");
        for part in [format!("--target {column}")].iter().chain(same).chain([&rate]) {
            // As long as a line of a terminal at most, with what joins them for a shell.
            if line.chars().count() + part.chars().count() > 96 {
                let _ = writeln!(out, "{line} \\");
                line.clear();
                line.push_str("   ");
            }
            line += &format!(" {part}");
        }
        out += &(line + "\n\n");
    }
    out
}
