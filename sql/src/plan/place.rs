//! Where in a statement an error is, line and column from 1: the planner and the optimizer know
//! values and names, not where they were written.

use std::ops::ControlFlow;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    self, Expr as Sql, Spanned, Statement, Value, ValueWithSpan, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::folded;
use crate::error::Error;
use crate::names;

/// Line and column, from 1.
pub type Place = (u64, u64);

/// The first call of a function.
pub fn of_call(statement: &Statement, name: &str) -> Option<Place> {
    let mut found = Calls { name, first: None };
    let _ = statement.visit(&mut found);
    found.first
}

/// The literal whose text is no value of the type that it is for, so that `is_it` knows the error.
pub fn of_literal(
    statement: &Statement,
    plan: &LogicalPlan,
    engine: &SessionState,
    is_it: impl Fn(Error) -> bool,
) -> Option<Place> {
    let fails = |expression: Expr| folded(engine, expression).is_err_and(|error| is_it(error));
    let mut text = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|whole| {
            whole.apply(|expression| {
                let mut all = read_by(expression, node).into_iter();
                text = all.find(|(_, read)| fails(read.clone())).map(|(text, _)| text);
                Ok(match text {
                    Some(_) => TreeNodeRecursion::Stop,
                    None => TreeNodeRecursion::Continue,
                })
            })
        })
    })
    .ok()?;
    of_text(statement, &text?)
}

/// The first literal of a text, rather one that is cast.
pub fn of_text(statement: &Statement, text: &str) -> Option<Place> {
    let mut found = Literals { text, cast: None, first: None };
    let _ = statement.visit(&mut found);
    found.cast.or(found.first)
}

/// The texts of literals that an expression of a node reads as another type, and how it does.
fn read_by(expression: &Expr, node: &LogicalPlan) -> Vec<(String, Expr)> {
    let value = match expression {
        Expr::Cast(cast) => Some(cast.expr.as_ref()),
        // Behind the text are the zone and the like.
        Expr::ScalarFunction(call) if call.func.name().ends_with("_input") => call.args.first(),
        _ => None,
    };
    match value {
        Some(Expr::Literal(ScalarValue::Utf8(Some(text)), _)) => {
            vec![(text.clone(), expression.clone())]
        }
        Some(Expr::Column(column)) => {
            let with = |literal: &Expr| {
                let put = |e: Expr| {
                    Ok(match &e {
                        Expr::Column(other) if other == column => Transformed::yes(literal.clone()),
                        _ => Transformed::no(e),
                    })
                };
                expression.clone().transform_up(put).map(|new| new.data)
            };
            let literals = node.inputs().first().map(|input| of_values(input, column));
            let literals = literals.unwrap_or_default().into_iter();
            literals.filter_map(|(text, value)| Some((text, with(&value).ok()?))).collect()
        }
        _ => Vec::new(),
    }
}

/// The literals that VALUES has in a column.
fn of_values(plan: &LogicalPlan, column: &Column) -> Vec<(String, Expr)> {
    let Some(place) = plan.schema().maybe_index_of_column(column) else { return Vec::new() };
    match plan {
        LogicalPlan::Values(values) => {
            let items = values.values.iter().filter_map(|row| row.get(place));
            let literal = |item: &Expr| match item {
                Expr::Literal(ScalarValue::Utf8(Some(text)), _) => {
                    Some((text.clone(), item.clone()))
                }
                _ => None,
            };
            items.filter_map(literal).collect()
        }
        LogicalPlan::Projection(select) => {
            let item = select.expr.get(place).cloned().map(Expr::unalias);
            match item {
                Some(Expr::Column(below)) => of_values(&select.input, &below),
                _ => Vec::new(),
            }
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (qualifier, field) = alias.input.schema().qualified_field(place);
            of_values(&alias.input, &Column::from((qualifier, field)))
        }
        _ => Vec::new(),
    }
}

fn place(location: Location) -> Option<Place> {
    (location.line > 0).then_some((location.line, location.column))
}

struct Calls<'a> {
    name: &'a str,
    first: Option<Place>,
}

impl Visitor for Calls<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Sql) -> ControlFlow<()> {
        if let Sql::Function(call) = expression
            && let Some(last) = call.name.0.last().and_then(|part| part.as_ident())
            && names::folded(last) == self.name
        {
            self.first = place(call.name.span().start);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// A literal that is cast comes before others of the same text.
struct Literals<'a> {
    text: &'a str,
    cast: Option<Place>,
    first: Option<Place>,
}

impl Literals<'_> {
    fn is(&self, value: &ValueWithSpan) -> Option<Place> {
        let text = match &value.value {
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text) => text,
            Value::DollarQuotedString(quoted) => &quoted.value,
            _ => return None,
        };
        (text == self.text).then(|| place(value.span.start)).flatten()
    }
}

impl Visitor for Literals<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Sql) -> ControlFlow<()> {
        let (cast, other) = match expression {
            Sql::Cast { expr, .. } => match expr.as_ref() {
                Sql::Value(value) => (self.is(value), None),
                _ => (None, None),
            },
            Sql::TypedString(ast::TypedString { value, .. }) => (self.is(value), None),
            Sql::Value(value) => (None, self.is(value)),
            _ => (None, None),
        };
        self.cast = self.cast.or(cast);
        self.first = self.first.or(other);
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(sql: &str) -> Statement {
        Statement::Query(Box::new(crate::parse::parse_query(sql).unwrap()))
    }

    #[test]
    fn the_first_call_of_the_name() {
        let query = statement("select lower('a'),\n  nothing(1), s.Nothing(2)");
        assert_eq!(of_call(&query, "nothing"), Some((2, 3)));
        assert_eq!(of_call(&query, "upper"), None);
    }

    // PostgreSQL 15: `select 'x', 'x'::int` has its error at character 13.
    #[test]
    fn a_literal_that_is_cast_comes_first() {
        assert_eq!(of_text(&statement("select 'x', 'x'::int"), "x"), Some((1, 13)));
        assert_eq!(of_text(&statement("select 'x' = a"), "x"), Some((1, 8)));
        assert_eq!(of_text(&statement("select 'x'"), "y"), None);
    }
}
