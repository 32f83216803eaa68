//! Settings that take one of a few names, each list of names written once.

use serde::{Deserialize, Serialize};

/// Declares an enum together with the names that stand for its variants in files and messages.
macro_rules! choices {
    ($($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ })+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// The names of all variants, in the order of declaration.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// All variants, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name that stands for this variant in files.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    )+};
}

choices! {
    /// What is learned.
    Task {
        /// Decided from the target column.
        Auto = "auto",
        /// A number.
        Regression = "regression",
        /// One of two classes.
        Binary = "binary",
        /// One of several classes.
        Multiclass = "multiclass",
    }

    /// What is done about classes of few training rows.
    ImbalanceKind {
        /// Nothing.
        None = "none",
        /// Rows are made between neighbours of the class; inputs are numbers.
        Smote = "smote",
        /// Likewise, and categories are those of most neighbours.
        SmoteNc = "smote_nc",
        /// Rows of rare classes are repeated.
        Oversample = "oversample",
        /// Rows of frequent classes are left out.
        Undersample = "undersample",
    }

    /// Whether rows are read from disk while they are learned from.
    StreamMode {
        /// If the table would take more memory than it may.
        Auto = "auto",
        /// Whatever its size.
        Always = "always",
        /// All rows are held in memory.
        Never = "never",
    }

    /// What stands between the cells of a table of text.
    Delimiter {
        /// Told from the file.
        Auto = "auto",
        /// `,`
        Comma = "comma",
        /// `;`
        Semicolon = "semicolon",
        /// A tab.
        Tab = "tab",
        /// `|`
        Bar = "bar",
    }

    /// What stands around cells that hold delimiters.
    Quote {
        /// Told from the file.
        Auto = "auto",
        /// `"`
        Double = "double",
        /// `'`
        Single = "single",
    }

    /// What stands before the decimals of a number.
    Decimal {
        /// Told from the file.
        Auto = "auto",
        /// `.`
        Point = "point",
        /// `,`
        Comma = "comma",
    }

    /// What is done with rows that have too few or too many cells, or bytes that are no text.
    BadRows {
        /// They are errors.
        Refuse = "refuse",
        /// They are left out, counted and listed.
        Skip = "skip",
    }

    /// How the cells of a column are written, where that is not how most files do.
    CellFormat {
        /// Numbers with a decimal point: with thousands set apart, a currency or per cent.
        DecimalPoint = "decimal_point",
        /// The same with a decimal comma.
        DecimalComma = "decimal_comma",
        /// Words for yes and no in several spellings.
        YesNo = "yes_no",
        /// Dates as 31/12/2024.
        DayFirst = "day_first",
        /// Dates as 12/31/2024.
        MonthFirst = "month_first",
    }

    /// What the members of an ensemble share.
    EnsembleKind {
        /// There is no ensemble, but a single network.
        None = "none",
        /// The weights of dense layers; adapters before and behind each, biases and the output layer are each member's.
        Tabm = "tabm",
        /// All but a factor on each input and the output layer.
        TabmMini = "tabm_mini",
        /// Nothing.
        Packed = "packed",
    }

    /// How the weights of a dense layer follow from the numbers that are trained.
    Parametrization {
        /// They are these numbers.
        Standard = "standard",
        /// The neural tangent parametrisation: they are these numbers divided by √inputs.
        Ntp = "ntp",
    }

    /// What a column's cells mean.
    ColumnKind {
        /// A quantity.
        Number = "number",
        /// One of a set of names.
        Category = "category",
        /// A day or a moment.
        Date = "date",
        /// Words.
        Text = "text",
        /// A name of the row itself, from which nothing can be learned.
        Identifier = "identifier",
    }

    /// What a date becomes an input of, or two.
    DatePart {
        /// Days since 1970-01-01, the time as a fraction.
        Days = "days",
        /// The year.
        Year = "year",
        /// The month, 1 to 12.
        Month = "month",
        /// The day of the month, 1 to 31.
        Day = "day",
        /// The day of the week, 0 for Monday to 6.
        Weekday = "weekday",
        /// Hours since midnight, minutes and seconds as a fraction.
        Hour = "hour",
        /// The month as a point on a circle.
        MonthCycle = "month_cycle",
        /// The day of the month likewise.
        DayCycle = "day_cycle",
        /// The day of the week likewise.
        WeekdayCycle = "weekday_cycle",
        /// The time of day likewise.
        HourCycle = "hour_cycle",
    }

    /// How a number column is brought to a common size.
    Scale {
        /// Mean 0 and population standard deviation 1, as scikit-learn's `StandardScaler`.
        Standard = "standard",
        /// Smallest value 0, largest 1, as scikit-learn's `MinMaxScaler`.
        MinMax = "min_max",
        /// Median 0, interquartile range 1, and a smooth clip to (−3, 3): x ↦ z / √(1 + (z/3)²) with
        /// z = (x − median) / IQR (Holzmüller, Grinsztajn, Steinwart 2024, "Better by default"); where the
        /// quartiles meet, half the range takes the place of the IQR.
        Robust = "robust",
        /// To the place among the quantiles of the training rows, spread like a normal distribution, as scikit-learn's
        /// `QuantileTransformer`.
        Quantile = "quantile",
        /// sign(x)·ln(1 + |x|), then [`Scale::Standard`].
        Log = "log",
        /// The power of Yeo & Johnson 2000, then [`Scale::Standard`], as scikit-learn's `PowerTransformer`.
        YeoJohnson = "yeo_johnson",
        /// Left as it is.
        None = "none",
    }

    /// How the target of a regression is brought to a common size.
    TargetScale {
        /// Mean 0, standard deviation 1; predictions are brought back.
        Standard = "standard",
        /// sign(y)·ln(1 + |y|), then standard.
        Log = "log",
        /// The power of Yeo & Johnson 2000, then standard.
        YeoJohnson = "yeo_johnson",
        /// The place among the quantiles, spread like a normal distribution, then standard.
        Quantile = "quantile",
        /// Left as it is.
        None = "none",
    }

    /// What stands in for a missing number.
    Impute {
        /// The median of the training rows.
        Median = "median",
        /// The mean of the training rows.
        Mean = "mean",
        /// The most frequent number of the training rows, the smallest of several.
        MostFrequent = "most_frequent",
        /// Zero, in the column's own unit.
        Zero = "zero",
        /// The mean of the five nearest training rows.
        Knn = "knn",
    }

    /// How much each neighbour counts in the mean of them.
    NeighborWeights {
        /// All alike.
        Uniform = "uniform",
        /// One over its distance.
        Distance = "distance",
    }

    /// The distribution that the place among quantiles is given.
    QuantileOutput {
        /// N(0, 1).
        Normal = "normal",
        /// U(0, 1).
        Uniform = "uniform",
    }

    /// How number columns enter the network.
    NumericEmbedding {
        /// As they are.
        None = "none",
        /// Periodic, linear, relu (Gorishniy, Rubachev & Babenko 2022).
        Plr = "plr",
        /// Periodic with bias, linear, the number beside it (Holzmüller, Grinsztajn & Steinwart 2024).
        Pbld = "pbld",
        /// Piecewise-linear encoding over bins between quantiles (Gorishniy et al. 2022).
        Ple = "ple",
    }

    /// How category columns enter the network.
    CategoryEncoding {
        /// An input for each category, 1 where the cell is of it.
        OneHot = "one_hot",
        /// A learned vector for each category.
        Embedding = "embedding",
    }

    /// How one column enters the network.
    Encode {
        /// An input for each category.
        OneHot = "one_hot",
        /// A learned vector for each category.
        Embedding = "embedding",
        /// The category's number, scaled to deviation 1.
        Ordinal = "ordinal",
        /// How frequent the category is, scaled to deviation 1.
        Count = "count",
        /// An input for each bucket that categories are hashed into.
        Hashing = "hashing",
        /// The mean target of its training rows, out of fold for these, scaled to deviation 1.
        Target = "target",
        /// A number as it is.
        None = "none",
        /// As [`NumericEmbedding::Plr`].
        Plr = "plr",
        /// As [`NumericEmbedding::Pbld`].
        Pbld = "pbld",
        /// As [`NumericEmbedding::Ple`].
        Ple = "ple",
    }

    /// The normalisation after each hidden layer of the short form.
    Norm {
        /// None.
        None = "none",
        /// Batch normalisation.
        Batch = "batch",
        /// Layer normalisation.
        Layer = "layer",
    }

    /// The floating-point type that the network computes with.
    Precision {
        /// Single precision.
        F32 = "f32",
        /// Double precision.
        F64 = "f64",
    }

    /// A function applied to every number that a layer puts out.
    Activation {
        /// `x`
        Linear = "linear",
        /// `max(x, 0)`
        Relu = "relu",
        /// `x` where positive, `slope * x` elsewhere.
        LeakyRelu = "leaky_relu",
        /// `1 / (1 + exp(-x))`
        Sigmoid = "sigmoid",
        /// The hyperbolic tangent.
        Tanh = "tanh",
        /// `x` where positive, `exp(x) - 1` elsewhere.
        Elu = "elu",
        /// `1.0507 x` where positive, `1.7581 (exp(x) - 1)` elsewhere.
        Selu = "selu",
        /// `x` times the normal distribution function of `x`.
        Gelu = "gelu",
        /// `x / (1 + exp(-x))`
        Silu = "silu",
        /// `x tanh(ln(1 + exp(x)))`
        Mish = "mish",
        /// `ln(1 + exp(x))`
        Softplus = "softplus",
        /// `x / (1 + |x|)`
        Softsign = "softsign",
    }

    /// The loss that training makes small.
    LossName {
        /// Decided from the task.
        Auto = "auto",
        /// Mean squared error.
        Mse = "mse",
        /// Root of the mean squared error of a batch.
        Rmse = "rmse",
        /// Mean absolute error.
        Mae = "mae",
        /// Squared near zero, absolute beyond `loss.delta`.
        Huber = "huber",
        /// Logarithm of the hyperbolic cosine of the error.
        LogCosh = "log_cosh",
        /// The pinball loss of the quantile `loss.quantile`.
        Quantile = "quantile",
        /// Negative log-likelihood of counts, from the logarithm of their rate.
        Poisson = "poisson",
        /// Cross-entropy of one logit.
        BinaryCrossentropy = "binary_crossentropy",
        /// Cross-entropy of one logit a class.
        CategoricalCrossentropy = "categorical_crossentropy",
        /// Cross-entropy that counts rows less the better they are predicted, by `loss.gamma`.
        Focal = "focal",
        /// Margin of a binary classifier, up to 1.
        Hinge = "hinge",
    }

    /// How classes are weighted that have no weight of their own.
    ClassWeighting {
        /// All alike.
        None = "none",
        /// Each by n / (C·n_c), with n rows to train on, n_c of them of the class, and C classes.
        Balanced = "balanced",
    }

    /// The rule that turns gradients into steps.
    OptimizerName {
        /// Gradient descent, with momentum if asked for.
        Sgd = "sgd",
        /// Adam (Kingma & Ba 2015).
        Adam = "adam",
        /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
        Adamw = "adamw",
        /// Adam that never forgets its largest denominator (Reddi, Kale & Kumar 2018).
        Amsgrad = "amsgrad",
        /// Adam with Nesterov's momentum (Dozat 2016).
        Nadam = "nadam",
        /// Steps over the root of the sum of squared gradients (Duchi, Hazan & Singer 2011).
        Adagrad = "adagrad",
        /// Steps over the root of the running mean of squared gradients (Tieleman & Hinton 2012).
        Rmsprop = "rmsprop",
        /// Steps in the unit of the parameters (Zeiler 2012).
        Adadelta = "adadelta",
        /// The sign of a running mean of gradients (Chen et al. 2023).
        Lion = "lion",
        /// Orthogonal steps for weight matrices (Jordan et al. 2024), AdamW for the rest.
        Muon = "muon",
        /// AdamW whose average of weights takes the place of a schedule (Defazio et al. 2024).
        ScheduleFreeAdamw = "schedule_free_adamw",
        /// Quasi-Newton steps over all rows, with a line search (Liu & Nocedal 1989).
        Lbfgs = "lbfgs",
    }

    /// What the momentum of sgd keeps.
    MomentumForm {
        /// The sum of gradients, older ones fading.
        Sum = "sum",
        /// Their running mean: each counts 1 − momentum.
        Ema = "ema",
    }

    /// What the weights of a dense layer are brought back to after each step.
    Constraint {
        /// Nothing: they are free.
        None = "none",
        /// Those that enter a unit to a norm of at most `max_norm` (Srebro et al. 2004; Srivastava et al. 2014).
        MaxNorm = "max_norm",
        /// Numbers of at least 0.
        NonNegative = "non_negative",
        /// Those that enter a unit to a norm of 1.
        UnitNorm = "unit_norm",
    }

    /// What the weights of a dense layer are.
    WeightKind {
        /// Any real values.
        Continuous = "continuous",
        /// A sign times a scale of each unit (Rastegari et al. 2016).
        Binary = "binary",
        /// Most of them exactly zero (Zhu & Gupta 2017).
        Sparse = "sparse",
    }

    /// What the weights of the first and of the last dense layer are.
    EndWeights {
        /// Continuous beside binary ones, sparse beside sparse ones.
        Auto = "auto",
        /// Continuous.
        Continuous = "continuous",
        /// Of the same kind as those between.
        Same = "same",
    }

    /// What makes a training row easy.
    CurriculumBy {
        /// Nothing: all rows are learned from at once.
        None = "none",
        /// The number in a column of the table.
        Column = "column",
        /// Its loss under a linear model fitted to the training rows.
        Loss = "loss",
    }

    /// How the share of rows that are learned from grows.
    Pacing {
        /// In a straight line.
        Linear = "linear",
        /// By the root of time (Platanios et al. 2019).
        Root = "root",
        /// At once (Hacohen & Weinshall 2019, single step).
        Step = "step",
    }

    /// How the learning rate changes over training.
    ScheduleName {
        /// Not at all.
        Constant = "constant",
        /// Multiplied by a factor every so many epochs.
        Step = "step",
        /// The same, step by step.
        Exponential = "exponential",
        /// A power of the time left.
        Polynomial = "polynomial",
        /// Half a cosine wave, or several.
        Cosine = "cosine",
        /// Up, then down (Smith & Topin 2019).
        OneCycle = "one_cycle",
        /// One over the time.
        InverseTime = "inverse_time",
        /// Four cosine waves, ever longer (Holzmüller et al. 2024).
        Coslog4 = "coslog4",
        /// Flat for half of the time, then half a cosine wave.
        FlatCos = "flat_cos",
    }

    /// Which average of weights is validated and kept.
    AverageKind {
        /// None: the weights themselves.
        None = "none",
        /// The exponentially fading mean over steps.
        Ema = "ema",
        /// The mean over the ends of epochs (Izmailov et al. 2018).
        Swa = "swa",
    }

    /// A figure taken after every epoch, that a callback can watch.
    Monitor {
        /// Loss on the validation rows.
        ValLoss = "val_loss",
        /// Root mean squared error on the validation rows.
        ValRmse = "val_rmse",
        /// Mean absolute error on the validation rows.
        ValMae = "val_mae",
        /// Share of validation rows classified rightly.
        ValAccuracy = "val_accuracy",
        /// Loss on the training rows.
        TrainLoss = "train_loss",
    }

    /// Which of two values of a figure is better.
    CheckpointMode {
        /// The larger accuracy, else the smaller.
        Auto = "auto",
        /// The smaller.
        Min = "min",
        /// The larger.
        Max = "max",
    }
}
