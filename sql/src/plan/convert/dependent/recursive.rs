//! A correlated WITH RECURSIVE for all values of its domain at once: its rows carry the values
//! they are of, the keys.
//!
//! ```text
//!   static term      pushed as any other plan: its columns and the keys
//!   the work table   has the keys too; the recursive term reads of it
//!                    (SELECT columns FROM work table WHERE keys = those of the outer row)
//!   recursive term   so correlated, pushed like the static one
//! ```

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result as EngineResult};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, RecursiveQuery, TableScan,
    binary_expr,
};

use super::super::as_field;
use super::push::{again, push, unsupported};
use super::{Keys, unique};

/// See `push`.
pub(super) fn push_recursive(
    query: &RecursiveQuery,
    domain: &LogicalPlan,
    keys: &Keys,
) -> EngineResult<(LogicalPlan, Vec<Column>)> {
    let names: Vec<String> = keys.iter().map(|_| unique("key")).collect();
    let columns = query.schema.columns();
    let first = carried(&query.static_term, domain, keys, &names)?;
    let work = Work { name: unique("work"), of: &query.name, keys, names: &names, domain };
    let step = work.correlated(&query.recursive_term)?;
    let (domain, keys) = again(domain, keys)?;
    let step = carried(&step, &domain, &keys, &names)?;
    let plan = LogicalPlanBuilder::from(first)
        .to_recursive_query(work.name.clone(), step, query.is_distinct)?
        .build()?;
    let plan = as_field::recursive(plan)?.data;
    // Above it columns are called as the query called them.
    let given = plan.schema().columns();
    let items = given.iter().zip(&columns).map(|(given, column)| {
        Expr::Column(given.clone()).alias_qualified(column.relation.clone(), &column.name)
    });
    let keys = given.iter().skip(columns.len()).zip(&names);
    let keys = keys.map(|(given, name)| Expr::Column(given.clone()).alias(name));
    let items: Vec<Expr> = items.chain(keys).collect();
    let plan = LogicalPlanBuilder::from(plan).project(items)?.build()?;
    Ok((plan, names.iter().map(Column::new_unqualified).collect()))
}

/// A term for all of the domain, the keys behind its columns.
fn carried(
    term: &LogicalPlan,
    domain: &LogicalPlan,
    keys: &Keys,
    names: &[String],
) -> EngineResult<LogicalPlan> {
    let (own, own_keys) = again(domain, keys)?;
    let (plan, found) = push(term, &own, &own_keys)?;
    let mut items: Vec<Expr> = term.schema().columns().into_iter().map(Expr::Column).collect();
    items.extend(found.into_iter().zip(names).map(|(key, name)| Expr::Column(key).alias(name)));
    LogicalPlanBuilder::from(plan).project(items)?.build()
}

/// The work table with the keys.
struct Work<'a> {
    name: String,
    /// What the query calls its own.
    of: &'a str,
    keys: &'a Keys,
    names: &'a [String],
    domain: &'a LogicalPlan,
}

impl Work<'_> {
    /// The recursive term over this work table, of the outer row's keys.
    fn correlated(&self, term: &LogicalPlan) -> EngineResult<LogicalPlan> {
        let replaced = term.clone().transform_up_with_subqueries(|node| match &node {
            LogicalPlan::TableScan(scan) if self.is_read_by(scan) => {
                Ok(Transformed::yes(self.rows(scan)?))
            }
            _ => Ok(Transformed::no(node)),
        })?;
        match replaced.transformed {
            true => Ok(replaced.data),
            false => Err(unsupported("RecursiveQuery")),
        }
    }

    fn is_read_by(&self, scan: &TableScan) -> bool {
        let provider = datafusion::datasource::source_as_provider(&scan.source).ok();
        let work = provider.as_ref().and_then(|provider| provider.downcast_ref::<CteWorkTable>());
        work.is_some_and(|work| work.name() == self.of)
    }

    fn rows(&self, scan: &TableScan) -> EngineResult<LogicalPlan> {
        let mut fields: Vec<_> = scan.source.schema().fields().iter().cloned().collect();
        let mut same: Option<Expr> = None;
        for ((outer, key), name) in self.keys.iter().zip(self.names) {
            let (_, field) = Expr::Column(key.clone()).to_field(self.domain.schema())?;
            let field = Arc::new(Field::clone(&field).with_name(name).with_nullable(true));
            let outer = Expr::OuterReferenceColumn(Arc::clone(&field), outer.clone());
            let own = Expr::Column(Column::new(Some(self.name.as_str()), name));
            let equal = binary_expr(own, Operator::IsNotDistinctFrom, outer);
            same = Some(same.map_or(equal.clone(), |same| same.and(equal)));
            fields.push(field);
        }
        let table = CteWorkTable::new(&self.name, Arc::new(Schema::new(fields)));
        let plan = LogicalPlanBuilder::scan(
            self.name.as_str(),
            provider_as_source(Arc::new(table)),
            None,
        )?;
        let plan = match same {
            Some(same) => plan.filter(same)?,
            None => plan,
        };
        let items = scan.projected_schema.iter().map(|(qualifier, field)| {
            let own = Column::new(Some(self.name.as_str()), field.name());
            Expr::Column(own).alias_qualified(qualifier.cloned(), field.name())
        });
        plan.project(items.collect::<Vec<_>>())?.build()
    }
}
