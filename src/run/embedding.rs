//! Which column enters the network how: the embedding layer that follows from the settings and the prepared columns.

use super::choice::Choice;
use crate::config::{
    CategoryEncoding, ColumnConfig, Config, EmbeddingSpec, Encode, LayerSpec, NumericEmbedding,
};
use crate::data::prepare::column::MOST_PLAIN_LEVELS;
use crate::data::words::{counted, listed};
use crate::data::{FeatureKind, FittedColumn, Pipeline};

/// The columns that are named one by one.
const MOST_NAMED: usize = 4;

/// The layer that embeds the columns of the pipeline, which was fitted under the same settings; none if all of them
/// enter the network as they are.
pub(crate) fn layer(config: &Config, pipeline: &Pipeline) -> Option<LayerSpec> {
    let settings = &config.embedding;
    let mut columns: Vec<EmbeddingSpec> = Vec::new();
    for feature in pipeline.features() {
        let column = feature.column.clone();
        let embedded = match feature.kind {
            FeatureKind::Number => {
                let set = config.data.columns.get(&column).and_then(|c| c.encode);
                settings.waves(settings.of_number(set), &column)
            }
            FeatureKind::Position { n_bins: bins } => {
                Some(EmbeddingSpec::Ple { column, bins, dimension: settings.dimension })
            }
            FeatureKind::Code { n_levels: levels } => {
                let dimension = settings.dimension_of_category(levels);
                Some(EmbeddingSpec::Table { column, levels, dimension })
            }
            FeatureKind::Part => None,
        };
        match (embedded, columns.last_mut()) {
            (Some(spec), _) => columns.push(spec),
            (None, Some(EmbeddingSpec::Plain { inputs })) => *inputs += 1,
            (None, _) => columns.push(EmbeddingSpec::Plain { inputs: 1 }),
        }
    }
    let is_plain = |spec: &EmbeddingSpec| matches!(spec, EmbeddingSpec::Plain { .. });
    (!columns.iter().all(is_plain)).then_some(LayerSpec::Embedding { columns })
}

/// What to tell of the embedding; nothing where none was asked for.
pub(super) fn choice(config: &Config, pipeline: &Pipeline) -> Option<Choice> {
    let settings = &config.embedding;
    let sets = |c: &ColumnConfig| !matches!(c.encode, None | Some(Encode::None | Encode::OneHot));
    if settings.numeric == NumericEmbedding::None
        && settings.categories == CategoryEncoding::OneHot
        && !config.data.columns.values().any(sets)
    {
        return None;
    }
    let subject = "embedding".to_owned();
    let Some(LayerSpec::Embedding { columns }) = layer(config, pipeline) else {
        let reason = idle(config, &[]).join("; ");
        return Some(Choice { subject, choice: "none".into(), reason, instead: String::new() });
    };
    let mut kinds: Vec<(&'static str, Vec<String>)> = Vec::new();
    let (mut n_columns, mut n_outputs) = (0, 0);
    let mut instead = String::new();
    for spec in &columns {
        let (kind, named) = match spec {
            EmbeddingSpec::Plain { .. } => continue,
            EmbeddingSpec::Table { column, levels, dimension } => {
                ("a vector for each category", format!("`{column}` ({levels} → {dimension})"))
            }
            EmbeddingSpec::Plr { column, dimension, .. } => ("plr", format!("`{column}` (→ {dimension})")),
            EmbeddingSpec::Pbld { column, dimension, .. } => ("pbld", format!("`{column}` (→ {dimension})")),
            EmbeddingSpec::Ple { column, bins, dimension: 0 } => ("ple", format!("`{column}` (→ {bins})")),
            EmbeddingSpec::Ple { column, bins, dimension } => {
                ("ple", format!("`{column}` ({bins} bins → {dimension})"))
            }
        };
        let plain = if matches!(spec, EmbeddingSpec::Table { .. }) { "one_hot" } else { "none" };
        if instead.is_empty() {
            instead = format!("--set data.columns.NAME.encode={plain}");
        }
        n_columns += 1;
        n_outputs += spec.n_outputs();
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, columns)) => columns.push(named),
            None => kinds.push((kind, vec![named])),
        }
    }
    let said = kinds.into_iter().map(|(kind, columns)| {
        let more = match columns.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        format!("{kind}: {}{more}", columns[..columns.len().min(MOST_NAMED)].join(", "))
    });
    let mut said: Vec<String> = said.collect();
    said.extend(idle(config, &columns));
    let wide = pipeline.columns().iter().filter(|column| column.is_too_wide()).map(FittedColumn::column);
    let wide: Vec<&str> = wide.collect();
    if !wide.is_empty() {
        let more = format!("the simple models beside the result go without {}", listed(wide.into_iter()));
        said.push(format!("{more}: more than {MOST_PLAIN_LEVELS} categories"));
    }
    let choice = format!("{} → {}", counted(n_columns, "column"), counted(n_outputs, "number"));
    Some(Choice { subject, choice, reason: said.join("; "), instead })
}

/// Which settings for all columns of a kind say nothing, as none is left to them.
fn idle(config: &Config, embedded: &[EmbeddingSpec]) -> Vec<String> {
    let settings = &config.embedding;
    let is_plain = |spec: &EmbeddingSpec| matches!(spec, EmbeddingSpec::Plain { .. });
    let is_table = |spec: &EmbeddingSpec| matches!(spec, EmbeddingSpec::Table { .. });
    let mut idle = Vec::new();
    let numeric = settings.numeric;
    if numeric != NumericEmbedding::None && !embedded.iter().any(|spec| !is_plain(spec) && !is_table(spec)) {
        idle.push(format!("embedding.numeric = {numeric} says nothing: there is no number column"));
    }
    if settings.categories == CategoryEncoding::Embedding && !embedded.iter().any(is_table) {
        let of_how_many = match settings.one_hot_up_to {
            0 => String::new(),
            n => format!(" of more than embedding.one_hot_up_to = {n} categories"),
        };
        idle.push(format!(
            "embedding.categories = embedding says nothing: there is no category column{of_how_many}"
        ));
    }
    if idle.is_empty() && embedded.is_empty() {
        idle.push("no column is of a kind that the settings embed".to_owned());
    }
    idle
}
