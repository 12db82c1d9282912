//! `x <> 0 AND 1 / x > 0`: what may fail is evaluated where the conditions beside it let it matter.
//!
//! The engine evaluates the conditions of an AND over all rows of a batch, or pushes them down one
//! by one; Postgres evaluates one that costs more only for rows that passed the others.
//!
//! ```text
//!   a AND f  ──▶  a AND (CASE WHEN a IS NOT FALSE THEN f::smallint ELSE 0 END = 1)
//!   a OR  f  ──▶  a OR  (CASE WHEN a IS NOT TRUE  THEN f::smallint ELSE 1 END = 1)
//! ```
//!
//! The conditions that guard are those on the same tables. (The engine would make an AND of a CASE
//! of booleans.)

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result as EngineResult};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast, lit, when};

use super::arithmetic;

/// Every AND and OR with what may fail behind what guards it.
pub(super) fn ordered(expression: Expr, schema: &DFSchema) -> EngineResult<Transformed<Expr>> {
    if !may_fail(&expression, schema)? {
        return Ok(Transformed::no(expression));
    }
    expression.transform_down(|e| match &e {
        Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => {
            let op = *op;
            let mut conditions = Vec::new();
            split(e, op, &mut conditions);
            let conditions = conditions
                .into_iter()
                .map(|condition| Ok(ordered(condition, schema)?.data))
                .collect::<EngineResult<Vec<_>>>()?;
            Ok(Transformed::new(guarded(conditions, op, schema)?, true, TreeNodeRecursion::Jump))
        }
        _ => Ok(Transformed::no(e)),
    })
}

fn split(e: Expr, op: Operator, into: &mut Vec<Expr>) {
    let mut rights = Vec::new();
    let mut left = e;
    loop {
        match left {
            Expr::BinaryExpr(binary) if binary.op == op => {
                rights.push(*binary.right);
                left = *binary.left;
            }
            other => {
                into.push(other);
                break;
            }
        }
    }
    for right in rights.into_iter().rev() {
        match &right {
            Expr::BinaryExpr(binary) if binary.op == op => split(right, op, into),
            _ => into.push(right),
        }
    }
}

fn guarded(conditions: Vec<Expr>, op: Operator, schema: &DFSchema) -> EngineResult<Expr> {
    let mut safe = Vec::new();
    let mut failing: BTreeMap<Vec<String>, Vec<Expr>> = BTreeMap::new();
    let mut apart = Vec::new();
    for condition in conditions {
        match (may_fail(&condition, schema)?, stands_alone(&condition)?) {
            (true, true) => failing.entry(tables(&condition)).or_default().push(condition),
            (true, false) => apart.push(condition),
            (false, alone) => safe.push((condition, alone)),
        }
    }
    let mut all: Vec<Expr> = safe.iter().map(|(condition, _)| condition.clone()).collect();
    for (of, conditions) in failing {
        let guards = safe.iter().filter(|(condition, alone)| {
            let tables = tables(condition);
            *alone && !tables.is_empty() && tables.iter().all(|table| of.contains(table))
        });
        let guard = joined(guards.map(|(condition, _)| condition.clone()), op);
        let Some(condition) = joined(conditions.into_iter(), op) else { continue };
        all.push(match guard {
            None => condition,
            Some(guard) => {
                let (guard, otherwise) = match op {
                    Operator::And => (guard.is_not_false(), 0_i16),
                    _ => (guard.is_not_true(), 1_i16),
                };
                let condition = cast(condition, DataType::Int16);
                when(guard, condition).otherwise(lit(otherwise))?.eq(lit(1_i16))
            }
        });
    }
    Ok(joined(all.into_iter().chain(apart), op).unwrap_or_else(|| lit(true)))
}

fn joined(mut conditions: impl Iterator<Item = Expr>, op: Operator) -> Option<Expr> {
    let first = conditions.next()?;
    let both = |left, right| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
    Some(conditions.fold(first, both))
}

/// The tables of its columns; a column without one counts for a table without a name.
fn tables(e: &Expr) -> Vec<String> {
    let name = |c: &Column| c.relation.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut tables: Vec<String> = e.column_refs().into_iter().map(name).collect();
    tables.sort();
    tables.dedup();
    tables
}

/// Whether it divides by what may be zero, or reads text as something else.
fn may_fail(e: &Expr, schema: &DFSchema) -> EngineResult<bool> {
    e.exists(|e| {
        Ok(match e {
            Expr::ScalarFunction(call) if call.func.name().ends_with("_input") => {
                !call.args.iter().all(is_constant)
            }
            Expr::ScalarFunction(call) => {
                arithmetic::chain(e).is_some_and(|chain| chain.divides())
                    && !call.args.iter().skip(1).all(is_constant)
            }
            Expr::Cast(to) if to.field.data_type().is_numeric() && !is_constant(&to.expr) => {
                to.expr.get_type(schema)?.is_string()
            }
            _ => false,
        })
    })
}

fn is_constant(e: &Expr) -> bool {
    match e {
        Expr::Literal(..) => true,
        Expr::Cast(cast) => is_constant(&cast.expr),
        _ => false,
    }
}

/// Whether it may be evaluated twice and inside of CASE.
fn stands_alone(e: &Expr) -> EngineResult<bool> {
    let bound = e.exists(|e| {
        Ok(matches!(
            e,
            Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        ))
    })?;
    Ok(!bound && !e.is_volatile())
}
