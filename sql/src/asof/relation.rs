//! From a nested AS OF join to the logical node: which conditions are keys, time and filters.
//!
//! | condition in ON            | what it does                                               |
//! |----------------------------|------------------------------------------------------------|
//! | `l.k = r.k`                | a key                                                      |
//! | `l.t >= r.t` and its like  | the time, if MATCH_CONDITION does not give it; only one    |
//! | columns of the right side  | chooses candidates: a filter below the join                |
//! | columns of the left side   | a label that fails has no match                            |
//! | anything else of both      | not supported                                              |

use datafusion::common::{Column, DFSchema, Result as EngineResult};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, Operator};
use datafusion::sql::sqlparser::ast::{
    self, JoinConstraint, JoinOperator, Spanned, TableFactor, TableWithJoins,
};
use std::sync::Arc;

use super::node::{AsOf, Choice, Kind, Known};
use super::syntax::{self, Terms};
use super::window::WindowFeature;
use super::{sequence, times, view};
use crate::error::Error;
use crate::features::Rows;
use crate::features::windows::Under;

/// See the module.
#[derive(Debug)]
pub struct AsOfRelations;

type Place = Option<(u64, u64)>;

impl RelationPlanner for AsOfRelations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> EngineResult<RelationPlanning> {
        match relation {
            TableFactor::NestedJoin { table_with_joins, alias }
                if syntax::is_nested(&table_with_joins) =>
            {
                let plan = planned(*table_with_joins, context)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
            }
            other => Ok(RelationPlanning::Original(Box::new(other))),
        }
    }
}

fn planned(
    from: TableWithJoins,
    context: &mut dyn RelationPlannerContext,
) -> EngineResult<LogicalPlan> {
    let TableWithJoins { relation, mut joins } = from;
    let Some(join) = joins.pop() else { return context.plan(relation) };
    let JoinOperator::AsOf { match_condition, constraint } = join.join_operator else {
        return datafusion::common::internal_err!("a nested join is not AS OF");
    };
    if let TableFactor::Derived { lateral: true, .. }
    | TableFactor::Function { lateral: true, .. } = &join.relation
    {
        let error = Error::unsupported("LATERAL on the right of an AS OF join");
        return Err(error.at_place(place(&join.relation)).into());
    }
    let terms = Terms::of(match_condition);
    let of_right = join.relation.clone();
    let view = view::of(&of_right, context);
    let bare = matches!(constraint, JoinConstraint::None);
    let left = context.plan(relation)?;
    let right = context.plan(join.relation)?;
    let schema = left.schema().join(right.schema())?;
    let mut sides = Sides { left: left.schema(), right: right.schema(), ..Sides::empty() };
    if let Some(condition) = terms.condition {
        let place = place(&condition);
        sides.set_match(expression(condition, &schema, context)?, place)?;
    }
    sides.constrain(constraint, &schema, context)?;
    let place_of_right = place(&of_right);
    let mut limits = None;
    if let Some((version, _)) = &view {
        let label_time =
            terms.label_time.clone().map(|time| context.sql_to_expr(time, left.schema()));
        let said = view::Said {
            left: left.schema(),
            right: right.schema(),
            keys: &mut sides.keys,
            time: &mut sides.time,
            label_time: label_time.transpose()?,
            nearest: terms.nearest,
            bare,
        };
        limits = view::complete(version, said).map_err(|error| error.at_place(place_of_right))?;
    }
    let Some(time) = sides.time.take().filter(|_| view.is_some() || terms.label_time.is_none())
    else {
        return Err(view::not_one(&of_right, place_of_right).into());
    };
    times::check(&time, &schema, place_of_right)?;
    let tolerance = terms.tolerance.map(|t| context.sql_to_expr(t, &DFSchema::empty()));
    let is_own = limits.is_some();
    let limits = limits.unwrap_or_default();
    // What the join itself says counts.
    let tolerance = tolerance.transpose()?.or(limits.tolerance);
    let on = On { keys: sides.keys, time: Some(time), tolerance, ..limits };
    let (of_left, of_right) = (sides.of_left, sides.of_right);
    let windows = match view {
        Some((_, Rows::Windowed(view))) => {
            let over = on.keys.iter().chain(&on.time).chain(&of_right);
            let windows = view::windows(&view, right.schema(), (terms.kind, is_own), over);
            Some(windows.map_err(|error| error.at_place(place_of_right))?)
        }
        _ => None,
    };
    joined((left, right), (terms.kind, terms.nearest), on, (of_left, of_right), windows)
}

/// The join, with the conditions of one side only; `windows`: the right side is a view that has
/// them.
fn joined(
    (left, right): (LogicalPlan, LogicalPlan),
    (kind, nearest): (Kind, bool),
    on: On,
    (of_left, of_right): (Vec<Expr>, Vec<Expr>),
    windows: Option<Under>,
) -> EngineResult<LogicalPlan> {
    // Where a label without a match goes anyway, it need not come.
    let (left, guard) = match (kind, conjunction(of_left)) {
        (Kind::Inner | Kind::Semi, Some(guard)) => {
            (LogicalPlanBuilder::from(left).filter(guard)?.build()?, None)
        }
        (_, guard) => (left, guard),
    };
    let (qualifier, _) = right.schema().qualified_field(0);
    let qualifier = qualifier.cloned();
    let (right, features, columns) = match windows {
        Some(Under { rows, features, columns }) => (rows, features, Some(columns)),
        None => (right, Vec::new(), None),
    };
    let right = match conjunction(of_right) {
        Some(filter) => LogicalPlanBuilder::from(right).filter(filter)?.build()?,
        None => right,
    };
    let labels = left.schema().columns();
    let on = On { guard, features, ..on };
    let joined = join_plans((left, right), (kind, nearest), on)?;
    let Some(columns) = columns.filter(|_| matches!(kind, Kind::Inner | Kind::Left)) else {
        return Ok(joined);
    };
    let labels = labels.into_iter().map(Expr::Column);
    let columns = columns.into_iter();
    let columns = columns.map(|(name, of)| of.alias_qualified(qualifier.clone(), name));
    LogicalPlanBuilder::from(joined).project(labels.chain(columns).collect::<Vec<_>>())?.build()
}

/// What an AS OF join compares.
#[derive(Debug, Default)]
pub(crate) struct On {
    /// `label = row` of each key.
    pub keys: Vec<Expr>,
    /// `label >= row` or one of its like.
    pub time: Option<Expr>,
    pub created: Option<Expr>,
    pub known: Known,
    pub delay: Option<Expr>,
    pub tolerance: Option<Expr>,
    pub guard: Option<Expr>,
    /// What windows of the rows tell, behind all other columns.
    pub features: Vec<WindowFeature>,
    /// Labels keep their order even where nothing is asked of the rows.
    pub keeps_order: bool,
}

/// The join of two plans; see `AsOf` for its parts.
pub(crate) fn join_plans(
    (left, right): (LogicalPlan, LogicalPlan),
    kind: (Kind, bool),
    on: On,
) -> EngineResult<LogicalPlan> {
    let (right, sequence) = match sequence::sequenced(&right)? {
        Some((right, sequence)) => (right, Some(sequence)),
        None => (right, None),
    };
    let On { keys, time, created, known, delay, tolerance, guard, features, keeps_order } = on;
    let Some(time) = time else {
        return datafusion::common::internal_err!("an AS OF join has no time");
    };
    let choice = Choice { created, known, delay, sequence, keeps_order };
    let limits = (tolerance, guard);
    let node = AsOf::new((left, right), kind, keys, (time, choice), limits, features)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// The conditions of a join, sorted.
struct Sides<'a> {
    left: &'a DFSchema,
    right: &'a DFSchema,
    keys: Vec<Expr>,
    /// Label first.
    time: Option<Expr>,
    /// The time was given by MATCH_CONDITION.
    matched: bool,
    of_left: Vec<Expr>,
    of_right: Vec<Expr>,
}

/// Whose columns an expression has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Neither,
    Left,
    Right,
    Both,
}

impl Sides<'_> {
    fn empty() -> Sides<'static> {
        static NOTHING: std::sync::LazyLock<DFSchema> = std::sync::LazyLock::new(DFSchema::empty);
        Sides {
            left: &NOTHING,
            right: &NOTHING,
            keys: Vec::new(),
            time: None,
            matched: false,
            of_left: Vec::new(),
            of_right: Vec::new(),
        }
    }

    fn side(&self, expression: &Expr) -> Side {
        let columns = expression.column_refs();
        let has = |schema: &DFSchema| columns.iter().any(|column| schema.has_column(column));
        match (has(self.left), has(self.right)) {
            (false, false) => Side::Neither,
            (true, false) => Side::Left,
            (false, true) => Side::Right,
            (true, true) => Side::Both,
        }
    }

    /// `l op r`, the label's side first, if each side is of one side only; the label's may be a
    /// constant if so said.
    fn across(&self, condition: &Expr, constant: bool) -> Option<(Expr, Operator, Expr)> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
        let of_label = |side| side == Side::Left || constant && side == Side::Neither;
        match (self.side(left), self.side(right)) {
            (label, Side::Right) if of_label(label) => Some((*left.clone(), *op, *right.clone())),
            (Side::Right, label) if of_label(label) => {
                Some((*right.clone(), op.swap()?, *left.clone()))
            }
            _ => None,
        }
    }

    fn constrain(
        &mut self,
        constraint: JoinConstraint,
        schema: &DFSchema,
        context: &mut dyn RelationPlannerContext,
    ) -> EngineResult<()> {
        match constraint {
            JoinConstraint::None => Ok(()),
            JoinConstraint::Natural => Err(Error::unsupported("NATURAL ASOF JOIN").into()),
            JoinConstraint::On(on) => {
                let place = place(&on);
                let conditions = split_conjunction_owned(expression(on, schema, context)?);
                conditions.into_iter().try_for_each(|condition| self.add(condition, place))
            }
            JoinConstraint::Using(columns) => self.using(&columns, context),
        }
    }

    fn set_match(&mut self, condition: Expr, place: Place) -> EngineResult<()> {
        let across = self.across(&condition, true).filter(|(_, op, _)| is_time(*op));
        let Some((label, op, row)) = across else { return Err(not_a_time(place).into()) };
        self.time = Some(binary(label, op, row));
        self.matched = true;
        Ok(())
    }

    fn add(&mut self, condition: Expr, place: Place) -> EngineResult<()> {
        match self.across(&condition, false) {
            Some((label, Operator::Eq, row)) => self.keys.push(binary(label, Operator::Eq, row)),
            Some((label, op, row)) if is_time(op) && !self.matched => {
                if self.time.replace(binary(label, op, row)).is_some() {
                    return Err(two_times(place).into());
                }
            }
            _ => match self.side(&condition) {
                Side::Left | Side::Neither => self.of_left.push(condition),
                Side::Right => self.of_right.push(condition),
                Side::Both => return Err(of_both(place).into()),
            },
        }
        Ok(())
    }

    /// All are keys, but the last is the time if none is given.
    fn using(
        &mut self,
        columns: &[ast::ObjectName],
        context: &mut dyn RelationPlannerContext,
    ) -> EngineResult<()> {
        for (index, name) in columns.iter().enumerate() {
            let ident = name.0.last().and_then(|part| part.as_ident()).cloned();
            let Some(ident) = ident.filter(|_| name.0.len() == 1) else {
                return Err(Error::new("42601", "USING takes column names").into());
            };
            let span = ident.span.start;
            let place = Some((span.line, span.column));
            let name = context.normalize_ident(ident);
            let label = column(self.left, &name, "left", place)?;
            let row = column(self.right, &name, "right", place)?;
            let is_last = index + 1 == columns.len();
            match is_last && !self.matched {
                true => self.time = Some(binary(label, Operator::GtEq, row)),
                false => self.keys.push(binary(label, Operator::Eq, row)),
            }
        }
        Ok(())
    }
}

fn column(schema: &DFSchema, name: &str, side: &str, place: Place) -> Result<Expr, Error> {
    let mut found = schema.columns().into_iter().filter(|column: &Column| column.name == name);
    let missing = || {
        let message =
            format!("column \"{name}\" specified in USING clause does not exist in {side} table");
        Error::new("42703", message).at_place(place)
    };
    let first = found.next().ok_or_else(missing)?;
    match found.next() {
        None => Ok(Expr::Column(first)),
        // The engine keeps columns that USING has joined apart; the leftmost is the label's.
        Some(_) if side == "left" => Ok(Expr::Column(first)),
        Some(_) => {
            let message =
                format!("common column name \"{name}\" appears more than once in {side} table");
            Err(Error::new("42702", message).at_place(place))
        }
    }
}

/// A condition; what is wrong with it is told with the condition's place, if with none of its own.
fn expression(
    condition: ast::Expr,
    schema: &DFSchema,
    context: &mut dyn RelationPlannerContext,
) -> EngineResult<Expr> {
    let place = place(&condition);
    context.sql_to_expr(condition, schema).map_err(|error| match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(error) if matches!(*error, Error::Statement { place: None, position: None, .. }) => {
                error.at_place(place).into()
            }
            Ok(error) => (*error).into(),
            Err(inner) => DataFusionError::External(inner),
        },
        error => error,
    })
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(left.into(), op, right.into()))
}

fn is_time(op: Operator) -> bool {
    matches!(op, Operator::Gt | Operator::GtEq | Operator::Lt | Operator::LtEq)
}

fn place(node: &impl Spanned) -> Place {
    let start = node.span().start;
    (start.line > 0).then_some((start.line, start.column))
}

const FORM: &str = "Write MATCH_CONDITION (l.ts >= r.ts).";

fn not_a_time(place: Place) -> Error {
    let message = "MATCH_CONDITION must compare a time of each side by >=, >, <= or <";
    Error::new("42601", message).with_hint(FORM).at_place(place)
}

fn two_times(place: Place) -> Error {
    Error::new("42601", "an AS OF join compares only one pair of times")
        .with_hint("Write TOLERANCE INTERVAL '1 hour' to limit the age of a match.")
        .at_place(place)
}

fn of_both(place: Place) -> Error {
    Error::unsupported("a condition of both sides of an AS OF join, other than keys and the time,")
        .with_hint("Put it in WHERE, where it filters matches, or write it over one side.")
        .at_place(place)
}
