//! CREATE EXTERNAL TABLE: files that are already there, read in place under a table's name.
//!
//! The catalogs show it as a foreign table, with the columns that the files had when it was made.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Definition, Relation, State, View};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};

use super::Context;
use crate::error::{Error, Result};
use crate::names::folded;
use crate::parse::ExternalTable;
use crate::pg_type::PgType;
use crate::plan::{self, ExternalFiles, Place, external_provider};
use crate::system::type_name;
use crate::{Notice, types};

/// Kind of the definitions that external tables are.
pub const KIND: &str = "external_table";

/// The dialect of what `shown` makes of it.
const FOREIGN: &str = "foreign";

/// The definition's name.
pub fn key(place: &Place) -> String {
    plan::key(&place.schema, &place.name)
}

pub(super) async fn create(context: &mut Context<'_>, table: &ExternalTable) -> Result<String> {
    let tag = "CREATE EXTERNAL TABLE".to_string();
    context.environment.may_use_files(false)?;
    let place = context.environment.target(context.lakes, &table.name, false)?;
    let parts = [place.schema.clone(), place.name.clone()];
    if context.environment.find(context.lakes, &parts)?.is_some() {
        let message = format!("relation \"{}\" already exists", place.name);
        if !table.if_not_exists {
            return Err(Error::new("42P07", message));
        }
        context.notices.push(Notice::notice(format!("{message}, skipping")));
        return Ok(tag);
    }
    let columns: Vec<Value> =
        table.columns.iter().map(|c| json!([folded(&c.name), c.data_type.to_string()])).collect();
    let options: Vec<Value> = table.options.iter().map(|(k, v)| json!([k, v])).collect();
    let mut body = json!({
        "format": table.format,
        "location": table.location,
        "options": options,
        "columns": columns,
    });
    // Read now: a wrong location or format should be refused here, not in the first query.
    let found = external_provider(&context.environment.engine, &parse_body(&body)?).await?;
    let found = found.schema();
    let column = |field: &Arc<Field>| {
        let of = PgType::of(field);
        json!([field.name(), type_name(i64::from(of.oid), Some(of.modifier))])
    };
    body["found"] = found.fields().iter().map(column).collect();
    context.lakes.main.define(KIND, &key(&place), body, false)?;
    context.own_new(&place)?;
    Ok(tag)
}

pub(super) fn undefine(context: &mut Context<'_>, place: &Place) -> Result<()> {
    let key = key(place);
    context.lakes.main.undefine(KIND, &key)?;
    let access = (catalog::ACCESS.to_owned(), key);
    match context.lakes.main.state().definitions.contains_key(&access) {
        true => Ok(context.lakes.main.undefine(&access.0, &access.1)?),
        false => Ok(()),
    }
}

/// The external tables of a schema.
pub(super) fn of_schema(state: &State, schema: &str) -> Vec<Place> {
    let prefix = plan::key(schema, "");
    let found = state.definitions.keys().filter(|(kind, _)| kind == KIND);
    let names = found.filter_map(|(_, key)| key.strip_prefix(prefix.as_str()));
    let place = |name: &str| Place { temp: false, schema: schema.into(), name: name.into() };
    names.map(place).collect()
}

/// The state with external tables among its relations, as views that ask nothing.
pub(crate) fn shown(state: Arc<State>) -> Arc<State> {
    let from = (KIND.to_owned(), String::new());
    let all = state.definitions.range(from..).take_while(|((kind, _), _)| kind == KIND);
    let places: Vec<_> = all
        .filter_map(|((_, key), definition)| {
            let (schema, name) = key.split_once(plan::SEPARATOR)?;
            Some((schema, relation(state.schemas.get(schema)?.id, key, name, definition)))
        })
        .collect();
    if places.is_empty() {
        return Arc::clone(&state);
    }
    let mut shown = State::clone(&state);
    for (schema, view) in places {
        if let Some(schema) = shown.schemas.get_mut(schema) {
            let relations = &mut Arc::make_mut(schema).relations;
            relations.entry(view.name.clone()).or_insert(Relation::View(Arc::new(view)));
        }
    }
    Arc::new(shown)
}

/// Whether a view is what `shown` makes of an external table.
pub(crate) fn is_foreign(view: &View) -> bool {
    view.dialect == FOREIGN
}

fn relation(schema_id: i64, key: &str, name: &str, definition: &Definition) -> View {
    let found = pairs(&definition.body["found"]).into_iter();
    // What has no type of a column's is text.
    let columns = found.map(|(name, data_type)| {
        let field = field(&name, &data_type);
        Arc::new(field.unwrap_or_else(|_| Field::new(&name, DataType::Utf8, true)))
    });
    View {
        id: definition.id,
        // By which its rights are kept.
        uuid: key.to_owned(),
        schema_id,
        name: name.to_owned(),
        sql: String::new(),
        search_path: Vec::new(),
        columns: columns.collect(),
        dialect: FOREIGN.to_owned(),
        comment: definition.body["comment"].as_str().map(str::to_owned),
        column_comments: comments(&definition.body).collect(),
    }
}

fn comments(body: &Value) -> impl Iterator<Item = (String, String)> {
    let all = body["column_comments"].as_object().into_iter().flatten();
    all.map(|(name, comment)| (name.clone(), text(comment)))
}

/// What a definition is with a comment, on the whole or on a column; None takes it away.
///
/// # Errors
/// 42703 for a column that there is not.
pub(super) fn commented(
    definition: &Definition,
    column: Option<&str>,
    comment: Option<String>,
) -> Result<Value> {
    let mut body = definition.body.clone();
    let Some(column) = column else {
        body["comment"] = comment.into();
        return Ok(body);
    };
    if !pairs(&body["found"]).iter().any(|(name, _)| name == column) {
        let relation = definition.name.rsplit(plan::SEPARATOR).next().unwrap_or_default();
        let message = format!("column \"{column}\" of relation \"{relation}\" does not exist");
        return Err(Error::new("42703", message));
    }
    let mut all: BTreeMap<String, String> = comments(&body).collect();
    all.remove(column);
    all.extend(comment.map(|comment| (column.to_owned(), comment)));
    body["column_comments"] = json!(all);
    Ok(body)
}

/// What a definition says.
pub fn files(definition: &Definition) -> Result<ExternalFiles> {
    parse_body(&definition.body)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pair = |v: &Value| (text(&v[0]), text(&v[1]));
    value.as_array().map(|list| list.iter().map(pair).collect()).unwrap_or_default()
}

fn field(name: &str, data_type: &str) -> Result<Field> {
    let expression = crate::parse::parse_expression(&format!("CAST(NULL AS {data_type})"))?;
    let datafusion::sql::sqlparser::ast::Expr::Cast { data_type, .. } = expression else {
        return Err(Error::new("42704", format!("type \"{data_type}\" does not exist")));
    };
    types::field(name, &data_type)
}

/// Where the files of an external table are and how they are read, as names and values.
pub(crate) fn options(definition: &Definition) -> Vec<(String, String)> {
    let body = &definition.body;
    let fixed = ["location", "format"].map(|name| (name.to_owned(), text(&body[name])));
    fixed.into_iter().chain(pairs(&body["options"])).collect()
}

fn parse_body(body: &Value) -> Result<ExternalFiles> {
    let declared = pairs(&body["columns"]).into_iter();
    let fields = declared.map(|(name, of)| field(&name, &of)).collect::<Result<Vec<_>>>()?;
    Ok(ExternalFiles {
        format: text(&body["format"]),
        location: text(&body["location"]),
        options: pairs(&body["options"]),
        schema: (!fields.is_empty()).then(|| Arc::new(Schema::new(fields))),
    })
}
