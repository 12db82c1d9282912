//! COPY as a plan: FROM is an INSERT whose rows are fed while it runs, TO is a query.
//!
//! ```text
//!   bytes ─▶ batches of the listed columns ─▶ Feed ─▶ defaults, WHERE ─▶ checks, files (`changes`)
//!   query ─▶ batches ─▶ bytes                        (how bytes are read and written: the server)
//! ```

mod feed;
mod options;
mod reader;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use catalog::{Relation, Table};
use datafusion::arrow::datatypes::FieldRef;
use datafusion::catalog::view::ViewTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{self, Ident, ObjectName, SelectItem, TableWithJoins};

use crate::access::Privileges;
use crate::changes::{self, Change, TARGET};
use crate::error::{Error, Result};
use crate::features::Manifest;
use crate::parse::{Copy, CopyPlace, CopyRows};
use crate::plan::{
    self, Environment, ExternalFiles, Found, Given, Lakes, Place, external_provider,
};
use crate::system;

pub use feed::Feed;
pub use options::{Columns, Format, Header, Options};
pub use reader::TextReader;

/// COPY FROM: what is to be done with it.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// Bytes, that are to be read and fed.
    Fed(Box<CopyIn>),
    /// Files of rows, that the engine reads.
    Scanned(Box<Change>),
}

/// A planned COPY FROM of bytes.
#[derive(Debug, Clone)]
pub struct CopyIn {
    pub change: Change,
    pub feed: Arc<Feed>,
    pub options: Options,
    /// The listed columns, in the order of the data.
    pub columns: Vec<FieldRef>,
    pub place: CopyPlace,
}

/// A planned COPY TO; its query is beside it.
#[derive(Debug, Clone)]
pub struct CopyOut {
    pub options: Options,
    pub place: CopyPlace,
}

fn check_place(environment: &Environment, copy: &Copy) -> Result<()> {
    match &copy.place {
        CopyPlace::Client => Ok(()),
        CopyPlace::Location(location) => {
            let remote = location.contains("://");
            if !copy.from && !remote && !std::path::Path::new(location).is_absolute() {
                let message = "relative path not allowed for COPY to file";
                return Err(Error::new("42602", message));
            }
            environment.may_use_files(!copy.from)
        }
        CopyPlace::Program => Err(Error::unsupported("COPY with PROGRAM")
            .with_hint("Run the program at the client: psql's \\copy takes PROGRAM.")),
    }
}

/// Plans COPY FROM.
pub async fn plan_in(environment: &Environment, lakes: &Lakes, copy: &Copy) -> Result<Incoming> {
    let options = Options::of(copy)?;
    check_place(environment, copy)?;
    let CopyRows::Table { name, columns } = &copy.rows else {
        return Err(Error::new("42601", "COPY query FROM makes no sense"));
    };
    let (place, table) = target(environment, lakes, name)?;
    let listed = listed(&table, columns)?;
    let of = |index: &usize| table.columns[*index].field.clone();
    let fields: Vec<FieldRef> = listed.iter().map(of).collect();
    check_forced(&options, &table, &fields)?;
    let feed = Arc::new(Feed::new(&fields));
    let scanned = matches!(options.format, Format::Parquet | Format::Json);
    let (source, listed) = match &copy.place {
        CopyPlace::Location(location) if scanned => {
            let all = columns.is_empty();
            files(environment, &options, location, &table, (&listed, all)).await?
        }
        _ => (feed.plan()?, listed),
    };
    let rows = changes::rows_of(environment, lakes, source, &table, &listed)?;
    let rows = match &copy.filter {
        Some(filter) => filtered(environment, lakes, rows, &place, filter.clone()).await?,
        None => rows,
    };
    let change = Change::copied(lakes, place, table, rows);
    Ok(match scanned {
        true => Incoming::Scanned(Box::new(change)),
        false => {
            let place = copy.place.clone();
            let columns = fields;
            Incoming::Fed(Box::new(CopyIn { change, feed, options, columns, place }))
        }
    })
}

/// A scan of Parquet or JSON files, and the table's columns that theirs are. They go by name: with
/// a list of columns the files must have those, without one the table must have the files'.
async fn files(
    environment: &Environment,
    options: &Options,
    location: &str,
    table: &Table,
    (listed, all): (&[usize], bool),
) -> Result<(LogicalPlan, Vec<usize>)> {
    let format = if options.format == Format::Parquet { "PARQUET" } else { "JSON" };
    let files = ExternalFiles {
        format: format.into(),
        location: location.into(),
        options: Vec::new(),
        schema: None,
    };
    let provider = external_provider(&environment.engine, &files).await?;
    let names: Vec<String> = provider.schema().fields().iter().map(|f| f.name().clone()).collect();
    let scan = LogicalPlanBuilder::scan("copied", provider_as_source(provider), None)?;
    let (kept, to): (Vec<String>, Vec<usize>) = if all {
        let to = names.iter().map(|name| changes::column_index(table, name));
        let to = to.collect::<Result<Vec<_>>>()?;
        (names, to)
    } else {
        let wanted = listed.iter().map(|index| table.columns[*index].name.clone());
        let wanted: Vec<String> = wanted.collect();
        if let Some(missing) = wanted.iter().find(|name| !names.contains(name)) {
            let message = format!("column \"{missing}\" does not exist in \"{location}\"");
            return Err(Error::new("42703", message));
        }
        (wanted, listed.to_vec())
    };
    let items = kept.iter().map(|name| Expr::Column(changes::ident(name)));
    Ok((scan.project(items.collect::<Vec<_>>())?.build()?, to))
}

/// The query of COPY TO, as a statement that is planned like any other.
pub fn query_out(
    environment: &Environment,
    lakes: &Lakes,
    copy: &Copy,
) -> Result<(CopyOut, ast::Statement)> {
    if copy.filter.is_some() {
        return Err(Error::new("42601", "WHERE clause not allowed with COPY TO"));
    }
    let options = Options::of(copy)?;
    check_place(environment, copy)?;
    let statement = match &copy.rows {
        CopyRows::Query(statement) => statement.as_ref().clone(),
        CopyRows::Table { name, columns } => {
            let (parts, mut columns) = (plan::parts(name)?, columns.clone());
            if let Some((place, found)) = environment.find(lakes, &parts)? {
                match found {
                    Found::Relation(Relation::Table(table)) if table.query.is_some() => {
                        return Err(from_view("materialized view", &place));
                    }
                    Found::Relation(Relation::Table(table)) => {
                        let listed = listed(&table, &columns)?;
                        let name = |index: &usize| changes::quoted(&table.columns[*index].name);
                        columns = listed.iter().map(name).collect();
                        let field = |index: &usize| table.columns[*index].field.clone();
                        let fields: Vec<_> = listed.iter().map(field).collect();
                        check_forced(&options, &table, &fields)?;
                    }
                    Found::Relation(Relation::View(_)) => {
                        return Err(from_view("view", &place));
                    }
                    Found::External(_) => {}
                }
            }
            table_query(name, &columns)?
        }
    };
    Ok((CopyOut { options, place: copy.place.clone() }, statement))
}

fn from_view(what: &str, place: &Place) -> Error {
    let message = format!("cannot copy from {what} \"{}\"", place.name);
    Error::new("42809", message).with_hint("Try the COPY (SELECT ...) TO variant.")
}

/// `SELECT columns FROM name`.
fn table_query(name: &ObjectName, columns: &[Ident]) -> Result<ast::Statement> {
    let items = match columns {
        [] => vec![SelectItem::Wildcard(ast::WildcardAdditionalOptions::default())],
        columns => {
            let item = |name: &Ident| SelectItem::UnnamedExpr(ast::Expr::Identifier(name.clone()));
            columns.iter().map(item).collect()
        }
    };
    let relation = plan::table_factor(name.clone(), None);
    let from = TableWithJoins { relation, joins: Vec::new() };
    Ok(ast::Statement::Query(Box::new(changes::select(items, vec![from], None)?)))
}

fn target(
    environment: &Environment,
    lakes: &Lakes,
    name: &ObjectName,
) -> Result<(Place, Arc<Table>)> {
    let parts = plan::parts(name)?;
    if let [.., schema, _] = parts.as_slice()
        && system::is_schema(schema)
    {
        return Err(Error::new("42501", format!("permission denied for schema {schema}")));
    }
    let (place, found) = environment.expect(lakes, name)?;
    environment.require(lakes, &place, &found, Privileges::INSERT)?;
    match (place, found) {
        (place, Found::Relation(Relation::Table(table))) if table.query.is_some() => {
            let message = format!("cannot copy to materialized view \"{}\"", place.name);
            Err(Error::new("42809", message).with_hint("REFRESH fills it from its query."))
        }
        (place, Found::Relation(Relation::Table(table))) => {
            Manifest::refuse_change(lakes.main.state(), &place)?;
            Ok((place, table))
        }
        (place, Found::Relation(Relation::View(_))) => {
            Err(Error::new("42809", format!("cannot copy to view \"{}\"", place.name))
                .with_hint("Copy to the tables that its query reads."))
        }
        (place, Found::External(_)) => {
            let message = format!("cannot copy to external table \"{}\"", place.name);
            Err(Error::new("42809", message)
                .with_hint("COPY … TO its location writes files there."))
        }
    }
}

/// The positions of the columns listed; none listed: all that are not computed.
fn listed(table: &Table, columns: &[Ident]) -> Result<Vec<usize>> {
    let computed = changes::computed(table);
    if columns.is_empty() {
        let all = 0..table.columns.len();
        return Ok(all.filter(|index| !computed.contains(index)).collect());
    }
    let mut seen = HashSet::new();
    let index = |name: &Ident| {
        let name = crate::names::folded(name);
        let index = changes::column_index(table, &name)?;
        if computed.contains(&index) {
            return Err(Error::new("42P10", format!("column \"{name}\" is a generated column"))
                .with_detail("Generated columns cannot be used in COPY."));
        }
        match seen.insert(index) {
            true => Ok(index),
            false => {
                Err(Error::new("42701", format!("column \"{name}\" specified more than once")))
            }
        }
    };
    columns.iter().map(index).collect()
}

/// FORCE_… names columns that are copied.
fn check_forced(options: &Options, table: &Table, listed: &[FieldRef]) -> Result<()> {
    let forced = [
        (&options.force_quote, "FORCE_QUOTE"),
        (&options.force_not_null, "FORCE_NOT_NULL"),
        (&options.force_null, "FORCE_NULL"),
    ];
    for (columns, word) in forced {
        let Columns::Named(names) = columns else { continue };
        for name in names {
            changes::column_index(table, name)?;
            if !listed.iter().any(|field| field.name() == name) {
                let message = format!("{word} column \"{name}\" not referenced by COPY");
                return Err(Error::new("42P10", message));
            }
        }
    }
    Ok(())
}

/// WHERE sees the rows as they would be inserted, defaults included.
async fn filtered(
    environment: &Environment,
    lakes: &Lakes,
    rows: LogicalPlan,
    place: &Place,
    filter: ast::Expr,
) -> Result<LogicalPlan> {
    let items = vec![SelectItem::Wildcard(ast::WildcardAdditionalOptions::default())];
    let from = TableWithJoins { relation: changes::target_factor(&place.name), joins: Vec::new() };
    let subquery = ast::visit_expressions(&filter, |expression| match expression {
        ast::Expr::Subquery(_) | ast::Expr::InSubquery { .. } | ast::Expr::Exists { .. } => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    if subquery.is_break() {
        return Err(Error::new("0A000", "cannot use subquery in COPY FROM WHERE condition"));
    }
    let query = changes::select(items, vec![from], Some(filter))?;
    let view = provider_as_source(Arc::new(ViewTable::new(rows, None)));
    let overrides = vec![(TARGET.to_owned(), Given::Table(view))];
    plan::plan_query(environment, lakes, query, &[], overrides).await
}
