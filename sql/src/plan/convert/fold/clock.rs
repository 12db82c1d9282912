//! What stands for the time of the statement: `'now'`, `'today'`, `'tomorrow'` and `'yesterday'` as
//! literals of a date or time, `localtimestamp`, `current_timestamp(0)`, `age(x)`.

use datafusion::sql::sqlparser::ast::{DataType, Expr, Function, Value};

use super::{arguments, is};
use crate::parse;

/// `'today 10:30'::timestamp` and its like; None: the literal is read as it is.
pub(super) fn literal(expression: &Expr) -> Option<Expr> {
    let (value, to) = match expression {
        Expr::Cast { expr, data_type, .. } => match expr.as_ref() {
            Expr::Value(value) => (&value.value, data_type),
            _ => return None,
        },
        Expr::TypedString(typed) => (&typed.value.value, &typed.data_type),
        _ => return None,
    };
    if !matches!(to, DataType::Date | DataType::Time(..) | DataType::Timestamp(..)) {
        return None;
    }
    let Value::SingleQuotedString(text) = value else { return None };
    let text = text.trim().to_ascii_lowercase();
    let (word, clock) = text.split_once(' ').unwrap_or((&text, ""));
    let base = match word {
        "now" => "now()",
        "today" => "current_date",
        "tomorrow" => "current_date + CAST(1 AS int)",
        "yesterday" => "current_date - CAST(1 AS int)",
        _ => return None,
    };
    let plain = clock.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
    let written = match clock.trim() {
        "" => format!("CAST({base} AS {to})"),
        clock if plain && word != "now" => {
            let midnight = format!("CAST({base} AS timestamp)");
            format!("CAST({midnight} + CAST('{clock}' AS interval) AS {to})")
        }
        _ => return None,
    };
    parse::parse_expression(&written).ok()
}

/// A call whose answer is the time of the statement in another form.
pub(super) fn call(call: &Function) -> Option<Expr> {
    let read = |text: &str| parse::parse_expression(text).ok();
    if is(call, "transaction_timestamp") {
        return read("now()");
    }
    // The statement's own clock is read a moment after it came.
    if is(call, "statement_timestamp") {
        return read("greatest(now(), statement_timestamp())");
    }
    if is(call, "localtimestamp") {
        return read("CAST(now() AS timestamp)");
    }
    if is(call, "localtime") {
        return read("CAST(CAST(now() AS timestamp) AS time)");
    }
    if is(call, "current_timestamp")
        && let Some([digits]) = arguments(call)
    {
        return read(match digits.to_string().contains('0') {
            true => "date_trunc('second', now())",
            false => "now()",
        });
    }
    if is(call, "age")
        && let Some([since]) = arguments(call)
    {
        return read(&format!("age(CAST(current_date AS timestamp), {since})"));
    }
    None
}
