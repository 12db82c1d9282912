//! Relations: functions in FROM that stand for a query over functions of the crate `udfs`.
//!
//! `FROM ab_report('units', variant => 'arm', …)` becomes a derived table before names are looked
//! up, so that rights, views and plans see the tables it reads. Arguments are constants; those that
//! an experiment has need not be given if it is named.

mod ab_decision;
mod ab_novelty;
mod ab_report;
mod arguments;
mod data_quality;
mod described;
mod drift_profile;
mod drift_report;
mod label_drift;
mod prediction_drift;
mod slices;
mod units;

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    FunctionArg, Ident, Statement, TableAlias, TableFactor, VisitMut, VisitorMut,
};

use crate::error::{Error, Result};
use crate::experiments;
use crate::names::folded;
use crate::plan::{Environment, Lakes};
use arguments::Arguments;
use described::Described;

/// The query that a relation stands for.
type Write = fn(&Arguments) -> Result<String>;

/// Name, arguments in order, what it is for.
type Listed = (&'static str, &'static [&'static str], &'static str);

/// One of the relations below.
type Relation = (&'static str, &'static [&'static str], &'static str, Write);

/// The relations, in the order of their names.
pub(crate) fn listed() -> impl Iterator<Item = Listed> {
    RELATIONS.iter().map(|(name, arguments, comment, _)| (*name, *arguments, *comment))
}

/// Name, arguments in order, what it is for, query.
const RELATIONS: &[Relation] = &[
    (
        "ab_decision",
        ab_decision::ARGUMENTS,
        "Whether to ship an arm, hold it or roll it back, and why.",
        ab_decision::query,
    ),
    (
        "ab_novelty",
        ab_novelty::ARGUMENTS,
        "Whether an effect fades or grows with the days.",
        ab_novelty::query,
    ),
    (
        "ab_report",
        ab_report::ARGUMENTS,
        "Every metric, slice and treatment arm of an experiment.",
        ab_report::query,
    ),
    (
        "data_quality",
        data_quality::ARGUMENTS,
        "Counts of every column and violations of every rule.",
        data_quality::query,
    ),
    (
        "drift_profile",
        drift_profile::ARGUMENTS,
        "What later data are compared with, a row per feature.",
        drift_profile::query,
    ),
    (
        "drift_report",
        drift_report::ARGUMENTS,
        "Drift of every feature and slice, with its cause.",
        drift_report::query,
    ),
    (
        "label_drift",
        label_drift::ARGUMENTS,
        "How often each label occurs, then and now.",
        label_drift::query,
    ),
    (
        "prediction_drift",
        prediction_drift::ARGUMENTS,
        "Whether a model says something else than it did.",
        prediction_drift::query,
    ),
];

/// The argument that names an experiment.
const EXPERIMENT: &str = "experiment";

/// Puts the query of each relation in its place.
pub(crate) async fn expand(
    environment: &Environment,
    lakes: &Lakes,
    statement: &mut Statement,
) -> Result<()> {
    let columns = described::described(environment, lakes, statement).await?;
    match statement.visit(&mut Expander { environment, lakes, columns }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Expander<'a> {
    environment: &'a Environment,
    lakes: &'a Lakes,
    columns: HashMap<String, Vec<Described>>,
}

impl VisitorMut for Expander<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let Some((relation, given)) = called(factor) else { return ControlFlow::Continue(()) };
        let (TableFactor::Table { alias, .. } | TableFactor::Function { alias, .. }) = &*factor
        else {
            return ControlFlow::Continue(());
        };
        match self.derived(relation, given, alias) {
            Ok(new) => *factor = new,
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

/// The relation that a factor calls, and what it gives.
fn called(factor: &TableFactor) -> Option<(&'static Relation, &[FunctionArg])> {
    let (name, given) = match factor {
        TableFactor::Table { name, args: Some(args), .. } => (name, args.args.as_slice()),
        TableFactor::Function { name, args, .. } => (name, args.as_slice()),
        _ => return None,
    };
    let function = name.0.last().and_then(|part| part.as_ident()).map(folded)?;
    Some((RELATIONS.iter().find(|known| known.0 == function)?, given))
}

impl Expander<'_> {
    fn derived(
        &self,
        (function, names, _, write): &'static Relation,
        given: &[FunctionArg],
        alias: &Option<TableAlias>,
    ) -> Result<TableFactor> {
        let mut arguments = Arguments::read(function, names, given)?;
        arguments.columns.clone_from(&self.columns);
        let known = self.environment.engine.aggregate_functions();
        arguments.aggregates = known.keys().cloned().collect();
        if names.contains(&EXPERIMENT)
            && let Some(name) = arguments.text(EXPERIMENT)?
        {
            let state = self.lakes.main.state();
            arguments.fill(experiments::named(self.environment, state, &name)?.1);
        }
        let query = crate::parse::parse_query(&write(&arguments)?)?;
        let alias = alias.clone().unwrap_or_else(|| TableAlias {
            explicit: true,
            name: Ident::with_quote('"', *function),
            columns: Vec::new(),
            at: None,
        });
        Ok(TableFactor::Derived {
            lateral: false,
            subquery: Box::new(query),
            alias: Some(alias),
            sample: None,
        })
    }
}
