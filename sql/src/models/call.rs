//! `predict('m', a, b => x, t.*)` and its like, read from the syntax.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Value,
};

use super::outputs::Asked;
use super::reference::Reference;
use crate::error::{Error, Result};
use crate::functions::identifier;
use crate::names::folded;
use crate::plan;

/// A call of a model.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub asked: Asked,
    /// Absent where embed_user() and embed_item() are to find the only one there is.
    pub model: Option<Reference>,
    /// Of a user or item, unless it was given by its name.
    pub key: Option<Expr>,
    pub arguments: BTreeMap<String, Expr>,
    /// `*` or `t.*`: the rest are columns by their names.
    all: Option<Option<ObjectName>>,
}

impl Call {
    /// None for a call of something else.
    ///
    /// # Errors
    /// 42883 and 22023 for arguments that such a call does not take.
    pub fn read(function: &Function) -> Result<Option<Self>> {
        let Some(asked) = asked(function) else { return Ok(None) };
        let FunctionArguments::List(list) = &function.args else { return Err(usage(asked)) };
        if function.over.is_some() || function.filter.is_some() {
            let message = format!("{} is no aggregate and no window function", asked.function());
            return Err(Error::new("42809", message));
        }
        let mut call =
            Self { asked, model: None, key: None, arguments: BTreeMap::new(), all: None };
        for (place, argument) in list.args.iter().enumerate() {
            call.add(place, argument)?;
        }
        match call.model.is_none() && !asked.embeds() {
            true => Err(usage(asked)),
            false => Ok(Some(call)),
        }
    }

    fn add(&mut self, place: usize, argument: &FunctionArg) -> Result<()> {
        let (name, value) = match argument {
            FunctionArg::Unnamed(value) => (None, value),
            FunctionArg::Named { name, arg, .. }
            | FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => {
                (Some(folded(name)), arg)
            }
            FunctionArg::ExprNamed { .. } => return Err(usage(self.asked)),
        };
        let value = match (value, &name) {
            (FunctionArgExpr::Expr(value), _) => value,
            (FunctionArgExpr::Wildcard, None) if self.all.is_none() => {
                self.all = Some(None);
                return Ok(());
            }
            (FunctionArgExpr::QualifiedWildcard(of), None) if self.all.is_none() => {
                self.all = Some(Some(of.clone()));
                return Ok(());
            }
            _ => return Err(usage(self.asked)),
        };
        let is_model = match &name {
            Some(name) => name == "model",
            None if self.asked.embeds() => place == 1 && literal(value).is_some(),
            None => place == 0,
        };
        if is_model {
            let Some(text) = literal(value) else {
                let message = format!("{} needs the model's name as a text", self.asked.function());
                return Err(Error::new("22023", message)
                    .with_hint("Write 'model', 'model@alias' or 'model@version'."));
            };
            self.model = Some(Reference::parse(text)?);
            return Ok(());
        }
        let name = match name.or_else(|| column(value)) {
            Some(name) => name,
            None if self.asked.embeds() && place == 0 => {
                self.key = Some(value.clone());
                return Ok(());
            }
            None => {
                let message =
                    format!("argument {} of {} has no name", place + 1, self.asked.function());
                return Err(Error::new("42883", message)
                    .with_hint("Write name => expression, or a column of that name."));
            }
        };
        if self.asked.embeds() && place == 0 && matches!(argument, FunctionArg::Unnamed(_)) {
            self.key = Some(value.clone());
            return Ok(());
        }
        if self.arguments.insert(name.clone(), value.clone()).is_some() {
            let of = self.asked.function();
            let message = format!("argument \"{name}\" of {of} is given twice");
            return Err(Error::new("42601", message));
        }
        Ok(())
    }

    /// Puts columns in the place of `*`.
    pub fn fill(&mut self, inputs: &[String]) {
        let Some(of) = &self.all else { return };
        for name in inputs {
            let column = Ident::with_quote('"', name);
            self.arguments.entry(name.clone()).or_insert_with(|| match of {
                None => Expr::Identifier(column),
                Some(of) => {
                    let qualifier = of.0.iter().filter_map(|part| part.as_ident().cloned());
                    Expr::CompoundIdentifier(qualifier.chain([column]).collect())
                }
            });
        }
    }

    /// Whether any of these is given.
    pub fn has(&self, inputs: &[String]) -> bool {
        self.all.is_some() || inputs.iter().any(|name| self.arguments.contains_key(name))
    }

    /// # Errors
    /// 42703 that names what is missing of the inputs.
    pub fn check(&self, model: &str, inputs: &[String]) -> Result<()> {
        let missing = inputs.iter().filter(|name| !self.arguments.contains_key(*name));
        let missing: Vec<&str> = missing.map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (of, names) = (self.asked.function(), missing.join(", "));
        let message = format!("{of} of model \"{model}\" lacks {names}");
        Err(Error::new("42703", message).with_hint(format!(
            "Give columns of these names, {} => …, or * for all columns.",
            identifier(missing[0])
        )))
    }
}

/// What a function asks of a model; `rank(…)` with arguments and nothing else is `rank_score`.
fn asked(function: &Function) -> Option<Asked> {
    let name = plan::parts(&function.name).ok()?.pop()?;
    let ranks = name == "rank"
        && function.over.is_none()
        && function.filter.is_none()
        && function.within_group.is_empty()
        && matches!(&function.args, FunctionArguments::List(list) if !list.args.is_empty());
    if ranks { Some(Asked::Score) } else { Asked::of(&name) }
}

fn usage(asked: Asked) -> Error {
    let hint = match asked {
        Asked::User => "Write embed_user(id), embed_user(id, 'model') or embed_user(id, a => …).",
        Asked::Item => "Write embed_item(id), embed_item(id, 'model') or embed_item(id, a => …).",
        _ => "The model comes first: predict('model', column, name => expression, t.*).",
    };
    let message = format!("function {} does not take these arguments", asked.function());
    Error::new("42883", message).with_hint(hint)
}

fn literal(value: &Expr) -> Option<&str> {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The name of a column that an argument is.
fn column(value: &Expr) -> Option<String> {
    match value {
        Expr::Identifier(name) => Some(folded(name)),
        Expr::CompoundIdentifier(names) => names.last().map(folded),
        _ => None,
    }
}
