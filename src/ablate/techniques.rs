//! The techniques that a study tries by itself, and the values that its user names.

use serde::Serialize;
use toml::Value;

use super::{Variant, same_data};
use crate::config::{Activation, Config, Initializer, LayerSpec, OptimizerName, Task, keys, with_parametric};
use crate::data::{Pipeline, PipelineOptions};
use crate::error::{Error, Result, nearest};
use crate::nn::Layer;
use crate::run::{Plan, embedding, resample};

/// One thing that can be done otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Technique {
    /// In plain words.
    pub name: &'static str,
    /// The settings that make it, by their keys; several where one alone would be no fair trial.
    pub changes: &'static [(&'static str, Change)],
    /// Whether it means anything under these settings, in which no `auto` is left of task and loss.
    pub applies: fn(&Config) -> bool,
}

/// What becomes of a setting.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    /// This value, as it stands behind `--set key=`.
    To(&'static str),
    /// The reference's number, or each of its numbers, times this.
    Times(f64),
    /// A list as long as this, every item the reference's first.
    Length(usize),
}

use Change::{Length, Times, To};

fn always(_: &Config) -> bool {
    true
}

fn regression(config: &Config) -> bool {
    config.task == Task::Regression
}

fn classes(config: &Config) -> bool {
    !regression(config)
}

fn adamw(config: &Config) -> bool {
    config.optimizer.name == OptimizerName::Adamw
}

/// A technique that applies always.
const fn row(name: &'static str, changes: &'static [(&'static str, Change)]) -> Technique {
    Technique { name, changes, applies: always }
}

/// Every technique that is tried where it applies and changes something. A new one is a row.
#[rustfmt::skip]
pub static TECHNIQUES: &[Technique] = &[
    row("He weights", &[("network.initializer", To("he_normal"))]),
    row("Xavier weights", &[("network.initializer", To("xavier_normal"))]),
    row("LeCun weights", &[("network.initializer", To("lecun_normal"))]),
    row("orthogonal weights", &[("network.initializer", To("orthogonal"))]),
    row("LSUV weights", &[("network.initializer", To("lsuv"))]),
    row("units of variance 1", &[("network.initializer", To("unit_variance"))]),
    row("weights of std 0.01", &[("network.initializer", To("normal"))]),
    row("kinks at rows (he+5)", &[("network.bias_initializer", To("he_plus"))]),
    row("activation relu", &[("network.activation", To("relu"))]),
    row("activation leaky relu", &[("network.activation", To("leaky_relu"))]),
    row("activation gelu", &[("network.activation", To("gelu"))]),
    row("activation selu", &[("network.activation", To("selu"))]),
    row("activation tanh", &[("network.activation", To("tanh"))]),
    row("activation sigmoid", &[("network.activation", To("sigmoid"))]),
    row("parametric activation", &[("network.parametric_activation", To("true"))]),
    row("neural tangent weights", &[("network.parametrization", To("ntp"))]),
    row("no normalisation", &[("network.norm", To("none"))]),
    row("batch normalisation", &[("network.norm", To("batch"))]),
    row("layer normalisation", &[("network.norm", To("layer"))]),
    row("no dropout", &[("network.dropout", To("0"))]),
    row("dropout 0.1", &[("network.dropout", To("0.1"))]),
    row("dropout 0.2", &[("network.dropout", To("0.2"))]),
    row("dropout 0.5", &[("network.dropout", To("0.5"))]),
    row("drop connect 0.1", &[("network.drop_connect", To("0.1"))]),
    row("residual blocks", &[("network.residual", To("true"))]),
    row("noise 0.1 on inputs", &[("network.input_noise", To("0.1"))]),
    row("learned input scale", &[("network.input_scale", To("true"))]),
    row("ensemble of 8, tabm", &[("ensemble.kind", To("tabm")), ("ensemble.members", To("8"))]),
    row("8 tabm_mini members", &[("ensemble.kind", To("tabm_mini")), ("ensemble.members", To("8"))]),
    row("8 packed members", &[("ensemble.kind", To("packed")), ("ensemble.members", To("8"))]),
    row("half the width", &[("network.hidden", Times(0.5))]),
    row("double the width", &[("network.hidden", Times(2.0))]),
    row("1 hidden layer", &[("network.hidden", Length(1))]),
    row("3 hidden layers", &[("network.hidden", Length(3))]),
    // Adam's steps are as long as the learning rate, those of sgd shrink with the gradient: it is given more.
    Technique { applies: |c| c.optimizer.name != OptimizerName::Sgd, ..row("sgd at 10 × the rate", &[
        ("optimizer.name", To("sgd")), ("optimizer.learning_rate", Times(10.0)),
    ]) },
    row("adam", &[("optimizer.name", To("adam"))]),
    row("adamw", &[("optimizer.name", To("adamw"))]),
    row("nadam", &[("optimizer.name", To("nadam"))]),
    // The signs of lion and the orthogonal steps of muon have lengths of their own, to which the rate is fitted.
    Technique { applies: |c| c.optimizer.name != OptimizerName::Lion, ..row("lion at 0.2 × the rate", &[
        ("optimizer.name", To("lion")), ("optimizer.learning_rate", Times(0.2)),
    ]) },
    Technique { applies: |c| c.optimizer.name != OptimizerName::Muon, ..row("muon at 20 × the rate", &[
        ("optimizer.name", To("muon")), ("optimizer.learning_rate", Times(20.0)),
    ]) },
    row("schedule-free adamw", &[("optimizer.name", To("schedule_free_adamw"))]),
    row("lbfgs, no dropout", &[("network.dropout", To("0")), ("optimizer.name", To("lbfgs"))]),
    Technique { applies: adamw, ..row("no weight decay", &[("optimizer.weight_decay", To("0"))]) },
    Technique { applies: adamw, ..row("weight decay 0.1", &[("optimizer.weight_decay", To("0.1"))]) },
    row("L2 penalty 0.001", &[("optimizer.l2", To("0.001"))]),
    row("L1 penalty 0.001", &[("optimizer.l1", To("0.001"))]),
    row("norms of at most 3", &[("optimizer.constraint", To("max_norm"))]),
    row("norms of 1", &[("optimizer.constraint", To("unit_norm"))]),
    row("no weight below 0", &[("optimizer.constraint", To("non_negative"))]),
    row("gradients cut to 1", &[("train.clip_norm", To("1"))]),
    row("two batches a step", &[("train.accumulate", To("2"))]),
    row("ema of the weights", &[("average.kind", To("ema"))]),
    row("swa of the weights", &[("average.kind", To("swa"))]),
    row("binary weights", &[("weights.kind", To("binary"))]),
    row("80 % weights pruned", &[("weights.kind", To("sparse"))]),
    Technique { applies: classes, ..row("labels smoothed by 0.1", &[("loss.label_smoothing", To("0.1"))]) },
    Technique { applies: classes, ..row("balanced class weights", &[("loss.class_weights", To("balanced"))]) },
    Technique { applies: classes, ..row("focal loss", &[("loss.name", To("focal"))]) },
    Technique { applies: classes, ..row("SMOTE", &[("imbalance.kind", To("smote"))]) },
    Technique { applies: classes, ..row("SMOTE-NC", &[("imbalance.kind", To("smote_nc"))]) },
    Technique { applies: classes, ..row("rare rows repeated", &[("imbalance.kind", To("oversample"))]) },
    Technique { applies: classes, ..row("frequent rows left out", &[("imbalance.kind", To("undersample"))]) },
    row("jitter 0.1", &[("augment.jitter", To("0.1"))]),
    row("mixup 0.2", &[("augment.mixup", To("0.2"))]),
    row("noise 0.1 on labels", &[("noise.labels", To("0.1"))]),
    row("noise 0.02 on weights", &[("noise.weights", To("0.02"))]),
    row("noise on gradients", &[("noise.gradients", To("0.01"))]),
    row("easy rows first", &[("curriculum.by", To("loss"))]),
    row("learning rate × 0.3", &[("optimizer.learning_rate", Times(0.3))]),
    row("learning rate × 3", &[("optimizer.learning_rate", Times(3.0))]),
    row("cosine schedule", &[("schedule.name", To("cosine")), ("reduce_on_plateau.enabled", To("false"))]),
    row("one_cycle schedule", &[("schedule.name", To("one_cycle")), ("reduce_on_plateau.enabled", To("false"))]),
    row("flat_cos schedule", &[("schedule.name", To("flat_cos")), ("reduce_on_plateau.enabled", To("false"))]),
    row("coslog4 schedule", &[("schedule.name", To("coslog4")), ("reduce_on_plateau.enabled", To("false"))]),
    row("warm-up of 5 epochs", &[("schedule.warmup", To("5"))]),
    row("no learning rate cuts", &[("reduce_on_plateau.enabled", To("false"))]),
    row("batches of 16", &[("train.batch_size", To("16"))]),
    row("batches of 128", &[("train.batch_size", To("128"))]),
    row("rows never shuffled", &[("train.shuffle", To("false"))]),
    row("no early stopping", &[("early_stopping.enabled", To("false"))]),
    Technique { applies: regression, ..row("squared error as loss", &[("loss.name", To("mse"))]) },
    Technique { applies: regression, ..row("absolute error as loss", &[("loss.name", To("mae"))]) },
    Technique { applies: regression, ..row("huber as loss", &[("loss.name", To("huber"))]) },
    row("numbers as they are", &[("embedding.numeric", To("none"))]),
    row("numbers by plr", &[("embedding.numeric", To("plr"))]),
    row("numbers by pbld", &[("embedding.numeric", To("pbld"))]),
    row("numbers by ple", &[("embedding.numeric", To("ple"))]),
    row("categories one-hot", &[("embedding.categories", To("one_hot"))]),
    row("category vectors", &[("embedding.categories", To("embedding"))]),
    row("quantile scale", &[("prepare.scale", To("quantile"))]),
    row("yeo–johnson scale", &[("prepare.scale", To("yeo_johnson"))]),
    row("log scale", &[("prepare.scale", To("log"))]),
    row("target encoding", &[("prepare.categories", To("['target', 'standard']"))]),
    row("rare below 1 %", &[("prepare.categories", To("['rare', 'one_hot']"))]),
    row("missing by neighbours", &[("prepare.impute", To("knn"))]),
    row("min–max scale", &[("prepare.scale", To("min_max"))]),
    row("robust scale", &[("prepare.scale", To("robust"))]),
    Technique { applies: regression, ..row("log of the target", &[("prepare.target_scale", To("log"))]) },
    Technique { applies: regression, ..row("power of the target", &[("prepare.target_scale", To("yeo_johnson"))]) },
    Technique { applies: regression, ..row("quantile of the target", &[("prepare.target_scale", To("quantile"))]) },
    Technique { applies: regression, ..row("target not scaled", &[("prepare.target_scale", To("none"))]) },
];

impl Technique {
    /// The settings with this technique; none where it cannot be set.
    fn variant(&self, reference: &Config) -> Option<Variant> {
        let mut config = reference.clone();
        let mut settings = Vec::new();
        for (key, change) in self.changes {
            let listed = key.starts_with("network.") && !reference.network.layers.is_empty();
            if listed {
                config.network.layers = relayered(&reference.network.layers, key, *change)?;
                settings.push(("network.layers".to_owned(), literal(&config.network.layers)));
            } else {
                let value = changed(reference, key, *change)?;
                config = config.with(&[format!("{key}={value}")]).ok()?;
                settings.push(((*key).to_owned(), value));
            }
        }
        Some(Variant { name: self.name.to_owned(), settings, config })
    }
}

impl Technique {
    /// Whether a word stands in its name or in one of its settings.
    fn is_meant_by(&self, word: &str) -> bool {
        self.name.contains(word) || self.changes.iter().any(|(key, _)| key.contains(word))
    }
}

/// The techniques that apply to the planned reference and change something about it; of those alone that one of the words
/// of `only` means, if there are any.
pub(super) fn listed(reference: &Config, only: &[String], plan: &Plan) -> Result<Vec<Variant>> {
    if let Some(word) = only.iter().find(|word| !TECHNIQUES.iter().any(|t| t.is_meant_by(word))) {
        return Err(Error::setting(
            format!("--only {word}: no built-in technique has this in its name or settings"),
            nearest(word, TECHNIQUES.iter().map(|t| t.name)).map_or_else(
                || {
                    "--only dropout, or without it for all; --vary KEY=A,B compares values of any setting"
                        .to_owned()
                },
                |near| format!("--only '{near}'"),
            ),
        ));
    }
    let wanted = |t: &&Technique| only.is_empty() || only.iter().any(|word| t.is_meant_by(word));
    let applying = TECHNIQUES.iter().filter(wanted).filter(|t| (t.applies)(&plan.config));
    let variants = applying.filter_map(|t| t.variant(reference));
    // What a preparation makes of the table, and what an embedding makes of that.
    let prepared = |config: &Config| {
        let options = PipelineOptions::of(config);
        let target = Some(&plan.labels.target);
        let (pipeline, _) = Pipeline::fit_to_target(&plan.table, &plan.split.train, &options, target).ok()?;
        Some((embedding::layer(config, &pipeline), pipeline, config.prepare.target_scale))
    };
    let differs = |v: &Variant| {
        let mut others = reference.clone();
        (others.prepare, others.embedding) = (v.config.prepare.clone(), v.config.embedding.clone());
        if same_data(&v.config, &others) && !same_data(&v.config, reference) {
            // A table without numbers has none to scale or embed.
            return prepared(&v.config).is_some_and(|p| Some(p) != prepared(reference));
        }
        if v.config.imbalance != reference.imbalance {
            // What cannot be done on this table, and what makes no row and leaves none out, changes nothing.
            return plan.with_learner(v.config.clone()).is_ok_and(|plan| resample::changes(&plan));
        }
        !same_data(&v.config, reference)
            || plan.with_learner(v.config.clone()).is_ok_and(|p| trained_by(&p) != trained_by(plan))
    };
    Ok(variants.filter(differs).collect())
}

/// All that training depends on beside the rows, said in one way.
fn trained_by(plan: &Plan) -> (Config, Vec<LayerSpec>) {
    let mut layers = plan.network.specs().to_vec();
    let mut starts = plan.network.layers().iter().filter_map(|layer| match layer {
        Layer::Dense(dense) => Some(dense.starts_by()),
        _ => None,
    });
    resolve(&mut layers, &mut starts);
    let mut config = plan.config.clone();
    let defaults = Config::default();
    (config.network, config.ensemble) = (defaults.network, defaults.ensemble);
    (config, layers)
}

/// Gives each dense layer, in the order they are run in, the next of `starts`.
fn resolve(layers: &mut [LayerSpec], starts: &mut dyn Iterator<Item = Initializer>) {
    for layer in layers {
        match layer {
            LayerSpec::Dense { initializer, .. } => *initializer = starts.next().unwrap_or(*initializer),
            LayerSpec::Residual { layers } => resolve(layers, starts),
            _ => {}
        }
    }
}

/// The new value of a setting as it stands behind `--set key=`; none where the change means nothing.
fn changed(reference: &Config, key: &str, change: Change) -> Option<String> {
    let numbers = |change: &dyn Fn(&[usize]) -> Option<Vec<usize>>| {
        let changed = (key == "network.hidden").then(|| change(&reference.network.hidden))??;
        Some(literal(&changed))
    };
    match change {
        To(value) => Some(value.to_owned()),
        Times(factor) if key == "optimizer.learning_rate" => {
            // To the digits that people write, so that 0.001 × 3 is 0.003.
            let rate = format!("{:.6e}", reference.optimizer.learning_rate * factor).parse::<f64>().ok()?;
            Some(rate.to_string())
        }
        Times(factor) => numbers(&|hidden| Some(hidden.iter().map(|&n| scaled(n, factor)).collect())),
        Length(n) => numbers(&|hidden| Some(vec![*hidden.first()?; n])),
    }
}

fn scaled(units: usize, factor: f64) -> usize {
    ((units as f64 * factor).round() as usize).max(1)
}

/// A value as TOML on one line.
fn literal(value: &impl Serialize) -> String {
    Value::try_from(value).map_or_else(|e| e.to_string(), |value| value.to_string())
}

/// Layers that are listed one by one, changed as the short form `key` would be; none where it means nothing.
fn relayered(layers: &[LayerSpec], key: &str, change: Change) -> Option<Vec<LayerSpec>> {
    let mut layers = layers.to_vec();
    let is_dropout = |layer: &LayerSpec| matches!(layer, LayerSpec::Dropout { .. });
    let is_norm =
        |layer: &LayerSpec| matches!(layer, LayerSpec::BatchNorm { .. } | LayerSpec::LayerNorm { .. });
    let drops = layers.iter().any(|layer| layer.any(&is_dropout));
    let is_normed = layers.iter().any(|layer| layer.any(&is_norm));
    match (key, change) {
        ("network.initializer", To(_)) => {
            let start: Initializer = start_of(key, change)?.network.initializer;
            each(&mut layers, &|list| {
                for layer in list {
                    if let LayerSpec::Dense { initializer, .. } = layer {
                        *initializer = start;
                    }
                }
            });
        }
        ("network.bias_initializer", To(_)) => {
            let start = start_of(key, change)?.network.bias_initializer;
            each(&mut layers, &|list| {
                for layer in list {
                    if let LayerSpec::Dense { bias: true, bias_initializer, .. } = layer {
                        *bias_initializer = start;
                    }
                }
            });
        }
        ("network.activation", To(_)) => {
            let wanted = start_of(key, change)?.network.activation;
            // The slope of the function before says nothing of this one.
            let dense = LayerSpec::dense(1, wanted, Initializer::Auto);
            let LayerSpec::Dense { slope: usual, .. } = dense else { return None };
            each(&mut layers, &|list| {
                for layer in list {
                    if let LayerSpec::Dense { activation: f, slope, .. }
                    | LayerSpec::Activation { function: f, slope }
                    | LayerSpec::ParametricActivation { function: f, slope, .. } = layer
                        && *f != Activation::Linear
                    {
                        (*f, *slope) = (wanted, usual);
                    }
                }
            });
        }
        ("network.parametrization", To(_)) => {
            let wanted = start_of(key, change)?.network.parametrization;
            each(&mut layers, &|list| {
                for layer in list {
                    if let LayerSpec::Dense { parametrization, .. } = layer {
                        *parametrization = wanted;
                    }
                }
            });
        }
        ("network.parametric_activation", To("true")) => {
            each(&mut layers, &|list| {
                *list = std::mem::take(list).into_iter().flat_map(with_parametric).collect();
            });
        }
        ("network.dropout", To(_)) => {
            let wanted = start_of(key, change)?.network.dropout;
            each(&mut layers, &|list| {
                if wanted == 0.0 {
                    list.retain(|layer| !is_dropout(layer));
                } else if drops {
                    for layer in list {
                        if let LayerSpec::Dropout { rate } = layer {
                            *rate = wanted;
                        }
                    }
                } else {
                    after_each_dense(list, &LayerSpec::Dropout { rate: wanted });
                }
            });
        }
        ("network.drop_connect", To(_)) => {
            let wanted = start_of(key, change)?.network.drop_connect;
            each(&mut layers, &|list| {
                for layer in list {
                    if let LayerSpec::Dense { drop_connect, .. } = layer {
                        *drop_connect = wanted;
                    }
                }
            });
        }
        ("network.input_noise", To(_)) => {
            let wanted = start_of(key, change)?.network.input_noise;
            match &mut layers[0] {
                LayerSpec::GaussianNoise { std } => *std = wanted,
                _ => layers.insert(0, LayerSpec::GaussianNoise { std: wanted }),
            }
        }
        ("network.input_scale", To("true")) if !matches!(layers[0], LayerSpec::Scale { .. }) => {
            layers.insert(0, LayerSpec::scale());
        }
        ("network.norm", To("none")) => each(&mut layers, &|list| list.retain(|layer| !is_norm(layer))),
        ("network.norm", To("batch")) if !is_normed => {
            each(&mut layers, &|list| after_each_dense(list, &LayerSpec::batch_norm()));
        }
        ("network.norm", To("layer")) if !is_normed => {
            each(&mut layers, &|list| after_each_dense(list, &LayerSpec::layer_norm()));
        }
        ("network.hidden", Times(factor)) => each(&mut layers, &|list| {
            for layer in list {
                if let LayerSpec::Dense { units, .. } = layer {
                    *units = scaled(*units, factor);
                }
            }
        }),
        _ => return None,
    }
    // A block of which nothing is left is left out, and so is one around it of which then nothing is left.
    let is_hollow = |layer: &LayerSpec| !layer.any(&|inner| !matches!(inner, LayerSpec::Residual { .. }));
    each(&mut layers, &|list| list.retain(|layer| !is_hollow(layer)));
    // Without a layer the list would stand for the short forms.
    (!layers.is_empty()).then_some(layers)
}

/// Changes a list of layers and those of the blocks in it.
fn each(layers: &mut Vec<LayerSpec>, change: &dyn Fn(&mut Vec<LayerSpec>)) {
    LayerSpec::change_lists(layers, &mut |list| change(list));
}

/// The defaults with one setting changed, to read its value from.
fn start_of(key: &str, change: Change) -> Option<Config> {
    let To(value) = change else { return None };
    Config::default().with(&[format!("{key}={value}")]).ok()
}

fn after_each_dense(layers: &mut Vec<LayerSpec>, added: &LayerSpec) {
    let with = |layer: LayerSpec| {
        let more = matches!(layer, LayerSpec::Dense { .. }).then(|| added.clone());
        std::iter::once(layer).chain(more)
    };
    *layers = std::mem::take(layers).into_iter().flat_map(with).collect();
}

/// Settings that say which rows are judged, or nothing about training.
const FIXED: [&str; 11] = [
    "seed",
    "threads",
    "task",
    "data.path",
    "data.also",
    "data.target",
    "split.val",
    "split.test",
    "split.column",
    "split.stratify",
    "evaluate.",
];

/// The variants that `--vary key=value,value` asks for.
pub(super) fn varied(reference: &Config, vary: &[String]) -> Result<Vec<Variant>> {
    let mut variants = Vec::new();
    for asked in vary {
        let (key, values) = asked.split_once('=').map_or((asked.as_str(), ""), |(k, v)| (k.trim(), v.trim()));
        let values = items(values);
        if key.is_empty() || values.iter().any(String::is_empty) {
            let key = if key.is_empty() { "train.batch_size" } else { key };
            let shown = match keys::find(key).or_else(|| nearest_key(key)) {
                Some(known) => format!("--vary {}=A,B", known.path),
                None => "--vary train.batch_size=16,64".to_owned(),
            };
            return Err(Error::setting(format!("--vary `{asked}`: expected key=value,value"), shown));
        }
        let key = whole_key(key);
        if FIXED.iter().any(|fixed| key == *fixed || (fixed.ends_with('.') && key.starts_with(fixed))) {
            return Err(Error::setting(
                format!("--vary {key}: all variants are trained and judged on the same rows and seeds"),
                format!("--set {key}={} for the study as a whole", values[0]),
            ));
        }
        for value in values {
            let set = format!("{key}={value}");
            let config = reference.with(std::slice::from_ref(&set)).map_err(|error| as_vary(&set, error))?;
            let settings = vec![(key.to_owned(), value.clone())];
            if variants.iter().any(|v: &Variant| v.settings == settings) {
                return Err(Error::setting(
                    format!(
                        "--vary {key}: {value} is named twice, and would be trained twice with the same result"
                    ),
                    format!("--vary {key}={value} once"),
                ));
            }
            variants.push(Variant { name: format!("{key} = {value}"), settings, config });
        }
    }
    Ok(variants)
}

/// The setting that a shortened key stands for: the only one of this name, or the only one whose name begins so; the key
/// itself otherwise.
fn whole_key(key: &str) -> &str {
    if key.contains('.') || keys::find(key).is_some() {
        return key;
    }
    for exact in [true, false] {
        let mut found = keys::KEYS
            .iter()
            .filter(|known| if exact { known.name() == key } else { known.name().starts_with(key) });
        if let (Some(known), None) = (found.next(), found.next()) {
            return known.path;
        }
    }
    key
}

fn nearest_key(key: &str) -> Option<&'static keys::Key> {
    keys::find(nearest(key, keys::KEYS.iter().map(|key| key.path))?)
}

/// The error of a setting, said of the option that it stands in.
fn as_vary(set: &str, error: Error) -> Error {
    match error {
        Error::Setting(problem) => {
            let what = problem.what.strip_prefix(&format!("--set {set}: ")).unwrap_or(&problem.what);
            // Another setting than the one that varies is that of the study as a whole.
            let key = set.split('=').next().unwrap_or_default();
            let remedy = problem.remedy.replace(&format!("--set {key}="), &format!("--vary {key}="));
            Error::setting(format!("--vary {set}: {what}"), remedy)
        }
        other => other,
    }
}

/// The parts of a text between commas that stand outside of brackets and quotes.
pub fn items(text: &str) -> Vec<String> {
    let (mut parts, mut depth, mut quote) = (vec![String::new()], 0_usize, None);
    for c in text.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' => quote = Some(c),
                '[' | '{' => depth += 1,
                ']' | '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    parts.push(String::new());
                    continue;
                }
                _ => {}
            },
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cut_at_commas_outside_of_brackets_and_quotes() {
        assert_eq!(items("a,b , c"), ["a", "b", "c"]);
        assert_eq!(items("[64],[64, 32],[]"), ["[64]", "[64, 32]", "[]"]);
        assert_eq!(items("{name='normal', std=0.1},'a,b'"), ["{name='normal', std=0.1}", "'a,b'"]);
        assert_eq!(items("a,,b"), ["a", "", "b"]);
        assert_eq!(items("]],a"), ["]]", "a"]);
    }

    /// Every row can be set, over the defaults as over layers that are listed one by one.
    #[test]
    fn every_technique_can_be_set() {
        let mut ours = Config::default();
        let mut layers = ours.expanded_layers();
        layers.insert(0, LayerSpec::batch_norm());
        let listed = ours.with(&[format!("network.layers={}", literal(&layers))]).unwrap();
        ours.optimizer.name = OptimizerName::Sgd;
        for technique in TECHNIQUES {
            // What means nothing beside sgd means something beside the default.
            let ours = if technique.variant(&ours).is_some() { ours.clone() } else { Config::default() };
            let variant = technique.variant(&ours).unwrap_or_else(|| panic!("{}", technique.name));
            let sets: Vec<String> = variant.settings.iter().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!(ours.with(&sets).unwrap(), variant.config, "{}", technique.name);
            assert!(!variant.settings.is_empty() && technique.name.chars().count() <= 22);
            if let Some(variant) = technique.variant(&listed) {
                let sets: Vec<String> = variant.settings.iter().map(|(k, v)| format!("{k}={v}")).collect();
                assert_eq!(listed.with(&sets).unwrap(), variant.config, "{}", technique.name);
            }
        }
        let mut names: Vec<&str> = TECHNIQUES.iter().map(|t| t.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TECHNIQUES.len());
    }

    #[test]
    fn listed_layers_are_changed_as_short_forms_are() {
        let dense = |f| LayerSpec::dense(8, f, Initializer::Auto);
        let layers = [dense(Activation::Relu), LayerSpec::Dropout { rate: 0.5 }, dense(Activation::Linear)];
        let to = |key, value| relayered(&layers, key, To(value));
        assert_eq!(to("network.dropout", "0").unwrap(), [layers[0].clone(), layers[2].clone()]);
        assert_eq!(to("network.dropout", "0.1").unwrap()[1], LayerSpec::Dropout { rate: 0.1 });
        assert_eq!(to("network.norm", "none").unwrap(), layers);
        assert_eq!(to("network.norm", "batch").unwrap().len(), 5);
        let tanh = to("network.activation", "tanh").unwrap();
        assert_eq!([&tanh[0], &tanh[2]], [&dense(Activation::Tanh), &dense(Activation::Linear)]);
        assert_eq!(relayered(&layers, "network.hidden", Length(3)), None);
        assert_eq!(relayered(&[LayerSpec::batch_norm()], "network.norm", To("none")), None);
    }
}
