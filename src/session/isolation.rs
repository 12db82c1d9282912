//! What a block keeps others from: by default it sees one snapshot; SERIALIZABLE, it also fails
//! with 40001 if it changes anything and others have changed the rows of a table that it has read.

use datafusion::sql::sqlparser::ast::{TransactionIsolationLevel, TransactionMode};

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
