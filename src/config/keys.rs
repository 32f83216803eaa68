//! Every setting: its type, range, default and meaning, each declared here and nowhere else.
//!
//! Checks, error messages, the listing of defaults and the resolved file all read these tables.
//! A new setting is a row here and a field of the same name in its section's struct.

use std::ops::Bound::{Excluded, Included};

use super::choices::{
    Activation, AverageKind, BadRows, CategoryEncoding, CheckpointMode, ClassWeighting, Constraint,
    CurriculumBy, DatePart, Decimal, Delimiter, EndWeights, EnsembleKind, ImbalanceKind, Impute, LossName,
    MomentumForm, Monitor, Norm, NumericEmbedding, OptimizerName, Pacing, Parametrization, Precision, Quote,
    Scale, ScheduleName, StreamMode, TargetScale, Task, WeightKind,
};
pub(super) use super::key::{ANY, BELOW_ONE, NOT_NEGATIVE, POSITIVE, UNIT, bare, key, unset};
pub use super::key::{Key, Kind};
use super::layers::{BIAS_INITIALIZERS, INITIALIZERS};
use super::meaning::When::{AnyOn, Is, IsOr, Not, Off, On};
use super::steps::STEPS;
use Kind::{
    Bool, Choice, ChoiceList, ClassWeights, Columns, Float, Initializer, Int, IntList, Layers, Path,
    PathList, Steps, Text, TextList,
};

/// Strictly between nothing and everything.
const INNER: Kind = Float { low: Excluded(0.0), high: Excluded(1.0) };
/// The share of a table that a split may set aside.
const SHARE: Kind = Float { low: Included(0.0), high: Excluded(0.9) };
const MONITOR: Kind = Choice(Monitor::NAMES);
const PATIENCE: Kind = Int { min: 1, max: 1_000_000 };

/// The largest number of members of an ensemble.
pub(super) const MAX_MEMBERS: i64 = 1024;
/// The largest number of buckets that categories are hashed into.
pub(super) const MAX_BUCKETS: i64 = 65_536;
/// The largest number of waves, bins or outputs of one embedded column.
const MAX_EMBEDDED: i64 = 4096;
/// Optimisers that keep a running mean of gradients by `optimizer.beta1`; muon for what it leaves to adamw.
const BY_MEAN: &[&str] = &["adam", "adamw", "amsgrad", "nadam", "lion", "muon", "schedule_free_adamw"];
/// Those that keep one of squared gradients by `optimizer.beta2`.
const BY_MEAN_SQUARE: &[&str] = &["adam", "adamw", "amsgrad", "nadam", "muon", "schedule_free_adamw"];
/// Those that divide by a root with `optimizer.epsilon`.
const BY_ROOT: &[&str] =
    &["adam", "adamw", "amsgrad", "nadam", "muon", "schedule_free_adamw", "adagrad", "rmsprop"];
/// Those with a decay of their own, apart from the gradient.
const DECOUPLED: &[&str] = &["adamw", "lion", "muon", "schedule_free_adamw"];

/// The largest number of units of one layer.
pub(super) const MAX_UNITS: i64 = 65_536;

/// Every setting, section by section.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    key("task", Choice(Task::NAMES), "'auto'",
        "What to learn: a number, one of two classes, or one of several; auto decides from the target column."),
    key("seed", Int { min: 0, max: i64::MAX }, "0",
        "The number from which every random number descends; the same seed gives the same result."),
    key("threads", Int { min: 0, max: 1024 }, "0",
        "Threads to compute with; 0 takes one a core; the result does not depend on it."),

    key("data.path", Path, "''",
        "The table to learn from: a file of CSV, Parquet, Arrow or NDJSON, a folder of them, a pattern such as 'data/*.csv', or - for standard input; in a file, relative to the folder of that file."),
    key("data.also", PathList, "[]",
        "Further files with the columns of data.path, whose rows come after its own."),
    key("data.target", Text, "''",
        "The name of the column to predict."),
    key("data.null", TextList,
        "['', 'NA', 'N/A', 'n/a', 'NaN', 'nan', 'null', 'NULL', 'None', '?', '-', 'missing']",
        "Cells with exactly one of these texts count as missing."),
    key("data.delimiter", Choice(Delimiter::NAMES), "'auto'",
        "What stands between the cells of a file of text; auto tells it from the file."),
    key("data.quote", Choice(Quote::NAMES), "'auto'",
        "What stands around cells that hold delimiters; auto tells it from the file."),
    key("data.decimal", Choice(Decimal::NAMES), "'auto'",
        "What stands before the decimals in a file of text; auto tells it from the file."),
    key("data.bad_rows", Choice(BadRows::NAMES), "'refuse'",
        "Whether a row with too few or too many cells, or with bytes that are no text, is an error or left out, counted and listed."),
    key("data.memory", Text, "''",
        "The memory that training or a profile may take, as '2GiB' or '500MB'; a table that needs more is read from disk while it is learned from, and a profile draws rows. Empty for 60 % of what is free."),
    key("data.stream", Choice(StreamMode::NAMES), "'auto'",
        "Whether rows are read from disk while they are learned from: if the table needs more than data.memory, always, or never."),
    key("data.cache", Path, "''",
        "The folder where columns and prepared rows of such a table are kept for later runs; empty for statera in the user's folder of caches."),
    key("data.cache_size", Text, "'64GiB'",
        "The most bytes that it holds: what has not been used for longest is removed when more is added, but for what a run reads from."),
    key("data.weight", Text, "''",
        "A column of numbers of at least 0 by which the loss counts each row, and which is no input; empty for none. Test metrics stay unweighted."),
    key("data.drop_duplicates", Bool, "false",
        "Whether rows that repeat an earlier one in every column learned from, and in the target, are left out."),
    key("data.columns", Columns, "{}",
        "What is known of single columns, by name; whatever is not given is decided from the data."),

    key("split.val", SHARE, "0.15",
        "Share of the rows set aside to watch training, of which there must be some: 0 is for a split.column that has val rows of its own; val and test together stay below 1."),
    key("split.test", SHARE, "0.15",
        "Share of the rows set aside for the final test; 0 sets none aside; val and test together stay below 1.")
        .when(&[Off("split.column")]),
    key("split.column", Text, "''",
        "A column whose cells say train, val or test, used in place of the shares; empty for none."),
    key("split.group", Text, "''",
        "A column whose equal cells, as those of one patient or customer, stay in one part of the split; it is no input. Empty for none.")
        .when(&[Off("split.column")]),
    key("split.time", Text, "''",
        "A column of dates or numbers by which rows are cut: the oldest train, the newest test, and rows of one time stay together. Empty for none.")
        .when(&[Off("split.column"), Off("split.group")]),
    key("split.stratify", Bool, "true",
        "Whether every part of the split gets the same mix of classes, or for a number the same spread of targets.")
        .when(&[Off("split.time")]),
    key("split.folds", Int { min: 0, max: 1000 }, "0",
        "Folds of cross-validation by `statera train`, each held out once and the models kept as one bag; 0 for a single split."),
    key("split.repeats", Int { min: 1, max: 1000 }, "1",
        "How often the rows are folded anew; split.folds times as many models are trained.")
        .when(&[On("split.folds"), Off("split.time")]),

    key("prepare.scale", Choice(Scale::NAMES), "'standard'",
        "How number columns are scaled: to mean 0 and deviation 1, to 0..1, by median and quartiles, by their place among quantiles, by logarithm or a fitted power, or not at all.")
        .when(&[Off("prepare.numbers")]),
    key("prepare.impute", Choice(Impute::NAMES), "'median'",
        "What stands in for a missing number: a figure of the training rows, the mean of the nearest of them (knn), or zero in the column's own unit."),
    key("prepare.indicators", Bool, "true",
        "Whether a column with missing cells brings a second input that says where they were."),
    key("prepare.numbers", Steps(STEPS), "[]",
        "The steps of number columns and of the days of dates, one by one, in place of prepare.scale; without a step that fills in missing cells, prepare.impute comes first. `statera config --expanded` shows the lists that the short forms stand for."),
    key("prepare.dates", ChoiceList(DatePart::NAMES), "['days', 'month_cycle', 'weekday_cycle', 'hour_cycle']",
        "What dates become, each an input, a cycle two; what is the same in all training rows is left out, but for days."),
    key("prepare.categories", Steps(STEPS), "[]",
        "The steps of category columns one by one, in place of embedding.categories."),
    key("prepare.max_categories", Int { min: 0, max: 1_000_000 }, "256",
        "The most inputs of a category that is one-hot, missing left aside: the most frequent of the training rows have one each, and the others share one; 0 for no limit.")
        .when(&[Off("prepare.categories")]),
    key("prepare.target_scale", Choice(TargetScale::NAMES), "'standard'",
        "How the target of a regression is scaled for training: as it is, to mean 0 and deviation 1, or after its logarithm, a fitted power or its place among quantiles; predictions and metrics stay in its own unit."),

    key("embedding.numeric", Choice(NumericEmbedding::NAMES), "'none'",
        "How number columns enter the network: as they are, by learned waves (plr, pbld), or by their place among quantiles (ple)."),
    key("embedding.categories", Choice(CategoryEncoding::NAMES), "'one_hot'",
        "How category columns enter the network: an input for each category, or a learned vector for each; a category that training lacks gives zeros either way.")
        .when(&[Off("prepare.categories")]),
    key("embedding.one_hot_up_to", Int { min: 0, max: 1_000_000 }, "0",
        "The most categories of a column that stays one-hot all the same; 8 in RealMLP.")
        .when(&[Is("embedding.categories", &["embedding"]), Off("prepare.categories")]),
    key("embedding.category_dimension", Int { min: 0, max: MAX_EMBEDDED }, "0",
        "Numbers of a category's vector; 0 takes min(600, round(1.6 x n^0.56)) for n categories (fastai's rule); 8 in RealMLP.")
        .when(&[IsOr("embedding.categories", &["embedding"], "encode")]),
    key("embedding.dimension", Int { min: 0, max: MAX_EMBEDDED }, "0",
        "Numbers that a number becomes; 0 takes 24 for plr, 4 for pbld (one of them the number itself), and for ple the bins as they are, without a linear layer and relu after them.")
        .when(&[IsOr("embedding.numeric", &["plr", "pbld", "ple"], "encode")]),
    key("embedding.frequencies", Int { min: 0, max: MAX_EMBEDDED }, "0",
        "Waves of each number column, for plr and pbld; 0 takes 48 for plr and 16 for pbld.")
        .when(&[IsOr("embedding.numeric", &["plr", "pbld"], "encode")]),
    key("embedding.sigma", POSITIVE, "0.1",
        "Standard deviation of the frequencies of plr and pbld at the start, in turns per unit of the scaled column (RealMLP's).")
        .when(&[IsOr("embedding.numeric", &["plr", "pbld"], "encode")]),
    key("embedding.n_bins", Int { min: 1, max: MAX_EMBEDDED }, "48",
        "The most bins of ple; their edges are quantiles of the training rows, equal ones made one.")
        .when(&[IsOr("embedding.numeric", &["ple"], "encode")]),

    key("network.hidden", IntList { min: 1, max: MAX_UNITS }, "[128, 128]",
        "Units of each hidden layer, first to last; the output layer is added by itself; [] for a linear model."),
    key("network.activation", Choice(Activation::NAMES), "'relu'",
        "The activation of each layer of network.hidden.")
        .when(&[On("network.hidden")]),
    key("network.parametric_activation", Bool, "false",
        "Whether each unit of network.hidden takes a learned share of its activation, the rest of it linear: y = (1 - a)x + a f(x), with a = 1 at the start (RealMLP).")
        .when(&[On("network.hidden"), Not("network.activation", &["linear"])]),
    key("network.parametrization", Choice(Parametrization::NAMES), "'standard'",
        "How the weights of each layer follow from the numbers that are trained: standard as they are; ntp divided by the root of the layer's inputs (neural tangent parametrisation), which start larger by as much and so move less. Decay, penalties and constraints act on the numbers trained.")
        .when(&[On("network.hidden")]),
    key("network.norm", Choice(Norm::NAMES), "'none'",
        "The normalisation after each layer of network.hidden.")
        .when(&[On("network.hidden")]),
    key("network.dropout", BELOW_ONE, "0.1",
        "Share of the outputs of each layer of network.hidden that a training step sets to zero.")
        .when(&[On("network.hidden")]),
    key("network.initializer", Initializer(INITIALIZERS), "'xavier_normal'",
        "How the weights of each layer of network.hidden start: a name, or a table as { name = \"normal\", std = 0.05 }. The default starts few inputs with smaller weights than auto.")
        .when(&[On("network.hidden")]),
    key("network.bias_initializer", Initializer(BIAS_INITIALIZERS), "'zeros'",
        "How the biases of each layer of network.hidden start.")
        .when(&[On("network.hidden")]),
    key("network.drop_connect", BELOW_ONE, "0.0",
        "Share of the weights of each layer of network.hidden that a training step sets to zero.")
        .when(&[On("network.hidden")]),
    key("network.residual", Bool, "false",
        "Whether each layer of network.hidden that is as wide as the one before it, with its norm and dropout, is a residual block: y = x + f(x)."),
    key("network.input_noise", NOT_NEGATIVE, "0.0",
        "Standard deviation of the normally distributed noise added to each input in training; scaled number columns have deviation 1."),
    key("network.input_scale", Bool, "false",
        "Whether each input is first multiplied by a learned factor of its own."),
    key("network.layers", Layers, "[]",
        "The hidden layers one by one, in place of all of the above; the output layer is added by itself and is not \
         listed. `statera config --expanded` shows the list that the above stand for."),
    key("network.precision", Choice(Precision::NAMES), "'f32'",
        "The floating-point type of weights and arithmetic: 32 or 64 bits."),

    key("weights.kind", Choice(WeightKind::NAMES), "'continuous'",
        "What the weights of the dense layers are: any numbers; binary, a sign times a scale of each unit; or sparse, most of them pruned to exactly 0."),
    key("weights.first_and_last", Choice(EndWeights::NAMES), "'auto'",
        "The weights of the first and the last dense layer: auto leaves them continuous beside binary ones, and prunes them beside sparse ones.")
        .when(&[Not("weights.kind", &["continuous"])]),
    key("weights.sparsity", BELOW_ONE, "0.8",
        "Share of the weights of each sparse layer that pruning brings to 0, those of the smallest size first; 0 prunes none, and stores the zeros that an L1 penalty leaves.")
        .when(&[IsOr("weights.kind", &["sparse"], "weights")]),
    key("weights.prune_begin", Int { min: 0, max: 1_000_000 }, "5",
        "Epochs of training before the share of zeros begins to grow.")
        .when(&[IsOr("weights.kind", &["sparse"], "weights"), On("weights.sparsity")]),
    key("weights.prune_end", Int { min: 0, max: 1_000_000 }, "50",
        "Epochs after which it has reached weights.sparsity; early stopping, rate cuts and the choice of the best epoch begin after them.")
        .when(&[IsOr("weights.kind", &["sparse"], "weights"), On("weights.sparsity")]),
    key("weights.prune_every", Int { min: 1, max: 1_000_000 }, "1",
        "Epochs from one cut to the next; the last is at weights.prune_end in any case.")
        .when(&[IsOr("weights.kind", &["sparse"], "weights"), On("weights.sparsity")]),
    key("ensemble.kind", Choice(EnsembleKind::NAMES), "'none'",
        "Whether several networks are trained as one, and what these members share: tabm the weights of dense layers, with factors and biases of their own; tabm_mini all but a factor on each input; packed nothing. Each has an output layer of its own, and the prediction is the mean of theirs."),
    key("ensemble.members", Int { min: 2, max: MAX_MEMBERS }, "32",
        "Members of the ensemble (32 in Gorishniy et al. 2024); the time of a step grows with them.")
        .when(&[On("ensemble.kind")]),

    key("loss.name", Choice(LossName::NAMES), "'auto'",
        "The loss that training makes small; auto takes mse for a number and cross-entropy for classes."),
    key("loss.quantile", INNER, "0.5",
        "Share of targets that the quantile loss puts below its predictions; 0.5 predicts the median.")
        .when(&[Is("loss.name", &["quantile"])]),
    key("loss.gamma", Float { low: Included(0.0), high: Included(100.0) }, "2.0",
        "How much less the focal loss counts rows that are predicted well; at 0 it is the cross-entropy.")
        .when(&[Is("loss.name", &["focal"])]),
    key("loss.label_smoothing", BELOW_ONE, "0.0",
        "Share of the target that a cross-entropy spreads evenly over all classes while training; the validation loss goes without.")
        .when(&[Is("loss.name", &["auto", "binary_crossentropy", "categorical_crossentropy"])]),
    key("loss.class_weights", ClassWeights(ClassWeighting::NAMES), "'none'",
        "How much the loss counts the rows of each class: all alike, balanced so that every class counts the same, or by a table, in which a class without a weight has 1. Test metrics stay unweighted."),
    key("loss.delta", POSITIVE, "1.0",
        "Error, in units of the scaled target, from which the huber loss grows in a straight line.")
        .when(&[Is("loss.name", &["huber"])]),

    key("train.epochs", Int { min: 1, max: 1_000_000 }, "200",
        "The most passes over the training rows; early stopping may end training sooner."),
    key("train.stop_after", Int { min: 0, max: 1_000_000 }, "0",
        "Epochs after which training ends, while schedules run on as for train.epochs; 0 trains them all."),
    key("train.batch_size", Int { min: 1, max: 1_000_000_000 }, "32",
        "Rows in one step of the optimiser; a number beyond the table's rows takes all of them at once.")
        .when(&[Not("optimizer.name", &["lbfgs"])]),
    key("train.max_seconds", NOT_NEGATIVE, "0.0",
        "Seconds after which training stops and keeps its best weights; 0 for no end. How far it gets then depends on the machine."),
    key("train.shuffle", Bool, "true",
        "Whether the training rows are put in a new order before every epoch."),
    key("train.shard_rows", Int { min: 1, max: 1_000_000 }, "256",
        "Rows of a batch that one thread computes together, and that batch normalisation takes its statistics over."),
    key("train.accumulate", Int { min: 1, max: 1_000_000 }, "1",
        "Batches whose gradients are averaged, row by row, before the optimiser makes a step; 1 makes one after each."),
    key("train.clip_value", NOT_NEGATIVE, "0.0",
        "Size that each number of the gradient is cut to, before clip_norm; 0 leaves all as they are."),
    key("train.clip_norm", NOT_NEGATIVE, "0.0",
        "Length that the gradient of all trained parameters together is shortened to (Pascanu 2013); 0 leaves it as it is."),
    key("train.suggest", Bool, "true",
        "Whether a training that goes astray runs a short range test, to suggest a learning rate; trials of studies do not."),

    key("optimizer.name", Choice(OptimizerName::NAMES), "'adamw'",
        "The rule that turns gradients into steps."),
    key("optimizer.learning_rate", Float { low: Excluded(0.0), high: Included(1000.0) }, "2e-3",
        "Length of a step at the start of training, as a factor on the gradient or on Adam's direction.")
        .when(&[Not("optimizer.name", &["lbfgs"])]),
    key("optimizer.momentum", BELOW_ONE, "0.9",
        "Share of the last step that the next one of sgd keeps; 0 for plain gradient descent.")
        .when(&[Is("optimizer.name", &["sgd"])]),
    key("optimizer.momentum_form", Choice(MomentumForm::NAMES), "'sum'",
        "What sgd keeps by its momentum: a fading sum of gradients (as PyTorch), or their running mean, whose steps are 1 - momentum times as long.")
        .when(&[Is("optimizer.name", &["sgd"]), On("optimizer.momentum")]),
    key("optimizer.nesterov", Bool, "false",
        "Whether sgd takes its gradient ahead of the momentum (Nesterov).")
        .when(&[Is("optimizer.name", &["sgd"]), On("optimizer.momentum")]),
    key("optimizer.beta1", BELOW_ONE, "0.9",
        "Share that adam and its kin keep of the running mean of gradients at each step (the paper's default).")
        .when(&[Is("optimizer.name", BY_MEAN)]),
    key("optimizer.beta2", BELOW_ONE, "0.999",
        "Share that adam and its kin keep of the running mean of squared gradients at each step (the paper's default).")
        .when(&[Is("optimizer.name", BY_MEAN_SQUARE)]),
    key("optimizer.epsilon", Float { low: Excluded(0.0), high: Included(1.0) }, "1e-8",
        "Added to the root of adam and its kin, adagrad and rmsprop, outside of it (Adam's paper's and PyTorch's default).")
        .when(&[Is("optimizer.name", BY_ROOT)]),
    key("optimizer.weight_decay", Float { low: Included(0.0), high: Included(100.0) }, "0.01",
        "Share of each weight that a step takes off, times the learning rate (decoupled; PyTorch's default for adamw).")
        .when(&[Is("optimizer.name", DECOUPLED)]),
    key("optimizer.l2", Float { low: Included(0.0), high: Included(100.0) }, "0.0",
        "Weight λ of the penalty ½·λ·w² on each weight (not on biases), added to the loss by way of its gradient."),
    key("optimizer.l1", Float { low: Included(0.0), high: Included(100.0) }, "0.0",
        "Weight λ of the penalty λ·|w| on each weight (not on biases), by a proximal step after each step, which leaves exact zeros; with l2 the elastic net."),
    key("optimizer.constraint", Choice(Constraint::NAMES), "'none'",
        "What every weight of a dense layer is brought back to after each step: a norm of at most max_norm for each unit, numbers of at least 0, or a norm of 1 for each unit."),
    key("optimizer.max_norm", POSITIVE, "3.0",
        "The largest norm of the weights that enter a unit, of constraint = max_norm (3 to 4 in Srivastava et al. 2014).")
        .when(&[IsOr("optimizer.constraint", &["max_norm"], "constraint")]),

    key("optimizer.rho", BELOW_ONE, "0.9",
        "Share that rmsprop and adadelta keep of the running mean of squared gradients at each step (Hinton's lecture; PyTorch has 0.99 and 0.9).")
        .when(&[Is("optimizer.name", &["rmsprop", "adadelta"])]),
    key("optimizer.centered", Bool, "false",
        "Whether rmsprop divides by the gradient's deviation in place of its root mean square (Graves 2013).")
        .when(&[Is("optimizer.name", &["rmsprop"])]),
    key("optimizer.rmsprop_momentum", BELOW_ONE, "0.0",
        "Share of the last step that the next one of rmsprop keeps (PyTorch's default).")
        .when(&[Is("optimizer.name", &["rmsprop"])]),
    key("optimizer.adadelta_epsilon", Float { low: Excluded(0.0), high: Included(1.0) }, "1e-6",
        "Added inside both roots of adadelta (the paper's default); adadelta takes a learning rate of 1.")
        .when(&[Is("optimizer.name", &["adadelta"])]),
    key("optimizer.momentum_decay", NOT_NEGATIVE, "0.004",
        "Speed at which the momentum of nadam rises to beta1, per step (Dozat 2016, PyTorch's default).")
        .when(&[Is("optimizer.name", &["nadam"])]),
    key("optimizer.lion_beta2", BELOW_ONE, "0.99",
        "Share that lion keeps of the running mean of gradients from step to step, in place of beta2 (the paper's default).")
        .when(&[Is("optimizer.name", &["lion"])]),
    key("optimizer.muon_momentum", BELOW_ONE, "0.95",
        "Share that muon keeps of the running mean of gradients at each step (the author's default).")
        .when(&[Is("optimizer.name", &["muon"])]),
    key("optimizer.muon_nesterov", Bool, "true",
        "Whether muon takes the gradient in a second time (the author's default).")
        .when(&[Is("optimizer.name", &["muon"]), On("optimizer.muon_momentum")]),
    key("optimizer.muon_fallback", POSITIVE, "0.05",
        "What the learning rate is multiplied by where muon leaves a parameter to adamw: all but weight matrices (1e-3 beside muon's usual 0.02).")
        .when(&[Is("optimizer.name", &["muon"])]),

    key("optimizer.lbfgs_memory", Int { min: 1, max: 1000 }, "10",
        "Steps whose change of the gradient lbfgs remembers (SciPy's default; PyTorch has 100).")
        .when(&[Is("optimizer.name", &["lbfgs"])]),
    key("optimizer.lbfgs_iterations", Int { min: 1, max: 1_000_000 }, "1",
        "The most iterations of lbfgs in an epoch; each goes through all training rows once, seldom more often.")
        .when(&[Is("optimizer.name", &["lbfgs"])]),
    key("optimizer.lbfgs_tolerance", NOT_NEGATIVE, "1e-7",
        "The largest number in the gradient at which lbfgs has converged, which ends training (PyTorch's default).")
        .when(&[Is("optimizer.name", &["lbfgs"])]),

    key("schedule.name", Choice(ScheduleName::NAMES), "'constant'",
        "How the learning rate changes over the steps of training; reduce_on_plateau cuts it besides."),
    key("schedule.warmup", NOT_NEGATIVE, "0.0",
        "Epochs over which the learning rate first rises in a straight line; the schedule takes what is left of train.epochs."),
    key("schedule.factor", INNER, "0.1",
        "What step and exponential multiply the learning rate by every schedule.every epochs (PyTorch's default of step).")
        .when(&[Is("schedule.name", &["step", "exponential"])]),
    key("schedule.every", POSITIVE, "30.0",
        "Epochs until step and exponential have multiplied by schedule.factor, and the unit of time of inverse_time.")
        .when(&[Is("schedule.name", &["step", "exponential", "inverse_time"])]),
    key("schedule.decay", NOT_NEGATIVE, "1.0",
        "How fast inverse_time falls: the rate is divided by 1 + decay x epochs / schedule.every.")
        .when(&[Is("schedule.name", &["inverse_time"])]),
    key("schedule.power", POSITIVE, "1.0",
        "The power of the time left that polynomial takes; 1 for a straight line.")
        .when(&[Is("schedule.name", &["polynomial"])]),
    key("schedule.end", Float { low: Included(0.0), high: Included(1.0) }, "0.0",
        "Where polynomial, cosine, one_cycle and flat_cos end, as a share of the learning rate.")
        .when(&[Is("schedule.name", &["polynomial", "cosine", "one_cycle", "flat_cos"])]),
    key("schedule.restarts", Int { min: 0, max: 1000 }, "0",
        "How often cosine begins anew (Loshchilov & Hutter 2017).")
        .when(&[Is("schedule.name", &["cosine"])]),
    key("schedule.growth", Float { low: Included(1.0), high: Included(100.0) }, "1.0",
        "How many times as long as the one before each wave of cosine is; 1 for equal ones.")
        .when(&[Is("schedule.name", &["cosine"]), On("schedule.restarts")]),
    key("schedule.rise", INNER, "0.3",
        "Share of training in which one_cycle rises (PyTorch's default).")
        .when(&[Is("schedule.name", &["one_cycle"])]),
    key("schedule.start", Float { low: Included(0.0), high: Included(1.0) }, "0.04",
        "Where one_cycle begins, as a share of the learning rate (PyTorch's 1/25).")
        .when(&[Is("schedule.name", &["one_cycle"])]),
    key("schedule.cuts", IntList { min: 1, max: 1_000_000 }, "[]",
        "Epochs after each of which the learning rate is multiplied by schedule.cut, whatever the curve (PyTorch's MultiStepLR)."),
    key("schedule.cut", INNER, "0.1",
        "What each of schedule.cuts multiplies the learning rate by (PyTorch's default).")
        .when(&[On("schedule.cuts")]),

    key("imbalance.kind", Choice(ImbalanceKind::NAMES), "'none'",
        "What is done about classes of few training rows: rows made between neighbours (smote; smote_nc where there are categories), rows repeated (oversample), or rows of frequent classes left out (undersample). Validation and test rows stay as they are."),
    key("imbalance.ratio", Float { low: Excluded(0.0), high: Included(1.0) }, "1.0",
        "Rows of a rare class over those of the most frequent one, afterwards; classes that have more already stay as they are.")
        .when(&[On("imbalance.kind")]),
    key("imbalance.k_neighbors", Int { min: 1, max: 1000 }, "5",
        "Nearest rows of the same class that smote and smote_nc make rows between (5 in Chawla et al. 2002); a class of fewer rows takes all it has.")
        .when(&[Is("imbalance.kind", &["smote", "smote_nc"])]),

    key("augment.jitter", NOT_NEGATIVE, "0.0",
        "Standard deviation of the noise that training adds to the scaled inputs of number columns and no others; 0 adds none."),
    key("augment.mixup", NOT_NEGATIVE, "0.0",
        "α of mixup: every batch is mixed with its own rows in another order, in shares drawn from Beta(α, α) (Zhang et al. 2018); 0 mixes nothing."),

    key("noise.labels", NOT_NEGATIVE, "0.0",
        "How wrong labels are made in training, anew in each epoch: the share of classes that become another one, or the standard deviation added to scaled numbers."),
    key("noise.weights", NOT_NEGATIVE, "0.0",
        "Standard deviation of the noise that weights (not biases) carry while a step takes its gradient; it is taken off before the step."),
    key("noise.gradients", NOT_NEGATIVE, "0.0",
        "η of the noise of variance η / (1 + t)^0.55 that is added to the gradient of step t, after clipping (Neelakantan et al. 2015)."),

    key("curriculum.by", Choice(CurriculumBy::NAMES), "'none'",
        "What makes a row easy, so that it is learned first: the number in a column, or the loss of a linear model fitted to the training rows; none learns all rows from the start."),
    key("curriculum.column", Text, "''",
        "The column of by = column; the smaller the number, the easier the row. It stays an input unless it is dropped.")
        .when(&[Is("curriculum.by", &["column"])]),
    key("curriculum.reverse", Bool, "false",
        "Whether the hardest rows come first.")
        .when(&[On("curriculum.by")]),
    key("curriculum.pacing", Choice(Pacing::NAMES), "'linear'",
        "How the share of rows grows: in a straight line, by the root of time (Platanios et al. 2019), or at once at the end.")
        .when(&[On("curriculum.by")]),
    key("curriculum.start", Float { low: Excluded(0.0), high: Included(1.0) }, "0.2",
        "Share of the rows that the first epoch learns from; a batch at least.")
        .when(&[On("curriculum.by")]),
    key("curriculum.epochs", Int { min: 1, max: 1_000_000 }, "20",
        "Epochs until all rows are learned from.")
        .when(&[On("curriculum.by")]),

    key("average.kind", Choice(AverageKind::NAMES), "'none'",
        "Which average of weights is validated and kept: none, a fading one over steps, or one over the ends of epochs."),
    key("average.decay", BELOW_ONE, "0.999",
        "Share that ema keeps at each step; less in the first steps: (1 + steps) / (10 + steps), as TensorFlow has it.")
        .when(&[Is("average.kind", &["ema"])]),
    key("average.start", Int { min: 1, max: 1_000_000 }, "1",
        "The first epoch whose end swa takes in; until then the weights themselves are validated.")
        .when(&[Is("average.kind", &["swa"])]),

    key("early_stopping.enabled", Bool, "true",
        "Whether training stops once the monitored figure no longer gets better."),
    key("early_stopping.monitor", MONITOR, "'val_loss'",
        "The figure that is watched.")
        .when(&[AnyOn(&["early_stopping.enabled", "early_stopping.window"])]),
    key("early_stopping.patience", PATIENCE, "30",
        "Epochs without a better figure after which training stops.")
        .when(&[On("early_stopping.enabled")]),
    key("early_stopping.min_delta", NOT_NEGATIVE, "0.0",
        "The smallest change that counts as better, in the unit of the figure.")
        .when(&[On("early_stopping.enabled")]),

    key("early_stopping.window", Int { min: 0, max: 1_000_000 }, "0",
        "Epochs over which the figure has to change by more than window_change for training to go on; 0 does not ask."),
    key("early_stopping.window_change", NOT_NEGATIVE, "0.001",
        "The largest distance between figures of the window, as a share of the last one's size, that counts as no change.")
        .when(&[On("early_stopping.window")]),
    key("early_stopping.weight_change", NOT_NEGATIVE, "0.0",
        "Training stops once no trained number has moved by as much over an epoch; 0 does not ask."),

    key("reduce_on_plateau.enabled", Bool, "true",
        "Whether the learning rate is cut once the monitored figure no longer gets better."),
    key("reduce_on_plateau.after_epochs", IntList { min: 1, max: 1_000_000 }, "[]",
        "Epochs after each of which the learning rate is cut, in place of watching a figure.")
        .when(&[On("reduce_on_plateau.enabled"), Not("optimizer.name", &["lbfgs"])]),
    key("reduce_on_plateau.monitor", MONITOR, "'val_loss'",
        "The figure that is watched.")
        .when(&[On("reduce_on_plateau.enabled"), Off("reduce_on_plateau.after_epochs"), Not("optimizer.name", &["lbfgs"])]),
    key("reduce_on_plateau.factor", INNER, "0.5",
        "What the learning rate is multiplied by at each cut.")
        .when(&[On("reduce_on_plateau.enabled"), Not("optimizer.name", &["lbfgs"])]),
    key("reduce_on_plateau.patience", PATIENCE, "8",
        "Epochs without a better figure after which the learning rate is cut.")
        .when(&[On("reduce_on_plateau.enabled"), Off("reduce_on_plateau.after_epochs"), Not("optimizer.name", &["lbfgs"])]),
    key("reduce_on_plateau.min_delta", NOT_NEGATIVE, "0.0",
        "The smallest change that counts as better, in the unit of the figure.")
        .when(&[On("reduce_on_plateau.enabled"), Off("reduce_on_plateau.after_epochs"), Not("optimizer.name", &["lbfgs"])]),
    key("reduce_on_plateau.min_learning_rate", Float { low: Included(0.0), high: Included(1000.0) }, "1e-7",
        "The learning rate below which no cut goes.")
        .when(&[On("reduce_on_plateau.enabled"), Not("optimizer.name", &["lbfgs"])]),

    key("checkpoint.monitor", MONITOR, "'val_loss'",
        "The figure by which the best epoch is chosen."),
    key("checkpoint.restore_best", Bool, "true",
        "Whether the model ends with the weights of the best epoch in place of the last; when the loss stops being finite it does in any case."),
    key("checkpoint.mode", Choice(CheckpointMode::NAMES), "'auto'",
        "Which of two values of that figure is better: the smaller (min), the larger (max), or as the figure means it (auto)."),
    key("checkpoint.best", Text, "''",
        "The name of a model file that is saved after each epoch that is the best so far, as 'model-{epoch:02}-{val_rmse:.2}'; empty saves none."),
    key("checkpoint.last", Text, "''",
        "The name of a model file that is saved after every epoch, as 'last' or 'epoch-{epoch:04}'; empty saves none."),
    key("checkpoint.resumable", Bool, "true",
        "Whether the state of training is kept from time to time, so that a run that was broken off can go on."),
    key("checkpoint.every_seconds", NOT_NEGATIVE, "5.0",
        "Seconds between such states, in the middle of an epoch too; 0 keeps one at the end of every epoch.")
        .when(&[On("checkpoint.resumable")]),

    key("evaluate.bootstrap", Int { min: 0, max: 1_000_000 }, "1000",
        "Resamples of the test rows behind each interval; 0 for no intervals."),
    key("evaluate.confidence", INNER, "0.95",
        "Share of such intervals that hold the true figure.")
        .when(&[On("evaluate.bootstrap")]),
    key("evaluate.baselines", Bool, "true",
        "Whether simple models are fitted to the same rows, to compare with."),
];

/// The setting of this dotted path.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The names of all sections, in the order of [`KEYS`].
pub fn sections() -> Vec<&'static str> {
    let mut names: Vec<_> = KEYS.iter().map(Key::section).filter(|name| !name.is_empty()).collect();
    names.dedup();
    names
}
