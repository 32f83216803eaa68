//! How two tables differ, on the page and in words.

use std::fmt::Write as _;

use super::adversary;
use super::against::{Against, differences, file_name};
use super::column::ColumnProfile;
use super::html::{label, marked};
use super::picture::{cut, histogram_beside};
use super::shift::{ColumnShift, Test};
use super::{Profile, short};
use crate::data::words::{counted, listed, shown, thousands};
use crate::svg::escaped;

/// Columns that are shown with their distributions, at most.
const MOST_SHOWN: usize = 40;
/// Columns in the table, at most.
const MOST_ROWS: usize = 200;

/// A corrected p-value, short.
pub fn p_value(p: Option<f64>) -> String {
    match p {
        None => "–".into(),
        Some(p) if p < 1e-15 => "< 1e-15".into(),
        Some(p) if p < 1e-3 => format!("{p:.0e}"),
        Some(p) => format!("{p:.3}"),
    }
}

/// In what a column differs: what its tests find, and for numbers the medians.
pub fn how(shift: &ColumnShift, column: &ColumnProfile, n_rows: [usize; 2]) -> String {
    let mut told: Vec<String> = differences(shift, n_rows);
    // It has a column of its own.
    told.retain(|what| !what.starts_with("stability"));
    if let Some([here, there]) = shift.median {
        told.insert(0, format!("median {} here, {} there", label(column, here), label(column, there)));
    } else if let Some((level, [here, there])) = moved_most(shift, n_rows) {
        let name = shown(&cut(level, 24));
        told.insert(0, format!("{name} {:.1} % here, {:.1} % there", 100.0 * here, 100.0 * there));
    }
    told.join("; ")
}

/// The category whose share moved most, and its shares of the cells that are not missing.
fn moved_most(shift: &ColumnShift, n_rows: [usize; 2]) -> Option<(&str, [f64; 2])> {
    let shares =
        |counts: [usize; 2]| [0, 1].map(|t| counts[t] as f64 / (n_rows[t] - shift.missing[t]).max(1) as f64);
    let levels = shift.levels.iter().map(|level| (level.value.as_str(), shares(level.counts)));
    levels.max_by(|(_, a), (_, b)| (a[0] - a[1]).abs().total_cmp(&(b[0] - b[1]).abs()))
}

/// Whether the rows of the two tables can be told apart, as a sentence.
pub fn told_apart(profile: &Profile, of: &Against) -> String {
    let Some(found) = &of.adversary else {
        return format!(
            "Whether rows can be told apart was not tried: it takes {} of either table and a column that varies.",
            counted(adversary::FEWEST_ROWS, "row")
        );
    };
    let area = format!(
        "area under the curve {:.3}, {} % interval {:.3} to {:.3}, of {} + {} rows that it had not learned from",
        found.auc,
        100.0 * found.confidence,
        found.interval[0],
        found.interval[1],
        thousands(found.rows[0]),
        thousands(found.rows[1])
    );
    if found.interval[1] < 0.5 {
        return format!(
            "A network cannot tell the rows of the two tables apart ({area}; 0.5 is chance). Below 0.5 it is wrong more often \
             than chance would be: the tables share rows, or rows that are much alike, and it takes a row for one of the \
             table in which it has learned its like."
        );
    }
    if !found.apart {
        let little = if found.interval[0] > 0.5 { "hardly tells" } else { "cannot tell" };
        return format!("A network {little} the rows of the two tables apart ({area}; 0.5 is chance).");
    }
    if found.by.is_empty() {
        return format!(
            "A network tells the rows of the two tables apart ({area}; 0.5 is chance), and could do without any one of the columns."
        );
    }
    let by: Vec<String> = found
        .by
        .iter()
        .take(5)
        .map(|one| format!("{} ({:.3})", shown(&profile.columns[one.column].name), one.loses))
        .collect();
    format!(
        "A network tells the rows of the two tables apart ({area}; 0.5 is chance). What gives them away, by how much the area \
         loses without it: {}.",
        by.join(", ")
    )
}

/// What was left out of the comparison, in sentences.
pub fn not_compared(profile: &Profile, of: &Against) -> Vec<String> {
    let name = |i: usize| profile.columns[i].name.as_str();
    let mut told = Vec::new();
    if !of.lacking.is_empty() {
        told.push(format!("Not in the other table: {}.", listed(of.lacking.iter().map(|&i| name(i)))));
    }
    if !of.extra.is_empty() {
        told.push(format!("Only in the other table: {}.", listed(of.extra.iter().map(String::as_str))));
    }
    let mut whys: Vec<&str> = of.not_compared.iter().map(|(_, why)| *why).collect();
    whys.dedup();
    let mut seen = Vec::new();
    for why in whys {
        if !seen.contains(&why) {
            seen.push(why);
            let names = of.not_compared.iter().filter(|(_, w)| *w == why).map(|(i, _)| name(*i));
            told.push(format!("Not compared, as {why}: {}.", listed(names)));
        }
    }
    if let Some(n) = of.adversary.as_ref().map(|found| found.left_out).filter(|n| *n > 0) {
        told.push(format!(
            "The network had no room for {}, those that go least with the target.",
            counted(n, "column")
        ));
    }
    told
}

/// The section of the page.
pub(super) fn section(profile: &Profile, of: &Against) -> String {
    let n_rows = [profile.n_rows, of.n_rows];
    let mut out = format!(
        "<p>Here is <code>{}</code> with {}, there is <code>{}</code> with {}.</p>\n<p>{}</p>\n",
        escaped(file_name(&profile.table)),
        counted(n_rows[0], "row"),
        escaped(file_name(&of.table)),
        counted(n_rows[1], "row"),
        marked(&told_apart(profile, of))
    );
    for line in not_compared(profile, of) {
        let _ = writeln!(out, "<p>{}</p>", marked(&line));
    }
    if of.columns.is_empty() {
        return out;
    }
    let order: Vec<&ColumnShift> = of.largest_first(n_rows[0]).collect();
    out += "<ul class=\"legend\"><li><i class=\"k0\"></i>here</li><li><i style=\"background:var(--neg)\"></i>there</li></ul>\n";
    out += "<div class=\"scroll long\" tabindex=\"0\" role=\"region\" aria-label=\"How columns differ\"><table><thead><tr>\
            <th scope=\"col\">column</th><th scope=\"col\">differs</th><th scope=\"col\">here and there</th>\
            <th scope=\"col\" class=\"n\">stability index</th><th scope=\"col\" class=\"n\">corrected p</th><th scope=\"col\">how</th>\
            <th scope=\"col\">test</th><th scope=\"col\" class=\"n\">statistic</th></tr></thead><tbody>\n";
    for (place, shift) in order.iter().take(MOST_ROWS).enumerate() {
        let column = &profile.columns[shift.column];
        let number = |v: Option<f64>| v.map_or("–".to_owned(), short);
        let picture = if place < MOST_SHOWN { beside(shift, column, n_rows) } else { String::new() };
        let _ = writeln!(
            out,
            "<tr data-name=\"{0}\"><th scope=\"row\">{1}</th><td class=\"v-{2}\">{2}</td><td>{picture}</td><td class=\"n\">{3}</td>\
             <td class=\"n\">{4}</td><td class=\"values\">{5}</td><td class=\"name\">{6}</td><td class=\"n\">{7}</td></tr>",
            escaped(&column.name),
            escaped(&cut(&column.name, 60)),
            shift.verdict.name(),
            shift.psi.map_or("–".to_owned(), |psi| format!("{psi:.3}")),
            escaped(&p_value(shift.least_p())),
            marked(&how(shift, column, n_rows)),
            match shift.test {
                Test::KolmogorovSmirnov => "Kolmogorov–Smirnov".to_owned(),
                Test::ChiSquared => shift.df.map_or("χ²".to_owned(), |df| format!("χ², {df} d.f.")),
            },
            number(shift.statistic),
        );
    }
    out += "</tbody></table></div>\n";
    if order.len() > MOST_ROWS {
        let _ = writeln!(
            out,
            "<p>Shown are {MOST_ROWS} of {} columns; all are in <code>--json</code>.</p>",
            thousands(order.len())
        );
    }
    let _ = writeln!(
        out,
        "<p class=\"soft\">A column differs where its smallest p-value, \
         corrected for all {} (Holm), lies below {}: where nothing differs, that happens to any column of at most one pair of tables \
         in {:.0}. It has shifted where besides the population stability index is {} or more, or shares of missing cells or of new \
         categories lie {} points apart or more; else the difference is slight.</p>",
        counted(of.n_tests, "test"),
        of.level,
        1.0 / of.level,
        super::shift::PSI_SHIFT,
        100.0 * super::shift::SHARE_SHIFT
    );
    out
}

/// The two distributions of a column.
fn beside(shift: &ColumnShift, column: &ColumnProfile, n_rows: [usize; 2]) -> String {
    if let (Some(there), Some(x)) = (&shift.histogram, &column.numbers) {
        return histogram_beside(&x.histogram, there, [120.0, 32.0], &|v| label(column, v));
    }
    let mut out = String::from("<table class=\"pair\"><tbody>");
    for level in shift.levels.iter().take(4) {
        let share = |t: usize| 100.0 * level.counts[t] as f64 / (n_rows[t] - shift.missing[t]).max(1) as f64;
        let _ = write!(
            out,
            "<tr><td>{}</td><td title=\"{:.1} % here, {:.1} % there\"><span class=\"meter\"><i style=\"width:{:.1}%\"></i></span>\
             <span class=\"meter there\"><i style=\"width:{:.1}%\"></i></span></td></tr>",
            escaped(&cut(&level.value, 14)),
            share(0),
            share(1),
            share(0),
            share(1)
        );
    }
    out + "</tbody></table>"
}
