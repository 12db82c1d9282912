//! WITH queries that change rows: each runs once, in order, whether or not its rows are read. All
//! parts of the statement see what was there before it; they tell each other by RETURNING alone.
//!
//! ```text
//!   WITH gone AS (DELETE … RETURNING *), x AS (SELECT …) INSERT INTO log SELECT … FROM gone, x
//!        step 1: DELETE, its rows held as "gone"         the rest: WITH x … INSERT … over "gone"
//! ```

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{self, ObjectName, Visit, Visitor};

use super::held::Held;
use super::kept::{Kept, nullable};
use super::{Change, plan_change};
use crate::error::{Error, Result};
use crate::names::folded;
use crate::plan::{self, Environment, Given, Lakes, Overrides};

/// The name under which rows are scanned before they get theirs.
const HELD: &str = "\u{3}held";

/// A change in WITH.
#[derive(Debug, Clone)]
pub struct Step {
    pub change: Change,
    /// What its name stands for; none without RETURNING.
    rows: Option<Arc<Held>>,
}

impl Step {
    /// Gives its rows to the parts that read them; what they take is accounted for as long as the
    /// answer is held.
    pub fn fill(&self, returned: Option<Kept>) -> Option<MemoryReservation> {
        let (held, kept) = (self.rows.as_ref()?, returned?);
        held.fill(kept.rows);
        Some(kept.memory)
    }

    /// Forgets the rows.
    pub fn clear(&self) {
        if let Some(held) = &self.rows {
            held.fill(Vec::new());
        }
    }
}

/// A statement whose WITH changes rows, in parts.
pub struct Parts {
    pub steps: Vec<Step>,
    /// The statement without them, and the rows that it finds in their place.
    pub rest: ast::Statement,
    pub given: Overrides,
}

/// Plans the changes in a query's WITH; None where there are none.
///
/// Errors: 0A000 for a change that is deeper in the query, and for the name of one without
/// RETURNING where rows are wanted; those of the changes.
pub async fn parts(
    environment: &Environment,
    lakes: &Lakes,
    query: &ast::Query,
    types: &[Option<FieldRef>],
) -> Result<Option<Parts>> {
    let is_change = |with: &&ast::With| with.cte_tables.iter().any(|cte| changes(&cte.query));
    let Some(with) = query.with.as_ref().filter(is_change) else {
        refuse(query, &[])?;
        return Ok(None);
    };
    let mut plain = ast::With { cte_tables: Vec::new(), ..with.clone() };
    let (mut steps, mut given, mut silent) = (Vec::new(), Overrides::new(), Vec::new());
    for cte in &with.cte_tables {
        if !changes(&cte.query) {
            plain.cte_tables.push(cte.clone());
            continue;
        }
        let part = under(&plain, &cte.query);
        refuse(&part, &silent)?;
        let part = ast::Statement::Query(Box::new(part));
        let change = plan_change(environment, lakes, &part, types, &given).await?;
        let change = change.ok_or_else(|| Error::unsupported("this WITH query"))?;
        let rows = change.returning.as_ref().map(|r| Held::new(nullable(&r.schema())));
        match &rows {
            Some(rows) => given.push((folded(&cte.alias.name), Given::Plan(named(rows, cte)?))),
            None => silent.push(folded(&cte.alias.name)),
        }
        steps.push(Step { change, rows });
    }
    let mut rest = query.clone();
    rest.with = Some(plain).filter(|with| !with.cte_tables.is_empty());
    refuse(&rest, &silent)?;
    Ok(Some(Parts { steps, rest: ast::Statement::Query(Box::new(rest)), given }))
}

/// Whether a query is INSERT, UPDATE, DELETE or MERGE.
fn changes(query: &ast::Query) -> bool {
    use ast::SetExpr::{Delete, Insert, Merge, Update};
    matches!(query.body.as_ref(), Insert(_) | Update(_) | Delete(_) | Merge(_))
}

/// A WITH query that sees the plain ones before it.
fn under(plain: &ast::With, query: &ast::Query) -> ast::Query {
    let mut query = query.clone();
    let own = query.with.take();
    let recursive = plain.recursive || own.as_ref().is_some_and(|own| own.recursive);
    let own = own.into_iter().flat_map(|with| with.cte_tables);
    let cte_tables: Vec<_> = plain.cte_tables.iter().cloned().chain(own).collect();
    if !cte_tables.is_empty() {
        query.with = Some(ast::With { recursive, cte_tables, ..plain.clone() });
    }
    query
}

/// The rows under the name, and the columns' names, that WITH gives them.
fn named(rows: &Arc<Held>, cte: &ast::Cte) -> Result<LogicalPlan> {
    let scan = rows.scan(HELD)?;
    let columns = scan.schema().columns();
    if cte.alias.columns.len() > columns.len() {
        let message = format!(
            "WITH query \"{}\" has {} columns available but {} columns specified",
            folded(&cte.alias.name),
            columns.len(),
            cte.alias.columns.len()
        );
        return Err(Error::new("42P10", message));
    }
    let names = cte.alias.columns.iter().map(|column| Some(folded(&column.name)));
    let names = names.chain(std::iter::repeat(None));
    let items = columns.into_iter().zip(names).map(|(column, name)| {
        let name = name.unwrap_or_else(|| column.name.clone());
        Expr::Column(column).alias(name)
    });
    let items: Vec<Expr> = items.collect();
    Ok(scan.project(items)?.alias(folded(&cte.alias.name))?.build()?)
}

/// Postgres' errors for a change that is not at the top, and for names that stand for no rows.
fn refuse(query: &ast::Query, silent: &[String]) -> Result<()> {
    let mut search = Search { silent, depth: 0 };
    match query.visit(&mut search) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Search<'a> {
    silent: &'a [String],
    depth: usize,
}

impl Visitor for Search<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Error> {
        let top = self.depth == 0;
        self.depth += 1;
        if top || !changes(query) {
            return ControlFlow::Continue(());
        }
        let message = "WITH clause containing a data-modifying statement must be at the top level";
        ControlFlow::Break(Error::new("0A000", message))
    }

    fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Error> {
        let parts = plan::parts(name).unwrap_or_default();
        match parts.as_slice() {
            [name] if self.silent.contains(name) => {
                let message = format!("WITH query \"{name}\" does not have a RETURNING clause");
                ControlFlow::Break(Error::new("0A000", message))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
