//! How `statera tune` ends: the best trained anew and tested, written beside the study, and told.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use serde_json::Value;
use statera::error::Error;
use statera::tune::{
    Beside, Chosen, LastTurn, Over, RESULT, State, TableOf, Trial, Tuning, View, Wish, choose, counts,
};

use super::interrupt::Interruption;
use super::results::{doubts, with_leaks};
use super::trials::{as_sets, csv, listing, results, tally};
use super::tune::{Arguments, CONFIG, SHOWN, SPACE_FILE, to_resume};
use super::tune_list::document;
use super::tune_progress::LastProgress;
use super::{INTERRUPTED, text};

/// A study whose trials have come to an end.
pub(super) struct Ended {
    /// Its folder.
    pub(super) folder: PathBuf,
    pub(super) tuning: Tuning,
    /// The trials that it had when this process began with it.
    pub(super) before: Vec<Trial>,
    pub(super) trials: Vec<Trial>,
    /// How many of them have ended in this process.
    pub(super) own: usize,
    /// Why there are no more.
    pub(super) why: Over,
    /// Seconds.
    pub(super) took: f64,
    /// The columns that were suspected to give the target away.
    pub(super) leaks: Vec<String>,
}

impl Ended {
    /// Trains the best trials anew, tests them, writes what came of it beside the study, and tells it. Of several
    /// processes that work on one study and are asked for the same, one does so; the others wait for it.
    pub(super) fn conclude(
        &self,
        arguments: &Arguments,
        wish: Wish,
        beside: Beside,
        interruption: &Interruption,
    ) -> anyhow::Result<ExitCode> {
        write_csv(&self.folder, &self.trials)?;
        let asked = interruption.asked();
        if asked.load(Ordering::SeqCst) {
            return self.broken_off(arguments);
        }
        if self.why == Over::TimeUp && self.trials.iter().all(|trial| trial.state != State::Done) {
            let tally = tally(&self.trials);
            let what = format!("the time was up before a trial came to its end ({tally}, to go on)");
            return Err(Error::training(what, self.further()).into());
        }
        let tell = |what: &str| {
            if !arguments.quiet {
                text::note(what);
            }
        };
        let mut wait =
            || tell("Another process of this study trains the best settings anew: waiting for it.");
        let written = || std::fs::metadata(self.result()).and_then(|it| it.modified()).ok();
        let before = written();
        let Some(turn) = LastTurn::take(&self.folder, asked, &mut wait)? else {
            return self.broken_off(arguments);
        };
        if turn.waited
            && written() != before
            && let Some(json) = self.of_another(wish)
        {
            self.tell_other(arguments, &json)?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.trials.iter().any(|trial| trial.state == State::Done) {
            tell("Training the best settings anew, to be tested beside the untuned ones.\n");
        }
        let progress = LastProgress::new(arguments.quiet);
        let tell_step = |step| progress.tell(step);
        let chosen = choose(&self.tuning, &self.trials, beside, wish, asked, &tell_step);
        progress.end();
        let Some(chosen) = chosen? else {
            text::note("the last trainings were broken off, and begin anew");
            return self.broken_off(arguments);
        };
        let again = self.result().is_file();
        let json = with_leaks(chosen.to_json(&self.trials), &self.leaks);
        let json = serde_json::to_string_pretty(&json)? + "\n";
        keep_best(&self.folder, &chosen)?;
        // Last: where it is, the rest is.
        statera::files::write_atomically(&self.result(), json.as_bytes())?;
        drop(turn);
        self.tell(
            arguments,
            &json,
            &(results(&chosen, again) + &doubts(&self.leaks, &self.tuning.base.data.target)),
        )?;
        Ok(ExitCode::SUCCESS)
    }

    fn result(&self) -> PathBuf {
        self.folder.join(RESULT)
    }

    /// What another process came to, if it was asked for the same of the same trials.
    fn of_another(&self, wish: Wish) -> Option<String> {
        let text = std::fs::read_to_string(self.result()).ok()?;
        let found: Value = serde_json::from_str(&text).ok()?;
        let ensemble = found["ensemble_asked"].as_u64().unwrap_or(1) as usize;
        let confirmed = found["spread"].as_array().map_or(0, Vec::len);
        let same = ensemble == wish.ensemble.max(1)
            && confirmed == wish.confirm
            && found["trials"] == counts(&self.trials);
        same.then_some(text)
    }

    fn tell_other(&self, arguments: &Arguments, json: &str) -> anyhow::Result<()> {
        let what = "The best settings were trained anew and tested by another process of this study, which tells of it.";
        self.tell(arguments, json, &format!("\n{}", text::wrap(what, 0)))
    }

    /// Prints the trials, what came of them, and what can be done next.
    fn tell(&self, arguments: &Arguments, json: &str, results: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if arguments.json {
            write!(out, "{json}")?;
            return Ok(out.flush()?);
        }
        let trials = &self.trials;
        writeln!(out, "{}\n", self.came_to())?;
        write!(out, "{}", listing(trials, arguments.top.unwrap_or(SHOWN)))?;
        write!(out, "{}", of_other_tables(&View::open(&self.folder)?.tables()?, trials.len()))?;
        write!(out, "{results}")?;
        writeln!(out, "\nSaved in {}", text::path(&self.folder))?;
        let best = text::shell(&text::path(&self.folder.join("best")));
        let study = text::shell(&text::path(&self.folder));
        let data = text::sources(&self.tuning.base.data.sources());
        let rows = [
            ["predict with it", &format!("statera predict {best} {data} -o predictions.csv")],
            ["train it alone", &self.training(&data)],
            ["every trial", &format!("statera tune --list {study} --top 0")],
            ["further trials", &self.further()],
        ];
        write!(out, "{}", text::table(&rows.map(|row| row.map(String::from).to_vec()), &[]))?;
        Ok(out.flush()?)
    }

    /// How many trials there are, in what time they came, and why there are no more.
    fn came_to(&self) -> String {
        let (trials, before) = (&self.trials, &self.before);
        let n = trials.len();
        let counted = text::counted(n, "trial");
        let took = text::seconds(self.took);
        let when = match self.own {
            0 if before.iter().filter(|trial| trial.state.is_over()).count() == n => {
                format!("{counted} from before")
            }
            0 => format!("{counted}, all by other processes or before"),
            own if own == n => format!("{counted} in {took}"),
            own => format!("{counted}, {} of them now, in {took}", text::count(own)),
        };
        let why = match self.why {
            Over::Enough(asked) if (asked as usize) < n => {
                format!("{} were asked for", text::count(asked as usize))
            }
            why => why.to_string(),
        };
        let open = trials.iter().any(|trial| !trial.state.is_over());
        let tally = if open { format!("; {}", tally(trials)) } else { String::new() };
        format!("{when} ({why}{tally})")
    }

    /// The command that trains the best settings by themselves, as the trial was.
    fn training(&self, data: &str) -> String {
        let config = text::shell(&text::path(&self.folder.join(CONFIG)));
        let best = self.trials.iter().filter(|trial| trial.state == State::Done);
        let best = best.filter_map(|trial| Some((trial, trial.metric?))).min_by(|a, b| a.1.total_cmp(&b.1));
        let sets = best.map_or_else(String::new, |(trial, _)| as_sets(&trial.settings));
        format!("statera train {data} --config {config} {sets}").trim_end().to_owned()
    }

    /// Tells of a study that somebody interrupted.
    fn broken_off(&self, arguments: &Arguments) -> anyhow::Result<ExitCode> {
        let mut out = std::io::stdout().lock();
        if arguments.json {
            let listed = document(&View::open(&self.folder)?, &self.trials, arguments.top.unwrap_or(0))?;
            writeln!(out, "{}", serde_json::to_string_pretty(&listed)?)?;
        } else {
            writeln!(out, "{}", listing(&self.trials, arguments.top.unwrap_or(SHOWN)))?;
        }
        out.flush()?;
        text::note(&format!(
            "interrupted with {} ({}); to go on: {}",
            text::counted(self.trials.len(), "trial"),
            tally(&self.trials),
            to_resume(&self.folder, &self.tuning.raw.source.display().to_string())
        ));
        if self.result().is_file() {
            text::note("best/ and tune.json are of an earlier end, and stay as they are");
        }
        Ok(ExitCode::from(INTERRUPTED))
    }

    /// What leads to further trials once the study has ended.
    fn further(&self) -> String {
        let n = self.trials.len() as u64;
        let resume = to_resume(&self.folder, &self.tuning.raw.source.display().to_string());
        let most = self.tuning.combinations.unwrap_or(u64::MAX);
        match (self.why, self.tuning.max_seconds) {
            (Over::TimeUp, Some(seconds)) => {
                // Where nothing came to its end, not even the beginning of a training had the time.
                let least = if self.trials.iter().any(|trial| trial.state.is_over()) { 0.0 } else { 10.0 };
                format!("{resume} --max-seconds {}", (2.0 * seconds).max(least))
            }
            (Over::Enough(_), _) if n < most => {
                format!("{resume} --trials {}", n.saturating_mul(2).min(most))
            }
            _ => {
                let space = text::shell(&text::path(&self.folder.join(SPACE_FILE)));
                // So many as were asked for would be the end again.
                let trials = match self.why {
                    Over::Enough(_) => format!(" --trials {}", n.saturating_mul(2)),
                    _ => String::new(),
                };
                format!("more values in {space}, then: {resume}{trials}")
            }
        }
    }
}

/// Which trials were judged on another table than the last, if any were.
pub(super) fn of_other_tables(tables: &[TableOf], n_trials: usize) -> String {
    // Those that had not ended were run on the next one.
    let ends = tables.iter().skip(1).map(|next| (next.from, &next.open));
    let earlier =
        tables.iter().zip(ends).filter(|(table, (end, _))| table.from < *end && table.from < n_trials as u64);
    let lines = earlier.map(|(table, (end, open))| {
        let but: Vec<String> = open.iter().filter(|n| **n >= table.from).map(u64::to_string).collect();
        if but.len() as u64 == end - table.from {
            return String::new();
        }
        let but = if but.is_empty() { String::new() } else { format!(" but {}", but.join(", ")) };
        let which = match end - table.from {
            1 => format!("Trial {} was", table.from),
            _ => format!("Trials {} to {}{but} were", table.from, end - 1),
        };
        let sha = table.data_sha256.get(..8).unwrap_or_default();
        let what = format!(
            "{which} judged on another table, {} (sha256 {sha}…): the figures are those of other rows, and cannot be \
             compared with the later ones.",
            table.data
        );
        format!("\n{}", text::wrap(&what, 0))
    });
    lines.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_judged_on_another_table_is_told_without_what_was_not() {
        let table = |from, open: &[u64]| TableOf {
            from,
            data: "t.csv".into(),
            data_sha256: "0123456789".into(),
            open: open.to_vec(),
        };
        let told = |open: &[u64], n| of_other_tables(&[table(0, &[]), table(n, open)], 9);
        assert!(
            told(&[], 4).contains("Trials 0 to 3 were judged on another table, t.csv (sha256 01234567…)")
        );
        assert!(told(&[1, 3], 4).contains("Trials 0 to 3 but 1, 3 were judged"));
        assert!(told(&[], 1).contains("Trial 0 was judged"));
        assert_eq!(told(&[0, 1], 2), "");
        assert_eq!(of_other_tables(&[table(0, &[])], 9), "");
    }
}
