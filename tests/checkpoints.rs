//! A training that goes on from any of its checkpoints comes to the bits of one that was not broken off.

use crate::common;
use std::time::Duration;

use common::{classes, dense, numbers, of_kind};
use serde_json::{Value, json};
use statera::config::{Activation, Config, LayerSpec, WeightKind};
use statera::data::TargetScaler;
use statera::error::Result;
use statera::model::Params;
use statera::nn::{CpuLevel, Loss, Network, Scalar};
use statera::train::checkpoint::{Checkpoint, Saving, Unfit};
use statera::train::events::{Answer, Callback, Callbacks, Event};
use statera::train::fit::{FitRows, Fitted, OwnedTargets, RowFacts, Rows, fit_saved};
use statera::train::source::Source;

const N_INPUTS: usize = 6;
const N_ROWS: usize = 203;

/// Layers with everything that has statistics or draws.
fn usual() -> Vec<LayerSpec> {
    let noise: LayerSpec = LayerSpec::GaussianNoise { std: 0.1 };
    vec![
        noise,
        dense(8, Activation::Relu),
        LayerSpec::batch_norm(),
        LayerSpec::Dropout { rate: 0.2 },
        dense(8, Activation::Tanh),
    ]
}

/// Layers whose loss is the same at every evaluation.
fn plain() -> Vec<LayerSpec> {
    vec![dense(8, Activation::Tanh), dense(8, Activation::Tanh)]
}

fn of_sparse() -> Vec<LayerSpec> {
    vec![of_kind(8, Activation::Relu, WeightKind::Sparse), of_kind(8, Activation::Tanh, WeightKind::Sparse)]
}

fn of_binary() -> Vec<LayerSpec> {
    vec![of_kind(8, Activation::Relu, WeightKind::Binary), LayerSpec::batch_norm()]
}

fn rows<T: Scalar>(n_rows: usize, salt: u32) -> Rows<T> {
    let targets =
        OwnedTargets::Values(numbers::<T>(n_rows, salt + 1)).weighted(vec![T::from_f64(0.5); n_rows]);
    Rows { x: numbers::<T>(n_rows * N_INPUTS, salt), targets }
}

/// What is compared: parameters, all figures of the history but times, the best epoch and the reason.
type Outcome = (Vec<u64>, Vec<(usize, Vec<u64>, bool)>, usize, String);

fn outcome<T: Scalar>(fitted: &Fitted<T>) -> Outcome {
    let params = fitted.params.iter().map(|p| p.to_f64().to_bits()).collect();
    let history = fitted.history.iter().map(|e| {
        let metrics = e.metrics.iter().map(|(_, value)| *value);
        let figures = [e.train_loss, e.val_loss, e.learning_rate].into_iter().chain(metrics);
        (e.epoch, figures.map(f64::to_bits).collect(), e.best)
    });
    (params, history.collect(), fitted.best_epoch, fitted.reason.clone())
}

/// A training whose checkpoints are kept by `keep`, from one on if there is one.
fn train<T: Scalar + 'static>(
    layers: &[LayerSpec],
    config: &Config,
    from: Option<Checkpoint>,
    every: Duration,
    listener: &mut dyn Callback,
    keep: &mut dyn FnMut(Checkpoint, bool) -> Result<()>,
) -> Result<Fitted<T>> {
    let (train, val) = (rows::<T>(N_ROWS, 1), rows::<T>(40, 9));
    let network = Network::new(layers, N_INPUTS, 1);
    let difficulty = classes(N_ROWS, 1000, 5).into_iter().map(f64::from).collect();
    let facts = RowFacts { numeric_inputs: vec![0, 2, 3], difficulty };
    let rows = FitRows {
        train: Source::Memory(&train),
        val: Source::Memory(&val),
        facts: &facts,
        unit: &TargetScaler::IDENTITY,
    };
    let saving = Saving { from, every, at_end: true, about: json!("a test"), keep };
    fit_saved(&network, Loss::Mse, CpuLevel::detect(), config, rows, listener, Some(saving))
}

/// Trains without a break, taking checkpoints; then goes on from each of them, read from its bytes.
fn check<T: Scalar + 'static>(name: &str, layers: &[LayerSpec], sets: &[&str]) {
    let sets: Vec<String> = ["train.batch_size=32", "train.epochs=7", "train.shard_rows=16"]
        .iter()
        .chain(sets)
        .map(|&set| set.to_owned())
        .collect();
    let config = Config::load(None, &sets).unwrap_or_else(|e| panic!("{name}: {e}"));
    let go_on = || |_: &Event| Answer::GoOn;
    let mut all: Vec<Vec<u8>> = Vec::new();
    // At the end of each epoch, and as often as can be within epochs.
    let mut whole = None;
    for every in [Duration::ZERO, Duration::from_nanos(1)] {
        let mut keep = |checkpoint: Checkpoint, _| {
            all.push(checkpoint.into_bytes()?);
            Ok(())
        };
        let fitted = train::<T>(layers, &config, None, every, &mut go_on(), &mut keep).unwrap();
        let now = outcome(&fitted);
        assert!(whole.as_ref().is_none_or(|whole| *whole == now), "{name}: checkpoints change the training");
        whole = Some(now);
    }
    let whole = whole.unwrap();
    assert!(all.len() > whole.1.len(), "{name}: {} checkpoints", all.len());
    let mut inside = 0;
    // Not all of those within epochs, of which there are many.
    let step = 1 + all.len() / 40;
    for bytes in all.iter().take(8).chain(all.iter().skip(8).step_by(step)) {
        let from = Checkpoint::read(bytes).unwrap();
        let [epoch, step] = from.place();
        inside += usize::from(step > 0);
        let fitted =
            train::<T>(layers, &config, Some(from), Duration::MAX, &mut go_on(), &mut |_, _| Ok(())).unwrap();
        assert!(outcome(&fitted) == whole, "{name}: from epoch {epoch}, step {step}");
    }
    let takes_all = config.optimizer.name == statera::config::OptimizerName::Lbfgs;
    assert!(inside > 0 || takes_all, "{name}: no checkpoint within an epoch");
}

#[test]
fn every_optimizer_goes_on_to_the_same_bits() {
    for name in statera::config::OptimizerName::NAMES {
        let optimizer = format!("optimizer.name={name}");
        let mut sets = vec![optimizer.as_str()];
        match *name {
            "sgd" => sets.push("optimizer.momentum=0.9"),
            "rmsprop" => sets.extend(["optimizer.centered=true", "optimizer.rmsprop_momentum=0.5"]),
            _ => {}
        }
        let takes_all = *name == "lbfgs";
        if takes_all {
            sets.push("network.dropout=0");
        }
        check::<f32>(name, &if takes_all { plain() } else { usual() }, &sets);
    }
    check::<f64>("adamw in f64", &usual(), &["network.precision=f64"]);
}

#[test]
fn whatever_changes_in_training_goes_on_to_the_same_bits() {
    let usual = usual();
    let cases: &[(&str, &[LayerSpec], &[&str])] = &[
        ("accumulated gradients", &usual, &["train.accumulate=3", "train.clip_norm=0.5"]),
        ("no shuffling", &usual, &["train.shuffle=false"]),
        ("ema", &usual, &["average.kind=ema"]),
        ("swa", &usual, &["average.kind=swa", "average.start=3"]),
        ("noise", &usual, &["noise.weights=0.05", "noise.gradients=0.1", "noise.labels=0.1"]),
        ("augmented rows", &usual, &["augment.jitter=0.1", "augment.mixup=0.3"]),
        ("a curriculum", &usual, &["curriculum.by=column", "curriculum.column=x", "curriculum.epochs=5"]),
        ("a schedule", &usual, &["schedule.name=one_cycle"]),
        ("a plateau", &usual, &["reduce_on_plateau.patience=1", "reduce_on_plateau.factor=0.1"]),
        ("the last weights", &usual, &["checkpoint.restore_best=false"]),
        (
            "patience",
            &usual,
            &["train.epochs=40", "early_stopping.patience=3", "early_stopping.min_delta=0.01"],
        ),
        ("a window", &usual, &["early_stopping.window=3", "early_stopping.window_change=0.5"]),
        ("weights that stand still", &usual, &["early_stopping.weight_change=0.06", "schedule.name=cosine"]),
        ("l1 and a constraint", &usual, &["optimizer.l1=0.001", "optimizer.constraint=max_norm"]),
        (
            "pruning",
            &of_sparse(),
            &[
                "weights.kind=sparse",
                "weights.sparsity=0.5",
                "weights.prune_begin=1",
                "weights.prune_end=5",
                "weights.prune_every=1",
            ],
        ),
        ("latent weights", &of_binary(), &[]),
        ("latent weights and an average", &of_binary(), &["average.kind=ema"]),
    ];
    for (name, layers, sets) in cases {
        check::<f32>(name, layers, sets);
    }
}

/// Stops at the n-th epoch that it has heard of, whoever began it.
struct Nth {
    heard: usize,
    last: usize,
}

impl Callback for Nth {
    fn hear(&mut self, event: &Event, weights: &dyn Fn() -> Params) -> Answer {
        let Event::Epoch(record) = event else { return Answer::GoOn };
        self.heard += 1;
        let Params::F32(weights) = weights() else { panic!("single precision is trained") };
        assert!(weights.iter().all(|w| w.is_finite()) && record.epoch == self.heard);
        if self.heard == self.last { Answer::Stop("that will do".into()) } else { Answer::GoOn }
    }
    fn state(&self) -> Value {
        json!(self.heard)
    }
    fn restore(&mut self, state: &Value) -> Result<()> {
        self.heard = state.as_u64().unwrap() as usize;
        Ok(())
    }
}

#[test]
fn the_state_of_callbacks_is_part_of_a_checkpoint() {
    let config = Config::load(None, &["train.epochs=9".into()]).unwrap();
    let mut all = Vec::new();
    let mut quiet = |_: &Event| Answer::GoOn;
    let mut nth = Nth { heard: 0, last: 5 };
    let mut several = Callbacks(vec![&mut quiet, &mut nth]);
    let mut keep = |checkpoint: Checkpoint, _| {
        all.push(checkpoint);
        Ok(())
    };
    let whole = train::<f32>(&usual(), &config, None, Duration::ZERO, &mut several, &mut keep).unwrap();
    assert_eq!((whole.history.len(), whole.reason.as_str()), (5, "that will do"));
    // The fifth was taken after the callback had ended training, which stays ended.
    for from in all {
        let [epoch, _] = from.place();
        let mut nth = Nth { heard: 100, last: 5 };
        let mut resumed = Vec::new();
        let mut hears = |event: &Event| {
            if let Event::Resumed { epoch, .. } = event {
                resumed.push(*epoch);
            }
            Answer::GoOn
        };
        let mut several = Callbacks(vec![&mut hears, &mut nth]);
        let fitted =
            train::<f32>(&usual(), &config, Some(from), Duration::MAX, &mut several, &mut |_, _| Ok(()))
                .unwrap();
        assert_eq!(outcome(&fitted), outcome(&whole), "from epoch {epoch}");
        assert_eq!((resumed, nth.heard), (vec![epoch], 5));
    }
}

#[test]
fn an_interruption_is_taken_up_where_it_was() {
    let sets = ["train.epochs=6", "train.batch_size=16"].map(String::from);
    let config = Config::load(None, &sets).unwrap();
    let whole =
        train::<f32>(&usual(), &config, None, Duration::MAX, &mut |_: &Event| Answer::GoOn, &mut |_, _| {
            Ok(())
        });
    let whole = outcome(&whole.unwrap());
    // Again and again, at the end of each epoch.
    let (mut from, mut n) = (None, 0);
    loop {
        let mut last = None;
        let mut stop = |event: &Event| match event {
            Event::Epoch(_) => Answer::Interrupt("for now".into()),
            _ => Answer::GoOn,
        };
        let mut keep = |checkpoint: Checkpoint, waits| {
            last = Some((checkpoint, waits));
            Ok(())
        };
        let fitted = train::<f32>(&usual(), &config, from, Duration::MAX, &mut stop, &mut keep).unwrap();
        let Some((checkpoint, true)) = last else { panic!("nothing was kept") };
        n += 1;
        if fitted.history.len() == 6 && n > 6 {
            assert_eq!(outcome(&fitted), whole);
            break;
        }
        assert_eq!((fitted.reason.as_str(), fitted.history.len()), ("for now", n));
        from = Some(checkpoint);
    }
}

#[test]
fn what_cannot_be_kept_is_told_and_training_goes_on() {
    let config = Config::load(None, &["train.epochs=3".into()]).unwrap();
    let mut told = Vec::new();
    let mut hear = |event: &Event| {
        if let Event::NotSaved { epoch, why } = event {
            told.push((*epoch, why.clone()));
        }
        Answer::GoOn
    };
    let mut keep = |_: Checkpoint, _| Err(statera::error::Error::output("the disk is full", "make room"));
    let fitted = train::<f32>(&usual(), &config, None, Duration::ZERO, &mut hear, &mut keep).unwrap();
    assert_eq!(fitted.history.len(), 3);
    assert_eq!(told.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [2, 3, 4, 4]);
    assert!(told.iter().all(|(_, why)| why.contains("the disk is full")), "{told:?}");
}

#[test]
fn a_damaged_checkpoint_or_one_of_another_network_is_refused() {
    let config = Config::load(None, &["train.epochs=2".into()]).unwrap();
    let mut last = None;
    let mut keep = |checkpoint: Checkpoint, _| {
        last = Some(checkpoint);
        Ok(())
    };
    let mut go_on = |_: &Event| Answer::GoOn;
    train::<f32>(&usual(), &config, None, Duration::ZERO, &mut go_on, &mut keep).unwrap();
    let bytes = last.unwrap().into_bytes().unwrap();
    assert!(Checkpoint::read(&bytes).is_ok());
    for at in (0..bytes.len()).step_by(bytes.len() / 60) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(Checkpoint::read(&damaged).is_err(), "byte {at}");
        let part = Checkpoint::read(&bytes[..at]);
        assert!(matches!(part, Err(Unfit::Damaged(_))), "{at} bytes");
    }
    let text =
        String::from_utf8_lossy(&bytes).replacen(r#"\"format_version\":1"#, r#"\"format_version\":7"#, 1);
    assert!(text.contains(r#"\"format_version\":7"#));
    let mut newer = bytes.clone();
    let at = bytes.windows(19).position(|w| w == br#"format_version\":1,"#).unwrap();
    newer[at + 17] = b'7';
    assert_eq!(Checkpoint::read(&newer).unwrap_err(), Unfit::Version(7));

    let from = || Some(Checkpoint::read(&bytes).unwrap());
    let others: [(&str, Vec<LayerSpec>, &[&str]); 3] = [
        ("`params`; expected", vec![dense(9, Activation::Relu)], &[]),
        ("no `optimizer.third` of the type expected", usual(), &["optimizer.name=amsgrad"]),
        ("no `weight_change` of the type expected", usual(), &["early_stopping.weight_change=0.1"]),
    ];
    for (what, layers, sets) in others {
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        let config = Config::load(None, &sets).unwrap();
        let refused = train::<f32>(&layers, &config, from(), Duration::MAX, &mut go_on, &mut |_, _| Ok(()))
            .unwrap_err();
        let told = refused.to_string();
        assert!(
            told.contains("the checkpoint is of another network or other settings") && told.contains(what),
            "{told}"
        );
    }
    let refused =
        train::<f64>(&usual(), &config, from(), Duration::MAX, &mut go_on, &mut |_, _| Ok(())).unwrap_err();
    assert!(refused.to_string().contains("no `params` of the type expected"), "{refused}");
}
