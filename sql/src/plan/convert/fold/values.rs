//! Literals in quotes that stand in a column of VALUES beside what has a type: they take it.

use datafusion::sql::sqlparser::ast::{DataType, Expr, Value, Values};

use super::{cast, function};
use crate::functions::{bare, unknown};

/// Marks them, for the engine would take them for text: `functions/unknown.rs`.
pub(super) fn open_literals(values: &mut Values) {
    if values.rows.len() > 1 {
        let items = values.rows.iter_mut().flat_map(|row| row.content.iter_mut());
        for item in items {
            if matches!(item, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                *item = function(bare::NAME, &[&*item]);
            }
        }
    }
    for column in 0..values.rows.first().map_or(0, |row| row.len()) {
        let items = || values.rows.iter().filter_map(|row| row.get(column));
        // What is JSON in the syntax tree is typed there: `json/fold.rs`.
        if items().all(is_open) || items().any(is_json) {
            continue;
        }
        // The columns of what is tagged must have their tag in every row.
        let of_uuid = items().any(is_uuid);
        let items = values.rows.iter_mut().filter_map(|row| row.content.get_mut(column));
        for item in items.filter(|item| is_open(item)) {
            if of_uuid {
                *item = cast(item.clone(), DataType::Uuid);
            } else if is_quoted(item) {
                *item = function(unknown::NAME, &[&*item]);
            }
        }
    }
}

fn is_quoted(item: &Expr) -> bool {
    matches!(item, Expr::Value(v) if matches!(v.value, Value::SingleQuotedString(_)))
}

fn is_open(item: &Expr) -> bool {
    is_quoted(item) || matches!(item, Expr::Value(v) if v.value == Value::Null)
}

fn is_uuid(item: &Expr) -> bool {
    matches!(item, Expr::Cast { data_type: DataType::Uuid, .. })
}

fn is_json(item: &Expr) -> bool {
    matches!(item, Expr::Cast { data_type: DataType::JSON | DataType::JSONB, .. })
}
