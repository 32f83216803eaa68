//! The page of a profile: one file that needs nothing else, with every name and value escaped.

use std::fmt::Write as _;

use super::against::file_name;
use super::against_html;
use super::column::{Frequent, Numbers};
use super::picture::{bands, cut, frequencies, histogram, matrix};
use super::shift::Verdict;
use super::style::{SCRIPT, STYLE};
use super::target::Measure;
use super::{ColumnProfile, Inflation, Profile, Role, lines, quantiles, short};
use crate::data::ColumnKind;
use crate::data::words::{counted, thousands};
use crate::svg::escaped;

/// Columns that are shown in full, at most.
pub const MOST_CARDS: usize = 100;
/// Columns in the table of all columns.
const MOST_ROWS: usize = 1_000;
/// Warnings on the page; a table of thousands of odd columns would make a page of nothing else.
const MOST_WARNINGS: usize = 300;
/// Columns shown in full that begin open.
const OPEN_CARDS: usize = 6;
/// Pairs of columns in the table of the strongest.
const MOST_PAIRS: usize = 20;
/// Columns in the table of inflation factors.
const MOST_FACTORS: usize = 40;

/// What the page may do: nothing but what stands in it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The page as HTML. It loads nothing from anywhere.
pub fn page(profile: &Profile) -> String {
    let title = format!("Profile of {}", file_name(&profile.table));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <title>{0}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#warnings\">To the warnings</a>\n<header><h1>{0}</h1>\n<p class=\"soft\">{1}</p></header>\n",
        escaped(&title),
        escaped(&profile.table)
    );
    let sections: Vec<(&str, &str, String)> = [
        ("overview", "Overview", overview(profile)),
        ("warnings", "Warnings", warnings(profile)),
        (
            "against",
            "Against the other table",
            profile.against.as_ref().map_or(String::new(), |of| against_html::section(profile, of)),
        ),
        ("columns", "Columns", columns(profile)),
        ("correlations", "Correlations", correlations(profile)),
        (
            "collinearity",
            "Collinearity",
            profile.collinearity.as_ref().map_or(String::new(), |c| collinearity(profile, c)),
        ),
        ("details", "Details", details(profile)),
    ]
    .into_iter()
    .filter(|(_, _, content)| !content.is_empty())
    .collect();
    out += "<nav aria-label=\"Parts of this page\"><ul>";
    for (id, heading, _) in &sections {
        let _ = write!(out, "<li><a href=\"#{id}\">{heading}</a></li>");
    }
    out += "</ul></nav>\n<main>\n";
    for (id, heading, content) in &sections {
        let _ = writeln!(
            out,
            "<section id=\"{id}\" aria-labelledby=\"{id}-h\"><h2 id=\"{id}-h\">{heading}</h2>\n{content}</section>"
        );
    }
    out += "</main>\n";
    out += &footer(profile);
    let _ = write!(out, "<script>{SCRIPT}</script>\n</body>\n</html>\n");
    out
}

fn fact(out: &mut String, name: &str, value: &str, more: &str) {
    let _ = write!(out, "<div><dt>{name}</dt><dd>{}", escaped(value));
    if !more.is_empty() {
        let _ = write!(out, "<small>{}</small>", escaped(more));
    }
    out.push_str("</dd></div>");
}

/// How many columns there are of each kind: `4 number, 3 category`.
pub fn kinds(profile: &Profile) -> String {
    let kinds = [
        ColumnKind::Number,
        ColumnKind::Category,
        ColumnKind::Date,
        ColumnKind::Text,
        ColumnKind::Identifier,
    ];
    let (not_read, read): (Vec<_>, Vec<_>) =
        profile.columns.iter().partition(|column| column.not_read.is_some());
    let count = |kind| read.iter().filter(|column| column.kind == kind).count();
    let told = kinds.into_iter().map(|kind| (count(kind), kind.to_string()));
    let told = told.chain([(not_read.len(), "not read".to_owned())]).filter(|(n, _)| *n > 0);
    told.map(|(n, kind)| format!("{n} {kind}")).collect::<Vec<_>>().join(", ")
}

fn overview(profile: &Profile) -> String {
    let mut out = String::new();
    for sentence in profile.drawn() {
        let _ = writeln!(out, "<p>{}</p>", marked(&sentence));
    }
    out += "<dl class=\"facts\">";
    let (rows, looked_at) = match &profile.drawn_from {
        Some(from) => (from.n_rows, format!("{} of them looked at", thousands(profile.n_rows))),
        None => (profile.n_rows, String::new()),
    };
    fact(&mut out, "rows", &thousands(rows), &looked_at);
    fact(&mut out, "columns", &thousands(profile.columns.len()), &kinds(profile));
    let missing: usize = profile.columns.iter().map(|column| column.missing).sum();
    let cells = (profile.n_rows * profile.columns.len()).max(1);
    let share = format!("{} % of all cells", short(100.0 * missing as f64 / cells as f64));
    fact(&mut out, "missing cells", &thousands(missing), &share);
    let apart = match profile.duplicates.apart_from.len() {
        0 => String::new(),
        n => format!("{} not compared", counted(n, "column")),
    };
    let among = match (&profile.drawn_from, apart.is_empty()) {
        (None, _) => apart,
        (Some(_), true) => "among those looked at".into(),
        (Some(_), false) => format!("among those looked at, {apart}"),
    };
    fact(&mut out, "repeated rows", &thousands(profile.duplicates.count), &among);
    if let Some(target) = profile.target() {
        let task = profile.task.map_or(String::new(), |task| task.to_string());
        fact(&mut out, "target", &target.name, &task);
    }
    if let Some(of) = &profile.against {
        let shifted = of.columns.iter().filter(|shift| shift.verdict >= Verdict::Shifted).count();
        let more = format!("of {} compared with {}", of.columns.len(), file_name(&of.table));
        fact(&mut out, "shifted columns", &thousands(shifted), &more);
    }
    fact(&mut out, "warnings", &thousands(profile.warnings.len()), "");
    out + "</dl>\n"
}

fn warnings(profile: &Profile) -> String {
    if profile.warnings.is_empty() {
        return "<p>Nothing to look out for was found.</p>\n".into();
    }
    let mut out = String::from(
        "<p>Each ends with a line for the configuration file, where it stands before any <code>[section]</code>, whatever sections \
         follow; on the command line it stands in quotes after <code>--set</code>.</p>\n<ol class=\"warnings\">\n",
    );
    for warning in profile.warnings.iter().take(MOST_WARNINGS) {
        let _ = writeln!(
            out,
            "<li><strong>{}</strong><p>{}</p><div class=\"line\"><code data-copy>{}</code></div></li>",
            warning.concern.title(),
            marked(&warning.text),
            escaped(&warning.line)
        );
    }
    let all = lines(&profile.warnings);
    out += "</ol>\n";
    if let Some(more) = profile.warnings.len().checked_sub(MOST_WARNINGS).filter(|more| *more > 0) {
        let _ = writeln!(
            out,
            "<p>And {}, of which the lines below and <code>--json</code> have all.</p>",
            counted(more, "more warning")
        );
    }
    if profile.warnings.len() > 1 {
        let _ = writeln!(
            out,
            "<details><summary>All lines together</summary><pre data-copy tabindex=\"0\">{}</pre></details>",
            escaped_lines(&all)
        );
    }
    out
}

fn escaped_lines(lines: &[String]) -> String {
    lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("\n")
}

/// A text with what stands between backticks as code.
pub(super) fn marked(text: &str) -> String {
    let mut out = String::new();
    for (i, part) in text.split('`').enumerate() {
        out += &if i % 2 == 1 { format!("<code>{}</code>", escaped(part)) } else { escaped(part) };
    }
    out
}

/// A share in percent, a dash for none.
pub fn percent(part: usize, whole: usize) -> String {
    match 100.0 * part as f64 / whole.max(1) as f64 {
        0.0 => "–".into(),
        share if share < 0.1 => "< 0.1 %".into(),
        share => format!("{share:.1} %"),
    }
}

fn kind_words(column: &ColumnProfile) -> String {
    if let Some(what) = column.not_read {
        return format!("not read: {what}");
    }
    let role = match column.role {
        Role::Input => "",
        Role::Target => ", target",
        Role::Split => ", split",
        Role::Weight => ", weight",
    };
    let dropped = if column.dropped.is_some() && column.role == Role::Input { ", left out" } else { "" };
    format!("{}{role}{dropped}", column.kind)
}

fn columns(profile: &Profile) -> String {
    let mut out = String::from(
        "<label class=\"soft\" for=\"find\" hidden>Find a column</label>\
         <input id=\"find\" type=\"search\" placeholder=\"Find a column\" aria-label=\"Find a column\" hidden>\n\
         <div class=\"scroll long\" tabindex=\"0\" role=\"region\" aria-label=\"All columns\"><table><thead><tr>\
         <th scope=\"col\">column</th><th scope=\"col\">taken as</th><th scope=\"col\" class=\"n\">missing</th>\
         <th scope=\"col\" class=\"n\">distinct</th><th scope=\"col\">distribution</th><th scope=\"col\">values</th>",
    );
    let target = profile.target();
    if target.is_some() {
        out += "<th scope=\"col\" class=\"n\">with target</th><th scope=\"col\" class=\"n\">alone</th>";
    }
    out += "</tr></thead><tbody>\n";
    let shown = cards(profile);
    for (i, column) in profile.columns.iter().enumerate().take(MOST_ROWS) {
        let name = escaped(&cut(&column.name, 60));
        let name = if shown.contains(&i) { format!("<a href=\"#c{i}\">{name}</a>") } else { name };
        let _ = write!(
            out,
            "<tr data-name=\"{}\"><th scope=\"row\">{name}</th><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"values\">{}</td>",
            escaped(&column.name),
            kind_words(column),
            escaped(&percent(column.missing, profile.n_rows)),
            column.not_read.map_or_else(|| thousands(column.distinct), |_| "–".into()),
            match &column.numbers {
                Some(x) => histogram(&x.histogram, [96.0, 24.0], &|v| label(column, v), false),
                None => frequencies(&column.top, [96.0, 24.0]),
            },
            escaped(&values(column, profile.n_rows)),
        );
        if target.is_some() {
            let relation = column.target.as_ref();
            let number = |x: Option<f64>| x.map_or("–".to_owned(), |x| format!("{x:.2}"));
            let _ = write!(
                out,
                "<td class=\"n\">{}</td><td class=\"n\">{}</td>",
                number(relation.and_then(|r| r.value)),
                number(relation.and_then(|r| r.alone))
            );
        }
        out += "</tr>\n";
    }
    out += "</tbody></table></div>\n";
    if profile.columns.len() > MOST_ROWS {
        let _ = writeln!(
            out,
            "<p>Listed are the first {} of {} columns; all are in <code>--json</code>.</p>",
            thousands(MOST_ROWS),
            thousands(profile.columns.len())
        );
    }
    if target.is_some() {
        out += "<p class=\"soft\">With target: Pearson’s correlation of two numbers, the correlation ratio of a number and \
                categories, Cramér’s V of categories; – where it says nothing: a single value, or categories that differ in every \
                row, of which it would be 1 whatever the target. Alone: how well the column by itself predicts the target, from 0 to 1.</p>\n";
    }
    out
}

/// A number of a column, short; a date as a date.
pub fn label(column: &ColumnProfile, x: f64) -> String {
    let whole = |of: &Numbers| of.whole && of.min >= 1_000.0 && of.max < 10_000.0;
    match &column.numbers {
        _ if column.kind == ColumnKind::Date => column.shown(x),
        // As years are written, and other numbers of four digits that are rather names.
        Some(of) if whole(of) && x.fract() == 0.0 => x.to_string(),
        Some(of) if whole(of) => format!("{x:.1}"),
        _ => short(x),
    }
}

/// What a column holds, in a few words.
pub fn values(column: &ColumnProfile, n_rows: usize) -> String {
    if let Some(x) = &column.numbers {
        if x.min == x.max {
            return label(column, x.min);
        }
        return format!(
            "{} to {}, median {}",
            label(column, x.min),
            label(column, x.max),
            label(column, x.quantiles[3])
        );
    }
    let present = column.present(n_rows).max(1) as f64;
    let most = column.top.iter().take(3);
    let told: Vec<String> =
        most.map(|f| format!("{} {:.0} %", cut(&f.value, 24), 100.0 * f.count as f64 / present)).collect();
    let more = if column.distinct > 3 && !told.is_empty() { ", …" } else { "" };
    told.join(", ") + more
}

/// The columns that are shown in full, from left to right.
fn cards(profile: &Profile) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..profile.columns.len()).collect();
    if shown.len() > MOST_CARDS {
        let strength = super::strength(&profile.columns);
        let warned = |i: usize| profile.warnings.iter().any(|w| w.columns.contains(&profile.columns[i].name));
        let is_target = |i: usize| profile.columns[i].role == Role::Target;
        let key = |i: usize| (is_target(i), warned(i));
        shown.sort_by(|&a, &b| {
            key(b).cmp(&key(a)).then_with(|| strength[b].total_cmp(&strength[a])).then(a.cmp(&b))
        });
        shown.truncate(MOST_CARDS);
        shown.sort_unstable();
    }
    shown
}

fn details(profile: &Profile) -> String {
    let shown = cards(profile);
    let mut out = String::new();
    if shown.len() < profile.columns.len() {
        let _ = writeln!(
            out,
            "<p>Shown in full are {} of {} columns: the target, those with warnings, and those that go most with the target. \
             The others are in the table above, and all of them in <code>--json</code>.</p>",
            shown.len(),
            thousands(profile.columns.len())
        );
    }
    for (place, &i) in shown.iter().enumerate() {
        let column = &profile.columns[i];
        let _ = write!(
            out,
            "<details class=\"column\" id=\"c{i}\" data-name=\"{}\"{}><summary><h3>{}</h3><span class=\"soft\">{}: {}</span></summary><div class=\"inside\">",
            escaped(&column.name),
            if place < OPEN_CARDS { " open" } else { "" },
            escaped(&cut(&column.name, 120)),
            kind_words(column),
            escaped(&column.reason)
        );
        out += &card(column, profile);
        out += "</div></details>\n";
    }
    out
}

fn row(out: &mut String, name: &str, value: &str) {
    let _ = write!(
        out,
        "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td></tr>",
        escaped(name),
        escaped(value)
    );
}

/// A count with its share.
fn share(n: usize, whole: usize) -> String {
    match n {
        0 => "0".into(),
        _ => format!("{} ({})", thousands(n), percent(n, whole)),
    }
}

/// Mean, spread and what lies far out.
fn shape(column: &ColumnProfile, x: &Numbers, n_rows: usize) -> String {
    let mut out = String::from("<h4>shape</h4><table><tbody>");
    let number = |v: f64| label(column, v);
    let count = |n: usize| share(n, n_rows);
    row(&mut out, "mean", &number(x.moments.mean));
    let days = if column.kind == ColumnKind::Date { " days" } else { "" };
    let maybe = |v: Option<f64>| v.map_or("–".to_owned(), short);
    row(&mut out, "standard deviation", &(maybe(x.moments.std) + days));
    row(&mut out, "skewness", &maybe(x.moments.skewness));
    row(&mut out, "excess kurtosis", &maybe(x.moments.kurtosis));
    if column.kind != ColumnKind::Date {
        row(&mut out, "zeros", &count(x.zeros));
        row(&mut out, "negative", &count(x.negative));
    }
    let o = &x.outliers;
    row(&mut out, "outliers", &count(o.low + o.high));
    if o.low + o.high > 0 {
        row(&mut out, "beyond", &format!("{} and {}", number(o.low_fence), number(o.high_fence)));
    }
    out + "</tbody></table>"
}

fn card(column: &ColumnProfile, profile: &Profile) -> String {
    if column.not_read.is_some() {
        return "<p>Its cells are of a type that is not read.</p>".into();
    }
    let mut out = String::new();
    if let Some(x) = &column.numbers {
        out += "<div><h4>distribution</h4>";
        out += &histogram(&x.histogram, [300.0, 120.0], &|v| label(column, v), true);
        let beyond = x.histogram.below + x.histogram.above;
        if beyond > 0 {
            let _ = write!(
                out,
                "<p class=\"soft\">Not drawn: {} below, {} above.</p>",
                thousands(x.histogram.below),
                thousands(x.histogram.above)
            );
        }
        out += &shape(column, x, profile.n_rows);
        out += "</div>";
    }
    if let (Some(relation), Some(target)) = (&column.target, profile.target()) {
        out += "<div>";
        let told = |v: Option<f64>| v.map_or("not defined".to_owned(), |v| format!("{v:.3}"));
        let mut words = vec![format!("{} {}", relation.measure.name(), told(relation.value))];
        if relation.measure == Measure::Pearson {
            words.push(format!("Spearman {}", told(relation.spearman)));
        }
        words.push(format!("alone predicts {}", told(relation.alone)));
        let _ = write!(
            out,
            "<p>With <code>{}</code>: {}.</p>",
            escaped(&target.name),
            escaped(&words.join(", "))
        );
        out += &bands(&relation.bands, target, &profile.classes);
        out += "</div>";
    }
    out += "<div><h4>figures</h4><table><tbody>";
    row(&mut out, "missing", &share(column.missing, profile.n_rows));
    if column.unreadable > 0 {
        row(&mut out, "of these unreadable", &thousands(column.unreadable));
    }
    row(&mut out, "distinct", &thousands(column.distinct));
    if let Some(x) = &column.numbers {
        let number = |v: f64| label(column, v);
        row(&mut out, "lowest", &number(x.min));
        for (p, q) in quantiles::PROBABILITIES.iter().zip(&x.quantiles) {
            let name = if *p == 0.5 { "median".to_owned() } else { format!("{:.0} %", 100.0 * p) };
            row(&mut out, &name, &number(*q));
        }
        row(&mut out, "highest", &number(x.max));
    }
    out += "</tbody></table></div>";
    // Of numbers that hardly repeat it would say nothing.
    let repeats = |f: &Frequent| column.numbers.is_none() || 20 * f.count >= column.present(profile.n_rows);
    if column.top.first().is_some_and(repeats) {
        out += "<div><h4>most frequent</h4><table><tbody>";
        for f in &column.top {
            let share = 100.0 * f.count as f64 / column.present(profile.n_rows).max(1) as f64;
            let _ = write!(
                out,
                "<tr><th scope=\"row\">{}</th><td><span class=\"meter\"><i style=\"width:{share:.1}%\"></i></span></td><td class=\"n\">{}</td></tr>",
                escaped(&cut(&f.value, 60)),
                thousands(f.count)
            );
        }
        out += "</tbody></table></div>";
    }
    out
}

fn correlations(profile: &Profile) -> String {
    let Some(of) = profile.associations.as_ref().filter(|of| of.columns.len() > 1) else {
        return String::new();
    };
    let mut out = String::new();
    if of.left_out > 0 {
        let _ = writeln!(
            out,
            "<p>Shown are {} of {} columns, those that go most with the target if there is one.</p>",
            of.columns.len(),
            thousands(of.columns.len() + of.left_out)
        );
    }
    let numbers = of.pairs.iter().any(|pair| pair.measure == Measure::Pearson);
    out += "<div class=\"matrix\">";
    if numbers {
        out += "<fieldset class=\"choose\"><legend class=\"soft\">Two columns of numbers by</legend>\
                <label><input type=\"radio\" name=\"measure\" value=\"pearson\" checked> Pearson</label>\
                <label><input type=\"radio\" name=\"measure\" value=\"spearman\"> Spearman</label></fieldset>\n";
    }
    out += "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Matrix of correlations\">";
    out += &matrix(profile, of);
    out +=
        "</div></div>\n<ul class=\"legend\"><li><i style=\"background:var(--pos)\"></i>together, 0 to 1</li>";
    out += "<li><i style=\"background:var(--neg)\"></i>against each other, 0 to −1</li></ul>\n";
    let mut pairs: Vec<_> = of.pairs.iter().filter(|pair| pair.value.is_some()).collect();
    let size = |v: Option<f64>| v.unwrap_or(0.0).abs();
    pairs.sort_by(|a, b| size(b.value).total_cmp(&size(a.value)));
    out += "<h3>Strongest pairs</h3><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Strongest pairs\"><table><thead><tr><th scope=\"col\">columns</th>\
            <th scope=\"col\">measure</th><th scope=\"col\" class=\"n\">value</th><th scope=\"col\" class=\"n\">Spearman</th></tr></thead><tbody>\n";
    for pair in pairs.iter().take(MOST_PAIRS) {
        let name =
            |i: usize| format!("<code>{}</code>", escaped(&cut(&profile.columns[pair.columns[i]].name, 40)));
        let number = |v: Option<f64>| v.map_or("–".to_owned(), |v| format!("{v:.3}"));
        let _ = writeln!(
            out,
            "<tr><td>{} {}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            name(0),
            name(1),
            pair.measure.name(),
            number(pair.value),
            number(pair.spearman)
        );
    }
    out + "</tbody></table></div>\n"
}

fn collinearity(profile: &Profile, of: &Inflation) -> String {
    let name = |i: usize| format!("<code>{}</code>", escaped(&cut(&profile.columns[of.columns[i]].name, 40)));
    let condition = of.found.condition_number.map_or("infinite".to_owned(), short);
    let mut out = format!(
        "<p>Condition number of the {} columns of numbers, standardised: <strong>{condition}</strong>. Above 30, weights and their \
         signs are hard to tell apart. The variance inflation factor says how many times as uncertain a column’s weight is as \
         it would be on its own; above {} is much.</p>\n",
        of.columns.len(),
        super::collinearity::MOST_VIF
    );
    if of.left_out > 0 {
        let _ = writeln!(
            out,
            "<p>Left out are {}, those that go least with the target.</p>",
            counted(of.left_out, "further column")
        );
    }
    if !of.found.redundant.is_empty() {
        out += "<ul>";
        for redundant in &of.found.redundant {
            let by: Vec<String> = redundant.by.iter().take(8).map(|&i| name(i)).collect();
            let _ = write!(out, "<li>{} is made up by {}</li>", name(redundant.column), by.join(", "));
        }
        out += "</ul>\n";
    }
    if !of.found.groups.is_empty() {
        out += "<p>Groups of columns that largely make up each other; of each, a few would do:</p><ul>";
        for group in &of.found.groups {
            let names: Vec<String> = group.iter().take(20).map(|&i| name(i)).collect();
            let more =
                if group.len() > 20 { format!(" and {} more", group.len() - 20) } else { String::new() };
            let _ = write!(out, "<li>{}{more}</li>", names.join(", "));
        }
        out += "</ul>\n";
    }
    let factor = |i: usize| if of.found.exact[i] { f64::INFINITY } else { of.found.vif[i].unwrap_or(0.0) };
    let mut order: Vec<usize> = (0..of.columns.len()).collect();
    order.sort_by(|&a, &b| factor(b).total_cmp(&factor(a)).then(a.cmp(&b)));
    if order.len() > MOST_FACTORS {
        let _ = writeln!(out, "<p>The {MOST_FACTORS} largest of {}:</p>", order.len());
    }
    out += "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">column</th><th scope=\"col\" class=\"n\">inflation</th></tr></thead><tbody>\n";
    for &i in order.iter().take(MOST_FACTORS) {
        let told = if of.found.exact[i] {
            "infinite".to_owned()
        } else {
            of.found.vif[i].map_or("–".into(), short)
        };
        let _ = writeln!(out, "<tr><td>{}</td><td class=\"n\">{told}</td></tr>", name(i));
    }
    out + "</tbody></table></div>\n"
}

fn footer(profile: &Profile) -> String {
    let mut out = String::from("<footer><h2>How it was computed</h2><p>");
    let looked_at = match &profile.drawn_from {
        Some(from) => format!("{} of {} rows", thousands(profile.n_rows), thousands(from.n_rows)),
        None => "all rows".to_owned(),
    };
    if profile.sampled_rows < profile.n_rows {
        let _ = write!(
            out,
            "Spearman’s correlations, predictions by one column and the target by parts are computed on {} rows, spread evenly \
             and drawn by seed {}; all else on {}. ",
            thousands(profile.sampled_rows),
            profile.seed,
            looked_at
        );
    } else {
        let _ = write!(out, "On {looked_at}. ");
    }
    if let Some(of) = profile.collinearity.as_ref().filter(|of| of.rows < profile.n_rows) {
        let _ = write!(out, "Inflation factors are computed on {} rows. ", thousands(of.rows));
    }
    out += "A pair of columns leaves the rows out in which one is missing; for inflation factors a missing number counts as the \
            mean. Quantiles are linear between neighbours; skewness and kurtosis are adjusted for the number of rows; outliers lie \
            more than three times the width of the middle half outside of it. Alone is R², or balanced accuracy with chance taken \
            off, of each row predicted by other rows of the same or a near value.</p>";
    let _ = writeln!(out, "<p>Made by statera {}.</p></footer>", env!("CARGO_PKG_VERSION"));
    out
}
