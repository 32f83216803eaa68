//! The typed columns of a table, each in a file of its own: numbers, days, codes of categories.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Cache, Found, InUse, open, told};
use crate::checked_file::{Seal, SealedWriter};
use crate::config::CellFormat;
use crate::data::cell::EXACT;
use crate::data::read::{Cells, Dictionary, Skipped};
use crate::data::schema::FEW_NUMBERS;
use crate::data::split::Spelling;
use crate::data::table::{MISSING, check_rows};
use crate::data::words::{null_option, shown, thousands};
use crate::data::{
    Column, ColumnData, ColumnKind, ColumnSchema, Inference, RawTable, ReadOptions, Schema, Table,
    TableReader,
};
use crate::error::{Error, Result};

/// The most different texts of a column that is needed beside the inputs.
const MOST_TEXTS: usize = 1 << 16;
/// The most different texts of one that says which rows belong together: some 300 MB of them.
const MOST_GROUPS: usize = 1 << 22;
/// Rows between two notes on how far the reading is.
const TELL: usize = 10_000_000;

/// All that the columns of a table follow from.
#[derive(Debug, Serialize)]
pub struct ColumnsKey<'a> {
    /// The checksum of the files.
    pub sha256: &'a str,
    /// How they are read, and what is set of columns, in words.
    pub settings: String,
    /// Columns that are needed beside the inputs: the target, the columns that split the rows.
    pub others: Vec<(&'a str, Asked)>,
}

/// What is asked of a column that is needed beside the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Asked {
    /// Numbers, or classes where it has few different ones.
    Target,
    /// How its cells are written, even where all of them are numbers.
    Texts,
    /// The same, of which there may be many.
    Groups,
    /// Numbers, or else dates, whose order is that of time; in a format, if one is set.
    Times(Option<CellFormat>),
}

/// How the cells of a column beside the inputs are stored.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    /// 64-bit numbers, NaN where missing.
    Numbers,
    /// The same, days since 1970-01-01.
    Days,
    /// 32-bit places among the column's texts, [`MISSING`] where missing.
    Codes,
}

/// A column that is needed beside the inputs, as it stands in the files.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Other {
    name: String,
    form: Form,
    /// Its different texts, where it is stored as codes.
    texts: Vec<String>,
    seal: Seal,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    sha256: String,
    n_rows: usize,
    n_columns: usize,
    schema: Schema,
    skipped: Skipped,
    /// Of the columns of the schema that are kept.
    seals: Vec<Seal>,
    others: Vec<Other>,
}

/// The columns of a table on disk: the inputs, typed by its schema, and some others.
#[derive(Debug)]
pub struct Columns {
    source: PathBuf,
    folder: PathBuf,
    manifest: Manifest,
    /// The files are read as long as this lives.
    _in_use: InUse,
}

fn input_file(kept: usize) -> String {
    format!("input-{kept}")
}

fn other_file(other: usize) -> String {
    format!("other-{other}")
}

fn seals(manifest: &Manifest) -> Vec<(String, &Seal)> {
    let inputs = manifest.seals.iter().enumerate().map(|(i, seal)| (input_file(i), seal));
    let others = manifest.others.iter().enumerate().map(|(i, other)| (other_file(i), &other.seal));
    inputs.chain(others).collect()
}

/// Looks at all blocks of a table for an inference of its schema.
pub type Pass<'a> = &'a mut dyn FnMut(Inference) -> Result<Inference>;

impl Columns {
    /// The columns of the table that `sources` are, found in the cache or else made; `tell` hears of it.
    ///
    /// The files are read twice, block by block: to tell what the columns are, which is for `schema_of` to say (it is
    /// given the first rows and how to look at all of them), and to write them.
    pub fn of(
        cache: &Cache,
        sources: &[PathBuf],
        options: &ReadOptions,
        key: &ColumnsKey,
        schema_of: impl FnOnce(&RawTable, Pass) -> Result<Schema>,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        let folder = cache.entry("columns", key)?;
        let source = sources.first().cloned().unwrap_or_default();
        match open(&folder, seals) {
            Found::Whole(manifest, in_use) => {
                return Ok(Self { source, folder, manifest, _in_use: in_use });
            }
            Found::Absent => {}
            Found::Unfit(why) => tell(&format!("the columns in {} are made anew: {why}", folder.display())),
        }
        let building = cache.build()?;
        let looked = looked_at(sources, options, key, schema_of, tell)?;
        let written = write(building.path(), sources, options, key, looked, tell);
        let manifest = written.map_err(|error| told(cache, error))?;
        let in_use = cache.publish(building, &folder, &manifest, tell)?;
        Ok(Self { source, folder, manifest, _in_use: in_use })
    }

    /// The number of rows.
    pub fn n_rows(&self) -> usize {
        self.manifest.n_rows
    }

    /// How many columns the files have.
    pub fn n_columns(&self) -> usize {
        self.manifest.n_columns
    }

    /// What the columns are, those of [`ColumnsKey::others`] left out.
    pub fn schema(&self) -> &Schema {
        &self.manifest.schema
    }

    /// The malformed rows that were left out.
    pub fn skipped(&self) -> &Skipped {
        &self.manifest.skipped
    }

    /// The inputs, without rows.
    pub fn header(&self) -> Result<Table> {
        self.rows(0..0)
    }

    /// The rows of a range.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn rows(&self, range: Range<usize>) -> Result<Table> {
        let n_rows = range.len();
        let column = |i| self.input(i, range.clone());
        let columns: Vec<Column> = (0..self.manifest.seals.len()).map(column).collect::<Result<_>>()?;
        Ok(Table::of_columns(n_rows, columns))
    }

    /// All rows of an input, counted among those that are kept.
    pub fn whole_input(&self, kept: usize) -> Result<Column> {
        self.input(kept, 0..self.n_rows())
    }

    fn input(&self, kept: usize, range: Range<usize>) -> Result<Column> {
        assert!(range.end <= self.n_rows(), "rows {range:?} of {}", self.n_rows());
        let path = self.folder.join(input_file(kept));
        let column = self.schema().kept().nth(kept);
        let Some(ColumnSchema { name, kind, levels, .. }) = column else {
            unreachable!("there are as many seals")
        };
        let data = match kind {
            ColumnKind::Number => ColumnData::Number(read(&path, range, |b| f64::from_le_bytes(*b))?),
            ColumnKind::Date => ColumnData::Date(read(&path, range, |b| f64::from_le_bytes(*b))?),
            ColumnKind::Category => {
                let codes = read(&path, range, |b| u32::from_le_bytes(*b))?;
                ColumnData::Category { codes, levels: levels.clone() }
            }
            ColumnKind::Text | ColumnKind::Identifier => ColumnData::Dropped,
        };
        Ok(Column { name: name.clone(), data })
    }

    /// All rows of some of the other columns, as they stand in the files.
    pub fn others(&self, names: &[&str]) -> Result<RawTable> {
        let mut columns = Vec::new();
        for (i, other) in
            self.manifest.others.iter().enumerate().filter(|(_, o)| names.contains(&o.name.as_str()))
        {
            let (path, all) = (self.folder.join(other_file(i)), 0..self.n_rows());
            let cells = match &other.form {
                Form::Numbers => Cells::numbers(read(&path, all, |b| f64::from_le_bytes(*b))?),
                Form::Days => Cells::days(read(&path, all, |b| f64::from_le_bytes(*b))?),
                Form::Codes => {
                    let codes = read(&path, all, |b| u32::from_le_bytes(*b))?;
                    Cells::Coded { codes, levels: other.texts.clone() }
                }
            };
            columns.push((other.name.clone(), cells));
        }
        let mut table = RawTable::typed(self.n_rows(), columns);
        (table.source, table.sha256) = (self.source.clone(), self.manifest.sha256.clone());
        Ok(table.with_decimal_comma(self.manifest.schema.decimal_comma))
    }
}

/// Numbers of `N` bytes each out of a file, from those of a range of rows.
fn read<V, const N: usize>(path: &Path, range: Range<usize>, of: impl Fn(&[u8; N]) -> V) -> Result<Vec<V>> {
    const PART: usize = 1 << 18;
    let failed = |e| Error::io("read", path, e);
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start((range.start * N) as u64)).map_err(failed)?;
    let mut values = Vec::with_capacity(range.len());
    let mut bytes = vec![0; range.len().min(PART) * N];
    while values.len() < range.len() {
        let n = (range.len() - values.len()).min(PART);
        file.read_exact(&mut bytes[..n * N]).map_err(failed)?;
        values.extend(bytes[..n * N].as_chunks::<N>().0.iter().map(&of));
    }
    Ok(values)
}

/// What a first look at all rows finds.
struct Looked {
    schema: Schema,
    skipped: Skipped,
    n_rows: usize,
    n_columns: usize,
    others: Vec<Beside>,
}

/// What is found of a column that is needed beside the inputs.
struct Beside {
    name: String,
    index: usize,
    asked: Asked,
    dictionary: Dictionary,
    are_too_many: bool,
    /// The first cell that is no number: its place, and what it says.
    first_word: Option<[String; 2]>,
    /// Whether a number is beyond those that a float tells from all others.
    any_beyond: bool,
    /// How cells of [`Asked::Times`] are written.
    spelling: Spelling,
}

impl Beside {
    fn add(&mut self, block: &RawTable) {
        let levels = block.codes(self.index).map(|(_, levels)| levels);
        if !self.are_too_many {
            self.are_too_many = match levels {
                Some(levels) => levels.iter().any(|text| self.dictionary.code(text).is_none()),
                None => block.values(self.index).flatten().any(|text| self.dictionary.code(text).is_none()),
            };
        }
        match block.numbers(self.index) {
            Some(values) => {
                self.any_beyond |= values.iter().any(|x| x.abs() > EXACT);
                if values.iter().any(|x| !x.is_nan()) {
                    self.spelling.add_numbers();
                }
            }
            None if self.first_word.is_none() => {
                let cells = block.values(self.index).enumerate();
                let is_word = |text: &str| block.number(text).is_none();
                let word = cells.filter_map(|(row, text)| Some((row, text?))).find(|(_, text)| is_word(text));
                self.first_word = word.map(|(row, text)| [block.place(row, self.index), text.to_owned()]);
            }
            None => {}
        }
        if block.days(self.index).is_some() {
            self.spelling.add_days();
        } else if matches!(self.asked, Asked::Times(_)) && block.has_texts(self.index) {
            let cells = block.values(self.index).flatten();
            cells.for_each(|cell| self.spelling.add(cell, block.number(cell)));
        }
    }

    /// How the column is stored: as texts where they are few, or a target's numbers few enough to be classes.
    fn form(&self) -> Form {
        let are_numbers = self.first_word.is_none();
        match self.asked {
            Asked::Times(_) if self.spelling.are_numbers() => Form::Numbers,
            Asked::Times(_) if self.spelling.are_dates() => Form::Days,
            Asked::Target if are_numbers && self.dictionary.len() > FEW_NUMBERS => Form::Numbers,
            _ if self.are_too_many => Form::Numbers,
            _ => Form::Codes,
        }
    }

    /// Refuses a column whose texts are too many to be stored, and that has to be stored as texts.
    fn check(&self) -> Result<()> {
        if let Asked::Times(_) = self.asked {
            self.spelling.check(&self.name)?;
            if self.spelling.are_numbers() || self.spelling.are_dates() {
                return Ok(());
            }
        }
        if !self.are_too_many {
            return Ok(());
        }
        let (most, held) = match self.asked {
            Asked::Groups => (MOST_GROUPS, "--set data.stream=never to hold the table in memory"),
            _ => (MOST_TEXTS, "another column"),
        };
        let many =
            format!("column {} holds more than {} different texts", shown(&self.name), thousands(most));
        match &self.first_word {
            None if self.asked == Asked::Groups && self.any_beyond => Err(Error::data(
                format!("{many}, and numbers beyond 2^53 among them, which are told apart as texts alone"),
                format!("number the groups from 0 on, or {held}"),
            )),
            None => Ok(()),
            Some(_) if self.asked == Asked::Groups => Err(Error::data(
                format!("{many}, the most by which rows on disk are grouped"),
                format!("number the groups from 0 on, or {held}"),
            )),
            Some([place, text]) => Err(Error::data(
                format!("{many}; {place}: expected a number, found {}", shown(text)),
                format!("{} to take it as missing, or {held}", null_option([text.as_str()])),
            )),
        }
    }
}

fn looked_at(
    sources: &[PathBuf],
    options: &ReadOptions,
    key: &ColumnsKey,
    schema_of: impl FnOnce(&RawTable, Pass) -> Result<Schema>,
    tell: &mut dyn FnMut(&str),
) -> Result<Looked> {
    let mut reader = TableReader::open(sources, options)?;
    check_rows(reader.source(), reader.n_rows_told())?;
    let first = reader.next_block()?.unwrap_or_default();
    let others =
        key.others.iter().filter_map(|(name, asked)| Some((name, *asked, first.column_index(name)?)));
    let mut others: Vec<Beside> = others
        .map(|(name, asked, index)| {
            let most = if asked == Asked::Groups { MOST_GROUPS } else { MOST_TEXTS };
            let spelling = Spelling::of(if let Asked::Times(format) = asked { format } else { None });
            Beside {
                name: (*name).to_owned(),
                index,
                asked,
                dictionary: Dictionary::new(most),
                are_too_many: false,
                first_word: None,
                any_beyond: false,
                spelling,
            }
        })
        .collect();
    let n_columns = first.n_columns();
    let mut n_rows = 0;
    let mut pass = |mut inference: Inference| {
        let mut look = |block: &RawTable| {
            rayon::join(|| inference.add(block), || others.par_iter_mut().for_each(|other| other.add(block)));
            let before = n_rows;
            n_rows += block.n_rows();
            tell_rows(tell, before, n_rows);
            check_rows(&block.source, n_rows)
        };
        look(&first)?;
        while let Some(block) = reader.next_block()? {
            look(&block)?;
        }
        Ok(inference)
    };
    let schema = schema_of(&first, &mut pass)?;
    let found = reader.finish();
    check_same(&found.sha256, key.sha256, sources)?;
    others.iter().try_for_each(Beside::check)?;
    Ok(Looked { schema, skipped: found.skipped, n_rows, n_columns, others })
}

fn tell_rows(tell: &mut dyn FnMut(&str), before: usize, now: usize) {
    if before / TELL < now / TELL {
        tell(&format!("  {} rows", thousands(now)));
    }
}

/// Refuses files that are not those whose checksum was taken before.
pub fn check_same(sha256: &str, before: &str, sources: &[PathBuf]) -> Result<()> {
    if sha256 == before {
        return Ok(());
    }
    let source = sources.first().cloned().unwrap_or_default();
    Err(Error::data(
        format!("{} was changed while it was read", source.display()),
        "wait until it is written in full, then try again",
    ))
}

/// A column that is written.
struct Writer<'a> {
    file: SealedWriter,
    bytes: Vec<u8>,
    /// The levels of a category, sorted.
    levels: &'a [String],
}

impl Writer<'_> {
    fn push(&mut self, column: &Column) -> Result<()> {
        self.bytes.clear();
        match &column.data {
            ColumnData::Number(values) | ColumnData::Date(values) => push_numbers(values, &mut self.bytes),
            ColumnData::Category { codes, levels } => {
                let place = |level: &String| self.levels.binary_search(level).map(|place| place as u32);
                let places: Vec<u32> =
                    levels.iter().map(place).collect::<std::result::Result<_, _>>().map_err(|_| {
                        Error::data(
                            format!(
                                "column {} has more categories than can be told apart",
                                shown(&column.name)
                            ),
                            "leave it out: --set data.columns.NAME.drop=true",
                        )
                    })?;
                push_codes(codes, &places, &mut self.bytes);
            }
            ColumnData::Dropped => {}
        }
        self.file.write(&self.bytes)
    }
}

fn push_numbers(values: &[f64], bytes: &mut Vec<u8>) {
    values.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
}

fn push_codes(codes: &[u32], to: &[u32], bytes: &mut Vec<u8>) {
    let code = |&code: &u32| to.get(code as usize).copied().unwrap_or(MISSING);
    codes.iter().for_each(|c| bytes.extend_from_slice(&code(c).to_le_bytes()));
}

/// Writes the columns to files in `folder`.
fn write(
    folder: &Path,
    sources: &[PathBuf],
    options: &ReadOptions,
    key: &ColumnsKey,
    looked: Looked,
    tell: &mut dyn FnMut(&str),
) -> Result<Manifest> {
    let Looked { schema, skipped, n_rows: all_rows, n_columns, mut others } = looked;
    let kept = Schema { columns: schema.kept().cloned().collect(), ..Schema::default() };
    let create = |name: String| SealedWriter::create(&folder.join(name));
    let writer = |(i, column): (usize, &'_ ColumnSchema)| {
        create(input_file(i)).map(|file| (file, column.levels.len()))
    };
    let files: Vec<(SealedWriter, usize)> =
        kept.columns.iter().enumerate().map(writer).collect::<Result<_>>()?;
    let mut writers: Vec<Writer> = files
        .into_iter()
        .zip(&kept.columns)
        .map(|((file, _), column)| Writer { file, bytes: Vec::new(), levels: &column.levels })
        .collect();
    let mut other_files: Vec<SealedWriter> =
        (0..others.len()).map(|i| create(other_file(i))).collect::<Result<_>>()?;
    let mut reader = TableReader::open(sources, options)?;
    let mut n_rows = 0;
    while let Some(block) = reader.next_block()? {
        let table = Table::from_raw(&block, &kept)?;
        let (inputs, rest) = rayon::join(
            || {
                writers
                    .par_iter_mut()
                    .zip(table.columns())
                    .try_for_each(|(writer, column)| writer.push(column))
            },
            || {
                others
                    .iter_mut()
                    .zip(&mut other_files)
                    .try_for_each(|(other, file)| push_other(other, &block, file))
            },
        );
        inputs.and(rest)?;
        let before = n_rows;
        n_rows += block.n_rows();
        tell_rows(tell, before, n_rows);
    }
    check_same(&reader.finish().sha256, key.sha256, sources)?;
    if n_rows != all_rows {
        return Err(Error::data(format!("{n_rows} rows were read, and {all_rows} before"), "try again"));
    }
    let seals = writers.into_iter().map(|writer| writer.file.finish()).collect::<Result<_>>()?;
    let finish = |(other, file): (Beside, SealedWriter)| {
        let form = other.form();
        let texts = if matches!(form, Form::Codes) { other.dictionary.into_levels() } else { Vec::new() };
        Ok(Other { name: other.name, form, texts, seal: file.finish()? })
    };
    let others = others.into_iter().zip(other_files).map(finish).collect::<Result<_>>()?;
    Ok(Manifest { sha256: key.sha256.to_owned(), n_rows, n_columns, schema, skipped, seals, others })
}

fn push_other(other: &mut Beside, block: &RawTable, file: &mut SealedWriter) -> Result<()> {
    let mut bytes = Vec::new();
    let index = other.index;
    let times = || -> Cow<[f64]> {
        let time = |text: &str| other.spelling.time(text, block.number(text));
        block.values(index).map(|text| text.and_then(time).unwrap_or(f64::NAN)).collect()
    };
    match other.form() {
        Form::Numbers => {
            // Times may be in a format of their own; another column without numbers would have been a fault.
            let is_formatted = matches!(other.asked, Asked::Times(Some(_)));
            let values = block.numbers(index).filter(|_| !is_formatted);
            push_numbers(&values.map_or_else(times, Cow::Borrowed), &mut bytes);
        }
        Form::Days => push_numbers(&block.days(index).map_or_else(times, Cow::Borrowed), &mut bytes),
        Form::Codes => {
            let mut code = |text: &str| other.dictionary.code(text).unwrap_or(MISSING);
            if let Some((codes, levels)) = block.codes(index) {
                let to: Vec<u32> = levels.iter().map(|text| code(text)).collect();
                push_codes(codes, &to, &mut bytes);
            } else {
                let codes = block.values(index).map(|text| text.map_or(MISSING, &mut code));
                codes.for_each(|code| bytes.extend_from_slice(&code.to_le_bytes()));
            }
        }
    }
    file.write(&bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_table_that_changes_while_it_is_read_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("t.csv");
        std::fs::write(&source, "x,y\n1,2\n3,4\n").unwrap();
        let cache = Cache::open(&folder.path().join("cache"), u64::MAX).unwrap();
        let sources = [source.clone()];
        let sha256 = crate::data::read::sha256_of(&sources).unwrap();
        let key = ColumnsKey { sha256: &sha256, settings: String::new(), others: vec![("y", Asked::Target)] };
        let of = |after_pass: &dyn Fn()| {
            let schema_of = |first: &RawTable, pass: Pass| {
                let aside = ["y"].into_iter().collect();
                let inference = pass(Inference::new(first, &BTreeMap::new(), &aside)?)?;
                after_pass();
                inference.finish()
            };
            Columns::of(&cache, &sources, &ReadOptions::default(), &key, schema_of, &mut |_| {})
        };
        let entries = || std::fs::read_dir(cache.path()).unwrap().count();
        let change = || std::fs::write(&source, "x,y\n1,2\n3,5\n").unwrap();
        // Between the two readings of it, and before the first.
        for _ in 0..2 {
            let error = of(&change).unwrap_err().to_string();
            assert!(error.contains("t.csv was changed while it was read"), "{error}");
            assert_eq!(entries(), 0);
        }
        std::fs::write(&source, "x,y\n1,2\n3,4\n").unwrap();
        assert_eq!(of(&|| ()).unwrap().n_rows(), 2);
        assert_eq!(entries(), 1);
    }
}
