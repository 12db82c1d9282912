//! Subqueries that are values, in forms that the optimizer can decorrelate.
//!
//! | written                                 | planned                                         |
//! |-----------------------------------------|-------------------------------------------------|
//! | `(SELECT x FROM … = outer)`             | `(SELECT only_value(x) FROM …)`                 |
//! | `(SELECT x FROM … ORDER BY y LIMIT 1)`  | `(SELECT first_value(x ORDER BY y) FROM …)`     |
//! | `EXISTS (…)` outside of WHERE           | `(SELECT count(*) > 0 FROM …)`                  |
//! | `x IN (…)` outside of WHERE             | the same of rows equal to x, NULL as SQL has it |

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result as EngineResult, ScalarValue, plan_err};
use datafusion::functions_aggregate::expr_fn::{count, first_value};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::{
    Expr, ExprSchemable, FetchType, LogicalPlan, LogicalPlanBuilder, SkipType, Subquery, lit, when,
};
use datafusion::prelude::col;

use crate::names::MARK;

/// Rewrites every such subquery of an expression.
pub(super) fn values(
    expression: Expr,
    schema: &DFSchema,
    in_filter: bool,
) -> EngineResult<Transformed<Expr>> {
    expression.transform_up(|e| match e {
        Expr::ScalarSubquery(subquery) if !subquery.outer_ref_columns.is_empty() => {
            match single(subquery.subquery.as_ref().clone())? {
                None => Ok(Transformed::no(Expr::ScalarSubquery(subquery))),
                Some(plan) => Ok(Transformed::yes(scalar(&subquery, plan))),
            }
        }
        Expr::Exists(Exists { subquery, negated }) if !in_filter => {
            let plan = subquery.subquery.as_ref().clone();
            let found = scalar(&subquery, has_rows(plan)?);
            Ok(Transformed::yes(if negated { Expr::Not(Box::new(found)) } else { found }))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) if !in_filter => {
            let Expr::Column(column) = expr.as_ref() else {
                let same = InSubquery { expr, subquery, negated };
                return Ok(Transformed::no(Expr::InSubquery(same)));
            };
            let found = member(column, schema, &subquery)?;
            Ok(Transformed::yes(if negated { Expr::Not(Box::new(found)) } else { found }))
        }
        other => Ok(Transformed::no(other)),
    })
}

/// `SELECT count(*) > 0 FROM plan`
fn has_rows(plan: LogicalPlan) -> EngineResult<LogicalPlan> {
    let rows = count(lit(1_i64)).alias("rows");
    let plan = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), vec![rows])?;
    let found = col("rows").gt(lit(0_i64)).alias(format!("found{MARK}"));
    plan.project(vec![found])?.build()
}

/// `column IN (subquery)`: true if it is there, else NULL if NULL is there or compared, else false.
fn member(column: &Column, schema: &DFSchema, subquery: &Subquery) -> EngineResult<Expr> {
    let plan = || LogicalPlanBuilder::from(subquery.subquery.as_ref().clone());
    let Some(item) = subquery.subquery.schema().columns().into_iter().next() else {
        return plan_err!("subquery has no columns");
    };
    let item = Expr::Column(item);
    let (_, field) = Expr::Column(column.clone()).to_field(schema)?;
    let outer = Expr::OuterReferenceColumn(field, column.clone());
    let mut outer_ref_columns = subquery.outer_ref_columns.clone();
    outer_ref_columns.push(outer.clone());
    let equal = Subquery {
        subquery: Arc::new(has_rows(plan().filter(item.clone().eq(outer))?.build()?)?),
        outer_ref_columns,
        spans: subquery.spans.clone(),
    };
    let has_null = scalar(subquery, has_rows(plan().filter(item.is_null())?.build()?)?);
    let not_empty = scalar(subquery, has_rows(plan().build()?)?);
    let compared = Expr::Column(column.clone()).is_null().and(not_empty);
    when(Expr::ScalarSubquery(equal), lit(true))
        .when(has_null.or(compared), lit(ScalarValue::Boolean(None)))
        .otherwise(lit(false))
}

fn scalar(from: &Subquery, plan: LogicalPlan) -> Expr {
    Expr::ScalarSubquery(Subquery {
        subquery: Arc::new(plan),
        outer_ref_columns: from.outer_ref_columns.clone(),
        spans: from.spans.clone(),
    })
}

/// The query as an aggregate of one row; None: it is one, or not of a form that is known.
fn single(plan: LogicalPlan) -> EngineResult<Option<LogicalPlan>> {
    if aggregates(&plan) {
        return Ok(None);
    }
    let (plan, keys) = match plan {
        LogicalPlan::Limit(limit) => {
            let first = matches!(limit.get_fetch_type()?, FetchType::Literal(Some(1)))
                && matches!(limit.get_skip_type()?, SkipType::Literal(0));
            if !first {
                return Ok(None);
            }
            match limit.input.as_ref() {
                LogicalPlan::Sort(sort) => (Arc::clone(&sort.input), Some(sort.expr.clone())),
                // Keys that are not selected are cut off above the sort.
                LogicalPlan::Projection(cut) => match cut.input.as_ref() {
                    LogicalPlan::Sort(sort) => (Arc::clone(&sort.input), Some(sort.expr.clone())),
                    _ => (Arc::clone(&limit.input), Some(Vec::new())),
                },
                _ => (Arc::clone(&limit.input), Some(Vec::new())),
            }
        }
        plan => (Arc::new(plan), None),
    };
    // The selected column comes before the keys that are not.
    let Some(column) = plan.schema().columns().into_iter().next() else { return Ok(None) };
    // Decorrelation puts the columns that correlate beside it: the name must be its own.
    let name = format!("{}{MARK}value", column.name);
    let value = Expr::Column(column);
    let value = match keys {
        None => crate::functions::only_value().call(vec![value]),
        Some(keys) => first_value(value, keys),
    };
    let plan = LogicalPlanBuilder::from(plan.as_ref().clone())
        .aggregate(Vec::<Expr>::new(), vec![value.alias(name)])?
        .build()?;
    Ok(Some(plan))
}

/// Whether the query aggregates all its rows to one.
fn aggregates(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(projection) => aggregates(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => aggregates(&alias.input),
        _ => false,
    }
}
