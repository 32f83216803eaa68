//! What a study knows besides its trials: its tables, where the last one lies, and how far it was asked to go.

use super::record::{Header, TableOf, entry, problem, put_entry, tables};
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
        put_entry(&transaction, &self.path, "tables", &tables_as_json(&later)?)?;
        transaction.commit().map_err(fail)
    }

    /// Puts on record where the table lies that trials are run on, with the settings that name it.
    pub fn move_table(&self, header: &Header) -> Result<()> {
        let mut later = self.tables()?.split_off(1);
        let put = |key: &str, value: &str| put_entry(&self.connection, &self.path, key, value);
        put("config", &header.config)?;
        match later.last_mut() {
            None => put("data_path", &header.data_path),
            Some(last) => {
                last.data.clone_from(&header.data_path);
                put("tables", &tables_as_json(&later)?)
            }
        }
    }

    /// How far it was last asked to go, as JSON; nothing in a study that nobody has worked on.
    pub fn request(&self) -> Result<Option<String>> {
        entry(&self.connection, &self.path, "request")
    }

    /// Keeps how far it is asked to go, so that it can be gone on with by its name alone.
    pub fn keep_request(&self, json: &str) -> Result<()> {
        put_entry(&self.connection, &self.path, "request", json)
    }
}

fn tables_as_json(tables: &[TableOf]) -> Result<String> {
    serde_json::to_string(tables)
        .map_err(|e| Error::output(format!("tables cannot be written as JSON: {e}"), ""))
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::super::study::{Claim, Next, Over, StateStore};

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
        store.tell_end(1, &example::done()).unwrap();
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
