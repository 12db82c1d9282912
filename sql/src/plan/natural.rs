//! NATURAL JOIN is a JOIN USING of the columns that both sides have, and `a JOIN b … JOIN c
//! USING (x)` says which of `a` and `b` has `x`: `USING (a.x)`, which `using.rs` reads.

use std::ops::ControlFlow;

use catalog::Relation;
use datafusion::sql::sqlparser::ast::{
    Expr, Join, JoinConstraint, ObjectName, Query, Select, SelectItem, SetExpr, Statement,
    TableFactor, TableWithJoins, VisitMut, VisitorMut,
};

use super::{Environment, Found, Lakes, object_name, parts};
use crate::names::folded;

/// Spells out every such join of relations whose columns are known.
pub(super) fn spell_out(environment: &Environment, lakes: &Lakes, statement: &mut Statement) {
    let _ =
        statement.visit(&mut Speller { environment, lakes, with: Vec::new(), outside: Vec::new() });
}

struct Speller<'a> {
    environment: &'a Environment,
    lakes: &'a Lakes,
    /// WITH queries, which hide relations, and their columns where they are known.
    with: Vec<(String, Option<Vec<String>>)>,
    /// How many of them were there outside of each query that is being visited.
    outside: Vec<usize>,
}

/// A relation of FROM: what its columns are qualified by, and their names.
struct Known {
    name: String,
    columns: Vec<String>,
}

impl VisitorMut for Speller<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.outside.push(self.with.len());
        self.with.extend(with.map(|cte| {
            let columns = match cte.alias.columns.as_slice() {
                [] => selected(&cte.query),
                columns => Some(columns.iter().map(|column| folded(&column.name)).collect()),
            };
            (folded(&cte.alias.name), columns)
        }));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.with.truncate(self.outside.pop().unwrap_or_default());
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for from in &mut select.from {
            flatten(from);
            self.joins(from);
        }
        ControlFlow::Continue(())
    }
}

/// `(a JOIN b …) JOIN c …` without its parentheses.
fn flatten(from: &mut TableWithJoins) {
    while let TableFactor::NestedJoin { table_with_joins, alias: None } = &mut from.relation {
        let relation = table_with_joins.relation.clone();
        let joins = std::mem::take(&mut table_with_joins.joins);
        from.joins.splice(0..0, joins);
        from.relation = relation;
    }
}

impl Speller<'_> {
    fn joins(&self, from: &mut TableWithJoins) {
        let concerned = |join: &mut Join| {
            let constraint = super::using::constraint_mut(join);
            matches!(constraint, Some(JoinConstraint::Natural | JoinConstraint::Using(_)))
        };
        if !from.joins.iter_mut().any(concerned) {
            return;
        }
        let Some(first) = self.known(&from.relation) else { return };
        let mut left = vec![first];
        for join in &mut from.joins {
            let Some(right) = self.known(&join.relation) else { return };
            if let Some(constraint) = super::using::constraint_mut(join) {
                spell(constraint, &left, &right);
            }
            left.push(right);
        }
    }

    fn known(&self, factor: &TableFactor) -> Option<Known> {
        let (alias, own, columns) = match factor {
            TableFactor::Table { name, args: None, version: None, alias, .. } => {
                let parts = parts(name).ok()?;
                (alias, parts.last()?.clone(), self.columns(&parts)?)
            }
            TableFactor::Derived { subquery, alias, .. } => {
                (alias, String::new(), selected(subquery)?)
            }
            _ => return None,
        };
        match alias {
            None => Some(Known { name: own, columns }),
            Some(alias) => {
                let renamed = alias.columns.iter().map(|column| folded(&column.name));
                let rest = columns.into_iter().skip(alias.columns.len());
                let columns = renamed.chain(rest).collect();
                Some(Known { name: folded(&alias.name), columns })
            }
        }
    }

    /// The columns of a relation or WITH query.
    fn columns(&self, parts: &[String]) -> Option<Vec<String>> {
        if let [name] = parts
            && let Some((_, columns)) = self.with.iter().rev().find(|(with, _)| with == name)
        {
            return columns.clone();
        }
        match self.environment.find(self.lakes, parts).ok()?? {
            (_, Found::Relation(Relation::Table(table))) => {
                Some(table.columns.iter().map(|column| column.name.clone()).collect())
            }
            (_, Found::Relation(Relation::View(view))) => {
                Some(view.columns.iter().map(|field| field.name().clone()).collect())
            }
            (_, Found::External(_)) => None,
        }
    }
}

/// The names of a query's columns, if all are written.
fn selected(query: &Query) -> Option<Vec<String>> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let name = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(folded(name)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(folded),
        _ => None,
    };
    select.projection.iter().map(name).collect()
}

fn spell(constraint: &mut JoinConstraint, left: &[Known], right: &Known) {
    let owner = |column: &String| {
        let mut all = left.iter().filter(|known| known.columns.contains(column));
        all.next().map(|known| known.name.clone())
    };
    match constraint {
        JoinConstraint::Natural => {
            let mut shared: Vec<ObjectName> = Vec::new();
            for column in left.iter().flat_map(|known| &known.columns) {
                let name = match owner(column) {
                    Some(owner) if left.len() > 1 => object_name(&[&owner, column]),
                    _ => object_name(&[column.as_str()]),
                };
                if right.columns.contains(column) && !shared.contains(&name) {
                    shared.push(name);
                }
            }
            if !shared.is_empty() {
                *constraint = JoinConstraint::Using(shared);
            }
        }
        JoinConstraint::Using(columns) if left.len() > 1 => {
            for column in columns.iter_mut().filter(|column| column.0.len() == 1) {
                let Some(name) = column.0[0].as_ident().map(folded) else { continue };
                if let Some(owner) = owner(&name) {
                    *column = object_name(&[&owner, &name]);
                }
            }
        }
        _ => {}
    }
}
