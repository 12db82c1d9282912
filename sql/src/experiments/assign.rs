//! `ab_assign('e', unit)`: the arm of a unit in an experiment that CREATE EXPERIMENT has made.
//!
//! A call with two arguments becomes one of a function that holds the experiment's split; more
//! arguments are the function of `udfs`, whose split is in the call. Before its start, after its
//! stop, held out, outside of its layer or its ramp: NULL. Shipped: the arm, for everybody.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Statement, Value,
};
use kernels::assignment::Split;

use super::{End, Experiment, named, now};
use crate::error::{Error, Result};
use crate::models::{called, cast, replace};
use crate::names::folded;
use crate::parse;
use crate::plan::{self, Environment, Given, Lakes, Overrides};

const NAME: &str = "ab_assign";
const ARGUMENTS: [&str; 2] = ["experiment", "unit"];

/// Rewrites the calls; gives the functions that they have become.
///
/// # Errors
/// 42704 for experiments that there are not, 42501 without USAGE on one.
pub(crate) fn expand(
    environment: &Environment,
    lakes: &Lakes,
    statement: &mut Statement,
) -> Result<Overrides> {
    let mut functions = Overrides::new();
    replace(statement, |part| rewritten(environment, lakes, part, &mut functions))?;
    Ok(functions)
}

fn rewritten(
    environment: &Environment,
    lakes: &Lakes,
    part: &Expr,
    functions: &mut Overrides,
) -> Result<Option<Expr>> {
    let Expr::Function(function) = part else { return Ok(None) };
    let Some((name, unit)) = arguments(function)? else { return Ok(None) };
    let (place, experiment) = named(environment, lakes.main.state(), &name)?;
    let name = format!("{NAME}[{}.{}]", place.schema, place.name);
    if !functions.iter().any(|(known, _)| *known == name) {
        let assigns = Assigns::new(name.clone(), &experiment);
        let function = Arc::new(ScalarUDF::from(assigns));
        functions.push((name.clone(), Given::Function(function)));
    }
    let call = called(function, &name, vec![cast(unit, "text")?]);
    match experiment.start() {
        Some(start) if experiment.end.is_none() && start > now(environment) => {
            // The plan may outlive the wait.
            let start = start.to_rfc3339();
            let text = format!("CASE WHEN now() >= TIMESTAMPTZ '{start}' THEN x END");
            let mut waits = parse::parse_expression(&text)?;
            if let Expr::Case { conditions, .. } = &mut waits
                && let Some(when) = conditions.first_mut()
            {
                when.result = call;
            }
            Ok(Some(waits))
        }
        _ => Ok(Some(call)),
    }
}

/// The experiment's name and the unit, if the function is called with these two.
fn arguments(function: &Function) -> Result<Option<(String, Expr)>> {
    let is_it =
        plan::parts(&function.name).is_ok_and(|parts| parts.last().is_some_and(|f| f == NAME));
    let FunctionArguments::List(list) = &function.args else { return Ok(None) };
    if !is_it || list.args.len() != ARGUMENTS.len() {
        return Ok(None);
    }
    if function.over.is_some() || function.filter.is_some() {
        let message = format!("{NAME} is no aggregate and no window function");
        return Err(Error::new("42809", message));
    }
    let mut given: [Option<&Expr>; 2] = [None, None];
    for (place, argument) in list.args.iter().enumerate() {
        let (place, value) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (Some(place), value),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. }
            | FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(value),
                ..
            } => (ARGUMENTS.iter().position(|known| *known == folded(name)), value),
            _ => return Ok(None),
        };
        // Others are the other function's to refuse.
        let Some(place) = place else { return Ok(None) };
        given[place] = Some(value);
    }
    let [Some(name), Some(unit)] = given else { return Ok(None) };
    match name {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Ok(Some((text.clone(), unit.clone()))),
            _ => Err(no_name()),
        },
        _ => Err(no_name()),
    }
}

fn no_name() -> Error {
    Error::new("22023", format!("{NAME} needs the experiment's name as a text"))
        .with_hint("Without CREATE EXPERIMENT give weights and variants too.")
}

/// Whom the experiment assigns.
#[derive(Debug, PartialEq)]
enum Rule {
    Nobody,
    Everybody(String),
    Split(Split, Vec<String>),
}

#[derive(Debug)]
struct Assigns {
    name: String,
    rule: Rule,
    signature: Signature,
}

impl Assigns {
    fn new(name: String, experiment: &Experiment) -> Self {
        let arms = || experiment.arms.iter().map(|arm| arm.name.clone()).collect();
        let rule = match &experiment.end {
            Some(End::Shipped(arm)) => Rule::Everybody(arm.clone()),
            Some(End::Stopped) => Rule::Nobody,
            None if experiment.start_at.is_none() => Rule::Nobody,
            None => Rule::Split(experiment.split(), arms()),
        };
        let signature = Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
        Self { name, rule, signature }
    }

    fn arm(&self, unit: &str) -> Option<&str> {
        match &self.rule {
            Rule::Nobody => None,
            Rule::Everybody(arm) => Some(arm),
            Rule::Split(split, arms) => {
                split.arm(unit).and_then(|arm| arms.get(arm)).map(String::as_str)
            }
        }
    }
}

impl PartialEq for Assigns {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.rule == other.rule
    }
}

impl Eq for Assigns {}

impl Hash for Assigns {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Assigns {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let [unit] = arguments.args.as_slice() else {
            return Err(Error::new("XX000", "the unit is missing").into());
        };
        if let ColumnarValue::Scalar(unit) = unit {
            let arm = unit.try_as_str().flatten().and_then(|unit| self.arm(unit));
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(arm.map(str::to_owned))));
        }
        let units = unit.to_array(arguments.number_rows)?;
        let units = units.as_string::<i32>();
        let arms = units.iter().map(|unit| unit.and_then(|unit| self.arm(unit)));
        Ok(ColumnarValue::Array(Arc::new(arms.collect::<StringArray>()) as ArrayRef))
    }
}
