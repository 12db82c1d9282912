//! What is known of the lake without asking: states by snapshot, rows by table and last change.
//!
//! ```text
//!   log      snapshot 7: table 3 │ snapshot 8: table 5 │ snapshot 9: table 3
//!   rows of table 5 at snapshot 9 = rows of table 5 at snapshot 8: one key for both
//! ```
//! The log is read from `ducklake_snapshot_changes`, so a commit to one table leaves the others'
//! rows in place, whoever commits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::metadata::Stamp;
use crate::model::{ObjectId, SnapshotId, State, TableRows};

/// States of old snapshots that are kept.
const OLD_STATES: usize = 8;
/// Tables (at some snapshot) whose rows are kept.
const TABLES: usize = 512;
/// Snapshots that the log remembers; older ones are keyed by themselves.
const LOG: usize = 4096;

/// What a snapshot changed, as far as rows are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    Tables {
        /// Rows came, and nothing else.
        appended: BTreeSet<ObjectId>,
        /// Rows went, or the table changed.
        written: BTreeSet<ObjectId>,
        /// The same rows are somewhere else.
        moved: BTreeSet<ObjectId>,
    },
    /// Something this version does not know.
    Anything,
}

/// What has become of a table's rows from one snapshot to another, wherever they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Since {
    Same,
    /// Rows were added; those that were there are there.
    Appended,
    /// Rows went or the table changed; also if not known.
    Changed,
}

#[derive(Debug, Default)]
pub struct Cache {
    newest: Option<Arc<State>>,
    /// What the database said of itself before it was last asked for the newest.
    stamp: Option<Stamp>,
    old: BTreeMap<SnapshotId, Arc<State>>,
    /// Snapshots after `known_from`, up to the newest.
    log: BTreeMap<SnapshotId, Changed>,
    known_from: SnapshotId,
    rows: HashMap<(ObjectId, SnapshotId), Entry>,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    rows: Arc<TableRows>,
    used: u64,
}

impl Changed {
    /// Reads the tokens of `changes_made`.
    pub fn parse(changes: &str) -> Self {
        let (mut appended, mut written) = (BTreeSet::new(), BTreeSet::new());
        let mut moved = BTreeSet::new();
        for token in tokens(changes) {
            let (kind, rest) = token.split_once(':').unwrap_or((token, ""));
            match kind {
                "created_schema"
                | "created_table"
                | "created_view"
                | "created_macro"
                | "created_scalar_macro"
                | "created_table_macro"
                | "dropped_schema"
                | "dropped_view"
                | "dropped_macro"
                | "dropped_scalar_macro"
                | "dropped_table_macro"
                | "altered_view" => {}
                _ => {
                    let Ok(table) = rest.parse() else { return Self::Anything };
                    let tables = match kind {
                        "inline_flush" | "merge_adjacent" | "rewrite_delete" => &mut moved,
                        "inserted_into_table" | "inlined_insert" => &mut appended,
                        _ => &mut written,
                    };
                    tables.insert(table);
                }
            }
        }
        Self::Tables { appended, written, moved }
    }

    /// Whether what is known of the table's rows is out of date.
    fn touches(&self, table: ObjectId) -> bool {
        self.writes(table) || self.moves(table)
    }

    /// Whether the table has other rows.
    fn writes(&self, table: ObjectId) -> bool {
        match self {
            Self::Tables { appended, written, .. } => {
                appended.contains(&table) || written.contains(&table)
            }
            Self::Anything => true,
        }
    }

    /// What has become of the table's rows.
    fn of(&self, table: ObjectId) -> Since {
        match self {
            Self::Tables { appended, written, .. } => {
                match (written.contains(&table), appended.contains(&table)) {
                    (true, _) => Since::Changed,
                    (false, true) => Since::Appended,
                    (false, false) => Since::Same,
                }
            }
            Self::Anything => Since::Changed,
        }
    }

    fn moves(&self, table: ObjectId) -> bool {
        match self {
            Self::Tables { moved, .. } => moved.contains(&table),
            Self::Anything => true,
        }
    }
}

/// What a series of changes makes of a table's rows.
pub fn all<'a>(changes: impl Iterator<Item = &'a Changed>, table: ObjectId) -> Since {
    changes.map(|changed| changed.of(table)).max().unwrap_or(Since::Same)
}

/// Splits at commas outside of quotes.
pub fn tokens(changes: &str) -> Vec<&str> {
    let mut quoted = false;
    let outside = |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    changes.split(outside).map(str::trim).filter(|token| !token.is_empty()).collect()
}

impl Cache {
    pub fn newest(&self) -> Option<&Arc<State>> {
        self.newest.as_ref()
    }

    /// The newest state, if the database is as it was when it was last asked.
    pub fn newest_at(&self, stamp: Option<Stamp>) -> Option<&Arc<State>> {
        self.newest.as_ref().filter(|_| stamp.is_some() && stamp == self.stamp)
    }

    /// The newest state is that of a database that said so.
    pub fn asked(&mut self, stamp: Option<Stamp>) {
        self.stamp = stamp;
    }

    /// The state of a snapshot if it is at hand.
    pub fn state(&self, id: SnapshotId) -> Option<Arc<State>> {
        let newest = self.newest.iter().find(|state| state.snapshot.id == id);
        newest.or_else(|| self.old.get(&id)).cloned()
    }

    pub fn keep_old(&mut self, state: Arc<State>) {
        self.old.insert(state.snapshot.id, state);
        while self.old.len() > OLD_STATES {
            self.old.pop_first();
        }
    }

    /// Lets go of old states that can no longer be read.
    pub fn forget(&mut self, snapshots: &[SnapshotId]) {
        self.old.retain(|id, _| !snapshots.contains(id));
    }

    /// Takes a newer state and what the snapshots up to it changed.
    pub fn advance(&mut self, state: Arc<State>, changes: Vec<(SnapshotId, Changed)>) {
        let known = self.newest.as_ref().map(|state| state.snapshot.id);
        if known.is_some_and(|known| known >= state.snapshot.id) {
            return;
        }
        if known.is_none() {
            self.known_from = state.snapshot.id;
        }
        // Files that rows were moved from will be removed: nobody is to be sent there any more.
        self.rows.retain(|(table, _), _| !changes.iter().any(|(_, own)| own.moves(*table)));
        self.log.extend(changes);
        while self.log.len() > LOG {
            if let Some((id, _)) = self.log.pop_first() {
                self.known_from = id;
            }
        }
        self.newest = Some(state);
    }

    /// The snapshot that last changed a table, at or before `at`.
    fn last_change(&self, table: ObjectId, at: SnapshotId) -> SnapshotId {
        let newest = self.newest.as_ref().map_or(0, |state| state.snapshot.id);
        if at < self.known_from || at > newest {
            return at;
        }
        let upto = self.log.range(..=at).rev();
        let last = upto.into_iter().find(|(_, changed)| changed.touches(table));
        last.map_or(self.known_from, |(id, _)| *id)
    }

    /// Whether a table has got other rows after one snapshot, up to another; also if not known.
    pub fn written(&self, table: ObjectId, after: SnapshotId, upto: SnapshotId) -> bool {
        self.any_between(after, upto, |changed| changed.writes(table))
    }

    /// What has become of a table's rows after one snapshot, up to another; `Err`: the log does not
    /// reach back to it, only to this snapshot; `remember` adds what came before.
    pub fn since(
        &self,
        table: ObjectId,
        after: SnapshotId,
        upto: SnapshotId,
    ) -> Result<Since, SnapshotId> {
        match after < self.known_from {
            true => Err(self.known_from),
            false => Ok(all(self.log.range(after + 1..=upto).map(|(_, changed)| changed), table)),
        }
    }

    /// Takes what snapshots before those of the log changed, from `after` on without a gap.
    pub fn remember(&mut self, after: SnapshotId, changes: Vec<(SnapshotId, Changed)>) {
        if after < self.known_from && self.log.len() + changes.len() <= LOG {
            self.log.extend(changes);
            self.known_from = after;
        }
    }

    /// Whether its rows are others or somewhere else.
    pub fn touched(&self, table: ObjectId, after: SnapshotId, upto: SnapshotId) -> bool {
        self.any_between(after, upto, |changed| changed.touches(table))
    }

    fn any_between(
        &self,
        after: SnapshotId,
        upto: SnapshotId,
        what: impl Fn(&Changed) -> bool,
    ) -> bool {
        after < self.known_from
            || self.log.range(after + 1..=upto).any(|(_, changed)| what(changed))
    }

    pub fn rows(&mut self, table: ObjectId, at: SnapshotId) -> Option<Arc<TableRows>> {
        self.clock += 1;
        let key = (table, self.last_change(table, at));
        let entry = self.rows.get_mut(&key)?;
        entry.used = self.clock;
        Some(Arc::clone(&entry.rows))
    }

    pub fn keep_rows(&mut self, table: ObjectId, at: SnapshotId, rows: Arc<TableRows>) {
        self.clock += 1;
        let key = (table, self.last_change(table, at));
        let used = self.clock;
        self.rows.insert(key, Entry { rows, used });
        while self.rows.len() > TABLES {
            let oldest = self.rows.iter().min_by_key(|(_, entry)| entry.used);
            let Some(key) = oldest.map(|(key, _)| *key) else {
                return;
            };
            self.rows.remove(&key);
        }
    }

    /// Forgets the rows of a table as they were at a snapshot.
    pub fn drop_rows(&mut self, table: ObjectId, at: SnapshotId) {
        let key = (table, self.last_change(table, at));
        self.rows.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_tokens_of_the_facts_sheet() {
        let changes =
            "dropped_table:2,created_table:\"s,1\".\"a\",inlined_insert:4,altered_table:5";
        let tables =
            |appended: &[ObjectId], written: &[ObjectId], moved: &[ObjectId]| Changed::Tables {
                appended: appended.iter().copied().collect(),
                written: written.iter().copied().collect(),
                moved: moved.iter().copied().collect(),
            };
        assert_eq!(Changed::parse(changes), tables(&[4], &[2, 5], &[]));
        assert!([2, 4, 5].into_iter().all(|table| Changed::parse(changes).writes(table)));
        assert_eq!(Changed::parse("inline_flush:3,rewrite_delete:4"), tables(&[], &[], &[3, 4]));
        assert_eq!(Changed::parse(""), tables(&[], &[], &[]));
        assert_eq!(Changed::parse("new_kind_of_change"), Changed::Anything);
    }
    #[test]
    fn rows_are_the_same_until_something_is_said_of_them() {
        let changes = ["inserted_into_table:1", "inline_flush:1", "deleted_from_table:2", "x:3"];
        let changes: Vec<Changed> = changes.iter().map(|text| Changed::parse(text)).collect();
        let since = |from: usize, table| all(changes[from..].iter(), table);
        assert_eq!((since(0, 1), since(1, 1)), (Since::Appended, Since::Same));
        assert_eq!((since(0, 2), since(3, 2)), (Since::Changed, Since::Same));
        assert_eq!((since(0, 3), since(0, 4)), (Since::Changed, Since::Same));
        assert_eq!(all([Changed::Anything].iter(), 4), Since::Changed);
    }
}
