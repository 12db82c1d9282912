//! Constant arguments of a relation, by name.

use std::collections::{HashMap, HashSet};

use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, UnaryOperator, Value};

use super::described::Described;
use crate::error::{Error, Result};
use crate::experiments::Experiment;
use crate::functions::literal;
use crate::names::folded;
use crate::parse::Metric;

/// What was given, NULLs left out, and the experiment that says the rest.
pub(super) struct Arguments {
    function: &'static str,
    values: HashMap<&'static str, Expr>,
    experiment: Option<Experiment>,
    /// Of relations whose columns are not listed, by their texts.
    pub columns: HashMap<String, Vec<Described>>,
    /// The names of aggregates.
    pub aggregates: HashSet<String>,
}

impl Arguments {
    /// Puts arguments by position and by name together.
    pub(super) fn read(
        function: &'static str,
        names: &'static [&'static str],
        given: &[FunctionArg],
    ) -> Result<Self> {
        let (mut values, mut given_names) = (HashMap::new(), HashSet::new());
        for (index, argument) in given.iter().enumerate() {
            let (name, value) = match argument {
                FunctionArg::Unnamed(value) => (names.get(index).copied(), value),
                FunctionArg::Named { name, arg, .. }
                | FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => {
                    let word = folded(name);
                    (names.iter().find(|known| **known == word).copied(), arg)
                }
                FunctionArg::ExprNamed { arg, .. } => (None, arg),
            };
            let (Some(name), FunctionArgExpr::Expr(value)) = (name, value) else {
                let message = format!("function {function} has no argument {argument}");
                let hint = format!("Its arguments are {}.", names.join(", "));
                return Err(Error::new("42883", message).with_hint(hint));
            };
            if !given_names.insert(name) {
                let message = format!("argument name \"{name}\" used more than once");
                return Err(Error::new("42601", message));
            }
            if !is_null(value) {
                values.insert(name, value.clone());
            }
        }
        let (columns, aggregates) = (HashMap::new(), HashSet::new());
        Ok(Self { function, values, experiment: None, columns, aggregates })
    }

    /// Whether it is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The columns of a relation that is read, if the call does not list them.
    pub(super) fn described(&self, name: &'static str) -> Result<&[Described]> {
        let relation = self.relation(name)?;
        Ok(self.columns.get(&relation).map(Vec::as_slice).unwrap_or_default())
    }

    /// What is not given is as the experiment has it.
    pub(super) fn fill(&mut self, experiment: Experiment) {
        let text = |text: &str| Expr::Value(Value::SingleQuotedString(text.to_owned()).into());
        let known = [("unit", experiment.unit.as_str()), ("control", experiment.control())];
        for (name, value) in known.into_iter().chain([("variant", "variant")]) {
            self.values.entry(name).or_insert_with(|| text(value));
        }
        self.experiment = Some(experiment);
    }

    /// See `fill`.
    pub(super) fn experiment(&self) -> Option<&Experiment> {
        self.experiment.as_ref()
    }

    /// The metrics: those given as texts, or those of the experiment.
    pub(super) fn metrics(&self) -> Result<Vec<Metric>> {
        let given = self.texts("metrics")?;
        match &self.experiment {
            Some(experiment) if given.is_empty() => Ok(experiment.metrics.clone()),
            Some(_) | None => given.iter().map(|text| Metric::read(text)).collect(),
        }
    }

    /// A text.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>> {
        self.values.get(name).map(|value| self.as_text(name, value)).transpose()
    }

    /// A text that must be given.
    pub(super) fn required(&self, name: &'static str) -> Result<String> {
        self.text(name)?.ok_or_else(|| {
            Error::new("22023", format!("{} needs {name}", self.function))
                .with_hint(format!("Write {name} => '…'."))
        })
    }

    /// An array of texts; one text is an array of one.
    pub(super) fn texts(&self, name: &'static str) -> Result<Vec<String>> {
        match self.values.get(name) {
            None => Ok(Vec::new()),
            Some(Expr::Array(array)) => {
                array.elem.iter().map(|item| self.as_text(name, item)).collect()
            }
            Some(value) => Ok(vec![self.as_text(name, value)?]),
        }
    }

    /// A boolean.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool> {
        match self.values.get(name) {
            None => Ok(false),
            Some(Expr::Value(value)) => match &value.value {
                Value::Boolean(flag) => Ok(*flag),
                _ => Err(self.wrong(name, "true or false")),
            },
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A constant as it was written, for a function to judge; the default if it was not given.
    pub(super) fn constant(&self, name: &'static str, default: &str) -> Result<String> {
        match self.values.get(name) {
            None => Ok(default.into()),
            Some(value @ Expr::Value(_)) => Ok(value.to_string()),
            Some(value @ Expr::UnaryOp { op: UnaryOperator::Minus, expr, .. })
                if matches!(**expr, Expr::Value(_)) =>
            {
                Ok(value.to_string())
            }
            Some(_) => Err(self.wrong(name, "a constant")),
        }
    }

    /// A relation to read: its name, or a query in parentheses.
    pub(super) fn relation(&self, name: &'static str) -> Result<String> {
        let text = self.required(name)?;
        let first = text.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next();
        let query = first.is_some_and(|word| {
            ["select", "with", "values", "table"].iter().any(|w| word.eq_ignore_ascii_case(w))
        });
        Ok(if query { format!("({text}) AS q") } else { text })
    }

    fn as_text(&self, name: &'static str, value: &Expr) -> Result<String> {
        match value {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) => Ok(text.clone()),
                Value::Number(text, _) => Ok(text.clone()),
                _ => Err(self.wrong(name, "text")),
            },
            _ => Err(self.wrong(name, "constant text")),
        }
    }

    fn wrong(&self, name: &'static str, allowed: &str) -> Error {
        Error::new("22023", format!("{name} of {} must be {allowed}", self.function))
            .with_hint("Relations take constants.")
    }
}

/// An optional text as a constant of a call.
pub(super) fn quoted(text: Option<&String>) -> String {
    text.map_or_else(|| "NULL".into(), |text| literal(text))
}

fn is_null(value: &Expr) -> bool {
    matches!(value, Expr::Value(value) if value.value == Value::Null)
}
