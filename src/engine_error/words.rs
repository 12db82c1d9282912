//! What the engine says of a statement, in Postgres' words. Codes are those of `MESSAGES`.

use super::between;

/// The message in Postgres' words; None: as it is.
pub(super) fn in_postgres(text: &str) -> Option<String> {
    aggregates(text).or_else(|| positions(text)).or_else(|| types(text)).or_else(|| values(text))
}

fn aggregates(text: &str) -> Option<String> {
    if text.contains("must appear in the GROUP BY") {
        let column = between(text, "column \"", "\" must appear")?;
        // The relation and the column; a database and a schema are not told.
        let mut parts: Vec<&str> = column.rsplitn(3, '.').take(2).collect();
        parts.reverse();
        let column = parts.join(".");
        return Some(format!(
            "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate \
             function"
        ));
    }
    if text.starts_with("Aggregate functions are not allowed in the WHERE") {
        return Some("aggregate functions are not allowed in WHERE".to_owned());
    }
    let nested = text.starts_with("Aggregate function calls cannot be nested");
    nested.then(|| "aggregate function calls cannot be nested".to_owned())
}

fn positions(text: &str) -> Option<String> {
    let not_in_list = |clause: &str, position: &str| {
        Some(format!("{clause} position {position} is not in select list"))
    };
    if let Some(position) = between(text, "Cannot find column with position ", " ") {
        return not_in_list("GROUP BY", position);
    }
    if let Some(position) = between(text, "Order by column out of bounds, specified: ", ",") {
        return not_in_list("ORDER BY", position);
    }
    if text.starts_with("Order by index starts at 1") {
        return not_in_list("ORDER BY", "0");
    }
    if text.starts_with("LIMIT must be >=") {
        return Some("LIMIT must not be negative".to_owned());
    }
    if text.starts_with("OFFSET must be >=") {
        return Some("OFFSET must not be negative".to_owned());
    }
    let available = between(text, "Source table contains ", " columns")?;
    let named = between(text, "but only ", " names given")?;
    Some(format!("table has {available} columns available but {named} columns specified"))
}

fn types(text: &str) -> Option<String> {
    if let Some(call) = between(text, "name and argument types '", "'") {
        let (name, arguments) = call.strip_suffix(')')?.split_once('(')?;
        let arguments: Vec<String> = listed(arguments).into_iter().map(type_name).collect();
        return Some(format!("function {name}({}) does not exist", arguments.join(", ")));
    }
    if let Some(function) = between(text, "Function '", "' user-defined coercion failed") {
        let of = text.split_once("(DataType: ")?.1;
        let end = [of.find("),"), of.find(").")].into_iter().flatten().min();
        let of = type_name(&of[..end.unwrap_or(of.len())]);
        return Some(format!("function {function}({of}) does not exist"));
    }
    let not_boolean = |of: &str, what: &str| {
        Some(format!("argument of {what} must be type boolean, not type {}", type_name(of)))
    };
    if text.starts_with("Cannot create filter with non-boolean predicate") {
        return not_boolean(between(text, "' returning ", "\0")?, "WHERE");
    }
    if let Some(of) =
        between(text, "Unary operator 'NOT' requires a boolean expression, got ", "\0")
    {
        return not_boolean(of, "NOT");
    }
    if let Some(operation) = between(text, "argument type for regex operation ", "\0") {
        let [left, operator, right] = operation.split(' ').collect::<Vec<_>>()[..] else {
            return None;
        };
        let (left, right) = (type_name(left), type_name(right));
        return Some(format!("operator does not exist: {left} {operator} {right}"));
    }
    if text.starts_with("Inconsistent data type across values list") {
        let first = type_name(between(text, ". Was ", " but found ")?);
        let other = type_name(between(text, " but found ", "\0")?);
        return Some(format!("VALUES types {first} and {other} cannot be matched"));
    }
    None
}

fn values(text: &str) -> Option<String> {
    if text.starts_with("Scalar subquery returned more than one row") {
        return Some("more than one row returned by a subquery used as an expression".to_owned());
    }
    if text.starts_with("Can't cast value ") {
        return Some(format!("{} out of range", type_name(between(text, " to type ", "\0")?)));
    }
    let too_large = text.contains(" is too large to store in a Decimal");
    too_large.then(|| "numeric field overflow".to_owned())
}

/// What stands between commas, those inside brackets not counted.
fn listed(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut out) = (0_usize, 0, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '<' | '{' => depth += 1,
            ')' | '>' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                out.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    out.push(text[start..].trim());
    out.retain(|part| !part.is_empty());
    out
}

/// Postgres' name of a type that the engine names.
pub(super) fn type_name(engine: &str) -> String {
    let engine = engine.trim().trim_end_matches('.').trim_start_matches("nullable ");
    let name = engine.split(['(', ' ']).next().unwrap_or(engine);
    let inner = || between(engine, "(", "\0").map(|rest| rest.trim_end_matches(')'));
    match name {
        "Null" => "unknown",
        "Boolean" => "boolean",
        "Int8" | "UInt8" | "Int16" => "smallint",
        "Int32" | "UInt16" => "integer",
        "Int64" | "UInt32" => "bigint",
        "UInt64" | "Decimal128" | "Decimal256" => "numeric",
        "Float16" | "Float32" => "real",
        "Float64" => "double precision",
        "Utf8" | "LargeUtf8" | "Utf8View" => "text",
        "Binary" | "LargeBinary" | "BinaryView" => "bytea",
        "Date32" | "Date64" => "date",
        "Time32" | "Time64" => "time without time zone",
        "Timestamp" if engine.contains('"') => "timestamp with time zone",
        "Timestamp" => "timestamp without time zone",
        "Interval" | "Duration" => "interval",
        "List" | "LargeList" | "ListView" => {
            return format!("{}[]", type_name(inner().unwrap_or_default()));
        }
        "FixedSizeList" => "vector",
        "Struct" => "record",
        other => other,
    }
    .to_owned()
}
