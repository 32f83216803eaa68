//! Embeddings of raw columns from outside: trained, saved, used and judged with the binary.

use crate::cli;
use std::fmt::Write as _;
use std::path::Path;

use cli::{call, quick};
use serde_json::{Value, json};
use statera::config::{EmbeddingSpec, LayerSpec};
use statera::model::Model;

/// A folder with `t.csv`: a number with missing cells, a whole number, two categories, a date, and the target `y`;
/// and `yes.csv` with the target `yes` in its place.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "x,k,colour,town,day,y,yes\n".to_owned();
    for i in 0..160_u32 {
        let (x, k) = (f64::from(i) * 0.37 % 5.0, i * 7 % 11);
        let colour = ["red", "green", "blue"][i as usize * 5 % 3];
        let town = format!("t{}", i * 13 % 17);
        let y = (3.0 * x).sin() + f64::from(k) / 5.0 + if colour == "red" { 2.0 } else { 0.0 };
        let x = if i % 13 == 5 { String::new() } else { format!("{x:.2}") };
        let yes = if y > 1.5 { "yes" } else { "no" };
        writeln!(text, "{x},{k},{colour},{town},2024-{:02}-{:02},{y:.3},{yes}", i % 12 + 1, i % 28 + 1)
            .unwrap();
    }
    std::fs::write(folder.path().join("t.csv"), only(&text, &[0, 1, 2, 3, 4, 5])).unwrap();
    std::fs::write(folder.path().join("yes.csv"), only(&text, &[0, 1, 2, 3, 4, 6])).unwrap();
    folder
}

/// The lines of a CSV that hold these columns alone.
fn only(text: &str, columns: &[usize]) -> String {
    let line = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        columns.iter().map(|&c| cells[c]).collect::<Vec<_>>().join(",") + "\n"
    };
    text.lines().map(line).collect()
}

fn predictions(folder: &Path, model: &str, table: &str) -> (Vec<String>, String) {
    let outcome = call(folder, &["predict", model, table]).done();
    (outcome.out.lines().skip(1).map(str::to_owned).collect(), outcome.err)
}

#[test]
fn every_embedding_trains_predicts_and_evaluates() {
    let folder = folder();
    let path = folder.path();
    let whole = std::fs::read_to_string(path.join("t.csv")).unwrap();
    // All columns, numbers alone, categories alone.
    std::fs::write(path.join("numbers.csv"), only(&whole, &[0, 1, 5])).unwrap();
    std::fs::write(path.join("categories.csv"), only(&whole, &[2, 3, 5])).unwrap();
    let mut run = 0;
    for numeric in ["none", "plr", "pbld", "ple"] {
        for categories in ["one_hot", "embedding"] {
            for (table, target) in
                [("t.csv", "y"), ("yes.csv", "yes"), ("numbers.csv", "y"), ("categories.csv", "y")]
            {
                if target == "yes" && (numeric, categories) != ("plr", "embedding") {
                    continue;
                }
                run += 1;
                let out = format!("run-{run}");
                let sets =
                    [format!("embedding.numeric={numeric}"), format!("embedding.categories={categories}")];
                let more = ["--out", &out, "--set", &sets[0], "--set", &sets[1]];
                let told = call(path, &quick(table, target, &more)).done().err;
                let has_numbers = table != "categories.csv" && numeric != "none";
                let has_categories = table != "numbers.csv" && categories == "embedding";
                let asked = numeric != "none" || categories == "embedding";
                assert_eq!(
                    told.lines().any(|line| line.trim_start().starts_with("embedding")),
                    asked,
                    "{told}"
                );

                let summary = call(path, &["summary", &out]).done().out;
                let embeds = has_numbers || has_categories;
                assert_eq!(summary.contains("layers.0  embedding"), embeds, "{sets:?} {table}: {summary}");
                if has_numbers {
                    assert!(summary.contains(&format!("2 {numeric}")), "{summary}");
                }
                if has_categories {
                    assert!(summary.contains("2 categories"), "{summary}");
                }
                // The saved model predicts what evaluate judges: reloaded, alone or among others.
                let (all, _) = predictions(path, &out, table);
                assert_eq!(all.len(), 160);
                let content = std::fs::read_to_string(path.join(table)).unwrap();
                let lines: Vec<&str> = content.lines().collect();
                std::fs::write(path.join("one.csv"), format!("{}\n{}\n", lines[0], lines[78])).unwrap();
                assert_eq!(predictions(path, &out, "one.csv").0, [all[77].clone()]);
                call(path, &["evaluate", &out, table]).done();
            }
        }
    }
    assert_eq!(run, 25);
}

#[test]
fn unseen_categories_are_counted_and_have_the_vector_zero() {
    let folder = folder();
    let path = folder.path();
    let sets =
        ["--out", "run", "--set", "embedding.categories=embedding", "--set", "embedding.one_hot_up_to=3"];
    call(path, &quick("t.csv", "y", &sets)).done();
    let summary = call(path, &["summary", "run"]).done().out;
    assert!(summary.contains("1 category"), "three colours stay one-hot, 17 towns do not: {summary}");

    let row = |town: &str| format!("1.5,3,red,{town},2024-05-05,0\n");
    let text = format!("x,k,colour,town,day,y\n{}{}{}{}", row("t1"), row("atlantis"), row("ys"), row(""));
    std::fs::write(path.join("new.csv"), text).unwrap();
    let (got, told) = predictions(path, "run", "new.csv");
    assert!(told.contains("`town`: 2 cells of categories not seen in training (`atlantis`, `ys`)"), "{told}");
    assert_ne!(got[0], got[1]);
    assert_eq!(got[1], got[2], "one unseen category is as another");
    assert_eq!(got[1], got[3], "training had no missing town: it is as unseen");

    // The same by hand: every vector of the table zero.
    let mut model = Model::load(&path.join("run")).unwrap();
    let view = model.network.views().iter().find(|v| v.name == "layers.0.town.weight").unwrap().range();
    match &mut model.params {
        statera::model::Params::F32(params) => params[view].fill(0.0),
        statera::model::Params::F64(_) => panic!("the default is single precision"),
    }
    model.save(&path.join("zero.safetensors")).unwrap();
    let (zero, _) = predictions(path, "zero.safetensors", "new.csv");
    assert_eq!(zero, vec![got[1].clone(); 4]);
}

#[test]
fn one_column_can_be_encoded_apart() {
    let folder = folder();
    let path = folder.path();
    let sets = [
        "--out",
        "run",
        "--set",
        "embedding.numeric=pbld",
        "--set",
        "data.columns.k.encode=ple",
        "--set",
        "data.columns.town.encode=embedding",
        "--set",
        "embedding.category_dimension=8",
        "--set",
        "embedding.n_bins=4",
    ];
    call(path, &quick("t.csv", "y", &sets)).done();
    let card = Model::load(&path.join("run")).unwrap().card;
    let columns = serde_json::to_value(&card.layers[0]).unwrap()["columns"].clone();
    assert_eq!(
        columns,
        json!([
            { "type": "pbld", "column": "x", "frequencies": 16, "sigma": 0.1, "dimension": 4 },
            { "type": "plain", "inputs": 1 },
            { "type": "ple", "column": "k", "bins": 4, "dimension": 0 },
            { "type": "plain", "inputs": 3 },
            { "type": "table", "column": "town", "levels": 17, "dimension": 8 },
            { "type": "plain", "inputs": 5 },
        ])
    );
    for (set, words) in [
        ("data.columns.k.encode=one_hot", ["`k` is a number", "none, plr, pbld or ple"]),
        ("data.columns.town.encode=plr", ["`town` is a category", "one_hot, embedding, target"]),
        ("data.columns.day.encode=ple", ["`day` is a date", "leave the setting out"]),
        ("data.columns.k.encode=waves", ["none, plr, pbld, ple", "encode"]),
        ("network.layers=[{type='embedding'}]", ["unknown type \"embedding\"", "embedding.numeric=plr"]),
        ("embedding.sigma=0", ["`embedding.sigma`", "above 0"]),
        ("embedding.dimension=1", ["`embedding.dimension` = 1", "embedding.dimension = 4"]),
    ] {
        let set = ["--set", "embedding.numeric=pbld", "--set", set];
        let outcome = call(path, &quick("t.csv", "y", &set));
        assert_eq!(outcome.code, 2, "{set:?}: {}", outcome.err);
        for words in words {
            assert!(outcome.err.contains(words), "{set:?}: {}\nlacks: {words}", outcome.err);
        }
    }
}

#[test]
fn settings_that_embed_nothing_say_so() {
    let folder = folder();
    let path = folder.path();
    let sets =
        ["--set", "embedding.categories=embedding", "--set", "embedding.one_hot_up_to=20", "--out", "run"];
    let told = call(path, &quick("t.csv", "y", &sets)).done().err;
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("no category column of more than embedding.one_hot_up_to = 20 categories"),
        "{told}"
    );
    // What is off leaves no trace: the same parameters to the bit as without the setting.
    call(path, &quick("t.csv", "y", &["--out", "without"])).done();
    let params = |run: &str| Model::load(&path.join(run)).unwrap().params;
    assert_eq!(params("run"), params("without"));
}

#[test]
fn a_code_of_many_levels_is_left_to_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut text = "who,y\n".to_owned();
    for i in 0..900_u32 {
        writeln!(text, "w{},{}", i % 300, i % 300 % 7).unwrap();
    }
    std::fs::write(path.join("t.csv"), text).unwrap();
    let sets = ["--out", "run", "--set", "data.columns.who.encode=embedding", "--task", "regression"];
    let more = ["--set", "data.columns.who.kind=category"];
    let outcome = call(path, &quick("t.csv", "y", &[&sets[..], &more].concat())).done();
    let told = outcome.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("go without `who`: more than 256 categories"), "{told}");
    let metrics: Value =
        serde_json::from_str(&std::fs::read_to_string(path.join("run/metrics.json")).unwrap()).unwrap();
    let baselines: Vec<&String> = metrics["baselines"].as_object().unwrap().keys().collect();
    assert_eq!(baselines, ["mean"]);
    let card = Model::load(&path.join("run")).unwrap().card;
    let LayerSpec::Embedding { columns } = &card.layers[0] else { panic!("{:?}", card.layers) };
    // min(600, round(1.6·n^0.56)), the rule of fastai.
    let EmbeddingSpec::Table { levels, dimension, .. } = columns[0] else { panic!("{columns:?}") };
    assert_eq!(dimension, (1.6 * (levels as f64).powf(0.56)).round() as usize);
    assert!((38..=39).contains(&dimension), "{levels} levels: {dimension}");
}

type Alter = fn(&mut Value);

#[test]
fn damaged_embeddings_are_refused() {
    let folder = folder();
    let path = folder.path();
    let sets = ["--out", "run", "--set", "embedding.numeric=ple", "--set", "embedding.categories=embedding"];
    call(path, &quick("t.csv", "y", &sets)).done();
    let model = std::fs::read(path.join("run/model.safetensors")).unwrap();
    let cases: [(Alter, &str); 8] = [
        (|card| card["layers"][0]["columns"][0]["bins"] = json!(0), "no bins"),
        (|card| card["layers"][0]["columns"][0]["bins"] = json!(3), "as the pipeline prepares it"),
        (|card| card["layers"][0]["columns"][3]["levels"] = json!(u64::MAX / 2), "more than the file holds"),
        (|card| card["layers"][0]["columns"][3]["levels"] = json!(0), "a table without levels"),
        (|card| card["layers"][0]["columns"][1]["inputs"] = json!(u64::MAX), "inputs"),
        (|card| card["pipeline"]["columns"][0]["bins"] = json!([1.0, 1.0, 2.0]), "edges of its bins"),
        (|card| card["pipeline"]["columns"][2]["encoding"]["by"] = json!("one_hot"), "inputs"),
        (
            |card| {
                let embedding = card["layers"][0].clone();
                card["layers"].as_array_mut().unwrap().insert(1, embedding);
            },
            "not the first layer",
        ),
    ];
    for (alter, words) in cases {
        let damaged = cli::with_card(&model, alter);
        let error = Model::from_bytes(&damaged).unwrap_err().to_string();
        assert!(error.contains(words), "{error}\nlacks: {words}");
    }
}
