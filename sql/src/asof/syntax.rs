//! AS OF joins in the syntax tree: each becomes a relation in parentheses of its own, which
//! `relation` plans, since the engine's planner has a hook for relations and none for joins.
//!
//! ```text
//!   l ASOF JOIN r … JOIN x …        ─▶  (l ASOF JOIN r …) JOIN x …
//!   l LEFT JOIN v FOR SYSTEM_TIME AS OF l.ts u ON …   the same, with the view's own times
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, SetExpr,
    Spanned, TableFactor, TableVersion, TableWithJoins, Value, VisitMut, VisitorMut,
};

use super::node::Kind;
use crate::error::{Error, Result};

/// The name of the call that carries what sqlparser has no place for; see `tokens`.
pub(super) const MARK: &str = "\u{2}asof";

/// In the place of NEAREST: what stands for the condition is the label's time alone.
const AT: &str = "at";

/// What an AS OF join says beside its relations and its ON or USING.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub kind: Kind,
    pub nearest: bool,
    pub tolerance: Option<Expr>,
    /// The condition on times, if it stands apart.
    pub condition: Option<Expr>,
    /// The label's time alone: the row's is the feature view's.
    pub label_time: Option<Expr>,
}

impl Terms {
    /// Of the match condition that `tokens` made, or of a plain one.
    pub fn of(condition: Expr) -> Self {
        let plain = |condition| Self {
            kind: Kind::Left,
            nearest: false,
            tolerance: None,
            condition: Some(condition),
            label_time: None,
        };
        let Some(arguments) = marked(&condition) else { return plain(condition) };
        let [kind, nearest, tolerance, time] = arguments;
        let given = |part: &Expr| match part {
            Expr::Value(value) if value.value == Value::Null => None,
            part => Some(part.clone()),
        };
        let kind = match text(kind).as_deref() {
            Some("inner") => Kind::Inner,
            Some("semi") => Kind::Semi,
            Some("anti") => Kind::Anti,
            _ => Kind::Left,
        };
        let way = text(nearest);
        let time = given(time).map(unnested);
        let (condition, label_time) = match way.as_deref() {
            Some(AT) => (None, time),
            _ => (time, None),
        };
        let nearest = way.as_deref() == Some("nearest");
        Self { kind, nearest, tolerance: given(tolerance), condition, label_time }
    }
}

/// Whether a match condition leaves the time to the last column of USING.
pub(crate) fn lacks_time(match_condition: &Expr) -> bool {
    Terms::of(match_condition.clone()).condition.is_none()
}

/// `(a >= b)` without its parentheses.
fn unnested(expression: Expr) -> Expr {
    match expression {
        Expr::Nested(inner) => unnested(*inner),
        other => other,
    }
}

fn marked(condition: &Expr) -> Option<[&Expr; 4]> {
    let Expr::Function(Function { name: ObjectName(name), args, .. }) = condition else {
        return None;
    };
    let [name] = name.as_slice() else { return None };
    name.as_ident().filter(|name| name.value == MARK)?;
    let FunctionArguments::List(list) = args else { return None };
    let arguments: Option<Vec<&Expr>> = list
        .args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
            _ => None,
        })
        .collect();
    arguments?.try_into().ok()
}

/// The match condition that says the label's time alone.
fn marked_time(kind: Kind, tolerance: Option<Expr>, time: Expr) -> Expr {
    let literal = |text: &str| Expr::value(Value::SingleQuotedString(text.to_owned()));
    let kind = literal(if kind == Kind::Inner { "inner" } else { "left" });
    let tolerance = tolerance.unwrap_or_else(|| Expr::value(Value::Null));
    let parts = [kind, literal(AT), tolerance, time];
    let arguments = parts.map(|part| FunctionArg::Unnamed(FunctionArgExpr::Expr(part)));
    let list = FunctionArgumentList {
        duplicate_treatment: None,
        args: arguments.into(),
        clauses: Vec::new(),
    };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(MARK)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Value(value) => value.value.clone().into_string(),
        _ => None,
    }
}

/// Puts every AS OF join of a statement in parentheses of its own.
pub(crate) fn nest(statement: &mut impl VisitMut) -> Result<()> {
    match statement.visit(&mut Nester) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Nester;

impl VisitorMut for Nester {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        body(&mut query.body)
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        match factor {
            // What this has made is left alone.
            TableFactor::NestedJoin { table_with_joins, .. } if !is_nested(table_with_joins) => {
                nested(table_with_joins)
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn body(set: &mut SetExpr) -> ControlFlow<Error> {
    match set {
        SetExpr::Select(select) => select.from.iter_mut().try_for_each(nested),
        SetExpr::SetOperation { left, right, .. } => {
            body(left)?;
            body(right)
        }
        _ => ControlFlow::Continue(()),
    }
}

/// Whether the relations are one AS OF join, as `relation` expects it.
pub(super) fn is_nested(from: &TableWithJoins) -> bool {
    let is_last = |join: &Join| matches!(join.join_operator, JoinOperator::AsOf { .. });
    from.joins.len() == 1 && from.joins.last().is_some_and(is_last)
}

fn nested(from: &mut TableWithJoins) -> ControlFlow<Error> {
    if !from.joins.iter().any(is_as_of) {
        return ControlFlow::Continue(());
    }
    let joins = std::mem::take(&mut from.joins);
    for mut join in joins {
        if !is_as_of(&join) {
            from.joins.push(join);
            continue;
        }
        if let Err(error) = versioned(&mut join) {
            return ControlFlow::Break(error);
        }
        let relation = std::mem::replace(&mut from.relation, nothing());
        let left = TableWithJoins { relation, joins: std::mem::take(&mut from.joins) };
        let left = match left.joins.is_empty() {
            true => left.relation,
            false => in_parentheses(left),
        };
        from.relation = in_parentheses(TableWithJoins { relation: left, joins: vec![join] });
    }
    ControlFlow::Continue(())
}

fn nothing() -> TableFactor {
    crate::plan::table_factor(ObjectName(Vec::new()), None)
}

fn in_parentheses(table_with_joins: TableWithJoins) -> TableFactor {
    TableFactor::NestedJoin { table_with_joins: Box::new(table_with_joins), alias: None }
}

fn is_as_of(join: &Join) -> bool {
    matches!(join.join_operator, JoinOperator::AsOf { .. }) || label_time(join).is_some()
}

/// The column in `JOIN v FOR SYSTEM_TIME AS OF l.ts`; a constant is a version of the table.
fn label_time(join: &Join) -> Option<&Expr> {
    let TableFactor::Table { version, .. } = &join.relation else { return None };
    let (Some(TableVersion::ForSystemTimeAsOf(time)) | Some(TableVersion::TimestampAsOf(time))) =
        version
    else {
        return None;
    };
    crate::plan::has_column(time).then_some(time)
}

/// The tolerance that `tokens` put into an ON.
fn tolerance_of(constraint: JoinConstraint) -> Result<(Option<Expr>, JoinConstraint)> {
    let JoinConstraint::On(Expr::BinaryOp { left, op: BinaryOperator::And, right }) = &constraint
    else {
        return Ok((None, constraint));
    };
    let Some([_, nearest, tolerance, _]) = marked(left.as_ref()) else {
        return Ok((None, constraint));
    };
    if text(nearest).as_deref() == Some("nearest") {
        let message = "NEAREST takes rows of either side, AS OF those before";
        return Err(Error::new("42601", message)
            .with_hint("Write ASOF JOIN … ON … AND l.ts >= v.ts NEAREST."));
    }
    Ok((Some(tolerance.clone()), JoinConstraint::On(right.as_ref().clone())))
}

/// `LEFT JOIN v FOR SYSTEM_TIME AS OF l.ts` as an AS OF join whose row time is the view's.
fn versioned(join: &mut Join) -> Result<()> {
    let Some(time) = label_time(join).cloned() else { return Ok(()) };
    let (kind, constraint) = match &join.join_operator {
        JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (Kind::Left, on.clone()),
        JoinOperator::Inner(on) | JoinOperator::Join(on) => (Kind::Inner, on.clone()),
        _ => {
            let place = time.span().start;
            return Err(Error::new("42601", "AS OF a column needs a LEFT or an INNER JOIN")
                .with_hint("Write LEFT JOIN view AS OF l.ts v ON v.key = l.key.")
                .at_place(Some((place.line, place.column))));
        }
    };
    let (tolerance, constraint) = tolerance_of(constraint)?;
    let match_condition = marked_time(kind, tolerance, time);
    join.join_operator = JoinOperator::AsOf { match_condition, constraint };
    if let TableFactor::Table { version, .. } = &mut join.relation {
        *version = None;
    }
    Ok(())
}
