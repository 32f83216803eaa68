//! Summaries and views of networks: names, counts and widths, against counting by hand.

use crate::common;
use common::variants::{stacks, variants};
use statera::config::{Activation, LayerSpec};
use statera::nn::{Layer, Network};

/// The names, counts and widths of layers by hand; returns the width after them.
fn rows_of(
    specs: &[LayerSpec],
    [n_inputs, members]: [usize; 2],
    list: &str,
    rows: &mut Vec<(String, usize, usize, usize, usize)>,
) -> usize {
    let (mut features, mut members) = (n_inputs, members);
    for (i, spec) in specs.iter().enumerate() {
        let name = format!("{list}.{i}");
        let (trainable, fixed, out) = match spec {
            LayerSpec::Dense { units, bias, packed, .. } => {
                let one = units * (features / members + usize::from(*bias));
                (if *packed { members * one } else { one }, 0, members * units)
            }
            LayerSpec::BatchNorm { .. } => (2 * features, 2 * features, features),
            LayerSpec::LayerNorm { .. } => (2 * features, 0, features),
            LayerSpec::Scale { bias, .. } => (if *bias { 2 * features } else { features }, 0, features),
            LayerSpec::ParametricActivation { .. } => (features, 0, features),
            LayerSpec::Members { count } => {
                members = *count;
                (0, 0, members * features)
            }
            LayerSpec::Embedding { .. } => unreachable!("tests/embeddings.rs has these"),
            LayerSpec::Dropout { .. }
            | LayerSpec::Activation { .. }
            | LayerSpec::GaussianNoise { .. }
            | LayerSpec::Residual { .. } => (0, 0, features),
        };
        rows.push((name.clone(), trainable, fixed, out, members));
        if let LayerSpec::Residual { layers } = spec {
            assert_eq!(rows_of(layers, [features, members], &name, rows), features);
        }
        features = out;
    }
    features
}

#[test]
fn summaries_count_what_the_views_hold() {
    let mut all: Vec<Vec<LayerSpec>> = variants(6).into_iter().map(|variant| vec![variant]).collect();
    all.extend(stacks(6));
    for specs in all {
        let network = Network::from_specs(specs.clone(), 4);
        let rows = network.summary();
        let mut offset = 0;
        for view in network.views() {
            assert_eq!(view.offset, offset, "{specs:?}: views follow each other without a gap");
            assert_eq!(view.len(), view.shape.iter().product::<usize>());
            offset += view.len();
        }
        assert_eq!(offset, network.n_params());
        let mut expected = Vec::new();
        let features = rows_of(&specs, [4, 1], "layers", &mut expected);
        let got: Vec<_> = rows
            .iter()
            .map(|row| (row.name.clone(), row.trainable, row.fixed, row.out_features, row.n_members))
            .collect();
        assert_eq!(got, expected, "{specs:?}");
        assert_eq!(network.n_outputs() * network.n_members(), features);
    }
}

#[test]
fn the_insurance_network_has_its_known_parameters() {
    let mut specs = vec![LayerSpec::batch_norm()];
    for dropout in [true, true, false] {
        specs.push(common::dense(100, Activation::Relu));
        specs.push(LayerSpec::batch_norm());
        if dropout {
            specs.push(LayerSpec::Dropout { rate: 0.5 });
        }
    }
    let network = Network::new(&specs, 11, 1);
    let rows = network.summary();
    let counts: Vec<usize> = rows.iter().map(|row| row.trainable + row.fixed).collect();
    assert_eq!(counts, [44, 1200, 400, 0, 10_100, 400, 0, 10_100, 400, 101]);
    assert_eq!(network.n_params(), 22_745);
    assert_eq!(rows.iter().map(|row| row.trainable).sum::<usize>(), 22_123);
    assert_eq!(rows.iter().map(|row| row.fixed).sum::<usize>(), 622);
    assert!(matches!(network.layers().last(), Some(Layer::Dense(_))));
}
