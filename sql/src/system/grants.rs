//! `information_schema.role_table_grants`: who granted whom what on tables and views.

use super::Cell;
use crate::access::{Authority, Object, PUBLIC};
use crate::plan::{Environment, Lakes};

/// A row a privilege, for grants from or to a role of the user's.
pub(super) fn role_table_grants(environment: &Environment, lakes: &Lakes) -> Vec<Vec<Cell>> {
    let state = lakes.main.state();
    let mut rows = Vec::new();
    for (schema, held) in &state.schemas {
        // As Postgres has it, materialized views are none of the standard's relations.
        let standard = held
            .relations
            .iter()
            .filter(|(_, relation)| relation.as_table().is_none_or(|table| table.query.is_none()));
        for (name, relation) in standard {
            let object = Object::of(relation);
            let acl = object.acl(state);
            for grant in acl.effective(object.kind) {
                let authority = &environment.authority;
                let everybody = grant.grantee == PUBLIC;
                let held = !everybody && authority.holds(grant.grantee);
                if !held && !authority.holds(grant.grantor) {
                    continue;
                }
                let grantee = match everybody {
                    true => "PUBLIC".to_owned(),
                    false => environment.role_name(state, grant.grantee),
                };
                let owns = !everybody && Authority::of(state, grant.grantee).owns(&acl);
                for (privilege, word) in grant.privileges.names() {
                    rows.push(vec![
                        environment.role_name(state, grant.grantor).into(),
                        grantee.as_str().into(),
                        environment.database.as_str().into(),
                        schema.as_str().into(),
                        name.as_str().into(),
                        word.into(),
                        (owns || grant.options.has(privilege)).into(),
                        (word == "SELECT").into(),
                    ]);
                }
            }
        }
    }
    rows
}
