//! Sequences as the catalog keeps them: definitions under schema and name, which say how a sequence
//! counts and which column owns it. The column's default calls `nextval` with the name.

use std::sync::Arc;

use catalog::{Column, SEQUENCE, Sequence, State, Table, Transaction};
use serde::{Deserialize, Serialize};

use crate::access::{Authority, Object, Privileges};
use crate::error::{Error, Result};
use crate::plan::{Place, SEPARATOR, TEMP_SCHEMA, key};
use crate::system::definitions::quoted;

/// A sequence as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub numbers: Sequence,
    /// `smallint`, `integer` or `bigint`.
    pub of_type: String,
    pub cache: i64,
    pub owner: Option<Owner>,
}

/// The column whose numbers they are: the sequence goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// The table's uuid.
    pub table: String,
    pub column: i64,
    /// None: `serial`, or OWNED BY.
    pub identity: Option<Identity>,
}

/// What an identity column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Identity {
    /// Only its own numbers, unless OVERRIDING SYSTEM VALUE says otherwise.
    Always,
    ByDefault,
}

impl Kept {
    pub(crate) fn of(state: &State, schema: &str, name: &str) -> Option<Self> {
        let kept = state.definitions.get(&(SEQUENCE.to_owned(), key(schema, name)))?;
        serde_json::from_value(kept.body.clone()).ok()
    }

    pub(crate) fn keep(&self, transaction: &mut Transaction, place: &Place) -> Result<()> {
        let body = serde_json::to_value(self)
            .map_err(|error| Error::new("XX000", format!("sequence: {error}")))?;
        Ok(transaction.define(SEQUENCE, &key(&place.schema, &place.name), body, true)?)
    }

    pub(crate) fn forget(transaction: &mut Transaction, place: &Place) -> Result<()> {
        Ok(transaction.undefine(SEQUENCE, &key(&place.schema, &place.name))?)
    }

    /// Fails unless numbers may be taken of it: a column's by who may insert into the table, others
    /// by who may use the schema.
    pub(crate) fn may_take(&self, state: &State, at: (&str, &str), who: &Authority) -> Result<()> {
        let needed = match self.owner {
            Some(_) => Privileges::INSERT,
            None => Privileges::USAGE,
        };
        match self.object(state, at.0).is_none_or(|object| who.may(state, &object, needed)) {
            true => Ok(()),
            false => Err(Error::new("42501", format!("permission denied for sequence {}", at.1))),
        }
    }

    /// Fails unless it may be set and dropped: it belongs to the owner of its column's table, else
    /// to that of its schema.
    pub(crate) fn must_own(&self, state: &State, at: (&str, &str), who: &Authority) -> Result<()> {
        let owns = |object: Object| who.must_own(state, &object).is_ok();
        match self.object(state, at.0).is_none_or(owns) {
            true => Ok(()),
            false => Err(Error::new("42501", format!("must be owner of sequence {}", at.1))),
        }
    }

    /// Whose rights count; None: those of a temporary table, which is the connection's.
    fn object(&self, state: &State, schema: &str) -> Option<Object> {
        if schema == TEMP_SCHEMA {
            return None;
        }
        let Some(owner) = &self.owner else {
            return Some(Object::schema(state.schemas.get(schema)?));
        };
        let mut relations = state.schemas.values().flat_map(|held| held.relations.values());
        relations.find(|relation| relation.uuid() == owner.table).map(Object::of)
    }

    pub(crate) fn owned_by(&self, table: &Table, column: &Column) -> bool {
        self.owner.as_ref().is_some_and(|o| o.table == table.uuid && o.column == column.id)
    }
}

/// Every sequence: schema, name, id, definition.
pub(crate) fn all(state: &State) -> impl Iterator<Item = (&str, &str, i64, Kept)> {
    let first = (SEQUENCE.to_owned(), String::new());
    let kept = state.definitions.range(first..).take_while(|((kind, _), _)| kind == SEQUENCE);
    kept.filter_map(|((_, key), definition)| {
        let (schema, name) = key.split_once(SEPARATOR)?;
        let kept = serde_json::from_value(definition.body.clone()).ok()?;
        Some((schema, name, definition.id, kept))
    })
}

/// The sequences that a table's columns own.
pub(crate) fn owned<'a>(state: &'a State, table: &Table) -> Vec<(&'a str, &'a str, Kept)> {
    let of_table = |kept: &Kept| kept.owner.as_ref().is_some_and(|o| o.table == table.uuid);
    all(state).filter(|(.., kept)| of_table(kept)).map(|(s, n, _, kept)| (s, n, kept)).collect()
}

/// Its identity columns, as positions.
pub(crate) fn identities(state: &State, table: &Table) -> Vec<(usize, Identity)> {
    let owned = owned(state, table);
    let owners = owned.iter().filter_map(|(_, _, kept)| kept.owner.as_ref());
    let identity = |owner: &Owner| {
        let at = table.columns.iter().position(|column| column.id == owner.column)?;
        Some((at, owner.identity?))
    };
    owners.filter_map(identity).collect()
}

/// Shows the sequences of temp tables beside the others.
pub fn beside(state: &mut State, temp: &State) {
    let first = (SEQUENCE.to_owned(), String::new());
    let kept = temp.definitions.range(first..).take_while(|((kind, _), _)| kind == SEQUENCE);
    for ((kind, key_there), definition) in kept {
        let name = key_there.split_once(SEPARATOR).map_or("", |(_, name)| name);
        let place = (kind.clone(), key(TEMP_SCHEMA, name));
        state.definitions.insert(place, Arc::clone(definition));
    }
}

/// The default of a column that takes the numbers.
pub(crate) fn default(place: &Place) -> String {
    let name = format!("{}.{}", quoted(place.schema_name()), quoted(&place.name));
    format!("nextval('{}')", name.replace('\'', "''"))
}
