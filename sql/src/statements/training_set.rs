//! CREATE and DROP TRAINING SET: a table of labels with their features, and the manifest that says
//! how it came about.
//!
//! ```text
//!   CREATE TRAINING SET t AS query              rows of now; the snapshot is kept from expiry
//!   CREATE TRAINING SET u AS OF t               the same rows again, from the manifest of t
//! ```

use std::collections::{BTreeMap, BTreeSet};

use catalog::{Relation, State, Transaction};
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::collect;
use datafusion::sql::sqlparser::ast::{self, ObjectName, ObjectType};

use super::{Context, create_table, create_view, drop};
use crate::error::{Error, Result};
use crate::features::{Call, FeatureView, Manifest, UsedView, service_of};
use crate::parse::{self, CreateTrainingSet, TrainingSetSource};
use crate::plan::{self, Environment, Lakes, Place};
use crate::system::definitions::{Query, quoted};
use crate::{Notice, features, names};

pub(super) async fn create(
    context: &mut Context<'_>,
    create: &CreateTrainingSet,
    text: &str,
) -> Result<String> {
    let tag = "CREATE TRAINING SET".to_owned();
    let place = context.environment.target(context.lakes, &create.name, false)?;
    if !context.lakes.main.is_empty() {
        let message = "CREATE TRAINING SET reads what is committed, and must be able to again";
        return Err(Error::new("25001", message).with_hint("COMMIT what it reads first."));
    }
    if create_table::exists(context, &place) {
        let message = format!("relation \"{}\" already exists", place.name);
        if !create.if_not_exists {
            return Err(Error::new("42P07", message));
        }
        context.notices.push(Notice::notice(format!("{message}, skipping")));
        return Ok(tag);
    }
    let asked = match &create.source {
        TrainingSetSource::Query(query) => Asked {
            sql: create_view::query_text(query, text),
            search_path: context.environment.search_path.clone(),
            snapshot_id: context.lakes.main.state().snapshot.id,
        },
        TrainingSetSource::Manifest(name) => {
            let manifest = manifest(context, name)?;
            let Manifest { sql, search_path, snapshot_id, .. } = manifest;
            Asked { sql, search_path, snapshot_id }
        }
    };
    let query = parse::parse_query(&asked.sql)?;
    let environment =
        Environment { search_path: asked.search_path.clone(), ..context.environment.clone() };
    // As everything was then, definitions included.
    let state = context.environment.lake.at_snapshot(asked.snapshot_id).await?;
    let main = Transaction::begin(std::sync::Arc::clone(&context.environment.lake), state);
    let then = Lakes { main, temp: None };
    let mut used = Used::default();
    let named = Query { sql: &asked.sql, search_path: &asked.search_path };
    used.add(&environment, &then, &named)?;
    let plan = plan::plan_query(&environment, &then, query, &[], Vec::new()).await?;
    if matches!(create.source, TrainingSetSource::Query(_)) {
        context.notices.extend(unrepeatable(&plan, &place.name)?);
    }
    let (table, plan) = create_table::from_query(context, &place, plan, Vec::new(), None)?;
    let columns: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    let row_count = create_table::fill(context, &place, table, plan).await?;
    let null_rates = null_rates(context, &place, &columns).await?;
    let Asked { sql, search_path, snapshot_id } = asked;
    let started = context.environment.engine.execution_props().query_execution_start_time;
    let created_at = started.unwrap_or_default().to_rfc3339();
    let manifest = Manifest {
        sql,
        search_path,
        snapshot_id,
        created_at,
        cutoff: used.cutoff(),
        views: used.views.into_iter().collect(),
        row_count,
        null_rates,
    };
    manifest.keep(&mut context.lakes.main, &place)?;
    Ok(tag)
}

/// What to say of a function that does not answer the same again.
fn unrepeatable(plan: &LogicalPlan, name: &str) -> Result<Option<Notice>> {
    const CLOCKS: [&str; 3] = ["now", "current_date", "current_time"];
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::ScalarFunction(call) = part
                    && (call.func.signature().volatility == Volatility::Volatile
                        || CLOCKS.contains(&call.func.name()))
                {
                    found = Some(call.func.name().to_owned());
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found.map(|function: String| {
        let message = format!(
            "training set \"{name}\" reads {function}(), which is another when it is made again"
        );
        let hint = "Write the time itself, or keep the numbers in a table.".to_owned();
        Notice { hint: Some(hint), ..Notice::notice(message) }
    }))
}

/// What is read, and when.
struct Asked {
    sql: String,
    search_path: Vec<String>,
    snapshot_id: i64,
}

fn manifest(context: &Context<'_>, name: &ObjectName) -> Result<Manifest> {
    let parts = plan::parts(name)?;
    let state = context.lakes.main.state();
    let places = context.environment.candidates(&parts)?;
    places.iter().find_map(|place| Manifest::of(state, place)).ok_or_else(|| {
        Error::new("42704", format!("training set \"{name}\" does not exist"))
            .with_hint("List training sets: SELECT * FROM ml.training_sets.")
    })
}

/// What a query reads, through views too.
#[derive(Default)]
struct Used {
    views: BTreeSet<UsedView>,
    /// Of each training set; None: everything counts.
    cutoffs: BTreeSet<Option<String>>,
    seen: BTreeSet<(String, String)>,
}

impl Used {
    fn add(&mut self, environment: &Environment, lakes: &Lakes, query: &Query<'_>) -> Result<()> {
        let state = lakes.main.state();
        let search_path = query.search_path.to_vec();
        let environment = &Environment { search_path, ..environment.clone() };
        for reference in query.reads() {
            let place = plan::reference_place(environment, lakes, &reference);
            let Some(place) = place.filter(|place| !place.temp) else { continue };
            self.views.extend(current(state, &place.schema, &place.name));
            let schema = state.schemas.get(&place.schema);
            let found = schema.and_then(|schema| schema.relations.get(&place.name));
            if let Some(Relation::View(view)) = found
                && self.seen.insert((place.schema, place.name))
            {
                let query = Query { sql: &view.sql, search_path: &view.search_path };
                self.add(environment, lakes, &query)?;
            }
        }
        for call in calls(&parse::parse_query(query.sql)?)? {
            self.cutoffs.insert(features::cutoff(environment, &call)?);
            for of in service_of(environment, lakes, &call)?.views {
                self.views.extend(match of.version {
                    Some(version) => Some(UsedView { schema: of.schema, view: of.view, version }),
                    None => current(state, &of.schema, &of.view),
                });
            }
        }
        Ok(())
    }

    /// What had to be known; `none` beside others where everything counts.
    fn cutoff(&self) -> Option<String> {
        let some = self.cutoffs.iter().any(Option::is_some);
        let text = |cutoff: &Option<String>| cutoff.clone().unwrap_or_else(|| "none".to_owned());
        some.then(|| self.cutoffs.iter().map(text).collect::<Vec<_>>().join(", "))
    }
}

fn calls(query: &ast::Query) -> Result<Vec<Call>> {
    let mut statement = ast::Statement::Query(Box::new(query.clone()));
    plan::training_sets(&mut statement)
}

fn current(state: &State, schema: &str, name: &str) -> Option<UsedView> {
    let Relation::View(view) = state.schemas.get(schema)?.relations.get(name)? else {
        return None;
    };
    let kept = FeatureView::of(state, schema, view)?;
    let (version, _) = kept.current()?;
    Some(UsedView { schema: schema.to_owned(), view: name.to_owned(), version })
}

/// How much of each column is NULL, from 0 to 1; none of an empty table.
async fn null_rates(
    context: &Context<'_>,
    place: &Place,
    columns: &[String],
) -> Result<BTreeMap<String, f64>> {
    let counts: Vec<String> =
        columns.iter().map(|name| format!("count({})", quoted(name))).collect();
    let from = format!("{}.{}", quoted(&place.schema), quoted(&place.name));
    let query = format!("SELECT count(*), {} FROM {from}", counts.join(", "));
    let query = parse::parse_query(&query)?;
    let plan = plan::plan_query(context.environment, context.lakes, query, &[], Vec::new()).await?;
    let engine = &context.environment.engine;
    let physical = engine.create_physical_plan(&plan).await?;
    let batches = collect(physical, engine.task_ctx()).await?;
    let Some(batch) = batches.first().filter(|batch| batch.num_rows() == 1) else {
        return Err(Error::new("XX000", "a count has no row"));
    };
    let counted = batch.columns().iter().map(|counts| counts.as_primitive::<Int64Type>().value(0));
    let mut counted = counted.map(|count| count as f64);
    let rows = counted.next().unwrap_or(0.0);
    let rates = columns
        .iter()
        .zip(counted)
        .map(|(name, count)| (names::shown(name).to_owned(), (rows - count) / rows));
    Ok(if rows > 0.0 { rates.collect() } else { BTreeMap::new() })
}

/// DROP TRAINING SET: the table and its manifest.
pub(super) fn drop_sets(
    context: &mut Context<'_>,
    sets: &[ObjectName],
    if_exists: bool,
    cascade: bool,
) -> Result<String> {
    for name in sets {
        let Some((place, found)) = context.relation(name, if_exists)? else { continue };
        drop::may_drop(context, &place, &found)?;
        if manifest_at(context, &place).is_none() {
            return Err(Error::new("42809", format!("\"{}\" is not a training set", place.name))
                .with_hint("List training sets: SELECT * FROM ml.training_sets."));
        }
        drop::drop_place(context, &place, ObjectType::Table, cascade)?;
    }
    Ok("DROP TRAINING SET".to_owned())
}

/// The table at `from` is now at `to`, whatever statement moved it: its manifest goes with it.
pub(super) fn renamed(context: &mut Context<'_>, from: &Place, to: &Place) -> Result<()> {
    let Some(manifest) = manifest_at(context, from) else { return Ok(()) };
    Manifest::forget(&mut context.lakes.main, from)?;
    manifest.keep(&mut context.lakes.main, to)
}

/// The table goes, whatever statement drops it: nothing keeps its snapshot from expiry any longer.
pub(super) fn dropped(context: &mut Context<'_>, place: &Place) -> Result<()> {
    match manifest_at(context, place) {
        Some(_) => Manifest::forget(&mut context.lakes.main, place),
        None => Ok(()),
    }
}

fn manifest_at(context: &Context<'_>, place: &Place) -> Option<Manifest> {
    if place.temp { None } else { Manifest::of(context.lakes.main.state(), place) }
}
