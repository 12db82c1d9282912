//! `p_adjust(p, method) OVER (…)`: p-values adjusted for the number of tests in the partition.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::adjust::{Adjustment, adjust};

use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::Type;
use crate::window::{Rows, window};

const METHODS: [(&str, Adjustment); 9] = [
    ("holm", Adjustment::Holm),
    ("bonferroni", Adjustment::Bonferroni),
    ("sidak", Adjustment::Sidak),
    ("holm_sidak", Adjustment::HolmSidak),
    ("hochberg", Adjustment::Hochberg),
    ("bh", Adjustment::BenjaminiHochberg),
    ("fdr", Adjustment::BenjaminiHochberg),
    ("by", Adjustment::BenjaminiYekutieli),
    ("none", Adjustment::None),
];

/// The function.
pub fn function() -> crate::Function {
    let arguments = vec![
        required("p", Kind::Number, "a p-value; NULL and NaN are not part of the family"),
        option(
            "method",
            Kind::Text,
            "'holm' (default), 'bonferroni', 'sidak', 'holm_sidak', 'hochberg', 'bh', 'by' or 'none'",
        ),
    ];
    window(Call { name: "p_adjust", arguments, doc: DOC }, Type::Number, options)
}

fn options(given: &Given) -> EngineResult<Rows> {
    let method = given.choice("method", &METHODS)?;
    Ok(Box::new(move |columns: &[ArrayRef]| {
        let p_values: Vec<Option<f64>> = columns[0].as_primitive::<Float64Type>().iter().collect();
        Ok(Arc::new(Float64Array::from(adjust(&p_values, method))) as ArrayRef)
    }))
}

const DOC: Doc = Doc {
    summary: "The p-value adjusted for all p-values of the window's partition, which is the family \
              of tests: Bonferroni, Sidak, Holm, Hochberg (any false alarm), Benjamini-Hochberg \
              and Benjamini-Yekutieli (share of false alarms). Order and frame of the window do \
              not matter.",
    example: (
        "SELECT max(q) FROM (SELECT p_adjust(p, 'bonferroni') OVER () AS q FROM (VALUES (0.01), (0.04)) t(p)) s",
        "0.08",
    ),
};
