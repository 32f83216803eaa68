//! `statera summary`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use statera::Error;
use statera::bag::Bag;
use statera::config::WeightKind;
use statera::data::TaskKind;
use statera::model::{Model, Params};
use statera::nn::{Layer, Network, View};
use statera::run::Plan;

use super::{load, text};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A run folder, a model file, or a configuration (*.toml) that names its table
    #[arg(value_name = "MODEL")]
    of: PathBuf,
    /// One setting of the configuration (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let of = &arguments.of;
    let text = if of.extension().is_some_and(|e| e == "toml") {
        let plan = Plan::new(load(Some(of), &arguments.sets)?)?;
        let (n, source) = (plan.pipeline.features().len(), text::path(&plan.raw.source));
        format!("{} made from {source}\n\n{}", text::counted(n, "input"), table(&plan.network))
    } else {
        if !arguments.sets.is_empty() {
            return Err(Error::setting(
                "--set says nothing of a model, which is as it was trained",
                "leave --set out, or give a configuration, as recipes/insurance.toml",
            )
            .into());
        }
        let bag = Bag::load(of).map_err(|error| match error {
            Error::Model(mut problem) if !of.exists() => {
                problem.remedy += "; or give a configuration, as recipes/insurance.toml";
                Error::Model(problem)
            }
            other => other,
        })?;
        let model = bag.first();
        let card = &model.card;
        let task = match card.target.task {
            TaskKind::Regression => "regression",
            TaskKind::Binary => "binary classification",
            TaskKind::Multiclass => "multiclass classification",
        };
        let folds = bag.members.iter().any(|model| model.card.provenance.n_train < bag.n_train);
        let trained = if folds { "trained on folds of" } else { "trained on" };
        let header = format!(
            "{task} of `{}`, {trained} {} by Statera {} with seed {}\n",
            card.target.column,
            text::counted(bag.n_train, "row"),
            card.provenance.statera,
            card.provenance.seed
        );
        let layers = table(&model.network) + &zeros(model) + &others(&bag);
        format!("{header}{}\n\n{layers}", text::counted(card.n_inputs, "input"))
    };
    write!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

/// The layers, their output shapes and parameters, and the totals, as Keras prints them.
fn table(network: &Network) -> String {
    let header = ["layer", "kind", "", "output shape", "parameters", "not trained"];
    let mut rows = vec![header.map(String::from).to_vec()];
    let (mut trainable, mut fixed) = (0, 0);
    for row in network.summary() {
        trainable += row.trainable;
        fixed += row.fixed;
        rows.push(vec![
            "  ".repeat(row.depth) + &row.name,
            row.kind.into(),
            row.detail,
            match row.n_members {
                1 => format!("(rows, {})", row.out_features),
                k => format!("(rows, {k}, {})", row.out_features / k),
            },
            text::count(row.trainable + row.fixed),
            text::count(row.fixed),
        ]);
    }
    let layers = text::table(&rows, &[false, false, false, false, true, true]);
    let totals = [
        vec!["Total parameters".into(), text::count(trainable + fixed)],
        vec!["Trainable".into(), text::count(trainable)],
        vec!["Not trainable".into(), text::count(fixed)],
    ];
    format!("{layers}\n{}", text::table(&totals, &[false, true]))
}

/// What is to be said of a bag besides its first member.
fn others(bag: &Bag) -> String {
    let n = bag.members.len();
    if n == 1 {
        return String::new();
    }
    let counts = || bag.members.iter().map(|model| model.network.n_params());
    let alike = counts().all(|count| count == bag.first().network.n_params());
    let inputs =
        if alike { "each" } else { "each with the inputs and layers that its own rows or settings ask for" };
    format!(
        "\nThe first of {n} networks, {inputs} with a preparation of its own; {} in all. The prediction is their mean.\n",
        text::counted(counts().sum(), "parameter")
    )
}

/// How many weights are binary, and how many exactly zero, as pruning, penalties and constraints leave them; nothing where
/// none is.
fn zeros(model: &Model) -> String {
    let is_weight = |view: &&View| view.trainable && view.decays;
    let weights = || model.network.views().iter().filter(is_weight).map(View::range);
    let zeros: usize = match &model.params {
        Params::F32(p) => weights().map(|range| p[range].iter().filter(|w| **w == 0.0).count()).sum(),
        Params::F64(p) => weights().map(|range| p[range].iter().filter(|w| **w == 0.0).count()).sum(),
    };
    let all: usize = weights().map(|range| range.len()).sum();
    let of_all = |n: usize| format!("{} of {}", text::count(n), text::counted(all, "weight"));
    let views = model.network.views().iter();
    let binary: usize = views.filter(|view| view.kind() == Some(WeightKind::Binary)).map(View::len).sum();
    let mut told = Vec::new();
    if binary > 0 {
        told.push(format!("{} are binary: a sign times a scale of each unit.\n", of_all(binary)));
    }
    if zeros > 0 {
        told.push(format!("{} are exactly 0.\n", of_all(zeros)));
    }
    if told.is_empty() { String::new() } else { format!("\n{}", told.concat()) }
}

/// A network in a few words: `dense 128 relu, dropout 0.1, residual (dense 128 relu), dense 1`.
pub(crate) fn in_words(network: &Network) -> String {
    let mut words = String::new();
    for layer in network.layers() {
        if let Layer::ResidualEnd(_) = layer {
            words.push(')');
            continue;
        }
        if !words.is_empty() && !words.ends_with('(') {
            words.push_str(", ");
        }
        match layer {
            Layer::ResidualBegin(_) => words.push_str("residual ("),
            Layer::Members(members) => words.push_str(&format!("{} members", members.count)),
            // Of an ensemble, what each member has.
            Layer::Dense(dense) => {
                words.push_str(&format!("dense {}", dense.out_features));
                if layer.detail() != "linear" {
                    words.push_str(&format!(" {}", layer.detail()));
                }
            }
            _ => {
                let detail = layer.detail();
                words.push_str(format!("{} {}", layer.kind(), detail.trim_start_matches("rate ")).trim_end());
            }
        }
    }
    words
}
