//! Every kind of mistake gets its own words, and every way of writing settings reads back the same.

use std::path::Path;

use proptest::prelude::*;

use super::check::default_of;
use super::data::COLUMN_KEYS;
use super::keys::{KEYS, Kind};
use super::layers::{BIAS_INITIALIZERS, INITIALIZERS, LAYER_KEYS, Variant};
use super::*;

fn problem(result: Result<Config>) -> (String, String) {
    match result {
        Err(Error::Setting(problem)) => (problem.what, problem.remedy),
        other => panic!("expected an error of settings, got {other:?}"),
    }
}

fn sets(sets: &[&str]) -> Result<Config> {
    Config::load(None, &sets.iter().map(|set| (*set).to_owned()).collect::<Vec<_>>())
}

#[test]
fn a_mistake_in_a_file_is_named_with_its_line_and_a_remedy() {
    let cases = [
        // Unknown keys and sections.
        ("[train]\nbatch_sise = 3", "line 2: unknown key `train.batch_sise`", "`train.batch_size`"),
        (
            "[train]\nlearning_rate = 3",
            "line 2: unknown key `train.learning_rate`",
            "`optimizer.learning_rate`",
        ),
        ("epoch = 3", "line 1: unknown key `epoch`", "`train.epochs`"),
        ("zzz = 3", "line 1: unknown key `zzz`", "`statera config --defaults` lists every key"),
        ("seed = 1\n[optimiser]\nname = 'sgd'", "line 2: unknown section `optimiser`", "`optimizer`"),
        ("[qqqqqqqqq]", "line 1: unknown section `qqqqqqqqq`", "one of the sections data, split, "),
        (
            "[train.epochs]",
            "line 1: `train.epochs`: expected a whole number from 1 to 1000000, got a table",
            "train.epochs = 200",
        ),
        ("train = 3", "line 1: `train` is a section, not a key; got 3", "`train.epochs`"),
        // Wrong types.
        (
            "[train]\n\nepochs = '64'",
            "line 3: `train.epochs`: expected a whole number from 1 to 1000000, got the text \"64\"",
            "train.epochs = 64",
        ),
        (
            "train.epochs = 1e2",
            "line 1: `train.epochs`: expected a whole number from 1 to 1000000, got 1e2",
            "train.epochs = 100",
        ),
        ("train.epochs = 2020-01-01", "got the date 2020-01-01", "train.epochs = 200"),
        (
            "train.shuffle = 'true'",
            "`train.shuffle`: expected true or false, got the text \"true\"",
            "train.shuffle = true",
        ),
        (
            "split.val = 'many'",
            "`split.val`: expected a number of at least 0 and below 0.9, got the text \"many\"",
            "split.val = 0.15",
        ),
        ("data.target = 5", "`data.target`: expected a text in quotes, got 5", "data.target = \"5\""),
        (
            "data.null = 'NA'",
            "`data.null`: expected a list of texts in quotes, got the text \"NA\"",
            "data.null = [\"NA\"]",
        ),
        (
            "data.null = ['a', 1]",
            "`data.null`, item 2: expected a text in quotes, got 1",
            "data.null = [\"\", \"NA\",",
        ),
        (
            "network.hidden = 64",
            "`network.hidden`: expected a list of whole numbers from 1 to 65536, got 64",
            "network.hidden = [64]",
        ),
        (
            "network.hidden = [64, 0]",
            "`network.hidden`, item 2: out of range: expected a whole number from 1 to 65536, got 0",
            "network.hidden = [128, 128]",
        ),
        (
            "task = 1",
            "`task`: expected one of auto, regression, binary, multiclass, got 1",
            "task = \"auto\"",
        ),
        (
            "network.initializer = 1",
            "`network.initializer`: expected one of auto, zeros,",
            "network.initializer = \"xavier_normal\"",
        ),
        // Out of range.
        (
            "train.batch_size = 0",
            "`train.batch_size`: out of range: expected a whole number from 1 to 1000000000, got 0",
            "train.batch_size = 32",
        ),
        ("seed = 99999999999999999999", "`seed`: out of range: ", "seed = 0"),
        ("seed = -1", "`seed`: out of range: ", "seed = 0"),
        (
            "network.dropout = 1.0",
            "`network.dropout`: out of range: expected a number of at least 0 and below 1, got 1.0",
            "network.dropout = 0.1",
        ),
        (
            "optimizer.learning_rate = nan",
            "expected a number above 0 and at most 1000, got nan",
            "optimizer.learning_rate = 0.002",
        ),
        (
            "early_stopping.min_delta = inf",
            "expected a number of at least 0, got inf",
            "early_stopping.min_delta = 0.0",
        ),
        (
            "optimizer.name = 'adm'",
            "`optimizer.name`: expected one of sgd, adam, adamw, amsgrad, nadam, adagrad, rmsprop, adadelta, lion, muon, schedule_free_adamw, lbfgs, got the text \"adm\"",
            "optimizer.name = \"adam\"",
        ),
        ("network.activation = 'ReLU'", "got the text \"ReLU\"", "network.activation = \"relu\""),
        // Columns.
        (
            "[data.columns.age]\nknd = 'number'",
            "line 2: `data.columns`, column `age`: unknown key `knd`, expected one of kind, format, null, levels, scale, steps, encode, drop",
            "`kind`",
        ),
        (
            "data.columns.age = 1",
            "`data.columns`, column `age`: expected a table, got 1",
            "data.columns.age.kind = \"number\"",
        ),
        (
            "data.columns.age.kind = 'numbr'",
            "column `age`: `kind`: expected one of number, category",
            "kind = \"number\"",
        ),
        ("data.columns = 1", "`data.columns`: expected a table for each column's name, got 1", ""),
        // Layers and initialisers.
        (
            "[network]\nlayers = [\n  { type = 'dense', units = 4 },\n  { type = 'dropuot' },\n]",
            "line 4: `network.layers`, layer 2: unknown type \"dropuot\", expected one of dense,",
            "type = \"dropout\"",
        ),
        (
            "[[network.layers]]\ntype = 'dense'\nunits = 4\n[[network.layers]]\ntype = 'dropout'\nrte = 1",
            "line 6: `network.layers`, layer 2 (dropout): unknown key `rte`, expected one of rate",
            "`rate`",
        ),
        (
            "network.layers = [{ type = 'dropout', rate = 1.5 }]",
            "layer 1 (dropout): `rate`: out of range: expected a number of at least 0 and below 1, got 1.5",
            "rate = 0.5",
        ),
        (
            "network.layers = [{ type = 'dense' }]",
            "layer 1 (dense): `units` is missing, expected a whole number from 1 to 65536",
            "{ type = \"dense\", units = 64 }",
        ),
        (
            "network.layers = [{ units = 3 }]",
            "layer 1: `type` is missing, expected one of dense,",
            "type = \"dense\"",
        ),
        ("network.layers = [3]", "layer 1: expected a table, got 3", "{ type = \"dense\", units = 64 }"),
        ("network.layers = [{ type = 3 }]", "layer 1: `type`: expected one of dense, ", "type = \"dense\""),
        (
            "network.layers = 'dense'",
            "`network.layers`: expected a list of layers, got the text \"dense\"",
            "network.layers = []",
        ),
        (
            "network.layers = [{ type = 'dense', units = 1, bias_initializer = 'he_normal' }]",
            "layer 1 (dense): `bias_initializer`: unknown name \"he_normal\", expected one of zeros, ",
            "bias_initializer = \"normal\"",
        ),
        (
            "network.initializer = 'he_norml'",
            "`network.initializer`: unknown name \"he_norml\", expected one of auto, ",
            "network.initializer = \"he_normal\"",
        ),
        (
            "network.initializer = 'constant'",
            "`network.initializer`: `value` is missing, expected a number",
            "{ name = \"constant\", value = 0.1 }",
        ),
        (
            "network.initializer = { name = 'zeros', std = 1 }",
            "unknown key `std`, it has no settings",
            "leave `std` out",
        ),
        (
            "network.initializer = { name = 'uniform', low = 1.0 }",
            "`low` = 1 is not below `high` = 0.05",
            "low = -0.05, high = 0.05",
        ),
        ("network.initializer = { std = 1 }", "`network.initializer`: `name` is missing", "name = \"auto\""),
        // Settings that do not go together.
        (
            "split.val = 0.5\nsplit.test = 0.5",
            "`split.val` = 0.5 and `split.test` = 0.5 leave no rows",
            "split.val = 0.15 and split.test = 0.15",
        ),
        (
            "[network]\nhidden = [3]\nlayers = [{ type = 'dropout' }]",
            "`network.hidden` says nothing beside `network.layers`",
            "leave `network.hidden` out",
        ),
        // Syntax.
        ("seed = 1\n[train]\nepochs = = 3", "line 3, column 10: not valid TOML: ", "`name = value`"),
        ("optimizer.name = sgd", "line 1, column 18: not valid TOML: ", "double quotes"),
        ("seed = 1\nseed = 2", "line 2, column 1: not valid TOML: duplicate key", "`name = value`"),
        // Of several mistakes, the first in the text.
        ("train.epochs = 0\n[split]\nvl = 1\n[train.x]", "line 1: `train.epochs`", ""),
        ("split.vl = 1\ntrain.x = 1\nsplit.val = 3", "line 1: unknown key `split.vl`", "`split.val`"),
    ];
    for (text, what, remedy) in cases {
        let (found_what, found_remedy) = problem(Config::from_toml_str(text));
        assert!(found_what.contains(what), "{text}\n  found    {found_what}\n  expected {what}");
        assert!(found_remedy.contains(remedy), "{text}\n  found    {found_remedy}\n  expected {remedy}");
    }
}

#[test]
fn a_mistake_on_the_command_line_is_named_with_what_was_typed() {
    let cases = [
        (
            "train.batch_size=0",
            "--set train.batch_size=0: `train.batch_size`: out of range",
            "--set train.batch_size=32",
        ),
        ("optimizer.name=adamm", "got the text \"adamm\"", "--set optimizer.name=adam"),
        ("network.hidden=64", "got 64", "--set 'network.hidden=[64]'"),
        ("train.epoch=3", "--set train.epoch=3: unknown key `train.epoch`", "`train.epochs`"),
        ("trian.epochs=3", "unknown section `trian`", "`train`"),
        ("train.epochs", "--set `train.epochs`: expected key=value", "--set train.epochs=100"),
        ("=3", "expected key=value", ""),
        ("# a=3", "expected key=value", ""),
        ("[train]\nepochs=3", "expected key=value", ""),
        ("number of rooms=3", "expected key=value", "\"number of rooms\""),
        ("train.epochs=3\nseed = 4", "got the text", "--set train.epochs=200"),
    ];
    for (set, what, remedy) in cases {
        let (found_what, found_remedy) = problem(sets(&[set]));
        assert!(found_what.contains(what), "{set}\n  found    {found_what}\n  expected {what}");
        assert!(found_remedy.contains(remedy), "{set}\n  found    {found_remedy}\n  expected {remedy}");
    }
}

#[test]
fn the_command_line_goes_over_the_file_and_later_over_earlier() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let text = "seed = 7\n[data]\npath = 'table.csv'\ncolumns.age.kind = 'number'\n[train]\nepochs = 5\nbatch_size = 8\n";
    std::fs::write(&file, text).unwrap();
    let given = [
        "train.epochs=6",
        "train.epochs = 9",
        "optimizer.name=sgd",
        "data.target=2019",
        "data.columns.age.drop=true",
        "data.columns.\"a=b.c\".kind=category",
        "network.hidden=[3, 4]",
        "network.initializer=kaiming_normal",
        "split.column=",
        "optimizer.learning_rate=1",
    ];
    let config = Config::load(Some(&file), &given.map(str::to_owned)).unwrap();
    assert_eq!((config.seed, config.train.epochs, config.train.batch_size), (7, 9, 8));
    assert_eq!(config.optimizer.name, OptimizerName::Sgd);
    assert_eq!(config.optimizer.learning_rate, 1.0);
    assert_eq!(config.data.target, "2019");
    assert_eq!(config.data.path, folder.path().join("table.csv"));
    assert_eq!(config.network.hidden, [3, 4]);
    assert_eq!(config.network.initializer, Initializer::HeNormal);
    let age = ColumnConfig { kind: Some(ColumnKind::Number), drop: Some(true), ..ColumnConfig::default() };
    assert_eq!(config.data.columns["age"], age);
    assert_eq!(config.data.columns["a=b.c"].kind, Some(ColumnKind::Category));
    // A path typed on the command line is relative to where it is typed.
    let config = Config::load(Some(&file), &["data.path=other.csv".to_owned()]).unwrap();
    assert_eq!(config.data.path, Path::new("other.csv"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (what, remedy) = problem(Config::load(Some(&folder.path().join("none.toml")), &[]));
    assert!(what.contains("no configuration file") && what.contains("none.toml"), "{what}");
    assert!(remedy.contains("statera config --defaults"), "{remedy}");

    let file = folder.path().join("bytes.toml");
    std::fs::write(&file, b"seed = 1\ntask = '\xff'").unwrap();
    let (what, _) = problem(Config::load(Some(&file), &[]));
    assert!(what.contains("bytes.toml, line 2: the text is not UTF-8"), "{what}");

    std::fs::write(&file, "[train]\nepoch = 1").unwrap();
    let (what, _) = problem(Config::load(Some(&file), &[]));
    assert!(what.contains("bytes.toml, line 2: unknown key"), "{what}");

    let (what, remedy) = problem(Config::load(Some(folder.path()), &[]));
    assert!(what.ends_with("is a folder; expected a configuration file") && remedy.contains("config.toml"));
}

#[test]
fn every_default_is_of_its_kind_and_in_range() {
    for key in KEYS {
        assert!(default_of(key).is_some(), "{}: {:?}", key.path, key.default);
        assert!(key.help.ends_with('.'), "{}", key.path);
        assert!(key.path.split('.').count() <= 2, "{}: sections do not nest", key.path);
    }
    assert!(COLUMN_KEYS.iter().all(|key| key.default.is_none()));
    for variant in [LAYER_KEYS, INITIALIZERS, BIAS_INITIALIZERS].into_iter().flatten() {
        for key in variant.keys.iter().filter(|key| key.default.is_some()) {
            assert!(default_of(key).is_some(), "{}: {}: {:?}", variant.name, key.path, key.default);
        }
    }
}

/// A table of this kind with only what must be given.
fn smallest(tag: &str, variant: &Variant) -> String {
    let mut text = format!("{{ {tag} = '{}'", variant.name);
    for key in variant.keys.iter().filter(|key| key.required) {
        let value = match key.kind {
            Kind::Choice(_) => "'relu'",
            Kind::Layers => "[{ type = 'dropout' }]",
            _ => "2",
        };
        text.extend([", ", key.path, " = ", value]);
    }
    text + " }"
}

#[test]
fn every_layer_and_initializer_of_the_tables_has_its_type() {
    for variant in LAYER_KEYS {
        let text = format!("network.layers = [{}]", smallest("type", variant));
        let config = Config::from_toml_str(&text).unwrap();
        assert_eq!(Config::from_toml_str(&config.to_toml()).unwrap(), config, "{text}");
    }
    for variant in INITIALIZERS {
        let text = format!("network.initializer = {}", smallest("name", variant));
        let config = Config::from_toml_str(&text).unwrap();
        assert_eq!(Config::from_toml_str(&config.to_toml()).unwrap(), config, "{text}");
        if !variant.alias.is_empty() {
            let alias = format!("network.initializer = '{}'", variant.alias);
            assert_eq!(Config::from_toml_str(&alias).unwrap(), config, "{alias}");
        }
    }
    for variant in BIAS_INITIALIZERS {
        let initializer = smallest("name", variant);
        let text =
            format!("network.layers = [{{ type = 'dense', units = 1, bias_initializer = {initializer} }}]");
        Config::from_toml_str(&text).unwrap();
    }
}

#[test]
fn the_listing_of_defaults_is_the_defaults() {
    let listing = Config::defaults_listing();
    assert_eq!(Config::from_toml_str(&listing).unwrap(), Config::default());
    assert!(listing.lines().all(|line| line.len() <= 100 || !line.starts_with('#')), "{listing}");
    for key in KEYS.iter().filter(|key| !matches!(key.kind, Kind::Columns)) {
        let start = format!("{} = ", key.name());
        assert!(listing.lines().any(|line| line.starts_with(&start)), "{}", key.path);
    }
    for key in COLUMN_KEYS {
        assert!(listing.contains(&format!("columns.<name>.{}", key.path)));
    }
    for variant in LAYER_KEYS.iter().chain(INITIALIZERS) {
        assert!(listing.contains(&format!("#   {}", variant.name)), "{}", variant.name);
    }
}

#[test]
fn resolved_settings_read_back_the_same() {
    let texts = [
        "",
        "seed = 9223372036854775807\ndata.null = []\nnetwork.hidden = []",
        "data.columns.age = { kind = 'number', scale = 'robust' }\ndata.columns.'a \"b\".c'.drop = false",
        "loss.class_weights = 'balanced'",
        "loss.class_weights = { name = 2, 'a \"b\".c' = 0 }\ndata.weight = 'w'",
        "data.target = 'a \"quoted\" name\\n'\noptimizer.epsilon = 1e-30",
        "network.initializer = { name = 'uniform', low = -1, high = 1 }\nnetwork.norm = 'batch'",
        "network.layers = [{ type = 'scale' }, { type = 'gaussian_noise', std = 0 }, { type = 'layer_norm' }]",
        "network.layers = [{ type = 'dense', units = 3, l1 = 0, constraint = 'max_norm', max_norm = 2 }]",
        "[[network.layers]]\ntype = 'dense'\nunits = 3\ninitializer = { name = 'normal', std = 0.5 }\n\
         [[network.layers]]\ntype = 'activation'\nfunction = 'leaky_relu'",
    ];
    for text in texts {
        let config = Config::from_toml_str(text).unwrap();
        let written = config.to_toml();
        assert_eq!(Config::from_toml_str(&written).unwrap(), config, "{written}");
    }
}

#[test]
fn short_forms_stand_for_layers() {
    let config = Config::from_toml_str(
        "[network]\nhidden = [8, 4]\nactivation = 'tanh'\nnorm = 'batch'\ndropout = 0.25\ninitializer = 'ones'",
    );
    let dense = |units| LayerSpec::Dense {
        units,
        activation: Activation::Tanh,
        slope: 0.01,
        initializer: Initializer::Ones,
        bias: true,
        bias_initializer: Initializer::Zeros,
        drop_connect: 0.0,
        parametrization: Parametrization::Standard,
        lr_factor: 1.0,
        bias_lr_factor: 1.0,
        packed: false,
        l1: None,
        l2: None,
        constraint: None,
        max_norm: None,
        weights: None,
    };
    let norm = LayerSpec::BatchNorm { momentum: 0.99, epsilon: 1e-3 };
    let dropout = LayerSpec::Dropout { rate: 0.25 };
    let expected = [dense(8), norm.clone(), dropout.clone(), dense(4), norm, dropout];
    assert_eq!(config.unwrap().expanded_layers(), expected);
    let config = Config::from_toml_str("network = { hidden = [8], norm = 'layer', dropout = 0 }").unwrap();
    let dense = LayerSpec::dense(8, Activation::Relu, Initializer::XavierNormal);
    assert_eq!(config.expanded_layers(), [dense, LayerSpec::LayerNorm { epsilon: 1e-5 }]);
    // A dense layer and a dropout for each of the two.
    assert_eq!(Config::default().expanded_layers().len(), 4);
    assert!(Config::from_toml_str("network.hidden = []").unwrap().expanded_layers().is_empty());
}

#[test]
fn hidden_layers_of_one_width_become_blocks() {
    let of = |text: &str| Config::from_toml_str(&format!("network = {{ {text} }}"));
    let config =
        of("hidden = [8, 8, 4, 4], residual = true, norm = 'layer', dropout = 0.1, drop_connect = 0.2, \
        input_noise = 0.3, input_scale = true");
    let part = |units| {
        let mut dense = LayerSpec::dense(units, Activation::Relu, Initializer::XavierNormal);
        if let LayerSpec::Dense { drop_connect, .. } = &mut dense {
            *drop_connect = 0.2;
        }
        vec![dense, LayerSpec::layer_norm(), LayerSpec::Dropout { rate: 0.1 }]
    };
    let block = |units| vec![LayerSpec::Residual { layers: part(units) }];
    let first = vec![LayerSpec::GaussianNoise { std: 0.3 }, LayerSpec::scale()];
    assert_eq!(config.unwrap().expanded_layers(), [first, part(8), block(8), part(4), block(4)].concat());
    for hidden in ["[8]", "[8, 4, 8]", "[]"] {
        let error = of(&format!("hidden = {hidden}, residual = true")).unwrap_err().to_string();
        assert!(error.contains(&format!("`network.hidden` = {hidden} has none")), "{error}");
        assert!(error.contains("network.hidden = [128, 128]"), "{error}");
    }
}

#[test]
fn an_expanded_configuration_means_the_same() {
    for text in [
        "",
        "network.precision = 'f64'",
        "network = { hidden = [6, 6, 6], residual = true, norm = 'batch', activation = 'gelu' }",
        "network = { hidden = [6, 6], residual = true, input_scale = true, dropout = 0, drop_connect = 0.1 }",
        "network = { hidden = [], input_noise = 0.2 }",
        "network.hidden = []",
        "network.layers = [{ type = 'residual', layers = [{ type = 'residual', layers = [{ type = 'scale' }] }] }]",
        "network.initializer = { name = 'normal', std = 0.2 }",
    ] {
        let config = Config::from_toml_str(text).unwrap();
        let expanded = config.expanded();
        let written = expanded.to_toml();
        let read = Config::from_toml_str(&written).unwrap();
        assert_eq!(read, expanded, "{text}");
        assert_eq!(read.expanded_layers(), config.expanded_layers(), "{text}");
        assert_eq!(read.expanded(), expanded, "{text}");
        let named = |name: &str| written.lines().any(|line| line.starts_with(&format!("{name} =")));
        assert_ne!(named("layers") && !written.contains("layers = []"), named("hidden"), "{written}");
        // What is no matter of the layers stays.
        assert_eq!((read.network.precision, read.train), (config.network.precision, config.train));
    }
}

#[test]
fn the_insurance_recipe_is_the_published_network() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/insurance.toml");
    let config = Config::load(Some(&file), &[]).unwrap();
    let norm = LayerSpec::BatchNorm { momentum: 0.99, epsilon: 1e-3 };
    let dropout = LayerSpec::Dropout { rate: 0.5 };
    let dense = LayerSpec::dense(100, Activation::Relu, Initializer::Auto);
    let block = [dense, norm.clone(), dropout];
    let expected: Vec<_> =
        std::iter::once(&norm).chain(&block).chain(&block).chain(&block[..2]).cloned().collect();
    assert_eq!(config.expanded_layers(), expected);
    assert_eq!(expected.len(), 9);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(config.data.path, root.join("data/insurance.csv"));
    assert_eq!(config.reduce_on_plateau.factor, 0.1);
    // Dropping the list brings the short forms back.
    let config =
        Config::load(Some(&file), &["network.hidden=[5]".to_owned(), "network.layers=[]".to_owned()]);
    assert_eq!(config.unwrap().expanded_layers().len(), 2);
}

#[test]
fn keys_before_the_first_section_are_put_together_with_their_sections() {
    let text = "data.null = [\n[\"x\",\n][0],\n]\n";
    assert!(Config::from_toml_str(text).is_err(), "lists are of texts");
    let text = r#"
        seed = 3
        data.null = [
          "x",

          "[data]" ]
        data.columns.a.drop = true
        [data]
        target = "é"
        [data.columns.a]
        scale = "min_max"
        [train]
        epochs = 4
    "#;
    let config = Config::from_toml_str(text).unwrap();
    assert_eq!((config.seed, config.train.epochs, config.data.target.as_str()), (3, 4, "é"));
    assert_eq!(config.data.null, ["x", "[data]"]);
    assert_eq!(config.data.columns["a"].drop, Some(true));
    assert_eq!(config.data.columns["a"].scale, Some(Scale::MinMax));
    for (text, words, remedy) in [
        (
            "data.target = \"y\"\n\n[data]\nnull = []\ntarget = \"y\"\n",
            "line 1: `data.target` is given twice, again in line 5",
            "leave one",
        ),
        (
            "loss.class_weights = \"balanced\"\n[loss]\n[loss.class_weights]\nyes = 2.0\n",
            "line 1: `loss.class_weights` is given twice, again in line 3",
            "leave one",
        ),
        (
            "data.null = []\n[data]\n[train]\nepohcs = 3\n",
            "line 4: unknown key `train.epohcs`",
            "train.epochs",
        ),
        ("data.nul = []\n[data]\n", "line 1: unknown key `data.nul`", "data.null"),
        (
            "data.null = []\n[data]\n[data]\n",
            "line 3, column 2: not valid TOML: duplicate key",
            "`name = value`",
        ),
        (
            "data.null = []\ndata.null = [\"x\"]\n[data]\n",
            "line 2, column 6: not valid TOML: duplicate",
            "`name",
        ),
        // Within a section no lines were pasted.
        ("[train]\nepochs = 3\nepochs = 3\n", "line 3, column 1: not valid TOML: duplicate", "`name"),
        (
            "[train]\nepochs = 3\ndata.null = []\n",
            "line 3: unknown key `train.data`",
            "put the line before the first [section]",
        ),
    ] {
        let error = Config::from_toml_str(text).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(remedy), "{error}\n{text}");
    }
}

#[test]
fn deep_nesting_is_refused_or_read_without_harm() {
    for text in [
        format!("a{} = 1", ".a".repeat(100_000)),
        format!("train{} = 1", ".a".repeat(100_000)),
        format!("data.null = {}", "[".repeat(100_000)),
        format!("network.layers = {}{}", "[".repeat(60), "]".repeat(60)),
        format!("[{}]", vec!["a"; 100_000].join(".")),
    ] {
        assert!(Config::from_toml_str(&text).is_err());
        assert!(sets(&[&text]).is_err());
    }
}

/// Texts near to TOML: known keys, some misspelt, with values of every type.
fn nearly_settings() -> impl Strategy<Value = String> {
    let key = (0..KEYS.len()).prop_map(|i| KEYS[i].path.to_owned());
    let key = prop_oneof![8 => key, 1 => "[a-z.\"'=]{0,12}", 1 => Just("data.columns.é.kind".to_owned())];
    let value = prop_oneof![
        any::<i128>().prop_map(|i| i.to_string()),
        any::<f64>().prop_map(|x| x.to_string()),
        Just("[{ type = 'dense', units = 3 }, {}]".to_owned()),
        Just("{ name = 'uniform', low = 0x7f }".to_owned()),
        "'[^']{0,4}'",
        "[\\[\\]{}',=#0-9a-z \n]{0,12}",
    ];
    let line = (key, value).prop_map(|(key, value)| format!("{key} = {value}\n"));
    proptest::collection::vec(line, 0..6).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in any::<String>()) {
        let _ = Config::from_toml_str(&text);
        let _ = sets(&[&text]);
    }

    #[test]
    fn what_reads_at_all_reads_back_the_same(text in nearly_settings()) {
        let _ = sets(&[text.lines().next().unwrap_or("")]);
        if let Ok(config) = Config::from_toml_str(&text) {
            prop_assert_eq!(Config::from_toml_str(&config.to_toml()).unwrap(), config);
        }
    }
}

#[test]
fn a_line_that_is_pasted_twice_counts_once() {
    let line = "data.columns.\"é\".drop = true";
    for (before, after) in [
        ("", ""),
        ("seed = 3\n", "\n[train]\nepochs = 4\n"),
        ("", "\n[data]\ntarget = \"y\"\n"),
        ("data.null = [\n\"x\",\n]\n", "\n[data.columns.\"é\"]\nscale = \"none\"\n"),
    ] {
        let text = format!("{before}{line}\n  {line} \r\n{line}{after}");
        let config = Config::from_toml_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(config.data.columns["é"].drop, Some(true));
    }
    // What follows keeps its place.
    let error =
        Config::from_toml_str(&format!("{line}\n{line}\n[train]\nepohcs = 3\n")).unwrap_err().to_string();
    assert!(error.contains("line 4: unknown key `train.epohcs`"), "{error}");
    // In a text of several lines, a line is no setting.
    let error =
        Config::from_toml_str("data.null = [\"\"\"\nseed = 3\n\"\"\"]\nseed = 3\nseed = 4\n").unwrap_err();
    assert!(error.to_string().contains("line 5, column 1: not valid TOML: duplicate"), "{error}");
}
