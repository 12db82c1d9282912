//! COPY FROM STDIN in a session: the insert that runs while the client's data comes in.

use sql::changes;
use sql::copy::CopyIn;

use super::Session;
use crate::Error;

impl Session {
    /// Inserts what is fed, in the statement's transaction; says how many rows.
    pub async fn copy_in(&mut self, copy: &CopyIn) -> Result<u64, Error> {
        let environment = self.environment();
        let Some(open) = &mut self.open else {
            return Err(Error::new("XX000", "the transaction is gone"));
        };
        let applied = changes::apply(&environment, &mut open.lakes, &copy.change).await?;
        self.changed += 1;
        open.changes = self.changed;
        self.see();
        Ok(applied.count)
    }

    /// The data has ended: a COPY that is a transaction of its own is committed.
    pub async fn copied(&mut self) -> Result<(), Error> {
        if self.alone() { self.commit().await } else { Ok(()) }
    }
}
