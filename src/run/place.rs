//! Adds to an error where in the statement it is, if it is about something written there: a call
//! of a function that is not there, a literal that is no value of its type. What is wrong with
//! stored or given values has no place.

use datafusion::execution::SessionState;
use sql::{Parsed, Statement, plan};

use super::Plan;
use crate::Error;

/// Codes of texts that are no value of a type, or name nothing.
const OF_LITERALS: &[&str] =
    &["22003", "22007", "22008", "22009", "22P02", "3F000", "42602", "42704", "42883", "42P01"];

/// The error with its place, line and column; `planned` is the plan before it was optimized.
pub(crate) fn placed(
    error: Error,
    statement: &Statement,
    planned: Option<&Plan>,
    engine: &SessionState,
) -> Error {
    let Parsed::Sql(sql) = &statement.parsed else { return error };
    if error.position.is_some() || error.line_column.is_some() {
        return error;
    }
    let called = error.message.strip_prefix("function ").and_then(|rest| rest.split_once('('));
    let called = called.filter(|_| error.sqlstate == "42883");
    let place = match (called, planned) {
        (Some((name, _)), _) => plan::place::of_call(sql, name),
        (None, Some(planned)) if OF_LITERALS.contains(&error.sqlstate) => {
            let same = |found: sql::Error| Error::from(found).message == error.message;
            let planned = match planned {
                Plan::Query(plan) | Plan::Cursor(_, plan) => Some(plan),
                Plan::Change(change) => Some(&change.plan),
                _ => None,
            };
            planned.and_then(|plan| plan::place::of_literal(sql, plan, engine, same))
        }
        _ => None,
    };
    match place {
        Some((line, column)) => error.at_line_column(line, column),
        None => error,
    }
}
