//! Number and interval literals as Postgres reads them.

use datafusion::sql::sqlparser::ast::{self, ArrayElemTypeDef, DataType, Expr, Value};
use kernels::vectors::DIMENSIONS;

use super::cast;
use crate::types;

/// A number that the planner would take for another type's, or not at all: integers are int4,
/// what has an exponent is numeric, and what no numeric can hold is double precision.
pub(super) fn number(value: &Value) -> Option<Expr> {
    let Value::Number(text, _) = value else { return None };
    if text.parse::<i32>().is_ok() {
        return Some(cast(Expr::Value(value.clone().into()), DataType::Int4(None)));
    }
    if text.parse::<i64>().is_ok() {
        return None;
    }
    let plain = decimal_digits(text)?;
    let digits = plain.bytes().filter(u8::is_ascii_digit).count();
    if digits > NUMERIC_DIGITS {
        let text = Expr::Value(Value::SingleQuotedString(text.clone()).into());
        return Some(cast(text, DataType::DoublePrecision));
    }
    (plain != *text).then(|| Expr::Value(Value::Number(plain, false).into()))
}

/// The negative of what is one too large: `-2147483648` is int4, `-9223372036854775808` int8.
pub(super) fn negative(number: &Expr) -> Option<Expr> {
    let Expr::Value(value) = number else { return None };
    let Value::Number(text, _) = &value.value else { return None };
    let text = format!("-{}", text.trim_end_matches('.'));
    let literal = || Expr::Value(Value::Number(text.clone(), false).into());
    match (text.parse::<i32>(), text.parse::<i64>()) {
        (Ok(_), _) => Some(cast(literal(), DataType::Int4(None))),
        (_, Ok(i64::MIN)) => Some(literal()),
        _ => None,
    }
}

/// An array's type does not say how many dimensions it has, its text does.
pub(super) fn dimensions(literal: &Expr, data_type: &mut DataType) {
    let Expr::Value(value) = literal else { return };
    let Value::SingleQuotedString(text) = &value.value else { return };
    let mut element: &DataType = data_type;
    while let DataType::Array(ArrayElemTypeDef::SquareBracket(inner, _)) = element {
        element = inner;
    }
    if std::ptr::eq(element, data_type) {
        return;
    }
    let braces = text.chars().filter(|c| !c.is_whitespace()).take_while(|c| *c == '{').count();
    let mut nested = element.clone();
    for _ in 0..braces.clamp(1, MOST_DIMENSIONS) {
        nested = DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(nested), None));
    }
    *data_type = nested;
}

/// Nor does a vector's that is written without it.
pub(super) fn vector(expression: &mut Expr) {
    let Expr::Cast { expr, data_type, .. } = expression else { return };
    if !types::is_any_vector(data_type) {
        return;
    }
    let DataType::Custom(_, arguments) = data_type else { return };
    let count = match expr.as_ref() {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.split(',').count()),
            _ => None,
        },
        Expr::Array(array) => Some(array.elem.len()),
        _ => None,
    };
    // What has more than a vector can is told so when it is read.
    arguments.extend(count.filter(|n| (1..=DIMENSIONS).contains(n)).map(|n| n.to_string()));
}

/// The most dimensions that an array has in Postgres.
const MOST_DIMENSIONS: usize = 6;

/// The most digits that a numeric has.
const NUMERIC_DIGITS: usize = 38;

/// `1.5e3` as `1500.`: the same number without an exponent, and with a point.
fn decimal_digits(text: &str) -> Option<String> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if exponent == 0 {
        return Some(if fraction.is_empty() { format!("{whole}.") } else { text.to_string() });
    }
    if exponent.unsigned_abs() > 400 {
        return Some("9".repeat(NUMERIC_DIGITS + 1));
    }
    let point = i32::try_from(whole.len()).ok()? + exponent;
    let digits = format!("{whole}{fraction}");
    let length = i32::try_from(digits.len()).ok()?;
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    Some(match point {
        point if point <= 0 => format!("0.{}{digits}", zeros(-point)),
        point if point >= length => format!("{digits}{}.", zeros(point - length)),
        point => {
            let (whole, fraction) = digits.split_at(usize::try_from(point).ok()?);
            format!("{whole}.{fraction}")
        }
    })
}

/// An interval literal's text with its unit, if the planner would not read it as Postgres does.
pub(super) fn interval_text(interval: &ast::Interval) -> Option<Value> {
    let Expr::Value(value) = interval.value.as_ref() else { return None };
    let Value::SingleQuotedString(text) = &value.value else { return None };
    let plain = interval.leading_precision.is_none()
        && interval.last_field.is_none()
        && interval.fractional_seconds_precision.is_none();
    let simple = text.trim().parse::<f64>().is_ok();
    let text = match &interval.leading_field {
        _ if !plain => None,
        None => Some(text.clone()),
        Some(field) => simple.then(|| format!("{text} {field}")),
    };
    text.map(Value::SingleQuotedString)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_written_out() {
        for (text, plain) in [
            ("1.5e3", "1500."),
            ("1e-2", "0.01"),
            ("12.5e1", "125."),
            ("1.25e1", "12.5"),
            (".5", ".5"),
            ("5.", "5."),
            ("9223372036854775808", "9223372036854775808."),
        ] {
            assert_eq!(decimal_digits(text).as_deref(), Some(plain), "{text}");
        }
    }
}
