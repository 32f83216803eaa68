//! The curve of a learning-rate range test: as text for a terminal, as SVG, as CSV.

use std::fmt::Write as _;

use crate::svg::{nice, text};
use crate::train::range_test::{Point, RangeTest};

/// What is drawn of a test: from the lowest loss up to a little above the first, the rise of a blow-up cut off.
struct Frame<'a> {
    test: &'a RangeTest,
    low: f64,
    high: f64,
}

impl<'a> Frame<'a> {
    fn new(test: &'a RangeTest) -> Self {
        let smoothed = || test.points.iter().map(|p| p.smoothed);
        let low = smoothed().fold(f64::INFINITY, f64::min);
        let first = test.points.first().map_or(0.0, |p| p.smoothed);
        // Where the loss does not fall, the highest of all stands in for the first.
        let top = if first > low { first } else { smoothed().fold(f64::NEG_INFINITY, f64::max) };
        let room = 0.25 * (top - low).max(1e-9 * top.abs().max(1e-300));
        // Most losses have no numbers below zero.
        let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
        Self { test, low: (low - room / 2.0).max(floor), high: top + room }
    }

    /// From 0 at the first rate of the ramp to 1 at the last, in the logarithm.
    fn x(&self, rate: f64) -> f64 {
        let ramp = self.test.ramp;
        (rate / ramp.from).ln() / (ramp.to / ramp.from).ln()
    }

    /// From 0 at the bottom to 1 at the top; what is above the top lies on it.
    fn y(&self, loss: f64) -> f64 {
        ((loss - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The powers of ten in the range, as exponents.
    fn decades(&self) -> std::ops::RangeInclusive<i32> {
        let exponent = |rate: f64| rate.log10();
        (exponent(self.test.ramp.from) - 1e-9).ceil() as i32
            ..=(exponent(self.test.ramp.to) + 1e-9).floor() as i32
    }
}

/// The curve in `width`×`height` characters beside its axis: `·` the losses, `•` the smoothed ones, and `│` the
/// suggested rate; the rates below it.
pub fn chart(test: &RangeTest, width: usize, height: usize) -> String {
    let frame = Frame::new(test);
    let (width, height) = (width.max(2), height.max(2));
    let mut cells = vec![vec![' '; width]; height];
    let column = |rate: f64| ((frame.x(rate) * (width - 1) as f64).round() as usize).min(width - 1);
    let row = |loss: f64| height - 1 - (frame.y(loss) * (height - 1) as f64).round() as usize;
    if let Some(rate) = test.suggestion {
        cells.iter_mut().for_each(|line| line[column(rate)] = '│');
    }
    let draw = |cells: &mut Vec<Vec<char>>, point: &Point, loss: f64, mark: char| {
        cells[row(loss)][column(point.rate)] = mark;
    };
    for point in &test.points {
        draw(&mut cells, point, point.loss, '·');
    }
    for point in &test.points {
        draw(&mut cells, point, point.smoothed, '•');
    }
    let mut out = String::new();
    for (i, line) in cells.iter().enumerate() {
        let label = match i {
            0 => number(frame.high),
            _ if i == height - 1 => number(frame.low),
            _ => String::new(),
        };
        let _ = writeln!(out, "  {label:>9} ┤{}", line.iter().collect::<String>().trim_end());
    }
    // A label takes its place where none is in the way.
    let (mut axis, mut labels) = (vec!['─'; width], vec![' '; width + 6]);
    for exponent in frame.decades() {
        let at = column(10.0_f64.powi(exponent));
        axis[at] = '┬';
        let label: Vec<char> = format!("1e{exponent}").chars().collect();
        if labels[at.saturating_sub(1)..at + label.len()].iter().all(|c| *c == ' ') {
            labels[at..at + label.len()].copy_from_slice(&label);
        }
    }
    let line = |chars: &[char]| chars.iter().collect::<String>().trim_end().to_owned();
    let _ = writeln!(out, "  {:>9} └{}", "", line(&axis));
    let _ = writeln!(out, "  {:>9}  {}", "", line(&labels));
    out
}

/// A number in at most nine characters.
fn number(x: f64) -> String {
    if x != 0.0 && !(1e-3..1e5).contains(&x.abs()) { format!("{x:.2e}") } else { format!("{x:.4}") }
}

/// Step, rate, loss and smoothed loss, a line each.
pub fn csv(test: &RangeTest) -> String {
    let mut out = "step,learning_rate,loss,smoothed\n".to_owned();
    for (i, p) in test.points.iter().enumerate() {
        let _ = writeln!(out, "{},{:e},{},{}", i + 1, p.rate, p.loss, p.smoothed);
    }
    out
}

const SIZE: [f64; 2] = [820.0, 460.0];
/// Left, right, top and bottom of the plot.
const PLOT: [f64; 4] = [86.0, 796.0, 72.0, 392.0];

/// The figure as a document of its own; `what` says what was trained.
pub fn svg(test: &RangeTest, what: &str) -> String {
    let frame = Frame::new(test);
    let [left, right, top, bottom] = PLOT;
    let x = |rate: f64| left + (right - left) * frame.x(rate);
    let y = |loss: f64| bottom - (bottom - top) * frame.y(loss);
    let [width, height] = SIZE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" \
         font-size=\"13\" fill=\"#1f2328\">\n<title>Learning-rate range test</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    text(&mut svg, [16.0, 26.0], "start", "font-size=\"16\" font-weight=\"600\"", "Learning-rate range test");
    text(&mut svg, [16.0, 46.0], "start", "fill=\"#57606a\"", what);
    for exponent in frame.decades() {
        let at = x(10.0_f64.powi(exponent));
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"#d0d7de\"/>"
        );
        text(&mut svg, [at, bottom + 20.0], "middle", "", &format!("1e{exponent}"));
    }
    let step = nice((frame.high - frame.low) / 5.0);
    let first = (frame.low / step).ceil() as i64;
    for i in first..=(frame.high / step).floor() as i64 {
        let loss = i as f64 * step;
        let at = y(loss);
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#eaeef2\"/>"
        );
        let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
        text(&mut svg, [left - 8.0, at + 4.5], "end", "", &format!("{loss:.decimals$}"));
    }
    text(
        &mut svg,
        [f64::midpoint(left, right), bottom + 42.0],
        "middle",
        "fill=\"#57606a\"",
        "learning rate",
    );
    text(&mut svg, [left, top - 8.0], "start", "fill=\"#57606a\"", "training loss of a batch");
    let path = |of: &dyn Fn(&Point) -> f64| -> String {
        let mut d = String::new();
        for (i, p) in test.points.iter().enumerate() {
            let _ = write!(d, "{}{:.1} {:.1}", if i == 0 { "M" } else { "L" }, x(p.rate), y(of(p)));
        }
        d
    };
    let _ = writeln!(
        svg,
        "<path d=\"{}\" fill=\"none\" stroke=\"#afb8c1\"/>\n<path d=\"{}\" fill=\"none\" stroke=\"#0969da\" \
         stroke-width=\"2.5\"/>",
        path(&|p| p.loss),
        path(&|p| p.smoothed)
    );
    let marks = [
        (test.suggestion, "suggested", "#1f2328", ""),
        (test.blow_up, "blows up", "#bc4c00", " stroke-dasharray=\"5 4\""),
    ];
    for (rate, words, colour, dashes) in marks {
        let Some(rate) = rate else { continue };
        let at = x(rate);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"{colour}\" \
             stroke-width=\"1.5\"{dashes}/>"
        );
        let label = format!("{words}: {rate:.1e}");
        let anchor = if at > f64::midpoint(left, right) { "end" } else { "start" };
        text(&mut svg, [at, top - 8.0], anchor, &format!("fill=\"{colour}\""), &label);
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::range_test::Ramp;

    fn test() -> RangeTest {
        let ramp = Ramp { from: 1e-4, to: 1.0, steps: 41 };
        let rate = |i: i32| 1e-4 * 10.0_f64.powf(f64::from(i) / 10.0);
        let smoothed =
            |i: i32| if i < 30 { 1.0 - 0.02 * f64::from(i) } else { 0.4 + 0.3 * f64::from(i - 30) };
        RangeTest {
            ramp,
            suggestion: Some(1e-2),
            rule: String::new(),
            steepest: Some(1e-2),
            lowest: 0.1,
            blow_up: Some(rate(36)),
            points: (0..36)
                .map(|i| Point { rate: rate(i), loss: smoothed(i) + 0.05, smoothed: smoothed(i) })
                .collect(),
        }
    }

    #[test]
    fn the_chart_shows_the_fall_the_rise_and_the_suggestion() {
        let chart = chart(&test(), 41, 9);
        let lines: Vec<Vec<char>> = chart.lines().map(|line| line.chars().collect()).collect();
        assert_eq!(lines.len(), 9 + 2);
        // Column 13 is the first of the plot; one for each step.
        let at = |row: usize, step: usize| lines[row].get(13 + step).copied().unwrap_or(' ');
        let marked = |step: usize| (0..9).find(|&row| at(row, step) == '•');
        assert!(marked(0).unwrap() < marked(15).unwrap() && marked(15) < marked(29), "{chart}");
        assert!(marked(35) < marked(29), "it rises at the end: {chart}");
        assert!((0..9).filter(|&row| at(row, 20) == '│').count() >= 6, "{chart}");
        for (step, label) in [(0, "1e-4"), (10, "1e-3"), (20, "1e-2"), (30, "1e-1"), (40, "1e0")] {
            let told: String = (0..label.len()).map(|i| at(10, step + i)).collect();
            assert_eq!((told.as_str(), at(9, step)), (label, '┬'), "{chart}");
        }
        assert!(chart.lines().all(|line| !line.ends_with(' ')));
    }

    #[test]
    fn figures_of_a_flat_curve_are_finite() {
        let mut flat = test();
        flat.points.iter_mut().for_each(|p| (p.loss, p.smoothed) = (0.0, 0.0));
        (flat.suggestion, flat.blow_up) = (None, None);
        assert!(!svg(&flat, "").contains("NaN") && chart(&flat, 30, 5).lines().count() == 7);
        flat.points.truncate(1);
        assert!(!svg(&flat, "").contains("NaN") && !svg(&flat, "").contains("inf"));
    }

    #[test]
    fn the_figure_and_the_table_hold_every_step() {
        let svg = svg(&test(), "a < b");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("a &lt; b"));
        assert_eq!(svg.matches("<path").count(), 2);
        assert!(svg.contains("suggested: 1.0e-2") && svg.contains("blows up: 4.0e-1"));
        let csv = csv(&test());
        assert_eq!(csv.lines().count(), 1 + 36);
        assert!(csv.lines().nth(1).unwrap().starts_with("1,1e-4,1.05,1"), "{csv}");
    }
}
