//! Pictures of trouble: sizes, spreads and gradients layer by layer, and the units that no longer learn, as SVG.

use std::fmt::Write as _;

use super::start::{LEAST_GRADIENT, LEAST_SPREAD, LayerScale, MOST_GRADIENT, MOST_OUTPUT, StartReport};
use super::units::{LayerReport, Units};
use crate::svg::{escaped, text};

const WIDTH: f64 = 980.0;
/// Top and height of the panels, and the room between them.
const TOP: f64 = 118.0;
const HEIGHT: f64 = 250.0;
const GAP: f64 = 58.0;
/// From one line of the legend to the next.
const LINE: f64 = 20.0;
/// Powers of ten that a panel shows, at most: what lies beyond is drawn at its edge, which is marked.
const SHOWN: [f64; 2] = [-20.0, 12.0];
/// A colour a line, told apart by people who see red and green alike (Okabe & Ito 2008), and then dashed.
const COLOURS: [&str; 7] = ["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// A figure of each layer, for one start or more.
struct Panel {
    title: &'static str,
    layers: Vec<String>,
    /// A line for each name; none where a layer has no such figure.
    lines: Vec<Vec<f64>>,
    /// Below the first and above the second lies trouble.
    sound: [Option<f64>; 2],
}

/// What several initialisers make of a network before training: outputs, their spread and gradients by layer.
pub fn of_starts(report: &StartReport) -> String {
    let names: Vec<&str> = report.starts.iter().map(|start| start.initializer.as_str()).collect();
    let inputs = report.starts[0].inputs;
    let panel = |title, figure: fn(&LayerScale) -> Option<f64>, sound| {
        let kept = |layer: &&LayerScale| figure(layer).is_some();
        Panel {
            title,
            layers: report.starts[0].layers.iter().filter(kept).map(|layer| short(&layer.name)).collect(),
            lines: report.starts.iter().map(|s| s.layers.iter().filter_map(figure).collect()).collect(),
            sound,
        }
    };
    let panels = [
        panel("size of the outputs", |l| Some(l.outputs), [None, Some(MOST_OUTPUT * inputs.max(1.0))]),
        panel("their spread over the rows", |l| Some(l.spread), [Some(LEAST_SPREAD * inputs), None]),
        panel("gradient of the weights", |l| l.gradient, [Some(LEAST_GRADIENT), Some(MOST_GRADIENT)]),
    ];
    let subtitle = format!(
        "{} training rows, seed {}, before any training; root mean squares, gradients as shares of that of the outputs",
        report.n_rows, report.seed
    );
    draw("How a network starts, layer by layer", &subtitle, &names, &panels, &[])
}

/// What has become of the layers of a trained network, and how many of their units are dead or saturated.
pub fn of_layers(report: &LayerReport) -> String {
    let all: Vec<&LayerScale> = report.layers.iter().map(|layer| &layer.scale).collect();
    let panel = |title, figure: fn(&LayerScale) -> Option<f64>, sound| {
        let kept: Vec<(&&LayerScale, f64)> = all.iter().filter_map(|l| Some((l, figure(l)?))).collect();
        Panel {
            title,
            layers: kept.iter().map(|(layer, _)| short(&layer.name)).collect(),
            lines: vec![kept.iter().map(|(_, figure)| *figure).collect()],
            sound,
        }
    };
    let inputs = report.inputs;
    let panels = [
        panel("spread of the outputs", |l| Some(l.spread), [Some(LEAST_SPREAD * inputs), None]),
        panel("gradient of the weights", |l| l.gradient, [Some(LEAST_GRADIENT), Some(MOST_GRADIENT)]),
    ];
    let units: Vec<(String, Units)> =
        report.layers.iter().filter_map(|l| Some((short(&l.scale.name), l.units?))).collect();
    let subtitle = format!(
        "on {} rows, dropout and noise off; root mean squares, gradients as shares of that of the outputs",
        report.n_rows
    );
    draw("The layers of a trained network", &subtitle, &[], &panels, &units)
}

/// `layers.3.0` as `3.0`.
fn short(name: &str) -> String {
    name.strip_prefix("layers.").unwrap_or(name).to_owned()
}

fn draw(title: &str, subtitle: &str, names: &[&str], panels: &[Panel], units: &[(String, Units)]) -> String {
    // Further lines of the legend push the panels down.
    let lower = places(names).last().map_or(0.0, |([_, y], _)| y - 66.0);
    let height = TOP + HEIGHT + 52.0 + lower;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"12\" fill=\"#1f2328\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        escaped(title)
    );
    text(&mut svg, [16.0, 26.0], "start", "font-size=\"16\" font-weight=\"600\"", title);
    text(&mut svg, [16.0, 46.0], "start", "fill=\"#57606a\"", subtitle);
    legend(&mut svg, names);
    let _ = writeln!(svg, "<g transform=\"translate(0 {lower})\">");
    let width = (WIDTH - 16.0) / 3.0 - GAP;
    let left = |i: usize| GAP + i as f64 * (width + GAP);
    for (i, panel) in panels.iter().enumerate() {
        sizes(&mut svg, panel, left(i), width);
    }
    if panels.len() < 3 {
        shares(&mut svg, units, left(panels.len()), width);
    }
    svg + "</g>\n</svg>\n"
}

/// Where the entries of a legend stand: those that find no room in a line begin another.
fn places(names: &[&str]) -> Vec<([f64; 2], String)> {
    let (mut x, mut y) = (16.0, 66.0);
    let place = |name: &&str| {
        let name: String = name.chars().take(24).collect();
        let width = 44.0 + 7.0 * name.chars().count() as f64;
        if x + width > WIDTH {
            (x, y) = (16.0, y + LINE);
        }
        let at = [x, y];
        x += width;
        (at, name)
    };
    names.iter().map(place).collect()
}

fn legend(svg: &mut String, names: &[&str]) {
    for (i, ([x, y], name)) in places(names).iter().enumerate() {
        let _ = writeln!(svg, "<path d=\"M{x:.1} {y}h22\" fill=\"none\" {}/>", stroke(i));
        text(svg, [x + 27.0, y + 4.0], "start", "", name);
    }
}

fn stroke(i: usize) -> String {
    let dashes = ["", " stroke-dasharray=\"6 3\"", " stroke-dasharray=\"2 3\""][i / COLOURS.len() % 3];
    format!(
        "stroke=\"{}\" stroke-width=\"{}\"{dashes}",
        COLOURS[i % COLOURS.len()],
        if i == 0 { 2.5 } else { 1.5 }
    )
}

/// Lines on a logarithmic axis, and what is trouble shaded.
fn sizes(svg: &mut String, panel: &Panel, left: f64, width: f64) {
    let bottom = TOP + HEIGHT;
    text(svg, [left, TOP - 12.0], "start", "font-weight=\"600\"", panel.title);
    // What is no number any more has outgrown all of them.
    let power = |v: f64| if v.is_nan() { f64::INFINITY } else { v.log10() };
    let powers = || panel.lines.iter().flatten().map(|v| power(*v));
    let high = powers().fold(f64::NEG_INFINITY, f64::max).clamp(0.0, SHOWN[1]).ceil();
    let low = powers().fold(f64::INFINITY, f64::min).max(SHOWN[0]).min(high - 1.0).floor();
    let step = ((high - low) / 8.0).ceil();
    // So that the highest power is marked too.
    let low = high - step * ((high - low) / step).ceil();
    let y = |v: f64| {
        let power = power(v);
        bottom - HEIGHT * ((power.clamp(low, high) - low) / (high - low))
    };
    let mut shade = |from: f64, to: f64, word: &str| {
        if to - from > 0.5 {
            let _ = writeln!(
                svg,
                "<rect x=\"{left:.1}\" y=\"{from:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"#ffebe9\"/>",
                to - from
            );
            text(svg, [left + width - 6.0, from + 14.0], "end", "fill=\"#a40e26\"", word);
        }
    };
    if let Some(least) = panel.sound[0] {
        shade(y(least), bottom, "vanishing");
    }
    if let Some(most) = panel.sound[1] {
        shade(TOP, y(most), "exploding");
    }
    let mut power = low;
    while power <= high {
        let at = y(10.0_f64.powf(power));
        let _ = writeln!(
            svg,
            "<path d=\"M{left:.1} {at:.1}h{width:.1}\" stroke=\"#d0d7de\" stroke-width=\"0.7\"/>"
        );
        let beyond = match power {
            p if p <= SHOWN[0] && powers().any(|power| power < p) => "≤ ",
            p if p == SHOWN[1] && powers().any(|power| power > p) => "≥ ",
            _ => "",
        };
        text(svg, [left - 6.0, at + 4.0], "end", "", &format!("{beyond}1e{power}"));
        power += step;
    }
    let n = panel.layers.len();
    let x = |i: usize| left + width * (i as f64 + 0.5) / n.max(1) as f64;
    for (i, line) in panel.lines.iter().enumerate().rev() {
        let mut path = String::new();
        for (layer, v) in line.iter().enumerate() {
            let _ = write!(path, "{}{:.1} {:.1}", if path.is_empty() { "M" } else { "L" }, x(layer), y(*v));
        }
        if line.len() == 1 && !path.is_empty() {
            path += "h1";
        }
        let _ = writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke-linejoin=\"round\" {}/>", stroke(i));
    }
    names_of_layers(svg, &panel.layers, &x, left + width / 2.0);
}

/// The shares of each layer's units that are dead and saturated, one bar on the other.
fn shares(svg: &mut String, units: &[(String, Units)], left: f64, width: f64) {
    let bottom = TOP + HEIGHT;
    text(svg, [left, TOP - 12.0], "start", "font-weight=\"600\"", "units that no longer learn");
    for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let at = bottom - HEIGHT * percent / 100.0;
        let _ = writeln!(
            svg,
            "<path d=\"M{left:.1} {at:.1}h{width:.1}\" stroke=\"#d0d7de\" stroke-width=\"0.7\"/>"
        );
        text(svg, [left - 6.0, at + 4.0], "end", "", &format!("{percent} %"));
    }
    let n = units.len();
    let x = |i: usize| left + width * (i as f64 + 0.5) / n.max(1) as f64;
    let bar = (width / n.max(1) as f64 * 0.7).min(40.0);
    for (i, (_, units)) in units.iter().enumerate() {
        let mut foot = bottom;
        for (count, colour, word) in
            [(units.dead, "#d55e00", "dead"), (units.saturated, "#e69f00", "saturated")]
        {
            let tall = HEIGHT * count as f64 / units.n.max(1) as f64;
            foot -= tall;
            if count > 0 {
                let _ = writeln!(
                    svg,
                    "<rect x=\"{:.1}\" y=\"{foot:.1}\" width=\"{bar:.1}\" height=\"{tall:.1}\" fill=\"{colour}\"><title>{count} of {} {word}</title></rect>",
                    x(i) - bar / 2.0,
                    units.n
                );
            }
        }
    }
    for (place, (colour, word)) in [("#d55e00", "dead"), ("#e69f00", "saturated")].into_iter().enumerate() {
        let at = left + 90.0 * place as f64;
        let _ = writeln!(svg, "<rect x=\"{at:.1}\" y=\"62\" width=\"12\" height=\"12\" fill=\"{colour}\"/>");
        text(svg, [at + 17.0, 72.0], "start", "", word);
    }
    let layers: Vec<String> = units.iter().map(|(name, _)| name.clone()).collect();
    names_of_layers(svg, &layers, &x, left + width / 2.0);
}

fn names_of_layers(svg: &mut String, layers: &[String], x: &dyn Fn(usize) -> f64, middle: f64) {
    let bottom = TOP + HEIGHT;
    // Not all fit where there are many.
    let every = layers.len().div_ceil(10).max(1);
    for (i, name) in layers.iter().enumerate().step_by(every) {
        text(svg, [x(i), bottom + 16.0], "middle", "", name);
    }
    text(svg, [middle, bottom + 36.0], "middle", "fill=\"#57606a\"", "layer");
}
