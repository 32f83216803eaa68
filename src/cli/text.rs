//! Tables and numbers as people read them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use console::Term;

/// No line of what is printed is wider than this, but for paths, names and commands that cannot be broken; on a terminal
/// that is narrower, none is wider than that.
const WIDTH: usize = 100;
/// No terminal is taken for narrower than this.
const NARROWEST: usize = 60;

/// The columns of the terminal that this is; none where it goes elsewhere.
fn columns(of: &Term) -> Option<usize> {
    of.size_checked().filter(|_| of.is_term()).map(|(_, columns)| usize::from(columns).max(NARROWEST))
}

/// The widest line of text.
fn width() -> usize {
    static NARROW: OnceLock<usize> = OnceLock::new();
    *NARROW.get_or_init(|| {
        let narrow = [Term::stdout(), Term::stderr()].iter().filter_map(columns).min();
        narrow.map_or(WIDTH, |columns| columns.min(WIDTH))
    })
}

/// Writes a line for the user to standard error; a reader that has gone away ends nothing.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A text in lines of at most [`width`], each beginning with `indent` spaces.
pub(crate) fn wrap(text: &str, indent: usize) -> String {
    let pad = " ".repeat(indent);
    lines(text, width() - indent).into_iter().fold(String::new(), |text, line| text + &pad + &line + "\n")
}

/// A text that is not broken at its spaces.
pub(crate) fn unbroken(text: &str) -> String {
    text.replace(' ', "\u{a0}")
}

/// The text broken between words into lines of at most `width`; longer words stay whole.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            *line += word;
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            *line = format!("{line} {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.into_iter().map(|line| line.replace('\u{a0}', " ")).collect()
}

/// A table whose last column is text, broken into lines that stay in that column.
pub(crate) fn wrapped_table(rows: &[Vec<String>]) -> String {
    const LEAST: usize = 30;
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max();
    let taken: usize = (0..n_columns.saturating_sub(1)).map(|c| widest(c).unwrap_or(0) + 2).sum();
    let width = width().saturating_sub(taken + 2).max(LEAST);
    let mut broken = Vec::new();
    for row in rows {
        let Some((last, others)) = row.split_last() else { continue };
        for (i, line) in lines(last, width).into_iter().enumerate() {
            let mut cells = if i == 0 { others.to_vec() } else { vec![String::new(); others.len()] };
            cells.push(line);
            broken.push(cells);
        }
    }
    table(&broken, &[])
}

/// A word as a POSIX shell takes it: bare where that is safe, else between single quotes.
pub(crate) fn shell(word: &str) -> String {
    let safe = |c: char| c.is_alphanumeric() || "._-/=+:,@%".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The files of a table as arguments of a command; what came through a pipe cannot be named.
pub(crate) fn sources(sources: &[PathBuf]) -> String {
    let word = |source: &PathBuf| match source.to_str() {
        Some("-" | "/dev/stdin") => "TABLE.csv".to_owned(),
        _ => shell(&path(source)),
    };
    sources.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A name on one line, cut where it would push a table apart.
pub(crate) fn name(name: &str) -> String {
    const LONGEST: usize = 32;
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let mut text: String = name.chars().take(LONGEST).map(shown).collect();
    if name.chars().count() > LONGEST {
        text.push('…');
    }
    text
}

/// A count and its noun: `1 row`, `1,338 rows`.
pub(crate) fn counted(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Rows of cells in columns: to the left, or to the right where `right` says so.
pub(crate) fn table(rows: &[Vec<String>], right: &[bool]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (c, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[c] - cell.chars().count());
            if right.get(c).copied().unwrap_or(false) {
                let _ = write!(line, "{pad}{cell}  ");
            } else {
                let _ = write!(line, "{cell}{pad}  ");
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A table as [`table`] makes it; where the terminal is too narrow for it, its further columns stand below, beside the first.
pub(crate) fn wide_table(rows: &[Vec<String>], right: &[bool]) -> String {
    columns(&Term::stdout()).map_or_else(|| table(rows, right), |most| blocks(rows, right, most))
}

/// The table in blocks of columns of at most this width. A column without a head belongs to the one before.
fn blocks(rows: &[Vec<String>], right: &[bool], most: usize) -> String {
    let Some(heads) = rows.first() else { return String::new() };
    let widest =
        |c: usize| rows.iter().map(|r| r.get(c).map_or(0, |s| s.chars().count() + 2)).max().unwrap_or(0);
    let mut out = Vec::new();
    let mut block = vec![0];
    let mut taken = widest(0) + 2;
    let mut from = 1;
    while from < heads.len() {
        let to = (from + 1..heads.len()).find(|c| !heads[*c].is_empty()).unwrap_or(heads.len());
        let needed: usize = (from..to).map(widest).sum();
        if taken + needed > most + 2 && block.len() > 1 {
            out.push(std::mem::replace(&mut block, vec![0]));
            taken = widest(0) + 2;
        }
        block.extend(from..to);
        taken += needed;
        from = to;
    }
    out.push(block);
    let part = |block: &Vec<usize>| {
        let pick =
            |row: &Vec<String>| block.iter().map(|c| row.get(*c).cloned().unwrap_or_default()).collect();
        let right: Vec<bool> = block.iter().map(|c| right.get(*c).copied().unwrap_or(false)).collect();
        table(&rows.iter().map(pick).collect::<Vec<_>>(), &right)
    };
    out.iter().map(part).collect::<Vec<_>>().join("\n")
}

/// Lines that do not go beyond the edge of a terminal, for what is drawn in place there.
pub(crate) fn clipped(text: &str) -> String {
    let most = columns(&Term::stderr()).unwrap_or(usize::MAX);
    // A spinner stands before the first.
    let clip = |line: &str| match line.char_indices().nth(most.saturating_sub(3)) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    };
    text.lines().map(clip).collect::<Vec<_>>().join("\n")
}

/// A count with commas between thousands.
pub(crate) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A measured number: whole with commas from 1,000 on, four significant digits below.
pub(crate) fn number(x: f64) -> String {
    let size = x.abs();
    if !x.is_finite() {
        x.to_string()
    } else if size >= 1e12 || (size != 0.0 && size < 1e-3) {
        format!("{x:.3e}")
    } else if size >= 1000.0 {
        let sign = if x < 0.0 { "-" } else { "" };
        format!("{sign}{}", count(size.round() as usize))
    } else if size >= 100.0 {
        format!("{x:.1}")
    } else if size >= 10.0 {
        format!("{x:.2}")
    } else {
        format!("{x:.4}")
    }
}

/// A measured number in a row whose largest has this size: no exponent for one that is as good as zero there.
pub(crate) fn number_beside(x: f64, largest: f64) -> String {
    if x.abs() >= 1e-3 || !(0.1..1e12).contains(&largest) {
        return number(x);
    }
    match format!("{x:.4}").as_str() {
        "-0.0000" => "0.0000".into(),
        text => text.into(),
    }
}

/// A difference to the digits that [`number`] shows of the number `beside` it.
pub(crate) fn beside(x: f64, beside: f64) -> String {
    let decimals = match beside.abs() {
        size if !(1e-3..1e12).contains(&size) || !x.is_finite() => return number(x),
        size if size >= 1000.0 && x.abs() >= 1000.0 => return number(x),
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        size if size >= 1.0 => 3,
        _ => 4,
    };
    let text = format!("{x:.decimals$}");
    // What rounds to nothing has no sign.
    if text.contains(|c: char| ('1'..='9').contains(&c)) { text } else { text.replace('-', "") }
}

/// A path as people write it: from the current folder where it lies in there, and without a detour over `..`.
pub(crate) fn path(path: &Path) -> String {
    let detour = path.components().skip(1).any(|part| part == Component::ParentDir);
    // Only the file system knows where `..` leads behind a symbolic link.
    let direct = || {
        let folder = std::env::current_dir().ok()?.canonicalize().ok()?;
        Some(path.canonicalize().ok()?.strip_prefix(folder).ok()?.to_owned())
    };
    let direct = if detour || path.is_absolute() { direct() } else { None };
    let direct = direct.filter(|direct| !direct.as_os_str().is_empty());
    direct.as_deref().unwrap_or(path).display().to_string()
}

/// A setting's number as people write it: `0.001`, and `1e-7` where zeros would have to be counted.
pub(crate) fn short(x: f64) -> String {
    if x != 0.0 && !(1e-4..1e6).contains(&x.abs()) { format!("{x:e}") } else { x.to_string() }
}

/// Seconds as people say them.
pub(crate) fn seconds(s: f64) -> String {
    if s < 1e-3 {
        "under 1 ms".into()
    } else if s < 1.0 {
        format!("{:.0} ms", s * 1000.0)
    } else if s < 10.0 {
        format!("{s:.1} s")
    } else if s < 120.0 {
        format!("{s:.0} s")
    } else if s < 7200.0 {
        format!("{:.0} min", s / 60.0)
    } else {
        format!("{:.1} h", s / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(123), "123");
        for (x, text) in [
            (4583.4, "4,583"),
            (-12_345.6, "-12,346"),
            (0.8612, "0.8612"),
            (0.0, "0.0000"),
            (12.345, "12.35"),
            (1e-5, "1.000e-5"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(x), text);
        }
    }

    #[test]
    fn a_number_as_good_as_zero_needs_no_exponent_beside_larger_ones() {
        for (x, largest, text) in [
            (-5.6e-4, 0.82, "-0.0006"),
            (-4.3e-6, 0.98, "0.0000"),
            (0.82, 0.82, "0.8200"),
            (5e-5, 5e-5, "5.000e-5"),
            (4583.4, 4583.4, "4,583"),
            (f64::NAN, 1.0, "NaN"),
        ] {
            assert_eq!(number_beside(x, largest), text);
        }
    }

    #[test]
    fn differences_have_the_digits_of_what_they_stand_beside() {
        for (x, size, text) in [
            (-283.04, 5154.0, "-283"),
            (-0.2, 5154.0, "0"),
            (1516.2, 5154.0, "1,516"),
            (-3.229e-4, 0.66, "-0.0003"),
            (-3.2294, 6.6, "-3.229"),
            (0.123, 45.0, "0.12"),
            (12.345, 150.0, "12.3"),
            (1e-5, 1e-4, "1.000e-5"),
        ] {
            assert_eq!(beside(x, size), text);
        }
    }

    #[test]
    fn paths_take_no_detour() {
        assert_eq!(path(Path::new("src/../Cargo.toml")), "Cargo.toml");
        assert_eq!(path(Path::new("../a.csv")), "../a.csv");
        assert_eq!(path(Path::new("none/../a.csv")), "none/../a.csv");
        let here = std::env::current_dir().unwrap();
        assert_eq!(path(&here.join("src/lib.rs")), Path::new("src/lib.rs").display().to_string());
        assert_eq!(path(&here), here.display().to_string());
        let above = here.parent().unwrap();
        assert_eq!(path(above), above.display().to_string());
    }

    #[test]
    fn what_a_terminal_has_no_room_for_stands_below() {
        let rows: Vec<Vec<String>> = [["trial", "val", "", "rate"], ["12", "5,182", "[1, 2]", "0.001"]]
            .iter()
            .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
            .collect();
        let right = [true, true, false, true];
        let whole = table(&rows, &right);
        let width = whole.lines().map(|line| line.chars().count()).max().unwrap();
        assert_eq!(blocks(&rows, &right, width), whole);
        let below = "  trial    val\n     12  5,182  [1, 2]\n\n  trial   rate\n     12  0.001\n";
        assert_eq!(blocks(&rows, &right, width - 1), below);
        // What stands without a head is not parted from what it belongs to, and no column is left out.
        assert_eq!(blocks(&rows, &right, 5), below);
    }

    #[test]
    fn long_texts_are_broken_between_words_within_their_column() {
        let reason = "word ".repeat(30).trim_end().to_owned();
        let rows = vec![vec!["a".into(), reason], vec!["long name".into(), "short".into()]];
        let text = wrapped_table(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(lines[0].starts_with("  a          word word") && lines[1].starts_with("             word"));
        assert_eq!(lines[2], "  long name  short");
        assert_eq!(wrap("a b", 2), "  a b\n");
        let (word, command) = ("x".repeat(WIDTH - 5), unbroken("a command"));
        assert_eq!(wrap(&format!("{word} {command}"), 0), format!("{word}\na command\n"));
        assert_eq!(wrap(&"x".repeat(200), 0), "x".repeat(200) + "\n");
    }

    #[test]
    fn names_are_safe_to_print_and_to_type() {
        assert_eq!(name("a\nb"), "a b");
        assert_eq!(name(&"x".repeat(40)), "x".repeat(32) + "…");
        assert_eq!(shell("it's"), r"'it'\''s'");
        assert_eq!((counted(1, "row"), counted(1338, "row")), ("1 row".into(), "1,338 rows".into()));
        assert_eq!([1e-3, 0.0, 1e-5, 1e9].map(short), ["0.001", "0", "1e-5", "1e9"]);
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["long".into(), "100".into()]];
        assert_eq!(table(&rows, &[false, true]), "  a       1\n  long  100\n");
    }
}
