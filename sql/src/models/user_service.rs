//! `user_service = 's'`: users are asked for by what a feature service knows of them now.
//!
//! ```text
//!   embed_user(7)
//!     ─▶ (SELECT "embed_user[recs@1] now"(now.user_id, now.country, …)
//!         FROM get_features('s', user_id => CAST(7 AS bigint)) AS now)
//! ```
//! Whom no view of the service knows, nor the training, has no vector. Features or a history that
//! the call gives count before those of the service; items, and `evaluate`, know of none.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, visit_expressions_mut};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::expand::cast;
use crate::error::{Error, Result, near_names};
use crate::features;
use crate::functions::{identifier, literal};
use crate::names::shown;
use crate::parse;
use crate::plan::{self, Environment, Lakes};

/// What the service says, in the query that a call becomes.
const NOW: &str = "\u{3}now";
/// Stand for expressions in its text.
const KEY: &str = "\u{3}key";
const VECTOR: &str = "\u{3}vector";

/// A feature service as a version names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct UserService {
    schema: String,
    name: String,
    /// Whether it has the history.
    history: bool,
}

impl UserService {
    /// A service for a key and features of it.
    ///
    /// # Errors
    /// 42704 for one that there is not, 42601 for one with other keys, 42703 for features that it
    /// has not, 22023 where there is nothing for it to say.
    pub async fn checked(
        environment: &Environment,
        lakes: &Lakes,
        name: &str,
        (key, key_type): (&str, &str),
        (inputs, history): (&[String], &str),
    ) -> Result<Self> {
        let place = features::service_at(environment, lakes, name)?;
        let mut service = Self { schema: place.schema, name: place.name, history: false };
        let text = format!(
            "SELECT * FROM get_features({}, {} => CAST(NULL AS {key_type})) AS s",
            service.quoted(),
            identifier(key)
        );
        let query = parse::parse_query(&text)?;
        let plan = plan::plan_query(environment, lakes, query, &[], Vec::new()).await?;
        let names = plan.schema().fields().iter().map(|field| shown(field.name()));
        let names: Vec<&str> = names.filter(|name| *name != key).collect();
        if let Some(missing) = inputs.iter().find(|input| !names.contains(&input.as_str())) {
            let message = format!("feature service \"{name}\" has no feature \"{missing}\"");
            let all = || format!("It has {}.", names.join(", "));
            let hint = near_names(missing, names.iter().copied()).unwrap_or_else(all);
            return Err(Error::new("42703", message)
                .with_detail("user_features are computed from it.")
                .with_hint(hint));
        }
        service.history = names.contains(&history);
        match inputs.is_empty() && !service.history {
            true => Err(Error::new("22023", "option \"user_service\" has no features to give")
                .with_hint("user_features names columns that the service has, too.")),
            false => Ok(service),
        }
    }

    /// As a constant of a call.
    fn quoted(&self) -> String {
        let quoted = |name: &str| format!("\"{name}\"");
        literal(&format!("{}.{}", quoted(&self.schema), quoted(&self.name)))
    }

    /// Puts what the service says in the place of what a call does not give.
    pub fn fill(&self, call: &mut Call, key: &str, (inputs, history): (&[String], &str)) {
        call.key = Some(key_in(key));
        for name in inputs {
            call.arguments.insert(name.clone(), now(name));
        }
        if self.history {
            let named = history.to_owned();
            call.arguments.entry(named).or_insert_with(|| now(history));
        }
    }

    /// Whether a view of the service knows the key.
    pub fn found(&self, environment: &Environment, lakes: &Lakes) -> Result<Expr> {
        let name = format!("\"{}\".\"{}\"", self.schema, self.name);
        let aliases = features::aliases(environment, lakes, &name)?;
        let knows = aliases.iter().map(|alias| {
            let status = identifier(&format!("{alias}_status"));
            format!("\"{NOW}\".{status} IN ('PRESENT', 'NULL_VALUE')")
        });
        parse::parse_expression(&knows.collect::<Vec<_>>().join(" OR "))
    }

    /// What the service says of a key, a relation of one row.
    pub fn source(&self, name: &str, key: &str) -> String {
        format!("get_features({}, {} => {key}) AS \"{NOW}\"", self.quoted(), identifier(name))
    }

    /// The query that gives a vector over what the service says of a key.
    pub fn query(&self, vector: &Expr, key: &Expr, (name, of): (&str, &str)) -> Result<Expr> {
        let key = cast(key.clone(), of)?;
        let source = self.source(name, &format!("\"{KEY}\""));
        let text = format!("(SELECT \"{VECTOR}\" FROM {source})");
        let mut query = parse::parse_expression(&text)?;
        let _ = visit_expressions_mut(&mut query, |part| {
            if let Expr::Identifier(name) = part {
                match name.value.as_str() {
                    KEY => *part = key.clone(),
                    VECTOR => *part = vector.clone(),
                    _ => {}
                }
            }
            ControlFlow::<()>::Continue(())
        });
        Ok(query)
    }
}

/// The key as a column of what the service says: a call with it is in such a query already.
pub(super) fn key_in(name: &str) -> Expr {
    now(name)
}

fn now(name: &str) -> Expr {
    let quoted = |name: &str| Ident::with_quote('"', name);
    Expr::CompoundIdentifier(vec![quoted(NOW), quoted(name)])
}
