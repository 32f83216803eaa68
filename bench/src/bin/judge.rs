//! Trains settings as a study does, for samplers of others: `judge CONFIG KEY=VALUE...` reads a line of JSON for each trial,
//! a list of `key=value`, and answers with the metric on the validation rows, or null where there is none.

use std::io::{BufRead, Write};
use std::path::Path;

use statera::config::Space;
use statera::model::truth_of;
use statera::run::Plan;
use statera::run::execute::train;
use statera::run::report::primary;
use statera::train::events::Answer;
use statera::train::metrics::metrics;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (config, sets) = arguments.split_first().ok_or("judge CONFIG KEY=VALUE...")?;
    let (_, base) = Space::load(Some(Path::new(config)), sets)?;
    let plan = Plan::new(base.clone())?;
    let rows = [plan.training_rows::<f32>()?, plan.prepared::<f32>(&plan.split.val)?];
    let (inputs, truth) = (plan.inputs(&plan.split.val)?, truth_of(&plan.labels.target, &plan.split.val));
    let name = primary(plan.target.task);
    let judge = |sets: &[String]| -> statera::Result<Option<f64>> {
        let plan = plan.with_learner(base.with(sets)?)?;
        let trained = train(&plan, &rows, &mut |_: &_| Answer::GoOn, None)?;
        let measured = metrics(&trained.model.predict_prepared(&inputs), truth.view());
        Ok(measured.iter().find(|(n, _)| *n == name).map(|(_, value)| *value).filter(|m| m.is_finite()))
    };
    for line in std::io::stdin().lock().lines() {
        let sets: Vec<String> = serde_json::from_str(&line?)?;
        // What diverges has no figure; the sampler learns that it is bad.
        println!("{}", serde_json::json!(judge(&sets).unwrap_or(None)));
        std::io::stdout().flush()?;
    }
    Ok(())
}
