//! Access control lists: grants by grantor and grantee, as Postgres keeps, changes and shows them.

use serde::{Deserialize, Serialize};

use super::object::Kind;
use super::role::{DATABASE_OWNER, PUBLIC, RoleId};
use crate::error::{Error, Result};

/// A set of privileges, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Privileges(pub u32);

/// Names and letters in the order in which Postgres shows them.
const NAMES: [(&str, char); 14] = [
    ("INSERT", 'a'),
    ("SELECT", 'r'),
    ("UPDATE", 'w'),
    ("DELETE", 'd'),
    ("TRUNCATE", 'D'),
    ("REFERENCES", 'x'),
    ("TRIGGER", 't'),
    ("EXECUTE", 'X'),
    ("USAGE", 'U'),
    ("CREATE", 'C'),
    ("TEMPORARY", 'T'),
    ("CONNECT", 'c'),
    // Of models and experiments; Postgres has no such letters.
    ("TRAIN", 'l'),
    ("DEPLOY", 'p'),
];

impl Privileges {
    pub const NONE: Self = Self(0);
    pub const INSERT: Self = Self(1);
    pub const SELECT: Self = Self(1 << 1);
    pub const UPDATE: Self = Self(1 << 2);
    pub const DELETE: Self = Self(1 << 3);
    pub const TRUNCATE: Self = Self(1 << 4);
    pub const REFERENCES: Self = Self(1 << 5);
    pub const EXECUTE: Self = Self(1 << 7);
    pub const USAGE: Self = Self(1 << 8);
    pub const CREATE: Self = Self(1 << 9);
    pub const TEMPORARY: Self = Self(1 << 10);
    pub const CONNECT: Self = Self(1 << 11);
    pub const TRAIN: Self = Self(1 << 12);
    pub const DEPLOY: Self = Self(1 << 13);

    /// The privilege of a name, whatever its case.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_uppercase();
        let name = if name == "TEMP" { "TEMPORARY" } else { name.as_str() };
        NAMES.iter().position(|(known, _)| *known == name).map(|bit| Self(1 << bit))
    }

    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub const fn has(self, all: Self) -> bool {
        self.0 & all.0 == all.0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of those in the set.
    pub fn names(self) -> impl Iterator<Item = (Self, &'static str)> {
        let bit = |(bit, (name, _)): (usize, &(&'static str, char))| (Self(1 << bit), *name);
        NAMES.iter().enumerate().map(bit).filter(move |(bit, _)| self.has(*bit))
    }
}

/// What one role has given another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub grantee: RoleId,
    pub grantor: RoleId,
    pub privileges: Privileges,
    /// Those that the grantee may pass on.
    pub options: Privileges,
}

/// An object's owner and grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acl {
    pub owner: RoleId,
    /// None: as new objects of the kind have them.
    #[serde(default)]
    pub grants: Option<Vec<Grant>>,
}

impl Acl {
    /// An object of `owner` that nobody has granted anything on.
    pub fn owned(owner: RoleId) -> Self {
        Self { owner, grants: None }
    }

    /// The grants, those of a new object included.
    pub fn effective(&self, kind: Kind) -> Vec<Grant> {
        self.grants.clone().unwrap_or_else(|| Self::initial(kind, self.owner))
    }

    /// What a new object of a kind is granted.
    pub fn initial(kind: Kind, owner: RoleId) -> Vec<Grant> {
        let grant = |grantee, privileges| Grant {
            grantee,
            grantor: owner,
            privileges,
            options: Privileges::NONE,
        };
        let own = grant(owner, kind.all());
        let everybody = match kind {
            Kind::Table => Privileges::NONE,
            // Only the schema `public` is the database owner's.
            Kind::Schema if owner == DATABASE_OWNER => {
                return vec![own, grant(PUBLIC, Privileges::USAGE)];
            }
            Kind::Schema => Privileges::NONE,
            Kind::Database => Privileges::TEMPORARY.with(Privileges::CONNECT),
            Kind::Function => Privileges::EXECUTE,
            Kind::Model | Kind::Experiment => Privileges::NONE,
        };
        match everybody.is_empty() {
            true => vec![own],
            false => vec![grant(PUBLIC, everybody), own],
        }
    }

    /// Adds privileges, and the right to pass them on.
    pub fn grant(&mut self, kind: Kind, new: Grant) {
        let mut grants = self.effective(kind);
        merge(&mut grants, new);
        self.grants = Some(grants);
    }

    /// Takes what `gone` names away; with `cascade` also what the grantee passed on.
    pub fn revoke(&mut self, kind: Kind, gone: Grant, cascade: bool) -> Result<()> {
        let mut grants = self.effective(kind);
        take(&mut grants, self.owner, gone, cascade)?;
        self.grants = Some(grants);
        Ok(())
    }

    /// Whether a role owns, gives or was given something.
    pub fn mentions(&self, role: RoleId) -> bool {
        let grants = self.grants.as_deref().unwrap_or_default();
        self.owner == role || grants.iter().any(|g| g.grantee == role || g.grantor == role)
    }

    /// Postgres' text of the list, as `{ann=arwdDxt/ann,=r/ann}`; None if it is the initial one.
    pub fn items(&self, name: impl Fn(RoleId) -> String) -> Option<Vec<String>> {
        let grants = self.grants.as_ref()?;
        Some(grants.iter().map(|grant| item(&name, grant)).collect())
    }
}

/// Adds a grant to a list.
pub(crate) fn merge(grants: &mut Vec<Grant>, new: Grant) {
    let same = |old: &&mut Grant| old.grantee == new.grantee && old.grantor == new.grantor;
    match grants.iter_mut().find(same) {
        Some(old) => {
            old.privileges = old.privileges.with(new.privileges);
            old.options = old.options.with(new.options);
        }
        None => grants.push(new),
    }
}

fn take(grants: &mut Vec<Grant>, owner: RoleId, gone: Grant, cascade: bool) -> Result<()> {
    let same = |old: &Grant| old.grantee == gone.grantee && old.grantor == gone.grantor;
    let Some(at) = grants.iter().position(same) else { return Ok(()) };
    grants[at].privileges = grants[at].privileges.without(gone.privileges);
    grants[at].options = grants[at].options.without(gone.options);
    if grants[at].privileges.is_empty() {
        grants.remove(at);
    }
    if gone.grantee == owner || gone.options.is_empty() {
        return Ok(());
    }
    // What the grantee may still pass on by another's grant stays.
    let others = grants.iter().filter(|g| g.grantee == gone.grantee);
    let left = others.fold(Privileges::NONE, |left, grant| left.with(grant.options));
    let lost = gone.options.without(left);
    let passed_on: Vec<Grant> = grants
        .iter()
        .filter(|g| g.grantor == gone.grantee && !g.privileges.both(lost).is_empty())
        .map(|g| Grant { privileges: g.privileges.both(lost), options: lost, ..*g })
        .collect();
    if !passed_on.is_empty() && !cascade {
        return Err(Error::new("2BP01", "dependent privileges exist")
            .with_hint("Use CASCADE to revoke them too."));
    }
    passed_on.into_iter().try_for_each(|grant| take(grants, owner, grant, true))
}

fn item(name: impl Fn(RoleId) -> String, grant: &Grant) -> String {
    let name = |id: RoleId| match id {
        PUBLIC => String::new(),
        id => quoted(&name(id)),
    };
    let mut letters = String::new();
    for (bit, (_, letter)) in NAMES.iter().enumerate() {
        if grant.privileges.has(Privileges(1 << bit)) {
            letters.push(*letter);
            letters.extend(grant.options.has(Privileges(1 << bit)).then_some('*'));
        }
    }
    format!("{}={letters}/{}", name(grant.grantee), name(grant.grantor))
}

fn quoted(name: &str) -> String {
    match name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(grantee: RoleId, grantor: RoleId, options: Privileges) -> Grant {
        Grant { grantee, grantor, privileges: Privileges::SELECT, options }
    }

    // The rules are those of PostgreSQL's documentation of GRANT and REVOKE.
    #[test]
    fn revoking_what_was_passed_on_needs_cascade() {
        let mut acl = Acl::owned(1);
        acl.grant(Kind::Table, grant(2, 1, Privileges::SELECT));
        acl.grant(Kind::Table, grant(3, 2, Privileges::NONE));
        let gone = grant(2, 1, Privileges::SELECT);
        assert!(acl.clone().revoke(Kind::Table, gone, false).is_err());
        acl.revoke(Kind::Table, gone, true).unwrap();
        assert_eq!(acl.grants.unwrap(), Acl::initial(Kind::Table, 1));
    }

    #[test]
    fn a_grant_from_another_stays() {
        let mut acl = Acl::owned(1);
        acl.grant(Kind::Table, grant(2, 1, Privileges::SELECT));
        acl.grant(Kind::Table, grant(3, 1, Privileges::NONE));
        acl.grant(Kind::Table, grant(3, 2, Privileges::NONE));
        acl.revoke(Kind::Table, grant(3, 1, Privileges::SELECT), false).unwrap();
        assert!(acl.mentions(3));
    }

    #[test]
    fn names_and_letters_belong_together() {
        for (name, letter) in NAMES {
            let privilege = Privileges::named(&name.to_lowercase()).unwrap();
            assert_eq!(privilege.names().next().unwrap().1, name, "{letter}");
        }
        assert_eq!(Privileges::named("temp"), Some(Privileges::TEMPORARY));
    }
}
