//! The preparation of a table for a network: fitted on training rows, saved with the model.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::encode::{Bound, ColumnNotes, Encoder};
use super::scale::{Impute, Scale};
use super::split::TrainRows;
use super::table::{Column, ColumnData, Table};
use super::words::{column_setting, counted, instead, shown};
use crate::config::{Config, EmbeddingConfig, Encode};
use crate::{Error, Result};

/// Rows that are prepared together, so that the part of the matrix being filled stays in the cache.
const BLOCK: usize = 256;

/// How columns are to be prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineOptions {
    /// How numbers and days are scaled.
    pub scale: Scale,
    /// The columns that are scaled in a way of their own.
    pub per_column: BTreeMap<String, Scale>,
    /// What stands in for missing numbers and days.
    pub impute: Impute,
    /// Whether a number or date column with missing training cells brings a feature that marks them.
    pub indicators: bool,
    /// Which columns are prepared for an embedding: codes of categories, places among bins.
    pub embedding: EmbeddingConfig,
    /// The columns that enter the network in a way of their own.
    pub encode: BTreeMap<String, Encode>,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            scale: Scale::Standard,
            per_column: BTreeMap::new(),
            impute: Impute::Median,
            indicators: true,
            embedding: Config::default().embedding,
            encode: BTreeMap::new(),
        }
    }
}

/// One column of the prepared matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// What the feature is called: `age`, `sex=female`, `age=missing`, `joined.month_sin`.
    pub name: String,
    /// The column of the table that it is made of.
    pub column: String,
    /// What it holds.
    pub kind: FeatureKind,
}

/// What a column of the prepared matrix holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureKind {
    /// The scaled number of a number column.
    Number,
    /// The place of such a number among the edges of so many bins ([`super::Bins::position`]).
    Position {
        /// How many bins.
        n_bins: usize,
    },
    /// The code of a category, a whole number from 0 on; the number of levels for one that training rows lack.
    /// Nothing can be computed with it but to look something up.
    Code {
        /// How many levels, missing among them if training rows had missing cells.
        n_levels: usize,
    },
    /// One level of a category, a part of a date, or a mark of missing cells.
    Part,
}

/// What a table to transform holds that the training rows did not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TransformNotes {
    /// The columns with missing cells or unseen categories, in the order of the pipeline.
    pub columns: Vec<ColumnNotes>,
}

impl TransformNotes {
    /// Takes in what another pipeline of the same columns met in the same table: of each column what is more.
    pub(crate) fn join(&mut self, other: Self) {
        for notes in other.columns {
            match self.columns.iter_mut().find(|own| own.column == notes.column) {
                None => self.columns.push(notes),
                Some(own) if own.unseen < notes.unseen => *own = notes,
                Some(_) => {}
            }
        }
    }
}

/// A fitted preparation: makes the matrix that the network reads out of any table of the schema.
///
/// It is saved as JSON in the model file; what is read back has been [validated](Self::validate).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct Pipeline {
    encoders: Vec<Encoder>,
    features: Vec<Feature>,
}

/// A pipeline as it is saved: without what follows from the rest.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    encoders: Vec<Encoder>,
}

impl From<Pipeline> for Saved {
    fn from(pipeline: Pipeline) -> Self {
        Self { encoders: pipeline.encoders }
    }
}

impl TryFrom<Saved> for Pipeline {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        // Before features are named, which takes time where columns are the same.
        check_encoders(&saved.encoders)?;
        let pipeline = Self::new(saved.encoders);
        pipeline.validate()?;
        Ok(pipeline)
    }
}

impl Pipeline {
    /// Fits to the training rows of a table, and to nothing else of it.
    ///
    /// The table holds no target. Linear in the number of training cells, and in the logarithm of
    /// the rows where quantiles are needed.
    pub fn fit(table: &Table, train: &TrainRows, options: &PipelineOptions) -> Result<Self> {
        check_rows(table, train.rows())?;
        for (name, scale) in &options.per_column {
            check_scaled(table, name, *scale)?;
        }
        for (name, encode) in &options.encode {
            check_encoded(table, name, *encode)?;
        }
        let mut encoders = Vec::new();
        for column in table.columns() {
            encoders.extend(Encoder::fit(column, train, options)?);
        }
        let pipeline = Self::new(encoders);
        if pipeline.features.is_empty() {
            return Err(Error::data(
                "no column is left to learn from: every one but the target is dropped",
                "set the kind of a column that is to be kept: --set data.columns.NAME.kind=category",
            ));
        }
        Ok(pipeline)
    }

    fn new(encoders: Vec<Encoder>) -> Self {
        let mut taken = HashSet::new();
        let mut features = Vec::new();
        for encoder in &encoders {
            for (mut name, kind) in encoder.features() {
                // A category may itself be called `missing`, and a column `sex=female`.
                while !taken.insert(name.clone()) {
                    name.push('\'');
                }
                features.push(Feature { name, column: encoder.column().to_owned(), kind });
            }
        }
        Self { encoders, features }
    }

    /// The same preparation for what has no embedding: numbers as they are scaled, categories one-hot, those that are
    /// [too wide](Encoder::is_too_wide) left out, be there anything left or not.
    pub fn plain(&self) -> Self {
        Self::new(self.encoders.iter().filter_map(Encoder::plain).collect())
    }

    /// The columns of the matrix, from left to right.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Which columns of the matrix are the scaled numbers of number columns.
    pub fn numeric_features(&self) -> Vec<usize> {
        let is_number = |i: &usize| self.features[*i].kind == FeatureKind::Number;
        (0..self.features.len()).filter(is_number).collect()
    }

    /// How each column becomes features, in the order of the features.
    pub fn encoders(&self) -> &[Encoder] {
        &self.encoders
    }

    /// Whether every part is one that [`Pipeline::transform`] can compute with.
    pub fn validate(&self) -> Result<()> {
        check_encoders(&self.encoders)?;
        if self.features.is_empty() {
            return Err(damaged("the pipeline makes no features".to_owned()));
        }
        Ok(())
    }

    /// The matrix of these rows, row-major, with one column for each feature.
    ///
    /// A category that no training row has is all 0, or has the code that stands for that; it is counted in the
    /// notes, as missing cells are. Takes time and memory linear in rows times features.
    pub fn transform(&self, table: &Table, rows: &[usize]) -> Result<(Vec<f64>, TransformNotes)> {
        let mut whole = Vec::new();
        let notes = self.transform_parts(table, rows, rows.len(), |part| whole = part)?;
        Ok((whole, notes))
    }

    /// [`Pipeline::transform`] for `part_rows` rows at a time, each part given to `take` in the order of the rows.
    pub fn transform_parts(
        &self,
        table: &Table,
        rows: &[usize],
        part_rows: usize,
        mut take: impl FnMut(Vec<f64>),
    ) -> Result<TransformNotes> {
        check_rows(table, rows)?;
        let columns: HashMap<&str, &Column> =
            table.columns().iter().map(|column| (column.name.as_str(), column)).collect();
        let mut at = 0;
        let mut bound = Vec::with_capacity(self.encoders.len());
        for encoder in &self.encoders {
            bound.push(Bound::new(encoder, &columns, at)?);
            at += encoder.features().len();
        }
        for rows in rows.chunks(part_rows.max(1)) {
            let mut matrix = vec![0.0; rows.len() * at];
            for (rows, block) in rows.chunks(BLOCK).zip(matrix.chunks_mut(BLOCK * at)) {
                for encoder in &mut bound {
                    encoder.fill(rows, block, at);
                }
            }
            take(matrix);
        }
        let columns = bound.into_iter().map(|encoder| encoder.notes);
        let columns = columns.filter(|notes| notes.missing + notes.unseen > 0).collect();
        Ok(TransformNotes { columns })
    }
}

fn damaged(what: String) -> Error {
    Error::model(what, "the model is damaged: copy it again, or train it anew")
}

fn check_encoders(encoders: &[Encoder]) -> Result<()> {
    let mut columns = HashSet::new();
    for encoder in encoders {
        let column = encoder.column();
        if !columns.insert(column) {
            return Err(damaged(format!("the pipeline prepares column {} twice", shown(column))));
        }
        if let Some(fault) = encoder.fault() {
            return Err(damaged(format!("the pipeline's column {}: {fault}", shown(column))));
        }
    }
    Ok(())
}

fn check_rows(table: &Table, rows: &[usize]) -> Result<()> {
    match rows.iter().max() {
        Some(&row) if row >= table.n_rows() => Err(Error::data(
            format!("row {} is asked for, of a table of {}", row + 1, counted(table.n_rows(), "row")),
            "take the rows from a split of the same table",
        )),
        _ => Ok(()),
    }
}

/// Whether a column named in the settings is one that can be scaled.
fn check_scaled(table: &Table, name: &str, scale: Scale) -> Result<()> {
    let setting = || format!("data.columns.{name}.scale");
    match table.column(name).map(|column| &column.data) {
        Some(ColumnData::Number(_) | ColumnData::Date(_)) => Ok(()),
        // To leave alone what cannot be scaled asks for nothing.
        Some(_) if scale == Scale::None => Ok(()),
        Some(ColumnData::Category { .. }) => Err(Error::setting(
            format!("{}: column {} is a category, which is not scaled", setting(), shown(name)),
            format!("leave the setting out, or --set {}", column_setting(name, "kind", "number")),
        )),
        Some(ColumnData::Dropped) => Err(Error::setting(
            format!("{}: column {} is dropped, hence not scaled", setting(), shown(name)),
            "leave the setting out",
        )),
        None => Err(Error::setting(
            format!("{}: there is no input column {}", setting(), shown(name)),
            instead(name, table.columns().iter().map(|column| column.name.as_str())),
        )),
    }
}

/// Whether a column named in the settings is one that can be encoded so.
fn check_encoded(table: &Table, name: &str, encode: Encode) -> Result<()> {
    let is_of_category = matches!(encode, Encode::OneHot | Encode::Embedding);
    let (what, others) = match table.column(name).map(|column| &column.data) {
        Some(ColumnData::Number(_)) if !is_of_category => return Ok(()),
        Some(ColumnData::Category { .. }) if is_of_category => return Ok(()),
        Some(ColumnData::Number(_)) => ("a number", "none, plr, pbld or ple"),
        Some(ColumnData::Category { .. }) => ("a category", "one_hot or embedding"),
        Some(ColumnData::Date(_)) => ("a date, which has no embedding", ""),
        Some(ColumnData::Dropped) => ("dropped", ""),
        None => {
            return Err(Error::setting(
                format!("data.columns.{name}.encode: there is no input column {}", shown(name)),
                instead(name, table.columns().iter().map(|column| column.name.as_str())),
            ));
        }
    };
    Err(Error::setting(
        format!("data.columns.{name}.encode is {encode}; column {} is {what}", shown(name)),
        match (others, is_of_category) {
            ("", _) => "leave the setting out".to_owned(),
            (_, true) => format!("{others}, or --set {}", column_setting(name, "kind", "category")),
            (_, false) => format!("{others}, or --set {}", column_setting(name, "kind", "number")),
        },
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::f64::consts::TAU;
    use std::path::Path;

    use super::super::read::{ReadOptions, parse_csv};
    use super::super::schema::{ColumnKind, Schema, infer_schema};
    use super::*;

    fn table(text: &str, schema: Option<&Schema>) -> (Table, Schema) {
        let raw = parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default()).unwrap();
        let kinds = [("n", ColumnKind::Number), ("c", ColumnKind::Category), ("d", ColumnKind::Date)];
        let kinds = kinds.into_iter().filter(|(name, _)| raw.column_index(name).is_some());
        let kinds = kinds.map(|(name, kind)| (name.to_owned(), kind)).collect();
        let schema = schema.cloned().unwrap_or_else(|| infer_schema(&raw, &kinds, &BTreeSet::new()).unwrap());
        (Table::from_raw(&raw, &schema).unwrap(), schema)
    }

    const TEXT: &str = "n,c,d\n1,b,1970-01-01\n3,a,1970-04-03\n,,\n5,a,1970-07-05\n9,z,2000-01-01\n";

    fn fitted(options: &PipelineOptions) -> Pipeline {
        Pipeline::fit(&table(TEXT, None).0, &TrainRows::for_test(vec![0, 1, 2, 3]), options).unwrap()
    }

    fn options(scale: Scale) -> PipelineOptions {
        PipelineOptions { scale, ..PipelineOptions::default() }
    }

    fn names(pipeline: &Pipeline) -> Vec<&str> {
        pipeline.features().iter().map(|feature| feature.name.as_str()).collect()
    }

    #[test]
    fn features_are_named_after_column_and_level() {
        let all = [
            "n",
            "n=missing",
            "c=a",
            "c=b",
            "c=missing",
            "d.days",
            "d.month_sin",
            "d.month_cos",
            "d.weekday_sin",
            "d.weekday_cos",
            "d=missing",
        ];
        let pipeline = fitted(&PipelineOptions::default());
        assert_eq!(names(&pipeline), all);
        assert_eq!(pipeline.features()[8].column, "d");
        let without = fitted(&PipelineOptions { indicators: false, ..PipelineOptions::default() });
        assert_eq!(names(&without).len(), 9, "a missing category keeps its level");
    }

    #[test]
    fn cells_become_the_numbers_of_their_features() {
        let (table, _) = table(TEXT, None);
        let pipeline = fitted(&options(Scale::MinMax));
        let (matrix, notes) = pipeline.transform(&table, &[0, 1, 2, 4]).unwrap();
        let rows: Vec<&[f64]> = matrix.chunks(11).collect();
        let near = |found: &[f64], expected: &[f64]| {
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        };
        near(&rows[0][..5], &[0.0, 0.0, 0.0, 1.0, 0.0]);
        near(&rows[1][..5], &[0.5, 0.0, 1.0, 0.0, 0.0]);
        near(&rows[2][..5], &[0.5, 1.0, 0.0, 0.0, 1.0]);
        near(&rows[3][..5], &[2.0, 0.0, 0.0, 0.0, 0.0]);
        // Thursday, 1 January: the circle of months starts there, that of weekdays on Monday.
        let thursday = (TAU * 3.0 / 7.0).sin_cos();
        near(&rows[0][5..], &[0.0, 0.0, 1.0, thursday.0, thursday.1, 0.0]);
        // Friday, 3 April: a quarter of the year later; 92 of 185 days.
        let friday = (TAU * 4.0 / 7.0).sin_cos();
        near(&rows[1][5..], &[92.0 / 185.0, 1.0, 0.0, friday.0, friday.1, 0.0]);
        near(&rows[2][5..], &[92.0 / 185.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let unseen = ColumnNotes { column: "c".into(), missing: 1, unseen: 1, examples: vec!["z".into()] };
        assert_eq!(notes.columns.len(), 3);
        assert_eq!(notes.columns[1], unseen);
    }

    #[test]
    fn missing_cells_where_training_had_none_are_imputed_without_a_mark() {
        let (table, _) = table(TEXT, None);
        let pipeline =
            Pipeline::fit(&table, &TrainRows::for_test(vec![0, 1, 3]), &options(Scale::None)).unwrap();
        assert_eq!(names(&pipeline).len(), 8);
        let (matrix, _) = pipeline.transform(&table, &[2]).unwrap();
        assert_eq!(matrix, [3.0, 0.0, 0.0, 92.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn each_column_may_have_a_scale_of_its_own() {
        let per_column = BTreeMap::from([("n".to_owned(), Scale::None), ("c".to_owned(), Scale::None)]);
        let pipeline = fitted(&PipelineOptions { per_column, ..options(Scale::MinMax) });
        let (matrix, _) = pipeline.transform(&table(TEXT, None).0, &[3]).unwrap();
        assert_eq!((matrix[0], matrix[5]), (5.0, 1.0));
        for (column, words) in [("nn", "did you mean `n`?"), ("c", "is a category")] {
            let per_column = BTreeMap::from([(column.to_owned(), Scale::Robust)]);
            let options = PipelineOptions { per_column, ..PipelineOptions::default() };
            let train = TrainRows::for_test(vec![0, 1]);
            let error = Pipeline::fit(&table(TEXT, None).0, &train, &options).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn names_stay_apart_where_levels_are_called_like_them() {
        let (table, _) = table("c,c=a\na,1\nb,2\n,3\na,4\n", None);
        let pipeline =
            Pipeline::fit(&table, &TrainRows::for_test(vec![0, 1, 2, 3]), &PipelineOptions::default())
                .unwrap();
        assert_eq!(names(&pipeline), ["c=a", "c=b", "c=missing", "c=a'"]);
    }

    #[test]
    fn columns_without_training_cells_are_prepared_all_the_same() {
        let (table, _) = table("n,c,d\n,,\n,,\n2,a,2000-01-01\n3,b,2000-01-02\n", None);
        for scale in [Scale::Standard, Scale::MinMax, Scale::Robust, Scale::None] {
            let pipeline = Pipeline::fit(&table, &TrainRows::for_test(vec![0, 1]), &options(scale)).unwrap();
            pipeline.validate().unwrap();
            let (matrix, _) = pipeline.transform(&table, &[0, 1, 2, 3]).unwrap();
            assert!(matrix.iter().all(|x| x.is_finite()), "{scale:?}");
        }
    }

    #[test]
    fn what_cannot_be_fitted_or_applied_is_an_error() {
        let train = TrainRows::for_test(vec![0, 1]);
        let fit = |text: &str| Pipeline::fit(&table(text, None).0, &train, &PipelineOptions::default());
        let message = fit("n\n-1e308\n1e308\n").unwrap_err().to_string();
        assert!(message.contains("column `n`: its numbers are too large"), "{message}");
        assert!(fit("u\nx1\nx2\nx3\n").unwrap_err().to_string().contains("no column is left"));
        assert!(Pipeline::fit(&table("n\n1\n", None).0, &train, &PipelineOptions::default()).is_err());
        let pipeline = fit("n\n1\n2\n").unwrap();
        let mut schema = table("n\n1\n2\n", None).1;
        schema.columns[0].kind = ColumnKind::Category;
        let error = pipeline.transform(&table("n\n1\n", Some(&schema)).0, &[0]).unwrap_err();
        assert!(error.to_string().contains("expects the kind number, the table has category"), "{error}");
        let error = pipeline.transform(&table("m\n1\n", None).0, &[0]).unwrap_err();
        assert!(error.to_string().contains("lacks column `n`"), "{error}");
    }

    #[test]
    fn damaged_pipelines_are_refused() {
        let number = |scale: &str, column: &str| {
            format!(
                r#"{{"type":"number","column":"{column}","impute":0,"scaler":{{"center":0,"scale":{scale},"clip":false}},"indicator":false}}"#
            )
        };
        let category =
            |levels: &str| format!(r#"{{"type":"category","column":"c","levels":{levels},"missing":false}}"#);
        let read = |encoders: &[String]| {
            let saved = format!(r#"{{"encoders":[{}]}}"#, encoders.join(","));
            serde_json::from_str::<Pipeline>(&saved).map_err(|error| error.to_string())
        };
        read(&[number("1", "n"), category(r#"["a","b"]"#)]).unwrap();
        for (encoders, words) in [
            (vec![number("0", "n")], "above 0"),
            (vec![number("-1", "n")], "above 0"),
            (vec![number("1e999", "n")], "out of range"),
            (vec![number("null", "n")], "invalid type"),
            (vec![number("1", "n"), number("1", "n")], "twice"),
            (
                vec![number("1", "n").replace("\"indicator\":false}", "\"indicator\":false,\"bins\":[1,1]}")],
                "edges of its bins",
            ),
            (
                vec![number("1", "n").replace("\"indicator\":false}", "\"indicator\":false,\"bins\":[1]}")],
                "edges of its bins",
            ),
            (vec![category("[]").replace("false}", "false,\"coded\":true}")], "codes of no levels"),
            (vec![category(r#"["b","a"]"#)], "not sorted"),
            (vec![category(r#"["a","a"]"#)], "not sorted"),
            (vec![category("[]")], "no features"),
            (vec![], "no features"),
        ] {
            let message = read(&encoders).unwrap_err();
            assert!(message.contains(words), "{message}\n  lacks: {words}");
        }
    }
}
