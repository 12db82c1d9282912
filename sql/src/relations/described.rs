//! The columns of what a call reads, for calls that do not list them.
//!
//! `drift_report('before', 'after')` is about every column of the two. To know them the relations
//! are planned before the call is written out; columns with times, bytes and structures are not
//! features.

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
}

/// A column as an expression, and what it holds.
pub(super) type Described = (String, Class);

/// The arguments that name relations.
const READ: [&str; 4] = ["reference", "current", "table", "profile"];
/// The arguments that list columns.
const LISTS: [&str; 3] = ["features", "columns", "rules"];

impl Class {
    fn of(of: &DataType) -> Option<Self> {
        match of {
            _ if of.is_numeric() => Some(Self::Number),
            DataType::Boolean => Some(Self::Category),
            _ => of.is_string().then_some(Self::Category),
        }
    }

    /// As reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Category => "category",
        }
    }
}

/// The columns of every relation that is read by a call that lists none, by the relation's text.
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
        let class = |field: &datafusion::arrow::datatypes::FieldRef| {
            Some((identifier(shown(field.name())), Class::of(field.data_type())?))
        };
        found.insert(text, plan.schema().fields().iter().filter_map(class).collect());
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
        let lists: Vec<_> = LISTS.into_iter().filter(|list| names.contains(list)).collect();
        let arguments = Arguments::read(function, names, given)?;
        let listed = lists.is_empty() || lists.into_iter().any(|list| arguments.has(list));
        for name in READ.into_iter().filter(|name| arguments.has(name)) {
            let text = arguments.relation(name)?;
            // It may call such a relation itself.
            let query = parse::parse_query(&format!("SELECT * FROM {text}"))?;
            if let ControlFlow::Break(error) = query.visit(self) {
                return Err(error);
            }
            if !listed {
                self.0.push(text);
            }
        }
        Ok(())
    }
}
