//! Whether the rows that a table has satisfy what is to be declared of it.

use catalog::Constraint;
use datafusion::datasource::provider_as_source;
use datafusion::physical_plan::execute_stream;
use datafusion::sql::sqlparser::ast::{self, UnaryOperator};
use futures::StreamExt;

use super::{TARGET, item, number, quoted, select, target_factor};
use crate::error::{Error, ErrorObject, Result};
use crate::plan::{self, Given, Place};
use crate::statements::Context;
use crate::{parse, statements};

/// ALTER COLUMN … SET NOT NULL: fails if a row has NULL in the column (23502), which the error
/// calls `name`.
pub(crate) async fn not_null(
    context: &mut Context<'_>,
    place: &Place,
    column: &str,
    name: &str,
) -> Result<()> {
    let is_null = ast::Expr::IsNull(Box::new(ast::Expr::Identifier(quoted(column))));
    match any(context, place, is_null).await? {
        false => Ok(()),
        true => {
            let message =
                format!("column \"{name}\" of relation \"{}\" contains null values", place.name);
            Err(Error::new("23502", message).about(ErrorObject::column(place, name)))
        }
    }
}

/// ADD CONSTRAINT … CHECK: fails if it is false for a row (23514).
pub(crate) async fn check(
    context: &mut Context<'_>,
    place: &Place,
    constraint: &Constraint,
) -> Result<()> {
    let Constraint::Check { name, expression } = constraint else { return Ok(()) };
    let expression = Box::new(ast::Expr::Nested(Box::new(parse::parse_expression(expression)?)));
    let broken = ast::Expr::UnaryOp { op: UnaryOperator::Not, expr: expression };
    match any(context, place, broken).await? {
        false => Ok(()),
        true => {
            let relation = &place.name;
            let message = format!(
                "check constraint \"{name}\" of relation \"{relation}\" is violated by some row"
            );
            Err(Error::new("23514", message).about(ErrorObject::constraint(place, name)))
        }
    }
}

/// Whether the predicate holds for any row. The table must not change until the commit.
async fn any(context: &mut Context<'_>, place: &Place, predicate: ast::Expr) -> Result<bool> {
    let table = statements::current(context, place)?;
    let id = table.id;
    let provider = plan::lake_table(context.lakes, place, table, false).await?;
    let overrides = vec![(TARGET.to_string(), Given::Table(provider_as_source(provider)))];
    let from = ast::TableWithJoins { relation: target_factor(&place.name), joins: Vec::new() };
    let query = select(vec![item(number(1), "found")], vec![from], Some(predicate))?;
    let environment = context.environment;
    let plan = plan::plan_query(environment, context.lakes, query, &[], overrides).await?;
    let physical = environment.engine.create_physical_plan(&plan).await?;
    let mut rows = execute_stream(physical, environment.engine.task_ctx())?;
    context.lakes.of(place).depends_on(id);
    while let Some(batch) = rows.next().await {
        if batch?.num_rows() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}
