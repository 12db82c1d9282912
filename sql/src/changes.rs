//! INSERT, UPDATE, DELETE and MERGE: one plan whose rows say what to do, one writer that does it.
//!
//! ```text
//!   statement ─▶ SELECT action, file, position, column… ─▶ apply: deletions as positions,
//!                                                          new rows to Parquet or inlined
//! ```
//! An UPDATE deletes the old row and appends the new one. ON CONFLICT is planned as a MERGE.

mod apply;
mod check;
mod delete;
mod held;
mod insert;
mod kept;
mod merge;
mod own;
mod returning;
mod update;
mod upsert;
pub(crate) mod validate;
mod with;

use std::sync::Arc;

use catalog::{FILE_COLUMN, POSITION_COLUMN, Relation, Table};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableSource, cast, lit};
use datafusion::prelude::col;
use datafusion::sql::sqlparser::ast::{self, Ident, ObjectName, SelectItem, TableAlias};

use crate::access::{self, Privileges};
use crate::error::{Error, Result};
use crate::features::Manifest;
use crate::plan::{self, Environment, Found, Given, Lakes, Overrides, Place};
use crate::{parse, system};

pub use apply::{Applied, Touched, apply, apply_after};
pub(crate) use held::Held;
pub use kept::Kept;
pub(crate) use merge::NOTHING;
pub(crate) use own::computed;
use own::{Own, compute};
pub use returning::Returning;
use returning::SourceColumn;
pub use with::{Parts, Step, parts};

/// The name under which a statement's target is planned; its alias is what the user wrote.
pub(crate) const TARGET: &str = "\u{3}target";
/// What INSERT's OVERRIDING clauses are folded to before parsing: a partition of this name.
pub(crate) const OVERRIDING_SYSTEM: &str = "\u{3}system";
pub(crate) const OVERRIDING_USER: &str = "\u{3}user";
/// First column of a change's plan: what to do with the row.
pub(crate) const ACTION_COLUMN: &str = "__sextant_action";
pub(crate) const INSERT: i64 = 1;
pub(crate) const UPDATE: i64 = 2;
pub(crate) const DELETE: i64 = 3;

/// What a change's plan yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The table's columns: every row is new.
    Rows,
    /// Action, file, position, the table's columns, those of the sources.
    Actions,
}

/// What to do when a statement meets one row twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Twice {
    /// UPDATE … FROM, DELETE … USING: the first match counts.
    First,
    /// MERGE: 21000.
    Fail(&'static str),
}

/// A planned INSERT, UPDATE, DELETE or MERGE.
#[derive(Debug, Clone)]
pub struct Change {
    pub place: Place,
    pub table: Arc<Table>,
    /// Where the table's files are, relative to the data path.
    pub(crate) folder: String,
    /// Parameters may be open in it; replace them before `apply`.
    pub plan: LogicalPlan,
    /// The command word of the tag: `INSERT 0`, `UPDATE`, `DELETE`, `MERGE`.
    pub tag: &'static str,
    pub returning: Option<Returning>,
    pub(crate) shape: Shape,
    pub(crate) twice: Twice,
    /// Columns that a row inserted here must not share with another inserted here.
    pub(crate) distinct: Option<(Vec<usize>, Twice)>,
    /// The outcome depended on which keys exist.
    pub(crate) depends: bool,
    /// What stands beside the target, for RETURNING.
    pub(crate) sources: Vec<SourceColumn>,
    /// The types that clients are told of the parameters that go to columns as they are. The plan
    /// takes those of json, uuid and the like for plain text, and checks it.
    pub told: Vec<Option<FieldRef>>,
}

impl Change {
    /// New rows for a table: the query's columns in order, cast to the table's types.
    pub fn rows(
        environment: &Environment,
        lakes: &Lakes,
        place: &Place,
        table: Arc<Table>,
        query: LogicalPlan,
    ) -> Result<Self> {
        let given = query.schema().columns().into_iter().zip(&table.columns);
        let items = given.map(|(column, to)| {
            assigned(Expr::Column(column), &to.field, query.schema(), &environment.engine)
        });
        let items = items.collect::<Result<Vec<_>>>()?;
        let plan = LogicalPlanBuilder::from(query).project(items)?.build()?;
        Ok(Self::new(lakes, place.clone(), table, "INSERT 0", Shape::Rows, plan))
    }

    /// COPY's rows: a plan of the table's columns and types.
    pub(crate) fn copied(
        lakes: &Lakes,
        place: Place,
        table: Arc<Table>,
        plan: LogicalPlan,
    ) -> Self {
        Self::new(lakes, place, table, "COPY", Shape::Rows, plan)
    }

    fn new(
        lakes: &Lakes,
        place: Place,
        table: Arc<Table>,
        tag: &'static str,
        shape: Shape,
        plan: LogicalPlan,
    ) -> Self {
        Self {
            folder: folder(lakes, &place, &table),
            place,
            table,
            plan,
            tag,
            returning: None,
            shape,
            twice: Twice::First,
            distinct: None,
            depends: false,
            sources: Vec::new(),
            told: Vec::new(),
        }
    }
}

/// Plans a data-changing statement; None if it is another one. `given` is what WITH names beside
/// the statement's own.
pub async fn plan_change(
    environment: &Environment,
    lakes: &Lakes,
    statement: &ast::Statement,
    types: &[Option<FieldRef>],
    given: &Overrides,
) -> Result<Option<Change>> {
    let (with, statement) = change_in(statement);
    let planner = Planner { environment, lakes, types, with, given };
    planner.check_rights(statement)?;
    match statement {
        ast::Statement::Insert(insert) => planner.insert(insert.clone()).await,
        ast::Statement::Update(update) => planner.update(update.clone()).await,
        ast::Statement::Delete(delete) => planner.delete(delete.clone()).await,
        ast::Statement::Merge(merge) => planner.merge(merge.clone()).await,
        _ => return Ok(None),
    }
    .map(Some)
}

/// `WITH … INSERT` is parsed as a query whose body changes data: the change, and its WITH.
fn change_in(statement: &ast::Statement) -> (Option<&ast::With>, &ast::Statement) {
    let ast::Statement::Query(query) = statement else { return (None, statement) };
    match query.body.as_ref() {
        ast::SetExpr::Insert(change)
        | ast::SetExpr::Update(change)
        | ast::SetExpr::Delete(change)
        | ast::SetExpr::Merge(change) => (query.with.as_ref(), change),
        _ => (None, statement),
    }
}

fn folder(lakes: &Lakes, place: &Place, table: &Table) -> String {
    let schema = lakes.view(place).state().schemas.get(&place.schema);
    schema.map_or_else(String::new, |schema| table.folder(schema))
}

pub(crate) struct Planner<'a> {
    environment: &'a Environment,
    lakes: &'a Lakes,
    types: &'a [Option<FieldRef>],
    /// The statement's WITH, which its queries are planned under.
    with: Option<&'a ast::With>,
    /// What it names beside that.
    given: &'a Overrides,
}

impl Planner<'_> {
    /// Fails unless the statement's role may change its target so.
    fn check_rights(&self, statement: &ast::Statement) -> Result<()> {
        if self.environment.authority.superuser {
            return Ok(());
        }
        let Some((name, mut needed)) = access::target(statement) else { return Ok(()) };
        if access::reads_columns(statement) {
            needed = needed.with(Privileges::SELECT);
        }
        let Ok(parts) = plan::parts(name) else { return Ok(()) };
        match self.environment.find(self.lakes, &parts)? {
            Some((place, found)) => self.environment.require(self.lakes, &place, &found, needed),
            None => Ok(()),
        }
    }

    /// The table that a statement changes.
    fn target(&self, name: &ObjectName) -> Result<(Place, Arc<Table>)> {
        let parts = plan::parts(name)?;
        if let [.., schema, _] = parts.as_slice()
            && system::is_schema(schema)
        {
            return Err(Error::new("42501", format!("permission denied for schema {schema}")));
        }
        match self.environment.expect(self.lakes, name)? {
            (place, Found::Relation(Relation::Table(table))) if table.query.is_some() => {
                let message = format!("cannot change materialized view \"{}\"", place.name);
                Err(Error::new("42809", message).with_hint("REFRESH fills it from its query."))
            }
            (place, Found::Relation(Relation::Table(table))) => {
                Manifest::refuse_change(self.lakes.main.state(), &place)?;
                Ok((place, table))
            }
            (place, Found::Relation(Relation::View(_))) => {
                Err(Error::new("55000", format!("cannot change view \"{}\"", place.name))
                    .with_hint("Change the tables that its query reads."))
            }
            (place, Found::External(_)) => {
                Err(Error::new("0A000", format!("cannot change external table \"{}\"", place.name))
                    .with_hint("CREATE TABLE AS SELECT copies it into the lake."))
            }
        }
    }

    /// The target with its rows' addresses.
    async fn addressed(&self, place: &Place, table: &Arc<Table>) -> Result<Arc<dyn TableSource>> {
        let table = Arc::clone(table);
        Ok(provider_as_source(plan::lake_table(self.lakes, place, table, true).await?))
    }

    /// Plans `query`, in which `TARGET` is the addressed table.
    async fn plan(
        &self,
        query: ast::Query,
        place: &Place,
        table: &Arc<Table>,
    ) -> Result<LogicalPlan> {
        let query = self.under_with(query);
        let target = self.addressed(place, table).await?;
        self.plan_given(query, self.types, [(TARGET.to_string(), Given::Table(target))]).await
    }

    /// Plans `query` with what is given to it beside what the statement was given.
    async fn plan_given(
        &self,
        query: ast::Query,
        types: &[Option<FieldRef>],
        given: impl IntoIterator<Item = (String, Given)>,
    ) -> Result<LogicalPlan> {
        let given = self.given.iter().cloned().chain(given).collect();
        plan::plan_query(self.environment, self.lakes, query, types, given).await
    }

    /// The query with the statement's WITH before its own.
    fn under_with(&self, query: ast::Query) -> ast::Query {
        let mut query = query;
        if let Some(outer) = self.with {
            let own = query.with.take().into_iter().flat_map(|with| with.cte_tables);
            let mut with = outer.clone();
            with.cte_tables.extend(own);
            query.with = Some(with);
        }
        query
    }

    /// A DEFAULT, or NULL.
    fn default(&self, default: Option<&str>) -> Result<Expr> {
        match default {
            None => Ok(lit(datafusion::common::ScalarValue::Null)),
            Some(text) => plan::expression(
                self.environment,
                parse::parse_expression(text)?,
                &DFSchema::empty(),
            ),
        }
    }
}

/// A source's columns as rows of the table: `columns` says where each goes, the others have their
/// defaults.
pub(crate) fn rows_of(
    environment: &Environment,
    lakes: &Lakes,
    source: LogicalPlan,
    table: &Table,
    columns: &[usize],
) -> Result<LogicalPlan> {
    let given = &Vec::new();
    Planner { environment, lakes, types: &[], with: None, given }.rows(source, table, columns)
}

/// The first items of a change's SELECT: what to do with which row of the target.
pub(crate) fn address_items(action: ast::Expr, target: &str) -> Vec<SelectItem> {
    vec![
        item(action, ACTION_COLUMN),
        item(qualified(target, FILE_COLUMN), "__sextant_in"),
        item(qualified(target, POSITION_COLUMN), "__sextant_at"),
    ]
}

/// The last item of a change's SELECT: all columns, for RETURNING to read the sources'.
pub(crate) fn all_columns() -> SelectItem {
    SelectItem::Wildcard(ast::WildcardAdditionalOptions::default())
}

/// Columns of a change's plan from the `first` on that are not the target's.
pub(crate) fn source_columns(plan: &LogicalPlan, first: usize, target: &str) -> Vec<usize> {
    let target = TableReference::bare(target);
    let columns = plan.schema().iter().enumerate().skip(first);
    let beside = columns.filter(|(_, (qualifier, field))| {
        *qualifier != Some(&target) && field.name() != merge::SOURCE_COLUMN
    });
    beside.map(|(index, _)| index).collect()
}

/// Columns of a change's plan.
pub(crate) fn columns_at(plan: &LogicalPlan, indices: std::ops::Range<usize>) -> Vec<Expr> {
    indices.map(|index| Expr::Column(plan.schema().columns()[index].clone())).collect()
}

impl Change {
    /// A change whose plan has (action, file, position), from which `values` are the table's
    /// columns; the columns at `sources` stand beside them.
    fn of_actions(
        planner: &Planner<'_>,
        (place, table): (Place, Arc<Table>),
        tag: &'static str,
        plan: LogicalPlan,
        values: Vec<Expr>,
        sources: &[usize],
    ) -> Result<Self> {
        let columns = plan.schema().columns();
        let mut items = vec![
            cast(Expr::Column(columns[0].clone()), DataType::Int64).alias(ACTION_COLUMN),
            Expr::Column(columns[1].clone()).alias(FILE_COLUMN),
            Expr::Column(columns[2].clone()).alias(POSITION_COLUMN),
        ];
        for (column, value) in table.columns.iter().zip(values) {
            let engine = &planner.environment.engine;
            items.push(assigned(value, &column.field, plan.schema(), engine)?);
        }
        let mut beside = Vec::with_capacity(sources.len());
        for index in sources {
            let (qualifier, field) = plan.schema().qualified_field(*index);
            beside.push(SourceColumn { qualifier: qualifier.cloned(), field: Arc::clone(field) });
            let column = Expr::Column(columns[*index].clone());
            items.push(column.alias(format!("__sextant_source_{index}")));
        }
        let plan = LogicalPlanBuilder::from(plan).project(items)?.build()?;
        let plan = LogicalPlanBuilder::from(compute(planner.environment, plan, &table)?);
        let plan = plan.filter(col(ident(ACTION_COLUMN)).gt(lit(0_i64)))?.build()?;
        let change = Self::new(planner.lakes, place, table, tag, Shape::Actions, plan);
        Ok(Self { sources: beside, ..change })
    }
}

/// `value` as it is stored in a column.
pub(crate) fn assigned(
    value: Expr,
    field: &Field,
    schema: &DFSchema,
    engine: &SessionState,
) -> Result<Expr> {
    Ok(plan::Rules::new(engine, false).assigned(value, field, schema)?.alias(field.name()))
}

/// An unqualified column, its name taken as it is.
pub(crate) fn ident(name: &str) -> datafusion::common::Column {
    datafusion::common::Column::from_name(name)
}

/// A quoted identifier.
pub(crate) fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// `alias.name`.
pub(crate) fn qualified(alias: &str, name: &str) -> ast::Expr {
    ast::Expr::CompoundIdentifier(vec![quoted(alias), quoted(name)])
}

/// A select item that is named.
pub(crate) fn item(expr: ast::Expr, alias: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: quoted(alias) }
}

/// An integer literal.
pub(crate) fn number(value: i64) -> ast::Expr {
    ast::Expr::Value(ast::Value::Number(value.to_string(), false).into())
}

/// NULL.
pub(crate) fn null() -> ast::Expr {
    ast::Expr::Value(ast::Value::Null.into())
}

/// The table that a statement names as its target: as it is now, and not as it was.
pub(crate) fn target_of<'a>(
    relation: &'a ast::TableFactor,
    word: &str,
) -> Result<(&'a ObjectName, Option<&'a TableAlias>)> {
    match relation {
        ast::TableFactor::Table { version: Some(_), .. } => {
            Err(Error::new("0A000", format!("{word} cannot change an old snapshot"))
                .with_hint("Time travel is for reading: leave VERSION AS OF out of the target."))
        }
        ast::TableFactor::Table { name, alias, args: None, .. } => Ok((name, alias.as_ref())),
        _ => Err(Error::unsupported(format!("{word} of anything but a table"))),
    }
}

/// What the target is called inside the statement.
pub(crate) fn alias_of(alias: Option<&TableAlias>, place: &Place) -> String {
    alias.map_or_else(|| place.name.clone(), |a| crate::names::folded(&a.name))
}

/// The target as a table factor.
pub(crate) fn target_factor(alias: &str) -> ast::TableFactor {
    plan::table_factor(plan::object_name(&[TARGET]), Some(table_alias(alias)))
}

/// `AS alias`.
pub(crate) fn table_alias(alias: &str) -> TableAlias {
    TableAlias { explicit: true, name: quoted(alias), columns: Vec::new(), at: None }
}

/// `SELECT items FROM from WHERE selection`.
pub(crate) fn select(
    items: Vec<SelectItem>,
    from: Vec<ast::TableWithJoins>,
    selection: Option<ast::Expr>,
) -> Result<ast::Query> {
    let mut query = parse::parse_query("SELECT 1")?;
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        select.projection = items;
        select.from = from;
        select.selection = selection;
    }
    Ok(query)
}

/// The position of a column that a statement assigns to.
pub(crate) fn column_index(table: &Table, name: &str) -> Result<usize> {
    table.columns.iter().position(|c| c.name == name).ok_or_else(|| {
        let message = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
        let error = Error::new("42703", message);
        match crate::error::near_names(name, table.columns.iter().map(|c| c.name.as_str())) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    })
}

/// The column that SET or INSERT assigns to, which is never qualified by its table.
pub(crate) fn assigned_column(table: &Table, name: &ObjectName) -> Result<usize> {
    let parts = plan::parts(name)?;
    let index = column_index(table, parts.first().map_or("", String::as_str));
    match (parts.get(1), index) {
        (None, index) => index,
        (Some(_), Err(error)) => {
            Err(error.with_hint("SET target columns cannot be qualified with the relation name."))
        }
        (Some(field), Ok(index)) => {
            let column = &table.columns[index];
            let kind = crate::types::describe(&column.field).data_type;
            let message = format!(
                "cannot assign to field \"{field}\" of column \"{}\" because its type {kind} is \
                 not a composite type",
                column.name
            );
            Err(Error::new("42804", message))
        }
    }
}
