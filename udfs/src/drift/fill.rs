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
    match compat(given)? == Compat::Evidently && given.text("fill")?.is_none() {
        true => Ok(Fill::Evidently),
        false => given.choice("fill", &FILLS),
    }
}

/// Whose numbers are to be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compat {
    /// Nobody's.
    None,
    /// Evidently's bins and fills; NULL and NaN are left out.
    Evidently,
    /// NannyML's bins, and logarithms of base 2; NULL and NaN are left out.
    Nannyml,
}

/// The argument of whose numbers are to be met.
pub fn compat_argument() -> Argument {
    option(
        "compat",
        Kind::Text,
        "'evidently' or 'nannyml': their bins, fills and logarithms; NULL and NaN are left out",
    )
}

/// Reads it.
pub fn compat(given: &Given) -> EngineResult<Compat> {
    let known =
        [("none", Compat::None), ("evidently", Compat::Evidently), ("nannyml", Compat::Nannyml)];
    given.choice("compat", &known)
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
