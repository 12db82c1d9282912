//! The join of a subquery's rows to those that they are of, in which NULL is a key like others.
//!
//! Not by the engine's join in which NULLs match: an equality of a WHERE above it would become one
//! of its keys, and match them too. Instead of `k` the keys are `coalesce(k, default)` and
//! `k IS NULL`.

use datafusion::common::{Column, JoinType, NullEquality, Result as EngineResult, ScalarValue};
use datafusion::functions::core::coalesce;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit};

/// `left` joined to `right` where the columns of both are the same.
pub(super) fn joined(
    left: LogicalPlan,
    right: LogicalPlan,
    join_type: JoinType,
    (outer, keys): (Vec<Column>, Vec<Column>),
    filter: Option<Expr>,
) -> EngineResult<LogicalPlanBuilder> {
    let (mut on_left, mut on_right) = (Vec::new(), Vec::new());
    for (own, key) in outer.iter().zip(&keys) {
        let (own, key) = (Expr::Column(own.clone()), Expr::Column(key.clone()));
        if !own.nullable(left.schema())? {
            on_left.push(own);
            on_right.push(key);
            continue;
        }
        let Ok(default) = ScalarValue::new_default(&own.get_type(left.schema())?) else {
            let nulls = NullEquality::NullEqualsNull;
            let columns = (outer, keys);
            return LogicalPlanBuilder::from(left)
                .join_detailed(right, join_type, columns, filter, nulls);
        };
        for (side, on) in [(own, &mut on_left), (key, &mut on_right)] {
            on.push(coalesce().call(vec![side.clone(), lit(default.clone())]));
            on.push(side.is_null());
        }
    }
    LogicalPlanBuilder::from(left).join_with_expr_keys(
        right,
        join_type,
        (on_left, on_right),
        filter,
    )
}
