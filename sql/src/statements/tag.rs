//! CREATE TAG name [AS OF VERSION n | TIMESTAMP t], DROP TAG: a tagged snapshot is never expired.

use datafusion::sql::sqlparser::ast::{Expr, Ident, Value};
use serde_json::json;

use super::Context;
use crate::Notice;
use crate::error::{Error, Result};
use crate::names::folded;
use crate::parse::AsOf;
use crate::plan::{constant, snapshot, time_us};

/// Kind of the definitions that tags are.
pub(crate) const KIND: &str = "tag";

pub(super) async fn create(
    context: &mut Context<'_>,
    name: &Ident,
    as_of: Option<&AsOf>,
) -> Result<String> {
    context.environment.authority.must_be_superuser("create a tag")?;
    let name = folded(name);
    if name.is_empty() {
        return Err(Error::new("42601", "zero-length delimited identifier"));
    }
    let engine = &context.environment.engine;
    let lake = &context.environment.lake;
    let state = match as_of {
        None => {
            if !context.lakes.main.is_empty() {
                return Err(Error::new("25001", "CREATE TAG cannot name what is not committed")
                    .with_hint("COMMIT first, or name a snapshot: AS OF VERSION n."));
            }
            lake.current().await?
        }
        Some(AsOf::Version(id)) => {
            let id = constant(engine, id.clone())?;
            lake.at_snapshot(snapshot(context.lakes.main.state(), id)?).await?
        }
        Some(AsOf::Timestamp(Expr::Value(value))) if matches!(value.value, Value::Number(..)) => {
            return Err(Error::new("42601", "AS OF takes a snapshot's number or its time")
                .with_hint("Write AS OF VERSION n or AS OF TIMESTAMP '…'."));
        }
        Some(AsOf::Timestamp(time)) => {
            lake.at_time(time_us(constant(engine, time.clone())?)?).await?
        }
    };
    let taken = context.lakes.main.state().definitions.contains_key(&(KIND.into(), name.clone()));
    if taken {
        return Err(Error::new("42710", format!("tag \"{name}\" already exists")));
    }
    let body = json!({ "snapshot_id": state.snapshot.id });
    context.lakes.main.define(KIND, &name, body, false)?;
    Ok("CREATE TAG".into())
}

pub(super) fn drop(context: &mut Context<'_>, name: &Ident, if_exists: bool) -> Result<String> {
    context.environment.authority.must_be_superuser("drop a tag")?;
    let name = folded(name);
    let exists = context.lakes.main.state().definitions.contains_key(&(KIND.into(), name.clone()));
    match (exists, if_exists) {
        (true, _) => context.lakes.main.undefine(KIND, &name)?,
        (false, true) => {
            let message = format!("tag \"{name}\" does not exist, skipping");
            context.notices.push(Notice::notice(message));
        }
        (false, false) => {
            return Err(Error::new("42704", format!("tag \"{name}\" does not exist"))
                .with_hint("List tags: SELECT * FROM lake.tags."));
        }
    }
    Ok("DROP TAG".into())
}
