//! A feature view's query, taken apart: which calls are windows at label time, and what of the rest
//! is rows.
//!
//! ```text
//!   SELECT k, ts, sum(a) OVER w / n AS r FROM t WINDOW w AS (PARTITION BY k ORDER BY ts RANGE …)
//!     rows     SELECT k, ts, NULL AS r's place, a AS 0, n AS 1, k AS 2, ts AS 3 FROM t
//!     calls    w0: sum of 0 by 2 at 3
//!     made     r = w0 / 1
//! ```
//! Calls without a bound that plain SQL knows stay in the rows: what they tell changes only with a
//! row, so that it is a column like any other.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, GroupByExpr, Ident, NamedWindowDefinition, NamedWindowExpr, Query, Select,
    SelectItem, SetExpr, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::spec::{Place, Window, Windows, argument, excluding, not_at_label, place, told};
use crate::asof::Gathered;
use crate::error::{Error, Result};
use crate::names::{self, folded};

/// Begins the names that are not the view's.
pub(super) const HIDDEN: char = '\u{2}';

/// See the module.
#[derive(Debug)]
pub(super) struct TakenApart {
    /// Plain columns, hidden ones, and a NULL in the place of each that is made.
    pub rows: Query,
    pub calls: Vec<Call>,
    pub made: Vec<Made>,
}

/// A window at label time; columns are those of the rows.
#[derive(Debug)]
pub(super) struct Call {
    /// As the made columns have it.
    pub name: String,
    pub function: Function,
    pub told: Gathered,
    pub argument: Option<String>,
    pub filter: Option<String>,
    /// None: as far as rows go back.
    pub width: Option<Expr>,
    pub excludes_current: bool,
    pub partition: Vec<String>,
    pub order: String,
}

/// A column that is computed from windows.
#[derive(Debug)]
pub(super) struct Made {
    pub name: String,
    /// Over hidden columns of the rows and names of calls.
    pub expression: Expr,
    /// As a user would write it, with each window in full.
    pub text: String,
}

/// Whether a column of the rows is not the view's.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with(HIDDEN)
}

/// The number of the column that is made in the place of one of the rows.
pub(super) fn made_at(name: &str) -> Option<usize> {
    name.strip_prefix(HIDDEN)?.strip_prefix('m')?.parse().ok()
}

impl TakenApart {
    /// None: no column is of a window at label time. Errors: 0A000 for other windows.
    pub fn of(query: &Query) -> Result<Option<Self>> {
        let mut query = query.clone();
        names::assign(&mut query);
        let windows = Windows::of(&query.body);
        let Some(found) = first(&query, &windows)? else { return Ok(None) };
        let is_plain = query.order_by.is_none()
            && query.limit_clause.is_none()
            && query.fetch.is_none()
            && matches!(query.body.as_ref(), SetExpr::Select(select) if is_plain(select));
        let SetExpr::Select(select) = query.body.as_mut() else {
            return Err(not_plain(found));
        };
        if !is_plain {
            return Err(not_plain(found));
        }
        let mut taker = Taker::new(&windows);
        let mut items = Vec::with_capacity(select.projection.len());
        for item in std::mem::take(&mut select.projection) {
            items.push(taker.item(item)?);
        }
        items.extend(taker.hidden.iter().map(|(name, expr)| named(expr.clone(), name)));
        select.projection = items;
        select.named_window.retain(|NamedWindowDefinition(_, window)| match window {
            NamedWindowExpr::WindowSpec(spec) => excluding(&spec.partition_by).is_none(),
            NamedWindowExpr::NamedWindow(_) => false,
        });
        let (calls, made) = (taker.calls, taker.made);
        Ok(Some(Self { rows: query, calls, made }))
    }
}

fn not_plain(place: Place) -> Error {
    let what = "a window in a query with DISTINCT, GROUP BY, ORDER BY, LIMIT or UNION";
    not_at_label(what, place).with_hint("Put that into a subquery in FROM.")
}

fn is_plain(select: &Select) -> bool {
    let groups = match &select.group_by {
        GroupByExpr::Expressions(keys, more) => !keys.is_empty() || !more.is_empty(),
        GroupByExpr::All(_) => true,
    };
    let is_none = select.distinct.is_none() && select.having.is_none() && select.qualify.is_none();
    is_none && !groups && select.into.is_none() && select.top.is_none()
}

fn named(expr: Expr, name: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) }
}

/// Where the first window at label time is, of all that are not in subqueries.
fn first(query: &Query, windows: &Windows) -> Result<Option<Place>> {
    let mut searcher = Searcher { windows, depth: 0, found: None };
    let mut outcome = match query.body.as_ref() {
        SetExpr::Select(select) => select.projection.visit(&mut searcher),
        body => searcher.body(body),
    };
    if let (SetExpr::Select(select), ControlFlow::Continue(())) = (query.body.as_ref(), &outcome) {
        outcome = select.qualify.visit(&mut searcher);
    }
    if outcome.is_continue() {
        outcome = query.order_by.visit(&mut searcher);
    }
    match outcome {
        ControlFlow::Continue(()) => Ok(searcher.found),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Finds windows at label time outside subqueries, and what is wrong with others.
struct Searcher<'a> {
    windows: &'a Windows,
    depth: usize,
    found: Option<Place>,
}

impl Searcher<'_> {
    /// Of a set operation: of any of its arms.
    fn body(&mut self, body: &SetExpr) -> ControlFlow<Error> {
        match body {
            SetExpr::Select(select) => {
                let windows = Windows::of(body);
                let mut inner =
                    Searcher { windows: &windows, depth: self.depth, found: self.found };
                let outcome = select.projection.visit(&mut inner);
                self.found = inner.found;
                outcome
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left)?;
                self.body(right)
            }
            SetExpr::Query(query) => self.body(&query.body),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Visitor for Searcher<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Error> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Error> {
        let Expr::Function(call) = expression else { return ControlFlow::Continue(()) };
        if self.depth > 0 || call.over.is_none() {
            return ControlFlow::Continue(());
        }
        match self.windows.window(call) {
            Ok(Some(_)) if self.found.is_none() => self.found = Some(place(call)),
            Ok(_) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

/// Takes windows out of items.
struct Taker<'a> {
    windows: &'a Windows,
    hidden: Vec<(String, Expr)>,
    calls: Vec<Call>,
    made: Vec<Made>,
}

impl<'a> Taker<'a> {
    fn new(windows: &'a Windows) -> Self {
        Self { windows, hidden: Vec::new(), calls: Vec::new(), made: Vec::new() }
    }

    /// The item of the rows that is in an item's place.
    fn item(&mut self, item: SelectItem) -> Result<SelectItem> {
        let (expression, alias) = match &item {
            SelectItem::ExprWithAlias { expr, alias } => (expr, alias),
            // A name was given to all others that are not columns.
            _ => return Ok(item),
        };
        if !self.has_window(expression)? {
            return Ok(item);
        }
        let (mut made, mut shown) = (expression.clone(), expression.clone());
        self.take(&mut shown, true)?;
        self.take(&mut made, false)?;
        let place = format!("{HIDDEN}m{}", self.made.len());
        let name = names::shown(&folded(alias)).to_owned();
        self.made.push(Made { name, expression: made, text: shown.to_string() });
        Ok(named(Expr::Value(Value::Null.into()), &place))
    }

    fn has_window(&self, expression: &Expr) -> Result<bool> {
        let mut searcher = Searcher { windows: self.windows, depth: 0, found: None };
        match expression.visit(&mut searcher) {
            ControlFlow::Continue(()) => Ok(searcher.found.is_some()),
            ControlFlow::Break(error) => Err(error),
        }
    }

    fn take(&mut self, expression: &mut Expr, shows: bool) -> Result<()> {
        match expression.visit(&mut Replacer { taker: self, shows }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// The hidden column that an expression is.
    fn hide(&mut self, expression: Expr) -> Result<String> {
        if self.has_window(&expression)? {
            let message = "window function calls cannot be nested";
            return Err(Error::new("42P20", message).at_place(place(&expression)));
        }
        if let Some((name, _)) = self.hidden.iter().find(|(_, known)| *known == expression) {
            return Ok(name.clone());
        }
        let name = format!("{HIDDEN}{}", self.hidden.len());
        self.hidden.push((name.clone(), expression));
        Ok(name)
    }

    /// What stands for a window in a made column.
    fn call(&mut self, call: &Function, window: Window) -> Result<Expr> {
        let known = self.calls.iter().find(|known| known.function == *call);
        let name = match known {
            Some(known) => known.name.clone(),
            None => {
                let name = format!("{HIDDEN}w{}", self.calls.len());
                let filter = call.filter.as_deref().cloned();
                let partition = window.partition.into_iter().map(|key| self.hide(key));
                let partition = partition.collect::<Result<_>>()?;
                let taken = Call {
                    name: name.clone(),
                    function: call.clone(),
                    told: told(call)?,
                    argument: argument(call)?.map(|value| self.hide(value)).transpose()?,
                    filter: filter.map(|filter| self.hide(filter)).transpose()?,
                    width: window.width,
                    excludes_current: window.excludes_current,
                    partition,
                    order: self.hide(window.order)?,
                };
                self.calls.push(taken);
                name
            }
        };
        Ok(Expr::Identifier(Ident::with_quote('"', name)))
    }
}

/// A window as it would be written in full.
fn in_full(call: &Function, window: &Window) -> Expr {
    let mut plain = call.clone();
    plain.over = None;
    let bound = match &window.width {
        Some(width) => width.to_string(),
        None => "UNBOUNDED".to_owned(),
    };
    let excluding = if window.excludes_current { " EXCLUDE CURRENT ROW" } else { "" };
    let text = format!("{plain} OVER (RANGE {bound} PRECEDING{excluding})");
    // A name without quotes is written as it is.
    Expr::Identifier(Ident::new(text))
}

struct Replacer<'a, 'w> {
    taker: &'a mut Taker<'w>,
    /// For users, in place of for the planner.
    shows: bool,
}

impl Replacer<'_, '_> {
    fn replaced(&mut self, expression: &Expr) -> Result<Option<Expr>> {
        if let Expr::Function(call) = expression
            && let Some(window) = self.taker.windows.window(call)?
        {
            return match self.shows {
                true => Ok(Some(in_full(call, &window))),
                false => self.taker.call(call, window).map(Some),
            };
        }
        if self.shows || self.taker.has_window(expression)? {
            return Ok(None);
        }
        // The largest part that is of one row.
        if !crate::plan::has_column(expression) {
            return Ok(None);
        }
        let name = self.taker.hide(expression.clone())?;
        Ok(Some(Expr::Identifier(Ident::with_quote('"', name))))
    }
}

impl VisitorMut for Replacer<'_, '_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Error> {
        match self.replaced(expression) {
            Ok(Some(new)) => *expression = new,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}
