//! Both terms of WITH RECURSIVE give columns without a table's metadata: the engine wants them to
//! be the same in every round.

use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, RecursiveQuery};
use std::sync::Arc;

use crate::functions::bare;

pub(super) fn bared(node: LogicalPlan) -> EngineResult<LogicalPlan> {
    let LogicalPlan::RecursiveQuery(query) = node else { return Ok(node) };
    let bared = |term: &LogicalPlan| {
        let items = term.schema().columns().into_iter().map(|column| {
            let name = column.name.clone();
            bare::function().call(vec![Expr::Column(column)]).alias(name)
        });
        let items: Vec<Expr> = items.collect();
        LogicalPlanBuilder::from(term.clone()).project(items)?.build().map(Arc::new)
    };
    let (static_term, recursive_term) = (bared(&query.static_term)?, bared(&query.recursive_term)?);
    Ok(LogicalPlan::RecursiveQuery(RecursiveQuery { static_term, recursive_term, ..query }))
}
