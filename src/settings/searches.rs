//! Settings of searches of vector indexes: ours and pgvector's.

use sql::nearest::{Processor, Wanted};

use super::Settings;

const DEVICES: [(&str, Processor); 3] =
    [("auto", Processor::Any), ("cpu", Processor::Cpu), ("gpu", Processor::Gpu)];

/// For the hint of an error.
pub(super) const DEVICES_AVAILABLE: &str = "Available values: auto, cpu, gpu.";

/// `sextant.device` as SHOW spells it.
pub(super) fn device(value: &str) -> Option<String> {
    let known = DEVICES.iter().find(|(name, _)| name.eq_ignore_ascii_case(value));
    known.map(|(name, _)| (*name).to_owned())
}

impl Settings {
    /// What they say now.
    pub fn searches(&self) -> Wanted {
        let number = |name: &str| self.get(name).and_then(|text| text.parse().ok());
        let device = self.get("sextant.device");
        let known = DEVICES.iter().find(|(name, _)| Some(*name) == device);
        Wanted {
            indexes: self.get("enable_indexscan") != Some("off"),
            recall: number("sextant.recall"),
            ef_search: number("hnsw.ef_search"),
            probes: number("ivfflat.probes"),
            processor: known.map_or(Processor::Any, |(_, processor)| *processor),
        }
    }
}
