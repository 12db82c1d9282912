//! Columns that are computed from windows, as expressions: planned as a query of its own over a
//! relation that has the windows' answers as columns, so that they mean what they would in any.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result as EngineResult};
use datafusion::logical_expr::{EmptyRelation, Expr, ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::ast::{Ident, SelectItem, SetExpr, Statement};

use super::syntax::Made;
use crate::error::{Error, Result};
use crate::parse;
use crate::plan::{self, Environment, Given, Lakes};

/// The relation of the answers.
const ANSWERS: &str = "\u{3}answers";

/// The made columns over `known`, the rows' columns and the features; `values`: each call's.
pub(super) async fn planned(
    environment: &Environment,
    lakes: &Lakes,
    (made, values): (&[Made], &HashMap<String, Expr>),
    known: &DFSchema,
    depth: usize,
) -> Result<Vec<Expr>> {
    let mut fields: Vec<_> =
        known.iter().map(|(of, field)| (of.cloned(), Arc::clone(field))).collect();
    for (name, value) in values {
        let (_, field) = value.to_field(known)?;
        fields.push((None, Arc::new(field.as_ref().clone().with_name(name).with_nullable(true))));
    }
    let schema = Arc::new(DFSchema::new_with_metadata(fields, HashMap::new())?);
    let answers = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema });
    let mut query = parse::parse_query("SELECT 1 FROM x")?;
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(from) = select.from.first_mut()
    {
        let item = |(place, made): (usize, &Made)| SelectItem::ExprWithAlias {
            expr: made.expression.clone(),
            alias: Ident::with_quote('"', place.to_string()),
        };
        select.projection = made.iter().enumerate().map(item).collect();
        from.relation = plan::table_factor(plan::object_name(&[ANSWERS]), None);
    }
    let statement = Statement::Query(Box::new(query));
    let given = vec![(ANSWERS.to_owned(), Given::Plan(answers))];
    let planned = plan::plan_at_depth(environment, lakes, statement, &[], given, depth);
    let planned = Box::pin(planned).await?;
    let made = (0..made.len()).map(|place| {
        let expression = over_answers(&planned, place)?;
        let told = expression.transform(|part| match &part {
            Expr::Column(column) if let Some(value) = values.get(&column.name) => {
                Ok(Transformed::yes(value.clone()))
            }
            _ => Ok(Transformed::no(part)),
        });
        Ok(told?.data)
    });
    made.collect()
}

/// A column of a plan as an expression over the relation below its projections.
fn over_answers(plan: &LogicalPlan, place: usize) -> Result<Expr> {
    let unsupported = || {
        Error::unsupported("this expression of windows")
            .with_hint("Select the windows, and compute with them where the view is joined.")
    };
    let projection = match plan {
        LogicalPlan::Projection(projection) => projection,
        LogicalPlan::EmptyRelation(of) => {
            let column = of.schema.columns().get(place).cloned();
            return column.map(Expr::Column).ok_or_else(unsupported);
        }
        _ => return Err(unsupported()),
    };
    let expression = projection.expr.get(place).ok_or_else(unsupported)?;
    let below = expression.clone().unalias_nested().data.transform(|part| {
        let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
        let place = projection.input.schema().index_of_column(column)?;
        Ok(Transformed::yes(over_answers(&projection.input, place)?))
    });
    Ok(below?.data)
}

/// What a column of a plan is, as far down as projections go.
pub(super) fn source(plan: &LogicalPlan, place: usize) -> Expr {
    let below = |plan: &LogicalPlan| -> EngineResult<Expr> {
        let LogicalPlan::Projection(projection) = plan else {
            let (of, field) = plan.schema().qualified_field(place);
            return Ok(Expr::Column(Column::from((of, field))));
        };
        let Some(expression) = projection.expr.get(place) else {
            return datafusion::common::internal_err!("a projection lacks a column");
        };
        let input = &projection.input;
        let below = expression.clone().unalias_nested().data.transform(|part| {
            let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
            let LogicalPlan::Projection(_) = input.as_ref() else {
                return Ok(Transformed::no(part));
            };
            let place = input.schema().index_of_column(column)?;
            Ok(Transformed::yes(source(input, place)))
        });
        Ok(below?.data)
    };
    below(plan).unwrap_or_else(|_| Expr::Column(plan.schema().columns().swap_remove(place)))
}
