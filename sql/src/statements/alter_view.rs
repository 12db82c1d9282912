//! ALTER [MATERIALIZED] VIEW: rename, or a new query.

use catalog::Relation;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectType, Query};

use super::create_view::Replace;
use super::{Context, create_view, drop, feature_view, follow, kind_of, training_set};
use crate::error::{Error, Result};
use crate::names::folded;
use crate::plan::{Found, Place};

/// ALTER [MATERIALIZED] VIEW name RENAME TO other.
pub(super) fn rename(
    context: &mut Context<'_>,
    kind: ObjectType,
    name: &ObjectName,
    if_exists: bool,
    to: &Ident,
) -> Result<String> {
    if let Some((place, found)) = context.relation(name, if_exists)? {
        if kind_of(&found) != kind {
            let word = kind.to_string().to_lowercase();
            return Err(Error::new("42809", format!("\"{}\" is not a {word}", place.name)));
        }
        rename_to(context, &place, &found, &folded(to))?;
    }
    Ok(format!("ALTER {kind}"))
}

/// Renames a table or view: a change of the catalog, never of files.
pub(super) fn rename_to(
    context: &mut Context<'_>,
    place: &Place,
    found: &Found,
    to: &str,
) -> Result<()> {
    context.environment.must_own(context.lakes, place, found)?;
    if !place.temp {
        context.environment.require_create(context.lakes.main.state(), &place.schema)?;
    }
    if matches!(found, Found::External(_)) {
        return Err(Error::unsupported("renaming an external table"));
    }
    let new = Place { name: to.to_owned(), ..place.clone() };
    drop::gives_up(context, place);
    follow::follow(context, place, &new)?;
    context.lakes.of(place).rename_relation(&place.schema, &place.name, to)?;
    feature_view::renamed(context, place, &new)?;
    training_set::renamed(context, place, &new)
}

/// ALTER VIEW name AS query.
pub(super) async fn replace(
    context: &mut Context<'_>,
    name: &ObjectName,
    query: &Query,
) -> Result<String> {
    let (place, found) = context.environment.expect(context.lakes, name)?;
    if !matches!(found, Found::Relation(Relation::View(_))) {
        return Err(Error::new("42809", format!("\"{}\" is not a view", place.name)));
    }
    let replace = Replace::SameColumns;
    let fields = feature_view::fields(context, &place, query).await?;
    create_view::store(context, &place, &fields, query.to_string(), &[], replace).await?;
    feature_view::revised(context, &place)?;
    Ok("ALTER VIEW".into())
}
