//! `statera config`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use statera::config::Config;

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Arguments {
    /// List every setting with its meaning, range and default, as a TOML file
    #[arg(long)]
    defaults: bool,
    /// Check a configuration file: its keys, and the ranges of its values
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Show a configuration file with every value filled in
    #[arg(long, value_name = "FILE")]
    show: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if let Some(file) = &arguments.check {
        Config::load(Some(file), &[])?;
        writeln!(out, "{} is right: every key is known and every value in its range", file.display())?;
    } else if let Some(file) = &arguments.show {
        write!(out, "{}", Config::load(Some(file), &[])?.to_toml())?;
    } else {
        write!(out, "{}", Config::defaults_listing())?;
    }
    Ok(())
}
