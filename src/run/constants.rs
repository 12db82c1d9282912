//! Queries whose answer is in the plan, as `SELECT 1`, by which pools ask whether a connection
//! lives: no operators are made for them.

use datafusion::arrow::array::RecordBatch;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// The only row of an optimized plan that is one row of constants.
pub(super) fn row(plan: &LogicalPlan) -> Option<RecordBatch> {
    let LogicalPlan::Projection(projection) = plan else { return None };
    match projection.input.as_ref() {
        LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => {}
        _ => return None,
    }
    let value = |mut expression: &Expr| loop {
        match expression {
            Expr::Alias(alias) => expression = &alias.expr,
            Expr::Literal(value, _) => return value.to_array().ok(),
            _ => return None,
        }
    };
    let columns = projection.expr.iter().map(value).collect::<Option<Vec<_>>>()?;
    RecordBatch::try_new(projection.schema.inner().clone(), columns).ok()
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn optimized(query: &str) -> LogicalPlan {
        let context = SessionContext::new();
        let frame = context.sql(query).await.unwrap();
        frame.into_optimized_plan().unwrap()
    }

    #[tokio::test]
    async fn a_row_of_constants_is_found_and_nothing_else() {
        let row = row(&optimized("select 1 as a, 'x' || 'y' as b, null as c").await).unwrap();
        let shown = datafusion::arrow::util::pretty::pretty_format_batches(&[row]).unwrap();
        assert!(shown.to_string().contains("| 1 | xy |   |"), "{shown}");
        for query in ["select random()", "select 1 where false", "select * from (values (1), (2))"]
        {
            assert!(super::row(&optimized(query).await).is_none(), "{query}");
        }
    }
}
