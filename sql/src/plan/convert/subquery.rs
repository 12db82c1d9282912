//! Subqueries that are values, in forms that the optimizer can decorrelate.
//!
//! | written                                 | planned                                         |
//! |-----------------------------------------|-------------------------------------------------|
//! | `(SELECT x FROM … = outer)`             | `(SELECT only_value(x) FROM …)`                 |
//! | `(SELECT x FROM … ORDER BY y LIMIT 1)`  | `(SELECT first_value(x ORDER BY y) FROM …)`     |
//! | `EXISTS (…)` outside of WHERE           | `(SELECT count(*) > 0 FROM …)`                  |
//!
//! What is correlated otherwise than by equality in its WHERE is joined: `dependent.rs`.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result as EngineResult};
use datafusion::functions_aggregate::expr_fn::{count, first_value};
use datafusion::logical_expr::expr::{BinaryExpr, Exists};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Expr, FetchType, LogicalPlan, LogicalPlanBuilder, Operator, SkipType, Subquery, lit,
};
use datafusion::prelude::col;

use crate::names::MARK;

/// VALUES with subqueries as rows of their own: the engine evaluates VALUES before subqueries.
pub(super) fn rows(node: LogicalPlan) -> EngineResult<LogicalPlan> {
    let LogicalPlan::Values(values) = &node else { return Ok(node) };
    let has_subquery = |e: &Expr| e.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_))));
    let mut found = false;
    for e in values.values.iter().flatten() {
        found |= has_subquery(e)?;
    }
    if !found {
        return Ok(node);
    }
    let names = || values.schema.fields().iter().map(|field| field.name());
    let number = format!("row{MARK}");
    let row = |(position, row): (usize, &Vec<Expr>)| {
        let items = row.iter().zip(names()).map(|(e, name)| e.clone().alias(name));
        let position = lit(position as u64).alias(&number);
        let items = items.chain([position]).collect::<Vec<_>>();
        LogicalPlanBuilder::empty(true).project(items)?.build()
    };
    let mut rows = values.values.iter().enumerate().map(row);
    let first = rows.next().transpose()?.map(LogicalPlanBuilder::from);
    let union = rows.try_fold(first, |all, row| match all {
        Some(all) => all.union(row?).map(Some),
        None => Ok(None),
    })?;
    let Some(union) = union else { return Ok(node.clone()) };
    // A union gives rows as they come.
    let columns = names().map(|name| Expr::Column(Column::new_unqualified(name)));
    let ordered = union.sort([Expr::Column(Column::new_unqualified(&number)).sort(true, false)])?;
    ordered.project(columns.collect::<Vec<_>>())?.build()
}

/// Rewrites every such subquery of an expression.
pub(super) fn values(expression: Expr, in_filter: bool) -> EngineResult<Transformed<Expr>> {
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
        other => Ok(Transformed::no(other)),
    })
}

/// `SELECT count(*) > 0 FROM plan`
pub(super) fn has_rows(plan: LogicalPlan) -> EngineResult<LogicalPlan> {
    let rows = count(lit(1_i64)).alias("rows");
    let plan = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), vec![rows])?;
    let found = col("rows").gt(lit(0_i64)).alias(format!("found{MARK}"));
    plan.project(vec![found])?.build()
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

/// Whether the optimizer itself can make a join of the subquery; one value needs equalities.
pub(super) fn native(subquery: &Subquery, one_value: bool) -> bool {
    subquery.outer_ref_columns.is_empty() || decorrelates(&subquery.subquery, one_value)
}

fn decorrelates(plan: &LogicalPlan, one_value: bool) -> bool {
    let plain = |e: &Expr| !e.contains_outer();
    let own = plan.expressions().iter().all(plain);
    match plan {
        // The optimizer does not carry what correlates out of an alias.
        LogicalPlan::SubqueryAlias(_) if one_value => uncorrelated(plan),
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {
            own && plan.inputs().into_iter().all(|input| decorrelates(input, one_value))
        }
        LogicalPlan::Aggregate(aggregate) => {
            own && one_value
                && aggregate.group_expr.is_empty()
                && decorrelates(&aggregate.input, one_value)
        }
        LogicalPlan::Filter(filter) => {
            let conjuncts = split_conjunction(&filter.predicate);
            conjuncts.into_iter().all(|e| plain(e) || !one_value || is_equality(e))
                && uncorrelated(&filter.input)
        }
        other => uncorrelated(other),
    }
}

/// `own = outer`, either way round.
fn is_equality(e: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = e else { return false };
    let outer = |e: &Expr| matches!(e, Expr::OuterReferenceColumn(..));
    outer(left) && !right.contains_outer() || outer(right) && !left.contains_outer()
}

fn uncorrelated(plan: &LogicalPlan) -> bool {
    plan.expressions().iter().all(|e| !e.contains_outer())
        && plan.inputs().into_iter().all(uncorrelated)
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
