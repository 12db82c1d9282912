//! Words of statements about the connection: names of settings and values, and what is refused.

use datafusion::sql::sqlparser::ast::{self, Expr, ObjectName, Value};
use sql::names::folded;

use crate::Error;
use crate::run::Statement;

/// The setting that SHOW names: `SHOW TIME ZONE` and the like included.
pub(super) fn show_name(words: &[ast::Ident]) -> String {
    let words: Vec<String> = words.iter().map(|word| word.value.to_lowercase()).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["time", "zone"] => "timezone".into(),
        ["transaction", "isolation", "level"] => "transaction_isolation".into(),
        ["session", "authorization"] => "session_authorization".into(),
        _ => words.join("."),
    }
}

pub(super) fn folded_name(name: &ObjectName) -> String {
    let parts = name.0.iter().filter_map(|part| part.as_ident()).map(folded);
    parts.collect::<Vec<_>>().join(".")
}

/// SET's right side as text; quoted names keep their quotes where a setting is a list of names.
pub(super) fn setting_value(name: &str, values: &[Expr]) -> String {
    let text = |value: &Expr| match value {
        Expr::Identifier(word) if word.quote_style.is_some() && name != "search_path" => {
            word.value.clone()
        }
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        other => other.to_string(),
    };
    values.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// A statement that nobody knows.
pub(super) fn unsupported(statement: &Statement) -> Error {
    Error::new("0A000", format!("{} is not supported", what(statement)))
}

/// What a statement is called in messages: `INSERT`, `CREATE TABLE`.
pub(super) fn what(statement: &Statement) -> String {
    let words: Vec<&str> = statement.text.split_whitespace().take(2).collect();
    // CREATE, ALTER and DROP say little without what they are about.
    let count = match words.first().map(|word| word.to_uppercase()).as_deref() {
        Some("CREATE" | "ALTER" | "DROP") => 2,
        _ => 1,
    };
    words[..count.min(words.len())].join(" ").to_uppercase()
}
