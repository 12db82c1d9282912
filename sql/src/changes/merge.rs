//! MERGE with all clauses of Postgres 17, as one join and CASE expressions.
//!
//! ```text
//!   SELECT CASE WHEN when₁ THEN action₁ WHEN when₂ THEN action₂ … ELSE 0 END,
//!          t.file, t.position,
//!          CASE WHEN when₁ THEN value₁ … END  -- for each column
//!   FROM source LEFT | FULL JOIN target ON condition
//! ```
//! The first clause that applies wins, as CASE does it.

use std::ops::ControlFlow;
use std::sync::Arc;

use catalog::{POSITION_COLUMN, Table};
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Expr, Join, JoinConstraint, JoinOperator, MergeAction, MergeClause,
    MergeClauseKind, MergeInsertKind, OutputClause, TableFactor, TableWithJoins, VisitMut,
    VisitorMut,
};

use super::update::assignments;
use super::{
    Change, DELETE, INSERT, Own, Planner, Twice, UPDATE, address_items, alias_of, all_columns,
    assigned_column, columns_at, item, null, number, qualified, quoted, select, source_columns,
    table_alias, target_factor,
};
use crate::error::{Error, Result};
use crate::parse;

/// Not NULL in every source row.
pub(super) const SOURCE_COLUMN: &str = "__sextant_source";
/// `DO NOTHING` is folded to an UPDATE or INSERT of this column before parsing.
pub(crate) const NOTHING: &str = "\u{3}nothing";

/// One WHEN clause, its names resolved.
pub(super) struct Clause {
    pub condition: Expr,
    /// INSERT, UPDATE, DELETE; 0 does nothing.
    pub action: i64,
    /// A value for each column of the table; empty where the action needs none.
    pub values: Vec<Expr>,
}

impl Planner<'_> {
    pub(super) async fn merge(&self, merge: ast::Merge) -> Result<Change> {
        let TableFactor::Table { name, alias, .. } = &merge.table else {
            return Err(Error::unsupported("MERGE into anything but a table"));
        };
        let (place, table) = self.target(name)?;
        let target = alias_of(alias.as_ref(), &place);
        let (source, source_alias) = marked_source(merge.source)?;
        let names = Names { target: &target, source: &source_alias };
        let own = self.own(&place, &table);
        let clauses = merge.clauses.iter();
        let clauses: Result<Vec<Clause>> =
            clauses.map(|clause| self.clause(clause, (&table, &own), &names)).collect();
        let clauses = clauses?;
        let by_source =
            merge.clauses.iter().any(|c| c.clause_kind == MergeClauseKind::NotMatchedBySource);
        let inserts = clauses.iter().any(|c| c.action == INSERT);
        let join = match (inserts, by_source) {
            (true, true) => JoinOperator::FullOuter(on(*merge.on)),
            (true, false) => JoinOperator::LeftOuter(on(*merge.on)),
            (false, true) => JoinOperator::RightOuter(on(*merge.on)),
            (false, false) => JoinOperator::Inner(on(*merge.on)),
        };
        let joined = joined(source, join, &target);
        let returning = match merge.output {
            None => None,
            Some(OutputClause::Returning { select_items, .. }) => Some(select_items),
            Some(OutputClause::Output { .. }) => {
                return Err(Error::unsupported("OUTPUT").with_hint("Use RETURNING."));
            }
        };
        let mut items = clause_items(&clauses, &table, &target);
        if returning.is_some() {
            items.push(all_columns());
        }
        let plan = self.plan(select(items, vec![joined], None)?, &place, &table).await?;
        let own = 3..3 + table.columns.len();
        let sources = source_columns(&plan, own.end, &target);
        let values = columns_at(&plan, own);
        let at = (place, table);
        let mut change = Change::of_actions(self, at, "MERGE", plan, values, &sources)?;
        change.twice = Twice::Fail("MERGE command cannot affect row a second time");
        change.depends = inserts;
        if let Some(items) = returning {
            change.returning = Some(self.returning(&change, items, &target).await?);
        }
        Ok(change)
    }

    fn clause(
        &self,
        clause: &MergeClause,
        (table, own): (&Arc<Table>, &Own),
        names: &Names,
    ) -> Result<Clause> {
        let matched_target = is_not_null(qualified(names.target, POSITION_COLUMN));
        let matched_source = is_not_null(qualified(names.source, SOURCE_COLUMN));
        let (kind, visible) = match clause.clause_kind {
            MergeClauseKind::Matched => (and(matched_target, matched_source), None),
            MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => {
                (is_null(qualified(names.target, POSITION_COLUMN)), Some(names.source))
            }
            MergeClauseKind::NotMatchedBySource => {
                (is_null(qualified(names.source, SOURCE_COLUMN)), Some(names.target))
            }
        };
        let scoped = |mut expression: Expr| {
            if let Some(alias) = visible {
                qualify(&mut expression, alias);
            }
            expression
        };
        let condition = match &clause.predicate {
            Some(predicate) => and(kind, Expr::Nested(Box::new(scoped(predicate.clone())))),
            None => kind,
        };
        let (action, values) = match &clause.action {
            MergeAction::Delete { .. } => {
                (DELETE, table.columns.iter().map(|c| qualified(names.target, &c.name)).collect())
            }
            MergeAction::Update(update) if is_nothing(&update.assignments) => (0, Vec::new()),
            MergeAction::Update(update) => {
                let mut values: Vec<Expr> =
                    table.columns.iter().map(|c| qualified(names.target, &c.name)).collect();
                for (index, value) in assignments(table, own, &update.assignments)?.expressions() {
                    values[index] = scoped(value);
                }
                (UPDATE, values)
            }
            MergeAction::Insert(insert)
                if insert.columns.iter().any(|name| name.to_string().contains(NOTHING)) =>
            {
                (0, Vec::new())
            }
            MergeAction::Insert(insert) => {
                let MergeInsertKind::Values(given) = &insert.kind else {
                    return Err(Error::unsupported("INSERT ROW"));
                };
                let row = given.rows.first().map(|r| r.iter().cloned().collect::<Vec<_>>());
                let row = row.unwrap_or_default().into_iter().map(scoped).collect();
                (INSERT, insert_values((table, own), &insert.columns, row)?)
            }
        };
        Ok(Clause { condition, action, values })
    }
}

/// What the two sides are called.
struct Names<'a> {
    target: &'a str,
    source: &'a str,
}

fn is_nothing(assignments: &[ast::Assignment]) -> bool {
    assignments.iter().any(|a| a.target.to_string().contains(NOTHING))
}

/// A value per column from an INSERT's list; defaults for the others.
fn insert_values(
    (table, own): (&Table, &Own),
    columns: &[ast::ObjectName],
    row: Vec<Expr>,
) -> Result<Vec<Expr>> {
    let positions: Result<Vec<usize>> = match columns {
        [] => Ok((0..row.len().min(table.columns.len())).collect()),
        names => names.iter().map(|name| assigned_column(table, name)).collect(),
    };
    let positions = positions?;
    if positions.len() < row.len() {
        return Err(Error::new("42601", "INSERT has more expressions than target columns"));
    }
    if positions.len() > row.len() && !row.is_empty() {
        return Err(Error::new("42601", "INSERT has more target columns than expressions"));
    }
    let mut values = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        values.push(match &column.default {
            Some(text) => parse::parse_expression(text)?,
            None => null(),
        });
    }
    for (position, value) in positions.into_iter().zip(row) {
        let default = matches!(&value, Expr::CompoundIdentifier(parts)
            if parts.last().is_some_and(|p| p.quote_style.is_none()
                && p.value.eq_ignore_ascii_case("default")));
        if !default {
            own.check_insert(table, position)?;
            values[position] = value;
        }
    }
    Ok(values)
}

/// The source with a column that is never NULL, under its alias.
fn marked_source(source: TableFactor) -> Result<(TableFactor, String)> {
    let alias = match &source {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => alias.clone(),
            None => {
                let parts = crate::plan::parts(name)?;
                table_alias(parts.last().map_or("", String::as_str))
            }
        },
        TableFactor::Derived { alias: Some(alias), .. } => alias.clone(),
        _ => return Err(Error::new("42601", "the source of MERGE needs an alias")),
    };
    let name = crate::names::folded(&alias.name);
    let mut query = parse::parse_query(&format!("SELECT *, TRUE AS \"{SOURCE_COLUMN}\" FROM t"))?;
    if let ast::SetExpr::Select(select) = query.body.as_mut()
        && let Some(from) = select.from.first_mut()
    {
        from.relation = source;
    }
    let derived = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query),
        alias: Some(table_alias(&name)),
        sample: None,
    };
    Ok((derived, name))
}

pub(super) fn joined(source: TableFactor, join: JoinOperator, target: &str) -> TableWithJoins {
    let join = Join { relation: target_factor(target), global: false, join_operator: join };
    TableWithJoins { relation: source, joins: vec![join] }
}

pub(super) fn on(condition: Expr) -> JoinConstraint {
    JoinConstraint::On(condition)
}

/// The select list that `clauses` make.
pub(super) fn clause_items(
    clauses: &[Clause],
    table: &Table,
    target: &str,
) -> Vec<ast::SelectItem> {
    let action = |clause: &Clause| number(clause.action);
    let mut items = address_items(case(clauses, action, Some(number(0))), target);
    for index in 0..table.columns.len() {
        let value = |clause: &Clause| clause.values.get(index).cloned().unwrap_or_else(null);
        items.push(item(case(clauses, value, None), &format!("__sextant_{index}")));
    }
    items
}

fn case(clauses: &[Clause], result: impl Fn(&Clause) -> Expr, otherwise: Option<Expr>) -> Expr {
    if clauses.is_empty() {
        return otherwise.unwrap_or_else(null);
    }
    let when = |clause: &Clause| ast::CaseWhen {
        condition: clause.condition.clone(),
        result: result(clause),
    };
    Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: clauses.iter().map(when).collect(),
        else_result: otherwise.map(Box::new),
    }
}

pub(super) fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

pub(super) fn is_not_null(expression: Expr) -> Expr {
    Expr::IsNotNull(Box::new(expression))
}

pub(super) fn is_null(expression: Expr) -> Expr {
    Expr::IsNull(Box::new(expression))
}

/// Puts `alias` before every plain name: only that side is visible.
pub(super) fn qualify(expression: &mut Expr, alias: &str) {
    let _ = expression.visit(&mut Qualifier { alias, depth: 0 });
}

struct Qualifier<'a> {
    alias: &'a str,
    /// Inside a subquery names are its own.
    depth: usize,
}

impl VisitorMut for Qualifier<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::Identifier(name) = expression
        {
            *expression = Expr::CompoundIdentifier(vec![quoted(self.alias), name.clone()]);
        }
        ControlFlow::Continue(())
    }
}
