//! Named arguments with gaps: `f(a, last => 1)` is `f(a, NULL, NULL, 1)`.
//!
//! The engine's planner takes named arguments only when those before them are given too. A function
//! whose signature is its own affair and names its arguments reads NULL as the default.

use std::ops::ControlFlow;

use datafusion::execution::SessionState;
use datafusion::logical_expr::{Signature, TypeSignature};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Value, VisitMut,
    VisitorMut,
};

use crate::names::folded;
use crate::{Error, Result};

/// Puts named arguments in their places.
pub(super) fn fill<T: VisitMut>(engine: &SessionState, tree: &mut T) -> Result<()> {
    match tree.visit(&mut Filler { engine }) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Filler<'a> {
    engine: &'a SessionState,
}

impl VisitorMut for Filler<'_> {
    type Break = Error;

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Error> {
        let Expr::Function(call) = expression else { return ControlFlow::Continue(()) };
        match fill_call(self.engine, call) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn fill_call(engine: &SessionState, call: &mut Function) -> Result<()> {
    let name = function_name(call);
    let FunctionArguments::List(list) = &mut call.args else { return Ok(()) };
    if list.args.iter().all(|argument| named(argument).is_none()) {
        return Ok(());
    }
    let Some(names) = argument_names(engine, &name) else { return Ok(()) };
    let mut places: Vec<Option<FunctionArg>> = Vec::new();
    for argument in std::mem::take(&mut list.args) {
        let (place, value) = match named(&argument) {
            None => (places.len(), argument),
            Some((word, value)) => {
                let word = folded(word);
                let place = names.iter().position(|known| *known == word);
                let place = place.ok_or_else(|| unknown(&name, &word, &names))?;
                (place, FunctionArg::Unnamed(value.clone()))
            }
        };
        if places.len() <= place {
            places.resize(place + 1, None);
        }
        if places[place].replace(value).is_some() {
            let word = names.get(place).map_or("", |name| name.as_str());
            let message = format!("argument \"{word}\" of function {name} is given twice");
            return Err(Error::new("42601", message));
        }
    }
    let null = || FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(Value::Null.into())));
    list.args = places.into_iter().map(|value| value.unwrap_or_else(null)).collect();
    Ok(())
}

pub(super) fn function_name(call: &Function) -> String {
    call.name.0.last().and_then(|part| part.as_ident()).map(folded).unwrap_or_default()
}

fn named(argument: &FunctionArg) -> Option<(&Ident, &FunctionArgExpr)> {
    match argument {
        FunctionArg::Named { name, arg, .. }
        | FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => Some((name, arg)),
        FunctionArg::ExprNamed { .. } | FunctionArg::Unnamed(_) => None,
    }
}

/// The names of a function's arguments, if NULL stands for its defaults.
fn argument_names(engine: &SessionState, function: &str) -> Option<Vec<String>> {
    let names = |signature: &Signature| match signature.type_signature {
        TypeSignature::UserDefined => signature.parameter_names.clone(),
        _ => None,
    };
    let scalar = engine.scalar_functions().get(function).map(|f| f.signature());
    let aggregate = engine.aggregate_functions().get(function).map(|f| f.signature());
    let window = engine.window_functions().get(function).map(|f| f.signature());
    scalar.or(aggregate).or(window).and_then(names)
}

fn unknown(function: &str, word: &str, names: &[String]) -> Error {
    Error::new("42883", format!("function {function} has no argument \"{word}\""))
        .with_hint(format!("Its arguments are {}.", names.join(", ")))
}
