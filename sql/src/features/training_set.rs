//! `training_set('labels', 'service', …)`: every label with the features of a service, as they were
//! at its time.
//!
//! ```text
//!   training_set('labels or query', 'service',
//!       label_time => 'ts',            the labels' time; their only one if left out
//!       known => 'label' | timestamp,  only what was known then, by the views' CREATED columns
//!       strict => false,               a row of the label's own time does not count
//!       full_names => false)           view__feature in place of feature
//! ```

use std::collections::BTreeSet;

use catalog::Relation;
use chrono::DateTime;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Operator, Sort, SortExpr};
use datafusion::sql::sqlparser::ast;

use super::point_in_time::{self, Known, Taking, binary, column};
use super::windows::Under;
use super::{FeatureService, FeatureView, Rows, ServiceView, Version, services};
use crate::access::{Object, Privileges, owner_of};
use crate::asof::Kind;
use crate::error::{Error, Result};
use crate::functions::literal;
use crate::parse;
use crate::plan::{self, Environment, Found, Lakes, Place};

/// The qualifier of the labels' columns.
const LABELS: &str = "labels";

/// A call, as written.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Without names.
    pub arguments: Vec<ast::Expr>,
    pub named: Vec<(String, ast::Expr)>,
}

/// What is asked for.
struct Asked {
    labels: String,
    service: String,
    label_time: Option<String>,
    known: Option<Known>,
    strict: bool,
    full_names: bool,
}

/// The rows of a training set.
pub(crate) async fn plan(
    environment: &Environment,
    lakes: &Lakes,
    call: &Call,
    depth: usize,
) -> Result<LogicalPlan> {
    let asked = Asked::of(environment, call)?;
    let (place, service) = service(environment, lakes, &asked.service)?;
    let labels = query(environment, lakes, labels_query(&asked.labels)?, depth).await?;
    let (labels, order) = unsorted(labels);
    let labels = LogicalPlanBuilder::from(labels).alias(LABELS)?.build()?;
    let label_time = label_time(&labels, asked.label_time.as_deref())?;
    check_keys(&labels, &place, &service)?;
    let label = |name: &str| Expr::Column(Column::new(Some(LABELS), name));
    let names = labels.schema().fields().iter().map(|field| field.name().clone());
    let mut output: Vec<(Expr, String)> = names.map(|name| (label(&name), name)).collect();
    let mut plan = labels;
    for (index, of) in service.views.iter().enumerate() {
        let (version, rows) = rows(environment, lakes, of, depth).await?;
        let name = format!("{}\u{3}{index}", of.alias);
        let wanted = features(of, &version);
        let is_wanted = |column: &str| wanted.iter().any(|(feature, _)| feature == column);
        let Under { rows, features, columns } = rows.under(&name, is_wanted)?;
        let keys = of.key.iter().zip(&version.key).map(|(of_label, key)| {
            Ok(binary(label(of_label), Operator::Eq, column(rows.schema(), key)?))
        });
        let taking = Taking {
            version: &version,
            kind: Kind::Left,
            keys: keys.collect::<Result<_>>()?,
            label_time: label_time.clone(),
            strict: asked.strict,
            known: asked.known.as_ref(),
            features,
            of_training_set: true,
        };
        plan = point_in_time::join(plan, rows, taking)?;
        for (feature, alias) in wanted {
            let column = columns.iter().find(|(column, _)| *column == feature);
            let Some((_, column)) = column else {
                let message = format!("feature \"{feature}\" of \"{}\" is gone", of.view);
                return Err(Error::new("42703", message));
            };
            let shown = match asked.full_names {
                true => format!("{}__{alias}", of.alias),
                false => alias,
            };
            output.push((column.clone(), shown));
        }
    }
    check_names(&output, "the training set")?;
    let items = output.into_iter().map(|(column, name)| column.alias(name));
    let mut plan = LogicalPlanBuilder::from(plan);
    if !order.is_empty() {
        // The engine drops the order of a relation that has no limit, be it none.
        plan = plan.sort(order)?.limit(0, None)?;
    }
    Ok(plan.project(items.collect::<Vec<_>>())?.build()?)
}

/// Labels without their ORDER BY, which the engine would drop below a join, and that order over
/// `LABELS`; as they are if it is not one of their columns.
fn unsorted(labels: LogicalPlan) -> (LogicalPlan, Vec<SortExpr>) {
    let LogicalPlan::Sort(Sort { expr, input, fetch: None }) = &labels else {
        return (labels, Vec::new());
    };
    let order = expr.iter().map(|by| match &by.expr {
        Expr::Column(column) => {
            let column = Column::new(Some(LABELS), &column.name);
            Some(SortExpr { expr: Expr::Column(column), ..by.clone() })
        }
        _ => None,
    });
    match order.collect::<Option<Vec<_>>>() {
        Some(order) => (input.as_ref().clone(), order),
        None => (labels, Vec::new()),
    }
}

/// The service that a call names.
pub(crate) fn service_of(
    environment: &Environment,
    lakes: &Lakes,
    call: &Call,
) -> Result<FeatureService> {
    let asked = Asked::of(environment, call)?;
    service(environment, lakes, &asked.service).map(|(_, service)| service)
}

impl Asked {
    fn of(environment: &Environment, call: &Call) -> Result<Self> {
        let usage = || {
            Error::new("42883", "training_set takes labels and a feature service, both as text")
                .with_hint("Write training_set('labels', 'service', label_time => 'ts').")
        };
        let value = |expression: &ast::Expr| match expression {
            ast::Expr::Subquery(_) => {
                Err(Error::new("0A000", "training_set takes constants, and no subqueries")
                    .with_hint("Labels are a query already: training_set('SELECT …', 'service')."))
            }
            constant => plan::constant(&environment.engine, constant.clone()),
        };
        let [labels, service] = call.arguments.as_slice() else { return Err(usage()) };
        let text = |value: ScalarValue| match value {
            ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => Ok(text),
            _ => Err(usage()),
        };
        let mut asked = Self {
            labels: text(value(labels)?)?,
            service: text(value(service)?)?,
            label_time: None,
            known: None,
            strict: false,
            full_names: false,
        };
        for (name, expression) in &call.named {
            let value = value(expression)?;
            let flag = |value: ScalarValue| match value {
                ScalarValue::Boolean(Some(flag)) => Ok(flag),
                _ => Err(Error::new("22023", format!("{name} must be true or false"))),
            };
            match name.as_str() {
                "label_time" => asked.label_time = Some(text(value)?),
                "known" => asked.known = known(environment, value)?,
                "strict" => asked.strict = flag(value)?,
                "full_names" => asked.full_names = flag(value)?,
                _ => {
                    let message = format!("training_set has no argument named \"{name}\"");
                    return Err(Error::new("42883", message)
                        .with_hint("There are: label_time, known, strict, full_names."));
                }
            }
        }
        Ok(asked)
    }
}

/// What a call has for known: `label`, or a time in RFC 3339; None if everything counts.
pub(crate) fn cutoff(environment: &Environment, call: &Call) -> Result<Option<String>> {
    let time = |time: &ScalarValue| match time {
        ScalarValue::TimestampMicrosecond(Some(time), _) => DateTime::from_timestamp_micros(*time),
        _ => None,
    };
    Ok(match Asked::of(environment, call)?.known {
        None => None,
        Some(Known::AtLabel) => Some("label".to_owned()),
        Some(Known::Until(until)) => time(&until).map(|time| time.to_rfc3339()),
    })
}

fn known(environment: &Environment, value: ScalarValue) -> Result<Option<Known>> {
    if value.is_null() {
        return Ok(None);
    }
    if let ScalarValue::Utf8(Some(text)) = &value
        && text.eq_ignore_ascii_case("label")
    {
        return Ok(Some(Known::AtLabel));
    }
    let time = match &value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            let time = parse::parse_expression(&format!("timestamptz {}", literal(text)))?;
            plan::constant(&environment.engine, time).ok()
        }
        ScalarValue::Date32(_)
        | ScalarValue::TimestampSecond(..)
        | ScalarValue::TimestampMillisecond(..)
        | ScalarValue::TimestampMicrosecond(..)
        | ScalarValue::TimestampNanosecond(..) => value.cast_to(&crate::types::timestamptz()).ok(),
        _ => None,
    };
    let time = time.filter(|time| !time.is_null()).ok_or_else(|| {
        Error::new("22023", "known must be 'label' or a timestamp")
            .with_hint("known => 'label' leaves out what was not known at the label's time.")
    })?;
    Ok(Some(Known::Until(time)))
}

/// `labels` alone is a relation.
fn labels_query(text: &str) -> Result<ast::Query> {
    let is_name = !text.trim().is_empty()
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '"' | '$'));
    match is_name {
        true => parse::parse_query(&format!("SELECT * FROM {text}")),
        false => parse::parse_query(text),
    }
}

async fn query(
    environment: &Environment,
    lakes: &Lakes,
    query: ast::Query,
    depth: usize,
) -> Result<LogicalPlan> {
    let statement = ast::Statement::Query(Box::new(query));
    let planned = plan::plan_at_depth(environment, lakes, statement, &[], Vec::new(), depth + 1);
    Box::pin(planned).await
}

pub(super) fn service(
    environment: &Environment,
    lakes: &Lakes,
    name: &str,
) -> Result<(Place, FeatureService)> {
    let state = lakes.main.state();
    let parts: Vec<String> =
        name.split('.').map(|part| part.trim_matches('"').to_owned()).collect();
    for place in environment.candidates(&parts)? {
        if let Some(service) = FeatureService::of(state, &place) {
            return Ok((place, service));
        }
    }
    let error = Error::new("42704", format!("feature service \"{name}\" does not exist"));
    let known = services(state);
    let near = crate::error::near_names(name, known.iter().map(|(_, name, _)| *name));
    Err(match near {
        Some(hint) => error.with_hint(hint),
        None => error.with_hint("List feature services: SELECT * FROM ml.feature_services."),
    })
}

/// The label's time: as named, or the only time there is.
fn label_time(labels: &LogicalPlan, name: Option<&str>) -> Result<Expr> {
    let fields = labels.schema().fields();
    let is_time =
        |of: &DataType| matches!(of, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
    let names = |only_times: bool| {
        let shown = fields.iter().filter(|field| !only_times || is_time(field.data_type()));
        shown.map(|field| field.name().as_str()).collect::<Vec<_>>()
    };
    let found = match name {
        Some(name) => fields.iter().find(|field| field.name() == name).ok_or_else(|| {
            Error::new("42703", format!("label time column \"{name}\" does not exist"))
                .with_hint(format!("The labels have: {}.", names(false).join(", ")))
        })?,
        None => match names(true).as_slice() {
            [one] => fields
                .iter()
                .find(|field| field.name() == one)
                .ok_or_else(|| Error::new("XX000", "the label time is gone"))?,
            [] => return Err(Error::new("42703", "the labels have no column of a time")),
            several => {
                let message = "the labels have several columns of a time";
                return Err(Error::new("42702", message).with_hint(format!(
                    "Say which is meant: label_time => '{}'.",
                    several.join("' or '")
                )));
            }
        },
    };
    Ok(Expr::Column(Column::new(Some(LABELS), found.name())))
}

/// Every key of every view needs a column of the labels; all that lack are named at once.
fn check_keys(labels: &LogicalPlan, place: &Place, service: &FeatureService) -> Result<()> {
    let has = |name: &String| labels.schema().fields().iter().any(|field| field.name() == name);
    let wanted = service.views.iter().flat_map(|of| &of.key);
    let missing: BTreeSet<&str> = wanted.filter(|key| !has(key)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.into_iter().collect();
    let columns: Vec<&str> = labels.schema().fields().iter().map(|f| f.name().as_str()).collect();
    let message = format!(
        "the labels lack key columns of feature service \"{}\": {}",
        place.name,
        names.join(", ")
    );
    Err(Error::new("42703", message).with_hint(format!(
        "The labels have: {}. KEY (…) in the service says which columns stand for a view's keys.",
        columns.join(", ")
    )))
}

/// The version of a view that a service means, and its rows: keys, times and features.
pub(super) async fn rows(
    environment: &Environment,
    lakes: &Lakes,
    of: &ServiceView,
    depth: usize,
) -> Result<(Version, Rows)> {
    let parts = [of.schema.clone(), of.view.clone()];
    let state = lakes.main.state();
    let undefined = || {
        let message =
            format!("the service's feature view \"{}.{}\" does not exist", of.schema, of.view);
        Error::new("42704", message)
            .with_hint("Make it again, or CREATE OR REPLACE FEATURE SERVICE without it.")
    };
    let (place, found) = environment.find(lakes, &parts)?.ok_or_else(undefined)?;
    let Found::Relation(Relation::View(view)) = &found else {
        return Err(Error::new("42809", format!("\"{}\" is not a feature view", of.view)));
    };
    let kept = FeatureView::of(state, &of.schema, view).ok_or_else(|| {
        Error::new("42809", format!("\"{}\" is no longer a feature view", of.view))
    })?;
    let (newest, _) = kept.current().ok_or_else(undefined)?;
    let number = of.version.unwrap_or(newest);
    let version = kept.version(number).ok_or_else(undefined)?.clone();
    let is_plain = number == newest && !version.has_windows();
    let rows = if is_plain {
        let name = plan::object_name(&[of.schema.as_str(), of.view.as_str()]);
        let mut text = parse::parse_query("SELECT * FROM x")?;
        if let ast::SetExpr::Select(select) = text.body.as_mut()
            && let Some(from) = select.from.first_mut()
        {
            from.relation = plan::table_factor(name, None);
        }
        Rows::Plain(query(environment, lakes, text, depth).await?)
    } else {
        environment.require(lakes, &place, &found, Privileges::SELECT)?;
        if number == newest {
            let of_version = (&version, depth);
            let rows = plan::windowed_rows(environment, lakes, view, &place, of_version).await?;
            return Ok((version, rows));
        }
        // An old version reads what the view's owner may, as the view does.
        let owner = owner_of(state, &Object::of(&Relation::View(std::sync::Arc::clone(view))));
        let inner = Environment {
            search_path: version.search_path.clone(),
            authority: std::sync::Arc::new(owner),
            ..environment.clone()
        };
        let query = parse::parse_query(&version.sql)?;
        super::rows(&inner, lakes, query, &version, &[], depth + 1).await?
    };
    Ok((version, rows))
}

/// Features and the names they get.
pub(super) fn features(of: &ServiceView, version: &Version) -> Vec<(String, String)> {
    match &of.features {
        Some(listed) => listed.clone(),
        None => version.features().map(|f| (f.name.clone(), f.name.clone())).collect(),
    }
}

/// No two columns may have one name; `what` says of what.
pub(super) fn check_names(output: &[(Expr, String)], what: &str) -> Result<()> {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for (_, name) in output {
        if !seen.insert(name.as_str()) {
            twice.insert(name.as_str());
        }
    }
    if twice.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = twice.into_iter().collect();
    let message = format!("duplicate columns in {what}: {}", names.join(", "));
    Err(Error::new("42701", message).with_hint(
        "full_names => true puts the view's name before each feature; AS in the service renames one.",
    ))
}
