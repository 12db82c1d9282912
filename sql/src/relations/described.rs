//! The columns of what a call reads.
//!
//! `drift_report('before', 'after')` is about every column of the two. To know them, and what the
//! names in a list mean, the relations are planned before the call is written out; columns with
//! times, bytes and structures are not features.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{Statement, TableFactor, Visit, Visitor};

use super::arguments::Arguments;
use super::called;
use crate::error::{Error, Result};
use crate::functions::identifier;
use crate::names::shown;
use crate::parse;
use crate::plan::{self, Environment, Lakes};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Number,
    Category,
    /// A date, a time or both.
    Time,
    Other,
    /// An expression, of which the type is not known here.
    Unknown,
}

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub name: String,
    /// The name as an expression.
    pub expression: String,
    pub class: Class,
}

/// The arguments that name relations.
const READ: [&str; 4] = ["reference", "current", "table", "profile"];

impl Class {
    fn of(of: &DataType) -> Self {
        match of {
            _ if of.is_numeric() => Self::Number,
            DataType::Boolean => Self::Category,
            _ if of.is_string() => Self::Category,
            DataType::Interval(_) | DataType::Duration(_) => Self::Other,
            _ if of.is_temporal() => Self::Time,
            _ => Self::Other,
        }
    }

    /// Whether its values can drift.
    pub fn is_feature(self) -> bool {
        matches!(self, Self::Number | Self::Category)
    }

    /// As reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Category => "category",
            Self::Time => "time",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }
}

impl Described {
    /// What is listed as a column by its very name, or as an expression.
    pub fn listed(text: &str, columns: &[Self]) -> Self {
        let named = |column: &&Self| column.name == text || column.expression == text;
        columns.iter().find(named).cloned().unwrap_or_else(|| Self {
            name: text.to_owned(),
            expression: text.to_owned(),
            class: Class::Unknown,
        })
    }
}

/// The columns of every relation that is read, by the relation's text.
pub(super) async fn described(
    environment: &Environment,
    lakes: &Lakes,
    statement: &Statement,
) -> Result<HashMap<String, Vec<Described>>> {
    let mut calls = Calls(Vec::new());
    if let ControlFlow::Break(error) = statement.visit(&mut calls) {
        return Err(error);
    }
    let mut found = HashMap::new();
    for text in calls.0 {
        let query = parse::parse_query(&format!("SELECT * FROM {text}"))?;
        let plan = plan::plan_query(environment, lakes, query, &[], Vec::new()).await?;
        let column = |field: &datafusion::arrow::datatypes::FieldRef| {
            let name = shown(field.name()).to_owned();
            let expression = identifier(&name);
            Described { name, expression, class: Class::of(field.data_type()) }
        };
        found.insert(text, plan.schema().fields().iter().map(column).collect());
    }
    Ok(found)
}

struct Calls(Vec<String>);

impl Visitor for Calls {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        match self.read(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Calls {
    fn read(&mut self, factor: &TableFactor) -> Result<()> {
        let Some(((function, names, ..), given)) = called(factor) else { return Ok(()) };
        const ASKS: [&str; 3] = ["data_quality", "drift_profile", "drift_report"];
        let arguments = Arguments::read(function, names, given)?;
        let asks = ASKS.contains(function);
        for name in READ.into_iter().filter(|name| arguments.has(name)) {
            let text = arguments.relation(name)?;
            // It may call such a relation itself.
            let query = parse::parse_query(&format!("SELECT * FROM {text}"))?;
            if let ControlFlow::Break(error) = query.visit(self) {
                return Err(error);
            }
            if asks {
                self.0.push(text);
            }
        }
        Ok(())
    }
}
