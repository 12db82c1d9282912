//! `<view>_online`: the rows of a feature view that are in force now, one for each key.
//!
//! A feature view that is ONLINE has a relation of this name, a view that is not kept but told by
//! the feature view. It has its rights, being the same to those who have them. A relation that is
//! kept under the name stands before it.

use std::collections::HashMap;
use std::sync::Arc;

use catalog::{Relation, State, VIEW_COLUMN_OF, View};
use datafusion::arrow::datatypes::{Field, FieldRef};

use super::{FeatureView, VIEW, Version, kept, views};
use crate::plan::Place;
use crate::system::definitions::quoted;

/// The ids of what is not kept, above those of what is: `system::oid` tells the lowest 29 bits
/// apart, and 28 of them in the ids of what belongs to a relation.
const IDS: i64 = 1 << 27;

const SUFFIX: &str = "_online";

/// What the relation of a feature view is called.
pub(crate) fn name_of(view: &str) -> String {
    format!("{view}{SUFFIX}")
}

/// The state with the relations that feature views have beside themselves, without their rows.
pub(crate) fn shown(state: &Arc<State>) -> Arc<State> {
    added(state).map_or_else(|| Arc::clone(state), Arc::new)
}

/// The same; None if there are none.
fn added(state: &State) -> Option<State> {
    let from = (VIEW.to_owned(), String::new());
    state.definitions.range(from..).next().filter(|((kind, _), _)| kind == VIEW)?;
    let keeps = state.schemas.contains_key(kept::SCHEMA);
    let online: Vec<(String, Arc<View>)> = views(state)
        .into_iter()
        .filter(|(_, _, kept)| kept.metadata.online)
        .filter_map(|(schema, view, kept)| {
            Some((schema.to_owned(), relation(schema, view, &kept)?))
        })
        .collect();
    if online.is_empty() && !keeps {
        return None;
    }
    let mut shown = state.clone();
    shown.schemas.remove(kept::SCHEMA);
    for (schema, view) in online {
        if let Some(schema) = shown.schemas.get_mut(&schema) {
            let relations = &mut Arc::make_mut(schema).relations;
            relations.entry(view.name.clone()).or_insert(Relation::View(view));
        }
    }
    Some(shown)
}

/// The relation that a feature view has beside itself, by the state that shows it; None if it has
/// none, or another relation has its name.
pub(crate) fn beside(state: &State, view: &Place) -> Option<(State, Place)> {
    let kept = FeatureView::history(state, &view.schema, &view.name)?;
    if view.temp || !kept.metadata.online {
        return None;
    }
    let beside = Place { name: name_of(&view.name), ..view.clone() };
    let has = |state: &State| {
        state.schemas.get(&view.schema).is_some_and(|s| s.relations.contains_key(&beside.name))
    };
    let shown = added(state)?;
    (!has(state) && has(&shown)).then_some((shown, beside))
}

/// Whether a name is taken by what a feature view has beside itself.
pub(crate) fn is_taken(state: &State, place: &Place) -> bool {
    let view = place.name.strip_suffix(SUFFIX).map(str::to_owned);
    view.is_some_and(|name| beside(state, &Place { name, ..place.clone() }).is_some())
}

fn relation(schema: &str, view: &View, kept: &FeatureView) -> Option<Arc<View>> {
    let (_, version) = kept.current()?;
    let column = |field: &FieldRef| {
        let mut metadata: HashMap<String, String> = field.metadata().clone();
        metadata.remove(VIEW_COLUMN_OF);
        Arc::new(Field::clone(field).with_metadata(metadata))
    };
    Some(Arc::new(View {
        id: IDS + view.id,
        name: name_of(&view.name),
        sql: query(schema, view, version),
        search_path: Vec::new(),
        columns: view.columns.iter().map(column).collect(),
        comment: None,
        ..view.clone()
    }))
}

/// An AS OF join of the keys there are, whose columns it shows: what is asked of a key is asked of
/// them first.
fn query(schema: &str, view: &View, version: &Version) -> String {
    let keys: Vec<String> = version.key.iter().map(|key| quoted(key)).collect();
    let from = format!("{}.{}", quoted(schema), quoted(&view.name));
    let columns: Vec<String> = view
        .columns
        .iter()
        .map(|column| {
            let side = if version.key.contains(column.name()) { "k" } else { "f" };
            format!("{side}.{}", quoted(column.name()))
        })
        .collect();
    let columns = columns.join(", ");
    let (keys, on) = match keys.as_slice() {
        [] => ("SELECT now() AS \"moment asked for\"".to_owned(), "true".to_owned()),
        keys => {
            let list = keys.join(", ");
            let equal: Vec<String> = keys.iter().map(|key| format!("f.{key} = k.{key}")).collect();
            let keys = format!("SELECT DISTINCT {list}, now() AS \"moment asked for\" FROM {from}");
            (keys, equal.join(" AND "))
        }
    };
    format!(
        "SELECT {columns} FROM ({keys}) AS k \
         INNER JOIN {from} AS OF k.\"moment asked for\" f ON {on}"
    )
}
