//! Calls of functions whose answer Postgres gives in another type, or refuses.

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::DFSchema;
use datafusion::functions::core::expr_fn::nullif;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};

use super::{Rules, tag, written};
use crate::functions::number::{positive, round_even};
use crate::functions::subscripts::vector_element;
use crate::functions::{COUNT_IN_INTEGER, bounded, series};

/// The call as Postgres answers it; None: as the engine does.
pub(super) fn converted(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let name = call.func.name();
    let whole = || Some(Expr::ScalarFunction(call.clone()));
    if COUNT_IN_INTEGER.contains(&name) {
        let count = cast(whole()?, DataType::Int32);
        // An empty array has no dimensions.
        return Some(match name {
            "array_length" | "array_ndims" => nullif(count, lit(0_i32)),
            _ => count,
        });
    }
    if name == "array_positions" {
        let item = Field::new_list_field(DataType::Int32, true);
        return Some(cast(whole()?, DataType::List(item.into())));
    }
    // Beside a time further off than its nanoseconds reach, the engine's own could not be compared.
    if name == "now" {
        return Some(cast(whole()?, crate::types::timestamptz()));
    }
    if let ("array_element", [vector, number]) = (name, call.args.as_slice())
        && matches!(tag(vector, schema).as_deref(), Some("int2vector" | "oidvector"))
    {
        return Some(vector_element().call(vec![vector.clone(), number.clone()]));
    }
    let of = call.args.first()?.get_type(schema).ok()?;
    match (name, &of, call.args.len()) {
        ("round", DataType::Float32 | DataType::Float64, 1) => {
            Some(round_even().call(call.args.clone()))
        }
        ("trunc" | "ceil" | "floor" | "round", DataType::Decimal128(precision, _), 1) => {
            Some(cast(whole()?, DataType::Decimal128(*precision, 0)))
        }
        ("signum", DataType::Decimal128(..), 1) => Some(cast(whole()?, DataType::Decimal128(1, 0))),
        ("repeat" | "lpad" | "rpad", _, 2 | 3) => {
            let (text, count) = (&call.args[0], &call.args[1]);
            let is_bounded = matches!(count, Expr::ScalarFunction(inner)
                if inner.func.name().starts_with("bounded_"));
            (!is_bounded).then(|| {
                let given =
                    vec![cast(text.clone(), DataType::Utf8), cast(count.clone(), DataType::Int64)];
                let mut arguments = call.args.clone();
                arguments[1] = bounded::function(name == "repeat").call(given);
                call.func.call(arguments)
            })
        }
        ("ln" | "log" | "log2" | "log10", of, _) if of.is_numeric() => {
            let checked = |value: &Expr| match value {
                Expr::ScalarFunction(inner) if inner.func.name() == "positive" => value.clone(),
                other => positive().call(vec![cast(other.clone(), DataType::Float64)]),
            };
            let checked = call.args.iter().map(checked).collect();
            // The engine's of one argument divides logarithms.
            Some(match (name, call.args.len()) {
                ("log", 1) => datafusion::functions::math::log10().call(checked),
                _ => call.func.call(checked),
            })
        }
        _ => None,
    }
}

impl Rules<'_> {
    /// A series whose arguments have the types that it is of, and the zone behind them.
    pub(super) fn series(&self, call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
        if call.func.name() != series::NAME || call.args.len() > 3 {
            return None;
        }
        let given: Option<Vec<DataType>> =
            call.args.iter().map(|value| value.get_type(schema).ok()).collect();
        let given = given?;
        let [of, step] = series::types(&given)?;
        let typed = call.args.iter().zip(&given).enumerate().map(|(at, (value, from))| {
            let to = if at == 2 { &step } else { &of };
            let new = self.cast_from(value.clone(), from, to).filter(|_| from != to);
            new.unwrap_or_else(|| cast(value.clone(), to.clone()))
        });
        let mut typed: Vec<Expr> = typed.collect();
        if typed.len() < 3 {
            return (given.iter().any(|from| *from != of)).then(|| call.func.call(typed));
        }
        typed.push(lit(self.zone));
        Some(call.func.call(typed))
    }

    /// `concat` and its like write values as the wire does.
    pub(super) fn joined(&self, call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
        if !matches!(call.func.name(), "concat" | "concat_ws" | "format") {
            return None;
        }
        let new = |value: &Expr| {
            let of = value.get_type(schema).ok()?;
            (written(&of) || of == DataType::Boolean).then(|| self.output(value.clone())).flatten()
        };
        call.args.iter().any(|value| new(value).is_some()).then(|| {
            let values = call.args.iter().map(|value| new(value).unwrap_or_else(|| value.clone()));
            call.func.call(values.collect())
        })
    }
}
