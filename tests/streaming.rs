//! Rows that are read from a file while they are learned from: the same bits as of rows in memory.

use crate::common;
use common::{classes, dense, numbers};
use statera::config::{Activation, Config, CurriculumBy, LayerSpec, OptimizerName};
use statera::data::TargetScaler;
use statera::nn::{CpuLevel, Loss, Network};
use statera::train::events::{Answer, Event};
use statera::train::fit::{Fitted, OwnedTargets, RowFacts, Rows, fit};
use statera::train::row_file::{RowFile, RowLayout, RowWriter};
use statera::train::source::Source;
use statera::train::windows::Windows;

/// So many that a window has 2,048 rows.
const N_INPUTS: usize = 2048;

fn file(folder: &std::path::Path, name: &str, rows: &Rows<f32>, n_inputs: usize) -> RowFile {
    let (path, layout) = (folder.join(name), RowLayout::of(rows, n_inputs));
    let mut writer = RowWriter::create(&path, layout).unwrap();
    writer.append(rows).unwrap();
    let (n_rows, seal) = writer.finish().unwrap();
    assert_eq!(seal.fault(&path), None);
    RowFile::new(path, layout, n_rows)
}

fn trained(
    network: &Network,
    loss: Loss,
    config: &Config,
    rows: [Source<f32>; 2],
    threads: usize,
) -> Fitted<f32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let [train, val] = rows;
    let facts = RowFacts::default();
    pool.install(|| {
        let mut listener = |_: &Event| Answer::GoOn;
        fit(
            network,
            loss,
            CpuLevel::detect(),
            config,
            train,
            &facts,
            val,
            &TargetScaler::IDENTITY,
            &mut listener,
        )
        .unwrap()
    })
}

/// Parameters and losses of a training, to the bit.
fn bits(fitted: &Fitted<f32>) -> (Vec<u32>, Vec<[u64; 2]>) {
    let losses = fitted.history.iter().map(|e| [e.train_loss.to_bits(), e.val_loss.to_bits()]);
    (fitted.params.iter().map(|p| p.to_bits()).collect(), losses.collect())
}

#[test]
fn rows_of_a_file_train_to_the_bits_of_rows_in_memory() {
    // A last batch of one row, which joins the one before.
    let n_rows = 5 * 1000 + 1;
    assert_eq!(Windows::new(n_rows, N_INPUTS, 50).len(), 3);
    let targets = OwnedTargets::Classes(classes(n_rows, 3, 3)).weighted(vec![0.5; n_rows]);
    let train = Rows { x: numbers::<f32>(n_rows * N_INPUTS, 1), targets };
    let val = train.picked(&(0..40).collect::<Vec<_>>(), N_INPUTS);
    let folder = tempfile::tempdir().unwrap();
    let files =
        [("train", &train), ("val", &val)].map(|(name, rows)| file(folder.path(), name, rows, N_INPUTS));
    let network = Network::new(&[dense(2, Activation::Relu), LayerSpec::batch_norm()], N_INPUTS, 3);
    let mut config = Config::default();
    (config.train.epochs, config.train.batch_size, config.train.accumulate) = (2, 50, 3);
    (config.augment.mixup, config.train.shard_rows) = (0.2, 16);
    let mut results = Vec::new();
    for shuffle in [false, true] {
        config.train.shuffle = shuffle;
        let memory = [Source::Memory(&train), Source::Memory(&val)];
        let in_memory = bits(&trained(&network, Loss::CategoricalCrossentropy, &config, memory, 1));
        for threads in [1, 2] {
            let source = [Source::File(&files[0]), Source::File(&files[1])];
            let streamed = bits(&trained(&network, Loss::CategoricalCrossentropy, &config, source, threads));
            assert!(in_memory == streamed, "shuffle {shuffle}, {threads} threads");
        }
        results.push(in_memory);
    }
    assert_ne!(results[0], results[1]);
}

#[test]
fn what_needs_all_rows_at_once_is_refused_for_a_file() {
    let rows = Rows { x: numbers::<f32>(60, 1), targets: OwnedTargets::Values(numbers(20, 2)) };
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), "rows", &rows, 3);
    let network = Network::new(&[], 3, 1);
    let refused = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        let facts = RowFacts::default();
        let mut listener = |_: &Event| Answer::GoOn;
        let level = CpuLevel::detect();
        fit::<f32>(
            &network,
            Loss::Mse,
            level,
            &config,
            &file,
            &facts,
            &file,
            &TargetScaler::IDENTITY,
            &mut listener,
        )
        .unwrap_err()
        .to_string()
    };
    assert!(refused(&|c| c.optimizer.name = OptimizerName::Lbfgs).contains("--set optimizer.name=adamw"));
    assert!(refused(&|c| c.curriculum.by = CurriculumBy::Column).contains("--set curriculum.by=none"));
    assert!(refused(&|c| c.noise.labels = 0.1).contains("--set noise.labels=0"));
}

#[test]
fn a_file_that_ends_early_stops_training_with_its_name() {
    let rows = Rows { x: numbers::<f32>(60, 1), targets: OwnedTargets::Values(numbers(20, 2)) };
    let folder = tempfile::tempdir().unwrap();
    let train = file(folder.path(), "train.rows", &rows, 3);
    std::fs::write(folder.path().join("train.rows"), [0; 100]).unwrap();
    let network = Network::new(&[], 3, 1);
    let mut listener = |_: &Event| Answer::GoOn;
    let (level, config, facts) = (CpuLevel::detect(), Config::default(), RowFacts::default());
    let error = fit(
        &network,
        Loss::Mse,
        level,
        &config,
        &train,
        &facts,
        &rows,
        &TargetScaler::IDENTITY,
        &mut listener,
    )
    .unwrap_err();
    assert!(error.to_string().contains("train.rows"), "{error}");
}
