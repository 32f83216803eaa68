//! Every command that the README, the guide and the pages of techniques show is run, in their order, and has to
//! succeed; every setting is on one of the pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The lines of all ```` ```sh ```` blocks, comments and empty lines left out, continued lines joined.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let (mut inside, mut begun) = (false, String::new());
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside && line.trim_end() == "```sh";
            continue;
        }
        let line = line.trim();
        if !inside || line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(part) = line.strip_suffix('\\') {
            begun.push_str(part);
        } else {
            commands.push(std::mem::take(&mut begun) + line);
        }
    }
    commands
}

/// A command's words, as a shell cuts them: quotes of both kinds, `#` begins a comment.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for c in command.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None if c == '#' && word.is_none() => break,
            None => {
                assert!(!"|&;<>$`*".contains(c), "{command}: {c} is for a shell, and this test has none");
                word.get_or_insert_default().push(c);
            }
        }
    }
    assert!(quote.is_none(), "{command}: a quote is not closed");
    words.extend(word);
    words
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The README, the pages of the guide and those of the techniques.
fn pages(root: &Path) -> Vec<PathBuf> {
    let mut pages = vec![root.join("README.md")];
    for folder in ["docs/guide", "docs/techniques"] {
        let mut inside: Vec<PathBuf> =
            fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        inside.retain(|page| page.extension().is_some_and(|e| e == "md"));
        inside.sort();
        assert!(!inside.is_empty(), "{folder} has no page");
        pages.extend(inside);
    }
    pages
}

/// The keys of a table of settings, `section.name`, its tables walked through.
fn keys(table: &toml::Table, prefix: &str) -> Vec<String> {
    let under = |name: &String, value: &toml::Value| match value {
        // A table without entries is a setting itself, as `data.columns` is.
        toml::Value::Table(table) if !table.is_empty() => keys(table, &format!("{prefix}{name}.")),
        _ => vec![format!("{prefix}{name}")],
    };
    table.iter().flat_map(|(name, value)| under(name, value)).collect()
}

#[test]
fn every_setting_is_on_a_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text: String = pages(root).into_iter().map(|page| fs::read_to_string(page).unwrap()).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_statera")).args(["config", "--defaults"]).output().unwrap();
    let defaults: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    let keys = keys(&defaults, "");
    assert!(keys.len() > 80 && keys.contains(&"train.batch_size".to_owned()), "{keys:?}");
    // As a whole word in code: beginning a longer key does not count.
    let is_told = |key: &str| {
        let start = format!("`{key}");
        text.split(&start).skip(1).any(|rest| rest.starts_with(['`', ' ', '=', '.']))
    };
    let missing: Vec<&String> = keys.iter().filter(|key| !is_told(key)).collect();
    assert!(missing.is_empty(), "on no page of README.md, docs/guide or docs/techniques: {missing:?}");
}

/// The names beside the rows of a forest plot, from top to bottom of the alphabet.
fn row_names(svg: &str) -> Vec<&str> {
    let is_name = |line: &&str| line.starts_with("<text x=\"288.0\"") && line.contains("text-anchor=\"end\"");
    let mut names: Vec<&str> =
        svg.lines().filter(is_name).filter_map(|line| line.split(['>', '<']).nth(2)).collect();
    names.sort_unstable();
    names
}

/// The figure of a page has the rows that the command under it makes: what it says of them may be that of another
/// machine, but none may be missing.
fn check_figure(root: &Path, folder: &Path, arguments: &[String]) {
    let after = |option: &str| arguments.iter().skip_while(|a| *a != option).nth(1);
    let read =
        |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let figures = root.join("docs/techniques/figures");
    // A start depends on the seed alone.
    if let (true, Some(name)) = (arguments.iter().any(|a| a == "--init"), after("--svg")) {
        let same = read(folder.join(name)) == read(figures.join(name));
        assert!(same, "{name} is not what its command draws: run scripts/make_figures.py");
    }
    let Some(name) = after("--out").filter(|_| arguments[0] == "ablate") else { return };
    let made = read(folder.join(name).join("ablation.svg"));
    let shown = read(figures.join(format!("{name}.svg")));
    assert!(!row_names(&made).is_empty(), "{name}: no rows");
    assert_eq!(
        row_names(&shown),
        row_names(&made),
        "{name}.svg is of another list: run scripts/make_figures.py"
    );
}

#[test]
fn every_command_of_the_readme_the_guide_and_the_techniques_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let makefile = fs::read_to_string(root.join("Makefile")).unwrap();
    for page in pages(root) {
        let name = page.strip_prefix(root).unwrap().display();
        let commands = commands(&fs::read_to_string(&page).unwrap());
        assert!(
            commands.iter().any(|command| command.starts_with("statera ")),
            "{name} shows no command of statera in a ```sh block"
        );
        // Each page is followed from its beginning, in a folder with what a clone brings.
        let folder = tempfile::tempdir().unwrap();
        for brought in ["data", "recipes"] {
            copy_folder(&root.join(brought), &folder.path().join(brought));
        }
        for command in commands {
            let words = words(&command);
            match &words[..] {
                [programme, arguments @ ..] if programme == "statera" => {
                    let output = Command::new(env!("CARGO_BIN_EXE_statera"))
                        .args(arguments)
                        .current_dir(folder.path())
                        .output()
                        .unwrap();
                    let error = String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success(), "{name}: {command}\n{error}");
                    check_figure(root, folder.path(), arguments);
                }
                [make, target] if make == "make" => {
                    let rule = format!("\n{target}:");
                    assert!(makefile.contains(&rule), "{name}: {command}: the Makefile has no such target");
                }
                _ => panic!("{name}: {command}: neither statera nor make, so nothing shows that it works"),
            }
        }
    }
}

#[test]
fn commands_are_found_and_cut_as_a_shell_does() {
    let text = "```sh\nmake demo\n# a comment\nstatera a \\\n  --set 'x=[1, 2]' # why\n```\n```text\nno\n```\n```sh\nb\n```";
    assert_eq!(commands(text), ["make demo", "statera a --set 'x=[1, 2]' # why", "b"]);
    assert_eq!(words("statera a --set 'x=[1, 2]' \"\" # why"), ["statera", "a", "--set", "x=[1, 2]", ""]);
}

/// The ```` ```text ```` blocks of a part of a page, line by line.
fn samples(part: &str) -> Vec<&str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in part.lines() {
        if line.starts_with("```") {
            inside = !inside && line == "```text";
        } else if inside {
            lines.push(line);
        }
    }
    lines
}

/// The words of a text with single spaces between them, and `#` for what another run may print otherwise: times, or
/// `every_number`.
fn words_without_times(text: &str, every_number: bool) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_time = |i: usize| {
        let unit = words.get(i + 1).map_or("", |word| word.trim_end_matches([':', ';', ',']));
        ["ms", "s"].contains(&unit)
    };
    let has_digit = |word: &str| word.contains(|c: char| c.is_ascii_digit());
    let shown = words.iter().enumerate().map(|(i, &word)| {
        let changes = has_digit(word) && (is_time(i) || every_number);
        if changes { "#" } else { word }
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_sample_of_the_readme_is_what_is_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let session = readme.split("## A first session").nth(1).unwrap().split("\n## ").next().unwrap();
    let command = &commands(session)[0];
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&root.join("data"), &folder.path().join("data"));
    let output = Command::new(env!("CARGO_BIN_EXE_statera"))
        .args(&words(command)[1..])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let printed = [output.stderr, output.stdout].map(|bytes| String::from_utf8(bytes).unwrap()).join("\n");
    assert!(output.status.success(), "{printed}");
    let lines = samples(session);
    assert!(lines.len() > 20, "{lines:?}");
    // Elsewhere the last bits of a logarithm, and so of the initial weights, may be others.
    let every_number = !cfg!(all(target_os = "linux", target_arch = "x86_64"));
    let mut rest = &words_without_times(&printed, every_number)[..];
    for line in lines {
        // What is left out of the sample stands for anything, but what is there comes in this order.
        for part in line.split('…').map(|part| words_without_times(part, every_number)) {
            let Some(at) = rest.find(&part) else {
                panic!("the README shows {line:?}, of which {part:?} is not printed (any more):\n{printed}");
            };
            rest = &rest[at + part.len()..];
        }
    }
}

#[test]
fn words_are_compared_without_times() {
    let text = "in 29 ms: kept  13 of 7,000 rows\n in 1.5 s";
    assert_eq!(words_without_times(text, false), "in # ms: kept 13 of 7,000 rows in # s");
    assert_eq!(words_without_times(text, true), "in # ms: kept # of # rows in # s");
    assert_eq!(samples("a\n```text\nb\n```\n```sh\nc\n```\n```text\nd\n```"), ["b", "d"]);
}
