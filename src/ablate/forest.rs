//! The forest plot of a study: a point and an interval for every variant, as SVG.

use std::fmt::Write as _;

use super::report::{Effect, Findings, Verdict};
use crate::svg::{escaped, nice, text};

const WIDTH: f64 = 1030.0;
/// Where the plot begins and ends, between the names and the figures.
const PLOT: [f64; 2] = [300.0, 750.0];
const TOP: f64 = 84.0;
const ROW: f64 = 22.0;

/// The figure as a document of its own, to be shown by any browser without a network.
pub(super) fn draw(found: &Findings) -> String {
    let scale = Scale::of(&found.effects);
    let bottom = TOP + ROW * found.effects.len().max(1) as f64;
    let height = bottom + 64.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" \
         font-size=\"13\" fill=\"#1f2328\">\n"
    );
    let what = if scale.in_percent { " in % of the reference's" } else { "" };
    let title = format!(
        "What each technique is worth for {}: change of validation {}{what}",
        found.target(),
        found.metric
    );
    let subtitle = format!(
        "mean over {} seeds, each variant and the reference on the same splits; lines: {} % intervals (Student's t)",
        found.seeds.len(),
        found.percent()
    );
    let _ = writeln!(svg, "<title>{}</title>", escaped(&title));
    let _ = writeln!(svg, "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>");
    text(&mut svg, [16.0, 26.0], "start", "font-size=\"16\" font-weight=\"600\"", &title);
    text(&mut svg, [16.0, 46.0], "start", "fill=\"#57606a\"", &subtitle);
    for (at, words) in [(PLOT[0], "← better"), (PLOT[1], "worse →")] {
        let anchor = if at == PLOT[0] { "start" } else { "end" };
        text(&mut svg, [at, TOP - 12.0], anchor, "fill=\"#57606a\"", words);
    }
    axis(&mut svg, &scale, bottom);
    if found.effects.is_empty() {
        text(&mut svg, [16.0, TOP + 15.0], "start", "", "no variant to compare");
    }
    for (i, effect) in found.effects.iter().enumerate() {
        let y = TOP + ROW * (i as f64 + 0.5);
        row(&mut svg, &scale, effect, y);
    }
    svg + "</svg>\n"
}

/// From differences to places.
struct Scale {
    /// Whether differences are told as shares of the reference.
    in_percent: bool,
    /// What lies at the right edge; its negative lies at the left one.
    limit: f64,
}

impl Scale {
    /// Wide enough for most: what lies far beyond the others does not squeeze them, it is cut off.
    fn of(effects: &[Effect]) -> Self {
        let in_percent = effects.iter().filter(|e| e.difference.is_some()).all(|e| e.share(1.0).is_some());
        let scale = Self { in_percent, limit: 1.0 };
        let mut reach: Vec<f64> = effects
            .iter()
            .filter_map(|e| scale.figures(e))
            .map(|[_, low, high]| low.abs().max(high.abs()))
            .filter(|r| r.is_finite() && *r > 0.0)
            .collect();
        reach.sort_unstable_by(f64::total_cmp);
        let Some(&widest) = reach.last() else { return scale };
        let median = reach[reach.len() / 2];
        Self { limit: 1.04 * widest.min(4.0 * median), ..scale }
    }

    /// Mean, lower and upper end as they are plotted.
    fn figures(&self, effect: &Effect) -> Option<[f64; 3]> {
        let d = effect.difference?;
        let unit = |x: f64| if self.in_percent { effect.share(x).map(|s| 100.0 * s) } else { Some(x) };
        let [low, high] = d.interval.unwrap_or([d.mean; 2]);
        Some([unit(d.mean)?, unit(low)?, unit(high)?])
    }

    fn x(&self, value: f64) -> f64 {
        let share = (value / self.limit).clamp(-1.0, 1.0);
        PLOT[0] + (PLOT[1] - PLOT[0]) * (share + 1.0) / 2.0
    }
}

fn axis(svg: &mut String, scale: &Scale, bottom: f64) {
    // At most four labels on either side.
    let step = nice(scale.limit / 4.0);
    let n = (scale.limit / step).floor() as i32;
    for i in -n..=n {
        let x = scale.x(f64::from(i) * step);
        let stroke = if i == 0 { "#1f2328\" stroke-width=\"1.5" } else { "#d0d7de" };
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{stroke}\"/>"
        );
        let unit = if scale.in_percent { " %" } else { "" };
        let label = if i == 0 { "0".to_owned() } else { tick(f64::from(i) * step, step) + unit };
        text(svg, [x, bottom + 20.0], "middle", "", &label);
    }
    let keys =
        [(Verdict::Helps, "helps"), (Verdict::WithinNoise, "noise or no change"), (Verdict::Hurts, "hurts")];
    for (i, (verdict, words)) in keys.into_iter().enumerate() {
        let x = PLOT[0] + 160.0 * i as f64;
        marker(svg, verdict, [x + 6.0, bottom + 43.0]);
        text(svg, [x + 18.0, bottom + 47.0], "start", "fill=\"#57606a\"", words);
    }
}

fn row(svg: &mut String, scale: &Scale, effect: &Effect, y: f64) {
    text(svg, [PLOT[0] - 12.0, y + 4.5], "end", "", &short_name(&effect.name));
    let Some([mean, low, high]) = scale.figures(effect) else {
        text(svg, [PLOT[1] + 16.0, y + 4.5], "start", "fill=\"#57606a\"", effect.verdict.words());
        return;
    };
    let colour = colour(effect.verdict);
    let (x1, x2) = (scale.x(low), scale.x(high));
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y}\" x2=\"{x2:.1}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"/>"
    );
    // What goes on beyond the edge ends in an arrow.
    for (beyond, x, toward) in [(low < -scale.limit, PLOT[0], -7.0), (high > scale.limit, PLOT[1], 7.0)] {
        if beyond {
            let back = x - toward;
            let _ = writeln!(
                svg,
                "<path d=\"M{x} {y}L{back} {}L{back} {}Z\" fill=\"{colour}\"/>",
                y - 5.0,
                y + 5.0
            );
        }
    }
    if mean.abs() <= scale.limit {
        marker(svg, effect.verdict, [scale.x(mean), y]);
    }
    let unit = if scale.in_percent { " %" } else { "" };
    let interval = effect
        .difference
        .and_then(|d| d.interval)
        .map_or(String::new(), |_| format!(" [{}, {}]", signed(low), signed(high)));
    let mut told = format!("{}{unit}{interval}", signed(mean));
    for (n, what) in [(effect.group.failed, "failed"), (effect.group.diverged, "diverged")] {
        if n > 0 {
            let _ = write!(told, "; {n} {what}");
        }
    }
    text(svg, [PLOT[1] + 16.0, y + 4.5], "start", "", &told);
}

/// Shapes differ too, for those who do not tell the colours apart.
fn marker(svg: &mut String, verdict: Verdict, [x, y]: [f64; 2]) {
    let colour = colour(verdict);
    let _ = match verdict {
        Verdict::Helps => writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y}\" r=\"5\" fill=\"{colour}\"/>"),
        Verdict::Hurts | Verdict::Diverges | Verdict::Fails => writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{}\" width=\"9\" height=\"9\" fill=\"{colour}\"/>",
            x - 4.5,
            y - 4.5
        ),
        _ => writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y}\" r=\"4.5\" fill=\"#ffffff\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        ),
    };
}

/// Each at least 4.5 to 1 against white.
fn colour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Helps => "#0969da",
        Verdict::Hurts | Verdict::Diverges | Verdict::Fails => "#bc4c00",
        Verdict::WithinNoise | Verdict::NoDifference | Verdict::Unknown => "#57606a",
    }
}

/// A name that fits beside the plot.
fn short_name(name: &str) -> String {
    const LONGEST: usize = 34;
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    // The end tells the values of one key apart.
    let skipped = name.chars().count() + 1 - LONGEST;
    std::iter::once('…').chain(name.chars().skip(skipped)).collect()
}

/// A multiple of `step` with its sign, in the decimals that the step has.
fn tick(x: f64, step: f64) -> String {
    let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{x:+.decimals$}").replace('-', "−")
}

/// A number with its sign, as few digits as tell it.
fn signed(x: f64) -> String {
    let size = x.abs();
    let digits = if size >= 100.0 {
        format!("{size:.0}")
    } else if size >= 1.0 || size == 0.0 {
        format!("{size:.1}")
    } else {
        format!("{size:.2}")
    };
    // What rounds to nothing has no sign.
    let sign = match digits.trim_matches(['0', '.']) {
        "" => "",
        _ if x < 0.0 => "−",
        _ => "+",
    };
    format!("{sign}{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_figures_read_well() {
        for (x, step) in [(3.4, 5.0), (0.7, 1.0), (12.0, 20.0), (99.0, 100.0), (1.0, 1.0)] {
            assert!((nice(x) - step).abs() < 1e-9, "{x}: {}", nice(x));
        }
        assert_eq!([tick(-10.0, 5.0), tick(0.002, 0.001)], ["−10", "+0.002"]);
        let read = [-0.001, 0.0, -0.25, 3.21, 250.4].map(signed);
        assert_eq!(read, ["0.00", "0.0", "−0.25", "+3.2", "+250"]);
        assert_eq!(escaped("a<b & \"c\"\u{7}"), "a&lt;b &amp; &quot;c&quot; ");
        assert_eq!(short_name(&format!("{}end", "x".repeat(60))).chars().count(), 34);
    }
}
