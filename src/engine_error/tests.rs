//! Codes and words of what the engine says.

use super::*;

fn parser(text: &str) -> Error {
    from_parser(&ParserError::ParserError(text.into()))
}

// Codes and positions as PostgreSQL 15 reports them for the same mistakes.
#[test]
fn syntax_errors_point_at_the_token() {
    let error = parser("Expected: an expression, found: FROM at Line: 2, Column: 8");
    assert_eq!(error.sqlstate, "42601");
    assert_eq!(error.message(), "syntax error at or near \"FROM\"");
    assert_eq!(error.locate("SELECT é\n      , FROM t").position(), Some(17));
    let error = parser("Expected: identifier, found: EOF");
    assert_eq!(error.message(), "syntax error at end of input");
}

#[test]
fn causes_are_found_below_contexts() {
    let inner = DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None);
    let error = DataFusionError::Shared(inner.context("x").into());
    assert_eq!(from_engine(&error).sqlstate, "22012");
    let own = Error::new("40001", "conflict").with_hint("Run it again.");
    let error = DataFusionError::External(Box::new(own.clone()));
    assert_eq!(from_engine(&error), own);
    let error =
        DataFusionError::External(Box::new(catalog::Error::UndefinedSchema { name: "s".into() }));
    assert_eq!(from_engine(&error).sqlstate, "3F000");
}

#[test]
fn names_come_with_a_near_one() {
    let error = from_schema(&SchemaError::FieldNotFound {
        field: Box::new(Column::from_name("nmae")),
        valid_fields: vec![Column::from_name("id"), Column::from_name("name")],
    });
    assert_eq!(error.sqlstate, "42703");
    assert_eq!(error.message(), "column \"nmae\" does not exist");
    let hint = "Perhaps you meant to reference the column \"name\".";
    assert_eq!(error.hint(), Some(hint));
}

#[test]
fn an_aggregate_of_no_such_type_is_told_as_any_function() {
    let text = "Function 'sum' user-defined coercion failed with: Internal error: Function 'sum' \
        failed to match any signature, errors: Error during planning: Function 'sum' requires \
        Decimal, but received String (DataType: Utf8).,Error during planning: Function 'sum' \
        requires Int64, but received String (DataType: Utf8)";
    let error = from_plan(text);
    assert_eq!((error.sqlstate, error.message()), ("42883", "function sum(text) does not exist"));
    assert_eq!(error.hint(), Some(NO_MATCH));
}

// Messages of PostgreSQL 15 for the same casts.
#[test]
fn casts_name_the_type() {
    let cast = |text: &str| from_arrow(&ArrowError::CastError(text.into()));
    let error = cast("Cannot cast string 'x' to value of Int32 type");
    assert_eq!(error.message(), "invalid input syntax for type integer: \"x\"");
    assert_eq!(cast("Cannot cast string '99999999999' to value of Int32 type").sqlstate, "22003");
    assert_eq!(cast("Cannot cast string 'x' to value of Date32 type").sqlstate, "22007");
}

// Messages of PostgreSQL 15 for the same mistakes; what the engine says was seen in its answers.
#[test]
fn words_are_those_of_postgres() {
    let said = [
        (
            "Column in SELECT must be in GROUP BY or an aggregate function: While expanding \
             wildcard, column \"sextant.public.t.a\" must appear in the GROUP BY clause or must be \
             part of an aggregate function, currently only \"b\" appears in the SELECT clause \
             satisfies this requirement",
            "42803",
            "column \"t.a\" must appear in the GROUP BY clause or be used in an aggregate function",
        ),
        (
            "Function 'upper' requires String, but received Int32 (DataType: Int32).. No function \
             matches the given name and argument types 'f(Int32, List(Utf8), Decimal128(5, 2), \
             Timestamp(µs, \"UTC\"))'. You might need to add explicit type casts.",
            "42883",
            "function f(integer, text[], numeric, timestamp with time zone) does not exist",
        ),
        (
            "Order by column out of bounds, specified: 2, max: 1",
            "42P10",
            "ORDER BY position 2 is not in select list",
        ),
        (
            "Cannot find column with position 5 in SELECT clause. Valid columns: 1 to 2",
            "42P10",
            "GROUP BY position 5 is not in select list",
        ),
        (
            "Cannot create filter with non-boolean predicate 't.a' returning Utf8",
            "42804",
            "argument of WHERE must be type boolean, not type text",
        ),
        (
            "Cannot infer common argument type for regex operation Int32 ~ Utf8",
            "42883",
            "operator does not exist: integer ~ text",
        ),
        (
            "Inconsistent data type across values list at row 1 column 0. Was Int32 but found Boolean",
            "42804",
            "VALUES types integer and boolean cannot be matched",
        ),
        ("Can't cast value 99999999999 to type Int32", "22003", "integer out of range"),
        ("LIMIT must be >= 0, '-1' was provided", "2201W", "LIMIT must not be negative"),
    ];
    for (engine, sqlstate, message) in said {
        let error = from_plan(engine);
        assert_eq!((error.sqlstate, error.message()), (sqlstate, message));
    }
}

#[test]
fn tables_and_functions_have_their_codes() {
    let error = from_plan("table 'datafusion.public.nope' not found");
    assert_eq!((error.sqlstate, error.message()), ("42P01", "relation \"nope\" does not exist"));
    // PostgreSQL 15: SELECT (r).nope FROM (SELECT ROW(1) AS r) x.
    let error = from_plan("Field nope not found in struct");
    let message = "could not identify column \"nope\" in record data type";
    assert_eq!((error.sqlstate, error.message()), ("42703", message));
    assert_eq!(from_plan("Invalid function 'summ'.\nDid you mean 'sum'?").sqlstate, "42883");
}
