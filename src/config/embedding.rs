//! What an embedding layer makes of each column, and the settings that it follows from.

use serde::{Deserialize, Serialize};

use super::choices::{CategoryEncoding, Encode, NumericEmbedding};

/// How columns enter the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// How number columns do.
    pub numeric: NumericEmbedding,
    /// How category columns do.
    pub categories: CategoryEncoding,
    /// The most levels of a category that stays one-hot all the same.
    pub one_hot_up_to: usize,
    /// Numbers of a category's vector; 0 for fastai's rule.
    pub category_dimension: usize,
    /// Numbers that a number becomes; 0 for what is usual.
    pub dimension: usize,
    /// Waves of plr and pbld; 0 for what is usual.
    pub frequencies: usize,
    /// Standard deviation of the frequencies at the start.
    pub sigma: f64,
    /// The most bins of ple.
    pub n_bins: usize,
}

impl EmbeddingConfig {
    /// How a number column enters the network, given what is set for it alone.
    pub fn of_number(&self, set: Option<Encode>) -> NumericEmbedding {
        match set {
            Some(Encode::None) => NumericEmbedding::None,
            Some(Encode::Plr) => NumericEmbedding::Plr,
            Some(Encode::Pbld) => NumericEmbedding::Pbld,
            Some(Encode::Ple) => NumericEmbedding::Ple,
            // What is said of categories says nothing of numbers.
            Some(Encode::OneHot | Encode::Embedding | Encode::Ordinal | Encode::Count | Encode::Hashing)
            | None => self.numeric,
        }
    }

    /// Numbers of the vector of a category of `n_levels`: as set, or min(600, round(1.6·n^0.56)), the rule of
    /// fastai's `emb_sz_rule` (Howard & Gugger 2020), fitted by eye to what worked on several tables.
    pub fn dimension_of_category(&self, n_levels: usize) -> usize {
        match self.category_dimension {
            0 => ((1.6 * (n_levels as f64).powf(0.56)).round() as usize).clamp(1, 600),
            dimension => dimension,
        }
    }

    /// What becomes of a number column by waves; none for the other embeddings.
    ///
    /// Usual are 48 frequencies and 24 numbers for plr (the defaults of Gorishniy's package `rtdl_num_embeddings`),
    /// 16 and 4 for pbld (RealMLP's).
    pub fn waves(&self, embedding: NumericEmbedding, column: &str) -> Option<EmbeddingSpec> {
        let or = |set: usize, usual: usize| if set == 0 { usual } else { set };
        let (column, sigma) = (column.to_owned(), self.sigma);
        match embedding {
            NumericEmbedding::Plr => {
                let (frequencies, dimension) = (or(self.frequencies, 48), or(self.dimension, 24));
                Some(EmbeddingSpec::Plr { column, frequencies, sigma, dimension })
            }
            NumericEmbedding::Pbld => {
                let (frequencies, dimension) = (or(self.frequencies, 16), or(self.dimension, 4));
                Some(EmbeddingSpec::Pbld { column, frequencies, sigma, dimension })
            }
            NumericEmbedding::None | NumericEmbedding::Ple => None,
        }
    }
}

/// What an embedding layer makes of the next inputs, from left to right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum EmbeddingSpec {
    /// Handed on as they are.
    Plain {
        /// How many.
        inputs: usize,
    },
    /// A vector of its own for each category, by its code from 0 on.
    Table {
        /// The column.
        column: String,
        /// How many categories have a vector.
        levels: usize,
        /// Numbers of a vector.
        dimension: usize,
    },
    /// Sines and cosines of the number, a linear layer and relu.
    Plr {
        /// The column.
        column: String,
        /// How many frequencies.
        frequencies: usize,
        /// Their standard deviation at the start.
        sigma: f64,
        /// Numbers that come out.
        dimension: usize,
    },
    /// Shifted cosines of the number, a linear layer, and the number itself.
    Pbld {
        /// The column.
        column: String,
        /// How many frequencies.
        frequencies: usize,
        /// Their standard deviation at the start.
        sigma: f64,
        /// Numbers that come out, the number itself among them.
        dimension: usize,
    },
    /// How far the number is through each bin; with a dimension, a linear layer and relu after that.
    Ple {
        /// The column.
        column: String,
        /// How many bins.
        bins: usize,
        /// Numbers that come out; 0 for the bins as they are.
        dimension: usize,
    },
}

impl EmbeddingSpec {
    /// How many inputs it takes.
    pub fn n_inputs(&self) -> usize {
        match *self {
            Self::Plain { inputs } => inputs,
            Self::Table { .. } | Self::Plr { .. } | Self::Pbld { .. } | Self::Ple { .. } => 1,
        }
    }

    /// How many numbers come out.
    pub fn n_outputs(&self) -> usize {
        match *self {
            Self::Plain { inputs } => inputs,
            Self::Ple { bins, dimension: 0, .. } => bins,
            Self::Table { dimension, .. }
            | Self::Plr { dimension, .. }
            | Self::Pbld { dimension, .. }
            | Self::Ple { dimension, .. } => dimension,
        }
    }

    /// How many parameters and tensors it has; none for more parameters than can be counted.
    pub fn size(&self) -> Option<(usize, usize)> {
        let linear = |from: usize, to: usize| from.checked_add(1)?.checked_mul(to);
        match *self {
            Self::Plain { .. } | Self::Ple { dimension: 0, .. } => Some((0, 0)),
            Self::Table { levels, dimension, .. } => Some((levels.checked_mul(dimension)?, 1)),
            Self::Plr { frequencies: k, dimension, .. } => {
                Some((linear(k.checked_mul(2)?, dimension)?.checked_add(k)?, 3))
            }
            Self::Pbld { frequencies: k, dimension, .. } => {
                Some((linear(k, dimension.checked_sub(1)?)?.checked_add(k.checked_mul(2)?)?, 4))
            }
            Self::Ple { bins, dimension, .. } => Some((linear(bins, dimension)?, 2)),
        }
    }

    /// What would keep a layer from being made of it.
    pub fn fault(&self) -> Option<&'static str> {
        match *self {
            Self::Plain { inputs: 0 } => Some("it takes no inputs"),
            Self::Table { levels: 0, .. } => Some("a table without levels"),
            Self::Table { dimension: 0, .. } | Self::Plr { dimension: 0, .. } => Some("its dimension is 0"),
            Self::Plr { frequencies: 0, .. } | Self::Pbld { frequencies: 0, .. } => Some("no frequencies"),
            Self::Pbld { dimension: 0 | 1, .. } => Some("the dimension of pbld is below 2"),
            Self::Ple { bins: 0, .. } => Some("no bins"),
            Self::Plr { sigma, .. } | Self::Pbld { sigma, .. } if !(0.0..=f64::MAX).contains(&sigma) => {
                Some("its sigma is no number of at least 0")
            }
            Self::Plain { .. }
            | Self::Table { .. }
            | Self::Plr { .. }
            | Self::Pbld { .. }
            | Self::Ple { .. } => None,
        }
    }
}
