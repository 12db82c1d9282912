//! CREATE and REFRESH MATERIALIZED VIEW: a table that remembers the query it is filled from.
//!
//! Other readers of the lake see a table. A refresh replaces its rows in one commit, so that
//! readers go on with the old ones until then: CONCURRENTLY is how it always is.

use catalog::{MODEL_KEY, Relation, StoredQuery, TableChange};
use datafusion::sql::sqlparser::ast::{CreateView, ObjectName};

use super::{Context, create_table, create_view, drop, truncate};
use crate::changes::{self, Change};
use crate::error::{Error, Result};
use crate::names::folded;
use crate::plan::{Environment, Found};
use crate::{Notice, parse, plan};

pub(super) async fn create(
    context: &mut Context<'_>,
    create: &CreateView,
    text: &str,
    with_data: bool,
) -> Result<String> {
    let tag = "CREATE MATERIALIZED VIEW".to_string();
    let place = context.environment.target(context.lakes, &create.name, create.temporary)?;
    if create_table::exists(context, &place) {
        let message = format!("relation \"{}\" already exists", place.name);
        if !create.if_not_exists {
            return Err(Error::new("42P07", message));
        }
        let notice = Notice::notice(format!("{message}, skipping"));
        context.notices.push(Notice { sqlstate: "42P07", ..notice });
        return Ok(tag);
    }
    let stored = StoredQuery {
        sql: create_view::query_text(&create.query, text),
        search_path: context.environment.search_path.clone(),
        populated: with_data,
    };
    let query = create.query.as_ref().clone();
    let plan = plan::plan_query(context.environment, context.lakes, query, &[], Vec::new()).await?;
    let names = create.columns.iter().map(|c| folded(&c.name)).collect();
    let (table, plan) = create_table::from_query(context, &place, plan, names, Some(stored))?;
    drop::keeps_query(context, &place);
    if !with_data {
        return Ok(tag);
    }
    let count = create_table::fill(context, &place, table, plan).await?;
    Ok(format!("SELECT {count}"))
}

/// REFRESH MATERIALIZED VIEW name [WITH NO DATA].
pub(super) async fn refresh(
    context: &mut Context<'_>,
    name: &ObjectName,
    with_data: bool,
) -> Result<String> {
    let (place, found) = context.environment.expect(context.lakes, name)?;
    context.environment.must_own(context.lakes, &place, &found)?;
    let (table, stored) = match found {
        Found::Relation(Relation::Table(table)) => match table.query.clone() {
            Some(stored) => (table, stored),
            None => return Err(not_one(&place.name)),
        },
        Found::Relation(Relation::View(_)) | Found::External(_) => {
            return Err(not_one(&place.name));
        }
    };
    let filled = match with_data {
        true => Some(plan_stored(context.environment, context.lakes, &stored).await?),
        false => None,
    };
    let transaction = context.lakes.of(&place);
    transaction.truncate(table.id);
    if stored.populated != with_data {
        let change = TableChange::SetQuery(StoredQuery { populated: with_data, ..stored });
        transaction.alter_table(&place.schema, &place.name, change)?;
    }
    if let Some(plan) = filled {
        let model = |index: usize| {
            let field = plan.schema().fields().get(index)?;
            field.metadata().get(MODEL_KEY).cloned()
        };
        truncate::set_models(transaction, &place, &table, model)?;
        let table = super::current(context, &place)?;
        if plan.schema().fields().len() < table.columns.len() {
            let message = format!(
                "materialized view \"{}\" no longer has the columns it was made with",
                place.name
            );
            return Err(Error::new("42P10", message));
        }
        let change = Change::rows(context.environment, context.lakes, &place, table, plan)?;
        changes::apply(context.environment, context.lakes, &change).await?;
    }
    Ok("REFRESH MATERIALIZED VIEW".into())
}

fn not_one(name: &str) -> Error {
    Error::new("0A000", format!("\"{name}\" is not a materialized view"))
}

/// Plans the query with the names that its creator saw.
pub(super) async fn plan_stored(
    environment: &Environment,
    lakes: &plan::Lakes,
    stored: &StoredQuery,
) -> Result<datafusion::logical_expr::LogicalPlan> {
    let query = parse::parse_query(&stored.sql)?;
    let inner = Environment { search_path: stored.search_path.clone(), ..environment.clone() };
    plan::plan_query(&inner, lakes, query, &[], Vec::new()).await
}
