//! From the logical node to the operator: sides of comparisons, direction, tolerance.

use std::sync::Arc;

use async_trait::async_trait;
use catalog::SEQUENCE_COLUMN;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, Operator, UserDefinedLogicalNode,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner};
use kernels::asof::{Direction, Rule};

use crate::nearest::Searching;
use crate::plan::planned;

use super::exec::{AsOfExec, Side, Terms};
use super::node::{AsOf, Known};
use super::times;
use super::tolerance::Tolerance;
use super::window::Feature;

/// Plans as the engine does, and AS OF joins and searches of nearest rows.
#[derive(Debug, Default)]
pub struct AsOfQueries;

#[async_trait]
impl QueryPlanner for AsOfQueries {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![
            Arc::new(Joins),
            Arc::new(Searching),
        ]);
        planned(&planner, plan, session).await
    }
}

#[derive(Debug)]
struct Joins;

#[async_trait]
impl ExtensionPlanner for Joins {
    async fn plan_extension(
        &self,
        planner: &dyn datafusion::physical_planner::PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<AsOf>() else { return Ok(None) };
        let [left, right] = inputs else { return internal_err!("an AS OF join has two inputs") };
        let over = |expression: &Expr, schema: &DFSchema| {
            planner.create_physical_expr(expression, schema, session, context)
        };
        let (of_left, of_right) = (node.left.schema(), node.right.schema());
        let pair = |label: &Expr, row: &Expr| {
            Ok::<_, DataFusionError>((over(label, of_left)?, over(row, of_right)?))
        };
        let mut keys = Vec::with_capacity(node.keys.len());
        for key in &node.keys {
            let (label, _, row) = across(key, of_left)?;
            keys.push(pair(&label, &row)?);
        }
        let (label, operator, row) = times_of(node)?;
        let time_type = label.get_type(of_left)?;
        if !times::is_supported(&time_type) || time_type != row.get_type(of_right)? {
            return internal_err!("the times of an AS OF join were not coerced");
        }
        let time = pair(&bare(label, of_left)?, &bare(row, of_right)?)?;
        let distance = |constant: &Expr| {
            let Some(state) = session.as_any().downcast_ref::<SessionState>() else {
                return internal_err!("the session has no state");
            };
            let value = crate::plan::folded(state, constant.clone())?;
            Ok(Tolerance::new(&value, &time_type)?)
        };
        let tolerance = node.tolerance.as_ref().map(distance).transpose()?;
        let choice = &node.choice;
        let delay = match choice.delay.as_ref().map(distance).transpose()? {
            None => 0,
            Some(Tolerance::Ticks(ticks)) => ticks,
            Some(Tolerance::Months { .. }) => return internal_err!("a delay has no months"),
        };
        let created = choice.created.as_ref().map(|created| {
            let created = cast_to(created.clone(), &time_type, of_right)?;
            over(&created, of_right)
        });
        let rule = rule(node, operator, delay)?;
        let rows = right.schema();
        let of_rows = |expression: &Expr| over(expression, of_right);
        let features = features(node, (rule, tolerance, &time_type), &rows, of_rows)?;
        let is_shown = |index: &usize| rows.field(*index).name() != SEQUENCE_COLUMN;
        let terms = Terms {
            kind: node.kind,
            rule,
            keys,
            time,
            tolerance,
            guard: node.guard.as_ref().map(|guard| over(guard, of_left)).transpose()?,
            created: created.transpose()?,
            counts_unknown: choice.known == Known::Counted && choice.created.is_some(),
            sequence: choice.sequence.as_ref().map(|s| over(s, of_right)).transpose()?,
            shown: (0..rows.fields().len()).filter(is_shown).collect(),
            time_type,
            features,
        };
        let (left, right) = (in_order(left)?, Arc::clone(right));
        Ok(Some(Arc::new(AsOfExec::new(left, right, Arc::new(terms))?)))
    }
}

/// What windows tell, over rows as `over` plans expressions of them.
fn features(
    node: &AsOf,
    (rule, age, times): (Rule, Option<Tolerance>, &DataType),
    rows: &Schema,
    over: impl Fn(&Expr) -> EngineResult<Side>,
) -> EngineResult<Vec<Feature>> {
    let maybe = |part: &Option<Expr>| part.as_ref().map(&over).transpose();
    let planned = node.features.iter().map(|feature| {
        let sides = (maybe(&feature.argument)?, maybe(&feature.filter)?);
        let frame = feature.frame(rule, age, times)?;
        Feature::new(&feature.name, feature.function, sides, frame, rows)
    });
    planned.collect()
}

/// The label's time, the comparison, the row's time.
fn times_of(node: &AsOf) -> EngineResult<(Expr, Operator, Expr)> {
    match unaliased(&node.time) {
        // The optimizer knows that a label time is NULL.
        Expr::Literal(..) => {
            let null = || Expr::Literal(ScalarValue::Int64(None), None);
            Ok((null(), Operator::GtEq, null()))
        }
        time => across(time, node.left.schema()),
    }
}

/// A time without a zone in place of the instant in UTC that it is cast to: it has the same ticks,
/// and is cast value by value.
fn bare(time: Expr, schema: &DFSchema) -> EngineResult<Expr> {
    let Expr::Cast(cast) = unaliased(&time) else { return Ok(time) };
    let same = match (cast.expr.get_type(schema)?, cast.field.data_type()) {
        (DataType::Timestamp(from, None), DataType::Timestamp(to, Some(zone))) => {
            from == *to && matches!(zone.as_ref(), "UTC" | "+00:00")
        }
        _ => false,
    };
    Ok(if same { cast.expr.as_ref().clone() } else { time })
}

/// Labels as their tables have them: threads that scan do not take from each other.
fn in_order(labels: &Arc<dyn ExecutionPlan>) -> EngineResult<Arc<dyn ExecutionPlan>> {
    let ordered = Arc::clone(labels).transform_up(|node| {
        Ok(match node.with_preserve_order(true) {
            Some(ordered) => Transformed::yes(ordered),
            None => Transformed::no(node),
        })
    })?;
    Ok(ordered.data)
}

fn cast_to(expression: Expr, to: &DataType, schema: &DFSchema) -> EngineResult<Expr> {
    match expression.get_type(schema)? == *to {
        true => Ok(expression),
        false => expression.cast_to(to, schema),
    }
}

/// Of `label operator row`; delay and whether a row must be known count looking backward.
fn rule(node: &AsOf, operator: Operator, delay: i64) -> EngineResult<Rule> {
    let choice = &node.choice;
    let back = Direction::Backward { delay, known: choice.known == Known::Required };
    let (direction, strict) = match operator {
        Operator::GtEq => (back, false),
        Operator::Gt => (back, true),
        Operator::LtEq => (Direction::Forward, false),
        Operator::Lt => (Direction::Forward, true),
        other => return internal_err!("an AS OF join goes by {other}"),
    };
    let direction = if node.nearest { Direction::Nearest } else { direction };
    let (created, seq) = (choice.created.is_some(), choice.sequence.is_some());
    Ok(Rule { direction, strict, created, seq })
}

/// The label's side, the operator between, the row's side: the optimizer may have turned it.
pub(super) fn across(condition: &Expr, left: &DFSchema) -> EngineResult<(Expr, Operator, Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left: a, op, right: b }) = unaliased(condition) else {
        return internal_err!("a condition of an AS OF join is no comparison: {condition}");
    };
    let is_left = |side: &Expr| side.column_refs().iter().all(|column| left.has_column(column));
    match (is_left(a), is_left(b), op.swap()) {
        (true, false, _) => Ok((*a.clone(), *op, *b.clone())),
        (false, true, Some(swapped)) => Ok((*b.clone(), swapped, *a.clone())),
        _ => internal_err!("a condition of an AS OF join is not of both sides: {condition}"),
    }
}

fn unaliased(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}
