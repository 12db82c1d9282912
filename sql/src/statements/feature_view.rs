//! CREATE, ALTER and DROP FEATURE VIEW: a view, and beside it what makes its rows features.

use std::sync::Arc;

use catalog::{Relation, State, VIEW_COLUMN_OF, View};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, ObjectType, Query, Value};

use super::create_view::{self, Replace};
use super::feature_checks::{
    check_services, drop_services, has_windows, not_at_label, still_asked_for,
};
use super::{Context, drop};
use crate::error::{Error, Result, near_names};
use crate::features::kept::Kept;
use crate::features::windows::{self, WindowedView};
use crate::features::{Feature, FeatureView, Metadata, Version, duration_us};
use crate::names::folded;
use crate::parse::{AlterFeatureView, CreateFeatureView, Freshness};
use crate::plan::{self, Environment, Found, Place};
use crate::{Notice, features, parse, types};

/// Options of `ALTER VIEW … SET` that make a view a feature view.
const PREFIX: &str = "feature_";
/// What they set; any other name is kept as said, as owner and tags are.
const PARAMETERS: [&str; 8] =
    ["key", "time", "timestamp", "created", "ttl", "delay", "freshness", "online"];

pub(super) async fn create(
    context: &mut Context<'_>,
    create: &CreateFeatureView,
    text: &str,
) -> Result<String> {
    let tag = "CREATE FEATURE VIEW".to_owned();
    let place = context.environment.target(context.lakes, &create.name, false)?;
    check_name(&place.name)?;
    let state = Arc::clone(context.lakes.main.state());
    match state.schemas.get(&place.schema).and_then(|s| s.relations.get(&place.name)) {
        Some(Relation::View(_)) if create.or_replace => {}
        Some(Relation::Table(_)) if create.or_replace => {
            return Err(Error::new("42809", format!("\"{}\" is not a view", place.name)));
        }
        None if !features::is_taken(&state, &place) => {}
        _ => {
            let message = format!("relation \"{}\" already exists", place.name);
            if !create.if_not_exists {
                return Err(Error::new("42P07", message));
            }
            context.notices.push(Notice::notice(format!("{message}, skipping")));
            return Ok(tag);
        }
    }
    create_view::check_parameters(&create.query)?;
    let sql = create_view::query_text(&create.query, text);
    if create_view::reads_temp(context, &sql)? {
        let message = "feature views must not use temporary tables or views";
        return Err(Error::new("0A000", message)
            .with_hint("What a feature view reads must last for other connections too."));
    }
    let asked = asked(context, create)?;
    let (fields, has_others) = planned(context, &create.query, Some(&asked), &[]).await?;
    if has_others {
        context.notices.push(not_at_label(&place.name));
    }
    create_view::store(context, &place, &fields, sql, &[], Replace::Any).await?;
    define(context, &place, asked)?;
    Ok(tag)
}

/// The columns of a query, which is that of a feature view if `asked` says so; `named`: as they are
/// declared, if they are. And whether it has windows that are not told at a label's time.
async fn planned(
    context: &Context<'_>,
    query: &Query,
    asked: Option<&Asked>,
    named: &[FieldRef],
) -> Result<(Fields, bool)> {
    let (environment, lakes) = (context.environment, &*context.lakes);
    if let Some(asked) = asked {
        let by = (asked.key.as_slice(), asked.timestamp.as_str());
        let view = WindowedView::plan(environment, lakes, query, by, named, 0).await?;
        if let Some(view) = view {
            return Ok((view.fields()?, has_windows(&view.needed()?)?));
        }
    }
    let plan = plan::plan_query(environment, lakes, query.clone(), &[], Vec::new()).await?;
    Ok((plan.schema().inner().fields().clone(), has_windows(&plan)?))
}

/// The columns that a query gives a view at a place, which may be a feature view.
pub(super) async fn fields(
    context: &mut Context<'_>,
    place: &Place,
    query: &Query,
) -> Result<Fields> {
    let asked = kept_at(context, place).as_ref().and_then(Asked::of);
    let (fields, has_others) = planned(context, query, asked.as_ref(), &[]).await?;
    if asked.is_some() && has_others {
        context.notices.push(not_at_label(&place.name));
    }
    Ok(fields)
}

/// What a statement says of a feature view.
#[derive(Default)]
struct Asked {
    key: Vec<String>,
    timestamp: String,
    created: Option<String>,
    ttl_us: Option<i64>,
    delay_us: i64,
    metadata: Metadata,
}

fn asked(context: &Context<'_>, create: &CreateFeatureView) -> Result<Asked> {
    let engine = &context.environment.engine;
    let clauses = &create.clauses;
    let length = |value: &Option<Expr>, what: &str| {
        value.as_ref().map(|value| duration_us(engine, value.clone(), what)).transpose()
    };
    let freshness_us = match &clauses.freshness {
        None => None,
        Some(Freshness::Realtime) => Some(0),
        Some(Freshness::Within(value)) => Some(duration_us(engine, value.clone(), "FRESHNESS")?),
    };
    let mut metadata = Metadata { freshness_us, online: clauses.online, ..Metadata::default() };
    for option in &clauses.options {
        metadata.options.insert(folded(&option.name), option.value.clone().unwrap_or_default());
    }
    Ok(Asked {
        key: clauses.key.iter().map(folded).collect(),
        timestamp: folded(&create.timestamp),
        created: clauses.created.as_ref().map(folded),
        // Zero is "unlimited", as where features are usually kept.
        ttl_us: length(&clauses.ttl, "TTL")?.filter(|ttl| *ttl > 0),
        delay_us: length(&clauses.delay, "DELAY")?.unwrap_or(0),
        metadata,
    })
}

/// `v@2` names a version, and `s:v` is how other stores name a view of a service.
fn check_name(name: &str) -> Result<()> {
    match name.contains(['@', ':']) {
        false => Ok(()),
        true => Err(Error::new("42602", format!("invalid name of a feature view: \"{name}\""))
            .with_hint("\"@\" and \":\" have a meaning in names of feature views.")),
    }
}

/// The relation of what is in force now has a name of its own.
fn check_online_name(state: &State, place: &Place) -> Result<()> {
    let name = features::online_name(&place.name);
    match state.schemas.get(&place.schema).is_some_and(|s| s.relations.contains_key(&name)) {
        false => Ok(()),
        true => Err(Error::new("42P07", format!("relation \"{name}\" already exists"))
            .with_detail(format!(
                "ONLINE feature view \"{}\" has a relation of that name beside it.",
                place.name
            ))
            .with_hint("Rename one of them.")),
    }
}

fn view_at(context: &Context<'_>, place: &Place) -> Result<Arc<View>> {
    let state = context.lakes.main.state();
    match state.schemas.get(&place.schema).and_then(|s| s.relations.get(&place.name)) {
        Some(Relation::View(view)) => Ok(Arc::clone(view)),
        _ => Err(Error::new("42809", format!("\"{}\" is not a view", place.name))),
    }
}

/// Keeps what is asked for; another version if it changes rows or their choice.
fn define(context: &mut Context<'_>, place: &Place, asked: Asked) -> Result<()> {
    let view = view_at(context, place)?;
    check_columns(&view, &asked)?;
    let state = context.lakes.main.state();
    check_services(state, place, &view)?;
    if asked.metadata.online {
        check_online_name(state, place)?;
    }
    let windows = windows::texts(&parse::parse_query(&view.sql)?)?;
    let column = |field: &FieldRef| {
        let of = field.metadata().get(VIEW_COLUMN_OF).unwrap_or(field.name());
        Feature {
            name: field.name().clone(),
            data_type: types::describe(field).data_type,
            window: windows.get(of).cloned(),
        }
    };
    let new = Version {
        sql: view.sql.clone(),
        written: view.sql.clone(),
        search_path: view.search_path.clone(),
        columns: view.columns.iter().map(column).collect(),
        key: asked.key,
        timestamp: asked.timestamp,
        created: asked.created,
        ttl_us: asked.ttl_us,
        delay_us: asked.delay_us,
        snapshot_id: state.snapshot.id,
    };
    let history = FeatureView::history(state, &place.schema, &place.name);
    let mut versions = history.map(|kept| kept.versions).unwrap_or_default();
    match versions.last_mut() {
        // Which may read what has another name now.
        Some(last) if last.same(&new) => (last.sql, last.written) = (new.sql, new.written),
        _ => versions.push(new),
    }
    let (view, metadata) = (view.uuid.clone(), asked.metadata);
    let kept = FeatureView { view, versions, metadata, moved: false };
    kept.keep(&mut context.lakes.main, &place.schema, &place.name)
}

/// ALTER [FEATURE] VIEW … SET (…), RESET (…).
pub(super) async fn set(context: &mut Context<'_>, alter: &AlterFeatureView) -> Result<String> {
    let word = if alter.of_feature_view { "FEATURE VIEW" } else { "VIEW" };
    let tag = format!("ALTER {word}");
    let Some((place, found)) = context.relation(&alter.name, alter.if_exists)? else {
        return Ok(tag);
    };
    context.environment.must_own(context.lakes, &place, &found)?;
    if place.temp || !matches!(found, Found::Relation(Relation::View(_))) {
        return Err(Error::new("42809", format!("\"{}\" is not a lasting view", place.name)));
    }
    let view = view_at(context, &place)?;
    let state = context.lakes.main.state();
    let old = FeatureView::of(state, &place.schema, &view);
    if alter.of_feature_view && old.is_none() {
        return Err(not_one(&place.name));
    }
    let mut asked = old.as_ref().and_then(Asked::of).unwrap_or_default();
    for option in &alter.set {
        let name = plain_name(&option.name, alter.of_feature_view)?;
        let value = option.value.as_deref().unwrap_or("true");
        asked.set(context, &name, value)?;
    }
    for name in &alter.reset {
        let name = plain_name(name, alter.of_feature_view)?;
        if name == "time" {
            drop_services(context, &place, false)?;
            FeatureView::forget(&mut context.lakes.main, &place.schema, &place.name)?;
            Kept::forget(&mut context.lakes.main, &view)?;
            return Ok(tag);
        }
        asked.reset(&name);
    }
    if asked.timestamp.is_empty() {
        return Err(Error::new("42601", "a feature view needs the column of its time")
            .with_hint("Set feature_time, and feature_key for the columns of its key."));
    }
    check_name(&place.name)?;
    if check_query(context, &view, &asked).await? {
        context.notices.push(not_at_label(&place.name));
    }
    define(context, &place, asked)?;
    Ok(tag)
}

/// A plain view's query must be one that a feature view can have, with the same columns. Whether it
/// has windows that are not told at a label's time.
async fn check_query(context: &Context<'_>, view: &View, asked: &Asked) -> Result<bool> {
    let query = parse::parse_query(&view.sql)?;
    let search_path = view.search_path.clone();
    let environment = &Environment { search_path, ..context.environment.clone() };
    if windows::texts(&query)?.is_empty() {
        return has_windows(
            &plan::plan_query(environment, context.lakes, query, &[], Vec::new()).await?,
        );
    }
    let by = (asked.key.as_slice(), asked.timestamp.as_str());
    let lakes = &*context.lakes;
    let planned = WindowedView::plan(environment, lakes, &query, by, &view.columns, 1).await?;
    let Some(planned) = planned else { return Ok(false) };
    let fields = planned.fields()?;
    for (column, field) in view.columns.iter().zip(&fields) {
        let (is, was) = (types::describe(field), types::describe(column));
        if is.udt_name != was.udt_name {
            let message = format!(
                "column \"{}\" of the view is of type {}, and at a label's time of type {}",
                column.name(),
                was.data_type,
                is.data_type
            );
            return Err(Error::new("42804", message)
                .with_hint("CREATE OR REPLACE FEATURE VIEW makes it anew."));
        }
    }
    has_windows(&planned.needed()?)
}

/// `feature_ttl` of a view is `ttl` of a feature view.
fn plain_name(name: &Ident, of_feature_view: bool) -> Result<String> {
    let name = folded(name);
    match (name.strip_prefix(PREFIX), of_feature_view) {
        (Some(plain), _) => Ok(plain.to_owned()),
        (None, true) => Ok(name),
        (None, false) => Err(Error::new("22023", format!("unrecognized parameter \"{name}\""))
            .with_hint("Options of views that are features begin with \"feature_\".")),
    }
}

impl Asked {
    /// What a feature view is now.
    fn of(kept: &FeatureView) -> Option<Self> {
        let (_, version) = kept.current()?;
        Some(Self {
            key: version.key.clone(),
            timestamp: version.timestamp.clone(),
            created: version.created.clone(),
            ttl_us: version.ttl_us,
            delay_us: version.delay_us,
            metadata: kept.metadata.clone(),
        })
    }

    fn set(&mut self, context: &Context<'_>, name: &str, value: &str) -> Result<()> {
        let text = Expr::value(Value::SingleQuotedString(value.to_owned()));
        let length = |what| duration_us(&context.environment.engine, text.clone(), what);
        match name {
            "key" => {
                let names = value.split(',').map(|name| name.trim().to_owned());
                self.key = names.filter(|name| !name.is_empty()).collect();
            }
            "time" | "timestamp" => self.timestamp = value.to_owned(),
            "created" => self.created = Some(value.to_owned()),
            "ttl" => self.ttl_us = Some(length("TTL")?).filter(|ttl| *ttl > 0),
            "delay" => self.delay_us = length("DELAY")?,
            "freshness" => {
                let realtime = value.eq_ignore_ascii_case("realtime");
                self.metadata.freshness_us = Some(if realtime { 0 } else { length("FRESHNESS")? });
            }
            "online" => {
                self.metadata.online = match value.to_ascii_lowercase().as_str() {
                    "true" | "on" | "yes" | "1" => true,
                    "false" | "off" | "no" | "0" => false,
                    _ => {
                        let message =
                            format!("invalid value for boolean option \"online\": {value}");
                        return Err(Error::new("22023", message));
                    }
                };
            }
            other => {
                if let Some(hint) = near_names(other, PARAMETERS.iter().copied()) {
                    let message = format!("unrecognized parameter \"{other}\" of a feature view");
                    return Err(Error::new("22023", message).with_hint(hint));
                }
                self.metadata.options.insert(other.to_owned(), value.to_owned());
            }
        }
        Ok(())
    }

    fn reset(&mut self, name: &str) {
        match name {
            "key" => self.key.clear(),
            "created" => self.created = None,
            "ttl" => self.ttl_us = None,
            "delay" => self.delay_us = 0,
            "freshness" => self.metadata.freshness_us = None,
            "online" => self.metadata.online = false,
            other => _ = self.metadata.options.remove(other),
        }
    }
}

fn not_one(name: &str) -> Error {
    Error::new("42809", format!("\"{name}\" is not a feature view"))
        .with_hint("List feature views: SELECT * FROM ml.feature_views.")
}

/// DROP FEATURE VIEW: the view and every version of it.
pub(super) fn drop_views(
    context: &mut Context<'_>,
    names: &[ObjectName],
    if_exists: bool,
    cascade: bool,
) -> Result<String> {
    for name in names {
        let Some((place, found)) = context.relation(name, if_exists)? else { continue };
        drop::may_drop(context, &place, &found)?;
        let state = Arc::clone(context.lakes.main.state());
        let is_one = match &found {
            Found::Relation(Relation::View(view)) if !place.temp => {
                FeatureView::of(&state, &place.schema, view).is_some()
            }
            _ => false,
        };
        if !is_one {
            return Err(not_one(&place.name));
        }
        drop::drop_place(context, &place, ObjectType::View, cascade)?;
        FeatureView::forget(&mut context.lakes.main, &place.schema, &place.name)?;
    }
    Ok("DROP FEATURE VIEW".to_owned())
}

/// A plain CREATE OR REPLACE VIEW may have given a feature view another query.
pub(super) fn revised(context: &mut Context<'_>, place: &Place) -> Result<()> {
    match kept_at(context, place).as_ref().and_then(Asked::of) {
        Some(asked) => define(context, place, asked),
        None => Ok(()),
    }
}

/// The view at `from` is now at `to`: what it is goes with it. The versions of the old name stay,
/// for the view that is swapped in under it.
pub(super) fn renamed(context: &mut Context<'_>, from: &Place, to: &Place) -> Result<()> {
    let state = context.lakes.main.state();
    let Some(kept) = FeatureView::history(state, &from.schema, &from.name) else { return Ok(()) };
    if from.temp || view_at(context, to).map_or(true, |view| view.uuid != kept.view) {
        return Ok(());
    }
    let told = still_asked_for(state, from);
    context.notices.extend(told);
    kept.keep_moved(&mut context.lakes.main, from, to)
}

/// The view goes, and with it the rows that are kept of it, what a rename brought here and, with
/// `cascade`, the services that ask for it.
pub(super) fn dropped(context: &mut Context<'_>, place: &Place, cascade: bool) -> Result<()> {
    if kept_at(context, place).is_some() {
        drop_services(context, place, cascade)?;
    }
    if let (false, Ok(view)) = (place.temp, view_at(context, place)) {
        Kept::forget(&mut context.lakes.main, &view)?;
    }
    match kept_at(context, place) {
        Some(kept) if kept.moved => {
            FeatureView::forget(&mut context.lakes.main, &place.schema, &place.name)
        }
        _ => Ok(()),
    }
}

fn kept_at(context: &Context<'_>, place: &Place) -> Option<FeatureView> {
    if place.temp {
        return None;
    }
    let view = view_at(context, place).ok()?;
    FeatureView::of(context.lakes.main.state(), &place.schema, &view)
}

/// Keys and times must be columns, of types that can be that.
fn check_columns(view: &View, asked: &Asked) -> Result<()> {
    let column = |name: &str, what: &str| {
        view.columns.iter().find(|field| field.name() == name).ok_or_else(|| {
            let names: Vec<&str> = view.columns.iter().map(|c| c.name().as_str()).collect();
            Error::new("42703", format!("{what} column \"{name}\" does not exist in the query"))
                .with_hint(format!("Its columns are: {}.", names.join(", ")))
        })
    };
    for (index, name) in asked.key.iter().enumerate() {
        let field = column(name, "KEY")?;
        if asked.key[..index].contains(name) {
            return Err(Error::new("42701", format!("KEY column \"{name}\" appears twice")));
        }
        if field.data_type().is_nested() || json(field) {
            return Err(mistyped("KEY", field, "a type with equality"));
        }
    }
    for (name, what) in [(Some(&asked.timestamp), "TIMESTAMP"), (asked.created.as_ref(), "CREATED")]
    {
        let Some(name) = name else { continue };
        let field = column(name, what)?;
        match field.data_type() {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {}
            _ => return Err(mistyped(what, field, "a timestamp or date")),
        }
        if asked.key.contains(name) {
            let message = format!("column \"{name}\" cannot be both KEY and {what}");
            return Err(Error::new("42701", message));
        }
    }
    Ok(())
}

fn json(field: &Field) -> bool {
    matches!(types::describe(field).udt_name.as_str(), "json" | "jsonb")
}

fn mistyped(what: &str, field: &Field, expected: &str) -> Error {
    let name = field.name();
    let of = types::describe(field).data_type;
    Error::new("42804", format!("{what} column \"{name}\" is of type {of}, not {expected}"))
}
