//! Settings of searches of vector indexes: ours and pgvector's.

use sql::nearest::Wanted;

use super::Settings;

impl Settings {
    /// What they say now.
    pub fn searches(&self) -> Wanted {
        let number = |name: &str| self.get(name).and_then(|text| text.parse().ok());
        Wanted {
            indexes: self.get("enable_indexscan") != Some("off"),
            recall: number("sextant.recall"),
            ef_search: number("hnsw.ef_search"),
            probes: number("ivfflat.probes"),
        }
    }
}
