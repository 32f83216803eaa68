//! What the settings deal with already, and need not be warned of.

use super::warnings::{Concern, Warning};
use crate::config::{ClassWeighting, ClassWeights, Config, ImbalanceKind, LossName, Scale};

/// Whether the settings do what the line of a warning asks for, or the like of it.
///
/// Columns that are left out, and words that count as missing, are so when the table is read; this is about the others.
pub(super) fn is_met(warning: &Warning, config: &Config) -> bool {
    let of_column = warning.columns.first().and_then(|name| config.data.columns.get(name));
    match warning.concern {
        Concern::Duplicates => config.data.drop_duplicates,
        Concern::Imbalance => heeds_rare_classes(config),
        Concern::Shift => warning.line.starts_with("loss.") && heeds_rare_classes(config),
        // Of the target, the line names a loss.
        Concern::FarOutliers if warning.line.starts_with("loss.") => {
            use LossName::{Huber, LogCosh, Mae, Quantile};
            matches!(config.loss.name, Huber | LogCosh | Mae | Quantile)
        }
        Concern::FarOutliers => {
            let scale = of_column.and_then(|set| set.scale).unwrap_or(config.prepare.scale);
            // Steps of one's own take the place of the scale.
            let has_steps = of_column.and_then(|set| set.steps.as_ref()).unwrap_or(&config.prepare.numbers);
            !has_steps.is_empty() || !matches!(scale, Scale::Standard | Scale::MinMax | Scale::None)
        }
        _ => false,
    }
}

/// Whether the settings make up for classes of which there are few rows.
fn heeds_rare_classes(config: &Config) -> bool {
    config.imbalance.kind != ImbalanceKind::None
        || config.loss.class_weights != ClassWeights::Rule(ClassWeighting::None)
        || config.loss.name == LossName::Focal
}
