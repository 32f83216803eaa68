//! The pictures on the page of a profile: histograms, the target by parts of a column, the matrix of correlations.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::associations::Associations;
use super::column::Frequent;
use super::histogram::Histogram;
use super::source::Role;
use super::target::{Band, Measure};
use super::{ColumnProfile, Profile, short};
use crate::data::words::thousands;
use crate::svg::{escaped, text};

/// Classes that have a colour of their own; all others share the last.
const MOST_CLASSES: usize = 6;

/// A histogram, `width` wide and `height` high; with its ends as labels if there is room for them.
pub(super) fn histogram(
    h: &Histogram,
    size: [f64; 2],
    shown: &dyn Fn(f64) -> String,
    labelled: bool,
) -> String {
    let [width, height] = size;
    let floor = if labelled { height - 18.0 } else { height };
    let most = h.counts.iter().max().copied().unwrap_or(0).max(1) as f64;
    let step = width / h.counts.len() as f64;
    let told = format!(
        "histogram from {} to {}, the fullest of {} parts holds {}",
        shown(h.from),
        shown(h.to),
        h.counts.len(),
        thousands(most as usize)
    );
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">",
        escaped(&told)
    );
    for (i, &count) in h.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        // What is not empty is seen.
        let tall = (count as f64 / most * (floor - 2.0)).max(1.0);
        let gap = if step > 4.0 { 1.0 } else { 0.0 };
        let _ = write!(
            svg,
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\">",
            i as f64 * step,
            floor - tall,
            (step - gap).max(0.5)
        );
        if labelled {
            let end = |i: usize| shown(h.from + (h.to - h.from) * i as f64 / h.counts.len() as f64);
            let title = format!("{} to {}: {}", end(i), end(i + 1), thousands(count));
            let _ = write!(svg, "<title>{}</title>", escaped(&title));
        }
        svg += "</rect>";
    }
    if labelled {
        let _ = write!(svg, "<path class=\"axis\" d=\"M0 {floor:.1}H{width}\"/>");
        text(&mut svg, [0.0, height - 4.0], "start", "", &shown(h.from));
        text(&mut svg, [width, height - 4.0], "end", "", &shown(h.to));
    }
    svg + "</svg>"
}

/// The most frequent values as bars side by side, the first of them as high as the picture.
pub(super) fn frequencies(top: &[Frequent], [width, height]: [f64; 2]) -> String {
    let Some(first) = top.first() else { return String::new() };
    let step = (width / top.len() as f64).min(width / 6.0);
    let told =
        format!("the {} most frequent values, the first in {} rows", top.len(), thousands(first.count));
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">",
        escaped(&told)
    );
    for (i, one) in top.iter().enumerate() {
        let tall = (one.count as f64 / first.count as f64 * (height - 2.0)).max(1.0);
        let _ = write!(
            svg,
            "<rect class=\"often\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>",
            i as f64 * step,
            height - tall,
            step - 3.0
        );
    }
    svg + "</svg>"
}

/// A histogram with another one of the same parts drawn over it as a line; each by the share of its own rows.
pub(super) fn histogram_beside(
    here: &Histogram,
    there: &Histogram,
    [width, height]: [f64; 2],
    shown: &dyn Fn(f64) -> String,
) -> String {
    let shares = |h: &Histogram| {
        let all = (h.counts.iter().sum::<usize>() + h.below + h.above).max(1) as f64;
        h.counts.iter().map(|count| *count as f64 / all).collect::<Vec<f64>>()
    };
    let [bars, line] = [shares(here), shares(there)];
    let most = bars.iter().chain(&line).fold(0.0_f64, |most, share| most.max(*share)).max(f64::MIN_POSITIVE);
    let step = width / bars.len() as f64;
    let told = format!(
        "two histograms from {} to {}; {} rows there lie outside of it",
        shown(here.from),
        shown(here.to),
        thousands(there.below + there.above)
    );
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">",
        escaped(&told)
    );
    let tall = |share: f64| share / most * (height - 2.0);
    let mut path = format!("M0 {height:.1}");
    for (i, (bar, over)) in bars.iter().zip(&line).enumerate() {
        let x = i as f64 * step;
        if *bar > 0.0 {
            let _ = write!(
                svg,
                "<rect class=\"bar\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                height - tall(*bar).max(1.0),
                (step - 1.0).max(0.5),
                tall(*bar).max(1.0)
            );
        }
        let _ = write!(path, "V{:.1}H{:.1}", height - tall(*over), x + step);
    }
    let _ = write!(svg, "<path class=\"there\" d=\"{path}V{height:.1}\"/>");
    svg + "</svg>"
}

/// The target by parts of a column, as a table with a bar in each row.
pub(super) fn bands(bands: &[Band], target: &ColumnProfile, classes: &[String]) -> String {
    let numeric = target.numbers.is_some();
    let name = escaped(&target.name);
    let mut out = String::new();
    if numeric {
        let _ = write!(out, "<h4>mean {name}</h4>");
    } else {
        let _ = write!(out, "<h4>classes of {name}</h4><ul class=\"legend\">");
        for (k, class) in classes.iter().enumerate().take(MOST_CLASSES) {
            let others = k + 1 == MOST_CLASSES && classes.len() > MOST_CLASSES;
            let class = if others { "others".to_owned() } else { escaped(class) };
            let _ = write!(out, "<li><i class=\"k{k}\"></i>{class}</li>");
        }
        out += "</ul>";
    }
    out += "<table class=\"bands\"><thead><tr><th scope=\"col\">where</th><th scope=\"col\" class=\"n\">rows</th><td></td>";
    out += "<th scope=\"col\" class=\"n\">";
    out += &if numeric {
        "mean".to_owned()
    } else {
        classes.get(1).or(classes.first()).map_or(String::new(), |c| escaped(c))
    };
    out += "</th></tr></thead><tbody>";
    let means = || bands.iter().map(|band| band.target[0]);
    let (least, most) = means().fold((0.0_f64, 0.0_f64), |(a, b), m| (a.min(m), b.max(m)));
    for band in bands {
        let label = cut(&band.label, 40);
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td>",
            escaped(&label),
            thousands(band.count)
        );
        if numeric {
            // From zero, so that lengths can be compared.
            let (from, to) = (band.target[0].min(0.0), band.target[0].max(0.0));
            let share = |x: f64| if most > least { 100.0 * x / (most - least) } else { 0.0 };
            let _ = write!(
                out,
                "<span class=\"meter\"><i style=\"margin-left:{:.1}%;width:{:.1}%\"></i></span></td><td class=\"n\">{}</td></tr>",
                share(from - least),
                share(to - from),
                escaped(&short(band.target[0]))
            );
        } else {
            out += "<span class=\"meter\">";
            for k in 0..classes.len().min(MOST_CLASSES) {
                let last = k + 1 == MOST_CLASSES;
                let share: f64 = if last { band.target[k..].iter().sum() } else { band.target[k] };
                if share > 0.0 {
                    let _ = write!(out, "<i class=\"k{k}\" style=\"width:{:.2}%\"></i>", 100.0 * share);
                }
            }
            let told = band.target.get(1).or(band.target.first()).copied().unwrap_or(0.0);
            let _ = write!(out, "</span></td><td class=\"n\">{:.1} %</td></tr>", 100.0 * told);
        }
    }
    out + "</tbody></table>"
}

/// The matrix of correlations as a picture, with Pearson's and Spearman's one over the other.
pub(super) fn matrix(profile: &Profile, of: &Associations) -> String {
    const CELL: f64 = 36.0;
    let n = of.columns.len();
    let numbers = n <= 24;
    let cell = if n <= 10 {
        48.0
    } else if numbers {
        CELL
    } else {
        18.0
    };
    let column = |i: usize| &profile.columns[of.columns[i]];
    let names: Vec<&str> = (0..n).map(|i| column(i).name.as_str()).collect();
    let labels = distinct_labels(&names, 18);
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0) as f64;
    let left = 7.6 * longest + 12.0;
    let top = 6.0 * longest + 20.0;
    let (width, height) = (left + cell * n as f64 + 5.0 * longest, top + cell * n as f64 + 4.0);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"matrix of \
         correlations of {n} columns; the strongest pairs stand in the table below\">"
    );
    for (i, label) in labels.iter().enumerate() {
        let (at, middle) = (i as f64 * cell, i as f64 * cell + cell / 2.0);
        text(&mut svg, [left - 6.0, top + middle + 4.0], "end", weight(column(i)), label);
        let (x, y) = (left + middle + 3.0, top - 6.0);
        let turned = format!("{}transform=\"rotate(-50 {x:.1} {y:.1})\"", weight(column(i)).to_owned() + " ");
        text(&mut svg, [x, y], "start", turned.trim(), label);
        let _ = write!(
            svg,
            "<rect class=\"none\" x=\"{:.1}\" y=\"{:.1}\" width=\"{cell}\" height=\"{cell}\"/>",
            left + at,
            top + at
        );
    }
    for a in 0..n {
        for b in 0..n {
            let Some(pair) = (a != b).then(|| of.pair(of.columns[a], of.columns[b])).flatten() else {
                continue;
            };
            let place = [left + b as f64 * cell, top + a as f64 * cell];
            let names = format!("{} and {}", column(a).name, column(b).name);
            let one = |svg: &mut String, class: &str, measure: &str, value: Option<f64>| {
                let told = value.map_or("not defined".to_owned(), |v| format!("{v:.3}"));
                let title = format!("{names}: {measure} {told}");
                heat(svg, class, place, cell, value, &title, numbers);
            };
            if pair.measure == Measure::Pearson {
                one(&mut svg, "pearson", "Pearson", pair.value);
                one(&mut svg, "spearman", "Spearman", pair.spearman);
            } else {
                one(&mut svg, "both", pair.measure.name(), pair.value);
            }
        }
    }
    svg + "</svg>"
}

/// Names as labels of at most so many characters. Those that would look alike leave out what they begin with in common.
fn distinct_labels(names: &[&str], most: usize) -> Vec<String> {
    let mut labels: Vec<String> = names.iter().map(|name| cut(name, most)).collect();
    let mut alike: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, label) in labels.iter().enumerate() {
        alike.entry(label.clone()).or_default().push(i);
    }
    for group in alike.into_values().filter(|group| group.len() > 1) {
        let chars: Vec<Vec<char>> = group.iter().map(|&i| names[i].chars().collect()).collect();
        let shared = |k: usize| chars.iter().all(|name| name.get(k).is_some_and(|c| *c == chars[0][k]));
        let shared = (0..chars[0].len()).take_while(|&k| shared(k)).count();
        // A few of the common ones, to be recognised by.
        let from = shared.saturating_sub(4);
        for (&i, name) in group.iter().zip(&chars).filter(|_| from > 0) {
            let rest: String = name[from..].iter().collect();
            labels[i] = "…".to_owned() + &cut_end(&rest, most - 1);
        }
    }
    labels
}

/// At most so many characters of a text: its end is left out.
fn cut_end(text: &str, most: usize) -> String {
    match text.chars().count() {
        n if n <= most => text.to_owned(),
        _ => text.chars().take(most - 1).chain(['…']).collect(),
    }
}

fn weight(column: &ColumnProfile) -> &'static str {
    if column.role == Role::Target { "font-weight=\"700\"" } else { "" }
}

fn heat(
    svg: &mut String,
    class: &str,
    [x, y]: [f64; 2],
    cell: f64,
    value: Option<f64>,
    title: &str,
    numbers: bool,
) {
    let (fill, strength) = match value {
        None => ("none", 1.0),
        Some(v) if v < 0.0 => ("neg", -v),
        Some(v) => ("pos", v),
    };
    let _ = write!(
        svg,
        "<g class=\"{class}\"><rect class=\"{fill}\" fill-opacity=\"{strength:.2}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" \
         height=\"{:.1}\"><title>{}</title></rect>",
        x + 0.5,
        y + 0.5,
        cell - 1.0,
        cell - 1.0,
        escaped(title)
    );
    if let Some(v) = value.filter(|_| numbers) {
        let place = [x + cell / 2.0, y + cell / 2.0 + 4.0];
        let class = if strength > 0.6 {
            "class=\"on\" pointer-events=\"none\""
        } else {
            "class=\"in\" pointer-events=\"none\""
        };
        let short = format!("{v:.2}").replace("0.", ".").replace("-.00", ".00");
        text(svg, place, "middle", class, &short);
    }
    *svg += "</g>";
}

/// At most so many characters of a text: its middle is left out, as names of many columns begin alike.
pub fn cut(text: &str, most: usize) -> String {
    let n = text.chars().count();
    if n <= most {
        return text.to_owned();
    }
    let head: String = text.chars().take(most / 2).collect();
    head + "…" + &text.chars().skip(n - (most - 1 - most / 2)).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_would_look_alike_begin_where_they_differ() {
        let names =
            ["measurement_1_of_the_plant", "measurement_22_of_the_plant", "y", "measured_by_whom_in_spring"];
        let labels = distinct_labels(&names, 18);
        assert_eq!(labels, ["…ent_1_of_the_pla…", "…ent_22_of_the_pl…", "y", "measured_…n_spring"]);
        assert_eq!(distinct_labels(&["same", "same"], 18), ["same", "same"]);
    }
}
