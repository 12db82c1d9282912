//! `get_features('service', key => value, …)`: the features of a service as they are now.
//!
//! ```text
//!   get_features('service',
//!       user_id => $1,                 each key of the service: a value, an array, a column
//!       full_names => false)           view__feature in place of feature
//! ```
//! A row for each element of arrays, in their order; values beside them are the same in every row.
//! With columns of what stands before it in FROM it is LATERAL. Now is `now()`.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{Column, DFSchema, Result as EngineResult, ScalarValue, UnnestOptions};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, TableSource, cast,
};
use datafusion::sql::sqlparser::ast::{self, FunctionArg, FunctionArgExpr, TableFactor};

use super::equal_lengths;
use super::serve::{self, KEYS, ServedView};
use super::training_set::{self, Call};
use crate::error::{Error, Result, near_names};
use crate::names::folded;
use crate::parse;
use crate::plan::{self, Environment, Lakes};

/// The moment asked about, beside the keys.
const MOMENT: &str = "\u{3}moment";
const FULL_NAMES: &str = "full_names";

/// A service whose views are planned: what a call finds under its name.
pub(crate) struct Served {
    views: Vec<ServedView>,
    /// Every key of the service, once, as the first view that has it has it.
    keys: Vec<FieldRef>,
    full_names: bool,
}

impl TableSource for Served {
    /// Of the keys: what comes out is planned with what they are.
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.keys.clone()))
    }
}

/// Looks up what a call names; `depth` is that of views in views.
///
/// Errors: 42704 for a service that is not there, 42703 for a key that is none of its, 42601 for
/// keys that are missing or given twice, and for anything but names.
pub(crate) async fn load(
    environment: &Environment,
    lakes: &Lakes,
    call: &Call,
    depth: usize,
) -> Result<Arc<dyn TableSource>> {
    let [service] = call.arguments.as_slice() else { return Err(usage()) };
    let service = match plan::constant(&environment.engine, service.clone()) {
        Ok(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text))) => text,
        _ => return Err(usage()),
    };
    let (place, service) = training_set::service(environment, lakes, &service)?;
    let full_names = match call.named.iter().find(|(name, _)| name == FULL_NAMES) {
        None => false,
        Some((_, value)) => match plan::constant(&environment.engine, value.clone()) {
            Ok(ScalarValue::Boolean(Some(flag))) => flag,
            _ => return Err(Error::new("22023", "full_names must be true or false")),
        },
    };
    let views = serve::views(environment, lakes, &service.views, depth).await?;
    let mut keys: Vec<FieldRef> = Vec::new();
    for view in &views {
        for (name, of) in view.of.key.iter().zip(&view.version.key) {
            if keys.iter().any(|key| key.name() == name) {
                continue;
            }
            let rows = view.rows.under(super::serve::KEYS, |_| false)?.rows;
            let field = rows.schema().field_with_unqualified_name(of)?;
            keys.push(Arc::new(field.as_ref().clone().with_name(name).with_nullable(true)));
        }
    }
    check_keys(&place.name, &keys, call)?;
    Ok(Arc::new(Served { views, keys, full_names }))
}

fn usage() -> Error {
    Error::new(
        "42601",
        "get_features takes a feature service as constant text, and its keys by name",
    )
    .with_hint("Write get_features('service', user_id => $1).")
}

/// Every key is given once, and nothing else.
fn check_keys(service: &str, keys: &[FieldRef], call: &Call) -> Result<()> {
    let names: Vec<&str> = keys.iter().map(|key| key.name().as_str()).collect();
    let given: Vec<&str> =
        call.named.iter().map(|(name, _)| name.as_str()).filter(|n| *n != FULL_NAMES).collect();
    for (index, name) in given.iter().enumerate() {
        if given[..index].contains(name) {
            return Err(Error::new("42601", format!("key \"{name}\" is given twice")));
        }
        if names.contains(name) {
            continue;
        }
        let message = format!("feature service \"{service}\" has no key \"{name}\"");
        let near = near_names(name, names.iter().copied());
        return Err(
            Error::new("42703", message).with_hint(near.unwrap_or_else(|| there_are(&names)))
        );
    }
    let missing: Vec<&str> = names.iter().copied().filter(|name| !given.contains(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message =
        format!("get_features lacks keys of feature service \"{service}\": {}", missing.join(", "));
    let example: Vec<String> = names.iter().map(|name| format!("{name} => …")).collect();
    let example = example.join(", ");
    Err(Error::new("42601", message)
        .with_hint(format!("Write get_features('{service}', {example}).")))
}

fn there_are(names: &[&str]) -> String {
    match names {
        [] => "It has no keys.".to_owned(),
        names => format!("Its keys are: {}.", names.join(", ")),
    }
}

/// Plans the calls whose service is loaded.
#[derive(Debug)]
pub struct FeatureRelations;

impl RelationPlanner for FeatureRelations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> EngineResult<RelationPlanning> {
        let TableFactor::Table { name, args: Some(given), alias, .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let reference = context.object_name_to_table_reference(name.clone())?;
        let source = context.context_provider().get_table_source(reference);
        let Some(served) = source.as_ref().ok().and_then(|source| source.downcast_ref::<Served>())
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let plan = planned(served, &given.args, context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}

fn planned(
    served: &Served,
    given: &[FunctionArg],
    context: &mut dyn RelationPlannerContext,
) -> EngineResult<LogicalPlan> {
    let nothing = DFSchema::empty();
    let mut items = Vec::with_capacity(served.keys.len());
    for key in &served.keys {
        let Some(value) = given.iter().find_map(|argument| named(argument, key.name())) else {
            return Err(usage().into());
        };
        let value = typed(context.sql_to_expr(value.clone(), &nothing)?, key);
        let (_, field) = value.to_field(&nothing)?;
        items.push((key.name().clone(), value, field));
    }
    let names: Vec<String> = items.iter().map(|(name, ..)| name.clone()).collect();
    let now = context.sql_to_expr(parse::parse_expression("now()")?, &nothing)?;
    let keys = keys(items, now)?;
    let moment = Expr::Column(Column::new(Some(KEYS), MOMENT));
    Ok(serve::values(keys, &names, &moment, &served.views, served.full_names)?)
}

fn named<'a>(argument: &'a FunctionArg, key: &str) -> Option<&'a ast::Expr> {
    match argument {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. }
        | FunctionArg::ExprNamed {
            name: ast::Expr::Identifier(name),
            arg: FunctionArgExpr::Expr(value),
            ..
        } if folded(name) == key => Some(value),
        _ => None,
    }
}

/// A parameter of no type is of the key's; a text in quotes is read as one.
fn typed(value: Expr, key: &FieldRef) -> Expr {
    match value {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field: Field = key.as_ref().clone().with_name("");
            Expr::Placeholder(Placeholder::new_with_field(id, Some(Arc::new(field))))
        }
        Expr::Literal(ScalarValue::Utf8(_), _) if !key.data_type().is_string() => {
            cast(value, key.data_type().clone())
        }
        Expr::Literal(ScalarValue::Null, _) => cast(value, key.data_type().clone()),
        value => value,
    }
}

/// One row for each question: the keys and the moment.
fn keys(items: Vec<(String, Expr, FieldRef)>, now: Expr) -> EngineResult<LogicalPlan> {
    let is_list = |field: &FieldRef| matches!(field.data_type(), DataType::List(_));
    let lists: Vec<(String, Expr)> = items
        .iter()
        .filter(|(_, _, field)| is_list(field))
        .map(|(name, value, _)| (name.clone(), value.clone()))
        .collect();
    let mut projection = Vec::with_capacity(items.len() + 1);
    for (name, value, field) in items {
        let value = match lists.first() {
            Some((first, other)) if is_list(&field) && *first != name => {
                equal_lengths::checked(value, other.clone())
            }
            _ => value,
        };
        projection.push(value.alias(name));
    }
    projection.push(now.alias(MOMENT));
    let mut plan = LogicalPlanBuilder::empty(true).project(projection)?;
    if !lists.is_empty() {
        let columns = lists.into_iter().map(|(name, _)| Column::new_unqualified(name)).collect();
        let options = UnnestOptions::new().with_preserve_nulls(false);
        plan = plan.unnest_columns_with_options(columns, options)?;
    }
    plan.alias(KEYS)?.build()
}
