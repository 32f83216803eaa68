//! What is said of trainings that go astray: the layer, and a way out that is one.

use crate::cli;
use crate::common;
use cli::{call, folder, quick};
use common::{dense, numbers};
use statera::config::{Activation, Config, OptimizerName};
use statera::nn::{CpuLevel, Loss, Network, Targets};
use statera::train::optimizer::Optimizer;
use statera::train::step::Stepper;

#[test]
fn noise_that_no_rate_makes_up_for_is_named_in_place_of_a_rate() {
    let folder = folder();
    for (set, remedy) in [
        ("noise.weights=1e38", "--set noise.weights=0.01"),
        ("network.input_noise=1e38", "--set network.input_noise=0.1"),
        ("augment.jitter=1e38", "--set augment.jitter=0.1"),
        ("noise.labels=1e38", "--set noise.labels=0.1"),
    ] {
        let failed = call(folder.path(), &quick("t.csv", "y", &["--set", set, "--quiet"]));
        assert!(failed.err.contains(remedy), "{set}: {}", failed.err);
        assert!(!failed.err.contains("optimizer.learning_rate"), "{set}: {}", failed.err);
        // The way out is one.
        let mended = remedy.strip_prefix("--set ").unwrap();
        call(folder.path(), &quick("t.csv", "y", &["--set", mended, "--quiet"])).done();
    }
}

#[test]
fn weights_worse_than_the_initial_ones_are_told_with_the_layer_and_a_rate_that_trains() {
    let folder = folder();
    let sets = |rate: &str| {
        let rate = format!("optimizer.learning_rate={rate}");
        ["--set", "optimizer.name=adam", "--set", &rate, "--set", "train.epochs=3", "--json", "--quiet"]
            .map(str::to_owned)
    };
    let trained = |rate: &str| {
        let sets = sets(rate);
        call(folder.path(), &quick("t.csv", "y", &sets.each_ref().map(String::as_str))).done()
    };
    let blown_up = trained("1000");
    for words in ["warning: the weights that are kept", "worse on the validation rows", "outputs of layers."]
    {
        assert!(blown_up.err.contains(words), "{}", blown_up.err);
    }
    let (_, rate) = blown_up.err.split_once("--set optimizer.learning_rate=").expect("a rate is suggested");
    let rate = rate.split(',').next().unwrap();
    let better = trained(rate);
    assert!(!better.err.contains("warning"), "{rate}: {}", better.err);
    let r2 = |outcome: &cli::Outcome| outcome.json()["val"]["r2"].as_f64().unwrap();
    assert!(r2(&better) > r2(&blown_up), "{rate}: {}", r2(&better));
}

#[test]
fn the_layer_is_that_of_the_weights_with_their_noise() {
    let network = Network::new(&[dense(6, Activation::Relu), dense(6, Activation::Relu)], 3, 1);
    let mut config = Config::default();
    config.noise.weights = 1e38;
    let mut params = network.init::<f32>(1);
    let start = params.clone();
    config.optimizer.name = OptimizerName::Sgd;
    let mut optimizer = Optimizer::new(&config.optimizer, network.views());
    let mut stepper =
        Stepper::new(&network, Loss::Mse, CpuLevel::detect(), 1, 20, 7).with_noise(&config.noise);
    let (x, t) = (numbers::<f32>(60, 1), numbers::<f32>(20, 2));
    let loss = stepper.step(0, 0.1, &mut params, &mut optimizer, &x, Targets::Values(&t));
    // 1e38 in the first layer, its square in the second, which is beyond single precision.
    assert!(!loss.is_finite());
    assert!(stepper.not_finite().is_some(), "it is not the loss alone");
    assert_eq!(params, start);
}
