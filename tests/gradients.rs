//! The contract of every kind of layer and every loss: the gradients are those of the loss, whatever the shape.

use crate::common;
use common::variants::{ACTIVATIONS, stacks, variants};
use common::{activation, classes, dense_of, numbers, packed, parameters};
use statera::config::layers::LAYER_KEYS;
use statera::config::{Activation, Initializer, LayerSpec, LossName};
use statera::nn::{CpuLevel, Loss, Mode, Network, Pass, Scalar, Targets, Workspace};

/// The step of the differences. Their rule is of fourth order: it is off by about h⁴/30 of the fifth derivative
/// (5e-17) and by rounding, about 1e-16 / h of the loss (5e-13).
const H: f64 = 2e-4;
/// Numbers that meet a kink keep this distance from it: fifty steps.
const MARGIN: f64 = 0.01;
const TOLERANCE: f64 = 1e-6;
const INFER: Mode = Mode::Infer;

/// Those with a derivative, the first or the second, that jumps at zero.
const KINKED: [Activation; 5] =
    [Activation::Relu, Activation::LeakyRelu, Activation::Elu, Activation::Selu, Activation::Softsign];

/// Rows, inputs and (for dense layers) outputs. Some have as many rows as a tile or more.
const SHAPES: [[usize; 3]; 11] = [
    [1, 1, 1],
    [2, 1, 1],
    [1, 5, 1],
    [1, 1, 4],
    [2, 3, 2],
    [3, 7, 5],
    [4, 16, 8],
    [9, 17, 17],
    [5, 33, 3],
    [20, 6, 3],
    [37, 3, 2],
];

/// A layer as it is named when a check fails.
fn name(spec: &LayerSpec) -> String {
    match spec {
        LayerSpec::Dense { units, activation, bias, drop_connect, packed, parametrization, .. } => format!(
            "dense({units}, {activation}, bias {bias}, drop_connect {drop_connect}, packed {packed}, {parametrization})"
        ),
        LayerSpec::BatchNorm { epsilon, .. } => format!("batch_norm({epsilon})"),
        LayerSpec::Dropout { rate } => format!("dropout({rate})"),
        LayerSpec::Activation { function, slope } => format!("activation({function}, slope {slope})"),
        LayerSpec::LayerNorm { epsilon } => format!("layer_norm({epsilon})"),
        LayerSpec::GaussianNoise { std } => format!("gaussian_noise({std})"),
        LayerSpec::Scale { bias, .. } => format!("scale(bias {bias})"),
        LayerSpec::Members { count } => format!("members({count})"),
        LayerSpec::ParametricActivation { .. } | LayerSpec::Embedding { .. } => format!("{spec:?}"),
        LayerSpec::Residual { layers } => {
            format!("residual({})", layers.iter().map(name).collect::<Vec<_>>().join(" "))
        }
    }
}

/// Stacks without blocks that end in each layer in turn, every layer in its place: what enters a block runs through
/// its first layers as through any others.
fn beginnings(specs: &[LayerSpec]) -> Vec<Vec<LayerSpec>> {
    let mut all = Vec::new();
    for (i, spec) in specs.iter().enumerate() {
        let before = |more: Vec<LayerSpec>| specs[..i].iter().cloned().chain(more).collect::<Vec<_>>();
        match spec {
            LayerSpec::Residual { layers } => {
                let opened =
                    |inner: Vec<LayerSpec>| before([vec![activation(Activation::Linear)], inner].concat());
                all.extend(beginnings(layers).into_iter().map(opened));
            }
            spec => all.push(before(vec![spec.clone()])),
        }
    }
    all
}

/// A network, the rows it sees, and a loss.
struct Problem<T> {
    what: String,
    network: Network,
    loss: Loss,
    mode: Mode,
    n_rows: usize,
    params: Vec<T>,
    x: Vec<T>,
    values: Vec<T>,
    classes: Vec<u32>,
}

impl<T: Scalar> Problem<T> {
    fn new(specs: &[LayerSpec], [n_rows, n_inputs]: [usize; 2], loss: Loss, mode: Mode, salt: u32) -> Self {
        let network = Network::from_specs(specs.to_vec(), n_inputs);
        let n_outputs = network.n_outputs();
        let layers: Vec<String> = specs.iter().map(name).collect();
        Self {
            what: format!("{n_rows}x{n_inputs} {} {loss:?} {mode:?}", layers.join(" ")),
            params: parameters(&network, 4 * salt),
            x: numbers(n_rows * n_inputs, 4 * salt + 1),
            values: numbers(n_rows * n_outputs, 4 * salt + 2),
            classes: match loss {
                _ if loss.is_categorical() => classes(n_rows, n_outputs, 4 * salt + 3),
                _ => classes(n_rows * n_outputs, 2, 4 * salt + 3),
            },
            network,
            loss,
            mode,
            n_rows,
        }
    }

    fn targets(&self) -> Targets<'_, T> {
        if self.loss.is_classification() {
            Targets::Classes(&self.classes)
        } else {
            Targets::Values(&self.values)
        }
    }

    fn pass<'a>(&self, params: &'a [T]) -> Pass<'a, T> {
        Pass { level: CpuLevel::detect(), params, n_rows: self.n_rows, mode: self.mode }
    }

    /// The same problem in another number type.
    fn cast<U: Scalar>(&self) -> Problem<U> {
        let cast = |v: &[T]| v.iter().map(|v| U::from_f64(v.to_f64())).collect::<Vec<U>>();
        Problem {
            what: self.what.clone(),
            network: self.network.clone(),
            params: cast(&self.params),
            x: cast(&self.x),
            values: cast(&self.values),
            classes: self.classes.clone(),
            loss: self.loss,
            mode: self.mode,
            n_rows: self.n_rows,
        }
    }

    fn scale(&self) -> T {
        T::from_f64(1.0 / self.n_rows as f64)
    }

    /// The loss that the gradients are of, from a forward pass alone.
    fn objective(&self, params: &[T], x: &[T], work: &mut Workspace<T>) -> f64 {
        let outputs = self.network.forward(&self.pass(params), x, work).to_vec();
        let k = self.network.n_members();
        // The mean over the members, each with the rows as its batch.
        let losses = (0..k).map(|member| {
            let own = self.of_member(&outputs, member);
            self.loss.forward_backward(&own, self.targets(), T::ONE, &mut vec![T::ZERO; own.len()])
        });
        self.loss.of_mean(losses.sum::<f64>() / k as f64 * self.scale().to_f64()).0
    }

    /// The outputs of one member of an ensemble.
    fn of_member(&self, outputs: &[T], member: usize) -> Vec<T> {
        let members = outputs.chunks_exact(self.network.n_outputs());
        members.skip(member).step_by(self.network.n_members()).flatten().copied().collect()
    }

    /// ∂L/∂parameters and ∂L/∂x, from memory that is larger than needed and full of another pass's numbers.
    fn gradients(&self) -> (Vec<T>, Vec<T>) {
        let n_more = self.n_rows + 3;
        let mut work = self.network.workspace(n_more);
        let other = numbers(n_more * self.network.n_inputs(), 99);
        self.network.forward(&Pass { n_rows: n_more, ..self.pass(&self.params) }, &other, &mut work);
        let mut run = |wants_dx: bool| {
            work.grads.fill(T::from_f64(f64::NAN));
            let pass = self.pass(&self.params);
            let (targets, scale) = (self.targets(), self.scale());
            self.network.forward_backward(&pass, self.loss, &self.x, targets, scale, wants_dx, &mut work);
            let (_, factor) = self.loss.of_mean(work.loss_sum * scale.to_f64());
            let own = |g: &[T]| g.iter().map(|&g| factor.map_or(g, |f| g * T::from_f64(f))).collect();
            let grads: Vec<T> = own(&work.grads);
            let dx: Vec<T> = own(&work.input_gradient()[..self.x.len()]);
            (grads, dx)
        };
        let (without, _) = run(false);
        let (grads, dx) = run(true);
        for view in self.network.views().iter().filter(|view| view.trainable) {
            assert_eq!(without[view.range()], grads[view.range()], "{}: {}", self.what, view.name);
        }
        (grads, dx)
    }

    /// The gradients by the name of their tensor, that of the inputs as `x`.
    fn named_gradients(&self) -> Vec<(String, Vec<f64>)> {
        let (grads, dx) = self.gradients();
        let wide = |v: &[T]| v.iter().map(|v| v.to_f64()).collect::<Vec<_>>();
        let views = self.network.views().iter().filter(|view| view.trainable);
        views
            .map(|view| (view.name.clone(), wide(&grads[view.range()])))
            .chain([("x".to_owned(), wide(&dx))])
            .collect()
    }
}

impl Problem<f64> {
    /// The first problem, over the salts, on which no number comes near a kink and the gradient is not all zero.
    fn smooth(specs: &[LayerSpec], shape: [usize; 2], loss: Loss, trains: bool) -> Self {
        let candidates = (0..3000).map(|salt| {
            // Another step has other dropped numbers: a row must not be dropped as a whole.
            let mode = if trains { Mode::Train { seed: 7, step: salt, shard: 1 } } else { INFER };
            Self::new(specs, shape, loss, mode, salt)
        });
        let mut smooth = candidates.filter(|p| p.is_smooth() && p.largest_gradient() > 0.01);
        smooth.next().unwrap_or_else(|| panic!("{shape:?} {specs:?} has no smooth data"))
    }

    fn largest_gradient(&self) -> f64 {
        let all = self.named_gradients();
        all.iter().flat_map(|(_, g)| g).fold(0.0, |a, g| g.abs().max(a))
    }

    fn is_smooth(&self) -> bool {
        let layers_are = beginnings(self.network.specs()).into_iter().all(|mut part| {
            let (LayerSpec::Dense { activation: function, .. }
            | LayerSpec::Activation { function, .. }
            | LayerSpec::ParametricActivation { function, .. }) =
                part.last_mut().expect("a beginning has a layer")
            else {
                return true;
            };
            if !KINKED.contains(function) {
                return true;
            }
            // The parameters of the first layers are the front of the vector.
            *function = Activation::Linear;
            let network = Network::from_specs(part, self.network.n_inputs());
            let mut work = network.workspace(self.n_rows);
            let z = network.forward(&self.pass(&self.params[..network.n_params()]), &self.x, &mut work);
            // Zero is what an earlier relu or dropout holds there, whatever the parameters.
            z.iter().all(|z| z.abs() > MARGIN || *z == 0.0)
        });
        let mut work = self.network.workspace(self.n_rows);
        let all = self.network.forward(&self.pass(&self.params), &self.x, &mut work).to_vec();
        let outputs_are = |member: usize| {
            let y = self.of_member(&all, member);
            let mut errors = y.iter().zip(&self.values).map(|(y, t)| (y - t).abs());
            match self.loss {
                Loss::Mae | Loss::Quantile { .. } => errors.all(|e| e > MARGIN),
                Loss::Hinge => y.iter().all(|z| (z.abs() - 1.0).abs() > MARGIN),
                Loss::Huber { delta } => errors.all(|e| (e - delta).abs() > MARGIN),
                _ => true,
            }
        };
        layers_are && (0..self.network.n_members()).all(outputs_are)
    }

    /// Compares every gradient with differences of the loss; the error is relative to the gradient, or to a
    /// thousandth of the largest where that is more.
    fn check(&self) {
        let (grads, dx) = self.gradients();
        let floor = 1e-3 * self.largest_gradient();
        let mut work = self.network.workspace(self.n_rows);
        let (mut params, mut x) = (self.params.clone(), self.x.clone());
        let check = |name: &str, i: usize, got: f64, mut objective: Box<dyn FnMut(f64) -> f64 + '_>| {
            let near = objective(H) - objective(-H);
            let far = objective(2.0 * H) - objective(-2.0 * H);
            let expected = (8.0 * near - far) / (12.0 * H);
            let error = (got - expected).abs() / expected.abs().max(got.abs()).max(floor);
            assert!(
                error <= TOLERANCE,
                "{}: ∂/∂{name}[{i}] is {got}, by differences {expected}, off by {error:e}",
                self.what
            );
        };
        for view in self.network.views().iter().filter(|view| view.trainable) {
            for i in view.range() {
                let at = |d: f64| {
                    params[i] = self.params[i] + d;
                    let objective = self.objective(&params, &self.x, &mut work);
                    params[i] = self.params[i];
                    objective
                };
                check(&view.name, i - view.offset, grads[i], Box::new(at));
            }
        }
        for i in 0..x.len() {
            let at = |d: f64| {
                x[i] = self.x[i] + d;
                let objective = self.objective(&self.params, &x, &mut work);
                x[i] = self.x[i];
                objective
            };
            check("x", i, dx[i], Box::new(at));
        }
    }
}

#[test]
fn gradients_of_every_layer_alone() {
    for [n_rows, n_inputs, units] in SHAPES {
        for variant in variants(units) {
            for trains in [false, true] {
                Problem::smooth(std::slice::from_ref(&variant), [n_rows, n_inputs], Loss::Mse, trains)
                    .check();
            }
        }
    }
}

#[test]
fn gradients_of_every_layer_after_every_other() {
    let is_members = |spec: &LayerSpec| matches!(spec, LayerSpec::Members { .. });
    for first in variants(5) {
        for second in variants(3) {
            // There is one layer of that kind in a network.
            if is_members(&first) && is_members(&second) {
                continue;
            }
            for trains in [false, true] {
                let specs = [first.clone(), second.clone()];
                Problem::smooth(&specs, [3, 4], Loss::Mse, trains).check();
            }
        }
    }
}

#[test]
fn gradients_of_long_stacks() {
    for [n_rows, n_inputs, units] in [[3, 7, 5], [5, 17, 4], [8, 3, 9], [18, 4, 3], [35, 2, 3]] {
        for specs in stacks(units) {
            for trains in [false, true] {
                Problem::smooth(&specs, [n_rows, n_inputs], Loss::Mse, trains).check();
            }
        }
    }
}

/// Every loss, with the numbers of outputs that it is used with here.
fn losses() -> Vec<(LossName, Loss, Vec<usize>)> {
    vec![
        (LossName::Mse, Loss::Mse, vec![1, 3]),
        (LossName::Mae, Loss::Mae, vec![1, 3]),
        (LossName::Huber, Loss::Huber { delta: 0.7 }, vec![1, 3]),
        (LossName::Rmse, Loss::Rmse, vec![1, 3]),
        (LossName::LogCosh, Loss::LogCosh, vec![1, 3]),
        (LossName::Quantile, Loss::Quantile { quantile: 0.8 }, vec![1, 3]),
        (LossName::Poisson, Loss::Poisson, vec![1, 3]),
        (LossName::BinaryCrossentropy, Loss::BinaryCrossentropy, vec![1]),
        (LossName::BinaryCrossentropy, Loss::SmoothBinaryCrossentropy { label_smoothing: 0.2 }, vec![1]),
        (LossName::Focal, Loss::BinaryFocal { gamma: 2.0 }, vec![1]),
        (LossName::Focal, Loss::BinaryFocal { gamma: 0.3 }, vec![1]),
        (LossName::Hinge, Loss::Hinge, vec![1]),
        (LossName::CategoricalCrossentropy, Loss::CategoricalCrossentropy, vec![2, 3, 17]),
        (
            LossName::CategoricalCrossentropy,
            Loss::SmoothCategoricalCrossentropy { label_smoothing: 0.2 },
            vec![2, 3, 17],
        ),
        (LossName::Focal, Loss::CategoricalFocal { gamma: 2.0 }, vec![2, 3, 17]),
        (LossName::Focal, Loss::CategoricalFocal { gamma: 0.3 }, vec![2, 3]),
    ]
}

#[test]
fn gradients_of_every_loss() {
    for (_, loss, n_outputs) in losses() {
        for n_outputs in n_outputs {
            for n_rows in [1, 2, 11] {
                let tanh = dense_of(4, Activation::Tanh, Initializer::Auto, Some(Initializer::Zeros));
                let last =
                    dense_of(n_outputs, Activation::Linear, Initializer::Auto, Some(Initializer::Zeros));
                let ensemble = [LayerSpec::Members { count: 3 }, tanh.clone(), packed(last.clone())];
                for trains in [false, true] {
                    let specs = [tanh.clone(), LayerSpec::batch_norm(), last.clone()];
                    Problem::smooth(&specs, [n_rows, 3], loss, trains).check();
                    Problem::smooth(&ensemble, [n_rows, 3], loss, trains).check();
                }
            }
        }
    }
}

#[test]
fn huber_is_checked_on_both_sides_of_delta() {
    let delta = 0.7;
    let specs = [dense_of(1, Activation::Linear, Initializer::Auto, Some(Initializer::Zeros))];
    let problem = Problem::smooth(&specs, [11, 3], Loss::Huber { delta }, true);
    problem.check();
    let mut work = problem.network.workspace(11);
    let y = problem.network.forward(&problem.pass(&problem.params), &problem.x, &mut work);
    let beyond = y.iter().zip(&problem.values).filter(|(y, t)| (**y - **t).abs() > delta).count();
    assert!((1..11).contains(&beyond), "{beyond} of 11 rows are beyond delta");
}

#[test]
fn nothing_is_left_out_of_the_lists() {
    let kinds: Vec<&str> = variants(1)
        .iter()
        .map(|spec| Network::from_specs(vec![spec.clone()], 1).layers()[0].kind())
        .collect();
    for kind in LAYER_KEYS {
        assert!(kinds.contains(&kind.name), "{} has no variant here", kind.name);
    }
    let functions = ACTIVATIONS.map(Activation::name);
    assert_eq!(functions, Activation::NAMES);
    let losses: Vec<&str> = losses().iter().map(|(name, ..)| name.name()).collect();
    for name in &LossName::NAMES[1..] {
        assert!(losses.contains(name), "{name} is not among the losses here");
    }
}

#[test]
fn single_precision_agrees_with_double() {
    let mut all: Vec<(Vec<LayerSpec>, [usize; 2])> = Vec::new();
    for [n_rows, n_inputs, units] in SHAPES {
        all.extend(variants(units).into_iter().map(|variant| (vec![variant], [n_rows, n_inputs])));
        all.extend(stacks(units).into_iter().map(|stack| (stack, [n_rows + 3, n_inputs])));
    }
    for (specs, shape) in all {
        for trains in [false, true] {
            let chosen = Problem::smooth(&specs, shape, Loss::Mse, trains);
            let single = chosen.cast::<f32>();
            // The same numbers, rounded in the same way.
            let double = single.cast::<f64>();
            let floor = 1e-2 * double.largest_gradient();
            for ((name, got), (_, expected)) in single.named_gradients().iter().zip(double.named_gradients())
            {
                let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
                let difference: Vec<f64> = got.iter().zip(&expected).map(|(a, b)| a - b).collect();
                let error = norm(&difference) / norm(&expected).max(floor);
                assert!(error <= 1e-3, "{}: ∂/∂{name} is off by {error:e}", single.what);
            }
        }
    }
}

/// Passes `x` through a dense layer that changes nothing and then through `specs`; returns the loss.
fn finite_in_single_precision(specs: &[LayerSpec], loss: Loss, x: &[f32], n_inputs: usize) -> f64 {
    let mut all = vec![dense_of(n_inputs, Activation::Linear, Initializer::Auto, Some(Initializer::Zeros))];
    all.extend(specs.iter().cloned());
    let mut problem = Problem::<f32>::new(&all, [x.len() / n_inputs, n_inputs], loss, INFER, 1);
    let weight = problem.network.views()[0].range();
    for (i, w) in problem.params[weight].iter_mut().enumerate() {
        *w = if i % (n_inputs + 1) == 0 { 1.0 } else { 0.0 };
    }
    let bias = problem.network.views()[1].range();
    problem.params[bias].fill(0.0);
    problem.x = x.to_vec();
    for (name, gradient) in problem.named_gradients() {
        assert!(gradient.iter().all(|g| g.is_finite()), "{} {x:?}: ∂/∂{name} is {gradient:?}", problem.what);
    }
    let mut work = problem.network.workspace(problem.n_rows);
    let value = problem.objective(&problem.params, x, &mut work);
    assert!(value.is_finite(), "{} {x:?}: the loss is {value}", problem.what);
    value
}

#[test]
fn losses_and_gradients_are_finite_far_out() {
    for size in [100.0_f32, 1000.0] {
        for (_, loss, _) in losses() {
            for x in [[size, -size, 0.0], [size, size, size], [-size, -size, -size]] {
                finite_in_single_precision(&[], loss, &x, if loss.is_categorical() { 3 } else { 1 });
            }
        }
        for function in ACTIVATIONS {
            for specs in [vec![activation(function)], vec![LayerSpec::batch_norm(), activation(function)]] {
                finite_in_single_precision(&specs, Loss::Mse, &[size, -size, 0.0], 1);
            }
        }
    }
}

#[test]
fn a_logit_far_on_the_wrong_side_costs_its_distance() {
    for size in [100.0_f32, 1000.0] {
        for (z, class) in [(size, 0), (-size, 1)] {
            let mut d = [0.0];
            let got =
                Loss::BinaryCrossentropy.forward_backward(&[z], Targets::Classes(&[class]), 1.0, &mut d);
            assert_eq!(got, f64::from(size));
            assert_eq!(d, [z.signum()]);
        }
        let mut d = [0.0; 3];
        let targets = Targets::Classes(&[1]);
        let got = Loss::CategoricalCrossentropy.forward_backward(&[size, -size, 0.0], targets, 1.0, &mut d);
        assert_eq!(got, f64::from(2.0 * size));
        assert!(d[2].abs() < 1e-30 && d[..2] == [1.0, -1.0], "{d:?}");
    }
}
