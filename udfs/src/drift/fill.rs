//! What stands for an empty bin, which would make a distance infinite.

use datafusion::error::Result as EngineResult;
use kernels::statistics::divergence::Fill;

use crate::arguments::{Argument, Given, Kind, option};

/// The argument of what stands for an empty bin.
pub fn fill_argument() -> Argument {
    option(
        "fill",
        Kind::Text,
        "an empty bin counts as: 'half' a row (default), 'clamp', 'add', 'evidently' or 'none'",
    )
}

/// Reads it.
pub fn fill(given: &Given) -> EngineResult<Fill> {
    match is_evidently(given)? && given.text("fill")?.is_none() {
        true => Ok(Fill::Evidently),
        false => given.choice("fill", &FILLS),
    }
}

/// Whether bins and fills are to be those of Evidently.
pub fn is_evidently(given: &Given) -> EngineResult<bool> {
    given.choice("compat", &[("none", false), ("evidently", true)])
}

const FILLS: [(&str, Fill); 5] = [
    ("half", Fill::Half),
    ("clamp", Fill::Clamp),
    ("add", Fill::Add),
    ("evidently", Fill::Evidently),
    ("none", Fill::None),
];

/// The word for a fill.
pub fn fill_name(fill: Fill) -> &'static str {
    FILLS.iter().find(|(_, known)| *known == fill).map_or("", |(name, _)| name)
}
