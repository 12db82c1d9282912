//! Columns as DuckLake numbers and describes them: one id per column and per nested part.
//!
//! ```text
//!   v float4[]      v: list      id 4      field = List<element: Float32>
//!                   └ element    id 5      parent 4
//! ```
//! What DuckLake's type names cannot say (`vector(3)`, `varchar(20)`) is kept in column tags.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use kernels::vectors::Kind;
use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::model::{Column, MODEL_KEY, TYPE_KEY, VIEW_COLUMN_OF};
use crate::types;

/// Column tag that holds the length of a vector.
pub const VECTOR_TAG: &str = "sextant.vector";
/// Column tag that holds the Postgres spelling of the type.
pub const TYPE_TAG: &str = TYPE_KEY;
/// Tag of comments, as DuckLake names it.
pub const COMMENT_TAG: &str = "comment";

/// Tags of one column or object.
pub type Tags = BTreeMap<String, String>;

/// One row of `ducklake_column`.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnRecord {
    pub id: i64,
    pub order: i64,
    pub name: String,
    pub type_name: String,
    pub initial_default: Option<String>,
    pub default: Option<String>,
    pub default_type: String,
    pub nullable: bool,
    pub parent: Option<i64>,
}

/// A new column with ids from `next` on, parents before their parts.
pub fn number(name: &str, field: &Field, next: &mut i64) -> Column {
    let id = *next;
    *next += 1;
    let children = match field.data_type() {
        DataType::List(part) | DataType::LargeList(part) | DataType::FixedSizeList(part, _) => {
            vec![number("element", part, next)]
        }
        DataType::Struct(parts) => parts.iter().map(|p| number(p.name(), p, next)).collect(),
        _ => Vec::new(),
    };
    // A new column has the engine's type, whatever column its values were read from.
    let mut metadata = field.metadata().clone();
    metadata.remove(types::FOREIGN_TYPE);
    // The name of the part says so, and a column's part has another.
    if let Some(kind) = types::VectorType::of_element(field) {
        metadata.insert(TYPE_KEY.to_owned(), kind.name().to_owned());
    }
    Column {
        id,
        order: id,
        name: name.to_owned(),
        field: Arc::new(field.clone().with_name(name).with_metadata(metadata)),
        children,
        nullable: field.is_nullable(),
        default: None,
        initial_default: None,
        comment: None,
    }
}

/// Columns without parts: the ones that statistics are kept for.
pub fn leaves<'a>(column: &'a Column, into: &mut Vec<&'a Column>) {
    if column.children.is_empty() {
        into.push(column);
    }
    for child in &column.children {
        leaves(child, into);
    }
}

/// The rows that describe a column, its parts after it.
pub fn records(column: &Column, parent: Option<i64>, into: &mut Vec<ColumnRecord>) -> Result<()> {
    let literal = column.default.as_deref().map(literal);
    let nested = !column.children.is_empty();
    let (default, default_type) = match literal {
        None => (Some("NULL".to_owned()), if nested { "" } else { "literal" }),
        Some(Some(text)) => (Some(text), "literal"),
        Some(None) => (column.default.clone(), "expression"),
    };
    into.push(ColumnRecord {
        id: column.id,
        order: column.order,
        name: column.name.clone(),
        type_name: type_name(&column.field)?,
        initial_default: column.initial_default.clone(),
        default,
        default_type: default_type.to_owned(),
        nullable: column.nullable,
        parent,
    });
    for child in &column.children {
        records(child, Some(column.id), into)?;
    }
    Ok(())
}

/// Tags of a column and its parts, by column id.
pub fn tags(column: &Column, into: &mut BTreeMap<i64, Tags>) -> Result<()> {
    let mut own = type_tags(&column.field)?;
    if let Some(comment) = &column.comment {
        own.insert(COMMENT_TAG.to_owned(), comment.clone());
    }
    if !own.is_empty() {
        into.insert(column.id, own);
    }
    column.children.iter().try_for_each(|child| tags(child, into))
}

/// Rebuilds the columns of one table from its rows.
pub fn from_records(
    records: &[ColumnRecord],
    tags: &HashMap<i64, Tags>,
    parent: Option<i64>,
) -> Result<Vec<Column>> {
    let mut own: Vec<_> = records.iter().filter(|r| r.parent == parent).collect();
    own.sort_by_key(|record| (record.order, record.id));
    own.into_iter().map(|record| from_record(record, records, tags)).collect()
}

fn from_record(
    record: &ColumnRecord,
    records: &[ColumnRecord],
    tags: &HashMap<i64, Tags>,
) -> Result<Column> {
    let nested = matches!(record.type_name.as_str(), "list" | "struct" | "map");
    let children = if nested { from_records(records, tags, Some(record.id))? } else { Vec::new() };
    let none = Tags::new();
    let own = tags.get(&record.id).unwrap_or(&none);
    let parts: Vec<_> = children.iter().map(|c| Arc::clone(&c.field)).collect();
    let field = field(&record.name, &record.type_name, record.nullable, parts, own)?;
    let numeric = field.data_type().is_numeric() || field.data_type() == &DataType::Boolean;
    let default = record.default.as_ref().and_then(|text| {
        match (record.default_type.as_str(), text.as_str()) {
            (_, "NULL") => None,
            ("expression", _) => Some(text.clone()),
            _ if numeric => Some(text.clone()),
            _ => Some(format!("'{}'", text.replace('\'', "''"))),
        }
    });
    Ok(Column {
        id: record.id,
        order: record.order,
        name: record.name.clone(),
        field: Arc::new(field),
        children,
        nullable: record.nullable,
        default,
        initial_default: record.initial_default.clone(),
        comment: own.get(COMMENT_TAG).cloned(),
    })
}

/// The text of a SQL literal as DuckLake keeps it; None for any other expression.
pub fn literal(sql: &str) -> Option<String> {
    let sql = sql.trim();
    if sql.parse::<f64>().is_ok() && sql.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return Some(sql.to_owned());
    }
    if sql.eq_ignore_ascii_case("true") || sql.eq_ignore_ascii_case("false") {
        return Some(sql.to_ascii_lowercase());
    }
    let inner = sql.strip_prefix('\'')?.strip_suffix('\'')?;
    let bare = inner.replace("''", "");
    (!bare.contains('\'')).then(|| inner.replace("''", "'"))
}

/// DuckLake's name of a column's type; nested types are just `list` and `struct`.
pub fn type_name(field: &Field) -> Result<String> {
    match field.data_type() {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            Ok("list".to_owned())
        }
        DataType::Struct(_) => Ok("struct".to_owned()),
        _ => types::to_ducklake(field),
    }
}

/// What the type's name leaves out.
fn type_tags(field: &Field) -> Result<Tags> {
    let mut tags = Tags::new();
    if let DataType::FixedSizeList(_, length) = field.data_type() {
        tags.insert(VECTOR_TAG.to_owned(), length.to_string());
        let model = field.metadata().get_key_value(MODEL_KEY);
        tags.extend(model.map(|(key, model)| (key.clone(), model.clone())));
        return Ok(tags);
    }
    let half = (*field.data_type() == DataType::Float16).then_some(Kind::Half.name());
    let Some(spelling) = field.metadata().get(TYPE_KEY).map(String::as_str).or(half) else {
        return Ok(tags);
    };
    if spelling != type_name(field)? {
        tags.insert(TYPE_TAG.to_owned(), spelling.to_owned());
    }
    Ok(tags)
}

fn field(
    name: &str,
    type_name: &str,
    nullable: bool,
    parts: Vec<Arc<Field>>,
    tags: &Tags,
) -> Result<Field> {
    let vector = tags.get(VECTOR_TAG).and_then(|length| length.parse::<i32>().ok());
    if let (Some(length), Some(part)) = (vector, parts.first()) {
        // The list tells that its elements are those of vectors.
        let part = part.as_ref().clone().with_metadata(HashMap::new());
        let data_type = DataType::FixedSizeList(Arc::new(part), length);
        let name_of = types::VectorType::of(&data_type).map(types::VectorType::name);
        let spelling = name_of.map(|name_of| (TYPE_KEY.to_owned(), name_of));
        let model = tags.get_key_value(MODEL_KEY);
        let model = model.map(|(key, model)| (key.clone(), model.clone()));
        let metadata = spelling.into_iter().chain(model).collect();
        return Ok(Field::new(name, data_type, nullable).with_metadata(metadata));
    }
    let field = match (type_name, parts.first()) {
        ("list", Some(part)) if is_of_vector(part) => {
            let name_of = part.metadata().get(TYPE_KEY).cloned().unwrap_or_default();
            let part = Field::new(&name_of, part.data_type().clone(), true);
            let spelling = HashMap::from([(TYPE_KEY.to_owned(), name_of)]);
            let list = DataType::List(Arc::new(part));
            return Ok(Field::new(name, list, nullable).with_metadata(spelling));
        }
        ("list", Some(part)) => Field::new(name, DataType::List(Arc::clone(part)), nullable),
        ("struct", _) => Field::new(name, DataType::Struct(parts.into()), nullable),
        _ => types::from_ducklake(type_name, name, nullable, &parts)?,
    };
    let Some(spelling) = tags.get(TYPE_TAG) else {
        return Ok(field);
    };
    let mut metadata = field.metadata().clone();
    metadata.insert(TYPE_KEY.to_owned(), spelling.clone());
    let half = type_name == "float32" && spelling == Kind::Half.name();
    let data_type = if half { DataType::Float16 } else { field.data_type().clone() };
    Ok(field.with_data_type(data_type).with_metadata(metadata))
}

/// Whether a part is that of vectors of any dimension.
fn is_of_vector(part: &Field) -> bool {
    let name = part.metadata().get(TYPE_KEY);
    name.is_some_and(|name| types::VectorType::of_element(&part.clone().with_name(name)).is_some())
}

/// A field as JSON, for the output columns of views.
pub fn to_json(field: &Field) -> Result<Json> {
    let mut next = 1;
    let column = number(field.name(), field, &mut next);
    let mut json = column_json(&column)?;
    if let Some(of) = field.metadata().get(VIEW_COLUMN_OF) {
        json["of"] = json!(of);
    }
    Ok(json)
}

fn column_json(column: &Column) -> Result<Json> {
    let parts: Result<Vec<Json>> = column.children.iter().map(column_json).collect();
    Ok(json!({
        "name": column.name,
        "type": type_name(&column.field)?,
        "nullable": column.nullable,
        "tags": type_tags(&column.field)?,
        "parts": parts?,
    }))
}

/// Back from `to_json`.
pub fn from_json(json: &Json) -> Result<Field> {
    let bad = || Error::Database("a view's columns are damaged".to_owned());
    let name = json["name"].as_str().ok_or_else(bad)?;
    let type_name = json["type"].as_str().ok_or_else(bad)?;
    let nullable = json["nullable"].as_bool().ok_or_else(bad)?;
    let tags: Tags = serde_json::from_value(json["tags"].clone()).map_err(|_| bad())?;
    let parts = json["parts"].as_array().ok_or_else(bad)?;
    let parts: Result<Vec<_>> = parts.iter().map(|p| from_json(p).map(Arc::new)).collect();
    let field = field(name, type_name, nullable, parts?, &tags)?;
    Ok(match json["of"].as_str() {
        None => field,
        Some(of) => {
            let of = (VIEW_COLUMN_OF.to_owned(), of.to_owned());
            let metadata = field.metadata().clone().into_iter().chain([of]).collect();
            field.with_metadata(metadata)
        }
    })
}
