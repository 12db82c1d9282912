//! JSON in the syntax tree:
//!
//! - `json_agg(x ORDER BY y)` is `json_agg_of(array_agg(agg_element(x) ORDER BY y))`;
//! - `f(t)` may mean the whole row of a table `t`: an operator that finds out;
//! - functions that give rows are unnested, in a select list and in FROM:
//!
//! ```text
//!   FROM t, json_each(t.j) AS e     LATERAL (SELECT unnest(json_each_keys(t.j)) AS key,
//!                                                   unnest(json_each_values(t.j)) AS value) AS e
//! ```
//!
//! - `e` alone is the value of `json_array_elements(…) AS e`;
//! - casts, CASE and COALESCE pass an operator that gives them their type.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, DataType, Expr, Ident, Query, Select, SelectItem, SetExpr, TableAlias,
    TableAliasColumnDef, TableFactor, UnaryOperator, Value, VisitMut, VisitorMut,
};

use super::super::fold::{casts, function, has_column};
use super::{TYPED, WHOLE_ROW};
use crate::names::folded;
use crate::parse;

/// Functions that give one value a row: their name, the name of their column (None: the
/// function's own), and what their value is.
const SETS: &[(&str, Option<&str>, Option<&str>)] = &[
    ("json_array_elements", Some("value"), Some("json")),
    ("jsonb_array_elements", Some("value"), Some("jsonb")),
    ("json_array_elements_text", Some("value"), None),
    ("jsonb_array_elements_text", Some("value"), None),
    ("json_object_keys", None, None),
    ("jsonb_object_keys", None, None),
    ("jsonb_path_query", None, Some("jsonb")),
];

/// Functions that give a key and a value a row.
const PAIRS: &[(&str, Option<&str>)] = &[
    ("json_each", Some("json")),
    ("jsonb_each", Some("jsonb")),
    ("json_each_text", None),
    ("jsonb_each_text", None),
];

/// Functions to which a table's name is its row.
const OF_ROWS: &[&str] = &[
    "to_json",
    "to_jsonb",
    "row_to_json",
    "json_build_object",
    "jsonb_build_object",
    "json_build_array",
    "jsonb_build_array",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
];

/// Folds all of it; the other casts are folded already.
pub(in super::super) fn fold<T: VisitMut>(tree: &mut T) {
    let _ = tree.visit(&mut Folder::default());
}

#[derive(Default)]
struct Folder {
    /// Names in FROM that mean a value too, and its column.
    elements: Vec<(String, Ident)>,
}

impl VisitorMut for Folder {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        match expression {
            Expr::Function(call) => {
                let Some(name) = call.name.0.last().and_then(|part| part.as_ident()).map(folded)
                else {
                    return ControlFlow::Continue(());
                };
                if OF_ROWS.contains(&name.as_str()) {
                    whole_rows(call);
                }
                if let Some(folded) = aggregate(call, &name) {
                    *expression = folded;
                } else if matches!(name.as_str(), "coalesce" | "nullif") {
                    typed(expression);
                }
            }
            Expr::TypedString(literal) => {
                let input = match literal.data_type {
                    DataType::JSON => "json_input",
                    DataType::JSONB => "jsonb_input",
                    _ => return ControlFlow::Continue(()),
                };
                *expression = function(input, &[&Expr::Value(literal.value.clone())]);
            }
            // A path is read where it is used.
            Expr::Cast { expr, data_type: DataType::Custom(name, _), .. }
                if name.to_string().eq_ignore_ascii_case("jsonpath") =>
            {
                *expression = std::mem::replace(expr.as_mut(), null());
            }
            Expr::Case { .. } => typed(expression),
            Expr::Cast { expr, data_type, .. } if !is_literal(expr) && converts(data_type) => {
                typed(expression);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let Some((new, element)) = in_from(factor) {
            self.elements.extend(element);
            *factor = new;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. } = item {
                let _ = e.visit(&mut Unnester { depth: 0 });
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Values(values) = query.body.as_mut() {
            of_one_type(values);
        }
        for (name, column) in std::mem::take(&mut self.elements) {
            if let SetExpr::Select(select) = query.body.as_mut() {
                name_elements(select, &name);
            }
            let _ = query.visit(&mut Elements { name: &name, column: &column });
        }
        ControlFlow::Continue(())
    }
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

fn operator(left: Expr, name: &str, right: Expr) -> Expr {
    let op = BinaryOperator::Custom(name.to_owned());
    let whole = Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) };
    Expr::Nested(Box::new(whole))
}

fn typed(expression: &mut Expr) {
    let inner = std::mem::replace(expression, null());
    *expression = operator(inner, TYPED, null());
}

fn is_literal(expression: &Expr) -> bool {
    match expression {
        Expr::Value(_) => true,
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_literal(expr),
        Expr::Nested(expr) | Expr::Cast { expr, .. } => is_literal(expr),
        _ => false,
    }
}

/// Types to which json is cast.
fn converts(to: &DataType) -> bool {
    use crate::types::field;
    let Ok(field) = field("", to) else { return false };
    let of = field.data_type();
    super::is_text(of) || of.is_numeric() || of == &datafusion::arrow::datatypes::DataType::Boolean
}

fn arguments(call: &mut ast::Function) -> Option<&mut Vec<ast::FunctionArg>> {
    match &mut call.args {
        ast::FunctionArguments::List(list) => Some(&mut list.args),
        _ => None,
    }
}

fn value(argument: &ast::FunctionArg) -> Option<&Expr> {
    match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => Some(e),
        _ => None,
    }
}

fn whole_rows(call: &mut ast::Function) {
    for argument in arguments(call).into_iter().flatten() {
        let ast::FunctionArg::Unnamed(given) = argument else { continue };
        let name = match given {
            ast::FunctionArgExpr::Expr(Expr::Identifier(name)) => name.clone(),
            ast::FunctionArgExpr::QualifiedWildcard(table) => {
                let Some(name) = table.0.last().and_then(|part| part.as_ident()) else { continue };
                name.clone()
            }
            _ => continue,
        };
        let text = Expr::Value(Value::SingleQuotedString(folded(&name)).into());
        let row = operator(text, WHOLE_ROW, Expr::Identifier(name));
        *given = ast::FunctionArgExpr::Expr(row);
    }
}

/// An aggregate as a function of `array_agg`.
fn aggregate(call: &ast::Function, name: &str) -> Option<Expr> {
    let (element, of) = match name {
        "json_agg" | "jsonb_agg" => ("agg_element", 1),
        "json_object_agg" | "jsonb_object_agg" => ("agg_pair", 2),
        _ => return None,
    };
    let mut inner = call.clone();
    let list = arguments(&mut inner)?;
    let values: Option<Vec<&Expr>> = list.iter().map(value).collect();
    let values = values.filter(|values| values.len() == of)?;
    let element = function(element, &values);
    *list = vec![ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(element))];
    inner.name = crate::plan::object_name(&["array_agg"]);
    Some(function(&format!("{name}_of"), &[&Expr::Function(inner)]))
}

/// Whether the expression is a call of a function that gives rows.
pub(in super::super) fn gives_rows(expression: &Expr) -> bool {
    let Expr::Function(call) = expression else { return false };
    let name = call.name.0.last().and_then(|part| part.as_ident()).map(folded);
    name.is_some_and(|name| {
        let pair = PAIRS.iter().any(|pair| pair.0 == name);
        pair || SETS.iter().any(|set| set.0 == name)
    })
}

/// Functions that give rows in a select list, not in its subqueries.
struct Unnester {
    depth: usize,
}

impl VisitorMut for Unnester {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(call) = expression else { return ControlFlow::Continue(()) };
        let name = call.name.0.last().and_then(|part| part.as_ident()).map(folded);
        if let Some(name) = name.filter(|_| self.depth == 0) {
            if let Some((_, _, tag)) = SETS.iter().find(|set| set.0 == name) {
                *expression = unnested(expression, *tag);
            } else if PAIRS.iter().any(|pair| pair.0 == name) {
                *expression = function("unnest", &[&*expression]);
            }
        }
        ControlFlow::Continue(())
    }
}

fn unnested(list: &Expr, tag: Option<&str>) -> Expr {
    let item = function("unnest", &[list]);
    match tag {
        Some(tag) => function(&format!("as_{tag}"), &[&item]),
        None => item,
    }
}

/// A function that gives rows, as a subquery; and the name that means its value.
fn in_from(factor: &TableFactor) -> Option<(TableFactor, Option<(String, Ident)>)> {
    let (name, given, alias, ordinality) = match factor {
        TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } => {
            (name, &args.args, alias, *with_ordinality)
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            (name, args, alias, *with_ordinality)
        }
        _ => return None,
    };
    let called = name.0.last()?.as_ident().map(folded)?;
    let given: Option<Vec<&Expr>> = given.iter().map(value).collect();
    let given = given?;
    let alias_name =
        alias.as_ref().map_or_else(|| Ident::with_quote('"', &called), |a| a.name.clone());
    let item = |name: &str, expr: Expr| SelectItem::ExprWithAlias {
        expr,
        alias: Ident::with_quote('"', name),
    };
    let mut columns = alias.as_ref().map(|a| a.columns.clone()).unwrap_or_default();
    let mut element = None;
    let list = function(&called, &given);
    let mut items = if let Some((_, column, tag)) = SETS.iter().find(|set| set.0 == called) {
        let own = column.map_or_else(|| folded(&alias_name), str::to_owned);
        let named = columns.first().map(|column| column.name.clone());
        let named = named.unwrap_or_else(|| Ident::with_quote('"', &own));
        element = column.is_some().then(|| (folded(&alias_name), named));
        vec![item(&own, unnested(&list, *tag))]
    } else if let Some((name, tag)) = PAIRS.iter().find(|pair| pair.0 == called) {
        let keys = name.trim_end_matches("_text");
        let keys = function(&format!("{keys}_keys"), &given);
        let values = function(&format!("{name}_values"), &given);
        vec![item("key", unnested(&keys, None)), item("value", unnested(&values, *tag))]
    } else {
        let items = record(&called, &given, &columns)?;
        columns = Vec::new();
        items
    };
    if ordinality {
        let counted = match items.first() {
            Some(_) if PAIRS.iter().any(|pair| pair.0 == called) => {
                function(&format!("{}_keys", called.trim_end_matches("_text")), &given)
            }
            _ => list,
        };
        let count = function("cardinality", &[&counted]);
        let one = parse::parse_expression("1").ok()?;
        let numbers = function("generate_series", &[&one, &count]);
        items.push(item("ordinality", unnested(&numbers, None)));
    }
    let mut query = parse::parse_query("SELECT 1").ok()?;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    select.projection = items;
    let alias = TableAlias { explicit: true, name: alias_name, columns, at: None };
    let lateral = given.iter().any(|e| has_column(e));
    let (subquery, alias) = (Box::new(query), Some(alias));
    Some((TableFactor::Derived { lateral, subquery, alias, sample: None }, element))
}

/// The columns of `json_to_record(j) AS t(a int, b text)`.
fn record(
    called: &str,
    given: &[&Expr],
    columns: &[TableAliasColumnDef],
) -> Option<Vec<SelectItem>> {
    let source = match called {
        "json_to_record" => "json_record_column",
        "jsonb_to_record" => "jsonb_record_column",
        "json_to_recordset" => "json_recordset_column",
        "jsonb_to_recordset" => "jsonb_recordset_column",
        _ => return None,
    };
    let [document] = given else { return None };
    let text = |text: &str| Expr::Value(Value::SingleQuotedString(text.to_owned()).into());
    let column = |column: &TableAliasColumnDef| {
        let name = folded(&column.name);
        let data_type = column.data_type.clone()?;
        let kind = match &data_type {
            DataType::JSON | DataType::JSONB => "json",
            DataType::Array(_) => "array",
            _ => "text",
        };
        let found = function(source, &[document, &text(&name), &text(kind)]);
        let mut expr = Expr::Cast {
            kind: ast::CastKind::Cast,
            expr: Box::new(unnested(&found, None)),
            data_type,
            array: false,
            format: None,
        };
        casts(&mut expr);
        Some(SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) })
    };
    let items: Option<Vec<SelectItem>> = columns.iter().map(column).collect();
    items.filter(|items| !items.is_empty())
}

/// `SELECT e` has a column `e`.
fn name_elements(select: &mut Select, name: &str) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && matches!(expr, Expr::Identifier(found) if folded(found) == name)
        {
            let (expr, alias) = (expr.clone(), Ident::with_quote('"', name));
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
}

struct Elements<'a> {
    name: &'a str,
    column: &'a Ident,
}

impl VisitorMut for Elements<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(found) = expression
            && folded(found) == self.name
            && folded(self.column) != self.name
        {
            *expression = Expr::CompoundIdentifier(vec![found.clone(), self.column.clone()]);
        }
        ControlFlow::Continue(())
    }
}

/// A column of VALUES with one value of a tagged type has no others.
fn of_one_type(values: &mut ast::Values) {
    let inputs = ["json_input", "jsonb_input", "uuid_input"];
    let input = |e: &Expr| match e {
        Expr::Function(call) => {
            let name = call.name.0.last().and_then(|part| part.as_ident()).map(folded)?;
            inputs.into_iter().find(|input| *input == name)
        }
        _ => None,
    };
    let width = values.rows.first().map_or(0, |row| row.len());
    for column in 0..width {
        let cells = || values.rows.iter().filter_map(|row| row.get(column));
        let Some(name) = cells().find_map(input) else { continue };
        for row in &mut values.rows {
            if let Some(cell) = row.get_mut(column)
                && matches!(cell, Expr::Value(_))
            {
                *cell = function(name, &[&*cell]);
            }
        }
    }
}
