//! What rights are about: tables, views, schemas, the database, functions; each with its ACL.

use catalog::registry::MODEL;
use catalog::{ACCESS, Relation, State, Transaction};

use super::acl::{Acl, Privileges};
use super::role::{BOOTSTRAP, DATABASE_OWNER};
use crate::error::{Error, Result};
use crate::experiments::EXPERIMENT;
use crate::plan::{Found, Place};
use crate::statements::external;

/// Kinds of objects by the privileges they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Tables, views and external tables.
    Table,
    Schema,
    Database,
    Function,
    Model,
    Experiment,
}

/// An object that rights are granted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub kind: Kind,
    /// `table`, `view`, `schema`, … as messages say it.
    pub word: &'static str,
    /// As messages name it.
    pub name: String,
    /// The name of its definition.
    key: String,
}

/// The schema that everybody may use, and whose owner is the database's.
const PUBLIC_SCHEMA: &str = "public";

impl Kind {
    /// Every privilege there is on such an object.
    pub const fn all(self) -> Privileges {
        match self {
            Self::Table => Privileges(0x7f),
            Self::Schema => Privileges::USAGE.with(Privileges::CREATE),
            Self::Database => {
                Privileges::CREATE.with(Privileges::TEMPORARY).with(Privileges::CONNECT)
            }
            Self::Function => Privileges::EXECUTE,
            Self::Model => Privileges::USAGE.with(Privileges::TRAIN).with(Privileges::DEPLOY),
            Self::Experiment => Privileges::USAGE.with(Privileges::DEPLOY),
        }
    }

    /// The word of statements and messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Table => "relation",
            Self::Schema => "schema",
            Self::Database => "database",
            Self::Function => "function",
            Self::Model => "model",
            Self::Experiment => "experiment",
        }
    }
}

impl Object {
    /// A table, view or external table.
    pub fn relation(place: &Place, found: &Found) -> Self {
        let (word, key) = match found {
            Found::Relation(Relation::Table(table)) => ("table", table.uuid.clone()),
            Found::Relation(Relation::View(view)) => ("view", view.uuid.clone()),
            Found::External(_) => ("foreign table", external::key(place)),
        };
        Self { kind: Kind::Table, word, name: place.name.clone(), key }
    }

    /// A relation of the lake by itself.
    pub fn of(relation: &Relation) -> Self {
        let (word, name, key) = match relation {
            Relation::Table(table) => ("table", &table.name, &table.uuid),
            Relation::View(view) => ("view", &view.name, &view.uuid),
        };
        Self { kind: Kind::Table, word, name: name.clone(), key: key.clone() }
    }

    /// A schema.
    pub fn schema(schema: &catalog::Schema) -> Self {
        let (name, key) = (schema.name.clone(), schema.uuid.clone());
        Self { kind: Kind::Schema, word: "schema", name, key }
    }

    /// The one database.
    pub fn database(name: &str) -> Self {
        let key = "database".to_owned();
        Self { kind: Kind::Database, word: "database", name: name.to_owned(), key }
    }

    /// A built-in function by name.
    pub fn function(name: &str) -> Self {
        let key = format!("function\u{1f}{name}");
        Self { kind: Kind::Function, word: "function", name: name.to_owned(), key }
    }

    /// A model, by its uuid.
    pub fn model(name: &str, uuid: &str) -> Self {
        let (name, key) = (name.to_owned(), uuid.to_owned());
        Self { kind: Kind::Model, word: "model", name, key }
    }

    /// An experiment, by its uuid.
    pub fn experiment(name: &str, uuid: &str) -> Self {
        let (name, key) = (name.to_owned(), uuid.to_owned());
        Self { kind: Kind::Experiment, word: "experiment", name, key }
    }

    /// Its owner and grants.
    pub fn acl(&self, state: &State) -> Acl {
        let key = (ACCESS.to_owned(), self.key.clone());
        let kept = state.definitions.get(&key);
        let kept = kept.and_then(|kept| serde_json::from_value(kept.body.clone()).ok());
        kept.unwrap_or_else(|| {
            let public = self.kind == Kind::Schema && self.name == PUBLIC_SCHEMA;
            Acl::owned(if public { DATABASE_OWNER } else { BOOTSTRAP })
        })
    }

    /// Keeps its owner and grants.
    pub fn keep(&self, transaction: &mut Transaction, acl: &Acl) -> Result<()> {
        if self.acl(transaction.state()) == *acl {
            return Ok(());
        }
        let body = serde_json::to_value(acl)
            .map_err(|error| Error::new("XX000", format!("access list: {error}")))?;
        Ok(transaction.define(ACCESS, &self.key, body, true)?)
    }
}

/// An object of a name and a uuid.
type Made = fn(&str, &str) -> Object;

/// Every object with rights of its own.
pub(crate) fn all(state: &State, database: &str) -> Vec<Object> {
    let mut found = vec![Object::database(database)];
    for schema in state.schemas.values() {
        found.push(Object::schema(schema));
        found.extend(schema.relations.values().map(Object::of));
    }
    for ((kind, key), definition) in &state.definitions {
        if kind == external::KIND {
            let name = key.rsplit('\u{1f}').next().unwrap_or(key).to_owned();
            let key = key.clone();
            found.push(Object { kind: Kind::Table, word: "foreign table", name, key });
        }
        if let Some(of) = [(MODEL, Object::model as Made), (EXPERIMENT, Object::experiment)]
            .into_iter()
            .find_map(|(known, of)| (kind == known).then_some(of))
            && let Some(uuid) = definition.body.get("uuid").and_then(|uuid| uuid.as_str())
        {
            found.push(of(key.rsplit('\u{1f}').next().unwrap_or(key), uuid));
        }
        if kind == ACCESS
            && let Some(name) = key.strip_prefix("function\u{1f}")
        {
            found.push(Object::function(name));
        }
    }
    found
}
