//! CREATE EXTERNAL TABLE: files that are already there, read in place under a table's name.

use std::sync::Arc;

use catalog::{Definition, State};
use datafusion::arrow::datatypes::{Field, Schema};
use serde_json::{Value, json};

use super::Context;
use crate::error::{Error, Result};
use crate::names::folded;
use crate::parse::ExternalTable;
use crate::plan::{self, ExternalFiles, Place, external_provider};
use crate::{Notice, types};

/// Kind of the definitions that external tables are.
pub const KIND: &str = "external_table";

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
    let body = json!({
        "format": table.format,
        "location": table.location,
        "options": options,
        "columns": columns,
    });
    // Read now: a wrong location or format should be refused here, not in the first query.
    external_provider(&context.environment.engine, &parse_body(&body)?).await?;
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

/// What a definition says.
pub fn files(definition: &Definition) -> Result<ExternalFiles> {
    parse_body(&definition.body)
}

fn parse_body(body: &Value) -> Result<ExternalFiles> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let pairs = |value: &Value| -> Vec<(String, String)> {
        let pair = |v: &Value| (text(&v[0]), text(&v[1]));
        value.as_array().map(|list| list.iter().map(pair).collect()).unwrap_or_default()
    };
    let mut fields: Vec<Field> = Vec::new();
    for (name, data_type) in pairs(&body["columns"]) {
        let expression = crate::parse::parse_expression(&format!("CAST(NULL AS {data_type})"))?;
        let datafusion::sql::sqlparser::ast::Expr::Cast { data_type, .. } = expression else {
            return Err(Error::new("42704", format!("type \"{data_type}\" does not exist")));
        };
        fields.push(types::field(&name, &data_type)?);
    }
    Ok(ExternalFiles {
        format: text(&body["format"]),
        location: text(&body["location"]),
        options: pairs(&body["options"]),
        schema: (!fields.is_empty()).then(|| Arc::new(Schema::new(fields))),
    })
}
