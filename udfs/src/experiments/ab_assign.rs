//! `ab_assign(experiment, unit, weights, variants, …)`: the arm of a unit.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::error::Result as EngineResult;
use kernels::assignment::{Algorithm, arm, place};

use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Type};
use crate::scalar::scalar;
use crate::{Error, Function};

const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("murmur3", Algorithm::Murmur3),
    ("growthbook_v2", Algorithm::GrowthbookV2),
    ("growthbook_v1", Algorithm::GrowthbookV1),
    ("planout", Algorithm::Planout),
    ("eppo", Algorithm::Eppo),
    ("optimizely", Algorithm::Optimizely),
];

/// The function.
pub fn function() -> Function {
    let arguments = vec![
        required("experiment", Kind::Text, "the experiment's name, or the salt that its SDK uses"),
        required("unit", Kind::Text, "what is randomised: a user, or a cluster's id"),
        required("weights", Kind::Numbers, "weights of the arms, any scale; none is negative"),
        required("variants", Kind::Texts, "names of the arms"),
        option(
            "algorithm",
            Kind::Text,
            "'murmur3' (default), 'growthbook_v2', 'growthbook_v1', 'planout', 'eppo' or \
             'optimizely'",
        ),
        option("seed", Kind::Integer, "for murmur3 (default 0)"),
    ];
    scalar(Call { name: "ab_assign", arguments, doc: DOC }, vec![("", Type::Text)], answer)
}

fn answer(
    given: &Given,
    columns: &[ArrayRef],
    rows: usize,
    output: &mut Output,
) -> EngineResult<()> {
    let hint = "Give as many weights as variants: ARRAY[0.5, 0.5], ARRAY['control', 'treatment'].";
    let missing = |name| Error::MissingArgument { function: "ab_assign", name, hint };
    let weights = given.numbers("weights")?.ok_or_else(|| missing("weights"))?;
    let variants = given.texts("variants")?.ok_or_else(|| missing("variants"))?;
    let valid = weights.iter().all(|w| *w >= 0.0)
        && (0.0..f64::INFINITY).contains(&weights.iter().sum())
        && weights.iter().any(|w| *w > 0.0);
    if !valid || weights.len() != variants.len() {
        let allowed = format!("{} numbers, none negative, not all zero", variants.len());
        let given = format!("{weights:?}");
        return Err(Error::InvalidArgument { name: "weights", allowed, given }.into());
    }
    let algorithm = given.choice("algorithm", &ALGORITHMS)?;
    let seed = given.seed()? as u32;
    let (experiments, units) = (columns[0].as_string::<i32>(), columns[1].as_string::<i32>());
    for row in 0..rows {
        if experiments.is_null(row) || units.is_null(row) {
            output.text(None);
            continue;
        }
        let place = place(algorithm, experiments.value(row), units.value(row), seed);
        let variant = arm(algorithm, place, &weights).map(|arm| variants[arm].as_str());
        output.text(variant);
    }
    Ok(())
}

const DOC: Doc = Doc {
    summary: "The arm of a unit: u = murmur3_x86_32(experiment || '.' || unit, seed) / 2^32, the \
              first arm whose cumulative share of the weights is beyond u. The same everywhere and \
              for ever. The other algorithms give what the named SDKs give. NULL for a NULL unit. \
              ab_assign(experiment, unit) asks an experiment of CREATE EXPERIMENT for the unit's \
              arm: weights, layer, holdout and ramp are the experiment's.",
    example: (
        "SELECT ab_assign('checkout', 'user-1', ARRAY[0.5, 0.5], ARRAY['control', 'treatment'])",
        "control",
    ),
};
