//! What a session says of searches, and what they have to tell it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kernels::cuda::Unavailable;

use crate::Notice;

/// The recall that pgvector's settings lead to, at most.
const MOST_RECALL: f64 = 0.9999;
/// pgvector's defaults: with them an index gives the recall that it was made for.
const EF_SEARCH: f64 = 40.0;
const PROBES: f64 = 1.0;

/// Operators find it in the session's configuration.
#[derive(Debug, Default)]
pub struct Searches {
    wanted: Mutex<Wanted>,
    warnings: Mutex<Vec<Notice>>,
    /// Whether the statement at hand has been told why the GPU does not search.
    has_declined: AtomicBool,
}

/// `sextant.device`: where exact searches of indexes run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Processor {
    /// On the GPU where there is one.
    #[default]
    Any,
    Cpu,
    /// On the GPU; where it cannot, the client is told why.
    Gpu,
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
    /// `sextant.device`.
    pub processor: Processor,
}

impl Default for Wanted {
    fn default() -> Self {
        let processor = Processor::default();
        Self { indexes: true, recall: None, ef_search: None, probes: None, processor }
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

impl Searches {
    /// What the settings say now.
    pub fn wanted(&self) -> Wanted {
        *locked(&self.wanted)
    }

    /// The settings have changed.
    pub fn want(&self, wanted: Wanted) {
        *locked(&self.wanted) = wanted;
    }

    pub(super) fn warn(&self, warning: Notice) {
        locked(&self.warnings).push(warning);
    }

    /// A statement is planned, or run.
    pub fn begin(&self) {
        self.has_declined.store(false, Ordering::Relaxed);
    }

    /// The CPU searches in the place of the GPU; told of once a statement, if that was asked for.
    pub(super) fn decline(&self, reason: &Unavailable) {
        let is_asked = self.wanted().processor == Processor::Gpu;
        if is_asked && !self.has_declined.swap(true, Ordering::Relaxed) {
            self.warn(Notice::notice(format!("the CPU searches, not the GPU: {reason}")));
        }
    }

    /// What there is to tell, once.
    pub fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut *locked(&self.warnings))
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn who_asks_for_the_gpu_is_told_once_why_it_did_not_search() {
        let searches = Searches::default();
        let told = |processor: Processor| {
            searches.want(Wanted { processor, ..Wanted::default() });
            searches.begin();
            searches.decline(&Unavailable::new("it is gone"));
            let told = searches.take();
            searches.decline(&Unavailable::new("it is full"));
            assert!(searches.take().is_empty());
            told.into_iter().map(|notice| (notice.severity, notice.message)).collect::<Vec<_>>()
        };
        assert!(told(Processor::Any).is_empty() && told(Processor::Cpu).is_empty());
        let message = "the CPU searches, not the GPU: it is gone".to_owned();
        assert_eq!(told(Processor::Gpu), [("NOTICE", message)]);
    }
}
