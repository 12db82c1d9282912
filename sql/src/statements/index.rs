//! CREATE, DROP and ALTER INDEX: what tools ask for is remembered and shown to them, with a NOTICE;
//! an index over vectors is built (module `vector_index`).
//!
//! The lake finds rows by file statistics, sort order and bloom filters; the last are written for
//! columns that have an index of their own.

use std::sync::Arc;

use catalog::{Constraint, Index, IndexKey, Relation, State, Table, TableChange};
use datafusion::sql::sqlparser::ast::{CreateIndex, Expr, Ident, ObjectName};

use super::{Context, vector_index};
use crate::changes::column_index;
use crate::error::{Error, Result};
use crate::names::folded;
use crate::plan::{Found, Place};
use crate::{Notice, plan};

/// Access methods of Postgres that say nothing but how rows are found.
const METHODS: [&str; 6] = ["btree", "hash", "brin", "gin", "gist", "spgist"];
/// Columns that an index may have, as in Postgres.
const MOST_COLUMNS: usize = 32;

pub(super) async fn create(context: &mut Context<'_>, create: &CreateIndex) -> Result<String> {
    let tag = "CREATE INDEX".to_string();
    let (place, found) = context.environment.expect(context.lakes, &create.table_name)?;
    context.environment.must_own(context.lakes, &place, &found)?;
    let Found::Relation(Relation::Table(table)) = found else {
        let message = format!("cannot create index on relation \"{}\"", place.name);
        return Err(Error::new("42809", message));
    };
    let mut index = definition(context, create, &table)?;
    let state = Arc::clone(context.lakes.view(&place).state());
    let taken = |name: &str| is_taken(&state, &place.schema, name);
    match &create.name {
        Some(name) => {
            index.name = plan::parts(name)?.pop().unwrap_or_default();
            if taken(&index.name) {
                let message = format!("relation \"{}\" already exists", index.name);
                if !create.if_not_exists {
                    return Err(Error::new("42P07", message));
                }
                let notice = Notice::notice(format!("{message}, skipping"));
                context.notices.push(Notice { sqlstate: "42P07", ..notice });
                return Ok(tag);
            }
        }
        None => index.name = generated_name(&table, &index, taken),
    }
    let (name, is_built) = (index.name.clone(), index.vectors.is_some());
    let change = TableChange::AddConstraint(Constraint::Index(index));
    context.lakes.of(&place).alter_table(&place.schema, &place.name, change)?;
    if is_built {
        vector_index::build(context, &place, &name).await?;
        return Ok(tag);
    }
    context.notices.push(Notice {
        hint: Some("Tables are searched by statistics, sort order and bloom filters.".into()),
        ..Notice::notice(format!("index \"{name}\" is recorded and needs no building"))
    });
    Ok(tag)
}

/// The index without its name.
fn definition(context: &mut Context<'_>, create: &CreateIndex, table: &Table) -> Result<Index> {
    let method = create.using.as_ref().map_or("btree".into(), |m| m.to_string().to_lowercase());
    if create.predicate.is_some() {
        return Err(Error::unsupported("an index over a part of a table"));
    }
    if vector_index::is_method(&method) {
        return vector_index::definition(context, create, table, &method);
    }
    if !METHODS.contains(&method.as_str()) {
        return Err(Error::unsupported(format!("index method \"{method}\"")));
    }
    let unordered = method != "btree";
    if create.unique && unordered {
        let message = format!("access method \"{method}\" does not support unique indexes");
        return Err(Error::new("0A000", message));
    }
    let mut keys = Vec::with_capacity(create.columns.len());
    for column in &create.columns {
        let Expr::Identifier(name) = &column.column.expr else {
            return Err(Error::unsupported("an index over an expression"));
        };
        let options = &column.column.options;
        if unordered && (options.asc.is_some() || options.nulls_first.is_some()) {
            let message = format!("access method \"{method}\" does not support ASC/DESC options");
            return Err(Error::new("0A000", message));
        }
        let descending = options.asc == Some(false);
        keys.push(IndexKey {
            column: id_of(table, name)?,
            descending,
            nulls_first: options.nulls_first.unwrap_or(descending),
        });
    }
    let included = create.include.iter().map(|name| id_of(table, name));
    let included = included.collect::<Result<Vec<i64>>>()?;
    if keys.len() + included.len() > MOST_COLUMNS {
        let message = format!("cannot use more than {MOST_COLUMNS} columns in an index");
        return Err(Error::new("54011", message));
    }
    let (name, unique) = (String::new(), create.unique);
    Ok(Index { name, method, unique, keys, included, vectors: None })
}

pub(super) fn id_of(table: &Table, name: &Ident) -> Result<i64> {
    let name = folded(name);
    let index = column_index(table, &name)
        .map_err(|_| Error::new("42703", format!("column \"{name}\" does not exist")))?;
    Ok(table.columns[index].id)
}

/// `table_a_b_idx`, with a number behind it if that is taken.
fn generated_name(table: &Table, index: &Index, taken: impl Fn(&str) -> bool) -> String {
    let name = |id: &i64| table.columns.iter().find(|c| c.id == *id).map(|c| c.name.as_str());
    let columns = index.columns();
    let columns: Vec<&str> = columns.iter().filter_map(name).collect();
    let stem = format!("{}_{}_idx", table.name, columns.join("_"));
    let numbered = (1..).map(|number| format!("{stem}{number}"));
    std::iter::once(stem.clone()).chain(numbered).find(|n| !taken(n)).unwrap_or(stem.clone())
}

/// Whether a schema has a relation or an index of a name.
fn is_taken(state: &State, schema: &str, name: &str) -> bool {
    let relation = state.schemas.get(schema).is_some_and(|s| s.relations.contains_key(name));
    relation || find_in(state, schema, name).is_some()
}

/// The table that an index is of, and what stands for it: a key has one too.
fn find_in<'a>(state: &'a State, schema: &str, name: &str) -> Option<(&'a Table, &'a Constraint)> {
    let relations = state.schemas.get(schema)?.relations.values();
    relations.filter_map(Relation::as_table).find_map(|table| {
        let is_index = |c: &&Constraint| {
            c.name() == name && matches!(c, Constraint::Index(_) | Constraint::Unique { .. })
        };
        table.constraints.iter().find(is_index).map(|found| (table.as_ref(), found))
    })
}

/// The place of the index's table, and what stands for the index.
fn find(context: &Context<'_>, name: &ObjectName) -> Result<Option<(Place, Constraint)>> {
    let parts = plan::parts(name)?;
    for place in context.environment.candidates(&parts)? {
        if place.temp && context.lakes.temp.is_none() {
            continue;
        }
        let state = context.lakes.view(&place).state();
        if let Some((table, found)) = find_in(state, &place.schema, &place.name) {
            let place = Place { name: table.name.clone(), ..place };
            return Ok(Some((place, found.clone())));
        }
    }
    Ok(None)
}

/// None with a NOTICE if the index need not exist.
pub(super) fn expect(
    context: &mut Context<'_>,
    name: &ObjectName,
    if_exists: bool,
    kind: &str,
) -> Result<Option<(Place, Constraint)>> {
    if let Some((place, constraint)) = find(context, name)? {
        let table = plan::object_name(&[place.schema_name(), &place.name]);
        let (_, found) = context.environment.expect(context.lakes, &table)?;
        context.environment.must_own(context.lakes, &place, &found)?;
        return Ok(Some((place, constraint)));
    }
    let parts = plan::parts(name)?;
    let shown = parts.last().map_or("", String::as_str);
    if let Some((place, _)) = context.environment.find(context.lakes, &parts)? {
        return Err(Error::new("42809", format!("\"{}\" is not an index", place.name)));
    }
    let message = format!("{kind} \"{shown}\" does not exist");
    if if_exists {
        context.notices.push(Notice::notice(format!("{message}, skipping")));
        return Ok(None);
    }
    let sqlstate = if kind == "index" { "42704" } else { "42P01" };
    Err(Error::new(sqlstate, message))
}

pub(super) fn drop(context: &mut Context<'_>, name: &ObjectName, if_exists: bool) -> Result<()> {
    let Some((place, found)) = expect(context, name, if_exists, "index")? else { return Ok(()) };
    let name = found.name().to_owned();
    if !matches!(found, Constraint::Index(_)) {
        let table = &place.name;
        let message = format!(
            "cannot drop index {name} because constraint {name} on table {table} requires it"
        );
        return Err(Error::new("2BP01", message)
            .with_hint(format!("You can drop constraint {name} on table {table} instead.")));
    }
    let change = TableChange::DropConstraint { name };
    Ok(context.lakes.of(&place).alter_table(&place.schema, &place.name, change)?)
}

/// ALTER INDEX name RENAME TO other.
pub(super) fn rename(
    context: &mut Context<'_>,
    name: &ObjectName,
    if_exists: bool,
    to: &Ident,
) -> Result<String> {
    if let Some((place, found)) = expect(context, name, if_exists, "relation")? {
        let to = folded(to);
        if is_taken(context.lakes.view(&place).state(), &place.schema, &to) {
            return Err(Error::new("42P07", format!("relation \"{to}\" already exists")));
        }
        let change = TableChange::RenameConstraint { name: found.name().to_owned(), to };
        context.lakes.of(&place).alter_table(&place.schema, &place.name, change)?;
    }
    Ok("ALTER INDEX".into())
}
