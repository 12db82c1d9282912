//! What may be assigned to a column, and values of VALUES that are assigned each for itself.

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, Result as EngineResult};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::{Rules, vectors};
use crate::error::Error;
use crate::types::shown;

/// A call of `assigned_to`: see there. None: it is another's.
pub(super) fn apart(
    rules: &Rules<'_>,
    call: &ScalarFunction,
    schema: &DFSchema,
) -> EngineResult<Option<Expr>> {
    let [value, sample, Expr::Literal(name, _)] = call.args.as_slice() else { return Ok(None) };
    let name = name.try_as_str().flatten().unwrap_or_default();
    let to = Field::new(name, sample.get_type(schema)?, true);
    rules.assigned(value.clone(), &to, schema).map(Some)
}

/// Postgres casts on assignment within a kind of types, from text's literals and to text.
pub(super) fn check(from: &DataType, to: &Field) -> Result<(), Error> {
    let (of, wanted) = (kind(from), kind(to.data_type()));
    let known = vectors::castable(from, to.data_type());
    if known && of == wanted || [of, wanted].contains(&Kind::Text) || of == Kind::Null {
        return Ok(());
    }
    let message = format!(
        "column \"{}\" is of type {} but expression is of type {}",
        to.name(),
        shown(to),
        shown(&Field::new("", from.clone(), true))
    );
    Err(Error::new("42804", message).with_hint("You will need to rewrite or cast the expression."))
}

/// Types that are assigned to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Text,
    Number,
    Boolean,
    Time,
    Interval,
    Bytes,
    Nested,
}

/// The kind of a type.
pub(super) fn kind(of: &DataType) -> Kind {
    match of {
        DataType::Null => Kind::Null,
        DataType::Boolean => Kind::Boolean,
        of if of.is_string() => Kind::Text,
        of if of.is_numeric() => Kind::Number,
        DataType::Interval(_) | DataType::Duration(_) => Kind::Interval,
        of if of.is_temporal() => Kind::Time,
        of if of.is_nested() => Kind::Nested,
        _ => Kind::Bytes,
    }
}
