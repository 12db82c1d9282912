//! pgvector's operators `<->`, `<#>`, `<=>`, `<+>` as the functions that they are; `+`, `-`, `*`,
//! `||` and comparisons where a side is a vector.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};

use super::of_type::VectorType;
use crate::Engine;

/// See the module. Before planners that refuse operators which they do not know.
#[derive(Debug)]
pub struct Operators(Vec<Arc<ScalarUDF>>);

impl Default for Operators {
    fn default() -> Self {
        let scalar = |function: crate::Function| match function.engine {
            Engine::Scalar(function) => Some(Arc::new(function)),
            Engine::Aggregate(_) | Engine::Window(_) => None,
        };
        Self(super::functions().into_iter().filter_map(scalar).collect())
    }
}

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> EngineResult<PlannerResult<RawBinaryExpr>> {
        let operator = expr.op.to_string();
        let own = super::of_vectors(&operator).filter(|_| of_vectors(&expr, schema));
        let name = super::of_operator(&operator).or(own);
        let function = name.and_then(|name| self.0.iter().find(|own| own.name() == name));
        let Some(function) = function else { return Ok(PlannerResult::Original(expr)) };
        let RawBinaryExpr { left, right, .. } = expr;
        let left = typed(left, &right, schema);
        let right = typed(right, &left, schema);
        Ok(PlannerResult::Planned(function.call(vec![left, right])))
    }
}

/// Whether a side is a vector. The left one, which is long in a long sum, is looked at only where
/// the right one may stand beside a vector.
fn of_vectors(expr: &RawBinaryExpr, schema: &DFSchema) -> bool {
    let is_vector = |of: &DataType| VectorType::of(of).is_some();
    let may_stand = |of: &DataType| is_vector(of) || matches!(of, DataType::Utf8 | DataType::Null);
    match expr.right.get_type(schema) {
        Ok(of) if is_vector(&of) => expr.left.get_type(schema).map_or(true, |of| may_stand(&of)),
        Ok(DataType::Utf8 | DataType::Null) | Err(_) => {
            expr.left.get_type(schema).is_ok_and(|of| is_vector(&of))
        }
        Ok(_) => false,
    }
}

/// A parameter without a type has that of what it stands beside.
fn typed(value: Expr, beside: &Expr, schema: &DFSchema) -> Expr {
    match (value, beside.to_field(schema)) {
        (Expr::Placeholder(Placeholder { id, field: None }), Ok((_, field))) => {
            Expr::Placeholder(Placeholder { id, field: Some(field) })
        }
        (value, _) => value,
    }
}
