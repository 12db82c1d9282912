//! Matches that were not yet known: a training set that does not ask for what was known at its
//! labels' times is told how many of its values came later.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Notice;

/// Counts of one statement; operators find it in the session's configuration.
#[derive(Debug, Default)]
pub struct Leaks {
    matched: AtomicU64,
    unknown: AtomicU64,
}

impl Leaks {
    /// Adds what one join has found.
    pub(crate) fn add(&self, matched: u64, unknown: u64) {
        self.matched.fetch_add(matched, Ordering::Relaxed);
        self.unknown.fetch_add(unknown, Ordering::Relaxed);
    }

    /// What there is to tell, once.
    pub fn take(&self) -> Option<Notice> {
        let matched = self.matched.swap(0, Ordering::Relaxed);
        let unknown = self.unknown.swap(0, Ordering::Relaxed);
        if unknown == 0 {
            return None;
        }
        let message = format!(
            "{unknown} of {matched} matched values were not yet known at label time (created > ts)"
        );
        let hint = "known => 'label' leaves them out.".to_owned();
        Some(Notice { hint: Some(hint), ..Notice::notice(message) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_are_told_once() {
        let leaks = Leaks::default();
        leaks.add(3, 0);
        leaks.add(1, 1);
        let told = leaks.take().map(|notice| notice.message).unwrap();
        assert!(told.starts_with("1 of 4 matched values"), "{told}");
        assert!(leaks.take().is_none());
        leaks.add(5, 0);
        assert!(leaks.take().is_none());
    }
}
