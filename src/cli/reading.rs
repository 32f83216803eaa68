//! The options that say which table a command takes, and how it is read.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use statera::config::{BadRows, CellFormat, Config, DataConfig, Decimal, Delimiter, column_settings};
use statera::data::read::{Skipped, stem_of};
use statera::data::{ColumnKind, RawTable, ReadOptions, TableReader, read_table};
use statera::error::Error;
use statera::files::write_atomically;
use statera::model::Model;

use super::text;

/// How a table is read, in place of what the settings say.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Reading {
    /// A further word that stands for a missing cell (repeatable)
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    null: Vec<String>,
    /// Between cells: comma, semicolon, tab or bar (default: as detected)
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Delimiter::NAMES), hide_possible_values = true)]
    delimiter: Option<String>,
    /// Before decimals: point or comma (default: as detected)
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Decimal::NAMES), hide_possible_values = true)]
    decimal: Option<String>,
    /// Malformed rows: refuse (the default), or skip, count and list them
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(BadRows::NAMES), hide_possible_values = true)]
    bad_rows: Option<String>,
}

/// How a table to learn from is read, and what is known of its columns.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Learning {
    #[command(flatten)]
    pub(super) reading: Reading,
    /// What is known of columns, in TOML: a table of settings for each
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
}

impl Learning {
    /// The settings that the options and the file stand for.
    pub(super) fn sets(&self) -> Result<Vec<String>, Error> {
        let mut sets = match &self.schema {
            Some(file) => column_settings(file)?,
            None => Vec::new(),
        };
        sets.extend(self.reading.sets());
        Ok(sets)
    }
}

impl Learning {
    /// The options that were given, as they are typed.
    pub(super) fn given(&self) -> Vec<(&'static str, String)> {
        let r = &self.reading;
        let one = [
            ("--delimiter", r.delimiter.clone()),
            ("--decimal", r.decimal.clone()),
            ("--bad-rows", r.bad_rows.clone()),
            ("--schema", self.schema.as_ref().map(|file| text::path(file))),
        ];
        let mut given: Vec<_> =
            one.into_iter().filter_map(|(option, value)| Some((option, value?))).collect();
        given.extend(r.null.iter().map(|word| ("--null", word.clone())));
        given
    }
}

impl Reading {
    /// The settings that the options stand for.
    pub(super) fn sets(&self) -> impl Iterator<Item = String> {
        let given = [
            ("data.delimiter", &self.delimiter),
            ("data.decimal", &self.decimal),
            ("data.bad_rows", &self.bad_rows),
        ];
        given.into_iter().filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={value}")))
    }

    /// Whether malformed rows are left out.
    pub(super) fn skips(&self) -> bool {
        self.bad_rows.as_deref() == Some(BadRows::Skip.name())
    }

    /// Adds the words for missing cells, which stand beside those of the settings.
    pub(super) fn add_null(&self, data: &mut DataConfig) {
        data.null.extend(self.null.iter().cloned());
    }

    /// The table for a model, to be read piece by piece with the model's own words for missing cells.
    pub(super) fn open(&self, model: &Model, sources: &[PathBuf]) -> Result<TableReader, Error> {
        TableReader::open(sources, &self.options(model)?)
    }

    /// The whole of such a table; tells of rows that were left out.
    pub(super) fn table(&self, model: &Model, sources: &[PathBuf]) -> Result<RawTable, Error> {
        let raw = read_table(sources, &self.options(model)?)?;
        tell_skipped(&raw.skipped);
        self.tell_mark(model, &raw);
        Ok(raw)
    }

    /// Warns of a text whose cells show another decimal mark than those of the table that was learned from: `3.682` is one
    /// number there and another here.
    pub(super) fn tell_mark(&self, model: &Model, raw: &RawTable) {
        let (learned, here) = (model.card.schema.decimal_comma, raw.decimal_comma());
        // Only texts have lines, and a mark of their own.
        if self.decimal.is_some() || learned == here || raw.n_rows() == 0 || raw.line(0).is_none() {
            return;
        }
        // Cells such as `27,9` or `1.234,5` can be read in one way, and are.
        let formats = if here {
            [CellFormat::DecimalComma, CellFormat::DecimalPoint]
        } else {
            [CellFormat::DecimalPoint, CellFormat::DecimalComma]
        };
        let columns = model.card.schema.kept().filter(|c| c.kind == ColumnKind::Number && c.format.is_none());
        let cells = columns.filter_map(|column| raw.column_index(&column.name));
        let cells = cells.flat_map(|index| raw.values(index).flatten());
        let twofold = cells.filter_map(|cell| {
            let [read, other] = formats.map(|format| format.number(cell));
            Some((cell, read?, other?))
        });
        let Some((cell, read, other)) = twofold.into_iter().find(|(_, read, other)| read != other) else {
            return;
        };
        let name = |comma| if comma { "comma" } else { "point" };
        text::note(&format!(
            "warning: {} shows decimal {}s, and the table that was learned from had {}s: `{}` is read as {read}; \
             --decimal {} reads it as {other}",
            text::path(&raw.source),
            name(here),
            name(learned),
            text::name(cell),
            name(learned)
        ));
    }

    fn options(&self, model: &Model) -> Result<ReadOptions, Error> {
        let mut data = Config::load(None, &self.sets().collect::<Vec<_>>())?.data;
        data.null.clone_from(&model.card.null);
        for column in model.card.schema.columns.iter().filter(|column| !column.null.is_empty()) {
            let known = data.columns.entry(column.name.clone()).or_default();
            known.null = Some(column.null.clone());
        }
        self.add_null(&mut data);
        Ok(ReadOptions { usual_comma: Some(model.card.schema.decimal_comma), ..ReadOptions::of(&data) })
    }
}

/// Says how many rows were left out, and which was the first; and what else is doubtful of them.
pub(super) fn tell_skipped(skipped: &Skipped) {
    if let Some(doubt) = &skipped.doubt {
        text::note(&format!("warning: {doubt}"));
    }
    if let Some(first) = skipped.rows.first() {
        let n = text::counted(skipped.count, "malformed row");
        let file = first.file.display();
        text::note(&format!(
            "warning: {n} left out, the first on line {} of {file}: {}",
            first.line, first.what
        ));
    }
}

/// Writes the list of rows that were left out, if there are any, beside the file `out` that is made of the others:
/// `predictions-skipped-rows.csv` beside `predictions.csv`.
pub(super) fn write_skipped(skipped: &Skipped, out: Option<&Path>) -> Result<(), Error> {
    if skipped.count == 0 {
        return Ok(());
    }
    let Some(out) = out else {
        text::note("note: which they are is listed in a file of their own beside the one that -o FILE names");
        return Ok(());
    };
    let list = out.with_file_name(format!("{}-skipped-rows.csv", stem_of(out)));
    write_atomically(&list, skipped.to_csv().as_bytes())?;
    text::note(&format!("note: which they are is listed in {}", text::path(&list)));
    Ok(())
}

/// Refuses to write over a file, unless that is asked for.
pub(super) fn refuse_existing(out: &Path, force: bool) -> Result<(), Error> {
    if out.is_file() && !force {
        let what = format!("{} exists already", out.display());
        return Err(Error::setting(what, "another file, or --force to replace it"));
    }
    Ok(())
}

/// Whether `out` is one of the files that a table is read from.
pub(super) fn is_source(out: &Path, sources: &[PathBuf]) -> bool {
    let Ok(out) = out.canonicalize() else { return false };
    let is = |source: &PathBuf| {
        source.canonicalize().is_ok_and(|source| source == out || out.parent() == Some(&source))
    };
    out.is_file() && sources.iter().any(is)
}
