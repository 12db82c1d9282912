//! Queries that follow what they read to another name, at commit once more.

use std::sync::Arc;

use crate::ddl::relation_mut;
use crate::error::Result;
use crate::model::{ObjectId, Relation, State};

/// Queries are written anew before a relation that they name goes to another place: at commit once
/// more, on what they are by then.
#[derive(Debug, Clone)]
pub struct Follow {
    /// Schema and name; without a name all that the schema holds by then.
    pub from: (String, Option<String>),
    pub to: (String, Option<String>),
    pub followers: Followers,
}

/// What is to be written anew when a relation moves: (the lake, from, to). The catalog keeps
/// queries without reading them.
pub type Followers = fn(&State, (&str, &str), (&str, &str)) -> Vec<Rewritten>;

/// A text that names another relation than before.
#[derive(Debug, Clone)]
pub enum Rewritten {
    /// The query of a view, materialized or not.
    Query {
        id: ObjectId,
        sql: String,
    },
    Definition {
        kind: String,
        name: String,
        body: serde_json::Value,
    },
}

impl Follow {
    /// Writes anew what names the relation, which has not moved yet.
    pub(crate) fn apply(&self, state: &mut State) -> Result<()> {
        let ((schema, name), (to_schema, to_name)) = (&self.from, &self.to);
        let held = state.schemas.get(schema).into_iter().flat_map(|s| s.relations.keys());
        let names: Vec<String> = match name {
            Some(name) => vec![name.clone()],
            None => held.cloned().collect(),
        };
        for name in &names {
            let to = (&**to_schema, &**to_name.as_ref().unwrap_or(name));
            for rewritten in (self.followers)(state, (schema, name), to) {
                write(state, rewritten)?;
            }
        }
        Ok(())
    }
}

fn write(state: &mut State, rewritten: Rewritten) -> Result<()> {
    match rewritten {
        Rewritten::Query { id, sql } => match relation_mut(state, id)? {
            Relation::View(view) => Arc::make_mut(view).sql = sql,
            Relation::Table(table) => {
                if let Some(query) = &mut Arc::make_mut(table).query {
                    query.sql = sql;
                }
            }
        },
        Rewritten::Definition { kind, name, body } => {
            if let Some(definition) = state.definitions.get_mut(&(kind, name)) {
                Arc::make_mut(definition).body = body;
            }
        }
    }
    Ok(())
}
