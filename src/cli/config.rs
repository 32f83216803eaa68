//! `statera config`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use statera::config::Config;

use super::load;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    what: What,
    /// The settings to expand, as a TOML file; without one, the defaults
    #[arg(long, value_name = "FILE", conflicts_with_all = ["defaults", "check", "show"])]
    config: Option<PathBuf>,
    /// One setting to expand, laid over the file (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with_all = ["defaults", "check", "show"])]
    sets: Vec<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// List every setting with its meaning, range and default, as a TOML file
    #[arg(long)]
    defaults: bool,
    /// Check a configuration file: its keys, and the ranges of its values
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Show a configuration file with every value filled in
    #[arg(long, value_name = "FILE")]
    show: Option<PathBuf>,
    /// Show settings with the list of layers that the short forms stand for
    #[arg(long)]
    expanded: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let what = &arguments.what;
    if let Some(file) = &what.check {
        load(Some(file), &[])?;
        writeln!(out, "{} is right: every key is known and every value in its range", file.display())?;
    } else if let Some(file) = &what.show {
        write!(out, "{}", load(Some(file), &[])?.to_toml())?;
    } else if what.expanded {
        let config = load(arguments.config.as_deref(), &arguments.sets)?;
        write!(out, "{}", config.expanded().to_toml())?;
    } else {
        write!(out, "{}", Config::defaults_listing())?;
    }
    Ok(())
}
