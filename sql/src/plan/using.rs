//! JOIN … USING: the joined column is one, with the value of whichever side has one; of an INNER,
//! LEFT or AS OF join that is the left's.
//!
//! The engine takes the side whose name comes first and does not know the column in WHERE, so the
//! statement says what is meant before it is planned:
//!
//! ```text
//!   SELECT k, * FROM a FULL JOIN b USING (k)
//!   SELECT coalesce(a.k, b.k) AS k, coalesce(a.k, b.k) AS k, a.* EXCLUDE (k), b.* EXCLUDE (k)
//!     FROM a FULL JOIN b ON a.k = b.k
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, ExcludeSelectItem, Expr, Ident, Join, JoinConstraint, JoinOperator,
    OrderBy, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor,
    TableWithJoins, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::object_name;
use crate::changes::quoted;
use crate::names::folded;

/// A column that joins, and the relations that have it.
struct Merged {
    column: String,
    relations: Vec<String>,
    /// Those among them that may have the value when the first has none.
    others: Vec<String>,
}

impl Merged {
    fn value(&self) -> Expr {
        let relations = self.relations.iter().take(1).chain(&self.others);
        let mut columns: Vec<Expr> = relations.map(|r| qualified(r, &self.column)).collect();
        match columns.len() {
            1 => columns.swap_remove(0),
            _ => super::convert::function("coalesce", &columns.iter().collect::<Vec<_>>()),
        }
    }
}

/// Rewrites a SELECT whose FROM has such a join.
pub(super) fn rewrite(select: &mut Select, order: Option<&mut OrderBy>) {
    let is_using = |join: &Join| matches!(constraint(join), Some(JoinConstraint::Using(_)));
    let [from] = select.from.as_mut_slice() else { return };
    if !from.joins.iter().any(is_using) {
        return;
    }
    let Some((merged, relations)) = merge(from) else { return };
    let items = std::mem::take(&mut select.projection);
    for item in items {
        match item {
            SelectItem::Wildcard(_) => expand(&mut select.projection, &merged, &relations),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) if find(&merged, &name).is_some() => {
                let alias = quoted(&folded(&name));
                let mut expr = Expr::Identifier(name);
                replace(&mut expr, &merged);
                select.projection.push(SelectItem::ExprWithAlias { expr, alias });
            }
            mut other => {
                replace(&mut other, &merged);
                select.projection.push(other);
            }
        }
    }
    replace(&mut select.selection, &merged);
    replace(&mut select.distinct, &merged);
    replace(&mut select.named_window, &merged);
    replace(&mut select.having, &merged);
    replace(&mut select.group_by, &merged);
    // A key that the select list gives is that column already.
    let given: Vec<String> = select.projection.iter().filter_map(output).collect();
    let hidden: Vec<Merged> =
        merged.into_iter().filter(|merged| !given.contains(&merged.column)).collect();
    if let Some(OrderBy { kind: OrderByKind::Expressions(keys), .. }) = order {
        keys.iter_mut().for_each(|key| replace(&mut key.expr, &hidden));
    }
}

/// Puts ON for USING; None, and nothing changed, if a relation has no name or a column is unclear.
fn merge(from: &mut TableWithJoins) -> Option<(Vec<Merged>, Vec<String>)> {
    let mut relations = vec![name(&from.relation)?];
    let mut merged: Vec<Merged> = Vec::new();
    let mut conditions = Vec::with_capacity(from.joins.len());
    for join in &from.joins {
        let right = name(&join.relation)?;
        let Some(JoinConstraint::Using(columns)) = constraint(join) else {
            conditions.push(None);
            relations.push(right);
            continue;
        };
        let mut condition: Option<Expr> = None;
        let as_of = match &join.join_operator {
            JoinOperator::AsOf { match_condition, .. } => Some(match_condition),
            _ => None,
        };
        let time = as_of.is_some_and(crate::asof::lacks_time).then(|| columns.last()).flatten();
        for column in columns {
            let op = match time == Some(column) {
                true => BinaryOperator::GtEq,
                false => BinaryOperator::Eq,
            };
            let (owner, column) = names_of(column)?;
            let known = merged.iter().position(|m| m.column == column);
            let at = match (known, relations.as_slice()) {
                (Some(at), _) => at,
                (None, [left]) => first(&mut merged, &column, left),
                (None, _) => first(&mut merged, &column, &owner?),
            };
            let equal = binary(merged[at].value(), op, qualified(&right, &column));
            merged[at].relations.push(right.clone());
            if keeps_right(join) {
                merged[at].others.push(right.clone());
            }
            condition = Some(match condition {
                None => equal,
                Some(before) => binary(before, BinaryOperator::And, equal),
            });
        }
        conditions.push(condition);
        relations.push(right);
        // In `*` the columns of the last join come first.
        let joined: Vec<String> =
            columns.iter().filter_map(names_of).map(|(_, column)| column).collect();
        merged.sort_by_key(|m| joined.iter().position(|c| *c == m.column).unwrap_or(usize::MAX));
    }
    for (join, condition) in from.joins.iter_mut().zip(conditions) {
        if let (Some(condition), Some(constraint)) = (condition, constraint_mut(join)) {
            *constraint = JoinConstraint::On(condition);
        }
    }
    Some((merged, relations))
}

/// A column that is joined for the first time, of a relation on the left.
fn first(merged: &mut Vec<Merged>, column: &str, left: &str) -> usize {
    let (column, relations) = (column.to_owned(), vec![left.to_owned()]);
    merged.push(Merged { column, relations, others: Vec::new() });
    merged.len() - 1
}

/// A column of USING, and the relation that has it where `natural.rs` has found it.
fn names_of(column: &ast::ObjectName) -> Option<(Option<String>, String)> {
    let mut names = column.0.iter().map(|part| part.as_ident().map(folded));
    match (names.next()??, names.next()) {
        (column, None) => Some((None, column)),
        (owner, Some(column)) => Some((Some(owner), column?)),
    }
}

/// Whether the join has rows of its right side alone.
fn keeps_right(join: &Join) -> bool {
    matches!(
        &join.join_operator,
        JoinOperator::FullOuter(_) | JoinOperator::Right(_) | JoinOperator::RightOuter(_)
    )
}

fn constraint(join: &Join) -> Option<&JoinConstraint> {
    match &join.join_operator {
        JoinOperator::Join(c)
        | JoinOperator::Inner(c)
        | JoinOperator::Left(c)
        | JoinOperator::LeftOuter(c)
        | JoinOperator::Right(c)
        | JoinOperator::RightOuter(c)
        | JoinOperator::FullOuter(c)
        | JoinOperator::AsOf { constraint: c, .. } => Some(c),
        _ => None,
    }
}

pub(super) fn constraint_mut(join: &mut Join) -> Option<&mut JoinConstraint> {
    match &mut join.join_operator {
        JoinOperator::Join(c)
        | JoinOperator::Inner(c)
        | JoinOperator::Left(c)
        | JoinOperator::LeftOuter(c)
        | JoinOperator::Right(c)
        | JoinOperator::RightOuter(c)
        | JoinOperator::FullOuter(c)
        | JoinOperator::AsOf { constraint: c, .. } => Some(c),
        _ => None,
    }
}

/// What a relation's columns are qualified by.
fn name(relation: &TableFactor) -> Option<String> {
    let (name, alias) = match relation {
        TableFactor::Table { name, alias, .. } => (name.0.last(), alias),
        TableFactor::Derived { alias, .. } => (None, alias),
        _ => return None,
    };
    match alias {
        Some(alias) => Some(folded(&alias.name)),
        None => name.and_then(|part| part.as_ident()).map(folded),
    }
}

fn qualified(relation: &str, column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![quoted(relation), quoted(column)])
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

/// `*`: the joined columns, then what else each relation has.
fn expand(items: &mut Vec<SelectItem>, merged: &[Merged], relations: &[String]) {
    for merged in merged {
        let alias = quoted(&merged.column);
        items.push(SelectItem::ExprWithAlias { expr: merged.value(), alias });
    }
    for relation in relations {
        let out = merged.iter().filter(|m| m.relations.contains(relation));
        let out: Vec<ast::ObjectName> = out.map(|m| object_name(&[m.column.as_str()])).collect();
        let options = WildcardAdditionalOptions {
            opt_exclude: (!out.is_empty()).then_some(ExcludeSelectItem::Multiple(out)),
            ..WildcardAdditionalOptions::default()
        };
        let name = object_name(&[relation.as_str()]);
        let kind = SelectItemQualifiedWildcardKind::ObjectName(name);
        items.push(SelectItem::QualifiedWildcard(kind, options));
    }
}

fn output(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(folded(name)),
        _ => None,
    }
}

fn find<'m>(merged: &'m [Merged], name: &Ident) -> Option<&'m Merged> {
    let name = folded(name);
    merged.iter().find(|merged| merged.column == name)
}

/// Replaces the joined columns where they stand without a qualifier, subqueries left aside.
fn replace(tree: &mut impl VisitMut, merged: &[Merged]) {
    let _ = tree.visit(&mut Replacer { merged, depth: 0 });
}

struct Replacer<'m> {
    merged: &'m [Merged],
    depth: usize,
}

impl VisitorMut for Replacer<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::Identifier(name) = expression
            && let Some(merged) = find(self.merged, name)
        {
            let span = name.span;
            *expression = merged.value();
            if let Expr::CompoundIdentifier(parts) = expression {
                parts.iter_mut().for_each(|part| part.span = span);
            }
        }
        ControlFlow::Continue(())
    }
}
