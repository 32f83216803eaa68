//! What a study knows besides its trials: its tables, where the last one lies, and how far it was asked to go.

use super::record::{Header, TableOf, entry, problem, tables};
use super::study::Store;
use crate::error::{Error, Result};

impl Store {
    /// The tables that trials were run on, the last one last.
    pub fn tables(&self) -> Result<Vec<TableOf>> {
        tables(&self.connection, &self.path)
    }

    /// Puts on record that trials to come are run on another table, and those that are under way anew.
    pub fn begin_table(&self, data: String, data_sha256: String) -> Result<()> {
        let mut later = self.tables()?.split_off(1);
        let trials = self.trials()?;
        let open = trials.iter().filter(|trial| !trial.state.is_over()).map(|trial| trial.number).collect();
        later.push(TableOf { from: trials.len() as u64, data, data_sha256, open });
        let fail = |e| problem(&self.path, &e);
        let transaction = self.connection.unchecked_transaction().map_err(fail)?;
        // What was trained on other rows is no beginning.
        transaction
            .execute_batch(
                "DELETE FROM epochs WHERE trial IN (SELECT number FROM trials WHERE state = 'running');
                 DELETE FROM checkpoints;",
            )
            .map_err(fail)?;
        transaction
            .execute("INSERT OR REPLACE INTO study VALUES ('tables', ?1)", [tables_as_json(&later)?])
            .map_err(fail)?;
        transaction.commit().map_err(fail)
    }

    /// Puts on record where the table lies that trials are run on, with the settings that name it.
    pub fn move_table(&self, header: &Header) -> Result<()> {
        let mut later = self.tables()?.split_off(1);
        let put = |key: &str, value: &str| {
            self.connection
                .execute("INSERT OR REPLACE INTO study VALUES (?1, ?2)", [key, value])
                .map_err(|e| problem(&self.path, &e))
        };
        put("config", &header.config)?;
        match later.last_mut() {
            None => put("data_path", &header.data_path)?,
            Some(last) => {
                last.data.clone_from(&header.data_path);
                put("tables", &tables_as_json(&later)?)?
            }
        };
        Ok(())
    }

    /// How far it was last asked to go, as JSON; nothing in a study that nobody has worked on.
    pub fn request(&self) -> Result<Option<String>> {
        entry(&self.connection, &self.path, "request")
    }

    /// Keeps how far it is asked to go, so that it can be gone on with by its name alone.
    pub fn keep_request(&self, json: &str) -> Result<()> {
        self.connection
            .execute("INSERT OR REPLACE INTO study VALUES ('request', ?1)", [json])
            .map_err(|e| problem(&self.path, &e))?;
        Ok(())
    }
}

fn tables_as_json(tables: &[TableOf]) -> Result<String> {
    serde_json::to_string(tables)
        .map_err(|e| Error::output(format!("tables cannot be written as JSON: {e}"), ""))
}

#[cfg(test)]
mod tests {
    use super::super::study::{Claim, Next, Over, StateStore};
    use super::super::{Outcome, State, example};

    #[test]
    fn on_another_table_trials_that_are_under_way_begin_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = example::store(folder.path());
        let mut next = |known: &[super::super::Trial]| {
            let n = known.len() as u64;
            Ok(if n < 3 { Next::Try(n, Vec::new()) } else { Next::Over(Over::Enough(3)) })
        };
        for trial in 0..3 {
            assert!(matches!(store.claim(&mut next).unwrap(), Claim::Trial(_)));
            store.tell_epochs(&[(trial, 1, [1.0; 3])]).unwrap();
            StateStore::open(store.path(), trial).unwrap().keep(1, b"state").unwrap();
        }
        let end = Outcome {
            state: State::Done,
            metric: Some(1.0),
            best_epoch: Some(1),
            cuts: Vec::new(),
            seconds: 0.1,
            reason: "end".into(),
        };
        store.tell_end(1, &end).unwrap();
        store.begin_table("other.csv".into(), "cd".into()).unwrap();
        for open in [0, 2] {
            assert_eq!(store.checkpoint(open).unwrap(), None, "trained on other rows");
        }
        let epochs: Vec<usize> = store.trials().unwrap().iter().map(|trial| trial.epochs).collect();
        assert_eq!(epochs, [0, 1, 0]);
        let tables = store.tables().unwrap();
        let last = tables.last().unwrap();
        assert_eq!((last.from, &last.open[..], &last.data[..]), (3, &[0, 2][..], "other.csv"));
    }
}
