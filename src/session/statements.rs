//! Prepared statements: those of the protocol and those of PREPARE share their names, as in
//! Postgres.
//!
//! A statement is planned when it is named, so that its errors come then and its parameters have
//! types; `plans` makes the plan anew when it no longer holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{self, Expr};
use sql::Parsed;
use sql::pg_type::PgType;
use sql::plan::Origin;
use sql::system::references;

use super::Session;
use crate::Error;
use crate::run::{Outcome, Prepared, Statement};

/// Statements that one connection may keep.
const KEPT_LIMIT: usize = 10_000;

/// A statement that has been planned.
pub struct Named {
    /// As the client wrote it.
    pub text: Arc<str>,
    /// None: the text was empty.
    pub prepared: Option<Prepared>,
    /// Types of the parameters, as the client is told.
    pub oids: Vec<u32>,
    /// Made by PREPARE, not by the protocol.
    pub by_statement: bool,
    pub created: SystemTime,
}

impl Named {
    /// The columns of tables that those of its rows are.
    pub fn origins(&self) -> &[Option<Origin>] {
        self.prepared.as_ref().map_or(&[], |prepared| &prepared.origins)
    }

    /// The columns of its rows; None if it returns none.
    pub fn columns(&self) -> Option<&Schema> {
        self.prepared.as_ref().and_then(|prepared| prepared.columns.as_deref())
    }
}

/// The statements of a connection by name, as others may look at them; the unnamed one is "".
#[derive(Clone, Default)]
pub struct Statements(Arc<Mutex<BTreeMap<String, Arc<Named>>>>);

impl Statements {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Named>>> {
        // Every change is one call, so the map is right also after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The statement of this name.
    pub fn get(&self, name: &str) -> Result<Arc<Named>, Error> {
        let missing = || match name {
            "" => Error::new("26000", "unnamed prepared statement does not exist"),
            name => Error::new("26000", format!("prepared statement \"{name}\" does not exist")),
        };
        self.lock().get(name).cloned().ok_or_else(missing)
    }

    /// Makes sure that a statement may be called so; the unnamed one makes room for another.
    pub fn check_free(&self, name: &str) -> Result<(), Error> {
        let mut all = self.lock();
        if name.is_empty() {
            all.remove("");
        } else if all.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new("42P05", message));
        }
        if all.len() >= KEPT_LIMIT {
            return Err(Error::new("53400", "too many prepared statements")
                .with_hint(format!("A connection may have {KEPT_LIMIT}; DEALLOCATE some.")));
        }
        Ok(())
    }

    /// Keeps a statement.
    pub fn insert(&self, name: String, statement: Named) {
        self.lock().insert(name, Arc::new(statement));
    }

    /// Forgets a statement, if there is one of this name.
    pub fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Forgets all that have a name.
    pub(super) fn clear(&self) {
        self.lock().retain(|name, _| name.is_empty());
    }

    /// Shows each that has a name to `look`, in the order of names.
    pub(super) fn each(&self, mut look: impl FnMut(&str, &Named)) {
        let all = self.lock();
        all.iter().filter(|(name, _)| !name.is_empty()).for_each(|(name, named)| look(name, named));
    }
}

/// The client decodes rows by the types it was told; a table changed since must not mislead it.
pub fn same_columns(told: Option<&Schema>, schema: &Schema) -> Result<(), Error> {
    let types = |schema: &Schema| -> Vec<u32> {
        schema.fields().iter().map(|field| PgType::of(field).oid).collect()
    };
    if told.map(types).unwrap_or_default() == types(schema) {
        return Ok(());
    }
    // pgjdbc plans such a statement again, which it knows by the routine.
    let error = Error::new("0A000", "cached plan must not change result type");
    Err(error.of_routine("RevalidateCachedQuery"))
}

impl Session {
    /// The connection's prepared statements.
    pub fn statements(&self) -> &Statements {
        &self.statements
    }

    /// The number of what a text names, of a type of references (`kind`), as a parameter.
    pub async fn object(&mut self, kind: &str, name: &str) -> Result<ScalarValue, Error> {
        self.open(false).await?;
        let number = references::number(kind, name, &self.catalog)?;
        Ok(ScalarValue::Int64(Some(number)))
    }

    /// PREPARE.
    pub(super) async fn prepare_named(
        &mut self,
        name: String,
        types: &[ast::DataType],
        inner: &ast::Statement,
        text: &Arc<str>,
    ) -> Result<(), Error> {
        self.statements.check_free(&name)?;
        let mut fields = Vec::with_capacity(types.len());
        for data_type in types {
            fields.push(match sql::types::is_any_vector(data_type) {
                true => None,
                false => Some(Arc::new(sql::types::field("", data_type)?)),
            });
        }
        let parsed = Parsed::Sql(Arc::new(inner.clone()));
        let statement = Statement { text: Arc::clone(text), parsed };
        let prepared = Box::pin(self.prepare_fields(&statement, fields)).await?;
        let oids = prepared.parameters.iter().map(|field| PgType::of(field).oid).collect();
        let named = Named {
            text: Arc::clone(text),
            prepared: Some(prepared),
            oids,
            by_statement: true,
            created: SystemTime::now(),
        };
        self.statements.insert(name, named);
        Ok(())
    }

    /// DEALLOCATE.
    pub(super) fn deallocate(&mut self, name: &str) -> Result<&'static str, Error> {
        if name == "all" {
            self.statements.clear();
            return Ok("DEALLOCATE ALL");
        }
        self.statements.get(name)?;
        self.statements.remove(name);
        Ok("DEALLOCATE")
    }

    /// EXECUTE.
    pub(super) async fn execute_named(
        &mut self,
        name: &str,
        parameters: &[Expr],
    ) -> Result<Outcome, Error> {
        let named = self.statements.get(name)?;
        let Some(prepared) = &named.prepared else { return Ok(Outcome::Empty) };
        let values = self.arguments(name, prepared, parameters)?;
        if let Some(settled) = Box::pin(self.settle(prepared, &values)).await? {
            return Box::pin(self.execute(&settled, values)).await;
        }
        let outcome = Box::pin(self.execute(prepared, values)).await?;
        if let Outcome::Rows { schema, .. } = &outcome {
            same_columns(named.columns(), schema)?;
        }
        Ok(outcome)
    }

    /// The plan of EXECUTE: that of the statement with these values.
    pub(super) async fn explain_named(
        &mut self,
        explain: &ast::Statement,
        name: &str,
        parameters: &[Expr],
    ) -> Result<Outcome, Error> {
        let named = self.statements.get(name)?;
        let Some(prepared) = &named.prepared else { return Ok(Outcome::Empty) };
        let values = self.arguments(name, prepared, parameters)?;
        let mut explain = explain.clone();
        let (ast::Statement::Explain { statement, .. }, Parsed::Sql(sql)) =
            (&mut explain, &prepared.statement.parsed)
        else {
            return Err(Error::new("0A000", "this statement cannot be explained"));
        };
        **statement = sql.as_ref().clone();
        let text = Arc::clone(&prepared.statement.text);
        let statement = Statement { text, parsed: Parsed::Sql(Arc::new(explain)) };
        let explained = self.prepare_fields(&statement, prepared.types.clone()).await?;
        let settled = Box::pin(self.settle(&explained, &values)).await?;
        let explained = settled.unwrap_or(explained);
        Box::pin(self.execute(&explained, values)).await
    }

    /// The values of EXECUTE, of the types that the statement wants.
    fn arguments(
        &self,
        name: &str,
        prepared: &Prepared,
        parameters: &[Expr],
    ) -> Result<Vec<ScalarValue>, Error> {
        if parameters.len() != prepared.parameters.len() {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!(
                "Expected {} parameters but got {}.",
                prepared.parameters.len(),
                parameters.len()
            );
            return Err(Error::new("42601", message).with_detail(detail));
        }
        let values = parameters.iter().zip(&prepared.parameters);
        let value = |(value, field): (&Expr, &FieldRef)| {
            Ok(sql::plan::constant_of(&self.engine, value.clone(), field)?)
        };
        values.map(value).collect()
    }
}
