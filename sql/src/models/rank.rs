//! `rank(model, user, items)` in FROM: items with scores and ranks, the best for a user first.
//!
//! ```text
//!   rank('recs', 7, ARRAY[3, 5])                  a model of users and items: who, which items
//!   rank('recs', 7, 'SELECT item_id FROM new')    … of a query or relation, by its item_key
//!   rank('recs', NULL, ARRAY[3, 5], country => 'NO')          … a user with these features
//!   rank('clicks', items => 'candidates', item => 'item_id', age => 30)
//!                                                 another model: rows that have its columns,
//!                                                 and the columns that they lack
//!   ─▶ SELECT item, score, row_number() OVER (ORDER BY score DESC NULLS LAST, item) AS rank
//!      FROM (SELECT item, inner_product(…, embed_item(item, model => 'recs')) AS score
//!            FROM (SELECT embed_user(7, model => 'recs')), (SELECT unnest(ARRAY[3, 5]) AS item))
//! ```
//! Scores are those of the expressions: whom or what `embed_user` and `embed_item` know nothing of
//! has no score and no rank, which are NULL. Equal scores go to the lower item. With columns of
//! what stands before it in FROM it is LATERAL.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Query, Statement, TableAlias, TableFactor, Value,
    Visit, VisitMut, Visitor, VisitorMut, visit_expressions_mut,
};

use super::expand::{HISTORY, cast};
use super::library::{Engine, Opened, open};
use super::manifest::Side;
use super::reference::Reference;
use super::user_service::{UserService, key_in};
use crate::error::{Error, Result, near_names};
use crate::functions::{identifier, literal};
use crate::names::folded;
use crate::parse;
use crate::plan::{self, Environment, Lakes};

const NAME: &str = "rank";
/// In order; others go by name.
const ARGUMENTS: [&str; 4] = ["model", "user", "items", "item"];
const USAGE: &str = "Write rank('model', user, ARRAY[…]), or \
                     rank('model', items => 'query', item => 'column') of a model of rows.";
/// Stands for an expression in the text of the query that is made, a number after it says which.
const PLACE: char = '\u{3}';

/// A call.
struct Call {
    model: Reference,
    /// As it was written.
    name: String,
    given: BTreeMap<&'static str, Expr>,
    /// Features.
    named: Vec<(String, Expr)>,
}

/// Models by what calls name them.
type Models = BTreeMap<Reference, Arc<Opened>>;

/// Puts a query in the place of each call.
///
/// # Errors
/// 42883 and 22023 for arguments, 42704 for models that there are not, 42809 for those that do not
/// rank.
pub(crate) async fn expand(
    environment: &Environment,
    lakes: &Lakes,
    statement: &mut Statement,
) -> Result<()> {
    let mut finder = Finder(Vec::new());
    if let ControlFlow::Break(error) = Visit::visit(&*statement, &mut finder) {
        return Err(error);
    }
    let mut models = Models::new();
    for model in finder.0 {
        let (_, version) = model.resolve(environment, lakes)?;
        models.insert(model, open(&environment.lake, &version).await?);
    }
    match models.is_empty() {
        true => Ok(()),
        false => match statement.visit(&mut Expander(models)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        },
    }
}

/// What a factor calls rank() with, and its alias.
fn called(factor: &TableFactor) -> Option<(&[FunctionArg], &Option<TableAlias>)> {
    let (name, given, alias) = match factor {
        TableFactor::Table { name, args: Some(args), alias, .. } => {
            (name, args.args.as_slice(), alias)
        }
        TableFactor::Function { name, args, alias, .. } => (name, args.as_slice(), alias),
        _ => return None,
    };
    let last = name.0.last().and_then(|part| part.as_ident()).map(folded);
    (last.as_deref() == Some(NAME)).then_some((given, alias))
}

struct Finder(Vec<Reference>);

impl Visitor for Finder {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        let Some((given, _)) = called(factor) else { return ControlFlow::Continue(()) };
        match Call::read(given) {
            Ok(call) => {
                self.0.push(call.model);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

struct Expander(Models);

impl VisitorMut for Expander {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let Some((given, alias)) = called(factor) else { return ControlFlow::Continue(()) };
        match self.derived(given, alias) {
            Ok(Some(new)) => {
                *factor = new;
                ControlFlow::Continue(())
            }
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Expander {
    fn derived(
        &self,
        given: &[FunctionArg],
        alias: &Option<TableAlias>,
    ) -> Result<Option<TableFactor>> {
        let call = Call::read(given)?;
        let Some(model) = self.0.get(&call.model) else { return Ok(None) };
        let values = call.given.values().chain(call.named.iter().map(|(_, value)| value));
        let lateral = values.into_iter().any(plan::has_column);
        let subquery = Box::new(call.query(model)?);
        let alias = alias.clone().unwrap_or_else(|| TableAlias {
            explicit: true,
            name: Ident::with_quote('"', NAME),
            columns: Vec::new(),
            at: None,
        });
        Ok(Some(TableFactor::Derived { lateral, subquery, alias: Some(alias), sample: None }))
    }
}

impl Call {
    /// NULLs are left out.
    fn read(arguments: &[FunctionArg]) -> Result<Self> {
        let (mut given, mut named) = (BTreeMap::new(), Vec::new());
        for (index, argument) in arguments.iter().enumerate() {
            let usage = || {
                let message = format!("function {NAME} has no argument {argument}");
                Error::new("42883", message).with_hint(USAGE)
            };
            let (name, value) = match argument {
                FunctionArg::Unnamed(value) => {
                    let name = ARGUMENTS.get(index).copied().ok_or_else(usage)?;
                    (name.to_owned(), value)
                }
                FunctionArg::Named { name, arg, .. }
                | FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => {
                    (folded(name), arg)
                }
                // A keyword, which is read as an expression.
                FunctionArg::ExprNamed { name, arg, .. }
                    if name.to_string().eq_ignore_ascii_case("user") =>
                {
                    ("user".to_owned(), arg)
                }
                FunctionArg::ExprNamed { .. } => return Err(usage()),
            };
            let FunctionArgExpr::Expr(value) = value else { return Err(usage()) };
            let known = ARGUMENTS.iter().find(|known| **known == name);
            let twice = match known {
                Some(known) => given.insert(*known, value.clone()).is_some(),
                None => named.iter().any(|(other, _)| *other == name),
            };
            if twice {
                let message = format!("argument \"{name}\" of {NAME} is given twice");
                return Err(Error::new("42601", message));
            }
            if known.is_none() {
                named.push((name, value.clone()));
            }
        }
        given.retain(|_, value| !is_null(value));
        let Some(model) = given.remove("model") else {
            return Err(Error::new("22023", format!("{NAME} needs model")).with_hint(USAGE));
        };
        let name = text("model", &model)?;
        Ok(Self { model: Reference::parse(&name)?, name, given, named })
    }

    fn query(mut self, model: &Opened) -> Result<Query> {
        let items = self.given.remove("items").ok_or_else(|| self.needs("items"))?;
        let mut places = Places::default();
        let scored = match &model.engine {
            Engine::Retrieval { user, item, history, user_service, .. } => {
                let features: Vec<&str> =
                    user.features.iter().map(|(name, _)| name.as_str()).collect();
                let mut inputs = model.transform.inputs_of(&features)?;
                let given = self.named.iter().any(|(name, _)| inputs.contains(name));
                let service = user_service.as_ref().filter(|_| !given);
                inputs.push(history.clone().unwrap_or_else(|| HISTORY.to_owned()));
                self.check_names(&inputs)?;
                self.of_user((user, item, service), items, &mut places)?
            }
            Engine::Tabular { .. } => {
                self.check_names(&model.transform.inputs_of(&model.transform.names())?)?;
                self.of_rows(&items, &mut places)?
            }
        };
        let mut query = parse::parse_query(&format!(
            "SELECT item, score, CASE WHEN score IS NOT NULL THEN CAST(row_number() OVER \
             (ORDER BY score DESC NULLS LAST, item) AS bigint) END AS {NAME} \
             FROM ({scored}) AS \"{PLACE}scored\""
        ))?;
        let _ = visit_expressions_mut(&mut query, |part| {
            if let Expr::Identifier(name) = part
                && let Some(value) = places.value(&name.value)
            {
                *part = Expr::Nested(Box::new(value.clone()));
            }
            ControlFlow::<()>::Continue(())
        });
        Ok(query)
    }

    /// Items for a user, scored by the product of their vectors.
    fn of_user(
        mut self,
        (side, item_side, service): (&Side, &Side, Option<&UserService>),
        items: Expr,
        places: &mut Places,
    ) -> Result<String> {
        let user = self.given.remove("user");
        if user.is_none() && self.named.is_empty() {
            return Err(self.needs("user"));
        }
        let null = || Expr::Value(Value::Null.into());
        let user = places.add(cast(user.unwrap_or_else(null), &side.key_type)?);
        let (name, key_type) = (literal(&self.name), &item_side.key_type);
        let (user, from) = match service {
            None => (user, String::new()),
            // In FROM, as a subquery in LATERAL does not see what stands before that.
            Some(service) => {
                let from = format!(" FROM {}", service.source(&side.key, &user));
                (key_in(&side.key).to_string(), from)
            }
        };
        let features = self.features(places);
        let vector = format!("embed_user({user}{features}, model => {name})");
        let items = match source(&items) {
            Some(source) => {
                let item = match self.given.remove("item") {
                    Some(item) => text("item", &item)?,
                    None => item_side.key.clone(),
                };
                format!("SELECT CAST({} AS {key_type}) AS item FROM {source}", identifier(&item))
            }
            None => {
                let items = places.add(cast(items, &format!("{key_type}[]"))?);
                format!("SELECT unnest({items}) AS item")
            }
        };
        Ok(format!(
            "SELECT item, inner_product(\"{PLACE}user\", embed_item(item, model => {name})) \
             AS score FROM (SELECT {vector} AS \"{PLACE}user\"{from}) AS \"{PLACE}one\", \
             ({items}) AS \"{PLACE}all\""
        ))
    }

    /// Rows that have what the model reads, or lack what the call gives.
    fn of_rows(mut self, items: &Expr, places: &mut Places) -> Result<String> {
        if self.given.contains_key("user") {
            let message = format!("model \"{}\" takes rows, not users", self.name);
            return Err(Error::new("42809", message)
                .with_hint("Give a user's features by name, or in the rows of items."));
        }
        let Some(source) = source(items) else {
            let message = format!("items of {NAME} must be a relation or a query as text");
            return Err(Error::new("22023", message)
                .with_detail(format!("Model \"{}\" takes rows.", self.name))
                .with_hint(USAGE));
        };
        let item = self.given.remove("item").ok_or_else(|| self.needs("item"))?;
        let (item, name) = (identifier(&text("item", &item)?), literal(&self.name));
        let features = self.features(places);
        let rows = format!("\"{PLACE}rows\"");
        Ok(format!(
            "SELECT item, score FROM (SELECT {rows}.{item} AS item, \
             rank_score({name}, {rows}.*{features}) AS score FROM (SELECT * FROM {source}) \
             AS {rows}) AS \"{PLACE}ranked\""
        ))
    }

    fn features(&self, places: &mut Places) -> String {
        let features = self.named.iter().map(|(name, value)| {
            format!(", {} => {}", identifier(name), places.add(value.clone()))
        });
        features.collect()
    }

    fn check_names(&self, inputs: &[String]) -> Result<()> {
        let other = self.named.iter().find(|(name, _)| !inputs.contains(name));
        let Some((other, _)) = other else { return Ok(()) };
        let message = format!("{NAME} of model \"{}\" has no argument \"{other}\"", self.name);
        let known = || ARGUMENTS.into_iter().chain(inputs.iter().map(String::as_str));
        let all = || format!("Its arguments are {}.", known().collect::<Vec<_>>().join(", "));
        Err(Error::new("42883", message).with_hint(near_names(other, known()).unwrap_or_else(all)))
    }

    fn needs(&self, argument: &str) -> Error {
        let message = format!("{NAME} of model \"{}\" needs {argument}", self.name);
        Error::new("22023", message).with_hint(USAGE)
    }
}

/// Expressions that a query's text has names for.
#[derive(Default)]
struct Places(Vec<Expr>);

impl Places {
    fn add(&mut self, value: Expr) -> String {
        self.0.push(value);
        format!("\"{PLACE}{}\"", self.0.len() - 1)
    }

    fn value(&self, name: &str) -> Option<&Expr> {
        self.0.get(name.strip_prefix(PLACE)?.parse::<usize>().ok()?)
    }
}

/// A relation or a query, if the items are given so; text in braces is an array.
fn source(items: &Expr) -> Option<String> {
    let text = text("items", items).ok()?;
    if text.trim_start().starts_with('{') {
        return None;
    }
    Some(super::evaluate::source(&text))
}

fn text(name: &str, value: &Expr) -> Result<String> {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Ok(text.clone()),
            _ => Err(must_be_text(name)),
        },
        _ => Err(must_be_text(name)),
    }
}

fn must_be_text(name: &str) -> Error {
    Error::new("22023", format!("{name} of {NAME} must be constant text"))
}

fn is_null(value: &Expr) -> bool {
    matches!(value, Expr::Value(value) if value.value == Value::Null)
}
