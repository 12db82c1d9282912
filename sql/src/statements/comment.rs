//! COMMENT ON SCHEMA | TABLE | VIEW | COLUMN … IS 'text' | NULL.

use catalog::{CommentTarget, Relation, TableChange};
use datafusion::sql::sqlparser::ast::{CommentObject, ObjectName, ObjectNamePart};

use super::{Context, external};
use crate::access::Object;
use crate::changes::column_index;
use crate::error::{Error, Result};
use crate::names::folded;
use crate::plan;
use crate::plan::Found;

const TAG: &str = "COMMENT";

pub(super) fn run(
    context: &mut Context<'_>,
    object: CommentObject,
    name: &ObjectName,
    comment: Option<String>,
    if_exists: bool,
) -> Result<String> {
    // An empty comment is none.
    let comment = comment.filter(|text| !text.is_empty());
    match object {
        CommentObject::Schema => {
            let name = plan::parts(name)?.pop().unwrap_or_default();
            let state = context.lakes.main.state();
            context.environment.check_schema(state, &name)?;
            if let Some(schema) = state.schemas.get(&name) {
                context.environment.authority.must_own(state, &Object::schema(schema))?;
            }
            context.lakes.main.set_comment(CommentTarget::Schema { name }, comment)?;
        }
        CommentObject::Table | CommentObject::View | CommentObject::MaterializedView => {
            on_relation(context, name, None, comment, if_exists)?;
        }
        CommentObject::Column => {
            let mut parts = name.0.clone();
            let column = parts.pop().and_then(|p| p.as_ident().map(folded));
            let column = column.ok_or_else(|| Error::new("42601", "a column name is missing"))?;
            if parts.is_empty() {
                return Err(Error::new("42601", "a column is named as table.column"));
            }
            let relation: Vec<ObjectNamePart> = parts;
            on_relation(context, &ObjectName(relation), Some(column), comment, if_exists)?;
        }
        // Nothing shows them.
        CommentObject::Database | CommentObject::Index => {}
        other => return Err(Error::unsupported(format!("COMMENT ON {other}"))),
    }
    Ok(TAG.into())
}

fn on_relation(
    context: &mut Context<'_>,
    name: &ObjectName,
    column: Option<String>,
    comment: Option<String>,
    if_exists: bool,
) -> Result<()> {
    let Some((place, found)) = context.relation(name, if_exists)? else { return Ok(()) };
    context.environment.must_own(context.lakes, &place, &found)?;
    let (schema, relation) = (place.schema.clone(), place.name.clone());
    let transaction = context.lakes.of(&place);
    match (found, column) {
        (Found::External(definition), column) => {
            let body = external::commented(&definition, column.as_deref(), comment)?;
            Ok(transaction.define(external::KIND, &external::key(&place), body, true)?)
        }
        (Found::Relation(Relation::Table(_)), None) => {
            Ok(transaction.alter_table(&schema, &relation, TableChange::SetComment(comment))?)
        }
        (Found::Relation(Relation::Table(table)), Some(name)) => {
            column_index(&table, &name)?;
            let change = TableChange::SetColumnComment { name, comment };
            Ok(transaction.alter_table(&schema, &relation, change)?)
        }
        (Found::Relation(Relation::View(_)), None) => {
            let target = CommentTarget::View { schema, name: relation };
            Ok(transaction.set_comment(target, comment)?)
        }
        (Found::Relation(Relation::View(view)), Some(column)) => {
            if !view.columns.iter().any(|c| c.name() == &column) {
                let message =
                    format!("column \"{column}\" of relation \"{relation}\" does not exist");
                return Err(Error::new("42703", message));
            }
            let target = CommentTarget::ViewColumn { schema, name: relation, column };
            Ok(transaction.set_comment(target, comment)?)
        }
    }
}
