//! CREATE and DROP FEATURE SERVICE: the features that one model reads, by view.

use std::collections::BTreeMap;

use catalog::Relation;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::Context;
use crate::error::{Error, Result};
use crate::features::{FeatureService, FeatureView, ServiceView, Version, services};
use crate::names::folded;
use crate::parse::{self, CreateFeatureService};
use crate::plan::{Found, Place};
use crate::{Notice, plan};

/// Every view of a service is one join more, one inside the other.
const MOST_VIEWS: usize = 200;

pub(super) fn create(context: &mut Context<'_>, create: &CreateFeatureService) -> Result<String> {
    let tag = "CREATE FEATURE SERVICE".to_owned();
    let place = context.environment.target(context.lakes, &create.name, false)?;
    let old = FeatureService::of(context.lakes.main.state(), &place);
    if old.is_some() && !create.or_replace {
        let message = format!("feature service \"{}\" already exists", place.name);
        if !create.if_not_exists {
            return Err(Error::new("42710", message));
        }
        context.notices.push(Notice::notice(format!("{message}, skipping")));
        return Ok(tag);
    }
    if create.views.len() > MOST_VIEWS {
        let message = format!("a feature service can have at most {MOST_VIEWS} feature views");
        return Err(Error::new("54000", message));
    }
    let views: Result<Vec<ServiceView>> =
        create.views.iter().map(|view| service_view(context, view)).collect();
    let views = views?;
    check_aliases(&views)?;
    let comment = old.and_then(|old| old.comment);
    FeatureService { views, comment }.keep(&mut context.lakes.main, &place)?;
    Ok(tag)
}

/// Every name must mean something now.
fn service_view(context: &Context<'_>, view: &parse::ServiceView) -> Result<ServiceView> {
    let (place, found) = context.environment.expect(context.lakes, &view.view)?;
    let state = context.lakes.main.state();
    let kept = match &found {
        Found::Relation(Relation::View(found)) if !place.temp => {
            FeatureView::of(state, &place.schema, found)
        }
        _ => None,
    };
    let Some(kept) = kept else {
        return Err(Error::new("42809", format!("\"{}\" is not a feature view", place.name))
            .with_hint("List feature views: SELECT * FROM ml.feature_views."));
    };
    let version = match view.version {
        None => kept.current().map(|(_, version)| version),
        Some(number) => kept.version(number),
    };
    let Some(version) = version else {
        let number = view.version.unwrap_or_default();
        let newest = kept.versions.len();
        return Err(Error::new(
            "42704",
            format!("version {number} of feature view \"{}\" does not exist", place.name),
        )
        .with_hint(format!("Its newest version is {newest}.")));
    };
    let key: Vec<String> = match view.key.as_slice() {
        [] => version.key.clone(),
        names => names.iter().map(folded).collect(),
    };
    if key.len() != version.key.len() {
        let (of, given) = (version.key.join(", "), key.len());
        return Err(Error::new(
            "42601",
            format!("feature view \"{}\" has another number of keys than {given}", place.name),
        )
        .with_hint(format!("Name a label column for each of: {of}.")));
    }
    let features = features(&place, version, view)?;
    let alias = view.alias.as_ref().map_or_else(|| place.name.clone(), folded);
    let (schema, view, version) = (place.schema, place.name, view.version);
    Ok(ServiceView { schema, view, version, alias, key, features })
}

/// The features that are listed, with the names they get.
fn features(
    place: &Place,
    version: &Version,
    view: &parse::ServiceView,
) -> Result<Option<Vec<(String, String)>>> {
    if view.features.is_empty() {
        return Ok(None);
    }
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, alias) in &view.features {
        let name = folded(name);
        if !version.features().any(|feature| feature.name == name) {
            let names: Vec<&str> = version.features().map(|f| f.name.as_str()).collect();
            return Err(Error::new(
                "42703",
                format!("feature \"{name}\" of feature view \"{}\" does not exist", place.name),
            )
            .with_hint(format!("Its features are: {}.", names.join(", "))));
        }
        let alias = alias.as_ref().map_or_else(|| name.clone(), folded);
        if found.iter().any(|(_, other)| *other == alias) {
            return Err(Error::new("42701", format!("feature \"{alias}\" specified twice"))
                .with_hint("Give one of them another name with AS."));
        }
        found.push((name, alias));
    }
    Ok(Some(found))
}

/// One view may serve twice, under two names.
fn check_aliases(views: &[ServiceView]) -> Result<()> {
    let mut seen = BTreeMap::new();
    for view in views {
        if seen.insert(&view.alias, ()).is_some() {
            return Err(Error::new(
                "42712",
                format!("feature view name \"{}\" specified more than once", view.alias),
            )
            .with_hint("Give one of them another name with AS."));
        }
    }
    Ok(())
}

pub(super) fn drop_services(
    context: &mut Context<'_>,
    names: &[ObjectName],
    if_exists: bool,
) -> Result<String> {
    for name in names {
        match find(context, name)? {
            Some(place) => FeatureService::forget(&mut context.lakes.main, &place)?,
            None if if_exists => {
                let message = format!("feature service \"{name}\" does not exist, skipping");
                context.notices.push(Notice::notice(message));
            }
            None => return Err(undefined(context, name)),
        }
    }
    Ok("DROP FEATURE SERVICE".to_owned())
}

/// COMMENT ON FEATURE SERVICE.
pub(super) fn comment(
    context: &mut Context<'_>,
    name: &ObjectName,
    comment: Option<String>,
) -> Result<String> {
    let Some(place) = find(context, name)? else { return Err(undefined(context, name)) };
    if let Some(kept) = FeatureService::of(context.lakes.main.state(), &place) {
        let comment = comment.filter(|text| !text.is_empty());
        FeatureService { comment, ..kept }.keep(&mut context.lakes.main, &place)?;
    }
    Ok("COMMENT".to_owned())
}

/// Where a service is; whoever changes it may create in its schema.
fn find(context: &Context<'_>, name: &ObjectName) -> Result<Option<Place>> {
    let parts = plan::parts(name)?;
    let state = context.lakes.main.state();
    let candidates = context.environment.candidates(&parts)?;
    let found = candidates.into_iter().find(|place| FeatureService::of(state, place).is_some());
    if let Some(place) = &found {
        context.environment.require_create(state, &place.schema)?;
    }
    Ok(found)
}

fn undefined(context: &Context<'_>, name: &ObjectName) -> Error {
    let error = Error::new("42704", format!("feature service \"{name}\" does not exist"));
    let known = services(context.lakes.main.state());
    let names: Vec<&str> = known.iter().map(|(_, name, _)| *name).take(5).collect();
    match names.is_empty() {
        true => error,
        false => error.with_hint(format!("There are: {}.", names.join(", "))),
    }
}
