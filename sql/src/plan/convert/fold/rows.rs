//! Functions that give rows, as lists that are unnested.
//!
//! ```text
//!   SELECT generate_series(1, 3)      SELECT unnest(generate_series(1, 3))
//!   FROM t, generate_series(1, t.n)   LATERAL (SELECT unnest(generate_series(1, t.n)))
//!   FROM unnest(a, b) WITH ORDINALITY (SELECT unnest(a), unnest(b), unnest(generate_series(…)))
//! ```
//!
//! A list of records in FROM has a column for each field:
//!
//! ```text
//!   FROM ts_token_type(p)     (SELECT unnest(ts_token_type(p))['tokid'] AS tokid, …)
//! ```
//!
//! A series of constants in FROM is a table, whose rows are made as they are read.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, DataType, Expr, Ident, SelectItem, SetExpr, TableAlias, TableFactor, Value,
    visit_expressions,
};

use super::{cast, function, has_column};
use crate::functions::{series, sets, subscripts};
use crate::names::{MARK, folded};
use crate::parse;

/// The functions, and those that give their rows as a list.
const SETS: &[(&str, &str)] = &[
    (series::NAME, series::NAME),
    (subscripts::NAME, subscripts::NAME),
    ("regexp_matches", "regexp_matches"),
    ("regexp_split_to_table", "regexp_split_to_array"),
    ("string_to_table", "string_to_array"),
    (sets::PARTITION_ANCESTORS, sets::PARTITION_ANCESTORS),
    (sets::EXPAND_ARRAY, sets::EXPAND_ARRAY),
    (sets::OPTIONS, sets::OPTIONS),
    (sets::PARTITION_TREE, sets::PARTITION_TREE),
    (sets::TOKEN_TYPES, sets::TOKEN_TYPES),
];

/// Functions whose rows are those of a relation of `pg_catalog`.
const RELATIONS: &[(&str, &str)] =
    &[("pg_get_keywords", "pg_get_keywords"), ("pg_show_all_settings", "pg_settings")];

const UNNEST: &str = "unnest";

fn list_of(called: &str) -> Option<&'static str> {
    SETS.iter().find(|(name, _)| *name == called).map(|(_, list)| *list)
}

/// A call in an expression; None: the function gives one value.
pub(super) fn in_list(call: &ast::Function) -> Option<Expr> {
    let called = call.name.0.last()?.as_ident().map(folded)?;
    let ast::FunctionArguments::List(list) = &call.args else { return None };
    let given: Option<Vec<&Expr>> = list.args.iter().map(plain_argument).collect();
    Some(function(UNNEST, &[&function(list_of(&called)?, &given?)]))
}

/// A function in FROM as a subquery; None: the planner knows it itself.
pub(super) fn in_from(factor: &TableFactor) -> Option<TableFactor> {
    let (called, given, alias, ordinality) = called(factor)?;
    if let Some((_, relation)) = RELATIONS.iter().find(|(function, _)| *function == called) {
        let name = crate::plan::object_name(&["pg_catalog", relation]);
        return Some(crate::plan::table_factor(name, alias));
    }
    // Whose argument does not matter, so that it may be a column of any query outside.
    let given = match called.as_str() {
        sets::PARTITION_ANCESTORS | sets::PARTITION_TREE => {
            vec![Expr::Value(Value::Number("0".into(), false).into())]
        }
        _ => given,
    };
    let lists: Vec<Expr> = match list_of(&called) {
        Some(list) => vec![function(list, &given.iter().collect::<Vec<_>>())],
        None if called == UNNEST && ordinality => given.clone(),
        None if called == UNNEST => return unnested(factor, given, alias),
        None => return None,
    };
    let constant = !given.iter().any(|e| has_column(e) || has_parameter(e));
    if called == series::NAME && constant && !ordinality {
        return None;
    }
    let name = alias.as_ref().map_or_else(|| Ident::with_quote('"', &called), |a| a.name.clone());
    let columns: Vec<Ident> =
        alias.iter().flat_map(|alias| &alias.columns).map(|column| column.name.clone()).collect();
    let own = |at: usize| match (lists.len(), at) {
        (1, _) => name.clone(),
        (_, 0) => Ident::with_quote('"', UNNEST),
        (_, at) => Ident::with_quote('"', format!("{UNNEST}{MARK}{at}")),
    };
    let column = |at: usize, otherwise: Ident| columns.get(at).cloned().unwrap_or(otherwise);
    let mut items: Vec<SelectItem> = Vec::with_capacity(lists.len() + 1);
    let fields = sets::fields(&called);
    for (at, field) in fields.iter().enumerate() {
        let row = function(UNNEST, &[lists.first()?]);
        let alias = column(at, Ident::with_quote('"', *field));
        items.push(SelectItem::ExprWithAlias { expr: field_of(row, field), alias });
    }
    for (at, list) in lists.iter().enumerate().filter(|_| fields.is_empty()) {
        let (expr, alias) = (function(UNNEST, &[list]), column(at, own(at)));
        items.push(SelectItem::ExprWithAlias { expr, alias });
    }
    if ordinality {
        let first = Expr::Value(Value::Number("1".into(), false).into());
        let count = |list| function("array_length", &[list, &first]);
        let counts: Vec<Expr> = lists.iter().map(count).collect();
        let longest = function("greatest", &counts.iter().collect::<Vec<_>>());
        let one = cast(Expr::Value(Value::Number("1".into(), false).into()), DataType::Int8(None));
        let expr = function(UNNEST, &[&function(series::NAME, &[&one, &longest])]);
        let alias = column(lists.len(), Ident::with_quote('"', "ordinality"));
        items.push(SelectItem::ExprWithAlias { expr, alias });
    }
    let mut query = parse::parse_query("SELECT 1").ok()?;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    select.projection = items;
    let alias = TableAlias { explicit: true, name, columns: Vec::new(), at: None };
    let lateral = given.iter().any(has_column);
    let (subquery, alias) = (Box::new(query), Some(alias));
    Some(TableFactor::Derived { lateral, subquery, alias, sample: None })
}

/// What is called in FROM, with what, under which alias, and whether rows are numbered.
fn called(factor: &TableFactor) -> Option<(String, Vec<Expr>, Option<TableAlias>, bool)> {
    let plain = |arguments: &[ast::FunctionArg]| {
        arguments.iter().map(|argument| plain_argument(argument).cloned()).collect()
    };
    let last = |name: &ast::ObjectName| name.0.last()?.as_ident().map(folded);
    Some(match factor {
        TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } => {
            let given: Option<Vec<Expr>> = plain(&args.args);
            (last(name)?, given?, alias.clone(), *with_ordinality)
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            let given: Option<Vec<Expr>> = plain(args);
            (last(name)?, given?, alias.clone(), *with_ordinality)
        }
        TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
            (UNNEST.into(), array_exprs.clone(), alias.clone(), *with_ordinality)
        }
        _ => return None,
    })
}

/// `row['name']`
fn field_of(row: Expr, name: &str) -> Expr {
    let index = Expr::Value(Value::SingleQuotedString(name.into()).into());
    let access_chain = vec![ast::AccessExpr::Subscript(ast::Subscript::Index { index })];
    Expr::CompoundFieldAccess { root: Box::new(row), access_chain }
}

/// `FROM pg_catalog.unnest(x)` is `FROM unnest(x)`.
fn unnested(
    factor: &TableFactor,
    array_exprs: Vec<Expr>,
    alias: Option<TableAlias>,
) -> Option<TableFactor> {
    let known = matches!(factor, TableFactor::UNNEST { .. });
    (!known).then_some(TableFactor::UNNEST {
        alias,
        array_exprs,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    })
}

pub(super) fn plain_argument(argument: &ast::FunctionArg) -> Option<&Expr> {
    match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => Some(e),
        _ => None,
    }
}

fn has_parameter(expression: &Expr) -> bool {
    let found = visit_expressions(expression, |e| match e {
        Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}
