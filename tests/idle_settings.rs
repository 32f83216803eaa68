//! Numbers that are within their range and would do nothing, or more than the machine can: refused, with one that works.

use crate::cli;
use cli::{call, folder, quick};
use statera::config::Config;

#[track_caller]
fn refused(sets: &[&str], words: &[&str]) {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    let Err(error) = Config::default().with(&sets) else { panic!("{sets:?} are taken") };
    let told = error.to_string();
    for word in words {
        assert!(told.contains(word), "{sets:?}: {told}");
    }
}

#[track_caller]
fn taken(sets: &[&str]) {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    if let Err(error) = Config::default().with(&sets) {
        panic!("{sets:?}: {error}");
    }
}

#[test]
fn what_begins_after_training_is_refused() {
    let swa = ["average.kind=swa", "average.start=21", "train.epochs=20"];
    refused(&swa, &["`average.start` = 21 is not below `train.epochs` = 20", "average.start = 15"]);
    refused(
        &["average.kind=swa", "average.start=20", "train.epochs=20"],
        &["no two epochs would be averaged"],
    );
    refused(&["average.kind=swa", "average.start=1", "train.epochs=1"], &["train.epochs = 4"]);
    taken(&["average.kind=swa", "average.start=19", "train.epochs=20"]);
    let warmup = ["schedule.warmup=20.5", "train.epochs=20"];
    refused(&warmup, &["longer than `train.epochs` = 20", "never reach 0.002", "schedule.warmup = 2"]);
    taken(&["schedule.warmup=20", "train.epochs=20"]);
    let nothing_left = ["schedule.warmup=20", "schedule.name=cosine", "train.epochs=20"];
    refused(&nothing_left, &["leaves `schedule.name` = \"cosine\" none of `train.epochs` = 20"]);
    taken(&["schedule.warmup=19.5", "schedule.name=cosine", "train.epochs=20"]);
    let floor = ["reduce_on_plateau.min_learning_rate=0.01"];
    refused(&floor, &["is above `optimizer.learning_rate` = 0.002", "min_learning_rate = 2e-6"]);
    // A floor that nobody has set is no contradiction.
    taken(&["optimizer.learning_rate=1e-9"]);
    taken(&["reduce_on_plateau.min_learning_rate=0.01", "optimizer.learning_rate=0.1"]);
}

#[test]
fn schedules_and_curricula_that_never_move_are_refused() {
    let stays = "the learning rate would stay as it is";
    let short = ["schedule.name=step", "train.epochs=10"];
    refused(&short, &["`schedule.every` = 30 is not below `train.epochs` = 10", stays, "schedule.every = 3"]);
    taken(&["schedule.name=step", "train.epochs=31"]);
    for name in ["cosine", "polynomial", "flat_cos"] {
        let set = format!("schedule.name={name}");
        refused(&[&set, "schedule.end=1"], &["`schedule.end` = 1", stays, "schedule.end = 0"]);
        taken(&[&set, "schedule.end=0.9"]);
    }
    refused(&["schedule.name=inverse_time", "schedule.decay=0"], &["`schedule.decay` = 0", stays]);
    let flat = ["schedule.name=one_cycle", "schedule.start=1", "schedule.end=1"];
    refused(&flat, &["are both 1", stays]);
    taken(&["schedule.name=one_cycle", "schedule.start=1"]);
    let all = ["curriculum.by=loss", "curriculum.start=1"];
    refused(&all, &["`curriculum.start` = 1 takes all rows", "curriculum.start = 0.3"]);
}

#[test]
fn short_forms_beside_a_list_of_layers_are_refused() {
    let layers = "network.layers=[{type='dense', units=8}]";
    for set in ["network.parametrization=ntp", "network.parametric_activation=true", "network.dropout=0.2"] {
        let (key, _) = set.split_once('=').unwrap();
        refused(&[layers, set], &[&format!("`{key}` says nothing beside `network.layers`")]);
    }
}

#[test]
fn what_would_give_a_setting_an_effect_is_a_value_that_does() {
    for (set, value) in [
        ("early_stopping.patience=5", "early_stopping.enabled = true"),
        ("ensemble.members=4", "ensemble.kind = \"tabm\""),
    ] {
        let off =
            if set.starts_with("early") { "early_stopping.enabled=false" } else { "ensemble.kind=none" };
        refused(&[off, set], &["has no effect", value]);
    }
}

#[test]
fn names_from_elsewhere_are_known() {
    for (set, meant) in [
        ("optimizer.lr=0.1", "`optimizer.learning_rate`"),
        ("train.lr=0.1", "`optimizer.learning_rate`"),
        ("network.activation=swish", "network.activation=silu"),
        ("network.initializer=he", "he_normal"),
        ("loss.name=mean_squared_error", "loss.name=mse"),
    ] {
        refused(&[set], &[meant]);
    }
}

#[test]
fn a_share_of_zeros_that_rounds_to_no_weight_is_refused_before_training() {
    let folder = folder();
    let share = "weights.sparsity=0.00001";
    let when = ["--set", "weights.prune_begin=1", "--set", "weights.prune_end=2"];
    let sparse = [&["--set", "weights.kind=sparse", "--set", share][..], &when].concat();
    let told = call(folder.path(), &quick("t.csv", "y", &sparse));
    assert_eq!(told.code, 2, "{}", told.err);
    assert!(
        told.err.contains("rounds to none") && told.err.contains("weights.sparsity = 0.5"),
        "{}",
        told.err
    );
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn weights_with_a_rate_of_zero_stay_as_they_start_under_a_constraint() {
    let folder = folder();
    let start = |more: &str, out: &str| {
        let layers = format!("network.layers=[{{type='dense', units=8, lr_factor=0.0{more}}}]");
        let args =
            ["train", "t.csv", "--target", "y", "--quiet", "--set", "train.epochs=3", "--set", &layers];
        call(folder.path(), &[&args[..], &["--out", out]].concat()).done();
        let shown = call(folder.path(), &["inspect", out, "--json"]).done().json();
        shown["tensors"][0].clone()
    };
    assert_eq!(start("", "free"), start(", constraint='unit_norm'", "bound"));
}

#[test]
fn shares_and_numbers_that_round_to_nothing_are_refused() {
    let words = &["would drop nothing", "multiples of 1/65536"];
    refused(&["network.dropout=1e-6"], words);
    refused(&["network.drop_connect=7e-6"], words);
    refused(&["network.layers=[{type='residual', layers=[{type='dropout', rate=1e-9}]}]"], words);
    taken(&["network.dropout=7.7e-6"]);
    for set in [
        &["optimizer.epsilon=1e-300"][..],
        &["optimizer.name=adadelta", "optimizer.adadelta_epsilon=1e-300"],
        &["loss.name=huber", "loss.delta=1e-39"],
        &["network.input_noise=1e-300"],
        &["train.clip_norm=1e-40"],
    ] {
        refused(set, &["is 0 in `network.precision` = \"f32\"", "1.2e-38", "network.precision = \"f64\""]);
        taken(&[set, &["network.precision=f64"]].concat());
    }
    taken(&["optimizer.epsilon=1.2e-38"]);
}

#[test]
fn the_smallest_epsilon_that_is_taken_trains() {
    let folder = folder();
    for set in ["optimizer.epsilon=1.2e-38", "network.dropout=1.6e-5"] {
        call(folder.path(), &quick("t.csv", "y", &["--set", set, "--quiet"])).done();
    }
}

#[test]
fn the_mean_of_schedule_free_is_not_cut_as_binary_weights_are() {
    let sets = ["weights.kind=binary", "network.hidden=[8, 8]", "optimizer.name=schedule_free_adamw"];
    refused(&sets, &["schedule_free_adamw", "binary weights", "cut to ±1", "optimizer.name = \"adamw\""]);
}

#[test]
fn what_this_machine_cannot_hold_is_refused_before_a_folder_is_made() {
    let folder = folder();
    let huge = ["--set", "network.hidden=[65536, 65536]", "--quiet", "--out", "run"];
    let refused = call(folder.path(), &quick("t.csv", "y", &huge));
    assert_eq!(refused.code, 2, "{}", refused.err);
    for words in ["4,295,", "parameters would take about", "GiB are available", "network.hidden=[128, 128]"] {
        assert!(refused.err.contains(words), "{}", refused.err);
    }
    assert!(!folder.path().join("run").exists());
    for (args, words) in [
        (&["ablate", "t.csv", "--target", "y", "--seeds", "50000000"][..], "more than 10000"),
        (&["lr-test", "t.csv", "--target", "y", "--steps", "1000000000000"], "more than 100000"),
    ] {
        let refused = call(folder.path(), args);
        assert_eq!(refused.code, 2, "{}", refused.err);
        assert!(refused.err.contains(words), "{}", refused.err);
    }
}

#[test]
fn an_embedding_without_columns_to_embed_is_told() {
    let folder = folder();
    let told = |sets: &[&str]| {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        call(folder.path(), &quick("t.csv", "y", &sets))
            .done()
            .err
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let without_numbers = ["data.columns.x.drop=true", "data.columns.k.drop=true"];
    let waves = [&without_numbers[..], &["embedding.numeric=plr", "embedding.categories=embedding"]].concat();
    assert!(told(&waves).contains("embedding.numeric = plr says nothing: there is no number column"));
    let few = ["embedding.numeric=plr", "embedding.categories=embedding", "embedding.one_hot_up_to=8"];
    let words = "embedding.categories = embedding says nothing: there is no category column of more than \
                 embedding.one_hot_up_to = 8 categories";
    assert!(told(&few).contains(words), "{}", told(&few));
}

#[test]
fn a_loss_of_numbers_makes_numbers_of_few() {
    let folder = folder();
    let rows: String = (0..120).map(|i| format!("{},{}\n", f64::from(i % 17) * 0.5, i * 7 % 5)).collect();
    std::fs::write(folder.path().join("few.csv"), format!("x,n\n{rows}")).unwrap();
    for sets in [
        &["--set", "loss.name=huber"][..],
        &["--set", "loss.name=poisson", "--set", "prepare.target_scale=none"],
    ] {
        let told = call(folder.path(), &quick("few.csv", "n", sets)).done();
        assert!(told.err.contains("regression") && told.err.contains("is for numbers"), "{}", told.err);
    }
    // Without such a loss they are classes, as before.
    assert!(call(folder.path(), &quick("few.csv", "n", &[])).done().err.contains("multiclass"));
}
