//! `statera train --resume`

use std::path::Path;
use std::process::ExitCode;

use statera::config::Config;
use statera::error::Error;
use statera::run::checkpoints::{self, CHECKPOINTS};
use statera::run::resume::{Beginning, Broken, Found, find};
use statera::run::{Folds, RunFolder};

use super::interrupt::Interruption;
use super::train::{Arguments, carry_out, introduce_run, look_out, plan, write_schema};
use super::{folds, text, thread_pool};

/// The command that goes on with a run.
pub(super) fn command(run: &Path) -> String {
    format!("statera train --resume {}", text::shell(&text::path(run)))
}

/// Goes on with the run in the folder `run`.
pub(super) fn resume(run: &Path, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if run.join(statera::tune::FILE).is_file() {
        return Err(Error::setting(
            format!("{} is a study of settings, and no run", run.display()),
            format!("statera tune --resume {}", text::shell(&text::path(run))),
        )
        .into());
    }
    let broken = match find(run)? {
        Found::Broken(broken) => broken,
        Found::Ended => {
            // It may have been killed before it could tidy up.
            checkpoints::remove_all(&run.join(CHECKPOINTS));
            let shown = text::shell(&text::path(run));
            text::note(&format!("{} has come to its end already: statera summary {shown}", run.display()));
            return Ok(ExitCode::SUCCESS);
        }
    };
    let threads = arguments.threads.unwrap_or(broken.config.threads);
    let config = Config { threads, ..broken.config.clone() };
    let pool = thread_pool(threads)?;
    pool.install(|| go_on(run, &broken, config, arguments))
}

fn go_on(run: &Path, broken: &Broken, config: Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // Before the table is read: another process may be at work on the run.
    let mut folder = RunFolder::reopen(run)?;
    // Until training begins Ctrl-C ends the process at once: the run stays as it is.
    let interruption = Interruption::watch();
    if config.split.folds > 0 {
        let folds = Folds::new(config)?;
        let raw = &folds.plans[0].raw;
        broken.check_data(&raw.source, &raw.sha256, arguments.force)?;
        interruption.take_up(folder.undo());
        folder.begin_anew()?;
        write_schema(&folder, &folds.plans[0].schema)?;
        let about = broken.about(&raw.sha256);
        let leaks = look_out(&folds.plans[0], true);
        return folds::carry_out(&folds, folder, &interruption, arguments, about, &leaks);
    }
    let ready = plan(config, arguments.quiet)?;
    let told = ready.overview();
    broken.check_data(told.source, told.sha256, arguments.force)?;
    let changed = told.sha256 != broken.beginning.data_sha256;
    let (from, damaged) = broken.checkpoint(&run.join(CHECKPOINTS), changed)?;
    tell_damaged(&damaged);
    interruption.take_up(folder.undo());
    if let Some(from) = &from {
        let [epoch, step] = from.place();
        let steps = text::counted(step, "step");
        tell(arguments, &format!("going on in {} with epoch {epoch}, after {steps} of it", run.display()));
    } else {
        folder.begin_anew()?;
        write_schema(&folder, told.schema)?;
        let none =
            if damaged.is_empty() { "has no checkpoint yet" } else { "has no checkpoint that is whole" };
        tell(arguments, &format!("{} {none}: training begins anew", run.display()));
    }
    let about = broken.about(told.sha256);
    if changed {
        text::note(
            "warning: the table has changed since the run was begun: what comes out is no run that can be made again",
        );
        Beginning { data_sha256: told.sha256.into(), ..broken.beginning.clone() }
            .write(&folder, broken.settings())?;
    }
    // What was decided is known.
    let leaks = introduce_run(&ready, true);
    carry_out(&ready, folder, &interruption, arguments, (from, about), &leaks)
}

fn tell(arguments: &Arguments, what: &str) {
    if !arguments.quiet {
        text::note(what);
    }
}

/// Tells of checkpoints that were damaged, whether or not notes are wanted.
pub(super) fn tell_damaged(damaged: &[String]) {
    for what in damaged {
        text::note(&format!("warning: {what}; it is set aside, and the one before it used if there is one"));
    }
}
