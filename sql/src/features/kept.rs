//! Rows of feature views that REFRESH has kept, and whether they are what the query would give.
//!
//! ```text
//!   REFRESH at snapshot 7 ─▶ rows of the query at 7, in a table of the schema SCHEMA
//!   a reader at 9          ─▶ those rows, if the tables that the query reads are the same at 9;
//!                             and if rows were only added to the one table of a row-wise query,
//!                             the query of the rows added; else the query
//! ```
//! A query is known by the text of its plan, which has the names, types and time zones that it was
//! planned with. Of a row-wise query (filters and projections of one table) the order in which the
//! table's rows were written is kept too: it decides between rows of one time.
//!
//! With ranges of time only rows in them are kept; the others come from the query.

use std::sync::Arc;

use catalog::{
    LakeTable, ObjectId, Relation, SEQUENCE_COLUMN, Since, State, Table, Transaction, View,
};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as EngineResult, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Operator, TableScan, Volatility, cast, lit,
};
use serde::{Deserialize, Serialize};

use super::point_in_time::{binary, column, utc};
use crate::asof::sequenced;
use crate::error::{Error, Result};
use crate::names::MARK;
use crate::plan::{self, Environment, Lakes, Place};
use crate::types;

/// Where the rows are: a table for each view, named by the view's uuid. No statement names it.
pub(crate) const SCHEMA: &str = "sextant_features";
/// Kind of the definitions that say what is kept, named by the view's uuid.
const KIND: &str = "feature_rows";
/// What names in plans begin with that EXPLAIN tells.
const TOLD: &str = "\u{3}feature view ";

/// What is kept of a view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The query, and the zone of the session that ran it.
    pub query: String,
    pub time_zone: String,
    /// The tables it reads.
    pub sources: Vec<ObjectId>,
    /// The view's TIMESTAMP, which ranges are of.
    pub timestamp: String,
    /// The state of the lake that the rows are of.
    pub snapshot_id: i64,
    /// RFC 3339.
    pub refreshed_at: String,
    pub row_count: u64,
    /// Of a row-wise query: rows of its table from this row id on are not in.
    pub next_row: Option<i64>,
    /// Times whose rows are kept, from and before, microseconds; None: all.
    pub ranges: Option<Vec<(i64, i64)>>,
}

impl Kept {
    /// What is kept of a view, and the snapshot that wrote it.
    pub fn of(state: &State, view: &View) -> Option<(Self, i64)> {
        let found = state.definitions.get(&(KIND.to_owned(), view.uuid.clone()))?;
        Some((serde_json::from_value(found.body.clone()).ok()?, found.begin_snapshot))
    }

    /// Keeps it.
    pub fn keep(&self, transaction: &mut Transaction, view: &View) -> Result<()> {
        let body = serde_json::to_value(self)
            .map_err(|error| Error::new("XX000", format!("feature rows: {error}")))?;
        Ok(transaction.define(KIND, &view.uuid, body, true)?)
    }

    /// Forgets it, and the rows.
    pub fn forget(transaction: &mut Transaction, view: &View) -> Result<()> {
        if Self::of(transaction.state(), view).is_some() {
            transaction.undefine_dependent(KIND, &view.uuid)?;
        }
        if table(transaction.state(), view).is_some() {
            transaction.drop_dependent(SCHEMA, &view.uuid)?;
        }
        Ok(())
    }

    /// What has become of the tables since; the greatest change counts.
    pub async fn since(&self, lakes: &Lakes) -> Result<Since> {
        let (lake, state) = (lakes.main.lake(), lakes.main.state());
        let mut since = Since::Same;
        for source in &self.sources {
            since = since.max(lake.since(state, *source, self.snapshot_id).await?);
        }
        Ok(since)
    }

    /// Why the rows are not those of this query here; None: they are, if nothing has come since.
    pub async fn unlike(
        &self,
        (environment, lakes): (&Environment, &Lakes),
        (view, timestamp): (&View, &str),
        query: Option<&Query>,
        written_at: i64,
    ) -> Result<Option<&'static str>> {
        let Some(query) = query.filter(|query| {
            let sources: Vec<ObjectId> = query.tables.iter().map(|table| table.id).collect();
            query.text == self.query && sources == self.sources && timestamp == self.timestamp
        }) else {
            return Ok(Some("the query is another"));
        };
        if time_zone(environment) != self.time_zone {
            return Ok(Some("the time zone is another"));
        }
        if query.row_wise() != self.next_row.is_some() {
            return Ok(Some("the query is another"));
        }
        let Some(table) = table(lakes.main.state(), view) else {
            return Ok(Some("they are not there"));
        };
        match lakes.main.lake().since(lakes.main.state(), table.id, written_at).await? {
            Since::Same => Ok(None),
            Since::Appended | Since::Changed => Ok(Some("they may have been changed")),
        }
    }
}

/// The table of a view's rows.
pub(crate) fn table(state: &State, view: &View) -> Option<Arc<Table>> {
    match state.schemas.get(SCHEMA)?.relations.get(&view.uuid)? {
        Relation::Table(table) => Some(Arc::clone(table)),
        Relation::View(_) => None,
    }
}

/// As the session has it.
pub(crate) fn time_zone(environment: &Environment) -> String {
    environment.engine.config_options().execution.time_zone.clone().unwrap_or_default()
}

/// What a view's plan reads, if its rows depend on nothing but tables of the lake.
pub(crate) struct Query {
    pub text: String,
    pub tables: Vec<Arc<Table>>,
    /// Its rows are rows of its table: the order of writing is known.
    pub sequenced: bool,
}

impl Query {
    /// Of a plan before it is optimized; 0A000 if its rows cannot be kept.
    pub fn of(plan: &LogicalPlan) -> Result<Self> {
        let (mut tables, mut reason) = (Vec::new(), None);
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                match lake_table(scan)? {
                    Some(table) => tables.push(table),
                    None => reason = Some(format!("it reads \"{}\"", scan.table_name)),
                }
            }
            node.apply_expressions(|expression| {
                if let Some(name) = unstable(expression)? {
                    reason = Some(format!("it calls {name}()"));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        if let Some(reason) = reason {
            return Err(Error::new("0A000", "rows of this feature view cannot be kept")
                .with_detail(format!(
                    "Its query depends on more than tables of the lake: {reason}."
                ))
                .with_hint("A feature view that is not refreshed is read by its query."));
        }
        let text = uncounted(&plan.display_indent().to_string());
        Ok(Self { text, tables, sequenced: sequenced(plan)?.is_some() })
    }

    /// Whether each row comes from one of the one table.
    pub fn row_wise(&self) -> bool {
        self.sequenced && self.tables.len() == 1
    }
}

fn lake_table(scan: &TableScan) -> EngineResult<Option<Arc<Table>>> {
    let provider = source_as_provider(&scan.source)?;
    let table = provider.downcast_ref::<LakeTable>().filter(|table| !table.is_past());
    Ok(table.map(|table| Arc::clone(table.table())))
}

/// The name of a function that answers otherwise another time.
fn unstable(expression: &Expr) -> EngineResult<Option<String>> {
    let mut found = None;
    expression.apply(|e| {
        if let Expr::ScalarFunction(call) = e
            && call.func.signature().volatility != Volatility::Immutable
        {
            found = Some(call.func.name().to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The text without the numbers that keep names apart from plan to plan: `MARK word number`.
fn uncounted(text: &str) -> String {
    let mut parts = text.split(MARK);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let word = part.chars().take_while(|c| c.is_ascii_alphabetic()).count();
        let number = part.chars().skip(word).take_while(|c| c.is_ascii_digit()).count();
        let (word, rest) = part.split_at(word);
        out.push(MARK);
        out.push_str(word);
        out.push_str(if word.is_empty() { rest } else { &rest[number..] });
    }
    out
}

/// The rows of a feature view, from where they are: `plan` is its query.
pub(crate) async fn read(
    environment: &Environment,
    lakes: &Lakes,
    (view, place, timestamp): (&View, &Place, &str),
    plan: LogicalPlan,
) -> Result<LogicalPlan> {
    let Some((kept, written_at)) = Kept::of(lakes.main.state(), view) else { return Ok(plan) };
    let named = format!("{TOLD}{}.{}: ", place.schema, place.name);
    let at = kept.snapshot_id;
    let by_query = |plan: LogicalPlan, reason: &str| {
        let told = format!("{named}its query, not the rows kept at snapshot {at}: {reason}");
        Ok(LogicalPlanBuilder::from(plan).alias(TableReference::bare(told))?.build()?)
    };
    if !lakes.main.is_empty() {
        return by_query(plan, "this transaction has changes");
    }
    let query = Query::of(&plan).ok();
    let here = (environment, lakes);
    let of_view = (view, timestamp);
    if let Some(reason) = kept.unlike(here, of_view, query.as_ref(), written_at).await? {
        return by_query(plan, reason);
    }
    let (since, table) = (kept.since(lakes).await?, table(lakes.main.state(), view));
    let (Some(query), Some(table)) = (query, table) else {
        return by_query(plan, "they are not there");
    };
    let added = match (since, kept.next_row) {
        (Since::Same, _) => None,
        (Since::Appended, Some(next_row)) => Some(next_row),
        (Since::Appended | Since::Changed, _) => {
            return by_query(plan, "what it reads has changed");
        }
    };
    let mut told = format!("{named}rows kept at snapshot {at}");
    told.push_str(if added.is_some() { " and rows added since" } else { "" });
    told.push_str(if kept.ranges.is_some() { "; other times from its query" } else { "" });
    let columns = Columns { plan: &plan, sequenced: query.sequenced };
    let mut rows = columns.kept(lakes, table, &told).await?;
    if let Some(next_row) = added {
        let added = columns.of(from_row(&plan, next_row, at)?)?;
        let added = within(added, timestamp, kept.ranges.as_deref())?;
        rows = LogicalPlanBuilder::from(rows).union(added)?.build()?;
    }
    if let Some(ranges) = &kept.ranges {
        let others = without(columns.of(plan.clone())?, timestamp, ranges)?;
        rows = LogicalPlanBuilder::from(rows).union(others)?.build()?;
    }
    columns.shown(rows)
}

/// What EXPLAIN tells of where the rows of feature views come from.
pub fn told(plan: &LogicalPlan) -> Vec<String> {
    let mut found = Vec::new();
    let _ = plan.apply_with_subqueries(|node| {
        let name = match node {
            LogicalPlan::TableScan(scan) => scan.table_name.table(),
            LogicalPlan::SubqueryAlias(alias) => alias.alias.table(),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        if let Some(told) = name.strip_prefix('\u{3}').filter(|_| name.starts_with(TOLD)) {
            let line = format!("F{}", &told[1..]);
            if !found.contains(&line) {
                found.push(line);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// The columns that rows have on their way: those of the query, and the order of writing.
pub(crate) struct Columns<'a> {
    pub plan: &'a LogicalPlan,
    pub sequenced: bool,
}

impl Columns<'_> {
    /// Rows of the query, or of one like it.
    pub fn of(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if !self.sequenced {
            return self.items(plan, None);
        }
        match sequenced(&plan)? {
            Some((plan, sequence)) => self.items(plan, Some(sequence)),
            None => Err(Error::new("XX000", "rows of a feature view have lost their order")),
        }
    }

    fn items(&self, plan: LogicalPlan, sequence: Option<Expr>) -> Result<LogicalPlan> {
        let columns = plan.schema().columns();
        let mut items = Vec::with_capacity(columns.len());
        for field in self.plan.schema().fields() {
            let found = columns.iter().find(|column| column.name == *field.name());
            let found = found.ok_or_else(|| Error::new("XX000", "a feature view lost a column"))?;
            items.push(Expr::Column(found.clone()).alias(field.name()));
        }
        items.extend(sequence.map(|sequence| sequence.alias(SEQUENCE_COLUMN)));
        Ok(LogicalPlanBuilder::from(plan).project(items)?.build()?)
    }

    /// Rows of the table that holds them, in the types of the query.
    async fn kept(&self, lakes: &Lakes, table: Arc<Table>, told: &str) -> Result<LogicalPlan> {
        let lake = lakes.main.lake();
        let rows = lakes.main.rows(&table).await?;
        let table = LakeTable::new(lake.store_url().clone(), table, rows, false).unordered();
        let name = TableReference::bare(told);
        let source = provider_as_source(Arc::new(table));
        let scan = LogicalPlanBuilder::scan(name.clone(), source, None)?.build()?;
        let of = |name_of: &str| Expr::Column(Column::new(Some(name.clone()), name_of));
        let mut items = Vec::new();
        for field in self.plan.schema().fields() {
            let stored = scan.schema().field_with_unqualified_name(field.name())?;
            let value = match stored.data_type() == field.data_type() {
                true => of(field.name()),
                false => cast(of(field.name()), field.data_type().clone()),
            };
            items.push(value.alias(field.name()));
        }
        if self.sequenced {
            items.push(of(SEQUENCE_COLUMN).alias(SEQUENCE_COLUMN));
        }
        Ok(LogicalPlanBuilder::from(scan).project(items)?.build()?)
    }

    /// Only the columns of the query come out.
    fn shown(&self, rows: LogicalPlan) -> Result<LogicalPlan> {
        let columns = self.plan.schema().fields().iter();
        let items = columns.map(|field| column(rows.schema(), field.name()));
        let items = items.collect::<Result<Vec<Expr>>>()?;
        Ok(LogicalPlanBuilder::from(rows).project(items)?.build()?)
    }
}

/// The numbers that tell the order of a table's rows.
pub(crate) async fn sequence_of(
    lakes: &Lakes,
    place: &Place,
    table: Arc<Table>,
) -> Result<LogicalPlan> {
    let provider = plan::lake_table(lakes, place, table, false).await?;
    let scan = LogicalPlanBuilder::scan("rows", provider_as_source(provider), None)?.build()?;
    match sequenced(&scan)? {
        Some((plan, sequence)) => Ok(LogicalPlanBuilder::from(plan)
            .project([sequence.alias(SEQUENCE_COLUMN)])?
            .build()?),
        None => Err(Error::new("XX000", "a table's rows have no order")),
    }
}

/// The query of the rows that its table has got after a snapshot: from this row id on.
pub(crate) fn from_row(plan: &LogicalPlan, next_row: i64, after: i64) -> Result<LogicalPlan> {
    let replaced = plan.clone().transform_down(|node| {
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
        let provider = source_as_provider(&scan.source)?;
        let Some(table) = provider.downcast_ref::<LakeTable>() else {
            return Ok(Transformed::no(node));
        };
        let source = provider_as_source(Arc::new(table.clone().from_row(next_row, after)));
        let (name, filters) = (scan.table_name.clone(), scan.filters.clone());
        let scan = LogicalPlanBuilder::scan_with_filters(name, source, None, filters)?.build()?;
        Ok(Transformed::new(scan, true, TreeNodeRecursion::Jump))
    })?;
    Ok(replaced.data)
}

/// Rows whose time is in one of the ranges; None: all rows.
pub(crate) fn within(
    rows: LogicalPlan,
    timestamp: &str,
    ranges: Option<&[(i64, i64)]>,
) -> Result<LogicalPlan> {
    let Some(ranges) = ranges else { return Ok(rows) };
    let condition = in_ranges(&rows, timestamp, ranges)?;
    Ok(LogicalPlanBuilder::from(rows).filter(condition)?.build()?)
}

/// Rows whose time is in none of the ranges, or NULL.
pub(crate) fn without(
    rows: LogicalPlan,
    timestamp: &str,
    ranges: &[(i64, i64)],
) -> Result<LogicalPlan> {
    let condition = in_ranges(&rows, timestamp, ranges)?;
    Ok(LogicalPlanBuilder::from(rows).filter(Expr::IsNotTrue(Box::new(condition)))?.build()?)
}

fn in_ranges(rows: &LogicalPlan, timestamp: &str, ranges: &[(i64, i64)]) -> Result<Expr> {
    let time = utc(column(rows.schema(), timestamp)?, rows.schema(), "TIMESTAMP")?;
    let bound = |us: i64| lit(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())));
    let of = |(from, to): &(i64, i64)| {
        let after = binary(time.clone(), Operator::GtEq, bound(*from));
        after.and(binary(time.clone(), Operator::Lt, bound(*to)))
    };
    Ok(ranges.iter().map(of).reduce(Expr::or).unwrap_or_else(|| lit(false)))
}

/// The ranges with one more, in order, those that touch as one.
pub(crate) fn joined(ranges: &[(i64, i64)], more: (i64, i64)) -> Vec<(i64, i64)> {
    let mut all: Vec<(i64, i64)> = ranges.iter().copied().chain([more]).collect();
    all.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::with_capacity(all.len());
    for (from, to) in all {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// Whether a range adds nothing.
pub(crate) fn covers(ranges: &[(i64, i64)], range: (i64, i64)) -> bool {
    ranges.iter().any(|(from, to)| *from <= range.0 && range.1 <= *to)
}

/// Fails if a column would not come back as it was.
pub(crate) fn check_exact(plan: &LogicalPlan) -> Result<()> {
    use datafusion::arrow::datatypes::{DataType, TimeUnit};
    for field in plan.schema().fields() {
        let exact = match field.data_type() {
            DataType::Timestamp(unit, _) => *unit == TimeUnit::Microsecond,
            DataType::Date64 | DataType::Time32(_) | DataType::Time64(TimeUnit::Nanosecond) => {
                false
            }
            DataType::Interval(_) | DataType::Duration(_) => false,
            _ => true,
        };
        if !exact {
            let of = types::describe(field).data_type;
            let message =
                format!("column \"{}\" of type {of} cannot be kept exactly", field.name());
            return Err(Error::new("0A000", message)
                .with_hint("Cast it in the feature view's query, to microseconds or to text."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined_where_they_touch() {
        assert_eq!(joined(&[], (1, 2)), [(1, 2)]);
        assert_eq!(joined(&[(1, 2), (5, 7)], (2, 3)), [(1, 3), (5, 7)]);
        assert_eq!(joined(&[(1, 2), (5, 7)], (0, 9)), [(0, 9)]);
        assert!(covers(&[(1, 3), (5, 7)], (5, 6)) && !covers(&[(1, 3), (5, 7)], (2, 5)));
    }

    #[test]
    fn numbers_of_names_are_not_part_of_a_query() {
        let text = "a\u{1}domain17\u{1}0, b\u{1}3, c\u{1}key4 d5";
        assert_eq!(uncounted(text), "a\u{1}domain\u{1}0, b\u{1}3, c\u{1}key d5");
        assert_eq!(uncounted("plain 7"), "plain 7");
    }
}
