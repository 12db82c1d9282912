//! A correlated plan for all values of its domain at once: the walk down to what is not correlated
//! and back up, each operator keeping the keys apart.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, Result as EngineResult};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::Sort as SortKey;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprFunctionExt, Extension, Join, Limit, LogicalPlan,
    LogicalPlanBuilder, Operator, Projection, Unnest, UserDefinedLogicalNodeCore, Values, Window,
    WindowFrame, lit, when,
};

use super::recursive::push_recursive;
use super::{Keys, is_correlated, match_keys, unique};
use crate::asof::AsOf;
use crate::error::Error;
use crate::names::MARK;
use crate::nearest;

/// The same values under other names, for another side of a join.
pub(super) fn again(domain: &LogicalPlan, keys: &Keys) -> EngineResult<(LogicalPlan, Keys)> {
    let alias = unique("domain");
    let name = |index: usize| format!("{alias}{MARK}{index}");
    let items = keys.iter().enumerate().map(|(i, (_, c))| Expr::Column(c.clone()).alias(name(i)));
    let plan = LogicalPlanBuilder::from(domain.clone()).project(items.collect::<Vec<_>>())?;
    let plan = plan.alias(&alias)?.build()?;
    let key = |(i, (outer, _)): (usize, &(Column, Column))| {
        (outer.clone(), Column::new(Some(alias.as_str()), name(i)))
    };
    Ok((plan, keys.iter().enumerate().map(key).collect()))
}

/// The plan for all of the domain at once, and its columns that hold the domain's values.
pub(super) fn push(
    plan: &LogicalPlan,
    domain: &LogicalPlan,
    keys: &Keys,
) -> EngineResult<(LogicalPlan, Vec<Column>)> {
    let own = || keys.iter().map(|(_, key)| key.clone()).collect::<Vec<_>>();
    if !is_correlated(plan)? {
        let one_row = matches!(plan, LogicalPlan::EmptyRelation(empty) if empty.produce_one_row);
        if one_row {
            return Ok((domain.clone(), own()));
        }
        let both = LogicalPlanBuilder::from(domain.clone()).cross_join(plan.clone())?;
        return Ok((both.build()?, own()));
    }
    let below = |input: &LogicalPlan| push(input, domain, keys);
    match plan {
        LogicalPlan::Filter(filter) => {
            let (input, found) = below(&filter.input)?;
            let predicate = substituted(&filter.predicate, keys, &found)?;
            Ok((LogicalPlanBuilder::from(input).filter(predicate)?.build()?, found))
        }
        LogicalPlan::Projection(Projection { expr, input, .. }) => {
            let (input, found) = below(input)?;
            let mut items = Vec::with_capacity(expr.len() + found.len());
            for item in expr {
                let name = item.schema_name().to_string();
                items.push(substituted(item, keys, &found)?.alias_if_changed(name)?);
            }
            items.extend(found.iter().cloned().map(Expr::Column));
            Ok((LogicalPlanBuilder::from(input).project(items)?.build()?, found))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, found) = below(&alias.input)?;
            let plan = LogicalPlanBuilder::from(input).alias(alias.alias.clone())?.build()?;
            let moved = found.iter().map(|key| Column::new(Some(alias.alias.clone()), &key.name));
            Ok((plan, moved.collect()))
        }
        LogicalPlan::Subquery(subquery) => below(&subquery.subquery),
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let (input, found) = below(input)?;
            Ok((LogicalPlanBuilder::from(input).distinct()?.build()?, found))
        }
        LogicalPlan::Aggregate(aggregate) => push_aggregate(aggregate, domain, keys),
        LogicalPlan::Sort(sort) => {
            let (input, found) = below(&sort.input)?;
            let order = sort_keys(&sort.expr, keys, &found)?;
            Ok((LogicalPlanBuilder::from(input).sort(order)?.build()?, found))
        }
        LogicalPlan::Limit(limit) => push_limit(limit, domain, keys),
        LogicalPlan::Window(window) => push_window(window, domain, keys),
        LogicalPlan::Join(join) => push_join(join, domain, keys),
        LogicalPlan::Unnest(unnest) => {
            let (input, found) = below(&unnest.input)?;
            Ok((unnested(unnest, input)?, found))
        }
        LogicalPlan::Union(union) => push_union(&union.inputs, domain, keys),
        LogicalPlan::Values(values) => push_values(values, domain, keys),
        LogicalPlan::RecursiveQuery(query) => push_recursive(query, domain, keys),
        LogicalPlan::Extension(Extension { node }) => push_as_of(node.as_ref(), domain, keys),
        other => Err(unsupported(&other.display().to_string())),
    }
}

fn unnested(unnest: &Unnest, input: LogicalPlan) -> EngineResult<LogicalPlan> {
    let (columns, options) = (unnest.exec_columns.clone(), unnest.options.clone());
    LogicalPlanBuilder::from(input).unnest_columns_with_options(columns, options)?.build()
}

pub(super) fn unsupported(what: &str) -> datafusion::error::DataFusionError {
    let what = what.split([':', ' ', '\n']).next().unwrap_or_default();
    Error::new("0A000", format!("a correlated subquery with {what} inside is not supported")).into()
}

fn push_window(
    window: &Window,
    domain: &LogicalPlan,
    keys: &Keys,
) -> EngineResult<(LogicalPlan, Vec<Column>)> {
    let (input, found) = push(&window.input, domain, keys)?;
    let partitioned = |e: &Expr| {
        let name = e.schema_name().to_string();
        within(substituted(e, keys, &found)?, &found)?.alias_if_changed(name)
    };
    let windows: Vec<Expr> =
        window.window_expr.iter().map(partitioned).collect::<EngineResult<_>>()?;
    Ok((LogicalPlanBuilder::from(input).window(windows)?.build()?, found))
}

/// A window of the domain's own partition.
fn within(e: Expr, keys: &[Column]) -> EngineResult<Expr> {
    let partitioned = e.transform(|e| match e {
        Expr::WindowFunction(mut call) => {
            call.params.partition_by.extend(keys.iter().cloned().map(Expr::Column));
            Ok(Transformed::yes(Expr::WindowFunction(call)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(partitioned.data)
}

/// References to the outer query as the columns that hold their values.
fn substituted(e: &Expr, keys: &Keys, found: &[Column]) -> EngineResult<Expr> {
    let replaced = e.clone().transform(|e| match &e {
        Expr::OuterReferenceColumn(_, column) => {
            let index = keys.iter().position(|(outer, _)| outer == column);
            match index.and_then(|index| found.get(index)) {
                Some(key) => Ok(Transformed::yes(Expr::Column(key.clone()))),
                None => Err(unsupported("an outer column")),
            }
        }
        _ => Ok(Transformed::no(e)),
    })?;
    Ok(replaced.data)
}

fn sort_keys(order: &[SortKey], keys: &Keys, found: &[Column]) -> EngineResult<Vec<SortKey>> {
    let key = |key: &SortKey| {
        let expr = substituted(&key.expr, keys, found)?;
        Ok(SortKey { expr, asc: key.asc, nulls_first: key.nulls_first })
    };
    order.iter().map(key).collect()
}

/// Groups of each of the domain's rows; an aggregate of all rows is there also without rows.
fn push_aggregate(
    aggregate: &Aggregate,
    domain: &LogicalPlan,
    keys: &Keys,
) -> EngineResult<(LogicalPlan, Vec<Column>)> {
    let (input, found) = push(&aggregate.input, domain, keys)?;
    let named = |e: &Expr| {
        let name = e.schema_name().to_string();
        substituted(e, keys, &found)?.alias_if_changed(name)
    };
    let groups: EngineResult<Vec<Expr>> = aggregate.group_expr.iter().map(named).collect();
    let mut groups = groups?;
    groups.extend(found.iter().cloned().map(Expr::Column));
    let aggregates: EngineResult<Vec<Expr>> = aggregate.aggr_expr.iter().map(named).collect();
    let plan = LogicalPlanBuilder::from(input).aggregate(groups, aggregates?)?.build()?;
    if !aggregate.group_expr.is_empty() {
        return Ok((plan, found));
    }
    let (all, own) = again(domain, keys)?;
    let own: Vec<Column> = own.into_iter().map(|(_, key)| key).collect();
    let columns = aggregate.schema.columns();
    let keys = (own.clone(), found);
    let joined = match_keys::joined(all, plan, JoinType::Left, keys, None)?;
    let value = |(column, e): (Column, &Expr)| {
        let value = Expr::Column(column.clone());
        match counts(e) {
            true => when(value.clone().is_null(), lit(0_i64))
                .otherwise(value)
                .map(|value| value.alias(column.name)),
            false => Ok(value),
        }
    };
    let items = columns.into_iter().zip(&aggregate.aggr_expr).map(value);
    let mut items: Vec<Expr> = items.collect::<EngineResult<_>>()?;
    items.extend(own.iter().cloned().map(Expr::Column));
    Ok((joined.project(items)?.build()?, own))
}

/// Whether an aggregate of no rows is 0 and not NULL.
fn counts(e: &Expr) -> bool {
    match e {
        Expr::Alias(alias) => counts(&alias.expr),
        Expr::AggregateFunction(call) => {
            matches!(call.func.name(), "count" | "regr_count" | "approx_distinct")
        }
        _ => false,
    }
}

/// The first rows of each of the domain's rows.
fn push_limit(
    limit: &Limit,
    domain: &LogicalPlan,
    keys: &Keys,
) -> EngineResult<(LogicalPlan, Vec<Column>)> {
    // What is ordered by a column that is not selected: the limit belongs to the order.
    if let LogicalPlan::Projection(projection) = limit.input.as_ref()
        && let LogicalPlan::Sort(_) = projection.input.as_ref()
    {
        let limit = Limit { input: Arc::clone(&projection.input), ..limit.clone() };
        let input = Arc::new(LogicalPlan::Limit(limit));
        let projection = Projection::try_new(projection.expr.clone(), input)?;
        return push(&LogicalPlan::Projection(projection), domain, keys);
    }
    let (ordered, order) = match limit.input.as_ref() {
        LogicalPlan::Sort(sort) => (sort.input.as_ref(), sort.expr.as_slice()),
        other => (other, [].as_slice()),
    };
    let (input, found) = push(ordered, domain, keys)?;
    let order = sort_keys(order, keys, &found)?;
    let skip = limit.skip.as_deref().cloned().unwrap_or_else(|| lit(0_i64));
    let last = limit.fetch.as_deref().map(|fetch| {
        datafusion::logical_expr::binary_expr(skip.clone(), Operator::Plus, fetch.clone())
    });
    let input = match &last {
        Some(last) => nearest::to_each(input, &order, last.clone())?,
        None => input,
    };
    let number = unique("row");
    let partition = found.iter().cloned().map(Expr::Column).collect();
    let numbered = row_number().partition_by(partition);
    let numbered = match order.is_empty() {
        true => numbered.window_frame(WindowFrame::new(None)),
        false => numbered.order_by(order),
    };
    let numbered = numbered.build()?.alias(&number);
    let row = || Expr::Column(Column::new_unqualified(&number));
    let mut kept = row().gt(skip);
    if let Some(last) = last {
        kept = kept.and(row().lt_eq(last));
    }
    let columns = input.schema().columns();
    let plan = LogicalPlanBuilder::from(input)
        .window(vec![numbered])?
        .filter(kept)?
        .project(columns.into_iter().map(Expr::Column))?;
    Ok((plan.build()?, found))
}

fn push_join(
    join: &Join,
    domain: &LogicalPlan,
    keys: &Keys,
) -> EngineResult<(LogicalPlan, Vec<Column>)> {
    let (in_left, in_right) = (is_correlated(&join.left)?, is_correlated(&join.right)?);
    let right_alone = in_right && !in_left && join.join_type == JoinType::Inner;
    let left_alone = !in_right
        && matches!(join.join_type, JoinType::Inner | JoinType::Left | JoinType::LeftSemi)
        || !in_right && join.join_type == JoinType::LeftAnti;
    let (left, right, found, mut pairs) = if left_alone {
        let (left, found) = push(&join.left, domain, keys)?;
        (left, join.right.as_ref().clone(), found, Vec::new())
    } else if right_alone {
        let (right, found) = push(&join.right, domain, keys)?;
        (join.left.as_ref().clone(), right, found, Vec::new())
    } else if matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        let (left, found) = push(&join.left, domain, keys)?;
        let (other, other_keys) = again(domain, keys)?;
        let (right, others) = push(&join.right, &other, &other_keys)?;
        let pairs = found.iter().cloned().zip(others).collect();
        (left, right, found, pairs)
    } else {
        return Err(unsupported("an outer join"));
    };
    let mut filter: Option<Expr> = None;
    let mut also = |e: Expr| {
        filter = Some(match filter.take() {
            Some(filter) => filter.and(e),
            None => e,
        });
    };
    for (one, other) in pairs.drain(..) {
        let (one, other) = (Expr::Column(one), Expr::Column(other));
        let same = datafusion::logical_expr::binary_expr(one, Operator::IsNotDistinctFrom, other);
        also(same);
    }
    for (one, other) in &join.on {
        also(substituted(one, keys, &found)?.eq(substituted(other, keys, &found)?));
    }
    if let Some(condition) = &join.filter {
        also(substituted(condition, keys, &found)?);
    }
    let none: (Vec<Column>, Vec<Column>) = Default::default();
    let plan = LogicalPlanBuilder::from(left);
    let plan = match filter {
        None if join.join_type == JoinType::Inner => plan.cross_join(right)?,
        filter => plan.join(right, join.join_type, none, filter)?,
    };
    Ok((plan.build()?, found))
}

/// Labels of each of the domain's rows; every match is of one label.
fn push_as_of(
    node: &dyn datafusion::logical_expr::UserDefinedLogicalNode,
    domain: &LogicalPlan,
    keys: &Keys,
) -> EngineResult<(LogicalPlan, Vec<Column>)> {
    let Some(join) = node.as_any().downcast_ref::<AsOf>() else {
        return Err(unsupported(node.name()));
    };
    if is_correlated(&join.right)? {
        return Err(unsupported("an AS OF join"));
    }
    let (left, found) = push(&join.left, domain, keys)?;
    let expressions = join.expressions();
    let expressions = expressions.iter().map(|e| substituted(e, keys, &found));
    let expressions = expressions.collect::<EngineResult<Vec<_>>>()?;
    let node = join.with_exprs_and_inputs(expressions, vec![left, join.right.clone()])?;
    Ok((LogicalPlan::Extension(Extension { node: Arc::new(node) }), found))
}

/// A row of values is a projection of the domain.
fn push_values(
    values: &Values,
    domain: &LogicalPlan,
    keys: &Keys,
) -> EngineResult<(LogicalPlan, Vec<Column>)> {
    let row = |row: &Vec<Expr>| {
        let names = values.schema.fields().iter().map(|field| field.name());
        let items = row.iter().zip(names).map(|(e, name)| e.clone().alias(name));
        let one_row =
            LogicalPlanBuilder::empty(true).project(items.collect::<Vec<_>>())?.build()?;
        Ok(Arc::new(one_row))
    };
    let rows: Vec<Arc<LogicalPlan>> = values.values.iter().map(row).collect::<EngineResult<_>>()?;
    push_union(&rows, domain, keys)
}

fn push_union(
    inputs: &[Arc<LogicalPlan>],
    domain: &LogicalPlan,
    keys: &Keys,
) -> EngineResult<(LogicalPlan, Vec<Column>)> {
    let names: Vec<String> = keys.iter().map(|_| unique("key")).collect();
    let mut all: Option<LogicalPlan> = None;
    for input in inputs {
        let (own, own_keys) = again(domain, keys)?;
        let (plan, found) = push(input, &own, &own_keys)?;
        let mut items: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let key = |(key, name): (Column, &String)| Expr::Column(key).alias(name);
        items.extend(found.into_iter().zip(&names).map(key));
        let plan = LogicalPlanBuilder::from(plan).project(items)?.build()?;
        all = Some(match all {
            None => plan,
            Some(before) => LogicalPlanBuilder::from(before).union(plan)?.build()?,
        });
    }
    let plan = all.ok_or_else(|| unsupported("UNION"))?;
    Ok((plan, names.iter().map(Column::new_unqualified).collect()))
}
