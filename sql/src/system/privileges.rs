//! `has_table_privilege` and its like, `pg_has_role`, `pg_get_userbyid`.
//!
//! Forms: (object, privilege) for oneself and (role, object, privilege), each by name or id.

use std::sync::Arc;

use catalog::{State, TYPE_KEY};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::functions::{Seen, find, named};
use super::oid;
use crate::access::{self, Authority, BOOTSTRAP, Object, Privileges, RoleId};
use crate::error::Error;

/// The user's name and rights.
pub type WhoIsIt = Arc<dyn Fn() -> (String, Arc<Authority>) + Send + Sync>;

/// The functions of a connection.
pub fn functions(seen: &Seen, who: WhoIsIt) -> Vec<ScalarUDF> {
    let names: [&'static str; 9] = [
        "has_table_privilege",
        "has_any_column_privilege",
        "has_column_privilege",
        "has_schema_privilege",
        "has_database_privilege",
        "has_function_privilege",
        "pg_has_role",
        "pg_get_userbyid",
        "has_sequence_privilege",
    ];
    let function = |name| {
        let signature = Signature::variadic_any(Volatility::Stable);
        let (seen, who) = (Arc::clone(seen), Arc::clone(&who));
        ScalarUDF::from(Rights { name, seen, who, signature })
    };
    names.into_iter().map(function).collect()
}

struct Rights {
    name: &'static str,
    seen: Seen,
    who: WhoIsIt,
    signature: Signature,
}

impl std::fmt::Debug for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Rights {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.seen, &other.seen)
    }
}

impl Eq for Rights {}

impl std::hash::Hash for Rights {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// A name, or an id.
#[derive(Clone)]
enum Argument {
    Name(String),
    Id(i64),
}

fn argument(array: &ArrayRef, row: usize) -> EngineResult<Option<Argument>> {
    if array.is_null(row) {
        return Ok(None);
    }
    let one = array.slice(row, 1);
    Ok(Some(match array.data_type().is_integer() {
        true => Argument::Id(cast(&one, &DataType::Int64)?.as_primitive::<Int64Type>().value(0)),
        false => {
            let text = cast(&one, &DataType::Utf8)?;
            Argument::Name(text.as_string::<i32>().value(0).to_owned())
        }
    }))
}

impl ScalarUDFImpl for Rights {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(if self.name == "pg_get_userbyid" { DataType::Utf8 } else { DataType::Boolean })
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let types: Vec<DataType> =
            arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let field = Field::new(self.name, self.return_type(&types)?, true);
        let name = (TYPE_KEY.to_owned(), "name".to_owned());
        let tag = (self.name == "pg_get_userbyid").then_some(name);
        Ok(Arc::new(field.with_metadata(tag.into_iter().collect())))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let rows = arrays.first().map_or(0, |array| array.len());
        let seen = self.seen.read().ok();
        let state = seen.and_then(|seen| seen.as_ref().map(super::shown));
        let call = Call { name: self.name, who: (self.who)() };
        let mut names = Vec::with_capacity(rows);
        let mut answers = Vec::with_capacity(rows);
        for row in 0..rows {
            let given = arrays.iter().map(|array| argument(array, row));
            let given: Option<Vec<Argument>> = given.collect::<EngineResult<_>>()?;
            let (Some(given), Some(state)) = (given, state.as_deref()) else {
                names.push(None);
                answers.push(None);
                continue;
            };
            if self.name == "pg_get_userbyid" {
                names.push(Some(call.user_by_id(state, &given)));
            } else {
                answers.push(call.answer(state, &given)?);
            }
        }
        Ok(ColumnarValue::Array(match self.name {
            "pg_get_userbyid" => Arc::new(StringArray::from(names)) as ArrayRef,
            _ => Arc::new(BooleanArray::from(answers)),
        }))
    }
}

struct Call {
    name: &'static str,
    who: (String, Arc<Authority>),
}

impl Call {
    fn user_by_id(&self, state: &State, given: &[Argument]) -> String {
        let Some(Argument::Id(id)) = given.first() else { return String::new() };
        match access::by_id(state, *id) {
            Some(role) => role.name,
            None if *id == BOOTSTRAP && !access::has_roles(state) => self.who.0.clone(),
            None => format!("unknown (OID={id})"),
        }
    }

    /// None: the object is not there.
    fn answer(&self, state: &State, given: &[Argument]) -> EngineResult<Option<bool>> {
        let columns = usize::from(self.name == "has_column_privilege");
        let (role, object, privilege) = match given {
            [object, .., privilege] if given.len() == 2 + columns => (None, object, privilege),
            [role, object, .., privilege] if given.len() == 3 + columns => {
                (Some(role), object, privilege)
            }
            _ => {
                let message = format!("function {}() does not exist", self.name);
                return Err(Error::new("42883", message).into());
            }
        };
        let authority = match role {
            None => Arc::clone(&self.who.1),
            Some(role) => self.of(state, role)?,
        };
        let Argument::Name(privileges) = privilege else {
            return Err(Error::new("22023", "unrecognized privilege type").into());
        };
        if self.name == "pg_has_role" {
            return self.has_role(state, &authority, object, privileges).map(Some);
        }
        let Some(object) = self.object(state, object)? else {
            // Relations of the catalogs are anybody's to read.
            return Ok(self.built_in(object).then(|| privileges.eq_ignore_ascii_case("select")));
        };
        for name in privileges.split(',').map(str::trim) {
            let upper = name.to_uppercase();
            let (plain, option) = match upper.strip_suffix(" WITH GRANT OPTION") {
                Some(plain) => (plain, true),
                None => (upper.as_str(), false),
            };
            let wanted = Privileges::named(plain).filter(|p| object.kind.all().has(*p));
            let wanted = wanted.ok_or_else(|| {
                Error::new("22023", format!("unrecognized privilege type: \"{name}\""))
            })?;
            let (privileges, options) = authority.privileges(&object.acl(state), object.kind);
            if (if option { options } else { privileges }).has(wanted) {
                return Ok(Some(true));
            }
        }
        Ok(Some(false))
    }

    fn role_id(&self, state: &State, role: &Argument) -> EngineResult<RoleId> {
        match role {
            Argument::Id(id) => Ok(*id),
            Argument::Name(name) if name == "public" => Ok(access::PUBLIC),
            Argument::Name(name) => match access::by_name(state, name) {
                Some(role) => Ok(role.id),
                None if !access::has_roles(state) && *name == self.who.0 => Ok(BOOTSTRAP),
                None => {
                    let message = format!("role \"{name}\" does not exist");
                    Err(Error::new("42704", message).into())
                }
            },
        }
    }

    fn of(&self, state: &State, role: &Argument) -> EngineResult<Arc<Authority>> {
        let id = self.role_id(state, role)?;
        Ok(match id == BOOTSTRAP && !access::has_roles(state) {
            true => Arc::new(Authority::everything()),
            false => Arc::new(Authority::of(state, id)),
        })
    }

    fn has_role(
        &self,
        state: &State,
        authority: &Authority,
        role: &Argument,
        privileges: &str,
    ) -> EngineResult<bool> {
        let role = self.role_id(state, role)?;
        let one = |name: &str| match name.trim().to_uppercase().as_str() {
            "USAGE" => Ok(authority.holds(role)),
            "MEMBER" => Ok(authority.may_become(state, role)),
            name if name.ends_with(" OPTION") => Ok(authority.administers(state, role)),
            _ => Err(Error::new("22023", format!("unrecognized privilege type: \"{name}\""))),
        };
        let answers = privileges.split(',').map(one).collect::<Result<Vec<_>, _>>()?;
        Ok(answers.contains(&true))
    }

    fn built_in(&self, object: &Argument) -> bool {
        match object {
            Argument::Id(id) => *id < oid::INFORMATION_SCHEMA + 1000,
            Argument::Name(name) => name.contains("pg_") || name.contains("information_schema"),
        }
    }

    fn object(&self, state: &State, object: &Argument) -> EngineResult<Option<Object>> {
        Ok(match (self.name, object) {
            ("has_schema_privilege", Argument::Name(name)) => {
                let missing = || Error::new("3F000", format!("schema \"{name}\" does not exist"));
                match name.as_str() {
                    name if super::is_schema(name) => None,
                    name => Some(Object::schema(state.schemas.get(name).ok_or_else(missing)?)),
                }
            }
            ("has_schema_privilege", Argument::Id(id)) => {
                let mut schemas = state.schemas.values();
                schemas.find(|s| oid::of(s.id, false) == *id).map(|s| Object::schema(s))
            }
            ("has_database_privilege", Argument::Name(name)) => Some(Object::database(name)),
            ("has_database_privilege", Argument::Id(_)) => Some(Object::database("")),
            ("has_function_privilege", Argument::Name(name)) => {
                let name = name.split('(').next().unwrap_or(name);
                Some(Object::function(name.rsplit('.').next().unwrap_or(name).trim()))
            }
            ("has_function_privilege", Argument::Id(_)) => Some(Object::function("")),
            (_, Argument::Id(id)) => find(state, *id).map(|place| Object::of(place.relation)),
            (_, Argument::Name(name)) => match named(state, name).and_then(|id| find(state, id)) {
                Some(place) => Some(Object::of(place.relation)),
                None if self.built_in(object) => None,
                None => return Err(Error::undefined_table(name).into()),
            },
        })
    }
}
