//! What names mean to a connection: numbers of objects to names and back.
//!
//! A name is qualified where the search path does not find it; a number that names nothing is
//! shown as it is.

use std::sync::Arc;

use catalog::State;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StringArray};
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::ScalarValue;

use super::sequence;
use crate::error::{Error, Result};
use crate::plan::TEMP_SCHEMA;
use crate::sequences;
use crate::system::functions::{Connection, Place, constraint, find, relations, visible};
use crate::system::pg_catalog::{built_in, relation_of};
use crate::system::{self, definitions, oid, routines, type_names};

/// What names mean to a connection now.
pub(super) struct Names<'a> {
    state: Option<Arc<State>>,
    path: Vec<String>,
    connection: &'a Connection,
}

impl<'a> Names<'a> {
    pub(super) fn of(connection: &'a Connection) -> Self {
        Self { state: connection.state(), path: connection.path(), connection }
    }

    pub(super) fn shown(&self, kind: &str, ids: &Int64Array) -> StringArray {
        ids.iter().map(|id| id.map(|id| self.name(kind, id))).collect()
    }

    /// A column of references, or of lists of them, as names.
    pub(super) fn column(
        &self,
        kind: &str,
        field: &FieldRef,
        column: &ArrayRef,
    ) -> Option<(FieldRef, ArrayRef)> {
        let named = |field: &FieldRef, of| Arc::new(field.as_ref().clone().with_data_type(of));
        if let Some(ids) = column.as_primitive_opt::<Int64Type>() {
            return Some((named(field, DataType::Utf8), Arc::new(self.shown(kind, ids))));
        }
        let (list, DataType::List(item)) = (column.as_list_opt::<i32>()?, field.data_type()) else {
            return None;
        };
        let texts = Arc::new(self.shown(kind, list.values().as_primitive_opt()?));
        let item = named(item, DataType::Utf8);
        let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
        let texts = ListArray::new(Arc::clone(&item), offsets, texts, nulls);
        Some((named(field, DataType::List(item)), Arc::new(texts)))
    }

    /// The name, or the number of what is not there.
    fn name(&self, kind: &str, id: i64) -> String {
        if id == 0 {
            return "-".into();
        }
        let listed = |relation: &str| {
            built_in::names(relation).get(&id).map(|name| definitions::quoted(name))
        };
        let name = match kind {
            "regclass" => self.class(id),
            "regtype" => self.type_name(id, None),
            "regnamespace" => self.schemas().find(|(_, o)| *o == id).map(|(name, _)| name),
            "regrole" => self.roles().into_iter().find(|(_, o)| *o == id).map(|(name, _)| name),
            "regproc" => listed("pg_proc").or_else(|| self.own_function(id).map(str::to_owned)),
            "regprocedure" => listed("pg_proc").map(|name| {
                let types = routines::argument_types(id).unwrap_or_default();
                format!("{name}({types})")
            }),
            "regoper" => built_in::names("pg_operator").get(&id).map(|name| (*name).to_owned()),
            "regoperator" => routines::operator(id),
            "regconfig" => listed("pg_ts_config"),
            "regdictionary" => listed("pg_ts_dict"),
            "regcollation" => listed("pg_collation"),
            _ => None,
        };
        name.unwrap_or_else(|| id.to_string())
    }

    /// A type with its modifier; None if there is no such type.
    pub(super) fn type_name(&self, id: i64, modifier: Option<i32>) -> Option<String> {
        type_names::shown(id, modifier).or_else(|| {
            let (schema, name, array) = relation_of(self.state.as_deref()?, id)?;
            let id = self.relation(schema, name)?;
            Some(format!("{}{}", self.class(id)?, if array { "[]" } else { "" }))
        })
    }

    /// The type of a relation's rows, or of arrays of them.
    fn row_type(&self, text: &str) -> Option<i64> {
        let (text, array) = match text.strip_suffix("[]") {
            Some(text) => (text, 1),
            None => (text, 0),
        };
        let parts = parts(text).ok()?;
        let name = parts.last()?;
        let schema = parts.len().checked_sub(2).map(|at| parts[at].as_str());
        let found = match schema {
            Some(schema) => self.relation(schema, name),
            None => self
                .relation(TEMP_SCHEMA, name)
                .or_else(|| self.path.iter().find_map(|schema| self.relation(schema, name))),
        };
        found.map(|relation| oid::of_row_type(relation) + array)
    }

    fn own_function(&self, id: i64) -> Option<&'a str> {
        let mut own = self.connection.live.functions().iter();
        own.find(|function| function.oid() == id).map(|function| function.name)
    }

    fn class(&self, id: i64) -> Option<String> {
        if let Some(class) = built_in::class(id) {
            let name = definitions::quoted(class.name);
            return Some(match class.schema {
                "pg_catalog" => name,
                schema => format!("{schema}.{name}"),
            });
        }
        let state = self.state.as_deref()?;
        let qualified = |schema: &str, name: &str, shown: bool| {
            let name = definitions::quoted(name);
            match shown {
                true => name,
                false => format!("{}.{name}", definitions::quoted(schema)),
            }
        };
        if let Some(place) = find(state, id) {
            let shown = visible(state, &self.path, &place);
            return Some(qualified(place.schema, place.name, shown));
        }
        if let Some((schema, name)) = sequence(state, id) {
            return Some(qualified(schema, name, self.path.iter().any(|s| s == schema)));
        }
        let (schema, table, index) = constraint(state, id - 1)?;
        let name = table.constraints.get(index)?.name();
        Some(qualified(schema, name, self.path.iter().any(|s| s == schema)))
    }

    fn schemas(&self) -> impl Iterator<Item = (String, i64)> {
        let state = self.state.iter().flat_map(|state| state.schemas.iter());
        let own = state.map(|(name, s)| (name.clone(), oid::of(s.id, name == TEMP_SCHEMA)));
        own.chain(system::SCHEMAS.map(|(name, oid)| (name.to_owned(), oid)))
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn roles(&self) -> Vec<(String, i64)> {
        let rows = self.connection.live.rows("pg_roles").unwrap_or_default();
        let value = |row: &system::Row, name: &str| {
            row.iter().find(|(column, _)| *column == name).map(|(_, value)| value.clone())
        };
        let role = |row: &system::Row| {
            let name = value(row, "rolname")?.try_as_str().flatten()?.to_owned();
            match value(row, "oid")?.cast_to(&DataType::Int64) {
                Ok(ScalarValue::Int64(Some(oid))) => Some((name, oid)),
                _ => None,
            }
        };
        rows.iter().filter_map(role).collect()
    }

    /// The number of what a text names, or that it is.
    pub(super) fn id(&self, kind: &str, text: &str) -> Result<i64> {
        let text = text.trim();
        if let Ok(number) = text.parse::<u32>() {
            return Ok(i64::from(number));
        }
        if kind == "oid" {
            let message = format!("invalid input syntax for type oid: \"{text}\"");
            return Err(Error::new("22P02", message));
        }
        if text == "-" {
            return Ok(0);
        }
        let missing = |code, what: &str| {
            Err(Error::new(code, format!("{what} \"{}\" does not exist", text.replace('"', ""))))
        };
        let listed = |relation: &str, name: &str| {
            let all = built_in::names(relation).iter();
            all.filter(|(_, other)| **other == name).map(|(id, _)| *id).min()
        };
        if kind == "regtype" {
            let found = type_names::id(text).or_else(|| self.row_type(text));
            return found.map_or_else(|| missing("42704", "type"), Ok);
        }
        if matches!(kind, "regoper" | "regoperator") {
            let name = text.rsplit('.').next().unwrap_or(text);
            return listed("pg_operator", name).map_or_else(|| missing("42883", "operator"), Ok);
        }
        let parts = parts(text)?;
        let name = parts.last().cloned().unwrap_or_default();
        let (found, code, what) = match kind {
            "regclass" => (self.class_id(&parts), "42P01", "relation"),
            "regnamespace" => {
                (self.schemas().find(|(n, _)| *n == name).map(|(_, o)| o), "3F000", "schema")
            }
            "regrole" => {
                let mut roles = self.roles().into_iter();
                (roles.find(|(n, _)| *n == name).map(|(_, o)| o), "42704", "role")
            }
            "regproc" | "regprocedure" => {
                let types = if kind == "regproc" { None } else { Some(argument_types(text)?) };
                let own = self.connection.live.functions();
                (routines::named(own, &name, types.as_deref())?, "42883", "function")
            }
            "regconfig" => (listed("pg_ts_config", &name), "42704", "text search configuration"),
            "regdictionary" => (listed("pg_ts_dict", &name), "42704", "text search dictionary"),
            _ => (listed("pg_collation", &name), "42704", "collation"),
        };
        found.map_or_else(|| missing(code, what), Ok)
    }

    fn class_id(&self, parts: &[String]) -> Option<i64> {
        let (schema, name) = match parts {
            [name] => (None, name),
            [.., schema, name] => (Some(schema.as_str()), name),
            [] => return None,
        };
        let system = |schema: &str| {
            let mut all = built_in::classes().iter();
            all.find(|c| c.schema == schema && c.name == name).map(|class| class.oid)
        };
        let own = |schema: &str| {
            let found = self.relation(schema, name).or_else(|| self.index(schema, name));
            found.or_else(|| self.sequence(schema, name))
        };
        match schema {
            Some(schema) => system(schema).or_else(|| own(schema)),
            None => own(TEMP_SCHEMA)
                .or_else(|| system("pg_catalog"))
                .or_else(|| self.path.iter().find_map(|schema| own(schema))),
        }
    }

    fn relation(&self, schema: &str, name: &str) -> Option<i64> {
        let relation = self.state.as_ref()?.schemas.get(schema)?.relations.get(name)?;
        Some(oid::of(relation.id(), schema == TEMP_SCHEMA))
    }

    fn sequence(&self, schema: &str, name: &str) -> Option<i64> {
        let mut all = sequences::all(self.state.as_deref()?);
        let found = all.find(|(s, n, ..)| *s == schema && *n == name);
        found.map(|(_, _, id, _)| oid::of(id, schema == TEMP_SCHEMA))
    }

    fn index(&self, schema: &str, name: &str) -> Option<i64> {
        let state = self.state.as_deref()?;
        relations(state).filter(|(place, _)| place.schema == schema).find_map(|(place, temp)| {
            let Place { relation: catalog::Relation::Table(table), .. } = place else {
                return None;
            };
            let index = table.constraints.iter().position(|constraint| {
                matches!(constraint, catalog::Constraint::Unique { .. })
                    && constraint.name() == name
            })?;
            Some(oid::of_index(table, temp, index))
        })
    }
}

/// The types of `lower(text)`.
fn argument_types(text: &str) -> Result<Vec<i64>> {
    let types = text.split_once('(').and_then(|(_, rest)| rest.trim_end().strip_suffix(')'));
    let Some(types) = types else {
        return Err(Error::new("22P02", "expected a left parenthesis"));
    };
    let id = |name: &str| {
        let missing = || Error::new("42704", format!("type \"{name}\" does not exist"));
        type_names::id(name).ok_or_else(missing)
    };
    let named = types.split(',').map(str::trim).filter(|name| !name.is_empty());
    named.map(|name| id(name)).collect()
}

/// `a . "B".c` as its names; anything in parentheses behind it is left out.
pub(crate) fn parts(text: &str) -> Result<Vec<String>> {
    let invalid = || Error::new("42602", "invalid name syntax");
    let text = text.split('(').next().unwrap_or(text).trim();
    let mut found = Vec::new();
    let (mut part, mut quoted, mut was_quoted) = (String::new(), false, false);
    // Space ends a name; only a point may follow.
    let mut ended = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if ended && c != '.' && !c.is_whitespace() {
            return Err(invalid());
        }
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                part.push('"');
                rest.next();
            }
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            '.' if !quoted => {
                if part.is_empty() && !was_quoted {
                    return Err(invalid());
                }
                found.push(std::mem::take(&mut part));
                was_quoted = false;
                ended = false;
            }
            c if quoted => part.push(c),
            c if c.is_whitespace() => ended = was_quoted || !part.is_empty(),
            c => part.extend(c.to_lowercase()),
        }
    }
    if quoted || part.is_empty() {
        return Err(invalid());
    }
    found.push(part);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_identifiers() {
        assert_eq!(parts("Public.\"A.b\"").unwrap(), ["public", "A.b"]);
        assert_eq!(parts("\"a\"\"b\"").unwrap(), ["a\"b"]);
        assert_eq!(parts("\"a\" . b ").unwrap(), ["a", "b"]);
        for wrong in ["", "a b", "\"a\" b", "a. .b", ".a", "\"a"] {
            let error = parts(wrong).unwrap_err();
            assert!(matches!(error, Error::Statement { sqlstate: "42602", .. }), "{wrong}");
        }
    }
}
