//! TRANSFORM (…): features as expressions over the query's columns, and what they have learned.
//!
//! ```text
//!   standard_scaler(ln(amount)) OVER () AS z
//!     ─▶ sextant_fitted(0, ln(amount))          kept as text, with what call 0 has learned
//!     ─▶ ␃fitted…(ln(CAST($1 AS float8)))       a call of predict, with its argument
//! ```
//! Learned from the training part only, and kept with the version. A model without TRANSFORM has
//! one all the same: each column as it is.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use catalog::apart;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::{Expr as Planned, LogicalPlan, Volatility};
use datafusion::physical_plan::execute_stream;
use datafusion::sql::sqlparser::ast::{self, Expr, Ident, Value, visit_expressions_mut};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::expand::{called, cast};
use super::fitted::{Fitted, NAMES, Setting};
use super::scoring::fitted_function;
use super::syntax::{FITTED, arguments, column_name, columns_of, fitted_call, has_call, sql_type};
use crate::error::{Error, Result, near_names};
use crate::functions::identifier;
use crate::names::folded;
use crate::parse::{self, TransformItem};
use crate::plan::{self, Environment, Given, Lakes, Overrides};

/// The name of the rows that a transform is over.
const ROWS: &str = "\u{3}rows";
/// A column that calls give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Input {
    pub name: String,
    /// As SQL spells it.
    pub data_type: String,
}

/// As a manifest keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub inputs: Vec<Input>,
    /// Names and expressions of the features.
    pub items: Vec<(String, String)>,
    pub fitted: Vec<Fitted>,
}

/// A transform ready to be used.
pub(super) struct Transform {
    pub stored: Stored,
    items: Vec<(String, Expr)>,
    /// What calls of fitted functions are named, and these.
    functions: Overrides,
}

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stored.fmt(f)
    }
}

/// A call of a fitted function, taken out of its expression.
#[derive(Clone)]
struct Call {
    function: String,
    argument: Expr,
    setting: Setting,
}

/// A transform that has not learned yet.
#[derive(Clone)]
pub(super) struct Draft {
    items: Vec<(String, Expr)>,
    calls: Vec<Call>,
}

impl Draft {
    /// Of the items as written, or of all columns but `others`.
    ///
    /// # Errors
    /// 42701 for two features of one name, 0A000 for what has no place in TRANSFORM, 42P17 for
    /// functions that are not the same every time.
    pub fn new(
        items: Option<&[TransformItem]>,
        columns: &Schema,
        others: &[String],
    ) -> Result<Self> {
        let plain = || {
            let names = columns.fields().iter().map(|field| field.name());
            let names = names.filter(|name| !others.contains(name));
            names.map(|name| (name.clone(), Expr::Identifier(Ident::with_quote('"', name))))
        };
        let mut draft = Self { items: Vec::new(), calls: Vec::new() };
        for item in items.unwrap_or(&[TransformItem::All]) {
            match item {
                TransformItem::All => draft.items.extend(plain()),
                TransformItem::Named(name, expression) => {
                    let expression = draft.without_calls(expression)?;
                    draft.items.push((folded(name), expression));
                }
            }
        }
        let is_column = |name: &str, item: &Expr| column_name(item).is_some_and(|of| of == name);
        let other =
            draft.items.iter().find(|(name, item)| others.contains(name) && !is_column(name, item));
        if let Some((name, _)) = other {
            let message = format!("feature \"{name}\" has the name of a column that is none");
            return Err(Error::new("42701", message).with_hint("Give it another name."));
        }
        draft.items.retain(|(name, _)| !others.contains(name));
        let mut seen = Vec::new();
        for (name, _) in &draft.items {
            if seen.contains(&name) {
                let message = format!("feature \"{name}\" is specified more than once");
                return Err(Error::new("42701", message));
            }
            seen.push(name);
        }
        Ok(draft)
    }

    /// The expression with fitted functions put aside.
    fn without_calls(&mut self, expression: &Expr) -> Result<Expr> {
        let mut expression = expression.clone();
        let done = visit_expressions_mut(&mut expression, |part| match self.put_aside(part) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        });
        match done {
            ControlFlow::Continue(()) => Ok(expression),
            ControlFlow::Break(error) => Err(error),
        }
    }

    fn put_aside(&mut self, part: &mut Expr) -> Result<()> {
        if matches!(part, Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. }) {
            return Err(Error::new("0A000", "cannot use subquery in TRANSFORM"));
        }
        let Expr::Function(call) = part else { return Ok(()) };
        let name = plan::parts(&call.name)?.pop().unwrap_or_default();
        if super::outputs::Asked::of(&name).is_some() {
            return Err(Error::new("0A000", format!("{name} cannot be used in TRANSFORM"))
                .with_hint("Ask other models in the query after AS."));
        }
        let is_fitted = NAMES.contains(&name.as_str());
        if !is_fitted && call.over.is_some() {
            let message = format!("window function {name} cannot be used in TRANSFORM");
            return Err(Error::new("0A000", message).with_hint("Compute it in the query after AS."));
        }
        if !is_fitted {
            return Ok(());
        }
        let empty = |over: &ast::WindowType| match over {
            ast::WindowType::WindowSpec(spec) => {
                spec.partition_by.is_empty()
                    && spec.order_by.is_empty()
                    && spec.window_frame.is_none()
                    && spec.window_name.is_none()
            }
            ast::WindowType::NamedWindow(_) => false,
        };
        if !call.over.as_ref().is_some_and(empty) {
            let message =
                format!("{name} learns from all training rows and needs an empty OVER ()");
            return Err(Error::new("42601", message).with_hint(format!("Write {name}(…) OVER ().")));
        }
        let (argument, setting) = arguments(&name, &call.args)?;
        if has_call(&argument, FITTED) {
            let message = format!("{name} cannot be of what another function has learned");
            return Err(Error::new("0A000", message));
        }
        let index = self.calls.len();
        self.calls.push(Call { function: name, argument: argument.clone(), setting });
        let number = Expr::Value(Value::Number(index.to_string(), false).into());
        *part = called(call, FITTED, vec![number, argument]);
        Ok(())
    }

    /// The columns that the items read.
    pub fn inputs(&self, columns: &Schema) -> Result<Vec<Input>> {
        let mut found: Vec<Input> = Vec::new();
        for (_, expression) in &self.items {
            for name in columns_of(expression)? {
                if found.iter().any(|input| input.name == name) {
                    continue;
                }
                let Ok(field) = columns.field_with_name(&name) else {
                    let error = Error::new("42703", format!("column \"{name}\" does not exist"));
                    let names = columns.fields().iter().map(|field| field.name().as_str());
                    return Err(match near_names(&name, names) {
                        Some(hint) => error.with_hint(hint),
                        None => error.with_detail("TRANSFORM is over the columns of the query."),
                    });
                };
                let data_type = sql_type(field)?;
                found.push(Input { name, data_type });
            }
        }
        Ok(found)
    }

    /// The draft without features that nobody asks for.
    ///
    /// # Errors
    /// 42703 for a name that is no feature.
    pub fn only(mut self, features: &[String]) -> Result<Self> {
        let known = |name: &String| self.items.iter().any(|(item, _)| item == name);
        if let Some(other) = features.iter().find(|name| !known(name)) {
            let error = Error::new("42703", format!("feature \"{other}\" does not exist"));
            let names = self.items.iter().map(|(name, _)| name.as_str());
            return Err(match near_names(other, names) {
                Some(hint) => error.with_hint(hint),
                None => error.with_detail("Features are columns of the query or of TRANSFORM."),
            });
        }
        self.items.retain(|(name, _)| features.contains(name));
        Ok(self)
    }

    /// Whether there is no feature.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Features that are columns as they are.
    pub fn identities(names: &[String]) -> Vec<(String, String)> {
        names.iter().map(|name| (name.clone(), identifier(name))).collect()
    }

    /// Learns from the rows of the training part.
    ///
    /// # Errors
    /// 42703 for columns that the query has not, 42804 for those of types that calls cannot give.
    pub async fn fit(
        self,
        environment: &Environment,
        lakes: &Lakes,
        training: &RecordBatch,
        memory: &MemoryReservation,
    ) -> Result<Transform> {
        let inputs = self.inputs(&training.schema())?;
        let given = given(&inputs, &own_columns(&inputs))?;
        let arguments = self.calls.iter().enumerate();
        let arguments: Vec<(String, Expr)> = arguments
            .map(|(index, call)| (format!("c{index}"), with_arguments(&call.argument, &given)))
            .collect();
        let mut fitted = Vec::new();
        if !arguments.is_empty() {
            let values = computed(environment, lakes, training, (&arguments, &[]), memory).await?;
            let calls = self.calls;
            let learn = move |_: &AtomicBool| -> Result<Vec<Fitted>> {
                let columns = calls.iter().zip(values.columns());
                let fit =
                    |(call, column): (&Call, _)| Fitted::fit(&call.function, column, &call.setting);
                columns.map(fit).collect()
            };
            fitted = apart(learn).await??;
        }
        let items = self.items.iter().map(|(name, item)| (name.clone(), item.to_string()));
        Transform::open(Stored { inputs, items: items.collect(), fitted })
    }
}

impl Transform {
    /// # Errors
    /// Those of parsing, for a text that was not written by this server.
    pub fn open(stored: Stored) -> Result<Self> {
        let unique = uuid::Uuid::now_v7();
        let name = |index: usize| format!("\u{3}fitted_{index}_{unique}");
        let functions = stored.fitted.iter().enumerate().map(|(index, fitted)| {
            (name(index), Given::Function(fitted_function(name(index), fitted.clone())))
        });
        let functions: Overrides = functions.collect();
        let item = |(item, text): &(String, String)| -> Result<(String, Expr)> {
            let mut expression = parse::parse_expression(text)?;
            let _ = visit_expressions_mut(&mut expression, |part| {
                if let Expr::Function(call) = part
                    && let Some((index, argument)) = fitted_call(call)
                {
                    *part = called(call, &name(index), vec![argument]);
                }
                ControlFlow::<()>::Continue(())
            });
            Ok((item.clone(), expression))
        };
        let items = stored.items.iter().map(item).collect::<Result<_>>()?;
        Ok(Self { stored, items, functions })
    }

    /// The features of rows that have the columns of the query.
    pub async fn apply(
        &self,
        environment: &Environment,
        lakes: &Lakes,
        rows: &RecordBatch,
        memory: &MemoryReservation,
    ) -> Result<RecordBatch> {
        // As calls have them: the same expressions, casts included.
        let features = self.over(&self.names(), &own_columns(&self.stored.inputs))?;
        let names = self.items.iter().map(|(name, _)| name.clone());
        let items: Vec<(String, Expr)> = names.zip(features).collect();
        computed(environment, lakes, rows, (&items, &self.functions), memory).await
    }

    /// Names of all features.
    pub fn names(&self) -> Vec<&str> {
        self.items.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The columns that some features are computed from.
    pub fn inputs_of(&self, features: &[&str]) -> Result<Vec<String>> {
        let mut found: Vec<String> = Vec::new();
        for (name, item) in &self.items {
            if features.contains(&name.as_str()) {
                found.extend(columns_of(item)?.into_iter());
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Features as expressions over a call's arguments, by the names of the inputs.
    pub fn over(&self, features: &[&str], arguments: &BTreeMap<String, Expr>) -> Result<Vec<Expr>> {
        let given = given(&self.stored.inputs, arguments)?;
        let over = |feature: &&str| {
            let (_, item) = self.items.iter().find(|(name, _)| name == feature)?;
            Some(with_arguments(item, &given))
        };
        Ok(features.iter().filter_map(over).collect())
    }

    pub fn functions(&self) -> &Overrides {
        &self.functions
    }
}

/// The inputs as columns of rows that have them.
fn own_columns(inputs: &[Input]) -> BTreeMap<String, Expr> {
    let column = |input: &Input| Expr::Identifier(Ident::with_quote('"', &input.name));
    inputs.iter().map(|input| (input.name.clone(), column(input))).collect()
}

/// What stands for each input: an argument as a value of the type in training. Moments are those of
/// UTC, whatever the session's time zone is.
fn given<'a>(
    inputs: &'a [Input],
    arguments: &BTreeMap<String, Expr>,
) -> Result<BTreeMap<&'a str, Expr>> {
    let mut given = BTreeMap::new();
    for input in inputs {
        let Some(argument) = arguments.get(&input.name) else { continue };
        let mut value = cast(argument.clone(), &input.data_type)?;
        if input.data_type == "timestamptz" {
            let time_zone = Value::SingleQuotedString("UTC".to_owned()).into();
            let (timestamp, time_zone) = (Box::new(value), Box::new(Expr::Value(time_zone)));
            value = Expr::AtTimeZone { timestamp, time_zone };
        }
        given.insert(input.name.as_str(), Expr::Nested(Box::new(value)));
    }
    Ok(given)
}

fn with_arguments(expression: &Expr, given: &BTreeMap<&str, Expr>) -> Expr {
    let mut expression = expression.clone();
    let _ = visit_expressions_mut(&mut expression, |part| {
        if let Some(argument) = column_name(part).and_then(|name| given.get(name.as_str())) {
            *part = argument.clone();
        }
        ControlFlow::<()>::Continue(())
    });
    expression
}

/// Expressions over rows, which keep their order.
///
/// # Errors
/// 42P17 and 0A000 for what is not one value for each row, 53200 for more than fits in memory.
async fn computed(
    environment: &Environment,
    lakes: &Lakes,
    rows: &RecordBatch,
    (items, functions): (&[(String, Expr)], &[(String, Given)]),
    memory: &MemoryReservation,
) -> Result<RecordBatch> {
    let mut environment = environment.clone();
    // One stream: several would come in any order.
    environment.engine.config_mut().options_mut().execution.target_partitions = 1;
    let part = environment.engine.config().batch_size().max(1);
    let starts = (0..rows.num_rows()).step_by(part);
    let parts = starts.map(|at| rows.slice(at, part.min(rows.num_rows() - at))).collect();
    let table = MemTable::try_new(rows.schema(), vec![parts])?;
    let mut overrides = functions.to_vec();
    overrides.push((ROWS.to_owned(), Given::Table(provider_as_source(Arc::new(table)))));
    let listed: Vec<String> =
        items.iter().map(|(name, item)| format!("{item} AS {}", identifier(name))).collect();
    let text = format!("SELECT {} FROM \"{ROWS}\"", listed.join(", "));
    let query = parse::parse_query(&text)?;
    let plan = plan::plan_query(&environment, lakes, query, &[], overrides).await?;
    same_every_time(&plan)?;
    let physical = environment.engine.create_physical_plan(&plan).await?;
    let schema = physical.schema();
    let mut stream = execute_stream(physical, environment.engine.task_ctx())?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await.transpose()? {
        // Once as they come, once put together.
        memory.try_grow(2 * batch.get_array_memory_size())?;
        batches.push(batch);
    }
    let whole = concat_batches(&schema, &batches).map_err(|error| Error::Engine(error.into()))?;
    match whole.num_rows() == rows.num_rows() {
        true => Ok(whole),
        false => Err(Error::new("0A000", "TRANSFORM must give one row for each row")
            .with_hint("Make several rows of one in the query after AS.")),
    }
}

fn same_every_time(plan: &LogicalPlan) -> Result<()> {
    let mut found = None;
    plan.apply(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                match part {
                    Planned::ScalarFunction(call)
                        if call.func.signature().volatility != Volatility::Immutable =>
                    {
                        found = Some(call.name().to_owned());
                    }
                    Planned::AggregateFunction(_) => found = Some("an aggregate".to_owned()),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    match found {
        Some(name) => Err(changing(&name)),
        None => Ok(()),
    }
}

fn changing(function: &str) -> Error {
    let message = format!("{function} cannot be used in TRANSFORM");
    Error::new("42P17", message)
        .with_detail("A row must give the same features in training and at any time after.")
}
