//! A function of one value in FROM is a row of it: `FROM upper('a')` is
//! `LATERAL (SELECT upper('a'))`.
//!
//! Fields of row values: `(r).f` is `r['f']`, and `(f(x)).*` is all fields of what `f` answers.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, FunctionArg, FunctionArgExpr, Ident, Query, Select, SelectItem, SetExpr,
    Subscript, TableAlias, TableFactor, Value, VisitMut, VisitorMut,
};

use super::named::function_name;
use crate::Result;
use crate::names::{MARK, folded};

/// What the parser sees for the `*` in `(r).*`.
pub(crate) const ALL_FIELDS: &str = "\u{1}*";

/// Folds every such expression; true if `named` has to name the fields of a row.
pub(super) fn fold<T: VisitMut>(engine: &SessionState, tree: &mut T) -> bool {
    let mut folder = Folder { engine, unnested: false };
    let _ = tree.visit(&mut folder);
    folder.unnested
}

/// The engine calls the fields of an unnested row `relation.column.field`: they are called `field`.
pub(super) fn named(plan: LogicalPlan) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let mut taken = HashSet::new();
    let items = schema.iter().enumerate().map(|(place, (qualifier, field))| {
        let name = field.name().rsplit('.').next().unwrap_or_default();
        let alias = match taken.insert(name.to_string()) {
            true => name.to_string(),
            false => format!("{name}{MARK}{place}"),
        };
        PlanExpr::Column(Column::from((qualifier, field))).alias(alias)
    });
    Ok(LogicalPlanBuilder::from(plan).project(items.collect::<Vec<_>>())?.build()?)
}

struct Folder<'a> {
    engine: &'a SessionState,
    unnested: bool,
}

impl VisitorMut for Folder<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.selects(&mut query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let Some(row) = self.one_value(factor) {
            *factor = row;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundFieldAccess { root, access_chain } = expression {
            // `t.r['f']`: what follows a bare name at once is a part of the name.
            let is_name =
                matches!(root.as_ref(), Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            let is_part = |access: &AccessExpr| matches!(access, AccessExpr::Dot(_));
            let parts = access_chain.iter().take_while(|a| is_name && is_part(a)).count();
            access_chain.iter_mut().skip(parts).for_each(subscript);
        }
        ControlFlow::Continue(())
    }
}

impl Folder<'_> {
    /// The row of a function in FROM that gives one value; None: it is no such function.
    fn one_value(&self, factor: &TableFactor) -> Option<TableFactor> {
        let (name, given, alias) = match factor {
            TableFactor::Table {
                name, args: Some(args), alias, with_ordinality: false, ..
            } => (name, &args.args, alias),
            TableFactor::Function { name, args, alias, with_ordinality: false, .. } => {
                (name, args, alias)
            }
            _ => return None,
        };
        let called = name.0.last()?.as_ident().map(folded)?;
        let known = self.engine.scalar_functions().contains_key(&called);
        if !known || self.engine.table_functions().contains_key(&called) {
            return None;
        }
        let given: Option<Vec<&Expr>> = given
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
                _ => None,
            })
            .collect();
        let given = given?;
        let own = Ident::with_quote('"', &called);
        let called_here = alias.as_ref().map_or_else(|| own.clone(), |alias| alias.name.clone());
        let column = alias.as_ref().and_then(|alias| alias.columns.first());
        let column = column.map_or_else(|| called_here.clone(), |column| column.name.clone());
        let mut query = crate::parse::parse_query("SELECT 1").ok()?;
        let SetExpr::Select(select) = query.body.as_mut() else { return None };
        let expr = super::convert::function(&called, &given);
        select.projection = vec![SelectItem::ExprWithAlias { expr, alias: column }];
        let alias = TableAlias { explicit: true, name: called_here, columns: Vec::new(), at: None };
        Some(TableFactor::Derived {
            lateral: given.iter().any(|value| super::has_column(value)),
            subquery: Box::new(query),
            alias: Some(alias),
            sample: None,
        })
    }

    fn selects(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => self.expand(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.selects(left);
                self.selects(right);
            }
            _ => {}
        }
    }

    fn expand(&mut self, select: &mut Select) {
        let mut taken = HashSet::new();
        for item in std::mem::take(&mut select.projection) {
            if let SelectItem::ExprWithAlias { alias, .. } = &item {
                taken.insert(folded(alias));
            }
            let Some(row) = whole_row(&item) else {
                select.projection.push(item);
                continue;
            };
            match self.fields(row) {
                Some(fields) => fields.iter().for_each(|name| {
                    let alias = match taken.insert(name.clone()) {
                        true => name.clone(),
                        false => format!("{name}{MARK}{}", select.projection.len()),
                    };
                    select.projection.push(field(row.clone(), name, alias));
                }),
                // Its type is known only when it is planned: the engine's unnest of a row.
                None => {
                    self.unnested = true;
                    let call = super::convert::function("unnest", &[row]);
                    select.projection.push(SelectItem::UnnamedExpr(call));
                }
            }
        }
    }

    /// The names of the fields of a call, if they do not depend on its arguments.
    fn fields(&self, row: &Expr) -> Option<Vec<String>> {
        let mut row = row;
        while let Expr::Nested(inner) = row {
            row = inner;
        }
        let Expr::Function(call) = row else { return None };
        let name = function_name(call);
        let scalar = self.engine.scalar_functions().get(&name);
        let aggregate = self.engine.aggregate_functions().get(&name);
        let of = match (scalar, aggregate) {
            (Some(function), _) => function.return_type(&[]).ok()?,
            (None, Some(function)) => function.return_type(&[]).ok()?,
            (None, None) => return None,
        };
        let DataType::Struct(fields) = of else { return None };
        Some(fields.iter().map(|field| field.name().clone()).collect())
    }
}

/// The `r` of `(r).*`.
fn whole_row(item: &SelectItem) -> Option<&Expr> {
    let (SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. }) =
        item
    else {
        return None;
    };
    match expression {
        Expr::CompoundFieldAccess { root, access_chain } => match access_chain.as_slice() {
            [AccessExpr::Dot(Expr::Identifier(name))] => (name.value == ALL_FIELDS).then_some(root),
            _ => None,
        },
        _ => None,
    }
}

/// A field under its name, kept apart from others of that name.
fn field(row: Expr, name: &str, alias: String) -> SelectItem {
    let mut access = AccessExpr::Dot(Expr::Identifier(Ident::with_quote('"', name)));
    subscript(&mut access);
    SelectItem::ExprWithAlias {
        expr: Expr::CompoundFieldAccess { root: Box::new(row), access_chain: vec![access] },
        alias: Ident::with_quote('"', alias),
    }
}

fn subscript(access: &mut AccessExpr) {
    if let AccessExpr::Dot(Expr::Identifier(name)) = access {
        let index = Expr::Value(Value::SingleQuotedString(folded(name)).into());
        *access = AccessExpr::Subscript(Subscript::Index { index });
    }
}
