//! CREATE EXTENSION: what `vector` and `plpgsql` bring to clients that ask for them is there.

use datafusion::sql::sqlparser::ast::CreateExtension;

use super::Context;
use crate::Notice;
use crate::error::{Error, Result};
use crate::names::folded;

/// `plpgsql` is in every database of Postgres, whether its language is used or not.
const THERE: [&str; 2] = ["vector", "plpgsql"];

pub(super) fn run(context: &mut Context<'_>, create: &CreateExtension) -> Result<String> {
    let name = folded(&create.name);
    if !THERE.contains(&name.as_str()) {
        let message = format!("extension \"{name}\" is not available");
        return Err(Error::new("0A000", message)
            .with_hint("The type and the functions of \"vector\" are built in; others are not."));
    }
    if create.if_not_exists {
        let message = format!("extension \"{name}\" already exists, skipping");
        context.notices.push(Notice { sqlstate: "42710", ..Notice::notice(message) });
    }
    Ok("CREATE EXTENSION".to_owned())
}
