//! Lineage: which columns of which relations a query's columns are computed from.
//!
//! Conditions (WHERE, ON, HAVING) choose rows and are not counted, but for a window's FILTER. Where
//! a node is not known, each of its columns counts as made from all that it reads: too many rather
//! than too few.

use std::collections::BTreeSet;

use catalog::SEQUENCE_COLUMN;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::logical_expr::{Distinct, Expr, Extension, LogicalPlan};

use crate::asof::{AsOf, WindowFeature};

/// A column of a relation that a query names.
pub(crate) type Source = (TableReference, String);

/// For each column of a plan, what it is made from.
pub(crate) fn sources(plan: &LogicalPlan) -> Vec<BTreeSet<Source>> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let of = |name: &String| [(scan.table_name.clone(), name.clone())].into();
            plan.schema().fields().iter().map(|field| of(field.name())).collect()
        }
        LogicalPlan::Projection(projection) => {
            projection.expr.iter().map(|expr| of_expression(expr, plan)).collect()
        }
        LogicalPlan::Aggregate(aggregate) => {
            let expressions = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
            let found: Vec<_> = expressions.map(|expr| of_expression(expr, plan)).collect();
            // Grouping sets give more columns than expressions.
            if found.len() == plan.schema().fields().len() { found } else { all(plan) }
        }
        LogicalPlan::Window(window) => {
            let mut found = sources(&window.input);
            found.extend(window.window_expr.iter().map(|expr| of_expression(expr, plan)));
            found
        }
        LogicalPlan::Union(union) => {
            let mut inputs = union.inputs.iter().map(|input| sources(input));
            let mut found = inputs.next().unwrap_or_default();
            for input in inputs {
                found.iter_mut().zip(input).for_each(|(of, more)| of.extend(more));
            }
            found
        }
        LogicalPlan::Distinct(Distinct::On(on)) => {
            on.select_expr.iter().map(|expr| of_expression(expr, plan)).collect()
        }
        LogicalPlan::Extension(Extension { node })
            if let Some(node) = node.as_any().downcast_ref::<AsOf>() =>
        {
            let mut found = sources(&node.left);
            let rows = node.right.schema().fields().iter().zip(sources(&node.right));
            found.extend(
                rows.filter(|(field, _)| field.name() != SEQUENCE_COLUMN).map(|(_, of)| of),
            );
            found.truncate(plan.schema().fields().len() - node.features.len());
            // Rows that a FILTER leaves out change the number itself.
            let of_feature = |feature: &WindowFeature| -> BTreeSet<Source> {
                let parts = feature.argument.iter().chain(&feature.filter);
                parts.flat_map(|part| of_expression(part, plan)).collect()
            };
            found.extend(node.features.iter().map(of_feature));
            found
        }
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Distinct(Distinct::All(_))
        | LogicalPlan::Join(_)
        | LogicalPlan::Extension(_) => {
            let found: Vec<_> = plan.inputs().into_iter().flat_map(sources).collect();
            match found.len() >= plan.schema().fields().len() {
                // Semi and anti joins give the left side's columns only.
                true => found.into_iter().take(plan.schema().fields().len()).collect(),
                false => all(plan),
            }
        }
        _ => all(plan),
    }
}

/// Every column from everything.
fn all(plan: &LogicalPlan) -> Vec<BTreeSet<Source>> {
    let everything: BTreeSet<Source> =
        plan.inputs().into_iter().flat_map(sources).flatten().collect();
    vec![everything; plan.schema().fields().len()]
}

/// What an expression over the plan's inputs is made from, subqueries included.
fn of_expression(expression: &Expr, plan: &LogicalPlan) -> BTreeSet<Source> {
    let inputs: Vec<(&DFSchema, Vec<BTreeSet<Source>>)> =
        plan.inputs().into_iter().map(|input| (input.schema().as_ref(), sources(input))).collect();
    let of_column = |column: &Column| {
        inputs.iter().find_map(|(schema, found)| {
            schema.maybe_index_of_column(column).and_then(|index| found.get(index).cloned())
        })
    };
    let mut found = BTreeSet::new();
    let _ = expression.apply(|part| {
        match part {
            Expr::Column(column) => found.extend(of_column(column).unwrap_or_default()),
            Expr::ScalarSubquery(subquery) => {
                found.extend(sources(&subquery.subquery).into_iter().flatten());
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
