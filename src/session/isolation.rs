//! What a block keeps others from: by default it sees one snapshot; SERIALIZABLE, it also fails
//! with 40001 if it changes anything and others have changed the rows of a table that it has read.

use datafusion::sql::sqlparser::ast::{TransactionAccessMode, TransactionMode};

use super::Session;
use crate::Error;
use crate::run::Plan;

const NAME: &str = "transaction_isolation";
const DEFAULT: &str = "default_transaction_isolation";
const SERIALIZABLE: &str = "serializable";

impl Session {
    /// Whether blocks, and statements outside of them, may only read unless they say otherwise.
    pub(super) fn reads_by_default(&self) -> bool {
        self.setting("default_transaction_read_only").as_deref() == Some("on")
    }

    /// Whether the statement at hand may only read.
    pub(super) fn is_read_only(&self) -> bool {
        let block = self.open.as_ref().and_then(|open| open.block.as_ref());
        block.map_or_else(|| self.reads_by_default(), |block| block.read_only)
    }

    /// BEGIN: the isolation of a block with these modes, by default the session's.
    pub(super) fn begin_isolation(&mut self, modes: &[TransactionMode]) -> Result<(), Error> {
        let level = level(modes).or_else(|| self.setting(DEFAULT));
        level.map_or(Ok(()), |level| self.isolate(&level))
    }

    /// SET TRANSACTION: another isolation, if the modes name one.
    pub(super) fn set_isolation(&mut self, modes: &[TransactionMode]) -> Result<(), Error> {
        level(modes).map_or(Ok(()), |level| self.isolate(&level))
    }

    /// Every other level is one snapshot, and told so.
    fn isolate(&mut self, level: &str) -> Result<(), Error> {
        let serializable = level.eq_ignore_ascii_case(SERIALIZABLE);
        if serializable || self.setting(NAME).as_deref() == Some(SERIALIZABLE) {
            let level = if serializable { SERIALIZABLE } else { "repeatable read" };
            self.write_settings()?.set_local(NAME, level)?;
        }
        Ok(())
    }

    /// SET SESSION CHARACTERISTICS AS TRANSACTION: what blocks are that say nothing else.
    pub(super) fn set_characteristics(&mut self, modes: &[TransactionMode]) -> Result<(), Error> {
        for mode in modes {
            let (name, value) = match mode {
                TransactionMode::IsolationLevel(level) => {
                    (DEFAULT, level.to_string().to_lowercase())
                }
                TransactionMode::AccessMode(mode) => {
                    let reads = matches!(mode, TransactionAccessMode::ReadOnly);
                    let value = if reads { "on" } else { "off" };
                    ("default_transaction_read_only", value.to_owned())
                }
            };
            self.write_settings()?.set(name, &value)?;
        }
        self.settings_changed()
    }

    /// What SHOW says of the isolation: of this block, or of the next.
    pub(super) fn isolation(&self) -> Option<String> {
        let is_block = self.open.as_ref().is_some_and(|open| open.block.is_some());
        self.setting(if is_block { NAME } else { DEFAULT })
    }

    /// Notes what a statement of a serializable block reads.
    pub(super) fn depend(&mut self, plan: &Plan) -> Result<(), Error> {
        let is_block = self.open.as_ref().is_some_and(|open| open.block.is_some());
        if !is_block || self.setting(NAME).as_deref() != Some(SERIALIZABLE) {
            return Ok(());
        }
        let read = plan.reads(self.server.lake())?;
        if let Some(block) = self.open.as_mut().and_then(|open| open.block.as_mut()) {
            block.reads.extend(read);
        }
        Ok(())
    }
}

fn level(modes: &[TransactionMode]) -> Option<String> {
    modes.iter().rev().find_map(|mode| match mode {
        TransactionMode::IsolationLevel(level) => Some(level.to_string()),
        TransactionMode::AccessMode(_) => None,
    })
}
