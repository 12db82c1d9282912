//! Correlated subqueries and LATERAL of any form, as joins (T. Neumann and A. Kemper, "Unnesting
//! Arbitrary Queries", BTW 2015).
//!
//! ```text
//!   domain  D = the distinct values of the outer columns that the subquery uses
//!   pushed  S' = the subquery for every row of D at once: its columns and D's, the keys
//!   result  input LEFT JOIN S' ON outer columns IS NOT DISTINCT FROM keys
//! ```
//! `push` carries D down to where nothing is correlated: there it is a cross join, and on the way
//! up every operator keeps the keys apart (grouping, partitions of windows, limits). The optimizer
//! decorrelates the plain cases itself, and cheaper: they are left to it.

mod early;
mod match_keys;
mod push;
mod recursive;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, Result as EngineResult};
use datafusion::functions_aggregate::expr_fn::{bool_or, count};
use datafusion::logical_expr::expr::{BinaryExpr, Exists, InSubquery};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit, when,
};

use super::subquery::{has_rows, native};
use crate::error::Error;
use crate::names::MARK;

pub(super) use early::early;
use push::push;

/// Joins the subqueries of a node's expressions to its input, where the optimizer could not.
pub(super) fn joined(node: LogicalPlan) -> EngineResult<Transformed<LogicalPlan>> {
    if let LogicalPlan::Join(join) = &node
        && let Some(lateral) = lateral(join)?
    {
        return Ok(Transformed::yes(lateral));
    }
    let inputs = node.inputs();
    let ([input], false) = (inputs.as_slice(), matches!(node, LogicalPlan::Subquery(_))) else {
        return Ok(Transformed::no(node));
    };
    let mut joined = Input { plan: (*input).clone(), plain: Vec::new() };
    if let LogicalPlan::Filter(filter) = &node {
        plain_members(&filter.predicate, true, &mut joined.plain);
    }
    let in_filter = matches!(node, LogicalPlan::Filter(_));
    let mut expressions = Vec::new();
    let mut changed = false;
    for expression in node.expressions() {
        let name = expression.schema_name().to_string();
        let new = expression.transform_down(|e| joined.replace(e, in_filter))?;
        changed |= new.transformed;
        expressions.push(match new.transformed {
            true => new.data.alias_if_changed(name)?,
            false => new.data,
        });
    }
    if !changed {
        return Ok(Transformed::no(node));
    }
    let columns = node.schema().columns();
    let keeps = matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Sort(_));
    let plan = node.with_new_exprs(expressions, vec![joined.plan])?;
    let plan = match keeps {
        true => LogicalPlanBuilder::from(plan)
            .project(columns.into_iter().map(Expr::Column))?
            .build()?,
        false => plan,
    };
    Ok(Transformed::yes(plan))
}

/// `left JOIN LATERAL (subquery)`.
fn lateral(join: &Join) -> EngineResult<Option<LogicalPlan>> {
    let (subquery, alias) = match join.right.as_ref() {
        LogicalPlan::Subquery(subquery) => (subquery, None),
        LogicalPlan::SubqueryAlias(alias) => match alias.input.as_ref() {
            LogicalPlan::Subquery(subquery) => (subquery, Some(alias.alias.clone())),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    if !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        return Ok(None);
    }
    let columns = join.schema.columns();
    let outer = outer_columns(&subquery.subquery)?;
    if outer.is_empty() {
        return Ok(None);
    }
    let (domain, keys) = domain(join.left.as_ref(), &outer)?;
    let (pushed, keys) = push(subquery.subquery.as_ref(), &domain, &keys)?;
    let (pushed, keys) = match alias {
        None => (pushed, keys),
        Some(alias) => {
            let keys = keys.iter().map(|key| Column::new(Some(alias.clone()), &key.name));
            (LogicalPlanBuilder::from(pushed).alias(alias.clone())?.build()?, keys.collect())
        }
    };
    let plain = |e: &Expr| inner(e.clone());
    let mut filter = join.filter.as_ref().map(plain).transpose()?;
    for (left, right) in &join.on {
        let equal = plain(left)?.eq(plain(right)?);
        filter = Some(filter.map_or(equal.clone(), |filter| filter.and(equal)));
    }
    let (left, keys) = (join.left.as_ref().clone(), (outer, keys));
    let plan = match_keys::joined(left, pushed, join.join_type, keys, filter)?
        .project(columns.into_iter().map(Expr::Column))?
        .build()?;
    Ok(Some(plan))
}

/// A node's input, to which subqueries are joined.
struct Input {
    plan: LogicalPlan,
    /// Memberships that the optimizer may join itself.
    plain: Vec<Expr>,
}

/// Memberships of a filter for which NULL counts as false: those that only AND and OR are above.
/// The optimizer's anti join for NOT IN looks at the rows of all keys, so none may correlate.
fn plain_members(predicate: &Expr, alone: bool, found: &mut Vec<Expr>) {
    match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let alone = alone && *op == Operator::And;
            plain_members(left, alone, found);
            plain_members(right, alone, found);
        }
        Expr::InSubquery(InSubquery { subquery, negated, .. })
            if !negated || alone && subquery.outer_ref_columns.is_empty() =>
        {
            found.push(predicate.clone());
        }
        _ => {}
    }
}

impl Input {
    fn replace(&mut self, e: Expr, in_filter: bool) -> EngineResult<Transformed<Expr>> {
        let found = match &e {
            Expr::ScalarSubquery(subquery) if !native(subquery, true) => {
                self.attach(subquery.subquery.as_ref())?
            }
            Expr::Exists(Exists { subquery, negated })
                if !(in_filter && native(subquery, false)) =>
            {
                let found = self.attach(&has_rows(subquery.subquery.as_ref().clone())?)?;
                if *negated { !found } else { found }
            }
            Expr::InSubquery(InSubquery { expr, subquery, negated })
                if !(self.plain.contains(&e) && native(subquery, false)) =>
            {
                let found = self.attach(&member(expr, self.plan.schema(), subquery)?)?;
                if *negated { !found } else { found }
            }
            _ => return Ok(Transformed::no(e)),
        };
        Ok(Transformed::new(found, true, TreeNodeRecursion::Jump))
    }

    /// The value of a subquery of one row, as a column of the input.
    fn attach(&mut self, subquery: &LogicalPlan) -> EngineResult<Expr> {
        let outer = outer_columns(subquery)?;
        if outer.is_empty() {
            let subquery = Arc::new(subquery.clone());
            let (outer_ref_columns, spans) = (Vec::new(), Default::default());
            return Ok(Expr::ScalarSubquery(Subquery { subquery, outer_ref_columns, spans }));
        }
        let (domain, keys) = domain(&self.plan, &outer)?;
        let (pushed, keys) = push(subquery, &domain, &keys)?;
        let Some(value) = subquery.schema().columns().into_iter().next() else {
            return Err(Error::new("42601", "subquery must return only one column").into());
        };
        let alias = unique("subquery");
        let mut items = vec![Expr::Column(value).alias(format!("{alias}{MARK}value"))];
        let mut renamed = Vec::with_capacity(keys.len());
        for key in &keys {
            items.push(Expr::Column(key.clone()).alias(&key.name));
            renamed.push(Column::new(Some(alias.as_str()), &key.name));
        }
        let pushed = LogicalPlanBuilder::from(pushed).project(items)?.alias(&alias)?.build()?;
        let (plan, keys) = (self.plan.clone(), (outer, renamed));
        self.plan = match_keys::joined(plan, pushed, JoinType::Left, keys, None)?.build()?;
        let name = format!("{alias}{MARK}value");
        Ok(Expr::Column(Column::new(Some(alias.as_str()), name)))
    }
}

/// `x IN (subquery)` as a subquery of one row: true if it is there, else NULL if a comparison was.
fn member(x: &Expr, schema: &DFSchema, subquery: &Subquery) -> EngineResult<LogicalPlan> {
    let Some(item) = subquery.subquery.schema().columns().into_iter().next() else {
        return Err(Error::new("42601", "subquery has no columns").into());
    };
    let outer = x.clone().transform(|e| match e {
        Expr::Column(column) => {
            let (_, field) = Expr::Column(column.clone()).to_field(schema)?;
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    let equal = Expr::Column(item).eq(outer.data);
    let aggregates = vec![
        bool_or(equal.clone()).alias("equal"),
        count(lit(1_i64)).alias("rows"),
        count(equal).alias("compared"),
    ];
    let column = |name: &str| Expr::Column(Column::new_unqualified(name));
    let unknown = column("compared").lt(column("rows"));
    let answer = when(column("equal"), lit(true))
        .when(unknown, lit(datafusion::common::ScalarValue::Boolean(None)))
        .otherwise(lit(false))?;
    LogicalPlanBuilder::from(subquery.subquery.as_ref().clone())
        .aggregate(Vec::<Expr>::new(), aggregates)?
        .project(vec![answer.alias(format!("found{MARK}"))])?
        .build()
}

/// A name that no other relation of the plan has.
fn unique(kind: &str) -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("{MARK}{kind}{}", LAST.fetch_add(1, Ordering::Relaxed))
}

/// The columns of the outer query that a plan uses, each once.
fn outer_columns(plan: &LogicalPlan) -> EngineResult<Vec<Column>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|e| {
            e.apply(|e| {
                if let Expr::OuterReferenceColumn(_, column) = e
                    && !found.contains(column)
                {
                    found.push(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

fn is_correlated(plan: &LogicalPlan) -> EngineResult<bool> {
    Ok(!outer_columns(plan)?.is_empty())
}

/// The distinct values of columns of the outer query, and which column stands for which.
type Keys = Vec<(Column, Column)>;

fn domain(input: &LogicalPlan, outer: &[Column]) -> EngineResult<(LogicalPlan, Keys)> {
    let alias = unique("domain");
    let name = |index: usize| format!("{alias}{MARK}{index}");
    let items = outer.iter().enumerate().map(|(i, c)| Expr::Column(c.clone()).alias(name(i)));
    let plan = LogicalPlanBuilder::from(input.clone()).project(items.collect::<Vec<_>>())?;
    let plan = plan.distinct()?.alias(&alias)?.build()?;
    let key = |(i, c): (usize, &Column)| (c.clone(), Column::new(Some(alias.as_str()), name(i)));
    Ok((plan, outer.iter().enumerate().map(key).collect()))
}

/// References to the outer query of a condition as plain columns of a join's input.
fn inner(e: Expr) -> EngineResult<Expr> {
    let replaced = e.transform(|e| match e {
        Expr::OuterReferenceColumn(_, column) => Ok(Transformed::yes(Expr::Column(column))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(replaced.data)
}
