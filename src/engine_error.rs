//! Errors of DataFusion, Arrow and the catalog in Postgres' terms.
//!
//! The engine tells its kinds apart by enum variant where it can and by words of the message
//! where it cannot; the words are matched in one table below.

use datafusion::arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::Error;

/// Words of a message, the code they mean. The first that matches wins.
const MESSAGES: &[(&str, &str)] = &[
    ("divide by zero", "22012"),
    ("division by zero", "22012"),
    ("invalid function", "42883"),
    ("no function matches", "42883"),
    ("does not support zero arguments", "42883"),
    ("failed to coerce arguments", "42883"),
    ("function signature", "42883"),
    ("cannot coerce", "42883"),
    ("cannot infer common argument type", "42883"),
    ("has no operator", "42883"),
    ("cannot get result type", "42883"),
    ("must be in the group by", "42803"),
    ("must appear in the group by", "42803"),
    ("aggregate functions are not allowed", "42803"),
    ("nested aggregate", "42803"),
    ("out of range", "22003"),
    ("too large to store in a", "22003"),
    ("overflow", "22003"),
    ("can't cast value", "22003"),
    ("error parsing timestamp", "22007"),
    ("error parsing date", "22007"),
    ("to value of date", "22007"),
    ("to value of timestamp", "22007"),
    ("to value of time", "22007"),
    ("parser error", "22P02"),
    ("cannot cast string", "22P02"),
    ("cannot cast value", "22P02"),
    ("unsupported cast", "42846"),
    ("casting from", "42846"),
    ("cast error", "22P02"),
    ("cannot cast", "42846"),
    ("schema not found", "3F000"),
    ("failed to resolve schema", "3F000"),
    ("schema '", "3F000"),
    ("ambiguous", "42702"),
    ("already exists", "42P07"),
    ("regular expression", "2201B"),
    ("regex", "2201B"),
    ("scalar subquery", "21000"),
    ("more than one row", "21000"),
    ("inconsistent data type across values list", "42804"),
    ("wrong number of columns", "42601"),
    ("number of columns", "42601"),
    ("duplicate expression", "42701"),
    ("placeholder", "42P02"),
    ("no value found for", "42P02"),
    ("recursion limit", "54001"),
    ("square root of a negative", "2201F"),
    ("field position must not be zero", "22023"),
    ("limit must be >= 0", "2201W"),
    ("offset must be >=", "2201X"),
    ("order by column out of bounds", "42P10"),
    ("order by index starts at 1", "42P10"),
    ("in select clause. valid columns", "42P10"),
    ("names given as column alias", "42P10"),
    ("specified more than once", "42712"),
    ("cannot be nested", "42803"),
    ("requires a boolean expression", "42804"),
    ("to be an integer or null", "22P02"),
    ("filter with non-boolean predicate", "42804"),
    ("unary operator", "42883"),
    ("to match any signature", "42883"),
    ("no space left", "53100"),
    ("disk", "53100"),
];

/// The code that a message means, if its words tell.
fn sqlstate_of(message: &str) -> Option<&'static str> {
    let lower = message.to_ascii_lowercase();
    MESSAGES.iter().find(|(words, _)| lower.contains(words)).map(|(_, code)| *code)
}

/// An error of the catalog.
pub fn from_catalog(error: &catalog::Error) -> Error {
    if let catalog::Error::Engine(inner) = error {
        return from_engine(inner);
    }
    let mut out = Error::new(error.sqlstate(), error.to_string());
    out.hint = error.hint();
    if let catalog::Error::DependentObjects { detail, .. } = error {
        out.detail = Some(detail.clone());
    }
    out
}

/// An error of the SQL layer.
pub fn from_sql(error: &sql::Error) -> Error {
    match error {
        sql::Error::Catalog(inner) => from_catalog(inner),
        sql::Error::Engine(inner) => from_engine(inner),
        sql::Error::Statement { sqlstate, message, detail, hint, position, place, object } => {
            let mut out = Error::new(sqlstate, message.clone());
            out.object = object.clone();
            out.detail = detail.clone();
            out.hint = hint.clone();
            out.position = *position;
            out.line_column = *place;
            out
        }
    }
}

/// An error of the engine; walks through contexts and shared errors to the cause.
pub fn from_engine(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::Context(_, inner) => from_engine(inner),
        DataFusionError::Shared(inner) => from_engine(inner),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let out = from_engine(inner);
            match diagnostic.span {
                Some(span) if out.position.is_none() && out.line_column.is_none() => {
                    out.at_line_column(span.start.line, span.start.column)
                }
                Some(_) | None => out,
            }
        }
        DataFusionError::Collection(errors) => errors.first().map_or_else(
            || Error::new("XX000", "the engine failed without a message"),
            from_engine,
        ),
        DataFusionError::ArrowError(inner, _) => from_arrow(inner),
        DataFusionError::ParquetError(inner) => from_parquet(inner),
        DataFusionError::ObjectStore(inner) => Error::new("58030", inner.to_string()),
        DataFusionError::IoError(inner) => from_io(inner),
        DataFusionError::SQL(inner, _) => from_parser(inner),
        DataFusionError::NotImplemented(message) => Error::new("0A000", plain(message)),
        DataFusionError::Internal(message) => Error::new("XX000", plain(message)),
        DataFusionError::Plan(message) => from_plan(message),
        DataFusionError::Configuration(message) => Error::new("22023", plain(message)),
        DataFusionError::SchemaError(inner, _) => from_schema(inner),
        DataFusionError::Execution(message) => worded(message, "22000"),
        DataFusionError::ExecutionJoin(inner) => Error::new("XX000", inner.to_string()),
        DataFusionError::ResourcesExhausted(message) => Error::new("53200", "out of memory")
            .with_detail(plain(message))
            .with_hint("Raise --memory-limit, or let the query touch fewer rows at once."),
        DataFusionError::External(inner) => from_any(inner.as_ref()),
        DataFusionError::Substrait(message) | DataFusionError::Ffi(message) => {
            Error::new("XX000", plain(message))
        }
    }
}

/// An error of Arrow's kernels.
pub fn from_arrow(error: &ArrowError) -> Error {
    let coded = |message: &str, otherwise| {
        if let Some(error) = from_cast(message) {
            return error;
        }
        worded(message, otherwise)
    };
    match error {
        ArrowError::DivideByZero => Error::new("22012", "division by zero"),
        ArrowError::ArithmeticOverflow(message) => {
            Error::new("22003", "value out of range").with_detail(plain(message))
        }
        ArrowError::ExternalError(inner) => from_any(inner.as_ref()),
        ArrowError::NotYetImplemented(message) => Error::new("0A000", plain(message)),
        ArrowError::CastError(message) => coded(message, "22P02"),
        ArrowError::ParseError(message) => coded(message, "22P02"),
        ArrowError::MemoryError(message) => Error::new("53200", plain(message)),
        ArrowError::ComputeError(message)
        | ArrowError::InvalidArgumentError(message)
        | ArrowError::SchemaError(message) => coded(message, "22000"),
        ArrowError::CsvError(message) => coded(message, "22P04"),
        ArrowError::JsonError(message) => coded(message, "22P02"),
        ArrowError::AvroError(message)
        | ArrowError::IpcError(message)
        | ArrowError::CDataInterface(message) => Error::new("XX000", plain(message)),
        ArrowError::IoError(_, inner) => from_io(inner),
        ArrowError::ParquetError(message) => coded(message, "58030"),
        ArrowError::DictionaryKeyOverflowError
        | ArrowError::RunEndIndexOverflowError
        | ArrowError::OffsetOverflowError(_) => Error::new("54000", error.to_string()),
    }
}

/// `Cannot cast string 'x' to value of Int32 type` as Postgres says it; for booleans it is `value`.
fn from_cast(message: &str) -> Option<Error> {
    let between_quotes = |begin| between(message, begin, "' to value of ");
    let value =
        between_quotes("Cannot cast string '").or_else(|| between_quotes("Cannot cast value '"))?;
    let to = between(message, "' to value of ", " type")?;
    let name = words::type_name(to);
    // What an input function is called by has no word of zones.
    let name = name.split(" with").next().unwrap_or(&name);
    let is_time = matches!(name, "date" | "time" | "timestamp" | "interval");
    let code = if is_time { "22007" } else { "22P02" };
    let whole = matches!(name, "smallint" | "integer" | "bigint");
    if whole && value.trim().parse::<i128>().is_ok() {
        let message = format!("value \"{value}\" is out of range for type {name}");
        return Some(Error::new("22003", message));
    }
    Some(Error::new(code, format!("invalid input syntax for type {name}: \"{value}\"")))
}

fn from_any(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    if let Some(own) = error.downcast_ref::<Error>() {
        return own.clone();
    }
    if let Some(inner) = error.downcast_ref::<sql::Error>() {
        return from_sql(inner);
    }
    if let Some(inner) = error.downcast_ref::<catalog::Error>() {
        return from_catalog(inner);
    }
    if let Some(inner) = error.downcast_ref::<udfs::Error>() {
        let mut out = Error::new(inner.sqlstate(), inner.to_string());
        out.hint = inner.hint();
        return out;
    }
    if let Some(inner) = error.downcast_ref::<DataFusionError>() {
        return from_engine(inner);
    }
    if let Some(inner) = error.downcast_ref::<ArrowError>() {
        return from_arrow(inner);
    }
    if let Some(inner) = error.downcast_ref::<ParquetError>() {
        return from_parquet(inner);
    }
    if let Some(inner) = error.downcast_ref::<std::io::Error>() {
        return from_io(inner);
    }
    if let Some(inner) = error.downcast_ref::<datafusion::object_store::Error>() {
        return Error::new("58030", inner.to_string());
    }
    let message = error.to_string();
    Error::new(sqlstate_of(&message).unwrap_or("58000"), plain(&message))
}

fn from_parquet(error: &ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => from_any(inner.as_ref()),
        other => Error::new("58030", other.to_string()),
    }
}

fn from_io(error: &std::io::Error) -> Error {
    if let Some(inner) = error.get_ref() {
        return from_any(inner);
    }
    let full = error.kind() == std::io::ErrorKind::StorageFull;
    Error::new(if full { "53100" } else { "58030" }, error.to_string())
}

fn from_plan(message: &str) -> Error {
    let text = plain(message);
    if let Some(name) = between(&text, "table '", "' not found") {
        let name = name.rsplit('.').next().unwrap_or(name);
        return Error::new("42P01", format!("relation \"{name}\" does not exist"));
    }
    // A function of our own that does not take such arguments says so itself.
    if let Some(own) = between(&text, "failed with: External error: ", ". No function matches") {
        let usage = between(&text, "Candidate functions:\n\t", ")").unwrap_or_default();
        return Error::new("42883", own).with_hint(format!("Call it as {usage})."));
    }
    if let Some(field) = between(&text, "Field ", " not found in struct") {
        let message = format!("could not identify column \"{field}\" in record data type");
        return Error::new("42703", message).with_hint("(…).* shows the columns that there are.");
    }
    if let Some(qualifier) = text.strip_prefix("Invalid qualifier ") {
        return missing_from(qualifier);
    }
    if let Some(name) = between(&text, "Invalid function '", "'") {
        let near = between(&text, "Did you mean '", "'");
        let error = Error::new("42883", format!("function {name} does not exist"));
        return match near {
            Some(near) => error.with_hint(format!("Perhaps you meant the function \"{near}\".")),
            None => error.with_hint(NO_MATCH),
        };
    }
    worded(&text, "42601")
}

/// A message with the code that its words mean, in Postgres' words where those are known.
fn worded(message: &str, otherwise: &'static str) -> Error {
    let text = plain(message);
    let sqlstate = sqlstate_of(&text).unwrap_or(otherwise);
    let error = Error::new(sqlstate, words::in_postgres(&text).unwrap_or(text));
    match sqlstate == "42883" && error.message().starts_with("function ") {
        true => error.with_hint(NO_MATCH),
        false => error,
    }
}

/// Postgres' hint for a function that is not there with such arguments.
const NO_MATCH: &str = "No function matches the given name and argument types. \
    You might need to add explicit type casts.";

fn from_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            if let Some(relation) = &field.relation
                && !valid_fields.iter().any(|valid| valid.relation.as_ref() == Some(relation))
            {
                return missing_from(relation.table()).locate_column(field);
            }
            if field.relation.is_none() && field.name == "default" {
                let error = Error::new("42601", "DEFAULT is not allowed in this context");
                return error.locate_column(field);
            }
            let shown = column_name(field);
            let error = Error::new("42703", format!("column {shown} does not exist"));
            match nearest(&field.name, valid_fields) {
                Some(near) => error
                    .with_hint(format!("Perhaps you meant to reference the column \"{near}\".")),
                None => error,
            }
            .locate_column(field)
        }
        SchemaError::AmbiguousReference { field } => {
            let message = format!("column reference \"{}\" is ambiguous", field.name);
            Error::new("42702", message).locate_column(field)
        }
        SchemaError::DuplicateQualifiedField { qualifier, .. } => {
            let message = format!("table name \"{}\" specified more than once", qualifier.table());
            Error::new("42712", message)
        }
        SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new("42701", format!("column \"{name}\" specified more than once"))
        }
    }
}

impl Error {
    fn locate_column(self, column: &Column) -> Self {
        match column.spans.first() {
            Some(span) => self.at_line_column(span.start.line, span.start.column),
            None => self,
        }
    }
}

fn missing_from(table: &str) -> Error {
    Error::new("42P01", format!("missing FROM-clause entry for table \"{table}\""))
}

/// As Postgres shows it: `"a"` alone is quoted, `t.a` is not.
fn column_name(column: &Column) -> String {
    match &column.relation {
        Some(relation) => format!("{}.{}", relation.table(), column.name),
        None => format!("\"{}\"", column.name),
    }
}

/// The valid name that differs least, if it is near at all.
fn nearest(name: &str, valid: &[Column]) -> Option<String> {
    let mut scored: Vec<_> = valid
        .iter()
        .map(|column| (distance(&name.to_lowercase(), &column.name.to_lowercase()), column))
        .filter(|(distance, _)| *distance <= name.chars().count().div_ceil(2))
        .collect();
    scored.sort_by_key(|(distance, _)| *distance);
    scored.first().map(|(_, column)| match &column.relation {
        Some(relation) => format!("{}.{}", relation.table(), column.name),
        None => column.name.clone(),
    })
}

/// Levenshtein distance, one row at a time.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

fn from_parser(error: &ParserError) -> Error {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => {
            return Error::new("54001", "stack depth limit exceeded")
                .with_hint("Nest the statement less deeply.");
        }
    };
    let (text, place) = split_place(text);
    let error = match between(text, ", found: ", "\0") {
        Some("EOF" | "") => Error::new("42601", "syntax error at end of input"),
        Some(token) => Error::new("42601", format!("syntax error at or near \"{token}\"")),
        None => Error::new("42601", text.trim()),
    };
    let error = match text.split_once(", found: ") {
        Some((expected, _)) => error.with_detail(format!("{}.", expected.trim())),
        None => error,
    };
    match place {
        Some((line, column)) => error.at_line_column(line, column),
        None => error,
    }
}

/// `… at Line: 1, Column: 8` → the words before, (1, 8).
fn split_place(text: &str) -> (&str, Option<(u64, u64)>) {
    let Some((words, place)) = text.rsplit_once(" at Line: ") else {
        return (text, None);
    };
    let numbers = place.split_once(", Column: ").and_then(|(line, column)| {
        let end = column.find(|c: char| !c.is_ascii_digit()).unwrap_or(column.len());
        Some((line.trim().parse().ok()?, column[..end].parse().ok()?))
    });
    (words, numbers)
}

/// The text between two marks; `\0` as the last mark is the end.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let start = text.find(from)? + from.len();
    let rest = &text[start..];
    if to == "\0" { Some(rest) } else { rest.find(to).map(|end| &rest[..end]) }
}

/// One line, without the engine's prefixes and without backtraces or requests to report bugs.
fn plain(message: &str) -> String {
    let text = message.split("\n\nbacktrace:").next().unwrap_or(message);
    let text = text.split("\nThis issue was likely caused by").next().unwrap_or(text);
    let mut text = text.trim();
    for prefix in ["Error during planning: ", "Execution error: ", "Internal error: "] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    text.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
mod words;
