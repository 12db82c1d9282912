//! jsonpath, which is not read yet: `@?`, `@@` and the functions of its name say so.

use datafusion::arrow::array::ArrayRef;

use super::{Call, Definition, Gives, Result};
use crate::error::Error;

pub(super) const FUNCTIONS: &[Definition] = &[
    Definition::new("jsonb_path_exists_opr", (2, 2), Gives::Boolean, unread),
    Definition::new("jsonb_path_match_opr", (2, 2), Gives::Boolean, unread),
    Definition::new("jsonb_path_exists", (2, 4), Gives::Boolean, unread),
    Definition::new("jsonb_path_match", (2, 4), Gives::Boolean, unread),
    Definition::new("jsonb_path_query", (2, 4), Gives::Jsonbs, unread),
    Definition::new("jsonb_path_query_array", (2, 4), Gives::Jsonb, unread),
    Definition::new("jsonb_path_query_first", (2, 4), Gives::Jsonb, unread),
];

fn unread(_: &Call) -> Result<ArrayRef> {
    Err(Error::unsupported("the jsonpath language")
        .with_hint("Use the operators ->, #>, @> and the function jsonb_array_elements."))
}
