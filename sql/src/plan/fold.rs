//! Table factors that need waiting for before planning: old versions, files, training sets,
//! features, measurements of indexes and models, maps.
//!
//! `t VERSION AS OF 3` and `read_parquet('…')` become plain names that end in `MARK` and a number;
//! the number says which entry of the list they stand for. `get_features(…)` keeps its keys, which
//! are expressions: `FROM t, get_features('s', k => t.k)` is a LATERAL query of it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArgOperator, Ident, ObjectName, ObjectNamePart,
    SetExpr, Statement, TableAlias, TableAliasColumnDef, TableFactor, TableFunctionArgs,
    TableVersion, Value, VisitMut, VisitorMut,
};

use crate::error::{Error, Result};
use crate::features::Call;
use crate::{models, nearest, parse};

/// Separates a folded name from its number.
pub(crate) const MARK: char = '\u{2}';

/// What a folded name stands for.
#[derive(Debug, Clone)]
pub(crate) enum Special {
    /// A table as it was.
    Version(TableVersion),
    /// `read_parquet('location', option => 'value', …)`.
    Files { format: String, location: String, options: Vec<(String, String)> },
    /// `training_set('labels', 'service', option => value, …)`.
    TrainingSet(Call),
    /// `get_features('service', key => value, …, option => value)`.
    Features(Call),
    /// `ann_recall('index', …)` and its like: the name and what was given.
    OfIndex(&'static str, Call),
    /// `evaluate('model', 'query', …)`.
    Evaluation(Call),
    /// `embedding_map('query, table or index', …)`.
    Map(Call),
}

/// Folds every special table factor in `statement`.
pub(crate) fn special_tables(statement: &mut Statement) -> Result<Vec<Special>> {
    let mut folder = Folder { found: Vec::new() };
    match statement.visit(&mut folder) {
        ControlFlow::Continue(()) => Ok(folder.found),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The calls of `training_set` in a statement, which is folded by it.
pub(crate) fn training_sets(statement: &mut Statement) -> Result<Vec<Call>> {
    let call = |special| match special {
        Special::TrainingSet(call) => Some(call),
        Special::Version(_)
        | Special::Files { .. }
        | Special::Features(_)
        | Special::OfIndex(..)
        | Special::Evaluation(_)
        | Special::Map(_) => None,
    };
    Ok(special_tables(statement)?.into_iter().filter_map(call).collect())
}

/// The list's index in a folded name, and the name before it.
pub(crate) fn unfold(name: &str) -> Option<(&str, usize)> {
    let (name, index) = name.split_once(MARK)?;
    Some((name, index.parse().ok()?))
}

struct Folder {
    found: Vec<Special>,
}

impl VisitorMut for Folder {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        if let TableFactor::Table { sample: Some(_), .. }
        | TableFactor::Derived { sample: Some(_), .. } = factor
        {
            let error = Error::unsupported("TABLESAMPLE");
            return ControlFlow::Break(error.with_hint("Write WHERE random() < 0.1."));
        }
        name_series(factor);
        let special = match special(factor) {
            Ok(Some(special)) => special,
            Ok(None) => return ControlFlow::Continue(()),
            Err(error) => return ControlFlow::Break(error),
        };
        let index = self.found.len();
        self.found.push(special);
        if let TableFactor::Table { name, alias, .. } = factor {
            rename(name, alias, index);
        }
        match lateral(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// Postgres names the one column of a function in FROM after its alias or itself. The engine knows
/// such a function by its bare name only.
fn name_series(factor: &mut TableFactor) {
    let (name, alias) = match factor {
        TableFactor::Table { name, args: Some(_), alias, .. } => (name, alias),
        TableFactor::Function { name, alias, .. } => (name, alias),
        _ => return,
    };
    let parts: Option<Vec<String>> =
        name.0.iter().map(|part| part.as_ident().map(crate::names::folded)).collect();
    let function = match parts.as_deref() {
        Some([function]) => function,
        Some([schema, function]) if schema == "pg_catalog" => function,
        _ => return,
    };
    if !matches!(function.as_str(), "generate_series" | "generate_subscripts" | "range") {
        return;
    }
    *name = ObjectName::from(vec![Ident::new(function)]);
    let alias = alias.get_or_insert_with(|| TableAlias {
        explicit: true,
        name: Ident::with_quote('"', function),
        columns: Vec::new(),
        at: None,
    });
    if alias.columns.is_empty() {
        let name = alias.name.clone();
        alias.columns.push(TableAliasColumnDef { name, data_type: None });
    }
}

/// Takes the special part out of a factor; functions become tables of that name.
fn special(factor: &mut TableFactor) -> Result<Option<Special>> {
    if let TableFactor::Table { version, .. } = factor
        && let Some(version) = version.take()
    {
        return Ok(Some(Special::Version(version)));
    }
    let (name, arguments, alias) = match factor {
        TableFactor::Table { name, args: Some(args), alias, .. } => (name, &args.args, alias),
        TableFactor::Function { name, args, alias, .. } => (name, &*args, alias),
        _ => return Ok(None),
    };
    let function = name.0.last().and_then(ObjectNamePart::as_ident);
    let function = function.map(crate::names::folded).unwrap_or_default();
    let special = match function.strip_prefix("read_") {
        Some(format @ ("parquet" | "csv" | "json")) => {
            let (location, options) = file_arguments(&function, arguments)?;
            Special::Files { format: format.to_uppercase(), location, options }
        }
        None if function == "training_set" => Special::TrainingSet(call(&function, arguments)?),
        None if function == models::EVALUATE => Special::Evaluation(call(&function, arguments)?),
        None if function == nearest::EMBEDDING_MAP => Special::Map(call(&function, arguments)?),
        None if function == "get_features" => Special::Features(call(&function, arguments)?),
        None if let Some(name) = nearest::is_of_index(&function) => {
            Special::OfIndex(name, call(name, arguments)?)
        }
        _ => return Ok(None),
    };
    let given = match &special {
        Special::Features(_) => Some(arguments.to_vec()),
        _ => None,
    };
    let (name, alias) = (name.clone(), alias.clone());
    *factor = super::table_factor(name, alias);
    if let (TableFactor::Table { args, .. }, Some(given)) = (&mut *factor, given) {
        *args = Some(TableFunctionArgs { args: given, settings: None });
    }
    Ok(Some(special))
}

/// A factor whose arguments are columns of those before it is a LATERAL query of its own.
fn lateral(factor: &mut TableFactor) -> Result<()> {
    let TableFactor::Table { args: Some(given), alias, .. } = &*factor else { return Ok(()) };
    let is_column = |argument: &FunctionArg| match argument {
        FunctionArg::Named { arg: FunctionArgExpr::Expr(value), .. }
        | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(value), .. } => {
            super::has_column(value)
        }
        _ => false,
    };
    if !given.args.iter().any(is_column) {
        return Ok(());
    }
    let alias = alias.clone();
    let mut subquery = parse::parse_query("SELECT * FROM x")?;
    if let SetExpr::Select(select) = subquery.body.as_mut()
        && let Some(from) = select.from.first_mut()
    {
        from.relation = factor.clone();
    }
    let subquery = Box::new(subquery);
    *factor = TableFactor::Derived { lateral: true, subquery, alias, sample: None };
    Ok(())
}

fn call(function: &str, arguments: &[FunctionArg]) -> Result<Call> {
    let mut call = Call { arguments: Vec::new(), named: Vec::new() };
    for argument in arguments {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) if call.named.is_empty() => {
                call.arguments.push(value.clone());
            }
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. }
            | FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(value),
                ..
            } => call.named.push((crate::names::folded(name), value.clone())),
            _ => {
                let message =
                    format!("{function} takes its named arguments last, as name => value");
                return Err(Error::new("42601", message));
            }
        }
    }
    Ok(call)
}

fn file_arguments(
    function: &str,
    arguments: &[FunctionArg],
) -> Result<(String, Vec<(String, String)>)> {
    let mut location = None;
    let mut options = Vec::new();
    for argument in arguments {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) if location.is_none() => {
                location = text(value);
            }
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), operator }
                if *operator == FunctionArgOperator::RightArrow =>
            {
                let value = text(value).ok_or_else(|| usage(function))?;
                options.push((crate::names::folded(name), value));
            }
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(value),
                operator,
            } if *operator == FunctionArgOperator::RightArrow => {
                let value = text(value).ok_or_else(|| usage(function))?;
                options.push((crate::names::folded(name), value));
            }
            _ => return Err(usage(function)),
        }
    }
    Ok((location.ok_or_else(|| usage(function))?, options))
}

fn usage(function: &str) -> Error {
    Error::new("22023", format!("{function} takes a location as text"))
        .with_hint(format!("Write {function}('folder/*.parquet', option => 'value')."))
}

fn text(expression: &Expr) -> Option<String> {
    let Expr::Value(value) = expression else { return None };
    match &value.value {
        Value::SingleQuotedString(text) => Some(text.clone()),
        Value::Number(text, _) => Some(text.clone()),
        Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn rename(name: &mut ObjectName, alias: &mut Option<TableAlias>, index: usize) {
    let Some(ObjectNamePart::Identifier(last)) = name.0.last_mut() else { return };
    let plain = crate::names::folded(last);
    *last = Ident::with_quote('"', format!("{plain}{MARK}{index}"));
    if alias.is_none() {
        *alias = Some(TableAlias {
            explicit: true,
            name: Ident::with_quote('"', plain),
            columns: Vec::new(),
            at: None,
        });
    }
}
