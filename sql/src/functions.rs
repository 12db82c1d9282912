//! Functions that Postgres has and the engine has not, or has with other answers.

pub(crate) mod arithmetic;
mod array_or_empty;
mod arrays;
pub(crate) mod as_type;
pub(crate) mod assigned_to;
pub(crate) mod bare;
pub(crate) mod bounded;
mod bytes;
mod coalesce;
pub(crate) mod days;
mod extract;
mod finite;
mod from_char;
pub(crate) mod interval;
pub(crate) mod json;
mod keywords;
mod like_escape;
mod make;
pub(crate) mod metric;
pub(crate) mod number;
mod only_value;
pub(crate) mod ordered;
pub(crate) mod regexp;
mod row_field;
pub(crate) mod series;
pub(crate) mod sets;
mod similar;
mod size_pretty;
pub(crate) mod subscripts;
mod substr;
mod text;
mod timezone;
mod to_char;
mod type_of;
pub(crate) mod unknown;
mod whole;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub(crate) use only_value::function as only_value;
pub(crate) use row_field::row_field;
pub(crate) use substr::function as substr;
pub(crate) use text::{identifier, literal};
pub(crate) use timezone::{Zone, shift, timezone};

/// Under the names that statements call them by.
pub fn scalar() -> Vec<ScalarUDF> {
    let mut functions = crate::plan::input_functions();
    functions.extend(text::quoting());
    functions.extend(interval::justify());
    functions.extend(json::functions());
    functions.extend(make::functions());
    functions.extend(number::floats());
    functions.extend(ordered::functions());
    functions.extend(arrays::functions());
    functions.extend(bytes::functions());
    functions.extend(whole::functions());
    functions.extend(regexp::functions());
    functions.extend(sets::functions());
    functions.extend([
        array_or_empty::function(),
        as_type::function(),
        assigned_to::function(),
        bare::function(),
        bounded::function(false),
        bounded::function(true),
        coalesce::function(),
        extract::date_part(),
        extract::extract(),
        finite::function(),
        interval::age(),
        like_escape::function(),
        days::function(),
        metric::function(),
        number::div(),
        number::width_bucket(),
        series::function(),
        similar::function(),
        size_pretty::function(),
        subscripts::function(),
        substr(),
        text::format_function(),
        timezone(),
        to_char::to_char(),
        from_char::to_date(),
        from_char::to_timestamp(),
        type_of::function(),
        unknown::function(),
        crate::nearest::with_recall(),
    ]);
    functions
}

/// See `scalar`.
pub fn aggregate() -> Vec<AggregateUDF> {
    vec![only_value()]
}

/// Postgres' names of functions that the engine has under others.
pub(crate) const RENAMED: &[(&str, &str)] = &[
    ("array_remove", "array_remove_all"),
    ("array_replace", "array_replace_all"),
    ("ceiling", "ceil"),
    ("every", "bool_and"),
    ("gen_random_uuid", "uuid"),
    ("sign", "signum"),
    ("variance", "var_samp"),
];

/// Functions that count in integer, where the engine counts in bigint.
pub(crate) const COUNT_IN_INTEGER: &[&str] =
    &["array_length", "array_ndims", "array_position", "ascii", "cardinality", "regexp_count"];
