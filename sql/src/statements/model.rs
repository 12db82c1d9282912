//! CREATE, ALTER and DROP MODEL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use catalog::Transaction;
use catalog::registry::{Training, new_folder};
use datafusion::object_store::ObjectStoreExt;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use uuid::Uuid;

use super::{Context, create_view, default_privileges};
use crate::access::{Object, Privileges};
use crate::error::{Error, Result, near_names};
use crate::functions::identifier;
use crate::models::{
    self, Asked, CANDIDATE, CHAMPION, Event, Given, Model, Trained, UnderWay, Version, undefined,
};
use crate::names::folded;
use crate::parse::{CreateModel, ModelSource, OfModel, OptionValue, TransformItem};
use crate::plan::Place;
use crate::{Notice, plan};

/// Runs one of the statements.
pub(super) async fn run(context: &mut Context<'_>, of: &OfModel, text: &str) -> Result<String> {
    match of {
        OfModel::Create(model) => create(context, model, text).await,
        OfModel::Alias { name, alias, version } => {
            set_alias(context, name, &folded(alias), *version)
        }
        OfModel::Rollback { name, alias } => rollback(context, name, alias.as_ref()),
        OfModel::Tags { name, tags, version } => set_tags(context, name, tags, *version),
        OfModel::Drop { names, if_exists, version } => drop(context, names, *if_exists, *version),
        OfModel::Comment { name, comment } => {
            let (place, mut model) = expect(context, name)?;
            must_own(context, &place, &model)?;
            model.comment = comment.clone().filter(|text| !text.is_empty());
            model.keep(&mut context.lakes.main, &place)?;
            Ok("COMMENT".to_owned())
        }
    }
}

async fn create(context: &mut Context<'_>, create: &CreateModel, text: &str) -> Result<String> {
    let tag = "CREATE MODEL".to_owned();
    let place = context.environment.target(context.lakes, &create.name, false)?;
    if place.temp {
        return Err(Error::new("0A000", "a model cannot be temporary"));
    }
    let snapshot_id = context.lakes.main.state().snapshot.id;
    if may_make(context, create, &place)?.is_some() && create.if_not_exists {
        let message = format!("model \"{}\" already exists, skipping", place.name);
        context.notices.push(Notice::notice(message));
        return Ok(tag);
    }
    let began = Instant::now();
    let given = Given::new(&create.options)?;
    let mut options = given.shown();
    let trained = match &create.source {
        ModelSource::Query(query) => {
            let (transform, query) = (create.transform.as_deref(), query.as_ref().clone());
            let training = begin_training(context, &place);
            let asked = Asked { transform, given, query, training };
            models::train(context.environment, context.lakes, asked).await?
        }
        ModelSource::File(file) => imported(context, create, given, file).await?,
    };
    let seconds = began.elapsed().as_secs_f64();
    options.extend(trained.chosen.clone());
    if context.environment.alone {
        // Training takes its time: the version joins what the model has become meanwhile.
        let lake = Arc::clone(&context.environment.lake);
        let now = lake.current().await?;
        context.lakes.main = Transaction::begin(lake, now);
        context.environment.target(context.lakes, &create.name, false)?;
    }
    let old = may_make(context, create, &place)?;
    let folder = new_folder();
    let version = Version {
        number: old.as_ref().map_or(1, |old| old.next),
        folder: folder.clone(),
        sha256: String::new(),
        bytes: 0,
        kind: trained.kind.to_owned(),
        options,
        query: match &create.source {
            ModelSource::Query(query) => create_view::query_text(query, text),
            ModelSource::File(file) => file.clone(),
        },
        transform: create.transform.as_deref().map(transform_text),
        search_path: context.environment.search_path.clone(),
        snapshot_id,
        created_at: now(context),
        seconds,
        rows: trained.rows,
        test_rows: trained.test_rows,
        metrics: trained.metrics.clone(),
        tags: shown(&create.tags),
        parent: old.as_ref().and_then(|old| old.versions.last()).map(|version| version.number),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        trials: trained.trials.clone(),
    };
    for told in &trained.told {
        context.notices.push(Notice::notice(format!("model \"{}\": {told}", place.name)));
    }
    match keep(context, &place, (old, version), trained).await {
        Ok(()) => Ok(tag),
        Err(error) => {
            context.environment.lake.remove_model(&folder).await;
            Err(error)
        }
    }
}

/// A training that those who watch can see.
fn begin_training(context: &Context<'_>, place: &Place) -> Arc<Training> {
    let training = context.environment.lake.begin_training(&place.schema, &place.name);
    if let Some(under_way) = context.environment.engine.config().get_extension::<UnderWay>() {
        under_way.begin(&training);
    }
    training
}

/// The model that there is, if another version of it may be made.
fn may_make(context: &Context<'_>, create: &CreateModel, place: &Place) -> Result<Option<Model>> {
    let state = context.lakes.main.state();
    let Some(old) = Model::of(state, place) else { return Ok(None) };
    if !create.or_replace && !create.if_not_exists {
        let message = format!("model \"{}\" already exists", place.name);
        return Err(Error::new("42710", message)
            .with_hint("CREATE OR REPLACE MODEL makes another version of it."));
    }
    let object = Object::model(&place.name, &old.uuid);
    context.environment.authority.require(state, &object, Privileges::TRAIN)?;
    Ok(Some(old))
}

/// Writes the objects and then names them.
async fn keep(
    context: &mut Context<'_>,
    place: &Place,
    (old, mut version): (Option<Model>, Version),
    trained: Trained,
) -> Result<()> {
    let (objects, digest) = trained.objects()?;
    for (name, bytes) in objects {
        version.bytes += bytes.len() as u64;
        let lake = &context.environment.lake;
        lake.put_model_object(&version.folder, name, bytes.into()).await?;
    }
    version.sha256 = digest;
    let is_new = old.is_none();
    let mut model = old.unwrap_or_else(|| Model {
        uuid: Uuid::now_v7().to_string(),
        versions: Vec::new(),
        next: 1,
        aliases: BTreeMap::new(),
        events: Vec::new(),
        comment: None,
    });
    let number = version.number;
    model.next = number + 1;
    model.aliases.insert(CANDIDATE.to_owned(), number);
    // A bare name means something from the first version on; later ones are promoted.
    let promoted = !model.aliases.contains_key(CHAMPION);
    if promoted {
        model.aliases.insert(CHAMPION.to_owned(), number);
    }
    model.events.push(event(context, "create", Some(number)));
    let metrics: Vec<String> =
        version.metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
    let (name, seconds) = (&place.name, version.seconds);
    let mut message = format!("model \"{name}\" version {number}, {seconds:.1} s");
    if !metrics.is_empty() {
        let of = match version.test_rows {
            0 => "on rows held out".to_owned(),
            rows => format!("on {rows} rows"),
        };
        message.push_str(&format!(", {of}: {}", metrics.join(", ")));
    }
    let whole = format!("{}.{}", identifier(&place.schema), identifier(name));
    let hint = format!("ALTER MODEL {whole} SET ALIAS {CHAMPION} = {number} puts it in use.");
    let hint = (!promoted).then_some(hint);
    context.notices.push(Notice { hint, ..Notice::notice(message) });
    model.versions.push(version);
    model.keep(&mut context.lakes.main, place)?;
    if is_new {
        let object = Object::model(&place.name, &model.uuid);
        default_privileges::own(context, &object, &place.schema)?;
    }
    Ok(())
}

async fn imported(
    context: &Context<'_>,
    create: &CreateModel,
    mut given: Given,
    file: &str,
) -> Result<Trained> {
    context.environment.may_use_files(false)?;
    if create.transform.is_some() {
        return Err(Error::unsupported("TRANSFORM of a model from a file"));
    }
    let Some(format) = given.text("format")? else {
        return Err(Error::new("22023", "option \"format\" is missing").with_hint(models::FORMATS));
    };
    let names = given.texts("features")?;
    given.check("file")?;
    let located = plan::located(&context.environment.engine, file)?;
    let unreadable = |error: datafusion::object_store::Error| {
        let sqlstate = match error {
            datafusion::object_store::Error::NotFound { .. } => "58P01",
            _ => "58030",
        };
        Error::new(sqlstate, format!("could not read \"{file}\": {error}"))
    };
    let found = located.store.get(&located.path).await.map_err(unreadable)?;
    let bytes = found.bytes().await.map_err(unreadable)?;
    models::imported(&format, &bytes, names).map_err(|error| match error {
        Error::Statement { sqlstate: sqlstate @ "22000", message, .. } => {
            Error::new(sqlstate, format!("\"{file}\" is no {format} model: {message}"))
        }
        Error::Statement { sqlstate: sqlstate @ "0A000", message, .. } => {
            Error::new(sqlstate, format!("\"{file}\": {message}"))
        }
        other => other,
    })
}

fn transform_text(items: &[TransformItem]) -> String {
    let items: Vec<String> = items.iter().map(TransformItem::to_string).collect();
    items.join(", ")
}

fn shown(options: &[(String, OptionValue)]) -> BTreeMap<String, String> {
    options.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
}

fn now(context: &Context<'_>) -> String {
    let started = context.environment.engine.execution_props().query_execution_start_time;
    started.unwrap_or_default().to_rfc3339()
}

fn event(context: &Context<'_>, event: &str, version: Option<u32>) -> Event {
    let (at, by) = (now(context), context.environment.user.clone());
    Event { at, by, event: event.to_owned(), version, before: None, alias: None }
}

/// The model of a name.
fn expect(context: &Context<'_>, name: &ObjectName) -> Result<(Place, Model)> {
    let parts = plan::parts(name)?;
    let state = context.lakes.main.state();
    models::find(context.environment, state, &parts)?.ok_or_else(|| undefined(state, &parts))
}

fn must_own(context: &Context<'_>, place: &Place, model: &Model) -> Result<()> {
    let object = Object::model(&place.name, &model.uuid);
    context.environment.authority.must_own(context.lakes.main.state(), &object)
}

fn may_deploy(context: &Context<'_>, place: &Place, model: &Model) -> Result<()> {
    let object = Object::model(&place.name, &model.uuid);
    let state = context.lakes.main.state();
    context.environment.authority.require(state, &object, Privileges::DEPLOY)
}

fn no_version(place: &Place, model: &Model, number: u32) -> Error {
    let known: Vec<String> = model.versions.iter().map(|v| v.number.to_string()).collect();
    Error::new("42704", format!("version {number} of model \"{}\" does not exist", place.name))
        .with_hint(format!("Its versions are {}.", known.join(", ")))
}

/// SET ALIAS and DROP ALIAS.
fn set_alias(
    context: &mut Context<'_>,
    name: &ObjectName,
    alias: &str,
    version: Option<u32>,
) -> Result<String> {
    let (place, mut model) = expect(context, name)?;
    may_deploy(context, &place, &model)?;
    if alias.parse::<u32>().is_ok() || alias.is_empty() {
        return Err(Error::new("22023", format!("\"{alias}\" cannot be an alias"))
            .with_hint("Numbers are versions."));
    }
    let before = match version {
        Some(number) => {
            if model.version(number).is_none() {
                return Err(no_version(&place, &model, number));
            }
            model.aliases.insert(alias.to_owned(), number)
        }
        None => {
            let before = model.aliases.remove(alias);
            Some(before.ok_or_else(|| no_alias(&place, &model, alias))?)
        }
    };
    let what = if version.is_some() { "set alias" } else { "drop alias" };
    let alias = Some(alias.to_owned());
    model.events.push(Event { before, alias, ..event(context, what, version) });
    model.keep(&mut context.lakes.main, &place)?;
    Ok("ALTER MODEL".to_owned())
}

fn no_alias(place: &Place, model: &Model, alias: &str) -> Error {
    let message = format!("alias \"{alias}\" of model \"{}\" does not exist", place.name);
    let error = Error::new("42704", message);
    match near_names(alias, model.aliases.keys().map(String::as_str)) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// An alias points where it did before its last move; what was rolled back is not gone to again.
fn rollback(context: &mut Context<'_>, name: &ObjectName, alias: Option<&Ident>) -> Result<String> {
    let (place, mut model) = expect(context, name)?;
    may_deploy(context, &place, &model)?;
    let alias = alias.map_or_else(|| CHAMPION.to_owned(), folded);
    let Some(now) = model.aliases.get(&alias).copied() else {
        return Err(no_alias(&place, &model, &alias));
    };
    let before = past(&model, &alias).filter(|number| model.version(*number).is_some());
    let Some(before) = before else {
        let message = format!("alias \"{alias}\" of model \"{}\" has no past", place.name);
        return Err(Error::new("55000", message)
            .with_hint("SELECT * FROM ml.model_events shows what was done."));
    };
    model.aliases.insert(alias.clone(), before);
    let (back, alias) = (Some(now), Some(alias));
    model.events.push(Event { before: back, alias, ..event(context, "rollback", Some(before)) });
    model.keep(&mut context.lakes.main, &place)?;
    let (name, message) = (&place.name, format!("went back from version {now} to {before}"));
    context.notices.push(Notice::notice(format!("model \"{name}\" {message}")));
    Ok("ALTER MODEL".to_owned())
}

/// Where an alias was before it came where it is: moves are a stack, rollbacks take off its top.
fn past(model: &Model, alias: &str) -> Option<u32> {
    let mut stack: Vec<u32> = Vec::new();
    let first = model.events.iter().find(|event| event.event == "create");
    if alias == CHAMPION {
        stack.extend(first.and_then(|event| event.version));
    }
    for event in model.events.iter().filter(|event| event.alias.as_deref() == Some(alias)) {
        match event.event.as_str() {
            "rollback" => drop_last(&mut stack),
            "set alias" => {
                if stack.last() != event.version.as_ref() {
                    stack.extend(event.version);
                }
            }
            _ => {}
        }
    }
    stack.len().checked_sub(2).map(|below| stack[below])
}

fn drop_last(stack: &mut Vec<u32>) {
    stack.pop();
}

fn set_tags(
    context: &mut Context<'_>,
    name: &ObjectName,
    tags: &[(String, OptionValue)],
    version: Option<u32>,
) -> Result<String> {
    let (place, mut model) = expect(context, name)?;
    let object = Object::model(&place.name, &model.uuid);
    let state = context.lakes.main.state();
    context.environment.authority.require(state, &object, Privileges::TRAIN)?;
    let newest = model.versions.last().map_or(0, |version| version.number);
    let number = version.unwrap_or(newest);
    let missing = no_version(&place, &model, number);
    let of = model.versions.iter_mut().find(|version| version.number == number);
    of.ok_or(missing)?.tags.extend(shown(tags));
    model.events.push(event(context, "set tag", Some(number)));
    model.keep(&mut context.lakes.main, &place)?;
    Ok("ALTER MODEL".to_owned())
}

/// DROP MODEL, or one version of a model: not one that an alias points at.
fn drop(
    context: &mut Context<'_>,
    names: &[ObjectName],
    if_exists: bool,
    version: Option<u32>,
) -> Result<String> {
    for name in names {
        let (place, mut model) = match expect(context, name) {
            Ok(found) => found,
            Err(Error::Statement { sqlstate: "42704", message, .. }) if if_exists => {
                context.notices.push(Notice::notice(format!("{message}, skipping")));
                continue;
            }
            Err(error) => return Err(error),
        };
        must_own(context, &place, &model)?;
        let Some(number) = version else {
            Model::forget(&mut context.lakes.main, &place)?;
            continue;
        };
        if model.version(number).is_none() {
            return Err(no_version(&place, &model, number));
        }
        let aliases: Vec<&str> = model.aliases_of(number).collect();
        if !aliases.is_empty() {
            let name = &place.name;
            let message = format!("cannot drop version {number} of model \"{name}\"");
            return Err(Error::new("2BP01", message)
                .with_detail(format!("It is {}.", aliases.join(", ")))
                .with_hint(format!("ALTER MODEL {name} SET ALIAS moves an alias.")));
        }
        model.versions.retain(|version| version.number != number);
        model.events.push(event(context, "drop version", Some(number)));
        model.keep(&mut context.lakes.main, &place)?;
    }
    Ok("DROP MODEL".to_owned())
}

/// A model of a name that GRANT is about.
pub(super) fn object(context: &Context<'_>, name: &ObjectName) -> Result<(Object, Place)> {
    let (place, model) = expect(context, name)?;
    Ok((Object::model(&place.name, &model.uuid), place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(version: u32, what: &str) -> Event {
        Event {
            at: String::new(),
            by: String::new(),
            event: what.to_owned(),
            version: Some(version),
            before: None,
            alias: Some(CHAMPION.to_owned()),
        }
    }

    #[test]
    fn two_rollbacks_go_back_two_steps() {
        let mut model = Model {
            uuid: String::new(),
            versions: Vec::new(),
            next: 4,
            aliases: BTreeMap::new(),
            events: vec![Event { alias: None, ..moved(1, "create") }],
            comment: None,
        };
        assert_eq!(past(&model, CHAMPION), None);
        model.events.extend([moved(2, "set alias"), moved(3, "set alias")]);
        assert_eq!(past(&model, CHAMPION), Some(2));
        model.events.push(moved(2, "rollback"));
        assert_eq!(past(&model, CHAMPION), Some(1));
        model.events.push(moved(1, "rollback"));
        assert_eq!(past(&model, CHAMPION), None);
    }
}
