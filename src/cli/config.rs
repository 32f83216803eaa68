//! `statera config`

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use statera::Error;
use statera::config::{Config, Space};
use statera::tune::combinations;
use statera::tune::sample::endless;

use super::{load, text};

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
    /// Check a configuration file, or a space for tune: its keys and values
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
        write!(out, "{}", checked(file)?)?;
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

/// What is right about a file of settings, of which some may carry ranges.
fn checked(file: &Path) -> Result<String, Error> {
    let (space, base) = Space::load(Some(file), &[])?;
    let right = format!("{} is right: every key is known and every value in its range", file.display());
    if space.parameters.is_empty() {
        // Once more for what it says of settings that are left out.
        load(Some(file), &[])?;
        return Ok(right + "\n");
    }
    let keys: Vec<&str> = space.parameters.iter().map(|parameter| parameter.key.as_str()).collect();
    let told = format!(
        "{right}. It is a space for `statera tune`: {} with ranges ({}), {}.",
        text::counted(keys.len(), "setting"),
        keys.join(", "),
        how_many(&space, &base)
    );
    Ok(text::wrap(&told, 0))
}

/// How many combinations the values of a space have.
fn how_many(space: &Space, base: &Config) -> String {
    let endless = endless(space);
    if endless.is_empty() {
        return format!("in {} combinations", combinations(space, base).unwrap_or(u64::MAX));
    }
    format!(
        "of which there is no end of combinations: --sampler grid cannot go through {}",
        endless.join("; nor through ")
    )
}
