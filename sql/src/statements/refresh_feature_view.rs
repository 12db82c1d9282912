//! REFRESH FEATURE VIEW v [FROM time TO time]: keeps the rows of the view's query, so that readers
//! need not run it.
//!
//! | what has become of what the query reads | done                                              |
//! |-----------------------------------------|---------------------------------------------------|
//! | nothing                                 | nothing, but for times that are asked for anew    |
//! | rows were added, the query is row-wise  | their rows are added, whatever their times        |
//! | anything else, or another query         | the rows are made anew, of the times asked for    |
//!
//! One transaction: rows and what is known of them come together or not at all.

use std::sync::Arc;

use catalog::{
    Constraint, Index, IndexKey, NewColumn, NewTable, Relation, SEQUENCE_COLUMN, Since, SortKey,
    Table, View,
};
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::collect;
use datafusion::prelude::col;
use datafusion::sql::sqlparser::ast::{self, ObjectName};

use super::{Context, create_table};
use crate::Notice;
use crate::changes::{self, Change};
use crate::error::{Error, Result};
use crate::features::kept::{self, Columns, Kept, Query};
use crate::features::{FeatureView, Version};
use crate::plan::{self, Environment, Found, Place};

const TAG: &str = "REFRESH FEATURE VIEW";

/// The view that is refreshed.
struct Target {
    view: Arc<View>,
    version: Version,
    place: Place,
}

/// What is to be written, and what is kept then.
struct Work {
    /// The rows that were kept go first.
    anew: bool,
    /// Rows with `SEQUENCE_COLUMN`, if they have an order.
    parts: Vec<LogicalPlan>,
    ranges: Option<Vec<(i64, i64)>>,
    told: String,
}

pub(super) async fn run(
    context: &mut Context<'_>,
    name: &ObjectName,
    times: Option<&(ast::Expr, ast::Expr)>,
) -> Result<String> {
    let target = target(context, name)?;
    if !context.lakes.main.is_empty() {
        return Err(Error::new("25001", format!("{TAG} reads what is committed"))
            .with_hint("COMMIT what it reads first."));
    }
    let asked = times.map(|times| range(context, times)).transpose()?;
    let environment = Environment { reads_kept: false, ..context.environment.clone() };
    let Target { view, place, version } = &target;
    let plan = plan::view_rows(&environment, context.lakes, view, place, version).await?;
    let query = Query::of(&plan)?;
    kept::check_exact(&plan)?;
    let state = Arc::clone(context.lakes.main.state());
    let old = old(context, &target, &query).await?;
    let work = work(&target, (&plan, &query), old.as_ref(), asked)?;
    let base = state.snapshot.id;
    let same = work.parts.is_empty() && !work.anew;
    if same
        && old.as_ref().is_some_and(|old| base == old.written_at || base == old.kept.snapshot_id)
    {
        tell(context, &target, &work.told);
        return Ok(TAG.to_owned());
    }
    let mut row_count = match (&old, work.anew) {
        (Some(old), false) => old.kept.row_count,
        _ => 0,
    };
    let table = match work.anew {
        true => make_table(context, &target, (&plan, &query))?,
        false => kept::table(&state, &target.view).ok_or_else(|| gone(&target))?,
    };
    let mut written = 0;
    for part in work.parts {
        written += write(context, &target, &table, part).await?;
    }
    row_count += written;
    let next_row = match query.row_wise() {
        true => Some(next_row(context, &query, old.as_ref()).await?),
        false => None,
    };
    let started = context.environment.engine.execution_props().query_execution_start_time;
    let new = Kept {
        query: query.text,
        time_zone: kept::time_zone(context.environment),
        sources: query.tables.iter().map(|table| table.id).collect(),
        timestamp: target.version.timestamp.clone(),
        snapshot_id: base,
        refreshed_at: started.unwrap_or_default().to_rfc3339(),
        row_count,
        next_row,
        ranges: work.ranges,
    };
    new.keep(&mut context.lakes.main, &target.view)?;
    context.lakes.main.query_names(target.view.id);
    tell(context, &target, &format!("{}, {written} rows written, {row_count} kept", work.told));
    Ok(TAG.to_owned())
}

fn tell(context: &mut Context<'_>, target: &Target, what: &str) {
    let message = format!("feature view \"{}\": {what}", target.place.name);
    context.notices.push(Notice::notice(message));
}

fn target(context: &Context<'_>, name: &ObjectName) -> Result<Target> {
    let (place, found) = context.environment.expect(context.lakes, name)?;
    context.environment.must_own(context.lakes, &place, &found)?;
    let not_one = || {
        Error::new("42809", format!("\"{}\" is not a feature view", place.name))
            .with_hint("List feature views: SELECT * FROM ml.feature_views.")
    };
    let Found::Relation(Relation::View(view)) = found else { return Err(not_one()) };
    let state = context.lakes.main.state();
    let kept = FeatureView::of(state, &place.schema, &view).filter(|_| !place.temp);
    let version = kept.as_ref().and_then(FeatureView::current).map(|(_, version)| version.clone());
    let version = version.ok_or_else(not_one)?;
    Ok(Target { view, version, place })
}

/// FROM is in the range, TO is not. Texts are read as `timestamptz '…'` is; times without zone are
/// UTC, as in feature views.
fn range(context: &Context<'_>, times: &(ast::Expr, ast::Expr)) -> Result<(i64, i64)> {
    let engine = &context.environment.engine;
    let time = |time: &ast::Expr| match time {
        ast::Expr::Value(text) => {
            let timestamptz = ast::Expr::Cast {
                kind: ast::CastKind::Cast,
                expr: Box::new(ast::Expr::Value(text.clone())),
                data_type: ast::DataType::Timestamp(None, ast::TimezoneInfo::Tz),
                array: false,
                format: None,
            };
            plan::time_us(plan::constant(engine, timestamptz)?)
        }
        other => plan::time_us(plan::constant(engine, other.clone())?)
            .map_err(|_| Error::new("22007", "FROM and TO must be timestamps")),
    };
    let (from, to) = (time(&times.0)?, time(&times.1)?);
    match from < to {
        true => Ok((from, to)),
        false => Err(Error::new("22023", "FROM must be before TO")
            .with_hint("Rows from the first time on and before the second are refreshed.")),
    }
}

/// What is kept, if it is of this query.
struct Old {
    kept: Kept,
    written_at: i64,
    since: Since,
}

async fn old(context: &Context<'_>, target: &Target, query: &Query) -> Result<Option<Old>> {
    let lakes = &*context.lakes;
    let Some((kept, written_at)) = Kept::of(lakes.main.state(), &target.view) else {
        return Ok(None);
    };
    let here = (context.environment, lakes);
    let of_view = (target.view.as_ref(), target.version.timestamp.as_str());
    if kept.unlike(here, of_view, Some(query), written_at).await?.is_some() {
        return Ok(None);
    }
    let since = kept.since(lakes).await?;
    Ok(Some(Old { kept, written_at, since }))
}

fn work(
    target: &Target,
    (plan, query): (&LogicalPlan, &Query),
    old: Option<&Old>,
    asked: Option<(i64, i64)>,
) -> Result<Work> {
    let time = target.version.timestamp.as_str();
    let columns = Columns { plan, sequenced: query.sequenced };
    let rows = || columns.of(plan.clone());
    let asked_ranges = asked.map(|asked| vec![asked]);
    let reused = old.filter(|old| match old.since {
        Since::Same => true,
        Since::Appended => query.row_wise(),
        Since::Changed => false,
    });
    let Some(Old { kept, since, .. }) = reused else {
        let parts = vec![kept::within(rows()?, time, asked_ranges.as_deref())?];
        let told = "made anew".to_owned();
        return Ok(Work { anew: true, parts, ranges: asked_ranges, told });
    };
    let (mut parts, mut ranges) = (Vec::new(), kept.ranges.clone());
    let mut told = "up to date".to_owned();
    if let (Since::Appended, Some(next_row)) = (since, kept.next_row) {
        let added = columns.of(kept::from_row(plan, next_row, kept.snapshot_id)?)?;
        parts.push(kept::within(added, time, kept.ranges.as_deref())?);
        told = format!("rows added since snapshot {}", kept.snapshot_id);
    }
    match (&kept.ranges, asked) {
        (None, _) => {}
        (Some(have), None) => {
            parts.push(kept::without(rows()?, time, have)?);
            ranges = None;
            told.push_str(", other times");
        }
        (Some(have), Some(want)) if !kept::covers(have, want) => {
            let rows = kept::within(rows()?, time, Some(&[want]))?;
            parts.push(kept::without(rows, time, have)?);
            ranges = Some(kept::joined(have, want));
            told.push_str(", more times");
        }
        (Some(_), Some(_)) => {}
    }
    Ok(Work { anew: false, parts, ranges, told })
}

/// The table of the rows, empty.
fn make_table(
    context: &mut Context<'_>,
    target: &Target,
    (plan, query): (&LogicalPlan, &Query),
) -> Result<Arc<Table>> {
    let transaction = &mut context.lakes.main;
    Kept::forget(transaction, &target.view)?;
    if !transaction.state().schemas.contains_key(kept::SCHEMA) {
        transaction.create_schema(kept::SCHEMA)?;
    }
    let column = |name: &str, field: Field| NewColumn {
        name: name.to_owned(),
        field,
        nullable: true,
        default: None,
        initial_default: None,
        comment: None,
    };
    let fields = plan.schema().fields().iter();
    let mut columns: Vec<NewColumn> = fields
        .map(|field| column(field.name(), create_table::storable(field).with_name(field.name())))
        .collect();
    if query.sequenced {
        let sequence = Field::new(SEQUENCE_COLUMN, DataType::Int64, true);
        columns.push(column(SEQUENCE_COLUMN, sequence));
    }
    let key =
        |name: &String| SortKey { column: name.clone(), descending: false, nulls_first: false };
    let version = &target.version;
    let sort_by = version.key.iter().chain([&version.timestamp]).map(key).collect();
    let name = target.view.uuid.clone();
    let new = NewTable { name, columns, sort_by, ..NewTable::default() };
    let ids = new.column_ids();
    // What points are looked up by gets a bloom filter.
    let index = |name: &String| {
        let position = new.columns.iter().position(|column| column.name == *name)?;
        let key = IndexKey { column: ids[position], descending: false, nulls_first: false };
        Some(Constraint::Index(Index {
            name: format!("{}_{name}", target.view.uuid),
            method: "hash".to_owned(),
            unique: false,
            keys: vec![key],
            included: Vec::new(),
            vectors: None,
        }))
    };
    let constraints = version.key.iter().filter_map(index).collect();
    let new = NewTable { constraints, ..new };
    Ok(transaction.create_table(kept::SCHEMA, new)?)
}

/// Writes rows by key and time; how many.
async fn write(
    context: &mut Context<'_>,
    target: &Target,
    table: &Arc<Table>,
    rows: LogicalPlan,
) -> Result<u64> {
    let version = &target.version;
    let by = |name: &str| Expr::Column(datafusion::common::Column::from_name(name));
    let named = version.key.iter().chain([&version.timestamp]);
    let mut order: Vec<_> = named.map(|name| by(name).sort(true, false)).collect();
    if table.column(SEQUENCE_COLUMN).is_some() {
        order.push(col(SEQUENCE_COLUMN).sort(true, false));
    }
    let rows = LogicalPlanBuilder::from(rows).sort(order)?.build()?;
    // They come in order: the writer need not sort them again.
    let unsorted = Arc::new(Table { sort_by: Vec::new(), ..table.as_ref().clone() });
    let place = Place { temp: false, schema: kept::SCHEMA.into(), name: table.name.clone() };
    let change = Change::rows(context.environment, context.lakes, &place, unsorted, rows)?;
    Ok(changes::apply(context.environment, context.lakes, &change).await?.count)
}

/// The row id after those that the table has now.
async fn next_row(context: &Context<'_>, query: &Query, old: Option<&Old>) -> Result<i64> {
    let state = context.lakes.main.state();
    let table = query.tables.first().and_then(|table| state.table_by_id(table.id));
    let Some((schema, table)) = table else {
        return Err(Error::new("XX000", "the table of a feature view is gone"));
    };
    let place = Place { temp: false, schema: schema.name.clone(), name: table.name.clone() };
    let before = old.and_then(|old| old.kept.next_row).unwrap_or(0);
    let newest = kept::sequence_of(context.lakes, &place, Arc::clone(table)).await?;
    let newest = LogicalPlanBuilder::from(newest)
        .aggregate(Vec::<Expr>::new(), vec![max(col(SEQUENCE_COLUMN))])?
        .build()?;
    let engine = &context.environment.engine;
    let physical = engine.create_physical_plan(&newest).await?;
    let batches = collect(physical, engine.task_ctx()).await?;
    let values = batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().iter());
    let newest = values.flatten().max();
    Ok(newest.map_or(before, |newest| before.max(newest + 1)))
}

fn gone(target: &Target) -> Error {
    Error::new("XX000", format!("the rows of feature view \"{}\" are gone", target.place.name))
}
