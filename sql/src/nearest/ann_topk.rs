//! `ann_topk('index', query, k, …)`: the nearest rows of a table that has a vector index.
//!
//! ```text
//!   ann_topk('items_emb', $1, 100,
//!       filter => 'price < 50',        a condition on the table's columns
//!       exclude => ARRAY[1, 2],        rows of these primary keys are left out
//!       recall => 0.99, exact => true)
//!   ─▶ SELECT key, score, row_number() OVER (ORDER BY distance, key) AS position
//!      FROM (SELECT key, embedding <#> $1 AS distance FROM items
//!            WHERE price < 50 AND key = ANY (…) IS NOT TRUE
//!            ORDER BY embedding <#> $1, key LIMIT 100)
//! ```
//! It gives the primary key, or all columns but the vector where there is none. `score` is the
//! greater the nearer: the inner product, one less the cosine distance, the negative L2 distance.
//! NULL vectors match nothing. With columns of what stands before it in FROM it is LATERAL.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use catalog::indexes::{Measure, VectorIndex};
use catalog::{Constraint, Index, Relation, State, Table};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Query, Statement, TableAlias, TableFactor,
    UnaryOperator, Value, Visit, VisitMut, Visitor, VisitorMut, visit_expressions_mut,
};

use crate::error::{Error, Result, near_names};
use crate::names::folded;
use crate::parse;
use crate::plan::{self, Environment, Lakes, Place};
use crate::system::definitions::quoted;

const NAME: &str = "ann_topk";
/// Its arguments in order; `recall_target` is another name of `recall`.
pub(crate) const ARGUMENTS: &[&str] =
    &["index", "query", "k", "filter", "exclude", "recall", "exact", "recall_target"];
/// Stand for expressions in the text of the query that is made; no name of a user's.
const QUERY: &str = "\u{3}query";
const LIMIT: &str = "\u{3}limit";
const FILTER: &str = "\u{3}filter";
const EXCLUDE: &str = "\u{3}exclude";

/// Name, arguments, what it is for.
pub(crate) fn listed() -> (&'static str, &'static [&'static str], &'static str) {
    (NAME, ARGUMENTS, "The nearest rows of a table, by its vector index.")
}

/// Puts a query in the place of each call.
///
/// Errors: 42883 for arguments that there are not, 22023 for wrong ones, 42704 and 42809 for what
/// is no vector index.
pub(crate) fn expand(
    environment: &Environment,
    lakes: &Lakes,
    statement: &mut Statement,
) -> Result<()> {
    match statement.visit(&mut Expander { environment, lakes }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Finds a column of a table that is named outside of subqueries.
struct Outside<'a> {
    table: &'a Table,
    queries: usize,
}

impl Visitor for Outside<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<String> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<String> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, part: &Expr) -> ControlFlow<String> {
        match part {
            Expr::Identifier(name)
                if self.queries == 0 && self.table.column(&folded(name)).is_some() =>
            {
                ControlFlow::Break(folded(name))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

struct Expander<'a> {
    environment: &'a Environment,
    lakes: &'a Lakes,
}

impl VisitorMut for Expander<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let (name, given, alias) = match &*factor {
            TableFactor::Table { name, args: Some(args), alias, .. } => (name, &args.args, alias),
            TableFactor::Function { name, args, alias, .. } => (name, args, alias),
            _ => return ControlFlow::Continue(()),
        };
        let last = name.0.last().and_then(|part| part.as_ident()).map(folded);
        if last.as_deref() != Some(NAME) {
            return ControlFlow::Continue(());
        }
        match self.derived(given, alias) {
            Ok(new) => {
                *factor = new;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// An index and where its table is.
pub(super) struct Found {
    pub place: Place,
    pub table: Arc<Table>,
    /// The column's place in the table.
    pub column: usize,
    pub of: VectorIndex,
}

impl Expander<'_> {
    fn derived(&self, given: &[FunctionArg], alias: &Option<TableAlias>) -> Result<TableFactor> {
        let mut arguments = read(given)?;
        let index = required(&mut arguments, "index")?;
        let query = required(&mut arguments, "query")?;
        let k = required(&mut arguments, "k")?;
        check_k(&k)?;
        let found = find(self.environment, self.lakes, &text("index", &index)?)?;
        check_columns(&found, &query)?;
        let recall = recall(&mut arguments)?;
        let mut parts = HashMap::from([(QUERY, query), (LIMIT, k)]);
        if let Some(filter) = arguments.remove("filter") {
            parts.insert(FILTER, parse::parse_expression(&text("filter", &filter)?)?);
        }
        if let Some(exclude) = arguments.remove("exclude") {
            parts.insert(EXCLUDE, exclude);
        }
        let lateral = parts.values().any(plan::has_column);
        let mut subquery = parse::parse_query(&written(&found, recall.as_deref(), &parts)?)?;
        let _ = visit_expressions_mut(&mut subquery, |part| {
            if let Expr::Identifier(name) = part
                && let Some(new) = parts.get(name.value.as_str())
            {
                *part = match name.value == LIMIT {
                    true => new.clone(),
                    false => Expr::Nested(Box::new(new.clone())),
                };
            }
            ControlFlow::<()>::Continue(())
        });
        let alias = alias.clone().unwrap_or_else(|| TableAlias {
            explicit: true,
            name: Ident::with_quote('"', NAME),
            columns: Vec::new(),
            at: None,
        });
        let (subquery, alias) = (Box::new(subquery), Some(alias));
        Ok(TableFactor::Derived { lateral, subquery, alias, sample: None })
    }
}

/// The vector index of a name.
pub(super) fn find(environment: &Environment, lakes: &Lakes, name: &str) -> Result<Found> {
    let parts = parts_of(name)?;
    let mut names = Vec::new();
    for place in environment.candidates(&parts)? {
        if place.temp && lakes.temp.is_none() {
            continue;
        }
        let state = lakes.view(&place).state();
        if let Some((table, found)) = found_in(state, &place.schema, &place.name) {
            let of = found.vectors.clone().ok_or_else(|| {
                let message = format!("index \"{}\" is not over vectors", found.name);
                let hint = "CREATE INDEX … USING ivf makes one that is.";
                Error::new("42809", message).with_hint(hint)
            })?;
            let id = found.keys.first().map(|key| key.column);
            let column = table.columns.iter().position(|column| Some(column.id) == id);
            let place = Place { name: table.name.clone(), ..place };
            let column = column.unwrap_or_default();
            return Ok(Found { place, table, column, of });
        }
        names.extend(vector_indexes(state, &place.schema));
    }
    let shown = parts.last().map_or("", String::as_str);
    let error = Error::new("42704", format!("index \"{shown}\" does not exist"));
    let near = near_names(shown, names.iter().map(String::as_str));
    let list = "List vector indexes: SELECT * FROM ml.indexes.".to_owned();
    Err(error.with_hint(near.unwrap_or(list)))
}

fn parts_of(name: &str) -> Result<Vec<String>> {
    let wrong = || Error::new("22023", format!("\"{name}\" is not the name of an index"));
    match parse::parse_expression(name) {
        Ok(Expr::Identifier(name)) => Ok(vec![folded(&name)]),
        Ok(Expr::CompoundIdentifier(names)) => Ok(names.iter().map(folded).collect()),
        _ => Err(wrong()),
    }
}

fn found_in(state: &State, schema: &str, name: &str) -> Option<(Arc<Table>, Index)> {
    let relations = state.schemas.get(schema)?.relations.values();
    relations.filter_map(Relation::as_table).find_map(|table| {
        table.constraints.iter().find_map(|constraint| match constraint {
            Constraint::Index(index) if index.name == name => Some((table.clone(), index.clone())),
            _ => None,
        })
    })
}

fn vector_indexes(state: &State, schema: &str) -> Vec<String> {
    let relations = state.schemas.get(schema).into_iter().flat_map(|s| s.relations.values());
    let tables = relations.filter_map(Relation::as_table);
    let constraints = tables.flat_map(|table| &table.constraints);
    let named = constraints.filter_map(|constraint| match constraint {
        Constraint::Index(index) if index.vectors.is_some() => Some(index.name.clone()),
        _ => None,
    });
    named.collect()
}

/// The query, with names in the place of what the call gives.
fn written(found: &Found, recall: Option<&str>, parts: &HashMap<&str, Expr>) -> Result<String> {
    let Found { place, table, column, of } = found;
    let key = table.constraints.iter().find_map(|constraint| match constraint {
        Constraint::Unique { columns, primary: true, .. } => Some(columns.clone()),
        _ => None,
    });
    let vector = &table.columns[*column];
    let is_shown = |id: i64| match &key {
        Some(key) => key.contains(&id),
        None => id != vector.id,
    };
    let shown = table.columns.iter().filter(|column| is_shown(column.id));
    let shown: Vec<String> = shown.map(|column| quoted(&column.name)).collect();
    let ordered: Vec<&str> = match key {
        Some(_) => shown.iter().map(String::as_str).collect(),
        None => Vec::new(),
    };
    let name = quoted(&vector.name);
    let mut conditions = vec![format!("{name} IS NOT NULL")];
    if parts.contains_key(FILTER) {
        conditions.push(format!("\"{FILTER}\""));
    }
    if parts.contains_key(EXCLUDE) {
        let [key] = ordered.as_slice() else {
            let message = format!("table \"{}\" has no primary key of one column", table.name);
            let hint = "Write a filter in place of exclude.";
            return Err(Error::new("22023", message).with_hint(hint));
        };
        conditions.push(format!("({key} = ANY (\"{EXCLUDE}\")) IS NOT TRUE"));
    }
    let distance = format!("{}({name}, \"{QUERY}\")", of.measure.function());
    let score = match of.measure {
        Measure::InnerProduct | Measure::L2 => "-\"\u{3}distance\"",
        Measure::Cosine => "1 - \"\u{3}distance\"",
    };
    let listed = |names: &[&str], separator: &str| {
        names.iter().map(|name| format!("{separator}{name}")).collect::<String>()
    };
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    Ok(format!(
        "SELECT {shown}, {score} AS score, row_number() OVER (ORDER BY \"\u{3}distance\"{by}) \
         AS position FROM (SELECT {shown}, {distance} AS \"\u{3}distance\" FROM {schema}.{table} \
         WHERE {conditions} ORDER BY sextant_recall({distance}, {recall}){by} \
         LIMIT \"{LIMIT}\") AS \"\u{3}nearest\"",
        shown = shown.join(", "),
        by = listed(&ordered, ", "),
        schema = quoted(place.schema_name()),
        table = quoted(&place.name),
        conditions = conditions.join(" AND "),
        recall = recall.unwrap_or("NULL::float8"),
    ))
}

/// Arguments by name, NULLs left out.
fn read(given: &[FunctionArg]) -> Result<HashMap<&'static str, Expr>> {
    let mut values = HashMap::new();
    for (index, argument) in given.iter().enumerate() {
        let (name, value) = match argument {
            FunctionArg::Unnamed(value) => (ARGUMENTS.get(index).copied(), value),
            FunctionArg::Named { name, arg, .. }
            | FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => {
                let word = folded(name);
                (ARGUMENTS.iter().find(|known| **known == word).copied(), arg)
            }
            FunctionArg::ExprNamed { arg, .. } => (None, arg),
        };
        let (Some(name), FunctionArgExpr::Expr(value)) = (name, value) else {
            let message = format!("function {NAME} has no argument {argument}");
            let hint = format!("Its arguments are {}.", ARGUMENTS.join(", "));
            return Err(Error::new("42883", message).with_hint(hint));
        };
        if !matches!(value, Expr::Value(value) if value.value == Value::Null) {
            values.insert(name, value.clone());
        }
    }
    Ok(values)
}

fn required(arguments: &mut HashMap<&'static str, Expr>, name: &str) -> Result<Expr> {
    arguments.remove(name).ok_or_else(|| {
        Error::new("22023", format!("{NAME} needs {name}"))
            .with_hint(format!("Write {NAME}('index', '[1,2,3]', 10)."))
    })
}

fn text(name: &str, value: &Expr) -> Result<String> {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Ok(text.clone()),
            _ => Err(wrong(name, "text")),
        },
        _ => Err(wrong(name, "constant text")),
    }
}

fn wrong(name: &str, allowed: &str) -> Error {
    Error::new("22023", format!("{name} of {NAME} must be {allowed}"))
}

fn check_k(k: &Expr) -> Result<()> {
    let least = || wrong("k", "at least 1");
    match k {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) if text.parse::<i64>().is_ok_and(|k| k > 0) => Ok(()),
            Value::Number(..) => Err(least()),
            Value::Placeholder(_) => Ok(()),
            _ => Err(wrong("k", "a number")),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, .. } => Err(least()),
        _ => Ok(()),
    }
}

/// The recall that the call asks for, as it is written.
fn recall(arguments: &mut HashMap<&'static str, Expr>) -> Result<Option<String>> {
    let given = arguments.remove("recall").or_else(|| arguments.remove("recall_target"));
    let exact = match arguments.remove("exact") {
        None => false,
        Some(Expr::Value(value)) => match value.value {
            Value::Boolean(exact) => exact,
            _ => return Err(wrong("exact", "true or false")),
        },
        Some(_) => return Err(wrong("exact", "true or false")),
    };
    if exact {
        return Ok(Some("1.0::float8".to_owned()));
    }
    let range = || wrong("recall", "a number over 0 and at most 1");
    let Some(given) = given else { return Ok(None) };
    let number = match &given {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse::<f64>().map_err(|_| range())?,
            _ => return Err(range()),
        },
        _ => return Err(range()),
    };
    match number > 0.0 && number <= 1.0 {
        true => Ok(Some(format!("{number}::float8"))),
        false => Err(range()),
    }
}

/// A column without a table would be taken for one of the index's table; in a subquery it is one of
/// the subquery's own.
fn check_columns(found: &Found, query: &Expr) -> Result<()> {
    match query.visit(&mut Outside { table: &found.table, queries: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(name) => {
            let message = format!("column reference \"{name}\" is ambiguous");
            Err(Error::new("42702", message)
                .with_hint("Write the table's name before the column's."))
        }
    }
}
