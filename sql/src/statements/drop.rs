//! DROP TABLE, [MATERIALIZED] VIEW, INDEX, SEQUENCE, SCHEMA [IF EXISTS] … [CASCADE].

use std::sync::Arc;

use catalog::{Relation, State};
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectType};

use super::{Context, experiment, external, feature_view, index, kind_of, sequence, training_set};
use crate::access::Object;
use crate::error::{Error, Result};
use crate::plan::{Found, Place};
use crate::system::definitions;
use crate::{Notice, experiments, features, models, plan};

pub(super) fn run(
    context: &mut Context<'_>,
    object: ObjectType,
    names: &[ObjectName],
    if_exists: bool,
    cascade: bool,
) -> Result<String> {
    match object {
        ObjectType::Table | ObjectType::View | ObjectType::MaterializedView => {
            for name in names {
                drop_relation(context, object, name, if_exists, cascade)?;
            }
        }
        ObjectType::Index => {
            for name in names {
                index::drop(context, name, if_exists)?;
            }
        }
        ObjectType::Schema => {
            for name in names {
                drop_schema(context, name, if_exists, cascade)?;
            }
        }
        ObjectType::Sequence => {
            for name in names {
                sequence::drop(context, name, if_exists, cascade)?;
            }
        }
        other => return Err(Error::unsupported(format!("DROP {other}"))),
    }
    Ok(format!("DROP {object}"))
}

fn drop_relation(
    context: &mut Context<'_>,
    object: ObjectType,
    name: &ObjectName,
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    let word = object.to_string().to_lowercase();
    let parts = plan::parts(name)?;
    let Some((place, found)) = context.environment.find(context.lakes, &parts)? else {
        let shown = parts.last().map_or("", String::as_str);
        let message = format!("{word} \"{shown}\" does not exist");
        if if_exists {
            context.notices.push(Notice::notice(format!("{message}, skipping")));
            return Ok(());
        }
        let error = Error::new("42P01", message);
        return Err(match plan::near_relations(context.lakes.main.state(), shown) {
            Some(hint) => error.with_hint(hint),
            None => error,
        });
    };
    may_drop(context, &place, &found)?;
    let kind = kind_of(&found);
    if kind != object {
        let error = Error::new("42809", format!("\"{}\" is not a {word}", place.name));
        let of = kind.to_string().to_lowercase();
        return Err(error.with_hint(format!("Use DROP {kind} to remove a {of}.")));
    }
    match found {
        Found::External(_) => {
            drop_dependents(context, &place, &word, cascade)?;
            external::undefine(context, &place)
        }
        Found::Relation(_) => drop_place(context, &place, object, cascade),
    }
}

/// Drops a table or view, and with `cascade` the views that read it.
pub(super) fn drop_place(
    context: &mut Context<'_>,
    place: &Place,
    object: ObjectType,
    cascade: bool,
) -> Result<()> {
    drop_dependents(context, place, &object.to_string().to_lowercase(), cascade)?;
    gives_up(context, place);
    feature_view::dropped(context, place, cascade)?;
    training_set::dropped(context, place)?;
    Ok(context.lakes.of(place).drop_relation(&place.schema, &place.name)?)
}

/// A relation may be dropped by its owner and by that of its schema.
pub(super) fn may_drop(context: &Context<'_>, place: &Place, found: &Found) -> Result<()> {
    let environment = context.environment;
    let owned = environment.must_own(context.lakes, place, found);
    let state = context.lakes.main.state();
    match (owned, state.schemas.get(&place.schema)) {
        (Err(error), Some(schema)) => {
            let owns = environment.authority.owns(&Object::schema(schema).acl(state));
            if owns { Ok(()) } else { Err(error) }
        }
        (owned, _) => owned,
    }
}

/// Views that read `place`: dropped with it, or the reason to refuse.
fn drop_dependents(
    context: &mut Context<'_>,
    place: &Place,
    word: &str,
    cascade: bool,
) -> Result<()> {
    let state = context.lakes.view(place).state().clone();
    let dependents = dependents(&state, place);
    if dependents.is_empty() {
        return Ok(());
    }
    if !cascade {
        let lines: Vec<String> = dependents
            .iter()
            .map(|(kind, view)| format!("{kind} {} depends on {word} {}", view.name, place.name))
            .collect();
        let message =
            format!("cannot drop {word} {} because other objects depend on it", place.name);
        return Err(Error::new("2BP01", message)
            .with_detail(lines.join("\n"))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    for (kind, view) in dependents {
        let still_there = context
            .lakes
            .view(&view)
            .state()
            .schemas
            .get(&view.schema)
            .is_some_and(|s| s.relations.contains_key(&view.name));
        if still_there {
            context.notices.push(Notice::notice(format!("drop cascades to {kind} {}", view.name)));
            drop_dependents(context, &view, kind, true)?;
            gives_up(context, &view);
            feature_view::dropped(context, &view, true)?;
            context.lakes.of(&view).drop_dependent(&view.schema, &view.name)?;
        }
    }
    Ok(())
}

/// Views, materialized ones too, whose query names `place`, and which of the two they are.
pub(super) fn dependents(state: &State, place: &Place) -> Vec<(&'static str, Place)> {
    let mut found = Vec::new();
    for (schema_name, schema) in &state.schemas {
        for (name, relation) in &schema.relations {
            let Some(query) = definitions::query(relation) else { continue };
            let itself = schema_name == &place.schema && name == &place.name;
            if !itself && reads(state, &query, place) {
                let kind = match relation {
                    Relation::View(_) => "view",
                    Relation::Table(_) => "materialized view",
                };
                let (schema, name) = (schema_name.clone(), name.clone());
                found.push((kind, Place { temp: place.temp, schema, name }));
            }
        }
    }
    found
}

/// For conflicts at commit: whether a relation's query names another.
fn names(state: &State, relation: &Relation, schema: &str, name: &str) -> bool {
    let place = Place { temp: false, schema: schema.to_owned(), name: name.to_owned() };
    definitions::query(relation).is_some_and(|query| reads(state, &query, &place))
}

/// The place loses its relation: a query that names it must not have come in between.
pub(super) fn gives_up(context: &mut Context<'_>, place: &Place) {
    context.lakes.of(place).gives_up(&place.schema, &place.name, names);
}

/// The query that a new relation keeps names others, which must not go in between.
pub(super) fn keeps_query(context: &mut Context<'_>, place: &Place) {
    let state = Arc::clone(context.lakes.view(place).state());
    let relation = state.schemas.get(&place.schema).and_then(|s| s.relations.get(&place.name));
    let Some(query) = relation.and_then(definitions::query) else { return };
    for reference in query.reads() {
        let (schema, table) = (reference.schema(), reference.table());
        let within = |schema: &str| state.schemas.get(schema)?.relations.get(table);
        let found = match schema {
            Some(schema) => within(schema),
            None => query.search_path.iter().find_map(|schema| within(schema)),
        };
        if let Some(found) = found {
            context.lakes.of(place).query_names(found.id());
        }
    }
}

fn reads(state: &State, query: &definitions::Query<'_>, place: &Place) -> bool {
    let names = query.reads();
    let names_one = |state: &State, place: &Place| {
        names.iter().any(|reference| {
            is_meant(state, query.search_path, reference.schema(), reference.table(), place)
        })
    };
    names_one(state, place)
        || features::beside(state, place).is_some_and(|(shown, place)| names_one(&shown, &place))
}

/// Whether a name in a stored query means `place`.
pub(super) fn is_meant(
    state: &State,
    search_path: &[String],
    schema: Option<&str>,
    table: &str,
    place: &Place,
) -> bool {
    if table != place.name {
        return false;
    }
    let has = |schema: &&String| {
        state.schemas.get(*schema).is_some_and(|s| s.relations.contains_key(&place.name))
    };
    match schema {
        Some(schema) => schema == place.schema,
        None => search_path.iter().find(has) == Some(&place.schema),
    }
}

pub(super) fn drop_schema(
    context: &mut Context<'_>,
    name: &ObjectName,
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    let name = plan::parts(name)?.pop().unwrap_or_default();
    let state = context.lakes.main.state().clone();
    if name == features::kept::SCHEMA {
        context.environment.check_schema(&state, &name)?;
    }
    let Some(schema) = state.schemas.get(&name) else {
        let message = format!("schema \"{name}\" does not exist");
        if if_exists {
            context.notices.push(Notice::notice(format!("{message}, skipping")));
            return Ok(());
        }
        context.environment.check_schema(&state, &name)?;
        return Err(Error::new("3F000", message));
    };
    context.environment.authority.must_own(&state, &Object::schema(schema))?;
    let held = held_by(&state, schema, &name);
    if !held.is_empty() && !cascade {
        let lines: Vec<String> =
            held.iter().map(|object| format!("{object} depends on schema {name}")).collect();
        let message = format!("cannot drop schema {name} because other objects depend on it");
        return Err(Error::new("2BP01", message)
            .with_detail(lines.join("\n"))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    let place =
        |relation: &String| Place { temp: false, schema: name.clone(), name: relation.clone() };
    for place in schema.relations.keys().map(place) {
        drop_dependents(context, &place, "table", true)?;
        gives_up(context, &place);
        feature_view::dropped(context, &place, true)?;
    }
    for (of, experiment, kept) in experiments::experiments(&state) {
        if of == name {
            let experiment = experiment.to_owned();
            let place = Place { temp: false, schema: name.clone(), name: experiment };
            experiment::forget(context, &place, kept)?;
        }
    }
    for place in external::of_schema(&state, &name) {
        drop_dependents(context, &place, "table", true)?;
        external::undefine(context, &place)?;
    }
    match held.as_slice() {
        [] => {}
        [object] => context.notices.push(Notice::notice(format!("drop cascades to {object}"))),
        held => {
            let message = format!("drop cascades to {} other objects", held.len());
            context.notices.push(Notice::notice(message));
        }
    }
    context.lakes.main.drop_schema(&name, cascade)?;
    features::forget_schema(&mut context.lakes.main, &name)
}

/// What a schema holds, as messages name it.
fn held_by(state: &State, schema: &catalog::Schema, name: &str) -> Vec<String> {
    let relations = schema.relations.iter().map(|(relation, found)| {
        let kind = kind_of(&Found::Relation(found.clone())).to_string().to_lowercase();
        format!("{kind} {name}.{relation}")
    });
    let external = external::of_schema(state, name).into_iter();
    let external = external.map(|place| format!("foreign table {name}.{}", place.name));
    let services = features::services(state).into_iter().filter(|(of, ..)| *of == name);
    let services = services.map(|(_, service, _)| format!("feature service {name}.{service}"));
    let models = models::models(state).into_iter().filter(|(of, ..)| *of == name);
    let models = models.map(|(_, model, _)| format!("model {name}.{model}"));
    let experiments = experiments::experiments(state).into_iter().filter(|(of, ..)| *of == name);
    let experiments = experiments.map(|(_, of, _)| format!("experiment {name}.{of}"));
    relations.chain(external).chain(services).chain(models).chain(experiments).collect()
}
