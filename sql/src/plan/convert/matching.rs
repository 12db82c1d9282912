//! `~`, `~*` and their negations where the engine reads the pattern otherwise than Postgres.
//!
//! A pattern that means the same to both keeps the operator, which the engine may turn into LIKE.

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, Placeholder};
use datafusion::logical_expr::{Expr, Operator, lit};

use crate::functions::regexp::like;
use crate::functions::regexp::pattern::{Flags, translated};

/// The match as a call; None: it is none, or the operator is right.
pub(super) fn matched(binary: &BinaryExpr) -> EngineResult<Option<Expr>> {
    let (negated, ignores_case) = match binary.op {
        Operator::RegexMatch => (false, false),
        Operator::RegexIMatch => (false, true),
        Operator::RegexNotMatch => (true, false),
        Operator::RegexNotIMatch => (true, true),
        _ => return Ok(None),
    };
    if let Expr::Literal(ScalarValue::Utf8(Some(pattern)), _) = binary.right.as_ref()
        && translated(pattern, Flags::default())? == *pattern
    {
        return Ok(None);
    }
    let typed = |value: &Expr| match value {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = Field::new("", DataType::Utf8, true).into();
            Expr::Placeholder(Placeholder::new_with_field(id.clone(), Some(field)))
        }
        other => other.clone(),
    };
    let call = like(typed(&binary.left), typed(&binary.right), ignores_case.then(|| lit("i")));
    Ok(Some(if negated { Expr::Not(Box::new(call)) } else { call }))
}
