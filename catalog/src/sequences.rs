//! Numbers of sequences: taken outside of transactions, so that none is given twice and a rollback
//! gives none back. A sequence itself is a definition; what it has given is a row of
//! `sextant_sequence`.
//!
//! A server takes some numbers ahead and hands them out from memory: those left are lost when it
//! ends, as Postgres loses numbers in a crash, and two servers hand out numbers of two ranges.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::metadata::{Session, Value, layout};

/// Kind of the definitions that sequences are; they go with the table that owns them.
pub const SEQUENCE: &str = "sequence";

/// Numbers taken at once, as many as Postgres logs ahead.
const AHEAD: usize = 32;

/// How a sequence counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    pub uuid: String,
    pub start: i64,
    /// Not zero.
    pub increment: i64,
    pub minimum: i64,
    pub maximum: i64,
    pub cycle: bool,
}

/// The last number given, and whether it was: a sequence that starts has not given its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    pub last: i64,
    pub called: bool,
}

impl Sequence {
    /// Before the first number.
    pub fn fresh(&self) -> Given {
        Given { last: self.start, called: false }
    }

    /// The next number; None: the sequence is at its end.
    pub fn next(&self, given: &mut Given) -> Option<i64> {
        if given.called {
            let next = given.last.checked_add(self.increment);
            let within = next.filter(|next| (self.minimum..=self.maximum).contains(next));
            let first = if self.increment > 0 { self.minimum } else { self.maximum };
            given.last = within.or(self.cycle.then_some(first))?;
        }
        given.called = true;
        Some(given.last)
    }
}

/// Numbers taken and not given yet, by sequence.
#[derive(Debug, Default)]
pub(crate) struct Taken(HashMap<String, VecDeque<i64>>);

impl Lake {
    /// The next numbers, in order. Fewer than asked for: the sequence is at its end.
    pub async fn next_numbers(&self, sequence: &Sequence, count: usize) -> Result<Vec<i64>> {
        let mut taken = self.sequences.lock().await;
        let held = taken.0.entry(sequence.uuid.clone()).or_default();
        if held.len() < count {
            let missing = (count - held.len()).max(AHEAD);
            held.extend(self.take(sequence, missing).await?);
        }
        let given = count.min(held.len());
        Ok(held.drain(..given).collect())
    }

    /// Goes on from another number.
    pub async fn set_number(&self, sequence: &Sequence, given: Given) -> Result<()> {
        let mut taken = self.sequences.lock().await;
        taken.0.remove(&sequence.uuid);
        let mut session = self.database.write().await?;
        write(&mut session, &sequence.uuid, given).await?;
        session.commit().await
    }

    /// Takes back what was taken ahead, as the sequence counted until now: it will count otherwise.
    pub async fn put_back(&self, sequence: &Sequence) -> Result<()> {
        let mut taken = self.sequences.lock().await;
        let held = taken.0.remove(&sequence.uuid).unwrap_or_default();
        let Some(first) = held.front().copied() else { return Ok(()) };
        let last = first.checked_sub(sequence.increment);
        let last = last.filter(|last| (sequence.minimum..=sequence.maximum).contains(last));
        let given = Given { last: last.unwrap_or(first), called: last.is_some() };
        let mut session = self.database.write().await?;
        write(&mut session, &sequence.uuid, given).await?;
        session.commit().await
    }

    async fn take(&self, sequence: &Sequence, count: usize) -> Result<Vec<i64>> {
        let mut session = self.database.write().await?;
        let given = read(&mut session, &sequence.uuid).await?;
        let mut given = given.unwrap_or_else(|| sequence.fresh());
        let mut numbers = Vec::with_capacity(count);
        while numbers.len() < count
            && let Some(number) = sequence.next(&mut given)
        {
            numbers.push(number);
        }
        write(&mut session, &sequence.uuid, given).await?;
        session.commit().await?;
        Ok(numbers)
    }
}

async fn read(session: &mut Session, uuid: &str) -> Result<Option<Given>> {
    let sql = "SELECT last_value, is_called FROM sextant_sequence WHERE sequence_uuid = ?";
    let rows = session.query(sql, &[uuid.into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let last = row.integer(0).ok_or_else(|| Error::Database("a sequence without number".into()))?;
    Ok(Some(Given { last, called: row.integer(1) != Some(0) }))
}

async fn write(session: &mut Session, uuid: &str, given: Given) -> Result<()> {
    let values = [given.last.into(), Value::Integer(i64::from(given.called)), uuid.into()];
    let sql = "UPDATE sextant_sequence SET last_value = ?, is_called = ? WHERE sequence_uuid = ?";
    if session.execute(sql, &values).await? == 0 {
        let [last, called, uuid] = values;
        layout::SEQUENCE.insert(session, &[vec![uuid, last, called]]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(increment: i64, minimum: i64, maximum: i64, cycle: bool) -> Sequence {
        let start = if increment > 0 { minimum } else { maximum };
        Sequence { uuid: String::new(), start, increment, minimum, maximum, cycle }
    }

    fn all(sequence: &Sequence, count: usize) -> Vec<Option<i64>> {
        let mut given = sequence.fresh();
        (0..count).map(|_| sequence.next(&mut given)).collect()
    }

    // PostgreSQL 15: create sequence … ; select nextval(…) four times.
    #[test]
    fn counts_ends_and_cycles() {
        let some = |numbers: [i64; 4]| numbers.map(Some).to_vec();
        assert_eq!(all(&sequence(1, 1, 3, true), 4), some([1, 2, 3, 1]));
        assert_eq!(all(&sequence(-2, -5, -1, true), 4), some([-1, -3, -5, -1]));
        assert_eq!(all(&sequence(2, 1, 4, false), 4), [Some(1), Some(3), None, None]);
        let last = sequence(1, i64::MAX, i64::MAX, false);
        assert_eq!(all(&last, 2), [Some(i64::MAX), None]);
    }
}
