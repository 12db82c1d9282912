//! A column's DEFAULT as Postgres shows it: `'x'::text`, `'-1'::integer`, `now()`. What has no such
//! form of its own stays as it was written.

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value,
};

use super::definitions::quoted;
use super::type_names;
use crate::functions::literal;
use crate::names::folded;
use crate::parse;
use crate::pg_type::PgType;

/// The default of a column that has one; `path`: schemas that names need not be qualified with.
pub fn shown(default: &str, field: &Field, path: &[String]) -> String {
    let sequence = default.strip_prefix("nextval('").and_then(|rest| rest.strip_suffix("')"));
    if let Some(name) = sequence {
        let short = |schema: &String| name.strip_prefix(&quoted(schema))?.strip_prefix('.');
        return format!("nextval('{}'::regclass)", path.iter().find_map(short).unwrap_or(name));
    }
    let Ok(expression) = parse::parse_expression(default) else { return default.to_owned() };
    whole(&expression, field).unwrap_or_else(|| default.to_owned())
}

/// A constant takes the column's type.
fn whole(expression: &Expr, field: &Field) -> Option<String> {
    match expression {
        Expr::Nested(inner) => whole(inner, field),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(constant(text, field)),
            Value::Null => Some(format!("NULL::{}", type_name(field))),
            _ => part(expression),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Value(value) => {
                let Value::Number(digits, _) = &value.value else { return None };
                Some(format!("'-{digits}'::{}", number_type(digits)))
            }
            _ => None,
        },
        Expr::Function(call) if has_list(call) => {
            // The cast of a call's value to the column is not shown, nor are those of its
            // arguments.
            part(expression)
        }
        other => part(other),
    }
}

fn constant(text: &str, field: &Field) -> String {
    let digits = text.trim();
    match field.data_type() {
        DataType::Boolean if matches!(digits, "t" | "true" | "yes" | "on" | "1") => "true".into(),
        DataType::Boolean => "false".into(),
        DataType::Int32 if digits.parse::<u32>().is_ok() => digits.to_owned(),
        _ => format!("{}::{}", literal(text), type_name(field)),
    }
}

/// The type without its length, as constants have it.
fn type_name(field: &Field) -> String {
    match PgType::of(field).oid {
        1042 => "bpchar".into(),
        oid => type_names::shown(i64::from(oid), None).unwrap_or_else(|| "text".into()),
    }
}

fn number_type(digits: &str) -> &'static str {
    match digits.parse::<i64>() {
        Ok(small) if i32::try_from(small).is_ok() => "integer",
        Ok(_) => "bigint",
        Err(_) => "numeric",
    }
}

/// A part of an expression, a constant of its own type.
fn part(expression: &Expr) -> Option<String> {
    Some(match expression {
        Expr::Nested(inner) => part(inner)?,
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => format!("{}::text", literal(text)),
            Value::Number(digits, _) => digits.clone(),
            Value::Boolean(flag) => flag.to_string(),
            _ => return None,
        },
        Expr::TypedString(typed) => {
            let field = crate::types::field("", &typed.data_type).ok()?;
            let text = typed.value.clone().value.into_string()?;
            constant(&text, &field)
        }
        Expr::Cast { expr, data_type, .. } => {
            let field = crate::types::field("", data_type).ok()?;
            match expr.as_ref() {
                Expr::Value(value) => match &value.value {
                    Value::SingleQuotedString(text) => constant(text, &field),
                    Value::Number(digits, _) => format!("({digits})::{}", type_name(&field)),
                    _ => return None,
                },
                Expr::Array(array) if array.elem.is_empty() => {
                    format!("ARRAY[]::{}", type_name(&field))
                }
                other => format!("({})::{}", part(other)?, type_name(&field)),
            }
        }
        Expr::Array(array) => {
            let items = array.elem.iter().map(part).collect::<Option<Vec<_>>>()?;
            format!("ARRAY[{}]", items.join(", "))
        }
        Expr::BinaryOp { left, op, right } => format!("({} {op} {})", part(left)?, part(right)?),
        Expr::Function(call) => function(call)?,
        _ => return None,
    })
}

fn has_list(call: &Function) -> bool {
    matches!(call.args, FunctionArguments::List(_))
}

fn function(call: &Function) -> Option<String> {
    let name = call.name.0.iter().map(|part| part.as_ident().map(folded));
    let name = name.collect::<Option<Vec<_>>>()?.join(".");
    let FunctionArguments::List(list) = &call.args else { return Some(name.to_uppercase()) };
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => part(value),
        _ => None,
    };
    let arguments = list.args.iter().map(argument).collect::<Option<Vec<_>>>()?;
    let name = if name == "coalesce" { "COALESCE" } else { name.as_str() };
    Some(format!("{name}({})", arguments.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 15: pg_get_expr(adbin, adrelid) of a column with such a default.
    #[test]
    fn as_postgres_writes_them() {
        for (of, default, expected) in [
            (DataType::Utf8, "'a''b'", "'a''b'::text"),
            (DataType::Int32, "5", "5"),
            (DataType::Int32, "'7'", "7"),
            (DataType::Int32, "-1", "'-1'::integer"),
            (DataType::Int64, "-1", "'-1'::integer"),
            (DataType::Boolean, "'t'", "true"),
            (DataType::Date32, "date '2024-01-01'", "'2024-01-01'::date"),
            (DataType::Utf8, "lower('X')", "lower('X'::text)"),
            (DataType::Utf8, "current_user", "CURRENT_USER"),
            (DataType::Int32, "1 + 2", "(1 + 2)"),
            (DataType::Int64, "5::bigint", "(5)::bigint"),
        ] {
            assert_eq!(shown(default, &Field::new("c", of, true), &[]), expected);
        }
    }
}
