//! Series of parameters in FROM, `generate_series(1, $1)`: planned as a list that is unnested,
//! since a table needs its values; once they are there its rows are made as they are read, in
//! bounded memory and so that they can be cancelled.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Unnest, cast};

use super::folded;
use crate::error::Result;
use crate::functions::series;

/// The relation that the rows of a series are read from.
const RELATION: &str = "\u{1}series";

/// The plan with lists that are nothing but series of constants read as rows.
pub fn rows_of_series(plan: LogicalPlan, engine: &SessionState) -> EngineResult<LogicalPlan> {
    let replaced = plan.transform_up_with_subqueries(|node| match &node {
        LogicalPlan::Unnest(unnest) => match constant(unnest) {
            Some(call) => Ok(Transformed::yes(rows(unnest, call, engine)?)),
            None => Ok(Transformed::no(node)),
        },
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(replaced.data)
}

/// The series of constants that is unnested, if that is all.
fn constant(unnest: &Unnest) -> Option<&ScalarFunction> {
    let LogicalPlan::Projection(select) = unnest.input.as_ref() else { return None };
    let LogicalPlan::EmptyRelation(one) = select.input.as_ref() else { return None };
    let ([item], [_]) = (select.expr.as_slice(), unnest.exec_columns.as_slice()) else {
        return None;
    };
    let item = match item {
        Expr::Alias(alias) => alias.expr.as_ref(),
        other => other,
    };
    let Expr::ScalarFunction(call) = item else { return None };
    let literals = call.args.iter().all(|value| match value {
        Expr::Cast(cast) => matches!(cast.expr.as_ref(), Expr::Literal(..)),
        value => matches!(value, Expr::Literal(..)),
    });
    (one.produce_one_row && literals && call.func.name() == series::NAME).then_some(call)
}

fn rows(
    unnest: &Unnest,
    call: &ScalarFunction,
    engine: &SessionState,
) -> EngineResult<LogicalPlan> {
    let values = call.args.iter().map(|value| folded(engine, value.clone()));
    let source = provider_as_source(table(values.collect::<Result<_>>()?)?);
    let scan = LogicalPlanBuilder::scan(RELATION, source, None)?;
    let given = scan.schema().columns();
    let items = unnest.schema.iter().zip(given).map(|((qualifier, field), column)| {
        let value = cast(Expr::Column(column), field.data_type().clone());
        value.alias_qualified(qualifier.cloned(), field.name())
    });
    let items: Vec<Expr> = items.collect();
    scan.project(items)?.build()
}

/// The rows of a series; the zone that its calendar is of may stand behind start, stop and step.
pub(super) fn table(values: Vec<ScalarValue>) -> Result<Arc<dyn TableProvider>> {
    let mut values = values;
    let zone = values.pop_if(|value| value.data_type() == DataType::Utf8);
    let zone = zone.as_ref().and_then(|zone| zone.try_as_str().flatten()).unwrap_or("UTC");
    let given: Vec<DataType> = values.iter().map(ScalarValue::data_type).collect();
    match series::types(&given) {
        Some(_) => Ok(series::table(&values, zone)?),
        None => Err(series::undefined(&given)),
    }
}
