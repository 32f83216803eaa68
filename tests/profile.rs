//! Profiles against pandas, scipy, statsmodels and scikit-learn; planted problems, each found and cured by its line;
//! hostile tables.

use crate::cli;
use std::path::{Path, PathBuf};

use cli::{call, can_be_pasted_into_every_recipe};
use serde_json::Value;
use statera::config::Config;
use statera::profile::source::Loaded;
use statera::profile::{Concern, Depth, Profile, html, lines, of_training_rows, profile};
use statera::random::{Purpose, Stream};
use statera::run::Plan;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn golden() -> Value {
    serde_json::from_str(&std::fs::read_to_string(file("tests/golden/profile.json")).unwrap()).unwrap()
}

fn config(path: &Path, target: &str) -> Config {
    let mut config = Config::default();
    path.clone_into(&mut config.data.path);
    target.clone_into(&mut config.data.target);
    config
}

fn profiled(path: &Path, target: &str) -> Profile {
    let loaded = Loaded::read(&config(path, target), 1.0).unwrap();
    profile(&loaded.source(), None, 0, Depth::Whole, &|_| ())
}

fn near(found: f64, expected: &Value, tolerance: f64, what: &str) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("{what}: {expected}"));
    assert!(
        (found - expected).abs() <= tolerance * expected.abs().max(1.0),
        "{what}: {found} is not {expected}"
    );
}

/// The profile of a table is that of `golden`, which Python's libraries made.
fn agrees(found: &Profile, golden: &Value) {
    for (name, expected) in golden["numbers"].as_object().unwrap() {
        let column = found.columns.iter().find(|c| c.name == *name).unwrap();
        let x = column.numbers.as_ref().unwrap();
        assert_eq!(column.missing as u64, expected["missing"].as_u64().unwrap(), "{name}");
        assert_eq!(column.distinct as u64, expected["distinct"].as_u64().unwrap(), "{name}");
        let figures = [
            ("min", x.min),
            ("max", x.max),
            ("mean", x.moments.mean),
            ("std", x.moments.std.unwrap()),
            ("skewness", x.moments.skewness.unwrap()),
            ("kurtosis", x.moments.kurtosis.unwrap()),
        ];
        for (key, value) in figures {
            near(value, &expected[key], 1e-11, &format!("{name}: {key}"));
        }
        for (q, expected) in x.quantiles.iter().zip(expected["quantiles"].as_array().unwrap()) {
            near(*q, expected, 1e-14, &format!("{name}: quantiles"));
        }
        let counted = x.histogram.counts.iter().sum::<usize>() + x.histogram.below + x.histogram.above;
        assert_eq!(counted, found.n_rows - column.missing, "{name}");
    }
    for (name, expected) in golden["categories"].as_object().unwrap() {
        let column = found.columns.iter().find(|c| c.name == *name).unwrap();
        let expected = expected.as_object().unwrap();
        assert_eq!((column.distinct, column.top.len()), (expected.len(), expected.len()));
        for f in &column.top {
            assert_eq!(Some(f.count as u64), expected[&f.value].as_u64(), "{name}: {}", f.value);
        }
    }
    let of = found.associations.as_ref().unwrap();
    let pairs = golden["pairs"].as_array().unwrap();
    assert_eq!(of.pairs.len(), pairs.len());
    for expected in pairs {
        let index = |i: usize| {
            found.columns.iter().position(|c| Some(c.name.as_str()) == expected[i].as_str()).unwrap()
        };
        let pair = of.pair(index(0), index(1)).unwrap();
        near(pair.value.unwrap(), &expected[2], 1e-12, &expected.to_string());
        match pair.spearman {
            Some(rho) => near(rho, &expected[3], 1e-12, &expected.to_string()),
            None => assert!(expected[3].is_null(), "{expected}"),
        }
    }
    let inflation = found.collinearity.as_ref().unwrap();
    let expected = &golden["collinearity"];
    assert_eq!(inflation.columns.len(), expected["vif"].as_object().unwrap().len());
    for (vif, &column) in inflation.found.vif.iter().zip(&inflation.columns) {
        let name = &found.columns[column].name;
        near(vif.unwrap(), &expected["vif"][name], 1e-10, name);
    }
    near(inflation.found.condition_number.unwrap(), &expected["condition_number"], 1e-9, "condition number");
    assert_eq!(found.duplicates.count as u64, golden["duplicates"].as_u64().unwrap());
}

#[test]
fn figures_are_those_of_pandas_scipy_and_statsmodels() {
    let golden = golden();
    agrees(&profiled(&file("data/insurance.csv"), "charges"), &golden["insurance"]);
    agrees(&profiled(&file("tests/golden/wine.csv"), "kind"), &golden["wine"]);
}

/// A table with one problem of each kind; `y` is the target.
fn planted(classes: bool) -> String {
    let mut stream = Stream::new(11, Purpose::Noise, 0);
    let mut rows = Vec::new();
    for i in 0..400_usize {
        let [a, b, c, d] = [0; 4].map(|_| stream.normal());
        let y = 2.0 * a - b + 0.5 * d;
        let cells = [
            format!("{a:.3}"),
            format!("{b:.3}"),
            // Nearly their sum: the inflation is finite.
            format!("{:.3}", a + b + 0.02 * c),
            if classes { (if y > 4.0 { "yes" } else { "no" }).to_owned() } else { format!("{y:.3}") },
            if classes {
                (if y > 4.0 { "Y" } else { "N" }).to_owned()
            } else {
                format!("{:.3}", 2.0 * y + 0.001 * c)
            },
            if classes { "-".to_owned() } else { format!("EUR {y:.3}") },
            (1000 + i).to_string(),
            "same".to_owned(),
            u8::from(i == 7).to_string(),
            if i % 8 == 0 { format!("{c:.2}") } else { String::new() },
            ["Rome", "Oslo", "Bern"][stream.below(3)].to_owned(),
            format!("{:.3}", if i == 9 { 1e4 } else { stream.normal() }),
            if i == 20 {
                "n/a.".to_owned()
            } else if i == 21 {
                "inf".to_owned()
            } else {
                format!("{:.2}", stream.normal())
            },
        ];
        rows.push(cells);
    }
    let other = |city: &str| city.chars().rev().collect::<String>();
    let mut text = "a,b,total,y,leak,leak_text,row,constant,nearly,sparse,city,far,odd,place\n".to_owned();
    for cells in rows.iter().chain([&rows[5], &rows[6]]) {
        text += &format!("{},{}\n", cells.join(","), other(&cells[10]));
    }
    text
}

fn concerns(found: &Profile) -> Vec<(Concern, &str)> {
    found.warnings.iter().map(|w| (w.concern, w.columns.first().map_or("", String::as_str))).collect()
}

#[test]
fn every_planted_problem_is_found_and_nothing_else() {
    use Concern::{
        Collinear, Constant, Duplicates, FarOutliers, Identifier, Imbalance, Leak, MostlyMissing,
        NearlyConstant, SameTwice, Unreadable,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, planted(false)).unwrap();
    let found = profiled(&path, "y");
    assert_eq!(
        concerns(&found),
        [
            (Leak, "leak"),
            (Leak, "leak_text"),
            (Unreadable, "odd"),
            (Identifier, "row"),
            (Duplicates, ""),
            (Constant, "constant"),
            (NearlyConstant, "nearly"),
            (MostlyMissing, "sparse"),
            (Collinear, "total"),
            (SameTwice, "place"),
            (FarOutliers, "far"),
        ]
    );
    assert_eq!((found.duplicates.count, &found.duplicates.first[..]), (2, &[401, 402][..]));
    let collinear = found.warnings.iter().find(|w| w.concern == Collinear).unwrap();
    assert_eq!(collinear.columns.len(), 3, "{collinear:?}");

    std::fs::write(&path, planted(true)).unwrap();
    let found = profiled(&path, "y");
    let told = concerns(&found);
    assert!(told.contains(&(Leak, "leak")) && told.contains(&(Imbalance, "y")), "{told:?}");
    assert!(told.contains(&(Constant, "leak_text")), "a column of missing cells: {told:?}");
}

#[test]
fn functions_of_the_target_and_parts_of_it_are_leaks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let mut stream = Stream::new(12, Purpose::Noise, 0);
    let mut text = "a,b,noise,band,high,level,degree,year,y\n".to_owned();
    for i in 0..500 {
        let (a, b, e) = (stream.normal(), 3.0 * stream.normal(), stream.normal());
        let y = a + b;
        let band = if y < -2.0 {
            "low"
        } else if y < 1.0 {
            "middle"
        } else {
            "upper"
        };
        let degree = ["none", "school", "college"][i % 3];
        text += &format!(
            "{a:.4},{b:.4},{e:.3},{band},{},{},{degree},{},{y:.4}\n",
            u8::from(y > 0.5),
            i % 3 * 4,
            1990 + i % 30
        );
    }
    std::fs::write(&path, text).unwrap();
    let found = profiled(&path, "y");
    let leaks =
        [(Concern::Leak, "band"), (Concern::Leak, "high"), (Concern::Leak, "b"), (Concern::Leak, "a")];
    assert_eq!(concerns(&found)[..4], leaks, "{:?}", found.warnings);
    // A number and a category that say the same; and nothing else.
    assert_eq!(concerns(&found)[4..], [(Concern::SameTwice, "degree")], "{:?}", found.warnings);
    assert!(found.warnings[0].text.contains("seems to be a function of `y`"), "{:?}", found.warnings[0]);
    assert!(
        found.warnings[2].text.starts_with("`b` with `a` makes up `y` (R² 1.000000)"),
        "{:?}",
        found.warnings[2]
    );
    // Each line takes its column away, and with one part the other tells too little.
    let line = found.warnings[2].line.clone();
    let mut config = config(&path, "y");
    config = config.with(&[line]).unwrap();
    let loaded = Loaded::read(&config, 1.0).unwrap();
    let after = profile(&loaded.source(), None, 0, Depth::Warnings, &|_| ());
    assert!(!concerns(&after).contains(&(Concern::Leak, "a")), "{:?}", after.warnings);
    // Years are written as years.
    let year = found.columns.iter().find(|c| c.name == "year").unwrap();
    assert_eq!(html::values(year, found.n_rows), "1990 to 2019, median 2004");
}

#[test]
fn ten_thousand_columns_take_bounded_time_and_say_what_is_left_out() {
    let n = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let mut stream = Stream::new(6, Purpose::Noise, 0);
    for name in ["t.csv", "u.csv"] {
        let mut text = (0..n).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",") + ",y\n";
        for row in 0..60 {
            for i in 0..n {
                // Numbers, categories, constants and empty columns in turn.
                text += &match i % 10 {
                    0 => ["p", "q"][stream.below(2)].to_owned(),
                    1 => "1".to_owned(),
                    2 => String::new(),
                    _ => format!("{:.2}", stream.normal()),
                };
                text.push(',');
            }
            text += &format!("{}\n", row % 7);
        }
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let outcome = call(folder.path(), &["profile", "t.csv", "--target", "y", "--against", "u.csv"]).done();
    assert!(
        outcome.out.contains("… and 9,961 more columns; the page and --json have all"),
        "{}",
        outcome.out
    );
    assert!(outcome.out.contains("The network had no room for"), "{}", outcome.out);
    assert!(
        !outcome.out.contains("shifted column") && !outcome.out.contains("told apart:"),
        "{}",
        outcome.out
    );
    let page = std::fs::read_to_string(folder.path().join("t-profile.html")).unwrap();
    is_sound(&page);
    assert!(page.len() < 6_000_000, "{} bytes", page.len());
    assert!(page.contains("Listed are the first 1,000 of 10,001 columns"), "the limit of the table is said");
}

#[test]
fn tables_without_problems_have_no_warnings() {
    let found = profiled(&file("tests/golden/wine.csv"), "kind");
    assert_eq!(concerns(&found), []);
    let found = profiled(&file("data/insurance.csv"), "charges");
    assert_eq!(concerns(&found), [(Concern::Duplicates, "")]);
    let found = profiled(&file("data/planted.csv"), "y");
    assert_eq!(concerns(&found), []);
}

#[test]
fn every_line_can_be_pasted_and_cures_what_it_is_about() {
    let folder = tempfile::tempdir().unwrap();
    for classes in [false, true] {
        let table = planted(classes);
        let path = folder.path().join("t.csv");
        std::fs::write(&path, &table).unwrap();
        let found = profiled(&path, "y");
        // Training refuses the odd cells, whatever else is set.
        let odd = found.warnings.iter().find(|w| w.concern == Concern::Unreadable).unwrap().line.clone();
        for warning in &found.warnings {
            let mut text = warning.line.clone() + "\n";
            if warning.line != odd {
                text += &format!("{odd}\n");
            }
            let written = folder.path().join("c.toml");
            std::fs::write(&written, text + "[train]\nepochs = 1\n").unwrap();
            call(folder.path(), &["config", "--check", "c.toml"]).done();
            let train = ["train", "t.csv", "--target", "y", "--config", "c.toml", "--quiet", "--json"];
            call(folder.path(), &train).done();
            can_be_pasted_into_every_recipe(&warning.line, &written);
            // And after --set, as the output says.
            let set = ["profile", "t.csv", "--target", "y", "--set", &warning.line, "--json"];
            let after: Value = serde_json::from_str(&call(folder.path(), &set).done().out).unwrap();
            let still = |w: &&Value| {
                w["concern"] == serde_json::to_value(warning.concern).unwrap()
                    && w["columns"][0] == serde_json::to_value(warning.columns.first()).unwrap()
            };
            let told: Vec<&Value> = after["warnings"].as_array().unwrap().iter().filter(still).collect();
            assert!(told.is_empty(), "{}: {told:?}", warning.line);
        }
        let together = lines(&found.warnings).join("\n");
        // Into a recipe with every section that the lines are of.
        let sections =
            "[data.columns]\n[data]\nbad_rows = \"skip\"\n[loss]\nlabel_smoothing = 0\n[train]\nepochs = 1\n";
        std::fs::write(folder.path().join("all.toml"), format!("{together}\n{sections}")).unwrap();
        call(folder.path(), &["train", "t.csv", "--target", "y", "--config", "all.toml"]).done();
        std::fs::write(folder.path().join("all.toml"), together + "\n[train]\nepochs = 1\n").unwrap();
        call(folder.path(), &["config", "--check", "all.toml"]).done();
        let all = ["train", "t.csv", "--target", "y", "--config", "all.toml", "--json"];
        let outcome = call(folder.path(), &all).done();
        assert!(!outcome.err.contains("suspected"), "{}", outcome.err);
        assert!(outcome.err.contains("2 repeated rows"), "{}", outcome.err);
    }
}

#[test]
fn a_target_with_far_outliers_is_told_a_loss_that_bears_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "x,y\n".to_owned();
    for i in 0..200_usize {
        let (x, far) = ((i * 37 % 101) as f64, if i == 77 { 1e5 } else { 0.0 });
        text += &format!("{x},{}\n", x / 3.0 + (i * 7 % 13) as f64 + far);
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let found = profiled(&folder.path().join("t.csv"), "y");
    assert_eq!(concerns(&found), [(Concern::FarOutliers, "y")]);
    let line = &found.warnings[0].line;
    assert_eq!(line, "loss.name = \"huber\"");
    // A recipe that has chosen a loss is not overruled.
    let recipe = std::fs::read_to_string(file("recipes/insurance.toml")).unwrap();
    let at = recipe.lines().position(|line| line == "name = \"mse\"").unwrap() + 2;
    std::fs::write(folder.path().join("c.toml"), format!("{line}\n{recipe}")).unwrap();
    let refused = call(folder.path(), &["config", "--check", "c.toml"]);
    let expected =
        format!("c.toml, line 1: `loss.name` is given twice, again in line {at}\n  try: leave one");
    assert!(refused.code != 0 && refused.err.contains(&expected), "{}", refused.err);
    let train = ["train", "t.csv", "--target", "y", "--set", line, "--set", "train.epochs=1"];
    let told = call(folder.path(), &train).done().err;
    assert!(told.contains("huber"), "{told}");
}

/// A table that takes more than it may: rows are drawn, and what is said of them is true.
#[test]
fn of_a_table_that_takes_too_much_memory_rows_are_drawn_and_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "i,x,c,y\n".to_owned();
    for i in 0..40_000 {
        // The last row alone is odd.
        let x = if i == 39_999 { "odd".to_owned() } else { format!("{}", i * 37 % 1009) };
        text += &format!("{i},{x},{},{}\n", ["p", "q", "r"][i * 5 % 3], i * 37 % 1009 * 2);
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let profile = ["profile", "t.csv", "--target", "y", "--memory", "2MiB"];
    let run = |more: &[&str]| call(folder.path(), &[&profile[..], more].concat()).done();
    let json: Value = serde_json::from_str(&run(&["--json"]).out).unwrap();
    let drawn = json["n_rows"].as_u64().unwrap() as usize;
    assert!((800..20_000).contains(&drawn), "{drawn}");
    assert_eq!(json["drawn_from"]["n_rows"], 40_000);
    assert_eq!(run(&["--json", "--threads", "1"]).out, run(&["--json", "--threads", "3"]).out);
    assert_ne!(run(&["--json", "--seed", "1"]).out, run(&["--json"]).out);
    let column = |name: &str| {
        json["columns"].as_array().unwrap().iter().find(|column| column["name"] == name).unwrap().clone()
    };
    // What a column is, is told from all rows, this one among them.
    assert!(column("c")["reason"].as_str().unwrap().contains("among 40,000 cells"), "{}", column("c"));
    let counts =
        column("c")["top"].as_array().unwrap().iter().map(|f| f["count"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(counts as usize, drawn);
    assert!(column("y")["numbers"]["max"].as_f64().unwrap() <= 2016.0);
    assert!(json["warnings"].to_string().contains("`x` alone predicts `y`"), "{}", json["warnings"]);
    let outcome = run(&["-o", "p.html"]);
    let told = outcome.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let thousands = match drawn {
        ..1000 => drawn.to_string(),
        _ => format!("{},{:03}", drawn / 1000, drawn % 1000),
    };
    let sentence = format!(
        "Of the 40,000 rows of `t.csv`, {thousands} were looked at, drawn by seed 0: all would take more than data.memory = \
         2MiB. The number of rows, and what the columns are, is of all rows; every other figure is of those that were drawn."
    );
    assert!(told.starts_with("t.csv: 40,000 rows,") && told.contains(&sentence), "{told}");
    let page = std::fs::read_to_string(folder.path().join("p.html")).unwrap();
    is_sound(&page);
    assert!(page.contains(&format!("{thousands} were looked at")), "the page says so");
    assert!(page.contains(&format!("{thousands} of them looked at")), "and its figures");
    assert!(page.contains(&format!("On {thousands} of 40,000 rows.")), "and its foot");
    // Two tables share the memory, and each is spoken of.
    let told = run(&["--against", "t.csv"]).out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(told.matches("were looked at, drawn by seed 0").count(), 2, "{told}");
    // With enough of it, all rows are looked at.
    let all = call(folder.path(), &["profile", "t.csv", "--memory", "1GiB", "--json"]).done();
    let all: Value = serde_json::from_str(&all.out).unwrap();
    assert_eq!((&all["n_rows"], &all["drawn_from"]), (&Value::from(40_000), &Value::Null));
    for (memory, meant) in [("20", "20GiB"), ("1.5", "1.5GiB"), ("1000000", "1000000GiB")] {
        let few = call(folder.path(), &["profile", "t.csv", "--memory", memory]);
        let remedy = format!("did you mean {meant}? --memory {meant}");
        assert!(few.code == 2 && few.err.contains(&remedy), "{}", few.err);
    }
    let wrong = call(folder.path(), &["profile", "t.csv", "--memory", "much"]);
    assert!(wrong.code == 2 && wrong.err.contains("--memory 2GiB"), "{}", wrong.err);
}

#[test]
fn a_run_from_disk_notices_what_one_in_memory_does() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), planted(false)).unwrap();
    let odd = "data.null = ['', 'n/a.', 'inf']";
    let train = ["train", "t.csv", "--target", "y", "--set", odd, "--set", "train.epochs=1"];
    let noticed = |more: &[&str]| {
        let told = call(folder.path(), &[&train[..], more].concat()).done().err;
        let from = told.find("Noticed in").unwrap_or_else(|| panic!("nothing noticed: {told}"));
        told[from..].split("\n\n").next().unwrap().to_owned()
    };
    let in_memory = noticed(&[]);
    assert!(in_memory.contains("`leak` alone predicts `y`"), "{in_memory}");
    let disk = ["--set", "data.stream=always", "--cache", "cache"];
    // Made by the first run, found by the second.
    let from_disk = noticed(&disk);
    assert_eq!(noticed(&disk), from_disk);
    // All but repeated rows, which a run from disk cannot leave out; in their place there is room for what comes next.
    let line = "data.drop_duplicates = true\n";
    let [from, to] =
        [in_memory.find("  duplicate rows").unwrap(), in_memory.find(line).unwrap() + line.len()];
    let others = format!("{}{}", &in_memory[..from], &in_memory[to..=in_memory.rfind('\n').unwrap()]);
    assert!(from_disk.starts_with(&others), "{from_disk}\n{others}");
}

#[test]
fn repeated_rows_are_left_out_where_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "a,c,y\n".to_owned();
    for i in 0..60 {
        text += &format!("{},{},{}\n", i % 30, ["p", "q"][i % 2], (i % 30) * 2);
    }
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    let mut config = config(&folder.path().join("t.csv"), "y");
    config.task = statera::config::Task::Regression;
    assert_eq!(Plan::new(config.clone()).unwrap().labels.rows.len(), 60);
    config.data.drop_duplicates = true;
    let plan = Plan::new(config).unwrap();
    assert_eq!(plan.labels.rows, (0..30).collect::<Vec<_>>());
    assert!(
        plan.split.train.rows().iter().chain(&plan.split.val).chain(&plan.split.test).all(|row| *row < 30)
    );
}

#[test]
fn what_training_notices_looks_at_training_rows_alone() {
    let folder = tempfile::tempdir().unwrap();
    let table = |poison: bool| {
        let mut text = "part,x,c,y\n".to_owned();
        let mut stream = Stream::new(3, Purpose::Noise, 0);
        for i in 0..300 {
            let part = ["train", "train", "train", "val", "test"][i % 5];
            let (x, y, c) = (stream.normal(), stream.normal(), ["p", "q"][i % 2]);
            // In the rows set aside everything gives the target away.
            let [x, y] = if poison && part != "train" { [1e6 * y, 1e3 * y] } else { [x, y] };
            text += &format!("{part},{x:.3},{c},{y:.3}\n");
        }
        text
    };
    let seen = [false, true].map(|poison| {
        let path = folder.path().join("t.csv");
        std::fs::write(&path, table(poison)).unwrap();
        let mut config = config(&path, "y");
        config.split.column = "part".into();
        of_training_rows(&Plan::new(config).unwrap())
    });
    assert_eq!(seen[0].n_rows, 180);
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn names_and_values_of_any_kind_are_escaped_and_quoted() {
    let names =
        ["<script>alert(1)</script>", "a\"b'c`d", "x & y", "new\nline", "[s] = 1 #", "\\u0041", "💧.é"];
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let mut text = names.map(quoted).join(",") + ",\"</title><img src=x onerror=alert(2)>\",y\n";
    let mut stream = Stream::new(5, Purpose::Noise, 0);
    for i in 0..60 {
        let cells: Vec<String> = names.iter().map(|_| "same".to_owned()).collect();
        let word = quoted(["<b>bold</b>", "\"><svg onload=alert(3)>", "&amp;"][i % 3]);
        text += &format!("{},{word},{:.3}\n", cells.join(","), stream.normal());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    let found = profiled(&path, "y");
    let page = html::page(&found);
    for raw in ["<script>alert", "<img", "<b>", "<svg onload", "</title><img", "onerror=alert(2)>\""] {
        assert!(!page.contains(raw), "{raw}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    // Every column is constant, and every line names its column exactly.
    let constant: Vec<_> = found.warnings.iter().filter(|w| w.concern == Concern::Constant).collect();
    assert_eq!(constant.len(), names.len());
    for (warning, name) in constant.iter().zip(names) {
        let written = folder.path().join("c.toml");
        std::fs::write(&written, format!("{}\n", warning.line)).unwrap();
        let config = Config::load(Some(&written), &[]).unwrap();
        assert_eq!(config.data.columns[name].drop, Some(true), "{}", warning.line);
        assert_eq!(warning.line.lines().count(), 1);
    }
}

/// Every element is closed in its turn, and nothing is loaded from anywhere.
fn is_sound(page: &str) {
    const VOID: [&str; 5] = ["meta", "input", "rect", "path", "!doctype"];
    let mut open: Vec<&str> = Vec::new();
    let body = page.split("<script>").next().unwrap();
    for part in body.split('<').skip(1) {
        let tag = part.split('>').next().unwrap();
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "…<{}", part.chars().take(80).collect::<String>());
        } else if !(tag.ends_with('/') || VOID.contains(&name) && name != "rect") {
            open.push(name);
        }
    }
    assert_eq!(open, ["html", "body"]);
    for foreign in ["http://", "https://", " src=", "url(", "@import", "<link"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn pages_are_sound_whatever_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let one_row = "a,b,c\n1,x,2020-01-01\n".to_owned();
    let words_only = format!("a,b\n{}", "x,y\nz,y\n".repeat(20));
    let missing_only = format!("a,b\n{}", "NA,1\n".repeat(20));
    let huge = format!("a,y\n{}", (0..40).map(|i| format!("{}e307,{i}\n", i % 7 - 3)).collect::<String>());
    for (text, target) in [
        (one_row.clone(), ""),
        (one_row, "a"),
        (words_only.clone(), ""),
        (words_only, "a"),
        (missing_only, "b"),
        (huge, "y"),
        (planted(false), "y"),
        (planted(true), "y"),
        (planted(true), ""),
    ] {
        std::fs::write(&path, &text).unwrap();
        let found = profiled(&path, target);
        is_sound(&html::page(&found));
        let json = serde_json::to_string(&found).unwrap();
        assert!(serde_json::from_str::<Value>(&json).is_ok());
    }
}

#[test]
fn a_thousand_columns_make_a_page_that_can_be_used() {
    let n = 1_000;
    let mut stream = Stream::new(5, Purpose::Noise, 0);
    let mut text = (0..n).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",") + ",y\n";
    for _ in 0..50 {
        let x: Vec<String> = (0..n).map(|_| format!("{:.2}", stream.normal())).collect();
        text += &format!("{},{:.2}\n", x.join(","), stream.normal());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    let outcome = call(folder.path(), &["profile", "t.csv", "--target", "y"]).done();
    assert!(outcome.out.contains("… and 961 more columns; the page and --json have all"), "{}", outcome.out);
    assert!(outcome.out.lines().count() < 250, "{}", outcome.out);
    let page = std::fs::read_to_string(folder.path().join("t-profile.html")).unwrap();
    is_sound(&page);
    assert!(page.len() < 4_000_000, "{} bytes", page.len());
    assert!(page.contains("Shown in full are 100 of 1,001 columns"), "the limit is said");
    assert!(page.contains("Shown are 40 of 1,001 columns"), "the limit of the matrix is said");
}

#[test]
fn pages_are_named_and_never_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(file("data/insurance.csv"), folder.path().join("insurance.csv")).unwrap();
    let run = |more: &[&str]| call(folder.path(), &[&["profile", "insurance.csv"], more].concat());
    let pages = || {
        let names =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "insurance.csv").collect();
        names.sort();
        names
    };
    assert!(run(&[]).done().err.contains("page: insurance-profile.html"));
    assert_eq!(run(&["--quiet"]).done().err, "");
    assert_eq!(pages(), ["insurance-profile-2.html", "insurance-profile.html"]);
    let before = std::fs::read(folder.path().join("insurance-profile.html")).unwrap();
    let outcome = run(&["-o", "insurance-profile.html", "--target", "charges"]);
    assert!(outcome.code == 2 && outcome.err.contains("--force"), "{}", outcome.err);
    assert_eq!(std::fs::read(folder.path().join("insurance-profile.html")).unwrap(), before);
    run(&["-o", "insurance-profile.html", "--target", "charges", "--force"]).done();
    assert_ne!(std::fs::read(folder.path().join("insurance-profile.html")).unwrap(), before);
    let outcome = run(&["-o", "insurance.csv", "--force"]);
    assert!(outcome.code == 2 && outcome.err.contains("the table itself"), "{}", outcome.err);
    let outcome = run(&["-o", "-"]);
    assert!(outcome.code == 2 && outcome.err.contains("-o profile.html, or --json"), "{}", outcome.err);
    run(&["--no-page"]).done();
    let json: Value = serde_json::from_str(&run(&["--json"]).done().out).unwrap();
    assert_eq!(json["columns"][0]["name"], "age");
    assert_eq!(pages().len(), 2);
    let outcome = run(&["--target", "chargse"]);
    assert!(outcome.code == 2 && outcome.err.contains("did you mean `charges`?"), "{}", outcome.err);
}

#[test]
fn a_profile_does_not_depend_on_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), planted(false)).unwrap();
    let json = |threads: &str| {
        call(folder.path(), &["profile", "t.csv", "--target", "y", "--json", "--threads", threads]).done().out
    };
    assert_eq!(json("1"), json("3"));
}

#[test]
fn the_summary_fits_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(file("data/insurance.csv"), folder.path().join("insurance.csv")).unwrap();
    let outcome = call(folder.path(), &["profile", "insurance.csv", "--target", "charges"]).done();
    let wide: Vec<&str> = outcome.out.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(wide.is_empty(), "{wide:?}");
    insta::assert_snapshot!("summary", outcome.out);
}
