//! What a session says of searches, and what they have to tell it.

use std::sync::{Mutex, PoisonError};

use crate::Notice;

/// The recall that pgvector's settings lead to, at most.
const MOST_RECALL: f64 = 0.9999;
/// pgvector's defaults: with them an index gives the recall that it was made for.
const EF_SEARCH: f64 = 40.0;
const PROBES: f64 = 1.0;

/// Operators find it in the session's configuration.
#[derive(Debug)]
pub struct Searches {
    wanted: Mutex<Wanted>,
    warnings: Mutex<Vec<Notice>>,
}

/// The session's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// Whether indexes are used at all.
    pub indexes: bool,
    /// `sextant.recall`.
    pub recall: Option<f64>,
    /// `hnsw.ef_search`.
    pub ef_search: Option<f64>,
    /// `ivfflat.probes`.
    pub probes: Option<f64>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { indexes: true, recall: None, ef_search: None, probes: None }
    }
}

impl Wanted {
    /// The recall of a search, over 0 and at most 1: what the query says, then the setting, then
    /// what the index was made for. Whoever tells pgvector to look wider, allows less loss.
    pub fn recall(&self, of_query: Option<f64>, of_index: f64) -> f64 {
        if let Some(recall) = of_query.or(self.recall) {
            return recall;
        }
        let wider = |setting: Option<f64>, usual: f64| setting.map_or(1.0, |own| own / usual);
        let wider = wider(self.ef_search, EF_SEARCH) * wider(self.probes, PROBES);
        let most = of_index.max(MOST_RECALL);
        (1.0 - (1.0 - of_index) / wider.max(0.1)).clamp(0.1, most)
    }
}

impl Default for Searches {
    fn default() -> Self {
        Self { wanted: Mutex::default(), warnings: Mutex::default() }
    }
}

impl Searches {
    /// What the settings say now.
    pub fn wanted(&self) -> Wanted {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings have changed.
    pub fn want(&self, wanted: Wanted) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
    }

    pub(super) fn warn(&self, warning: Notice) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    /// What there is to tell, once.
    pub fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_wider_allows_less_loss() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let usual = Wanted::default();
        assert!(near(usual.recall(None, 0.95), 0.95));
        assert!(near(usual.recall(Some(0.8), 0.95), 0.8));
        let wider = Wanted { ef_search: Some(80.0), ..usual };
        assert!(near(wider.recall(None, 0.95), 0.975));
        let probes = Wanted { probes: Some(10.0), ..usual };
        assert!(near(probes.recall(None, 0.95), 0.995));
        let narrow = Wanted { ef_search: Some(20.0), ..usual };
        assert!(near(narrow.recall(None, 0.95), 0.9));
        let own = Wanted { recall: Some(0.99), ..wider };
        assert!(near(own.recall(None, 0.95), 0.99));
        assert!(near(Wanted { probes: Some(1e9), ..usual }.recall(None, 0.95), MOST_RECALL));
    }
}
