//! Which relation a name means: the temp schema first, then the search path.

use std::sync::Arc;

use catalog::{Definition, Relation, State};
use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart, TableAlias, TableFactor};

use super::{Environment, Lakes};
use crate::error::{Error, Result, near_names};
use crate::names::folded;
use crate::statements::external;
use crate::{features, system};

/// The schema that holds a connection's temp tables.
pub const TEMP_SCHEMA: &str = "pg_temp";
/// Where temp tables live inside the connection's own lake.
const TEMP_HOME: &str = "main";

/// Where a relation is or will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub temp: bool,
    /// The schema's name in its lake.
    pub schema: String,
    pub name: String,
}

impl Place {
    /// What statements call the schema.
    pub fn schema_name(&self) -> &str {
        if self.temp { TEMP_SCHEMA } else { &self.schema }
    }
}

/// A name that means something.
#[derive(Debug, Clone)]
pub enum Found {
    Relation(Relation),
    External(Arc<Definition>),
}

/// The folded parts of a name, at most three.
pub fn parts(name: &ObjectName) -> Result<Vec<String>> {
    let parts: Option<Vec<String>> =
        name.0.iter().map(|part| part.as_ident().map(folded)).collect();
    match parts {
        Some(parts) if (1..=3).contains(&parts.len()) => Ok(parts),
        _ => Err(Error::new("42601", format!("improper qualified name: {name}"))),
    }
}

impl Environment {
    /// The relation that `name` means; None if there is none.
    pub fn find(&self, lakes: &Lakes, name: &[String]) -> Result<Option<(Place, Found)>> {
        self.find_in(lakes, lakes.main.state(), name)
    }

    /// Like `find`, for a name that nothing kept has: what feature views have beside themselves.
    pub(super) fn find_shown(
        &self,
        lakes: &Lakes,
        name: &[String],
    ) -> Result<Option<(Place, Found)>> {
        self.find_in(lakes, &features::shown(lakes.main.state()), name)
    }

    fn find_in(
        &self,
        lakes: &Lakes,
        main: &Arc<State>,
        name: &[String],
    ) -> Result<Option<(Place, Found)>> {
        let candidates = self.candidates(name)?;
        for place in candidates {
            let state = match (&lakes.temp, place.temp) {
                (Some(temp), true) => temp.state(),
                _ => main,
            };
            if place.temp && lakes.temp.is_none() {
                continue;
            }
            let is_hidden = place.schema == features::kept::SCHEMA;
            if !place.temp && (is_hidden || !self.may_look_in(state, &place.schema)) {
                if name.len() > 1 {
                    let message = format!("permission denied for schema {}", place.schema);
                    return Err(Error::new("42501", message));
                }
                continue;
            }
            if let Some(relation) =
                state.schemas.get(&place.schema).and_then(|s| s.relations.get(&place.name))
            {
                return Ok(Some((place, Found::Relation(relation.clone()))));
            }
            let key = (external::KIND.to_string(), external::key(&place));
            if let Some(definition) = state.definitions.get(&key) {
                return Ok(Some((place, Found::External(Arc::clone(definition)))));
            }
        }
        Ok(None)
    }

    /// Like `find`, for a name in a statement that needs it.
    pub fn expect(&self, lakes: &Lakes, name: &ObjectName) -> Result<(Place, Found)> {
        let parts = parts(name)?;
        match self.find(lakes, &parts)? {
            Some(found) => Ok(found),
            None => Err(self.undefined(lakes, &parts)),
        }
    }

    /// Where CREATE puts `name`.
    pub fn target(&self, lakes: &Lakes, name: &ObjectName, temp: bool) -> Result<Place> {
        let parts = parts(name)?;
        let explicit_temp = parts.len() == 2 && parts[0] == TEMP_SCHEMA;
        if temp && parts.len() > 1 && !explicit_temp {
            let message = "cannot create temporary relation in non-temporary schema";
            return Err(Error::new("42P16", message));
        }
        let relation = parts.last().cloned().unwrap_or_default();
        if temp || explicit_temp {
            return Ok(Place { temp: true, schema: TEMP_HOME.into(), name: relation });
        }
        let state = lakes.main.state();
        if parts.len() > 1 {
            let place = self.candidates(&parts)?.remove(0);
            self.check_schema(state, &place.schema)?;
            self.require_create(state, &place.schema)?;
            return Ok(place);
        }
        let schema = self.search_path.iter().find(|s| state.schemas.contains_key(*s));
        if let Some(schema) = schema {
            self.require_create(state, schema)?;
        }
        match schema {
            Some(schema) => Ok(Place { temp: false, schema: schema.clone(), name: relation }),
            None => Err(Error::new("3F000", "no schema has been selected to create in")
                .with_hint("SET search_path TO a schema that exists.")),
        }
    }

    /// Fails if `schema` is not one that relations can be made in.
    pub fn check_schema(&self, state: &State, schema: &str) -> Result<()> {
        if system::is_schema(schema) || schema == features::kept::SCHEMA {
            return Err(Error::new("42501", format!("schema \"{schema}\" cannot be changed")));
        }
        if state.schemas.contains_key(schema) {
            return Ok(());
        }
        let error = Error::new("3F000", format!("schema \"{schema}\" does not exist"));
        Err(match near_names(schema, state.schemas.keys().map(String::as_str)) {
            Some(hint) => error.with_hint(hint),
            None => error,
        })
    }

    /// The error for a relation that is not there.
    pub fn undefined(&self, lakes: &Lakes, name: &[String]) -> Error {
        let shown = name[name.len().saturating_sub(2)..].join(".");
        let error = Error::undefined_table(&shown);
        match near_relations(lakes.main.state(), name.last().map_or("", String::as_str)) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    pub(crate) fn candidates(&self, name: &[String]) -> Result<Vec<Place>> {
        let place = |schema: &String, name: &String| match schema.as_str() {
            TEMP_SCHEMA => Place { temp: true, schema: TEMP_HOME.into(), name: name.clone() },
            _ => Place { temp: false, schema: schema.clone(), name: name.clone() },
        };
        match name {
            [relation] => {
                let temp = TEMP_SCHEMA.to_string();
                let path = std::iter::once(&temp).chain(&self.search_path);
                Ok(path.map(|schema| place(schema, relation)).collect())
            }
            [schema, relation] => Ok(vec![place(schema, relation)]),
            [database, schema, relation] if *database == self.database => {
                Ok(vec![place(schema, relation)])
            }
            [database, ..] => Err(Error::new(
                "0A000",
                format!("cross-database references are not implemented: \"{}\"", name.join(".")),
            )
            .with_hint(format!("This is database \"{}\", not \"{database}\".", self.database))),
            [] => Err(Error::new("42601", "a name is missing")),
        }
    }
}

/// Between the parts of a definition's name: no plain name has it.
pub(crate) const SEPARATOR: char = '\u{1f}';

/// The name of a definition that has a schema and a name.
pub(crate) fn key(schema: &str, name: &str) -> String {
    format!("{schema}{SEPARATOR}{name}")
}

/// Relations whose names are near, as a hint.
pub fn near_relations(state: &State, name: &str) -> Option<String> {
    let names = state.schemas.values().flat_map(|s| s.relations.keys());
    near_names(name, names.map(String::as_str))
}

/// The parts of a planner's reference.
pub(crate) fn reference_parts(reference: &TableReference) -> Vec<String> {
    [reference.catalog(), reference.schema(), Some(reference.table())]
        .into_iter()
        .flatten()
        .map(str::to_string)
        .collect()
}

/// The relation that a reference means, if it is one of the lake's.
pub(crate) fn reference_place(
    environment: &Environment,
    lakes: &Lakes,
    reference: &TableReference,
) -> Option<Place> {
    environment.find(lakes, &reference_parts(reference)).ok().flatten().map(|(place, _)| place)
}

/// A table in FROM.
pub(crate) fn table_factor(name: ObjectName, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Table {
        name,
        alias,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// A quoted name from its parts.
pub(crate) fn object_name(parts: &[&str]) -> ObjectName {
    let part = |p: &&str| ObjectNamePart::Identifier(Ident::with_quote('"', *p));
    ObjectName(parts.iter().map(part).collect())
}
