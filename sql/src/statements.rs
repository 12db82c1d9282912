//! Statements that change definitions: one file each, run against the statement's transaction.

pub mod external;

mod alter_schema;
mod alter_sequence;
mod alter_table;
mod alter_view;
mod comment;
mod constraint;
mod create_extension;
mod create_schema;
mod create_table;
mod create_view;
pub(crate) mod default_privileges;
mod definition;
mod dependent;
mod drop;
mod drop_role;
mod experiment;
mod feature_checks;
mod feature_service;
mod feature_view;
mod follow;
mod grant;
mod index;
mod kill_switch;
mod lock;
mod materialized_view;
mod model;
mod owner;
mod refresh_feature_view;
mod retype;
mod role;
mod sequence;
mod tag;
mod training_set;
mod truncate;
mod vacuum;
mod vector_index;

use catalog::Relation;
use datafusion::sql::sqlparser::ast::{self, ObjectName, ObjectType};

use crate::access::Object;
use crate::error::{Error, Result};
use crate::parse::{OfFeatures, Own, Parsed, Rights, Statement};
use crate::plan::{Environment, Found, Lakes, Place, TEMP_SCHEMA};
use crate::{Notice, plan};

pub(crate) use alter_table::current;
pub use create_table::storable;
pub(crate) use tag::KIND as TAG_KIND;

/// What a statement runs with.
pub struct Context<'a> {
    pub environment: &'a Environment,
    pub lakes: &'a mut Lakes,
    pub notices: &'a mut Vec<Notice>,
}

/// Whether the statement makes something in the connection's own lake, which must then be open.
pub fn needs_temp(statement: &Statement) -> bool {
    let in_temp = |name: &ObjectName| {
        plan::parts(name).is_ok_and(|parts| parts.len() == 2 && parts[0] == TEMP_SCHEMA)
    };
    match &statement.parsed {
        Parsed::Sql(sql) => match sql.as_ref() {
            ast::Statement::CreateTable(table) => table.temporary || in_temp(&table.name),
            ast::Statement::CreateView(view) => view.temporary || in_temp(&view.name),
            ast::Statement::CreateSequence { temporary, name, .. } => *temporary || in_temp(name),
            _ => false,
        },
        Parsed::Own(_) => false,
    }
}

/// Runs a definition statement and gives its tag; None if it is not one.
pub async fn run(context: &mut Context<'_>, statement: &Statement) -> Result<Option<String>> {
    let sql = match &statement.parsed {
        Parsed::Own(own) => return run_own(context, own, &statement.text).await,
        Parsed::Sql(sql) => sql.as_ref(),
    };
    let tag = match sql {
        ast::Statement::CreateSchema { schema_name, if_not_exists, .. } => {
            create_schema::run(context, schema_name, *if_not_exists)?
        }
        ast::Statement::CreateExtension(create) => create_extension::run(context, create)?,
        ast::Statement::AlterSchema(alter) => alter_schema::run(context, alter)?,
        ast::Statement::CreateTable(table) => create_table::run(context, table).await?,
        ast::Statement::CreateView(view) => {
            create_view::run(context, view, &statement.text).await?
        }
        ast::Statement::AlterTable(alter) => alter_table::run(context, alter).await?,
        ast::Statement::AlterView { name, query, .. } => {
            alter_view::replace(context, name, query).await?
        }
        ast::Statement::CreateIndex(create) => index::create(context, create).await?,
        ast::Statement::Drop { object_type, if_exists, names, cascade, .. } => {
            drop::run(context, *object_type, names, *if_exists, *cascade)?
        }
        ast::Statement::Truncate(truncate) => truncate::run(context, truncate).await?,
        ast::Statement::CreateSequence {
            temporary,
            if_not_exists,
            name,
            data_type,
            sequence_options: options,
            owned_by,
        } => sequence::create(
            context,
            &sequence::Create {
                name,
                temporary: *temporary,
                if_not_exists: *if_not_exists,
                data_type: data_type.as_ref(),
                options,
                owned_by: owned_by.as_ref(),
            },
        )?,
        ast::Statement::Comment { object_type, object_name, comment, if_exists } => {
            comment::run(context, *object_type, object_name, comment.clone(), *if_exists)?
        }
        _ => return Ok(None),
    };
    Ok(Some(tag))
}

async fn run_own(context: &mut Context<'_>, own: &Own, text: &str) -> Result<Option<String>> {
    let tag = match own {
        Own::Rename { kind: ObjectType::Index, name, if_exists, to } => {
            index::rename(context, name, *if_exists, to)
        }
        Own::Rename { kind: ObjectType::Sequence, name, if_exists, to } => {
            alter_sequence::rename(context, name, *if_exists, to)
        }
        Own::Rename { kind, name, if_exists, to } => {
            alter_view::rename(context, *kind, name, *if_exists, to)
        }
        Own::SetSchema { kind: ObjectType::Sequence, name, if_exists, schema } => {
            alter_sequence::set_schema(context, name, *if_exists, schema)
        }
        Own::AlterSequence(alter) => alter_sequence::run(context, alter).await,
        Own::SetSchema { kind, name, if_exists, schema } => {
            alter_table::set_schema(context, *kind, name, *if_exists, schema)
        }
        Own::CreateMaterializedView { view, with_data } => {
            materialized_view::create(context, view, text, *with_data).await
        }
        Own::RefreshMaterializedView { name, with_data } => {
            materialized_view::refresh(context, name, *with_data).await
        }
        Own::SetSortedBy { name, if_exists, keys } => {
            alter_table::set_sorted_by(context, name, *if_exists, keys)
        }
        Own::SetPartitionedBy { name, if_exists, keys } => {
            alter_table::set_partitioned_by(context, name, *if_exists, keys)
        }
        Own::CreateTag { name, as_of } => tag::create(context, name, as_of.as_ref()).await,
        Own::DropTag { name, if_exists } => tag::drop(context, name, *if_exists),
        Own::CreateExternalTable(table) => external::create(context, table).await,
        Own::Lock(lock) => lock::run(context, lock),
        Own::Reindex(reindex) => vector_index::reindex(context, reindex).await,
        Own::Vacuum(vacuum) => vacuum::run(context, vacuum).await,
        Own::Role(of_role) => return role::run(context, of_role),
        Own::Rights(rights) => run_rights(context, rights),
        Own::Features(of_features) => run_features(context, of_features, text).await,
        Own::Models(of_model) => Box::pin(model::run(context, of_model, text)).await,
        Own::Experiments(of) => Box::pin(experiment::run(context, of)).await,
        // Cursors are the connection's; COPY is planned.
        Own::Fetch(_) | Own::Close(_) | Own::Copy(_) => return Ok(None),
    }?;
    Ok(Some(tag))
}

async fn run_features(
    context: &mut Context<'_>,
    of_features: &OfFeatures,
    text: &str,
) -> Result<String> {
    match of_features {
        OfFeatures::CreateView(create) => feature_view::create(context, create, text).await,
        OfFeatures::RefreshView { name, times } => {
            refresh_feature_view::run(context, name, times.as_ref()).await
        }
        OfFeatures::AlterView(alter) => feature_view::set(context, alter).await,
        OfFeatures::DropViews { names, if_exists, cascade } => {
            feature_view::drop_views(context, names, *if_exists, *cascade)
        }
        OfFeatures::CreateService(create) => feature_service::create(context, create),
        OfFeatures::DropServices { names, if_exists } => {
            feature_service::drop_services(context, names, *if_exists)
        }
        OfFeatures::CreateTrainingSet(create) => training_set::create(context, create, text).await,
        OfFeatures::DropTrainingSets { names, if_exists, cascade } => {
            training_set::drop_sets(context, names, *if_exists, *cascade)
        }
        OfFeatures::CommentService { name, comment } => {
            feature_service::comment(context, name, comment.clone())
        }
    }
}

/// What DROP and ALTER call a relation.
fn kind_of(found: &Found) -> ObjectType {
    match found {
        Found::Relation(Relation::View(_)) => ObjectType::View,
        Found::Relation(Relation::Table(table)) if table.query.is_some() => {
            ObjectType::MaterializedView
        }
        Found::Relation(Relation::Table(_)) | Found::External(_) => ObjectType::Table,
    }
}

fn run_rights(context: &mut Context<'_>, rights: &Rights) -> Result<String> {
    match rights {
        Rights::Privileges(change) => grant::run(context, change),
        Rights::Membership(change) => role::grant(context, change),
        Rights::Defaults { roles, schemas, change } => {
            default_privileges::run(context, roles, schemas, change)
        }
        Rights::Owner { word, name, if_exists, to } => {
            owner::run(context, word, name, *if_exists, to)
        }
        Rights::Reassign { from, to } => owner::reassign(context, from, to),
        Rights::DropOwned { of, cascade } => owner::drop_owned(context, of, *cascade),
    }
}

impl Context<'_> {
    /// Gives a relation that the statement has made its owner.
    fn own_new(&mut self, place: &Place) -> Result<()> {
        let parts = [place.schema.clone(), place.name.clone()];
        if place.temp {
            return Ok(());
        }
        match self.environment.find(self.lakes, &parts)? {
            Some((found_at, found)) if !found_at.temp => {
                let object = Object::relation(&found_at, &found);
                default_privileges::own(self, &object, &place.schema)
            }
            _ => Ok(()),
        }
    }

    /// The table named, or None with a NOTICE if it need not exist.
    fn table(
        &mut self,
        name: &ObjectName,
        if_exists: bool,
    ) -> Result<Option<(Place, std::sync::Arc<catalog::Table>)>> {
        match self.relation(name, if_exists)? {
            None => Ok(None),
            Some((place, Found::Relation(Relation::Table(table)))) if table.query.is_none() => {
                Ok(Some((place, table)))
            }
            Some((place, _)) => {
                Err(Error::new("42809", format!("\"{}\" is not a table", place.name)))
            }
        }
    }

    /// The relation named, or None with a NOTICE if it need not exist.
    fn relation(&mut self, name: &ObjectName, if_exists: bool) -> Result<Option<(Place, Found)>> {
        let parts = plan::parts(name)?;
        if let Some(found) = self.environment.find(self.lakes, &parts)? {
            return Ok(Some(found));
        }
        if if_exists {
            let shown = parts.last().map_or("", String::as_str);
            let message = format!("relation \"{shown}\" does not exist, skipping");
            self.notices.push(Notice::notice(message));
            return Ok(None);
        }
        Err(self.environment.undefined(self.lakes, &parts))
    }
}
