//! `tableoid` of a system relation is a constant: the relation's number in `pg_class`.
//!
//! ```text
//!   FROM pg_cast c JOIN pg_description d ON d.classoid = c.tableoid     … = oid_input('2605')
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Select, TableFactor, Value, VisitMut, VisitorMut};

use super::function;
use crate::names::folded;
use crate::system::relation_oid;

const NAME: &str = "tableoid";

/// Folds it in a SELECT; those in subqueries are folded before.
pub(super) fn fold(select: &mut Select) {
    let factors = select.from.iter().flat_map(|from| {
        std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))
    });
    let relations: Vec<(String, i64)> = factors.filter_map(relation).collect();
    if !relations.is_empty() {
        let _ = select.visit(&mut Folder { relations });
    }
}

/// What a system relation is called here, and its number.
fn relation(factor: &TableFactor) -> Option<(String, i64)> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
    let parts: Option<Vec<String>> =
        name.0.iter().map(|part| part.as_ident().map(folded)).collect();
    let oid = match parts?.as_slice() {
        [name] => relation_oid("pg_catalog", name),
        [.., schema, name] => relation_oid(schema, name),
        [] => None,
    };
    let called = alias.as_ref().map(|alias| &alias.name);
    let called = called.or_else(|| name.0.last()?.as_ident())?;
    Some((folded(called), oid?))
}

struct Folder {
    relations: Vec<(String, i64)>,
}

impl VisitorMut for Folder {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let oid = match expression {
            Expr::Identifier(name) if folded(name) == NAME => match self.relations.as_slice() {
                [(_, oid)] => Some(*oid),
                _ => None,
            },
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [relation, name] if folded(name) == NAME => {
                    let relation = folded(relation);
                    let mut all = self.relations.iter();
                    all.find(|(called, _)| *called == relation).map(|(_, oid)| *oid)
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(oid) = oid {
            let number = Value::SingleQuotedString(oid.to_string());
            *expression = function("oid_input", &[&Expr::Value(number.into())]);
        }
        ControlFlow::Continue(())
    }
}
