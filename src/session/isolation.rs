//! What a block keeps others from: by default it sees one snapshot; SERIALIZABLE, it also fails
//! with 40001 if it changes anything and others have changed the rows of a table that it has read.

use datafusion::sql::sqlparser::ast::{
    TransactionAccessMode, TransactionIsolationLevel, TransactionMode,
};

use super::Session;
use crate::Error;
use crate::run::Plan;

const NAME: &str = "transaction_isolation";
const SERIALIZABLE: &str = "serializable";

impl Session {
    /// Whether blocks, and statements outside of them, may only read unless they say otherwise.
    pub(super) fn reads_by_default(&self) -> bool {
        self.setting("default_transaction_read_only").as_deref() == Some("on")
    }

    /// The isolation of a block with these modes.
    pub(super) fn set_isolation(&mut self, modes: &[TransactionMode]) -> Result<(), Error> {
        let given = modes.iter().rev().find_map(|mode| match mode {
            TransactionMode::IsolationLevel(level) => {
                Some(*level == TransactionIsolationLevel::Serializable)
            }
            TransactionMode::AccessMode(_) => None,
        });
        let default = || {
            let default = self.setting("default_transaction_isolation");
            default.is_some_and(|level| level.eq_ignore_ascii_case(SERIALIZABLE))
        };
        if given.unwrap_or_else(default) {
            self.write_settings()?.set_local(NAME, SERIALIZABLE)?;
        }
        Ok(())
    }

    /// SET SESSION CHARACTERISTICS AS TRANSACTION: what blocks are that say nothing else.
    pub(super) fn set_characteristics(&mut self, modes: &[TransactionMode]) -> Result<(), Error> {
        for mode in modes {
            let (name, value) = match mode {
                TransactionMode::IsolationLevel(level) => {
                    ("default_transaction_isolation", level.to_string().to_lowercase())
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
        self.setting(if is_block { NAME } else { "default_transaction_isolation" })
    }

    /// Notes what a statement of a serializable block reads.
    pub(super) fn depend(&mut self, plan: &Plan) -> Result<(), Error> {
        let is_block = self.open.as_ref().is_some_and(|open| open.block.is_some());
        if !is_block || self.setting(NAME).as_deref() != Some(SERIALIZABLE) {
            return Ok(());
        }
        if let Some(open) = &mut self.open {
            plan.reads()?.into_iter().for_each(|table| open.lakes.main.depends_on(table));
        }
        Ok(())
    }
}
