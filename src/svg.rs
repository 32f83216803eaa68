//! What the figures share: texts at a place, and steps of an axis.

use std::fmt::Write as _;

/// Adds a text whose `anchor` (start, middle, end) lies at a place; `more` is further attributes.
pub(crate) fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, more: &str, words: &str) {
    let space = if more.is_empty() { "" } else { " " };
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{space}{more}>{}</text>",
        escaped(words)
    );
}

/// 1, 2 or 5 times a power of ten, the smallest one not below `x`.
pub(crate) fn nice(x: f64) -> f64 {
    let power = 10.0_f64.powf(x.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|m| m * power).find(|step| *step >= x).unwrap_or(10.0 * power)
}

/// A text as XML can hold it.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // What XML 1.0 cannot hold.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
