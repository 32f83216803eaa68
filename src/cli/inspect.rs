//! `statera inspect`

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use statera::ablate::items;
use statera::bag::Bag;
use statera::config::Config;
use statera::data::RawTable;
use statera::error::Error;
use statera::files::write_atomically;
use statera::inspect::figure;
use statera::inspect::kinds::costs;
use statera::inspect::start::{self, LayerScale, Start, StartReport};
use statera::inspect::units::{self, Finding, LayerReport, Units};
use statera::inspect::weights::{Tensor, bars, of_model};
use statera::model::{MODEL_FILE, Model};
use statera::run::{Folds, Plan};

use super::reading::{Learning, Reading};
use super::{Settings, kinds, text, within};

const AFTER_HELP: &str = "\
Of a model: for each tensor its smallest and largest number, mean, standard deviation, share of
exact zeros, length (the root of the sum of squares) and a histogram from smallest to largest.

Then for each layer, on the training rows of the run or on the rows of DATA (at most 4,096), with
dropout and noise off: the size of the outputs, how far they spread over the rows, the size of the
gradient of the weights, and how many units are dead (no gradient passes for any row) or saturated
(on the flat parts of their activation for 95 % of the rows). What is wrong, such as a quarter of a
layer's units being dead, is named with the layer and with what may help.

Of binary and sparse weights besides: their bytes in the file and the microseconds of their product, beside
continuous weights of the same shape, measured on this machine. With --twin DATA, the table that the run was
trained on, a continuous twin is trained with the same settings, seed and split, and both are tested.

With --init, before any training: for each initialiser and layer the size of the outputs, how far
they spread over the rows, and the size of the gradient of the weights, on up to 256 training rows,
with dropout and noise off. What vanishes or explodes is named with the layer, and if one of the
initialisers, a normalisation or relu cures it, with the setting to paste.

Exit codes: 0 done, warnings or not; 1 failed; 2 wrong use.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// A run folder or a model file; with --init the table (or set data.path)
    #[arg(value_name = "MODEL")]
    of: Option<PathBuf>,
    /// A table with the target column, to look at the layers on; by default the run's training rows
    #[arg(value_name = "DATA", conflicts_with = "init")]
    data: Option<PathBuf>,
    /// Of a bag of several networks, which one to look at, from 1 on
    #[arg(long, value_name = "NUMBER", conflicts_with = "init")]
    member: Option<usize>,
    /// Show the start of a network on a table, before any training
    #[arg(long)]
    init: bool,
    /// Train the continuous twin of a run on its table, and compare the two in the test metrics
    #[arg(long, value_name = "DATA", conflicts_with = "init")]
    twin: Option<PathBuf>,
    /// The column to predict (or set data.target)
    #[arg(long, value_name = "COLUMN", requires = "init")]
    target: Option<String>,
    /// The initialisers to compare with the one that is set
    #[arg(long, value_name = "A,B", requires = "init")]
    initializers: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// The seed of split and weights
    #[arg(long, requires = "init", value_parser = within::<u64>("seed"), allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Draw the layers into FILE: sizes, spreads, gradients, and units that no longer learn
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print all figures as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let is_svg = |path: &PathBuf| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("svg"));
    if let Some(path) = arguments.svg.as_ref().filter(|path| !is_svg(path)) {
        let what =
            format!("--svg {}: what is drawn is SVG, and the name does not end in .svg", text::path(path));
        return Err(Error::setting(what, format!("--svg {}", text::path(&path.with_extension("svg")))).into());
    }
    if arguments.init {
        return init(arguments);
    }
    let Some(of) = &arguments.of else {
        let remedy = "give a run folder such as runs/insurance-1, or --init and a table";
        return Err(Error::setting("no model is named", remedy).into());
    };
    if arguments.settings.config.is_some() || !arguments.settings.sets.is_empty() {
        let what = "--config and --set say nothing of a model, which is as it was trained";
        return Err(Error::setting(what, "leave them out, or add --init and name a table").into());
    }
    let bag = Bag::load(of)?;
    let i = member(&bag, arguments.member)?;
    let model = &bag.members[i];
    let tensors = of_model(model);
    let layers = layers(of, arguments.data.as_deref(), &bag, i)?;
    if let Some(path) = &arguments.svg {
        let Some((_, report)) = &layers else {
            let what = "there are no layers to draw without rows to look at them on";
            return Err(Error::setting(what, "statera inspect MODEL DATA --svg FILE").into());
        };
        write_atomically(path, figure::of_layers(report).as_bytes())?;
    }
    let (costs, file_bytes) = costs(model, of)?;
    if bag.members.len() > 1 && arguments.twin.is_some() {
        let what = "the model is a bag of folds, and a twin is trained on a single split";
        return Err(Error::setting(what, "leave --twin out, or train with --set split.folds=0").into());
    }
    if costs.is_empty() && arguments.twin.is_some() {
        let what = "the model has continuous weights in all layers, so it is its own twin";
        return Err(Error::setting(what, "leave --twin out, or train with --set weights.kind=binary").into());
    }
    let twin = arguments.twin.as_deref().map(|data| kinds::twin_of(model, of, data)).transpose()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let report = layers.as_ref().map(|(_, report)| report);
        let mut all = serde_json::json!({ "tensors": tensors, "layers": report });
        if !costs.is_empty() {
            all["kinds"] = serde_json::json!({ "weights": costs, "file_bytes": file_bytes });
        }
        if let Some(twin) = &twin {
            all["twin"] = kinds::twin_json(twin);
        }
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
    } else {
        write!(out, "{}", table(&tensors))?;
        if let Some((rows, report)) = &layers {
            write!(out, "\n{}", trained(rows, report))?;
        }
        if !costs.is_empty() {
            write!(out, "\n{}", kinds::described(&costs, file_bytes))?;
        }
        match &twin {
            Some(twin) => write!(out, "{}", kinds::compared(twin))?,
            None if !costs.is_empty() && bag.members.len() == 1 => {
                write!(out, "\n{}", text::wrap(&kinds::hint(model, of), 0))?;
            }
            None => {}
        }
    }
    out.flush()?;
    let findings: Vec<&Finding> = layers.iter().flat_map(|(_, report)| &report.findings).collect();
    for (i, finding) in findings.iter().enumerate() {
        let trouble = &finding.trouble;
        text::note(text::wrap(&format!("warning: {}: {}", trouble.layer, trouble.words()), 0).trim_end());
        // What helps against one helps against those like it.
        if findings.get(i + 1).is_none_or(|next| next.remedy != finding.remedy) {
            text::note(text::wrap(&format!("try: {}", finding.remedy), 2).trim_end());
        }
    }
    for tensor in tensors.iter().filter(|t| t.figures.not_finite > 0) {
        let n = text::counted(tensor.figures.not_finite, "number");
        text::note(&format!("warning: {}: {n} not finite", tensor.name));
    }
    Ok(())
}

/// The member to look at, from 0 on; of several the first, with a note, unless one is `wanted`.
fn member(bag: &Bag, wanted: Option<usize>) -> Result<usize, Error> {
    let n = bag.members.len();
    match wanted {
        Some(number) if (1..=n).contains(&number) => Ok(number - 1),
        Some(number) => Err(Error::setting(
            format!("--member {number}: the model has {}", text::counted(n, "member")),
            format!("--member {n}"),
        )),
        None => {
            if n > 1 {
                text::note(&format!(
                    "note: a bag of {n} networks, of which this is the first; --member 2 shows the next"
                ));
            }
            Ok(0)
        }
    }
}

/// The layers of a model on the rows of `data`, or else on the training rows of its run; with what the rows are called.
///
/// Without either there is a note in place of them.
fn layers(
    of: &Path,
    data: Option<&Path>,
    bag: &Bag,
    i: usize,
) -> anyhow::Result<Option<(String, LayerReport)>> {
    let model: &Model = &bag.members[i];
    let on_all = |raw: &RawTable| -> Result<LayerReport, Error> {
        let labels = model.labels(raw)?;
        units::report(model, raw, &labels, &labels.rows)
    };
    if let Some(data) = data {
        let raw = Reading::default().table(bag.first(), &[data.to_owned()])?;
        return Ok(Some((format!(" of {}", text::path(data)), on_all(&raw)?)));
    }
    let give = "give a table with the target column to see its layers on: statera inspect MODEL DATA";
    let settings = of.join("config.toml");
    if !settings.is_file() {
        text::note(&format!(
            "note: {} is no run folder, so the layers are not shown; {give}",
            text::path(of)
        ));
        return Ok(None);
    }
    let on_training_rows = || -> Result<LayerReport, Error> {
        let config = Config::load(Some(&settings), &[])?;
        if config.data.path == Path::new("-") {
            return Err(Error::data("the table was read from standard input", give));
        }
        let plan = match config.split.folds {
            0 => Plan::new(config)?,
            _ => Folds::new(config)?.plans.swap_remove(i),
        };
        if plan.raw.sha256 != model.card.provenance.data_sha256 {
            let what = format!("{} has changed since the training", text::path(&plan.raw.source));
            return Err(Error::data(what, give));
        }
        units::report(model, &plan.raw, &plan.labels, plan.split.train.rows())
    };
    match on_training_rows() {
        Ok(report) => Ok(Some((" of training".into(), report))),
        Err(error) => {
            let why = error.to_string();
            let why = why.lines().next().unwrap_or_default();
            text::note(text::wrap(&format!("note: the layers are not shown: {why}; {give}"), 0).trim_end());
            Ok(None)
        }
    }
}

/// A line for each layer of a trained network.
fn trained(rows: &str, report: &LayerReport) -> String {
    let n = text::counted(report.n_rows, "row");
    let mut out = format!("The layers on {n}{rows}, dropout and noise off; root mean squares\n");
    let header = ["layer", "", "outputs", "spread", "gradient", "units", "dead", "saturated"];
    let mut lines = vec![header.map(String::from).to_vec()];
    for layer in &report.layers {
        let s = &layer.scale;
        let count = |of: fn(&Units) -> usize| layer.units.map_or(String::new(), |u| text::count(of(&u)));
        lines.push(vec![
            s.name.clone(),
            s.kind.clone(),
            scale(s.outputs),
            scale(s.spread),
            s.gradient.map_or(String::new(), scale),
            count(|u| u.n),
            count(|u| u.dead),
            count(|u| u.saturated),
        ]);
    }
    out += &text::table(&lines, &[false, false, true, true, true, true, true, true]);
    out
}

/// A line for each tensor.
fn table(tensors: &[Tensor]) -> String {
    let header = ["tensor", "shape", "min", "max", "mean", "std", "zeros", "norm", "histogram"];
    let mut rows = vec![header.map(String::from).to_vec()];
    for t in tensors {
        let f = &t.figures;
        let shape: Vec<String> = t.shape.iter().map(ToString::to_string).collect();
        let largest = f.min.abs().max(f.max.abs());
        let number = |x: f64| text::number_beside(x, largest);
        rows.push(vec![
            t.name.clone(),
            shape.join("×"),
            number(f.min),
            number(f.max),
            number(f.mean),
            number(f.std),
            format!("{:.1} %", 100.0 * f.zeros as f64 / f.n.max(1) as f64),
            text::number(f.norm),
            bars(&f.histogram),
        ]);
    }
    let right = [false, true, true, true, true, true, true, true, false];
    text::table(&rows, &right)
}

fn init(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(run) = arguments.of.as_ref().filter(|of| of.join(MODEL_FILE).is_file()) {
        let what =
            format!("{} is a run that is trained, and --init shows a start before training", text::path(run));
        return Err(Error::setting(what, "leave --init out, or name the table").into());
    }
    let data: Vec<PathBuf> = arguments.of.iter().cloned().collect();
    let (learning, target) = (Learning::default(), arguments.target.as_deref());
    let plan = Plan::new(arguments.settings.load_for(&data, &learning, target, arguments.seed)?)?;
    let names = match &arguments.initializers {
        None => start::TRIED.map(String::from).to_vec(),
        Some(names) => items(names),
    };
    let report = start::report(&plan, &names)?;
    if let Some(path) = &arguments.svg {
        write_atomically(path, figure::of_starts(&report).as_bytes())?;
    }
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        write!(out, "{}", described(&plan, &report))?;
    }
    out.flush()?;
    for trouble in &report.starts[0].troubles {
        text::note(text::wrap(&format!("warning: {}: {}", trouble.layer, trouble.words()), 0).trim_end());
    }
    if let Some(remedy) = &report.remedy {
        text::note(&format!("  try: {remedy}"));
    }
    Ok(())
}

/// One of the figures of a layer.
type Figure = fn(&LayerScale) -> Option<f64>;

fn described(plan: &Plan, report: &StartReport) -> String {
    let mut out = format!(
        "The start on {}, seed {}, dropout and noise off; root mean squares\n",
        text::counted(report.n_rows, "training row"),
        report.seed
    );
    let automatic: Vec<Vec<String>> = plan
        .choices
        .iter()
        .filter(|choice| choice.subject == "start")
        .map(|choice| vec!["as set".into(), choice.choice.clone(), choice.reason.clone()])
        .collect();
    if !automatic.is_empty() {
        out += "\n";
        out += &text::wrapped_table(&automatic);
    }
    let inputs = report.starts[0].inputs;
    let figures: [(String, Figure); 3] = [
        (format!("Outputs of the layers (inputs: {})", scale(inputs)), |l| Some(l.outputs)),
        ("Spread of the outputs over the rows, about the mean of each unit".into(), |l| Some(l.spread)),
        ("Gradient of the weights, as a share of that of the network's outputs".into(), |l| l.gradient),
    ];
    for (title, figure) in figures {
        let _ = writeln!(out, "\n{title}");
        out += &by_layer(&report.starts, figure);
    }
    let verdict = |start: &Start| {
        let told: Vec<String> =
            start.troubles.iter().map(|t| format!("{}: {}", t.layer, t.words())).collect();
        let told =
            if told.is_empty() { "nothing vanishes, nothing explodes".into() } else { told.join("; ") };
        vec![start.initializer.clone(), told]
    };
    out += "\n";
    out + &text::wrapped_table(&report.starts.iter().map(verdict).collect::<Vec<_>>())
}

/// A row for each layer that has the figure, a column for each initialiser; several tables where one is too wide.
fn by_layer(starts: &[Start], figure: Figure) -> String {
    const MOST: usize = 4;
    let mut out = String::new();
    for part in starts.chunks(MOST) {
        let mut rows = vec![vec!["layer".to_owned(), String::new()]];
        rows[0].extend(part.iter().map(|start| text::name(&start.initializer)));
        for (i, layer) in part[0].layers.iter().enumerate().filter(|(_, l)| figure(l).is_some()) {
            let mut row = vec![layer.name.clone(), layer.kind.clone()];
            row.extend(part.iter().map(|start| figure(&start.layers[i]).map_or(String::new(), scale)));
            rows.push(row);
        }
        let right: Vec<bool> = (0..part.len() + 2).map(|column| column > 1).collect();
        out += &text::table(&rows, &right);
    }
    out
}

/// A size to two or three digits, whatever its order.
fn scale(x: f64) -> String {
    match x.abs() {
        0.0 => "0".into(),
        size if (0.01..1.0).contains(&size) => format!("{x:.3}"),
        size if (1.0..1000.0).contains(&size) => format!("{x:.2}"),
        _ => format!("{x:.1e}"),
    }
}
