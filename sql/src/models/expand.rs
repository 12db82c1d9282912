//! Calls of models in a statement, put in words of their features.
//!
//! ```text
//!   predict('ctr', age, ts => now())
//!     ─▶ "predict[ctr@3]"(ln(CAST(age AS integer)), ␃fitted…(CAST(now() AS timestamptz)))
//! ```

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    Statement, Value, visit_expressions, visit_expressions_mut,
};

use super::call::Call;
use super::library::{Engine, Opened, open};
use super::outputs::{Asked, With};
use super::reference::Reference;
use super::scoring::scoring;
use super::user_service::{UserService, key_in};
use super::{CHAMPION, models};
use crate::error::{Error, Result};
use crate::parse;
use crate::plan::{self, Environment, Given, Lakes, Overrides};

/// The argument that is a user's history, unless the model's option names another.
pub(super) const HISTORY: &str = "history";

/// Versions by what calls name them, None where they name none.
type Versions = BTreeMap<Option<Reference>, Version>;

struct Version {
    /// `public.m@3`, for plans and messages.
    shown: String,
    opened: Arc<Opened>,
    /// Of a model with a feature service for users: whether this knows who is asked for.
    found: Option<Expr>,
}

/// Rewrites the calls; gives the functions that they have become.
///
/// # Errors
/// 42704 for models that there are not, 42703 for features that a call lacks, 42809 for what a
/// model does not answer, 58030 for a version whose objects are damaged.
pub(crate) async fn expand(
    environment: &Environment,
    lakes: &Lakes,
    statement: &mut Statement,
) -> Result<Overrides> {
    let calls = calls(statement)?;
    let mut functions = Overrides::new();
    if calls.is_empty() {
        return Ok(functions);
    }
    let mut versions = Versions::new();
    for call in calls {
        if !versions.contains_key(&call.model) {
            let version = version(environment, lakes, &call).await?;
            versions.insert(call.model.clone(), version);
        }
        if let Some(version) = versions.get_mut(&call.model)
            && let Some(service) = service(&call, &version.opened)?
        {
            version.found = Some(service.found(environment, lakes)?);
        }
    }
    replace(statement, |part| rewritten(part, &versions, &mut functions))?;
    Ok(functions)
}

/// Puts what `new` gives in the place of expressions.
pub(crate) fn replace(
    statement: &mut Statement,
    mut new: impl FnMut(&Expr) -> Result<Option<Expr>>,
) -> Result<()> {
    let done = visit_expressions_mut(statement, |part| {
        match new(part) {
            Ok(Some(new)) => *part = new,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    });
    match done {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

fn calls(statement: &Statement) -> Result<Vec<Call>> {
    let mut found = Vec::new();
    let done = visit_expressions(statement, |part| {
        let Expr::Function(function) = part else { return ControlFlow::Continue(()) };
        match Call::read(function) {
            Ok(call) => {
                found.extend(call);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    });
    match done {
        ControlFlow::Continue(()) => Ok(found),
        ControlFlow::Break(error) => Err(error),
    }
}

async fn version(environment: &Environment, lakes: &Lakes, call: &Call) -> Result<Version> {
    let reference = match &call.model {
        Some(reference) => reference.clone(),
        None => only(environment, lakes, call.asked)?,
    };
    let (place, version) = reference.resolve(environment, lakes)?;
    let opened = open(&environment.lake, &version).await?;
    let shown = format!("{}.{}@{}", place.schema, place.name, version.number);
    Ok(Version { shown, opened, found: None })
}

/// The only model of users and items whose schema is in the search path.
fn only(environment: &Environment, lakes: &Lakes, asked: Asked) -> Result<Reference> {
    let state = lakes.main.state();
    let mut names: Vec<String> = Vec::new();
    for (schema, name, model) in models(state) {
        let champion = model.aliases.get(CHAMPION).and_then(|number| model.version(*number));
        let embeds = champion.is_some_and(|of| matches!(of.kind.as_str(), "two_tower" | "als"));
        if embeds && environment.search_path.iter().any(|other| other == schema) {
            names.push(name.to_owned());
        }
    }
    let hint = format!("Write {}(id, model => 'name').", asked.function());
    match names.as_slice() {
        [one] => Ok(Reference { name: vec![one.clone()], version: None }),
        [] => {
            let message = "there is no model of users and items in the search path";
            Err(Error::new("42704", message)
                .with_hint("CREATE MODEL … OPTIONS (model_type = 'two_tower', …) makes one."))
        }
        _ => {
            let message = format!("which model is meant: {}?", names.join(", "));
            Err(Error::new("42725", message).with_hint(hint))
        }
    }
}

/// A call as one of a function over features.
fn rewritten(part: &Expr, versions: &Versions, functions: &mut Overrides) -> Result<Option<Expr>> {
    let Expr::Function(function) = part else { return Ok(None) };
    let Some(mut call) = Call::read(function)? else { return Ok(None) };
    let Some(version) = versions.get(&call.model) else { return Ok(None) };
    let Version { shown, opened, .. } = version;
    let answer = call.asked.answer(shown, opened)?;
    let (arguments, with, of_service) = match &opened.engine {
        Engine::Tabular { .. } => (of_row(&mut call, version)?, With::default(), None),
        Engine::Retrieval { .. } => of_side(&mut call, version)?,
    };
    let mut name = format!("{}[{shown}]", call.asked.function());
    let words = [(with.features, " with features"), (with.history, " with history")];
    for (given, word) in words.into_iter().chain([(with.service, " now")]) {
        name.push_str(if given { word } else { "" });
    }
    if !functions.iter().any(|(known, _)| *known == name) {
        let model = (Arc::clone(opened), call.asked, with);
        functions
            .push((name.clone(), Given::Function(scoring((name.clone(), shown), model, answer))));
        for (name, function) in opened.transform.functions() {
            if functions.iter().all(|(known, _)| known != name) {
                functions.push((name.clone(), function.clone()));
            }
        }
    }
    let vector = called(function, &name, arguments);
    match (&opened.engine, of_service) {
        (Engine::Retrieval { user, user_service: Some(service), .. }, Some(key))
            if key != key_in(&user.key) =>
        {
            service.query(&vector, &key, (&user.key, &user.key_type)).map(Some)
        }
        _ => Ok(Some(vector)),
    }
}

/// All features.
fn of_row(call: &mut Call, version: &Version) -> Result<Vec<Expr>> {
    let transform = &version.opened.transform;
    let features = transform.names();
    let inputs = transform.inputs_of(&features)?;
    call.fill(&inputs);
    call.check(&version.shown, &inputs)?;
    transform.over(&features, &call.arguments)
}

/// The feature service that has what a call of a user does not give.
fn service<'a>(call: &Call, model: &'a Opened) -> Result<Option<&'a UserService>> {
    let Engine::Retrieval { user, user_service: Some(service), .. } = &model.engine else {
        return Ok(None);
    };
    let features: Vec<&str> = user.features.iter().map(|(name, _)| name.as_str()).collect();
    let given = call.has(&model.transform.inputs_of(&features)?);
    Ok((call.asked == Asked::User && !given).then_some(service))
}

/// The key, and features and history where they are given; and the key that a feature service is
/// asked for, if these are its values.
fn of_side(call: &mut Call, version: &Version) -> Result<(Vec<Expr>, With, Option<Expr>)> {
    let Engine::Retrieval { user, item, history, .. } = &version.opened.engine else {
        return Err(Error::new("XX000", "the model is of another kind"));
    };
    let is_user = call.asked == Asked::User;
    let side = if is_user { user } else { item };
    let transform = &version.opened.transform;
    let features: Vec<&str> = side.features.iter().map(|(name, _)| name.as_str()).collect();
    let inputs = transform.inputs_of(&features)?;
    let history = history.as_deref().unwrap_or(HISTORY);
    let mut of_service = None;
    if let Some(service) = service(call, &version.opened)? {
        of_service = call.key.take().or_else(|| call.arguments.get(&side.key).cloned());
        if of_service.is_none() {
            call.check(&version.shown, std::slice::from_ref(&side.key))?;
        }
        service.fill(call, &side.key, (&inputs, history));
    }
    let mut with =
        With { features: call.has(&inputs), history: false, service: of_service.is_some() };
    if with.features {
        call.fill(&inputs);
        call.check(&version.shown, &inputs)?;
    }
    let history = if is_user { call.arguments.get(history).cloned() } else { None };
    let key = call.key.take().or_else(|| call.arguments.get(&side.key).cloned());
    if key.is_none() && !with.features && history.is_none() {
        call.check(&version.shown, std::slice::from_ref(&side.key))?;
    }
    let null = || Expr::Value(Value::Null.into());
    let mut arguments = vec![cast(key.unwrap_or_else(null), &side.key_type)?];
    if with.features {
        arguments.extend(transform.over(&features, &call.arguments)?);
    }
    if let Some(history) = history {
        with.history = true;
        arguments.push(cast(history, &format!("{}[]", item.key_type))?);
    }
    if with.service {
        arguments.extend(version.found.clone());
    }
    Ok((arguments, with, of_service))
}

/// A value as one of a type, which a parameter then has.
pub(crate) fn cast(value: Expr, of: &str) -> Result<Expr> {
    let mut cast = parse::parse_expression(&format!("CAST(x AS {of})"))?;
    if let Expr::Cast { expr, .. } = &mut cast {
        **expr = value;
    }
    Ok(cast)
}

/// A call of another function with other arguments.
pub(crate) fn called(like: &Function, name: &str, arguments: Vec<Expr>) -> Expr {
    let unnamed = |argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument));
    let list = FunctionArgumentList {
        duplicate_treatment: None,
        args: arguments.into_iter().map(unnamed).collect(),
        clauses: Vec::new(),
    };
    Expr::Function(Function {
        name: plan::object_name(&[name]),
        args: FunctionArguments::List(list),
        over: None,
        ..like.clone()
    })
}
