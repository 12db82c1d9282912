//! The expressions of a definition, checked when it is made: DEFAULT, CHECK, GENERATED AS.

use std::ops::ControlFlow;

use catalog::types::value_text;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, DataFusionError, ToDFSchema};
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility};
use datafusion::sql::sqlparser::ast::{self, visit_expressions};

use crate::changes::assigned;
use crate::error::{Error, Result};
use crate::parse;
use crate::plan::{self, Environment};

/// What a default is for the rows that are there when its column is added.
pub(super) enum Present {
    /// The same for all of them, in the catalog's text form; None is NULL.
    Same(Option<String>),
    /// Another for each.
    Computed,
}

/// A DEFAULT for a column: it uses no columns and gives the column's type.
pub(super) fn default(environment: &Environment, text: &str, field: &Field) -> Result<Present> {
    let syntax = parse::parse_expression(text)?;
    no_subquery(&syntax, "DEFAULT expression")?;
    let schema = DFSchema::empty();
    let planned = plan::expression(environment, syntax, &schema).map_err(|error| match &error {
        Error::Engine(engine) if matches!(engine.find_root(), DataFusionError::SchemaError(..)) => {
            Error::new("0A000", "cannot use column reference in DEFAULT expression")
        }
        _ => error,
    })?;
    one_row(&planned, "DEFAULT expressions")?;
    let volatile = planned.is_volatile();
    let value = assigned(planned, field, &schema, &environment.engine)?;
    if volatile {
        return Ok(Present::Computed);
    }
    let value = plan::folded(&environment.engine, value)?;
    Ok(Present::Same(value_text(value.to_array()?.as_ref(), 0)))
}

/// A CHECK of a table with these columns: a condition on one row.
pub(super) fn check(environment: &Environment, text: &str, columns: Vec<Field>) -> Result<()> {
    let syntax = parse::parse_expression(text)?;
    no_subquery(&syntax, "check constraint")?;
    let schema = Schema::new(columns).to_dfschema()?;
    let planned = plan::expression(environment, syntax, &schema)?;
    one_row(&planned, "check constraints")?;
    match planned.get_type(&schema)? {
        DataType::Boolean | DataType::Null => Ok(()),
        other => {
            let shown = crate::types::describe(&Field::new("", other, true)).data_type;
            let message = format!("argument of CHECK must be type boolean, not type {shown}");
            Err(Error::new("42804", message))
        }
    }
}

/// What a column is computed from: `columns` of the same row that are not computed themselves, by
/// functions that give the same result every time.
///
/// Errors: 42P17 for other columns and functions, 42804 for another type.
pub(super) fn generated(
    environment: &Environment,
    (text, field): (&str, &Field),
    columns: Vec<Field>,
    computed: &[&str],
) -> Result<()> {
    let syntax = parse::parse_expression(text)?;
    no_subquery(&syntax, "column generation expression")?;
    let schema = Schema::new(columns).to_dfschema()?;
    let planned = plan::expression(environment, syntax, &schema)?;
    let own = planned.column_refs().into_iter().find(|c| computed.contains(&c.name.as_str()));
    if let Some(own) = own {
        let message =
            format!("cannot use generated column \"{}\" in column generation expression", own.name);
        return Err(Error::new("42P17", message)
            .with_detail("A generated column cannot reference another generated column."));
    }
    one_row(&planned, "column generation expressions")?;
    let changes = |part: &Expr| match part {
        Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
        _ => false,
    };
    if planned.exists(|part| Ok(changes(part)))? {
        return Err(Error::new("42P17", "generation expression is not immutable"));
    }
    let is_text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::Utf8View);
    if !matches!(planned, Expr::Literal(..))
        && is_text(&planned.get_type(&schema)?)
        && !is_text(field.data_type())
    {
        let (name, wanted) = (field.name(), crate::types::describe(field).data_type);
        let message =
            format!("column \"{name}\" is of type {wanted} but default expression is of type text");
        return Err(Error::new("42804", message)
            .with_hint("You will need to rewrite or cast the expression."));
    }
    assigned(planned, field, &schema, &environment.engine).map(|_| ())
}

fn no_subquery(expression: &ast::Expr, place: &str) -> Result<()> {
    let found = visit_expressions(expression, |e| match e {
        ast::Expr::Subquery(_) | ast::Expr::Exists { .. } | ast::Expr::InSubquery { .. } => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            Err(Error::new("0A000", format!("cannot use subquery in {place}")))
        }
    }
}

fn one_row(expression: &Expr, place: &str) -> Result<()> {
    if expression.exists(|e| Ok(matches!(e, Expr::AggregateFunction(_))))? {
        let message = format!("aggregate functions are not allowed in {place}");
        return Err(Error::new("42803", message));
    }
    if expression.exists(|e| Ok(matches!(e, Expr::WindowFunction(_))))? {
        return Err(Error::new("42P20", format!("window functions are not allowed in {place}")));
    }
    Ok(())
}
