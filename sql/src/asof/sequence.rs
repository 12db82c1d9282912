//! The order in which the right side's rows were written, where it is a table's rows that they are.
//!
//! A hidden column of the table is carried up through aliases, filters and projections. Rows of
//! joins and aggregates were never written: those that agree in time go by what is in them.

use std::sync::Arc;

use catalog::{LakeTable, SEQUENCE_COLUMN};
use datafusion::common::{Column, Result as EngineResult, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{
    Expr, Filter, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias,
};

/// The plan with the column, and the column; None: the plan as it is.
pub(crate) fn sequenced(plan: &LogicalPlan) -> EngineResult<Option<(LogicalPlan, Expr)>> {
    Ok(match plan {
        LogicalPlan::TableScan(scan) if scan.projection.is_none() && scan.fetch.is_none() => {
            let provider = source_as_provider(&scan.source)?;
            let Some(table) = provider.downcast_ref::<LakeTable>().and_then(LakeTable::sequenced)
            else {
                return Ok(None);
            };
            let (name, filters) = (scan.table_name.clone(), scan.filters.clone());
            let source = provider_as_source(Arc::new(table));
            let plan = LogicalPlanBuilder::scan_with_filters(name.clone(), source, None, filters)?;
            Some((plan.build()?, column(Some(name))))
        }
        LogicalPlan::SubqueryAlias(alias) => match sequenced(&alias.input)? {
            Some((input, _)) => {
                let plan = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
                Some((LogicalPlan::SubqueryAlias(plan), column(Some(alias.alias.clone()))))
            }
            None => None,
        },
        LogicalPlan::Filter(filter) => match sequenced(&filter.input)? {
            Some((input, sequence)) => {
                let plan = Filter::try_new(filter.predicate.clone(), Arc::new(input))?;
                Some((LogicalPlan::Filter(plan), sequence))
            }
            None => None,
        },
        // Rows that were kept carry it themselves.
        LogicalPlan::Projection(projection)
            if projection.input.schema().has_column_with_unqualified_name(SEQUENCE_COLUMN) =>
        {
            let mut items = projection.expr.clone();
            items.push(column(None));
            let plan = Projection::try_new(items, Arc::clone(&projection.input))?;
            Some((LogicalPlan::Projection(plan), column(None)))
        }
        LogicalPlan::Projection(projection) => match sequenced(&projection.input)? {
            Some((input, sequence)) => {
                let mut items = projection.expr.clone();
                items.push(sequence.clone());
                let plan = Projection::try_new(items, Arc::new(input))?;
                Some((LogicalPlan::Projection(plan), sequence))
            }
            None => None,
        },
        _ => None,
    })
}

fn column(relation: Option<TableReference>) -> Expr {
    Expr::Column(Column::new(relation, SEQUENCE_COLUMN))
}
