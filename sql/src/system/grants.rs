//! `information_schema.role_table_grants`: who granted whom what on tables and views.

use super::Cell;
use crate::access::{Authority, Object, PUBLIC};
use crate::plan::{Environment, Lakes};

/// A row a privilege, for grants from or to a role of the user's.
pub(super) fn role_table_grants(environment: &Environment, lakes: &Lakes) -> Vec<Vec<Cell>> {
    let state = lakes.main.state();
    let mut rows = Vec::new();
    for (schema, held) in &state.schemas {
        for (name, relation) in &held.relations {
            let object = Object::of(relation);
            let acl = object.acl(state);
            for grant in acl.effective(object.kind) {
                let authority = &environment.authority;
                let known = authority.holds(grant.grantee) || authority.holds(grant.grantor);
                if grant.grantee == PUBLIC || !known {
                    continue;
                }
                let owns = Authority::of(state, grant.grantee).owns(&acl);
                for (privilege, word) in grant.privileges.names() {
                    rows.push(vec![
                        environment.role_name(state, grant.grantor).into(),
                        environment.role_name(state, grant.grantee).into(),
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
