//! Embeddings of raw columns: against numbers of PyTorch, and from outside with the binary.

mod cli;
mod common;

use std::fmt::Write as _;
use std::path::Path;

use cli::{call, quick};
use serde_json::{Value, json};
use statera::config::{EmbeddingSpec, LayerSpec, OptimizerConfig, OptimizerName};
use statera::data::Bins;
use statera::model::Model;
use statera::nn::{CpuLevel, Loss, Mode, Network, Pass, Targets};
use statera::train::optimizer::Optimizer;

fn golden() -> Value {
    let path = format!("{}/tests/golden/embeddings.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The numbers of a list, or of a list of lists, in their order.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        number => vec![number.as_f64().unwrap_or_else(|| panic!("{number} is not a number"))],
    }
}

#[track_caller]
fn assert_near(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (got - expected).abs() / expected.abs().max(0.1);
        assert!(error <= 1e-12, "{what}[{i}] is {got}, not {expected}: off by {error:e}");
    }
}

#[test]
fn embeddings_of_torch() {
    let file = golden();
    let n_rows = file["rows"].as_u64().unwrap() as usize;
    let bins: Bins = serde_json::from_value(file["bins"]["edges"].clone()).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let spec: EmbeddingSpec = serde_json::from_value(case["spec"].clone()).unwrap();
        // What stands beside the column must neither change it nor be changed.
        let plain = EmbeddingSpec::Plain { inputs: 2 };
        let before = EmbeddingSpec::Table { column: "before".into(), levels: 2, dimension: 2 };
        let columns = vec![before, spec.clone(), plain];
        let network = Network::from_specs(vec![LayerSpec::Embedding { columns }], 4);
        assert_eq!(network.n_outputs(), 4 + spec.n_outputs());

        let mut params = network.init::<f64>(3);
        let views: Vec<_> = network.views().iter().filter(|v| v.name.starts_with("layers.0.c.")).collect();
        let given = case["parameters"].as_object().unwrap();
        assert_eq!(views.len(), given.len(), "{name}");
        let tensor = |view: &str| view.strip_prefix("layers.0.c.").unwrap().to_owned();
        for view in &views {
            params[view.range()].copy_from_slice(&flat(&given[&tensor(&view.name)]));
        }
        let is_ple = matches!(spec, EmbeddingSpec::Ple { .. });
        let own = flat(&case["x"]);
        let x: Vec<f64> =
            own.iter().flat_map(|&x| [7.0, if is_ple { bins.position(x) } else { x }, 0.5, -x]).collect();

        let pass = |params| Pass { level: CpuLevel::detect(), params, n_rows, mode: Mode::Infer };
        let mut work = network.workspace(n_rows + 2);
        let y = network.forward(&pass(&params), &x, &mut work).to_vec();
        let (o, d) = (network.n_outputs(), spec.n_outputs());
        let part = |all: &[f64], from: usize, n: usize, width: usize| -> Vec<f64> {
            all.chunks(width).flat_map(|row| row[from..from + n].to_vec()).collect()
        };
        assert_near(name, &part(&y, 2, d, o), &flat(&case["y"]));
        assert_eq!(part(&y, 0, 2, o), vec![0.0; 2 * n_rows], "{name}: code 7 of 2 has no vector");
        assert_eq!(part(&y, d + 2, 2, o), part(&x, 2, 2, 4), "{name}: plain inputs stay");

        // The mean over the rows of Σ(y − t)², with t so that its gradient is that of the script.
        let direction = flat(&case["direction"]);
        let mut t = y.clone();
        for (t, direction) in t.chunks_mut(o).zip(direction.chunks(d)) {
            for (t, direction) in t[2..].iter_mut().zip(direction) {
                *t -= direction / 2.0;
            }
        }
        let scale = 1.0 / n_rows as f64;
        network.forward_backward(&pass(&params), Loss::Mse, &x, Targets::Values(&t), scale, true, &mut work);
        for view in &views {
            let tensor = tensor(&view.name);
            assert_near(
                &format!("{name}: {tensor}"),
                &work.grads[view.range()],
                &flat(&case["gradients"][&tensor]),
            );
        }
        let dx = &work.input_gradient()[..x.len()];
        let mut expected = flat(&case["dx"]);
        if is_ple {
            // Ours is by the place among the edges, that of the script by x.
            let edges = bins.edges();
            for (dx, x) in expected.iter_mut().zip(&own) {
                let bin = edges[1..edges.len() - 1].iter().filter(|edge| **edge <= *x).count();
                *dx *= edges[bin + 1] - edges[bin];
            }
        }
        assert_near(&format!("{name}: x"), &part(dx, 1, 1, 4), &expected);
        assert!(part(dx, 0, 1, 4).iter().chain(&part(dx, 2, 2, 4)).all(|dx| *dx == 0.0), "{name}");
    }
}

#[test]
fn tensors_are_named_and_only_weights_decay() {
    let columns = vec![
        EmbeddingSpec::Plr { column: "age".into(), frequencies: 3, sigma: 0.1, dimension: 2 },
        EmbeddingSpec::Pbld { column: "bmi".into(), frequencies: 3, sigma: 0.1, dimension: 4 },
        EmbeddingSpec::Table { column: "region".into(), levels: 5, dimension: 2 },
    ];
    let network = Network::from_specs(vec![LayerSpec::Embedding { columns }], 3);
    let views: Vec<_> =
        network.views().iter().map(|v| (v.name.as_str(), v.shape.clone(), v.decays, v.is_table)).collect();
    let expected = [
        ("layers.0.age.frequencies", vec![3], false, false),
        ("layers.0.age.weight", vec![6, 2], true, false),
        ("layers.0.age.bias", vec![2], false, false),
        ("layers.0.bmi.frequencies", vec![3], false, false),
        ("layers.0.bmi.phases", vec![3], false, false),
        ("layers.0.bmi.weight", vec![3, 3], true, false),
        ("layers.0.bmi.bias", vec![3], false, false),
        ("layers.0.region.weight", vec![5, 2], true, true),
    ];
    assert_eq!(views, expected);
    let params = network.init::<f64>(5);
    for view in network.views() {
        let of = &params[view.range()];
        let limit = match view.name.rsplit('.').next().unwrap() {
            "phases" => std::f64::consts::PI,
            // Five standard deviations.
            "frequencies" => 0.5,
            "bias" if view.name.contains("age") => 1.0 / 6.0_f64.sqrt(),
            "bias" => 1.0 / 3.0_f64.sqrt(),
            _ if view.is_table => 1.0 / 2.0_f64.sqrt(),
            _ => 1.0 / (view.shape[0] as f64).sqrt(),
        };
        assert!(of.iter().all(|p| p.abs() <= limit) && of.iter().any(|p| *p != 0.0), "{}: {of:?}", view.name);
    }
}

#[test]
fn muon_leaves_tables_to_adamw() {
    let columns = vec![EmbeddingSpec::Table { column: "c".into(), levels: 4, dimension: 3 }];
    let network = Network::from_specs(vec![LayerSpec::Embedding { columns }], 1);
    let start = network.init::<f64>(5);
    let grads = common::numbers::<f64>(start.len(), 6);
    let stepped = |settings: OptimizerConfig, rate: f64| {
        let mut params = start.clone();
        let mut optimizer = Optimizer::new(&settings, network.views());
        for _ in 0..3 {
            optimizer.step(CpuLevel::detect(), rate, &mut params, &grads);
        }
        params
    };
    let muon = common::optimizer(OptimizerName::Muon);
    let rate = 0.01 * muon.muon_fallback;
    assert_eq!(stepped(muon, 0.01), stepped(common::optimizer(OptimizerName::Adamw), rate));
}

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
        ("data.columns.town.encode=plr", ["`town` is a category", "one_hot or embedding"]),
        ("data.columns.day.encode=ple", ["`day` is a date", "leave the setting out"]),
        ("data.columns.k.encode=waves", ["one of one_hot, embedding, none, plr", "encode"]),
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
    assert!(words.contains("has more than 20 categories"), "{told}");
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

#[test]
fn damaged_embeddings_are_refused() {
    let folder = folder();
    let path = folder.path();
    let sets = ["--out", "run", "--set", "embedding.numeric=ple", "--set", "embedding.categories=embedding"];
    call(path, &quick("t.csv", "y", &sets)).done();
    let model = std::fs::read(path.join("run/model.safetensors")).unwrap();
    type Alter = fn(&mut Value);
    let cases: [(Alter, &str); 8] = [
        (|card| card["layers"][0]["columns"][0]["bins"] = json!(0), "no bins"),
        (|card| card["layers"][0]["columns"][0]["bins"] = json!(3), "as the pipeline prepares it"),
        (|card| card["layers"][0]["columns"][3]["levels"] = json!(u64::MAX / 2), "more than the file holds"),
        (|card| card["layers"][0]["columns"][3]["levels"] = json!(0), "a table without levels"),
        (|card| card["layers"][0]["columns"][1]["inputs"] = json!(u64::MAX), "inputs"),
        (|card| card["pipeline"]["encoders"][0]["bins"] = json!([1.0, 1.0, 2.0]), "edges of its bins"),
        (|card| card["pipeline"]["encoders"][2]["coded"] = json!(false), "inputs"),
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
