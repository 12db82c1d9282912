//! Roles and rights: who may do what, kept as definitions of the lake.
//!
//! ```text
//!   role            name → flags, verifier, memberships        CREATE ROLE, GRANT role
//!   access          object → owner and grants                  GRANT, OWNER TO
//!   default_access  role, schema, kind → grants of new objects ALTER DEFAULT PRIVILEGES
//! ```
//! Objects are named by their uuid, so that grants outlive renames and end with the object. An
//! object nobody has recorded an owner for belongs to the bootstrap role, the first one made.
//! Without any role there are no checks.

mod acl;
mod authority;
mod change;
mod mask;
mod object;
mod role;
pub mod scram;

pub(crate) use acl::merge;
pub use acl::{Acl, Grant, Privileges};
pub use authority::Authority;
pub(crate) use authority::{owner_of, reached};
pub(crate) use change::{reads_columns, target};
pub use mask::masked;
pub(crate) use object::all;
pub use object::{Kind, Object};
pub(crate) use role::DATABASE_OWNER;
pub use role::{
    BOOTSTRAP, Member, PUBLIC, Role, RoleId, by_id, by_name, has_roles, predefined, roles,
};
pub use role::{KIND, new_id};
pub use role::{READ_ALL_STATS, SIGNAL_BACKEND};
